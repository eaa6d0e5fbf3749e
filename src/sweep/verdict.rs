//! What is said of the whole: each object that is not OK with its sentence, the worst first, and how
//! many there are of each status.

use crate::host::Host;
use crate::plugin::entry::{Said, unknown_as_of};
use crate::plugin::format::{self, Format, Style};
use crate::plugin::report::{Finding, Report};
use crate::plugin::spec::{Code, Kind, MetricSpec, Spec};
use crate::plugin::status::Status;
use crate::plugin::text::{self, count};
use crate::plugin::verdict::{Rules, Verdict};
use crate::sweep::agent::{Agent, Delivered, Event, Fate, Point};
use crate::sweep::crew::{Answer, Silence};
use crate::sweep::plan::Planned;
use serde_json::Value;
use std::cmp::Reverse;
use std::ffi::OsString;
use std::time::Duration;

const CRITICAL: Code = Code {
    name: "object-critical",
    status: Status::Critical,
    meaning: "an object is broken, or its check did not end in time",
};
const WARNING: Code =
    Code { name: "object-warning", status: Status::Warning, meaning: "an object is degraded" };
const UNKNOWN: Code = Code {
    name: "object-unknown",
    status: Status::Unknown,
    meaning: "an object could not be looked at, or the plan has no call for it",
};

const UNDELIVERED: Code = Code {
    name: "undelivered",
    status: Status::Critical,
    meaning: "the Sensu agent did not take all results",
};
const REFUSED: Code = Code {
    name: "refused",
    status: Status::Warning,
    meaning: "the Sensu agent will not have a result",
};

const fn gauge(name: &'static str, prometheus: &'static str, meaning: &'static str) -> MetricSpec {
    MetricSpec {
        name,
        unit: "",
        kind: Kind::Gauge,
        label: None,
        prometheus,
        prometheus_factor: 1.0,
        listed_with: None,
        meaning,
    }
}

static METRICS: [MetricSpec; 7] = [
    gauge("objects", "calipso_sweep_objects", "objects of the plan"),
    gauge("ok", "calipso_sweep_ok", "objects that are OK"),
    gauge("warning", "calipso_sweep_warning", "objects that are WARNING"),
    gauge("critical", "calipso_sweep_critical", "objects that are CRITICAL"),
    gauge("unknown", "calipso_sweep_unknown", "objects that are UNKNOWN"),
    gauge("delivered", "calipso_sweep_delivered", "objects whose results the Sensu agent has"),
    MetricSpec {
        unit: "s",
        ..gauge("duration", "calipso_sweep_duration_seconds", "how long the sweep took")
    },
];

/// The sweep as what it says is written: it is no check of the manifest, but talks like one.
pub static SPEC: Spec = Spec {
    name: "calipso-sweep",
    title: "CalipsoSweep",
    sentence: "Every object of a plan is OK",
    red: &[],
    details: "",
    main_metric: None,
    object_label: None,
    remembers: false,
    // Each object's check has its own.
    capabilities: &[],
    codes: &[CRITICAL, WARNING, UNKNOWN, UNDELIVERED, REFUSED],
    metrics: &METRICS,
    facts: &[],
};

impl Answer {
    /// What the object is.
    pub fn status(&self) -> Status {
        match &self.said {
            Ok(said) => said.verdict.status,
            Err(Silence::Stuck) => Status::Critical,
            Err(_) => Status::Unknown,
        }
    }

    /// Why, in one sentence.
    pub fn sentence(&self) -> String {
        match &self.said {
            // The worst alone: how many more there are is counted of objects here.
            Ok(Said { verdict, .. }) => {
                verdict.findings.first().map_or_else(|| verdict.summary.clone(), Finding::clause)
            }
            Err(Silence::NoCall(why)) => format!("no call: {why}"),
            Err(Silence::Stuck) => {
                format!("no verdict within {:.1} s", self.took.as_secs_f64())
            }
            Err(Silence::NotReached) => "not looked at: no time was left".to_owned(),
            Err(Silence::Fault(what)) => what.clone(),
        }
    }

    /// The verdict on an object of which no check said anything, by the words of its command.
    pub fn unsaid(&self, planned: &Planned) -> Verdict {
        let code = code(self.status()).unwrap_or(&UNKNOWN);
        let words: Vec<OsString> = match (&planned.call, planned.definition.get("command")) {
            (Ok(call), _) => call.argv.clone(),
            (Err(_), Some(Value::String(line))) => line.split(' ').map(OsString::from).collect(),
            (Err(_), _) => Vec::new(),
        };
        let rules = Rules { unknown_as: unknown_as_of(&words), ..Rules::default() };
        let text = format!("{}: {}", shown(planned), self.sentence());
        Verdict::single(&SPEC, code, text, &rules)
    }
}

/// A name that leaves room for a sentence behind it.
fn shown(planned: &Planned) -> String {
    const MOST: usize = 80;
    text::cut(text::line(&planned.name), MOST)
}

