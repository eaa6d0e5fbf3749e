//! Verdicts on real neighbours: guests on a bridge, in every state that the kernel knows, seen with
//! every right and with none. Needs root; says so and fails without it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

mod support;

use std::process::Command;
use support::{Lab, Said, run};

const DHCP: &str = "qdhcp-1abd0001-0000-4000-8000-000000000001";
const ROUTER: &str = "qrouter-1abf0001-0000-4000-8000-000000000001";
const SNAT: &str = "snat-1abf0001-0000-4000-8000-000000000001";
const CNI: &str = "cni-1abc0001-0000-4000-8000-000000000001";
const LONELY: &str = "qdhcp-1abd0002-0000-4000-8000-000000000002";
/// Where the scene keeps Neutron's files.
const STATE: &str = "--state-path=/run/neutron";

fn up(name: &str) -> Lab {
    Lab::up(name, &["--no-ovs", "neighbours"])
}

/// Who runs a check.
#[derive(Clone, Copy)]
enum Who {
    Root,
    Nobody,
    /// Nobody, with these file capabilities on a copy of the check.
    With(&'static str),
}

impl Lab {
    /// A check about a vNIC in a namespace, by its last two digits.
    fn vnic(&self, who: Who, netns: &str, end: &str, more: &[&str]) -> Said {
        run(self.vnic_command(who, netns, end, more).args(["--output-format", "json"]))
    }

    fn vnic_command(&self, who: Who, netns: &str, end: &str, more: &[&str]) -> Command {
        let check = "check_instance_vnic";
        let mut command = self.as_user(who, check);
        command.args([netns, &format!("fa:16:3e:00:00:{end}"), STATE]).args(more);
        command
    }

