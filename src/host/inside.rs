//! What devices are in a named network namespace. Inside it, by netlink, which needs `CAP_SYS_ADMIN`
//! and tells all; else their names only, from the `/proc` of a process that lives there. The number
//! that the kernel gave the namespace in ours tells without any right which of our veths lead there.

use crate::host::Host;
use crate::host::link::Link;
use crate::host::netlink::{Dump, Route};
use crate::host::netns::{self, Neighbours, Netns, NetnsName, Standing};
use crate::host::nsid::Search;
use crate::host::process::{self, DeviceList};
use crate::host::trouble::Trouble;
use crate::rights::{self, SYS_PTRACE};
use std::io;

/// A namespace, and what was opened to look into it.
pub struct Door {
    whom: String,
    number: Option<i32>,
    opened: Opened,
}

enum Opened {
    /// There is nothing to look into.
    Nothing(Sight),
    /// A way to ask the kernel inside.
    Inside(Route),
    /// The list of a process that lives there.
    Process(DeviceList),
}

/// A namespace that was looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// The kernel's number for it in ours, where it has one.
    pub number: Option<i32>,
    /// What is seen.
    pub sight: Sight,
}

/// What is seen of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// There is no such name.
    Absent,
    /// A plain file.
    Stale(Neighbours),
    /// It is there, but we may not enter it: names of devices that a process of it sees, where one
    /// was found.
    Hidden(Option<Vec<String>>),
    /// Something else is wrong.
    Trouble(Trouble),
    /// Its devices.
    Seen(Vec<Link>),
}

impl Host {
    /// Opens what shows the devices of a namespace. They are read by [`Door::look`]: no right is needed
    /// for it any more.
    pub fn door(&self, name: &NetnsName) -> Door {
        (self.announce)("the devices of another network namespace");
        let whom = format!("{}/{name}", netns::DIRECTORY);
        let shut =
            |sight| Door { whom: whom.clone(), number: None, opened: Opened::Nothing(sight) };
        let netns = match netns::look(name) {
            Ok(Standing::Live(netns)) => netns,
            Ok(Standing::Stale(neighbours)) => return shut(Sight::Stale(neighbours)),
            Ok(Standing::Absent) => return shut(Sight::Absent),
            Err(trouble) => return shut(Sight::Trouble(trouble)),
        };
        let number = Route::here().and_then(|route| netns.number(&route)).ok().flatten();
        let opened = Opened::of(&netns).unwrap_or_else(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => through(&netns),
            _ => Opened::Nothing(Sight::Trouble(Trouble::of(whom.clone(), &e))),
        });
        Door { whom, number, opened }
    }
}

impl Opened {
    fn of(netns: &Netns) -> io::Result<Self> {
        let is_ours = process::our_netns().is_ok_and(|ours| ours == netns.id);
        let route = if is_ours { Route::here() } else { Route::inside(netns) };
        route.map(Self::Inside)
    }
}

/// The list of a process of the namespace, if it is still the same process when that is open.
fn through(netns: &Netns) -> Opened {
    let search = Search::new([netns]);
    let mut list = None;
    // What cannot be searched stays hidden.
    let search = || {
        search.each(|_, pid| {
            list = DeviceList::of(pid).ok().filter(|_| search.place_of(pid).is_some());
            list.is_none()
        })
    };
    let _unsearched = rights::lend(SYS_PTRACE, search);
    list.map_or(Opened::Nothing(Sight::Hidden(None)), Opened::Process)
}

impl Door {
    /// Reads what is behind it.
    pub fn look(self) -> Inside {
        let sight = match self.opened {
            Opened::Nothing(sight) => sight,
            Opened::Inside(route) => match route.links().and_then(Dump::whole) {
                Ok(links) => Sight::Seen(links),
                Err(trouble) => Sight::Trouble(trouble),
            },
            Opened::Process(list) => match list.names() {
                Ok(names) => Sight::Hidden(Some(names)),
                Err(e) => Sight::Trouble(Trouble::of(self.whom, &e)),
            },
        };
        Inside { number: self.number, sight }
    }
}
