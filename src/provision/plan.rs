//! The plan: which checks run on which host. Everything that is rendered is rendered from it.

use crate::manifest::book::Book;
use crate::provision::call;
use crate::provision::environment::{Environment, Values};
use crate::provision::inventory::{Inventory, Link, Object, Trouble, Wanted};
use crate::provision::name;
use crate::provision::templates::{self, CheckTemplate, Forwarder, Target, Templates};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The longest value of one field in a command or name.
const LONGEST_VALUE: usize = 255;

/// Types of objects at the ends of links.
const ENDS: [&str; 8] =
    ["instance", "vnic", "vservice", "vconnector", "vedge", "otep", "host_pnic", "network"];

/// What runs where.
#[derive(Debug)]
pub struct Plan {
    /// By id, in the order of the ids.
    pub hosts: BTreeMap<String, HostPlan>,
    /// What was left out.
    pub troubles: Vec<Trouble>,
    /// What was taken otherwise than it is written.
    pub notes: Vec<Trouble>,
}

/// The checks of one host.
#[derive(Debug)]
pub struct HostPlan {
    /// The name of its directory.
    pub directory: String,
    /// Its name to the monitoring system: `ENVIRONMENT-HOST`.
    pub client: String,
    /// Its address, or its id where it has none.
    pub address: String,
    /// What templates may say of it.
    pub values: Values,
    /// Its checks by name.
    pub checks: BTreeMap<String, Check>,
}

/// One check of one object.
#[derive(Debug)]
pub struct Check {
    /// What is checked: `vconnector`, `link_vnic-vconnector`.
    pub kind: String,
    /// The object's id; of a link those of both ends.
    pub id: String,
    /// The object's name to the monitoring system.
    pub object: String,
    /// What Sensu Core is told: command, interval, handlers and so on.
    pub settings: Map<String, Value>,
    /// There is a password in them.
    pub secret: bool,
}

impl HostPlan {
    /// Whether there is a password in one of its checks.
    pub fn has_secret(&self) -> bool {
        self.checks.values().any(|check| check.secret)
    }
}

/// What of the inventory these templates need.
pub fn wanted<'w>(templates: &Templates, environment: &'w Environment) -> Wanted<'w> {
    let mut kinds: BTreeSet<String> =
        ["host", "vedge", "vnic", "vconnector", "vservice"].map(str::to_owned).into();
    let (mut links, mut fields) = (Some(BTreeSet::new()), BTreeSet::new());
    for template in &templates.checks {
        match &template.target {
            Target::Object(kind) => {
                kinds.insert(kind.clone());
                if kind == "vnic" {
                    kinds.insert("instance".to_owned());
                }
            }
            Target::Link(kind) => {
                kinds.extend(kind.split('-').map(str::to_owned));
                links.as_mut().map(|links: &mut BTreeSet<String>| links.insert(kind.clone()));
            }
            Target::AnyLink => {
                kinds.extend(ENDS.map(str::to_owned));
                links = None;
            }
        }
        for field in &template.fields {
            let end = field.strip_prefix("from_").or_else(|| field.strip_prefix("to_"));
            fields.extend(end.map(str::to_owned));
            fields.insert(field.clone());
        }
    }
    Wanted { environment: &environment.name, kinds, links, fields }
}

