//! Sockets that betray a daemon. It keeps them while it is stopped, and while its process may not be
//! seen from here; when it ends, they are gone.

use crate::host::foothold::Foothold;
use crate::host::sockets::{Family, Vantage, raw_count, tcp_listening, udp_count};
use crate::host::trouble::Trouble;

/// Which port of a DHCP server is open, and how many sockets are bound to it: each server has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DhcpPort {
    /// UDP 67.
    V4(usize),
    /// UDP 547 alone: a network with IPv6 alone has no other.
    V6(usize),
    /// Neither.
    Closed,
}

/// Looks where addresses are asked for.
///
/// # Errors
/// There is no table of sockets to be read: the process ended, say.
pub fn dhcp_port(from: Vantage) -> Result<DhcpPort, Trouble> {
    const SERVER: u16 = 67;
    const SERVER6: u16 = 547;
    Ok(match udp_count(from, Family::V4, SERVER)? {
        0 => match udp_count(from, Family::V6, SERVER6)? {
            0 => DhcpPort::Closed,
            holders => DhcpPort::V6(holders),
        },
        holders => DhcpPort::V4(holders),
    })
}

impl DhcpPort {
    /// How many servers hold it.
    pub(super) const fn holders(self) -> usize {
        match self {
            Self::V4(holders) | Self::V6(holders) => holders,
            Self::Closed => 0,
        }
    }
}

/// Whether there are sockets of a daemon in a namespace, as far as can be seen.
pub(super) fn is_left(daemon: &str, inside: &Foothold, from: Vantage) -> bool {
    const ISAKMP: u16 = 500;
    const ICMP6: u8 = 58;
    const VRRP: u8 = 112;
    let udp = |family, port| udp_count(from, family, port).unwrap_or(0);
    let raw = |family, protocol| raw_count(from, family, protocol).unwrap_or(0);
    match daemon {
        "dnsmasq" => dhcp_port(from).is_ok_and(|port| port != DhcpPort::Closed),
        "haproxy" => tcp_listening(inside).is_ok_and(|ports| ports.iter().any(is_proxys)),
        "keepalived" => raw(Family::V4, VRRP) > 0 || raw(Family::V6, VRRP) > 0,
        "radvd" => raw(Family::V6, ICMP6) > 0,
        "charon" | "pluto" => udp(Family::V4, ISAKMP) > 0 || udp(Family::V6, ISAKMP) > 0,
        _ => false,
    }
}

/// dnsmasq listens for names over TCP.
fn is_proxys(port: &u16) -> bool {
    const NAMES: u16 = 53;
    *port != NAMES
}
