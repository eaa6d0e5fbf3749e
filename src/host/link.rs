//! Network devices by name, by number or by what they are enslaved to: `RTM_GETLINK` over netlink,
//! and the driver's speed and duplex. No privilege is needed. `/sys` is not read: it does not
//! follow `setns`.

use crate::host::Host;
use crate::host::mac::Mac;
use crate::host::netlink::{self, Dump, IFINFO, Question, Route, attributes, number, string};
use crate::host::trouble::{Trouble, Why};
use crate::host::words::plain_name;
use socket2::{Domain, Type};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::num::NonZeroU16;
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
    pub kind: Option<Kind>,
    /// It is the namespace's own loopback (`IFF_LOOPBACK`).
    pub loopback: bool,
    /// Its hardware address, where it is a MAC.
    pub mac: Option<Mac>,
    /// Number of the device it is enslaved to.
    pub master: Option<u32>,
    /// What kind of device that is; `openvswitch` where Open vSwitch's kernel datapath has it.
    pub master_kind: Option<Kind>,
    /// Number of its lower device or partner, in the namespace of [`Self::partner_netns`].
    pub partner: Option<u32>,
    /// Where the partner is, if not in the same namespace: the kernel's number for that one.
    pub partner_netns: Option<i32>,
    /// Its VLAN, where it is a VLAN device (of another than 0, which is a priority only).
    pub vlan: Option<NonZeroU16>,
    /// What it is as a bridge.
    pub bridge: Option<Bridge>,
    /// What it is as a port of a bridge.
    pub port: Option<Port>,
    /// What it is as a bond. Boxed: few devices are one, and a host has thousands.
    pub bond: Option<Box<Bond>>,
    /// What it is as a member of a bond.
    pub member: Option<Member>,
    /// Losses and returns of the carrier.
    pub carrier_changes: Option<u32>,
    /// 64-bit counters.
    pub counters: Option<Counters>,
    /// Mbit/s, where the driver knows.
    pub speed: Option<u32>,
    /// `full` or `half`, where the driver knows.
    pub duplex: Option<&'static str>,
}

/// A kind of device in the kernel's words. Those that hosts have by the thousand cost no memory.
pub type Kind = Cow<'static, str>;

const COMMON: [&str; 7] = ["veth", "tun", "bridge", "bond", "vlan", "vxlan", "openvswitch"];

fn kind(value: &[u8]) -> Kind {
    let name = string(value);
    let common = COMMON.into_iter().find(|common| *common == name);
    common.map_or(Cow::Owned(name), Cow::Borrowed)
}

/// A Linux bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bridge {
    /// How long an address is remembered, 1/100 s; 0: none is ever learned.
    pub ageing: Option<u32>,
    /// Whether addresses are kept per VLAN.
    pub vlan_filtering: bool,
    /// Whether the spanning tree protocol runs.
    pub stp: bool,
    /// Addresses it has learned; kernels from 6.7 on count them.
    pub learned: Option<u32>,
}

/// A port of a Linux bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Port {
    /// What the spanning tree lets it do.
    pub state: PortState,
    /// Its number in the bridge.
    pub number: Option<u16>,
}

/// A bond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bond {
    /// How it shares out packets, in the kernel's words: `active-backup`, `802.3ad`, ...
    pub mode: Option<&'static str>,
    /// 802.3ad: the aggregator whose members it uses; none while it uses none.
    pub aggregator: Option<u16>,
    /// 802.3ad: whether that aggregator has a partner, known by its address.
    pub has_partner: bool,
}

/// A member of a bond, as the bond sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Member {
    /// It carries no packets: a spare one, or one that 802.3ad does not let.
    pub backup: bool,
    /// What the bond's watch over links says. It says up where nobody watches.
    pub watch: Watch,
    /// 802.3ad: the aggregator it is in.
    pub aggregator: Option<u16>,
    /// 802.3ad: whether nothing is heard of a partner; kernels from 4.2 on tell.
    pub lonely: Option<bool>,
}

/// What a bond has seen of the link of a member, by its carrier or by ARP (`BOND_LINK_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watch {
    /// Up.
    #[default]
    Up,
    /// Just lost: `downdelay` runs.
    Fail,
    /// Down.
    Down,
    /// There again: `updelay` runs.
    Back,
}

impl Watch {
    fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Fail,
            2 => Self::Down,
            3 => Self::Back,
            _ => Self::Up,
        }
    }
}

/// What the spanning tree lets a port do (`BR_STATE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PortState {
    /// Nothing: its link is down.
    #[default]
    Disabled,
    /// Hear other bridges only.
    Listening,
    /// Learn addresses.
    Learning,
    /// Forward.
    Forwarding,
    /// Nothing: another port leads to the same place.
    Blocking,
}

