//! The path to an address: whether replies come back, whole and in time.

use crate::checks::Check;
use crate::checks::path::{self, Fault, PathArgs, PathCodes, Times, ms};
use crate::host::Host;
use crate::host::link::DeviceName;
use crate::host::names::{Family, HostName, NoAddress, Resolved};
use crate::host::ping::{Echoes, NoPing, Pinged, Source};
use crate::manifest::check_ping::{SPEC, code, fact, metric};
use crate::plugin;
use crate::plugin::args::DEADLINE;
use crate::plugin::past::Past;
use crate::plugin::report::{Finding, Report};
use crate::plugin::spec::Spec;
use crate::plugin::status::Status;
use crate::plugin::text::span;
use std::net::IpAddr;
use std::time::{Duration, Instant};

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
        let resolved =
            host.resolve(&args.target, family, time_for_the_name(host, plan.duration()))?;
        let pinged = host.ping(&[resolved.address], &plan);
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

/// The packets come first; a name has what they leave, or half of a deadline that is too short.
fn time_for_the_name(host: &Host, packets: Duration) -> Instant {
    let left = host.until.saturating_duration_since(Instant::now());
    Instant::now() + left.saturating_sub(packets).max(left / 2)
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
            let after = span(after.as_secs());
            let text = format!("no address: DNS server {servers} did not answer within {after}");
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
