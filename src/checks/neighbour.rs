//! Whether vNICs of instances are seen as neighbours in the namespace of a service, and if not,
//! what is left to tell why. Shared by the checks of an instance and of one vNIC.
//!
//! The kernel forgets the MAC address of an entry that failed, and forgets idle guests altogether.
//! So a MAC address that is not seen proves little: its IP address is looked up in what is left
//! of it, and what the kernel knows of that address is judged.

use crate::checks::without_answer;
use crate::host::dnsmasq::{self, Given};
use crate::host::mac::Mac;
use crate::host::neighbour::{Neighbour, State};
use crate::host::netns::{Neighbours, NetnsName};
use crate::host::window::{Sight, Through, View, Window};
use crate::host::{Host, Trouble, Why, neutron, words};
use crate::plugin::code::FORBIDDEN;
use crate::plugin::report::Report;
use crate::plugin::spec::{Code, MetricSpec};
use crate::plugin::text::{count, span};
use crate::rights;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How neighbours are looked for.
#[derive(Debug, clap::Args)]
pub struct LookArgs {
    /// Neutron's state_path: addresses and pid files [default: /var/lib/neutron]
    #[arg(long, value_name = "DIR", value_parser = words::absolute)]
    pub state_path: Option<PathBuf>,
    /// Have the kernel ask whoever did not just answer (ARP, NS)
    #[arg(long)]
    pub refresh: bool,
}

impl LookArgs {
    /// All is open of the namespaces. To read Neutron's files in their usual place may take a right, and
    /// to make the kernel ask for a neighbour does.
    fn lay_down_rights(&self) {
        match (&self.state_path, self.refresh) {
            (Some(_), _) => rights::give_up_all(),
            (None, true) => {
                rights::renounce_all_but(&[rights::DAC_READ_SEARCH, rights::NET_ADMIN]);
            }
            (None, false) => rights::renounce_all_but(&[rights::DAC_READ_SEARCH]),
        }
    }
}

/// A vNIC, and where it is looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The namespace of a service.
    pub netns: NetnsName,
    /// The vNIC.
    pub mac: Mac,
}

/// `NS,MAC[;NS,MAC...]`, as Calipso writes it; a `;` at the end is let pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs(pub Vec<Pair>);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (netns, mac) =
            text.split_once(',').ok_or_else(|| format!("'{text}' is no NAMESPACE,MAC"))?;
        Ok(Self { netns: netns.parse()?, mac: mac.parse()? })
    }
}

impl FromStr for Pairs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pairs = text.strip_suffix(';').unwrap_or(text).split(';');
        pairs.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.mac, self.netns)
    }
}

/// The words a check has for what is found; each has its own manifest entry.
pub(super) struct Words {
    pub(super) absent: &'static Code,
    pub(super) stale: &'static Code,
    pub(super) no_propagation: &'static Code,
    pub(super) not_seen: &'static Code,
    pub(super) incomplete: &'static Code,
    pub(super) failed: &'static Code,
    pub(super) wrong_mac: &'static Code,
    pub(super) complete: &'static MetricSpec,
    pub(super) confirmed_age: &'static MetricSpec,
    pub(super) counts: [(State, &'static MetricSpec); 8],
    pub(super) state: &'static str,
}

/// The facts.
#[derive(Debug)]
pub struct Facts {
    /// What is seen of each namespace.
    pub sights: BTreeMap<NetnsName, Sight>,
    /// The vNICs, each once.
    pub vnics: Vec<Vnic>,
    /// Files that could not be read.
    pub unread: Vec<Trouble>,
    /// Namespaces in which nothing could be asked for though `--refresh` says so.
    pub unasked: BTreeMap<NetnsName, Trouble>,
}

/// A vNIC, and what is known of its addresses where it is not simply there.
#[derive(Debug, PartialEq, Eq)]
pub struct Vnic {
    /// Which one.
    pub pair: Pair,
    /// Addresses that are or were its own.
    pub known: Vec<Known>,
}

/// An address of a vNIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The address.
    pub address: IpAddr,
    /// Who says so.
    pub origin: Origin,
    /// It was asked for, this long before the namespace was read for the last time.
    pub asked: Option<Duration>,
}

/// Who says that an address belongs to a vNIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An entry with its MAC address was there a moment ago.
    Entry,
    /// An unresolved entry that still has its MAC address.
    Arp,
    /// A file of Neutron's or dnsmasq's: `dhcp/NETWORK/host`.
    File(String),
}

