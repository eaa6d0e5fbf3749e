//! ICMP sockets: the unprivileged datagram kind where the kernel allows it, the raw kind else.

use crate::host::link::DeviceName;
use crate::host::ping::packet::{self, Refusal, Unreachable};
use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr, ReceiveTimestampns};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg,
    recvmsg, sendmsg, sendto, setsockopt,
};
use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// Why there is no socket.
#[derive(Debug)]
pub(super) enum NoSocket {
    /// Neither kind is allowed.
    Forbidden,
    /// The source address or device is not there.
    NoSource(io::Error),
    /// The kernel said something else.
    Failed(io::Error),
}

/// What a socket is set up with.
#[derive(Debug)]
pub(super) struct Setup<'p> {
    pub(super) source: Option<IpAddr>,
    pub(super) device: Option<&'p DeviceName>,
    pub(super) dont_fragment: bool,
    pub(super) dscp: Option<u8>,
    /// The identifier that a raw socket listens for.
    pub(super) id: u16,
}

/// A socket for echo requests of one address family.
#[derive(Debug)]
pub(super) struct IcmpSocket {
    socket: Socket,
    v6: bool,
    raw: bool,
    id: u16,
    /// What the kernel last said is the most that a device or route takes.
    pub(super) mtu: Option<u32>,
    /// The longest packet that may arrive, and a byte.
    longest: usize,
    /// Room for several of them.
    buffer: Vec<u8>,
    control: Vec<u8>,
}

/// A reply as it came.
pub(super) struct Arrived<'b> {
    pub(super) from: IpAddr,
    /// Since 1970, by the kernel's clock, from the moment it took the packet.
    pub(super) at: Option<Duration>,
    pub(super) message: &'b [u8],
    /// The kernel does not look at it for raw sockets of IPv4.
    pub(super) checksum_right: bool,
}

/// An ICMP error about a request of ours.
pub(super) struct Refused {
    pub(super) target: IpAddr,
    pub(super) seq: u16,
    pub(super) refusal: Refusal,
}

impl IcmpSocket {
    /// Opens and sets up a socket for data of this size.
    pub(super) fn open(v6: bool, setup: &Setup, size: usize) -> Result<Self, NoSocket> {
        /// Replies that are taken with one call, and the bytes they may be.
        const AT_ONCE: usize = 32;
        const BYTES: usize = 256 << 10;
        // With an IPv4 header and its options.
        let longest = size + packet::HEADER + 61;
        let (socket, raw) = unbound(v6)?;
        let mut this = Self {
            socket,
            v6,
            raw,
            id: setup.id,
            mtu: None,
            longest,
            buffer: vec![0; longest * (BYTES / longest).clamp(1, AT_ONCE)],
            control: nix::cmsg_space!(libc::timespec, libc::sock_extended_err, libc::sockaddr_in6),
        };
        this.control.resize(this.control.capacity(), 0);
        this.set_up(setup).map_err(NoSocket::Failed)?;
        if let Some(device) = setup.device {
            this.socket
                .bind_device(Some(device.as_str().as_bytes()))
                .map_err(|e| no_source(e, libc::ENODEV))?;
        }
        if let Some(source) = setup.source {
            let address = SockAddr::from(SocketAddr::new(source, 0));
            this.socket.bind(&address).map_err(|e| no_source(e, libc::EADDRNOTAVAIL))?;
        }
        Ok(this)
    }

    fn set_up(&self, setup: &Setup) -> io::Result<()> {
        /// Hundreds of replies may arrive before they are read; the kernel grants what it allows.
        const RECEIVE_BUFFER: usize = 1 << 20;
        self.socket.set_nonblocking(true)?;
        self.socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        setsockopt(&self.socket, ReceiveTimestampns, &true)?;
        let (level, option) = match self.v6 {
            false => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
            true => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
        };
        // Probing never trusts a path MTU that was learnt earlier; otherwise what is too big is
        // cut into fragments.
        let discover = match (setup.dont_fragment, self.v6) {
            (true, false) => libc::IP_PMTUDISC_PROBE,
            (true, true) => libc::IPV6_PMTUDISC_PROBE,
            (false, false) => libc::IP_PMTUDISC_DONT,
            (false, true) => libc::IPV6_PMTUDISC_DONT,
        };
        self.set_int(level, option, discover)?;
        if self.v6 {
            setsockopt(&self.socket, Ipv6RecvErr, &true)?;
            self.set_int(libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, setup.dont_fragment.into())?;
        } else {
            setsockopt(&self.socket, Ipv4RecvErr, &true)?;
        }
        if let Some(dscp) = setup.dscp {
            let class = u32::from(dscp) << 2;
            match self.v6 {
                false => self.socket.set_tos_v4(class)?,
                true => self.socket.set_tclass_v6(class)?,
            }
        }
        if self.raw {
            self.socket.attach_filter(&only_replies_to(self.v6, self.id))?;
        }
        Ok(())
    }

