//! Bridges of the kernel: behind which port an address was learned, and what is known of one that
//! was not.

use super::{Args, how_words, leads_out, measure_age, told};
use crate::checks::ovs_life::REMEDY;
use crate::checks::{bridge, without_answer};
use crate::host::fdb::{Entry, Origin};
use crate::host::link::{Link, PortState};
use crate::host::mac::Mac;
use crate::host::netlink::Route;
use crate::host::ovs::{Place, bridges};
use crate::host::{Host, Trouble};
use crate::manifest::check_vnic_vconnector::{code, fact};
use crate::plugin::code::UNREADABLE;
use crate::plugin::report::Report;
use crate::plugin::spec::Code;
use std::collections::BTreeSet;

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

// ----------------------------------------------------------------------------------------- facts

pub(super) fn look(
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

// ------------------------------------------------------------------------------------- judgement

pub(super) fn judge(report: &mut Report, linux: &Linux, args: &Args) {
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

fn vlan_words(vlan: Option<u16>) -> String {
    vlan.map(|vlan| format!(" in VLAN {vlan}")).unwrap_or_default()
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
