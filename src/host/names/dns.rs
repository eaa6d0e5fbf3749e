//! The least of the DNS (RFC 1035, RFC 3596) that finds the address of a name: one question over
//! UDP, to one server after the other.

use super::{Config, Family, NoAddress};
use crate::host::{Trouble, Why};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const PORT: u16 = 53;
const HEADER: usize = 12;
const CLASS_IN: u16 = 1;

/// A type of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    A = 1,
    Aaaa = 28,
}

/// What a server says to a question.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// These addresses; none where the name has none of the kind.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    NoName,
    /// The server does not do its work.
    Failed(Why),
}

impl Answer {
    fn failed(what: &str) -> Self {
        Self::Failed(Why::Unreadable(what.to_owned()))
    }
}

/// An address of the name, and the server that gave it.
pub(super) fn look_up(
    config: &Config,
    name: &str,
    family: Family,
    until: Instant,
) -> Result<(IpAddr, IpAddr), NoAddress> {
    let kinds: &[Kind] = match family {
        Family::V4 => &[Kind::A],
        Family::V6 => &[Kind::Aaaa],
        Family::Any => &[Kind::A, Kind::Aaaa],
    };
    let mut said = None;
    for candidate in config.candidates(name) {
        for kind in kinds {
            let (answer, by) = ask(&config.servers, &candidate, *kind, until)?;
            said = Some(by);
            match answer {
                Answer::Addresses(found) if !found.is_empty() => return Ok((found[0], by)),
                Answer::NoName => break,
                _ => {}
            }
        }
    }
    let by = said.map(|by| format!("DNS server {by}"));
    Err(NoAddress::Unknown(by.unwrap_or_default()))
}

/// Asks one server after the other; each has a while before the next one is asked as well, and
/// all of them may still answer.
fn ask(
    servers: &[IpAddr],
    name: &str,
    kind: Kind,
    until: Instant,
) -> Result<(Answer, IpAddr), NoAddress> {
    const PATIENCE: Duration = Duration::from_millis(800);
    const ROUNDS: usize = 3;
    let id = RandomState::new().build_hasher().finish() as u16;
    let question = question(id, name, kind);
    let start = Instant::now();
    let mut asked: Vec<(UdpSocket, IpAddr)> = Vec::new();
    let (mut failed, mut silent) = (None, false);
    for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
        match open(*server).and_then(|socket| socket.send(&question).map(|_| socket)) {
            Ok(socket) => asked.push((socket, *server)),
            Err(e) => failed = Some((Why::of(&e), *server)),
        }
        let patience = until.min(Instant::now() + PATIENCE);
        match listen(&mut asked, id, &question, patience) {
            Some((Answer::Failed(why), by)) => failed = Some((why, by)),
            Some(answer) => return Ok(answer),
            None => silent |= !asked.is_empty(),
        }
        if Instant::now() >= until {
            break;
        }
    }
    match failed {
        Some((why, by)) if !silent => {
            Err(NoAddress::Trouble(Trouble { whom: format!("DNS server {by}"), why }))
        }
        _ => {
            let all: Vec<_> = servers.iter().map(ToString::to_string).collect();
            Err(NoAddress::Silent(all.join(", "), start.elapsed()))
        }
    }
}

