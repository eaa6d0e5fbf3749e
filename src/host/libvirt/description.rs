//! The vNICs in libvirt's description of a domain: `<domain><devices><interface>`. Of XML only what
//! libvirt writes is read (elements, attributes, comments; no DTD), anything else is an error.

use crate::host::mac::Mac;

/// One vNIC of a domain, as libvirt has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vnic {
    /// Its device on the host: the tap; none while the domain does not run.
    pub target: Option<String>,
    /// The guest's address.
    pub mac: Option<Mac>,
    /// The bridge it was plugged into when it was made.
    pub bridge: Option<String>,
    /// The socket over which a vhost-user vNIC meets its port.
    pub socket: Option<String>,
    /// `interfaceid` of a port of Open vSwitch.
    pub iface_id: Option<String>,
    /// Its cable is unplugged (`<link state='down'/>`).
    pub unplugged: bool,
}

/// What is read of a description, piece by piece.
enum Piece<'x> {
    /// An element, and whether it is empty: `<a/>`.
    Open(&'x str, Attributes<'x>, bool),
    Close(&'x str),
}

type Attributes<'x> = Vec<(&'x str, String)>;

/// The vNICs in a description.
///
/// # Errors
/// What is wrong with it.
pub(super) fn vnics(text: &str) -> Result<Vec<Vnic>, String> {
    let mut within: Vec<&str> = Vec::new();
    let mut vnics = Vec::new();
    let mut rest = text;
    let mut roots = 0;
    while let Some((piece, behind)) = next(rest)? {
        rest = behind;
        match piece {
            Piece::Open(name, attributes, empty) => {
                roots += usize::from(within.is_empty());
                within.push(name);
                take(&mut vnics, &within, &attributes);
                if empty {
                    within.pop();
                }
            }
            Piece::Close(name) if within.last() == Some(&name) => drop(within.pop()),
            Piece::Close(name) => return Err(format!("</{name}> closes nothing")),
        }
    }
    match (within.last(), roots) {
        (None, 1) => Ok(vnics),
        (None, _) => Err("no description of one domain".to_owned()),
        (Some(open), _) => Err(format!("<{open}> is not closed")),
    }
}

/// Keeps what an element says of a vNIC.
fn take(vnics: &mut Vec<Vnic>, within: &[&str], attributes: &[(&str, String)]) {
    let ["domain", "devices", "interface", inner @ ..] = within else { return };
    if inner.is_empty() {
        vnics.push(Vnic::default());
    }
    let Some(vnic) = vnics.last_mut() else { return };
    let value = |name: &str| {
        attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    };
    match inner {
        ["target"] => vnic.target = value("dev"),
        ["mac"] => vnic.mac = value("address").and_then(|mac| mac.parse().ok()),
        ["source"] => (vnic.bridge, vnic.socket) = (value("bridge"), value("path")),
        ["virtualport", "parameters"] => vnic.iface_id = value("interfaceid"),
        ["link"] => vnic.unplugged = value("state").is_some_and(|state| state == "down"),
        _ => {}
    }
}

/// The next start or end of an element, and what is behind it.
fn next(mut rest: &str) -> Result<Option<(Piece<'_>, &str)>, String> {
    loop {
        let Some(at) = rest.find('<') else { return Ok(None) };
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("<!--") {
            rest = past(behind, "-->")?;
        } else if let Some(behind) = rest.strip_prefix("<![CDATA[") {
            rest = past(behind, "]]>")?;
        } else if let Some(behind) = rest.strip_prefix("<?") {
            rest = past(behind, "?>")?;
        } else if rest.starts_with("<!") {
            return Err("a DTD".to_owned());
        } else {
            break;
        }
    }
    let rest = &rest[1..];
    if let Some(rest) = rest.strip_prefix('/') {
        let (name, rest) = name(rest)?;
        let rest = rest.trim_start().strip_prefix('>').ok_or("an end without >")?;
        return Ok(Some((Piece::Close(name), rest)));
    }
    let (name, rest) = name(rest)?;
    let (attributes, rest) = attributes(rest)?;
    let (empty, rest) = rest.strip_prefix('/').map_or((false, rest), |rest| (true, rest));
    let rest = rest.strip_prefix('>').ok_or_else(|| format!("<{name}> without >"))?;
    Ok(Some((Piece::Open(name, attributes, empty), rest)))
}

fn attributes(mut rest: &str) -> Result<(Attributes<'_>, &str), String> {
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with(['/', '>']) {
            return Ok((attributes, rest));
        }
        let (name, behind) = name(rest)?;
        let behind = behind.trim_start().strip_prefix('=').map(str::trim_start);
        let quoted = behind.and_then(|text| {
            let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            text[1..].split_once(quote)
        });
        let (value, behind) = quoted.ok_or_else(|| format!("attribute {name} without a value"))?;
        attributes.push((name, unescaped(value)));
        rest = behind;
    }
}

