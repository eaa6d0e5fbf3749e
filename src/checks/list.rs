//! All checks, for who describes them or runs many in one process. A binary that runs one must not
//! name this list: it would carry them all.

use crate::checks::{self, Call, Check};
use crate::plugin::args;
use crate::plugin::entry::{self, Said};
use crate::plugin::spec::Spec;
use clap::Command;
use std::ffi::OsString;
use std::time::Instant;

/// A check, whichever it is.
#[derive(Debug, Clone, Copy)]
pub struct Any {
    /// What its manifest entry says.
    pub spec: &'static Spec,
    /// Its command line.
    pub command: fn() -> Command,
    /// What it says to a command line, until a moment at the latest.
    pub said: fn(&[OsString], Instant) -> Said,
}

const fn any<C: Check>() -> Any {
    Any { spec: C::SPEC, command: command::<C>, said: entry::said::<Call<C>> }
}

fn command<C: Check>() -> Command {
    args::command::<C::Args>(C::SPEC)
}

/// By name, as `checks-manifest/` has them.
pub static ALL: &[Any] = &[
    any::<checks::instance_communications::InstanceCommunications>(),
    any::<checks::instance_vnic::InstanceVnic>(),
    any::<checks::link::CheckLink>(),
    any::<checks::otep::Otep>(),
    any::<checks::ovs_port::OvsPort>(),
    any::<checks::ping::Ping>(),
    any::<checks::pnic_ovs::PnicOvs>(),
    any::<checks::pnic_vpp::PnicVpp>(),
    any::<checks::vconnector::Vconnector>(),
    any::<checks::vedge_ovs::VedgeOvs>(),
    any::<checks::vedge_vpp::VedgeVpp>(),
    any::<checks::vm::Vm>(),
    any::<checks::vnic_vconnector::VnicVconnector>(),
    any::<checks::vnic_vpp::VnicVpp>(),
    any::<checks::vservice::Vservice>(),
];

/// The check of this name.
pub fn named(name: &str) -> Option<&'static Any> {
    ALL.iter().find(|any| any.spec.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::SPECS;

    #[test]
    fn every_check_of_the_manifest_is_listed() {
        let listed: Vec<_> = ALL.iter().map(|any| any.spec.name).collect();
        let all: Vec<_> = SPECS.iter().map(|spec| spec.name).collect();
        assert_eq!(listed, all);
    }
}
