//! Verdicts on a real Open vSwitch and real devices, in each state that a check is meant to see.
//! Needs root; says so and fails without it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

mod support;

use support::{Expect, Lab};

fn expect_all(lab: &Lab, table: &[Expect]) {
    support::expect_all(table, |line| lab.check(line));
}

#[test]
fn every_state_of_a_port_has_its_verdict() {
    let lab = Lab::up("ports", &[]);
    expect_all(
        &lab,
        &[
            ("check_ovs_port tap-ok", 0, &[]),
            ("check_ovs_port --iface-id 1ab00001-01aa-4000-8000-000000000001", 0, &[]),
            ("check_ovs_port --iface-id nosuch-id", 2, &["absent"]),
            ("check_ovs_port no-such-port", 2, &["absent"]),
            ("check_ovs_port tap-admin", 2, &["admin-down"]),
            ("check_ovs_port tap-admin --as admin-down=ok", 0, &["admin-down"]),
            ("check_ovs_port tap-link", 2, &["link-down"]),
            ("check_ovs_port tap-dead", 2, &["dead-vlan"]),
            ("check_ovs_port tap-notag", 1, &["no-tag"]),
            ("check_ovs_port trunk-parent", 0, &[]),
            ("check_ovs_port tap-gone", 2, &["no-device"]),
            ("check_ovs_port tap-error", 2, &["error"]),
            ("check_ovs_port int-br-ex phy-br-ex", 0, &[]),
            ("check_ovs_port patch-orphan", 2, &["no-peer"]),
            ("check_ovs_port patch-br-data-to-br-ovn-0123456789abcdef", 0, &[]),
            ("check_ovs_port br-int", 0, &[]),
            ("check_ovs_port int-moved", 0, &[]),
            ("check_ovs_port int-down", 2, &["admin-down"]),
            ("check_ovs_port vxlan-ok", 0, &[]),
            ("check_ovs_port vxlan-dead", 2, &["bfd-down"]),
            ("check_ovs_port bond-ok", 0, &[]),
            ("check_ovs_port bond-half", 1, &["member-down"]),
            ("check_ovs_port bhalf1", 2, &["link-down"]),
            ("check_ovs_port bhalf0", 0, &[]),
            ("check_ovs_port bond-nolacp", 2, &["lacp-none"]),
            ("check_ovs_port bnolacp0", 2, &["lacp-none"]),
            ("check_ovs_port bond-fallback", 1, &["lacp-fallback"]),
            ("check_ovs_port ovn-ok", 0, &[]),
            ("check_ovs_port ovn-not", 1, &["not-wired"]),
            ("check_ovs_port --match ^nothing$", 2, &["none"]),
            ("check_ovs_port --bridge br-nosuch", 2, &["absent"]),
            ("check_ovs_port --bridge br-ex", 0, &[]),
            ("check_ovs_port tap-ok --bridge br-int", 0, &[]),
            ("check_ovs_port tap-ok --bridge br-ex", 2, &["wrong-bridge"]),
            ("check_ovs_port tap-ok --expect tag=1,2", 0, &[]),
            ("check_ovs_port tap-ok --expect tag=7", 2, &["unexpected"]),
            ("check_ovs_port tap-ok -w mtu=9000:", 1, &["limit"]),
            ("check_ovs_port tap-ok -c rx_dropped_rate=0 --sample 0.2", 0, &[]),
            ("check_ovs_port tap-ok --db tcp:127.0.0.1:6640", 0, &[]),
            ("check_ovs_port --match ^(ovn-ok|tap-(ok|dead))$", 2, &["dead-vlan"]),
            ("check_pnic_ovs eth1", 0, &[]),
            ("check_pnic_ovs eth1@if9", 0, &[]),
            ("check_pnic_ovs eth1@a-partner-of-15", 0, &[]),
            ("check_pnic_ovs eth2", 2, &["link-down"]),
            ("check_pnic_ovs eth3", 2, &["admin-down"]),
            ("check_pnic_ovs tap0", 2, &["link-down"]),
            ("check_pnic_ovs tap-ok", 0, &[]),
            ("check_pnic_ovs br-empty", 0, &[]),
            ("check_pnic_ovs lo", 0, &[]),
            ("check_pnic_ovs nosuchnic", 2, &["absent"]),
            ("check_pnic_ovs eth1 --expect duplex=full", 0, &[]),
            ("check_pnic_ovs eth1 --expect duplex=half", 2, &["unexpected"]),
            ("check_pnic_ovs lo --expect duplex=full", 3, &["no-value"]),
            ("check_pnic_ovs eth1 -c 1000:", 0, &[]),
            ("check_pnic_ovs eth1 -c speed=40000:", 2, &["limit"]),
            ("check_vedge_ovs", 0, &[]),
            ("check_vedge_ovs -c rtt=0.000001", 2, &["limit", "limit", "limit"]),
            ("check_vedge_ovs --rundir /run/openvswitch-h2", 0, &[]),
        ],
    );
    let all = lab.check("check_ovs_port --all --output-format json --max-output 100000");
    let json: serde_json::Value = serde_json::from_str(&all.out).expect("JSON");
    let broken = json["findings"].as_array().expect("findings").len();
    assert_eq!((all.exit, broken), (Some(2), 13), "{}", json["findings"]);

    // Repaired, a port is OK again.
    lab.sh("ip link set tap-admin up; ip -n guests link set g-tap-link up");
    lab.sh("ovs-vsctl set Port tap-dead tag=1 -- set Port tap-notag tag=1");
    lab.sh("ovs-vsctl set Interface patch-orphan options:peer=patch-back \
            -- add-port br-ex patch-back -- set Interface patch-back type=patch \
            options:peer=patch-orphan -- del-port tap-error; ip link set int-down up");
    for port in ["tap-admin", "tap-link", "tap-dead", "tap-notag", "patch-orphan", "int-down"] {
        lab.wait_for(&format!("check_ovs_port {port}"), 0);
    }
    // A member whose partner is gone is a warning while another has its own.
    lab.sh("OVS_RUNDIR=/run/openvswitch-h2 ovs-vsctl del-bond-iface bond-h1 bok1");
    lab.wait_for("check_ovs_port bond-ok", 1);
    expect_all(
        &lab,
        &[
            ("check_ovs_port bond-ok", 1, &["lacp-defaulted"]),
            ("check_ovs_port bok1", 1, &["lacp-defaulted"]),
            ("check_ovs_port bok0", 0, &[]),
        ],
    );

    // A port named twice is one port; a bridge that OVS could not make is not up.
    let twice = lab.check("check_ovs_port tap-ok tap-ok --output-format prometheus");
    assert_eq!(twice.out.matches("ovs_interface_link_state{").count(), 1, "{}", twice.out);
    lab.sh("ovs-vsctl --no-wait add-br br-bad -- set Bridge br-bad datapath_type=nonsense");
    expect_all(&lab, &[("check_ovs_port br-bad", 2, &["not-configured"])]);

    // A tunnel whose far end falls silent goes red though its link_state stays up.
    lab.sh("OVS_RUNDIR=/run/openvswitch-h2 ovs-vsctl set Interface vxlan-h1 bfd:enable=false");
    lab.wait_for("check_ovs_port vxlan-ok", 2);
}

