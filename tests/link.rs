//! Links on the real thing: every type healthy, reversed, and with each joint broken in turn and
//! repaired again. Needs root; says so and fails without it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

mod support;

use std::time::{Duration, Instant};
use support::{Expect, Lab, Said, run};

const LIBVIRT: &str = "--uri test:///run/node.xml";

/// Links that hold, by type: FROM and TO in the order of the table, and options.
const HEALTHY: &[(&str, &str, &str, &str)] = &[
    ("instance-vnic", "instance-00000001", "tap1ab-01", "--mac fa:16:3e:00:00:01"),
    ("instance-vnic", "11111111-abcd-4000-8000-000000000001", "tap1ab-01", ""),
    ("vservice-vnic", "qdhcp-1", "tap3ab-03", ""),
    ("vservice-vnic", "cni-4", "pod4", "--mac fa:16:3e:00:00:04"),
    ("vservice-vnic", "cni-4", "veth4", "-c hops=2:2"),
    ("vnic-vconnector", "tap1ab-01", "qbr1ab-01", "--expect tag=none"),
    ("vnic-vconnector", "tap2ab-02", "br-int", "--mac fa:16:3e:00:00:02"),
    ("vnic-vconnector", "veth4", "cni0", "-c mtu=1500:"),
    ("vnic-vedge", "tap1ab-01", "br-int", "--tag 1 --mac FA:16:3E:00:00:01 -c hops=4:4"),
    ("vnic-vedge", "tap2ab-02", "br-int", "--iface-id 22222222-01aa-4000-8000-000000000001"),
    ("vnic-vedge", "tap3ab-03", "br-int", "--expect tag=1"),
    ("vnic-vedge", "tap6ab-06", "br-int", ""),
    ("vconnector-vedge", "qbr1ab-01", "br-int", "--tag 1"),
    ("vconnector-vedge", "br-ex", "br-int", ""),
    ("vconnector-host_pnic", "brq7", "eth7", ""),
    ("vedge-host_pnic", "br-int", "eth1", "-c hops=4:4"),
    ("vedge-host_pnic", "br-ex", "eth1", ""),
    ("vedge-host_pnic", "br-data", "bd0", ""),
    ("vedge-host_pnic", "br-data", "bond0", ""),
    ("host_pnic-network", "eth1", "100", ""),
    ("host_pnic-network", "bond0", "100", ""),
    ("host_pnic-network", "eth1", "untagged", ""),
    ("host_pnic-network", "eth7", "untagged", ""),
    ("vedge-otep", "br-tun", "192.0.2.12", ""),
    ("vedge-otep", "br-tun", "192.0.2.11", ""),
    ("vedge-otep", "br-int", "vxlan-1", ""),
    ("otep-vconnector", "vxlan-5", "brq5", ""),
    ("otep-vconnector", "192.0.2.12", "brq5", ""),
    ("otep-host_pnic", "vxlan-1", "eth1", ""),
    ("otep-host_pnic", "gre-2", "eth1", ""),
    ("otep-host_pnic", "192.0.2.12", "eth1", ""),
    ("otep-host_pnic", "192.0.2.13", "eth1", ""),
    ("otep-host_pnic", "vxlan-5", "eth1", "-c mtu=1450:"),
];

fn lines(link: &(&str, &str, &str, &str)) -> [String; 2] {
    let (kind, from, to, options) = link;
    let (one, other) = kind.split_once('-').expect("two objects");
    [
        format!("check_link {kind} {from} {to} {LIBVIRT} {options}"),
        format!("check_link {other}-{one} {to} {from} {LIBVIRT} {options}"),
    ]
}

fn asked(lab: &Lab, line: &str) -> Said {
    lab.check(&format!("{line} --output-format json"))
}

