//! Whether a domain of libvirt runs, and why it is not known: told by the codes of the check that
//! asks.

use crate::checks::without_answer;
use crate::host::libvirt::state::State;
use crate::host::libvirt::{Answer, Asked, Cause, Domain, Refusal};
use crate::host::process::{self, Process};
use crate::host::{Trouble, Why};
use crate::plugin::code::{FORBIDDEN, TIMEOUT};
use crate::plugin::spec::Code;

/// The codes a check has for what can be wrong with a domain, and with libvirt.
pub(super) struct DomainCodes {
    pub(super) absent: &'static Code,
    pub(super) crashed: &'static Code,
    pub(super) paused: &'static Code,
    pub(super) io_error: &'static Code,
    pub(super) blocked: &'static Code,
    pub(super) pmsuspended: &'static Code,
    pub(super) in_shutdown: &'static Code,
    pub(super) shut_off: &'static Code,
    pub(super) migration_failed: &'static Code,
    /// libvirt has no state for it, or one without a name.
    pub(super) no_state: &'static Code,
    /// libvirt does not run.
    pub(super) no_process: &'static Code,
    /// libvirt or the domain's process is stopped.
    pub(super) stopped: &'static Code,
    /// libvirt's process exists but nobody listens.
    pub(super) refused: &'static Code,
    /// libvirt answered with an error.
    pub(super) error: &'static Code,
}

type Fault = (&'static Code, String);

/// What an unprivileged caller can do to be allowed to ask.
const REMEDY: &str = "put the check's user into the group libvirt, or run the check as root";

/// Why nothing is known of a domain; `None` where it is known. `own` is whether the caller named the
/// socket.
pub(super) fn unknown(asked: &Asked, name: &str, own: bool, codes: &DomainCodes) -> Option<Fault> {
    Some(match &asked.answer {
        Ok(Answer::Domain(_)) => return None,
        Ok(Answer::Absent) => (codes.absent, format!("libvirt knows no domain {name}")),
        Ok(Answer::Refused(Refusal { message, cause })) => match cause {
            Cause::Rights => {
                (&FORBIDDEN, format!("libvirt: permission denied: {message}; {REMEDY}"))
            }
            Cause::DriverDead => (
                codes.no_process,
                format!("libvirt's proxy answers, its driver does not: {message}"),
            ),
            Cause::Other => (codes.error, format!("libvirt: {message}")),
        },
        Err(trouble) => no_answer(trouble, asked, name, own, codes),
    })
}

/// Why libvirt said nothing. A guest lives on without it, which is told where it is seen.
fn no_answer(
    trouble: &Trouble,
    asked: &Asked,
    name: &str,
    own: bool,
    codes: &DomainCodes,
) -> Fault {
    let daemon = asked.daemon.as_ref();
    let (code, text) = match (&trouble.why, daemon) {
        (Why::Absent, _) => {
            (codes.no_process, format!("libvirt does not run: {}", no_socket(asked, own)))
        }
        (Why::Refused, None) => {
            let socket = asked.socket.display();
            (codes.no_process, format!("libvirt is dead and left its socket behind ({socket})"))
        }
        (Why::Refused, Some(daemon)) => {
            let text = format!("{} runs but nobody listens: {trouble}", named(daemon));
            (codes.refused, text)
        }
        (Why::Silent(_), Some(daemon)) if daemon.state.cannot_answer() => {
            (codes.stopped, format!("{} {}", named(daemon), daemon.state.clause()))
        }
        (why @ Why::Silent(_), Some(daemon)) => {
            (&TIMEOUT, format!("{} is hung: {why}", named(daemon)))
        }
        _ => without_answer(trouble, REMEDY),
    };
    let alive = asked.process.as_ref().map(|process| {
        format!("; {name}'s process (pid {}) {}", process.pid, process.state.clause())
    });
    (code, text + &alive.unwrap_or_default())
}

fn no_socket(asked: &Asked, own: bool) -> String {
    match (own, asked.socket.parent()) {
        (false, Some(dir)) => format!("no socket in {}", dir.display()),
        _ => format!("no {}", asked.socket.display()),
    }
}

pub(super) fn named(process: &Process) -> String {
    format!("{} (pid {})", process.name, process.pid)
}

/// What keeps a domain from running, as the end of a sentence about it.
pub(super) fn fault(domain: &Domain, codes: &DomainCodes) -> Option<Fault> {
    let state = domain.state;
    let is = || format!("is {state}{}", why(domain));
    // A crash is one, whatever is left of the domain.
    let crashed = domain.reason.word == "crashed";
    Some(match state {
        State::Running if domain.reason.word == "post-copy-failed" => {
            (codes.migration_failed, is())
        }
        State::Running => return None,
        State::Paused | State::ShutOff if crashed => (codes.crashed, is()),
        State::Paused => match domain.reason.word {
            "io-error" => (codes.io_error, is()),
            "post-copy-failed" => (codes.migration_failed, is()),
            _ => (codes.paused, is()),
        },
        State::Blocked => (codes.blocked, "is blocked: idle, or waits for a resource".to_owned()),
        State::ShuttingDown => (codes.in_shutdown, format!("is shutting down{}", why(domain))),
        State::ShutOff => (codes.shut_off, is()),
        State::Crashed => (codes.crashed, format!("has crashed{}", why(domain))),
        State::PmSuspended => (codes.pmsuspended, "was suspended by its guest".to_owned()),
        State::NoState => (codes.no_state, "has no state in libvirt".to_owned()),
        State::Other(number) => {
            (codes.no_state, format!("is in state {number}, which this check has no name for"))
        }
    })
}

pub(super) fn why(domain: &Domain) -> String {
    let clause = domain.reason.clause;
    if clause.is_empty() { String::new() } else { format!(" ({clause})") }
}

/// A process that does nothing while libvirt takes its domain for running.
pub(super) fn lifeless(process: &Process, codes: &DomainCodes) -> Fault {
    let code = if process.state == process::State::Dead { codes.crashed } else { codes.stopped };
    (code, format!("its process (pid {}) {}", process.pid, process.state.clause()))
}
