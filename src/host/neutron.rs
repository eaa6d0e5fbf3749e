//! What Neutron's agents keep in their state directory about the services of a namespace: pid
//! files, and whether this node is the primary of an HA router.

use crate::host::procfs;
use crate::host::trouble::{Trouble, Why};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// `state_path` of a Neutron that was not told otherwise.
pub const STATE: &str = "/var/lib/neutron";

/// What is kept about a network, router or load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// Its id.
    pub id: String,
    /// What pid files say, by daemon.
    pub pids: Vec<(String, Recorded)>,
    /// Why there is no state directory to be read, if there is none.
    pub missing: Option<Trouble>,
    /// Pid files that may not be read, or hold no number, by daemon.
    pub unreadable: Vec<(String, Trouble)>,
    /// What this node is to it; none where it is no HA router.
    pub ha: Result<Option<HaState>, Trouble>,
    /// The TCP ports that its haproxy was told to bind; none where it has no configuration.
    pub haproxy_ports: Result<Option<BTreeSet<u16>>, Trouble>,
}

/// A pid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Where it is.
    pub path: PathBuf,
    /// The number in it.
    pub pid: i32,
    /// Written before this machine was started, so whatever has that number now is another process.
    pub before_boot: bool,
}

/// What this node is to an HA router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaState {
    /// Traffic goes through it: the helpers run here.
    Primary,
    /// It waits: only keepalived runs here.
    Backup,
}

impl Records {
    /// Nothing is kept about an id.
    pub fn none(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            pids: Vec::new(),
            missing: None,
            unreadable: Vec::new(),
            ha: Ok(None),
            haproxy_ports: Ok(None),
        }
    }

    /// Reads what is kept in a state directory about an id and these daemons.
    pub fn read(state: &Path, id: &str, daemons: &[&str]) -> Self {
        let mut records = Self::none(id);
        if let Err(e) = std::fs::read_dir(state) {
            records.missing = Some(Trouble::of(state.display().to_string(), &e));
        }
        for daemon in daemons {
            for place in pid_files(daemon, id) {
                match read_pids(&state.join(place)) {
                    Ok(pids) => {
                        let named = pids.into_iter().map(|pid| ((*daemon).to_owned(), pid));
                        records.pids.extend(named);
                    }
                    Err(trouble) => records.unreadable.push(((*daemon).to_owned(), trouble)),
                }
            }
        }
        records.ha = ha_state(&state.join("ha_confs").join(id).join("state"));
        if daemons.contains(&"haproxy") {
            records.haproxy_ports = haproxy_ports(state, id);
        }
        records
    }
}

/// Where Neutron keeps the pids of a daemon.
fn pid_files(daemon: &str, id: &str) -> Vec<String> {
    match daemon {
        "dnsmasq" => vec![format!("dhcp/{id}/pid")],
        "keepalived" => vec![format!("ha_confs/{id}.pid"), format!("ha_confs/{id}.pid-vrrp")],
        "haproxy" => {
            vec![format!("external/pids/{id}.pid.haproxy"), format!("lbaas/v2/{id}/haproxy.pid")]
        }
        "radvd" => vec![format!("external/pids/{id}.pid.radvd")],
        "charon" => vec![format!("ipsec/{id}/var/run/charon.pid")],
        "pluto" => vec![format!("ipsec/{id}/var/run/pluto.pid")],
        _ => Vec::new(),
    }
}

fn ha_state(file: &Path) -> Result<Option<HaState>, Trouble> {
    let text = text_if_there(file)?;
    Ok(text.and_then(|text| match text.trim() {
        // `master` before Wallaby.
        "primary" | "master" => Some(HaState::Primary),
        "backup" | "standby" => Some(HaState::Backup),
        _ => None,
    }))
}

/// The text of a file; none where there is no such file.
fn text_if_there(file: &Path) -> Result<Option<String>, Trouble> {
    match procfs::text(file) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Trouble::of(file.display().to_string(), &e)),
    }
}

/// Metadata proxies of the DHCP and L3 agents, those of OVN, and load balancers.
fn haproxy_ports(state: &Path, id: &str) -> Result<Option<BTreeSet<u16>>, Trouble> {
    let places = [
        format!("ns-metadata-proxy/{id}.conf"),
        format!("ovn-metadata-proxy/{id}.conf"),
        format!("lbaas/v2/{id}/haproxy.conf"),
    ];
    for place in places {
        if let Some(text) = text_if_there(&state.join(place))? {
            return Ok(Some(bound_ports(&text)).filter(|ports| !ports.is_empty()));
        }
    }
    Ok(None)
}

