//! The contract with the monitoring system, for every binary of `checks-manifest/`: a new check
//! is held to it without a line here.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

mod support;

use calipso_checks::manifest::schema::Entry;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Dir, Said, binary, run};

fn entries() -> Vec<Entry> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/checks-manifest");
    let files = std::fs::read_dir(dir).expect("checks-manifest");
    let entries: Vec<Entry> = files
        .map(|file| std::fs::read_to_string(file.expect("an entry").path()).expect("a text"))
        .map(|text| toml::from_str(&text).expect("a manifest entry"))
        .collect();
    assert!(!entries.is_empty());
    entries
}

fn call(entry: &Entry) -> Command {
    call_of(entry, &binary(&entry.name))
}

fn call_of(entry: &Entry, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("OVS_RUNDIR");
    assert_eq!(
        entry.sockets_in.is_empty(),
        entry.rights.sockets.is_empty(),
        "{}: sockets and how a test points it elsewhere",
        entry.name
    );
    command
}

/// The arguments of the example, looking for sockets in a directory.
fn example_in(entry: &Entry, dir: &Path) -> Vec<String> {
    let place = entry.sockets_in.iter().map(|arg| arg.replace("{dir}", &dir.to_string_lossy()));
    entry.example.iter().cloned().chain(place).collect()
}

/// What the example exits with where the daemons it asks give no answer.
fn exit_without_answer(entry: &Entry, exit: i32) -> i32 {
    if entry.rights.sockets.is_empty() { entry.example_exit } else { exit }
}

/// One clear line and exit 3.
fn assert_usage_error(entry: &Entry, said: &Said, what: &str) {
    assert_eq!(said.exit, Some(3), "{} {what}: {said:?}", entry.name);
    assert_eq!(said.out.lines().count(), 1, "{} {what}: {said:?}", entry.name);
    assert!(said.first_line().contains(" UNKNOWN: "), "{} {what}: {said:?}", entry.name);
    assert!(said.first_line().len() <= 255 && said.err.is_empty(), "{said:?}");
}

#[test]
fn wrong_usage_is_one_line_and_unknown() {
    let bad: &[&[&str]] = &[
        &["--nosuchflag"],
        &["-w", "abc"],
        &["--warning", "abc"],
        &["--warning", "1e3"],
        &["--warning", ""],
        &["--warning", "1/2"],
        &["--warning", "nosuchmetric=1"],
        &["--critical", "10:5"],
        &["--timeout", "0"],
        &["--timeout", "-1"],
        &["--timeout", "soon"],
        &["--as", "nosuchcode=ok"],
        &["--as", "timeout=fine"],
        &["--expect", "nosuchfact=1"],
        &["--expect", "x"],
        &["--unknown-as", "ok"],
        &["--output-format", "xml"],
        &["--max-output", "1"],
        &["--sample", "20"],
    ];
    for entry in entries() {
        for args in bad {
            let said = run(call(&entry).args(&entry.example).args(*args));
            assert_usage_error(&entry, &said, &format!("{args:?}"));
        }
    }
}

#[test]
fn a_receiver_that_knows_no_unknown_gets_none() {
    for entry in entries() {
        for bad in ["--bogus", "--warning=abc"] {
            let mut command = call(&entry);
            command.args(&entry.example).args([bad, "--unknown-as", "critical"]);
            let said = run(command.arg("--output-format=json"));
            assert_eq!(said.exit, Some(2), "{} {bad}: {said:?}", entry.name);
            assert_eq!(said.codes(), ["usage"], "{} {bad}: {said:?}", entry.name);
        }
    }
}

#[test]
fn names_that_are_no_names_are_refused_before_anything_is_opened() {
    let long = "x".repeat(300);
    let bad: Vec<&[u8]> = vec![
        b"",
        b"/",
        b"a/b",
        b"..",
        b"a;id",
        b"$(id)",
        b"`id`",
        b"a|b",
        b"a b",
        b"\xff\xfe",
        b"a\nb",
        long.as_bytes(),
    ];
    for entry in &entries() {
        let named = entry.example.iter().enumerate().filter(|(_, arg)| !arg.starts_with('-'));
        for ((at, _), name) in named.flat_map(|arg| bad.iter().map(move |name| (arg, name))) {
            let mut args: Vec<&OsStr> = entry.example.iter().map(OsStr::new).collect();
            args[at] = OsStr::from_bytes(name);
            let said = run(call(entry).args(args));
            assert_usage_error(entry, &said, &format!("argument {at}: {name:?}"));
        }
    }
}

#[test]
fn help_and_version_never_read_as_ok_and_fit_a_screen() {
    for entry in entries() {
        for flag in ["-h", "--help", "-V", "--version"] {
            let said = run(call(&entry).arg(flag));
            assert_eq!(said.exit, Some(3), "{} {flag}", entry.name);
            assert!(said.err.is_empty() && said.out.contains(&entry.name), "{said:?}");
        }
        let help = run(call(&entry).arg("--help")).out;
        assert!(help.lines().count() <= 60, "{}: {} lines", entry.name, help.lines().count());
        let widest = help.lines().map(str::len).max();
        assert!(widest <= Some(100), "{}: {widest:?} columns\n{help}", entry.name);
        for name in entry.codes.keys().chain(entry.metrics.keys()).chain(entry.facts.keys()) {
            assert!(help.contains(name.as_str()), "{} --help does not name {name}", entry.name);
        }
    }
}

