//! Whether the path to an address works: what every check that sends echo requests asks for, and
//! how it judges what came back.

use crate::host::Host;
use crate::host::ping::{Echoes, NoPing, Plan, Refusal, Source, Stop, Unreachable};
use crate::plugin::args::seconds;
use crate::plugin::code;
use crate::plugin::limit::short_decimal;
use crate::plugin::spec::Code;
use crate::plugin::status::Status;
use crate::plugin::text::number;
use crate::rights;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// What is sent, and what is asked of the replies.
#[derive(Debug, clap::Args)]
pub struct PathArgs {
    /// Packets to send
    #[arg(short, long, default_value = "5", value_parser = clap::value_parser!(u16).range(1..))]
    pub count: u16,
    /// Seconds between two packets
    #[arg(short, long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    pub interval: Duration,
    /// Filled with this word, or with pairs of hex digits
    #[arg(short, long, default_value = "OS-DNA")]
    pub pattern: Pattern,
    /// Seconds that a reply may take
    #[arg(short, long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub wait: Duration,
    /// Bytes of data
    #[arg(short, long, value_name = "BYTES", default_value = "256", value_parser = clap::value_parser!(u16).range(..=65507))]
    pub size: u16,
    /// Never cut a packet into fragments: with -s this tests the path MTU
    #[arg(long)]
    pub df: bool,
    /// Class of the packets: 0 to 63, ef, cs1, af41
    #[arg(long, value_name = "CLASS", value_parser = dscp)]
    pub dscp: Option<u8>,
    /// WARNING limits, times in ms; also as --warning
    #[arg(short = 'W', value_name = "LOSS%/AVG/MAX", default_value = "1%/300/600")]
    pub warning_path: Triple,
    /// CRITICAL limits; also as --critical
    #[arg(short = 'C', value_name = "LOSS%/AVG/MAX", default_value = "10%/1000/2000")]
    pub critical_path: Triple,
}

impl PathArgs {
    /// As the host takes it.
    pub fn plan(&self, source: Option<Source>) -> Plan {
        // A right that is lent is not for floods; ping(8) keeps all but root from less.
        const SHORTEST: Duration = Duration::from_millis(2);
        let interval = if rights::elevated() { self.interval.max(SHORTEST) } else { self.interval };
        Plan {
            count: self.count,
            interval,
            wait: self.wait,
            size: self.size.into(),
            pattern: self.pattern.0.clone(),
            source,
            dont_fragment: self.df,
            dscp: self.dscp,
        }
    }

    /// Takes a triple that was written as `--warning` or `--critical`.
    ///
    /// # Errors
    /// It is none.
    pub fn take_limit(&mut self, status: Status, text: &str) -> Result<(), String> {
        let place = match status {
            Status::Critical => &mut self.critical_path,
            _ => &mut self.warning_path,
        };
        *place = text.parse()?;
        Ok(())
    }
}

/// Until when something else may be asked first: the packets have the time that the plan takes,
/// or half of a deadline that is too short.
pub(super) fn before_packets(host: &Host, plan: &Plan) -> Instant {
    let now = Instant::now();
    let left = host.until.saturating_duration_since(now);
    now + left.saturating_sub(plan.duration()).max(left / 2)
}

/// The bytes that packets are filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<u8>);

impl FromStr for Pattern {
    type Err = String;

