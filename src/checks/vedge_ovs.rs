//! Open vSwitch itself: alive is what answers, not what `ps` lists.

use crate::checks::Check;
use crate::checks::ovs_life::{self, LifeCodes};
use crate::checks::ovs_place::PlaceArgs;
use crate::host::Host;
use crate::host::ovs::daemon::Daemon;
use crate::host::ovs::vitals::Vitals;
use crate::manifest::check_vedge_ovs::{SPEC, code, fact, metric};
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::status::Status;
use crate::plugin::text::{count, span};
use std::time::Duration;

/// See [`SPEC`].
pub struct VedgeOvs;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where Open vSwitch is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

const CODES: LifeCodes =
    LifeCodes { no_process: code::NO_PROCESS, stopped: code::STOPPED, refused: code::REFUSED };

/// A daemon that crashed is watched for this long after it was restarted.
const UNEASY: u64 = 3600;

impl Check for VedgeOvs {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Result<Vitals, String>;

    fn gather(args: &Args, host: &Host) -> Self::Facts {
        args.place.place().map(|place| host.ovs_vitals(&place))
    }

    fn judge(facts: &Self::Facts, _args: &Args, past: &Past) -> Report {
        let mut report = Report::about("Open vSwitch");
        match facts {
            Ok(vitals) => judge_vitals(&mut report, vitals, past),
            Err(why) => report.find(&crate::plugin::code::USAGE, why.clone()),
        }
        report
    }
}

fn judge_vitals(report: &mut Report, vitals: &Vitals, past: &Past) {
    let Vitals { vswitchd, ovsdb, database, server } = vitals;
    for daemon in [vswitchd, ovsdb] {
        if let Some((code, text)) = ovs_life::life(daemon, &CODES) {
            report.find(code, text);
        }
        crashes(report, daemon, past);
        ovs_life::evidence(report, daemon);
        measure(report, daemon);
    }
    let server_is_red =
        ovs_life::life(ovsdb, &CODES).is_some_and(|(code, _)| code.status == Status::Critical);
    match database {
        Ok(database) => judge_database(report, database),
        // Where its server is already found dead or hung, this is the same fault.
        Err(_) if server_is_red => {}
        Err(trouble) => {
            let (code, text) = ovs_life::database_trouble(trouble, server.as_ref(), &CODES);
            report.find(code, text);
        }
    }
    if let Ok(answer) = &vswitchd.answer {
        report.fact(fact::VERSION.name, None, answer.version.clone());
        let up = vswitchd.process.as_ref().map(|p| format!(", up {}", span(p.age)));
        report.when_ok = format!(
            "Open vSwitch {} answers{}; both daemons and the database live",
            answer.version,
            up.unwrap_or_default()
        );
    }
    if vswitchd.process.is_some() {
        let monitor = if vswitchd.monitor.is_some() { "yes" } else { "no" };
        report.fact(fact::MONITOR.name, None, monitor);
    }
}

/// The monitor's title never forgets a crash, so the title alone is no alarm: it is one for an
/// hour, and in the first run that sees another number than the run before.
fn crashes(report: &mut Report, daemon: &Daemon, past: &Past) {
    let leftovers = daemon.leftovers;
    if leftovers > 0 && daemon.answer.is_ok() {
        let files = count(leftovers, "control socket");
        report.find(
            code::UNCLEAN_EXIT,
            format!("{files} of earlier {} processes that did not end cleanly", daemon.name),
        );
    }
    let Some(monitor) = &daemon.monitor else { return };
    let seen = monitor.crashes as f64;
    let key = format!("crashes/{}", daemon.name);
    let before = past.value(&key);
    let changed = before.is_some_and(|before| (before - seen).abs() > 0.5);
    let young = daemon.process.as_ref().is_some_and(|p| p.age < UNEASY);
    if monitor.crashes > 0 && (young || changed) {
        let up = daemon.process.as_ref().map_or_else(String::new, |p| span(p.age));
        let crashes = if monitor.crashes == 1 { "crash" } else { "crashes" };
        report.find(
            code::CRASHED,
            format!("{} had {} {crashes}, up again for {up}", daemon.name, monitor.crashes),
        );
    }
    report.remember.push((key, seen));
}

