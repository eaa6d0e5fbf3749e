//! The environment: one document of Calipso's `environment_config`, with the part `Monitoring` of
//! its list `configuration`.

use crate::provision::document::Documents;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// Values of placeholders: texts, numbers, flags.
pub type Values = BTreeMap<String, Value>;

/// Where monitoring is configured to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nowhere.
    None,
    /// Into files.
    Files,
    /// Into the database as well.
    Db,
    /// Onto the hosts as well.
    Deploy,
}

/// What is monitored, and by whom.
#[derive(Debug)]
pub struct Environment {
    /// Its name, which its objects carry.
    pub name: String,
    /// False: nothing is rendered.
    pub enabled: bool,
    /// How far provisioning goes.
    pub level: Level,
    /// What templates may refer to.
    pub values: Values,
    /// The fields of the document, for the conditions of templates.
    fields: Map<String, Value>,
}

impl Environment {
    /// The environment of a file; the one of this name where it has several.
    ///
    /// # Errors
    /// The file cannot be read, has no such environment, or says nothing usable of monitoring.
    pub fn read(path: &Path, name: Option<&str>) -> Result<Self, String> {
        let of_file = |why: String| format!("{}: {why}", path.display());
        let file = File::open(path).map_err(|why| of_file(why.to_string()))?;
        let mut documents = Documents::of(file);
        let mut found = Vec::new();
        while let Some(document) = documents.advance().map_err(|why| of_file(why.to_string()))? {
            let line = document.line;
            found.push(document.fields.map_err(|why| of_file(format!("line {line}: {why}")))?);
        }
        let wanted = |fields: &Map<String, Value>| name.is_none_or(|name| fields["name"] == name);
        found.retain(|fields| fields.contains_key("name") && wanted(fields));
        match found.len() {
            1 => Self::of(found.remove(0)).map_err(of_file),
            0 => Err(of_file("no environment of that name".to_owned())),
            _ => Err(of_file("several environments: say which by --name".to_owned())),
        }
    }

    fn of(fields: Map<String, Value>) -> Result<Self, String> {
        let Some(Value::String(name)) = fields.get("name") else {
            return Err("the environment's name is no text".to_owned());
        };
        let name = name.clone();
        let monitoring = monitoring(&fields)?;
        let mut values = scalars(&fields);
        values.extend(scalars(monitoring));
        // Names of the parts, not of what they describe.
        for own in ["name", "type", "_id"] {
            values.remove(own);
        }
        values.insert("env_name".to_owned(), name.clone().into());
        for port in ["rabbitmq_port", "api_port", "ssh_port"] {
            if let Some(value) = values.get_mut(port) {
                *value = self::port(value).ok_or_else(|| format!("{port} is no port"))?.into();
            }
        }
        let level = level(monitoring.get("provision"))?;
        let enabled = !matches!(fields.get("enable_monitoring"), Some(Value::Bool(false)));
        Ok(Self { name, enabled, level, values, fields })
    }

    /// Whether a field of the environment has one of these values, in any case.
    pub fn has(&self, field: &str, wanted: &[String]) -> bool {
        let is_wanted = |value: &Value| {
            value.as_str().is_some_and(|v| wanted.iter().any(|w| w.eq_ignore_ascii_case(v)))
        };
        match self.fields.get(field) {
            Some(Value::Array(list)) => list.iter().any(is_wanted),
            Some(value) => is_wanted(value),
            None => false,
        }
    }
}

fn monitoring(fields: &Map<String, Value>) -> Result<&Map<String, Value>, String> {
    let Some(Value::Array(parts)) = fields.get("configuration") else {
        return Err("the environment has no list 'configuration'".to_owned());
    };
    let found = parts.iter().filter_map(Value::as_object).find(|part| {
        part.get("name")
            .and_then(Value::as_str)
            .is_some_and(|n| n.eq_ignore_ascii_case("Monitoring"))
    });
    found.ok_or("the environment's configuration has no part named Monitoring".to_owned())
}

fn scalars(fields: &Map<String, Value>) -> Values {
    let is_scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let scalars = fields.iter().filter(|(_, value)| is_scalar(value));
    scalars.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A port, written as number or text.
fn port(value: &Value) -> Option<u16> {
    let port = match value {
        Value::String(text) => text.trim().parse().ok()?,
        value => u16::try_from(value.as_f64().filter(|n| n.fract() == 0.0)? as u64).ok()?,
    };
    (port != 0).then_some(port)
}

fn level(written: Option<&Value>) -> Result<Level, String> {
    let Some(written) = written else { return Ok(Level::None) };
    match written.as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("none") => Ok(Level::None),
        Some("files") => Ok(Level::Files),
        Some("db") => Ok(Level::Db),
        Some("deploy") => Ok(Level::Deploy),
        _ => Err(format!("provision is {written}: write None, Files, DB or Deploy")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(monitoring: Value) -> Result<Environment, String> {
        let whole = json!({"name": "Lab", "mechanism_drivers": ["OVS"], "app_path": "/a",
            "environment_type": "OpenStack", "configuration": [{"name": "CLI"}, monitoring]});
        Environment::of(whole.as_object().cloned().expect("an object"))
    }

    #[test]
    fn values_come_from_both_parts_and_ports_are_numbers() {
        let lab = of(json!({"name": "Monitoring", "type": "Sensu", "provision": "fIlEs",
            "rabbitmq_port": "5671", "api_port": 4567, "server_ip": "192.0.2.1"}))
        .expect("an environment");
        assert_eq!((lab.level, lab.enabled), (Level::Files, true));
        for (name, value) in [
            ("env_name", json!("Lab")),
            ("rabbitmq_port", json!(5671)),
            ("api_port", json!(4567)),
            ("app_path", json!("/a")),
        ] {
            assert_eq!(lab.values.get(name), Some(&value), "{name}");
        }
        assert!(!lab.values.contains_key("name") && !lab.values.contains_key("type"));
        assert!(lab.has("mechanism_drivers", &["VPP".into(), "ovs".into()]));
        assert!(lab.has("environment_type", &["OpenStack".into()]));
        assert!(!lab.has("mechanism_drivers", &["VPP".into()]) && !lab.has("x", &["y".into()]));
    }

    #[test]
    fn what_is_unusable_is_told() {
        for (monitoring, said) in [
            (json!({"name": "Other"}), "no part named Monitoring"),
            (json!({"name": "Monitoring", "provision": "Fils"}), "provision is \"Fils\""),
            (json!({"name": "Monitoring", "api_port": "x"}), "api_port is no port"),
            (json!({"name": "Monitoring", "rabbitmq_port": 70000}), "rabbitmq_port is no port"),
        ] {
            let why = of(monitoring.clone()).expect_err("unusable");
            assert!(why.contains(said), "{monitoring}: {why}");
        }
        assert_eq!(of(json!({"name": "Monitoring"})).expect("fine").level, Level::None);
    }
}
