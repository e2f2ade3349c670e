//! Calls that share slots, whatever happens to them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| urlpool_fuzz::exchange(data));
