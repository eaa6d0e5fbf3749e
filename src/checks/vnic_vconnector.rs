//! The link between a vNIC and its bridge: the guest's address is reached through the right port.
//!
//! The right port is the one of `--port`; else the guest's tap, which libvirt gives the guest's
//! address with 0xfe in front; else any that does not lead away from this host's guests. A bridge of
//! the kernel that learns nothing (ageing 0, as os-vif sets it for hybrid plugging) is judged by
//! that port alone.

use crate::checks::bridge::{self, Codes, Heard};
use crate::checks::ovs_life::{LifeCodes, REMEDY};
use crate::checks::ovs_place::PlaceArgs;
use crate::checks::ovs_rules::Down;
use crate::checks::{Check, without_answer};
use crate::host::fdb::{Entry, Origin};
use crate::host::link::{Link, PortState};
use crate::host::mac::Mac;
use crate::host::netlink::Route;
use crate::host::ovs::Place;
use crate::host::ovs::bridges::{self, LOCAL, Learned};
use crate::host::ovs::ports::{Devices, Ports, Tables, Wanted};
use crate::host::ovs::row::{Interface, Port};
use crate::host::{Host, Trouble, Why};
use crate::manifest::check_vnic_vconnector::{SPEC, code, fact, metric};
use crate::plugin::code::{UNREADABLE, USAGE};
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::{Code, Spec};
use crate::plugin::text::span;
use std::collections::BTreeSet;
use std::time::Duration;

/// See [`SPEC`].
pub struct VnicVconnector;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the bridge
    #[arg(value_parser = bridge::name)]
    pub bridge: String,
    /// Address of the vNIC, as the guest has it, in any notation
    pub mac: Mac,
    /// The port it must be behind [default: the guest's tap; else any but an uplink]
    #[arg(long, value_name = "NAME", value_parser = bridge::name)]
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

/// A bridge of the kernel and what it knows of the address.
#[derive(Debug)]
pub struct Linux {
    /// The bridge.
    pub bridge: Link,
    /// What its table has of the address.
    pub entries: Result<Vec<Entry>, Trouble>,
    /// Its ports: those of the entries, and all where these do not settle it.
    pub ports: Vec<Plug>,
    /// The device of `--port`.
    pub named: Option<Link>,
}

/// A port of a bridge of the kernel.
#[derive(Debug)]
pub struct Plug {
    /// The port.
    pub link: Link,
    /// The other end of a veth, where it is in the same namespace.
    pub peer: Option<Link>,
    /// Whether Open vSwitch has the peer; none where it was not asked.
    pub peer_in_ovs: Option<Result<bool, Trouble>>,
}

/// A bridge of Open vSwitch and what is known of the address.
#[derive(Debug)]
pub struct Ovs {
    /// Ports that the vNIC is plugged into, on whichever bridge; and the bridge, if there is one.
    pub ports: Ports,
    /// What the forwarding table has; none where it was not asked.
    pub learned: Option<Result<Vec<Way>, Trouble>>,
}

/// A line of the forwarding table, and the port that it names.
#[derive(Debug)]
pub struct Way {
    /// The line.
    pub learned: Learned,
    /// The port with that number; none for LOCAL, and for one that vanished.
    pub port: Option<Behind>,
}

/// A port of a bridge of Open vSwitch that an address is behind.
#[derive(Debug)]
pub struct Behind {
    /// Its row.
    pub port: Port,
    /// Its interfaces: several make a bond.
    pub interfaces: Vec<Interface>,
    /// The bridge that a patch port leads to.
    pub leads_to: Option<String>,
    /// The device of the kernel.
    pub device: Option<Link>,
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
            Facts::Linux(linux) => judge_linux(&mut report, linux, args),
            Facts::Other { device, ovs } => {
                judge_other(&mut report, device.as_deref(), ovs.as_deref(), args);
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
            let linux = look_at_linux(host, &route, place, bridge, args)?;
            Ok(Facts::Linux(Box::new(linux)))
        }
        device => {
            let ovs = bridges::is_here(place).then(|| Box::new(look_at_ovs(host, place, args)));
            Ok(Facts::Other { device: device.map(Box::new), ovs })
        }
    }
}

// ------------------------------------------------------------------- bridges of the kernel: facts

fn look_at_linux(
    host: &Host,
    route: &Route,
    place: &Place,
    bridge: Link,
    args: &Args,
) -> Result<Linux, Trouble> {
    let entries = route.fdb(&bridge, args.mac);
    // An address of a port is there once for each of its VLANs.
    let leading: BTreeSet<u32> = entries.iter().flatten().map(|entry| entry.port).collect();
    let mut links = Vec::new();
    for index in leading.iter().filter(|index| **index != bridge.index) {
        links.extend(route.link_by_index(*index)?.filter(|link| link.master == Some(bridge.index)));
    }
    let is_tap = |link: &Link| link.mac == Some(args.mac.of_tap());
    let settled = args.port.is_none() && !links.is_empty() && links.iter().all(is_tap);
    if !settled {
        links = route.links_of(bridge.index)?.whole()?;
    }
    // Behind which port an address is that was never learned shows only in what the others are.
    let guess = leading.is_empty() && learns_nothing(&bridge) && !links.iter().any(is_tap);
    let mut ports = Vec::new();
    for link in links {
        let open = args.port.is_none() && !is_tap(&link);
        let wanted = open && (guess || leading.contains(&link.index));
        let peer = match peer_index(&link).filter(|_| wanted) {
            // A veth without its peer is gone too: it was there when it was listed.
            Some(index) => match route.link_by_index(index)? {
                None => continue,
                peer => peer,
            },
            None => None,
        };
        ports.push(Plug { link, peer, peer_in_ovs: None });
    }
    ask_about_peers(host, place, &mut ports, &leading, guess);
    let named = match &args.port {
        Some(name) => route.link(name)?,
        None => None,
    };
    Ok(Linux { bridge, entries, ports, named })
}

