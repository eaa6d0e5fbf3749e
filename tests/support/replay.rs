//! A VPP made of captured replies: a real unix socket that speaks the CLI's protocol byte for byte
//! (`tests/fixtures/vpp/PROTOCOL.txt`) and is as strict as VPP. It keeps what it was told.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::panic,
    missing_docs,
    reason = "shared by test binaries, each of which uses its part"
)]

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Manner {
    Prompt,
    /// This long before each reply.
    Slow(Duration),
    /// In pieces of this many bytes, with a pause after each.
    Drips(usize, Duration),
    SilentAfterAccept,
    SilentAfterFirstReply,
    /// Half of the second reply, then the connection ends.
    CutInTheMiddle,
    ClosesAtOnce,
    /// `cli-line-mode`: no telnet bytes, LF; the terminal type is understood all the same.
    LineMode,
    /// The same, and it takes the terminal type for a part of the command.
    LineModeWithoutTelnet,
    /// A session for people, whatever the client says.
    Interactive,
    /// The queue of connections is full and stays so.
    QueueFull,
}

/// What happened on one connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Visit {
    pub commands: Vec<String>,
    /// `quit` was said and the client waited until it was closed, or left without half-closing.
    pub polite: bool,
}

/// Replies by command.
#[derive(Debug, Clone, Default)]
pub struct Replies(pub BTreeMap<String, String>);

pub struct Replay {
    pub socket: PathBuf,
    visits: Arc<Mutex<Vec<Visit>>>,
    _queue: Vec<UnixStream>,
    _listener: Option<UnixListener>,
}

const GREETING: &[u8] =
    b"\xff\xfc\x22\xff\xfe\x22\xff\xfb\x03\xff\xfd\x03\xff\xfb\x01\xff\xfe\x01\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0\xff\xfd\x1f\xff\xfa\x1f\x01\xff\xf0";
const TERMINAL: &[u8] = b"\xff\xfa\x18\x00vppctl\xff\xf0";

impl Replies {
    /// The captured replies of one state: a directory of `tests/fixtures/vpp`.
    pub fn captured(state: &str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vpp").join(state);
        let files = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let replies = files.map(|file| {
            let path = file.expect("an entry").path();
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
            let text = std::fs::read_to_string(&path).expect("a text");
            (name.replace('_', " "), text.replace('\r', ""))
        });
        let mut replies: BTreeMap<String, String> = replies.collect();
        if let Some(whole) = replies.get("show hardware-interfaces").cloned() {
            replies.entry("show hardware-interfaces brief".to_owned()).or_insert(whole);
        }
        Self(replies)
    }

    pub fn with(mut self, command: &str, reply: &str) -> Self {
        self.0.insert(command.to_owned(), reply.to_owned());
        self
    }

    pub fn without(mut self, command: &str) -> Self {
        self.0.remove(command);
        self
    }

    /// The reply with `\n` line ends.
    fn to(&self, command: &str) -> String {
        if let Some(reply) = self.0.get(command) {
            return reply.clone();
        }
        if let Some((_, id)) = command.split_once("show bridge-domain ") {
            let id = id.split(' ').next().unwrap_or(id);
            return format!("show bridge-domain: No such bridge domain {id}\n");
        }
        for table in ["show interface", "show hardware-interfaces brief"] {
            if let (Some(names), Some(whole)) = (command.strip_prefix(table), self.0.get(table)) {
                return named(table, whole, names.trim());
            }
        }
        let (path, rest) = command.split_once(' ').unwrap_or(("", command));
        let colon = if path.is_empty() { "" } else { ": " };
        format!("{path}{colon}unknown input `{}'\n", quoted(rest))
    }
}

/// The header and the rows of these names; the first unknown one spoils all.
fn named(table: &str, whole: &str, names: &str) -> String {
    let shown = |name: &str| name[..name.len().min(32)].trim_end().to_owned();
    let (head, body) = whole.split_once('\n').expect("a header");
    let mut rows: HashMap<String, String> = HashMap::new();
    let mut name = String::new();
    for line in body.lines() {
        if !line.starts_with(' ') {
            name = shown(line);
        }
        let row = rows.entry(name.clone()).or_default();
        row.push_str(line);
        row.push('\n');
    }
    let mut out = format!("{head}\n");
    let names: Vec<&str> = names.split(' ').collect();
    for (at, name) in names.iter().enumerate() {
        let Some(row) = rows.get(&shown(name)) else {
            let command = table.strip_suffix(" brief").unwrap_or(table);
            return format!("{command}: unknown input `{}'\n", quoted(&names[at..].join(" ")));
        };
        out.push_str(row);
    }
    out
}

/// As VPP quotes: 30 bytes at the most.
fn quoted(rest: &str) -> String {
    if rest.len() > 30 { format!("{}...", &rest[..30]) } else { rest.to_owned() }
}

