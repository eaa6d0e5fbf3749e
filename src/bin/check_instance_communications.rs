//! See `checks-manifest/check_instance_communications.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::instance_communications::InstanceCommunications>()
}
