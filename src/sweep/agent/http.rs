//! Answers of an HTTP/1 server, as far as they say how a request ended: the status, and the first
//! line of the body. Strict, and bounded in memory whatever comes.

use super::first_line;
use memchr::memmem;

/// The longest head, with all that came before it.
const LONGEST_HEAD: usize = 16 << 10;
/// The longest body that is read to its end, so that another request can follow.
const LONGEST_BODY: usize = 64 << 10;
/// So much of it is kept.
const KEPT: usize = 512;

/// An answer that is being read.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What has come of a head.
    head: Vec<u8>,
    /// Bytes of heads that said only that another follows.
    interim: usize,
    status: Option<Status>,
    body: Vec<u8>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    /// 200 to 599.
    pub(super) code: u16,
    /// `400 Bad Request`.
    pub(super) line: String,
    /// Whether the server hears another request on the same connection.
    keeps: bool,
    is_chunked: bool,
    /// Bytes of the body that are still to come; `None` up to the end of the connection, or in chunks.
    left: Option<usize>,
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more of it.
    More,
    /// All that is wanted is there, and another request can follow on the same connection or not.
    Whole { reusable: bool },
}

impl Answer {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Progress, String> {
        if self.status.is_some() {
            return Ok(self.take_body(bytes));
        }
        // The end of the head may be torn.
        let from = self.head.len().saturating_sub(3);
        self.head.extend(bytes);
        if !self.read_heads(from)? {
            return Ok(Progress::More);
        }
        let of_body = std::mem::take(&mut self.head);
        Ok(self.take_body(&of_body))
    }

    /// How the request ended, as soon as that is known.
    pub(super) fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// What has come of the body, up to a length.
    pub(super) fn body(&self) -> &[u8] {
        let is_chunked = self.status.as_ref().is_some_and(|status| status.is_chunked);
        match memchr::memchr(b'\n', &self.body) {
            // Its first line is the length of the chunk.
            Some(end) if is_chunked => &self.body[end + 1..],
            None if is_chunked => &[],
            _ => &self.body,
        }
    }

    /// Whether the head is there that says how the request ended; what follows is left in its place.
    fn read_heads(&mut self, mut from: usize) -> Result<bool, String> {
        const START: &[u8] = b"HTTP/1.";
        const END: &[u8] = b"\r\n\r\n";
        loop {
            let start = START.len().min(self.head.len());
            if self.head[..start] != START[..start] {
                return Err(first_line(&self.head));
            }
            let end = memmem::find(&self.head[from..], END).map(|at| from + at + END.len());
            if self.interim + end.unwrap_or(self.head.len()) > LONGEST_HEAD {
                return Err(format!("a head of more than {LONGEST_HEAD} bytes"));
            }
            let Some(end) = end else { return Ok(false) };
            let rest = self.head.split_off(end);
            let head = std::mem::replace(&mut self.head, rest);
            let status = Status::read(&head[..end - END.len()])?;
            if status.code >= 200 {
                self.status = Some(status);
                return Ok(true);
            }
            self.interim += end;
            from = 0;
        }
    }

    fn take_body(&mut self, bytes: &[u8]) -> Progress {
        let room = KEPT - self.body.len();
        let Some(status) = &mut self.status else { return Progress::More };
        if let Some(left) = &mut status.left {
            let own = (*left).min(bytes.len());
            *left -= own;
            let (is_whole, is_alone) = (*left == 0, own == bytes.len());
            self.body.extend(&bytes[..own.min(room)]);
            // What nobody asked for is not the answer to the next request.
            return match is_whole {
                true => Progress::Whole { reusable: status.keeps && is_alone },
                false => Progress::More,
            };
        }
        let is_success = status.code < 300;
        self.body.extend(&bytes[..bytes.len().min(room)]);
        let says_enough = self.body.len() == KEPT || self.body().contains(&b'\n');
        if is_success || says_enough { Progress::Whole { reusable: false } } else { Progress::More }
    }
}

