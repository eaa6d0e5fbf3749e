//! Virtual interfaces of VPP: vhost-user, tap, memif.

use crate::checks::Check;
use crate::checks::vpp_interfaces::{self, Args, Codes, Facts, Kind, Known, Metrics};
use crate::checks::vpp_place::LifeCodes;
use crate::host::Host;
use crate::manifest::check_vnic_vpp::{SPEC, code, fact, metric};
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::verdict::Asked;

/// See [`SPEC`].
pub struct VnicVpp;

const KIND: Kind = Kind {
    noun: "vNIC",
    is: is_vnic,
    bonds: false,
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

impl Check for VnicVpp {
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

/// `VirtualEthernet0/0/0`, `tap0` and `tap-0`, `memif0/0`, `vhost-...`.
fn is_vnic(name: &str) -> bool {
    ["VirtualEthernet", "tap", "memif", "vhost"].iter().any(|kind| name.starts_with(kind))
}
