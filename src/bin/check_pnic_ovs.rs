//! See `checks-manifest/check_pnic_ovs.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::pnic_ovs::PnicOvs>()
}
