//! Judges a chain: every node works, every joint holds, and what was asked about it is true.

use super::graph::{Graph, How, Joint, Node, Tunnel, What, inside, vlans};
use super::search::Chain;
use super::{Args, BOND, DEVICE, DOMAIN, ENTER, PORT, Snapshot};
use crate::checks::ovs_rules::{Rules, Subject};
use crate::checks::{bond, bridge, device, domain, without_answer};
use crate::host::inside::Sight;
use crate::host::libvirt::Answer;
use crate::host::link::{Link, PortState};
use crate::host::mac::Mac;
use crate::host::netns::Neighbours;
use crate::manifest::check_link::{code, fact, metric};
use crate::plugin::code::FORBIDDEN;
use crate::plugin::report::Report;
use crate::plugin::spec::Code;
use std::net::IpAddr;

type Fault = (&'static Code, String);

/// What a chain is judged by.
pub(super) struct View<'f> {
    pub(super) graph: &'f Graph<'f>,
    pub(super) snapshot: &'f Snapshot,
    pub(super) args: &'f Args,
}

impl<'f> View<'f> {
    /// Whether anything of a chain is what Open vSwitch says.
    pub(super) fn is_of_ovs(&self, chain: &Chain) -> bool {
        let of_ovs = |node: &Node| node.rows.is_some() || node.vedge.is_some();
        chain.nodes.iter().any(|node| of_ovs(&self.graph.nodes[*node]))
    }

    /// Judges a chain, given in the order of the table of types.
    pub(super) fn judge(&self, report: &mut Report, chain: Chain) {
        let kind = self.args.link_type();
        let outward = if kind.guest_first { chain.clone() } else { chain.clone().reversed() };
        let asked = if self.args.kind.reversed { chain.reversed() } else { chain };
        let drawn = self.graph.drawn(&asked);
        report.note(drawn.as_str());
        for (at, node) in asked.nodes.iter().enumerate() {
            let mut faults = self.faults(*node, &asked, at);
            faults.extend(self.joint_faults(&asked, at));
            let works = faults.is_empty();
            for (code, text) in faults {
                report.find(code, text);
            }
            if let Some(line) = self.evidence(*node, &asked, at) {
                if works { report.fine(line) } else { report.note(line) }
            }
        }
        self.judge_tag(report, &outward);
        self.judge_vlan(report, &outward);
        self.judge_identity(report, outward.clone());
        self.judge_mtu(report, &outward);
        report.measure(metric::HOPS, asked.joints.len() as f64);
        report.when_ok = format!("joined: {drawn}");
    }

    // ------------------------------------------------------------------------------------ nodes

    /// What keeps a node from working. Each sentence names it.
    pub(super) fn faults(&self, node: usize, chain: &Chain, at: usize) -> Vec<Fault> {
        let Node { name, what, .. } = &self.graph.nodes[node];
        let faults = match what {
            What::Netns => self.netns_fault(name).into_iter().collect(),
            What::Domain => self.domain_fault().into_iter().collect(),
            What::Hidden => {
                let text = "may not be looked at inside its namespace: permission denied";
                vec![(&FORBIDDEN, format!("{text}; {ENTER}"))]
            }
            _ => self.switch_faults(node, chain, at),
        };
        let named = |(code, text): Fault| {
            // Clauses go on with the name; what is said of bonds, tags and peers stands alone.
            let goes_on = ["is ", "has ", "may ", "was "].iter().any(|verb| text.starts_with(verb));
            (code, format!("{name}{}{text}", if goes_on { " " } else { ": " }))
        };
        faults.into_iter().map(named).collect()
    }

