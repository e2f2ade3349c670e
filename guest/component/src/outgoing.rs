//! One attempt over wasi:http: the head goes out, then the body, while the answer is watched.

use std::time::Duration;

use bytes::Bytes;
use urlpool_core::error::Invalid;
use urlpool_core::exchange::Outbound;
use urlpool_core::failure::Failure;
use urlpool_core::upload::Want;
use urlpool_core::{ErrorCode, Exchange, Headers, Now};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{FutureIncomingResponse, IncomingResponse, OutgoingBody};
use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use crate::body::Kept;
use crate::drive::PIECES;
use crate::{clock, convert};

/// How soon an event loop looks again at what has no pollable to lend.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// From how much on the host is asked to move a piece of a body from its stream to the request by itself.
const WORTH_PASSING: u64 = 64 * 1024;

/// A stream that a request body is read from. The pollable is its child and drops first.
pub(crate) struct Source {
    ready: Option<Pollable>,
    stream: InputStream,
}

impl Source {
    /// A source that reads this stream.
    pub(crate) fn new(stream: InputStream) -> Self {
        Self { ready: None, stream }
    }
}

/// A request that was handed to the host and not answered yet.
///
/// The fields stand in the order in which they must be dropped.
pub(crate) struct Attempt {
    writing: Writing,
    answer: Option<Pollable>,
    future: FutureIncomingResponse,
    lent: bool,
}

/// A body on its way to the host.
struct Writing {
    upload: Option<Unfinished>,
    trailers: Headers,
    waits: Waits,
    flushed: bool,
}

/// What is not yet written of a request. Dropping it aborts the request, so it outlives the answer.
pub(crate) struct Unfinished {
    room: Option<Pollable>,
    output: Option<OutputStream>,
    body: Option<OutgoingBody>,
}

/// What the writing of the body waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Nothing,
    /// The others' turn, though there was room still.
    Turn,
    Room,
    Source(usize),
}

/// Which pollable of an attempt a place in the list of a poll belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// The answer.
    Answer,
    /// Room to write, or more of the body to be written.
    Body,
}

impl Attempt {
    /// Hands the request to the host.
    ///
    /// A small body is written before: it goes out with the head then, and no server answers while it is under way.
    pub(crate) fn start(
        outbound: Outbound,
        exchange: &mut Exchange,
        sources: &mut [Source],
        now: Now,
    ) -> Result<Self, Failure> {
        let (request, options) = convert::outgoing(&outbound).map_err(Failure::Failed)?;
        let upload = if outbound.has_body {
            let failed =
                || Failure::Failed(ErrorCode::InternalError(Some("the host gives no body to write".to_owned())));
            let body = request.body().map_err(|()| failed())?;
            let output = body.write().map_err(|()| failed())?;
            Some(Unfinished { room: None, output: Some(output), body: Some(body) })
        } else {
            None
        };
        let mut writing = Writing { upload, trailers: outbound.trailers, waits: Waits::Nothing, flushed: false };
        if exchange.upload().is_handed_over_at_once() {
            writing.go_on(exchange, sources, now)?;
        }
        let future =
            outgoing_handler::handle(request, Some(options)).map_err(|code| Failure::Failed(convert::code(code)))?;
        Ok(Self { writing, answer: None, future, lent: false })
    }

    /// Writes as much of the body as there is room and content for, and as one turn allows.
    pub(crate) fn write(&mut self, exchange: &mut Exchange, sources: &mut [Source], now: Now) -> Result<(), Failure> {
        self.writing.go_on(exchange, sources, now)
    }

    /// The answer, once its pollable was ready.
    pub(crate) fn answer(&mut self) -> Option<Result<IncomingResponse, ErrorCode>> {
        match self.future.get()? {
            Ok(answer) => Some(answer.map_err(convert::code)),
            Err(()) => Some(Err(ErrorCode::InternalError(Some("the host gave the answer away".to_owned())))),
        }
    }

    /// Gets the pollables to wait for, as far as they are not there yet.
    pub(crate) fn subscribe(&mut self, sources: &mut [Source]) {
        match self.writing.waits {
            Waits::Nothing => {}
            Waits::Turn | Waits::Room => {
                if let Some(Unfinished { room, output: Some(output), .. }) = &mut self.writing.upload {
                    room.get_or_insert_with(|| output.subscribe());
                }
            }
            Waits::Source(index) => {
                let Source { ready, stream } = &mut sources[index];
                ready.get_or_insert_with(|| stream.subscribe());
            }
        }
        let future = &self.future;
        self.answer.get_or_insert_with(|| future.subscribe());
    }

