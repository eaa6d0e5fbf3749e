//! What a check says: findings, evidence, metrics, facts. Made by `judge`, judged no further than
//! the check's own rules; limits, expectations and `--as` come in [`crate::plugin::verdict`].

use crate::plugin::spec::{Code, Kind, MetricSpec, RATE};
use crate::plugin::status::Status;

/// The outcome of one `judge`.
#[derive(Debug, Default)]
pub struct Report {
    /// What the check is about: `eth1`, `14 ports`.
    pub object: String,
    /// The sentence when nothing is wrong.
    pub when_ok: String,
    /// What is wrong, in the order it was found.
    pub findings: Vec<Finding>,
    /// What was read, and from where.
    pub evidence: Vec<Evidence>,
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// What is not a number and can be expected.
    pub facts: Vec<Fact>,
    /// Values to compare with in the next run.
    pub remember: Vec<(String, f64)>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which kind of thing.
    pub code: &'static Code,
    /// What it counts as.
    pub status: Status,
    /// A clause that names what is wrong: `link down`.
    pub text: String,
    /// The object, where the check looks at several.
    pub object: Option<String>,
}

/// One line of what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The line.
    pub text: String,
    /// Whether it speaks of what is in order: such lines are left out first.
    pub fine: bool,
}

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// What it is.
    pub spec: &'static MetricSpec,
    /// Whether it is the rate per second of the counter `spec`.
    pub is_rate: bool,
    /// The value of the spec's label.
    pub label: Option<String>,
    /// The number, finite.
    pub value: f64,
}

/// One thing that is not a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its name.
    pub name: &'static str,
    /// The object it belongs to, where there are several.
    pub object: Option<String>,
    /// Its value.
    pub value: String,
}

impl Report {
    /// An empty report about an object.
    pub fn about(object: impl Into<String>) -> Self {
        Self { object: object.into(), ..Self::default() }
    }

    /// A finding about the one object of the check.
    pub fn find(&mut self, code: &'static Code, text: impl Into<String>) {
        self.add(code, None, text);
    }

    /// A finding about one of several objects.
    pub fn find_on(&mut self, object: &str, code: &'static Code, text: impl Into<String>) {
        self.add(code, Some(object.to_owned()), text);
    }

    fn add(&mut self, code: &'static Code, object: Option<String>, text: impl Into<String>) {
        self.findings.push(Finding { code, status: code.status, text: text.into(), object });
    }

    /// A line about what is in order.
    pub fn fine(&mut self, text: impl Into<String>) {
        self.evidence.push(Evidence { text: text.into(), fine: true });
    }

    /// A line about what is not, or could not be seen.
    pub fn note(&mut self, text: impl Into<String>) {
        self.evidence.push(Evidence { text: text.into(), fine: false });
    }

    /// A number of the one object. A value that is absent or not finite is not a metric.
    pub fn measure(&mut self, spec: &'static MetricSpec, value: impl Into<Option<f64>>) {
        self.push_metric(spec, None, value.into());
    }

    /// A number of one of several objects.
    pub fn measure_of(
        &mut self,
        label: &str,
        spec: &'static MetricSpec,
        value: impl Into<Option<f64>>,
    ) {
        self.push_metric(spec, Some(label.to_owned()), value.into());
    }

    fn push_metric(&mut self, spec: &'static MetricSpec, label: Option<String>, v: Option<f64>) {
        if let Some(value) = v.filter(|v| v.is_finite()) {
            self.metrics.push(Metric { spec, is_rate: false, label, value });
        }
    }

    /// A fact of the one object, or of one of several.
    pub fn fact(&mut self, name: &'static str, object: Option<&str>, value: impl Into<String>) {
        let object = object.map(str::to_owned);
        self.facts.push(Fact { name, object, value: value.into() });
    }

    /// The worst status among the findings.
    pub fn status(&self) -> Status {
        self.findings.iter().map(|f| f.status).max().unwrap_or(Status::Ok)
    }
}

impl Metric {
    /// Its name in limits and perfdata.
    pub fn name(&self) -> String {
        format!("{}{}", self.spec.name, if self.is_rate { RATE } else { "" })
    }

    /// Whether this is its name, as [`Self::name`] would make it.
    pub fn is_named(&self, name: &str) -> bool {
        let bare = if self.is_rate { name.strip_suffix(RATE) } else { Some(name) };
        bare == Some(self.spec.name)
    }

    /// Whether it only goes up.
    pub fn is_counter(&self) -> bool {
        self.spec.kind == Kind::Counter && !self.is_rate
    }

    /// What tells it apart from all others of the run.
    pub fn key(&self) -> String {
        match &self.label {
            Some(label) => format!("{}/{}", self.spec.name, label),
            None => self.spec.name.to_owned(),
        }
    }

    /// The rate of this counter, as a metric of its own.
    pub fn rate(&self, per_second: f64) -> Self {
        Self { is_rate: true, value: per_second, ..self.clone() }
    }
}
