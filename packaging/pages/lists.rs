//! What packages and their scripts go by, out of the manifest: rights, links and examples.

use super::checks;
use calipso_checks::manifest::schema::{Entry, Piece, pieces};
use std::collections::BTreeSet;

const SHARE: &str = "usr/share/calipso-checks";
const EXAMPLES: &str = "usr/share/doc/calipso-checks/examples";
/// Where the real files are.
const BIN: &str = "/usr/lib/calipso-checks/bin";
/// What gives nothing but packets of one's own: whoever may run ping(8) has it. All others read what
/// the caller may not, so only a group may run what has them.
const WEAK: &[&str] = &["cap_net_raw"];
/// Names in the directory of Nagios plugins that belong to packages of the distributions
/// (monitoring-plugins, nagios-plugins).
const TAKEN: &[&str] = &["check_ping"];

/// Paths below the root of a file system, and texts.
pub fn all() -> Vec<(String, String)> {
    let entries: Vec<Entry> = checks().into_iter().map(|page| page.entry).collect();
    vec![
        (format!("{SHARE}/rights"), rights(&entries)),
        (format!("{SHARE}/links"), links(&entries)),
        (format!("{SHARE}/nagios-links"), nagios_links(&entries)),
        (format!("{EXAMPLES}/sensu-agent.service.d/calipso-checks.conf"), drop_in(&entries)),
        (format!("{EXAMPLES}/sudoers"), sudoers(&entries)),
        (format!("{EXAMPLES}/sensu-go.yaml"), sensu_go(&entries)),
        (format!("{EXAMPLES}/sensu-core.json"), sensu_core(&entries)),
        (format!("{EXAMPLES}/nrpe.cfg"), nrpe(&entries)),
        (format!("{EXAMPLES}/icinga2.conf"), icinga(&entries)),
    ]
}

/// `NAME CAPABILITIES GROUP`: who may run it, `-` for everybody.
fn rights(entries: &[Entry]) -> String {
    let head =
        "# binary, its file capabilities (effective and permitted), the group that may run it\n";
    let with = entries.iter().filter(|entry| !entry.rights.capabilities.is_empty());
    let lines = with.map(|entry| {
        let all = &entry.rights.capabilities;
        let strong = all.iter().any(|one| !WEAK.contains(&one.as_str()));
        let group = if strong { "calipso-checks" } else { "-" };
        format!("{} {} {group}\n", entry.name, all.join(","))
    });
    head.to_owned() + &lines.collect::<String>()
}

/// `BINARY LINK` in the directory of Sensu's plugins: its name, with `.py`, and its old names.
fn links(entries: &[Entry]) -> String {
    let head = "# binary, link in /etc/sensu/plugins\n".to_owned();
    let lines = entries.iter().flat_map(|entry| {
        let mut names = BTreeSet::from([entry.name.clone(), format!("{}.py", entry.name)]);
        names.extend(entry.old_names.iter().cloned());
        names.into_iter().map(|link| format!("{} {link}\n", entry.name))
    });
    head + &lines.collect::<String>()
}

fn nagios_links(entries: &[Entry]) -> String {
    let head = "# binary, link in the directory of Nagios plugins\n".to_owned();
    let lines = entries.iter().map(|Entry { name, .. }| match TAKEN.contains(&name.as_str()) {
        true => format!("{name} {}\n", name.replace("check_", "check_calipso_")),
        false => format!("{name} {name}\n"),
    });
    head + &lines.collect::<String>()
}

