//! See `checks-manifest/check_pnic_vpp.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::pnic_vpp::PnicVpp>()
}
