//! A response's body as it comes off the connection, in either version of HTTP.

use crate::error::Failure;
use crate::http2;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The pieces of a response's body.
pub(crate) enum Incoming {
    Http1(hyper::body::Incoming),
    Http2(http2::Incoming),
}

impl Incoming {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self {
            Self::Http1(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|error| Failure::http(&error, true)))),
            Self::Http2(body) => body.poll_frame(cx),
        }
    }

    /// Whether it is known already that nothing more comes.
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
