//! See `checks-manifest/check_vconnector.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::vconnector::Vconnector>()
}
