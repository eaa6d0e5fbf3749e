//! Results told to the agents of Sensu. No agent runs here: the stand-ins take, refuse and hang up as
//! the client of Sensu Core 1.9.0 and the agent of Sensu Go 6.12.0 were seen to. Needs no root,
//! nothing but loopback.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "stand-ins are threads, and slow on purpose"
)]

use calipso_checks::host::{Host, Trouble, Why};
use calipso_checks::sweep::agent::{Agent, Delivered, Event, Fate};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

// -------------------------------------------------------------------------------------- results

fn events(count: usize, output: usize) -> Vec<Event> {
    (0..count).map(|n| event(&format!("check-{n}"), &"x".repeat(output))).collect()
}

fn event(name: &str, output: &str) -> Event {
    let Value::Object(definition) = json!({"handlers": ["file"], "interval": 60, "ttl": 180})
    else {
        unreachable!("an object")
    };
    Event {
        name: name.into(),
        status: 0,
        output: output.into(),
        definition,
        executed: 1_700_000_000,
        duration: 0.01,
        points: Vec::new(),
    }
}

/// Core takes no `handlers` that are not a list, and no more does Go where they are said.
fn spoil(event: &mut Event) {
    event.definition.insert("handlers".into(), json!({"a": 1}));
}

fn tell(agent: Agent, events: &[Event], patience: Duration) -> (Delivered, Duration) {
    let start = Instant::now();
    let delivered = Host::new(start + patience, |_| ()).deliver(&agent, events);
    assert_eq!(delivered.fates.len(), events.len());
    (delivered, start.elapsed())
}

const PATIENCE: Duration = Duration::from_secs(20);
/// How long after its deadline a delivery may end on a busy machine.
const LATE: Duration = Duration::from_millis(1500);

fn count(delivered: &Delivered, fate: &Fate) -> usize {
    delivered.fates.iter().filter(|one| *one == fate).count()
}

fn why(delivered: &Delivered) -> &Why {
    delivered.trouble.as_ref().map(|Trouble { why, .. }| why).expect("a trouble")
}

fn assert_complete(delivered: &Delivered) {
    assert_eq!(delivered.trouble, None);
    assert!(delivered.is_complete(), "{:?}", delivered.fates);
}

/// How often each result came in.
fn times(published: &[Value]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for name in names(published) {
        *times.entry(name).or_insert(0) += 1;
    }
    times
}

fn names(published: &[Value]) -> Vec<String> {
    let name = |check: &Value| {
        let name = check.get("name").or_else(|| check.pointer("/metadata/name"));
        name.and_then(Value::as_str).expect("a name").to_owned()
    };
    published.iter().map(name).collect()
}

// ------------------------------------------------------------------------------------- stand-ins

/// What a stand-in has seen.
#[derive(Default)]
struct Book {
    /// Checks that are in.
    published: Vec<Value>,
    /// Lengths of documents, or of requests.
    lengths: Vec<usize>,
    connections: usize,
    open: usize,
    most_open: usize,
}

struct StandIn {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

impl StandIn {
    fn read<T>(&self, read: impl FnOnce(&Book) -> T) -> T {
        read(&self.book.lock().expect("a book"))
    }

    fn core(&self) -> Agent {
        Agent::Core(self.address)
    }

    fn go(&self) -> Agent {
        Agent::Go(self.address)
    }

    /// One connection after the other, as a client of one thread; ends with the first that says so.
    fn one_by_one(serve: impl Fn(TcpStream, &Mutex<Book>) -> bool + Send + 'static) -> Self {
        Self::up(move |listener, book| {
            for peer in listener.incoming() {
                book.lock().expect("a book").connections += 1;
                if !serve(peer.expect("a connection"), &book) {
                    return;
                }
            }
        })
    }

