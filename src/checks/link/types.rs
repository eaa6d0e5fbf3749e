//! The link types of Calipso's model that a host can see: what their ends are, and what may lie
//! between them.

use super::graph::{How, What};
use std::fmt;
use std::str::FromStr;

/// A link type.
#[derive(Debug)]
pub(super) struct Type {
    /// `vnic-vedge`.
    pub(super) name: &'static str,
    pub(super) from: End,
    pub(super) to: End,
    /// What may lie between the ends.
    through: &'static [What],
    /// How neighbours may be joined.
    by: &'static [How],
    /// Guests are on the side of FROM: packets may not become smaller from there on.
    pub(super) guest_first: bool,
}

/// What an end of a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A domain of libvirt.
    Domain,
    /// The device or port of a vNIC.
    Vnic,
    /// A bridge of the kernel or of Open vSwitch.
    Bridge,
    /// A bridge of Open vSwitch.
    Vedge,
    /// A network namespace.
    Netns,
    /// A device.
    Nic,
    /// A tunnel: its name, its remote or its local address.
    Otep,
    /// A VLAN.
    Vlan,
    /// Whatever has the name.
    Any,
}

/// What switches Ethernet frames, and what they pass in between.
const ON: &[What] = &[What::Device, What::Port, What::Bond, What::Bridge, What::Vedge];
const ON_BY: &[How] =
    &[How::Enslaved, How::Plugged, How::Peers, How::Patch, How::Member, How::Lower];
const CABLES: &[What] = &[What::Device, What::Port, What::Bond];

/// All types, in one direction. A test compares them with the table in the manifest.
pub(super) const TYPES: &[Type] = &[
    Type {
        name: "instance-vnic",
        from: End::Domain,
        to: End::Vnic,
        through: &[],
        by: &[How::Vnic],
        guest_first: true,
    },
    Type {
        name: "vservice-vnic",
        from: End::Netns,
        to: End::Vnic,
        through: &[What::Device, What::Hidden],
        by: &[How::Inside, How::Leads, How::Peers],
        guest_first: true,
    },
    Type {
        name: "vnic-vconnector",
        from: End::Vnic,
        to: End::Bridge,
        through: CABLES,
        by: &[How::Enslaved, How::Plugged, How::Peers],
        guest_first: true,
    },
    Type {
        name: "vnic-vedge",
        from: End::Vnic,
        to: End::Vedge,
        through: &[What::Device, What::Port, What::Bridge, What::TrunkBridge],
        by: &[How::Enslaved, How::Plugged, How::Peers, How::Patch],
        guest_first: true,
    },
    Type {
        name: "vconnector-vedge",
        from: End::Bridge,
        to: End::Vedge,
        through: CABLES,
        by: ON_BY,
        guest_first: true,
    },
    Type {
        name: "vconnector-host_pnic",
        from: End::Bridge,
        to: End::Nic,
        through: ON,
        by: ON_BY,
        guest_first: true,
    },
    Type {
        name: "vedge-host_pnic",
        from: End::Vedge,
        to: End::Nic,
        through: ON,
        by: ON_BY,
        guest_first: true,
    },
    Type {
        name: "host_pnic-network",
        from: End::Nic,
        to: End::Vlan,
        through: &[What::Device],
        by: &[How::Member, How::Lower, How::Carries],
        guest_first: false,
    },
    Type {
        name: "vedge-otep",
        from: End::Vedge,
        to: End::Otep,
        through: &[What::Port, What::Vedge, What::Device],
        by: &[How::Plugged, How::Patch, How::Remote],
        guest_first: true,
    },
    Type {
        name: "otep-vconnector",
        from: End::Otep,
        to: End::Bridge,
        through: &[What::Port, What::Device],
        by: &[How::Remote, How::Enslaved, How::Plugged],
        guest_first: false,
    },
    Type {
        name: "otep-host_pnic",
        from: End::Otep,
        to: End::Nic,
        through: ON,
        by: &[
            How::Remote,
            How::Local,
            How::Routed,
            How::Enslaved,
            How::Plugged,
            How::Peers,
            How::Patch,
            How::Member,
            How::Lower,
        ],
        guest_first: true,
    },
];

/// `path`: any ends, any number of hops.
static PATH: Type = Type {
    name: "path",
    from: End::Any,
    to: End::Any,
    through: &[
        What::Device,
        What::Port,
        What::Bond,
        What::Bridge,
        What::Vedge,
        What::TrunkBridge,
        What::Hidden,
    ],
    by: &[
        How::Enslaved,
        How::Plugged,
        How::Peers,
        How::Patch,
        How::Member,
        How::Lower,
        How::Inside,
        How::Leads,
        How::Vnic,
        How::Remote,
        How::Local,
        How::Routed,
        How::Carries,
    ],
    guest_first: true,
};

/// A link type as it was written: in the direction of the table, or reversed.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub(super) kind: &'static Type,
    pub(super) reversed: bool,
}

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == PATH.name {
            return Ok(Self { kind: &PATH, reversed: false });
        }
        let turned = |name: &str| name.split_once('-').map(|(a, b)| format!("{b}-{a}"));
        let known = |kind: &&Type| kind.name == text || turned(kind.name).as_deref() == Some(text);
        match TYPES.iter().find(known) {
            Some(kind) => Ok(Self { kind, reversed: kind.name != text }),
            None => Err("no such link type: --help has a table of them".to_owned()),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name)
    }
}

impl Type {
    /// Whether something may lie between the ends.
    pub(super) fn passes(&self, what: What) -> bool {
        // A bridge of a trunk is one of Open vSwitch, too.
        let vedge = what == What::TrunkBridge && self.through.contains(&What::Vedge);
        vedge || self.through.contains(&what)
    }

    /// Whether neighbours may be joined like this.
    pub(super) fn joins(&self, how: How) -> bool {
        self.by.contains(&how)
    }

    /// Whether it is `path`.
    pub(super) fn is_path(&self) -> bool {
        self.from == End::Any
    }

    /// Whether either end is of a kind, or may be.
    pub(super) fn has(&self, end: End) -> bool {
        [self.from, self.to].iter().any(|own| *own == end || *own == End::Any)
    }

    /// Whether Open vSwitch may have a part of it.
    pub(super) fn may_be_of_ovs(&self) -> bool {
        self.by.iter().any(|how| {
            matches!(how, How::Plugged | How::Patch | How::Remote | How::Local | How::Carries)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::check_link::SPEC;

    #[test]
    fn a_type_is_known_in_both_directions() {
        let link: Link = "vnic-vedge".parse().expect("a type");
        assert_eq!((link.kind.name, link.reversed), ("vnic-vedge", false));
        let link: Link = "host_pnic-vconnector".parse().expect("a type");
        assert_eq!((link.kind.name, link.reversed), ("vconnector-host_pnic", true));
        for bad in ["", "vnic", "vnic-", "-vnic", "vnic-vnic", "vedge-instance", "path-path"] {
            assert!(bad.parse::<Link>().is_err(), "{bad}");
        }
    }

    #[test]
    fn help_and_manifest_have_every_type() {
        let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
        let told: Vec<String> = SPEC.details.lines().skip(1).filter_map(first).collect();
        let mut known: Vec<&str> = TYPES.iter().map(|kind| kind.name).collect();
        known.push(PATH.name);
        assert_eq!(told, known);
    }
}
