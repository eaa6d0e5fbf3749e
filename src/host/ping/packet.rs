//! Echo requests and what comes back, as bytes (RFC 792, RFC 4443).

use std::net::IpAddr;

/// Type, code, checksum, identifier, sequence number.
pub(super) const HEADER: usize = 8;
/// Our mark in front of the data, where there is room for it and for some of the pattern.
pub(super) const MARK: usize = 8;
/// From here on data begins with the mark.
const MARKED_FROM: usize = 16;

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// The requests of one run: identifier, mark and data are the same in all of them.
#[derive(Debug)]
pub(super) struct Template {
    request: Vec<u8>,
    pattern: Vec<u8>,
    marked: bool,
}

/// What data that came back shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// What was sent.
    Intact,
    /// Ours, but changed on the way.
    Changed,
    /// The request of another run with the same identifier.
    Foreign,
}

impl Template {
    /// `size` bytes of data, filled with the pattern.
    pub(super) fn new(v6: bool, id: u16, mark: u64, pattern: &[u8], size: usize) -> Self {
        let mut request = vec![0; HEADER];
        request[0] = if v6 { ECHO_REQUEST_V6 } else { ECHO_REQUEST };
        request[4..6].copy_from_slice(&id.to_be_bytes());
        request.extend(pattern.iter().cycle().take(size));
        let marked = size >= MARKED_FROM;
        if marked {
            request[HEADER..HEADER + MARK].copy_from_slice(&mark.to_be_bytes());
        }
        Self { request, pattern: pattern.to_vec(), marked }
    }

    /// The request with this number, checksum included. (The kernel makes its own for datagram
    /// sockets and for ICMPv6, where it depends on the addresses.)
    pub(super) fn numbered(&mut self, seq: u16) -> &[u8] {
        if self.request[6..8] == seq.to_be_bytes() {
            return &self.request;
        }
        self.request[2..4].fill(0);
        self.request[6..8].copy_from_slice(&seq.to_be_bytes());
        let sum = checksum(&self.request);
        self.request[2..4].copy_from_slice(&sum.to_be_bytes());
        &self.request
    }

    /// Compares data that came back with what was sent. Another run with our identifier has its
    /// own mark, and its data is in order; what was changed on the way is rarely all of the mark
    /// and nothing else.
    pub(super) fn compare(&self, data: &[u8]) -> Data {
        let sent = &self.request[HEADER..];
        if data == sent {
            return Data::Intact;
        }
        if !self.marked || data.len() < MARKED_FROM {
            return Data::Changed;
        }
        let marks = data.iter().zip(sent).take(MARK);
        let other_mark = marks.filter(|(is, was)| is != was).count() > MARK / 2;
        let rest = self.pattern.iter().cycle().take(data.len()).skip(MARK);
        match other_mark && data[MARK..].iter().eq(rest) {
            true => Data::Foreign,
            false => Data::Changed,
        }
    }
}

/// The fields of an echo message that tell which request it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Echo<'b> {
    pub(super) id: u16,
    pub(super) seq: u16,
    pub(super) data: &'b [u8],
}

/// An echo reply; `None` for every other message.
pub(super) fn reply(v6: bool, message: &[u8]) -> Option<Echo<'_>> {
    echo(message, if v6 { ECHO_REPLY_V6 } else { ECHO_REPLY })
}

/// The request that an error message quotes; routers may quote no more than its header.
pub(super) fn quoted(v6: bool, message: &[u8]) -> Option<Echo<'_>> {
    echo(message, if v6 { ECHO_REQUEST_V6 } else { ECHO_REQUEST })
}

fn echo(message: &[u8], kind: u8) -> Option<Echo<'_>> {
    let (header, data) = message.split_at_checked(HEADER)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    (header[0] == kind && header[1] == 0).then(|| Echo { id: word(4), seq: word(6), data })
}

/// The ICMP message behind an IPv4 header, as a raw socket receives it.
pub(super) fn behind_ip(packet: &[u8]) -> Option<&[u8]> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    packet.get(header..)
}

/// The internet checksum (RFC 1071); 0 over a message that has the right one. The sum comes out
/// right whatever the order of bytes in a word, and in wider words too.
pub(super) fn checksum(message: &[u8]) -> u16 {
    let (words, rest) = message.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain(std::iter::once(&last));
    let mut sum = words.fold(0u64, |sum, word| sum + u64::from(u32::from_ne_bytes(*word)));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::from_be(!(sum as u16))
}

/// Why a request was refused on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who says so, where it says who it is.
    pub by: Option<IpAddr>,
    /// What it says.
    pub why: Unreachable,
}

