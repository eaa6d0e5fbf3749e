//! `calipso-provision`: an invented environment as golden files, broken ones, and the programs that
//! read what is rendered: `sh`, the checks themselves, Icinga, Nagios, and a lab host.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

mod support;

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Dir, Lab, Said, run};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/calipso");
const KINDS: [&str; 5] = ["sensu-core", "sensu-go", "icinga2", "nagios", "checkmk"];
/// Both are in the fixtures.
const SECRETS: [&str; 3] = ["ass'word", "ssh-secret", "not ours"];

/// The inputs and the output of one test.
struct Site {
    dir: Dir,
}

impl Site {
    fn new(name: &str) -> Self {
        let site = Self { dir: Dir::new(&format!("provision-{name}")) };
        for file in ["environment.json", "inventory.json", "links.json"] {
            fs::copy(Path::new(FIXTURES).join(file), site.dir.0.join(file)).expect("a fixture");
        }
        site
    }

    /// With these objects and links instead.
    fn with(name: &str, objects: &[Value], links: &[Value]) -> Self {
        let site = Self::new(name);
        site.write("inventory.json", &lines(objects));
        site.write("links.json", &lines(links));
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.0.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("our own directory");
    }

    fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Changes the environment's part Monitoring, or with `/` before the name the environment.
    fn set(&self, field: &str, value: Value) {
        let mut environment = self.json("environment.json");
        match field.strip_prefix('/') {
            Some(field) => environment[field] = value,
            None => environment["configuration"][1][field] = value,
        }
        self.write("environment.json", &environment.to_string());
    }

    fn render(&self, more: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_calipso-provision"));
        command.arg("render");
        for (option, file) in [
            ("--environment", "environment.json"),
            ("--inventory", "inventory.json"),
            ("--links", "links.json"),
            ("--out", "out"),
            ("--manifest-dir", "manifest.d"),
        ] {
            command.arg(option).arg(self.path(file));
        }
        let said = run(command.args(more));
        for secret in SECRETS {
            let told = said.out.contains(secret) || said.err.contains(secret);
            assert!(!told, "a password was printed: {said:?}");
        }
        said
    }

    /// Renders, and expects this exit code.
    fn rendered(&self, more: &[&str], exit: i32) -> Said {
        let said = self.render(more);
        assert_eq!(said.exit, Some(exit), "{more:?}: {said:?}");
        said
    }

    /// The commands of Sensu Core's clients: host, name, settings.
    fn checks(&self) -> Vec<(String, String, Value)> {
        let mut all = Vec::new();
        for (path, text) in files(&self.path("out/host")) {
            let Some(host) = path.strip_suffix("/client.json") else { continue };
            let client: Value = serde_json::from_str(&text).expect("JSON");
            for (name, settings) in client["checks"].as_object().expect("checks") {
                all.push((host.to_owned(), name.clone(), settings.clone()));
            }
        }
        all
    }
}

fn lines(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("{document}\n")).collect()
}

/// All files below a directory, by path.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        let Ok(list) = fs::read_dir(&next) else { continue };
        for entry in list {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below it").to_str().expect("ASCII");
                found.insert(name.to_owned(), fs::read_to_string(&path).expect("a text"));
            }
        }
    }
    found
}

fn command(settings: &Value) -> &str {
    settings["command"].as_str().expect("a command")
}

fn host(id: &str) -> Value {
    json!({"type": "host", "id": id, "name": id, "ip_address": "192.0.2.9", "environment": "Lab"})
}

fn pnic(id: &str, local_name: &str) -> Value {
    json!({"type": "host_pnic", "id": id, "host": "n1", "local_name": local_name, "environment": "Lab"})
}

/// A host that forwards with Open vSwitch, so that its NICs are not VPP's.
fn ovs_host() -> [Value; 2] {
    [
        host("n1"),
        json!({"type": "vedge", "id": "v1", "host": "n1", "agent_type": "Open vSwitch agent"}),
    ]
}

// ------------------------------------------------------------------------------------ what comes out

/// To write them anew, remove `golden` and run this test with GOLDEN=write.
#[test]
fn an_environment_is_rendered_as_its_golden_files() {
    for kind in KINDS {
        let site = Site::new(kind);
        let said = site.rendered(&["--emit", kind], 0);
        assert_eq!(said.err, "");
        let golden = Path::new(FIXTURES).join("golden").join(kind);
        let made = files(&site.path("out"));
        if std::env::var_os("GOLDEN").is_some() {
            for (path, text) in &made {
                let path = golden.join(path);
                fs::create_dir_all(path.parent().expect("a directory")).expect("ours");
                fs::write(path, text).expect("ours");
            }
        }
        let wanted = files(&golden);
        let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&made), names(&wanted), "{kind}");
        for (path, text) in &wanted {
            assert_eq!(&made[path], text, "{kind}: {path}");
        }
    }
}

