//! Facts about processes, and about the network namespace they live in. What is known of a pid may
//! be read by any user; which namespace another user's process is in needs `CAP_SYS_PTRACE`.

use crate::host::netns::NetnsId;
use crate::host::procfs;
use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pid in our namespace.
    pub pid: i32,
    /// Its parent.
    pub parent: Option<i32>,
    /// Its name for the kernel: of its program, cut at 15 bytes.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Seconds since 1970 when it was started.
    pub started: u64,
    /// Seconds since it was started.
    pub age: u64,
    /// Bytes of resident memory.
    pub memory: u64,
    /// Its title, or first argument; of parents only.
    pub title: String,
}

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Running, sleeping or idle.
    Alive,
    /// In uninterruptible sleep (D).
    Stuck,
    /// Stopped by a signal (T).
    Stopped,
    /// Stopped by a debugger (t).
    Traced,
    /// Ended (Z, X).
    Dead,
}

impl State {
    /// How it is told: `is stopped by a signal`.
    pub const fn clause(self) -> &'static str {
        match self {
            Self::Alive => "is alive",
            Self::Stuck => "is in uninterruptible sleep",
            Self::Stopped => "is stopped by a signal",
            Self::Traced => "is held by a debugger",
            Self::Dead => "is dead",
        }
    }

    /// Whether a process in this state cannot answer.
    pub const fn cannot_answer(self) -> bool {
        matches!(self, Self::Stopped | Self::Traced | Self::Dead)
    }
}

impl From<ProcessStatus> for State {
    fn from(status: ProcessStatus) -> Self {
        match status {
            ProcessStatus::Stop => Self::Stopped,
            ProcessStatus::Tracing => Self::Traced,
            ProcessStatus::Zombie | ProcessStatus::Dead => Self::Dead,
            ProcessStatus::UninterruptibleDiskSleep => Self::Stuck,
            _ => Self::Alive,
        }
    }
}

/// How much is wanted of processes: each file of `/proc` costs as much as a question to a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What they are doing and since when.
    State,
    /// Memory too.
    Memory,
    /// Memory too, and their parents with their titles.
    Whole,
}

/// What is known of processes; those that ended or are hidden are missing.
pub fn look_at(pids: &[i32], depth: Depth) -> HashMap<i32, Process> {
    let mut seen = HashMap::new();
    if pids.is_empty() {
        return seen;
    }
    let Ok(mut system) = System::new() else { return seen };
    refresh(&mut system, pids, depth, UpdateKind::Never, &mut seen);
    if depth != Depth::Whole {
        return seen;
    }
    let parents = seen.values().filter_map(|process| process.parent);
    // The first process restarts everything and is nobody's monitor.
    let parents: Vec<i32> = parents.filter(|pid| *pid > 1 && !seen.contains_key(pid)).collect();
    // Titles of monitors only: reading one waits for the process's memory lock, and a daemon that
    // is stuck may hold its own.
    refresh(&mut system, &parents, depth, UpdateKind::Always, &mut seen);
    seen
}

fn refresh(
    system: &mut System,
    pids: &[i32],
    depth: Depth,
    titles: UpdateKind,
    seen: &mut HashMap<i32, Process>,
) {
    let wanted: Vec<Pid> =
        pids.iter().filter_map(|pid| u32::try_from(*pid).ok()).map(Pid::from_u32).collect();
    if wanted.is_empty() {
        return;
    }
    let what = match depth {
        Depth::State => ProcessRefreshKind::nothing(),
        Depth::Memory | Depth::Whole => {
            ProcessRefreshKind::nothing().with_memory().with_cmd(titles)
        }
    };
    let these = ProcessesToUpdate::Some(&wanted);
    system.refresh_processes_specifics(these, false, what.without_tasks());
    let found = wanted.iter().filter_map(|pid| system.process(*pid)).filter_map(known);
    seen.extend(found.map(|process| (process.pid, process)));
}

fn known(process: &sysinfo::Process) -> Option<Process> {
    let number = |pid: Pid| i32::try_from(pid.as_u32()).ok();
    let title = process.cmd().first().map(|title| title.to_string_lossy().trim().to_owned());
    Some(Process {
        pid: number(process.pid())?,
        parent: process.parent().and_then(number),
        name: process.name().to_string_lossy().into_owned(),
        state: process.status().into(),
        started: process.start_time(),
        age: process.run_time(),
        memory: process.memory(),
        title: title.unwrap_or_default(),
    })
}

