//! The daemons that serve in a network namespace: named by Neutron's pid files, found in the
//! namespace, or, where namespaces of processes may not be seen, by command lines that name its id.

use crate::host::foothold::{Foothold, Wants};
use crate::host::link::Link;
use crate::host::netns::{Netns, NetnsId};
use crate::host::neutron::{Recorded, Records};
use crate::host::nsid::{Search, Whereabouts};
use crate::host::process::{self, Depth, Process, State};
use crate::host::sockets::Vantage;
use crate::host::trace::{self, DhcpPort};
use crate::host::{Host, Trouble};
use crate::rights::{self, SYS_PTRACE};
use nix::poll::{PollTimeout, poll};
use std::cmp::Ordering;
use std::io;
use std::time::{Duration, Instant};

/// Which daemons are looked for.
#[derive(Debug)]
pub struct Wanted<'w> {
    /// Their names.
    pub names: &'w [&'w str],
    /// Of each group one must be alive; where pid files name one for all, and no socket shows
    /// another daemon, nothing else is searched.
    pub required: &'w [&'w [&'w str]],
    /// Those that are likely there: searched for where pid files do not name them.
    pub likely: &'w [&'w str],
    /// What Neutron keeps of them.
    pub records: &'w Records,
    /// Another namespace where a recorded process may live.
    pub sibling: Option<&'w Netns>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Daemons {
    /// Processes, by name and pid.
    pub found: Vec<Daemon>,
    /// What became of the processes that pid files name.
    pub records: Vec<Record>,
    /// Why there may be others that are not seen.
    pub hidden: Option<Hidden>,
    /// Where addresses are asked for in the namespace, if a dnsmasq lives there.
    pub dhcp: Option<Result<DhcpPort, Trouble>>,
    /// Processes of the other namespace that may be wanted; of those that a search found.
    pub beside: Vec<Daemon>,
}

/// Why a process is not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// Namespaces of others' processes may not be seen.
    Denied,
    /// It lives in a pid namespace above or beside ours, as that of a container is beside the host's.
    OtherPids,
}

/// A daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Its process.
    pub process: Process,
    /// How it is known to be the namespace's.
    pub by: By,
}

/// How a process is known to be a namespace's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It lives in it, as any user may know where the kernel numbers the namespace.
    Namespace,
    /// Its command line names the namespace's id; where it lives may not be seen.
    CommandLine,
    /// A pid file names it; a zombie lives nowhere and has no command line.
    PidFile,
    /// A pid file names it, and it lives in the other namespace.
    Sibling,
}

/// A pid in a pid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub daemon: String,
    /// The pid and the file.
    pub recorded: Recorded,
    /// What has that pid.
    pub fate: Fate,
}

/// What has the pid of a pid file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The daemon.
    Here(By),
    /// Another process, as far as can be seen.
    Other,
    /// Nothing.
    Gone,
    /// Not looked at: the file is older than the boot.
    Leftover,
}

/// How long a process must stay in uninterruptible sleep to be stuck.
const STUCK_AFTER: Duration = Duration::from_millis(100);

impl Host {
    /// Goes into the namespace of a service, if we may, for what its daemons are seen by, and its devices
    /// if they are wanted.
    pub fn foothold(&self, netns: &Netns, daemons: &[&str], devices: bool) -> Foothold {
        (self.announce)("a look into the namespace");
        // Where processes of the namespace may have pids that are none of ours, its sockets tell of them.
        let tables = !daemons.is_empty() && !process::sees_all_pids();
        Foothold::gain(netns, Wants { devices, ports: daemons.contains(&"haproxy"), tables })
    }

