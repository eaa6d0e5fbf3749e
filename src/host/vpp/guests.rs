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
