//! Whether the checks can work on this host as a user, and what to do if not: `calipso-doctor`.
//!
//! [`subject`] is who is judged, [`program`] what is installed, [`site`] what this host has; from
//! these [`judge`](mod@judge) makes one diagnosis a check, without looking at anything itself. What
//! should be done is printed, never done.

pub mod judge;
pub mod program;
pub mod site;
pub mod subject;

use crate::manifest::book::{Book, OVERRIDES};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use judge::{Diagnosis, Remedy, Verdict};
use serde_json::json;
use site::Site;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use subject::Subject;

const EXITS: &str = "\
Exit: 0 every check that this host needs can work, 1 some see only a part, 2 one that is needed
cannot work, 3 wrong usage or no verdict. Nothing is changed; --fix prints what would change it.";

/// Says whether each check can work on this host as this user, and what to do if not
#[derive(Debug, Parser)]
#[command(name = "calipso-doctor", version, after_help = EXITS)]
struct Cli {
    /// Judge for this user [default: who runs this]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print the commands that would help, and nothing else
    #[arg(long, conflicts_with = "output_format")]
    fix: bool,
    /// How it is printed: text, json
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    output_format: OutputFormat,
    /// Overrides of operators
    #[arg(long, value_name = "DIR", default_value = OVERRIDES)]
    manifest_dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Text,
    Json,
}

/// The command line, for who describes it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the tool on its arguments.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(asked)
            if matches!(asked.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            return ended(&asked.render().to_string(), 0);
        }
        Err(wrong) => return ended(&wrong.render().to_string(), 3),
    };
    match diagnose(&cli) {
        Ok((text, exit)) => ended(&text, exit),
        Err(why) => ended(&format!("calipso-doctor: {why}\n"), 3),
    }
}

/// What could not be said must not read as good.
fn ended(text: &str, exit: u8) -> ExitCode {
    let said = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(if said.is_ok() { exit } else { 3 })
}

fn diagnose(cli: &Cli) -> Result<(String, u8), String> {
    let book = Book::load(&cli.manifest_dir).map_err(|mistake| mistake.to_string())?;
    let site = Site::look();
    let subject = match &cli.user {
        Some(name) => Subject::named(name, &site.agents)?,
        None => Subject::ourselves()?,
    };
    let diagnoses: Vec<Diagnosis> = book
        .entries()
        .map(|entry| {
            let program = program::find(entry.binary.as_deref().unwrap_or(&entry.name));
            judge::judge(entry, program.as_ref(), &subject, &site)
        })
        .collect();
    let exit = diagnoses.iter().map(|diagnosis| diagnosis.verdict.exit()).max().unwrap_or(3);
    let text = match (cli.fix, cli.output_format) {
        (true, _) => commands(&diagnoses),
        (false, OutputFormat::Text) => text(&subject, &diagnoses),
        (false, OutputFormat::Json) => format!("{}\n", json_of(&subject, &diagnoses, exit)),
    };
    Ok((text, exit))
}

/// Each remedy once, with the checks that it helps.
fn remedies(diagnoses: &[Diagnosis]) -> Vec<(&Remedy, Vec<&str>)> {
    let mut remedies: Vec<(&Remedy, Vec<&str>)> = Vec::new();
    for diagnosis in diagnoses {
        for remedy in &diagnosis.remedies {
            match remedies.iter_mut().find(|(known, _)| *known == remedy) {
                Some((_, checks)) => checks.push(&diagnosis.check),
                None => remedies.push((remedy, vec![&diagnosis.check])),
            }
        }
    }
    remedies
}

fn text(subject: &Subject, diagnoses: &[Diagnosis]) -> String {
    let mut text = format!("For {}:\n", subject.described());
    for note in &subject.notes {
        text += &format!("  {note}\n");
    }
    for Diagnosis { check, verdict, why, .. } in diagnoses {
        text += &format!("{check:<30} {}: {}\n", verdict.word(), why.join("; "));
    }
    let remedies = remedies(diagnoses);
    if !remedies.is_empty() {
        text += "To do:\n";
    }
    for (remedy, checks) in remedies {
        let whom = match checks.as_slice() {
            [one] => (*one).to_owned(),
            [first, ..] => format!("{first} and {} more", checks.len() - 1),
            [] => String::new(),
        };
        text += &format!("  {whom}: {}\n", remedy.say());
    }
    text
}

/// Lines for a shell of root's; what cannot be put into one is a comment.
fn commands(diagnoses: &[Diagnosis]) -> String {
    let lines = remedies(diagnoses).into_iter().map(|(remedy, _)| match remedy {
        Remedy::Command(command) => format!("{command}\n"),
        Remedy::Advice(advice) => format!("# {advice}\n"),
    });
    lines.collect()
}

fn json_of(subject: &Subject, diagnoses: &[Diagnosis], exit: u8) -> serde_json::Value {
    let checks: Vec<_> = diagnoses
        .iter()
        .map(|diagnosis| {
            json!({
                "check": diagnosis.check,
                "verdict": diagnosis.verdict.word(),
                "why": diagnosis.why,
                "remedies": diagnosis.remedies.iter().map(Remedy::say).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "user": subject.name,
        "uid": subject.uid,
        "no_new_privs": subject.no_new_privs,
        "notes": subject.notes,
        "exit": exit,
        "checks": checks,
    })
}

impl Verdict {
    const fn exit(self) -> u8 {
        match self {
            Self::Works | Self::NotNeeded => 0,
            Self::Partly => 1,
            Self::Cannot => 2,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::NotNeeded => "not needed here",
            Self::Partly => "sees a part",
            Self::Cannot => "cannot work",
        }
    }
}
