//! Addresses of this host, and the ways that its routes lead (`RTM_GETADDR`, `RTM_GETROUTE`).

use crate::host::netlink::{Question, Route, attributes, number};
use crate::host::trouble::{Trouble, Why};
use std::collections::HashSet;
use std::net::IpAddr;

/// The way to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Number of the device through which packets leave.
    pub device: u32,
    /// The next router, where the address is not on the link itself.
    pub gateway: Option<IpAddr>,
}

const IFADDRMSG: usize = 8;
const RTMSG: usize = 12;

impl Route {
    /// All addresses of this namespace's devices.
    ///
    /// # Errors
    /// The kernel did not answer as it should.
    pub fn addresses(&self) -> Result<HashSet<IpAddr>, Trouble> {
        Ok(self.addressed()?.into_iter().map(|(_, address)| address).collect())
    }

    /// All addresses of this namespace's devices, with the number of the device.
    ///
    /// # Errors
    /// The kernel did not answer as it should.
    pub fn addressed(&self) -> Result<Vec<(u32, IpAddr)>, Trouble> {
        let question = Question::new(libc::RTM_GETADDR, &[0; IFADDRMSG]);
        let dump = self.dump(&question, |message| {
            let (mut address, mut local) = (None, None);
            attributes(message, IFADDRMSG, |kind, value| match kind {
                libc::IFA_ADDRESS => address = ip(value),
                // On a point-to-point device the other one is the far end's.
                libc::IFA_LOCAL => local = ip(value),
                _ => {}
            })?;
            let device = message.get(4..).and_then(number).unwrap_or(0);
            Ok(local.or(address).map(|address| (device, address)))
        });
        let dump = dump.map_err(|e| Trouble::of("the kernel (RTM_GETADDR)", &e))?;
        dump.whole()
    }

    /// The way to an address; `None` where no route leads there.
    ///
    /// # Errors
    /// The kernel did not answer as it should.
    pub fn way_to(&self, address: IpAddr, from: Option<IpAddr>) -> Result<Option<Way>, Trouble> {
        let whom = || format!("the kernel (RTM_GETROUTE {address})");
        let mut fixed = [0; RTMSG];
        let (family, bits) = match address {
            IpAddr::V4(_) => (libc::AF_INET, 32),
            IpAddr::V6(_) => (libc::AF_INET6, 128),
        };
        fixed[0] = family as u8;
        fixed[1] = bits;
        fixed[2] = if from.is_some() { bits } else { 0 };
        let mut question =
            Question::new(libc::RTM_GETROUTE, &fixed).with(libc::RTA_DST, &bytes(address));
        if let Some(from) = from {
            question = question.with(libc::RTA_SRC, &bytes(from));
        }
        match self.ask(question) {
            Ok(message) => {
                way(&message).map_err(|what| Trouble { whom: whom(), why: Why::Unreadable(what) })
            }
            Err(e) => match e.raw_os_error() {
                // Also prohibited (EACCES), and a black hole (EINVAL).
                Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL) => {
                    Ok(None)
                }
                _ => Err(Trouble::of(whom(), &e)),
            },
        }
    }
}

fn way(message: &[u8]) -> Result<Option<Way>, String> {
    /// What leads somewhere (`RTN_UNICAST`, `RTN_LOCAL`): the others are ways of saying no.
    const LEADS: [u8; 2] = [1, 2];
    let kind = *message.get(7).ok_or("the answer is too short")?;
    let (mut device, mut gateway) = (None, None);
    attributes(message, RTMSG, |kind, value| match kind {
        libc::RTA_OIF => device = number(value),
        libc::RTA_GATEWAY => gateway = ip(value),
        _ => {}
    })?;
    Ok(device.filter(|_| LEADS.contains(&kind)).map(|device| Way { device, gateway }))
}

/// An address attribute of either family.
pub(super) fn ip(value: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(value).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(value).ok().map(IpAddr::from);
    v4().or_else(v6)
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn the_loopback_has_its_address_and_a_way_to_it() {
        let route = Route::here().expect("a socket");
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert!(route.addresses().expect("a dump").contains(&loopback));
        assert!(route.addressed().expect("a dump").contains(&(1, loopback)));
        let way = route.way_to(loopback, Some(loopback)).expect("an answer");
        assert_eq!(way, Some(Way { device: 1, gateway: None }));
    }

    #[test]
    fn answers_that_say_no_lead_nowhere() {
        let mut message = [0; RTMSG].to_vec();
        message.extend([8, 0, 4, 0, 2, 0, 0, 0]);
        for (kind, leads) in [(1, true), (2, true), (6, false), (7, false), (8, false)] {
            message[7] = kind;
            assert_eq!(way(&message).expect("an answer").is_some(), leads, "{kind}");
        }
        assert!(way(&message[..4]).is_err());
    }
}
