use super::linux::Plug;
use super::ovs::{Behind, Way};
use super::*;
use crate::host::Why;
use crate::host::fdb::{Entry, Origin};
use crate::host::link::{Bridge, PortState};
use crate::host::ovs::bridges::{LOCAL, Learned};
use crate::host::ovs::daemon::Daemon;
use crate::host::ovs::ports::{Devices, Ports, Tables};
use crate::host::ovs::row::{Interface, Port};
use crate::host::ovsdb::value::{Map, Optional, Set, Uuid};

const GUEST: Mac = Mac([0xfa, 0x16, 0x3e, 0, 0, 1]);
const OTHER: Mac = Mac([0x02, 0, 0, 0, 0, 9]);

fn bridge(ageing: u32) -> Link {
    let bridge = Some(Bridge { ageing: Some(ageing), ..Bridge::default() });
    let kind = Some("bridge".into());
    Link { name: "br0".into(), index: 1, kind, bridge, admin_up: true, ..Link::default() }
}

fn plug(index: u32, name: &str, kind: Option<&'static str>, mac: Mac) -> Plug {
    let state = PortState::Forwarding;
    let link = Link {
        name: name.into(),
        index,
        kind: kind.map(Into::into),
        mac: Some(mac),
        master: Some(1),
        admin_up: true,
        lower_up: true,
        port: Some(crate::host::link::Port { state, number: None }),
        ..Link::default()
    };
    Plug { link, peer: None, peer_in_ovs: None }
}

fn tap() -> Plug {
    plug(2, "tap1", Some("tun"), GUEST.of_tap())
}

fn uplink() -> Plug {
    plug(3, "eth1", None, OTHER)
}

fn behind_port(port: u32, origin: Origin) -> Entry {
    Entry { port, origin, age: Some(Duration::from_secs(2)), vlan: None }
}

fn args(port: Option<&str>) -> Args {
    let place = PlaceArgs { rundir: None, db: None };
    Args { bridge: "br0".into(), mac: GUEST, port: port.map(str::to_owned), place }
}

fn codes(facts: Facts, port: Option<&str>) -> Vec<&'static str> {
    let report = VnicVconnector::judge(&facts, &args(port), &Past::default());
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code.name).collect();
    assert!(!codes.is_empty() || !report.when_ok.is_empty(), "an OK says why: {report:?}");
    codes
}

fn of(ageing: u32, entries: &[Entry], ports: Vec<Plug>, port: Option<&str>) -> Vec<&'static str> {
    let linux = Linux { bridge: bridge(ageing), entries: Ok(entries.to_vec()), ports, named: None };
    codes(Facts::Linux(Box::new(linux)), port)
}

fn at(index: u32) -> [Entry; 1] {
    [behind_port(index, Origin::Learned)]
}

#[test]
fn the_right_port_is_the_named_one_else_the_tap_else_any_but_an_uplink() {
    let both = || vec![tap(), uplink()];
    assert!(of(30_000, &at(2), both(), None).is_empty());
    assert!(of(30_000, &at(2), both(), Some("tap1")).is_empty());
    assert!(of(30_000, &at(3), both(), Some("eth1")).is_empty());
    assert_eq!(of(30_000, &at(2), both(), Some("eth1")), ["wrong-port"]);
    assert_eq!(of(30_000, &at(3), both(), None), ["on-uplink"]);
    assert_eq!(of(30_000, &at(2), both(), Some("tap9")), ["not-plugged", "wrong-port"]);
    let container = || plug(4, "veth1", Some("veth"), OTHER);
    assert!(of(30_000, &at(4), vec![container(), uplink()], None).is_empty());
    assert_eq!(of(30_000, &at(4), vec![tap(), container()], None), ["wrong-port"]);
    assert_eq!(of(30_000, &at(9), both(), None), ["unreadable"]);
    let fixed = [behind_port(2, Origin::Static)];
    assert!(of(30_000, &fixed, both(), None).is_empty());
}

