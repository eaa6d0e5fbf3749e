//! Links between objects: both ends exist and work, and they are really joined.
//!
//! What is on the host becomes a graph ([`graph`]); the type of a link ([`types`]) says what may lie
//! between its ends; the shortest chain is found ([`search`]) and judged node by node and joint by
//! joint ([`chain`]), and where there is none, it is told where it ends ([`missing`]).

mod chain;
mod graph;
mod missing;
mod search;
#[cfg(test)]
mod tests;
mod types;

use crate::checks::bond::BondCodes;
use crate::checks::device::DeviceCodes;
use crate::checks::domain::DomainCodes;
use crate::checks::ovs_life::{self, LifeCodes};
use crate::checks::ovs_place::PlaceArgs;
use crate::checks::ovs_rules::PortCodes;
use crate::checks::{Check, bridge, libvirt_place, without_answer};
use crate::host::inside::{Door, Inside, Sight};
use crate::host::libvirt::description::Vnic;
use crate::host::libvirt::{Answer, Asked};
use crate::host::link::Link;
use crate::host::mac::Mac;
use crate::host::netlink::{Dump, Route};
use crate::host::ovs::ports::{Ports, Wanted};
use crate::host::ovs::{Place, bridges};
use crate::host::vxlan::Vxlan;
use crate::host::{Host, Trouble, words};
use crate::manifest::check_link::{SPEC, code};
use crate::plugin::code::{FORBIDDEN, USAGE};
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use graph::{Graph, How};
use std::collections::BTreeMap;
use std::net::IpAddr;
use types::{End, Type};

/// See [`SPEC`].
pub struct CheckLink;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Link type, see below; each also reversed (vconnector-vnic)
    #[arg(value_name = "TYPE")]
    pub kind: types::Link,
    /// One end, by what TYPE says
    #[arg(value_parser = words::name)]
    pub from: String,
    /// The other end
    #[arg(value_parser = words::name)]
    pub to: String,
    /// Neutron's port id that a port on the way must have
    #[arg(long, value_name = "ID", value_parser = words::name)]
    pub iface_id: Option<String>,
    /// Address that the vNIC must have
    #[arg(long)]
    pub mac: Option<Mac>,
    /// VLAN tag that the port nearest to the guest must have
    #[arg(long, value_name = "VLAN", value_parser = clap::value_parser!(u16).range(1..=4094))]
    pub tag: Option<u16>,
    /// Where libvirt is.
    #[command(flatten)]
    pub libvirt_place: libvirt_place::PlaceArgs,
    /// Where Open vSwitch is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// What was seen of the host.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Devices of our namespace.
    pub links: Vec<Link>,
    /// Namespaces that the ends name.
    pub netns: Vec<(String, Inside)>,
    /// Tunnels of the kernel, and what tunnels of all kinds need of it.
    pub tunnels: Tunnels,
    /// Open vSwitch; none where there is none, or where the kernel alone joins the ends.
    pub ovs: Option<Ports>,
    /// What libvirt said of the domain that an end names.
    pub domain: Option<Asked>,
    /// As it was named.
    pub domain_name: Option<String>,
}

impl Snapshot {
    /// The addresses that a device of our namespace has of its own.
    fn own_addresses(&self, link: Option<&Link>) -> Vec<IpAddr> {
        let Some(link) = link else { return Vec::new() };
        let own = self.tunnels.addresses.iter().filter(|(index, _)| *index == link.index);
        own.map(|(_, address)| *address).collect()
    }
}

/// What the kernel has of tunnels.
#[derive(Debug, Default)]
pub struct Tunnels {
    /// VXLAN devices.
    pub vxlans: Vec<Vxlan>,
    /// Remotes in their forwarding tables, by the device's number.
    pub remotes: BTreeMap<u32, Vec<IpAddr>>,
    /// Addresses of this host, with the device's number.
    pub addresses: Vec<(u32, IpAddr)>,
    /// Through which device remotes are reached; of tunnels without a local address only.
    pub ways: Vec<(IpAddr, u32)>,
}

