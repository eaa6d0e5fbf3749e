//! A vConnector that is a bridge domain of VPP.
//!
//! It works when it exists, and one of its members is switched on and has link; without members it
//! is in order, like a bridge without ports. A single member that is down is the business of the
//! check of that interface. That the domain learns, forwards or floods nothing is how somebody set
//! it up (a hub has forwarding off, and works): the first line says it, and `--expect` can ask.

use crate::checks::vconnector::{on_off, some_of};
use crate::checks::vpp_interfaces::push_state;
use crate::checks::vpp_place::{LifeCodes, no_answer};
use crate::host::vpp::NoAnswer;
use crate::host::vpp::bridge::{Bridge, BridgeDomain, Member};
use crate::host::vpp::interfaces::{Admin, Interface, Link};
use crate::manifest::check_vconnector::{code, fact, metric};
use crate::plugin::report::Report;
use crate::plugin::text::count;
use clap::builder::RangedI64ValueParser;

/// The number of a bridge domain: 24 bits. With the default domain, 0, VPP does nothing.
pub(super) fn id() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..1 << 24)
}

const CODES: LifeCodes =
    LifeCodes { no_process: code::NO_PROCESS, refused: code::REFUSED, stopped: code::STOPPED };

/// Judges what VPP says of a bridge domain.
pub(super) fn judge(id: u32, bridge: &Result<Option<Bridge>, Box<NoAnswer>>) -> Report {
    let mut report = Report::about(format!("bridge domain {id}"));
    match bridge {
        Ok(Some(bridge)) => judge_bridge(&mut report, bridge),
        Ok(None) => report.find(code::ABSENT, format!("VPP has no bridge domain {id}")),
        Err(no) => {
            let (code, text) = no_answer(no, &CODES);
            report.find(code, text);
        }
    }
    report
}

/// What is to be seen of a member.
enum State {
    Works,
    Down,
    Unknown,
}

fn judge_bridge(report: &mut Report, bridge: &Bridge) {
    let Bridge { domain, interfaces } = bridge;
    let all = domain.members.len();
    let of = |member: &Member| interfaces.iter().find(|row| row.index == member.index);
    let states = || domain.members.iter().map(|member| (member, state(of(member))));
    let forwarding = states().filter(|(_, state)| matches!(state, State::Works)).count();
    // The BVI is the host's own side: its link is always up, and it leads to nobody.
    let is_bvi =
        |member: &Member| domain.bvi.as_ref().is_some_and(|bvi| bvi.starts_with(&member.name));
    let others: Vec<_> = states().filter(|(member, _)| !is_bvi(member)).collect();
    if !others.is_empty() && others.iter().all(|(_, state)| matches!(state, State::Down)) {
        let names: Vec<&str> = others.iter().map(|(member, _)| member.name.as_str()).collect();
        let text = format!("none of its members is up with link: {}", some_of(&names));
        report.find(code::LINK_DOWN, format!("{}: {text}", report.object));
    }
    let off = what_is_off(domain);
    report.when_ok =
        format!("{} of VPP has {}, {forwarding} up{off}", report.object, count(all, "member"));
    describe(report, domain, forwarding, off.is_empty());
    for (member, state) in states() {
        let line = member_line(member, of(member));
        if matches!(state, State::Works) { report.fine(line) } else { report.note(line) }
    }
    report.measure(metric::PORTS, all as f64);
    report.measure(metric::FORWARDING, forwarding as f64);
    report.measure(metric::FDB_ENTRIES, domain.learned.map(|n| n as f64));
    report.measure(metric::AGEING, domain.age_minutes.map(|minutes| minutes as f64 * 60.0));
    report.fact(fact::KIND.name, None, "vpp");
    for (fact, on) in [
        (fact::FORWARD, domain.forwards),
        (fact::LEARN, domain.learns),
        (fact::FLOOD, domain.floods),
    ] {
        if let Some(on) = on {
            report.fact(fact.name, None, on_off(on));
        }
    }
    if let Some(what) = &domain.unknown_unicast {
        report.fact(fact::UU_FLOOD.name, None, what.clone());
    }
}

