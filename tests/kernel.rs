//! What a development machine's kernel may be built without: VLAN devices, bonds, Open vSwitch's
//! datapath, dummies. `make lab-kernel` runs these tests, and others of their kind, on a Debian kernel
//! in a virtual machine.
#![allow(clippy::disallowed_methods, clippy::panic, reason = "tests start programs")]

mod support;

use support::{Expect, Lab};

fn expect_all(lab: &Lab, table: &[Expect]) {
    support::expect_all(table, |line| lab.check(line));
}

fn first_line(lab: &Lab, line: &str) -> String {
    lab.check(line).first_line().to_owned()
}

fn not_joined(lab: &Lab, line: &str) {
    let said = lab.check(&format!("check_link {line} --output-format json"));
    assert_eq!(said.exit, Some(2), "{line}: {said:?}");
    assert!(said.codes().contains(&"not-joined".to_owned()), "{line}: {said:?}");
}

const DEVICES: &[Expect] = &[
    ("check_pnic_ovs eth1", 0, &[]),
    ("check_pnic_ovs eth1.100", 0, &[]),
    ("check_pnic_ovs eth1.100@eth1 --expect kind=vlan --expect master=brq-a", 0, &[]),
    ("check_pnic_ovs eth1.101", 2, &["admin-down"]),
    ("check_pnic_ovs eth2", 2, &["link-down"]),
    ("check_pnic_ovs eth2.200", 2, &["link-down"]),
    ("check_pnic_ovs eth3.300", 2, &["admin-down"]),
    ("check_pnic_ovs bond0 --expect kind=bond --expect duplex=full", 0, &[]),
    ("check_pnic_ovs b0 --expect master=bond0", 0, &[]),
    ("check_pnic_ovs bond0.100", 0, &[]),
    ("check_pnic_ovs bond1", 2, &["link-down", "member-down", "member-down"]),
    ("check_pnic_ovs bond1.100", 2, &["link-down", "member-down", "member-down"]),
    ("check_pnic_ovs c0", 2, &["link-down"]),
    // Two members of 10 Gbit/s that have agreed with their partner count; without one, the first.
    ("check_pnic_ovs bond4 -c 20000:", 0, &[]),
    ("check_pnic_ovs bond5 -c 20000:", 2, &["limit", "lacp-fallback"]),
    ("check_pnic_ovs bond0 -c members_active=2:2 --expect bond-mode=active-backup", 0, &[]),
    ("check_pnic_ovs bond4 -c members_active=2:2 --expect bond-mode=802.3ad", 0, &[]),
    ("check_pnic_ovs bond6", 1, &["member-down"]),
    ("check_pnic_ovs bond6.100", 1, &["member-down"]),
    ("check_pnic_ovs bond7", 1, &["member-down"]),
    ("check_pnic_ovs bond8", 1, &["member-down"]),
    ("check_pnic_ovs bond9", 2, &["link-down"]),
    ("check_pnic_ovs e0", 0, &[]),
    ("check_pnic_ovs e1", 2, &["link-down"]),
    ("check_pnic_ovs k0", 0, &[]),
    // It has link, and the bond does not use it.
    ("check_pnic_ovs k2", 1, &["member-down"]),
    ("check_vconnector brq-a", 0, &[]),
    ("check_vconnector brq-b", 0, &[]),
    ("check_vconnector brq-c", 0, &[]),
    ("check_vnic_vconnector brq-a fa:16:3e:00:00:71", 2, &["on-uplink"]),
    ("check_vnic_vconnector brq-b fa:16:3e:00:00:72", 2, &["on-uplink"]),
    ("check_vnic_vconnector brq-c fa:16:3e:00:00:73", 2, &["on-uplink"]),
    ("check_vnic_vconnector brq-c fa:16:3e:00:00:73 --port bond2", 0, &[]),
    ("check_vnic_vconnector brq-a fa:16:3e:00:00:61", 1, &["not-seen"]),
];

