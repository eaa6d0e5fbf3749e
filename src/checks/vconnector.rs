//! A bridge: of the kernel or of Open vSwitch, whichever has the name; or a bridge domain of VPP.
//!
//! A bridge of the kernel works when it is switched on, its ports have a carrier and none is
//! blocked; one without ports is in order. A bridge of Open vSwitch works when ovs-vswitchd has made
//! it and lives; the device of its name is normally down.

use crate::checks::bridge::{self, Codes, Heard};
use crate::checks::ovs_life::LifeCodes;
use crate::checks::ovs_place::PlaceArgs;
use crate::checks::vconnector_vpp;
use crate::checks::vpp_place;
use crate::checks::{Check, without_answer};
use crate::host::link::{Link, PortState};
use crate::host::netlink::Dump;
use crate::host::ovs::Place;
use crate::host::ovs::bridges::{self, Configured, Seen};
use crate::host::vpp::NoAnswer;
use crate::host::vpp::bridge::Bridge;
use crate::host::{Host, Trouble, words};
use crate::manifest::check_vconnector::{SPEC, code, fact, metric};
use crate::plugin::code::{UNREADABLE, USAGE};
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::text::count;
use crate::rights;
use clap::ArgGroup;

/// See [`SPEC`].
pub struct Vconnector;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("vconnector").required(true))]
#[command(mut_arg("rundir", |arg| arg.conflicts_with("vpp")))]
#[command(mut_arg("db", |arg| arg.conflicts_with("vpp")))]
#[command(mut_arg("socket", |arg| arg.conflicts_with("bridge")))]
pub struct Args {
    /// Name of the bridge
    #[arg(value_name = "BRIDGE", group = "vconnector", value_parser = words::name)]
    pub bridge: Option<String>,
    /// Number of a bridge domain of VPP
    #[arg(long, value_name = "ID", group = "vconnector", value_parser = vconnector_vpp::id())]
    pub vpp: Option<u32>,
    /// Where Open vSwitch is.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Where VPP is.
    #[command(flatten)]
    pub vpp_place: vpp_place::PlaceArgs,
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
    /// What VPP says of the bridge domain with this number; `None` where it has none.
    Vpp(u32, Result<Option<Bridge>, Box<NoAnswer>>),
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
        let looked = match args.vpp {
            Some(id) => {
                // They are for Open vSwitch.
                rights::give_up_all();
                Ok(Facts::Vpp(id, host.vpp_bridge(&args.vpp_place.place(), id)))
            }
            None => {
                let place = args.place.place();
                place.map(|place| look(host, &place, args.name()).unwrap_or_else(Facts::Unseen))
            }
        };
        looked.unwrap_or_else(Facts::Usage)
    }

    fn judge(facts: &Facts, args: &Args, _past: &Past) -> Report {
        let name = args.name();
        let mut report = Report::about(name);
        match facts {
            Facts::Linux(linux) => judge_linux(&mut report, linux),
            Facts::Other { device, ovs } => {
                judge_ovs(&mut report, name, device.as_ref(), ovs.as_deref());
            }
            Facts::Vpp(id, bridge) => report = vconnector_vpp::judge(*id, bridge),
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
    /// The command line has one, or it is about VPP.
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
            None => host.route()?.count_learned(bridge.index).map(|n| n as u64),
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

pub(super) fn on_off(on: bool) -> &'static str {
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
        let text = format!("{name} has no carrier, though it has {}", count(all, "port"));
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
        let text = "the list of ports changed all the time while it was read";
        report.find(&UNREADABLE, text);
    }
}

fn state_of(link: &Link) -> PortState {
    link.port.unwrap_or_default().state
}