#[test]
fn every_type_holds_in_both_directions() {
    let lab = Lab::up("link-healthy", &["links"]);
    for link in HEALTHY {
        for line in lines(link) {
            let said = asked(&lab, &line);
            assert!(said.exit == Some(0) && said.codes().is_empty(), "{line}: {said:?}");
        }
    }
    let drawn = [
        (
            "path tap1ab-01 eth1",
            "tap1ab-01 -> qbr1ab-01 -> qvb1ab-01 = qvo1ab-01 -> br-int (tag 1) -> \
             int-br-ex = phy-br-ex -> br-ex -> eth1",
        ),
        (
            "path eth1 tap1ab-01",
            "eth1 -> br-ex -> phy-br-ex = int-br-ex -> br-int (tag 1) -> qvo1ab-01 = qvb1ab-01 \
             -> qbr1ab-01 -> tap1ab-01",
        ),
        (
            "path qdhcp-1 eth1",
            "qdhcp-1 -> tap3ab-03 -> br-int (tag 1) -> int-br-ex = phy-br-ex -> br-ex -> eth1",
        ),
        ("path cni-4 cni0", "cni-4 -> pod4 = veth4 -> cni0"),
        (
            "path tap2ab-02 tap1ab-01",
            "tap2ab-02 -> br-int (tag 1) -> qvo1ab-01 = qvb1ab-01 -> qbr1ab-01 -> tap1ab-01",
        ),
        ("path vxlan-1 eth1", "vxlan-1 -> br-ex (192.0.2.11) -> eth1"),
        ("path 192.0.2.13 eth1", "192.0.2.13 -> flannel.1 -> br-ex (192.0.2.11) -> eth1"),
        ("path br-data bd1", "br-data -> bond0 -> bd1"),
        ("vnic-vedge tap6ab-06 br-int", "tap6ab-06 -> tbr-1 -> tpt-1 = tpi-1 -> br-int"),
    ];
    for (line, chain) in drawn {
        let said = lab.check(&format!("check_link {line}"));
        assert_eq!(said.first_line(), format!("CheckLink OK: joined: {chain}"), "{line}: {said:?}");
    }
}

#[test]
fn what_is_not_there_or_not_meant_is_told() {
    let lab = Lab::up("link-absent", &["links"]);
    let table: &[Expect] = &[
        ("instance-vnic instance-00000009 tap1ab-01", 2, &["absent"]),
        ("instance-vnic instance-00000001 tap9", 2, &["absent"]),
        ("instance-vnic instance-00000001 tap6ab-06", 2, &["not-joined"]),
        ("instance-vnic instance-00000001 tap2ab-02", 2, &["link-down"]),
        ("instance-vnic instance-00000003 tap6ab-06", 1, &["paused"]),
        ("instance-vnic instance-00000001 tap1ab-01 --mac fa:16:3e:00:00:02", 2, &["wrong-mac"]),
        ("vservice-vnic qdhcp-9 tap3ab-03", 2, &["absent"]),
        ("vservice-vnic qdhcp-1 eth0", 2, &["absent"]),
        ("vservice-vnic qdhcp-1 veth4", 2, &["not-joined"]),
        ("vnic-vconnector tap9 qbr1ab-01", 2, &["absent"]),
        ("vnic-vconnector tap1ab-01 eth1", 2, &["not-bridge"]),
        ("vnic-vconnector tap1ab-01 brq7", 2, &["wrong-bridge"]),
        ("vconnector-vnic brq7 tap1ab-01", 2, &["wrong-bridge"]),
        ("vnic-vedge tap1ab-01 br-ex", 2, &["wrong-bridge"]),
        ("vnic-vedge tap2ab-02 cni0", 2, &["not-bridge"]),
        ("vnic-vedge veth4 br-int", 2, &["not-joined"]),
        ("vnic-vedge tap2ab-02 br-int --tag 2", 2, &["wrong-tag"]),
        ("vnic-vedge tap6ab-06 br-int --tag 2", 2, &["wrong-tag"]),
        ("vnic-vedge tap2ab-02 br-int --iface-id 1", 2, &["wrong-iface-id"]),
        ("vnic-vedge tap2ab-02 br-int --mac fa:16:3e:00:00:01", 2, &["wrong-mac"]),
        ("vconnector-vedge brq7 br-int", 2, &["not-joined"]),
        ("vedge-host_pnic br-int eth7", 2, &["not-joined"]),
        ("vedge-host_pnic br-int bd0", 2, &["not-joined"]),
        ("vconnector-host_pnic brq7 bd0", 2, &["not-joined"]),
        ("host_pnic-network eth7 100", 2, &["not-joined"]),
        ("host_pnic-network eth1 4095", 3, &["usage"]),
        ("host_pnic-network eth1 blue", 3, &["usage"]),
        ("vedge-otep br-tun 192.0.2.99", 2, &["absent"]),
        ("vedge-otep br-data 192.0.2.12", 2, &["not-joined"]),
        ("otep-vconnector vxlan-5 brq7", 2, &["wrong-bridge"]),
        ("otep-vconnector flannel.1 brq5", 2, &["not-joined"]),
        ("otep-host_pnic vxlan-1 eth7", 2, &["not-joined"]),
        ("otep-host_pnic eth1 eth7", 2, &["absent"]),
        ("path tap1ab-01 eth7", 2, &["not-joined"]),
        ("path no-such-name eth7", 2, &["absent"]),
        ("path cni-4 br-int", 2, &["not-joined"]),
        ("path eth1 eth1", 3, &["usage"]),
        ("path instance-00000001 br-int --mac fa:16:3e:00:00:01", 0, &[]),
        ("path tap2ab-02 101", 0, &[]),
        ("vnic-vnic tap1ab-01 tap2ab-02", 3, &["usage"]),
        ("vnic-vedge tap1ab-01 br-int --tag 0", 3, &["usage"]),
    ];
    let ask = |line: &str| lab.check(&format!("check_link {line} {LIBVIRT}"));
    support::expect_all(table, ask);

    // libvirt and Open vSwitch have different ids of one vNIC; its cable is unplugged as well.
    lab.sh("ovs-vsctl --timeout=10 set Interface tap2ab-02 external_ids:iface-id=another");
    let differs = ask("path instance-00000001 br-int --mac fa:16:3e:00:00:02");
    let text = "instance-00000001 has iface-id 22222222-01aa-4000-8000-000000000001 for it, \
                tap2ab-02 another";
    assert!(differs.exit == Some(2) && differs.out.contains(text), "{differs:?}");
    // A NIC of its own.
    lab.sh("ip link set eth7 nomaster; ip addr add 203.0.113.7/24 dev eth7");
    let own = ask("host_pnic-network eth7 untagged -vv");
    assert!(own.exit == Some(0) && own.out.contains("its own address 203.0.113.7"), "{own:?}");
    // A vhost-user port is no device of the kernel; this Open vSwitch cannot open it.
    lab.sh("ovs-vsctl --no-wait add-port br-int vhu4ab-04 -- set Interface vhu4ab-04 \
         type=dpdkvhostuserclient options:vhost-server-path=/run/vhost/vhu4ab-04");
    let line = "check_link instance-vnic instance-00000004 vhu4ab-04 --uri test:///run/node.xml";
    let vhost = until(&lab, line, |said| said.codes() == ["error"]);
    assert!(vhost.0, "{:?}", vhost.1);
}

