//! What is installed: the binary of a check, with the capabilities of its file.

use nix::sys::statvfs::{FsFlags, statvfs};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where packages put the binaries, beside the directory of this program.
const PLACES: [&str; 2] = ["/usr/lib/calipso-checks/bin", "/etc/sensu/plugins"];

/// A program file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it is, links followed.
    pub path: PathBuf,
    /// Its owner, group and permission bits.
    pub mode: Mode,
    /// What the file gives to who runs it.
    pub gives: FileRights,
    /// Whether its file system gives nothing to anybody.
    pub nosuid: bool,
}

/// Who may do what with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub bits: u32,
}

impl Mode {
    /// Of a file that is there.
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        Self { uid: metadata.uid(), gid: metadata.gid(), bits: metadata.mode() & 0o7777 }
    }
}

/// The capabilities of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileRights {
    /// One bit each.
    pub permitted: u64,
    /// Whether they count from the start (`+ep`, not `+p`).
    pub effective: bool,
}

/// The program of this name, in the first place that has it.
pub fn find(name: &str) -> Option<Program> {
    let own = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    let places = own.into_iter().chain(PLACES.map(PathBuf::from));
    places.map(|place| place.join(name)).find_map(|path| look_at(&path))
}

fn look_at(path: &Path) -> Option<Program> {
    let path = std::fs::canonicalize(path).ok()?;
    let metadata = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
    Some(Program {
        mode: Mode::of(&metadata),
        gives: rights_of(&path).and_then(|bytes| decode(&bytes)).unwrap_or_default(),
        nosuid: statvfs(&path).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOSUID)),
        path,
    })
}

/// The attribute in which the kernel keeps them; any user may read it.
fn rights_of(path: &Path) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut bytes = [0_u8; 64];
    let (name, room) = (c"security.capability", bytes.len());
    // SAFETY: two strings that end with NUL, and room for as many bytes as are said.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), bytes.as_mut_ptr().cast(), room) };
    usize::try_from(length).ok().map(|length| bytes[..length].to_vec())
}

/// `struct vfs_cap_data` of `linux/capability.h`: a word with the revision and a flag, then for each
/// 32 capabilities what is permitted and what is inheritable. Little endian everywhere.
fn decode(bytes: &[u8]) -> Option<FileRights> {
    const EFFECTIVE: u32 = 1;
    let word = |at: usize| {
        let bytes = bytes.get(at * 4..at * 4 + 4)?;
        bytes.try_into().ok().map(u32::from_le_bytes)
    };
    let magic = word(0)?;
    let high = match magic >> 24 {
        1 => 0,
        // The third has the user namespace's root behind them.
        2 | 3 => word(3)?,
        _ => return None,
    };
    let permitted = u64::from(word(1)?) | u64::from(high) << 32;
    Some(FileRights { permitted, effective: magic & EFFECTIVE != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rights::{DAC_OVERRIDE, SYS_ADMIN};

    #[test]
    fn attributes_of_all_revisions_are_read() {
        let of = |words: &[u32]| {
            decode(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())
        };
        let both = (DAC_OVERRIDE.bit() | SYS_ADMIN.bit()) as u32;
        let gives = |permitted, effective| Some(FileRights { permitted, effective });
        assert_eq!(of(&[0x0100_0001, both, 0]), gives(u64::from(both), true));
        assert_eq!(of(&[0x0200_0001, both, 0, 0, 0]), gives(u64::from(both), true));
        assert_eq!(of(&[0x0200_0000, both, 0, 1, 0]), gives(u64::from(both) | 1 << 32, false));
        assert_eq!(of(&[0x0300_0001, both, 0, 0, 0, 0]), gives(u64::from(both), true));
        for nonsense in [&[][..], &[0x0200_0001], &[0x0900_0001, 1, 1, 1, 1], &[0x0200_0001, 1]] {
            assert_eq!(of(nonsense), None, "{nonsense:x?}");
        }
    }

    #[test]
    fn our_own_program_is_found_and_gives_nothing() {
        let name = std::env::current_exe().expect("a program");
        let name = name.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let program = find(&name).expect("ourselves");
        assert_eq!(program.gives, FileRights::default());
        assert_eq!(find("no-such-program"), None);
    }
}
