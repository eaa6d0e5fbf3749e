//! Takes a stream of JSON-RPC messages apart without holding it: rows of a `select` one by one,
//! and the rest of the message, the frame, without its rows.
//!
//! OVSDB sends messages back to back without framing, and a reply may have tens of megabytes. A
//! reply to `transact` is `{"result":[{"rows":[ROW,...]},...]}`: a row is every object that opens
//! when exactly four containers are open. So one pass over the bytes that counts brackets outside
//! of strings finds both the rows and the end of the message.

/// Bytes of one row at the most: a bridge of 300,000 ports has 15 MB of them.
const ROW_MAX: usize = 16 << 20;
/// Bytes of a message without its rows at the most.
const FRAME_MAX: usize = 1 << 20;
/// Containers around a row.
const ROW_DEPTH: usize = 4;
/// Containers around the object of one operation's result.
const OPERATION_DEPTH: usize = 2;

/// One piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A row of the operation with this index, as JSON.
    Row(usize, Vec<u8>),
    /// A whole message without the rows that went before.
    Frame(Vec<u8>),
}

/// The state between two chunks.
#[derive(Debug, Default)]
pub struct Scanner {
    depth: usize,
    in_string: bool,
    escaped: bool,
    operations: usize,
    row: Vec<u8>,
    frame: Vec<u8>,
}

impl Scanner {
    /// Takes a chunk; hands out each piece that is complete with it.
    ///
    /// # Errors
    /// What cannot be a message: too large, or not balanced.
    pub fn feed(
        &mut self,
        chunk: &[u8],
        mut piece: impl FnMut(Piece) -> Result<(), String>,
    ) -> Result<(), String> {
        for &byte in chunk {
            let in_row = self.depth > ROW_DEPTH;
            if self.depth == 0 && byte.is_ascii_whitespace() {
                continue;
            }
            if in_row {
                self.row.push(byte)
            } else {
                self.frame.push(byte)
            }
            if self.in_string {
                self.string_byte(byte);
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.open(byte),
                b'}' | b']' => {
                    self.depth = self.depth.checked_sub(1).ok_or("brackets do not match")?;
                    if in_row && self.depth == ROW_DEPTH {
                        let operation = self.operations.saturating_sub(1);
                        piece(Piece::Row(operation, std::mem::take(&mut self.row)))?;
                    } else if self.depth == 0 {
                        self.operations = 0;
                        piece(Piece::Frame(std::mem::take(&mut self.frame)))?;
                    }
                }
                // Between rows: what is left of the list in the frame is `[]`.
                b',' if self.depth == ROW_DEPTH => drop(self.frame.pop()),
                _ if self.depth == 0 => return Err("no JSON object".to_owned()),
                _ => {}
            }
        }
        match (self.row.len() > ROW_MAX, self.frame.len() > FRAME_MAX) {
            (false, false) => Ok(()),
            (true, _) => Err(format!("a row of more than {ROW_MAX} bytes")),
            (_, true) => Err(format!("a message of more than {FRAME_MAX} bytes beside its rows")),
        }
    }

    fn open(&mut self, byte: u8) {
        if byte == b'{' && self.depth == ROW_DEPTH {
            self.frame.pop();
            self.row.push(byte);
        }
        if byte == b'{' && self.depth == OPERATION_DEPTH {
            self.operations += 1;
        }
        self.depth += 1;
    }

    fn string_byte(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(stream: &str, chunk: usize) -> Result<Vec<String>, String> {
        let mut scanner = Scanner::default();
        let mut out = Vec::new();
        for part in stream.as_bytes().chunks(chunk) {
            scanner.feed(part, |piece| {
                out.push(match piece {
                    Piece::Row(op, row) => format!("{op} {}", String::from_utf8_lossy(&row)),
                    Piece::Frame(frame) => String::from_utf8_lossy(&frame).into_owned(),
                });
                Ok(())
            })?;
        }
        Ok(out)
    }

    #[test]
    fn rows_come_one_by_one_whatever_the_chunks() {
        let stream = concat!(
            r#"{"id":0,"result":[{"rows":[{"a":"]}\"{"},{"m":["map",[["k",{"x":1}]]]}]},"#,
            r#"{"rows":[]},{"rows":[{"b":[{}]}]},{"error":"e","details":"d"}],"error":null}"#,
            "\n",
            r#"{"method":"echo","params":[],"id":"echo"}"#
        );
        let expected = [
            r#"0 {"a":"]}\"{"}"#,
            r#"0 {"m":["map",[["k",{"x":1}]]]}"#,
            r#"2 {"b":[{}]}"#,
            r#"{"id":0,"result":[{"rows":[]},{"rows":[]},{"rows":[]},{"error":"e","details":"d"}],"error":null}"#,
            r#"{"method":"echo","params":[],"id":"echo"}"#,
        ];
        for chunk in [1, 2, 3, 7, 64, 4096] {
            assert_eq!(pieces(stream, chunk).expect("a stream"), expected, "chunks of {chunk}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert!(pieces("hello", 1).is_err());
        assert!(pieces("}", 1).is_err());
        assert!(pieces("{\"a\":1}]", 1).is_err());
        let endless = format!("{{\"x\":\"{}", "y".repeat(FRAME_MAX + 1));
        assert!(pieces(&endless, 4096).is_err());
        let row = format!("{{\"result\":[{{\"rows\":[{{\"x\":\"{}", "y".repeat(ROW_MAX + 1));
        assert!(pieces(&row, 65536).is_err());
    }
}
