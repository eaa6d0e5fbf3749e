//! The far ends of all tunnels of a host: those of Open vSwitch and of the kernel's VXLAN devices.
//! Each remote address is probed once, however many tunnels lead there, all at the same time.

use crate::checks::Check;
use crate::checks::device::{self, DeviceCodes};
use crate::checks::ovs_life::{self, LifeCodes};
use crate::checks::ovs_place::PlaceArgs;
use crate::checks::path::{self, Fault, PathArgs, PathCodes, Times, ms};
use crate::host::link::Link;
use crate::host::ovs::tunnels::{Tunnel, Tunnels};
use crate::host::ping::{Echoes, Families, NoPing, Pinged, Stop, Target};
use crate::host::route::Way;
use crate::host::vxlan::Vxlan;
use crate::host::{Host, Trouble, Why, words};
use crate::manifest::check_otep::{SPEC, code, fact, metric};
use crate::plugin;
use crate::plugin::args::DEADLINE;
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::status::Status;
use crate::plugin::text::count;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// See [`SPEC`].
pub struct Otep;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only tunnels to this address; repeatable
    #[arg(long, value_name = "IP")]
    pub remote: Vec<IpAddr>,
    /// Only this tunnel port or VXLAN device; repeatable
    #[arg(long, value_name = "NAME", value_parser = words::name)]
    pub port: Vec<String>,
    /// What is sent.
    #[command(flatten)]
    pub path: PathArgs,
    /// Where Open vSwitch is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

const LIFE: LifeCodes =
    LifeCodes { no_process: code::NO_PROCESS, stopped: code::STOPPED, refused: code::REFUSED };
const PATH: PathCodes = PathCodes {
    no_route: code::NO_ROUTE,
    filtered: code::FILTERED,
    too_big: code::TOO_BIG,
    no_reply: code::NO_REPLY,
    loss: code::LOSS,
    slow: code::SLOW,
    corrupted: code::CORRUPTED,
};
const DEVICE: DeviceCodes = DeviceCodes {
    admin_down: code::ADMIN_DOWN,
    link_down: code::LINK_DOWN,
    not_ready: code::NOT_READY,
};

/// The facts.
#[derive(Debug)]
pub struct Facts {
    /// What Open vSwitch has, or why it was not asked.
    pub ovs: Result<Tunnels, String>,
    /// What the kernel has.
    pub kernel: Result<Kernel, Trouble>,
    /// What came back from the remotes; `None` where there are none.
    pub pinged: Option<Result<Pinged, NoPing>>,
    /// The ways to remotes that do not answer.
    pub ways: HashMap<IpAddr, Result<Option<Egress>, Trouble>>,
}

/// What the kernel has of tunnels.
#[derive(Debug, Clone, Default)]
pub struct Kernel {
    /// Addresses of this host.
    pub addresses: HashSet<IpAddr>,
    /// VXLAN devices.
    pub vxlans: Vec<Vxlan>,
    /// Remotes in their forwarding tables, by the device's number.
    pub remotes: BTreeMap<u32, Vec<IpAddr>>,
    /// The same devices as any others are seen, by number.
    pub links: HashMap<u32, Link>,
}

/// The way to a remote, and the device through which it leads.
#[derive(Debug, Clone)]
pub struct Egress {
    /// The way.
    pub way: Way,
    /// The device, if it is still there.
    pub link: Option<Link>,
}

/// A remote address and the tunnels that lead there.
#[derive(Debug, Default)]
struct End<'f> {
    tunnels: Vec<Leg<'f>>,
}

/// One tunnel to a remote.
#[derive(Debug)]
struct Leg<'f> {
    name: &'f str,
    local: Option<IpAddr>,
    /// The row, where it is one of Open vSwitch.
    row: Option<&'f Tunnel>,
    /// The device, where it is one of the kernel.
    link: Option<&'f Link>,
}

/// All remotes, and what was passed over.
#[derive(Debug, Default)]
struct Ends<'f> {
    by_remote: BTreeMap<IpAddr, End<'f>>,
    skipped: Vec<String>,
    /// What is wrong with tunnels that lead to no remote.
    rejected: Vec<String>,
}

impl Check for Otep {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Facts;

    fn deadline(args: &Args) -> Duration {
        const TABLES: Duration = Duration::from_secs(2);
        DEADLINE.max(args.path.plan(None).duration() + TABLES)
    }

