//! The checks of a plan, each in a thread of its own.
//!
//! A check is one thread, and stays it: a capability, and the network namespace that it visits, are a
//! thread's own. So every object is judged as by a process of its own, with no right but its
//! check's, and one that hangs holds up nobody else.

use crate::plugin::entry::{self, Said};
use crate::plugin::spec::Spec;
use crate::rights;
use crate::sweep::plan::{Call, Planned};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What became of one object.
#[derive(Debug)]
pub struct Answer {
    /// What its check said, or why it said nothing.
    pub said: Result<Said, Silence>,
    /// When it was asked, in seconds since 1970.
    pub executed: u64,
    /// How long it took.
    pub took: Duration,
}

/// Why a check said nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// The plan has no call for it.
    NoCall(String),
    /// It did not end in time.
    Stuck,
    /// There was no time left for it.
    NotReached,
    /// A fault of ours.
    Fault(String),
}

/// How many local questions are under way at once: the daemons that are asked are one thread each.
const LOCAL: usize = 4;
/// How many send packets at once: they sleep most of the time.
const SENDING: usize = 64;
/// What took so long waits, for a daemon or in the kernel, and keeps nobody else from starting.
const WAITS: Duration = Duration::from_secs(2);
/// What a check says at its deadline is still heard so much later.
const HEARD: Duration = Duration::from_millis(200);

thread_local! {
    /// Whose object this thread judges, for the panic hook.
    static OBJECT: RefCell<Option<(usize, Sender<Message>)>> = const { RefCell::new(None) };
}

/// An object by its place in the plan, and what is said about it.
type Message = (usize, Result<Said, Silence>);

/// An object that is being judged.
struct Running {
    place: usize,
    lane: usize,
    since: Instant,
}

/// Checks are asked along two lanes, so that those that send packets hold up no others.
struct Crew<'p> {
    plan: &'p [Planned],
    queues: [VecDeque<usize>; 2],
    running: Vec<Running>,
    answers: Vec<Option<Answer>>,
    /// For the checks.
    until: Instant,
    /// For the crew.
    heard_until: Instant,
    tell: Sender<Message>,
}

/// Judges all objects of a plan, in its order, until a moment at the latest.
pub fn judge_all(plan: &[Planned], until: Instant) -> Vec<Answer> {
    let (tell, hear) = channel();
    let mut crew = Crew {
        plan,
        queues: [VecDeque::new(), VecDeque::new()],
        running: Vec::new(),
        answers: plan.iter().map(|_| None).collect(),
        until: until - HEARD.min(until.saturating_duration_since(Instant::now()) / 5),
        heard_until: until,
        tell,
    };
    for (place, planned) in plan.iter().enumerate() {
        match &planned.call {
            Ok(call) => crew.queues[lane(call)].push_back(place),
            Err(why) => crew.note(place, Instant::now(), Err(Silence::NoCall(why.clone()))),
        }
    }
    crew.work(&hear);
    crew.finish()
}

/// 0: it asks this machine alone, 1: it sends packets and waits.
fn lane(call: &Call) -> usize {
    usize::from(call.check.spec.capabilities.contains(&"cap_net_raw"))
}

