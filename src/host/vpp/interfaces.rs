//! Interfaces of VPP: what `show interface` says of them, and `show hardware-interfaces brief` of
//! the wanted ones. The first does not stop VPP's workers; the second does while it prints, so it
//! is never asked for more than is wanted.
//!
//! The tables number interfaces differently and are joined by name, of which both show 32 bytes.

use super::session::{Said, Session};
use crate::host::Trouble;
use std::collections::HashMap;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its whole name.
    pub name: String,
    /// Its software index: that of `show interface` and of bridge domains.
    pub index: u32,
    /// Whether it is switched on.
    pub admin: Admin,
    /// What was counted.
    pub counters: Counters,
    /// Its link.
    pub link: Link,
    /// What its driver calls it, where that is another name.
    pub hardware: String,
    /// Megabits per second, where VPP knows.
    pub speed: Option<u64>,
}

/// The administrator's will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admin {
    /// Switched on.
    Up,
    /// Switched off, with or without `punt`.
    Down,
    /// A member of a bond of the driver (until 18.x).
    Member,
    /// VPP could not set it up.
    Error,
    /// A word that is not known here.
    Other(String),
}

/// The link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Up.
    Up,
    /// Down.
    Down,
    /// A member of a bond of the driver: it has the link of this bond, if one lists it.
    Member(Option<Bond>),
    /// It vanished between the two questions.
    Gone,
    /// VPP did not list it, or its name cannot be said in a command.
    Unlisted,
    /// A word that is not known here.
    Other(String),
}

/// The bond of a member, and the bond's own state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bond {
    /// Its name.
    pub name: String,
    /// Whether it is switched on and has link.
    pub up: bool,
}

/// Counters since VPP started or they were cleared. VPP prints those that are not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as VPP names them")]
pub struct Counters {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
    pub drops: u64,
    pub punt: u64,
    pub rx_miss: u64,
    pub rx_error: u64,
    pub tx_error: u64,
    pub rx_no_buf: u64,
}

/// Which interfaces are wanted.
pub enum Wanted<'w> {
    /// These, by their whole names.
    Names(&'w [String]),
    /// All whose name passes.
    Matching(&'w dyn Fn(&str) -> bool),
}

/// What was found of the wanted interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Those that exist, in VPP's order.
    pub found: Vec<Interface>,
    /// Names that VPP does not know.
    pub absent: Vec<String>,
    /// How many VPP has, where all were looked at.
    pub total: Option<usize>,
}

/// How many bytes of a name the tables show.
const SHOWN: usize = 32;
/// Commands stay well below the 4096 bytes that VPP reads at a time.
const LONGEST_COMMAND: usize = 3800;

