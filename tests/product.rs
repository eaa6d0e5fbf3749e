//! What is shipped: static, small, and described the same everywhere.
#![allow(clippy::disallowed_methods, clippy::panic, reason = "tests start programs")]

use std::path::PathBuf;
use std::process::Command;

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The stems of the files of a directory that end in this.
fn stems(dir: &str, ending: &str) -> Vec<String> {
    let files = std::fs::read_dir(top().join(dir)).unwrap_or_else(|e| panic!("{dir}: {e}"));
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("ASCII"));
    let mut stems: Vec<_> =
        names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect();
    stems.sort();
    stems
}

#[test]
fn manifest_sources_binaries_and_readme_name_the_same_checks() {
    let manifest = stems("checks-manifest", ".toml");
    assert_eq!(stems("src/bin", ".rs"), manifest, "src/bin");
    assert_eq!(stems("dist/bin", ""), manifest, "dist/bin: run `make build`");
    let readme = std::fs::read_to_string(top().join("README.md")).expect("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `check_"));
    let mut listed: Vec<_> =
        rows.filter_map(|row| row.split(['`', ' ']).next()).map(|c| format!("check_{c}")).collect();
    listed.sort();
    assert_eq!(listed, manifest, "the table of README.md");
}

#[test]
fn shipped_binaries_are_static_stripped_and_small() {
    const MOST: u64 = 2_306_867; // 2.2 MiB
    for check in stems("dist/bin", "") {
        let path = top().join("dist/bin").join(&check);
        let file = Command::new("file").arg("-b").arg(&path).output().expect("file(1) is there");
        let said = String::from_utf8(file.stdout).expect("ASCII");
        let is_static = said.contains("statically linked") || said.contains("static-pie linked");
        assert!(is_static && said.contains(", stripped"), "{check}: {said}");
        let size = std::fs::metadata(&path).expect("it was just listed").len();
        assert!(size <= MOST, "{check} has {size} bytes");
    }
}