    fn as_user(&self, who: Who, check: &str) -> Command {
        let path = match who {
            Who::Root => return self.inside(&self.path(check)),
            Who::Nobody => self.path(check),
            Who::With(capabilities) => self.with_capabilities(check, capabilities),
        };
        let mut command = self.inside("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(path);
        command
    }

    /// A copy of a check with exactly these file capabilities.
    fn with_capabilities(&self, check: &str, capabilities: &str) -> String {
        let copy = format!("/run/caps/{check}-{capabilities}");
        let from = self.path(check);
        self.sh(&format!("mkdir -p /run/caps; cp {from} {copy}; setcap {capabilities}=ep {copy}"));
        copy
    }

    fn expect(&self, who: Who, table: &[(&str, &str, i32, &[&str])]) {
        let wrong: Vec<String> = table
            .iter()
            .filter_map(|(netns, end, exit, codes)| {
                let said = self.vnic(who, netns, end, &[]);
                let good = said.exit == Some(*exit) && said.codes() == *codes;
                (!good).then(|| format!("{end} in {netns}: wanted {exit} {codes:?}, said {said:?}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

fn json(said: &Said) -> serde_json::Value {
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))
}

fn summary(said: &Said) -> String {
    json(said)["summary"].as_str().expect("a sentence").to_owned()
}

#[test]
fn every_state_of_a_neighbour_has_its_verdict() {
    let lab = up("nb-states");
    lab.expect(
        Who::Root,
        &[
            (DHCP, "11", 0, &[]),           // REACHABLE
            (ROUTER, "11", 0, &[]),         // STALE
            (SNAT, "11", 0, &[]),           // DELAY
            (CNI, "12", 0, &[]),            // PROBE
            (DHCP, "77", 0, &[]),           // PERMANENT
            (DHCP, "14", 0, &[]),           // IPv6 only
            (DHCP, "13", 0, &[]),           // switched off, and the kernel does not know yet
            (ROUTER, "13", 2, &["failed"]), // switched off; only /proc has its MAC address
            (ROUTER, "16", 2, &["failed"]), // IPv4 failed, its older IPv6 entry is stale
            (DHCP, "99", 2, &["failed"]),   // of the host file
            (DHCP, "98", 2, &["failed"]),   // of the host file, IPv6
            (DHCP, "97", 2, &["failed"]),   // of the leases
            (ROUTER, "88", 1, &["incomplete"]),
            (DHCP, "15", 1, &["not-seen"]), // idle, its address is known
            (DHCP, "ee", 1, &["not-seen"]), // nothing is known
            (DHCP, "06", 1, &["wrong-mac"]),
            ("qdhcp-nosuch", "11", 2, &["absent"]),
            ("qdhcp-stale", "11", 2, &["stale"]),
            (LONELY, "21", 0, &[]),
        ],
    );
    for (netns, end, sentence) in [
        (DHCP, "11", format!("fa:16:3e:00:00:11 in {DHCP} is 10.0.1.11 REACHABLE, confirmed ")),
        (DHCP, "77", format!("fa:16:3e:00:00:77 in {DHCP} is 10.0.1.77 PERMANENT")),
        (
            DHCP,
            "99",
            format!("fa:16:3e:00:00:99 in {DHCP}: its address 10.0.1.99 does not answer (FAILED)"),
        ),
        (
            DHCP,
            "15",
            format!(
                "fa:16:3e:00:00:15 in {DHCP}: not seen: nobody has asked for its address 10.0.1.15 lately"
            ),
        ),
        (
            DHCP,
            "ee",
            format!(
                "fa:16:3e:00:00:ee in {DHCP}: not seen, and no address of it is known: idle, or never came up"
            ),
        ),
        (
            DHCP,
            "06",
            format!(
                "fa:16:3e:00:00:06 in {DHCP}: its address 10.0.1.11 belongs to fa:16:3e:00:00:11 (REACHABLE)"
            ),
        ),
        (
            ROUTER,
            "88",
            format!(
                "fa:16:3e:00:00:88 in {ROUTER}: its address 10.0.1.88 has not answered yet (INCOMPLETE)"
            ),
        ),
        ("qdhcp-nosuch", "11", "namespace qdhcp-nosuch does not exist".to_owned()),
        (
            "qdhcp-stale",
            "11",
            "namespace qdhcp-stale is gone, a plain file is left of it".to_owned(),
        ),
    ] {
        let said = summary(&lab.vnic(Who::Root, netns, end, &[]));
        assert!(said.starts_with(&sentence), "wanted {sentence:?}, said {said:?}");
    }
    let limited = lab.vnic(Who::Root, ROUTER, "11", &["-w", "failed=0", "--expect", "state=STALE"]);
    assert_eq!((limited.exit, limited.codes()), (Some(1), vec!["limit".to_owned()]));
    let expected = lab.vnic(Who::Root, ROUTER, "11", &["--expect", "state=REACHABLE"]);
    assert_eq!(expected.codes(), ["unexpected"]);
}

#[test]
fn the_numbers_are_those_of_the_kernel() {
    let lab = up("nb-numbers");
    let said = json(&lab.vnic(Who::Root, DHCP, "11", &[]));
    let metric = |name: &str| {
        let all = said["metrics"].as_array().expect("metrics");
        all.iter().find(|m| m["name"] == name).map(|m| m["value"].as_f64().expect("a number"))
    };
    for (name, state) in
        [("reachable", "REACHABLE"), ("failed", "FAILED"), ("permanent", "PERMANENT")]
    {
        let listed = lab.sh(&format!("ip -n {DHCP} neigh | grep -c {state}"));
        assert_eq!(metric(name), listed.trim().parse().ok(), "{name}");
    }
    assert_eq!(metric("complete"), Some(1.0));
    // `ip -s` prints used/confirmed/updated in whole seconds.
    let shown = lab.sh(&format!("ip -n {DHCP} -s neigh show 10.0.1.11"));
    let ages = shown.split_whitespace().skip_while(|word| *word != "used").nth(1).expect("ages");
    let confirmed: f64 = ages.split('/').nth(1).and_then(|age| age.parse().ok()).expect("an age");
    let age = metric("confirmed_age").expect("an age");
    assert!((age - confirmed).abs() < 2.0, "{age} s, `ip` says {confirmed} s");
}

#[test]
fn the_worst_pair_decides_and_each_has_its_line() {
    let lab = up("nb-pairs");
    let call = |name: &str, arguments: &[String]| {
        let mut command = lab.inside("bash");
        command.args([
            "-c",
            &format!("exec -a {name} {} \"$@\"", lab.path("check_instance_communications")),
            "x",
        ]);
        run(command.arg(STATE).args(arguments))
    };
    let pair = |netns: &str, end: &str| format!("{netns},fa:16:3e:00:00:{end}");
    let good = [pair(DHCP, "11"), pair(ROUTER, "11"), pair(DHCP, "14")].join(";");
    let said = call("check_instance_communications", &[format!("{good};"), pair(DHCP, "11")]);
    assert_eq!(
        said.first_line(),
        "CheckInstanceCommunications OK: 3 vNICs seen as neighbours in 2 namespaces"
    );
    let bad = [good, pair(ROUTER, "88"), pair(DHCP, "99"), pair("qdhcp-nosuch", "11")].join(";");
    let said = call("check_instance_communications", std::slice::from_ref(&bad));
    assert_eq!(said.exit, Some(2), "{said:?}");
    for (netns, end) in
        [(DHCP, "11"), (DHCP, "14"), (ROUTER, "88"), (DHCP, "99"), ("qdhcp-nosuch", "11")]
    {
        let line = format!("fa:16:3e:00:00:{end} in {netns}: ");
        assert!(said.out.lines().any(|l| l.starts_with(&line)), "no line for {line}: {said:?}");
    }
    // Under its historical names it is the same check.
    for name in ["check_instance_communictions", "check_instance_communications.py", "x"] {
        let again = call(name, std::slice::from_ref(&bad));
        assert_eq!((again.exit, again.first_line()), (said.exit, said.first_line()), "{name}");
    }
}

#[test]
fn without_any_right_ipv4_is_seen_through_a_process() {
    let lab = up("nb-nobody");
    lab.expect(
        Who::Nobody,
        &[
            (DHCP, "11", 0, &[]),
            (ROUTER, "11", 0, &[]),
            (SNAT, "11", 0, &[]),
            (CNI, "12", 0, &[]),
            (DHCP, "77", 0, &[]),
            (DHCP, "14", 1, &["not-seen"]), // IPv6 cannot be seen, the evidence says so
            (DHCP, "98", 3, &["forbidden"]), // has IPv6 only
            (DHCP, "99", 1, &["incomplete"]), // /proc does not tell INCOMPLETE from FAILED
            (ROUTER, "13", 1, &["incomplete"]),
            (ROUTER, "88", 1, &["incomplete"]),
            (DHCP, "15", 1, &["not-seen"]),
            (DHCP, "06", 1, &["wrong-mac"]),
            ("qdhcp-nosuch", "11", 2, &["absent"]),
            ("qdhcp-stale", "11", 2, &["stale"]),
            (LONELY, "21", 0, &[]), // by Neutron's pid file and the command line
        ],
    );
    let said = run(&mut lab.vnic_command(Who::Nobody, DHCP, "14", &[]));
    assert!(
        said.out.contains("which has no IPv6 and no age; all is seen with cap_sys_admin"),
        "{said:?}"
    );
    // Files that may not be read are told.
    lab.sh("chmod 700 /run/neutron/dhcp");
    let said = run(&mut lab.vnic_command(Who::Nobody, DHCP, "15", &[]));
    assert!(said.out.contains("host: permission denied"), "{said:?}");
    assert!(said.first_line().contains("add the check's user to group neutron"), "{said:?}");
    assert_eq!(said.exit, Some(3), "{said:?}");
}

#[test]
fn a_pid_file_is_believed_only_if_its_process_names_the_namespace() {
    let lab = up("nb-pidfile");
    let file = format!("/run/neutron/dhcp/{}/pid", LONELY.trim_start_matches("qdhcp-"));
    for pid in ["1", "nonsense", "999999"] {
        lab.sh(&format!("echo {pid} > {file}"));
        let said = lab.vnic(Who::Nobody, LONELY, "21", &[]);
        assert_eq!((said.exit, said.codes()), (Some(3), vec!["forbidden".to_owned()]), "{pid}");
        let said = summary(&said);
        assert!(said.contains("give the check cap_sys_admin (cap_sys_ptrace: IPv4)"), "{said}");
    }
}

#[test]
fn one_capability_is_enough_for_what_it_is_for() {
    let lab = up("nb-caps");
    lab.sh("rm /run/neutron/dhcp/*/pid");
    let admin = Who::With("cap_sys_admin");
    lab.expect(
        admin,
        &[
            (DHCP, "11", 0, &[]),
            (DHCP, "14", 0, &[]),
            (ROUTER, "13", 2, &["failed"]),
            (ROUTER, "16", 2, &["failed"]),
            (DHCP, "98", 2, &["failed"]),
            (ROUTER, "88", 1, &["incomplete"]),
            (DHCP, "ee", 1, &["not-seen"]),
            (LONELY, "21", 0, &[]),
        ],
    );
    lab.expect(
        Who::With("cap_sys_ptrace"),
        &[(LONELY, "21", 0, &[]), (DHCP, "98", 3, &["forbidden"])],
    );
    for other in [Who::Nobody, Who::With("cap_net_admin"), Who::With("cap_dac_override")] {
        lab.expect(other, &[(LONELY, "21", 3, &["forbidden"]), (DHCP, "11", 0, &[])]);
    }
    // To ask needs both; without them the wish is not passed over.
    let both = Who::With("cap_sys_admin,cap_net_admin");
    let refresh = |who, netns: &str, end: &str| {
        let mut command = lab.as_user(who, "check_instance_vnic");
        command.args([
            netns,
            &format!("fa:16:3e:00:00:{end}"),
            "--refresh",
            "--output-format",
            "json",
        ]);
        run(&mut command)
    };
    assert_eq!(refresh(admin, ROUTER, "11").codes(), ["forbidden"]);
    assert_eq!(refresh(Who::Nobody, ROUTER, "11").codes(), ["forbidden"]);
    let said = refresh(both, ROUTER, "11");
    assert_eq!((said.exit, said.codes()), (Some(0), vec![]), "{said:?}");
    let said = refresh(both, DHCP, "15");
    assert_eq!(
        (said.exit, said.codes()),
        (Some(0), vec![]),
        "asked at an address of a file: {said:?}"
    );
    // With files of the caller's only root may.
    let said = lab.vnic(both, ROUTER, "13", &["--refresh"]);
    assert!(said.out.contains("without --state-path"), "{said:?}");
    // A path of the caller's is opened without the rights that only the check has.
    lab.sh("chmod 700 /run/neutron/dhcp");
    for other in ["cap_sys_admin,cap_dac_override", "cap_sys_admin,cap_dac_read_search"] {
        let said = run(&mut lab.vnic_command(Who::With(other), DHCP, "99", &[]));
        assert!(said.out.contains("host: permission denied"), "{said:?}");
    }
    let reads = Who::With("cap_sys_admin,cap_dac_read_search");
    let usual =
        lab.as_user(reads, "check_instance_vnic").args([DHCP, "fa:16:3e:00:00:99"]).output();
    let said = String::from_utf8(usual.expect("it runs").stdout).expect("ASCII");
    assert!(said.contains("10.0.1.99") && !said.contains("permission denied"), "{said}");
}

#[test]
fn asking_tells_who_lives_and_touches_nobody_else() {
    let lab = up("nb-refresh");
    let refresh =
        |netns: &str, end: &str| lab.vnic(Who::Root, netns, end, &["--refresh", "-t", "3"]);
    let others = |netns: &str, but: &str| {
        lab.sh(&format!("ip -n {netns} neigh | grep -v '^{but} ' | sed 's/ router//' | sort"))
    };
    let before = others(SNAT, "10.0.1.11");
    let said = refresh(SNAT, "11");
    assert_eq!(said.exit, Some(0), "{said:?}");
    assert!(summary(&said).contains("confirmed 0 s ago"), "{said:?}");
    assert_eq!(others(SNAT, "10.0.1.11"), before);
    // Idle, but there; and IPv6.
    assert_eq!(refresh(DHCP, "15").exit, Some(0));
    lab.sh(&format!(
        "ip -n {SNAT} neigh add fd00:1::14 lladdr fa:16:3e:00:00:14 dev eth0 nud stale"
    ));
    let said = refresh(SNAT, "14");
    assert!(summary(&said).ends_with("confirmed 0 s ago"), "{said:?}");
    // Switched off: the kernel learns it from the question, and forgets the MAC address.
    lab.expect(Who::Root, &[(DHCP, "11", 0, &[])]);
    lab.sh("ip -n g11 link set eth0 down");
    lab.sh(&format!(
        "ip -n {DHCP} neigh change 10.0.1.11 lladdr fa:16:3e:00:00:11 dev eth0 nud stale"
    ));
    let said = refresh(DHCP, "11");
    assert_eq!((said.exit, said.codes()), (Some(2), vec!["failed".to_owned()]), "{said:?}");
    assert!(
        summary(&said).ends_with("its address 10.0.1.11 does not answer when asked now"),
        "{said:?}"
    );
    lab.expect(Who::Root, &[(DHCP, "11", 2, &["failed"])]);
    // An address that stays unanswered is judged at the deadline.
    for (netns, end) in [(ROUTER, "88"), (CNI, "12")] {
        let said = lab.vnic(Who::Root, netns, end, &["--refresh", "-t", "1"]);
        assert_eq!((said.exit, said.codes()), (Some(2), vec!["failed".to_owned()]), "{said:?}");
        assert!(said.took.as_secs_f64() < 1.5, "{said:?}");
    }
    // Switched on again.
    lab.sh("ip -n g11 link set eth0 up");
    let said = lab.vnic(Who::Root, DHCP, "11", &["--refresh"]);
    assert_eq!(said.exit, Some(0), "{said:?}");
}

#[test]
fn where_mounts_do_not_propagate_a_plain_file_says_nothing() {
    let lab = up("nb-propagation");
    let hidden = |before: &str, who: &str| {
        let check = lab.path("check_instance_vnic");
        let line = format!(
            "mount -t tmpfs tmpfs /run/netns && touch /run/netns/{DHCP} && {before} && exec {who} {check} \
             {DHCP} fa:16:3e:00:00:11 --output-format json"
        );
        run(lab.inside("unshare").args(["--mount", "--", "bash", "-c", &line]))
    };
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --";
    for who in ["", nobody] {
        let said = hidden("true", who);
        assert_eq!(
            (said.exit, said.codes()),
            (Some(3), vec!["no-propagation".to_owned()]),
            "{said:?}"
        );
        // One live name shows that mounts are seen.
        let said = hidden("ip netns add live", who);
        assert_eq!((said.exit, said.codes()), (Some(2), vec!["stale".to_owned()]), "{said:?}");
    }
}

#[test]
fn a_namespace_that_comes_and_goes_is_never_ok_and_never_a_fault() {
    let lab = up("nb-race");
    lab.sh("(while :; do ip netns add qdhcp-flicker; \
              setsid ip netns exec qdhcp-flicker sleep 0.01; ip netns del qdhcp-flicker; done) \
            </dev/null >/dev/null 2>&1 & echo $! > /run/flicker");
    let mut seen = std::collections::BTreeSet::new();
    for turn in 0..400 {
        let who = if turn % 2 == 0 { Who::Root } else { Who::Nobody };
        let said = lab.vnic(who, "qdhcp-flicker", "11", &[]);
        let codes = said.codes();
        assert_eq!(codes.len(), 1, "{said:?}");
        let known = ["absent", "stale", "not-seen", "forbidden"].contains(&codes[0].as_str());
        assert!(known && said.exit != Some(0), "{said:?}");
        seen.extend(codes);
    }
    lab.sh("kill $(cat /run/flicker)");
    assert!(seen.contains("absent") && seen.contains("not-seen"), "both were met: {seen:?}");
}

#[test]
fn nothing_is_executed_no_child_is_made_and_each_namespace_is_entered_once() {
    let lab = up("nb-strace");
    let pairs: Vec<String> = ["11", "14", "77", "13"]
        .iter()
        .flat_map(|end| [DHCP, SNAT].map(|netns| format!("{netns},fa:16:3e:00:00:{end}")))
        .collect();
    let calls = |arguments: &[&str]| {
        let mut command = lab.inside("strace");
        command.args(["-f", "-e", "trace=execve,fork,vfork,clone,clone3,setns,socket", "--"]);
        let said = run(command.arg(lab.path("check_instance_communications")).args(arguments));
        let lines = said.err.lines().filter(|line| line.contains('('));
        lines.map(|line| line.split('(').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let one = format!("{DHCP},fa:16:3e:00:00:11");
    // The first proves that there is a way home.
    assert_eq!(calls(&[&one]), ["execve", "setns", "setns", "socket", "setns"]);
    let all = calls(&[&pairs.join(";"), "--refresh", STATE]);
    let count = |name: &str| all.iter().filter(|call| *call == name).count();
    assert_eq!((count("execve"), count("socket")), (1, 2), "{all:?}");
    assert_eq!(count("fork") + count("vfork") + count("clone") + count("clone3"), 0, "{all:?}");
    assert_eq!(count("setns"), 6, "in and out of each once: {all:?}");
}