impl Session<'_> {
    /// The wanted interfaces with their links.
    ///
    /// # Errors
    /// As [`Session::ask`], and where a table is not one.
    pub fn interfaces(&mut self, wanted: &Wanted) -> Result<Interfaces, Trouble> {
        let mut interfaces = match wanted {
            Wanted::Names(names) => self.named(names)?,
            Wanted::Matching(passes) => self.matching(*passes)?,
        };
        self.add_links(&mut interfaces.found)?;
        Ok(interfaces)
    }

    fn matching(&mut self, passes: &dyn Fn(&str) -> bool) -> Result<Interfaces, Trouble> {
        let mut rows = SoftwareRows::new(|name| passes(name) || name.len() == SHOWN);
        let said = self.table("show interface", SOFTWARE, &mut |line| rows.take(line))?;
        if let Said::Refused(what) = said {
            return Err(self.refused("show interface", &what));
        }
        let SoftwareRows { mut rows, total, .. } = rows;
        if rows.iter().any(|row| row.name.len() == SHOWN) {
            self.add_whole_names(&mut rows)?;
            rows.retain(|row| passes(&row.name));
        }
        Ok(Interfaces { found: rows, absent: Vec::new(), total: Some(total) })
    }

    /// Names that fill their column may be cut. `show interface addr` shows them whole, in the same
    /// order.
    fn add_whole_names(&mut self, rows: &mut [Interface]) -> Result<(), Trouble> {
        let mut whole: HashMap<String, std::collections::VecDeque<String>> = HashMap::new();
        let said = self.text("show interface addr", false, &mut |line| {
            let name =
                line.split_once(" (").filter(|_| !line.starts_with(' ')).map(|(name, _)| name);
            if let Some(name) = name.filter(|name| name.len() >= SHOWN) {
                whole.entry(shown(name).to_owned()).or_default().push_back(name.to_owned());
            }
            name.is_some() || line.starts_with(' ')
        })?;
        if said != Said::Asked {
            return Ok(());
        }
        for row in rows.iter_mut().filter(|row| row.name.len() == SHOWN) {
            if let Some(name) = whole.get_mut(&row.name).and_then(|names| names.pop_front()) {
                row.name = name;
            }
        }
        Ok(())
    }

    fn named(&mut self, names: &[String]) -> Result<Interfaces, Trouble> {
        let mut interfaces = Interfaces::default();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        for batch in batches("show interface", &names) {
            let mut rows = SoftwareRows::new(|_| true);
            self.ask_named("show interface", SOFTWARE, batch.clone(), &mut |line| {
                rows.take(line);
            })?;
            let mut missing = batch.clone();
            for mut row in rows.rows {
                // A number is understood as an index; its row has another name.
                let Ok(at) = missing.binary_search_by(|name| shown(name).cmp(&row.name)) else {
                    continue;
                };
                row.name = missing.remove(at).to_owned();
                interfaces.found.push(row);
            }
            interfaces.absent.extend(missing.into_iter().map(str::to_owned));
        }
        Ok(interfaces)
    }

    /// Runs a command with names. One that VPP does not know spoils the whole: the others are then
    /// asked for again without it. Gives the unknown ones.
    fn ask_named<'n>(
        &mut self,
        command: &str,
        head: &[&str],
        mut names: Vec<&'n str>,
        row: &mut dyn FnMut(&str),
    ) -> Result<Vec<&'n str>, Trouble> {
        let mut absent = Vec::new();
        while !names.is_empty() {
            let whole = format!("{command} {}", names.join(" "));
            match self.table(&whole, head, row)? {
                Said::Asked => break,
                Said::Refused(quote) => match culprit(&names, &quote) {
                    Some(at) => absent.push(names.remove(at)),
                    None => return Err(self.refused(&whole, &quote)),
                },
            }
        }
        Ok(absent)
    }

    /// Sub-interfaces have the link of the interface they are on, and stand in no hardware table.
    fn add_links(&mut self, found: &mut [Interface]) -> Result<(), Trouble> {
        let carriers: Vec<String> = found.iter().map(|row| carrier(&row.name).to_owned()).collect();
        let mut links = self.links(carriers.iter().map(String::as_str).collect())?;
        // A name may end like that of a sub-interface and be none.
        let alone: Vec<String> = found
            .iter()
            .zip(&carriers)
            .filter(|(row, carrier)| row.name != **carrier && links.gone.contains(carrier))
            .map(|(row, _)| row.name.clone())
            .collect();
        links.extend(self.links(alone.iter().map(String::as_str).collect())?);
        self.add_bonds(&mut links, found)?;
        for (row, carrier) in found.iter_mut().zip(&carriers) {
            let hardware = links.row(&row.name).or_else(|| links.row(carrier));
            match hardware {
                Some(hardware) => {
                    row.link = links.link_of(hardware);
                    if hardware.hardware != row.name {
                        row.hardware.clone_from(&hardware.hardware);
                    }
                    row.speed = hardware.speed;
                }
                None if links.gone.contains(carrier) => row.link = Link::Gone,
                None => {}
            }
        }
        Ok(())
    }

    fn links(&mut self, mut names: Vec<&str>) -> Result<Links, Trouble> {
        const COMMAND: &str = "show hardware-interfaces brief";
        names.sort_unstable();
        names.dedup();
        let mut links = Links::default();
        for batch in batches(COMMAND, &names) {
            let mut rows = HardwareRows::default();
            let gone = self.ask_named(COMMAND, HARDWARE, batch.clone(), &mut |line| {
                rows.take(line);
            })?;
            links.gone.extend(gone.into_iter().map(str::to_owned));
            for row in rows.rows {
                if let Ok(at) = batch.binary_search_by(|name| shown(name).cmp(&row.name)) {
                    links.rows.insert(batch[at].to_owned(), row);
                }
            }
        }
        Ok(links)
    }

    /// Members of a bond of the driver do not say of which. Bonds list the hardware indices of
    /// theirs; only names like `BondEthernet0` are those of bonds.
    fn add_bonds(&mut self, links: &mut Links, found: &[Interface]) -> Result<(), Trouble> {
        if !links.rows.values().any(|row| row.link == HardwareLink::Member) {
            return Ok(());
        }
        let mut bonds: Vec<Interface> =
            found.iter().filter(|row| is_bond(&row.name)).cloned().collect();
        if bonds.is_empty() || links.bonds_missing() {
            let mut rows = SoftwareRows::new(is_bond);
            self.table("show interface", SOFTWARE, &mut |line| rows.take(line))?;
            bonds = rows.rows;
            let names: Vec<&str> = bonds.iter().map(|bond| bond.name.as_str()).collect();
            let unseen = names.into_iter().filter(|name| links.row(name).is_none()).collect();
            let more = self.links(unseen)?;
            links.extend(more);
        }
        links.bonds = bonds.into_iter().map(|bond| (bond.name, bond.admin == Admin::Up)).collect();
        Ok(())
    }
}