/// Makes the plan.
pub fn plan(
    environment: &Environment,
    inventory: &Inventory,
    templates: &Templates,
    book: &Book,
) -> Plan {
    let troubles = inventory.troubles.clone();
    let mut plan = Plan { hosts: BTreeMap::new(), troubles, notes: Vec::new() };
    for host in inventory.of_kind("host") {
        match host_plan(environment, host, &mut plan.notes) {
            Ok(made) => drop(plan.hosts.insert(host.id.clone(), made)),
            Err(why) => plan.troubles.push(Trouble { object: host.to_string(), why }),
        }
    }
    let relations = Relations::of(inventory, &mut plan);
    let mut maker = Maker { environment, inventory, relations, plan, book };
    for template in &templates.checks {
        match &template.target {
            Target::Object(kind) => maker.objects(template, kind),
            Target::Link(kind) => maker.links(template, &|other| other == kind),
            Target::AnyLink => {
                let own: BTreeSet<_> = templates.checks.iter().map(|other| &other.target).collect();
                maker.links(template, &|kind| !own.contains(&Target::Link(kind.to_owned())));
            }
        }
    }
    // Two templates may miss the same of an object.
    let mut told = BTreeSet::new();
    maker.plan.troubles.retain(|trouble| told.insert(trouble.clone()));
    maker.plan
}

fn host_plan(
    environment: &Environment,
    host: &Object,
    notes: &mut Vec<Trouble>,
) -> Result<HostPlan, String> {
    let directory = name::of_file(&host.id)?;
    let client = name::fitting(name::encoded(&format!("{}-{}", environment.name, host.id)))?;
    let address = match host.text("ip_address") {
        Ok(Some(text)) if text.parse::<IpAddr>().is_ok() => text.to_owned(),
        Ok(None) => name::encoded(&host.id),
        Ok(Some(text)) => {
            let why = format!("ip_address '{text}' is no address: its id is taken");
            notes.push(Trouble { object: host.to_string(), why });
            name::encoded(&host.id)
        }
        Err(why) => {
            notes.push(Trouble { object: host.to_string(), why: why + ": its id is taken" });
            name::encoded(&host.id)
        }
    };
    let values =
        [("client_name", &client), ("client_ip", &address), ("env_name", &environment.name)];
    let values = values.map(|(name, value)| (name.to_owned(), Value::from(value.as_str()))).into();
    Ok(HostPlan { directory, client, address, values, checks: BTreeMap::new() })
}

/// How objects belong together, looked up rather than searched for.
struct Relations<'i> {
    /// vNICs of instances by the instance's id.
    vnics: BTreeMap<&'i str, Vec<&'i Object>>,
    /// The instance of a vNIC.
    instances: BTreeMap<&'i str, &'i Object>,
    /// The service to ask about a network.
    services: BTreeMap<&'i str, &'i Object>,
    /// Hosts by what their vEdges forward with; those without vEdge are missing.
    forwarders: BTreeMap<&'i str, Forwarder>,
}

impl<'i> Relations<'i> {
    fn of(inventory: &'i Inventory, plan: &mut Plan) -> Self {
        let mut relations = Self {
            vnics: BTreeMap::new(),
            instances: BTreeMap::new(),
            services: BTreeMap::new(),
            forwarders: BTreeMap::new(),
        };
        let by_path: BTreeMap<_, _> = inventory
            .of_kind("instance")
            .filter_map(|instance| Some((instance.text("id_path").ok()??, instance)))
            .collect();
        for vnic in inventory
            .of_kind("vnic")
            .filter(|vnic| vnic.text("vnic_type") == Ok(Some("instance_vnic")))
        {
            let path = vnic.text("id_path").ok().flatten().unwrap_or_default();
            let above = path.match_indices('/').rev().find_map(|(at, _)| by_path.get(&path[..at]));
            let named = vnic.text("instance_id").ok().flatten();
            let named = named.and_then(|id| inventory.object("instance", id));
            if let Some(instance) = above.copied().or(named) {
                relations.vnics.entry(&instance.id).or_default().push(vnic);
                relations.instances.insert(&vnic.id, instance);
            }
        }
        relations.choose_services(inventory, &plan.hosts);
        for vedge in inventory.of_kind("vedge") {
            match (vedge.needed("host"), agent(vedge)) {
                (Ok(host), Ok(agent)) => {
                    let forwarder = agent.forwarder();
                    let known = relations.forwarders.entry(host).or_insert(forwarder);
                    // VPP beside another: the host's NICs are VPP's, as Calipso has it.
                    if forwarder == Forwarder::Vpp {
                        *known = forwarder;
                    }
                }
                (Err(why), _) | (_, Err(why)) => {
                    plan.troubles.push(Trouble { object: vedge.to_string(), why });
                }
            }
        }
        relations
    }

