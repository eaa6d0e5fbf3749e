//! From a report to what is said: limits, expectations and `--as` applied, the worst finding on
//! top, the summary made.

use crate::plugin::code;
use crate::plugin::limit::{Expectation, Limit, Range, Remap};
use crate::plugin::report::{Evidence, Finding, Metric, Report};
use crate::plugin::spec::Spec;
use crate::plugin::status::Status;
use crate::plugin::text;

/// What the person who calls a check decides about its findings.
#[derive(Debug, Default)]
pub struct Rules {
    /// By metric name; the last one for a metric wins.
    pub warning: Vec<(String, Range)>,
    /// By metric name; the last one for a metric wins.
    pub critical: Vec<(String, Range)>,
    /// What facts must be.
    pub expect: Vec<Expectation>,
    /// What codes count as.
    pub remaps: Vec<Remap>,
    /// What UNKNOWN exits as.
    pub unknown_as: Option<Status>,
}

/// What the caller wants to know beyond the verdict.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Metrics with limits and facts with expectations, by name; a rate is its counter here.
    pub names: Vec<String>,
    /// Rates of all counters.
    pub rates: bool,
}

impl Asked {
    /// Whether any of these metrics or facts is asked for.
    pub fn any(&self, names: &[&str]) -> bool {
        self.names.iter().any(|asked| names.contains(&asked.as_str()))
    }
}

/// A finished judgement, ready to be printed.
#[derive(Debug)]
pub struct Verdict {
    /// The check.
    pub spec: &'static Spec,
    /// What it looked at.
    pub object: String,
    /// The whole's status.
    pub status: Status,
    /// What the process exits with.
    pub exit: u8,
    /// One sentence, without the check's name and status.
    pub summary: String,
    /// Worst first.
    pub findings: Vec<Finding>,
    /// What was read.
    pub evidence: Vec<Evidence>,
    /// What was measured.
    pub metrics: Vec<Metric>,
    /// The limits that were applied, by metric name.
    limits: Limits,
}

/// The limits of a run, by metric name; the last one for a metric wins.
#[derive(Debug, Default, Clone)]
struct Limits {
    warning: Vec<(String, Range)>,
    critical: Vec<(String, Range)>,
}

/// A metric and its limits.
#[derive(Debug)]
pub struct Measured<'v> {
    /// The metric.
    pub metric: &'v Metric,
    /// The warning limit in force.
    pub warning: Option<Range>,
    /// The critical limit in force.
    pub critical: Option<Range>,
}

impl Rules {
    /// Checks names against the spec: a limit on what does not exist is a usage error.
    pub fn new(
        spec: &'static Spec,
        warning: &[Limit],
        critical: &[Limit],
        expect: Vec<Expectation>,
        remaps: Vec<Remap>,
        unknown_as: Option<Status>,
    ) -> Result<Self, String> {
        let named = |limits: &[Limit]| {
            limits
                .iter()
                .map(|l| Ok((l.metric_name(spec)?, l.range)))
                .collect::<Result<_, String>>()
        };
        if let Some(e) = expect.iter().find(|e| spec.fact(&e.fact).is_none()) {
            return Err(format!("there is no fact '{}' here; see --help", e.fact));
        }
        if let Some(r) = remaps.iter().find(|r| spec.code(&r.code).is_none()) {
            return Err(format!("there is no finding code '{}' here; see --help", r.code));
        }
        Ok(Self {
            warning: named(warning)?,
            critical: named(critical)?,
            expect,
            remaps,
            unknown_as,
        })
    }

    /// Whether a limit is on a rate, so that two readings are needed.
    pub fn need_rates(&self, spec: &Spec) -> bool {
        self.warning.iter().chain(&self.critical).any(|(name, _)| spec.measured(name) != name)
    }