impl Status {
    /// A head without its empty line.
    fn read(head: &[u8]) -> Result<Self, String> {
        let nonsense = |line: &str| Err(first_line(line.as_bytes()));
        let Ok(head) = std::str::from_utf8(head) else { return Err(first_line(head)) };
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let Some((version, line)) = first.split_once(' ') else { return nonsense(first) };
        let code = line.split(' ').next().unwrap_or_default();
        let code = match digits(code) {
            // Nobody asked to speak another protocol.
            Some(101) | None => return nonsense(first),
            Some(number) if code.len() == 3 && (100..600).contains(&number) => number as u16,
            Some(_) => return nonsense(first),
        };
        let mut keeps = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return nonsense(first),
        };
        let (mut length, mut is_chunked) = (None, false);
        for header in lines {
            let Some((name, value)) = header.split_once(':') else { return nonsense(header) };
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
                return nonsense(header);
            }
            let value = value.trim_matches([' ', '\t']);
            match name.to_ascii_lowercase().as_str() {
                "content-length" => match (digits(value), length) {
                    (Some(new), None) => length = Some(new),
                    (Some(new), Some(old)) if new == old => {}
                    _ => return nonsense(header),
                },
                "transfer-encoding" => is_chunked = true,
                "connection" => {
                    keeps &=
                        !value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close"));
                }
                _ => {}
            }
        }
        let left = match code {
            204 | 304 => Some(0),
            _ => length.filter(|length| !is_chunked && *length <= LONGEST_BODY),
        };
        Ok(Self { code, line: first_line(line.as_bytes()), keeps, is_chunked, left })
    }
}

