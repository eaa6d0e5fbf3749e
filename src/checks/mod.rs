//! The verdicts, one file per monitored object. A check asks the host for facts and judges them;
//! it knows no socket and prints nothing.

pub mod bond;
pub mod bridge;
pub mod device;
pub mod domain;
pub mod instance_communications;
pub mod instance_vnic;
pub mod libvirt_place;
pub mod link;
pub mod list;
pub mod neighbour;
pub mod otep;
pub mod ovs_life;
pub mod ovs_place;
pub mod ovs_port;
pub mod ovs_rules;
pub mod path;
pub mod ping;
pub mod pnic_ovs;
pub mod pnic_vpp;
pub mod vconnector;
pub mod vconnector_vpp;
pub mod vedge_ovs;
pub mod vedge_vpp;
pub mod vm;
pub mod vnic_vconnector;
pub mod vnic_vpp;
pub mod vpp_interfaces;
pub mod vpp_place;
pub mod vservice;

use crate::host::{Host, Trouble, Why};
use crate::plugin::args::DEADLINE;
use crate::plugin::entry::{self, Probe};
use crate::plugin::limit::Limit;
use crate::plugin::past::Past;
use crate::plugin::report::Report;
use crate::plugin::spec::{Code, Spec};
use crate::plugin::status::Status;
use crate::plugin::verdict::Asked;
use crate::plugin::{code, watchdog};
use clap::Args;
use std::fmt::Debug;
use std::mem::ManuallyDrop;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One check.
pub trait Check {
    /// What its manifest entry says.
    const SPEC: &'static Spec;
    /// Its own arguments.
    type Args: Args + Debug;
    /// What it asks the host for.
    type Facts;

    /// The deadline where `--timeout` says none.
    fn deadline(_args: &Self::Args) -> Duration {
        DEADLINE
    }
    /// Takes a limit in the check's own notation; most have none.
    ///
    /// # Errors
    /// What is wrong with it.
    fn own_limit(_args: &mut Self::Args, _status: Status, text: &str) -> Result<(), String> {
        text.parse::<Limit>().map(drop)
    }
    /// Asks the host, and only that.
    fn gather(args: &Self::Args, host: &Host) -> Self::Facts;
    /// The same for a check whose questions cost the daemon something: told what is asked for
    /// beyond the verdict.
    fn gather_asked(args: &Self::Args, _asked: &Asked, host: &Host) -> Self::Facts {
        Self::gather(args, host)
    }
    /// Judges facts: no I/O, no clock, no environment.
    fn judge(facts: &Self::Facts, args: &Self::Args, past: &Past) -> Report;
}

/// Runs a check: the whole `main` of its binary.
pub fn run<C: Check>() -> ExitCode {
    entry::run::<Call<C>>()
}

/// A check as the entry point calls it.
struct Call<C>(C);

impl<C: Check> Probe for Call<C> {
    const SPEC: &'static Spec = C::SPEC;
    type Args = C::Args;

    /// The same words may mean other objects in another namespace or for another Open vSwitch.
    fn object_set(args: &C::Args) -> String {
        let netns = std::fs::metadata("/proc/self/ns/net").map_or(0, |netns| netns.ino());
        format!("{args:?} {netns} {:?}", std::env::var_os("OVS_RUNDIR"))
    }

    fn deadline(args: &C::Args) -> Duration {
        C::deadline(args)
    }

    fn own_limit(args: &mut C::Args, status: Status, text: &str) -> Result<(), String> {
        C::own_limit(args, status, text)
    }

    fn look(args: &C::Args, asked: &Asked, until: Instant, past: &Past) -> Report {
        let host = Host::new(until, watchdog::waiting_for);
        // The process ends soon: facts about thousands of objects are not given back piece by piece.
        let facts = ManuallyDrop::new(C::gather_asked(args, asked, &host));
        C::judge(&facts, args, past)
    }
}

/// The code and the sentence for a question without an answer, where the check has no better one:
/// silence is CRITICAL, what we may not see or cannot read is UNKNOWN.
fn without_answer(trouble: &Trouble, remedy: &str) -> (&'static Code, String) {
    match &trouble.why {
        Why::Forbidden => (&code::FORBIDDEN, format!("{trouble}; {remedy}")),
        Why::Silent(_) | Why::HungUp | Why::Unreachable(_) => (&code::TIMEOUT, trouble.to_string()),
        _ => (&code::UNREADABLE, trouble.to_string()),
    }
}
