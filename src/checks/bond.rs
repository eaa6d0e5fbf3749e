//! Whether the members of a bond of the kernel work. The bond has link while one of them does, so
//! that nothing else tells a lost one until the last is lost.

use crate::checks::device::{self, DeviceCodes};
use crate::host::link::{Link, Member, Watch};
use crate::plugin::spec::Code;

/// The codes a check has for what can be wrong with the members of a bond.
#[derive(Clone, Copy)]
pub(super) struct BondCodes {
    /// A member is down or not used, others work.
    pub(super) member_down: &'static Code,
    /// 802.3ad without a partner: one member carries all.
    pub(super) lacp_fallback: &'static Code,
}

type Fault = (&'static Code, String);

/// Whether a device is a bond.
pub(super) fn is_bond(link: &Link) -> bool {
    link.kind.as_deref() == Some("bond")
}

/// What is wrong with these members of a bond, as sentences without its name.
pub(super) fn faults(bond: &Link, members: &[&Link], codes: BondCodes) -> Vec<Fault> {
    let fallback = falls_back(bond);
    let mut faults = Vec::new();
    if fallback {
        let text = "no LACP partner, one member carries all".to_owned();
        faults.push((codes.lacp_fallback, text));
    }
    for member in members {
        // Without any partner the others are idle, which has been said.
        let idle = idle(member, bond).filter(|_| !fallback);
        if let Some(text) = down(member, codes.member_down).or(idle) {
            faults.push((codes.member_down, format!("member {} {text}", member.name)));
        }
    }
    faults
}

/// Whether a member carries packets, or would as a spare one.
pub(super) fn works(member: &Link, bond: &Link, codes: BondCodes) -> bool {
    down(member, codes.member_down).or_else(|| idle(member, bond)).is_none()
}

fn down(member: &Link, code: &'static Code) -> Option<String> {
    let codes = DeviceCodes { admin_down: code, link_down: code, not_ready: code };
    device::fault(member, &codes).map(|(_, text)| text)
}

/// Why a bond does not use a member that has link, as a clause behind its name. A spare one is used.
/// What a bond that is switched off knows of its members is old.
pub(super) fn idle(member: &Link, bond: &Link) -> Option<String> {
    let (seen, of) = (member.member?, bond.bond.as_deref()?);
    if !bond.admin_up {
        return None;
    }
    let lacp = of.mode == Some("802.3ad");
    let text = match seen.watch {
        Watch::Fail | Watch::Down => "the bond sees it down (ARP or MII monitor)",
        Watch::Back => "the bond waits for its updelay",
        Watch::Up if lacp && (seen.backup || seen.aggregator != of.aggregator) => {
            if seen.lonely == Some(true) {
                "no LACP partner"
            } else if seen.aggregator != of.aggregator {
                "is in another LACP aggregator: other partner, speed or duplex"
            } else {
                "has not agreed with its LACP partner"
            }
        }
        Watch::Up => return None,
    };
    Some(format!("has link, but {text}"))
}

/// Without an LACP partner the kernel lets one member carry packets as if it were alone
/// (`ad_agg_selection_logic`).
fn falls_back(bond: &Link) -> bool {
    let lacp = bond.bond.as_deref().filter(|bond| bond.aggregator.is_some());
    bond.admin_up && bond.lower_up && lacp.is_some_and(|bond| !bond.has_partner)
}

/// What was read of a member.
pub(super) fn evidence(member: &Link, bond: &Link) -> String {
    let onoff = |up| if up { "up" } else { "down" };
    let word = match member.member {
        Some(Member { backup: true, .. }) => "backup",
        Some(Member { backup: false, .. }) => "active",
        None => "untold",
    };
    let aggregator = member.member.and_then(|seen| seen.aggregator);
    let aggregator = aggregator.map(|id| format!(", aggregator {id}")).unwrap_or_default();
    format!(
        "{}: {word} member of {}{aggregator}, admin {}, carrier {} (netlink)",
        member.name,
        bond.name,
        onoff(member.admin_up),
        onoff(member.lower_up),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::link::captured_bond;
    use crate::manifest::check_pnic_ovs::code;

    const CODES: BondCodes =
        BondCodes { member_down: code::MEMBER_DOWN, lacp_fallback: code::LACP_FALLBACK };

    fn told(bond: &Link, members: &[Link]) -> Vec<String> {
        let faults = faults(bond, &members.iter().collect::<Vec<_>>(), CODES);
        faults.into_iter().map(|(code, text)| format!("{}: {text}", code.name)).collect()
    }

    fn working(bond: &Link, members: &[Link]) -> usize {
        members.iter().filter(|member| works(member, bond, CODES)).count()
    }

    #[test]
    fn captured_bonds_are_judged_as_they_were() {
        let cases: &[(&str, &[&str], usize)] = &[
            ("backup", &[], 2),
            ("backup-no-carrier", &["member-down: member b0 has no link (no carrier)"], 1),
            ("backup-off", &["member-down: member b1 is switched off (admin-down)"], 1),
            (
                "backup-all-down",
                &[
                    "member-down: member b0 has no link (no carrier)",
                    "member-down: member b1 is switched off (admin-down)",
                ],
                0,
            ),
            ("lacp", &[], 2),
            ("lacp-none", &["lacp-fallback: no LACP partner, one member carries all"], 1),
            ("lacp-other-aggregator", &["member-down: member m0 has link, but no LACP partner"], 2),
            (
                "lacp-no-carrier",
                &[
                    "member-down: member l1 has no link (no carrier)",
                    "member-down: member m0 has link, but no LACP partner",
                ],
                1,
            ),
            ("empty", &[], 0),
        ];
        for (name, expected, working_members) in cases {
            let (bond, members) = captured_bond(name);
            assert_eq!(told(&bond, &members), *expected, "{name}");
            assert_eq!(working(&bond, &members), *working_members, "{name}");
        }
    }

    #[test]
    fn a_member_with_link_may_be_out_of_use() {
        let said = |name: &str, change: fn(&mut crate::host::link::Member)| {
            let (bond, mut members) = captured_bond(name);
            change(members[0].member.as_mut().expect("a member"));
            assert_eq!(working(&bond, &members), members.len() - 1, "{name}");
            told(&bond, &members)
        };
        let member = |name: &str, text: &str| {
            vec![format!("member-down: member {name} has link, but {text}")]
        };
        let seen_down = "the bond sees it down (ARP or MII monitor)";
        assert_eq!(said("backup", |m| m.watch = Watch::Down), member("b0", seen_down));
        assert_eq!(said("backup", |m| m.watch = Watch::Fail), member("b0", seen_down));
        let waits = "the bond waits for its updelay";
        assert_eq!(said("backup", |m| m.watch = Watch::Back), member("b0", waits));
        let other = "is in another LACP aggregator: other partner, speed or duplex";
        assert_eq!(said("lacp", |m| m.aggregator = Some(2)), member("l0", other));
        let not_agreed = "has not agreed with its LACP partner";
        assert_eq!(said("lacp", |m| m.backup = true), member("l0", not_agreed));
    }

    #[test]
    fn a_bond_that_is_switched_off_knows_nothing_of_its_members() {
        let (mut bond, mut members) = captured_bond("lacp-none");
        bond.admin_up = false;
        members[0].member.as_mut().expect("a member").watch = Watch::Down;
        assert_eq!(told(&bond, &members), Vec::<String>::new());
    }

    #[test]
    fn what_the_kernel_does_not_tell_of_a_member_is_not_said() {
        let (bond, mut members) = captured_bond("backup");
        assert!(evidence(&members[1], &bond).contains("backup member of"), "{members:?}");
        members[1].member = None;
        assert!(evidence(&members[1], &bond).contains("untold member of"), "{members:?}");
    }
}
