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
    /// The line it begins at, or of what is wrong with it, from 1.
    pub line: usize,
    /// Where in that line something is wrong, from 1, as far as that is known.
    pub column: Option<usize>,
    /// Its fields, or why there are none.
    pub fields: Result<Map<String, Value>, String>,
}

impl Document {
    /// `line 3`, or `line 3, column 195`.
    pub fn place(&self) -> String {
        let column = self.column.map(|column| format!(", column {column}")).unwrap_or_default();
        format!("line {}{column}", self.line)
    }
}

/// What is wrong within a document: how many lines below its first, where in the line, and what.
#[derive(Debug)]
struct Wrong {
    below: usize,
    column: Option<usize>,
    what: String,
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
        Ok(Document { line, column: None, fields: Err("no document".to_owned()) })
    }

    /// The document that begins here.
    fn document(&mut self) -> io::Result<Document> {
        let (line, before) = (self.line, self.column);
        let (length, whole) = self.extent()?;
        let fields = match whole {
            Ok(()) => fields(&self.held[self.at..self.at + length]),
            Err(why) => Err(Wrong { below: 0, column: None, what: why.to_owned() }),
        };
        if whole.is_ok() {
            self.step(length);
        } else {
            self.step(self.resume(length));
        }
        Ok(match fields {
            Ok(fields) => Document { line, column: None, fields: Ok(fields) },
            Err(Wrong { below, column, what }) => {
                let before = if below == 0 { before } else { 0 };
                let column = column.map(|column| before + column);
                Document { line: line + below, column, fields: Err(what) }
            }
        })
    }

    /// How long the document is that begins here; or how much of it was seen until it was clear
    /// that it is broken.
    fn extent(&mut self) -> io::Result<(usize, Result<(), &'static str>)> {
        let (mut open, mut text, mut ahead, mut before) = (Vec::new(), None, 0, b':');
        loop {
            let Some(byte) = self.byte(ahead)? else {
                return Ok((ahead, Err("it does not end")));
            };
            if ahead == MOST {
                return Ok((ahead, Err("it does not end within 32 MiB")));
            }
            match byte {
                b'\n' if text.is_some() => return Ok((ahead, Err("a line ends within a text"))),
                b'\\' if text.is_some() => ahead += 1,
                byte if text == Some(byte) => text = None,
                _ if text.is_some() => {}
                b'"' | b'\'' => text = Some(byte),
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
            if open.is_empty() && text.is_none() {
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

fn fields(text: &[u8]) -> Result<Map<String, Value>, Wrong> {
    let value = serde_json::from_slice(text).or_else(|_| {
        // Only what is no plain JSON is worth a second look.
        let strict = strict(text)?;
        serde_json::from_slice(&strict).map_err(|why| {
            let said = why.to_string();
            let what = said.split(" at line ").next().unwrap_or_default().to_owned();
            // Where a word was replaced, columns are others.
            let column = (strict == text).then_some(why.column());
            Wrong { below: why.line().saturating_sub(1), column, what }
        })
    });
    match value? {
        Value::Object(fields) => {
            Ok(fields.into_iter().map(|(name, value)| (name, simple(value))).collect())
        }
        _ => Err(Wrong { below: 0, column: None, what: "no document".to_owned() }),
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

/// What MongoDB's shells print, as JSON: `NumberInt(4567)`, `ObjectId("x")`, texts in single quotes,
/// names without quotes, comments.
fn strict(text: &[u8]) -> Result<Vec<u8>, Wrong> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&byte) = rest.first() {
        let wrong = |what: &str| {
            let before = &text[..text.len() - rest.len()];
            let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
            let below = before.iter().filter(|byte| **byte == b'\n').count();
            Wrong { below, column: Some(column), what: what.to_owned() }
        };
        let length = match byte {
            b'"' => text_length(rest),
            b'\'' => {
                let length = text_length(rest);
                double_quoted(&rest[..length], &mut out);
                rest = &rest[length..];
                continue;
            }
            b'/' if rest.starts_with(b"/*") => {
                let end = rest.windows(2).position(|pair| pair == b"*/");
                rest = &rest[end.ok_or_else(|| wrong("a comment does not end"))? + 2..];
                continue;
            }
            b'-' if rest.starts_with(b"-Infinity") => {
                rest = &rest[1..];
                continue;
            }
            byte if byte.is_ascii_alphabetic() || b"_$".contains(&byte) => {
                rest = word(rest, &mut out).map_err(wrong)?;
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

/// A text in single quotes as one in double quotes.
fn double_quoted(single: &[u8], out: &mut Vec<u8>) {
    let inner = single.strip_prefix(b"'").unwrap_or(single);
    let inner = inner.strip_suffix(b"'").unwrap_or(inner);
    out.push(b'"');
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => match bytes.next() {
                Some(b'\'') => out.push(b'\''),
                Some(b'x') => out.extend_from_slice(b"\\u00"),
                other => out.extend(std::iter::once(b'\\').chain(other.copied())),
            },
            byte => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// The length of the text in quotes that begins here.
fn text_length(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != text[0] {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// Takes the word that begins here, with its arguments, and what it means in JSON.
///
/// What it is not is never said: a text without quotes may be a password.
fn word<'t>(text: &'t [u8], out: &mut Vec<u8>) -> Result<&'t [u8], &'static str> {
    let length = text.iter().take_while(|b| b.is_ascii_alphanumeric() || b"_$".contains(b)).count();
    let (word, rest) = text.split_at(length);
    let behind = rest.trim_ascii_start();
    match (word, behind.first()) {
        (b"true" | b"false" | b"null", _) => out.extend_from_slice(word),
        (b"new", _) => return Ok(behind),
        (b"undefined" | b"NaN" | b"Infinity", _) => out.extend_from_slice(b"null"),
        (b"MinKey" | b"MaxKey", behind) if behind != Some(&b'(') => {
            out.extend_from_slice(b"null");
        }
        (_, Some(b':')) => {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
        }
        (_, Some(b'(')) => {
            let (argument, rest) = argument(&behind[1..])?;
            let bare = |quote: &[u8]| argument.strip_prefix(quote)?.strip_suffix(quote);
            let digits = bare(b"\"").or_else(|| bare(b"'")).unwrap_or(argument);
            let is_number = serde_json::from_slice::<Number>(digits).is_ok();
            match word {
                b"NumberInt" | b"NumberLong" | b"NumberDecimal" | b"Double" | b"Long"
                | b"Int32" | b"Decimal128"
                    if is_number =>
                {
                    out.extend_from_slice(digits);
                }
                _ if argument.starts_with(b"\"") => out.extend_from_slice(argument),
                _ if argument.starts_with(b"'") => double_quoted(argument, out),
                _ if is_number => out.extend_from_slice(digits),
                _ => out.extend_from_slice(b"null"),
            }
            return Ok(rest);
        }
        _ => return Err("a word that is no value (quote texts with \")"),
    }
    Ok(rest)
}

/// The first of the arguments in parentheses, and what stands behind them.
fn argument(text: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let mut first = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if first.is_none() && b",)".contains(&byte) {
            first = Some(text[..at].trim_ascii());
        }
        match byte {
            b')' => return Ok((first.unwrap_or_default(), &text[at + 1..])),
            b'"' | b'\'' => at += text_length(&text[at..]),
            _ => at += 1,
        }
    }
    Err("a ( without a )")
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
        assert_eq!(
            good(
                r#"{_id: ObjectId('5a'), 'b.c': 'it\'s "x"', d: '\x1b\n', e: Long('7'), f: Int32(8),
                g: "o'k", h: -Infinity, i: MinKey(), j: MaxKey, k: [ 'l' ], m: ISODate('2018')}"#
            ),
            [json!({"_id": "5a", "b.c": "it's \"x\"", "d": "\u{1b}\n", "e": 7, "f": 8, "g": "o'k",
                "h": null, "i": null, "j": null, "k": ["l"], "m": "2018"})]
        );
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
    fn a_mistake_has_its_place_once_and_no_word_of_the_text() {
        for (text, place, said) in [
            ("\n{\"a\": 1,\n \"b\": s3cret}", "line 3, column 7", "a word that is no value"),
            ("[{\"a\": s3cret}]", "line 1, column 8", "a word that is no value"),
            ("{\"a\": 1\n \"s3cret\": 2}", "line 2, column 2", "expected `,` or `}`"),
            ("{\"a\": NumberInt(5)\n \"s3cret\": 2}", "line 2", "expected `,` or `}`"),
        ] {
            let mut documents = Documents::of(text.as_bytes());
            let document = documents.advance().expect("it can be read").expect("a document");
            assert_eq!(document.place(), place, "{text}");
            let why = document.fields.expect_err("broken");
            assert!(
                why.contains(said) && !why.contains("s3cret") && !why.contains("line"),
                "{why}"
            );
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
