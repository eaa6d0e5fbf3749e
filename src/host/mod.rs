//! What this machine can be asked: one file per kernel or daemon interface. Typed facts, and
//! errors that say what was asked of whom. Knows no check and no exit code.

pub mod dnsmasq;
pub mod fdb;
pub mod inside;
pub mod libvirt;
pub mod link;
pub mod mac;
pub mod names;
pub mod neighbour;
pub mod netlink;
pub mod netns;
pub mod neutron;
pub mod nsid;
pub mod ovs;
pub mod ovsdb;
pub mod pidfile;
pub mod ping;
pub mod process;
pub mod procfs;
pub mod route;
pub mod service;
pub mod sockets;
pub mod talk;
pub mod trouble;
pub mod unixctl;
pub mod vxlan;
pub mod window;

use std::time::Instant;
pub use trouble::{Trouble, Why};

/// The one handle to the machine for one run.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// Nothing is waited for beyond this moment.
    pub until: Instant,
    /// Told what is being waited for, before anything that may block.
    pub announce: fn(&str),
}

impl Host {
    /// A handle that waits until a moment at the latest.
    pub const fn new(until: Instant, announce: fn(&str)) -> Self {
        Self { until, announce }
    }
}
