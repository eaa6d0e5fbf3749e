//! From Calipso's inventory to the configuration of every client: `calipso-provision`.
//!
//! `environment`, `inventory` and `templates` are read; [`plan`] says which check runs where;
//! [`emit`] writes it down for a monitoring system; [`tree`] puts the files into their place.

pub mod call;
pub mod document;
pub mod emit;
pub mod environment;
pub mod inventory;
pub mod name;
pub mod plan;
pub mod shell;
pub mod templates;
pub mod tree;

use crate::manifest::book::{Book, OVERRIDES};
use crate::plugin::text::count;
use crate::plugin::watchdog;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use emit::{Programs, Tree};
use environment::{Environment, Level};
use inventory::{Inventory, Trouble};
use plan::Plan;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use templates::Templates;
use tree::Place;

const EXITS: &str = "\
Exit: 0 complete, 1 written but objects were left out, 2 nothing written, 3 wrong usage.
With --check: 0 nothing would change, 1 something would. Passwords are never printed.";

/// clap's own is longer than a line.
const RENDER: &str = "calipso-provision render [OPTIONS] --environment FILE --inventory FILE \
    --links FILE --out DIR";

/// Makes the configuration of a monitoring system from Calipso's inventory
#[derive(Debug, Parser)]
#[command(name = "calipso-provision", version, after_help = EXITS)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write the configuration of every client and of the server
    #[command(after_help = EXITS, override_usage = RENDER)]
    Render(Render),
    /// List the checks of this build, with what manifest.d says otherwise
    Manifest {
        /// Where operators override and add entries
        #[arg(long, value_name = "DIR", default_value = OVERRIDES)]
        manifest_dir: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Render {
    /// Document of Calipso's environment_config, as JSON
    #[arg(long, value_name = "FILE")]
    environment: PathBuf,
    /// Calipso's collection inventory, as exported
    #[arg(long, value_name = "FILE")]
    inventory: PathBuf,
    /// Calipso's collection links, as exported
    #[arg(long, value_name = "FILE")]
    links: PathBuf,
    /// Where the files go
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// For whom: sensu-core, sensu-go, icinga2, nagios, checkmk
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        default_value = "sensu-core",
        hide_possible_values = true
    )]
    emit: Emit,
    /// Which environment, where the file has several
    #[arg(long)]
    name: Option<String>,
    /// The site's monitoring_config_templates; types it has replace the built-in ones
    #[arg(long, value_name = "FILE")]
    templates: Option<PathBuf>,
    /// A check that Calipso has no template for, by its name, or all; repeatable
    #[arg(long, value_name = "CHECK")]
    also: Vec<String>,
    /// Where operators override and add entries of the manifest
    #[arg(long, value_name = "DIR", default_value = OVERRIDES)]
    manifest_dir: PathBuf,
    /// Where the binaries are on the hosts; Sensu Core finds them by its PATH
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/calipso-checks/bin")]
    bin_dir: PathBuf,
    /// Remove files of hosts that are gone even where the inventory could not be read whole
    #[arg(long)]
    remove: bool,
    /// Show what would change, write nothing
    #[arg(long)]
    diff: bool,
    /// Only say by the exit code whether something would change
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Emit {
    /// JSON of Sensu Core 1.x, in the layout of Calipso's config_folder
    SensuCore,
    /// CheckConfig documents for `sensuctl create`
    SensuGo,
    /// Commands, hosts and services run by agents
    Icinga2,
    /// Hosts, services, and the commands of NRPE
    Nagios,
    /// MRPE of the agents
    Checkmk,
}

/// What this run ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete = 0,
    /// Objects were left out, or --check found a difference.
    Partly = 1,
    Nothing = 2,
    Usage = 3,
}

/// The command line, for who describes it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The whole `main` of `calipso-provision`.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        let said = line(&info.to_string());
        writeln!(std::io::stderr(), "calipso-provision: internal error: {said}").ok();
        watchdog::exit_now(End::Nothing as u8);
    }));
    let mut out = String::new();
    let mut err = String::new();
    let end = match Cli::try_parse_from(argv) {
        Ok(Cli { verb: Verb::Render(render) }) => render.run(&mut out, &mut err),
        Ok(Cli { verb: Verb::Manifest { manifest_dir } }) => match Book::load(&manifest_dir) {
            Ok(book) => {
                out = listed(&book);
                End::Complete
            }
            Err(mistake) => {
                err = format!("{mistake}\n");
                End::Nothing
            }
        },
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            *(if asked { &mut out } else { &mut err }) = error.render().to_string();
            if asked { End::Complete } else { End::Usage }
        }
    };
    // Whoever does not listen to mistakes needs no other exit code.
    std::io::stderr().write_all(err.as_bytes()).ok();
    let told = std::io::stdout().write_all(out.as_bytes());
    match told {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe && end == End::Complete => {
            writeln!(std::io::stderr(), "calipso-provision: standard output: {why}").ok();
            ExitCode::from(End::Nothing as u8)
        }
        _ => ExitCode::from(end as u8),
    }
}

fn listed(book: &Book) -> String {
    let row = |entry: &crate::manifest::schema::Entry| {
        format!("{}\t{}\t{}\n", entry.name, entry.calipso.object, entry.sentence)
    };
    book.entries().map(row).collect()
}

impl Render {
    fn run(&self, out: &mut String, err: &mut String) -> End {
        match self.end(out, err) {
            Ok(end) => end,
            Err(why) => {
                *err += &format!("calipso-provision: {}; nothing was written\n", line(&why));
                End::Nothing
            }
        }
    }

