//! Many checks in one process: `calipso-sweep`.
//!
//! [`plan`] says which objects there are, [`crew`] has them judged, [`agent`] tells Sensu of each,
//! [`verdict`] says what is to be said of the whole.

pub mod agent;
pub mod crew;
pub mod plan;
pub mod verdict;

use crate::host::Host;
use crate::host::talk::silence;
use crate::manifest::book::{Book, OVERRIDES};
use crate::plugin::args::{one_line, output_bytes, seconds, warning_or_critical};
use crate::plugin::entry::{self, style_of, unknown_as_of};
use crate::plugin::format::{self, Format, Style};
use crate::plugin::spec::Code;
use crate::plugin::status::Status;
use crate::plugin::text;
use crate::plugin::verdict::{Rules, Verdict};
use crate::plugin::watchdog::{self, LastWords};
use crate::plugin::{code, past};
use crate::rights;
use agent::Agent;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use crew::Answer;
use plan::Planned;
use regex::bytes::Regex;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use verdict::SPEC;

const EXITS: &str = "\
PLAN: the \"checks\" of a configuration of Sensu Core, as calipso-provision writes it, or command
lines of checks, one a line.
Exit: the worst of all objects, 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN and wrong usage. With --to
whether the agent has all results: 0 it has, 1 it refused some, 2 it did not take them.";

/// Judges every object of a plan in one process
#[derive(Debug, Parser)]
#[command(name = "calipso-sweep", version, after_help = EXITS)]
struct Cli {
    /// Files with the objects, - for standard input
    #[arg(value_name = "PLAN", required = true)]
    plans: Vec<String>,
    /// Seconds for the whole sweep
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    timeout: Duration,
    /// Tell the Sensu agent of each: sensu-core or sensu-go[:ADDRESS:PORT]
    #[arg(long, value_name = "AGENT")]
    to: Option<Agent>,
    /// Only objects whose names match
    #[arg(long, value_name = "REGEX")]
    r#match: Option<Regex>,
    /// Show what would be called, and call nothing
    #[arg(long)]
    list: bool,
    /// Show what each check says, as it says it, before the whole
    #[arg(long, conflicts_with = "list")]
    each: bool,
    /// Exit code for UNKNOWN: warning or critical
    #[arg(long, value_name = "STATUS", value_parser = warning_or_critical)]
    unknown_as: Option<Status>,
    /// nagios, json, prometheus, influxdb, graphite, opentsdb
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value = "nagios",
        hide_default_value = true,
        hide_possible_values = true
    )]
    output_format: Format,
    /// Bytes of output at most, with --each of each part
    #[arg(long, value_name = "BYTES", default_value = "8192", value_parser = output_bytes)]
    max_output: usize,
    /// Overrides of operators
    #[arg(long, value_name = "DIR", default_value = OVERRIDES)]
    manifest_dir: PathBuf,
}

/// What is printed, and the exit code.
type Output = (String, u8);

/// The command line, for who describes it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the tool on its arguments.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let start = Instant::now();
    crew::contain_faults(&SPEC);
    let argv: Vec<OsString> = args.into_iter().collect();
    let (output, limit) = match Cli::try_parse_from(&argv) {
        Ok(cli) => (swept(&cli, start), cli.timeout),
        Err(no) => (not_called(&no, &argv), Duration::from_secs(10)),
    };
    ExitCode::from(entry::write_out(output.0.as_bytes(), output.1, start + limit))
}

fn not_called(error: &clap::Error, argv: &[OsString]) -> Output {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return (error.render().to_string(), 0);
    }
    let why = format!("{} (see {} --help)", one_line(error), SPEC.name);
    no_verdict(&code::USAGE, why, unknown_as_of(argv), style_of(argv))
}

/// One sentence instead of a sweep.
fn no_verdict(
    code: &'static Code,
    why: String,
    unknown_as: Option<Status>,
    style: Style,
) -> Output {
    let rules = Rules { unknown_as, ..Rules::default() };
    let verdict = Verdict::single(&SPEC, code, why, &rules);
    (format::render(&verdict, style), verdict.exit)
}

