//! What writes the codings that the decoders read, none of it ours but for the plain form of br.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use urlpool_core::Entropy;
use urlpool_core::decode::Coding;

/// The body in this coding, at a random level.
pub(crate) fn encode(coding: Coding, body: &[u8], entropy: &mut Entropy) -> Vec<u8> {
    let drawn = entropy.draw();
    let level = Compression::new((drawn % 10) as u32);
    let raw = drawn & 1 << 32 == 0;
    let encoded = match coding {
        Coding::Gzip => written(GzEncoder::new(Vec::new(), level), body, GzEncoder::finish),
        Coding::Deflate if raw => written(DeflateEncoder::new(Vec::new(), level), body, DeflateEncoder::finish),
        Coding::Deflate => written(ZlibEncoder::new(Vec::new(), level), body, ZlibEncoder::finish),
        Coding::Br => stored_br(body),
        Coding::Zstd => {
            let level = if raw { CompressionLevel::Uncompressed } else { CompressionLevel::Fastest };
            let mut frame = compress_to_vec(body, level);
            if drawn & 1 << 33 == 0 {
                // RFC 8878 section 3.1.1.1: with a size of four bytes behind the window, which this encoder leaves out.
                frame[4] |= 0x80;
                frame.splice(6..6, (body.len() as u32).to_le_bytes());
            }
            frame
        }
    };
    // Which of both a raw stream is cannot be told from its first two bytes, when they are those of zlib.
    match coding {
        Coding::Deflate if raw && is_zlib(&encoded) => encode(coding, body, entropy),
        _ => encoded,
    }
}

/// What `ruzstd` makes of frames, up to so many bytes; none when it does not take them.
pub(crate) fn unzstd(mut body: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while !body.is_empty() {
        let decoder = StreamingDecoder::new(&mut body).ok()?;
        decoder.take((most - out.len()) as u64).read_to_end(&mut out).ok()?;
    }
    Some(out)
}

fn written<W: Write>(mut encoder: W, body: &[u8], finish: impl FnOnce(W) -> std::io::Result<Vec<u8>>) -> Vec<u8> {
    encoder.write_all(body).and_then(|()| finish(encoder)).expect("memory takes it")
}

/// The body as br without any compression (RFC 7932 section 9.2): meta-blocks of bytes as they are, and an empty last one.
fn stored_br(body: &[u8]) -> Vec<u8> {
    // The window of 16 bits is one bit, 0.
    let (mut bits, mut used, mut out) = (0_u64, 1, Vec::new());
    for block in body.chunks(1 << 16) {
        // Not the last; four nibbles of a length, less one; not compressed.
        bits |= (block.len() as u64 - 1) << (used + 3) | 1 << (used + 19);
        used += 20;
        out.extend_from_slice(&bits.to_le_bytes()[..(used as usize).div_ceil(8)]);
        out.extend_from_slice(block);
        (bits, used) = (0, 0);
    }
    // The last, and empty.
    bits |= 3 << used;
    out.push(bits as u8);
    out
}

/// Whether the bytes begin as zlib does (RFC 1950 section 2.2).
pub(crate) fn is_zlib(bytes: &[u8]) -> bool {
    matches!(*bytes, [first, second, ..] if first & 15 == 8 && first >> 4 < 8 && (u32::from(first) << 8 | u32::from(second)) % 31 == 0)
}