    fn set_int(&self, level: i32, option: i32, value: i32) -> io::Result<()> {
        let length = size_of::<i32>() as libc::socklen_t;
        let fd = self.socket.as_raw_fd();
        // SAFETY: a socket of ours and a live int of the length that is given.
        match unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), length) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// How many replies its receive buffer holds, and half as many again.
    pub(super) fn room_for_replies(&self) -> usize {
        /// What a packet takes beside its bytes, of which there may be twice as many.
        const EACH: usize = 1024;
        let room = self.socket.recv_buffer_size().unwrap_or(0);
        (room * 2 / 3 / (EACH + 2 * self.longest)).max(1)
    }

    /// Which kind of socket it is.
    pub(super) const fn is_raw(&self) -> bool {
        self.raw
    }

    /// Sends one message, from one of this host's addresses or from where the kernel thinks best.
    pub(super) fn send(
        &self,
        message: &[u8],
        to: &SockaddrStorage,
        from: Option<IpAddr>,
    ) -> Result<(), Errno> {
        let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let slices = [IoSlice::new(message)];
        let sent = match from {
            None => sendto(fd, message, to, flags),
            Some(IpAddr::V4(from)) => {
                let s_addr = u32::from_ne_bytes(from.octets());
                let (spec, any) = (libc::in_addr { s_addr }, libc::in_addr { s_addr: 0 });
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: spec, ipi_addr: any };
                sendmsg(fd, &slices, &[ControlMessage::Ipv4PacketInfo(&info)], flags, Some(to))
            }
            Some(IpAddr::V6(from)) => {
                let ipi6_addr = libc::in6_addr { s6_addr: from.octets() };
                let info = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
                sendmsg(fd, &slices, &[ControlMessage::Ipv6PacketInfo(&info)], flags, Some(to))
            }
        };
        sent.map(drop)
    }

    /// Hands on every reply to one of our requests that has arrived.
    pub(super) fn receive(&mut self, mut hear: impl FnMut(Arrived)) {
        /// More pending errors of earlier requests than these are left for the next call.
        const ERRORS: usize = 64;
        let (fd, with_header) = (self.socket.as_raw_fd(), self.raw && !self.v6);
        let mut errors = 0;
        while errors < ERRORS {
            let mut rooms: Vec<_> =
                self.buffer.chunks_mut(self.longest).map(|room| [IoSliceMut::new(room)]).collect();
            let (all, control) = (rooms.len(), nix::cmsg_space!(libc::timespec));
            let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(all, Some(control));
            let flags = MsgFlags::MSG_DONTWAIT;
            let messages = match recvmmsg(fd, &mut headers, rooms.iter_mut(), flags, None) {
                Ok(messages) => messages,
                Err(Errno::EAGAIN) => return,
                // What became of a request: the error queue has all that is known of it.
                Err(_) => {
                    errors += 1;
                    continue;
                }
            };
            let mut received = 0;
            for message in messages {
                received += 1;
                let packet = message.iovs().next().unwrap_or_default();
                let from = message.address.as_ref().and_then(address);
                let icmp = if with_header { packet::behind_ip(packet) } else { Some(packet) };
                let (Some(from), Some(icmp)) = (from, icmp) else { continue };
                let at = message.cmsgs().ok().and_then(|mut all| all.find_map(stamp));
                let checksum_right = !with_header || packet::checksum(icmp) == 0;
                hear(Arrived { from, at, message: icmp, checksum_right });
            }
            if received < all {
                return;
            }
        }
    }

    /// The next ICMP error about one of our requests.
    pub(super) fn refused(&mut self) -> Option<Refused> {
        loop {
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_ERRQUEUE;
            let fd = self.socket.as_raw_fd();
            let got = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut self.control), flags);
            let got = got.ok()?;
            let (length, target) = (got.bytes, got.address.as_ref().and_then(address));
            let said = got.cmsgs().ok().and_then(|mut all| all.find_map(error));
            let Some((origin, said, by)) = said else { continue };
            if origin == FROM_THIS_HOST && said.ee_errno == libc::EMSGSIZE.cast_unsigned() {
                self.mtu = Some(said.ee_info);
            }
            let quoted = packet::quoted(self.v6, &self.buffer[..length]);
            // A raw socket also hears of what others sent.
            let ours = quoted.filter(|echo| !self.raw || echo.id == self.id);
            if let (Some(why), Some(target), Some(echo)) = (unreachable(&said), target, ours) {
                return Some(Refused { target, seq: echo.seq, refusal: Refusal { by, why } });
            }
        }
    }
}