    /// Looks for the daemons of a namespace. Pid files come first, because they cost nothing; the
    /// whole of `/proc` is searched only where they do not name what is required.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn daemons(
        &self,
        netns: &Netns,
        inside: &Foothold,
        wanted: &Wanted,
    ) -> Result<Daemons, Trouble> {
        (self.announce)("the processes of the namespace (/proc)");
        if wanted.names.is_empty() {
            return Ok(Daemons::default());
        }
        let mut places = Places::new(netns, wanted);
        let mut daemons = rights::lend(SYS_PTRACE, || places.recorded());
        if !daemons.suffice(wanted) || daemons.are_not_all(inside, wanted) {
            rights::lend(SYS_PTRACE, || daemons.find_more(&mut places))
                .map_err(|e| Trouble::of("/proc", &e))?;
            daemons.hidden = places.hidden(inside);
        }
        rights::lend(SYS_PTRACE, || self.look_again_at_sleepers(&mut daemons.found));
        daemons.see_dhcp_port();
        Ok(daemons)
    }

    /// A moment in uninterruptible sleep is normal.
    fn look_again_at_sleepers(&self, found: &mut [Daemon]) {
        let stuck = |daemon: &&mut Daemon| daemon.process.state == State::Stuck;
        if !found.iter_mut().any(|daemon| stuck(&daemon)) {
            return;
        }
        let left = self.until.saturating_duration_since(Instant::now());
        let pause = PollTimeout::try_from(STUCK_AFTER.min(left / 2));
        poll(&mut [], pause.unwrap_or(PollTimeout::ZERO)).ok();
        for daemon in found.iter_mut().filter(stuck) {
            if let Some(now) =
                process::look_at(&[daemon.process.pid], Depth::State).into_values().next()
            {
                daemon.process.state = now.state;
            }
        }
    }

    /// The devices of a namespace but its loopback, seen from inside.
    ///
    /// # Errors
    /// `Forbidden` without `CAP_SYS_ADMIN`.
    pub fn devices_inside(&self, inside: &Foothold) -> Result<Vec<Link>, Trouble> {
        (self.announce)("the devices of the namespace");
        Ok(inside
            .links()?
            .into_iter()
            .filter(|link| !link.loopback && !is_fallback(link))
            .collect())
    }

    /// The names of the devices where a process lives, but its loopback; any user may ask.
    ///
    /// # Errors
    /// The process ended.
    pub fn device_names(&self, pid: i32) -> io::Result<Vec<String>> {
        let mut names = process::DeviceList::of(pid)?.names()?;
        names.retain(|name| name != "lo" && !FALLBACK.contains(&name.as_str()));
        Ok(names)
    }

    /// The devices of our namespace whose partners are in another one: a veth pair has a carrier
    /// only if both ends are up, so this end tells of that one, and any user may ask.
    ///
    /// # Errors
    /// The kernel did not answer as it should.
    pub fn near_ends(&self, netns: &Netns) -> Result<Vec<Link>, Trouble> {
        let route = self.route()?;
        // This first: the kernel numbers namespaces when it is asked about their devices.
        let links = route.links()?.whole()?;
        let trouble = |e: io::Error| Trouble::of("the kernel (RTM_GETNSID)", &e);
        let Some(number) = netns.number(&route).map_err(trouble)? else { return Ok(Vec::new()) };
        Ok(links.into_iter().filter(|link| link.partner_netns == Some(number)).collect())
    }
}

/// Where processes live, as seen from a namespace.
struct Places<'p> {
    wanted: &'p Wanted<'p>,
    home: NetnsId,
    numbers: Option<Search>,
    namespaces: Vec<&'p Netns>,
    /// Where a process lives that may be a wanted one was not to be seen.
    denied: bool,
    /// Where some process lives was not to be seen.
    veiled: bool,
    /// A search met a process that lives here, whatever it is.
    inhabited: bool,
    /// A search met a process that lives in another namespace than we do.
    abroad: bool,
}

/// Where a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Here(By),
    Elsewhere,
    /// It is a zombie, or ended just now.
    Nowhere,
}

impl<'p> Places<'p> {
    fn new(netns: &'p Netns, wanted: &'p Wanted<'p>) -> Self {
        let namespaces = [Some(netns), wanted.sibling].into_iter().flatten().collect();
        let home = netns.id;
        Self {
            wanted,
            home,
            numbers: None,
            namespaces,
            denied: false,
            veiled: false,
            inhabited: false,
            abroad: false,
        }
    }

