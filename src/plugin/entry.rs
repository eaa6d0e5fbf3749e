//! The way of one call: argv, look, verdict, output, exit code. Every binary's `main` ends here.

use crate::plugin::args::{self, Common};
use crate::plugin::code;
use crate::plugin::format::{self, Format, Style};
use crate::plugin::limit::{Limit, Written};
use crate::plugin::past::{Past, Store};
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::status::Status;
use crate::plugin::verdict::{Asked, Rules, Verdict};
use crate::plugin::watchdog::{self, LastWords};
use crate::rights;
use clap::error::ErrorKind;
use clap::{Args, FromArgMatches, ValueEnum};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsString;
use std::fmt::Debug;
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the entry point needs of a check.
pub trait Probe {
    /// What its manifest entry says.
    const SPEC: &'static Spec;
    /// Its own arguments.
    type Args: Args + Debug;

    /// What tells the objects of this call from those of any other, for what is remembered.
    fn object_set(args: &Self::Args) -> String;
    /// The deadline where `--timeout` says none.
    fn deadline(args: &Self::Args) -> Duration;
    /// Takes a limit in the check's own notation, for WARNING or CRITICAL; an error where it is none.
    fn own_limit(args: &mut Self::Args, status: Status, text: &str) -> Result<(), String>;
    /// Looks at the object, until a moment at the latest, and says what was found.
    fn look(args: &Self::Args, asked: &Asked, until: Instant, past: &Past) -> Report;
}

/// How a run ended without a verdict.
struct Stop {
    text: String,
    exit: u8,
}

/// A command line that was understood.
struct Call<P: Probe> {
    own: P::Args,
    common: Common,
    rules: Rules,
    style: Style,
    limit: Duration,
}

/// A command line that is no call.
enum NoCall {
    /// It asks for help or for the version: this.
    Told(String),
    /// It is wrong.
    Usage { why: String, unknown_as: Option<Status>, style: Style },
}

/// A verdict as it is printed, with the exit code.
#[derive(Debug)]
pub struct Said {
    /// The verdict.
    pub verdict: Verdict,
    /// The whole output.
    pub text: String,
}

/// Runs a check on the arguments of the process.
pub fn run<P: Probe>() -> ExitCode {
    let start = Instant::now();
    install_panic_line(P::SPEC);
    let argv: Vec<OsString> = std::env::args_os().collect();
    let (text, exit, until) = match call::<P>(&argv, start) {
        Ok((verdict, style, until)) => {
            // The process ends: what thousands of objects took is not given back piece by piece.
            let verdict = ManuallyDrop::new(verdict);
            (format::render(&verdict, style), verdict.exit, until)
        }
        Err(stop) => (stop.text, stop.exit, start + Duration::from_secs(10)),
    };
    ExitCode::from(write_out(text.as_bytes(), exit, until))
}

fn call<P: Probe>(argv: &[OsString], start: Instant) -> Result<(Verdict, Style, Instant), Stop> {
    let plain = Style { format: Format::Nagios, verbose: false, max_output: 8192, now: 0 };
    rights::keep_only(P::SPEC.capabilities).map_err(|why| {
        Stop::from(&Verdict::single(P::SPEC, &code::INTERNAL, why, &Rules::default()), plain)
    })?;
    let call = Call::<P>::of(argv).map_err(|no| match no {
        NoCall::Told(text) => Stop { text, exit: Status::Unknown.exit_code() },
        NoCall::Usage { why, unknown_as, style } => {
            Stop::from(&wrong_usage(P::SPEC, why, unknown_as), style)
        }
    })?;
    let Call { common, style, limit, .. } = &call;
    arm_watchdog(P::SPEC, common, *limit, *style).map_err(|e| {
        Stop::from(&single(P::SPEC, &code::INTERNAL, format!("no timer: {e}"), common), *style)
    })?;
    let until = start + *limit;
    Ok((call.verdict(until), *style, until))
}

/// What a check says to a command line, for who runs many in one process: there is no watchdog but
/// theirs, and the rights are those of the calling thread.
pub fn said<P: Probe>(argv: &[OsString], until: Instant) -> Said {
    match Call::<P>::of(argv) {
        Ok(call) => {
            let until = until.min(Instant::now() + call.limit);
            let verdict = call.verdict(until);
            let verdict = match Instant::now() > until + watchdog::GRACE {
                true => call.too_late(),
                false => verdict,
            };
            Said { text: format::render(&verdict, call.style), verdict }
        }
        Err(no) => {
            let (why, unknown_as, style) = match no {
                NoCall::Told(_) => ("it asks for help".to_owned(), None, style_of(argv)),
                NoCall::Usage { why, unknown_as, style } => (why, unknown_as, style),
            };
            let verdict = wrong_usage(P::SPEC, why, unknown_as);
            Said { text: format::render(&verdict, style), verdict }
        }
    }
}

