//! Checks of VPP against a VPP made of captured replies, in each state they are meant to see.
//! Becoming another user needs root; says so and fails without it.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "tests start programs and wait for them"
)]

#[path = "support/replay.rs"]
mod replay;
mod support;

use replay::{Manner, Replay, Replies};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use support::{Dir, Lab, Said, binary, expect_all, run};

const CHECKS: [&str; 4] =
    ["check_vedge_vpp", "check_pnic_vpp", "check_vnic_vpp", "check_vconnector --vpp 10"];

/// A VPP and its directory.
struct Vpp {
    replay: Replay,
    dir: Dir,
}

impl Vpp {
    fn up(name: &str, replies: Replies, manner: Manner) -> Self {
        // Tests run side by side, some of them with the same state.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let dir = Dir::new(&format!("vpp-{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        Self { replay: Replay::up(dir.0.join("cli.sock"), replies, manner), dir }
    }

    fn captured(state: &str) -> Self {
        Self::up(state, Replies::captured(state), Manner::Prompt)
    }

    /// One line: a check and its arguments.
    fn check(&self, line: &str) -> Said {
        check_at(&self.replay.socket, line)
    }

    /// The commands of all visits, each of which must have been polite.
    fn commands(&self) -> Vec<String> {
        let visits = self.replay.visits();
        assert!(visits.iter().all(|visit| visit.polite), "{visits:?}");
        visits.into_iter().flat_map(|visit| visit.commands).collect()
    }
}

fn check_at(socket: &Path, line: &str) -> Said {
    let mut words = line.split_whitespace();
    let mut command = Command::new(binary(words.next().expect("a check")));
    run(command.args(words).arg("--socket").arg(socket))
}

/// What changes from run to run is replaced by `#`.
fn masked(out: &str) -> String {
    let varying = [
        (r"answered in [0-9.]+ ms", "answered in # ms"),
        (r"up [0-9]+ (s|min|h [0-9]+ min|d [0-9]+ h)", "up #"),
        (r"rtt=[0-9.]+ms", "rtt=#ms"),
        (r"uptime=[0-9]+s", "uptime=#s"),
        (r"within [0-9.]+ m?s", "within #"),
        (r"/tmp/[-A-Za-z0-9_.]+/cli[.]sock", "/run/vpp/cli.sock"),
    ];
    varying.into_iter().fold(out.to_owned(), |out, (pattern, mask)| {
        let pattern = regex::RegexBuilder::new(pattern).unicode(false).build().expect("a pattern");
        pattern.replace_all(&out, mask).into_owned()
    })
}

/// Compares whole outputs with `tests/expected/vpp/NAME.txt`: `$ ` before each call, what it said
/// below, and its exit code.
fn assert_transcript(vpp: &Vpp, name: &str) {
    let path = format!("{}/tests/expected/vpp/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut said = String::new();
    for call in expected.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let answer = vpp.check(call);
        said += &format!("$ {call}\n{}", masked(&answer.out));
        said += &format!("exit {}\n\n", answer.exit.expect("no signal"));
    }
    assert!(said.trim() == expected.trim(), "{path} says otherwise than\n{said}");
}

#[test]
fn every_captured_state_has_its_verdict() {
    for state in [
        "25.10-healthy",
        "25.10-healthy_1worker",
        "25.10-carrier_lost",
        "25.10-admin_down",
        "25.10-netdev_deleted",
        "25.10-empty",
        "21.06",
    ] {
        assert_transcript(&Vpp::captured(state), state);
    }
}

