//! The neighbours of a network namespace, IPv4 and IPv6: which MAC address answers for which
//! address, and how sure the kernel is of it. `RTM_GETNEIGH` tells all; `/proc/PID/net/arp` tells
//! IPv4 only and no more than complete or not, but any user may read it, and it still has the MAC
//! address of an entry that failed.

use crate::host::mac::Mac;
use crate::host::netlink::{Dump, NDMSG, Question, Route, attributes, number};
use crate::host::trouble::{Trouble, Why};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// One neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address, as long as the kernel believes in it.
    pub mac: Option<Mac>,
    /// Number of the device that leads to it; `/proc` has no numbers.
    pub device: Option<u32>,
    /// How sure the kernel is.
    pub state: State,
    /// Since it was last known to answer. Of an entry that never did, the kernel makes one up.
    pub confirmed: Option<Duration>,
    /// Since its state or MAC address last changed.
    pub updated: Option<Duration>,
}

/// How sure the kernel is of a neighbour (`NUD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It was asked for and has not answered.
    Incomplete,
    /// It answered a moment ago.
    Reachable,
    /// It answered once; it is asked again when somebody talks to it.
    Stale,
    /// As stale, and somebody just talked to it.
    Delay,
    /// As stale, and it is being asked.
    Probe,
    /// It was asked for and did not answer.
    Failed,
    /// Nothing needs to be asked.
    Noarp,
    /// Written down by an administrator.
    Permanent,
    /// One of the states with an address; the source does not say which.
    Complete,
    /// Incomplete or failed; the source does not say which.
    Unresolved,
}

impl State {
    /// The kernel's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Delay => "DELAY",
            Self::Probe => "PROBE",
            Self::Failed => "FAILED",
            Self::Noarp => "NOARP",
            Self::Permanent => "PERMANENT",
            Self::Complete => "complete",
            Self::Unresolved => "unresolved",
        }
    }

    /// Whether packets are sent to the MAC address of such an entry.
    pub const fn is_complete(self) -> bool {
        !matches!(self, Self::Incomplete | Self::Failed | Self::Unresolved)
    }

    /// Whether the kernel would send without asking again.
    pub const fn is_sure(self) -> bool {
        matches!(self, Self::Reachable | Self::Permanent | Self::Noarp | Self::Complete)
    }

    /// `None` for `NUD_NONE`: an entry that nobody has used yet.
    fn from_bits(bits: u16) -> Option<Self> {
        match bits {
            libc::NUD_INCOMPLETE => Some(Self::Incomplete),
            libc::NUD_REACHABLE => Some(Self::Reachable),
            libc::NUD_STALE => Some(Self::Stale),
            libc::NUD_DELAY => Some(Self::Delay),
            libc::NUD_PROBE => Some(Self::Probe),
            libc::NUD_FAILED => Some(Self::Failed),
            libc::NUD_NOARP => Some(Self::Noarp),
            libc::NUD_PERMANENT => Some(Self::Permanent),
            _ => None,
        }
    }
}

impl Neighbour {
    /// Whether it has not answered a question that was put to it this long ago. An answer shows in
    /// the time of it, not in the state: where answers are soon out of date the entry has moved on.
    pub fn owes_an_answer(&self, asked: Duration) -> bool {
        /// The kernel tells ticks of 10 ms.
        const TICK: Duration = Duration::from_millis(20);
        match self.state {
            // The kernel makes up when it was confirmed.
            State::Incomplete => true,
            State::Delay | State::Probe => self.confirmed.is_none_or(|ago| ago > asked + TICK),
            _ => false,
        }
    }
}

/// Who is asked, for what goes wrong.
const WHOM: &str = "the kernel (RTM_GETNEIGH)";

impl Route {
    /// All neighbours, IPv4 and IPv6.
    ///
    /// # Errors
    /// The kernel did not answer as it should.
    pub fn neighbours(&self) -> Result<Dump<Neighbour>, Trouble> {
        self.dump(&Question::new(libc::RTM_GETNEIGH, &[0; NDMSG]), parse)
            .map_err(|e| Trouble::of(WHOM, &e))
    }

    /// Makes the kernel ask a neighbour of which it has a MAC address whether it is still there,
    /// now and not when somebody talks to it. Nothing but that entry is touched, and of it only
    /// the state: without `NLM_F_REPLACE` its address and its flags stay. Needs `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// `NotFound` if there is no such entry any more; what the kernel says.
    pub fn probe(&self, device: u32, address: IpAddr) -> io::Result<()> {
        self.tell(entry(device, address, libc::NUD_PROBE, 0), 0)
    }

