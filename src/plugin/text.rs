//! What may be printed: ASCII without control bytes, and without the one byte that means perfdata.

/// Replaces what would break a line of output: line breaks and tabs become spaces, `|` becomes
/// `/`, every other control or non-ASCII character becomes `?`.
pub fn line(foreign: &str) -> String {
    foreign
        .trim_end()
        .chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            '|' => '/',
            c if c.is_ascii_graphic() || c == ' ' => c,
            _ => '?',
        })
        .collect()
}

/// A perfdata or path label: everything outside `[A-Za-z0-9_.:-]` becomes `_`.
pub fn label(foreign: &str) -> String {
    foreign
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() => c,
            '_' | '.' | ':' | '-' => c,
            _ => '_',
        })
        .collect()
}

/// At most `max` bytes of an ASCII line, the cut marked by `...`.
pub fn cut(mut ascii: String, max: usize) -> String {
    if ascii.len() > max {
        ascii.truncate(max.saturating_sub(3));
        ascii.push_str("...");
    }
    ascii
}

/// A number in plain decimals: no exponent, no trailing zeros, at most six places.
pub fn number(value: f64) -> String {
    let fixed = format!("{value:.6}");
    match fixed.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        short => short.to_owned(),
    }
}

/// A count with its noun: `1 port`, `2 ports`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// A span of time as people say it: `42 s`, `7 min`, `3 h 20 min`, `12 d 4 h`.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{minutes} min"),
        7200..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_forge_a_line_or_perfdata() {
        assert_eq!(line("a|b\nc\td\u{1b}[31m\u{fc}"), "a/b c d?[31m?");
        assert_eq!(label("tap 1='x'|y"), "tap_1__x__y");
    }

    #[test]
    fn numbers_are_plain_decimals() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1e21, "1000000000000000000000"),
            (1.5e-5, "0.000015"),
            (1e-9, "0"),
            (-1e-9, "0"),
            (7.692_307_69, "7.692308"),
            (10.0, "10"),
        ] {
            assert_eq!(number(value), text, "{value}");
        }
    }

    #[test]
    fn cuts_are_marked_and_exact() {
        assert_eq!(cut("abcdef".into(), 6), "abcdef");
        assert_eq!(cut("abcdefg".into(), 6), "abc...");
    }

    #[test]
    fn spans_read_like_speech() {
        let said: Vec<_> = [59, 600, 7200, 200_000].iter().map(|s| span(*s)).collect();
        assert_eq!(said, ["59 s", "10 min", "2 h 0 min", "2 d 7 h"]);
    }
}
