//! The daemons of a namespace: those that must live do, and they listen.

use super::{Args, FILE_REMEDY, Facts, PROCESS_REMEDY, Role, is_processless, when_ok};
use crate::checks::without_answer;
use crate::host::Trouble;
use crate::host::process::State;
use crate::host::service::{By, Daemon, Daemons, Fate, Hidden, Record};
use crate::host::trace::DhcpPort;
use crate::manifest::check_vservice::{code, metric};
use crate::plugin;
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::text::span;
use std::collections::BTreeSet;

pub(super) fn judge(
    report: &mut Report,
    facts: &Facts,
    daemons: &Daemons,
    args: &Args,
    past: &Past,
) {
    for daemon in &daemons.found {
        judge_process(report, daemon, daemons);
    }
    judge_unread(report, facts, daemons, args.role);
    let missing = missing(facts, daemons, args);
    // Nothing is required of a router, but what cannot be seen may be broken.
    if let Some(hidden) = daemons.hidden
        && args.role == Role::Router
        && is_processless(daemons)
        && missing.is_empty()
    {
        let text = format!("cannot see which processes run there; {}", remedy(hidden));
        report.find(&plugin::code::FORBIDDEN, text);
    }
    for group in missing {
        let names = group.join(" or ");
        if let Some(hidden) = daemons.hidden {
            let text = format!("cannot see whether {names} runs there; {}", remedy(hidden));
            report.find(&plugin::code::FORBIDDEN, text);
        } else if group.iter().any(|name| daemons.found.iter().any(|d| d.is(name))) {
            // Its zombie is told already.
        } else if let (Err(trouble), false) = (&facts.records.ha, is_required(&group, args)) {
            let text =
                format!("{names} does not run, as is right on a backup: {trouble}; {FILE_REMEDY}");
            report.find(&plugin::code::FORBIDDEN, text);
        } else {
            report.find(
                code::NO_PROCESS,
                format!("{names} does not run{}", recorded(daemons, &group)),
            );
        }
    }
    judge_ports(report, facts, daemons, args.role);
    records_evidence(report, daemons);
    measure(report, daemons, past);
    report.when_ok = when_ok(args, daemons, facts);
}

/// What to do about what is not seen.
const fn remedy(hidden: Hidden) -> &'static str {
    match hidden {
        Hidden::Denied => PROCESS_REMEDY,
        Hidden::OtherPids => "run the check in the pid namespace of the host (hostPID)",
    }
}

/// Whether a group must live on primary and backup alike.
fn is_required(group: &[&str], args: &Args) -> bool {
    let role = args.role.required().contains(&group);
    role || args.process.iter().any(|name| group == [name.as_str()]) || group == ["keepalived"]
}

/// Without its pid files nobody knows which daemons a router needs.
fn judge_unread(report: &mut Report, facts: &Facts, daemons: &Daemons, role: Role) {
    let unknown = facts
        .records
        .unreadable
        .iter()
        .find(|(daemon, _)| !daemons.has_alive(daemon) && facts.may_be_expected(daemon, role));
    if let Some((daemon, trouble)) = unknown {
        let (code, text) = without_answer(trouble, FILE_REMEDY);
        report.find(code, format!("whether {daemon} must run there is not known: {text}"));
    }
}

fn judge_process(report: &mut Report, daemon: &Daemon, all: &Daemons) {
    let process = &daemon.process;
    let who = format!("{} (pid {})", process.name, process.pid);
    let code = match process.state {
        State::Alive => None,
        State::Stuck => Some(code::STUCK),
        State::Stopped | State::Traced => Some(code::STOPPED),
        // It was started again, and nobody has taken notice of the old one's end.
        State::Dead if all.has_alive(&process.name) => None,
        State::Dead => Some(code::NO_PROCESS),
    };
    let by = match daemon.by {
        By::Namespace => "in the namespace",
        By::CommandLine => "its command line names the id",
        By::PidFile => "named by its pid file",
        By::Sibling => "in the snat namespace beside it",
    };
    let clause = if process.state == State::Dead { "is a zombie" } else { process.state.clause() };
    let line = format!("{who} {clause}, up {}; {by}", span(process.age));
    match code {
        None => report.fine(line),
        Some(code) => {
            report.find(code, format!("{who} {clause}"));
            report.note(line);
        }
    }
}

/// The groups of which nobody lives, each told once.
fn missing<'f>(facts: &'f Facts, daemons: &'f Daemons, args: &'f Args) -> Vec<Vec<&'f str>> {
    let mut groups: Vec<Vec<&str>> =
        args.role.required().iter().map(|group| group.to_vec()).collect();
    groups.extend(args.process.iter().map(|name| vec![name.as_str()]));
    let expected = daemons.records.iter().filter(|record| facts.is_expected(record));
    groups.extend(expected.map(|record| vec![record.daemon.as_str()]));
    let mut missing: Vec<Vec<&str>> = Vec::new();
    for group in groups {
        let lives = group.iter().any(|name| daemons.has_alive(name));
        let told = missing.iter().any(|other| group.iter().all(|name| other.contains(name)));
        if !lives && !told {
            missing.push(group);
        }
    }
    missing
}

/// What the pid file of a daemon that does not run says.
fn recorded(daemons: &Daemons, group: &[&str]) -> String {
    let record = daemons.records.iter().find(|record| group.contains(&record.daemon.as_str()));
    match record {
        Some(Record { recorded, fate: Fate::Gone, .. }) => {
            format!(": its pid file names {}, which is gone", recorded.pid)
        }
        Some(Record { recorded, fate: Fate::Other, .. }) => {
            format!(": its pid file names {}, which is another process now", recorded.pid)
        }
        _ => String::new(),
    }
}

