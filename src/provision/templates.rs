//! Templates: documents of Calipso's `monitoring_config_templates`, the built-in ones or a site's.
//! The built-in ones of checks are made from `checks-manifest/`, so that both go one way.

use crate::manifest::book::Book;
use crate::manifest::schema::{Calipso, Entry, Piece, Schedule, fits_name, pieces};
use crate::provision::document::Documents;
use crate::provision::environment::{DRIVERS, Environment, Values, is_secret};
use crate::provision::shell;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

/// The files of client and server, beside the checks.
const BASE: &str = include_str!("templates.json");
const CHECK: &str = "client_check_";

/// The templates that an environment asks for, several documents of a type merged.
#[derive(Debug, Default)]
pub struct Templates {
    /// Files of a client by name.
    pub client: BTreeMap<String, Value>,
    /// Files of the server by name.
    pub server: BTreeMap<String, Value>,
    /// Checks of objects.
    pub checks: Vec<CheckTemplate>,
    /// What was left out, and why.
    pub troubles: Vec<String>,
}

/// Checks of one type of object or link.
#[derive(Debug)]
pub struct CheckTemplate {
    /// Calipso's name of it, or the manifest entry's.
    pub name: String,
    /// What it checks.
    pub target: Target,
    /// Whose hosts it is meant for, where both VPP and others forward in an environment.
    pub forwarder: Option<Forwarder>,
    /// By name, each with what Sensu Core is told of it.
    pub checks: Map<String, Value>,
    /// All fields in braces.
    pub fields: BTreeSet<String>,
    /// There is a password in it.
    pub secret: bool,
}

/// What a template is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Objects of this type.
    Object(String),
    /// Links of this type.
    Link(String),
    /// Links of every type that has no template of its own.
    AnyLink,
}

/// What forwards packets on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarder {
    /// VPP.
    Vpp,
    /// Open vSwitch, or the kernel.
    Kernel,
}

/// One document.
#[derive(Debug)]
struct Template {
    is_server: bool,
    order: i64,
    kind: String,
    condition: BTreeMap<String, Vec<String>>,
    config: Value,
    /// For what a manifest entry is about; Calipso's type names say it otherwise.
    target: Option<Target>,
}

impl Templates {
    /// The built-in templates of this environment, and the entries named besides; types that a
    /// site's file has are the site's.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of(
        environment: &Environment,
        book: &Book,
        also: &BTreeSet<&str>,
        site: Option<&Path>,
    ) -> Result<Self, String> {
        let mut troubles = Vec::new();
        let mut all: Vec<Template> = built_in(&mut troubles);
        for entry in book.entries() {
            let asked_for = also.contains(entry.name.as_str());
            all.extend(of_entry(entry, |part| asked_for || is_enabled(entry, part)));
        }
        if let Some(path) = site {
            let own = read(path, &mut troubles)?;
            let types: BTreeSet<_> =
                own.iter().map(|template| (template.is_server, template.kind.clone())).collect();
            all.retain(|template| !types.contains(&(template.is_server, template.kind.clone())));
            all.extend(own);
        }
        all.retain(|template| template.is_met_by(environment));
        if !all.iter().any(|template| template.condition.contains_key(DRIVERS)) {
            let drivers = environment.drivers.join(", ");
            troubles.push(format!(
                "environment '{}': its {DRIVERS} meet no template: [{drivers}]",
                environment.name
            ));
        }
        let mut templates = Self::merged(all);
        templates.troubles.splice(0..0, troubles);
        Ok(templates)
    }

    fn merged(mut all: Vec<Template>) -> Self {
        all.sort_by_key(|template| template.order);
        let mut by_type: BTreeMap<(bool, String), Vec<Template>> = BTreeMap::new();
        for template in all {
            by_type.entry((template.is_server, template.kind.clone())).or_default().push(template);
        }
        let mut templates = Self::default();
        for ((is_server, kind), parts) in by_type {
            let forwarder = parts.iter().find_map(|part| forwarder(&kind, &part.condition));
            let target = parts.iter().find_map(|part| part.target.clone());
            let config =
                parts.into_iter().fold(Value::Null, |below, part| laid_over(below, part.config));
            let check = kind.strip_prefix(CHECK).filter(|_| !is_server);
            let Some(name) = check else {
                let files = if is_server { &mut templates.server } else { &mut templates.client };
                files.insert(kind, config);
                continue;
            };
            let name = name.strip_suffix(".json").unwrap_or(name);
            let Some(Value::Object(checks)) = config.get("checks") else {
                templates.troubles.push(format!("template {kind}: no checks in it"));
                continue;
            };
            let mut fields = BTreeSet::new();
            fields_of(&config["checks"], &mut fields);
            templates.checks.push(CheckTemplate {
                name: name.to_owned(),
                secret: has_secret(&config),
                fields,
                target: target.unwrap_or_else(|| target_of(name)),
                forwarder,
                checks: checks.clone(),
            });
        }
        templates
    }
}

