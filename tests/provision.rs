//! `calipso-provision`: an invented environment as golden files, broken ones, and the programs that
//! read what is rendered: `sh`, the checks themselves, Icinga, Nagios, and a lab host.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

mod support;

use calipso_checks::manifest::book::Book;
use calipso_checks::provision::name;
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
    let defaults = KINDS.map(|kind| (kind, vec!["--emit", kind]));
    for (kind, options) in defaults.into_iter().chain([("also-all", vec!["--also", "all"])]) {
        let site = Site::new(kind);
        let said = site.rendered(&options, 0);
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

/// An entry's other objects (`calipso_also`) are checked as well.
#[test]
fn every_kind_of_object_of_every_entry_is_rendered() {
    let site = Site::new("parts");
    site.rendered(&["--also", "all"], 0);
    let checks = site.checks();
    let book = Book::load(Path::new("/nonexistent")).expect("the entries of this build");
    for entry in book.entries() {
        for part in std::iter::once(&entry.calipso).chain(&entry.calipso_also) {
            let begin = part.command.split('{').next().expect("a first piece");
            assert!(
                checks.iter().any(|(.., settings)| command(settings).starts_with(begin)),
                "{}: {}",
                entry.name,
                part.command
            );
        }
    }
    let domain = checks.iter().find(|(_, name, _)| name == "vconnector_node-2.example.net-bd-5");
    let (host, _, settings) = domain.expect("the check of a bridge domain of VPP");
    assert_eq!(
        (host.as_str(), command(settings)),
        ("node-2.example.net", "check_vconnector --vpp 5")
    );
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
    assert_eq!(said.out, "20 checks on 3 hosts: nothing changed\n");
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
    let said = site.rendered(&["--diff", "--remove"], 0);
    assert!(
        said.out.contains("--- host/node-3.example.net/client.json (goes away)"),
        "{}",
        said.out
    );
    let said = site.rendered(&["--remove"], 1);
    assert!(said.out.contains(": 3 files removed; 3 left out\n"), "{said:?}");
    let names: Vec<_> = files(&site.path("out/host/node-3.example.net")).into_keys().collect();
    assert_eq!(names, ["mrpe.cfg", "own.json"]);
}

/// What could not be read may be what these files are for.
#[test]
fn an_inventory_that_is_not_whole_takes_nothing_away() {
    let site = Site::new("not-whole");
    site.rendered(&[], 0);
    let whole = files(&site.path("out"));
    let text = site.read("inventory.json");
    // Cut off within the third host, and without the objects behind it.
    let at = text.find("node-3.example.net").expect("the third host");
    site.write("inventory.json", &text[..at]);
    site.write("links.json", "[]");
    let said = site.rendered(&[], 1);
    let kept = "kept 3 files that the inventory no longer asks for, since it could not be read whole; \
                repair it, or use --remove\n";
    assert!(said.err.ends_with(kept), "{said:?}");
    let names = |site: &Site| files(&site.path("out")).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&site), whole.keys().cloned().collect::<Vec<_>>());
    assert!(!site.rendered(&["--diff"], 0).out.contains("goes away"));
    assert!(site.rendered(&["--diff", "--remove"], 0).out.contains("(goes away)"));
    // They are still known to be ours, and go when the inventory is whole and without them.
    let gone: Vec<&str> =
        text.lines().filter(|line| line.contains("\"type\": \"host\"")).take(2).collect();
    site.write("inventory.json", &gone.join("\n"));
    let said = site.rendered(&[], 0);
    assert_eq!(said.out, "0 checks on 2 hosts: 3 files removed\n");
    assert!(!site.path("out/host/node-3.example.net").exists());
}

