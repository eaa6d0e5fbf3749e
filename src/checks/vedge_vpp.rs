//! VPP itself: it answers, and its startup configuration was run to the end.

use crate::checks::vpp_place::{LifeCodes, MeasureArgs, PlaceArgs, no_answer};
use crate::checks::{Check, without_answer};
use crate::host::process::{self, Depth, Process};
use crate::host::vpp::vitals::{ErrorCounter, Optional, Pool, Startup, Vitals};
use crate::host::vpp::{NoAnswer, Session};
use crate::host::{Host, Trouble, Why};
use crate::manifest::check_vedge_vpp::{SPEC, code, fact, metric};
use crate::plugin;
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::text::{count, span};
use crate::plugin::verdict::Asked;

/// See [`SPEC`].
pub struct VedgeVpp;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where VPP is.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// What is measured.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

const CODES: LifeCodes =
    LifeCodes { no_process: code::NO_PROCESS, refused: code::REFUSED, stopped: code::STOPPED };

/// What was seen of a VPP.
#[derive(Debug)]
pub struct Seen {
    /// What it answered.
    pub vitals: Result<Vitals, NoAnswer>,
    /// Its process, where it can be seen.
    pub process: Option<Process>,
    /// Seconds since the machine was started.
    pub since_boot: f64,
    /// What was asked for beyond the verdict.
    pub extras: Extras,
}

/// What only metrics need; `None` where it was not asked for.
#[derive(Debug, Default)]
pub struct Extras {
    /// Seconds since VPP started, by its own clock.
    pub uptime: Extra<f64>,
    /// Use of the main heap in per cent.
    pub main_heap: Extra<f64>,
    /// Use of the statistics segment in per cent.
    pub stats_segment: Extra<f64>,
    /// Pools of buffers.
    pub buffers: Extra<Vec<Pool>>,
    /// Error counters.
    pub errors: Extra<Vec<ErrorCounter>>,
}

type Extra<T> = Option<Result<Optional<T>, Trouble>>;

impl Check for VedgeVpp {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Seen;

    fn gather(args: &Args, host: &Host) -> Self::Facts {
        Self::gather_asked(args, &Asked::default(), host)
    }

    fn gather_asked(args: &Args, asked: &Asked, host: &Host) -> Self::Facts {
        let place = args.place.place();
        let mut session = Session::new(&place, host);
        let vitals = session.vitals().map_err(|trouble| session.no_answer(trouble));
        let extras = match &vitals {
            Ok(_) => extras(&mut session, asked, args.measure.metrics),
            Err(_) => Extras::default(),
        };
        let pid = session.peer_pid().filter(|_| vitals.is_ok());
        drop(session);
        let process = pid.and_then(|pid| process::look_at(&[pid], Depth::State).remove(&pid));
        Seen { vitals, process, since_boot: host.since_boot(), extras }
    }

    fn judge(seen: &Seen, _args: &Args, past: &Past) -> Report {
        let mut report = Report::about("VPP");
        match &seen.vitals {
            Ok(vitals) => judge_vitals(&mut report, vitals, seen, past),
            Err(no) => {
                let (code, text) = no_answer(no, &CODES);
                report.find(code, text);
            }
        }
        report
    }
}

/// Asks for what stops VPP's workers only where it is wanted.
fn extras(session: &mut Session, asked: &Asked, all: bool) -> Extras {
    let wanted = |specs: &[&plugin::spec::MetricSpec]| {
        all || specs.iter().any(|spec| asked.any(&[spec.name]))
    };
    Extras {
        uptime: wanted(&[metric::UPTIME, metric::RESTARTS]).then(|| session.uptime()),
        main_heap: wanted(&[metric::MAIN_HEAP_USED]).then(|| session.main_heap()),
        stats_segment: wanted(&[metric::STATS_SEGMENT_USED]).then(|| session.stats_segment()),
        buffers: wanted(&[metric::BUFFERS_USED]).then(|| session.buffers()),
        errors: wanted(&[metric::ERRORS, metric::ERROR_COUNT]).then(|| session.error_counters()),
    }
}

