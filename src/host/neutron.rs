//! What Neutron's agents keep in their state directory about the services of a namespace: pid
//! files, and whether this node is the primary of an HA router.

use crate::host::trouble::{Trouble, Why};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// `state_path` of a Neutron that was not told otherwise.
pub const STATE: &str = "/var/lib/neutron";

/// The state directory, and the id of the network, router or load balancer that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    state: PathBuf,
    id: String,
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
    /// What is kept about an id.
    pub fn new(state: &Path, id: &str) -> Self {
        Self { state: state.to_owned(), id: id.to_owned() }
    }

    /// The pid file of a service's daemon, where Neutron has one; of several places the first that
    /// holds one.
    ///
    /// # Errors
    /// It may not be read, or holds no number.
    pub fn pid_of(&self, daemon: &str) -> Result<Option<Recorded>, Trouble> {
        let id = &self.id;
        let places: &[String] = match daemon {
            "dnsmasq" => &[format!("dhcp/{id}/pid")],
            "keepalived" => &[format!("ha_confs/{id}.pid")],
            "haproxy" => {
                &[format!("external/pids/{id}.pid.haproxy"), format!("lbaas/v2/{id}/haproxy.pid")]
            }
            "radvd" => &[format!("external/pids/{id}.pid.radvd")],
            "charon" => &[format!("ipsec/{id}/var/run/charon.pid")],
            "pluto" => &[format!("ipsec/{id}/var/run/pluto.pid")],
            _ => &[],
        };
        for place in places {
            if let Some(recorded) = read_pid(&self.state.join(place))? {
                return Ok(Some(recorded));
            }
        }
        Ok(None)
    }

    /// What this node is to the router; `None` where it is no HA router.
    pub fn ha_state(&self) -> Option<HaState> {
        let file = self.state.join("ha_confs").join(&self.id).join("state");
        match read_text(&file).ok()?.trim() {
            // `master` before Wallaby.
            "primary" | "master" => Some(HaState::Primary),
            "backup" | "standby" => Some(HaState::Backup),
            _ => None,
        }
    }

    /// The TCP ports that the haproxy of a metadata proxy or load balancer was told to bind;
    /// `None` where its configuration cannot be read.
    pub fn haproxy_ports(&self) -> Option<BTreeSet<u16>> {
        let id = &self.id;
        let places = [
            format!("ns-metadata-proxy/{id}.conf"),
            format!("ovn-metadata-proxy/{id}.conf"),
            format!("lbaas/v2/{id}/haproxy.conf"),
        ];
        let text = places.iter().find_map(|place| read_text(&self.state.join(place)).ok())?;
        let ports = bound_ports(&text);
        (!ports.is_empty()).then_some(ports)
    }
}

/// The ports of `bind ADDRESS:PORT[ OPTION...]`.
fn bound_ports(configuration: &str) -> BTreeSet<u16> {
    let addresses = configuration.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("bind")).then(|| words.next()).flatten()
    });
    addresses.filter_map(|address| address.rsplit_once(':')?.1.parse().ok()).collect()
}

fn read_pid(path: &Path) -> Result<Option<Recorded>, Trouble> {
    let trouble = |why| Trouble { whom: path.display().to_string(), why };
    let text = match read_text(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(trouble(Why::of(&e))),
    };
    let pid = text.trim().parse().ok().filter(|pid| *pid > 0);
    let pid = pid.ok_or_else(|| trouble(Why::Unreadable("no pid in it".to_owned())))?;
    let written = std::fs::metadata(path).and_then(|file| file.modified());
    let before_boot = written.is_ok_and(|written| written < booted());
    Ok(Some(Recorded { path: path.to_owned(), pid, before_boot }))
}

fn read_text(path: &Path) -> io::Result<String> {
    const LONGEST: u64 = 1 << 20;
    // A fifo in its place must not block us.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
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
            Records::new(&self.0, "net")
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
        assert_eq!(state.records().pid_of("dnsmasq"), Ok(None));
        let path = state.0.join("dhcp/net/pid");
        fs::write(&path, "4711\n").expect("a pid file");
        let recorded = state.records().pid_of("dnsmasq").expect("readable").expect("there");
        assert_eq!((recorded.pid, recorded.before_boot), (4711, false));
        let before = booted() - Duration::from_secs(60);
        File::options().write(true).open(&path).expect("it").set_modified(before).expect("ours");
        let recorded = state.records().pid_of("dnsmasq").expect("readable").expect("there");
        assert!(recorded.before_boot);
        for nonsense in ["", "-1", "0", "x"] {
            fs::write(&path, nonsense).expect("a pid file");
            assert!(state.records().pid_of("dnsmasq").is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn the_state_of_an_ha_router_is_known_by_old_and_new_words() {
        let state = State::new("ha");
        assert_eq!(state.records().ha_state(), None);
        for (word, expected) in [
            ("primary", Some(HaState::Primary)),
            ("master\n", Some(HaState::Primary)),
            ("backup", Some(HaState::Backup)),
            ("unknown", None),
        ] {
            fs::write(state.0.join("ha_confs/net/state"), word).expect("a state file");
            assert_eq!(state.records().ha_state(), expected, "{word}");
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