    /// Devices, bridges and ports: what the kernel says first, and of Open vSwitch what that does not.
    fn switch_faults(&self, node: usize, chain: &Chain, at: usize) -> Vec<Fault> {
        let Node { link, vedge, tunnel, .. } = &self.graph.nodes[node];
        let mut faults = Vec::new();
        let local = tunnel.as_ref().and_then(|tunnel| tunnel.local);
        if let Some(local) = local.filter(|local| self.lacks(*local)) {
            let text = format!("its local address {local} is on no device of this host");
            faults.push((code::NO_LOCAL, text));
        }
        // The LOCAL port of a bridge is normally down, and matters only where it has an address.
        if let Some(link) = link.filter(|_| vedge.is_none() || self.holds_address(chain, at)) {
            let fault = device::fault(link, &DEVICE);
            let by_bridge = fault.is_some() || self.bridge_is_off(link, chain);
            faults.extend(fault);
            let state = link.port.filter(|_| !by_bridge).map(|port| port.state);
            if let Some(state) = state.filter(|state| *state != PortState::Forwarding) {
                let word = state.word();
                faults.push((code::NOT_FORWARDING, format!("is {word} by the spanning tree")));
            }
        }
        faults.extend(self.bond_faults(node, chain));
        for fault in self.port_faults(node) {
            if !faults.iter().any(|(code, _)| *code == fault.0) {
                faults.push(fault);
            }
        }
        faults
    }

    /// Whether this host is known not to have an address: only some types look for them.
    fn lacks(&self, local: IpAddr) -> bool {
        let addresses = &self.snapshot.tunnels.addresses;
        let known = self.args.link_type().joins(How::Remote);
        known && !addresses.iter().any(|(_, address)| *address == local)
    }

    /// Whether a device is in a bridge of the chain that is switched off: then none of its ports
    /// forwards, which says no more.
    fn bridge_is_off(&self, port: &Link, chain: &Chain) -> bool {
        let links = chain.nodes.iter().filter_map(|node| self.graph.nodes[*node].link);
        let mut bridges = links.filter(|link| bridge::is_bridge(link));
        bridges.any(|bridge| Some(bridge.index) == port.master && !bridge.admin_up)
    }

    /// Whether the chain leaves a tunnel by the address of a node.
    fn holds_address(&self, chain: &Chain, at: usize) -> bool {
        neighbours(chain, at)
            .any(|joint| matches!(self.graph.joints[joint].how, How::Local | How::Routed))
    }

    /// The members of a bond of the kernel that are lost while others work: of the bond that a node
    /// is, or that it is a VLAN device of. A member that is a node of the chain speaks for itself.
    fn bond_faults(&self, node: usize, chain: &Chain) -> Vec<Fault> {
        let is_bond = |node: &usize| self.graph.nodes[*node].link.is_some_and(bond::is_bond);
        let below = self.graph.lower(node).filter(|lower| !chain.nodes.contains(lower));
        let Some(bond) = [Some(node), below].into_iter().flatten().find(is_bond) else {
            return Vec::new();
        };
        let told = |member: &Link| {
            let is_it = |node: &usize| {
                self.graph.nodes[*node].link.is_some_and(|link| std::ptr::eq(link, member))
            };
            chain.nodes.iter().any(is_it) && device::fault(member, &DEVICE).is_some()
        };
        let Some(link) = self.graph.nodes[bond].link else { return Vec::new() };
        let members = self.graph.members(bond).into_iter().filter(|member| !told(member));
        let faults = bond::faults(link, &members.collect::<Vec<_>>(), BOND);
        if bond == node {
            return faults;
        }
        faults.into_iter().map(|(code, text)| (code, format!("{}: {text}", link.name))).collect()
    }

    /// By the rules of `check_ovs_port`.
    fn port_faults(&self, node: usize) -> Vec<Fault> {
        let Node { rows: Some((port, interface)), what, .. } = &self.graph.nodes[node] else {
            return Vec::new();
        };
        let Some(ovs) = &self.snapshot.ovs else { return Vec::new() };
        let Ok(tables) = &ovs.tables else { return Vec::new() };
        let rules = Rules { tables, devices: &ovs.devices, codes: &PORT };
        let mut subject = Subject::whole(tables, port);
        if *what != What::Bond && subject.interfaces.len() > 1 {
            // The bond is a node of its own.
            subject.interfaces = vec![interface];
            return rules.interface(interface, &subject);
        }
        rules.faults(&subject)
    }

