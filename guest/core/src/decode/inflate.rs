//! The deflate format itself (RFC 1951), which gzip and zlib wrap.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Reason, Stepped};

/// A stream of deflate, raw or with the header and checksum of zlib.
#[derive(Debug)]
pub(super) struct Inflate {
    state: Decompress,
    ended: bool,
}

impl Inflate {
    pub(super) fn new(zlib: bool) -> Self {
        Self { state: Decompress::new(zlib), ended: false }
    }

    /// Begins another raw stream.
    #[cfg(feature = "gzip")]
    pub(super) fn reset(&mut self) {
        self.state.reset(false);
        self.ended = false;
    }

    /// Whether the last block of the stream came, and the checksum of zlib.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn step(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<Stepped, Reason> {
        /// The room that is prepared at once. It is zeroed first, so a small body should not pay for a large one.
        const PIECE: usize = 16 * 1024;

        let mut consumed = 0;
        while !self.ended {
            let start = out.len();
            if start >= limit {
                return Ok(Stepped { consumed, full: true });
            }
            out.resize(limit.min(start + PIECE), 0);
            let (taken, made) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(&input[consumed..], &mut out[start..], FlushDecompress::None);
            let taken = (self.state.total_in() - taken) as usize;
            let made = (self.state.total_out() - made) as usize;
            out.truncate(start + made);
            consumed += taken;
            self.ended = match status {
                Ok(Status::StreamEnd) => true,
                Ok(Status::Ok | Status::BufError) => false,
                Err(_) => return Err("holds what is not deflate, or a wrong checksum"),
            };
            // Room that was left proves nothing: the decoder stops where its window ends, though what it took gives more.
            if taken == 0 && made == 0 {
                break;
            }
        }
        Ok(Stepped { consumed, full: false })
    }
}