/// What is said of the entry holds for its other objects too, unless they say otherwise.
fn is_enabled(entry: &Entry, part: &Calipso) -> bool {
    part.enabled.or(entry.calipso.enabled).unwrap_or(part.template.is_some())
}

impl Template {
    fn is_met_by(&self, environment: &Environment) -> bool {
        self.condition.iter().all(|(field, wanted)| environment.has(field, wanted))
    }
}

fn built_in(troubles: &mut Vec<String>) -> Vec<Template> {
    collect(BASE.as_bytes(), "built-in templates", troubles).unwrap_or_default()
}

fn read(path: &Path, troubles: &mut Vec<String>) -> Result<Vec<Template>, String> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|why| format!("{name}: {why}"))?;
    collect(file, &name, troubles)
}

fn collect(
    input: impl std::io::Read,
    name: &str,
    troubles: &mut Vec<String>,
) -> Result<Vec<Template>, String> {
    let mut documents = Documents::of(input);
    let mut templates = Vec::new();
    while let Some(document) = documents.advance().map_err(|why| format!("{name}: {why}"))? {
        let place = document.place();
        match document.fields.and_then(of_document) {
            Ok(template) => templates.extend(template),
            Err(why) => troubles.push(format!("{name}, {place}: {why}")),
        }
    }
    Ok(templates)
}

/// A template of a document; none where it is for another monitoring system.
fn of_document(mut fields: Map<String, Value>) -> Result<Option<Template>, String> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    if text("monitoring_system").is_some_and(|system| !system.eq_ignore_ascii_case("sensu")) {
        return Ok(None);
    }
    let kind = text("type").ok_or("a template without a type")?;
    let is_server = match text("side").as_deref() {
        Some("client") => false,
        Some("server") => true,
        _ => return Err(format!("template {kind}: side is neither client nor server")),
    };
    // It becomes the name of a file.
    if kind.starts_with('.')
        || !kind.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    {
        return Err(format!("template {kind:?}: its type cannot be the name of a file"));
    }
    let order = match fields.get("order") {
        Some(Value::String(order)) => order.parse().ok(),
        Some(order) => order.as_f64().map(|order| order as i64),
        None => Some(1),
    };
    let order = order.ok_or_else(|| format!("template {kind}: order is no number"))?;
    let condition = match fields.remove("condition") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(map)) => {
            condition(map).map_err(|why| format!("template {kind}: {why}"))?
        }
        Some(_) => return Err(format!("template {kind}: condition is no document")),
    };
    let config = fields.remove("config").filter(Value::is_object);
    let config = config.ok_or_else(|| format!("template {kind}: config is no document"))?;
    sound(&config).map_err(|why| format!("template {kind}: {why}"))?;
    if !is_server && kind.starts_with(CHECK) {
        sound_checks(&config["checks"]).map_err(|why| format!("template {kind}: {why}"))?;
    }
    Ok(Some(Template { is_server, order, kind, condition, config, target: None }))
}

