//! Whether a port of Open vSwitch works: the rules for what the database says of it, beside what the
//! kernel says. What is wrong with one is told by the codes of the check that asks.

use crate::host::ovs::ports::{Devices, Tables};
use crate::host::ovs::row::{Bridge, Interface, Port};
use crate::plugin::code::UNREADABLE;
use crate::plugin::spec::Code;
use crate::plugin::text::count;

/// The codes a check has for what can be wrong with a port.
pub(super) struct PortCodes {
    /// ovs-vswitchd could not set it up.
    pub(super) error: &'static Code,
    /// ovs-vswitchd has not taken it up.
    pub(super) not_configured: &'static Code,
    /// Its network device is gone from the kernel.
    pub(super) no_device: &'static Code,
    /// Switched off.
    pub(super) admin_down: &'static Code,
    /// No link, or no member of the bond has one.
    pub(super) link_down: &'static Code,
    /// A member of a bond is down, others work.
    pub(super) member_down: &'static Code,
    /// Tag 4095.
    pub(super) dead_vlan: &'static Code,
    /// No tag where Neutron's agent sets one.
    pub(super) no_tag: &'static Code,
    /// Not ovn-installed where siblings are.
    pub(super) not_wired: &'static Code,
    /// vhost-user without a connected guest.
    pub(super) guest_off: &'static Code,
    /// Patch port whose peer is missing or not joined back.
    pub(super) no_peer: &'static Code,
    /// BFD session not up.
    pub(super) bfd_down: &'static Code,
    /// A member of a bond has no current LACP partner.
    pub(super) lacp_defaulted: &'static Code,
    /// No member has one.
    pub(super) lacp_none: &'static Code,
    /// As before, and the bond fell back to active-backup.
    pub(super) lacp_fallback: &'static Code,
    /// An internal port reads down and its device cannot be looked for.
    pub(super) not_comparable: &'static Code,
}

type Fault = (&'static Code, String);

/// Neutron's VLAN for ports that it gave up on.
const DEAD_VLAN: u64 = 4095;
/// `OFPP_LOCAL`: the port that a bridge itself is.
const LOCAL: i64 = 65534;

/// One thing to be judged: a port, or one interface of it that was asked for by name.
pub(super) struct Subject<'t> {
    /// The name it was asked for by.
    pub(super) name: &'t str,
    /// The port.
    pub(super) port: &'t Port,
    /// Its bridge.
    pub(super) bridge: Option<&'t Bridge>,
    /// Its interfaces: several make a bond.
    pub(super) interfaces: Vec<&'t Interface>,
}

impl<'t> Subject<'t> {
    /// A whole port.
    pub(super) fn whole(tables: &'t Tables, port: &'t Port) -> Self {
        let (bridge, interfaces) = (tables.bridge_of(port), tables.interfaces_of(port));
        Self { name: &port.name, port, bridge, interfaces }
    }

    /// Whether a row of it is missing: it was changed between two questions.
    fn incomplete(&self, tables: &Tables) -> bool {
        self.port.interfaces.0.iter().any(|uuid| !tables.interfaces.contains_key(uuid))
    }

    /// The port that is the bridge itself.
    pub(super) fn is_local(&self, interface: &Interface) -> bool {
        interface.ofport.0 == Some(LOCAL)
            || (interface.kind == "internal"
                && self.bridge.is_some_and(|bridge| bridge.name == interface.name))
    }
}

/// What is known of an internal port that reads down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Down<'d> {
    /// It is down, here or in the namespace that it was moved into.
    Really,
    /// It was moved, and what it does there ovs-vswitchd does not see.
    Unseen,
    /// It was moved and is switched off there by Neutron.
    Meant,
    /// Why it is not known whether it was moved.
    Unknown(&'d str),
}

impl Interface {
    pub(super) fn reads_down(&self) -> bool {
        let down = |state: &Option<String>| state.as_deref() == Some("down");
        down(&self.admin_state.0) || down(&self.link_state.0)
    }

    /// Whether it is an internal port that was moved out of ovs-vswitchd's namespace.
    pub(super) fn is_moved(&self, devices: &Devices) -> bool {
        self.kind == "internal"
            && matches!(devices, Devices::Known(names) if !names.contains(&self.name))
    }

    /// Whether ovs-vswitchd sees its device: only then the row has an MTU. The kernel tells of ports of
    /// its own datapath in any namespace, but only of changes: one that was moved before ovs-vswitchd
    /// started reads down, up as it may be. The userspace datapath loses sight of what is moved. (Seen
    /// with Open vSwitch 3.1 on Linux 6.1.)
    pub(super) fn is_seen(&self) -> bool {
        self.mtu.0.is_some()
    }

