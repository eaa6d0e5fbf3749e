//! Whether a network device works: switched on, with carrier, operstate up or unknown. Unknown is
//! normal: taps, the loopback, vxlan devices and bridges without ports do not report one.

use crate::host::link::{Link, OperState};
use crate::plugin::spec::Code;

/// The codes a check has for what can be wrong with a device.
pub(super) struct DeviceCodes {
    /// Switched off.
    pub(super) admin_down: &'static Code,
    /// No carrier, or its lower device is down.
    pub(super) link_down: &'static Code,
    /// Carrier, but not ready.
    pub(super) not_ready: &'static Code,
}

/// What keeps a device from working, as a clause behind its name; `None` if it works.
pub(super) fn fault(link: &Link, codes: &DeviceCodes) -> Option<(&'static Code, String)> {
    if !link.admin_up {
        return Some((codes.admin_down, "is switched off (admin-down)".to_owned()));
    }
    let down = |what: &str| Some((codes.link_down, what.to_owned()));
    match link.operstate {
        OperState::LowerLayerDown => down("has no link: its partner or lower device is down"),
        OperState::NotPresent => down("is not present"),
        _ if !link.lower_up => down("has no link (no carrier)"),
        OperState::Up | OperState::Unknown => None,
        OperState::Down => down("is down though it has a carrier"),
        other => Some((codes.not_ready, format!("has a carrier but is not ready ({other})"))),
    }
}
