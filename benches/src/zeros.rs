//! Bodies of zeros, of any length and without a copy.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// As many zeros as one piece holds.
pub(crate) static PIECE: [u8; 64 * 1024] = [0; 64 * 1024];

/// A body of so many zeros.
pub(crate) struct Zeros {
    left: u64,
}

impl Zeros {
    pub(crate) fn new(length: u64) -> Self {
        Self { left: length }
    }

    /// The next piece; empty at the end.
    pub(crate) fn take(&mut self, most: usize) -> Bytes {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE.len()).min(most);
        self.left -= length as u64;
        Bytes::from_static(&PIECE[..length])
    }
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.take(usize::MAX);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
