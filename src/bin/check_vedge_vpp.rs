//! See `checks-manifest/check_vedge_vpp.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::vedge_vpp::VedgeVpp>()
}
