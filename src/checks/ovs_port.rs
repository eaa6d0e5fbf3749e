//! Ports of Open vSwitch: what the database says, what the kernel says, and whether the daemon
//! that writes the states is alive to write them.

use crate::checks::Check;
use crate::checks::ovs_life::{self, LifeCodes};
use crate::checks::ovs_place::PlaceArgs;
use crate::checks::ovs_rules::{PortCodes, Rules, Subject};
use crate::host::ovs::ports::{Devices, Ports, Tables, Wanted};
use crate::host::ovs::row::{Interface, Port};
use crate::host::{Host, words};
use crate::manifest::check_ovs_port::{SPEC, code, fact, metric};
use crate::plugin;
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::text::count;
use clap::ArgGroup;
use regex::bytes::Regex;

/// See [`SPEC`].
pub struct OvsPort;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("ports").required(true).multiple(true))]
pub struct Args {
    /// Ports, or members of bonds, by name
    #[arg(value_name = "NAME", group = "ports", value_parser = words::name)]
    pub names: Vec<String>,
    /// Ports by Neutron's port id (external_ids:iface-id); repeatable
    #[arg(long, group = "ports", value_name = "ID", value_parser = words::name, conflicts_with_all = ["names", "all"])]
    pub iface_id: Vec<String>,
    /// Ports of this bridge: all of them, or those also named otherwise
    #[arg(long, group = "ports", value_name = "BRIDGE", value_parser = words::name)]
    pub bridge: Option<String>,
    /// Ports whose name matches
    #[arg(long = "match", group = "ports", value_name = "REGEX", value_parser = words::regex, conflicts_with_all = ["names", "iface_id"])]
    pub match_: Option<Regex>,
    /// Every port
    #[arg(long, group = "ports", conflicts_with = "names")]
    pub all: bool,
    /// Where Open vSwitch is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

const CODES: LifeCodes =
    LifeCodes { no_process: code::NO_PROCESS, stopped: code::STOPPED, refused: code::REFUSED };

const PORT_CODES: PortCodes = PortCodes {
    error: code::ERROR,
    not_configured: code::NOT_CONFIGURED,
    no_device: code::NO_DEVICE,
    admin_down: code::ADMIN_DOWN,
    link_down: code::LINK_DOWN,
    member_down: code::MEMBER_DOWN,
    dead_vlan: code::DEAD_VLAN,
    no_tag: code::NO_TAG,
    not_wired: code::NOT_WIRED,
    guest_off: code::GUEST_OFF,
    no_peer: code::NO_PEER,
    bfd_down: code::BFD_DOWN,
    lacp_defaulted: code::LACP_DEFAULTED,
    lacp_none: code::LACP_NONE,
    lacp_fallback: code::LACP_FALLBACK,
    not_comparable: code::NOT_COMPARABLE,
};

impl Check for OvsPort {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Result<Ports, String>;

    fn gather(args: &Args, host: &Host) -> Self::Facts {
        args.place.place().map(|place| host.ovs_ports(&place, &args.wanted()))
    }

