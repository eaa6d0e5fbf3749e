//! The shape of one file of `checks-manifest/`. Unknown keys are refused, so that a mistyped
//! key is an error and not a silent default. Shared by the build script and the library.

use serde::Deserialize;
use std::collections::BTreeMap;

/// One check: everything that a monitoring system, a package or a reader needs to know of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The binary, and the name of the check: `check_` and lower case.
    pub name: String,
    /// Names under which packages also offer the binary.
    pub old_names: Vec<String>,
    /// What an OK of this check means, in one sentence.
    pub sentence: String,
    /// What to do when it is red.
    pub red: String,
    /// The metric meant by a limit that names none.
    pub main_metric: Option<String>,
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
    /// Mechanism drivers of the environments it is meant for; empty: all.
    pub mechanism_drivers: Vec<String>,
    /// The command, with the object's fields in braces.
    pub command: String,
    /// The name of the configured check, with the object's fields in braces.
    pub check_name: String,
}

/// How a check is run by default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Seconds between runs.
    pub interval: u32,
    /// Seconds after which the agent ends it: above the binary's own deadline.
    pub timeout: u32,
    /// Seconds after which a missing result is an alarm.
    pub ttl: u32,
    /// Sensu Core's type of check: `metric` or `standard`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Handlers of its events.
    pub handlers: Vec<String>,
    /// Subscriptions it is published to.
    pub subscribers: Vec<String>,
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
    pub status: String,
    /// What was seen.
    pub meaning: String,
}

/// One number that a check emits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricEntry {
    /// `s ms us % B KB MB TB c` or nothing.
    #[serde(default)]
    pub unit: String,
    /// `gauge` or `counter`; a counter also offers `NAME_rate`, per second.
    pub kind: String,
    /// What tells apart several values of one run, for example `port`.
    pub label: Option<String>,
    /// Name in Prometheus text, without `_total`.
    pub prometheus: String,
    /// What to multiply with for Prometheus' base unit (milliseconds: 0.001).
    #[serde(default = "one")]
    pub prometheus_factor: f64,
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