#[test]
fn what_leads_away_is_an_uplink() {
    let veth = |change: fn(&mut Link), in_ovs: Option<Result<bool, Trouble>>| {
        let mut plug = plug(4, "veth1", Some("veth"), OTHER);
        let mut peer = Link { name: "peer".into(), ..Link::default() };
        change(&mut peer);
        (plug.peer, plug.peer_in_ovs) = (Some(peer), in_ovs);
        of(30_000, &at(4), vec![plug], None)
    };
    let trouble = |why| Some(Err(Trouble { whom: "it".into(), why }));
    assert!(veth(|_| {}, None).is_empty());
    assert!(veth(|_| {}, Some(Ok(false))).is_empty());
    assert_eq!(veth(|peer| peer.name = "qvo1".into(), None), ["on-uplink"]);
    let in_datapath = |peer: &mut Link| peer.master_kind = Some("openvswitch".into());
    assert_eq!(veth(in_datapath, None), ["on-uplink"]);
    assert_eq!(veth(|peer| peer.master = Some(7), None), ["on-uplink"]);
    assert_eq!(veth(|_| {}, Some(Ok(true))), ["on-uplink"]);
    assert_eq!(veth(|_| {}, trouble(Why::Forbidden)), ["forbidden"]);
    assert_eq!(veth(|_| {}, trouble(Why::Silent(Duration::ZERO))), ["timeout"]);
    for kind in [None, Some("vlan"), Some("vxlan"), Some("bond")] {
        let port = plug(4, "up", kind, OTHER);
        assert_eq!(of(30_000, &at(4), vec![port], None), ["on-uplink"], "{kind:?}");
    }
}

#[test]
fn a_port_that_does_not_forward_is_critical_whether_the_address_is_known_or_not() {
    type Change = (fn(&mut Link), &'static str);
    let changes: [Change; 3] = [
        (|link| link.admin_up = false, "admin-down"),
        (|link| link.lower_up = false, "link-down"),
        (|link| link.port = None, "not-forwarding"),
    ];
    for (change, code) in changes {
        for (ageing, entries) in [(30_000, &at(2)[..]), (30_000, &[]), (0, &[])] {
            let mut port = tap();
            change(&mut port.link);
            assert_eq!(of(ageing, entries, vec![port], None), [code], "{ageing} {entries:?}");
        }
    }
    let mut down = bridge(30_000);
    down.admin_up = false;
    let linux = Linux { bridge: down, entries: Ok(vec![]), ports: vec![], named: None };
    assert_eq!(codes(Facts::Linux(Box::new(linux)), None), ["bridge-down"]);
}

#[test]
fn an_address_that_is_not_there_is_a_warning_unless_nothing_is_learned() {
    assert_eq!(of(30_000, &[], vec![tap(), uplink()], None), ["not-seen"]);
    assert_eq!(of(30_000, &[], vec![tap(), uplink()], Some("tap1")), ["not-seen"]);
    assert!(of(0, &[], vec![tap(), uplink()], None).is_empty());
    let nameless = || plug(2, "tap1", Some("tun"), OTHER);
    assert!(of(0, &[], vec![nameless(), uplink()], None).is_empty(), "the only one");
    let two = || vec![nameless(), plug(5, "tap2", Some("tun"), OTHER)];
    assert_eq!(of(0, &[], two(), None), ["not-seen"]);
    assert!(of(0, &[], two(), Some("tap2")).is_empty());
    assert_eq!(of(0, &[], vec![uplink()], None), ["not-plugged"]);
    // The tap of another of Neutron's guests is no candidate.
    let anothers = "fe:16:3e:00:00:99".parse().expect("an address");
    let mut other = nameless();
    other.link.mac = Some(anothers);
    assert_eq!(of(0, &[], vec![other], None), ["not-plugged"]);
    assert_eq!(of(0, &[], vec![uplink()], Some("tap1")), ["not-plugged"]);
}

#[test]
fn an_address_of_the_host_is_not_learned() {
    let local = |port| [behind_port(port, Origin::Local)];
    assert_eq!(of(30_000, &local(2), vec![tap()], None), ["local"]);
    assert_eq!(of(30_000, &local(1), vec![tap()], None), ["local"]);
    let mixed = [local(3), at(2)].concat();
    assert!(of(30_000, &mixed, vec![tap(), uplink()], None).is_empty());
}

// ------------------------------------------------------------------ bridges of Open vSwitch

fn interface(name: &str, kind: &str, link: &str, attached: bool) -> Interface {
    let mac = attached.then(|| ("attached-mac".to_owned(), GUEST.to_string()));
    Interface {
        uuid: Uuid(format!("i-{name}")),
        name: name.into(),
        kind: kind.into(),
        admin_state: Optional(Some(link.into())),
        link_state: Optional(Some(link.into())),
        external_ids: Map(mac.into_iter().collect()),
        ..Interface::default()
    }
}

fn row(name: &str, tag: Option<u64>) -> Port {
    Port {
        uuid: Uuid(format!("p-{name}")),
        name: name.into(),
        interfaces: Set(vec![Uuid(format!("i-{name}"))]),
        tag: Optional(tag),
        ..Port::default()
    }
}

fn on(name: &str) -> crate::host::ovs::row::Bridge {
    crate::host::ovs::row::Bridge { name: name.into(), ..Default::default() }
}

/// The bridge asked for, and perhaps a port that has the address, on it or on another.
fn ovs(port: Option<(Interface, Port, &str)>, learned: Option<Result<Vec<Way>, Trouble>>) -> Ovs {
    let mut tables = Tables { bridges: vec![on("br0")], ..Tables::default() };
    if let Some((interface, port, bridge)) = port {
        tables.bridge_of.insert(port.uuid.clone(), tables.bridges.len());
        tables.bridges.push(on(bridge));
        tables.interfaces.insert(interface.uuid.clone(), interface);
        tables.ports.push(port);
    }
    let devices = Devices::Known(["tap1".to_owned()].into());
    let ports = Ports { vswitchd: Daemon::alive(), server: None, tables: Ok(tables), devices };
    Ovs { ports, learned }
}

fn of_ovs(ovs: Ovs, port: Option<&str>) -> Vec<&'static str> {
    codes(Facts::Other { device: None, ovs: Some(Box::new(ovs)) }, port)
}