#[test]
fn every_format_is_written_and_the_first_line_is_complete() {
    for entry in entries() {
        for format in ["nagios", "json", "prometheus", "influxdb", "graphite", "opentsdb"] {
            let said = run(call(&entry).args(&entry.example).args(["--output-format", format]));
            assert!((0..=3).contains(&said.exit.expect("no signal")), "{said:?}");
            assert!(said.out.is_ascii() && said.out.ends_with('\n'), "{said:?}");
            if format == "json" {
                let json: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
                assert_eq!(json["exit"].as_i64(), said.exit.map(i64::from));
                assert_eq!(json["check"], entry.name.as_str());
            } else {
                assert!(said.first_line().len() <= 257 && said.first_line().contains(": "));
                assert!(said.out.matches('|').count() <= 1, "one pipe: {said:?}");
            }
        }
    }
}

/// How a daemon misbehaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Silent,
    Drips,
    NeverAccepts,
    Floods,
    Closes,
    Babbles,
}

/// A run directory with every socket that any check asks, all of them misbehaving; those of Open
/// vSwitch hold their locks.
struct Rundir {
    dir: Dir,
    _locks: Vec<std::fs::File>,
}

impl Rundir {
    fn new(name: &str, manner: Manner) -> Self {
        let dir = Dir::new(name);
        let mut locks = Vec::new();
        for daemon in ["ovs-vswitchd", "ovsdb-server"] {
            let path = dir.0.join(format!("{daemon}.pid"));
            std::fs::write(&path, "1\n").expect("a pid file");
            locks.push(std::fs::OpenOptions::new().write(true).open(path).expect("it again"));
        }
        for file in &locks {
            // SAFETY: plain data.
            let mut lock: libc::flock = unsafe { std::mem::zeroed() };
            lock.l_type = libc::F_WRLCK as libc::c_short;
            nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_SETLK(&lock)).expect("a lock");
        }
        let paths = entries().into_iter().flat_map(|entry| entry.rights.sockets);
        let names: BTreeSet<String> = paths
            .filter_map(|path| Some(Path::new(&path).file_name()?.to_str()?.replace('*', "1")))
            .collect();
        for name in names {
            serve(&dir.0.join(name), manner);
        }
        Self { dir, _locks: locks }
    }
}

fn serve(path: &Path, manner: Manner) {
    let listener = UnixListener::bind(path).expect("a socket");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).expect("our socket");
    if manner == Manner::NeverAccepts {
        // The shortest queue, and it is full.
        // SAFETY: a listening socket of ours.
        unsafe { libc::listen(listener.as_raw_fd(), 0) };
        std::mem::forget(UnixStream::connect(path).expect("the one place in the queue"));
        std::mem::forget(listener);
        return;
    }
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || misbehave(stream, manner));
        }
    });
}

fn misbehave(mut stream: UnixStream, manner: Manner) {
    match manner {
        Manner::Silent | Manner::NeverAccepts => std::thread::sleep(Duration::from_secs(30)),
        Manner::Closes => {}
        Manner::Babbles => drop(stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 | Debian\r\n")),
        Manner::Drips => {
            for byte in b"{\"id\":0,\"result\":\"x".iter().cycle() {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        Manner::Floods => {
            let megabyte = vec![b'x'; 1 << 20];
            stream.write_all(b"{\"id\":0,\"result\":\"").ok();
            for _ in 0..100 {
                if stream.write_all(&megabyte).is_err() {
                    return;
                }
            }
        }
    }
}

#[test]
fn the_deadline_holds_whatever_the_daemon_does() {
    const LIMIT: Duration = Duration::from_millis(700);
    // Tests share the machine: what is asserted is that nothing waits for the daemon.
    const SLACK: Duration = Duration::from_millis(800);
    for (manner, exit) in [
        (Manner::Silent, 2),
        (Manner::Drips, 2),
        (Manner::NeverAccepts, 2),
        (Manner::Floods, 3),
        (Manner::Closes, 2),
        (Manner::Babbles, 3),
    ] {
        let rundir = Rundir::new(&format!("{manner:?}"), manner);
        for entry in entries() {
            let mut command = call(&entry);
            command.args(example_in(&entry, &rundir.dir.0)).args(["--timeout", "0.7"]);
            let said = run(&mut command);
            assert!(said.took < LIMIT + SLACK, "{} {manner:?}: {said:?}", entry.name);
            let expected = exit_without_answer(&entry, exit);
            assert_eq!(said.exit, Some(expected), "{} {manner:?}: {said:?}", entry.name);
            assert!(said.out.matches('|').count() <= 1, "{said:?}");
        }
    }
}

#[test]
fn a_signal_that_asks_a_check_to_end_is_answered_by_a_code() {
    use nix::sys::signal::{Signal, kill};
    let rundir = Rundir::new("signals", Manner::Silent);
    for entry in entries().iter().filter(|entry| !entry.rights.sockets.is_empty()) {
        for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
            let mut command = call(entry);
            command.args(example_in(entry, &rundir.dir.0));
            let child = command.stdout(Stdio::piped()).spawn().expect("it starts");
            std::thread::sleep(Duration::from_millis(200));
            let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
            kill(pid, signal).expect("our child");
            let out = child.wait_with_output().expect("it ends");
            assert_eq!(out.status.code(), Some(2), "{} {signal}", entry.name);
            let said = String::from_utf8(out.stdout).expect("ASCII");
            assert!(said.contains("no verdict: still waiting for"), "{said}");
        }
    }
}

/// Stopped is as deaf as asleep in a dead file system, for a handler.
#[test]
fn a_check_that_hears_no_handler_does_not_stay() {
    use nix::sys::signal::{Signal, kill};
    use std::os::unix::process::ExitStatusExt;
    let rundir = Rundir::new("deaf", Manner::Silent);
    let entries = entries();
    let entry = entries.iter().find(|entry| entry.name == "check_vedge_ovs").expect("it");
    let mut command = call(entry);
    command.args(example_in(entry, &rundir.dir.0)).args(["--timeout", "0.5"]).stdout(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(200));
    kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), Signal::SIGSTOP).expect("ours");
    let end = child.wait().expect("it ends");
    assert_eq!(end.signal(), Some(libc::SIGKILL));
    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
}