    /// A process is believed to be the namespace's if it lives there or, where that may not be seen,
    /// if its command line names the namespace's id.
    fn of(&mut self, pid: i32) -> Place {
        match process::netns_of(pid) {
            Ok(id) if id == self.home => Place::Here(By::Namespace),
            Ok(id) if self.wanted.sibling.is_some_and(|s| s.id == id) => Place::Here(By::Sibling),
            Ok(_) => Place::Elsewhere,
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => self.of_denied(pid),
            Err(_) => Place::Nowhere,
        }
    }

    fn of_denied(&mut self, pid: i32) -> Place {
        let namespaces = &self.namespaces;
        let numbers = self.numbers.get_or_insert_with(|| Search::new(namespaces.iter().copied()));
        match numbers.whereabouts(pid) {
            Whereabouts::At(0) => Place::Here(By::Namespace),
            Whereabouts::At(_) => Place::Here(By::Sibling),
            Whereabouts::Unknown if names_id(pid, &self.wanted.records.id) => {
                Place::Here(By::CommandLine)
            }
            Whereabouts::Nowhere => Place::Nowhere,
            Whereabouts::Elsewhere => Place::Elsewhere,
            Whereabouts::Unknown => {
                self.denied = true;
                Place::Elsewhere
            }
        }
    }

    /// What pid files name.
    fn recorded(&mut self) -> Daemons {
        let mut daemons = Daemons::default();
        for (name, recorded) in &self.wanted.records.pids {
            let fate = self.fate(name, recorded);
            let (daemon, recorded) = (name.clone(), recorded.clone());
            daemons.records.push(Record { daemon, recorded, fate });
        }
        daemons.found = look_at(&daemons.known());
        daemons
    }

    /// The wanted processes that are in the namespace or beside it, or seem to be.
    fn search(&mut self) -> io::Result<Vec<(i32, By)>> {
        let mut found = Vec::new();
        let ours = process::our_netns()?;
        let beside = self.wanted.sibling.map(|sibling| sibling.id);
        for pid in process::pids()? {
            match process::netns_of(pid) {
                Ok(id) if Some(id) == beside => self.abroad = true,
                // Most processes: not worth a look at their names.
                Ok(id) if id != self.home => {
                    self.abroad |= id != ours;
                    continue;
                }
                Err(e) if e.kind() != io::ErrorKind::PermissionDenied => continue,
                // Any user may read its name: one that is not wanted may live where it likes.
                Err(_) => self.veiled = true,
                Ok(_) => self.inhabited = true,
            }
            if process::name_of(pid).is_ok_and(|name| self.wanted.has(&name))
                && let Place::Here(by) = self.of(pid)
            {
                found.push((pid, by));
            }
        }
        Ok(found)
    }

    /// Why a search may have missed some.
    fn hidden(&self, inside: &Foothold) -> Option<Hidden> {
        // One that refuses even who has the right (the first process of some containers) hides only
        // what it may be by its name.
        let may_not_look = self.veiled && !rights::has(SYS_PTRACE);
        if self.denied || may_not_look || !process::shows_all() {
            return Some(Hidden::Denied);
        }
        if self.inhabited || process::sees_all_pids() {
            return None;
        }
        // From a pid namespace of our own nobody is seen in this network namespace. Its sockets tell
        // whether somebody lives there; where they may not be seen, it tells that not one process of
        // any other network namespace is seen either.
        let is_left = |tables, name: &&str| trace::is_left(name, inside, Vantage::Inside(tables));
        let betrayed = inside
            .tables()
            .is_some_and(|tables| self.wanted.names.iter().any(|name| is_left(tables, name)));
        let blind = betrayed || (inside.is_denied() && !self.abroad);
        blind.then_some(Hidden::OtherPids)
    }

