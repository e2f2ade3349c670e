//! The target `codings` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| urlpool_fuzz::codings(data));
