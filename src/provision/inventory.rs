//! The inventory: objects and links of one environment, as far as checks need them.

use crate::provision::document::Documents;
use crate::provision::environment::Values;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::path::Path;

/// What is needed of objects beside the fields that templates name.
const STRUCTURE: &[&str] = &[
    "host",
    "name",
    "id_path",
    "network",
    "network_info",
    "vnic_type",
    "agent_type",
    "ip_address",
    "host_type",
    "local_service_id",
    "service_type",
    "mac_address",
    "object_name",
    "instance_id",
    "port_id",
    "local_name",
    "configurations",
    "provider:network_type",
    "provider:segmentation_id",
];

/// Something that was left out, or taken otherwise than it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// What: a type and an id, or a place in a file.
    pub object: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.why)
    }
}

/// An object of the inventory.
#[derive(Debug)]
pub struct Object {
    /// Its type.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The fields that are needed, as they are written.
    pub fields: Values,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.kind, self.id)
    }
}

impl Object {
    /// A field that is a text, where there is one.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self, field: &str) -> Result<Option<&str>, String> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{field} is no text")),
        }
    }

    /// A field that must be a text.
    ///
    /// # Errors
    /// It is missing, or something else.
    pub fn needed(&self, field: &str) -> Result<&str, String> {
        self.text(field)?.ok_or_else(|| format!("no {field}"))
    }

    /// A field that is a text or a list of texts.
    ///
    /// # Errors
    /// It is something else.
    pub fn texts(&self, field: &str) -> Result<Vec<&str>, String> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(list)) => {
                let texts: Option<Vec<_>> = list.iter().map(Value::as_str).collect();
                texts.ok_or_else(|| format!("{field} is no list of texts"))
            }
            Some(_) => Err(format!("{field} is no list of texts")),
        }
    }
}

/// A link between two objects.
#[derive(Debug)]
pub struct Link {
    /// `vnic-vconnector`.
    pub kind: String,
    /// The id of one end.
    pub from: String,
    /// The id of the other.
    pub to: String,
    /// The host it is on, where it says so.
    pub host: Option<String>,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {} '{}' '{}'", self.kind, self.from, self.to)
    }
}

/// All objects and links of one environment.
#[derive(Debug, Default)]
pub struct Inventory {
    /// By type, then by id.
    pub objects: BTreeMap<String, BTreeMap<String, Object>>,
    /// In the order of their types and ends.
    pub links: Vec<Link>,
    /// What could not be taken.
    pub troubles: Vec<Trouble>,
}

/// What of the inventory is wanted.
#[derive(Debug)]
pub struct Wanted<'w> {
    /// The environment.
    pub environment: &'w str,
    /// Types of objects.
    pub kinds: BTreeSet<String>,
    /// Types of links; none: all.
    pub links: Option<BTreeSet<String>>,
    /// Fields that templates name.
    pub fields: BTreeSet<String>,
}

impl Inventory {
    /// Reads the collections `inventory` and `links`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(objects: &Path, links: &Path, wanted: &Wanted) -> Result<Self, String> {
        let mut inventory = Self::default();
        each(objects, wanted, &mut inventory, Self::take_object)?;
        each(links, wanted, &mut inventory, Self::take_link)?;
        inventory.links.sort_by(|a, b| (&a.kind, &a.from, &a.to).cmp(&(&b.kind, &b.from, &b.to)));
        Ok(inventory)
    }

    /// The objects of a type.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Object> {
        self.objects.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    /// An object by type and id.
    pub fn object(&self, kind: &str, id: &str) -> Option<&Object> {
        self.objects.get(kind)?.get(id)
    }

    fn take_object(&mut self, place: &str, mut all: Map<String, Value>, wanted: &Wanted) {
        let named = match (text(&all, "type"), text(&all, "id")) {
            (Ok(kind), Ok(id)) => Ok((kind, id)),
            // The id helps to find it, whatever else is wrong.
            (Err(why), Ok(id)) => Err((format!("{place} '{id}'"), why)),
            (Ok(kind), Err(why)) => Err((format!("{place}, {kind}"), why)),
            (Err(why), Err(_)) => Err((place.to_owned(), why)),
        };
        let (kind, id) = match named {
            Ok(named) => named,
            Err((object, why)) => return self.troubles.push(Trouble { object, why }),
        };
        if !wanted.kinds.contains(&kind) {
            return;
        }
        // Of a vEdge there may be thousands.
        let ports = (kind == "otep").then(|| all.remove("ports")).flatten();
        let is_wanted = |name: &str| STRUCTURE.contains(&name) || wanted.fields.contains(name);
        let mut fields: Values = all.into_iter().filter(|(name, _)| is_wanted(name)).collect();
        fields.extend(ports.map(|ports| ("ports".to_owned(), ports)));
        let object = Object { kind: kind.clone(), id: id.clone(), fields };
        let of_kind = self.objects.entry(kind).or_default();
        if of_kind.contains_key(&id) {
            let why = "the inventory has it twice; the first is taken".to_owned();
            return self.troubles.push(Trouble { object: format!("{object} ({place})"), why });
        }
        of_kind.insert(id, object);
    }

    fn take_link(&mut self, place: &str, all: Map<String, Value>, wanted: &Wanted) {
        let kind = match text(&all, "link_type") {
            Ok(kind) => kind,
            Err(why) => return self.troubles.push(Trouble { object: place.to_owned(), why }),
        };
        if wanted.links.as_ref().is_some_and(|links| !links.contains(&kind)) {
            return;
        }
        match (text(&all, "source_id"), text(&all, "target_id")) {
            (Ok(from), Ok(to)) => {
                let host = match all.get("host") {
                    None | Some(Value::Null) => None,
                    Some(_) => match text(&all, "host") {
                        Ok(host) => Some(host),
                        Err(why) => {
                            let object = format!("{place}, link {kind} '{from}' '{to}'");
                            return self.troubles.push(Trouble { object, why });
                        }
                    },
                };
                self.links.push(Link { kind, from, to, host });
            }
            (Err(why), other) | (other, Err(why)) => {
                let known = other.map(|id| format!(" of '{id}'")).unwrap_or_default();
                self.troubles.push(Trouble { object: format!("{place}, link {kind}{known}"), why });
            }
        }
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<String, String> {
    match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        None | Some(Value::Null | Value::String(_)) => Err(format!("no {name}")),
        Some(_) => Err(format!("{name} is no text")),
    }
}

/// Hands every document of a file that is of this environment, or of none, to `take`.
fn each(
    path: &Path,
    wanted: &Wanted,
    inventory: &mut Inventory,
    take: fn(&mut Inventory, &str, Map<String, Value>, &Wanted),
) -> Result<(), String> {
    let of_file = |why: std::io::Error| format!("{}: {why}", path.display());
    let file = path.file_name().unwrap_or_default().display();
    let mut documents = Documents::of(File::open(path).map_err(of_file)?);
    while let Some(document) = documents.advance().map_err(of_file)? {
        let place = format!("{file}, {}", document.place());
        match document.fields {
            Ok(fields) => match fields.get("environment") {
                Some(Value::String(of)) if of != wanted.environment => {}
                None | Some(Value::Null | Value::String(_)) => {
                    take(inventory, &place, fields, wanted);
                }
                Some(_) => {
                    let id = text(&fields, "id").map(|id| format!(" '{id}'")).unwrap_or_default();
                    let why = "environment is no text".to_owned();
                    inventory.troubles.push(Trouble { object: place + &id, why });
                }
            },
            Err(why) => inventory.troubles.push(Trouble { object: place, why }),
        }
    }
    Ok(())
}
