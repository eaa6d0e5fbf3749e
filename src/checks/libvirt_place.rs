//! Which libvirt a check is about: the arguments that every check of a domain has.

use crate::host::libvirt::Place;
use crate::host::libvirt::uri::Uri;
use crate::host::words;
use crate::rights;
use std::path::PathBuf;

/// Where a libvirt is, for every check of a domain.
#[derive(Debug, clap::Args)]
#[group(id = "libvirt-place")]
pub struct PlaceArgs {
    /// What libvirt is asked to open
    #[arg(long, default_value = "qemu:///system")]
    pub uri: Uri,
    /// libvirt's socket [default: in /run/libvirt]
    #[arg(long, value_name = "PATH", value_parser = words::absolute)]
    pub socket: Option<PathBuf>,
}

impl PlaceArgs {
    /// The place.
    pub fn place(&self) -> Place {
        Place { uri: self.uri.clone(), socket: self.socket.clone() }
    }

    /// Lays down all rights: libvirt's sockets take none. Where a socket is the caller's, for good, though
    /// there be another look.
    pub fn lay_down_rights(&self) {
        if self.socket.is_some() || self.uri.names_a_socket() {
            rights::give_up_all();
        } else {
            rights::renounce();
        }
    }
}
