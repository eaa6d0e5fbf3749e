//! See `checks-manifest/check_vnic_vpp.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::vnic_vpp::VnicVpp>()
}
