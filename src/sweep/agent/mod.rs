//! Results of checks, told to the Sensu agent of this host.
//!
//! What the agents accept and answer is as seen on Sensu Core 1.9.0 and Sensu Go 6.12.0; the tests
//! replay it with stand-ins. Core takes many results over one TCP connection, Go one with each HTTP
//! request.

mod core;
mod go;
mod http;

use crate::host::talk::Remote;
use crate::host::{Host, Trouble, Why};
use crate::plugin::text;
use serde_json::{Map, Value, json};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Instant;

/// One result, as an agent is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name, of `[A-Za-z0-9_.-]`; no other is sent.
    pub name: String,
    /// 0 to 3.
    pub status: u8,
    /// What the check printed.
    pub output: String,
    /// What Sensu Core's configuration says of the check: `handlers`, `ttl`, `interval`, ...
    pub definition: Map<String, Value>,
    /// When it was run: seconds since 1970.
    pub executed: u64,
    /// How long it took, in seconds.
    pub duration: f64,
    /// What was measured; for Sensu Go, which reads no metrics out of the output of such a result.
    pub points: Vec<Point>,
}

/// One number, for Sensu Go.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// What it is.
    pub name: String,
    /// The number; one that is not finite is not sent.
    pub value: f64,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// Names and values of its tags.
    pub tags: Vec<(String, String)>,
}

/// Which agent is told, and where it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// The TCP socket of Sensu Core's client, `sensu-core[:ADDRESS:PORT]`.
    Core(SocketAddr),
    /// The HTTP API of Sensu Go's agent, `sensu-go[:ADDRESS:PORT]`.
    Go(SocketAddr),
}

/// What became of the results.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Delivered {
    /// What became of each, in their order.
    pub fates: Vec<Fate>,
    /// The first thing that went wrong with the agent itself.
    pub trouble: Option<Trouble>,
}

/// What became of one result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The agent has it.
    Taken,
    /// The agent will not have it, or no agent would: why.
    Refused(String),
    /// It was said, wholly or in part, and the agent did not say whether it has it.
    InDoubt,
    /// It was not said.
    Unsent,
}

impl Delivered {
    /// How many results the agent has.
    pub fn taken(&self) -> usize {
        self.fates.iter().filter(|fate| **fate == Fate::Taken).count()
    }

    /// Whether the agent has all.
    pub fn is_complete(&self) -> bool {
        self.taken() == self.fates.len()
    }
}

impl Host {
    /// Tells an agent of results, each once, with the exception below. Nothing is sent after the
    /// host's deadline. After three conversations that failed there are no more; a result that the agent
    /// refuses is none of them and does not stop the others.
    ///
    /// A `ttl` that the agent would refuse a result for is left out: Core wants a whole number above
    /// 0, Go one of at least 5 and above the `interval`.
    ///
    /// * **Core** gets the definition as it is, with the result: what its client publishes of a check
    ///   that it ran itself. Where it calls a batch `invalid` it may have taken results out of it, and
    ///   does not say which: these are said again one by one, up to the one that it refuses, and
    ///   may be in Sensu twice.
    /// * **Go** gets what it knows by the same name and type, Core's `subscribers`, `handler` and
    ///   `source` as `subscriptions`, `handlers` and `proxy_entity_name`, and the points. It passes 10
    ///   a second on, after the first 10.
    pub fn deliver(&self, agent: &Agent, events: &[Event]) -> Delivered {
        let mut delivery = Delivery {
            host: self,
            fates: events.iter().map(fate_without_agent).collect(),
            trouble: None,
            troubles: 0,
            is_over: false,
            started: Instant::now(),
        };
        if !delivery.wanted().is_empty() {
            (self.announce)(match agent {
                Agent::Core(_) => "the answer of Sensu Core's client",
                Agent::Go(_) => "the answer of Sensu Go's agent",
            });
            match agent {
                Agent::Core(address) => core::deliver(&mut delivery, *address, events),
                Agent::Go(address) => go::deliver(&mut delivery, *address, events),
            }
        }
        Delivered { fates: delivery.fates, trouble: delivery.trouble }
    }
}

/// What no agent would take is not sent: Sensu Core says no more of it than `invalid`.
fn fate_without_agent(event: &Event) -> Fate {
    let is_bad = |word: &str| match event.definition.get(word) {
        None | Some(Value::Null) => false,
        Some(value) => !value.as_str().is_some_and(is_name),
    };
    if !is_name(&event.name) {
        Fate::Refused("its name is not of letters, digits and _.- alone".into())
    } else if event.status > 3 {
        Fate::Refused(format!("its status is {}", event.status))
    } else if is_bad("source") || is_bad("proxy_entity_name") {
        Fate::Refused("its source is not of letters, digits and _.- alone".into())
    } else {
        Fate::Unsent
    }
}

/// `\A[\w.-]+\z`, for both.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// A delivery under way.
struct Delivery<'h> {
    host: &'h Host,
    fates: Vec<Fate>,
    trouble: Option<Trouble>,
    troubles: usize,
    is_over: bool,
    started: Instant,
}

