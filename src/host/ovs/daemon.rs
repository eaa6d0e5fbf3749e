//! Signs of life of one daemon. Never the text of `ps`: the lock on its pid file, an answer on
//! its control socket, and what the kernel says its process is doing.

use super::Place;
use crate::host::ovsdb::Transact;
use crate::host::pidfile::{self, Holder, PidFile};
use crate::host::process::{self, Depth, Process};
use crate::host::talk::{Outcome, Remote, Talk, converse};
use crate::host::unixctl::{Command, Commands};
use crate::host::{Host, Trouble, Why};
use crate::rights::{self, DAC_OVERRIDE};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What was seen of one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// `ovs-vswitchd` or `ovsdb-server`.
    pub name: &'static str,
    /// Its pid file, or why there is none to read.
    pub pidfile: Result<PidFile, Trouble>,
    /// Its process, where one can be named and seen.
    pub process: Option<Process>,
    /// The process that restarts it, where there is one.
    pub monitor: Option<Monitor>,
    /// What it answered, or why not.
    pub answer: Result<Answer, Trouble>,
    /// Control sockets of earlier processes that lie about.
    pub leftovers: usize,
}

/// What a daemon answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// From connecting to the complete answer.
    pub rtt: Duration,
    /// For example `3.1.0`.
    pub version: String,
    /// What it said to the second question, where there was one and it was understood.
    pub second: Option<String>,
    /// The control socket that it answers on.
    pub control: PathBuf,
}

/// For tests of verdicts, which change what matters to them.
#[cfg(test)]
impl Daemon {
    /// An ovs-vswitchd of which nothing but its answer was seen.
    pub(crate) fn only_heard(answer: Result<Answer, Trouble>) -> Self {
        Self {
            name: "ovs-vswitchd",
            pidfile: Err(Trouble { whom: "/run/x.pid".into(), why: Why::Absent }),
            process: None,
            monitor: None,
            answer,
            leftovers: 0,
        }
    }

    /// An ovs-vswitchd that answers.
    pub(crate) fn alive() -> Self {
        Self::only_heard(Ok(Answer {
            rtt: Duration::from_millis(1),
            version: "3.1.0".into(),
            second: None,
            control: "/run/x.7.ctl".into(),
        }))
    }
}

/// The monitor process of a daemon that was started with `--monitor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitor {
    /// Crashes it has seen since it was started itself.
    pub crashes: u64,
    /// Its title, which tells the last of them.
    pub title: String,
}

impl Monitor {
    /// From the title of a parent process: `NAME: monitoring pid N (healthy)`, or
    /// `NAME: monitoring pid N (2 crashes: pid M died, killed (Segmentation fault))`.
    fn from_title(daemon: &str, title: &str) -> Option<Self> {
        let rest = title.strip_prefix(daemon)?.strip_prefix(": monitoring pid ")?;
        let (_, status) = rest.split_once('(')?;
        let crashes = status.split_once(" crashes").and_then(|(n, _)| n.parse().ok());
        Some(Self { crashes: crashes.unwrap_or(0), title: title.to_owned() })
    }
}

/// One daemon before it was asked: its files.
pub(super) struct Found<'q> {
    name: &'static str,
    pidfile: Result<PidFile, Trouble>,
    controls: Vec<PathBuf>,
    leftovers: usize,
    commands: Vec<Commands<'q>>,
}

/// The first question on a control socket; all of them are cheap and walk nothing.
pub(super) const VERSION: Command = ("version", &[]);
/// The only question where no other is of interest.
pub(super) const ALIVE: &[Command] = &[VERSION];