fn judge_vitals(report: &mut Report, vitals: &Vitals, seen: &Seen, past: &Past) {
    let milliseconds = (vitals.rtt.as_secs_f64() * 1e6).round() / 1e3;
    let (startup, done) = startup(report, &vitals.startup);
    let workers = vitals.threads.len().saturating_sub(1);
    let uptime = uptime(seen);
    let up = uptime.map(|seconds| format!(", up {}", span(seconds as u64))).unwrap_or_default();
    let version = &vitals.version;
    report.when_ok = format!("VPP {version} answers{up}; {startup}");
    let threads = count(workers, "worker");
    let line = format!(
        "VPP {version}: answered in {milliseconds:.1} ms{up}, {threads}; {startup} \
         (show version, show runtime)"
    );
    if done {
        report.fine(line)
    } else {
        report.note(line)
    }
    report.fact(fact::VERSION.name, None, version.clone());
    report.measure(metric::RTT, milliseconds);
    if vitals.startup.is_ok() {
        report.measure(metric::WORKERS, workers as f64);
    }
    for thread in &vitals.threads {
        report.measure_of(&thread.name, metric::VECTOR_RATE, thread.vector_rate);
        report.measure_of(&thread.name, metric::LOOPS, thread.loops);
    }
    report.measure(metric::UPTIME, uptime.map(f64::floor));
    restarts(report, uptime, seen.since_boot, past);
    measure(report, &seen.extras);
}

/// What is said of the startup configuration, and whether it is in order.
fn startup(report: &mut Report, startup: &Result<Startup, Trouble>) -> (String, bool) {
    match startup {
        Ok(Startup::Done) => {
            report.fact(fact::STARTUP.name, None, "done");
            ("startup-config is done".to_owned(), true)
        }
        Ok(Startup::Running(state)) => {
            report.fact(fact::STARTUP.name, None, "running");
            let text = format!("startup-config has not finished (its process: {state})");
            report.find(code::STARTING, format!("VPP answers, but its {text}"));
            (text, false)
        }
        Ok(Startup::NotVisible) => {
            report.fact(fact::STARTUP.name, None, "not-visible");
            ("startup-config is not visible (runtime was cleared)".to_owned(), true)
        }
        Err(trouble) => {
            let (code, text) = without_answer(trouble, "");
            report.find(code, text);
            ("startup-config could not be seen".to_owned(), false)
        }
    }
}

/// By VPP's own clock where it was asked, else by the age of its process.
fn uptime(seen: &Seen) -> Option<f64> {
    match &seen.extras.uptime {
        Some(Ok(Ok(seconds))) => Some(*seconds),
        _ => seen.process.as_ref().map(|process| process.age as f64),
    }
}

/// A restart shows as a start that is later than the one remembered. Clocks of VPP drift by parts
/// in a thousand at the most, and its process is seconds older than its clock.
fn restarts(report: &mut Report, uptime: Option<f64>, since_boot: f64, past: &Past) {
    const SLACK: f64 = 5.0;
    const START: &str = "start";
    let Some(uptime) = uptime else { return };
    let started = since_boot - uptime;
    let same = past.value(START).filter(|before| started <= before + SLACK + uptime / 1000.0);
    let restarted = past.value(START).is_some() && same.is_none();
    report.measure(metric::RESTARTS, f64::from(u8::from(restarted)));
    if restarted {
        report.note(format!("VPP was restarted since the last run, {} ago", span(uptime as u64)));
    }
    // The first estimate is kept, so that the file is not written in each run.
    report.remember.push((START.to_owned(), same.unwrap_or(started)));
}

fn measure(report: &mut Report, extras: &Extras) {
    let heap = known(report, &extras.main_heap).copied();
    report.measure(metric::MAIN_HEAP_USED, heap);
    let segment = known(report, &extras.stats_segment).copied();
    report.measure(metric::STATS_SEGMENT_USED, segment);
    known(report, &extras.uptime);
    for pool in known(report, &extras.buffers).into_iter().flatten() {
        let used = (pool.total > 0).then(|| pool.used as f64 / pool.total as f64 * 100.0);
        report.measure_of(&pool.name, metric::BUFFERS_USED, used);
    }
    if let Some(counters) = known(report, &extras.errors) {
        let all = counters.iter().fold(0, |sum: u64, counter| sum.saturating_add(counter.count));
        report.measure(metric::ERRORS, all as f64);
        for counter in counters {
            report.measure_of(&counter.name, metric::ERROR_COUNT, counter.count as f64);
        }
    }
}