/// Whether a name is that of a bond, of a driver's or of VPP's own.
pub fn is_bond(name: &str) -> bool {
    name.starts_with("BondEthernet")
}

/// The part of a name that the tables show.
fn shown(name: &str) -> &str {
    let mut end = name.len().min(SHOWN);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// The interface that a sub-interface is on, or the interface itself.
fn carrier(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((carrier, number))
            if !carrier.is_empty()
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            carrier
        }
        _ => name,
    }
}

/// Names that go into one command each: not too many bytes, and no two that the tables show alike.
/// What cannot be said in a command (VPP splits at white space and expands `$`) is left out.
fn batches<'n>(command: &str, names: &[&'n str]) -> Vec<Vec<&'n str>> {
    let mut batches: Vec<Vec<&str>> = Vec::new();
    let mut length = 0;
    for name in names.iter().copied().filter(|name| sayable(name)) {
        length += name.len() + 1;
        let alike = |batch: &Vec<&str>| {
            // Sorted names that are shown alike stand side by side.
            name.len() >= SHOWN && batch.last().is_some_and(|last| shown(last) == shown(name))
        };
        match batches.last_mut() {
            Some(batch) if length <= LONGEST_COMMAND && !alike(batch) => batch.push(name),
            _ => {
                batches.push(vec![name]);
                length = command.len() + 1 + name.len();
            }
        }
    }
    batches
}

/// Whether a name can stand in a command as itself.
pub fn sayable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"$`'\"\\#;|".contains(&byte);
    !name.is_empty() && name.bytes().all(plain)
}

/// Which of the names a refusal begins with. VPP quotes the rest of the command, 30 bytes of it
/// and then dots.
fn culprit(names: &[&str], quote: &str) -> Option<usize> {
    let cut = quote.strip_suffix("...");
    let quote = cut.unwrap_or(quote).trim();
    (0..names.len()).find(|at| {
        let rest = names[*at..].join(" ");
        !quote.is_empty()
            && rest.starts_with(quote)
            && (cut.is_some() || rest.len() == quote.len() || rest[quote.len()..].starts_with(' '))
    })
}

/// What `show interface` begins with.
const SOFTWARE: &[&str] = &["Name", "Idx", "State"];
/// What `show hardware-interfaces` begins with.
const HARDWARE: &[&str] = &["Name", "Idx", "Link"];

/// The rows of `show interface`: name, index, state, since 18.x the MTU, and counters that go on
/// in the lines below.
struct SoftwareRows<K> {
    keep: K,
    rows: Vec<Interface>,
    total: usize,
    kept: bool,
}

impl<K: Fn(&str) -> bool> SoftwareRows<K> {
    fn new(keep: K) -> Self {
        Self { keep, rows: Vec::new(), total: 0, kept: false }
    }

