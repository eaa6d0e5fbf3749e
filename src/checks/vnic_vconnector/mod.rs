//! The link between a vNIC and its bridge: the guest's address is reached through the right port.
//!
//! The right port is the one of `--port`; else the guest's tap, which libvirt gives the guest's
//! address with 0xfe in front; else any that does not lead away from this host's guests. A bridge of
//! the kernel that learns nothing (ageing 0, as os-vif sets it for hybrid plugging) is judged by
//! that port alone.

mod linux;
mod ovs;
#[cfg(test)]
mod tests;

use crate::checks::ovs_place::PlaceArgs;
use crate::checks::{Check, bridge, without_answer};
use crate::host::link::Link;
use crate::host::mac::Mac;
use crate::host::ovs::{Place, bridges};
use crate::host::{Host, Trouble, words};
use crate::manifest::check_vnic_vconnector::{SPEC, fact, metric};
use crate::plugin::code::USAGE;
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::text::span;
use linux::Linux;
use ovs::Ovs;
use std::time::Duration;

/// See [`SPEC`].
pub struct VnicVconnector;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the bridge
    #[arg(value_parser = words::name)]
    pub bridge: String,
    /// Address of the vNIC, as the guest has it, in any notation
    pub mac: Mac,
    /// The port it must be behind [default: the guest's tap; else any but an uplink]
    #[arg(long, value_name = "NAME", value_parser = words::name)]
    pub port: Option<String>,
    /// Where Open vSwitch is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// What has the bridge's name.
#[derive(Debug)]
pub enum Facts {
    /// A bridge of the kernel.
    Linux(Box<Linux>),
    /// No bridge of the kernel.
    Other {
        /// The device of that name, if there is one.
        device: Option<Box<Link>>,
        /// What Open vSwitch has; none on a machine without it.
        ovs: Option<Box<Ovs>>,
    },
    /// The kernel did not say.
    Unseen(Trouble),
    /// The arguments do not say which.
    Usage(String),
}

impl Check for VnicVconnector {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Facts;

    fn gather(args: &Args, host: &Host) -> Facts {
        match args.place.place() {
            Ok(place) => look(host, &place, args).unwrap_or_else(Facts::Unseen),
            Err(why) => Facts::Usage(why),
        }
    }

    fn judge(facts: &Facts, args: &Args, _past: &Past) -> Report {
        let mut report = Report::about(format!("{} on {}", args.mac, args.bridge));
        match facts {
            Facts::Linux(linux) => linux::judge(&mut report, linux, args),
            Facts::Other { device, ovs } => {
                ovs::judge(&mut report, device.as_deref(), ovs.as_deref(), args);
            }
            Facts::Unseen(trouble) => {
                let (code, text) = without_answer(trouble, "");
                report.find(code, text);
            }
            Facts::Usage(why) => report.find(&USAGE, why.clone()),
        }
        report
    }
}

fn look(host: &Host, place: &Place, args: &Args) -> Result<Facts, Trouble> {
    let route = host.route()?;
    match route.link(&args.bridge)? {
        Some(bridge) if bridge::is_bridge(&bridge) => {
            let linux = linux::look(host, &route, place, bridge, args)?;
            Ok(Facts::Linux(Box::new(linux)))
        }
        device => {
            let ovs = bridges::is_here(place).then(|| Box::new(ovs::look(host, place, args)));
            Ok(Facts::Other { device: device.map(Box::new), ovs })
        }
    }
}

/// Why what is behind a device of the kernel is not on this host, for its kind alone.
fn leads_out(device: &Link) -> Option<String> {
    const KINDS: &[&str] =
        &["vlan", "vxlan", "bond", "team", "gretap", "ip6gretap", "erspan", "geneve", "macvlan"];
    match device.kind.as_deref() {
        None => Some("a physical device".to_owned()),
        Some(kind) => KINDS.contains(&kind).then(|| format!("a {kind} device")),
    }
}

fn how_words(origin: &str, age: Option<Duration>) -> String {
    let ago = age.map(|age| format!(", seen {} ago", span(age.as_secs())));
    format!("{origin}{}", ago.unwrap_or_default())
}

fn told(report: &mut Report, origin: &str, port: &str) {
    report.fact(fact::ORIGIN.name, None, origin);
    report.fact(fact::PORT.name, None, port);
}

/// An address may be known in several VLANs: it was last seen in the youngest.
fn measure_age(report: &mut Report, ages: impl Iterator<Item = Duration>) {
    report.measure(metric::AGE, ages.min().map(|age| age.as_secs_f64()));
}