    /// What is known of it, an internal port that reads down.
    pub(super) fn down<'d>(&self, devices: &'d Devices) -> Down<'d> {
        // Neutron switches the gateway of a router off on its backups; which those are, only
        // check_vservice knows.
        let gateway = self.name.starts_with("qg-");
        match devices {
            Devices::Known(_) if !self.is_moved(devices) => Down::Really,
            Devices::Known(_) if !self.is_seen() => Down::Unseen,
            Devices::Known(_) if gateway => Down::Meant,
            Devices::NotComparable(why) if gateway || !self.is_seen() => Down::Unknown(why),
            _ => Down::Really,
        }
    }
}

/// What a port is judged by.
#[derive(Clone, Copy)]
pub(super) struct Rules<'t> {
    /// What was read.
    pub(super) tables: &'t Tables,
    /// The devices of the kernel.
    pub(super) devices: &'t Devices,
    /// What faults are called.
    pub(super) codes: &'static PortCodes,
}

impl Rules<'_> {
    /// What is wrong with a port.
    pub(super) fn faults(&self, subject: &Subject) -> Vec<Fault> {
        let mut faults = Vec::new();
        if subject.incomplete(self.tables) {
            let text = "an interface of it vanished while it was read";
            faults.push((&UNREADABLE, text.to_owned()));
        }
        if subject.interfaces.len() > 1 {
            self.bond(&mut faults, subject);
        } else {
            let interfaces = subject.interfaces.iter();
            faults.extend(interfaces.flat_map(|interface| self.interface(interface, subject)));
        }
        faults.extend(self.lacp(subject));
        faults.extend(self.tag(subject));
        for interface in &subject.interfaces {
            if self.not_wired(interface, subject) {
                let text = "OVN has not installed it (no ovn-installed), its siblings it has";
                faults.push((self.codes.not_wired, text.to_owned()));
            }
        }
        faults
    }

    /// What is wrong with one interface, the first cause only: what follows from it says no more.
    pub(super) fn interface(&self, interface: &Interface, subject: &Subject) -> Vec<Fault> {
        let codes = self.codes;
        if interface.kind == "patch"
            && let Some(fault) = self.patch(interface)
        {
            return vec![fault];
        }
        if let Some(error) = &interface.error.0 {
            return vec![(codes.error, error.clone())];
        }
        if gone_from_kernel(interface, self.devices) {
            return vec![(
                codes.no_device,
                "its network device is gone from the kernel".to_owned(),
            )];
        }
        let untouched = interface.admin_state.0.is_none() || interface.link_state.0.is_none();
        if untouched && interface.kind != "patch" {
            return vec![(codes.not_configured, "ovs-vswitchd has not taken it up".to_owned())];
        }
        if subject.is_local(interface) {
            return Vec::new();
        }
        if interface.kind == "internal" && interface.reads_down() {
            return self.internal_down(interface).into_iter().collect();
        }
        let mut faults = Vec::new();
        match (interface.admin_state.0.as_deref(), interface.link_state.0.as_deref()) {
            // A patch port has no link of its own: its peer was looked at.
            _ if interface.kind == "patch" => {}
            (Some("down"), _) => {
                faults.push((codes.admin_down, "is switched off (admin-down)".to_owned()));
            }
            (_, Some("down")) if interface.kind.starts_with("dpdkvhostuser") => {
                faults.push((codes.guest_off, "no guest is connected (vhost-user)".to_owned()));
            }
            (_, Some("down")) => faults.push((codes.link_down, "link is down".to_owned())),
            _ => {}
        }
        faults.extend(self.bfd(interface));
        faults
    }

    fn internal_down(&self, interface: &Interface) -> Option<Fault> {
        let codes = self.codes;
        match interface.down(self.devices) {
            Down::Unseen | Down::Meant => None,
            Down::Really if interface.admin_state.0.as_deref() == Some("down") => {
                Some((codes.admin_down, "is switched off (admin-down)".to_owned()))
            }
            Down::Really => Some((codes.link_down, "link is down".to_owned())),
            Down::Unknown(why) => Some((
                codes.not_comparable,
                format!("reads down; whether it was moved into a namespace is not known: {why}"),
            )),
        }
    }

    fn patch(&self, interface: &Interface) -> Option<Fault> {
        let no_peer = self.codes.no_peer;
        let Some(peer) = interface.options.get("peer") else {
            return Some((no_peer, "patch port without a peer".to_owned()));
        };
        match self.tables.interface(peer) {
            None => Some((no_peer, format!("its peer {peer} does not exist"))),
            Some(other) if other.options.get("peer") != Some(&interface.name) => {
                Some((no_peer, format!("its peer {peer} is not joined back to it")))
            }
            Some(_) => None,
        }
    }

    fn bfd(&self, interface: &Interface) -> Option<Fault> {
        if interface.bfd.get("enable").is_none_or(|enabled| enabled != "true") {
            return None;
        }
        let status = |key: &str| interface.bfd_status.get(key).map(String::as_str);
        let state = status("state").unwrap_or("without a state");
        if state == "up" {
            return None;
        }
        let diagnostic = status("diagnostic").filter(|d| !d.is_empty() && *d != "No Diagnostic");
        let remote = interface.options.get("remote_ip").map(|ip| format!(" to {ip}"));
        Some((
            self.codes.bfd_down,
            format!(
                "BFD{} is {state}{}",
                remote.unwrap_or_default(),
                diagnostic.map(|d| format!(": {d}")).unwrap_or_default()
            ),
        ))
    }

    /// A bond works while one member does. Its members' faults count as one of them until none works.
    fn bond(&self, faults: &mut Vec<Fault>, subject: &Subject) {
        let mut working = 0;
        for member in &subject.interfaces {
            let own = self.interface(member, subject);
            working += usize::from(own.is_empty());
            for (_, text) in own {
                faults.push((self.codes.member_down, format!("member {}: {text}", member.name)));
            }
        }
        if working == 0 {
            let members = count(subject.interfaces.len(), "member");
            faults.push((self.codes.link_down, format!("none of its {members} works")));
        }
    }

    /// LACP is judged for the whole port, also where one member is asked for: a bond without any
    /// current member carries nothing.
    fn lacp(&self, subject: &Subject) -> Vec<Fault> {
        let codes = self.codes;
        let all = self.tables.interfaces_of(subject.port);
        let lacp: Vec<_> =
            all.iter().filter_map(|member| Some((&member.name, member.lacp_current.0?))).collect();
        let current = lacp.iter().filter(|(_, current)| *current).count();
        let fallback = subject.port.other_config.get("lacp-fallback-ab");
        match (lacp.is_empty(), current, fallback.is_some_and(|value| value == "true")) {
            (true, _, _) => Vec::new(),
            (_, 0, true) => {
                let text = "no LACP partner, fell back to active-backup";
                vec![(codes.lacp_fallback, text.to_owned())]
            }
            (_, 0, false) => vec![(codes.lacp_none, "no member has an LACP partner".to_owned())],
            _ => {
                let asked = |member: &String| subject.interfaces.iter().any(|i| i.name == *member);
                let defaulted = lacp.iter().filter(|(member, current)| !current && asked(member));
                let told = defaulted.map(|(member, _)| {
                    let text = format!("member {member}: no current LACP partner (defaulted)");
                    (codes.lacp_defaulted, text)
                });
                told.collect()
            }
        }
    }

    /// Tag 4095 is dead everywhere. A missing tag is a fault only where Neutron's OVS agent tags:
    /// trunk parents and everything under OVN have none.
    fn tag(&self, subject: &Subject) -> Option<Fault> {
        let port = subject.port;
        if port.tag.0 == Some(DEAD_VLAN) {
            let text = "tag 4095: dead VLAN or port admin-down in Neutron";
            return Some((self.codes.dead_vlan, text.to_owned()));
        }
        let access = port.vlan_mode.0.as_deref().is_none_or(|mode| mode == "access");
        let agent_tags = port.other_config.get("net_uuid").is_some()
            && port.trunks.0.is_empty()
            && access
            && !subject.bridge.is_some_and(|bridge| bridge.name.starts_with("tbr-"))
            && !subject.interfaces.iter().any(|interface| interface.ovn_installed());
        (agent_tags && port.tag.0.is_none())
            .then(|| (self.codes.no_tag, "no VLAN tag though Neutron's agent sets one".to_owned()))
    }

    fn not_wired(&self, interface: &Interface, subject: &Subject) -> bool {
        self.tables.ovn_installs
            && interface.may_lack_ovn()
            && subject.port.other_config.get("net_uuid").is_none()
    }
}

/// OVSDB says nothing when an attached device is deleted. Internal ports are left out: those in
/// namespaces are missing here and work.
fn gone_from_kernel(interface: &Interface, devices: &Devices) -> bool {
    match devices {
        Devices::Known(names) => {
            interface.kind != "internal"
                && interface.has_device()
                && interface.admin_state.0.is_some()
                && !names.contains(&interface.name)
        }
        Devices::NotComparable(_) => false,
    }
}
