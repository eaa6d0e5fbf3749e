//! Messages of libvirt's RPC: a length, a header of six words, and XDR (RFC 4506) behind them.
//! Source: libvirt's `virnetprotocol.x` and `remote_protocol.x`.

/// libvirt's program number for everything that is asked of its drivers, and its version.
const PROGRAM: u32 = 0x2000_8086;
const VERSION: u32 = 1;
/// Kinds of message: a call, its reply.
const CALL: u32 = 0;
const REPLY: u32 = 1;
/// The length, and the six words of the header.
const HEAD: usize = 28;
/// What is asked here is answered in a hundred bytes, in an error with its text, or in the
/// description of a domain: `REMOTE_STRING_MAX`, and the header.
const LONGEST: usize = (4 << 20) + HEAD + 8;

/// Appends what XDR knows.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn word(mut self, word: u32) -> Self {
        self.0.extend(word.to_be_bytes());
        self
    }

    pub(super) fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(super) fn string(self, text: &str) -> Self {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.word(length).fixed(text.as_bytes())
    }

    /// The whole message of a call.
    pub(super) fn call(self, procedure: u32, serial: u32) -> Vec<u8> {
        let length = u32::try_from(HEAD + self.0.len()).unwrap_or(u32::MAX);
        let mut message = Self::default();
        for word in [length, PROGRAM, VERSION, procedure, CALL, serial, 0] {
            message = message.word(word);
        }
        message.0.extend(self.0);
        message.0
    }
}

/// Reads what XDR knows; `None` where the bytes end too early.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }

    pub(super) fn number(&mut self) -> Option<i32> {
        self.word().map(u32::cast_signed)
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        let (long, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*long))
    }

    pub(super) fn fixed<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub(super) fn string(&mut self) -> Option<String> {
        let length = usize::try_from(self.word()?).ok()?;
        let padded = length.checked_next_multiple_of(4)?;
        let (bytes, rest) = self.0.split_at_checked(padded)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }
}

/// The reply to a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) procedure: u32,
    pub(super) serial: u32,
    /// Whether `body` is an error.
    pub(super) failed: bool,
    pub(super) body: Vec<u8>,
}

/// Puts replies together from the bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Frames(Vec<u8>);

impl Frames {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// The next complete reply; what is no reply (an event, a sign of life) is passed over.
    ///
    /// # Errors
    /// What the bytes are instead of a message.
    pub(super) fn next(&mut self) -> Result<Option<Reply>, String> {
        loop {
            let Some(length) = Reader(&self.0).word() else { return Ok(None) };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if !(HEAD..=LONGEST).contains(&length) {
                return Err(format!("no libvirt message: it says to have {length} bytes"));
            }
            if self.0.len() < length {
                return Ok(None);
            }
            let rest = self.0.split_off(length);
            let message = std::mem::replace(&mut self.0, rest);
            if let Some(reply) = reply(&message)? {
                return Ok(Some(reply));
            }
        }
    }
}

fn reply(message: &[u8]) -> Result<Option<Reply>, String> {
    let mut reader = Reader(&message[4..]);
    let mut word = || reader.word().ok_or("a message without a header");
    let (program, version, procedure) = (word()?, word()?, word()?);
    let (kind, serial, status) = (word()?, word()?, word()?);
    if program != PROGRAM || kind != REPLY {
        return Ok(None);
    }
    if version != VERSION || status > 1 {
        return Err(format!("a reply of version {version} with status {status}"));
    }
    Ok(Some(Reply { procedure, serial, failed: status == 1, body: reader.0.to_vec() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_padded_to_words_both_ways() {
        for text in ["", "a", "abcd", "abcde"] {
            let bytes = Writer::default().string(text).word(7).0;
            assert_eq!(bytes.len() % 4, 0, "{text}");
            let mut reader = Reader(&bytes);
            assert_eq!((reader.string().as_deref(), reader.word()), (Some(text), Some(7)));
            assert_eq!(reader.word(), None);
        }
    }

    #[test]
    fn a_length_beyond_the_bytes_is_no_string() {
        for bytes in [&b"\0\0\0\x05abcd"[..], b"\xff\xff\xff\xff", b"\x7f\xff\xff\xffabcd", b"\0\0"]
        {
            assert_eq!(Reader(bytes).string(), None, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_message_is_told_at_once() {
        for garbage in [&b"SSH-2.0-OpenSSH_9.2p1"[..], b"{\"id\":0,", &[0; 40], b"\0\0\0\x1b"] {
            let mut frames = Frames::default();
            frames.feed(garbage);
            assert!(frames.next().is_err(), "{garbage:?}");
        }
    }

    #[test]
    fn events_are_passed_over_and_other_versions_are_not() {
        let message = |program: u32, version: u32, kind: u32, status: u32| {
            let words = [28, program, version, 9, kind, 3, status];
            words.into_iter().fold(Writer::default(), Writer::word).0
        };
        let mut frames = Frames::default();
        frames.feed(&message(PROGRAM, 1, 2, 0));
        frames.feed(&message(0x6b65_6570, 1, 2, 0));
        frames.feed(&message(PROGRAM, 1, REPLY, 1));
        let reply = Reply { procedure: 9, serial: 3, failed: true, body: Vec::new() };
        assert_eq!(frames.next(), Ok(Some(reply)));
        assert_eq!(frames.next(), Ok(None));
        frames.feed(&message(PROGRAM, 2, REPLY, 0));
        assert!(frames.next().is_err());
    }
}