fn up_down(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

/// The first names of several.
pub(super) fn some_of(names: &[&str]) -> String {
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
    let controllers = match controllers {
        0 => "no controller".to_owned(),
        all => format!("{connected} of {} connected", count(*all, "controller")),
    };
    report.fine(format!(
        "{name}: Open vSwitch bridge, {}, fail mode {fail_mode}, {controllers} (OVSDB)",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Why;
    use crate::host::link::{Bridge, Port};
    use crate::host::ovs::daemon::Daemon;
    use crate::host::ovs::row::Interface;
    use crate::host::ovsdb::value::{Map, Optional, Set, Uuid};
    use crate::plugin::report::Report;
    use std::time::Duration;

    fn bridge(admin_up: bool, lower_up: bool) -> Link {
        let facts = Bridge { ageing: Some(30_000), learned: Some(7), ..Bridge::default() };
        let kind = Some("bridge".into());
        let bridge = Some(facts);
        Link { name: "br0".into(), kind, bridge, admin_up, lower_up, ..Link::default() }
    }

    fn port(name: &str, state: PortState) -> Link {
        let port = Some(Port { state, number: Some(1) });
        Link { name: name.into(), port, ..Link::default() }
    }

    fn linux(bridge: Link, ports: Vec<Link>) -> Linux {
        Linux {
            bridge,
            ports: Ok(Dump { items: ports, torn: false }),
            learned: Ok(7),
            namesake: Namesake::NoOvs,
        }
    }

    fn judged(facts: Facts) -> Report {
        let place = PlaceArgs { rundir: None, db: None };
        let vpp_place = vpp_place::PlaceArgs { socket: None };
        let args = Args { bridge: Some("br0".into()), vpp: None, place, vpp_place };
        Vconnector::judge(&facts, &args, &Past::default())
    }

    fn codes(facts: Facts) -> Vec<&'static str> {
        judged(facts).findings.iter().map(|finding| finding.code.name).collect()
    }

    fn of_linux(bridge: Link, ports: Vec<Link>) -> Vec<&'static str> {
        codes(Facts::Linux(Box::new(linux(bridge, ports))))
    }

    fn forwarding() -> Vec<Link> {
        vec![port("tap1", PortState::Forwarding)]
    }

    #[test]
    fn a_bridge_of_the_kernel_works_when_it_is_up_and_has_a_carrier_or_no_port() {
        assert!(of_linux(bridge(true, true), forwarding()).is_empty());
        assert!(of_linux(bridge(true, false), vec![]).is_empty());
        assert_eq!(of_linux(bridge(false, false), forwarding()), ["admin-down"]);
        let down = vec![port("tap1", PortState::Disabled)];
        assert_eq!(of_linux(bridge(true, false), down), ["link-down"]);
        let mut mixed = forwarding();
        mixed.push(port("leaf", PortState::Blocking));
        mixed.push(port("slow", PortState::Learning));
        assert_eq!(of_linux(bridge(true, true), mixed), ["blocked"]);
    }

    #[test]
    fn what_is_measured_is_what_was_read() {
        let report = judged(Facts::Linux(Box::new(linux(bridge(true, true), forwarding()))));
        let measured: Vec<_> = report.metrics.iter().map(|m| (m.spec.name, m.value)).collect();
        let expected =
            [("ports", 1.0), ("forwarding", 1.0), ("fdb_entries", 7.0), ("ageing", 300.0)];
        assert_eq!(measured, expected);
        let mut unknown = linux(bridge(true, true), vec![]);
        unknown.ports = Err(trouble(Why::Failed("no".into())));
        unknown.learned = Err(trouble(Why::Failed("no".into())));
        let report = judged(Facts::Linux(Box::new(unknown)));
        assert_eq!(report.findings[0].code.name, "unreadable");
        assert!(report.metrics.iter().all(|m| m.spec.name == "ageing"), "absent is not 0");
    }

    #[test]
    fn a_namesake_in_open_vswitch_is_said_and_a_silent_one_changes_nothing() {
        let with = |namesake| {
            let linux = Linux { namesake, ..linux(bridge(true, true), forwarding()) };
            codes(Facts::Linux(Box::new(linux)))
        };
        assert!(with(Namesake::NoSocket).is_empty());
        assert!(with(Namesake::Asked(Ok(false))).is_empty());
        assert_eq!(with(Namesake::Asked(Ok(true))), ["both"]);
        assert!(with(Namesake::Asked(Err(trouble(Why::Forbidden)))).is_empty());
        assert!(with(Namesake::Asked(Err(trouble(Why::Silent(Duration::ZERO))))).is_empty());
    }

    fn trouble(why: Why) -> Trouble {
        Trouble { whom: "it".into(), why }
    }

    fn seen(bridge: Result<Option<Configured>, Trouble>) -> Seen {
        let vswitchd = Daemon::alive();
        Seen { vswitchd, server: None, bridge, addresses: Some(3) }
    }

    fn configured(ofport: Option<i64>, error: Option<&str>) -> Configured {
        let local = Interface {
            name: "br0".into(),
            ofport: Optional(ofport),
            error: Optional(error.map(str::to_owned)),
            admin_state: Optional(Some("down".into())),
            ..Interface::default()
        };
        let ports = Set(vec![Uuid("a".into()), Uuid("b".into())]);
        let row = crate::host::ovs::row::Bridge { name: "br0".into(), ports, ..Default::default() };
        Configured { row, local: Some(local), controllers: (2, 1) }
    }

    fn of_ovs(device: Option<&'static str>, seen: Option<Seen>) -> Vec<&'static str> {
        let kind = |kind: &'static str| Some(kind.into()).filter(|kind| kind != "physical");
        let device = device.map(|k| Link { name: "br0".into(), kind: kind(k), ..Link::default() });
        codes(Facts::Other { device, ovs: seen.map(Box::new) })
    }

    #[test]
    fn a_bridge_of_open_vswitch_works_when_its_daemon_made_it_and_lives() {
        let works = seen(Ok(Some(configured(Some(65534), None))));
        assert!(of_ovs(Some("tun"), Some(works.clone())).is_empty(), "LOCAL is down: normal");
        let report = judged(Facts::Other { device: None, ovs: Some(Box::new(works.clone())) });
        let measured: Vec<_> = report.metrics.iter().map(|m| (m.spec.name, m.value)).collect();
        assert_eq!(measured, [("ports", 1.0), ("fdb_entries", 3.0), ("ageing", 300.0)]);
        let facts: Vec<_> = report.facts.iter().map(|fact| fact.value.as_str()).collect();
        assert_eq!(facts, ["ovs", "standalone", "connected"]);
        let mut set = configured(Some(65534), None);
        set.row.other_config = Map([("mac-aging-time".to_owned(), "60".to_owned())].into());
        let report =
            judged(Facts::Other { device: None, ovs: Some(Box::new(seen(Ok(Some(set))))) });
        assert_eq!(report.metrics.last().map(|m| m.value), Some(60.0));
        for ofport in [None, Some(-1)] {
            let broken = seen(Ok(Some(configured(ofport, None))));
            assert_eq!(of_ovs(None, Some(broken)), ["not-configured"]);
        }
        let broken = seen(Ok(Some(configured(Some(-1), Some("could not open")))));
        assert_eq!(of_ovs(None, Some(broken)), ["error"]);
        let mut dead = works;
        dead.vswitchd.answer = Err(trouble(Why::Refused));
        assert_eq!(of_ovs(None, Some(dead)), ["no-process"]);
    }

    #[test]
    fn what_has_the_name_and_is_no_bridge() {
        let says_no = || Some(seen(Ok(None)));
        let says = |why| Some(seen(Err(trouble(why))));
        let silent = || Why::Silent(Duration::from_secs(1));
        let cases = [
            (None, None, "absent"),
            (None, says_no(), "absent"),
            (None, says(Why::Absent), "absent"),
            (None, says(Why::Forbidden), "forbidden"),
            (None, says(silent()), "timeout"),
            (None, says(Why::Refused), "refused"),
            (None, says(Why::Unreadable("x".into())), "unreadable"),
            (Some("physical"), None, "not-bridge"),
            (Some("veth"), says_no(), "not-bridge"),
            (Some("veth"), says(Why::Forbidden), "not-bridge"),
            (Some("veth"), says(silent()), "not-bridge"),
            (Some("tun"), says_no(), "not-bridge"),
            (Some("tun"), says(Why::Forbidden), "forbidden"),
            (Some("openvswitch"), says(silent()), "timeout"),
        ];
        for (device, ovs, code) in cases {
            let told = format!("{device:?} {:?}", ovs.as_ref().map(|seen| &seen.bridge));
            assert_eq!(of_ovs(device, ovs), [code], "{told}");
        }
    }
}