    fn fate(&mut self, name: &str, recorded: &Recorded) -> Fate {
        if recorded.before_boot {
            return Fate::Leftover;
        }
        if let Some(fate) = told_by_name(name, recorded) {
            return fate;
        }
        match self.of(recorded.pid) {
            Place::Here(by) => Fate::Here(by),
            Place::Elsewhere => Fate::Other,
            Place::Nowhere => Fate::Here(By::PidFile),
        }
    }
}

/// The devices that the kernel puts into every namespace once it has a kind of tunnel
/// (`net.core.fb_tunnels_only_for_init_net`); nobody switches them on.
const FALLBACK: &[&str] =
    &["gre0", "gretap0", "erspan0", "tunl0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"];

fn is_fallback(link: &Link) -> bool {
    !link.admin_up && FALLBACK.contains(&link.name.as_str())
}

impl Wanted<'_> {
    fn has(&self, process_name: &str) -> bool {
        self.names.iter().any(|name| is_called(process_name, name))
    }
}

/// The kernel cuts names of processes at 15 bytes.
pub(super) fn is_called(process_name: &str, daemon: &str) -> bool {
    const LONGEST: usize = 15;
    process_name == daemon.get(..LONGEST).unwrap_or(daemon)
}

/// Whether the command line of a process names an id.
pub(super) fn names_id(pid: i32, id: &str) -> bool {
    /// A short one would be found in any command line.
    const TELLING: usize = 8;
    id.len() >= TELLING && process::command_line(pid).is_ok_and(|line| line.contains(id))
}

/// What became of a recorded process, where its name tells.
fn told_by_name(name: &str, recorded: &Recorded) -> Option<Fate> {
    match process::name_of(recorded.pid) {
        Ok(process_name) if is_called(&process_name, name) => None,
        Ok(_) => Some(Fate::Other),
        Err(e) if e.kind() == io::ErrorKind::NotFound && process::shows_all() => Some(Fate::Gone),
        Err(_) => Some(Fate::Other),
    }
}

fn by_name(a: &Daemon, b: &Daemon) -> Ordering {
    (&a.process.name, a.process.pid).cmp(&(&b.process.name, b.process.pid))
}

/// The processes, each once.
fn look_at(known: &[(i32, By)]) -> Vec<Daemon> {
    let pids: Vec<i32> = known.iter().map(|(pid, _)| *pid).collect();
    let processes = process::look_at(&pids, Depth::Memory);
    let daemons = known.iter().filter_map(|(pid, by)| {
        let process = processes.get(pid)?.clone();
        // Only a zombie is believed without a namespace and a command line.
        (*by != By::PidFile || process.state == State::Dead).then_some(Daemon { process, by: *by })
    });
    let mut daemons: Vec<_> = daemons.collect();
    daemons.sort_by(by_name);
    daemons.dedup_by_key(|daemon| daemon.process.pid);
    daemons
}

impl Record {
    fn here(&self) -> Option<(i32, By)> {
        match self.fate {
            Fate::Here(by) => Some((self.recorded.pid, by)),
            _ => None,
        }
    }
}

impl Daemon {
    /// Whether it can tell of the namespace.
    pub fn lives_here(&self) -> bool {
        self.by == By::Namespace && self.process.state != State::Dead
    }

    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        is_called(&self.process.name, name)
    }
}

impl Daemons {
    /// Whether a process of this name is there that has not ended.
    pub fn has_alive(&self, name: &str) -> bool {
        self.found.iter().any(|daemon| daemon.is(name) && daemon.process.state != State::Dead)
    }

    /// The processes that pid files name rightly.
    fn known(&self) -> Vec<(i32, By)> {
        self.records.iter().filter_map(Record::here).collect()
    }

    /// Adds what a search of all processes finds.
    fn find_more(&mut self, places: &mut Places) -> io::Result<()> {
        let (beside, here): (Vec<_>, Vec<_>) =
            places.search()?.into_iter().partition(|(_, by)| *by == By::Sibling);
        let mut known = self.known();
        known.extend(here);
        self.found = look_at(&known);
        self.beside = look_at(&beside);
        Ok(())
    }

