//! The service of a namespace: the namespace is real, and the daemons that are meant to serve in
//! it live and listen.

mod daemons;
mod interfaces;
#[cfg(test)]
mod tests;

use crate::checks::{Check, without_answer};
use crate::host::foothold::Foothold;
use crate::host::netns::{self, Neighbours, Netns, NetnsName, Standing};
use crate::host::neutron::{self, HaState, Records};
use crate::host::service::{By, Daemons, Fate, Record, Wanted};
use crate::host::sockets;
use crate::host::trace::DhcpPort;
use crate::host::{Host, Trouble, Why, words};
use crate::manifest::check_vservice::{SPEC, code, fact};
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::text::count;
use crate::{plugin, rights};
use interfaces::Interfaces;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// See [`SPEC`].
pub struct Vservice;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// dhcp, router, metadata, loadbalancer, vpn, firewall; none where no daemon belongs to it
    #[arg(value_name = "TYPE")]
    pub role: Role,
    /// Its namespace: qdhcp-UUID, qrouter-UUID, snat-UUID, ovnmeta-UUID, cni-UUID, ...
    #[arg(value_name = "ID")]
    pub netns: NetnsName,
    /// A daemon that must run there as well; repeatable
    #[arg(long, value_name = "NAME", value_parser = daemon_name)]
    pub process: Vec<String>,
    /// Its interfaces must be up, too [default: where a router has no daemon]
    #[arg(long)]
    pub interfaces: bool,
    /// Where Neutron keeps its state [default: /var/lib/neutron]
    #[arg(long, value_name = "DIR", value_parser = words::absolute)]
    pub state_path: Option<PathBuf>,
}

fn daemon_name(text: &str) -> Result<String, String> {
    words::plain_name(text, "a daemon's name", 64).map(|()| text.to_owned())
}

/// What a service does, and so which daemons belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Addresses: dnsmasq, and a metadata proxy where there is no router.
    Dhcp,
    /// Routing: what Neutron started there, or nothing at all.
    Router,
    /// Instance metadata: haproxy.
    Metadata,
    /// Load balancing: haproxy.
    LoadBalancer,
    /// IPsec: charon or pluto.
    Vpn,
    /// Firewalls, floating addresses, pods: no daemon of their own.
    None,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dhcp" => Ok(Self::Dhcp),
            "router" => Ok(Self::Router),
            "metadata" => Ok(Self::Metadata),
            "loadbalancer" | "lb" => Ok(Self::LoadBalancer),
            "vpn" => Ok(Self::Vpn),
            "firewall" | "fip" | "snat" | "pod" | "none" => Ok(Self::None),
            _ => Err(format!(
                "'{text}' is no type of service: dhcp, router, metadata, loadbalancer, vpn, firewall, none"
            )),
        }
    }
}

impl Role {
    /// The daemons that are judged wherever they are found.
    const fn daemons(self) -> &'static [&'static str] {
        match self {
            Self::Dhcp => &["dnsmasq", "haproxy"],
            Self::Router => &["haproxy", "keepalived", "radvd"],
            Self::Metadata | Self::LoadBalancer => &["haproxy"],
            Self::Vpn => &["charon", "pluto"],
            Self::None => &[],
        }
    }

    /// Whether its haproxy is a metadata proxy or a load balancer, so that its port is known.
    const fn has_proxy(self) -> bool {
        matches!(self, Self::Dhcp | Self::Router | Self::Metadata | Self::LoadBalancer)
    }

    /// Of each group one must live.
    const fn required(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Dhcp => &[&["dnsmasq"]],
            Self::Metadata | Self::LoadBalancer => &[&["haproxy"]],
            Self::Vpn => &[&["charon", "pluto"]],
            Self::Router | Self::None => &[],
        }
    }
}

