//! One JSON object on one line. Its keys are a promise: see `docs/output.md`.

use super::{Page, Style};
use crate::plugin::text;
use crate::plugin::verdict::{Measured, Verdict};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Number, Value, json};
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Document<'a> {
    check: &'a str,
    object: String,
    status: &'a str,
    exit: u8,
    summary: String,
    findings: Vec<Box<RawValue>>,
    advice: Vec<&'static str>,
    evidence: Vec<Box<RawValue>>,
    metrics: Vec<Box<RawValue>>,
    /// Present only when something was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<Value>,
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    code: &'a str,
    status: &'a str,
    text: String,
    object: Option<String>,
}

#[derive(Serialize)]
struct JsonMetric<'a> {
    name: String,
    value: Option<Number>,
    unit: &'a str,
    labels: BTreeMap<&'a str, String>,
    warning: Option<String>,
    critical: Option<String>,
    min: Option<u8>,
    max: Option<u8>,
}

pub(super) fn render(verdict: &Verdict, style: Style) -> String {
    let summary = text::cut(text::line(&verdict.summary), 255);
    let object = text::cut(text::line(&verdict.object), 255);
    let advice = verdict.advice();
    let advised: usize = advice.iter().map(|text| text.len() + 3).sum();
    let frame = 200 + summary.len() + object.len() + advised;
    let room = style.max_output.saturating_sub(frame);
    let page = page(verdict, room).fit(room);
    let (evidence, metrics) = page.dropped;
    let dropped =
        (evidence + metrics > 0).then(|| json!({"evidence": evidence, "metrics": metrics}));
    let raw = |pieces: Vec<String>| pieces.into_iter().filter_map(raw_value).collect::<Vec<_>>();
    let document = Document {
        check: verdict.spec.name,
        object,
        status: verdict.status.word(),
        exit: verdict.exit,
        summary,
        findings: raw(page.findings),
        advice,
        evidence: raw([page.notes, page.fine].concat()),
        metrics: raw(page.metrics),
        dropped,
    };
    to_json(&document) + "\n"
}

fn page(verdict: &Verdict, room: usize) -> Page {
    let findings = verdict
        .findings
        .iter()
        .map(|f| JsonFinding {
            code: f.code.name,
            status: f.status.word(),
            text: text::line(&f.text),
            object: f.object.as_deref().map(text::line),
        })
        .map(|finding| to_json(&finding))
        .collect();
    let mut page = Page { findings, ..Page::default() };
    page.fill(verdict, room, |evidence| to_json(&text::line(evidence)), |m| metric(verdict, m));
    page
}

fn metric(verdict: &Verdict, measured: &Measured) -> String {
    let Measured { metric, warning, critical } = measured;
    let percent = metric.spec.unit == "%";
    to_json(&JsonMetric {
        name: metric.name(),
        value: number(metric.value),
        unit: if metric.is_rate { "" } else { metric.spec.unit },
        labels: verdict.labels(metric).map(|(key, value)| (key, text::line(value))).collect(),
        warning: warning.map(|range| range.to_string()),
        critical: critical.map(|range| range.to_string()),
        min: (percent || metric.is_counter()).then_some(0),
        max: percent.then_some(100),
    })
}

/// Whole numbers without a point, as they were counted.
#[allow(clippy::cast_possible_truncation, reason = "only values that an i64 holds exactly")]
fn number(value: f64) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("strings, numbers and string keys are always JSON")
}

fn raw_value(json: String) -> Option<Box<RawValue>> {
    RawValue::from_string(json).ok()
}
