//! The environment: one document of Calipso's `environment_config`, with the part `Monitoring` of
//! its list `configuration`.

use crate::provision::document::Documents;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// Values of placeholders: texts, numbers, flags.
pub type Values = BTreeMap<String, Value>;

/// The field of an environment that most checks are chosen by.
pub const DRIVERS: &str = "mechanism_drivers";

/// Whether what is called so is not to be shown.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token"].iter().any(|word| name.contains(word))
}

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
    /// What forwards in it.
    pub drivers: Vec<String>,
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
            let place = document.place();
            found.push(document.fields.map_err(|why| of_file(format!("{place}: {why}")))?);
        }
        let wanted = |fields: &Map<String, Value>| name.is_none_or(|name| fields["name"] == name);
        found.retain(|fields| fields.contains_key("name"));
        if found.is_empty() {
            return Err(of_file("no environment in it".to_owned()));
        }
        found.retain(wanted);
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
        let mut values = values_of(&fields);
        values.extend(values_of(monitoring));
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
        for text in ["rabbitmq_user", "rabbitmq_pass", "ssh_user", "ssh_password"] {
            if let Some(value @ Value::Number(_)) = values.get_mut(text) {
                *value = value.to_string().into();
            }
        }
        let level = level(monitoring.get("provision"))?;
        let enabled = match fields.get("enable_monitoring") {
            None | Some(Value::Null) => true,
            Some(Value::Bool(enabled)) => *enabled,
            Some(_) => return Err("enable_monitoring is neither true nor false".to_owned()),
        };
        Ok(Self { name, enabled, level, drivers: drivers(&fields)?, values, fields })
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

/// What no text can be made of is among them, so that it is not said to be missing.
fn values_of(fields: &Map<String, Value>) -> Values {
    let values = fields.iter().filter(|(_, value)| !value.is_null());
    values.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn drivers(fields: &Map<String, Value>) -> Result<Vec<String>, String> {
    let listed = match fields.get(DRIVERS) {
        Some(Value::Array(list)) => {
            list.iter().map(|driver| driver.as_str().map(str::to_owned)).collect()
        }
        Some(_) => None,
        None => return Err(format!("the environment has no {DRIVERS}")),
    };
    listed.ok_or_else(|| format!("{DRIVERS} is no list of texts"))
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
        Some(_) => Err(format!("provision is {written}: write None, Files, DB or Deploy")),
        None => Err("provision is no text: write None, Files, DB or Deploy".to_owned()),
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
    fn a_number_is_a_password_too_and_a_document_is_none() {
        let lab = of(json!({"name": "Monitoring", "rabbitmq_pass": 1234, "ssh_user": {"a": 1}}));
        let values = lab.expect("an environment").values;
        assert_eq!(values.get("rabbitmq_pass"), Some(&json!("1234")));
        let filled = crate::provision::templates::filled("{ssh_user}", &[&values], str::to_owned);
        assert_eq!(filled, Err("ssh_user is no text".to_owned()));
    }

    #[test]
    fn drivers_and_the_switch_must_be_what_they_are() {
        for (field, value, said) in [
            (DRIVERS, json!("OVS"), "mechanism_drivers is no list of texts"),
            (DRIVERS, json!(["OVS", 5]), "mechanism_drivers is no list of texts"),
            (DRIVERS, Value::Null, "mechanism_drivers is no list of texts"),
            ("enable_monitoring", json!("false"), "enable_monitoring is neither true nor false"),
            ("enable_monitoring", json!(0), "enable_monitoring is neither true nor false"),
        ] {
            let mut whole = json!({"name": "Lab", "mechanism_drivers": ["OVS"],
                "configuration": [{"name": "Monitoring"}]});
            whole[field] = value.clone();
            let why = Environment::of(whole.as_object().cloned().expect("an object"));
            assert_eq!(why.expect_err("unusable"), said, "{value}");
        }
        let none = json!({"name": "Lab", "configuration": [{"name": "Monitoring"}]});
        let why = Environment::of(none.as_object().cloned().expect("an object"));
        assert_eq!(why.expect_err("unusable"), "the environment has no mechanism_drivers");
    }

    #[test]
    fn what_is_unusable_is_told() {
        for (monitoring, said) in [
            (json!({"name": "Other"}), "no part named Monitoring"),
            (json!({"name": "Monitoring", "provision": "Fils"}), "provision is \"Fils\""),
            (json!({"name": "Monitoring", "provision": {"pass": "x"}}), "provision is no text: w"),
            (json!({"name": "Monitoring", "api_port": "x"}), "api_port is no port"),
            (json!({"name": "Monitoring", "rabbitmq_port": 70000}), "rabbitmq_port is no port"),
        ] {
            let why = of(monitoring.clone()).expect_err("unusable");
            assert!(why.contains(said), "{monitoring}: {why}");
        }
        assert_eq!(of(json!({"name": "Monitoring"})).expect("fine").level, Level::None);
    }
}