fn drop_in(entries: &[Entry]) -> String {
    let all = entries.iter().flat_map(|entry| &entry.rights.capabilities);
    let names: BTreeSet<String> = all.map(|name| name.to_uppercase()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(" ");
    format!(
        "\
# For agents that run the checks out of an asset: file capabilities do not survive its unpacking.
# Copy to /etc/systemd/system/sensu-agent.service.d/, then: systemctl daemon-reload, restart the agent.
#
# Every command that the agent runs has these, not the checks alone. The deb and the rpm give each
# binary its own instead, and need nothing of this.
#
# Without cap_dac_override Open vSwitch is not asked, without cap_sys_admin namespaces are not
# entered: the checks that miss one say UNKNOWN, and which.
[Service]
AmbientCapabilities={names}
# VPP's sockets. systemd refuses to start the agent where a group is unknown: uncomment what is there.
#SupplementaryGroups=vpp
#SupplementaryGroups=libvirt
# AmbientCapabilities have no effect with it:
NoNewPrivileges=no
"
    )
}

/// `,`, `:`, `=` and `\` have a meaning in sudoers.
fn sudoers(entries: &[Entry]) -> String {
    let mut text = "\
# Documentation only: the packages use file capabilities and need no sudo. Where these cannot be (a file
# system without extended attributes), name exact commands, each with its arguments; no wildcard, and
# never NOPASSWD: ALL. Objects are examples. Check with: visudo -cf FILE
"
    .to_owned();
    for entry in entries.iter().filter(|entry| !entry.rights.capabilities.is_empty()) {
        let args: Vec<String> = entry.example.iter().map(|arg| escaped(arg)).collect();
        // No argument at all is written "".
        let args = if args.is_empty() { "\"\"".to_owned() } else { args.join(" ") };
        text += &format!("sensu ALL=(root) NOPASSWD: {BIN}/{} {args}\n", entry.name);
    }
    text
}

fn escaped(arg: &str) -> String {
    let pieces = arg.chars().map(|c| if ",:=\\".contains(c) { format!("\\{c}") } else { c.into() });
    pieces.collect()
}

/// The command of an entry, each field of an object written as another system writes it.
fn command(entry: &Entry, field: impl Fn(&str) -> String) -> String {
    let pieces = pieces(&entry.calipso.command).expect("the schema has looked at it");
    let words = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => (*text).to_owned(),
        Piece::Field(name) => field(name),
    });
    words.collect()
}

fn sensu_go(entries: &[Entry]) -> String {
    let mut text = "\
# One check each for `sensuctl create -f`; calipso-provision writes those of a whole inventory.
# Values of the objects are labels of the (proxy) entity here.
"
    .to_owned();
    for entry in entries {
        let command = command(entry, |name| format!("{{{{ .labels.{name} }}}}"));
        let schedule = &entry.schedule;
        text += &format!(
            "---
type: CheckConfig
api_version: core/v2
metadata:
  name: {}
  namespace: default
spec:
  command: {}
  runtime_assets: [calipso-checks]
  subscriptions: [{}]
  interval: {}
  timeout: {}
  ttl: {}
  publish: true
  output_metric_format: nagios_perfdata
",
            entry.name,
            serde_json::json!(command),
            schedule.subscribers.join(", "),
            schedule.interval,
            schedule.timeout,
            schedule.ttl
        );
    }
    text
}

fn sensu_core(entries: &[Entry]) -> String {
    let checks: serde_json::Map<String, serde_json::Value> = entries
        .iter()
        .map(|entry| {
            let schedule = &entry.schedule;
            let check = serde_json::json!({
                "command": command(entry, |name| format!(":::{name}:::")),
                "interval": schedule.interval,
                "timeout": schedule.timeout,
                "ttl": schedule.ttl,
                "type": schedule.kind,
                "standalone": true,
                "subscribers": schedule.subscribers,
                "handlers": schedule.handlers,
            });
            (entry.name.clone(), check)
        })
        .collect();
    let text = serde_json::to_string_pretty(&serde_json::json!({ "checks": checks }));
    text.expect("strings and numbers") + "\n"
}

fn nrpe(entries: &[Entry]) -> String {
    let mut text = "\
# For nrpe.d/; calipso-provision writes the commands of a whole inventory. Objects are examples.
# NRPE runs as user nagios: `usermod -aG calipso-checks nagios` for what only that group may run.
"
    .to_owned();
    for entry in entries {
        text += &format!("command[{}]={}\n", entry.name, example(entry));
    }
    text
}

fn icinga(entries: &[Entry]) -> String {
    let mut text = "\
# Commands for Icinga 2: vars.calipso_args is the array of arguments. calipso-provision writes the
# hosts and services of a whole inventory.
"
    .to_owned();
    for entry in entries {
        text += &format!(
            "
object CheckCommand \"calipso_{name}\" {{
  command = [ \"{BIN}/{name}\" ]
  arguments = {{ \"args\" = {{ value = \"$calipso_args$\", skip_key = true, repeat_key = false }} }}
  timeout = {timeout}
}}
",
            name = entry.name,
            timeout = entry.schedule.timeout
        );
    }
    text
}

/// The call of the manifest that says the same on any host.
fn example(entry: &Entry) -> String {
    let args = entry.example.iter().map(|arg| format!(" {arg}"));
    format!("{BIN}/{}{}", entry.name, args.collect::<String>())
}
