//! Questions to daemons over stream sockets, all at the same time and with one deadline.
//!
//! No thread and no blocking call: one `poll` over all conversations. A daemon that never
//! accepts, accepts and stays silent, or drips a byte every half second costs the others nothing.

use crate::host::trouble::{Trouble, Why};
use crate::rights;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// A stream socket in the file system.
    Unix(PathBuf),
    /// An address; names are not resolved.
    Tcp(SocketAddr),
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// One side of a conversation: what is said first, and what is made of the answer.
pub trait Dialogue {
    /// What is sent as soon as there is a connection.
    fn opening(&self) -> Vec<u8>;
    /// Takes the next bytes of the answer.
    fn hear(&mut self, bytes: &[u8]) -> Heard;
}

/// What a dialogue makes of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// More must come.
    More,
    /// This is to be said next.
    Reply(Vec<u8>),
    /// The answer is complete.
    Done,
    /// This is no answer.
    Nonsense(String),
}

/// A conversation with one daemon.
pub struct Talk<'d> {
    whom: String,
    remote: Remote,
    dialogue: &'d mut dyn Dialogue,
    started: Instant,
    state: State,
    peer: Option<i32>,
    /// It said something.
    spoke: bool,
}

enum State {
    /// Nothing tried yet, or the daemon's queue was full.
    Knocking { waits: bool },
    /// Connected or connecting; these bytes are still to be sent.
    Open(Socket, Vec<u8>),
    /// Over, after this time; the connection is still there unless it broke.
    Over(Result<Duration, Why>, Option<Socket>),
}

/// A connection between two dialogues.
pub struct Line {
    whom: String,
    remote: Remote,
    peer: Option<i32>,
    socket: Socket,
}

impl Line {
    /// Who is at the other end, with the address.
    pub fn whom(&self) -> &str {
        &self.whom
    }

    /// Where the other end listens.
    pub const fn remote(&self) -> &Remote {
        &self.remote
    }
}

/// How a conversation ended.
pub type Outcome = Result<Duration, Trouble>;

impl<'d> Talk<'d> {
    /// Prepares a conversation; nothing is sent before [`converse`].
    pub fn new(daemon: &str, remote: Remote, dialogue: &'d mut dyn Dialogue) -> Self {
        let whom = format!("{daemon} ({remote})");
        Self {
            whom,
            remote,
            dialogue,
            started: Instant::now(),
            state: State::Knocking { waits: false },
            peer: None,
            spoke: false,
        }
    }

    /// Prepares another dialogue over a connection that is already there.
    pub fn over(line: Line, dialogue: &'d mut dyn Dialogue) -> Self {
        let state = State::Open(line.socket, dialogue.opening());
        let Line { whom, remote, peer, .. } = line;
        Self { whom, remote, dialogue, started: Instant::now(), state, peer, spoke: false }
    }

    /// Whether the daemon still owes its answer.
    pub fn pending(&self) -> bool {
        !matches!(self.state, State::Over(..))
    }

    /// Who is asked, with the address.
    pub fn whom(&self) -> &str {
        &self.whom
    }

    /// Connects, and says nothing yet: for who may connect, but may not listen with the right to it.
    /// Else [`converse`] does it.
    pub fn knock(&mut self) {
        let State::Knocking { waits } = self.state else { return };
        if let Some(before) = silence::of(&self.remote) {
            self.state = State::Over(Err(Why::Silent(before)), None);
            return;
        }
        match connect(&self.remote) {
            Ok(Some(socket)) => {
                self.peer = peer_pid(&socket, &self.remote);
                self.state = State::Open(socket, self.dialogue.opening());
            }
            Ok(None) => self.state = State::Knocking { waits: true },
            // The right to connect was laid down while the daemon's queue was full.
            Err(e) if waits && e.kind() == io::ErrorKind::PermissionDenied => {}
            Err(e) => self.end(Err(Why::of(&e))),
        }
    }

    /// Gives up on the answer.
    pub fn give_up(&mut self) {
        if self.pending() {
            self.state = State::Over(Err(Why::Silent(self.started.elapsed())), None);
        }
    }

