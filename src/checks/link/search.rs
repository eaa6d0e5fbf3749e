//! Chains through the graph: what may be an end, the shortest way between two, how far one leads that
//! arrives nowhere, and one in words. Pure.

use super::graph::{Graph, How, Joint, Node, What};
use super::types::{End, Type};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;

/// Nodes one after the other, and the joints between them: one less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) nodes: Vec<usize>,
    pub(super) joints: Vec<usize>,
}

impl Graph<'_> {
    /// What may be meant by a name, as an end of this kind.
    pub(super) fn ends(&self, end: End, name: &str) -> Vec<usize> {
        let address: Option<IpAddr> = name.parse().ok();
        let vlan = super::vlan(name).ok();
        let fits = |node: &Node| {
            use What::{Address, Bond, Bridge, Device, Domain, Hidden, Netns, Port, TrunkBridge};
            use What::{Vedge, Vlan};
            let named = node.name == name;
            let local =
                || address.is_some() && node.tunnel.as_ref().is_some_and(|t| t.local == address);
            match (end, node.what) {
                (End::Otep | End::Any, Address(own)) => Some(own) == address,
                (End::Vlan | End::Any, Vlan(own)) => Some(own) == vlan,
                (End::Otep | End::Any, _) if local() => true,
                (End::Otep, _) => named && node.tunnel.is_some(),
                (End::Vnic, Device | Hidden | Port | Bond) => named,
                (End::Nic, Device | Port | Bond) => named && node.netns.is_none(),
                (End::Bridge, Bridge | Vedge | TrunkBridge) => named && node.netns.is_none(),
                (End::Vedge, Vedge | TrunkBridge) | (End::Netns, Netns) | (End::Domain, Domain) => {
                    named
                }
                (End::Any, _) => named,
                _ => false,
            }
        };
        let found: Vec<usize> = (0..self.nodes.len()).filter(|n| fits(&self.nodes[*n])).collect();
        // The far end itself says more than the tunnels that start here.
        let exact = |node: &&usize| matches!(self.nodes[**node].what, What::Address(_));
        match found.iter().find(exact) {
            Some(address) => vec![*address],
            None => found,
        }
    }

    /// Neighbours of a node that a chain of this type may go on to from there, having come by a joint.
    fn onward(&self, kind: &Type, node: usize, by: Option<usize>) -> Vec<(usize, usize)> {
        let tunnel = self.nodes[node].tunnel.is_some();
        let outer = |how| matches!(how, How::Local | How::Routed);
        let inner = |how| matches!(how, How::Plugged | How::Enslaved);
        let came = by.map(|joint| self.joints[joint].how);
        // What goes into a tunnel leaves this host in other packets: no chain crosses one. On the way
        // to the device below it, what it is plugged into is no way at all.
        let crosses = |how| {
            let both =
                came.is_some_and(|came| (inner(came) && outer(how)) || (outer(came) && inner(how)));
            tunnel && (both || (inner(how) && !kind.is_path() && kind.joins(How::Local)))
        };
        let joints = self.at[node].iter().map(|index| (*index, &self.joints[*index]));
        let open = joints.filter(|(_, joint)| kind.joins(joint.how) && !crosses(joint.how));
        let turns = |joint| by.is_some_and(|by| self.turns(node, [&self.joints[by], joint]));
        let open = open.filter(|(_, joint)| !turns(joint));
        open.map(|(index, joint)| (index, joint.other(node))).collect()
    }

    /// Whether a chain that comes and goes so turns round on a NIC: what its VLAN device or its bridge
    /// sends through it leaves by the wire, and what a bond gets from a member it gives to no other.
    fn turns(&self, node: usize, ways: [&Joint; 2]) -> bool {
        let vlan = |joint: &Joint| {
            let upper = self.nodes[joint.ends[0]].link;
            let tagged = upper.is_some_and(|upper| upper.vlan.is_some());
            joint.how == How::Lower && joint.ends[1] == node && tagged
        };
        let bridge = |joint: &Joint| {
            matches!(joint.how, How::Enslaved | How::Plugged) && joint.ends[0] == node
        };
        let member = |joint: &Joint| joint.how == How::Member && joint.ends[1] == node;
        let inward = |joint: &Joint| vlan(joint) || bridge(joint);
        let by_vlan = ways.into_iter().any(vlan) && ways.into_iter().all(inward);
        by_vlan || ways.into_iter().all(member)
    }

    /// The shortest chain of a type; of equal ones the first by name. One that holds is preferred.
    pub(super) fn chain(&self, kind: &Type, from: &[usize], to: &[usize]) -> Option<Chain> {
        let search = |below, broken| self.search(kind, from, to, &Tolerance { below, broken });
        // Where packets do not come out of a tunnel, the way below tunnels is no way for them.
        let tunnel = |node: &usize| {
            let node = &self.nodes[*node];
            node.tunnel.is_some() || matches!(node.what, What::Address(_))
        };
        let inside_first = kind.is_path() && !from.iter().any(tunnel);
        let inside = || search(false, false).or_else(|| search(false, true));
        let first = if inside_first { inside() } else { None };
        first.or_else(|| search(true, false)).or_else(|| search(true, true))
    }

    fn search(
        &self,
        kind: &Type,
        from: &[usize],
        to: &[usize],
        tolerance: &Tolerance,
    ) -> Option<Chain> {
        let mut came: HashMap<usize, Option<(usize, usize)>> =
            from.iter().map(|n| (*n, None)).collect();
        let mut next: VecDeque<usize> = from.iter().copied().collect();
        while let Some(node) = next.pop_front() {
            if to.contains(&node) && (came[&node].is_some() || !from.contains(&node)) {
                return Some(trace(&came, node));
            }
            if came[&node].is_some() && !kind.passes(self.nodes[node].what) {
                continue;
            }
            let by = came[&node].map(|(joint, _)| joint);
            for (joint, other) in self.onward(kind, node, by) {
                if tolerance.allows(&self.joints[joint]) && !came.contains_key(&other) {
                    came.insert(other, Some((joint, node)));
                    next.push_back(other);
                }
            }
        }
        None
    }

    /// The way on from an end as far as it is the only one, or its name is akin to a name of the other
    /// end: `qvo1ab-01` to `tap1ab-01`.
    pub(super) fn thread(&self, kind: &Type, start: usize, akin: &str) -> Chain {
        let mut chain = Chain { nodes: vec![start], joints: Vec::new() };
        let mut seen = HashSet::from([start]);
        loop {
            let node = chain.nodes[chain.nodes.len() - 1];
            let first = chain.joints.is_empty();
            if !first && !kind.passes(self.nodes[node].what) {
                return chain;
            }
            let by = chain.joints.last().copied();
            let mut new = self.onward(kind, node, by);
            // What lies beyond this host joins nothing on it.
            new.retain(|(_, other)| !seen.contains(other) && !self.is_far(*other));
            let leads = |(joint, other): &&(usize, usize)| {
                !self.nodes[node].switches() || !self.onward_from(kind, *other, *joint).is_empty()
            };
            let leading: Vec<_> = new.iter().filter(leads).collect();
            let is_akin = |(_, other): &&&(usize, usize)| related(&self.nodes[*other].name, akin);
            let chosen = match leading.as_slice() {
                [only] => Some(*only),
                several => several.iter().find(|step| is_akin(step)).copied(),
            };
            let Some((joint, other)) = chosen else { return chain };
            seen.insert(*other);
            chain.nodes.push(*other);
            chain.joints.push(*joint);
        }
    }

    /// Whether a node is beyond this host.
    fn is_far(&self, node: usize) -> bool {
        matches!(self.nodes[node].what, What::Address(_) | What::Vlan(_))
    }

    fn onward_from(&self, kind: &Type, node: usize, by: usize) -> Vec<(usize, usize)> {
        let mut onward = self.onward(kind, node, Some(by));
        onward.retain(|(joint, other)| *joint != by && !self.is_far(*other));
        onward
    }

    /// A chain in one line: `tap1 -> qbr1 -> qvb1 = qvo1 -> br-int (tag 1)`.
    pub(super) fn drawn(&self, chain: &Chain) -> String {
        let mut text = String::new();
        for (at, node) in chain.nodes.iter().enumerate() {
            let before = at.checked_sub(1).map(|at| &self.joints[chain.joints[at]]);
            let behind = chain.joints.get(at).map(|joint| &self.joints[*joint]);
            text += match before.map(|joint| joint.how) {
                None => "",
                Some(How::Peers | How::Patch) => " = ",
                Some(_) => " -> ",
            };
            let Node { name, vedge, netns, .. } = &self.nodes[*node];
            text += name;
            let tag = [before, behind].into_iter().flatten().find_map(|joint| joint.port?.tag.0);
            let local = [before, behind].into_iter().flatten().find_map(|joint| {
                let tunnel = self.nodes[joint.ends[0]].tunnel.as_ref();
                tunnel.filter(|_| joint.how == How::Local && joint.ends[1] == *node)?.local
            });
            if let Some(tag) = tag.filter(|_| vedge.is_some()) {
                text += &format!(" (tag {tag})");
            }
            if let Some(local) = local {
                text += &format!(" ({local})");
            }
            if let (None, Some(netns)) = (before, netns) {
                text += &format!(" in {netns}");
            }
        }
        text
    }
}

