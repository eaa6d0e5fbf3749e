//! Names of the inventory as names of a monitoring system, and as words of a shell line. An id may
//! be any text; Sensu takes `[\w.-]` and no more.

use std::fmt::Write as _;

/// The longest name.
const LONGEST: usize = 255;
/// The longest name of a file or directory of ours, to which a renderer puts an ending: `.yaml`.
const LONGEST_FILE: usize = LONGEST - 5;

/// A text as (part of) a name: every character outside `[A-Za-z0-9_.-]` is written `---..NN..---`,
/// NN its decimal code point, which Calipso's event handler turns back.
pub fn encoded(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "_.-".contains(c) {
            name.push(c);
        } else {
            // Writing to a String cannot fail.
            write!(name, "---..{}..---", u32::from(c)).ok();
        }
    }
    name
}

/// An encoded text, if it can be the name of a check, a client or a file.
///
/// # Errors
/// It is empty or too long.
pub fn fitting(encoded: String) -> Result<String, String> {
    within(encoded, LONGEST)
}

fn within(encoded: String, longest: usize) -> Result<String, String> {
    match encoded.len() {
        0 => Err("an empty name".to_owned()),
        n if n > longest => Err(format!("its name would have {n} bytes, more than {longest}")),
        _ => Ok(encoded),
    }
}

/// The name of a file or directory for a text.
///
/// # Errors
/// It is empty or too long.
pub fn of_file(text: &str) -> Result<String, String> {
    // The only two of our names that mean another place.
    if text == "." || text == ".." {
        return Ok("---..46..---".repeat(text.len()));
    }
    within(encoded(text), LONGEST_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sensu_does_not_take_is_written_by_its_number() {
        assert_eq!(encoded("eth1-52:54/0"), "eth1-52---..58..---54---..47..---0");
        assert_eq!(
            encoded("a b;$(x)'\"\n\u{fc}\u{1f600}"),
            "a---..32..---b---..59..------..36..------..40..---x---..41..------..39..------..34..---\
             ---..10..------..252..------..128512..---"
        );
        assert_eq!(encoded("node-6.example.net_x"), "node-6.example.net_x");
    }

    #[test]
    fn no_name_leads_elsewhere_or_is_too_long() {
        for (text, name) in [("..", "---..46..------..46..---"), (".", "---..46..---"), ("a", "a")]
        {
            assert_eq!(of_file(text).as_deref(), Ok(name));
        }
        assert_eq!(of_file("../x").as_deref(), Ok("..---..47..---x"));
        assert!(of_file("").is_err());
        assert!(of_file(&"x".repeat(250)).is_ok());
        assert!(of_file(&"x".repeat(251)).is_err());
    }
}
