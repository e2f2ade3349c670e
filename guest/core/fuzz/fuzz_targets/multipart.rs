//! Forms: written, read by another parser, and written again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| urlpool_fuzz::multipart(data));