fn swept(cli: &Cli, start: Instant) -> Output {
    let style = Style {
        format: cli.output_format,
        verbose: false,
        max_output: cli.max_output,
        now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()),
    };
    let done = prepared(cli, style).and_then(|()| {
        let plan = planned(cli).map_err(|why| (&code::USAGE, why))?;
        Ok(if cli.list { (listed(&plan), 0) } else { judged(cli, &plan, start, style) })
    });
    done.unwrap_or_else(|(code, why)| no_verdict(code, why, cli.unknown_as, style))
}

/// The crew ends by itself at the deadline; the watchdog is for what does not. No file of a package
/// gives this program a right, and if one does, it is not for a plan of the caller's.
fn prepared(cli: &Cli, style: Style) -> Result<(), (&'static Code, String)> {
    let names: Vec<&str> = rights::names().collect();
    rights::keep_only(&names).map_err(|why| (&code::INTERNAL, why))?;
    rights::give_up_all();
    let (limit, unknown_as) = (cli.timeout, cli.unknown_as);
    let compose = move |what: &str| {
        let text = format!("ended before its verdict: {what} (deadline {limit:?})");
        let (text, exit) = no_verdict(&code::TIMEOUT, text, unknown_as, style);
        LastWords { text: text.into_bytes(), exit }
    };
    watchdog::arm(limit, Box::new(compose))
        .map_err(|e| (&code::INTERNAL, format!("no timer: {e}")))?;
    watchdog::waiting_for("reading the plan");
    Ok(())
}

fn planned(cli: &Cli) -> Result<Vec<Planned>, String> {
    let book = Book::load(&cli.manifest_dir).map_err(|why| why.to_string())?;
    let plan = plan::read(&cli.plans, &book)?;
    let all = plan.len();
    let plan = match &cli.r#match {
        Some(pattern) => plan::matching(plan, pattern),
        None => plan,
    };
    match (all, plan.len()) {
        (0, _) => Err("there is no object in the plan".to_owned()),
        (all, 0) => Err(format!("none of {} matches", text::count(all, "object"))),
        _ => Ok(plan),
    }
}

/// Has the plan judged, and says what came of it.
fn judged(cli: &Cli, plan: &[Planned], start: Instant, style: Style) -> Output {
    let until = start + cli.timeout;
    // What is known must still be told.
    let judged_by = if cli.to.is_some() { start + cli.timeout.mul_f64(0.7) } else { until };
    silence::remember();
    past::load_once();
    watchdog::waiting_for("judging the objects");
    watchdog::hush(true);
    let answers = crew::judge_all(plan, judged_by);
    watchdog::hush(false);
    let report = match &cli.to {
        None => verdict::of_objects(plan, &answers, start.elapsed()),
        Some(agent) => {
            let host = Host::new(until, watchdog::waiting_for);
            let delivered = verdict::deliver(&host, agent, plan, &answers);
            verdict::of_delivery(plan, &answers, agent, &delivered, start.elapsed())
        }
    };
    let rules = Rules { unknown_as: cli.unknown_as, ..Rules::default() };
    let whole = Verdict::of(&SPEC, report, &rules);
    let mut said = String::new();
    if cli.each {
        said.extend(
            plan.iter().zip(&answers).map(|(planned, answer)| each(planned, answer, style)),
        );
    }
    (said + &format::render(&whole, style), whole.exit)
}

/// What a check said, as it said it, under the name of its object.
fn each(planned: &Planned, answer: &Answer, style: Style) -> String {
    let output = match &answer.said {
        Ok(said) => format::render(&said.verdict, style),
        Err(_) => format::render(&answer.unsaid(planned), style),
    };
    match style.format {
        Format::Json => {
            let name = serde_json::Value::from(planned.name.as_str());
            format!("{{\"name\":{name},\"said\":{}}}\n", output.trim_end())
        }
        _ => format!("# {}\n{output}\n", text::line(&planned.name)),
    }
}

fn listed(plan: &[Planned]) -> String {
    let line = |planned: &Planned| match &planned.call {
        Ok(call) => {
            let words: Vec<_> = call.argv.iter().map(|word| word.to_string_lossy()).collect();
            format!("{}: {}", planned.name, words.join(" "))
        }
        Err(why) => format!("{}: no call: {why}", planned.name),
    };
    plan.iter().map(|planned| text::line(&line(planned)) + "\n").collect()
}
