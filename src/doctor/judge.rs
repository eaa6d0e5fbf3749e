//! The diagnosis of one check: facts in, verdict and remedies out. Looks at nothing.

use super::program::{Mode, Program};
use super::site::{Daemon, Namespaces, Site, Socket};
use super::subject::Subject;
use crate::manifest::schema::Entry;
use crate::rights::{self, Capability};
use std::collections::BTreeSet;
use std::path::Path;

/// What is said of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Its name.
    pub check: String,
    /// Whether it can work.
    pub verdict: Verdict,
    /// Why; at least one clause.
    pub why: Vec<String>,
    /// What would help, if anything is to be done.
    pub remedies: Vec<Remedy>,
}

/// Whether a check can work. The worst part decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// This host has nothing that the check would need a right for.
    NotNeeded,
    /// It can see all.
    Works,
    /// It works, and says of some things that it may not see them.
    Partly,
    /// It can only say that it may not look.
    Cannot,
}

/// What would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// One line for root's shell.
    Command(String),
    /// Something that no one line does.
    Advice(String),
}

impl Remedy {
    /// In words.
    pub fn say(&self) -> &str {
        match self {
            Self::Command(text) | Self::Advice(text) => text,
        }
    }
}

/// Facts about one call.
struct Case<'c> {
    entry: &'c Entry,
    program: &'c Program,
    subject: &'c Subject,
    site: &'c Site,
    diagnosis: Diagnosis,
    absent: Vec<&'static str>,
    /// Capabilities that are missing and matter here.
    missing: BTreeSet<&'static str>,
}

/// The diagnosis of one check.
pub fn judge(
    entry: &Entry,
    program: Option<&Program>,
    subject: &Subject,
    site: &Site,
) -> Diagnosis {
    let diagnosis = Diagnosis {
        check: entry.name.clone(),
        verdict: Verdict::NotNeeded,
        why: Vec::new(),
        remedies: Vec::new(),
    };
    let Some(program) = program else {
        let advice = format!("install {}: it is in no place of the packages", entry.name);
        let why = vec!["it is not installed".to_owned()];
        let remedies = vec![Remedy::Advice(advice)];
        return Diagnosis { verdict: Verdict::Cannot, why, remedies, ..diagnosis };
    };
    let (absent, missing) = (Vec::new(), BTreeSet::new());
    let mut case = Case { entry, program, subject, site, diagnosis, absent, missing };
    case.judge();
    case.conclude()
}