/// What is done, to which link, what that is found to be, what the sentence has in it, and how it is
/// repaired.
struct Broken {
    by: &'static str,
    link: &'static str,
    exit: i32,
    code: &'static str,
    says: &'static str,
    repaired: &'static str,
}

const fn broken(
    by: &'static str,
    link: &'static str,
    (exit, code): (i32, &'static str),
    says: &'static str,
    repaired: &'static str,
) -> Broken {
    Broken { by, link, exit, code, says, repaired }
}

const DOWN: (i32, &str) = (2, "admin-down");
const LOST: (i32, &str) = (2, "link-down");
const LOOSE: (i32, &str) = (2, "not-joined");
const WRONG: (i32, &str) = (2, "wrong-bridge");
const TAG: (i32, &str) = (2, "wrong-tag");
const PEER: (i32, &str) = (2, "no-peer");
const SHRINKS: (i32, &str) = (1, "mtu-shrinks");

const HYBRID: &str = "vnic-vedge tap1ab-01 br-int --tag 1";
const WHOLE: &str = "path tap1ab-01 eth1";

const KERNEL: &[Broken] = &[
    broken(
        "ip link set tap1ab-01 down",
        "instance-vnic instance-00000001 tap1ab-01",
        DOWN,
        "tap1ab-01 is switched off",
        "ip link set tap1ab-01 up",
    ),
    broken(
        "ip link set tap1ab-01 nomaster",
        "vnic-vconnector tap1ab-01 qbr1ab-01",
        LOOSE,
        "tap1ab-01 is not plugged into any bridge",
        "ip link set tap1ab-01 master qbr1ab-01",
    ),
    broken(
        "ip link set tap1ab-01 master brq7",
        "vnic-vconnector tap1ab-01 qbr1ab-01",
        WRONG,
        "tap1ab-01 is plugged into brq7, not qbr1ab-01",
        "ip link set tap1ab-01 master qbr1ab-01",
    ),
    broken("ip link set qbr1ab-01 down", HYBRID, DOWN, "qbr1ab-01 is", "ip link set qbr1ab-01 up"),
    broken("ip link set qvb1ab-01 down", HYBRID, DOWN, "qvb1ab-01 is", "ip link set qvb1ab-01 up"),
    broken("ip link set qvo1ab-01 down", HYBRID, DOWN, "qvo1ab-01 is", "ip link set qvo1ab-01 up"),
    broken(
        "ip link set qvb1ab-01 nomaster",
        HYBRID,
        LOOSE,
        "qvb1ab-01 is not plugged into any bridge",
        "ip link set qvb1ab-01 master qbr1ab-01",
    ),
    broken(
        "ip link set qvb1ab-01 nomaster",
        "vconnector-vedge qbr1ab-01 br-int",
        LOOSE,
        "qvb1ab-01 is not plugged into any bridge",
        "ip link set qvb1ab-01 master qbr1ab-01",
    ),
    broken(
        "ip link set tap1ab-01 mtu 1400; ip link set qvb1ab-01 mtu 1300",
        HYBRID,
        SHRINKS,
        "qvb1ab-01 takes 1300 bytes only, 1400 come from tap1ab-01",
        "ip link set tap1ab-01 mtu 1500; ip link set qvb1ab-01 mtu 1500",
    ),
    broken(
        "ip -n qdhcp-1 link set tap3ab-03 down",
        "vservice-vnic qdhcp-1 tap3ab-03",
        DOWN,
        "tap3ab-03 is",
        "ip -n qdhcp-1 link set tap3ab-03 up",
    ),
    broken(
        "ip -n cni-4 link set pod4 down",
        "vservice-vnic cni-4 veth4",
        DOWN,
        "pod4 is switched off",
        "ip -n cni-4 link set pod4 up",
    ),
    broken(
        "ip -n cni-4 link set pod4 netns h2",
        "vservice-vnic cni-4 veth4",
        LOOSE,
        "veth4 is not in cni-4, which has no device",
        "ip -n h2 link set pod4 netns cni-4; ip -n cni-4 link set pod4 up",
    ),
    broken(
        "ip link set eth7 down",
        "vconnector-host_pnic brq7 eth7",
        DOWN,
        "eth7 is switched off",
        "ip link set eth7 up",
    ),
    broken(
        "ip -n h2 link set eth7 down",
        "vconnector-host_pnic brq7 eth7",
        LOST,
        "eth7 has no link",
        "ip -n h2 link set eth7 up",
    ),
    broken(
        "ip link set eth7 nomaster",
        "vconnector-host_pnic brq7 eth7",
        LOOSE,
        "eth7 is not plugged into any bridge",
        "ip link set eth7 master brq7",
    ),
    broken(
        "ip link set eth7 nomaster",
        "host_pnic-network eth7 untagged",
        LOOSE,
        "eth7 does not carry what has no tag: it is in no bridge",
        "ip link set eth7 master brq7",
    ),
    broken(
        "ip link set vxlan-5 nomaster",
        "otep-vconnector vxlan-5 brq5",
        LOOSE,
        "vxlan-5 is not plugged into any bridge",
        "ip link set vxlan-5 master brq5",
    ),
    broken(
        "ip link set vxlan-5 down",
        "otep-vconnector vxlan-5 brq5",
        DOWN,
        "vxlan-5 is",
        "ip link set vxlan-5 up",
    ),
    broken(
        "ip link set vxlan-5 mtu 1480",
        "otep-host_pnic vxlan-5 eth1",
        SHRINKS,
        "br-ex takes 1500 bytes only, 1530 come from vxlan-5, with its tunnel's headers",
        "ip link set vxlan-5 mtu 1450",
    ),
    broken(
        "ip addr del 192.0.2.11/24 dev br-ex",
        "otep-vconnector vxlan-5 brq5",
        (2, "no-local"),
        "vxlan-5: its local address 192.0.2.11 is on no device",
        "ip addr add 192.0.2.11/24 dev br-ex",
    ),
    broken(
        "ip addr del 192.0.2.11/24 dev br-ex",
        "otep-host_pnic vxlan-5 eth1",
        (2, "no-local"),
        "vxlan-5: its local address 192.0.2.11 is on no device",
        "ip addr add 192.0.2.11/24 dev br-ex",
    ),
];

const SWITCH: &[Broken] = &[
    broken(
        "vs del-port tap2ab-02",
        "vnic-vedge tap2ab-02 br-int",
        LOOSE,
        "tap2ab-02 is not plugged into any bridge",
        "vs add-port br-int tap2ab-02 tag=1",
    ),
    broken(
        "vs del-port tap2ab-02 -- add-port br-ex tap2ab-02",
        "vnic-vedge tap2ab-02 br-int",
        WRONG,
        "tap2ab-02 is plugged into br-ex, not br-int",
        "vs del-port tap2ab-02 -- add-port br-int tap2ab-02 tag=1",
    ),
    broken(
        "vs set Port tap2ab-02 tag=4095",
        "vnic-vedge tap2ab-02 br-int",
        (2, "dead-vlan"),
        "tap2ab-02: tag 4095",
        "vs set Port tap2ab-02 tag=1",
    ),
    broken(
        "vs set Port tap2ab-02 tag=7",
        "path tap2ab-02 tap3ab-03",
        TAG,
        "tap2ab-02 carries VLAN 7 on br-int, tap3ab-03 carries VLAN 1",
        "vs set Port tap2ab-02 tag=1",
    ),
    broken(
        "vs set Port qvo1ab-01 tag=2",
        HYBRID,
        TAG,
        "has tag 2, not 1",
        "vs set Port qvo1ab-01 tag=1",
    ),
    broken(
        "vs clear Port qvo1ab-01 tag",
        "vnic-vedge tap1ab-01 br-int",
        (1, "no-tag"),
        "qvo1ab-01: no VLAN tag",
        "vs set Port qvo1ab-01 tag=1",
    ),
    broken(
        "vs set Interface int-br-ex options:peer=nobody",
        WHOLE,
        PEER,
        "int-br-ex: its peer nobody does not exist",
        "vs set Interface int-br-ex options:peer=phy-br-ex",
    ),
    broken(
        "vs del-port phy-br-ex",
        "vedge-host_pnic br-int eth1",
        PEER,
        "int-br-ex: its peer phy-br-ex does not exist",
        "vs add-port br-ex phy-br-ex -- set Interface phy-br-ex type=patch options:peer=int-br-ex",
    ),
    broken(
        "vs set Interface phy-br-ex options:peer=patch-tun",
        WHOLE,
        PEER,
        "int-br-ex: its peer phy-br-ex is not joined back to it",
        "vs set Interface phy-br-ex options:peer=int-br-ex",
    ),
    broken(
        "vs del-port eth1",
        "vedge-host_pnic br-int eth1",
        LOOSE,
        "eth1 is not plugged into any bridge",
        "vs add-port br-ex eth1",
    ),
    broken("ip link set eth1 down", WHOLE, DOWN, "eth1 is switched off", "ip link set eth1 up"),
    broken(
        "ip -n h2 link set eth1 down",
        WHOLE,
        LOST,
        "eth1 has no link",
        "ip -n h2 link set eth1 up",
    ),
    broken(
        "ip link set eth1 mtu 1400",
        WHOLE,
        SHRINKS,
        "eth1 takes 1400",
        "ip link set eth1 mtu 1500",
    ),
    broken(
        "vs set Port eth1 trunks=10,20",
        "host_pnic-network eth1 100",
        TAG,
        "eth1 does not carry VLAN 100: it is a trunk of VLAN 10,20",
        "vs clear Port eth1 trunks",
    ),
    broken(
        "vs set Port eth1 tag=5",
        "host_pnic-network eth1 100",
        TAG,
        "eth1 does not carry VLAN 100 with its tag: it is an access port of VLAN 5",
        "vs clear Port eth1 tag",
    ),
    broken(
        "vs del-port br-int patch-tun",
        "vedge-otep br-int vxlan-1",
        PEER,
        "patch-int: its peer patch-tun does not exist",
        "vs add-port br-int patch-tun -- set Interface patch-tun type=patch options:peer=patch-int",
    ),
    broken(
        "vs set Interface vxlan-1 bfd:enable=true",
        "vedge-otep br-tun vxlan-1",
        (2, "bfd-down"),
        "vxlan-1: BFD to 192.0.2.12 is down",
        "vs clear Interface vxlan-1 bfd",
    ),
    broken(
        "ip addr del 192.0.2.11/24 dev br-ex; ip addr add 192.0.2.11/24 dev eth7",
        "otep-host_pnic vxlan-1 eth1",
        LOOSE,
        "vxlan-1 leaves from 192.0.2.11 on eth7, not through eth1",
        "ip addr del 192.0.2.11/24 dev eth7; ip addr add 192.0.2.11/24 dev br-ex",
    ),
    broken(
        "ip addr del 192.0.2.11/24 dev br-ex",
        "vedge-otep br-int vxlan-1",
        (2, "no-local"),
        "vxlan-1: its local address 192.0.2.11 is on no device",
        "ip addr add 192.0.2.11/24 dev br-ex",
    ),
    broken(
        "vs set Port eth1 trunks=10,20",
        "path tap2ab-02 101",
        LOOSE,
        "no NIC that tap2ab-02 is joined to carries VLAN 101",
        "vs clear Port eth1 trunks",
    ),
    broken(
        "ip addr del 192.0.2.11/24 dev br-ex",
        "otep-host_pnic vxlan-1 eth1",
        (2, "no-local"),
        "vxlan-1: its local address 192.0.2.11 is on no device",
        "ip addr add 192.0.2.11/24 dev br-ex",
    ),
    broken(
        "ip link set br-ex down",
        "otep-host_pnic vxlan-1 eth1",
        DOWN,
        "br-ex is",
        "ip link set br-ex up",
    ),
    broken(
        "ip link set bd0 down",
        "vedge-host_pnic br-data bd1",
        (1, "member-down"),
        "bond0: member bd0",
        "ip link set bd0 up",
    ),
    broken(
        "ip link set bd0 down",
        "vedge-host_pnic br-data bd0",
        DOWN,
        "bd0 is",
        "ip link set bd0 up",
    ),
    broken(
        "vs del-port tpi-1",
        "vnic-vedge tap6ab-06 br-int",
        PEER,
        "tpt-1: its peer tpi-1 does not exist",
        "vs add-port br-int tpi-1 -- set Interface tpi-1 type=patch options:peer=tpt-1",
    ),
    broken(
        "ip link del tap2ab-02",
        "vnic-vedge tap2ab-02 br-int",
        (2, "no-device"),
        "tap2ab-02: its network device is gone",
        "true",
    ),
];

const VS: &str = "vs() { ovs-vsctl --timeout=10 \"$@\"; }; ";

/// Breaks and repairs each, and shows all that were judged otherwise.
fn break_each(lab: &Lab, table: &[Broken]) {
    let mut wrong = Vec::new();
    for case in table {
        let line = format!("check_link {} {LIBVIRT}", case.link);
        let healthy = until(lab, &line, |said| said.exit == Some(0));
        lab.sh(&format!("{VS}{}", case.by));
        let says = |said: &Said| {
            said.exit == Some(case.exit)
                && said.codes().iter().any(|code| code == case.code)
                && said.out.contains(case.says)
        };
        let said = until(lab, &line, says);
        if !healthy.0 {
            wrong.push(format!("{line} before {}: {}", case.by, healthy.1.out));
        }
        if !said.0 {
            wrong.push(format!(
                "{}: {line}: wanted {:?} {:?}: {}",
                case.by, case.code, case.says, said.1.out
            ));
        }
        lab.sh(&format!("{VS}{}", case.repaired));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for case in table.iter().filter(|case| case.repaired != "true") {
        let line = format!("check_link {} {LIBVIRT}", case.link);
        let said = until(lab, &line, |said| said.exit == Some(0));
        assert!(
            said.0 || case.link.contains("tap2ab-02"),
            "{} after {}: {:?}",
            line,
            case.repaired,
            said.1
        );
    }
}

/// Asks until it is so, for states that take a moment to show; what was said last.
fn until(lab: &Lab, line: &str, is_so: impl Fn(&Said) -> bool) -> (bool, Said) {
    let start = Instant::now();
    loop {
        let said = asked(lab, line);
        if is_so(&said) {
            return (true, said);
        }
        if start.elapsed() > Duration::from_secs(8) {
            return (false, said);
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[test]
fn each_joint_of_the_kernel_is_missed_when_it_is_broken() {
    break_each(&Lab::up("link-kernel", &["links"]), KERNEL);
}

#[test]
fn each_joint_of_open_vswitch_is_missed_when_it_is_broken() {
    break_each(&Lab::up("link-switch", &["links"]), SWITCH);
}

#[test]
fn without_its_daemon_nothing_of_open_vswitch_is_believed() {
    let lab = Lab::up("link-daemon", &["links"]);
    let kernel = "check_link vnic-vconnector tap1ab-01 qbr1ab-01";
    let switch = format!("check_link {WHOLE} -t 3");
    let expect = |line: &str, exit, codes: &[&str], what: &str| {
        let said = asked(&lab, line);
        assert!(said.exit == Some(exit) && said.codes() == codes, "{what}: {line}: {said:?}");
        said
    };
    expect(&switch, 0, &[], "alive");
    lab.verb("freeze_vswitchd");
    let said = expect(&switch, 2, &["stopped"], "vswitchd stopped");
    assert!(
        said.out.contains("is stopped by a signal; what the database says is stale"),
        "{said:?}"
    );
    expect(kernel, 0, &[], "of no interest to the kernel");
    expect("check_link vnic-vedge tap9 br-int -t 3", 2, &["stopped", "absent"], "absent as well");
    lab.verb("thaw_vswitchd");
    expect(&switch, 0, &[], "thawed");
    lab.verb("freeze_ovsdb");
    expect(&switch, 2, &["stopped"], "ovsdb-server stopped");
    lab.verb("thaw_ovsdb");
    lab.verb("crash_vswitchd");
    expect(&switch, 2, &["no-process"], "vswitchd dead");
    lab.verb("start_vswitchd");
    let said = until(&lab, &switch, |said| said.exit == Some(0));
    assert!(said.0, "started again: {:?}", said.1);
    lab.verb("crash_vswitchd");
    lab.verb("crash_ovsdb");
    expect(&switch, 2, &["refused"], "no database");
    expect(kernel, 0, &[], "of no interest to the kernel");
}

#[test]
fn without_rights_the_kernel_still_tells_and_the_rest_is_unknown() {
    let lab = Lab::up("link-nobody", &["links"]);
    let ask = |line: &str| lab.check_as_nobody(&format!("check_link {line} {LIBVIRT}"));
    let table: &[Expect] = &[
        ("instance-vnic instance-00000001 tap1ab-01", 0, &[]),
        ("vnic-vconnector tap1ab-01 qbr1ab-01", 0, &[]),
        ("vconnector-host_pnic brq7 eth7", 0, &[]),
        ("otep-vconnector vxlan-5 brq5", 0, &[]),
        ("host_pnic-network eth7 untagged", 0, &[]),
        // The far end of a veth is known by the number of its namespace.
        ("vservice-vnic cni-4 veth4", 0, &[]),
        ("vservice-vnic cni-4 pod4", 3, &["forbidden"]),
        ("vservice-vnic qdhcp-1 tap3ab-03", 3, &["forbidden"]),
        ("vservice-vnic qdhcp-9 tap3ab-03", 2, &["absent"]),
        ("vnic-vedge tap1ab-01 br-int", 3, &["forbidden"]),
        ("vnic-vedge tap9 br-int", 3, &["forbidden"]),
        ("vedge-host_pnic br-int eth1", 3, &["forbidden"]),
        ("path tap1ab-01 eth1", 3, &["forbidden"]),
        ("path tap1ab-01 eth1 --db tcp:127.0.0.1:6640", 0, &[]),
        ("otep-host_pnic vxlan-5 eth1", 3, &["forbidden"]),
    ];
    support::expect_all(table, ask);
    let said = ask("vnic-vedge tap1ab-01 br-int");
    assert!(
        said.out.contains("permission denied") && said.out.contains("cap_dac_override"),
        "{said:?}"
    );
    let said = ask("vservice-vnic qdhcp-1 tap3ab-03");
    assert!(
        said.out.contains("permission denied") && said.out.contains("cap_sys_admin"),
        "{said:?}"
    );
    // With a process in it, its devices have names.
    lab.sh("nsenter --net=/run/netns/cni-4 sleep 100 > /dev/null 2>&1 &
            until [ -n \"$(ip netns pids cni-4)\" ]; do sleep 0.02; done");
    let said = ask("vservice-vnic cni-4 pod4 --output-format json");
    assert!(said.exit == Some(3) && said.codes() == ["forbidden"], "{said:?}");
    assert!(said.out.contains("pod4 may not be looked at"), "{said:?}");
    let said = ask("vservice-vnic cni-4 eth9 --output-format json");
    assert!(said.exit == Some(2) && said.codes() == ["absent"], "{said:?}");
    // With the capabilities that packages set all is seen.
    for line in ["vservice-vnic qdhcp-1 tap3ab-03", "path qdhcp-1 eth1", "path tap1ab-01 eth1"] {
        let said = lab.check_with("cap_dac_override,cap_sys_admin", &format!("check_link {line}"));
        assert_eq!(said.exit, Some(0), "{line}: {said:?}");
    }
}

#[test]
fn a_machine_without_open_vswitch_is_not_asked_for_one() {
    let lab = Lab::up("link-no-ovs", &["--no-ovs", "bridges"]);
    let table: &[Expect] = &[
        ("vnic-vconnector tap-01 br-ok", 0, &[]),
        ("vnic-vconnector tap-01 br-up", 2, &["wrong-bridge"]),
        ("vnic-vedge tap-01 br-int", 2, &["absent"]),
        ("vnic-vedge tap-01 br-ok", 2, &["not-bridge"]),
        ("vservice-vnic g01 tap-01", 0, &[]),
        ("vservice-vnic g02 tap-01", 2, &["not-joined"]),
        ("vservice-vnic g01 eth0 --mac fa:16:3e:00:00:01", 0, &[]),
        ("path g01 g02", 0, &[]),
        ("path g23 g24", 0, &[]),
        ("vconnector-host_pnic br-leaf root1", 0, &[]),
        ("vconnector-host_pnic br-leaf root2", 2, &["not-forwarding"]),
        ("instance-vnic instance-1 tap-01", 2, &["no-process"]),
    ];
    support::expect_all(table, |line| lab.check(&format!("check_link {line}")));
    let said = lab.check("check_link vnic-vedge tap-01 br-int");
    assert!(!said.out.contains("vswitchd"), "noise: {said:?}");
}

#[test]
fn what_vanishes_while_it_is_looked_at_is_judged_all_the_same() {
    let lab = Lab::up("link-vanish", &["links"]);
    lab.sh("sh -c 'while :; do
              ip link del qvb1ab-01; ip link add qvb1ab-01 type veth peer name qvo1ab-01
              ip link set qvb1ab-01 master qbr1ab-01; ip link set qvb1ab-01 up; ip link set qvo1ab-01 up
              ip netns del blink; ip netns add blink; ip link add blink0 type veth peer name blink1 netns blink
            done' > /dev/null 2>&1 &");
    let mut exits = [0; 3];
    for _ in 0..150 {
        for line in ["vnic-vedge tap1ab-01 br-int", "vservice-vnic blink blink1"] {
            let said = asked(&lab, &format!("check_link {line}"));
            let exit = said.exit.and_then(|exit| usize::try_from(exit).ok());
            assert!(
                said.err.is_empty() && !said.codes().contains(&"internal".to_owned()),
                "{said:?}"
            );
            *exits.get_mut(exit.expect("a code")).unwrap_or_else(|| panic!("{said:?}")) += 1;
        }
    }
    assert!(exits[2] > 0, "something was seen missing: {exits:?}");
}

#[test]
fn nothing_is_executed_and_no_child_is_made() {
    let lab = Lab::up("link-strace", &["links"]);
    for line in [
        WHOLE,
        "vservice-vnic qdhcp-1 tap3ab-03",
        "instance-vnic instance-00000001 tap1ab-01",
        "otep-host_pnic vxlan-1 eth1",
        "vnic-vedge $(id) br-int",
    ] {
        let mut command = lab.inside("strace");
        command.args(["-f", "-e", "trace=execve,fork,vfork,clone,clone3", "--"]);
        command.arg(lab.path("check_link")).args(line.split(' ')).args(LIBVIRT.split(' '));
        let said = run(&mut command);
        let calls: Vec<&str> = said.err.lines().filter(|line| line.contains('(')).collect();
        assert_eq!(calls.len(), 1, "only strace's own exec: {calls:?}");
    }
}
