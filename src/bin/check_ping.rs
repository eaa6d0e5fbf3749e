//! See `checks-manifest/check_ping.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::ping::Ping>()
}