    /// The pollables to wait for, and what each means.
    pub(crate) fn watch<'a>(&'a self, sources: &'a [Source], mut each: impl FnMut(Watched, &'a Pollable)) {
        let body = match self.writing.waits {
            Waits::Nothing => None,
            Waits::Turn | Waits::Room => self.writing.upload.as_ref().and_then(|upload| upload.room.as_ref()),
            Waits::Source(index) => sources[index].ready.as_ref(),
        };
        if let Some(body) = body {
            each(Watched::Body, body);
        }
        if let Some(answer) = &self.answer {
            each(Watched::Answer, answer);
        }
    }

    /// Pollables to lend to the caller.
    ///
    /// While the body is being written, one of them is a short timer: the output
    /// has to go before the body can be finished, so nothing may hang on it.
    pub(crate) fn lend(&mut self) -> Vec<Pollable> {
        self.lent = true;
        let mut lent = vec![self.future.subscribe()];
        if self.writing.waits != Waits::Nothing {
            lent.push(clock::timer_in(LOOK_AGAIN));
        }
        lent
    }

    /// Gives up the handles but for what must outlive the answer, or keeps those that lent a pollable.
    pub(crate) fn retire(mut self, kept: &mut Kept) -> Option<Unfinished> {
        self.answer = None;
        let mut upload = self.writing.upload.take();
        if let Some(upload) = &mut upload {
            upload.room = None;
        }
        if self.lent {
            kept.keep(self.future);
        }
        upload.filter(|upload| upload.body.is_some())
    }
}

impl Writing {
    /// Writes as much of the body as there is room and content for, and as one turn allows.
    fn go_on(&mut self, exchange: &mut Exchange, sources: &mut [Source], now: Now) -> Result<(), Failure> {
        for _ in 0..PIECES {
            let Some(output) = self.upload.as_ref().and_then(|upload| upload.output.as_ref()) else { return Ok(()) };
            let room = match output.check_write() {
                Ok(room) => usize::try_from(room).unwrap_or(usize::MAX),
                // The host wants no more of it. What that means, the answer will tell.
                Err(_) => return self.stop(exchange, now),
            };
            if room == 0 {
                self.waits = Waits::Room;
                return Ok(());
            }
            if self.waits == Waits::Room {
                exchange.wrote(now);
            }
            self.waits = Waits::Nothing;
            match exchange.upload().want(room) {
                Want::Write(bytes) => {
                    if output.write(&bytes).is_err() {
                        return self.stop(exchange, now);
                    }
                    exchange.accepted(bytes.len() as u64, now);
                }
                // What is not kept for another attempt need not come by here.
                Want::Read { stream, at_most } if at_most >= WORTH_PASSING && !exchange.upload().replayable() => {
                    // Two bytes less than may come, so that the last one is read: with one too many behind it, if there is.
                    match output.splice(&sources[stream].stream, at_most - 2) {
                        Ok(0) => {
                            self.waits = Waits::Source(stream);
                            return Ok(());
                        }
                        Ok(passed) => {
                            exchange.upload().passed(stream, passed).map_err(Failure::Body)?;
                            exchange.accepted(passed, now);
                        }
                        // It does not say which of the two has failed.
                        Err(_) if output.check_write().is_err() => return self.stop(exchange, now),
                        Err(StreamError::Closed) => exchange.upload().end(stream).map_err(Failure::Body)?,
                        Err(StreamError::LastOperationFailed(_)) => return Err(Failure::Body(Invalid::BodyStream)),
                    }
                }
                Want::Read { stream, at_most } => match sources[stream].stream.read(at_most) {
                    Ok(bytes) if bytes.is_empty() => {
                        self.waits = Waits::Source(stream);
                        return Ok(());
                    }
                    Ok(bytes) => {
                        exchange.upload().supply(stream, Bytes::from(bytes)).map_err(Failure::Body)?;
                    }
                    Err(StreamError::Closed) => exchange.upload().end(stream).map_err(Failure::Body)?,
                    Err(StreamError::LastOperationFailed(_)) => return Err(Failure::Body(Invalid::BodyStream)),
                },
                // Hosts may hold back what was not flushed; room after it says that it went.
                Want::Done if !self.flushed => {
                    self.flushed = true;
                    if output.flush().is_err() {
                        return self.stop(exchange, now);
                    }
                }
                Want::Done => return self.finish(exchange, now),
            }
        }
        self.waits = Waits::Turn;
        Ok(())
    }

    /// Writes no more; the answer is all that is waited for.
    fn stop(&mut self, exchange: &mut Exchange, now: Now) -> Result<(), Failure> {
        self.waits = Waits::Nothing;
        exchange.sent(now);
        Ok(())
    }

    fn finish(&mut self, exchange: &mut Exchange, now: Now) -> Result<(), Failure> {
        let Some(mut upload) = self.upload.take() else { return Ok(()) };
        let Some(body) = upload.body.take() else { return Ok(()) };
        upload.room = None;
        drop(upload);
        let trailers = match self.trailers.is_empty() {
            true => None,
            false => Some(convert::fields(&self.trailers).map_err(Failure::Failed)?),
        };
        OutgoingBody::finish(body, trailers).map_err(|code| Failure::Failed(convert::code(code)))?;
        exchange.sent(now);
        Ok(())
    }
}
