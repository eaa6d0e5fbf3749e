//! The service of a namespace: the namespace is real, and the daemons that are meant to serve in
//! it live and listen.

use crate::checks::Check;
use crate::checks::device::{self, DeviceCodes};
use crate::host::link::Link;
use crate::host::netns::{self, Neighbours, Netns, NetnsName, Standing};
use crate::host::neutron::{self, HaState, Records};
use crate::host::process::State;
use crate::host::service::{By, Daemon, Daemons, Fate, Record, Wanted};
use crate::host::sockets::{self, Family};
use crate::host::{Host, Trouble, Why, ovs};
use crate::manifest::check_vservice::{SPEC, code, fact, metric};
use crate::plugin;
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::text::{count, span};
use crate::rights;
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
    #[arg(long, value_name = "DIR", value_parser = ovs::absolute)]
    pub state_path: Option<PathBuf>,
}

fn daemon_name(text: &str) -> Result<String, String> {
    crate::host::link::plain_name(text, "a daemon's name", 64).map(|()| text.to_owned())
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

/// Which port of a DHCP service is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DhcpPort {
    /// UDP 67.
    V4,
    /// UDP 547 alone: a network with IPv6 alone has no other.
    V6,
    /// Neither.
    Closed,
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

/// The interfaces of a namespace, but its loopback.
#[derive(Debug)]
pub enum Interfaces {
    /// Seen from inside.
    Inside(Vec<Link>),
    /// Their partners in our namespace: enough to see that they have a link.
    NearEnds(Vec<Link>),
    /// Why they are not seen.
    Unseen(Trouble),
}

const PROCESS_REMEDY: &str = "give the check cap_sys_ptrace, or run it as root";
const FILE_REMEDY: &str = "add the check's user to group neutron";
const INTERFACE_REMEDY: &str = "give the check cap_sys_admin, or run it as root";

const DEVICE_CODES: DeviceCodes = DeviceCodes {
    admin_down: code::ADMIN_DOWN,
    link_down: code::LINK_DOWN,
    not_ready: code::NOT_READY,
};

impl Check for Vservice {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Facts;

    fn gather(args: &Args, host: &Host) -> Facts {
        let state = args.state_path.as_deref().unwrap_or(Path::new(neutron::STATE));
        let names = args.names();
        let read = || Records::read(state, args.id(), &names);
        let records = match args.state_path {
            Some(_) => read(),
            None => rights::lend(rights::DAC_READ_SEARCH, read),
        };
        let meant = args.meant().filter(|name| matches!(netns::look(name), Ok(Standing::Live(_))));
        let meant = meant.map(|name| name.as_str().to_owned());
        let (namespace, netns) = match netns::look(&args.netns) {
            Ok(Standing::Live(netns)) => (Ok(Namespace::Live), Some(netns)),
            Ok(Standing::Stale(Neighbours::SomeLive)) => (Ok(Namespace::Stale), None),
            Ok(Standing::Stale(Neighbours::NoneLive)) => (Ok(Namespace::NotPropagated), None),
            Ok(Standing::Absent) => (Ok(Namespace::Absent), None),
            Err(trouble) => (Err(trouble), None),
        };
        let daemons = Ok(Daemons::default());
        let mut facts =
            Facts { meant, namespace, daemons, records, dhcp: None, tcp: None, interfaces: None };
        if let Some(netns) = netns {
            facts.look_inside(args, host, &netns, &names);
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
                let (code, text) = super::without_answer(trouble, remedy);
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

impl Facts {
    fn look_inside(&mut self, args: &Args, host: &Host, netns: &Netns, names: &[&str]) {
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
        let likely: &[&str] = if self.has_proxy_configuration() { &["haproxy"] } else { &[] };
        let records = &self.records;
        let wanted = Wanted { names, required: &required, likely, records, sibling };
        self.daemons = host.daemons(netns, &wanted);
        if let Ok(daemons) = &self.daemons {
            let works = |name: &str| working(daemons, name).map(|daemon| daemon.process.pid);
            let dnsmasq = works("dnsmasq").filter(|_| args.role == Role::Dhcp);
            self.dhcp = dnsmasq.map(dhcp_port);
            let told = &self.records.haproxy_ports;
            let enough = |open: &BTreeSet<u16>| missing_port(told, open, args.role).is_none();
            let haproxy = works("haproxy").filter(|_| args.role.has_proxy());
            self.tcp = haproxy.map(|pid| sockets::tcp(netns, pid, enough));
        }
        let processless = self.daemons.as_ref().is_ok_and(is_processless);
        if args.interfaces || (args.role == Role::Router && processless) {
            self.interfaces = Some(interfaces(host, netns));
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

    fn has_proxy_configuration(&self) -> bool {
        matches!(self.records.haproxy_ports, Ok(Some(_)))
    }

    /// Whether a daemon may be meant to run where its pid file may not be read.
    fn may_be_expected(&self, daemon: &str, role: Role) -> bool {
        role == Role::Router || (daemon == "haproxy" && self.has_proxy_configuration())
    }
}

/// Nothing lives in it.
fn is_processless(daemons: &Daemons) -> bool {
    daemons.found.iter().all(|daemon| daemon.by == By::Sibling)
}

fn dhcp_port(pid: i32) -> Result<DhcpPort, Trouble> {
    const SERVER: u16 = 67;
    const SERVER6: u16 = 547;
    Ok(if sockets::udp_is_taken(pid, Family::V4, SERVER)? {
        DhcpPort::V4
    } else if sockets::udp_is_taken(pid, Family::V6, SERVER6)? {
        DhcpPort::V6
    } else {
        DhcpPort::Closed
    })
}

fn interfaces(host: &Host, netns: &Netns) -> Interfaces {
    match host.devices_inside(netns) {
        Ok(links) => Interfaces::Inside(links),
        Err(trouble) if trouble.why == Why::Forbidden => match host.near_ends(netns) {
            Ok(links) if !links.is_empty() => Interfaces::NearEnds(links),
            _ => Interfaces::Unseen(trouble),
        },
        Err(trouble) => Interfaces::Unseen(trouble),
    }
}

fn judge_service(report: &mut Report, facts: &Facts, args: &Args, past: &Past) {
    match &facts.daemons {
        Ok(daemons) => judge_daemons(report, facts, daemons, args, past),
        Err(trouble) => {
            let (code, text) = super::without_answer(trouble, PROCESS_REMEDY);
            report.find(code, text);
        }
    }
    if let Some(interfaces) = &facts.interfaces {
        judge_interfaces(report, interfaces, facts.is_backup());
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

fn judge_daemons(report: &mut Report, facts: &Facts, daemons: &Daemons, args: &Args, past: &Past) {
    for daemon in &daemons.found {
        judge_process(report, daemon, daemons);
    }
    judge_unread(report, facts, daemons, args.role);
    let missing = missing(facts, daemons, args);
    // Nothing is required of a router, but what cannot be seen may be broken.
    if args.role == Role::Router && is_processless(daemons) && daemons.hidden && missing.is_empty()
    {
        let text = format!("cannot see which processes run there; {PROCESS_REMEDY}");
        report.find(&plugin::code::FORBIDDEN, text);
    }
    for group in missing {
        let names = group.join(" or ");
        if daemons.hidden {
            let text = format!("cannot see whether {names} runs there; {PROCESS_REMEDY}");
            report.find(&plugin::code::FORBIDDEN, text);
        } else if group.iter().any(|name| daemons.found.iter().any(|d| d.is(name))) {
            // Its zombie is told already.
        } else if let (Err(trouble), false) = (&facts.records.ha, is_required(&group, args)) {
            let text =
                format!("{names} does not run, as is right on a backup: {trouble}; {FILE_REMEDY}");
            report.find(&plugin::code::FORBIDDEN, text);
        } else {
            report.find(
                code::NO_PROCESS,
                format!("{names} does not run{}", recorded(daemons, &group)),
            );
        }
    }
    judge_ports(report, facts, daemons, args.role);
    records_evidence(report, daemons);
    measure(report, daemons, past);
    report.when_ok = when_ok(args, daemons, facts);
}

/// Whether a group must live on primary and backup alike.
fn is_required(group: &[&str], args: &Args) -> bool {
    let role = args.role.required().contains(&group);
    role || args.process.iter().any(|name| group == [name.as_str()]) || group == ["keepalived"]
}

/// Without its pid files nobody knows which daemons a router needs.
fn judge_unread(report: &mut Report, facts: &Facts, daemons: &Daemons, role: Role) {
    let unknown = facts
        .records
        .unreadable
        .iter()
        .find(|(daemon, _)| !daemons.has_alive(daemon) && facts.may_be_expected(daemon, role));
    if let Some((daemon, trouble)) = unknown {
        let (code, text) = super::without_answer(trouble, FILE_REMEDY);
        report.find(code, format!("whether {daemon} must run there is not known: {text}"));
    }
}

fn judge_process(report: &mut Report, daemon: &Daemon, all: &Daemons) {
    let process = &daemon.process;
    let who = format!("{} (pid {})", process.name, process.pid);
    let code = match process.state {
        State::Alive => None,
        State::Stuck => Some(code::STUCK),
        State::Stopped | State::Traced => Some(code::STOPPED),
        // It was started again, and nobody has taken notice of the old one's end.
        State::Dead if all.has_alive(&process.name) => None,
        State::Dead => Some(code::NO_PROCESS),
    };
    let by = match daemon.by {
        By::Namespace => "in the namespace",
        By::CommandLine => "its command line names the id",
        By::PidFile => "named by its pid file",
        By::Sibling => "in the snat namespace beside it",
    };
    let clause = if process.state == State::Dead { "is a zombie" } else { process.state.clause() };
    let line = format!("{who} {clause}, up {}; {by}", span(process.age));
    match code {
        None => report.fine(line),
        Some(code) => {
            report.find(code, format!("{who} {clause}"));
            report.note(line);
        }
    }
}

/// The groups of which nobody lives, each told once.
fn missing<'f>(facts: &'f Facts, daemons: &'f Daemons, args: &'f Args) -> Vec<Vec<&'f str>> {
    let mut groups: Vec<Vec<&str>> =
        args.role.required().iter().map(|group| group.to_vec()).collect();
    groups.extend(args.process.iter().map(|name| vec![name.as_str()]));
    let expected = daemons.records.iter().filter(|record| facts.is_expected(record));
    groups.extend(expected.map(|record| vec![record.daemon.as_str()]));
    let mut missing: Vec<Vec<&str>> = Vec::new();
    for group in groups {
        let lives = group.iter().any(|name| daemons.has_alive(name));
        let told = missing.iter().any(|other| group.iter().all(|name| other.contains(name)));
        if !lives && !told {
            missing.push(group);
        }
    }
    missing
}

/// What the pid file of a daemon that does not run says.
fn recorded(daemons: &Daemons, group: &[&str]) -> String {
    let record = daemons.records.iter().find(|record| group.contains(&record.daemon.as_str()));
    match record {
        Some(Record { recorded, fate: Fate::Gone, .. }) => {
            format!(": its pid file names {}, which is gone", recorded.pid)
        }
        Some(Record { recorded, fate: Fate::Other, .. }) => {
            format!(": its pid file names {}, which is another process now", recorded.pid)
        }
        _ => String::new(),
    }
}

fn records_evidence(report: &mut Report, daemons: &Daemons) {
    for Record { daemon, recorded, fate } in &daemons.records {
        let (path, pid) = (recorded.path.display(), recorded.pid);
        match fate {
            Fate::Here(_) => report.fine(format!("{path}: {daemon} is pid {pid}")),
            Fate::Leftover => {
                report.fine(format!("{path}: older than the boot of this host, not believed"));
            }
            Fate::Other if daemons.hidden => {
                report.note(format!("{path}: whether pid {pid} is its {daemon} may not be seen"));
            }
            Fate::Other => report.note(format!("{path}: pid {pid} is not its {daemon}")),
            Fate::Gone => report.note(format!("{path}: pid {pid} is gone")),
        }
    }
}

/// Where the metadata proxies of Neutron listen: of the DHCP agent and OVN, of the L3 agent.
const METADATA: [u16; 2] = [80, 9697];

/// A daemon that could answer; one that is stopped or dead is told as that alone.
fn working<'d>(daemons: &'d Daemons, name: &str) -> Option<&'d Daemon> {
    let works = |d: &&Daemon| matches!(d.process.state, State::Alive | State::Stuck);
    daemons.found.iter().filter(works).find(|daemon| daemon.is(name))
}

/// A daemon that lives but does not listen serves nobody.
fn judge_ports(report: &mut Report, facts: &Facts, daemons: &Daemons, role: Role) {
    let mut open = Vec::new();
    match (working(daemons, "dnsmasq"), &facts.dhcp) {
        (Some(_), Some(Ok(DhcpPort::V4))) => open.push("UDP 67".to_owned()),
        (Some(_), Some(Ok(DhcpPort::V6))) => open.push("UDP 547 (IPv6)".to_owned()),
        (Some(dnsmasq), Some(Ok(DhcpPort::Closed))) => {
            not_listening(report, dnsmasq, "UDP 67 (DHCP)");
        }
        (_, Some(Err(trouble))) => unseen_ports(report, trouble),
        _ => {}
    }
    match (working(daemons, "haproxy"), &facts.tcp) {
        (Some(haproxy), Some(Ok(ports))) => {
            let told = &facts.records.haproxy_ports;
            match (missing_port(told, ports, role), told) {
                (None, _) => open.extend(ports.iter().map(|port| format!("TCP {port}"))),
                (Some(_), Err(trouble)) => {
                    let (code, text) = super::without_answer(trouble, FILE_REMEDY);
                    report
                        .find(code, format!("which port haproxy should open is not known: {text}"));
                }
                (Some(port), _) => not_listening(report, haproxy, &port),
            }
        }
        (_, Some(Err(trouble))) => unseen_ports(report, trouble),
        _ => {}
    }
    if !open.is_empty() {
        report.fine(format!("open: {}", open.join(", ")));
    }
}

/// Any user may read them, so this is no lack of rights: the process ended while it was looked at.
fn unseen_ports(report: &mut Report, trouble: &Trouble) {
    let text = format!("its ports cannot be seen: {trouble}");
    report.find(&plugin::code::UNREADABLE, text);
}

/// The port that a haproxy should listen at, if it does not. Where its configuration may not be
/// read, any port of a metadata proxy will do, and any at all for a load balancer.
fn missing_port(
    told: &Result<Option<BTreeSet<u16>>, Trouble>,
    open: &BTreeSet<u16>,
    role: Role,
) -> Option<String> {
    match told {
        Ok(Some(ports)) => {
            let closed = ports.iter().find(|port| !open.contains(port))?;
            Some(format!("TCP {closed}"))
        }
        _ if role == Role::LoadBalancer => open.is_empty().then(|| "any TCP port".to_owned()),
        _ => {
            let proxied = METADATA.iter().any(|port| open.contains(port));
            (!proxied).then(|| format!("TCP {} or {}", METADATA[0], METADATA[1]))
        }
    }
}

fn not_listening(report: &mut Report, daemon: &Daemon, port: &str) {
    let process = &daemon.process;
    let text = format!("{} (pid {}) runs, not listening on {port}", process.name, process.pid);
    report.find(code::NOT_LISTENING, text);
}

fn judge_interfaces(report: &mut Report, interfaces: &Interfaces, is_backup: bool) {
    let (links, place) = match interfaces {
        Interfaces::Inside(links) => (links, "in the namespace"),
        Interfaces::NearEnds(links) => (links, "the near ends of its veth pairs"),
        Interfaces::Unseen(trouble) => {
            let (code, _) = super::without_answer(trouble, INTERFACE_REMEDY);
            let text = format!("its interfaces may not be seen: {trouble}; {INTERFACE_REMEDY}");
            return report.find(code, text);
        }
    };
    let mut fine = Vec::new();
    for link in links {
        match device::fault(link, &DEVICE_CODES) {
            None => fine.push(link.name.as_str()),
            // Neutron keeps the gateway of a waiting HA router switched off.
            Some((code, what))
                if *code == *code::ADMIN_DOWN && is_backup && link.name.starts_with("qg-") =>
            {
                report.fine(format!("{} {what}, as on a backup", link.name));
            }
            Some((code, what)) => report.find(code, format!("{} {what}", link.name)),
        }
    }
    if links.is_empty() {
        report.fine("no interface of its own but the loopback");
    } else if !fine.is_empty() {
        report.fine(format!("{}: up ({place})", fine.join(", ")));
    }
}

fn measure(report: &mut Report, daemons: &Daemons, past: &Past) {
    let in_state = |states: &[State]| {
        daemons.found.iter().filter(|d| states.contains(&d.process.state)).count() as f64
    };
    if !daemons.hidden || !daemons.found.is_empty() {
        report.measure(metric::ALIVE, in_state(&[State::Alive]));
        report.measure(metric::STUCK, in_state(&[State::Stuck]));
        report.measure(metric::STOPPED, in_state(&[State::Stopped, State::Traced]));
        report.measure(metric::DEAD, in_state(&[State::Dead]));
    }
    for name in daemons.found.iter().map(|d| &d.process.name).collect::<BTreeSet<_>>() {
        let all = daemons.found.iter().map(|d| &d.process).filter(|p| p.name == *name);
        report.measure_of(name, metric::MEMORY, all.clone().map(|p| p.memory as f64).sum::<f64>());
        let Some(youngest) = all.max_by_key(|p| (p.started, p.pid)) else { continue };
        report.measure_of(name, metric::START_TIME, youngest.started as f64);
        let key = format!("youngest/{name}");
        let (now, before) = (f64::from(youngest.pid), past.value(&key));
        let changed = before.map(|before| f64::from(u8::from((before - now).abs() > 0.5)));
        report.measure_of(name, metric::RESTARTS, changed);
        report.remember.push((key, now));
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
        ([], Some(Interfaces::Inside(links) | Interfaces::NearEnds(links))) => {
            format!("{name}{backup} has no daemon, {} up", count(links.len(), "interface"))
        }
        ([], _) => format!("{name}{backup} is there and needs no daemon"),
        ([one], _) => format!("{one} serves in {name}{backup}"),
        (several, _) => format!("{} serve in {name}{backup}", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::link::OperState;
    use crate::host::neutron::Recorded;
    use crate::host::process::Process;

    fn args(role: Role) -> Args {
        let prefix = if role == Role::Dhcp { "qdhcp" } else { "net" };
        let netns = format!("{prefix}-1abd0001-0000-4000-8000-000000000001");
        let netns = netns.parse().expect("a name");
        Args { role, netns, process: vec![], interfaces: false, state_path: None }
    }

    fn daemon(name: &str, pid: i32, state: State) -> Daemon {
        let process = Process {
            pid,
            parent: Some(1),
            name: name.into(),
            state,
            started: 1000,
            age: 10,
            memory: 1,
            title: String::new(),
        };
        Daemon { process, by: By::Namespace }
    }

    fn record(name: &str, fate: Fate) -> Record {
        let recorded =
            Recorded { path: "/pid".into(), pid: 7, before_boot: fate == Fate::Leftover };
        Record { daemon: name.into(), recorded, fate }
    }

    fn facts(found: Vec<Daemon>) -> Facts {
        Facts {
            meant: None,
            namespace: Ok(Namespace::Live),
            daemons: Ok(Daemons { found, ..Daemons::default() }),
            records: Records::none("1abd0001-0000-4000-8000-000000000001"),
            dhcp: Some(Ok(DhcpPort::V4)),
            tcp: Some(Ok(BTreeSet::from([53, 80]))),
            interfaces: None,
        }
    }

    impl Facts {
        fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
            change(&mut self);
            self
        }
        fn daemons(&mut self) -> &mut Daemons {
            self.daemons.as_mut().expect("daemons")
        }
    }

    fn codes(facts: Facts, args: &Args) -> Vec<&'static str> {
        let report = Vservice::judge(&facts, args, &Past::default());
        report.findings.iter().map(|finding| finding.code.name).collect()
    }

    fn link(admin_up: bool, lower_up: bool) -> Link {
        let operstate = if lower_up { OperState::Up } else { OperState::LowerLayerDown };
        Link { name: "qr-1".into(), admin_up, lower_up, operstate, ..Link::default() }
    }

    #[test]
    fn what_stands_behind_the_name_comes_first() {
        for (namespace, code) in [
            (Namespace::Absent, "absent"),
            (Namespace::Stale, "stale"),
            (Namespace::NotPropagated, "no-propagation"),
        ] {
            let facts = facts(vec![]).with(|f| f.namespace = Ok(namespace));
            assert_eq!(codes(facts, &args(Role::Dhcp)), [code]);
        }
        let forbidden = Trouble { whom: "/run/netns/x".into(), why: Why::Forbidden };
        let facts = facts(vec![]).with(|f| f.namespace = Err(forbidden));
        assert_eq!(codes(facts, &args(Role::Dhcp)), ["forbidden"]);
    }

    #[test]
    fn what_cannot_be_meant_is_a_mistake_not_a_verdict() {
        let mut dhcp = args(Role::Router);
        dhcp.netns = "qdhcp-1abd0001".parse().expect("a name");
        assert_eq!(codes(facts(vec![]), &dhcp), ["usage"]);
        let mut router = args(Role::Dhcp);
        router.netns = "qrouter-1abf0001".parse().expect("a name");
        assert_eq!(codes(facts(vec![]), &router), ["usage"]);
        let nowhere = |f: &mut Facts| {
            f.records.missing = Some(Trouble { whom: "/x".into(), why: Why::Absent });
        };
        let mut named = args(Role::Dhcp);
        let serving = || facts(vec![daemon("dnsmasq", 1, State::Alive)]);
        assert!(codes(serving().with(nowhere), &named).is_empty(), "not everybody has one");
        named.state_path = Some("/x".into());
        assert_eq!(codes(serving().with(nowhere), &named), ["usage"]);
        let mut bare = args(Role::Dhcp);
        bare.netns = "1abd0001".parse().expect("a name");
        assert_eq!(bare.meant().map(|name| name.to_string()).as_deref(), Some("qdhcp-1abd0001"));
    }

    #[test]
    fn each_state_of_a_process_has_its_code() {
        for (state, expected) in [
            (State::Alive, &[][..]),
            (State::Stuck, &["stuck"]),
            (State::Stopped, &["stopped"]),
            (State::Traced, &["stopped"]),
            (State::Dead, &["no-process"]),
        ] {
            let facts = facts(vec![daemon("dnsmasq", 1, state)]);
            assert_eq!(codes(facts, &args(Role::Dhcp)), expected, "{state:?}");
        }
        // A live one replaces a zombie, and the daemons beside it are judged as well.
        let live = || daemon("dnsmasq", 2, State::Alive);
        let zombie = daemon("dnsmasq", 1, State::Dead);
        assert!(codes(facts(vec![zombie, live()]), &args(Role::Dhcp)).is_empty());
        let stopped = daemon("haproxy", 3, State::Stopped);
        assert_eq!(codes(facts(vec![live(), stopped]), &args(Role::Dhcp)), ["stopped"]);
    }

    #[test]
    fn what_is_required_and_may_be_hidden_is_unknown_never_critical() {
        assert_eq!(codes(facts(vec![]), &args(Role::Dhcp)), ["no-process"]);
        let hidden = |f: &mut Facts| f.daemons().hidden = true;
        assert_eq!(codes(facts(vec![]).with(hidden), &args(Role::Dhcp)), ["forbidden"]);
        assert_eq!(codes(facts(vec![]).with(hidden), &args(Role::Router)), ["forbidden"]);
        assert!(codes(facts(vec![]).with(hidden), &args(Role::None)).is_empty());
        let recorded = |f: &mut Facts| f.daemons().records.push(record("haproxy", Fate::Other));
        let facts = facts(vec![]).with(recorded).with(hidden);
        assert_eq!(codes(facts, &args(Role::Router))[0], "forbidden");
    }

    #[test]
    fn a_router_needs_what_its_pid_files_name() {
        let of = |fate| facts(vec![]).with(|f| f.daemons().records.push(record("haproxy", fate)));
        let router = args(Role::Router);
        assert_eq!(codes(of(Fate::Gone), &router), ["no-process"]);
        assert_eq!(codes(of(Fate::Other), &router), ["no-process"]);
        assert!(codes(of(Fate::Leftover), &router).is_empty());
        let backup = |f: &mut Facts| f.records.ha = Ok(Some(HaState::Backup));
        assert!(codes(of(Fate::Gone).with(backup), &router).is_empty());
        let keepalived = record("keepalived", Fate::Gone);
        let facts = facts(vec![]).with(backup).with(|f| f.daemons().records.push(keepalived));
        assert_eq!(codes(facts, &router), ["no-process"]);
        // Of a distributed router it lives beside it, and is judged there.
        for (state, expected) in [(State::Alive, &[][..]), (State::Stopped, &["stopped"])] {
            let mut beside = daemon("keepalived", 7, state);
            beside.by = By::Sibling;
            let facts = super::tests::facts(vec![beside])
                .with(|f| f.daemons().records.push(record("keepalived", Fate::Here(By::Sibling))));
            assert_eq!(codes(facts, &router), expected, "{state:?}");
        }
    }

    #[test]
    fn what_may_not_be_read_is_not_ok() {
        let forbidden = || Trouble { whom: "/var/lib/neutron/x".into(), why: Why::Forbidden };
        let unread = |f: &mut Facts| f.records.unreadable.push(("haproxy".into(), forbidden()));
        let router = args(Role::Router);
        assert_eq!(codes(facts(vec![]).with(unread), &router), ["forbidden"]);
        let alive = || facts(vec![daemon("haproxy", 1, State::Alive)]);
        assert!(codes(alive().with(unread), &router).is_empty());
        let serving = facts(vec![daemon("dnsmasq", 1, State::Alive)]).with(unread);
        assert!(
            codes(serving, &args(Role::Dhcp)).is_empty(),
            "a proxy is no duty of every network"
        );
        // A router of which it is not known whether it waits.
        let unknown = |f: &mut Facts| {
            f.records.ha = Err(forbidden());
            f.daemons().records.push(record("haproxy", Fate::Gone));
        };
        assert_eq!(codes(facts(vec![]).with(unknown), &router), ["forbidden"]);
        // A proxy whose port is not known.
        let private = |f: &mut Facts| {
            f.records.haproxy_ports = Err(forbidden());
            f.tcp = Some(Ok(BTreeSet::from([8775])));
        };
        assert_eq!(codes(alive().with(private), &router), ["forbidden"]);
    }

    #[test]
    fn other_services_need_their_daemons() {
        let serving = |name| facts(vec![daemon(name, 1, State::Alive)]);
        assert!(codes(serving("haproxy"), &args(Role::LoadBalancer)).is_empty());
        assert!(codes(serving("haproxy"), &args(Role::Metadata)).is_empty());
        assert!(codes(serving("pluto"), &args(Role::Vpn)).is_empty());
        assert!(codes(serving("charon"), &args(Role::Vpn)).is_empty());
        for role in [Role::LoadBalancer, Role::Metadata, Role::Vpn] {
            assert_eq!(codes(facts(vec![]), &args(role)), ["no-process"], "{role:?}");
        }
        let mut asked = args(Role::None);
        asked.process = vec!["bird".into()];
        assert_eq!(codes(facts(vec![]), &asked), ["no-process"]);
        assert!(codes(serving("bird"), &asked).is_empty());
    }

    #[test]
    fn a_daemon_that_does_not_listen_serves_nobody() {
        let dnsmasq = || facts(vec![daemon("dnsmasq", 1, State::Alive)]);
        let dhcp = args(Role::Dhcp);
        let with = |port| codes(dnsmasq().with(|f| f.dhcp = Some(port)), &dhcp);
        assert_eq!(with(Ok(DhcpPort::Closed)), ["not-listening"]);
        assert!(with(Ok(DhcpPort::V6)).is_empty());
        let ended = Trouble { whom: "/proc/1/net/udp".into(), why: Why::Absent };
        assert_eq!(with(Err(ended)), ["unreadable"]);
        // One that is stopped is told as that alone.
        let stopped = facts(vec![daemon("dnsmasq", 1, State::Stopped)]);
        assert_eq!(codes(stopped.with(|f| f.dhcp = None), &dhcp), ["stopped"]);

        let set = |ports: &[u16]| ports.iter().copied().collect::<BTreeSet<u16>>();
        let haproxy = |tcp: &[u16], told: Option<&[u16]>| {
            let (tcp, told) = (Some(Ok(set(tcp))), told.map(set));
            facts(vec![daemon("haproxy", 1, State::Alive)])
                .with(|f| (f.tcp, f.records.haproxy_ports) = (tcp, Ok(told)))
        };
        let router = args(Role::Router);
        assert!(codes(haproxy(&[9697], None), &router).is_empty());
        assert_eq!(codes(haproxy(&[22], None), &router), ["not-listening"]);
        assert_eq!(codes(haproxy(&[80], Some(&[9697])), &router), ["not-listening"]);
        assert!(codes(haproxy(&[8080], Some(&[8080])), &router).is_empty());
        assert!(codes(haproxy(&[22], None), &args(Role::LoadBalancer)).is_empty());
        assert_eq!(codes(haproxy(&[], None), &args(Role::LoadBalancer)), ["not-listening"]);
    }

    #[test]
    fn interfaces_are_judged_where_they_are_seen() {
        let of = |interfaces| facts(vec![]).with(|f| f.interfaces = Some(interfaces));
        let router = args(Role::Router);
        assert!(codes(of(Interfaces::Inside(vec![link(true, true)])), &router).is_empty());
        let down = of(Interfaces::NearEnds(vec![link(true, false)]));
        assert_eq!(codes(down, &router), ["link-down"]);
        let off = || of(Interfaces::Inside(vec![link(false, false)]));
        assert_eq!(codes(off(), &router), ["admin-down"]);
        let backup = |f: &mut Facts| f.records.ha = Ok(Some(HaState::Backup));
        assert_eq!(codes(off().with(backup), &router), ["admin-down"], "keepalived needs its own");
        let gateway = Link { name: "qg-1".into(), ..link(false, false) };
        let off = of(Interfaces::Inside(vec![gateway])).with(backup);
        assert!(codes(off, &router).is_empty());
        let unseen = Trouble { whom: "the namespace".into(), why: Why::Forbidden };
        assert_eq!(codes(of(Interfaces::Unseen(unseen)), &router), ["forbidden"]);
    }

    #[test]
    fn another_youngest_process_is_a_restart() {
        let report = |pid, past: &Past| {
            Vservice::judge(
                &facts(vec![daemon("dnsmasq", pid, State::Alive)]),
                &args(Role::Dhcp),
                past,
            )
        };
        let restarts = |report: &Report| {
            report.metrics.iter().find(|m| m.spec.name == "restarts").map(|m| m.value)
        };
        let first = report(7, &Past::default());
        assert_eq!(restarts(&first), None);
        assert_eq!(restarts(&report(7, &Past::of(&first))), Some(0.0));
        assert_eq!(restarts(&report(3, &Past::of(&first))), Some(1.0));
    }

    #[test]
    fn the_id_is_what_neutron_calls_it() {
        assert_eq!(args(Role::Dhcp).id(), "1abd0001-0000-4000-8000-000000000001");
        let mut bare = args(Role::None);
        bare.netns = "blue".parse().expect("a name");
        assert_eq!(bare.id(), "blue");
    }
}
