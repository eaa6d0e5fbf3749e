//! A network device of the host: exists, is switched on, has link.

use crate::checks::Check;
use crate::checks::bond::{self, BondCodes};
use crate::checks::device::{self, DeviceCodes};
use crate::host::link::{DeviceName, Link};
use crate::host::netlink::Dump;
use crate::host::{Host, Trouble};
use crate::manifest::check_pnic_ovs::{SPEC, code, fact, metric};
use crate::plugin::code::UNREADABLE;
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::text::count;

/// See [`SPEC`].
pub struct PnicOvs;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Device name, as `ip link` shows it (eth1, eth1@if3, bond0.100)
    pub nic: DeviceName,
}

/// The facts.
#[derive(Debug)]
pub struct Facts {
    /// The device, if there is one.
    pub link: Result<Option<Link>, Trouble>,
    /// The device it is enslaved to.
    pub master: Option<Link>,
    /// The bond that it is, or that it is a VLAN device of.
    pub bond: Result<Option<Bonded>, Trouble>,
}

/// A bond of the kernel.
#[derive(Debug)]
pub struct Bonded {
    /// The bond itself.
    pub bond: Link,
    /// Its members, by name.
    pub members: Vec<Link>,
}

const CODES: DeviceCodes = DeviceCodes {
    admin_down: code::ADMIN_DOWN,
    link_down: code::LINK_DOWN,
    not_ready: code::NOT_READY,
};
const BOND: BondCodes =
    BondCodes { member_down: code::MEMBER_DOWN, lacp_fallback: code::LACP_FALLBACK };

impl Check for PnicOvs {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Facts;

    fn gather(args: &Args, host: &Host) -> Facts {
        let mut link = host.link(args.nic.as_str());
        if let (Ok(None), Some(name)) = (&link, args.nic.without_partner()) {
            link = host.link(name.as_str());
        }
        let (mut master, mut bond) = (None, Ok(None));
        if let Ok(Some(link)) = &mut link {
            host.ask_driver(link);
            master = link.master.and_then(|index| host.link_by_index(index).ok()?);
            bond = bonded(link, host);
        }
        Facts { link, master, bond }
    }

    fn judge(facts: &Facts, args: &Args, _past: &Past) -> Report {
        let mut report = Report::about(args.nic.as_str());
        match &facts.link {
            Ok(Some(link)) => {
                judge_link(&mut report, link, facts);
                judge_bond(&mut report, link, facts);
            }
            Ok(None) => {
                report.find(
                    code::ABSENT,
                    format!("{} does not exist in this network namespace", args.nic),
                );
            }
            Err(trouble) => report.find(&UNREADABLE, trouble.to_string()),
        }
        report
    }
}

/// Nothing more is asked for a device that is no bond and no VLAN device.
fn bonded(link: &Link, host: &Host) -> Result<Option<Bonded>, Trouble> {
    let bond = match (link.kind.as_deref(), link.partner, link.partner_netns) {
        (Some("bond"), ..) => Some(link.clone()),
        (Some("vlan"), Some(lower), None) => host.link_by_index(lower)?.filter(bond::is_bond),
        _ => None,
    };
    let Some(bond) = bond else { return Ok(None) };
    let mut members = host.route()?.links_of(bond.index).and_then(Dump::whole)?;
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(Bonded { bond, members }))
}

fn judge_link(report: &mut Report, link: &Link, facts: &Facts) {
    let name = &link.name;
    let fault = device::fault(link, &CODES);
    let works = fault.is_none();
    let why = match &facts.bond {
        Ok(Some(Bonded { bond, members })) if members.is_empty() => {
            format!(": {} has no member", if bond.name == *name { "it" } else { &bond.name })
        }
        _ => String::new(),
    };
    if let Some((code, what)) = fault {
        report.find(code, format!("{name} {what}{why}"));
    }
    let master = facts.master.as_ref();
    // What has link and is a member of a bond may carry nothing all the same.
    if let Some(idle) = master.filter(|_| works).and_then(|bond| bond::idle(link, bond)) {
        report.find(code::MEMBER_DOWN, format!("{name} {idle}"));
    }
    report.when_ok = format!("{name} is up{}, MTU {}", speed_words(link), link.mtu);
    let master = master.map(|master| master.name.as_str());
    report.fine(evidence(link, master));
    measure(report, link, works);
    report.fact(fact::OPERSTATE.name, None, link.operstate.to_string());
    report.fact(fact::KIND.name, None, kind(link));
    if link.master.is_none() || master.is_some() {
        report.fact(fact::MASTER.name, None, master.unwrap_or("none"));
    }
    if let Some(duplex) = link.duplex {
        report.fact(fact::DUPLEX.name, None, duplex);
    }
}

