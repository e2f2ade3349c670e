//! The target `url` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| urlpool_fuzz::url(data));
