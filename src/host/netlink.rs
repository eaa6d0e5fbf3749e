//! Route netlink (`rtnetlink(7)`): a question with one answer, or a dump, in our network namespace
//! or in another one. No privilege is needed to ask.

use crate::host::netns::Netns;
use crate::host::trouble::{Trouble, Why};
use netlink_packet_core::NlasIterator;
use netlink_sys::{
    Socket, SocketAddr,
    protocols::{NETLINK_ROUTE, NETLINK_SOCK_DIAG},
};
use std::io;

const HEADER: usize = 16;
/// The lengths of `ifinfomsg` and `ndmsg`, the fixed parts of questions and answers about devices and
/// about neighbours.
pub(super) const IFINFO: usize = 16;
pub(super) const NDMSG: usize = 12;
/// The largest part of a dump that a kernel of today sends, twice.
const BUFFER: usize = 64 << 10;

/// A netlink socket in one network namespace: it stays there wherever its process goes.
pub struct Route {
    socket: Socket,
}

/// One question: `nlmsghdr`, a fixed part, attributes.
#[derive(Debug, Clone)]
pub(super) struct Question {
    bytes: Vec<u8>,
}

/// What a dump gave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dump<T> {
    /// One item a message.
    pub items: Vec<T>,
    /// The table changed all the time while it was read: some items may be there twice, and one
    /// that was changed may be missing.
    pub torn: bool,
}

impl<T> Dump<T> {
    /// The items, where they are known to be all there were at one moment.
    ///
    /// # Errors
    /// `Unreadable` if the table is torn.
    pub fn whole(self) -> Result<Vec<T>, Trouble> {
        if self.torn {
            let why = "its table changed all the time while it was read".to_owned();
            return Err(Trouble { whom: "the kernel".to_owned(), why: Why::Unreadable(why) });
        }
        Ok(self.items)
    }
}

impl Question {
    /// A question of this type (`RTM_GETLINK`, ...) with its fixed part.
    pub(super) fn new(kind: u16, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + fixed.len() + 64);
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(fixed);
        Self { bytes }
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = 4 + value.len();
        self.bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an attribute that is a string.
    pub(super) fn with_string(self, kind: u16, text: &str) -> Self {
        self.with(kind, &[text.as_bytes(), &[0]].concat())
    }

    fn sealed(mut self, flags: i32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        let flags = u16::try_from(flags | libc::NLM_F_REQUEST).unwrap_or(u16::MAX);
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes
    }
}

impl Route {
    /// A socket in our namespace.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn here() -> io::Result<Self> {
        Self::of(NETLINK_ROUTE)
    }

    fn of(family: isize) -> io::Result<Self> {
        let mut socket = Socket::new(family)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// A socket in another namespace; needs `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// What the kernel says; `PermissionDenied` without the capability.
    pub fn inside(netns: &Netns) -> io::Result<Self> {
        netns.visit(Self::here)
    }

    /// A socket for `sock_diag(7)`, which is asked in the same way.
    ///
    /// # Errors
    /// As [`Self::here`].
    pub(super) fn sock_diag() -> io::Result<Self> {
        Self::of(NETLINK_SOCK_DIAG)
    }

    /// Asks for one object, and returns the answer's fixed part and attributes. The kernel has it
    /// ready when `send` returns.
    pub(super) fn ask(&self, question: Question) -> io::Result<Vec<u8>> {
        self.socket.send(&question.sealed(0), 0)?;
        let mut answer = Vec::with_capacity(BUFFER);
        self.receive(&mut answer)?;
        let mut body = None;
        for_each(&answer, |kind, _, message| {
            body = Some(if is(kind, libc::NLMSG_ERROR) {
                Err(error_of(message))
            } else {
                Ok(message.to_vec())
            });
            Ok(())
        })?;
        body.unwrap_or_else(|| Err(io::Error::other("an empty answer")))
    }

    /// Tells the kernel to do something, and returns when it has agreed.
    pub(super) fn tell(&self, question: Question, flags: i32) -> io::Result<()> {
        self.socket.send(&question.sealed(flags | libc::NLM_F_ACK), 0)?;
        let mut answer = Vec::with_capacity(BUFFER);
        self.receive(&mut answer)?;
        for_each(&answer, |kind, _, message| match status_of(message) {
            0 if is(kind, libc::NLMSG_ERROR) => Ok(()),
            _ => Err(error_of(message)),
        })
    }

    /// Asks for a whole table; what `read` makes of each message is kept. The kernel makes each
    /// part while the one before is taken, so nothing is waited for.
    pub(super) fn dump<T>(
        &self,
        question: &Question,
        mut read: impl FnMut(&[u8]) -> Result<Option<T>, String>,
    ) -> io::Result<Dump<T>> {
        const TRIES: usize = 3;
        let mut dump = Dump { items: Vec::new(), torn: false };
        for _ in 0..TRIES {
            dump = self.dump_once(question.clone(), &mut read)?;
            if !dump.torn {
                break;
            }
        }
        Ok(dump)
    }

    fn dump_once<T>(
        &self,
        question: Question,
        read: &mut impl FnMut(&[u8]) -> Result<Option<T>, String>,
    ) -> io::Result<Dump<T>> {
        self.socket.send(&question.sealed(libc::NLM_F_DUMP), 0)?;
        let mut dump = Dump { items: Vec::new(), torn: false };
        let mut part = Vec::with_capacity(BUFFER);
        let mut done = false;
        while !done {
            part.clear();
            self.receive(&mut part)?;
            for_each(&part, |kind, flags, message| {
                dump.torn |= i32::from(flags) & libc::NLM_F_DUMP_INTR != 0;
                if is(kind, libc::NLMSG_DONE) {
                    done = true;
                    return match status_of(message) {
                        0 => Ok(()),
                        code => Err(io::Error::from_raw_os_error(-code)),
                    };
                }
                if is(kind, libc::NLMSG_ERROR) {
                    return Err(error_of(message));
                }
                dump.items.extend(read(message).map_err(io::Error::other)?);
                Ok(())
            })?;
        }
        Ok(dump)
    }

    fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let length = self.socket.recv(buffer, libc::MSG_DONTWAIT | libc::MSG_TRUNC)?;
        if length > buffer.len() || length < HEADER {
            return Err(io::Error::other(format!("an answer of {length} bytes")));
        }
        Ok(())
    }
}

