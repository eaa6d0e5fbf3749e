//! Files of `/proc` and other small text. Read in large pieces: the kernel makes such a file anew for
//! every `read`, and one that lists sockets walks its hash tables each time.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The text of a file, at most its first mebibyte; what is no UTF-8 is replaced.
///
/// # Errors
/// What the kernel says.
pub fn text(path: impl AsRef<Path>) -> io::Result<String> {
    bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The content of a file, at most its first mebibyte.
///
/// # Errors
/// What the kernel says.
pub fn bytes(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    const FIRST: usize = 4 << 10;
    const PIECE: usize = 32 << 10;
    const LONGEST: usize = 1 << 20;
    // A fifo in its place must not block us.
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut bytes = Vec::new();
    loop {
        let length = bytes.len();
        bytes.resize(length + if length == 0 { FIRST } else { PIECE }, 0);
        let read = file.read(&mut bytes[length..])?;
        bytes.truncate(length + read);
        if read == 0 || bytes.len() >= LONGEST {
            return Ok(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_kernel_makes_is_read_whole() {
        let maps = text("/proc/self/maps").expect("our own");
        assert!(maps.lines().count() > 5 && maps.ends_with('\n'));
        assert!(bytes("/proc/self/cmdline").expect("our own").ends_with(&[0]));
        let absent = text("/proc/self/no-such-file").map_err(|e| e.kind());
        assert_eq!(absent, Err(io::ErrorKind::NotFound));
    }
}
