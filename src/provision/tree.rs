//! Files into their directory: each is there whole or as it was, and nothing is touched that is
//! right already.

use crate::plugin::text::count;
use crate::provision::emit::{Content, Tree};
use crate::provision::name;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Files hold passwords: their owner writes, their group (the agent's) reads.
const FILE_MODE: u32 = 0o640;
const DIR_MODE: u32 = 0o750;

/// What would happen to a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Change<'t> {
    /// It is not there yet.
    Add(&'t str),
    /// It is otherwise; what is there now.
    Edit(&'t str, Vec<u8>),
    /// Only its mode is otherwise.
    Mode(&'t str),
    /// An earlier run wrote it, and this one does not.
    Remove(String),
}

impl Change<'_> {
    /// The path of the file.
    pub fn path(&self) -> &str {
        match self {
            Change::Add(path) | Change::Edit(path, _) | Change::Mode(path) => path,
            Change::Remove(path) => path,
        }
    }
}

/// How all lists of what a run wrote begin: `.calipso-provision.KIND.ENVIRONMENT`.
const LIST: &str = ".calipso-provision.";

/// A directory, and the list of what is ours in it.
#[derive(Debug)]
pub struct Place<'p> {
    dir: &'p Path,
    /// The file that lists what the last run wrote, one per kind of output and environment.
    list: String,
    /// What it was called when environments had one list together: that of the last of them.
    old_list: String,
}

/// What must be done.
#[derive(Debug)]
pub struct Changes<'t> {
    /// File by file.
    pub changes: Vec<Change<'t>>,
    /// Files that nothing asks for any more, and that stay.
    pub kept: BTreeSet<String>,
}

/// What went wrong with which file.
fn of(path: &Path) -> impl Fn(io::Error) -> String {
    move |why| format!("{}: {why}", path.display())
}

impl<'p> Place<'p> {
    /// The directory `dir` for files of this kind of output, of this environment.
    pub fn new(dir: &'p Path, kind: &str, environment: &str) -> Self {
        let old_list = format!("{LIST}{kind}");
        Self { dir, list: format!("{old_list}.{}", name::encoded(environment)), old_list }
    }

