//! Tunnel ports of one Open vSwitch, and whether the daemon that drives them is alive.

use super::Place;
use super::daemon::{ALIVE, Daemon, Found};
use crate::host::ovsdb::value::{Map, Optional};
use crate::host::ovsdb::{Ask, Transact};
use crate::host::process::{Depth, Process};
use crate::host::{Host, Trouble};
use serde::Deserialize;
use serde_json::json;

/// What was read, and whether it can be believed.
#[derive(Debug, Clone)]
pub struct Tunnels {
    /// The daemon that drives the tunnels.
    pub vswitchd: Daemon,
    /// The process behind the database's unix socket, where that kept silent and it can be seen.
    pub server: Option<Process>,
    /// The tunnels.
    pub tunnels: Result<Vec<Tunnel>, Trouble>,
}

/// A row of table `Interface` that is a tunnel.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq, Default)]
#[serde(default)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// `vxlan`, `gre`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// `remote_ip`, `local_ip`, ...
    pub options: Map<String>,
    /// Why ovs-vswitchd could not set it up.
    pub error: Optional<String>,
    /// BFD configuration.
    pub bfd: Map<String>,
    /// BFD session.
    pub bfd_status: Map<String>,
    /// `tunnel_egress_iface`, `tunnel_egress_iface_carrier`.
    pub status: Map<String>,
}

const COLUMNS: &[&str] = &["name", "type", "options", "error", "bfd", "bfd_status", "status"];

/// Types of interfaces that are tunnels, of all versions; those with `ipsec_` were their own until
/// 2.6, later IPsec became an option.
const KINDS: &[&str] = &[
    "vxlan",
    "gre",
    "gre64",
    "geneve",
    "stt",
    "lisp",
    "gtpu",
    "erspan",
    "ip6erspan",
    "ip6gre",
    "srv6",
    "bareudp",
    "ipsec_gre",
    "ipsec_gre64",
    "ipsec_vxlan",
    "ipsec_geneve",
    "ipsec_stt",
];

impl Host {
    /// Reads all tunnels, and asks ovs-vswitchd for a sign of life at the same time. One question
    /// a type: the database sends no other ports, of which there may be thousands.
    pub fn ovs_tunnels(&self, place: &Place) -> Tunnels {
        let ask = |kind: &&str| Ask::rows("Interface", vec![json!(["type", "==", kind])], COLUMNS);
        let mut tunnels = Vec::new();
        let found = vec![Found::new(&place.rundir, "ovs-vswitchd", ALIVE)];
        let mut select = Transact::new(KINDS.iter().map(ask).collect(), |_, row| {
            tunnels.push(serde_json::from_slice(row).map_err(|e| format!("a row: {e}"))?);
            Ok(())
        });
        let asked = self.ask_ovs(found, place, &mut select, Depth::State);
        drop(select);
        let vswitchd = asked.daemons.into_iter().next().expect("one daemon was asked");
        Tunnels { vswitchd, server: asked.server, tunnels: asked.database.map(|_| tunnels) }
    }
}
