//! One VPP, over its CLI socket: the only interface that is the same from 17.10 on, that a group
//! suffices for, and that a careless client cannot break.

pub mod bonds;
pub mod bridge;
pub mod guests;
pub mod interfaces;
pub mod reply;
pub mod session;
pub mod vitals;

use crate::host::Trouble;
use crate::host::process::{self, Depth, Process};
use crate::host::trouble::Why;
pub use session::{Place, Session};

/// A VPP that does not answer, and what is seen of the process behind its socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer {
    /// Why there is no answer.
    pub trouble: Trouble,
    /// The process, where silence made it worth a look and it can be seen.
    pub process: Option<Process>,
}

impl Session<'_> {
    /// What is to be said of a VPP that gave this trouble.
    pub fn no_answer(&self, trouble: Trouble) -> NoAnswer {
        let silent = matches!(trouble.why, Why::Silent(_));
        let pid = self.peer_pid().filter(|_| silent);
        let process = pid.and_then(|pid| process::look_at(&[pid], Depth::State).remove(&pid));
        NoAnswer { trouble, process }
    }
}
