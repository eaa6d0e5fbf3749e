//! Domains of a real libvirt: Debian's libvirtd with its test driver, asked in each state that the
//! check is meant to see. Needs root; says so and fails without it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

mod support;

use std::time::Duration;
use support::{Expect, Lab, Said, run};

/// The domains of the scene.
const LAB: &str = "--uri test:///run/node.xml";
/// libvirt's example domain `test`, which it forgets with its last client.
const EXAMPLE: &str = "test+unix:///default?socket=/run/libvirt/libvirt-sock";

fn up(name: &str) -> Lab {
    Lab::up(name, &["--no-ovs", "libvirt"])
}

fn as_root(lab: &Lab, line: &str) -> Said {
    lab.check(&format!("check_vm {line} --output-format json"))
}

fn as_nobody(lab: &Lab, line: &str) -> Said {
    lab.check_as_nobody(&format!("check_vm {line} --output-format json"))
}

/// Any user may ask: what root is told is what nobody is told.
fn expect_all(lab: &Lab, table: &[Expect]) {
    support::expect_all(table, |line| lab.check(&format!("check_vm {line}")));
    support::expect_all(table, |line| lab.check_as_nobody(&format!("check_vm {line}")));
}

fn expect(said: &Said, what: &str, exit: i32, codes: &[&str]) {
    assert!(said.exit == Some(exit) && said.codes() == codes, "{what}: {said:?}");
}

fn json(said: &Said) -> serde_json::Value {
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))
}

fn metric(said: &Said, name: &str) -> Option<f64> {
    let json = json(said);
    let metrics = json["metrics"].as_array().expect("metrics");
    metrics.iter().find(|metric| metric["name"] == name)?["value"].as_f64()
}

fn stop_libvirtd(lab: &Lab, signal: &str) {
    lab.sh(&format!(
        "pid=$(cat /run/libvirtd.pid); kill -{signal} $pid; while [ -e /proc/$pid ]; do sleep 0.02; done"
    ));
}

#[test]
fn every_state_of_a_domain_has_its_verdict() {
    let lab = up("vm-states");
    let states: &[Expect] = &[
        ("vm-running", 0, &[]),
        ("vm-blocked", 1, &["blocked"]),
        ("vm-paused", 1, &["paused"]),
        ("vm-in-shutdown", 1, &["in-shutdown"]),
        ("vm-shut-off", 1, &["shut-off"]),
        ("vm-crashed", 2, &["crashed"]),
        ("vm-pmsuspended", 1, &["pmsuspended"]),
        ("no-such-domain", 2, &["absent"]),
        ("11111111-abcd-4000-8000-000000000001", 0, &[]),
        ("33333333-ABCD-4000-8000-000000000001", 1, &["paused"]),
        ("66666666-abcd-4000-8000-000000000001", 2, &["crashed"]),
        ("99999999-abcd-4000-8000-000000000001", 2, &["absent"]),
        ("vm-running --expect state=running", 0, &[]),
        ("vm-running --expect state=paused", 2, &["unexpected"]),
        ("vm-shut-off --as shut-off=ok", 0, &["shut-off"]),
        ("vm-running -w memory=1", 1, &["limit"]),
        ("vm-running -c uptime=60:", 3, &["no-value"]),
    ];
    support::expect_all(states, |line| lab.check(&format!("check_vm {LAB} {line}")));
    support::expect_all(states, |line| lab.check_as_nobody(&format!("check_vm {LAB} {line}")));
    let running = as_nobody(&lab, &format!("vm-running {LAB}"));
    assert_eq!(metric(&running, "state"), Some(1.0));
    assert_eq!(metric(&running, "memory"), Some(f64::from(64 << 20)));
    assert_eq!(metric(&running, "vcpus"), Some(2.0));
    assert_eq!(metric(&running, "uptime"), None, "the test driver has no process: {running:?}");
    let shut_off = as_nobody(&lab, &format!("vm-shut-off {LAB}"));
    assert_eq!(metric(&shut_off, "memory"), None, "{shut_off:?}");

    // Each conversation ended as libvirt's own client ends it: what just hangs up is an error to it.
    let log = lab.sh("cat /run/libvirtd.log");
    assert!(log.contains("virSecurityManagerNew"), "errors are kept in this log: {log}");
    assert!(!log.contains("reading data"), "{log}");
}