    fn gather(args: &Args, host: &Host) -> Facts {
        let plan = args.path.plan(None);
        let prepared = host.prepare_ping(&plan, Families::Both);
        args.place.lay_down_other_rights();
        // A silent Open vSwitch must leave time for the packets.
        let for_ovs = Host { until: path::before_packets(host, &plan), ..*host };
        let ovs = args.place.place().map(|place| for_ovs.ovs_tunnels(&place));
        let kernel = kernel(host, args);
        let ends = ends(&ovs, &kernel, args);
        let targets: Vec<Target> =
            ends.by_remote.iter().map(|(remote, end)| end.target(*remote, &kernel)).collect();
        let pinged = (!targets.is_empty()).then(|| host.ping(&targets, prepared));
        let ways = silent(&targets, pinged.as_ref())
            .map(|target| (target.to.ip(), egress(host, target)))
            .collect();
        Facts { ovs, kernel, pinged, ways }
    }

    fn own_limit(args: &mut Args, status: Status, text: &str) -> Result<(), String> {
        args.path.take_limit(status, text)
    }

    fn judge(facts: &Facts, args: &Args, _past: &Past) -> Report {
        let mut report = Report::about("tunnels");
        let known = judge_sources(&mut report, facts);
        let ends = ends(&facts.ovs, &facts.kernel, args);
        for line in &ends.skipped {
            report.fine(line.as_str());
        }
        for text in &ends.rejected {
            report.find(code::ERROR, text.as_str());
        }
        if known {
            judge_presence(&mut report, &ends, args);
        }
        judge_ends(&mut report, &ends, facts, args);
        report
    }
}

fn kernel(host: &Host, args: &Args) -> Result<Kernel, Trouble> {
    let route = host.route()?;
    let vxlans = route.vxlans()?.whole()?;
    let remotes = if vxlans.is_empty() { BTreeMap::new() } else { route.vxlan_remotes()? };
    let mut links = HashMap::new();
    for vxlan in vxlans.iter().filter(|vxlan| args.wants_device(vxlan)) {
        // What is gone meanwhile has no state.
        links.extend(route.link_by_index(vxlan.index)?.map(|link| (vxlan.index, link)));
    }
    Ok(Kernel { addresses: route.addresses()?, vxlans, remotes, links })
}

impl End<'_> {
    /// The packets leave from the tunnel's own address, where this host has it.
    fn target(&self, remote: IpAddr, kernel: &Result<Kernel, Trouble>) -> Target {
        let ours = |local: &IpAddr| {
            local.is_ipv4() == remote.is_ipv4()
                && kernel.as_ref().is_ok_and(|kernel| kernel.addresses.contains(local))
        };
        let from = self.tunnels.iter().filter_map(|leg| leg.local).find(ours);
        Target { to: SocketAddr::new(remote, 0), from }
    }
}

/// What answers has a way; only of the others it is worth asking.
fn silent<'t>(
    targets: &'t [Target],
    pinged: Option<&Result<Pinged, NoPing>>,
) -> impl Iterator<Item = &'t Target> {
    let answered: HashSet<IpAddr> = match pinged {
        Some(Ok(pinged)) => {
            let answered = pinged.echoes.iter().filter(|echoes| path::received(echoes) > 0);
            answered.map(|echoes| echoes.target.ip()).collect()
        }
        _ => HashSet::new(),
    };
    targets.iter().filter(move |target| !answered.contains(&target.to.ip()))
}

fn egress(host: &Host, target: &Target) -> Result<Option<Egress>, Trouble> {
    let route = host.route()?;
    let Some(way) = route.way_to(target.to.ip(), target.from)? else { return Ok(None) };
    Ok(Some(Egress { way, link: route.link_by_index(way.device)? }))
}

/// Joins tunnels by their remote address.
fn ends<'f>(
    ovs: &'f Result<Tunnels, String>,
    kernel: &'f Result<Kernel, Trouble>,
    args: &Args,
) -> Ends<'f> {
    let mut ends = Ends::default();
    if let Ok(Tunnels { tunnels: Ok(tunnels), .. }) = ovs {
        for tunnel in tunnels.iter().filter(|tunnel| args.wants_port(&tunnel.name)) {
            let option = |key| tunnel.options.get(key).map(String::as_str);
            let local = option("local_ip").and_then(|text| text.parse().ok());
            let leg = Leg { name: &tunnel.name, local, row: Some(tunnel), link: None };
            ends.add_written(option("remote_ip"), leg, args);
        }
    }
    if let Ok(kernel) = kernel {
        for vxlan in kernel.vxlans.iter().filter(|vxlan| args.wants_device(vxlan)) {
            let table = kernel.remotes.get(&vxlan.index).into_iter().flatten().copied();
            let remotes: HashSet<IpAddr> = table.chain(vxlan.remote).collect();
            for remote in remotes {
                let link = kernel.links.get(&vxlan.index);
                let leg = Leg { name: &vxlan.name, local: vxlan.local, row: None, link };
                ends.add(remote, leg, args);
            }
        }
    }
    for end in ends.by_remote.values_mut() {
        end.tunnels.sort_by_key(|leg| leg.name);
    }
    ends
}

