//! Text for people. All perfdata stands on the last line, behind the only pipe of the output, with
//! nothing before the pipe: Sensu Go glues on what follows a value, and Icinga reads a blank
//! behind the pipe as part of the first label.

use super::{Page, Style};
use crate::plugin::status::Status;
use crate::plugin::text;
use crate::plugin::verdict::{Measured, Verdict};

pub(super) fn render(verdict: &Verdict, style: Style) -> String {
    let first = verdict.first_line();
    let room = style.max_output.saturating_sub(first.len() + 2);
    let page = page(verdict, style.verbose, room).fit(room);
    let notice = page.notice();
    let mut lines = vec![first];
    lines.extend(page.findings);
    lines.extend(page.notes);
    lines.extend(page.fine);
    lines.extend(notice);
    if !page.metrics.is_empty() {
        lines.push(format!("|{}", page.metrics.join(" ")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn page(verdict: &Verdict, verbose: bool, room: usize) -> Page {
    let mut page = Page::default();
    // One finding is the first line already, unless it counts as OK and is not in it.
    let told = matches!(verdict.findings.as_slice(), [only] if only.status != Status::Ok);
    if !told || verbose {
        page.findings = verdict
            .findings
            .iter()
            .map(|f| match verbose {
                true => text::line(&format!("{} {} [{}]", f.status, f.clause(), f.code.name)),
                false => text::line(&format!("{} {}", f.status, f.clause())),
            })
            .collect();
    }
    let advice = verdict.advice();
    page.findings.extend(advice.iter().map(|what| text::line(&format!("what to do: {what}"))));
    page.fill(verdict, room, text::line, perfdata);
    page
}

/// `label=value[unit][;warning[;critical]]`
fn perfdata(measured: &Measured) -> String {
    let metric = &measured.metric;
    let label = match &metric.label {
        Some(label) => text::label(&format!("{label}.{}", metric.name())),
        None => text::label(&metric.name()),
    };
    let unit = if metric.is_rate { "" } else { metric.spec.unit };
    let limit = |range: Option<crate::plugin::limit::Range>| {
        range.map(|range| range.to_string()).unwrap_or_default()
    };
    let limits = format!(";{};{}", limit(measured.warning), limit(measured.critical));
    format!("{label}={}{unit}{}", text::number(metric.value), limits.trim_end_matches(';'))
}
