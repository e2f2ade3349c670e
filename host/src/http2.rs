//! One request over HTTP/2, on a connection that others use at the same time.

use crate::error::Failure;
use crate::head;
use crate::upload::Upload;
use crate::wire::{READ_BUFFER, Wire};
use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A handle to a connection, to send requests on.
pub(crate) type Sender = SendRequest<Bytes>;

/// What moves the bytes of a connection.
pub(crate) type Driver = Connection<Wire, Bytes>;

/// Begins to speak HTTP/2.
///
/// It does not wait for the server. How many requests the server takes at once, [`capacity`] tells once that is known.
pub(crate) async fn handshake(wire: Wire) -> Result<(Sender, Driver), h2::Error> {
    Builder::new()
        .enable_push(false)
        .initial_max_send_streams(UNKNOWN)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_header_list_size(HEAD)
        .max_send_buffer_size(SEND_BUFFER)
        .handshake(wire)
        .await
}

/// How many requests the server takes at once. None until its settings have come.
pub(crate) fn capacity(driver: &Driver) -> Option<usize> {
    // The limit of h2 is what was set above until then, and unbounded when the server names none.
    Some(driver.max_concurrent_send_streams()).filter(|streams| *streams != UNKNOWN)
}

/// Sends a request, whose URI is absolute, and waits for the head of its response.
///
/// The body goes on being sent while the response is read, as RFC 9113 §8.1 allows, on `runtime`.
pub(crate) async fn send(
    mut sender: Sender,
    mut head: Parts,
    upload: Upload,
    runtime: &Handle,
) -> Result<Response<Incoming>, Failed> {
    let unwritten = |error| Failed { error, unwritten: true };
    poll_fn(|cx| sender.poll_ready(cx)).await.map_err(unwritten)?;
    let ended = upload.is_end_stream();
    head::for_http2(&mut head, upload.size_hint().exact());
    let (response, stream) = sender.send_request(Request::from_parts(head, ()), ended).map_err(unwritten)?;
    let written = |error| Failed { error, unwritten: false };
    let mut response = pin!(response);
    let mut pump = (!ended).then(|| Pump { stream, upload, piece: Bytes::new() });
    let response = loop {
        let Some(pumping) = &mut pump else {
            break response.await.map_err(written)?;
        };
        tokio::select! {
            biased;
            response = response.as_mut() => break response.map_err(written)?,
            () = pumping => pump = None,
        }
    };
    let pump = pump.map(|pump| Pumping(runtime.spawn(pump)));
    let left = head::length(response.headers());
    Ok(response.map(|stream| Incoming { stream, left, trailing: false, _pump: pump }))
}

/// Why a request got no response.
pub(crate) struct Failed {
    pub(crate) error: h2::Error,
    /// Whether nothing of it was written.
    pub(crate) unwritten: bool,
}

/// Writes a request's body as fast as the server takes it.
struct Pump {
    stream: SendStream<Bytes>,
    upload: Upload,
    /// What is to be written next.
    piece: Bytes,
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            // Whatever the reason, the response tells it.
            if this.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            if !this.piece.is_empty() {
                this.stream.reserve_capacity(this.piece.len());
                match this.stream.poll_capacity(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
                    Poll::Ready(Some(Ok(room))) => {
                        let piece = this.piece.split_to(room.min(this.piece.len()));
                        let last = this.piece.is_empty() && this.upload.is_end_stream();
                        if this.stream.send_data(piece, last).is_err() || last {
                            return Poll::Ready(());
                        }
                    }
                }
                continue;
            }
            match Pin::new(&mut this.upload).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    let _closed = this.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(());
                }
                Poll::Ready(Some(Err(_))) => {
                    this.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(());
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => {
                        this.piece = piece;
                        if this.piece.is_empty() && this.upload.is_end_stream() {
                            let _closed = this.stream.send_data(Bytes::new(), true);
                            return Poll::Ready(());
                        }
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            let _closed = this.stream.send_trailers(trailers);
                        }
                        return Poll::Ready(());
                    }
                },
            }
        }
    }
}

/// A body that is sent in the background, until this is dropped.
struct Pumping(JoinHandle<()>);

impl Drop for Pumping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The body of a response. Dropped before its end, it takes the request back and leaves the connection to the others.
pub(crate) struct Incoming {
    stream: RecvStream,
    /// How much is to come, where the response says so.
    left: Option<u64>,
    /// Whether only trailers may still come.
    trailing: bool,
    /// What is still sent of the request, as long as this is read.
    _pump: Option<Pumping>,
}

impl Incoming {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        while !self.trailing {
            match std::task::ready!(self.stream.poll_data(cx)) {
                Some(Ok(piece)) => {
                    // Taken from h2, it no longer counts against what the server may send.
                    let _closed = self.stream.flow_control().release_capacity(piece.len());
                    self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
                    if !piece.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
                Some(Err(error)) if self.is_enough(&error) => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(Failure::http2(&error, true)))),
                None => self.trailing = true,
            }
        }
        match std::task::ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(Failure::http2(&error, true)))),
        }
    }

    /// Whether this only says that the server needs no more of the request, after all of the length that it declared.
    ///
    /// RFC 9113 §8.1: it is to say so after the end of its response, which h2 keeps in mind. Without that or a length, nobody
    /// can tell whether the response is whole.
    fn is_enough(&self, error: &h2::Error) -> bool {
        let whole = self.left == Some(0);
        error.is_reset() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR) && whole
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        // h2 holds a body against its length by itself.
        if self.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

/// Stands for a number of streams that the server has not told.
const UNKNOWN: usize = usize::MAX - 1;

/// How much of one response the server may send ahead of its reader: at 20 ms of round trip that is 100 MB a second.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;

/// The same for all responses of a connection, of which some may be read slowly.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// The largest frame a server may send; fewer frames cost fewer calls.
const FRAME: u32 = 256 * 1024;

/// The largest head that is read at all: larger than [`head::judge`] takes, since h2 does not tell what is larger from what is
/// malformed.
const HEAD: u32 = 4 * READ_BUFFER as u32;

/// How much of one request is buffered before its server takes it.
const SEND_BUFFER: usize = 1024 * 1024;