#[test]
fn libvirt_is_found_where_it_listens() {
    let lab = up("vm-places");
    let socket = |said: &Said| {
        let evidence = json(said)["evidence"].to_string();
        let named =
            ["virtqemud-sock-ro", "libvirt-sock-ro"].into_iter().find(|s| evidence.contains(s));
        named.unwrap_or("none").to_owned()
    };
    // The usual libvirt, with no domain: this is its QEMU driver.
    let usual = as_nobody(&lab, "vm-running");
    expect(&usual, "the usual place", 2, &["absent"]);
    assert_eq!(socket(&usual), "libvirt-sock-ro");
    expect_all(
        &lab,
        &[
            ("vm-running --uri test:///run/node.xml --socket /run/libvirt/libvirt-sock", 0, &[]),
            (
                "vm-running --uri test+unix:///run/node.xml?socket=/run/libvirt/libvirt-sock-ro",
                0,
                &[],
            ),
            ("vm-running --uri foo:///x", 3, &["error"]),
            ("vm-running --uri test:///run/no-such-node.xml", 3, &["error"]),
            ("vm-running --uri test:///run/node.xml --socket /run/no-such", 2, &["no-process"]),
        ],
    );
    // A socket that a modular daemon left behind does not hide the one that works.
    let leave =
        "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(shift))'";
    lab.sh(&format!(
        "{leave} /run/libvirt/virtqemud-sock-ro; chmod 777 /run/libvirt/virtqemud-sock-ro"
    ));
    assert_eq!(socket(&as_nobody(&lab, "vm-running")), "libvirt-sock-ro");
    // A daemon that listens where a modular one does is asked there.
    lab.sh("cd /run/libvirt; rm virtqemud-sock-ro; mv libvirt-sock-ro virtqemud-sock-ro");
    let modular = as_nobody(&lab, "vm-running");
    expect(&modular, "the modular place", 2, &["absent"]);
    assert_eq!(socket(&modular), "virtqemud-sock-ro");
}

#[test]
fn a_reason_is_told_and_so_is_a_new_start() {
    let lab = up("vm-reasons");
    // Kept by a client that watches it.
    lab.sh(&format!(
        "virsh -c '{EXAMPLE}' event --loop --all < /dev/null > /run/events 2>&1 &
         for try in $(seq 200); do
           virsh -c '{EXAMPLE}' suspend test > /dev/null 2>&1 || true
           if virsh -c '{EXAMPLE}' domstate test | grep -q paused; then exit 0; fi
           sleep 0.05
         done; exit 1"
    ));
    let virsh = |words: &str| lab.sh(&format!("virsh -c '{EXAMPLE}' {words}"));
    let first_line = || lab.check("check_vm test --uri test:///default").first_line().to_owned();
    assert_eq!(first_line(), "CheckVm WARNING: test is paused (by its user)");
    virsh("resume test");
    assert_eq!(first_line(), "CheckVm OK: test is running (resumed)");
    virsh("destroy test");
    assert_eq!(first_line(), "CheckVm WARNING: test is shut off (powered off by force)");
    virsh("start test");
    let started = as_root(&lab, "test --uri test:///default --expect reason=booted");
    expect(&started, "started again", 0, &["restarted"]);
    let still = as_root(&lab, "test --uri test:///default");
    expect(&still, "no new start", 0, &[]);
    virsh("destroy test");
    virsh("start test");
    let again = as_root(&lab, "test --uri test:///default --as restarted=warning");
    expect(&again, "started again", 1, &["restarted"]);
}

#[test]
fn a_hung_libvirt_is_critical() {
    let lab = up("vm-hung");
    lab.sh("kill -STOP $(cat /run/libvirtd.pid)");
    for said in [as_root(&lab, "vm-running -t 4"), as_nobody(&lab, "vm-running -t 4")] {
        expect(&said, "stopped", 2, &["stopped"]);
        assert!(
            said.took < Duration::from_secs(3),
            "the process tells, not the deadline: {said:?}"
        );
        let summary = json(&said)["summary"].to_string();
        assert!(
            summary.contains("libvirtd (pid ") && summary.contains("stopped by a signal"),
            "{summary}"
        );
    }
    // From a pid namespace that does not have the daemon there is only its silence.
    let mut inner = lab.inside("unshare");
    inner.args(["--pid", "--fork", "--mount-proc", "--"]).arg(lab.path("check_vm"));
    let said = run(inner.args(["vm-running", "-t", "1.5", "--output-format", "json"]));
    expect(&said, "silent", 2, &["timeout"]);
    assert!(said.took < Duration::from_secs(3), "{said:?}");
    lab.sh("kill -CONT $(cat /run/libvirtd.pid)");
    expect_all(&lab, &[("vm-running --uri test:///run/node.xml", 0, &[])]);
}

