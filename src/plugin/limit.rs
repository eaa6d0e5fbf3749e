//! Limits on numbers (`-w`, `-c`: `[METRIC=]RANGE`) and expectations of facts
//! (`--expect FACT=VALUE[,VALUE...]`): one strict parser for all checks.

use crate::plugin::spec::{Code, Spec};
use crate::plugin::status::Status;
use std::fmt;
use std::str::FromStr;

/// The rule of ranges, for every `--help`.
pub const RANGE_RULE: &str = "RANGE: what is allowed. `10` is 0 to 10, `10:` at least 10, `~:10` \
at most 10, `5:10` between,\n`@5:10` not between; the ends are allowed (with @, not allowed).";

/// A Nagios range: the values that are allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    start: f64,
    end: f64,
    inverted: bool,
}

impl Range {
    /// Whether a value is outside of what the range allows.
    pub fn alerts(&self, value: f64) -> bool {
        let inside = self.start <= value && value <= self.end;
        inside == self.inverted
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| Err(format!("'{text}' is no range: {why}"));
        let (inverted, bare) = match text.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (start, end) = bare.split_once(':').unwrap_or(("", bare));
        if bare.is_empty() || bare == ":" {
            return bad("it is empty");
        }
        let start = match start {
            "" => Some(0.0),
            "~" => Some(f64::NEG_INFINITY),
            number => decimal(number),
        };
        let end = if end.is_empty() { Some(f64::INFINITY) } else { decimal(end) };
        match (start, end) {
            (Some(start), Some(end)) if start <= end => Ok(Self { start, end, inverted }),
            (Some(_), Some(_)) => bad("it starts above its end"),
            _ => bad("write [@]start:end in plain decimals"),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::plugin::text::number;
        let start = match self.start {
            s if s == f64::NEG_INFINITY => "~:".to_owned(),
            0.0 if self.end.is_finite() => String::new(),
            s => format!("{}:", number(s)),
        };
        let end = if self.end.is_finite() { number(self.end) } else { String::new() };
        write!(f, "{}{start}{end}", if self.inverted { "@" } else { "" })
    }
}

/// A number without exponent, sign words or spaces: what a person means by one.
pub fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    (plain(whole) && plain(fraction)).then(|| text.parse().ok())?
}

/// A decimal number that may begin with its point.
pub fn short_decimal(text: &str) -> Option<f64> {
    decimal(text).or_else(|| decimal(&format!("0{}", text.strip_prefix('.').map(|_| text)?)))
}

/// One `-w` or `-c`: a range, and the metric it is for (none: the check's main metric).
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The metric's name as written.
    pub metric: Option<String>,
    /// What is allowed.
    pub range: Range,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((metric, range)) => {
                Ok(Self { metric: Some(metric.to_owned()), range: range.parse()? })
            }
            None => Ok(Self { metric: None, range: text.parse()? }),
        }
    }
}

/// One value of `--warning` or `--critical` as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// `[METRIC=]RANGE`.
    Limit(Limit),
    /// What only one check understands, `1%/300/600`: a range has no `/`.
    Own(String),
}

impl FromStr for Written {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.contains('/') {
            true => Ok(Self::Own(text.to_owned())),
            false => text.parse().map(Self::Limit),
        }
    }
}

impl Limit {
    /// The name of the metric it is for.
    pub fn metric_name(&self, spec: &Spec) -> Result<String, String> {
        match (&self.metric, spec.main_metric) {
            (Some(name), _) if spec.metric(name).is_some() => Ok(name.clone()),
            (Some(name), _) => Err(format!("there is no metric '{name}' here; see --help")),
            (None, Some(main)) => Ok(main.to_owned()),
            (None, None) => Err("write METRIC=RANGE: this check has no main metric".to_owned()),
        }
    }
}

/// One `--expect FACT=VALUE[,VALUE...]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The fact's name.
    pub fact: String,
    /// Any of these is right.
    pub values: Vec<String>,
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (fact, values) = text.split_once('=').ok_or("write FACT=VALUE[,VALUE...]")?;
        if values.is_empty() {
            return Err(format!("no value is given for '{fact}'"));
        }
        Ok(Self { fact: fact.to_owned(), values: values.split(',').map(str::to_owned).collect() })
    }
}

/// One `--as CODE=STATUS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remap {
    /// The finding's code as written.
    pub code: String,
    /// What it counts as.
    pub status: Status,
}

impl FromStr for Remap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (code, status) = text.split_once('=').ok_or("write CODE=STATUS")?;
        Ok(Self { code: code.to_owned(), status: status.parse()? })
    }
}

impl Remap {
    /// What a finding counts as under these remaps; the last one for its code wins.
    pub fn apply(remaps: &[Self], code: &Code, status: Status) -> Status {
        remaps.iter().rev().find(|remap| remap.code == code.name).map_or(status, |r| r.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_alert_as_the_nagios_guideline_says() {
        let cases = [
            ("10", vec![-1.0, 10.1], vec![0.0, 10.0]),
            ("10:", vec![9.9, -1.0], vec![10.0, 1e9]),
            ("~:10", vec![10.1], vec![-1e9, 10.0]),
            ("10:20", vec![9.0, 21.0], vec![10.0, 20.0]),
            ("@10:20", vec![10.0, 20.0], vec![9.9, 20.1]),
            ("-5:-1.5", vec![-6.0, 0.0], vec![-5.0, -1.5]),
            ("0", vec![1.0], vec![0.0]),
            ("@~:0.5", vec![0.5, -9.0], vec![0.6]),
        ];
        for (text, alerts, quiet) in cases {
            let range: Range = text.parse().expect(text);
            assert!(alerts.iter().all(|v| range.alerts(*v)), "{text} alerts");
            assert!(quiet.iter().all(|v| !range.alerts(*v)), "{text} is quiet");
            assert_eq!(range.to_string(), text, "a range prints as it was written");
        }
    }

    #[test]
    fn nonsense_is_refused_not_guessed() {
        for text in [
            "", "@", ":", "~", "abc", "10x", "1e3", "10:5", "1:2:3", " 1", "1 ", "+1", ".5", "5.",
            "inf", "NaN", "0x10", "1,5", "--1", "~:~", "5:~", "@@1",
        ] {
            assert!(text.parse::<Range>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_limit_names_its_metric_or_means_the_main_one() {
        let limit: Limit = "rtt=5:10".parse().expect("a limit");
        assert_eq!(limit.metric.as_deref(), Some("rtt"));
        assert_eq!("5".parse::<Limit>().expect("a limit").metric, None);
        assert!("rtt=".parse::<Limit>().is_err());
    }

    #[test]
    fn what_has_a_slash_is_for_the_check_to_read() {
        assert_eq!("1%/3/6".parse(), Ok(Written::Own("1%/3/6".to_owned())));
        assert_eq!("1:3".parse(), "1:3".parse().map(Written::Limit));
        assert!("1%".parse::<Written>().is_err());
    }

    #[test]
    fn expectations_list_values_and_remaps_name_a_status() {
        let expect: Expectation = "duplex=full,half".parse().expect("an expectation");
        assert_eq!(expect.values, ["full", "half"]);
        assert!("duplex".parse::<Expectation>().is_err());
        assert!("duplex=".parse::<Expectation>().is_err());
        assert_eq!("a=OK".parse::<Remap>().expect("a remap").status, Status::Ok);
        assert!("a=fine".parse::<Remap>().is_err());
    }
}
