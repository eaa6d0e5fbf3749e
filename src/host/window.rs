//! Where the neighbours of a namespace can be seen from. Inside it, by netlink, which needs
//! `CAP_SYS_ADMIN` and tells all; else through the `/proc` of a process that lives there, which
//! needs no right and tells IPv4 only.

use crate::host::Host;
use crate::host::neighbour::{Neighbour, State, parse_arp};
use crate::host::netlink::Route;
use crate::host::netns::{self, Neighbours, Netns, NetnsName, Standing};
use crate::host::neutron::Records;
use crate::host::nsid::{Search, Whereabouts};
use crate::host::process;
use crate::host::service;
use crate::host::trouble::{Trouble, Why};
use crate::rights::{self, NET_ADMIN, SYS_PTRACE};
use nix::poll::{PollTimeout, poll};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is seen of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// There is no such name.
    Absent,
    /// A plain file.
    Stale(Neighbours),
    /// It is there, but we may not enter it, and know no process in it.
    Hidden,
    /// Something else is wrong.
    Trouble(Trouble),
    /// Its neighbours.
    Seen(View),
}

/// The neighbours of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// All of them.
    pub neighbours: Vec<Neighbour>,
    /// They changed all the time while they were read.
    pub torn: bool,
    /// How they were seen.
    pub through: Through,
}

/// How neighbours are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    /// By netlink: all there is.
    Netlink,
    /// By `/proc/PID/net/arp` of this process: IPv4, complete or not.
    Process(i32),
}

/// A namespace that is looked into.
pub struct Window {
    /// Its name.
    pub name: NetnsName,
    /// What is seen.
    pub sight: Sight,
    netns: Option<Netns>,
    route: Option<Route>,
}

impl Host {
    /// Looks into namespaces, into each once.
    pub fn windows(&self, names: impl IntoIterator<Item = NetnsName>) -> Vec<Window> {
        (self.announce)("the kernel's answer about neighbours");
        let mut windows: Vec<Window> = names.into_iter().map(Window::open).collect();
        through_processes(&mut windows);
        windows
    }
}

impl Window {
    fn open(name: NetnsName) -> Self {
        let (netns, sight) = match netns::look(&name) {
            Ok(Standing::Live(netns)) => (Some(netns), Sight::Hidden),
            Ok(Standing::Stale(neighbours)) => (None, Sight::Stale(neighbours)),
            Ok(Standing::Absent) => (None, Sight::Absent),
            Err(trouble) => (None, Sight::Trouble(trouble)),
        };
        let mut window = Self { name, sight, netns, route: None };
        // The kernel asks a neighbour only for a socket that was opened with the right to it.
        match window.netns.as_ref().map(|netns| rights::lend(NET_ADMIN, || enter(netns))) {
            Some(Ok(route)) => {
                window.route = Some(route);
                window.look_again();
            }
            Some(Err(e)) if e.kind() != io::ErrorKind::PermissionDenied => {
                window.sight = Sight::Trouble(Trouble::of(window.whom(), &e));
            }
            // May not, or there is nothing to enter.
            Some(Err(_)) | None => {}
        }
        window
    }

    fn whom(&self) -> String {
        format!("{}/{}", netns::DIRECTORY, self.name)
    }

    /// The way to ask the kernel inside, where there is one.
    pub fn route(&self) -> Option<&Route> {
        self.route.as_ref()
    }

    /// What was seen.
    pub fn view(&self) -> Option<&View> {
        match &self.sight {
            Sight::Seen(view) => Some(view),
            _ => None,
        }
    }

    /// Reads the neighbours again, where they are read by netlink.
    pub fn look_again(&mut self) {
        let Some(route) = &self.route else { return };
        self.sight = match route.neighbours() {
            Ok(dump) => Sight::Seen(View {
                neighbours: dump.items,
                torn: dump.torn,
                through: Through::Netlink,
            }),
            Err(trouble) => Sight::Trouble(trouble),
        };
    }

    /// Makes the kernel ask for an address, and only for that, and says whether it did: where an
    /// entry has a MAC address the holder is asked to confirm it, else all are asked who has it.
    /// Nothing is asked about an address that no device leads straight to.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_NET_ADMIN` or from outside; what else the kernel says.
    pub fn ask_for(&self, address: IpAddr) -> io::Result<bool> {
        rights::lend(NET_ADMIN, || self.ask_kernel_for(address))
    }

    fn ask_kernel_for(&self, address: IpAddr) -> io::Result<bool> {
        let (Some(route), Some(view)) = (&self.route, self.view()) else {
            return Err(io::ErrorKind::PermissionDenied.into());
        };
        let mut asked = false;
        for entry in view.neighbours.iter().filter(|entry| entry.address == address) {
            let Some(device) = entry.device else { continue };
            match entry.state {
                State::Stale | State::Delay => match route.probe(device, address) {
                    // It was forgotten since it was read.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    done => done?,
                },
                State::Failed => route.resolve(device, address)?,
                // It is being asked already, or needs not be.
                _ => {}
            }
            asked = true;
        }
        if !asked && let Some(device) = route.device_towards(address)? {
            route.resolve(device, address)?;
            asked = true;
        }
        Ok(asked)
    }