    /// Compares what a search found with records that were read after it: a process that it did not
    /// find lives elsewhere.
    pub fn compared(mut self, records: &Records) -> Self {
        for (name, recorded) in &records.pids {
            let fate = self.fate(name, recorded);
            self.records.push(Record { daemon: name.clone(), recorded: recorded.clone(), fate });
        }
        self
    }

    fn fate(&mut self, name: &str, recorded: &Recorded) -> Fate {
        let is_it = |daemon: &&Daemon| daemon.process.pid == recorded.pid && daemon.is(name);
        if recorded.before_boot {
            return Fate::Leftover;
        }
        if let Some(daemon) = self.found.iter().find(is_it) {
            return Fate::Here(daemon.by);
        }
        if let Some(fate) = told_by_name(name, recorded) {
            return fate;
        }
        let beside = self.beside.iter().find(is_it).cloned();
        let Some(daemon) = beside.or_else(|| look_at(&[(recorded.pid, By::PidFile)]).pop()) else {
            return Fate::Other;
        };
        let fate = Fate::Here(daemon.by);
        self.found.push(daemon);
        self.found.sort_by(by_name);
        fate
    }

    /// Where addresses are asked for, seen through a dnsmasq.
    fn see_dhcp_port(&mut self) {
        let lives = |daemon: &&Daemon| daemon.is("dnsmasq") && daemon.process.state != State::Dead;
        let dnsmasq = self.found.iter().find(lives).map(|daemon| daemon.process.pid);
        if let (None, Some(pid)) = (&self.dhcp, dnsmasq) {
            self.dhcp = Some(trace::dhcp_port(Vantage::Process(pid)));
        }
    }

    /// Sockets in the namespace show a daemon that no pid file names.
    fn are_not_all(&mut self, inside: &Foothold, wanted: &Wanted) -> bool {
        let here: Vec<&Daemon> = self.found.iter().filter(|daemon| daemon.lives_here()).collect();
        let Some(window) = here.first() else { return false };
        let from = Vantage::Process(window.process.pid);
        let known = |name: &str| here.iter().filter(|daemon| daemon.is(name)).count();
        let mut betrayed = false;
        for name in wanted.names {
            betrayed |= if *name == "dnsmasq" {
                let port = self.dhcp.insert(trace::dhcp_port(from));
                port.as_ref().is_ok_and(|port| port.holders() > known(name))
            } else {
                known(name) == 0 && trace::is_left(name, inside, from)
            };
        }
        betrayed
    }

    /// Pid files name a living process of every group, and something at all.
    fn suffice(&self, wanted: &Wanted) -> bool {
        let one_of = |group: &&[&str]| group.iter().any(|name| self.has_alive(name));
        let recorded = self.records.iter().filter(|record| record.fate != Fate::Leftover);
        let all_live = recorded.clone().all(|r| self.has_alive(&r.daemon));
        let all_live = all_live && wanted.likely.iter().all(|name| self.has_alive(name));
        !self.found.is_empty() && all_live && wanted.required.iter().all(one_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_the_kernel_cuts_them() {
        assert!(is_called("dnsmasq", "dnsmasq"));
        assert!(is_called("neutron-keepali", "neutron-keepalived-state-change"));
        assert!(!is_called("dnsmasq-helper", "dnsmasq"));
    }

    #[test]
    fn a_moment_in_uninterruptible_sleep_is_no_lasting_one() {
        let me = i32::try_from(std::process::id()).expect("a pid");
        let mut process = process::look_at(&[me], Depth::State).remove(&me).expect("ourselves");
        process.state = State::Stuck;
        let mut found = [Daemon { process, by: By::Namespace }];
        let host = Host::new(Instant::now() + Duration::from_secs(5), |_| {});
        host.look_again_at_sleepers(&mut found);
        assert_eq!(found[0].process.state, State::Alive);
    }
}
