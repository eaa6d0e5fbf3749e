//! Which VPP a check is about, what it is asked, and what it means that it does not answer.

use crate::checks::without_answer;
use crate::host::Why;
use crate::host::vpp::{NoAnswer, Place};
use crate::plugin::spec::Code;

/// Where a VPP is, for every check of one.
#[derive(Debug, clap::Args)]
#[group(id = "vpp-place")]
pub struct PlaceArgs {
    /// CLI socket, or ADDRESS:PORT [default: /run/vpp/cli.sock or an older one]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<Place>,
}

impl PlaceArgs {
    /// The place.
    pub fn place(&self) -> Place {
        self.socket.clone().unwrap_or_default()
    }
}

/// What is asked of a VPP beyond the verdict.
#[derive(Debug, clap::Args)]
#[group(id = "vpp-measure")]
pub struct MeasureArgs {
    /// Also measure what stops VPP's workers for a moment
    #[arg(long)]
    pub metrics: bool,
}

/// The codes a check has for a VPP that does not answer.
pub(super) struct LifeCodes {
    /// There is no socket.
    pub(super) no_process: &'static Code,
    /// Nobody listens on it.
    pub(super) refused: &'static Code,
    /// Its process is stopped.
    pub(super) stopped: &'static Code,
}

/// VPP's own socket belongs to `root:vpp`.
const REMEDY: &str = "add the user to group vpp (`unix { gid vpp }` in VPP's startup.conf)";

/// What it means that VPP does not answer.
pub(super) fn no_answer(no: &NoAnswer, codes: &LifeCodes) -> (&'static Code, String) {
    let NoAnswer { trouble, process } = no;
    match (&trouble.why, process) {
        (Why::Absent, _) => {
            (codes.no_process, format!("VPP does not run: no socket {}", trouble.place()))
        }
        (Why::Refused, _) if trouble.place().starts_with('/') => {
            (codes.refused, format!("VPP ended and left its socket {}", trouble.place()))
        }
        (Why::Refused, _) => (codes.refused, format!("nobody listens on {}", trouble.place())),
        (Why::Silent(_), Some(process)) if process.state.cannot_answer() => {
            let (pid, state) = (process.pid, process.state.clause());
            (codes.stopped, format!("VPP (pid {pid}) {state}: {}", trouble.why))
        }
        _ => without_answer(trouble, REMEDY),
    }
}
