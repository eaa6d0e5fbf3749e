//! All entries: those of `checks-manifest/`, and over them the files of `manifest.d`, in the order
//! of their names. A file there names an entry and says only what it says otherwise; what it says
//! of a new name is a whole entry.

use crate::manifest::SOURCES;
use crate::manifest::schema::Entry;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

/// Where operators say otherwise.
pub const OVERRIDES: &str = "/etc/calipso-checks/manifest.d";

/// The entries by name.
#[derive(Debug)]
pub struct Book(BTreeMap<String, Entry>);

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistake {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1; none where the file as a whole is meant.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what.replace('\n', " "))
    }
}

impl Book {
    /// The entries of this build, with the files of a directory laid over them; a directory that
    /// does not exist says nothing.
    ///
    /// # Errors
    /// The first mistake in a file, or a file that cannot be read.
    pub fn load(overrides: &Path) -> Result<Self, Mistake> {
        let mut files = shipped();
        for file in files_of(overrides)? {
            let text = std::fs::read_to_string(&file).map_err(|why| whole(&file, &why))?;
            files.push((file, text));
        }
        entries(&layers(files)).map(Self)
    }

    /// The entry of this name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// The binary that a program's name means, by name or old name; none where it is not ours.
    pub fn binary(&self, program: &str) -> Option<&str> {
        let is_meant = |entry: &&Entry| {
            entry.name == program || entry.old_names.iter().any(|old| old == program)
        };
        let entry = self.entries().find(is_meant)?;
        Some(entry.binary.as_ref().unwrap_or(&entry.name))
    }

    /// All of them, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }
}

/// The files of `checks-manifest/`, as they were when this was built.
fn shipped() -> Vec<(PathBuf, String)> {
    let named = |(name, text): &(&str, &str)| {
        (PathBuf::from(format!("checks-manifest/{name}.toml")), (*text).to_owned())
    };
    SOURCES.iter().map(named).collect()
}

fn whole(file: &Path, why: &std::io::Error) -> Mistake {
    Mistake { file: file.to_owned(), line: None, what: why.to_string() }
}

/// The `.toml` files of a directory, in the order of their names.
fn files_of(dir: &Path) -> Result<Vec<PathBuf>, Mistake> {
    let list = match std::fs::read_dir(dir) {
        Ok(list) => list,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(whole(dir, &why)),
    };
    let paths = list.map(|file| file.map(|file| file.path()).map_err(|why| whole(dir, &why)));
    let mut files = paths.collect::<Result<Vec<_>, _>>()?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    Ok(files)
}

/// One file. It is parsed behind as many blank lines as there are bytes in all files before it, so
/// that the places of all files are one row of numbers, and a mistake that shows only in what was
/// merged still knows its file and line.
struct Layer {
    file: PathBuf,
    start: usize,
    padded: String,
}

fn layers(files: Vec<(PathBuf, String)>) -> Vec<Layer> {
    let mut start = 0;
    let padded = files.into_iter().map(|(file, text)| {
        let layer = Layer { file, start, padded: "\n".repeat(start) + &text };
        start = layer.padded.len() + 1;
        layer
    });
    padded.collect()
}

fn entries(layers: &[Layer]) -> Result<BTreeMap<String, Entry>, Mistake> {
    let wrong = |error: &toml::de::Error| {
        at(layers, error.span().map_or(0, |span| span.start), error.message())
    };
    let mut tables: BTreeMap<String, Spanned<DeTable<'_>>> = BTreeMap::new();
    for layer in layers {
        let table = DeTable::parse(&layer.padded).map_err(|error| wrong(&error))?.into_inner();
        let name = table.get("name").and_then(|name| name.get_ref().as_str());
        let Some(name) = name.map(str::to_owned) else {
            return Err(at(layers, layer.start, "no name: which entry is meant?"));
        };
        let table = Spanned::new(layer.start..layer.padded.len(), table);
        let merged = match tables.remove(&name) {
            Some(below) => {
                without_codes(layers, &name, table.get_ref())?;
                merge(below, table)
            }
            None => table,
        };
        tables.insert(name, merged);
    }
    let read = |(name, table): (String, Spanned<DeTable<'_>>)| {
        let entry = Entry::deserialize(Deserializer::from(table)).map_err(|error| {
            let mistake = wrong(&error);
            if SOURCES.iter().any(|(shipped, _)| *shipped == name) {
                return mistake;
            }
            let what = format!("{}: {}", no_entry(&name), mistake.what);
            Mistake { what, ..mistake }
        })?;
        Ok((name, entry))
    };
    tables.into_iter().map(read).collect()
}

/// What a check can find and what that counts as is in its binary, which reads no file of ours.
fn without_codes(layers: &[Layer], name: &str, table: &DeTable<'_>) -> Result<(), Mistake> {
    let Some(codes) = table.get("codes") else { return Ok(()) };
    let what = format!("{name} does not read this: write --as CODE=STATUS into calipso.command");
    Err(at(layers, codes.span().start, &what))
}

/// That a name is new, and which was perhaps meant.
fn no_entry(name: &str) -> String {
    let likeness = |other: &str| similar::TextDiff::from_chars(name, other).ratio();
    let known = SOURCES.iter().map(|(shipped, _)| *shipped);
    let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let nearest = nearest.filter(|other| likeness(other) > 0.8);
    let meant = nearest.map(|other| format!(" ({other}?)")).unwrap_or_default();
    format!("no entry {name}{meant}; a new one needs every field")
}