fn is(kind: u16, expected: i32) -> bool {
    i32::from(kind) == expected
}

/// Hands on each message of a datagram: type, flags, what is behind its header.
pub(super) fn for_each(
    mut datagram: &[u8],
    mut hear: impl FnMut(u16, u16, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    while !datagram.is_empty() {
        let length = number(datagram).map_or(0, |length| length as usize);
        let Some(message) = datagram.get(HEADER..length) else {
            return Err(io::Error::other("a message longer than its datagram"));
        };
        let short = |at: usize| u16::from_ne_bytes([datagram[at], datagram[at + 1]]);
        hear(short(4), short(6), message)?;
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}

/// The code at the start of `nlmsgerr` and of a dump's end: 0, or a negative errno.
fn status_of(message: &[u8]) -> i32 {
    number(message).map_or(0, u32::cast_signed)
}

fn error_of(message: &[u8]) -> io::Error {
    io::Error::from_raw_os_error(-status_of(message))
}

/// The attributes behind a fixed part of this length, each read alone: unknown ones are for the
/// caller to pass over, so that a kernel that adds or lengthens one breaks nothing.
pub(super) fn attributes(
    message: &[u8],
    fixed: usize,
    mut hear: impl FnMut(u16, &[u8]),
) -> Result<(), String> {
    let attributes = message.get(fixed..).ok_or("the answer is too short")?;
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.map_err(|e| e.to_string())?;
        hear(attribute.kind() & !NESTED, attribute.value());
    }
    Ok(())
}

/// `NLA_F_NESTED`, which some kernels set and others do not.
const NESTED: u16 = 1 << 15;

/// What `read` makes of one attribute among several.
pub(super) fn find<T>(attributes: &[u8], kind: u16, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
    NlasIterator::new(attributes)
        .flatten()
        .find(|attribute| attribute.kind() & !NESTED == kind)
        .map(|attribute| read(attribute.value()))
}

/// A string attribute without its NUL.
pub(super) fn string(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

/// The four bytes at the start, as a number of this machine.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    value.get(..4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_taken_apart_message_by_message() {
        let message = |kind: u16, body: &[u8]| Question::new(kind, body).sealed(0);
        let datagram = [message(16, b"abcd"), message(3, &[0; 4])].concat();
        let mut heard = Vec::new();
        for_each(&datagram, |kind, _, body| {
            heard.push((kind, body.to_vec()));
            Ok(())
        })
        .expect("two messages");
        assert_eq!(heard, [(16, b"abcd".to_vec()), (3, vec![0; 4])]);
        for cut in [17, 19, 30] {
            let torn = for_each(&datagram[..cut], |_, _, _| Ok(()));
            assert!(torn.is_err(), "{cut} bytes are no message");
        }
    }

    #[test]
    fn a_torn_table_is_none() {
        assert_eq!(Dump { items: vec![1], torn: false }.whole(), Ok(vec![1]));
        let torn = Dump { items: vec![1], torn: true }.whole();
        assert!(matches!(torn, Err(Trouble { why: Why::Unreadable(_), .. })), "{torn:?}");
    }

    #[test]
    fn attributes_are_padded_and_found_again() {
        let question = Question::new(18, &[0; 4]).with_string(3, "lo").with(10, &[1, 2, 3, 4]);
        let bytes = question.sealed(0);
        assert_eq!(bytes.len() % 4, 0);
        let attributes = &bytes[HEADER + 4..];
        assert_eq!(find(attributes, 3, string).as_deref(), Some("lo"));
        assert_eq!(find(attributes, 10, number), Some(Some(u32::from_ne_bytes([1, 2, 3, 4]))));
        assert_eq!(find(attributes, 11, number), None);
    }

    #[test]
    fn the_kernel_says_what_it_does_not_know() {
        let route = Route::here().expect("a socket");
        let error = route.ask(Question::new(libc::RTM_GETLINK, &[0; 16]).with_string(3, "nosuch0"));
        assert_eq!(error.map_err(|e| e.raw_os_error()), Err(Some(libc::ENODEV)));
        let told = route.tell(Question::new(libc::RTM_DELLINK, &[0; 16]), 0);
        assert!(told.is_err_and(|e| e.raw_os_error() != Some(0)), "no device was named");
        // The socket goes on after an error.
        let dump = route.dump(&Question::new(libc::RTM_GETLINK, &[0; 16]), |_| Ok(Some(())));
        assert!(!dump.expect("a dump").items.is_empty());
    }
}