#[test]
fn a_hung_libvirt_is_found_behind_a_socket_that_systemd_made() {
    let lab = up("vm-activated");
    stop_libvirtd(&lab, "TERM");
    lab.sh("/run/start-activated");
    let line = format!("vm-running {LAB}");
    expect(&as_nobody(&lab, &line), "started by the question", 0, &[]);
    lab.sh("kill -STOP $(cat /run/libvirtd.pid)");
    let said = as_nobody(&lab, &format!("{line} -t 4"));
    expect(&said, "stopped", 2, &["stopped"]);
    assert!(json(&said)["summary"].to_string().contains("libvirtd (pid "), "{said:?}");
}

#[test]
fn a_dead_or_absent_libvirt_is_critical() {
    let lab = up("vm-dead");
    // It lives, but somebody replaced its socket.
    lab.sh("cd /run/libvirt; rm libvirt-sock-ro; \
            perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(shift))' \
            libvirt-sock-ro; chmod 777 libvirt-sock-ro");
    expect_all(&lab, &[("vm-running", 2, &["refused"])]);
    stop_libvirtd(&lab, "KILL");
    lab.sh("[ -S /run/libvirt/libvirt-sock-ro ]");
    expect_all(&lab, &[("vm-running", 2, &["no-process"])]);
    let said = lab.check("check_vm vm-running");
    assert!(said.first_line().contains("left its socket behind"), "{said:?}");
    lab.sh("rm /run/libvirt/*-sock*");
    expect_all(&lab, &[("vm-running", 2, &["no-process"])]);
    let said = lab.check("check_vm vm-running");
    assert_eq!(
        said.first_line(),
        "CheckVm CRITICAL: libvirt does not run: no socket in /run/libvirt"
    );
    lab.sh("/run/start-libvirtd");
    expect_all(&lab, &[("vm-running --uri test:///run/node.xml", 0, &[])]);
}

#[test]
fn who_may_not_ask_is_told_what_to_grant() {
    let lab = up("vm-rights");
    let line = format!("vm-running {LAB}");
    let forbidden = |how: &str| {
        expect(&as_root(&lab, &line), how, 0, &[]);
        let said = as_nobody(&lab, &line);
        expect(&said, how, 3, &["forbidden"]);
        let summary = json(&said)["summary"].to_string();
        assert!(
            summary.contains("permission denied") && summary.contains("group libvirt"),
            "{summary}"
        );
        summary
    };
    stop_libvirtd(&lab, "TERM");
    lab.sh("/run/start-libvirtd none 0700");
    forbidden("the socket's mode");
    lab.sh("chmod 777 /run/libvirt/libvirt-sock-ro; chmod 700 /run/libvirt");
    forbidden("the directory's mode");
    // Debian's default: polkit is asked, which lets in anybody who wants to read. Here is none.
    lab.sh("chmod 755 /run/libvirt");
    stop_libvirtd(&lab, "TERM");
    lab.sh("/run/start-libvirtd polkit");
    assert!(forbidden("polkit").contains("system bus"));
}

