//! The path to an address: whether replies come back, whole and in time.

use crate::checks::Check;
use crate::checks::path::{self, Fault, PathArgs, PathCodes, Times, ms};
use crate::host::link::DeviceName;
use crate::host::names::{Family, HostName, NoAddress, Resolved};
use crate::host::ping::{Echoes, Families, NoPing, Pinged, Source, Target};
use crate::host::{Host, Why};
use crate::manifest::check_ping::{SPEC, code, fact, metric};
use crate::plugin;
use crate::plugin::args::DEADLINE;
use crate::plugin::past::Past;
use crate::plugin::report::{Finding, Report};
use crate::plugin::spec::Spec;
use crate::plugin::status::Status;
use std::net::IpAddr;
use std::time::Duration;

/// See [`SPEC`].
pub struct Ping;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address or host name of the far end
    #[arg(short, long)]
    pub target: HostName,
    /// Address or device of this host to send from
    #[arg(short = 'f', long, value_parser = source)]
    pub source: Option<Source>,
    /// What is sent.
    #[command(flatten)]
    pub path: PathArgs,
}

fn source(text: &str) -> Result<Source, String> {
    match text.parse() {
        Ok(address) => Ok(Source::Address(address)),
        Err(_) => Ok(Source::Device(text.parse::<DeviceName>()?)),
    }
}

/// The facts: the target's address, and what came back from it.
pub type Facts = Result<(Resolved, Result<Pinged, NoPing>), NoAddress>;

const CODES: PathCodes = PathCodes {
    no_route: code::NO_ROUTE,
    filtered: code::FILTERED,
    too_big: code::TOO_BIG,
    no_reply: code::NO_REPLY,
    loss: code::LOSS,
    slow: code::SLOW,
    corrupted: code::CORRUPTED,
};

impl Check for Ping {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Facts;

    fn deadline(args: &Args) -> Duration {
        const NAME: Duration = Duration::from_secs(1);
        DEADLINE.max(args.path.plan(None).duration() + NAME)
    }

    fn own_limit(args: &mut Args, status: Status, text: &str) -> Result<(), String> {
        args.path.take_limit(status, text)
    }

    fn gather(args: &Args, host: &Host) -> Facts {
        let plan = args.path.plan(args.source.clone());
        let family = match &args.source {
            Some(Source::Address(IpAddr::V4(_))) => Family::V4,
            Some(Source::Address(IpAddr::V6(_))) => Family::V6,
            _ => Family::Any,
        };
        let families = match args.target {
            HostName::Address(address, _) => Families::Of(address),
            HostName::Name(_) => Families::Both,
        };
        let prepared = host.prepare_ping(&plan, families);
        let resolved = host.resolve(&args.target, family, path::before_packets(host, &plan))?;
        let pinged = host.ping(&[Target { to: resolved.address, from: None }], prepared);
        Ok((resolved, pinged))
    }

    fn judge(facts: &Facts, args: &Args, _past: &Past) -> Report {
        let name = args.target.to_string();
        let mut report = Report::about(name.clone());
        match facts {
            Ok((resolved, pinged)) => {
                let address = resolved.address.ip().to_string();
                report.fact(fact::ADDRESS.name, None, address.as_str());
                if let Some(by) = &resolved.by {
                    report.fine(format!("{name} is {address} ({by})"));
                }
                match pinged {
                    Ok(pinged) => judge_path(&mut report, pinged, args),
                    Err(no) => find(&mut report, &name, path::no_ping(no, code::ABSENT)),
                }
            }
            Err(no) => find(&mut report, &name, no_address(no)),
        }
        report
    }
}

fn find(report: &mut Report, name: &str, fault: Fault) {
    let Fault { code, status, text } = fault;
    report.findings.push(Finding { code, status, text, object: Some(name.to_owned()) });
}

