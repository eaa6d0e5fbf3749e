//! Checks of VPP against a VPP made of captured replies, in each state they are meant to see.
//! Becoming another user needs root; says so and fails without it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

#[path = "support/replay.rs"]
mod replay;
mod support;

use replay::{Manner, Replay, Replies};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::{Dir, Said, binary, run};

const CHECKS: [&str; 3] = ["check_vedge_vpp", "check_pnic_vpp", "check_vnic_vpp"];

/// A VPP and its directory.
struct Vpp {
    replay: Replay,
    _dir: Dir,
}

impl Vpp {
    fn up(name: &str, replies: Replies, manner: Manner) -> Self {
        let dir = Dir::new(&format!("vpp-{name}"));
        Self { replay: Replay::up(dir.0.join("cli.sock"), replies, manner), _dir: dir }
    }

    fn captured(state: &str) -> Self {
        Self::up(state, Replies::captured(state), Manner::Prompt)
    }

    /// One line: a check and its arguments.
    fn check(&self, line: &str) -> Said {
        check_at(&self.replay.socket, line)
    }

    /// The commands of all visits, each of which must have been polite.
    fn commands(&self) -> Vec<String> {
        let visits = self.replay.visits();
        assert!(visits.iter().all(|visit| visit.polite), "{visits:?}");
        visits.into_iter().flat_map(|visit| visit.commands).collect()
    }
}

fn check_at(socket: &Path, line: &str) -> Said {
    let mut words = line.split_whitespace();
    let mut command = Command::new(binary(words.next().expect("a check")));
    run(command.args(words).arg("--socket").arg(socket))
}

/// What changes from run to run is replaced by `#`.
fn masked(out: &str) -> String {
    let varying = [
        (r"answered in [0-9.]+ ms", "answered in # ms"),
        (r"up [0-9]+ (s|min|h [0-9]+ min|d [0-9]+ h)", "up #"),
        (r"rtt=[0-9.]+ms", "rtt=#ms"),
        (r"uptime=[0-9]+s", "uptime=#s"),
        (r"within [0-9.]+ m?s", "within #"),
        (r"/tmp/[-A-Za-z0-9_.]+/cli[.]sock", "/run/vpp/cli.sock"),
    ];
    varying.into_iter().fold(out.to_owned(), |out, (pattern, mask)| {
        let pattern = regex::RegexBuilder::new(pattern).unicode(false).build().expect("a pattern");
        pattern.replace_all(&out, mask).into_owned()
    })
}

/// Compares whole outputs with `tests/expected/vpp/NAME.txt`: `$ ` before each call, what it said
/// below, and its exit code.
fn assert_transcript(vpp: &Vpp, name: &str) {
    let path = format!("{}/tests/expected/vpp/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut said = String::new();
    for call in expected.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let answer = vpp.check(call);
        said += &format!("$ {call}\n{}", masked(&answer.out));
        said += &format!("exit {}\n\n", answer.exit.expect("no signal"));
    }
    assert!(said.trim() == expected.trim(), "{path} says otherwise than\n{said}");
}

#[test]
fn every_captured_state_has_its_verdict() {
    for state in [
        "25.10-healthy",
        "25.10-healthy_1worker",
        "25.10-carrier_lost",
        "25.10-admin_down",
        "25.10-netdev_deleted",
        "25.10-empty",
        "21.06",
    ] {
        assert_transcript(&Vpp::captured(state), state);
    }
}
