//! Icinga 2: commands, and per host its services, run on the agent there by `command_endpoint`.
//! `zones.conf` is for a site whose zones do not have the agents yet.

use crate::provision::emit::{Content, INTERVAL, Programs, Tree, seconds};
use crate::provision::name;
use crate::provision::plan::{HostPlan, Plan};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The files.
pub fn files(plan: &Plan, programs: &Programs, environment: &str) -> Tree {
    let mut tree = Tree::new();
    let mut commands = BTreeMap::new();
    let mut zones = String::new();
    for host in plan.hosts.values() {
        let client = quoted(&host.client);
        // Writing to a String cannot fail.
        write!(
            zones,
            "object Endpoint {client} {{ }}\nobject Zone {client} {{\n  endpoints = [ {client} ]\n  \
             parent = ZoneName\n}}\n\n"
        )
        .ok();
        let text = host_and_services(host, programs, environment, &mut commands);
        tree.insert(format!("icinga2/hosts/{}.conf", host.directory), Content::of(text, host));
    }
    let commands: String = commands.iter().map(|(name, path)| command(name, path)).collect();
    tree.insert("icinga2/commands.conf".to_owned(), Content::open(commands));
    tree.insert("icinga2/zones.conf".to_owned(), Content::open(zones));
    tree
}

/// The words are handed over as they are: no shell, no macro.
fn command(name: &str, path: &str) -> String {
    format!(
        "object CheckCommand {} {{\n  command = [ {} ]\n  arguments = {{\n    \"calipso_args\" = {{\n      \
         value = \"$calipso_args$\"\n      skip_key = true\n      repeat_key = false\n    }}\n  }}\n  \
         vars.calipso_args = [ ]\n}}\n\n",
        quoted(name),
        quoted(path)
    )
}

fn host_and_services(
    host: &HostPlan,
    programs: &Programs,
    environment: &str,
    commands: &mut BTreeMap<String, String>,
) -> String {
    let client = quoted(&host.client);
    let mut text = format!(
        "object Host {client} {{\n  address = {}\n  check_command = \"cluster-zone\"\n  \
         zone = ZoneName\n  vars.calipso_environment = {}\n}}\n\n",
        quoted(&host.address),
        quoted(environment)
    );
    for (name, check) in &host.checks {
        let mut words = programs.words(check).into_iter();
        let path = words.next().unwrap_or_default();
        let base = path.rsplit('/').next().unwrap_or(&path);
        let mut command = format!("calipso-{}", name::encoded(base));
        if commands.get(&command).is_some_and(|known| *known != path) {
            command = format!("calipso-{}", name::encoded(&path));
        }
        let args: Vec<_> = words.map(|word| quoted(&word.replace('$', "$$"))).collect();
        let interval = seconds(check, "interval").unwrap_or(INTERVAL);
        let timeout = seconds(check, "timeout");
        let timeout = timeout.map(|t| format!("  check_timeout = {t}\n")).unwrap_or_default();
        write!(
            text,
            "object Service {} {{\n  host_name = {client}\n  zone = ZoneName\n  \
             check_command = {}\n  \
             command_endpoint = {client}\n  check_interval = {interval}\n  \
             retry_interval = {interval}\n  max_check_attempts = 1\n{timeout}  \
             vars.calipso_args = [ {} ]\n  vars.calipso_object_type = {}\n  \
             vars.calipso_object_id = {}\n}}\n\n",
            quoted(name),
            quoted(&command),
            args.join(", "),
            quoted(&check.kind),
            quoted(&check.id),
        )
        .ok();
        commands.insert(command, path);
    }
    text
}

/// A string of Icinga's language.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text += "\\n",
            '\t' => text += "\\t",
            '\r' => text += "\\r",
            // The language has no escape for the others.
            c if c.is_control() => text.push('?'),
            c => text.push(c),
        }
    }
    text + "\""
}