/// What the objects are, in one report.
pub fn of_objects(plan: &[Planned], answers: &[Answer], took: Duration) -> Report {
    let mut report = Report::about(count(answers.len(), "object"));
    report.when_ok = match answers.len() {
        1 => "1 object is OK".to_owned(),
        all => format!("all {all} objects are OK"),
    };
    for (planned, answer) in plan.iter().zip(answers) {
        match code(answer.status()) {
            Some(code) => report.find_on(&shown(planned), code, answer.sentence()),
            None => report.fine(format!("{}: {}", shown(planned), answer.sentence())),
        }
        advise(&mut report, planned, answer);
    }
    measure(&mut report, answers, None, took);
    report
}

/// Whether an agent has the results, in one report: what the objects are is its business then.
pub fn of_delivery(
    plan: &[Planned],
    answers: &[Answer],
    agent: &Agent,
    delivered: &Delivered,
    took: Duration,
) -> Report {
    let all = count(answers.len(), "object");
    let mut report = Report::about(all.as_str());
    let of = |status| answers.iter().filter(|answer| answer.status() == status).count();
    report.when_ok = format!(
        "{agent} was told of {all}: {} critical, {} warning, {} unknown",
        of(Status::Critical),
        of(Status::Warning),
        of(Status::Unknown)
    );
    let left = |fate: &&Fate| matches!(fate, Fate::InDoubt | Fate::Unsent);
    let left = delivered.fates.iter().filter(left).count();
    if left > 0 || delivered.trouble.is_some() {
        let why = delivered.trouble.as_ref().map(|trouble| format!(": {trouble}"));
        let why = why.unwrap_or_else(|| ": no time was left".to_owned());
        let taken = delivered.taken();
        report.find(&UNDELIVERED, format!("{agent} has {taken} of {all}{why}"));
    }
    for (planned, fate) in plan.iter().zip(&delivered.fates) {
        if let Fate::Refused(why) = fate {
            report.find_on(&shown(planned), &REFUSED, format!("{agent} refused it: {why}"));
        }
    }
    for (planned, answer) in plan.iter().zip(answers) {
        let line = format!("{}: {}: {}", shown(planned), answer.status(), answer.sentence());
        if answer.status() == Status::Ok { report.fine(line) } else { report.note(line) }
    }
    measure(&mut report, answers, Some(delivered), took);
    report
}

const fn code(status: Status) -> Option<&'static Code> {
    match status {
        Status::Ok => None,
        Status::Warning => Some(&WARNING),
        Status::Critical => Some(&CRITICAL),
        Status::Unknown => Some(&UNKNOWN),
    }
}

fn advise(report: &mut Report, planned: &Planned, answer: &Answer) {
    for what in answer.said.iter().flat_map(|said| said.verdict.advice()) {
        report.note(format!("{}: what to do: {what}", shown(planned)));
    }
}

fn measure(report: &mut Report, answers: &[Answer], delivered: Option<&Delivered>, took: Duration) {
    let of = |status| answers.iter().filter(|answer| answer.status() == status).count() as f64;
    let values = [
        Some(answers.len() as f64),
        Some(of(Status::Ok)),
        Some(of(Status::Warning)),
        Some(of(Status::Critical)),
        Some(of(Status::Unknown)),
        delivered.map(|delivered| delivered.taken() as f64),
        Some(took.as_secs_f64()),
    ];
    for (metric, value) in METRICS.iter().zip(values) {
        report.measure(metric, value);
    }
}

/// Tells an agent of each object; of what is not OK first, should there be no time for all.
pub fn deliver(host: &Host, agent: &Agent, plan: &[Planned], answers: &[Answer]) -> Delivered {
    let mut order: Vec<usize> = (0..plan.len()).collect();
    order.sort_by_key(|place| Reverse(answers[*place].status()));
    let events: Vec<Event> =
        order.iter().map(|place| event(&plan[*place], &answers[*place])).collect();
    let Delivered { fates, trouble } = host.deliver(agent, &events);
    let mut by_place: Vec<(usize, Fate)> = order.into_iter().zip(fates).collect();
    by_place.sort_by_key(|(place, _)| *place);
    Delivered { fates: by_place.into_iter().map(|(_, fate)| fate).collect(), trouble }
}

/// The result of one object, as an agent is told of it.
fn event(planned: &Planned, answer: &Answer) -> Event {
    let (status, output) = match &answer.said {
        Ok(said) => (said.verdict.exit, said.text.clone()),
        Err(_) => {
            let verdict = answer.unsaid(planned);
            let style = Style { format: Format::Nagios, verbose: false, max_output: 8192, now: 0 };
            (verdict.exit, format::render(&verdict, style))
        }
    };
    let points = answer.said.iter().flat_map(|said| {
        said.verdict.metrics.iter().map(|metric| {
            let labels = said.verdict.labels(metric);
            Point {
                name: metric.name(),
                value: metric.value,
                timestamp: answer.executed,
                tags: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            }
        })
    });
    Event {
        name: planned.name.clone(),
        status,
        output,
        definition: planned.definition.clone(),
        executed: answer.executed,
        duration: answer.took.as_secs_f64(),
        points: points.collect(),
    }
}
