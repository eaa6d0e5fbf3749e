//! Physical NICs in the hands of VPP, and the bonds that carry them.

use crate::checks::Check;
use crate::checks::vpp_interfaces::{self, Args, Codes, Facts, Kind, Known, Metrics};
use crate::checks::vpp_place::LifeCodes;
use crate::host::Host;
use crate::manifest::check_pnic_vpp::{SPEC, code, fact, metric};
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::verdict::Asked;

/// See [`SPEC`].
pub struct PnicVpp;

const KIND: Kind = Kind {
    noun: "pNIC",
    is: is_pnic,
    bonds: true,
    codes: Codes {
        life: LifeCodes {
            no_process: code::NO_PROCESS,
            refused: code::REFUSED,
            stopped: code::STOPPED,
        },
        absent: code::ABSENT,
        none: code::NONE,
        admin_down: code::ADMIN_DOWN,
        link_down: code::LINK_DOWN,
        error: code::ERROR,
        wrong_bridge: code::WRONG_BRIDGE,
        guest_off: code::GUEST_OFF,
        member_down: code::MEMBER_DOWN,
        lacp_none: code::LACP_NONE,
        lacp_defaulted: code::LACP_DEFAULTED,
    },
    metrics: Metrics {
        link_state: metric::LINK_STATE,
        admin_state: metric::ADMIN_STATE,
        speed: metric::SPEED,
        counters: [
            metric::RX_PACKETS,
            metric::RX_BYTES,
            metric::TX_PACKETS,
            metric::TX_BYTES,
            metric::DROPS,
            metric::PUNT,
            metric::RX_MISS,
            metric::RX_ERROR,
            metric::TX_ERROR,
            metric::RX_NO_BUF,
        ],
        connected: metric::CONNECTED,
        queues: metric::QUEUES,
        ring: metric::RING,
        members: metric::MEMBERS,
        members_active: metric::MEMBERS_ACTIVE,
        lacp_partners: metric::LACP_PARTNERS,
    },
    facts: Facts { role: fact::ROLE, socket: fact::SOCKET, bond_mode: fact::BOND_MODE },
};

impl Check for PnicVpp {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Known;

    fn gather(args: &Args, host: &Host) -> Known {
        Self::gather_asked(args, &Asked::default(), host)
    }

    fn gather_asked(args: &Args, asked: &Asked, host: &Host) -> Known {
        vpp_interfaces::gather(args, &KIND, asked, host)
    }

    fn judge(facts: &Known, args: &Args, _past: &Past) -> Report {
        vpp_interfaces::judge(facts, args, &KIND)
    }
}

