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

use calipso_checks::checks::{self, Check};
use calipso_checks::doctor;
use calipso_checks::manifest::SOURCES;
use calipso_checks::manifest::schema::Entry;
use calipso_checks::plugin::args;
use calipso_checks::provision;
use clap::Command;
use clap_complete::{Generator, Shell, generate};

/// The command line of each check.
const CHECKS: &[fn() -> Command] = &[
    check::<checks::instance_communications::InstanceCommunications>,
    check::<checks::instance_vnic::InstanceVnic>,
    check::<checks::link::CheckLink>,
    check::<checks::otep::Otep>,
    check::<checks::ovs_port::OvsPort>,
    check::<checks::ping::Ping>,
    check::<checks::pnic_ovs::PnicOvs>,
    check::<checks::pnic_vpp::PnicVpp>,
    check::<checks::vconnector::Vconnector>,
    check::<checks::vedge_ovs::VedgeOvs>,
    check::<checks::vedge_vpp::VedgeVpp>,
    check::<checks::vm::Vm>,
    check::<checks::vnic_vconnector::VnicVconnector>,
    check::<checks::vnic_vpp::VnicVpp>,
    check::<checks::vservice::Vservice>,
];

/// The command line of each tool.
const TOOLS: &[fn() -> Command] = &[doctor::command, provision::command];

fn check<C: Check>() -> Command {
    args::command::<C::Args>(C::SPEC)
}

/// One check: its command line and its entry.
pub struct Page {
    pub command: Command,
    pub entry: Entry,
}

/// All checks of the manifest.
///
/// # Panics
/// Where the manifest and the list above name different checks.
pub fn checks() -> Vec<Page> {
    let commands: Vec<Command> = CHECKS.iter().map(|command| built(command())).collect();
    let named: Vec<&str> = commands.iter().map(Command::get_name).collect();
    let listed: Vec<&str> = SOURCES.iter().map(|(name, _)| *name).collect();
    assert_eq!(named, listed, "CHECKS of packaging/pages/mod.rs and checks-manifest/");
    let entries = SOURCES.iter().map(|(name, text)| {
        toml::from_str(text).unwrap_or_else(|why| panic!("checks-manifest/{name}.toml: {why}"))
    });
    commands.into_iter().zip(entries).map(|(command, entry)| Page { command, entry }).collect()
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