fn judge_database(report: &mut Report, database: &crate::host::ovs::vitals::Database) {
    let rtt = milliseconds(database.rtt);
    report.measure_of("database", metric::RTT, rtt);
    let behind = database.next_cfg.saturating_sub(database.cur_cfg);
    if let Some(lag) = database.lag {
        let lag = lag.as_secs_f64();
        let text = format!("ovs-vswitchd is {behind} changes behind the database for {lag:.1} s");
        report.find(code::CONFIG_LAG, text);
    }
    let line = format!(
        "database: answered in {rtt:.1} ms, next_cfg {}, cur_cfg {}",
        database.next_cfg, database.cur_cfg
    );
    if database.lag.is_none() { report.fine(line) } else { report.note(line) }
}

fn measure(report: &mut Report, daemon: &Daemon) {
    let name = daemon.name;
    if let Ok(answer) = &daemon.answer {
        report.measure_of(name, metric::RTT, milliseconds(answer.rtt));
        report.measure_of(name, metric::LONG_POLLS, answer.long_polls().map(|n| n as f64));
    }
    if let Some(process) = &daemon.process {
        report.measure_of(name, metric::UPTIME, process.age as f64);
        report.measure_of(name, metric::MEMORY, process.memory as f64);
    }
    let crashes = daemon.monitor.as_ref().map(|monitor| monitor.crashes as f64);
    report.measure_of(name, metric::CRASHES, crashes);
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ovs::daemon::{Answer, Monitor};
    use crate::host::ovs::vitals;
    use crate::host::pidfile::{Holder, PidFile};
    use crate::host::process::{Process, State};
    use crate::host::{Trouble, Why};

    fn process(state: State, age: u64) -> Process {
        Process {
            pid: 7,
            parent: Some(6),
            name: "x".into(),
            state,
            started: 0,
            age,
            memory: 1,
            title: "x".into(),
        }
    }

    fn daemon(name: &'static str) -> Daemon {
        Daemon {
            name,
            pidfile: Ok(PidFile {
                path: format!("/run/{name}.pid").into(),
                written: Some(7),
                holder: Holder::Process(7),
            }),
            process: Some(process(State::Alive, 100_000)),
            ..Daemon::alive()
        }
    }

    fn healthy() -> Vitals {
        Vitals {
            vswitchd: daemon("ovs-vswitchd"),
            ovsdb: daemon("ovsdb-server"),
            database: Ok(vitals::Database {
                rtt: Duration::from_micros(300),
                next_cfg: 5,
                cur_cfg: 5,
                lag: None,
            }),
            server: None,
        }
    }

    fn trouble(why: Why) -> Trouble {
        Trouble { whom: "it".into(), why }
    }

    fn codes(vitals: Vitals) -> Vec<&'static str> {
        codes_after(vitals, &Past::default())
    }

    fn codes_after(vitals: Vitals, past: &Past) -> Vec<&'static str> {
        let args = Args { place: PlaceArgs { rundir: None, db: None } };
        let report = VedgeOvs::judge(&Ok(vitals), &args, past);
        report.findings.iter().map(|finding| finding.code.name).collect()
    }

    #[test]
    fn all_answer_is_ok() {
        assert!(codes(healthy()).is_empty());
    }

    #[test]
    fn a_daemon_without_an_answer_is_judged_by_what_else_is_seen() {
        let silent = || Err(trouble(Why::Silent(Duration::from_secs(1))));
        let nobody = |d: &mut Daemon| {
            d.pidfile.as_mut().expect("a pid file").holder = Holder::Nobody;
            d.process = None;
        };
        let none = |d: &mut Daemon| {
            d.pidfile = Err(trouble(Why::Absent));
            d.process = None;
        };
        type Case = (&'static str, fn(&mut Daemon), Result<Answer, Trouble>);
        let cases: Vec<Case> = vec![
            ("stopped", |d| d.process = Some(process(State::Stopped, 1)), silent()),
            ("stopped", |d| d.process = Some(process(State::Traced, 1)), silent()),
            ("no-process", |d| d.process = Some(process(State::Dead, 1)), silent()),
            ("timeout", |_| {}, silent()),
            ("timeout", |d| d.process = Some(process(State::Stuck, 1)), silent()),
            ("no-process", nobody, Err(trouble(Why::Refused))),
            ("no-process", nobody, Err(trouble(Why::Absent))),
            ("no-process", none, Err(trouble(Why::Absent))),
            ("no-process", none, Err(trouble(Why::Refused))),
            ("no-process", nobody, Err(trouble(Why::Forbidden))),
            ("refused", |_| {}, Err(trouble(Why::Refused))),
            ("forbidden", |_| {}, Err(trouble(Why::Forbidden))),
            ("forbidden", none, Err(trouble(Why::Forbidden))),
            (
                "stopped",
                |d| d.process = Some(process(State::Stopped, 1)),
                Err(trouble(Why::Forbidden)),
            ),
            ("unreadable", |_| {}, Err(trouble(Why::Unreadable("SSH".into())))),
        ];
        for (code, change, answer) in cases {
            let mut vitals = healthy();
            change(&mut vitals.vswitchd);
            vitals.vswitchd.answer = answer;
            let seen = format!("{:?}", vitals.vswitchd);
            assert_eq!(codes(vitals), [code], "{seen}");
        }
    }

    #[test]
    fn an_answer_outranks_a_missing_lock_and_a_pid_of_another_namespace() {
        for holder in [Holder::Nobody, Holder::Unseen] {
            let mut vitals = healthy();
            vitals.vswitchd.pidfile.as_mut().expect("a pid file").holder = holder;
            vitals.vswitchd.process = None;
            assert!(codes(vitals).is_empty(), "{holder:?}");
        }
    }

    #[test]
    fn a_crash_is_told_for_an_hour_and_once_after() {
        let crashed = |age, crashes| {
            let mut vitals = healthy();
            vitals.vswitchd.monitor = Some(Monitor { crashes, title: "t".into() });
            vitals.vswitchd.process = Some(process(State::Alive, age));
            vitals
        };
        let remembered = |n: f64| {
            let mut report = Report::default();
            report.remember.push(("crashes/ovs-vswitchd".into(), n));
            Past::of(&report)
        };
        assert!(codes(crashed(10, 0)).is_empty());
        assert_eq!(codes(crashed(10, 1)), ["crashed"]);
        assert!(codes(crashed(7200, 1)).is_empty());
        assert_eq!(codes_after(crashed(7200, 2), &remembered(1.0)), ["crashed"]);
        assert!(codes_after(crashed(7200, 2), &remembered(2.0)).is_empty());
    }

    #[test]
    fn leftovers_are_told_but_are_no_alarm() {
        let mut vitals = healthy();
        vitals.vswitchd.leftovers = 2;
        let args = Args { place: PlaceArgs { rundir: None, db: None } };
        let report = VedgeOvs::judge(&Ok(vitals), &args, &Past::default());
        assert_eq!(report.status(), Status::Ok);
        assert_eq!(report.findings.len(), 1);
    }

    #[test]
    fn a_database_that_is_not_followed_is_a_warning() {
        let mut vitals = healthy();
        vitals.database.as_mut().expect("a database").lag = Some(Duration::from_secs(2));
        assert_eq!(codes(vitals), ["config-lag"]);
    }

    #[test]
    fn one_fault_of_the_server_is_told_once() {
        let mut vitals = healthy();
        vitals.ovsdb.answer = Err(trouble(Why::Silent(Duration::from_secs(1))));
        vitals.ovsdb.process = Some(process(State::Stopped, 1));
        vitals.database = Err(trouble(Why::Silent(Duration::from_secs(1))));
        assert_eq!(codes(vitals), ["stopped"]);
    }
}
