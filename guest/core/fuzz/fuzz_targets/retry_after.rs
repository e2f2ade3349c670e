//! `Retry-After`, and the delays between attempts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| urlpool_fuzz::retry_after(data));
