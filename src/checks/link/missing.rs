//! Where there is no chain: an end that does not exist, or where the way from each end stops and what
//! is missing there.

use super::chain::{View, listed};
use super::graph::{How, Node, What, vlans};
use super::search::Chain;
use super::types::End;
use super::{DOMAIN, Snapshot};
use crate::checks::domain;
use crate::host::inside::Sight;
use crate::host::libvirt::Answer;
use crate::manifest::check_link::code;
use crate::plugin::report::Report;
use crate::plugin::spec::Code;

type Fault = (&'static Code, String);

/// Says which ends do not exist, in the order in which they were asked for; whether any does not.
pub(super) fn ends(report: &mut Report, view: &View, ends: &[Vec<usize>; 2]) -> bool {
    let kind = view.args.link_type();
    let names = view.args.ends();
    let mut sides = [0, 1];
    if view.args.kind.reversed {
        sides.reverse();
    }
    let mut any = false;
    for side in sides.into_iter().filter(|side| ends[*side].is_empty()) {
        any = true;
        let end = if side == 0 { kind.from } else { kind.to };
        let (code, text) = absent(view, end, names[side]);
        report.find(code, text);
        // Nothing can be in a namespace that is not there.
        if end == End::Netns {
            return true;
        }
    }
    if any {
        // What is there may be broken as well.
        for end in ends.iter().filter_map(|nodes| nodes.first()) {
            judge_node(report, view, *end);
        }
    }
    any
}

fn absent(view: &View, end: End, name: &str) -> Fault {
    let Snapshot { ovs, domain, .. } = view.snapshot;
    let by_whom = match ovs {
        Some(_) => "neither the kernel nor Open vSwitch has it",
        None => "no device in this network namespace has this name",
    };
    let other = view.graph.named(name).next().map(|node| &view.graph.nodes[node]);
    match (end, other) {
        (End::Domain, _) => {
            let own = view.args.libvirt_place.socket.is_some();
            let why = domain.as_ref().and_then(|asked| domain::unknown(asked, name, own, &DOMAIN));
            why.unwrap_or_else(|| (code::ABSENT, format!("'{name}' is no name of a domain")))
        }
        (End::Netns, _) => (code::ABSENT, format!("namespace {name} does not exist")),
        (End::Bridge | End::Vedge, Some(node)) => {
            let vedge = if end == End::Vedge { " of Open vSwitch" } else { "" };
            (code::NOT_BRIDGE, format!("{name} is {}, not a bridge{vedge}", node.words()))
        }
        (End::Vnic | End::Nic, Some(node)) => {
            (code::ABSENT, format!("{name} is no such device: it is {}", node.words()))
        }
        (End::Otep, Some(node)) => {
            (code::ABSENT, format!("{name} is {}, not a tunnel", node.words()))
        }
        (End::Otep, None) => {
            (code::ABSENT, format!("no tunnel has the name, remote or local address {name}"))
        }
        (End::Vnic, None) if !view.snapshot.netns.is_empty() => {
            (code::ABSENT, format!("{name} does not exist, here or in the namespace{}", has(view)))
        }
        (End::Any, _) => (code::ABSENT, format!("nothing on this host has the name {name}")),
        _ => (code::ABSENT, format!("{name} does not exist: {by_whom}")),
    }
}

/// What a namespace has instead.
fn has(view: &View) -> String {
    let names: Vec<&str> = view
        .snapshot
        .netns
        .iter()
        .flat_map(|(_, inside)| match &inside.sight {
            Sight::Seen(links) => links.iter().map(|link| link.name.as_str()).collect(),
            Sight::Hidden(Some(names)) => names.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        })
        .filter(|name| *name != "lo")
        .collect();
    match names.as_slice() {
        [] => ", which has no device".to_owned(),
        names => format!(", which has {}", names.join(", ")),
    }
}

/// Says what is missing between two ends that exist, and what is wrong with what is there.
pub(super) fn joint(report: &mut Report, view: &View, ends: &[Vec<usize>; 2]) {
    let kind = view.args.link_type();
    let names = view.args.ends();
    let [from, to] = [&ends[0], &ends[1]].map(|nodes| nodes[0]);
    let threads = [view.graph.thread(kind, from, names[1]), view.graph.thread(kind, to, names[0])];
    let (code, text) = reason(view, &threads);
    report.find(code, text);
    let both = if view.args.kind.reversed { [1, 0] } else { [0, 1] };
    for side in both {
        let thread = &threads[side];
        report.note(format!("from {}: {}", names[side], view.graph.drawn(thread)));
        for (at, node) in thread.nodes.iter().enumerate() {
            for (code, text) in view.faults(*node, thread, at) {
                if !report.findings.iter().any(|known| known.text == text) {
                    report.find(code, text);
                }
            }
        }
    }
}

fn judge_node(report: &mut Report, view: &View, node: usize) {
    let alone = Chain { nodes: vec![node], joints: Vec::new() };
    for (code, text) in view.faults(node, &alone, 0) {
        report.find(code, text);
    }
}

/// The first joint that is missing, seen from both ends.
fn reason(view: &View, threads: &[Chain; 2]) -> Fault {
    let graph = view.graph;
    let [from, to] = [&threads[0], &threads[1]].map(|thread| thread.nodes[thread.nodes.len() - 1]);
    let [near, far] = [&threads[0], &threads[1]].map(|thread| &graph.nodes[thread.nodes[0]]);
    let names = view.args.ends();
    match (near.what, far.what) {
        (What::Domain, _) if !view.args.link_type().is_path() => {
            return (code::NOT_JOINED, no_vnic(view, names[0], &far.name));
        }
        (What::Netns, _) if !view.args.link_type().is_path() => {
            let text = format!("{} is not in {}{}", names[1], names[0], has(view));
            return (code::NOT_JOINED, text);
        }
        (_, What::Vlan(vlan)) if near_is_nic(view, threads) => {
            return not_carried(view, threads[0].nodes[0], vlan);
        }
        _ => {}
    }
    // A port that goes nowhere is the place to look at, whichever end it belongs to.
    if let Some(fault) = threads.iter().find_map(|thread| loose_end(view, thread)) {
        return fault;
    }
    for (one, other) in [(from, to), (to, from)] {
        if let Some(fault) = orphan(view, one, &graph.nodes[other].name) {
            return fault;
        }
    }
    for (end, name) in [(far, names[0]), (near, names[1])] {
        if let What::Vlan(vlan) = end.what {
            let text = format!("no NIC that {name} is joined to carries {}", vlan_words(vlan));
            return (code::NOT_JOINED, text);
        }
    }
    by_address(view, &threads[0], names[1]).unwrap_or_else(|| elsewhere(view, threads))
}

/// A tunnel that leaves by another way.
fn by_address(view: &View, thread: &Chain, wanted: &str) -> Option<Fault> {
    let graph = view.graph;
    let joints = thread.joints.iter().map(|joint| &graph.joints[*joint]);
    let below = joints.into_iter().find(|joint| matches!(joint.how, How::Local | How::Routed))?;
    let [tunnel, holder] = below.ends.map(|node| &graph.nodes[node]);
    let (name, is) = (&tunnel.name, &holder.name);
    let way = match tunnel.tunnel.as_ref()?.local {
        Some(local) => format!("{name} leaves from {local} on {is}"),
        None => format!("{name} leaves through {is}"),
    };
    let text = if holder.switches() {
        format!("{way}, which nothing joins to {wanted}")
    } else {
        format!("{way}, not through {wanted}")
    };
    Some((code::NOT_JOINED, text))
}

fn no_vnic(view: &View, domain: &str, tap: &str) -> String {
    let asked = view.snapshot.domain.as_ref().map(|asked| &asked.answer);
    let vnics = match asked {
        Some(Ok(Answer::Domain(known))) => known.vnics.as_deref().unwrap_or_default(),
        _ => &[],
    };
    let taps: Vec<&str> = vnics.iter().filter_map(|vnic| vnic.target.as_deref()).collect();
    match taps.as_slice() {
        [] => format!("{tap} is no vNIC of {domain}, which has none with a device"),
        taps => format!("{tap} is no vNIC of {domain}, which has {}", taps.join(", ")),
    }
}

/// Whether a VLAN is asked of a NIC itself, and not of what may lie behind others.
fn near_is_nic(view: &View, threads: &[Chain; 2]) -> bool {
    !view.args.link_type().is_path() || view.graph.leads_off(threads[0].nodes[0])
}

fn vlan_words(vlan: u16) -> String {
    if vlan == 0 { "what has no tag".to_owned() } else { format!("VLAN {vlan}") }
}

fn not_carried(view: &View, nic: usize, vlan: u16) -> Fault {
    let Node { name, link, rows, .. } = &view.graph.nodes[nic];
    let what = vlan_words(vlan);
    if !view.graph.leads_off(nic) {
        let text = "it is no port that leads off this host";
        return (code::NOT_JOINED, format!("{name} does not carry {what}: {text}"));
    }
    match rows.map(|(port, _)| (port, vlans(port))) {
        // It carries all but the one that loses its tag.
        Some((_, None)) => {
            let text = "with its tag: it is its native VLAN, which goes untagged";
            (code::WRONG_TAG, format!("{name} does not carry {what} {text}"))
        }
        Some((port, Some(vlans))) => {
            let (tagged, is) = match port.tag.0 {
                Some(_) => (" with its tag", "an access port of"),
                None => ("", "a trunk of"),
            };
            let is = format!("it is {is} VLAN {}", listed(&vlans));
            (code::WRONG_TAG, format!("{name} does not carry {what}{tagged}: {is}"))
        }
        None if vlan == 0 => {
            let own = link.and_then(|link| link.vlan);
            let is = own.map_or_else(
                || "in no bridge and has no address".to_owned(),
                |own| format!("VLAN {own}"),
            );
            (code::NOT_JOINED, format!("{name} does not carry {what}: it is {is}"))
        }
        None => {
            let text = "it has no VLAN device for it and is in no bridge of Open vSwitch";
            (code::NOT_JOINED, format!("{name} does not carry {what}: {text}"))
        }
    }
}

/// A port at the end of a way that is joined to nothing further.
fn loose_end(view: &View, thread: &Chain) -> Option<Fault> {
    let graph = view.graph;
    let node = thread.nodes[thread.nodes.len() - 1];
    let Node { name, link, rows, tunnel, what, .. } = &graph.nodes[node];
    let kind = view.args.link_type();
    if let Some(tunnel) = tunnel.as_ref().filter(|_| kind.joins(How::Local)) {
        let text = match tunnel.local {
            Some(local) => {
                format!("{name}: its local address {local} is on no device of this host")
            }
            None => format!("{name} has no local address, and no route leads to its remote"),
        };
        let held = graph.joints_of(node).any(|joint| matches!(joint.how, How::Local | How::Routed));
        return (!held).then_some((code::NO_LOCAL, text));
    }
    if let Some((_, interface)) = rows.filter(|(_, interface)| interface.kind == "patch") {
        return patch_fault(view, node, interface.options.get("peer"));
    }
    if graph.nodes[node].switches() || matches!(what, What::Address(_) | What::Vlan(_)) {
        return None;
    }
    if graph.bridge_of(node).is_some() || rows.is_some() {
        return None;
    }
    if link.is_some_and(|link| link.master_kind.as_deref() == Some("openvswitch")) {
        let text =
            format!("{name} is in a bridge of Open vSwitch, whose database does not know it");
        return Some((code::NOT_JOINED, text));
    }
    let last = thread.joints.last().map(|joint| &graph.joints[*joint]);
    // Below a VLAN device the way goes on by the wire.
    if last.is_some_and(|joint| joint.how == How::Lower && joint.ends[1] == node) {
        return None;
    }
    // Which of the two should be is not known: a bridge of the kernel has the VLAN device.
    let text = match last.filter(|joint| joint.how == How::Lower && joint.ends[0] == node) {
        Some(joint) => {
            format!(
                "neither {} nor {name} is plugged into a bridge",
                graph.nodes[joint.ends[1]].name
            )
        }
        None => format!("{name} is not plugged into any bridge"),
    };
    Some((code::NOT_JOINED, text))
}

/// Why a patch port joins nothing.
fn patch_fault(view: &View, node: usize, peer: Option<&String>) -> Option<Fault> {
    let graph = view.graph;
    if graph.joints_of(node).any(|joint| joint.how == How::Patch) {
        return None;
    }
    let name = &graph.nodes[node].name;
    let text = match peer {
        None => format!("{name} is a patch port without a peer"),
        Some(peer) if graph.named(peer).next().is_none() => {
            format!("{name}: its peer {peer} does not exist")
        }
        Some(peer) => format!("{name}: its peer {peer} is no patch port"),
    };
    Some((code::NO_PEER, text))
}

/// A patch port of a bridge that leads nowhere: the one whose name says that it leads to the other
/// bridge (`int-br-ex`), else the only one.
fn orphan(view: &View, bridge: usize, other: &str) -> Option<Fault> {
    let graph = view.graph;
    if !graph.nodes[bridge].switches() {
        return None;
    }
    let plugged = graph.joints_of(bridge).filter(|joint| joint.how == How::Plugged);
    let ports = plugged.map(|joint| joint.ends[0]).filter(|node| *node != bridge);
    let loose: Vec<(usize, Fault)> = ports
        .filter(|node| graph.nodes[*node].is_patch())
        .filter_map(|node| {
            let (_, interface) = graph.nodes[node].rows?;
            Some((node, patch_fault(view, node, interface.options.get("peer"))?))
        })
        .collect();
    let named = |(node, _): &&(usize, Fault)| graph.nodes[*node].name.ends_with(other);
    let chosen = loose.iter().find(named).or_else(|| loose.first().filter(|_| loose.len() == 1));
    chosen.map(|(_, fault)| fault.clone())
}

/// Where an end is: the bridge that it is, or that the way from it ends at, and the port by which it
/// is plugged in there.
struct Place {
    bridge: usize,
    port: Option<usize>,
}

fn place(view: &View, thread: &Chain) -> Option<Place> {
    let graph = view.graph;
    let start = thread.nodes[0];
    if graph.nodes[start].switches() {
        return Some(Place { bridge: start, port: None });
    }
    let into = |node: usize| {
        let by =
            thread.nodes.iter().rev().copied().find(|port| graph.bridge_of(*port) == Some(node));
        by.map(|port| Place { bridge: node, port: Some(port) })
    };
    let last = thread.nodes[thread.nodes.len() - 1];
    if graph.nodes[last].switches() { into(last) } else { into(graph.bridge_of(last)?) }
}

/// Each end is somewhere, but not at the same place.
fn elsewhere(view: &View, threads: &[Chain; 2]) -> Fault {
    let graph = view.graph;
    let names = view.args.ends();
    let name = |node: usize| graph.nodes[node].name.as_str();
    let [Some(near), Some(far)] = [&threads[0], &threads[1]].map(|thread| place(view, thread))
    else {
        let [near, far] = [&threads[0], &threads[1]].map(|t| name(t.nodes[t.nodes.len() - 1]));
        let text =
            format!("the way from {} ends at {near}, that from {} at {far}", names[0], names[1]);
        return (code::NOT_JOINED, text);
    };
    let [here, there] = [name(near.bridge), name(far.bridge)];
    let passes = |bridge: usize| view.args.link_type().passes(graph.nodes[bridge].what);
    let plugged = |port: usize, bridge: usize, wanted: &str| {
        if passes(bridge) {
            let is = format!("{} is plugged into {}", name(port), name(bridge));
            (code::NOT_JOINED, format!("{is}, which nothing joins to {wanted}"))
        } else {
            let text = format!("{} is plugged into {}, not {wanted}", name(port), name(bridge));
            (code::WRONG_BRIDGE, text)
        }
    };
    match (near.port, far.port) {
        (Some(port), None) => plugged(port, near.bridge, there),
        (None, Some(port)) => plugged(port, far.bridge, here),
        (None, None) => (code::NOT_JOINED, format!("nothing joins {here} to {there}")),
        (Some(one), Some(other)) => {
            let text = format!(
                "{} is plugged into {here}, {} into {there}, and nothing joins these two",
                name(one),
                name(other)
            );
            (code::NOT_JOINED, text)
        }
    }
}
