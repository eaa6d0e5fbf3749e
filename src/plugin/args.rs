//! The options that every check has, and the `clap` command of one check.

use crate::plugin::code;
use crate::plugin::format::Format;
use crate::plugin::limit::{Expectation, RANGE_RULE, Remap, Written, short_decimal};
use crate::plugin::spec::{Kind, Spec};
use crate::plugin::status::Status;
use clap::{Arg, Args, Command};
use std::ffi::OsString;
use std::time::Duration;

/// The deadline of a run that says nothing else.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The options that every check has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every check")]
pub struct Common {
    /// Seconds for the whole run [default: 10]
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// WARNING where the metric is outside RANGE; repeatable
    #[arg(short, long, value_name = "[METRIC=]RANGE", allow_hyphen_values = true)]
    pub warning: Vec<Written>,
    /// CRITICAL where the metric is outside RANGE; repeatable
    #[arg(short, long, value_name = "[METRIC=]RANGE", allow_hyphen_values = true)]
    pub critical: Vec<Written>,
    /// CRITICAL where the fact is none of these; repeatable
    #[arg(long, value_name = "FACT=VALUE[,VALUE]")]
    pub expect: Vec<Expectation>,
    /// What a finding counts as: --as link-down=warning; repeatable
    #[arg(long = "as", value_name = "CODE=STATUS")]
    pub remaps: Vec<Remap>,
    /// Exit code for UNKNOWN: warning or critical
    #[arg(long, value_name = "STATUS", value_parser = warning_or_critical)]
    pub unknown_as: Option<Status>,
    /// nagios, json, prometheus, influxdb, graphite, opentsdb
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value = "nagios",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub output_format: Format,
    /// Bytes of output at the most, at least 512
    #[arg(long, value_name = "BYTES", default_value = "8192", value_parser = output_bytes)]
    pub max_output: usize,
    /// Emit rates of counters since the previous run
    #[arg(long)]
    pub rates: bool,
    /// Read twice, this far apart, and emit rates
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub sample: Option<Duration>,
    /// Show finding codes, and in formats of metrics the evidence
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// A positive number of seconds, fractions allowed.
///
/// # Errors
/// What to write instead.
pub fn seconds(text: &str) -> Result<Duration, String> {
    const DAY: f64 = 86_400.0;
    match short_decimal(text) {
        Some(s) if (0.001..=DAY).contains(&s) => Ok(Duration::from_secs_f64(s)),
        _ => Err("write seconds, from 0.001 to 86400".to_owned()),
    }
}

pub(crate) fn output_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (512..=1 << 30).contains(&bytes) => Ok(bytes),
        _ => Err("write bytes, at least 512".to_owned()),
    }
}

pub(crate) fn warning_or_critical(text: &str) -> Result<Status, String> {
    match text.parse()? {
        status @ (Status::Warning | Status::Critical) => Ok(status),
        _ => Err("write warning or critical".to_owned()),
    }
}

/// The command line of one check: its own arguments first, then those of every check.
pub fn command<A: Args>(spec: &'static Spec) -> Command {
    let bare = Command::new(spec.name).version(env!("CARGO_PKG_VERSION"));
    let own = A::augment_args(bare);
    let common = with_letters_left(&own);
    // Their own doc comments would else be what the check is said to be about.
    own.args(common).about(spec.sentence).after_help(after_help(spec))
}

/// The options of every check. A letter that the check's own arguments take is theirs: a command
/// line of old must go on meaning what it meant. The long names are the same everywhere.
fn with_letters_left(own: &Command) -> Vec<Arg> {
    let taken: Vec<char> = own.get_arguments().filter_map(Arg::get_short).collect();
    let common = Common::augment_args(Command::new("common"));
    // Packets that are sent one after the other have the time that they take.
    let sends = own.get_arguments().any(|arg| arg.get_id() == "interval");
    let deadline = |arg: Arg| match arg.get_id() == "timeout" && sends {
        true => arg.help("Seconds for the run [default: 10, or what the packets take]"),
        false => arg,
    };
    let left = |arg: Arg| match arg.get_short() {
        Some(letter) if taken.contains(&letter) => arg.short(None),
        _ => arg,
    };
    common.get_arguments().cloned().map(deadline).map(left).collect()
}