impl Case<'_> {
    fn judge(&mut self) {
        if !self.may_run() {
            return;
        }
        let needs = |name: &str| self.entry.rights.capabilities.iter().any(|known| known == name);
        let [pings, enters, traces] = ["cap_net_raw", "cap_sys_admin", "cap_sys_ptrace"].map(needs);
        let daemons: BTreeSet<Daemon> =
            self.entry.rights.sockets.iter().filter_map(|socket| Daemon::of(socket)).collect();
        for daemon in daemons {
            self.judge_daemon(daemon);
        }
        if pings {
            self.judge_ping();
        }
        if enters || traces {
            self.judge_namespaces(enters, traces);
        }
    }

    fn find(&mut self, verdict: Verdict, why: impl Into<String>) {
        self.diagnosis.verdict = self.diagnosis.verdict.max(verdict);
        self.diagnosis.why.push(why.into());
    }

    fn remedy(&mut self, remedy: Remedy) {
        if !self.diagnosis.remedies.contains(&remedy) {
            self.diagnosis.remedies.push(remedy);
        }
    }

    fn may_run(&mut self) -> bool {
        let Mode { gid, bits, .. } = self.program.mode;
        if self.subject.uid == 0 && bits & 0o111 != 0 || allows(self.program.mode, self.subject, 1)
        {
            return true;
        }
        self.find(Verdict::Cannot, format!("may not be run ({})", self.program.path.display()));
        match self.site.groups.get(&gid).filter(|_| bits & 0o010 != 0).cloned() {
            Some(group) => self.join(gid, &group),
            None => {
                let path = quoted(&self.program.path);
                self.remedy(Remedy::Command(format!("chmod a+x {path}")));
            }
        }
        false
    }

    /// A group that the user should be in.
    fn join(&mut self, gid: u32, group: &str) {
        let user = &self.subject.name;
        let remedy = if self.subject.waiting.contains(&gid) {
            self.diagnosis.why.push(format!("group {group} does not count yet"));
            match self.subject.agent.as_ref().and_then(|agent| agent.unit.as_ref()) {
                Some(unit) => Remedy::Command(format!("systemctl restart {unit}")),
                None => Remedy::Advice(format!(
                    "start what runs as {user} again: it was started before the user was in group {group}"
                )),
            }
        } else {
            Remedy::Command(format!("usermod --append --groups {group} {user}"))
        };
        self.remedy(remedy);
    }

    /// Whether the check has a capability when it runs.
    fn has(&self, capability: Capability) -> bool {
        let bit = capability.bit();
        let Program { gives, nosuid, .. } = self.program;
        let by_file = gives.effective && !nosuid && !self.subject.no_new_privs;
        let may = self.subject.bounding & bit != 0;
        may && (self.subject.own & bit != 0 || by_file && gives.permitted & bit != 0)
    }

    /// Notes a capability that the check lacks, and says so in the verdict.
    fn lacks(&mut self, name: &'static str, verdict: Verdict, without: &str) {
        self.missing.insert(name);
        self.find(verdict, format!("without {name} {without}"));
    }

    fn judge_daemon(&mut self, daemon: Daemon) {
        let sockets = self.site.sockets.get(&daemon).map(Vec::as_slice).unwrap_or_default();
        if sockets.is_empty() {
            return self.absent.push(daemon.name());
        }
        let name = daemon.name();
        let lent = daemon == Daemon::Ovs && self.has(rights::DAC_OVERRIDE);
        let shut = sockets.iter().find(|socket| !may_connect(socket, self.subject)).cloned();
        match shut {
            None => self.find(Verdict::Works, format!("{name} may be asked")),
            Some(_) if lent => self.find(Verdict::Works, format!("{name} by cap_dac_override")),
            Some(socket) => {
                let what = format!("{name}: {} may not be opened", socket.path.display());
                self.find(Verdict::Cannot, what);
                self.let_in(daemon, &socket);
            }
        }
        if sockets.iter().all(|socket| socket.listening == Some(false)) {
            self.diagnosis.why.push(format!("nobody listens there: start {name}"));
        }
    }

    /// What opens a socket: the group it belongs to, if that helps; else the capability.
    fn let_in(&mut self, daemon: Daemon, socket: &Socket) {
        let Some(group) = daemon.group() else {
            self.missing.insert("cap_dac_override");
            return;
        };
        let of_socket = socket.modes.as_ref().and_then(|modes| modes.first());
        match self.site.group(group) {
            Some(gid) if of_socket.is_none_or(|mode| mode.gid == gid && mode.bits & 0o020 != 0) => {
                self.join(gid, group);
            }
            _ if daemon == Daemon::Vpp => self.remedy(Remedy::Advice(
                "give VPP's CLI socket to a group: `unix { gid vpp }` in startup.conf".to_owned(),
            )),
            _ => self.remedy(Remedy::Advice(format!(
                "let group {group} open {}",
                socket.path.display()
            ))),
        }
    }

    fn judge_ping(&mut self) {
        let open = self.site.ping_groups.as_ref();
        if open.is_some_and(|range| self.subject.groups.iter().any(|gid| range.contains(gid))) {
            return self.find(Verdict::Works, "pings by net.ipv4.ping_group_range");
        }
        match self.has(rights::NET_RAW) {
            true => self.find(Verdict::Works, "pings by cap_net_raw"),
            false => self.lacks("cap_net_raw", Verdict::Cannot, "it may not ping"),
        }
    }

    fn judge_namespaces(&mut self, enters: bool, traces: bool) {
        match self.site.namespaces {
            Namespaces::None => self.absent.push("named network namespace"),
            Namespaces::NotPropagated => {
                self.find(Verdict::Cannot, "no name in /run/netns is a namespace here");
                self.remedy(Remedy::Advice(
                    "in a container mount /run/netns with propagation (--volume \
                     /run/netns:/run/netns:rslave); on the host remove stale names from it"
                        .to_owned(),
                ));
            }
            Namespaces::Live => {
                let before = self.missing.len();
                if enters && !self.has(rights::SYS_ADMIN) {
                    self.lacks("cap_sys_admin", Verdict::Partly, "it enters no namespace");
                }
                if traces && !self.has(rights::SYS_PTRACE) {
                    let without = "it does not see where processes live";
                    self.lacks("cap_sys_ptrace", Verdict::Partly, without);
                }
                if self.missing.len() == before {
                    self.find(Verdict::Works, "sees into namespaces");
                }
                self.judge_hidepid();
            }
        }
    }

    fn judge_hidepid(&mut self) {
        let Some(hidepid) = self.site.hidepid else { return };
        let member = self.subject.groups.contains(&hidepid.group);
        if self.subject.uid == 0 || member || self.has(rights::SYS_PTRACE) {
            return;
        }
        self.find(Verdict::Partly, "/proc hides the processes of others (hidepid)");
        match self.site.groups.get(&hidepid.group).filter(|_| hidepid.group != 0).cloned() {
            Some(group) => self.join(hidepid.group, &group),
            None => self.remedy(Remedy::Advice(
                "mount /proc with gid= of a group that the user is in, or without hidepid"
                    .to_owned(),
            )),
        }
    }

    /// Why a capability that the file has does not count, or how the file gets it.
    fn grant(&mut self) {
        let missing: Vec<(&str, u64)> = self
            .missing
            .iter()
            .filter_map(|name| Some((*name, Capability::named(name)?.bit())))
            .collect();
        let Program { gives, nosuid, ref path, .. } = *self.program;
        let bits = missing.iter().fold(0, |all, (_, bit)| all | bit);
        if !gives.effective || gives.permitted & bits != bits {
            let all = self.entry.rights.capabilities.join(",");
            self.remedy(Remedy::Command(format!("setcap {all}=ep {}", quoted(path))));
        }
        if nosuid {
            self.diagnosis.why.push("its file system is mounted nosuid".to_owned());
            self.remedy(Remedy::Advice(format!(
                "put {} on a file system that is not mounted nosuid",
                path.display()
            )));
        }
        if self.subject.no_new_privs {
            self.diagnosis.why.push("NoNewPrivileges is set".to_owned());
            self.edit("NoNewPrivileges=no");
        }
        let barred = missing.iter().filter(|(_, bit)| self.subject.bounding & bit == 0);
        let barred: Vec<String> = barred.map(|(name, _)| name.to_uppercase()).collect();
        if !barred.is_empty() {
            self.diagnosis
                .why
                .push(format!("{} is out of bounds", barred.join(", ").to_lowercase()));
            self.edit(&format!("CapabilityBoundingSet={}", barred.join(" ")));
        }
    }

    /// A setting of the unit that runs the checks.
    fn edit(&mut self, setting: &str) {
        let unit = self.subject.agent.as_ref().and_then(|agent| agent.unit.as_deref());
        self.remedy(match unit {
            Some(unit) => {
                let dir = format!("/etc/systemd/system/{unit}.d");
                let file = setting.split('=').next().unwrap_or_default();
                Remedy::Command(format!(
                    "mkdir -p {dir} && printf '[Service]\\n{setting}\\n' > {dir}/calipso-{file}.conf \
                     && systemctl daemon-reload && systemctl restart {unit}"
                ))
            }
            None => Remedy::Advice(format!("run it by what is started with {setting}")),
        });
    }

    fn conclude(mut self) -> Diagnosis {
        if !self.missing.is_empty() {
            self.grant();
        }
        if self.diagnosis.why.is_empty() {
            if self.absent.is_empty() {
                self.find(Verdict::Works, "it needs no right");
            } else {
                self.find(Verdict::NotNeeded, format!("no {}", self.absent.join(", no ")));
            }
        }
        self.diagnosis
    }
}

