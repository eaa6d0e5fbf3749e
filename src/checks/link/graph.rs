//! What is joined to what on a host: a graph made of facts. Pure.

use super::Snapshot;
use crate::checks::bridge;
use crate::host::inside::Sight;
use crate::host::libvirt::Answer;
use crate::host::libvirt::description::Vnic;
use crate::host::link::Link;
use crate::host::ovs::ports::Tables;
use crate::host::ovs::row::{Bridge, Interface, Port};
use std::collections::HashMap;
use std::net::IpAddr;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A device of the kernel that is no bridge; also one that is a port of Open vSwitch.
    Device,
    /// A device inside a namespace that may not be entered: its name is all that is known.
    Hidden,
    /// A bridge of the kernel.
    Bridge,
    /// A bridge of Open vSwitch.
    Vedge,
    /// The same, between a trunk's parent and the integration bridge (`tbr-`).
    TrunkBridge,
    /// A port of Open vSwitch without a device here: patch, tunnel, DPDK, internal and moved away.
    Port,
    /// A bond of Open vSwitch.
    Bond,
    /// A network namespace.
    Netns,
    /// A domain of libvirt.
    Domain,
    /// The far end of tunnels.
    Address(IpAddr),
    /// A VLAN; 0 is what has no tag.
    Vlan(u16),
}

/// One thing that something may be joined to.
#[derive(Debug, Clone)]
pub(super) struct Node<'f> {
    pub(super) name: String,
    pub(super) what: What,
    /// The namespace it is in, where that is not ours.
    pub(super) netns: Option<&'f str>,
    /// The device.
    pub(super) link: Option<&'f Link>,
    /// Its rows in Open vSwitch. Of a bridge, those of its LOCAL port.
    pub(super) rows: Option<(&'f Port, &'f Interface)>,
    /// The bridge of Open vSwitch that it is.
    pub(super) vedge: Option<&'f Bridge>,
    /// The tunnel that it is.
    pub(super) tunnel: Option<Tunnel<'f>>,
}

/// What makes a tunnel of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tunnel<'f> {
    /// `vxlan`, `gre`, ...
    pub(super) kind: &'f str,
    /// The address it sends from, where it has one of its own.
    pub(super) local: Option<IpAddr>,
    pub(super) remotes: Vec<IpAddr>,
}

/// How two neighbours are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The first is enslaved to the second.
    Enslaved,
    /// The first lies upon the second: a VLAN or macvlan device.
    Lower,
    /// Veth peers of each other.
    Peers,
    /// A patch port and its peer.
    Patch,
    /// The first is plugged into the second, a bridge of Open vSwitch.
    Plugged,
    /// The first is a member of the second, a bond.
    Member,
    /// The first is a device inside the second.
    Inside,
    /// The peer of the first is a device inside the second.
    Leads,
    /// The second is the tap of a vNIC of the first, a domain.
    Vnic,
    /// The first is a tunnel to the second.
    Remote,
    /// The first is a tunnel whose local address is on the second.
    Local,
    /// The first is a tunnel without a local address; the second is the way to its remote.
    Routed,
    /// The first carries the second, a VLAN.
    Carries,
}

/// Two neighbours.
#[derive(Debug, Clone)]
pub(super) struct Joint<'f> {
    /// In the order in which [`How`] speaks of them.
    pub(super) ends: [usize; 2],
    pub(super) how: How,
    /// Both say so. Of patch ports one may.
    pub(super) mutual: bool,
    /// What is plugged or bonded.
    pub(super) port: Option<&'f Port>,
    pub(super) vnic: Option<&'f Vnic>,
}

/// What is joined to what.
#[derive(Debug, Default)]
pub(super) struct Graph<'f> {
    pub(super) nodes: Vec<Node<'f>>,
    pub(super) joints: Vec<Joint<'f>>,
    /// Joints by node.
    pub(super) at: Vec<Vec<usize>>,
    by_name: HashMap<String, Vec<usize>>,
    /// Devices of our namespace by number.
    ours: HashMap<u32, usize>,
}