/// What a check says of a VPP that misbehaves: how, the check, its exit code and finding codes.
#[test]
fn a_vpp_that_misbehaves_is_judged_in_time_and_left_politely() {
    let captured = || Replies::captured("25.10-healthy");
    let slow = Manner::Slow(Duration::from_millis(30));
    let drips = Manner::Drips(40, Duration::from_micros(50));
    let dripping_for_ever = Manner::Drips(1, Duration::from_millis(50));
    // By a short deadline: vEdge, a pNIC.
    let table: [(&str, Manner, i32, &[&str]); 11] = [
        ("prompt", Manner::Prompt, 0, &[]),
        ("slow", slow, 0, &[]),
        ("drips", drips, 0, &[]),
        ("line-mode", Manner::LineMode, 0, &[]),
        ("line-mode-without-telnet", Manner::LineModeWithoutTelnet, 0, &[]),
        ("drips-for-ever", dripping_for_ever, 2, &["timeout"]),
        ("silent", Manner::SilentAfterAccept, 2, &["timeout"]),
        ("silent-after-first", Manner::SilentAfterFirstReply, 2, &["timeout"]),
        ("queue-full", Manner::QueueFull, 2, &["timeout"]),
        ("closes", Manner::ClosesAtOnce, 2, &["timeout"]),
        ("cut", Manner::CutInTheMiddle, 3, &["unreadable"]),
    ];
    for (name, manner, exit, codes) in table {
        let vpp = Vpp::up(name, captured(), manner);
        for check in
            ["check_vedge_vpp", "check_pnic_vpp GigabitEthernet0/8/0", "check_vconnector --vpp 10"]
        {
            // Who answers in the end may be late on a busy machine.
            let limit = if exit == 0 { 8.0 } else { 0.8 };
            let said = vpp.check(&format!("{check} -t {limit} --output-format json"));
            assert_eq!(said.exit, Some(exit), "{name} {check}: {said:?}");
            assert_eq!(said.codes(), codes, "{name} {check}: {said:?}");
            let latest = Duration::from_secs_f64(limit + 0.7);
            assert!(said.took < latest, "{name} {check}: {said:?}");
        }
        if !matches!(manner, Manner::QueueFull) {
            vpp.commands();
        }
    }
}
#[test]
fn a_session_for_people_and_a_stranger_are_unreadable_with_their_first_line() {
    let vpp = Vpp::up("interactive", Replies::captured("25.10-healthy"), Manner::Interactive);
    let said = vpp.check("check_vedge_vpp -t 0.4");
    assert_eq!(said.exit, Some(3), "{said:?}");
    assert!(said.first_line().contains("a session for people"), "{said:?}");
    let banner =
        "    _______    _        _   _____  ___ \n __/ __/ _ \\  (_)__    | | / / _ \\/ _ \\\n";
    let odd = [
        ("banner", banner, "_______    _        _"),
        ("empty", "", "nothing"),
        ("unknown", "show: unknown input `interface'\n", "unknown input `interface'"),
        ("other-table", "Name Type Value\n/bfd/x 1 2\n", "Name Type Value"),
    ];
    for (name, reply, told) in odd {
        let replies = Replies::captured("25.10-healthy");
        let replies = replies.with("show interface", reply).with("show runtime", reply);
        let replies = replies.with("show bridge-domain 10 detail", reply);
        let vpp = Vpp::up(name, replies, Manner::Prompt);
        for check in CHECKS {
            let said = vpp.check(check);
            assert_eq!(said.exit, Some(3), "{name} {check}: {said:?}");
            assert!(said.first_line().contains(told), "{name} {check}: {said:?}");
        }
    }
}

#[test]
fn no_vpp_is_critical_and_no_right_is_unknown_with_the_group_to_join() {
    let dir = Dir::new("vpp-none");
    let socket = dir.0.join("cli.sock");
    for check in CHECKS {
        let said = check_at(&socket, &format!("{check} --output-format json"));
        assert_eq!(
            (said.exit, said.codes().as_slice()),
            (Some(2), ["no-process".to_owned()].as_slice()),
            "{said:?}"
        );
    }
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
    for check in CHECKS {
        let said = check_at(&socket, &format!("{check} --output-format json"));
        assert_eq!(
            (said.exit, said.codes().as_slice()),
            (Some(2), ["refused".to_owned()].as_slice()),
            "{said:?}"
        );
    }
}

#[test]
fn group_vpp_suffices_and_without_it_the_group_is_named() {
    use std::os::unix::fs::PermissionsExt;
    assert!(nix::unistd::geteuid().is_root(), "needs root to become nobody: `sudo make test`");
    const GROUP: u32 = 4711;
    let vpp = Vpp::captured("25.10-healthy");
    let socket = &vpp.replay.socket;
    // As VPP makes it: root:vpp, 0775.
    std::os::unix::fs::chown(socket, Some(0), Some(GROUP)).expect("our socket");
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o775)).expect("our socket");
    for check in CHECKS {
        let words: Vec<&str> = check.split(' ').collect();
        let copy = vpp.dir.0.join(words[0]);
        std::fs::copy(binary(words[0]), &copy).expect("a copy that nobody may run");
        for (groups, exit) in [("--clear-groups", Some(3)), ("--groups=4711", None)] {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", groups, "--"]).arg(&copy);
            command.args(&words[1..]).arg("--socket").arg(socket);
            let said = run(command.env_remove("XDG_RUNTIME_DIR"));
            let forbidden = said.out.contains("permission denied; add the user to group vpp");
            assert_eq!(forbidden, exit.is_some(), "{check} {groups}: {said:?}");
            assert!(exit.is_none() || said.exit == exit, "{check} {groups}: {said:?}");
        }
    }
}