    fn take(&mut self, line: &str) {
        if line.starts_with([' ', '\t']) {
            if let Some(row) = self.rows.last_mut().filter(|_| self.kept) {
                row.counters.take(line);
            }
            return;
        }
        let Some((name, index, rest)) = name_and_index(line) else { return };
        let mut words = rest.trim_start().splitn(2, ' ');
        let Some(state) = words.next().filter(|state| !state.is_empty()) else { return };
        self.total += 1;
        self.kept = (self.keep)(name);
        if !self.kept {
            return;
        }
        let mut counters = Counters::default();
        counters.take(words.next().unwrap_or_default());
        self.rows.push(Interface {
            name: name.to_owned(),
            index,
            admin: Admin::of(state),
            counters,
            link: Link::Unlisted,
            hardware: String::new(),
            speed: None,
        });
    }
}

/// The first two columns: 32 bytes of a name, which may be followed by no space, and a number.
fn name_and_index(line: &str) -> Option<(&str, u32, &str)> {
    let split = |at: usize| {
        let (name, rest) = line.split_at_checked(at)?;
        let rest = rest.trim_start();
        let (index, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        Some((name.trim_end(), index.parse().ok()?, rest))
    };
    let first_word = || line.find(' ').and_then(split);
    split(SHOWN).or_else(first_word).filter(|(name, ..)| !name.is_empty() && !name.contains(' '))
}

impl Admin {
    fn of(state: &str) -> Self {
        match state.split('/').next().unwrap_or(state) {
            "up" => Self::Up,
            "down" => Self::Down,
            "slave" | "bond-slave" => Self::Member,
            "error" => Self::Error,
            _ => Self::Other(state.to_owned()),
        }
    }
}

impl Counters {
    /// One counter, at the end of a line that may begin with other columns.
    fn take(&mut self, text: &str) {
        let text = text.trim();
        let Some((rest, count)) = text.rsplit_once(' ') else { return };
        let Ok(count) = count.parse() else { return };
        let name = rest.trim_end();
        let counter = [
            ("rx packets", &mut self.rx_packets),
            ("rx bytes", &mut self.rx_bytes),
            ("tx packets", &mut self.tx_packets),
            ("tx bytes", &mut self.tx_bytes),
            ("drops", &mut self.drops),
            ("punt", &mut self.punt),
            ("rx-miss", &mut self.rx_miss),
            ("rx-error", &mut self.rx_error),
            ("tx-error", &mut self.tx_error),
            ("rx-no-buf", &mut self.rx_no_buf),
        ];
        let is = |known: &str| {
            let before = name.strip_suffix(known);
            before.is_some_and(|before| before.is_empty() || before.ends_with(' '))
        };
        if let Some((_, counter)) = counter.into_iter().find(|(known, _)| is(known)) {
            *counter = count;
        }
    }
}

/// One row of `show hardware-interfaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HardwareRow {
    name: String,
    index: u32,
    link: HardwareLink,
    hardware: String,
    members: Vec<u32>,
    speed: Option<u64>,
}

/// The word in column Link.
#[derive(Debug, Clone, PartialEq, Eq)]
enum HardwareLink {
    Up,
    Down,
    Member,
    Other(String),
}

impl HardwareLink {
    fn of(word: &str) -> Self {
        match word {
            "up" => Self::Up,
            "down" => Self::Down,
            "slave" => Self::Member,
            _ => Self::Other(word.to_owned()),
        }
    }
}

/// The rows of `show hardware-interfaces`: name, index, link, hardware; what is indented tells more
/// of the interface above.
#[derive(Default)]
struct HardwareRows {
    rows: Vec<HardwareRow>,
}

impl HardwareRows {
    fn take(&mut self, line: &str) {
        if line.starts_with([' ', '\t']) {
            let speed = line.trim_start().strip_prefix("Link speed:").and_then(megabits);
            if let (Some(row), Some(speed)) = (self.rows.last_mut(), speed) {
                row.speed = Some(speed);
            }
            return;
        }
        let Some((name, index, rest)) = name_and_index(line) else { return };
        let rest = rest.trim();
        let (link, hardware) = rest.split_once(' ').unwrap_or((rest, ""));
        let hardware = hardware.trim();
        let members = hardware.strip_prefix("Slave-Idx:").unwrap_or_default();
        self.rows.push(HardwareRow {
            name: name.to_owned(),
            index,
            link: HardwareLink::of(link),
            hardware: hardware.to_owned(),
            members: members.split_ascii_whitespace().flat_map(str::parse).collect(),
            speed: None,
        });
    }
}

