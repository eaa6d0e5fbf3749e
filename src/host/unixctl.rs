//! Commands to an Open vSwitch daemon over its control socket (`RUNDIR/NAME.PID.ctl`): JSON-RPC
//! with string parameters and a text as result. Several commands go out in one send.

use crate::host::ovsdb::scan::{Piece, Scanner};
use crate::host::talk::{Dialogue, Heard};
use serde::Deserialize;
use serde_json::json;

/// A command: its name and its parameters.
pub type Command<'c> = (&'c str, &'c [&'c str]);

/// Some commands and their answers, in order.
#[derive(Debug)]
pub struct Commands<'c> {
    commands: &'c [Command<'c>],
    scanner: Scanner,
    /// The text of each answer, or the daemon's refusal of it.
    pub answers: Vec<Result<String, String>>,
}

fn request(id: usize, (method, params): Command) -> String {
    json!({"id": id, "method": method, "params": params}).to_string()
}

#[derive(Deserialize)]
struct Reply {
    result: Option<String>,
    error: Option<String>,
}

impl<'c> Commands<'c> {
    /// Prepares commands.
    pub fn new(commands: &'c [Command<'c>]) -> Self {
        Self { commands, scanner: Scanner::default(), answers: Vec::new() }
    }

    /// The text that answers the command with this index.
    pub fn answer(&self, index: usize) -> Option<&str> {
        self.answers.get(index)?.as_deref().ok().map(str::trim)
    }
}

impl Dialogue for Commands<'_> {
    fn opening(&self) -> Vec<u8> {
        let requests = self.commands.iter().enumerate();
        requests.map(|(id, command)| request(id, *command)).collect::<String>().into_bytes()
    }

    fn hear(&mut self, bytes: &[u8]) -> Heard {
        let answers = &mut self.answers;
        let fed = self.scanner.feed(bytes, |piece| {
            let Piece::Frame(frame) = piece else { return Err("rows from a daemon".to_owned()) };
            let reply: Reply =
                serde_json::from_slice(&frame).map_err(|e| format!("no unixctl reply: {e}"))?;
            answers.push(match (reply.result, reply.error) {
                (Some(text), None) => Ok(text),
                (_, error) => Err(error.unwrap_or_else(|| "neither result nor error".to_owned())),
            });
            Ok(())
        });
        match fed {
            Err(what) => Heard::Nonsense(what),
            Ok(()) if answers.len() >= self.commands.len() => Heard::Done,
            Ok(()) => Heard::More,
        }
    }
}

/// One command whose answer may have megabytes: handed on line by line, and never held.
pub struct Lines<'c> {
    command: Command<'c>,
    on_line: Box<dyn FnMut(&str) + 'c>,
    /// Containers that are open, and where in a string we are.
    depth: usize,
    string: InString,
    /// The message without the lines that were handed on.
    frame: Vec<u8>,
    line_starts: usize,
    last_line: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InString {
    No,
    Yes,
    BehindBackslash,
}

impl<'c> Lines<'c> {
    /// Prepares a command.
    pub fn new(command: Command<'c>, on_line: impl FnMut(&str) + 'c) -> Self {
        Self {
            command,
            on_line: Box::new(on_line),
            depth: 0,
            string: InString::No,
            frame: Vec::new(),
            line_starts: 0,
            last_line: String::new(),
        }
    }

    /// Takes a byte; says whether the message ends with it.
    fn byte(&mut self, byte: u8) -> bool {
        self.frame.push(byte);
        match (self.string, byte) {
            (InString::BehindBackslash, b'n') => {
                self.frame.truncate(self.frame.len() - 2);
                self.line();
                self.string = InString::Yes;
            }
            (InString::BehindBackslash, _) => self.string = InString::Yes,
            (InString::Yes, b'\\') => self.string = InString::BehindBackslash,
            (InString::Yes, b'"') => self.string = InString::No,
            (InString::Yes, _) => {}
            (InString::No, b'"') => {
                self.string = InString::Yes;
                self.line_starts = self.frame.len();
            }
            (InString::No, b'{' | b'[') => self.depth += 1,
            (InString::No, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            (InString::No, _) => {}
        }
        false
    }

    fn line(&mut self) {
        let line = String::from_utf8_lossy(&self.frame[self.line_starts..]);
        (self.on_line)(&line);
        self.last_line = line.into_owned();
        self.frame.truncate(self.line_starts);
    }

    /// The end of the message: what is left of it says whether the daemon refused.
    fn end(&self) -> Heard {
        match serde_json::from_slice::<Reply>(&self.frame) {
            Ok(Reply { result: Some(_), error: None }) => Heard::Done,
            Ok(Reply { error: Some(rest), .. }) => {
                Heard::Nonsense(format!("{}{rest}", self.last_line))
            }
            Ok(_) => Heard::Nonsense("neither result nor error".to_owned()),
            Err(e) => Heard::Nonsense(format!("no unixctl reply: {e}")),
        }
    }
}

impl Dialogue for Lines<'_> {
    fn opening(&self) -> Vec<u8> {
        request(0, self.command).into_bytes()
    }

