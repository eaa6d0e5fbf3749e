//! What libvirt calls the states of a domain, and its reasons for them. Source: `virDomainState`
//! and the enums behind it in `libvirt-domain.h`; names as `virsh domstate --reason` has them.

use std::fmt;

/// What a domain is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// libvirt has no state for it.
    NoState,
    /// It runs.
    Running,
    /// It runs, and its CPUs are idle or wait for a resource. Only old Xen says so.
    Blocked,
    /// Its CPUs are stopped.
    Paused,
    /// It is on its way to being shut off.
    ShuttingDown,
    /// It is defined and does not run.
    ShutOff,
    /// It crashed, and libvirt keeps what is left of it.
    Crashed,
    /// Its guest suspended it (ACPI S3).
    PmSuspended,
    /// A number that this program has no name for.
    Other(i32),
}

/// Why a domain is in its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// One word: `io-error`.
    pub word: &'static str,
    /// As the end of a sentence: `its disk had an I/O error`. Empty where nothing is known.
    pub clause: &'static str,
}

impl State {
    /// From libvirt's number.
    pub const fn of(number: i32) -> Self {
        match number {
            0 => Self::NoState,
            1 => Self::Running,
            2 => Self::Blocked,
            3 => Self::Paused,
            4 => Self::ShuttingDown,
            5 => Self::ShutOff,
            6 => Self::Crashed,
            7 => Self::PmSuspended,
            other => Self::Other(other),
        }
    }

    /// libvirt's number.
    pub const fn number(self) -> i32 {
        match self {
            Self::NoState => 0,
            Self::Running => 1,
            Self::Blocked => 2,
            Self::Paused => 3,
            Self::ShuttingDown => 4,
            Self::ShutOff => 5,
            Self::Crashed => 6,
            Self::PmSuspended => 7,
            Self::Other(number) => number,
        }
    }

    /// One word: `shut-off`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoState => "no-state",
            Self::Running => "running",
            Self::Blocked => "blocked",
            Self::Paused => "paused",
            Self::ShuttingDown => "in-shutdown",
            Self::ShutOff => "shut-off",
            Self::Crashed => "crashed",
            Self::PmSuspended => "pmsuspended",
            Self::Other(_) => "other",
        }
    }

    /// What libvirt's number for a reason means in this state.
    pub fn reason(self, number: i32) -> Reason {
        let reasons = match self {
            Self::Running => RUNNING,
            Self::Paused => PAUSED,
            Self::ShuttingDown => SHUTTING_DOWN,
            Self::ShutOff => SHUT_OFF,
            Self::Crashed => CRASHED,
            _ => &[],
        };
        // Number 0 is "unknown" in all of them.
        let known = usize::try_from(number).ok().and_then(|n| reasons.get(n.checked_sub(1)?));
        let (word, clause) = *known.unwrap_or(&("unknown", ""));
        Reason { word, clause }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(number) => write!(f, "state {number}"),
            state => f.write_str(&state.word().replace('-', " ")),
        }
    }
}

/// Reasons of one state by number, from 1.
type Reasons = &'static [(&'static str, &'static str)];

const RUNNING: Reasons = &[
    ("booted", "booted"),
    ("migrated", "migrated from another host"),
    ("restored", "restored from a state file"),
    ("from-snapshot", "restored from a snapshot"),
    ("unpaused", "resumed"),
    ("migration-canceled", "its migration was canceled"),
    ("save-canceled", "saving it to a file was canceled"),
    ("wakeup", "woken up"),
    ("crashed", "resumed after a crash"),
    ("post-copy", "in a post-copy migration"),
    ("post-copy-failed", "its post-copy migration failed"),
];

const PAUSED: Reasons = &[
    ("user", "by its user"),
    ("migration", "for a migration"),
    ("save", "while it is saved to a file"),
    ("dump", "while its memory is dumped"),
    ("io-error", "its disk had an I/O error"),
    ("watchdog", "its watchdog struck"),
    ("from-snapshot", "restored so from a snapshot"),
    ("shutting-down", "it is shutting down"),
    ("snapshot", "while a snapshot is made"),
    ("crashed", "its guest crashed"),
    ("starting-up", "it is being started"),
    ("post-copy", "in a post-copy migration"),
    ("post-copy-failed", "its post-copy migration failed"),
    ("api-error", "resuming it after a migration or snapshot failed"),
];

const SHUTTING_DOWN: Reasons = &[("user", "by its user")];

const SHUT_OFF: Reasons = &[
    ("shutdown", "its guest shut down"),
    ("destroyed", "powered off by force"),
    ("crashed", "its emulator or guest crashed"),
    ("migrated", "migrated to another host"),
    ("saved", "saved to a file"),
    ("failed", "it failed to start"),
    ("from-snapshot", "restored so from a snapshot"),
    ("daemon", "ended by libvirt when it reconnected"),
];

const CRASHED: Reasons = &[("panicked", "its guest panicked")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_libvirts() {
        for number in -1..9 {
            assert_eq!(State::of(number).number(), number);
        }
        for (state, number, word) in [
            (1, 1, "booted"),
            (1, 11, "post-copy-failed"),
            (3, 5, "io-error"),
            (3, 10, "crashed"),
            (3, 14, "api-error"),
            (5, 3, "crashed"),
            (5, 8, "daemon"),
            (6, 1, "panicked"),
        ] {
            assert_eq!(State::of(state).reason(number).word, word, "{state} {number}");
        }
    }

    #[test]
    fn a_reason_without_a_name_is_unknown() {
        for (state, number) in [(1, 0), (1, 12), (3, -1), (7, 1), (99, 1), (5, i32::MIN)] {
            assert_eq!(State::of(state).reason(number).word, "unknown", "{state} {number}");
        }
    }
}
