//! Ports of Open vSwitch: what the database says, what the kernel says, and whether the daemon
//! that writes the states is alive to write them.

use crate::checks::Check;
use crate::checks::ovs_life::{self, LifeCodes};
use crate::checks::ovs_place::PlaceArgs;
use crate::host::Host;
use crate::host::link::plain_name;
use crate::host::ovs::ports::{Devices, Ports, Tables, Wanted};
use crate::host::ovs::row::{Bridge, Interface, Port};
use crate::manifest::check_ovs_port::{SPEC, code, fact, metric};
use crate::plugin;
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::{Code, Spec};
use crate::plugin::status::Status;
use crate::plugin::text::count;
use clap::ArgGroup;
use regex::bytes::{Regex, RegexBuilder};

/// See [`SPEC`].
pub struct OvsPort;

/// The arguments.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("ports").required(true).multiple(true))]
pub struct Args {
    /// Ports, or members of bonds, by name
    #[arg(value_name = "NAME", group = "ports", value_parser = ovs_name)]
    pub names: Vec<String>,
    /// Ports by Neutron's port id (external_ids:iface-id); repeatable
    #[arg(long, group = "ports", value_name = "ID", value_parser = ovs_name, conflicts_with_all = ["names", "all"])]
    pub iface_id: Vec<String>,
    /// Ports of this bridge: all of them, or those also named otherwise
    #[arg(long, group = "ports", value_name = "BRIDGE", value_parser = ovs_name)]
    pub bridge: Option<String>,
    /// Ports whose name matches
    #[arg(long = "match", group = "ports", value_name = "REGEX", value_parser = regex, conflicts_with_all = ["names", "iface_id"])]
    pub match_: Option<Regex>,
    /// Every port
    #[arg(long, group = "ports", conflicts_with = "names")]
    pub all: bool,
    /// Where Open vSwitch is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

fn ovs_name(text: &str) -> Result<String, String> {
    plain_name(text, "a name", 255).map(|()| text.to_owned())
}

pub(super) fn regex(text: &str) -> Result<Regex, String> {
    const LONGEST: usize = 1024;
    if text.is_empty() || text.len() > LONGEST {
        return Err(format!("write 1 to {LONGEST} bytes"));
    }
    // Names are ASCII; tables of Unicode would be a third of the binary.
    let regex = RegexBuilder::new(text).unicode(false).build();
    regex.map_err(|e| e.to_string().lines().last().unwrap_or("no regex").to_owned())
}

const CODES: LifeCodes =
    LifeCodes { no_process: code::NO_PROCESS, stopped: code::STOPPED, refused: code::REFUSED };

/// Neutron's VLAN for ports that it gave up on.
const DEAD_VLAN: u64 = 4095;
/// `OFPP_LOCAL`: the port that a bridge itself is.
const LOCAL: i64 = 65534;

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

/// One thing to be judged: a port, or one interface of it that was asked for by name.
struct Subject<'t> {
    name: &'t str,
    port: &'t Port,
    bridge: Option<&'t Bridge>,
    interfaces: Vec<&'t Interface>,
}

fn judge_ports(report: &mut Report, ports: &Ports, args: &Args) {
    judge_life(report, ports);
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
        report.when_ok = only.ok_words();
    } else {
        report.object = count(subjects.len(), "port");
        report.when_ok = format!("{}, none broken", report.object);
    }
}

/// Every state is stale without the daemon that writes it. Where it may not be asked, its lock and
/// its process suffice.
fn judge_life(report: &mut Report, ports: &Ports) {
    let daemon = &ports.vswitchd;
    ovs_life::evidence(report, daemon);
    let Some((code, text)) = ovs_life::life(daemon, &CODES) else { return };
    let alive_by_lock = *code == plugin::code::FORBIDDEN && daemon.process.is_some();
    if alive_by_lock {
        report.fine("ovs-vswitchd may not be asked; its lock and its process show that it runs");
    } else if code.status == Status::Critical {
        report.find(code, format!("{text}; port states are stale"));
    } else {
        report.find(code, text);
    }
}