// ---------------------------------------------------------------------------------------- gather

/// Looks into every namespace once, and into files for the vNICs that are not simply there.
pub(super) fn gather(pairs: &BTreeSet<Pair>, args: &LookArgs, host: &Host) -> Facts {
    let names: BTreeSet<_> = pairs.iter().map(|pair| pair.netns.clone()).collect();
    let mut windows = host.windows(names);
    args.lay_down_rights();
    let state = args.state_path.as_deref().unwrap_or(Path::new(neutron::STATE));
    for window in &mut windows {
        window.look();
    }
    let mut unread = Vec::new();
    let tables = arp_tables(pairs, &windows, &mut unread);
    let mut vnics = rights::lend(rights::DAC_READ_SEARCH, || {
        for window in &mut windows {
            window.look_through_records(state);
        }
        known_vnics(pairs, &windows, &tables, state, &mut unread)
    });
    let mut unasked = BTreeMap::new();
    if args.refresh {
        unasked = refresh(&mut vnics, &mut windows, host);
    }
    let sights = windows.into_iter().map(|window| (window.name, window.sight)).collect();
    Facts { sights, vnics, unread, unasked }
}

fn window_of<'a>(pair: &Pair, windows: &'a [Window]) -> Option<&'a Window> {
    windows.iter().find(|window| window.name == pair.netns)
}

fn view_of<'a>(pair: &Pair, windows: &'a [Window]) -> Option<&'a View> {
    window_of(pair, windows).and_then(Window::view)
}

/// The vNICs, with the addresses of those that are not simply there.
fn known_vnics(
    pairs: &BTreeSet<Pair>,
    windows: &[Window],
    tables: &BTreeMap<NetnsName, Vec<Neighbour>>,
    state: &Path,
    unread: &mut Vec<Trouble>,
) -> Vec<Vnic> {
    let is_doubted =
        |pair: &&Pair| view_of(pair, windows).is_some_and(|view| doubtful(view, pair.mac));
    let doubted: Vec<&Pair> = pairs.iter().filter(is_doubted).collect();
    let book = look_up(&doubted, state, unread);
    let vnic = |pair: &Pair| {
        let mut known = Vec::new();
        if let Some(view) = view_of(pair, windows).filter(|_| doubted.contains(&pair)) {
            if best(view, pair.mac).is_none() {
                known = forgotten(pair, tables.get(&pair.netns).unwrap_or(&view.neighbours));
            }
            for given in book.iter().filter(|given| belongs(given, pair)) {
                let origin = Origin::File(format!("dhcp/{}/{}", given.network, given.file));
                match known.iter_mut().find(|known| known.address == given.address) {
                    Some(known) => known.origin = origin,
                    None => known.push(Known::new(given.address, origin)),
                }
            }
        }
        Vnic { pair: pair.clone(), known }
    };
    pairs.iter().map(vnic).collect()
}

/// The addresses of a vNIC whose entry is unresolved and still has its MAC address. Where something
/// complete is seen of it, such an entry may be an address that it gave up.
fn forgotten(pair: &Pair, table: &[Neighbour]) -> Vec<Known> {
    table
        .iter()
        .filter(|entry| entry.mac == Some(pair.mac) && entry.state == State::Unresolved)
        .map(|entry| Known::new(entry.address, Origin::Arp))
        .collect()
}

impl Known {
    const fn new(address: IpAddr, origin: Origin) -> Self {
        Self { address, origin, asked: None }
    }
}

/// Whether a vNIC is not simply there: nothing is seen of it, or the kernel is not sure of it while
/// there are entries that failed, of which one may be its own.
fn doubtful(view: &View, mac: Mac) -> bool {
    match best(view, mac) {
        None => true,
        Some(entry) => {
            !entry.state.is_sure() && view.neighbours.iter().any(|entry| !entry.state.is_complete())
        }
    }
}