#[test]
fn a_process_that_is_stopped_is_found_though_libvirt_says_running() {
    let lab = up("vm-process");
    // The test driver starts no process; this one does what libvirt makes QEMU do, lock its pid file.
    lab.sh("mkdir -p /run/libvirt/test; perl -MFcntl -e '
           open(my $file, \"+>\", \"/run/libvirt/test/vm-running.pid\") or die;
           my $lock = pack(\"s s x4 q q i x4\", F_WRLCK, 0, 0, 0, 0);
           fcntl($file, F_SETLK, $lock) or die;
           syswrite($file, $$); sleep' < /dev/null > /dev/null 2>&1 &
         for try in $(seq 500); do [ ! -s /run/libvirt/test/vm-running.pid ] || break; sleep 0.02; done
         [ -s /run/libvirt/test/vm-running.pid ]",
    );
    let line = format!("vm-running {LAB}");
    for said in [as_root(&lab, &line), as_nobody(&lab, &line)] {
        expect(&said, "alive", 0, &[]);
        assert!(metric(&said, "uptime").is_some(), "{said:?}");
    }
    lab.sh("kill -STOP $(cat /run/libvirt/test/vm-running.pid)");
    for said in [as_root(&lab, &line), as_nobody(&lab, &line)] {
        expect(&said, "stopped", 2, &["stopped"]);
    }
    // Guests outlive their libvirt, and whoever is called at night wants to know.
    lab.sh("kill -CONT $(cat /run/libvirt/test/vm-running.pid)");
    stop_libvirtd(&lab, "KILL");
    let said = lab.check_as_nobody(&format!("check_vm {line}"));
    assert_eq!(said.exit, Some(2), "{said:?}");
    assert!(said.first_line().ends_with("is alive"), "{said:?}");
}

#[test]
fn nothing_is_executed_and_no_child_is_made() {
    let lab = up("vm-strace");
    for line in ["vm-running", "no-such-domain", "11111111-abcd-4000-8000-000000000001", "$(id)"] {
        let mut command = lab.inside("strace");
        command.args(["-f", "-e", "trace=execve,fork,vfork,clone,clone3", "--"]);
        command.arg(lab.path("check_vm")).arg(line).args(LAB.split(' '));
        let said = run(&mut command);
        let calls: Vec<&str> = said.err.lines().filter(|l| l.contains('(')).collect();
        assert_eq!(calls.len(), 1, "only strace's own exec: {calls:?}");
    }
}

/// A guest without a disk that QEMU emulates: its firmware looks for something to boot, for ever.
const GUEST: &str = "<domain type='qemu'><name>vm-qemu</name>\
    <uuid>aaaaaaaa-abcd-4000-8000-000000000001</uuid>\
    <memory unit='MiB'>32</memory><vcpu>1</vcpu>\
    <os><type arch='x86_64' machine='pc'>hvm</type></os>\
    <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>\
    <memballoon model='none'/></devices></domain>";

#[test]
#[ignore = "needs QEMU: apt-get install qemu-system-x86, then `make lab-qemu`"]
fn a_real_qemu_is_followed_through_its_states() {
    let lab = up("vm-qemu");
    lab.sh(&format!(
        "echo \"{GUEST}\" > /run/vm.xml; virsh define /run/vm.xml; virsh start vm-qemu"
    ));
    let pid = "$(cat /run/libvirt/qemu/vm-qemu.pid)";
    for said in [as_root(&lab, "vm-qemu"), as_nobody(&lab, "vm-qemu")] {
        expect(&said, "running", 0, &[]);
        assert!(
            metric(&said, "uptime").is_some() && metric(&said, "cpu_time") > Some(0.0),
            "{said:?}"
        );
        assert_eq!(
            (metric(&said, "memory"), metric(&said, "vcpus")),
            (Some(f64::from(32 << 20)), Some(1.0))
        );
    }
    // Where the pid file cannot be seen, the process is found by its command line.
    lab.sh("mv /run/libvirt/qemu/vm-qemu.pid /run/kept");
    assert!(metric(&as_nobody(&lab, "vm-qemu"), "uptime").is_some());
    lab.sh("mv /run/kept /run/libvirt/qemu/vm-qemu.pid");
    lab.sh("virsh suspend vm-qemu");
    expect_all(&lab, &[("vm-qemu --expect reason=user", 1, &["paused"])]);
    lab.sh(&format!("virsh resume vm-qemu; kill -STOP {pid}"));
    expect_all(&lab, &[("vm-qemu", 2, &["stopped"])]);
    lab.sh(&format!("kill -CONT {pid}; kill -SEGV {pid}"));
    lab.wait_for("check_vm vm-qemu", 2);
    expect_all(&lab, &[("vm-qemu --expect reason=crashed", 2, &["crashed"])]);
    lab.sh("virsh start vm-qemu");
    expect(&as_root(&lab, "vm-qemu"), "started again", 0, &["restarted"]);
    lab.sh("virsh destroy vm-qemu");
    expect_all(&lab, &[("vm-qemu --expect reason=destroyed", 1, &["shut-off"])]);
}
