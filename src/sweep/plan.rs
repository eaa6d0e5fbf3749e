//! What is swept: the checks of a configuration as Sensu Core reads it, which `calipso-provision`
//! writes, or command lines, one a line.

use crate::checks::list::{self, Any};
use crate::manifest::book::Book;
use crate::provision::shell;
use regex::bytes::Regex;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// One object, and how it is looked at.
#[derive(Debug)]
pub struct Planned {
    /// Its name for the monitoring system, which may refuse it.
    pub name: String,
    /// What the configuration says of the check: command, handlers, ttl, ...
    pub definition: Map<String, Value>,
    /// The call, or why the command is none.
    pub call: Result<Call, String>,
}

/// One call of a check.
#[derive(Debug)]
pub struct Call {
    /// Which check.
    pub check: &'static Any,
    /// Its command line, the name of the program first.
    pub argv: Vec<OsString>,
}

/// The largest document: of ten thousand objects that is a tenth.
const LONGEST: u64 = 64 << 20;

/// Reads plans, `-` being standard input.
///
/// # Errors
/// A file cannot be read or is no plan, or two objects have one name.
pub fn read(files: &[String], book: &Book) -> Result<Vec<Planned>, String> {
    let mut plan = Vec::new();
    for file in files {
        let text = text_of(file).map_err(|e| format!("{file}: {e}"))?;
        plan.extend(parse(&text, book).map_err(|why| format!("{file}: {why}"))?);
    }
    let mut names = BTreeSet::new();
    match plan.iter().find(|planned| !names.insert(&planned.name)) {
        Some(twice) => Err(format!("two objects are called {}", twice.name)),
        None => Ok(plan),
    }
}

fn text_of(file: &str) -> io::Result<String> {
    let mut text = String::new();
    let length = match file {
        "-" => io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text)?,
        path => File::open(Path::new(path))?.take(LONGEST + 1).read_to_string(&mut text)?,
    };
    // A part of it would be another plan.
    match length as u64 > LONGEST {
        true => Err(io::Error::other(format!("longer than {LONGEST} bytes"))),
        false => Ok(text),
    }
}

/// What is read of a configuration of Sensu Core.
#[derive(Deserialize)]
struct Document {
    checks: Option<Checks>,
}

/// All that are there, in their order, twice where they are there twice.
struct Checks(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Checks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Checks;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("checks by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checks, A::Error> {
                let mut checks = Vec::new();
                while let Some(check) = map.next_entry()? {
                    checks.push(check);
                }
                Ok(Checks(checks))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

fn parse(text: &str, book: &Book) -> Result<Vec<Planned>, String> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('{') {
        let document: Document = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let Checks(checks) = document.checks.ok_or("it has no \"checks\"")?;
        return Ok(checks.iter().map(|(name, check)| defined(name, check, book)).collect());
    }
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|line| on_a_line(line, book)).collect())
}

/// A check as Sensu Core has it.
fn defined(name: &str, check: &Value, book: &Book) -> Planned {
    let definition = check.as_object().cloned().unwrap_or_default();
    let call = match definition.get("command").and_then(Value::as_str) {
        Some(command) => call(command, book),
        None => Err("it has no command".to_owned()),
    };
    Planned { name: name.to_owned(), definition, call }
}

/// A command line alone, whose object is called by its words.
fn on_a_line(line: &str, book: &Book) -> Planned {
    let kept = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    let name = line.strip_prefix("check_").unwrap_or(line).chars().map(kept).collect();
    let definition = Map::from_iter([("command".to_owned(), Value::from(line))]);
    Planned { name, definition, call: call(line, book) }
}

/// The call that a shell line makes, as far as it is nothing but one.
fn call(line: &str, book: &Book) -> Result<Call, String> {
    // What it would have in its environment is not for these checks.
    let command = shell::command(line);
    let words = command.ok_or_else(|| format!("it takes a shell: {line}"))?.words;
    let program = &words[0];
    let name = program.rsplit('/').next().unwrap_or(program);
    let check = book.binary(name).and_then(list::named);
    let check = check.ok_or_else(|| format!("{program} is no check of these"))?;
    if let Some(word) = words.iter().find(|word| word.contains(":::")) {
        return Err(format!("{word} is a token that Sensu replaces"));
    }
    if words.iter().any(|word| word == "--sample" || word.starts_with("--sample=")) {
        return Err("--sample is for people at a prompt".to_owned());
    }
    let words = words.iter().skip(1).map(OsString::from);
    Ok(Call { check, argv: [check.spec.name.into()].into_iter().chain(words).collect() })
}

