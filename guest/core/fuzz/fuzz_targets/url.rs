//! URLs, their query and their userinfo.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| urlpool_fuzz::url(data));