/// A network's files tell of that network only; those of other namespaces may be of any.
fn belongs(given: &Given, pair: &Pair) -> bool {
    given.mac == pair.mac && network_of(pair).is_none_or(|network| network == given.network)
}

fn network_of(pair: &Pair) -> Option<&str> {
    pair.netns.as_str().strip_prefix("qdhcp-")
}

fn look_up(pairs: &[&Pair], state: &Path, unread: &mut Vec<Trouble>) -> Vec<Given> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let networks: Option<BTreeSet<&str>> = pairs.iter().map(|pair| network_of(pair)).collect();
    let macs = pairs.iter().map(|pair| pair.mac).collect();
    let book = dnsmasq::look_up(state, &networks.unwrap_or_default(), &macs);
    unread.extend(book.troubles);
    book.given
}

/// The ARP tables of namespaces that are seen by netlink and in which a vNIC is not seen.
fn arp_tables(
    pairs: &BTreeSet<Pair>,
    windows: &[Window],
    unread: &mut Vec<Trouble>,
) -> BTreeMap<NetnsName, Vec<Neighbour>> {
    let mut tables = BTreeMap::new();
    for pair in pairs {
        let Some(window) = window_of(pair, windows) else { continue };
        let unseen = window.view().is_some_and(|view| best(view, pair.mac).is_none());
        if unseen && !tables.contains_key(&pair.netns) {
            match window.arp() {
                Ok(table) => drop(tables.insert(pair.netns.clone(), table)),
                Err(trouble) => unread.push(trouble),
            }
        }
    }
    tables
}

/// Has the kernel ask for the addresses of every vNIC it is not sure of, and waits for the end of
/// it; returns where that was not possible.
fn refresh(
    vnics: &mut [Vnic],
    windows: &mut [Window],
    host: &Host,
) -> BTreeMap<NetnsName, Trouble> {
    /// What is left of the deadline for the verdict.
    const REST: Duration = Duration::from_millis(100);
    (host.announce)("neighbours that were asked for");
    let mut unasked = BTreeMap::new();
    let mut asked: Vec<BTreeSet<IpAddr>> = vec![BTreeSet::new(); windows.len()];
    let start = Instant::now();
    for vnic in &mut *vnics {
        let Some(place) = windows.iter().position(|window| window.name == vnic.pair.netns) else {
            continue;
        };
        let Some(view) = windows[place].view() else { continue };
        // What /proc calls complete may be stale.
        let sure = |entry: &Neighbour| entry.state.is_sure() && entry.state != State::Complete;
        if best(view, vnic.pair.mac).is_some_and(sure) {
            continue;
        }
        for entry in of(view, vnic.pair.mac) {
            if !vnic.known.iter().any(|known| known.address == entry.address) {
                vnic.known.push(Known::new(entry.address, Origin::Entry));
            }
        }
        for known in &vnic.known {
            match windows[place].ask_for(known.address) {
                Ok(true) => drop(asked[place].insert(known.address)),
                Ok(false) => {}
                Err(e) => {
                    unasked.insert(vnic.pair.netns.clone(), Trouble::of("--refresh", &e));
                }
            }
        }
    }
    rights::renounce();
    let until = host.until.checked_sub(REST).unwrap_or(host.until);
    for (window, asked) in windows.iter_mut().zip(&asked).filter(|(_, asked)| !asked.is_empty()) {
        window.await_answers(asked, start, until);
        let ago = start.elapsed();
        let here = vnics.iter_mut().filter(|vnic| vnic.pair.netns == window.name);
        for known in here.flat_map(|vnic| &mut vnic.known) {
            known.asked = asked.contains(&known.address).then_some(ago);
        }
    }
    unasked
}

// ----------------------------------------------------------------------------------------- judge

/// The complete entries of a vNIC.
fn of(view: &View, mac: Mac) -> impl Iterator<Item = &Neighbour> {
    view.neighbours.iter().filter(move |entry| entry.mac == Some(mac) && entry.state.is_complete())
}

