//! Shell lines: commands with values in them that no shell takes for more than values. Sensu runs
//! a command by `sh -c`; other systems want its words.

use crate::manifest::schema::{Piece, pieces};
use crate::provision::environment::is_secret;

/// The longest line: what the kernel takes as one argument of `sh -c` (MAX_ARG_STRLEN), its end
/// included.
const LONGEST: usize = 131_071;

/// How the shell reads the next character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Bare,
    Single,
    Double,
}

/// Where we are in a line.
struct Place {
    mode: Mode,
    /// The next character is behind a backslash.
    escaped: bool,
    /// Nothing of the present word was seen yet.
    fresh: bool,
}

impl Place {
    fn pass(&mut self, text: &str) {
        for c in text.chars() {
            if std::mem::take(&mut self.escaped) {
                self.fresh = false;
                continue;
            }
            match (self.mode, c) {
                (Mode::Bare, '\'') => self.mode = Mode::Single,
                (Mode::Bare, '"') => self.mode = Mode::Double,
                (Mode::Single, '\'') | (Mode::Double, '"') => self.mode = Mode::Bare,
                (Mode::Bare | Mode::Double, '\\') => self.escaped = true,
                (Mode::Bare, c) if c.is_whitespace() || "|&;()<>".contains(c) => self.fresh = true,
                _ => self.fresh = false,
            }
        }
    }
}

/// A shell line from its template: the value of each field is one word, or part of one, whatever
/// is in it.
///
/// # Errors
/// A field has no value, one that no line can carry, or the template is broken.
pub fn line(
    template: &str,
    value: &dyn Fn(&str) -> Result<String, String>,
) -> Result<String, String> {
    let mut line = String::new();
    let mut place = Place { mode: Mode::Bare, escaped: false, fresh: true };
    for piece in pieces(template)? {
        match piece {
            Piece::Text(text) => {
                place.pass(text);
                line.push_str(text);
            }
            Piece::Field(name) => {
                if place.escaped {
                    return Err(format!("a \\ before {{{name}}}"));
                }
                let value = value(name)?;
                passable(&value).map_err(|why| format!("{name} {why}"))?;
                if place.fresh && value.starts_with('-') {
                    let shown =
                        if is_secret(name) { String::new() } else { format!(": '{value}'") };
                    return Err(format!("{name} would be an option{shown}"));
                }
                place.fresh = false;
                line.push_str(&quoted(&value, place.mode));
            }
        }
    }
    if place.mode != Mode::Bare || place.escaped {
        return Err(format!("a quote of '{template}' is not closed"));
    }
    if line.len() > LONGEST {
        return Err(format!("its command would have {} bytes, more than {LONGEST}", line.len()));
    }
    Ok(line)
}

/// Whether a value arrives as it is: Sensu Core drops what is not ASCII from commands, and both
/// Sensus put values in place of their own tokens.
fn passable(value: &str) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("is empty");
    }
    if !value.is_ascii() {
        return Err("is not ASCII, which Sensu drops from commands");
    }
    if value.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("has a control character");
    }
    if value.contains(":::") || value.contains("{{") {
        return Err("looks like a token of Sensu");
    }
    Ok(())
}

/// Characters that mean themselves to every shell.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c)
}

fn quoted(value: &str, mode: Mode) -> String {
    // No backslash: not every reader of a line leaves them alone.
    const SINGLE: &str = "'\"'\"'";
    match mode {
        Mode::Bare if value.chars().all(is_plain) => value.to_owned(),
        Mode::Bare => format!("'{}'", value.replace('\'', SINGLE)),
        Mode::Single => value.replace('\'', SINGLE),
        Mode::Double => {
            let escape = |c: char| if "\\\"$`".contains(c) { vec!['\\', c] } else { vec![c] };
            value.chars().flat_map(escape).collect()
        }
    }
}

/// A word of a shell line.
pub fn word(value: &str) -> String {
    if value.is_empty() { "''".to_owned() } else { quoted(value, Mode::Bare) }
}

/// A command without the shell.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Its environment: `PYTHONPATH=/x`.
    pub assignments: Vec<(String, String)>,
    /// The program and its arguments.
    pub words: Vec<String>,
}