/// Why nothing was seen.
#[derive(Debug)]
pub enum Unseen {
    /// The kernel did not say.
    Trouble(Trouble),
    /// The arguments do not say what is meant.
    Usage(String),
}

const LIFE: LifeCodes =
    LifeCodes { no_process: code::NO_PROCESS, stopped: code::STOPPED, refused: code::REFUSED };
const DEVICE: DeviceCodes = DeviceCodes {
    admin_down: code::ADMIN_DOWN,
    link_down: code::LINK_DOWN,
    not_ready: code::NOT_READY,
};
const BOND: BondCodes =
    BondCodes { member_down: code::MEMBER_DOWN, lacp_fallback: code::LACP_FALLBACK };
const PORT: PortCodes = PortCodes {
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
const DOMAIN: DomainCodes = DomainCodes {
    absent: code::ABSENT,
    crashed: code::CRASHED,
    paused: code::PAUSED,
    io_error: code::IO_ERROR,
    blocked: code::BLOCKED,
    pmsuspended: code::PMSUSPENDED,
    in_shutdown: code::IN_SHUTDOWN,
    shut_off: code::SHUT_OFF,
    migration_failed: code::MIGRATION_FAILED,
    no_state: code::NO_STATE,
    no_process: code::NO_PROCESS,
    stopped: code::STOPPED,
    refused: code::REFUSED,
    error: code::ERROR,
};

impl Check for CheckLink {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Result<Snapshot, Unseen>;

    fn gather(args: &Args, host: &Host) -> Self::Facts {
        look(args, host)
    }

    fn judge(facts: &Self::Facts, args: &Args, _past: &Past) -> Report {
        let mut report = Report::about(format!("{} to {}", args.from, args.to));
        match facts {
            Ok(snapshot) => judge(&mut report, snapshot, args),
            Err(Unseen::Usage(why)) => report.find(&USAGE, why.clone()),
            Err(Unseen::Trouble(trouble)) => {
                let (code, text) = without_answer(trouble, "");
                report.find(code, text);
            }
        }
        report
    }
}

impl Args {
    /// The names of the ends in the order of the table of types.
    fn ends(&self) -> [&str; 2] {
        if self.kind.reversed { [&self.to, &self.from] } else { [&self.from, &self.to] }
    }

    const fn link_type(&self) -> &'static Type {
        self.kind.kind
    }

    /// Whether a vNIC may be the one that is wanted: nothing that is known of it contradicts.
    fn may_mean(&self, vnic: &Vnic) -> bool {
        let mac = self.mac.is_none_or(|mac| vnic.mac.is_none_or(|own| own == mac));
        let id = self.iface_id.as_ref().zip(vnic.iface_id.as_ref());
        mac && id.is_none_or(|(wanted, own)| wanted == own)
    }

    /// The VLANs that are asked about.
    fn vlans(&self) -> Vec<u16> {
        let kind = self.link_type();
        let asked = [kind.from, kind.to].into_iter().zip(self.ends());
        let may = asked.filter(|(end, _)| matches!(end, End::Vlan | End::Any));
        may.filter_map(|(_, name)| vlan(name).ok()).collect()
    }
}

/// A VLAN as an end: its number, or `untagged`, which is 0.
fn vlan(text: &str) -> Result<u16, String> {
    match text.parse() {
        _ if text == "untagged" => Ok(0),
        Ok(vlan) if (1..=4094).contains(&vlan) => Ok(vlan),
        _ => Err(format!("'{text}' is no VLAN: write 1 to 4094, or untagged")),
    }
}

// ----------------------------------------------------------------------------------------- facts

