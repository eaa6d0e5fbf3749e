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
}
