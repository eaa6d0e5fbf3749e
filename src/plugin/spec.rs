//! What a check says of itself. The values come from `checks-manifest/` by way of `build.rs`.

use crate::plugin::code;
use crate::plugin::status::Status;

/// One check, as its manifest entry has it.
#[derive(Debug)]
pub struct Spec {
    /// The binary's name, `check_ovs_port`.
    pub name: &'static str,
    /// The first word of its output, `CheckOvsPort`.
    pub title: &'static str,
    /// What an OK means.
    pub sentence: &'static str,
    /// What to do when it is red.
    pub red: &'static [Advice],
    /// What `--help` says below the options, where names need a table; may be empty.
    pub details: &'static str,
    /// The metric meant by a limit that names none.
    pub main_metric: Option<&'static str>,
    /// The label that tells its object's metrics from those of other objects.
    pub object_label: Option<&'static str>,
    /// Whether it reads what its previous run remembered, rates or not.
    pub remembers: bool,
    /// Capabilities it may keep, as `setcap` writes them.
    pub capabilities: &'static [&'static str],
    /// What it can find, beside [`code::COMMON`].
    pub codes: &'static [Code],
    /// What it measures.
    pub metrics: &'static [MetricSpec],
    /// What `--expect` takes.
    pub facts: &'static [FactSpec],
}

/// A thing that can be wrong, and what it counts as by default.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Short and stable: `link-down`.
    pub name: &'static str,
    /// What it counts as unless `--as` says otherwise.
    pub status: Status,
    /// What was seen.
    pub meaning: &'static str,
}

/// What to do when something was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Advice {
    /// When one of these was.
    pub codes: &'static [&'static str],
    /// What to look at, or to do.
    pub text: &'static str,
}

/// A number that a check emits.
#[derive(Debug, PartialEq)]
pub struct MetricSpec {
    /// Its name in limits and perfdata.
    pub name: &'static str,
    /// `s ms us % B KB MB TB c` or nothing.
    pub unit: &'static str,
    /// Whether it goes up and down or only up.
    pub kind: Kind,
    /// What tells several values of one run apart.
    pub label: Option<&'static str>,
    /// Its name in Prometheus text, without `_total`.
    pub prometheus: &'static str,
    /// What to multiply with for Prometheus' base unit.
    pub prometheus_factor: f64,
    /// A counter that is read together with this one, of which only values other than 0 are listed.
    pub listed_with: Option<&'static str>,
    /// What it is.
    pub meaning: &'static str,
}

/// Whether a metric goes up and down or only up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A level.
    Gauge,
    /// A count since some start; offers `NAME_rate` per second.
    Counter,
}

/// A thing that is not a number and can be expected.
#[derive(Debug, PartialEq, Eq)]
pub struct FactSpec {
    /// Its name in `--expect`.
    pub name: &'static str,
    /// What it is, with its values.
    pub meaning: &'static str,
}

/// The ending that turns a counter's name into its rate's.
pub const RATE: &str = "_rate";

impl Spec {
    /// The code of this name, the check's own or a common one.
    pub fn code(&self, name: &str) -> Option<&'static Code> {
        self.codes.iter().chain(code::COMMON).find(|code| code.name == name)
    }

    /// What to do when this was found.
    pub fn advice(&self, code: &Code) -> Option<&'static str> {
        let about = self.red.iter().find(|advice| advice.codes.contains(&code.name));
        about.map(|advice| advice.text)
    }

    /// The metric of this name; a rate's name gives its counter.
    pub fn metric(&self, name: &str) -> Option<&'static MetricSpec> {
        let find = |name: &str| self.metrics.iter().find(|metric| metric.name == name);
        find(name).or_else(|| {
            name.strip_suffix(RATE).and_then(find).filter(|metric| metric.kind == Kind::Counter)
        })
    }

    /// The name of the metric that a limit's name stands for: a rate's is its counter's.
    pub fn measured<'n>(&self, name: &'n str) -> &'n str {
        if self.metrics.iter().any(|metric| metric.name == name) {
            return name;
        }
        name.strip_suffix(RATE).unwrap_or(name)
    }

    /// The fact of this name.
    pub fn fact(&self, name: &str) -> Option<&'static FactSpec> {
        self.facts.iter().find(|fact| fact.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::SPECS;

    #[test]
    fn advice_is_about_codes_that_there_are() {
        for spec in SPECS {
            for code in spec.red.iter().flat_map(|advice| advice.codes) {
                assert!(spec.code(code).is_some(), "{}: {code}", spec.name);
            }
        }
    }

    #[test]
    fn a_metric_that_ends_like_a_rate_is_no_rate() {
        for spec in SPECS {
            for metric in spec.metrics {
                assert_eq!(spec.measured(metric.name), metric.name, "{}", spec.name);
                let rate = format!("{}{RATE}", metric.name);
                assert_eq!(spec.measured(&rate), metric.name, "{}", spec.name);
            }
        }
    }
}
