//! Sockets that betray a daemon. It keeps them while it is stopped, and while its process may not be
//! seen from here; when it ends, they are gone.

use crate::host::netns::Netns;
use crate::host::sockets::{Family, Vantage, raw_count, tcp_listening, udp_count};

/// What a daemon of this name, or several, hold open in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trace {
    /// So many processes hold a socket each.
    Holders(usize),
    /// There are sockets; how many processes hold them is not told.
    Some,
}

/// The traces of a daemon in a namespace; none where there are none, or they may not be seen.
pub(super) fn of(daemon: &str, netns: &Netns, from: Vantage) -> Option<Trace> {
    const DHCP: u16 = 67;
    const DHCP6: u16 = 547;
    const ISAKMP: u16 = 500;
    const ICMP6: u8 = 58;
    const VRRP: u8 = 112;
    let udp = |family, port| udp_count(from, family, port).unwrap_or(0);
    let raw = |family, protocol| raw_count(from, family, protocol).unwrap_or(0);
    let some = |is: bool| is.then_some(Trace::Some);
    match daemon {
        // One socket each for all its interfaces.
        "dnsmasq" => match udp(Family::V4, DHCP).max(udp(Family::V6, DHCP6)) {
            0 => None,
            holders => Some(Trace::Holders(holders)),
        },
        "haproxy" => some(tcp_listening(netns).is_ok_and(|ports| ports.iter().any(is_proxys))),
        "keepalived" => some(raw(Family::V4, VRRP) > 0 || raw(Family::V6, VRRP) > 0),
        "radvd" => some(raw(Family::V6, ICMP6) > 0),
        "charon" | "pluto" => some(udp(Family::V4, ISAKMP) > 0 || udp(Family::V6, ISAKMP) > 0),
        _ => None,
    }
}

/// dnsmasq listens for names over TCP.
fn is_proxys(port: &u16) -> bool {
    const NAMES: u16 = 53;
    *port != NAMES
}
