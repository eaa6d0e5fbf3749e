//! Named network namespaces: `/run/netns/NAME`, as `ip netns` makes them.
//!
//! A live one is a file of the kernel's namespace file system mounted over a plain file; the plain
//! file alone is what a namespace leaves behind that is gone, or what is seen where mounts do not
//! propagate (in a container).

use crate::host::netlink::Route;
use crate::host::nsid::NETNSA_FD;
use crate::host::trouble::Trouble;
use crate::host::words::plain_name;
use crate::rights::{self, SYS_ADMIN};
use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{FsType, Statfs, fstatfs, statfs};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where `ip netns` and Neutron keep them.
pub const DIRECTORY: &str = "/run/netns";

/// The name of a namespace: a file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetnsName(String);

impl NetnsName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NetnsName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        plain_name(text, "a namespace's name", 255).map(|()| Self(text.to_owned()))
    }
}

impl fmt::Display for NetnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A live network namespace, held open.
#[derive(Debug)]
pub struct Netns {
    file: File,
    /// What tells it from all others.
    pub id: NetnsId,
}

/// What tells a namespace from all others while it lives: the inode of its file. All are files of the
/// one namespace file system of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetnsId(u64);

impl NetnsId {
    /// From what `/proc/PID/ns/net` points to: `net:[4026531840]`. To read the link costs half of
    /// following it.
    pub(super) fn from_link(target: &[u8]) -> Option<Self> {
        let inode = target.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
        str::from_utf8(inode).ok()?.parse().ok().map(Self)
    }
}

/// What stands behind a name.
#[derive(Debug)]
pub enum Standing {
    /// A namespace.
    Live(Netns),
    /// A plain file: the namespace is gone, or its mount is not seen here.
    Stale(Neighbours),
    /// Nothing.
    Absent,
}

/// Whether other names of the directory stand for namespaces: if none does, a plain file says little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// At least one other name is a live namespace: mounts are seen here.
    SomeLive,
    /// No name is.
    NoneLive,
}

/// Looks what stands behind a name.
///
/// # Errors
/// The file may not be opened.
pub fn look(name: &NetnsName) -> Result<Standing, Trouble> {
    let path = path_of(name);
    match open(&path) {
        Ok(Some(netns)) => Ok(Standing::Live(netns)),
        Ok(None) => Ok(Standing::Stale(neighbours())),
        // A link to `/proc/PID/ns/net` whose process is gone.
        Err(e) if e.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            Ok(Standing::Stale(Neighbours::SomeLive))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Standing::Absent),
        Err(e) => Err(Trouble::of(path.display().to_string(), &e)),
    }
}

fn path_of(name: &NetnsName) -> PathBuf {
    Path::new(DIRECTORY).join(name.as_str())
}

/// The namespace behind a path; `None` if it is another kind of file.
fn open(path: &Path) -> io::Result<Option<Netns>> {
    // The plain file has no permission bits at all (`ip netns` makes it so), and a fifo in its place
    // must not block us: only what is a namespace is opened.
    if !is_namespace(statfs(path)?) {
        return Ok(None);
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match file {
        Ok(file) if is_namespace(fstatfs(&file)?) => file,
        // Unmounted since.
        Ok(_) => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        Err(e) => return Err(e),
    };
    let id = NetnsId(file.metadata()?.ino());
    Ok(Some(Netns { file, id }))
}

fn is_namespace(file: Statfs) -> bool {
    /// `NSFS_MAGIC`; kernels before 3.19 showed files of `/proc` instead.
    const NSFS: FsType = FsType(0x6e73_6673);
    const PROC: FsType = FsType(0x9fa0);
    let kind = file.filesystem_type();
    kind == NSFS || kind == PROC
}

fn neighbours() -> Neighbours {
    let names = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let live = |path: &Path| open(path).is_ok_and(|netns| netns.is_some());
    if names.map(|entry| entry.path()).any(|path| live(&path)) {
        Neighbours::SomeLive
    } else {
        Neighbours::NoneLive
    }
}

impl Netns {
    /// The number that the kernel gave this namespace in ours, if it gave it one: it does when a
    /// device of ours has its partner there. Any user may ask (`RTM_GETNSID`).
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn number(&self, route: &Route) -> io::Result<Option<i32>> {
        route.netns_number(NETNSA_FD, self.file.as_raw_fd())
    }

    /// Does something inside the namespace, and comes back. Needs `CAP_SYS_ADMIN`. Only for what
    /// stays in the namespace by itself, like making a socket.
    ///
    /// # Errors
    /// We may not enter, or what was done failed.
    pub(super) fn visit<T>(&self, errand: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let home = File::open("/proc/thread-self/ns/net")?;
        // Who may not enter home, which may belong to another user namespace, must not leave it: what
        // is read elsewhere would be told as ours.
        let enter = || {
            setns(&home, CloneFlags::CLONE_NEWNET)?;
            setns(&self.file, CloneFlags::CLONE_NEWNET)
        };
        rights::lend(SYS_ADMIN, enter)?;
        let done = errand();
        let leave = || setns(&home, CloneFlags::CLONE_NEWNET);
        rights::lend(SYS_ADMIN, leave).expect("the way home, which was open a moment ago");
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_namespace_is_one_and_a_plain_file_is_not() {
        let own = open(Path::new("/proc/self/ns/net")).expect("our own").expect("a namespace");
        let link = std::fs::read_link("/proc/self/ns/net").expect("our own");
        assert_eq!(NetnsId::from_link(link.as_os_str().as_encoded_bytes()), Some(own.id));
        for nonsense in ["", "net:[]", "net:[x]", "mnt:[1]", "/proc/1/ns/net"] {
            assert_eq!(NetnsId::from_link(nonsense.as_bytes()), None, "{nonsense}");
        }
        assert!(open(Path::new("/proc/self/exe")).expect("our program").is_none());
        let name: NetnsName = "calipso-no-such-namespace".parse().expect("a name");
        assert!(matches!(look(&name), Ok(Standing::Absent)));
    }

    #[test]
    fn names_are_file_names() {
        for good in ["qdhcp-1abd0001-0000-4000-8000-000000000001", "cni-x", "blue"] {
            assert!(good.parse::<NetnsName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "/run/netns/x", "a b", "a\0", "a;b"] {
            assert!(bad.parse::<NetnsName>().is_err(), "{bad:?}");
        }
    }
}
