//! A domain of libvirt: what libvirt says of it, and whether the process behind it lives.

use crate::checks::Check;
use crate::checks::domain::{self, DomainCodes};
use crate::checks::libvirt_place::PlaceArgs;
use crate::host::Host;
use crate::host::libvirt::{Answer, Asked, Domain, Figures, Wanted};
use crate::host::process::Process;
use crate::manifest::check_vm::{SPEC, code, fact, metric};
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::text::span;

/// See [`SPEC`].
pub struct Vm;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(mut_arg("uri", |arg| arg.help("What libvirt is asked to open, on this machine")))]
#[command(mut_arg("socket", |arg| arg.help(SOCKET_HELP)))]
pub struct Args {
    /// The domain's name or UUID, as `virsh list --all` shows it
    #[arg(value_name = "NAME|UUID")]
    pub domain: Wanted,
    /// Where libvirt is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

const SOCKET_HELP: &str =
    "Its socket [default: in /run/libvirt, virtqemud-sock-ro or libvirt-sock-ro]";

const CODES: DomainCodes = DomainCodes {
    absent: code::ABSENT,
    crashed: code::CRASHED,
    paused: code::PAUSED,
    io_error: code::IO_ERROR,
    blocked: code::BLOCKED,
    pmsuspended: code::PMSUSPENDED,
    in_shutdown: code::IN_SHUTDOWN,
    shut_off: code::SHUT_OFF,
    migration_failed: code::MIGRATION_FAILED,
    no_state: code::NO_STATE,
    no_process: code::NO_PROCESS,
    stopped: code::STOPPED,
    refused: code::REFUSED,
    error: code::ERROR,
};

impl Check for Vm {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Asked;

    fn gather(args: &Args, host: &Host) -> Self::Facts {
        host.domain(&args.place.place(), &args.domain)
    }

