//! The decoder of deflate, in zlib and raw.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| urlpool_fuzz::deflate(data));