    /// All connections at once.
    fn all_at_once(serve: impl Fn(TcpStream, &Mutex<Book>) + Clone + Send + 'static) -> Self {
        Self::up(move |listener, book| {
            for peer in listener.incoming() {
                let (serve, book) = (serve.clone(), book.clone());
                {
                    let mut book = book.lock().expect("a book");
                    book.connections += 1;
                    book.open += 1;
                    book.most_open = book.most_open.max(book.open);
                }
                thread::spawn(move || {
                    serve(peer.expect("a connection"), &book);
                    book.lock().expect("a book").open -= 1;
                });
            }
        })
    }

    fn up(run: impl FnOnce(TcpListener, Arc<Mutex<Book>>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let address = listener.local_addr().expect("an address");
        let book = Arc::new(Mutex::new(Book::default()));
        let its = book.clone();
        thread::spawn(move || run(listener, its));
        Self { address, book }
    }
}

/// An address where nobody listens.
fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    listener.local_addr().expect("an address")
}

/// Holds a connection until the other side leaves.
fn hold(mut peer: TcpStream) {
    let mut buffer = [0; 4096];
    while peer.read(&mut buffer).is_ok_and(|length| length > 0) {}
}

// ------------------------------------------------------------------------------------ Sensu Core

/// Reads a document in pieces and tries it after each, gives up on one that does not go on for half
/// a second, and says what came of it. Then it closes.
fn core_client(mut peer: TcpStream, book: &Mutex<Book>, piece: usize) {
    let word = core_word(&mut peer, book, piece);
    // Whoever gave up has left.
    peer.write_all(word.as_bytes()).ok();
}

fn core_word(peer: &mut TcpStream, book: &Mutex<Book>, piece: usize) -> &'static str {
    peer.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    let (mut data, mut buffer) = (Vec::new(), vec![0; piece]);
    loop {
        match peer.read(&mut buffer) {
            Ok(length) if length > 0 => data.extend(&buffer[..length]),
            _ => return "invalid",
        }
        if data == b"ping" {
            return "pong";
        }
        let Ok(document) = serde_json::from_slice::<Value>(&data) else { continue };
        let mut book = book.lock().expect("a book");
        book.lengths.push(data.len());
        let checks = match document {
            Value::Array(checks) => checks,
            check => vec![check],
        };
        for check in checks {
            // What stands before it is in.
            if !core_takes(&check) {
                return "invalid";
            }
            book.published.push(check);
        }
        return "ok";
    }
}

fn core_takes(check: &Value) -> bool {
    let is_name = |name: &Value| {
        name.as_str().is_some_and(|name| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            !name.is_empty() && name.chars().all(fits)
        })
    };
    is_name(&check["name"])
        && check.get("source").is_none_or(is_name)
        && check["status"].is_i64()
        && check["executed"].is_i64()
        && check["output"].is_string()
        && check.get("ttl").is_none_or(|ttl| ttl.as_i64().is_some_and(|ttl| ttl > 0))
        && check.get("handlers").is_none_or(Value::is_array)
}

/// What EventMachine reads at once.
const PIECE: usize = 16 << 10;

fn core() -> StandIn {
    StandIn::one_by_one(|peer, book| {
        core_client(peer, book, PIECE);
        true
    })
}

#[test]
fn core_has_all_results_once_and_in_order_out_of_small_documents() {
    let (core, events) = (core(), events(300, 1000));
    let (delivered, _) = tell(core.core(), &events, PATIENCE);
    assert_complete(&delivered);
    core.read(|book| {
        let expected: Vec<String> = events.iter().map(|event| event.name.clone()).collect();
        assert_eq!(names(&book.published), expected);
        assert!(book.lengths.iter().all(|length| *length <= 64 << 10), "{:?}", book.lengths);
        // Not more documents than needed either.
        assert_eq!(book.lengths.len(), book.lengths.iter().sum::<usize>().div_ceil(64 << 10));
        assert_eq!(book.published[0]["handlers"], json!(["file"]));
        assert_eq!(book.published[0]["duration"], json!(0.01));
    });
}

