//! Where a redirect leads, as which method and with which headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| urlpool_fuzz::location(data));
