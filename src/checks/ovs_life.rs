//! Whether a daemon of Open vSwitch lives, from signs of life of different strength: an answer
//! outranks the lock on its pid file, the lock outranks what the kernel says of its process.

use crate::checks::without_answer;
use crate::host::ovs::daemon::Daemon;
use crate::host::pidfile::{Holder, PidFile};
use crate::host::process::Process;
use crate::host::{Trouble, Why};
use crate::plugin::code;
use crate::plugin::report::Report;
use crate::plugin::spec::Code;
use crate::plugin::status::Status;
use crate::plugin::text::span;

/// The codes a check has for what can be wrong with a daemon.
pub(super) struct LifeCodes {
    /// It does not run.
    pub(super) no_process: &'static Code,
    /// It is stopped.
    pub(super) stopped: &'static Code,
    /// It runs but does not listen.
    pub(super) refused: &'static Code,
}

/// What an unprivileged caller can do to be allowed to ask.
pub(super) const REMEDY: &str =
    "give the check cap_dac_override, or run it as root or in the socket's group";

/// What is wrong with a daemon; `None` if it answered.
pub(super) fn life(daemon: &Daemon, codes: &LifeCodes) -> Option<(&'static Code, String)> {
    let trouble = daemon.answer.as_ref().err()?;
    let name = daemon.name;
    if let Some(process) = daemon.process.as_ref().filter(|p| p.state.cannot_answer()) {
        return Some((codes.stopped_or_dead(process), said(name, process)));
    }
    Some(match (&daemon.pidfile, &trouble.why) {
        (_, Why::Forbidden) if !locked(daemon) && !hidden(daemon) => gone(name, codes),
        (_, Why::Forbidden) => without_answer(trouble, REMEDY),
        (_, Why::Silent(_)) => (&code::TIMEOUT, silent(daemon, trouble)),
        (Ok(PidFile { holder: Holder::Nobody, .. }), Why::Absent | Why::Refused) => {
            gone(name, codes)
        }
        (Ok(_), Why::Absent | Why::Refused) => {
            let text = format!("{name}{} runs but nobody listens: {trouble}", pid_words(daemon));
            (codes.refused, text)
        }
        (Err(Trouble { why: Why::Forbidden, .. }), Why::Absent) => {
            let pidfile = daemon.pidfile.as_ref().err().map(ToString::to_string);
            (&code::FORBIDDEN, format!("{}; {REMEDY}", pidfile.unwrap_or_default()))
        }
        (Err(Trouble { why: Why::Absent, whom: pidfile }), Why::Absent) => {
            let dir = pidfile.rsplit_once('/').map_or("", |(dir, _)| dir);
            let text = format!("{name} does not run: no pid file and no control socket in {dir}");
            (codes.no_process, text)
        }
        (Err(pidfile), Why::Absent) => without_answer(pidfile, REMEDY),
        (Err(_), Why::Refused) => gone(name, codes),
        _ => without_answer(trouble, REMEDY),
    })
}

/// Says what is wrong with ovs-vswitchd, and what follows from it. Where it may not be asked, its lock
/// and its process suffice.
pub(super) fn judge(report: &mut Report, vswitchd: &Daemon, codes: &LifeCodes, follows: &str) {
    evidence(report, vswitchd);
    let Some((code, text)) = life(vswitchd, codes) else { return };
    if *code == code::FORBIDDEN && vswitchd.process.is_some() {
        report.fine("ovs-vswitchd may not be asked; its lock and its process show that it runs");
    } else if code.status == Status::Critical {
        report.find(code, format!("{text}; {follows}"));
    } else {
        report.find(code, text);
    }
}

/// The lock on its pid file is held: proof that it exists.
fn locked(daemon: &Daemon) -> bool {
    matches!(&daemon.pidfile, Ok(PidFile { holder: Holder::Process(_) | Holder::Unseen, .. }))
}

/// Nothing can be said of its pid file.
fn hidden(daemon: &Daemon) -> bool {
    daemon.pidfile.is_err()
}

fn gone(name: &str, codes: &LifeCodes) -> (&'static Code, String) {
    (codes.no_process, format!("{name} is dead and left its files behind"))
}