/// Those whose names match.
pub fn matching(mut plan: Vec<Planned>, pattern: &Regex) -> Vec<Planned> {
    plan.retain(|planned| pattern.is_match(planned.name.as_bytes()));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        Book::load(Path::new("/nonexistent")).expect("the entries of this build")
    }

    fn calls(text: &str) -> Vec<(String, Result<Vec<String>, String>)> {
        let plan = parse(text, &book()).expect("a plan");
        let words = |call: Call| {
            call.argv.into_iter().map(|word| word.into_string().expect("ASCII")).collect()
        };
        plan.into_iter().map(|planned| (planned.name, planned.call.map(words))).collect()
    }

    #[test]
    fn a_configuration_of_sensu_core_is_a_plan() {
        let text = r#"{"api": {}, "checks": {
            "vservice_x": {"command": "/etc/sensu/plugins/check_vservice.py dhcp 'qdhcp-x'",
                           "handlers": ["file"], "ttl": 60},
            "old": {"command": "check_load -w 5"},
            "none": {"interval": 15},
            "token": {"command": "check_ping -t :::address:::"},
            "twice": {"command": "check_pnic_ovs eth0 --sample 2"},
            "python": {"command": "PYTHONPATH=/x /etc/sensu/plugins/check_pnic_ovs.py lo"},
            "shell": {"command": "check_pnic_ovs lo || true"},
            "open": {"command": "check_vm 'x"}}}"#;
        let plan = parse(text, &book()).expect("a plan");
        let vservice = plan.iter().find(|planned| planned.name == "vservice_x").expect("it");
        assert_eq!(vservice.definition.keys().collect::<Vec<_>>(), ["command", "handlers", "ttl"]);
        let calls = calls(text);
        let said = |name: &str| {
            calls.iter().find(|(known, _)| known == name).map(|(_, call)| call.clone())
        };
        let words = |words: &[&str]| Some(Ok(words.iter().map(|&w| w.to_owned()).collect()));
        assert_eq!(said("vservice_x"), words(&["check_vservice", "dhcp", "qdhcp-x"]));
        assert_eq!(said("python"), words(&["check_pnic_ovs", "lo"]));
        for (name, why) in [
            ("old", "check_load is no check"),
            ("none", "no command"),
            ("token", "a token that Sensu replaces"),
            ("twice", "for people"),
            ("open", "it takes a shell"),
            ("shell", "it takes a shell"),
        ] {
            let said = said(name).expect("it").expect_err("no call");
            assert!(said.contains(why), "{name}: {said}");
        }
    }

    #[test]
    fn command_lines_are_a_plan_and_name_their_objects() {
        let calls = calls("# uplinks\ncheck_pnic_ovs eth0\n\n  check_ping -t 'fd00::1' \n");
        assert_eq!(calls[0].0, "pnic_ovs_eth0");
        assert_eq!(calls[1].0, "ping_-t__fd00__1_");
        let words = calls[1].1.as_ref().expect("a call");
        assert_eq!(words, &["check_ping", "-t", "fd00::1"]);
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        for text in ["{", "{}", r#"{"checks": 5}"#] {
            assert!(parse(text, &book()).is_err(), "{text}");
        }
        // None of two that have one name is lost.
        let text = r#"{"checks": {"a": {"command": "x"}, "a": {"command": "check_vedge_ovs"}}}"#;
        assert_eq!(calls(text).len(), 2);
        let twice = std::env::temp_dir().join(format!("calipso-plan-{}", std::process::id()));
        std::fs::write(&twice, "check_vedge_ovs\n").expect("a file");
        let file = twice.to_str().expect("ASCII").to_owned();
        let said = read(&[file.clone(), file], &book()).expect_err("one name");
        assert_eq!(said, "two objects are called vedge_ovs");
        std::fs::remove_file(twice).expect("ours");
        assert!(read(&["/nonexistent".to_owned()], &book()).is_err());
    }
}
