//! Requests and bodies, valid by construction.

use bytes::Bytes;

/// A stretch of a request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stream that the shell holds.
    Stream {
        /// Which of the request's streams.
        index: usize,
        /// Its exact length, when known.
        length: Option<u64>,
    },
}

/// The body of a request: pieces that are sent one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    pieces: Vec<Piece>,
}

impl Body {
    /// A body of these pieces.
    pub fn new(pieces: Vec<Piece>) -> Self {
        Self { pieces }
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

/// Whether a request of this method may be repeated though the server may have acted on it.
///
/// GET, HEAD, OPTIONS, TRACE, PUT and DELETE (RFC 9110 section 9.2.2), and QUERY.
pub fn is_idempotent(method: &http::Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE" | "QUERY")
}