/// The same directory for two environments, which have the same server.
#[test]
fn an_environment_leaves_the_files_of_another_alone() {
    let site = Site::new("two");
    site.rendered(&[], 0);
    // As it was before each environment had a list of its own.
    let list = site.path("out/.calipso-provision.sensu-core");
    fs::rename(site.path("out/.calipso-provision.sensu-core.Lab"), &list).expect("ours");
    let first = files(&site.path("out"));
    let (environment, objects) = (site.read("environment.json"), site.read("inventory.json"));
    site.set("/name", json!("B"));
    let mut other = host("b1");
    other["environment"] = json!("B");
    site.write("inventory.json", &lines(&[other]));
    site.write("links.json", "");
    let said = site.rendered(&[], 0);
    assert_eq!(said.out, "0 checks on 1 host: 3 files written\n");
    let both = files(&site.path("out"));
    for (path, text) in &first {
        assert_eq!(both.get(path), Some(text), "{path}");
    }
    // The first one takes its old list over, and knows from then on what is its own.
    site.write("environment.json", &environment);
    let left: Vec<&str> = objects.lines().filter(|line| !line.contains("node-3")).collect();
    site.write("inventory.json", &left.join("\n"));
    let said = site.rendered(&["--remove"], 1);
    assert!(said.out.contains(", 3 removed; "), "{said:?}");
    assert!(!list.exists() && !site.path("out/host/node-3.example.net").exists());
    assert!(site.path("out/host/b1/client.json").exists());
    // What both have cannot be otherwise for one of them, and is not taken from the other.
    site.set("server_ip", json!("192.0.2.99"));
    let said = site.rendered(&[], 2);
    let list = "is another environment's as well (.calipso-provision.sensu-core.B)";
    assert!(said.err.contains("server/api.json: ") && said.err.contains(list), "{said:?}");
}

#[test]
fn a_group_reads_whatever_the_umask() {
    let site = Site::new("umask");
    fs::create_dir(site.path("out")).expect("ours");
    fs::set_permissions(site.path("out"), fs::Permissions::from_mode(0o2750)).expect("ours");
    let script = format!(
        "umask 077; cd {}; {} render --environment environment.json --inventory inventory.json \
         --links links.json --manifest-dir none --out out",
        site.dir.0.display(),
        env!("CARGO_BIN_EXE_calipso-provision")
    );
    assert_eq!(run(Command::new("sh").args(["-c", &script])).exit, Some(0));
    let mode = |path: &str| fs::metadata(site.path(path)).expect(path).mode() & 0o7777;
    // Who made a directory hand its group down gets it handed down.
    for path in ["out", "out/server", "out/host", "out/host/node-1.example.net"] {
        assert_eq!(mode(path), 0o2750, "{path}");
    }
    assert_eq!(mode("out/server/rabbitmq.json"), 0o640);
}

/// A template may put a password into the command of a check.
#[test]
fn no_kind_of_output_shows_a_password_of_a_check() {
    for kind in KINDS {
        let site = Site::new(&format!("secret-{kind}"));
        let template = json!({"side": "client", "type": "client_check_host_pnic_ovs.json",
            "config": {"checks": {"{objtype}_{objid}": {"command": "own_check.sh {rabbitmq_pass} {ssh_password} {speed}"}}}});
        let mut nic = pnic("p1", "eth1");
        nic["speed"] = json!(5);
        let mut objects = Vec::from(ovs_host());
        objects.push(nic.clone());
        site.write("inventory.json", &lines(&objects));
        site.write("links.json", "");
        site.write("templates.json", &template.to_string());
        let templates = site.path("templates.json");
        let options = ["--emit", kind, "--templates", templates.to_str().expect("ASCII")];
        site.rendered(&options, 0);
        let made: String = files(&site.path("out")).into_values().collect();
        assert!(made.contains("ssh-secret"), "{kind}");
        nic["speed"] = json!(6);
        objects.pop();
        objects.push(nic);
        site.write("inventory.json", &lines(&objects));
        let said = site.rendered(&[&options[..], &["--diff"]].concat(), 0);
        assert!(said.out.contains("(values are not shown)"), "{kind}: {}", said.out);
    }
}

