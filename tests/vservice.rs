//! Verdicts on vServices with real daemons, in each state that the check is meant to see. Needs
//! root; says so and fails without it.
#![allow(clippy::disallowed_methods, clippy::panic, reason = "tests start programs")]

mod support;

use support::{Expect, Lab};

/// `dhcp N` and `router N` stand for the Nth network and router of `tests/lab/scenes/vservices.sh`.
fn full(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (kind, rest) = words.split_at(1);
    let n: u32 = rest[0].parse().expect("the number of a case");
    let net = format!("1abd{n:04}-0000-4000-8000-000000000001");
    let router = format!("1abf{n:04}-0000-4000-8000-000000000001");
    let service = match kind[0] {
        "dhcp" => format!("dhcp qdhcp-{net}"),
        "router" => format!("router qrouter-{router}"),
        "snat" => format!("router snat-{router}"),
        "vpn" => format!("vpn qrouter-{router}"),
        "metadata" => format!("metadata ovnmeta-{net}"),
        "loadbalancer" => format!("loadbalancer ovnmeta-{net}"),
        "pod" => format!("none cni-{net}"),
        "fip" => format!("fip fip-{net}"),
        other => panic!("no such case: {other}"),
    };
    format!("check_vservice {service} {}", rest[1..].join(" "))
}

fn lab(name: &str) -> Lab {
    Lab::up(name, &["--no-ovs", "vservices"])
}

const AS_ROOT: &[Expect] = &[
    ("dhcp 1", 0, &[]),
    ("dhcp 1 --interfaces", 0, &[]),
    ("dhcp 2", 2, &["no-process"]),
    ("dhcp 3", 2, &["stopped"]),
    ("dhcp 4", 2, &["no-process"]),
    ("dhcp 5", 2, &["no-process"]),
    ("dhcp 6", 2, &["stale"]),
    ("dhcp 7", 2, &["not-listening"]),
    ("dhcp 8", 0, &[]),
    ("dhcp 8 --process dhcp-helper", 0, &[]),
    ("dhcp 8 --process no-helper", 2, &["no-process"]),
    ("dhcp 9", 0, &[]),
    ("dhcp 10", 0, &[]),
    ("dhcp 11", 0, &[]),
    ("dhcp 12", 1, &["stuck"]),
    ("dhcp 13", 0, &[]),
    ("dhcp 13 --interfaces", 2, &["admin-down"]),
    ("dhcp 14", 2, &["absent"]),
    ("dhcp 15", 2, &["no-process"]),
    ("dhcp 16", 2, &["stopped"]),
    ("dhcp 17", 2, &["stopped"]),
    ("dhcp 18", 0, &[]),
    ("dhcp 18 --interfaces", 2, &["admin-down"]),
    ("router 10", 2, &["stopped"]),
    ("router 11", 2, &["stopped"]),
    ("router 1", 0, &[]),
    ("router 1 --expect ha=primary", 0, &[]),
    ("router 1 --expect ha=backup", 2, &["unexpected"]),
    ("router 2", 0, &[]),
    ("router 3", 2, &["stopped"]),
    ("router 4", 2, &["link-down"]),
    ("router 5", 0, &[]),
    ("router 5 --interfaces", 0, &[]),
    ("router 6", 2, &["no-process"]),
    ("router 7", 0, &[]),
    ("snat 7", 0, &[]),
    ("router 8", 0, &[]),
    ("router 9", 0, &[]),
    ("metadata 21", 0, &[]),
    ("loadbalancer 21", 0, &[]),
    ("metadata 22", 2, &["no-process"]),
    ("metadata 23", 2, &["not-listening"]),
    ("pod 24", 0, &[]),
    ("vpn 25", 0, &[]),
    ("vpn 24", 2, &["absent"]),
    ("fip 26", 0, &[]),
    ("dhcp 1 -c alive=3:", 2, &["limit"]),
];

/// Without any right: what pid files, the kernel's numbers of namespaces and command lines show. What
/// is not found is unknown, never critical.
const AS_NOBODY: &[Expect] = &[
    ("dhcp 1", 0, &[]),
    ("dhcp 2", 3, &["forbidden"]),
    ("dhcp 3", 2, &["stopped"]),
    ("dhcp 4", 3, &["forbidden"]),
    ("dhcp 5", 3, &["forbidden"]),
    ("dhcp 6", 2, &["stale"]),
    ("dhcp 7", 2, &["not-listening"]),
    ("dhcp 8", 0, &[]),
    ("dhcp 10", 0, &[]),
    ("dhcp 11", 0, &[]),
    ("dhcp 14", 2, &["absent"]),
    ("dhcp 15", 3, &["forbidden"]),
    ("router 1", 0, &[]),
    ("router 2", 3, &["forbidden", "forbidden"]),
    ("router 3", 2, &["stopped"]),
    ("router 5", 0, &[]),
    ("router 8", 0, &[]),
    ("dhcp 12", 1, &["stuck"]),
    ("dhcp 13 --interfaces", 2, &["link-down"]),
    // What others are in the namespace is counted through its dnsmasq.
    ("dhcp 1 --interfaces", 0, &[]),
    ("dhcp 18 --interfaces", 3, &["forbidden"]),
    ("dhcp 16", 2, &["stopped"]),
    ("router 10", 2, &["stopped"]),
    ("router 11", 2, &["stopped"]),
    ("pod 24", 0, &[]),
    ("vpn 25", 0, &[]),
    ("metadata 21", 0, &[]),
];