fn look(args: &Args, host: &Host) -> Result<Snapshot, Unseen> {
    let kind = args.link_type();
    let place = args.place.place().map_err(Unseen::Usage)?;
    two_ends(args)?;
    if kind.to == End::Vlan {
        vlan(args.ends()[1]).map_err(Unseen::Usage)?;
    }
    let route = host.route().map_err(Unseen::Trouble)?;
    let links = route.links().and_then(Dump::whole).map_err(Unseen::Trouble)?;
    let mut snapshot = Snapshot { links, ..Snapshot::default() };
    if kind.joins(How::Remote) {
        snapshot.tunnels = tunnels(&route).map_err(Unseen::Trouble)?;
    } else if kind.joins(How::Carries) {
        snapshot.tunnels.addresses = route.addressed().map_err(Unseen::Trouble)?;
    }
    let doors = doors(&snapshot, args, host);
    // To connect to Open vSwitch still needs one, which is laid down with the first word to a daemon.
    args.place.lay_down_other_rights();
    look_into_namespaces(&mut snapshot, args, doors);
    look_at_ovs(&mut snapshot, args, host, &place);
    args.libvirt_place.lay_down_rights();
    look_at_domain(&mut snapshot, args, host);
    look_for_ways(&mut snapshot, args, &route);
    Ok(snapshot)
}

fn tunnels(route: &Route) -> Result<Tunnels, Trouble> {
    let vxlans = route.vxlans()?.whole()?;
    let remotes = if vxlans.is_empty() { BTreeMap::new() } else { route.vxlan_remotes()? };
    Ok(Tunnels { vxlans, remotes, addresses: route.addressed()?, ways: Vec::new() })
}

/// A path from an end to itself is none.
fn two_ends(args: &Args) -> Result<(), Unseen> {
    match args.link_type().is_path() && args.from == args.to {
        true => Err(Unseen::Usage(format!("{} twice: a path has two ends", args.from))),
        false => Ok(()),
    }
}

/// Whether Open vSwitch may have a part of a link. A vNIC that is no device of the kernel is a port of
/// it (vhost-user), if anything.
fn may_be_of_ovs(snapshot: &Snapshot, args: &Args) -> bool {
    let kind = args.link_type();
    let [_, tap] = args.ends();
    let no_device = || !snapshot.links.iter().any(|link| link.name == tap);
    let guest = kind.joins(How::Vnic) && no_device();
    kind.may_be_of_ovs() || guest
}

/// The names of ends that are of a kind, or may be and are nothing else that is known.
fn names_of<'a>(snapshot: &Snapshot, args: &'a Args, wanted: End) -> Vec<&'a str> {
    let kind = args.link_type();
    let graph = Graph::of(snapshot, &args.vlans());
    let ends = [kind.from, kind.to].into_iter().zip(args.ends());
    let chosen = ends.filter(|(end, name)| {
        *end == wanted || (*end == End::Any && graph.ends(End::Any, name).is_empty())
    });
    chosen.map(|(_, name)| name).collect()
}

fn doors(snapshot: &Snapshot, args: &Args, host: &Host) -> Vec<(String, Door)> {
    let mut doors = Vec::new();
    if !args.link_type().has(End::Netns) {
        return doors;
    }
    for name in names_of(snapshot, args, End::Netns) {
        // What is no name of a namespace is none.
        let Ok(parsed) = name.parse() else { continue };
        doors.push((name.to_owned(), host.door(&parsed)));
    }
    doors
}

fn look_into_namespaces(snapshot: &mut Snapshot, args: &Args, doors: Vec<(String, Door)>) {
    let seen = doors.into_iter().map(|(name, door)| (name, door.look()));
    // An end of `path` may be anything: that no namespace has its name says little.
    snapshot.netns = seen
        .filter(|(_, inside)| !args.link_type().is_path() || inside.sight != Sight::Absent)
        .collect();
}

/// Open vSwitch is not asked where the kernel joins the ends: a bridge of the kernel works whatever
/// state it is in, and its tables may be long.
fn look_at_ovs(snapshot: &mut Snapshot, args: &Args, host: &Host, place: &Place) {
    let kind = args.link_type();
    if !may_be_of_ovs(snapshot, args) || !bridges::is_here(place) {
        return;
    }
    let graph = Graph::of(snapshot, &args.vlans());
    let [from, to] = args.ends();
    let joined = graph.chain(kind, &graph.ends(kind.from, from), &graph.ends(kind.to, to));
    if joined.is_none() {
        snapshot.ovs = Some(host.ovs_ports(place, &Wanted::AllWithoutFigures));
    }
}

