//! One connection to VPP's CLI: commands one after the other, a polite end whatever happens.
//!
//! Seen on 25.10 and 21.06, read in the sources from 17.10 on: the terminal type `vppctl` makes a
//! session without echo, prompt and pager, in which each reply ends with a byte 00. VPP takes what
//! one `read` gives it for a whole command, so each command goes out in one send, and none is
//! longer than its buffer of 4096 bytes.
//!
//! A check that is ended by a signal leaves without `quit`: VPP sees the end of the connection, as
//! from a vppctl that is interrupted.

use super::reply::{self, Reply};
use crate::host::talk::{Dialogue, Heard, Line, Remote, Talk, converse};
use crate::host::words::absolute;
use crate::host::{Host, Trouble, Why};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Where VPP's CLI listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The first that exists is asked.
    candidates: Vec<Remote>,
}

/// `unix { cli-listen /run/vpp/cli.sock }` of today.
pub const SOCKET: &str = "/run/vpp/cli.sock";
/// That of some older packages.
const OLDER_SOCKET: &str = "/run/vpp/cli-vpp1.sock";
/// `cli-listen localhost:5002` of 17.x.
const OLD_PORT: u16 = 5002;

impl Default for Place {
    fn default() -> Self {
        let old = SocketAddr::from((Ipv4Addr::LOCALHOST, OLD_PORT));
        let unix = |path: &str| Remote::Unix(PathBuf::from(path));
        Self { candidates: vec![unix(SOCKET), unix(OLDER_SOCKET), Remote::Tcp(old)] }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix("unix:").unwrap_or(text);
        let remote = if bare.starts_with('/') {
            Remote::Unix(absolute(bare)?)
        } else {
            let bare = bare.strip_prefix("tcp:").unwrap_or(bare);
            let numeric = bare.replacen("localhost:", "127.0.0.1:", 1);
            let address = numeric.parse().map_err(|_| {
                format!("'{text}' is no place: write an absolute path or ADDRESS:PORT in numbers")
            })?;
            Remote::Tcp(address)
        };
        Ok(Self { candidates: vec![remote] })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.candidates.first() {
            Some(remote) => remote.fmt(f),
            None => f.write_str("nowhere"),
        }
    }
}

/// A conversation with one VPP; it takes leave when it is dropped.
pub struct Session<'p> {
    place: &'p Place,
    host: Host,
    line: Option<Line>,
    lost: Option<Trouble>,
    peer: Option<i32>,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// From sending, or connecting, to the complete reply.
    pub rtt: Duration,
    /// Its first line that says something.
    pub first: String,
}

/// What came of a command that prints a table or a text with known words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// What was asked for.
    Asked,
    /// VPP does not know this part of the command; or this interface in it.
    Refused(String),
}

impl<'p> Session<'p> {
    /// Nothing is opened before the first command.
    pub fn new(place: &'p Place, host: &Host) -> Self {
        Self { place, host: *host, line: None, lost: None, peer: None }
    }

    /// The process behind the socket as our pid namespace names it, once it was connected to.
    pub const fn peer_pid(&self) -> Option<i32> {
        self.peer
    }

    /// Runs a command; its lines are handed on as they come.
    ///
    /// # Errors
    /// There is no VPP, no complete reply in time, or something else spoke. After that nothing
    /// more is asked.
    pub fn ask(
        &mut self,
        command: &str,
        each_line: &mut dyn FnMut(&str),
    ) -> Result<Answer, Trouble> {
        self.ask_bytes(command, &mut |line| each_line(&String::from_utf8_lossy(line)))
    }

    fn ask_bytes(
        &mut self,
        command: &str,
        each_line: &mut dyn FnMut(&[u8]),
    ) -> Result<Answer, Trouble> {
        if let Some(trouble) = &self.lost {
            return Err(trouble.clone());
        }
        let asked = match self.line.take() {
            Some(line) => self.exchange(Ok(line), command, each_line).0,
            None => self.connect(command, each_line),
        };
        if let Err(trouble) = &asked {
            self.lost = Some(trouble.clone());
        }
        asked
    }

    /// The first place that is there; a VPP that is dead is told at the place where it should be.
    fn connect(
        &mut self,
        command: &str,
        each_line: &mut dyn FnMut(&[u8]),
    ) -> Result<Answer, Trouble> {
        let mut first = None;
        let place = self.place;
        for (nth, remote) in place.candidates.iter().enumerate() {
            (self.host.announce)(&format!("VPP ({remote})"));
            let (answer, vpp) = self.exchange(Err(remote.clone()), command, each_line);
            let Err(trouble) = answer else { return answer };
            let gone = matches!(trouble.why, Why::Absent | Why::Refused);
            // Whatever else may listen on that port today.
            let stranger = nth > 0 && !vpp && matches!(remote, Remote::Tcp(_));
            if !gone && !stranger {
                return Err(trouble);
            }
            // A socket that nobody listens on tells more than one that is not there.
            let better = matches!(
                (&first, &trouble.why),
                (Some(Trouble { why: Why::Absent, .. }), Why::Refused)
            ) && matches!(remote, Remote::Unix(_));
            if first.is_none() || better {
                first = Some(trouble);
            }
        }
        let nowhere = || Trouble { whom: "VPP".to_owned(), why: Why::Absent };
        Err(first.unwrap_or_else(nowhere))
    }

