//! Bridges of one Open vSwitch: their rows, whether ovs-vswitchd has made them and lives, and
//! their forwarding tables, which only ovs-vswitchd knows.

use super::Place;
use super::daemon::{Daemon, Found, VERSION};
use super::row::{self, Bridge, Controller, Interface};
use crate::host::mac::Mac;
use crate::host::ovsdb::{Ask, Transact};
use crate::host::process::{Depth, Process};
use crate::host::talk::{Remote, converse};
use crate::host::unixctl::Lines;
use crate::host::{Host, Trouble};
use crate::rights::{self, DAC_OVERRIDE};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// What was seen of one bridge.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The daemon that forwards.
    pub vswitchd: Daemon,
    /// The process behind the database's unix socket, where that kept silent and it can be seen.
    pub server: Option<Process>,
    /// The bridge, if there is one of that name.
    pub bridge: Result<Option<Configured>, Trouble>,
    /// Addresses in its table.
    pub addresses: Option<u64>,
}

/// A bridge as the database has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configured {
    /// Its row.
    pub row: Bridge,
    /// The interface of its own port, LOCAL.
    pub local: Option<Interface>,
    /// Its controllers: how many, and how many of them are connected.
    pub controllers: (usize, usize),
}

/// One line of `fdb/show`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// `OpenFlow` number of the port; 65534 is LOCAL.
    pub port: u16,
    /// VLAN; 0 without.
    pub vlan: u16,
    /// Since it was last seen as a source; none for what was set by somebody.
    pub age: Option<Duration>,
}

/// The number of the port that a bridge itself is.
pub const LOCAL: u16 = 65534;

/// Whether there is an Open vSwitch at a place, alive or dead: a machine without one has no run
/// directory, or an empty one that a package or an orderly stop left.
pub fn is_here(place: &Place) -> bool {
    let there = |path: &Path| {
        let absent = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
        !looked_at(path).is_err_and(|e| absent(&e))
    };
    match &place.db {
        Remote::Unix(socket) => there(socket) || there(&place.rundir.join("ovs-vswitchd.pid")),
        Remote::Tcp(_) => true,
    }
}

/// Whether ovs-vswitchd has, or had, a bridge of this name: it listens for management connections
/// at a socket of that name from the moment when the bridge is made, and any user may look.
pub fn has_socket(place: &Place, bridge: &str) -> bool {
    looked_at(&place.rundir.join(format!("{bridge}.mgmt"))).is_ok()
}

fn looked_at(path: &Path) -> io::Result<Metadata> {
    rights::lend(DAC_OVERRIDE, || std::fs::symlink_metadata(path))
}

impl Host {
    /// Reads a bridge, and asks ovs-vswitchd for a sign of life at the same time.
    pub fn ovs_bridge(&self, place: &Place, name: &str) -> Seen {
        let parameters = [name];
        let questions = [VERSION, ("fdb/stats-show", &parameters[..])];
        let found = vec![Found::new(&place.rundir, "ovs-vswitchd", &questions)];
        let named = || vec![json!(["name", "==", name])];
        let asks = vec![
            Ask::rows("Bridge", named(), row::BRIDGE_WITH_SETTINGS),
            Ask::rows("Interface", named(), row::INTERFACE),
            Ask::rows("Controller", vec![], row::CONTROLLER),
        ];
        let (mut bridge, mut local, mut controllers) = (None, None, Vec::<Controller>::new());
        let mut select = Transact::new(asks, |question, row| {
            match question {
                0 => bridge = Some(read::<Bridge>(row)?),
                1 => local = Some(read::<Interface>(row)?),
                _ => controllers.push(read(row)?),
            }
            Ok(())
        });
        let asked = self.ask_ovs(found, place, &mut select, Depth::State);
        drop(select);
        let vswitchd = asked.daemons.into_iter().next().expect("one daemon was asked");
        let addresses = vswitchd.answer.as_ref().ok().and_then(|answer| answer.addresses());
        let bridge = asked.database.map(|_| {
            bridge.map(|row| {
                let own = controllers.iter().filter(|c| row.controller.0.contains(&c.uuid));
                let connected: Vec<bool> = own.map(|controller| controller.is_connected).collect();
                let controllers = (connected.len(), connected.iter().filter(|up| **up).count());
                Configured { row, local, controllers }
            })
        });
        Seen { vswitchd, server: asked.server, bridge, addresses }
    }

    /// Whether the database has a bridge, asked by somebody who can do without the answer: not
    /// longer than a moment.
    ///
    /// # Errors
    /// The database did not answer as it should, or not soon enough.
    pub fn ovs_has_bridge(&self, place: &Place, name: &str) -> Result<bool, Trouble> {
        let named = vec![json!(["name", "==", name])];
        self.any_row(place, Ask::rows("Bridge", named, row::BRIDGE))
    }

