//! What devices are in a named network namespace. Inside it, by netlink, which needs `CAP_SYS_ADMIN`
//! and tells all; else their names only, from the `/proc` of a process that lives there. The number
//! that the kernel gave the namespace in ours tells without any right which of our veths lead there.

use crate::host::Host;
use crate::host::link::Link;
use crate::host::netlink::{Dump, Route};
use crate::host::netns::{self, Neighbours, Netns, NetnsName, Standing};
use crate::host::nsid::Search;
use crate::host::process;
use crate::host::trouble::Trouble;
use crate::rights::{self, SYS_PTRACE};
use std::io;

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
    /// Looks what devices are in a namespace.
    pub fn look_inside(&self, name: &NetnsName) -> Inside {
        (self.announce)("the devices of another network namespace");
        let none = |sight| Inside { number: None, sight };
        let netns = match netns::look(name) {
            Ok(Standing::Live(netns)) => netns,
            Ok(Standing::Stale(neighbours)) => return none(Sight::Stale(neighbours)),
            Ok(Standing::Absent) => return none(Sight::Absent),
            Err(trouble) => return none(Sight::Trouble(trouble)),
        };
        let number = Route::here().and_then(|route| netns.number(&route)).ok().flatten();
        Inside { number, sight: look_into(name, &netns) }
    }
}

fn look_into(name: &NetnsName, netns: &Netns) -> Sight {
    let route = if process::our_netns().is_ok_and(|ours| ours == netns.id) {
        Route::here()
    } else {
        Route::inside(netns)
    };
    match route {
        Ok(route) => match route.links().and_then(Dump::whole) {
            Ok(links) => Sight::Seen(links),
            Err(trouble) => Sight::Trouble(trouble),
        },
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Sight::Hidden(through(netns)),
        Err(e) => Sight::Trouble(Trouble::of(format!("{}/{name}", netns::DIRECTORY), &e)),
    }
}

/// The names that a process of the namespace sees, if it is still the same process when they are read.
fn through(netns: &Netns) -> Option<Vec<String>> {
    let search = Search::new([netns]);
    let mut names = None;
    // What cannot be searched stays hidden.
    let search = || {
        search.each(|_, pid| {
            names = process::devices(pid).ok().filter(|_| search.place_of(pid).is_some());
            names.is_none()
        })
    };
    let _unsearched = rights::lend(SYS_PTRACE, search);
    names
}
