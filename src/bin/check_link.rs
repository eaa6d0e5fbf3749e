//! See `checks-manifest/check_link.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::link::CheckLink>()
}
