//! The plan as files of monitoring systems, one file here per system.

pub mod checkmk;
pub mod icinga2;
pub mod nagios;
pub mod sensu_core;
pub mod sensu_go;

use crate::manifest::book::Book;
use crate::provision::plan::{Check, HostPlan};
use crate::provision::shell;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Files by their path below the output directory.
pub type Tree = BTreeMap<String, Content>;

/// What is in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    /// All of it.
    pub text: String,
    /// Its values are not to be shown.
    pub secret: bool,
}

impl Content {
    fn open(text: String) -> Self {
        Self { text, secret: false }
    }

    /// A file with the commands of a host's checks.
    fn of(text: String, host: &HostPlan) -> Self {
        Self { text, secret: host.has_secret() }
    }
}

/// Where today's Calipso keeps its plugins.
const SENSU_PLUGINS: &str = "/etc/sensu/plugins";

/// Where the programs of commands are.
#[derive(Debug)]
pub struct Programs<'p> {
    book: &'p Book,
    dir: &'p Path,
}

impl<'p> Programs<'p> {
    /// The binaries of the entries of `book` in `dir`.
    pub fn new(book: &'p Book, dir: &'p Path) -> Self {
        Self { book, dir }
    }

    /// The words of a check's command, the program by its path.
    pub fn words(&self, check: &Check) -> Vec<String> {
        let line = check.settings.get("command").and_then(Value::as_str).unwrap_or_default();
        let Some(command) = shell::command(line) else {
            let line = format!("PATH={SENSU_PLUGINS}:$PATH; {line}");
            return ["/bin/sh", "-c", &line].map(str::to_owned).into();
        };
        let (program, is_ours) = self.path(&command.words[0]);
        let mut words = Vec::new();
        // Python's path means nothing to a binary, and is all that Calipso's templates set.
        let means_something = |name: &str| !(is_ours && name == "PYTHONPATH");
        for (name, value) in &command.assignments {
            if means_something(name) {
                words.push(format!("{name}={value}"));
            }
        }
        if !words.is_empty() {
            words.insert(0, "/usr/bin/env".to_owned());
        }
        words.push(program);
        words.extend(command.words.into_iter().skip(1));
        words
    }

    /// The same as a shell line.
    pub fn line(&self, check: &Check) -> String {
        let words: Vec<_> = self.words(check).iter().map(|word| shell::word(word)).collect();
        words.join(" ")
    }

    /// The path of a program, and whether it is one of this suite.
    fn path(&self, program: &str) -> (String, bool) {
        let base = program.rsplit('/').next().unwrap_or(program);
        match self.book.binary(base) {
            Some(binary) if !program.contains('/') => {
                (self.dir.join(binary).display().to_string(), true)
            }
            binary if program.contains('/') => (program.to_owned(), binary.is_some()),
            _ => (format!("{SENSU_PLUGINS}/{program}"), false),
        }
    }
}

/// A whole number of a check's settings.
fn seconds(check: &Check, setting: &str) -> Option<u64> {
    check.settings.get(setting)?.as_u64()
}

/// A list of texts of a check's settings.
fn texts<'c>(check: &'c Check, setting: &str) -> Vec<&'c str> {
    let list = check.settings.get(setting).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// How often a check runs that says nothing of it.
const INTERVAL: u64 = 15;