    /// Makes the kernel look for the MAC address of a neighbour, as if somebody had something to
    /// send to it (`NTF_USE`). Needs `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn resolve(&self, device: u32, address: IpAddr) -> io::Result<()> {
        self.tell(entry(device, address, libc::NUD_NONE, libc::NTF_USE), libc::NLM_F_CREATE)
    }

    /// The device that leads straight to an address; `None` if none does or a router is between.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn device_towards(&self, address: IpAddr) -> io::Result<Option<u32>> {
        const RTMSG: usize = 12;
        let mut fixed = [0; RTMSG];
        (fixed[0], fixed[1]) = (family(address), if address.is_ipv4() { 32 } else { 128 });
        let question =
            Question::new(libc::RTM_GETROUTE, &fixed).with(libc::RTA_DST, &octets(address));
        let answer = match self.ask(question) {
            Err(e) if e.raw_os_error() == Some(libc::ENETUNREACH) => return Ok(None),
            answer => answer?,
        };
        let (mut device, mut routed) = (None, false);
        attributes(&answer, RTMSG, |kind, value| match kind {
            libc::RTA_OIF => device = number(value),
            libc::RTA_GATEWAY | libc::RTA_VIA => routed = true,
            _ => {}
        })
        .map_err(io::Error::other)?;
        Ok(device.filter(|_| !routed))
    }
}

/// `RTM_NEWNEIGH` for one entry.
fn entry(device: u32, address: IpAddr, state: u16, flags: u8) -> Question {
    let mut fixed = [0; NDMSG];
    fixed[0] = family(address);
    fixed[4..8].copy_from_slice(&device.to_ne_bytes());
    fixed[8..10].copy_from_slice(&state.to_ne_bytes());
    fixed[10] = flags;
    Question::new(libc::RTM_NEWNEIGH, &fixed).with(libc::NDA_DST, &octets(address))
}

/// `AF_INET`, `AF_INET6`.
const fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 10,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// One message of the table; `None` for an entry that is no neighbour of ours to judge.
fn parse(message: &[u8]) -> Result<Option<Neighbour>, String> {
    let fixed = message.get(..NDMSG).ok_or("the answer is too short")?;
    let (mut address, mut mac, mut ages) = (None, None, [None; 2]);
    attributes(message, NDMSG, |kind, value| match kind {
        libc::NDA_DST => address = address_of(value),
        libc::NDA_LLADDR => mac = Mac::from_bytes(value),
        libc::NDA_CACHEINFO => ages = [0, 8].map(|at| value.get(at..).and_then(age)),
        _ => {}
    })?;
    let state = State::from_bits(u16::from_ne_bytes([fixed[8], fixed[9]]));
    let (Some(address), Some(state)) = (address, state) else { return Ok(None) };
    let [confirmed, updated] = ages;
    Ok(Some(Neighbour { address, mac, device: number(&fixed[4..]), state, confirmed, updated }))
}

fn address_of(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(|octets| Ipv4Addr::from(octets).into()),
        _ => <[u8; 16]>::try_from(value).ok().map(|octets| Ipv6Addr::from(octets).into()),
    }
}

/// A field of `nda_cacheinfo` (confirmed, used, updated): ticks of `USER_HZ`, whatever the kernel's
/// own clock is.
fn age(field: &[u8]) -> Option<Duration> {
    /// On every architecture but Alpha and Itanium.
    const USER_HZ: u64 = 100;
    number(field).map(|ticks| Duration::from_millis(u64::from(ticks) * (1000 / USER_HZ)))
}

/// Lines `address type flags MAC mask device` of `/proc/PID/net/arp`, below a heading.
///
/// # Errors
/// A line is none.
pub fn parse_arp(text: &str) -> Result<Vec<Neighbour>, Why> {
    text.lines().skip(1).map(|line| arp_line(line).ok_or_else(|| unreadable(line))).collect()
}

fn unreadable(line: &str) -> Why {
    Why::Unreadable(format!("'{line}' is no line of an ARP table"))
}