/// What was seen.
#[derive(Debug)]
pub struct Facts {
    /// A namespace whose name has the prefix that was left out.
    pub meant: Option<String>,
    /// What stands behind the name.
    pub namespace: Result<Namespace, Trouble>,
    /// Its daemons.
    pub daemons: Result<Daemons, Trouble>,
    /// What Neutron keeps of it.
    pub records: Records,
    /// Where addresses are asked for in it, where that matters and a process of it can be seen.
    pub dhcp: Option<Result<DhcpPort, Trouble>>,
    /// Its listening TCP ports, likewise, as far as they matter.
    pub tcp: Option<Result<BTreeSet<u16>, Trouble>>,
    /// Its interfaces, where they are asked for or are all there is.
    pub interfaces: Option<Interfaces>,
}

/// What stands behind a name of `/run/netns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// A namespace.
    Live,
    /// A plain file among namespaces.
    Stale,
    /// A plain file, and no other name is a namespace either.
    NotPropagated,
    /// Nothing.
    Absent,
}

const PROCESS_REMEDY: &str = "give the check cap_sys_ptrace, or run it as root";
const FILE_REMEDY: &str = "add the check's user to group neutron";

impl Check for Vservice {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Facts;

    fn gather(args: &Args, host: &Host) -> Facts {
        let names = args.names();
        let meant = args.meant().filter(|name| matches!(netns::look(name), Ok(Standing::Live(_))));
        let meant = meant.map(|name| name.as_str().to_owned());
        let (namespace, netns) = match netns::look(&args.netns) {
            Ok(Standing::Live(netns)) => (Ok(Namespace::Live), Some(netns)),
            Ok(Standing::Stale(Neighbours::SomeLive)) => (Ok(Namespace::Stale), None),
            Ok(Standing::Stale(Neighbours::NoneLive)) => (Ok(Namespace::NotPropagated), None),
            Ok(Standing::Absent) => (Ok(Namespace::Absent), None),
            Err(trouble) => (Err(trouble), None),
        };
        let devices = args.interfaces || args.role == Role::Router;
        let inside = netns.as_ref().map(|netns| host.foothold(netns, &names, devices));
        rights::renounce_all_but(&[rights::SYS_PTRACE, rights::DAC_READ_SEARCH]);
        let place = netns.as_ref().zip(inside.as_ref());
        let (records, daemons) = records_and_daemons(args, host, place);
        // Processes have been seen, and what they hold where it takes a right.
        rights::renounce();
        let mut facts =
            Facts { meant, namespace, daemons, records, dhcp: None, tcp: None, interfaces: None };
        if let Some((netns, inside)) = place {
            facts.look_inside(args, host, netns, inside);
        }
        facts
    }

    fn judge(facts: &Facts, args: &Args, past: &Past) -> Report {
        let name = &args.netns;
        let mut report = Report::about(name.as_str());
        if let Some(why) = args.misfit().or_else(|| facts.no_such_state(args)) {
            report.find(&plugin::code::USAGE, why);
            return report;
        }
        match &facts.namespace {
            Ok(Namespace::Live) => judge_service(&mut report, facts, args, past),
            Ok(Namespace::Absent) => {
                let hint = facts.meant.as_ref().map(|meant| format!("; there is {meant}"));
                let text = format!("namespace {name} does not exist{}", hint.unwrap_or_default());
                report.find(code::ABSENT, text);
            }
            Ok(Namespace::Stale) => report.find(
                code::STALE,
                format!("namespace {name} is gone; a plain file is left in {}", netns::DIRECTORY),
            ),
            Ok(Namespace::NotPropagated) => report.find(
                code::NO_PROPAGATION,
                format!(
                    "no name in {} is a namespace here: mount it with propagation (rslave) \
                     or run the check on the host",
                    netns::DIRECTORY
                ),
            ),
            Err(trouble) => {
                let remedy = "run the check as root";
                let (code, text) = without_answer(trouble, remedy);
                report.find(code, text);
            }
        }
        report
    }
}

impl Args {
    /// The id of the network or router, as Neutron's files name it: what is behind the prefix.
    fn id(&self) -> &str {
        let name = self.netns.as_str();
        name.split_once('-').map_or(name, |(_, id)| id)
    }

