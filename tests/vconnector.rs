//! Bridges and what is plugged into them, on the real thing: Linux bridges and Open vSwitch in each
//! state that the checks are meant to see. Needs root; says so and fails without it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

mod support;

use calipso_checks::host::netlink::Route;
use std::time::Duration;
use support::{Lab, Said, run};

/// What a check must say: its arguments, the exit code, and the codes of its findings.
type Expect = (&'static str, i32, &'static [&'static str]);

fn expect(table: &[Expect], check: impl Fn(&str) -> Said) {
    let wrong = table.iter().filter_map(|(line, exit, codes)| {
        let said = check(&format!("{line} --output-format json"));
        let good = said.exit == Some(*exit) && said.codes() == *codes;
        let out = &said.out[..said.out.len().min(500)];
        (!good).then(|| format!("{line}: wanted {exit} {codes:?}, said {:?} {out}", said.exit))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const LINUX_BRIDGES: &[Expect] = &[
    ("check_vconnector br-ok", 0, &[]),
    ("check_vconnector br-portless", 0, &[]),
    ("check_vconnector br-down", 2, &["admin-down"]),
    ("check_vconnector br-down --as admin-down=ok", 0, &["admin-down"]),
    ("check_vconnector br-nocarrier", 1, &["link-down"]),
    ("check_vconnector br-root", 0, &[]),
    ("check_vconnector br-leaf", 1, &["blocked"]),
    ("check_vconnector br-leaf --expect stp=on", 1, &["blocked"]),
    ("check_vconnector br-ok --expect kind=linux", 0, &[]),
    ("check_vconnector qbr-11", 0, &[]),
    ("check_vconnector qbr-11 -w ageing=1:", 1, &["limit"]),
    ("check_vconnector br-ok -w 3:", 1, &["limit"]),
    ("check_vconnector br-ok -w ports=2: -c ports=1:", 0, &[]),
    ("check_vconnector br-ok -c fdb_entries=2:2", 0, &[]),
    ("check_vconnector tap-01", 2, &["not-bridge"]),
    ("check_vconnector tap-11", 2, &["not-bridge"]),
    ("check_vconnector lo", 2, &["not-bridge"]),
    ("check_vconnector no-such-br0", 2, &["absent"]),
    ("check_vconnector no-such-bridge-of-more-than-15-bytes", 2, &["absent"]),
];

const LINUX_LINKS: &[Expect] = &[
    ("check_vnic_vconnector br-ok fa:16:3e:00:00:01", 0, &[]),
    ("check_vnic_vconnector br-ok FA-16-3E-00-00-01", 0, &[]),
    ("check_vnic_vconnector br-ok fa16.3e00.0002", 0, &[]),
    ("check_vnic_vconnector br-ok fa:16:3e:00:00:03 --expect origin=static", 0, &[]),
    ("check_vnic_vconnector br-ok fa:16:3e:00:00:01 --port tap-01", 0, &[]),
    ("check_vnic_vconnector br-ok fa:16:3e:00:00:01 --port veth-02", 2, &["wrong-port"]),
    ("check_vnic_vconnector br-ok fa:16:3e:00:00:01 --expect port=tap-01 -c 10000", 0, &[]),
    ("check_vnic_vconnector br-ok fa:16:3e:00:00:01 --port d0", 2, &["not-plugged", "wrong-port"]),
    ("check_vnic_vconnector br-ok fa:16:3e:00:00:09", 1, &["not-seen"]),
    ("check_vnic_vconnector br-ok fa:16:3e:00:00:09 --port tap-01", 1, &["not-seen"]),
    ("check_vnic_vconnector br-portless fa:16:3e:00:00:01", 1, &["not-seen"]),
    ("check_vnic_vconnector br-down fa:16:3e:00:00:01", 2, &["bridge-down"]),
    ("check_vnic_vconnector no-such-br0 fa:16:3e:00:00:01", 2, &["absent"]),
    ("check_vnic_vconnector tap-01 fa:16:3e:00:00:01", 2, &["not-bridge"]),
    // Behind what leads away.
    ("check_vnic_vconnector br-up fa:16:3e:00:00:21", 2, &["on-uplink"]),
    ("check_vnic_vconnector br-up fa:16:3e:00:00:21 --port vx0", 0, &[]),
    ("check_vnic_vconnector br-up fa:16:3e:00:00:22", 2, &["on-uplink"]),
    ("check_vnic_vconnector br-up fa:16:3e:00:00:23", 2, &["on-uplink"]),
    ("check_vnic_vconnector br-up fa:16:3e:00:00:24", 2, &["wrong-port"]),
    ("check_vnic_vconnector br-far fa:16:3e:00:00:23", 0, &[]),
    // A port with its guest's address; ports that are down; a guest that never spoke.
    ("check_vnic_vconnector br-spoilt fa:16:3e:00:00:41", 2, &["local"]),
    ("check_vnic_vconnector br-spoilt fa:16:3e:00:00:42", 0, &[]),
    ("check_vnic_vconnector br-spoilt fa:16:3e:00:00:43", 2, &["admin-down"]),
    ("check_vnic_vconnector br-spoilt fa:16:3e:00:00:44", 2, &["link-down"]),
    ("check_vnic_vconnector br-spoilt fa:16:3e:00:00:45", 1, &["not-seen"]),
    // Ageing 0: judged by the tap.
    ("check_vnic_vconnector qbr-11 fa:16:3e:00:00:11", 0, &[]),
    ("check_vnic_vconnector qbr-12 fa:16:3e:00:00:12", 0, &[]),
    ("check_vnic_vconnector qbr-12 fa:16:3e:00:00:12 --port tap-12", 0, &[]),
    ("check_vnic_vconnector qbr-12 fa:16:3e:00:00:12 --port tap-11", 2, &["not-plugged"]),
    ("check_vnic_vconnector qbr-13 fa:16:3e:00:00:13", 2, &["admin-down"]),
    ("check_vnic_vconnector qbr-14 fa:16:3e:00:00:14", 2, &["not-plugged"]),
    // No address, no question.
    ("check_vnic_vconnector br-ok fa:16", 3, &["usage"]),
    ("check_vnic_vconnector br-ok fa:16:3e:00:00:0g", 3, &["usage"]),
];

#[test]
fn every_state_of_a_linux_bridge_has_its_verdict_with_and_without_rights() {
    let lab = Lab::up("bridges", &["--no-ovs", "bridges"]);
    for table in [LINUX_BRIDGES, LINUX_LINKS] {
        expect(table, |line| lab.check(line));
        expect(table, |line| lab.check_as_nobody(line));
        for (line, ..) in table {
            let said = lab.check(line);
            assert!(!said.out.contains("vSwitch,") && !said.out.contains("ovs"), "noise: {said:?}");
        }
    }
    let blocked = lab.sh("bridge link show | sed -n 's/.* \\(leaf.\\)@.*state blocking.*/\\1/p'");
    let stopped =
        format!("check_vnic_vconnector br-leaf fa:16:3e:00:00:31 --port {}", blocked.trim());
    let said = lab.check(&format!("{stopped} --output-format json"));
    assert_eq!((said.exit, said.codes()), (Some(2), vec!["not-forwarding".to_owned()]), "{said:?}");

    // What is said of a port with its guest's address is true: what 42 answers never reaches 41.
    let neighbour = "ip -n g41 neigh show 10.0.0.42";
    let asks = "ip -n g41 neigh flush all; \
                nsenter --net=/run/netns/g41 bash -c 'echo > /dev/udp/10.0.0.42/9' || true";
    lab.sh(asks);
    lab.sh(&format!("until {neighbour} | grep -q FAILED; do sleep 0.05; done"));
    lab.sh(&format!("ip link set tap-41 address fe:16:3e:00:00:41; {asks}"));
    lab.wait_for("check_vnic_vconnector br-spoilt fa:16:3e:00:00:41", 0);
    lab.sh(&format!("until {neighbour} | grep -q lladdr; do sleep 0.02; done"));

    // Repaired, they are OK; the address is forgotten with its port's link.
    lab.sh("ip link set br-down up; ip link set d0-far up; ip link set n0-far up; ip link set tap-13 up");
    for line in ["check_vconnector br-down", "check_vconnector br-nocarrier"] {
        lab.wait_for(line, 0);
    }
    lab.wait_for("check_vnic_vconnector qbr-13 fa:16:3e:00:00:13", 0);
    lab.sh("ip -n g01 link set eth0 down");
    lab.wait_for("check_vnic_vconnector br-ok fa:16:3e:00:00:01", 2);
    lab.sh("ip link del br-ok");
    lab.wait_for("check_vnic_vconnector br-ok fa:16:3e:00:00:01", 2);
}

#[test]
fn every_state_of_an_ovs_bridge_has_its_verdict() {
    let lab = Lab::up("ovs-bridges", &["bridges", "ovs-bridges"]);
    let table: &[Expect] = &[
        ("check_vconnector br-int", 0, &[]),
        ("check_vconnector br-int --expect kind=ovs --expect fail_mode=standalone", 0, &[]),
        ("check_vconnector br-int --expect controller=none -c ports=8:8", 0, &[]),
        ("check_vconnector br-int -c fdb_entries=3: -c ageing=300:300", 0, &[]),
        ("check_vconnector br-ex", 0, &[]),
        ("check_vconnector a-bridge-with-a-long-name", 0, &[]),
        ("check_vconnector br-bad", 2, &["not-configured"]),
        ("check_vconnector br-both", 1, &["both"]),
        ("check_vconnector br-stale", 0, &[]),
        ("check_vconnector br-ok", 0, &[]),
        ("check_vconnector ovs-01", 2, &["not-bridge"]),
        ("check_vconnector no-such-br0", 2, &["absent"]),
        ("check_vconnector no-such-bridge-of-more-than-15-bytes", 2, &["absent"]),
        ("check_vconnector br-int --db tcp:127.0.0.1:6640", 0, &[]),
        ("check_vconnector br-int --rundir /run/nosuch", 2, &["not-bridge"]),
        // Plugged in.
        ("check_vnic_vconnector br-int fa:16:3e:00:01:01", 0, &[]),
        ("check_vnic_vconnector br-int FA163E000101 --expect origin=attached", 0, &[]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:01 --port ovs-01", 0, &[]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:01 --port ovs-02", 2, &["wrong-port"]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:02", 2, &["admin-down"]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:03", 2, &["link-down"]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:04", 2, &["dead-vlan"]),
        ("check_vnic_vconnector tbr-1 fa:16:3e:00:01:05", 0, &[]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:08", 0, &[]),
        // Learned: through the trunk bridge, of a guest without a word, through the uplink.
        ("check_vnic_vconnector br-int fa:16:3e:00:01:05 --expect origin=learned", 0, &[]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:06 --expect port=ovs-06", 0, &[]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:07", 2, &["on-uplink"]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:07 --port int-br-ex", 0, &[]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:07 --port ovs-06", 2, &["wrong-port"]),
        ("check_vnic_vconnector br-ex fa:16:3e:00:01:07", 0, &[]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:99", 1, &["not-seen"]),
        ("check_vnic_vconnector br-bad fa:16:3e:00:01:01", 2, &["not-configured"]),
        ("check_vnic_vconnector a-bridge-with-a-long-name fa:16:3e:00:01:01", 1, &["not-seen"]),
        ("check_vnic_vconnector no-such-br0 fa:16:3e:00:01:01", 2, &["absent"]),
        // A Linux bridge whose uplink is plugged into Open vSwitch.
        ("check_vnic_vconnector br-lx fa:16:3e:00:01:07", 2, &["on-uplink"]),
        ("check_vnic_vconnector br-lx fa:16:3e:00:01:07 --port lx0", 0, &[]),
        ("check_vnic_vconnector qbr-11 fa:16:3e:00:00:11", 0, &[]),
        ("check_vnic_vconnector br-ok fa:16:3e:00:00:02", 0, &[]),
    ];
    expect(table, |line| lab.check(line));
    let own = lab.sh("cat /sys/class/net/br-ex/address");
    let said =
        lab.check(&format!("check_vnic_vconnector br-ex {} --output-format json", own.trim()));
    assert_eq!((said.exit, said.codes()), (Some(2), vec!["local".to_owned()]), "{said:?}");

    // Asked as nobody.
    expect(
        &[
            ("check_vconnector br-ok", 0, &[]),
            ("check_vconnector br-both", 0, &[]),
            ("check_vconnector no-such-br0", 3, &["forbidden"]),
            ("check_vconnector br-int", 3, &["forbidden"]),
            ("check_vconnector tap-01", 2, &["not-bridge"]),
            ("check_vconnector br-int --db tcp:127.0.0.1:6640", 0, &[]),
            ("check_vconnector br-bad --db tcp:127.0.0.1:6640", 2, &["not-configured"]),
            ("check_vnic_vconnector br-ok fa:16:3e:00:00:01", 0, &[]),
            ("check_vnic_vconnector br-int fa:16:3e:00:01:01", 3, &["forbidden"]),
            ("check_vnic_vconnector br-lx fa:16:3e:00:01:07", 3, &["forbidden"]),
            ("check_vnic_vconnector br-lx fa:16:3e:00:01:07 --port lx0", 0, &[]),
            ("check_vnic_vconnector br-int fa:16:3e:00:01:01 --db tcp:127.0.0.1:6640", 0, &[]),
            (
                "check_vnic_vconnector br-int fa:16:3e:00:01:06 --db tcp:127.0.0.1:6640",
                3,
                &["forbidden"],
            ),
        ],
        |line| lab.check_as_nobody(line),
    );
    let told = lab.check_as_nobody("check_vconnector no-such-br0").out;
    assert!(told.contains("permission denied; give the check cap_dac_override"), "{told}");
    let told = lab.check_as_nobody("check_vconnector br-both").out;
    assert!(told.contains("is not known: the database"), "{told}");
}

#[test]
fn a_dead_or_hung_ovs_is_critical_for_its_bridges_and_nothing_to_those_of_the_kernel() {
    let lab = Lab::up("ovs-silent", &["bridges", "ovs-bridges"]);
    let soon = |line: &str, exit: i32| {
        let said = lab.check(line);
        assert_eq!(said.exit, Some(exit), "{said:?}");
        assert!(said.took < Duration::from_millis(1500), "{line} waited: {said:?}");
        said
    };
    lab.verb("freeze_vswitchd");
    let hung: &[Expect] = &[
        ("check_vconnector br-int -t 3", 2, &["stopped"]),
        ("check_vconnector no-such-br0 -t 3", 2, &["absent"]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:01 -t 3", 2, &["stopped"]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:06 -t 3", 2, &["stopped"]),
        ("check_vconnector br-ok", 0, &[]),
    ];
    expect(hung, |line| lab.check(line));
    lab.verb("thaw_vswitchd");
    lab.wait_for("check_vconnector br-int", 0);

    lab.verb("freeze_ovsdb");
    let hung: &[Expect] = &[
        ("check_vconnector br-int -t 2", 2, &["stopped"]),
        ("check_vconnector no-such-br0 -t 2", 2, &["stopped"]),
        ("check_vconnector tap-01 -t 2", 2, &["not-bridge"]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:01 -t 2", 2, &["stopped"]),
        ("check_vnic_vconnector br-lx fa:16:3e:00:01:07", 2, &["timeout"]),
    ];
    expect(hung, |line| lab.check(line));
    soon("check_vconnector br-ok", 0);
    let both = soon("check_vconnector br-both", 0);
    assert!(both.out.contains("is not known: the database"), "{both:?}");
    soon("check_vnic_vconnector br-ok fa:16:3e:00:00:01", 0);
    soon("check_vnic_vconnector br-up fa:16:3e:00:00:22", 2);
    soon("check_vnic_vconnector br-lx fa:16:3e:00:01:07", 2);
    lab.verb("thaw_ovsdb");
    lab.wait_for("check_vconnector br-int", 0);

    // One that hangs for whoever cannot see its process: the silence is all there is.
    lab.sh("mkdir /run/hung; perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); \
            bind(S, pack_sockaddr_un(\"/run/hung/db.sock\")); listen(S, 5); $| = 1; sleep' \
            </dev/null >/dev/null 2>&1 & until [ -S /run/hung/db.sock ]; do sleep 0.02; done");
    expect(
        &[
            ("check_vconnector no-such-br0 --rundir /run/hung -t 1", 2, &["timeout"]),
            (
                "check_vnic_vconnector no-such-br0 fa:16:3e:00:01:01 --rundir /run/hung -t 1",
                2,
                &["timeout"],
            ),
            ("check_vconnector br-ok --rundir /run/hung", 0, &[]),
        ],
        |line| lab.check(line),
    );

    lab.verb("crash_vswitchd");
    let dead: &[Expect] = &[
        ("check_vconnector br-int", 2, &["no-process"]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:01", 2, &["no-process"]),
        ("check_vnic_vconnector br-int fa:16:3e:00:01:06", 2, &["no-process"]),
        ("check_vconnector br-ok", 0, &[]),
    ];
    expect(dead, |line| lab.check(line));
    lab.verb("crash_ovsdb");
    let dead: &[Expect] = &[
        ("check_vconnector br-int", 2, &["refused"]),
        ("check_vconnector no-such-br0", 2, &["refused"]),
        ("check_vconnector br-ok", 0, &[]),
        ("check_vconnector br-both", 0, &[]),
    ];
    expect(dead, |line| lab.check(line));
    // A run directory without anything that runs is no Open vSwitch to wait for.
    lab.sh("rm -r /run/openvswitch/*");
    expect(&[("check_vconnector no-such-br0", 2, &["absent"])], |line| lab.check(line));
}

#[test]
fn nothing_is_executed_and_no_child_is_made() {
    let lab = Lab::up("vconnector-strace", &["bridges", "ovs-bridges"]);
    for line in [
        "check_vconnector br-ok",
        "check_vconnector br-int",
        "check_vconnector $(id)",
        "check_vnic_vconnector br-ok fa:16:3e:00:00:01",
        "check_vnic_vconnector br-int fa:16:3e:00:01:06",
        "check_vnic_vconnector br-lx fa:16:3e:00:01:07",
        "check_vnic_vconnector br-ok;id fa:16:3e:00:00:01",
    ] {
        let mut command = lab.inside("strace");
        command.args(["-f", "-e", "trace=execve,fork,vfork,clone,clone3", "--"]);
        command.arg(lab.path(line)).args(line.split_whitespace().skip(1));
        let said = run(&mut command);
        let calls: Vec<&str> = said.err.lines().filter(|l| l.contains('(')).collect();
        assert_eq!(calls.len(), 1, "only strace's own exec: {calls:?}");
    }
}

#[test]
fn a_table_that_changes_all_the_time_gives_no_wrong_ok() {
    let lab = Lab::up("fdb-churn", &["--no-ovs", "bridges"]);
    // The address wanders between its tap, a tunnel and nowhere; another one is behind a cable to
    // another bridge that comes and goes.
    lab.sh("(while :; do bridge fdb replace fa:16:3e:00:00:24 dev tap-24 master static; \
              bridge fdb replace fa:16:3e:00:00:24 dev vx0 master static; \
              bridge fdb del fa:16:3e:00:00:24 dev vx0 master; done) </dev/null >/dev/null 2>&1 & \
            (while :; do ip link add ch0 type veth peer name ch1; ip link set ch1 master br-far up; \
              ip link set ch0 master br-up up; bridge fdb add fa:16:3e:00:00:26 dev ch0 master static; \
              ip link del ch0; done) </dev/null >/dev/null 2>&1 & \
            (perl -e 'for my $n (0 .. 4e9) { printf \"fdb replace 02:aa:%02x:%02x:%02x:%02x dev tap-25 master dynamic\\n\", \
              unpack(\"C4\", pack(\"N\", $n % 30000)) }' | bridge -batch - ) </dev/null >/dev/null 2>&1 &");
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..200 {
        for (mac, right) in [("fa:16:3e:00:00:24", "behind tap-24"), ("fa:16:3e:00:00:26", "never")]
        {
            let said =
                lab.check(&format!("check_vnic_vconnector br-up {mac} --output-format json"));
            let codes = said.codes().join(" ");
            match said.exit {
                Some(0) => assert!(said.out.contains(right), "a wrong OK: {said:?}"),
                Some(1) => assert_eq!(codes, "not-seen", "{said:?}"),
                // At first another guest's port has it.
                Some(2) => assert!(["on-uplink", "wrong-port"].contains(&&*codes), "{said:?}"),
                Some(3) => assert_eq!(codes, "unreadable", "{said:?}"),
                _ => panic!("{said:?}"),
            }
            *seen.entry(format!("{mac} {codes}")).or_default() += 1;
        }
        let said = lab.check("check_vconnector br-up");
        assert_eq!(said.exit, Some(0), "{said:?}");
    }
    assert!(seen.len() >= 4, "the table did change: {seen:?}");
}

#[test]
fn what_older_kernels_are_asked_says_the_same() {
    let lab = Lab::up("older-kernel", &["--no-ovs", "bridges"]);
    // The table counted, the kernel's own count where it keeps one, and what iproute2 lists.
    let namespace = lab.netns();
    let counted = std::thread::spawn(move || {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).expect("root may");
        let count = |name: &'static str| {
            let route = Route::here().expect("a socket");
            let bridge = route.link(name).expect("an answer").expect("a bridge");
            let own = bridge.bridge.and_then(|facts| facts.learned).map(|n| n as usize);
            (name, own, route.count_learned(bridge.index).expect("a table"))
        };
        ["br-ok", "br-up", "br-spoilt", "br-portless"].map(count)
    });
    for (name, own, counted) in counted.join().expect("no panic") {
        let list =
            format!("bridge fdb show br {name} | grep -v -e permanent -e self -e static | wc -l");
        assert_eq!(lab.sh(&list).trim(), counted.to_string(), "{name}");
        assert_eq!(own.unwrap_or(counted), counted, "{name}");
    }
    // Told that it does not support the question, the check reads brforward; and says the same.
    for (line, exit) in [
        ("check_vnic_vconnector br-ok fa:16:3e:00:00:01", 0),
        ("check_vnic_vconnector br-ok fa:16:3e:00:00:02", 0),
        ("check_vnic_vconnector br-ok fa:16:3e:00:00:01 --port veth-02", 2),
        ("check_vnic_vconnector br-spoilt fa:16:3e:00:00:41", 2),
        ("check_vnic_vconnector br-ok fa:16:3e:00:00:09", 1),
    ] {
        let said = refused_by_the_kernel(&lab, line);
        assert_eq!(said.exit, Some(exit), "{line}: {said:?}");
        assert!(said.err.contains("brforward"), "{line}: not read: {said:?}");
        let plain = lab.check(line);
        let sentence = |said: &Said| said.first_line().split(" (").next().map(str::to_owned);
        assert_eq!(sentence(&said), sentence(&plain), "{line}");
    }
}

/// Runs a check whose second answer from the kernel, that about the address, is turned into
/// `EOPNOTSUPP` on its way.
fn refused_by_the_kernel(lab: &Lab, line: &str) -> Said {
    let traced = |inject: &[&str]| {
        let mut command = lab.inside("strace");
        command.args(["-e", "trace=recvfrom,openat"]).args(inject).arg("--").arg(lab.path(line));
        run(command.args(line.split_whitespace().skip(1)))
    };
    let plain = traced(&[]);
    let answers: Vec<&str> =
        plain.err.lines().filter(|line| line.starts_with("recvfrom")).collect();
    let length = answers[1].rsplit("= ").next().and_then(|n| n.trim().parse::<u32>().ok());
    let length = length.expect("the length of the second answer");
    // nlmsghdr: length, type NLMSG_ERROR, flags, sequence, pid; then -EOPNOTSUPP.
    let mut message = length.to_ne_bytes().to_vec();
    message.extend([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    message.extend((-95_i32).to_ne_bytes());
    let bytes: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
    traced(&["-e", &format!("inject=recvfrom:poke_exit=@arg2={bytes}:when=2")])
}

#[test]
#[ignore = "needs a kernel with CONFIG_BRIDGE_VLAN_FILTERING"]
fn a_bridge_that_keeps_addresses_per_vlan_is_asked_for_each() {
    let lab = Lab::up("vlan-bridge", &["--no-ovs", "vlan-bridge"]);
    expect(
        &[
            ("check_vconnector br-vlan", 0, &[]),
            ("check_vnic_vconnector br-vlan fa:16:3e:00:00:04", 0, &[]),
            ("check_vnic_vconnector br-vlan fa:16:3e:00:00:05 --port tap-05", 0, &[]),
            ("check_vnic_vconnector br-vlan fa:16:3e:00:00:05 --port tap-04", 2, &["wrong-port"]),
            ("check_vnic_vconnector br-vlan fa:16:3e:00:00:06", 1, &["not-seen"]),
        ],
        |line| lab.check(line),
    );
    let said = lab.check("check_vnic_vconnector br-vlan fa:16:3e:00:00:04");
    assert!(said.first_line().contains("behind tap-04 in VLAN 100"), "{said:?}");
}