    /// The process at the other end as the kernel names it in our pid namespace; `None` where it
    /// is in a namespace that we cannot see, or not on this machine.
    pub const fn peer_pid(&self) -> Option<i32> {
        self.peer
    }

    /// The round trip, from connecting to the complete answer.
    pub fn outcome(self) -> Outcome {
        self.part().0
    }

    /// The outcome, and the connection where it did not break: for what is said next, or to take
    /// leave of a daemon that owes an answer.
    pub fn part(self) -> (Outcome, Option<Line>) {
        // Who was given up, or was believed to be silent, is not found silent by that.
        if self.pending() && !self.spoke {
            silence::note(&self.remote, self.started.elapsed());
        }
        let Self { whom, remote, peer, .. } = self;
        let silent = || Err(Why::Silent(self.started.elapsed()));
        let (result, socket) = match self.state {
            State::Over(result, socket) => (result, socket),
            State::Open(socket, _) => (silent(), Some(socket)),
            State::Knocking { .. } => (silent(), None),
        };
        let outcome = result.map_err(|why| Trouble { whom: whom.clone(), why });
        (outcome, socket.map(|socket| Line { whom, remote, peer, socket }))
    }

    /// The answer is complete, or the connection broke.
    fn end(&mut self, result: Result<(), Why>) {
        let answered = matches!(result, Ok(()) | Err(Why::Unreadable(_)));
        let state = std::mem::replace(&mut self.state, State::Knocking { waits: false });
        let socket = match state {
            State::Open(socket, _) if answered => Some(socket),
            _ => None,
        };
        self.state = State::Over(result.map(|()| self.started.elapsed()), socket);
    }

    fn speak(&mut self) {
        let State::Open(socket, unsent) = &mut self.state else { return };
        while !unsent.is_empty() {
            match socket.write(unsent) {
                Ok(sent) => drop(unsent.drain(..sent)),
                Err(e) if waits(&e) => return,
                // The daemon hung up before it heard us out; what it said first is still to be read.
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => unsent.clear(),
                Err(e) => return self.end(Err(Why::of(&e))),
            }
        }
    }

    /// Takes what has arrived, but not for ever: a flood must not keep the deadline waiting.
    fn listen(&mut self, buffer: &mut [u8]) {
        const READS_A_TURN: usize = 16;
        for _ in 0..READS_A_TURN {
            let State::Open(socket, unsent) = &mut self.state else { return };
            let heard = match socket.read(buffer) {
                Ok(0) => return self.end(Err(Why::HungUp)),
                Ok(length) => {
                    self.spoke = true;
                    self.dialogue.hear(&buffer[..length])
                }
                Err(e) if waits(&e) => return,
                Err(e) => return self.end(Err(Why::of(&e))),
            };
            match heard {
                Heard::More => {}
                Heard::Done => return self.end(Ok(())),
                Heard::Nonsense(what) => return self.end(Err(Why::Unreadable(what))),
                Heard::Reply(bytes) => {
                    unsent.extend(bytes);
                    self.speak();
                }
            }
        }
    }
}

/// Who was silent. Where many checks run in one process, the first wait for a daemon that hangs, and
/// the others know; after a while some ask again, for it may have been busy.
pub mod silence {
    use super::Remote;
    use std::sync::{Mutex, PoisonError};
    use std::time::{Duration, Instant};

    /// Who was not waited for as long may have been about to speak.
    const TELLING: Duration = Duration::from_secs(2);
    /// How long silence is believed.
    const BELIEVED: Duration = Duration::from_secs(5);

    /// Who, when that was known, and after how long a wait.
    type Known = Vec<(Remote, Instant, Duration)>;

    static SILENT: Mutex<Option<Known>> = Mutex::new(None);