const LINKS: &[Expect] = &[
    ("check_link host_pnic-network eth1 100", 0, &[]),
    ("check_link host_pnic-network eth1.100 100", 0, &[]),
    ("check_link host_pnic-network eth1 101", 2, &["admin-down"]),
    ("check_link host_pnic-network eth1 102", 2, &["not-joined"]),
    ("check_link host_pnic-network eth1 untagged", 2, &["not-joined"]),
    ("check_link host_pnic-network eth2 200", 2, &["link-down", "link-down"]),
    ("check_link host_pnic-network eth2.200 200", 2, &["link-down"]),
    ("check_link host_pnic-network eth3 300", 2, &["admin-down", "admin-down"]),
    ("check_link host_pnic-network bond0 100", 0, &[]),
    ("check_link host_pnic-network b0 100", 0, &[]),
    ("check_link network-host_pnic 100 b1", 0, &[]),
    ("check_link host_pnic-network b0 untagged", 2, &["not-joined"]),
    (
        "check_link host_pnic-network bond1 100",
        2,
        &["link-down", "link-down", "member-down", "member-down"],
    ),
    ("check_link host_pnic-network bond6 100", 1, &["member-down"]),
    ("check_link host_pnic-network bond6.100 100", 1, &["member-down"]),
    ("check_link host_pnic-network e0 100", 1, &["member-down"]),
    ("check_link host_pnic-network e1 100", 2, &["link-down"]),
    ("check_link host_pnic-network bond2 untagged", 0, &[]),
    ("check_link host_pnic-network d0 untagged", 0, &[]),
    ("check_link vconnector-host_pnic brq-a eth1", 0, &[]),
    ("check_link vconnector-host_pnic brq-a eth1.100", 0, &[]),
    ("check_link vconnector-host_pnic brq-b bond0.100", 0, &[]),
    ("check_link vconnector-host_pnic brq-b bond0", 0, &[]),
    ("check_link host_pnic-vconnector b1 brq-b", 0, &[]),
    ("check_link vconnector-host_pnic brq-c d0", 0, &[]),
];

#[test]
#[ignore = "needs a kernel with VLAN devices and bonds"]
fn vlan_devices_and_bonds_are_nics_and_uplinks() {
    let lab = Lab::up("bonds", &["--no-ovs", "bonds"]);
    expect_all(&lab, DEVICES);
    expect_all(&lab, LINKS);
    for (line, chain) in [
        ("path tap-61 eth1", "tap-61 -> brq-a -> eth1.100 -> eth1"),
        ("path b0 g62", "b0 -> bond0 -> bond0.100 -> brq-b -> tap-62 = eth0 -> g62"),
    ] {
        let said = first_line(&lab, &format!("check_link {line}"));
        assert_eq!(said, format!("CheckLink OK: joined: {chain}"));
    }
    for (bond, why) in [
        ("bond6", "bond6: member e1 has no link (no carrier)"),
        ("bond7", "bond7: member f1 is switched off (admin-down)"),
        ("bond8", "bond8: member k2 has link, but no LACP partner"),
        ("bond5", "bond5: no LACP partner, one member carries all"),
    ] {
        let said = first_line(&lab, &format!("check_pnic_ovs {bond}"));
        assert_eq!(said, format!("CheckPnicOvs WARNING: {why}"));
    }
    let said = first_line(&lab, "check_pnic_ovs bond9");
    assert!(said.ends_with("bond9 has no link (no carrier): it has no member"), "{said}");
    let said = first_line(&lab, "check_pnic_ovs eth2.200");
    assert!(said.ends_with("eth2.200 has no link: its partner or lower device is down"), "{said}");

    // What leaves by a VLAN device comes back by no other, nor by another member of a bond.
    for line in ["vconnector-host_pnic brq-a b0", "path tap-61 tap-62", "path b0 b1"] {
        not_joined(&lab, line);
    }

    // The VLAN device follows when its lower one shrinks; the guest does not.
    lab.sh("ip link set eth1 mtu 1400");
    let said = first_line(&lab, "check_link path tap-61 eth1");
    assert!(said.ends_with("eth1.100 takes 1400 bytes only, 1500 come from tap-61"), "{said}");
    // One member lost: the bond still carries, and tells it; both: nothing upon it does.
    lab.sh("ip -n h2 link set b0 down");
    lab.wait_for("check_link path tap-62 b0", 2);
    expect_all(
        &lab,
        &[
            ("check_pnic_ovs bond0", 1, &["member-down"]),
            ("check_pnic_ovs bond0.100", 1, &["member-down"]),
            ("check_link path tap-62 bond0", 1, &["member-down"]),
            ("check_link path tap-62 b1", 1, &["member-down"]),
        ],
    );
    lab.sh("ip link set b1 down");
    lab.wait_for("check_pnic_ovs bond0.100", 2);
    expect_all(
        &lab,
        &[
            ("check_pnic_ovs bond0", 2, &["link-down", "member-down", "member-down"]),
            (
                "check_link path tap-62 bond0",
                2,
                &["link-down", "link-down", "member-down", "member-down"],
            ),
            (
                "check_link path tap-62 b1",
                2,
                &["link-down", "link-down", "admin-down", "member-down"],
            ),
        ],
    );
    lab.sh("ip link set b1 up");
    lab.wait_for("check_link path tap-62 bond0", 1);
    lab.sh("ip link del eth1.100");
    not_joined(&lab, "vconnector-host_pnic brq-a eth1");
}