/// Whether the bits of a file let a user do something; root's rights are not asked.
fn allows(mode: Mode, subject: &Subject, wanted: u32) -> bool {
    let bits = match mode {
        Mode { uid, bits, .. } if uid == subject.uid => bits >> 6,
        Mode { gid, bits, .. } if subject.groups.contains(&gid) => bits >> 3,
        Mode { bits, .. } => bits,
    };
    bits & wanted == wanted
}

/// Whether a user may connect: write to the socket, and pass each directory above it.
fn may_connect(socket: &Socket, subject: &Subject) -> bool {
    const WRITE: u32 = 2;
    const PASS: u32 = 1;
    if subject.own & rights::DAC_OVERRIDE.bit() != 0 {
        return true;
    }
    let Some(modes) = &socket.modes else { return false };
    let wanted = std::iter::once(WRITE).chain(std::iter::repeat(PASS));
    modes.iter().zip(wanted).all(|(mode, wanted)| allows(*mode, subject, wanted))
}

/// A path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::program::FileRights;
    use crate::doctor::site::{Agent, Hidepid};
    use crate::manifest::book::Book;
    use crate::rights::{DAC_OVERRIDE, NET_RAW, SYS_ADMIN, SYS_PTRACE};

    const ROOTS: Mode = Mode { uid: 0, gid: 0, bits: 0o755 };

    fn sensu() -> Subject {
        let groups = BTreeSet::from([991]);
        let bounding = u64::MAX;
        Subject { name: "sensu".into(), uid: 992, groups, bounding, ..Subject::default() }
    }

    fn program(gives: &[Capability]) -> Program {
        let permitted = gives.iter().fold(0, |all, capability| all | capability.bit());
        let gives = FileRights { permitted, effective: true };
        Program { path: "/opt/check_x".into(), mode: ROOTS, gives, nosuid: false }
    }

    fn socket(path: &str, gid: u32, bits: u32) -> Vec<Socket> {
        let modes = vec![Mode { uid: 0, gid, bits }, ROOTS, ROOTS];
        vec![Socket { path: path.into(), modes: Some(modes), listening: None }]
    }

    /// Open vSwitch as Debian has it, VPP and libvirt with their groups, namespaces.
    fn site() -> Site {
        Site {
            sockets: [
                (Daemon::Ovs, socket("/var/run/openvswitch/db.sock", 0, 0o750)),
                (Daemon::Vpp, socket("/run/vpp/cli.sock", 105, 0o770)),
                (Daemon::Libvirt, socket("/run/libvirt/libvirt-sock-ro", 0, 0o777)),
            ]
            .into(),
            namespaces: Namespaces::Live,
            groups: [(105, "vpp".to_owned()), (110, "calipso-checks".to_owned())].into(),
            ..Site::default()
        }
    }

    fn judged(check: &str, program: &Program, subject: &Subject, site: &Site) -> Diagnosis {
        let book = Book::load(Path::new("/nonexistent")).expect("ours");
        judge(book.entry(check).expect("an entry"), Some(program), subject, site)
    }

    fn fixed(diagnosis: &Diagnosis) -> Vec<&str> {
        diagnosis.remedies.iter().map(Remedy::say).collect()
    }

    #[test]
    fn what_a_check_lacks_is_granted_to_its_file() {
        let none = program(&[]);
        for (check, verdict, command) in [
            ("check_ovs_port", Verdict::Cannot, "setcap cap_dac_override=ep /opt/check_x"),
            ("check_otep", Verdict::Cannot, "setcap cap_dac_override,cap_net_raw=ep /opt/check_x"),
            ("check_ping", Verdict::Cannot, "setcap cap_net_raw=ep /opt/check_x"),
            (
                "check_vservice",
                Verdict::Partly,
                "setcap cap_sys_ptrace,cap_sys_admin=ep /opt/check_x",
            ),
            ("check_instance_vnic", Verdict::Partly, "setcap cap_sys_admin=ep /opt/check_x"),
            ("check_vedge_vpp", Verdict::Cannot, "usermod --append --groups vpp sensu"),
        ] {
            let seen = judged(check, &none, &sensu(), &site());
            assert_eq!((seen.verdict, fixed(&seen)), (verdict, vec![command]), "{check}");
        }
        for check in ["check_pnic_ovs", "check_vm"] {
            let seen = judged(check, &none, &sensu(), &site());
            assert_eq!((seen.verdict, fixed(&seen)), (Verdict::Works, vec![]), "{check}");
        }
        let all = program(&[DAC_OVERRIDE, NET_RAW, SYS_ADMIN, SYS_PTRACE]);
        for check in ["check_ovs_port", "check_otep", "check_ping", "check_vservice"] {
            let seen = judged(check, &all, &sensu(), &site());
            assert_eq!((seen.verdict, fixed(&seen)), (Verdict::Works, vec![]), "{check}");
        }
    }

    #[test]
    fn what_this_host_lacks_is_not_missed() {
        let bare = Site { ping_groups: Some(0..=u32::MAX), ..Site::default() };
        for (check, verdict, why) in [
            ("check_vedge_vpp", Verdict::NotNeeded, "no VPP"),
            ("check_ovs_port", Verdict::NotNeeded, "no Open vSwitch"),
            ("check_vconnector", Verdict::NotNeeded, "no Open vSwitch, no VPP"),
            ("check_vservice", Verdict::NotNeeded, "no named network namespace"),
            ("check_ping", Verdict::Works, "pings by net.ipv4.ping_group_range"),
        ] {
            let seen = judged(check, &program(&[]), &sensu(), &bare);
            assert_eq!((seen.verdict, seen.why.as_slice()), (verdict, &[why.to_owned()][..]));
        }
    }

    #[test]
    fn a_capability_that_does_not_count_is_told_with_the_reason() {
        let given = program(&[DAC_OVERRIDE]);
        let agent = Agent { unit: Some("sensu-agent.service".into()), ..Agent::default() };
        let barred = Subject { no_new_privs: true, agent: Some(agent), ..sensu() };
        let seen = judged("check_ovs_port", &given, &barred, &site());
        assert_eq!(seen.verdict, Verdict::Cannot);
        assert!(seen.why.contains(&"NoNewPrivileges is set".to_owned()), "{seen:?}");
        let fix = fixed(&seen);
        assert!(fix.len() == 1 && fix[0].contains("NoNewPrivileges=no"), "{seen:?}");
        assert!(fix[0].contains("sensu-agent.service.d/calipso-NoNewPrivileges.conf"), "{seen:?}");

        let bounded = Subject { bounding: NET_RAW.bit(), ..sensu() };
        let seen = judged("check_ovs_port", &given, &bounded, &site());
        assert!(fixed(&seen)[0].contains("CapabilityBoundingSet=CAP_DAC_OVERRIDE"), "{seen:?}");

        let nosuid = Program { nosuid: true, ..given.clone() };
        let seen = judged("check_ovs_port", &nosuid, &sensu(), &site());
        assert!(seen.verdict == Verdict::Cannot && fixed(&seen)[0].contains("nosuid"), "{seen:?}");

        // The agent has it itself: nothing of the file is needed.
        let ambient = Subject { own: DAC_OVERRIDE.bit(), no_new_privs: true, ..sensu() };
        let seen = judged("check_ovs_port", &program(&[]), &ambient, &site());
        assert_eq!(seen.verdict, Verdict::Works, "{seen:?}");
        // A file with `+p` alone gives nothing to a program that raises nothing of its inheritance.
        let dormant = FileRights { effective: false, ..given.gives };
        let seen =
            judged("check_ovs_port", &Program { gives: dormant, ..given }, &sensu(), &site());
        assert_eq!(seen.verdict, Verdict::Cannot, "{seen:?}");
    }

    #[test]
    fn groups_count_where_they_are_of_the_session() {
        let mut member = sensu();
        member.waiting.insert(105);
        let seen = judged("check_vedge_vpp", &program(&[]), &member, &site());
        assert_eq!(seen.verdict, Verdict::Cannot);
        assert!(fixed(&seen)[0].starts_with("start what runs as sensu again"), "{seen:?}");
        member.groups.insert(105);
        let seen = judged("check_vedge_vpp", &program(&[]), &member, &site());
        assert_eq!((seen.verdict, fixed(&seen)), (Verdict::Works, vec![]));
        // A program for a group of its own.
        let strong = Program { mode: Mode { gid: 110, bits: 0o750, ..ROOTS }, ..program(&[]) };
        let seen = judged("check_vservice", &strong, &sensu(), &site());
        assert_eq!(fixed(&seen), ["usermod --append --groups calipso-checks sensu"]);
        assert_eq!(seen.verdict, Verdict::Cannot);
    }

    #[test]
    fn containers_and_hidden_processes_are_told() {
        let given = program(&[SYS_ADMIN]);
        let inside = Site { namespaces: Namespaces::NotPropagated, ..site() };
        let seen = judged("check_instance_vnic", &given, &sensu(), &inside);
        assert!(seen.verdict == Verdict::Cannot && fixed(&seen)[0].contains("rslave"), "{seen:?}");
        let hidden = Site { hidepid: Some(Hidepid { group: 110 }), ..site() };
        let seen = judged("check_instance_vnic", &given, &sensu(), &hidden);
        assert_eq!(seen.verdict, Verdict::Partly, "{seen:?}");
        assert_eq!(fixed(&seen), ["usermod --append --groups calipso-checks sensu"]);
    }

    #[test]
    fn nobody_listening_is_no_lack_of_rights() {
        let mut site = site();
        let sockets = site.sockets.get_mut(&Daemon::Libvirt).expect("libvirt");
        sockets[0].listening = Some(false);
        let seen = judged("check_vm", &program(&[]), &sensu(), &site);
        assert_eq!(seen.verdict, Verdict::Works);
        assert!(seen.why.contains(&"nobody listens there: start libvirt".to_owned()), "{seen:?}");
    }
}
