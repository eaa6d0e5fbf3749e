//! Sensu Go's agent: an HTTP request for each result, on a few connections at once that are used
//! again. While one waits for an answer, the others go on.

use super::http::{Answer, Progress};
use super::{Delivery, Event, Fate, first_line, outcome, whole};
use crate::host::Why;
use crate::host::talk::{Dialogue, Heard, Outcome, Remote, Talk, converse};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Instant;

const DAEMON: &str = "sensu-agent";
/// The most connections at once.
const LANES: usize = 8;

/// Says all that can be sent.
pub(super) fn deliver(delivery: &mut Delivery, address: SocketAddr, events: &[Event]) {
    let mut queue = delivery.wanted();
    queue.reverse();
    let shared = Shared { events, address, queue: RefCell::new(queue) };
    while !shared.queue.borrow().is_empty() && delivery.goes_on(DAEMON, address) {
        round(delivery, &shared);
    }
}

/// As many lanes as there is work for, until each has ended.
fn round(delivery: &mut Delivery, shared: &Shared) {
    let mut lanes: Vec<Lane> =
        std::iter::from_fn(|| shared.next()).take(LANES).map(|at| Lane::new(shared, at)).collect();
    let remote = Remote::Tcp(shared.address);
    let mut talks: Vec<Talk> =
        lanes.iter_mut().map(|lane| Talk::new(DAEMON, remote.clone(), lane)).collect();
    converse(&mut talks, delivery.host.until);
    let outcomes: Vec<Outcome> = talks.into_iter().map(Talk::outcome).collect();
    for (mut lane, outcome) in lanes.into_iter().zip(outcomes) {
        // An answer whose body was cut off says all the same how the request ended.
        lane.settle();
        for (index, fate) in lane.settled {
            delivery.fates[index] = fate;
        }
        if let (Some(at), Err(mut trouble)) = (lane.at, outcome) {
            if let Why::Silent(time) = &mut trouble.why {
                *time = lane.asked.elapsed();
            }
            delivery.fail(trouble, [at]);
        }
    }
}

/// What all lanes have in common.
struct Shared<'a> {
    events: &'a [Event],
    address: SocketAddr,
    /// What no lane has taken yet, the next one last.
    queue: RefCell<Vec<usize>>,
}

impl Shared<'_> {
    fn next(&self) -> Option<usize> {
        self.queue.borrow_mut().pop()
    }

    fn request(&self, index: usize) -> Vec<u8> {
        let body = document(&self.events[index]).to_string();
        format!(
            "POST /events HTTP/1.1\r\nHost: {}\r\nUser-Agent: calipso-checks\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len(),
        )
        .into()
    }
}

/// One connection.
struct Lane<'a> {
    shared: &'a Shared<'a>,
    /// Whose request is under way, and since when.
    at: Option<usize>,
    asked: Instant,
    answer: Answer,
    settled: Vec<(usize, Fate)>,
}

impl<'a> Lane<'a> {
    fn new(shared: &'a Shared<'a>, at: usize) -> Self {
        let (asked, answer) = (Instant::now(), Answer::default());
        Self { shared, at: Some(at), asked, answer, settled: Vec::new() }
    }

    /// The request under way has ended, if there is an answer.
    fn settle(&mut self) {
        if let (Some(at), Some(fate)) = (self.at, fate(&self.answer)) {
            self.settled.push((at, fate));
            self.at = None;
            self.answer = Answer::default();
        }
    }
}

impl Dialogue for Lane<'_> {
    fn opening(&self) -> Vec<u8> {
        self.at.map(|at| self.shared.request(at)).unwrap_or_default()
    }

    fn hear(&mut self, bytes: &[u8]) -> Heard {
        let progress = match self.answer.take(bytes) {
            Ok(progress) => progress,
            Err(what) => return Heard::Nonsense(what),
        };
        if let Some(status) = self.answer.status()
            && fate(&self.answer).is_none()
        {
            return Heard::Nonsense(status.line.clone());
        }
        let Progress::Whole { reusable } = progress else { return Heard::More };
        self.settle();
        match reusable.then(|| self.shared.next()).flatten() {
            Some(next) => {
                (self.at, self.asked) = (Some(next), Instant::now());
                Heard::Reply(self.shared.request(next))
            }
            None => Heard::Done,
        }
    }
}

