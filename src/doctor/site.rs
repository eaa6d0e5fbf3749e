//! What this host has: daemons with sockets, namespaces, a `/proc` that shows all or not, the
//! kernel's word on pings, and agents that run.

use super::program::Mode;
use super::subject::Status;
use crate::host::netns::{self, Standing};
use crate::host::{process, procfs};
use socket2::{Domain, SockAddr, Type};
use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// What this host has.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// By the daemon.
    pub sockets: BTreeMap<Daemon, Vec<Socket>>,
    /// What stands in `/run/netns`.
    pub namespaces: Namespaces,
    /// How `/proc` hides processes, if it does.
    pub hidepid: Option<Hidepid>,
    /// The groups whose processes may ping without a right.
    pub ping_groups: Option<RangeInclusive<u32>>,
    /// Agents that run.
    pub agents: Vec<Agent>,
    /// Groups of `/etc/group` by number.
    pub groups: BTreeMap<u32, String>,
}

/// Whose sockets a check asks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Daemon {
    /// Open vSwitch.
    Ovs,
    /// VPP.
    Vpp,
    /// libvirt.
    Libvirt,
}

impl Daemon {
    const ALL: [Self; 3] = [Self::Ovs, Self::Vpp, Self::Libvirt];

    /// Whose a socket of the manifest is.
    pub fn of(socket: &str) -> Option<Self> {
        let dirs =
            [("/openvswitch/", Self::Ovs), ("/vpp/", Self::Vpp), ("/libvirt/", Self::Libvirt)];
        dirs.into_iter().find(|(dir, _)| socket.contains(dir)).map(|(_, daemon)| daemon)
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ovs => "Open vSwitch",
            Self::Vpp => "VPP",
            Self::Libvirt => "libvirt",
        }
    }

    /// The group that its sockets belong to, where they have one that helps.
    pub const fn group(self) -> Option<&'static str> {
        match self {
            Self::Ovs => None,
            Self::Vpp => Some("vpp"),
            Self::Libvirt => Some("libvirt"),
        }
    }

    const fn dirs(self) -> &'static [&'static str] {
        match self {
            Self::Ovs => &["/var/run/openvswitch"],
            Self::Vpp => &["/run/vpp"],
            Self::Libvirt => &["/run/libvirt"],
        }
    }

    fn is_socket(self, name: &str) -> bool {
        match self {
            Self::Ovs => name == "db.sock" || (name.starts_with("ovs") && name.ends_with(".ctl")),
            Self::Vpp => name == "cli.sock",
            Self::Libvirt => matches!(name, "virtqemud-sock-ro" | "libvirt-sock-ro"),
        }
    }
}

/// A socket, and what guards it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Where it is.
    pub path: PathBuf,
    /// Of the socket and of every directory above it; none where we may not look.
    pub modes: Option<Vec<Mode>>,
    /// Whether a process listens at it, unless we may not ask.
    pub listening: Option<bool>,
}

/// What stands in `/run/netns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Namespaces {
    /// Nothing.
    #[default]
    None,
    /// Namespaces.
    Live,
    /// Names of which none is a namespace here: their mounts do not propagate to where we are.
    NotPropagated,
}

/// How `/proc` hides the processes of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hidepid {
    /// Those who see them all the same.
    pub group: u32,
}

/// A program that runs checks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: i32,
    /// What its children inherit.
    pub status: Status,
    /// Its unit for systemd.
    pub unit: Option<String>,
}

/// Those that run checks, by the name of their process; the kernel cuts it at 15 bytes.
const AGENTS: [&str; 5] = ["sensu-agent", "sensu-client", "nrpe", "icinga2", "check_mk_agent"];

impl Site {
    /// Looks at this host.
    pub fn look() -> Self {
        let mounts = procfs::text("/proc/self/mountinfo").unwrap_or_default();
        let range = procfs::text("/proc/sys/net/ipv4/ping_group_range").unwrap_or_default();
        let groups = procfs::text("/etc/group").unwrap_or_default();
        Self {
            sockets: Daemon::ALL.into_iter().map(|d| (d, sockets_of(d))).collect(),
            namespaces: namespaces(),
            hidepid: hidepid(&mounts),
            ping_groups: ping_groups(&range),
            agents: agents(),
            groups: groups.lines().filter_map(group).collect(),
        }
    }

    /// The number of a group.
    pub fn group(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|(_, known)| *known == name).map(|(gid, _)| *gid)
    }
}

fn sockets_of(daemon: Daemon) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for dir in daemon.dirs().iter().map(Path::new) {
        match std::fs::read_dir(dir) {
            Ok(entries) => {
                let names =
                    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
                let mut names: Vec<String> = names.filter(|name| daemon.is_socket(name)).collect();
                names.sort();
                sockets.extend(names.iter().map(|name| socket(&dir.join(name))));
            }
            // There is something, but not for our eyes.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                sockets.push(Socket { path: dir.to_owned(), modes: None, listening: None });
            }
            Err(_) => {}
        }
    }
    sockets
}