    /// Whether a device is plugged into Open vSwitch, asked as [`Self::ovs_has_bridge`].
    ///
    /// # Errors
    /// As [`Self::ovs_has_bridge`].
    pub fn ovs_has_device(&self, place: &Place, name: &str) -> Result<bool, Trouble> {
        let named = vec![json!(["name", "==", name])];
        self.any_row(place, Ask::rows("Interface", named, &["name"]))
    }

    fn any_row(&self, place: &Place, ask: Ask) -> Result<bool, Trouble> {
        const MOMENT: Duration = Duration::from_millis(200);
        let mut any = false;
        let mut select = Transact::new(vec![ask], |_, _| {
            any = true;
            Ok(())
        });
        let mut talks = [place.talk("the database", &place.db, &mut select)];
        (self.announce)(talks[0].whom());
        let left = self.until.saturating_duration_since(Instant::now());
        converse(&mut talks, Instant::now() + MOMENT.min(left / 2));
        let [talk] = talks;
        let outcome = place.outcome(talk);
        drop(select);
        outcome.map(|_| any)
    }

    /// What the forwarding table of a bridge has of an address, one entry per VLAN. The whole table
    /// is read: Open vSwitch has no question for one address.
    ///
    /// # Errors
    /// ovs-vswitchd did not answer as it should.
    pub fn ovs_fdb(
        &self,
        place: &Place,
        control: &Path,
        bridge: &str,
        mac: Mac,
    ) -> Result<Vec<Learned>, Trouble> {
        let mac = mac.to_string();
        let mut found = Vec::new();
        let parameters = [bridge];
        let mut lines = Lines::new(("fdb/show", &parameters), |line| {
            found.extend(learned(line, &mac));
        });
        let remote = Remote::Unix(control.to_owned());
        let mut talks = [place.talk("ovs-vswitchd", &remote, &mut lines)];
        (self.announce)(talks[0].whom());
        converse(&mut talks, self.until);
        let [talk] = talks;
        let outcome = place.outcome(talk);
        drop(lines);
        outcome.map(|_| found)
    }
}

fn read<T: DeserializeOwned>(row: &[u8]) -> Result<T, String> {
    serde_json::from_slice(row).map_err(|e| format!("a row: {e}"))
}

impl super::daemon::Answer {
    /// Addresses in the table of the bridge whose `fdb/stats-show` was asked for; Open vSwitch 2.10
    /// and later.
    fn addresses(&self) -> Option<u64> {
        let text = self.second.as_ref()?;
        let (_, rest) = text.split_once("Current/maximum MAC entries in the table:")?;
        rest.trim_start().split('/').next()?.parse().ok()
    }
}

/// A line of `fdb/show`, if it is of this address: port, VLAN, address, age.
fn learned(line: &str, mac: &str) -> Option<Learned> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [port, vlan, address, age] = words.as_slice() else { return None };
    if !address.eq_ignore_ascii_case(mac) {
        return None;
    }
    let port = if *port == "LOCAL" { Some(LOCAL) } else { port.parse().ok() };
    // `static` stands there for what was set by somebody.
    let age = age.parse().ok().map(Duration::from_secs);
    Some(Learned { port: port?, vlan: vlan.parse().ok()?, age })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ovs::daemon::Answer;

    fn addresses(text: &str) -> Option<u64> {
        let second = Some(text.to_owned());
        let rtt = Duration::ZERO;
        Answer { rtt, version: "3.1.0".into(), second, control: "/run/x.ctl".into() }.addresses()
    }

    #[test]
    fn captured_tables_are_understood() {
        let table = include_str!("../../../tests/fixtures/ovs/appctl-fdb-show-br-int.txt");
        let seen = |mac: &str| table.lines().filter_map(|l| learned(l, mac)).collect::<Vec<_>>();
        let age = |seconds| Some(Duration::from_secs(seconds));
        let tap = Learned { port: 4, vlan: 1, age: age(94) };
        assert_eq!(seen("fa:16:3e:00:00:01"), [tap]);
        assert_eq!(seen("6a:85:72:43:0c:40"), [Learned { port: 1, vlan: 0, age: age(1) }]);
        let local = learned("LOCAL     0  6a:85:72:43:0c:40    1", "6a:85:72:43:0c:40");
        assert_eq!(local, Some(Learned { port: LOCAL, vlan: 0, age: age(1) }));
        assert_eq!(seen("fa:16:3e:00:00"), []);
        let fixed = learned("    3     0  fa:16:3e:00:00:05  static", "fa:16:3e:00:00:05");
        assert_eq!(fixed, Some(Learned { port: 3, vlan: 0, age: None }));
    }

    #[test]
    fn the_size_of_a_table_is_in_its_statistics() {
        let text =
            "Statistics for bridge \"br1\":\n  Current/maximum MAC entries in the table: 12/8192\n";
        assert_eq!(addresses(text), Some(12));
        assert_eq!(addresses("Statistics for bridge \"br1\":\n"), None);
    }
}
