//! Addresses of host names: `/etc/hosts`, then the servers of `/etc/resolv.conf`.
//!
//! Never `getaddrinfo`: in a static binary it loads the NSS modules of whatever glibc the target
//! has, and it knows no deadline. What only NSS knows (LDAP, mDNS) has no address here.

mod dns;

use crate::host::words::plain_name;
use crate::host::{Host, Trouble, Why};
use crate::rights;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// A host as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostName {
    /// An address; a link-local one may name its device, `fe80::1%eth1`.
    Address(IpAddr, Option<String>),
    /// A name of the DNS, without the dot at its end.
    Name(String),
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address, None));
        }
        if let Some((address, device)) = text.split_once('%')
            && let Ok(address) = address.parse::<Ipv6Addr>()
        {
            plain_name(device, "a device name", 15)?;
            return Ok(Self::Address(IpAddr::V6(address), Some(device.to_owned())));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        match is_name(name) {
            true => Ok(Self::Name(text.to_owned())),
            false => Err("write an IPv4 or IPv6 address, or a host name".to_owned()),
        }
    }
}

impl std::fmt::Display for HostName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address, None) => write!(f, "{address}"),
            Self::Address(address, Some(device)) => write!(f, "{address}%{device}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// RFC 1123, with the underscore that people use all the same. What ends in a number is an
/// address, and here a wrong one.
fn is_name(name: &str) -> bool {
    const LONGEST: usize = 253;
    let label = |label: &str| {
        let good = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(good)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let number = |label: &str| label.bytes().all(|c| c.is_ascii_digit());
    name.len() <= LONGEST
        && name.split('.').all(label)
        && !name.rsplit('.').next().is_some_and(number)
}

/// An address, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The address, with the number of its device where it needs one; the port is 0.
    pub address: SocketAddr,
    /// Who said so; `None` where it was written as an address.
    pub by: Option<String>,
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAddress {
    /// There is no such name; who says so.
    Unknown(String),
    /// No server answered.
    Silent(String, Duration),
    /// The device of a link-local address does not exist.
    NoDevice(String),
    /// The files could not be read, or the servers do not do their work.
    Trouble(Trouble),
}

/// Which addresses are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// IPv4, or IPv6 where there is no IPv4 address.
    Any,
}

impl Family {
    const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The address to use among several.
    fn pick(self, addresses: &[IpAddr]) -> Option<IpAddr> {
        let wanted: &[Self] = match self {
            Self::Any => &[Self::V4, Self::V6],
            Self::V4 => &[Self::V4],
            Self::V6 => &[Self::V6],
        };
        wanted.iter().find_map(|f| addresses.iter().find(|a| Self::of(**a) == *f).copied())
    }
}

impl Host {
    /// The address of a host, until a moment at the latest.
    ///
    /// # Errors
    /// It has none, or nobody says which.
    pub fn resolve(
        &self,
        host: &HostName,
        family: Family,
        until: Instant,
    ) -> Result<Resolved, NoAddress> {
        let name = match host {
            HostName::Address(address, device) => return numeric(*address, device.as_deref()),
            HostName::Name(name) => name,
        };
        rights::renounce();
        let found = |address, by| Resolved { address: SocketAddr::new(address, 0), by: Some(by) };
        let hosts = read("/etc/hosts")?;
        if let Some(address) = family.pick(&in_hosts(&hosts, name)) {
            return Ok(found(address, "/etc/hosts".to_owned()));
        }
        (self.announce)("the address of a host name");
        let config = Config::parse(&read("/etc/resolv.conf")?);
        let (address, by) = dns::look_up(&config, name, family, until.min(self.until))?;
        Ok(found(address, format!("DNS server {by}")))
    }
}

fn numeric(address: IpAddr, device: Option<&str>) -> Result<Resolved, NoAddress> {
    let mut address = SocketAddr::new(address, 0);
    if let (SocketAddr::V6(v6), Some(device)) = (&mut address, device) {
        let index = nix::net::if_::if_nametoindex(device);
        v6.set_scope_id(index.map_err(|_| NoAddress::NoDevice(device.to_owned()))?);
    }
    Ok(Resolved { address, by: None })
}

/// A file that need not be there.
fn read(path: &str) -> Result<String, NoAddress> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(NoAddress::Trouble(Trouble { whom: path.to_owned(), why: Why::of(&e) })),
    }
}

