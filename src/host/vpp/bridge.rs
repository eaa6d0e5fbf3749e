//! A bridge domain of VPP and its members: `show bridge-domain ID detail`, which stops the workers
//! while it prints the one.

use super::NoAnswer;
use super::interfaces::{Interface, Wanted};
use super::session::{Place, Session, refusal};
use crate::host::{Host, Trouble};

/// One bridge domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BridgeDomain {
    /// Its number.
    pub id: u32,
    /// Whether it learns addresses; absent where this VPP does not say.
    pub learns: Option<bool>,
    /// Whether it forwards unicast.
    pub forwards: Option<bool>,
    /// Whether it floods broadcast and multicast.
    pub floods: Option<bool>,
    /// What it does with unknown unicast: `flood`, `drop`, or an interface; `on` and `off` in 17.x.
    pub unknown_unicast: Option<String>,
    /// Minutes after which a silent address is forgotten; absent where addresses do not age.
    pub age_minutes: Option<u64>,
    /// Addresses it has learned.
    pub learned: Option<u64>,
    /// The interface of the host's own side, if there is one.
    pub bvi: Option<String>,
    /// Its members.
    pub members: Vec<Member>,
}

/// One member of a bridge domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, at most 30 bytes of it.
    pub name: String,
    /// Its software index.
    pub index: u32,
    /// Split horizon group: members of one other than 0 do not reach each other.
    pub split_horizon: Option<u32>,
}

/// A bridge domain with the states of its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// The domain.
    pub domain: BridgeDomain,
    /// Its members' states, in VPP's order; one that vanished meanwhile is missing.
    pub interfaces: Vec<Interface>,
}

impl Host {
    /// A bridge domain of a VPP with the states of its members; `None` if there is no such domain.
    ///
    /// # Errors
    /// There is no VPP, it does not answer in time, or something else does.
    pub fn vpp_bridge(&self, place: &Place, id: u32) -> Result<Option<Bridge>, Box<NoAnswer>> {
        let mut session = Session::new(place, self);
        let bridge = session.bridge(id);
        bridge.map_err(|trouble| Box::new(session.no_answer(trouble)))
    }
}

impl Session<'_> {
    fn bridge(&mut self, id: u32) -> Result<Option<Bridge>, Trouble> {
        let Some(domain) = self.bridge_domain(id)? else { return Ok(None) };
        if domain.members.is_empty() {
            return Ok(Some(Bridge { domain, interfaces: Vec::new() }));
        }
        // Names are cut at 30 bytes here, and there are few others that begin alike.
        let begins_like = |name: &str| domain.members.iter().any(|m| name.starts_with(&m.name));
        let mut interfaces = self.interfaces(&Wanted::Matching(&begins_like), 0)?;
        interfaces.found.retain(|row| domain.members.iter().any(|m| m.index == row.index));
        Ok(Some(Bridge { domain, interfaces: interfaces.found }))
    }

    /// One bridge domain; `None` if there is no such.
    ///
    /// # Errors
    /// As [`Session::ask`], and where the reply is none about a bridge domain.
    pub fn bridge_domain(&mut self, id: u32) -> Result<Option<BridgeDomain>, Trouble> {
        let command = format!("show bridge-domain {id} detail");
        let mut reader = Reader::default();
        let answer = self.ask(&command, &mut |line| reader.take(line))?;
        match reader.domain {
            Some(domain) if domain.id == id => Ok(Some(domain)),
            None if reader.absent => Ok(None),
            _ => Err(self.unreadable(&command, &answer.first)),
        }
    }
}

/// The domain's own table has one row; that of its members follows.
#[derive(Default)]
struct Reader {
    header: Vec<String>,
    members: bool,
    domain: Option<BridgeDomain>,
    absent: bool,
}

