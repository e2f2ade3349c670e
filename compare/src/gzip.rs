//! Bodies in content codings.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

/// One member of gzip.
pub(crate) fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content.as_ref()).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

/// What the coding `deflate` is: zlib (RFC 9110 section 8.4.1.2).
pub(crate) fn zlib(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content.as_ref()).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

/// What some servers take the coding `deflate` for.
pub(crate) fn raw_deflate(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content.as_ref()).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}
