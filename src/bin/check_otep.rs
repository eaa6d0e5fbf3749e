//! See `checks-manifest/check_otep.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::otep::Otep>()
}