    /// Reads again until these addresses, asked for at a moment, owe no answer any more, or there is
    /// no more time. The kernel gives up after three requests, a second apart (`ucast_solicit`).
    pub fn await_answers(&mut self, asked: &BTreeSet<IpAddr>, since: Instant, until: Instant) {
        const SHORTEST: Duration = Duration::from_millis(1);
        const LONGEST: Duration = Duration::from_millis(64);
        let mut pause = SHORTEST;
        loop {
            self.look_again();
            let waits = |entry: &Neighbour| {
                asked.contains(&entry.address) && entry.owes_an_answer(since.elapsed())
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.view().is_some_and(|view| view.neighbours.iter().any(waits))
            {
                return;
            }
            // Interrupted, it only reads sooner.
            let _slept =
                poll(&mut [], PollTimeout::try_from(pause.min(left)).unwrap_or(PollTimeout::ZERO));
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// The neighbours as `/proc` has them: with MAC addresses that netlink does not tell any more.
    ///
    /// # Errors
    /// The table is not to be had.
    pub fn arp(&self) -> Result<Vec<Neighbour>, Trouble> {
        match (&self.netns, &self.sight) {
            (Some(netns), Sight::Seen(View { through: Through::Netlink, .. })) => {
                const PATH: &str = "/proc/thread-self/net/arp";
                let opened = if is_ours(netns) {
                    File::open(PATH)
                } else {
                    // An open table stays that of the namespace it was opened in.
                    netns.visit(|| File::open(PATH))
                };
                read_arp(PATH, opened)
            }
            (_, Sight::Seen(view)) => Ok(view.neighbours.clone()),
            _ => Ok(Vec::new()),
        }
    }

    /// For a namespace that is still hidden: looks through a process that Neutron has written down
    /// as one of it, and whose command line says so.
    pub fn through_records(&mut self, state: &Path) {
        let name = self.name.clone();
        let Some((prefix, id)) = name.as_str().split_once('-') else { return };
        if self.sight != Sight::Hidden {
            return;
        }
        let records = Records::read(state, id, daemons(prefix, id));
        rights::lend(SYS_PTRACE, || self.through_recorded(id, &records));
    }

    fn through_recorded(&mut self, id: &str, records: &Records) {
        let search = Search::new(&self.netns);
        let is_its = |daemon: &str, pid: i32| {
            search.whereabouts(pid) == Whereabouts::Unknown
                && process::name_of(pid).is_ok_and(|name| service::is_called(&name, daemon))
                && service::names_id(pid, id)
        };
        let living = records.pids.iter().filter(|(_, recorded)| !recorded.before_boot);
        let seen = living
            .filter(|(daemon, recorded)| is_its(daemon, recorded.pid))
            .find_map(|(daemon, r)| look_through(r.pid, || is_its(daemon, r.pid)));
        if let Some(view) = seen {
            self.sight = Sight::Seen(view);
        }
    }
}

/// A socket inside. To look around at home no right is needed.
fn enter(netns: &Netns) -> io::Result<Route> {
    if is_ours(netns) { Route::here() } else { Route::inside(netns) }
}

fn is_ours(netns: &Netns) -> bool {
    process::our_netns().is_ok_and(|ours| ours == netns.id)
}

/// Which daemons of Neutron are sure to live in a namespace of this kind, if they live.
fn daemons(prefix: &str, id: &str) -> &'static [&'static str] {
    match prefix {
        "qdhcp" => &["dnsmasq", "haproxy"],
        "snat" => &["keepalived"],
        // The keepalived of a distributed router lives in its snat namespace.
        "qrouter" if Path::new(netns::DIRECTORY).join(format!("snat-{id}")).exists() => {
            &["haproxy", "radvd"]
        }
        "qrouter" => &["haproxy", "radvd", "keepalived"],
        _ => &[],
    }
}

/// Looks through any process of each namespace that we may not enter.
fn through_processes(windows: &mut [Window]) {
    let mut hidden: Vec<&mut Window> =
        windows.iter_mut().filter(|window| window.sight == Sight::Hidden).collect();
    if hidden.is_empty() {
        return;
    }
    let search = Search::new(hidden.iter().filter_map(|window| window.netns.as_ref()));
    let mut left = hidden.len();
    // What cannot be searched stays hidden.
    let look = |place: usize, pid: i32| {
        let window = &mut hidden[place];
        if window.sight == Sight::Hidden
            && let Some(view) = look_through(pid, || search.place_of(pid) == Some(place))
        {
            window.sight = Sight::Seen(view);
            left -= 1;
        }
        left > 0
    };
    let _unsearched = rights::lend(SYS_PTRACE, || search.each(look));
}

/// The neighbours that a process has, if it is still the same process when its table is open.
fn look_through(pid: i32, is_it: impl FnOnce() -> bool) -> Option<View> {
    let path = format!("/proc/{pid}/net/arp");
    let opened = File::open(&path).ok()?;
    let neighbours = is_it().then(|| read_arp(&path, Ok(opened)))?.ok()?;
    Some(View { neighbours, torn: false, through: Through::Process(pid) })
}

fn read_arp(path: &str, opened: io::Result<File>) -> Result<Vec<Neighbour>, Trouble> {
    const LONGEST: u64 = 64 << 20;
    let mut text = String::new();
    let read = opened.and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    let trouble = |why| Trouble { whom: path.to_owned(), why };
    read.map_err(|e| trouble(Why::of(&e)))?;
    parse_arp(&text).map_err(trouble)
}
