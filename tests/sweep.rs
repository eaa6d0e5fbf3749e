//! `calipso-sweep` on a whole host: what each check says there is what it says alone.
#![allow(clippy::disallowed_methods, clippy::panic, reason = "tests start programs")]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Lab, Said};

/// Objects of the scene `links`, healthy and not, by every check that has something to look at there.
const PLAN: &str = "
    check_vedge_ovs
    check_ovs_port qvo1ab-01 tap2ab-02
    check_ovs_port no-such-port
    check_ovs_port --all
    check_vconnector br-int
    check_vconnector qbr1ab-01
    check_vconnector brq5 --expect ports=9
    check_vnic_vconnector qbr1ab-01 fa:16:3e:00:00:01
    check_pnic_ovs eth1
    check_pnic_ovs no-such-nic
    check_pnic_ovs eth1 -w @0:1000000 -c mtu=1400
    check_link path tap1ab-01 eth1
    check_link path qdhcp-1 eth1
    check_link path tap1ab-01 cni0
    check_link vnic-vedge tap6ab-06 br-int
    check_link instance-vnic instance-00000001 tap1ab-01
    check_vm instance-00000001
    check_vm instance-00000009
    check_vservice none cni-4 --interfaces
    check_vservice dhcp qdhcp-1
    check_vservice dhcp qdhcp-9
    check_instance_vnic cni-4 fa:16:3e:00:00:44
    check_instance_communications 'cni-4,fa:16:3e:00:00:44;qdhcp-9,fa:16:3e:00:00:03'
    check_ping -t 192.0.2.12 -c 2 -i 0.05
    check_ping -t 192.0.2.13 -c 1 -w 0.5
    check_otep --remote 192.0.2.12 -c 1 -w 0.5
    check_vedge_vpp
    check_ping -t
";

/// The first words of what tells one verdict from another: status and codes, by command line.
type Verdicts = BTreeMap<String, (String, Vec<String>)>;

fn verdict(json: &Value) -> (String, Vec<String>) {
    let codes = json["findings"].as_array().expect("findings").iter();
    let codes = codes.map(|finding| finding["code"].as_str().expect("a code").to_owned());
    (json["status"].as_str().expect("a status").to_owned(), codes.collect())
}

fn lines() -> impl Iterator<Item = &'static str> {
    PLAN.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn alone(lab: &Lab, ask: impl Fn(&Lab, &str) -> Said) -> Verdicts {
    let said = |line: &'static str| {
        let said = ask(lab, &format!("{} --output-format json", line.replace('\'', "")));
        let json = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{line}: {e}"));
        (line.to_owned(), verdict(&json))
    };
    lines().map(said).collect()
}

/// What the sweep said of each line, and of the whole.
fn together(said: &Said) -> (Verdicts, Value) {
    let mut documents = said.out.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {said:?}"))
    });
    let each = lines().zip(documents.by_ref());
    let each = each.map(|(line, json)| (line.to_owned(), verdict(&json["said"]))).collect();
    (each, documents.next().expect("the whole"))
}

fn sweep(lab: &Lab, options: &str) -> String {
    lab.sh(&format!("cat > /run/plan <<'END'\n{PLAN}\nEND"));
    format!("calipso-sweep /run/plan --each --output-format json {options}")
}

#[test]
fn each_object_is_judged_as_by_its_check_alone() {
    let lab = Lab::up("sweep", &["links"]);
    let line = sweep(&lab, "");
    let (each, whole) = together(&lab.check(&line));
    let as_root = alone(&lab, Lab::check);
    assert_eq!(each, as_root);
    let count = |status: &str| as_root.values().filter(|(own, _)| own == status).count();
    for (metric, status) in
        [("ok", "OK"), ("warning", "WARNING"), ("critical", "CRITICAL"), ("unknown", "UNKNOWN")]
    {
        let metrics = whole["metrics"].as_array().expect("metrics");
        let told = metrics.iter().find(|m| m["name"] == metric).expect("it is measured");
        assert_eq!(told["value"], count(status), "{metric}: {whole}");
        assert!(count(status) > 0, "the plan has an object that is {status}");
    }
    assert_eq!((&whole["status"], &whole["exit"]), (&"CRITICAL".into(), &2.into()));
    // Nobody sees what nobody sees, and the rights of a file are not for a plan of the caller's.
    let as_nobody = alone(&lab, Lab::check_as_nobody);
    let (each, _) = together(&lab.check_as_nobody(&line));
    assert_eq!(each, as_nobody);
    let (each, _) = together(&lab.check_with(ALL, &line));
    assert_eq!(each, as_nobody);
    // An agent's own rights are each object's as far as its check names them.
    let (each, _) = together(&with_ambient(&lab, &line));
    let as_agent = alone(&lab, with_ambient);
    assert_eq!(each, as_agent);
    assert_ne!(as_agent, as_nobody);
}