#[test]
fn a_stopped_vpp_is_told_from_a_hung_one() {
    // A process of its own behind the socket: this test program, asked to serve.
    let dir = Dir::new("vpp-stopped");
    let socket = dir.0.join("cli.sock");
    let mut server = Command::new("perl")
        .arg("-e")
        .arg("use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un($ARGV[0])) or die; listen(S, 5); kill STOP => $$; accept(C, S); sleep")
        .arg(&socket)
        .spawn()
        .expect("perl");
    let pid = nix::unistd::Pid::from_raw(server.id().cast_signed());
    nix::sys::wait::waitpid(pid, Some(nix::sys::wait::WaitPidFlag::WUNTRACED)).expect("our child");
    let said = check_at(&socket, "check_vedge_vpp -t 0.3 --output-format json");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("our child");
    server.wait().expect("it ends");
    assert_eq!(
        (said.exit, said.codes().as_slice()),
        (Some(2), ["stopped".to_owned()].as_slice()),
        "{said:?}"
    );
}

/// A domain as 25.10 prints it.
fn domain(row: &str, members: &str) -> String {
    format!(
        "  BD-ID   Index   BSN  Age(min)  Learning  U-Forwrd   UU-Flood   Flooding  ARP-Term  \
         arp-ufwd Learn-co Learn-li   BVI-Intf \n{row}\nspan-l2-input l2-input-classify l2-learn l2-rw l2-fwd \n\n\
         {members}"
    )
}

#[test]
fn a_bridge_domain_is_a_vconnector() {
    for state in ["25.10-healthy", "25.10-empty", "21.06"] {
        assert_transcript(&Vpp::captured(state), &format!("vconnector-{state}"));
    }
    const HEAD: &str = "           Interface           If-idx ISN  SHG  BVI  TxFlood        VLAN-Tag-Rewrite       \n";
    let guest = format!(
        "{HEAD}     VirtualEthernet0/0/0        9     1    0    -      *                 none             \n"
    );
    let bare = "   10       1      0      5         on        on       flood        on       off       off        3    16777216     N/A    ";
    let hub = "   10       1      0     off       off       off        drop        off      off       off        0    16777216     N/A    ";
    let cases: [(&str, &str, &str, i32, &[&str]); 9] = [
        ("portless", bare, "", 0, &[]),
        ("portless --expect kind=vpp -w fdb_entries=3:3 -w ageing=300:300", bare, "", 0, &[]),
        ("portless -w 1:", bare, "", 1, &["limit"]),
        ("portless -c forwarding=1:", bare, "", 2, &["limit"]),
        ("no-link", bare, &guest, 1, &["link-down"]),
        ("hub", hub, "", 0, &[]),
        ("hub --expect forward=on", hub, "", 2, &["unexpected"]),
        ("hub --expect learn=on --expect flood=on", hub, "", 2, &["unexpected", "unexpected"]),
        ("hub --expect uu_flood=drop --expect forward=off", hub, "", 0, &[]),
    ];
    for (call, row, members, exit, codes) in cases {
        let (name, args) = call.split_once(' ').unwrap_or((call, ""));
        let replies = Replies::captured("25.10-healthy")
            .with("show bridge-domain 10 detail", &domain(row, members));
        let vpp = Vpp::up(&format!("domain-{name}"), replies, Manner::Prompt);
        let said = vpp.check(&format!("check_vconnector --vpp 10 {args} --output-format json"));
        assert_eq!(said.exit, Some(exit), "{call}: {said:?}");
        assert_eq!(said.codes(), codes, "{call}: {said:?}");
        vpp.commands();
    }
}

#[test]
fn a_vconnector_is_either_a_bridge_or_a_bridge_domain() {
    let vpp = Vpp::captured("25.10-healthy");
    for args in ["", "--vpp", "--vpp 0", "--vpp 16777216", "--vpp x", "--vpp -1", "br0 --vpp 10"] {
        let said = vpp.check(&format!("check_vconnector {args}"));
        assert_eq!(said.exit, Some(3), "{args}: {said:?}");
        assert_eq!(said.out.lines().count(), 1, "{args}: {said:?}");
    }
    // Options of the one say nothing to the other.
    for args in ["br0", "--vpp 10 --rundir /run/x", "--vpp 10 --db unix:/run/x"] {
        let said = vpp.check(&format!("check_vconnector {args} --output-format json"));
        assert_eq!(said.codes(), ["usage"], "{args}: {said:?}");
    }
    assert!(vpp.replay.visits().is_empty());
}