    /// One command over a connection, or the first over a new one. Whether a VPP is there.
    fn exchange(
        &mut self,
        line: Result<Line, Remote>,
        command: &str,
        each_line: &mut dyn FnMut(&[u8]),
    ) -> (Result<Answer, Trouble>, bool) {
        let new = line.is_err();
        let mut dialogue = Command::new(command, new, each_line);
        let talk = match line {
            Ok(line) => Talk::over(line, &mut dialogue),
            Err(remote) => Talk::new("VPP", remote, &mut dialogue),
        };
        let mut talks = [talk];
        converse(&mut talks, self.host.until);
        let [talk] = talks;
        self.peer = talk.peer_pid().or(self.peer);
        let (outcome, line) = talk.part();
        let Command { mut reply, .. } = dialogue;
        self.line = line;
        match outcome {
            Ok(_) if new && garbled(&reply.first, command) => self.again(command, each_line),
            Ok(rtt) => (Ok(Answer { rtt, first: reply.first }), true),
            Err(trouble) => (Err(explained(trouble, command, &mut reply)), reply.greeted),
        }
    }

    /// A server in line mode that took the terminal type for a part of the command.
    fn again(
        &mut self,
        command: &str,
        each_line: &mut dyn FnMut(&[u8]),
    ) -> (Result<Answer, Trouble>, bool) {
        match self.line.take() {
            Some(line) => self.exchange(Ok(line), command, each_line),
            None => {
                let whom = format!("VPP ({})", self.place);
                (Err(Trouble { whom, why: Why::HungUp }), false)
            }
        }
    }

    /// Runs a command that prints a table under a header which begins with these words. What stands
    /// before it is passed over; what follows is handed on as bytes, for it may be long.
    ///
    /// # Errors
    /// As [`Self::ask`]; a reply without the header is unreadable, unless it refuses.
    pub fn table(
        &mut self,
        command: &str,
        head: &[&str],
        row: &mut dyn FnMut(&[u8]),
    ) -> Result<Said, Trouble> {
        let mut began = false;
        let mut refused = None;
        let answer = self.ask_bytes(command, &mut |line| {
            if began {
                return row(line);
            }
            let line = String::from_utf8_lossy(line);
            if begins(&line, head) {
                began = true;
            } else if refused.is_none() {
                refused = refusal(&line).map(str::to_owned);
            }
        })?;
        self.said(command, began, refused, answer)
    }

    /// Runs a command that prints a text; `row` says whether a line is of the kind asked for.
    ///
    /// # Errors
    /// As [`Self::ask`]; a reply without such a line is unreadable, unless it refuses or
    /// `may_be_empty` and is.
    pub fn text(
        &mut self,
        command: &str,
        may_be_empty: bool,
        row: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Said, Trouble> {
        let mut known = false;
        let mut refused = None;
        let answer = self.ask(command, &mut |line| {
            if !row(line) && refused.is_none() {
                refused = refusal(line).map(str::to_owned);
            } else {
                known = known || !line.trim().is_empty();
            }
        })?;
        let known = known || (may_be_empty && answer.first.is_empty());
        self.said(command, known, refused, answer)
    }

    fn said(
        &self,
        command: &str,
        known: bool,
        refused: Option<String>,
        answer: Answer,
    ) -> Result<Said, Trouble> {
        match (known, refused) {
            (true, _) => Ok(Said::Asked),
            (false, Some(what)) => Ok(Said::Refused(what)),
            (false, None) => Err(self.unreadable(command, &answer.first)),
        }
    }

    /// The trouble of a command that VPP refuses though it should not.
    pub fn refused(&self, command: &str, quote: &str) -> Trouble {
        self.unreadable(command, &format!("unknown input `{quote}'"))
    }

    /// The trouble of a reply that is complete and not what was asked for.
    pub fn unreadable(&self, command: &str, first: &str) -> Trouble {
        let whom = match &self.line {
            Some(line) => line.whom().to_owned(),
            None => format!("VPP ({})", self.place),
        };
        Trouble { whom, why: Why::Unreadable(told(command, first)) }
    }
}

impl Drop for Session<'_> {
    /// `quit`, then waiting for VPP to close, but not long: it never reads what we close before it
    /// did, and a session that owes an answer may never close.
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_millis(100);
        let Some(line) = self.line.take() else { return };
        let now = Instant::now();
        let until = if self.lost.is_some() { now } else { self.host.until.min(now + PATIENCE) };
        let mut farewell = Farewell;
        let mut talks = [Talk::over(line, &mut farewell)];
        converse(&mut talks, until);
    }
}

