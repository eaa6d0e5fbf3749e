//! See `calipso-provision --help`.

use calipso_checks::provision;

fn main() -> std::process::ExitCode {
    provision::run(std::env::args_os())
}
