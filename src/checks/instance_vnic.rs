//! One vNIC of an instance is seen as a neighbour by a service of its network.

use crate::checks::Check;
use crate::checks::neighbour::{self, Facts, LookArgs, Pair, Words};
use crate::host::Host;
use crate::host::mac::Mac;
use crate::host::neighbour::State;
use crate::host::netns::NetnsName;
use crate::manifest::check_instance_vnic::{SPEC, code, fact, metric};
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use std::collections::BTreeSet;

/// See [`SPEC`].
pub struct InstanceVnic;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Namespace: a name in /run/netns (qdhcp-UUID, qrouter-UUID, ...)
    #[arg(value_name = "NS")]
    pub netns: NetnsName,
    /// MAC address of the vNIC
    pub mac: Mac,
    /// How neighbours are looked for.
    #[command(flatten)]
    pub look: LookArgs,
}

const WORDS: Words = Words {
    absent: code::ABSENT,
    stale: code::STALE,
    no_propagation: code::NO_PROPAGATION,
    not_seen: code::NOT_SEEN,
    incomplete: code::INCOMPLETE,
    failed: code::FAILED,
    wrong_mac: code::WRONG_MAC,
    complete: metric::COMPLETE,
    confirmed_age: metric::CONFIRMED_AGE,
    counts: [
        (State::Reachable, metric::REACHABLE),
        (State::Stale, metric::STALE),
        (State::Delay, metric::DELAY),
        (State::Probe, metric::PROBE),
        (State::Permanent, metric::PERMANENT),
        (State::Noarp, metric::NOARP),
        (State::Incomplete, metric::INCOMPLETE),
        (State::Failed, metric::FAILED),
    ],
    state: fact::STATE.name,
};

impl Check for InstanceVnic {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Facts;

    fn gather(args: &Args, host: &Host) -> Facts {
        let pair = Pair { netns: args.netns.clone(), mac: args.mac };
        neighbour::gather(&BTreeSet::from([pair]), &args.look, host)
    }

    fn judge(facts: &Facts, args: &Args, _past: &Past) -> Report {
        let mut report = Report::about(args.mac.to_string());
        neighbour::judge(&mut report, facts, &WORDS);
        report
    }
}
