//! Whether an Open vSwitch lives: both daemons and the database asked at the same time.

use super::Place;
use super::daemon::{ALIVE, Answer, Daemon, Found, VERSION};
use crate::host::ovsdb::value::Optional;
use crate::host::ovsdb::{Ask, Transact};
use crate::host::process::{Depth, Process};
use crate::host::talk::converse;
use crate::host::unixctl::Command;
use crate::host::{Host, Trouble, Why};
use nix::poll::{PollTimeout, poll};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// What was seen of one Open vSwitch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vitals {
    /// The switch.
    pub vswitchd: Daemon,
    /// The database server.
    pub ovsdb: Daemon,
    /// What the database answered.
    pub database: Result<Database, Trouble>,
    /// The process behind the database's unix socket, where that kept silent and it can be seen.
    pub server: Option<Process>,
}

/// What the database answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Database {
    /// From connecting to the complete answer.
    pub rtt: Duration,
    /// The configuration that ovs-vswitchd should follow.
    pub next_cfg: i64,
    /// The configuration that it has followed.
    pub cur_cfg: i64,
    /// How long it was watched staying behind.
    pub lag: Option<Duration>,
}

/// The one row of table `Open_vSwitch`.
#[derive(Debug, Clone, Deserialize)]
struct Config {
    cur_cfg: Optional<i64>,
    next_cfg: Optional<i64>,
}

/// What ovs-vswitchd is asked.
const QUESTIONS: &[Command] = &[VERSION, ("coverage/read-counter", &["long_poll_interval"])];

impl Answer {
    /// Main loop turns that took over a second; Open vSwitch 3.2 and later count them.
    pub fn long_polls(&self) -> Option<u64> {
        self.second.as_ref()?.parse().ok()
    }
}

/// How long `cur_cfg` may be behind `next_cfg`: it lags for moments under normal writes.
const LAG_MAX: Duration = Duration::from_secs(2);

impl Host {
    /// Asks both daemons and the database, all at the same time.
    pub fn ovs_vitals(&self, place: &Place) -> Vitals {
        let found = vec![
            Found::new(&place.rundir, "ovs-vswitchd", QUESTIONS),
            Found::new(&place.rundir, "ovsdb-server", ALIVE),
        ];
        let mut config = None;
        let mut select = config_select(&mut config);
        let asked = self.ask_ovs(found, place, &mut select, Depth::Whole);
        drop(select);
        let [vswitchd, ovsdb] =
            <[Daemon; 2]>::try_from(asked.daemons).expect("two daemons were asked");
        let config = asked.database.and_then(|rtt| match config {
            Some(config) => Ok((rtt, config)),
            None => Err(Trouble {
                whom: format!("the database ({})", place.db),
                why: Why::Unreadable("it has no row in table Open_vSwitch".to_owned()),
            }),
        });
        let alive = vswitchd.answer.is_ok();
        let database = config.and_then(|(rtt, config)| self.follow(place, rtt, config, alive));
        Vitals { vswitchd, ovsdb, database, server: asked.server }
    }

    /// Watches whether ovs-vswitchd reaches the configuration that it was behind of first: under
    /// steady writes there is always a newer one.
    fn follow(
        &self,
        place: &Place,
        rtt: Duration,
        mut config: Config,
        alive: bool,
    ) -> Result<Database, Trouble> {
        let start = Instant::now();
        let until = self.until.min(start + LAG_MAX);
        let wanted = config.next_cfg.0;
        let behind = |c: &Config| alive && c.cur_cfg.0 < wanted;
        if behind(&config) {
            (self.announce)("ovs-vswitchd to follow the configuration");
        }
        while behind(&config) && Instant::now() < until {
            poll(&mut [], PollTimeout::from(50u8)).ok();
            config = self.config(place)?.unwrap_or(config);
        }
        // A deadline that is shorter than the lag that counts gives no verdict on it.
        let lag = start.elapsed();
        Ok(Database {
            rtt,
            next_cfg: config.next_cfg.0.unwrap_or(0),
            cur_cfg: config.cur_cfg.0.unwrap_or(0),
            lag: (behind(&config) && lag >= LAG_MAX).then_some(lag),
        })
    }

    fn config(&self, place: &Place) -> Result<Option<Config>, Trouble> {
        let mut config = None;
        let mut select = config_select(&mut config);
        let mut talks = [place.talk("the database", &place.db, &mut select)];
        converse(&mut talks, self.until);
        let [talk] = talks;
        place.outcome(talk)?;
        drop(select);
        Ok(config)
    }
}

fn config_select(config: &mut Option<Config>) -> Transact<'_> {
    let ask = Ask::rows("Open_vSwitch", vec![], &["cur_cfg", "next_cfg"]);
    Transact::new(vec![ask], |_, row| {
        *config = Some(serde_json::from_slice(row).map_err(|e| e.to_string())?);
        Ok(())
    })
}