    /// What these rules ask for beyond the verdict.
    pub fn asked(&self, spec: &Spec, rates: bool) -> Asked {
        let limited = self.warning.iter().chain(&self.critical).map(|(name, _)| name.as_str());
        let measured = limited.map(|name| spec.measured(name));
        let expected = self.expect.iter().map(|expectation| expectation.fact.as_str());
        Asked { names: measured.chain(expected).map(str::to_owned).collect(), rates }
    }

    fn limits(&self) -> Limits {
        Limits { warning: self.warning.clone(), critical: self.critical.clone() }
    }
}

impl Limits {
    fn of<'v>(&self, metric: &'v Metric) -> Measured<'v> {
        let last = |limits: &[(String, Range)]| {
            let mut named = limits.iter().rev().filter(|(name, _)| metric.is_named(name));
            named.next().map(|(_, range)| *range)
        };
        Measured { metric, warning: last(&self.warning), critical: last(&self.critical) }
    }
}

impl Verdict {
    /// Applies the rules to a report.
    pub fn of(spec: &'static Spec, report: Report, rules: &Rules) -> Self {
        let Report { object, when_ok, mut findings, evidence, mut metrics, facts, .. } = report;
        // What is of the whole comes first, for what comes last is left out first.
        metrics.sort_by_key(|metric| metric.label.is_some());
        let broken = findings.iter().any(|f| f.status == Status::Critical);
        let limits = rules.limits();
        // A sentence without its object is not complete by itself.
        let whole = || Some(object.clone()).filter(|object| !object.is_empty());
        findings.extend(metrics.iter().filter_map(|metric| {
            let passed = passed_limit(&limits.of(metric))?;
            Some(Finding { object: passed.object.or_else(whole), ..passed })
        }));
        for expectation in &rules.expect {
            let told: Vec<_> = facts.iter().filter(|f| f.name == expectation.fact).collect();
            let wrong = told.iter().filter(|f| !expectation.values.contains(&f.value));
            findings.extend(wrong.map(|f| Finding {
                code: &code::UNEXPECTED,
                status: code::UNEXPECTED.status,
                text: format!("{} is {}, not {}", f.name, f.value, expectation.values.join(" or ")),
                object: f.object.clone().or_else(whole),
            }));
            if told.is_empty() && !broken {
                findings.push(no_value(&expectation.fact));
            }
        }
        if !broken {
            let limited = rules.warning.iter().chain(&rules.critical).map(|(name, _)| name);
            let mut blind: Vec<_> = limited
                // A rate is not there yet in a first run; its counter must be.
                .filter(|name| {
                    let measured = spec.measured(name);
                    !metrics.iter().any(|metric| metric.spec.name == measured)
                })
                .collect();
            blind.sort();
            blind.dedup();
            findings.extend(blind.into_iter().map(|name| no_value(name)));
        }
        for finding in &mut findings {
            finding.status = Remap::apply(&rules.remaps, finding.code, finding.status);
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.status));
        let status = findings.first().map_or(Status::Ok, |finding| finding.status);
        Self {
            spec,
            object,
            status,
            exit: exit_code(status, rules.unknown_as),
            summary: summary(&findings, when_ok),
            findings,
            evidence,
            metrics,
            limits,
        }
    }

    /// What to do about it: for the worst finding first, each advice once.
    pub fn advice(&self) -> Vec<&'static str> {
        let mut advice = Vec::new();
        for finding in self.findings.iter().filter(|finding| finding.status != Status::Ok) {
            advice.extend(self.spec.advice(finding.code).filter(|text| !advice.contains(text)));
        }
        advice
    }

    /// What was measured, with the limits that were applied.
    pub fn measured(&self) -> impl Iterator<Item = Measured<'_>> {
        self.metrics.iter().map(|metric| self.limits.of(metric))
    }

    /// A verdict of one finding: usage errors, timeouts, internal faults.
    pub fn single(
        spec: &'static Spec,
        code: &'static crate::plugin::spec::Code,
        text: String,
        rules: &Rules,
    ) -> Self {
        let mut report = Report::default();
        report.find(code, text);
        let only = Rules {
            remaps: rules.remaps.clone(),
            unknown_as: rules.unknown_as,
            ..Rules::default()
        };
        Self::of(spec, report, &only)
    }

    /// What tells a metric from those of other objects, of this run and of others.
    pub fn labels<'v>(
        &'v self,
        metric: &'v Metric,
    ) -> impl Iterator<Item = (&'static str, &'v str)> {
        let object = self.spec.object_label.map(|key| (key, self.object.as_str()));
        let own = metric.spec.label.zip(metric.label.as_deref());
        object.into_iter().chain(own)
    }

    /// The first line, complete by itself: at most 255 bytes of ASCII.
    pub fn first_line(&self) -> String {
        let line = format!("{} {}: {}", self.spec.title, self.status, self.summary);
        text::cut(text::line(&line), 255)
    }
}