    fn judge(facts: &Self::Facts, args: &Args, _past: &Past) -> Report {
        let mut report = Report::about("Open vSwitch ports");
        match facts {
            Ok(ports) => judge_ports(&mut report, ports, args),
            Err(why) => report.find(&plugin::code::USAGE, why.clone()),
        }
        report
    }
}

impl Args {
    fn wanted(&self) -> Wanted {
        match (self.names.is_empty(), self.iface_id.is_empty()) {
            (false, _) => Wanted::Names(self.names.clone()),
            (_, false) => Wanted::IfaceIds(self.iface_id.clone()),
            _ => Wanted::All,
        }
    }
}

fn judge_ports(report: &mut Report, ports: &Ports, args: &Args) {
    ovs_life::judge(report, &ports.vswitchd, &CODES, "port states are stale");
    let tables = match &ports.tables {
        Ok(tables) => tables,
        Err(trouble) => {
            let server = ports.server.as_ref();
            let (code, text) = ovs_life::database_trouble(trouble, server, &CODES);
            return report.find(code, text);
        }
    };
    let mut subjects = subjects(report, tables, args);
    subjects.sort_by_key(|subject| subject.name);
    subjects.dedup_by_key(|subject| subject.name);
    for subject in &subjects {
        judge_subject(report, subject, ports, tables, args);
    }
    if let [only] = subjects.as_slice() {
        report.object = only.name.to_owned();
        report.when_ok = only.ok_words(&ports.devices);
    } else {
        report.object = count(subjects.len(), "port");
        report.when_ok = format!("{}, none broken", report.object);
    }
}

/// What the arguments choose; what they name and is not there is found absent.
fn subjects<'t>(report: &mut Report, tables: &'t Tables, args: &'t Args) -> Vec<Subject<'t>> {
    let whole = |port: &'t Port| Subject::whole(tables, port);
    if let (Some(bridge), Wanted::All) = (&args.bridge, args.wanted())
        && !tables.bridges.iter().any(|known| known.name == *bridge)
    {
        report.find(code::ABSENT, format!("bridge {bridge} does not exist"));
        return Vec::new();
    }
    match args.wanted() {
        Wanted::Names(_) => {
            let found = args.names.iter().filter_map(|name| {
                let found = by_name(tables, name).or_else(|| by_member(tables, name));
                if found.is_none() {
                    report.find_on(name, code::ABSENT, "no such port in Open vSwitch");
                }
                found
            });
            found.collect()
        }
        Wanted::IfaceIds(_) => {
            let mut all = Vec::new();
            for id in &args.iface_id {
                let has = |i: &&Interface| i.external_ids.get("iface-id") == Some(id);
                let owned = |port: &&Port| tables.interfaces_of(port).iter().any(has);
                let ports: Vec<_> = tables.ports.iter().filter(owned).map(whole).collect();
                if ports.is_empty() {
                    report.find(code::ABSENT, format!("no port has iface-id {id}"));
                }
                all.extend(ports);
            }
            all
        }
        // All, or nothing that the arguments of this check can ask for.
        _ => {
            let on_bridge = |s: &Subject| {
                args.bridge.as_ref().is_none_or(|b| s.bridge.is_some_and(|on| on.name == *b))
            };
            let matches =
                |s: &Subject| args.match_.as_ref().is_none_or(|re| re.is_match(s.name.as_bytes()));
            let all = tables.ports.iter().map(whole);
            let all: Vec<_> = all.filter(|s| on_bridge(s) && matches(s)).collect();
            if all.is_empty() {
                report.find(code::NONE, nothing_matches(tables, args));
            }
            all
        }
    }
}

fn nothing_matches(tables: &Tables, args: &Args) -> String {
    let pattern = args.match_.as_ref().map(|re| format!(" matches {re}"));
    let bridge = args.bridge.as_ref().map(|bridge| format!(" on {bridge}"));
    let known = count(tables.ports.len(), "port");
    let (pattern, bridge) = (pattern.unwrap_or_default(), bridge.unwrap_or_default());
    format!("no port{pattern}{bridge} (Open vSwitch has {known})")
}

fn by_name<'t>(tables: &'t Tables, name: &str) -> Option<Subject<'t>> {
    let port = tables.ports.iter().find(|port| port.name == name)?;
    Some(Subject::whole(tables, port))
}

/// A member of a bond is an interface without a port of its name.
fn by_member<'t>(tables: &'t Tables, name: &str) -> Option<Subject<'t>> {
    let interface = tables.interface(name)?;
    let port = tables.ports.iter().find(|port| port.interfaces.0.contains(&interface.uuid))?;
    let bridge = tables.bridge_of(port);
    Some(Subject { name: &interface.name, port, bridge, interfaces: vec![interface] })
}

impl Subject<'_> {
    fn place_words(&self) -> String {
        let bridge = self.bridge.map(|b| format!(" on {}", b.name)).unwrap_or_default();
        let tag = self.port.tag.0.map(|tag| format!(", tag {tag}")).unwrap_or_default();
        format!("{bridge}{tag}")
    }

    /// What an OK says. A LOCAL port that is down is OK, but it is not up.
    fn ok_words(&self, devices: &Devices) -> String {
        let (name, place) = (self.name, self.place_words());
        match self.interfaces.as_slice() {
            [only] if self.is_local(only) && only.reads_down() => {
                format!("{name} is the LOCAL port of its bridge, down as most are")
            }
            [only] if only.is_moved(devices) && !only.is_seen() => {
                format!("{name}{place}, moved into a namespace where its state is not seen")
            }
            [only] if only.is_moved(devices) && only.reads_down() => {
                format!("{name}{place} is off in its namespace, as on a backup of its router")
            }
            _ => format!("{name} is up{place}"),
        }
    }
}

