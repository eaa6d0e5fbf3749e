//! Documents of a JSON export, one after the other: an array of them, one a line, or pretty-printed
//! in a row; in plain JSON, MongoDB's extended JSON or what its shell prints (`NumberInt(4567)`).
//! A broken document is told and does not hide those behind it; no more than one is in memory.

use serde_json::{Map, Number, Value};
use std::io::{self, Read};

/// The most that one document may take. MongoDB's own bound is 16 MiB of BSON.
const MOST: usize = 32 << 20;
const CHUNK: usize = 64 << 10;

/// A document, or what is wrong with it.
#[derive(Debug, PartialEq)]
pub struct Document {
    /// The line it begins at, from 1.
    pub line: usize,
    /// Its fields, or why there are none.
    pub fields: Result<Map<String, Value>, String>,
}

/// The documents of an input.
pub struct Documents<R> {
    input: R,
    held: Vec<u8>,
    /// Up to here `held` is done with.
    at: usize,
    /// The line of `at`, and where in it that is.
    line: usize,
    column: usize,
    ended: bool,
}

/// What stands between two documents of an export.
fn is_between(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b",[]\xef\xbb\xbf".contains(&byte)
}

impl<R: Read> Documents<R> {
    /// The documents of this input.
    pub fn of(input: R) -> Self {
        Self { input, held: Vec::new(), at: 0, line: 1, column: 0, ended: false }
    }

    /// The next document.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn advance(&mut self) -> io::Result<Option<Document>> {
        loop {
            let Some(byte) = self.byte(0)? else { return Ok(None) };
            match byte {
                b'{' => return self.document().map(Some),
                b'/' if self.byte(1)? == Some(b'*') => self.skip_comment()?,
                byte if is_between(byte) => self.step(1),
                _ => return self.stray().map(Some),
            }
        }
    }

    /// The byte this far ahead.
    fn byte(&mut self, ahead: usize) -> io::Result<Option<u8>> {
        while self.at + ahead >= self.held.len() && !self.ended {
            self.read_on()?;
        }
        Ok(self.held.get(self.at + ahead).copied())
    }

    fn read_on(&mut self) -> io::Result<()> {
        self.held.drain(..self.at);
        self.at = 0;
        let had = self.held.len();
        self.held.resize(had + CHUNK, 0);
        let got = loop {
            match self.input.read(&mut self.held[had..]) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                got => break got,
            }
        };
        self.held.truncate(had + *got.as_ref().unwrap_or(&0));
        self.ended = got? == 0;
        Ok(())
    }

    fn step(&mut self, bytes: usize) {
        let passed = &self.held[self.at..self.at + bytes];
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.column = match passed.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => bytes - at - 1,
            None => self.column + bytes,
        };
        self.at += bytes;
    }

    fn skip_comment(&mut self) -> io::Result<()> {
        self.step(2);
        while let Some(byte) = self.byte(0)? {
            let ends = byte == b'*' && self.byte(1)? == Some(b'/');
            self.step(if ends { 2 } else { 1 });
            if ends {
                break;
            }
        }
        Ok(())
    }

    /// What is no document, up to the next line or document.
    fn stray(&mut self) -> io::Result<Document> {
        let line = self.line;
        while let Some(byte) = self.byte(0)? {
            if byte == b'\n' || byte == b'{' {
                break;
            }
            self.step(1);
        }
        Ok(Document { line, fields: Err("no document".to_owned()) })
    }

    /// The document that begins here.
    fn document(&mut self) -> io::Result<Document> {
        let line = self.line;
        let (length, whole) = self.extent()?;
        let fields = match whole {
            Ok(()) => fields(&self.held[self.at..self.at + length]),
            Err(why) => Err(why.to_owned()),
        };
        if whole.is_ok() {
            self.step(length);
        } else {
            self.step(self.resume(length));
        }
        Ok(Document { line, fields })
    }

    /// How long the document is that begins here; or how much of it was seen until it was clear
    /// that it is broken.
    fn extent(&mut self) -> io::Result<(usize, Result<(), &'static str>)> {
        let (mut open, mut in_string, mut ahead, mut before) = (Vec::new(), false, 0, b':');
        loop {
            let Some(byte) = self.byte(ahead)? else {
                return Ok((ahead, Err("it does not end")));
            };
            if ahead == MOST {
                return Ok((ahead, Err("it does not end within 32 MiB")));
            }
            match byte {
                b'\n' if in_string => return Ok((ahead, Err("a line ends within a text"))),
                b'\\' if in_string => ahead += 1,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                // No value can stand here, but the next document, and this one is cut off.
                b'{' if !b"[:(".contains(&before)
                    && (before, open.last()) != (b',', Some(&b']')) =>
                {
                    return Ok((ahead, Err("it does not end")));
                }
                b'{' => open.push(b'}'),
                b'[' => open.push(b']'),
                b'}' | b']' if open.pop() != Some(byte) => {
                    return Ok((ahead, Err("its brackets do not match")));
                }
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                before = byte;
            }
            ahead += 1;
            if open.is_empty() && !in_string {
                return Ok((ahead, Ok(())));
            }
        }
    }

    /// Where to go on behind a broken document: at the next line that begins like one and is not
    /// indented deeper; else behind what was seen of it.
    fn resume(&self, seen: usize) -> usize {
        let broken = &self.held[self.at..self.at + seen];
        let mut lines = broken.split_inclusive(|byte| *byte == b'\n');
        let mut at = lines.next().map_or(0, <[u8]>::len);
        for line in lines {
            let indent = line.iter().take_while(|byte| **byte == b' ').count();
            if line.get(indent) == Some(&b'{') && indent <= self.column {
                return at;
            }
            at += line.len();
        }
        seen
    }
}