/// `GigabitEthernet0/8/0`, `TenGigabitEthernet5/0/0`, ...: how VPP names what DPDK drives.
fn is_pnic(name: &str) -> bool {
    let letters = name.bytes().take_while(u8::is_ascii_alphabetic).count();
    name[..letters].contains("GigabitEthernet")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::vpp_interfaces::Seen;
    use crate::checks::vpp_place::{MeasureArgs, PlaceArgs};
    use crate::host::vpp::bonds::{Bond, Lacp};
    use crate::host::vpp::guests::Guest;
    use crate::host::vpp::interfaces::{Admin, Bond as DriverBond, Interface, Link};

    #[test]
    fn a_pnic_is_known_by_its_name() {
        for name in ["GigabitEthernet0/8/0", "TwentyFiveGigabitEthernet3b/0/0.100"] {
            assert!(is_pnic(name), "{name}");
        }
        for name in ["VirtualEthernet0/0/0", "BondEthernet0", "host-GigabitEthernet0", "local0", ""]
        {
            assert!(!is_pnic(name), "{name}");
        }
    }

    fn codes(
        name: &str,
        admin: Admin,
        link: Link,
        change: impl Fn(&mut Seen),
    ) -> Vec<&'static str> {
        let mut seen = Seen::default();
        seen.interfaces.found.push(Interface {
            name: name.into(),
            index: 1,
            admin,
            counters: Some(Box::default()),
            link,
            hardware: None,
        });
        change(&mut seen);
        let (place, measure) = (PlaceArgs { socket: None }, MeasureArgs { metrics: false });
        let args = Args { names: vec![], match_: None, bridge_domain: Some(10), place, measure };
        let report = PnicVpp::judge(&Ok(seen), &args, &Past::default());
        report.findings.iter().map(|finding| finding.code.name).collect()
    }

    #[test]
    fn admin_and_link_are_judged_apart_and_the_first_cause_is_told() {
        let member = |up| Link::Member(Some(DriverBond { name: "BondEthernet0".into(), up }));
        let cases: [(Admin, Link, &[&str]); 13] = [
            (Admin::Up, Link::Up, &[]),
            (Admin::Down, Link::Up, &["admin-down"]),
            (Admin::Down, Link::Down, &["admin-down"]),
            (Admin::Up, Link::Down, &["link-down"]),
            (Admin::Error, Link::Up, &["error"]),
            (Admin::Other("limbo".into()), Link::Up, &["unreadable"]),
            (Admin::Up, Link::Other("blue".into()), &["unreadable"]),
            (Admin::Up, Link::Unlisted, &["unreadable"]),
            (Admin::Up, Link::Gone, &["absent"]),
            (Admin::Down, member(true), &[]),
            (Admin::Member, member(true), &[]),
            (Admin::Up, member(false), &["link-down"]),
            (Admin::Up, Link::Member(None), &["unreadable"]),
        ];
        for (admin, link, expected) in cases {
            let said = format!("{admin:?} {link:?}");
            assert_eq!(codes("eth0", admin, link, |_| {}), expected, "{said}");
        }
    }

    fn bond(seen: &mut Seen, active: &[&str], members: &[&str], lacp: &[(&str, &str)]) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        seen.bonds = Some(vec![Bond {
            name: "BondEthernet0".into(),
            mode: if lacp.is_empty() { "xor" } else { "lacp" }.into(),
            active: owned(active),
            members: owned(members),
        }]);
        let lacp = lacp.iter().map(|(member, state)| Lacp {
            member: (*member).into(),
            bond: "BondEthernet0".into(),
            rx_state: (*state).into(),
            partner: String::new(),
        });
        seen.lacp = Some(lacp.collect());
    }

    #[test]
    fn a_bond_with_link_may_still_carry_nothing() {
        let with = |change: &dyn Fn(&mut Seen)| codes("BondEthernet0", Admin::Up, Link::Up, change);
        let both = &["eth0", "eth1"];
        assert_eq!(with(&|seen| bond(seen, both, both, &[])), [""; 0]);
        assert_eq!(with(&|seen| bond(seen, &["eth0"], both, &[])), ["member-down"]);
        assert_eq!(with(&|seen| bond(seen, &[], both, &[])), ["link-down"]);
        let lacp = [("eth0", "CURRENT"), ("eth1", "DEFAULTED")];
        assert_eq!(with(&move |seen| bond(seen, &["eth0"], both, &lacp)), ["lacp-defaulted"]);
        let lacp = [("eth0", "DEFAULTED"), ("eth1", "EXPIRED")];
        assert_eq!(with(&move |seen| bond(seen, &[], both, &lacp)), ["lacp-none"]);
    }

    #[test]
    fn a_guest_that_is_not_there_is_told_once() {
        let guest = |seen: &mut Seen| {
            seen.guests.push(Guest { name: "memif0/0".into(), kind: "memif", ..Guest::default() });
        };
        assert_eq!(codes("memif0/0", Admin::Up, Link::Up, guest), ["guest-off"]);
        assert_eq!(codes("memif0/0", Admin::Up, Link::Down, guest), ["link-down"]);
    }

    #[test]
    fn who_must_be_in_a_bridge_domain_is_looked_for_by_index() {
        use crate::host::vpp::bridge::{BridgeDomain, Member};
        let domain = |index| BridgeDomain {
            id: 10,
            members: vec![Member { name: "eth0".into(), index, split_horizon: None }],
            ..BridgeDomain::default()
        };
        let inside = move |seen: &mut Seen| seen.domain = Some(Some(domain(1)));
        assert_eq!(codes("eth0", Admin::Up, Link::Up, inside), [""; 0]);
        let outside = move |seen: &mut Seen| seen.domain = Some(Some(domain(2)));
        assert_eq!(codes("eth0", Admin::Up, Link::Up, outside), ["wrong-bridge"]);
        let nowhere = |seen: &mut Seen| {
            seen.domain = Some(None);
            seen.interfaces.found.clear();
        };
        assert_eq!(codes("eth0", Admin::Up, Link::Up, nowhere), ["absent"]);
    }
}
