//! Interfaces of VPP: what `show interface` says of them, and `show hardware-interfaces brief` of
//! the wanted ones. The first does not stop VPP's workers; the second does while it prints, so it
//! is never asked for more than is wanted.
//!
//! The tables number interfaces differently and are joined by name, of which both show 32 bytes.

use super::session::{Said, Session};
use crate::host::Trouble;
use memchr::memchr;
use std::borrow::Cow;
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
    /// What was counted, where it was asked for.
    pub counters: Option<Box<Counters>>,
    /// Its link.
    pub link: Link,
    /// What else is known of its hardware: nothing of most virtual interfaces.
    pub hardware: Option<Box<Hardware>>,
}

/// What `show hardware-interfaces` says of an interface beside its link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hardware {
    /// What its driver calls it; empty where it is the interface's own name.
    pub name: String,
    /// Megabits per second, where VPP knows.
    pub speed: Option<u64>,
    /// Hardware indices of the members of a bond of the driver.
    pub members: Vec<u32>,
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
        row: &mut dyn FnMut(&[u8]),
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
                    row.hardware.clone_from(&hardware.more);
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
pub fn carrier(name: &str) -> &str {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    match name[..name.len() - digits].strip_suffix('.') {
        Some(carrier) if digits > 0 && !carrier.is_empty() => carrier,
        _ => name,
    }
}

/// Names that go into one command each, by their places: not too many bytes, and no two that tables
/// or refusals show alike. What cannot be said in a command (VPP splits at white space and expands `$`)
/// is left out.
fn batches(command: &str, names: &[&str]) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut length = 0;
    for (at, name) in names.iter().copied().enumerate().filter(|(_, name)| sayable(name)) {
        length += name.len() + 1;
        let alike = |batch: &Vec<usize>| {
            name.len() >= QUOTED && batch.iter().any(|other| quoted(names[*other]) == quoted(name))
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

/// How much of a name a refusal shows; less than the [`SHOWN`] of the tables.
const QUOTED: usize = 30;

fn quoted(name: &str) -> &[u8] {
    &name.as_bytes()[..name.len().min(QUOTED)]
}

/// Which of the names a refusal begins with. VPP quotes the rest of the command, [`QUOTED`] bytes
/// of it and then dots.
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

    fn take(&mut self, line: &[u8]) {
        if indented(line) {
            let row = self.rows.last_mut().filter(|_| self.kept);
            if let Some(counters) = row.and_then(|row| row.counters.as_mut()) {
                counters.take(line);
            }
            return;
        }
        let Some((name, index, rest)) = name_and_index(line) else { return };
        // Where a reply is cut short there is none: that is a state which is not known here.
        let (state, rest) = first_word(rest.trim_ascii_start());
        let name = match std::str::from_utf8(name) {
            Ok(name) => Cow::Borrowed(name),
            Err(_) => String::from_utf8_lossy(name),
        };
        self.total += 1;
        self.kept = (self.keep)(&name);
        if !self.kept {
            return;
        }
        let counters = (self.rows.len() < self.counted).then(|| {
            let mut counters = Box::<Counters>::default();
            counters.take(rest);
            counters
        });
        self.rows.push(Interface {
            name: name.into_owned(),
            index,
            admin: Admin::of(state),
            counters,
            link: Link::Unlisted,
            hardware: None,
        });
    }
}

/// Whether a line goes on with what stands above it.
fn indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// The first two columns, a name and a number, and what follows. No space need be between them
/// where the name fills its column.
fn name_and_index(line: &[u8]) -> Option<(&[u8], u32, &[u8])> {
    let word = memchr(b' ', line)?;
    let split = |at: usize| {
        let (name, rest) = line.split_at_checked(at)?;
        let (index, rest) = first_word(rest.trim_ascii_start());
        Some((name, number(index)?, rest))
    };
    split(word.min(SHOWN)).or_else(|| split(word)).filter(|(name, ..)| !name.is_empty())
}

/// Up to the first space, and what stands behind it.
fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b' ', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

/// A number of decimal digits alone.
fn number(text: &[u8]) -> Option<u32> {
    let digit = |n: u32, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, digit) }
}

impl Admin {
    fn of(state: &[u8]) -> Self {
        match state.split(|byte| *byte == b'/').next().unwrap_or(state) {
            b"up" => Self::Up,
            b"down" => Self::Down,
            b"slave" | b"bond-slave" => Self::Member,
            b"error" => Self::Error,
            _ => Self::Other(String::from_utf8_lossy(state).into_owned()),
        }
    }
}

