//! Whether a response is whole, or ended because its instance did.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use wasmtime_wasi_http::{Error, WasiBody};

/// Whether the instance behind a response was dropped in the middle of its work.
#[derive(Clone, Default)]
pub(crate) struct Broken(Arc<AtomicBool>);

impl Broken {
    /// While this lives, the instance is at work. It has to be dropped before the instance is.
    pub(crate) fn unless_done(&self) -> AtWork {
        AtWork { broken: self.clone(), done: false }
    }

    fn is_so(&self) -> bool {
        // What ends the body, which the caller has seen, came after the store of this.
        self.0.load(Ordering::Acquire)
    }
}

/// An instance at work.
pub(crate) struct AtWork {
    broken: Broken,
    done: bool,
}

impl AtWork {
    /// It ended by itself.
    pub(crate) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if !self.done {
            self.broken.0.store(true, Ordering::Release);
        }
    }
}

/// A body whose end is believed only as long as its instance is not broken.
///
/// With the store that it comes from, wasmtime drops what would tell that the guest has finished a body, and then takes it for
/// finished: the client could not tell a part of a response from the whole. A body that was finished just before its
/// instance broke, and whose end was not read by then, is lost to that as well.
pub(crate) struct Whole {
    body: WasiBody,
    broken: Broken,
}

impl Whole {
    pub(crate) fn new(body: WasiBody, broken: Broken) -> Self {
        Self { body, broken }
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None if self.broken.is_so() => Poll::Ready(Some(Err(Error::HttpProtocolError))),
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