/// `10 Gbps`, `2.5 Gbps`, `100 Mbps`.
fn megabits(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let number: f64 = number.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)?;
    let megabits = match unit.trim() {
        "Gbps" => number * 1000.0,
        "Mbps" => number,
        _ => return None,
    };
    Some(megabits.round() as u64)
}

/// Hardware rows by the names they were asked for with.
#[derive(Default)]
struct Links {
    rows: HashMap<String, HardwareRow>,
    gone: Vec<String>,
    /// Bonds by name, and whether they are switched on.
    bonds: Vec<(String, bool)>,
}

impl Links {
    fn row(&self, name: &str) -> Option<&HardwareRow> {
        self.rows.get(name)
    }

    fn extend(&mut self, more: Self) {
        self.rows.extend(more.rows);
        self.gone.extend(more.gone);
    }

    /// Whether a member is listed by no bond that was seen.
    fn bonds_missing(&self) -> bool {
        let listed = |index: u32| self.rows.values().any(|row| row.members.contains(&index));
        self.rows.values().any(|row| row.link == HardwareLink::Member && !listed(row.index))
    }

    fn link_of(&self, row: &HardwareRow) -> Link {
        match &row.link {
            HardwareLink::Up => Link::Up,
            HardwareLink::Down => Link::Down,
            HardwareLink::Member => Link::Member(self.bond_of(row.index)),
            HardwareLink::Other(word) => Link::Other(word.clone()),
        }
    }

    fn bond_of(&self, member: u32) -> Option<Bond> {
        let (name, on) = self
            .bonds
            .iter()
            .find(|(name, _)| self.row(name).is_some_and(|bond| bond.members.contains(&member)))?;
        let up = *on && self.row(name).is_some_and(|bond| bond.link == HardwareLink::Up);
        Some(Bond { name: name.clone(), up })
    }
}