impl<'f> Graph<'f> {
    /// The graph of what was seen. VLANs are in it as far as they are asked about.
    pub(super) fn of(snapshot: &'f Snapshot, vlans: &[u16]) -> Self {
        let mut graph = Self::default();
        graph.devices(snapshot);
        graph.namespaces(snapshot);
        if let Some(Ok(tables)) = snapshot.ovs.as_ref().map(|ovs| &ovs.tables) {
            graph.switch(tables);
        }
        graph.kernel_tunnels(snapshot);
        graph.far_ends(snapshot);
        graph.domain(snapshot);
        for vlan in vlans {
            graph.vlan(*vlan, snapshot);
        }
        graph
    }

    fn add(&mut self, name: &str, what: What) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node {
            name: name.to_owned(),
            what,
            netns: None,
            link: None,
            rows: None,
            vedge: None,
            tunnel: None,
        });
        self.at.push(Vec::new());
        self.by_name.entry(name.to_owned()).or_default().push(index);
        index
    }

    fn join(&mut self, how: How, first: usize, second: usize) -> &mut Joint<'f> {
        let index = self.joints.len();
        for end in [first, second] {
            self.at[end].push(index);
        }
        let ends = [first, second];
        self.joints.push(Joint { ends, how, mutual: true, port: None, vnic: None });
        &mut self.joints[index]
    }

    /// Nodes with a name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = usize> {
        self.by_name.get(name).into_iter().flatten().copied()
    }

    /// The device of our namespace with a name, or the port of Open vSwitch.
    fn ours_named(&self, name: &str) -> Option<usize> {
        self.named(name).find(|node| {
            let node = &self.nodes[*node];
            let switches = matches!(
                node.what,
                What::Device | What::Bridge | What::Port | What::Vedge | What::TrunkBridge
            );
            switches && node.netns.is_none()
        })
    }

    /// Joints of a node.
    pub(super) fn joints_of(&self, node: usize) -> impl Iterator<Item = &Joint<'f>> {
        self.at[node].iter().map(|joint| &self.joints[*joint])
    }

    /// The device that a VLAN device lies upon.
    pub(super) fn lower(&self, node: usize) -> Option<usize> {
        self.nodes[node].link?.vlan?;
        let lower = |joint: &&Joint| joint.how == How::Lower && joint.ends[0] == node;
        self.joints_of(node).find(lower).map(|joint| joint.ends[1])
    }

    /// The devices that are members of a bond of the kernel, by name.
    pub(super) fn members(&self, bond: usize) -> Vec<&'f Link> {
        let members =
            self.joints_of(bond).filter(|joint| joint.how == How::Member && joint.ends[1] == bond);
        let links = members.filter_map(|joint| self.nodes[joint.ends[0]].link);
        let mut links: Vec<&Link> = links.collect();
        links.sort_by(|a, b| a.name.cmp(&b.name));
        links
    }

    /// The bridge that a node is enslaved to or plugged into.
    pub(super) fn bridge_of(&self, node: usize) -> Option<usize> {
        self.joints_of(node)
            .find(|joint| {
                matches!(joint.how, How::Enslaved | How::Plugged) && joint.ends[0] == node
            })
            .map(|joint| joint.ends[1])
    }

    // ------------------------------------------------------------------------------ the kernel

    fn device(&mut self, link: &'f Link, netns: Option<&'f str>) -> usize {
        let is_bridge = link.kind.as_deref() == Some("bridge");
        let node = self.add(&link.name, if is_bridge { What::Bridge } else { What::Device });
        self.nodes[node].link = Some(link);
        self.nodes[node].netns = netns;
        node
    }

    fn devices(&mut self, snapshot: &'f Snapshot) {
        for link in &snapshot.links {
            let node = self.device(link, None);
            self.ours.insert(link.index, node);
        }
        let ours = self.ours.clone();
        self.join_devices(&snapshot.links, &ours);
    }

    /// Joins devices of one namespace.
    fn join_devices(&mut self, links: &'f [Link], known: &HashMap<u32, usize>) {
        for link in links {
            let Some(node) = known.get(&link.index).copied() else { continue };
            let other = |index: Option<u32>| known.get(&index?).copied();
            // What Open vSwitch has is enslaved to its datapath, whatever bridge it is on.
            let of_ovs = link.master_kind.as_deref() == Some("openvswitch");
            if let Some(master) = other(link.master).filter(|_| !of_ovs) {
                let how = match link.master_kind.as_deref() {
                    Some("bond" | "team") => How::Member,
                    _ => How::Enslaved,
                };
                self.join(how, node, master);
            }
            let Some(partner) = other(link.partner).filter(|_| link.partner_netns.is_none()) else {
                continue;
            };
            match link.kind.as_deref() {
                Some("veth") if node < partner => drop(self.join(How::Peers, node, partner)),
                Some("vlan" | "macvlan" | "macvtap" | "ipvlan") => {
                    self.join(How::Lower, node, partner);
                }
                _ => {}
            }
        }
    }

    fn namespaces(&mut self, snapshot: &'f Snapshot) {
        for (name, inside) in &snapshot.netns {
            if inside.sight == Sight::Absent {
                continue;
            }
            let netns = self.add(name, What::Netns);
            let mut known = HashMap::new();
            match &inside.sight {
                Sight::Seen(links) => {
                    for link in links.iter().filter(|link| !link.loopback) {
                        let node = self.device(link, Some(name));
                        known.insert(link.index, node);
                        self.join(How::Inside, node, netns);
                    }
                    self.join_devices(links, &known);
                }
                Sight::Hidden(Some(names)) => {
                    for name in names.iter().filter(|name| *name != "lo") {
                        let node = self.add(name, What::Hidden);
                        self.join(How::Inside, node, netns);
                    }
                }
                _ => {}
            }
            let Some(number) = inside.number else { continue };
            for link in &snapshot.links {
                if link.partner_netns != Some(number) || link.kind.as_deref() != Some("veth") {
                    continue;
                }
                let Some(node) = self.ours.get(&link.index).copied() else { continue };
                match link.partner.and_then(|index| known.get(&index).copied()) {
                    Some(peer) => self.join(How::Peers, peer, node),
                    None => self.join(How::Leads, node, netns),
                };
            }
        }
    }

    fn kernel_tunnels(&mut self, snapshot: &'f Snapshot) {
        for vxlan in &snapshot.tunnels.vxlans {
            // Those that Open vSwitch drives carry the tunnels of its own ports.
            let Some(node) = self.ours.get(&vxlan.index).copied().filter(|_| !vxlan.by_packet)
            else {
                continue;
            };
            let learned = snapshot.tunnels.remotes.get(&vxlan.index).into_iter().flatten();
            let mut remotes: Vec<IpAddr> = vxlan.remote.iter().chain(learned).copied().collect();
            remotes.sort_unstable();
            remotes.dedup();
            self.nodes[node].tunnel = Some(Tunnel { kind: "vxlan", local: vxlan.local, remotes });
        }
    }

    /// Joins tunnels to the devices that have their local addresses, and to their remotes.
    fn far_ends(&mut self, snapshot: &Snapshot) {
        let facts = &snapshot.tunnels;
        let mut far = HashMap::new();
        for node in 0..self.nodes.len() {
            let Some(tunnel) = self.nodes[node].tunnel.clone() else { continue };
            let holds = |(_, address): &&(u32, IpAddr)| Some(*address) == tunnel.local;
            let holders: Vec<u32> = facts.addresses.iter().filter(holds).map(|(i, _)| *i).collect();
            for index in holders {
                let Some(device) = self.ours.get(&index).copied() else { continue };
                self.join(How::Local, node, device);
            }
            for remote in tunnel.remotes {
                let end = *far
                    .entry(remote)
                    .or_insert_with(|| self.add(&remote.to_string(), What::Address(remote)));
                self.join(How::Remote, node, end);
                let way = facts.ways.iter().find(|(to, _)| *to == remote).map(|(_, device)| device);
                if let Some(device) = way.and_then(|index| self.ours.get(index).copied())
                    && tunnel.local.is_none()
                {
                    self.join(How::Routed, node, device);
                }
            }
        }
    }

    fn domain(&mut self, snapshot: &'f Snapshot) {
        let Some(Ok(Answer::Domain(domain))) = snapshot.domain.as_ref().map(|asked| &asked.answer)
        else {
            return;
        };
        let wanted = snapshot.domain_name.as_deref().unwrap_or(&domain.name);
        let node = self.add(wanted, What::Domain);
        for vnic in domain.vnics.iter().flatten() {
            let device = vnic.target.as_deref().and_then(|name| self.ours_named(name));
            if let Some(tap) = device.or_else(|| self.vhost_port(vnic)) {
                self.join(How::Vnic, node, tap).vnic = Some(vnic);
            }
        }
    }

    /// The port of Open vSwitch that meets a vNIC at its vhost-user socket: libvirt need not name it.
    /// The older kind of port makes the socket, and calls it like itself.
    fn vhost_port(&self, vnic: &Vnic) -> Option<usize> {
        let socket = vnic.socket.as_ref();
        let file = socket.and_then(|path| path.rsplit('/').next());
        let meets = |interface: &Interface| {
            let path = interface.options.get("vhost-server-path");
            let id = interface.external_ids.get("iface-id");
            (socket.is_some() && path == socket)
                || file == Some(interface.name.as_str())
                || (id.is_some() && id == vnic.iface_id.as_ref())
        };
        let vhost = |node: &Node| {
            let interface = node.rows.map(|(_, interface)| interface);
            interface.is_some_and(|i| i.kind.starts_with("dpdkvhostuser") && meets(i))
        };
        self.nodes.iter().position(vhost)
    }

    /// Leaves out the vNICs of a domain that are not meant, unless none is.
    pub(super) fn keep_vnics(&mut self, is_meant: impl Fn(&Vnic) -> bool) {
        let meant = |joint: &Joint| joint.vnic.is_none_or(&is_meant);
        if self.joints.iter().any(|joint| joint.vnic.is_some() && meant(joint)) {
            let joints = &self.joints;
            self.at.iter_mut().for_each(|at| at.retain(|joint| meant(&joints[*joint])));
        }
    }

    fn vlan(&mut self, vlan: u16, snapshot: &Snapshot) {
        let name = if vlan == 0 { "untagged".to_owned() } else { format!("VLAN {vlan}") };
        let end = self.add(&name, What::Vlan(vlan));
        let carries = |graph: &Self, node: usize| {
            let Node { link, rows, .. } = &graph.nodes[node];
            let own_tag = link.and_then(|link| link.vlan);
            let device = own_tag.is_some_and(|own| own.get() == vlan);
            let enslaved = graph
                .joints_of(node)
                .any(|joint| joint.how == How::Enslaved && joint.ends[0] == node);
            let addressed = !snapshot.own_addresses(*link).is_empty();
            // What a VLAN device sends leaves with its tag.
            let plain = own_tag.is_none() && (enslaved || addressed);
            let on_wire = rows.is_some_and(|(port, _)| carried(port, vlan));
            graph.leads_off(node) && (device || on_wire || (vlan == 0 && plain))
        };
        for node in (0..end).filter(|node| carries(self, *node)).collect::<Vec<_>>() {
            self.join(How::Carries, node, end);
        }
    }

    /// Whether what goes out of a node leaves this host: it is no cable inside of it, no tunnel and
    /// no guest's.
    pub(super) fn leads_off(&self, node: usize) -> bool {
        let Node { what, link, rows, tunnel, netns, .. } = &self.nodes[node];
        let is_cable = matches!(what, What::Device | What::Port | What::Bond) && netns.is_none();
        let inner = rows.is_some_and(|(_, Interface { kind, .. })| {
            matches!(kind.as_str(), "patch" | "internal") || kind.starts_with("dpdkvhostuser")
        });
        let guests = link.is_some_and(|link| link.loopback || link.kind.as_deref() == Some("tun"));
        let both_ends_here = self.joints_of(node).any(|joint| joint.how == How::Peers);
        is_cable && tunnel.is_none() && !inner && !guests && !both_ends_here
    }

    // ---------------------------------------------------------------------------- Open vSwitch

    fn switch(&mut self, tables: &'f Tables) {
        let mut vedges = HashMap::new();
        for bridge in &tables.bridges {
            let trunk = bridge.name.starts_with("tbr-");
            let what = if trunk { What::TrunkBridge } else { What::Vedge };
            let own = self.named(&bridge.name).find(|node| {
                let Node { what, netns, .. } = &self.nodes[*node];
                *what == What::Device && netns.is_none()
            });
            // Its LOCAL port is a device of its name.
            let node = own.unwrap_or_else(|| self.add(&bridge.name, what));
            self.nodes[node].what = what;
            self.nodes[node].vedge = Some(bridge);
            vedges.insert(bridge.name.as_str(), node);
        }
        let mut ports: Vec<&Port> = tables.ports.iter().collect();
        // The database keeps them in no order; a chain must be the same in each run.
        ports.sort_by_key(|port| &port.name);
        for port in ports {
            self.port(tables, port, &vedges);
        }
        self.patches();
    }

    fn port(&mut self, tables: &'f Tables, port: &'f Port, vedges: &HashMap<&str, usize>) {
        let vedge = tables.bridge_of(port).and_then(|bridge| vedges.get(bridge.name.as_str()));
        let interfaces = tables.interfaces_of(port);
        if let (Some(vedge), [local]) = (vedge, interfaces.as_slice())
            && port.name == self.nodes[*vedge].name
        {
            self.nodes[*vedge].rows = Some((port, local));
            return;
        }
        let bond = (interfaces.len() > 1).then(|| self.add(&port.name, What::Bond));
        if let (Some(bond), Some(first)) = (bond, interfaces.first()) {
            self.nodes[bond].rows = Some((port, first));
        }
        if let (Some(bond), Some(vedge)) = (bond, vedge) {
            self.join(How::Plugged, bond, *vedge).port = Some(port);
        }
        for interface in interfaces {
            let node = self.interface(port, interface);
            match (bond, vedge) {
                (Some(bond), _) => self.join(How::Member, node, bond).port = Some(port),
                (None, Some(vedge)) => self.join(How::Plugged, node, *vedge).port = Some(port),
                (None, None) => {}
            }
        }
    }

    /// The device that an interface of Open vSwitch stands for; an internal one may have been moved
    /// into a namespace that was looked into.
    fn interface(&mut self, port: &'f Port, interface: &'f Interface) -> usize {
        let internal = interface.kind == "internal";
        let found = self.named(&interface.name).find(|node| {
            let Node { what, netns, rows, .. } = &self.nodes[*node];
            let device = matches!(what, What::Device | What::Hidden | What::Bridge);
            device && rows.is_none() && interface.has_device() && (netns.is_none() || internal)
        });
        let node = found.unwrap_or_else(|| self.add(&interface.name, What::Port));
        self.nodes[node].rows = Some((port, interface));
        self.nodes[node].tunnel = tunnel_of(interface);
        node
    }

    fn patches(&mut self) {
        let patch = |node: &Node<'f>| {
            let (_, interface) = node.rows.filter(|(_, i)| i.kind == "patch")?;
            Some((interface.name.as_str(), interface.options.get("peer")?.as_str()))
        };
        let patches: Vec<_> =
            self.nodes.iter().enumerate().filter_map(|(i, n)| Some((i, patch(n)?))).collect();
        let by_name: HashMap<&str, (usize, &str)> =
            patches.iter().map(|(node, (name, peer))| (*name, (*node, *peer))).collect();
        for (node, (name, peer)) in &patches {
            // A peer that is no patch port is none, and is found by the rules for ports.
            let Some((other, back)) = by_name.get(peer) else { continue };
            let mutual = back == name;
            if !mutual || node < other {
                self.join(How::Patch, *node, *other).mutual = mutual;
            }
        }
    }
}