#[test]
fn a_result_that_core_calls_invalid_hides_no_other() {
    for bad in [vec![0], vec![39], vec![17], vec![0, 1, 20, 39], (0..40).collect()] {
        let (core, mut events) = (core(), events(40, 10));
        bad.iter().for_each(|n| spoil(&mut events[*n]));
        let (delivered, _) = tell(core.core(), &events, PATIENCE);
        assert_eq!(delivered.trouble, None);
        core.read(|book| {
            let times = times(&book.published);
            for (n, (event, fate)) in events.iter().zip(&delivered.fates).enumerate() {
                let came = times.get(&event.name).copied().unwrap_or(0);
                if bad.contains(&n) {
                    assert!(matches!(fate, Fate::Refused(why) if why.contains("invalid")), "{n}");
                    assert_eq!(came, 0, "{n}");
                } else {
                    assert_eq!(*fate, Fate::Taken, "{n}");
                    // Once where the client did not come to it before, at the most twice else.
                    let most = if bad.iter().any(|bad| *bad > n) { 2 } else { 1 };
                    assert!((1..=most).contains(&came), "{n}: {came} times");
                }
            }
        });
    }
}

#[test]
fn a_document_that_core_gave_up_on_comes_again() {
    let seen = Mutex::new(0);
    let core = StandIn::one_by_one(move |mut peer, book| {
        let mut seen = seen.lock().expect("a number");
        *seen += 1;
        if *seen == 1 {
            // As its watchdog does: nothing of it is in.
            let mut some = [0; 10];
            peer.read_exact(&mut some).expect("a beginning");
            peer.write_all(b"invalid").expect("room");
            peer.shutdown(std::net::Shutdown::Write).expect("a connection");
            hold(peer);
        } else {
            core_client(peer, book, PIECE);
        }
        true
    });
    let events = events(20, 10);
    let (delivered, _) = tell(core.core(), &events, PATIENCE);
    assert_complete(&delivered);
    core.read(|book| assert!(times(&book.published).values().all(|times| *times == 1)));
}

