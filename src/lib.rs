//! Sensu check plugins for hosts of virtual infrastructures.
//!
//! Data flows one way: argv, `gather` (asks the [`host`]), `judge` (pure), a
//! [`plugin::report::Report`], a format, stdout and an exit code. A check is one file in
//! [`checks`], one tiny binary, one entry of `checks-manifest/`.

pub mod checks;
pub mod doctor;
pub mod host;
pub mod manifest;
pub mod plugin;
pub mod provision;
pub mod rights;
pub mod sweep;
