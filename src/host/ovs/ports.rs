//! Ports of one Open vSwitch with what belongs to each: bridge, interfaces, patch peers, devices
//! of the kernel, and whether the daemon that writes their state is alive.

use super::Place;
use super::daemon::{ALIVE, Daemon, Found};
use super::row::{self, Bridge, Interface, Port};
use crate::host::mac::Mac;
use crate::host::ovsdb::value::Uuid;
use crate::host::ovsdb::{Ask, Transact};
use crate::host::process::{self, Depth, DeviceList, Process};
use crate::host::talk::converse;
use crate::host::{Host, Trouble};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// Which ports are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// These, by the name of the port or of a bond member.
    Names(Vec<String>),
    /// Those whose interface has one of these `external_ids:iface-id`.
    IfaceIds(Vec<String>),
    /// Those that a guest's vNIC with this address is plugged into (`external_ids:attached-mac`),
    /// on whichever bridge; and the bridge of this name.
    Attached {
        /// The address.
        mac: Mac,
        /// The bridge.
        bridge: String,
    },
    /// Those with this `OpenFlow` number: each bridge may have one.
    Numbered(u16),
    /// All.
    All,
    /// All, without counters, speed and duplex.
    AllWithoutFigures,
}

impl Wanted {
    const fn is_all(&self) -> bool {
        matches!(self, Self::All | Self::AllWithoutFigures)
    }
}

/// What was read, and whether it can be believed.
#[derive(Debug, Clone)]
pub struct Ports {
    /// The daemon that writes the states.
    pub vswitchd: Daemon,
    /// The process behind the database's unix socket, where that kept silent and it can be seen.
    pub server: Option<Process>,
    /// The tables, as far as they were wanted.
    pub tables: Result<Tables, Trouble>,
    /// Network devices in the daemon's namespace.
    pub devices: Devices,
}

/// Rows, joined by [`Tables::bridge_of`] and [`Tables::interfaces_of`].
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Bridges: those of the wanted ports, or all.
    pub bridges: Vec<Bridge>,
    /// The wanted ports, or all.
    pub ports: Vec<Port>,
    /// Their interfaces and the peers of patch ports, or all.
    pub interfaces: HashMap<Uuid, Interface>,
    /// The bridge of a port, by row.
    pub bridge_of: HashMap<Uuid, usize>,
    /// Whether any interface is `ovn-installed`.
    pub ovn_installs: bool,
}

/// Network devices in the namespace of ovs-vswitchd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Devices {
    /// Those of the wanted that exist.
    Known(HashSet<String>),
    /// Why it is not known.
    NotComparable(String),
}

impl Tables {
    /// The interfaces of a port, by name: the database keeps them in no order.
    pub fn interfaces_of(&self, port: &Port) -> Vec<&Interface> {
        let uuids = port.interfaces.0.iter();
        let mut all: Vec<_> = uuids.filter_map(|uuid| self.interfaces.get(uuid)).collect();
        all.sort_by_key(|interface| &interface.name);
        all
    }

    /// The bridge of a port.
    pub fn bridge_of(&self, port: &Port) -> Option<&Bridge> {
        self.bridges.get(*self.bridge_of.get(&port.uuid)?)
    }

    /// An interface by name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.values().find(|interface| interface.name == name)
    }
}

/// Which table the rows of a question belong to.
#[derive(Clone)]
enum Rows {
    Interfaces,
    Ports,
    Bridges,
    /// The bridge of this port.
    BridgeOf(Uuid),
    Nothing,
}

type Questions = Vec<(Rows, Ask)>;

impl Host {
    /// Reads ports, and asks ovs-vswitchd for a sign of life at the same time.
    pub fn ovs_ports(&self, place: &Place, wanted: &Wanted) -> Ports {
        let mut tables = Tables::default();
        let found = vec![Found::new(&place.rundir, "ovs-vswitchd", ALIVE)];
        let (kinds, asks) = first_questions(wanted).into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        let mut select = Transact::new(asks, |i, row| take(&mut tables, &kinds[i], row));
        let asked = self.ask_ovs(found, place, &mut select, Depth::State);
        drop(select);
        let vswitchd = asked.daemons.into_iter().next().expect("one daemon was asked");
        let tables = asked.database.and_then(|_| self.join(place, wanted, tables));
        let devices = tables.as_ref().map_or_else(
            |_| Devices::NotComparable("the database did not answer".to_owned()),
            |tables| self.devices(&vswitchd, tables),
        );
        Ports { vswitchd, server: asked.server, tables, devices }
    }

