use super::interfaces::Beyond;
use super::*;
use crate::host::link::Link;
use crate::host::link::OperState;
use crate::host::neutron::Recorded;
use crate::host::process::Process;
use crate::host::process::State;
use crate::host::service::{Daemon, Hidden};

fn args(role: Role) -> Args {
    let prefix = if role == Role::Dhcp { "qdhcp" } else { "net" };
    let netns = format!("{prefix}-1abd0001-0000-4000-8000-000000000001");
    let netns = netns.parse().expect("a name");
    Args { role, netns, process: vec![], interfaces: false, state_path: None }
}

fn daemon(name: &str, pid: i32, state: State) -> Daemon {
    let process = Process {
        pid,
        parent: Some(1),
        name: name.into(),
        state,
        started: 1000,
        age: 10,
        memory: 1,
        title: String::new(),
    };
    Daemon { process, by: By::Namespace }
}

fn record(name: &str, fate: Fate) -> Record {
    let recorded = Recorded { path: "/pid".into(), pid: 7, before_boot: fate == Fate::Leftover };
    Record { daemon: name.into(), recorded, fate }
}

fn facts(found: Vec<Daemon>) -> Facts {
    Facts {
        meant: None,
        namespace: Ok(Namespace::Live),
        daemons: Ok(Daemons { found, ..Daemons::default() }),
        records: Records::none("1abd0001-0000-4000-8000-000000000001"),
        dhcp: Some(Ok(DhcpPort::V4(1))),
        tcp: Some(Ok(BTreeSet::from([53, 80]))),
        interfaces: None,
    }
}

impl Facts {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
    fn daemons(&mut self) -> &mut Daemons {
        self.daemons.as_mut().expect("daemons")
    }
}

fn codes(facts: Facts, args: &Args) -> Vec<&'static str> {
    let report = Vservice::judge(&facts, args, &Past::default());
    report.findings.iter().map(|finding| finding.code.name).collect()
}

fn link(admin_up: bool, lower_up: bool) -> Link {
    let operstate = if lower_up { OperState::Up } else { OperState::LowerLayerDown };
    Link { name: "qr-1".into(), admin_up, lower_up, operstate, ..Link::default() }
}

#[test]
fn what_stands_behind_the_name_comes_first() {
    for (namespace, code) in [
        (Namespace::Absent, "absent"),
        (Namespace::Stale, "stale"),
        (Namespace::NotPropagated, "no-propagation"),
    ] {
        let facts = facts(vec![]).with(|f| f.namespace = Ok(namespace));
        assert_eq!(codes(facts, &args(Role::Dhcp)), [code]);
    }
    let forbidden = Trouble { whom: "/run/netns/x".into(), why: Why::Forbidden };
    let facts = facts(vec![]).with(|f| f.namespace = Err(forbidden));
    assert_eq!(codes(facts, &args(Role::Dhcp)), ["forbidden"]);
}

#[test]
fn what_cannot_be_meant_is_a_mistake_not_a_verdict() {
    let mut dhcp = args(Role::Router);
    dhcp.netns = "qdhcp-1abd0001".parse().expect("a name");
    assert_eq!(codes(facts(vec![]), &dhcp), ["usage"]);
    let mut router = args(Role::Dhcp);
    router.netns = "qrouter-1abf0001".parse().expect("a name");
    assert_eq!(codes(facts(vec![]), &router), ["usage"]);
    let nowhere = |f: &mut Facts| {
        f.records.missing = Some(Trouble { whom: "/x".into(), why: Why::Absent });
    };
    let mut named = args(Role::Dhcp);
    let serving = || facts(vec![daemon("dnsmasq", 1, State::Alive)]);
    assert!(codes(serving().with(nowhere), &named).is_empty(), "not everybody has one");
    named.state_path = Some("/x".into());
    assert_eq!(codes(serving().with(nowhere), &named), ["usage"]);
    let mut bare = args(Role::Dhcp);
    bare.netns = "1abd0001".parse().expect("a name");
    assert_eq!(bare.meant().map(|name| name.to_string()).as_deref(), Some("qdhcp-1abd0001"));
}

#[test]
fn each_state_of_a_process_has_its_code() {
    for (state, expected) in [
        (State::Alive, &[][..]),
        (State::Stuck, &["stuck"]),
        (State::Stopped, &["stopped"]),
        (State::Traced, &["stopped"]),
        (State::Dead, &["no-process"]),
    ] {
        let facts = facts(vec![daemon("dnsmasq", 1, state)]);
        assert_eq!(codes(facts, &args(Role::Dhcp)), expected, "{state:?}");
    }
    // A live one replaces a zombie, and the daemons beside it are judged as well.
    let live = || daemon("dnsmasq", 2, State::Alive);
    let zombie = daemon("dnsmasq", 1, State::Dead);
    assert!(codes(facts(vec![zombie, live()]), &args(Role::Dhcp)).is_empty());
    let stopped = daemon("haproxy", 3, State::Stopped);
    assert_eq!(codes(facts(vec![live(), stopped]), &args(Role::Dhcp)), ["stopped"]);
}

