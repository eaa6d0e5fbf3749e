//! Forwarding tables of Linux bridges: which port leads to an address. One question for one
//! address (`RTM_GETNEIGH`, kernel 5.0 and later), never the whole table. No privilege is needed.

use crate::host::link::Link;
use crate::host::mac::Mac;
use crate::host::netlink::{IFINFO, NDMSG, Question, Route, attributes, number};
use crate::host::trouble::{Trouble, Why};
use netlink_packet_core::NlasIterator;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

/// One address in the table of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Number of the port's device; the bridge's own number for an address of the bridge itself.
    pub port: u32,
    /// How it came there.
    pub origin: Origin,
    /// Since it was last seen as a source; of what was learned only.
    pub age: Option<Duration>,
    /// Its VLAN, on a bridge that keeps addresses per VLAN.
    pub vlan: Option<u16>,
}

/// How an address came into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Learned from traffic, or told by another switch.
    Learned,
    /// Set by somebody, to be forwarded to its port.
    Static,
    /// An address of this host, the port's or the bridge's own: what is sent there goes to the host.
    Local,
}

/// Who is asked, for what goes wrong.
const WHOM: &str = "the kernel (RTM_GETNEIGH)";
const NDA_MASTER: u16 = 9;
/// `NTF_EXT_LEARNED`: told by hardware or by a control plane.
const EXT_LEARNED: u8 = 0x10;

