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
    /// The wanted interfaces with their links, and the counters of so many of the first.
    ///
    /// # Errors
    /// As [`Session::ask`], and where a table is not one.
    pub fn interfaces(&mut self, wanted: &Wanted, counted: usize) -> Result<Interfaces, Trouble> {
        let mut interfaces = match wanted {
            Wanted::Names(names) => self.named(names, counted)?,
            Wanted::Matching(passes) => self.matching(*passes, counted)?,
        };
        self.add_links(&mut interfaces.found)?;
        Ok(interfaces)
    }

    fn matching(
        &mut self,
        passes: &dyn Fn(&str) -> bool,
        counted: usize,
    ) -> Result<Interfaces, Trouble> {
        let mut rows = SoftwareRows::new(|name| passes(name) || name.len() == SHOWN, counted);
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

    fn named(&mut self, names: &[String], counted: usize) -> Result<Interfaces, Trouble> {
        let mut interfaces = Interfaces::default();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        for batch in batches("show interface", &names) {
            let batch: Vec<&str> = batch.into_iter().map(|at| names[at]).collect();
            let left = counted.saturating_sub(interfaces.found.len());
            let mut rows = SoftwareRows::new(|_| true, left);
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
        let mut names: Vec<&str> = Vec::with_capacity(found.len());
        let mut slot_of = Vec::with_capacity(found.len());
        for row in found.iter() {
            let carrier = carrier(&row.name);
            // VPP's order has sub-interfaces beside the interface they are on.
            if names.last() != Some(&carrier) {
                names.push(carrier);
            }
            slot_of.push(names.len() - 1);
        }
        let mut slots = self.links(&names)?;
        // A name may end like that of a sub-interface and be none.
        let alone = |(row, slot): &(&Interface, &mut usize)| {
            matches!(slots[**slot], Slot::Gone) && carrier(&row.name) != row.name
        };
        let alone: Vec<_> = found.iter().zip(&mut slot_of).filter(alone).collect();
        let names: Vec<&str> = alone.iter().map(|(row, _)| row.name.as_str()).collect();
        let more = self.links(&names)?;
        for (nth, (_, slot)) in alone.into_iter().enumerate() {
            *slot = slots.len() + nth;
        }
        slots.extend(more);
        let bonds = self.bonds_of_members(found, &slots, &slot_of)?;
        for (row, slot) in found.iter_mut().zip(slot_of) {
            match &slots[slot] {
                Slot::Row(hardware) => {
                    row.link = hardware.link(&bonds);
                    row.hardware.clone_from(&hardware.hardware);
                    row.speed = hardware.speed;
                }
                Slot::Gone => row.link = Link::Gone,
                Slot::Unlisted => {}
            }
        }
        Ok(())
    }

    /// What VPP says of the hardware of each name, in the order of the names.
    fn links(&mut self, names: &[&str]) -> Result<Vec<Slot>, Trouble> {
        const COMMAND: &str = "show hardware-interfaces brief";
        let mut slots = Vec::new();
        slots.resize_with(names.len(), || Slot::Unlisted);
        for batch in batches(COMMAND, names) {
            let asked = batch.iter().map(|at| names[*at]).collect();
            let mut rows =
                HardwareRows { names, batch: &batch, next: 0, slots: &mut slots, at: None };
            let gone = self.ask_named(COMMAND, HARDWARE, asked, &mut |line| rows.take(line))?;
            for at in batch.iter().filter(|at| gone.contains(&names[**at])) {
                slots[*at] = Slot::Gone;
            }
        }
        Ok(slots)
    }

    /// Members of a bond of the driver do not say of which. Bonds list the hardware indices of
    /// theirs; only names like `BondEthernet0` are those of bonds.
    fn bonds_of_members(
        &mut self,
        found: &[Interface],
        slots: &[Slot],
        slot_of: &[usize],
    ) -> Result<Vec<DriverBond>, Trouble> {
        let members = slots.iter().filter_map(Slot::row);
        let members: Vec<u32> =
            members.filter(|row| row.link == HardwareLink::Member).map(|row| row.index).collect();
        let seen = found.iter().zip(slot_of).map(|(row, slot)| (row, &slots[*slot]));
        let bonds: Vec<DriverBond> = seen.filter_map(DriverBond::of).collect();
        let listed = |member: &u32| bonds.iter().any(|bond| bond.members.contains(member));
        if members.iter().all(listed) {
            return Ok(bonds);
        }
        let mut rows = SoftwareRows::new(is_bond, 0);
        self.table("show interface", SOFTWARE, &mut |line| rows.take(line))?;
        let names: Vec<&str> = rows.rows.iter().map(|bond| bond.name.as_str()).collect();
        let slots = self.links(&names)?;
        Ok(rows.rows.iter().zip(&slots).filter_map(DriverBond::of).collect())
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

/// Names that go into one command each, by their places: not too many bytes, and no two that the
/// tables show alike. What cannot be said in a command (VPP splits at white space and expands `$`)
/// is left out.
fn batches(command: &str, names: &[&str]) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut length = 0;
    for (at, name) in names.iter().copied().enumerate().filter(|(_, name)| sayable(name)) {
        length += name.len() + 1;
        let alike = |batch: &Vec<usize>| {
            name.len() >= SHOWN && batch.iter().any(|other| shown(names[*other]) == shown(name))
        };
        match batches.last_mut() {
            Some(batch) if length <= LONGEST_COMMAND && !alike(batch) => batch.push(at),
            _ => {
                batches.push(vec![at]);
                length = command.len() + 1 + name.len();
            }
        }
    }
    batches
}

/// Whether a name can stand in a command as itself.
pub fn sayable(name: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'$' | b'`' | b'\'' | b'"' | b'\\' | b'#' | b';' | b'|')
    };
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
    /// Counters are read of so many of the first rows.
    counted: usize,
    rows: Vec<Interface>,
    total: usize,
    kept: bool,
}