    /// From now on nobody is asked again soon who owed an answer.
    pub fn remember() {
        SILENT.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    pub(super) fn of(remote: &Remote) -> Option<Duration> {
        let known = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = known.as_ref()?.iter();
        let same = |(silent, since, _): &&(Remote, Instant, Duration)| {
            silent == remote && since.elapsed() < BELIEVED
        };
        known.find(same).map(|(_, _, waited)| *waited)
    }

    pub(super) fn note(remote: &Remote, waited: Duration) {
        let mut known = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_mut().filter(|_| waited >= TELLING) {
            known.retain(|(silent, since, _)| silent != remote && since.elapsed() < BELIEVED);
            known.push((remote.clone(), Instant::now(), waited));
        }
    }
}

/// Holds all conversations until each is over, or until a moment at the latest. Those that still
/// owe an answer then stay open and can go on in another call.
pub fn converse(talks: &mut [Talk], until: Instant) {
    const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);
    let mut buffer = vec![0; 64 << 10];
    // Who speaks first may be answered by anybody.
    rights::renounce();
    for talk in talks.iter_mut() {
        talk.speak();
    }
    loop {
        for talk in talks.iter_mut().filter(|t| matches!(t.state, State::Knocking { .. })) {
            talk.knock();
            talk.speak();
        }
        if !talks.iter().any(Talk::pending) {
            return;
        }
        let mut left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if talks.iter().any(|t| matches!(t.state, State::Knocking { .. })) {
            left = left.min(QUEUE_FULL_PAUSE);
        }
        for (index, events) in ready(talks, left) {
            if events.intersects(PollFlags::POLLOUT) {
                talks[index].speak();
            }
            if events.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                talks[index].listen(&mut buffer);
            }
        }
    }
}

/// Which conversations can go on, and in which way.
fn ready(talks: &[Talk], at_most: Duration) -> Vec<(usize, PollFlags)> {
    let open: Vec<(usize, &Socket, bool)> = talks
        .iter()
        .enumerate()
        .filter_map(|(i, talk)| match &talk.state {
            State::Open(socket, unsent) => Some((i, socket, !unsent.is_empty())),
            _ => None,
        })
        .collect();
    let mut fds: Vec<PollFd> = open
        .iter()
        .map(|(_, socket, wants_out)| {
            let out = if *wants_out { PollFlags::POLLOUT } else { PollFlags::empty() };
            PollFd::new(socket.as_fd(), PollFlags::POLLIN | out)
        })
        .collect();
    // One millisecond more than asked for at most: poll counts in whole ones.
    let timeout = PollTimeout::try_from(at_most + Duration::from_micros(999));
    if poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX)).unwrap_or(0) == 0 {
        return Vec::new();
    }
    open.iter()
        .zip(&fds)
        .map(|((i, _, _), fd)| (*i, fd.revents().unwrap_or(PollFlags::empty())))
        .filter(|(_, events)| !events.is_empty())
        .collect()
}

/// A connection, or `None` while the daemon's queue is full.
fn connect(remote: &Remote) -> io::Result<Option<Socket>> {
    let (domain, address) = match remote {
        Remote::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        Remote::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
    };
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), None)?;
    match socket.connect(&address) {
        Ok(()) => Ok(Some(socket)),
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok(Some(socket)),
        // A unix socket whose backlog is full: there is nothing to poll for, only to try again.
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e),
    }
}