/// The addresses that `/etc/hosts` has for a name. `localhost` needs no file (RFC 6761).
fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut addresses = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() && name.eq_ignore_ascii_case("localhost") {
        addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    addresses
}

/// What `/etc/resolv.conf` says, as far as it is followed: see resolv.conf(5).
#[derive(Debug, PartialEq, Eq)]
struct Config {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    ndots: usize,
}

impl Config {
    fn parse(text: &str) -> Self {
        const MOST_SERVERS: usize = 3;
        let mut config = Self { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines() {
            let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    config.servers.extend(address.filter(|_| config.servers.len() < MOST_SERVERS));
                }
                Some("search" | "domain") => {
                    let names = words.map(|word| word.trim_matches('.').to_owned());
                    config.search = names.filter(|name| is_name(name)).collect();
                }
                Some("options") => {
                    let ndots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    config.ndots = ndots.fold(config.ndots, |_, last| last);
                }
                _ => {}
            }
        }
        if config.servers.is_empty() {
            config.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        config
    }

    /// The whole names that a name may stand for, in the order in which they are asked for.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{name}.{domain}"));
        let mut all: Vec<String> = searched.filter(|name| is_name(name)).collect();
        let at = if name.matches('.').count() >= self.ndots { 0 } else { all.len() };
        all.insert(at, name.to_owned());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_names_and_nothing_else() {
        for good in
            ["192.0.2.1", "::1", "fe80::1%eth1", "h2", "h2.example.", "a_b.c-d", "3com.example"]
        {
            let host: HostName = good.parse().expect(good);
            assert_eq!(host.to_string(), good);
        }
        let long = "x".repeat(64);
        let longer = ["x"; 128].join(".");
        for bad in [
            "",
            ".",
            "..",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a;id",
            "127.0.0.1; id",
            "$(id)",
            "a/b",
            "1.2.3",
            "0",
            "256.1.1.1",
            "1.2.3.4.5",
            "\u{fc}",
            "::1%",
            "::1%a/b",
            "1.2.3.4%eth0",
            "a\n",
            &long,
            &longer,
        ] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_hosts_file_is_read_like_everybody_reads_it() {
        let text = "# 192.0.2.9 h2\n192.0.2.1\tH2 h2.example # h3\nnonsense h2\n2001:db8::1 h2\n";
        let h2: Vec<IpAddr> =
            vec!["192.0.2.1".parse().expect("v4"), "2001:db8::1".parse().expect("v6")];
        assert_eq!(in_hosts(text, "h2"), h2);
        assert_eq!(in_hosts(text, "h2.example."), h2[..1]);
        assert!(in_hosts(text, "h3").is_empty());
        assert_eq!(
            Family::Any.pick(&in_hosts(text, "localhost")),
            Some(Ipv4Addr::LOCALHOST.into())
        );
        assert_eq!((Family::Any.pick(&h2), Family::V6.pick(&h2)), (Some(h2[0]), Some(h2[1])));
        assert_eq!((Family::V6.pick(&h2[..1]), Family::Any.pick(&h2[1..])), (None, Some(h2[1])));
    }

    #[test]
    fn the_resolver_file_is_read_like_everybody_reads_it() {
        let text = "search a.example b.example\nnameserver 192.0.2.1\noptions ndots:2 edns0\n\
                    nameserver ::1\nnameserver x\n; nameserver 192.0.2.9\n";
        let config = Config::parse(text);
        let servers: Vec<_> = config.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1", "::1"]);
        assert_eq!(config.candidates("h2.x"), ["h2.x.a.example", "h2.x.b.example", "h2.x"]);
        assert_eq!(config.candidates("h.2.x"), ["h.2.x", "h.2.x.a.example", "h.2.x.b.example"]);
        assert_eq!(config.candidates("h2."), ["h2"]);
        let nothing = Config::parse("");
        assert_eq!(nothing.servers, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        assert_eq!(nothing.candidates("h2"), ["h2"]);
    }
}
