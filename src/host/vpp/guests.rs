//! What is at the other end of virtual interfaces: `show vhost-user`, `show memif`. Both stop the
//! workers.

use super::session::{Said, Session};
use crate::host::Trouble;

/// The far end of a virtual interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guest {
    /// The interface.
    pub name: String,
    /// `vhost-user` or `memif`.
    pub kind: &'static str,
    /// The socket they meet at.
    pub socket: Option<String>,
    /// Our part: `server` or `client`, `master` or `slave`.
    pub role: Option<&'static str>,
    /// Whether the other end is there.
    pub connected: bool,
    /// Queues that are enabled.
    pub queues: Option<u64>,
    /// Slots of a ring.
    pub ring: Option<u64>,
}

impl Session<'_> {
    /// All vhost-user interfaces; `None` where VPP does not know the command.
    ///
    /// # Errors
    /// As [`Session::text`].
    pub fn vhost_guests(&mut self) -> Result<Option<Vec<Guest>>, Trouble> {
        let mut guests = Vec::new();
        let said =
            self.text("show vhost-user", false, &mut |line| vhost_line(&mut guests, line))?;
        Ok((said == Said::Asked).then_some(guests))
    }

    /// All memif interfaces; `None` where VPP does not know the command.
    ///
    /// # Errors
    /// As [`Session::text`].
    pub fn memif_guests(&mut self) -> Result<Option<Vec<Guest>>, Trouble> {
        let mut reader = MemifReader::default();
        let said = self.text("show memif", true, &mut |line| reader.take(line))?;
        Ok((said == Said::Asked).then_some(reader.guests))
    }
}

/// The number behind a word: `Memory regions (total 2)`, `ring-size 1024`.
fn number_after(line: &str, word: &str) -> Option<u64> {
    let (_, rest) = line.split_once(word)?;
    let digits = rest.trim_start();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

fn vhost_line(guests: &mut Vec<Guest>, line: &str) -> bool {
    let text = line.trim();
    if let Some(rest) = text.strip_prefix("Interface: ") {
        let name = rest.split_once(" (ifindex").map_or(rest, |(name, _)| name);
        guests.push(Guest {
            name: name.to_owned(),
            kind: "vhost-user",
            queues: Some(0),
            ..Guest::default()
        });
        return true;
    }
    let Some(guest) = guests.last_mut() else {
        return text.starts_with("Virtio vhost-user") || text.starts_with("Global:");
    };
    if let Some(rest) = text.strip_prefix("socket filename ") {
        let (socket, rest) = rest.split_once(" type ").unwrap_or((rest, ""));
        guest.socket = Some(socket.to_owned());
        guest.role = ["server", "client"].into_iter().find(|role| rest.starts_with(role));
    } else if let Some(regions) = number_after(text, "Memory regions (total ") {
        // A guest that has shown its memory is one that is there.
        guest.connected = regions > 0;
    } else if text.starts_with("Virtqueue ") && !text.contains("disabled") {
        guest.queues = guest.queues.map(|queues| queues + 1);
    }
    true
}

#[derive(Default)]
struct MemifReader {
    sockets: Vec<(String, String)>,
    guests: Vec<Guest>,
}

impl MemifReader {
    fn take(&mut self, line: &str) -> bool {
        let text = line.trim();
        if let Some(name) = text.strip_prefix("interface ") {
            let name = name.trim().to_owned();
            self.guests.push(Guest { name, kind: "memif", ..Guest::default() });
            return true;
        }
        let Some(guest) = self.guests.last_mut() else { return self.socket(text) };
        if let Some(flags) = text.strip_prefix("flags") {
            let has = |flag| flags.split_ascii_whitespace().any(|word| word == flag);
            guest.connected = has("connected");
            guest.role = Some(if has("slave") { "slave" } else { "master" });
        } else if let Some(id) = number_after(text, "socket-id ") {
            let id = id.to_string();
            let socket = self.sockets.iter().find(|(known, _)| *known == id);
            guest.socket = socket.map(|(_, path)| path.clone());
        } else if let Some((_, path)) = text.split_once(" file ") {
            guest.socket = Some(path.to_owned());
        } else if let Some(rings) = number_after(text, "num-s2m-rings ") {
            let back = number_after(text, "num-m2s-rings ").unwrap_or(0);
            guest.queues = Some(rings.saturating_add(back));
        }
        guest.ring = number_after(text, "ring-size ").or(guest.ring);
        true
    }

    /// `0   yes (1)     /run/vpp/memif.sock`, under `sockets` and a header.
    fn socket(&mut self, text: &str) -> bool {
        if text == "sockets" || text.starts_with("id ") {
            return true;
        }
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next_back()) {
            (Some(id), Some(path)) if id.parse::<u64>().is_ok() => {
                self.sockets.push((id.to_owned(), path.to_owned()));
                true
            }
            _ => false,
        }
    }
}