/// Connected, so that only the server can answer, and so that we hear of its closed port.
fn open(server: IpAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match server {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(SocketAddr::new(server, PORT))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The first answer to the question. A socket whose server is not there is asked no more.
fn listen(
    asked: &mut Vec<(UdpSocket, IpAddr)>,
    id: u16,
    question: &[u8],
    until: Instant,
) -> Option<(Answer, IpAddr)> {
    let mut buffer = [0; 4096];
    while !asked.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        {
            let sockets = asked.iter().map(|(socket, _)| socket.as_fd());
            let mut fds: Vec<_> = sockets.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            ppoll(&mut fds, Some(TimeSpec::from(left)), None).ok();
        }
        let mut index = 0;
        while let Some((socket, server)) = asked.get(index) {
            match socket.recv(&mut buffer) {
                Ok(length) => {
                    if let Some(answer) = answer(&buffer[..length], id, question) {
                        return Some((answer, *server));
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => index += 1,
                Err(e) => {
                    let (_, server) = asked.remove(index);
                    return Some((Answer::Failed(Why::of(&e)), server));
                }
            }
        }
        if left.is_zero() {
            return None;
        }
    }
    None
}

fn question(id: u16, name: &str, kind: Kind) -> Vec<u8> {
    const RECURSION_DESIRED: u16 = 0x0100;
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend((kind as u16).to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    message
}

/// What a message answers; `None` if it is no answer to the question.
fn answer(message: &[u8], id: u16, question: &[u8]) -> Option<Answer> {
    const RESPONSE: u16 = 0x8000;
    const TRUNCATED: u16 = 0x0200;
    let (flags, questions, answers) = (word(message, 2)?, word(message, 4)?, word(message, 6)?);
    let asked = message.get(HEADER..question.len())?;
    let ours = word(message, 0)? == id
        && flags & RESPONSE != 0
        && questions == 1
        && asked.eq_ignore_ascii_case(&question[HEADER..]);
    if !ours {
        return None;
    }
    match flags & 0xf {
        0 => {}
        3 => return Some(Answer::NoName),
        2 => return Some(Answer::failed("SERVFAIL")),
        5 => return Some(Answer::failed("REFUSED")),
        code => return Some(Answer::failed(&format!("error {code}"))),
    }
    let mut at = question.len();
    let mut addresses = Vec::new();
    for _ in 0..answers {
        let Some(next) = record(message, at, &mut addresses) else { break };
        at = next;
    }
    if addresses.is_empty() && flags & TRUNCATED != 0 {
        return Some(Answer::failed("too long for UDP"));
    }
    Some(Answer::Addresses(addresses))
}

/// Takes the address of one record, if it has one, and finds the next. Aliases (CNAME) come with
/// the addresses of what they stand for.
fn record(message: &[u8], at: usize, addresses: &mut Vec<IpAddr>) -> Option<usize> {
    let at = behind_name(message, at)?;
    let (kind, class, length) =
        (word(message, at)?, word(message, at + 2)?, word(message, at + 8)?);
    let start = at + 10;
    let data = message.get(start..start + usize::from(length))?;
    if class == CLASS_IN && kind == Kind::A as u16 {
        addresses.extend(<[u8; 4]>::try_from(data).ok().map(IpAddr::from));
    } else if class == CLASS_IN && kind == Kind::Aaaa as u16 {
        addresses.extend(<[u8; 16]>::try_from(data).ok().map(IpAddr::from));
    }
    Some(start + data.len())
}

/// A name is labels up to an empty one, or up to a pointer to the rest of it.
fn behind_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(*length),
        }
    }
}

fn word(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(id: u16, flags: u16, answers: u16, records: &[u8]) -> Vec<u8> {
        let mut message = question(id, "h2.example", Kind::A);
        message[2..4].copy_from_slice(&(0x8180 | flags).to_be_bytes());
        message[6..8].copy_from_slice(&answers.to_be_bytes());
        message.extend(records);
        message
    }

    const ALIAS: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'x', 0xc0, 15];
    const ADDRESS: &[u8] = &[1, b'x', 0xc0, 15, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7];

    fn read(message: &[u8]) -> Option<Answer> {
        answer(message, 77, &question(77, "H2.example", Kind::A))
    }

    #[test]
    fn an_alias_is_followed_to_its_address() {
        let good = reply(77, 0, 2, &[ALIAS, ADDRESS].concat());
        assert_eq!(read(&good), Some(Answer::Addresses(vec!["192.0.2.7".parse().expect("v4")])));
    }

    #[test]
    fn what_answers_another_question_is_no_answer() {
        assert_eq!(read(&reply(78, 0, 0, &[])), None);
        let mut other = reply(77, 0, 0, &[]);
        other[13] = b'x';
        assert_eq!(read(&other), None);
        assert_eq!(read(&question(77, "h2.example", Kind::A)), None);
    }

    #[test]
    fn codes_have_their_meaning_and_a_cut_answer_is_told() {
        assert_eq!(read(&reply(77, 3, 0, &[])), Some(Answer::NoName));
        assert!(matches!(read(&reply(77, 2, 0, &[])), Some(Answer::Failed(_))));
        assert!(matches!(read(&reply(77, 0x200, 0, &[])), Some(Answer::Failed(_))));
        assert_eq!(read(&reply(77, 0, 0, &[])), Some(Answer::Addresses(vec![])));
    }

    #[test]
    fn no_message_is_read_beyond_its_end() {
        let good = reply(77, 0, 2, &[ALIAS, ADDRESS].concat());
        for length in 0..good.len() {
            read(&good[..length]);
        }
        // A label that reaches beyond the end, and more records than there are.
        read(&reply(77, 0, 9, &[0x3f, 1, 2]));
    }
}
