//! A client that asks daemons over their unix sockets and does nothing else: what asking costs.
//!
//! `bare [--show] SOCKET REQUEST [SOCKET REQUEST]... [--then SOCKET REQUEST...]...`
//!
//! The requests of a round go out together, then the replies are read, as many JSON objects as
//! were sent. `--then` starts a round with connections of its own. `--show` prints the replies.
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Counts top-level JSON objects as they arrive.
#[derive(Default)]
struct Objects {
    depth: usize,
    in_string: bool,
    escaped: bool,
    complete: usize,
}

impl Objects {
    fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.complete += usize::from(self.depth == 0);
                }
                _ => {}
            }
        }
    }
}

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let show = args.first().is_some_and(|first| first == "--show");
    args.drain(..usize::from(show));
    let mut buffer = vec![0; 64 << 10];
    for round in args.split(|arg| arg == "--then") {
        if let Err(why) = hold(round, &mut buffer, show) {
            eprintln!("bare: {why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn hold(round: &[String], buffer: &mut [u8], show: bool) -> Result<(), String> {
    let (pairs, rest) = round.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return Err("write pairs of SOCKET and REQUEST".to_owned());
    }
    let mut streams = Vec::with_capacity(pairs.len());
    for [path, request] in pairs {
        let mut stream = UnixStream::connect(path).map_err(|e| format!("{path}: {e}"))?;
        stream.write_all(request.as_bytes()).map_err(|e| format!("{path}: {e}"))?;
        let mut sent = Objects::default();
        sent.feed(request.as_bytes());
        streams.push((stream, path, sent.complete));
    }
    for (mut stream, path, expected) in streams {
        let mut replies = Objects::default();
        while replies.complete < expected {
            match stream.read(buffer).map_err(|e| format!("{path}: {e}"))? {
                0 => return Err(format!("{path}: hung up")),
                length => {
                    replies.feed(&buffer[..length]);
                    if show {
                        std::io::stdout().write_all(&buffer[..length]).map_err(|e| e.to_string())?;
                    }
                }
            }
        }
        if show {
            println!();
        }
    }
    Ok(())
}
