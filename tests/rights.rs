//! What a check may do beyond its caller, from copies with file capabilities that nobody runs, as
//! packages install them. Needs root; says so and fails without it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Lab, Said, run};

// ------------------------------------------------------------------------------------ the manifest

/// The rights of every entry: needed, and of use.
fn manifest() -> BTreeMap<String, [Vec<String>; 2]> {
    let list = |table: &toml::Value, key: &str| -> Vec<String> {
        let names = table.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
        names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
    };
    let read = |name: String| {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/checks-manifest");
        let text = std::fs::read_to_string(format!("{dir}/{name}.toml")).expect("an entry");
        let entry: toml::Table = text.parse().expect("TOML");
        let rights = &entry["rights"];
        (name, [list(rights, "capabilities"), list(rights, "optional")])
    };
    support::checks().into_iter().map(read).collect()
}

/// Each needed capability, by the check: `(check, capability, line)`, with a call whose verdict needs
/// it. Which host they are for.
const ON_A_SWITCH: &[(&str, &str)] = &[
    ("cap_dac_override", "check_ovs_port tap-ok"),
    ("cap_dac_override", "check_vedge_ovs"),
    ("cap_dac_override", "check_vconnector br-int"),
    ("cap_dac_override", "check_vnic_vconnector br-int fa:16:3e:00:00:01"),
    ("cap_dac_override", "check_link vnic-vedge tap-ok br-int"),
    ("cap_sys_admin", "check_link vservice-vnic guests g-tap-ok"),
    ("cap_dac_override", "check_otep --remote 192.0.2.12 -c 1 -w 0.5"),
    ("cap_net_raw", "check_otep --remote 192.0.2.12 -c 1 -w 0.5"),
    ("cap_net_raw", "check_ping -t 127.0.0.1 -c 1"),
    ("cap_sys_ptrace", "check_vservice dhcp qdhcp-empty"),
    ("cap_sys_admin", "check_vservice none cni-apart --interfaces"),
    ("cap_sys_admin", "check_instance_vnic cni-apart fa:16:3e:00:00:01"),
    ("cap_sys_admin", "check_instance_communications cni-apart,fa:16:3e:00:00:01"),
];

/// Namespaces that no device leads to from here, and a place where nobody may look.
const APART: &str = "
    ip netns add cni-apart; ip -n cni-apart link add apart0 type veth peer name apart1
    ip -n cni-apart link set apart0 up; ip -n cni-apart link set apart1 up
    ip netns add qdhcp-empty; ip netns add qrouter-empty
    mkdir -m 700 /run/secret; mkdir -p /run/state/dhcp/empty";

