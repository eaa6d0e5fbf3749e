//! Checkmk: `mrpe.cfg` of each host's agent, which runs the commands by itself.

use crate::provision::emit::{Content, Programs, Tree};
use crate::provision::plan::{HostPlan, Plan};

/// The files.
pub fn files(plan: &Plan, programs: &Programs) -> Tree {
    let file = |host: &HostPlan| {
        let line = |(name, check)| format!("{name} {}\n", programs.line(check));
        let text: String = host.checks.iter().map(line).collect();
        (format!("host/{}/mrpe.cfg", host.directory), Content::of(text, host))
    };
    plan.hosts.values().map(file).collect()
}