impl<'q> Found<'q> {
    /// Looks at a daemon's files in a run directory. The first question must be [`VERSION`].
    pub(super) fn new(rundir: &Path, name: &'static str, questions: &'q [Command<'q>]) -> Self {
        let pidfile = rundir.join(format!("{name}.pid"));
        let pidfile = rights::lend(DAC_OVERRIDE, || pidfile::read(&pidfile));
        let mut controls = rights::lend(DAC_OVERRIDE, || controls(rundir, name));
        let all = controls.len();
        // The number in a locked pid file names the socket, also where it means nothing to us
        // because the daemon has a pid namespace of its own. One that nobody locks may be older
        // than a daemon that writes none: every socket is tried then.
        if let Ok(PidFile { written: Some(pid), holder, .. }) = &pidfile
            && (*holder != Holder::Nobody || controls.is_empty())
        {
            let own = rundir.join(format!("{name}.{pid}.ctl"));
            if controls.contains(&own) || controls.is_empty() {
                controls = vec![own];
            }
        }
        let leftovers = all.saturating_sub(1);
        let commands = controls.iter().map(|_| Commands::new(questions)).collect();
        Self { name, pidfile, controls, leftovers, commands }
    }

    /// The pid of the daemon in our namespace, as far as the files tell.
    fn pid(&self) -> Option<i32> {
        match &self.pidfile {
            Ok(PidFile { holder: Holder::Process(pid), .. }) => Some(*pid),
            _ => None,
        }
    }

    /// Puts together what was asked and what was seen.
    fn conclude(
        self,
        outcomes: Vec<Outcome>,
        pid: Option<i32>,
        processes: &HashMap<i32, Process>,
    ) -> Daemon {
        let process = pid.and_then(|pid| processes.get(&pid)).cloned();
        let monitor = process
            .as_ref()
            .and_then(|process| processes.get(&process.parent?))
            .and_then(|parent| Monitor::from_title(self.name, &parent.title));
        Daemon {
            name: self.name,
            process,
            monitor,
            answer: answer(self.name, &self.controls, &self.commands, outcomes),
            leftovers: self.leftovers,
            pidfile: self.pidfile,
        }
    }
}

/// What a silent daemon leaves of the time.
const FOR_OTHERS: Duration = Duration::from_millis(500);
/// How long a daemon may stay silent before its process is looked at.
const PATIENCE: Duration = Duration::from_secs(1);

/// What came of asking daemons and the database together.
pub(super) struct Asked {
    /// In the order they were found.
    pub(super) daemons: Vec<Daemon>,
    /// How the conversation with the database ended.
    pub(super) database: Outcome,
    /// The process that listens at the database's unix socket, where that kept silent and it can be seen.
    pub(super) server: Option<Process>,
}

impl Host {
    /// Asks daemons and the database, all at the same time. Where one stays silent and its process
    /// is seen to be stopped or dead, no more time is spent on it than a moment.
    pub(super) fn ask_ovs(
        &self,
        mut found: Vec<Found>,
        place: &Place,
        select: &mut Transact,
        depth: Depth,
    ) -> Asked {
        let mut pids: Vec<Option<i32>> = found.iter().map(Found::pid).collect();
        let mut owners = Vec::new();
        let mut talks = Vec::new();
        for (owner, daemon) in found.iter_mut().enumerate() {
            for (path, commands) in daemon.controls.iter().zip(&mut daemon.commands) {
                owners.push(owner);
                talks.push(place.talk(daemon.name, &Remote::Unix(path.clone()), commands));
            }
        }
        talks.push(place.talk("the database", &place.db, select));

        (self.announce)(&waiting_for(&talks));
        // The questions go out; while the daemons work on the answers their processes are looked at.
        converse(&mut talks, Instant::now());
        for (owner, talk) in owners.iter().zip(&talks) {
            pids[*owner] = pids[*owner].or(talk.peer_pid());
        }
        let server = talks.last().and_then(Talk::peer_pid);
        (self.announce)("what the processes of Open vSwitch are doing (/proc)");
        let known: Vec<i32> = pids.iter().copied().flatten().collect();
        let mut processes = process::look_at(&known, depth);
        let left = self.until.saturating_duration_since(Instant::now());
        converse(&mut talks, Instant::now() + PATIENCE.min(left / 2));
        if talks.iter().any(Talk::pending) {
            // The server's process says something only where its database says nothing.
            let all: Vec<i32> = known.into_iter().chain(server).collect();
            processes = process::look_at(&all, depth);
        }
        let whose = owners.iter().map(|owner| pids[*owner]).chain([server]);
        for (talk, pid) in talks.iter_mut().zip(whose) {
            if pid.and_then(|pid| processes.get(&pid)).is_some_and(|p| p.state.cannot_answer()) {
                talk.give_up();
            }
        }
        (self.announce)(&waiting_for(&talks));
        // A daemon that stays silent must leave time for what the others are asked next.
        let left = self.until.saturating_duration_since(Instant::now());
        converse(&mut talks, self.until - FOR_OTHERS.min(left / 4));

        let mut outcomes: Vec<Outcome> =
            talks.into_iter().map(|talk| place.outcome(talk)).collect();
        let database = outcomes.pop().expect("the database was asked last");
        let mut outcomes = owners.into_iter().zip(outcomes).collect::<Vec<_>>();
        let mut daemons = Vec::new();
        for (owner, (daemon, pid)) in found.into_iter().zip(pids).enumerate() {
            let rest = outcomes.split_off(outcomes.partition_point(|(of, _)| *of <= owner));
            let own = std::mem::replace(&mut outcomes, rest).into_iter().map(|(_, o)| o).collect();
            daemons.push(daemon.conclude(own, pid, &processes));
        }
        Asked { daemons, database, server: server.and_then(|pid| processes.get(&pid)).cloned() }
    }
}

fn waiting_for(talks: &[Talk]) -> String {
    let names: Vec<&str> = talks.iter().filter(|t| t.pending()).map(Talk::whom).collect();
    names.join(" and ")
}

/// The control sockets of a daemon: `NAME.PID.ctl`.
fn controls(rundir: &Path, name: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(rundir) else { return Vec::new() };
    let is_control = |file: &str| {
        file.strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".ctl"))
            .is_some_and(|pid| pid.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_control))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// The first answer of any control socket; else the trouble that says most.