/// VPP must not pay for being watched.
#[test]
fn only_what_is_wanted_is_asked() {
    let asked = |line: &str| {
        let vpp = Vpp::captured("25.10-healthy");
        vpp.check(line);
        vpp.commands()
    };
    assert_eq!(asked("check_vedge_vpp"), ["show version", "show runtime"]);
    assert_eq!(
        asked("check_vconnector --vpp 10"),
        [
            "show bridge-domain 10 detail",
            "show interface",
            "show hardware-interfaces brief VirtualEthernet0/0/0 loop1 vxlan_tunnel0"
        ]
    );
    assert_eq!(asked("check_vconnector --vpp 99"), ["show bridge-domain 99 detail"]);
    assert_eq!(
        asked("check_vedge_vpp -w main_heap_used=90 -c errors_rate=5 -w rtt=100"),
        ["show version", "show runtime", "show memory main-heap", "show errors"]
    );
    assert_eq!(
        asked("check_vedge_vpp -w restarts=0 -w buffers_used=80 -w stats_segment_used=80"),
        ["show version", "show runtime", "show clock", "show memory stats-segment", "show buffers"]
    );
    assert_eq!(
        asked("check_pnic_vpp"),
        [
            "show interface",
            "show hardware-interfaces brief BondEthernet0 BondEthernet1 GigabitEthernet0/8/0 TenGigabitEthernet5/0/0"
        ]
    );
    assert_eq!(
        asked("check_vnic_vpp VirtualEthernet0/0/0"),
        [
            "show interface VirtualEthernet0/0/0",
            "show hardware-interfaces brief VirtualEthernet0/0/0"
        ]
    );
    assert_eq!(
        asked("check_vnic_vpp memif0/0 --expect role=master").last().expect("commands"),
        "show memif"
    );
    assert_eq!(
        asked("check_pnic_vpp BondEthernet1 -w lacp_partners=1:")[2..],
        ["show bond details", "show lacp"]
    );
}

#[test]
fn an_unknown_name_is_absent_and_the_others_are_asked_for_again() {
    let vpp = Vpp::captured("25.10-healthy");
    let said = vpp.check("check_vnic_vpp a-very-long-name-of-an-interface-that-is-not loop0 nosuch0 --output-format json");
    assert_eq!(said.exit, Some(2), "{said:?}");
    assert_eq!(said.codes(), ["absent", "absent"], "{said:?}");
    assert_eq!(
        vpp.commands(),
        [
            "show interface a-very-long-name-of-an-interface-that-is-not loop0 nosuch0",
            "show interface loop0 nosuch0",
            "show interface loop0",
            "show hardware-interfaces brief loop0",
        ]
    );
    // One that vanished between the two questions.
    let gone = "              Name                Idx   Link  Hardware\n";
    let replies = Replies::captured("25.10-healthy").with("show hardware-interfaces brief", gone);
    let vpp = Vpp::up("vanished", replies, Manner::Prompt);
    let said = vpp.check("check_vnic_vpp loop0 --output-format json");
    assert_eq!(
        (said.exit, said.codes().as_slice()),
        (Some(2), ["absent".to_owned()].as_slice()),
        "{said:?}"
    );
}

