//! Less is enough: what a check may do beyond its caller is trimmed to what its manifest entry names
//! and in effect only across the very calls that need it, and none of it is left when a daemon or
//! the network is listened to.
//!
//! All of this is about rights from the file's capabilities (`AT_SECURE`). Root, and an agent with
//! capabilities of its own, keep in effect what the manifest names: nothing is lent to them.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// A capability that a check can make use of, or that is told of: its number for the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability(u8);

/// Opens and connects to what file modes forbid.
pub const DAC_OVERRIDE: Capability = Capability(1);
/// Reads and lists what file modes forbid.
pub const DAC_READ_SEARCH: Capability = Capability(2);
/// Makes the kernel ask for a neighbour.
pub const NET_ADMIN: Capability = Capability(12);
/// Opens raw sockets.
pub const NET_RAW: Capability = Capability(13);
/// Sees where the processes of others live.
pub const SYS_PTRACE: Capability = Capability(19);
/// Enters namespaces.
pub const SYS_ADMIN: Capability = Capability(21);

const NAMES: &[(&str, Capability)] = &[
    ("cap_dac_override", DAC_OVERRIDE),
    ("cap_dac_read_search", DAC_READ_SEARCH),
    ("cap_net_admin", NET_ADMIN),
    ("cap_net_raw", NET_RAW),
    ("cap_sys_admin", SYS_ADMIN),
    ("cap_sys_ptrace", SYS_PTRACE),
];

/// The names of all that a check can make use of.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

impl Capability {
    /// By the name that `setcap` takes; `None` for one that no check needs.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, capability)| *capability)
    }

    /// Its bit in a set.
    pub const fn bit(self) -> u64 {
        1 << self.0
    }
}

/// The rights of a process, one bit a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sets {
    /// What counts.
    effective: u64,
    /// What can be brought into effect.
    permitted: u64,
}

/// Whether the program runs with more rights than its caller (file capabilities), so that
/// the caller's words must not choose what it opens with them.
pub fn elevated() -> bool {
    // SAFETY: getauxval reads the auxiliary vector that the kernel passed.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Keeps these capabilities, named as `setcap` does, and no others; those that the caller does not
/// have are from now on in effect only where they are [lent](lend). Such a process sees nothing of
/// its environment and can be neither traced nor dumped. No process that it could start would ever
/// have more rights.
///
/// # Errors
/// Which kernel call refused; the check must then not go on.
pub fn keep_only(names: &[&str]) -> Result<(), String> {
    control(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(|e| failed("no_new_privs", &e))?;
    if elevated() {
        // `fs.suid_dumpable` may say otherwise.
        control(libc::PR_SET_DUMPABLE, 0).map_err(|e| failed("dumpable", &e))?;
        // SAFETY: no other thread runs, and nothing holds a pointer into the environment.
        if unsafe { libc::clearenv() } != 0 {
            return Err("cannot drop the environment".to_owned());
        }
    }
    keep_in_thread(names)
}

/// Keeps these capabilities and no others in the calling thread; what it lends and lays down is its own
/// business too. The process has been seen to by [`keep_only`].
///
/// # Errors
/// As [`keep_only`].
pub fn keep_in_thread(names: &[&str]) -> Result<(), String> {
    let held = read().map_err(|e| failed("capget", &e))?;
    let wanted = names.iter().filter_map(|name| Capability::named(name));
    let permitted = held.permitted & wanted.fold(0, |all, capability| all | capability.bit());
    let effective = if elevated() { 0 } else { held.effective & permitted };
    let sets = Sets { effective, permitted };
    if sets != held {
        write(sets).map_err(|e| failed("capset", &e))?;
    }
    LENDS.set(permitted & !effective != 0);
    Ok(())
}

fn failed(what: &str, e: &io::Error) -> String {
    format!("cannot drop rights: {what}: {e}")
}

thread_local! {
    /// Whether this thread may have something to lend; most have not, and need not ask the kernel.
    static LENDS: Cell<bool> = const { Cell::new(true) };
}

/// Whether there is a capability, in effect or to lend.
pub fn has(capability: Capability) -> bool {
    read().is_ok_and(|sets| sets.permitted & capability.bit() != 0)
}

/// Does something with a capability in effect, if there is one to lend.
pub fn lend<T>(capability: Capability, errand: impl FnOnce() -> T) -> T {
    if !LENDS.get() {
        return errand();
    }
    let now = read().ok().filter(|sets| sets.permitted & !sets.effective & capability.bit() != 0);
    let Some(sets) = now else { return errand() };
    let effective = sets.effective | capability.bit();
    // Refused, the errand will be refused too, and says so.
    write(Sets { effective, ..sets }).ok();
    let done = errand();
    write(sets).expect("the kernel lets rights be laid down");
    done
}

/// Gives up a capability that is only lent, for good: before something is done for which it was not
/// given. To those who have it themselves it is left.
pub fn give_up(capability: Capability) {
    lay_down(capability.bit());
}

/// Gives up all that are only lent, likewise.
pub fn give_up_all() {
    lay_down(u64::MAX);
}

/// Gives up all capabilities that are only lent, for good: before anything is listened to. Before a
/// further look there is nothing that could be given up for good.
pub fn renounce() {
    renounce_these(u64::MAX);
}

/// [Renounces](renounce) all but those that are still needed.
pub fn renounce_all_but(needed: &[Capability]) {
    renounce_these(!needed.iter().fold(0, |bits, capability| bits | capability.bit()));
}

fn renounce_these(bits: u64) {
    if !AGAIN.load(Ordering::Relaxed) {
        lay_down(bits);
    }
}

fn lay_down(bits: u64) {
    if LENDS.get()
        && let Ok(sets) = read()
        && sets.permitted & !sets.effective & bits != 0
    {
        let permitted = sets.permitted & (sets.effective | !bits);
        write(Sets { permitted, ..sets }).expect("the kernel lets rights be laid down");
    }
}

/// There will be another look, for which the same rights are needed, or not.
pub fn needed_again(again: bool) {
    AGAIN.store(again, Ordering::Relaxed);
}

static AGAIN: AtomicBool = AtomicBool::new(false);

/// `_LINUX_CAPABILITY_VERSION_3` of `linux/capability.h`: two words for each set.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `effective`, `permitted`, `inheritable`, each time for 32 capabilities.
type Words = [[u32; 3]; 2];

fn capget() -> io::Result<Words> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut words: Words = [[0; 3]; 2];
    // SAFETY: a header of version 3 and room for its two structures.
    match unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) } {
        0 => Ok(words),
        _ => Err(io::Error::last_os_error()),
    }
}