    /// Of several services of a network one whose host there is, of several such the one that gives
    /// addresses, and of several such the first: one that a guest never talked to does not know it.
    fn choose_services(&mut self, inventory: &'i Inventory, hosts: &BTreeMap<String, HostPlan>) {
        let rank = |service: &Object| {
            let has_host = service.needed("host").is_ok_and(|host| hosts.contains_key(host));
            (has_host, service.text("service_type") == Ok(Some("dhcp")))
        };
        for service in inventory.of_kind("vservice") {
            for network in service.texts("network").unwrap_or_default() {
                let chosen = self.services.entry(network).or_insert(service);
                if rank(service) > rank(chosen) {
                    *chosen = service;
                }
            }
        }
    }
}

/// What a vEdge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agent {
    Vpp,
    OpenVswitch,
    LinuxBridge,
}

impl Agent {
    fn forwarder(self) -> Forwarder {
        match self {
            Self::Vpp => Forwarder::Vpp,
            Self::OpenVswitch | Self::LinuxBridge => Forwarder::Kernel,
        }
    }
}

/// What a vEdge is, by the name that Neutron or Calipso gives to its agent.
fn agent(vedge: &Object) -> Result<Agent, String> {
    let written = vedge.needed("agent_type")?;
    let mut agent = written.to_ascii_lowercase();
    agent.retain(|c| c.is_ascii_alphanumeric());
    let is_one_of = |words: &[&str]| words.iter().any(|word| agent.contains(word));
    match () {
        () if is_one_of(&["vpp"]) => Ok(Agent::Vpp),
        () if is_one_of(&["openvswitch", "ovs"]) => Ok(Agent::OpenVswitch),
        () if is_one_of(&["linuxbridge", "lxb", "flannel"]) => Ok(Agent::LinuxBridge),
        () => Err(format!(
            "agent_type '{written}' is unknown: neither VPP nor Open vSwitch nor Linux bridge"
        )),
    }
}

/// One check to be: the host it runs on, and what its template is filled with.
struct Draft {
    host: String,
    values: Values,
}

struct Maker<'i> {
    environment: &'i Environment,
    inventory: &'i Inventory,
    relations: Relations<'i>,
    plan: Plan,
    book: &'i Book,
}

impl<'i> Maker<'i> {
    fn objects(&mut self, template: &CheckTemplate, kind: &str) {
        for object in self.inventory.of_kind(kind) {
            let drafts = match self.suits(template, object) {
                Ok(true) => self.drafts(template, object),
                Ok(false) => Vec::new(),
                Err(why) => vec![Err(why)],
            };
            for draft in drafts {
                match draft {
                    Ok(mut draft) => {
                        draft.values.insert("objtype".to_owned(), kind.into());
                        draft.values.insert("objid".to_owned(), object.id.as_str().into());
                        let of = (kind, object.id.as_str());
                        self.place(template, &object.to_string(), of, &draft, &object.fields);
                    }
                    Err(why) => self.leave_out(object, why),
                }
            }
        }
    }

    fn leave_out(&mut self, object: impl ToString, why: String) {
        self.plan.troubles.push(Trouble { object: object.to_string(), why });
    }

    /// Whether a template is meant for this object: in an environment with VPP and others, its host
    /// decides.
    fn suits(&self, template: &CheckTemplate, object: &Object) -> Result<bool, String> {
        let Some(meant) = template.forwarder else { return Ok(true) };
        if object.kind == "vedge" {
            // Of a Linux bridge there is no process to look at.
            let own = agent(object)?;
            return Ok(own != Agent::LinuxBridge && own.forwarder() == meant);
        }
        Ok(meant == self.forwarder(object.needed("host")?)?)
    }

