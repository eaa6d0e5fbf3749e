//! What the programs say of themselves: man pages, completions, documents and `--help`.
//! `make pages` writes again what is compared here.
#![allow(clippy::disallowed_methods, clippy::panic, reason = "tests start programs")]

#[path = "../packaging/pages/mod.rs"]
mod pages;
mod support;

use clap::Command;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process;
use support::{Dir, run};

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What packages ship, as files.
fn shipped(name: &str) -> Dir {
    let dir = Dir::new(name);
    for (path, text) in pages::shipped("2026-01-01") {
        let path = dir.0.join(path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("below our own");
        std::fs::write(path, text).expect("a file of ours");
    }
    dir
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    files.map(|file| file.expect("a file").path()).collect()
}

fn quiet(program: &str, args: &[&str], path: &Path) {
    let mut command = process::Command::new(program);
    let out = command.args(args).arg(path).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    // groff writes the page to stdout, mandoc its complaints.
    let lint = program == "mandoc" && !out.stdout.is_empty();
    let said = String::from_utf8_lossy(&out.stderr);
    let listed = String::from_utf8_lossy(&out.stdout);
    assert!(said.is_empty() && !lint, "{program} {}: {said}{listed}", path.display());
    assert!(out.status.success(), "{program} {}", path.display());
}

#[test]
fn the_documents_are_what_clap_and_the_manifest_say() {
    let pages = pages::markdown::all();
    for (path, text) in &pages {
        let there = std::fs::read_to_string(top().join(path)).unwrap_or_default();
        assert!(there == *text, "{path} is out of date: run `make pages`");
    }
    let there: BTreeSet<PathBuf> = files(&top().join("docs/checks")).into_iter().collect();
    let wanted = pages.iter().map(|(path, _)| top().join(path)).collect();
    assert_eq!(there, wanted, "docs/checks");
    let readme = std::fs::read_to_string(top().join("README.md")).expect("README.md");
    let wanted = pages::markdown::with_options(&readme).expect("the marks");
    assert!(readme == wanted, "the options in README.md are out of date: run `make pages`");
}

#[test]
fn a_man_page_renders_without_warnings_and_names_all_that_a_check_can_say() {
    let dir = shipped("man");
    let pages = files(&dir.0.join("usr/share/man/man1"));
    assert!(pages.len() > pages::checks().len(), "{pages:?}");
    for page in &pages {
        quiet("mandoc", &["-Tlint", "-Wwarning"], page);
        quiet("groff", &["-ww", "-man", "-Tutf8"], page);
    }
    for page in pages::checks() {
        let entry = &page.entry;
        let path = dir.0.join(format!("usr/share/man/man1/{}.1", entry.name));
        let text =
            run(process::Command::new("groff").args(["-man", "-Tascii", "-P-cbou"]).arg(&path));
        for name in entry.codes.keys().chain(entry.metrics.keys()).chain(entry.facts.keys()) {
            assert!(text.out.contains(name.as_str()), "{}: {name}", path.display());
        }
        for capability in &entry.rights.capabilities {
            assert!(text.out.contains(capability.as_str()), "{}: {capability}", path.display());
        }
    }
}

#[test]
fn completions_load_and_complete_an_option_in_each_shell() {
    let dir = shipped("completions");
    let share = dir.0.join("usr/share").display().to_string();
    let checks = pages::checks().into_iter().map(|page| page.command);
    let programs: Vec<(String, String)> = checks
        .chain(pages::tools())
        .map(|command| (command.get_name().to_owned(), first_option(&command)))
        .collect();
    // What clap_complete calls its function, bash knows.
    completes("bash", "--norc", "", &programs, |name, word| {
        format!(
            ". {share}/bash-completion/completions/{name}; COMP_WORDS=({name} {word}); COMP_CWORD=1; \
             $(complete -p {name} | sed 's/.*-F \\([^ ]*\\).*/\\1/') {name} {word} {name}; \
             echo \"${{COMPREPLY[@]}}\""
        )
    });
    completes("fish", "--no-config", "", &programs, |name, word| {
        format!("source {share}/fish/vendor_completions.d/{name}.fish; complete -C '{name} {word}'")
    });
    // zsh completes at a prompt only: the function is looked at, and its options.
    let begin = format!(
        "fpath=({share}/zsh/vendor-completions $fpath); autoload -Uz compinit; compinit -u -D\n"
    );
    completes("zsh", "-f", &begin, &programs, |name, _| {
        format!("[ \"$_comps[{name}]\" = _{name} ] && autoload +X -Uz _{name} && functions _{name}")
    });
}

fn first_option(command: &Command) -> String {
    let long = command.get_arguments().filter_map(clap::Arg::get_long).next();
    format!("--{}", long.expect("every program has --help"))
}

/// One shell is asked about all programs, each by the line that `ask` makes of its name and a word.
fn completes(
    shell: &str,
    option: &str,
    begin: &str,
    programs: &[(String, String)],
    ask: impl Fn(&str, &str) -> String,
) {
    let lines =
        programs.iter().map(|(name, word)| format!("echo '== {name}'\n{}\n", ask(name, word)));
    let script = begin.to_owned() + &lines.collect::<String>();
    let mut command = process::Command::new(shell);
    let out = command.args([option, "-c", &script]).env("HOME", "/nonexistent").output();
    let out = out.unwrap_or_else(|e| panic!("{shell}: {e}"));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let err = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && err.is_empty(), "{shell}: {err}{said}");
    let answers: Vec<&str> = said.split("== ").skip(1).collect();
    assert_eq!(answers.len(), programs.len(), "{shell}: {said}");
    for ((name, word), answer) in programs.iter().zip(answers) {
        let found = answer.strip_prefix(&format!("{name}\n"));
        assert!(found.is_some_and(|text| text.contains(word)), "{shell}: no {word}: {answer}");
    }
}

#[test]
fn each_tool_that_is_built_has_pages() {
    let makefile = std::fs::read_to_string(top().join("Makefile")).expect("Makefile");
    let built = makefile.lines().find_map(|line| line.strip_prefix("TOOLS := "));
    let described: Vec<_> = pages::tools().iter().map(|tool| tool.get_name().to_owned()).collect();
    assert_eq!(built, Some(&*described.join(" ")), "TOOLS of packaging/pages/mod.rs and Makefile");
}

/// Those of checks are looked at in `tests/contract.rs`.
#[test]
fn the_help_of_tools_fits_a_screen() {
    for tool in pages::tools() {
        let own = std::iter::once(&tool).chain(tool.get_subcommands());
        for command in own {
            let help = command.clone().render_long_help().to_string();
            let widest = help.lines().map(str::len).max();
            assert!(help.lines().count() <= 60, "{}: {help}", command.get_name());
            assert!(widest <= Some(100), "{}: {widest:?} columns\n{help}", command.get_name());
        }
    }
}

#[test]
fn only_packets_of_ones_own_are_for_everybody() {
    let lists = pages::lists::all();
    let list = |name: &str| {
        let of = lists.iter().find(|(path, _)| path.ends_with(name));
        of.expect("it is shipped").1.lines().filter(|line| !line.starts_with('#'))
    };
    for line in list("calipso-checks/rights") {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, capabilities, group] = words[..] else { panic!("{line}") };
        let weak = capabilities == "cap_net_raw";
        assert_eq!(group, if weak { "-" } else { "calipso-checks" }, "{name}");
    }
    for page in pages::checks() {
        let name = &page.entry.name;
        for link in [name.clone(), format!("{name}.py")] {
            let line = format!("{name} {link}");
            assert!(list("calipso-checks/links").any(|one| one == line), "{line}");
        }
    }
}