impl Joint<'_> {
    /// The end that is not this node.
    pub(super) fn other(&self, node: usize) -> usize {
        if self.ends[0] == node { self.ends[1] } else { self.ends[0] }
    }
}

impl Node<'_> {
    /// Whether it joins many: which way is meant does not show in it.
    pub(super) fn switches(&self) -> bool {
        matches!(self.what, What::Bridge | What::Vedge | What::TrunkBridge)
    }

    /// What it is, as people say it.
    pub(super) fn words(&self) -> String {
        match (self.what, self.link) {
            (What::Vedge | What::TrunkBridge, _) => "a bridge of Open vSwitch".to_owned(),
            (What::Bridge, _) => "a bridge of the kernel".to_owned(),
            (_, Some(link)) => bridge::kind_words(link),
            (What::Bond, _) => "a bond of Open vSwitch".to_owned(),
            _ => "a port of Open vSwitch".to_owned(),
        }
    }

    /// Whether it is a patch port.
    pub(super) fn is_patch(&self) -> bool {
        self.rows.is_some_and(|(_, interface)| interface.kind == "patch")
    }
}

/// The VLANs that a port carries inside its bridge; `None`: all of them.
pub(super) fn vlans(port: &Port) -> Option<Vec<u64>> {
    let trunks = port.trunks.0.clone();
    let mode = port.vlan_mode.0.as_deref();
    match (mode, port.tag.0) {
        (Some("access" | "dot1q-tunnel") | None, Some(tag)) => Some(vec![tag]),
        (Some("native-tagged" | "native-untagged"), Some(tag)) if !trunks.is_empty() => {
            Some([trunks, vec![tag]].concat())
        }
        _ if trunks.is_empty() => None,
        _ => Some(trunks),
    }
}