fn answer(
    name: &str,
    controls: &[PathBuf],
    commands: &[Commands],
    outcomes: Vec<Outcome>,
) -> Result<Answer, Trouble> {
    let mut trouble = None;
    for ((control, commands), outcome) in controls.iter().zip(commands).zip(outcomes) {
        match outcome {
            Ok(rtt) => {
                // `ovs-vswitchd (Open vSwitch) 3.1.0`, more lines where DPDK is built in.
                let version = commands.answer(0).and_then(|text| text.lines().next());
                let version = version.and_then(|line| line.rsplit(' ').next());
                return Ok(Answer {
                    rtt,
                    version: version.unwrap_or("of unknown version").to_owned(),
                    second: commands.answer(1).map(str::to_owned),
                    control: control.clone(),
                });
            }
            // Of several sockets the refused ones are leftovers; the one that is silent or
            // forbidden tells more.
            Err(now) => match &trouble {
                Some(Trouble { why: Why::Refused | Why::Absent, .. }) | None => trouble = Some(now),
                Some(_) => {}
            },
        }
    }
    Err(trouble.unwrap_or_else(|| Trouble {
        whom: format!("{name} (no control socket)"),
        why: Why::Absent,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitors_title_tells_its_crashes() {
        let crashes = |title| Monitor::from_title("ovs-vswitchd", title).map(|m| m.crashes);
        assert_eq!(crashes("ovs-vswitchd: monitoring pid 3335 (healthy)"), Some(0));
        assert_eq!(
            crashes(
                "ovs-vswitchd: monitoring pid 14161 (2 crashes: pid 11817 died, \
                 killed (Segmentation fault))"
            ),
            Some(2)
        );
        assert_eq!(crashes("ovsdb-server: monitoring pid 1 (healthy)"), None);
        assert_eq!(crashes("/sbin/init"), None);
    }
}