#[test]
fn a_vhost_user_port_without_its_guest_is_a_warning() {
    let lab = Lab::up("vhost-user", &["--no-ovs", "dpdk"]);
    expect_all(
        &lab,
        &[
            ("check_vedge_ovs", 0, &[]),
            ("check_ovs_port vhu-off", 1, &["guest-off"]),
            ("check_ovs_port vhu-off --as guest-off=critical", 2, &["guest-off"]),
            ("check_ovs_port vhu-on", 0, &[]),
            ("check_ovs_port --bridge br-int", 1, &["guest-off"]),
        ],
    );
    lab.sh("kill $(cat /run/guest.pid)");
    lab.wait_for("check_ovs_port vhu-on", 1);
}

#[test]
fn a_hung_or_dead_vswitchd_is_critical_for_the_switch_and_its_ports() {
    let lab = Lab::up("vswitchd", &[]);
    let nobody = |line: &str| lab.check_as_nobody(&format!("{line} --output-format json"));
    lab.verb("freeze_vswitchd");
    expect_all(
        &lab,
        &[
            ("check_vedge_ovs", 2, &["stopped"]),
            ("check_ovs_port tap-ok", 2, &["stopped"]),
            ("check_ovs_port tap-ok --db tcp:127.0.0.1:6640", 2, &["stopped"]),
        ],
    );
    let port = lab.check("check_ovs_port tap-ok -t 1 --output-format json");
    assert_eq!(port.codes(), ["stopped"], "the database answers in time: {port:?}");
    let seen = nobody("check_vedge_ovs -t 3");
    assert!(seen.codes().contains(&"stopped".to_owned()), "without rights: {seen:?}");
    assert_eq!(seen.exit, Some(2));
    lab.verb("thaw_vswitchd");
    lab.wait_for("check_vedge_ovs", 0);
    lab.wait_for("check_ovs_port tap-ok", 0);

    lab.verb("crash_vswitchd");
    expect_all(
        &lab,
        &[("check_vedge_ovs", 2, &["no-process"]), ("check_ovs_port tap-ok", 2, &["no-process"])],
    );
    let seen = nobody("check_vedge_ovs");
    assert!(seen.codes().contains(&"no-process".to_owned()), "without rights: {seen:?}");
    lab.verb("start_vswitchd");
    let again = lab.wait_for("check_vedge_ovs", 0);
    assert!(again.out.contains("did not end cleanly"), "leftovers are told: {}", again.out);

    lab.verb("stop_vswitchd");
    expect_all(&lab, &[("check_vedge_ovs", 2, &["no-process"])]);
    lab.verb("start_vswitchd");
    lab.wait_for("check_vedge_ovs", 0);
}