impl<'f> Ends<'f> {
    /// A remote as the database has it.
    fn add_written(&mut self, remote: Option<&str>, leg: Leg<'f>, args: &Args) {
        let name = leg.name;
        let address: Option<IpAddr> = remote.and_then(|text| text.parse().ok());
        if let Some(address) = address.filter(|address| !address.is_multicast()) {
            return self.add(address, leg, args);
        }
        let error = leg.row.and_then(|row| row.error.0.as_ref());
        match (error, remote) {
            // Those to other remotes were asked for.
            _ if !args.remote.is_empty() => {}
            (Some(error), _) => self.rejected.push(with_name(name, error)),
            (None, Some("flow")) => {
                self.skipped.push(format!("{name}: its remotes come with flows, skipped"));
            }
            (None, Some(remote)) if address.is_some() => {
                self.skipped.push(format!("{name}: remote {remote} is a multicast group, skipped"));
            }
            (None, Some(remote)) => {
                self.rejected.push(format!("{name}: remote_ip {remote} is no address"));
            }
            (None, None) => self.rejected.push(format!("{name}: no remote_ip")),
        }
    }

    fn add(&mut self, remote: IpAddr, leg: Leg<'f>, args: &Args) {
        if remote.is_multicast() {
            self.skipped
                .push(format!("{}: remote {remote} is a multicast group, skipped", leg.name));
        } else if args.remote.is_empty() || args.remote.contains(&remote) {
            self.by_remote.entry(remote).or_default().tunnels.push(leg);
        }
    }
}

impl Args {
    fn wants_port(&self, name: &str) -> bool {
        self.port.is_empty() || self.port.iter().any(|port| port == name)
    }

    /// Of the kernel's devices; those that others drive have no remotes of their own.
    fn wants_device(&self, vxlan: &Vxlan) -> bool {
        !vxlan.by_packet && self.wants_port(&vxlan.name)
    }
}

/// Whether all tunnels are known: then one that is missing is missing.
fn judge_sources(report: &mut Report, facts: &Facts) -> bool {
    let mut known = true;
    match &facts.ovs {
        Ok(ovs) if no_open_vswitch(ovs) => report.fine("no Open vSwitch on this host"),
        Ok(ovs) => known &= judge_ovs(report, ovs),
        Err(why) => {
            report.find(&plugin::code::USAGE, why.clone());
            known = false;
        }
    }
    if let Err(trouble) = &facts.kernel {
        report.find(&plugin::code::UNREADABLE, trouble.to_string());
        known = false;
    }
    known
}

/// Not a trace of it. What died leaves files behind.
fn no_open_vswitch(ovs: &Tunnels) -> bool {
    let absent = |why: &Why| *why == Why::Absent;
    ovs.tunnels.as_ref().is_err_and(|trouble| absent(&trouble.why))
        && ovs.vswitchd.answer.as_ref().is_err_and(|trouble| absent(&trouble.why))
        && ovs.vswitchd.pidfile.as_ref().is_err_and(|trouble| absent(&trouble.why))
}

fn judge_ovs(report: &mut Report, ovs: &Tunnels) -> bool {
    ovs_life::judge(report, &ovs.vswitchd, &LIFE, "its tunnels are not driven");
    if let Err(trouble) = &ovs.tunnels {
        let (code, text) = ovs_life::database_trouble(trouble, ovs.server.as_ref(), &LIFE);
        report.find(code, text);
    }
    ovs.tunnels.is_ok()
}

/// That there is something to look at, and all that was asked for.
fn judge_presence(report: &mut Report, ends: &Ends, args: &Args) {
    let mut missing = false;
    for remote in args.remote.iter().filter(|remote| !ends.by_remote.contains_key(remote)) {
        report.find(code::ABSENT, format!("no tunnel to {remote}"));
        missing = true;
    }
    let all = || ends.by_remote.values().flat_map(|end| &end.tunnels);
    for port in args.port.iter().filter(|port| !all().any(|leg| leg.name == port.as_str())) {
        report.find(code::ABSENT, format!("no tunnel {port} with a remote address"));
        missing = true;
    }
    if ends.by_remote.is_empty() && !missing {
        let skipped = match ends.skipped.len() + ends.rejected.len() {
            0 => String::new(),
            n => format!(" ({n} skipped)"),
        };
        report.find(code::NONE, format!("this host has no tunnel with a remote address{skipped}"));
    }
}

