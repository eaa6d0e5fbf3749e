//! See `calipso-doctor --help`.

use calipso_checks::doctor;

fn main() -> std::process::ExitCode {
    doctor::run(std::env::args_os())
}