impl Replay {
    pub fn up(socket: PathBuf, replies: Replies, manner: Manner) -> Self {
        let listener = UnixListener::bind(&socket).expect("a new socket");
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777)).expect("ours");
        let visits = Arc::new(Mutex::new(Vec::new()));
        if manner == Manner::QueueFull {
            // SAFETY: a listening socket of ours.
            unsafe { libc::listen(listener.as_raw_fd(), 0) };
            let queue = vec![UnixStream::connect(&socket).expect("the one place in the queue")];
            return Self { socket, visits, _queue: queue, _listener: Some(listener) };
        }
        let all = Arc::clone(&visits);
        std::thread::spawn(move || serve_all(listener.incoming(), &replies, manner, &all));
        Self { socket, visits, _queue: Vec::new(), _listener: None }
    }

    /// One that listens on TCP, as 17.x did by default.
    pub fn over(listener: TcpListener, replies: Replies, manner: Manner) -> Self {
        let visits = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&visits);
        std::thread::spawn(move || serve_all(listener.incoming(), &replies, manner, &all));
        Self { socket: PathBuf::new(), visits, _queue: Vec::new(), _listener: None }
    }

    /// The commands so far, whether their clients are still there or not.
    pub fn commands_so_far(&self) -> Vec<String> {
        let visits = self.visits.lock().expect("no panic");
        visits.iter().flat_map(|visit| visit.commands.clone()).collect()
    }

    /// The visits so far, each once its client is gone.
    pub fn visits(&self) -> Vec<Visit> {
        // The last word of a visit is noted by the server's thread.
        for _ in 0..200 {
            let visits = self.visits.lock().expect("no panic").clone();
            if visits.iter().all(|visit| visit.polite) && !visits.is_empty() {
                return visits;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.visits.lock().expect("no panic").clone()
    }
}

/// What is kept of one visit.
struct Notes {
    all: Arc<Mutex<Vec<Visit>>>,
    at: usize,
}

impl Notes {
    fn new(all: &Arc<Mutex<Vec<Visit>>>) -> Self {
        let mut visits = all.lock().expect("no panic");
        visits.push(Visit::default());
        Self { all: Arc::clone(all), at: visits.len() - 1 }
    }

    fn said(&self, command: &str) {
        self.all.lock().expect("no panic")[self.at].commands.push(command.to_owned());
    }

    fn polite(&self, polite: bool) {
        self.all.lock().expect("no panic")[self.at].polite = polite;
    }
}

fn serve_all<S: Read + Write + Send + 'static>(
    incoming: impl Iterator<Item = std::io::Result<S>>,
    replies: &Replies,
    manner: Manner,
    all: &Arc<Mutex<Vec<Visit>>>,
) {
    for stream in incoming.flatten() {
        let (replies, notes) = (replies.clone(), Notes::new(all));
        std::thread::spawn(move || serve(stream, &replies, manner, &notes));
    }
}

fn serve(mut stream: impl Read + Write, replies: &Replies, manner: Manner, notes: &Notes) {
    let line_mode = matches!(manner, Manner::LineMode | Manner::LineModeWithoutTelnet);
    if manner == Manner::ClosesAtOnce {
        return notes.polite(true);
    }
    if !line_mode && stream.write_all(GREETING).is_err() {
        return;
    }
    let mut buffer = vec![0; 4096];
    let mut quiet = manner == Manner::SilentAfterAccept;
    for nth in 0.. {
        // What one read gives is one command, as VPP takes it.
        let Ok(length) = stream.read(&mut buffer) else { return };
        if length == 0 {
            return;
        }
        let mut said = &buffer[..length];
        if nth == 0 {
            let bare = said.strip_prefix(TERMINAL);
            assert!(bare.is_some(), "the terminal type and the command come in one send: {said:?}");
            if manner != Manner::LineModeWithoutTelnet {
                said = bare.expect("just seen");
            }
        }
        let command = String::from_utf8_lossy(said).trim_end_matches(['\n', '\0']).to_owned();
        assert!(said.ends_with(b"\n"), "a command comes in one send: {command}");
        if command == "quit" || command.ends_with("\nquit") {
            notes.polite(true);
            stream.write_all(b"\0").ok();
            return;
        }
        notes.said(&command);
        if quiet {
            continue;
        }
        let end = if line_mode { "\n" } else { "\r\n" };
        let mut reply = replies.to(&command).replace('\n', end).into_bytes();
        reply.push(0);
        match manner {
            Manner::Slow(pause) => std::thread::sleep(pause),
            Manner::CutInTheMiddle if nth == 1 => {
                stream.write_all(&reply[..reply.len() / 2]).ok();
                return notes.polite(true);
            }
            Manner::LineModeWithoutTelnet => {
                let mut echoed = said.to_vec();
                if nth == 0 {
                    reply = [b"unknown input `", &said[..said.len() - 1], b"'\n\0"].concat();
                }
                echoed.extend(&reply);
                reply = echoed;
            }
            Manner::Interactive => {
                reply.pop();
                reply.extend(b"vpp# ");
            }
            _ => {}
        }
        if let Manner::Drips(size, pause) = manner {
            for piece in reply.chunks(size) {
                if stream.write_all(piece).is_err() {
                    // The client left; what it said before that is still there.
                    let length = stream.read(&mut buffer).unwrap_or(0);
                    let quit = buffer[..length].ends_with(b"quit\n");
                    return notes.polite(quit);
                }
                std::thread::sleep(pause);
            }
        } else if stream.write_all(&reply).is_err() {
            return;
        }
        quiet |= manner == Manner::SilentAfterFirstReply;
    }
}
