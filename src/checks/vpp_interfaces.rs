//! Interfaces of VPP: what is the same for its pNICs and its vNICs.
//!
//! Link is not the administrator's will: an interface that was never switched on shows link `up`.
//! The one is judged from `show interface`, the other from `show hardware-interfaces`.

use crate::checks::vpp_place::{LifeCodes, MeasureArgs, PlaceArgs, no_answer};
use crate::checks::{vconnector_vpp, without_answer};
use crate::host::vpp::bonds::{Bond, Lacp};
use crate::host::vpp::bridge::BridgeDomain;
use crate::host::vpp::guests::Guest;
use crate::host::vpp::interfaces::{
    Admin, Counters, Interface, Interfaces, Link, Wanted, carrier, is_bond, sayable,
};
use crate::host::vpp::{NoAnswer, Session};
use crate::host::{Host, Trouble, Why, words};
use crate::plugin::code::UNREADABLE;
use crate::plugin::report::Report;
use crate::plugin::spec::{Code, FactSpec, MetricSpec};
use crate::plugin::text::count;
use crate::plugin::verdict::Asked;
use regex::bytes::Regex;
use std::borrow::Cow;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Interfaces by name [default: all of this kind]
    #[arg(value_name = "NAME", value_parser = interface_name)]
    pub names: Vec<String>,
    /// Interfaces whose name matches
    #[arg(long = "match", value_name = "REGEX", value_parser = words::regex, conflicts_with = "names")]
    pub match_: Option<Regex>,
    /// Those in this bridge domain; or, by name, those that must be in it
    #[arg(long, value_name = "ID", value_parser = vconnector_vpp::id())]
    pub bridge_domain: Option<u32>,
    /// Where VPP is.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// What is measured.
    #[command(flatten)]
    pub measure: MeasureArgs,
}

fn interface_name(text: &str) -> Result<String, String> {
    const LONGEST: usize = 255;
    if text.len() > LONGEST || !sayable(text) {
        return Err(format!("'{}' is no name of an interface", text.escape_default()));
    }
    Ok(text.to_owned())
}

/// What a check of interfaces is about, and its words for it.
pub(super) struct Kind {
    /// `pNIC`.
    pub(super) noun: &'static str,
    /// The default: names of this kind.
    pub(super) is: fn(&str) -> bool,
    /// Whether bonds are of this kind too, where there is something that they can carry.
    pub(super) bonds: bool,
    /// Codes.
    pub(super) codes: Codes,
    /// Metrics.
    pub(super) metrics: Metrics,
    /// Facts.
    pub(super) facts: Facts,
}

#[allow(missing_docs, reason = "named as in the manifest")]
pub(super) struct Codes {
    pub(super) life: LifeCodes,
    pub(super) absent: &'static Code,
    pub(super) none: &'static Code,
    pub(super) admin_down: &'static Code,
    pub(super) link_down: &'static Code,
    pub(super) error: &'static Code,
    pub(super) wrong_bridge: &'static Code,
    pub(super) guest_off: &'static Code,
    pub(super) member_down: &'static Code,
    pub(super) lacp_none: &'static Code,
    pub(super) lacp_defaulted: &'static Code,
}

