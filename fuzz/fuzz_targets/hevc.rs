//! See `hevc` in crates/media/tests/fuzz_drivers/mod.rs, which plain `cargo test` runs too.
#![no_main]

#[path = "../../crates/media/tests/fuzz_drivers/mod.rs"]
mod fuzz_drivers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_drivers::hevc(data));