impl<P: Probe> Call<P> {
    fn of(argv: &[OsString]) -> Result<Self, NoCall> {
        let no_call = |error: clap::Error| not_understood(P::SPEC, &error, argv);
        let matches =
            args::command::<P::Args>(P::SPEC).try_get_matches_from(argv).map_err(no_call)?;
        let common = Common::from_arg_matches(&matches).map_err(no_call)?;
        let mut own = P::Args::from_arg_matches(&matches).map_err(no_call)?;
        let limit = common.timeout.unwrap_or_else(|| P::deadline(&own));
        let style = Style {
            format: common.output_format,
            verbose: common.verbose > 0,
            max_output: common.max_output,
            now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        };
        match rules::<P>(&common, &mut own, limit) {
            Ok(rules) => Ok(Self { own, common, rules, style, limit }),
            Err(why) => Err(NoCall::Usage { why, unknown_as: common.unknown_as, style }),
        }
    }

    /// What nobody waits for any more is no verdict.
    fn too_late(&self) -> Verdict {
        let text = format!("no verdict within its deadline of {:?}", self.limit);
        single(P::SPEC, &code::TIMEOUT, text, &self.common)
    }

    fn verdict(&self, until: Instant) -> Verdict {
        let report = look::<P>(&self.own, &self.common, &self.rules, until);
        Verdict::of(P::SPEC, report, &self.rules)
    }
}

/// One look, or two with a pause; rates added where they are wanted.
fn look<P: Probe>(own: &P::Args, common: &Common, rules: &Rules, until: Instant) -> Report {
    let wanted = |name: &str| {
        common.rates
            || common.sample.is_some()
            || rules.warning.iter().chain(&rules.critical).any(|(limited, _)| limited == name)
    };
    let asked = rules.asked(P::SPEC, common.rates || common.sample.is_some());
    if let Some(pause) = common.sample {
        rights::needed_again(true);
        let mut first = P::look(own, &asked, until, &Past::default());
        // What is broken needs no rate, and may have used up the time for a second reading.
        if first.status() == Status::Critical {
            first.note("no second reading: the first one shows what is broken");
            return first;
        }
        let before = Past::of(&first);
        watchdog::waiting_for("the second reading");
        wait(pause);
        rights::needed_again(false);
        let mut report = P::look(own, &asked, until, &before);
        before.add_rates(&mut report, wanted);
        return report;
    }
    let rates = common.rates || rules.need_rates(P::SPEC);
    if !rates && !P::SPEC.remembers {
        return P::look(own, &asked, until, &Past::default());
    }
    let store = Store::new(P::SPEC.name, &P::object_set(own));
    let before = store.load();
    let mut report = P::look(own, &asked, until, &before);
    let now = Past::of(&report);
    if rates {
        before.add_rates(&mut report, wanted);
    }
    let changed = report.remember.iter().any(|(name, value)| before.value(name) != Some(*value));
    if (rates || changed)
        && let Err(why) = store.save(&now)
    {
        report.note(format!("nothing is remembered for the next run: {why}"));
    }
    report
}

/// Sleeps without a thread's help; a signal ends the process, not the wait.
fn wait(pause: Duration) {
    let timeout = PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX);
    poll(&mut [], timeout).ok();
}

fn rules<P: Probe>(common: &Common, own: &mut P::Args, limit: Duration) -> Result<Rules, String> {
    if common.sample.is_some_and(|pause| pause >= limit) {
        return Err("--sample must be shorter than --timeout".to_owned());
    }
    Rules::new(
        P::SPEC,
        &ranges::<P>(own, Status::Warning, &common.warning)?,
        &ranges::<P>(own, Status::Critical, &common.critical)?,
        common.expect.clone(),
        common.remaps.clone(),
        common.unknown_as,
    )
}

/// The ranges among what was written; the check takes the rest.
fn ranges<P: Probe>(
    own: &mut P::Args,
    status: Status,
    written: &[Written],
) -> Result<Vec<Limit>, String> {
    let mut ranges = Vec::new();
    for one in written {
        match one {
            Written::Limit(limit) => ranges.push(limit.clone()),
            Written::Own(text) => P::own_limit(own, status, text)?,
        }
    }
    Ok(ranges)
}

