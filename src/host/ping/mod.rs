//! Echo requests to one or many addresses, all through one socket per address family.
//!
//! Each request is sent alone, with the time read just before, and each reply carries the time at
//! which the kernel took it (`SO_TIMESTAMPNS`), so that a busy machine does not lengthen round
//! trips. ICMP errors come from the socket's error queue (`IP_RECVERR`).

mod packet;
mod socket;

pub use packet::{Refusal, Unreachable};

use crate::host::link::DeviceName;
use crate::host::{Host, Trouble, Why};
use crate::rights::{self, NET_RAW};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::SockaddrStorage;
use nix::sys::time::TimeSpec;
use packet::{Data, Template};
use socket::{Arrived, IcmpSocket, NoSocket, Refused, Setup};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What is sent, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Requests to each address.
    pub count: u16,
    /// Time between two of them.
    pub interval: Duration,
    /// Time that a reply may take.
    pub wait: Duration,
    /// Bytes of data.
    pub size: usize,
    /// What the data is filled with; not empty.
    pub pattern: Vec<u8>,
    /// Where they are sent from.
    pub source: Option<Source>,
    /// Whether what is too big is refused on its way, and not cut into fragments.
    pub dont_fragment: bool,
    /// Differentiated services code point.
    pub dscp: Option<u8>,
}

/// Where requests are sent from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An address of this host.
    Address(IpAddr),
    /// A device of this host.
    Device(DeviceName),
}

impl Plan {
    /// How long it takes at the most.
    pub fn duration(&self) -> Duration {
        self.interval * u32::from(self.count.saturating_sub(1)) + self.wait
    }
}

/// Where requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The address; the port is 0.
    pub to: SocketAddr,
    /// An address of this host to send from, where it is not the plan's or the kernel's choice.
    pub from: Option<IpAddr>,
}

/// What came of the requests to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echoes {
    /// The address.
    pub target: SocketAddr,
    /// Requests that left this host.
    pub sent: u32,
    /// Round trips of those that were answered in time, in the order of sending.
    pub round_trips: Vec<Duration>,
    /// Replies that took longer than the plan's wait.
    pub late: u32,
    /// Further replies to the same request.
    pub duplicates: u32,
    /// Replies with other data than was sent, or a wrong checksum.
    pub corrupted: u32,
    /// Replies that were overtaken by the reply to a later request.
    pub reordered: u32,
    /// What ICMP errors said of requests, and how many said so.
    pub refusals: Vec<(Refusal, u32)>,
    /// Why not all requests were sent.
    pub stopped: Option<Stop>,
}

impl Echoes {
    /// Nothing yet.
    pub const fn none(target: SocketAddr) -> Self {
        Self {
            target,
            sent: 0,
            round_trips: Vec::new(),
            late: 0,
            duplicates: 0,
            corrupted: 0,
            reordered: 0,
            refusals: Vec::new(),
            stopped: None,
        }
    }
}

/// Why requests were not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// This host has no route to the address; in the kernel's words.
    NoRoute(String),
    /// This host's own packet filter refuses.
    Filtered,
    /// More than the device or a route takes, whole; its MTU where the kernel says it.
    TooBig(Option<u32>),
    /// The end of the run came first.
    Deadline,
    /// The kernel said something else.
    Failed(String),
}

/// All of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinged {
    /// One for each address, in the order of the addresses.
    pub echoes: Vec<Echoes>,
    /// Whether raw sockets were used.
    pub raw: bool,
}

/// Why nothing could be sent at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPing {
    /// Neither kind of socket is allowed.
    Forbidden {
        /// The caller's group.
        group: u32,
        /// The groups that may have datagram sockets, as the kernel writes them: `1 0` is none.
        allowed: Option<String>,
    },
    /// The source is not on this host.
    NoSource(Source),
    /// The source's address is of the other family than the target's.
    OtherFamily(IpAddr),
    /// The kernel said something else.
    Trouble(Trouble),
}

