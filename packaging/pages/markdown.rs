//! `docs/checks/`, and the table of options in README.md.

use super::section::{self, Block, Section};
use super::{Page, checks};
use clap::{Arg, Command};
use std::fmt::Write as _;

const BEGIN: &str = "<!-- options: written by `make pages` out of clap -->\n";
const END: &str = "<!-- end of options -->\n";

/// Paths below the top of the repository, and texts.
pub fn all() -> Vec<(String, String)> {
    checks().iter().map(|page| (place(page), text(page))).collect()
}

fn place(page: &Page) -> String {
    format!("docs/checks/{}.md", page.entry.name)
}

fn text(page: &Page) -> String {
    let Page { command, entry } = page;
    let usage = command.clone().render_usage().to_string();
    let mut text = format!("# {}\n\n{}.\n\n", entry.name, entry.sentence);
    writeln!(text, "    {}\n", usage.trim_start_matches("Usage: ")).expect("a String takes all");
    let own = rows(command, |arg| arg.get_help_heading().is_none() && !every_check_has(arg));
    if !own.is_empty() {
        text += &table(["option", "meaning"], &own);
        text.push('\n');
    }
    text += "[Options of every check](../../README.md#options-of-every-check)\n";
    for section in section::of(entry) {
        text += &rendered(&section);
    }
    text
}

/// README.md with the options that every check has, as clap has them.
///
/// # Errors
/// Where the marks are missing.
pub fn with_options(readme: &str) -> Result<String, String> {
    let (before, rest) = readme.split_once(BEGIN).ok_or_else(|| format!("no {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("no {END}"))?;
    // One that takes no letter away.
    let plain = checks().into_iter().find(|page| page.entry.name == "check_pnic_ovs");
    let command = plain.expect("it is in the manifest").command;
    let common = rows(&command, |arg| arg.get_help_heading().is_some());
    Ok(format!("{before}{BEGIN}{}{END}{after}", table(["option", "meaning"], &common)))
}

fn every_check_has(arg: &Arg) -> bool {
    ["help", "version"].contains(&arg.get_id().as_str())
}

fn rows(command: &Command, wanted: impl Fn(&Arg) -> bool) -> Vec<(String, String)> {
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set() && wanted(arg));
    args.map(|arg| (name(arg), arg.get_help().map(ToString::to_string).unwrap_or_default()))
        .collect()
}

/// `-t`, `--timeout SECONDS`.
fn name(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default();
    let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
    let takes = arg.get_action().takes_values();
    let value = if takes { format!(" {}", values.join(" ")) } else { String::new() };
    match (arg.get_short(), arg.get_long()) {
        (None, None) => format!("`{}`", value.trim()),
        (Some(short), None) => format!("`-{short}{value}`"),
        (None, Some(long)) => format!("`--{long}{value}`"),
        (Some(short), Some(long)) => format!("`-{short}`, `--{long}{value}`"),
    }
}

fn table(head: [&str; 2], rows: &[(String, String)]) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let mut text = format!("| {} | {} |\n|---|---|\n", head[0], head[1]);
    for (left, right) in rows {
        writeln!(text, "| {} | {} |", cell(left), cell(right)).expect("a String takes all");
    }
    text
}

fn rendered(section: &Section) -> String {
    let mut text = format!("\n## {}\n", section.title);
    for block in &section.blocks {
        text.push('\n');
        match block {
            Block::Text(paragraph) => writeln!(text, "{paragraph}").expect("a String takes all"),
            Block::Terms(terms) => text += &table(["", ""], terms),
            Block::Lines(lines) => {
                for line in lines.lines() {
                    writeln!(text, "    {line}").expect("a String takes all");
                }
            }
        }
    }
    text
}