#[test]
fn without_any_one_capability_a_check_says_which_to_grant() {
    let manifest = manifest();
    let lab = Lab::up("rights-table", &[]);
    lab.sh(APART);
    let mut wrong = Vec::new();
    let mut proven = BTreeSet::new();
    for (capability, line) in ON_A_SWITCH {
        let check = line.split_whitespace().next().expect("a check");
        let [needed, _] = &manifest[check];
        assert!(needed.iter().any(|name| name == capability), "{check} needs no {capability}");
        let whole = lab.check_with(&needed.join(","), line);
        if whole.exit == Some(3) || whole.exit.is_none() {
            wrong.push(format!("{line} with all it needs: {whole:?}"));
        }
        let rest: Vec<&str> =
            needed.iter().map(String::as_str).filter(|name| name != capability).collect();
        let said = match rest.is_empty() {
            true => lab.check_as_nobody(line),
            false => lab.check_with(&rest.join(","), line),
        };
        let told = said.first_line().contains(capability) || said.out.contains(capability);
        if said.exit != Some(3) || !told {
            wrong.push(format!("{line} without {capability}: {said:?}"));
        }
        proven.insert((check.to_owned(), (*capability).to_owned()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let all: BTreeSet<(String, String)> = manifest
        .iter()
        .flat_map(|(check, [needed, _])| needed.iter().map(|name| (check.clone(), name.clone())))
        .collect();
    assert_eq!(proven, all, "every capability of the manifest has its row");
}

// ----------------------------------------------------------------------- what each system call sees

/// A system call, and what the process could do at that moment.
#[derive(Debug)]
struct Call {
    effective: String,
    permitted: String,
    text: String,
}

impl Call {
    fn is(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.text.starts_with(&format!("{name}(")))
    }

    /// The path that it is about.
    fn path(&self) -> Option<&str> {
        let path = self.text.split('"').nth(1).filter(|text| text.starts_with('/'));
        path.filter(|_| !self.is(&["read", "recvfrom"]))
    }

    fn first_number(&self) -> &str {
        let (_, rest) = self.text.split_once('(').expect("a call");
        rest.split([',', ')']).next().expect("an argument")
    }
}

/// Every system call of a check that nobody runs from a file with capabilities.
fn calls(lab: &Lab, capabilities: &str, line: &str) -> Vec<Call> {
    // Makes the copy.
    let warm = lab.check_with(capabilities, line);
    let copy = format!("{}-{capabilities}", lab.path(line));
    let mut command = lab.inside("strace");
    command.args(["-u", "nobody", "-s", "300", "--", &copy]);
    let said = run(command.args(line.split_whitespace().skip(1)));
    assert_eq!(said.exit, warm.exit, "traced as not traced: {said:?} {warm:?}");
    let mut sets = ("all".to_owned(), "all".to_owned());
    let mut calls = Vec::new();
    for text in said.err.lines().filter(|line| line.contains('(')) {
        if text.starts_with("capset(") && text.ends_with("= 0") {
            let set = |name: &str| {
                let rest = text.split(&format!("{name}=")).nth(1).expect("a set");
                rest.split([',', '}']).next().expect("its end").to_owned()
            };
            sets = (set("effective"), set("permitted"));
        }
        let (effective, permitted) = sets.clone();
        calls.push(Call { effective, permitted, text: text.to_owned() });
    }
    calls
}

/// Whether a right is in effect that is none of this call's.
fn is_misplaced(call: &Call) -> bool {
    let under = |dir: &str| call.path().is_none_or(|path| path.starts_with(dir));
    let right = match call.effective.as_str() {
        "0" => true,
        // Before `main`: what the C library and Rust look at, of places that are fixed.
        "all" => call.is(&["execve"]) || under("/proc/self/") || under("/etc/suid-debug"),
        "1<<CAP_DAC_OVERRIDE" => under("/var/run/openvswitch"),
        "1<<CAP_SYS_ADMIN" | "1<<CAP_NET_ADMIN|1<<CAP_SYS_ADMIN" => {
            call.is(&["setns", "capget", "capset"])
        }
        "1<<CAP_SYS_PTRACE" => under("/proc"),
        "1<<CAP_DAC_READ_SEARCH" => under("/var/lib/neutron"),
        "1<<CAP_NET_RAW" => call.path().is_none(),
        "1<<CAP_NET_ADMIN" => under("/proc/self/ns/net") || under("/proc/thread-self/ns/net"),
        _ => false,
    };
    !right
}

/// What was opened in another namespace: between the second and the third `setns` of a visit, which
/// goes home, inside, home.
#[derive(Default)]
struct Abroad {
    crossings: usize,
    open: BTreeSet<String>,
}

impl Abroad {
    fn note(&mut self, call: &Call) {
        let result = call.text.rsplit("= ").next().unwrap_or_default();
        let done = !result.starts_with('-');
        if call.is(&["setns"]) && done {
            self.crossings += 1;
        } else if call.is(&["socket", "openat"]) && done && self.crossings % 3 == 2 {
            self.open.insert(result.to_owned());
        } else if call.is(&["close"]) {
            self.open.remove(call.first_number());
        }
    }

    /// Reads what was opened there.
    fn hears(&self, call: &Call) -> bool {
        call.is(&["recvfrom", "read"]) && self.open.contains(call.first_number())
    }

    /// Reads that, or Neutron's files, while there is a right to enter another one.
    fn is_read_too_early(&self, call: &Call) -> bool {
        let neutrons = call.path().is_some_and(|path| path.starts_with("/var/lib/neutron"));
        (self.hears(call) || neutrons) && call.permitted.contains("SYS_ADMIN")
    }
}

/// What is wrong: rights in effect that are not for the call, or left while a daemon is listened to or
/// another namespace is read.
fn offences(calls: &[Call]) -> Vec<String> {
    let mut conversations = BTreeSet::new();
    let mut abroad = Abroad::default();
    let mut offences = Vec::new();
    for call in calls {
        let number = call.first_number().to_owned();
        if is_misplaced(call) {
            offences.push(format!("a right in effect that is not for this: {call:?}"));
        }
        abroad.note(call);
        if abroad.is_read_too_early(call) {
            offences.push(format!("read with the right to enter left: {call:?}"));
        }
        let listens = call.is(&["recvfrom", "read", "recvmsg", "recvmmsg", "sendto", "write"]);
        if listens && conversations.contains(&number) && call.permitted != "0" {
            offences.push(format!("listens with a right left: {call:?}"));
        }
        let to_a_daemon = call.text.contains("AF_UNIX") || call.text.contains("sin_port=htons(53)");
        if call.is(&["connect"]) && to_a_daemon && !call.text.contains("= -1 E") {
            conversations.insert(number);
        } else if call.is(&["close"]) {
            conversations.remove(&number);
        }
    }
    offences
}

fn audit(lab: &Lab, capabilities: &str, line: &str) -> Vec<Call> {
    let calls = calls(lab, capabilities, line);
    let offences = offences(&calls);
    assert!(offences.is_empty(), "{line}:\n{}", offences.join("\n"));
    let did = |what: &str| calls.iter().any(|call| call.text.starts_with(what));
    assert!(did("prctl(PR_SET_NO_NEW_PRIVS, 1"), "{line}");
    assert!(did("prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE"), "{line}");
    calls
}

#[test]
fn a_right_is_in_effect_for_its_own_calls_alone_and_gone_when_a_daemon_answers() {
    let manifest = manifest();
    let lab = Lab::up("rights-audit", &[]);
    lab.sh(APART);
    lab.sh("echo nameserver 127.0.0.1 > /run/resolv; mount --bind /run/resolv /etc/resolv.conf");
    let more: &[(&str, &str)] = &[
        ("", "check_ovs_port --all"),
        ("", "check_ovs_port tap-ok --iface-id 1ab00001-01aa-4000-8000-000000000001"),
        ("", "check_vconnector no-such-bridge"),
        ("", "check_link path guests tap-ok"),
        ("", "check_ping -t no-such-name.example -c 1 --timeout 3"),
        ("", "check_instance_vnic cni-apart fa:16:3e:00:00:01 --refresh"),
        ("", "check_vservice router qrouter-empty"),
        ("", "check_vservice dhcp cni-apart --state-path /run/state"),
        ("", "check_instance_vnic qdhcp-empty fa:16:3e:00:00:01 --state-path /run/state"),
    ];
    for (capability, line) in ON_A_SWITCH.iter().chain(more) {
        let [needed, optional] = &manifest[line.split_whitespace().next().expect("a check")];
        let all = [needed.as_slice(), optional].concat().join(",");
        let calls = audit(&lab, &all, line);
        let used = |call: &Call| call.effective.contains(&capability.to_uppercase());
        // What is not seen to be used proves nothing.
        assert!(capability.is_empty() || calls.iter().any(used), "{capability} of {line}");
    }
    // Every further question to Open vSwitch went over the connections that were there.
    let calls = audit(&lab, "cap_dac_override", "check_ovs_port tap-ok");
    let connects = calls.iter().filter(|call| call.is(&["connect"])).count();
    assert_eq!(connects, 2 + netlink(&calls), "the daemon and the database, once each");
}

fn netlink(calls: &[Call]) -> usize {
    let is = |call: &&Call| call.is(&["connect"]) && call.text.contains("AF_NETLINK");
    calls.iter().filter(is).count()
}

#[test]
fn what_packages_set_is_gone_when_another_namespace_is_read() {
    let manifest = manifest();
    let lab = Lab::up("rights-instances", &["--no-ovs", "--bare"]);
    lab.sh(APART);
    for line in [
        "check_instance_vnic cni-apart fa:16:3e:00:00:01",
        "check_instance_vnic qdhcp-empty fa:16:3e:00:00:01 --refresh",
        "check_instance_communications cni-apart,fa:16:3e:00:00:01;qdhcp-empty,fa:16:3e:00:00:02",
    ] {
        let [needed, _] = &manifest[line.split_whitespace().next().expect("a check")];
        let calls = audit(&lab, &needed.join(","), line);
        let mut abroad = Abroad::default();
        let mut heard = 0;
        for call in &calls {
            abroad.note(call);
            if abroad.hears(call) {
                assert_eq!(call.permitted, "0", "{line}: {call:?}");
                heard += 1;
            }
        }
        assert!(heard > 0, "{line}: {calls:?}");
    }
}

#[test]
fn a_second_look_has_the_rights_of_the_first() {
    let lab = Lab::up("rights-sample", &[]);
    let said = lab.check_with("cap_dac_override", "check_ovs_port tap-ok --sample 0.2");
    assert_eq!(said.exit, Some(0), "{said:?}");
    assert!(said.out.contains("_rate="), "{said:?}");
}

// ------------------------------------------------------------------------------- paths of a caller

/// The options of a check that name a place, as its help has them, with a place for each where nobody
/// may look.
fn hostile(lab: &Lab, check: &str) -> Vec<String> {
    let help = lab.check(&format!("{check} --help")).out;
    let candidates = [
        ("--rundir", "--rundir /run/secret"),
        ("--db", "--db unix:/run/secret/db.sock"),
        ("--socket", "--socket /run/secret/db.sock"),
        ("--state-path", "--state-path /run/secret"),
        ("--uri", "--uri qemu+unix:///system?socket=/run/secret/db.sock"),
    ];
    let known = candidates.iter().filter(|(option, _)| help.contains(&format!("{option} <")));
    // A new option that names a place wants a row above.
    let places = ["<DIR>", "<PATH>", "<REMOTE>", "<URI>"];
    let told = places.iter().map(|value| help.matches(value).count()).sum::<usize>();
    assert_eq!(told, known.clone().count(), "{help}");
    known.map(|(_, argument)| (*argument).to_owned()).collect()
}

/// Calls that go as far as opening what they are told to open.
fn call_with(check: &str, argument: &str) -> String {
    let own = match check {
        "check_link" if argument.starts_with("--socket") || argument.starts_with("--uri") => {
            "instance-vnic guest-1 tap-ok"
        }
        "check_link" => "vnic-vedge tap-none br-none",
        "check_ovs_port" => "tap-ok",
        "check_vconnector" if argument.starts_with("--socket") => "--vpp 1",
        "check_vconnector" => "br-none",
        "check_vnic_vconnector" => "br-none fa:16:3e:00:00:01",
        "check_vm" => "guest-1",
        "check_vservice" => "dhcp qdhcp-none",
        "check_instance_vnic" => "qdhcp-none fa:16:3e:00:00:01",
        "check_instance_communications" => "qdhcp-none,fa:16:3e:00:00:01",
        _ => "",
    };
    format!("{check} {own} {argument}")
}

#[test]
fn a_path_of_the_callers_is_opened_with_the_callers_rights() {
    let lab = Lab::up("rights-paths", &["--no-ovs", "--bare"]);
    lab.sh(APART);
    lab.sh("mkdir /run/secret/dhcp; echo 1 > /run/secret/ovs-vswitchd.pid");
    let secret = UnixListener::bind(lab.path_inside("/run/secret/db.sock")).expect("a socket");
    secret.set_nonblocking(true).expect("a socket");
    let all = "cap_dac_override,cap_dac_read_search,cap_net_admin,cap_net_raw,cap_sys_admin,cap_sys_ptrace";
    let mut seen = 0;
    for (check, [needed, optional]) in manifest() {
        for argument in hostile(&lab, &check) {
            // To look twice keeps no right either.
            let once = call_with(&check, &argument);
            for line in [once.clone(), format!("{once} --sample 0.1")] {
                let plain = lab.check_as_nobody(&line);
                // What the manifest does not name is dropped, should somebody set it.
                let own = [needed.as_slice(), &optional].concat().join(",");
                for capabilities in [own.as_str(), all].into_iter().filter(|set| !set.is_empty()) {
                    let said = lab.check_with(capabilities, &line);
                    assert_eq!((said.exit, &said.out), (plain.exit, &plain.out), "{line}");
                    let calls = audit(&lab, capabilities, &line);
                    let touched = |call: &&Call| call.text.contains("/run/secret");
                    let mut touched = calls.iter().filter(touched).filter(|c| !c.is(&["execve"]));
                    if let Some(bad) = touched.find(|call| call.permitted != "0") {
                        panic!("{line}: {bad:?}");
                    }
                    seen += calls.iter().filter(|call| call.text.contains("/run/secret")).count();
                }
            }
        }
    }
    assert!(secret.accept().is_err(), "somebody got in");
    assert!(seen > 50, "they tried: {seen}");
}

// --------------------------------------------------------------------- a daemon that looks at callers

/// What the kernel says of the process at the other end, once it has spoken.
struct Caller {
    pid: i32,
    status: String,
    line: UnixStream,
}

impl Caller {
    fn says(&self, name: &str) -> &str {
        let line = self.status.lines().find_map(|line| line.strip_prefix(name));
        line.expect("a line of its status").trim()
    }

    /// Waits for its first words.
    fn of(listener: &UnixListener) -> Self {
        listener.set_nonblocking(false).expect("a socket");
        let (mut line, _) = listener.accept().expect("a caller");
        let mut heard = [0; 1];
        line.read_exact(&mut heard).expect("its first words");
        let fd = std::os::fd::AsFd::as_fd(&line);
        let peer = nix::sys::socket::getsockopt(&fd, nix::sys::socket::sockopt::PeerCredentials);
        let pid = peer.expect("who it is").pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        assert!(line.as_raw_fd() >= 0);
        Self { pid, status, line }
    }
}

/// A socket of a daemon that only root may connect to.
fn private_socket(lab: &Lab, path: &str) -> UnixListener {
    let inside = lab.path_inside(path);
    std::fs::create_dir_all(inside.parent().expect("a directory"))
        .expect("a directory of the host");
    let listener = UnixListener::bind(&inside).expect("a socket");
    std::fs::set_permissions(&inside, std::fs::Permissions::from_mode(0o750)).expect("our own");
    listener
}

/// Starts a check as nobody from a file with capabilities, or from a plain one.
fn start(lab: &Lab, capabilities: Option<&str>, line: &str) -> Child {
    let path = match capabilities {
        Some(capabilities) => {
            lab.check_with(capabilities, &format!("{} --help", lab.name_of(line)));
            format!("{}-{capabilities}", lab.path(line))
        }
        None => lab.path(line),
    };
    let mut command = lab.inside("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", &path]);
    command.args(line.split_whitespace().skip(1)).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("it starts")
}

trait Named {
    fn name_of(&self, line: &str) -> String;
}

impl Named for Lab {
    fn name_of(&self, line: &str) -> String {
        line.split_whitespace().next().expect("a check").to_owned()
    }
}

const NOTHING: &str = "0000000000000000";

#[test]
fn when_a_daemon_hears_the_first_word_no_right_is_left() {
    let lab = Lab::up("rights-left", &["--no-ovs", "--bare"]);
    let db = private_socket(&lab, "/run/openvswitch/db.sock");
    let manifest = manifest();
    for line in [
        "check_ovs_port tap-ok -t 5",
        "check_vedge_ovs -t 5",
        "check_vconnector br-none -t 5",
        "check_vnic_vconnector br-none fa:16:3e:00:00:01 -t 5",
        "check_link vnic-vedge tap-none br-none -t 5",
        "check_otep -c 1 -w 0.5 --timeout 5",
    ] {
        let [needed, optional] = &manifest[&lab.name_of(line)];
        let all = [needed.as_slice(), optional].concat().join(",");
        let mut child = start(&lab, Some(&all), line);
        let caller = Caller::of(&db);
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(caller.says(set), NOTHING, "{set} {line}");
        }
        assert_eq!(caller.says("NoNewPrivs:"), "1", "{line}");
        assert_eq!(caller.says("Uid:"), "65534\t65534\t65534\t65534");
        // Nobody of the same user looks into it: not by a debugger, nor through /proc.
        let (attached, owner) = (attach(&lab, caller.pid), owner_of(caller.pid));
        assert_eq!((attached.as_str(), owner), ("Operation not permitted", 0), "{line}");
        drop(caller.line);
        child.wait().expect("it ends");
    }
    // The proof proves: a plain copy that anybody may ask is attached to.
    let open = lab.path_inside("/run/openvswitch/db.sock");
    std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o777)).expect("our own");
    let mut child = start(&lab, None, "check_ovs_port tap-ok -t 5");
    let caller = Caller::of(&db);
    assert_eq!((attach(&lab, caller.pid).as_str(), owner_of(caller.pid)), ("", 65534));
    // Attached, it is stopped, and nsenter stops with it.
    child.kill().expect("ours");
    child.wait().expect("it ends");
}