/// What the arguments choose; what they name and is not there is found absent.
fn subjects<'t>(report: &mut Report, tables: &'t Tables, args: &'t Args) -> Vec<Subject<'t>> {
    let whole = |port: &'t Port| Subject {
        name: &port.name,
        port,
        bridge: tables.bridge_of(port),
        interfaces: tables.interfaces_of(port),
    };
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
    let (bridge, interfaces) = (tables.bridge_of(port), tables.interfaces_of(port));
    Some(Subject { name: &port.name, port, bridge, interfaces })
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

    /// Whether a row of it is missing: it was changed between two questions.
    fn incomplete(&self, tables: &Tables) -> bool {
        self.port.interfaces.0.iter().any(|uuid| !tables.interfaces.contains_key(uuid))
    }

    /// What an OK says. A LOCAL port that is down is OK, but it is not up.
    fn ok_words(&self) -> String {
        let name = self.name;
        match self.interfaces.as_slice() {
            [only] if self.is_local(only) && only.reads_down() => {
                format!("{name} is the LOCAL port of its bridge, down as most are")
            }
            [only] if only.kind == "internal" && only.reads_down() => {
                format!("{name} was moved out of ovs-vswitchd's namespace{}", self.place_words())
            }
            _ => format!("{name} is up{}", self.place_words()),
        }
    }

    /// The port that is the bridge itself.
    fn is_local(&self, interface: &Interface) -> bool {
        interface.ofport.0 == Some(LOCAL)
            || (interface.kind == "internal"
                && self.bridge.is_some_and(|bridge| bridge.name == interface.name))
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
    let bonded = subject.interfaces.len() > 1;
    if let (Some(wanted), Some(bridge)) = (&args.bridge, subject.bridge)
        && bridge.name != *wanted
    {
        report.find_on(name, code::WRONG_BRIDGE, format!("is on {}, not {wanted}", bridge.name));
    }
    if subject.incomplete(tables) {
        let text = "an interface of it vanished while it was read";
        report.find_on(name, &plugin::code::UNREADABLE, text);
    }
    if bonded {
        judge_bond(report, subject, ports, tables);
    } else {
        for interface in &subject.interfaces {
            for (code, text) in faults(interface, subject, ports, tables) {
                report.find_on(name, code, text);
            }
        }
    }
    judge_lacp(report, subject, tables);
    judge_tag(report, subject);
    for interface in &subject.interfaces {
        if not_wired(interface, subject, tables) {
            let text = "OVN has not installed it (no ovn-installed), its siblings it has";
            report.find_on(name, code::NOT_WIRED, text);
        }
        measure(report, interface);
    }
    facts(report, subject);
    let fine = report.findings.len() == before;
    let row = evidence(subject, ports);
    if fine { report.fine(row) } else { report.note(row) }
}

/// What is wrong with one interface, the first cause only: what follows from it says no more.
fn faults(
    interface: &Interface,
    subject: &Subject,
    ports: &Ports,
    tables: &Tables,
) -> Vec<(&'static Code, String)> {
    if interface.kind == "patch"
        && let Some(fault) = patch_fault(interface, tables)
    {
        return vec![fault];
    }
    if let Some(error) = &interface.error.0 {
        return vec![(code::ERROR, error.clone())];
    }
    if gone_from_kernel(interface, &ports.devices) {
        return vec![(code::NO_DEVICE, "its network device is gone from the kernel".to_owned())];
    }
    let untouched = interface.admin_state.0.is_none() || interface.link_state.0.is_none();
    if untouched && interface.kind != "patch" {
        return vec![(code::NOT_CONFIGURED, "ovs-vswitchd has not taken it up".to_owned())];
    }
    if subject.is_local(interface) {
        return Vec::new();
    }
    if interface.kind == "internal" && interface.reads_down() {
        return internal_down(interface, &ports.devices).into_iter().collect();
    }
    let mut faults = Vec::new();
    match (interface.admin_state.0.as_deref(), interface.link_state.0.as_deref()) {
        // A patch port has no link of its own: its peer was looked at.
        _ if interface.kind == "patch" => {}
        (Some("down"), _) => {
            faults.push((code::ADMIN_DOWN, "is switched off (admin-down)".to_owned()));
        }
        (_, Some("down")) if interface.kind.starts_with("dpdkvhostuser") => {
            faults.push((code::GUEST_OFF, "no guest is connected (vhost-user)".to_owned()));
        }
        (_, Some("down")) => faults.push((code::LINK_DOWN, "link is down".to_owned())),
        _ => {}
    }
    faults.extend(bfd_fault(interface));
    faults
}

