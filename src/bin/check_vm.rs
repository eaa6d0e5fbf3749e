//! See `checks-manifest/check_vm.toml`.

use calipso_checks::checks;

fn main() -> std::process::ExitCode {
    checks::run::<checks::vm::Vm>()
}