/// Digits and nothing else.
fn digits(text: &str) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
        X-Content-Type-Options: nosniff\r\nContent-Length: 32\r\n\r\nttl must be greater than 5\nmore.";

    /// The progress after all bytes, given in pieces; status and body.
    fn read(bytes: &[u8], piece: usize) -> Result<(Progress, Option<u16>, String), String> {
        let mut answer = Answer::default();
        let mut progress = Progress::More;
        for piece in bytes.chunks(piece) {
            assert_eq!(progress, Progress::More, "whole too early");
            progress = answer.take(piece)?;
        }
        let code = answer.status().map(|status| status.code);
        Ok((progress, code, String::from_utf8_lossy(answer.body()).into_owned()))
    }

    #[test]
    fn an_answer_is_whole_at_its_last_byte_wherever_it_is_torn() {
        let whole = Progress::Whole { reusable: true };
        let body = "ttl must be greater than 5\nmore.";
        for piece in 1..=REFUSAL.len() {
            let expected = Ok((whole, Some(400), body.to_owned()));
            assert_eq!(read(REFUSAL.as_bytes(), piece), expected, "{piece}");
        }
        for torn in 0..REFUSAL.len() {
            let progress = read(&REFUSAL.as_bytes()[..torn], 7).map(|(progress, ..)| progress);
            assert_eq!(progress, Ok(Progress::More), "{torn}");
        }
    }

    #[test]
    fn only_a_connection_that_is_kept_and_in_step_is_used_again() {
        for (answer, reusable) in [
            ("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 202\r\ncontent-length:  2\t\r\n\r\n{}", true),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\nmore", false),
            ("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n", false),
            ("HTTP/1.0 202 Accepted\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 202 Accepted\r\n\r\n", false),
            ("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("HTTP/1.1 202 Accepted\r\nContent-Length: 70000\r\n\r\n", false),
            ("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nbad\nvery", false),
        ] {
            let progress = read(answer.as_bytes(), answer.len()).map(|(progress, ..)| progress);
            assert_eq!(progress, Ok(Progress::Whole { reusable }), "{answer}");
        }
    }

    #[test]
    fn the_length_of_a_chunk_is_not_what_the_server_says() {
        let answer = "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbad\n";
        let whole = Progress::Whole { reusable: false };
        for piece in 1..answer.len() {
            assert_eq!(read(answer.as_bytes(), piece), Ok((whole, Some(400), "bad\n".to_owned())));
        }
    }

    #[test]
    fn what_is_no_answer_is_quoted() {
        for (bytes, said) in [
            ("invalid", "invalid"),
            ("HTTP/2 202\r\n\r\n", "HTTP/2 202"),
            ("HTTP/1.2 202 Accepted\r\n\r\n", "HTTP/1.2 202 Accepted"),
            ("HTTP/1.1\r\n\r\n", "HTTP/1.1"),
            ("HTTP/1.1 2020 Accepted\r\n\r\n", "HTTP/1.1 2020 Accepted"),
            ("HTTP/1.1 +20 x\r\n\r\n", "HTTP/1.1 +20 x"),
            ("HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1 099 x"),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 101 Switching Protocols"),
            ("HTTP/1.1 202 Accepted\r\nno header\r\n\r\n", "no header"),
            ("HTTP/1.1 202 Accepted\r\nA b: c\r\n\r\n", "A b: c"),
            ("HTTP/1.1 202 Accepted\r\n: c\r\n\r\n", ": c"),
            ("HTTP/1.1 202 Accepted\r\nContent-Length: -1\r\n\r\n", "Content-Length: -1"),
            (
                "HTTP/1.1 202 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                "Content-Length: 2",
            ),
            (
                "HTTP/1.1 202 x\r\nContent-Length: 99999999999999999999\r\n\r\n",
                "Content-Length: 99999999999999999999",
            ),
            ("\0\u{1}\u{2}|\u{fc}", "???/?"),
        ] {
            for piece in 1..=bytes.len() {
                // Torn, less of it may have come than is quoted.
                let wrong = read(bytes.as_bytes(), piece).expect_err(bytes);
                assert!(said.starts_with(wrong.trim_end_matches('?')), "{bytes}: {wrong}");
            }
            assert_eq!(read(bytes.as_bytes(), bytes.len()).expect_err(bytes), said);
        }
    }

    #[test]
    fn a_server_that_does_not_stop_is_stopped() {
        let header = "X-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
        let megabyte = header.repeat((1 << 20) / header.len());
        let head = format!("HTTP/1.1 202 Accepted\r\n{megabyte}\r\n");
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000);
        for endless in [head, interim] {
            for piece in [1, 1000, endless.len()] {
                let wrong = read(endless.as_bytes(), piece).expect_err("too long");
                assert_eq!(wrong, "a head of more than 16384 bytes");
            }
        }
        let mut answer = Answer::default();
        answer.take(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("a head");
        let mut taken = 0;
        while answer.take(b"no end of a line ").expect("a body") == Progress::More {
            taken += 1;
        }
        assert!(taken < KEPT && answer.body().len() == KEPT);
    }

    #[test]
    fn garbage_is_nonsense_or_waited_for_and_nothing_worse() {
        // Bytes of a xorshift generator, over answers at places of its choice.
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        let interesting = b"\r\n: \0\xff09,HTTP/1.";
        let mut outcomes = [0; 3];
        for _ in 0..20_000 {
            let mut bytes = REFUSAL.as_bytes().to_vec();
            for _ in 0..=next(4) {
                let at = next(bytes.len());
                match next(4) {
                    0 => bytes[at] = next(256) as u8,
                    1 => bytes[at] = interesting[next(interesting.len())],
                    2 => bytes.insert(at, interesting[next(interesting.len())]),
                    _ => drop(bytes.remove(at)),
                }
            }
            let mut answer = Answer::default();
            let mut progress = Ok(Progress::More);
            while !bytes.is_empty() && progress == Ok(Progress::More) {
                let rest = bytes.split_off(1 + next(bytes.len()));
                progress = answer.take(&std::mem::replace(&mut bytes, rest));
            }
            assert!(answer.body().len() <= KEPT && answer.head.len() <= LONGEST_HEAD);
            outcomes[match progress {
                Ok(Progress::More) => 0,
                Ok(Progress::Whole { .. }) => 1,
                Err(_) => 2,
            }] += 1;
        }
        assert!(outcomes.iter().all(|n| *n > 100), "{outcomes:?}");
    }
}