fn fields(text: &[u8]) -> Result<Map<String, Value>, String> {
    let value = serde_json::from_slice(text).or_else(|plain| {
        // Only what is no plain JSON is worth a second look.
        let strict = strict(text).map_err(|why| format!("{plain}; {why}"))?;
        serde_json::from_slice(&strict).map_err(|why| why.to_string())
    });
    match value? {
        Value::Object(fields) => {
            Ok(fields.into_iter().map(|(name, value)| (name, simple(value))).collect())
        }
        _ => Err("no document".to_owned()),
    }
}

/// MongoDB's types as JSON's own: `{"$oid": "x"}` is a text, `{"$numberInt": "5"}` a number.
fn simple(value: Value) -> Value {
    match value {
        Value::Object(map) if map.len() == 1 && map.keys().all(|key| key.starts_with('$')) => {
            let (key, inner) = map.into_iter().next().unwrap_or_default();
            match (key.as_str(), inner) {
                ("$numberInt" | "$numberLong" | "$numberDouble" | "$numberDecimal", inner) => {
                    number(inner)
                }
                ("$undefined" | "$minKey" | "$maxKey", _) => Value::Null,
                (_, inner) => simple(inner),
            }
        }
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, simple(value))).collect(),
        Value::Array(list) => list.into_iter().map(simple).collect(),
        plain => plain,
    }
}

fn number(written: Value) -> Value {
    match &written {
        Value::String(text) => text.parse::<Number>().map_or(written, Value::Number),
        _ => written,
    }
}

/// What MongoDB's shell prints, as JSON: `NumberInt(4567)`, `ObjectId("x")`, names without quotes,
/// comments.
fn strict(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&byte) = rest.first() {
        let length = match byte {
            b'"' => text_length(rest),
            b'/' if rest.starts_with(b"/*") => {
                let end = rest.windows(2).position(|pair| pair == b"*/");
                rest = &rest[end.ok_or("a comment does not end")? + 2..];
                continue;
            }
            byte if byte.is_ascii_alphabetic() || b"_$".contains(&byte) => {
                rest = word(rest, &mut out)?;
                continue;
            }
            // An exponent is not a word.
            byte if byte.is_ascii_digit() => {
                rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)).count()
            }
            _ => 1,
        };
        out.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
    }
    Ok(out)
}

/// The length of the text in quotes that begins here.
fn text_length(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// Takes the word that begins here, with its arguments, and what it means in JSON.
fn word<'t>(text: &'t [u8], out: &mut Vec<u8>) -> Result<&'t [u8], String> {
    let length = text.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_$".contains(b)).count();
    let (word, rest) = text.split_at(length);
    let behind = rest.trim_ascii_start();
    match (word, behind.first()) {
        (b"true" | b"false" | b"null", _) => out.extend_from_slice(word),
        (b"new", _) => return Ok(behind),
        (b"undefined" | b"NaN" | b"Infinity", _) => out.extend_from_slice(b"null"),
        (_, Some(b':')) => {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
        }
        (_, Some(b'(')) => {
            let (argument, rest) = argument(&behind[1..])?;
            let digits = argument.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
            let digits = digits.unwrap_or(argument);
            let is_number = serde_json::from_slice::<Number>(digits).is_ok();
            match word {
                b"NumberInt" | b"NumberLong" | b"NumberDecimal" | b"Double" if is_number => {
                    out.extend_from_slice(digits);
                }
                _ if argument.starts_with(b"\"") => out.extend_from_slice(argument),
                _ if is_number => out.extend_from_slice(digits),
                _ => out.extend_from_slice(b"null"),
            }
            return Ok(rest);
        }
        _ => return Err(format!("'{}' is no value", String::from_utf8_lossy(word))),
    }
    Ok(rest)
}

