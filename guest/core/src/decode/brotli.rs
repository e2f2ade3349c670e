//! The coding `br` (RFC 7932).

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Codec, Reason, Stepped};

pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    /// Whether a byte came.
    begun: bool,
    ended: bool,
}

impl Default for Brotli {
    fn default() -> Self {
        // Strict: windows beyond the 16 MiB of RFC 7932 are no part of the coding `br`.
        let state =
            BrotliState::new_strict(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
        Self { state, begun: false, ended: false }
    }
}

impl Codec for Brotli {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<Stepped, Reason> {
        /// The room that is prepared at once. It is zeroed first, so a small body should not pay for a large one.
        const PIECE: usize = 16 * 1024;

        let mut consumed = 0;
        self.begun |= !input.is_empty();
        while self.begun && !self.ended {
            let start = out.len();
            if start >= limit {
                return Ok(Stepped { consumed, full: true });
            }
            out.resize(limit.min(start + PIECE), 0);
            let offered = out.len() - start;
            let (mut left, mut room, mut made, mut total) = (input.len() - consumed, offered, 0, 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut consumed,
                input,
                &mut room,
                &mut made,
                &mut out[start..],
                &mut total,
                &mut self.state,
            );
            out.truncate(start + made);
            match result {
                BrotliResult::ResultSuccess => self.ended = true,
                // It asks for input first: with no room left, it may hold output back as well.
                BrotliResult::NeedsMoreInput if made < offered => break,
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultFailure => return Err("holds what is not brotli"),
            }
        }
        if self.ended {
            consumed = input.len();
        }
        Ok(Stepped { consumed, full: false })
    }

    fn is_whole(&self) -> bool {
        self.ended || !self.begun
    }
}

impl fmt::Debug for Brotli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brotli").field("ended", &self.ended).finish_non_exhaustive()
    }
}