    /// Reads ports, and nothing else.
    ///
    /// # Errors
    /// The database did not answer as it should.
    pub fn ovs_tables(&self, place: &Place, wanted: &Wanted) -> Result<Tables, Trouble> {
        let mut tables = Tables::default();
        self.ask_more(place, first_questions(wanted), &mut tables)?;
        self.join(place, wanted, tables)
    }

    fn join(&self, place: &Place, wanted: &Wanted, mut tables: Tables) -> Result<Tables, Trouble> {
        if wanted.is_all() {
            join_all(&mut tables);
        } else {
            self.join_wanted(place, &mut tables)?;
        }
        Ok(tables)
    }

    /// What belongs to the ports: a round each for those found through their interface and for
    /// interfaces not read yet, where there are any, and one for the rest.
    fn join_wanted(&self, place: &Place, tables: &mut Tables) -> Result<(), Trouble> {
        if tables.ports.is_empty() && tables.interfaces.is_empty() {
            return Ok(());
        }
        let owned: HashSet<&Uuid> = tables.ports.iter().flat_map(|p| &p.interfaces.0).collect();
        let homeless: Vec<Uuid> =
            tables.interfaces.keys().filter(|uuid| !owned.contains(uuid)).cloned().collect();
        let owners = homeless.iter().map(|uuid| {
            let condition = json!(["interfaces", "includes", ["uuid", uuid.0]]);
            (Rows::Ports, Ask::rows("Port", vec![condition], row::PORT))
        });
        let owners: Questions = owners.collect();
        self.ask_more(place, owners, tables)?;
        self.ask_more(place, missing_interfaces(tables), tables)?;
        self.ask_more(place, second_questions(tables), tables)
    }

    fn ask_more(&self, place: &Place, asks: Questions, tables: &mut Tables) -> Result<(), Trouble> {
        if asks.is_empty() {
            return Ok(());
        }
        let (kinds, asks): (Vec<Rows>, Vec<Ask>) = asks.into_iter().unzip();
        let last = asks.len().saturating_sub(1);
        let mut select = Transact::new(asks, |i, row| take(tables, &kinds[i], row));
        let mut talks = [place.talk("the database", &place.db, &mut select)];
        converse(&mut talks, self.until);
        let [talk] = talks;
        let outcome = place.outcome(talk);
        let ovn_installs = select.any(last);
        drop(select);
        tables.ovn_installs |= ovn_installs;
        outcome.map(drop)
    }

    /// Which devices that OVS claims to have attached exist where ovs-vswitchd lives.
    fn devices(&self, vswitchd: &Daemon, tables: &Tables) -> Devices {
        let Some(process) = &vswitchd.process else {
            return Devices::NotComparable("the process of ovs-vswitchd cannot be seen".to_owned());
        };
        let wanted: Vec<&str> = tables
            .interfaces
            .values()
            .filter(|interface| interface.has_device())
            .map(|interface| interface.name.as_str())
            .collect();
        const FEW: usize = 8;
        let known = if wanted.is_empty() {
            Ok(HashSet::new())
        } else if wanted.len() <= FEW && process::shares_our_netns(process.pid).unwrap_or(false) {
            self.devices_here(&wanted)
        } else {
            (self.announce)("the devices in the namespace of ovs-vswitchd");
            DeviceList::of(process.pid)
                .and_then(DeviceList::names)
                .map(|names| names.into_iter().collect())
                .map_err(|e| format!("/proc/{}/net/dev: {e}", process.pid))
        };
        known.map_or_else(Devices::NotComparable, Devices::Known)
    }

    /// One question each costs less than the list of thousands of devices.
    fn devices_here(&self, wanted: &[&str]) -> Result<HashSet<String>, String> {
        let mut here = HashSet::new();
        for name in wanted {
            if self.link(name).map_err(|trouble| trouble.to_string())?.is_some() {
                here.insert((*name).to_owned());
            }
        }
        Ok(here)
    }
}

impl Interface {
    /// Whether it stands for a device of the kernel in ovs-vswitchd's namespace. DPDK ports do
    /// not; internal ports do until they are moved into another namespace.
    pub fn has_device(&self) -> bool {
        matches!(self.kind.as_str(), "" | "system" | "afxdp" | "internal")
    }
}