fn socket(path: &Path) -> Socket {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let modes: io::Result<Vec<Mode>> =
        real.ancestors().map(|path| std::fs::metadata(path).map(|m| Mode::of(&m))).collect();
    Socket { path: path.to_owned(), modes: modes.ok(), listening: listens(path) }
}

/// Knocks, and goes away.
fn listens(path: &Path) -> Option<bool> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).ok()?;
    match socket.connect(&SockAddr::unix(path).ok()?) {
        Ok(()) => Some(true),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Some(false),
        // Its queue is full.
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Some(true),
        Err(_) => None,
    }
}

fn namespaces() -> Namespaces {
    let names = std::fs::read_dir(netns::DIRECTORY).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut seen = Namespaces::None;
    for name in names {
        if matches!(netns::look(&name), Ok(Standing::Live(_))) {
            return Namespaces::Live;
        }
        seen = Namespaces::NotPropagated;
    }
    seen
}

/// From a line of `/proc/self/mountinfo`: the options behind the last field are `/proc`'s own.
fn hidepid(mounts: &str) -> Option<Hidepid> {
    let proc = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/proc"))?;
    let options = proc.rsplit(' ').next()?;
    let of = |name: &str| options.split(',').find_map(|option| option.strip_prefix(name));
    let hides = of("hidepid=").is_some_and(|how| !matches!(how, "0" | "off"));
    let group = of("gid=").and_then(|gid| gid.parse().ok()).unwrap_or(0);
    hides.then_some(Hidepid { group })
}

fn ping_groups(range: &str) -> Option<RangeInclusive<u32>> {
    let mut numbers = range.split_whitespace().filter_map(|number| number.parse().ok());
    Some(numbers.next()?..=numbers.next()?).filter(|range| !range.is_empty())
}

fn group(line: &str) -> Option<(u32, String)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
}

fn agents() -> Vec<Agent> {
    let read = |pid: i32| {
        let name = process::name_of(pid).ok().filter(|name| AGENTS.contains(&name.as_str()))?;
        let status = Status::parse(&procfs::text(format!("/proc/{pid}/status")).ok()?)?;
        let groups = procfs::text(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        Some(Agent { name, pid, status, unit: unit(&groups) })
    };
    process::pids().unwrap_or_default().into_iter().filter_map(read).collect()
}

/// The last unit on the path of a control group.
fn unit(cgroup: &str) -> Option<String> {
    let path = cgroup.lines().next_back()?.rsplit(':').next()?;
    path.rsplit('/').find(|part| part.ends_with(".service")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel_are_read() {
        let mounts = |options: &str| {
            format!("24 1 0:22 / /proc rw,nosuid shared:5 - proc proc rw{options}\n")
        };
        assert_eq!(hidepid(&mounts("")), None);
        assert_eq!(hidepid(&mounts(",hidepid=0")), None);
        assert_eq!(hidepid(&mounts(",hidepid=2,gid=27")), Some(Hidepid { group: 27 }));
        assert_eq!(hidepid(&mounts(",gid=5,hidepid=invisible")), Some(Hidepid { group: 5 }));
        assert_eq!(ping_groups("0\t2147483647\n"), Some(0..=2_147_483_647));
        assert_eq!(ping_groups("1\t0\n"), None, "nobody may");
        assert_eq!(group("vpp:x:105:sensu"), Some((105, "vpp".to_owned())));
        let unified = "0::/system.slice/sensu-agent.service\n";
        assert_eq!(unit(unified).as_deref(), Some("sensu-agent.service"));
        let old = "2:cpu:/\n1:name=systemd:/system.slice/nrpe.service/sub\n";
        assert_eq!(unit(old).as_deref(), Some("nrpe.service"));
        assert_eq!(unit("0::/user.slice\n"), None);
    }

    #[test]
    fn a_socket_without_its_listener_is_told() {
        let path = std::env::temp_dir().join(format!("calipso-doctor-{}", std::process::id()));
        std::fs::remove_file(&path).ok();
        assert_eq!(listens(&path), None);
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        assert_eq!(listens(&path), Some(true));
        drop(listener);
        assert_eq!(listens(&path), Some(false));
        std::fs::remove_file(path).expect("ours");
    }

    #[test]
    fn every_socket_of_the_manifest_is_somebodys() {
        for entry in
            crate::manifest::book::Book::load(Path::new("/nonexistent")).expect("ours").entries()
        {
            for socket in &entry.rights.sockets {
                let daemon = Daemon::of(socket).unwrap_or_else(|| panic!("{socket}"));
                let name = socket.rsplit('/').next().expect("a name").replace('*', "1");
                assert!(daemon.is_socket(&name), "{socket}");
            }
        }
    }
}