impl Route {
    /// What the table of a bridge has of an address: nothing, one entry, or one per VLAN.
    ///
    /// # Errors
    /// The kernel did not answer as it should.
    pub fn fdb(&self, bridge: &Link, mac: Mac) -> Result<Vec<Entry>, Trouble> {
        let filters = bridge.bridge.is_some_and(|bridge| bridge.vlan_filtering);
        let vlans = if filters { self.vlans(bridge.index)? } else { BTreeSet::new() };
        let mut entries = Vec::new();
        for vlan in std::iter::once(None).chain(vlans.into_iter().map(Some)) {
            match self.entry(bridge.index, mac, vlan) {
                Ok(found) => entries.extend(found),
                Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    return self.fdb_by_file(bridge, mac);
                }
                Err(e) => return Err(Trouble::of(WHOM, &e)),
            }
        }
        Ok(entries)
    }

    fn entry(&self, bridge: u32, mac: Mac, vlan: Option<u16>) -> io::Result<Option<Entry>> {
        let mut question = Question::new(libc::RTM_GETNEIGH, &family(NDMSG))
            .with(NDA_MASTER, &bridge.to_ne_bytes())
            .with(libc::NDA_LLADDR, &mac.0);
        if let Some(vlan) = vlan {
            question = question.with(libc::NDA_VLAN, &vlan.to_ne_bytes());
        }
        match self.ask(question) {
            Ok(message) => parse(&message).map_err(io::Error::other),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// How many addresses a bridge has learned, counted by reading its table: for kernels that keep
    /// no count (before 6.7). About 2 us for each address and port, so a large table is given up
    /// after a moment, and this socket must not be asked any more.
    ///
    /// # Errors
    /// The kernel did not answer as it should, or the table is too large.
    pub fn count_learned(self, bridge: u32) -> Result<usize, Trouble> {
        const MOMENT: Duration = Duration::from_millis(250);
        let until = Instant::now() + MOMENT;
        // In front of a dump stands an ifinfomsg; behind an ndmsg the attribute would be passed over.
        let question = Question::new(libc::RTM_GETNEIGH, &family(IFINFO))
            .with(libc::IFLA_MASTER, &bridge.to_ne_bytes());
        let dump = self.dump(&question, |message| {
            if Instant::now() > until {
                return Err(format!("a table too large to be counted in {MOMENT:?}"));
            }
            let entry = parse(message)?;
            Ok(entry.filter(|entry| entry.origin == Origin::Learned).map(|_| ()))
        });
        dump.map(|dump| dump.items.len()).map_err(|e| Trouble::of(WHOM, &e))
    }

    /// The VLANs of a bridge and of its ports.
    fn vlans(&self, bridge: u32) -> Result<BTreeSet<u16>, Trouble> {
        /// `RTEXT_FILTER_BRVLAN_COMPRESSED`: ranges, not one attribute for each of 4094 VLANs.
        const RANGES: u32 = 1 << 2;
        let question = Question::new(libc::RTM_GETLINK, &family(IFINFO))
            .with(libc::IFLA_EXT_MASK, &RANGES.to_ne_bytes());
        let mut vlans = BTreeSet::new();
        let dump = self.dump(&question, |message| {
            let (mut master, mut own) = (None, BTreeSet::new());
            attributes(message, IFINFO, |kind, value| match kind {
                libc::IFLA_MASTER => master = number(value),
                libc::IFLA_AF_SPEC => own = vlan_ranges(value),
                _ => {}
            })?;
            if master == Some(bridge) {
                vlans.extend(own);
            }
            Ok(None::<()>)
        });
        let dump = dump.map_err(|e| Trouble::of("the kernel (RTM_GETLINK)", &e))?;
        dump.whole().map(|_| vlans)
    }

    /// The same from `/sys/class/net/BRIDGE/brforward`, for kernels before 5.0: the whole table, and
    /// without VLANs.
    fn fdb_by_file(&self, bridge: &Link, mac: Mac) -> Result<Vec<Entry>, Trouble> {
        let place = Path::new("/sys/class/net").join(&bridge.name);
        let trouble = |e: &io::Error| Trouble::of(format!("{} (brforward)", place.display()), e);
        // A /sys that was mounted in another network namespace shows another bridge of this name.
        let index = std::fs::read_to_string(place.join("ifindex")).map_err(|e| trouble(&e))?;
        if index.trim().parse() != Ok(bridge.index) {
            let why = Why::Unreadable("/sys is of another network namespace".to_owned());
            return Err(Trouble { whom: place.display().to_string(), why });
        }
        let table = File::open(place.join("brforward")).map_err(|e| trouble(&e))?;
        let records = records_of(mac, table).map_err(|e| trouble(&e))?;
        let ports = self.links_of(bridge.index)?.whole()?;
        let entries = records.iter().filter_map(|record| {
            let number = |link: &&Link| link.port.and_then(|port| port.number);
            let port = ports.iter().find(|link| number(link) == Some(record.port))?;
            Some(record.entry(port.index))
        });
        let mut entries: Vec<Entry> = entries.collect();
        // The file leaves the bridge's own address out.
        if bridge.mac == Some(mac) && entries.is_empty() {
            let own = Entry { port: bridge.index, origin: Origin::Local, age: None, vlan: None };
            entries.push(own);
        }
        Ok(entries)
    }
}

/// The fixed part of a question: its first byte is the family, the rest is 0.
fn family(length: usize) -> Vec<u8> {
    const AF_BRIDGE: u8 = 7;
    let mut fixed = vec![0; length];
    fixed[0] = AF_BRIDGE;
    fixed
}

/// `ndmsg` and attributes; `None` for addresses that are not the bridge's, but those that a device
/// itself listens to.
fn parse(message: &[u8]) -> Result<Option<Entry>, String> {
    let fixed = message.get(..NDMSG).ok_or("the answer is too short")?;
    let state = u16::from_ne_bytes([fixed[8], fixed[9]]);
    let flags = fixed[10];
    if flags & libc::NTF_SELF != 0 {
        return Ok(None);
    }
    let origin = match state {
        _ if state & libc::NUD_PERMANENT != 0 => Origin::Local,
        _ if state & libc::NUD_NOARP != 0 && flags & EXT_LEARNED == 0 => Origin::Static,
        _ => Origin::Learned,
    };
    let mut entry = Entry { port: number(&fixed[4..]).unwrap_or(0), origin, age: None, vlan: None };
    attributes(message, NDMSG, |kind, value| match kind {
        libc::NDA_VLAN => entry.vlan = value.try_into().ok().map(u16::from_ne_bytes),
        libc::NDA_CACHEINFO if origin == Origin::Learned => entry.age = updated(value),
        _ => {}
    })?;
    Ok(Some(entry))
}

/// The third number of `nda_cacheinfo`, in 1/100 s: since it was last a source here.
fn updated(cacheinfo: &[u8]) -> Option<Duration> {
    number(cacheinfo.get(8..)?).map(hundredths)
}

fn hundredths(n: u32) -> Duration {
    Duration::from_millis(u64::from(n) * 10)
}

/// The VLANs in `IFLA_AF_SPEC`: `bridge_vlan_info` (flags, number) each, or two for a range.
fn vlan_ranges(spec: &[u8]) -> BTreeSet<u16> {
    const VLAN_INFO: u16 = 2;
    const RANGE_BEGIN: u16 = 1 << 3;
    const RANGE_END: u16 = 1 << 4;
    let mut vlans = BTreeSet::new();
    let mut begin = None;
    for attribute in NlasIterator::new(spec).flatten() {
        let (VLAN_INFO, [a, b, c, d]) = (attribute.kind(), attribute.value()) else { continue };
        let (flags, vlan) = (u16::from_ne_bytes([*a, *b]), u16::from_ne_bytes([*c, *d]));
        match begin {
            Some(first) if flags & RANGE_END != 0 => vlans.extend(first..=vlan),
            _ => drop(vlans.insert(vlan)),
        }
        begin = (flags & RANGE_BEGIN != 0).then_some(vlan);
    }
    vlans
}

/// `struct __fdb_entry` of `linux/if_bridge.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    port: u16,
    local: bool,
    age: Duration,
}

const RECORD: usize = 16;

impl Record {
    fn new(bytes: &[u8; RECORD]) -> Self {
        let [_, _, _, _, _, _, port_low, local, a, b, c, d, port_high, ..] = *bytes;
        Self {
            port: u16::from_le_bytes([port_low, port_high]),
            local: local != 0,
            age: hundredths(u32::from_ne_bytes([a, b, c, d])),
        }
    }