    /// What forwards on a host.
    fn forwarder(&self, host: &str) -> Result<Forwarder, String> {
        self.known(host)?;
        let has_vpp = self.environment.has("mechanism_drivers", &["VPP".to_owned()]);
        Ok(match self.relations.forwarders.get(host) {
            _ if !has_vpp => Forwarder::Kernel,
            Some(known) => *known,
            None => Forwarder::Vpp,
        })
    }

    fn known(&self, host: &str) -> Result<(), String> {
        match self.plan.hosts.contains_key(host) {
            true => Ok(()),
            false => Err(format!("its host leads nowhere: '{host}'")),
        }
    }

    /// The checks that a template makes of one object; one that cannot be made hides no other.
    fn drafts(&self, template: &CheckTemplate, object: &Object) -> Vec<Result<Draft, String>> {
        match object.kind.as_str() {
            "otep" if names(template, &["portid", "otep_src_ip", "otep_dest_ip"]) => {
                tunnels(object)
            }
            "instance" if names(template, &["services_and_vnics"]) => self.instance(object),
            "vnic" if names(template, &["local_service_id"]) => {
                self.vnic_at_service(object).into_iter().collect()
            }
            // Only an instance knows its ports' ids.
            "vnic" if names(template, &["port_id"]) && !is_of_instance(object) => Vec::new(),
            "vnic" => vec![self.vnic(object)],
            "vconnector" if names(template, &["bd_id"]) => vec![bridge_domain(object)],
            "host" => vec![Ok(Draft { host: object.id.clone(), values: Values::new() })],
            _ => vec![host_of(object).map(|host| Draft { host, values: Values::new() })],
        }
    }

    fn vnic(&self, vnic: &Object) -> Result<Draft, String> {
        let vnictype = vnic.text("vnic_type")?.map(|kind| ("vnictype".to_owned(), kind.into()));
        let port_id = self.port_id(vnic).map(|id| ("port_id".to_owned(), id.into()));
        let values = vnictype.into_iter().chain(port_id).collect();
        Ok(Draft { host: host_of(vnic)?, values })
    }

