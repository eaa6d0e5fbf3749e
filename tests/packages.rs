//! The packages: what is in them, and what they do to a Debian and to the checks on it. Run by
//! `make test-packages`, which makes the packages and the root they are installed in. Needs root;
//! says so and fails without it.
#![allow(clippy::disallowed_methods, clippy::panic, reason = "tests start programs")]

#[path = "support/replay.rs"]
mod replay;
mod support;

use calipso_checks::manifest::schema::Entry;
use replay::{Manner, Replay, Replies};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use support::{Dir, Lab, Said, run};

const BIN: &str = "/usr/lib/calipso-checks/bin";
const PLUGINS: &str = "/etc/sensu/plugins";
const GROUP: &str = "calipso-checks";

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn entries() -> Vec<Entry> {
    let entry = |name: &String| {
        let path = top().join(format!("checks-manifest/{name}.toml"));
        toml::from_str(&std::fs::read_to_string(path).expect("an entry")).expect("a manifest entry")
    };
    let mut names = support::checks();
    names.sort();
    names.iter().map(entry).collect()
}

/// All programs of this build: the checks of the manifest, and the tools.
fn programs() -> BTreeSet<String> {
    let files = std::fs::read_dir(top().join("src/bin")).expect("src/bin");
    let names = files.map(|file| file.expect("a file").path());
    names
        .map(|path| path.file_stem().expect("a name").to_str().expect("ASCII").to_owned())
        .collect()
}

/// The one file of dist/packages (or another directory) that ends in this.
fn package(dir: &Path, ending: &str) -> PathBuf {
    let files = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths = files.map(|file| file.expect("a file").path());
    let found = paths.find(|path| path.to_str().is_some_and(|path| path.ends_with(ending)));
    found.unwrap_or_else(|| panic!("no {ending} in {}: run `make packages`", dir.display()))
}

fn built(ending: &str) -> PathBuf {
    package(&top().join("dist/packages"), ending)
}

/// What a command says; it must succeed.
fn says(command: &mut Command) -> String {
    let said = run(command);
    assert_eq!(said.exit, Some(0), "{command:?}: {said:?}");
    said.out
}

/// The packages again, quickly compressed.
fn build(out: &Path, environment: &[(&str, &str)]) {
    let mut command = Command::new(top().join("packaging/build"));
    command.args(["dist/bin", "dist/pages"]).arg(out).current_dir(top()).env("LEVEL", "1");
    says(command.envs(environment.iter().copied()));
}

/// The next revision of the packages, for upgrades; a static is never dropped, so cargo has its place.
fn next() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("next-packages");
        std::fs::remove_dir_all(&dir).ok();
        build(&dir, &[("REVISION", "2")]);
        dir
    })
}

// ------------------------------------------------------------------------- what is in them

/// Paths, without directories, and what links lead to.
fn members(list: &str) -> BTreeMap<String, String> {
    let lines = list.lines().filter(|line| !line.starts_with('d'));
    let pairs = lines.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| word.starts_with(['.', '/'])).unwrap_or(5);
        let to = words.get(at + 2).copied().unwrap_or_default();
        (words[at].trim_start_matches('.').to_owned(), to.to_owned())
    });
    pairs.collect()
}