#[test]
fn what_core_would_only_call_invalid_is_refused_with_the_reason_and_not_said() {
    let (core, mut events) = (core(), events(5, 10));
    events[0].name = "a b".into();
    events[1].status = 7;
    events[2].definition.insert("source".into(), json!("eth0:1"));
    events[3].output = "x".repeat(300_000);
    events[4].definition.insert("ttl".into(), json!(0));
    let (delivered, _) = tell(core.core(), &events, PATIENCE);
    let refused: Vec<&str> = delivered
        .fates
        .iter()
        .filter_map(|fate| match fate {
            Fate::Refused(why) => Some(why.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(refused.len(), 4, "{refused:?}");
    assert_eq!(delivered.fates[4], Fate::Taken);
    assert_eq!(delivered.taken(), 1);
    core.read(|book| assert_eq!((book.connections, book.published.len()), (1, 1)));
}

#[test]
fn a_core_that_reads_and_answers_byte_by_byte_is_understood() {
    let core = StandIn::one_by_one(|mut peer, book| {
        for byte in core_word(&mut peer, book, 1).bytes() {
            peer.write_all(&[byte]).expect("room for a byte");
            thread::sleep(Duration::from_millis(5));
        }
        true
    });
    let (delivered, _) = tell(core.core(), &events(5, 10), PATIENCE);
    assert_complete(&delivered);
}

#[test]
fn a_slow_core_costs_no_more_than_the_deadline_and_what_it_took_is_counted() {
    let core = StandIn::one_by_one(|mut peer, book| {
        let word = core_word(&mut peer, book, PIECE);
        thread::sleep(Duration::from_millis(300));
        peer.write_all(word.as_bytes()).ok();
        true
    });
    let patience = Duration::from_millis(800);
    // A document each.
    let (delivered, took) = tell(core.core(), &events(8, 60_000), patience);
    assert!(matches!(why(&delivered), Why::Silent(_)), "{delivered:?}");
    let taken = delivered.taken();
    assert!((1..=2).contains(&taken), "{delivered:?}");
    assert!(count(&delivered, &Fate::InDoubt) <= 1);
    assert_eq!(taken + count(&delivered, &Fate::InDoubt) + count(&delivered, &Fate::Unsent), 8);
    assert!(took < patience + LATE, "{took:?}");
    let said = delivered.trouble.expect("a trouble").to_string();
    assert!(said.starts_with(&format!("sensu-client (tcp:{}): no answer", core.address)), "{said}");
}

#[test]
fn a_core_that_accepts_and_stays_silent_gets_one_document() {
    let core = StandIn::one_by_one(|peer, _| {
        hold(peer);
        true
    });
    let patience = Duration::from_millis(200);
    let (delivered, took) = tell(core.core(), &events(4, 60_000), patience);
    assert!(matches!(why(&delivered), Why::Silent(_)), "{delivered:?}");
    let expected = [Fate::InDoubt, Fate::Unsent, Fate::Unsent, Fate::Unsent];
    assert_eq!(delivered.fates, expected);
    assert!(took >= patience && took < patience + LATE, "{took:?}");
}

#[test]
fn a_core_that_is_not_there_gets_nothing_and_one_that_leaves_no_more() {
    let (delivered, took) = tell(Agent::Core(nowhere()), &events(3, 60_000), PATIENCE);
    assert_eq!((why(&delivered), count(&delivered, &Fate::Unsent)), (&Why::Refused, 3));
    assert!(took < LATE, "{took:?}");
    let leaving = StandIn::up(|listener, book| {
        let (mut peer, _) = listener.accept().expect("a connection");
        let word = core_word(&mut peer, &book, PIECE);
        drop(listener);
        peer.write_all(word.as_bytes()).expect("room");
    });
    let (delivered, _) = tell(leaving.core(), &events(3, 60_000), PATIENCE);
    assert_eq!(why(&delivered), &Why::Refused);
    assert_eq!(delivered.fates, [Fate::Taken, Fate::Unsent, Fate::Unsent]);
}

#[test]
fn nonsense_and_hanging_up_leave_in_doubt_what_was_said_three_times() {
    for (word, expected) in [
        ("pong", Why::Unreadable("pong".into())),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", Why::Unreadable("HTTP/1.1 400 Bad Request".into())),
        ("inval", Why::HungUp),
        ("", Why::HungUp),
    ] {
        let core = StandIn::one_by_one(move |mut peer, book| {
            core_word(&mut peer, book, PIECE);
            peer.write_all(word.as_bytes()).expect("room");
            true
        });
        let (delivered, _) = tell(core.core(), &events(5, 60_000), PATIENCE);
        assert_eq!(why(&delivered), &expected);
        assert_eq!(count(&delivered, &Fate::InDoubt), 3, "{delivered:?}");
        assert_eq!(count(&delivered, &Fate::Unsent), 2, "{delivered:?}");
    }
    let core = StandIn::one_by_one(|peer, _| {
        drop(peer);
        true
    });
    let (delivered, _) = tell(core.core(), &events(2, 60_000), PATIENCE);
    assert_eq!((why(&delivered), delivered.taken()), (&Why::HungUp, 0));
    assert_eq!(count(&delivered, &Fate::InDoubt), 2);
}

#[test]
fn one_hang_up_of_core_costs_one_document() {
    let seen = Mutex::new(0);
    let core = StandIn::one_by_one(move |mut peer, book| {
        let word = core_word(&mut peer, book, PIECE);
        let mut seen = seen.lock().expect("a number");
        *seen += 1;
        if *seen != 2 {
            peer.write_all(word.as_bytes()).expect("room");
        }
        true
    });
    let (delivered, _) = tell(core.core(), &events(4, 60_000), PATIENCE);
    assert_eq!(delivered.fates, [Fate::Taken, Fate::InDoubt, Fate::Taken, Fate::Taken]);
    assert_eq!(why(&delivered), &Why::HungUp);
}

#[test]
fn after_the_deadline_and_without_results_nobody_is_called() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    listener.set_nonblocking(true).expect("a listener");
    let address = listener.local_addr().expect("an address");
    for agent in [Agent::Core(address), Agent::Go(address)] {
        let (delivered, _) = tell(agent, &events(2, 10), Duration::ZERO);
        assert!(matches!(why(&delivered), Why::Silent(_)));
        assert_eq!(delivered.fates, [Fate::Unsent, Fate::Unsent]);
        let (delivered, _) = tell(agent, &[], PATIENCE);
        assert_complete(&delivered);
        let (delivered, _) = tell(agent, &[event("a b", "")], PATIENCE);
        assert_eq!(delivered.trouble, None);
        assert!(matches!(delivered.fates[..], [Fate::Refused(_)]));
    }
    let called = listener.accept().expect_err("nobody called");
    assert_eq!(called.kind(), ErrorKind::WouldBlock);
}

// -------------------------------------------------------------------------------------- Sensu Go

/// Answers requests over one connection for as long as the other side stays and `answer` is not
/// empty, which means hanging up; so does an answer that ends the connection.
fn go_agent(mut peer: TcpStream, book: &Mutex<Book>, answer: impl Fn(&Value, String) -> String) {
    let mut data = Vec::new();
    while let Some((length, event)) = request(&mut peer, &mut data) {
        let refusal = go_refusal(&event);
        let usual = match &refusal {
            None => "HTTP/1.1 202 Accepted\r\nDate: Mon, 01 Jan 2026 00:00:00 GMT\r\n\
                Content-Length: 0\r\n\r\n"
                .to_owned(),
            Some(why) => format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
                X-Content-Type-Options: nosniff\r\nContent-Length: {}\r\n\r\n{why}\n",
                why.len() + 1
            ),
        };
        let answer = answer(&event["check"], usual);
        if answer.contains(" 202 ") && refusal.is_none() {
            book.lock().expect("a book").published.push(event["check"].clone());
        }
        book.lock().expect("a book").lengths.push(length);
        if answer.is_empty() || peer.write_all(answer.as_bytes()).is_err() {
            return;
        }
        let is_last = answer.contains("Connection: close") || !answer.contains("Content-Length");
        if is_last {
            return;
        }
    }
}

/// The next request: its length and document.
fn request(peer: &mut TcpStream, data: &mut Vec<u8>) -> Option<(usize, Value)> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = data.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8(data[..end].to_vec()).expect("a head of ASCII");
            assert!(head.starts_with("POST /events HTTP/1.1\r\nHost: 127.0.0.1:"), "{head}");
            assert!(head.contains("\r\nContent-Type: application/json"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length = length.expect("a length").parse::<usize>().expect("a number");
            if data.len() >= end + 4 + length {
                let rest = data.split_off(end + 4 + length);
                let whole = std::mem::replace(data, rest);
                return Some((
                    whole.len(),
                    serde_json::from_slice(&whole[end + 4..]).expect("one document"),
                ));
            }
        }
        match peer.read(&mut buffer) {
            Ok(length) if length > 0 => data.extend(&buffer[..length]),
            _ => return None,
        }
    }
}

