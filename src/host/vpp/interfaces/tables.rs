//! The rows of `show interface` and `show hardware-interfaces`, as VPP prints them.

use super::{Admin, Counters, Hardware, Interface, Link};
use memchr::memchr;
use std::borrow::Cow;

/// How many bytes of a name the tables show.
pub(super) const SHOWN: usize = 32;

/// The part of a name that the tables show.
pub(super) fn shown(name: &str) -> &str {
    let mut end = name.len().min(SHOWN);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// What `show interface` begins with.
pub(super) const SOFTWARE: &[&str] = &["Name", "Idx", "State"];
/// What `show hardware-interfaces` begins with.
pub(super) const HARDWARE: &[&str] = &["Name", "Idx", "Link"];

/// The rows of `show interface`: name, index, state, since 18.x the MTU, and counters that go on
/// in the lines below.
pub(super) struct SoftwareRows<K> {
    keep: K,
    /// Counters are read of so many of the first rows.
    counted: usize,
    pub(super) rows: Vec<Interface>,
    pub(super) total: usize,
    kept: bool,
}

impl<K: Fn(&str) -> bool> SoftwareRows<K> {
    pub(super) fn new(keep: K, counted: usize) -> Self {
        Self { keep, counted, rows: Vec::new(), total: 0, kept: false }
    }

    pub(super) fn take(&mut self, line: &[u8]) {
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
pub(super) struct HardwareRow {
    pub(super) index: u32,
    pub(super) link: HardwareLink,
    pub(super) more: Option<Box<Hardware>>,
}

/// What is known of the hardware of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    Row(HardwareRow),
    Gone,
    Unlisted,
}

impl Slot {
    pub(super) fn row(&self) -> Option<&HardwareRow> {
        match self {
            Self::Row(row) => Some(row),
            _ => None,
        }
    }
}

/// The word in column Link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HardwareLink {
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
pub(super) struct HardwareRows<'r> {
    names: &'r [&'r str],
    batch: &'r [usize],
    /// Where in the batch the next row is expected: VPP prints in the order in which it lists.
    next: usize,
    slots: &'r mut [Slot],
    at: Option<usize>,
}

impl<'r> HardwareRows<'r> {
    pub(super) fn new(names: &'r [&'r str], batch: &'r [usize], slots: &'r mut [Slot]) -> Self {
        Self { names, batch, next: 0, slots, at: None }
    }

    pub(super) fn take(&mut self, line: &[u8]) {
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
        let mut rows = HardwareRows::new(names, &batch, &mut slots);
        text.lines().skip(1).for_each(|line| rows.take(line.as_bytes()));
        slots
    }

    #[test]
    fn captured_tables_give_each_interface_with_its_counters() {
        let rows = software(include_str!(
            "../../../../tests/fixtures/vpp/25.10-healthy/show_interface.txt"
        ));
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
        let text = include_str!(
            "../../../../tests/fixtures/vpp/25.10-healthy/show_hardware-interfaces.txt"
        );
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
}