/// One command and its reply.
struct Command<'c> {
    opening: Vec<u8>,
    reply: Reply,
    each_line: &'c mut dyn FnMut(&[u8]),
}

/// The terminal type that makes a session for programs (`IAC SB TTYPE IS vppctl IAC SE`).
const TERMINAL: &[u8] = b"\xff\xfa\x18\x00vppctl\xff\xf0";

impl<'c> Command<'c> {
    fn new(command: &str, new: bool, each_line: &'c mut dyn FnMut(&[u8])) -> Self {
        let mut opening = if new { TERMINAL.to_vec() } else { Vec::new() };
        opening.extend_from_slice(command.as_bytes());
        opening.push(b'\n');
        Self { opening, reply: Reply::to(command), each_line }
    }
}

impl Dialogue for Command<'_> {
    fn opening(&self) -> Vec<u8> {
        self.opening.clone()
    }

    fn hear(&mut self, bytes: &[u8]) -> Heard {
        match self.reply.take(bytes, self.each_line) {
            reply::Heard::More => Heard::More,
            reply::Heard::Complete => Heard::Done,
            reply::Heard::Nonsense(what) => Heard::Nonsense(what),
        }
    }
}

/// Over when VPP closes.
struct Farewell;

impl Dialogue for Farewell {
    fn opening(&self) -> Vec<u8> {
        b"quit\n".to_vec()
    }

    fn hear(&mut self, _bytes: &[u8]) -> Heard {
        Heard::More
    }
}

/// A reply that was begun and not ended says more than that the connection ended.
fn explained(trouble: Trouble, command: &str, reply: &mut Reply) -> Trouble {
    let prompts = reply.prompts();
    let first = reply.so_far();
    let why = match trouble.why {
        Why::HungUp if !first.is_empty() => {
            Why::Unreadable(format!("{}, and hung up", told(command, first)))
        }
        Why::Silent(_) if prompts => Why::Unreadable(format!(
            "{}: a session for people, with a prompt",
            told(command, first)
        )),
        Why::Unreadable(what) => Why::Unreadable(told(command, &what)),
        why => why,
    };
    Trouble { whom: trouble.whom, why }
}

fn told(command: &str, first: &str) -> String {
    const WORDS: usize = 40;
    let command: String = command.chars().take(WORDS).collect();
    let first = if first.is_empty() { "nothing" } else { first };
    format!("to `{command}': {first}")
}

/// Whether a server in line mode took the terminal type for a part of the command: it does not
/// know the whole of it, where VPP quotes what follows the words that it knows.
fn garbled(first: &str, command: &str) -> bool {
    refusal(first).is_some_and(|quote| quote.ends_with(command))
}

fn begins(line: &str, head: &[&str]) -> bool {
    let mut words = line.split_ascii_whitespace();
    head.iter().all(|word| words.next() == Some(word))
}

/// What VPP quotes as not known to it: `` show interface: unknown input `nosuch0' ``.
pub fn refusal(line: &str) -> Option<&str> {
    const WORDS: [&str; 3] =
        ["unknown input `", "unknown interface `", "unknown interface index `"];
    let (_, rest) = WORDS.iter().find_map(|words| line.split_once(words))?;
    Some(rest.rsplit_once('\'').map_or(rest, |(quote, _)| quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_a_numeric_address() {
        for good in
            ["/run/vpp/cli.sock", "unix:/x", "localhost:5002", "127.0.0.1:5002", "tcp:[::1]:5002"]
        {
            assert!(good.parse::<Place>().is_ok(), "{good}");
        }
        for bad in ["", "cli.sock", "vpp:5002", "localhost", "127.0.0.1", "unix:x", "/x\n"] {
            assert!(bad.parse::<Place>().is_err(), "{bad:?}");
        }
        assert_eq!(Place::default().to_string(), SOCKET);
    }

    #[test]
    fn a_refusal_quotes_what_is_not_known() {
        assert_eq!(refusal("show interface: unknown input `nosuch0'"), Some("nosuch0"));
        assert_eq!(refusal("unknown input `it's'"), Some("it's"));
        assert_eq!(refusal("show memory: Need one of api-segment"), None);
    }

    #[test]
    fn the_terminal_type_in_a_refusal_betrays_a_server_in_line_mode() {
        assert!(garbled("unknown input `show version'", "show version"));
        assert!(!garbled("show: unknown input `version'", "show version"));
    }
}