fn state(row: Option<&Interface>) -> State {
    let Some(row) = row else { return State::Unknown };
    match (&row.admin, &row.link) {
        (_, Link::Member(Some(bond))) if bond.up => State::Works,
        (_, Link::Member(Some(_))) => State::Down,
        (Admin::Up, Link::Up) => State::Works,
        (Admin::Down | Admin::Error, _) | (Admin::Up, Link::Down) => State::Down,
        _ => State::Unknown,
    }
}

/// What the domain does not do, for the first line: `, does not forward`.
fn what_is_off(domain: &BridgeDomain) -> String {
    let not = [
        (domain.forwards, ", does not forward"),
        (domain.learns, ", does not learn"),
        (domain.floods, ", does not flood"),
    ];
    not.into_iter().filter(|(on, _)| *on == Some(false)).map(|(_, words)| words).collect()
}

fn describe(report: &mut Report, domain: &BridgeDomain, forwarding: usize, all_on: bool) {
    let word = |on: Option<bool>| on.map_or("not told", on_off);
    let line = format!(
        "{}: learning {}, forwarding {}, flooding {}, unknown unicast {}, BVI {}, {}, \
         {forwarding} up with link (show bridge-domain {} detail)",
        report.object,
        word(domain.learns),
        word(domain.forwards),
        word(domain.floods),
        domain.unknown_unicast.as_deref().unwrap_or("not told"),
        domain.bvi.as_deref().unwrap_or("none"),
        count(domain.members.len(), "member"),
        domain.id,
    );
    if all_on { report.fine(line) } else { report.note(line) }
}

