//! What the programs say of themselves: their command lines out of clap, the rest out of the
//! manifest. Man pages, completions, documents, and the lists that packages go by.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::panic,
    reason = "shared by a tool of the build and tests, each of which uses its part"
)]

pub mod lists;
pub mod man;
pub mod markdown;
pub mod section;

use calipso_checks::checks::list;
use calipso_checks::doctor;
use calipso_checks::manifest::SOURCES;
use calipso_checks::manifest::schema::Entry;
use calipso_checks::provision;
use calipso_checks::sweep;
use clap::Command;
use clap_complete::{Generator, Shell, generate};

/// The command line of each tool.
const TOOLS: &[fn() -> Command] = &[doctor::command, provision::command, sweep::command];

/// One check: its command line and its entry.
pub struct Page {
    pub command: Command,
    pub entry: Entry,
}

/// All checks of the manifest.
///
/// # Panics
/// Where an entry cannot be read.
pub fn checks() -> Vec<Page> {
    let page = |(name, text): &(&str, &str)| {
        let entry = toml::from_str(text);
        let entry = entry.unwrap_or_else(|why| panic!("checks-manifest/{name}.toml: {why}"));
        let check = list::named(name).expect("a test compares the lists");
        Page { command: built((check.command)()), entry }
    };
    SOURCES.iter().map(page).collect()
}

/// All tools.
pub fn tools() -> Vec<Command> {
    TOOLS.iter().map(|command| built(command().disable_help_subcommand(true))).collect()
}

fn built(mut command: Command) -> Command {
    command.build();
    command
}

/// What packages ship of it: paths below the root of a file system, and texts.
pub fn shipped(date: &str) -> Vec<(String, String)> {
    let mut files = lists::all();
    for page in &checks() {
        files.push(man::of_check(page, date));
        files.extend(completions(&page.command));
    }
    for tool in tools() {
        files.extend(man::of_tool(&tool, date));
        files.extend(completions(&tool));
    }
    files
}

fn completions(command: &Command) -> [(String, String); 3] {
    let name = command.get_name();
    let of = |shell: Shell| {
        let mut text = Vec::new();
        generate(shell, &mut command.clone(), name, &mut text);
        String::from_utf8(text).expect("clap_complete writes UTF-8")
    };
    let file = |shell: Shell| shell.file_name(name);
    [
        (format!("usr/share/bash-completion/completions/{name}"), of(Shell::Bash)),
        (format!("usr/share/zsh/vendor-completions/{}", file(Shell::Zsh)), of(Shell::Zsh)),
        (format!("usr/share/fish/vendor_completions.d/{}", file(Shell::Fish)), of(Shell::Fish)),
    ]
}