fn condition(map: Map<String, Value>) -> Result<BTreeMap<String, Vec<String>>, String> {
    let texts = |value: Value| match value {
        Value::String(one) => Some(vec![one]),
        Value::Array(list) => list.into_iter().map(|v| v.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    map.into_iter()
        .map(|(field, wanted)| match texts(wanted) {
            Some(wanted) => Ok((field, wanted)),
            None => Err(format!("condition on {field} is no list of texts")),
        })
        .collect()
}

/// Whether all texts of a template can be filled.
fn sound(config: &Value) -> Result<(), String> {
    match config {
        Value::String(text) => pieces(text).map(|_| ()),
        Value::Array(list) => list.iter().try_for_each(sound),
        Value::Object(map) => map.iter().try_for_each(|(key, value)| {
            pieces(key)?;
            sound(value)
        }),
        _ => Ok(()),
    }
}

/// Whether checks have names and times as the manifest's must have.
fn sound_checks(checks: &Value) -> Result<(), String> {
    for (name, settings) in checks.as_object().into_iter().flatten() {
        fits_name(name)?;
        let mut known = settings.as_object().cloned().unwrap_or_default();
        // What is to be filled in is looked at when it is.
        known.retain(|_, value| value.as_str().is_none_or(|text| !text.contains('{')));
        seconds(&mut known)?;
    }
    Ok(())
}

/// The templates of a manifest entry: one for each kind of object that it watches, if it is wanted.
fn of_entry(entry: &Entry, is_wanted: impl Fn(&Calipso) -> bool) -> Vec<Template> {
    let parts = std::iter::once(&entry.calipso).chain(&entry.calipso_also);
    let template = |(n, part): (usize, &Calipso)| {
        // Templates of one name are laid over each other.
        let own = if n == 0 { entry.name.clone() } else { format!("{}.{}", entry.name, n + 1) };
        of_part(&entry.schedule, part, part.template.as_ref().unwrap_or(&own))
    };
    parts.enumerate().filter(|(_, part)| is_wanted(part)).map(template).collect()
}

fn of_part(schedule: &Schedule, calipso: &Calipso, name: &str) -> Template {
    let conditions = [
        ("mechanism_drivers", &calipso.mechanism_drivers),
        ("environment_type", &calipso.environment_types),
    ];
    let condition = conditions.into_iter().filter(|(_, wanted)| !wanted.is_empty());
    let settings = json!({
        "command": calipso.command,
        "interval": schedule.interval,
        "timeout": schedule.timeout,
        "ttl": schedule.ttl,
        "standalone": true,
        "type": schedule.kind,
        "handlers": schedule.handlers,
        "subscribers": schedule.subscribers,
    });
    let object = calipso.object.clone();
    let target = match object.as_str() {
        "link" => Target::AnyLink,
        object_type if object_type.contains('-') => Target::Link(object),
        _ => Target::Object(object),
    };
    Template {
        is_server: false,
        order: 1,
        kind: format!("{CHECK}{name}.json"),
        condition: condition.map(|(field, wanted)| (field.to_owned(), wanted.clone())).collect(),
        config: json!({"checks": {calipso.check_name.as_str(): settings}}),
        target: Some(target),
    }
}

/// What Calipso's `client_check_NAME.json` is about.
fn target_of(name: &str) -> Target {
    if let Some(link) = name.strip_prefix("link_") {
        return Target::Link(link.to_owned());
    }
    let object = name.strip_suffix("_ovs").or_else(|| name.strip_suffix("_vpp")).unwrap_or(name);
    Target::Object(object.to_owned())
}

fn forwarder(kind: &str, condition: &BTreeMap<String, Vec<String>>) -> Option<Forwarder> {
    let drivers = condition.get("mechanism_drivers").map(Vec::as_slice).unwrap_or_default();
    let among = |driver: &str| drivers.iter().any(|d| d.eq_ignore_ascii_case(driver));
    // Its namespaces and daemons are Linux' own whatever forwards.
    if kind == "client_check_vservice.json" {
        return None;
    }
    match (among("VPP"), among("OVS")) {
        _ if kind.ends_with("_vpp.json") => Some(Forwarder::Vpp),
        _ if kind.ends_with("_ovs.json") => Some(Forwarder::Kernel),
        (true, false) => Some(Forwarder::Vpp),
        (false, true) => Some(Forwarder::Kernel),
        _ => None,
    }
}

/// Documents are laid over documents, lists are joined, everything else is replaced.
fn laid_over(below: Value, above: Value) -> Value {
    match (below, above) {
        (Value::Object(mut below), Value::Object(above)) => {
            for (key, value) in above {
                let old = below.remove(&key).unwrap_or(Value::Null);
                below.insert(key, laid_over(old, value));
            }
            Value::Object(below)
        }
        (Value::Array(mut below), Value::Array(above)) => {
            for value in above {
                if !below.contains(&value) {
                    below.push(value);
                }
            }
            Value::Array(below)
        }
        (_, above) => above,
    }
}

/// Lays one document over another.
pub fn merge(below: &mut Value, above: Value) {
    *below = laid_over(std::mem::take(below), above);
}

/// The names of all fields in braces.
pub fn fields_of(value: &Value, into: &mut BTreeSet<String>) {
    let names = |text: &str, into: &mut BTreeSet<String>| {
        for piece in pieces(text).unwrap_or_default() {
            if let Piece::Field(name) = piece {
                into.insert(name.to_owned());
            }
        }
    };
    match value {
        Value::String(text) => names(text, into),
        Value::Array(list) => list.iter().for_each(|value| fields_of(value, into)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            names(key, into);
            fields_of(value, into);
        }),
        _ => {}
    }
}

/// A text with fields in braces filled in; `change` is what becomes of each value.
///
/// # Errors
/// A field has no value.
pub fn filled(
    text: &str,
    values: &[&Values],
    change: impl Fn(&str) -> String,
) -> Result<String, String> {
    let mut out = String::new();
    for piece in pieces(text)? {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Field(name) => out.push_str(&change(&text_of(name, values)?)),
        }
    }
    Ok(out)
}