fn judge_subject(
    report: &mut Report,
    subject: &Subject,
    ports: &Ports,
    tables: &Tables,
    args: &Args,
) {
    let name = subject.name;
    let before = report.findings.len();
    if let (Some(wanted), Some(bridge)) = (&args.bridge, subject.bridge)
        && bridge.name != *wanted
    {
        report.find_on(name, code::WRONG_BRIDGE, format!("is on {}, not {wanted}", bridge.name));
    }
    let rules = Rules { tables, devices: &ports.devices, codes: &PORT_CODES };
    for (code, text) in rules.faults(subject) {
        report.find_on(name, code, text);
    }
    for interface in &subject.interfaces {
        if !interface.is_moved(&ports.devices) || interface.is_seen() {
            measure_states(report, interface);
        }
        measure(report, interface);
    }
    facts(report, subject);
    let fine = report.findings.len() == before;
    let row = evidence(subject, ports);
    if fine { report.fine(row) } else { report.note(row) }
}

fn measure_states(report: &mut Report, interface: &Interface) {
    let name = interface.name.as_str();
    let up = |state: &Option<String>| state.as_ref().map(|s| f64::from(u8::from(s == "up")));
    report.measure_of(name, metric::LINK_STATE, up(&interface.link_state.0));
    report.measure_of(name, metric::ADMIN_STATE, up(&interface.admin_state.0));
}

fn measure(report: &mut Report, interface: &Interface) {
    let name = interface.name.as_str();
    report.measure_of(name, metric::LINK_RESETS, interface.link_resets.0.map(|n| n as f64));
    report.measure_of(name, metric::MTU, interface.mtu.0.map(|n| n as f64));
    let megabits = interface.link_speed.0.map(|bits| bits as f64 / 1e6);
    report.measure_of(name, metric::LINK_SPEED, megabits);
    let flaps = interface.bfd_status.get("flap_count").and_then(|n| n.parse::<f64>().ok());
    report.measure_of(name, metric::BFD_FLAPS, flaps);
    for spec in [
        metric::RX_BYTES,
        metric::TX_BYTES,
        metric::RX_PACKETS,
        metric::TX_PACKETS,
        metric::RX_ERRORS,
        metric::TX_ERRORS,
        metric::RX_DROPPED,
        metric::TX_DROPPED,
    ] {
        // -1 is OVS's word for a counter that the device does not have.
        let count = interface.statistics.get(spec.name).copied().filter(|n| *n >= 0);
        report.measure_of(name, spec, count.map(|n| n as f64));
    }
}

fn facts(report: &mut Report, subject: &Subject) {
    let name = Some(subject.name);
    let tag = subject.port.tag.0.map_or_else(|| "none".to_owned(), |tag| tag.to_string());
    report.fact(fact::TAG.name, name, tag);
    if let Some(bridge) = subject.bridge {
        report.fact(fact::BRIDGE.name, name, bridge.name.clone());
    }
    for interface in &subject.interfaces {
        report.fact(fact::TYPE.name, name, interface.type_name());
        if let Some(duplex) = &interface.duplex.0 {
            report.fact(fact::DUPLEX.name, name, duplex.clone());
        }
        if let Some(mac) = interface.external_ids.get("attached-mac") {
            report.fact(fact::ATTACHED_MAC.name, name, mac.to_lowercase());
        }
    }
}

impl Interface {
    fn type_name(&self) -> &str {
        if self.kind.is_empty() { "system" } else { &self.kind }
    }
}

/// One row per port: where it is, and the state of each interface.
fn evidence(subject: &Subject, ports: &Ports) -> String {
    let states = subject.interfaces.iter().map(|interface| {
        let state = |state: &Option<String>| state.clone().unwrap_or_else(|| "unset".to_owned());
        let mut words = format!(
            "{} admin {} link {}",
            interface.type_name(),
            state(&interface.admin_state.0),
            state(&interface.link_state.0)
        );
        if subject.interfaces.len() > 1 {
            words = format!("{} {words}", interface.name);
        }
        if let Some(id) = interface.external_ids.get("iface-id") {
            words += &format!(", iface-id {id}");
        }
        words + &kernel_words(interface, subject, &ports.devices)
    });
    let states: Vec<String> = states.collect();
    format!("{}{}: {}", subject.name, subject.place_words(), states.join("; "))
}