/// OVSDB says nothing when an attached device is deleted. Internal ports are left out: those in
/// namespaces are missing here and work.
fn gone_from_kernel(interface: &Interface, devices: &Devices) -> bool {
    match devices {
        Devices::Known(names) => {
            interface.kind != "internal"
                && interface.has_device()
                && interface.admin_state.0.is_some()
                && !names.contains(&interface.name)
        }
        Devices::NotComparable(_) => false,
    }
}

/// The userspace datapath shows an internal port that was moved into a namespace as down though
/// it works there; one that is still here is down.
fn internal_down(interface: &Interface, devices: &Devices) -> Option<(&'static Code, String)> {
    match devices {
        Devices::Known(names) if !names.contains(&interface.name) => None,
        Devices::Known(_) if interface.admin_state.0.as_deref() == Some("down") => {
            Some((code::ADMIN_DOWN, "is switched off (admin-down)".to_owned()))
        }
        Devices::Known(_) => Some((code::LINK_DOWN, "link is down".to_owned())),
        Devices::NotComparable(why) => Some((
            code::NOT_COMPARABLE,
            format!("reads down; whether it was moved into a namespace is not known: {why}"),
        )),
    }
}

fn patch_fault(interface: &Interface, tables: &Tables) -> Option<(&'static Code, String)> {
    let Some(peer) = interface.options.get("peer") else {
        return Some((code::NO_PEER, "patch port without a peer".to_owned()));
    };
    match tables.interface(peer) {
        None => Some((code::NO_PEER, format!("its peer {peer} does not exist"))),
        Some(other) if other.options.get("peer") != Some(&interface.name) => {
            Some((code::NO_PEER, format!("its peer {peer} is not joined back to it")))
        }
        Some(_) => None,
    }
}

fn bfd_fault(interface: &Interface) -> Option<(&'static Code, String)> {
    if interface.bfd.get("enable").is_none_or(|enabled| enabled != "true") {
        return None;
    }
    let status = |key: &str| interface.bfd_status.get(key).map(String::as_str);
    let state = status("state").unwrap_or("without a state");
    if state == "up" {
        return None;
    }
    let diagnostic = status("diagnostic").filter(|d| !d.is_empty() && *d != "No Diagnostic");
    let remote = interface.options.get("remote_ip").map(|ip| format!(" to {ip}"));
    Some((
        code::BFD_DOWN,
        format!(
            "BFD{} is {state}{}",
            remote.unwrap_or_default(),
            diagnostic.map(|d| format!(": {d}")).unwrap_or_default()
        ),
    ))
}

/// A bond works while one member does. Its members' faults count as one of them until none works.
fn judge_bond(report: &mut Report, subject: &Subject, ports: &Ports, tables: &Tables) {
    let name = subject.name;
    let mut working = 0;
    for member in &subject.interfaces {
        let faults = faults(member, subject, ports, tables);
        working += usize::from(faults.is_empty());
        for (_, text) in faults {
            report.find_on(name, code::MEMBER_DOWN, format!("member {}: {text}", member.name));
        }
    }
    if working == 0 {
        let members = count(subject.interfaces.len(), "member");
        report.find_on(name, code::LINK_DOWN, format!("none of its {members} works"));
    }
}

/// LACP is judged for the whole port, also where one member is asked for: a bond without any
/// current member carries nothing.
fn judge_lacp(report: &mut Report, subject: &Subject, tables: &Tables) {
    let name = subject.name;
    let all = tables.interfaces_of(subject.port);
    let lacp: Vec<_> =
        all.iter().filter_map(|member| Some((&member.name, member.lacp_current.0?))).collect();
    let current = lacp.iter().filter(|(_, current)| *current).count();
    let fallback = subject.port.other_config.get("lacp-fallback-ab").is_some_and(|v| v == "true");
    match (lacp.is_empty(), current, fallback) {
        (true, _, _) => {}
        (_, 0, true) => {
            let text = "no LACP partner, fell back to active-backup";
            report.find_on(name, code::LACP_FALLBACK, text);
        }
        (_, 0, false) => {
            report.find_on(name, code::LACP_NONE, "no member has an LACP partner");
        }
        _ => {
            let asked = |member: &String| subject.interfaces.iter().any(|i| i.name == *member);
            for (member, _) in lacp.iter().filter(|(member, current)| !current && asked(member)) {
                let text = format!("member {member}: no current LACP partner (defaulted)");
                report.find_on(name, code::LACP_DEFAULTED, text);
            }
        }
    }
}