#[test]
fn the_same_input_in_every_notation_gives_the_same_bytes() {
    let notations: [fn(&[Value]) -> String; 4] = [
        |documents| Value::from(documents.to_vec()).to_string(),
        |documents| format!("{:#}\n", Value::from(documents.to_vec())),
        // What the shell of MongoDB prints.
        |documents| {
            let text = lines(documents).replace(r#"{"$numberInt":"1001"}"#, "NumberInt(1001)");
            let id = regex::Regex::new(r#"\{"\$oid":("[0-9a-f]+")\}"#).expect("a pattern");
            id.replace_all(&text, "ObjectId($1)").into_owned()
        },
        // Another order of the objects.
        |documents| documents.iter().rev().map(|document| format!("{document}\n")).collect(),
    ];
    let reference = Site::new("notation");
    reference.rendered(&[], 0);
    let wanted = files(&reference.path("out"));
    for (i, notation) in notations.iter().enumerate() {
        let site = Site::new(&format!("notation-{i}"));
        let text = site.read("inventory.json");
        let objects: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        site.write("inventory.json", &notation(&objects));
        let links = site.json("links.json");
        site.write("links.json", &notation(links.as_array().expect("an array")));
        site.rendered(&[], 0);
        assert_eq!(files(&site.path("out")), wanted, "notation {i}");
    }
}

#[test]
fn what_is_right_is_left_alone_and_only_owner_and_group_read() {
    let site = Site::new("idempotent");
    site.rendered(&[], 0);
    let client = site.path("out/host/node-1.example.net/client.json");
    let before = fs::metadata(&client).expect("a file");
    assert_eq!(before.mode() & 0o7777, 0o640);
    assert_eq!(fs::metadata(site.path("out/server")).expect("a directory").mode() & 0o7777, 0o750);
    let said = site.rendered(&[], 0);
    assert!(said.out.contains(": 0 of 16 files changed"), "{said:?}");
    let after = fs::metadata(&client).expect("a file");
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    // A mode that somebody changed is set right.
    fs::set_permissions(&client, fs::Permissions::from_mode(0o644)).expect("ours");
    site.rendered(&["--check"], 1);
    site.rendered(&[], 0);
    assert_eq!(fs::metadata(&client).expect("a file").mode() & 0o7777, 0o640);
    site.rendered(&["--check"], 0);
}

#[test]
fn diff_shows_what_would_change_and_no_password() {
    let site = Site::new("diff");
    let said = site.rendered(&["--diff"], 0);
    assert!(said.out.contains("+++ host/node-1.example.net/client.json (new, "), "{}", said.out);
    assert!(!site.path("out").exists(), "--diff wrote");
    site.rendered(&["--check"], 1);
    assert!(!site.path("out").exists(), "--check wrote");
    site.rendered(&[], 0);
    assert_eq!(site.rendered(&["--diff", "--check"], 0).out, "");
    site.set("rabbitmq_pass", json!("other-ass'word"));
    site.set("server_ip", json!("192.0.2.99"));
    let said = site.rendered(&["--diff", "--check"], 1);
    let wanted = "--- server/rabbitmq.json\n+++ server/rabbitmq.json (values are not shown)\n\
                  ~/rabbitmq/host\n~/rabbitmq/password\n";
    assert!(said.out.contains(wanted), "{}", said.out);
    assert!(
        said.out.contains("-    \"host\": \"192.0.2.10\",\n+    \"host\": \"192.0.2.99\","),
        "{}",
        said.out
    );
    assert!(site.read("out/server/rabbitmq.json").contains("192.0.2.10"), "--diff wrote");
}

#[test]
fn a_host_that_is_gone_goes_and_what_is_not_ours_stays() {
    let site = Site::new("gone");
    site.rendered(&[], 0);
    site.rendered(&["--emit", "checkmk"], 0);
    site.write("out/host/node-3.example.net/own.json", "{}");
    let text = site.read("inventory.json");
    let left: Vec<&str> = text.lines().filter(|line| !line.contains("node-3")).collect();
    site.write("inventory.json", &left.join("\n"));
    let said = site.rendered(&["--diff"], 0);
    assert!(
        said.out.contains("--- host/node-3.example.net/client.json (goes away)"),
        "{}",
        said.out
    );
    site.rendered(&[], 1);
    let names: Vec<_> = files(&site.path("out/host/node-3.example.net")).into_keys().collect();
    assert_eq!(names, ["mrpe.cfg", "own.json"]);
}

// ----------------------------------------------------------------------------- what is written to it

#[test]
fn nothing_is_half_written() {
    let site = Site::new("half");
    site.rendered(&[], 0);
    let before = files(&site.path("out"));
    // One file cannot be written; none is.
    let blocked = site.path("out/server/redis.json");
    fs::remove_file(&blocked).expect("ours");
    fs::create_dir(&blocked).expect("ours");
    site.set("server_ip", json!("192.0.2.99"));
    let said = site.rendered(&[], 2);
    assert!(said.err.contains("redis.json: not a plain file"), "{said:?}");
    fs::remove_dir(&blocked).expect("ours");
    let mut after = files(&site.path("out"));
    after.insert("server/redis.json".to_owned(), before["server/redis.json"].clone());
    assert_eq!(after, before);
}

/// A file system that is full after some of the files.
#[test]
fn a_full_disk_leaves_everything_as_it_was() {
    let site = Site::new("full");
    let out = site.path("out");
    let provision = env!("CARGO_BIN_EXE_calipso-provision");
    let fixtures = site.dir.0.display();
    let script = format!(
        "mkdir {out} && mount -t tmpfs -o size=96k tmpfs {out} && cd {fixtures} && \
         render() {{ {provision} render --environment environment.json --inventory inventory.json \
         --links links.json --manifest-dir none --out out; }}; \
         head -c 65536 /dev/zero > out/ballast; render; echo exit $?; find out -name '*.json'; \
         find out -name '.*.new'; rm out/ballast; render > /dev/null; echo exit $?",
        out = out.display()
    );
    let said = run(Command::new("unshare").args(["-rm", "sh", "-c", &script]));
    assert!(said.out.starts_with("exit 2\n"), "{said:?}");
    assert!(said.out.ends_with("exit 2\nexit 0\n") || said.out == "exit 2\nexit 0\n", "{said:?}");
    assert!(said.err.contains("nothing was written"), "{said:?}");
}

#[test]
fn links_in_the_way_are_not_followed() {
    let site = Site::new("links");
    fs::create_dir_all(site.path("out")).expect("ours");
    fs::create_dir(site.path("elsewhere")).expect("ours");
    symlink(site.path("elsewhere"), site.path("out/host")).expect("ours");
    let said = site.rendered(&[], 2);
    assert!(said.err.contains("out/host: not a directory"), "{said:?}");
    assert!(files(&site.path("elsewhere")).is_empty());
    // Nor one that a list of ours names.
    fs::remove_file(site.path("out/host")).expect("ours");
    site.write("kept", "kept");
    site.write("out/.calipso-provision.sensu-core", "../kept\n/etc/hostname\nserver/../../kept\n");
    site.rendered(&[], 0);
    assert_eq!(site.read("kept"), "kept");
}

#[test]
fn levels_and_usage_have_their_exit_codes() {
    let site = Site::new("levels");
    for (level, exit) in [
        (json!("None"), 2),
        (json!("none"), 2),
        (json!("DB"), 3),
        (json!("deploy"), 3),
        (json!("all"), 2),
        (json!(5), 2),
    ] {
        site.set("provision", level.clone());
        let said = site.rendered(&[], exit);
        let told = level.as_str().unwrap_or("provision").to_lowercase();
        assert!((said.out + &said.err).to_lowercase().contains(&told), "{level}");
        assert!(!site.path("out").exists(), "{level}: something was written");
    }
    site.set("provision", json!("FILES"));
    site.set("/enable_monitoring", json!(false));
    assert!(site.rendered(&[], 2).out.contains("enable_monitoring is false"));
    site.set("/enable_monitoring", json!(true));
    site.rendered(&["--no-such-option"], 3);
    site.rendered(&["--emit", "zabbix"], 3);
    site.rendered(&["--also", "check_nothing"], 3);
    site.rendered(&["--name", "Other"], 2);
    assert!(!site.path("out").exists());
    let alone = |arguments: &[&str]| {
        run(Command::new(env!("CARGO_BIN_EXE_calipso-provision")).args(arguments)).exit
    };
    assert_eq!(alone(&["--help"]), Some(0));
    assert_eq!(alone(&["render", "--help"]), Some(0));
    assert_eq!(alone(&["--version"]), Some(0));
    assert_eq!(alone(&[]), Some(3));
    assert_eq!(alone(&["render"]), Some(3));
}

#[test]
fn what_the_environment_lacks_is_named() {
    let site = Site::new("lacks");
    site.set("rabbitmq_pass", Value::Null);
    assert!(site.rendered(&[], 2).err.contains("no rabbitmq_pass"));
    // Only Sensu Core asks for it.
    site.rendered(&["--emit", "icinga2"], 0);
    site.write("environment.json", "{\"name\": \"Lab\"}");
    assert!(site.rendered(&[], 2).err.contains("no list 'configuration'"));
    site.write("environment.json", "{\"name\": ");
    assert!(site.rendered(&[], 2).err.contains("line 1: it does not end"));
    fs::remove_file(site.path("environment.json")).expect("ours");
    assert!(site.rendered(&[], 2).err.contains("No such file"));
}

// ----------------------------------------------------------------------------------- what goes wrong

#[test]
fn a_broken_object_is_told_and_hides_no_other() {
    let site = Site::new("broken");
    let good = site.read("inventory.json");
    let reference = site.render(&[]);
    assert_eq!(reference.exit, Some(0));
    let wanted = site.checks();
    let broken = [
        (
            json!({"type": "host_pnic", "id": "p1", "host": "node-1.example.net"}),
            "host_pnic 'p1': no local_name",
        ),
        (json!({"type": "host_pnic", "id": "p2", "local_name": "eth9"}), "host_pnic 'p2': no host"),
        (
            json!({"type": "host_pnic", "id": "p3", "host": 5, "local_name": "eth9"}),
            "host_pnic 'p3': host is no text",
        ),
        (
            json!({"type": "host_pnic", "id": "p4", "host": "gone", "local_name": "eth9"}),
            "host_pnic 'p4': its host leads nowhere: 'gone'",
        ),
        (
            json!({"type": "host_pnic", "id": "p5", "host": "node-1.example.net", "local_name": []}),
            "host_pnic 'p5': local_name is no text",
        ),
        (json!({"type": "host_pnic", "host": "node-1.example.net"}), ", host_pnic: no id"),
        (json!({"type": 7, "id": "p6"}), " 'p6': type is no text"),
        (
            json!({"type": "vedge", "id": "e1", "host": "node-1.example.net"}),
            "vedge 'e1': no agent_type",
        ),
        (
            json!({"type": "vservice", "id": "s1", "host": "node-3.example.net", "service_type": "dhcp"}),
            "vservice 's1': no local_service_id",
        ),
        (
            json!({"type": "otep", "id": "o1", "host": "node-3.example.net", "ports": {"x": {"type": "vxlan", "options": {"local_ip": "198.51.100.3"}}, "y": {"type": "gre", "options": {"local_ip": "198.51.100.3", "remote_ip": "$(reboot)"}}}}),
            "otep 'o1': port 'x': no remote_ip",
        ),
        (
            json!({"type": "instance", "id": "i1", "host": "node-1.example.net", "id_path": "/i1"}),
            "instance 'i1': no vnic is below it",
        ),
        (
            json!({"type": "instance", "id": "i2", "host": "node-1.example.net", "id_path": "/i2"}),
            "instance 'i2': vnic 'n2': no vservice is on its network 'nowhere'",
        ),
        (
            json!({"type": "vnic", "id": "n2", "host": "node-1.example.net", "vnic_type": "instance_vnic", "mac_address": "fa:16:3e:00:00:07", "network": "nowhere", "id_path": "/i2/v/n2"}),
            "instance 'i2'",
        ),
        (
            json!({"type": "vedge", "id": "9e1b0000-0000-4000-8000-000000000001", "host": "node-1.example.net", "agent_type": "VPP"}),
            "the inventory has it twice",
        ),
    ];
    let mut text: Vec<String> = broken.iter().map(|(document, _)| document.to_string()).collect();
    text.extend(["{\"type\":\"host_pnic\",\"id\":\"cut", "nonsense"].map(str::to_owned));
    let mut all = good.lines().map(str::to_owned).collect::<Vec<_>>();
    for (i, line) in text.into_iter().enumerate() {
        all.insert(i * 2, line);
    }
    site.write("inventory.json", &all.join("\n"));
    let mut links = site.json("links.json").as_array().expect("an array").clone();
    let node = "node-1.example.net";
    links.push(json!({"link_type": "vnic-vconnector", "source_id": "gone", "target_id": "x", "host": node}));
    links
        .push(json!({"link_type": "vnic-vconnector", "source_id": "tap1f72bd15-8a", "host": node}));
    links.push(json!({"link_type": ["x"]}));
    site.write("links.json", &Value::from(links).to_string());
    let said = site.rendered(&[], 1);
    for wanted in broken.iter().map(|(_, why)| *why).chain([
        "otep 'o1': port 'y': remote_ip '$(reboot)' is no address",
        "a line ends within a text",
        "no document",
        "link vnic-vconnector 'gone' 'x': source_id leads to no vnic: 'gone'",
        "link vnic-vconnector of 'tap1f72bd15-8a': no target_id",
        "links.json, line 1: link_type is no text",
    ]) {
        assert!(said.err.contains(wanted), "not told: {wanted}\n{}", said.err);
    }
    let made = site.checks();
    for check in &wanted {
        assert!(made.contains(check), "hidden: {check:?}");
    }
}

/// Every name is encoded or refused with its id, and no file is where it should not be.
#[test]
fn names_never_become_a_path_a_shell_word_or_a_break_of_json() {
    let long = "x".repeat(300);
    let names = [
        "../../../etc/cron.d/x",
        "..",
        "/abs",
        "a\"b",
        "a'b",
        "a;b",
        "$(touch /tmp/pwned)",
        "`id`",
        "a\nb",
        "a|b",
        "\u{fc}ml\u{e4}ut",
        "a b",
        ":::x:::",
        "{{ .x }}",
        "-rf",
        "a\\",
        "*",
        "%s",
        "$HOSTNAME$",
        "a!b",
        "{objid}",
        &long,
    ];
    for kind in KINDS {
        let mut objects = Vec::from(ovs_host());
        for (i, name) in names.iter().enumerate() {
            objects.push(host(name));
            objects.push(pnic(&format!("id-{name}"), &format!("eth{i}")));
            objects.push(pnic(&format!("arg{i}"), name));
            objects.push(json!({"type": "vconnector", "id": format!("on-{name}"), "name": "br", "host": name}));
        }
        let site = Site::with(&format!("names-{kind}"), &objects, &[]);
        let before = fs::read_dir(&site.dir.0).expect("ours").count();
        let said = site.rendered(&["--emit", kind], 1);
        assert!(!Path::new("/tmp/pwned").exists());
        assert_eq!(fs::read_dir(&site.dir.0).expect("ours").count(), before + 1, "{kind}");
        for (path, _) in files(&site.path("out")) {
            let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-/".contains(&b));
            assert!(plain && !path.split('/').any(|part| part == ".."), "{kind}: {path}");
        }
        for refused in
            ["id-xxx", "'xxx", "'arg8'", "'arg10'", "'arg12'", "'arg13'", "'arg14'", "'arg21'"]
        {
            assert!(said.err.contains(refused), "{kind}: {refused} is not told:\n{}", said.err);
        }
        if kind == "sensu-core" {
            assert_commands_say(&site, &names);
        }
    }
}

/// `sh` hands each name to the check as it is in the inventory.
fn assert_commands_say(site: &Site, names: &[&str]) {
    let mut seen = BTreeSet::new();
    for (_, name, settings) in site.checks() {
        let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        assert!(named && name.len() <= 255, "{name}");
        let script = format!(
            "check_pnic_ovs() {{ printf %s \"$1\"; }}; check_vconnector() {{ :; }}; \
             check_vedge_ovs() {{ :; }}; {}",
            command(&settings)
        );
        let said = run(Command::new("sh").args(["-c", &script]));
        assert_eq!((said.exit, said.err.as_str()), (Some(0), ""), "{script}");
        if let Some(i) = name.strip_prefix("host_pnic_arg") {
            let i: usize = i.parse().expect("a number");
            assert_eq!(said.out, names[i]);
            seen.insert(i);
        }
    }
    assert_eq!(seen.len(), names.len() - 6, "all others are handed over: {seen:?}");
}

// --------------------------------------------------------------------------------- manifest, templates

#[test]
fn operators_override_and_add_and_their_mistakes_are_named() {
    let site = Site::new("manifest");
    fs::create_dir(site.path("manifest.d")).expect("ours");
    site.write(
        "manifest.d/10-slow.toml",
        "name = \"check_pnic_ovs\"\n[schedule]\ninterval = 60\nttl = 180\n",
    );
    site.write(
        "manifest.d/20-off.toml",
        "name = \"check_vedge_ovs\"\n[calipso]\nenabled = false\n",
    );
    site.rendered(&[], 0);
    let checks = site.checks();
    let intervals: BTreeSet<_> = checks
        .iter()
        .filter(|(_, name, _)| name.starts_with("host_pnic_eth1"))
        .map(|(_, _, settings)| settings["interval"].as_u64())
        .collect();
    assert_eq!(intervals, [Some(60)].into());
    assert!(!checks.iter().any(|(.., settings)| command(settings) == "check_vedge_ovs"));
    site.write("manifest.d/30-wrong.toml", "name = \"check_vm\"\n\n[schedule]\nintervall = 5\n");
    let said = site.rendered(&[], 2);
    assert!(said.err.contains("manifest.d/30-wrong.toml:4: unknown field `intervall`"), "{said:?}");
}

#[test]
fn checks_without_a_template_of_calipso_come_when_asked_for() {
    let site = Site::new("also");
    site.rendered(
        &["--also", "check_vm", "--also", "check_ovs_port", "--also", "check_instance_vnic"],
        1,
    );
    let commands: BTreeSet<String> = site
        .checks()
        .iter()
        .map(|(host, _, s)| format!("{}: {}", &host[..6], command(s)))
        .collect();
    for wanted in [
        "node-1: check_vm instance-00000001",
        "node-1: check_ovs_port --iface-id 1f72bd15-8a00-4000-8000-000000000001",
        "node-3: check_instance_vnic qdhcp-3a5f0000-0000-4000-8000-000000000002 fa:16:3e:00:00:03",
    ] {
        assert!(commands.contains(wanted), "{wanted}: {commands:#?}");
    }
}

#[test]
fn templates_of_a_site_replace_the_built_in_ones_by_type() {
    let site = Site::new("templates");
    let template = |order: &str, config: Value| {
        json!({"side": "client", "type": "client_check_host_pnic_ovs.json", "order": order,
            "monitoring_system": "sensu", "condition": {"mechanism_drivers": ["OVS"]}, "config": config})
    };
    let documents = [
        // The second is laid over the first whatever their order in the file.
        template(
            "2",
            json!({"checks": {"{objtype}_{objid}": {"interval": 99, "handlers": ["own"]}}}),
        ),
        template(
            "1",
            json!({"checks": {"{objtype}_{objid}": {"interval": 5, "handlers": ["file"],
            "command": "own_check.sh {local_name} \"{mac_address}\" on {client_name}"}}}),
        ),
        json!({"side": "client", "type": "rabbitmq.json", "config": {"own": "{rabbitmq_port}"}}),
        json!({"side": "client", "type": "client_check_vservice.json",
            "condition": {"mechanism_drivers": ["Calico"]}, "config": {"checks": {}}}),
        json!({"side": "client", "type": "zabbix.json", "monitoring_system": "zabbix", "config": {}}),
        json!({"side": "client", "type": "bad.json"}),
    ];
    site.write("templates.json", &lines(&documents));
    let templates = site.path("templates.json");
    let said = site.rendered(&["--templates", templates.to_str().expect("ASCII")], 1);
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    assert!(said.err.contains("line 6: template bad.json: config is no document"), "{}", said.err);
    let checks = site.checks();
    let (.., settings) = checks
        .iter()
        .find(|(host, name, _)| host.starts_with("node-1") && name.starts_with("host_pnic"))
        .expect("the check of a NIC");
    assert_eq!(
        settings,
        &json!({"interval": 99, "handlers": ["file", "own"],
        "command": "own_check.sh eth1 \"52:54:00:aa:bb:01\" on Lab-node-1.example.net"})
    );
    assert_eq!(site.json("out/host/node-1.example.net/rabbitmq.json"), json!({"own": 5671}));
    assert!(!checks.iter().any(|(_, name, _)| name.starts_with("vservice")));
    assert!(checks.iter().any(|(_, name, _)| name.starts_with("instance_")), "others are built in");
}

/// With CALIPSO_TEMPLATES=monitoring_config_templates.json, Calipso's own, which are not ours to copy.
#[test]
#[ignore = "needs CALIPSO_TEMPLATES"]
fn templates_of_calipso_give_the_same_checks_as_the_built_in_ones() {
    let templates = std::env::var("CALIPSO_TEMPLATES").expect("a path in CALIPSO_TEMPLATES");
    let built_in = Site::new("built-in");
    built_in.rendered(&[], 0);
    let theirs = Site::new("theirs");
    theirs.rendered(&["--templates", &templates], 0);
    let comparable = |site: &Site| -> Vec<(String, String, Value)> {
        let mut checks = site.checks();
        for (.., settings) in &mut checks {
            let line =
                command(settings).replace("PYTHONPATH=/etc/sensu/plugins ", "").replace(".py", "");
            // Theirs waits so long that its deadline is behind the next run.
            let line = line.replace(" -w 10 -s", " -w 5 -s").replace('\'', "");
            settings["command"] = line.into();
            let all = settings.as_object_mut().expect("settings");
            // Theirs have neither.
            all.remove("timeout");
            all.remove("ttl");
        }
        checks
    };
    // Theirs does not quote its list, which `;` would part.
    assert_eq!(comparable(&theirs), comparable(&built_in));
    assert_eq!(comparable(&theirs).len(), 18);
    let names = |site: &Site| files(&site.path("out")).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&theirs), names(&built_in));
}