/// What the kernel says to nobody who wants to trace a process; nothing where it agrees.
fn attach(lab: &Lab, pid: i32) -> String {
    const SCRIPT: &str = "$! = 0; syscall(101, 16, 0 + $ARGV[0], 0, 0); print $!;";
    // Numbered as that host does.
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).expect("numbers");
    let inside = numbers.split_whitespace().last().expect("a number");
    let mut command = lab.inside("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    run(command.args(["perl", "-e", SCRIPT, inside])).out
}

fn owner_of(pid: i32) -> u32 {
    std::fs::metadata(format!("/proc/{pid}/mem")).expect("it lives").uid()
}

#[test]
fn a_right_for_open_vswitch_is_lent_to_no_other_daemon() {
    let lab = Lab::up("rights-others", &["--no-ovs", "--bare"]);
    let vpp = private_socket(&lab, "/run/vpp/cli.sock");
    let libvirt = private_socket(&lab, "/run/libvirt/libvirt-sock-ro");
    for (line, capabilities, group, listener) in [
        ("check_vconnector --vpp 1", "cap_dac_override", "vpp", &vpp),
        (
            "check_link instance-vnic guest-1 tap-ok",
            "cap_dac_override,cap_sys_admin,cap_sys_ptrace",
            "libvirt",
            &libvirt,
        ),
    ] {
        let said = lab.check_with(capabilities, line);
        assert!(said.exit == Some(3) || said.exit == Some(2), "{said:?}");
        assert!(said.out.contains("permission denied") && said.out.contains(group), "{said:?}");
        listener.set_nonblocking(true).expect("a socket");
        assert!(listener.accept().is_err(), "{line}");
    }
}

