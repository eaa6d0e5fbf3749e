//! What calipso-doctor says of this host and user, and whether the checks agree. Needs root; says so
//! and fails without it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

mod support;

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use support::{Lab, Said, binary, run};

const AS_NOBODY: [&str; 4] = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];

/// A host with the tool beside the checks.
fn up(name: &str, options: &[&str]) -> Lab {
    let lab = Lab::up(name, options);
    std::fs::copy(binary("calipso-doctor"), lab.path("calipso-doctor")).expect("a copy");
    lab
}

fn as_nobody(lab: &Lab, arguments: &[&str]) -> Said {
    let mut command = lab.inside("setpriv");
    run(command.args(AS_NOBODY).arg(lab.path("calipso-doctor")).args(arguments))
}

/// The verdicts by check.
fn verdicts(said: &Said) -> BTreeMap<String, String> {
    let json: serde_json::Value =
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    let checks = json["checks"].as_array().expect("checks");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    checks.iter().map(|check| (text(&check["check"]), text(&check["verdict"]))).collect()
}

/// Calls that need what the doctor looks at, on the host of scene `switch` with a namespace apart.
const LINES: &[&str] = &[
    "check_ovs_port tap-ok",
    "check_vedge_ovs",
    "check_vconnector br-int",
    "check_vnic_vconnector br-int fa:16:3e:00:00:01",
    "check_otep --remote 192.0.2.12 -c 1 -w 0.5",
    "check_ping -t 127.0.0.1 -c 1",
    "check_pnic_ovs eth1",
    "check_vservice dhcp qdhcp-empty",
    "check_instance_vnic cni-apart fa:16:3e:00:00:01",
    "check_instance_communications cni-apart,fa:16:3e:00:00:01",
];

#[test]
fn the_checks_agree_before_and_after_what_it_says_is_done() {
    let lab = up("doctor", &[]);
    lab.sh("ip netns add cni-apart; ip netns add qdhcp-empty");
    let agree = |said: &Said, when: &str| {
        let verdicts = verdicts(said);
        for line in LINES {
            let check = line.split_whitespace().next().expect("a check");
            let blind = lab.check_as_nobody(line).exit == Some(3);
            assert_eq!(verdicts[check] != "works", blind, "{when}: {line}: {}", verdicts[check]);
        }
    };
    let before = as_nobody(&lab, &["--output-format", "json"]);
    assert_eq!(before.exit, Some(2), "{before:?}");
    agree(&before, "before");
    let seen = verdicts(&before);
    assert_eq!(
        (&*seen["check_vedge_vpp"], &*seen["check_vm"]),
        ("not needed here", "not needed here")
    );
    assert_eq!((&*seen["check_vservice"], &*seen["check_ping"]), ("sees a part", "cannot work"));

    // It does nothing itself; what it prints is what helps.
    let fix = as_nobody(&lab, &["--fix"]);
    assert!(fix.out.lines().all(|line| line.starts_with("setcap ")), "{fix:?}");
    assert_eq!(lab.sh(&format!("getcap {}*", lab.path("check_"))), "");
    lab.sh(&fix.out);
    let after = as_nobody(&lab, &["--output-format", "json"]);
    assert_eq!(after.exit, Some(0), "{after:?}");
    agree(&after, "after");
    assert_eq!(as_nobody(&lab, &["--fix"]).out, "");

    // For people: a line for each check, and it fits on a screen.
    for said in [as_nobody(&lab, &[]), run(&mut lab.inside(&lab.path("calipso-doctor")))] {
        assert!(said.out.lines().count() < 24, "{}", said.out);
        assert!(said.out.lines().all(|line| line.len() <= 120), "{}", said.out);
        for check in support::checks() {
            assert!(said.out.lines().any(|line| line.starts_with(&check)), "{check}: {}", said.out);
        }
    }
    // One that lost its capability is told from the others.
    lab.sh(&format!("setcap -r {}", lab.path("check_ovs_port")));
    let lost = as_nobody(&lab, &["--fix"]).out;
    assert_eq!(lost, format!("setcap cap_dac_override=ep {}\n", lab.path("check_ovs_port")));
    std::fs::remove_file(lab.path("check_ping")).expect("ours");
    let gone = as_nobody(&lab, &["--output-format", "json"]);
    assert_eq!((gone.exit, &*verdicts(&gone)["check_ping"]), (Some(2), "cannot work"));
    // One that may not be run.
    lab.sh(&format!("chmod 750 {}", lab.path("check_pnic_ovs")));
    assert_eq!(
        verdicts(&as_nobody(&lab, &["--output-format", "json"]))["check_pnic_ovs"],
        "cannot work"
    );
}