#[test]
fn in_another_pid_namespace_nothing_is_missed_and_the_remedy_fits() {
    let facts = facts(vec![]).with(|f| f.daemons().hidden = Some(Hidden::OtherPids));
    let args = args(Role::Dhcp);
    let report = Vservice::judge(&facts, &args, &Past::default());
    assert_eq!(report.findings[0].code.name, "forbidden");
    assert!(report.findings[0].text.contains("hostPID"), "{report:?}");
}

#[test]
fn what_is_required_and_may_be_hidden_is_unknown_never_critical() {
    assert_eq!(codes(facts(vec![]), &args(Role::Dhcp)), ["no-process"]);
    let hidden = |f: &mut Facts| f.daemons().hidden = Some(Hidden::Denied);
    assert_eq!(codes(facts(vec![]).with(hidden), &args(Role::Dhcp)), ["forbidden"]);
    assert_eq!(codes(facts(vec![]).with(hidden), &args(Role::Router)), ["forbidden"]);
    assert!(codes(facts(vec![]).with(hidden), &args(Role::None)).is_empty());
    let recorded = |f: &mut Facts| f.daemons().records.push(record("haproxy", Fate::Other));
    let facts = facts(vec![]).with(recorded).with(hidden);
    assert_eq!(codes(facts, &args(Role::Router))[0], "forbidden");
}

#[test]
fn a_router_needs_what_its_pid_files_name() {
    let of = |fate| facts(vec![]).with(|f| f.daemons().records.push(record("haproxy", fate)));
    let router = args(Role::Router);
    assert_eq!(codes(of(Fate::Gone), &router), ["no-process"]);
    assert_eq!(codes(of(Fate::Other), &router), ["no-process"]);
    assert!(codes(of(Fate::Leftover), &router).is_empty());
    let backup = |f: &mut Facts| f.records.ha = Ok(Some(HaState::Backup));
    assert!(codes(of(Fate::Gone).with(backup), &router).is_empty());
    let keepalived = record("keepalived", Fate::Gone);
    let facts = facts(vec![]).with(backup).with(|f| f.daemons().records.push(keepalived));
    assert_eq!(codes(facts, &router), ["no-process"]);
    // Of a distributed router it lives beside it, and is judged there.
    for (state, expected) in [(State::Alive, &[][..]), (State::Stopped, &["stopped"])] {
        let mut beside = daemon("keepalived", 7, state);
        beside.by = By::Sibling;
        let facts = super::tests::facts(vec![beside])
            .with(|f| f.daemons().records.push(record("keepalived", Fate::Here(By::Sibling))));
        assert_eq!(codes(facts, &router), expected, "{state:?}");
    }
}

#[test]
fn what_may_not_be_read_is_not_ok() {
    let forbidden = || Trouble { whom: "/var/lib/neutron/x".into(), why: Why::Forbidden };
    let unread = |f: &mut Facts| f.records.unreadable.push(("haproxy".into(), forbidden()));
    let router = args(Role::Router);
    assert_eq!(codes(facts(vec![]).with(unread), &router), ["forbidden"]);
    let alive = || facts(vec![daemon("haproxy", 1, State::Alive)]);
    assert!(codes(alive().with(unread), &router).is_empty());
    let serving = facts(vec![daemon("dnsmasq", 1, State::Alive)]).with(unread);
    assert!(codes(serving, &args(Role::Dhcp)).is_empty(), "a proxy is no duty of every network");
    // A router of which it is not known whether it waits.
    let unknown = |f: &mut Facts| {
        f.records.ha = Err(forbidden());
        f.daemons().records.push(record("haproxy", Fate::Gone));
    };
    assert_eq!(codes(facts(vec![]).with(unknown), &router), ["forbidden"]);
    // A proxy whose port is not known.
    let private = |f: &mut Facts| {
        f.records.haproxy_ports = Err(forbidden());
        f.tcp = Some(Ok(BTreeSet::from([8775])));
    };
    assert_eq!(codes(alive().with(private), &router), ["forbidden"]);
}

#[test]
fn other_services_need_their_daemons() {
    let serving = |name| facts(vec![daemon(name, 1, State::Alive)]);
    assert!(codes(serving("haproxy"), &args(Role::LoadBalancer)).is_empty());
    assert!(codes(serving("haproxy"), &args(Role::Metadata)).is_empty());
    assert!(codes(serving("pluto"), &args(Role::Vpn)).is_empty());
    assert!(codes(serving("charon"), &args(Role::Vpn)).is_empty());
    for role in [Role::LoadBalancer, Role::Metadata, Role::Vpn] {
        assert_eq!(codes(facts(vec![]), &args(role)), ["no-process"], "{role:?}");
    }
    let mut asked = args(Role::None);
    asked.process = vec!["bird".into()];
    assert_eq!(codes(facts(vec![]), &asked), ["no-process"]);
    assert!(codes(serving("bird"), &asked).is_empty());
}