#[test]
fn a_hung_or_dead_ovsdb_server_is_critical() {
    let lab = Lab::up("ovsdb", &["--bare"]);
    lab.verb("freeze_ovsdb");
    expect_all(
        &lab,
        &[("check_vedge_ovs", 2, &["stopped"]), ("check_ovs_port br-int", 2, &["stopped"])],
    );
    // A second reading without time left must accuse nobody.
    expect_all(&lab, &[("check_ovs_port br-int -t 2 --sample 1", 2, &["stopped"])]);
    let allowed = lab.check("check_vedge_ovs --as stopped=ok");
    assert!(
        allowed.first_line().ends_with("is stopped by a signal (counts as OK by --as)"),
        "{allowed:?}"
    );
    lab.verb("thaw_ovsdb");
    lab.wait_for("check_vedge_ovs", 0);
    lab.verb("crash_ovsdb");
    expect_all(&lab, &[("check_vedge_ovs", 2, &["no-process"])]);
    let port = lab.check("check_ovs_port br-int");
    assert_eq!(port.exit, Some(2), "{port:?}");
    lab.verb("start_ovsdb");
    lab.wait_for("check_vedge_ovs", 0);
}

#[test]
fn a_socket_file_without_its_listener_and_no_files_at_all() {
    let lab = Lab::up("files", &["--bare"]);
    // The daemon lives, but its control socket was replaced by one that nobody listens at.
    lab.sh("cd /run/openvswitch; ctl=$(ls ovs-vswitchd.*.ctl); rm $ctl; \
            perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(shift))' $ctl");
    expect_all(&lab, &[("check_vedge_ovs", 2, &["refused"])]);
    lab.verb("restart_vswitchd");
    lab.wait_for("check_vedge_ovs", 0);
    // No pid file: the control socket is found by its name, and an answer outranks the lock.
    lab.sh("rm /run/openvswitch/*.pid");
    expect_all(&lab, &[("check_vedge_ovs", 0, &[])]);
    expect_all(&lab, &[("check_vedge_ovs --rundir /run/nosuch", 2, &["no-process", "no-process"])]);
}

