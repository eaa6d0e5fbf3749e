//! Commands as the checks themselves read them: a value that its check refuses would make a check
//! that is UNKNOWN for ever.

use crate::checks::{self, Check};
use crate::manifest::book::Book;
use crate::plugin::args;
use crate::provision::shell;
use clap::Command;
use std::collections::BTreeMap;

/// The command line parsers of the checks, each made when it is first needed.
#[derive(Debug)]
pub struct Calls<'b> {
    book: &'b Book,
    /// By binary; none for one that is not ours.
    parsers: BTreeMap<String, Option<Command>>,
}

impl<'b> Calls<'b> {
    /// Those of the entries of `book`.
    pub fn new(book: &'b Book) -> Self {
        Self { book, parsers: BTreeMap::new() }
    }

    /// Whether its check takes this shell line. Programs of others, and what takes a shell to run,
    /// are not looked into.
    ///
    /// # Errors
    /// What the check says against it.
    pub fn are_understood(&mut self, line: &str) -> Result<(), String> {
        let Some(command) = shell::command(line) else { return Ok(()) };
        let Some(binary) = command.words.first().and_then(|word| self.book.binary(word)) else {
            return Ok(());
        };
        let made = self.parsers.entry(binary.to_owned()).or_insert_with(|| parser(binary));
        let Some(parser) = made else { return Ok(()) };
        match parser.try_get_matches_from_mut(&command.words) {
            Ok(_) => Ok(()),
            Err(why) => Err(format!("{binary} would refuse its command: {}", first_line(&why))),
        }
    }
}

/// What of an error of clap's is about the values: its first paragraph, on one line.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = said.trim_start_matches("error: ").split_whitespace().collect();
    words.join(" ")
}

/// The command line of a binary of this suite.
fn parser(binary: &str) -> Option<Command> {
    Some(match binary {
        "check_instance_communications" => {
            of::<checks::instance_communications::InstanceCommunications>()
        }
        "check_instance_vnic" => of::<checks::instance_vnic::InstanceVnic>(),
        "check_link" => of::<checks::link::CheckLink>(),
        "check_otep" => of::<checks::otep::Otep>(),
        "check_ovs_port" => of::<checks::ovs_port::OvsPort>(),
        "check_ping" => of::<checks::ping::Ping>(),
        "check_pnic_ovs" => of::<checks::pnic_ovs::PnicOvs>(),
        "check_pnic_vpp" => of::<checks::pnic_vpp::PnicVpp>(),
        "check_vconnector" => of::<checks::vconnector::Vconnector>(),
        "check_vedge_ovs" => of::<checks::vedge_ovs::VedgeOvs>(),
        "check_vedge_vpp" => of::<checks::vedge_vpp::VedgeVpp>(),
        "check_vm" => of::<checks::vm::Vm>(),
        "check_vnic_vconnector" => of::<checks::vnic_vconnector::VnicVconnector>(),
        "check_vnic_vpp" => of::<checks::vnic_vpp::VnicVpp>(),
        "check_vservice" => of::<checks::vservice::Vservice>(),
        _ => return None,
    })
}

fn of<C: Check>() -> Command {
    args::command::<C::Args>(C::SPEC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::SOURCES;
    use std::path::Path;

    #[test]
    fn every_check_of_the_manifest_is_known() {
        for (name, _) in SOURCES {
            let parser = parser(name).unwrap_or_else(|| panic!("{name} is missing above"));
            assert_eq!(parser.get_name(), *name);
        }
    }

    #[test]
    fn what_a_check_refuses_is_told_in_its_words() {
        let book = Book::load(Path::new("/nonexistent")).expect("the entries of this build");
        let mut calls = Calls::new(&book);
        for (line, said) in [
            ("check_pnic_ovs ' '", Some("a device name cannot have ' ' in it")),
            ("check_pnic_ovs a/b", Some("a device name cannot have '/' in it")),
            ("check_pnic_ovs.py 0123456789abcdef", Some("at most 15 bytes")),
            ("check_vconnector a/b", Some("'/'")),
            ("check_vconnector --vpp br-int", Some("br-int")),
            ("check_vservice balancer x", Some("is no type of service")),
            ("check_vservice dhcp 'a b'", Some("' '")),
            ("PYTHONPATH=/x check_vnic_vconnector br-int fa:16", Some("is no MAC address")),
            ("check_ovs_port --iface-id", Some("--iface-id")),
            ("check_pnic_ovs eth1", None),
            ("check_pnic_ovs eth1 --warning speed:1000: --timeout 5", None),
            ("own_check.sh 'a b'", None),
            ("check_pnic_ovs 'a b' | mail", None),
        ] {
            match (calls.are_understood(line), said) {
                (Err(why), Some(said)) => {
                    assert!(why.contains(said) && !why.contains('\n'), "{line}: {why}");
                }
                (got, None) => assert_eq!(got, Ok(()), "{line}"),
                (got, _) => panic!("{line}: {got:?}"),
            }
        }
    }
}