fn in_tar(path: &Path) -> BTreeMap<String, String> {
    members(&says(Command::new("tar").arg("-tvzf").arg(path)))
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn packages_and_manifest_name_the_same_programs() {
    let deb = members(&says(Command::new("dpkg-deb").arg("-c").arg(built(".deb"))));
    let rpm =
        members(&says(Command::new("rpm").args(["-qlvp", "--nosignature"]).arg(built(".rpm"))));
    for (kind, list, nagios, zsh) in [
        ("deb", &deb, "/usr/lib/nagios/plugins", "vendor-completions"),
        ("rpm", &rpm, "/usr/lib64/nagios/plugins", "site-functions"),
    ] {
        let below = |dir: &str| -> BTreeSet<String> {
            let dir = format!("{dir}/");
            list.keys().filter_map(|path| path.strip_prefix(&dir)).map(str::to_owned).collect()
        };
        let names =
            |ending: &str| programs().iter().map(|name| format!("{name}{ending}")).collect();
        let checks: BTreeSet<String> = support::checks().into_iter().collect();
        assert_eq!(below(BIN), programs(), "{kind}");
        assert_eq!(below("/usr/share/bash-completion/completions"), programs(), "{kind}");
        let fish: BTreeSet<String> = names(".fish");
        assert_eq!(below("/usr/share/fish/vendor_completions.d"), fish, "{kind}");
        let underlined = programs().iter().map(|name| format!("_{name}")).collect();
        assert_eq!(below(&format!("/usr/share/zsh/{zsh}")), underlined, "{kind}");
        let pages: BTreeSet<String> = names(".1.gz");
        assert!(below("/usr/share/man/man1").is_superset(&pages), "{kind}");
        let manifest = checks.iter().map(|name| format!("{name}.toml")).collect();
        assert_eq!(below("/usr/share/calipso-checks/manifest"), manifest, "{kind}");
        // Where monitoring-plugins has the name, ours is another.
        let plugins = checks.iter().map(|name| name.replace("check_ping", "check_calipso_ping"));
        assert_eq!(below(nagios), plugins.collect(), "{kind}");
        let tools = programs().difference(&checks).cloned().collect();
        assert_eq!(below("/usr/bin"), tools, "{kind}");
        // Links below /etc would be conffiles.
        let etc: Vec<_> = list.keys().filter(|path| path.starts_with("/etc")).collect();
        assert_eq!(etc, ["/etc/calipso-checks/manifest.d/README"], "{kind}");
        for (link, to) in list.iter().filter(|(_, to)| !to.is_empty()) {
            let dir = Path::new(link).parent().expect("a directory");
            let steps = to.split('/').fold(dir.to_owned(), |at, step| match step {
                ".." => at.parent().expect("not above the root").to_owned(),
                step => at.join(step),
            });
            assert!(list.contains_key(steps.to_str().expect("ASCII")), "{kind}: {link} -> {to}");
        }
    }
    let asset: BTreeSet<String> =
        in_tar(&built("_linux_amd64.tar.gz")).into_keys().filter_map(in_bin).collect();
    assert_eq!(asset, programs(), "asset");
    let plain: BTreeSet<String> =
        in_tar(&built("-linux-amd64.tar.gz")).into_keys().filter_map(in_bin).collect();
    let mut wanted = programs();
    wanted.extend(links().into_keys());
    assert_eq!(plain, wanted, "tarball");
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn the_help_of_every_program_fits_a_screen() {
    for program in programs() {
        let help = run(Command::new(top().join("dist/bin").join(&program)).arg("--help")).out;
        let widest = help.lines().map(str::len).max();
        assert!(help.lines().count() <= 60, "{program}: {} lines", help.lines().count());
        assert!(widest <= Some(100) && help.contains("Usage: "), "{program}: {widest:?} columns");
    }
}

fn in_bin(path: String) -> Option<String> {
    path.split_once("bin/").map(|(_, name)| name.to_owned())
}

/// The links of Sensu's plugin directory, and their binaries.
fn links() -> BTreeMap<String, String> {
    let mut links = BTreeMap::new();
    for entry in entries() {
        let old = entry.old_names.into_iter();
        for link in old.chain([entry.name.clone(), format!("{}.py", entry.name)]) {
            links.insert(link, entry.name.clone());
        }
    }
    links
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn lintian_and_rpmlint_find_no_error_and_the_deb_is_small() {
    const MOST: u64 = 12 << 20;
    let deb = built(".deb");
    assert!(std::fs::metadata(&deb).expect("it is there").len() < MOST, "{}", deb.display());
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on=error", "--no-tag-display-limit"]).arg(&deb);
    let said = run(&mut lintian);
    assert!(said.exit == Some(0) && !said.out.contains("unused-override"), "{said:?}");
    let mut rpmlint = Command::new("rpmlint");
    rpmlint.args(["-c", "packaging/files/rpmlint.toml"]).arg(built(".rpm")).current_dir(top());
    let said = run(&mut rpmlint);
    assert!(said.exit == Some(0) && said.out.contains(" 0 errors"), "{said:?}");
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn the_same_commit_gives_the_same_bytes() {
    let (one, other) = (Dir::new("one"), Dir::new("other"));
    build(&one.0, &[]);
    let odd = Dir::new("odd");
    let tmp = odd.0.to_str().expect("ASCII");
    build(&other.0, &[("TZ", "Asia/Tokyo"), ("LC_ALL", "C.UTF-8"), ("TMPDIR", tmp), ("HOME", tmp)]);
    let mut names: Vec<_> = std::fs::read_dir(&one.0).expect("ours").flatten().collect();
    names.sort_by_key(std::fs::DirEntry::file_name);
    assert_eq!(names.len(), 7, "{names:?}");
    for file in names {
        let same =
            std::fs::read(file.path()).ok() == std::fs::read(other.0.join(file.file_name())).ok();
        assert!(same, "{file:?}");
    }
}

/// Programs that say they are for arm64: what a cross compiler would leave.
#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn an_architecture_is_that_of_its_binaries() {
    let (out, foreign) = (Dir::new("arm64"), Dir::new("arm64-bin"));
    let mut command = Command::new(top().join("packaging/build"));
    command.args(["dist/bin", "dist/pages"]).arg(&out.0).current_dir(top()).env("ARCH", "arm64");
    let said = run(&mut command);
    assert!(said.exit == Some(1) && said.err.contains("is not for arm64"), "{said:?}");
    for name in ["calipso-provision", "check_ping"] {
        let mut bytes = std::fs::read(top().join("dist/bin").join(name)).expect("a program");
        // e_machine of the ELF header: EM_AARCH64.
        bytes[18..20].copy_from_slice(&[0xb7, 0]);
        std::fs::write(foreign.0.join(name), bytes).expect("ours");
    }
    let mut command = Command::new(top().join("packaging/build"));
    command.arg(&foreign.0).arg("dist/pages").arg(&out.0).current_dir(top());
    says(command.envs([("ARCH", "arm64"), ("LEVEL", "1")]));
    let deb = package(&out.0, "_arm64.deb");
    assert_eq!(says(Command::new("dpkg-deb").arg("-f").arg(deb).arg("Architecture")), "arm64\n");
    let rpm = package(&out.0, ".aarch64.rpm");
    let query = ["-qp", "--nosignature", "--qf", "%{ARCH}"];
    assert_eq!(says(Command::new("rpm").args(query).arg(rpm)), "aarch64");
    let asset = std::fs::read_to_string(package(&out.0, "_arm64.asset.yml")).expect("YAML");
    assert!(asset.contains("entity.system.arch == 'arm64'"), "{asset}");
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn examples_are_what_their_readers_read() {
    let examples = top().join("dist/pages/usr/share/doc/calipso-checks/examples");
    says(Command::new("visudo").arg("-cf").arg(examples.join("sudoers")));
    let sudoers = std::fs::read_to_string(examples.join("sudoers")).expect("sudoers");
    let rules = sudoers.lines().filter(|line| !line.starts_with('#'));
    for rule in rules {
        assert!(!rule.contains('*') && !rule.ends_with("ALL"), "{rule}");
        assert!(rule.split(' ').count() > 4, "without arguments any are allowed: {rule}");
    }
    let core = std::fs::read_to_string(examples.join("sensu-core.json")).expect("JSON");
    let core: serde_json::Value = serde_json::from_str(&core).expect("JSON");
    let go = std::fs::read_to_string(examples.join("sensu-go.yaml")).expect("YAML");
    let go: Vec<serde_json::Value> = serde_norway::Deserializer::from_str(&go)
        .map(|document| serde::Deserialize::deserialize(document).expect("YAML"))
        .collect();
    let asset: serde_json::Value =
        serde_norway::from_str(&std::fs::read_to_string(built(".asset.yml")).expect("YAML"))
            .expect("YAML");
    assert_eq!(go.len(), entries().len());
    for (entry, check) in entries().iter().zip(&go) {
        assert_eq!(check["metadata"]["name"], entry.name.as_str());
        assert_eq!(check["spec"]["runtime_assets"][0], asset["metadata"]["name"]);
        assert_eq!(core["checks"][&entry.name]["timeout"], entry.schedule.timeout);
    }
    let tar = built("_linux_amd64.tar.gz");
    let sum = says(Command::new("sha512sum").arg(&tar));
    let sum = sum.split(' ').next().expect("a sum");
    assert_eq!(asset["spec"]["builds"][0]["sha512"], sum);
    let sums = std::fs::read_to_string(built("sha512-checksums.txt")).expect("sums");
    let name = tar.file_name().expect("a name").to_str().expect("ASCII");
    assert!(sums.lines().any(|line| line == format!("{sum}  {name}")), "{sums}");
}

// ------------------------------------------------------------------------------- a machine

/// A Debian over a host of the lab: it sees that host's /run, /proc and devices, and what is
/// installed in it is gone with it.
struct Machine {
    lab: Lab,
    root: String,
}

impl Machine {
    fn up(name: &str, options: &[&str]) -> Self {
        let base = top().join("target/debian-root");
        assert!(base.join("etc/passwd").exists(), "no root: run tests/packages/root");
        let lab = Lab::up(name, options);
        let root = lab.path("root");
        let machine = Self { lab, root };
        machine.lab.sh(&format!(
            "mkdir -p {0} {0}.layers; mount -t tmpfs tmpfs {0}.layers; mkdir {0}.layers/upper {0}.layers/work
             mount -t overlay overlay -o lowerdir={1},upperdir={0}.layers/upper,workdir={0}.layers/work {0}
             for dir in proc sys dev run; do mount --rbind /$dir {0}/$dir; done
             mkdir -p {0}/var/lib/neutron
             [ ! -d /var/lib/neutron ] || mount --bind /var/lib/neutron {0}/var/lib/neutron
             mkdir -p /run/calipso-packages; chmod 755 {0}",
            machine.root,
            base.display()
        ));
        machine.sh("useradd --system --user-group sensu; groupadd --system vpp");
        machine
    }

    /// With the deb installed.
    fn with_deb(name: &str, options: &[&str]) -> Self {
        let machine = Self::up(name, options);
        machine.install(&built(".deb"));
        machine
    }

    /// Puts a package there and has dpkg or rpm install it; what that said.
    fn install(&self, path: &Path) -> String {
        let name = path.file_name().expect("a name").to_str().expect("ASCII");
        let there = self.lab.path_inside(&format!("/run/calipso-packages/{name}"));
        std::fs::copy(path, there).expect("a copy inside");
        let package = format!("/run/calipso-packages/{name}");
        let said = match name.ends_with(".deb") {
            true => run(self.command("dpkg").arg("-i").arg(package)),
            false => run(self
                .rpm(&["-U", "--nodeps", "--nosignature"])
                .arg(format!("/run/calipso-packages/{name}"))),
        };
        assert_eq!(said.exit, Some(0), "{said:?}");
        said.out + &said.err
    }

    /// rpm of the build machine, on this machine's root.
    fn rpm(&self, args: &[&str]) -> Command {
        let mut command = self.lab.inside("rpm");
        command.args(["--root", &self.root]).args(args);
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.lab.inside("chroot");
        command.arg(&self.root).arg(program);
        command
    }

    fn sh(&self, line: &str) -> String {
        says(self.command("sh").args(["-ec", line]))
    }

    /// A command line as this user, with the groups it has. setpriv itself still has root's
    /// capabilities when it executes a file, and none is forbidden to it: env has not.
    fn as_user(&self, user: &str, line: &str) -> Said {
        let mut command = self.command("setpriv");
        command.args(["--reuid", user, "--regid", user, "--init-groups", "--", "env"]);
        run(command.args(line.split_whitespace()))
    }

    fn as_root(&self, line: &str) -> Said {
        let mut words = line.split_whitespace();
        run(self.command(words.next().expect("a program")).args(words))
    }

    /// All that there is, with modes, owners, what links lead to and what groups hold; without what
    /// dpkg and rpm keep for themselves.
    fn everything(&self) -> BTreeSet<String> {
        let list = self.sh(
            "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
                -o -path /var/lib/dpkg -o -path /var/lib/rpm -o -path /usr/lib/sysimage \
                -o -path /var/log -o -path /var/cache -o -name '.wh.*' \\) -prune \
             -o ! -name 'group-' ! -name 'gshadow-' ! -name 'passwd-' ! -name .pwd.lock \
                -printf '%p %M %U:%G %l\\n'; cat /etc/group /etc/passwd; ls -d /run/calipso-checks || true",
        );
        list.lines().map(str::to_owned).collect()
    }

    /// `getcap`, by binary.
    fn capabilities(&self) -> BTreeMap<String, String> {
        let list = self.sh(&format!("getcap -r {BIN}"));
        let pairs = list.lines().map(|line| {
            let (path, capabilities) = line.split_once(' ').expect("a path and capabilities");
            (path.rsplit('/').next().expect("a name").to_owned(), capabilities.to_owned())
        });
        pairs.collect()
    }
}

/// Each binary has the capabilities of its entry and no other; strong ones are for the group alone.
fn assert_rights(machine: &Machine) {
    let mut there = machine.capabilities();
    let modes = machine.sh(&format!("cd {BIN}; stat -c '%n %a %U:%G' *"));
    for entry in entries() {
        let mut wanted = entry.rights.capabilities.clone();
        wanted.sort();
        let found = there.remove(&entry.name).unwrap_or_default();
        let mut found: Vec<_> = found.trim_end_matches("=ep").split(',').collect();
        found.retain(|name| !name.is_empty());
        found.sort_unstable();
        assert_eq!(found, wanted, "{}", entry.name);
        let strong = wanted.iter().any(|name| name != "cap_net_raw");
        let mode = if strong { format!("750 root:{GROUP}") } else { "755 root:root".to_owned() };
        assert!(modes.contains(&format!("{} {mode}\n", entry.name)), "{}: {modes}", entry.name);
    }
    assert!(there.is_empty(), "{there:?}");
}

fn assert_links(machine: &Machine) {
    let there =
        machine.sh(&format!("cd {PLUGINS}; for l in *; do echo \"$l $(readlink $l)\"; done"));
    let there: BTreeMap<_, _> = there.lines().filter_map(|line| line.split_once(' ')).collect();
    let wanted: BTreeMap<_, _> =
        links().into_iter().map(|(link, name)| (link, format!("{BIN}/{name}"))).collect();
    assert_eq!(there.len(), wanted.len());
    for (link, to) in wanted {
        assert_eq!(there.get(link.as_str()), Some(&to.as_str()), "{link}");
    }
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn a_deb_comes_is_upgraded_and_goes_without_a_trace() {
    let machine = Machine::up("deb-life", &["--no-ovs", "--bare"]);
    life(&machine, ".deb", &|machine| {
        machine.sh("dpkg --remove calipso-checks");
        let left = machine.sh("find /etc/calipso-checks -type f");
        assert_eq!(left.lines().count(), 2, "remove keeps configuration: {left}");
        machine.sh("dpkg --purge calipso-checks");
    });
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn an_rpm_comes_is_upgraded_and_goes_without_a_trace() {
    let machine = Machine::up("rpm-life", &["--no-ovs", "--bare"]);
    says(&mut machine.rpm(&["--initdb"]));
    // Of the package `filesystem` everywhere.
    machine.sh("mkdir -p /usr/share/licenses");
    life(&machine, ".rpm", &|machine| {
        says(&mut machine.rpm(&["-V", "--nodeps", "calipso-checks"]));
        says(&mut machine.rpm(&["-e", "calipso-checks"]));
        // rpm knows no purge: what an operator wrote stays.
        machine.sh("rm /etc/calipso-checks/manifest.d/site.toml; rmdir -p /etc/calipso-checks/manifest.d || true");
    });
}

fn life(machine: &Machine, kind: &str, remove: &dyn Fn(&Machine)) {
    let before = machine.everything();
    let said = machine.install(&built(kind));
    assert!(said.contains("user sensu is in group vpp now"), "{said}");
    assert_rights(machine);
    assert_links(machine);
    assert_eq!(machine.sh("stat -c '%a %U' /run/calipso-checks").trim(), "1777 root");
    let groups = machine.sh("id -nG sensu");
    assert_eq!(groups.split_whitespace().collect::<Vec<_>>(), ["sensu", "vpp", GROUP]);
    // A reading of sensu's, and what an operator says otherwise.
    machine.sh("printf 'name = \"check_vm\"\\nsentence = \"Ours\"\\n' \
                > /etc/calipso-checks/manifest.d/site.toml");
    let kept = machine.as_user("sensu", &format!("{PLUGINS}/check_pnic_ovs.py lo --rates"));
    assert_eq!(kept.exit, Some(0), "{kept:?}");
    let reading = machine.sh("ls /run/calipso-checks/*/check_pnic_ovs-*");
    assert_eq!(reading.lines().count(), 1, "{reading}");

    machine.install(&package(next(), kind));
    assert_rights(machine);
    assert_links(machine);
    assert_eq!(machine.sh("ls /run/calipso-checks/*/check_pnic_ovs-*"), reading);
    let listed = machine.sh("calipso-provision manifest");
    assert!(listed.contains("check_vm\tinstance\tOurs\n"), "the override holds: {listed}");

    remove(machine);
    let after = machine.everything();
    let left: Vec<_> = after.difference(&before).collect();
    let lost: Vec<_> = before.difference(&after).collect();
    assert!(left.is_empty() && lost.is_empty(), "left {left:#?}, lost {lost:#?}");
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn plugins_of_others_stay_until_they_are_replaced_and_come_back() {
    let machine = Machine::up("strangers", &["--no-ovs", "--bare"]);
    machine.sh(&format!(
        "mkdir -p {PLUGINS}; echo original > {PLUGINS}/check_ping.py; echo mine > {PLUGINS}/mine"
    ));
    let said = machine.install(&built(".deb"));
    assert!(said.contains("these are not ours and stay: check_ping.py\n"), "{said}");
    assert_eq!(machine.sh(&format!("cat {PLUGINS}/check_ping.py")), "original\n");
    machine.sh("/usr/lib/calipso-checks/setup replace");
    let to = machine.sh(&format!("readlink {PLUGINS}/check_ping.py"));
    assert_eq!(to.trim(), format!("{BIN}/check_ping"));
    machine.sh("dpkg --purge calipso-checks");
    assert_eq!(
        machine.sh(&format!("cd {PLUGINS}; ls; cat *")),
        "check_ping.py\nmine\noriginal\nmine\n"
    );
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn a_file_system_without_capabilities_is_told_and_an_override_is_kept() {
    let machine = Machine::up("ramfs", &["--no-ovs", "--bare"]);
    machine.sh(&format!("mkdir -p {BIN}; mount -t ramfs ramfs {BIN}"));
    let said = machine.install(&built(".deb"));
    assert!(said.contains("keeps no file capabilities") && said.contains(" check_ping"), "{said}");
    assert!(machine.capabilities().is_empty());
    let alone = machine.as_user("sensu", &format!("{BIN}/check_ping -t 127.0.0.1 -c 1"));
    assert_eq!(alone.exit, Some(3), "{alone:?}");

    let machine = Machine::up("nosuid", &["--no-ovs", "--bare"]);
    machine.sh(&format!("mkdir -p {BIN}; mount -t tmpfs -o nosuid tmpfs {BIN}"));
    let said = machine.install(&built(".deb"));
    assert!(said.contains(&format!("{BIN} is mounted nosuid")), "{said}");

    let machine = Machine::up("statoverride", &["--no-ovs", "--bare"]);
    machine.sh(&format!("dpkg-statoverride --add root sensu 4710 {BIN}/check_vservice"));
    machine.install(&built(".deb"));
    let mode = machine.sh(&format!("stat -c '%a %G' {BIN}/check_vservice"));
    assert_eq!(mode.trim(), "4710 sensu");
}

// ------------------------------------------------------------------- what the checks then say

/// One call of every check, some of more than one thing.
const ON_A_COMPUTE_NODE: &[&str] = &[
    "check_vedge_ovs",
    "check_ovs_port tap2ab-02 tap3ab-03",
    "check_ovs_port no-such-port",
    "check_otep -c 1",
    "check_ping -t 127.0.0.1 -c 1",
    "check_vconnector br-int",
    "check_vconnector brq5",
    "check_vnic_vconnector br-int fa:16:3e:00:00:02",
    "check_pnic_ovs eth1",
    "check_vservice dhcp qdhcp-1",
    "check_instance_vnic qdhcp-1 fa:16:3e:00:00:01",
    "check_instance_communications qdhcp-1,fa:16:3e:00:00:01",
    "check_link vnic-vedge tap2ab-02 br-int",
    "check_link vservice-vnic qdhcp-1 tap3ab-03",
    "check_link path tap1ab-01 eth1",
    "check_vm instance-00000001 --uri test:///run/node.xml",
    "check_vedge_vpp",
    "check_pnic_vpp",
    "check_vnic_vpp",
    "check_vconnector --vpp 13",
];

/// A VPP that answers what a real one answered, on a socket of its group as VPP makes it.
fn vpp(machine: &Machine) -> Replay {
    machine.sh("mkdir -p /run/vpp");
    let socket = machine.lab.path_inside("/run/vpp/cli.sock");
    let replay = Replay::up(socket, Replies::captured("25.10-healthy"), Manner::Prompt);
    machine.sh("chown root:vpp /run/vpp/cli.sock; chmod 660 /run/vpp/cli.sock");
    replay
}

fn said_in_json(said: &Said) -> (Option<i32>, Vec<String>) {
    (said.exit, said.codes())
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn user_sensu_is_told_what_root_is_told() {
    let machine = Machine::with_deb("as-sensu", &["links"]);
    let _vpp = vpp(&machine);
    let named: BTreeSet<&str> =
        ON_A_COMPUTE_NODE.iter().filter_map(|line| line.split(' ').next()).collect();
    let checks = support::checks();
    assert_eq!(named, checks.iter().map(String::as_str).collect(), "every check is asked");
    let mut healthy = 0;
    for line in ON_A_COMPUTE_NODE {
        let line = format!("{BIN}/{line} --output-format json");
        let root = machine.as_root(&line);
        let sensu = machine.as_user("sensu", &line);
        assert_eq!(said_in_json(&sensu), said_in_json(&root), "{line}: {sensu:?} {root:?}");
        assert!(!root.codes().contains(&"usage".to_owned()), "{line}: {root:?}");
        healthy += usize::from(root.exit == Some(0));
    }
    assert!(healthy > 10, "most of them are well: {healthy}");

    let services = Machine::with_deb("as-sensu-services", &["--no-ovs", "vservices"]);
    for n in 1..=13 {
        let net = format!("dhcp qdhcp-1abd{n:04}-0000-4000-8000-000000000001 --interfaces");
        let line = format!("{BIN}/check_vservice {net} --output-format json");
        let (root, sensu) = (services.as_root(&line), services.as_user("sensu", &line));
        assert_eq!(said_in_json(&sensu), said_in_json(&root), "{line}: {sensu:?} {root:?}");
    }
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn a_capability_that_is_missing_is_unknown_and_named() {
    // Check, what it misses, and what must be named.
    let table = [
        ("check_vedge_ovs", "cap_dac_override"),
        ("check_ovs_port tap2ab-02", "cap_dac_override"),
        ("check_otep -c 1 --remote 192.0.2.12", "cap_dac_override"),
        ("check_otep -c 1 --remote 192.0.2.12", "cap_net_raw"),
        ("check_ping -t 127.0.0.1 -c 1", "cap_net_raw"),
        ("check_vconnector br-int", "cap_dac_override"),
        ("check_vnic_vconnector br-int fa:16:3e:00:00:02", "cap_dac_override"),
        ("check_instance_vnic qdhcp-1 fa:16:3e:00:00:01", "cap_sys_admin"),
        ("check_instance_communications qdhcp-1,fa:16:3e:00:00:01", "cap_sys_admin"),
        ("check_link vnic-vedge tap2ab-02 br-int", "cap_dac_override"),
        ("check_link vservice-vnic qdhcp-1 tap3ab-03", "cap_sys_admin"),
        ("check_vservice dhcp qdhcp-1", "cap_sys_ptrace"),
    ];
    let machine = Machine::with_deb("missing", &["links"]);
    for (line, missing) in table {
        let name = line.split(' ').next().expect("a check");
        let all = entries().into_iter().find(|entry| entry.name == name).expect("an entry");
        let rest: Vec<_> =
            all.rights.capabilities.iter().filter(|name| *name != missing).cloned().collect();
        assert!(rest.len() < all.rights.capabilities.len(), "{line}: {missing}");
        let set = |capabilities: &[String]| match capabilities {
            [] => machine.sh(&format!("setcap -r {BIN}/{name}")),
            some => machine.sh(&format!("setcap {}+ep {BIN}/{name}", some.join(","))),
        };
        set(&rest);
        let said = machine.as_user("sensu", &format!("{BIN}/{line} --output-format json"));
        set(&all.rights.capabilities);
        assert!(
            said.exit == Some(3) && said.codes().contains(&"forbidden".into()),
            "{line} without {missing}: {said:?}"
        );
        assert!(said.out.contains(missing), "{line} without {missing}: {said:?}");
    }
    // What was copied has none at all.
    for (line, _) in table {
        let name = line.split(' ').next().expect("a check");
        machine.sh(&format!(
            "mkdir -p /home/sensu; cp {BIN}/{name} /home/sensu/; chmod 755 /home/sensu/{name}"
        ));
        let said = machine.as_user("sensu", &format!("/home/sensu/{line} --output-format json"));
        assert!(
            said.exit == Some(3) && said.codes().contains(&"forbidden".into()),
            "copied {line}: {said:?}"
        );
    }
    // Who is not in the group may not run what is strong.
    machine.sh("useradd --system --user-group stranger");
    let stranger = machine.as_user("stranger", &format!("{BIN}/check_vedge_ovs"));
    assert!(stranger.exit == Some(126) && stranger.out.is_empty(), "{stranger:?}");
    // All that packages set was taken away once. check_vservice sees the near ends of interfaces
    // without cap_sys_admin, which is no lack of rights.
    let missed: BTreeSet<_> = table
        .iter()
        .map(|(line, missing)| (line.split(' ').next().expect("a check"), *missing))
        .collect();
    for entry in entries() {
        for capability in &entry.rights.capabilities {
            let told = missed.contains(&(entry.name.as_str(), capability.as_str()));
            let spared = entry.name == "check_vservice" && capability == "cap_sys_admin";
            assert!(told || spared, "{} without {capability} is not tested", entry.name);
        }
    }
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn what_the_tarball_brings_gets_its_rights_by_hand() {
    let machine = Machine::up("tarball", &["--no-ovs", "--bare"]);
    let tar = built("-linux-amd64.tar.gz");
    let to = format!("{}/opt", machine.root);
    machine.lab.sh(&format!("tar --strip-components=1 -xzf {} -C {to}", tar.display()));
    let said = machine.as_user("sensu", "/opt/bin/check_ping.py -t 127.0.0.1 -c 1");
    assert_eq!(said.exit, Some(3), "{said:?}");
    machine.sh("/opt/setup rights /opt/bin; usermod -aG calipso-checks sensu");
    let given = machine.sh("getcap -r /opt/bin");
    let wanted = entries().iter().filter(|entry| !entry.rights.capabilities.is_empty()).count();
    assert_eq!(given.lines().count(), wanted, "{given}");
    let said = machine.as_user("sensu", "/opt/bin/check_ping.py -t 127.0.0.1 -c 1");
    assert_eq!(said.exit, Some(0), "{said:?}");
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn an_asset_works_below_a_checksum_with_groups_and_ambient_capabilities() {
    let machine = Machine::up("asset", &["links"]);
    machine.sh("groupadd -f vpp; usermod -aG vpp sensu");
    let _vpp = vpp(&machine);
    let cache = format!("{}/opt/cache/{}", machine.root, "0123456789abcdef".repeat(8));
    let tar = built("_linux_amd64.tar.gz");
    machine.lab.sh(&format!(
        "mkdir -p {cache}; tar -xzf {} -C {cache}; chown -R 999:999 {cache}",
        tar.display()
    ));
    let bin = format!("/opt/cache/{}/bin", "0123456789abcdef".repeat(8));
    // Groups alone.
    for line in [
        "check_vedge_vpp",
        "check_pnic_vpp GigabitEthernet0/8/0",
        "check_pnic_ovs eth1",
        "check_vm instance-00000001 --uri test:///run/node.xml",
    ] {
        let said = machine.as_user("sensu", &format!("{bin}/{line}"));
        assert!(said.exit.is_some_and(|exit| exit < 2), "{line}: {said:?}");
    }
    let said = machine.as_user("sensu", &format!("{bin}/check_vedge_ovs"));
    assert_eq!(said.exit, Some(3), "{said:?}");
    // What the drop-in gives.
    let example = "dist/pages/usr/share/doc/calipso-checks/examples/sensu-agent.service.d/calipso-checks.conf";
    let drop_in = std::fs::read_to_string(top().join(example)).expect("the drop-in");
    let line = drop_in.lines().find_map(|line| line.strip_prefix("AmbientCapabilities="));
    let names = line.expect("the line").to_lowercase();
    let set: Vec<String> =
        names.split(' ').map(|name| format!("+{}", name.trim_start_matches("cap_"))).collect();
    let set = set.join(",");
    for line in [
        "check_vedge_ovs",
        "check_link vservice-vnic qdhcp-1 tap3ab-03",
        "check_ping -t 127.0.0.1 -c 1",
    ] {
        let mut command = machine.command("setpriv");
        command.args(["--reuid=sensu", "--regid=sensu", "--init-groups"]);
        command.arg(format!("--inh-caps={set}")).arg(format!("--ambient-caps={set}")).arg("--");
        let said = run(command.args(format!("{bin}/{line}").split_whitespace()));
        assert_eq!(said.exit, Some(0), "{line}: {said:?}");
    }
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn nrpe_runs_a_check_and_hands_its_perfdata_on() {
    let machine = Machine::with_deb("nrpe", &["switch"]);
    machine.sh("usermod -aG calipso-checks nagios");
    machine.sh("mkdir -p /run/nrpe; chown nagios /run/nrpe
         printf '%s\\n' pid_file=/run/nrpe/pid server_port=5666 nrpe_user=nagios nrpe_group=nagios \
             allowed_hosts=127.0.0.1 command_timeout=10 \
             include=/usr/share/doc/calipso-checks/examples/nrpe.cfg > /run/nrpe/nrpe.cfg
         nrpe -c /run/nrpe/nrpe.cfg -d < /dev/null > /dev/null 2>&1");
    let ask = |check: &str| {
        let start = std::time::Instant::now();
        loop {
            let line = format!("/usr/lib/nagios/plugins/check_nrpe -H 127.0.0.1 -c {check}");
            let said = machine.as_user("stranger", &line);
            let refused = said.out.contains("refused") || said.err.contains("refused");
            if !refused || start.elapsed().as_secs() > 10 {
                return said;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    machine.sh("useradd --system --user-group stranger");
    let ping = ask("check_ping");
    assert!(ping.exit == Some(0) && ping.out.starts_with("CheckPing OK: "), "{ping:?}");
    assert!(ping.out.contains("|") && ping.out.contains("rtt_avg="), "{ping:?}");
    let vedge = ask("check_vedge_ovs");
    assert!(vedge.exit == Some(0) && vedge.out.contains("ovs-vswitchd.memory="), "{vedge:?}");
    let port = ask("check_ovs_port");
    assert_eq!(port.exit, Some(2), "{port:?}");
}

#[test]
#[ignore = "needs `make packages`; see make test-packages"]
fn icinga_2_runs_a_check_and_stores_its_perfdata() {
    let machine = Machine::with_deb("icinga", &["switch"]);
    machine.sh(
        "usermod -aG calipso-checks nagios
         mkdir -p /run/icinga2 /run/perfdata; chown nagios /run/icinga2 /run/perfdata
         cat > /run/perfdata/icinga2.conf <<END
include <itl>
include \"/usr/share/doc/calipso-checks/examples/icinga2.conf\"
object CheckerComponent \"checker\" {}
object PerfdataWriter \"perfdata\" {
  host_perfdata_path = \"/run/perfdata/host\"
  service_perfdata_path = \"/run/perfdata/service\"
  host_temp_path = \"/run/perfdata/host.tmp\"
  service_temp_path = \"/run/perfdata/service.tmp\"
  rotation_interval = 1s
}
object Host \"node\" { check_command = \"dummy\" }
template Service \"calipso\" { host_name = \"node\"; check_interval = 1s; retry_interval = 1s }
object Service \"ping\" {
  import \"calipso\"
  check_command = \"calipso_check_ping\"
  vars.calipso_args = [ \"-t\", \"127.0.0.1\", \"-c\", \"1\" ]
}
object Service \"vedge\" { import \"calipso\"; check_command = \"calipso_check_vedge_ovs\" }
END
         icinga2 daemon -C -c /run/perfdata/icinga2.conf > /run/perfdata/validated 2>&1
         icinga2 daemon -c /run/perfdata/icinga2.conf -D DataDir=/run/perfdata > /run/perfdata/log 2>&1 < /dev/null &",
    );
    let start = std::time::Instant::now();
    for wanted in ["rtt_avg=", "ovs-vswitchd.memory="] {
        while !machine.sh("cat /run/perfdata/service* 2> /dev/null || true").contains(wanted) {
            let log = || machine.sh("tail -n 30 /run/perfdata/log");
            assert!(start.elapsed().as_secs() < 40, "no {wanted}: {}", log());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
    let stored = machine.sh("cat /run/perfdata/service*");
    assert!(stored.contains("SERVICESTATE::OK") && !stored.contains("UNKNOWN"), "{stored}");
}
