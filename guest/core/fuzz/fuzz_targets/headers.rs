//! Headers, methods, media types, and text in any charset.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| urlpool_fuzz::headers(data));
