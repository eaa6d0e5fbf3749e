//! See `calipso-sweep --help`.

use calipso_checks::sweep;

fn main() -> std::process::ExitCode {
    sweep::run(std::env::args_os())
}