fn exit_code(status: Status, unknown_as: Option<Status>) -> u8 {
    match (status, unknown_as) {
        (Status::Unknown, Some(other)) => other.exit_code(),
        _ => status.exit_code(),
    }
}

fn passed_limit(measured: &Measured) -> Option<Finding> {
    let Measured { metric, warning, critical } = measured;
    let passed = |range: Option<Range>| range.filter(|range| range.alerts(metric.value));
    let (range, status) = match (passed(*critical), passed(*warning)) {
        (Some(range), _) => (range, Status::Critical),
        (None, Some(range)) => (range, Status::Warning),
        (None, None) => return None,
    };
    let unit = match (metric.is_rate, metric.spec.unit) {
        (true, _) => "/s",
        (false, "c") => "",
        (false, unit) => unit,
    };
    Some(Finding {
        code: &code::LIMIT,
        status,
        text: format!("{} is {}{unit}, limit {range}", metric.name(), text::number(metric.value)),
        object: metric.label.clone(),
    })
}

fn no_value(name: &str) -> Finding {
    Finding {
        code: &code::NO_VALUE,
        status: code::NO_VALUE.status,
        text: format!("{name} could not be read here, so it was not compared"),
        object: None,
    }
}

/// As many findings as read well in one line, the worst first; how many more there are.
fn summary(findings: &[Finding], when_ok: String) -> String {
    const READS_WELL: usize = 140;
    let bad: Vec<String> =
        findings.iter().filter(|f| f.status != Status::Ok).map(Finding::clause).collect();
    let Some((first, rest)) = bad.split_first() else { return counted_ok(findings, when_ok) };
    let mut line = first.clone();
    for (i, clause) in rest.iter().enumerate() {
        if line.len() + clause.len() > READS_WELL {
            let more = rest.len() - i;
            return format!("{} (and {more} more)", text::cut(line, 200));
        }
        line.push_str("; ");
        line.push_str(clause);
    }
    line
}

/// An OK that somebody made one with `--as` says so; else it would contradict itself.
fn counted_ok(findings: &[Finding], when_ok: String) -> String {
    match findings.iter().find(|finding| finding.code.status != Status::Ok) {
        Some(finding) => format!("{} (counts as OK by --as)", text::cut(finding.clause(), 200)),
        None => when_ok,
    }
}