    /// The name with the prefix of its type, where it has none.
    fn meant(&self) -> Option<NetnsName> {
        let prefix = match self.role {
            Role::Dhcp => "qdhcp-",
            Role::Router | Role::Vpn => "qrouter-",
            Role::Metadata => "ovnmeta-",
            Role::LoadBalancer => "qlbaas-",
            Role::None => return None,
        };
        let name = self.netns.as_str();
        if name.starts_with(prefix) { None } else { format!("{prefix}{name}").parse().ok() }
    }

    /// Why the type cannot be that of a namespace which Neutron named so.
    fn misfit(&self) -> Option<String> {
        let (prefix, _) = self.netns.as_str().split_once('-')?;
        let is = match (prefix, self.role) {
            ("qdhcp", Role::Router | Role::Vpn | Role::LoadBalancer) => "dhcp",
            ("qrouter" | "snat", Role::Dhcp) => "router",
            _ => return None,
        };
        Some(format!("{} is the namespace of a {is} service: write TYPE {is}", self.netns))
    }

    fn names(&self) -> Vec<&str> {
        let role = self.role.daemons().iter().copied();
        role.chain(self.process.iter().map(String::as_str)).collect()
    }
}

/// What Neutron keeps tells which processes are looked at. Where the caller says what Neutron keeps, and
/// has not the rights of this program, they are all looked at before, and none after that.
fn records_and_daemons(
    args: &Args,
    host: &Host,
    place: Option<(&Netns, &Foothold)>,
) -> (Records, Result<Daemons, Trouble>) {
    let names = args.names();
    let look = |records: &Records| match place {
        Some((netns, inside)) => daemons(args, host, netns, inside, records),
        None => Ok(Daemons::default()),
    };
    let state = args.state_path.as_deref();
    let read = || Records::read(state.unwrap_or(Path::new(neutron::STATE)), args.id(), &names);
    if state.is_some() && rights::elevated() {
        let daemons = look(&Records::none(args.id()));
        rights::give_up_all();
        let records = read();
        let daemons = daemons.map(|daemons| daemons.compared(&records));
        return (records, daemons);
    }
    let records = rights::lend(rights::DAC_READ_SEARCH, read);
    let daemons = look(&records);
    (records, daemons)
}

fn daemons(
    args: &Args,
    host: &Host,
    netns: &Netns,
    inside: &Foothold,
    records: &Records,
) -> Result<Daemons, Trouble> {
    let own: Vec<[&str; 1]> = args.process.iter().map(|name| [name.as_str()]).collect();
    let mut required: Vec<&[&str]> = args.role.required().to_vec();
    required.extend(own.iter().map(|group| &group[..]));
    // The keepalived of a distributed HA router lives beside it.
    let sibling = format!("snat-{}", args.id()).parse().ok();
    let sibling = sibling.and_then(|name| match netns::look(&name) {
        Ok(Standing::Live(sibling)) => Some(sibling),
        _ => None,
    });
    let sibling = sibling.as_ref();
    let likely: &[&str] = if has_proxy_configuration(records) { &["haproxy"] } else { &[] };
    let names = args.names();
    let wanted = Wanted { names: &names, required: &required, likely, records, sibling };
    host.daemons(netns, inside, &wanted)
}

fn has_proxy_configuration(records: &Records) -> bool {
    matches!(records.haproxy_ports, Ok(Some(_)))
}

impl Facts {
    fn look_inside(&mut self, args: &Args, host: &Host, netns: &Netns, inside: &Foothold) {
        if let Ok(daemons) = &self.daemons {
            let works =
                |name: &str| daemons::working(daemons, name).map(|daemon| daemon.process.pid);
            let dnsmasq = works("dnsmasq").filter(|_| args.role == Role::Dhcp);
            self.dhcp = dnsmasq.and(daemons.dhcp.clone());
            let told = &self.records.haproxy_ports;
            let enough =
                |open: &BTreeSet<u16>| daemons::missing_port(told, open, args.role).is_none();
            let haproxy = works("haproxy").filter(|_| args.role.has_proxy());
            self.tcp = haproxy.map(|pid| sockets::tcp(inside, pid, enough));
        }
        let processless = self.daemons.as_ref().is_ok_and(is_processless);
        if args.interfaces || (args.role == Role::Router && processless) {
            let mut daemons = self.daemons.iter().flat_map(|daemons| &daemons.found);
            let window = daemons.find(|daemon| daemon.lives_here());
            let window = window.map(|daemon| daemon.process.pid);
            self.interfaces = Some(interfaces::seen(host, netns, inside, window));
        }
    }