/// Whether a template, or what became of it, has a password in it, by the names of its fields.
pub fn has_secret(config: &Value) -> bool {
    let mut fields = BTreeSet::new();
    fields_of(config, &mut fields);
    fields.iter().any(|field| is_secret(field)) || has_secret_key(config)
}

fn has_secret_key(config: &Value) -> bool {
    match config {
        Value::Object(map) => {
            map.iter().any(|(key, value)| is_secret(key) || has_secret_key(value))
        }
        Value::Array(list) => list.iter().any(has_secret_key),
        _ => false,
    }
}

/// Times of a check as whole numbers of seconds; digits in quotes are one too.
///
/// # Errors
/// One is no whole number above 0.
pub fn seconds(settings: &mut Map<String, Value>) -> Result<(), String> {
    for name in ["interval", "timeout", "ttl"] {
        let Some(value) = settings.get_mut(name) else { continue };
        let seconds = match &value {
            Value::String(text) => text.trim().parse().ok(),
            Value::Number(number) => {
                let whole = number.as_f64().filter(|n| n.fract() == 0.0 && *n < 4_294_967_296.0);
                whole.map(|n| n as u64)
            }
            _ => None,
        };
        let seconds = seconds.filter(|seconds: &u64| *seconds > 0);
        *value = seconds.ok_or_else(|| format!("{name} is no whole number above 0"))?.into();
    }
    Ok(())
}

/// The value of a field, of the first that has it.
fn value_of<'v>(name: &str, values: &[&'v Values]) -> Result<&'v Value, String> {
    let found = values.iter().find_map(|values| values.get(name)).filter(|value| !value.is_null());
    found.ok_or_else(|| format!("no {name}"))
}

/// The value of a field as a text.
///
/// # Errors
/// It has none, or one that is no text.
pub fn text_of(name: &str, values: &[&Values]) -> Result<String, String> {
    match value_of(name, values)? {
        Value::String(text) => Ok(text.clone()),
        value @ (Value::Number(_) | Value::Bool(_)) => Ok(value.to_string()),
        _ => Err(format!("{name} is no text")),
    }
}