impl Finding {
    /// The finding as part of a sentence, with its object in front.
    pub fn clause(&self) -> String {
        match &self.object {
            Some(object) => format!("{object}: {}", self.text),
            None => self.text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::check_ovs_port::{SPEC, code, metric};

    fn rules(warning: &[&str], expect: &[&str], remaps: &[&str]) -> Rules {
        let limits: Vec<Limit> = warning.iter().map(|l| l.parse().expect("limit")).collect();
        let expect = expect.iter().map(|e| e.parse().expect("expectation")).collect();
        let remaps = remaps.iter().map(|r| r.parse().expect("remap")).collect();
        Rules::new(&SPEC, &limits, &[], expect, remaps, None).expect("known names")
    }

    fn two_ports() -> Report {
        let mut report = Report::about("2 ports");
        report.find_on("tap1", code::NO_TAG, "no VLAN tag");
        report.find_on("tap2", code::LINK_DOWN, "link down");
        report
    }

    #[test]
    fn the_worst_finding_is_the_status_and_comes_first() {
        let verdict = Verdict::of(&SPEC, two_ports(), &Rules::default());
        assert_eq!(
            verdict.first_line(),
            "CheckOvsPort CRITICAL: tap2: link down; tap1: no VLAN tag"
        );
        assert_eq!(verdict.exit, 2);
    }

    #[test]
    fn as_changes_what_a_code_counts_as() {
        let verdict = Verdict::of(&SPEC, two_ports(), &rules(&[], &[], &["link-down=ok"]));
        assert_eq!(verdict.first_line(), "CheckOvsPort WARNING: tap1: no VLAN tag");
        assert_eq!(verdict.findings.len(), 2, "what was mapped to OK is still told");
    }

    #[test]
    fn unknown_as_changes_the_exit_code_only() {
        let rules = Rules { unknown_as: Some(Status::Warning), ..Rules::default() };
        let text = "no".to_owned();
        let verdict = Verdict::single(&SPEC, &crate::plugin::code::FORBIDDEN, text, &rules);
        assert_eq!((verdict.status, verdict.exit), (Status::Unknown, 1));
    }

    #[test]
    fn a_limit_alerts_for_each_object_and_a_blind_one_is_unknown() {
        let mut report = Report::about("2 ports");
        report.measure_of("tap1", metric::MTU, 1500.0);
        report.measure_of("tap2", metric::MTU, 9000.0);
        let verdict = Verdict::of(&SPEC, report, &rules(&["mtu=9000:"], &[], &[]));
        assert_eq!(verdict.first_line(), "CheckOvsPort WARNING: tap1: mtu is 1500B, limit 9000:");
        let blind = Verdict::of(&SPEC, Report::default(), &rules(&["mtu=9000:"], &[], &[]));
        assert_eq!(blind.status, Status::Unknown);
    }

    #[test]
    fn an_expectation_that_fails_is_critical_and_an_unread_one_unknown() {
        let mut report = Report::about("tap1");
        report.fact("tag", None, "7");
        let verdict = Verdict::of(&SPEC, report, &rules(&[], &["tag=1,2"], &[]));
        assert_eq!(verdict.first_line(), "CheckOvsPort CRITICAL: tap1: tag is 7, not 1 or 2");
        let blind = Verdict::of(&SPEC, Report::default(), &rules(&[], &["tag=1"], &[]));
        assert_eq!(blind.status, Status::Unknown);
    }

    #[test]
    fn names_that_do_not_exist_are_usage_errors() {
        let limit = |text: &str| vec![text.parse::<Limit>().expect("a limit")];
        let none = Vec::new;
        assert!(Rules::new(&SPEC, &limit("nosuch=1"), &[], none(), vec![], None).is_err());
        assert!(Rules::new(&SPEC, &limit("mtu_rate=1"), &[], none(), vec![], None).is_err());
        assert!(Rules::new(&SPEC, &limit("rx_errors_rate=1"), &[], none(), vec![], None).is_ok());
    }

    #[test]
    fn what_has_a_limit_or_an_expectation_is_asked_for() {
        let asked = rules(&["rx_errors_rate=1"], &["tag=1"], &[]).asked(&SPEC, false);
        assert!(asked.any(&["rx_errors"]) && asked.any(&["mtu", "tag"]));
        assert!(!asked.any(&["mtu", "tx_errors"]));
    }

    #[test]
    fn many_findings_stay_one_readable_line() {
        let mut report = Report::about("300 ports");
        for i in 0..300 {
            report.find_on(&format!("tap{i:03}"), code::LINK_DOWN, "link down");
        }
        let line = Verdict::of(&SPEC, report, &Rules::default()).first_line();
        assert!(line.len() <= 200, "{line}");
        assert!(line.ends_with("more)"), "{line}");
    }
}