#[test]
fn a_full_queue_is_silence_though_the_right_to_knock_is_gone() {
    let lab = Lab::up("rights-queue", &["--no-ovs", "--bare"]);
    let db = private_socket(&lab, "/run/openvswitch/db.sock");
    let path = lab.path_inside("/run/openvswitch/db.sock");
    // The kernel keeps a queue of 128 for `UnixListener`; who waits longer is told to try again.
    let mut queue = Vec::new();
    loop {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        let address = socket2::SockAddr::unix(&path).expect("a path");
        let full = socket.connect(&address).is_err();
        queue.push(socket);
        if full {
            break;
        }
    }
    let line = "check_ovs_port tap-ok -t 1 --output-format json";
    let said = lab.check_with("cap_dac_override", line);
    assert!(said.codes().contains(&"timeout".to_owned()), "{said:?}");
    assert!(!said.codes().contains(&"forbidden".to_owned()), "{said:?}");
    drop(db);
}

// -------------------------------------------------------------------------------- the environment

#[test]
fn the_callers_environment_is_not_read() {
    let lab = Lab::up("rights-environment", &["--no-ovs", "--bare"]);
    let trap = private_socket(&lab, "/run/trap/db.sock");
    let open = lab.path_inside("/run/trap/db.sock");
    std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o777)).expect("our own");
    trap.set_nonblocking(true).expect("a socket");
    lab.sh("mkdir -m 700 /run/user; chown 65534 /run/user");
    let line = "check_ovs_port tap-ok -t 1 --rates -w rx_errors_rate=1";
    let call = |path: &str| -> Said {
        let mut command = lab.inside("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "env"]);
        command.args(["OVS_RUNDIR=/run/trap", "XDG_RUNTIME_DIR=/run/user", "TZ=:/run/trap/zone"]);
        command.args(["RUST_BACKTRACE=full", "LD_PRELOAD=/run/trap/x.so", "RES_OPTIONS=debug"]);
        run(command.arg(path).args(line.split_whitespace().skip(1)))
    };
    // The trap works.
    call(&lab.path(line));
    assert!(trap.accept().is_ok(), "a plain check goes where its caller says");
    assert_eq!(lab.sh("ls /run/user").trim(), "calipso-checks");
    lab.sh("rm -r /run/user/calipso-checks");

    lab.check_with("cap_dac_override", line);
    let said = call(&format!("{}-cap_dac_override", lab.path(line)));
    assert!(trap.accept().is_err(), "{said:?}");
    assert!(!said.out.contains("/run/trap") && !said.out.contains("/run/user"), "{said:?}");
    assert_eq!(lab.sh("ls /run/user").trim(), "", "{said:?}");
    // The same in what it asks the kernel for.
    let mut command: Command = lab.inside("strace");
    command.args(["-u", "nobody", "-s", "300", "-E", "OVS_RUNDIR=/run/trap"]);
    command.args(["-E", "XDG_RUNTIME_DIR=/run/user", "-E", "TZ=:/run/trap/zone", "--"]);
    command.arg(format!("{}-cap_dac_override", lab.path(line)));
    let said = run(command.args(line.split_whitespace().skip(1)));
    let asked = said.err.lines().filter(|line| !line.starts_with("execve("));
    let told: Vec<&str> =
        asked.filter(|l| l.contains("/run/trap") || l.contains("/run/user")).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_check_that_somebody_ends_leaves_no_core() {
    let lab = Lab::up("rights-core", &["--no-ovs", "--bare"]);
    let db = private_socket(&lab, "/run/openvswitch/db.sock");
    for (capabilities, dumps) in [(Some("cap_dac_override"), false), (None, true)] {
        if dumps {
            let open = lab.path_inside("/run/openvswitch/db.sock");
            std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o777)).expect("ours");
        }
        let mut child = start(&lab, capabilities, "check_ovs_port tap-ok -t 5");
        let caller = Caller::of(&db);
        // What the kernel would write: nothing, or its mappings.
        let filter = std::fs::metadata(format!("/proc/{}/coredump_filter", caller.pid));
        assert_eq!(filter.expect("it lives").uid() == 65534, dumps);
        drop(caller.line);
        child.wait().expect("it ends");
    }
}