/// What a port has inside its bridge as the tag of what is this VLAN on its wire.
pub(super) fn inside(port: &Port, vlan: u16) -> u64 {
    let keeps_tag = matches!(port.vlan_mode.0.as_deref(), Some("trunk" | "native-tagged"));
    match port.tag.0 {
        Some(tag) if vlan == 0 && !keeps_tag => tag,
        _ => vlan.into(),
    }
}

/// Whether a port puts a VLAN on its wire, 0 being what has no tag there.
fn carried(port: &Port, vlan: u16) -> bool {
    let mode = port.vlan_mode.0.as_deref();
    let access = matches!(mode, Some("access" | "dot1q-tunnel") | None) && port.tag.0.is_some();
    let native = mode == Some("native-untagged") && port.tag.0.is_some();
    match (vlan, vlans(port)) {
        (0, vlans) => access || native || vlans.is_none_or(|vlans| vlans.contains(&0)),
        (_, _) if access => false,
        (vlan, _) if native && port.tag.0 == Some(vlan.into()) => false,
        (vlan, vlans) => vlans.is_none_or(|vlans| vlans.contains(&vlan.into())),
    }
}

fn tunnel_of(interface: &Interface) -> Option<Tunnel<'_>> {
    let option = |key: &str| interface.options.get(key);
    let is_tunnel = option("remote_ip").is_some() || option("local_ip").is_some();
    is_tunnel.then(|| Tunnel {
        kind: &interface.kind,
        local: option("local_ip").and_then(|ip| ip.parse().ok()),
        // `flow`: the remote comes with each packet.
        remotes: option("remote_ip").and_then(|ip| ip.parse().ok()).into_iter().collect(),
    })
}