impl Host {
    /// Opens sockets by the plan, for which a right may be needed that is to be laid down before
    /// it is asked where the packets go.
    pub fn prepare_ping<'p>(&self, plan: &'p Plan, families: Families) -> Prepared<'p> {
        // The seeds of a hasher are random numbers from the kernel.
        let mark = RandomState::new().build_hasher().finish();
        let open = |v6: bool| families.has(v6).then(|| opened(v6, plan, mark));
        Prepared { plan, sockets: [open(false), open(true)] }
    }

    /// Sends requests to distinct addresses of the families that were prepared for and waits for the
    /// replies, until the last one is in or their time is over.
    ///
    /// # Errors
    /// There is no socket to send from.
    pub fn ping(&self, targets: &[Target], prepared: Prepared) -> Result<Pinged, NoPing> {
        rights::renounce();
        let mut run = Run::new(targets, prepared)?;
        (self.announce)("echo replies");
        run.all(self.until);
        Ok(run.result())
    }
}

/// Replies are taken after so many requests at the latest.
const UNREAD: usize = 64;

/// One request.
#[derive(Debug, Clone, Copy)]
enum Request {
    Unsent,
    /// At this moment, and at this time since 1970.
    Sent(Instant, Duration),
    Answered(Duration),
    Late,
    Refused,
}

/// One address with its requests.
struct Aim {
    to: SockaddrStorage,
    from: Option<IpAddr>,
    requests: Vec<Request>,
    highest_answered: u16,
    echoes: Echoes,
}

/// Sockets, or why there is none; none where none was wanted.
pub struct Prepared<'p> {
    plan: &'p Plan,
    sockets: [Option<Result<(IcmpSocket, Template), NoPing>>; 2],
}

/// To addresses of which families packets may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// Those of this address.
    Of(IpAddr),
    /// Both.
    Both,
}

impl Families {
    const fn has(self, v6: bool) -> bool {
        match self {
            Self::Of(address) => address.is_ipv6() == v6,
            Self::Both => true,
        }
    }
}

struct Run<'p> {
    plan: &'p Plan,
    aims: Vec<Aim>,
    by_address: HashMap<IpAddr, usize>,
    /// One for IPv4, one for IPv6.
    sockets: [Option<(IcmpSocket, Template)>; 2],
    started: Instant,
    /// How many of all requests have been handled, in the order of sending.
    handled: usize,
    last_sent: Instant,
    /// Requests that may be sent in one go: the replies to them fit the receive buffers.
    batch: usize,
    /// Requests whose fate is not known yet.
    open: usize,
}

impl<'p> Run<'p> {
    fn new(targets: &[Target], prepared: Prepared<'p>) -> Result<Self, NoPing> {
        let Prepared { plan, sockets: [v4, v6] } = prepared;
        let any = |v6: bool| targets.iter().any(|target| target.to.is_ipv6() == v6);
        let now = Instant::now();
        let sockets =
            [v4.filter(|_| any(false)).transpose()?, v6.filter(|_| any(true)).transpose()?];
        let room = sockets.iter().flatten().map(|(socket, _)| socket.room_for_replies());
        let batch = room.min().unwrap_or(1);
        Ok(Self {
            plan,
            aims: targets.iter().map(|target| Aim::new(*target, plan)).collect(),
            by_address: targets.iter().enumerate().map(|(i, target)| (target.to.ip(), i)).collect(),
            sockets,
            batch,
            started: now,
            handled: 0,
            last_sent: now,
            open: targets.len() * usize::from(plan.count),
        })
    }

    fn all(&mut self, until: Instant) {
        self.started = Instant::now();
        loop {
            let busy = self.send_what_is_due();
            if self.open == 0 {
                return;
            }
            let now = Instant::now();
            let due = self.due();
            let wake = match due {
                _ if busy => now + Duration::from_millis(1),
                Some(due) => due,
                None => self.last_sent + self.plan.wait,
            };
            let over = due.is_none() && now >= wake;
            if over || now >= until {
                return self.give_up();
            }
            self.listen(wake.min(until).saturating_duration_since(now), due.is_some());
        }
    }