    /// The id of a vNIC's port in Neutron, which its instance knows.
    fn port_id(&self, vnic: &Object) -> Option<&'i str> {
        let instance = self.relations.instances.get(vnic.id.as_str())?;
        let mac = vnic.text("mac_address").ok()??;
        let infos = instance.fields.get("network_info")?.as_array()?;
        let mine = |info: &&Value| {
            info["address"].as_str().is_some_and(|address| address.eq_ignore_ascii_case(mac))
        };
        infos.iter().find(mine)?["id"].as_str()
    }

    /// An instance is looked for by the services of its networks, on their hosts.
    fn instance(&self, instance: &Object) -> Vec<Result<Draft, String>> {
        let Some(vnics) = self.relations.vnics.get(instance.id.as_str()) else {
            return vec![Err("no vnic is below it".to_owned())];
        };
        let mut drafts = Vec::new();
        let mut pairs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for vnic in vnics {
            match self.seen_by(vnic) {
                Ok((host, service, mac)) => {
                    pairs.entry(host).or_default().push(format!("{service},{mac}"));
                }
                Err(why) => drafts.push(Err(format!("{vnic}: {why}"))),
            }
        }
        let draft = |(host, pairs): (&str, Vec<String>)| {
            let values = [("services_and_vnics".to_owned(), Value::from(pairs.join(";")))].into();
            Ok(Draft { host: host.to_owned(), values })
        };
        drafts.extend(pairs.into_iter().map(draft));
        drafts
    }

    /// A vNIC of an instance, looked for likewise; none for other vNICs.
    fn vnic_at_service(&self, vnic: &Object) -> Option<Result<Draft, String>> {
        match vnic.needed("vnic_type") {
            Ok("instance_vnic") => {}
            Ok(_) => return None,
            Err(why) => return Some(Err(why)),
        }
        let draft = |(host, service, _): (&str, &str, &str)| {
            let values = [("local_service_id", service), ("vnictype", "instance_vnic")];
            let values = values.map(|(name, value)| (name.to_owned(), value.into())).into();
            Draft { host: host.to_owned(), values }
        };
        Some(self.seen_by(vnic).map(draft))
    }

    /// The host and the namespace of the service that sees a vNIC, and the vNIC's address.
    fn seen_by<'o>(&self, vnic: &'o Object) -> Result<(&'i str, &'i str, &'o str), String> {
        let mac = vnic.needed("mac_address")?;
        if !is_mac(mac) {
            return Err(format!("mac_address '{mac}' is no MAC address"));
        }
        let networks = vnic.texts("network")?;
        let network = networks.first().ok_or("no network")?;
        let service = networks.iter().find_map(|network| self.relations.services.get(network));
        let service =
            service.ok_or_else(|| format!("no vservice is on its network '{network}'"))?;
        let of_service = |why: String| format!("{service}: {why}");
        let host = service.needed("host").map_err(of_service)?;
        self.known(host).map_err(of_service)?;
        let id = service.needed("local_service_id").map_err(of_service)?;
        // Both go into one word of the command, where `,` and `;` part them.
        if id.contains([',', ';']) {
            return Err(of_service(format!("local_service_id '{id}' is no name of a namespace")));
        }
        Ok((host, id, mac))
    }

    fn links(&mut self, template: &CheckTemplate, is_meant: &dyn Fn(&str) -> bool) {
        for link in self.inventory.links.iter().filter(|link| is_meant(&link.kind)) {
            match self.link(template, link) {
                Ok(Some(draft)) => {
                    let id = format!("{} {}", link.from, link.to);
                    let kind = format!("link_{}", link.kind);
                    self.place(template, &link.to_string(), (&kind, &id), &draft, &Values::new());
                }
                Ok(None) => {}
                Err(why) => self.leave_out(link, why),
            }
        }
    }

    /// What a link's template is filled with; none where the template is not meant for its host.
    fn link(&self, template: &CheckTemplate, link: &Link) -> Result<Option<Draft>, String> {
        let (from_kind, to_kind) = link.kind.split_once('-').ok_or("its type has no two ends")?;
        let end = |kind: &str, id: &str, which: &str| {
            let object = self.inventory.object(kind, id);
            object.ok_or_else(|| format!("{which} leads to no {kind}: '{id}'"))
        };
        let from = end(from_kind, &link.from, "source_id")?;
        let to = end(to_kind, &link.to, "target_id")?;
        let host = match &link.host {
            Some(host) => host.clone(),
            None => host_of(from).or_else(|_| host_of(to))?,
        };
        let forwarder = self.forwarder(&host)?;
        if template.forwarder.is_some_and(|meant| meant != forwarder) {
            return Ok(None);
        }
        let mut values = Values::new();
        for (side, object) in [("from", from), ("to", to)] {
            values.insert(format!("{side}objid"), object.id.as_str().into());
            if template.fields.contains(side) {
                let Some(end) = as_end(object).map_err(|why| format!("{object}: {why}"))? else {
                    return Ok(None);
                };
                values.insert(side.to_owned(), end.into());
            }
            for name in &template.fields {
                let field = name.strip_prefix(side).and_then(|rest| rest.strip_prefix('_'));
                if let Some(value) = field.and_then(|field| object.fields.get(field)) {
                    values.insert(name.clone(), value.clone());
                }
            }
        }
        values.insert("linktype".to_owned(), link.kind.as_str().into());
        for object in [from, to] {
            let (name, field) = match object.kind.as_str() {
                "vconnector" => ("bridge", "object_name"),
                "vnic" => ("mac_address", "mac_address"),
                _ => continue,
            };
            if let Some(value) = object.text(field).map_err(|why| format!("{object}: {why}"))? {
                values.insert(name.to_owned(), value.into());
            }
        }
        Ok(Some(Draft { host, values }))
    }

    /// Fills a template and puts its checks on their host.
    fn place(
        &mut self,
        template: &CheckTemplate,
        object: &str,
        (kind, id): (&str, &str),
        draft: &Draft,
        fields: &Values,
    ) {
        let Some(host) = self.plan.hosts.get_mut(&draft.host) else {
            return self.leave_out(object, format!("its host leads nowhere: '{}'", draft.host));
        };
        let environment = &self.environment.values;
        let own: Values = [("id".to_owned(), id.into())].into();
        // What is said of every object is no field of one.
        let values = [&draft.values, &host.values, fields, &own, environment];
        for (name, settings) in &template.checks {
            match made(template, name, settings, &values, self.book) {
                Ok((name, settings)) => {
                    let object_name = name::encoded(&format!("{kind}_{}", id.replace(' ', "_")));
                    let check = Check {
                        kind: kind.to_owned(),
                        id: id.to_owned(),
                        object: object_name,
                        settings,
                        secret: template.secret,
                    };
                    if let Some(first) = host.checks.get(&name) {
                        let why = format!(
                            "its check {name} is already that of {} '{}'",
                            first.kind, first.id
                        );
                        self.plan.troubles.push(Trouble { object: object.to_owned(), why });
                        continue;
                    }
                    host.checks.insert(name, check);
                }
                Err(why) => {
                    self.plan.troubles.push(Trouble { object: object.to_owned(), why });
                }
            }
        }
    }
}