/// What was read for a metric. Not to understand it leaves the metric out and is told; not to get
/// an answer is a finding like any other.
fn known<'e, T>(report: &mut Report, extra: &'e Extra<T>) -> Option<&'e T> {
    match extra.as_ref()? {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(missing)) => report.note(missing.clone()),
        Err(trouble) if matches!(trouble.why, Why::Unreadable(_)) => {
            report.note(trouble.to_string());
        }
        // One silence is told once, whatever else was to be asked after it.
        Err(trouble) => {
            let (code, text) = without_answer(trouble, "");
            if !report.findings.iter().any(|finding| finding.text == text) {
                report.find(code, text);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::vpp::vitals::Thread;
    use crate::plugin::status::Status;
    use std::time::Duration;

    fn seen(startup: Result<Startup, Trouble>) -> Seen {
        let thread = |name: &str| Thread { name: name.into(), vector_rate: Some(1.5), loops: None };
        let vitals = Vitals {
            version: "25.10-release".into(),
            rtt: Duration::from_micros(400),
            startup,
            threads: vec![thread("vpp_main"), thread("vpp_wk_0")],
        };
        let (process, extras) = (None, Extras::default());
        Seen { vitals: Ok(vitals), process, since_boot: 1000.0, extras }
    }

    fn judged(seen: Seen, past: &Past) -> Report {
        let args =
            Args { place: PlaceArgs { socket: None }, measure: MeasureArgs { metrics: false } };
        VedgeVpp::judge(&seen, &args, past)
    }

    fn codes(report: &Report) -> Vec<&'static str> {
        report.findings.iter().map(|finding| finding.code.name).collect()
    }

    fn value(report: &Report, name: &str) -> Option<f64> {
        report.metrics.iter().find(|metric| metric.spec.name == name).map(|metric| metric.value)
    }

    fn trouble(why: Why) -> Trouble {
        Trouble { whom: "VPP (/run/vpp/cli.sock)".into(), why }
    }

    #[test]
    fn each_end_of_the_start_has_its_status() {
        for (startup, status) in [
            (Ok(Startup::Done), Status::Ok),
            (Ok(Startup::NotVisible), Status::Ok),
            (Ok(Startup::Running("any wait".into())), Status::Warning),
            (Err(trouble(Why::Unreadable("banner".into()))), Status::Unknown),
            (Err(trouble(Why::Silent(Duration::from_secs(9)))), Status::Critical),
            (Err(trouble(Why::HungUp)), Status::Critical),
        ] {
            let seen = seen(startup);
            let said = format!("{:?}", seen.vitals);
            assert_eq!(judged(seen, &Past::default()).status(), status, "{said}");
        }
    }

    #[test]
    fn a_vpp_that_does_not_answer_is_judged_by_why() {
        for (why, code) in [
            (Why::Absent, "no-process"),
            (Why::Refused, "refused"),
            (Why::Forbidden, "forbidden"),
            (Why::Silent(Duration::from_secs(9)), "timeout"),
            (Why::HungUp, "timeout"),
            (Why::Unreadable("SSH".into()), "unreadable"),
        ] {
            let mut seen = seen(Ok(Startup::Done));
            seen.vitals = Err(NoAnswer { trouble: trouble(why), process: None });
            assert_eq!(codes(&judged(seen, &Past::default())), [code]);
        }
    }

    #[test]
    fn a_later_start_is_a_restart_and_drift_is_none() {
        let at = |uptime: f64, before: Option<f64>| {
            let mut seen = seen(Ok(Startup::Done));
            seen.since_boot = 100_000.0;
            seen.extras.uptime = Some(Ok(Ok(uptime)));
            let mut first = Report::default();
            first.remember.extend(before.map(|start| ("start".to_owned(), start)));
            let report = judged(seen, &Past::of(&first));
            (value(&report, "restarts"), report.remember[0].1)
        };
        assert_eq!(at(90_000.0, None), (Some(0.0), 10_000.0));
        assert_eq!(at(90_000.0, Some(10_003.0)), (Some(0.0), 10_003.0), "no new file for drift");
        assert_eq!(at(89_950.0, Some(10_000.0)), (Some(0.0), 10_000.0));
        assert_eq!(at(60.0, Some(10_000.0)), (Some(1.0), 99_940.0));
    }

    #[test]
    fn what_only_a_metric_needs_is_a_line_where_it_is_not_understood() {
        let mut odd = seen(Ok(Startup::Done));
        odd.extras.main_heap = Some(Ok(Err("`show memory' is not understood here".into())));
        odd.extras.errors = Some(Err(trouble(Why::Unreadable("x".into()))));
        let report = judged(odd, &Past::default());
        assert_eq!((report.status(), value(&report, "main_heap_used")), (Status::Ok, None));
        assert_eq!(report.evidence.iter().filter(|evidence| !evidence.fine).count(), 2);
        // Silence is one finding, however much was to be asked after it.
        let mut silent = seen(Ok(Startup::Done));
        silent.extras.main_heap = Some(Err(trouble(Why::Silent(Duration::from_secs(1)))));
        silent.extras.errors = Some(Err(trouble(Why::Silent(Duration::from_secs(1)))));
        assert_eq!(codes(&judged(silent, &Past::default())), ["timeout"]);
    }

    #[test]
    fn workers_are_the_threads_beside_the_main_one() {
        let report = judged(seen(Ok(Startup::Done)), &Past::default());
        assert_eq!(value(&report, "workers"), Some(1.0));
    }
}