fn no_address(no: &NoAddress) -> Fault {
    match no {
        NoAddress::Unknown(by) => {
            Fault::new(code::NO_ADDRESS, format!("the name has no address, says {by}"))
        }
        NoAddress::Silent(servers, after) => {
            let text = format!("no address: DNS server {servers}: {}", Why::Silent(*after));
            Fault::new(&plugin::code::TIMEOUT, text)
        }
        NoAddress::NoDevice(device) => {
            Fault::new(code::ABSENT, format!("{device} is no device of this host"))
        }
        NoAddress::Trouble(trouble) => Fault::new(
            &plugin::code::UNREADABLE,
            format!("no address: {trouble}; write the target as an address"),
        ),
    }
}

fn judge_path(report: &mut Report, pinged: &Pinged, args: &Args) {
    let name = report.object.clone();
    let Some(echoes) = pinged.echoes.first() else { return };
    for fault in path::faults(echoes, &args.path, &CODES) {
        find(report, &name, fault);
    }
    report.when_ok = when_ok(&name, echoes);
    let fine = report.findings.is_empty();
    for line in [tally(&name, echoes), times(echoes), kind_of_packets(args, pinged)] {
        match (line.is_empty(), fine) {
            (true, _) => {}
            (_, true) => report.fine(line),
            (_, false) => report.note(line),
        }
    }
    measure(report, &name, echoes);
}

fn when_ok(name: &str, echoes: &Echoes) -> String {
    let received = path::of(path::received(echoes), echoes.sent);
    let times = Times::of(echoes).map(|times| {
        format!(", average {} ms, longest {} ms", ms(times.average), ms(times.longest))
    });
    format!("{name} answers: {received} back{}", times.unwrap_or_default())
}

fn tally(name: &str, echoes: &Echoes) -> String {
    let received = path::received(echoes);
    let mut line = format!("{name}: {} sent, {received} answered in time", echoes.sent);
    for (count, what) in [
        (echoes.late, "late"),
        (echoes.duplicates, "duplicate"),
        (echoes.corrupted, "corrupted"),
        (echoes.reordered, "out of order"),
    ] {
        if count > 0 {
            line += &format!(", {count} {what}");
        }
    }
    for (refusal, count) in &echoes.refusals {
        line += &format!(", {count} refused ({})", path::reason(refusal));
    }
    line
}

fn times(echoes: &Echoes) -> String {
    let Some(Times { shortest, average, longest, deviation, jitter }) = Times::of(echoes) else {
        return String::new();
    };
    let jitter = jitter.map(|jitter| format!(", jitter {jitter:.3}")).unwrap_or_default();
    format!(
        "round trip min {shortest:.3}, average {average:.3}, max {longest:.3}, \
         standard deviation {deviation:.3}{jitter} ms"
    )
}

fn kind_of_packets(args: &Args, pinged: &Pinged) -> String {
    let PathArgs { size, pattern, df, dscp, .. } = &args.path;
    let df = if *df { ", not to be cut" } else { "" };
    let dscp = dscp.map(|dscp| format!(", DSCP {dscp}")).unwrap_or_default();
    let kind = if pinged.raw { "raw" } else { "datagram" };
    format!("{size} bytes of data, pattern {pattern}{df}{dscp} ({kind} ICMP socket)")
}