fn member_line(member: &Member, row: Option<&Interface>) -> String {
    let mut line = String::new();
    match row {
        Some(row) => push_state(&mut line, row),
        None => line = format!("{}: vanished while it was looked at", member.name),
    }
    if let Some(group) = member.split_horizon.filter(|group| *group != 0) {
        line += &format!(", split horizon group {group}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::vpp::interfaces::Bond;
    use crate::host::{Trouble, Why};
    use std::time::Duration;

    fn member(name: &str, index: u32) -> Member {
        Member { name: name.into(), index, split_horizon: Some(0) }
    }

    fn interface(name: &str, index: u32, admin: Admin, link: Link) -> Interface {
        Interface { name: name.into(), index, admin, counters: None, link, hardware: None }
    }

    /// A domain with a BVI and, beside it, members in these states.
    fn bridge(states: &[(Admin, Link)]) -> Bridge {
        let mut bridge = Bridge {
            domain: BridgeDomain {
                id: 10,
                learns: Some(true),
                forwards: Some(true),
                floods: Some(true),
                unknown_unicast: Some("flood".into()),
                age_minutes: Some(5),
                learned: Some(7),
                bvi: Some("loop1".into()),
                members: vec![member("loop1", 1)],
            },
            interfaces: vec![interface("loop1", 1, Admin::Up, Link::Up)],
        };
        for (index, (admin, link)) in (2..).zip(states) {
            let name = format!("tap{index}");
            bridge.domain.members.push(member(&name, index));
            bridge.interfaces.push(interface(&name, index, admin.clone(), link.clone()));
        }
        bridge
    }

    fn judged(bridge: Bridge) -> Report {
        judge(10, &Ok(Some(bridge)))
    }

    fn codes(report: &Report) -> Vec<&'static str> {
        report.findings.iter().map(|finding| finding.code.name).collect()
    }

    fn value(report: &Report, name: &str) -> Option<f64> {
        report.metrics.iter().find(|metric| metric.spec.name == name).map(|metric| metric.value)
    }

    #[test]
    fn a_domain_works_as_long_as_one_member_does_or_it_has_none() {
        let on_bond = |up| Link::Member(Some(Bond { name: "BondEthernet0".into(), up }));
        type Case<'c> = (&'c [(Admin, Link)], &'c [&'c str], f64);
        let cases: [Case; 8] = [
            (&[], &[], 1.0),
            (&[(Admin::Up, Link::Up)], &[], 2.0),
            (&[(Admin::Up, Link::Up), (Admin::Up, Link::Down)], &[], 2.0),
            (&[(Admin::Down, Link::Up), (Admin::Up, on_bond(true))], &[], 2.0),
            (&[(Admin::Down, Link::Up), (Admin::Up, Link::Down)], &["link-down"], 1.0),
            (&[(Admin::Up, on_bond(false))], &["link-down"], 1.0),
            (&[(Admin::Error, Link::Up)], &["link-down"], 1.0),
            // What is not known is not said to be down.
            (&[(Admin::Up, Link::Other("blue".into()))], &[], 1.0),
        ];
        for (states, expected, forwarding) in cases {
            let report = judged(bridge(states));
            assert_eq!(codes(&report), expected, "{states:?}");
            assert_eq!(value(&report, "forwarding"), Some(forwarding), "{states:?}");
            assert_eq!(value(&report, "ports"), Some(states.len() as f64 + 1.0), "{states:?}");
        }
        let mut empty = bridge(&[]);
        empty.domain.members.clear();
        let report = judged(empty);
        assert!(report.findings.is_empty());
        assert_eq!(report.when_ok, "bridge domain 10 of VPP has 0 members, 0 up");
    }

    #[test]
    fn what_is_down_is_in_the_evidence_and_never_left_out_first() {
        let mut bridge = bridge(&[(Admin::Up, Link::Up), (Admin::Up, Link::Down)]);
        bridge.domain.members.push(member("gone0", 9));
        bridge.domain.members[1].split_horizon = Some(1);
        let report = judged(bridge);
        let lines: Vec<_> = report.evidence.iter().map(|e| (e.text.as_str(), e.fine)).collect();
        assert_eq!(
            lines,
            [
                (
                    "bridge domain 10: learning on, forwarding on, flooding on, unknown unicast \
                     flood, BVI loop1, 4 members, 2 up with link (show bridge-domain 10 detail)",
                    true
                ),
                ("loop1: admin up, link up", true),
                ("tap2: admin up, link up, split horizon group 1", true),
                ("tap3: admin up, link down", false),
                ("gone0: vanished while it was looked at", false),
            ]
        );
        assert_eq!(report.when_ok, "bridge domain 10 of VPP has 4 members, 2 up");
    }

    #[test]
    fn what_is_switched_off_is_said_and_can_be_expected() {
        let mut bridge = bridge(&[(Admin::Up, Link::Up)]);
        bridge.domain.forwards = Some(false);
        bridge.domain.learns = None;
        bridge.domain.floods = Some(false);
        let report = judged(bridge);
        assert!(report.findings.is_empty());
        assert_eq!(
            report.when_ok,
            "bridge domain 10 of VPP has 2 members, 2 up, does not forward, does not flood"
        );
        assert!(!report.evidence[0].fine && report.evidence[0].text.contains("learning not told"));
        let facts: Vec<_> = report.facts.iter().map(|f| (f.name, f.value.as_str())).collect();
        let expected =
            [("kind", "vpp"), ("forward", "off"), ("flood", "off"), ("uu_flood", "flood")];
        assert_eq!(facts, expected);
    }

    #[test]
    fn what_is_measured_is_what_was_read() {
        let mut bridge = bridge(&[]);
        let report = judged(bridge.clone());
        assert_eq!(
            (value(&report, "fdb_entries"), value(&report, "ageing")),
            (Some(7.0), Some(300.0))
        );
        (bridge.domain.learned, bridge.domain.age_minutes) = (None, None);
        let report = judged(bridge);
        assert_eq!((value(&report, "fdb_entries"), value(&report, "ageing")), (None, None));
    }

    #[test]
    fn no_domain_and_no_answer() {
        assert_eq!(codes(&judge(10, &Ok(None))), ["absent"]);
        for (why, code) in [
            (Why::Absent, "no-process"),
            (Why::Refused, "refused"),
            (Why::Forbidden, "forbidden"),
            (Why::Silent(Duration::from_secs(1)), "timeout"),
            (Why::HungUp, "timeout"),
            (Why::Unreadable("x".into()), "unreadable"),
        ] {
            let trouble = Trouble { whom: "VPP".into(), why };
            let no = NoAnswer { trouble, process: None };
            assert_eq!(codes(&judge(10, &Err(Box::new(no)))), [code]);
        }
    }
}
