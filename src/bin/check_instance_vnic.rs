//! See `checks-manifest/check_instance_vnic.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::instance_vnic::InstanceVnic>()
}