fn judge_bond(report: &mut Report, link: &Link, facts: &Facts) {
    let Bonded { bond, members } = match &facts.bond {
        Ok(Some(bonded)) => bonded,
        Ok(None) => return,
        Err(trouble) => {
            let text = format!("the members of the bond are not known: {trouble}");
            return report.find(&UNREADABLE, text);
        }
    };
    let name = &bond.name;
    for (code, text) in bond::faults(bond, &members.iter().collect::<Vec<_>>(), BOND) {
        report.find(code, format!("{name}: {text}"));
    }
    for member in members {
        let works = bond::works(member, bond, BOND);
        let line = bond::evidence(member, bond);
        if works { report.fine(line) } else { report.note(line) }
    }
    let working = members.iter().filter(|member| bond::works(member, bond, BOND)).count();
    report.when_ok += &format!(", {}", count(members.len(), "member"));
    if *name != link.name {
        report.when_ok += &format!(" of {name}");
    }
    report.measure_of(name, metric::MEMBERS, members.len() as f64);
    report.measure_of(name, metric::MEMBERS_ACTIVE, working as f64);
    if let Some(mode) = bond.bond.as_deref().and_then(|bond| bond.mode) {
        report.fact(fact::BOND_MODE.name, None, mode);
    }
}

fn speed_words(link: &Link) -> String {
    let duplex = link.duplex.map(|duplex| format!(" {duplex} duplex")).unwrap_or_default();
    match link.speed {
        Some(speed) if speed % 1000 == 0 => format!(", {} Gbit/s{duplex}", speed / 1000),
        Some(speed) => format!(", {speed} Mbit/s{duplex}"),
        None => String::new(),
    }
}

fn kind(link: &Link) -> &str {
    let unnamed = if link.loopback { "loopback" } else { "physical" };
    link.kind.as_deref().unwrap_or(unnamed)
}

fn evidence(link: &Link, master: Option<&str>) -> String {
    let onoff = |up| if up { "up" } else { "down" };
    let kind = kind(link);
    let master = master.map(|master| format!(", enslaved to {master}")).unwrap_or_default();
    format!(
        "{}: {kind}, admin {}, carrier {}, operstate {}{}{master} (netlink)",
        link.name,
        onoff(link.admin_up),
        onoff(link.lower_up),
        link.operstate,
        speed_words(link),
    )
}