fn go_refusal(event: &Value) -> Option<String> {
    let check = &event["check"];
    let is_list = |word: &str| check.get(word).is_none_or(Value::is_array);
    let ttl = check.get("ttl").map_or(0, |ttl| ttl.as_i64().expect("an integer"));
    let interval = check.get("interval").map_or(1, |n| n.as_i64().expect("an integer"));
    let why = if !check.is_object() {
        "at least check or metrics need to be instantiated for this event"
    } else if check["output"] == "refuse me" {
        "check name refused"
    } else if !is_list("handlers") || !is_list("subscriptions") {
        "json: cannot unmarshal object into Go struct field .handlers of type []string"
    } else if ttl > 0 && ttl <= interval {
        "ttl must be greater than check interval"
    } else if ttl > 0 && ttl < 5 {
        "minimum ttl is 5 seconds"
    } else {
        return None;
    };
    Some(why.to_owned())
}

fn go(answer: impl Fn(&Value, String) -> String + Clone + Send + 'static) -> StandIn {
    StandIn::all_at_once(move |peer, book| go_agent(peer, book, &answer))
}

#[test]
fn go_has_all_results_once_over_few_connections() {
    let (go, mut events) = (go(|_, usual| usual), events(300, 1000));
    events[7].definition.insert("ttl".into(), json!(3));
    events[8].definition.insert("ttl".into(), json!(60));
    spoil(&mut events[9]);
    let (delivered, _) = tell(go.go(), &events, PATIENCE);
    assert_complete(&delivered);
    go.read(|book| {
        let times = times(&book.published);
        assert_eq!((times.len(), book.published.len()), (300, 300));
        assert_eq!(book.connections, 8);
        let untimed = book.published.iter().filter(|check| check.get("ttl").is_none()).count();
        assert_eq!(untimed, 2);
    });
}