    /// When the next request is due; `None` where all have been handled. Those to many addresses
    /// are spread over the interval, a batch at a time.
    fn due(&self) -> Option<Instant> {
        let aims = self.aims.len();
        let (round, aim) = (self.handled / aims, self.handled % aims);
        if round >= usize::from(self.plan.count) {
            return None;
        }
        let batches = aims.div_ceil(self.batch) as u32;
        let in_round = self.plan.interval / batches * (aim / self.batch) as u32;
        Some(self.started + self.plan.interval * round as u32 + in_round)
    }

    /// Whether the kernel has no room at the moment.
    fn send_what_is_due(&mut self) -> bool {
        let mut now = Instant::now();
        let mut unread = 0;
        while let Some(due) = self.due() {
            if due > now {
                now = Instant::now();
                if due > now {
                    return false;
                }
            }
            let (seq, aim) = (self.handled / self.aims.len(), self.handled % self.aims.len());
            if self.aims[aim].echoes.stopped.is_none() {
                match self.send(aim, seq) {
                    Ok(()) => {}
                    Err(Errno::EAGAIN | Errno::ENOBUFS) => return true,
                    Err(error) => self.stop(aim, seq, error),
                }
            }
            self.handled += 1;
            unread += 1;
            if unread == UNREAD {
                self.hear();
                unread = 0;
            }
        }
        false
    }

    fn send(&mut self, aim: usize, seq: usize) -> Result<(), Errno> {
        /// More ICMP errors than these do not arrive between two calls.
        const ATTEMPTS: usize = 8;
        let v6 = self.aims[aim].echoes.target.is_ipv6();
        let mut result = Err(Errno::EAGAIN);
        for _ in 0..ATTEMPTS {
            let Some((socket, template)) = &mut self.sockets[usize::from(v6)] else { break };
            let message = template.numbered(seq as u16 + 1);
            let (sent, since_1970) = (Instant::now(), since_1970());
            result = socket.send(message, &self.aims[aim].to, self.aims[aim].from);
            match result {
                Ok(()) => {
                    self.aims[aim].requests[seq] = Request::Sent(sent, since_1970);
                    self.aims[aim].echoes.sent += 1;
                    self.last_sent = sent;
                    break;
                }
                Err(Errno::EAGAIN | Errno::ENOBUFS) => break,
                // A send also fails by what became of an earlier one; then it is to be done again.
                Err(_) => self.hear_refusals(v6),
            }
        }
        result
    }

    fn stop(&mut self, aim: usize, seq: usize, error: Errno) {
        let v6 = self.aims[aim].echoes.target.is_ipv6();
        let mtu = self.sockets[usize::from(v6)].as_ref().and_then(|(socket, _)| socket.mtu);
        self.open -= self.aims[aim].requests.len() - seq;
        self.aims[aim].echoes.stopped = Some(match error {
            Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN | Errno::EADDRNOTAVAIL => {
                Stop::NoRoute(error.desc().to_lowercase())
            }
            Errno::EACCES => Stop::NoRoute("prohibited by a route, or a broadcast address".into()),
            Errno::EINVAL => Stop::NoRoute("a black hole, or an address without its device".into()),
            Errno::EPERM => Stop::Filtered,
            Errno::EMSGSIZE => Stop::TooBig(mtu),
            _ => Stop::Failed(error.desc().to_lowercase()),
        });
    }

    /// At the end: what was not sent never will be.
    fn give_up(&mut self) {
        for aim in &mut self.aims {
            if aim.requests.iter().any(|r| matches!(r, Request::Unsent)) {
                aim.echoes.stopped.get_or_insert(Stop::Deadline);
            }
        }
    }