    /// What must be done for `tree` to be there and, unless what is there is to be kept, nothing else
    /// of ours.
    ///
    /// # Errors
    /// Something there cannot be read, is no file, or is another environment's and otherwise.
    pub fn changes<'t>(&self, tree: &'t Tree, keep: bool) -> Result<Changes<'t>, String> {
        let mut changes = Vec::new();
        let owners = self.owners()?;
        for (path, content) in tree {
            let full = self.dir.join(path);
            let Some(there) = self.plain_file(path)? else {
                changes.push(Change::Add(path));
                continue;
            };
            let bytes = fs::read(&full).map_err(of(&full))?;
            if bytes != content.text.as_bytes() {
                if let Some(list) = owners.get(path) {
                    return Err(format!(
                        "{}: is another environment's as well ({list}), which needs it otherwise; \
                         give this one an --out of its own",
                        full.display()
                    ));
                }
                changes.push(Change::Edit(path, bytes));
            } else if there.mode() & 0o7777 != FILE_MODE {
                changes.push(Change::Mode(path));
            }
        }
        let mut kept = BTreeSet::new();
        for path in self.listed(tree)? {
            let is_gone = !tree.contains_key(&path) && !owners.contains_key(&path);
            match is_gone && self.plain_file(&path)?.is_some() {
                true if keep => drop(kept.insert(path)),
                true => changes.push(Change::Remove(path)),
                false => {}
            }
        }
        Ok(Changes { changes, kept })
    }

    /// Files that other environments have, and the list that says so.
    fn owners(&self) -> Result<BTreeMap<String, String>, String> {
        let mut owners = BTreeMap::new();
        let entries = match fs::read_dir(self.dir) {
            Ok(entries) => entries,
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(owners),
            Err(why) => return Err(of(self.dir)(why)),
        };
        for entry in entries {
            let name = entry.map_err(of(self.dir))?.file_name();
            let Some(name) = name.to_str().filter(|name| name.starts_with(LIST)) else { continue };
            // A list from before has no environment.
            let has_environment = name[LIST.len()..].contains('.');
            if has_environment && name != self.list {
                owners.extend(self.read(name)?.into_iter().map(|path| (path, name.to_owned())));
            }
        }
        Ok(owners)
    }

    /// The file of this path; none where there is nothing. No link is followed on the way: below
    /// the directory nothing is where it does not seem to be.
    fn plain_file(&self, path: &str) -> Result<Option<fs::Metadata>, String> {
        let mut full = self.dir.to_owned();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            full.push(part);
            let there = match fs::symlink_metadata(&full) {
                Ok(there) => there,
                Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
                Err(why) => return Err(of(&full)(why)),
            };
            match parts.peek() {
                Some(_) if there.is_dir() => {}
                None if there.is_file() => return Ok(Some(there)),
                Some(_) => return Err(format!("{}: not a directory", full.display())),
                None => return Err(format!("{}: not a plain file", full.display())),
            }
        }
        Ok(None)
    }

    /// What the last run wrote for this environment.
    fn listed(&self, tree: &Tree) -> Result<BTreeSet<String>, String> {
        let mut listed = self.read(&self.list)?;
        if self.takes_old_list(tree)? {
            listed.extend(self.read(&self.old_list)?);
        }
        Ok(listed)
    }

    /// Whether the list from before is this environment's: it has a host's file of it.
    fn takes_old_list(&self, tree: &Tree) -> Result<bool, String> {
        let old = self.read(&self.old_list)?;
        let is_of_host = |path: &str| {
            ["host/", "sensu-go/", "icinga2/hosts/", "nagios/hosts/"]
                .iter()
                .any(|above| path.starts_with(above))
        };
        Ok(old.iter().any(|path| is_of_host(path) && tree.contains_key(path)))
    }

    fn read(&self, list: &str) -> Result<BTreeSet<String>, String> {
        let path = self.dir.join(list);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().filter(|line| is_ours(line)).map(str::to_owned).collect()),
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(why) => Err(of(&path)(why)),
        }
    }

    /// Makes the changes. Every file is first written beside its place; only when all are written do
    /// they take their places, each at once.
    ///
    /// # Errors
    /// Something could not be written; then nothing has changed, but where the error is that of a
    /// rename or of what comes after it.
    pub fn apply(&self, tree: &Tree, todo: &Changes) -> Result<(), String> {
        make_dir(self.dir)?;
        let lock = File::open(self.dir).map_err(of(self.dir))?;
        lock.try_lock().map_err(|_| format!("{}: another run is at work", self.dir.display()))?;
        let Changes { changes, kept } = todo;
        let ours: BTreeSet<String> = tree.keys().chain(kept).cloned().collect();
        let list: String = ours.iter().map(|path| format!("{path}\n")).collect();
        let list = Content { text: list, secret: false };
        let mut staged = Staged::default();
        for change in changes {
            if let Some(content) = tree.get(change.path()) {
                staged.write(self.dir, change.path(), content)?;
            }
        }
        if self.read(&self.list)? != ours {
            staged.write(self.dir, &self.list, &list)?;
        }
        let takes_old_list = self.takes_old_list(tree)?;
        staged.take_places()?;
        for change in changes {
            if let Change::Remove(path) = change {
                self.remove(path)?;
            }
        }
        if takes_old_list {
            self.remove(&self.old_list)?;
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), String> {
        let full = self.dir.join(path);
        fs::remove_file(&full).map_err(of(&full))?;
        // Its directory, and those above, if they are empty now.
        for above in Path::new(path).ancestors().skip(1).filter(|above| above != &Path::new("")) {
            if fs::remove_dir(self.dir.join(above)).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Whether a line of the list is a path such as we write.
fn is_ours(line: &str) -> bool {
    let fits = |part: &str| {
        let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        plain && !["", ".", ".."].contains(&part)
    };
    line.split('/').all(fits)
}

/// Makes a directory and those above it, with our mode whatever the umask. A group that the one
/// above hands down (setgid) is handed down further.
fn make_dir(dir: &Path) -> Result<(), String> {
    let missing: Vec<_> =
        dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    for dir in missing.into_iter().rev() {
        match fs::create_dir(dir) {
            Err(why) if why.kind() == ErrorKind::AlreadyExists => continue,
            made => made.map_err(of(dir))?,
        }
        let kept = fs::metadata(dir).map_err(of(dir))?.mode() & 0o7000;
        fs::set_permissions(dir, fs::Permissions::from_mode(kept | DIR_MODE)).map_err(of(dir))?;
    }
    Ok(())
}

/// Files beside their places; what did not take its place goes away.
#[derive(Default)]
struct Staged(Vec<(PathBuf, PathBuf)>);

impl Staged {
    fn write(&mut self, dir: &Path, path: &str, content: &Content) -> Result<(), String> {
        let full = dir.join(path);
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        make_dir(&dir.join(above))?;
        // A name may have all bytes that a name can have.
        let short: String = name.chars().take(200).collect();
        let beside = dir.join(above).join(format!(".{short}.new"));
        // What an interrupted run left.
        fs::remove_file(&beside).ok();
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(FILE_MODE).open(&beside);
        let mut file = file.map_err(of(&beside))?;
        self.0.push((beside.clone(), full));
        // Whatever the umask took away.
        file.set_permissions(fs::Permissions::from_mode(FILE_MODE)).map_err(of(&beside))?;
        file.write_all(content.text.as_bytes()).map_err(of(&beside))
    }

    fn take_places(mut self) -> Result<(), String> {
        for (beside, place) in std::mem::take(&mut self.0) {
            let taken = fs::rename(&beside, &place).map_err(of(&place));
            if taken.is_err() {
                fs::remove_file(&beside).ok();
            }
            taken?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for (beside, _) in &self.0 {
            fs::remove_file(beside).ok();
        }
    }
}

/// What changed, in few words: `16 files written, 293 removed`.
pub fn told(changes: &[Change]) -> String {
    let removed = changes.iter().filter(|change| matches!(change, Change::Remove(_))).count();
    match (changes.len() - removed, removed) {
        (0, 0) => "nothing changed".to_owned(),
        (written, 0) => format!("{} written", count(written, "file")),
        (0, removed) => format!("{} removed", count(removed, "file")),
        (written, removed) => format!("{} written, {removed} removed", count(written, "file")),
    }
}

/// What would change, for people. Of files with secrets only the places are told.
pub fn shown(changes: &[Change], tree: &Tree) -> String {
    let mut text = String::new();
    for change in changes {
        let path = change.path();
        match (change, tree.get(path)) {
            (Change::Add(_), Some(content)) => {
                text += &format!("+++ {path} (new, {} lines)\n", content.text.lines().count());
            }
            (Change::Edit(_, old), Some(new)) if new.secret => {
                text += &format!("--- {path}\n+++ {path} (values are not shown)\n");
                for place in places(old, &new.text) {
                    text += &format!("~{place}\n");
                }
            }
            (Change::Edit(_, old), Some(new)) => {
                let old = String::from_utf8_lossy(old);
                let diff = similar::TextDiff::from_lines(old.as_ref(), &new.text);
                text += &diff.unified_diff().header(path, path).to_string();
            }
            (Change::Mode(_), _) => text += &format!("~~~ {path} (mode becomes 0640)\n"),
            _ => text += &format!("--- {path} (goes away)\n"),
        }
    }
    text
}

/// The places where two documents differ.
fn places(old: &[u8], new: &str) -> Vec<String> {
    let old = serde_json::from_slice(old).unwrap_or(Value::Null);
    let new = serde_json::from_str(new).unwrap_or(Value::Null);
    let mut places = Vec::new();
    differ(&old, &new, "", &mut places);
    places
}

fn differ(old: &Value, new: &Value, at: &str, places: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let value = |map: &serde_json::Map<_, _>| map.get(key).cloned().unwrap_or_default();
                differ(&value(old), &value(new), &format!("{at}/{key}"), places);
            }
        }
        (old, new) if old != new => places.push(at.to_owned()),
        _ => {}
    }
}
