//! Tunnels of a real Open vSwitch and of the kernel, and their far ends, in each state that
//! check_otep is meant to see. Needs root; says so and fails without it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

mod support;

use std::time::Duration;
use support::{Lab, Said};

/// What is quick to probe: three packets in 0.2 s, and no second more for those that are lost.
const QUICK: &str = "-c 3 -i 0.1 -w 0.5";

fn otep(lab: &Lab, line: &str) -> Said {
    lab.check(&format!("check_otep {QUICK} {line} --output-format json"))
}

fn expect(lab: &Lab, line: &str, exit: i32, codes: &[&str]) -> Said {
    let said = otep(lab, line);
    assert_eq!((said.exit, said.codes()), (Some(exit), own(codes)), "{line}: {said:?}");
    said
}

fn own(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

fn summary(said: &Said) -> String {
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    json["summary"].as_str().expect("a summary").to_owned()
}

fn metric(said: &Said, name: &str) -> f64 {
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let metrics = json["metrics"].as_array().expect("metrics");
    let found = metrics.iter().find(|metric| metric["name"] == name).expect("the metric");
    found["value"].as_f64().expect("a number")
}

/// Until the check says this.
fn wait_for(lab: &Lab, exit: i32) -> Said {
    let said = lab.wait_for(&format!("check_otep {QUICK}"), exit);
    assert_eq!(said.exit, Some(exit));
    otep(lab, "")
}

#[test]
fn every_state_of_a_remote_has_its_verdict() {
    let lab = Lab::up("otep", &["otep"]);
    let fine = expect(&lab, "", 0, &[]);
    assert!(summary(&fine).starts_with("3 remotes work, slowest 192.0.2."), "{fine:?}");
    assert_eq!((metric(&fine, "remotes"), metric(&fine, "tunnels")), (3.0, 5.0), "{fine:?}");
    assert!(fine.out.contains("t-flow: its remotes come with flows, skipped"), "{fine:?}");
    assert!(fine.out.contains("192.0.2.12 by t-geneve (geneve), t-vxlan (vxlan from 192.0.2.11, BFD up), vx0 (vxlan from 192.0.2.11)"), "{fine:?}");
    let one = expect(&lab, "--remote 192.0.2.13", 0, &[]);
    assert!(summary(&one).starts_with("1 remote works"), "{one:?}");
    expect(&lab, "--port t-vxlan --expect bfd=up", 0, &[]);
    expect(&lab, "--port t-vxlan --expect bfd=down", 2, &["unexpected"]);
    expect(&lab, "--port vx0 --remote 192.0.2.14", 0, &[]);
    expect(&lab, "--remote 192.0.2.99", 2, &["absent"]);
    expect(&lab, "--port t-vxlan --port no-such", 2, &["absent"]);
    expect(&lab, "--port t-flow", 2, &["absent"]);
    expect(&lab, "--port t-vxlan --critical 1%/0/9 ", 2, &["all-down", "slow"]);
    expect(&lab, "--port t-vxlan -W 1%/0/9", 1, &["slow"]);

    // One remote falls silent; those that work are not blamed.
    lab.sh("ip -n h2 addr del 192.0.2.13/24 dev br-ex");
    let some = expect(&lab, "", 1, &["some-down", "no-reply"]);
    let text = "1 of 3 remotes do not work; 192.0.2.13: no reply: all 3 packets lost";
    assert!(summary(&some).starts_with(text), "{some:?}");
    assert_eq!(metric(&some, "remotes_down"), 1.0);
    expect(&lab, "--remote 192.0.2.13", 2, &["all-down", "no-reply"]);
    expect(&lab, "--as some-down=critical", 2, &["some-down", "no-reply"]);
    lab.sh("ip -n h2 addr add 192.0.2.13/24 dev br-ex");
    wait_for(&lab, 0);

    // It answers, but the session of the tunnel is not up.
    lab.sh("OVS_RUNDIR=/run/openvswitch-h2 ovs-vsctl set Interface t-vxlan bfd:enable=false");
    let bfd = wait_for(&lab, 1);
    assert_eq!(bfd.codes(), ["some-down", "bfd-down"], "{bfd:?}");
    assert!(summary(&bfd).contains("192.0.2.12: t-vxlan: BFD session is down"), "{bfd:?}");
    lab.sh("OVS_RUNDIR=/run/openvswitch-h2 ovs-vsctl set Interface t-vxlan bfd:enable=true");
    wait_for(&lab, 0);

    // No route; no carrier on the way; a tunnel that cannot be.
    let add = |name: &str, kind: &str, remote: &str| {
        lab.sh(&format!(
            "ovs-vsctl --no-wait add-port br-tun {name} -- set Interface {name} type={kind} \
             options:remote_ip={remote} options:key=5 options:dst_port=4791"
        ));
    };
    add("t-nowhere", "vxlan", "203.0.113.9");
    expect(&lab, "", 1, &["some-down", "no-route"]);
    expect(&lab, "--port t-nowhere", 2, &["all-down", "no-route"]);
    lab.sh("ovs-vsctl del-port t-nowhere");
    add("t-far", "vxlan", "198.51.100.2");
    let no_carrier = expect(&lab, "", 1, &["some-down", "link-down"]);
    assert!(
        summary(&no_carrier).contains("198.51.100.2: its way eth8 has no link"),
        "{no_carrier:?}"
    );
    lab.sh("ovs-vsctl del-port t-far");
    add("t-own", "vxlan", "192.0.2.14");
    lab.sh("ovs-vsctl --no-wait set Interface t-own options:local_ip=192.0.2.77");
    let no_local = expect(&lab, "--remote 192.0.2.14", 2, &["all-down", "no-local"]);
    let text = "192.0.2.14: t-own: its own address 192.0.2.77 is not on this host";
    assert!(summary(&no_local).contains(text), "{no_local:?}");
    lab.sh("ovs-vsctl del-port t-own");
    add("t-odd", "vxlan", "239.1.1.1");
    lab.sh("ip link add vx9 type vxlan id 9 group 239.1.1.2 dev br-ex dstport 4799");
    // Open vSwitch takes no group, no address that is none, and no tunnel without one.
    for (port, remote) in [("t-odd", "239.1.1.1"), ("t-bad", "192.0.2.300")] {
        if port != "t-odd" {
            add(port, "vxlan", remote);
        }
        wait_for(&lab, 1);
        let odd = expect(&lab, "", 1, &["error"]);
        assert!(odd.out.contains(&format!("{port}: ")), "{odd:?}");
        assert!(odd.out.contains("vx9: remote 239.1.1.2 is a multicast group, skipped"), "{odd:?}");
        expect(&lab, &format!("--port {port}"), 2, &["absent", "error"]);
        lab.sh(&format!("ovs-vsctl del-port {port}"));
    }
    lab.sh("ovs-vsctl --no-wait add-port br-tun t-none -- set Interface t-none type=gre");
    expect(&lab, "", 1, &["error"]);
    lab.sh("ovs-vsctl del-port t-none");

    // A device of the kernel that is switched off carries nothing, whoever answers.
    lab.sh("ip link set vx0 down");
    let off = expect(&lab, "", 1, &["some-down", "admin-down", "admin-down"]);
    assert!(summary(&off).contains("192.0.2.12: vx0 is switched off"), "{off:?}");
    lab.sh("ip link set vx0 up");
    wait_for(&lab, 0);

    // Nothing works.
    lab.sh("ip addr flush dev br-ex");
    let none = otep(&lab, "");
    assert_eq!(none.exit, Some(2), "{none:?}");
    assert!(summary(&none).starts_with("none of 3 remotes works; "), "{none:?}");
    for code in ["all-down", "no-local", "no-route"] {
        assert!(none.codes().contains(&code.to_owned()), "{code}: {none:?}");
    }
    lab.sh("ip addr add 192.0.2.11/24 dev br-ex");
    wait_for(&lab, 0);

    let nobody = lab.check_as_nobody(&format!("check_otep {QUICK} --output-format json"));
    assert_eq!(nobody.exit, Some(3), "{nobody:?}");
    let codes = nobody.codes();
    assert!(!codes.is_empty() && codes.iter().all(|code| code == "forbidden"), "{nobody:?}");

    lab.verb("freeze_vswitchd");
    // The userspace datapath of this lab forwards nothing then: the remotes are gone as well.
    let frozen = otep(&lab, "");
    assert_eq!(frozen.codes()[..2], own(&["stopped", "all-down"]), "{frozen:?}");
    assert!(summary(&frozen).contains("is stopped by a signal; its tunnels are not driven"));
    lab.verb("thaw_vswitchd");
    wait_for(&lab, 0);
    lab.verb("crash_vswitchd");
    let dead = otep(&lab, "");
    assert_eq!(dead.codes().first().map(String::as_str), Some("no-process"), "{dead:?}");
    assert!(!dead.out.contains("BFD up"), "what the database says of sessions is stale: {dead:?}");
}

#[test]
fn the_kernels_tunnels_need_no_open_vswitch() {
    let lab = Lab::up("otep-kernel", &["--no-ovs", "ping"]);
    let nothing = expect(&lab, "", 2, &["none"]);
    assert!(nothing.out.contains("no Open vSwitch on this host"), "{nothing:?}");
    lab.sh("ip link add vx0 type vxlan id 1 local 198.51.100.1 remote 198.51.100.2 dstport 4789; \
            ip link add vx6 type vxlan id 1 local 2001:db8:51::1 remote 2001:db8:51::2 dstport 4790; \
            ip link add vxm type vxlan external dstport 4791; ip link set vx0 up; ip link set vx6 up");
    let both = expect(&lab, "", 0, &[]);
    assert!(summary(&both).starts_with("2 remotes work"), "{both:?}");
    expect(&lab, "--remote 2001:db8:51::2", 0, &[]);

    // The cable loses the second reply of each three: too much for -C.
    lab.sh("echo drop=2 > /run/wire/new; mv /run/wire/new /run/wire/faults; sleep 0.1");
    let lossy = expect(&lab, "", 2, &["all-down", "loss", "loss"]);
    let text = "none of 2 remotes works; 198.51.100.2: 1 of 3 packets lost (33.33 %, limit 10 %)";
    assert!(summary(&lossy).starts_with(text), "{lossy:?}");
    expect(&lab, "-C 50%/1000/2000", 1, &["loss", "loss"]);

    // Each is probed from the tunnel's own address: the far end answers no other one.
    lab.sh("echo > /run/wire/new; mv /run/wire/new /run/wire/faults; sleep 0.1; \
            ip addr add 198.51.100.9/24 dev wire0; ip -n h2 route add prohibit 198.51.100.1/32");
    expect(&lab, "--port vx0", 2, &["all-down", "no-reply"]);
    lab.sh("ip link del vx0; ip link add vx0 type vxlan id 1 local 198.51.100.9 \
            remote 198.51.100.2 dstport 4789; ip link set vx0 up");
    expect(&lab, "--port vx0", 0, &[]);

    // The deadline comes first.
    let cut = lab.check("check_otep -c 20 -i 0.2 --timeout 0.8 --output-format json");
    assert_eq!((cut.exit, cut.codes()), (Some(2), own(&["timeout"])), "{cut:?}");
    assert!(cut.took < Duration::from_millis(1500), "{cut:?}");
}

#[test]
fn five_hundred_remotes_take_no_longer_than_one() {
    let lab = Lab::up("otep-many", &["--no-ovs", "many"]);
    let all = lab.check("check_otep -c 5 -i 0.2 --output-format json");
    assert_eq!((all.exit, all.codes()), (Some(0), own(&[])), "{}", &all.out[..300]);
    assert!(summary(&all).starts_with("500 remotes work"), "{}", summary(&all));
    assert!(all.took < Duration::from_secs(2), "{:?}", all.took);
    lab.sh("ip -n h2 addr del 10.77.1.7/16 dev far; ip -n h2 addr del 10.77.1.8/16 dev far");
    let some = expect(&lab, "", 1, &["some-down", "no-reply", "no-reply"]);
    assert!(summary(&some).starts_with("2 of 500 remotes do not work; 10.77.1.7: no reply"));
}