/// With the right to see processes alone: all verdicts of root but those on interfaces, of which the
/// near ends are seen, and without a process of the namespace not whether these are all.
const WITH_PTRACE: &[Expect] = &[
    ("dhcp 1", 0, &[]),
    ("dhcp 2", 2, &["no-process"]),
    ("dhcp 4", 2, &["no-process"]),
    ("dhcp 5", 2, &["no-process"]),
    ("dhcp 11", 0, &[]),
    ("dhcp 12", 1, &["stuck"]),
    ("router 2", 3, &["forbidden"]),
    ("router 4", 2, &["admin-down"]),
    ("router 6", 2, &["no-process", "forbidden"]),
    ("router 7", 3, &["forbidden"]),
    ("metadata 22", 2, &["no-process"]),
    ("vpn 25", 0, &[]),
];

#[test]
fn every_state_of_a_service_has_its_verdict() {
    let lab = lab("vservices");
    support::expect_all(AS_ROOT, |line| lab.check(&full(line)));
    support::expect_all(AS_NOBODY, |line| lab.check_as_nobody(&full(line)));
    support::expect_all(WITH_PTRACE, |line| lab.check_with("cap_sys_ptrace", &full(line)));
    let both = "cap_sys_ptrace,cap_sys_admin";
    let from_inside: &[Expect] = &[
        ("router 4", 2, &["link-down"]),
        ("dhcp 13 --interfaces", 2, &["admin-down"]),
        // Another state path is read without the capabilities, and they are there again for the rest.
        ("dhcp 1 --state-path /var/lib/neutron", 0, &[]),
        ("dhcp 1 --state-path /nowhere", 3, &["usage"]),
        ("dhcp 2 --state-path /run", 2, &["no-process"]),
        // What a router needs is not known where its pid files may not be read.
        ("dhcp 1 --state-path /run/private", 0, &[]),
        ("router 6 --state-path /run/private", 3, &["forbidden"]),
        ("router 3 --state-path /run/private", 2, &["stopped", "forbidden"]),
    ];
    support::expect_all(from_inside, |line| lab.check_with(both, &full(line)));
    // Files of the caller's are read after the processes, and tell the same.
    let named = |line: &str| format!("{} --state-path /var/lib/neutron", full(line));
    support::expect_all(AS_ROOT, |line| lab.check(&named(line)));
    support::expect_all(AS_ROOT, |line| lab.check_with(both, &named(line)));

    // A type that does not fit is a mistake; a prefix that was left out is guessed.
    let line = full("dhcp 2").replace("dhcp qdhcp", "router qdhcp");
    assert_eq!(lab.check(&line).exit, Some(3), "{line}");
    let said = lab.check(&full("dhcp 1").replace("qdhcp-", ""));
    assert!(said.first_line().ends_with("; there is qdhcp-1abd0001-0000-4000-8000-000000000001"));

    // What to grant is told.
    let hidden = lab.check_as_nobody(&full("dhcp 2"));
    assert!(hidden.first_line().contains("give the check cap_sys_ptrace"), "{hidden:?}");

    // Root reads them, though the check keeps none of its rights to write.
    let private = lab.check(&full("router 6 --state-path /run/private"));
    assert_eq!(private.exit, Some(2), "{private:?}");

    // The keepalived of a distributed router is judged where it lives.
    let beside = "/var/lib/neutron/ha_confs/1abf0007-*.pid-vrrp";
    lab.sh(&format!("kill -STOP $(cat {beside})"));
    support::expect_all(&[("router 7", 2, &["stopped"])], |line| lab.check(&full(line)));
    support::expect_all(&[("snat 7", 2, &["stopped"])], |line| lab.check(&full(line)));
    lab.sh(&format!("kill -CONT $(cat {beside})"));

    // Repaired, a service is OK again.
    lab.sh("kill -CONT $(cat /var/lib/neutron/dhcp/1abd0003-*/pid)");
    lab.sh("ip link set tr4 up");
    for line in ["dhcp 3", "router 4"] {
        lab.wait_for(&full(line), 0);
    }
    // A daemon that is started again is told in the metrics, whatever its pid.
    let restarts = |expected: &str| {
        let said = lab.check(&full("dhcp 1"));
        assert!(said.out.contains(&format!(" dnsmasq.restarts={expected}")), "{said:?}");
    };
    restarts("0");
    lab.sh("pid=$(cat /var/lib/neutron/dhcp/1abd0001-*/pid); \
         set -- $(tr '\\0' ' ' < /proc/$pid/cmdline); kill $pid; \
         while kill -0 $pid 2> /dev/null; do sleep 0.01; done; \
         nsenter --net=/run/netns/qdhcp-1abd0001-0000-4000-8000-000000000001 \"$@\"");
    lab.wait_for(&full("dhcp 1"), 0);
    restarts("0");
}