/// The number of the other end of a veth, where that is in our namespace.
fn peer_index(link: &Link) -> Option<u32> {
    let veth = link.kind.as_deref() == Some("veth") && link.partner_netns.is_none();
    link.partner.filter(|_| veth)
}

/// Open vSwitch is asked only about the peer that decides, and that the kernel says nothing of: the
/// userspace datapath leaves no trace there.
fn ask_about_peers(
    host: &Host,
    place: &Place,
    ports: &mut [Plug],
    leading: &BTreeSet<u32>,
    guess: bool,
) {
    let only = guess && ports.iter().filter(|plug| !plug.leads_away()).count() == 1;
    for plug in ports.iter_mut().filter(|plug| !plug.leads_away()) {
        let decides = only || leading.contains(&plug.link.index);
        if let Some(peer) = plug.peer.as_ref().filter(|_| decides && bridges::is_here(place)) {
            plug.peer_in_ovs = Some(host.ovs_has_device(place, &peer.name));
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

fn learns_nothing(bridge: &Link) -> bool {
    bridge.bridge.is_some_and(|facts| facts.ageing == Some(0))
}

impl Plug {
    /// Why a port leads away from this host's guests; none where it does not.
    fn uplink(&self) -> Option<String> {
        if let Some(why) = leads_out(&self.link) {
            return Some(why);
        }
        let peer = self.peer.as_ref()?;
        let in_ovs = peer.name.starts_with("qvo")
            || peer.master_kind.as_deref() == Some("openvswitch")
            || matches!(self.peer_in_ovs, Some(Ok(true)));
        if in_ovs {
            Some(format!("its peer {} is plugged into Open vSwitch", peer.name))
        } else {
            let kind = peer.master_kind.as_deref().unwrap_or("device");
            peer.master.map(|_| format!("its peer {} is plugged into another {kind}", peer.name))
        }
    }

    fn leads_away(&self) -> bool {
        self.uplink().is_some()
    }

    /// Why it is not known whether it leads away.
    fn unknown(&self) -> Option<&Trouble> {
        self.peer_in_ovs.as_ref()?.as_ref().err()
    }

    /// What keeps it from forwarding.
    fn fault(&self) -> Option<(&'static Code, String)> {
        let name = &self.link.name;
        let state = self.link.port.unwrap_or_default().state;
        if !self.link.admin_up {
            Some((code::ADMIN_DOWN, format!("its port {name} is switched off (admin-down)")))
        } else if !self.link.lower_up {
            Some((code::LINK_DOWN, format!("its port {name} has no link")))
        } else if state != PortState::Forwarding {
            let word = state.word();
            Some((code::NOT_FORWARDING, format!("its port {name} does not forward ({word})")))
        } else {
            None
        }
    }
}

// ---------------------------------------------------------------- bridges of the kernel: judgement

fn judge_linux(report: &mut Report, linux: &Linux, args: &Args) {
    let (mac, name) = (args.mac, &args.bridge);
    linux.evidence(report, mac);
    if !linux.bridge.admin_up {
        return report.find(code::BRIDGE_DOWN, format!("{name} is switched off (admin-down)"));
    }
    let entries = match &linux.entries {
        Ok(entries) => entries,
        Err(trouble) => {
            let (code, text) = without_answer(trouble, "");
            return report.find(code, text);
        }
    };
    if let Some(port) = args.port.as_ref().filter(|port| linux.plug_named(port).is_none()) {
        let is = if linux.named.is_some() { "is not plugged into" } else { "does not exist on" };
        report.find(code::NOT_PLUGGED, format!("port {port} {is} {name}"));
    }
    let beyond: Vec<&Entry> = entries.iter().filter(|e| e.origin != Origin::Local).collect();
    match (beyond.as_slice(), entries.first()) {
        ([], Some(local)) => judge_local(report, linux, local, mac),
        ([], None) => judge_unseen(report, linux, args),
        (some, _) => {
            measure_age(report, some.iter().filter_map(|entry| entry.age));
            some.iter().for_each(|entry| judge_entry(report, linux, entry, args));
        }
    }
}

impl Linux {
    fn plug_named(&self, name: &str) -> Option<&Plug> {
        self.ports.iter().find(|plug| plug.link.name == name)
    }

    /// The guest's tap, which libvirt gives the guest's address with 0xfe in front.
    fn tap_of(&self, mac: Mac) -> Option<&Plug> {
        self.ports.iter().find(|plug| plug.link.mac == Some(mac.of_tap()))
    }

    /// The ports that an address may be behind of which nothing was ever learned: those that neither
    /// lead away nor are, by Neutron's prefix, the tap of another guest.
    fn candidates(&self, mac: Mac) -> impl Iterator<Item = &Plug> {
        let anothers = move |plug: &&Plug| {
            plug.link.mac.is_some_and(|tap| tap.is_neutron_tap() && tap != mac.of_tap())
        };
        self.ports.iter().filter(|plug| !plug.leads_away()).filter(move |plug| !anothers(plug))
    }

    fn only_candidate(&self, mac: Mac) -> Option<&Plug> {
        let mut candidates = self.candidates(mac);
        candidates.next().filter(|_| candidates.next().is_none())
    }

    fn evidence(&self, report: &mut Report, mac: Mac) {
        let Link { name, admin_up, .. } = &self.bridge;
        let facts = self.bridge.bridge.unwrap_or_default();
        let ageing = facts.ageing.map(|n| format!(", ageing {} s", n / 100)).unwrap_or_default();
        let vlans = if facts.vlan_filtering { ", VLAN-aware" } else { "" };
        let up = if *admin_up { "up" } else { "down" };
        report.fine(format!("{name}: Linux bridge, admin {up}{ageing}{vlans} (netlink)"));
        for plug in self.ports.iter().filter(|plug| self.concerns(plug, mac)) {
            let Link { name, admin_up, lower_up, port, .. } = &plug.link;
            let onoff = |up: &bool| if *up { "up" } else { "down" };
            let state = port.unwrap_or_default().state.word();
            let peer = plug.peer.as_ref().map(|peer| format!(", peer {}", peer.name));
            report.fine(format!(
                "port {name}: {}, admin {}, carrier {}, {state}{}",
                bridge::kind_words(&plug.link),
                onoff(admin_up),
                onoff(lower_up),
                peer.unwrap_or_default(),
            ));
        }
    }

    /// Whether a port is worth a line.
    fn concerns(&self, plug: &Plug, mac: Mac) -> bool {
        let entries = self.entries.iter().flatten();
        let named = self.named.as_ref().is_some_and(|named| named.index == plug.link.index);
        named
            || plug.peer.is_some()
            || plug.link.mac == Some(mac.of_tap())
            || entries.into_iter().any(|e| e.port == plug.link.index)
    }
}

fn judge_entry(report: &mut Report, linux: &Linux, entry: &Entry, args: &Args) {
    let (mac, bridge) = (args.mac, &args.bridge);
    let Some(plug) = linux.ports.iter().find(|plug| plug.link.index == entry.port) else {
        let text = format!("{mac}: its port in {bridge} vanished while it was read");
        return report.find(&UNREADABLE, text);
    };
    let port = &plug.link.name;
    let place = format!("{port}{}", vlan_words(entry.vlan));
    told(report, entry.origin.word(), port);
    let tap = linux.tap_of(mac).map(|tap| &tap.link.name);
    let is_right = args.port.is_some() || tap == Some(port);
    if let Some(named) = args.port.as_ref().filter(|named| *named != port) {
        report.find(code::WRONG_PORT, format!("{mac} is behind {place}, not behind {named}"));
    } else if let Some(why) = plug.uplink().filter(|_| !is_right) {
        report.find(code::ON_UPLINK, format!("{mac} is behind the uplink {place}: {why}"));
    } else if let Some(tap) = tap.filter(|_| !is_right) {
        report.find(code::WRONG_PORT, format!("{mac} is behind {place}, but its tap is {tap}"));
    } else if let Some(trouble) = plug.unknown() {
        let (code, text) = without_answer(trouble, REMEDY);
        let peer = plug.peer.as_ref().map_or("", |peer| peer.name.as_str());
        report
            .find(code, format!("{port} is perhaps an uplink, if Open vSwitch has {peer}: {text}"));
    } else if let Some((code, text)) = plug.fault() {
        report.find(code, format!("{mac}: {text}"));
    } else {
        let how = how_words(entry.origin.word(), entry.age);
        report.when_ok = format!("{mac} is behind {place} of {bridge} ({how})");
    }
}

impl Origin {
    const fn word(self) -> &'static str {
        match self {
            Self::Learned => "learned",
            Self::Static => "static",
            Self::Local => "local",
        }
    }
}

fn how_words(origin: &str, age: Option<Duration>) -> String {
    let ago = age.map(|age| format!(", seen {} ago", span(age.as_secs())));
    format!("{origin}{}", ago.unwrap_or_default())
}

fn vlan_words(vlan: Option<u16>) -> String {
    vlan.map(|vlan| format!(" in VLAN {vlan}")).unwrap_or_default()
}

fn told(report: &mut Report, origin: &str, port: &str) {
    report.fact(fact::ORIGIN.name, None, origin);
    report.fact(fact::PORT.name, None, port);
}

/// An address may be known in several VLANs: it was last seen in the youngest.
fn measure_age(report: &mut Report, ages: impl Iterator<Item = Duration>) {
    report.measure(metric::AGE, ages.min().map(|age| age.as_secs_f64()));
}

/// A bridge hands what is sent to an address of its own or of a port to the host, and does not
/// learn it from the guest (`br_handle_frame_finish`, `br_fdb_update`).
fn judge_local(report: &mut Report, linux: &Linux, entry: &Entry, mac: Mac) {
    let bridge = &linux.bridge.name;
    let port = linux.ports.iter().find(|plug| plug.link.index == entry.port);
    let whose = port.map_or_else(
        || format!("of {bridge} itself"),
        |plug| format!("of the port {} itself", plug.link.name),
    );
    told(report, entry.origin.word(), port.map_or(bridge, |plug| &plug.link.name));
    let text = format!("{mac} is not learned, it is the address {whose}: the guest gets nothing");
    report.find(code::LOCAL, text);
}

/// Why a bridge does not know a guest that is in order.
fn silent_or_off(linux: &Linux) -> String {
    let ageing = linux.bridge.bridge.and_then(|facts| facts.ageing);
    match ageing {
        Some(hundredths) => format!("silent for over {} s, or off", hundredths / 100),
        None => "silent for long, or off".to_owned(),
    }
}

/// The table has nothing: what is known of the port says more than that.
fn judge_unseen(report: &mut Report, linux: &Linux, args: &Args) {
    let (mac, bridge) = (args.mac, &args.bridge);
    report.fact(fact::ORIGIN.name, None, "none");
    let learns = !learns_nothing(&linux.bridge);
    let expected = match &args.port {
        Some(name) => linux.plug_named(name),
        None if learns => linux.tap_of(mac),
        None => linux.tap_of(mac).or_else(|| linux.only_candidate(mac)),
    };
    if args.port.is_some() && expected.is_none() {
        return;
    }
    let Some(plug) = expected else {
        return match linux.candidates(mac).next() {
            _ if learns => {
                let text = format!("{bridge} does not know {mac}: {}", silent_or_off(linux));
                report.find(code::NOT_SEEN, text);
            }
            Some(_) => {
                let text =
                    format!("{mac}: several ports of {bridge} may be its own, none is known to");
                report.find(code::NOT_SEEN, text);
            }
            None => {
                let tap = mac.of_tap();
                let text =
                    format!("{mac} has no port on {bridge}: no tap {tap}, only uplinks or others");
                report.find(code::NOT_PLUGGED, text);
            }
        };
    };
    let port = &plug.link.name;
    report.fact(fact::PORT.name, None, port.clone());
    if let Some((code, text)) = plug.fault() {
        report.find(code, format!("{mac}: {text}"));
    } else if learns {
        let why = silent_or_off(linux);
        let text = format!("{bridge} does not know {mac}, though its port {port} is up: {why}");
        report.find(code::NOT_SEEN, text);
    } else if let Some(trouble) = plug.unknown() {
        let (code, text) = without_answer(trouble, REMEDY);
        report.find(code, format!("{port} is perhaps an uplink: {text}"));
    } else {
        report.when_ok = format!(
            "{mac}: its port {port} is up and forwards ({bridge} learns nothing: ageing 0)"
        );
    }
}

// ------------------------------------------------------------------ bridges of Open vSwitch: facts

fn look_at_ovs(host: &Host, place: &Place, args: &Args) -> Ovs {
    let Args { bridge, mac, .. } = args;
    let wanted = Wanted::Attached { mac: *mac, bridge: bridge.clone() };
    let ports = host.ovs_ports(place, &wanted);
    let mut learned = None;
    if let Ok(tables) = &ports.tables
        && has_bridge(tables, bridge)
        && plugged(tables, bridge).is_empty()
        && let Ok(answer) = &ports.vswitchd.answer
    {
        let lines = host.ovs_fdb(place, &answer.control, bridge, *mac);
        learned = Some(lines.and_then(|lines| ways(host, place, bridge, lines)));
    }
    Ovs { ports, learned }
}

fn has_bridge(tables: &Tables, name: &str) -> bool {
    tables.bridges.iter().any(|bridge| bridge.name == name)
}

/// The interfaces with the vNIC's address on this bridge.
fn plugged<'t>(tables: &'t Tables, bridge: &str) -> Vec<(&'t Port, &'t Interface)> {
    let here = |port: &&Port| tables.bridge_of(port).is_some_and(|on| on.name == bridge);
    let ports = tables.ports.iter().filter(here);
    let attached = |i: &&Interface| i.external_ids.get("attached-mac").is_some();
    ports
        .flat_map(|port| {
            tables.interfaces_of(port).into_iter().filter(attached).map(move |i| (port, i))
        })
        .collect()
}

fn ways(
    host: &Host,
    place: &Place,
    bridge: &str,
    lines: Vec<Learned>,
) -> Result<Vec<Way>, Trouble> {
    lines
        .into_iter()
        .map(|learned| {
            let port = match learned.port {
                LOCAL => None,
                number => behind(host, place, bridge, number)?,
            };
            Ok(Way { learned, port })
        })
        .collect()
}

/// The port of a bridge with this number.
fn behind(
    host: &Host,
    place: &Place,
    bridge: &str,
    number: u16,
) -> Result<Option<Behind>, Trouble> {
    let tables = host.ovs_tables(place, &Wanted::Numbered(number))?;
    let here = |port: &&Port| tables.bridge_of(port).is_some_and(|on| on.name == bridge);
    let Some(port) = tables.ports.iter().find(here) else { return Ok(None) };
    let interfaces: Vec<Interface> = tables.interfaces_of(port).into_iter().cloned().collect();
    let patch = interfaces.iter().find(|interface| interface.kind == "patch");
    let leads_to = match patch.and_then(|interface| interface.options.get("peer")) {
        Some(peer) => {
            let other = host.ovs_tables(place, &Wanted::Names(vec![peer.clone()]))?;
            other.bridges.first().map(|bridge| bridge.name.clone())
        }
        None => None,
    };
    let device = match interfaces.as_slice() {
        [only] if matches!(only.kind.as_str(), "" | "system") => host.link(&only.name)?,
        _ => None,
    };
    Ok(Some(Behind { port: port.clone(), interfaces, leads_to, device }))
}

// -------------------------------------------------------------- bridges of Open vSwitch: judgement

fn judge_other(report: &mut Report, device: Option<&Link>, ovs: Option<&Ovs>, args: &Args) {
    let name = args.bridge.as_str();
    let Some(ovs) = ovs else { return bridge::missing(report, name, device, None, &CODES) };
    let Ports { vswitchd, server, tables, .. } = &ovs.ports;
    let heard = |trouble| Heard { vswitchd, server: server.as_ref(), trouble };
    match tables {
        Ok(tables) if has_bridge(tables, name) => judge_ovs(report, ovs, tables, args),
        Ok(_) => bridge::missing(report, name, device, Some(&heard(None)), &CODES),
        Err(trouble) => bridge::missing(report, name, device, Some(&heard(Some(trouble))), &CODES),
    }
}

fn judge_ovs(report: &mut Report, ovs: &Ovs, tables: &Tables, args: &Args) {
    let (mac, bridge) = (args.mac, &args.bridge);
    bridge::judge_life(report, &ovs.ports.vswitchd, &CODES.life);
    let plugged = plugged(tables, bridge);
    for (port, interface) in &plugged {
        judge_plugged(report, port, interface, &ovs.ports.devices, args);
    }
    if !plugged.is_empty() {
        return;
    }
    let elsewhere = tables.ports.iter().find_map(|port| Some((port, tables.bridge_of(port)?)));
    if let Some((port, on)) = elsewhere {
        report.note(format!("{mac} is plugged into {} by {} (attached-mac)", on.name, port.name));
    }
    let elsewhere = elsewhere.map(|(_, on)| on.name.as_str());
    match &ovs.learned {
        Some(Ok(ways)) if ways.is_empty() => {
            report.fact(fact::ORIGIN.name, None, "none");
            let where_else = elsewhere.map(|on| format!(", it is plugged into {on}"));
            let text = format!("{bridge} does not know {mac}{}", where_else.unwrap_or_default());
            report.find(code::NOT_SEEN, text);
        }
        Some(Ok(ways)) => {
            measure_age(report, ways.iter().filter_map(|way| way.learned.age));
            ways.iter().for_each(|way| judge_way(report, way, elsewhere, args));
        }
        Some(Err(Trouble { why: Why::Unreadable(what), .. }))
            if what.contains("no such bridge") =>
        {
            report.find(code::NOT_CONFIGURED, format!("ovs-vswitchd has not made {bridge}"));
        }
        Some(Err(trouble)) => {
            let (code, text) = without_answer(trouble, REMEDY);
            report.find(code, format!("the forwarding table of {bridge}: {text}"));
        }
        // Not asked: ovs-vswitchd does not answer. Where that is no finding yet, it may not be asked.
        None => {
            if let Err(trouble @ Trouble { why: Why::Forbidden, .. }) = &ovs.ports.vswitchd.answer {
                let (code, text) = without_answer(trouble, REMEDY);
                report.find(code, format!("{mac} is not plugged into {bridge}: {text}"));
            }
        }
    }
}

/// A port that names the address as its guest's.
fn judge_plugged(report: &mut Report, port: &Port, at: &Interface, devices: &Devices, args: &Args) {
    let (mac, bridge, name) = (args.mac, &args.bridge, &at.name);
    told(report, "attached", name);
    report.fine(format!("{name} on {bridge}: attached-mac {mac}, {} (OVSDB)", states(at)));
    let other = args.port.as_ref().filter(|named| **named != *name && **named != port.name);
    if let Some(named) = other {
        report.find(code::WRONG_PORT, format!("{mac} is plugged in by {name}, not by {named}"));
    } else if let Some((code, text)) = fault(port, at, devices) {
        report.find(code, format!("{mac}: its port {name} {text}"));
    } else {
        let down = (at.kind == "internal" && at.reads_down()).then(|| at.down(devices));
        let works = match down {
            Some(Down::Unseen) => {
                "an internal port in another namespace, whose state is not seen here"
            }
            Some(Down::Meant) => "off in its namespace, as on a backup of its router",
            _ => "which works",
        };
        report.when_ok = format!("{mac} is plugged into {bridge} by {name}, {works}");
    }
}

fn states(interface: &Interface) -> String {
    let word = |state: &Option<String>| state.clone().unwrap_or_else(|| "unset".to_owned());
    format!("admin {} link {}", word(&interface.admin_state.0), word(&interface.link_state.0))
}

/// What keeps a port of Open vSwitch from forwarding.
fn fault(port: &Port, interface: &Interface, devices: &Devices) -> Option<(&'static Code, String)> {
    /// Neutron's VLAN for ports that it gave up on.
    const DEAD_VLAN: u64 = 4095;
    let state = |state: &Option<String>, word: &str| state.as_deref() == Some(word);
    let admin_down = state(&interface.admin_state.0, "down");
    let link_down = state(&interface.link_state.0, "down");
    let internal = interface.kind == "internal" && (admin_down || link_down);
    if let Some(why) = &interface.error.0 {
        return Some((code::ERROR, format!("has an error: {why}")));
    }
    if interface.admin_state.0.is_none() && interface.kind != "patch" {
        return Some((code::NOT_CONFIGURED, "was not taken up by ovs-vswitchd".to_owned()));
    }
    if port.tag.0 == Some(DEAD_VLAN) {
        let text = "has tag 4095: dead VLAN or port admin-down in Neutron";
        return Some((code::DEAD_VLAN, text.to_owned()));
    }
    match interface.down(devices) {
        Down::Unseen | Down::Meant if internal => return None,
        Down::Unknown(why) if internal => {
            let text =
                format!("reads down; whether it was moved into a namespace is not known: {why}");
            return Some((code::NOT_COMPARABLE, text));
        }
        _ => {}
    }
    if admin_down {
        Some((code::ADMIN_DOWN, "is switched off (admin-down)".to_owned()))
    } else if link_down {
        Some((code::LINK_DOWN, "has no link".to_owned()))
    } else {
        None
    }
}

/// A line of the forwarding table. `elsewhere` is the bridge that the vNIC is plugged into: a patch
/// port that leads there is right (trunk bridges).
fn judge_way(report: &mut Report, way: &Way, elsewhere: Option<&str>, args: &Args) {
    let (mac, bridge) = (args.mac, &args.bridge);
    let origin = if way.learned.age.is_some() { "learned" } else { "static" };
    if way.learned.port == LOCAL {
        told(report, "local", bridge);
        let text = format!("{mac} is behind {bridge} itself (LOCAL): the guest gets nothing");
        return report.find(code::LOCAL, text);
    }
    let Some(behind) = &way.port else {
        let text = format!("{mac}: its port {} in {bridge} vanished", way.learned.port);
        return report.find(&UNREADABLE, text);
    };
    let names: BTreeSet<&str> = behind.interfaces.iter().map(|i| i.name.as_str()).collect();
    let port = behind.port.name.as_str();
    told(report, origin, port);
    report.fine(format!(
        "{mac}: port {} ({port}), VLAN {}, {origin} (fdb/show of ovs-vswitchd)",
        way.learned.port, way.learned.vlan
    ));
    let other = args.port.as_deref().filter(|named| *named != port && !names.contains(named));
    if let Some(named) = other {
        report.find(code::WRONG_PORT, format!("{mac} is behind {port}, not behind {named}"));
    } else if let Some(why) = behind.uplink(elsewhere).filter(|_| args.port.is_none()) {
        report.find(code::ON_UPLINK, format!("{mac} is behind the uplink {port}: {why}"));
    } else if let Some((code, text)) = behind.fault() {
        report.find(code, format!("{mac}: its port {port} {text}"));
    } else {
        let how = how_words(origin, way.learned.age);
        report.when_ok = format!("{mac} is behind {port} of {bridge} ({how})");
    }
}

impl Behind {
    /// Why a port leads away from this host's guests; none where it does not.
    fn uplink(&self, elsewhere: Option<&str>) -> Option<String> {
        let [only] = self.interfaces.as_slice() else { return Some("a bond".to_owned()) };
        match only.kind.as_str() {
            "patch" if elsewhere.is_some() && self.leads_to.as_deref() == elsewhere => None,
            "patch" => {
                let bridge = self.leads_to.as_deref().unwrap_or("nowhere");
                Some(format!("a patch port to {bridge}"))
            }
            "" | "system" => self.device.as_ref().and_then(leads_out),
            "internal" | "tap" | "dpdkvhostuser" | "dpdkvhostuserclient" | "afxdp" => None,
            kind => Some(format!("a {kind} port")),
        }
    }

    fn fault(&self) -> Option<(&'static Code, String)> {
        let [only] = self.interfaces.as_slice() else { return None };
        // What was learned a moment ago from an internal port comes from wherever that was moved.
        let devices = Devices::Known(std::collections::HashSet::new());
        fault(&self.port, only, &devices).filter(|_| only.kind != "patch")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::link::Bridge;
    use crate::host::ovs::daemon::{Answer, Daemon};
    use crate::host::ovsdb::value::{Map, Optional, Set, Uuid};

    const GUEST: Mac = Mac([0xfa, 0x16, 0x3e, 0, 0, 1]);
    const OTHER: Mac = Mac([0x02, 0, 0, 0, 0, 9]);

    fn bridge(ageing: u32) -> Link {
        let bridge = Some(Bridge { ageing: Some(ageing), ..Bridge::default() });
        let kind = Some("bridge".to_owned());
        Link { name: "br0".into(), index: 1, kind, bridge, admin_up: true, ..Link::default() }
    }

    fn plug(index: u32, name: &str, kind: Option<&str>, mac: Mac) -> Plug {
        let state = PortState::Forwarding;
        let link = Link {
            name: name.into(),
            index,
            kind: kind.map(str::to_owned),
            mac: Some(mac),
            master: Some(1),
            admin_up: true,
            lower_up: true,
            port: Some(crate::host::link::Port { state, number: None }),
            ..Link::default()
        };
        Plug { link, peer: None, peer_in_ovs: None }
    }

    fn tap() -> Plug {
        plug(2, "tap1", Some("tun"), GUEST.of_tap())
    }

    fn uplink() -> Plug {
        plug(3, "eth1", None, OTHER)
    }

    fn behind_port(port: u32, origin: Origin) -> Entry {
        Entry { port, origin, age: Some(Duration::from_secs(2)), vlan: None }
    }

    fn args(port: Option<&str>) -> Args {
        let place = PlaceArgs { rundir: None, db: None };
        Args { bridge: "br0".into(), mac: GUEST, port: port.map(str::to_owned), place }
    }

    fn codes(facts: Facts, port: Option<&str>) -> Vec<&'static str> {
        let report = VnicVconnector::judge(&facts, &args(port), &Past::default());
        let codes: Vec<_> = report.findings.iter().map(|finding| finding.code.name).collect();
        assert!(!codes.is_empty() || !report.when_ok.is_empty(), "an OK says why: {report:?}");
        codes
    }

    fn of(
        ageing: u32,
        entries: &[Entry],
        ports: Vec<Plug>,
        port: Option<&str>,
    ) -> Vec<&'static str> {
        let linux =
            Linux { bridge: bridge(ageing), entries: Ok(entries.to_vec()), ports, named: None };
        codes(Facts::Linux(Box::new(linux)), port)
    }

    fn at(index: u32) -> [Entry; 1] {
        [behind_port(index, Origin::Learned)]
    }

    #[test]
    fn the_right_port_is_the_named_one_else_the_tap_else_any_but_an_uplink() {
        let both = || vec![tap(), uplink()];
        assert!(of(30_000, &at(2), both(), None).is_empty());
        assert!(of(30_000, &at(2), both(), Some("tap1")).is_empty());
        assert!(of(30_000, &at(3), both(), Some("eth1")).is_empty());
        assert_eq!(of(30_000, &at(2), both(), Some("eth1")), ["wrong-port"]);
        assert_eq!(of(30_000, &at(3), both(), None), ["on-uplink"]);
        assert_eq!(of(30_000, &at(2), both(), Some("tap9")), ["not-plugged", "wrong-port"]);
        let container = || plug(4, "veth1", Some("veth"), OTHER);
        assert!(of(30_000, &at(4), vec![container(), uplink()], None).is_empty());
        assert_eq!(of(30_000, &at(4), vec![tap(), container()], None), ["wrong-port"]);
        assert_eq!(of(30_000, &at(9), both(), None), ["unreadable"]);
        let fixed = [behind_port(2, Origin::Static)];
        assert!(of(30_000, &fixed, both(), None).is_empty());
    }

    #[test]
    fn what_leads_away_is_an_uplink() {
        let veth = |change: fn(&mut Link), in_ovs: Option<Result<bool, Trouble>>| {
            let mut plug = plug(4, "veth1", Some("veth"), OTHER);
            let mut peer = Link { name: "peer".into(), ..Link::default() };
            change(&mut peer);
            (plug.peer, plug.peer_in_ovs) = (Some(peer), in_ovs);
            of(30_000, &at(4), vec![plug], None)
        };
        let trouble = |why| Some(Err(Trouble { whom: "it".into(), why }));
        assert!(veth(|_| {}, None).is_empty());
        assert!(veth(|_| {}, Some(Ok(false))).is_empty());
        assert_eq!(veth(|peer| peer.name = "qvo1".into(), None), ["on-uplink"]);
        let in_datapath = |peer: &mut Link| peer.master_kind = Some("openvswitch".into());
        assert_eq!(veth(in_datapath, None), ["on-uplink"]);
        assert_eq!(veth(|peer| peer.master = Some(7), None), ["on-uplink"]);
        assert_eq!(veth(|_| {}, Some(Ok(true))), ["on-uplink"]);
        assert_eq!(veth(|_| {}, trouble(Why::Forbidden)), ["forbidden"]);
        assert_eq!(veth(|_| {}, trouble(Why::Silent(Duration::ZERO))), ["timeout"]);
        for kind in [None, Some("vlan"), Some("vxlan"), Some("bond")] {
            let port = plug(4, "up", kind, OTHER);
            assert_eq!(of(30_000, &at(4), vec![port], None), ["on-uplink"], "{kind:?}");
        }
    }

    #[test]
    fn a_port_that_does_not_forward_is_critical_whether_the_address_is_known_or_not() {
        type Change = (fn(&mut Link), &'static str);
        let changes: [Change; 3] = [
            (|link| link.admin_up = false, "admin-down"),
            (|link| link.lower_up = false, "link-down"),
            (|link| link.port = None, "not-forwarding"),
        ];
        for (change, code) in changes {
            for (ageing, entries) in [(30_000, &at(2)[..]), (30_000, &[]), (0, &[])] {
                let mut port = tap();
                change(&mut port.link);
                assert_eq!(of(ageing, entries, vec![port], None), [code], "{ageing} {entries:?}");
            }
        }
        let mut down = bridge(30_000);
        down.admin_up = false;
        let linux = Linux { bridge: down, entries: Ok(vec![]), ports: vec![], named: None };
        assert_eq!(codes(Facts::Linux(Box::new(linux)), None), ["bridge-down"]);
    }

    #[test]
    fn an_address_that_is_not_there_is_a_warning_unless_nothing_is_learned() {
        assert_eq!(of(30_000, &[], vec![tap(), uplink()], None), ["not-seen"]);
        assert_eq!(of(30_000, &[], vec![tap(), uplink()], Some("tap1")), ["not-seen"]);
        assert!(of(0, &[], vec![tap(), uplink()], None).is_empty());
        let nameless = || plug(2, "tap1", Some("tun"), OTHER);
        assert!(of(0, &[], vec![nameless(), uplink()], None).is_empty(), "the only one");
        let two = || vec![nameless(), plug(5, "tap2", Some("tun"), OTHER)];
        assert_eq!(of(0, &[], two(), None), ["not-seen"]);
        assert!(of(0, &[], two(), Some("tap2")).is_empty());
        assert_eq!(of(0, &[], vec![uplink()], None), ["not-plugged"]);
        // The tap of another of Neutron's guests is no candidate.
        let anothers = "fe:16:3e:00:00:99".parse().expect("an address");
        let mut other = nameless();
        other.link.mac = Some(anothers);
        assert_eq!(of(0, &[], vec![other], None), ["not-plugged"]);
        assert_eq!(of(0, &[], vec![uplink()], Some("tap1")), ["not-plugged"]);
    }

    #[test]
    fn an_address_of_the_host_is_not_learned() {
        let local = |port| [behind_port(port, Origin::Local)];
        assert_eq!(of(30_000, &local(2), vec![tap()], None), ["local"]);
        assert_eq!(of(30_000, &local(1), vec![tap()], None), ["local"]);
        let mixed = [local(3), at(2)].concat();
        assert!(of(30_000, &mixed, vec![tap(), uplink()], None).is_empty());
    }

    // ------------------------------------------------------------------ bridges of Open vSwitch

    fn interface(name: &str, kind: &str, link: &str, attached: bool) -> Interface {
        let mac = attached.then(|| ("attached-mac".to_owned(), GUEST.to_string()));
        Interface {
            uuid: Uuid(format!("i-{name}")),
            name: name.into(),
            kind: kind.into(),
            admin_state: Optional(Some(link.into())),
            link_state: Optional(Some(link.into())),
            external_ids: Map(mac.into_iter().collect()),
            ..Interface::default()
        }
    }

    fn row(name: &str, tag: Option<u64>) -> Port {
        Port {
            uuid: Uuid(format!("p-{name}")),
            name: name.into(),
            interfaces: Set(vec![Uuid(format!("i-{name}"))]),
            tag: Optional(tag),
            ..Port::default()
        }
    }

    fn on(name: &str) -> crate::host::ovs::row::Bridge {
        crate::host::ovs::row::Bridge { name: name.into(), ..Default::default() }
    }

    /// The bridge asked for, and perhaps a port that has the address, on it or on another.
    fn ovs(
        port: Option<(Interface, Port, &str)>,
        learned: Option<Result<Vec<Way>, Trouble>>,
    ) -> Ovs {
        let mut tables = Tables { bridges: vec![on("br0")], ..Tables::default() };
        if let Some((interface, port, bridge)) = port {
            tables.bridge_of.insert(port.uuid.clone(), tables.bridges.len());
            tables.bridges.push(on(bridge));
            tables.interfaces.insert(interface.uuid.clone(), interface);
            tables.ports.push(port);
        }
        let vswitchd = Daemon {
            name: "ovs-vswitchd",
            pidfile: Err(Trouble { whom: "x".into(), why: Why::Absent }),
            process: None,
            monitor: None,
            answer: Ok(Answer {
                rtt: Duration::ZERO,
                version: "3.1.0".into(),
                second: None,
                control: "/run/x.7.ctl".into(),
            }),
            leftovers: 0,
        };
        let devices = Devices::Known(["tap1".to_owned()].into());
        let ports = Ports { vswitchd, server: None, tables: Ok(tables), devices };
        Ovs { ports, learned }
    }

    fn of_ovs(ovs: Ovs, port: Option<&str>) -> Vec<&'static str> {
        codes(Facts::Other { device: None, ovs: Some(Box::new(ovs)) }, port)
    }

    #[test]
    fn a_vnic_that_is_plugged_in_is_judged_by_its_port() {
        let attached = |kind: &str, link: &str, tag| {
            let port = (interface("tap1", kind, link, true), row("tap1", tag), "br0");
            ovs(Some(port), None)
        };
        assert!(of_ovs(attached("", "up", Some(1)), None).is_empty());
        assert!(of_ovs(attached("", "up", Some(1)), Some("tap1")).is_empty());
        assert_eq!(of_ovs(attached("", "up", Some(1)), Some("tap2")), ["wrong-port"]);
        assert_eq!(of_ovs(attached("", "down", Some(1)), None), ["admin-down"]);
        assert_eq!(of_ovs(attached("", "up", Some(4095)), None), ["dead-vlan"]);
        assert_eq!(of_ovs(attached("internal", "down", Some(1)), None), ["admin-down"]);
        let mut moved = attached("internal", "down", Some(1));
        moved.ports.devices = Devices::Known(Default::default());
        assert!(of_ovs(moved, None).is_empty(), "it may work in its namespace");
        let mut off = attached("internal", "down", Some(1));
        off.ports.devices = Devices::Known(Default::default());
        let tables = off.ports.tables.as_mut().expect("tables");
        tables.interfaces.values_mut().for_each(|i| i.mtu = Optional(Some(1500)));
        assert_eq!(of_ovs(off, None), ["admin-down"], "it is seen there");
        let mut unseen = attached("internal", "down", Some(1));
        unseen.ports.devices = Devices::NotComparable("hidden".into());
        assert_eq!(of_ovs(unseen, None), ["not-comparable"]);
        let mut dead = attached("", "up", Some(1));
        dead.ports.vswitchd.answer = Err(Trouble { whom: "x".into(), why: Why::Refused });
        assert_eq!(of_ovs(dead, None), ["no-process"], "what the database says is stale");
    }

    #[test]
    fn a_port_that_is_not_set_up_does_not_forward() {
        let with = |change: fn(&mut Interface)| {
            let mut interface = interface("tap1", "", "up", true);
            change(&mut interface);
            of_ovs(ovs(Some((interface, row("tap1", None), "br0")), None), None)
        };
        assert_eq!(with(|i| i.error = Optional(Some("no device".into()))), ["error"]);
        assert_eq!(with(|i| i.admin_state = Optional(None)), ["not-configured"]);
        assert_eq!(with(|i| i.link_state = Optional(Some("down".into()))), ["link-down"]);
    }

    fn way(kind: &str, leads_to: Option<&str>, device: Option<Option<&str>>) -> Way {
        let device = device.map(|kind| Link { kind: kind.map(str::to_owned), ..Link::default() });
        Way {
            learned: Learned { port: 2, vlan: 1, age: Some(Duration::from_secs(3)) },
            port: Some(Behind {
                port: row("p2", None),
                interfaces: vec![interface("p2", kind, "up", false)],
                leads_to: leads_to.map(str::to_owned),
                device,
            }),
        }
    }

    fn learned(way: Way, elsewhere: Option<&str>, port: Option<&str>) -> Vec<&'static str> {
        let at = |bridge| (interface("tap1", "", "up", true), row("tap1", None), bridge);
        of_ovs(ovs(elsewhere.map(at), Some(Ok(vec![way]))), port)
    }

    #[test]
    fn a_vnic_that_is_not_plugged_in_is_looked_for_in_the_table() {
        assert_eq!(of_ovs(ovs(None, Some(Ok(vec![]))), None), ["not-seen"]);
        assert!(learned(way("", None, Some(Some("veth"))), None, None).is_empty());
        assert!(learned(way("patch", Some("tbr-1"), None), Some("tbr-1"), None).is_empty());
        assert_eq!(learned(way("patch", Some("br-ex"), None), Some("tbr-1"), None), ["on-uplink"]);
        assert_eq!(learned(way("patch", Some("br-ex"), None), None, None), ["on-uplink"]);
        assert_eq!(learned(way("vxlan", None, None), None, None), ["on-uplink"]);
        assert_eq!(learned(way("dpdk", None, None), None, None), ["on-uplink"]);
        assert_eq!(learned(way("", None, Some(None)), None, None), ["on-uplink"]);
        assert!(learned(way("", None, Some(None)), None, Some("p2")).is_empty());
        assert_eq!(learned(way("", None, None), None, Some("p3")), ["wrong-port"]);
        let local = Learned { port: LOCAL, vlan: 0, age: Some(Duration::ZERO) };
        assert_eq!(learned(Way { learned: local, port: None }, None, None), ["local"]);
        let gone = Learned { port: 2, vlan: 0, age: Some(Duration::ZERO) };
        assert_eq!(learned(Way { learned: gone, port: None }, None, None), ["unreadable"]);
    }

    #[test]
    fn a_table_that_may_not_be_read_is_unknown() {
        let mut seen = ovs(None, None);
        seen.ports.vswitchd.answer = Err(Trouble { whom: "x".into(), why: Why::Forbidden });
        seen.ports.vswitchd.process = Some(crate::host::process::Process {
            pid: 7,
            parent: None,
            name: "x".into(),
            state: crate::host::process::State::Alive,
            started: 0,
            age: 1,
            memory: 1,
            title: "x".into(),
        });
        seen.ports.vswitchd.pidfile = Ok(crate::host::pidfile::PidFile {
            path: "/run/x.pid".into(),
            written: Some(7),
            holder: crate::host::pidfile::Holder::Process(7),
        });
        assert_eq!(of_ovs(seen, None), ["forbidden"]);
        let refused = Trouble { whom: "x".into(), why: Why::Unreadable("x".into()) };
        assert_eq!(of_ovs(ovs(None, Some(Err(refused))), None), ["unreadable"]);
    }
}