#[test]
fn the_startup_configuration_is_watched_in_every_version() {
    let row = |name: &str| {
        let path = format!("{}/tests/fixtures/vpp/startup/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    };
    let of_21_06 = |state: &str, calls: u32| {
        format!(
            "startup-config-process        {state:^14}{calls:>20}               0               1          1.35e7            0.00\n"
        )
    };
    let cases: [(&str, String, i32, &[&str]); 8] = [
        ("25.10-suspended", row("25.10-suspended"), 1, &["starting"]),
        ("25.10-waiting", row("25.10-waiting"), 1, &["starting"]),
        ("25.10-finished", row("25.10-finished"), 0, &[]),
        ("25.10-cleared", String::new(), 0, &[]),
        ("21.06-time-wait", of_21_06("time wait", 0), 1, &["starting"]),
        ("21.06-event-wait", of_21_06("event wait", 1), 1, &["starting"]),
        ("21.06-done", of_21_06("done", 1), 0, &[]),
        ("21.06-active", of_21_06("active", 0), 1, &["starting"]),
    ];
    for (name, row, exit, codes) in cases {
        let replies = Replies::captured("25.10-healthy");
        let runtime = replies.0["show runtime"].clone();
        let old = runtime.lines().find(|line| line.starts_with("startup-config-process"));
        let runtime = runtime.replace(&format!("{}\n", old.expect("a row")), &row);
        let vpp = Vpp::up(name, replies.with("show runtime", &runtime), Manner::Prompt);
        let said = vpp.check("check_vedge_vpp --output-format json");
        assert_eq!(said.exit, Some(exit), "{name}: {said:?}");
        assert_eq!(said.codes(), codes, "{name}: {said:?}");
    }
}

#[test]
fn a_restart_is_noticed_by_vpps_own_clock() {
    let dir = Dir::new("vpp-restart");
    let runtime = dir.0.join("runtime");
    std::fs::create_dir(&runtime).expect("a directory");
    let at = |seconds: &str| {
        let clock = format!("Time now {seconds}, Mon, 23 Nov 2026 06:43:52 GMT\n");
        let socket = dir.0.join("cli.sock");
        std::fs::remove_file(&socket).ok();
        let replies = Replies::captured("25.10-healthy").with("show clock", &clock);
        let vpp = Replay::up(socket.clone(), replies, Manner::Prompt);
        let mut command = Command::new(binary("check_vedge_vpp"));
        command.args(["-w", "restarts=0", "--socket"]).arg(&vpp.socket);
        run(command.env("XDG_RUNTIME_DIR", &runtime))
    };
    assert_eq!(at("100000.5").exit, Some(0), "the first run");
    assert_eq!(at("100001.5").exit, Some(0), "no restart");
    let said = at("3.25");
    assert_eq!(said.exit, Some(1), "{said:?}");
    assert!(said.first_line().contains("restarts is 1"), "{said:?}");
    assert_eq!(at("4.25").exit, Some(0), "told once");
}

/// Tables as VPP 17.x prints them, written from its sources: no MTU, members of bonds of DPDK.
#[test]
fn tables_of_17_x_and_bonds_of_the_driver_are_understood() {
    let software = |name: &str, index: u32, state: &str, counter: &str| {
        format!("{name:<32}{index:^5}{state:^16}{counter}\n")
    };
    let hardware = |name: &str, index: u32, link: &str, rest: &str| {
        format!("{name:<32}{index:^6}{link:^8}{rest}\n")
    };
    let drops = "drops                          7";
    let interface = [
        "              Name               Idx       State          Counter          Count     \n",
        &software("BondEthernet0", 3, "up", "rx packets                    14"),
        "                                                     rx bytes                    1092\n",
        &software("GigabitEthernet0/8/0", 1, "bond-slave", drops),
        &software("GigabitEthernet0/9/0", 2, "down", ""),
        &software("TenGigabitEthernet5/0/0", 4, "up/punt", ""),
        &software("local0", 0, "down", ""),
    ]
    .concat();
    let table = |bond: &str| {
        [
            "              Name                Idx   Link  Hardware\n",
            &hardware("BondEthernet0", 3, bond, "Slave-Idx: 1 2"),
            &hardware("GigabitEthernet0/8/0", 1, "slave", "GigabitEthernet0/8/0"),
            &hardware("GigabitEthernet0/9/0", 2, "slave", "GigabitEthernet0/9/0"),
            &hardware("TenGigabitEthernet5/0/0", 4, "up", "TenGigabitEthernet5/0/0"),
            &hardware("local0", 0, "down", "local0"),
        ]
        .concat()
    };
    for (bond, exit, codes) in [("up", 0, 0), ("down", 2, 3)] {
        let replies = Replies::default()
            .with("show interface", &interface)
            .with("show hardware-interfaces brief", &table(bond));
        let vpp = Vpp::up(&format!("17-{bond}"), replies, Manner::Prompt);
        let said = vpp.check("check_pnic_vpp --output-format json");
        assert_eq!((said.exit, said.codes().len()), (Some(exit), codes), "{said:?}");
        // Asked for alone, a member is judged by a bond that has to be found first.
        let said = vpp.check("check_pnic_vpp GigabitEthernet0/9/0");
        assert_eq!(said.exit, Some(exit), "{said:?}");
        assert!(said.out.contains("BondEthernet0"), "{said:?}");
    }
}

/// A bond stands in a bridge domain for what it carries, and counts LACP of its own members only.
#[test]
fn a_bond_is_judged_by_its_own_members_and_in_a_domain_for_them() {
    let row = |name: &str, index: u32| format!("{name:<32}{index:^5}{:^10}9000/0/0/0\n", "up");
    let software = [
        "              Name               Idx    State  MTU (L3/IP4/IP6/MPLS)     Counter          Count     \n",
        &row("BondEthernet0", 3),
        &row("BondEthernet1", 5),
        &row("GigabitEthernet0/8/1", 1),
        &row("GigabitEthernet0/8/10", 2),
    ]
    .concat();
    let hardware = |name: &str, index: u32| {
        format!("{name:<32}{index:^6}  up   {name}\n  Link speed: 10 Gbps\n")
    };
    let table = [
        "              Name                Idx   Link  Hardware\n",
        &hardware("BondEthernet0", 3),
        &hardware("BondEthernet1", 5),
        &hardware("GigabitEthernet0/8/1", 1),
        &hardware("GigabitEthernet0/8/10", 2),
    ]
    .concat();
    let bond = |name: &str, member: &str| {
        format!(
            "{name}\n  mode: lacp\n  load balance: l34\n  number of active members: 1\n    {member}\n  \
             number of members: 1\n    {member}\n  device instance: 0\n"
        )
    };
    let bonds = bond("BondEthernet0", "GigabitEthernet0/8/10")
        + &bond("BondEthernet1", "GigabitEthernet0/8/1");
    let lacp = |name: &str, bond: &str, state: &str| {
        format!(
            "{name:<24}  4            {bond:<17}  0   0   1   1   1   1   1   1\n  LAG ID: [(ffff,02,0,0,1), (ffff,02,0,0,1)]\n  \
             RX-state: {state}, TX-state: TRANSMIT, MUX-state: DETACHED, PTX-state: PERIODIC_TX\n"
        )
    };
    let lacp = [
        "interface name            sw_if_index  bond interface   exp/def/dis/col/syn/agg/tim/act\n",
        &lacp("GigabitEthernet0/8/10", "BondEthernet0", "CURRENT"),
        &lacp("GigabitEthernet0/8/1", "BondEthernet1", "DEFAULTED"),
    ]
    .concat();
    let head = "    10      1      0     off        on        on       flood        on       off       off        0    16777216     N/A    ";
    let members = "           Interface           If-idx ISN  SHG  BVI  TxFlood        VLAN-Tag-Rewrite       \n         \
                   BondEthernet0           3     1    0    -      *                 none             \n";
    let replies = Replies::default()
        .with("show interface", &software)
        .with("show hardware-interfaces brief", &table)
        .with("show bond details", &bonds)
        .with("show lacp", &lacp)
        .with("show bridge-domain 10 detail", &domain(head, members));
    let vpp = Vpp::up("own-members", replies.clone(), Manner::Prompt);
    expect_all(
        &[
            ("check_pnic_vpp --bridge-domain 10", 0, &[]),
            ("check_pnic_vpp BondEthernet0 --metrics", 0, &[]),
            ("check_pnic_vpp BondEthernet1 --metrics", 2, &["lacp-none"]),
        ],
        |line| vpp.check(line),
    );

    // A last row that ends before its state is none that is in order.
    let cut = software.trim_end().trim_end_matches("9000/0/0/0").trim_end().trim_end_matches("up");
    let vpp = Vpp::up("cut-row", replies.with("show interface", cut), Manner::Prompt);
    expect_all(&[("check_pnic_vpp", 3, &["unreadable"])], |line| vpp.check(line));
}

/// Which interfaces a bond carries is asked, which stops VPP's workers, only where the verdict depends
/// on it.
#[test]
fn a_bond_that_carries_no_pnic_is_not_a_pnic_s_business() {
    let software = |bond: &str| {
        format!(
            "              Name               Idx    State  MTU (L3/IP4/IP6/MPLS)     Counter          Count     \n\
             {:<32}{:^5}{bond:^10}9000/0/0/0\n{:<32}{:^5}{:^10}9000/0/0/0\n",
            "BondEthernet1", 5, "GigabitEthernet0/8/0", 1, "up"
        )
    };
    let hardware = "              Name                Idx   Link  Hardware\n\
                    BondEthernet1                      5     up   BondEthernet1\n  Link speed: unknown\n\
                    GigabitEthernet0/8/0               1     up   GigabitEthernet0/8/0\n  Link speed: 10 Gbps\n";
    let carries = |member: &str| {
        format!(
            "BondEthernet1\n  mode: xor\n  load balance: l34\n  number of active members: 1\n    {member}\n  \
             number of members: 1\n    {member}\n  device instance: 1\n"
        )
    };
    for (state, member, exit, asks) in [
        ("up", "host-a", 0, false),
        ("down", "host-a", 0, true),
        ("down", "GigabitEthernet0/8/0", 2, true),
    ] {
        let replies = Replies::default()
            .with("show interface", &software(state))
            .with("show hardware-interfaces brief", hardware)
            .with("show bond details", &carries(member));
        let vpp = Vpp::up(&format!("bond-{state}"), replies, Manner::Prompt);
        let said = vpp.check("check_pnic_vpp");
        assert_eq!(said.exit, Some(exit), "{state} {member}: {said:?}");
        let asked = vpp.commands().iter().any(|command| command == "show bond details");
        assert_eq!(asked, asks, "{state} {member}");
    }
}

/// Names are cut at 32 bytes in both tables; two that are shown alike must not be mixed up.
#[test]
fn long_names_are_told_apart() {
    const HEAD: &str = "memif-of-a-very-long-name-number";
    let (one, two) = (format!("{HEAD}-one"), format!("{HEAD}-two"));
    let software = format!(
        "              Name               Idx    State  MTU (L3/IP4/IP6/MPLS)     Counter          Count     \n\
         local0                            0     down          0/0/0/0       \n\
         {HEAD}  7      up          9000/0/0/0     \n\
         {HEAD}  8      up          9000/0/0/0     rx packets                     1\n"
    );
    let row = |index: u32, link: &str| {
        format!(
            "              Name                Idx   Link  Hardware\n{HEAD}   {index}    {link:^6}memif\n  Link speed: unknown\n"
        )
    };
    let replies = Replies::default()
        .with("show interface", &software)
        .with(
            "show interface addr",
            &format!(
                "local0 (dn):\n{one} (up):\n{two} (up):\n  L2 bridge bd-id 10 idx 1 shg 0  \n"
            ),
        )
        .with(
            &format!("show interface {one}"),
            &software.replace(&format!("{HEAD}  8"), "other                             8"),
        )
        .with(&format!("show hardware-interfaces brief {one}"), &row(3, "up"))
        .with(&format!("show hardware-interfaces brief {two}"), &row(4, "down"));
    let vpp = Vpp::up("long", replies, Manner::Prompt);
    let said = vpp.check("check_vnic_vpp");
    assert_eq!(said.exit, Some(2), "{said:?}");
    assert_eq!(said.first_line(), format!("CheckVnicVpp CRITICAL: {two}: link is down"));
    let said = vpp.check(&format!("check_vnic_vpp {one}"));
    assert_eq!(said.first_line(), format!("CheckVnicVpp OK: {one} is up"));
}

#[test]
fn rates_of_drops_are_measured_from_the_first_drop_on() {
    let vpp = Vpp::captured("25.10-healthy");
    let said = vpp.check(
        "check_pnic_vpp GigabitEthernet0/8/0 -c rx_miss_rate=0 -c drops_rate=0 --sample 0.1",
    );
    assert_eq!(said.exit, Some(0), "{said:?}");
    assert!(said.out.contains("rx_miss_rate=0;"), "{said:?}");
}

/// Tables of the true format, as large as they get.
fn generated(n: usize) -> Replies {
    let mut software = String::from(
        "              Name               Idx    State  MTU (L3/IP4/IP6/MPLS)     Counter          Count     \n",
    );
    let mut hardware = String::from("              Name                Idx   Link  Hardware\n");
    for i in 0..n {
        let name = format!("VirtualEthernet0/0/{i}");
        let index = i + 1;
        let gap = " ".repeat(68);
        software += &format!(
            "{name:<32}{index:^5}{:^10}{:^21}rx packets      {i:>16}\n{gap}rx bytes        {:>16}\n{gap}drops           {:>16}\n",
            "up",
            "9000/0/0/0",
            i * 64,
            i % 7 + 1
        );
        let link = if i == n / 2 { "down" } else { "up" };
        hardware += &format!(
            "{name:<32}{index:^6}{link:^8}{name}\n  Link speed: unknown\n  RX Queues:\n    queue thread         mode      \n    0     main (0)       polling   \n"
        );
    }
    Replies::default()
        .with("show interface", &software)
        .with("show hardware-interfaces brief", &hardware)
}

#[test]
fn hundreds_and_thousands_of_interfaces_are_each_looked_at() {
    for n in [500, 5000] {
        let vpp = Vpp::up(&format!("big-{n}"), generated(n), Manner::Prompt);
        let said = vpp.check("check_vnic_vpp");
        assert_eq!(said.exit, Some(2), "{said:?}");
        let first = format!("CheckVnicVpp CRITICAL: VirtualEthernet0/0/{}: link is down", n / 2);
        assert_eq!(said.first_line(), first);
        let commands = vpp.commands();
        assert!(commands.iter().all(|command| command.len() < 4000), "VPP reads 4096 bytes");
        let named: usize = commands[1..].iter().map(|c| c.split(' ').count() - 3).sum();
        assert_eq!(named, n, "each once");
    }
}

#[test]
fn a_bridge_domain_is_given_with_the_states_of_its_members() {
    use calipso_checks::host::Host;
    use calipso_checks::host::vpp::Place;
    use calipso_checks::host::vpp::interfaces::{Admin, Link};
    let vpp = Vpp::captured("25.10-healthy");
    let place: Place = vpp.replay.socket.to_str().expect("ASCII").parse().expect("a place");
    let host = Host::new(std::time::Instant::now() + Duration::from_secs(5), |_| {});
    let bridge = host.vpp_bridge(&place, 10).expect("an answer").expect("a bridge domain");
    assert_eq!((bridge.domain.forwards, bridge.domain.learns), (Some(true), Some(true)));
    assert_eq!(bridge.domain.bvi.as_deref(), Some("loop1"));
    let states: Vec<_> =
        bridge.interfaces.iter().map(|i| (i.name.as_str(), &i.admin, &i.link)).collect();
    assert_eq!(
        states,
        [
            ("VirtualEthernet0/0/0", &Admin::Up, &Link::Down),
            ("loop1", &Admin::Up, &Link::Up),
            ("vxlan_tunnel0", &Admin::Up, &Link::Up),
        ]
    );
    assert_eq!(host.vpp_bridge(&place, 99).expect("an answer"), None);
    vpp.commands();
}

/// A listener on the loopback address of a host of the lab, at the port of VPP 17.x.
fn listener_in(lab: &Lab) -> TcpListener {
    let netns = lab.netns();
    let bind = move || {
        nix::sched::setns(netns, nix::sched::CloneFlags::CLONE_NEWNET).expect("root may enter");
        TcpListener::bind("127.0.0.1:5002").expect("a host where nobody listens yet")
    };
    // A thread of its own: it stays in the namespace for the rest of its life.
    std::thread::spawn(bind).join().expect("a listener")
}

#[test]
fn where_a_vpp_may_listen_is_tried_one_after_the_other() {
    const CALLS: [&str; 3] =
        ["check_vedge_vpp", "check_vnic_vpp loop0", "check_vconnector --vpp 10"];
    let lab = Lab::up("vpp-places", &["--no-ovs", "--bare"]);
    let all_say = |exit: i32, codes: &[&str]| {
        expect_all(&CALLS.map(|line| (line, exit, codes)), |line| lab.check(line));
    };
    let answers = |vpp: &Replay| {
        all_say(0, &[]);
        let visits = vpp.visits();
        assert_eq!(visits.len(), CALLS.len(), "{visits:?}");
        assert!(visits.iter().all(|visit| visit.polite), "{visits:?}");
    };
    let captured = || Replies::captured("25.10-healthy");
    let told = |line: &str, words: &str| {
        let said = lab.check(line);
        assert!(said.first_line().contains(words), "{said:?}");
    };

    // None: told of the place where it should be.
    all_say(2, &["no-process"]);
    told("check_vedge_vpp", "VPP does not run: no socket /run/vpp/cli.sock");

    // 17.x, TCP.
    let old = Replay::over(listener_in(&lab), captured(), Manner::Prompt);
    answers(&old);

    // An older package's socket comes before TCP.
    lab.sh("mkdir /run/vpp");
    let older = lab.path_inside("/run/vpp/cli-vpp1.sock");
    answers(&Replay::up(older, captured(), Manner::Prompt));
    assert_eq!(old.visits().len(), CALLS.len(), "nobody asked there again");

    // A leftover of the socket of today hides none of the others.
    let today = lab.path_inside("/run/vpp/cli.sock");
    drop(std::os::unix::net::UnixListener::bind(&today).expect("a socket"));
    all_say(0, &[]);

    // What may not be opened is not passed over for a place that may.
    lab.sh("chmod 700 /run/vpp");
    let said = lab.check_as_nobody("check_vedge_vpp --output-format json");
    assert_eq!((said.exit, said.codes()), (Some(3), vec!["forbidden".to_owned()]), "{said:?}");
}

/// How somebody else behaves at port 5002.
type Stranger = fn(TcpStream);

fn says(mut stream: TcpStream, words: &[u8]) {
    use std::io::{Read, Write};
    stream.write_all(words).ok();
    stream.read_to_end(&mut Vec::new()).ok();
}

#[test]
fn a_stranger_at_the_port_of_17_x_is_no_vpp() {
    let strangers: [(&str, Stranger); 4] = [
        ("ssh", |stream| says(stream, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")),
        ("http", |stream| says(stream, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")),
        ("closes", drop),
        ("silent", |_stream| std::thread::sleep(Duration::from_secs(2))),
    ];
    for (name, behave) in strangers {
        let lab = Lab::up(&format!("vpp-stranger-{name}"), &["--no-ovs", "--bare"]);
        let listener = listener_in(&lab);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || behave(stream));
            }
        });
        // Whoever it is: no VPP, and none where it should be.
        let calls = ["check_vedge_vpp -t 0.7", "check_pnic_vpp -t 0.7"];
        let none: &[&str] = &["no-process"];
        expect_all(&calls.map(|line| (line, 2, none)), |line| lab.check(line));
        let said = lab.check("check_vedge_vpp -t 0.7");
        assert!(said.first_line().ends_with("no socket /run/vpp/cli.sock"), "{said:?}");
        assert!(said.took < Duration::from_millis(1500), "{said:?}");
        // A VPP that ended tells more than a stranger.
        lab.sh("mkdir /run/vpp");
        let stale = lab.path_inside("/run/vpp/cli-vpp1.sock");
        drop(std::os::unix::net::UnixListener::bind(&stale).expect("a socket"));
        let ended: &[&str] = &["refused"];
        expect_all(&calls.map(|line| (line, 2, ended)), |line| lab.check(line));
        // Named, it is to blame itself.
        let said = lab.check("check_vedge_vpp -t 0.7 --socket 127.0.0.1:5002");
        assert!(said.out.contains("127.0.0.1:5002"), "{said:?}");
    }
}

/// The one that leaves without `quit`: its signal handler ends the process. VPP sees the end of the
/// connection, as it does when a vppctl is interrupted.
#[test]
fn a_check_that_is_ended_by_a_signal_leaves_without_a_word() {
    let vpp = Vpp::up("signal", Replies::captured("25.10-healthy"), Manner::SilentAfterFirstReply);
    let mut command = Command::new(binary("check_vedge_vpp"));
    command.arg("--socket").arg(&vpp.replay.socket).stdout(std::process::Stdio::piped());
    let child = command.spawn().expect("it starts");
    while vpp.replay.commands_so_far().len() < 2 {
        std::thread::yield_now();
    }
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("our child");
    let out = child.wait_with_output().expect("it ends");
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(vpp.replay.commands_so_far(), ["show version", "show runtime"], "and no quit");
    assert!(!vpp.replay.visits()[0].polite);
}