impl<K: Fn(&str) -> bool> SoftwareRows<K> {
    fn new(keep: K, counted: usize) -> Self {
        Self { keep, counted, rows: Vec::new(), total: 0, kept: false }
    }

    fn take(&mut self, line: &str) {
        if indented(line) {
            let counts = self.kept && self.rows.len() <= self.counted;
            if let Some(row) = self.rows.last_mut().filter(|_| counts) {
                row.counters.take(line);
            }
            return;
        }
        let Some((name, index, rest)) = name_and_index(line) else { return };
        let mut words = rest.trim_ascii_start().splitn(2, ' ');
        let Some(state) = words.next().filter(|state| !state.is_empty()) else { return };
        self.total += 1;
        self.kept = (self.keep)(name);
        if !self.kept {
            return;
        }
        let mut counters = Counters::default();
        if self.rows.len() < self.counted {
            counters.take(words.next().unwrap_or_default());
        }
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

/// Whether a line goes on with what stands above it.
fn indented(line: &str) -> bool {
    matches!(line.as_bytes().first(), Some(b' ' | b'\t'))
}

/// The first two columns: 32 bytes of a name, which may be followed by no space, and a number.
fn name_and_index(line: &str) -> Option<(&str, u32, &str)> {
    let split = |at: usize| {
        let (name, rest) = line.split_at_checked(at)?;
        let rest = rest.trim_ascii_start();
        let (index, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        Some((name.trim_ascii_end(), index.parse().ok()?, rest))
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
    /// One counter, at the end of a line that may begin with other columns. In bytes: there are
    /// tens of thousands of such lines.
    fn take(&mut self, text: &str) {
        let text = text.as_bytes().trim_ascii_end();
        let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let (name, count) = text.split_at(text.len() - digits);
        if digits == 0 || name.last() != Some(&b' ') {
            return;
        }
        let (before, last) = last_word(name.trim_ascii_end());
        let direction = || last_word(before.trim_ascii_end()).1;
        let counter = match last {
            b"drops" => &mut self.drops,
            b"punt" => &mut self.punt,
            b"rx-miss" => &mut self.rx_miss,
            b"rx-error" => &mut self.rx_error,
            b"tx-error" => &mut self.tx_error,
            b"rx-no-buf" => &mut self.rx_no_buf,
            b"packets" if direction() == b"rx" => &mut self.rx_packets,
            b"packets" if direction() == b"tx" => &mut self.tx_packets,
            b"bytes" if direction() == b"rx" => &mut self.rx_bytes,
            b"bytes" if direction() == b"tx" => &mut self.tx_bytes,
            _ => return,
        };
        let digit =
            |sum: u64, byte: &u8| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
        *counter = count.iter().fold(0, digit);
    }
}

/// The last word, and what stands before it.
fn last_word(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text.iter().rev().take_while(|byte| **byte != b' ').count();
    text.split_at(text.len() - length)
}

/// One row of `show hardware-interfaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HardwareRow {
    index: u32,
    link: HardwareLink,
    /// Empty where it is the interface's own name.
    hardware: String,
    members: Vec<u32>,
    speed: Option<u64>,
}

/// What is known of the hardware of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    Row(HardwareRow),
    Gone,
    Unlisted,
}

impl Slot {
    fn row(&self) -> Option<&HardwareRow> {
        match self {
            Self::Row(row) => Some(row),
            _ => None,
        }
    }
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
/// of the interface above. They are put where their names stand.
struct HardwareRows<'r> {
    names: &'r [&'r str],
    batch: &'r [usize],
    /// Where in the batch the next row is expected: VPP prints in the order in which it lists.
    next: usize,
    slots: &'r mut [Slot],
    at: Option<usize>,
}

impl HardwareRows<'_> {
    fn take(&mut self, line: &str) {
        if indented(line) {
            let Some(text) = line.strip_prefix("  Link speed:") else { return };
            if let Some(Slot::Row(row)) = self.at.map(|at| &mut self.slots[at]) {
                row.speed = megabits(text);
            }
            return;
        }
        let Some((name, index, rest)) = name_and_index(line) else { return };
        self.at = self.place(name);
        let Some(at) = self.at else { return };
        let rest = rest.trim_ascii();
        let (link, hardware) = rest.split_once(' ').unwrap_or((rest, ""));
        let hardware = hardware.trim_ascii();
        let members = hardware.strip_prefix("Slave-Idx:").unwrap_or_default();
        let other = if hardware == self.names[at] { "" } else { hardware };
        self.slots[at] = Slot::Row(HardwareRow {
            index,
            link: HardwareLink::of(link),
            hardware: other.to_owned(),
            members: members.split_ascii_whitespace().flat_map(str::parse).collect(),
            speed: None,
        });
    }

