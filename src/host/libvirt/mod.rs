//! libvirt's daemons, asked over their read-only socket in libvirt's own words: no library, no
//! `virsh`, and nothing that could change a domain.

pub mod description;
mod dialogue;
pub mod state;
pub mod uri;
mod xdr;

use crate::host::pidfile::{self, Holder};
use crate::host::process::{self, Depth, Process};
use crate::host::talk::{Outcome, Remote, Talk, converse};
use crate::host::words::plain_name;
use crate::host::{Host, Trouble, Why};
use description::Vnic;
use dialogue::Conversation;
use state::{Reason, State};
use std::cell::Cell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};
use uri::Uri;

/// One libvirt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it is asked to open.
    pub uri: Uri,
    /// The one socket to ask at, instead of the usual ones.
    pub socket: Option<PathBuf>,
}

/// The domain that is asked about: its name or its UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted(String);

/// Identifies a domain on all hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uuid(pub [u8; 16]);

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The socket that was asked.
    pub socket: PathBuf,
    /// What was said, or why nothing.
    pub answer: Result<Answer, Trouble>,
    /// From connecting to the end of the conversation.
    pub rtt: Option<Duration>,
    /// The daemon behind the socket; looked for only where it gave no answer.
    pub daemon: Option<Process>,
    /// The process that is the domain, where it can be seen.
    pub process: Option<Process>,
}

/// What libvirt said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The domain.
    Domain(Domain),
    /// There is no such domain.
    Absent,
    /// An error.
    Refused(Refusal),
}

/// What libvirt knows of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: Uuid,
    /// Its number since it was started, another one after each start; none if it is not running.
    pub id: Option<u32>,
    /// What it is doing.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// Its figures, where the driver has them and told in time.
    pub figures: Option<Figures>,
    /// Its vNICs, where they were asked for.
    pub vnics: Option<Vec<Vnic>>,
}

/// Figures of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Bytes of memory it has now.
    pub memory: u64,
    /// Number of virtual CPUs.
    pub cpus: u32,
    /// CPU time used since it was started.
    pub cpu_time: Duration,
}

/// An error that libvirt answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// libvirt's sentence.
    pub message: String,
    /// What it is about.
    pub cause: Cause,
}

/// What an error of libvirt is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The caller may not ask.
    Rights,
    /// The daemon that answered hands on to the driver's own, and nobody answered it there.
    DriverDead,
    /// Anything else.
    Other,
}

/// What is asked about a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    State,
    /// State and vNICs.
    Vnics,
}

/// How long the daemon may stay silent before its process is looked at.
const PATIENCE: Duration = Duration::from_secs(1);

impl Host {
    /// Asks libvirt about a domain, and looks for the process that is the domain. The first socket
    /// where somebody listens is asked.
    pub fn domain(&self, place: &Place, wanted: &Wanted) -> Asked {
        self.ask_about(place, wanted, About::State)
    }

    /// As [`Self::domain`], and asks for its vNICs too.
    pub fn domain_with_vnics(&self, place: &Place, wanted: &Wanted) -> Asked {
        self.ask_about(place, wanted, About::Vnics)
    }

    fn ask_about(&self, place: &Place, wanted: &Wanted, about: About) -> Asked {
        let sockets = place.socket.clone().map_or_else(|| place.uri.sockets(), |own| vec![own]);
        let mut nobody: Option<Asked> = None;
        for socket in &sockets {
            let asked = self.ask_libvirt(socket, place, wanted, about);
            match (&asked.answer, &nobody) {
                // A socket that was left behind tells more than one that is not there.
                (Err(Trouble { why: Why::Absent, .. }), Some(_)) => {}
                (Err(Trouble { why: Why::Absent | Why::Refused, .. }), _) => nobody = Some(asked),
                _ => return asked,
            }
        }
        nobody.expect("there is a socket to try")
    }

    fn ask_libvirt(&self, socket: &Path, place: &Place, wanted: &Wanted, about: About) -> Asked {
        let told = Cell::new(false);
        let mut conversation = Conversation::new(&place.uri.name, wanted, about, &told);
        let talk = Talk::new("libvirt", Remote::Unix(socket.to_owned()), &mut conversation);
        (self.announce)(talk.whom());
        let (outcome, daemon) = self.hold(talk, socket, &told);
        let rtt = outcome.as_ref().ok().copied();
        let answer = match (conversation.answer(), outcome) {
            (Some(answer), _) => Ok(answer),
            (None, Err(trouble)) => Err(trouble),
            (None, Ok(_)) => {
                let why = Why::Unreadable("neither a state nor an error".to_owned());
                Err(Trouble { whom: format!("libvirt ({})", socket.display()), why })
            }
        };
        let process = self.process_of(socket, place, wanted, answer.as_ref().ok());
        Asked { socket: socket.to_owned(), answer, rtt, daemon, process }
    }

