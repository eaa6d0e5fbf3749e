//! Sensu Core 1.x: JSON below `host/NAME/` and `server/`, as Calipso keeps it in `config_folder`.

use crate::provision::emit::{Content, Tree, texts};
use crate::provision::environment::{Environment, Values};
use crate::provision::plan::{HostPlan, Plan};
use crate::provision::templates::{self, Templates};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The files.
///
/// # Errors
/// A template of client or server needs a value that the environment does not have.
pub fn files(
    plan: &Plan,
    templates: &Templates,
    environment: &Environment,
) -> Result<Tree, String> {
    let mut tree = Tree::new();
    for (name, template) in &templates.server {
        let path = format!("server/{name}");
        let config = rendered(&path, template, &[&environment.values])?;
        tree.insert(path, content(&config, template));
    }
    for host in plan.hosts.values() {
        for (name, template) in &templates.client {
            let path = format!("host/{}/{name}", host.directory);
            let mut config = rendered(&path, template, &[&host.values, &environment.values])?;
            if name == "client.json" {
                add_checks(&mut config, host);
            }
            tree.insert(path, content(&config, template));
        }
    }
    Ok(tree)
}

fn rendered(path: &str, template: &Value, values: &[&Values]) -> Result<Value, String> {
    templates::rendered(template, values).map_err(|why| format!("{path}: {why} in the environment"))
}

fn add_checks(config: &mut Value, host: &HostPlan) {
    // The server publishes to `base`; a client that has no check yet listens there as well.
    let mut subscriptions: BTreeSet<&str> = ["base"].into();
    subscriptions.extend(host.checks.values().flat_map(|check| texts(check, "subscribers")));
    let checks =
        host.checks.iter().map(|(name, check)| (name.clone(), check.settings.clone().into()));
    let checks = Value::Object(checks.collect());
    templates::merge(config, json!({"client": {"subscriptions": subscriptions}, "checks": checks}));
}

fn content(config: &Value, template: &Value) -> Content {
    let mut fields = BTreeSet::new();
    templates::fields_of(template, &mut fields);
    let secret = fields.iter().any(|field| is_secret(field)) || has_secret(config);
    Content { text: format!("{config:#}\n"), secret }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "token"].iter().any(|word| name.contains(word))
}

fn has_secret(config: &Value) -> bool {
    match config {
        Value::Object(map) => map.iter().any(|(key, value)| is_secret(key) || has_secret(value)),
        Value::Array(list) => list.iter().any(has_secret),
        _ => false,
    }
}
