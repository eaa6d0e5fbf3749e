//! See `checks-manifest/check_vservice.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::vservice::Vservice>()
}