/// The five entities that XML has of its own; libvirt writes no others in what is read here.
fn unescaped(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    plain.replace("&apos;", "'").replace("&amp;", "&")
}

fn past<'x>(text: &'x str, end: &str) -> Result<&'x str, String> {
    text.find(end).map(|at| &text[at + end.len()..]).ok_or_else(|| format!("no {end}"))
}

fn name(text: &str) -> Result<(&str, &str), String> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || "_:.-".contains(c)));
    match text.split_at(end.unwrap_or(text.len())) {
        ("", _) => Err("an element or attribute without a name".to_owned()),
        parts => Ok(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As libvirt 9.0.0 described it to `virsh dumpxml`.
    const CAPTURED: &str = include_str!("../../../tests/fixtures/libvirt/description.xml");

    #[test]
    fn a_captured_description_is_understood() {
        let found = vnics(CAPTURED).expect("a description");
        let taps: Vec<_> = found.iter().filter_map(|vnic| vnic.target.as_deref()).collect();
        assert_eq!(taps, ["tap1ab-01", "tap2ab-02"]);
        let second = &found[1];
        assert_eq!(second.iface_id.as_deref(), Some("22222222-01aa-4000-8000-000000000001"));
        assert_eq!((found[0].unplugged, second.unplugged), (false, true));
        assert_eq!(found[0].mac, "fa:16:3e:00:00:01".parse().ok());
        assert_eq!(found[0].bridge.as_deref(), Some("qbr1ab-01"));
    }

    /// What else a description may have in it.
    const RUNNING: &str = r#"<domain type='kvm' id='1'>
  <name>vm1</name>
  <metadata><nova:port xmlns:nova="http://x/1" uuid="a&amp;b"/><!-- <interface> --></metadata>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='bridge'>
      <mac address='fa:16:3e:00:00:01'/>
      <source bridge='qbr1ab-01'/>
      <target dev='tap1ab-01'/>
      <model type='virtio'/>
      <alias name='net0'/>
    </interface>
    <interface type="bridge">
      <mac address="FA:16:3E:00:00:02" />
      <source bridge="br-int"/>
      <virtualport type='openvswitch'>
        <parameters interfaceid='1ab00002-02aa-4000-8000-000000000002'/>
      </virtualport>
      <target dev="tap&quot;2"/>
      <link state='down'/>
    </interface>
    <interface type='vhostuser'>
      <source type='unix' path='/run/vhost/vhu3' mode='server'><reconnect enabled='no'/></source>
      <target dev='vhu3'/>
    </interface>
    <hostdev><source bridge='no'/></hostdev>
  </devices>
</domain>
"#;

    #[test]
    fn vnics_are_found_with_all_that_libvirt_says_of_them() {
        let found = vnics(RUNNING).expect("a description");
        let first = Vnic {
            target: Some("tap1ab-01".into()),
            mac: Some("fa:16:3e:00:00:01".parse().expect("an address")),
            bridge: Some("qbr1ab-01".into()),
            ..Vnic::default()
        };
        let second = Vnic {
            target: Some("tap\"2".into()),
            mac: Some("fa:16:3e:00:00:02".parse().expect("an address")),
            bridge: Some("br-int".into()),
            iface_id: Some("1ab00002-02aa-4000-8000-000000000002".into()),
            unplugged: true,
            ..Vnic::default()
        };
        let third = Vnic {
            target: Some("vhu3".into()),
            socket: Some("/run/vhost/vhu3".into()),
            ..Vnic::default()
        };
        assert_eq!(found, [first, second, third]);
    }

    #[test]
    fn what_is_no_description_is_an_error() {
        for bad in [
            "",
            "text",
            "<domain>",
            "<domain></devices>",
            "<domain/><domain/>",
            "<!DOCTYPE x><domain/>",
            "<domain id></domain>",
            "<domain id='1></domain>",
            "<domain id='1'",
            "< domain/>",
            "<domain><!-- </domain>",
        ] {
            assert!(vnics(bad).is_err(), "{bad}");
        }
        assert_eq!(vnics("<?xml version='1.0'?><domain/>"), Ok(vec![]));
    }

    #[test]
    fn no_cut_makes_it_fall_over() {
        for length in 0..RUNNING.trim_end().len() {
            assert!(vnics(&RUNNING[..length]).is_err(), "{length} bytes");
        }
    }
}