/// The entry that says most for a vNIC: one the kernel is sure of, then the one confirmed last.
fn best(view: &View, mac: Mac) -> Option<&Neighbour> {
    of(view, mac).min_by_key(|entry| {
        (!entry.state.is_sure(), entry.confirmed.unwrap_or(Duration::MAX), entry.address)
    })
}

pub(super) fn judge(report: &mut Report, facts: &Facts, words: &Words) {
    for (name, sight) in &facts.sights {
        judge_sight(report, name, sight, words);
    }
    for (name, trouble) in &facts.unasked {
        let (code, text) = without_answer(
            trouble,
            "give the check cap_sys_admin and cap_net_admin, without --state-path",
        );
        report.find_on(name.as_str(), code, text);
    }
    let unread = facts.unread.iter().find(|trouble| trouble.why == Why::Forbidden);
    for vnic in &facts.vnics {
        match facts.sights.get(&vnic.pair.netns) {
            Some(Sight::Seen(view)) => judge_vnic(report, vnic, view, unread, words),
            Some(Sight::Absent | Sight::Stale(Neighbours::SomeLive)) => {
                report.measure_of(&label(&vnic.pair), words.complete, 0.0);
                report.note(format!("{}: there is no such namespace", vnic.pair));
            }
            _ => report.note(format!("{}: not looked for", vnic.pair)),
        }
    }
    for (name, sight) in &facts.sights {
        count_states(report, name, sight, words);
    }
    for trouble in &facts.unread {
        report.note(format!("{trouble}, so no address is known from there"));
    }
    report.when_ok = when_ok(facts);
}

fn judge_sight(report: &mut Report, name: &NetnsName, sight: &Sight, words: &Words) {
    match sight {
        Sight::Absent => {
            report.find(words.absent, format!("namespace {name} does not exist"));
        }
        Sight::Stale(Neighbours::SomeLive) => report
            .find(words.stale, format!("namespace {name} is gone, a plain file is left of it")),
        Sight::Stale(Neighbours::NoneLive) => report.find(
            words.no_propagation,
            format!(
                "namespace {name} is a plain file here, and so is every other: mounts are not seen"
            ),
        ),
        Sight::Hidden => report.find(
            &FORBIDDEN,
            format!(
                "may not look into {name}; give the check cap_sys_admin (cap_sys_ptrace: IPv4)"
            ),
        ),
        Sight::Trouble(trouble) => {
            let (code, text) = without_answer(trouble, "let the check's user into that directory");
            report.find(code, text);
        }
        Sight::Seen(view) => tell_view(report, name, view),
    }
}

/// How a namespace was seen, where that is not the best way.
fn tell_view(report: &mut Report, name: &NetnsName, view: &View) {
    if view.torn {
        report.note(format!("{name}: its neighbours changed all the time while they were read"));
    }
    if let Through::Process(pid) = view.through {
        report.note(format!(
            "{name}: seen through /proc/{pid}/net/arp, which has no IPv6 and no age; \
             all is seen with cap_sys_admin"
        ));
    }
}

/// How many neighbours of each state there are, where that is seen.
fn count_states(report: &mut Report, name: &NetnsName, sight: &Sight, words: &Words) {
    let Sight::Seen(View { neighbours, through: Through::Netlink, .. }) = sight else { return };
    for (state, spec) in words.counts {
        let entries = neighbours.iter().filter(|entry| entry.state == state).count();
        report.measure_of(name.as_str(), spec, entries as f64);
    }
}

/// What is wrong with an address of a vNIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    /// It was asked for and did not answer.
    Failed(State),
    /// It did not answer yet.
    Incomplete(State),
    /// Another MAC address answers for it.
    Taken(Mac, State),
    /// There is no entry.
    Missing,
}