    fn entry(self, port: u32) -> Entry {
        let origin = if self.local { Origin::Local } else { Origin::Learned };
        Entry { port, origin, age: (!self.local).then_some(self.age), vlan: None }
    }
}

/// What a table in `brforward` has of an address. The kernel takes reads of whole records only, and
/// repeats some where the table changes meanwhile.
fn records_of(mac: Mac, mut table: impl Read) -> io::Result<Vec<Record>> {
    let mut found: Vec<Record> = Vec::new();
    let mut buffer = [0; 256 * RECORD];
    loop {
        let length = table.read(&mut buffer)?;
        if length == 0 {
            return Ok(found);
        }
        if length % RECORD != 0 {
            return Err(io::Error::other(format!("{length} bytes are no whole records")));
        }
        let (records, _) = buffer[..length].as_chunks::<RECORD>();
        for record in records.iter().filter(|record| record.starts_with(&mac.0)) {
            let record = Record::new(record);
            found.retain(|known| known.port != record.port);
            found.push(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        let path = format!("{}/tests/fixtures/bridge/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Port, whether local, seconds: as `brctl showmacs` printed at the same time.
    fn seen(name: &str, mac: &str) -> Vec<(u16, bool, f64)> {
        let records = records_of(mac.parse().expect("an address"), &*fixture(name));
        let records = records.expect("whole records").into_iter();
        records.map(|record| (record.port, record.local, record.age.as_secs_f64())).collect()
    }

    #[test]
    fn captured_tables_are_understood() {
        assert_eq!(seen("brforward.healthy.bin", "fa:16:3e:00:00:01"), [(2, false, 0.02)]);
        assert_eq!(seen("brforward.healthy.bin", "66:d6:49:7f:f3:57"), [(1, false, 144.09)]);
        assert_eq!(seen("brforward.healthy.bin", "de:7e:9a:d8:af:6b"), [(2, true, 0.0)]);
        assert_eq!(seen("brforward.healthy.bin", "fa:16:3e:00:00:09"), []);
        assert_eq!(seen("brforward.admindown.bin", "fa:16:3e:00:00:01"), []);
        let torn = &fixture("brforward.healthy.bin")[..40];
        assert!(records_of(Mac([0; 6]), torn).is_err());
    }

    #[test]
    fn a_port_number_has_two_halves_and_repeated_records_count_once() {
        let mut record = [0; RECORD];
        record[..6].copy_from_slice(&[0xfa, 0x16, 0x3e, 0, 0, 1]);
        record[6] = 0x01;
        record[12] = 0x02;
        let twice = [record, record].concat();
        let found = records_of(Mac([0xfa, 0x16, 0x3e, 0, 0, 1]), &*twice).expect("two records");
        assert_eq!(found, [Record { port: 0x201, local: false, age: Duration::ZERO }]);
    }

    #[test]
    fn vlans_come_one_by_one_or_in_ranges() {
        let info = |flags: u16, vlan: u16| {
            [&[8, 0, 2, 0][..], &flags.to_ne_bytes(), &vlan.to_ne_bytes()].concat()
        };
        let spec = [info(6, 1), info(8, 100), info(16, 103), info(0, 4094)].concat();
        let vlans: Vec<u16> = vlan_ranges(&spec).into_iter().collect();
        assert_eq!(vlans, [1, 100, 101, 102, 103, 4094]);
    }

    #[test]
    fn an_entry_tells_its_port_origin_age_and_vlan() {
        let message = |state: u16, flags: u8| {
            let mut message = family(NDMSG);
            message[4..8].copy_from_slice(&7_u32.to_ne_bytes());
            message[8..10].copy_from_slice(&state.to_ne_bytes());
            message[10] = flags;
            let cache: Vec<u8> = [0, 9, 250, 1_u32].iter().flat_map(|n| n.to_ne_bytes()).collect();
            message.extend([&[20, 0, 3, 0][..], &cache, &[6, 0, 5, 0, 100, 0, 0, 0]].concat());
            parse(&message).expect("an entry")
        };
        let age = Some(Duration::from_millis(2500));
        let expected = |origin, age| Some(Entry { port: 7, origin, age, vlan: Some(100) });
        assert_eq!(message(libc::NUD_REACHABLE, 0), expected(Origin::Learned, age));
        assert_eq!(message(libc::NUD_STALE, 0), expected(Origin::Learned, age));
        assert_eq!(message(libc::NUD_NOARP, 0), expected(Origin::Static, None));
        assert_eq!(message(libc::NUD_NOARP, EXT_LEARNED), expected(Origin::Learned, age));
        assert_eq!(message(libc::NUD_PERMANENT, 0), expected(Origin::Local, None));
        assert_eq!(message(libc::NUD_PERMANENT, libc::NTF_SELF), None);
    }
}
