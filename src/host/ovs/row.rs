//! Rows of the database, with the columns that checks use.

use crate::host::ovsdb::value::{Map, Optional, Set, Uuid};
use serde::Deserialize;

/// A row of table `Interface`.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq, Default)]
#[serde(default)]
pub struct Interface {
    /// Its row.
    #[serde(rename = "_uuid")]
    pub uuid: Uuid,
    /// Its name: 15 bytes for devices of the kernel, more for others.
    pub name: String,
    /// `""` or `system`, `internal`, `patch`, `vxlan`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// `up` or `down`; none while ovs-vswitchd has not opened it.
    pub admin_state: Optional<String>,
    /// `up` or `down`; none while ovs-vswitchd has not opened it.
    pub link_state: Optional<String>,
    /// Why ovs-vswitchd could not set it up.
    pub error: Optional<String>,
    /// `OpenFlow` port number; -1 after a failure.
    pub ofport: Optional<i64>,
    /// Largest packet, bytes.
    pub mtu: Optional<u64>,
    /// Bits per second.
    pub link_speed: Optional<u64>,
    /// `full` or `half`.
    pub duplex: Optional<String>,
    /// Changes of the link state.
    pub link_resets: Optional<u64>,
    /// Whether the LACP partner's information is current; none without LACP.
    pub lacp_current: Optional<bool>,
    /// BFD configuration.
    pub bfd: Map<String>,
    /// BFD session.
    pub bfd_status: Map<String>,
    /// Options of its type: `peer`, `remote_ip`, ...
    pub options: Map<String>,
    /// What others keep there: `iface-id`, `attached-mac`, `ovn-installed`, ...
    pub external_ids: Map<String>,
    /// Counters.
    pub statistics: Map<i64>,
}

/// The columns of [`Interface`].
pub const INTERFACE: &[&str] = &[
    "_uuid",
    "name",
    "type",
    "admin_state",
    "link_state",
    "error",
    "ofport",
    "mtu",
    "link_speed",
    "duplex",
    "link_resets",
    "lacp_current",
    "bfd",
    "bfd_status",
    "options",
    "external_ids",
    "statistics",
];

/// The columns of [`Interface`] without what is only measured: counters are most of a row.
pub const INTERFACE_WITHOUT_FIGURES: &[&str] = &[
    "_uuid",
    "name",
    "type",
    "admin_state",
    "link_state",
    "error",
    "ofport",
    "mtu",
    "lacp_current",
    "bfd",
    "bfd_status",
    "options",
    "external_ids",
];

/// A row of table `Port`.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq, Default)]
#[serde(default)]
pub struct Port {
    /// Its row.
    #[serde(rename = "_uuid")]
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its interface; several make a bond.
    pub interfaces: Set<Uuid>,
    /// VLAN tag.
    pub tag: Optional<u64>,
    /// VLANs it carries tagged.
    pub trunks: Set<u64>,
    /// `access`, `trunk`, `native-tagged`, ...
    pub vlan_mode: Optional<String>,
    /// Neutron's agent keeps `net_uuid` there.
    pub other_config: Map<String>,
}

/// The columns of [`Port`].
pub const PORT: &[&str] =
    &["_uuid", "name", "interfaces", "tag", "trunks", "vlan_mode", "other_config"];

/// A row of table `Bridge`.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq, Default)]
#[serde(default)]
pub struct Bridge {
    /// Its name, and that of its LOCAL port.
    pub name: String,
    /// Its ports; read only where all of them are wanted.
    pub ports: Set<Uuid>,
    /// What it does without a controller: `standalone` (also where there is none), `secure`.
    pub fail_mode: Optional<String>,
    /// Its controllers.
    pub controller: Set<Uuid>,
    /// `mac-aging-time` and other settings.
    pub other_config: Map<String>,
}

/// The columns of [`Bridge`] without its ports, of which there may be thousands.
pub const BRIDGE: &[&str] = &["name"];
/// All columns of [`Bridge`].
pub const BRIDGE_WITH_PORTS: &[&str] = &["name", "ports"];
/// All columns of [`Bridge`], with what it is set to do.
pub const BRIDGE_WITH_SETTINGS: &[&str] =
    &["name", "ports", "fail_mode", "controller", "other_config"];

/// A row of table `Controller`.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq, Default)]
#[serde(default)]
pub struct Controller {
    /// Its row.
    #[serde(rename = "_uuid")]
    pub uuid: Uuid,
    /// Whether ovs-vswitchd has a connection to it.
    pub is_connected: bool,
}

/// The columns of [`Controller`].
pub const CONTROLLER: &[&str] = &["_uuid", "is_connected"];