/// What an answer says of a result: 202, or 400 where it is not valid, and 500 where the agent
/// cannot write it down again. No agent says anything else of a result.
fn fate(answer: &Answer) -> Option<Fate> {
    let status = answer.status()?;
    match status.code {
        202 => Some(Fate::Taken),
        400 | 500 => Some(Fate::Refused(match reason(answer.body()) {
            reason if reason.is_empty() => status.line.clone(),
            reason => reason,
        })),
        _ => None,
    }
}

/// The first line of a body, or the message in it.
fn reason(body: &[u8]) -> String {
    let message = serde_json::from_slice::<Value>(body).ok();
    let message = message.as_ref().and_then(|body| body.get("message")).and_then(Value::as_str);
    first_line(message.map_or(body, str::as_bytes))
}

/// The event: the check, and what was measured.
fn document(event: &Event) -> Value {
    let mut document = json!({"check": check(event)});
    let points: Vec<Value> = event
        .points
        .iter()
        .filter(|point| point.value.is_finite())
        .map(|point| {
            let tags: Vec<Value> = point
                .tags
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
            json!({
                "name": point.name, "value": point.value, "timestamp": point.timestamp, "tags": tags
            })
        })
        .collect();
    if !points.is_empty() {
        let handlers = texts(&event.definition, &["output_metric_handlers"]);
        document["metrics"] = json!({"handlers": handlers, "points": points});
    }
    document
}

/// The check with its result. A word of Core that means something else to Go (`hooks`, `subdue`), or
/// has another type, would make the agent refuse it; so only what is known is said.
fn check(event: &Event) -> Map<String, Value> {
    let definition = &event.definition;
    let mut check = Map::new();
    for (word, alike) in
        [("handlers", ["handlers", "handler"]), ("subscriptions", ["subscriptions", "subscribers"])]
    {
        let texts = texts(definition, &alike);
        if !texts.is_empty() {
            check.insert(word.into(), json!(texts));
        }
    }
    for (word, alike) in [
        ("command", ["command", "command"]),
        ("proxy_entity_name", ["proxy_entity_name", "source"]),
    ] {
        if let Some(text) = texts(definition, &alike).first() {
            check.insert(word.into(), json!(text));
        }
    }
    let seconds = |word| whole(definition, word).filter(|n| u32::try_from(*n).is_ok());
    let interval = seconds("interval");
    let ttl = seconds("ttl").filter(|ttl| *ttl >= 5 && *ttl > interval.unwrap_or(1));
    for (word, value) in [("interval", interval), ("timeout", seconds("timeout")), ("ttl", ttl)] {
        if let Some(value) = value {
            check.insert(word.into(), json!(value));
        }
    }
    check.insert("metadata".into(), metadata(event));
    check.extend(outcome(event));
    check
}

/// The name, with the labels and annotations of the definition.
fn metadata(event: &Event) -> Value {
    let mut metadata = json!({"name": event.name});
    for word in ["labels", "annotations"] {
        let said = event.definition.get("metadata").and_then(|metadata| metadata.get(word));
        if let Some(Value::Object(said)) = said {
            let texts = said.iter().filter(|(_, value)| value.is_string());
            metadata[word] = texts.map(|(name, value)| (name.clone(), value.clone())).collect();
        }
    }
    metadata
}