/// Whether a remote works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Works {
    Yes,
    No,
    /// Its packets could not be sent, or not all of them.
    Unknown,
}

fn judge_ends(report: &mut Report, ends: &Ends, facts: &Facts, args: &Args) {
    if ends.by_remote.is_empty() {
        return;
    }
    let mut details = Report::default();
    let echoes: HashMap<IpAddr, &Echoes> = match &facts.pinged {
        Some(Ok(pinged)) => pinged.echoes.iter().map(|e| (e.target.ip(), e)).collect(),
        _ => HashMap::new(),
    };
    let all = ends.by_remote.len();
    let (mut down, mut unfinished) = (0, 0);
    for (remote, end) in &ends.by_remote {
        let echoes = echoes.get(remote).copied();
        let works = judge_end(&mut details, *remote, end, echoes, facts, args);
        down += usize::from(works == Works::No);
        unfinished += usize::from(echoes.is_some_and(|e| e.stopped == Some(Stop::Deadline)));
    }
    if let Some(Err(no)) = &facts.pinged {
        let Fault { code, text, .. } = path::no_ping(no, code::ABSENT);
        report.find(code, text);
    }
    if unfinished > 0 {
        let text =
            format!("the deadline came before {} had all packets", count(unfinished, "remote"));
        report.find(&plugin::code::TIMEOUT, text);
    }
    judge_whole(report, down, all);
    report.object = count(all, "remote");
    report.when_ok = when_ok(all, &echoes);
    let tunnels: usize = ends.by_remote.values().map(|end| end.tunnels.len()).sum();
    report.measure(metric::REMOTES, all as f64);
    report.measure(metric::REMOTES_DOWN, down as f64);
    report.measure(metric::TUNNELS, tunnels as f64);
    report.findings.append(&mut details.findings);
    report.evidence.append(&mut details.evidence);
    report.metrics.append(&mut details.metrics);
    report.facts.append(&mut details.facts);
}

/// Calipso's rule.
fn judge_whole(report: &mut Report, down: usize, all: usize) {
    match down {
        0 => {}
        _ if down < all => {
            report.find(code::SOME_DOWN, format!("{down} of {} do not work", count(all, "remote")));
        }
        1 => report.find(code::ALL_DOWN, "the only remote does not work"),
        _ => report.find(code::ALL_DOWN, format!("none of {all} remotes works")),
    }
}

fn when_ok(all: usize, echoes: &HashMap<IpAddr, &Echoes>) -> String {
    let averages = echoes.iter().filter_map(|(ip, e)| Some((ip, Times::of(e)?.average)));
    let slowest = averages.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(a.0)));
    let slowest = slowest.map(|(ip, average)| format!(", slowest {ip} with {} ms", ms(average)));
    let noun = if all == 1 { "remote works" } else { "remotes work" };
    format!("{all} {noun}{}", slowest.unwrap_or_default())
}

fn judge_end(
    report: &mut Report,
    remote: IpAddr,
    end: &End,
    echoes: Option<&Echoes>,
    facts: &Facts,
    args: &Args,
) -> Works {
    let name = remote.to_string();
    let stale = facts.sessions_are_stale();
    let mut faults = leg_faults(end, &facts.kernel, stale);
    let egress = egress_fault(facts.ways.get(&remote));
    let mut works = if echoes.is_none() { Works::Unknown } else { Works::Yes };
    match (echoes, egress) {
        // What follows from it says no more.
        (_, Some(fault)) => faults.push(fault),
        (Some(Echoes { stopped: Some(Stop::Deadline), .. }), None) => works = Works::Unknown,
        (Some(echoes), None) => faults.extend(path::faults(echoes, &args.path, &PATH)),
        (None, None) => {}
    }
    if faults.iter().any(breaks) {
        works = Works::No;
    }
    let line = evidence(remote, end, echoes, facts);
    if faults.is_empty() {
        report.fine(line)
    } else {
        report.note(line)
    }
    for leg in &end.tunnels {
        if let Some(row) = leg.row.filter(|_| !stale) {
            report.fact(fact::BFD.name, Some(leg.name), bfd(row).unwrap_or("off"));
        }
    }
    for fault in faults {
        report.find_on(&name, fault.code, fault.text);
    }
    measure(report, &name, echoes);
    works
}