/// The ports of `bind ADDRESS:PORT[ OPTION...]`.
fn bound_ports(configuration: &str) -> BTreeSet<u16> {
    let addresses = configuration.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("bind")).then(|| words.next()).flatten()
    });
    addresses.filter_map(|address| address.rsplit_once(':')?.1.parse().ok()).collect()
}

/// A haproxy of several processes writes a line for each.
fn read_pids(path: &Path) -> Result<Vec<Recorded>, Trouble> {
    let trouble = |why| Trouble { whom: path.display().to_string(), why };
    let Some(text) = text_if_there(path)? else { return Ok(Vec::new()) };
    let pids: Option<Vec<i32>> =
        text.split_whitespace().map(|word| word.parse().ok().filter(|pid| *pid > 0)).collect();
    let pids = pids.filter(|pids| !pids.is_empty());
    let pids = pids.ok_or_else(|| trouble(Why::Unreadable("no pid in it".to_owned())))?;
    let written = std::fs::metadata(path).and_then(|file| file.modified());
    let before_boot = written.is_ok_and(|written| written < booted());
    Ok(pids.into_iter().map(|pid| Recorded { path: path.to_owned(), pid, before_boot }).collect())
}

/// When this machine was started, by the clock of today.
fn booted() -> SystemTime {
    /// Both clocks are read one after the other, and files have coarse times.
    const LEEWAY: Duration = Duration::from_secs(1);
    let up = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    SystemTime::now().checked_sub(up + LEEWAY).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    struct State(PathBuf);

    impl State {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("neutron-{name}-{}", std::process::id()));
            fs::remove_dir_all(&dir).ok();
            fs::create_dir_all(dir.join("dhcp/net")).expect("a directory");
            fs::create_dir_all(dir.join("ha_confs/net")).expect("a directory");
            Self(dir)
        }
        fn records(&self) -> Records {
            Records::read(&self.0, "net", &["dnsmasq", "haproxy"])
        }
    }

    impl Drop for State {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn a_pid_file_is_read_and_one_older_than_the_boot_is_told() {
        let state = State::new("pid");
        let seen = || {
            let records = state.records();
            assert_eq!(records.unreadable, []);
            records.pids.iter().map(|(_, r)| (r.pid, r.before_boot)).collect::<Vec<_>>()
        };
        assert_eq!(seen(), []);
        let path = state.0.join("dhcp/net/pid");
        fs::write(&path, "4711\n").expect("a pid file");
        assert_eq!(seen(), [(4711, false)]);
        let before = booted() - Duration::from_secs(60);
        File::options().write(true).open(&path).expect("it").set_modified(before).expect("ours");
        assert_eq!(seen(), [(4711, true)]);
        fs::write(&path, "1\n2\n").expect("a pid file");
        assert_eq!(seen(), [(1, false), (2, false)]);
        for nonsense in ["", "-1", "0", "x", "1 x"] {
            fs::write(&path, nonsense).expect("a pid file");
            assert_eq!(state.records().unreadable.len(), 1, "{nonsense:?}");
        }
    }

    #[test]
    fn the_state_of_an_ha_router_is_known_by_old_and_new_words() {
        let state = State::new("ha");
        assert_eq!(state.records().ha, Ok(None));
        for (word, expected) in [
            ("primary", Some(HaState::Primary)),
            ("master\n", Some(HaState::Primary)),
            ("backup", Some(HaState::Backup)),
            ("unknown", None),
        ] {
            fs::write(state.0.join("ha_confs/net/state"), word).expect("a state file");
            assert_eq!(state.records().ha, Ok(expected), "{word}");
        }
    }

    #[test]
    fn the_ports_of_a_metadata_proxy_are_those_it_binds() {
        let text = "global\n  maxconn 1024\nlisten listener\n    bind 169.254.169.254:80\n\
                    \x20   bind fe80::a9fe:a9fe:80 interface ns-1\n    bind 0.0.0.0:9697\n\
                    \x20   server metadata /run/x\n";
        assert_eq!(bound_ports(text), BTreeSet::from([80, 9697]));
        assert!(bound_ports("bind\nbinding 1:2").is_empty());
    }
}