/// Of a word that should have been in quotes, too.
#[test]
fn no_message_quotes_a_password() {
    let site = Site::new("quoted");
    let good = site.read("environment.json");
    for (from, to, said) in [
        (
            "\"ssh-secret\"",
            "ssh-secret",
            ", column 78: a word that is no value (quote texts with \")",
        ),
        ("\"Files\"", "{\"x\": \"ssh-secret\"}", "provision is no text"),
        ("\"p\\\"ass'word\"", "{\"a\": \"ass'word\"}", "rabbitmq_pass is no text"),
        ("\"p\\\"ass'word\"", "\"-ass'word\"", ""),
    ] {
        assert!(good.contains(from), "{from}");
        site.write("environment.json", &good.replace(from, to));
        let told = site.rendered(&[], if said.is_empty() { 0 } else { 2 }).err;
        assert!(told.contains(said), "{to}: {told}");
    }
    // A command cannot carry it, and that is said without it.
    let template = json!({"side": "client", "type": "client_check_host_pnic_ovs.json",
        "config": {"checks": {"{objid}": {"command": "own_check.sh {rabbitmq_pass}"}}}});
    site.write("templates.json", &template.to_string());
    let templates = site.path("templates.json");
    let said = site.rendered(&["--templates", templates.to_str().expect("ASCII")], 1);
    assert!(said.err.contains("rabbitmq_pass would be an option\n"), "{said:?}");
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
    let full = "exec > /dev/full; exec \"$0\" manifest --manifest-dir none";
    let provision = env!("CARGO_BIN_EXE_calipso-provision");
    let said = run(Command::new("sh").args(["-c", full, provision]));
    assert_eq!(said.exit, Some(2), "{said:?}");
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
    site.set("rabbitmq_pass", json!(1234));
    site.rendered(&[], 0);
    assert!(site.read("out/server/rabbitmq.json").contains("\"password\": \"1234\""));
    site.set("rabbitmq_pass", Value::Null);
    // Only Sensu Core asks for it.
    site.rendered(&["--emit", "icinga2"], 0);
    site.write("environment.json", "\n");
    assert!(site.rendered(&[], 2).err.contains("no environment in it"));
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
        (json!({"type": "vnic", "id": "n3", "environment": 5}), " 'n3': environment is no text"),
        (
            json!({"type": "vconnector", "id": "c1", "name": "br", "object_name": "1", "host": null}),
            "vconnector 'c1': no host",
        ),
        (
            json!({"type": "vconnector", "id": "c2", "name": "br", "object_name": "1", "host": "gone"}),
            "vconnector 'c2': its host leads nowhere: 'gone'",
        ),
        (
            json!({"type": "vedge", "id": "e2", "host": "node-1.example.net", "agent_type": "Cisco"}),
            "vedge 'e2': agent_type 'Cisco' is unknown: neither VPP nor Open vSwitch nor Linux bridge",
        ),
        (json!({"type": "otep", "id": "o2", "host": "node-3.example.net"}), "otep 'o2': no ports"),
        (
            json!({"type": "otep", "id": "o3", "host": "node-3.example.net", "ports": {"x": 5, "y": {"type": 5}, "z": {}}}),
            "otep 'o3': port 'x' is no document",
        ),
        (
            json!({"type": "otep", "id": "o4", "host": "node-3.example.net", "ports": {"x": {"type": "VXLAN"}}}),
            "otep 'o4': port 'x': no local_ip",
        ),
        (
            json!({"type": "vservice", "id": "s2", "host": "node-3.example.net", "service_type": "balancer", "local_service_id": "x"}),
            "vservice 's2': check_vservice would refuse its service_type: ",
        ),
        (
            json!({"type": "vservice", "id": "s3", "host": "gone", "service_type": "dhcp", "local_service_id": "qdhcp-lost", "network": ["lost"]}),
            "instance 'i3': vnic 'n4': vservice 's3': its host leads nowhere: 'gone'",
        ),
        (
            json!({"type": "instance", "id": "i3", "host": "node-1.example.net", "id_path": "/i3"}),
            "instance 'i3'",
        ),
        (
            json!({"type": "vnic", "id": "n4", "host": "node-1.example.net", "vnic_type": "instance_vnic", "mac_address": "fa:16:3e:00:00:08", "network": "lost", "id_path": "/i3/v/n4"}),
            "instance 'i3'",
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
    let bridge = "node-1.example.net-qbr1f72bd15-8a";
    for host in [json!(5), json!("gone")] {
        links.push(json!({"link_type": "vnic-vconnector", "source_id": "tap1f72bd15-8a", "target_id": bridge, "host": host}));
    }
    site.write("links.json", &Value::from(links).to_string());
    let said = site.rendered(&[], 1);
    for wanted in broken.iter().map(|(_, why)| *why).chain([
        "otep 'o1': port 'y': remote_ip '$(reboot)' is no address",
        "a line ends within a text",
        "no document",
        "link vnic-vconnector 'gone' 'x': source_id leads to no vnic: 'gone'",
        "link vnic-vconnector of 'tap1f72bd15-8a': no target_id",
        "links.json, line 1: link_type is no text",
        "otep 'o3': port 'y': type is no text",
        "otep 'o3': port 'z': no type",
        "'tap1f72bd15-8a' 'node-1.example.net-qbr1f72bd15-8a': host is no text",
        "'tap1f72bd15-8a' 'node-1.example.net-qbr1f72bd15-8a': its host leads nowhere: 'gone'",
    ]) {
        assert!(said.err.contains(wanted), "not told: {wanted}\n{}", said.err);
    }
    let made = site.checks();
    for check in &wanted {
        assert!(made.contains(check), "hidden: {check:?}");
    }
}

/// A service whose host there is comes before others.
#[test]
fn an_instance_is_looked_for_where_there_is_a_host() {
    let service = |id: &str, host: &str| {
        json!({"type": "vservice", "id": id, "host": host, "service_type": "dhcp",
            "local_service_id": format!("qdhcp-{id}"), "network": ["net"], "environment": "Lab"})
    };
    let mut objects = Vec::from(ovs_host());
    objects.extend([service("a", "gone"), service("b", "n1")]);
    objects.push(json!({"type": "instance", "id": "i", "host": "n1", "id_path": "/i"}));
    objects
        .push(json!({"type": "vnic", "id": "v", "host": "n1", "id_path": "/i/v", "network": "net",
        "vnic_type": "instance_vnic", "mac_address": "fa:16:3e:00:00:01"}));
    let site = Site::with("services", &objects, &[]);
    let said = site.rendered(&[], 1);
    assert_eq!(said.err.lines().filter(|line| line.starts_with("left out")).count(), 1, "{said:?}");
    let checks = site.checks();
    let wanted = "check_instance_communications 'qdhcp-b,fa:16:3e:00:00:01'";
    let found = checks.iter().find(|(_, name, _)| name == "instance_i").expect("a check");
    assert_eq!(command(&found.2), wanted);
}

/// In an environment without a template for its drivers, that is told rather than an empty plan.
#[test]
fn drivers_without_a_template_are_told() {
    let site = Site::new("drivers");
    for (drivers, said) in [
        (json!([]), "environment 'Lab': its mechanism_drivers meet no template: []"),
        (json!(["Calico"]), "environment 'Lab': its mechanism_drivers meet no template: [Calico]"),
    ] {
        site.set("/mechanism_drivers", drivers);
        assert!(site.rendered(&[], 1).err.contains(said));
    }
    for drivers in [Value::Null, json!("OVS")] {
        site.set("/mechanism_drivers", drivers);
        assert!(site.rendered(&[], 2).err.contains("mechanism_drivers is no list of texts"));
    }
    site.set("/mechanism_drivers", json!(["OVS"]));
    site.set("/enable_monitoring", json!("false"));
    assert!(site.rendered(&[], 2).err.contains("enable_monitoring is neither true nor false"));
}

/// The kernel forwards there, whatever the agent is called exactly; a NIC of such a host is no NIC
/// of VPP's.
#[test]
fn agents_are_known_by_several_names() {
    for (agent, check) in [
        ("OVS", "check_pnic_ovs eth1"),
        ("Linux bridge agent", "check_pnic_ovs eth1"),
        ("OpenvSwitch", "check_pnic_ovs eth1"),
        ("Calipso-VPP", "check_pnic_vpp"),
    ] {
        let vedge = json!({"type": "vedge", "id": "v1", "host": "n1", "agent_type": agent});
        let site = Site::with("agents", &[host("n1"), vedge, pnic("p", "eth1")], &[]);
        site.rendered(&[], 0);
        let checks = site.checks();
        let nic = checks.iter().find(|(_, name, _)| name == "host_pnic_p").expect("a check");
        assert_eq!(command(&nic.2), check, "{agent}");
        let is_vedge = |name: &str| name == "vedge_v1";
        let has_vedge = checks.iter().any(|(_, name, _)| is_vedge(name));
        assert_eq!(has_vedge, !agent.starts_with("Linux"), "{agent}");
    }
}

/// That its id is taken for its address leaves nothing out.
#[test]
fn what_is_only_taken_otherwise_is_a_note() {
    let mut odd = host("n1");
    odd["ip_address"] = json!("n1.example.net");
    let site = Site::with("note", &[odd], &[]);
    let said = site.rendered(&[], 0);
    let note = "note: host 'n1': ip_address 'n1.example.net' is no address: its id is taken\n";
    assert_eq!((said.err.as_str(), said.out.contains("left out")), (note, false));
}

/// With its endings and what is put before it, each name of a file must be one.
#[test]
fn a_host_whose_name_is_too_long_hides_no_other() {
    let long = "x".repeat(251);
    for kind in KINDS {
        let mut objects = Vec::from(ovs_host());
        objects.extend([host(&long), host(&long[..245]), pnic("p", "eth1")]);
        objects.push(
            json!({"type": "host_pnic", "id": "q", "host": &long[..245], "local_name": "eth1"}),
        );
        let vedge = json!({"type": "vedge", "id": "v2", "host": &long[..245], "agent_type": "OVS"});
        objects.push(vedge);
        let site = Site::with(&format!("long-{kind}"), &objects, &[]);
        let said = site.rendered(&["--emit", kind], 1);
        assert_eq!(
            said.err,
            format!("left out: host '{long}': its name would have 251 bytes, more than 250\n")
        );
        let made: String = files(&site.path("out")).into_values().collect();
        assert!(made.contains(&long[..245]), "{kind}");
    }
}

/// What its check would refuse makes no check that is UNKNOWN for ever.
#[test]
fn values_that_no_check_takes_are_told() {
    let names = [" ", "a/b", "0123456789abcdef", "$(reboot)", "..", "eth0", "eth1@if5"];
    let mut objects = Vec::from(ovs_host());
    objects.extend(names.iter().enumerate().map(|(i, name)| pnic(&format!("arg{i}"), name)));
    let site = Site::with("values", &objects, &[]);
    let said = site.rendered(&[], 1);
    let refused = "left out: host_pnic 'arg1': check_pnic_ovs would refuse its local_name: \
                   a device name cannot have '/' in it\n";
    assert!(said.err.contains(refused), "{}", said.err);
    assert_eq!(said.err.lines().count(), 5, "{}", said.err);
    let checks = site.checks();
    let made: Vec<_> =
        checks.iter().filter_map(|(_, name, _)| name.strip_prefix("host_pnic_")).collect();
    assert_eq!(made, ["arg5", "arg6"]);
}

/// Calipso's scan writes the number as `bd_id`; exports without it have it in a name.
#[test]
fn a_bridge_domain_of_vpp_is_known_by_its_number() {
    let domain = |id: &str, fields: Value| {
        let mut object = json!({"type": "vconnector", "id": id, "host": "n1"});
        for (field, value) in fields.as_object().expect("fields") {
            object[field] = value.clone();
        }
        object
    };
    let vedge = json!({"type": "vedge", "id": "v1", "host": "n1", "agent_type": "VPP"});
    let objects = [
        host("n1"),
        vedge,
        domain("a", json!({"bd_id": "5678", "name": "bridge-domain-5678"})),
        domain("b", json!({"bd_id": 6, "object_name": "7"})),
        domain("c", json!({"object_name": "8", "name": "x"})),
        domain("d", json!({"object_name": "bridge-domain-9"})),
        domain("e", json!({"name": "bridge-domain-10"})),
        domain("f", json!({"name": "qbr1"})),
        domain("g", json!({"bd_id": "0"})),
    ];
    let site = Site::with("domains", &objects, &[]);
    let said = site.rendered(&[], 1);
    for refused in [
        "vconnector 'f': no number of a bridge domain in bd_id, object_name or name",
        "vconnector 'g': check_vconnector would refuse its bd_id: '0' is no number",
    ] {
        assert!(said.err.contains(refused), "{}", said.err);
    }
    let checks = site.checks();
    let made: Vec<&str> = checks
        .iter()
        .filter_map(|(.., s)| command(s).strip_prefix("check_vconnector --vpp "))
        .collect();
    assert_eq!(made, ["5678", "6", "8", "9", "10"]);
}

/// A field of an object that is called like what is said of every object.
#[test]
fn reserved_names_are_not_fields_of_objects() {
    let mut nic = pnic("p", "eth1");
    for name in ["client_name", "client_ip", "env_name", "objid", "objtype", "id"] {
        nic[name] = json!("wrong");
    }
    nic["id"] = json!("p");
    let template = json!({"side": "client", "type": "client_check_host_pnic_ovs.json", "config":
        {"checks": {"{objtype}_{objid}": {"command": "x {client_name} {client_ip} {env_name}"}}}});
    let mut objects = Vec::from(ovs_host());
    objects.push(nic);
    let site = Site::with("reserved", &objects, &[]);
    site.write("templates.json", &template.to_string());
    site.rendered(&["--templates", site.path("templates.json").to_str().expect("ASCII")], 0);
    let checks = site.checks();
    let found = checks.iter().find(|(_, name, _)| name == "host_pnic_p").expect("a check");
    assert_eq!(command(&found.2), "x Lab-n1 192.0.2.9 Lab");
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
        // A program of a site's own: what a check of ours refuses would not come so far.
        let template = json!({"side": "client", "type": "client_check_host_pnic_ovs.json", "config":
            {"checks": {"{objtype}_{objid}": {"command": "own_check {local_name}"}}}});
        site.write("templates.json", &template.to_string());
        let templates = site.path("templates.json");
        let before = fs::read_dir(&site.dir.0).expect("ours").count();
        let options = ["--emit", kind, "--templates", templates.to_str().expect("ASCII")];
        let said = site.rendered(&options, 1);
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
            "own_check() {{ printf %s \"$1\"; }}; check_vconnector() {{ :; }}; \
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
        0,
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
    assert_eq!(comparable(&theirs).len(), 20);
    let names = |site: &Site| files(&site.path("out")).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&theirs), names(&built_in));
}

