//! The Open vSwitch database: `select`s over a unix socket or TCP (RFC 7047), only the columns
//! asked for, rows handed on while they arrive.

pub mod scan;
pub mod value;

use crate::host::talk::{Dialogue, Heard};
use scan::{Piece, Scanner};
use serde::Deserialize;
use serde_json::{Value, json};

/// One `select`, or a question that costs no rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Rows of a table that meet all conditions.
    Rows {
        /// The table.
        table: &'static str,
        /// `[column, function, value]` each.
        conditions: Vec<Value>,
        /// What is wanted of each row.
        columns: &'static [&'static str],
    },
    /// Whether any row of a table meets all conditions: a `wait` that does not wait, so the reply
    /// has the same size however many do.
    Any {
        /// The table.
        table: &'static str,
        /// `[column, function, value]` each.
        conditions: Vec<Value>,
    },
}

impl Ask {
    /// Rows of a table that meet all conditions.
    pub const fn rows(
        table: &'static str,
        conditions: Vec<Value>,
        columns: &'static [&'static str],
    ) -> Self {
        Self::Rows { table, conditions, columns }
    }

    fn operation(&self) -> Value {
        match self {
            Self::Rows { table, conditions, columns } => {
                json!({"op": "select", "table": table, "where": conditions, "columns": columns})
            }
            Self::Any { table, conditions } => json!({
                "op": "wait", "timeout": 0, "table": table, "where": conditions,
                "columns": ["_uuid"], "until": "!=", "rows": [],
            }),
        }
    }
}

/// Hands on a row: the index of its [`Ask`] and the row as JSON. An error ends the conversation.
pub type OnRow<'r> = dyn FnMut(usize, &[u8]) -> Result<(), String> + 'r;

/// One transaction of several questions.
pub struct Transact<'r> {
    asks: Vec<Ask>,
    scanner: Scanner,
    on_row: Box<OnRow<'r>>,
    any: Vec<bool>,
}

/// A message without its rows.
#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    id: Value,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    result: Option<Vec<Option<OpResult>>>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct OpResult {
    error: Option<String>,
    details: Option<String>,
}

impl<'r> Transact<'r> {
    /// Prepares a transaction. Questions of the kind [`Ask::Any`] must come last: the first one
    /// that is answered with no ends the transaction.
    pub fn new(
        asks: Vec<Ask>,
        on_row: impl FnMut(usize, &[u8]) -> Result<(), String> + 'r,
    ) -> Self {
        let any = vec![false; asks.len()];
        Self { asks, scanner: Scanner::default(), on_row: Box::new(on_row), any }
    }

    /// Whether the question with this index, an [`Ask::Any`], was answered with yes.
    pub fn any(&self, index: usize) -> bool {
        self.any.get(index).copied().unwrap_or(false)
    }

    fn frame(&mut self, bytes: &[u8]) -> Heard {
        let frame: Frame = match serde_json::from_slice(bytes) {
            Ok(frame) => frame,
            Err(e) => return Heard::Nonsense(format!("no JSON-RPC message: {e}")),
        };
        if frame.method.as_deref() == Some("echo") {
            let reply = json!({"id": frame.id, "result": frame.params, "error": null});
            return Heard::Reply(reply.to_string().into_bytes());
        }
        if frame.method.is_some() {
            return Heard::More;
        }
        match (frame.error, frame.result) {
            (Some(error), _) => Heard::Nonsense(format!("the database refused: {error}")),
            (None, None) => Heard::Nonsense("a reply without a result".to_owned()),
            (None, Some(results)) => self.results(&results),
        }
    }

    fn results(&mut self, results: &[Option<OpResult>]) -> Heard {
        for (index, ask) in self.asks.iter().enumerate() {
            let result = results.get(index).and_then(Option::as_ref);
            let error = result.and_then(|r| r.error.as_deref());
            match (ask, result, error) {
                (Ask::Any { .. }, Some(_), None) => self.any[index] = true,
                // Operations behind the first that failed have the result null.
                (Ask::Any { .. }, None, _) | (Ask::Any { .. }, _, Some("timed out")) => {}
                (_, None, _) => return Heard::Nonsense("fewer results than questions".to_owned()),
                (_, Some(r), Some(error)) => {
                    let details = r.details.as_deref().unwrap_or_default();
                    return Heard::Nonsense(format!("the database refused: {error}: {details}"));
                }
                (Ask::Rows { .. }, Some(_), None) => {}
            }
        }
        Heard::Done
    }
}

