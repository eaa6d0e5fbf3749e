//! Words of a caller: names, paths and patterns, refused before anything is opened with them.

use regex::bytes::{Regex, RegexBuilder};
use std::path::PathBuf;

/// A name of anything but a device of the kernel: Open vSwitch allows longer ones.
///
/// # Errors
/// What is wrong with it.
pub fn name(text: &str) -> Result<String, String> {
    plain_name(text, "a name", 255).map(|()| text.to_owned())
}

/// Checks that a name is a name: not empty, not a path, nothing that a shell would read.
///
/// # Errors
/// What is wrong with it.
pub fn plain_name(text: &str, what: &str, max: usize) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.:@+,=%-".contains(c);
    match text {
        "" => Err(format!("{what} cannot be empty")),
        "." | ".." => Err(format!("'{text}' is not {what}")),
        _ if text.len() > max => {
            Err(format!("{what} has at most {max} bytes, this one {}", text.len()))
        }
        _ => match text.chars().find(|c| !good(*c)) {
            Some(bad) => Err(format!("{what} cannot have {bad:?} in it")),
            None => Ok(()),
        },
    }
}

/// A path that names one place whatever the working directory is.
///
/// # Errors
/// What is wrong with it.
pub fn absolute(text: &str) -> Result<PathBuf, String> {
    const LONGEST: usize = 1024;
    match text {
        _ if !text.starts_with('/') => Err(format!("'{text}' is no absolute path")),
        _ if text.len() > LONGEST => Err(format!("a path of more than {LONGEST} bytes")),
        _ if text.chars().any(char::is_control) => Err("a path with a control character".into()),
        _ => Ok(PathBuf::from(text)),
    }
}

/// A pattern of names.
///
/// # Errors
/// What is wrong with it.
pub fn regex(text: &str) -> Result<Regex, String> {
    const LONGEST: usize = 1024;
    if text.is_empty() || text.len() > LONGEST {
        return Err(format!("write 1 to {LONGEST} bytes"));
    }
    // Names are ASCII; tables of Unicode would be a third of the binary.
    let regex = RegexBuilder::new(text).unicode(false).build();
    regex.map_err(|e| e.to_string().lines().last().unwrap_or("no regex").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names() {
        let longest = "x".repeat(255);
        for good in ["lo", "eth0.100", "qvo1ab00001-01", "a:1", "br-int", "..a", &longest] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for (bad, why) in [
            ("", "a name cannot be empty"),
            (".", "'.' is not a name"),
            ("..", "'..' is not a name"),
            ("a/b", "a name cannot have '/' in it"),
            ("a b", "a name cannot have ' ' in it"),
            ("a;id", "a name cannot have ';' in it"),
            ("$(id)", "a name cannot have '$' in it"),
            ("a|b", "a name cannot have '|' in it"),
            ("a\nb", "a name cannot have '\\n' in it"),
            ("\u{fc}", "a name cannot have '\u{fc}' in it"),
            (&"x".repeat(256), "a name has at most 255 bytes, this one 256"),
        ] {
            assert_eq!(name(bad), Err(why.to_owned()));
        }
    }

    #[test]
    fn a_path_is_absolute_and_can_be_printed() {
        let of = |length: usize| format!("/{}", "x".repeat(length - 1));
        for good in ["/", "/run/a b", "/../x", &of(1024)] {
            assert_eq!(absolute(good), Ok(PathBuf::from(good)));
        }
        for (bad, why) in [
            ("", "'' is no absolute path"),
            ("run/x", "'run/x' is no absolute path"),
            ("/a\nb", "a path with a control character"),
            ("/a\0b", "a path with a control character"),
            (&of(1025), "a path of more than 1024 bytes"),
        ] {
            assert_eq!(absolute(bad), Err(why.to_owned()));
        }
    }

    #[test]
    fn a_pattern_is_of_bytes_and_what_is_wrong_with_one_is_a_line() {
        let is =
            |pattern: &str, text: &str| regex(pattern).expect("a regex").is_match(text.as_bytes());
        assert!(is("^tap", "tap1") && !is("^tap$", "tap1"));
        for bad in ["", &"x".repeat(1025)] {
            assert_eq!(regex(bad).err().as_deref(), Some("write 1 to 1024 bytes"));
        }
        assert_eq!(regex("tap(").err().as_deref(), Some("error: unclosed group"));
    }
}