    fn hear(&mut self, bytes: &[u8]) -> Heard {
        /// Of one line, and of what is no line.
        const LONGEST: usize = 64 << 10;
        for &byte in bytes {
            if self.depth == 0 && byte != b'{' {
                return Heard::Nonsense("no JSON object".to_owned());
            }
            if self.byte(byte) {
                return self.end();
            }
            if self.frame.len() > LONGEST {
                return Heard::Nonsense(format!("a line of more than {LONGEST} bytes"));
            }
        }
        Heard::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(reply: &str, chunk: usize) -> (Heard, Vec<String>) {
        let mut seen = Vec::new();
        let mut lines = Lines::new(("fdb/show", &["br0"]), |line| seen.push(line.to_owned()));
        let mut heard = Heard::More;
        for part in reply.as_bytes().chunks(chunk) {
            heard = lines.hear(part);
            if heard != Heard::More {
                break;
            }
        }
        drop(lines);
        (heard, seen)
    }

    #[test]
    fn a_long_answer_comes_line_by_line_whatever_the_chunks() {
        let reply = r#"{"id":0,"result":" port  VLAN\n    2     1\n\\x\"\n","error":null}"#;
        let other_order = r#"{"error":null,"result":" port  VLAN\n    2     1\n\\x\"\n","id":0}"#;
        for chunk in [1, 2, 3, 1000] {
            for reply in [reply, other_order] {
                let (heard, seen) = lines(reply, chunk);
                assert_eq!(heard, Heard::Done);
                assert_eq!(seen, [" port  VLAN", "    2     1", "\\\\x\\\""]);
            }
        }
    }

    #[test]
    fn a_refusal_and_nonsense_are_no_lines() {
        let refused = r#"{"id":0,"error":"no such bridge\n","result":null}"#;
        assert_eq!(lines(refused, 7).0, Heard::Nonsense("no such bridge".to_owned()));
        for bad in ["SSH-2.0", r#"{"id":0}"#, r#"{"id":{}}"#] {
            assert!(matches!(lines(bad, 3).0, Heard::Nonsense(_)), "{bad}");
        }
        let endless = format!("{{\"result\":\"{}", "x".repeat(70 << 10));
        assert!(matches!(lines(&endless, 4096).0, Heard::Nonsense(_)));
    }

    #[test]
    fn commands_go_out_together_and_come_back_in_order() {
        let mut commands = Commands::new(&[("version", &[]), ("coverage/read-counter", &["x"])]);
        assert_eq!(
            String::from_utf8(commands.opening()).expect("JSON"),
            "{\"id\":0,\"method\":\"version\",\"params\":[]}\
             {\"id\":1,\"method\":\"coverage/read-counter\",\"params\":[\"x\"]}"
        );
        let replies = concat!(
            r#"{"id":0,"result":"ovs-vswitchd (Open vSwitch) 3.1.0\n","error":null}"#,
            r#"{"id":1,"error":"No such counter\n"}"#
        );
        let (first, rest) = replies.split_at(70);
        assert_eq!(commands.hear(first.as_bytes()), Heard::More);
        assert_eq!(commands.hear(rest.as_bytes()), Heard::Done);
        assert_eq!(commands.answer(0), Some("ovs-vswitchd (Open vSwitch) 3.1.0"));
        assert_eq!(commands.answer(1), None);
    }

    #[test]
    fn captured_replies_are_understood() {
        let mut commands = Commands::new(&[("nosuch", &[])]);
        let reply = include_str!("../../tests/fixtures/ovs/unixctl-nosuch.resp.json");
        assert_eq!(commands.hear(reply.as_bytes()), Heard::Done);
        assert_eq!(commands.answer(0), None);
        let mut commands = Commands::new(&[("version", &[])]);
        assert!(matches!(commands.hear(b"SSH-2.0-OpenSSH"), Heard::Nonsense(_)));
    }
}
