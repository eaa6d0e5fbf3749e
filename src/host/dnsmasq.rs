//! Which addresses Neutron gave to a MAC address: `dhcp/NETWORK/host`, which it writes for dnsmasq
//! (`MAC,[set:TAG,]NAME,ADDRESS`), and `dhcp/NETWORK/leases`, which dnsmasq keeps (`EXPIRY MAC
//! ADDRESS NAME CLIENT`). IPv6 addresses stand in brackets in the first.

use crate::host::mac::Mac;
use crate::host::trouble::Trouble;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// One address that is written down for a MAC address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Whose it is.
    pub mac: Mac,
    /// The address.
    pub address: IpAddr,
    /// The network in whose files it stands.
    pub network: String,
    /// `host` or `leases`.
    pub file: &'static str,
}

/// What is written down, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Book {
    /// Addresses, without repetition.
    pub given: Vec<Given>,
    /// What could not be read.
    pub troubles: Vec<Trouble>,
}

/// The files of a network, the one to be believed first.
const FILES: [&str; 2] = ["host", "leases"];

/// Reads what is written down for some MAC addresses in some networks; where no network is named,
/// in all.
pub fn look_up(state: &Path, networks: &BTreeSet<&str>, wanted: &BTreeSet<Mac>) -> Book {
    let mut book = Book::default();
    let directory = state.join("dhcp");
    let mut places: Vec<PathBuf> = networks.iter().map(|name| directory.join(name)).collect();
    if networks.is_empty() {
        match fs::read_dir(&directory) {
            Ok(entries) => places.extend(entries.flatten().map(|entry| entry.path())),
            Err(e) => book.trouble(&directory, &e),
        }
    }
    for place in places {
        let name = place.file_name().map(|name| name.to_string_lossy().into_owned());
        let network = name.unwrap_or_default();
        for file in FILES {
            let path = place.join(file);
            if let Err(e) = read(&path, |mac, address| {
                if wanted.contains(&mac) {
                    book.note(Given { mac, address, network: network.clone(), file });
                }
            }) {
                book.trouble(&path, &e);
            }
        }
    }
    book
}

impl Book {
    fn note(&mut self, given: Given) {
        let same = |known: &Given| {
            (known.mac, known.address, &known.network) == (given.mac, given.address, &given.network)
        };
        if !self.given.iter().any(same) {
            self.given.push(given);
        }
    }

    /// A file that is not there is nothing that could not be read.
    fn trouble(&mut self, path: &Path, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.troubles.push(Trouble::of(path.display().to_string(), error));
        }
    }
}

fn read(path: &Path, mut hear: impl FnMut(Mac, IpAddr)) -> io::Result<()> {
    const LONGEST: u64 = 64 << 20;
    // A fifo in its place must not block us.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut lines = BufReader::with_capacity(64 << 10, file.take(LONGEST));
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        read_line(&String::from_utf8_lossy(&line), &mut hear);
        line.clear();
    }
    Ok(())
}

/// A line of either file: every address in it belongs to every MAC address in it.
fn read_line(line: &str, hear: &mut impl FnMut(Mac, IpAddr)) {
    let fields = || line.trim().split([',', ' ']);
    // Without a colon it would be a host name made of twelve digits.
    let macs = fields().filter(|field| field.contains(':')).filter_map(|field| field.parse().ok());
    for mac in macs {
        for field in fields() {
            let bare = field.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            if let Ok(address) = bare.unwrap_or(field).parse() {
                hear(mac, address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(line: &str) -> Vec<String> {
        let mut all = Vec::new();
        read_line(line, &mut |mac, address| all.push(format!("{mac} {address}")));
        all
    }

    #[test]
    fn every_form_that_neutron_writes_is_read() {
        let m = "fa:16:3e:00:00:01";
        for (line, addresses) in [
            (format!("{m},host-10-0-1-11.openstacklocal.,10.0.1.11\n"), vec!["10.0.1.11"]),
            (format!("{m},host-x,10.0.1.11,set:port-1ab00001\n"), vec!["10.0.1.11"]),
            (format!("{m},id:ff:00:00:01,host-x,10.0.1.11\n"), vec!["10.0.1.11"]),
            (format!("{m},set:1ab0,host-x,10.0.1.11"), vec!["10.0.1.11"]),
            (format!("{m},tag:dhcpv6,host-fd00--1.x.,[fd00::1]\n"), vec!["fd00::1"]),
            (format!("{m},tag:dhcpv6,host-x,[fd00::1],[fd00::2]\n"), vec!["fd00::1", "fd00::2"]),
            (format!("1501085997 {m} 10.0.1.11 host-10-0-1-11 *\n"), vec!["10.0.1.11"]),
            (format!("0 {m} [fd00::1] host-x *\n"), vec!["fd00::1"]),
            (format!("{m},set:port-1ab00001\n"), vec![]),
            (format!("{m},ignore\n"), vec![]),
            ("duid 00:01:00:01:2c:aa:bb:cc:fa:16:3e:00:00:02\n".to_owned(), vec![]),
            ("fa163e000001,10.0.1.11".to_owned(), vec![]),
            (String::new(), vec![]),
        ] {
            let expected: Vec<_> = addresses.iter().map(|a| format!("{m} {a}")).collect();
            assert_eq!(heard(&line), expected, "{line}");
        }
    }

    #[test]
    fn only_the_networks_and_addresses_that_are_asked_for_are_told_each_once() {
        let state = std::env::temp_dir().join(format!("calipso-dnsmasq-{}", std::process::id()));
        let mac = |text: &str| text.parse::<Mac>().expect("an address");
        for (network, file, text) in [
            ("a", "host", "fa:16:3e:00:00:01,x,10.0.1.11\nfa:16:3e:00:00:02,y,10.0.1.12\n"),
            (
                "a",
                "leases",
                "0 fa:16:3e:00:00:01 10.0.1.11 x *\n0 fa:16:3e:00:00:01 10.0.1.9 x *\n",
            ),
            ("b", "host", "fa:16:3e:00:00:01,x,10.0.2.11\n"),
        ] {
            fs::create_dir_all(state.join("dhcp").join(network)).expect("a directory");
            fs::write(state.join("dhcp").join(network).join(file), text).expect("a file");
        }
        let wanted = BTreeSet::from([mac("fa:16:3e:00:00:01")]);
        let told = |networks: &[&str]| {
            let book = look_up(&state, &networks.iter().copied().collect(), &wanted);
            assert_eq!(book.troubles, []);
            let mut told: Vec<_> = book
                .given
                .iter()
                .map(|g| format!("{}/{} {}", g.network, g.file, g.address))
                .collect();
            told.sort();
            told
        };
        assert_eq!(told(&["a"]), ["a/host 10.0.1.11", "a/leases 10.0.1.9"]);
        assert_eq!(told(&[]), ["a/host 10.0.1.11", "a/leases 10.0.1.9", "b/host 10.0.2.11"]);
        assert!(told(&["nosuch"]).is_empty());
        fs::remove_dir_all(&state).expect("our directory");
        assert_eq!(look_up(&state, &BTreeSet::new(), &wanted), Book::default());
    }
}