    fn judge(asked: &Asked, args: &Args, past: &Past) -> Report {
        let mut report = Report::about(args.domain.as_str());
        judge_asked(&mut report, asked, args, past);
        report
    }
}

fn judge_asked(report: &mut Report, asked: &Asked, args: &Args, past: &Past) {
    if let Ok(Answer::Domain(domain)) = &asked.answer {
        judge_domain(report, domain, asked, past);
    } else if let Some((code, text)) =
        domain::unknown(asked, args.domain.as_str(), args.place.socket.is_some(), &CODES)
    {
        report.find(code, text);
    }
    let rtt = asked.rtt.map(|rtt| (rtt.as_secs_f64() * 1e6).round() / 1e3);
    report.measure(metric::RTT, rtt);
    let answered = match (rtt, &asked.answer) {
        (Some(rtt), _) => format!("answered in {rtt:.1} ms"),
        (None, Err(trouble)) => trouble.why.to_string(),
        (None, Ok(_)) => "not answered".to_owned(),
    };
    let line = format!("{}: asked for {}, {answered}", asked.socket.display(), args.place.uri.name);
    if asked.answer.is_ok() { report.fine(line) } else { report.note(line) }
}

fn judge_domain(report: &mut Report, domain: &Domain, asked: &Asked, past: &Past) {
    let name = &domain.name;
    let process = asked.process.as_ref();
    match domain::fault(domain, &CODES) {
        Some((code, text)) => report.find(code, format!("{name} {text}")),
        None => {
            if let Some(process) = process.filter(|process| process.state.cannot_answer()) {
                let (code, text) = domain::lifeless(process, &CODES);
                report.find(code, format!("libvirt says {name} is running, but {text}"));
            }
        }
    }
    restarts(report, domain, past);
    let up = process.map(|process| format!(", up {}", span(process.age))).unwrap_or_default();
    report.when_ok = format!("{name} is {}{}{up}", domain.state, domain::why(domain));
    evidence(report, domain, process);
    measure(report, domain, process);
    report.fact(fact::STATE.name, None, domain.state.word());
    report.fact(fact::REASON.name, None, domain.reason.word);
}

/// Whoever crashes and is started again within one interval looks well in every run.
fn restarts(report: &mut Report, domain: &Domain, past: &Past) {
    const KEY: &str = "id";
    let Some(id) = domain.id.map(f64::from) else { return };
    if let Some(before) = past.value(KEY).filter(|before| (before - id).abs() > 0.5) {
        let text =
            format!("{} was started since the previous run (id {before}, now {id})", domain.name);
        report.find(code::RESTARTED, text);
    }
    report.remember.push((KEY.to_owned(), id));
}

fn evidence(report: &mut Report, domain: &Domain, process: Option<&Process>) {
    let id = domain.id.map(|id| format!(", id {id}")).unwrap_or_default();
    let figures = domain.figures.as_ref().filter(|_| domain.id.is_some()).map(|f| {
        let mib = f.memory >> 20;
        format!(", {} vCPU, {mib} MiB, CPU time {:.1} s", f.cpus, f.cpu_time.as_secs_f64())
    });
    let line = format!(
        "{}: {}, reason {}{id}, UUID {}{}",
        domain.name,
        domain.state,
        domain.reason.word,
        domain.uuid,
        figures.unwrap_or_default()
    );
    let fine = report.findings.is_empty();
    if fine {
        report.fine(line)
    } else {
        report.note(line)
    }
    match process {
        Some(p) => {
            let line = format!("{} {}, up {}", domain::named(p), p.state.clause(), span(p.age));
            if fine { report.fine(line) } else { report.note(line) }
        }
        None if domain.id.is_some() => report.fine("its process is not seen from here: no uptime"),
        None => {}
    }
}

fn measure(report: &mut Report, domain: &Domain, process: Option<&Process>) {
    let name = domain.name.as_str();
    report.measure_of(name, metric::STATE, f64::from(domain.state.number()));
    report.measure_of(name, metric::UPTIME, process.map(|process| process.age as f64));
    // libvirt fills in what a domain that is shut off would have.
    let Some(Figures { memory, cpus, cpu_time }) = domain.figures.filter(|_| domain.id.is_some())
    else {
        return;
    };
    report.measure_of(name, metric::CPU_TIME, cpu_time.as_secs_f64());
    report.measure_of(name, metric::MEMORY, memory as f64);
    report.measure_of(name, metric::VCPUS, f64::from(cpus));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::libvirt::state::State;
    use crate::host::libvirt::{Cause, Refusal};
    use crate::host::process::State as Life;
    use crate::host::{Trouble, Why};
    use crate::plugin::status::Status;
    use std::time::Duration;

    fn domain(state: i32, reason: i32) -> Domain {
        let state = State::of(state);
        Domain {
            name: "vm1".into(),
            uuid: "11111111-abcd-4000-8000-000000000001".parse().expect("a UUID"),
            id: Some(4),
            state,
            reason: state.reason(reason),
            figures: None,
            vnics: None,
        }
    }

    fn process(name: &str, state: Life) -> Process {
        Process {
            pid: 7,
            parent: None,
            name: name.into(),
            state,
            started: 0,
            age: 100,
            memory: 0,
            title: String::new(),
        }
    }

    fn asked(answer: Result<Answer, Why>) -> Asked {
        let answer = answer.map_err(|why| Trouble { whom: "libvirt (/s)".into(), why });
        let socket = "/run/libvirt/libvirt-sock-ro".into();
        Asked { socket, answer, rtt: None, daemon: None, process: None }
    }

    fn judged(asked: Asked, past: &Past) -> Report {
        let uri = "qemu:///system".parse().expect("a URI");
        let place = PlaceArgs { uri, socket: None };
        let args = Args { domain: "vm1".parse().expect("a name"), place };
        Vm::judge(&asked, &args, past)
    }

    fn found(asked: Asked) -> Vec<(&'static str, Status, String)> {
        let report = judged(asked, &Past::default());
        report.findings.into_iter().map(|f| (f.code.name, f.status, f.text)).collect()
    }

    #[test]
    fn each_state_and_reason_has_its_verdict() {
        for (state, reason, code, status, text) in [
            (0, 0, "no-state", Status::Unknown, "vm1 has no state in libvirt"),
            (
                1,
                11,
                "migration-failed",
                Status::Warning,
                "vm1 is running (its post-copy migration failed)",
            ),
            (2, 0, "blocked", Status::Warning, "vm1 is blocked: idle, or waits for a resource"),
            (3, 0, "paused", Status::Warning, "vm1 is paused"),
            (3, 1, "paused", Status::Warning, "vm1 is paused (by its user)"),
            (3, 5, "io-error", Status::Warning, "vm1 is paused (its disk had an I/O error)"),
            (3, 10, "crashed", Status::Critical, "vm1 is paused (its guest crashed)"),
            (
                3,
                13,
                "migration-failed",
                Status::Warning,
                "vm1 is paused (its post-copy migration failed)",
            ),
            (4, 1, "in-shutdown", Status::Warning, "vm1 is shutting down (by its user)"),
            (5, 2, "shut-off", Status::Warning, "vm1 is shut off (powered off by force)"),
            (5, 3, "crashed", Status::Critical, "vm1 is shut off (its emulator or guest crashed)"),
            (5, 4, "shut-off", Status::Warning, "vm1 is shut off (migrated to another host)"),
            (6, 1, "crashed", Status::Critical, "vm1 has crashed (its guest panicked)"),
            (7, 0, "pmsuspended", Status::Warning, "vm1 was suspended by its guest"),
            (
                8,
                0,
                "no-state",
                Status::Unknown,
                "vm1 is in state 8, which this check has no name for",
            ),
        ] {
            let seen = found(asked(Ok(Answer::Domain(domain(state, reason)))));
            assert_eq!(seen, [(code, status, text.to_owned())], "{state} {reason}");
        }
        for reason in [0, 1, 2, 5, 9, 10, 77] {
            assert_eq!(found(asked(Ok(Answer::Domain(domain(1, reason))))), [], "running {reason}");
        }
    }

    #[test]
    fn running_is_no_comfort_where_the_process_does_nothing() {
        for (life, code) in [
            (Life::Alive, None),
            (Life::Stuck, None),
            (Life::Stopped, Some("stopped")),
            (Life::Traced, Some("stopped")),
            (Life::Dead, Some("crashed")),
        ] {
            let mut asked = asked(Ok(Answer::Domain(domain(1, 1))));
            asked.process = Some(process("qemu-system-x86", life));
            let seen = found(asked);
            assert_eq!(seen.first().map(|finding| finding.0), code, "{life:?}");
            assert!(seen.iter().all(|finding| finding.1 == Status::Critical), "{life:?}");
        }
    }

    #[test]
    fn without_an_answer_the_daemon_is_judged() {
        let libvirtd = |state| Some(process("libvirtd", state));
        for (why, daemon, code, text) in [
            (Why::Absent, None, "no-process", "libvirt does not run: no socket in /run/libvirt"),
            (
                Why::Refused,
                None,
                "no-process",
                "libvirt is dead and left its socket behind (/run/libvirt/libvirt-sock-ro)",
            ),
            (
                Why::Refused,
                libvirtd(Life::Alive),
                "refused",
                "libvirtd (pid 7) runs but nobody listens: libvirt (/s): nobody listens",
            ),
            (
                Why::Silent(Duration::from_secs(1)),
                libvirtd(Life::Stopped),
                "stopped",
                "libvirtd (pid 7) is stopped by a signal",
            ),
            (
                Why::Silent(Duration::from_secs(9)),
                libvirtd(Life::Alive),
                "timeout",
                "libvirtd (pid 7) is hung: no answer within 9.0 s",
            ),
            (
                Why::Silent(Duration::from_secs(9)),
                None,
                "timeout",
                "libvirt (/s): no answer within 9.0 s",
            ),
        ] {
            let mut asked = asked(Err(why.clone()));
            asked.daemon = daemon;
            assert_eq!(found(asked), [(code, Status::Critical, text.to_owned())], "{why:?}");
        }
        for (why, code) in
            [(Why::Forbidden, "forbidden"), (Why::Unreadable("SSH".into()), "unreadable")]
        {
            let seen = found(asked(Err(why)));
            assert_eq!((seen[0].0, seen[0].1), (code, Status::Unknown));
        }
    }

    #[test]
    fn a_guest_that_outlives_its_libvirt_is_told() {
        let mut asked = asked(Err(Why::Absent));
        asked.process = Some(process("qemu-system-x86", Life::Alive));
        let text = &found(asked)[0].2;
        assert!(text.ends_with("; vm1's process (pid 7) is alive"), "{text}");
    }

    #[test]
    fn what_libvirt_refuses_is_unknown_and_what_it_does_not_know_is_critical() {
        let refused =
            |cause| Answer::Refused(Refusal { message: "access denied by policy".into(), cause });
        for (answer, code, status) in [
            (Answer::Absent, "absent", Status::Critical),
            (refused(Cause::Other), "error", Status::Unknown),
            (refused(Cause::Rights), "forbidden", Status::Unknown),
            (refused(Cause::DriverDead), "no-process", Status::Critical),
        ] {
            let seen = found(asked(Ok(answer)));
            assert_eq!((seen.len(), seen[0].0, seen[0].1), (1, code, status));
        }
    }

    #[test]
    fn another_id_than_in_the_previous_run_is_a_start() {
        let past = |id: f64| {
            let mut report = Report::default();
            report.remember.push(("id".into(), id));
            Past::of(&report)
        };
        let run = |past: &Past, id| {
            let mut domain = domain(1, 1);
            domain.id = id;
            let report = judged(asked(Ok(Answer::Domain(domain))), past);
            (report.status(), report.findings.iter().map(|f| f.code.name).collect::<Vec<_>>())
        };
        assert_eq!(run(&past(3.0), Some(4)), (Status::Ok, vec!["restarted"]));
        assert_eq!(run(&past(4.0), Some(4)), (Status::Ok, vec![]));
        assert_eq!(run(&past(4.0), None), (Status::Ok, vec![]));
        assert_eq!(run(&Past::default(), Some(4)), (Status::Ok, vec![]));
    }

    #[test]
    fn what_is_shut_off_has_no_figures_and_what_is_not_seen_no_uptime() {
        let figures = Figures { memory: 1 << 26, cpus: 2, cpu_time: Duration::from_millis(1500) };
        let names = |id, process| {
            let domain = Domain { id, figures: Some(figures), ..domain(1, 1) };
            let asked = Asked { process, ..asked(Ok(Answer::Domain(domain))) };
            let report = judged(asked, &Past::default());
            report.metrics.iter().map(crate::plugin::report::Metric::name).collect::<Vec<_>>()
        };
        assert_eq!(names(None, None), ["state"]);
        assert_eq!(names(Some(1), None), ["state", "cpu_time", "memory", "vcpus"]);
        let seen = Some(process("qemu-kvm", Life::Alive));
        assert_eq!(names(Some(1), seen), ["state", "uptime", "cpu_time", "memory", "vcpus"]);
    }
}
