//! The interfaces of a namespace: seen from inside, or by their partners outside.

use crate::checks::device::{self, DeviceCodes};
use crate::checks::without_answer;
use crate::host::foothold::Foothold;
use crate::host::link::Link;
use crate::host::netns::Netns;
use crate::host::{Host, Trouble, Why};
use crate::manifest::check_vservice::code;
use crate::plugin;
use crate::plugin::report::Report;
use crate::plugin::text::count;

/// The interfaces of a namespace, but its loopback.
#[derive(Debug)]
pub enum Interfaces {
    /// Seen from inside.
    Inside(Vec<Link>),
    /// Their partners in our namespace: enough to see that they have a link.
    NearEnds {
        /// The partners.
        links: Vec<Link>,
        /// How many interfaces have none here, or cannot be counted.
        beyond: Beyond,
    },
    /// Why they are not seen.
    Unseen(Trouble),
}

/// Interfaces of a namespace that have no partner in ours: those of Open vSwitch, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// As many.
    Counted(usize),
    /// No process of the namespace is known that would show them.
    Uncounted,
}

const INTERFACE_REMEDY: &str = "give the check cap_sys_admin, or run it as root";

const DEVICE_CODES: DeviceCodes = DeviceCodes {
    admin_down: code::ADMIN_DOWN,
    link_down: code::LINK_DOWN,
    not_ready: code::NOT_READY,
};

/// The interfaces, with a process of the namespace through which they can be counted, if one is known.
pub(super) fn seen(
    host: &Host,
    netns: &Netns,
    inside: &Foothold,
    window: Option<i32>,
) -> Interfaces {
    match host.devices_inside(inside) {
        Ok(links) => Interfaces::Inside(links),
        Err(trouble) if trouble.why == Why::Forbidden => match host.near_ends(netns) {
            Ok(links) if !links.is_empty() => {
                let all = window.and_then(|pid| host.device_names(pid).ok());
                let beyond = all.map(|all| Beyond::Counted(all.len().saturating_sub(links.len())));
                Interfaces::NearEnds { links, beyond: beyond.unwrap_or(Beyond::Uncounted) }
            }
            _ => Interfaces::Unseen(trouble),
        },
        Err(trouble) => Interfaces::Unseen(trouble),
    }
}

pub(super) fn judge(report: &mut Report, interfaces: &Interfaces, is_backup: bool) {
    let (links, place) = match interfaces {
        Interfaces::Inside(links) => (links, "in the namespace"),
        Interfaces::NearEnds { links, .. } => (links, "the near ends of its veth pairs"),
        Interfaces::Unseen(trouble) => {
            let (code, _) = without_answer(trouble, INTERFACE_REMEDY);
            let text = format!("its interfaces may not be seen: {trouble}; {INTERFACE_REMEDY}");
            return report.find(code, text);
        }
    };
    let mut fine = Vec::new();
    for link in links {
        match device::fault(link, &DEVICE_CODES) {
            None => fine.push(link.name.as_str()),
            // Neutron keeps the gateway of a waiting HA router switched off.
            Some((code, what))
                if *code == *code::ADMIN_DOWN && is_backup && link.name.starts_with("qg-") =>
            {
                report.fine(format!("{} {what}, as on a backup", link.name));
            }
            Some((code, what)) => report.find(code, format!("{} {what}", link.name)),
        }
    }
    if links.is_empty() {
        report.fine("no interface of its own but the loopback");
    } else if !fine.is_empty() {
        report.fine(format!("{}: up ({place})", fine.join(", ")));
    }
    let all_fine = fine.len() == links.len();
    if let (Interfaces::NearEnds { beyond, .. }, true) = (interfaces, all_fine) {
        judge_beyond(report, *beyond);
    }
}

/// What is not seen is not up for that.
fn judge_beyond(report: &mut Report, beyond: Beyond) {
    let text = match beyond {
        Beyond::Counted(0) => return,
        Beyond::Counted(n) => format!("{} of it may not be seen", count(n, "interface")),
        Beyond::Uncounted => "whether it has other interfaces may not be seen".to_owned(),
    };
    report.find(&plugin::code::FORBIDDEN, format!("{text}; {INTERFACE_REMEDY}"));
}
