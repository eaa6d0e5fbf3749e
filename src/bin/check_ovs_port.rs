//! See `checks-manifest/check_ovs_port.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::ovs_port::OvsPort>()
}
