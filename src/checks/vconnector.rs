//! A bridge: of the kernel or of Open vSwitch, whichever has the name.
//!
//! A bridge of the kernel works when it is switched on, its ports have a carrier and none is
//! blocked; one without ports is in order. A bridge of Open vSwitch works when ovs-vswitchd has made
//! it and lives; the device of its name is normally down.

use crate::checks::bridge::{self, Codes, Heard};
use crate::checks::ovs_life::LifeCodes;
use crate::checks::ovs_place::PlaceArgs;
use crate::checks::{Check, without_answer};
use crate::host::link::{Link, PortState};
use crate::host::netlink::Dump;
use crate::host::ovs::Place;
use crate::host::ovs::bridges::{self, Configured, Seen};
use crate::host::{Host, Trouble};
use crate::manifest::check_vconnector::{SPEC, code, fact, metric};
use crate::plugin::code::USAGE;
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::text::count;
use clap::ArgGroup;

/// See [`SPEC`].
pub struct Vconnector;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("vconnector").required(true))]
pub struct Args {
    /// Name of the bridge
    #[arg(value_name = "BRIDGE", group = "vconnector", value_parser = bridge::name)]
    pub bridge: Option<String>,
    /// Where Open vSwitch is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// What has the name.
#[derive(Debug)]
pub enum Facts {
    /// A bridge of the kernel.
    Linux(Box<Linux>),
    /// No bridge of the kernel.
    Other {
        /// The device of that name, if there is one.
        device: Option<Link>,
        /// What Open vSwitch has; none on a machine without it.
        ovs: Option<Box<Seen>>,
    },
    /// The kernel did not say.
    Unseen(Trouble),
    /// The arguments do not say which.
    Usage(String),
}

/// A bridge of the kernel.
#[derive(Debug)]
pub struct Linux {
    /// The bridge.
    pub bridge: Link,
    /// Its ports.
    pub ports: Result<Dump<Link>, Trouble>,
    /// Addresses it has learned.
    pub learned: Result<u64, Trouble>,
    /// Whether Open vSwitch has a bridge of the same name.
    pub namesake: Namesake,
}

/// Whether Open vSwitch has a bridge of the same name as the kernel.
#[derive(Debug)]
pub enum Namesake {
    /// There is no Open vSwitch.
    NoOvs,
    /// It has no socket of that name, so it was not asked.
    NoSocket,
    /// What its database says.
    Asked(Result<bool, Trouble>),
}

const CODES: Codes = Codes {
    absent: code::ABSENT,
    not_bridge: code::NOT_BRIDGE,
    life: LifeCodes {
        no_process: code::NO_PROCESS,
        stopped: code::STOPPED,
        refused: code::REFUSED,
    },
};

impl Check for Vconnector {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Facts;

    fn gather(args: &Args, host: &Host) -> Facts {
        match args.place.place() {
            Ok(place) => look(host, &place, args.name()).unwrap_or_else(Facts::Unseen),
            Err(why) => Facts::Usage(why),
        }
    }