fn first_questions(wanted: &Wanted) -> Questions {
    let interface = |condition: Vec<Value>| {
        (Rows::Interfaces, Ask::rows("Interface", condition, row::INTERFACE))
    };
    let port = |condition: Vec<Value>| (Rows::Ports, Ask::rows("Port", condition, row::PORT));
    match wanted {
        Wanted::Names(names) => names
            .iter()
            .flat_map(|name| {
                let by_name = vec![json!(["name", "==", name])];
                [interface(by_name.clone()), port(by_name)]
            })
            .collect(),
        Wanted::IfaceIds(ids) => ids
            .iter()
            .map(|id| json!(["external_ids", "includes", ["map", [["iface-id", id]]]]))
            .map(|condition| interface(vec![condition]))
            .collect(),
        Wanted::Attached { mac, bridge } => {
            let lower = mac.to_string();
            let notations = [lower.to_uppercase(), lower];
            let asks = notations
                .iter()
                .map(|mac| json!(["external_ids", "includes", ["map", [["attached-mac", mac]]]]))
                .map(|condition| interface(vec![condition]));
            let named = vec![json!(["name", "==", bridge])];
            asks.chain([(Rows::Bridges, Ask::rows("Bridge", named, row::BRIDGE))]).collect()
        }
        Wanted::Numbered(number) => vec![interface(vec![json!(["ofport", "==", number])])],
        Wanted::All | Wanted::AllWithoutFigures => vec![
            if *wanted == Wanted::All {
                interface(vec![])
            } else {
                let columns = row::INTERFACE_WITHOUT_FIGURES;
                (Rows::Interfaces, Ask::rows("Interface", vec![], columns))
            },
            port(vec![]),
            (Rows::Bridges, Ask::rows("Bridge", vec![], row::BRIDGE_WITH_PORTS)),
        ],
    }
}

/// Interfaces of bonds, and of ports that are not named like theirs.
fn missing_interfaces(tables: &Tables) -> Questions {
    let wanted = tables.ports.iter().flat_map(|port| &port.interfaces.0);
    wanted
        .filter(|uuid| !tables.interfaces.contains_key(uuid))
        .map(|uuid| json!(["_uuid", "==", ["uuid", uuid.0]]))
        .map(|is| (Rows::Interfaces, Ask::rows("Interface", vec![is], row::INTERFACE)))
        .collect()
}

/// Bridges of the ports, peers of patch ports, and whether OVN is at work.
fn second_questions(tables: &Tables) -> Questions {
    let mut questions = Questions::new();
    for port in &tables.ports {
        let condition = json!(["ports", "includes", ["uuid", port.uuid.0]]);
        let ask = Ask::rows("Bridge", vec![condition], row::BRIDGE);
        questions.push((Rows::BridgeOf(port.uuid.clone()), ask));
    }
    for interface in tables.interfaces.values().filter(|i| i.kind == "patch") {
        if let Some(peer) = interface.options.get("peer") {
            let condition = json!(["name", "==", peer]);
            let ask = Ask::rows("Interface", vec![condition], row::INTERFACE);
            questions.push((Rows::Interfaces, ask));
        }
    }
    if tables.interfaces.values().any(Interface::may_lack_ovn) {
        let condition = json!(["external_ids", "includes", ["map", [["ovn-installed", "true"]]]]);
        let ask = Ask::Any { table: "Interface", conditions: vec![condition] };
        questions.push((Rows::Nothing, ask));
    }
    questions
}

impl Interface {
    /// Whether it is an instance's port that OVN might have installed, but did not.
    pub fn may_lack_ovn(&self) -> bool {
        self.external_ids.get("iface-id").is_some() && !self.ovn_installed()
    }

    /// Whether OVN has installed its flows.
    pub fn ovn_installed(&self) -> bool {
        self.external_ids.get("ovn-installed").is_some_and(|value| value == "true")
    }
}

fn take(tables: &mut Tables, rows: &Rows, row: &[u8]) -> Result<(), String> {
    fn read<T: DeserializeOwned>(row: &[u8]) -> Result<T, String> {
        serde_json::from_slice(row).map_err(|e| format!("a row: {e}"))
    }
    match rows {
        Rows::Interfaces => {
            let interface: Interface = read(row)?;
            tables.interfaces.insert(interface.uuid.clone(), interface);
        }
        Rows::Ports => {
            let port: Port = read(row)?;
            if !tables.ports.iter().any(|known| known.uuid == port.uuid) {
                tables.ports.push(port);
            }
        }
        Rows::Bridges => tables.bridges.push(read(row)?),
        Rows::BridgeOf(port) => {
            tables.bridge_of.insert(port.clone(), tables.bridges.len());
            tables.bridges.push(read(row)?);
        }
        Rows::Nothing => {}
    }
    Ok(())
}

fn join_all(tables: &mut Tables) {
    for (index, bridge) in tables.bridges.iter().enumerate() {
        tables.bridge_of.extend(bridge.ports.0.iter().map(|port| (port.clone(), index)));
    }
    tables.ovn_installs = tables.interfaces.values().any(Interface::ovn_installed);
}