fn silent(daemon: &Daemon, trouble: &Trouble) -> String {
    let doing = daemon.process.as_ref().map(|p| format!(", its process {}", p.state.clause()));
    format!(
        "{}{} is hung: {}{}",
        daemon.name,
        pid_words(daemon),
        trouble.why,
        doing.unwrap_or_default()
    )
}

fn said(name: &str, process: &Process) -> String {
    format!("{name} (pid {}) {}", process.pid, process.state.clause())
}

fn pid_words(daemon: &Daemon) -> String {
    daemon.process.as_ref().map(|p| format!(" (pid {})", p.pid)).unwrap_or_default()
}

impl LifeCodes {
    /// The code for a process that cannot answer.
    pub(super) fn stopped_or_dead(&self, process: &Process) -> &'static Code {
        if process.state == crate::host::process::State::Dead {
            self.no_process
        } else {
            self.stopped
        }
    }
}

/// What is wrong with the database; the state of the process behind it tells more than silence.
pub(super) fn database_trouble(
    trouble: &Trouble,
    server: Option<&Process>,
    codes: &LifeCodes,
) -> (&'static Code, String) {
    match (&trouble.why, server) {
        (Why::Silent(_), Some(process)) if process.state.cannot_answer() => {
            (codes.stopped_or_dead(process), said("ovsdb-server", process))
        }
        (Why::Refused, _) => (codes.refused, format!("no database: {trouble}")),
        (Why::Absent, _) => (codes.no_process, format!("no database: {trouble}")),
        _ => without_answer(trouble, REMEDY),
    }
}

/// What was seen of a daemon, as a line of evidence.
pub(super) fn evidence(report: &mut Report, daemon: &Daemon) {
    let lock = match &daemon.pidfile {
        Ok(PidFile { holder: Holder::Process(pid), .. }) => format!("lock held by pid {pid}"),
        Ok(PidFile { holder: Holder::Unseen, .. }) => {
            "lock held by a process of another pid namespace".to_owned()
        }
        Ok(PidFile { holder: Holder::Nobody, .. }) => "pid file not locked".to_owned(),
        Err(trouble) => trouble.to_string(),
    };
    let answer = match &daemon.answer {
        Ok(answer) => {
            let milliseconds = answer.rtt.as_secs_f64() * 1000.0;
            format!("{}: {} answered in {milliseconds:.1} ms", daemon.name, answer.version)
        }
        Err(trouble) => trouble.to_string(),
    };
    let process = match &daemon.process {
        Some(process) => format!("process {}, up {}", process.state.clause(), span(process.age)),
        None => "process not seen".to_owned(),
    };
    let line = format!("{answer}; {lock}; {process}");
    if daemon.answer.is_ok() {
        report.fine(line)
    } else {
        report.note(line)
    }
    if let Some(monitor) = &daemon.monitor {
        report.fine(format!("monitor: {}", monitor.title));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::process::State;
    use crate::manifest::check_ovs_port::code;

    #[test]
    fn what_follows_is_told_of_the_dead_and_a_held_lock_is_life_enough() {
        let said = |why: Why, process: Option<Process>| {
            let mut vswitchd = Daemon::alive();
            let pidfile = PidFile { path: "/p".into(), written: None, holder: Holder::Process(7) };
            vswitchd.answer = Err(Trouble { whom: "it".into(), why });
            (vswitchd.pidfile, vswitchd.process) = (Ok(pidfile), process);
            let mut report = Report::default();
            let codes = LifeCodes {
                no_process: code::NO_PROCESS,
                stopped: code::STOPPED,
                refused: code::REFUSED,
            };
            judge(&mut report, &vswitchd, &codes, "all is stale");
            report.findings.into_iter().map(|finding| finding.text).collect::<Vec<_>>()
        };
        let process = || {
            let (state, name, title) = (State::Alive, "x".into(), "x".into());
            Process { pid: 7, parent: None, name, state, started: 0, age: 1, memory: 1, title }
        };
        let dead = ["ovs-vswitchd runs but nobody listens: it: nobody listens; all is stale"];
        assert_eq!(said(Why::Refused, None), dead);
        assert_eq!(said(Why::Forbidden, None), [format!("it: {}; {REMEDY}", Why::Forbidden)]);
        assert_eq!(said(Why::Forbidden, Some(process())), [""; 0]);
    }
}
