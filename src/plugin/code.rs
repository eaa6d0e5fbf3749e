//! The finding codes that every check shares: they speak of the looking, not of the object.

use crate::plugin::spec::Code;
use crate::plugin::status::Status;

/// What was asked did not answer before the deadline.
pub static TIMEOUT: Code = Code {
    name: "timeout",
    status: Status::Critical,
    meaning: "what was asked did not answer in time",
};
/// We were not allowed to look.
pub static FORBIDDEN: Code = Code {
    name: "forbidden",
    status: Status::Unknown,
    meaning: "not allowed to look; the text says what to grant",
};
/// The reply was not what was asked for.
pub static UNREADABLE: Code = Code {
    name: "unreadable",
    status: Status::Unknown,
    meaning: "a reply that could not be understood",
};
/// The command line is wrong.
pub static USAGE: Code =
    Code { name: "usage", status: Status::Unknown, meaning: "the command line is wrong" };
/// A fault of ours.
pub static INTERNAL: Code =
    Code { name: "internal", status: Status::Unknown, meaning: "a fault of this program" };
/// A metric is outside a range of `--warning` or `--critical`; its status is that of the option.
pub static LIMIT: Code = Code {
    name: "limit",
    status: Status::Critical,
    meaning: "outside a range of --warning or --critical",
};
/// A limit was given for a metric that could not be read.
pub static NO_VALUE: Code = Code {
    name: "no-value",
    status: Status::Unknown,
    meaning: "a limit or expectation on what could not be read",
};
/// A fact is not what `--expect` says.
pub static UNEXPECTED: Code =
    Code { name: "unexpected", status: Status::Critical, meaning: "not what --expect says" };

/// All of them, for `--as` and `--help`.
pub static COMMON: &[Code] = &[
    copy(&TIMEOUT),
    copy(&FORBIDDEN),
    copy(&UNREADABLE),
    copy(&USAGE),
    copy(&INTERNAL),
    copy(&LIMIT),
    copy(&NO_VALUE),
    copy(&UNEXPECTED),
];

const fn copy(code: &Code) -> Code {
    Code { name: code.name, status: code.status, meaning: code.meaning }
}
