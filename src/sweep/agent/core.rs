//! Sensu Core's client: a JSON array over a TCP connection, `ok` or `invalid`, and the end of it.
//!
//! The client is one thread and reads what it has got of a document from the start again with each
//! piece, so that the cost grows with the square of the length (64 KB: 30 ms, 256 KB: 0.5 s), and
//! calls a document `invalid` after half a second without a piece of it. So the documents are small, and
//! there is one at a time: others would only keep it from reading.

use super::{Delivery, Event, Fate, first_line, outcome, whole};
use crate::host::talk::{Dialogue, Heard, Remote, Talk, converse};
use crate::host::{Trouble, Why};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Instant;

const DAEMON: &str = "sensu-client";
/// The longest document of several results, in bytes.
const LONGEST: usize = 64 << 10;
/// The longest result, in bytes.
const LONGEST_ONE: usize = 256 << 10;

/// A result as it is said.
struct Letter {
    /// Whose it is.
    index: usize,
    json: String,
}

/// What the client says of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Ok,
    Invalid,
}

/// Says all that can be sent, in order.
pub(super) fn deliver(delivery: &mut Delivery, address: SocketAddr, events: &[Event]) {
    let letters = letters(delivery, events);
    let mut at = 0;
    // In front of this one of them was refused together with others.
    let mut suspected = 0;
    while at < letters.len() && delivery.goes_on(DAEMON, address) {
        let end = if at < suspected { at + 1 } else { at + batch(&letters[at..]) };
        let said = || letters[at..end].iter().map(|letter| letter.index);
        match ask(&letters[at..end], address, delivery.host.until) {
            Ok(Word::Ok) => {
                said().for_each(|index| delivery.fates[index] = Fate::Taken);
                at = end;
            }
            Ok(Word::Invalid) if end == at + 1 => {
                let why = "Sensu Core's client calls it invalid, its log says why".to_owned();
                delivery.fates[letters[at].index] = Fate::Refused(why);
                // What stood behind it was not looked at.
                (at, suspected) = (end, 0);
            }
            Ok(Word::Invalid) => {
                delivery.doubt(said());
                suspected = end;
            }
            Err(trouble) => {
                delivery.fail(trouble, said());
                at = end;
            }
        }
    }
}

fn letters(delivery: &mut Delivery, events: &[Event]) -> Vec<Letter> {
    let mut letters = Vec::new();
    for index in delivery.wanted() {
        let json = result(&events[index]).to_string();
        if json.len() > LONGEST_ONE {
            let why = format!("{} bytes are more than Sensu Core's client can read", json.len());
            delivery.fates[index] = Fate::Refused(why);
        } else {
            letters.push(Letter { index, json });
        }
    }
    letters
}

/// The check with its result, as the client publishes it.
fn result(event: &Event) -> Value {
    let mut check = event.definition.clone();
    match whole(&check, "ttl").filter(|ttl| *ttl > 0) {
        Some(ttl) => check.insert("ttl".into(), ttl.into()),
        None => check.remove("ttl"),
    };
    check.insert("name".into(), json!(event.name));
    check.extend(outcome(event));
    Value::Object(check)
}

/// How many fit into one document, at least one.
fn batch(letters: &[Letter]) -> usize {
    let mut length = "[".len();
    let fitting = letters.iter().take_while(|letter| {
        // A comma behind each, or the other bracket.
        length += letter.json.len() + ",".len();
        length <= LONGEST
    });
    fitting.count().max(1)
}

/// One document on a connection of its own.
fn ask(letters: &[Letter], address: SocketAddr, until: Instant) -> Result<Word, Trouble> {
    let mut asked = Asked::about(letters);
    let mut talks = [Talk::new(DAEMON, Remote::Tcp(address), &mut asked)];
    converse(&mut talks, until);
    let [talk] = talks;
    let whom = talk.whom().to_owned();
    talk.outcome()?;
    asked.word.ok_or(Trouble { whom, why: Why::HungUp })
}