    fn netns_fault(&self, name: &str) -> Option<Fault> {
        let (_, inside) = self.snapshot.netns.iter().find(|(known, _)| known == name)?;
        match &inside.sight {
            Sight::Stale(Neighbours::SomeLive) => {
                Some((code::STALE, "is gone, a plain file is left of it".to_owned()))
            }
            Sight::Stale(Neighbours::NoneLive) => {
                let text = "is a plain file, as all are here: their mounts are not seen";
                Some((code::NO_PROPAGATION, text.to_owned()))
            }
            Sight::Trouble(trouble) => Some(without_answer(trouble, ENTER)),
            _ => None,
        }
    }

    fn domain_fault(&self) -> Option<Fault> {
        let asked = self.snapshot.domain.as_ref()?;
        let Ok(Answer::Domain(known)) = &asked.answer else { return None };
        domain::fault(known, &DOMAIN).or_else(|| {
            let process = asked.process.as_ref().filter(|process| process.state.cannot_answer())?;
            Some(domain::lifeless(process, &DOMAIN))
        })
    }

    // ----------------------------------------------------------------------------------- joints

    /// What is wrong with the joint behind a node, and with the bridge that joins two ports.
    fn joint_faults(&self, chain: &Chain, at: usize) -> Vec<Fault> {
        let joint = |at: usize| chain.joints.get(at).map(|joint| &self.graph.joints[*joint]);
        let mut faults = Vec::new();
        if let (Some(before), Some(behind)) = (at.checked_sub(1).and_then(joint), joint(at)) {
            faults.extend(self.parted(before, behind, chain.nodes[at]));
        }
        if let Some(vnic) = joint(at).and_then(|joint| joint.vnic).filter(|vnic| vnic.unplugged) {
            let tap = vnic.target.as_deref().unwrap_or("its vNIC");
            faults.push((
                code::LINK_DOWN,
                format!("{tap} is unplugged in libvirt (link state down)"),
            ));
        }
        faults
    }

    /// Two ports of a bridge that have no VLAN in common.
    fn parted(&self, before: &Joint, behind: &Joint, bridge: usize) -> Option<Fault> {
        let both = [before, behind];
        if !both.iter().all(|joint| joint.how == How::Plugged && joint.ends[1] == bridge) {
            return None;
        }
        let [one, other] = both.map(|joint| Some((joint.port?, vlans(joint.port?)?)));
        let ((one, carried), (other, also)) = (one?, other?);
        if carried.iter().any(|vlan| also.contains(vlan)) {
            return None;
        }
        Some((
            code::WRONG_TAG,
            format!(
                "{} carries VLAN {} on {}, {} carries VLAN {}",
                one.name,
                listed(&carried),
                self.graph.nodes[bridge].name,
                other.name,
                listed(&also)
            ),
        ))
    }

    // ------------------------------------------------------------------------------ what is asked

    fn judge_tag(&self, report: &mut Report, outward: &Chain) {
        let joints = outward.joints.iter().map(|joint| &self.graph.joints[*joint]);
        let tag = |joint: &'f Joint<'f>| -> Option<(&'f str, u64)> {
            let upper = &self.graph.nodes[joint.ends[0]];
            match joint.how {
                How::Plugged | How::Member => Some((&joint.port?.name, joint.port?.tag.0?)),
                How::Lower => Some((&upper.name, upper.link?.vlan?.get().into())),
                _ => None,
            }
        };
        let first = joints.into_iter().find_map(tag);
        let words = first.map_or_else(|| "none".to_owned(), |(_, tag)| tag.to_string());
        report.fact(fact::TAG.name, None, words);
        let Some(wanted) = self.args.tag else { return };
        match first {
            Some((_, tag)) if tag == u64::from(wanted) => {}
            Some((name, tag)) => {
                report.find(code::WRONG_TAG, format!("{name} has tag {tag}, not {wanted}"));
            }
            None => report.find(code::WRONG_TAG, format!("no port on the way has tag {wanted}")),
        }
    }