#[allow(missing_docs, reason = "named as in the manifest")]
pub(super) struct Metrics {
    pub(super) link_state: &'static MetricSpec,
    pub(super) admin_state: &'static MetricSpec,
    pub(super) speed: &'static MetricSpec,
    /// In the order of [`counts`].
    pub(super) counters: [&'static MetricSpec; 10],
    pub(super) connected: &'static MetricSpec,
    pub(super) queues: &'static MetricSpec,
    pub(super) ring: &'static MetricSpec,
    pub(super) members: &'static MetricSpec,
    pub(super) members_active: &'static MetricSpec,
    pub(super) lacp_partners: &'static MetricSpec,
}

#[allow(missing_docs, reason = "named as in the manifest")]
pub(super) struct Facts {
    pub(super) role: &'static FactSpec,
    pub(super) socket: &'static FactSpec,
    pub(super) bond_mode: &'static FactSpec,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// The interfaces.
    pub interfaces: Interfaces,
    /// The bridge domain that was asked for: `None` inside if there is none.
    pub domain: Option<Option<BridgeDomain>>,
    /// The far ends of virtual interfaces, where asked for.
    pub guests: Vec<Guest>,
    /// Bonds, where asked for and VPP knows of them.
    pub bonds: Option<Vec<Bond>>,
    /// LACP on members of bonds, likewise.
    pub lacp: Option<Vec<Lacp>>,
    /// What could not be seen of what was asked for beyond the verdict.
    pub missing: Vec<Trouble>,
    /// Commands that this VPP does not know.
    pub unknown: Vec<&'static str>,
    /// Whether counters were read of all of them.
    pub counters: bool,
}

/// What a check of interfaces knows: no answer, or what was seen.
pub type Known = Result<Seen, Box<NoAnswer>>;

/// Interfaces whose counters are read and measured without being asked for: of more of them they
/// would be cut from the output anyway, and take time and memory until then.
const COUNTED_UNASKED: usize = 32;

pub(super) fn gather(args: &Args, kind: &Kind, asked: &Asked, host: &Host) -> Known {
    let place = args.place.place();
    let mut session = Session::new(&place, host);
    let seen = look(&mut session, args, kind, asked);
    seen.map_err(|trouble| Box::new(session.no_answer(trouble)))
}

fn look(session: &mut Session, args: &Args, kind: &Kind, asked: &Asked) -> Result<Seen, Trouble> {
    let mut seen = Seen::default();
    if let Some(id) = args.bridge_domain {
        seen.domain = Some(session.bridge_domain(id)?);
    }
    let domain = seen.domain.as_ref().filter(|_| args.names.is_empty());
    // Names in a bridge domain are cut; its members are told by index afterwards.
    let inside = |name: &str| match domain {
        Some(domain) => domain
            .iter()
            .flat_map(|domain| &domain.members)
            .any(|member| name.starts_with(&member.name)),
        None => true,
    };
    let passes = |name: &str| inside(name) && wanted(args, kind, name);
    let names = Wanted::Names(&args.names);
    let by = if args.names.is_empty() { Wanted::Matching(&passes) } else { names };
    let counters = args.measure.metrics
        || asked.rates
        || asked.any(&kind.metrics.counters.map(|spec| spec.name));
    let counted = if counters { usize::MAX } else { COUNTED_UNASKED };
    seen.interfaces = session.interfaces(&by, counted)?;
    let found = &mut seen.interfaces.found;
    if let Some(domain) = domain {
        let members = domain.iter().flat_map(|domain| &domain.members);
        let members: Vec<u32> = members.map(|member| member.index).collect();
        found.retain(|row| members.contains(&row.index));
    }
    if by_default(args) && domain.is_none() && !found.iter().any(|row| (kind.is)(&row.name)) {
        // There is nothing here that a bond could carry. (In a bridge domain a bond stands for
        // what it carries.)
        found.clear();
    }
    seen.counters = found.len() <= counted;
    details(session, args, kind, asked, &mut seen);
    Ok(seen)
}

fn by_default(args: &Args) -> bool {
    args.names.is_empty() && args.match_.is_none()
}

fn wanted(args: &Args, kind: &Kind, name: &str) -> bool {
    match &args.match_ {
        Some(regex) => regex.is_match(name.as_bytes()),
        None => (kind.is)(name) || (kind.bonds && is_bond(name)),
    }
}

/// What stops VPP's workers while it prints is asked for only where it is wanted, or where a bond would
/// be red that may carry nothing of the kind.
fn details(session: &mut Session, args: &Args, kind: &Kind, asked: &Asked, seen: &mut Seen) {
    let (metrics, facts) = (&kind.metrics, &kind.facts);
    let wanted = |names: &[&str]| args.measure.metrics || asked.any(names);
    let has = |is: fn(&str) -> bool| seen.interfaces.found.iter().any(|row| is(&row.name));
    let (vhost, memif, bond) = (has(is_vhost), has(is_memif), has(is_bond));
    let [connected, queues, ring] = [metrics.connected, metrics.queues, metrics.ring];
    if wanted(&[connected.name, queues.name, ring.name, facts.role.name, facts.socket.name]) {
        let guests = vhost.then(|| seen.keep("show vhost-user", session.vhost_guests()));
        seen.guests.extend(guests.flatten().into_iter().flatten());
        let guests = memif.then(|| seen.keep("show memif", session.memif_guests()));
        seen.guests.extend(guests.flatten().into_iter().flatten());
    }
    let [members, active, lacp] = [metrics.members, metrics.members_active, metrics.lacp_partners];
    let red = |row: &Interface| row.admin != Admin::Up || row.link != Link::Up;
    let red_bond = seen.interfaces.found.iter().any(|row| is_bond(&row.name) && red(row));
    if bond && wanted(&[members.name, active.name, lacp.name, facts.bond_mode.name]) {
        seen.bonds = seen.keep("show bond details", session.bonds());
        if seen.bonds.iter().flatten().any(|bond| bond.mode == "lacp") {
            seen.lacp = seen.keep("show lacp", session.lacp());
        }
        if by_default(args) {
            seen.leave_out_bonds_without(kind.is);
        }
    } else if by_default(args) && red_bond {
        // Only now does the verdict depend on what it carries.
        seen.bonds = seen.keep("show bond details", session.bonds());
        seen.leave_out_bonds_without(kind.is);
        seen.bonds = None;
    }
}

fn is_vhost(name: &str) -> bool {
    name.starts_with("VirtualEthernet")
}

fn is_memif(name: &str) -> bool {
    name.starts_with("memif")
}

impl Seen {
    /// A detail, or a word about why there is none.
    fn keep<T>(&mut self, command: &'static str, listed: Result<Option<T>, Trouble>) -> Option<T> {
        match listed {
            Ok(Some(listed)) => return Some(listed),
            Ok(None) => self.unknown.push(command),
            Err(trouble) => self.missing.push(trouble),
        }
        None
    }