    /// An even number of hex digits is hex, as `ping -p` has it; everything else is a word.
    fn from_str(text: &str) -> Result<Self, String> {
        const LONGEST: usize = 16;
        let hex = || {
            let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
            pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<Vec<u8>>>()
        };
        let digits = text.len().is_multiple_of(2) && text.bytes().all(|c| c.is_ascii_hexdigit());
        let bytes = if digits { hex().unwrap_or_default() } else { text.into() };
        let good = |c: char| c.is_ascii_alphanumeric() || "_.:@+,=%-".contains(c);
        match (1..=LONGEST).contains(&bytes.len()) && text.chars().all(good) {
            true => Ok(Self(bytes)),
            false => Err(format!("write a word or hex digits, 1 to {LONGEST} bytes")),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A differentiated services code point by number or by name (RFC 2474, 2597, 3246).
fn dscp(text: &str) -> Result<u8, String> {
    let lower = text.to_ascii_lowercase();
    let digits = |name: &str| -> Option<Vec<u8>> {
        let digits = lower.strip_prefix(name)?.bytes();
        digits.map(|c| c.is_ascii_digit().then(|| c - b'0')).collect()
    };
    let by_name = match (lower.as_str(), digits("cs").as_deref(), digits("af").as_deref()) {
        ("ef", _, _) => Some(46),
        (_, Some([class @ 0..=7]), _) => Some(class << 3),
        (_, _, Some([class @ 1..=4, drop @ 1..=3])) => Some(class << 3 | drop << 1),
        _ => None,
    };
    let by_number = || text.parse().ok().filter(|n| *n < 64 && !text.starts_with('+'));
    by_name.or_else(by_number).ok_or("write 0 to 63, ef, cs0 to cs7 or af11 to af43".to_owned())
}

/// Limits of the original: `1%/300/600`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Triple {
    /// Per cent of loss that is still allowed.
    pub loss: f64,
    /// Average round trip that is no longer allowed, ms.
    pub average: f64,
    /// Longest round trip that is no longer allowed, ms.
    pub longest: f64,
}

impl FromStr for Triple {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |part: &str, unit: &str| {
            short_decimal(part.strip_suffix(unit).unwrap_or(part)).filter(|n| *n >= 0.0)
        };
        let parts: Vec<&str> = text.split('/').collect();
        let numbers = match parts.as_slice() {
            [loss, average, longest] => {
                (part(loss, "%").filter(|n| *n <= 100.0), part(average, "ms"), part(longest, "ms"))
            }
            _ => (None, None, None),
        };
        match numbers {
            (Some(loss), Some(average), Some(longest)) => Ok(Self { loss, average, longest }),
            _ => Err("write LOSS%/AVERAGE/LONGEST, for example 1%/300/600 (ms)".to_owned()),
        }
    }
}

/// The codes a check has for what can be wrong with a path.
pub(super) struct PathCodes {
    pub(super) no_route: &'static Code,
    pub(super) filtered: &'static Code,
    pub(super) too_big: &'static Code,
    pub(super) no_reply: &'static Code,
    pub(super) loss: &'static Code,
    pub(super) slow: &'static Code,
    pub(super) corrupted: &'static Code,
}

/// One thing that is wrong with a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) code: &'static Code,
    pub(super) status: Status,
    pub(super) text: String,
}

impl Fault {
    pub(super) const fn new(code: &'static Code, text: String) -> Self {
        Self { code, status: code.status, text }
    }
}

/// What is wrong with a path.
pub(super) fn faults(echoes: &Echoes, args: &PathArgs, codes: &PathCodes) -> Vec<Fault> {
    if let Some(stop) = &echoes.stopped {
        return vec![stopped(stop, echoes, args, codes)];
    }
    let mut faults: Vec<Fault> = missing(echoes, args, codes).into_iter().collect();
    faults.extend(slow(echoes, args, codes));
    if echoes.corrupted > 0 {
        let text = format!("{} came back with changed data", of(echoes.corrupted, echoes.sent));
        faults.push(Fault::new(codes.corrupted, text));
    }
    faults
}

fn stopped(stop: &Stop, echoes: &Echoes, args: &PathArgs, codes: &PathCodes) -> Fault {
    match stop {
        Stop::NoRoute(why) => Fault::new(codes.no_route, format!("no route on this host ({why})")),
        Stop::Filtered => {
            Fault::new(codes.filtered, "this host's own packet filter refuses to send".to_owned())
        }
        Stop::TooBig(mtu) => {
            let mtu = mtu.map(|mtu| format!(", the MTU here is {mtu}")).unwrap_or_default();
            let text = format!("{} bytes of data do not fit in one packet{mtu}", args.size);
            Fault::new(codes.too_big, text)
        }
        Stop::Deadline => {
            let (sent, received) = (of(echoes.sent, args.count.into()), echoes.round_trips.len());
            Fault::new(
                &code::TIMEOUT,
                format!("the deadline came after {sent}, {received} answered"),
            )
        }
        Stop::Failed(why) => Fault::new(&code::UNREADABLE, format!("cannot send: {why}")),
    }
}

/// Loss. That nothing comes back is another thing than that much is lost.
fn missing(echoes: &Echoes, args: &PathArgs, codes: &PathCodes) -> Option<Fault> {
    let loss = loss(echoes)?;
    let lost = lost(echoes);
    let why = reasons(echoes, args);
    if let Some(mtu) = told_too_big(echoes).filter(|_| args.df || received(echoes) == 0) {
        let next = mtu.map(|mtu| format!(", the next MTU is {mtu}")).unwrap_or_default();
        let text = format!("{} bytes of data do not fit the path{next}{why}", args.size);
        return Some(Fault::new(codes.too_big, text));
    }
    if received(echoes) == 0 {
        let all = if lost == 1 { "1 packet".to_owned() } else { format!("all {lost} packets") };
        return Some(Fault::new(codes.no_reply, format!("no reply: {all} lost{why}")));
    }
    let (status, limit) = passed(args, |limits| limits.loss, |limit| loss > limit)?;
    let (lost, loss) = (of(lost, echoes.sent), hundredths(loss));
    let text = format!("{lost} lost ({loss} %, limit {} %){why}", number(limit));
    Some(Fault { code: codes.loss, status, text })
}

