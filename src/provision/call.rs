//! Values as the checks themselves read them: one that its check refuses would make a check that is
//! UNKNOWN for ever.

use crate::checks::vservice::Role;
use crate::host::link::DeviceName;
use crate::host::mac::Mac;
use crate::host::netns::NetnsName;
use crate::host::words;
use crate::manifest::book::Book;
use crate::manifest::schema::{Piece, pieces};
use std::str::FromStr;

/// Whether the check that a command calls takes a value in the place of each of its fields. Programs
/// of others are not looked into.
///
/// # Errors
/// What the check says against one.
pub fn are_understood(
    book: &Book,
    command: &str,
    value: &dyn Fn(&str) -> Result<String, String>,
) -> Result<(), String> {
    let program = command.split(' ').find(|word| !word.is_empty() && !word.contains('='));
    let Some(binary) = program.and_then(|program| book.binary(program)) else { return Ok(()) };
    for piece in pieces(command)? {
        let Piece::Field(field) = piece else { continue };
        understood(binary, field, &value(field)?)
            .map_err(|why| format!("{binary} would refuse its {field}: {why}"))?;
    }
    Ok(())
}

/// Whether a check takes a value: as its argument of that meaning is parsed.
fn understood(binary: &str, field: &str, value: &str) -> Result<(), String> {
    match (binary, field) {
        ("check_pnic_ovs", "local_name") => parsed::<DeviceName>(value),
        ("check_vservice", "service_type") => parsed::<Role>(value),
        ("check_vservice" | "check_instance_vnic", "local_service_id") => {
            parsed::<NetnsName>(value)
        }
        ("check_vnic_vconnector" | "check_instance_vnic", "mac_address") => parsed::<Mac>(value),
        ("check_vconnector", "bd_id") => match value.parse() {
            Ok(1..0x0100_0000_u32) => Ok(()),
            _ => Err(format!("'{value}' is no number of a bridge domain")),
        },
        ("check_vm", "local_name")
        | ("check_vconnector", "name")
        | ("check_vnic_vconnector", "bridge")
        | ("check_ovs_port", "port_id")
        | ("check_link", "from" | "to") => words::name(value).map(drop),
        _ => Ok(()),
    }
}

fn parsed<T: FromStr<Err = String>>(value: &str) -> Result<(), String> {
    value.parse::<T>().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::list;
    use crate::provision::shell;
    use clap::Command;
    use std::path::Path;

    /// The command line of a check, all of it: too large to be shipped in one more binary.
    fn parser(binary: &str) -> Command {
        match binary {
            // The plan makes all that these get.
            "check_instance_communications" | "check_ping" => {
                Command::new("any").ignore_errors(true)
            }
            other => {
                let check = list::named(other);
                let check = check.unwrap_or_else(|| panic!("{other} is in the list of checks"));
                (check.command)()
            }
        }
    }

    /// A value that fits all other fields of a command.
    fn fitting(field: &str) -> &'static str {
        match field {
            "mac_address" => "fa:16:3e:00:00:01",
            "service_type" => "dhcp",
            "linktype" => "path",
            "bd_id" => "5",
            _ => "eth1",
        }
    }

    /// The table above and the parsers of the checks say the same of every field of every command.
    #[test]
    fn what_is_refused_is_what_the_checks_refuse() {
        let values = [
            "eth1",
            "eth1@if5",
            " ",
            "a/b",
            "a b",
            "..",
            ".",
            "$x",
            "0123456789abcdef",
            "br-int",
            "0",
            "5",
            "-5",
            "16777215",
            "16777216",
            "dhcp",
            "router",
            "balancer",
            "path",
            "fa:16:3e:00:00:01",
            "FA-16-3E-00-00-01",
            "fa:16",
            "x'y",
            "a:b",
            "a;b",
        ];
        let long = "x".repeat(256);
        let book = Book::load(Path::new("/nonexistent")).expect("the entries of this build");
        let mut seen = 0;
        for entry in book.entries() {
            for part in std::iter::once(&entry.calipso).chain(&entry.calipso_also) {
                for piece in pieces(&part.command).expect("a template") {
                    let Piece::Field(field) = piece else { continue };
                    let made = ["services_and_vnics", "otep_src_ip", "otep_dest_ip", "linktype"];
                    if made.contains(&field) {
                        continue;
                    }
                    for value in values.into_iter().chain([long.as_str()]) {
                        let of = |name: &str| {
                            let other = if name == field { value } else { fitting(name) };
                            Ok(other.to_owned())
                        };
                        // What would be an option is refused before.
                        let Ok(line) = shell::line(&part.command, &of) else { continue };
                        let words = shell::command(&line).expect("words").words;
                        let theirs = parser(&entry.name).try_get_matches_from(words);
                        let ours = are_understood(&book, &part.command, &of);
                        let all = format!("{line}: {ours:?}, but {theirs:?}");
                        assert_eq!(ours.is_ok(), theirs.is_ok(), "{all}");
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 200, "{seen}");
    }

    #[test]
    fn what_is_refused_is_told_in_the_words_of_the_check() {
        let book = Book::load(Path::new("/nonexistent")).expect("the entries of this build");
        let say = |command: &str, value: &str| {
            are_understood(&book, command, &|_| Ok(value.to_owned())).err().unwrap_or_default()
        };
        assert_eq!(
            say("PYTHONPATH=/x check_pnic_ovs.py {local_name}", "a/b"),
            "check_pnic_ovs would refuse its local_name: a device name cannot have '/' in it"
        );
        assert_eq!(say("own_check.sh {local_name}", "a/b"), "");
    }
}