    fn place(&mut self, name: &str) -> Option<usize> {
        let is = |at: &usize| shown(self.names[*at]) == name;
        let after = self.batch[self.next..].iter().position(is).map(|nth| self.next + nth);
        let nth = after.or_else(|| self.batch.iter().position(is))?;
        self.next = nth + 1;
        Some(self.batch[nth])
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

/// A bond of the driver.
struct DriverBond {
    name: String,
    up: bool,
    members: Vec<u32>,
}

impl DriverBond {
    fn of((row, slot): (&Interface, &Slot)) -> Option<Self> {
        let hardware = slot.row().filter(|hardware| !hardware.members.is_empty())?;
        let up = row.admin == Admin::Up && hardware.link == HardwareLink::Up;
        Some(Self { name: row.name.clone(), up, members: hardware.members.clone() })
    }
}

impl HardwareRow {
    fn link(&self, bonds: &[DriverBond]) -> Link {
        match &self.link {
            HardwareLink::Up => Link::Up,
            HardwareLink::Down => Link::Down,
            HardwareLink::Member => {
                let bond = bonds.iter().find(|bond| bond.members.contains(&self.index));
                Link::Member(bond.map(|bond| Bond { name: bond.name.clone(), up: bond.up }))
            }
            HardwareLink::Other(word) => Link::Other(word.clone()),
        }
    }
}

#[cfg(any(test, fuzzing))]
pub(super) fn read_all(lines: &[String]) {
    let mut software = SoftwareRows::new(|_| true, usize::MAX);
    let name = lines.first().map_or("local0", |line| shown(line));
    let mut slots = vec![Slot::Unlisted, Slot::Unlisted];
    let mut hardware = HardwareRows {
        names: &["GigabitEthernet0/8/0", name],
        batch: &[0, 1],
        next: 0,
        slots: &mut slots,
        at: None,
    };
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
        let mut rows = SoftwareRows::new(|_| true, usize::MAX);
        text.lines().skip(1).for_each(|line| rows.take(line));
        rows.rows
    }

    fn hardware(text: &str, names: &[&str]) -> Vec<Slot> {
        let mut slots = vec![Slot::Unlisted; names.len()];
        let batch: Vec<usize> = (0..names.len()).collect();
        let mut rows = HardwareRows { names, batch: &batch, next: 0, slots: &mut slots, at: None };
        text.lines().skip(1).for_each(|line| rows.take(line));
        slots
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
        let text =
            include_str!("../../../tests/fixtures/vpp/25.10-healthy/show_hardware-interfaces.txt");
        let names = ["local0", "GigabitEthernet0/8/0", "host-vv0.100", "BondEthernet0"];
        let slots = hardware(text, &names);
        let row = |index, link, hardware: &str| {
            Slot::Row(HardwareRow {
                index,
                link,
                hardware: hardware.into(),
                members: vec![],
                speed: None,
            })
        };
        let expected = [
            row(0, HardwareLink::Down, ""),
            row(5, HardwareLink::Up, "host-vv4"),
            Slot::Unlisted,
            row(13, HardwareLink::Up, ""),
        ];
        assert_eq!(slots, expected, "in whatever order");
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
        let slots = hardware(text, &["BondEthernet0", "GigabitEthernet0/8/0", "eth1"]);
        let rows: Vec<_> = slots.iter().filter_map(Slot::row).collect();
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
        let length = |batch: &Vec<usize>| {
            let names: Vec<&str> = batch.iter().map(|at| names[*at]).collect();
            "show interface ".len() + names.join(" ").len()
        };
        assert!(all.iter().all(|batch| length(batch) <= LONGEST_COMMAND));
        assert_eq!(all.concat(), (0..1000).collect::<Vec<_>>());
        let alike =
            ["averyveryverylonginterfacename01", "b", "averyveryverylonginterfacename012", "c"];
        assert_eq!(batches("show", &alike), [vec![0, 1], vec![2, 3]]);
        assert_eq!(batches("show", &["a b", "", "$x", "ok"]), [vec![3]]);
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