/// What is wrong with the tunnels themselves.
fn leg_faults(end: &End, kernel: &Result<Kernel, Trouble>, stale: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    for leg in &end.tunnels {
        if let Some((code, what)) = leg.link.and_then(|link| device::fault(link, &DEVICE)) {
            faults.push(Fault::new(code, format!("{} {what}", leg.name)));
        }
        if let (Some(local), Ok(kernel)) = (leg.local, kernel)
            && !kernel.addresses.contains(&local)
        {
            let text = format!("{}: its own address {local} is not on this host", leg.name);
            faults.push(Fault::new(code::NO_LOCAL, text));
        }
        let Some(row) = leg.row else { continue };
        if let Some(error) = &row.error.0 {
            faults.push(Fault::new(code::ERROR, with_name(leg.name, error)));
        }
        if let Some(state) = bfd(row).filter(|state| *state != "up" && !stale) {
            let text = format!("{}: BFD session is {state}{}", leg.name, diagnostic(row));
            faults.push(Fault::new(code::BFD_DOWN, text));
        }
    }
    faults
}

/// What ovs-vswitchd says of a port; most of it begins with the port's name.
fn with_name(name: &str, error: &str) -> String {
    let error = error.trim();
    let named = error.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
    if named { error.to_owned() } else { format!("{name}: {error}") }
}

impl Facts {
    /// Nobody drives the sessions: the database has what was once.
    fn sessions_are_stale(&self) -> bool {
        let life = self.ovs.as_ref().ok().and_then(|ovs| ovs_life::life(&ovs.vswitchd, &LIFE));
        life.is_some_and(|(code, _)| code.status == Status::Critical)
    }
}

/// The state of a session that is wanted.
fn bfd(row: &Tunnel) -> Option<&str> {
    let enabled = row.bfd.get("enable").is_some_and(|enable| enable == "true");
    enabled.then(|| row.bfd_status.get("state").map_or("not there", String::as_str))
}

fn diagnostic(row: &Tunnel) -> String {
    let said = row.bfd_status.get("diagnostic").filter(|text| *text != "No Diagnostic");
    said.map(|text| format!(" ({text})")).unwrap_or_default()
}

/// What keeps packets from leaving this host.
fn egress_fault(egress: Option<&Result<Option<Egress>, Trouble>>) -> Option<Fault> {
    match egress? {
        Ok(None) => Some(Fault::new(code::NO_ROUTE, "no route on this host".to_owned())),
        Ok(Some(Egress { link: Some(link), .. })) => {
            let (code, what) = device::fault(link, &DEVICE)?;
            Some(Fault::new(code, format!("its way {} {what}", link.name)))
        }
        Ok(Some(_)) => None,
        Err(trouble) => Some(Fault::new(&plugin::code::UNREADABLE, trouble.to_string())),
    }
}

/// Whether a remote with this fault does not work; beyond the first limit it works badly.
fn breaks(fault: &Fault) -> bool {
    let by_limit = *fault.code == *code::LOSS || *fault.code == *code::SLOW;
    match by_limit {
        true => fault.status == Status::Critical,
        false => *fault.code != *code::CORRUPTED && *fault.code != plugin::code::UNREADABLE,
    }
}

fn evidence(remote: IpAddr, end: &End, echoes: Option<&Echoes>, facts: &Facts) -> String {
    const NAMED: usize = 3;
    let stale = facts.sessions_are_stale();
    let words = |leg| leg_words(leg, stale);
    let mut names: Vec<String> = end.tunnels.iter().take(NAMED).map(words).collect();
    if end.tunnels.len() > NAMED {
        names.push(format!("{} more", end.tunnels.len() - NAMED));
    }
    let mut line = format!("{remote} by {}", names.join(", "));
    if let Some(echoes) = echoes {
        let received = path::received(echoes);
        line += &format!(": {} sent, {received} answered in time", echoes.sent);
        if let Some(times) = Times::of(echoes) {
            line += &format!(", average {} ms", ms(times.average));
        }
    }
    if let Some(Ok(Some(Egress { way, link }))) = facts.ways.get(&remote) {
        let device = link.as_ref().map_or("a device that is gone", |link| link.name.as_str());
        let gateway = way.gateway.map(|gateway| format!(" by {gateway}")).unwrap_or_default();
        line += &format!("; way: {device}{gateway}");
    }
    line
}