#[test]
fn a_right_to_ping_is_none_to_flood() {
    let lab = Lab::up("rights-flood", &["--no-ovs", "--bare"]);
    let said = lab.check_with("cap_net_raw", "check_ping -t 127.0.0.1 -c 500 -i 0.001 -w 1");
    assert_eq!(said.exit, Some(0), "{said:?}");
    assert!(said.took >= Duration::from_millis(2 * 499), "{said:?}");
}

/// A check that hangs is told by its clock, not by this.
#[test]
fn the_deadline_holds_with_file_capabilities() {
    let lab = Lab::up("rights-deadline", &["--no-ovs", "--bare"]);
    let _db = private_socket(&lab, "/run/openvswitch/db.sock");
    let start_of_run = Instant::now();
    let mut child = start(&lab, Some("cap_dac_override"), "check_ovs_port tap-ok -t 1");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert_eq!(child.wait().expect("it ends").code(), Some(2), "{line}");
    assert!(start_of_run.elapsed() < Duration::from_secs(3), "{line}");
}

// -------------------------------------------------------------------------------- what is written

#[test]
fn the_table_of_security_md_is_the_manifests() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md");
    let text = std::fs::read_to_string(file).expect("docs/security.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `check_"));
    let written: BTreeMap<String, Vec<String>> = rows
        .map(|row| {
            let cells: Vec<String> = row.split('|').map(|cell| cell.trim().to_owned()).collect();
            (format!("check_{}", cells[0].trim_end_matches('`')), cells[1..4].to_vec())
        })
        .collect();
    let groups = |check: &str| {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/checks-manifest");
        let entry = std::fs::read_to_string(format!("{dir}/{check}.toml")).expect("an entry");
        let entry: toml::Table = entry.parse().expect("TOML");
        let groups = entry["rights"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().map(|group| group.as_str().expect("a name")).collect::<Vec<_>>().join(", ")
    };
    let known: BTreeMap<String, Vec<String>> = manifest()
        .into_iter()
        .map(|(check, [needed, optional])| {
            let cells = vec![needed.join(", "), optional.join(", "), groups(&check)];
            (check, cells)
        })
        .collect();
    assert_eq!(written, known);
}