/// A document, and the word that is heard of it.
struct Asked {
    document: String,
    heard: Vec<u8>,
    word: Option<Word>,
}

impl Asked {
    fn about(letters: &[Letter]) -> Self {
        let all: Vec<&str> = letters.iter().map(|letter| letter.json.as_str()).collect();
        Self { document: format!("[{}]", all.join(",")), heard: Vec::new(), word: None }
    }
}

impl Dialogue for Asked {
    fn opening(&self) -> Vec<u8> {
        self.document.clone().into()
    }

    fn hear(&mut self, bytes: &[u8]) -> Heard {
        self.heard.extend(bytes);
        for (text, word) in [("ok", Word::Ok), ("invalid", Word::Invalid)] {
            if self.heard == text.as_bytes() {
                self.word = Some(word);
                return Heard::Done;
            }
            if text.as_bytes().starts_with(&self.heard) {
                return Heard::More;
            }
        }
        Heard::Nonsense(first_line(&self.heard))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::event;
    use super::*;

    #[test]
    fn a_result_is_the_check_as_the_client_publishes_it() {
        let definition = json!({
            "command": "check_x", "handlers": ["file"], "type": "metric", "interval": 60, "ttl": "180",
            "status": 0, "name": "other", "output": "old", "issued": 1, "executed": 2, "duration": 3,
            "source": "host-1", "calipso": {"id": "x"},
        });
        let expected = json!({
            "command": "check_x", "handlers": ["file"], "type": "metric", "interval": 60, "ttl": 180,
            "status": 2, "name": "a", "output": "CheckX CRITICAL: down", "issued": 1000,
            "executed": 1000, "duration": 0.012, "source": "host-1", "calipso": {"id": "x"},
        });
        assert_eq!(result(&event("a", definition)), expected);
        for bad in [json!(0), json!(-1), json!(1.5), json!("x"), json!(null)] {
            let result = result(&event("a", json!({"ttl": bad})));
            assert_eq!(result.get("ttl"), None, "{bad}");
        }
    }

    #[test]
    fn a_batch_is_full_at_64_kilobytes_to_the_byte() {
        let letters = |lengths: &[usize]| -> Vec<Letter> {
            let letter = |length: &usize| Letter { index: 0, json: "x".repeat(*length) };
            lengths.iter().map(letter).collect()
        };
        for (lengths, expected) in [
            (&[10, 10][..], 2),
            (&[LONGEST - 2, 1], 1),
            (&[LONGEST, 1], 1),
            (&[LONGEST_ONE, 1], 1),
            (&[LONGEST - 13, 10], 2),
            (&[LONGEST - 12, 10], 1),
        ] {
            let letters = letters(lengths);
            assert_eq!(batch(&letters), expected, "{lengths:?}");
            let document = Asked::about(&letters[..expected]).document;
            assert!(expected == 1 || document.len() <= LONGEST);
        }
        assert_eq!(Asked::about(&letters(&[LONGEST - 13, 10])).document.len(), LONGEST);
    }

    #[test]
    fn the_word_is_understood_torn_and_nothing_else_is() {
        for (text, word) in [("ok", Word::Ok), ("invalid", Word::Invalid)] {
            for at in 1..text.len() {
                let mut asked = Asked::about(&[]);
                assert_eq!(asked.hear(&text.as_bytes()[..at]), Heard::More);
                assert_eq!(asked.word, None);
                assert_eq!(asked.hear(&text.as_bytes()[at..]), Heard::Done);
                assert_eq!(asked.word, Some(word));
            }
        }
        let long = "x".repeat(1 << 20);
        for (text, said) in [
            ("pong", "pong"),
            ("okay", "okay"),
            ("inok", "inok"),
            ("OK", "OK"),
            ("\0|\nx", "?/"),
            (&long, &format!("{}...", &long[..117])),
        ] {
            let heard = Asked::about(&[]).hear(text.as_bytes());
            assert_eq!(heard, Heard::Nonsense(said.into()));
        }
    }
}
