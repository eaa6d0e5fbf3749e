//! Sensu Go: one file of CheckConfig documents per host, for `sensuctl create --file`. Each check
//! runs on the agent that is called like the client, and its events are those of a proxy entity.

use crate::provision::emit::{Content, INTERVAL, Programs, Tree, seconds, texts};
use crate::provision::inventory::Trouble;
use crate::provision::name;
use crate::provision::plan::{Check, HostPlan, Plan};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The files, and checks whose names are too long for a whole namespace.
pub fn files(plan: &Plan, programs: &Programs, environment: &str) -> (Tree, Vec<Trouble>) {
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for name in plan.hosts.values().flat_map(|host| host.checks.keys()) {
        *uses.entry(name).or_default() += 1;
    }
    let mut troubles = Vec::new();
    let file = |host: &HostPlan| {
        let checks = host.checks.iter().filter_map(|(name, check)| {
            // Names are of a whole namespace here, not of a client: an instance may be looked for
            // on several hosts.
            let alone = uses.get(name.as_str()) == Some(&1);
            let name = if alone { name.clone() } else { format!("{name}.{}", host.directory) };
            match name::fitting(name) {
                Ok(name) => Some(document(&name, check, host, programs, environment)),
                Err(why) => {
                    let object = format!("{} '{}'", check.kind, check.id);
                    troubles.push(Trouble { object, why });
                    None
                }
            }
        });
        let text: String = checks.collect();
        (format!("sensu-go/{}.yaml", host.directory), Content::of(text, host))
    };
    let tree = plan.hosts.values().filter(|host| !host.checks.is_empty()).map(file).collect();
    (tree, troubles)
}

fn document(
    name: &str,
    check: &Check,
    host: &HostPlan,
    programs: &Programs,
    environment: &str,
) -> String {
    let interval = seconds(check, "interval").unwrap_or(INTERVAL);
    let mut text = format!(
        "---\ntype: CheckConfig\napi_version: core/v2\nmetadata:\n  name: {}\n  labels:\n",
        quoted(name)
    );
    for (label, value) in [
        ("calipso_environment", environment),
        ("calipso_host", &host.client),
        ("calipso_object_id", &check.id),
        ("calipso_object_type", &check.kind),
    ] {
        // The agent fills in its tokens here too, and refuses the check where it cannot.
        let value = if value.contains("{{") { name::encoded(value) } else { value.to_owned() };
        // Writing to a String cannot fail.
        writeln!(text, "    {label}: {}", quoted(&value)).ok();
    }
    writeln!(text, "spec:\n  command: {}", quoted(&programs.line(check))).ok();
    writeln!(text, "  interval: {interval}").ok();
    if let Some(timeout) = seconds(check, "timeout") {
        writeln!(text, "  timeout: {timeout}").ok();
    }
    // The backend refuses any other.
    if let Some(ttl) = seconds(check, "ttl").filter(|ttl| *ttl >= 5 && *ttl > interval) {
        writeln!(text, "  ttl: {ttl}").ok();
    }
    writeln!(text, "  publish: true\n  subscriptions:").ok();
    writeln!(text, "    - {}", quoted(&format!("entity:{}", host.client))).ok();
    list(&mut text, "handlers", &texts(check, "handlers"));
    writeln!(text, "  proxy_entity_name: {}", quoted(&check.object)).ok();
    if check.settings.get("type").is_some_and(|kind| kind == "metric") {
        text += "  output_metric_format: nagios_perfdata\n";
    }
    text
}

fn list(text: &mut String, name: &str, values: &[&str]) {
    if values.is_empty() {
        return;
    }
    writeln!(text, "  {name}:").ok();
    for value in values {
        writeln!(text, "    - {}", quoted(value)).ok();
    }
}

/// A scalar in double quotes: no text is anything else in YAML then.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            // What YAML calls not printable, and its line breaks.
            c if c.is_control() || "\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}".contains(c) => {
                write!(text, "\\u{:04x}", u32::from(c)).ok();
            }
            c => text.push(c),
        }
    }
    text + "\""
}