impl Counters {
    /// One counter, at the end of a line that may begin with other columns.
    fn take(&mut self, text: &[u8]) {
        let text = text.trim_ascii_end();
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
    more: Option<Box<Hardware>>,
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
    fn of(word: &[u8]) -> Self {
        match word {
            b"up" => Self::Up,
            b"down" => Self::Down,
            b"slave" => Self::Member,
            _ => Self::Other(String::from_utf8_lossy(word).into_owned()),
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
    fn take(&mut self, line: &[u8]) {
        if indented(line) {
            let Some(text) = line.strip_prefix(b"  Link speed:") else { return };
            let Some(speed) = megabits(text) else { return };
            if let Some(Slot::Row(row)) = self.at.map(|at| &mut self.slots[at]) {
                row.more.get_or_insert_default().speed = Some(speed);
            }
            return;
        }
        let Some((name, index, rest)) = name_and_index(line) else { return };
        self.at = self.place(name);
        let Some(at) = self.at else { return };
        let (link, hardware) = first_word(rest.trim_ascii());
        let hardware = hardware.trim_ascii();
        let same = hardware == self.names[at].as_bytes();
        let more = (!same && !hardware.is_empty()).then(|| Box::new(Hardware::of(hardware)));
        self.slots[at] = Slot::Row(HardwareRow { index, link: HardwareLink::of(link), more });
    }

    fn place(&mut self, name: &[u8]) -> Option<usize> {
        let is = |at: &usize| shown(self.names[*at]).as_bytes() == name;
        let after = self.batch[self.next..].iter().position(is).map(|nth| self.next + nth);
        let nth = after.or_else(|| self.batch.iter().position(is))?;
        self.next = nth + 1;
        Some(self.batch[nth])
    }
}

impl Hardware {
    /// The last column: the driver's name of it, or what a bond of the driver consists of.
    fn of(column: &[u8]) -> Self {
        let members = column.strip_prefix(b"Slave-Idx:").unwrap_or_default();
        Self {
            name: String::from_utf8_lossy(column).into_owned(),
            speed: None,
            members: members.split(|byte| *byte == b' ').filter_map(number).collect(),
        }
    }
}

/// `10 Gbps`, `2.5 Gbps`, `100 Mbps`.
fn megabits(text: &[u8]) -> Option<u64> {
    let (number, unit) = std::str::from_utf8(text).ok()?.trim().split_once(' ')?;
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
        let hardware = slot.row()?;
        let members = hardware.more.as_ref().map(|more| &more.members)?;
        let up = row.admin == Admin::Up && hardware.link == HardwareLink::Up;
        (!members.is_empty()).then(|| Self { name: row.name.clone(), up, members: members.clone() })
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
pub(super) fn read_all(raw: &[Vec<u8>]) {
    let mut software = SoftwareRows::new(|_| true, usize::MAX);
    let lines: Vec<String> =
        raw.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let name = lines.first().map_or("local0", |line| shown(line));
    let mut slots = vec![Slot::Unlisted, Slot::Unlisted];
    let mut hardware = HardwareRows {
        names: &["GigabitEthernet0/8/0", name],
        batch: &[0, 1],
        next: 0,
        slots: &mut slots,
        at: None,
    };
    for (raw, line) in raw.iter().zip(&lines) {
        software.take(raw);
        hardware.take(raw);
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
        text.lines().skip(1).for_each(|line| rows.take(line.as_bytes()));
        rows.rows
    }

    fn hardware(text: &str, names: &[&str]) -> Vec<Slot> {
        let mut slots = vec![Slot::Unlisted; names.len()];
        let batch: Vec<usize> = (0..names.len()).collect();
        let mut rows = HardwareRows { names, batch: &batch, next: 0, slots: &mut slots, at: None };
        text.lines().skip(1).for_each(|line| rows.take(line.as_bytes()));
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
        assert_eq!(host.counters.as_deref(), Some(&counters));
        let text =
            include_str!("../../../tests/fixtures/vpp/25.10-healthy/show_hardware-interfaces.txt");
        let names = ["local0", "GigabitEthernet0/8/0", "host-vv0.100", "BondEthernet0"];
        let slots = hardware(text, &names);
        let row = |index, link, hardware: &str| {
            Slot::Row(HardwareRow {
                index,
                link,
                more: (!hardware.is_empty())
                    .then(|| Box::new(Hardware { name: hardware.into(), ..Hardware::default() })),
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
                (row.name.as_str(), row.index, &row.admin, row.counters.as_ref().map(|c| c.drops)),
                (name, index, &admin, Some(drops)),
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
        let more: Vec<_> = rows.iter().map(|row| row.more.clone().unwrap_or_default()).collect();
        assert_eq!(more[0].members, [1, 2]);
        let speeds: Vec<_> = more.iter().map(|more| more.speed).collect();
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
        let quoted = ["averyveryverylonginterfacename1", "averyveryverylonginterfacename2"];
        assert_eq!(batches("show", &quoted), [vec![0], vec![1]]);
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