fn slow(echoes: &Echoes, args: &PathArgs, codes: &PathCodes) -> Vec<Fault> {
    let Some(times) = Times::of(echoes) else { return Vec::new() };
    let average = passed(args, |limits| limits.average, |limit| times.average >= limit);
    let longest = passed(args, |limits| limits.longest, |limit| times.longest >= limit);
    let both = [("average", times.average, average), ("longest", times.longest, longest)];
    let fault = |(what, is, passed): (&str, f64, Option<(Status, f64)>)| {
        let (status, limit) = passed?;
        let text = format!("{what} round trip {} ms (limit {} ms)", ms(is), number(limit));
        Some(Fault { code: codes.slow, status, text })
    };
    both.into_iter().filter_map(fault).collect()
}

/// The worst limit that is passed.
fn passed(
    args: &PathArgs,
    of: impl Fn(&Triple) -> f64,
    passes: impl Fn(f64) -> bool,
) -> Option<(Status, f64)> {
    let limits = [(Status::Critical, &args.critical_path), (Status::Warning, &args.warning_path)];
    limits
        .into_iter()
        .map(|(status, limits)| (status, of(limits)))
        .find(|(_, limit)| passes(*limit))
}

/// What became of requests that have no reply, as far as anybody said so.
fn reasons(echoes: &Echoes, args: &PathArgs) -> String {
    let mut reasons: Vec<String> =
        echoes.refusals.iter().map(|(refusal, _)| reason(refusal)).collect();
    if echoes.late > 0 {
        let noun = if echoes.late == 1 { "reply" } else { "replies" };
        let wait = number(args.wait.as_secs_f64());
        reasons.push(format!("{} {noun} later than {wait} s", echoes.late));
    }
    if reasons.is_empty() { String::new() } else { format!("; {}", reasons.join(", ")) }
}

/// What an ICMP error says, and who says it.
pub(super) fn reason(refusal: &Refusal) -> String {
    let by = refusal.by.map(|by| format!("{by} says: ")).unwrap_or_default();
    match (refusal.why, refusal.by) {
        (Unreachable::Neighbour, None) => {
            "nobody on the link has the address (no answer to ARP or ND)".to_owned()
        }
        (Unreachable::Neighbour, Some(_)) => format!("{by}host unreachable"),
        (Unreachable::TooBig(_), _) => format!("{by}too big"),
        (Unreachable::Said(what), _) => format!("{by}{what}"),
    }
}

/// Whether a packet was refused for its size; the MTU where that is told.
fn told_too_big(echoes: &Echoes) -> Option<Option<u32>> {
    echoes.refusals.iter().find_map(|(refusal, _)| match refusal.why {
        Unreachable::TooBig(mtu) => Some(mtu),
        _ => None,
    })
}

/// Packets that were answered in time.
pub(super) fn received(echoes: &Echoes) -> u32 {
    echoes.round_trips.len() as u32
}

/// Packets that were not answered in time. An IPv6 router cuts nothing but refuses the first that is
/// too big, by which the kernel learns to cut the others (RFC 8201): where those are answered, that
/// one is no loss.
fn lost(echoes: &Echoes) -> u32 {
    let big = |(refusal, _): &&(Refusal, u32)| matches!(refusal.why, Unreachable::TooBig(_));
    let cut: u32 = echoes.refusals.iter().filter(big).map(|(_, times)| times).sum();
    let unanswered = echoes.sent - received(echoes);
    if received(echoes) == 0 { unanswered } else { unanswered.saturating_sub(cut) }
}

/// Per cent of the packets sent that were lost.
pub(super) fn loss(echoes: &Echoes) -> Option<f64> {
    let lost = f64::from(lost(echoes));
    (echoes.sent > 0).then(|| 100.0 * lost / f64::from(echoes.sent))
}

/// Figures of round trips, ms.
#[derive(Debug, PartialEq)]
pub(super) struct Times {
    pub(super) shortest: f64,
    pub(super) average: f64,
    pub(super) longest: f64,
    /// Standard deviation, of these packets and not an estimate for others: as ping's mdev.
    pub(super) deviation: f64,
    /// Average difference between one and the next; none of a single one.
    pub(super) jitter: Option<f64>,
}

