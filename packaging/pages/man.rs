//! Man pages.

use super::Page;
use super::section::{self, Block, Section};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

const MANUAL: &str = "Calipso checks";
/// In roff.
const SEE_ALSO: &str =
    "\\fBcalipso\\-doctor\\fR(1), \\fBcalipso\\-provision\\fR(1), \\fBcalipso\\-sweep\\fR(1)";

/// The page of a check, and its place.
pub fn of_check(page: &Page, date: &str) -> (String, String) {
    let man = man(&page.command, date);
    let mut text = Vec::new();
    man.render_title(&mut text)
        .and_then(|()| man.render_name_section(&mut text))
        .and_then(|()| man.render_synopsis_section(&mut text))
        .and_then(|()| man.render_options_section(&mut text))
        .expect("a Vec takes all");
    let mut text = String::from_utf8(text).expect("UTF-8");
    for section in section::of(&page.entry) {
        text += &rendered(&section);
    }
    text += &format!(".SH \"SEE ALSO\"\n{SEE_ALSO}\n");
    (place(page.command.get_name()), text)
}

/// The pages of a tool and of its subcommands.
pub fn of_tool(tool: &Command, date: &str) -> Vec<(String, String)> {
    let mut pages: Vec<_> =
        tool.get_subcommands().flat_map(|command| of_tool(command, date)).collect();
    let name = tool.get_display_name().unwrap_or(tool.get_name());
    let mut text = Vec::new();
    man(tool, date).render(&mut text).expect("a Vec takes all");
    let text = String::from_utf8(text).expect("UTF-8");
    // What clap calls after_help is what they exit with.
    pages.push((place(name), text.replace(".SH EXTRA\n", ".SH \"EXIT STATUS\"\n")));
    pages
}

fn man(command: &Command, date: &str) -> Man {
    let source = concat!("calipso-checks ", env!("CARGO_PKG_VERSION"));
    let title = command.get_display_name().unwrap_or(command.get_name()).to_uppercase();
    Man::new(command.clone()).title(title).date(date).manual(MANUAL).source(source)
}

fn place(name: &str) -> String {
    format!("usr/share/man/man1/{name}.1")
}

fn rendered(section: &Section) -> String {
    let mut roff = Roff::new();
    roff.control("SH", [section.title.to_uppercase().as_str()]);
    for (i, block) in section.blocks.iter().enumerate() {
        let paragraph = !matches!(block, Block::Terms(_)) && i > 0;
        if paragraph {
            roff.control("PP", []);
        }
        match block {
            Block::Text(text) => {
                roff.text([roman(text)]);
            }
            Block::Terms(terms) => {
                for (term, meaning) in terms {
                    roff.control("TP", []).text([bold(term)]).text([roman(meaning)]);
                }
            }
            Block::Lines(lines) => {
                roff.control("nf", []);
                for line in lines.lines() {
                    roff.text([roman(line)]);
                }
                roff.control("fi", []);
            }
        }
    }
    roff.to_roff()
}
