//! One VPP, over its CLI socket: the only interface that is the same from 17.10 on, that a group
//! suffices for, and that a careless client cannot break.

pub mod bonds;
pub mod bridge;
pub mod guests;
pub mod interfaces;
pub mod reply;
pub mod session;
pub mod vitals;

use crate::host::Trouble;
use crate::host::process::{self, Depth, Process};
use crate::host::trouble::Why;
pub use session::{Place, Session};

/// A VPP that does not answer, and what is seen of the process behind its socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer {
    /// Why there is no answer.
    pub trouble: Trouble,
    /// The process, where silence made it worth a look and it can be seen.
    pub process: Option<Process>,
}

impl Session<'_> {
    /// What is to be said of a VPP that gave this trouble.
    pub fn no_answer(&self, trouble: Trouble) -> NoAnswer {
        let silent = matches!(trouble.why, Why::Silent(_));
        let pid = self.peer_pid().filter(|_| silent);
        let process = pid.and_then(|pid| process::look_at(&[pid], Depth::State).remove(&pid));
        NoAnswer { trouble, process }
    }
}

/// Gives the bytes of a reply to every reader of replies: what the fuzz target and the test below
/// call. No reader may panic, whatever VPP or something else says.
#[cfg(any(test, fuzzing))]
pub fn read_by_all(bytes: &[u8]) {
    let mut raw: Vec<Vec<u8>> = Vec::new();
    reply::Reply::to("show").take(bytes, &mut |line| raw.push(line.to_owned()));
    interfaces::read_all(&raw);
    let lines: Vec<String> =
        raw.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    vitals::read_all(&lines);
    bonds::read_all(&lines);
    guests::read_all(&lines);
    bridge::read_all(&lines);
    for line in &lines {
        session::refusal(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Numbers that look random and are the same in each run (xorshift).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, n: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % n.max(1) as u64).unwrap_or(0)
        }
    }

    fn captures(dir: &Path, all: &mut Vec<Vec<u8>>) {
        for entry in std::fs::read_dir(dir).expect("fixtures") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                captures(&path, all);
            } else {
                all.push(std::fs::read(path).expect("a capture"));
            }
        }
    }

    fn damage(capture: &mut Vec<u8>, dice: &mut Dice) {
        const BYTES: &[u8] = b"\0\n\r \t\x1b\xff\xfa\xf0`'().,:/-#0129eMk\xc3\xbc";
        for _ in 0..=dice.below(6) {
            let at = dice.below(capture.len() + 1);
            match dice.below(5) {
                0 => capture.truncate(at),
                1 => capture.insert(at, BYTES[dice.below(BYTES.len())]),
                2 if at < capture.len() => capture[at] = BYTES[dice.below(BYTES.len())],
                3 if at < capture.len() => {
                    drop(capture.drain(at..(at + dice.below(40)).min(capture.len())))
                }
                _ => {
                    let piece = capture[at..(at + dice.below(80)).min(capture.len())].to_vec();
                    capture.splice(at..at, piece);
                }
            }
        }
    }

    #[test]
    fn no_damage_makes_a_reader_panic() {
        let mut all = Vec::new();
        captures(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/vpp")), &mut all);
        assert!(all.len() > 80, "{} captures", all.len());
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for _ in 0..20 {
            for capture in &all {
                let mut capture = capture.clone();
                damage(&mut capture, &mut dice);
                read_by_all(&capture);
            }
        }
    }
}
