//! One network device by name: `RTM_GETLINK` over netlink, and the driver's speed and duplex.
//! No privilege is needed. `/sys` is not read: it does not follow `setns`.

use crate::host::Host;
use crate::host::trouble::{Trouble, Why};
use netlink_packet_core::NlasIterator;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use socket2::{Domain, Type};
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::str::FromStr;

/// The name of a network device: 1 to 15 bytes of letters, digits and `_.:@+,=%-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceName(String);

impl DeviceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `eth1` of `eth1@if3`: how `ip link` shows a device that has a partner or lower device.
    pub fn without_partner(&self) -> Option<Self> {
        let (name, _) = self.0.split_once('@')?;
        name.parse().ok()
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `eth1@if3` may be longer than a name; what is behind the @ is not part of it.
        let name = text.split('@').next().unwrap_or(text);
        plain_name(text, "a device name", 64)?;
        plain_name(name, "a device name", 15)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks that a name is a name: not empty, not a path, nothing that a shell would read.
///
/// # Errors
/// What is wrong with it.
pub fn plain_name(text: &str, what: &str, max: usize) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.:@+,=%-".contains(c);
    match text {
        "" => Err(format!("{what} cannot be empty")),
        "." | ".." => Err(format!("'{text}' is not {what}")),
        _ if text.len() > max => {
            Err(format!("{what} has at most {max} bytes, this one {}", text.len()))
        }
        _ => match text.chars().find(|c| !good(*c)) {
            Some(bad) => Err(format!("{what} cannot have {bad:?} in it")),
            None => Ok(()),
        },
    }
}

/// What the kernel says of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Switched on by its administrator (`IFF_UP`).
    pub admin_up: bool,
    /// Has a carrier (`IFF_LOWER_UP`).
    pub lower_up: bool,
    /// RFC 2863 state.
    pub operstate: OperState,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// What kind of virtual device; `None` where the kernel names none: a physical one.
    pub kind: Option<String>,
    /// Number of the device it is enslaved to.
    pub master: Option<u32>,
    /// Losses and returns of the carrier.
    pub carrier_changes: Option<u32>,
    /// 64-bit counters.
    pub counters: Option<Counters>,
    /// Mbit/s, where the driver knows.
    pub speed: Option<u32>,
    /// `full` or `half`, where the driver knows.
    pub duplex: Option<&'static str>,
}

/// RFC 2863 state of a device, in the kernel's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OperState {
    /// Its driver does not say: normal for tap, loopback, vxlan.
    #[default]
    Unknown,
    /// A part is missing.
    NotPresent,
    /// Down.
    Down,
    /// Its lower device is down.
    LowerLayerDown,
    /// In a test.
    Testing,
    /// Waits for an event, 802.1X for example.
    Dormant,
    /// Up.
    Up,
    /// A state of a later kernel.
    Other(u8),
}

impl OperState {
    fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Unknown,
            1 => Self::NotPresent,
            2 => Self::Down,
            3 => Self::LowerLayerDown,
            4 => Self::Testing,
            5 => Self::Dormant,
            6 => Self::Up,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for OperState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::NotPresent => f.write_str("notpresent"),
            Self::Down => f.write_str("down"),
            Self::LowerLayerDown => f.write_str("lowerlayerdown"),
            Self::Testing => f.write_str("testing"),
            Self::Dormant => f.write_str("dormant"),
            Self::Up => f.write_str("up"),
            Self::Other(byte) => write!(f, "state {byte}"),
        }
    }
}

/// 64-bit counters of a device since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub struct Counters {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
}

impl Host {
    /// A device of our network namespace; `None` where there is none of that name.
    ///
    /// # Errors
    /// The kernel did not answer as it should.
    pub fn link(&self, name: &str) -> Result<Option<Link>, Trouble> {
        // The kernel has no longer names, and says ERANGE to one.
        if name.len() >= libc::IFNAMSIZ {
            return Ok(None);
        }
        self.get_link(&attribute(libc::IFLA_IFNAME, name.as_bytes()), 0)
    }