// -------------------------------------------------------------------------------------- who reads it

/// Every command of every kind of check is a command line that its binary takes: run, not `--help`.
/// In a network namespace of their own, so that nothing leaves this machine.
#[test]
fn every_rendered_command_is_understood_by_its_binary() {
    let site = Site::new("commands");
    site.rendered(&["--also", "all"], 0);
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

/// What stands in a file beside the clients', a section each.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreSettings {
    api: Option<CoreApi>,
    client: Option<CoreServer>,
    keepalive: Option<CoreKeepalive>,
    filters: Option<BTreeMap<String, CoreFilter>>,
    handlers: Option<BTreeMap<String, CoreHandler>>,
    rabbitmq: Option<CoreRabbit>,
    redis: Option<CorePlace>,
    transport: Option<CoreTransport>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreApi {
    bind: String,
    host: String,
    port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreServer {
    name: String,
    address: String,
    environment: String,
    subscriptions: Vec<String>,
    socket: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreKeepalive {
    handlers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreFilter {
    attributes: BTreeMap<String, Value>,
    negate: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreHandler {
    r#type: String,
    command: String,
    filter: String,
    timeout: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreRabbit {
    host: String,
    port: u16,
    user: String,
    password: String,
    vhost: String,
    ssl: CoreSsl,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreSsl {
    cert_chain_file: String,
    private_key_file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CorePlace {
    host: String,
    port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "a schema: that it can be read is the test")]
struct CoreTransport {
    name: String,
    reconnect_on_error: bool,
}

#[test]
fn every_file_of_sensu_core_beside_the_clients_is_as_it_is_read() {
    let site = Site::new("core-settings");
    site.rendered(&[], 0);
    let mut sections = BTreeSet::new();
    let all = files(&site.path("out"));
    let clients = |path: &str| path.starts_with("host/") && path.ends_with("/client.json");
    let json = |path: &str| path.ends_with(".json") && !clients(path);
    for (path, text) in all.iter().filter(|(path, _)| json(path)) {
        let settings: CoreSettings =
            serde_json::from_str(text).unwrap_or_else(|e| panic!("{path}: {e}"));
        let there = [
            ("api", settings.api.is_some()),
            ("client", settings.client.is_some()),
            ("filters", settings.filters.is_some()),
            ("handlers", settings.handlers.is_some()),
            ("rabbitmq", settings.rabbitmq.is_some()),
            ("redis", settings.redis.is_some()),
            ("transport", settings.transport.is_some()),
        ];
        // Each file is called like what it holds.
        let holds: Vec<&str> = there.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        assert_eq!(holds, [path.rsplit('/').next().expect("a name").trim_end_matches(".json")]);
        sections.extend(holds);
    }
    assert_eq!(sections.len(), 7, "{sections:?}");
}

#[test]
fn sensu_core_gets_what_its_documentation_asks_for() {
    let site = Site::new("core");
    site.rendered(&["--also", "all"], 0);
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
    let nasty = json!({"type": "host_pnic", "id": "a\"b\\: #\u{fc}\n- {{ .x }}", "host": "node-1.example.net",
        "local_name": "a: 'b' \"c\" #d \\ %", "environment": "Lab"});
    let id = "a\"b\\: #\u{fc}\n- {{ .x }}";
    site.write("inventory.json", &(site.read("inventory.json") + &nasty.to_string()));
    site.write("templates.json", &own_nic_template());
    let templates = site.path("templates.json");
    let templates = templates.to_str().expect("ASCII");
    site.rendered(&["--emit", "sensu-go", "--also", "all", "--templates", templates], 0);
    let mut seen = false;
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
            // Tokens are filled in there too.
            assert!(check.metadata.labels.values().all(|label| !label.contains("{{")));
            if check.metadata.labels["calipso_object_id"] == name::encoded(id) {
                let script = spec.command.replace("/etc/sensu/plugins/own_check", "printf %s");
                let said = run(Command::new("sh").args(["-c", &script]));
                assert_eq!(Some(said.out.as_str()), nasty["local_name"].as_str());
                seen = true;
            }
        }
    }
    assert!(seen, "the check of the nasty name");
    assert!(names.len() > 20, "{names:?}");
}

/// A check of NICs by a program of a site's own, which takes any name.
fn own_nic_template() -> String {
    json!({"side": "client", "type": "client_check_host_pnic_ovs.json", "config":
        {"checks": {"{objtype}_{objid}": {"interval": 15, "timeout": 12, "ttl": 60,
        "type": "metric", "handlers": ["file", "osdna-monitor"],
        "command": "own_check {local_name}"}}}})
    .to_string()
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
    site.write("templates.json", &own_nic_template());
    let templates = site.path("templates.json");
    let templates = templates.to_str().expect("ASCII");
    // Icinga has no tokens of Sensu, but a template is one for all.
    site.rendered(&["--emit", "icinga2", "--also", "all", "--templates", templates], 1);
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
    site.write("templates.json", &own_nic_template());
    let templates = site.path("templates.json");
    let templates = templates.to_str().expect("ASCII");
    site.rendered(&["--emit", "nagios", "--also", "all", "--templates", templates], 0);
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

/// NRPE hands each name to the check as it is in the inventory: asked by `check_nrpe`, in a network
/// namespace of its own.
#[test]
fn a_real_nrpe_runs_what_is_rendered_for_it() {
    let names = ["$ARG1$", "$(id)", "a$$b $c$", "$USER1$", "'q' \"r\"", "eth1"];
    let mut objects = Vec::from(ovs_host());
    objects.extend(names.iter().enumerate().map(|(i, name)| pnic(&format!("p{i}"), name)));
    let site = Site::with("nrpe-real", &objects, &[]);
    let own = site.path("own_check");
    site.write("own_check", "#!/bin/sh\nprintf '<%s>\\n' \"$1\"\n");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).expect("ours");
    let template = own_nic_template().replace("own_check", own.to_str().expect("ASCII"));
    site.write("templates.json", &template);
    let templates = site.path("templates.json");
    let templates = templates.to_str().expect("ASCII");
    site.rendered(&["--emit", "nagios", "--templates", templates], 0);
    let commands = site.path("out/host/n1/nrpe.cfg");
    let config = format!(
        "server_port=5666\nserver_address=127.0.0.1\nallowed_hosts=127.0.0.1\nnrpe_user=nobody\n\
         nrpe_group=nogroup\ninclude={}\n",
        commands.display(),
    );
    site.write("nrpe.cfg", &config);
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(&site.dir.0));
    // The daemon, which does not run as root, ends with its namespace.
    let ask = "/usr/lib/nagios/plugins/check_nrpe -n -H 127.0.0.1 -p 5666";
    let asked: String =
        (0..names.len()).map(|i| format!("{ask} -c host_pnic_p{i} 2>&1; ")).collect();
    let script = format!(
        "ip link set lo up; /usr/sbin/nrpe -n -f -c {}/nrpe.cfg & \
         for i in $(seq 50); do ss -ltnH | grep -q 5666 && break; sleep 0.1; done; {asked}",
        site.dir.0.display()
    );
    let said = run(Command::new("unshare").args(["-npf", "--kill-child", "sh", "-c", &script]));
    let wanted: String = names.iter().map(|name| format!("<{name}>\n")).collect();
    assert_eq!(said.out, wanted, "{said:?}");
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