const ALL: &str = "cap_dac_override,cap_net_raw,cap_sys_admin,cap_sys_ptrace";

/// By nobody, who has rights as systemd's `AmbientCapabilities` gives them.
fn with_ambient(lab: &Lab, line: &str) -> Said {
    let names = ALL.replace("cap_", "+");
    let mut command = lab.inside("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args([format!("--inh-caps={names}"), format!("--ambient-caps={names}")]);
    let mut words = line.split_whitespace().skip(1);
    support::run(command.arg("--").arg(lab.path(line)).args(&mut words))
}

/// A database that takes connections and counts them; what it says to each, and after how long.
struct Database {
    connections: Arc<AtomicUsize>,
}

impl Database {
    /// At the usual place of the lab.
    fn silent(lab: &Lab) -> Self {
        lab.sh("mkdir -p /run/openvswitch");
        let listener = UnixListener::bind(lab.path_inside("/run/openvswitch/db.sock"));
        let listener = listener.expect("a socket");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        // Ends with the test.
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for peer in listener.incoming() {
                held.push(peer);
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { connections }
    }

    fn asked(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn metric(json: &Value, name: &str) -> Value {
    let metrics = json["metrics"].as_array().expect("metrics");
    metrics.iter().find(|m| m["name"] == name).expect("it")["value"].clone()
}

#[test]
fn a_daemon_that_hangs_is_waited_for_by_a_few_and_asked_again() {
    let lab = Lab::up("sweep-silent", &["--no-ovs", "--bare"]);
    let database = Database::silent(&lab);
    lab.sh("seq 300 | sed 's/^/check_ovs_port -t 3 tap-/' > /run/plan");
    let said = lab.check("calipso-sweep /run/plan -t 50 --output-format json");
    let json: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((said.exit, metric(&json, "critical")), (Some(2), 300.into()), "{json}");
    let findings = json["findings"].as_array().expect("findings");
    assert!(
        findings.iter().all(|f| !f["text"].as_str().expect("one").contains("no time")),
        "{json}"
    );
    assert!((1..=12).contains(&database.asked()), "{} asked", database.asked());
    // Belief ends: what comes seconds later asks again.
    let before = database.asked();
    lab.sh("{ echo check_ovs_port -t 3 tap-a; for n in 1 2 3 4 5 6 7 8 9 10 11 12; do \
            echo check_ovs_port --db unix:/run/other$n.sock -t 2.5 tap-a; done; } > /run/plan");
    lab.check("calipso-sweep /run/plan -t 50");
    assert!(database.asked() > before);
}

#[test]
fn who_has_no_patience_spoils_no_other_s_answer() {
    let lab = Lab::up("sweep-patience", &[]);
    lab.sh("{ echo check_ovs_port -t 0.001 tap-ok; seq 40 | sed 's/.*/check_ovs_port tap-ok -w mtu=0:9&/'; } > /run/plan");
    let said = lab.check("calipso-sweep /run/plan --match mtu");
    assert!(said.out.contains("objects=40"), "{said:?}");
    let said = lab.check("calipso-sweep /run/plan --output-format json");
    let json: Value = serde_json::from_str(&said.out).expect("JSON");
    let late = json["findings"].as_array().expect("findings").iter();
    let late = late.filter(|f| f["text"].as_str().expect("text").contains("no answer"));
    assert!(late.count() <= 1, "{json}");
}

/// Two objects whose arguments are the same but for their limits have one past: each compares with the
/// sweep before.
#[test]
fn a_rate_is_judged_of_every_object_that_has_the_same_past() {
    let lab = Lab::up("sweep-rates", &["--no-ovs", "--bare"]);
    lab.sh("for limit in 0:0 :0 @0.001:1000000; do echo check_pnic_ovs lo -c rx_packets_rate=$limit; done > /run/plan");
    lab.check("calipso-sweep /run/plan");
    for _ in 0..5 {
        lab.check("check_ping -t 127.0.0.1 -c 5 -i 0.03");
        let said = lab.check("calipso-sweep /run/plan");
        assert!(said.out.contains("critical=3"), "{said:?}");
        assert!(!said.out.contains("nothing is remembered"), "{said:?}");
    }
}

#[test]
fn no_program_is_started_and_no_thread_outlives_it() {
    let lab = Lab::up("sweep-strace", &["links"]);
    sweep(&lab, "");
    let mut command = lab.inside("strace");
    command.args(["-f", "-e", "trace=execve,fork,vfork,clone,clone3", "--"]);
    let said = support::run(command.arg(lab.path("calipso-sweep")).arg("/run/plan"));
    let calls = |name: &str| said.err.matches(&format!("{name}(")).count();
    assert_eq!((calls("execve"), calls("fork"), calls("vfork")), (1, 0, 0), "{}", said.err);
    let threads = said.err.lines().filter(|line| line.contains("clone"));
    assert!(threads.clone().count() >= lines().count());
    assert!(threads.clone().all(|line| line.contains("CLONE_THREAD") || line.contains("resumed")));
}

#[test]
fn a_plan_that_is_none_is_unknown() {
    let lab = Lab::up("sweep-usage", &["--no-ovs", "--bare"]);
    lab.sh("echo '{}' > /run/none; echo check_pnic_ovs lo > /run/one; echo nonsense > /run/words");
    lab.sh(r#"echo '{"checks": {"a": {"command": "x"}, "a": {"command": "y"}}}' > /run/twice"#);
    lab.sh("head -c 67108900 /dev/zero | tr '\\0' '#' > /run/long; : > /run/empty");
    for (line, exit, word) in [
        ("calipso-sweep /run/absent", 3, "CalipsoSweep UNKNOWN: /run/absent: No such file"),
        ("calipso-sweep /run/none", 3, "it has no \"checks\""),
        ("calipso-sweep /run/empty", 3, "there is no object in the plan"),
        ("calipso-sweep /run/twice", 3, "two objects are called a"),
        ("calipso-sweep /run/long", 3, "longer than"),
        ("calipso-sweep /run/one --match x", 3, "none of 1 object matches"),
        ("calipso-sweep /run/words", 3, "CalipsoSweep UNKNOWN: nonsense: no call"),
        ("calipso-sweep /run/words --unknown-as warning", 1, "nonsense"),
        ("calipso-sweep /run/one", 0, "CalipsoSweep OK: 1 object is OK"),
        ("calipso-sweep /run/one -t 0.4", 0, "CalipsoSweep OK: 1 object is OK"),
        ("calipso-sweep /run/one --list", 0, "pnic_ovs_lo: check_pnic_ovs lo"),
        ("calipso-sweep --nonsense", 3, "CalipsoSweep UNKNOWN: unexpected argument"),
        ("calipso-sweep --nonsense --unknown-as critical", 2, "CalipsoSweep UNKNOWN: "),
        ("calipso-sweep /run/one --max-output 10", 3, "at least 512"),
        ("calipso-sweep /run/x|y", 3, "CalipsoSweep UNKNOWN: /run/x"),
    ] {
        let said = lab.check(line);
        assert_eq!(said.exit, Some(exit), "{line}: {said:?}");
        assert!(said.out.contains(word), "{line}: {said:?}");
        assert!(!said.first_line().contains('|'), "{line}: {said:?}");
    }
}

#[test]
fn a_plan_that_never_ends_and_a_signal_are_answered_by_a_code() {
    let lab = Lab::up("sweep-fifo", &["--no-ovs", "--bare"]);
    lab.sh("mkfifo /run/fifo; echo check_ping -t 127.0.0.1 -c 20 -i 1 > /run/slow");
    let said = lab.check("calipso-sweep -t 1 /run/fifo");
    assert_eq!(said.exit, Some(2), "{said:?}");
    assert!(said.first_line().contains("reading the plan"), "{said:?}");
    let sweep = lab.path("calipso-sweep");
    let said = lab.sh(&format!(
        "{sweep} /run/slow --output-format json & sleep 0.5; kill $!; wait $! || echo $?"
    ));
    assert!(said.starts_with('{') && said.trim_end().ends_with('2'), "{said}");
    // What its check says at the sweep's own deadline is heard.
    let said = lab.check("calipso-sweep /run/slow -t 1");
    assert!(said.out.contains("the deadline came after"), "{said:?}");
}

/// Alone its watchdog ends it; here nobody may take its word.
#[test]
fn what_a_check_says_after_its_deadline_is_no_verdict() {
    let lab = Lab::up("sweep-late", &["--no-ovs", "--bare"]);
    lab.sh("echo check_pnic_ovs lo -t 0.5 > /run/plan");
    let mut command = lab.inside("strace");
    command.args([
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "inject=recvfrom,recvmsg:delay_enter=1500000:when=1",
    ]);
    let said = support::run(command.arg(lab.path("calipso-sweep")).arg("/run/plan"));
    assert_eq!(said.exit, Some(2), "{said:?}");
    assert!(said.out.contains("no verdict within its deadline"), "{said:?}");
}