    /// The VLAN at the end of a chain is the one that the port before its NIC carries. Beyond a patch
    /// port tags are not compared: there Neutron's flows make the network's tag of the local one.
    fn judge_vlan(&self, report: &mut Report, outward: &Chain) {
        let [first, last] = [0, outward.nodes.len() - 1].map(|at| outward.nodes[at]);
        let ends = [first, last].map(|node| self.graph.nodes[node].what);
        let (vlan, inward) = match ends {
            [_, What::Vlan(vlan)] => (vlan, outward.clone().reversed()),
            [What::Vlan(vlan), _] => (vlan, outward.clone()),
            _ => return,
        };
        let joints = inward.joints.iter().map(|joint| &self.graph.joints[*joint]);
        let at_nic = |joint: &&Joint| matches!(joint.how, How::Carries | How::Member);
        let mut joints = joints.skip_while(at_nic);
        let (Some(out), Some(into)) = (joints.next(), joints.next()) else { return };
        let meet =
            out.how == How::Plugged && into.how == How::Plugged && out.ends[1] == into.ends[1];
        let (true, Some(nic), Some(port)) = (meet, out.port, into.port) else { return };
        let by_flows = self.graph.nodes[into.ends[0]].is_patch();
        let Some(carried) = vlans(port).filter(|_| !by_flows) else { return };
        if !carried.contains(&inside(nic, vlan)) {
            let wanted = if vlan == 0 { "what has no tag".into() } else { format!("VLAN {vlan}") };
            let text = format!("{} carries VLAN {}, not {wanted}", port.name, listed(&carried));
            report.find(code::WRONG_TAG, text);
        }
    }

    /// The port's id and the guest's address: what is wanted, and what sources say of each other.
    fn judge_identity(&self, report: &mut Report, mut outward: Chain) {
        let is_domain = |node: Option<&usize>| {
            node.is_some_and(|node| self.graph.nodes[*node].what == What::Domain)
        };
        // The ends of a path are in any order.
        if is_domain(outward.nodes.last()) {
            outward = outward.reversed();
        }
        self.judge_ids(report, &outward, is_domain(outward.nodes.first()));
        self.judge_macs(report, &outward);
    }

    fn judge_ids(&self, report: &mut Report, outward: &Chain, of_domain: bool) {
        let by_libvirt = self.said(outward, |_| None, |joint| joint.vnic?.iface_id.clone());
        let by_ports = self.said(outward, |node| external_id(node, "iface-id"), |_| None);
        if let (Some((one, id)), Some((other, different))) = (by_libvirt.first(), by_ports.first())
            && id != different
        {
            let text = format!("{one} has iface-id {id} for it, {other} {different}");
            return report.find(code::WRONG_IFACE_ID, text);
        }
        let Some(wanted) = &self.args.iface_id else { return };
        let ids = [by_libvirt, by_ports].concat();
        let is_other = |(_, id): &&(String, String)| id != wanted;
        // A path may lead to another vNIC, which has another id.
        let other = match (self.args.link_type().is_path(), of_domain) {
            (true, true) => ids.first().filter(is_other),
            (true, false) if ids.iter().any(|(_, id)| id == wanted) => None,
            _ => ids.iter().find(is_other),
        };
        let text = match other {
            Some((name, id)) => format!("{name} has iface-id {id}, not {wanted}"),
            None if ids.is_empty() => {
                format!("no port on the way has an iface-id, {wanted} was wanted")
            }
            None => return,
        };
        report.find(code::WRONG_IFACE_ID, text);
    }