/// Which joints a search takes.
struct Tolerance {
    /// Those to the device below a tunnel.
    below: bool,
    /// Those that only one side speaks of.
    broken: bool,
}

impl Tolerance {
    fn allows(&self, joint: &Joint) -> bool {
        let below = matches!(joint.how, How::Local | How::Routed);
        (joint.mutual || self.broken) && (!below || self.below)
    }
}

impl Chain {
    /// The same from the other end.
    pub(super) fn reversed(mut self) -> Self {
        self.nodes.reverse();
        self.joints.reverse();
        self
    }
}

fn trace(came: &HashMap<usize, Option<(usize, usize)>>, end: usize) -> Chain {
    let mut chain = Chain { nodes: vec![end], joints: Vec::new() };
    let mut node = end;
    while let Some(Some((joint, before))) = came.get(&node) {
        chain.nodes.push(*before);
        chain.joints.push(*joint);
        node = *before;
    }
    chain.reversed()
}

/// os-vif names what belongs to one port by three letters and the start of the port's id.
fn related(name: &str, akin: &str) -> bool {
    const PREFIX: usize = 3;
    let id = |name: &str| name.get(PREFIX..).filter(|id| id.len() >= 2).map(str::to_owned);
    id(name).is_some() && id(name) == id(akin)
}
