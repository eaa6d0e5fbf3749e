//! The four verdicts of a monitoring plugin, and which of them counts more.

use std::fmt;
use std::str::FromStr;

/// A verdict. Ordered by severity, not by exit code: what was seen broken counts more than what
/// could not be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Works.
    Ok,
    /// Could not be judged.
    Unknown,
    /// Degraded.
    Warning,
    /// Missing, down or broken.
    Critical,
}

impl Status {
    /// What the process exits with: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// The word of the first line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word.to_ascii_lowercase().as_str() {
            "ok" => Ok(Self::Ok),
            "warning" => Ok(Self::Warning),
            "critical" => Ok(Self::Critical),
            "unknown" => Ok(Self::Unknown),
            _ => Err(format!("'{word}' is no status (ok, warning, critical, unknown)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_broken_counts_more_than_what_could_not_be_seen() {
        let mut all = [Status::Critical, Status::Ok, Status::Warning, Status::Unknown];
        all.sort();
        assert_eq!(all, [Status::Ok, Status::Unknown, Status::Warning, Status::Critical]);
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let codes =
            [Status::Ok, Status::Warning, Status::Critical, Status::Unknown].map(Status::exit_code);
        assert_eq!(codes, [0, 1, 2, 3]);
    }
}