fn peer_pid(socket: &Socket, remote: &Remote) -> Option<i32> {
    match remote {
        Remote::Unix(_) => getsockopt(socket, PeerCredentials).ok().map(|peer| peer.pid()),
        Remote::Tcp(_) => None,
    }
    .filter(|pid| *pid > 0)
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
        || error.raw_os_error() == Some(libc::ENOTCONN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// Says hello and takes everything up to a full stop.
    #[derive(Default)]
    struct Sentence(Vec<u8>);

    impl Dialogue for Sentence {
        fn opening(&self) -> Vec<u8> {
            b"hello".to_vec()
        }
        fn hear(&mut self, bytes: &[u8]) -> Heard {
            self.0.extend(bytes);
            if self.0.ends_with(b".") { Heard::Done } else { Heard::More }
        }
    }

    fn place(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("calipso-talk-{name}-{}", std::process::id()))
    }

    fn listener(name: &str) -> (PathBuf, UnixListener) {
        let path = place(name);
        std::fs::remove_file(&path).ok();
        let listener = UnixListener::bind(&path).expect("a socket in the temporary directory");
        (path, listener)
    }

    fn ask(path: &std::path::Path, patience: Duration) -> Outcome {
        let mut sentence = Sentence::default();
        let mut talks = [Talk::new("test", Remote::Unix(path.into()), &mut sentence)];
        converse(&mut talks, Instant::now() + patience);
        let [talk] = talks;
        talk.outcome()
    }

    #[test]
    fn a_socket_that_accepts_and_stays_silent_costs_no_more_than_the_deadline() {
        let (path, _listener) = listener("silent");
        let start = Instant::now();
        let outcome = ask(&path, Duration::from_millis(80));
        assert!(matches!(outcome, Err(Trouble { why: Why::Silent(_), .. })), "{outcome:?}");
        assert!(start.elapsed() < Duration::from_secs(2));
        std::fs::remove_file(path).ok();
    }

    #[test]
    fn a_full_queue_is_silence_not_an_error() {
        let path = place("full");
        std::fs::remove_file(&path).ok();
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        socket.bind(&SockAddr::unix(&path).expect("a path")).expect("a place");
        socket.listen(0).expect("a listener");
        let in_queue = connect(&Remote::Unix(path.clone())).expect("the only place in the queue");
        assert!(in_queue.is_some());
        let outcome = ask(&path, Duration::from_millis(40));
        assert!(matches!(outcome, Err(Trouble { why: Why::Silent(_), .. })), "{outcome:?}");
        std::fs::remove_file(path).ok();
    }

    #[test]
    fn absent_refused_and_hung_up_are_told_apart() {
        let path = place("refused");
        assert_eq!(ask(&path, Duration::from_secs(1)).map_err(|t| t.why), Err(Why::Absent));
        drop(listener("refused"));
        assert_eq!(ask(&path, Duration::from_secs(1)).map_err(|t| t.why), Err(Why::Refused));
        let (path, listener) = listener("hangup");
        let mut sentence = Sentence::default();
        let mut talks = [Talk::new("test", Remote::Unix(path.clone()), &mut sentence)];
        converse(&mut talks, Instant::now() + Duration::from_millis(20));
        drop(listener.accept().expect("the talk's connection"));
        converse(&mut talks, Instant::now() + Duration::from_secs(1));
        let [talk] = talks;
        assert_eq!(talk.outcome().map_err(|t| t.why), Err(Why::HungUp));
        std::fs::remove_file(path).ok();
    }

    #[test]
    fn an_answer_in_drips_is_put_together() {
        let (path, listener) = listener("drips");
        let mut sentence = Sentence::default();
        let mut talks = [Talk::new("test", Remote::Unix(path.clone()), &mut sentence)];
        converse(&mut talks, Instant::now() + Duration::from_millis(20));
        let (mut peer, _) = listener.accept().expect("the talk's connection");
        for byte in b"well." {
            peer.write_all(&[*byte]).expect("room for a byte");
            converse(&mut talks, Instant::now() + Duration::from_millis(5));
        }
        let [talk] = talks;
        assert!(talk.outcome().is_ok());
        assert_eq!(sentence.0, b"well.");
        std::fs::remove_file(path).ok();
    }

    #[test]
    fn a_connection_carries_one_dialogue_after_the_other_and_is_left_by_a_word() {
        let (path, listener) = listener("again");
        let mut first = Sentence::default();
        let mut talks = [Talk::new("test", Remote::Unix(path.clone()), &mut first)];
        converse(&mut talks, Instant::now() + Duration::from_millis(20));
        let (mut peer, _) = listener.accept().expect("the talk's connection");
        peer.write_all(b"one.").expect("room");
        converse(&mut talks, Instant::now() + Duration::from_secs(1));
        let [talk] = talks;
        let (outcome, line) = talk.part();
        assert!(outcome.is_ok());
        let mut second = Sentence::default();
        let mut talks = [Talk::over(line.expect("a connection"), &mut second)];
        // Said even where there is no time left to wait for an answer.
        converse(&mut talks, Instant::now());
        let mut heard = [0; 10];
        peer.read_exact(&mut heard).expect("both openings");
        assert_eq!(&heard, b"hellohello");
        let [talk] = talks;
        let (outcome, line) = talk.part();
        assert!(matches!(outcome, Err(Trouble { why: Why::Silent(_), .. })), "{outcome:?}");
        assert!(line.is_some(), "silence does not break a connection");
        std::fs::remove_file(path).ok();
    }
}