// -------------------------------------------------------------------------------------- who reads it

/// Every command of every kind of check is a command line that its binary takes: run, not `--help`.
/// In a network namespace of their own, so that nothing leaves this machine.
#[test]
fn every_rendered_command_is_understood_by_its_binary() {
    let site = Site::new("commands");
    site.rendered(&["--also", "all"], 1);
    let bin = Path::new(env!("CARGO_BIN_EXE_calipso-provision")).parent().expect("a directory");
    let checks = site.checks();
    let mut programs = BTreeSet::new();
    for (_, name, settings) in &checks {
        let line = command(settings);
        programs.insert(line.split(' ').next().expect("a word").to_owned());
        let script =
            format!("PATH={}:$PATH; {line} --timeout 0.3 --output-format json", bin.display());
        let said = run(Command::new("unshare").args(["-rn", "sh", "-c", &script]));
        let codes = said.codes();
        assert!(!codes.iter().any(|code| code == "usage"), "{name}: {line}: {said:?}");
        assert!((0..=3).contains(&said.exit.expect("it ended")), "{name}: {said:?}");
    }
    let all: BTreeSet<String> = support::checks().into_iter().collect();
    assert_eq!(programs, all, "every check is rendered for some object of the fixtures");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreCheck {
    command: String,
    interval: u32,
    timeout: u32,
    ttl: u32,
    standalone: bool,
    r#type: String,
    handlers: Vec<String>,
    subscribers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreClient {
    api: BTreeMap<String, Value>,
    client: CoreClientPart,
    checks: BTreeMap<String, CoreCheck>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreClientPart {
    name: String,
    address: String,
    environment: String,
    subscriptions: Vec<String>,
}

#[test]
fn sensu_core_gets_what_its_documentation_asks_for() {
    let site = Site::new("core");
    site.rendered(&["--also", "all"], 1);
    for (path, text) in files(&site.path("out/host")) {
        if path.ends_with("/client.json") {
            let client: CoreClient =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!(client.client.subscriptions, ["base"]);
            for (name, check) in client.checks {
                assert!(check.timeout < check.interval && check.interval < check.ttl, "{name}");
            }
        }
    }
    assert_eq!(
        site.json("out/host/node-1.example.net/rabbitmq.json"),
        json!({"rabbitmq": {
        "port": 5671, "vhost": "/sensu", "user": "sensu", "password": "p\"ass'word",
        "host": "192.0.2.10", "ssl": {"cert_chain_file": "/etc/sensu/ssl/cert.pem",
        "private_key_file": "/etc/sensu/ssl/key.pem"}}})
    );
}

/// CheckConfig of core/v2, as the backend takes it: unknown fields are refused there as well.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoCheck {
    r#type: String,
    api_version: String,
    metadata: GoMetadata,
    spec: GoSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoMetadata {
    name: String,
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoSpec {
    command: String,
    interval: u32,
    timeout: u32,
    ttl: i64,
    publish: bool,
    subscriptions: Vec<String>,
    handlers: Vec<String>,
    proxy_entity_name: String,
    output_metric_format: String,
}

#[test]
fn sensu_go_gets_documents_as_it_defines_them() {
    let site = Site::new("go");
    let nasty = json!({"type": "host_pnic", "id": "a\"b\\: #\u{fc}\n- x", "host": "node-1.example.net",
        "local_name": "a: 'b' \"c\" #d \\ %", "environment": "Lab"});
    site.write("inventory.json", &(site.read("inventory.json") + &nasty.to_string()));
    site.rendered(&["--emit", "sensu-go", "--also", "all"], 1);
    let is_name =
        |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let mut names = BTreeSet::new();
    for (path, text) in files(&site.path("out/sensu-go")) {
        for document in serde_norway::Deserializer::from_str(&text) {
            let check = GoCheck::deserialize(document).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!(
                (check.r#type.as_str(), check.api_version.as_str()),
                ("CheckConfig", "core/v2")
            );
            assert!(is_name(&check.metadata.name) && is_name(&check.spec.proxy_entity_name));
            assert!(names.insert(check.metadata.name.clone()), "{} twice", check.metadata.name);
            let spec = check.spec;
            assert!(
                spec.publish && spec.ttl > i64::from(spec.interval) && spec.timeout < spec.interval
            );
            assert_eq!(spec.output_metric_format, "nagios_perfdata");
            assert_eq!(spec.handlers, ["file", "osdna-monitor"]);
            assert_eq!(
                spec.subscriptions,
                [format!("entity:{}", check.metadata.labels["calipso_host"])]
            );
            if check.metadata.labels["calipso_object_id"] == nasty["id"].as_str().expect("a text") {
                let script =
                    spec.command.replace("/usr/lib/calipso-checks/bin/check_pnic_ovs", "printf %s");
                let said = run(Command::new("sh").args(["-c", &script]));
                assert_eq!(Some(said.out.as_str()), nasty["local_name"].as_str());
            }
        }
    }
    assert!(names.len() > 20, "{names:?}");
}

/// Readable by the users that Icinga and Nagios become.
fn opened(site: &Site) {
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(site.path("out")));
}

/// Debian's own configuration, and what is rendered beside it.
#[test]
fn a_real_icinga_takes_what_is_rendered_for_it() {
    let site = Site::new("icinga-real");
    let nasty = pnic("a\"b\\$c$\u{fc}", "$(x) \"y\" \\ $z$ {{{");
    let objects = site.read("inventory.json") + &lines(&ovs_host()) + &nasty.to_string();
    site.write("inventory.json", &objects);
    site.rendered(&["--emit", "icinga2", "--also", "all"], 1);
    opened(&site);
    let main = format!(
        "include \"/etc/icinga2/constants.conf\"\ninclude \"/etc/icinga2/zones.conf\"\ninclude <itl>\n\
         include <plugins>\ninclude_recursive \"{}\"\n",
        site.path("out/icinga2").display()
    );
    site.write("icinga2.conf", &main);
    let check =
        |config: &Path| run(Command::new("icinga2").args(["daemon", "-C", "-c"]).arg(config));
    let said = check(&site.path("icinga2.conf"));
    assert_eq!(said.exit, Some(0), "{said:?}");
    assert!(said.out.contains("Instantiated 4 Hosts."), "{said:?}");
    // And it would have said no.
    site.write("icinga2.conf", &(main + "object Service \"x\" { check_command = \"no-such\" }\n"));
    assert_ne!(check(&site.path("icinga2.conf")).exit, Some(0));
}

#[test]
fn a_real_nagios_takes_what_is_rendered_for_it() {
    let site = Site::new("nagios-real");
    let nasty = pnic("a\"b\\$c$;!\u{fc}", "$(x);!y");
    site.write(
        "inventory.json",
        &(site.read("inventory.json") + &lines(&ovs_host()) + &nasty.to_string()),
    );
    site.rendered(&["--emit", "nagios", "--also", "all"], 1);
    opened(&site);
    let dir = site.dir.0.display();
    fs::create_dir(site.path("var")).expect("ours");
    fs::set_permissions(site.path("var"), fs::Permissions::from_mode(0o1777)).expect("ours");
    site.write("resource.cfg", "$USER1$=/usr/lib/nagios/plugins\n");
    let config = format!(
        "cfg_dir={dir}/out/nagios\nresource_file={dir}/resource.cfg\nlog_file={dir}/var/log\n\
         object_cache_file={dir}/var/cache\nstatus_file={dir}/var/status\ntemp_path={dir}/var\n\
         check_result_path={dir}/var\n"
    );
    site.write("nagios.cfg", &config);
    let check = || run(Command::new("nagios4").arg("-v").arg(site.path("nagios.cfg")));
    let said = check();
    assert_eq!(said.exit, Some(0), "{}", said.out);
    assert!(
        said.out.contains("Checked 4 hosts.") && said.out.contains("Total Errors:   0"),
        "{}",
        said.out
    );
    // And it would have said no.
    site.write("out/nagios/zz.cfg", "define service {\n  host_name nobody\n}\n");
    assert_ne!(check().exit, Some(0));
}

/// An inventory of the lab's host, rendered, and each check run there by `sh`.
#[test]
fn on_a_real_host_each_rendered_check_says_what_is_so() {
    let lab = Lab::up("rendered", &[]);
    let on = |kind: &str, id: &str, more: Value| {
        let mut object = json!({"type": kind, "id": id, "host": "n1", "environment": "Lab"});
        for (field, value) in more.as_object().expect("fields") {
            object[field] = value.clone();
        }
        object
    };
    let bridge = |name: &str| on("vconnector", name, json!({"name": name, "object_name": name}));
    let nic = |name: &str| on("host_pnic", name, json!({"local_name": name}));
    let tap = |name: &str, n: u8| {
        on(
            "vnic",
            name,
            json!({"vnic_type": "instance_vnic", "mac_address": format!("fa:16:3e:00:00:0{n}"),
            "port_id": format!("1ab0000{n}-0{n}aa-4000-8000-00000000000{n}")}),
        )
    };
    let mut objects = Vec::from(ovs_host());
    objects.extend(["br-int", "br-ex", "br-no"].map(bridge));
    objects.extend(["eth1", "eth2", "eth3", "eth9"].map(nic));
    objects.extend([tap("tap-ok", 1), tap("tap-admin", 2), tap("tap-dead", 4)]);
    objects.push(on(
        "vservice",
        "r",
        json!({"service_type": "router", "local_service_id": "qrouter-no"}),
    ));
    let link = |vnic: &str, bridge: &str| json!({"link_type": "vnic-vconnector", "source_id": vnic, "target_id": bridge, "environment": "Lab"});
    let site = Site::with(
        "lab",
        &objects,
        &[link("tap-ok", "br-int"), link("tap-dead", "br-int"), link("tap-admin", "br-no")],
    );
    site.rendered(&["--also", "check_ovs_port"], 0);
    let path = PathBuf::from(lab.path("check_pnic_ovs"));
    let path = path.parent().expect("a directory").display();
    let said: BTreeMap<String, i32> = site
        .checks()
        .iter()
        .map(|(_, name, settings)| {
            let script = format!("PATH={path}:$PATH; {}", command(settings));
            let said = run(lab.inside("sh").args(["-c", &script]));
            (name.clone(), said.exit.expect("it ended"))
        })
        .collect();
    let wanted = [
        ("host_pnic_eth1", 0),
        ("host_pnic_eth2", 2),
        ("host_pnic_eth3", 2),
        ("host_pnic_eth9", 2),
        ("link_vnic-vconnector_tap-admin_br-no", 2),
        ("link_vnic-vconnector_tap-dead_br-int", 2),
        ("link_vnic-vconnector_tap-ok_br-int", 0),
        ("vconnector_br-ex", 0),
        ("vconnector_br-int", 0),
        ("vconnector_br-no", 2),
        ("vedge_v1", 0),
        ("vnic_instance_vnic_tap-admin_ovs", 2),
        ("vnic_instance_vnic_tap-dead_ovs", 2),
        ("vnic_instance_vnic_tap-ok_ovs", 0),
        ("vservice_r", 2),
    ];
    let wanted: BTreeMap<String, i32> = wanted.map(|(name, exit)| (name.to_owned(), exit)).into();
    assert_eq!(said, wanted);
}