fn arp_line(line: &str) -> Option<Neighbour> {
    /// `ATF_COM`, `ATF_PERM` of `linux/if_arp.h`.
    const COMPLETE: u32 = 2;
    const PERMANENT: u32 = 4;
    let mut words = line.split_whitespace();
    let address = words.next()?.parse().ok()?;
    let flags = u32::from_str_radix(words.nth(1)?.strip_prefix("0x")?, 16).ok()?;
    let state = match flags {
        flags if flags & PERMANENT != 0 => State::Permanent,
        flags if flags & COMPLETE != 0 => State::Complete,
        _ => State::Unresolved,
    };
    // A tunnel's address is no MAC; zeros are that of an entry that never had one.
    let mac = words.next()?.parse().ok().filter(|mac| *mac != Mac([0; 6]));
    Some(Neighbour { address, mac, device: None, state, confirmed: None, updated: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = include_str!("../../tests/fixtures/netns/proc-net-arp-qrouter-mixed.txt");

    #[test]
    fn the_table_of_proc_tells_complete_permanent_and_unresolved() {
        let entries = parse_arp(MIXED).expect("a table");
        let seen: Vec<_> = entries
            .iter()
            .map(|e| (e.address.to_string(), e.mac.map(|mac| mac.to_string()), e.state))
            .collect();
        let mac = |end: &str| Some(format!("fa:16:3e:00:00:{end}"));
        assert_eq!(
            seen,
            [
                ("10.0.1.11".to_owned(), mac("01"), State::Complete),
                ("10.0.1.99".to_owned(), None, State::Unresolved),
                ("10.0.1.12".to_owned(), mac("02"), State::Complete),
                ("10.0.1.77".to_owned(), mac("77"), State::Permanent),
                ("10.0.1.88".to_owned(), None, State::Unresolved),
            ]
        );
        for bad in ["10.0.1.11", "x 0x1 0x2 fa:16:3e:00:00:01 * eth0", "10.0.1.1 0x1 2 a * b"] {
            assert!(parse_arp(&format!("heading\n{bad}\n")).is_err(), "{bad}");
        }
        assert_eq!(parse_arp("heading\n").expect("an empty table"), []);
    }

    /// An answer as the kernel writes it.
    fn message(family: u8, state: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = vec![0; NDMSG];
        message[0] = family;
        message[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        message[8..10].copy_from_slice(&state.to_ne_bytes());
        for (kind, value) in attributes {
            message.extend(u16::try_from(4 + value.len()).expect("short").to_ne_bytes());
            message.extend(kind.to_ne_bytes());
            message.extend(*value);
            message.resize(message.len().next_multiple_of(4), 0);
        }
        message
    }

    #[test]
    fn an_entry_of_netlink_has_its_ages_in_ticks() {
        let ticks: Vec<u8> =
            [22_251_u32, 66, 166, 1].iter().flat_map(|n| n.to_ne_bytes()).collect();
        let mac = [0xfa, 0x16, 0x3e, 0, 0, 1];
        let bytes = message(2, 8, &[(1, &[10, 0, 1, 11]), (2, &mac), (3, &ticks), (99, b"new")]);
        let expected = Neighbour {
            address: "10.0.1.11".parse().expect("an address"),
            mac: Some(Mac(mac)),
            device: Some(7),
            state: State::Delay,
            confirmed: Some(Duration::from_millis(222_510)),
            updated: Some(Duration::from_millis(1660)),
        };
        assert_eq!(parse(&bytes), Ok(Some(expected)));
        // SAFETY: sysconf only reads a constant of the system.
        assert_eq!(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }, 100, "USER_HZ");
    }

    #[test]
    fn an_answer_shows_in_the_time_of_it() {
        let entry = |state, confirmed| Neighbour {
            address: Ipv4Addr::LOCALHOST.into(),
            mac: None,
            device: None,
            state,
            confirmed: Some(Duration::from_millis(confirmed)),
            updated: None,
        };
        let asked = Duration::from_millis(500);
        for (state, confirmed, owes) in [
            (State::Probe, 60_000, true),
            (State::Delay, 530, true),
            (State::Delay, 490, false),
            (State::Probe, 10, false),
            (State::Incomplete, 10, true),
            (State::Reachable, 60_000, false),
            (State::Failed, 60_000, false),
        ] {
            assert_eq!(
                entry(state, confirmed).owes_an_answer(asked),
                owes,
                "{state:?} {confirmed}"
            );
        }
    }

    #[test]
    fn an_entry_without_address_or_state_is_none_and_half_a_message_an_error() {
        assert_eq!(parse(&message(10, 2, &[])), Ok(None));
        assert_eq!(parse(&message(2, 0, &[(1, &[10, 0, 1, 11])])), Ok(None));
        let v6 = parse(&message(10, 32, &[(1, &[0xfd; 16])])).expect("a message").expect("one");
        assert_eq!((v6.state, v6.mac, v6.confirmed), (State::Failed, None, None));
        assert!(v6.address.is_ipv6());
        assert!(parse(&[0; 5]).is_err());
    }

    #[test]
    fn the_kernel_lets_us_read_our_own_table() {
        let route = Route::here().expect("a socket");
        assert!(!route.neighbours().expect("a table").torn);
        let lo = route.device_towards(Ipv4Addr::LOCALHOST.into()).expect("a route");
        assert_eq!(lo, Some(1));
        let nowhere = route.device_towards("192.0.2.1".parse().expect("an address"));
        assert!(nowhere.is_ok(), "{nowhere:?}");
    }
}