    /// A directory that was named and is not there is a mistake: without its pid files a dead daemon
    /// is not missed.
    fn no_such_state(&self, args: &Args) -> Option<String> {
        let trouble = self.records.missing.as_ref().filter(|_| args.state_path.is_some())?;
        if trouble.why == Why::Forbidden {
            return None;
        }
        Some(format!("--state-path: {trouble}"))
    }

    /// Neutron's pid files name what must run here.
    fn is_expected(&self, record: &Record) -> bool {
        // The helpers of an HA router run where the traffic is.
        let waits = self.is_backup() && record.daemon != "keepalived";
        !waits && record.fate != Fate::Leftover
    }

    fn is_backup(&self) -> bool {
        self.records.ha == Ok(Some(HaState::Backup))
    }

    /// Whether a daemon may be meant to run where its pid file may not be read.
    fn may_be_expected(&self, daemon: &str, role: Role) -> bool {
        role == Role::Router || (daemon == "haproxy" && has_proxy_configuration(&self.records))
    }
}

/// Nothing lives in it.
fn is_processless(daemons: &Daemons) -> bool {
    daemons.found.iter().all(|daemon| daemon.by == By::Sibling)
}
fn judge_service(report: &mut Report, facts: &Facts, args: &Args, past: &Past) {
    match &facts.daemons {
        Ok(daemons) => daemons::judge(report, facts, daemons, args, past),
        Err(trouble) => {
            let (code, text) = without_answer(trouble, PROCESS_REMEDY);
            report.find(code, text);
        }
    }
    if let Some(interfaces) = &facts.interfaces {
        interfaces::judge(report, interfaces, facts.is_backup());
    }
    match &facts.records.ha {
        Ok(Some(ha)) => {
            let word = if *ha == HaState::Primary { "primary" } else { "backup" };
            report.fact(fact::HA.name, None, word);
            report.fine(format!("this node is {word} of the HA router (ha_confs)"));
        }
        Ok(None) => report.fact(fact::HA.name, None, "none"),
        Err(trouble) => report.note(trouble.to_string()),
    }
    if let Some(trouble) = &facts.records.missing {
        report.note(format!("{trouble}: no pid files are known"));
    }
    for (_, trouble) in &facts.records.unreadable {
        report.note(trouble.to_string());
    }
    report.fine(format!("{}/{}: a live namespace", netns::DIRECTORY, args.netns));
    for finding in &mut report.findings {
        finding.object.get_or_insert_with(|| args.netns.as_str().to_owned());
    }
}
fn when_ok(args: &Args, daemons: &Daemons, facts: &Facts) -> String {
    let name = &args.netns;
    let names: BTreeSet<&str> = daemons.found.iter().map(|d| d.process.name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let backup = if facts.is_backup() { " (backup)" } else { "" };
    match (names.as_slice(), &facts.interfaces) {
        ([beside], _) if is_processless(daemons) => {
            format!("{beside} serves in the snat namespace beside {name}{backup}")
        }
        ([], Some(Interfaces::Inside(links) | Interfaces::NearEnds { links, .. })) => {
            format!("{name}{backup} has no daemon, {} up", count(links.len(), "interface"))
        }
        ([], _) => format!("{name}{backup} is there and needs no daemon"),
        ([one], _) => format!("{one} serves in {name}{backup}"),
        (several, _) => format!("{} serve in {name}{backup}", several.join(", ")),
    }
}