    fn judge(facts: &Facts, args: &Args, _past: &Past) -> Report {
        let name = args.name();
        let mut report = Report::about(name);
        match facts {
            Facts::Linux(linux) => judge_linux(&mut report, linux),
            Facts::Other { device, ovs } => {
                judge_ovs(&mut report, name, device.as_ref(), ovs.as_deref());
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

impl Args {
    /// The command line has one, or it was refused.
    fn name(&self) -> &str {
        self.bridge.as_deref().unwrap_or_default()
    }
}

/// The kernel is asked first: what it has is judged without waiting for Open vSwitch.
fn look(host: &Host, place: &Place, name: &str) -> Result<Facts, Trouble> {
    let route = host.route()?;
    let device = route.link(name)?;
    if let Some(bridge) = device.clone().filter(bridge::is_bridge) {
        let ports = route.links_of(bridge.index);
        let learned = match bridge.bridge.and_then(|facts| facts.learned) {
            Some(learned) => Ok(u64::from(learned)),
            None => route.count_learned(bridge.index).map(|n| n as u64),
        };
        let namesake = namesake(host, place, name);
        return Ok(Facts::Linux(Box::new(Linux { bridge, ports, learned, namesake })));
    }
    let ovs = bridges::is_here(place).then(|| Box::new(host.ovs_bridge(place, name)));
    Ok(Facts::Other { device, ovs })
}

/// ovs-vswitchd makes the socket of a bridge also where the kernel's has taken the device's name,
/// so without the socket there is nothing to ask about. It may be left over from a crash: the
/// database knows.
fn namesake(host: &Host, place: &Place, name: &str) -> Namesake {
    if bridges::has_socket(place, name) {
        Namesake::Asked(host.ovs_has_bridge(place, name))
    } else if bridges::is_here(place) {
        Namesake::NoSocket
    } else {
        Namesake::NoOvs
    }
}

fn judge_linux(report: &mut Report, linux: &Linux) {
    let Linux { bridge, ports, learned, namesake } = linux;
    let name = &bridge.name;
    report.when_ok = format!("{name} is up, a Linux bridge");
    if !bridge.admin_up {
        report.find(code::ADMIN_DOWN, format!("{name} is switched off (admin-down)"));
    }
    match ports {
        Ok(ports) => {
            judge_ports(report, bridge, ports);
            report.when_ok += &format!(" with {}", count(ports.items.len(), "port"));
        }
        Err(trouble) => {
            let (code, text) = without_answer(trouble, "");
            report.find(code, format!("the ports of {name}: {text}"));
        }
    }
    judge_namesake(report, name, namesake);
    let facts = bridge.bridge.unwrap_or_default();
    match learned {
        Ok(learned) => report.measure(metric::FDB_ENTRIES, *learned as f64),
        Err(trouble) => report.note(format!("addresses not counted: {trouble}")),
    }
    report.measure(metric::AGEING, facts.ageing.map(|n| f64::from(n) / 100.0));
    report.fact(fact::KIND.name, None, "linux");
    report.fact(fact::STP.name, None, on_off(facts.stp));
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn judge_ports(report: &mut Report, bridge: &Link, ports: &Dump<Link>) {
    let name = &bridge.name;
    let of_state = |state: PortState| -> Vec<&str> {
        let ports = ports.items.iter().filter(|link| state_of(link) == state);
        ports.map(|link| link.name.as_str()).collect()
    };
    let forwarding = of_state(PortState::Forwarding).len();
    let all = ports.items.len();
    if bridge.admin_up && !bridge.lower_up && all > 0 {
        let text = format!("{name} has no carrier: none of its {} forwards", count(all, "port"));
        report.find(code::LINK_DOWN, text);
    }
    let blocked = of_state(PortState::Blocking);
    if !blocked.is_empty() {
        let text = format!("{name}: the spanning tree blocks {}", some_of(&blocked));
        report.find(code::BLOCKED, text);
    }
    report.measure(metric::PORTS, all as f64);
    report.measure(metric::FORWARDING, forwarding as f64);
    let states = [PortState::Listening, PortState::Learning, PortState::Disabled].map(|state| {
        let those = of_state(state);
        let words = format!(", {} {}", state.word(), some_of(&those));
        if those.is_empty() { String::new() } else { words }
    });
    report.fine(format!(
        "{name}: Linux bridge, admin {}, carrier {}, STP {}, {}, {forwarding} forwarding{} (netlink)",
        up_down(bridge.admin_up),
        up_down(bridge.lower_up),
        on_off(bridge.bridge.is_some_and(|facts| facts.stp)),
        count(all, "port"),
        states.concat(),
    ));
    if ports.torn {
        report.note("the list of ports changed all the time while it was read");
    }
}

fn state_of(link: &Link) -> PortState {
    link.port.unwrap_or_default().state
}

fn up_down(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

/// The first names of several.
fn some_of(names: &[&str]) -> String {
    const FEW: usize = 4;
    let first = names.iter().take(FEW).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(FEW) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn judge_namesake(report: &mut Report, name: &str, namesake: &Namesake) {
    match namesake {
        Namesake::NoOvs => {}
        Namesake::NoSocket => {
            report
                .fine(format!("Open vSwitch not asked: it has no {name}.mgmt, so no such bridge"));
        }
        Namesake::Asked(Ok(false)) => {
            report.fine(format!("{name}.mgmt is a leftover: Open vSwitch has no such bridge"));
        }
        Namesake::Asked(Ok(true)) => {
            let text =
                format!("{name} is a Linux bridge, but Open vSwitch has one of this name too");
            report.find(code::BOTH, text);
        }
        Namesake::Asked(Err(trouble)) => {
            let text = "whether Open vSwitch has a bridge of this name too is not known";
            report.note(format!("{text}: {trouble}"));
        }
    }
}

fn judge_ovs(report: &mut Report, name: &str, device: Option<&Link>, ovs: Option<&Seen>) {
    let Some(seen) = ovs else { return bridge::missing(report, name, device, None, &CODES) };
    match &seen.bridge {
        Ok(Some(configured)) => {
            judge_configured(report, name, seen, configured);
        }
        Ok(None) => bridge::missing(report, name, device, Some(&heard(seen, None)), &CODES),
        Err(trouble) => {
            bridge::missing(report, name, device, Some(&heard(seen, Some(trouble))), &CODES);
        }
    }
}

fn heard<'f>(seen: &'f Seen, trouble: Option<&'f Trouble>) -> Heard<'f> {
    Heard { vswitchd: &seen.vswitchd, server: seen.server.as_ref(), trouble }
}

fn judge_configured(report: &mut Report, name: &str, seen: &Seen, configured: &Configured) {
    /// What ovs-vswitchd takes where `mac-aging-time` is not set, s.
    const AGEING: f64 = 300.0;
    bridge::judge_life(report, &seen.vswitchd, &CODES.life);
    let Configured { row, local, controllers: (controllers, connected) } = configured;
    let local = local.as_ref();
    if let Some(error) = local.and_then(|local| local.error.0.as_ref()) {
        report.find(code::ERROR, format!("{name}: {error}"));
    } else if local.and_then(|local| local.ofport.0).is_none_or(|number| number < 0) {
        report.find(code::NOT_CONFIGURED, format!("ovs-vswitchd has not made {name}"));
    }
    // Its own port, LOCAL, is one of the row's.
    let ports = row.ports.0.len().saturating_sub(1);
    let fail_mode = row.fail_mode.0.as_deref().unwrap_or("standalone");
    let controller = match (controllers, connected) {
        (0, _) => "none",
        (_, 0) => "disconnected",
        _ => "connected",
    };
    report.when_ok = format!(
        "{name} is a bridge of Open vSwitch with {}; ovs-vswitchd lives",
        count(ports, "port")
    );
    report.fine(format!(
        "{name}: Open vSwitch bridge, {}, fail mode {fail_mode}, {connected} of {controllers} \
         controllers connected (OVSDB)",
        count(ports, "port"),
    ));
    report.measure(metric::PORTS, ports as f64);
    report.measure(metric::FDB_ENTRIES, seen.addresses.map(|n| n as f64));
    let ageing = row.other_config.get("mac-aging-time").and_then(|text| text.parse().ok());
    report.measure(metric::AGEING, ageing.unwrap_or(AGEING));
    report.fact(fact::KIND.name, None, "ovs");
    report.fact(fact::FAIL_MODE.name, None, fail_mode);
    report.fact(fact::CONTROLLER.name, None, controller);
}
