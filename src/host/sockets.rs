//! Which ports are taken in the network namespace of a process: `/proc/PID/net/{udp,udp6,tcp,tcp6}`,
//! which any user may read.

use crate::host::trouble::{Trouble, Why};
use std::collections::BTreeSet;
use std::fs;
use std::io;

/// Ports of a network namespace, IPv4 and IPv6.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// UDP ports that a socket is bound to, IPv4.
    pub udp: BTreeSet<u16>,
    /// UDP ports that a socket is bound to, IPv6; a socket here may serve IPv4 too.
    pub udp6: BTreeSet<u16>,
    /// TCP ports that a socket listens at, IPv4 and IPv6.
    pub tcp: BTreeSet<u16>,
}

/// `TCP_LISTEN` and the state of an unconnected UDP socket, as the kernel prints them.
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// The ports that are taken where a process lives.
///
/// # Errors
/// The process ended, or the table is none.
pub fn taken(pid: i32) -> Result<Taken, Trouble> {
    let [udp, udp6, tcp, tcp6] =
        [("udp", UNCONNECTED), ("udp6", UNCONNECTED), ("tcp", LISTEN), ("tcp6", LISTEN)]
            .map(|(table, state)| ports(pid, table, state));
    let mut tcp = tcp?;
    tcp.extend(tcp6?);
    Ok(Taken { udp: udp?, udp6: udp6?, tcp })
}

fn ports(pid: i32, table: &str, state: &str) -> Result<BTreeSet<u16>, Trouble> {
    let path = format!("/proc/{pid}/net/{table}");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        // A kernel without IPv6 has no such table.
        Err(e) if e.kind() == io::ErrorKind::NotFound && table.ends_with('6') => String::new(),
        Err(e) => return Err(Trouble::of(path, &e)),
    };
    parse(&text, state).ok_or(Trouble { whom: path, why: Why::Unreadable("no port".to_owned()) })
}

/// Lines `sl local_address rem_address st ...` below a heading; addresses are `HEX:PORT`.
fn parse(text: &str, state: &str) -> Option<BTreeSet<u16>> {
    let mut ports = BTreeSet::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split_whitespace().skip(1);
        let (local, st) = (fields.next()?, fields.nth(1)?);
        if st == state {
            let (_, port) = local.rsplit_once(':')?;
            ports.insert(u16::from_str_radix(port, 16).ok()?);
        }
    }
    Some(ports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};

    #[test]
    fn captured_tables_name_dnsmasq_s_ports() {
        let udp = include_str!("../../tests/fixtures/netns/proc-qdhcp-net-udp.txt");
        assert!(parse(udp, UNCONNECTED).expect("a table").contains(&67));
        let tcp = include_str!("../../tests/fixtures/netns/proc-qdhcp-net-tcp.txt");
        assert!(parse(tcp, LISTEN).expect("a table").contains(&80));
        assert_eq!(parse("sl local\n 0: nonsense", LISTEN), None);
    }

    #[test]
    fn our_own_sockets_are_seen() {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let me = i32::try_from(std::process::id()).expect("a pid");
        let taken = taken(me).expect("our own tables");
        assert!(taken.tcp.contains(&tcp.local_addr().expect("an address").port()));
        assert!(taken.udp.contains(&udp.local_addr().expect("an address").port()));
    }
}
