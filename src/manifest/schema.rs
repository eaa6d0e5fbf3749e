//! The shape of one file of `checks-manifest/`. Unknown keys are refused, so that a mistyped
//! key is an error and not a silent default. Shared by the build script and the library.

use serde::{Deserialize, Deserializer, de::Error};
use std::collections::BTreeMap;

/// One check: everything that a monitoring system, a package or a reader needs to know of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name of the check: `check_` and lower case.
    pub name: String,
    /// The binary, where it is not called like the check.
    pub binary: Option<String>,
    /// Names under which packages also offer the binary.
    pub old_names: Vec<String>,
    /// What an OK of this check means, in one sentence.
    pub sentence: String,
    /// What to do when it is red, by the codes it is about: `"absent, stale"`.
    pub red: BTreeMap<String, String>,
    /// What its help says below the options, where names need a table. Lines.
    #[serde(default)]
    pub details: String,
    /// The metric meant by a limit that names none.
    pub main_metric: Option<String>,
    /// The label that tells this object's metrics from those of other objects of the check, where its
    /// metrics have none of their own that does.
    #[serde(default)]
    pub object_label: Option<String>,
    /// Whether the check compares with what it saw in its previous run even if no rate is asked.
    #[serde(default)]
    pub remembers: bool,
    /// A call for tests of the contract, arguments only: what it says depends on no host.
    pub example: Vec<String>,
    /// What that call exits with.
    #[serde(default)]
    pub example_exit: i32,
    /// Whether that call needs the rights below though it asks no socket.
    #[serde(default)]
    pub example_needs_rights: bool,
    /// Arguments that make it look for its sockets in `{dir}`, for tests of the contract.
    #[serde(default)]
    pub sockets_in: Vec<String>,
    /// What of Calipso's model it watches, and how its configuration is made.
    pub calipso: Calipso,
    /// The same where another command line of it watches other objects.
    #[serde(default)]
    pub calipso_also: Vec<Calipso>,
    /// How often it runs, and who is told.
    pub schedule: Schedule,
    /// What it must be allowed to do.
    pub rights: Rights,
    /// What it can find wrong, by code.
    pub codes: BTreeMap<String, CodeEntry>,
    /// What it measures, by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, MetricEntry>,
    /// What `--expect` can be asked about, by name.
    #[serde(default)]
    pub facts: BTreeMap<String, FactEntry>,
}

/// Where a check stands in Calipso's model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calipso {
    /// Object type, or link type written `from-to`.
    pub object: String,
    /// Name of Calipso's monitoring template, where there is one.
    pub template: Option<String>,
    /// Whether its objects are checked unless `calipso-provision` is told; without this: where
    /// there is a template of Calipso's.
    pub enabled: Option<bool>,
    /// Mechanism drivers of the environments it is meant for; empty: all.
    pub mechanism_drivers: Vec<String>,
    /// Environment types (`OpenStack`, `Kubernetes`, ...) it is meant for; empty: all.
    #[serde(default)]
    pub environment_types: Vec<String>,
    /// The command, with the object's fields in braces.
    #[serde(deserialize_with = "template")]
    pub command: String,
    /// The name of the configured check, with the object's fields in braces.
    #[serde(deserialize_with = "name_template")]
    pub check_name: String,
}

/// How a check is run by default.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Timing")]
pub struct Schedule {
    /// Seconds between runs.
    pub interval: u32,
    /// Seconds after which the binary, called by the command above, ends by itself.
    pub deadline: f64,
    /// Seconds after which the agent ends it: above the binary's own deadline.
    pub timeout: u32,
    /// Seconds after which a missing result is an alarm.
    pub ttl: u32,
    /// Sensu Core's type of check: `metric` or `standard`.
    pub kind: String,
    /// Handlers of its events.
    pub handlers: Vec<String>,
    /// Subscriptions it is published to.
    pub subscribers: Vec<String>,
}

/// A [`Schedule`] as it is written, before its times are compared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timing {
    interval: u32,
    #[serde(default = "ten")]
    deadline: f64,
    timeout: u32,
    ttl: u32,
    #[serde(rename = "type")]
    kind: String,
    handlers: Vec<String>,
    subscribers: Vec<String>,
}

impl TryFrom<Timing> for Schedule {
    type Error = String;