/// What `--help` says below the options: codes, metrics and facts by name.
fn after_help(spec: &Spec) -> String {
    let mut text = format!("{}{RANGE_RULE}\n", spec.details);
    for status in [Status::Critical, Status::Warning, Status::Unknown, Status::Ok] {
        let all = spec.codes.iter().chain(code::COMMON);
        let names: Vec<_> = all.filter(|c| c.status == status).map(|c| c.name).collect();
        if !names.is_empty() {
            text += &wrapped(&format!("Codes, {status}:"), &names);
        }
    }
    let metrics: Vec<String> = spec.metrics.iter().map(metric_name).collect();
    if !metrics.is_empty() {
        let names: Vec<_> = metrics.iter().map(String::as_str).collect();
        text += &wrapped("Metrics (* also NAME_rate, per second):", &names);
    }
    if let Some(main) = spec.main_metric {
        text += &format!("Without a name --warning and --critical mean {main}.\n");
    }
    let facts: Vec<_> = spec.facts.iter().map(|fact| fact.name).collect();
    if !facts.is_empty() {
        text += &wrapped("Facts:", &facts);
    }
    text + "Exit: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (also for --help and wrong usage)."
}

fn metric_name(metric: &crate::plugin::spec::MetricSpec) -> String {
    let unit = match metric.unit {
        "" | "c" => String::new(),
        unit => format!("[{unit}]"),
    };
    format!("{}{unit}{}", metric.name, if metric.kind == Kind::Counter { "*" } else { "" })
}

fn wrapped(head: &str, names: &[&str]) -> String {
    const COLUMNS: usize = 96;
    let mut text = head.to_owned();
    let mut column = head.len();
    for name in names {
        if column + name.len() + 1 > COLUMNS {
            text.push_str("\n ");
            column = 1;
        }
        text.push(' ');
        text.push_str(name);
        column += name.len() + 1;
    }
    text.push('\n');
    text
}

/// What an option says on a command line that could not be parsed: the output and the exit code
/// must suit the receiver then, too.
pub fn said_anyway<'a>(argv: &'a [OsString], option: &str) -> Option<&'a str> {
    argv.iter().enumerate().find_map(|(i, arg)| {
        let rest = arg.to_str()?.strip_prefix(option)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => argv.get(i + 1)?.to_str(),
            None => None,
        }
    })
}

/// An error of the command line as one sentence.
pub fn one_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let message = rendered.split("\n\nUsage:").next().unwrap_or(&rendered);
    let message = message.split("\n\nFor more information").next().unwrap_or(message);
    let parts: Vec<&str> = message.trim_start_matches("error: ").lines().map(str::trim).collect();
    let mut sentence = String::new();
    for part in parts {
        match (sentence.is_empty() || sentence.ends_with(' '), part) {
            (false, "") => sentence.push_str("; "),
            (_, "") => {}
            (true, part) => sentence.push_str(part),
            (false, part) => {
                sentence.push(' ');
                sentence.push_str(part);
            }
        }
    }
    // clap's bar between alternatives would be taken for the beginning of perfdata.
    sentence.trim_end_matches("; ").replace('|', " or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::check_pnic_ovs::SPEC;

    #[derive(Debug, Args)]
    struct Plain {}

    #[derive(Debug, Args)]
    struct Old {
        /// A target
        #[arg(short)]
        target: String,
    }

    fn letter<A: Args>(long: &str) -> Option<char> {
        let command = command::<A>(&SPEC);
        command.get_arguments().find(|arg| arg.get_long() == Some(long))?.get_short()
    }

    #[test]
    fn a_letter_belongs_to_the_check_that_takes_it() {
        assert_eq!(
            (letter::<Plain>("timeout"), letter::<Plain>("warning")),
            (Some('t'), Some('w'))
        );
        assert_eq!((letter::<Old>("timeout"), letter::<Old>("warning")), (None, Some('w')));
        command::<Old>(&SPEC).debug_assert();
        let line = ["check", "-t", "192.0.2.1", "--timeout", "3", "-w", "1"];
        let matches = command::<Old>(&SPEC).try_get_matches_from(line).expect("a command line");
        assert_eq!(matches.get_one::<String>("target").expect("a target"), "192.0.2.1");
    }
}
