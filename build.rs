//! Turns `checks-manifest/*.toml` into Rust: one `Spec` per check and one constant per finding
//! code, metric and fact, so that a check cannot use what its entry does not list, and an entry
//! cannot list what its check does not use (the compiler says so in both cases).

#![allow(clippy::panic, reason = "a build script reports by panicking")]

#[path = "src/manifest/schema.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the library, which uses more of it")]
mod schema;

use schema::Entry;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=checks-manifest");
    println!("cargo::rerun-if-changed=src/manifest/schema.rs");
    let mut files: Vec<_> = fs::read_dir("checks-manifest")
        .expect("checks-manifest is a directory of this package")
        .map(|entry| entry.expect("checks-manifest can be listed").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    files.sort();
    let entries: Vec<Entry> = files.iter().map(|path| read(path)).collect();
    let mut code: String = entries.iter().map(module).collect();
    let specs = entries.iter().map(|entry| format!("&{}::SPEC,", entry.name));
    code += &format!(
        "/// All checks.\npub static SPECS: &[&crate::plugin::spec::Spec] = &[{}];\n",
        specs.collect::<String>()
    );
    code += &sources(&files);
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("manifest.rs"), code).expect("OUT_DIR can be written");
}

fn read(path: &Path) -> Entry {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let entry: Entry = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(path.file_stem().and_then(|s| s.to_str()), Some(&*entry.name), "file name and name");
    assert!(entry.binary.is_none(), "{}: what is shipped is called like its entry", entry.name);
    entry
}

/// The text of every entry: what overrides of operators are laid over.
fn sources(files: &[std::path::PathBuf]) -> String {
    let top = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let list = files.iter().map(|path| {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("an ASCII name");
        format!("({name:?}, include_str!({:?})),", Path::new(&top).join(path))
    });
    format!("pub static SOURCES: &[(&str, &str)] = &[{}];\n", list.collect::<String>())
}

/// The module of one check: `SPEC`, `code::X`, `metric::X`, `fact::X`.
fn module(entry: &Entry) -> String {
    let mut lists = [String::new(), String::new(), String::new()];
    let mut names = [String::new(), String::new(), String::new()];
    for (i, (name, code)) in entry.codes.iter().enumerate() {
        write!(
            lists[0],
            "Code {{ name: {name:?}, status: Status::{}, meaning: {:?} }},",
            camel(&code.status),
            code.meaning
        )
        .expect("a String takes all");
        constant(&mut names[0], name, "Code", "codes", i);
    }
    for (i, (name, m)) in entry.metrics.iter().enumerate() {
        write!(
            lists[1],
            "MetricSpec {{ name: {name:?}, unit: {:?}, kind: Kind::{}, label: {:?}, \
             prometheus: {:?}, prometheus_factor: {:?}, listed_with: {:?}, meaning: {:?} }},",
            m.unit,
            camel(&m.kind),
            m.label,
            m.prometheus,
            m.prometheus_factor,
            m.listed_with,
            m.meaning
        )
        .expect("a String takes all");
        constant(&mut names[1], name, "MetricSpec", "metrics", i);
    }
    for (i, (name, fact)) in entry.facts.iter().enumerate() {
        write!(lists[2], "FactSpec {{ name: {name:?}, meaning: {:?} }},", fact.meaning)
            .expect("a String takes all");
        constant(&mut names[2], name, "FactSpec", "facts", i);
    }
    format!(
        "pub mod {name} {{
    use crate::plugin::spec::{{Advice, Code, FactSpec, Kind, MetricSpec, Spec}};
    use crate::plugin::status::Status;
    pub static SPEC: Spec = Spec {{ name: {name:?}, title: {title:?}, sentence: {sentence:?},
        red: &[{red}], details: {details:?}, main_metric: {main:?}, object_label: {object_label:?},
        remembers: {remembers},
        capabilities: &{caps:?}, codes: &[{}], metrics: &[{}], facts: &[{}] }};
    pub(crate) mod code {{ use super::*; {} }}
    pub(crate) mod metric {{ use super::*; {} }}
    pub(crate) mod fact {{ use super::*; {} }}
}}\n",
        lists[0],
        lists[1],
        lists[2],
        names[0],
        names[1],
        names[2],
        name = entry.name,
        title = camel(&entry.name),
        sentence = entry.sentence,
        red = advice(entry),
        details = entry.details,
        main = entry.main_metric,
        object_label = entry.object_label,
        remembers = entry.remembers,
        caps = [&*entry.rights.capabilities, &*entry.rights.optional].concat(),
    )
}

fn advice(entry: &Entry) -> String {
    let one = |(codes, text): (&String, &String)| {
        let codes: Vec<&str> = codes.split(", ").collect();
        format!("Advice {{ codes: &{codes:?}, text: {text:?} }},")
    };
    entry.red.iter().map(one).collect()
}

fn constant(out: &mut String, name: &str, kind: &str, list: &str, index: usize) {
    let upper = name.replace('-', "_").to_uppercase();
    writeln!(out, "pub(crate) const {upper}: &{kind} = &SPEC.{list}[{index}];")
        .expect("a String takes all");
}

fn camel(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}