#[test]
fn where_mounts_do_not_propagate_a_plain_file_says_little() {
    let lab = lab("propagation");
    let said = support::run(lab.inside("unshare").args(["--mount", "sh", "-ec"]).arg(format!(
        "for name in /run/netns/*; do umount $name 2> /dev/null || :; done; exec {} dhcp {}",
        lab.path("check_vservice"),
        "qdhcp-1abd0001-0000-4000-8000-000000000001 --output-format json"
    )));
    assert_eq!((said.exit, said.codes()), (Some(3), vec!["no-propagation".to_owned()]), "{said:?}");
    // A link to the namespace of a process that ended.
    lab.sh("ln -s /proc/999999/ns/net /run/netns/qdhcp-1abd0099-0000-4000-8000-000000000001");
    let said = lab.check(&format!("{} --output-format json", full("dhcp 99")));
    assert_eq!(said.codes(), ["stale"], "{said:?}");
}

/// As from a container that has the namespaces of the host, and pids of its own.
#[test]
fn where_only_the_network_namespaces_are_the_host_s_nothing_is_missed() {
    let lab = lab("vs-pids");
    let from_container = |rights: &str, line: &str| {
        let line = full(line);
        support::run(
            lab.inside("unshare").args(["--pid", "--fork", "--mount-proc", "sh", "-ec"]).arg(
                format!(
                    "exec setpriv {rights} {} {}",
                    lab.path("check_vservice"),
                    line.trim_start_matches("check_vservice")
                ),
            ),
        )
    };
    let root = "--reset-env";
    let alone = "--bounding-set -sys_admin --inh-caps -sys_admin";
    let expected: &[Expect] = &[
        // Its sockets are there, and its proxy's.
        ("dhcp 1", 3, &["forbidden", "forbidden"]),
        ("dhcp 3", 3, &["forbidden"]),
        ("metadata 21", 3, &["forbidden"]),
        // Nothing is there.
        ("dhcp 2", 2, &["no-process"]),
        ("metadata 22", 2, &["no-process"]),
        ("router 2", 0, &[]),
    ];
    support::expect_all(expected, |line| from_container(root, line));
    let unseen: &[Expect] =
        &[("dhcp 1", 3, &["forbidden", "forbidden"]), ("dhcp 2", 3, &["forbidden"])];
    support::expect_all(unseen, |line| from_container(alone, line));
    let said = from_container(root, "dhcp 1 --output-format json");
    assert!(said.out.contains("hostPID"), "{said:?}");
}

#[test]
fn nothing_is_executed_and_no_child_is_made() {
    let lab = lab("vs-strace");
    for line in ["dhcp 1", "dhcp 2", "router 4", "dhcp 12", "router 7 --interfaces"] {
        let mut command = lab.inside("strace");
        command.args(["-f", "-e", "trace=execve,fork,vfork,clone,clone3", "--"]);
        command.arg(lab.path("check_vservice"));
        let said = support::run(command.args(full(line).split_whitespace().skip(1)));
        let calls: Vec<&str> = said.err.lines().filter(|l| l.contains('(')).collect();
        assert_eq!(calls.len(), 1, "only strace's own exec: {calls:?}");
    }
}

#[test]
fn a_namespace_that_comes_and_goes_is_never_a_panic_and_never_wrongly_ok() {
    let lab = Lab::up("vs-race", &["--no-ovs", "--bare"]);
    lab.sh("ip netns add another");
    lab.sh("(while :; do ip netns add qdhcp-race; nsenter --net=/run/netns/qdhcp-race \
         perl -e '$0 = \"haproxy\"; select undef, undef, undef, 0.01'; ip netns del qdhcp-race; done) \
         < /dev/null > /dev/null 2>&1 & echo $! > /run/racer");
    for _ in 0..300 {
        // No dnsmasq ever runs there.
        let said = lab.check("check_vservice dhcp qdhcp-race --output-format json");
        assert_eq!(said.exit, Some(2), "{said:?}");
        let code = said.codes().remove(0);
        assert!(["absent", "stale", "no-process"].contains(&code.as_str()), "{said:?}");
    }
    lab.sh("kill $(cat /run/racer)");
}

#[test]
fn where_proc_hides_the_processes_of_others_nobody_is_accused() {
    let lab = Lab::up("vservice-hidepid", &["--no-ovs", "--bare"]);
    lab.sh(
        "ip netns add pod; nsenter --net=/run/netns/pod setsid sleep 1000 < /dev/null > /dev/null 2>&1 &
         until [ -n \"$(ip netns pids pod)\" ]; do sleep 0.02; done
         mount -o remount,hidepid=2 /proc",
    );
    let line = "check_vservice none pod --process sleep --output-format json";
    let root = lab.check(line);
    assert_eq!((root.exit, root.codes()), (Some(0), Vec::new()), "{root:?}");
    let nobody = lab.check_as_nobody(line);
    assert_eq!(
        (nobody.exit, nobody.codes()),
        (Some(3), vec!["forbidden".to_owned()]),
        "{nobody:?}"
    );
}