fn judge_vnic(
    report: &mut Report,
    vnic: &Vnic,
    view: &View,
    unread: Option<&Trouble>,
    words: &Words,
) {
    let Vnic { pair, known } = vnic;
    let best = best(view, pair.mac);
    let sure = best.is_some_and(|entry| entry.state.is_sure());
    let before = report.findings.len();
    if !sure {
        let problems =
            known.iter().filter_map(|known| Some((known, problem(known, view, pair.mac)?)));
        match best {
            Some(best) => {
                let newer = |(known, _): &(&Known, Problem)| happened_since(known, view, best);
                find_problems(report, pair, problems.filter(newer), words);
            }
            None if known.is_empty() && unread.is_some() => {
                let why = unread.map(ToString::to_string).unwrap_or_default();
                let remedy = "to learn its address add the check's user to group neutron";
                let text = format!("not seen; {remedy}: {why}");
                report.find_on(&pair.to_string(), &FORBIDDEN, text);
            }
            None => find_unseen(report, pair, problems.collect(), known, view, words),
        }
    }
    let good = report.findings.len() == before;
    let line = format!("{pair}: {}", evidence(vnic, view));
    if good {
        report.fine(line)
    } else {
        report.note(line)
    }
    if report.findings[before..].iter().all(|finding| finding.code != &FORBIDDEN) {
        report.measure_of(&label(pair), words.complete, f64::from(u8::from(good)));
    }
    let age = best.and_then(|entry| entry.confirmed).map(|age| age.as_secs_f64());
    report.measure_of(&label(pair), words.confirmed_age, age);
    report.fact(words.state, Some(&pair.to_string()), best.map_or("none", |e| e.state.word()));
}

/// What is wrong with a known address, by the entry it has.
fn problem(known: &Known, view: &View, mac: Mac) -> Option<Problem> {
    let Some(entry) = entry_of(known.address, view, mac) else { return Some(Problem::Missing) };
    match entry.state {
        State::Failed => Some(Problem::Failed(State::Failed)),
        state if known.asked.is_some_and(|ago| entry.owes_an_answer(ago)) => {
            Some(Problem::Failed(state))
        }
        state if !state.is_complete() => Some(Problem::Incomplete(state)),
        state => entry.mac.filter(|other| *other != mac).map(|other| Problem::Taken(other, state)),
    }
}

/// The entry of an address: of several, on several devices, the vNIC's own, then one of nobody.
fn entry_of(address: IpAddr, view: &View, mac: Mac) -> Option<&Neighbour> {
    let entries = view.neighbours.iter().filter(|entry| entry.address == address);
    entries.min_by_key(|entry| (entry.mac != Some(mac), entry.state.is_complete()))
}

/// Whether an address stopped answering after the vNIC was last known to answer at another.
fn happened_since(known: &Known, view: &View, best: &Neighbour) -> bool {
    let updated = view
        .neighbours
        .iter()
        .filter(|entry| entry.address == known.address)
        .filter_map(|entry| entry.updated)
        .min();
    known.asked.is_some() || updated.zip(best.confirmed).is_some_and(|(then, seen)| then < seen)
}

/// What is wrong with addresses that have an entry.
fn find_problems<'a>(
    report: &mut Report,
    pair: &Pair,
    problems: impl Iterator<Item = (&'a Known, Problem)>,
    words: &Words,
) {
    for (Known { address, asked, .. }, problem) in problems {
        let (code, text) = match problem {
            Problem::Failed(State::Failed) if asked.is_none() => {
                (words.failed, format!("its address {address} does not answer (FAILED)"))
            }
            Problem::Failed(_) => {
                (words.failed, format!("its address {address} does not answer when asked now"))
            }
            Problem::Incomplete(State::Unresolved) => (
                words.incomplete,
                format!("its address {address} does not answer (INCOMPLETE or FAILED)"),
            ),
            Problem::Incomplete(_) => (
                words.incomplete,
                format!("its address {address} has not answered yet (INCOMPLETE)"),
            ),
            Problem::Taken(other, state) => (
                words.wrong_mac,
                format!("its address {address} belongs to {other} ({})", state.word()),
            ),
            Problem::Missing => continue,
        };
        report.find_on(&pair.to_string(), code, text);
    }
}

