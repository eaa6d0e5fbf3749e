//! The contract with the monitoring system: one vocabulary, one output, one deadline for every
//! check. Nothing in here knows what a check looks at.

pub mod args;
pub mod code;
pub mod entry;
pub mod format;
pub mod limit;
pub mod past;
pub mod report;
pub mod spec;
pub mod status;
pub mod text;
pub mod verdict;
pub mod watchdog;