fn read() -> io::Result<Sets> {
    let words = capget()?;
    let set = |at: usize| u64::from(words[0][at]) | u64::from(words[1][at]) << 32;
    Ok(Sets { effective: set(0), permitted: set(1) })
}

/// What a shell could pass on (the inheritable set) stays as it is.
fn write(sets: Sets) -> io::Result<()> {
    let mut words = capget()?;
    for (at, set) in [sets.effective, sets.permitted].into_iter().enumerate() {
        words[0][at] = set as u32;
        words[1][at] = (set >> 32) as u32;
    }
    let mut header = Header { version: VERSION, pid: 0 };
    // SAFETY: a header of version 3 and its two structures.
    match unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn control(option: i32, value: libc::c_ulong) -> io::Result<()> {
    let none: libc::c_ulong = 0;
    // SAFETY: these options take a number and three zeros.
    match unsafe { libc::prctl(option, value, none, none, none) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Capabilities are a thread's: other tests keep theirs.
    #[allow(clippy::disallowed_methods, reason = "a test of what is each thread's own")]
    fn apart(test: impl FnOnce() + Send + 'static) {
        std::thread::spawn(test).join().expect("the test holds");
    }

    fn status(name: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("our own");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a set");
        u64::from_str_radix(line.trim(), 16).expect("hexadecimal")
    }

    #[test]
    fn the_kernel_agrees_on_what_is_held() {
        let sets = read().expect("capget");
        assert_eq!(sets.effective, status("CapEff:"));
        assert_eq!(sets.permitted, status("CapPrm:"));
    }

    #[test]
    fn what_is_lent_is_in_effect_for_the_errand_alone_and_renounced_for_good() {
        apart(|| {
            // All that root has; nothing for others, who can lay down as much.
            let permitted = read().expect("capget").permitted;
            write(Sets { effective: 0, permitted }).expect("capset");
            assert_eq!(lend(NET_RAW, || status("CapEff:")), permitted & NET_RAW.bit());
            assert_eq!((status("CapEff:"), status("CapPrm:")), (0, permitted));
            give_up(NET_RAW);
            assert_eq!(status("CapPrm:"), permitted & !NET_RAW.bit());
            assert_eq!(lend(NET_RAW, || status("CapEff:")), 0);
            renounce_all_but(&[NET_ADMIN]);
            assert_eq!(status("CapPrm:"), permitted & NET_ADMIN.bit());
            renounce();
            assert_eq!((status("CapPrm:"), lend(SYS_ADMIN, || status("CapEff:"))), (0, 0));
        });
    }

    #[test]
    fn what_the_caller_has_is_not_given_up() {
        apart(|| {
            let own = read().expect("capget");
            give_up(NET_RAW);
            renounce();
            assert_eq!(read().expect("capget"), own);
        });
    }

    #[test]
    fn every_right_of_the_manifest_has_a_number() {
        let book = crate::manifest::SOURCES;
        let entries = book.iter().map(|(_, text)| toml::from_str::<toml::Table>(text));
        for entry in entries {
            let rights = entry.expect("TOML")["rights"].clone();
            for kind in ["capabilities", "optional"] {
                let names = rights.get(kind).and_then(|names| names.as_array().cloned());
                for name in names.unwrap_or_default() {
                    let name = name.as_str().expect("a name");
                    assert!(Capability::named(name).is_some(), "{name}");
                }
            }
        }
    }
}
