//! The formats of one metric a line. The status stands before them as a `#` comment: Prometheus
//! and `InfluxDB` know comments, Sensu's readers of the others skip what is no metric.

use super::{Page, Style, as_many_as_fit};
use crate::plugin::report::Metric;
use crate::plugin::text;
use crate::plugin::verdict::Verdict;

pub(super) fn prometheus(verdict: &Verdict, style: Style) -> String {
    let mut sorted: Vec<&Metric> = verdict.metrics.iter().collect();
    // All samples of a family must stand together.
    sorted.sort_by_key(|m| (m.spec.prometheus, m.is_rate));
    let mut family = String::new();
    page(verdict, style, sorted, |m| {
        let sample = prometheus_sample(verdict, m);
        let name = prometheus_name(m);
        if name == family {
            return sample;
        }
        let kind = if m.is_counter() { "counter" } else { "gauge" };
        family = name;
        format!("# TYPE {family} {kind}\n{sample}")
    })
}

fn prometheus_name(metric: &Metric) -> String {
    let ending = match (metric.is_rate, metric.is_counter()) {
        (true, _) => "_per_second",
        (false, true) => "_total",
        (false, false) => "",
    };
    format!("{}{ending}", metric.spec.prometheus)
}

fn prometheus_sample(verdict: &Verdict, metric: &Metric) -> String {
    let label = |(key, value): (&str, &str)| {
        let escaped = text::line(value).replace('\\', "\\\\").replace('"', "\\\"");
        format!("{key}=\"{escaped}\"")
    };
    let labels: Vec<String> = verdict.labels(metric).map(label).collect();
    let labels =
        if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let value = text::number(metric.value * metric.spec.prometheus_factor);
    format!("{}{labels} {value}", prometheus_name(metric))
}

pub(super) fn influxdb(verdict: &Verdict, style: Style) -> String {
    let check = verdict.spec.name;
    let line = |m: &Metric| {
        let tag = |(key, value)| format!(",{key}={}", text::label(value));
        let tags: String = verdict.labels(m).map(tag).collect();
        let value = text::number(m.value);
        format!("{check}{tags} {}={value} {}000000000", m.name(), style.now)
    };
    page(verdict, style, &verdict.metrics, line)
}

pub(super) fn graphite(verdict: &Verdict, style: Style) -> String {
    let check = verdict.spec.name;
    let line = |m: &Metric| {
        // A dot opens a level of the tree; in a name it is none.
        let level = |(_, value)| format!("{}.", text::label(value).replace('.', "_"));
        let path: String = verdict.labels(m).map(level).collect();
        let value = text::number(m.value);
        format!("{check}.{path}{} {value} {}", m.name(), style.now)
    };
    page(verdict, style, &verdict.metrics, line)
}

pub(super) fn opentsdb(verdict: &Verdict, style: Style) -> String {
    let check = verdict.spec.name;
    let line = |m: &Metric| {
        let tag = |(key, value)| format!("{key}={}", text::label(value).replace(':', "_"));
        let mut tags: Vec<String> = verdict.labels(m).map(tag).collect();
        if tags.is_empty() {
            tags.push(format!("check={check}"));
        }
        let value = text::number(m.value);
        format!("{check}.{} {} {value} {}", m.name(), style.now, tags.join(" "))
    };
    page(verdict, style, &verdict.metrics, line)
}

/// The comment with the status, those with findings that it does not tell, then the metrics that fit;
/// evidence and what to do only where it is asked for.
fn page<'v>(
    verdict: &Verdict,
    style: Style,
    metrics: impl IntoIterator<Item = &'v Metric>,
    line: impl FnMut(&'v Metric) -> String,
) -> String {
    let first = format!("# {}", verdict.first_line());
    let room = style.max_output.saturating_sub(first.len() + 2);
    let (metrics, more) = as_many_as_fit(metrics, room, line);
    let mut page = Page { metrics, dropped: (0, more), ..Page::default() };
    let comment = |text: &str| format!("# {}", text::line(text));
    if verdict.findings.len() > 1 {
        let told = verdict.findings.iter().map(|f| format!("{} {}", f.status, f.clause()));
        page.fine = told.map(|finding| comment(&finding)).collect();
    }
    if style.verbose {
        let advice =
            verdict.advice().into_iter().map(|what| comment(&format!("what to do: {what}")));
        page.fine.extend(advice);
        page.fine.extend(verdict.evidence.iter().map(|evidence| comment(&evidence.text)));
    }
    let page = page.fit(room);
    let notice = page.notice().map(|notice| format!("# {notice}"));
    let mut lines = vec![first];
    lines.extend(page.fine);
    lines.extend(notice);
    lines.extend(page.metrics);
    lines.push(String::new());
    lines.join("\n")
}