#[cfg(any(test, fuzzing))]
pub(super) fn read_all(lines: &[String]) {
    let mut reader = MemifReader::default();
    let mut guests = Vec::new();
    for line in lines {
        reader.take(line);
        vhost_line(&mut guests, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vhost(text: &str) -> Vec<Guest> {
        let mut guests = Vec::new();
        for line in text.lines() {
            vhost_line(&mut guests, line);
        }
        guests
    }

    #[test]
    fn a_vhost_guest_is_there_once_it_has_shown_its_memory() {
        let text = include_str!("../../../tests/fixtures/vpp/25.10-healthy/show_vhost-user.txt");
        let text = text.replace('\r', "");
        let guests = vhost(&text);
        let first = Guest {
            name: "VirtualEthernet0/0/0".into(),
            kind: "vhost-user",
            socket: Some("/run/vpp/vhost0.sock".into()),
            role: Some("server"),
            connected: false,
            queues: Some(0),
            ring: None,
        };
        assert_eq!((guests.len(), &guests[0]), (2, &first));
        // The lines of a connected one, written from VPP's sources.
        let there = text.replacen(
            " Memory regions (total 0)\n",
            " Memory regions (total 2)\n region fd    guest_phys_addr\n ====== =====\n  0     55    0x0\n\n \
             Virtqueue 0 (TX)\n  qsz 256 last_avail_idx 0 last_used_idx 0\n\n \
             Virtqueue 1 (RX)\n  qsz 256\n\n Virtqueue 2 (TX disabled)\n  qsz 256\n",
            1,
        );
        let there = there.replacen("vhost0.sock type server", "vhost0.sock type client", 1);
        let guests = vhost(&there);
        let first = Guest { connected: true, queues: Some(2), role: Some("client"), ..first };
        assert_eq!(guests[0], first);
        assert!(!guests[1].connected);
    }

    #[test]
    fn a_memif_says_its_role_and_whether_it_is_connected() {
        let memif = |text: &str| {
            let mut reader = MemifReader::default();
            for line in text.lines() {
                reader.take(line);
            }
            reader.guests
        };
        let text = include_str!("../../../tests/fixtures/vpp/25.10-healthy/show_memif.txt");
        let master = Guest {
            name: "memif0/0".into(),
            kind: "memif",
            socket: Some("/run/vpp/memif.sock".into()),
            role: Some("master"),
            connected: false,
            queues: Some(0),
            ring: None,
        };
        assert_eq!(memif(text), std::slice::from_ref(&master));
        // A connected one, written from VPP's sources: of today, and of 17.10.
        let today = text
            .replace("flags admin-up", "flags admin-up slave connected")
            .replace("num-s2m-rings 0 num-m2s-rings 0", "num-s2m-rings 1 num-m2s-rings 1")
            + "  slave-to-master ring 0:\n    region 0 offset 0 ring-size 1024 int-fd 24\n";
        let slave = Guest {
            role: Some("slave"),
            connected: true,
            queues: Some(2),
            ring: Some(1024),
            ..master
        };
        assert_eq!(memif(&today), std::slice::from_ref(&slave));
        let old = "interface memif0/0\n  remote-name \"x\"\n  id 0 mode ethernet file /run/vpp/memif.sock\n  \
                   flags admin-up slave connected\n  listener-fd 0 conn-fd 21\n  \
                   num-s2m-rings 1 num-m2s-rings 1 buffer-size 2048\n  ring-size 1024\n";
        assert_eq!(memif(old), [slave]);
    }
}
