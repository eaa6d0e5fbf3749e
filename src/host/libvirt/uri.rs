//! Where a libvirt is and what it is asked to open: libvirt's URIs, as far as they name a daemon of
//! this machine.

use crate::host::words::absolute;
use std::path::PathBuf;
use std::str::FromStr;

/// A connection of libvirt: `DRIVER[+unix]:///PATH[?socket=PATH]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// What the daemon is asked to open, without transport and socket: `qemu:///system`.
    pub name: String,
    /// The driver: `qemu`, `lxc`, `xen`, `test`.
    pub driver: String,
    /// The socket it names.
    socket: Option<PathBuf>,
}

/// Where libvirt's daemons listen; older systems have a `/var/run` of its own.
const RUNDIRS: [&str; 2] = ["/run/libvirt", "/var/run/libvirt"];

impl Uri {
    /// Whether it says where the daemon listens.
    pub const fn names_a_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// The sockets to try, in this order: the driver's own daemon, then the one for all drivers.
    pub fn sockets(&self) -> Vec<PathBuf> {
        if let Some(socket) = &self.socket {
            return vec![socket.clone()];
        }
        let modular = match self.driver.as_str() {
            "qemu" => Some("virtqemud-sock-ro"),
            "lxc" => Some("virtlxcd-sock-ro"),
            "xen" => Some("virtxend-sock-ro"),
            "ch" => Some("virtchd-sock-ro"),
            "vbox" => Some("virtvboxd-sock-ro"),
            "vz" => Some("virtvzd-sock-ro"),
            _ => None,
        };
        let names = modular.into_iter().chain(["libvirt-sock-ro"]);
        let in_dir = |dir| names.clone().map(move |name| PathBuf::from(dir).join(name));
        RUNDIRS.into_iter().flat_map(in_dir).collect()
    }
}

impl FromStr for Uri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("'{text}' {why}");
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(bad("is no libvirt URI: write DRIVER:///PATH, for example qemu:///system"));
        };
        let driver = match scheme.split_once('+') {
            None => scheme,
            Some((driver, "unix")) => driver,
            Some(_) => return Err(bad("names another transport than unix")),
        };
        if driver.is_empty() || !driver.bytes().all(|b| b.is_ascii_lowercase()) {
            return Err(bad("names no driver"));
        }
        let (path, query) = rest.split_once('?').map_or((rest, None), |(p, q)| (p, Some(q)));
        if !path.starts_with('/') {
            return Err(bad("names another host: run the check there"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "/_.:@+,=-".contains(c);
        if path.len() > 1024 || !path.chars().all(plain) {
            return Err(bad("has no plain path"));
        }
        let socket = match query.map(|query| query.split_once('=')) {
            None => None,
            Some(Some(("socket", socket))) => Some(absolute(socket)?),
            Some(_) => return Err(bad("has another parameter than socket=PATH")),
        };
        if path == "/session" && socket.is_none() {
            return Err(bad("is a user's own libvirt: name its socket with --socket"));
        }
        Ok(Self { name: format!("{driver}://{path}"), driver: driver.to_owned(), socket })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_uri_is_a_name_for_the_daemon_and_sockets_to_try() {
        let first = |text: &str| {
            let uri: Uri = text.parse().expect("a URI");
            (uri.name.clone(), uri.sockets()[0].to_string_lossy().into_owned())
        };
        let named = |name: &str, socket: &str| (name.to_owned(), socket.to_owned());
        for (text, expected) in [
            ("qemu:///system", named("qemu:///system", "/run/libvirt/virtqemud-sock-ro")),
            ("lxc:///", named("lxc:///", "/run/libvirt/virtlxcd-sock-ro")),
            ("xen:///", named("xen:///", "/run/libvirt/virtxend-sock-ro")),
            ("test:///default", named("test:///default", "/run/libvirt/libvirt-sock-ro")),
            ("test+unix:///a/node.xml?socket=/s", named("test:///a/node.xml", "/s")),
            ("qemu:///session?socket=/s", named("qemu:///session", "/s")),
        ] {
            assert_eq!(first(text), expected, "{text}");
        }
    }

    #[test]
    fn the_daemon_for_all_drivers_is_tried_after_the_drivers_own() {
        let uri: Uri = "qemu:///system".parse().expect("a URI");
        let sockets = uri.sockets();
        assert_eq!(sockets[1], Path::new("/run/libvirt/libvirt-sock-ro"));
        assert_eq!(sockets[2], Path::new("/var/run/libvirt/virtqemud-sock-ro"));
        assert_eq!(sockets.len(), 4);
    }

    #[test]
    fn what_is_elsewhere_or_no_uri_is_refused() {
        for bad in [
            "",
            "qemu",
            "qemu:/system",
            ":///system",
            "Q:///system",
            "+unix:///system",
            "qemu://host/system",
            "qemu+ssh:///system",
            "qemu+ssh://root@host/system",
            "qemu:///system?socket=relative",
            "qemu:///system?mode=legacy",
            "qemu:///system?socket",
            "qemu:///a b",
            "qemu:///a|b",
            "qemu:///session",
        ] {
            assert!(bad.parse::<Uri>().is_err(), "{bad}");
        }
    }
}