    fn end(&self, out: &mut String, err: &mut String) -> Result<End, String> {
        let book = Book::load(&self.manifest_dir).map_err(|mistake| mistake.to_string())?;
        let Some(also) = self.also(&book, err) else { return Ok(End::Usage) };
        let environment = Environment::read(&self.environment, self.name.as_deref())?;
        if let Some(end) = self.held_back(&environment, out, err) {
            return Ok(end);
        }
        let templates = Templates::of(&environment, &book, &also, self.templates.as_deref())?;
        let wanted = plan::wanted(&templates, &environment);
        let inventory = Inventory::read(&self.inventory, &self.links, &wanted)?;
        let plan = plan::plan(&environment, &inventory, &templates, &book);
        tell(err, "note", &plan.notes);
        let mut troubles: Vec<String> = templates.troubles.clone();
        troubles.extend(plan.troubles.iter().map(ToString::to_string));
        if plan.hosts.is_empty() {
            tell(err, "left out", &troubles);
            return Err(format!("environment '{}' has no host", environment.name));
        }
        let (tree, refused) = self.tree(&plan, &templates, &environment, &book)?;
        troubles.extend(refused.iter().map(ToString::to_string));
        tell(err, "left out", &troubles);
        let partly = if troubles.is_empty() { End::Complete } else { End::Partly };
        let place = Place::new(&self.out, self.emit.word(), &environment.name);
        // What was left out may be what these files are for.
        let todo = place.changes(&tree, !troubles.is_empty() && !self.remove)?;
        if !todo.kept.is_empty() {
            *err += &format!(
                "kept {} that the inventory no longer asks for, since it could not be read whole; \
                 repair it, or use --remove\n",
                count(todo.kept.len(), "file")
            );
        }
        let changes = &todo.changes;
        if self.diff {
            *out += &tree::shown(changes, &tree);
        }
        if self.check || self.diff {
            let differs = self.check && !changes.is_empty();
            return Ok(if differs { End::Partly } else { End::Complete });
        }
        place.apply(&tree, &todo)?;
        let checks: usize = plan.hosts.values().map(|host| host.checks.len()).sum();
        *out += &format!(
            "{} on {}: {}{}\n",
            count(checks, "check"),
            count(plan.hosts.len(), "host"),
            tree::told(changes),
            if troubles.is_empty() {
                String::new()
            } else {
                format!("; {} left out", troubles.len())
            },
        );
        Ok(partly)
    }

    /// The entries named by --also; none where one does not exist.
    fn also<'b>(&self, book: &'b Book, err: &mut String) -> Option<BTreeSet<&'b str>> {
        let mut also = BTreeSet::new();
        for name in &self.also {
            match book.entry(name) {
                Some(entry) => drop(also.insert(entry.name.as_str())),
                None if name == "all" => also.extend(book.entries().map(|e| e.name.as_str())),
                None => {
                    *err += &format!("calipso-provision: --also: no check '{}'\n", line(name));
                    return None;
                }
            }
        }
        Some(also)
    }

    /// Where the environment wants no files.
    fn held_back(
        &self,
        environment: &Environment,
        out: &mut String,
        err: &mut String,
    ) -> Option<End> {
        let name = line(&environment.name);
        if !environment.enabled {
            *out += &format!("{name}: enable_monitoring is false: nothing is written\n");
            return Some(End::Nothing);
        }
        match environment.level {
            Level::Files => None,
            Level::None => {
                *out += &format!("{name}: provision is None: nothing is written\n");
                Some(End::Nothing)
            }
            level @ (Level::Db | Level::Deploy) => {
                let level = if level == Level::Db { "DB" } else { "Deploy" };
                *err +=
                    &format!("{name}: provision {level} is not there yet, only None and Files\n");
                Some(End::Usage)
            }
        }
    }

    fn tree(
        &self,
        plan: &Plan,
        templates: &Templates,
        environment: &Environment,
        book: &Book,
    ) -> Result<(Tree, Vec<Trouble>), String> {
        let programs = Programs::new(book, &self.bin_dir);
        let name = &environment.name;
        Ok(match self.emit {
            Emit::SensuCore => (emit::sensu_core::files(plan, templates, environment)?, Vec::new()),
            Emit::SensuGo => emit::sensu_go::files(plan, &programs, name),
            Emit::Icinga2 => (emit::icinga2::files(plan, &programs, name), Vec::new()),
            Emit::Nagios => emit::nagios::files(plan, &programs),
            Emit::Checkmk => (emit::checkmk::files(plan, &programs), Vec::new()),
        })
    }
}

impl Emit {
    fn word(self) -> &'static str {
        match self {
            Self::SensuCore => "sensu-core",
            Self::SensuGo => "sensu-go",
            Self::Icinga2 => "icinga2",
            Self::Nagios => "nagios",
            Self::Checkmk => "checkmk",
        }
    }
}

/// Foreign text on one line, whatever is in it.
fn line(foreign: &str) -> String {
    let readable = |c: char| !c.is_control() && !"\u{2028}\u{2029}".contains(c);
    let escaped =
        |c: char| if readable(c) { c.to_string() } else { c.escape_default().to_string() };
    foreign.chars().map(escaped).collect()
}

fn tell(err: &mut String, word: &str, all: &[impl ToString]) {
    for one in all {
        *err += &format!("{word}: {}\n", line(&one.to_string()));
    }
}