fn measure(report: &mut Report, name: &str, echoes: &Echoes) {
    report.measure_of(name, metric::LOSS, path::loss(echoes));
    let times = Times::of(echoes);
    let time = |of: fn(&Times) -> f64| times.as_ref().map(of);
    for (spec, value) in [
        (metric::RTT_MIN, time(|t| t.shortest)),
        (metric::RTT_AVG, time(|t| t.average)),
        (metric::RTT_MAX, time(|t| t.longest)),
        (metric::RTT_SD, time(|t| t.deviation)),
        (metric::JITTER, times.as_ref().and_then(|t| t.jitter)),
    ] {
        report.measure_of(name, spec, value);
    }
    for (spec, value) in [
        (metric::SENT, echoes.sent),
        (metric::RECEIVED, path::received(echoes)),
        (metric::LATE, echoes.late),
        (metric::DUPLICATES, echoes.duplicates),
        (metric::CORRUPTED, echoes.corrupted),
        (metric::REORDERED, echoes.reordered),
    ] {
        report.measure_of(name, spec, f64::from(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Trouble;
    use crate::host::ping::{Refusal, Stop, Unreachable};
    use crate::plugin::verdict::{Rules, Verdict};
    use clap::{Args as _, FromArgMatches};

    fn args(line: &str) -> Args {
        let words = ["check_ping", "-t", "192.0.2.1"].into_iter().chain(line.split_whitespace());
        let command = Args::augment_args(clap::Command::new("check_ping"));
        let matches = command.try_get_matches_from(words).expect("a command line");
        Args::from_arg_matches(&matches).expect("arguments")
    }

    /// Five packets sent, answered after these milliseconds.
    fn echoes(times: &[u64]) -> Echoes {
        let mut echoes = Echoes::none("192.0.2.1:0".parse().expect("an address"));
        echoes.sent = 5;
        echoes.round_trips = times.iter().map(|ms| Duration::from_millis(*ms)).collect();
        echoes
    }

    fn judged(echoes: Echoes, line: &str) -> (String, Vec<&'static str>) {
        let resolved = Resolved { address: echoes.target, by: None };
        let pinged = Pinged { echoes: vec![echoes], raw: false };
        said(&Ok((resolved, Ok(pinged))), line)
    }

    fn said(facts: &Facts, line: &str) -> (String, Vec<&'static str>) {
        let report = Ping::judge(facts, &args(line), &Past::default());
        let codes = report.findings.iter().map(|f| f.code.name).collect();
        (Verdict::of(&SPEC, report, &Rules::default()).first_line(), codes)
    }

    #[test]
    fn loss_counts_above_its_limit_and_times_at_theirs() {
        let cases: [(&[u64], &str, &str, &[&str]); 9] = [
            (
                &[1, 2, 3, 4, 5],
                "",
                "OK: 192.0.2.1 answers: 5 of 5 packets back, average 3 ms, longest 5 ms",
                &[],
            ),
            (&[1; 4], "", "CRITICAL: 192.0.2.1: 1 of 5 packets lost (20 %, limit 10 %)", &["loss"]),
            (
                &[1; 4],
                "-C 20%/9/9",
                "WARNING: 192.0.2.1: 1 of 5 packets lost (20 %, limit 1 %)",
                &["loss"],
            ),
            (
                &[1; 4],
                "-C 20%/9/9 -W 20/9/9",
                "OK: 192.0.2.1 answers: 4 of 5 packets back, average 1 ms, longest 1 ms",
                &[],
            ),
            (
                &[1; 4],
                "-C 19.9/9/9 -W 20/9/9",
                "CRITICAL: 192.0.2.1: 1 of 5 packets lost (20 %, limit 19.9 %)",
                &["loss"],
            ),
            (
                &[9; 5],
                "-W 1%/9/10",
                "WARNING: 192.0.2.1: average round trip 9 ms (limit 9 ms)",
                &["slow"],
            ),
            (
                &[9; 5],
                "-W 1%/9.001/9.001",
                "OK: 192.0.2.1 answers: 5 of 5 packets back, average 9 ms, longest 9 ms",
                &[],
            ),
            (
                &[1, 1, 1, 1, 9],
                "-C 1%/5/9ms",
                "CRITICAL: 192.0.2.1: longest round trip 9 ms (limit 9 ms)",
                &["slow"],
            ),
            (
                &[],
                "-C 100%/1/1",
                "CRITICAL: 192.0.2.1: no reply: all 5 packets lost",
                &["no-reply"],
            ),
        ];
        for (times, line, first, codes) in cases {
            let said = judged(echoes(times), line);
            assert_eq!(said, (format!("CheckPing {first}"), codes.to_vec()), "{times:?} {line}");
        }
    }

    #[test]
    fn what_is_known_of_lost_packets_is_told() {
        let refused = |by: Option<&str>, why| {
            let by = by.map(|by| by.parse().expect("an address"));
            let mut echoes = echoes(&[]);
            echoes.refusals = vec![(Refusal { by, why }, 5)];
            judged(echoes, "").0
        };
        let start = "CheckPing CRITICAL: 192.0.2.1: no reply: all 5 packets lost; ";
        let router = Some("192.0.2.9");
        let said = Unreachable::Said("network unreachable");
        assert_eq!(refused(router, said), format!("{start}192.0.2.9 says: network unreachable"));
        let neighbour = refused(router, Unreachable::Neighbour);
        assert_eq!(neighbour, format!("{start}192.0.2.9 says: host unreachable"));
        let nobody = "nobody on the link has the address (no answer to ARP or ND)";
        assert_eq!(refused(None, Unreachable::Neighbour), format!("{start}{nobody}"));
        assert_eq!(
            refused(router, Unreachable::TooBig(Some(1400))),
            "CheckPing CRITICAL: 192.0.2.1: 256 bytes of data do not fit the path, the next MTU \
             is 1400; 192.0.2.9 says: too big"
        );
        let mut late = echoes(&[1, 1, 1]);
        late.late = 2;
        assert!(judged(late, "").0.ends_with("lost (40 %, limit 10 %); 2 replies later than 5 s"));
    }

    #[test]
    fn a_packet_by_which_the_path_mtu_was_learnt_is_no_loss() {
        let by = Some("2001:db8::2".parse().expect("an address"));
        let mut learnt = echoes(&[1, 1, 1, 1]);
        learnt.refusals = vec![(Refusal { by, why: Unreachable::TooBig(Some(1400)) }, 1)];
        assert_eq!(judged(learnt.clone(), "").1, [""; 0]);
        let (said, codes) = judged(learnt.clone(), "--df");
        assert_eq!(codes, ["too-big"], "{said}");
        learnt.round_trips.pop();
        let (said, codes) = judged(learnt, "");
        assert_eq!(codes, ["loss"], "the other one is: {said}");
        assert!(said.contains("1 of 5 packets lost (20 %"), "{said}");
    }

    #[test]
    fn what_stopped_the_sending_is_the_finding() {
        for (stop, code) in [
            (Stop::NoRoute("network is unreachable".into()), "no-route"),
            (Stop::Filtered, "filtered"),
            (Stop::TooBig(Some(1500)), "too-big"),
            (Stop::Deadline, "timeout"),
            (Stop::Failed("no such device".into()), "unreadable"),
        ] {
            let mut echoes = echoes(&[1]);
            echoes.stopped = Some(stop.clone());
            assert_eq!(judged(echoes, "").1, [code], "{stop:?}");
        }
    }

    #[test]
    fn without_an_address_or_a_socket_nothing_is_ok() {
        let trouble = || Trouble { whom: "DNS server 192.0.2.53".into(), why: Why::Refused };
        for (no, code) in [
            (NoAddress::Unknown("DNS server 192.0.2.53".into()), "no-address"),
            (NoAddress::Silent("192.0.2.53".into(), Duration::from_secs(3)), "timeout"),
            (NoAddress::NoDevice("eth9".into()), "absent"),
            (NoAddress::Trouble(trouble()), "unreadable"),
        ] {
            assert_eq!(said(&Err(no.clone()), "").1, [code], "{no:?}");
        }
        let device = "eth9".parse().expect("a name");
        for (no, code) in [
            (NoPing::Forbidden { group: 7, allowed: Some("1 0".into()) }, "forbidden"),
            (NoPing::NoSource(Source::Device(device)), "absent"),
            (NoPing::OtherFamily("::1".parse().expect("an address")), "usage"),
            (NoPing::Trouble(trouble()), "unreadable"),
        ] {
            let resolved = Resolved { address: "192.0.2.1:0".parse().expect("one"), by: None };
            assert_eq!(said(&Ok((resolved, Err(no.clone()))), "").1, [code], "{no:?}");
        }
    }

    #[test]
    fn the_deadline_leaves_time_for_all_packets() {
        let seconds = |line: &str| Ping::deadline(&args(line)).as_secs_f64();
        assert_eq!(seconds(""), 10.0);
        assert_eq!(seconds("-c 10 -w 10"), 15.5);
        assert_eq!(seconds("-c 3 -i 0.1 -w 9"), 10.2);
    }
}
