//! All checks, by area.

mod answers;
mod compare;
mod consumers;
mod faults;
mod forms;
mod http2;
mod httpbin;
mod reuse;
mod servers;
mod spin;
mod tls;
mod urls;

use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use crate::check::Check;

/// Every check, in the order in which they are begun: the long ones first.
pub(crate) fn all() -> Vec<Check> {
    [
        consumers::checks(),
        spin::checks(),
        answers::checks(),
        faults::checks(),
        forms::checks(),
        httpbin::checks(),
        compare::checks(),
        servers::checks(),
        urls::checks(),
        reuse::checks(),
        tls::checks(),
        http2::checks(),
    ]
    .concat()
}

/// Writes a file of so many MiB that never repeats itself, and gives its SHA-256.
fn write_large(path: &Path, mebibytes: u64) -> Result<[u8; 32]> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
    let mut digest = Sha256::new();
    let mut block = noise(1024 * 1024);
    for index in 0..mebibytes {
        block[..8].copy_from_slice(&index.to_be_bytes());
        file.write_all(&block)?;
        digest.update(&block);
    }
    Ok(digest.finalize().into())
}

/// Bytes without a pattern that a mistake could preserve, the same each time.
fn noise(length: usize) -> Vec<u8> {
    // Marsaglia's xorshift.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    };
    std::iter::repeat_with(next).take(length.div_ceil(8)).flatten().take(length).collect()
}

/// The SHA-256 of a file.
fn sha256_of(path: &Path) -> Result<[u8; 32]> {
    let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut digest = Sha256::new();
    std::io::copy(&mut file, &mut digest)?;
    Ok(digest.finalize().into())
}