/// Takes a shell line apart; none where it takes a shell to run it (pipes, variables, patterns).
pub fn command(line: &str) -> Option<Command> {
    let mut words = words(line)?;
    let is_name = |text: &str| {
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let assignment = |word: &String| {
        word.split_once('=')
            .filter(|(name, _)| is_name(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let assignments: Vec<_> = words.iter().map_while(assignment).collect();
    words.drain(..assignments.len());
    (!words.is_empty()).then_some(Command { assignments, words })
}

fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut mode = Mode::Bare;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (mode, c) {
            (Mode::Bare, ' ' | '\t') => words.extend(word.take()),
            (Mode::Bare, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '\n' | '*' | '?' | '[')
            | (Mode::Bare | Mode::Double, '$' | '`') => return None,
            (Mode::Bare, '#' | '~' | '!') if word.is_none() => return None,
            (Mode::Bare, '\'') => mode = Mode::Single,
            (Mode::Bare, '"') => mode = Mode::Double,
            (Mode::Single, '\'') | (Mode::Double, '"') => mode = Mode::Bare,
            (Mode::Bare, '\\') => word.get_or_insert_default().push(chars.next()?),
            (Mode::Double, '\\') => {
                let next = chars.next()?;
                if !"\\\"$`".contains(next) {
                    word.get_or_insert_default().push('\\');
                }
                word.get_or_insert_default().push(next);
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
        if mode != Mode::Bare {
            word.get_or_insert_default();
        }
    }
    words.extend(word);
    (mode == Mode::Bare).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: [&str; 10] = [
        "a b",
        "$(reboot)",
        "`x`",
        "a'b",
        "a\"b",
        "a;b|c&d",
        "../../etc/passwd",
        "\\",
        "*",
        "~root",
    ];

    fn with(template: &str, value: &str) -> Result<String, String> {
        line(template, &|_| Ok(value.to_owned()))
    }

    #[test]
    fn a_value_is_one_word_wherever_it_stands() {
        for template in ["check {x}", "check '{x}'", "check \"{x}\"", "A=b check {x}"] {
            for value in NASTY {
                let line = with(template, value).expect(value);
                let command = command(&line).unwrap_or_else(|| panic!("{line}"));
                assert_eq!(command.words, ["check", value], "{line}");
            }
        }
        for template in ["check a{x}b c", "check 'a{x}b' c", "check \"a{x}b\" c"] {
            for value in NASTY {
                let line = with(template, value).expect(value);
                let command = command(&line).unwrap_or_else(|| panic!("{line}"));
                assert_eq!(command.words, ["check", &format!("a{value}b"), "c"], "{line}");
            }
        }
    }

    /// The same, and `sh` itself is asked.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "asks sh how it reads a line")]
    fn sh_agrees() {
        for template in ["printf %s {x}", "printf %s '{x}'", "printf %s \"{x}\""] {
            for value in NASTY {
                let line = with(template, value).expect(value);
                let sh = std::process::Command::new("sh").args(["-c", &line]).output().expect("sh");
                assert_eq!(String::from_utf8_lossy(&sh.stdout), value, "{line}");
            }
        }
    }

    #[test]
    fn plain_values_stay_readable() {
        assert_eq!(
            with("check_vconnector.py {x}", "qbr1f72bd15-8a").as_deref(),
            Ok("check_vconnector.py qbr1f72bd15-8a")
        );
        assert_eq!(
            with("c '{x}'", "qdhcp-1,fa:16:3e:00:00:01;q,b").as_deref(),
            Ok("c 'qdhcp-1,fa:16:3e:00:00:01;q,b'")
        );
    }

    #[test]
    fn what_no_line_can_carry_is_refused() {
        for value in ["", "a\nb", "a\u{fc}", "a\0b", ":::x:::", "{{ .name }}", "-rf", "--help"] {
            assert!(with("check {x}", value).is_err(), "{value:?}");
        }
        assert!(with("check '{x}'", "-rf").is_err());
        let secret = with("check {rabbitmq_pass}", "-hidden").expect_err("an option");
        assert_eq!(secret, "rabbitmq_pass would be an option");
        assert!(with("check a{x}", "-rf").is_ok());
        assert!(with("check {x}", &"x".repeat(200_000)).is_err());
        for template in ["check '{x}", "check \"{x}", "check \\{x}", "check \\"] {
            assert!(with(template, "a").is_err(), "{template}");
        }
    }

    #[test]
    fn what_takes_a_shell_is_known() {
        for line in ["a | b", "a > b", "a $X", "a \"$X\"", "a `b`", "a *", "a; b", "a ~", "'", ""] {
            assert_eq!(command(line), None, "{line}");
        }
        let command = command("PYTHONPATH=/x  check \"a\\\\b\" '' b=c").expect("words");
        assert_eq!(command.assignments, [("PYTHONPATH".to_owned(), "/x".to_owned())]);
        assert_eq!(command.words, ["check", "a\\b", "", "b=c"]);
    }

    #[test]
    fn a_word_is_read_back() {
        for value in NASTY.into_iter().chain([""]) {
            let line = format!("check {}", word(value));
            assert_eq!(command(&line).expect("words").words, ["check", value], "{line}");
        }
    }
}
