//! Which ports are taken in a network namespace: UDP from `/proc/PID/net` of a process in it, which
//! any user may read; listening TCP from the kernel's socket diagnosis, which needs a socket in the
//! namespace, or else from `/proc` as well. (`/proc/PID/net/tcp` walks the table of connections of the
//! whole machine, 2 ms for each `read` where that has 262,144 buckets; the diagnosis does not.)

use crate::host::netlink::{Question, Route};
use crate::host::netns::Netns;
use crate::host::procfs;
use crate::host::trouble::{Trouble, Why};
use std::collections::BTreeSet;
use std::io;

/// UDP ports that a socket is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UdpPorts {
    /// IPv4.
    pub v4: BTreeSet<u16>,
    /// IPv6; a socket here may serve IPv4 too.
    pub v6: BTreeSet<u16>,
}

/// The states of a listening and of an unconnected socket, as the kernel prints them.
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// The UDP ports that are taken where a process lives.
///
/// # Errors
/// The process ended, or the table is none.
pub fn udp(pid: i32) -> Result<UdpPorts, Trouble> {
    Ok(UdpPorts { v4: ports(pid, "udp", UNCONNECTED)?, v6: ports(pid, "udp6", UNCONNECTED)? })
}

/// The TCP ports, IPv4 and IPv6, that a socket listens at in a namespace, where a process lives.
///
/// # Errors
/// The process ended, or the table is none.
pub fn tcp(netns: &Netns, pid: i32) -> Result<BTreeSet<u16>, Trouble> {
    if let Ok(ports) = listening(netns) {
        return Ok(ports);
    }
    let mut both = ports(pid, "tcp", LISTEN)?;
    both.extend(ports(pid, "tcp6", LISTEN)?);
    Ok(both)
}

/// `sock_diag(7)`; the kernel loads its part for TCP when it is asked, if it has it.
fn listening(netns: &Netns) -> io::Result<BTreeSet<u16>> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const TCP_LISTEN: u32 = 10;
    /// `inet_diag_req_v2`; its states are behind family, protocol and two bytes of others.
    const REQUEST: usize = 56;
    let diagnosis = Route::sock_diag_inside(netns)?;
    let mut ports = BTreeSet::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut request = [0; REQUEST];
        request[0] = u8::try_from(family).unwrap_or(0);
        request[1] = u8::try_from(libc::IPPROTO_TCP).unwrap_or(0);
        request[4..8].copy_from_slice(&(1_u32 << TCP_LISTEN).to_ne_bytes());
        // `inet_diag_msg`: four bytes, then the local port.
        let port = |message: &[u8]| {
            let port = message.get(4..6).and_then(|port| port.try_into().ok());
            port.map(|port| Some(u16::from_be_bytes(port))).ok_or("the answer is too short".into())
        };
        ports.extend(diagnosis.dump(&Question::new(SOCK_DIAG_BY_FAMILY, &request), port)?.items);
    }
    Ok(ports)
}

fn ports(pid: i32, table: &str, state: &str) -> Result<BTreeSet<u16>, Trouble> {
    let path = format!("/proc/{pid}/net/{table}");
    let text = match procfs::text(&path) {
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
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let me = i32::try_from(std::process::id()).expect("a pid");
        let port = listener.local_addr().expect("an address").port();
        assert!(ports(me, "tcp", LISTEN).expect("our own table").contains(&port));
        let port = socket.local_addr().expect("an address").port();
        assert!(udp(me).expect("our own tables").v4.contains(&port));
    }
}
