//! Bridges of Open vSwitch: the port that a vNIC is plugged in by, else what the forwarding table
//! has of its address. And names that are no bridge of anybody.

use super::{Args, how_words, leads_out, measure_age, told};
use crate::checks::bridge::{self, Codes, Heard};
use crate::checks::ovs_life::{LifeCodes, REMEDY};
use crate::checks::ovs_rules::Down;
use crate::checks::without_answer;
use crate::host::link::Link;
use crate::host::ovs::Place;
use crate::host::ovs::bridges::{LOCAL, Learned};
use crate::host::ovs::ports::{Devices, Ports, Tables, Wanted};
use crate::host::ovs::row::{Interface, Port};
use crate::host::{Host, Trouble, Why};
use crate::manifest::check_vnic_vconnector::{code, fact};
use crate::plugin::code::UNREADABLE;
use crate::plugin::report::Report;
use crate::plugin::spec::Code;
use std::collections::{BTreeSet, HashSet};

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

// ----------------------------------------------------------------------------------------- facts

pub(super) fn look(host: &Host, place: &Place, args: &Args) -> Ovs {
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

// ------------------------------------------------------------------------------------- judgement

pub(super) fn judge(report: &mut Report, device: Option<&Link>, ovs: Option<&Ovs>, args: &Args) {
    let name = args.bridge.as_str();
    let Some(ovs) = ovs else { return bridge::missing(report, name, device, None, &CODES) };
    let Ports { vswitchd, server, tables, .. } = &ovs.ports;
    let heard = |trouble| Heard { vswitchd, server: server.as_ref(), trouble };
    match tables {
        Ok(tables) if has_bridge(tables, name) => judge_bridge(report, ovs, tables, args),
        Ok(_) => bridge::missing(report, name, device, Some(&heard(None)), &CODES),
        Err(trouble) => bridge::missing(report, name, device, Some(&heard(Some(trouble))), &CODES),
    }
}

fn judge_bridge(report: &mut Report, ovs: &Ovs, tables: &Tables, args: &Args) {
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
        let devices = Devices::Known(HashSet::new());
        fault(&self.port, only, &devices).filter(|_| only.kind != "patch")
    }
}
