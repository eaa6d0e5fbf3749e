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

/// What is shipped beside the checks.
const TOOLS: [&str; 3] = ["calipso-doctor", "calipso-provision", "calipso-sweep"];

/// The first words of the rows of README's tables that begin like this.
fn rows(beginning: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(top().join("README.md")).expect("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter(|row| row.starts_with(beginning));
    let mut names: Vec<_> =
        rows.filter_map(|row| row.split(['`', ' ']).next()).map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn manifest_sources_binaries_and_readme_name_the_same_checks_and_tools() {
    let checks = stems("checks-manifest", ".toml");
    let mut all: Vec<_> = TOOLS.iter().map(|tool| (*tool).to_owned()).collect();
    all.extend(checks.iter().cloned());
    all.sort();
    assert_eq!(stems("src/bin", ".rs"), all, "src/bin");
    assert_eq!(stems("dist/bin", ""), all, "dist/bin: run `make build`");
    assert_eq!(rows("check_"), checks, "the table of README.md");
    assert_eq!(rows("calipso-"), TOOLS, "the table of README.md");
    let makefile = std::fs::read_to_string(top().join("Makefile")).expect("Makefile");
    let tools = makefile.lines().find_map(|line| line.strip_prefix("TOOLS := "));
    assert_eq!(tools, Some(&*TOOLS.join(" ")), "Makefile");
}

#[test]
fn shipped_binaries_are_static_stripped_and_small() {
    const MOST: u64 = 2_306_867; // 2.2 MiB
    const ALL_CHECKS: u64 = 4 << 20;
    for check in stems("dist/bin", "") {
        let path = top().join("dist/bin").join(&check);
        let file = Command::new("file").arg("-b").arg(&path).output().expect("file(1) is there");
        let said = String::from_utf8(file.stdout).expect("ASCII");
        let is_static = said.contains("statically linked") || said.contains("static-pie linked");
        assert!(is_static && said.contains(", stripped"), "{check}: {said}");
        let size = std::fs::metadata(&path).expect("it was just listed").len();
        let most = if check == "calipso-sweep" { ALL_CHECKS } else { MOST };
        assert!(size <= most, "{check} has {size} bytes");
    }
}