impl Dialogue for Transact<'_> {
    fn opening(&self) -> Vec<u8> {
        let mut params = vec![json!("Open_vSwitch")];
        params.extend(self.asks.iter().map(Ask::operation));
        json!({"id": 0, "method": "transact", "params": params}).to_string().into_bytes()
    }

    fn hear(&mut self, bytes: &[u8]) -> Heard {
        let mut frames = Vec::new();
        let (on_row, questions) = (&mut self.on_row, self.asks.len());
        let fed = self.scanner.feed(bytes, |piece| match piece {
            Piece::Row(operation, _) if operation >= questions => {
                Err("more results than questions".to_owned())
            }
            Piece::Row(operation, row) => on_row(operation, &row),
            Piece::Frame(frame) => {
                frames.push(frame);
                Ok(())
            }
        });
        if let Err(what) = fed {
            return Heard::Nonsense(what);
        }
        for frame in frames {
            match self.frame(&frame) {
                Heard::More => {}
                heard => return heard,
            }
        }
        Heard::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(asks: Vec<Ask>, reply: &str) -> (Heard, Vec<String>, Vec<bool>) {
        let mut rows = Vec::new();
        let mut transact = Transact::new(asks, |op, row| {
            rows.push(format!("{op} {}", String::from_utf8_lossy(row)));
            Ok(())
        });
        let heard = transact.hear(reply.as_bytes());
        let any = transact.any.clone();
        drop(transact);
        (heard, rows, any)
    }

    fn interface() -> Ask {
        Ask::rows("Interface", vec![json!(["name", "==", "eth1"])], &["name"])
    }

    fn any() -> Ask {
        Ask::Any { table: "Interface", conditions: vec![] }
    }

    #[test]
    fn a_question_asks_only_for_its_columns() {
        let transact = Transact::new(vec![interface()], |_, _| Ok(()));
        assert_eq!(
            String::from_utf8(transact.opening()).expect("JSON is UTF-8"),
            r#"{"id":0,"method":"transact","params":["Open_vSwitch",{"columns":["name"],"op":"select","table":"Interface","where":[["name","==","eth1"]]}]}"#
        );
    }

    #[test]
    fn rows_end_with_done_and_errors_with_their_text() {
        let (end, rows, _) = heard(
            vec![interface()],
            r#"{"id":0,"result":[{"rows":[{"name":"eth1"}]}],"error":null}"#,
        );
        assert_eq!((end, rows), (Heard::Done, vec![r#"0 {"name":"eth1"}"#.to_owned()]));
        let bad = include_str!("../../../tests/fixtures/ovs/ovsdb-error-badcolumn.resp.json");
        let Heard::Nonsense(what) = heard(vec![interface()], bad).0 else {
            panic!("an error is no answer")
        };
        assert!(what.contains("nosuchcolumn is not a valid column name"), "{what}");
        let bad = include_str!("../../../tests/fixtures/ovs/ovsdb-error-baddb.resp.json");
        assert!(matches!(heard(vec![interface()], bad).0, Heard::Nonsense(_)));
        let short = r#"{"id":0,"result":[],"error":null}"#;
        assert!(matches!(heard(vec![interface()], short).0, Heard::Nonsense(_)));
    }

    #[test]
    fn a_wait_that_does_not_wait_is_a_yes_or_no() {
        let yes = r#"{"id":0,"result":[{"rows":[]},{}],"error":null}"#;
        let (end, _, any_said) = heard(vec![interface(), any()], yes);
        assert_eq!((end, any_said), (Heard::Done, vec![false, true]));
        let no = r#"{"id":0,"result":[{"rows":[]},{"details":"\"where\" clause test failed","error":"timed out"}],"error":null}"#;
        let (end, _, any_said) = heard(vec![interface(), any()], no);
        assert_eq!((end, any_said), (Heard::Done, vec![false, false]));
    }

    #[test]
    fn rows_of_a_question_that_was_not_asked_are_no_answer() {
        let reply = r#"{"id":0,"result":[{"rows":[]},{"rows":[{"name":"x"}]}],"error":null}"#;
        assert!(matches!(heard(vec![interface()], reply).0, Heard::Nonsense(_)));
    }

    #[test]
    fn an_echo_of_the_server_is_answered() {
        let echo = r#"{"method":"echo","params":["x"],"id":"echo"}"#;
        let Heard::Reply(reply) = heard(vec![interface()], echo).0 else { panic!("no reply") };
        assert_eq!(
            serde_json::from_slice::<Value>(&reply).expect("JSON"),
            json!({"id": "echo", "result": ["x"], "error": null})
        );
    }
}