    /// The conversation. It is not waited for longer where the daemon's process cannot answer, or
    /// where the state is told and only the rest stays out.
    fn hold(&self, talk: Talk, socket: &Path, told: &Cell<bool>) -> (Outcome, Option<Process>) {
        let mut talks = [talk];
        let left = self.until.saturating_duration_since(Instant::now());
        converse(&mut talks, Instant::now() + PATIENCE.min(left / 2));
        let mut daemon = None;
        if talks[0].pending() && !told.get() {
            daemon = daemon_behind(socket, talks[0].peer_pid());
            if daemon.as_ref().is_none_or(|process| !process.state.cannot_answer()) {
                converse(&mut talks, self.until);
            }
        }
        let [talk] = talks;
        let outcome = talk.outcome();
        if let Err(Trouble { why: Why::Refused, .. }) = outcome {
            daemon = daemon_behind(socket, None);
        }
        (outcome, daemon)
    }

    /// The process of a domain that runs, or whose libvirt gave no answer: guests outlive it.
    fn process_of(
        &self,
        socket: &Path,
        place: &Place,
        wanted: &Wanted,
        answer: Option<&Answer>,
    ) -> Option<Process> {
        let (name, uuid) = match answer {
            Some(Answer::Domain(Domain { id: Some(_), name, uuid, .. })) => {
                (name.as_str(), Some(uuid))
            }
            None => (wanted.as_str(), None),
            Some(_) => return None,
        };
        (self.announce)(&format!("the process of domain {name} (/proc)"));
        let driver = place.uri.driver.as_str();
        // What libvirt takes for no name is none for us.
        let name = Some(name).filter(|name| !name.contains('/'))?;
        let pid = locker(&socket.parent()?.join(driver).join(format!("{name}.pid")));
        let pid = pid.or_else(|| emulator_of(uuid.filter(|_| driver == "qemu")?))?;
        process::look_at(&[pid], Depth::State).remove(&pid)
    }
}

/// The daemon behind a socket: who locks the pid file, else who made the socket listen; with socket
/// activation that was systemd.
fn daemon_behind(socket: &Path, listener: Option<i32>) -> Option<Process> {
    let pid = pid_file_of_daemon(socket).and_then(|file| locker(&file)).or(listener)?;
    let process = process::look_at(&[pid], Depth::State).remove(&pid)?;
    Some(process).filter(|process| process.name.contains("virt"))
}

/// `/run/libvirt/libvirt-sock-ro` is of the daemon that locks `/run/libvirtd.pid`, and
/// `/run/libvirt/virtqemud-sock-ro` of that of `/run/virtqemud.pid`.
fn pid_file_of_daemon(socket: &Path) -> Option<PathBuf> {
    let (name, _) = socket.file_name()?.to_str()?.split_once("-sock")?;
    let daemon = if name == "libvirt" { "libvirtd" } else { name };
    Some(socket.parent()?.parent()?.join(format!("{daemon}.pid")))
}

/// The process that locks a pid file: libvirt makes each process that it starts lock its own.
fn locker(pid_file: &Path) -> Option<i32> {
    match pidfile::read(pid_file).ok()?.holder {
        Holder::Process(pid) => Some(pid),
        Holder::Unseen | Holder::Nobody => None,
    }
}

/// The QEMU with this UUID on its command line, for hosts whose pid files cannot be seen, as from
/// a container that has only the socket.
fn emulator_of(uuid: &Uuid) -> Option<i32> {
    let argument = format!(" -uuid {uuid} ");
    process::pids().ok()?.into_iter().find(|pid| {
        // Reading a command line waits for the process's memory lock: only of those that count.
        process::name_of(*pid).is_ok_and(|name| name.starts_with("qemu") || name.starts_with("kvm"))
            && process::command_line(*pid).is_ok_and(|line| format!("{line} ").contains(&argument))
    })
}

impl Wanted {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The UUID, if it reads as one.
    pub fn uuid(&self) -> Option<Uuid> {
        self.0.parse().ok()
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        plain_name(text, "a domain", 255).map(|()| Self(text.to_owned()))
    }
}

