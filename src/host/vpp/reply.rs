//! The bytes of one reply of VPP's CLI, as they come: telnet commands passed over, CRLF or LF
//! taken as one, the end recognised. Lines are handed on at once, so that a reply of any length
//! costs no memory.

use memchr::memchr3;

/// How far a reply is.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// More must come.
    More,
    /// The byte 00: this was all.
    Complete,
    /// This is no reply: what is wrong with it.
    Nonsense(String),
}

/// One reply on its way.
#[derive(Debug, Default)]
pub struct Reply {
    telnet: Telnet,
    line: Vec<u8>,
    length: usize,
    /// The command, which a server in line mode says again first.
    echo: Option<String>,
    /// Its first line that says something, at most [`FIRST_LINE`] bytes of it.
    pub first: String,
    /// Whether the server negotiates terminals; one with `cli-line-mode` does not.
    pub greeted: bool,
}

/// Where in a telnet command the last byte was (RFC 854).
#[derive(Debug, Default, Clone, Copy)]
enum Telnet {
    #[default]
    Text,
    Command,
    Option,
    Negotiation,
    NegotiationCommand,
}

const IAC: u8 = 255;
const SB: u8 = 250;
const SE: u8 = 240;
/// WILL, WONT, DO, DONT: one more byte follows.
const OPTIONS: std::ops::RangeInclusive<u8> = 251..=254;

/// How much of the first line is kept for those who must be told of it.
const FIRST_LINE: usize = 160;
const LONGEST_LINE: usize = 64 << 10;
const LONGEST_REPLY: usize = 64 << 20;

impl Reply {
    /// A reply to a command that may be said again first.
    pub fn to(command: &str) -> Self {
        Self { echo: Some(command.to_owned()), ..Self::default() }
    }

    /// Takes the next bytes and hands on each line that is complete, as bytes: there are tens of
    /// thousands of them, and only few are looked into.
    pub fn take(&mut self, bytes: &[u8], each_line: &mut dyn FnMut(&[u8])) -> Heard {
        self.length += bytes.len();
        let mut rest = bytes;
        while let [byte, others @ ..] = rest {
            if !matches!(self.telnet, Telnet::Text) {
                self.negotiate(*byte);
                rest = others;
                continue;
            }
            let Some(at) = memchr3(b'\n', 0, IAC, rest) else {
                self.line.extend_from_slice(rest);
                break;
            };
            let (text, end) = (&rest[..at], rest[at]);
            rest = &rest[at + 1..];
            match end {
                b'\n' if self.line.is_empty() => self.hand_on(text, each_line),
                b'\n' => self.hand_on_with_kept(text, each_line),
                IAC => {
                    self.line.extend_from_slice(text);
                    self.greeted = true;
                    self.telnet = Telnet::Command;
                }
                _ => {
                    if !(text.is_empty() && self.line.is_empty()) {
                        self.hand_on_with_kept(text, each_line);
                    }
                    return Heard::Complete;
                }
            }
        }
        if self.line.len() > LONGEST_LINE {
            self.keep_first();
            return Heard::Nonsense(format!("a line of more than 64 KiB: {}", self.first));
        }
        if self.length > LONGEST_REPLY {
            return Heard::Nonsense(format!("more than 64 MiB: {}", self.first));
        }
        Heard::More
    }

    /// What has been said of a reply that goes no further; empty if nothing was.
    pub fn so_far(&mut self) -> &str {
        self.keep_first();
        &self.first
    }

    /// Whether it stopped at a prompt, as an interactive session does: there is no 00 byte then.
    pub fn prompts(&self) -> bool {
        self.line.ends_with(b"vpp# ")
    }

    fn negotiate(&mut self, byte: u8) {
        self.telnet = match (self.telnet, byte) {
            (Telnet::Command, SB) => Telnet::Negotiation,
            (Telnet::Command, byte) if OPTIONS.contains(&byte) => Telnet::Option,
            (Telnet::Negotiation, IAC) => Telnet::NegotiationCommand,
            (Telnet::NegotiationCommand, SE) | (Telnet::Command | Telnet::Option, _) => {
                Telnet::Text
            }
            _ => Telnet::Negotiation,
        };
    }