const DATAPATH: &[Expect] = &[
    ("check_vedge_ovs -t 30", 0, &[]),
    // Moved into its namespace: no number here, and works.
    ("check_ovs_port int-dhcp", 0, &[]),
    ("check_ovs_port --iface-id i3", 0, &[]),
    ("check_ovs_port int-off", 2, &["admin-down"]),
    // Switched off inside its namespace; the second as on a backup of a router.
    ("check_ovs_port int-shut", 2, &["admin-down"]),
    ("check_ovs_port qg-1", 0, &[]),
    // Its namespace was deleted: ovs-vswitchd made it anew, here and switched off.
    ("check_ovs_port int-lost", 2, &["admin-down"]),
    ("check_ovs_port tap-1", 0, &[]),
    ("check_ovs_port tap-gone", 2, &["error"]),
    ("check_ovs_port veth-2", 0, &[]),
    ("check_ovs_port bond-ok bk0", 0, &[]),
    ("check_ovs_port bond-none", 2, &["lacp-none"]),
    ("check_ovs_port vx gen gre", 0, &[]),
    ("check_ovs_port vx-dead", 2, &["bfd-down"]),
    ("check_ovs_port br-int int-br-ex", 0, &[]),
    ("check_vconnector br-int --expect kind=ovs", 0, &[]),
    ("check_vnic_vconnector br-int fa:16:3e:00:00:01", 0, &[]),
    ("check_vnic_vconnector br-int fa:16:3e:00:00:02 --port veth-2", 0, &[]),
    ("check_vnic_vconnector br-int fa:16:3e:00:00:03", 0, &[]),
    ("check_vnic_vconnector br-int fa:16:3e:00:00:04", 2, &["admin-down"]),
    ("check_vnic_vconnector br-int fa:16:3e:00:00:05", 2, &["admin-down"]),
    ("check_vnic_vconnector br-int fa:16:3e:00:00:06", 2, &["error"]),
    ("check_link vnic-vedge tap-1 br-int --tag 1", 0, &[]),
    ("check_link vnic-vedge int-dhcp br-int", 0, &[]),
    ("check_link vnic-vedge int-lost br-int", 2, &["admin-down"]),
    ("check_link vservice-vnic qdhcp-1 int-dhcp", 0, &[]),
    ("check_link vedge-host_pnic br-int eth1", 0, &[]),
    ("check_link vedge-host_pnic br-data bk0", 0, &[]),
    ("check_link vedge-otep br-tun 192.0.2.12", 0, &[]),
    ("check_link otep-host_pnic vx eth1", 0, &[]),
    ("check_link otep-host_pnic gen eth1", 0, &[]),
    ("check_link otep-host_pnic gre eth1", 0, &[]),
    ("check_otep -c 3 -i 0.1 -w 2 --remote 192.0.2.12", 0, &[]),
    ("check_otep -c 3 -i 0.1 -w 2 --port gen", 0, &[]),
    ("check_otep -c 3 -i 0.1 -w 2 --remote 192.0.2.99", 2, &["all-down", "bfd-down", "no-reply"]),
];