/// A document of a template with all its fields filled in. What stands under `command` is a line
/// for the shell; a text that is one field and no more becomes what that is, number or text.
///
/// # Errors
/// A field has no value, or one that does not fit.
pub fn rendered(template: &Value, values: &[&Values]) -> Result<Value, String> {
    Ok(match template {
        Value::String(text) => match pieces(text)?.as_slice() {
            [Piece::Field(name)] => match value_of(name, values)? {
                number @ Value::Number(_) => number.clone(),
                _ => text_of(name, values)?.into(),
            },
            _ => filled(text, values, str::to_owned)?.into(),
        },
        Value::Array(list) => {
            list.iter().map(|value| rendered(value, values)).collect::<Result<_, _>>()?
        }
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, value) in map {
                let done = match (key.as_str(), value) {
                    ("command", Value::String(line)) => {
                        shell::line(line, &|name| text_of(name, values))?.into()
                    }
                    _ => rendered(value, values)?,
                };
                out.insert(filled(key, values, str::to_owned)?, done);
            }
            Value::Object(out)
        }
        plain => plain.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, Value)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn built_in_templates_are_sound() {
        let mut troubles = Vec::new();
        let kinds: Vec<_> = built_in(&mut troubles)
            .into_iter()
            .map(|t| format!("{} {}", if t.is_server { "server" } else { "client" }, t.kind))
            .collect();
        assert_eq!(troubles, Vec::<String>::new());
        assert_eq!(
            kinds,
            [
                "client client.json",
                "client rabbitmq.json",
                "client transport.json",
                "server api.json",
                "server client.json",
                "server filters.json",
                "server handlers.json",
                "server rabbitmq.json",
                "server redis.json",
                "server transport.json"
            ]
        );
    }

    #[test]
    fn times_in_quotes_are_numbers() {
        let mut settings = json!({"interval": "60", "timeout": 12, "ttl": 180.0});
        seconds(settings.as_object_mut().expect("an object")).expect("all are whole numbers");
        assert_eq!(settings, json!({"interval": 60, "timeout": 12, "ttl": 180}));
    }

    #[test]
    fn documents_that_are_no_templates_are_told() {
        let check = |checks: Value| json!({"type": "client_check_x.json", "side": "client", "config": {"checks": checks}});
        for (fields, said) in [
            (json!({"side": "client"}), "without a type"),
            (json!({"type": "x.json", "side": "middle"}), "neither client nor server"),
            (json!({"type": "../x", "side": "client"}), "name of a file"),
            (json!({"type": "x", "side": "client", "order": "first"}), "order is no number"),
            (json!({"type": "x", "side": "client", "condition": 5}), "condition is no document"),
            (json!({"type": "x", "side": "client", "condition": {"a": 5}}), "no list of texts"),
            (json!({"type": "x", "side": "client"}), "config is no document"),
            (json!({"type": "x", "side": "client", "config": {"a": "{b"}}), "without a }"),
            (check(json!({"a {objid}": {}})), "' ' cannot be part of a check's name"),
            (check(json!({"a": {"interval": "soon"}})), "interval is no whole number above 0"),
            (check(json!({"a": {"timeout": 0}})), "timeout is no whole number above 0"),
            (check(json!({"a": {"ttl": 1.5}})), "ttl is no whole number above 0"),
            (check(json!({"a": {"interval": -5}})), "interval is no whole number above 0"),
        ] {
            let why = of_document(fields.as_object().cloned().expect("an object"));
            assert!(why.as_ref().expect_err("none").contains(said), "{fields}: {why:?}");
        }
    }

    #[test]
    fn parts_of_a_type_are_merged_in_their_order() {
        let below = json!({"client": {"a": 1, "list": ["x"]}, "api": {"port": 1}});
        let above = json!({"client": {"b": 2, "list": ["y", "x"]}, "api": {"port": 2}});
        assert_eq!(
            laid_over(below, above),
            json!({"client": {"a": 1, "b": 2, "list": ["x", "y"]}, "api": {"port": 2}})
        );
    }

    #[test]
    fn numbers_stay_numbers_and_commands_are_for_the_shell() {
        let values =
            values(&[("port", json!(5671)), ("name", json!("a'b")), ("flag", json!(true))]);
        let template = json!({"p": "{port}", "q": "is {port}", "command": "x {name}", "n": "{name}",
            "list": ["{name}", {"deep": "{flag}"}], "{name}": 1, "shell": "${name} { }"});
        assert_eq!(
            rendered(&template, &[&values]).expect("all is there"),
            json!({
            "p": 5671, "q": "is 5671", "command": "x 'a'\"'\"'b'", "n": "a'b",
            "list": ["a'b", {"deep": "true"}], "a'b": 1, "shell": "${name} { }"})
        );
        assert_eq!(rendered(&json!({"a": "{missing}"}), &[&values]), Err("no missing".into()));
    }

    #[test]
    fn what_a_template_is_about() {
        for (name, target) in [
            ("host_pnic_vpp", Target::Object("host_pnic".into())),
            ("vedge_ovs", Target::Object("vedge".into())),
            ("vnic", Target::Object("vnic".into())),
            ("link_vnic-vconnector", Target::Link("vnic-vconnector".into())),
        ] {
            assert_eq!(target_of(name), target);
        }
    }
}