/// What is wrong with a vNIC of which no complete entry is seen.
fn find_unseen(
    report: &mut Report,
    pair: &Pair,
    problems: Vec<(&Known, Problem)>,
    known: &[Known],
    view: &View,
    words: &Words,
) {
    let blind = matches!(view.through, Through::Process(_));
    let missing = |problem: &Problem| *problem == Problem::Missing;
    let object = pair.to_string();
    if problems.iter().any(|(_, problem)| !missing(problem)) {
        find_problems(report, pair, problems.into_iter(), words);
    } else if blind && !known.is_empty() && known.iter().all(|known| known.address.is_ipv6()) {
        let text =
            "it has IPv6 addresses only, and they may not be seen; give the check cap_sys_admin";
        report.find_on(&object, &FORBIDDEN, text);
    } else if known.is_empty() {
        let where_to =
            if blind { "not seen in IPv4 (IPv6 needs cap_sys_admin)" } else { "not seen" };
        let text = format!("{where_to}, and no address of it is known: idle, or never came up");
        report.find_on(&object, words.not_seen, text);
    } else {
        let addresses: Vec<String> = known.iter().map(|known| known.address.to_string()).collect();
        let text =
            format!("not seen: nobody has asked for its address {} lately", addresses.join(" or "));
        report.find_on(&object, words.not_seen, text);
    }
}

/// Every address of a vNIC with the kernel's word for it.
fn evidence(vnic: &Vnic, view: &View) -> String {
    const MOST: usize = 6;
    let Vnic { pair, known } = vnic;
    let mut parts: Vec<String> = of(view, pair.mac).map(entry_words).collect();
    for known in known {
        let seen = entry_of(known.address, view, pair.mac);
        if seen.is_some_and(|entry| entry.mac == Some(pair.mac) && entry.state.is_complete()) {
            continue;
        }
        let who = match &known.origin {
            Origin::Entry => "until now",
            Origin::Arp => "/proc/net/arp",
            Origin::File(path) => path,
        };
        let state = seen.map_or("no entry".to_owned(), entry_state);
        parts.push(format!("{} ({who}) {state}", known.address));
    }
    if parts.is_empty() {
        return "no entry, no known address".to_owned();
    }
    let more = parts.len().saturating_sub(MOST);
    parts.truncate(MOST);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    parts.join("; ") + &rest
}

fn entry_words(entry: &Neighbour) -> String {
    format!("{} {}{}", entry.address, entry.state.word(), age_words(entry))
}

fn entry_state(entry: &Neighbour) -> String {
    match entry.mac.filter(|_| entry.state.is_complete()) {
        Some(other) => format!("{} at {other}", entry.state.word()),
        None => entry.state.word().to_owned(),
    }
}

/// An administrator's entry was never confirmed by anybody.
fn age_words(entry: &Neighbour) -> String {
    match (entry.state, entry.confirmed) {
        (State::Permanent | State::Noarp, _) | (_, None) => String::new(),
        (_, Some(age)) => format!(", confirmed {} ago", span(age.as_secs())),
    }
}

/// The object of a metric, written as on the command line.
fn label(pair: &Pair) -> String {
    format!("{},{}", pair.netns, pair.mac)
}