impl Reader {
    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.first() {
            // `ID` until 17.10.
            Some(&("BD-ID" | "ID")) => {
                self.header = words.iter().map(|&word| word.to_owned()).collect();
            }
            Some(&"Interface") => {
                self.header = words.iter().map(|&word| word.to_owned()).collect();
                self.members = true;
            }
            Some(_) if self.members => {
                let member = self.member(&words);
                if let (Some(domain), Some(member)) = (&mut self.domain, member) {
                    domain.members.push(member);
                }
            }
            Some(_) if self.domain.is_none() && !self.header.is_empty() => {
                self.domain = self.domain(&words);
            }
            Some(_) if self.header.is_empty() => {
                let unknown = line.contains("No such bridge domain")
                    || line.contains("No operations on the default bridge domain")
                    || (line.contains("bridge-domain") && line.contains("not in use"));
                self.absent |= unknown && refusal(line).is_none();
            }
            _ => {}
        }
    }

    fn column<'w>(&self, words: &[&'w str], name: &str) -> Option<&'w str> {
        let at = self.header.iter().position(|known| known == name)?;
        words.get(at).copied()
    }

    fn domain(&self, words: &[&str]) -> Option<BridgeDomain> {
        let id = self.column(words, "BD-ID").or_else(|| self.column(words, "ID"))?.parse().ok()?;
        let on = |name| match self.column(words, name) {
            Some("on") => Some(true),
            Some("off") => Some(false),
            _ => None,
        };
        let number = |name| self.column(words, name)?.parse().ok();
        Some(BridgeDomain {
            id,
            learns: on("Learning"),
            forwards: on("U-Forwrd"),
            floods: on("Flooding"),
            unknown_unicast: self.column(words, "UU-Flood").map(str::to_owned),
            age_minutes: number("Age(min)"),
            learned: number("Learn-co"),
            bvi: self.column(words, "BVI-Intf").filter(|name| *name != "N/A").map(str::to_owned),
            members: Vec::new(),
        })
    }

    fn member(&self, words: &[&str]) -> Option<Member> {
        let index = self.column(words, "If-idx").or_else(|| self.column(words, "Index"));
        Some(Member {
            name: (*words.first()?).to_owned(),
            index: index?.parse().ok()?,
            split_horizon: self.column(words, "SHG").and_then(|group| group.parse().ok()),
        })
    }
}

#[cfg(any(test, fuzzing))]
pub(super) fn read_all(lines: &[String]) {
    let mut reader = Reader::default();
    for line in lines {
        reader.take(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Reader {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.take(line));
        reader
    }

    #[test]
    fn a_captured_domain_has_its_members() {
        let text = include_str!(
            "../../../tests/fixtures/vpp/25.10-healthy/show_bridge-domain_10_detail.txt"
        );
        let domain = read(text).domain.expect("a domain");
        let member =
            |name: &str, index| Member { name: name.into(), index, split_horizon: Some(0) };
        let expected = BridgeDomain {
            id: 10,
            learns: Some(true),
            forwards: Some(true),
            floods: Some(true),
            unknown_unicast: Some("flood".into()),
            age_minutes: None,
            learned: Some(0),
            bvi: Some("loop1".into()),
            members: vec![
                member("loop1", 8),
                member("VirtualEthernet0/0/0", 9),
                member("vxlan_tunnel0", 12),
            ],
        };
        assert_eq!(domain, expected);
        let text =
            include_str!("../../../tests/fixtures/vpp/21.06/show_bridge-domain_10_detail.txt");
        assert_eq!(read(text).domain.expect("a domain").members, [member("loop0", 1)]);
    }

    /// As the documentation of 17.x shows it.
    #[test]
    fn a_domain_of_17_x_is_understood() {
        let text = "  ID   Index   Learning   U-Forwrd   UU-Flood   Flooding   ARP-Term     BVI-Intf\n \
            200     1        on         on         on         off        off          N/A\n\n          \
            Interface           Index  SHG  BVI        VLAN-Tag-Rewrite\n  \
            GigabitEthernet0/8/0.200      3     0    -               none\n";
        let domain = read(text).domain.expect("a domain");
        assert_eq!((domain.id, domain.floods, domain.bvi), (200, Some(false), None));
        assert_eq!(domain.members[0].index, 3);
    }

    #[test]
    fn what_does_not_exist_is_absent_and_what_is_no_answer_is_not() {
        let none = include_str!("../../../tests/fixtures/vpp/no-such-bridge-domain.txt");
        for text in [none, "bridge-domain 10 not in use\n"] {
            let reader = read(text);
            assert!(reader.absent && reader.domain.is_none(), "{text}");
        }
        for text in ["", "show: unknown input `bridge-domain 10'\n", "banner\n"] {
            let reader = read(text);
            assert!(!reader.absent && reader.domain.is_none(), "{text}");
        }
    }
}