    /// A device of our network namespace by its number.
    ///
    /// # Errors
    /// As [`Self::link`].
    pub fn link_by_index(&self, index: u32) -> Result<Option<Link>, Trouble> {
        self.get_link(&[], index)
    }

    fn get_link(&self, attributes: &[u8], index: u32) -> Result<Option<Link>, Trouble> {
        (self.announce)("the kernel's answer about a device");
        let whom = || "the kernel (RTM_GETLINK)".to_owned();
        match exchange(&request(attributes, index)) {
            Ok(message) => parse(&message)
                .map(Some)
                .map_err(|what| Trouble { whom: whom(), why: Why::Unreadable(what) }),
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(Trouble::of(whom(), &e)),
        }
    }

    /// Adds what only the driver knows of a device: speed and duplex. What it does not know, or
    /// is not asked because the device is down, stays `None`.
    pub fn ask_driver(&self, link: &mut Link) {
        if let Ok((speed, duplex)) = ethtool(&link.name) {
            link.speed = speed;
            link.duplex = duplex;
        }
    }
}

const HEADER: usize = 16;
const IFINFO: usize = 16;

/// `nlmsghdr`, `ifinfomsg`, attributes.
fn request(attributes: &[u8], index: u32) -> Vec<u8> {
    let length = u32::try_from(HEADER + IFINFO + attributes.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEADER + IFINFO + attributes.len());
    message.extend(length.to_ne_bytes());
    message.extend(libc::RTM_GETLINK.to_ne_bytes());
    message.extend(u16::try_from(libc::NLM_F_REQUEST).unwrap_or(1).to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(index.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(attributes);
    message
}

/// One attribute: length, type, a string with its NUL, padding to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len() + 1;
    let mut bytes = Vec::with_capacity(length + 3);
    bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

/// Sends one request and receives its one answer, which the kernel has ready when `send` returns.
fn exchange(request: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(request, 0)?;
    let mut message = Vec::with_capacity(32 << 10);
    let length = socket.recv(&mut message, libc::MSG_DONTWAIT | libc::MSG_TRUNC)?;
    if length > message.len() || length < HEADER {
        return Err(io::Error::other(format!("an answer of {length} bytes")));
    }
    let kind = u16::from_ne_bytes([message[4], message[5]]);
    if i32::from(kind) == libc::NLMSG_ERROR {
        let code = message.get(HEADER..HEADER + 4).and_then(|b| b.try_into().ok());
        let code = i32::from_ne_bytes(code.unwrap_or([0; 4]));
        return Err(io::Error::from_raw_os_error(-code));
    }
    Ok(message)
}

/// Each attribute is read alone and unknown ones are passed over, so that a kernel that adds or
/// lengthens one breaks nothing.
fn parse(message: &[u8]) -> Result<Link, String> {
    let body = message.get(HEADER..).unwrap_or_default();
    let (info, attributes) = body.split_at_checked(IFINFO).ok_or("the answer is too short")?;
    let word = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    let flags = word(8);
    let has = |flag: i32| flags & flag.cast_unsigned() != 0;
    let mut link = Link {
        index: word(4),
        admin_up: has(libc::IFF_UP),
        lower_up: has(libc::IFF_LOWER_UP),
        ..Link::default()
    };
    for nla in NlasIterator::new(attributes) {
        let nla = nla.map_err(|e| e.to_string())?;
        let value = nla.value();
        match nla.kind() {
            libc::IFLA_IFNAME => link.name = string(value),
            libc::IFLA_OPERSTATE => {
                link.operstate = OperState::from_byte(value.first().copied().unwrap_or(0));
            }
            libc::IFLA_MTU => link.mtu = number(value).unwrap_or(0),
            libc::IFLA_MASTER => link.master = number(value),
            libc::IFLA_CARRIER_CHANGES => link.carrier_changes = number(value),
            libc::IFLA_LINKINFO => link.kind = kind(value),
            libc::IFLA_STATS64 => link.counters = counters(value),
            _ => {}
        }
    }
    Ok(link)
}

fn kind(linkinfo: &[u8]) -> Option<String> {
    NlasIterator::new(linkinfo)
        .flatten()
        .find(|nla| nla.kind() == libc::IFLA_INFO_KIND)
        .map(|nla| string(nla.value()))
}

fn string(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

fn number(value: &[u8]) -> Option<u32> {
    value.get(..4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// The first eight fields of `struct rtnl_link_stats64`.
fn counters(value: &[u8]) -> Option<Counters> {
    let field = |n: usize| value.get(n * 8..n * 8 + 8)?.try_into().ok().map(u64::from_ne_bytes);
    Some(Counters {
        rx_packets: field(0)?,
        tx_packets: field(1)?,
        rx_bytes: field(2)?,
        tx_bytes: field(3)?,
        rx_errors: field(4)?,
        tx_errors: field(5)?,
        rx_dropped: field(6)?,
        tx_dropped: field(7)?,
    })
}

/// `struct ethtool_cmd` of `linux/ethtool.h`, for `ETHTOOL_GSET`: one call, answered by every
/// driver, while `ETHTOOL_GLINKSETTINGS` takes two for the same two facts.
#[repr(C)]
#[derive(Default)]
struct EthtoolCmd {
    cmd: u32,
    supported: u32,
    advertising: u32,
    speed: u16,
    duplex: u8,
    port: u8,
    phy_address: u8,
    transceiver: u8,
    autoneg: u8,
    mdio_support: u8,
    maxtxpkt: u32,
    maxrxpkt: u32,
    speed_hi: u16,
    eth_tp_mdix: u8,
    eth_tp_mdix_ctrl: u8,
    lp_advertising: u32,
    reserved: [u32; 2],
}

fn ethtool(name: &str) -> io::Result<(Option<u32>, Option<&'static str>)> {
    const ETHTOOL_GSET: u32 = 1;
    const SIOCETHTOOL: libc::Ioctl = 0x8946;
    let mut command = EthtoolCmd { cmd: ETHTOOL_GSET, ..EthtoolCmd::default() };
    // SAFETY: an ifreq of zeros is valid: a union of plain data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut command).cast();
    let socket = socket2::Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    // SAFETY: the request names a NUL-terminated device and points to a live ethtool_cmd, the
    // type that ETHTOOL_GSET fills.
    if unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let speed = u32::from(command.speed_hi) << 16 | u32::from(command.speed);
    let known = speed != 0 && speed != u32::MAX && speed != u32::from(u16::MAX);
    let duplex = match command.duplex {
        0 => Some("half"),
        1 => Some("full"),
        _ => None,
    };
    Ok((known.then_some(speed), duplex.filter(|_| known)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn host() -> Host {
        Host::new(Instant::now() + Duration::from_secs(1), |_| {})
    }

    #[test]
    fn the_loopback_is_up_with_unknown_operstate() {
        let lo = host().link("lo").expect("an answer").expect("a loopback");
        assert_eq!((lo.name.as_str(), lo.index, lo.operstate), ("lo", 1, OperState::Unknown));
        assert!(lo.counters.is_some() && lo.carrier_changes.is_some() && lo.mtu > 0);
        assert_eq!(host().link_by_index(1).expect("an answer").expect("a loopback").name, "lo");
    }

    #[test]
    fn what_does_not_exist_is_none() {
        assert_eq!(host().link("nosuchdev0").expect("an answer"), None);
        assert_eq!(host().link("a-name-of-sixteen").expect("an answer"), None);
    }

    #[test]
    fn names_are_names() {
        for good in ["lo", "eth1", "eth0.100", "eth1@if3", "qvo1ab00001-01", "a:1", "br-int"] {
            assert!(good.parse::<DeviceName>().is_ok(), "{good}");
        }
        let long = "x".repeat(300);
        for bad in ["", ".", "..", "a/b", "a b", "a;id", "$(id)", "a|b", "a\nb", "\u{fc}", "@if3"] {
            assert!(bad.parse::<DeviceName>().is_err(), "{bad:?}");
        }
        assert!(long.parse::<DeviceName>().is_err());
        assert!("sixteen-bytes-01".parse::<DeviceName>().is_err());
    }
}