#[test]
fn a_result_that_go_refuses_hides_no_other_and_the_reason_is_told() {
    let message = |check: &Value, usual: String| match check["metadata"]["name"] == "check-3" {
        true => "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\
            Content-Length: 35\r\n\r\n{\"message\": \"not|this\",\n \"code\": 4}"
            .to_owned(),
        false => usual,
    };
    let (go, mut events) = (go(message), events(40, 10));
    events[17].output = "refuse me".into();
    events[18].name = "a b".into();
    let (delivered, _) = tell(go.go(), &events, PATIENCE);
    assert_eq!(delivered.trouble, None);
    assert_eq!(delivered.taken(), 37);
    assert_eq!(delivered.fates[17], Fate::Refused("check name refused".into()));
    assert_eq!(delivered.fates[3], Fate::Refused("not/this".into()));
    assert!(matches!(delivered.fates[18], Fate::Refused(_)));
}

#[test]
fn every_way_to_say_accepted_is_understood() {
    for answer in [
        "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 202 Accepted\r\nConnection: close\r\n\r\nsome words",
        "HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nsome words",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwords\r\n0\r\n\r\n",
        "HTTP/1.0 202 Accepted\r\n\r\n",
    ] {
        let go = go(move |_, _| answer.to_owned());
        let (delivered, _) = tell(go.go(), &events(30, 10), PATIENCE);
        assert_complete(&delivered);
        go.read(|book| {
            assert_eq!(book.published.len(), 30, "{answer}");
            // A stand-in may notice late that the other side left.
            assert!(book.most_open <= 16, "{} connections at once", book.most_open);
        });
    }
}