fn when_ok(facts: &Facts) -> String {
    let only = match &*facts.vnics {
        [vnic] => Some(&vnic.pair),
        _ => None,
    };
    let entry = only.and_then(|pair| match facts.sights.get(&pair.netns)? {
        Sight::Seen(view) => best(view, pair.mac).map(|entry| (pair, entry)),
        _ => None,
    });
    match entry {
        Some((pair, entry)) => format!("{pair} is {}", entry_words(entry)),
        None => format!(
            "{} seen as neighbours in {}",
            count(facts.vnics.len(), "vNIC"),
            count(facts.sights.len(), "namespace")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Check;
    use crate::checks::instance_communications::{Args, InstanceCommunications};
    use crate::host::Why;
    use crate::plugin::past::Past;
    use crate::plugin::status::Status;

    const NS: &str = "qdhcp-1abd0001";

    fn mac(end: u8) -> Mac {
        Mac([0xfa, 0x16, 0x3e, 0, 0, end])
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn entry(address: &str, end: Option<u8>, state: State) -> Neighbour {
        Neighbour {
            address: ip(address),
            mac: end.map(mac),
            device: Some(2),
            state,
            confirmed: Some(Duration::from_secs(300)),
            updated: Some(Duration::from_secs(200)),
        }
    }

    fn seen(neighbours: Vec<Neighbour>) -> Sight {
        Sight::Seen(View { neighbours, torn: false, through: Through::Netlink })
    }

    fn through_proc(neighbours: Vec<Neighbour>) -> Sight {
        Sight::Seen(View { neighbours, torn: false, through: Through::Process(7) })
    }

    fn written(address: &str) -> Known {
        Known::new(ip(address), Origin::File("dhcp/1abd0001/host".to_owned()))
    }

    fn asked(address: &str) -> Known {
        Known { asked: Some(Duration::from_secs(1)), ..Known::new(ip(address), Origin::Entry) }
    }

    fn facts(sight: Sight, known: Vec<Known>) -> Facts {
        let pair = Pair { netns: NS.parse().expect("a name"), mac: mac(1) };
        Facts {
            sights: BTreeMap::from([(pair.netns.clone(), sight)]),
            vnics: vec![Vnic { pair, known }],
            unread: Vec::new(),
            unasked: BTreeMap::new(),
        }
    }

    fn judged(facts: &Facts) -> Report {
        let args = Args { pairs: Vec::new(), look: LookArgs { state_path: None, refresh: false } };
        InstanceCommunications::judge(facts, &args, &Past::default())
    }

    fn codes(sight: Sight, known: Vec<Known>) -> Vec<&'static str> {
        judged(&facts(sight, known)).findings.iter().map(|finding| finding.code.name).collect()
    }

    #[test]
    fn pairs_are_read_as_calipso_writes_them() {
        let pairs: Pairs =
            "qdhcp-a,fa:16:3e:00:00:01;cni-b,FA-16-3E-00-00-02;".parse().expect("two");
        let said: Vec<_> = pairs.0.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["fa:16:3e:00:00:01 in qdhcp-a", "fa:16:3e:00:00:02 in cni-b"]);
        for bad in [
            "",
            ";",
            "a",
            "a,",
            ",fa:16:3e:00:00:01",
            "a,fa:16:3e:00:00:01;;",
            "a,fa:16:3e:00:00:01; b,fa:16:3e:00:00:02",
            "a, fa:16:3e:00:00:01",
            "a,fa:16:3e:00:00:01,x",
            "a/b,fa:16:3e:00:00:01",
            "a,fa:16",
        ] {
            assert!(bad.parse::<Pairs>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_state_with_a_mac_address_is_complete() {
        use State::{Complete, Delay, Noarp, Permanent, Probe, Reachable, Stale};
        for state in [Reachable, Stale, Delay, Probe, Permanent, Noarp, Complete] {
            let report = judged(&facts(seen(vec![entry("10.0.1.11", Some(1), state)]), vec![]));
            assert_eq!(report.findings, [], "{state:?}");
            assert!(report.when_ok.contains(state.word()), "{}", report.when_ok);
            let complete = report.metrics.iter().find(|m| m.spec.name == "complete");
            assert!(complete.is_some_and(|metric| metric.value > 0.5), "{state:?}");
        }
    }

    #[test]
    fn a_vnic_that_is_not_seen_is_judged_by_what_is_known_of_it() {
        let dead = || entry("10.0.1.11", None, State::Failed);
        let open = || entry("10.0.1.11", None, State::Incomplete);
        let known = || vec![written("10.0.1.11")];
        let cases = [
            (seen(vec![]), vec![], "not-seen"),
            (seen(vec![dead()]), vec![], "not-seen"),
            (seen(vec![]), known(), "not-seen"),
            (seen(vec![dead()]), known(), "failed"),
            (seen(vec![open()]), known(), "incomplete"),
            (seen(vec![open()]), vec![asked("10.0.1.11")], "failed"),
            (
                seen(vec![entry("10.0.1.11", Some(1), State::Probe)]),
                vec![asked("10.0.1.11")],
                "failed",
            ),
            (seen(vec![entry("10.0.1.11", Some(9), State::Stale)]), known(), "wrong-mac"),
            (through_proc(vec![]), vec![], "not-seen"),
            (
                through_proc(vec![entry("10.0.1.11", Some(1), State::Unresolved)]),
                known(),
                "incomplete",
            ),
            (through_proc(vec![]), vec![written("fd00::1")], "forbidden"),
            (through_proc(vec![]), vec![written("fd00::1"), written("10.0.1.11")], "not-seen"),
        ];
        for (sight, known, code) in cases {
            let shown = format!("{sight:?} {known:?}");
            assert_eq!(codes(sight, known), [code], "{shown}");
        }
    }

    #[test]
    fn a_failure_after_the_last_sign_of_life_outweighs_a_stale_entry() {
        let stale = |confirmed| {
            let confirmed = Some(Duration::from_secs(confirmed));
            Neighbour { confirmed, ..entry("fe80::1", Some(1), State::Stale) }
        };
        // It failed 200 s ago.
        let dead = || entry("10.0.1.11", None, State::Failed);
        let known = || vec![written("10.0.1.11")];
        assert_eq!(codes(seen(vec![stale(300), dead()]), known()), ["failed"]);
        assert!(codes(seen(vec![stale(100), dead()]), known()).is_empty());
        assert!(codes(seen(vec![stale(300), dead()]), vec![]).is_empty(), "another guest's");
        let sure = entry("fe80::1", Some(1), State::Reachable);
        assert!(codes(seen(vec![sure, dead()]), known()).is_empty());
    }

    #[test]
    fn only_where_a_stale_entry_stands_beside_a_failed_one_files_are_read() {
        let view = |neighbours| View { neighbours, torn: false, through: Through::Netlink };
        let stale = || entry("fe80::1", Some(1), State::Stale);
        let dead = || entry("10.0.1.11", None, State::Failed);
        assert!(doubtful(&view(vec![]), mac(1)));
        assert!(doubtful(&view(vec![stale(), dead()]), mac(1)));
        assert!(!doubtful(&view(vec![stale()]), mac(1)));
        let sure = entry("10.0.1.12", Some(1), State::Reachable);
        assert!(!doubtful(&view(vec![sure, dead()]), mac(1)));
    }

    #[test]
    fn a_namespace_that_is_not_seen_has_its_code() {
        let forbidden = Trouble { whom: "/run/netns/x".into(), why: Why::Forbidden };
        for (sight, code, status) in [
            (Sight::Absent, "absent", Status::Critical),
            (Sight::Stale(Neighbours::SomeLive), "stale", Status::Critical),
            (Sight::Stale(Neighbours::NoneLive), "no-propagation", Status::Unknown),
            (Sight::Hidden, "forbidden", Status::Unknown),
            (Sight::Trouble(forbidden), "forbidden", Status::Unknown),
        ] {
            let report = judged(&facts(sight, vec![]));
            assert_eq!(report.findings.iter().map(|f| f.code.name).collect::<Vec<_>>(), [code]);
            assert_eq!(report.status(), status, "{code}");
            assert_eq!(report.evidence.len(), 1, "a line for the pair: {:?}", report.evidence);
        }
    }

    #[test]
    fn what_could_not_be_asked_though_it_should_is_not_ok() {
        let mut facts = facts(seen(vec![entry("10.0.1.11", Some(1), State::Stale)]), vec![]);
        let trouble = Trouble { whom: "--refresh".into(), why: Why::Forbidden };
        facts.unasked.insert(NS.parse().expect("a name"), trouble);
        let report = judged(&facts);
        assert_eq!(report.status(), Status::Unknown);
        assert!(report.findings[0].text.contains("cap_net_admin"), "{:?}", report.findings);
    }

    #[test]
    fn a_network_s_files_are_believed_for_its_own_namespace_only() {
        let given = |network: &str| Given {
            mac: mac(1),
            address: ip("10.0.1.11"),
            network: network.to_owned(),
            file: "host",
        };
        let pair = |netns: &str| Pair { netns: netns.parse().expect("a name"), mac: mac(1) };
        assert!(belongs(&given("a"), &pair("qdhcp-a")));
        assert!(!belongs(&given("b"), &pair("qdhcp-a")));
        assert!(belongs(&given("b"), &pair("qrouter-a")));
    }
}
