//! Pid files that their daemon keeps locked. The lock is proof of life that any user may read
//! (`F_GETLK`), whatever number the file holds and whichever pid namespace wrote it.

use crate::host::trouble::Trouble;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A pid file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PidFile {
    /// Where it is.
    pub path: PathBuf,
    /// The number in it: the daemon's pid in the daemon's own pid namespace.
    pub written: Option<i32>,
    /// Who holds its lock.
    pub holder: Holder,
}

/// Who holds the lock of a pid file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// This process, named in our pid namespace.
    Process(i32),
    /// A process of a pid namespace that we cannot see: alive, but without a number for us.
    Unseen,
    /// Nobody: the daemon that wrote it is gone.
    Nobody,
}

/// Reads a pid file and its lock.
///
/// # Errors
/// It does not exist, or may not be read.
pub fn read(path: &Path) -> Result<PidFile, Trouble> {
    let trouble = |e: &std::io::Error| Trouble::of(path.display().to_string(), e);
    // A fifo in its place must not block us.
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let mut file = open.map_err(|e| trouble(&e))?;
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).map_err(|e| trouble(&e.into()))?;
    let holder = match (i32::from(lock.l_type), lock.l_pid) {
        (libc::F_UNLCK, _) => Holder::Nobody,
        (_, pid) if pid > 0 => Holder::Process(pid),
        _ => Holder::Unseen,
    };
    let mut text = String::new();
    (&mut file).take(64).read_to_string(&mut text).map_err(|e| trouble(&e))?;
    Ok(PidFile { path: path.to_owned(), written: text.trim().parse().ok(), holder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlocked_file_has_no_holder_and_an_absent_one_is_trouble() {
        let path = std::env::temp_dir().join(format!("calipso-pidfile-{}", std::process::id()));
        std::fs::write(&path, "4711\n").expect("a file in the temporary directory");
        let file = read(&path).expect("a pid file");
        assert_eq!((file.written, file.holder), (Some(4711), Holder::Nobody));
        std::fs::remove_file(&path).expect("our file");
        assert_eq!(read(&path).map_err(|t| t.why), Err(crate::host::Why::Absent));
    }
}
