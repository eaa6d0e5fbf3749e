//! Whatever bytes VPP sends, no reader of its text may panic or hang.
//!
//! `cargo +nightly fuzz run vpp_text fuzz/corpus/vpp_text tests/fixtures/vpp/25.10-healthy`
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| calipso_checks::host::vpp::read_by_all(bytes));