#[test]
fn a_vnic_that_is_plugged_in_is_judged_by_its_port() {
    let attached = |kind: &str, link: &str, tag| {
        let port = (interface("tap1", kind, link, true), row("tap1", tag), "br0");
        ovs(Some(port), None)
    };
    assert!(of_ovs(attached("", "up", Some(1)), None).is_empty());
    assert!(of_ovs(attached("", "up", Some(1)), Some("tap1")).is_empty());
    assert_eq!(of_ovs(attached("", "up", Some(1)), Some("tap2")), ["wrong-port"]);
    assert_eq!(of_ovs(attached("", "down", Some(1)), None), ["admin-down"]);
    assert_eq!(of_ovs(attached("", "up", Some(4095)), None), ["dead-vlan"]);
    assert_eq!(of_ovs(attached("internal", "down", Some(1)), None), ["admin-down"]);
    let mut moved = attached("internal", "down", Some(1));
    moved.ports.devices = Devices::Known(Default::default());
    assert!(of_ovs(moved, None).is_empty(), "it may work in its namespace");
    let mut off = attached("internal", "down", Some(1));
    off.ports.devices = Devices::Known(Default::default());
    let tables = off.ports.tables.as_mut().expect("tables");
    tables.interfaces.values_mut().for_each(|i| i.mtu = Optional(Some(1500)));
    assert_eq!(of_ovs(off, None), ["admin-down"], "it is seen there");
    let mut unseen = attached("internal", "down", Some(1));
    unseen.ports.devices = Devices::NotComparable("hidden".into());
    assert_eq!(of_ovs(unseen, None), ["not-comparable"]);
    let mut dead = attached("", "up", Some(1));
    dead.ports.vswitchd.answer = Err(Trouble { whom: "x".into(), why: Why::Refused });
    assert_eq!(of_ovs(dead, None), ["no-process"], "what the database says is stale");
}

