//! The kernel's numbers for other network namespaces, counted from ours (`RTM_GETNSID`). Any user
//! may ask which number an open namespace has and which the namespace of a process has, so that
//! equal numbers tell which process lives where, without `CAP_SYS_PTRACE`. A namespace has a
//! number once a device of ours was moved into it or has its partner there, which is how Neutron
//! and container networks make them (`peernet2id_alloc` in `net/core`).

use crate::host::netlink::{Question, Route, find, number};
use crate::host::netns::{Netns, NetnsId};
use crate::host::process;
use std::collections::HashMap;
use std::io;

impl Route {
    /// The number of the namespace a process is in; `None` where that has none.
    ///
    /// # Errors
    /// What the kernel says; there is no such process.
    pub fn number_of_process(&self, pid: i32) -> io::Result<Option<i32>> {
        self.netns_number(NETNSA_PID, pid)
    }

    /// The number of a namespace, shown by a process or a descriptor.
    pub(super) fn netns_number(&self, kind: u16, whose: i32) -> io::Result<Option<i32>> {
        /// `NETNSA_NSID`, and the length of `rtgenmsg` with its padding.
        const NSID: u16 = 1;
        const FIXED: usize = 4;
        let question = Question::new(libc::RTM_GETNSID, &[0; FIXED]);
        let answer = self.ask(question.with(kind, &whose.to_ne_bytes()))?;
        let number = find(&answer[FIXED.min(answer.len())..], NSID, number);
        // -1: not assigned.
        Ok(number.flatten().map(u32::cast_signed).filter(|number| *number >= 0))
    }
}

/// `NETNSA_PID` and `NETNSA_FD` of `linux/net_namespace.h`.
const NETNSA_PID: u16 = 2;
pub(super) const NETNSA_FD: u16 = 3;

/// Where a process is, as seen from wanted namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// In the one at this place.
    At(usize),
    /// In none of them.
    Elsewhere,
    /// That may not be seen, and no number tells it.
    Unknown,
    /// In none at all: a zombie, or it ended.
    Nowhere,
}

/// A search for processes by their network namespace.
#[derive(Default)]
pub struct Search {
    ids: HashMap<NetnsId, usize>,
    numbers: HashMap<i32, usize>,
    route: Option<Route>,
}

impl Search {
    /// Looks for these namespaces; each is known by its place among them.
    pub fn new<'a>(wanted: impl IntoIterator<Item = &'a Netns>) -> Self {
        let mut search = Self { route: Route::here().ok(), ..Self::default() };
        for (place, netns) in wanted.into_iter().enumerate() {
            search.ids.insert(netns.id, place);
            let number = search.route.as_ref().and_then(|route| netns.number(route).ok()?);
            search.numbers.extend(number.map(|number| (number, place)));
        }
        search
    }

    /// Which of the namespaces a process is in, if any.
    pub fn whereabouts(&self, pid: i32) -> Whereabouts {
        match process::netns_of(pid) {
            Ok(id) => self.ids.get(&id).map_or(Whereabouts::Elsewhere, |at| Whereabouts::At(*at)),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => self.by_number(pid),
            Err(_) => Whereabouts::Nowhere,
        }
    }

    fn by_number(&self, pid: i32) -> Whereabouts {
        let number = self.route.as_ref().map(|route| route.number_of_process(pid));
        // One that has a number, or all that are wanted have one: then numbers tell.
        let all_numbered = self.numbers.len() == self.ids.len();
        match number {
            Some(Ok(Some(number))) => {
                let at = self.numbers.get(&number);
                at.map_or(Whereabouts::Elsewhere, |at| Whereabouts::At(*at))
            }
            Some(Ok(None)) if all_numbered => Whereabouts::Elsewhere,
            _ => Whereabouts::Unknown,
        }
    }

    /// Which of the namespaces a process is in, where that is certain.
    pub fn place_of(&self, pid: i32) -> Option<usize> {
        match self.whereabouts(pid) {
            Whereabouts::At(place) => Some(place),
            _ => None,
        }
    }

    /// Shows each process of each namespace to `take`, until that has all it wanted: it returns
    /// false then.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn each(&self, mut take: impl FnMut(usize, i32) -> bool) -> io::Result<()> {
        for pid in process::pids()? {
            if let Some(place) = self.place_of(pid)
                && !take(place, pid)
            {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_there_has_no_number() {
        let route = Route::here().expect("a socket");
        assert!(route.number_of_process(i32::MAX).is_err());
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(route.number_of_process(own).is_ok());
    }
}
