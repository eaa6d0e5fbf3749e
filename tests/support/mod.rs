//! What the integration tests share: running a check, and a host to run it on.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "shared by test binaries, each of which uses its part"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The binaries of this build, by name.
pub fn binary(check: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_check_pnic_ovs")).with_file_name(check);
    assert!(path.exists(), "{} was not built", path.display());
    path
}

/// The names of all checks.
pub fn checks() -> Vec<String> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/checks-manifest");
    let files = std::fs::read_dir(dir).expect("checks-manifest");
    let names = files.map(|file| file.expect("an entry").file_name().into_string().expect("ASCII"));
    names.filter_map(|name| name.strip_suffix(".toml").map(str::to_owned)).collect()
}

/// What a check said.
#[derive(Debug)]
pub struct Said {
    pub exit: Option<i32>,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Said {
    pub fn first_line(&self) -> &str {
        self.out.lines().next().unwrap_or_default()
    }

    /// The finding codes; the check must have been asked for JSON.
    pub fn codes(&self) -> Vec<String> {
        let json: serde_json::Value =
            serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        let findings = json["findings"].as_array().expect("findings");
        findings.iter().map(|f| f["code"].as_str().expect("a code").to_owned()).collect()
    }
}

/// Runs a prepared command to its end.
pub fn run(command: &mut Command) -> Said {
    let start = Instant::now();
    let out = command.stdin(Stdio::null()).output().expect("the program can be started");
    Said {
        exit: out.status.code(),
        out: String::from_utf8(out.stdout).expect("output is ASCII"),
        err: String::from_utf8_lossy(&out.stderr).into_owned(),
        took: start.elapsed(),
    }
}

/// A directory that any user can enter, gone at the end.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/tmp/calipso-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&path).ok();
        std::fs::create_dir(&path).expect("a new directory in /tmp");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own");
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// What a check must say: its command line, the exit code, and the codes of its findings.
pub type Expect<'e> = (&'e str, i32, &'e [&'e str]);

/// Asserts what checks say, and shows all that say something else.
pub fn expect_all(table: &[Expect], ask: impl Fn(&str) -> Said) {
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|(line, exit, codes)| {
            let said = ask(&format!("{line} --output-format json"));
            let good = said.exit == Some(*exit) && said.codes() == *codes;
            let cut = &said.out[..said.out.len().min(500)];
            (!good).then(|| format!("{line}: wanted {exit} {codes:?}, said {cut}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A host with a real Open vSwitch, in namespaces that end with it.
pub struct Lab {
    child: Child,
    pid: String,
    dir: Dir,
}

impl Lab {
    /// Brings a host up with the options and scenes that `tests/lab/host` takes.
    pub fn up(name: &str, options: &[&str]) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "the lab needs root: run `sudo make test`");
        let dir = Dir::new(name);
        for program in checks().into_iter().chain(["calipso-sweep".to_owned()]) {
            std::fs::copy(binary(&program), dir.0.join(&program)).expect("a copy for any user");
        }
        let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/host"))
            .arg(dir.0.join("state"))
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/lab/host starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let pid = line.trim().strip_prefix("READY ").map(str::to_owned);
        Self { pid: pid.unwrap_or_else(|| panic!("the lab did not come up: {line:?}")), child, dir }
    }

    /// Its network namespace, for a thread of the test itself.
    pub fn netns(&self) -> std::fs::File {
        std::fs::File::open(format!("/proc/{}/ns/net", self.pid)).expect("the host lives")
    }

    /// A path of the host, for what the test itself puts there.
    pub fn path_inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid))
    }

    /// A command inside the host.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid, "-m", "-n", "-p", "--"]).arg(program);
        command
    }

    /// A check inside the host, as root.
    pub fn check(&self, line: &str) -> Said {
        run(self.inside(&self.path(line)).args(line.split_whitespace().skip(1)))
    }

    /// A check inside the host, as a user without any right.
    pub fn check_as_nobody(&self, line: &str) -> Said {
        run(self.as_nobody(&self.path(line)).args(line.split_whitespace().skip(1)))
    }

    /// A check inside the host, as a user without any right, from a file that has capabilities
    /// (`cap_sys_ptrace,cap_net_raw`), as packages install it.
    pub fn check_with(&self, capabilities: &str, line: &str) -> Said {
        let bare = self.path(line);
        let path = format!("{bare}-{capabilities}");
        if !Path::new(&path).exists() {
            // Not by this process: a child that another test starts meanwhile would hold the copy
            // open for writing, and the kernel runs no such file.
            let copied = run(Command::new("cp").args([&bare, &path]));
            assert_eq!(copied.exit, Some(0), "{copied:?}");
            let mut setcap = Command::new("setcap");
            setcap.arg(format!("{capabilities}+ep")).arg(&path);
            assert_eq!(run(&mut setcap).exit, Some(0), "setcap {capabilities} {path}");
        }
        run(self.as_nobody(&path).args(line.split_whitespace().skip(1)))
    }

    fn as_nobody(&self, program: &str) -> Command {
        let mut command = self.inside("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
        command
    }

    /// Where any user can run a check.
    pub fn path(&self, line: &str) -> String {
        let check = line.split_whitespace().next().expect("a check");
        self.dir.0.join(check).to_str().expect("an ASCII path").to_owned()
    }

    /// One shell line inside the host.
    pub fn sh(&self, line: &str) -> String {
        let said = run(self.inside("sh").args(["-ec", line]));
        assert_eq!(said.exit, Some(0), "{line}: {said:?}");
        said.out
    }

    /// Does something to the daemons: see `tests/lab/verbs.sh`.
    pub fn verb(&self, verb: &str) {
        let verbs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/verbs.sh");
        let said = run(self.inside(verbs).arg(verb));
        assert_eq!(said.exit, Some(0), "{verb}: {said:?}");
    }

    /// Repeats a check until it says this, for states that take a moment to show.
    pub fn wait_for(&self, line: &str, exit: i32) -> Said {
        let start = Instant::now();
        loop {
            let said = self.check(line);
            if said.exit == Some(exit) || start.elapsed() > Duration::from_secs(40) {
                assert_eq!(said.exit, Some(exit), "{line}: {said:?}");
                return said;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Its stdin closed, the host ends everything in it.
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}