fn records_evidence(report: &mut Report, daemons: &Daemons) {
    for Record { daemon, recorded, fate } in &daemons.records {
        let (path, pid) = (recorded.path.display(), recorded.pid);
        match fate {
            Fate::Here(_) => report.fine(format!("{path}: {daemon} is pid {pid}")),
            Fate::Leftover => {
                report.fine(format!("{path}: older than the boot of this host, not believed"));
            }
            Fate::Other if daemons.hidden.is_some() => {
                report.note(format!("{path}: whether pid {pid} is its {daemon} may not be seen"));
            }
            Fate::Other => report.note(format!("{path}: pid {pid} is not its {daemon}")),
            Fate::Gone => report.note(format!("{path}: pid {pid} is gone")),
        }
    }
}

/// Where the metadata proxies of Neutron listen: of the DHCP agent and OVN, of the L3 agent.
const METADATA: [u16; 2] = [80, 9697];

/// A daemon that could answer; one that is stopped or dead is told as that alone.
pub(super) fn working<'d>(daemons: &'d Daemons, name: &str) -> Option<&'d Daemon> {
    let works = |d: &&Daemon| matches!(d.process.state, State::Alive | State::Stuck);
    daemons.found.iter().filter(works).find(|daemon| daemon.is(name))
}

/// A daemon that lives but does not listen serves nobody.
fn judge_ports(report: &mut Report, facts: &Facts, daemons: &Daemons, role: Role) {
    let mut open = Vec::new();
    match (working(daemons, "dnsmasq"), &facts.dhcp) {
        (Some(_), Some(Ok(DhcpPort::V4(_)))) => open.push("UDP 67".to_owned()),
        (Some(_), Some(Ok(DhcpPort::V6(_)))) => open.push("UDP 547 (IPv6)".to_owned()),
        (Some(dnsmasq), Some(Ok(DhcpPort::Closed))) => {
            not_listening(report, dnsmasq, "UDP 67 (DHCP)");
        }
        (_, Some(Err(trouble))) => unseen_ports(report, trouble),
        _ => {}
    }
    match (working(daemons, "haproxy"), &facts.tcp) {
        (Some(haproxy), Some(Ok(ports))) => {
            let told = &facts.records.haproxy_ports;
            match (missing_port(told, ports, role), told) {
                (None, _) => open.extend(ports.iter().map(|port| format!("TCP {port}"))),
                (Some(_), Err(trouble)) => {
                    let (code, text) = without_answer(trouble, FILE_REMEDY);
                    report
                        .find(code, format!("which port haproxy should open is not known: {text}"));
                }
                (Some(port), _) => not_listening(report, haproxy, &port),
            }
        }
        (_, Some(Err(trouble))) => unseen_ports(report, trouble),
        _ => {}
    }
    if !open.is_empty() {
        report.fine(format!("open: {}", open.join(", ")));
    }
}

/// Any user may read them, so this is no lack of rights: the process ended while it was looked at.
fn unseen_ports(report: &mut Report, trouble: &Trouble) {
    let text = format!("its ports cannot be seen: {trouble}");
    report.find(&plugin::code::UNREADABLE, text);
}

/// The port that a haproxy should listen at, if it does not. Where its configuration may not be
/// read, any port of a metadata proxy will do, and any at all for a load balancer.
pub(super) fn missing_port(
    told: &Result<Option<BTreeSet<u16>>, Trouble>,
    open: &BTreeSet<u16>,
    role: Role,
) -> Option<String> {
    match told {
        Ok(Some(ports)) => {
            let closed = ports.iter().find(|port| !open.contains(port))?;
            Some(format!("TCP {closed}"))
        }
        _ if role == Role::LoadBalancer => open.is_empty().then(|| "any TCP port".to_owned()),
        _ => {
            let proxied = METADATA.iter().any(|port| open.contains(port));
            (!proxied).then(|| format!("TCP {} or {}", METADATA[0], METADATA[1]))
        }
    }
}

fn not_listening(report: &mut Report, daemon: &Daemon, port: &str) {
    let process = &daemon.process;
    let text = format!("{} (pid {}) runs, not listening on {port}", process.name, process.pid);
    report.find(code::NOT_LISTENING, text);
}

fn measure(report: &mut Report, daemons: &Daemons, past: &Past) {
    let in_state = |states: &[State]| {
        daemons.found.iter().filter(|d| states.contains(&d.process.state)).count() as f64
    };
    if daemons.hidden.is_none() || !daemons.found.is_empty() {
        report.measure(metric::ALIVE, in_state(&[State::Alive]));
        report.measure(metric::STUCK, in_state(&[State::Stuck]));
        report.measure(metric::STOPPED, in_state(&[State::Stopped, State::Traced]));
        report.measure(metric::DEAD, in_state(&[State::Dead]));
    }
    for name in daemons.found.iter().map(|d| &d.process.name).collect::<BTreeSet<_>>() {
        let all = daemons.found.iter().map(|d| &d.process).filter(|p| p.name == *name);
        report.measure_of(name, metric::MEMORY, all.clone().map(|p| p.memory as f64).sum::<f64>());
        let Some(youngest) = all.max_by_key(|p| (p.started, p.pid)) else { continue };
        report.measure_of(name, metric::START_TIME, youngest.started as f64);
        let key = format!("youngest/{name}");
        let (now, before) = (f64::from(youngest.pid), past.value(&key));
        let changed = before.map(|before| f64::from(u8::from((before - now).abs() > 0.5)));
        report.measure_of(name, metric::RESTARTS, changed);
        report.remember.push((key, now));
    }
}
