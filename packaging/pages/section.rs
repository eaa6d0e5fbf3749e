//! What a page says of a check beside its command line, for any markup.

use calipso_checks::manifest::schema::{Calipso, Entry, MetricEntry};
use calipso_checks::plugin::code;
use calipso_checks::plugin::limit::RANGE_RULE;

/// A heading, and what stands below.
pub struct Section {
    pub title: &'static str,
    pub blocks: Vec<Block>,
}

/// A paragraph, a list, or lines as they are.
pub enum Block {
    Text(String),
    /// Terms, and what each means.
    Terms(Vec<(String, String)>),
    Lines(String),
}

/// All that the entry of a check says to its readers.
pub fn of(entry: &Entry) -> Vec<Section> {
    let mut sections = vec![
        red(entry),
        findings(entry),
        metrics(entry),
        facts(entry),
        rights(entry),
        calls(entry),
        exits(),
    ];
    if !entry.details.is_empty() {
        let lines = entry.details.trim_matches('\n').to_owned();
        sections.insert(0, Section { title: "Names", blocks: vec![Block::Lines(lines)] });
    }
    sections.retain(|section| !section.blocks.is_empty());
    sections
}

fn red(entry: &Entry) -> Section {
    let terms = entry.red.iter().map(|(codes, advice)| (codes.clone(), advice.clone()));
    Section { title: "When it is red", blocks: vec![Block::Terms(terms.collect())] }
}

fn findings(entry: &Entry) -> Section {
    let own = entry.codes.iter().map(|(name, code)| {
        (format!("{name} ({})", code.status.to_uppercase()), code.meaning.clone())
    });
    let common = code::COMMON
        .iter()
        .map(|code| (format!("{} ({})", code.name, code.status), code.meaning.to_owned()));
    let text = "What it can find, and what that counts as unless --as says otherwise:";
    let terms = own.chain(common).collect();
    Section { title: "Findings", blocks: vec![Block::Text(text.to_owned()), Block::Terms(terms)] }
}

fn metrics(entry: &Entry) -> Section {
    let mut blocks = Vec::new();
    if !entry.metrics.is_empty() {
        let terms = entry.metrics.iter().map(|(name, metric)| term(name, metric)).collect();
        blocks.push(Block::Terms(terms));
        let main = entry.main_metric.iter();
        blocks.extend(main.map(|main| {
            Block::Text(format!("Without a name --warning and --critical mean {main}."))
        }));
        blocks.push(Block::Text(RANGE_RULE.replace('\n', " ")));
    }
    Section { title: "Metrics", blocks }
}

fn term(name: &str, metric: &MetricEntry) -> (String, String) {
    let unit = match metric.unit.as_str() {
        "" | "c" => String::new(),
        unit => format!(" in {unit}"),
    };
    let each = metric.label.iter().map(|label| format!(" of each {label}")).collect::<String>();
    let rate = if metric.kind == "counter" { format!("; also {name}_rate") } else { String::new() };
    let prometheus = &metric.prometheus;
    (
        format!("{name}{unit}"),
        format!("{}; {}{each}{rate}; Prometheus: {prometheus}", metric.meaning, metric.kind),
    )
}

fn facts(entry: &Entry) -> Section {
    let mut blocks = Vec::new();
    if !entry.facts.is_empty() {
        blocks.push(Block::Text("What --expect can be asked about:".to_owned()));
        let terms = entry.facts.iter().map(|(name, fact)| (name.clone(), fact.meaning.clone()));
        blocks.push(Block::Terms(terms.collect()));
    }
    Section { title: "Facts", blocks }
}

fn rights(entry: &Entry) -> Section {
    let rights = &entry.rights;
    let list = |names: &[String]| names.join(", ");
    let mut terms = Vec::new();
    let mut add = |term: &str, names: &[String]| {
        if !names.is_empty() {
            terms.push((term.to_owned(), list(names)));
        }
    };
    add("Capabilities that packages set", &rights.capabilities);
    add("Kept where granted, for options that need them", &rights.optional);
    add("Groups that suffice where they own the sockets", &rights.groups);
    add("What it opens", &rights.sockets);
    let blocks = match terms.is_empty() {
        true => vec![Block::Text("None: any user may run it.".to_owned())],
        false => vec![Block::Terms(terms)],
    };
    Section { title: "Rights", blocks }
}

fn calls(entry: &Entry) -> Section {
    let all = std::iter::once(&entry.calipso).chain(&entry.calipso_also);
    let lines: Vec<&str> = all.map(|Calipso { command, .. }| command.as_str()).collect();
    let schedule = &entry.schedule;
    let text = format!(
        "calipso-provision has it run every {} s, ended by the agent after {} s, with the object's \
         fields in place of the braces:",
        schedule.interval, schedule.timeout
    );
    let blocks = vec![Block::Text(text), Block::Lines(lines.join("\n"))];
    Section { title: "Example", blocks }
}

fn exits() -> Section {
    let text = "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; help, version and wrong usage are 3 too.";
    Section { title: "Exit status", blocks: vec![Block::Text(text.to_owned())] }
}