/// Tag 4095 is dead everywhere. A missing tag is a fault only where Neutron's OVS agent tags:
/// trunk parents and everything under OVN have none.
fn judge_tag(report: &mut Report, subject: &Subject) {
    let port = subject.port;
    if port.tag.0 == Some(DEAD_VLAN) {
        let text = "tag 4095: dead VLAN or port admin-down in Neutron";
        return report.find_on(subject.name, code::DEAD_VLAN, text);
    }
    let access = port.vlan_mode.0.as_deref().is_none_or(|mode| mode == "access");
    let agent_tags = port.other_config.get("net_uuid").is_some()
        && port.trunks.0.is_empty()
        && access
        && !subject.bridge.is_some_and(|bridge| bridge.name.starts_with("tbr-"))
        && !subject.interfaces.iter().any(|interface| interface.ovn_installed());
    if agent_tags && port.tag.0.is_none() {
        report.find_on(subject.name, code::NO_TAG, "no VLAN tag though Neutron's agent sets one");
    }
}

fn not_wired(interface: &Interface, subject: &Subject, tables: &Tables) -> bool {
    tables.ovn_installs
        && interface.may_lack_ovn()
        && subject.port.other_config.get("net_uuid").is_none()
}

impl Interface {
    pub(super) fn reads_down(&self) -> bool {
        let down = |state: &Option<String>| state.as_deref() == Some("down");
        down(&self.admin_state.0) || down(&self.link_state.0)
    }
}

fn measure(report: &mut Report, interface: &Interface) {
    let name = interface.name.as_str();
    let up = |state: &Option<String>| state.as_ref().map(|s| f64::from(u8::from(s == "up")));
    report.measure_of(name, metric::LINK_STATE, up(&interface.link_state.0));
    report.measure_of(name, metric::ADMIN_STATE, up(&interface.admin_state.0));
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
            ", device not in ovs-vswitchd's namespace".to_owned()
        }
        Devices::Known(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ovs::daemon::{Answer, Daemon};
    use crate::host::ovsdb::scan::{Piece, Scanner};
    use crate::host::ovsdb::value::{Map, Optional, Set, Uuid};
    use crate::host::{Trouble, Why};
    use std::collections::HashSet;
    use std::time::Duration;

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

    fn alive() -> Daemon {
        let answer = Answer {
            rtt: Duration::from_millis(1),
            version: "3.1.0".into(),
            second: None,
            control: "/run/x.7.ctl".into(),
        };
        Daemon {
            name: "ovs-vswitchd",
            pidfile: Err(Trouble { whom: "x".into(), why: Why::Absent }),
            process: None,
            monitor: None,
            answer: Ok(answer),
            leftovers: 0,
        }
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
        Ports { vswitchd: alive(), server: None, tables: Ok(tables), devices }
    }

    fn codes(ports: Ports) -> Vec<&'static str> {
        let args = Args {
            names: vec![],
            iface_id: vec![],
            bridge: None,
            match_: None,
            all: true,
            place: PlaceArgs { rundir: None, db: None },
        };
        let report = OvsPort::judge(&Ok(ports), &args, &Past::default());
        report.findings.iter().map(|finding| finding.code.name).collect()
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
        let (code, text) = bfd_fault(&tunnel).expect("a fault");
        assert_eq!(
            (code.name, text.as_str()),
            ("bfd-down", "BFD is down: Control Detection Time Expired")
        );
        tunnel.bfd_status = map(&[("state", "up")]);
        assert!(bfd_fault(&tunnel).is_none());
        tunnel.bfd = map(&[]);
        tunnel.bfd_status = map(&[("state", "down")]);
        assert!(bfd_fault(&tunnel).is_none());
    }

    #[test]
    fn states_are_stale_without_the_daemon_that_writes_them() {
        let mut seen = ports(Port::default(), vec![up("tap1")], "br-int");
        seen.vswitchd.answer = Err(Trouble { whom: "x".into(), why: Why::Refused });
        assert_eq!(codes(seen), ["no-process"]);
    }
}
