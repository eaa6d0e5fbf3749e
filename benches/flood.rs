//! The least that sends echo requests to many addresses and takes the replies: a raw socket,
//! sendmmsg, recvmmsg, and no look at what came back beyond its length.
//!
//! `flood ROUNDS INTERVAL_MS DATA_BYTES ADDRESS...`  prints how many were sent and received.
use std::ffi::{c_int, c_long, c_short, c_uint, c_void};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[repr(C)]
#[derive(Clone, Copy)]
struct SockAddrIn {
    family: u16,
    port: u16,
    address: [u8; 4],
    zero: [u8; 8],
}

#[repr(C)]
struct IoVec {
    base: *mut c_void,
    length: usize,
}

#[repr(C)]
struct MsgHdr {
    name: *mut c_void,
    name_length: u32,
    iov: *mut IoVec,
    iov_length: usize,
    control: *mut c_void,
    control_length: usize,
    flags: c_int,
}

#[repr(C)]
struct MMsgHdr {
    header: MsgHdr,
    length: c_uint,
}

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

unsafe extern "C" {
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, length: u32) -> c_int;
    fn sendmmsg(fd: c_int, messages: *mut MMsgHdr, count: c_uint, flags: c_int) -> c_int;
    fn recvmmsg(fd: c_int, messages: *mut MMsgHdr, count: c_uint, flags: c_int, timeout: *mut c_long) -> c_int;
    fn poll(fds: *mut PollFd, count: u64, timeout: c_int) -> c_int;
}

const AF_INET: u16 = 2;
const BATCH: usize = 64;

fn messages(vectors: &mut [IoVec], names: &mut [SockAddrIn]) -> Vec<MMsgHdr> {
    let header = |(iov, name): (&mut IoVec, &mut SockAddrIn)| MMsgHdr {
        header: MsgHdr {
            name: (name as *mut SockAddrIn).cast(),
            name_length: size_of::<SockAddrIn>() as u32,
            iov,
            iov_length: 1,
            control: std::ptr::null_mut(),
            control_length: 0,
            flags: 0,
        },
        length: 0,
    };
    vectors.iter_mut().zip(names).map(header).collect()
}

fn checksum(message: &[u8]) -> u16 {
    let mut sum: u32 = message.chunks(2).map(|p| u32::from(u16::from_be_bytes([p[0], p[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn flood() -> Result<(usize, usize), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [rounds, interval, size, addresses @ ..] = words.as_slice() else {
        return Err("usage: flood ROUNDS INTERVAL_MS DATA_BYTES ADDRESS...".to_owned());
    };
    let number = |text: &String| text.parse::<usize>().map_err(|e| format!("{text}: {e}"));
    let (rounds, interval, size) = (number(rounds)?, number(interval)?, number(size)?);
    let name = |text: &String| {
        let address: Ipv4Addr = text.parse().map_err(|e| format!("{text}: {e}"))?;
        Ok(SockAddrIn { family: AF_INET, port: 0, address: address.octets(), zero: [0; 8] })
    };
    let mut names = addresses.iter().map(name).collect::<Result<Vec<_>, String>>()?;

    // SAFETY: plain calls; the pointer is to a live int of the length that is given.
    let fd = unsafe { socket(AF_INET.into(), 3, 1) };
    let room: c_int = 1 << 20;
    // SAFETY: as above.
    unsafe { setsockopt(fd, 1, 8, (&raw const room).cast(), 4) };
    if fd < 0 {
        return Err("no raw socket".to_owned());
    }
    let mut packet = vec![0u8; 8 + size];
    let mut buffers = vec![vec![0u8; size + 128]; BATCH];
    let mut from = vec![names[0]; BATCH];
    let (mut sent, mut received) = (0, 0);
    let start = Instant::now();
    for round in 0..rounds {
        packet[..8].copy_from_slice(&[8, 0, 0, 0, 0x77, 0x77, 0, round as u8 + 1]);
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
        let due = start + Duration::from_millis((round * interval) as u64);
        let vector = || IoVec { base: packet.as_ptr().cast_mut().cast(), length: packet.len() };
        let mut vectors: Vec<IoVec> = (0..names.len()).map(|_| vector()).collect();
        let mut out = messages(&mut vectors, &mut names);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for batch in out.chunks_mut(BATCH) {
            // SAFETY: every header points to live buffers and names.
            sent += unsafe { sendmmsg(fd, batch.as_mut_ptr(), batch.len() as u32, 0) }.max(0) as usize;
            received += take(fd, &mut buffers, &mut from, 0);
        }
        let until = Instant::now() + Duration::from_millis(500);
        while received < sent && Instant::now() < until {
            received += take(fd, &mut buffers, &mut from, 100);
        }
    }
    Ok((sent, received))
}

/// What has arrived, after this many milliseconds at the most.
fn take(fd: c_int, buffers: &mut [Vec<u8>], from: &mut [SockAddrIn], wait: c_int) -> usize {
    let mut ready = PollFd { fd, events: 1, revents: 0 };
    // SAFETY: one live pollfd.
    if unsafe { poll(&raw mut ready, 1, wait) } < 1 {
        return 0;
    }
    let vector = |b: &mut Vec<u8>| IoVec { base: b.as_mut_ptr().cast(), length: b.len() };
    let mut vectors: Vec<IoVec> = buffers.iter_mut().map(vector).collect();
    let mut all = messages(&mut vectors, from);
    let mut received = 0;
    loop {
        // SAFETY: every header points to live buffers and names; MSG_DONTWAIT.
        let got = unsafe { recvmmsg(fd, all.as_mut_ptr(), all.len() as u32, 0x40, std::ptr::null_mut()) };
        received += got.max(0) as usize;
        if got < all.len() as c_int {
            return received;
        }
    }
}

fn main() -> ExitCode {
    match flood() {
        Ok((sent, received)) => {
            println!("{sent} sent, {received} received");
            if sent == received { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("flood: {why}");
            ExitCode::FAILURE
        }
    }
}