#[test]
fn a_daemon_that_does_not_listen_serves_nobody() {
    let dnsmasq = || facts(vec![daemon("dnsmasq", 1, State::Alive)]);
    let dhcp = args(Role::Dhcp);
    let with = |port| codes(dnsmasq().with(|f| f.dhcp = Some(port)), &dhcp);
    assert_eq!(with(Ok(DhcpPort::Closed)), ["not-listening"]);
    assert!(with(Ok(DhcpPort::V6(1))).is_empty());
    let ended = Trouble { whom: "/proc/1/net/udp".into(), why: Why::Absent };
    assert_eq!(with(Err(ended)), ["unreadable"]);
    // One that is stopped is told as that alone.
    let stopped = facts(vec![daemon("dnsmasq", 1, State::Stopped)]);
    assert_eq!(codes(stopped.with(|f| f.dhcp = None), &dhcp), ["stopped"]);

    let set = |ports: &[u16]| ports.iter().copied().collect::<BTreeSet<u16>>();
    let haproxy = |tcp: &[u16], told: Option<&[u16]>| {
        let (tcp, told) = (Some(Ok(set(tcp))), told.map(set));
        facts(vec![daemon("haproxy", 1, State::Alive)])
            .with(|f| (f.tcp, f.records.haproxy_ports) = (tcp, Ok(told)))
    };
    let router = args(Role::Router);
    assert!(codes(haproxy(&[9697], None), &router).is_empty());
    assert_eq!(codes(haproxy(&[22], None), &router), ["not-listening"]);
    assert_eq!(codes(haproxy(&[80], Some(&[9697])), &router), ["not-listening"]);
    assert!(codes(haproxy(&[8080], Some(&[8080])), &router).is_empty());
    assert!(codes(haproxy(&[22], None), &args(Role::LoadBalancer)).is_empty());
    assert_eq!(codes(haproxy(&[], None), &args(Role::LoadBalancer)), ["not-listening"]);
}

#[test]
fn interfaces_are_judged_where_they_are_seen() {
    let of = |interfaces| facts(vec![]).with(|f| f.interfaces = Some(interfaces));
    let router = args(Role::Router);
    assert!(codes(of(Interfaces::Inside(vec![link(true, true)])), &router).is_empty());
    let near =
        |carrier, beyond| of(Interfaces::NearEnds { links: vec![link(true, carrier)], beyond });
    assert_eq!(codes(near(false, Beyond::Uncounted), &router), ["link-down"]);
    assert_eq!(codes(near(true, Beyond::Uncounted), &router), ["forbidden"]);
    assert_eq!(codes(near(true, Beyond::Counted(1)), &router), ["forbidden"]);
    assert!(codes(near(true, Beyond::Counted(0)), &router).is_empty());
    let off = || of(Interfaces::Inside(vec![link(false, false)]));
    assert_eq!(codes(off(), &router), ["admin-down"]);
    let backup = |f: &mut Facts| f.records.ha = Ok(Some(HaState::Backup));
    assert_eq!(codes(off().with(backup), &router), ["admin-down"], "keepalived needs its own");
    let gateway = Link { name: "qg-1".into(), ..link(false, false) };
    let off = of(Interfaces::Inside(vec![gateway])).with(backup);
    assert!(codes(off, &router).is_empty());
    let unseen = Trouble { whom: "the namespace".into(), why: Why::Forbidden };
    assert_eq!(codes(of(Interfaces::Unseen(unseen)), &router), ["forbidden"]);
}

#[test]
fn another_youngest_process_is_a_restart() {
    let report = |pid, past: &Past| {
        Vservice::judge(&facts(vec![daemon("dnsmasq", pid, State::Alive)]), &args(Role::Dhcp), past)
    };
    let restarts = |report: &Report| {
        report.metrics.iter().find(|m| m.spec.name == "restarts").map(|m| m.value)
    };
    let first = report(7, &Past::default());
    assert_eq!(restarts(&first), None);
    assert_eq!(restarts(&report(7, &Past::of(&first))), Some(0.0));
    assert_eq!(restarts(&report(3, &Past::of(&first))), Some(1.0));
}

#[test]
fn the_id_is_what_neutron_calls_it() {
    assert_eq!(args(Role::Dhcp).id(), "1abd0001-0000-4000-8000-000000000001");
    let mut bare = args(Role::None);
    bare.netns = "blue".parse().expect("a name");
    assert_eq!(bare.id(), "blue");
}
