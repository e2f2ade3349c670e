//! Lists of codings, and the limits of a body.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| urlpool_fuzz::codings(data));
