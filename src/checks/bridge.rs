//! What the checks of bridges share: what is said where the kernel has no bridge of a name and Open
//! vSwitch has none either, or does not say.

use crate::checks::ovs_life::{self, LifeCodes};
use crate::host::link::Link;
use crate::host::ovs::daemon::Daemon;
use crate::host::process::Process;
use crate::host::{Trouble, Why};
use crate::plugin::report::Report;
use crate::plugin::spec::Code;

/// Whether a device is a bridge of the kernel.
pub(super) fn is_bridge(link: &Link) -> bool {
    link.kind.as_deref() == Some("bridge")
}

/// The kind of a device, as people say it.
pub(super) fn kind_words(link: &Link) -> String {
    match link.kind.as_deref() {
        None if link.loopback => "the loopback".to_owned(),
        None => "a physical device".to_owned(),
        Some("tun") => "a tap".to_owned(),
        Some("openvswitch") => "an internal port of Open vSwitch".to_owned(),
        Some(kind) => format!("a {kind} device"),
    }
}

/// The codes a check has for a bridge that is not there.
pub(super) struct Codes {
    /// Nothing has the name.
    pub(super) absent: &'static Code,
    /// Another device has the name.
    pub(super) not_bridge: &'static Code,
    /// What can be wrong with Open vSwitch.
    pub(super) life: LifeCodes,
}

/// What was heard of an Open vSwitch that did not name the bridge.
pub(super) struct Heard<'f> {
    pub(super) vswitchd: &'f Daemon,
    pub(super) server: Option<&'f Process>,
    /// None where the database has no such bridge.
    pub(super) trouble: Option<&'f Trouble>,
}

/// Says that there is no such bridge, or why that is not known. `ovs` is none on a machine without
/// Open vSwitch.
pub(super) fn missing(
    report: &mut Report,
    name: &str,
    device: Option<&Link>,
    ovs: Option<&Heard>,
    codes: &Codes,
) {
    if let Some(heard) = ovs {
        ovs_life::evidence(report, heard.vswitchd);
    }
    let trouble = ovs.and_then(|heard| Some((heard, heard.trouble?)));
    match (device, trouble) {
        (Some(link), None) if ovs.is_none() && may_be_of_ovs(link) => {
            let kind = kind_words(link);
            let text = format!("{name} is {kind}, no Linux bridge, and Open vSwitch does not run");
            report.find(codes.not_bridge, text);
        }
        (Some(link), None) => {
            report.find(codes.not_bridge, format!("{name} is {}, not a bridge", kind_words(link)));
        }
        (Some(link), Some((_, trouble))) if !may_be_of_ovs(link) => {
            report.note(trouble.to_string());
            report.find(codes.not_bridge, format!("{name} is {}, not a bridge", kind_words(link)));
        }
        (None, None) => {
            report.find(codes.absent, format!("{name} does not exist: {}", nobody(ovs.is_some())));
        }
        // Nothing listens because nothing runs: a directory that was left behind says no more.
        (None, Some((_, Trouble { why: Why::Absent, whom }))) => {
            report.note(format!("{whom} is not there"));
            let text = "no device has this name, and Open vSwitch does not run";
            report.find(codes.absent, format!("{name} does not exist: {text}"));
        }
        (device, Some((heard, trouble))) => {
            let (code, text) = ovs_life::database_trouble(trouble, heard.server, &codes.life);
            let is = if device.is_some() { "is" } else { "is no device," };
            report.find(code, format!("{name} {is} perhaps a bridge of Open vSwitch: {text}"));
        }
    }
}

fn nobody(ovs: bool) -> &'static str {
    if ovs {
        "neither the kernel nor Open vSwitch has a bridge of this name"
    } else {
        "no device in this network namespace has this name"
    }
}

/// A bridge of Open vSwitch has a device of its name, and that is of one of these kinds.
fn may_be_of_ovs(link: &Link) -> bool {
    matches!(link.kind.as_deref(), Some("tun" | "openvswitch"))
}

/// Says what is wrong with the daemon that forwards.
pub(super) fn judge_life(report: &mut Report, vswitchd: &Daemon, codes: &LifeCodes) {
    ovs_life::judge(report, vswitchd, codes, "what the database says is stale");
}