fn measure(report: &mut Report, link: &Link, works: bool) {
    let name = link.name.as_str();
    report.measure_of(name, metric::LINK_STATE, f64::from(u8::from(works)));
    report.measure_of(name, metric::SPEED, link.speed.map(f64::from));
    report.measure_of(name, metric::MTU, f64::from(link.mtu));
    report.measure_of(name, metric::CARRIER_CHANGES, link.carrier_changes.map(f64::from));
    let Some(counters) = link.counters else { return };
    for (spec, value) in [
        (metric::RX_BYTES, counters.rx_bytes),
        (metric::TX_BYTES, counters.tx_bytes),
        (metric::RX_PACKETS, counters.rx_packets),
        (metric::TX_PACKETS, counters.tx_packets),
        (metric::RX_ERRORS, counters.rx_errors),
        (metric::TX_ERRORS, counters.tx_errors),
        (metric::RX_DROPPED, counters.rx_dropped),
        (metric::TX_DROPPED, counters.tx_dropped),
    ] {
        report.measure_of(name, spec, value as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Why;
    use crate::host::link::{OperState, captured_bond};

    fn judged(link: Option<Link>) -> Report {
        of(Facts { link: Ok(link), master: None, bond: Ok(None) })
    }

    fn of(facts: Facts) -> Report {
        let args = Args { nic: "eth1".parse().expect("a name") };
        PnicOvs::judge(&facts, &args, &Past::default())
    }

    fn told(report: &Report) -> Vec<(&'static str, &str)> {
        report.findings.iter().map(|f| (f.code.name, f.text.as_str())).collect()
    }

    /// A captured bond, asked for by its name.
    fn bonded(name: &str) -> Facts {
        let (bond, members) = captured_bond(name);
        let link = Ok(Some(bond.clone()));
        Facts { link, master: None, bond: Ok(Some(Bonded { bond, members })) }
    }

    fn link(admin_up: bool, lower_up: bool, operstate: OperState) -> Option<Link> {
        Some(Link { name: "eth1".into(), admin_up, lower_up, operstate, ..Link::default() })
    }

    #[test]
    fn works_is_admin_up_carrier_and_operstate_up_or_unknown() {
        for state in [OperState::Up, OperState::Unknown] {
            assert_eq!(judged(link(true, true, state)).findings, [], "{state}");
        }
    }

    #[test]
    fn each_way_of_not_working_has_its_code() {
        let cases = [
            (None, "absent"),
            (link(false, false, OperState::Down), "admin-down"),
            (link(true, false, OperState::Down), "link-down"),
            (link(true, false, OperState::LowerLayerDown), "link-down"),
            (link(true, false, OperState::Unknown), "link-down"),
            (link(true, true, OperState::Down), "link-down"),
            (link(true, true, OperState::NotPresent), "link-down"),
            (link(true, true, OperState::Dormant), "not-ready"),
            (link(true, true, OperState::Testing), "not-ready"),
        ];
        for (link, code) in cases {
            let codes: Vec<_> = judged(link.clone()).findings.iter().map(|f| f.code.name).collect();
            assert_eq!(codes, [code], "{link:?}");
        }
    }

    #[test]
    fn a_bond_tells_its_lost_members_though_it_has_link() {
        let report = of(bonded("backup-no-carrier"));
        assert_eq!(told(&report), [("member-down", "bond0: member b0 has no link (no carrier)")]);
        let value =
            |name: &str| report.metrics.iter().find(|m| m.spec.name == name).map(|m| m.value);
        assert_eq!((value("members"), value("members_active")), (Some(2.0), Some(1.0)));
        assert_eq!(value("link_state"), Some(1.0));

        let report = of(bonded("backup"));
        assert_eq!(told(&report), []);
        assert_eq!(report.when_ok, "bond0 is up, MTU 1500, 2 members");
        let mode = report.facts.iter().find(|fact| fact.name == "bond-mode");
        assert_eq!(mode.map(|fact| fact.value.as_str()), Some("active-backup"));
    }

    #[test]
    fn a_bond_without_link_says_why() {
        let codes: Vec<_> = told(&of(bonded("backup-all-down"))).iter().map(|(c, _)| *c).collect();
        assert_eq!(codes, ["link-down", "member-down", "member-down"]);
        let text = "bond9 has no link (no carrier): it has no member";
        assert_eq!(told(&of(bonded("empty"))), [("link-down", text)]);
    }

    #[test]
    fn members_that_cannot_be_read_are_not_in_order() {
        let trouble = Trouble { whom: "x".into(), why: Why::Refused };
        let facts = Facts { bond: Err(trouble), ..bonded("backup") };
        assert_eq!(
            of(facts).findings.iter().map(|f| f.code.name).collect::<Vec<_>>(),
            ["unreadable"]
        );
    }

    #[test]
    fn a_vlan_device_tells_the_lost_members_of_its_bond() {
        let vlan =
            Link { kind: Some("vlan".into()), ..link(true, true, OperState::Up).expect("one") };
        let report = of(Facts { link: Ok(Some(vlan.clone())), ..bonded("backup-off") });
        let text = "bond0: member b1 is switched off (admin-down)";
        assert_eq!(told(&report), [("member-down", text)]);
        let report = of(Facts { link: Ok(Some(vlan)), ..bonded("backup") });
        assert_eq!(report.when_ok, "eth1 is up, MTU 0, 2 members of bond0");
    }

    #[test]
    fn a_member_with_link_that_its_bond_does_not_use_is_told() {
        let (bond, members) = captured_bond("lacp-other-aggregator");
        let of_member = |member: &Link| {
            of(Facts { link: Ok(Some(member.clone())), master: Some(bond.clone()), bond: Ok(None) })
        };
        assert_eq!(told(&of_member(&members[0])), []);
        let text = "m0 has link, but no LACP partner";
        assert_eq!(told(&of_member(&members[2])), [("member-down", text)]);
        let (bond, members) = captured_bond("backup");
        let facts =
            Facts { link: Ok(Some(members[1].clone())), master: Some(bond), bond: Ok(None) };
        assert_eq!(told(&of(facts)), [], "a spare one");
    }
}
