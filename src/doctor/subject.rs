//! Who is judged: what the kernel says of this process or of a running agent, or what the files of
//! the host say of a user.

use super::site::Agent;
use crate::host::procfs;
use std::collections::BTreeSet;

/// A user as the kernel would see one of its processes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// Its name; its number where it has none.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Groups that count.
    pub groups: BTreeSet<u32>,
    /// Groups of the files that do not count yet: whoever runs now was started before.
    pub waiting: BTreeSet<u32>,
    /// Whether its programs get nothing from their files.
    pub no_new_privs: bool,
    /// Capabilities that its programs may have at the most, one bit each.
    pub bounding: u64,
    /// Capabilities that every program of it has.
    pub own: u64,
    /// What runs as it, with its unit: whose settings those above are.
    pub agent: Option<Agent>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

/// What `/proc/PID/status` says of rights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Effective user.
    pub uid: u32,
    /// Effective and further groups.
    pub groups: BTreeSet<u32>,
    /// `NoNewPrivs`.
    pub no_new_privs: bool,
    /// `CapBnd`.
    pub bounding: u64,
    /// `CapAmb`.
    pub ambient: u64,
}

impl Status {
    /// Reads the text of the file.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let second = |name: &str| field(name)?.split_whitespace().nth(1)?.parse::<u32>().ok();
        let set = |name: &str| u64::from_str_radix(field(name)?.trim(), 16).ok();
        let mut groups: BTreeSet<u32> =
            field("Groups:")?.split_whitespace().filter_map(|group| group.parse().ok()).collect();
        groups.insert(second("Gid:")?);
        Some(Self {
            uid: second("Uid:")?,
            groups,
            // Linux 4.10 and later say it.
            no_new_privs: field("NoNewPrivs:").is_some_and(|value| value.trim() == "1"),
            bounding: set("CapBnd:")?,
            ambient: set("CapAmb:").unwrap_or(0),
        })
    }
}

/// A line of `/etc/passwd`: name, number, group.
fn user(passwd: &str, is: impl Fn(&str, u32) -> bool) -> Option<(String, u32, u32)> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, ..] = fields.as_slice() else { return None };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        is(name, uid).then(|| ((*name).to_owned(), uid, gid))
    })
}

/// The groups that `/etc/group` lists a user in.
fn groups_of(group: &str, name: &str) -> BTreeSet<u32> {
    let is_in = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members, ..] = fields.as_slice() else { return None };
        members.split(',').any(|member| member == name).then(|| gid.parse().ok())?
    };
    group.lines().filter_map(is_in).collect()
}

fn file(path: &str) -> Result<String, String> {
    procfs::text(path).map_err(|e| format!("{path}: {e}"))
}

impl Subject {
    /// Who runs this.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn ourselves() -> Result<Self, String> {
        let status = Status::parse(&file("/proc/self/status")?).ok_or("/proc/self/status")?;
        let uid = status.uid;
        // Where nobody has that number it is told instead.
        let known = file("/etc/passwd").ok().and_then(|text| user(&text, |_, known| known == uid));
        let name = known.map_or_else(|| uid.to_string(), |(name, ..)| name);
        let listed = file("/etc/group").map(|text| groups_of(&text, &name)).unwrap_or_default();
        let mut subject = Self::of(name, &status, &listed);
        if uid == 0 {
            subject.notes.push("root may do all; an agent's user is judged by --user NAME".into());
        }
        Ok(subject)
    }

    /// A user by name: as an agent of it that runs, else as the files have it.
    ///
    /// # Errors
    /// There is no such user, or the files cannot be read.
    pub fn named(name: &str, agents: &[Agent]) -> Result<Self, String> {
        let passwd = file("/etc/passwd")?;
        let (name, uid, gid) =
            user(&passwd, |known, _| known == name).ok_or_else(|| format!("no user '{name}'"))?;
        let listed = groups_of(&file("/etc/group")?, &name);
        if let Some(agent) = agents.iter().find(|agent| agent.status.uid == uid) {
            let mut subject = Self::of(name, &agent.status, &listed);
            subject.notes.push(format!("as {} (pid {}) runs", agent.name, agent.pid));
            subject.agent = Some(agent.clone());
            return Ok(subject);
        }
        let mut groups = listed;
        groups.insert(gid);
        let bounding = u64::MAX;
        let notes = vec!["as /etc/passwd and /etc/group have it: no agent of it runs".to_owned()];
        Ok(Self { name, uid, groups, bounding, notes, ..Self::default() })
    }

    fn of(name: String, status: &Status, listed: &BTreeSet<u32>) -> Self {
        Self {
            name,
            uid: status.uid,
            groups: status.groups.clone(),
            waiting: listed.difference(&status.groups).copied().collect(),
            no_new_privs: status.no_new_privs,
            bounding: status.bounding,
            own: if status.uid == 0 { status.bounding } else { status.ambient },
            agent: None,
            notes: Vec::new(),
        }
    }

    /// Who it is, in words.
    pub fn described(&self) -> String {
        format!("user {} ({})", self.name, self.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_users_groups_and_sets() {
        let text = "Name:\tsensu-agent\nUid:\t992\t993\t992\t992\nGid:\t991\t990\t991\t991\n\
                    Groups:\t104 995 \nCapInh:\t0\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000002000\n\
                    NoNewPrivs:\t1\n";
        let status = Status::parse(text).expect("a status");
        assert_eq!((status.uid, status.no_new_privs), (993, true));
        assert_eq!(status.groups, BTreeSet::from([104, 995, 990]));
        assert_eq!((status.bounding, status.ambient), (0x1ff_ffff_ffff, 0x2000));
        assert_eq!(Status::parse("Name:\tx\n"), None);
    }

    #[test]
    fn a_group_that_came_later_is_waiting() {
        let groups = "vpp:x:105:root,sensu\nlibvirt:x:106:\nother:x:107:sensu2\n";
        let listed = groups_of(groups, "sensu");
        assert_eq!(listed, BTreeSet::from([105]));
        let status = Status { groups: BTreeSet::from([991]), ..Status::default() };
        assert_eq!(Subject::of("sensu".into(), &status, &listed).waiting, listed);
        let passwd = "root:x:0:0::/:/bin/sh\nsensu:x:992:991::/opt/sensu:/bin/false\n";
        let found = user(passwd, |name, _| name == "sensu");
        assert_eq!(found, Some(("sensu".to_owned(), 992, 991)));
    }
}