fn leg_words(leg: &Leg, stale: bool) -> String {
    let kind = leg.row.map_or("vxlan", |row| row.kind.as_str());
    let local = leg.local.map(|local| format!(" from {local}")).unwrap_or_default();
    let bfd = leg
        .row
        .filter(|_| !stale)
        .and_then(bfd)
        .map(|state| format!(", BFD {state}"))
        .unwrap_or_default();
    format!("{} ({kind}{local}{bfd})", leg.name)
}

fn measure(report: &mut Report, name: &str, echoes: Option<&Echoes>) {
    let Some(echoes) = echoes else { return };
    report.measure_of(name, metric::LOSS, path::loss(echoes));
    let times = Times::of(echoes);
    report.measure_of(name, metric::RTT_AVG, times.as_ref().map(|t| t.average));
    report.measure_of(name, metric::RTT_MAX, times.as_ref().map(|t| t.longest));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::link::OperState;
    use crate::host::ovs::daemon::Daemon;
    use crate::host::ping::{Refusal, Unreachable};
    use crate::plugin::verdict::{Rules, Verdict};
    use clap::{Args as _, FromArgMatches};

    const LOCAL: &str = "192.0.2.1";

    fn args(line: &str) -> Args {
        let words = std::iter::once("check_otep").chain(line.split_whitespace());
        let command = Args::augment_args(clap::Command::new("check_otep"));
        Args::from_arg_matches(&command.try_get_matches_from(words).expect("a line")).expect("args")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn no_ovs() -> Tunnels {
        let absent = || Trouble { whom: "/run/x".into(), why: Why::Absent };
        let vswitchd = Daemon::only_heard(Err(absent()));
        Tunnels { vswitchd, server: None, tunnels: Err(absent()) }
    }

    fn tunnel(name: &str, options: &[(&str, &str)], bfd: Option<&str>) -> Tunnel {
        let map = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            crate::host::ovsdb::value::Map(pairs.collect())
        };
        let mut row = Tunnel { name: name.into(), kind: "vxlan".into(), ..Tunnel::default() };
        row.options = map(options);
        if let Some(state) = bfd {
            row.bfd = map(&[("enable", "true")]);
            row.bfd_status = map(&[("state", state)]);
        }
        row
    }

    /// Five packets to each, this many of them answered.
    fn facts(answered: &[(&str, usize)]) -> Facts {
        let remotes: Vec<IpAddr> = answered.iter().map(|(remote, _)| ip(remote)).collect();
        let vxlan =
            Vxlan { name: "vx0".into(), index: 7, local: Some(ip(LOCAL)), ..Vxlan::default() };
        let echoes = answered.iter().map(|(remote, n)| {
            let mut echoes = Echoes::none(SocketAddr::new(ip(remote), 0));
            echoes.sent = 5;
            echoes.round_trips = vec![Duration::from_millis(2); *n];
            echoes
        });
        Facts {
            ovs: Ok(no_ovs()),
            kernel: Ok(Kernel {
                addresses: HashSet::from([ip(LOCAL)]),
                vxlans: vec![vxlan],
                remotes: BTreeMap::from([(7, remotes)]),
                links: HashMap::new(),
            }),
            pinged: Some(Ok(Pinged { echoes: echoes.collect(), raw: false })),
            ways: HashMap::new(),
        }
    }

    fn judged(facts: &Facts, line: &str) -> (String, Vec<&'static str>) {
        let report = Otep::judge(facts, &args(line), &Past::default());
        let verdict = Verdict::of(&SPEC, report, &Rules::default());
        (verdict.first_line(), verdict.findings.iter().map(|f| f.code.name).collect())
    }

    fn codes(facts: &Facts, line: &str) -> Vec<&'static str> {
        judged(facts, line).1
    }

    #[test]
    fn none_working_is_critical_and_some_not_working_a_warning() {
        let fine = facts(&[("192.0.2.2", 5), ("192.0.2.3", 5)]);
        let first = "CheckOtep OK: 2 remotes work, slowest 192.0.2.2 with 2 ms";
        assert_eq!(judged(&fine, "").0, first);
        let some = facts(&[("192.0.2.2", 5), ("192.0.2.3", 0)]);
        assert_eq!(
            judged(&some, "").0,
            "CheckOtep WARNING: 1 of 2 remotes do not work; 192.0.2.3: no reply: all 5 packets lost"
        );
        let none = facts(&[("192.0.2.2", 0), ("192.0.2.3", 0)]);
        assert_eq!(codes(&none, ""), ["all-down", "no-reply", "no-reply"]);
        assert!(judged(&none, "").0.starts_with("CheckOtep CRITICAL: none of 2 remotes works; "));
        let only = facts(&[("192.0.2.2", 0)]);
        assert!(
            judged(&only, "").0.starts_with("CheckOtep CRITICAL: the only remote does not work")
        );
    }

    #[test]
    fn beyond_the_second_limit_a_remote_does_not_work() {
        let lossy = facts(&[("192.0.2.2", 4), ("192.0.2.3", 5)]);
        assert_eq!(codes(&lossy, ""), ["some-down", "loss"]);
        assert_eq!(codes(&lossy, "-C 20%/9/9"), ["loss"]);
        assert_eq!(codes(&lossy, "-C 20%/9/9 -W 20%/9/9"), [] as [&str; 0]);
        assert_eq!(codes(&lossy, "-C 20%/2/9 -W 20%/9/9")[0], "all-down");
    }

    #[test]
    fn each_cause_has_its_code_and_what_follows_from_it_is_not_told() {
        let device = |admin_up, lower_up| Link {
            name: "eth1".into(),
            admin_up,
            lower_up,
            operstate: OperState::Unknown,
            ..Link::default()
        };
        let by =
            |link| Ok(Some(Egress { way: Way { device: 1, gateway: None }, link: Some(link) }));
        for (way, code) in [
            (Ok(None), "no-route"),
            (by(device(false, false)), "admin-down"),
            (by(device(true, false)), "link-down"),
            (by(device(true, true)), "no-reply"),
        ] {
            let mut facts = facts(&[("192.0.2.2", 0)]);
            facts.ways.insert(ip("192.0.2.2"), way);
            assert_eq!(codes(&facts, ""), ["all-down", code]);
        }
        let mut refused = facts(&[("192.0.2.2", 0)]);
        if let Some(Ok(pinged)) = &mut refused.pinged {
            let by = Some(ip("192.0.2.9"));
            pinged.echoes[0].refusals = vec![(Refusal { by, why: Unreachable::Neighbour }, 5)];
        }
        assert!(judged(&refused, "").0.ends_with("192.0.2.9 says: host unreachable"));
        let mut gone = facts(&[("192.0.2.2", 5)]);
        if let Ok(kernel) = &mut gone.kernel {
            kernel.addresses.clear();
        }
        assert_eq!(codes(&gone, ""), ["all-down", "no-local"]);
    }

    #[test]
    fn tunnels_of_open_vswitch_are_joined_by_remote_and_their_sessions_count() {
        let mut facts = facts(&[("192.0.2.2", 5)]);
        facts.ovs = with_tunnels(vec![
            tunnel("t1", &[("remote_ip", "192.0.2.2"), ("local_ip", LOCAL)], Some("up")),
            tunnel("t2", &[("remote_ip", "192.0.2.2"), ("local_ip", "flow")], None),
            tunnel("t3", &[("remote_ip", "flow")], None),
            tunnel("t4", &[("remote_ip", "239.0.0.1")], None),
        ]);
        let report = Otep::judge(&facts, &args(""), &Past::default());
        assert_eq!(report.findings, []);
        assert_eq!(
            report.metrics.iter().map(|m| m.value).take(3).collect::<Vec<_>>(),
            [1.0, 0.0, 3.0]
        );
        let skipped = report.evidence.iter().filter(|e| e.text.ends_with("skipped")).count();
        assert_eq!(skipped, 2);
        assert_eq!(codes(&facts, "--port t1 --port t9"), ["absent"]);
        for state in ["down", "init", "admin_down"] {
            if let Ok(Tunnels { tunnels: Ok(tunnels), .. }) = &mut facts.ovs {
                tunnels[0] = tunnel("t1", &[("remote_ip", "192.0.2.2")], Some(state));
            }
            assert_eq!(codes(&facts, ""), ["all-down", "bfd-down"], "{state}");
        }
    }

    /// An Open vSwitch that answers, with these tunnels.
    fn with_tunnels(tunnels: Vec<Tunnel>) -> Result<Tunnels, String> {
        Ok(Tunnels { vswitchd: Daemon::alive(), server: None, tunnels: Ok(tunnels) })
    }

    #[test]
    fn a_tunnel_that_open_vswitch_rejects_is_told() {
        let said = |mut tunnel: Tunnel, error: &str| {
            tunnel.error = crate::host::ovsdb::value::Optional(Some(error.to_owned()));
            tunnel
        };
        let bad = || tunnel("t-bad", &[("remote_ip", "192.0.2.300")], None);
        let with = |tunnels: Vec<Tunnel>, line: &str| {
            let facts = Facts { ovs: with_tunnels(tunnels), ..facts(&[("192.0.2.2", 5)]) };
            let report = Otep::judge(&facts, &args(line), &Past::default());
            let told = report.findings.into_iter();
            told.map(|f| format!("{}: {}", f.code.name, f.text)).collect::<Vec<_>>()
        };
        let none: Vec<String> = Vec::new();
        let error = "t-bad: could not set configuration (Invalid argument)";
        assert_eq!(
            with(vec![said(bad(), "could not set configuration (Invalid argument)")], ""),
            [format!("error: {error}")]
        );
        assert_eq!(with(vec![said(bad(), error)], ""), [format!("error: {error}")]);
        assert_eq!(with(vec![bad()], ""), ["error: t-bad: remote_ip 192.0.2.300 is no address"]);
        let empty = || tunnel("t-bad", &[], None);
        assert_eq!(with(vec![empty()], ""), ["error: t-bad: no remote_ip"]);
        let absent = "absent: no tunnel t-bad with a remote address";
        assert_eq!(with(vec![empty()], "--port t-bad"), ["error: t-bad: no remote_ip", absent]);
        assert_eq!(with(vec![empty()], "--remote 192.0.2.2"), none, "not asked for");
        let flow = || tunnel("t-flow", &[("remote_ip", "flow")], None);
        assert_eq!(with(vec![flow()], ""), none);
        assert_eq!(with(vec![said(flow(), "File exists")], ""), ["error: t-flow: File exists"]);
        let group = tunnel("t-group", &[("remote_ip", "239.0.0.1")], None);
        assert_eq!(with(vec![said(group, "Invalid")], ""), ["error: t-group: Invalid"]);
    }

    #[test]
    fn a_vxlan_device_that_is_switched_off_carries_nothing() {
        let mut down = facts(&[("192.0.2.2", 5)]);
        let off = Link { name: "vx0".into(), index: 7, ..Link::default() };
        if let Ok(kernel) = &mut down.kernel {
            kernel.links.insert(7, off);
        }
        let text = "192.0.2.2: vx0 is switched off (admin-down)";
        assert!(judged(&down, "").0.contains(text), "{:?}", judged(&down, ""));
        assert_eq!(codes(&down, ""), ["all-down", "admin-down"]);
    }

    #[test]
    fn sessions_of_a_dead_daemon_are_not_told() {
        let ends = [("remote_ip", "192.0.2.2"), ("local_ip", LOCAL)];
        let facts = |state: &str, dead: bool| {
            let mut ovs = with_tunnels(vec![tunnel("t1", &ends, Some(state))]).expect("tunnels");
            if dead {
                ovs.vswitchd.answer = no_ovs().vswitchd.answer;
            }
            Facts { ovs: Ok(ovs), ..facts(&[("192.0.2.2", 5)]) }
        };
        let told = |facts: &Facts| {
            let report = Otep::judge(facts, &args(""), &Past::default());
            report.evidence.iter().any(|e| e.text.contains("BFD up"))
        };
        assert!(told(&facts("up", false)));
        assert!(!told(&facts("up", true)));
        assert_eq!(codes(&facts("down", true), ""), ["no-process"]);
    }

    #[test]
    fn what_could_not_be_seen_is_not_ok() {
        let nothing = Facts { kernel: Ok(Kernel::default()), pinged: None, ..facts(&[]) };
        assert_eq!(codes(&nothing, ""), ["none"]);
        assert_eq!(codes(&nothing, "--remote 192.0.2.2"), ["absent"]);
        let mut forbidden = facts(&[("192.0.2.2", 5)]);
        forbidden.pinged = Some(Err(NoPing::Forbidden { group: 7, allowed: None }));
        assert_eq!(codes(&forbidden, ""), ["forbidden"]);
        assert!(judged(&forbidden, "").0.starts_with("CheckOtep UNKNOWN: ICMP: permission denied"));
        let mut cut = facts(&[("192.0.2.2", 5), ("192.0.2.3", 1)]);
        if let Some(Ok(pinged)) = &mut cut.pinged {
            pinged.echoes[1].stopped = Some(Stop::Deadline);
        }
        assert_eq!(codes(&cut, ""), ["timeout"]);
        let mut blind = facts(&[]);
        blind.kernel = Err(Trouble { whom: "the kernel".into(), why: Why::Forbidden });
        assert_eq!(codes(&blind, ""), ["unreadable"], "not none");
    }
}