fn look_at_domain(snapshot: &mut Snapshot, args: &Args, host: &Host) {
    if !args.link_type().has(End::Domain) {
        return;
    }
    for name in names_of(snapshot, args, End::Domain).into_iter().take(1) {
        let Ok(wanted) = name.parse() else { continue };
        let asked = host.domain_with_vnics(&args.libvirt_place.place(), &wanted);
        // An end of `path` may be anything: that libvirt does not have it says little.
        if !args.link_type().is_path() || matches!(asked.answer, Ok(Answer::Domain(_))) {
            snapshot.domain = Some(asked);
            snapshot.domain_name = Some(name.to_owned());
        }
    }
}

/// A tunnel without a local address leaves through the device that the route to its remote says.
fn look_for_ways(snapshot: &mut Snapshot, args: &Args, route: &Route) {
    const MOST: usize = 8;
    let kind = args.link_type();
    if !kind.joins(How::Routed) {
        return;
    }
    let graph = Graph::of(snapshot, &[]);
    let ends = args.ends();
    let address = |name: &str| name.parse::<IpAddr>().ok();
    let tunnels = graph.nodes.iter().filter_map(|node| Some((node, node.tunnel.as_ref()?)));
    let meant = tunnels.filter(|(node, tunnel)| {
        let leads = |name: &str| address(name).is_some_and(|ip| tunnel.remotes.contains(&ip));
        tunnel.local.is_none() && ends.iter().any(|name| node.name == *name || leads(name))
    });
    let remotes = meant.flat_map(|(_, tunnel)| tunnel.remotes.iter().copied()).take(MOST);
    let ways = remotes.filter_map(|remote| {
        // What the kernel does not tell is no way.
        route.way_to(remote, None).ok().flatten().map(|way| (remote, way.device))
    });
    snapshot.tunnels.ways = ways.collect();
}

// ------------------------------------------------------------------------------------- judgement

fn judge(report: &mut Report, snapshot: &Snapshot, args: &Args) {
    let kind = args.link_type();
    let mut graph = Graph::of(snapshot, &args.vlans());
    if kind.is_path() {
        graph.keep_vnics(|vnic| args.may_mean(vnic));
    }
    let [from, to] = args.ends();
    let ends = [graph.ends(kind.from, from), graph.ends(kind.to, to)];
    let found = graph.chain(kind, &ends[0], &ends[1]);
    let view = chain::View { graph: &graph, snapshot, args };
    if let Some(found) = found {
        if let Some(ovs) = snapshot.ovs.as_ref().filter(|_| view.is_of_ovs(&found)) {
            bridge::judge_life(report, &ovs.vswitchd, &LIFE);
        }
        view.judge(report, found);
        return;
    }
    // What Open vSwitch did not tell may be what joins them.
    if let Some(ovs) = &snapshot.ovs
        && let Err(trouble) = &ovs.tables
    {
        ovs_life::evidence(report, &ovs.vswitchd);
        let (code, text) = ovs_life::database_trouble(trouble, ovs.server.as_ref(), &LIFE);
        report.find(code, format!("{from} and {to} are joined by Open vSwitch, if at all: {text}"));
        return;
    }
    if let Some(ovs) = &snapshot.ovs {
        bridge::judge_life(report, &ovs.vswitchd, &LIFE);
    }
    if !may_be_hidden(report, snapshot, to) && !missing::ends(report, &view, &ends) {
        missing::joint(report, &view, &ends);
    }
}

/// What may not be looked into may join what is not seen to be joined.
fn may_be_hidden(report: &mut Report, snapshot: &Snapshot, to: &str) -> bool {
    let hidden = snapshot.netns.iter().find(|(_, inside)| inside.sight == Sight::Hidden(None));
    if let Some((name, _)) = hidden {
        let text = format!("whether {to} is in {name} may not be seen: permission denied");
        report.find(&FORBIDDEN, format!("{text}; {ENTER}"));
    }
    hidden.is_some()
}

/// What an unprivileged caller needs to look into a namespace.
const ENTER: &str = "give the check cap_sys_admin, or run it as root";