/// The first of the arguments in parentheses, and what stands behind them.
fn argument(text: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let mut first = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if first.is_none() && b",)".contains(&byte) {
            first = Some(text[..at].trim_ascii());
        }
        match byte {
            b')' => return Ok((first.unwrap_or_default(), &text[at + 1..])),
            b'"' => at += text_length(&text[at..]),
            _ => at += 1,
        }
    }
    Err("a ( without a )".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Hands out a few bytes at a time, so that every state sees an end of what is held.
    struct Drip<'t>(&'t [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(into.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn all(text: &str) -> Vec<(usize, Result<Value, String>)> {
        let read = |step| {
            let mut documents = Documents::of(Drip(text.as_bytes(), step));
            let next = || documents.advance().expect("it can be read");
            std::iter::from_fn(next)
                .map(|found| (found.line, found.fields.map(Value::Object)))
                .collect::<Vec<_>>()
        };
        let whole = read(usize::MAX);
        assert_eq!(read(1), whole, "{text}");
        assert_eq!(read(7), whole, "{text}");
        whole
    }

    fn good(text: &str) -> Vec<Value> {
        let found = all(text).into_iter();
        found.map(|(line, fields)| fields.unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    }

    #[test]
    fn arrays_lines_and_pretty_prints_are_the_same_documents() {
        let wanted = vec![json!({"id": "a", "n": {"x": [1, 2]}}), json!({"id": "}{\"\\"})];
        for text in [
            r#"[{"id":"a","n":{"x":[1,2]}},{"id":"}{\"\\"}]"#,
            "{\"id\":\"a\",\"n\":{\"x\":[1,2]}}\n{\"id\":\"}{\\\"\\\\\"}\n",
            "\u{feff}[\n  {\n    \"id\": \"a\",\n    \"n\":\n  {\"x\": [1,\n2]}\n  },\n{\"id\":\"}{\\\"\\\\\"}]\n",
            "/* 1 */\r\n{\"id\":\"a\",\"n\":{\"x\":[1,2]}}\r\n/* 2 {*/\r\n{\"id\":\"}{\\\"\\\\\"}",
        ] {
            assert_eq!(good(text), wanted, "{text}");
        }
        assert_eq!(good(""), Vec::<Value>::new());
        assert_eq!(good(" [ ]\n"), Vec::<Value>::new());
    }

    #[test]
    fn types_of_mongodb_are_plain_values() {
        let wanted = json!({"_id": "5a", "port": 4567, "big": 12, "when": "2018", "f": 1.5e3,
            "list": [{"n": -3}], "none": null, "t": true});
        for text in [
            r#"{"_id":{"$oid":"5a"},"port":{"$numberInt":"4567"},"big":{"$numberLong":"12"},
                "when":{"$date":"2018"},"f":1.5e3,"list":[{"n":{"$numberInt":"-3"}}],
                "none":{"$undefined":true},"t":true}"#,
            r#"{_id:ObjectId("5a"),"port":NumberInt(4567),"big":NumberLong("12"),
                "when":ISODate("2018"),"f":1.5e3,"list":[{"n": NumberInt( -3 )}],
                "none":undefined,/* ) */"t":true}"#,
        ] {
            assert_eq!(good(text), std::slice::from_ref(&wanted), "{text}");
        }
        assert_eq!(good(r#"{"a":new Date(5),"b":Timestamp(7, 1)}"#), [json!({"a": 5, "b": 7})]);
        assert_eq!(
            good(r#"{"a":"NumberInt(5)","b":NumberInt("x")}"#),
            [json!({"a": "NumberInt(5)", "b": "x"})]
        );
    }

    #[test]
    fn a_broken_document_does_not_hide_the_next() {
        for broken in [
            r#"{"id":"b""#,
            r#"{"id":"b"#,
            r#"{"id":"b","n":{"x":1"#,
            r#"{"id":"b","n":{"x":"#,
            r#"{"id":"b","n":[1,"#,
            r#"{"id":nonsense}"#,
            r#"{"id":"b",}"#,
            r#"{"id" "b"}"#,
            r#"nonsense"#,
            r#"{"id":NumberInt(}"#,
            "{\"id\":\"\u{1}\"}",
            r#"{"a":{"a":]}"#,
        ] {
            for text in [
                format!("{{\"id\":\"a\"}}\n{broken}\n{{\"id\":\"c\"}}\n{{\"id\":\"d\"}}\n"),
                format!(
                    "[\n  {{\"id\":\"a\"}},\n  {broken},\n  {{\"id\":\"c\"}},\n  {{\"id\":\"d\"}}\n]\n"
                ),
            ] {
                let found = all(&text);
                let ids: Vec<_> = found
                    .iter()
                    .filter_map(|(_, f)| Some(f.as_ref().ok()?["id"].clone()))
                    .collect();
                assert_eq!(ids, ["a", "c", "d"], "{text}: {found:?}");
                assert!(found.len() > 3, "{text}: not told");
            }
        }
    }

    #[test]
    fn lines_are_counted() {
        let found = all("\n{\"a\":\n1}\n\n{\"a\":}\n  {\"a\":2}");
        let lines: Vec<_> = found.iter().map(|(line, fields)| (*line, fields.is_ok())).collect();
        assert_eq!(lines, [(2, true), (5, false), (6, true)]);
    }

    #[test]
    fn no_more_than_one_document_is_held() {
        let line = format!("{{\"id\":\"{}\"}}\n", "x".repeat(1000));
        let text = line.repeat(5000);
        let mut documents = Documents::of(text.as_bytes());
        while documents.advance().expect("it can be read").is_some() {}
        assert!(documents.held.capacity() < 4 * CHUNK, "{}", documents.held.capacity());
    }
}
