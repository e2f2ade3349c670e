//! A host-made input stream that yields what a script says, when it says.

use crate::request::Pieces;
use bytes::Bytes;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;
use wasmtime_wasi_io::{
    poll::Pollable,
    streams::{InputStream, StreamError, StreamResult},
};

/// Pieces of a stream with pauses between them and, if asked for, a failure at the end.
pub(crate) struct PieceStream {
    pieces: VecDeque<Bytes>,
    gap: Duration,
    /// Before this moment the next piece is not there yet.
    next_at: Option<Instant>,
    fail: bool,
}

impl From<Pieces> for PieceStream {
    fn from(script: Pieces) -> Self {
        let pieces = script.chunks.into_iter().map(|chunk| Bytes::from(chunk.into_bytes()));
        Self {
            // An empty read would mean "not ready", so there are no empty pieces.
            pieces: pieces.filter(|piece| !piece.is_empty()).collect(),
            gap: script.gap.unwrap_or_default(),
            next_at: None,
            fail: script.fail,
        }
    }
}

#[async_trait::async_trait]
impl Pollable for PieceStream {
    async fn ready(&mut self) {
        if let Some(moment) = self.next_at {
            tokio::time::sleep_until(moment).await;
        }
    }
}

#[async_trait::async_trait]
impl InputStream for PieceStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.next_at.is_some_and(|moment| Instant::now() < moment) {
            return Ok(Bytes::new());
        }
        let Some(piece) = self.pieces.front_mut() else {
            return Err(match std::mem::take(&mut self.fail) {
                true => StreamError::LastOperationFailed(wasmtime::format_err!(
                    "the stream failed, as the script told it to"
                )),
                false => StreamError::Closed,
            });
        };
        let read = piece.split_to(piece.len().min(size));
        if piece.is_empty() {
            self.pieces.pop_front();
            self.next_at = (!self.gap.is_zero()).then(|| Instant::now() + self.gap);
        }
        Ok(read)
    }
}

/// A moment that a component can wait for.
pub(crate) struct Timer(pub(crate) Instant);

#[async_trait::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        tokio::time::sleep_until(self.0).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Chunk;

    fn stream(fail: bool, gap: Duration) -> PieceStream {
        let text = |text: &str| Chunk::Text(text.into());
        PieceStream::from(Pieces { chunks: vec![text("abc"), text(""), text("d")], length: None, gap: Some(gap), fail })
    }

    #[tokio::test]
    async fn pieces_come_whole_or_as_much_as_is_wanted() {
        let mut stream = stream(false, Duration::ZERO);
        assert_eq!(stream.read(2).unwrap(), "ab");
        assert_eq!(stream.read(2).unwrap(), "c");
        assert_eq!(stream.read(9).unwrap(), "d");
        assert!(matches!(stream.read(9), Err(StreamError::Closed)));
    }

    #[tokio::test]
    async fn a_gap_is_a_time_of_empty_reads() {
        let gap = Duration::from_millis(50);
        let mut stream = stream(false, gap);
        let begun = Instant::now();
        assert_eq!(stream.read(9).unwrap(), "abc");
        assert_eq!(stream.read(9).unwrap(), "");
        stream.ready().await;
        assert!(begun.elapsed() >= gap);
        assert_eq!(stream.read(9).unwrap(), "d");
    }

    #[tokio::test]
    async fn a_stream_fails_once_and_is_closed_then() {
        let mut stream = stream(true, Duration::ZERO);
        while stream.read(9).is_ok() {}
        assert!(matches!(stream.read(9), Err(StreamError::Closed)));
    }
}
