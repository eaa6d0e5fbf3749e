//! Verdicts on facts that are written down: a compute node with hybrid plugging.

use super::graph::Graph;
use super::*;
use crate::host::libvirt;
use crate::host::link::{OperState, Port as BridgePort, PortState, captured_bond};
use crate::host::netns::Neighbours;
use crate::host::ovs::daemon::Daemon;
use crate::host::ovs::ports::{Devices, Tables};
use crate::host::ovs::row::{Bridge, Interface, Port};
use crate::host::ovsdb::value::{Map, Optional, Set, Uuid};
use crate::host::{Trouble, Why};
use clap::{Args as _, FromArgMatches};

fn up(name: &str, index: u32) -> Link {
    Link {
        name: name.into(),
        index,
        admin_up: true,
        lower_up: true,
        operstate: OperState::Up,
        mtu: 1500,
        ..Link::default()
    }
}

fn of_kind(kind: &'static str, link: Link) -> Link {
    Link { kind: Some(kind.into()), ..link }
}

fn in_bridge(link: Link, master: u32) -> Link {
    let port = BridgePort { state: PortState::Forwarding, number: Some(1) };
    let master_kind = Some("bridge".into());
    Link { master: Some(master), master_kind, port: Some(port), ..link }
}

fn veth(name: &str, index: u32, peer: u32) -> Link {
    Link { partner: Some(peer), ..of_kind("veth", up(name, index)) }
}

/// tap - qbr - qvb = qvo - br-int - int-br-ex = phy-br-ex - br-ex - eth1; vxlan-1 on br-tun; bond0.
fn host() -> Snapshot {
    let links = vec![
        of_kind("bridge", up("qbr1ab-01", 1)),
        in_bridge(of_kind("tun", up("tap1ab-01", 2)), 1),
        in_bridge(veth("qvb1ab-01", 3, 4), 1),
        veth("qvo1ab-01", 4, 3),
        up("eth1", 5),
        up("br-ex", 6),
        of_kind("tun", up("tap2ab-02", 7)),
        up("bd0", 8),
        up("bd1", 9),
        up("bd9", 11),
        Link { vlan: 100.try_into().ok(), partner: Some(5), ..of_kind("vlan", up("eth1.100", 10)) },
    ];
    let address = |text: &str| text.parse().expect("an address");
    let tunnels = Tunnels { addresses: vec![(6, address("192.0.2.11"))], ..Tunnels::default() };
    Snapshot { links, tunnels, ovs: Some(switch()), ..Snapshot::default() }
}

fn switch() -> Ports {
    let mut tables = Tables::default();
    for bridge in ["br-int", "br-ex", "br-tun", "br-data"] {
        tables.bridges.push(Bridge { name: bridge.into(), ..Bridge::default() });
    }
    plug(&mut tables, 0, "qvo1ab-01", "", &[], Some(1));
    plug(&mut tables, 0, "tap2ab-02", "", &[], Some(1));
    plug(&mut tables, 0, "int-br-ex", "patch", &[("peer", "phy-br-ex")], None);
    plug(&mut tables, 1, "phy-br-ex", "patch", &[("peer", "int-br-ex")], None);
    plug(&mut tables, 1, "eth1", "", &[], None);
    plug(&mut tables, 0, "patch-tun", "patch", &[("peer", "patch-int")], None);
    plug(&mut tables, 2, "patch-int", "patch", &[("peer", "patch-tun")], None);
    let ends = [("remote_ip", "192.0.2.12"), ("local_ip", "192.0.2.11")];
    plug(&mut tables, 2, "vxlan-1", "vxlan", &ends, None);
    plug(&mut tables, 3, "bd0", "", &[], None);
    plug(&mut tables, 3, "bd1", "", &[], None);
    let second = tables.ports.pop().expect("bd1");
    let bond = tables.ports.last_mut().expect("bd0");
    bond.interfaces.0.extend(second.interfaces.0);
    bond.name = "bond0".into();
    let names = tables.interfaces.values().map(|interface| interface.name.clone());
    let devices = Devices::Known(names.collect());
    Ports { vswitchd: Daemon::alive(), server: None, tables: Ok(tables), devices }
}

fn plug(
    tables: &mut Tables,
    bridge: usize,
    name: &str,
    kind: &str,
    options: &[(&str, &str)],
    tag: Option<u64>,
) {
    let map = |pairs: &[(&str, &str)]| {
        Map(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    };
    let state = || Optional(Some("up".to_owned()));
    let interface = Interface {
        uuid: Uuid(format!("i-{name}")),
        name: name.into(),
        kind: kind.into(),
        admin_state: state(),
        link_state: state(),
        options: map(options),
        ..Interface::default()
    };
    let port = Port {
        uuid: Uuid(format!("p-{name}")),
        name: name.into(),
        interfaces: Set(vec![interface.uuid.clone()]),
        tag: Optional(tag),
        ..Port::default()
    };
    tables.bridge_of.insert(port.uuid.clone(), bridge);
    tables.interfaces.insert(interface.uuid.clone(), interface);
    tables.ports.push(port);
}

fn args(line: &str) -> Args {
    let command = Args::augment_args(clap::Command::new("check_link").no_binary_name(true));
    let matches = command.try_get_matches_from(line.split_whitespace()).expect("arguments");
    Args::from_arg_matches(&matches).expect("arguments")
}

fn judged(host: Snapshot, line: &str) -> Report {
    CheckLink::judge(&Ok(host), &args(line), &Past::default())
}

fn found(host: Snapshot, line: &str) -> Vec<(&'static str, String)> {
    judged(host, line).findings.into_iter().map(|f| (f.code.name, f.text)).collect()
}

fn codes(host: Snapshot, line: &str) -> Vec<&'static str> {
    found(host, line).into_iter().map(|(code, _)| code).collect()
}

