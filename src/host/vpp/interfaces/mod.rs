//! Interfaces of VPP: what `show interface` says of them, and `show hardware-interfaces brief` of
//! the wanted ones. The first does not stop VPP's workers; the second does while it prints, so it
//! is never asked for more than is wanted.
//!
//! The tables number interfaces differently and are joined by name, of which both show 32 bytes.

mod tables;

use super::session::{Said, Session};
use crate::host::Trouble;
use std::collections::HashMap;
use tables::{
    HARDWARE, HardwareLink, HardwareRow, HardwareRows, SHOWN, SOFTWARE, Slot, SoftwareRows, shown,
};

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
            let mut rows = HardwareRows::new(names, &batch, &mut slots);
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
    let names = ["GigabitEthernet0/8/0", name];
    let mut hardware = HardwareRows::new(&names, &[0, 1], &mut slots);
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