impl AsFd for IcmpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn unbound(v6: bool) -> Result<(Socket, bool), NoSocket> {
    let (domain, protocol) = match v6 {
        false => (Domain::IPV4, Protocol::ICMPV4),
        true => (Domain::IPV6, Protocol::ICMPV6),
    };
    if let Ok(socket) = Socket::new(domain, Type::DGRAM, Some(protocol)) {
        return Ok((socket, false));
    }
    match Socket::new(domain, Type::RAW, Some(protocol)) {
        Ok(socket) => Ok((socket, true)),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(NoSocket::Forbidden),
        Err(e) => Err(NoSocket::Failed(e)),
    }
}

fn no_source(error: io::Error, absent: i32) -> NoSocket {
    match error.raw_os_error() == Some(absent) {
        true => NoSocket::NoSource(error),
        false => NoSocket::Failed(error),
    }
}

/// A classic BPF program that lets echo replies with one identifier pass. A raw socket would else
/// be woken by every ICMP message that this host receives.
fn only_replies_to(v6: bool, id: u16) -> Vec<SockFilter> {
    const BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_IND) as u16;
    const HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
    const IP_HEADER: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
    const NO_HEADER: u16 = (libc::BPF_LDX | libc::BPF_W | libc::BPF_IMM) as u16;
    const UNLESS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    // Only IPv4 raw sockets see the IP header.
    let (header, kind) = if v6 { (NO_HEADER, 129) } else { (IP_HEADER, 0) };
    vec![
        SockFilter::new(header, 0, 0, 0),
        SockFilter::new(BYTE, 0, 0, 0),
        SockFilter::new(UNLESS, 0, 3, kind),
        SockFilter::new(HALF, 0, 0, 4),
        SockFilter::new(UNLESS, 0, 1, id.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

fn address(storage: &SockaddrStorage) -> Option<IpAddr> {
    match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        _ => None,
    }
}

fn stamp(control: ControlMessageOwned) -> Option<Duration> {
    match control {
        ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
        _ => None,
    }
}

const FROM_THIS_HOST: u8 = 1;
const FROM_ICMP: u8 = 2;
const FROM_ICMP6: u8 = 3;

/// A message of the error queue: its origin, what it says, and who says it.
fn error(control: ControlMessageOwned) -> Option<(u8, libc::sock_extended_err, Option<IpAddr>)> {
    let (said, by) = match control {
        ControlMessageOwned::Ipv4RecvErr(said, by) => {
            (said, by.map(|by| IpAddr::V4(u32::from_be(by.sin_addr.s_addr).into())))
        }
        ControlMessageOwned::Ipv6RecvErr(said, by) => {
            (said, by.map(|by| IpAddr::V6(by.sin6_addr.s6_addr.into())))
        }
        _ => return None,
    };
    Some((said.ee_origin, said, by.filter(|by| !by.is_unspecified())))
}

/// What an ICMP error says; what this host found while sending, the send itself has returned.
fn unreachable(said: &libc::sock_extended_err) -> Option<Unreachable> {
    match said.ee_origin {
        FROM_ICMP => Some(packet::unreachable_v4(said.ee_type, said.ee_code, said.ee_info)),
        FROM_ICMP6 => Some(packet::unreachable_v6(said.ee_type, said.ee_code, said.ee_info)),
        _ => None,
    }
}

/// Whether an address is one of this host's own.
fn is_ours(address: IpAddr) -> bool {
    let socket = Socket::new(Domain::for_address((address, 0).into()), Type::DGRAM, None);
    socket.is_ok_and(|socket| socket.bind(&SockAddr::from(SocketAddr::new(address, 0))).is_ok())
}

impl Refusal {
    /// Where nobody on the link answers, it is this host itself that says so; then it says so of
    /// its own.
    pub(super) fn complete(&mut self) {
        if self.why == Unreachable::Neighbour && self.by.is_some_and(is_ours) {
            self.by = None;
        }
    }
}
