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
            let mut content = content(&config, template);
            content.secret |= name == "client.json" && host.has_secret();
            tree.insert(path, content);
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
    let secret = templates::has_secret(template) || templates::has_secret(config);
    Content { text: format!("{config:#}\n"), secret }
}