#[test]
#[ignore = "needs a kernel with Open vSwitch's datapath, Geneve, GRE and bonds"]
fn open_vswitch_in_the_kernel_is_judged_as_the_one_in_user_space() {
    let lab = Lab::up("datapath", &["datapath"]);
    expect_all(&lab, DATAPATH);
    let chain = "qdhcp-1 -> int-dhcp -> br-int (tag 1) -> int-br-ex = phy-br-ex -> br-ex -> eth1";
    let said = first_line(&lab, "check_link path qdhcp-1 eth1");
    assert_eq!(said, format!("CheckLink OK: joined: {chain}"));

    not_joined(&lab, "vservice-vnic qdhcp-1 int-off");
    expect_all(&lab, &[("check_vnic_vconnector br-int fa:16:3e:00:00:07", 2, &["admin-down"])]);

    // ovs-vswitchd follows a port into its namespace, until it is started again: then it sees the port
    // with its next change.
    lab.sh("ip -n qdhcp-1 link set int-dhcp down");
    lab.wait_for("check_ovs_port int-dhcp", 2);
    lab.sh("ip -n qdhcp-1 link set int-dhcp up");
    lab.wait_for("check_ovs_port int-dhcp", 0);
    lab.verb("restart_vswitchd");
    lab.wait_for("check_vedge_ovs -t 30", 0);
    for port in ["int-dhcp", "int-shut"] {
        let said = lab.wait_for(&format!("check_ovs_port {port}"), 0);
        assert!(said.first_line().ends_with("where its state is not seen"), "{said:?}");
    }
    expect_all(&lab, &[("check_ovs_port int-dhcp -c 1:", 3, &["no-value"])]);
    lab.sh("ip -n qdhcp-1 link set int-dhcp down");
    lab.wait_for("check_ovs_port int-dhcp", 2);
    lab.sh("ip -n qdhcp-1 link set int-dhcp up");
    lab.wait_for("check_ovs_port int-dhcp -c 1:", 0);

    // Tunnels of the kernel go on without ovs-vswitchd, but nobody drives them.
    lab.verb("freeze_vswitchd");
    expect_all(
        &lab,
        &[
            ("check_ovs_port int-dhcp -t 3", 2, &["stopped"]),
            ("check_otep -c 3 -i 0.1 -w 2 -t 8 --remote 192.0.2.12", 2, &["stopped"]),
        ],
    );
    lab.verb("thaw_vswitchd");
    lab.wait_for("check_ovs_port gre", 0);
    lab.sh("ip link set eth1 down");
    lab.wait_for("check_ovs_port gre", 2);
    lab.wait_for("check_ovs_port gen", 2);
}

#[test]
#[ignore = "needs a kernel with dummies"]
fn a_router_without_daemons_is_judged_by_its_dummies() {
    let lab = Lab::up("dummies", &["--no-ovs", "--bare"]);
    lab.sh("ip netns add qrouter-1; ip -n qrouter-1 link set lo up
         for n in qr-1 qg-1; do ip -n qrouter-1 link add $n type dummy; done
         ip -n qrouter-1 link set qr-1 up");
    expect_all(
        &lab,
        &[
            ("check_vservice router qrouter-1", 2, &["admin-down"]),
            ("check_vservice none qrouter-1 --interfaces", 2, &["admin-down"]),
            ("check_vservice router qrouter-9", 2, &["absent"]),
        ],
    );
    lab.sh("ip -n qrouter-1 link set qg-1 up");
    expect_all(
        &lab,
        &[
            ("check_vservice router qrouter-1", 0, &[]),
            ("check_vservice none qrouter-1 --interfaces", 0, &[]),
        ],
    );
}