    fn try_from(raw: Timing) -> Result<Self, String> {
        let Timing { interval, deadline, timeout, ttl, kind, handlers, subscribers } = raw;
        if interval == 0 {
            return Err("an interval of 0".to_owned());
        }
        if f64::from(timeout) <= deadline {
            return Err(format!(
                "timeout {timeout} must be above the deadline of the binary itself, {deadline} s"
            ));
        }
        // Sensu raises an alarm when ttl passes without a result.
        if ttl <= interval {
            return Err(format!("ttl {ttl} must be above the interval, {interval}"));
        }
        if !["metric", "standard"].contains(&kind.as_str()) {
            return Err(format!("type '{kind}' is not metric or standard"));
        }
        Ok(Self { interval, deadline, timeout, ttl, kind, handlers, subscribers })
    }
}

/// What a check needs beyond an ordinary user.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// Linux capabilities it may keep, as `setcap` writes them.
    pub capabilities: Vec<String>,
    /// Linux capabilities it keeps where it has them, for what is asked by an option; packages do
    /// not set them.
    #[serde(default)]
    pub optional: Vec<String>,
    /// Groups that suffice instead, where the daemon's sockets have one.
    pub groups: Vec<String>,
    /// Sockets and files it opens.
    pub sockets: Vec<String>,
}

/// One thing that a check can find wrong.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeEntry {
    /// What it counts as unless `--as` says otherwise: `ok`, `warning`, `critical`, `unknown`.
    #[serde(deserialize_with = "status")]
    pub status: String,
    /// What was seen.
    pub meaning: String,
}

/// One number that a check emits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricEntry {
    /// `s ms us % B KB MB TB c` or nothing.
    #[serde(default, deserialize_with = "unit")]
    pub unit: String,
    /// `gauge` or `counter`; a counter also offers `NAME_rate`, per second.
    #[serde(deserialize_with = "gauge_or_counter")]
    pub kind: String,
    /// What tells apart several values of one run, for example `port`.
    pub label: Option<String>,
    /// Name in Prometheus text, without `_total`.
    pub prometheus: String,
    /// What to multiply with for Prometheus' base unit (milliseconds: 0.001).
    #[serde(default = "one")]
    pub prometheus_factor: f64,
    /// A counter that is read together with this one, of which only values other than 0 are listed: one
    /// that is new was 0.
    pub listed_with: Option<String>,
    /// What it is.
    pub meaning: String,
}

/// One thing that is not a number and can be expected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactEntry {
    /// What it is, with its values.
    pub meaning: String,
}

fn one() -> f64 {
    1.0
}

/// The deadline of a check that is given none.
fn ten() -> f64 {
    10.0
}

fn one_of<'de, D: Deserializer<'de>>(from: D, words: &[&str]) -> Result<String, D::Error> {
    let word = String::deserialize(from)?;
    if words.contains(&word.as_str()) {
        return Ok(word);
    }
    Err(D::Error::custom(format!("'{word}' is none of: {}", words.join(", "))))
}

fn status<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    one_of(from, &["ok", "warning", "critical", "unknown"])
}

fn gauge_or_counter<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    one_of(from, &["gauge", "counter"])
}

fn unit<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    one_of(from, &["", "s", "ms", "us", "%", "B", "KB", "MB", "TB", "c"])
}

fn template<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    pieces(&text).map_err(D::Error::custom)?;
    Ok(text)
}

/// What stands outside braces goes into names of Sensu as it is.
fn name_template<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = template(from)?;
    fits_name(&text).map_err(D::Error::custom)?;
    Ok(text)
}

/// Whether a check's name has only what Sensu takes, outside of its braces.
///
/// # Errors
/// It has something else.
pub fn fits_name(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-{}".contains(c);
    match text.chars().find(|c| !fits(*c)) {
        Some(c) => Err(format!("'{c}' cannot be part of a check's name")),
        None => Ok(()),
    }
}

/// A part of a text with fields in braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'t> {
    /// As it is.
    Text(&'t str),
    /// The value of the field of this name.
    Field(&'t str),
}

/// Takes a text with fields in braces apart. Braces around anything but a name of letters, digits
/// and `_` are text, as in `${HOME}` or `{ }`: the templates of Calipso know no escape for them.
///
/// # Errors
/// A `{` that nothing closes.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest[from..].find('{').map(|at| from + at) {
        let Some(end) = rest[at..].find('}').map(|end| at + end) else {
            return Err(format!("'{text}' has a {{ without a }}"));
        };
        let name = &rest[at + 1..end];
        let is_shell = rest[..at].ends_with('$');
        let is_name = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !is_shell;
        if !is_name {
            from = at + 1;
            continue;
        }
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        pieces.push(Piece::Field(name));
        rest = &rest[end + 1..];
        from = 0;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}
