//! Bonds of VPP's own and their LACP: `show bond details`, `show lacp`. Both stop the workers.

use super::session::{Said, Session};
use crate::host::Trouble;

/// One bond.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bond {
    /// Its name.
    pub name: String,
    /// `lacp`, `active-backup`, ...
    pub mode: String,
    /// Members that carry traffic.
    pub active: Vec<String>,
    /// All members.
    pub members: Vec<String>,
}

/// LACP on one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacp {
    /// The member, as far as the table shows its name.
    pub member: String,
    /// The bond it is in, likewise.
    pub bond: String,
    /// State of the receive machine (802.1AX): `CURRENT` while a partner speaks.
    pub rx_state: String,
    /// The partner's system, `02-fe-56-bb-9c-5a`; zeros where there is none.
    pub partner: String,
}

impl Lacp {
    /// Whether a partner speaks.
    pub fn current(&self) -> bool {
        self.rx_state == "CURRENT"
    }

    /// Whether it may be a member of the bond of this name.
    pub fn may_be_of(&self, bond: &str) -> bool {
        /// The width of the table's column.
        const SHOWN: usize = 16;
        self.bond == bond || (self.bond.len() >= SHOWN && bond.starts_with(&self.bond))
    }
}

impl Session<'_> {
    /// All bonds; `None` where VPP does not know the command (until 18.05).
    ///
    /// # Errors
    /// As [`Session::text`].
    pub fn bonds(&mut self) -> Result<Option<Vec<Bond>>, Trouble> {
        let mut reader = BondReader::default();
        let said = self.text("show bond details", true, &mut |line| reader.take(line))?;
        Ok((said == Said::Asked).then_some(reader.bonds))
    }

    /// LACP of all members; `None` where VPP does not know the command: its plugin is not loaded.
    ///
    /// # Errors
    /// As [`Session::text`].
    pub fn lacp(&mut self) -> Result<Option<Vec<Lacp>>, Trouble> {
        let mut members: Vec<Lacp> = Vec::new();
        let said = self.text("show lacp", true, &mut |line| lacp_line(&mut members, line))?;
        Ok((said == Said::Asked).then_some(members))
    }
}

/// Which list the indented names belong to.
#[derive(Default, Clone, Copy)]
enum List {
    #[default]
    None,
    Active,
    All,
}

#[derive(Default)]
struct BondReader {
    bonds: Vec<Bond>,
    list: List,
}

impl BondReader {
    fn take(&mut self, line: &str) -> bool {
        // A session that began as one for people has its prompt in front.
        let line = line.rsplit_once("vpp# ").map_or(line, |(_, rest)| rest).trim_end();
        let text = line.trim_start();
        let indent = line.len() - text.len();
        match (indent, self.bonds.last_mut()) {
            (0, _) if super::interfaces::is_bond(text) => {
                self.bonds.push(Bond { name: text.to_owned(), ..Bond::default() });
                self.list = List::None;
            }
            (1..=3, Some(bond)) => {
                self.list = match text.split_once(": ") {
                    Some(("mode", mode)) => {
                        mode.clone_into(&mut bond.mode);
                        List::None
                    }
                    // "slaves" until 20.05.
                    Some(("number of active members" | "number of active slaves", _)) => {
                        List::Active
                    }
                    Some(("number of members" | "number of slaves", _)) => List::All,
                    _ => List::None,
                };
            }
            (4..=5, Some(bond)) => match self.list {
                List::Active => bond.active.push(text.to_owned()),
                List::All => bond.members.push(text.to_owned()),
                List::None => {}
            },
            (_, None) => return false,
            _ => {}
        }
        true
    }
}

/// A member's row, then two indented lines about it.
fn lacp_line(members: &mut Vec<Lacp>, line: &str) -> bool {
    let text = line.trim();
    if let Some(rest) = text.strip_prefix("LAG ID: ") {
        let partner = rest.split('(').nth(2).and_then(|partner| partner.split(',').nth(1));
        if let (Some(member), Some(partner)) = (members.last_mut(), partner) {
            partner.clone_into(&mut member.partner);
        }
    } else if let Some(rest) = text.strip_prefix("RX-state: ") {
        if let Some(member) = members.last_mut() {
            rest.split(',').next().unwrap_or(rest).clone_into(&mut member.rx_state);
        }
    } else if !line.starts_with(' ') && !text.is_empty() {
        if text.starts_with("interface name") {
            return true;
        }
        let mut words = text.split_ascii_whitespace();
        let (Some(member), Some(Ok(_))) = (words.next(), words.next().map(str::parse::<u32>))
        else {
            return false;
        };
        members.push(Lacp {
            member: member.to_owned(),
            bond: words.next().unwrap_or_default().to_owned(),
            rx_state: String::new(),
            partner: String::new(),
        });
    }
    true
}

#[cfg(any(test, fuzzing))]
pub(super) fn read_all(lines: &[String]) {
    let mut reader = BondReader::default();
    let mut members = Vec::new();
    for line in lines {
        reader.take(line);
        lacp_line(&mut members, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bonds(text: &str) -> Vec<Bond> {
        let mut reader = BondReader::default();
        for line in text.lines() {
            reader.take(line);
        }
        reader.bonds
    }

    fn bond(name: &str, mode: &str, active: &[&str], members: &[&str]) -> Bond {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Bond {
            name: name.into(),
            mode: mode.into(),
            active: owned(active),
            members: owned(members),
        }
    }

    #[test]
    fn captured_bonds_have_their_members_even_behind_a_banner() {
        let text = include_str!("../../../tests/fixtures/vpp/25.10-healthy/show_bond_details.txt");
        let expected = [
            bond("BondEthernet0", "active-backup", &["host-vv2"], &["host-vv2"]),
            bond("BondEthernet1", "lacp", &[], &["host-vv3"]),
        ];
        assert_eq!(bonds(text), expected);
        let text = include_str!("../../../tests/fixtures/vpp/21.06/show_bond_details.txt");
        assert_eq!(bonds(text), [bond("BondEthernet0", "active-backup", &[], &["host-vv2"])]);
        // Until 20.05.
        let text = "BondEthernet0\n  mode: xor\n  number of active slaves: 1\n    eth0\n  number of slaves: 2\n    eth0\n    eth1\n  device instance: 0\n";
        assert_eq!(bonds(text), [bond("BondEthernet0", "xor", &["eth0"], &["eth0", "eth1"])]);
    }

    #[test]
    fn a_member_without_a_partner_is_known_by_its_machine() {
        let mut members = Vec::new();
        let text = include_str!("../../../tests/fixtures/vpp/25.10-healthy/show_lacp.txt");
        for line in text.lines() {
            lacp_line(&mut members, line);
        }
        let lonely = Lacp {
            member: "host-vv3".into(),
            bond: "BondEthernet1".into(),
            rx_state: "DEFAULTED".into(),
            partner: "00-00-00-00-00-00".into(),
        };
        assert_eq!(members, [lonely]);
        assert!(!members[0].current());
        assert!(members[0].may_be_of("BondEthernet1") && !members[0].may_be_of("BondEthernet10"));
    }
}
