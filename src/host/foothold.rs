//! What is opened inside a network namespace while there is the right to enter it. It shows that
//! namespace from then on without any right, so that none is left when it is read.

use crate::host::link::Link;
use crate::host::netlink::{Dump, Route};
use crate::host::netns::Netns;
use crate::host::sockets::Tables;
use crate::host::trouble::Trouble;
use std::io;

/// What is wanted of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants {
    /// Its devices.
    pub devices: bool,
    /// Its listening TCP ports.
    pub ports: bool,
    /// Its UDP and raw sockets.
    pub tables: bool,
}

/// What was opened inside a namespace: nothing, where nothing was wanted.
pub struct Foothold(io::Result<Opened>);

#[derive(Default)]
struct Opened {
    route: Option<Route>,
    /// A kernel without it has tables.
    diagnosis: Option<Route>,
    tables: Option<Tables>,
}

impl Foothold {
    /// Goes inside, which needs `CAP_SYS_ADMIN`, and opens what is wanted.
    pub fn gain(netns: &Netns, wants: Wants) -> Self {
        let open = || {
            Ok(Opened {
                route: wants.devices.then(Route::here).transpose()?,
                diagnosis: wants.ports.then(|| Route::sock_diag().ok()).flatten(),
                tables: wants.tables.then(Tables::open),
            })
        };
        Self(if wants == Wants::default() { Ok(Opened::default()) } else { netns.visit(open) })
    }

    /// Whether we may not go inside.
    pub(super) const fn is_denied(&self) -> bool {
        self.0.is_err()
    }

    /// The way to ask for listening TCP ports (`sock_diag(7)`), where there is one.
    pub(super) fn diagnosis(&self) -> Option<&Route> {
        self.0.as_ref().ok()?.diagnosis.as_ref()
    }

    /// The tables of its other sockets, where they are open.
    pub(super) fn tables(&self) -> Option<&Tables> {
        self.0.as_ref().ok()?.tables.as_ref()
    }

    /// All devices of the namespace; none where they were not wanted.
    ///
    /// # Errors
    /// `Forbidden` without `CAP_SYS_ADMIN`; the kernel does not answer as it should.
    pub(super) fn links(&self) -> Result<Vec<Link>, Trouble> {
        let opened = self.0.as_ref().map_err(|e| Trouble::of("the namespace", e))?;
        match &opened.route {
            Some(route) => route.links().and_then(Dump::whole),
            None => Ok(Vec::new()),
        }
    }
}