#[test]
fn an_answer_of_go_in_bytes_is_put_together() {
    let go = StandIn::all_at_once(|mut peer, _| {
        peer.set_nodelay(true).expect("a connection");
        let mut data = Vec::new();
        while let Some((_, event)) = request(&mut peer, &mut data) {
            let why = "no such namespace\n";
            let answer = match event["check"]["metadata"]["name"] == "check-1" {
                true => format!("HTTP/1.1 400 No\r\nContent-Length: {}\r\n\r\n{why}", why.len()),
                false => "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned(),
            };
            for byte in answer.bytes() {
                peer.write_all(&[byte]).expect("room for a byte");
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let (delivered, _) = tell(go.go(), &events(3, 10), PATIENCE);
    assert_eq!(delivered.trouble, None);
    let refused = Fate::Refused("no such namespace".into());
    assert_eq!(delivered.fates, [Fate::Taken, refused, Fate::Taken]);
}

#[test]
fn one_result_on_which_go_hangs_or_hangs_up_hides_no_other() {
    let hanging_up = go(|check, usual| match check["metadata"]["name"] == "check-5" {
        true => String::new(),
        false => usual,
    });
    let (delivered, _) = tell(hanging_up.go(), &events(60, 10), PATIENCE);
    assert_eq!((delivered.taken(), &delivered.fates[5]), (59, &Fate::InDoubt));
    assert_eq!(why(&delivered), &Why::HungUp);
    let hanging = go(|check, usual| {
        if check["metadata"]["name"] == "check-5" {
            thread::sleep(PATIENCE);
        }
        usual
    });
    let patience = Duration::from_secs(2);
    let (delivered, took) = tell(hanging.go(), &events(60, 10), patience);
    assert_eq!((delivered.taken(), &delivered.fates[5]), (59, &Fate::InDoubt));
    assert!(matches!(why(&delivered), Why::Silent(_)), "{delivered:?}");
    assert!(took >= patience && took < patience + LATE, "{took:?}");
}

#[test]
fn an_answer_of_go_that_is_cut_off_after_its_head_counts() {
    let go = go(|_, _| {
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\nConnection: close\r\n\r\nno".to_owned()
    });
    let (delivered, _) = tell(go.go(), &events(10, 10), PATIENCE);
    assert_eq!(delivered.trouble, None);
    assert_eq!(count(&delivered, &Fate::Refused("no".into())), 10, "{delivered:?}");
}

#[test]
fn go_passes_on_ten_a_second_and_what_it_took_until_the_deadline_is_counted() {
    let passed = Arc::new(Mutex::new(0));
    let go = go(move |_, usual| {
        let mut passed = passed.lock().expect("a number");
        *passed += 1;
        if *passed > 10 {
            thread::sleep(Duration::from_millis(100));
        }
        usual
    });
    let patience = Duration::from_secs(1);
    let (delivered, took) = tell(go.go(), &events(100, 10), patience);
    assert!(took < patience + LATE, "{took:?}");
    let (taken, in_doubt) = (delivered.taken(), count(&delivered, &Fate::InDoubt));
    assert!((10..=20).contains(&taken), "{taken}");
    assert_eq!(in_doubt, 8);
    assert_eq!(count(&delivered, &Fate::Unsent), 100 - taken - in_doubt);
    let Why::Silent(silence) = why(&delivered) else { panic!("{delivered:?}") };
    // Since that request, not since the first.
    assert!(*silence <= Duration::from_millis(950), "{silence:?}");
}

#[test]
fn who_is_no_agent_of_go_gets_few_results_and_is_quoted() {
    let megabyte = format!("HTTP/1.1 202 Accepted\r\n{}", "A: b\r\n".repeat(170_000));
    for (answer, said) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404 Not Found"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK"),
        ("invalid", "invalid"),
        (&megabyte, "a head of more than 16384 bytes"),
    ] {
        let answer = answer.to_owned();
        let go = go(move |_, _| answer.clone());
        let (delivered, took) = tell(go.go(), &events(100, 10), PATIENCE);
        assert_eq!(why(&delivered), &Why::Unreadable(said.into()));
        assert_eq!(count(&delivered, &Fate::InDoubt), 8, "{delivered:?}");
        assert_eq!(count(&delivered, &Fate::Unsent), 92);
        assert!(took < PATIENCE);
    }
}

#[test]
fn a_go_that_is_not_there_or_silent_is_told_apart() {
    let (delivered, took) = tell(Agent::Go(nowhere()), &events(100, 10), PATIENCE);
    assert_eq!((why(&delivered), count(&delivered, &Fate::Unsent)), (&Why::Refused, 100));
    assert!(took < LATE, "{took:?}");
    let silent = StandIn::all_at_once(|peer, _| hold(peer));
    let patience = Duration::from_millis(200);
    let (delivered, took) = tell(silent.go(), &events(100, 10), patience);
    assert!(matches!(why(&delivered), Why::Silent(_)), "{delivered:?}");
    assert_eq!(count(&delivered, &Fate::InDoubt), 8);
    assert_eq!(count(&delivered, &Fate::Unsent), 92);
    assert!(took >= patience && took < patience + LATE, "{took:?}");
    silent.read(|book| assert_eq!(book.connections, 8));
}

// -------------------------------------------------------------------------------------- the sweep

/// A plan of this name, swept and told to an agent.
fn swept(name: &str, plan: &Value, agent: &str) -> (Option<i32>, String) {
    let file = std::env::temp_dir().join(format!("calipso-{name}-{}", std::process::id()));
    std::fs::write(&file, plan.to_string()).expect("a plan");
    let mut sweep = std::process::Command::new(env!("CARGO_BIN_EXE_calipso-sweep"));
    let said = sweep.arg(&file).args(["--to", agent]).output().expect("it runs");
    std::fs::remove_file(file).expect("ours");
    (said.status.code(), String::from_utf8(said.stdout).expect("ASCII"))
}

fn plan() -> Value {
    json!({"checks": {
        "pnic-lo": {"command": "check_pnic_ovs lo", "handlers": ["file"], "interval": 15, "ttl": 60},
        "pnic-none": {"command": "check_pnic_ovs none0 --unknown-as warning", "interval": 15},
        "load": {"command": "check_load -w 5"},
        "metric": {"command": "check_pnic_ovs lo --output-format graphite", "type": "metric"},
    }})
}

#[test]
fn the_sweep_tells_core_of_each_object_what_its_check_prints() {
    let core = core();
    let (exit, said) = swept("core", &plan(), &format!("sensu-core:{}", core.address));
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.starts_with("CalipsoSweep OK: sensu-core"), "{said}");
    assert!(said.contains("4 objects: 1 critical, 0 warning, 1 unknown"), "{said}");
    let published = core.read(|book| book.published.clone());
    let result = |name: &str| {
        let named = published.iter().find(|check| check["name"] == name);
        named.unwrap_or_else(|| panic!("{name}: {published:?}")).clone()
    };
    let lo = result("pnic-lo");
    assert_eq!(
        (&lo["status"], &lo["ttl"], &lo["handlers"][0]),
        (&0.into(), &60.into(), &"file".into())
    );
    assert_eq!(lo["command"], "check_pnic_ovs lo");
    let output = lo["output"].as_str().expect("an output");
    assert!(
        output.starts_with("CheckPnicOvs OK: lo") && output.contains("|lo.link_state=1"),
        "{output}"
    );
    assert_eq!(result("pnic-none")["status"], 2);
    let load = result("load");
    assert_eq!(
        (&load["status"], load["output"].as_str().expect("one").lines().count()),
        (&3.into(), 1)
    );
    let graphite = result("metric")["output"].as_str().expect("one").to_owned();
    let mut metrics = graphite.lines().skip(1);
    assert!(metrics.all(|line| line.split(" ").count() == 3), "{graphite}");
}

#[test]
fn the_sweep_tells_go_the_metrics_too_and_is_critical_where_nobody_listens() {
    let go = go(|_, usual| usual);
    let (exit, said) = swept("go", &plan(), &format!("sensu-go:{}", go.address));
    assert_eq!(exit, Some(0), "{said}");
    let published = go.read(|book| book.published.clone());
    assert_eq!(published.len(), 4, "{published:?}");
    let (exit, said) = swept("nobody", &plan(), &format!("sensu-go:{}", nowhere()));
    assert_eq!(exit, Some(2), "{said}");
    assert!(said.contains("has 0 of 4 objects") && said.contains("nobody listens"), "{said}");
    let mut bad = plan();
    bad["checks"]["a b"] = json!({"command": "check_pnic_ovs lo"});
    let (exit, said) = swept("bad", &bad, &format!("sensu-go:{}", go.address));
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("a b: sensu-go"), "{said}");
}
