//! The vNICs of an instance are seen as neighbours by the services of their networks.

use crate::checks::Check;
use crate::checks::neighbour::{self, Facts, LookArgs, Pairs, Words};
use crate::host::Host;
use crate::host::neighbour::State;
use crate::manifest::check_instance_communications::{SPEC, code, fact, metric};
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::Spec;
use crate::plugin::text::count;

/// See [`SPEC`].
pub struct InstanceCommunications;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Namespace and MAC of each vNIC (quote it: `;` ends a shell command)
    #[arg(required = true, value_name = "NS,MAC[;NS,MAC...]")]
    pub pairs: Vec<Pairs>,
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

impl Check for InstanceCommunications {
    const SPEC: &'static Spec = &SPEC;
    type Args = Args;
    type Facts = Facts;

    fn gather(args: &Args, host: &Host) -> Facts {
        let pairs = args.pairs.iter().flat_map(|pairs| pairs.0.iter().cloned()).collect();
        neighbour::gather(&pairs, &args.look, host)
    }

    fn judge(facts: &Facts, _args: &Args, _past: &Past) -> Report {
        let mut report = Report::about(count(facts.vnics.len(), "vNIC"));
        neighbour::judge(&mut report, facts, &WORDS);
        report
    }
}
