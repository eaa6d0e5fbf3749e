//! Which ports are taken in a network namespace: UDP and raw sockets from `/proc/PID/net` of a process
//! in it, which any user may read; listening TCP from the kernel's socket diagnosis, which needs a
//! socket in the namespace, or else from `/proc` as well. (`/proc/PID/net/tcp` walks the table of
//! connections of the whole machine, 2 ms for each `read` where that has 262,144 buckets; the diagnosis
//! does not.)

use crate::host::foothold::Foothold;
use crate::host::netlink::{Question, Route};
use crate::host::trouble::{Trouble, Why};
use crate::rights::{self, SYS_PTRACE};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};

/// The two families, each with tables of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6; a socket here may serve IPv4 too.
    V6,
}

impl Family {
    fn table(self, protocol: &'static str) -> &'static str {
        match (self, protocol) {
            (Self::V4, name) => name,
            (Self::V6, "udp") => "udp6",
            (Self::V6, "raw") => "raw6",
            (Self::V6, _) => "tcp6",
        }
    }
}

/// Where the tables of a namespace are read.
#[derive(Clone, Copy)]
pub enum Vantage<'n> {
    /// Through the `/proc` of a process that lives in it: any user may.
    Process(i32),
    /// In what was opened inside.
    Inside(&'n Tables),
}

/// Tables of UDP and raw sockets that were opened in a namespace; those of a family that the kernel
/// does not have are missing. An open table stays that of the namespace it was opened in.
pub struct Tables(Vec<(&'static str, File)>);

impl Tables {
    /// Opens those of the namespace we are in.
    pub(super) fn open() -> Self {
        let names = ["udp", "udp6", "raw", "raw6"];
        let open = |name| Some((name, File::open(format!("/proc/thread-self/net/{name}")).ok()?));
        Self(names.into_iter().filter_map(open).collect())
    }

    /// A table, to be read from its start.
    fn again(&self, name: &str) -> io::Result<File> {
        let table = self.0.iter().find(|(known, _)| *known == name);
        let (_, file) = table.ok_or(io::ErrorKind::NotFound)?;
        let mut file = file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }
}

/// The states of a listening and of an unconnected socket, as the kernel prints them.
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// How many sockets are bound to a UDP port.
///
/// # Errors
/// There is no such table to be read.
pub fn udp_count(from: Vantage, family: Family, port: u16) -> Result<usize, Trouble> {
    count(from, family.table("udp"), port)
}

/// How many raw sockets take packets of a protocol; the tables show it where others show a port.
///
/// # Errors
/// As [`udp_count`].
pub fn raw_count(from: Vantage, family: Family, protocol: u8) -> Result<usize, Trouble> {
    count(from, family.table("raw"), protocol.into())
}

fn count(from: Vantage, table: &str, port: u16) -> Result<usize, Trouble> {
    let mut count = 0;
    each_port(from, table, UNCONNECTED, |found| {
        count += usize::from(found == port);
        true
    })?;
    Ok(count)
}

/// The TCP ports that a socket listens at in a namespace, where a process lives: IPv4, and IPv6
/// unless those are enough.
///
/// # Errors
/// The process ended, or the table is none.
pub fn tcp(
    inside: &Foothold,
    pid: i32,
    enough: impl Fn(&BTreeSet<u16>) -> bool,
) -> Result<BTreeSet<u16>, Trouble> {
    let mut ports = BTreeSet::new();
    if let Some(diagnosis) = inside.diagnosis()
        && listening(diagnosis, &mut ports, &enough).is_ok()
    {
        return Ok(ports);
    }
    for family in [Family::V4, Family::V6] {
        if !enough(&ports) {
            each_port(Vantage::Process(pid), family.table("tcp"), LISTEN, |port| {
                ports.insert(port);
                !enough(&ports)
            })?;
        }
    }
    Ok(ports)
}

/// The TCP ports that a socket listens at in a namespace; only by the socket diagnosis, which is
/// cheap. None where that is not open.
///
/// # Errors
/// The kernel has no such diagnosis.
pub(super) fn tcp_listening(inside: &Foothold) -> io::Result<BTreeSet<u16>> {
    let mut ports = BTreeSet::new();
    if let Some(diagnosis) = inside.diagnosis() {
        listening(diagnosis, &mut ports, |_| false)?;
    }
    Ok(ports)
}

/// `sock_diag(7)`; the kernel loads its part for TCP when it is asked, if it has it.
fn listening(
    diagnosis: &Route,
    ports: &mut BTreeSet<u16>,
    enough: impl Fn(&BTreeSet<u16>) -> bool,
) -> io::Result<()> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const TCP_LISTEN: u32 = 10;
    /// `inet_diag_req_v2`; its states are behind family, protocol and two bytes of others.
    const REQUEST: usize = 56;
    for family in [libc::AF_INET, libc::AF_INET6] {
        if enough(ports) {
            break;
        }
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
    Ok(())
}

/// Hands on the port of each socket in this state, until `take` has all it wanted: it returns false
/// then.
fn each_port(
    from: Vantage,
    table: &str,
    state: &str,
    mut take: impl FnMut(u16) -> bool,
) -> Result<(), Trouble> {
    /// Each `read` costs a walk over the kernel's table.
    const PIECE: usize = 32 << 10;
    let (path, opened) = match from {
        Vantage::Process(pid) => {
            let path = format!("/proc/{pid}/net/{table}");
            // Mounted with `hidepid`, `/proc` shows processes of others only to those who may trace
            // them.
            let opened = rights::lend(SYS_PTRACE, || File::open(&path));
            (path, opened)
        }
        Vantage::Inside(tables) => (format!("/proc/thread-self/net/{table}"), tables.again(table)),
    };
    let file = match opened {
        Ok(file) => file,
        // A kernel without IPv6 has no such table.
        Err(e) if e.kind() == io::ErrorKind::NotFound && table.ends_with('6') => return Ok(()),
        Err(e) => return Err(Trouble::of(path, &e)),
    };
    for line in BufReader::with_capacity(PIECE, file).lines().skip(1) {
        let line = line.map_err(|e| Trouble::of(path.as_str(), &e))?;
        let Some((port, is)) = parse(&line) else {
            return Err(Trouble { whom: path, why: Why::Unreadable("no port".to_owned()) });
        };
        if is == state && !take(port) {
            break;
        }
    }
    Ok(())
}

/// A line `sl local_address rem_address st ...`; addresses are `HEX:PORT`.
fn parse(line: &str) -> Option<(u16, &str)> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, state) = (fields.next()?, fields.nth(1)?);
    let (_, port) = local.rsplit_once(':')?;
    Some((u16::from_str_radix(port, 16).ok()?, state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};

    #[test]
    fn captured_tables_name_dnsmasq_s_ports() {
        let ports = |text: &'static str| text.lines().skip(1).map(parse).collect::<Vec<_>>();
        let udp = include_str!("../../tests/fixtures/netns/proc-qdhcp-net-udp.txt");
        assert!(ports(udp).contains(&Some((67, UNCONNECTED))));
        let tcp = include_str!("../../tests/fixtures/netns/proc-qdhcp-net-tcp.txt");
        assert!(ports(tcp).contains(&Some((80, LISTEN))));
        for nonsense in ["", " 0: nonsense", "0: 0100007F:0035", "0: 0:zz 0:0 07"] {
            assert_eq!(parse(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn our_own_sockets_are_seen() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let me = i32::try_from(std::process::id()).expect("a pid");
        let wanted = listener.local_addr().expect("an address").port();
        let mut seen = false;
        let look = |port| {
            seen |= port == wanted;
            true
        };
        each_port(Vantage::Process(me), "tcp", LISTEN, look).expect("our own table");
        assert!(seen);
        let port = socket.local_addr().expect("an address").port();
        let bound = || udp_count(Vantage::Process(me), Family::V4, port);
        assert_eq!(bound(), Ok(1));
        drop(socket);
        assert_eq!(bound(), Ok(0));
        assert!(udp_count(Vantage::Process(i32::MAX), Family::V4, port).is_err());
    }
}
