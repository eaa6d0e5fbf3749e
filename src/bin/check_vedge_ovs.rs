//! See `checks-manifest/check_vedge_ovs.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::vedge_ovs::VedgeOvs>()
}