impl Times {
    pub(super) fn of(echoes: &Echoes) -> Option<Self> {
        let times: Vec<f64> = echoes.round_trips.iter().map(|d| d.as_secs_f64() * 1e3).collect();
        let average = mean(times.iter().copied())?;
        Some(Self {
            shortest: times.iter().copied().fold(f64::INFINITY, f64::min),
            average,
            longest: times.iter().copied().fold(0.0, f64::max),
            deviation: mean(times.iter().map(|t| (t - average).powi(2)))?.sqrt(),
            jitter: mean(times.windows(2).map(|pair| (pair[1] - pair[0]).abs())),
        })
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let n = values.len();
    (n > 0).then(|| values.sum::<f64>() / n as f64)
}

/// Milliseconds as people read them.
pub(super) fn ms(value: f64) -> String {
    let places = if value < 10.0 { 1e2 } else { 1e1 };
    number((value * places).round() / places)
}

fn hundredths(value: f64) -> String {
    number((value * 1e2).round() / 1e2)
}

/// `2 of 5 packets`.
pub(super) fn of(some: u32, all: u32) -> String {
    format!("{some} of {all} packet{}", if all == 1 { "" } else { "s" })
}

/// What to say where nothing could be sent.
pub(super) fn no_ping(no: &NoPing, absent: &'static Code) -> Fault {
    match no {
        NoPing::Forbidden { group, allowed } => {
            let now = allowed.as_ref().map(|groups| format!(" (now {groups})")).unwrap_or_default();
            let text = format!(
                "ICMP: permission denied; grant the check cap_net_raw, or open \
                 net.ipv4.ping_group_range{now} to group {group}"
            );
            Fault::new(&code::FORBIDDEN, text)
        }
        NoPing::NoSource(Source::Address(source)) => {
            Fault::new(absent, format!("source {source} is no address of this host"))
        }
        NoPing::NoSource(Source::Device(source)) => {
            Fault::new(absent, format!("source {source} is no device of this host"))
        }
        NoPing::OtherFamily(source) => {
            let text = format!("source {source} is of the other IP version than the target");
            Fault::new(&code::USAGE, text)
        }
        NoPing::Trouble(trouble) => Fault::new(&code::UNREADABLE, trouble.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_and_its_hex_digits_are_one_pattern() {
        let word: Pattern = "OS-DNA".parse().expect("a word");
        assert_eq!(Ok(&word), "4f532d444e41".parse().as_ref());
        assert_eq!(Ok(&word), "4F532D444E41".parse().as_ref());
        assert_eq!(word.to_string(), "4f532d444e41");
        assert_eq!("abc".parse(), Ok(Pattern(b"abc".to_vec())));
        assert_eq!("ff".parse(), Ok(Pattern(vec![0xff])));
        for bad in
            ["", "a b", "a|b", "\u{fc}", "seventeen-letters", "00112233445566778899aabbccddeeff00"]
        {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn triples_are_read_with_decimals_and_with_or_without_units() {
        let triple = |loss, average, longest| Ok(Triple { loss, average, longest });
        assert_eq!("1%/300/600".parse(), triple(1.0, 300.0, 600.0));
        assert_eq!("0.5/1.5ms/2.25ms".parse(), triple(0.5, 1.5, 2.25));
        assert_eq!("100%/0/0".parse(), triple(100.0, 0.0, 0.0));
        // As the original takes it, for Python does.
        assert_eq!(".5%/.25/.75ms".parse(), triple(0.5, 0.25, 0.75));
        assert_eq!(seconds(".1"), Ok(Duration::from_millis(100)));
        for bad in [
            "", "1", "1/2", "1/2/3/4", "1%/2%/3", "101%/1/1", "-1/1/1", "1/x/2", "1 /2/3",
            "1/1s/2", "//", "./1/1", "-.5/1/1", "1./1/1",
        ] {
            assert!(bad.parse::<Triple>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn classes_have_numbers_and_names() {
        let cases =
            [("0", 0), ("63", 63), ("ef", 46), ("EF", 46), ("cs1", 8), ("cs7", 56), ("af41", 34)];
        for (text, class) in cases {
            assert_eq!(dscp(text), Ok(class), "{text}");
        }
        for bad in ["", "64", "-1", "+1", "cs8", "cs", "af", "af51", "af14", "ef1", "x"] {
            assert!(dscp(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn figures_of_round_trips() {
        let mut echoes = Echoes::none("192.0.2.1:0".parse().expect("an address"));
        assert_eq!((Times::of(&echoes), loss(&echoes)), (None, None));
        echoes.sent = 4;
        assert_eq!(loss(&echoes), Some(100.0));
        echoes.round_trips = [1, 3, 2].map(Duration::from_millis).to_vec();
        let times = Times::of(&echoes).expect("figures");
        assert_eq!((times.shortest, times.average, times.longest), (1.0, 2.0, 3.0));
        assert_eq!((times.jitter, loss(&echoes)), (Some(1.5), Some(25.0)));
        assert!((times.deviation - (2.0f64 / 3.0).sqrt()).abs() < 1e-9);
        echoes.round_trips.truncate(1);
        assert_eq!(Times::of(&echoes).expect("figures").jitter, None);
    }
}