    /// A line that began in bytes that came before.
    fn hand_on_with_kept(&mut self, rest: &[u8], each_line: &mut dyn FnMut(&[u8])) {
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(rest);
        self.hand_on(&line, each_line);
        line.clear();
        self.line = line;
    }

    fn hand_on(&mut self, line: &[u8], each_line: &mut dyn FnMut(&[u8])) {
        // One at the end belongs to the line's end, one in front to a banner.
        let line = if let [line @ .., b'\r'] = line { line } else { line };
        let line = if let [b'\r', line @ ..] = line { line } else { line };
        if self.echo.is_some()
            && self.echo.take().is_some_and(|echo| echo.as_bytes() == line.trim_ascii())
        {
            return;
        }
        if self.first.is_empty() {
            self.first = beginning(line);
        }
        each_line(line);
    }

    fn keep_first(&mut self) {
        if self.first.is_empty() && !self.line.is_empty() {
            self.first = beginning(&self.line);
        }
    }
}

/// What is kept of a line for those who must be told of it.
fn beginning(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(FIRST_LINE)]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What VPP sends on accept.
    pub(crate) const GREETING: &[u8] =
        b"\xff\xfc\x22\xff\xfe\x22\xff\xfb\x03\xff\xfd\x03\xff\xfb\x01\
        \xff\xfe\x01\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0\xff\xfd\x1f\xff\xfa\x1f\x01\xff\xf0";

    fn lines_of(reply: &mut Reply, pieces: &[&[u8]]) -> (Vec<String>, Heard) {
        let mut lines = Vec::new();
        let mut heard = Heard::More;
        for piece in pieces {
            heard = reply.take(piece, &mut |line| {
                lines.push(String::from_utf8(line.to_vec()).expect("ASCII"));
            });
        }
        (lines, heard)
    }

    #[test]
    fn the_same_lines_come_out_however_the_bytes_are_cut() {
        let whole = [GREETING, b"vpp v25.10\r\n\r\nlast\r\n\0"].concat();
        for size in 1..whole.len() {
            let pieces: Vec<&[u8]> = whole.chunks(size).collect();
            let mut reply = Reply::default();
            let (lines, heard) = lines_of(&mut reply, &pieces);
            assert_eq!(
                (lines, heard),
                (vec!["vpp v25.10".into(), String::new(), "last".into()], Heard::Complete)
            );
            assert!(reply.greeted && reply.first == "vpp v25.10");
        }
    }

    #[test]
    fn a_zero_byte_within_a_negotiation_is_no_end() {
        let (lines, heard) =
            lines_of(&mut Reply::default(), &[b"\xff\xfa\x18\x00xterm\xff\xf0one\n", b"two\0"]);
        assert_eq!((lines, heard), (vec!["one".into(), "two".into()], Heard::Complete));
    }

    #[test]
    fn a_server_in_line_mode_repeats_the_command_and_sends_bare_line_ends() {
        let captured = b"show version\nvpp v25.10-release built by root\n\0";
        let mut reply = Reply::to("show version");
        let (lines, heard) = lines_of(&mut reply, &[captured]);
        assert_eq!(
            (lines, heard),
            (vec!["vpp v25.10-release built by root".into()], Heard::Complete)
        );
        assert!(!reply.greeted);
    }

    #[test]
    fn what_never_ends_is_no_reply() {
        let flood = vec![b'x'; 1 << 20];
        let mut reply = Reply::default();
        assert!(matches!(reply.take(&flood, &mut |_| {}), Heard::Nonsense(_)));
        let line = [b'y'; 1 << 10];
        let mut lines = [line.as_slice(), b"\n"].concat().repeat(1 << 10);
        let mut reply = Reply::default();
        let mut counted = 0;
        let ended =
            (0..70).map(|_| reply.take(&lines, &mut |_| counted += 1)).find(|h| *h != Heard::More);
        assert!(matches!(ended, Some(Heard::Nonsense(_))), "{ended:?}");
        lines.clear();
    }

    #[test]
    fn a_prompt_is_known_as_one() {
        let mut reply = Reply::default();
        reply.take(b"\r\n /_/ /____(_)_/\\___/   |___/_/  /_/    \r\n\r\nDBGvpp# ", &mut |_| {});
        assert!(reply.prompts());
    }
}
