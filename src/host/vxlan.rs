//! VXLAN devices of the kernel, and where their forwarding tables send what.

use crate::host::netlink::{
    self, Dump, IFINFO, NDMSG, Question, Route, attributes, number, string,
};
use crate::host::route::ip;
use crate::host::trouble::Trouble;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A VXLAN device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vxlan {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Its network identifier.
    pub vni: u32,
    /// The address it sends from, where it has one of its own.
    pub local: Option<IpAddr>,
    /// Where it sends what nothing else is known of; may be a multicast group.
    pub remote: Option<IpAddr>,
    /// Remotes come with each packet: Open vSwitch and other control planes drive it.
    pub by_packet: bool,
}

impl Route {
    /// All VXLAN devices.
    ///
    /// # Errors
    /// The kernel did not answer as it should.
    pub fn vxlans(&self) -> Result<Dump<Vxlan>, Trouble> {
        /// `RTEXT_FILTER_SKIP_STATS`: the counters are most of an answer.
        const SKIP_STATS: u32 = 1 << 3;
        let kind = nested(libc::IFLA_INFO_KIND, b"vxlan\0");
        let question = Question::new(libc::RTM_GETLINK, &[0; IFINFO])
            .with(libc::IFLA_LINKINFO, &kind)
            .with(libc::IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
        self.dump(&question, vxlan).map_err(|e| Trouble::of("the kernel (RTM_GETLINK)", &e))
    }

    /// The remotes in the forwarding tables of all VXLAN devices, by the device's number.
    ///
    /// # Errors
    /// The kernel did not answer as it should.
    pub fn vxlan_remotes(&self) -> Result<BTreeMap<u32, Vec<IpAddr>>, Trouble> {
        // In front of a dump of forwarding tables stands an ifinfomsg.
        let mut family = [0; IFINFO];
        family[0] = libc::AF_BRIDGE as u8;
        let question = Question::new(libc::RTM_GETNEIGH, &family);
        let dump = self
            .dump(&question, remote)
            .map_err(|e| Trouble::of("the kernel (RTM_GETNEIGH)", &e))?;
        let mut remotes: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
        for (device, remote) in dump.whole()? {
            remotes.entry(device).or_default().push(remote);
        }
        Ok(remotes)
    }
}

/// One attribute as the value of another.
fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len() as u16;
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A kernel that does not filter by kind sends all devices.
fn vxlan(message: &[u8]) -> Result<Option<Vxlan>, String> {
    let info = message.get(..IFINFO).ok_or("the answer is too short")?;
    let mut vxlan = Vxlan { index: number(&info[4..]).unwrap_or(0), ..Vxlan::default() };
    let mut is_one = false;
    attributes(message, IFINFO, |kind, value| match kind {
        libc::IFLA_IFNAME => vxlan.name = string(value),
        libc::IFLA_LINKINFO => {
            is_one = netlink::find(value, libc::IFLA_INFO_KIND, string).as_deref() == Some("vxlan");
            netlink::find(value, libc::IFLA_INFO_DATA, |data| data_of(&mut vxlan, data));
        }
        _ => {}
    })?;
    Ok(is_one.then_some(vxlan))
}

/// `IFLA_VXLAN_*` of `linux/if_link.h`.
fn data_of(vxlan: &mut Vxlan, data: &[u8]) {
    const ID: u16 = 1;
    const GROUP: u16 = 2;
    const LOCAL: u16 = 4;
    const GROUP6: u16 = 16;
    const LOCAL6: u16 = 17;
    const COLLECT_METADATA: u16 = 25;
    let address = |kind, kind6| {
        let any = |kind| netlink::find(data, kind, ip).flatten();
        any(kind).or_else(|| any(kind6)).filter(|address: &IpAddr| !address.is_unspecified())
    };
    vxlan.vni = netlink::find(data, ID, number).flatten().unwrap_or(0);
    vxlan.remote = address(GROUP, GROUP6);
    vxlan.local = address(LOCAL, LOCAL6);
    let flag = netlink::find(data, COLLECT_METADATA, |value| value.first().copied()).flatten();
    vxlan.by_packet = flag.is_some_and(|flag| flag != 0);
}

/// The remote of one entry. Bridges have entries without one, and so have VXLAN devices for their
/// default.
fn remote(message: &[u8]) -> Result<Option<(u32, IpAddr)>, String> {
    let head = message.get(..NDMSG).ok_or("the answer is too short")?;
    let device = number(&head[4..]).unwrap_or(0);
    let mut remote = None;
    attributes(message, NDMSG, |kind, value| {
        if kind == libc::NDA_DST {
            remote = ip(value);
        }
    })?;
    Ok(remote.filter(|remote| !remote.is_unspecified()).map(|remote| (device, remote)))
}