/// A check's name and settings.
fn made(
    template: &CheckTemplate,
    name: &str,
    settings: &Value,
    values: &[&Values],
    book: &Book,
) -> Result<(String, Map<String, Value>), String> {
    let name = name::fitting(templates::filled(name, values, name::encoded)?)?;
    for field in template.fields.iter().filter(|field| *field != "services_and_vnics") {
        let value = values.iter().find_map(|values| values.get(field)).and_then(Value::as_str);
        if let Some(value) = value.filter(|value| value.len() > LONGEST_VALUE) {
            return Err(format!("{field} has {} bytes, more than {LONGEST_VALUE}", value.len()));
        }
    }
    let Value::Object(mut made) = templates::rendered(settings, values)? else {
        return Err("its template has no command".to_owned());
    };
    templates::seconds(&mut made)?;
    let command = settings.get("command").and_then(Value::as_str);
    let command = command.ok_or("its template has no command")?;
    call::are_understood(book, command, &|field| templates::text_of(field, values))?;
    Ok((name, made))
}

/// Whether a template refers to one of these fields.
fn names(template: &CheckTemplate, fields: &[&str]) -> bool {
    fields.iter().any(|field| template.fields.contains(*field))
}

/// What `check_link` calls an object; none for one that a host cannot see.
fn as_end(object: &Object) -> Result<Option<String>, String> {
    let field = match object.kind.as_str() {
        "instance" | "host_pnic" => "local_name",
        "vservice" => "local_service_id",
        "vconnector" => "object_name",
        "otep" => "ip_address",
        "vedge" => {
            // Neutron's name of it unless the agent says another.
            let own = object.fields.get("configurations").map(|all| &all["integration_bridge"]);
            return Ok(Some(own.and_then(Value::as_str).unwrap_or("br-int").to_owned()));
        }
        "network" => {
            return match object.text("provider:network_type")? {
                Some("vlan") => match object.fields.get("provider:segmentation_id") {
                    Some(Value::Number(vlan)) => Ok(Some(vlan.to_string())),
                    _ => Err("provider:segmentation_id is no number".to_owned()),
                },
                Some("flat") => Ok(Some("untagged".to_owned())),
                _ => Ok(None),
            };
        }
        _ => "name",
    };
    object.needed(field).map(|text| Some(text.to_owned()))
}

