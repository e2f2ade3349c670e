//! The body of a response as the host gives it: opened late, read in pieces, dropped in the right order.

use std::any::Any;

use bytes::Bytes;
use urlpool_core::Headers;
use urlpool_core::delivery::Part;
use wasip2::http::types::{FutureTrailers, IncomingBody, IncomingResponse, http_error_code};
use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, StreamError};

use crate::convert;
use crate::outgoing::Unfinished;

/// The most that is asked for at once: hosts give a frame, and their frames are smaller.
const READ: u64 = 256 * 1024;

/// Handles whose pollables were lent to the caller.
///
/// Dropping a parent before its child is a trap, and a lent pollable may live
/// until the resource that lent it goes. So whatever lent one goes here, and
/// this goes with that resource. Children stand before their parents.
#[derive(Default)]
pub(crate) struct Kept(Vec<Box<dyn Any>>);

impl Kept {
    /// Keeps this until the resource that lent its pollables goes.
    pub(crate) fn keep(&mut self, handle: impl Any) {
        self.0.push(Box::new(handle));
    }
}

/// A body that was not read to its end.
///
/// The fields stand in the order in which they must be dropped: pollables, then
/// streams, then the body, then the response. The unfinished request comes last,
/// for dropping it aborts the connection under the answer.
pub(crate) struct Incoming {
    ready: Option<Pollable>,
    trailers: Option<FutureTrailers>,
    stream: Option<InputStream>,
    body: Option<IncomingBody>,
    response: Option<IncomingResponse>,
    upload: Option<Unfinished>,
    /// Whether trailers may follow the body.
    wants_trailers: bool,
    lent: bool,
}

impl Incoming {
    /// The body of this response, and what was not yet written of its request.
    pub(crate) fn new(response: IncomingResponse, upload: Option<Unfinished>) -> Self {
        Self {
            ready: None,
            trailers: None,
            stream: None,
            body: None,
            response: Some(response),
            upload,
            wants_trailers: false,
            lent: false,
        }
    }

    /// Asks for trailers at the end, which costs a wait.
    pub(crate) fn want_trailers(&mut self) {
        self.wants_trailers = true;
    }

    /// The next piece, if there is one without waiting.
    pub(crate) fn next(&mut self) -> Option<Part> {
        // Only readiness of its pollable moves the future; asked by itself it would answer none for good.
        if self.trailers.is_some() && !self.pollable().ready() {
            return None;
        }
        if let Some(trailers) = &self.trailers {
            return match trailers.get()? {
                Ok(Ok(fields)) => {
                    Some(Part::End(fields.map_or_else(Headers::default, |fields| convert::headers(&fields))))
                }
                Ok(Err(code)) => Some(Part::Cut(Some(convert::code(code)))),
                Err(()) => Some(Part::End(Headers::default())),
            };
        }
        let Some(stream) = self.open() else { return Some(Part::Cut(None)) };
        match stream.read(READ) {
            Ok(bytes) if bytes.is_empty() => None,
            Ok(bytes) => Some(Part::Chunk(Bytes::from(bytes))),
            Err(StreamError::LastOperationFailed(error)) => Some(Part::Cut(http_error_code(&error).map(convert::code))),
            // A lent pollable may still hang on the stream, and without dropping that there are no trailers.
            Err(StreamError::Closed) if self.lent || !self.wants_trailers => Some(Part::End(Headers::default())),
            Err(StreamError::Closed) => {
                self.ready = None;
                self.stream = None;
                match self.body.take() {
                    Some(body) => {
                        self.trailers = Some(IncomingBody::finish(body));
                        self.next()
                    }
                    None => Some(Part::End(Headers::default())),
                }
            }
        }
    }

    /// The pollable that is ready when there may be another piece.
    pub(crate) fn pollable(&mut self) -> &Pollable {
        if self.ready.is_none() {
            self.ready = Some(self.subscribe());
        }
        self.ready.as_ref().expect("it was just made")
    }

    /// The same, if it is there already.
    pub(crate) fn ready(&self) -> Option<&Pollable> {
        self.ready.as_ref()
    }

    /// A pollable to lend to the caller.
    pub(crate) fn lend(&mut self) -> Pollable {
        self.lent = true;
        self.subscribe()
    }

    /// Gives up the handles, or keeps those that lent a pollable.
    pub(crate) fn retire(mut self, kept: &mut Kept) {
        self.ready = None;
        if self.lent {
            if let Some(trailers) = self.trailers.take() {
                kept.keep(trailers);
            }
            if let Some(stream) = self.stream.take() {
                kept.keep(stream);
            }
            if let Some(body) = self.body.take() {
                kept.keep(body);
            }
        }
    }

    /// The body as it is, and what was not yet written of its request; none once a stream of it was opened, for there is one only.
    pub(crate) fn into_raw(mut self) -> Option<(IncomingBody, Option<Unfinished>)> {
        if self.body.is_some() || self.trailers.is_some() {
            return None;
        }
        Some((self.response.as_ref()?.consume().ok()?, self.upload.take()))
    }

    fn subscribe(&mut self) -> Pollable {
        if let Some(trailers) = &self.trailers {
            return trailers.subscribe();
        }
        match self.open() {
            Some(stream) => stream.subscribe(),
            // Nothing to wait for: the next piece tells that there is none.
            None => crate::clock::timer_in(std::time::Duration::ZERO),
        }
    }

    fn open(&mut self) -> Option<&InputStream> {
        if self.stream.is_none() {
            if self.body.is_none() {
                self.body = self.response.as_ref()?.consume().ok();
            }
            self.stream = self.body.as_ref()?.stream().ok();
        }
        self.stream.as_ref()
    }
}
