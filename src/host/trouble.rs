//! Why a question to the machine has no answer.

use std::fmt;
use std::io;
use std::time::Duration;

/// A question without an answer: who was asked, and why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Who was asked, with the address: `ovsdb-server (/run/openvswitch/db.sock)`.
    pub whom: String,
    /// Why there is no answer.
    pub why: Why,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There is no such socket, file or device.
    Absent,
    /// The address is there, but nobody listens.
    Refused,
    /// The caller has no right to ask.
    Forbidden,
    /// No complete answer within this time.
    Silent(Duration),
    /// The connection was closed before the answer was complete.
    HungUp,
    /// There is no way to the address.
    Unreachable(String),
    /// The answer is not what was asked for: its first line, or what is wrong with it.
    Unreadable(String),
    /// The kernel said something else.
    Failed(String),
}

impl Trouble {
    /// What an error of the kernel means, with who was asked.
    pub fn of(whom: impl Into<String>, error: &io::Error) -> Self {
        Self { whom: whom.into(), why: Why::of(error) }
    }
}

impl Why {
    /// What an error of the kernel means for a question.
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::HungUp,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::TimedOut => Self::Unreachable(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("does not exist"),
            Self::Refused => f.write_str("nobody listens"),
            Self::Forbidden => f.write_str("permission denied"),
            Self::Silent(after) if after.as_secs() == 0 => {
                write!(f, "no answer within {} ms", after.as_millis())
            }
            Self::Silent(after) => write!(f, "no answer within {:.1} s", after.as_secs_f64()),
            Self::HungUp => f.write_str("hung up before the answer was complete"),
            Self::Unreadable(what) => write!(f, "unreadable answer: {what}"),
            Self::Unreachable(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}

impl Trouble {
    /// Where it was: what stands in parentheses behind a name, or else the name.
    pub fn place(&self) -> &str {
        let place = self.whom.strip_suffix(')').and_then(|whom| whom.rsplit_once(" ("));
        place.map_or(self.whom.as_str(), |(_, place)| place)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.whom, self.why)
    }
}