/// Whether a vNIC is an instance's; one that does not say so is taken for one.
fn is_of_instance(vnic: &Object) -> bool {
    matches!(vnic.text("vnic_type"), Ok(None | Some("instance_vnic")) | Err(_))
}

fn host_of(object: &Object) -> Result<String, String> {
    object.needed("host").map(str::to_owned)
}

/// A bridge domain of VPP by its number: `bd_id` as Calipso's scan writes it, or as much of a name
/// as is one (`5`, `bridge-domain-5`).
fn bridge_domain(vconnector: &Object) -> Result<Draft, String> {
    let number = |field: &str| {
        let name = vconnector.text(field).ok()??;
        let number = name.strip_prefix("bridge-domain-").unwrap_or(name);
        number.bytes().all(|b| b.is_ascii_digit()).then(|| number.into())
    };
    let own = vconnector.fields.get("bd_id").filter(|id| !id.is_null()).cloned();
    let id = own.or_else(|| number("object_name")).or_else(|| number("name"));
    let id: Value = id.ok_or("no number of a bridge domain in bd_id, object_name or name")?;
    Ok(Draft { host: host_of(vconnector)?, values: [("bd_id".to_owned(), id)].into() })
}

/// The tunnels of an OTEP.
fn tunnels(otep: &Object) -> Vec<Result<Draft, String>> {
    let host = match host_of(otep) {
        Ok(host) => host,
        Err(why) => return vec![Err(why)],
    };
    let ports: Vec<(&str, &Value)> = match otep.fields.get("ports") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(ports)) => ports.iter().map(|(n, port)| (n.as_str(), port)).collect(),
        Some(Value::Array(ports)) => ports.iter().map(|port| ("", port)).collect(),
        Some(_) => return vec![Err("ports is no document".to_owned())],
    };
    if ports.is_empty() {
        return vec![Err("no ports".to_owned())];
    }
    ports.into_iter().filter_map(|(name, port)| tunnel(&host, name, port).transpose()).collect()
}

/// A port as a tunnel; none where it is none, or where each packet names its far end, so that there
/// is nobody who could be asked.
fn tunnel(host: &str, name: &str, port: &Value) -> Result<Option<Draft>, String> {
    let name = port["name"].as_str().unwrap_or(name);
    match (port, &port["type"]) {
        (Value::Object(_), Value::String(kind)) => {
            let is_tunnel = ["vxlan", "gre"].iter().any(|known| kind.eq_ignore_ascii_case(known));
            if !is_tunnel || port["options"]["remote_ip"] == "flow" {
                return Ok(None);
            }
        }
        (Value::Object(_), Value::Null) => return Err(format!("port '{name}': no type")),
        (Value::Object(_), _) => return Err(format!("port '{name}': type is no text")),
        _ => return Err(format!("port '{name}' is no document")),
    }
    let address = |end: &str| {
        let text = port["options"][end].as_str();
        let text = text.ok_or_else(|| format!("port '{name}': no {end}"))?;
        let address = text.parse::<IpAddr>();
        address.map_err(|_| format!("port '{name}': {end} '{text}' is no address"))
    };
    let values = [
        ("portid", name.to_owned()),
        ("otep_src_ip", address("local_ip")?.to_string()),
        ("otep_dest_ip", address("remote_ip")?.to_string()),
    ];
    let values = values.map(|(name, value)| (name.to_owned(), Value::from(value))).into();
    Ok(Some(Draft { host: host.to_owned(), values }))
}

fn is_mac(text: &str) -> bool {
    let mut bytes = 0;
    text.split(':').all(|byte| {
        bytes += 1;
        byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit())
    }) && bytes == 6
}