#[test]
fn a_port_that_is_not_set_up_does_not_forward() {
    let with = |change: fn(&mut Interface)| {
        let mut interface = interface("tap1", "", "up", true);
        change(&mut interface);
        of_ovs(ovs(Some((interface, row("tap1", None), "br0")), None), None)
    };
    assert_eq!(with(|i| i.error = Optional(Some("no device".into()))), ["error"]);
    assert_eq!(with(|i| i.admin_state = Optional(None)), ["not-configured"]);
    assert_eq!(with(|i| i.link_state = Optional(Some("down".into()))), ["link-down"]);
}

fn way(kind: &str, leads_to: Option<&str>, device: Option<Option<&'static str>>) -> Way {
    let device = device.map(|kind| Link { kind: kind.map(Into::into), ..Link::default() });
    Way {
        learned: Learned { port: 2, vlan: 1, age: Some(Duration::from_secs(3)) },
        port: Some(Behind {
            port: row("p2", None),
            interfaces: vec![interface("p2", kind, "up", false)],
            leads_to: leads_to.map(str::to_owned),
            device,
        }),
    }
}

fn learned(way: Way, elsewhere: Option<&str>, port: Option<&str>) -> Vec<&'static str> {
    let at = |bridge| (interface("tap1", "", "up", true), row("tap1", None), bridge);
    of_ovs(ovs(elsewhere.map(at), Some(Ok(vec![way]))), port)
}

#[test]
fn a_vnic_that_is_not_plugged_in_is_looked_for_in_the_table() {
    assert_eq!(of_ovs(ovs(None, Some(Ok(vec![]))), None), ["not-seen"]);
    assert!(learned(way("", None, Some(Some("veth"))), None, None).is_empty());
    assert!(learned(way("patch", Some("tbr-1"), None), Some("tbr-1"), None).is_empty());
    assert_eq!(learned(way("patch", Some("br-ex"), None), Some("tbr-1"), None), ["on-uplink"]);
    assert_eq!(learned(way("patch", Some("br-ex"), None), None, None), ["on-uplink"]);
    assert_eq!(learned(way("vxlan", None, None), None, None), ["on-uplink"]);
    assert_eq!(learned(way("dpdk", None, None), None, None), ["on-uplink"]);
    assert_eq!(learned(way("", None, Some(None)), None, None), ["on-uplink"]);
    assert!(learned(way("", None, Some(None)), None, Some("p2")).is_empty());
    assert_eq!(learned(way("", None, None), None, Some("p3")), ["wrong-port"]);
    let local = Learned { port: LOCAL, vlan: 0, age: Some(Duration::ZERO) };
    assert_eq!(learned(Way { learned: local, port: None }, None, None), ["local"]);
    let gone = Learned { port: 2, vlan: 0, age: Some(Duration::ZERO) };
    assert_eq!(learned(Way { learned: gone, port: None }, None, None), ["unreadable"]);
}

#[test]
fn a_table_that_may_not_be_read_is_unknown() {
    let mut seen = ovs(None, None);
    seen.ports.vswitchd.answer = Err(Trouble { whom: "x".into(), why: Why::Forbidden });
    seen.ports.vswitchd.process = Some(crate::host::process::Process {
        pid: 7,
        parent: None,
        name: "x".into(),
        state: crate::host::process::State::Alive,
        started: 0,
        age: 1,
        memory: 1,
        title: "x".into(),
    });
    seen.ports.vswitchd.pidfile = Ok(crate::host::pidfile::PidFile {
        path: "/run/x.pid".into(),
        written: Some(7),
        holder: crate::host::pidfile::Holder::Process(7),
    });
    assert_eq!(of_ovs(seen, None), ["forbidden"]);
    let refused = Trouble { whom: "x".into(), why: Why::Unreadable("x".into()) };
    assert_eq!(of_ovs(ovs(None, Some(Err(refused))), None), ["unreadable"]);
}