    /// Waits for replies. While there is more to send soon, they wait for the end of the pause:
    /// the kernel has noted when each came, and waking up for every one costs more than it. Not at
    /// the start: the kernel begins to stamp by work that it puts off (`net_enable_timestamp`), and
    /// what comes before carries the time at which it is read.
    fn listen(&mut self, at_most: Duration, more_to_send: bool) {
        const SOON: Duration = Duration::from_millis(100);
        let stamped = self.started.elapsed() >= SOON;
        {
            let sockets = self.sockets.iter().flatten();
            let sockets = sockets.filter(|_| !more_to_send || at_most > SOON || !stamped);
            let mut fds: Vec<PollFd> =
                sockets.map(|(socket, _)| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
            ppoll(&mut fds, Some(TimeSpec::from(at_most)), None).ok();
        }
        self.hear();
    }

    /// Takes everything that has arrived.
    fn hear(&mut self) {
        for v6 in [false, true] {
            self.hear_replies(v6);
            self.hear_refusals(v6);
        }
    }

    fn hear_replies(&mut self, v6: bool) {
        let Some((socket, template)) = &mut self.sockets[usize::from(v6)] else { return };
        socket.receive(|Arrived { from, at, message, checksum_right }| {
            let Some(echo) = packet::reply(v6, message) else { return };
            let Some(aim) = self.by_address.get(&from) else { return };
            let data = template.compare(echo.data);
            if data != Data::Foreign {
                let aim = &mut self.aims[*aim];
                let decided = aim.hear(echo.seq, at, checksum_right, data, self.plan.wait);
                self.open -= usize::from(decided);
            }
        });
    }

    fn hear_refusals(&mut self, v6: bool) {
        let Some((socket, _)) = &mut self.sockets[usize::from(v6)] else { return };
        while let Some(Refused { target, seq, refusal }) = socket.refused() {
            if let Some(aim) = self.by_address.get(&target) {
                self.open -= usize::from(self.aims[*aim].refuse(seq, refusal));
            }
        }
    }

    fn result(self) -> Pinged {
        let raw = self.sockets.iter().flatten().any(|(socket, _)| socket.is_raw());
        Pinged { echoes: self.aims.into_iter().map(Aim::result).collect(), raw }
    }
}

fn opened(v6: bool, plan: &Plan, mark: u64) -> Result<(IcmpSocket, Template), NoPing> {
    let id = mark as u16;
    let (source, device) = match &plan.source {
        Some(Source::Address(address)) if address.is_ipv6() != v6 => {
            return Err(NoPing::OtherFamily(*address));
        }
        Some(Source::Address(address)) => (Some(*address), None),
        Some(Source::Device(device)) => (None, Some(device)),
        None => (None, None),
    };
    let setup = Setup { source, device, dont_fragment: plan.dont_fragment, dscp: plan.dscp, id };
    let socket =
        rights::lend(NET_RAW, || IcmpSocket::open(v6, &setup, plan.size)).map_err(|no| {
            match (no, &plan.source) {
                (NoSocket::Forbidden, _) => {
                    let allowed =
                        std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").ok();
                    let words =
                        |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
                    let group = nix::unistd::getegid().as_raw();
                    NoPing::Forbidden { group, allowed: allowed.map(words) }
                }
                (NoSocket::NoSource(_), Some(source)) => NoPing::NoSource(source.clone()),
                (NoSocket::NoSource(e) | NoSocket::Failed(e), _) => NoPing::Trouble(Trouble {
                    whom: "the kernel (ICMP socket)".into(),
                    why: Why::of(&e),
                }),
            }
        })?;
    Ok((socket, Template::new(v6, id, mark, &plan.pattern, plan.size)))
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Aim {
    fn new(target: Target, plan: &Plan) -> Self {
        Self {
            to: SockaddrStorage::from(target.to),
            from: target.from,
            requests: vec![Request::Unsent; usize::from(plan.count)],
            highest_answered: 0,
            echoes: Echoes::none(target.to),
        }
    }

    /// A reply; whether it decides what became of a request.
    fn hear(
        &mut self,
        seq: u16,
        at: Option<Duration>,
        checksum_right: bool,
        data: Data,
        wait: Duration,
    ) -> bool {
        let index = usize::from(seq).wrapping_sub(1);
        let Some(request) = self.requests.get_mut(index) else { return false };
        if !checksum_right {
            // A kernel drops it, so it is no answer.
            self.echoes.corrupted += 1;
            return false;
        }
        let decided = match *request {
            Request::Unsent => return false,
            Request::Sent(sent, since_1970) => {
                let round_trip = round_trip(sent.elapsed(), since_1970, at);
                *request = match round_trip <= wait {
                    true => Request::Answered(round_trip),
                    false => Request::Late,
                };
                self.echoes.late += u32::from(round_trip > wait);
                true
            }
            // The error came first; there is an answer all the same, but no time to take from it.
            Request::Refused => return false,
            Request::Answered(_) | Request::Late => {
                self.echoes.duplicates += 1;
                return false;
            }
        };
        self.echoes.corrupted += u32::from(data == Data::Changed);
        self.echoes.reordered += u32::from(seq < self.highest_answered);
        self.highest_answered = self.highest_answered.max(seq);
        decided
    }

    /// An ICMP error; whether it decides what became of a request.
    fn refuse(&mut self, seq: u16, refusal: Refusal) -> bool {
        let index = usize::from(seq).wrapping_sub(1);
        let Some(request @ Request::Sent(..)) = self.requests.get_mut(index) else { return false };
        *request = Request::Refused;
        match self.echoes.refusals.iter_mut().find(|(known, _)| *known == refusal) {
            Some((_, times)) => *times += 1,
            None => self.echoes.refusals.push((refusal, 1)),
        }
        true
    }

    fn result(mut self) -> Echoes {
        self.echoes.round_trips = self
            .requests
            .iter()
            .filter_map(|request| match request {
                Request::Answered(round_trip) => Some(*round_trip),
                _ => None,
            })
            .collect();
        for (refusal, _) in &mut self.echoes.refusals {
            refusal.complete();
        }
        self.echoes
    }
}

/// From sending to the moment at which the kernel took the reply. It cannot be longer than until
/// now, nor negative: then the clock was set in between, and until now is the best that is known.
fn round_trip(until_now: Duration, sent: Duration, taken: Option<Duration>) -> Duration {
    const CLOCKS_DIFFER: Duration = Duration::from_millis(1);
    let by_kernel = taken.and_then(|taken| taken.checked_sub(sent));
    by_kernel.filter(|rtt| *rtt <= until_now + CLOCKS_DIFFER).unwrap_or(until_now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_meanwhile_makes_no_round_trip() {
        let ms = Duration::from_millis;
        let sent = Duration::from_secs(1_700_000_000);
        let rtt = |taken| round_trip(ms(20), sent, taken);
        assert_eq!(rtt(Some(sent + ms(7))), ms(7), "when the kernel took it, not when it was read");
        assert_eq!(rtt(Some(sent + ms(5000))), ms(20), "set forward");
        assert_eq!(rtt(Some(sent - ms(5000))), ms(20), "set back");
        assert_eq!(rtt(None), ms(20));
    }

    fn plan(count: u16, interval: u64) -> Plan {
        Plan {
            count,
            interval: Duration::from_millis(interval),
            wait: Duration::from_millis(500),
            size: 64,
            pattern: b"x".to_vec(),
            source: None,
            dont_fragment: false,
            dscp: None,
        }
    }

    #[test]
    fn what_comes_back_is_counted_and_not_confused() {
        let target = Target { to: "192.0.2.1:0".parse().expect("an address"), from: None };
        let mut aim = Aim::new(target, &plan(4, 1));
        let wait = Duration::from_millis(500);
        let now = Instant::now();
        for request in &mut aim.requests[..3] {
            *request = Request::Sent(now, since_1970());
        }
        let mut hear = |seq, right, data| aim.hear(seq, None, right, data, wait);
        assert!(!hear(2, false, Data::Changed), "a wrong checksum is no answer");
        assert!(hear(2, true, Data::Intact));
        assert!(!hear(2, true, Data::Intact), "a duplicate");
        assert!(hear(1, true, Data::Changed), "overtaken, and changed");
        for strange in [0, 4, 5, u16::MAX] {
            assert!(!hear(strange, true, Data::Intact), "{strange} was not sent");
        }
        let refusal = Refusal { by: None, why: Unreachable::Neighbour };
        assert!(aim.refuse(3, refusal.clone()));
        assert!(!aim.refuse(3, refusal.clone()) && !aim.refuse(1, refusal.clone()));
        assert!(!aim.hear(3, None, true, Data::Intact, wait), "after its refusal");
        let echoes = aim.result();
        assert_eq!((echoes.round_trips.len(), echoes.late, echoes.duplicates), (2, 0, 1));
        assert_eq!((echoes.corrupted, echoes.reordered), (2, 1));
        assert_eq!(echoes.refusals, [(refusal, 1)]);
    }
}