/// The texts of the first of these words that has any: a list, or a single one.
fn texts<'e>(definition: &'e Map<String, Value>, words: &[&str]) -> Vec<&'e str> {
    let of = |word: &&str| -> Vec<&'e str> {
        let values = match definition.get(*word) {
            Some(Value::Array(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        values.iter().filter_map(Value::as_str).filter(|text| !text.is_empty()).collect()
    };
    words.iter().map(of).find(|texts| !texts.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Point;
    use super::super::tests::event;
    use super::*;

    fn said(definition: Value) -> Value {
        let mut check = document(&event("a", definition))["check"].take();
        for word in ["metadata", "status", "output", "issued", "executed", "duration"] {
            check.as_object_mut().expect("an object").remove(word).expect(word);
        }
        check
    }

    #[test]
    fn an_event_is_the_check_and_what_was_measured() {
        let points = [1.5, f64::NAN].map(|value| Point {
            name: "rta".into(),
            value,
            timestamp: 1001,
            tags: vec![("peer".into(), "a".into())],
        });
        let definition = json!({"output_metric_handlers": ["graphite"]});
        let mut measured = event("pnic-eth0", definition);
        measured.points = points.into();
        let expected = json!({
            "check": {
                "metadata": {"name": "pnic-eth0"}, "status": 2, "output": "CheckX CRITICAL: down",
                "issued": 1000, "executed": 1000, "duration": 0.012,
            },
            "metrics": {"handlers": ["graphite"], "points": [
                {"name": "rta", "value": 1.5, "timestamp": 1001, "tags": [{"name": "peer", "value": "a"}]},
            ]},
        });
        assert_eq!(document(&measured), expected);
        assert_eq!(document(&event("a", json!({}))).get("metrics"), None);
    }

    #[test]
    fn words_of_core_are_said_in_those_of_go_and_others_are_not_said() {
        let definition = json!({
            "command": "check_x", "type": "metric", "standalone": true, "handler": "file",
            "subscribers": ["base", ""], "source": "eth0", "interval": "60", "timeout": 15,
            "hooks": {"critical": {}}, "subdue": [], "occurrences": 3, "status": 0,
        });
        let expected = json!({
            "command": "check_x", "handlers": ["file"], "subscriptions": ["base"],
            "proxy_entity_name": "eth0", "interval": 60, "timeout": 15,
        });
        assert_eq!(said(definition), expected);
        let definition = json!({
            "handlers": ["a", 1, "b"], "handler": "c", "subscriptions": "s", "interval": 1.5,
            "proxy_entity_name": "p", "source": "q", "timeout": 5_000_000_000_u64, "command": 7,
        });
        let expected =
            json!({"handlers": ["a", "b"], "subscriptions": ["s"], "proxy_entity_name": "p"});
        assert_eq!(said(definition), expected);
        let definition = json!({"metadata": {"name": "z", "labels": {"a": "b", "c": 1}, "x": 1}});
        let document = document(&event("a", definition));
        assert_eq!(document["check"]["metadata"], json!({"name": "a", "labels": {"a": "b"}}));
    }

    #[test]
    fn a_ttl_that_does_not_fit_is_left_out() {
        let ttl = |definition| said(definition).get("ttl").cloned();
        assert_eq!(ttl(json!({"ttl": 61, "interval": 60})), Some(json!(61)));
        assert_eq!(ttl(json!({"ttl": 60, "interval": 60})), None);
        assert_eq!(ttl(json!({"ttl": 5})), Some(json!(5)));
        assert_eq!(ttl(json!({"ttl": 4})), None);
        assert_eq!(ttl(json!({"ttl": 4, "interval": 1})), None);
        assert_eq!(ttl(json!({"ttl": -1})), None);
        assert_eq!(ttl(json!({"ttl": "x"})), None);
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_agent() {
        let fate = |bytes: &str| {
            let mut answer = Answer::default();
            answer.take(bytes.as_bytes()).expect("an answer");
            fate(&answer)
        };
        let refused = |why: &str| Some(Fate::Refused(why.into()));
        let long = format!("HTTP/1.1 400 x\r\n\r\n{{\"message\":\"{}", "x".repeat(600));
        for (bytes, expected) in [
            ("HTTP/1.1 202 Accepted\r\n\r\n", Some(Fate::Taken)),
            ("HTTP/1.1 400 Bad Request\r\n\r\nminimum ttl is 5\nx", refused("minimum ttl is 5")),
            ("HTTP/1.1 400 Bad Request\r\n\r\n{\"message\": \"no|\\nname\"}", refused("no/")),
            ("HTTP/1.1 500 Internal Server Error\r\n\r\n", refused("500 Internal Server Error")),
            ("HTTP/1.1 404 Not Found\r\n\r\n404 page not found", None),
            ("HTTP/1.1 200 OK\r\n\r\n", None),
            ("HTTP/1.1 40", None),
        ] {
            assert_eq!(fate(bytes), expected, "{bytes}");
        }
        let Some(Fate::Refused(why)) = fate(&long) else { panic!("not refused") };
        assert!(why.len() == 120 && why.ends_with("xxx..."), "{why}");
    }
}