#[test]
fn a_crash_under_the_monitor_is_a_warning_for_a_while() {
    let lab = Lab::up("monitor", &["--bare", "--monitor"]);
    expect_all(&lab, &[("check_vedge_ovs", 0, &[])]);
    lab.verb("fault_vswitchd");
    let said = lab.wait_for("check_vedge_ovs --output-format json", 1);
    assert!(said.codes().contains(&"crashed".to_owned()), "{said:?}");
    assert!(said.out.contains("ovs-vswitchd had 1 crash"), "{}", said.out);
    lab.verb("restart_vswitchd");
    lab.wait_for("check_vedge_ovs", 0);
}

#[test]
fn a_daemon_in_a_pid_namespace_of_its_own_is_alive() {
    let lab = Lab::up("kolla", &["--bare"]);
    lab.verb("stop_vswitchd");
    lab.sh("rm -f /run/openvswitch/ovs-vswitchd.*");
    lab.sh("setsid unshare --pid --fork --mount-proc ovs-vswitchd unix:/run/openvswitch/db.sock \
         --pidfile -vconsole:emer -vsyslog:off </dev/null >/dev/null 2>&1 & \
         until [ -S /run/openvswitch/ovs-vswitchd.1.ctl ]; do sleep 0.02; done");
    assert_eq!(lab.sh("cat /run/openvswitch/ovs-vswitchd.pid").trim(), "1");
    let said = lab.wait_for("check_vedge_ovs", 0);
    assert!(said.out.contains("lock held by pid"), "{}", said.out);
    // From a sibling namespace the holder has no number; the lock and the answer still count.
    let inner = support::run(
        lab.inside("unshare")
            .args(["--pid", "--fork", "--mount-proc", "--"])
            .arg(lab.path("check_vedge_ovs")),
    );
    assert_eq!(inner.exit, Some(0), "{inner:?}");
    assert!(inner.out.contains("another pid namespace"), "{}", inner.out);
    // Hung, it is critical from inside as well.
    lab.sh("kill -STOP $(pgrep -f '^ovs-vswitchd unix')");
    let hung = support::run(
        lab.inside("unshare")
            .args(["--pid", "--fork", "--mount-proc", "--"])
            .arg(lab.path("check_vedge_ovs"))
            .args(["-t", "1.5"]),
    );
    assert_eq!(hung.exit, Some(2), "{hung:?}");
    expect_all(&lab, &[("check_vedge_ovs", 2, &["stopped"])]);
}

#[test]
fn a_user_without_rights_is_told_what_to_grant_and_sees_what_can_be_seen() {
    let lab = Lab::up("nobody", &[]);
    let vedge = lab.check_as_nobody("check_vedge_ovs");
    assert_eq!(vedge.exit, Some(3), "{vedge:?}");
    assert!(vedge.out.contains("permission denied; give the check cap_dac_override"), "{vedge:?}");
    assert!(vedge.out.contains("lock held by pid"), "the lock is seen: {vedge:?}");
    let port = lab.check_as_nobody("check_ovs_port tap-ok");
    assert_eq!(port.exit, Some(3), "{port:?}");
    // Over TCP anybody may read the database; the lock and the process vouch for vswitchd.
    for (port, exit) in [("tap-ok", 0), ("tap-gone", 2), ("int-moved", 0), ("tap-link", 2)] {
        let said = lab.check_as_nobody(&format!("check_ovs_port {port} --db tcp:127.0.0.1:6640"));
        assert_eq!(said.exit, Some(exit), "{said:?}");
    }
    let nic = lab.check_as_nobody("check_pnic_ovs eth1");
    assert_eq!(nic.exit, Some(0), "{nic:?}");
}