impl Delivery<'_> {
    /// How often a conversation may fail before the agent is left alone.
    const TROUBLES: usize = 3;

    /// Which results are to be sent.
    fn wanted(&self) -> Vec<usize> {
        let all = self.fates.iter().enumerate();
        all.filter(|(_, fate)| **fate == Fate::Unsent).map(|(index, _)| index).collect()
    }

    /// Whether more may be said; after the deadline nothing is.
    fn goes_on(&mut self, daemon: &str, address: SocketAddr) -> bool {
        if !self.is_over && Instant::now() >= self.host.until {
            let whom = format!("{daemon} ({})", Remote::Tcp(address));
            let why = Why::Silent(self.started.elapsed());
            self.fail(Trouble { whom, why }, []);
            self.is_over = true;
        }
        !self.is_over
    }

    /// A conversation failed, in which these were said or to be said.
    fn fail(&mut self, trouble: Trouble, said: impl IntoIterator<Item = usize>) {
        // The kernel gives up on a peer that does not acknowledge only after minutes.
        let is_absent = matches!(
            trouble.why,
            Why::Absent | Why::Refused | Why::Forbidden | Why::Unreachable(_)
        );
        if !is_absent {
            self.doubt(said);
        }
        self.troubles += 1;
        self.is_over |= self.troubles >= Self::TROUBLES;
        self.trouble.get_or_insert(trouble);
    }

    /// These were said, and there is no telling yet whether they are in.
    fn doubt(&mut self, said: impl IntoIterator<Item = usize>) {
        for index in said {
            self.fates[index] = Fate::InDoubt;
        }
    }
}

/// A whole number that a definition may also have as text, as Calipso's templates do.
fn whole(definition: &Map<String, Value>, word: &str) -> Option<u64> {
    match definition.get(word)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    }
}

/// What came out of a check, in the words that both agents have.
fn outcome(event: &Event) -> [(String, Value); 5] {
    [
        ("status", json!(event.status)),
        ("output", json!(event.output)),
        ("issued", json!(event.executed)),
        ("executed", json!(event.executed)),
        ("duration", json!(milliseconds(event.duration))),
    ]
    .map(|(word, value)| (word.to_owned(), value))
}

/// Milliseconds at the finest, as Sensu Core measures; not negative, and a number.
fn milliseconds(seconds: f64) -> f64 {
    let rounded = (seconds * 1e3).round() / 1e3;
    if rounded.is_finite() { rounded.max(0.0) } else { 0.0 }
}

/// The first line of a foreign text, to be quoted.
fn first_line(bytes: &[u8]) -> String {
    const QUOTED: usize = 120;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    text::cut(text::line(&String::from_utf8_lossy(line)), QUOTED)
}

impl FromStr for Agent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, address) =
            text.split_once(':').map_or((text, None), |(kind, address)| (kind, Some(address)));
        let (of, port): (fn(SocketAddr) -> Self, u16) = match kind {
            "sensu-core" => (Self::Core, 3030),
            "sensu-go" => (Self::Go, 3031),
            _ => return Err("expected sensu-core or sensu-go, or either with :ADDRESS:PORT".into()),
        };
        match address.map(str::parse) {
            None => Ok(of((Ipv4Addr::LOCALHOST, port).into())),
            Some(Ok(address)) => Ok(of(address)),
            Some(Err(_)) => {
                Err(format!("expected {kind}:ADDRESS:PORT, as {kind}:127.0.0.1:{port}"))
            }
        }
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(address) => write!(f, "sensu-core:{address}"),
            Self::Go(address) => write!(f, "sensu-go:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A result with a definition, executed at 1000 within 12.3456 ms.
    pub(super) fn event(name: &str, definition: Value) -> Event {
        let Value::Object(definition) = definition else { panic!("a definition") };
        Event {
            name: name.into(),
            status: 2,
            output: "CheckX CRITICAL: down".into(),
            definition,
            executed: 1000,
            duration: 0.012_345_6,
            points: Vec::new(),
        }
    }

    #[test]
    fn an_agent_is_named_with_or_without_its_address() {
        let agent = |text: &str| text.parse::<Agent>().map(|agent| agent.to_string());
        assert_eq!(agent("sensu-core"), Ok("sensu-core:127.0.0.1:3030".into()));
        assert_eq!(agent("sensu-go"), Ok("sensu-go:127.0.0.1:3031".into()));
        assert_eq!(agent("sensu-go:[::1]:8080"), Ok("sensu-go:[::1]:8080".into()));
        assert_eq!(agent("sensu-core:192.0.2.1:1"), Ok("sensu-core:192.0.2.1:1".into()));
        for bad in ["", "sensu", "sensu-go:", "sensu-go:3031", "sensu-go:localhost:3031", ":x"] {
            assert!(agent(bad).is_err(), "{bad}");
        }
        let said = agent("sensu-go:::1").expect_err("no port");
        assert_eq!(said, "expected sensu-go:ADDRESS:PORT, as sensu-go:127.0.0.1:3031");
    }

    #[test]
    fn what_no_agent_takes_is_refused_without_one() {
        let fate = |name: &str, definition| fate_without_agent(&event(name, definition));
        assert_eq!(fate("a.B_c-1", json!({"source": "host-1"})), Fate::Unsent);
        assert_eq!(fate("a", json!({"source": null})), Fate::Unsent);
        for name in ["", "a b", "a/b", "a\n", "\u{e4}", "a|b"] {
            assert!(matches!(fate(name, json!({})), Fate::Refused(_)), "{name:?}");
        }
        for proxy in [json!("a b"), json!(""), json!(1), json!(["a"])] {
            for word in ["source", "proxy_entity_name"] {
                assert!(matches!(fate("a", json!({word: proxy})), Fate::Refused(_)), "{proxy}");
            }
        }
        let event = Event { status: 4, ..event("a", json!({})) };
        assert_eq!(fate_without_agent(&event), Fate::Refused("its status is 4".into()));
    }

    #[test]
    fn durations_are_numbers_of_milliseconds() {
        let all = [0.012_345_6, -1.0, f64::NAN, f64::INFINITY].map(milliseconds);
        assert_eq!(all, [0.012, 0.0, 0.0, 0.0]);
    }
}