#[test]
fn a_capability_that_does_not_count_is_told_with_the_reason() {
    let lab = up("doctor-void", &[]);
    let port = lab.path("check_ovs_port");
    let doctor = lab.path("calipso-doctor");
    lab.sh(&format!("setcap cap_dac_override=ep {port}"));
    let line = |said: &Said| {
        let line = said.out.lines().find(|line| line.starts_with("check_ovs_port "));
        line.unwrap_or_else(|| panic!("{said:?}")).to_owned()
    };
    assert!(line(&as_nobody(&lab, &[])).contains(" works: "), "it counts at first");

    // No program of this process gets anything from its file.
    let barred = |program: &str| {
        let mut command = lab.inside("setpriv");
        command.args(AS_NOBODY).args(["setpriv", "--no-new-privs", "--", program]);
        command
    };
    let said = run(&mut barred(&doctor));
    assert!(line(&said).contains("cannot work") && line(&said).contains("NoNewPriv"), "{said:?}");
    assert_eq!(run(barred(&port).arg("tap-ok")).exit, Some(3), "the check agrees");

    // Out of bounds, the kernel does not even start it.
    let bounded = |program: &str| {
        let mut command = lab.inside("setpriv");
        command.arg("--bounding-set=-dac_override").args(AS_NOBODY).arg(program);
        command
    };
    let said = run(&mut bounded(&doctor));
    assert!(line(&said).contains("cap_dac_override is out of bounds"), "{said:?}");
    assert_ne!(run(bounded(&port).arg("tap-ok")).exit, Some(0), "the check agrees");

    // A file system that gives nothing.
    lab.sh(&format!(
        "mkdir /run/nosuid; mount -t tmpfs -o nosuid,mode=755 tmpfs /run/nosuid; \
         cp {port} {doctor} /run/nosuid/; setcap cap_dac_override=ep /run/nosuid/check_ovs_port"
    ));
    let nosuid = |program: &str| {
        let mut command = lab.inside("setpriv");
        command.args(AS_NOBODY).arg(format!("/run/nosuid/{program}"));
        command
    };
    let said = run(&mut nosuid("calipso-doctor"));
    assert!(line(&said).contains("nosuid"), "{said:?}");
    assert_eq!(run(nosuid("check_ovs_port").arg("tap-ok")).exit, Some(3), "the check agrees");

    // The agent's own rights make it up for all of that.
    let mut ambient = lab.inside("setpriv");
    ambient.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    ambient.args(["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]);
    let said = run(ambient.arg("/run/nosuid/calipso-doctor"));
    assert!(line(&said).contains(" works: "), "{said:?}");
}

#[test]
fn a_running_agent_tells_what_its_checks_may_do() {
    let lab = up("doctor-agent", &[]);
    lab.sh(&format!("setcap cap_dac_override=ep {}", lab.path("check_ovs_port")));
    let for_nobody = || run(lab.inside(&lab.path("calipso-doctor")).args(["--user", "nobody"]));
    let line = |said: &Said| {
        said.out.lines().find(|line| line.starts_with("check_ovs_port ")).expect("it").to_owned()
    };
    let files = for_nobody();
    assert!(files.out.contains("as /etc/passwd and /etc/group have it"), "{files:?}");
    assert!(line(&files).contains(" works: "), "{files:?}");
    let agent = "perl -e '$0 = \"sensu-agent\"; sleep' < /dev/null > /dev/null 2>&1 & echo $! > /run/agent; \
                 until [ \"$(cat /proc/$(cat /run/agent)/comm)\" = sensu-agent ]; do sleep 0.02; done";
    lab.sh(&format!("setpriv {} setpriv --no-new-privs -- {agent}", AS_NOBODY.join(" ")));
    let said = for_nobody();
    assert!(said.out.contains("as sensu-agent (pid "), "{said:?}");
    assert!(line(&said).contains("cannot work") && line(&said).contains("NoNewPriv"), "{said:?}");
    assert!(said.out.contains("NoNewPrivileges=no"), "{said:?}");
    lab.sh("kill $(cat /run/agent)");
}

#[test]
fn groups_namespaces_and_a_proc_that_hides_are_looked_at() {
    let lab = up("doctor-site", &["--no-ovs", "--bare"]);
    let json = ["--output-format", "json"];
    let all = as_nobody(&lab, &json);
    let seen = verdicts(&all);
    assert_eq!(&*seen["check_vservice"], "not needed here", "{seen:?}");
    assert_eq!(&*seen["check_vedge_vpp"], "not needed here", "{seen:?}");

    // VPP's group: not in it, in it for whoever logs in from now on, in it.
    std::fs::create_dir(lab.path_inside("/run/vpp")).expect("a directory");
    let _vpp = UnixListener::bind(lab.path_inside("/run/vpp/cli.sock")).expect("a socket");
    lab.sh("(grep -v ^vpp: /etc/group; echo vpp:x:4711:) > /run/group; \
            mount --bind /run/group /etc/group; chgrp 4711 /run/vpp/cli.sock; chmod 770 /run/vpp/cli.sock");
    let fix = as_nobody(&lab, &["--fix"]).out;
    assert!(fix.contains("usermod --append --groups vpp nobody\n"), "{fix}");
    // In place: what is mounted is the file, not its name.
    lab.sh(
        "groups=$(sed s/^vpp:x:4711:/vpp:x:4711:nobody/ /run/group); echo \"$groups\" > /run/group",
    );
    let waiting = as_nobody(&lab, &[]).out;
    assert!(waiting.contains("group vpp does not count yet"), "{waiting}");
    let files = run(lab.inside(&lab.path("calipso-doctor")).args(["--user", "nobody"])).out;
    assert!(
        files.lines().any(|l| l.starts_with("check_vedge_vpp") && l.contains("works")),
        "{files}"
    );
    let mut member = lab.inside("setpriv");
    member.args(["--reuid=65534", "--regid=65534", "--groups=4711", "--"]);
    let said = run(member.arg(lab.path("calipso-doctor")).args(json));
    assert_eq!(&*verdicts(&said)["check_vedge_vpp"], "works", "{said:?}");

    // Where mounts do not propagate, a name of a namespace is a plain file.
    lab.sh("ip netns add qdhcp-1");
    assert_eq!(&*verdicts(&as_nobody(&lab, &json))["check_vservice"], "sees a part");
    let mut container: Command = lab.inside("unshare");
    container.args(["--mount", "sh", "-ec", "umount /run/netns/qdhcp-1; exec \"$@\"", "sh"]);
    container.args(["setpriv"]).args(AS_NOBODY).arg(lab.path("calipso-doctor"));
    let said = run(container.stdin(Stdio::null()));
    assert!(said.out.contains("no name in /run/netns is a namespace here"), "{said:?}");
    assert!(said.out.contains("rslave"), "{said:?}");

    // Processes of others are hidden.
    lab.sh(&format!(
        "setcap cap_sys_admin=ep {}; mount -o remount,hidepid=2 /proc",
        lab.path("check_instance_vnic")
    ));
    let said = as_nobody(&lab, &[]);
    let line = said.out.lines().find(|line| line.starts_with("check_instance_vnic ")).expect("it");
    assert!(line.contains("hidepid"), "{said:?}");
}

#[test]
fn it_is_a_tool_and_ends_like_one() {
    let doctor = |arguments: &[&str]| run(Command::new(binary("calipso-doctor")).args(arguments));
    for (arguments, exit) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["--nonsense"], 3),
        (&["--user", "no-such-user"], 3),
        (&["--fix", "--output-format", "json"], 3),
    ] {
        let said = doctor(arguments);
        assert_eq!(said.exit, Some(exit), "{said:?}");
        assert!(said.err.is_empty() && !said.out.is_empty(), "{said:?}");
    }
    let help = doctor(&["--help"]).out;
    assert!(help.lines().count() <= 60 && help.lines().all(|line| line.len() <= 100), "{help}");
}