impl PortState {
    fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Listening,
            2 => Self::Learning,
            3 => Self::Forwarding,
            4 => Self::Blocking,
            _ => Self::Disabled,
        }
    }

    /// The kernel's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Listening => "listening",
            Self::Learning => "learning",
            Self::Forwarding => "forwarding",
            Self::Blocking => "blocking",
        }
    }
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

/// Who is asked, for what goes wrong.
const WHOM: &str = "the kernel (RTM_GETLINK)";

impl Host {
    /// A device of our network namespace; `None` where there is none of that name.
    ///
    /// # Errors
    /// The kernel did not answer as it should.
    pub fn link(&self, name: &str) -> Result<Option<Link>, Trouble> {
        self.route()?.link(name)
    }

    /// A device of our network namespace by its number.
    ///
    /// # Errors
    /// As [`Self::link`].
    pub fn link_by_index(&self, index: u32) -> Result<Option<Link>, Trouble> {
        self.route()?.link_by_index(index)
    }

    /// The kernel's tables in our network namespace.
    ///
    /// # Errors
    /// There is no netlink socket to be had.
    pub fn route(&self) -> Result<Route, Trouble> {
        (self.announce)("the kernel's answer about the network");
        Route::here().map_err(|e| Trouble::of("the kernel (netlink)", &e))
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

impl Route {
    /// A device by its name; `None` where there is none.
    ///
    /// # Errors
    /// The kernel did not answer as it should.
    pub fn link(&self, name: &str) -> Result<Option<Link>, Trouble> {
        // The kernel has no longer names, and says ERANGE to one.
        if name.len() >= libc::IFNAMSIZ {
            return Ok(None);
        }
        self.one_link(question(0).with_string(libc::IFLA_IFNAME, name))
    }

    /// A device by its number.
    ///
    /// # Errors
    /// As [`Self::link`].
    pub fn link_by_index(&self, index: u32) -> Result<Option<Link>, Trouble> {
        self.one_link(question(index))
    }

    /// All devices, without their counters.
    ///
    /// # Errors
    /// As [`Self::link`].
    pub fn links(&self) -> Result<Dump<Link>, Trouble> {
        self.some_links(question(0), |_| true)
    }

    /// The devices that are enslaved to one, without their counters.
    ///
    /// # Errors
    /// As [`Self::link`].
    pub fn links_of(&self, master: u32) -> Result<Dump<Link>, Trouble> {
        let question = question(0).with(libc::IFLA_MASTER, &master.to_ne_bytes());
        // Kernels before 4.6 pass the attribute over.
        self.some_links(question, |link| link.master == Some(master))
    }

    fn one_link(&self, question: Question) -> Result<Option<Link>, Trouble> {
        match self.ask(question) {
            Ok(message) => parse(&message).map(Some).map_err(unreadable),
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(e) => Err(Trouble::of(WHOM, &e)),
        }
    }

    fn some_links(
        &self,
        question: Question,
        wanted: impl Fn(&Link) -> bool,
    ) -> Result<Dump<Link>, Trouble> {
        /// `RTEXT_FILTER_SKIP_STATS`: the counters are most of an answer.
        const SKIP_STATS: u32 = 1 << 3;
        let question = question.with(libc::IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
        self.dump(&question, |message| Ok(Some(parse(message)?).filter(&wanted)))
            .map_err(|e| Trouble::of(WHOM, &e))
    }
}

fn unreadable(what: String) -> Trouble {
    Trouble { whom: WHOM.to_owned(), why: Why::Unreadable(what) }
}

/// `ifinfomsg` with the number of a device, or 0.
fn question(index: u32) -> Question {
    let mut info = [0; IFINFO];
    info[4..8].copy_from_slice(&index.to_ne_bytes());
    Question::new(libc::RTM_GETLINK, &info)
}

fn parse(message: &[u8]) -> Result<Link, String> {
    let info = message.get(..IFINFO).ok_or("the answer is too short")?;
    let flags = number(&info[8..]).unwrap_or(0);
    let has = |flag: i32| flags & flag.cast_unsigned() != 0;
    let mut link = Link {
        index: number(&info[4..]).unwrap_or(0),
        admin_up: has(libc::IFF_UP),
        lower_up: has(libc::IFF_LOWER_UP),
        loopback: has(libc::IFF_LOOPBACK),
        ..Link::default()
    };
    attributes(message, IFINFO, |kind, value| match kind {
        libc::IFLA_IFNAME => link.name = string(value),
        libc::IFLA_OPERSTATE => {
            link.operstate = OperState::from_byte(value.first().copied().unwrap_or(0));
        }
        libc::IFLA_MTU => link.mtu = number(value).unwrap_or(0),
        libc::IFLA_ADDRESS => link.mac = Mac::from_bytes(value),
        libc::IFLA_MASTER => link.master = number(value),
        libc::IFLA_LINK => link.partner = number(value).filter(|index| *index != 0),
        libc::IFLA_LINK_NETNSID => link.partner_netns = number(value).map(u32::cast_signed),
        libc::IFLA_CARRIER_CHANGES => link.carrier_changes = number(value),
        libc::IFLA_LINKINFO => linkinfo(&mut link, value),
        libc::IFLA_STATS64 => link.counters = counters(value),
        _ => {}
    })?;
    Ok(link)
}

/// `IFLA_VLAN_ID` of `linux/if_link.h`.
const VLAN_ID: u16 = 1;

fn vlan_id(value: &[u8]) -> Option<NonZeroU16> {
    NonZeroU16::new(u16::from_ne_bytes(value.get(..2)?.try_into().ok()?))
}

/// What the kind of a device, and of the device it is enslaved to, tell of it.
fn linkinfo(link: &mut Link, info: &[u8]) {
    link.kind = netlink::find(info, libc::IFLA_INFO_KIND, kind);
    if link.kind.as_deref() == Some("bridge") {
        link.bridge = netlink::find(info, libc::IFLA_INFO_DATA, bridge);
    }
    if link.kind.as_deref() == Some("vlan") {
        let read = |data: &[u8]| netlink::find(data, VLAN_ID, vlan_id).flatten();
        link.vlan = netlink::find(info, libc::IFLA_INFO_DATA, read).flatten();
    }
    if link.kind.as_deref() == Some("bond") {
        link.bond = netlink::find(info, libc::IFLA_INFO_DATA, bond).map(Box::new);
    }
    link.master_kind = netlink::find(info, libc::IFLA_INFO_SLAVE_KIND, kind);
    if link.master_kind.as_deref() == Some("bridge") {
        link.port = netlink::find(info, libc::IFLA_INFO_SLAVE_DATA, port);
    }
    if link.master_kind.as_deref() == Some("bond") {
        link.member = netlink::find(info, libc::IFLA_INFO_SLAVE_DATA, member);
    }
}

/// `IFLA_BR_*` of `linux/if_link.h`.
fn bridge(data: &[u8]) -> Bridge {
    const AGEING_TIME: u16 = 4;
    const STP_STATE: u16 = 5;
    const VLAN_FILTERING: u16 = 7;
    const FDB_N_LEARNED: u16 = 48;
    let word = |kind| netlink::find(data, kind, number).flatten();
    let filters = netlink::find(data, VLAN_FILTERING, |value| value.first() == Some(&1));
    Bridge {
        ageing: word(AGEING_TIME),
        vlan_filtering: filters.unwrap_or(false),
        stp: word(STP_STATE).is_some_and(|state| state != 0),
        learned: word(FDB_N_LEARNED),
    }
}

/// `IFLA_BRPORT_*` of `linux/if_link.h`.
fn port(data: &[u8]) -> Port {
    const STATE: u16 = 1;
    const NO: u16 = 18;
    let state = netlink::find(data, STATE, |value| value.first().copied()).flatten();
    Port { state: PortState::from_byte(state.unwrap_or(0)), number: short(data, NO) }
}

/// `IFLA_BOND_*` of `linux/if_link.h`.
fn bond(data: &[u8]) -> Bond {
    const MODE: u16 = 1;
    const AD_INFO: u16 = 23;
    const AD_INFO_AGGREGATOR: u16 = 1;
    const AD_INFO_PARTNER_MAC: u16 = 5;
    let partner = |info: &[u8]| {
        netlink::find(info, AD_INFO_PARTNER_MAC, |mac| mac.iter().any(|byte| *byte != 0))
    };
    Bond {
        mode: netlink::find(data, MODE, mode).flatten(),
        aggregator: netlink::find(data, AD_INFO, |info| short(info, AD_INFO_AGGREGATOR)).flatten(),
        has_partner: netlink::find(data, AD_INFO, partner).flatten().unwrap_or(false),
    }
}

/// `BOND_MODE_*` of `linux/if_bonding.h`, in the words of `/proc/net/bonding` and `ip link`.
fn mode(value: &[u8]) -> Option<&'static str> {
    const MODES: [&str; 7] = [
        "balance-rr",
        "active-backup",
        "balance-xor",
        "broadcast",
        "802.3ad",
        "balance-tlb",
        "balance-alb",
    ];
    MODES.get(usize::from(*value.first()?)).copied()
}

/// `IFLA_BOND_SLAVE_*` of `linux/if_link.h`.
fn member(data: &[u8]) -> Member {
    const STATE: u16 = 1;
    const MII_STATUS: u16 = 2;
    const AD_AGGREGATOR_ID: u16 = 6;
    const AD_ACTOR_OPER_PORT_STATE: u16 = 7;
    /// `BOND_STATE_BACKUP`.
    const BACKUP: u8 = 1;
    /// `LACP_STATE_DEFAULTED`: the partner's part is made up.
    const DEFAULTED: u8 = 1 << 6;
    let byte = |kind| netlink::find(data, kind, |value| value.first().copied()).flatten();
    Member {
        backup: byte(STATE) == Some(BACKUP),
        watch: byte(MII_STATUS).map_or(Watch::Up, Watch::from_byte),
        aggregator: short(data, AD_AGGREGATOR_ID),
        lonely: byte(AD_ACTOR_OPER_PORT_STATE).map(|state| state & DEFAULTED != 0),
    }
}

/// An attribute of two bytes.
fn short(data: &[u8], kind: u16) -> Option<u16> {
    netlink::find(data, kind, |value| Some(u16::from_ne_bytes(value.get(..2)?.try_into().ok()?)))
        .flatten()
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

/// A captured bond and its members: what `tests/fixtures/bond/capture` wrote.
#[cfg(test)]
pub(crate) fn captured_bond(name: &str) -> (Link, Vec<Link>) {
    let path = format!("{}/tests/fixtures/bond/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut links = Vec::new();
    netlink::for_each(&bytes, |kind, _, message| {
        if i32::from(kind) != libc::NLMSG_DONE {
            links.push(parse(message).map_err(io::Error::other)?);
        }
        Ok(())
    })
    .expect("whole messages");
    let bond = links.remove(0);
    (bond, links)
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
    fn captured_bonds_tell_their_mode_and_aggregator() {
        let bond = |name: &str| *captured_bond(name).0.bond.expect("a bond");
        let backup = Bond { mode: Some("active-backup"), ..Bond::default() };
        assert_eq!(bond("backup"), backup);
        assert_eq!(bond("backup-all-down"), backup);
        assert_eq!(bond("empty"), Bond { mode: Some("balance-rr"), ..Bond::default() });
        let lacp = Bond { mode: Some("802.3ad"), aggregator: Some(1), has_partner: true };
        assert_eq!(bond("lacp"), lacp);
        assert_eq!(bond("lacp-none"), Bond { has_partner: false, ..lacp });
    }

    /// Name, whether it is a spare, the watch, the aggregator, whether a partner is not heard.
    type Seen = (&'static str, bool, Watch, Option<u16>, Option<bool>);

    #[test]
    fn captured_members_tell_how_their_bond_sees_them() {
        let (up, down) = (Watch::Up, Watch::Down);
        let cases: &[(&str, &[Seen])] = &[
            ("backup", &[("b0", false, up, None, None), ("b1", true, up, None, None)]),
            ("backup-no-carrier", &[("b0", true, down, None, None), ("b1", false, up, None, None)]),
            ("backup-off", &[("b0", false, up, None, None), ("b1", true, down, None, None)]),
            (
                "lacp-none",
                &[("m0", false, up, Some(1), Some(true)), ("m1", true, up, Some(2), Some(true))],
            ),
            (
                "lacp-no-carrier",
                &[
                    ("l0", false, up, Some(1), Some(false)),
                    ("l1", true, down, Some(1), Some(false)),
                    ("m0", true, up, Some(2), Some(true)),
                ],
            ),
            ("empty", &[]),
        ];
        for (name, expected) in cases {
            let (bond, members) = captured_bond(name);
            let seen: Vec<_> = members
                .iter()
                .map(|link| {
                    assert_eq!(link.master, Some(bond.index), "{name}: {}", link.name);
                    let Member { backup, watch, aggregator, lonely } =
                        link.member.expect("a member");
                    (link.name.as_str(), backup, watch, aggregator, lonely)
                })
                .collect();
            assert_eq!(seen, *expected, "{name}");
        }
    }

    #[test]
    fn a_device_is_named_as_ip_shows_it() {
        for good in ["lo", "eth0.100", "qvo1ab00001-01", "eth1@if3", "fifteen-bytes-1@if12345"] {
            assert!(good.parse::<DeviceName>().is_ok(), "{good}");
        }
        let long = format!("eth1@{}", "x".repeat(60));
        for bad in ["", "..", "a/b", "@if3", "eth1@a b", "sixteen-bytes-01", &long] {
            assert!(bad.parse::<DeviceName>().is_err(), "{bad:?}");
        }
    }
}
