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
    pane: Option<Pane>,
}

/// What was opened to look through; an open table stays that of the namespace it was opened in.
enum Pane {
    /// In the namespace.
    Inside { route: Route, arp: File },
    /// By the `/proc` of a process that lives there.
    Process { pid: i32, arp: File },
}

impl Host {
    /// Opens windows on namespaces, each once. What is seen there is read by [`Window::look`]: no right
    /// is needed for it any more.
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
        let mut window = Self { name, sight, netns, pane: None };
        match window.netns.as_ref().map(Pane::inside) {
            Some(Ok(pane)) => window.pane = Some(pane),
            Some(Err(e)) if e.kind() != io::ErrorKind::PermissionDenied => {
                window.sight = Sight::Trouble(Trouble::of(window.whom(), &e));
            }
            // May not, or there is nothing to enter.
            Some(Err(_)) | None => {}
        }
        window
    }

    /// It is a namespace, and nothing to look through is open yet.
    fn is_shut(&self) -> bool {
        self.sight == Sight::Hidden && self.pane.is_none()
    }

    fn whom(&self) -> String {
        format!("{}/{}", netns::DIRECTORY, self.name)
    }

    /// What was seen.
    pub fn view(&self) -> Option<&View> {
        match &self.sight {
            Sight::Seen(view) => Some(view),
            _ => None,
        }
    }

    /// Reads the neighbours, or reads them again.
    pub fn look(&mut self) {
        let seen = match &self.pane {
            None => return,
            Some(Pane::Inside { route, .. }) => route.neighbours().map(|dump| View {
                neighbours: dump.items,
                torn: dump.torn,
                through: Through::Netlink,
            }),
            Some(Pane::Process { pid, arp }) => read_arp(arp).map(|neighbours| View {
                neighbours,
                torn: false,
                through: Through::Process(*pid),
            }),
        };
        self.sight = seen.map_or_else(Sight::Trouble, Sight::Seen);
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
        let (Some(Pane::Inside { route, .. }), Some(view)) = (&self.pane, self.view()) else {
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
            self.look();
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
        match &self.pane {
            Some(Pane::Inside { arp, .. }) => read_arp(arp),
            _ => Ok(self.view().map(|view| view.neighbours.clone()).unwrap_or_default()),
        }
    }

    /// For a namespace that is still hidden: looks through a process that Neutron has written down
    /// as one of it, and whose command line says so. (Who may see where processes live has no need of
    /// it.)
    pub fn look_through_records(&mut self, state: &Path) {
        let Some((prefix, id)) = self.name.as_str().split_once('-') else { return };
        if self.sight != Sight::Hidden {
            return;
        }
        let search = Search::new(&self.netns);
        let is_its = |daemon: &str, pid: i32| {
            search.whereabouts(pid) == Whereabouts::Unknown
                && process::name_of(pid).is_ok_and(|name| service::is_called(&name, daemon))
                && service::names_id(pid, id)
        };
        let records = Records::read(state, id, daemons(prefix, id));
        let living = records.pids.iter().filter(|(_, recorded)| !recorded.before_boot);
        self.pane = living
            .filter(|(daemon, recorded)| is_its(daemon, recorded.pid))
            .find_map(|(daemon, r)| Pane::of_process(r.pid, || is_its(daemon, r.pid)));
        self.look();
    }
}

impl Pane {
    /// To look around at home no right is needed.
    fn inside(netns: &Netns) -> io::Result<Self> {
        let open = || {
            // The kernel asks a neighbour only for a socket that was opened with the right to it.
            let route = rights::lend(NET_ADMIN, Route::here)?;
            Ok(Self::Inside { route, arp: File::open("/proc/thread-self/net/arp")? })
        };
        let is_ours = process::our_netns().is_ok_and(|ours| ours == netns.id);
        if is_ours { open() } else { netns.visit(open) }
    }

    /// What a process has, if it is still the same process when its table is open.
    fn of_process(pid: i32, is_it: impl FnOnce() -> bool) -> Option<Self> {
        let arp = File::open(format!("/proc/{pid}/net/arp")).ok()?;
        is_it().then_some(Self::Process { pid, arp })
    }
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

/// Finds a process of each namespace that we may not enter.
fn through_processes(windows: &mut [Window]) {
    let mut hidden: Vec<&mut Window> =
        windows.iter_mut().filter(|window| window.is_shut()).collect();
    if hidden.is_empty() {
        return;
    }
    let search = Search::new(hidden.iter().filter_map(|window| window.netns.as_ref()));
    let mut left = hidden.len();
    // What cannot be searched stays hidden.
    let look = |place: usize, pid: i32| {
        let window = &mut hidden[place];
        if window.is_shut() {
            window.pane = Pane::of_process(pid, || search.place_of(pid) == Some(place));
            left -= usize::from(window.pane.is_some());
        }
        left > 0
    };
    let _unsearched = rights::lend(SYS_PTRACE, || search.each(look));
}

fn read_arp(opened: &File) -> Result<Vec<Neighbour>, Trouble> {
    const LONGEST: u64 = 64 << 20;
    let mut text = String::with_capacity(4 << 10);
    let trouble = |why| Trouble { whom: "/proc/PID/net/arp".to_owned(), why };
    opened.take(LONGEST).read_to_string(&mut text).map_err(|e| trouble(Why::of(&e)))?;
    parse_arp(&text).map_err(trouble)
}