fn link<'h>(host: &'h mut Snapshot, name: &str) -> &'h mut Link {
    host.links.iter_mut().find(|link| link.name == name).expect("a device")
}

fn tables(host: &mut Snapshot) -> &mut Tables {
    host.ovs.as_mut().expect("a switch").tables.as_mut().expect("tables")
}

fn interface<'h>(host: &'h mut Snapshot, name: &str) -> &'h mut Interface {
    tables(host).interfaces.get_mut(&Uuid(format!("i-{name}"))).expect("an interface")
}

fn port<'h>(host: &'h mut Snapshot, name: &str) -> &'h mut Port {
    tables(host).ports.iter_mut().find(|port| port.name == name).expect("a port")
}

/// Takes a port out of its bridge.
fn unplug(host: &mut Snapshot, name: &str) {
    let tables = tables(host);
    tables.ports.retain(|port| port.name != name);
    tables.interfaces.remove(&Uuid(format!("i-{name}")));
}

fn set(interface: &mut Interface, key: &str, value: &str) {
    interface.external_ids.0.insert(key.to_owned(), value.to_owned());
}

#[test]
fn healthy_links_are_drawn_from_end_to_end() {
    for (line, drawn) in [
        ("vnic-vconnector tap1ab-01 qbr1ab-01", "tap1ab-01 -> qbr1ab-01"),
        (
            "vnic-vedge tap1ab-01 br-int",
            "tap1ab-01 -> qbr1ab-01 -> qvb1ab-01 = qvo1ab-01 -> br-int (tag 1)",
        ),
        ("vedge-vnic br-int tap2ab-02", "br-int (tag 1) -> tap2ab-02"),
        ("vedge-host_pnic br-int eth1", "br-int -> int-br-ex = phy-br-ex -> br-ex -> eth1"),
        ("vedge-host_pnic br-data bd1", "br-data -> bond0 -> bd1"),
        ("host_pnic-network eth1 100", "eth1 -> VLAN 100"),
        ("host_pnic-network bond0 100", "bond0 -> VLAN 100"),
        (
            "path tap2ab-02 101",
            "tap2ab-02 -> br-int (tag 1) -> int-br-ex = phy-br-ex -> br-ex -> eth1 -> VLAN 101",
        ),
        (
            "vedge-otep br-int 192.0.2.12",
            "br-int -> patch-tun = patch-int -> br-tun -> vxlan-1 -> 192.0.2.12",
        ),
        ("otep-host_pnic 192.0.2.12 eth1", "192.0.2.12 -> vxlan-1 -> br-ex (192.0.2.11) -> eth1"),
        ("path vxlan-1 eth1", "vxlan-1 -> br-ex (192.0.2.11) -> eth1"),
        (
            "path tap1ab-01 192.0.2.12",
            "tap1ab-01 -> qbr1ab-01 -> qvb1ab-01 = qvo1ab-01 -> br-int (tag 1) \
          -> patch-tun = patch-int -> br-tun -> vxlan-1 -> 192.0.2.12",
        ),
    ] {
        let report = judged(host(), line);
        assert_eq!(report.findings, [], "{line}");
        assert_eq!(report.when_ok, format!("joined: {drawn}"), "{line}");
    }
}

#[test]
fn each_node_on_the_way_must_work() {
    let line = "path tap1ab-01 eth1";
    for name in ["tap1ab-01", "qbr1ab-01", "qvb1ab-01", "qvo1ab-01", "eth1"] {
        let mut host = host();
        link(&mut host, name).admin_up = false;
        let text = format!("{name} is switched off (admin-down)");
        assert_eq!(found(host, line), [("admin-down", text)]);
    }
    // The LOCAL port of a bridge says nothing, but where a tunnel leaves by its address.
    let mut down = host();
    link(&mut down, "br-ex").admin_up = false;
    assert!(codes(down, line).is_empty());
    let mut down = host();
    link(&mut down, "br-ex").admin_up = false;
    assert_eq!(codes(down, "otep-host_pnic vxlan-1 eth1"), ["admin-down"]);
    let mut blocked = host();
    link(&mut blocked, "qvb1ab-01").port = Some(BridgePort::default());
    assert_eq!(codes(blocked, line), ["not-forwarding"]);
    // One that Open vSwitch alone knows to be down.
    let mut error = host();
    interface(&mut error, "tap2ab-02").error = Optional(Some("could not open".into()));
    let expected = ("error", "tap2ab-02: could not open".to_owned());
    assert_eq!(found(error, "vnic-vedge tap2ab-02 br-int"), [expected]);
}

