//! Writes down what the programs say of themselves: `pages stage DIR` what packages ship (man
//! pages, completions, lists and examples), `pages docs` what this repository shows.
#![allow(missing_docs, reason = "a tool of the build")]

#[path = "mod.rs"]
mod pages;

use std::fs;
use std::io::{Error, Result};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["stage", dir] => stage(Path::new(dir)),
        ["docs"] => docs(Path::new(env!("CARGO_MANIFEST_DIR"))),
        _ => Err(Error::other("usage: pages stage DIR | pages docs")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let said = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("pages: {why}\n").as_bytes(),
            );
            drop(said);
            ExitCode::FAILURE
        }
    }
}

fn stage(dir: &Path) -> Result<()> {
    let date = std::env::var("PAGES_DATE").map_err(|_| Error::other("PAGES_DATE=YYYY-MM-DD"))?;
    for (path, text) in pages::shipped(&date) {
        write(&dir.join(path), &text)?;
    }
    Ok(())
}

fn docs(top: &Path) -> Result<()> {
    for (path, text) in pages::markdown::all() {
        write(&top.join(path), &text)?;
    }
    let readme = top.join("README.md");
    let text = pages::markdown::with_options(&fs::read_to_string(&readme)?);
    fs::write(&readme, text.map_err(Error::other)?)
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, text).map_err(|why| Error::other(format!("{}: {why}", path.display())))
}
