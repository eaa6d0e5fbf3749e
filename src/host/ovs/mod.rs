//! One Open vSwitch: its run directory, its two daemons, its database.

pub mod bridges;
pub mod daemon;
pub mod ports;
pub mod row;
pub mod tunnels;
pub mod vitals;

use crate::host::talk::{Dialogue, Line, Outcome, Remote, Talk};
use crate::host::words::absolute;
use crate::rights::{self, DAC_OVERRIDE};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where one Open vSwitch is found, with the connections to it. Several may run on a machine.
///
/// Its files and sockets are the only ones that [`DAC_OVERRIDE`] is lent for; at a place that the
/// caller named there is nothing to lend. With the first word to a daemon that right is laid down, so
/// what is said later goes over the connections that are there.
pub struct Place {
    /// Where its pid files and control sockets are.
    pub rundir: PathBuf,
    /// Where its database listens.
    pub db: Remote,
    lines: RefCell<Vec<Line>>,
}

/// The run directory that Open vSwitch is compiled with.
pub const RUNDIR: &str = "/var/run/openvswitch";

impl Place {
    /// The Open vSwitch of a run directory, its database at its usual socket or elsewhere.
    pub fn new(rundir: PathBuf, db: Option<Database>) -> Self {
        let db = db.map_or_else(|| Remote::Unix(rundir.join("db.sock")), |database| database.0);
        Self { rundir, db, lines: RefCell::default() }
    }

    /// A conversation over a connection that an earlier one has left, or over a new one.
    fn talk<'d>(&self, daemon: &str, remote: &Remote, dialogue: &'d mut dyn Dialogue) -> Talk<'d> {
        let mut lines = self.lines.borrow_mut();
        if let Some(at) = lines.iter().position(|line| line.remote() == remote) {
            return Talk::over(lines.swap_remove(at), dialogue);
        }
        let mut talk = Talk::new(daemon, remote.clone(), dialogue);
        rights::lend(DAC_OVERRIDE, || talk.knock());
        talk
    }

    /// How a conversation ended; its connection is kept for the next one.
    fn outcome(&self, talk: Talk) -> Outcome {
        let (outcome, line) = talk.part();
        if outcome.is_ok() {
            self.lines.borrow_mut().extend(line);
        }
        outcome
    }
}

/// Where a database listens, as Open vSwitch writes it: `unix:PATH` or `tcp:ADDRESS:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database(pub Remote);

impl FromStr for Database {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "'{text}' is no database: write unix:PATH or tcp:ADDRESS:PORT, the address in numbers"
            )
        };
        match text.split_once(':') {
            Some(("unix", path)) => Ok(Self(Remote::Unix(absolute(path)?))),
            Some(("tcp", address)) => {
                address.parse::<SocketAddr>().map(|a| Self(Remote::Tcp(a))).map_err(|_| bad())
            }
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_unix_paths_or_numeric_addresses() {
        for good in ["unix:/run/x/db.sock", "tcp:127.0.0.1:6640", "tcp:[::1]:6640"] {
            assert!(good.parse::<Database>().is_ok(), "{good}");
        }
        for bad in ["", "unix:", "unix:db.sock", "tcp:host:6640", "tcp:127.0.0.1", "ssl:1.2.3.4:1"]
        {
            assert!(bad.parse::<Database>().is_err(), "{bad}");
        }
    }
}