/// What an ICMP error says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// In the words of the RFCs.
    Said(&'static str),
    /// Nobody answers to the address on the last link; where this host says so, on its own.
    Neighbour,
    /// It does not fit; the largest packet that does, bytes with headers, where that is told.
    TooBig(Option<u32>),
}

/// What type and code of an ICMP error mean; `info` is the MTU where it is one.
pub(super) fn unreachable_v4(kind: u8, code: u8, info: u32) -> Unreachable {
    Unreachable::Said(match (kind, code) {
        (3, 0 | 6 | 11) => "network unreachable",
        (3, 1) => return Unreachable::Neighbour,
        (3, 4) => return Unreachable::TooBig((info > 0).then_some(info)),
        (3, 9 | 10 | 13) => "prohibited by a filter",
        (3, 2) => "protocol unreachable",
        (3, 3) => "port unreachable",
        (3, _) => "unreachable",
        (11, _) => "too many hops, perhaps a loop",
        _ => "an ICMP error",
    })
}

/// As [`unreachable_v4`], for ICMPv6.
pub(super) fn unreachable_v6(kind: u8, code: u8, info: u32) -> Unreachable {
    Unreachable::Said(match (kind, code) {
        (1, 0) => "no route",
        (1, 1 | 5 | 6) => "prohibited by a filter",
        (1, 3) => return Unreachable::Neighbour,
        (1, 4) => "port unreachable",
        (1, _) => "unreachable",
        (2, _) => return Unreachable::TooBig((info > 0).then_some(info)),
        (3, _) => "too many hops, perhaps a loop",
        _ => "an ICMPv6 error",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK_OF_RUN: u64 = 0x0102_0304_0506_0708;

    #[test]
    fn a_request_is_what_rfc_792_says_and_its_checksum_is_right() {
        let mut template = Template::new(false, 0x1234, MARK_OF_RUN, b"OS-DNA", 20);
        let request = template.numbered(7).to_vec();
        assert_eq!(request[..2], [8, 0]);
        assert_eq!(request[4..8], [0x12, 0x34, 0, 7]);
        assert_eq!(request[8..16], MARK_OF_RUN.to_be_bytes());
        // The pattern runs on under the mark.
        assert_eq!(&request[16..], b"-DNAOS-DNAOS");
        assert_eq!(checksum(&request), 0);
        // The example of RFC 1071.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(Template::new(true, 1, 0, b"a", 3).numbered(1)[..2], [128, 0]);
        assert_eq!(checksum(Template::new(false, 1, 0, b"abc", 3).numbered(1)), 0);
    }

    #[test]
    fn small_data_has_no_mark() {
        let mut template = Template::new(false, 1, MARK_OF_RUN, b"OS-DNA", 8);
        assert_eq!(&template.numbered(1)[8..], b"OS-DNAOS");
        assert_eq!(Template::new(false, 1, MARK_OF_RUN, b"OS-DNA", 0).numbered(1).len(), HEADER);
    }

    #[test]
    fn changed_data_is_told_from_that_of_another_run() {
        let mut template = Template::new(false, 1, MARK_OF_RUN, b"OS-DNA", 32);
        let sent = template.numbered(1)[HEADER..].to_vec();
        assert_eq!(template.compare(&sent), Data::Intact);
        let other = Template::new(false, 1, !MARK_OF_RUN, b"OS-DNA", 32).numbered(1).to_vec();
        assert_eq!(template.compare(&other[HEADER..]), Data::Foreign);
        for at in [0, 7, 8, 31] {
            let mut bad = sent.clone();
            bad[at] ^= 0x40;
            assert_eq!(template.compare(&bad), Data::Changed, "byte {at}");
        }
        assert_eq!(template.compare(&sent[..20]), Data::Changed, "cut short");
        assert_eq!(template.compare(&[0; 32]), Data::Changed, "zeroed");
        assert_eq!(template.compare(&[]), Data::Changed);
    }

    #[test]
    fn only_echo_replies_are_replies() {
        let message = [0, 0, 9, 9, 0x12, 0x34, 0, 7, b'x'];
        assert_eq!(reply(false, &message), Some(Echo { id: 0x1234, seq: 7, data: b"x" }));
        assert_eq!(reply(true, &message), None);
        assert_eq!(quoted(false, &message), None);
        assert_eq!(reply(false, &message[..7]), None);
        let with_header = [&[0x46][..], &[0; 23], &message].concat();
        assert_eq!(behind_ip(&with_header), Some(&message[..]));
        assert_eq!(behind_ip(&[]), None);
        assert_eq!(behind_ip(&[0x4f, 0]), None);
    }
}
