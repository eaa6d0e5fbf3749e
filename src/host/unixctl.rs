//! Commands to an Open vSwitch daemon over its control socket (`RUNDIR/NAME.PID.ctl`): JSON-RPC
//! with string parameters and a text as result. Several commands go out in one send.

use crate::host::ovsdb::scan::{Piece, Scanner};
use crate::host::talk::{Dialogue, Heard};
use serde::Deserialize;
use serde_json::json;

/// Some commands and their answers, in order.
#[derive(Debug)]
pub struct Commands {
    commands: &'static [(&'static str, &'static [&'static str])],
    scanner: Scanner,
    /// The text of each answer, or the daemon's refusal of it.
    pub answers: Vec<Result<String, String>>,
}

#[derive(Deserialize)]
struct Reply {
    result: Option<String>,
    error: Option<String>,
}

impl Commands {
    /// Prepares commands: names and parameters.
    pub fn new(commands: &'static [(&'static str, &'static [&'static str])]) -> Self {
        Self { commands, scanner: Scanner::default(), answers: Vec::new() }
    }

    /// The text that answers the command with this index.
    pub fn answer(&self, index: usize) -> Option<&str> {
        self.answers.get(index)?.as_deref().ok().map(str::trim)
    }
}

impl Dialogue for Commands {
    fn opening(&self) -> Vec<u8> {
        let requests = self.commands.iter().enumerate().map(|(id, (method, params))| {
            json!({"id": id, "method": method, "params": params}).to_string()
        });
        requests.collect::<String>().into_bytes()
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

#[cfg(test)]
mod tests {
    use super::*;

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