#[cfg(any(test, fuzzing))]
pub(super) fn read_all(lines: &[String]) {
    let mut software = SoftwareRows::new(|_| true);
    let mut hardware = HardwareRows::default();
    for line in lines {
        software.take(line);
        hardware.take(line);
        let names: Vec<&str> = line.split(' ').collect();
        culprit(&names, line);
        batches("show interface", &names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn software(text: &str) -> Vec<Interface> {
        let mut rows = SoftwareRows::new(|_| true);
        text.lines().skip(1).for_each(|line| rows.take(line));
        rows.rows
    }

    fn hardware(text: &str) -> Vec<HardwareRow> {
        let mut rows = HardwareRows::default();
        text.lines().skip(1).for_each(|line| rows.take(line));
        rows.rows
    }

    #[test]
    fn captured_tables_give_each_interface_with_its_counters() {
        let rows =
            software(include_str!("../../../tests/fixtures/vpp/25.10-healthy/show_interface.txt"));
        assert_eq!(rows.len(), 17);
        let host = rows.iter().find(|row| row.name == "host-vv0").expect("a row");
        assert_eq!((host.index, &host.admin), (1, &Admin::Up));
        let counters = Counters {
            rx_packets: 56,
            rx_bytes: 5076,
            tx_packets: 52,
            tx_bytes: 3444,
            drops: 3,
            punt: 47,
            ..Counters::default()
        };
        assert_eq!(host.counters, counters);
        let rows = hardware(include_str!(
            "../../../tests/fixtures/vpp/25.10-healthy/show_hardware-interfaces.txt"
        ));
        assert_eq!(rows.len(), 16, "sub-interfaces are not there");
        let nic = rows.iter().find(|row| row.name == "GigabitEthernet0/8/0").expect("a row");
        assert_eq!(
            (nic.index, &nic.link, nic.hardware.as_str()),
            (5, &HardwareLink::Up, "host-vv4")
        );
    }

    #[test]
    fn a_row_is_read_whatever_else_stands_in_it() {
        let cut = "averyveryverylonginterfacename01";
        let cases = [
            (
                "eth0                             12     up          9000/0/0/0     drops                          4",
                "eth0",
                12,
                Admin::Up,
                4,
            ),
            (
                "eth0                             12          down/punt       drops                          4",
                "eth0",
                12,
                Admin::Down,
                4,
            ),
            (
                "eth0                              3    error         9000/0/0/0     ",
                "eth0",
                3,
                Admin::Error,
                0,
            ),
            ("eth0                              3   bond-slave    ", "eth0", 3, Admin::Member, 0),
            (
                "eth0                              3   limbo    7  x/y new column  drops 9",
                "eth0",
                3,
                Admin::Other("limbo".into()),
                9,
            ),
            (
                "averyveryverylonginterfacename0112345    up          9000/0/0/0     ",
                cut,
                12345,
                Admin::Up,
                0,
            ),
            (
                "a-name-of-more-than-32-bytes-shown-whole 7 up 9000/0/0/0 drops 1",
                "a-name-of-more-than-32-bytes-shown-whole",
                7,
                Admin::Up,
                1,
            ),
        ];
        for (line, name, index, admin, drops) in cases {
            let rows = software(&format!("header\n{line}\n"));
            assert_eq!(rows.len(), 1, "{line}");
            let row = &rows[0];
            assert_eq!(
                (row.name.as_str(), row.index, &row.admin, row.counters.drops),
                (name, index, &admin, drops),
                "{line}"
            );
        }
        for line in ["", "vpp# ", "-- more --", "eth0", "eth0 up", "eth0                   x  up"] {
            assert_eq!(software(&format!("header\n{line}\n")), [], "{line:?}");
        }
    }

    #[test]
    fn bonds_of_the_driver_list_members_and_speeds_are_megabits() {
        let text = "header\n\
            BondEthernet0                      3     up   Slave-Idx: 1 2\n\
            \x20 Link speed: 20 Gbps\n\
            GigabitEthernet0/8/0               1    slave  GigabitEthernet0/8/0\n\
            \x20 Link speed: 2.500000 Gbps\n\
            eth1                               2   blue   \n\
            \x20 Link speed: unknown\n";
        let rows = hardware(text);
        assert_eq!(rows[0].members, [1, 2]);
        let speeds: Vec<_> = rows.iter().map(|row| row.speed).collect();
        assert_eq!(speeds, [Some(20_000), Some(2500), None]);
        assert_eq!(rows[1].link, HardwareLink::Member);
        assert_eq!(rows[2].link, HardwareLink::Other("blue".into()));
    }

    #[test]
    fn a_refusal_names_its_culprit_also_where_it_is_cut() {
        let names =
            ["eth0", "eth1", "a-very-long-name-of-an-interface", "a-very-long-name-of-another"];
        let cases = [
            ("eth1 a-very-long-name-of-an-in...", Some(1)),
            ("a-very-long-name-of-an-interfa...", Some(2)),
            ("a-very-long-name-of-another", Some(3)),
            ("a-very-long-name-of-an", None),
            ("eth0 eth1 a-very-long-name-of-...", Some(0)),
            ("eth", None),
            ("interface", None),
            ("", None),
            ("...", None),
        ];
        for (quote, at) in cases {
            assert_eq!(culprit(&names, quote), at, "{quote}");
        }
    }

    #[test]
    fn commands_are_short_and_names_that_look_alike_are_asked_for_apart() {
        let names: Vec<String> = (1000..2000).map(|i| format!("VirtualEthernet0/0/{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let all = batches("show interface", &names);
        let length = |batch: &Vec<&str>| "show interface ".len() + batch.join(" ").len();
        assert!(
            all.iter().all(|batch| length(batch) <= LONGEST_COMMAND),
            "{:?}",
            all.iter().map(length).collect::<Vec<_>>()
        );
        assert_eq!(all.concat(), names);
        let alike = ["averyveryverylonginterfacename01", "averyveryverylonginterfacename012", "b"];
        assert_eq!(batches("show", &alike), [vec![alike[0]], vec![alike[1], "b"]]);
        assert_eq!(batches("show", &["a b", "", "$x", "ok"]), [vec!["ok"]]);
    }

    #[test]
    fn a_sub_interface_has_the_link_of_what_it_is_on() {
        for (name, on) in [
            ("host-vv0.100", "host-vv0"),
            ("GigabitEthernet0/8/0.1.2", "GigabitEthernet0/8/0.1"),
            ("tap0.x", "tap0.x"),
            ("tap0.", "tap0."),
            (".1", ".1"),
        ] {
            assert_eq!(carrier(name), on);
        }
    }
}