/// The network namespace of a process.
///
/// # Errors
/// `PermissionDenied` for another user's process without `CAP_SYS_PTRACE`, `NotFound` for one that
/// ended or is a zombie.
pub fn netns_of(pid: i32) -> io::Result<NetnsId> {
    // Kept free of allocations: a search asks this of every process of the machine.
    let mut path = [0_u8; 32];
    write!(&mut path[..], "/proc/{pid}/ns/net\0")?;
    let mut target = [0_u8; 32];
    // SAFETY: the path ends with a NUL, and the kernel writes at most the length of the target.
    let length =
        unsafe { libc::readlink(path.as_ptr().cast(), target.as_mut_ptr().cast(), target.len()) };
    let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
    NetnsId::from_link(&target[..length]).ok_or_else(|| io::Error::other("no namespace"))
}

/// Our own network namespace.
///
/// # Errors
/// `/proc` is not mounted.
pub fn our_netns() -> io::Result<NetnsId> {
    let link = std::fs::read_link("/proc/self/ns/net")?;
    NetnsId::from_link(link.as_os_str().as_encoded_bytes())
        .ok_or_else(|| io::Error::other("no namespace"))
}

/// The pids of all processes that can be seen.
///
/// # Errors
/// `/proc` cannot be read.
pub fn pids() -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in Dir::open("/proc", OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?.iter() {
        pids.extend(entry?.file_name().to_str().ok().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(pids)
}

/// Whether `/proc` shows all processes: mounted with `hidepid` it lists the caller's own processes only.
pub fn shows_all() -> bool {
    Path::new("/proc/1").exists()
}

/// Whether we are in the pid namespace of the machine, which sees the processes of all others.
pub fn sees_all_pids() -> bool {
    /// `PROC_PID_INIT_INO` of `linux/proc_ns.h`.
    const MACHINE: &str = "pid:[4026531836]";
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == MACHINE)
}

/// The name of a process for the kernel; any user may read it.
///
/// # Errors
/// There is no such process for us.
pub fn name_of(pid: i32) -> io::Result<String> {
    procfs::text(format!("/proc/{pid}/comm")).map(|name| name.trim_end().to_owned())
}

/// The command line of a process, its arguments joined by spaces; any user may read it. Empty for
/// a zombie.
///
/// # Errors
/// There is no such process for us.
pub fn command_line(pid: i32) -> io::Result<String> {
    let line = procfs::text(format!("/proc/{pid}/cmdline"))?;
    Ok(line.replace('\0', " ").trim_end().to_owned())
}

/// Whether a process lives in our network namespace. `/proc/PID/net` is a directory of the
/// namespace, not of the process: the same inode means the same namespace, and any user may ask.
///
/// # Errors
/// There is no such process for us.
pub fn shares_our_netns(pid: i32) -> io::Result<bool> {
    let inode = |who: &str| std::fs::metadata(format!("/proc/{who}/net/dev")).map(|m| m.ino());
    Ok(inode("self")? == inode(&pid.to_string())?)
}

/// The list of network devices in the namespace of a process; it stays that of the namespace.
pub struct DeviceList(File);

impl DeviceList {
    /// Opens it.
    ///
    /// # Errors
    /// There is no such process for us.
    pub fn of(pid: i32) -> io::Result<Self> {
        File::open(format!("/proc/{pid}/net/dev")).map(Self)
    }

    /// The names of the devices.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn names(self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        // Two lines of headings come first.
        for line in BufReader::with_capacity(64 << 10, self.0).split(b'\n').skip(2) {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            // A device name may hold a colon only as part of an alias, so the last one ends it.
            if let Some((name, _)) = line.trim_start().rsplit_once(':') {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> i32 {
        i32::try_from(std::process::id()).expect("a pid")
    }

    #[test]
    fn this_process_is_alive_and_one_that_never_was_is_missing() {
        let seen = look_at(&[me(), i32::MAX], Depth::Whole);
        assert!(!seen.contains_key(&i32::MAX));
        let process = &seen[&me()];
        assert_eq!(process.state, State::Alive);
        assert!(process.memory > 0 && process.parent.is_some());
    }

    #[test]
    fn this_process_is_among_all_and_has_a_namespace() {
        assert!(pids().expect("/proc").contains(&me()));
        assert!(netns_of(me()).is_ok());
        assert_eq!(
            name_of(me()).expect("our own /proc"),
            look_at(&[me()], Depth::State)[&me()].name
        );
        assert!(command_line(me()).expect("our own /proc").contains("calipso"));
        let no_process = netns_of(i32::MAX).map_err(|e| e.kind());
        assert_eq!(no_process, Err(io::ErrorKind::NotFound));
    }

    #[test]
    fn this_process_shares_its_own_namespace_and_has_a_loopback() {
        assert!(shares_our_netns(me()).expect("our own /proc"));
        let names = DeviceList::of(me()).and_then(DeviceList::names);
        assert!(names.expect("our own /proc").contains(&"lo".to_owned()));
        assert!(shares_our_netns(i32::MAX).is_err());
    }
}
