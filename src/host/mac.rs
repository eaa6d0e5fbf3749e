//! MAC addresses, in every notation that people and tools use.

use std::fmt;
use std::str::FromStr;

/// The address of an Ethernet device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address in a netlink attribute; `None` where it is another kind of address.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The address that libvirt gives to the tap of a guest with this one: the first byte is 0xfe,
    /// so that the bridge takes neither the guest's address for the host's nor its own from the
    /// tap (`virNetDevTapCreateInBridgePort`).
    pub const fn of_tap(self) -> Self {
        let [_, rest @ ..] = self.0;
        let [b, c, d, e, f] = rest;
        Self([0xfe, b, c, d, e, f])
    }
}

impl Mac {
    /// Whether it is the address of a tap whose guest has one of Neutron's (`base_mac`, fa:16:3e).
    pub const fn is_neutron_tap(self) -> bool {
        matches!(self.0, [0xfe, 0x16, 0x3e, ..])
    }
}

impl FromStr for Mac {
    type Err = String;

    /// `fa:16:3e:00:00:01`, `FA-16-3E-00-00-01`, `fa16.3e00.0001`, `fa163e000001`; of groups with
    /// colons a leading zero may be left out, as some tools print them.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no MAC address (write fa:16:3e:00:00:01)");
        let separator = text.chars().find(|c| !c.is_ascii_hexdigit());
        let (groups, digits): (Vec<&str>, usize) = match separator {
            None => (vec![text], 12),
            Some(c @ (':' | '-')) => (text.split(c).collect(), 2),
            Some('.') => (text.split('.').collect(), 4),
            Some(_) => return Err(bad()),
        };
        let mut hex = String::with_capacity(12);
        for group in groups {
            let shortened = separator == Some(':') && group.len() == 1;
            if (group.len() != digits && !shortened)
                || !group.bytes().all(|b| b.is_ascii_hexdigit())
            {
                return Err(bad());
            }
            hex.extend(std::iter::repeat_n('0', digits - group.len()));
            hex.push_str(group);
        }
        let value = u64::from_str_radix(&hex, 16).map_err(|_| bad())?;
        if hex.len() != 12 {
            return Err(bad());
        }
        let [_, _, mac @ ..] = value.to_be_bytes();
        Ok(Self(mac))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_is_the_same_address() {
        for text in [
            "fa:16:3e:00:00:0a",
            "FA:16:3E:00:00:0A",
            "fa-16-3e-00-00-0a",
            "fa16.3e00.000a",
            "fa163e00000a",
            "fa:16:3e:0:0:a",
        ] {
            let mac: Mac = text.parse().expect(text);
            assert_eq!(mac.to_string(), "fa:16:3e:00:00:0a", "{text}");
        }
    }

    #[test]
    fn a_tap_has_its_guests_address_with_another_first_byte() {
        let guest: Mac = "fa:16:3e:00:00:0a".parse().expect("an address");
        assert_eq!(guest.of_tap().to_string(), "fe:16:3e:00:00:0a");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            ":",
            "fa:16",
            "fa:16:3e:00:00",
            "fa:16:3e:00:00:0a:0b",
            "fa:16:3e:00:00:0g",
            "fa:16:3e:00:00:",
            "fa163e00000",
            "fa163e00000a0",
            "fa-16:3e:00:00:0a",
            "f-16-3e-00-00-a",
            "+a:16:3e:00:00:0a",
            "fa16.3e00.00a",
            "fa:16:3e:00:00:00a",
            "fa:16:3e:00:00:0a;id",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text:?}");
        }
    }
}