    fn judge_macs(&self, report: &mut Report, outward: &Chain) {
        let attached = |node: &Node| external_id(node, "attached-mac")?.parse().ok();
        let mut macs: Vec<(String, Mac)> =
            self.said(outward, attached, |joint| joint.vnic.and_then(|vnic| vnic.mac));
        // Only of a domain's vNIC and the first port behind it: the other end may be a vNIC as well.
        let domain = outward.nodes.first().map(|node| &self.graph.nodes[*node]);
        if let [(one, mac), (other, different), ..] = macs.as_slice()
            && domain.is_some_and(|node| node.what == What::Domain)
            && mac != different
        {
            let text = format!("{one} has {mac} for it, {other} {different}");
            report.find(code::WRONG_MAC, text);
        }
        let Some(wanted) = self.args.mac else { return };
        // What is plugged in without a word is known by its own address, the guest's or its tap's.
        if macs.is_empty() {
            let ends = [outward.nodes.first(), outward.nodes.get(1)].into_iter().flatten();
            let devices = ends.map(|node| &self.graph.nodes[*node]).filter(|node| !node.switches());
            macs = devices.filter_map(|node| Some((node.name.clone(), node.link?.mac?))).collect();
        }
        if !macs.iter().any(|(_, mac)| *mac == wanted || *mac == wanted.of_tap()) {
            let text = match macs.first() {
                Some((name, mac)) => format!("{name} is of {mac}, not of {wanted}"),
                None => format!("nothing on the way says whose it is, {wanted} was wanted"),
            };
            report.find(code::WRONG_MAC, text);
        }
    }

    /// What nodes and joints of a chain say, with the name of who says it.
    fn said<T>(
        &self,
        chain: &Chain,
        of_node: impl Fn(&Node) -> Option<T>,
        of_joint: impl Fn(&Joint) -> Option<T>,
    ) -> Vec<(String, T)> {
        let joints = chain.joints.iter().map(|joint| &self.graph.joints[*joint]);
        let name = |joint: &Joint| self.graph.nodes[joint.ends[0]].name.clone();
        let mut said: Vec<_> =
            joints.filter_map(|joint| Some((name(joint), of_joint(joint)?))).collect();
        let nodes = chain.nodes.iter().map(|node| &self.graph.nodes[*node]);
        said.extend(nodes.filter_map(|node| Some((node.name.clone(), of_node(node)?))));
        said
    }

    /// Packets that fit where they come from must fit wherever they go. Bridges have an MTU for
    /// themselves only; a tunnel adds its headers.
    fn judge_mtu(&self, report: &mut Report, outward: &Chain) {
        let mut fits: Option<(u32, String)> = None;
        let mut smallest: Option<u32> = None;
        for (at, node) in outward.nodes.iter().enumerate() {
            let came = at.checked_sub(1).map(|at| &self.graph.joints[outward.joints[at]]);
            let below = came.filter(|joint| matches!(joint.how, How::Local | How::Routed));
            if let (Some(joint), Some((size, from))) = (below, &mut fits) {
                let tunnel = &self.graph.nodes[joint.ends[0]].tunnel;
                let more = tunnel.as_ref().map_or(0, overhead);
                if more > 0 {
                    *from = format!("{from}, with its tunnel's headers");
                }
                *size += more;
            }
            let Some(mtu) = mtu(&self.graph.nodes[*node], below.is_some()) else { continue };
            let name = &self.graph.nodes[*node].name;
            smallest = Some(smallest.map_or(mtu, |known| known.min(mtu)));
            if let Some((size, from)) = &fits
                && mtu < *size
            {
                let text = format!("{name} takes {mtu} bytes only, {size} come from {from}");
                report.find(code::MTU_SHRINKS, text);
            }
            if fits.as_ref().is_none_or(|(size, _)| mtu < *size) {
                fits = Some((mtu, name.clone()));
            }
        }
        report.measure(metric::MTU, smallest.map(f64::from));
    }