#[test]
fn a_run_directory_that_is_no_path_is_not_passed_over() {
    for entry in entries().iter().filter(|entry| entry.sockets_in.contains(&"--rundir".into())) {
        for dir in ["relative", "a|b"] {
            let said = run(call(entry).args(&entry.example).env("OVS_RUNDIR", dir));
            assert_usage_error(entry, &said, dir);
        }
    }
}

#[test]
fn output_that_cannot_be_written_is_not_ok() {
    for entry in entries() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let status = call(&entry).args(&entry.example).stdout(full).status().expect("it starts");
        assert!((1..=3).contains(&status.code().expect("no signal")), "{}", entry.name);
    }
}

#[test]
fn what_may_not_be_opened_is_unknown_and_says_what_to_grant() {
    assert!(nix::unistd::geteuid().is_root(), "needs root to become nobody: `sudo make test`");
    let rundir = Rundir::new("forbidden", Manner::Silent);
    for entry in entries() {
        let copy = rundir.dir.0.join(&entry.name);
        std::fs::copy(binary(&entry.name), &copy).expect("a copy that nobody may run");
        // A network namespace of its own: what the host's sysctls allow everybody counts for none.
        let mut command = call_of(&entry, Path::new("unshare"));
        command.args(["--net", "sh", "-c", "ip link set lo up; exec setpriv \"$@\"", "sh"]);
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(copy);
        let said = run(command.args(example_in(&entry, &rundir.dir.0)));
        let needs_rights = !entry.rights.sockets.is_empty() || entry.example_needs_rights;
        let exit = if needs_rights { 3 } else { entry.example_exit };
        assert_eq!(said.exit, Some(exit), "{}: {said:?}", entry.name);
        let rights = entry.rights.capabilities.iter().chain(&entry.rights.groups);
        let told = said.out.contains("permission denied")
            && rights.into_iter().any(|right| said.out.contains(right.as_str()));
        assert_eq!(told, needs_rights, "{}: {said:?}", entry.name);
    }
}

#[test]
fn a_reader_that_does_not_read_does_not_keep_a_check() {
    for entry in entries() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        fill(&mut writer);
        let start = Instant::now();
        let mut child = call(&entry)
            .args(&entry.example)
            .args(["--timeout", "0.5"])
            .stdout(Stdio::from(writer))
            .spawn()
            .expect("it starts");
        let exit = child.wait().expect("it ends").code();
        assert!(start.elapsed() < Duration::from_millis(1300), "{}", entry.name);
        assert!((1..=3).contains(&exit.expect("no signal")), "{}: {exit:?}", entry.name);
        drop(reader);
    }
}

#[test]
fn a_reader_that_is_gone_is_no_reason_to_die_by_a_signal() {
    for entry in entries() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status = call(&entry).args(&entry.example).stdout(Stdio::from(writer)).status();
        let exit = status.expect("it starts").code();
        assert!((0..=3).contains(&exit.expect("no signal")), "{}: {exit:?}", entry.name);
    }
}

/// Until a pipe takes no more.
fn fill(writer: &mut std::io::PipeWriter) {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(&*writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("our pipe");
    while writer.write(&[b'x'; 4096]).is_ok() {}
    fcntl(&*writer, FcntlArg::F_SETFL(OFlag::empty())).expect("our pipe");
}
