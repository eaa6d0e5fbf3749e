//! What this machine can be asked: one file per kernel or daemon interface. Typed facts, and
//! errors that say what was asked of whom. Knows no check and no exit code.

pub mod dnsmasq;
pub mod fdb;
pub mod foothold;
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
pub mod trace;
pub mod trouble;
pub mod unixctl;
pub mod vpp;
pub mod vxlan;
pub mod window;
pub mod words;

use std::time::{Duration, Instant};
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

    /// Seconds since the machine was started, suspended time included.
    pub fn since_boot(&self) -> f64 {
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
            .map_or(0.0, |now| Duration::from(now).as_secs_f64())
    }
}