    /// What was read of a node.
    fn evidence(&self, node: usize, chain: &Chain, at: usize) -> Option<String> {
        let Node { name, link, rows, tunnel, netns, vedge, .. } = &self.graph.nodes[node];
        // Of a bridge of Open vSwitch its LOCAL port says nothing, but where it has an address.
        if vedge.is_some() && !self.holds_address(chain, at) {
            return Some(format!("{name}: {} (OVSDB)", self.graph.nodes[node].words()));
        }
        let mut parts = Vec::new();
        if let Some(link) = link {
            let onoff = |up: bool| if up { "up" } else { "down" };
            let inside = netns.map(|netns| format!(" in {netns}")).unwrap_or_default();
            parts.push(format!(
                "{}{inside}, admin {}, carrier {}, operstate {}, MTU {} (netlink)",
                self.graph.nodes[node].words(),
                onoff(link.admin_up),
                onoff(link.lower_up),
                link.operstate,
                link.mtu
            ));
        }
        let carries = neighbours(chain, at).any(|j| self.graph.joints[j].how == How::Carries);
        for address in self.snapshot.own_addresses(link.filter(|_| carries)) {
            parts.push(format!("its own address {address}"));
        }
        if let Some((port, interface)) = rows {
            let state =
                |state: &Option<String>| state.clone().unwrap_or_else(|| "unset".to_owned());
            let kind = if interface.kind.is_empty() { "system" } else { &interface.kind };
            let tag = port.tag.0.map(|tag| format!(", tag {tag}")).unwrap_or_default();
            let id = external_id(&self.graph.nodes[node], "iface-id");
            let id = id.map(|id| format!(", iface-id {id}")).unwrap_or_default();
            parts.push(format!(
                "{kind} admin {} link {}{tag}{id} (OVSDB)",
                state(&interface.admin_state.0),
                state(&interface.link_state.0)
            ));
        }
        if let Some(Tunnel { kind, local, remotes }) = tunnel {
            let local = local.map_or_else(|| "any".to_owned(), |local| local.to_string());
            let remotes = match remotes.as_slice() {
                [] => "with each packet".to_owned(),
                [only] => only.to_string(),
                [first, rest @ ..] => format!("{first} and {} more", rest.len()),
            };
            parts.push(format!("{kind} from {local} to {remotes}"));
        }
        (!parts.is_empty()).then(|| format!("{name}: {}", parts.join("; ")))
    }
}

/// VLANs as `ovs-vsctl` writes them.
pub(super) fn listed(vlans: &[u64]) -> String {
    vlans.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

fn external_id(node: &Node, key: &str) -> Option<String> {
    let (_, interface) = node.rows?;
    interface.external_ids.get(key).cloned()
}

/// The joints beside a node of a chain.
fn neighbours(chain: &Chain, at: usize) -> impl Iterator<Item = usize> {
    let before = at.checked_sub(1).and_then(|at| chain.joints.get(at));
    before.into_iter().chain(chain.joints.get(at)).copied()
}

/// The largest packet that a node takes from one side to the other.
fn mtu(node: &Node, by_its_address: bool) -> Option<u32> {
    if node.switches() && !by_its_address {
        return None;
    }
    let of_row = || node.rows.and_then(|(_, interface)| u32::try_from(interface.mtu.0?).ok());
    node.link.map(|link| link.mtu).or_else(of_row)
}

/// What a tunnel puts in front of a frame's payload, without options, in bytes: outer IP, its own
/// headers, inner Ethernet.
fn overhead(tunnel: &Tunnel) -> u32 {
    const ETHERNET: u32 = 14;
    let ip = if tunnel.local.is_some_and(|local: IpAddr| local.is_ipv6()) { 40 } else { 20 };
    let own = match tunnel.kind {
        "vxlan" | "geneve" => 16,
        "gre" => 4,
        "stt" => 38,
        // Not known: no false alarm.
        _ => return 0,
    };
    ip + own + ETHERNET
}