fn kernel_words(interface: &Interface, subject: &Subject, devices: &Devices) -> String {
    match devices {
        _ if !interface.has_device() => String::new(),
        Devices::NotComparable(why) => format!(", not compared with the kernel: {why}"),
        Devices::Known(names) if names.contains(&interface.name) => ", device exists".to_owned(),
        Devices::Known(_) if interface.kind == "internal" && !subject.is_local(interface) => {
            moved_words(interface).to_owned()
        }
        Devices::Known(_) => String::new(),
    }
}

fn moved_words(interface: &Interface) -> &'static str {
    if interface.is_seen() {
        ", device in another network namespace"
    } else {
        ", which says nothing: its device is in another network namespace, where ovs-vswitchd does \
         not see it; `check_link vservice-vnic` does"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ovs::daemon::Daemon;
    use crate::host::ovs::row::Bridge;
    use crate::host::ovsdb::scan::{Piece, Scanner};
    use crate::host::ovsdb::value::{Map, Optional, Set, Uuid};
    use crate::host::{Trouble, Why};
    use std::collections::HashSet;

    /// The first row of a captured reply.
    fn captured<T: serde::de::DeserializeOwned>(name: &str) -> T {
        let path = format!("{}/tests/fixtures/ovs/{name}.resp.json", env!("CARGO_MANIFEST_DIR"));
        let reply = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut rows = Vec::new();
        let take = |piece| {
            if let Piece::Row(_, row) = piece {
                rows.push(serde_json::from_slice(&row).map_err(|e| e.to_string())?);
            }
            Ok(())
        };
        Scanner::default().feed(&reply, take).expect("a reply");
        rows.into_iter().next().unwrap_or_else(|| panic!("{path} has no row"))
    }

    /// One port with these interfaces on a bridge, all devices present.
    fn ports(mut port: Port, mut interfaces: Vec<Interface>, bridge: &str) -> Ports {
        for (n, interface) in interfaces.iter_mut().enumerate() {
            interface.uuid = Uuid(format!("i{n}"));
        }
        port.name = if port.name.is_empty() { interfaces[0].name.clone() } else { port.name };
        port.uuid = Uuid("p".into());
        port.interfaces = Set(interfaces.iter().map(|i| i.uuid.clone()).collect());
        let devices: HashSet<String> = interfaces.iter().map(|i| i.name.clone()).collect();
        let tables = Tables {
            bridges: vec![Bridge { name: bridge.into(), ..Bridge::default() }],
            bridge_of: [(port.uuid.clone(), 0)].into(),
            ports: vec![port],
            interfaces: interfaces.into_iter().map(|i| (i.uuid.clone(), i)).collect(),
            ovn_installs: false,
        };
        let devices = Devices::Known(devices);
        Ports { vswitchd: Daemon::alive(), server: None, tables: Ok(tables), devices }
    }

    fn codes(ports: Ports) -> Vec<&'static str> {
        judged(ports).findings.iter().map(|finding| finding.code.name).collect()
    }

    fn judged(ports: Ports) -> Report {
        let args = Args {
            names: vec![],
            iface_id: vec![],
            bridge: None,
            match_: None,
            all: true,
            place: PlaceArgs { rundir: None, db: None },
        };
        OvsPort::judge(&Ok(ports), &args, &Past::default())
    }

    fn up(name: &str) -> Interface {
        Interface {
            name: name.into(),
            admin_state: Optional(Some("up".into())),
            link_state: Optional(Some("up".into())),
            ..Interface::default()
        }
    }

    fn map(pairs: &[(&str, &str)]) -> Map<String> {
        Map(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn captured_interfaces_are_judged_as_they_were() {
        let cases: &[(&str, &[&str])] = &[
            ("interface-up", &[]),
            ("interface-up-tap", &[]),
            ("interface-admindown", &["admin-down"]),
            ("interface-nodevice", &["error"]),
            ("interface-tap-nocarrier", &["link-down"]),
            ("interface-nic-nocarrier", &["link-down"]),
            ("interface-deadvlan4095", &[]),
            ("interface-bridge-local-admindown", &[]),
            ("interface-bondmember-lacp-defaulted", &["lacp-none"]),
            ("interface-gre-bfd-down", &["bfd-down"]),
        ];
        for (name, expected) in cases {
            let interface: Interface = captured(name);
            assert_eq!(
                codes(ports(Port::default(), vec![interface], "br-int")),
                *expected,
                "{name}"
            );
        }
    }

    /// What is said of a captured port that is in another namespace.
    fn moved(name: &str) -> Report {
        let mut seen = ports(Port::default(), vec![captured(name)], "br-int");
        seen.devices = Devices::Known(HashSet::new());
        judged(seen)
    }

    #[test]
    fn a_moved_port_is_judged_by_what_ovs_vswitchd_sees_of_it() {
        let told = |report: &Report| {
            let states = report.metrics.iter().filter(|m| m.spec.name == "link_state");
            let codes: Vec<_> = report.findings.iter().map(|f| f.code.name).collect();
            (codes, states.map(|m| m.value).next())
        };
        let report = moved("interface-moved-up");
        assert_eq!(told(&report), (vec![], Some(1.0)));
        assert_eq!(report.when_ok, "int-dhcp is up on br-int");
        assert!(report.evidence[1].text.ends_with(", device in another network namespace"));

        assert_eq!(told(&moved("interface-moved-off")), (vec!["admin-down"], Some(0.0)));

        // It is up, but was moved before ovs-vswitchd started.
        let report = moved("interface-moved-unseen");
        assert_eq!(told(&report), (vec![], None));
        let text = "int-dhcp on br-int, moved into a namespace where its state is not seen";
        assert_eq!(report.when_ok, text);
        let words = "where ovs-vswitchd does not see it; `check_link vservice-vnic` does";
        assert!(report.evidence[1].text.ends_with(words), "{:?}", report.evidence);
    }

    #[test]
    fn a_gateway_may_be_off_in_its_namespace() {
        let mut gateway: Interface = captured("interface-moved-off");
        gateway.name = "qg-1".into();
        let mut seen = ports(Port::default(), vec![gateway], "br-int");
        assert_eq!(codes(seen.clone()), ["admin-down"], "it is here");
        seen.devices = Devices::NotComparable("hidden".into());
        assert_eq!(codes(seen.clone()), ["not-comparable"]);
        seen.devices = Devices::Known(HashSet::new());
        let report = judged(seen);
        assert_eq!(report.findings, []);
        let text = "qg-1 on br-int is off in its namespace, as on a backup of its router";
        assert_eq!(report.when_ok, text);
    }

    #[test]
    fn what_is_seen_needs_no_comparing() {
        let mut seen = ports(Port::default(), vec![captured("interface-moved-off")], "br-int");
        seen.devices = Devices::NotComparable("hidden".into());
        assert_eq!(codes(seen), ["admin-down"]);
    }

    #[test]
    fn captured_ports_tell_their_tag() {
        let port: Port = captured("port-deadvlan4095");
        assert_eq!(codes(ports(port, vec![up("tap1")], "br-int")), ["dead-vlan"]);
    }

    #[test]
    fn a_missing_tag_is_a_fault_only_where_neutrons_agent_tags() {
        let neutron = || Port { other_config: map(&[("net_uuid", "n")]), ..Port::default() };
        assert_eq!(codes(ports(neutron(), vec![up("tap1")], "br-int")), ["no-tag"]);
        assert!(codes(ports(Port::default(), vec![up("tap1")], "br-int")).is_empty());
        assert!(codes(ports(neutron(), vec![up("tap1")], "tbr-1a")).is_empty());
        let trunk = Port { trunks: Set(vec![1, 2]), ..neutron() };
        assert!(codes(ports(trunk, vec![up("tap1")], "br-int")).is_empty());
        let mode = Port { vlan_mode: Optional(Some("trunk".into())), ..neutron() };
        assert!(codes(ports(mode, vec![up("tap1")], "br-int")).is_empty());
        let mut ovn = up("tap1");
        ovn.external_ids = map(&[("iface-id", "x"), ("ovn-installed", "true")]);
        assert!(codes(ports(neutron(), vec![ovn], "br-int")).is_empty());
    }

    #[test]
    fn a_vhost_user_port_without_its_guest_is_a_warning() {
        let mut vhost = up("vhu1");
        vhost.kind = "dpdkvhostuserclient".into();
        vhost.link_state = Optional(Some("down".into()));
        assert_eq!(codes(ports(Port::default(), vec![vhost], "br-int")), ["guest-off"]);
    }

    #[test]
    fn a_dpdk_port_is_not_looked_for_in_the_kernel() {
        let mut dpdk = up("dpdk0");
        dpdk.kind = "dpdk".into();
        let mut ports = ports(Port::default(), vec![dpdk], "br-ex");
        ports.devices = Devices::Known(HashSet::new());
        assert!(codes(ports).is_empty());
    }

    #[test]
    fn what_cannot_be_compared_is_not_called_gone() {
        let mut seen = ports(Port::default(), vec![up("tap1")], "br-int");
        seen.devices = Devices::Known(HashSet::new());
        assert_eq!(codes(seen.clone()), ["no-device"]);
        seen.devices = Devices::NotComparable("hidden".into());
        assert!(codes(seen).is_empty());
        let mut internal = up("tap2");
        internal.kind = "internal".into();
        internal.link_state = Optional(Some("down".into()));
        let mut seen = ports(Port::default(), vec![internal], "br-int");
        seen.devices = Devices::NotComparable("hidden".into());
        assert_eq!(codes(seen), ["not-comparable"]);
    }

    #[test]
    fn a_bond_works_while_one_member_does() {
        let member = |name: &str, link: &str, lacp: Option<bool>| Interface {
            link_state: Optional(Some(link.into())),
            lacp_current: Optional(lacp),
            ..up(name)
        };
        let bond = |fallback: &str, members: Vec<Interface>| {
            let other_config = map(&[("lacp-fallback-ab", fallback)]);
            let port = Port { name: "bond0".into(), other_config, ..Port::default() };
            codes(ports(port, members, "br-ex"))
        };
        let two = |a, b| vec![member("a", "up", a), member("b", "up", b)];
        assert!(bond("false", two(Some(true), Some(true))).is_empty());
        assert_eq!(bond("false", two(Some(true), Some(false))), ["lacp-defaulted"]);
        assert_eq!(bond("false", two(Some(false), Some(false))), ["lacp-none"]);
        assert_eq!(bond("true", two(Some(false), Some(false))), ["lacp-fallback"]);
        assert!(bond("false", two(None, None)).is_empty());
        let down = vec![member("a", "down", None), member("b", "up", None)];
        assert_eq!(bond("false", down), ["member-down"]);
        let down = vec![member("a", "down", None), member("b", "down", None)];
        assert_eq!(bond("false", down), ["member-down", "member-down", "link-down"]);
    }

    #[test]
    fn bfd_tells_its_diagnostic() {
        let mut tunnel = up("vxlan-1");
        tunnel.kind = "vxlan".into();
        tunnel.bfd = map(&[("enable", "true")]);
        tunnel.bfd_status =
            map(&[("state", "down"), ("diagnostic", "Control Detection Time Expired")]);
        let said = |tunnel: &Interface| {
            let report = judged(ports(Port::default(), vec![tunnel.clone()], "br-tun"));
            report.findings.into_iter().map(|f| (f.code.name, f.text)).collect::<Vec<_>>()
        };
        let text = "BFD is down: Control Detection Time Expired".to_owned();
        assert_eq!(said(&tunnel), [("bfd-down", text)]);
        tunnel.bfd_status = map(&[("state", "up")]);
        assert_eq!(said(&tunnel), []);
        tunnel.bfd = map(&[]);
        tunnel.bfd_status = map(&[("state", "down")]);
        assert_eq!(said(&tunnel), []);
    }

    #[test]
    fn states_are_stale_without_the_daemon_that_writes_them() {
        let mut seen = ports(Port::default(), vec![up("tap1")], "br-int");
        seen.vswitchd.answer = Err(Trouble { whom: "x".into(), why: Why::Refused });
        assert_eq!(codes(seen), ["no-process"]);
    }
}
