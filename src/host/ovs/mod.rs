//! One Open vSwitch: its run directory, its two daemons, its database.

pub mod bridges;
pub mod daemon;
pub mod ports;
pub mod row;
pub mod tunnels;
pub mod vitals;

use crate::host::talk::Remote;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where one Open vSwitch is found. Several may run on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where its pid files and control sockets are.
    pub rundir: PathBuf,
    /// Where its database listens.
    pub db: Remote,
}

/// The run directory that Open vSwitch is compiled with.
pub const RUNDIR: &str = "/var/run/openvswitch";

impl Place {
    /// The Open vSwitch of a run directory, its database at its usual socket or elsewhere.
    pub fn new(rundir: PathBuf, db: Option<Database>) -> Self {
        let db = db.map_or_else(|| Remote::Unix(rundir.join("db.sock")), |database| database.0);
        Self { rundir, db }
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

/// A path that names one place whatever the working directory is.
///
/// # Errors
/// What is wrong with it.
pub fn absolute(text: &str) -> Result<PathBuf, String> {
    const LONGEST: usize = 1024;
    match text {
        _ if !text.starts_with('/') => Err(format!("'{text}' is no absolute path")),
        _ if text.len() > LONGEST => Err(format!("a path of more than {LONGEST} bytes")),
        _ if text.chars().any(char::is_control) => Err("a path with a control character".into()),
        _ => Ok(PathBuf::from(text)),
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