/// Tables are laid over tables, everything else is replaced. What was merged has the place of what
/// lies above: below it all was well.
fn merge<'t>(below: Spanned<DeTable<'t>>, above: Spanned<DeTable<'t>>) -> Spanned<DeTable<'t>> {
    let place = above.span();
    let mut merged = below.into_inner();
    for (key, value) in above.into_inner() {
        let value = match (merged.remove(key.get_ref().as_ref()), value) {
            (Some(old), new) if old.get_ref().is_table() && new.get_ref().is_table() => {
                let span = new.span();
                let merged = merge(table_of(old), table_of(new));
                Spanned::new(span, DeValue::Table(merged.into_inner()))
            }
            (_, new) => new,
        };
        merged.insert(key, value);
    }
    Spanned::new(place, merged)
}

fn table_of<'t>(value: Spanned<DeValue<'t>>) -> Spanned<DeTable<'t>> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Spanned::new(span, table),
        _ => Spanned::new(span, DeTable::new()),
    }
}

/// The file and line of a place.
fn at(layers: &[Layer], place: usize, what: &str) -> Mistake {
    let found = layers.iter().rev().find(|layer| layer.start <= place);
    let Some(layer) = found else {
        return Mistake { file: PathBuf::new(), line: None, what: what.to_owned() };
    };
    let until = place.min(layer.padded.len());
    let before = &layer.padded.as_bytes()[layer.start..until];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    Mistake { file: layer.file.clone(), line: Some(line), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries of this build under one file of an operator's.
    fn under(text: &str) -> Result<BTreeMap<String, Entry>, Mistake> {
        let mut files = shipped();
        files.push((PathBuf::from("m.d/50-site.toml"), text.to_owned()));
        entries(&layers(files))
    }

    fn mistake(text: &str) -> String {
        under(text).expect_err(text).to_string()
    }

    #[test]
    fn what_is_shipped_is_without_mistake() {
        let book = Book::load(Path::new("/nonexistent")).expect("the entries of this build");
        assert_eq!(book.entries().count(), SOURCES.len());
        let vm = book.entry("check_vm").expect("an entry");
        assert_eq!((vm.schedule.interval, vm.schedule.deadline), (15, 10.0));
    }

    #[test]
    fn an_override_says_only_what_it_says_otherwise_and_later_wins() {
        let mut files = shipped();
        for interval in ["30", "60"] {
            let text =
                format!("name = \"check_vm\"\n[schedule]\ninterval = {interval}\nttl = 120\n");
            files.push((PathBuf::from(format!("{interval}.toml")), text));
        }
        let entries = entries(&layers(files)).expect("no mistake");
        let vm = &entries["check_vm"];
        assert_eq!((vm.schedule.interval, vm.schedule.ttl, vm.schedule.timeout), (60, 120, 12));
        assert!(vm.sentence.contains("libvirt"), "{}", vm.sentence);
        assert_eq!(entries["check_pnic_ovs"].schedule.interval, 15);
    }

    #[test]
    fn a_new_name_is_a_whole_entry() {
        let (_, text) = SOURCES.iter().find(|(name, _)| *name == "check_vm").expect("an entry");
        let text = text.replacen("check_vm", "site_vm", 1) + "\n";
        let text = format!("binary = \"check_vm\"\n{text}");
        let entries = under(&text).expect("no mistake");
        assert_eq!(entries["site_vm"].binary.as_deref(), Some("check_vm"));
        assert_eq!(entries.len(), SOURCES.len() + 1);
        let said =
            "m.d/50-site.toml:1: no entry site_x; a new one needs every field: missing field";
        assert!(mistake("name = \"site_x\"\n").starts_with(said));
        let said =
            "m.d/50-site.toml:1: no entry check_vmm (check_vm?); a new one needs every field";
        assert!(mistake("name = \"check_vmm\"\n").starts_with(said));
    }

    #[test]
    fn a_mistake_names_file_and_line() {
        for (text, said) in [
            ("name = \"check_vm\"\n\nintervall = 5\n", "3: unknown field `intervall`"),
            ("name = \"check_vm\"\n[schedule]\nintervall = 5\n", "3: unknown field `intervall`"),
            ("name = \"check_vm\"\n[schedule]\ninterval = \"5\"\n", "3: invalid type: string"),
            ("name = \"check_vm\"\n[schedule]\ninterval = -5\n", "3: invalid value: integer"),
            ("name = \"check_vm\"\n[schedule]\n\ntimeout = 10\n", "2: timeout 10 must be above"),
            ("name = \"check_vm\"\n[schedule]\nttl = 15\n", "2: ttl 15 must be above"),
            ("name = \"check_vm\"\n[schedule]\ntype = \"x\"\n", "2: type 'x' is not metric"),
            (
                "name = \"check_vm\"\n[codes]\nabsent = { status = \"warning\" }\n",
                "2: check_vm does not read this: write --as CODE=STATUS into calipso.command",
            ),
            (
                "name = \"check_vm\"\n\n[codes.absentt]\nstatus = \"red\"\n",
                "3: check_vm does not read this: write --as",
            ),
            ("name = \"check_vm\"\n[calipso]\ncommand = \"a {b\"\n", "3: 'a {b' has a {"),
            ("name = \"check_vm\"\n[calipso]\ncheck_name = \"a b\"\n", "3: ' ' cannot be part"),
            ("name = \"check_vm\"\n[metrics]\n\nrtt.unit = \"kg\"\n", "4: 'kg' is none of"),
            ("interval = 5\n", "1: no name"),
            ("name = 5\n", "1: no name"),
            ("name = \"check_vm\"\nname = \"x\"\n", "2: duplicate key"),
            ("name = \"check_vm\"\n[schedule\n", "2: "),
        ] {
            let mistake = mistake(text);
            assert!(mistake.starts_with(&format!("m.d/50-site.toml:{said}")), "{text}: {mistake}");
        }
    }
}