fn single(
    spec: &'static Spec,
    code: &'static crate::plugin::spec::Code,
    text: String,
    common: &Common,
) -> Verdict {
    let remaps = common.remaps.clone();
    let rules = Rules { remaps, unknown_as: common.unknown_as, ..Rules::default() };
    Verdict::single(spec, code, text, &rules)
}

fn arm_watchdog(
    spec: &'static Spec,
    common: &Common,
    limit: Duration,
    style: Style,
) -> nix::Result<()> {
    let common = common.clone();
    let compose = move |what: &str| {
        let what = crate::plugin::text::cut(what.to_owned(), 180);
        let text = format!("no verdict: still waiting for {what} (deadline {limit:?})");
        let verdict = single(spec, &code::TIMEOUT, text, &common);
        LastWords { text: format::render(&verdict, style).into_bytes(), exit: verdict.exit }
    };
    watchdog::arm(limit, Box::new(compose))
}

impl Stop {
    fn from(verdict: &Verdict, style: Style) -> Self {
        Self { text: format::render(verdict, style), exit: verdict.exit }
    }
}

fn wrong_usage(spec: &'static Spec, why: String, unknown_as: Option<Status>) -> Verdict {
    let rules = Rules { unknown_as, ..Rules::default() };
    Verdict::single(spec, &code::USAGE, why, &rules)
}

/// Help and version exit 3 like a usage error: a check configured by mistake as `check_x --help`
/// must never read as OK.
fn not_understood(spec: &'static Spec, error: &clap::Error, argv: &[OsString]) -> NoCall {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return NoCall::Told(error.render().to_string());
    }
    let unknown_as = unknown_as_of(argv);
    let why = format!("{} (see {} --help)", args::one_line(error), spec.name);
    NoCall::Usage { why, unknown_as, style: style_of(argv) }
}

/// What UNKNOWN counts as for a command line, understood or not.
pub(crate) fn unknown_as_of(argv: &[OsString]) -> Option<Status> {
    let said = args::said_anyway(argv, "--unknown-as");
    said.and_then(|status| args::warning_or_critical(status).ok())
}

/// The form of output that a command line wants, understood or not.
pub(crate) fn style_of(argv: &[OsString]) -> Style {
    let format = args::said_anyway(argv, "--output-format");
    let format = format.and_then(|name| Format::from_str(name, false).ok());
    Style { format: format.unwrap_or(Format::Nagios), verbose: false, max_output: 8192, now: 0 }
}

/// Writes without ever blocking past the deadline. What cannot be delivered is a timeout as well,
/// so an OK that nobody took is none.
pub(crate) fn write_out(text: &[u8], exit: u8, until: Instant) -> u8 {
    const LEEWAY: Duration = Duration::from_millis(40);
    let stuck = if exit == 0 { code::TIMEOUT.status.exit_code() } else { exit };
    watchdog::writing(stuck);
    let until = until.max(Instant::now()) + LEEWAY;
    let stdout = std::io::stdout();
    // A pipe that polls writable has room for PIPE_BUF bytes.
    for piece in text.chunks(libc::PIPE_BUF) {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut fds, timeout) == Ok(0) {
            return stuck;
        }
        // Unbuffered: a buffer would join pieces into more than the pipe has room for. A reader
        // that went away has no use for the rest.
        if nix::unistd::write(&stdout, piece) != Ok(piece.len()) {
            // What could not be said must not read as OK.
            return if exit == 0 { Status::Unknown.exit_code() } else { exit };
        }
    }
    exit
}

/// A panic is a fault of ours: one line, exit 3, no trace of Rust.
fn install_panic_line(spec: &'static Spec) {
    std::panic::set_hook(Box::new(move |info| end_by_fault(spec, &fault(info))));
}

/// Where a fault is, and what.
pub(crate) fn fault(info: &PanicHookInfo) -> String {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let what = info.payload_as_str().unwrap_or("no message");
    format!("internal error at {place}: {what}")
}

/// Says it in one line, and ends the process.
pub(crate) fn end_by_fault(spec: &Spec, fault: &str) {
    let line = format!("{} UNKNOWN: {fault}", spec.title);
    let mut line = crate::plugin::text::cut(crate::plugin::text::line(&line), 255);
    line.push('\n');
    write_out(line.as_bytes(), 3, Instant::now());
    watchdog::exit_now(3);
}