#[test]
fn a_configuration_that_is_not_followed_is_a_warning() {
    let lab = Lab::up("lag", &["--bare"]);
    // next_cfg is raised by whoever waits for vswitchd; behind for good is a bridge of it that
    // cannot be: here the counter is set past what vswitchd will ever answer.
    lab.sh("ovs-vsctl --no-wait set Open_vSwitch . next_cfg=1000000");
    lab.wait_for("check_vedge_ovs", 0);
    lab.sh("(while :; do ovs-vsctl --no-wait set Open_vSwitch . cur_cfg=0; sleep 0.02; done) \
            </dev/null >/dev/null 2>&1 & echo $! > /run/spoiler");
    let said = lab.wait_for("check_vedge_ovs --output-format json", 1);
    assert_eq!(said.codes(), ["config-lag"], "{said:?}");
    lab.sh("kill $(cat /run/spoiler)");
}

#[test]
fn it_works_from_another_network_namespace() {
    let lab = Lab::up("netns", &[]);
    let mut command = lab.inside("nsenter");
    command.args(["--net=/run/netns/guests", "--"]).arg(lab.path("check_vedge_ovs"));
    let said = support::run(&mut command);
    assert_eq!(said.exit, Some(0), "{said:?}");
    for (port, exit) in [("tap-ok", 0), ("tap-gone", 2), ("int-moved", 0), ("int-down", 2)] {
        let mut command = lab.inside("nsenter");
        command.args(["--net=/run/netns/guests", "--"]).arg(lab.path("check_ovs_port")).arg(port);
        let said = support::run(&mut command);
        assert_eq!(said.exit, Some(exit), "{said:?}");
    }
}

#[test]
fn rates_come_from_the_previous_run() {
    let lab = Lab::up("rates", &[]);
    let first = lab.check("check_pnic_ovs eth1 --rates");
    assert!(first.out.contains("no rates yet: this is the first run"), "{}", first.out);
    lab.sh("sleep 0.2");
    let second = lab.check("check_pnic_ovs eth1 --rates");
    assert!(second.out.contains("eth1.rx_bytes_rate="), "{}", second.out);
    assert_eq!(
        lab.sh("stat -c '%a %u' /run/calipso-checks/0 /run/calipso-checks"),
        "700 0\n1777 0\n"
    );
    // A place that is not ours alone is not used.
    lab.sh("chmod 777 /run/calipso-checks/0");
    let open = lab.check("check_pnic_ovs eth1 --rates");
    assert!(open.out.contains("others may write there"), "{}", open.out);
    assert_eq!(open.exit, Some(0));
    // Each user has a place of their own, and may only lack one.
    lab.check_as_nobody("check_pnic_ovs eth1 --rates");
    lab.sh("sleep 0.2");
    let own = lab.check_as_nobody("check_pnic_ovs eth1 --rates");
    assert!(own.out.contains("eth1.rx_bytes_rate="), "{}", own.out);
    lab.sh("rm -r /run/calipso-checks; mkdir -m 755 /run/calipso-checks");
    let nobody = lab.check_as_nobody("check_pnic_ovs eth1 -w rx_errors_rate=1");
    assert_eq!(nobody.exit, Some(0), "{nobody:?}");
    assert!(nobody.out.contains("no place to keep a reading"), "{}", nobody.out);
}

#[test]
fn nothing_is_executed_and_no_child_is_made() {
    let lab = Lab::up("strace", &[]);
    for line in [
        "check_vedge_ovs",
        "check_ovs_port --all",
        "check_ovs_port tap-ok;id",
        "check_pnic_ovs $(id)",
        "check_pnic_ovs eth1",
    ] {
        let mut command = lab.inside("strace");
        command.args(["-f", "-e", "trace=execve,fork,vfork,clone,clone3", "--"]);
        command.arg(lab.path(line)).args(line.split_whitespace().skip(1));
        let said = support::run(&mut command);
        let calls: Vec<&str> = said.err.lines().filter(|l| l.contains('(')).collect();
        assert_eq!(calls.len(), 1, "only strace's own exec: {calls:?}");
    }
}