impl FromStr for Uuid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no UUID");
        let dashed = |(at, byte): (usize, u8)| (byte == b'-') == matches!(at, 8 | 13 | 18 | 23);
        if text.len() != 36 || !text.bytes().enumerate().all(dashed) {
            return Err(bad());
        }
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        // Its sign is accepted by the parser of numbers, and not by us.
        let number = u128::from_str_radix(&digits, 16).ok().filter(|_| !digits.starts_with('+'));
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(bad)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_uuid_is_written_one_way_and_read_in_any_case() {
        let text = "aaaaaaaa-abcd-4000-8000-000000000001";
        for written in [text, &text.to_uppercase()] {
            assert_eq!(written.parse::<Uuid>().expect("a UUID").to_string(), text);
        }
        for bad in [
            "",
            "vm1",
            "aaaaaaaaabcd40008000000000000001",
            "aaaaaaaa-abcd-4000-8000-00000000000g",
            "+aaaaaaa-abcd-4000-8000-000000000001",
            "aaaaaaaa-abcd-4000-80000-00000000001",
        ] {
            assert!(bad.parse::<Uuid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_pid_file_is_that_of_the_daemon_behind_the_socket() {
        for (socket, file) in [
            ("/run/libvirt/libvirt-sock-ro", "/run/libvirtd.pid"),
            ("/run/libvirt/virtqemud-sock-ro", "/run/virtqemud.pid"),
            ("/host/run/libvirt/libvirt-sock", "/host/run/libvirtd.pid"),
        ] {
            assert_eq!(pid_file_of_daemon(Path::new(socket)).as_deref(), Some(Path::new(file)));
        }
        assert_eq!(pid_file_of_daemon(Path::new("/socket")), None);
    }

    /// As with an old libvirt whose QEMU hangs: it asks QEMU for the memory, not for the state.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "the other side of the conversation")]
    fn figures_that_stay_out_are_not_waited_for() {
        let dir = std::env::temp_dir();
        let socket = dir.join(format!("calipso-libvirt-{}", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/libvirt/running.bin");
        let said = std::fs::read(fixture).expect("a fixture");
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("the check");
            // All but the figures and the close; then silence until the check hangs up.
            client.write_all(&said[..said.len() - 88]).expect("room");
            while client.read(&mut [0; 512]).is_ok_and(|length| length > 0) {}
        });
        let start = Instant::now();
        let host = Host::new(start + Duration::from_secs(20), |_| {});
        let uri = "test:///run/node.xml".parse().expect("a URI");
        let place = Place { uri, socket: Some(socket.clone()) };
        let asked = host.domain(&place, &"vm-running".parse().expect("a name"));
        server.join().expect("it ends");
        std::fs::remove_file(&socket).expect("our own");
        assert!(start.elapsed() < PATIENCE + Duration::from_secs(5), "{:?}", start.elapsed());
        let Ok(Answer::Domain(domain)) = asked.answer else { panic!("{asked:?}") };
        assert_eq!((domain.state, domain.figures), (State::Running, None));
    }

    /// A shell that looks like the QEMU that libvirt 9.0 starts: `qemu-system-x86` for the kernel,
    /// its UUID among many arguments.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "the process to be found")]
    fn an_emulator_is_found_by_its_uuid() {
        let program =
            std::env::temp_dir().join(format!("qemu-system-x86_64-{}", std::process::id()));
        std::os::unix::fs::symlink("/bin/sh", &program).expect("a name for the shell");
        let uuid: Uuid = "bbbbbbbb-abcd-4000-8000-000000000001".parse().expect("a UUID");
        let other: Uuid = "cccccccc-abcd-4000-8000-000000000001".parse().expect("a UUID");
        let script = "echo ready; read line";
        let mut child = std::process::Command::new(&program)
            .args(["-c", script, "-name", "guest=vm1", "-uuid", &uuid.to_string(), "-display"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("it starts");
        // A child that was just started may still have the name of its parent.
        let mut ready = [0; 6];
        child.stdout.as_mut().expect("a pipe").read_exact(&mut ready).expect("it is ready");
        let found = (emulator_of(&uuid), emulator_of(&other));
        drop(child.stdin.take());
        child.wait().expect("it ends");
        std::fs::remove_file(&program).expect("our own");
        assert_eq!(found, (i32::try_from(child.id()).ok(), None));
    }
}