    /// Bonds that carry none of what the check is about are not its business.
    fn leave_out_bonds_without(&mut self, is: fn(&str) -> bool) {
        let Some(bonds) = &self.bonds else { return };
        let carries = |name: &str| {
            let bond = bonds.iter().find(|bond| bond.name == carrier(name));
            bond.is_none_or(|bond| bond.members.iter().any(|member| is(member)))
        };
        self.interfaces.found.retain(|row| !is_bond(&row.name) || carries(&row.name));
    }

    fn guest(&self, name: &str) -> Option<&Guest> {
        self.guests.iter().find(|guest| guest.name == name)
    }

    fn bond(&self, name: &str) -> Option<&Bond> {
        self.bonds.iter().flatten().find(|bond| bond.name == name)
    }
}

pub(super) fn judge(facts: &Known, args: &Args, kind: &Kind) -> Report {
    let mut report = Report::about(format!("{}s of VPP", kind.noun));
    match facts {
        Ok(seen) => judge_seen(&mut report, seen, args, kind),
        Err(no) => {
            let (code, text) = no_answer(no, &kind.codes.life);
            report.find(code, text);
        }
    }
    report
}

fn judge_seen(report: &mut Report, seen: &Seen, args: &Args, kind: &Kind) {
    let Interfaces { found, absent, .. } = &seen.interfaces;
    for name in absent {
        report.find_on(name, kind.codes.absent, "no such interface in VPP");
    }
    if let (Some(None), Some(id)) = (&seen.domain, args.bridge_domain) {
        report.find(kind.codes.absent, format!("bridge domain {id} does not exist"));
    } else if found.is_empty() && absent.is_empty() {
        report.find(kind.codes.none, nothing_matches(seen, args, kind));
    }
    report.evidence.reserve(found.len());
    report.metrics.reserve(found.len());
    for row in found {
        judge_interface(report, row, seen, args, kind);
    }
    for trouble in &seen.missing {
        let (code, text) = without_answer(trouble, "");
        match trouble.why {
            // The limit or expectation that asked for it says that it is not known.
            Why::Unreadable(_) => report.note(text),
            _ => report.find(code, text),
        }
    }
    for command in &seen.unknown {
        report.note(format!("this VPP does not know `{command}'"));
    }
    if !found.is_empty() {
        report.fine("from show interface (admin) and show hardware-interfaces brief (link)");
    }
    let looked_at = found.len() + absent.len();
    if let ([only], 1) = (found.as_slice(), looked_at) {
        report.object = only.name.clone();
        report.when_ok = format!("{} is up{}", only.name, place_words(seen, args));
    } else {
        report.object = count(looked_at, kind.noun);
        report.when_ok = format!("{} up{}", report.object, place_words(seen, args));
    }
}

fn place_words(seen: &Seen, args: &Args) -> String {
    match (&seen.domain, args.bridge_domain) {
        (Some(Some(_)), Some(id)) => format!(", in bridge domain {id}"),
        _ => String::new(),
    }
}

fn nothing_matches(seen: &Seen, args: &Args, kind: &Kind) -> String {
    let has = match seen.interfaces.total {
        Some(total) => format!(" (it has {})", count(total, "interface")),
        None => String::new(),
    };
    let place = match args.bridge_domain {
        Some(id) => format!("bridge domain {id}"),
        None => "VPP".to_owned(),
    };
    match &args.match_ {
        Some(regex) => format!("no interface of {place} matches {regex}{has}"),
        None => format!("no {} in {place}{has}", kind.noun),
    }
}

/// What keeps an interface from working, the first cause only: what follows from it says no more.
fn fault(row: &Interface, seen: &Seen, codes: &Codes) -> Option<(&'static Code, String)> {
    // A member of a driver's bond has neither a will nor a link of its own.
    match &row.link {
        Link::Member(Some(bond)) if bond.up => return None,
        Link::Member(Some(bond)) => {
            return Some((codes.link_down, format!("its bond {} is down", bond.name)));
        }
        Link::Member(None) => {
            return Some((&UNREADABLE, "is a member of a bond that VPP does not list".to_owned()));
        }
        Link::Gone => return Some((codes.absent, "vanished while it was looked at".to_owned())),
        _ => {}
    }
    match &row.admin {
        Admin::Down => return Some((codes.admin_down, "is switched off (admin-down)".to_owned())),
        Admin::Error => return Some((codes.error, "VPP could not set it up (error)".to_owned())),
        Admin::Other(word) => {
            return Some((&UNREADABLE, format!("state `{word}' is not known")));
        }
        Admin::Up | Admin::Member => {}
    }
    match &row.link {
        Link::Down => Some((codes.link_down, link_down_words(row, seen))),
        Link::Unlisted => Some((&UNREADABLE, "has no row in show hardware-interfaces".to_owned())),
        Link::Other(word) => Some((&UNREADABLE, format!("link `{word}' is not known"))),
        _ => None,
    }
}

fn link_down_words(row: &Interface, seen: &Seen) -> String {
    match seen.guest(&row.name) {
        Some(guest) if !guest.connected => {
            format!("link is down: the other end is not connected ({})", guest_words(guest))
        }
        _ => "link is down".to_owned(),
    }
}

fn judge_interface(report: &mut Report, row: &Interface, seen: &Seen, args: &Args, kind: &Kind) {
    let name = row.name.as_str();
    let before = report.findings.len();
    let fault = fault(row, seen, &kind.codes);
    let works = fault.is_none();
    if let Some((code, text)) = fault {
        report.find_on(name, code, text);
    }
    if let (Some(Some(domain)), Some(id)) = (&seen.domain, args.bridge_domain)
        && !domain.members.iter().any(|member| member.index == row.index)
    {
        report.find_on(name, kind.codes.wrong_bridge, format!("is not in bridge domain {id}"));
    }
    if let Some(guest) = seen.guest(name) {
        judge_guest(report, guest, works, kind);
    }
    if let Some(bond) = seen.bond(name) {
        judge_bond(report, bond, works, seen, kind);
    }
    measure(report, row, works, seen, kind);
    let line = evidence(row, seen);
    if report.findings.len() == before { report.fine(line) } else { report.note(line) }
}

fn judge_guest(report: &mut Report, guest: &Guest, works: bool, kind: &Kind) {
    let name = guest.name.as_str();
    if works && !guest.connected {
        let text = format!("the other end is not connected ({})", guest_words(guest));
        report.find_on(name, kind.codes.guest_off, text);
    }
    let connected = f64::from(u8::from(guest.connected));
    report.measure_of(name, kind.metrics.connected, connected);
    report.measure_of(name, kind.metrics.queues, guest.queues.map(|n| n as f64));
    report.measure_of(name, kind.metrics.ring, guest.ring.map(|n| n as f64));
    if let Some(role) = guest.role {
        report.fact(kind.facts.role.name, Some(name), role);
    }
    if let Some(socket) = &guest.socket {
        report.fact(kind.facts.socket.name, Some(name), socket.clone());
    }
}

/// A bond has link while its members carry nothing, so they are looked at too. Without a partner
/// none can be active: that is then the cause.
fn judge_bond(report: &mut Report, bond: &Bond, works: bool, seen: &Seen, kind: &Kind) {
    let Codes { link_down, member_down, lacp_none, lacp_defaulted, .. } = &kind.codes;
    let name = bond.name.as_str();
    // The table cuts long names.
    let of = |member: &&Lacp| {
        member.may_be_of(&bond.name)
            && bond.members.iter().any(|known| known.starts_with(&member.member))
    };
    let lacp: Vec<&Lacp> = seen.lacp.iter().flatten().filter(of).collect();
    let lonely: Vec<&&Lacp> = lacp.iter().filter(|member| !member.current()).collect();
    let (active, all) = (bond.active.len(), bond.members.len());
    let no_partner = !lacp.is_empty() && lonely.len() == lacp.len();
    if no_partner {
        report.find_on(name, lacp_none, "no member has an LACP partner");
    } else {
        for member in &lonely {
            let state = member.rx_state.to_ascii_lowercase();
            let text = format!("member {}: no current LACP partner ({state})", member.member);
            report.find_on(name, lacp_defaulted, text);
        }
        if active == 0 && works {
            report.find_on(
                name,
                link_down,
                format!("none of its {} is active", count(all, "member")),
            );
        } else if active < all && lonely.is_empty() && works {
            let idle = bond.members.iter().filter(|member| !bond.active.contains(member));
            let idle: Vec<&str> = idle.map(String::as_str).collect();
            report.find_on(name, member_down, format!("not active: {}", idle.join(", ")));
        }
    }
    report.measure_of(name, kind.metrics.members, all as f64);
    report.measure_of(name, kind.metrics.members_active, active as f64);
    if bond.mode == "lacp" && seen.lacp.is_some() {
        let partners = lacp.len() - lonely.len();
        report.measure_of(name, kind.metrics.lacp_partners, partners as f64);
    }
    report.fact(kind.facts.bond_mode.name, Some(name), bond.mode.clone());
}

fn guest_words(guest: &Guest) -> String {
    let role = guest.role.map(|role| format!(" {role}")).unwrap_or_default();
    let socket = guest.socket.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
    format!("{}{role}{socket}", guest.kind)
}

/// The counters of an interface, in the order of [`Metrics::counters`].
fn counts(c: &Counters) -> [u64; 10] {
    [
        c.rx_packets,
        c.rx_bytes,
        c.tx_packets,
        c.tx_bytes,
        c.drops,
        c.punt,
        c.rx_miss,
        c.rx_error,
        c.tx_error,
        c.rx_no_buf,
    ]
}

fn measure(report: &mut Report, row: &Interface, works: bool, seen: &Seen, kind: &Kind) {
    let name = row.name.as_str();
    report.measure_of(name, kind.metrics.link_state, f64::from(u8::from(works)));
    let Some(counters) = row.counters.as_deref().filter(|_| seen.counters) else { return };
    let admin = match row.admin {
        Admin::Up => Some(1.0),
        Admin::Down => Some(0.0),
        _ => None,
    };
    report.measure_of(name, kind.metrics.admin_state, admin);
    report.measure_of(
        name,
        kind.metrics.speed,
        row.hardware.as_ref().and_then(|hardware| hardware.speed).map(|n| n as f64),
    );
    // VPP prints the counters that are not zero, so one that is not there was read as zero.
    for (spec, value) in kind.metrics.counters.into_iter().zip(counts(counters)) {
        report.measure_of(name, spec, value as f64);
    }
}

/// `NAME: admin up, link down`.
pub(super) fn push_state(line: &mut String, row: &Interface) {
    let admin = match &row.admin {
        Admin::Up => "up",
        Admin::Down => "down",
        Admin::Member => "member of a bond",
        Admin::Error => "error",
        Admin::Other(word) => word,
    };
    let link = match &row.link {
        Link::Up => Cow::Borrowed("up"),
        Link::Down => Cow::Borrowed("down"),
        Link::Member(Some(bond)) => {
            let up = if bond.up { "up" } else { "down" };
            Cow::Owned(format!("that of {} ({up})", bond.name))
        }
        Link::Member(None) => Cow::Borrowed("that of a bond"),
        Link::Gone | Link::Unlisted => Cow::Borrowed("not seen"),
        Link::Other(word) => Cow::Borrowed(word.as_str()),
    };
    for piece in [row.name.as_str(), ": admin ", admin, ", link ", &link] {
        line.push_str(piece);
    }
}

/// The counters that somebody should know of.
fn push_faults(line: &mut String, c: &Counters) {
    for (what, n) in [
        (", drops ", c.drops),
        (", punt ", c.punt),
        (", rx-miss ", c.rx_miss),
        (", rx-error ", c.rx_error),
        (", tx-error ", c.tx_error),
        (", rx-no-buf ", c.rx_no_buf),
    ] {
        if n > 0 {
            line.push_str(what);
            line.push_str(&n.to_string());
        }
    }
}

fn evidence(row: &Interface, seen: &Seen) -> String {
    /// What `: admin down, link down` takes, and a little more.
    const WORDS: usize = 32;
    let mut line = String::with_capacity(row.name.len() + WORDS);
    push_state(&mut line, row);
    let (name, speed) =
        row.hardware.as_ref().map_or(("", None), |more| (more.name.as_str(), more.speed));
    if !name.is_empty() {
        line.push_str(", ");
        line.push_str(name);
    }
    if let Some(speed) = speed {
        line.push_str(&format!(", {speed} Mbit/s"));
    }
    if let Some(counters) = row.counters.as_deref().filter(|_| seen.counters) {
        push_faults(&mut line, counters);
    }
    if let Some(guest) = seen.guest(&row.name) {
        let connected = if guest.connected { "connected" } else { "not connected" };
        line.push_str(&format!(", {} {connected}", guest_words(guest)));
    }
    if let Some(bond) = seen.bond(&row.name) {
        let (active, all) = (bond.active.len(), bond.members.len());
        let members = count(all, "member");
        line.push_str(&format!(", {} with {active} of {members} active", bond.mode));
    }
    line
}