#[test]
fn a_missing_joint_is_named() {
    /// What is broken, the link, the code and the sentence.
    type Case = (fn(&mut Snapshot), &'static str, &'static str, &'static str);
    let cases: &[Case] = &[
        (
            |host| link(host, "qvb1ab-01").master = None,
            "vnic-vedge tap1ab-01 br-int",
            "not-joined",
            "qvb1ab-01 is not plugged into any bridge",
        ),
        (
            |host| unplug(host, "qvo1ab-01"),
            "vnic-vedge tap1ab-01 br-int",
            "not-joined",
            "qvo1ab-01 is not plugged into any bridge",
        ),
        (
            |host| link(host, "tap1ab-01").master = None,
            "vconnector-vnic qbr1ab-01 tap1ab-01",
            "not-joined",
            "tap1ab-01 is not plugged into any bridge",
        ),
        (
            |_| {},
            "vnic-vedge tap1ab-01 br-ex",
            "wrong-bridge",
            "qvo1ab-01 is plugged into br-int, not br-ex",
        ),
        (
            |_| {},
            "vedge-host_pnic br-int bd0",
            "not-joined",
            "bond0 is plugged into br-data, which nothing joins to br-int",
        ),
        (
            |host| unplug(host, "phy-br-ex"),
            "vedge-host_pnic br-int eth1",
            "no-peer",
            "int-br-ex: its peer phy-br-ex does not exist",
        ),
        (
            |host| {
                let options = &mut interface(host, "phy-br-ex").options.0;
                options.insert("peer".into(), "patch-tun".into());
            },
            "host_pnic-vedge eth1 br-int",
            "no-peer",
            "phy-br-ex: its peer patch-tun is not joined back to it",
        ),
        (
            |host| unplug(host, "eth1"),
            "vedge-host_pnic br-int eth1",
            "not-joined",
            "neither eth1 nor eth1.100 is plugged into a bridge",
        ),
        (
            |host| host.tunnels.addresses.clear(),
            "otep-host_pnic vxlan-1 eth1",
            "no-local",
            "vxlan-1: its local address 192.0.2.11 is on no device of this host",
        ),
        (
            |host| host.tunnels.addresses[0].0 = 8,
            "otep-host_pnic vxlan-1 eth1",
            "not-joined",
            "vxlan-1 leaves from 192.0.2.11 on bd0, not through eth1",
        ),
        (
            |host| port(host, "eth1").trunks = Set(vec![7]),
            "host_pnic-network eth1 101",
            "wrong-tag",
            "eth1 does not carry VLAN 101: it is a trunk of VLAN 7",
        ),
        (
            |host| {
                port(host, "bond0").tag = Optional(Some(5));
                port(host, "bond0").vlan_mode = Optional(Some("native-untagged".into()));
            },
            "host_pnic-network bond0 5",
            "wrong-tag",
            "bond0 does not carry VLAN 5 with its tag: it is its native VLAN, which goes untagged",
        ),
        (
            |_| {},
            "host_pnic-network int-br-ex 100",
            "not-joined",
            "int-br-ex does not carry VLAN 100: it is no port that leads off this host",
        ),
        (
            |host| port(host, "eth1").trunks = Set(vec![7]),
            "path tap2ab-02 101",
            "not-joined",
            "no NIC that tap2ab-02 is joined to carries VLAN 101",
        ),
        (
            |host| port(host, "eth1").trunks = Set(vec![7]),
            "path vxlan-1 101",
            "not-joined",
            "no NIC that vxlan-1 is joined to carries VLAN 101",
        ),
        (
            |host| host.tunnels.addresses.push((10, "192.0.2.9".parse().expect("an address"))),
            "host_pnic-network bd9 untagged",
            "not-joined",
            "bd9 does not carry what has no tag: it is in no bridge and has no address",
        ),
        (
            |_| {},
            "host_pnic-network bd9 101",
            "not-joined",
            "bd9 does not carry VLAN 101: it has no VLAN device for it and is in no bridge of Open vSwitch",
        ),
    ];
    for (breaks, line, code, text) in cases {
        let mut host = host();
        breaks(&mut host);
        let found = found(host, line);
        assert!(found.contains(&(*code, (*text).to_owned())), "{line}: {found:?}");
    }
}

#[test]
fn the_way_below_a_tunnel_is_no_detour() {
    // Were the tunnel crossed, the tap would reach eth1 by it.
    let mut host = host();
    unplug(&mut host, "phy-br-ex");
    let found = found(host, "path tap2ab-02 eth1");
    assert_eq!(found[0], ("no-peer", "int-br-ex: its peer phy-br-ex does not exist".to_owned()));
}

#[test]
fn a_tunnel_whose_address_is_gone_is_not_joined_by_its_bridge() {
    let mut host = host();
    host.tunnels.addresses.clear();
    assert_eq!(codes(host, "otep-host_pnic vxlan-1 eth1"), ["no-local"]);
}

#[test]
fn ends_that_do_not_exist_are_told_both() {
    let absent = codes(host(), "vnic-vedge tap9 br-9");
    assert_eq!(absent, ["absent", "absent"]);
    let found = found(host(), "vnic-vedge eth1 qbr1ab-01");
    let text = "qbr1ab-01 is a bridge of the kernel, not a bridge of Open vSwitch".to_owned();
    assert_eq!(found, [("not-bridge", text)]);
    let gone = Inside { number: None, sight: Sight::Absent };
    let netns = vec![("qdhcp-1".to_owned(), gone)];
    let host = Snapshot { netns, ..host() };
    assert_eq!(codes(host, "vservice-vnic qdhcp-1 tap9"), ["absent"]);
}

#[test]
fn vlans_of_two_ports_of_a_bridge_must_meet() {
    let line = "path tap2ab-02 qvo1ab-01";
    let with = |tag: Option<u64>, trunks: Vec<u64>, mode: Option<&str>| {
        let mut host = host();
        let port = port(&mut host, "qvo1ab-01");
        port.tag = Optional(tag);
        port.trunks = Set(trunks);
        port.vlan_mode = Optional(mode.map(str::to_owned));
        codes(host, line)
    };
    assert!(with(Some(1), vec![], None).is_empty());
    assert_eq!(with(Some(2), vec![], None), ["wrong-tag"]);
    assert!(with(None, vec![], None).is_empty());
    assert!(with(None, vec![1, 5], None).is_empty());
    assert_eq!(with(None, vec![5], None), ["wrong-tag"]);
    assert_eq!(with(Some(2), vec![5], Some("native-tagged")), ["wrong-tag"]);
    assert!(with(Some(2), vec![1], Some("native-untagged")).is_empty());
    assert!(with(Some(2), vec![], Some("trunk")).is_empty());
}

#[test]
fn what_is_asked_of_a_link_is_compared() {
    let line = "vnic-vedge tap1ab-01 br-int";
    let mut named = host();
    set(interface(&mut named, "qvo1ab-01"), "iface-id", "id-1");
    set(interface(&mut named, "qvo1ab-01"), "attached-mac", "FA:16:3E:00:00:01");
    let ask = |options: &str| {
        let mut named = host();
        set(interface(&mut named, "qvo1ab-01"), "iface-id", "id-1");
        set(interface(&mut named, "qvo1ab-01"), "attached-mac", "FA:16:3E:00:00:01");
        codes(named, &format!("{line} {options}"))
    };
    assert!(ask("--tag 1 --iface-id id-1 --mac fa-16-3e-00-00-01").is_empty());
    assert_eq!(ask("--tag 2"), ["wrong-tag"]);
    assert_eq!(ask("--iface-id id-2"), ["wrong-iface-id"]);
    assert_eq!(ask("--mac fa:16:3e:00:00:02"), ["wrong-mac"]);
    assert_eq!(codes(host(), &format!("{line} --iface-id id-1")), ["wrong-iface-id"]);
    // Plugged in without a word: by the tap's own address.
    let mut tap = host();
    link(&mut tap, "tap1ab-01").mac = "fe:16:3e:00:00:01".parse().ok();
    assert!(codes(tap, &format!("{line} --mac fa:16:3e:00:00:01")).is_empty());
    let kernel = "vnic-vconnector tap1ab-01 qbr1ab-01 --tag 1";
    assert_eq!(codes(host(), kernel), ["wrong-tag"]);
}

#[test]
fn packets_must_not_become_too_large_on_the_way_out() {
    let with = |mtus: &[(&str, u32)], line: &str| {
        let mut host = host();
        for (name, mtu) in mtus {
            link(&mut host, name).mtu = *mtu;
        }
        found(host, line)
            .into_iter()
            .map(|(code, text)| format!("{code}: {text}"))
            .collect::<Vec<_>>()
    };
    let line = "path tap1ab-01 eth1";
    let shrinks = ["mtu-shrinks: eth1 takes 1400 bytes only, 1500 come from tap1ab-01"];
    assert_eq!(with(&[("eth1", 1400)], line), shrinks);
    assert!(with(&[("tap1ab-01", 1450)], line).is_empty(), "a guest may send less");
    assert!(with(&[("qbr1ab-01", 1300), ("br-ex", 1300)], line).is_empty(), "bridges have no say");
    // Reversed, a link is still one of guests to the network.
    assert!(with(&[("tap2ab-02", 1400)], "vedge-vnic br-int tap2ab-02").is_empty());
    assert!(with(&[("eth1", 9000)], "host_pnic-vedge eth1 br-int").is_empty());
    let mut host = host();
    host.tunnels.vxlans.push(Vxlan {
        name: "tap2ab-02".into(),
        index: 7,
        local: "192.0.2.11".parse().ok(),
        ..Vxlan::default()
    });
    unplug(&mut host, "tap2ab-02");
    assert_eq!(codes(host, "otep-host_pnic tap2ab-02 eth1"), ["mtu-shrinks"]);
}

#[test]
fn without_its_daemon_open_vswitch_is_not_believed_and_the_kernel_is() {
    let dead = || {
        let mut host = host();
        let ovs = host.ovs.as_mut().expect("a switch");
        ovs.vswitchd.answer = Err(Trouble { whom: "x".into(), why: Why::Refused });
        host
    };
    assert_eq!(codes(dead(), "vnic-vedge tap1ab-01 br-int"), ["no-process"]);
    assert!(codes(dead(), "vnic-vconnector tap1ab-01 qbr1ab-01").is_empty());
    assert_eq!(codes(dead(), "vnic-vedge tap1ab-01 br-9"), ["no-process", "absent"]);
    let mut hidden = host();
    let trouble = Trouble { whom: "the database (/s)".into(), why: Why::Forbidden };
    hidden.ovs.as_mut().expect("a switch").tables = Err(trouble);
    assert_eq!(codes(hidden, "vnic-vedge tap9 br-int"), ["forbidden"]);
}

#[test]
fn a_namespace_has_what_is_in_it() {
    let with = |number, sight, line: &str| {
        let inside = Inside { number, sight };
        let mut host = Snapshot { netns: vec![("ns1".to_owned(), inside)], ..host() };
        host.links.push(Link { partner_netns: Some(4), ..veth("veth4", 20, 2) });
        codes(host, line)
    };
    let pod = || Sight::Seen(vec![veth("pod4", 2, 20), up("eth0", 3)]);
    let hidden = || Sight::Hidden(Some(vec!["lo".to_owned(), "pod4".to_owned()]));
    assert!(with(Some(4), pod(), "vservice-vnic ns1 pod4").is_empty());
    assert!(with(Some(4), pod(), "vservice-vnic ns1 veth4").is_empty());
    assert_eq!(with(Some(5), pod(), "vservice-vnic ns1 veth4"), ["not-joined"]);
    assert_eq!(with(Some(4), pod(), "vservice-vnic ns1 eth9"), ["absent"]);
    assert!(with(Some(4), hidden(), "vservice-vnic ns1 veth4").is_empty());
    assert_eq!(with(Some(4), hidden(), "vservice-vnic ns1 pod4"), ["forbidden"]);
    assert_eq!(with(Some(4), hidden(), "vservice-vnic ns1 eth9"), ["absent"]);
    assert_eq!(with(None, Sight::Hidden(None), "vservice-vnic ns1 eth9"), ["forbidden"]);
    let stale = |neighbours| with(None, Sight::Stale(neighbours), "vservice-vnic ns1 veth4");
    assert_eq!(stale(Neighbours::SomeLive), ["not-joined", "stale"]);
    assert_eq!(stale(Neighbours::NoneLive), ["not-joined", "no-propagation"]);
}

/// A domain in a state of libvirt's, with one vNIC.
fn with_domain(state: i32, vnic: Vnic) -> Snapshot {
    let state = libvirt::state::State::of(state);
    let domain = libvirt::Domain {
        name: "vm1".into(),
        uuid: "11111111-abcd-4000-8000-000000000001".parse().expect("a UUID"),
        id: Some(4),
        state,
        reason: state.reason(0),
        figures: None,
        vnics: Some(vec![vnic]),
    };
    let asked = Asked {
        socket: "/s".into(),
        answer: Ok(Answer::Domain(domain)),
        rtt: None,
        daemon: None,
        process: None,
    };
    Snapshot { domain: Some(asked), domain_name: Some("vm1".into()), ..host() }
}

#[test]
fn a_domain_has_the_vnics_that_libvirt_says() {
    let tap = |name: &str| Vnic {
        target: Some(name.into()),
        mac: "fa:16:3e:00:00:01".parse().ok(),
        iface_id: Some("id-1".into()),
        ..Vnic::default()
    };
    let line = "instance-vnic vm1 tap1ab-01";
    assert!(codes(with_domain(1, tap("tap1ab-01")), line).is_empty());
    assert!(codes(with_domain(1, tap("tap1ab-01")), "vnic-instance tap1ab-01 vm1").is_empty());
    assert_eq!(codes(with_domain(3, tap("tap1ab-01")), line), ["paused"]);
    let other = found(with_domain(1, tap("tap2ab-02")), line);
    let text = "tap1ab-01 is no vNIC of vm1, which has tap2ab-02".to_owned();
    assert_eq!(other, [("not-joined", text)]);
    let unplugged = Vnic { unplugged: true, ..tap("tap1ab-01") };
    assert_eq!(codes(with_domain(1, unplugged), line), ["link-down"]);
    let asked =
        |options: &str| codes(with_domain(1, tap("tap1ab-01")), &format!("{line} {options}"));
    assert!(asked("--mac fa:16:3e:00:00:01 --iface-id id-1").is_empty());
    assert_eq!(asked("--mac fa:16:3e:00:00:02"), ["wrong-mac"]);
    assert_eq!(asked("--iface-id id-2"), ["wrong-iface-id"]);
    // What libvirt and Open vSwitch say of one vNIC must be the same.
    let mut differs = with_domain(1, tap("tap2ab-02"));
    set(interface(&mut differs, "tap2ab-02"), "attached-mac", "fa:16:3e:00:00:09");
    assert_eq!(codes(differs, "path vm1 br-int"), ["wrong-mac"]);
    for line in [
        "path vm1 br-int",
        "path br-int vm1",
        "path vm1 br-int --iface-id id-1",
        "path vm1 br-int --iface-id id-9",
        "vnic-instance tap2ab-02 vm1",
    ] {
        let mut differs = with_domain(1, tap("tap2ab-02"));
        set(interface(&mut differs, "tap2ab-02"), "iface-id", "id-9");
        let text = "vm1 has iface-id id-1 for it, tap2ab-02 id-9".to_owned();
        assert_eq!(found(differs, line), [("wrong-iface-id", text)], "{line}");
    }
}

#[test]
fn every_id_of_a_link_is_the_one_that_is_wanted() {
    let mut trunk = host();
    set(interface(&mut trunk, "qvo1ab-01"), "iface-id", "id-1");
    set(interface(&mut trunk, "tap2ab-02"), "iface-id", "id-2");
    let clone = || Snapshot { links: trunk.links.clone(), ovs: trunk.ovs.clone(), ..host() };
    assert!(codes(clone(), "path tap2ab-02 tap1ab-01 --iface-id id-1").is_empty());
    assert!(codes(clone(), "path tap2ab-02 tap1ab-01 --iface-id id-2").is_empty());
    assert_eq!(codes(clone(), "path tap2ab-02 tap1ab-01 --iface-id id-3"), ["wrong-iface-id"]);
}

#[test]
fn of_several_vnics_the_one_that_is_wanted_is_judged() {
    let vnic = |n: u8, name: &str| Vnic {
        target: Some(name.into()),
        mac: format!("fa:16:3e:00:00:0{n}").parse().ok(),
        iface_id: Some(format!("id-{n}")),
        ..Vnic::default()
    };
    let two = || {
        let mut host = with_domain(1, vnic(2, "tap2ab-02"));
        if let Some(Asked { answer: Ok(Answer::Domain(domain)), .. }) = &mut host.domain {
            domain.vnics.as_mut().expect("vNICs").push(vnic(1, "tap1ab-01"));
        }
        host
    };
    for line in [
        "path vm1 br-int --mac fa:16:3e:00:00:01",
        "path vm1 br-int --iface-id id-1",
        "path br-int vm1 --mac fa:16:3e:00:00:01 --iface-id id-1",
    ] {
        let report = judged(two(), line);
        assert_eq!(report.findings, [], "{line}");
        assert!(report.when_ok.contains("tap1ab-01"), "{line}: {}", report.when_ok);
    }
    assert_eq!(codes(two(), "path vm1 br-int --mac fa:16:3e:00:00:03"), ["wrong-mac"]);
    assert_eq!(codes(two(), "path vm1 br-int --iface-id id-3"), ["wrong-iface-id"]);
}

#[test]
fn a_vhost_user_vnic_is_a_port_of_open_vswitch() {
    let socket = "/run/vhost/vhu1ab-01";
    let line = "instance-vnic vm1 vhu1ab-01";
    let with = |vnic: Vnic| {
        let mut host = with_domain(1, vnic);
        let options = [("vhost-server-path", socket)];
        plug(tables(&mut host), 0, "vhu1ab-01", "dpdkvhostuserclient", &options, Some(1));
        set(interface(&mut host, "vhu1ab-01"), "iface-id", "id-1");
        host
    };
    let text = |text: &str| Some(text.to_owned());
    let by_name = Vnic { target: text("vhu1ab-01"), ..Vnic::default() };
    let by_socket = Vnic { socket: text(socket), ..Vnic::default() };
    // The older kind of port makes the socket itself and is called like it.
    let by_file = Vnic { socket: text("/var/run/openvswitch/vhu1ab-01"), ..Vnic::default() };
    let by_id = Vnic { iface_id: text("id-1"), ..Vnic::default() };
    for vnic in [by_name.clone(), by_socket, by_file, by_id] {
        assert!(codes(with(vnic.clone()), line).is_empty(), "{vnic:?}");
    }
    let other = Vnic { socket: text("/run/vhost/vhu2"), ..Vnic::default() };
    assert_eq!(codes(with(other), line), ["not-joined"]);
    let mut off = with(by_name.clone());
    interface(&mut off, "vhu1ab-01").link_state = Optional(Some("down".into()));
    assert_eq!(codes(off, line), ["guest-off"]);
    // Where the kernel has the device, Open vSwitch has no part of the link.
    let asks = |host: &Snapshot, line: &str| may_be_of_ovs(host, &args(line));
    assert!(asks(&with(by_name.clone()), line));
    assert!(!asks(&with(by_name), "instance-vnic vm1 tap1ab-01"));
    // Before libvirt is asked: rights that are lent are laid down with the first word to a daemon.
    assert!(asks(&host(), line));
    assert!(asks(&host(), "vnic-vedge tap1ab-01 br-int"));
}

#[test]
fn a_vlan_must_be_the_one_that_the_way_carries() {
    let beside = || {
        let mut host = host();
        host.links.push(up("eth9", 30));
        plug(tables(&mut host), 0, "eth9", "", &[], None);
        if let Devices::Known(names) = &mut host.ovs.as_mut().expect("a switch").devices {
            names.insert("eth9".to_owned());
        }
        host
    };
    assert!(codes(beside(), "path tap2ab-02 1").is_empty());
    assert_eq!(codes(beside(), "path tap2ab-02 101"), ["wrong-tag"]);
    assert_eq!(codes(beside(), "path 101 tap2ab-02"), ["wrong-tag"]);
    assert_eq!(codes(beside(), "path tap2ab-02 untagged"), ["wrong-tag"]);
    let mut access = beside();
    port(&mut access, "eth9").tag = Optional(Some(1));
    assert!(codes(access, "path tap2ab-02 untagged").is_empty());
}

#[test]
fn a_tunnel_without_its_address_carries_nothing() {
    for line in [
        "vedge-otep br-int vxlan-1",
        "otep-vedge 192.0.2.12 br-tun",
        "otep-vconnector vxlan-1 br-tun",
        "path tap2ab-02 192.0.2.12",
    ] {
        let mut host = host();
        host.tunnels.addresses.clear();
        let text = "vxlan-1: its local address 192.0.2.11 is on no device of this host".to_owned();
        assert_eq!(found(host, line), [("no-local", text)], "{line}");
    }
}

#[test]
fn ports_of_a_bridge_that_is_switched_off_are_not_blamed() {
    let mut off = host();
    link(&mut off, "qbr1ab-01").admin_up = false;
    for name in ["tap1ab-01", "qvb1ab-01"] {
        link(&mut off, name).port = Some(BridgePort::default());
    }
    let text = "qbr1ab-01 is switched off (admin-down)".to_owned();
    assert_eq!(found(off, "path tap1ab-01 eth1"), [("admin-down", text)]);
}

#[test]
fn a_nic_with_an_address_of_its_own_carries_it_untagged() {
    let with = |index, line: &str| {
        let mut host = host();
        let tagged = Link { vlan: 5.try_into().ok(), partner: Some(11), ..up("bd9.5", 12) };
        host.links.push(of_kind("vlan", tagged));
        host.tunnels.addresses.push((index, "203.0.113.7".parse().expect("an address")));
        judged(host, line)
    };
    let report = with(11, "host_pnic-network bd9 untagged");
    assert_eq!(report.findings, []);
    assert_eq!(report.when_ok, "joined: bd9 -> untagged");
    let told = |report: &Report| report.evidence.iter().any(|e| e.text.contains("own address"));
    assert!(told(&report), "{:?}", report.evidence);
    // What a VLAN device has leaves with a tag.
    let vlan = with(12, "host_pnic-network bd9 untagged");
    assert_eq!(vlan.findings.len(), 1);
}

#[test]
fn a_path_has_two_ends() {
    assert!(two_ends(&args("path eth1 eth1")).is_err());
    assert!(two_ends(&args("path eth1 br-ex")).is_ok());
    assert!(two_ends(&args("vservice-vnic ns1 ns1")).is_ok());
}

#[test]
fn an_access_port_puts_no_tag_on_its_wire() {
    let mut host = host();
    port(&mut host, "eth1").tag = Optional(Some(5));
    assert_eq!(codes(host, "host_pnic-network eth1 5"), ["wrong-tag"]);
}

#[test]
fn a_patch_that_holds_is_preferred_to_one_that_does_not() {
    let mut host = host();
    plug(tables(&mut host), 0, "int-aa", "patch", &[("peer", "phy-br-ex")], None);
    assert!(codes(host, "vedge-host_pnic br-int eth1").is_empty());
}

#[test]
fn a_tunnel_leaves_by_its_own_address_only() {
    let mut host = host();
    host.tunnels.addresses.push((8, "198.51.100.1".parse().expect("an address")));
    assert_eq!(codes(host, "otep-host_pnic vxlan-1 bd0"), ["not-joined"]);
}

#[test]
fn what_kernel_and_database_both_say_is_told_once() {
    let mut host = host();
    link(&mut host, "eth1").admin_up = false;
    interface(&mut host, "eth1").admin_state = Optional(Some("down".into()));
    interface(&mut host, "eth1").link_state = Optional(Some("down".into()));
    assert_eq!(codes(host, "vedge-host_pnic br-ex eth1"), ["admin-down"]);
}

#[test]
fn a_bond_is_a_place_of_its_own() {
    let mut half = host();
    interface(&mut half, "bd0").link_state = Optional(Some("down".into()));
    assert_eq!(codes(half, "vedge-host_pnic br-data bd1"), ["member-down"]);
    assert!(judged(host(), "vedge-host_pnic br-data bond0").findings.is_empty());
}

/// brq1 - bond9.7 - bond9 - b0, b1, as Neutron's agent for Linux bridges makes them.
fn with_bond_of_the_kernel() -> Snapshot {
    let member = |link| Link { master: Some(30), master_kind: Some("bond".into()), ..link };
    let vlan = of_kind("vlan", up("bond9.7", 33));
    let vlan = Link { vlan: 7.try_into().ok(), partner: Some(30), ..vlan };
    let mut host = host();
    host.links.extend([
        of_kind("bond", up("bond9", 30)),
        member(up("b0", 31)),
        member(up("b1", 32)),
        in_bridge(vlan, 34),
        of_kind("bridge", up("brq1", 34)),
    ]);
    host
}

#[test]
fn a_bond_of_the_kernel_carries_what_its_members_carry() {
    for (line, drawn) in [
        ("host_pnic-network bond9 7", "bond9 -> bond9.7 -> VLAN 7"),
        ("host_pnic-network b1 7", "b1 -> bond9 -> bond9.7 -> VLAN 7"),
        ("vconnector-host_pnic brq1 b0", "brq1 -> bond9.7 -> bond9 -> b0"),
        ("path b0 brq1", "b0 -> bond9 -> bond9.7 -> brq1"),
    ] {
        let report = judged(with_bond_of_the_kernel(), line);
        assert_eq!(report.findings, [], "{line}");
        assert_eq!(report.when_ok, format!("joined: {drawn}"), "{line}");
    }
    let mut host = with_bond_of_the_kernel();
    link(&mut host, "bond9.7").admin_up = false;
    assert_eq!(codes(host, "host_pnic-network b0 7"), ["admin-down"]);
    let text = "b0 does not carry VLAN 8: it has no VLAN device for it and is in no bridge of Open vSwitch";
    let found = found(with_bond_of_the_kernel(), "host_pnic-network b0 8");
    assert_eq!(found, [("not-joined", text.to_owned())]);
}

#[test]
fn a_bond_of_the_kernel_tells_the_members_it_has_lost() {
    let half = || {
        let mut host = with_bond_of_the_kernel();
        link(&mut host, "b0").lower_up = false;
        host
    };
    let lost = |text: &str| vec![("member-down", text.to_owned())];
    for line in [
        "host_pnic-network bond9 7",
        "host_pnic-network b1 7",
        "vconnector-host_pnic brq1 bond9",
        "path b1 brq1",
    ] {
        assert_eq!(
            found(half(), line),
            lost("bond9: member b0 has no link (no carrier)"),
            "{line}"
        );
    }
    // The chain ends above the bond.
    let text = "bond9.7: bond9: member b0 has no link (no carrier)";
    for line in ["vconnector-host_pnic brq1 bond9.7", "host_pnic-network bond9.7 7"] {
        assert_eq!(found(half(), line), lost(text), "{line}");
    }
    // What the chain goes through is told once.
    assert_eq!(codes(half(), "host_pnic-network b0 7"), ["link-down"]);
    let mut none = half();
    link(&mut none, "b1").admin_up = false;
    for down in ["bond9", "bond9.7"] {
        link(&mut none, down).lower_up = false;
    }
    let expected = ["link-down", "member-down", "member-down", "link-down"];
    assert_eq!(codes(none, "host_pnic-network bond9 7"), expected);
}

#[test]
fn a_member_on_the_way_that_its_bond_does_not_use_is_told() {
    let bonded = || {
        let (bond, links) = captured_bond("lacp-other-aggregator");
        let mut host = Snapshot { links, ..host() };
        host.links.extend([in_bridge(bond, 900), of_kind("bridge", up("brq1", 900))]);
        host
    };
    let text = "bond4: member m0 has link, but no LACP partner";
    for line in ["host_pnic-network m0 untagged", "host_pnic-network l0 untagged"] {
        assert_eq!(found(bonded(), line), [("member-down", text.to_owned())], "{line}");
    }
}

#[test]
fn no_way_turns_round_on_a_nic() {
    let two_vlans = || {
        let vlan = of_kind("vlan", up("bond9.8", 35));
        let vlan = Link { vlan: 8.try_into().ok(), partner: Some(30), ..vlan };
        let mut host = with_bond_of_the_kernel();
        host.links.extend([in_bridge(vlan, 36), of_kind("bridge", up("brq2", 36))]);
        host
    };
    for line in ["path brq1 brq2", "path b0 b1", "path bond9.7 bond9.8"] {
        assert!(codes(two_vlans(), line).contains(&"not-joined"), "{line}");
    }
    let found = found(two_vlans(), "vconnector-host_pnic brq1 eth1");
    assert!(found.iter().all(|(_, text)| !text.contains("bond9.8")), "{found:?}");
    // A VLAN device of a NIC that is in a bridge itself.
    for line in ["path brq1 brq2", "path brq2 bond9.7"] {
        let mut host = two_vlans();
        let bond = link(&mut host, "bond9");
        *bond = in_bridge(bond.clone(), 36);
        assert!(codes(host, line).contains(&"not-joined"), "{line}");
    }
}

#[test]
fn what_a_vlan_device_carries_has_its_tag_on_the_wire() {
    const ALONE: &str = "in no bridge and has no address";
    for (nic, is) in [("bond9", ALONE), ("b0", ALONE), ("bond9.7", "VLAN 7")] {
        let found = found(with_bond_of_the_kernel(), &format!("host_pnic-network {nic} untagged"));
        let text = format!("{nic} does not carry what has no tag: it is {is}");
        assert_eq!(found, [("not-joined", text)]);
    }
    let mut host = with_bond_of_the_kernel();
    let bond = link(&mut host, "bond9");
    *bond = in_bridge(bond.clone(), 34);
    let report = judged(host, "host_pnic-network b0 untagged");
    assert_eq!(report.when_ok, "joined: b0 -> bond9 -> untagged");
}

#[test]
fn a_graph_is_the_same_whatever_order_the_database_keeps() {
    let line = args("path tap1ab-01 eth1");
    let drawn = |host: &Snapshot| {
        let graph = Graph::of(host, &[]);
        let [from, to] = line.ends().map(|name| graph.ends(End::Any, name));
        graph.drawn(&graph.chain(line.link_type(), &from, &to).expect("a chain"))
    };
    let mut host = host();
    let before = drawn(&host);
    // A second pair of patches, as after a restart of the agent.
    plug(tables(&mut host), 0, "int-zz", "patch", &[("peer", "phy-zz")], None);
    plug(tables(&mut host), 1, "phy-zz", "patch", &[("peer", "int-zz")], None);
    tables(&mut host).ports.reverse();
    assert_eq!(drawn(&host), before);
}