impl Crew<'_> {
    fn work(&mut self, hear: &Receiver<Message>) {
        loop {
            self.start_more();
            let now = Instant::now();
            if self.running.is_empty() || now >= self.heard_until {
                return;
            }
            let starts_waiting = self.running.iter().map(|running| running.since + WAITS);
            let next = starts_waiting.filter(|moment| *moment > now).min();
            let pause = next.unwrap_or(self.heard_until).min(self.heard_until) - now;
            match hear.recv_timeout(pause) {
                Ok((place, said)) => self.hear(place, said),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn start_more(&mut self) {
        for (lane, most) in [LOCAL, SENDING].into_iter().enumerate() {
            while self.busy(lane) < most
                && Instant::now() < self.until
                && let Some(place) = self.queues[lane].pop_front()
            {
                self.start(place, lane);
            }
        }
    }

    fn busy(&self, lane: usize) -> usize {
        let is_busy = |running: &&Running| running.lane == lane && running.since.elapsed() < WAITS;
        self.running.iter().filter(is_busy).count()
    }

    fn start(&mut self, place: usize, lane: usize) {
        let Ok(Call { check, argv }) = &self.plan[place].call else { return };
        let (check, argv) = (*check, argv.clone());
        let (tell, until) = (self.tell.clone(), self.until);
        let work = move || {
            OBJECT.set(Some((place, tell.clone())));
            let said = rights::keep_in_thread(check.spec.capabilities)
                .map_err(Silence::Fault)
                .map(|()| (check.said)(&argv, until));
            // Who would hear it has gone home.
            tell.send((place, said)).ok();
        };
        let since = Instant::now();
        // Deep enough for every parser, and not the two megabytes of a thread that nobody asked.
        const STACK: usize = 512 << 10;
        match thread::Builder::new().stack_size(STACK).spawn(work) {
            Ok(_) => self.running.push(Running { place, lane, since }),
            Err(e) => self.note(place, since, Err(Silence::Fault(format!("no thread: {e}")))),
        }
    }

    fn hear(&mut self, place: usize, said: Result<Said, Silence>) {
        if let Some(at) = self.running.iter().position(|running| running.place == place) {
            let running = self.running.swap_remove(at);
            self.note(place, running.since, said);
        }
    }

    fn note(&mut self, place: usize, since: Instant, said: Result<Said, Silence>) {
        let took = since.elapsed();
        let executed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let executed = executed.saturating_sub(took).as_secs();
        self.answers[place] = Some(Answer { said, executed, took });
    }

    fn finish(mut self) -> Vec<Answer> {
        for running in std::mem::take(&mut self.running) {
            self.note(running.place, running.since, Err(Silence::Stuck));
        }
        for place in 0..self.plan.len() {
            if self.answers[place].is_none() {
                self.note(place, Instant::now(), Err(Silence::NotReached));
            }
        }
        self.answers.into_iter().flatten().collect()
    }
}

/// A fault in one check is told of its object, and the others go on; any other ends the process, as
/// in a check.
pub fn contain_faults(spec: &'static Spec) {
    std::panic::set_hook(Box::new(move |info| {
        let fault = entry::fault(info);
        if !is_told_of_object(&fault) {
            entry::end_by_fault(spec, &fault);
        }
        // To go on would end the process, where a panic is no way out of a thread.
        while cfg!(panic = "abort") {
            thread::park();
        }
    }));
}

/// Tells of a fault in the calling thread, if that judges an object.
fn is_told_of_object(fault: &str) -> bool {
    let object = OBJECT.try_with(|object| object.borrow_mut().take()).ok().flatten();
    let Some((place, tell)) = object else { return false };
    // Who would hear it has gone home.
    tell.send((place, Err(Silence::Fault(fault.to_owned())))).ok();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::list::{Any, named};
    use crate::plugin::format::{self, Format, Style};
    use crate::plugin::report::Report;
    use crate::plugin::verdict::{Rules, Verdict};
    use std::ffi::OsString;

    fn said(spec: &'static crate::plugin::spec::Spec) -> Said {
        let mut report = Report::about("x");
        report.when_ok = "it works".to_owned();
        let verdict = Verdict::of(spec, report, &Rules::default());
        let style = Style { format: Format::Nagios, verbose: false, max_output: 8192, now: 0 };
        Said { text: format::render(&verdict, style), verdict }
    }

    fn good(_: &[OsString], _: Instant) -> Said {
        said(named("check_vm").expect("it").spec)
    }

    /// As the hook does it where a panic ends the process.
    fn faulty(argv: &[OsString], until: Instant) -> Said {
        assert!(is_told_of_object("meant"));
        stuck(argv, until)
    }

    fn stuck(_: &[OsString], _: Instant) -> Said {
        loop {
            thread::park();
        }
    }

    type Say = fn(&[OsString], Instant) -> Said;

    fn planned(check: &str, say: Say) -> Planned {
        let known = named(check).expect("a check");
        let any: &'static Any = Box::leak(Box::new(Any { said: say, ..*known }));
        let call = Call { check: any, argv: vec![check.into()] };
        Planned { name: check.to_owned(), definition: serde_json::Map::new(), call: Ok(call) }
    }

    fn judged(plan: &[Planned], seconds: u64) -> Vec<Result<String, Silence>> {
        let answers = judge_all(plan, Instant::now() + Duration::from_secs(seconds));
        assert_eq!(answers.len(), plan.len());
        let told = |answer: Answer| answer.said.map(|said| said.verdict.summary);
        answers.into_iter().map(told).collect()
    }

    fn works() -> Result<String, Silence> {
        Ok("it works".to_owned())
    }

    #[test]
    fn a_fault_is_told_of_its_object_alone() {
        let mut plan = vec![planned("check_vm", good), planned("check_vm", faulty)];
        plan.push(planned("check_vm", good));
        plan[0].call = Err("no command".to_owned());
        let told = judged(&plan, 30);
        assert_eq!(told[0], Err(Silence::NoCall("no command".to_owned())));
        assert!(
            matches!(&told[1], Err(Silence::Fault(what)) if what.contains("meant")),
            "{told:?}"
        );
        assert_eq!(told[2], works());
    }

    #[test]
    fn what_never_ends_holds_up_nobody() {
        let mut plan: Vec<_> = (0..2 * LOCAL).map(|_| planned("check_vm", stuck)).collect();
        plan.extend((0..20).map(|_| planned("check_vm", good)));
        let told = judged(&plan, 6);
        assert!(told[..2 * LOCAL].iter().all(|one| *one == Err(Silence::Stuck)), "{told:?}");
        assert!(told[2 * LOCAL..].iter().all(|one| *one == works()), "{told:?}");
    }

    #[test]
    fn packets_have_a_lane_of_their_own() {
        let mut plan: Vec<_> = (0..SENDING).map(|_| planned("check_ping", stuck)).collect();
        plan.push(planned("check_vm", good));
        plan.extend((0..LOCAL).map(|_| planned("check_vm", stuck)));
        let told = judged(&plan, 2);
        assert_eq!(told[SENDING], works());
        assert_eq!(told.iter().filter(|one| **one == Err(Silence::Stuck)).count(), SENDING + LOCAL);
    }

    #[test]
    fn without_time_nobody_is_looked_at() {
        let told = judged(&[planned("check_vm", good)], 0);
        assert_eq!(told, [Err(Silence::NotReached)]);
    }
}
