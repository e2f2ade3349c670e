//! A response's body: its timeout, its end, and what becomes of the connection then.

use crate::error::Failure;
use crate::head::Disposition;
use crate::idle::Hint;
use crate::incoming::Incoming;
use crate::lease::Lease;
use crate::stats::Close;
use crate::upload::Progress;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// The body of a response.
///
/// At its end the connection goes back to the pool. Dropped before, up to a bound of bytes and time is read and thrown away
/// in the background so that the connection can be kept; beyond that it is closed. For the first moments of that, further
/// requests to the same origin wait for the connection instead of opening another.
pub struct ResponseBody {
    /// None once the body is over.
    open: Option<Open>,
    upload: Arc<Progress>,
    disposition: Disposition,
    between_bytes: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// What came and is not handed out yet, so that small frames are handed out together.
    held: Vec<Bytes>,
    held_bytes: usize,
    /// How often hyper was given time to add to it.
    turns: u32,
    /// What came behind the frame that was handed out last.
    ahead: Option<Result<Frame<Bytes>, Failure>>,
    drain: Drain,
}

/// A body that has not ended, and the connection it comes over.
struct Open {
    incoming: Incoming,
    lease: Lease,
    /// The guest's right to have the request in flight.
    quota: Option<OwnedSemaphorePermit>,
}

/// What holds for a response's body, whatever the response says.
pub(crate) struct Terms {
    pub(crate) between_bytes: Duration,
    pub(crate) drain: Drain,
    pub(crate) quota: Option<OwnedSemaphorePermit>,
}

/// How much of a dropped body is read, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    pub(crate) bytes: u64,
    pub(crate) within: Duration,
}

impl ResponseBody {
    pub(crate) fn new(
        incoming: Incoming,
        lease: Lease,
        upload: Arc<Progress>,
        disposition: Disposition,
        terms: Terms,
    ) -> Self {
        let Terms { between_bytes, drain, quota } = terms;
        let mut body = Self {
            open: Some(Open { incoming, lease, quota }),
            upload,
            disposition,
            between_bytes,
            timer: None,
            held: Vec::new(),
            held_bytes: 0,
            turns: 0,
            ahead: None,
            drain,
        };
        if body.open.as_ref().is_some_and(|open| open.incoming.is_end_stream()) {
            body.finish();
        }
        body
    }

    /// Waits until it is known whether all of the request's body was sent, which may be long after its response began.
    ///
    /// It keeps nothing alive but that knowledge.
    pub(crate) fn request_sent(&self) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
        let upload = Arc::clone(&self.upload);
        async move { upload.sent().await }
    }

    /// Asks hyper for a frame, and parts with the connection at the end.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Some(open) = &mut self.open else {
            return Poll::Ready(None);
        };
        match open.incoming.poll_frame(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => {
                // The last frame of a sized body, and trailers, are the end; nobody may ask again.
                if open.incoming.is_end_stream() || frame.is_trailers() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(failure))) => {
                self.abandon(Close::Failed);
                Poll::Ready(Some(Err(failure)))
            }
        }
    }

    /// Puts a piece behind those that are held. True once together they are worth a call of their reader.
    fn hold(&mut self, piece: Bytes) -> bool {
        self.held_bytes += piece.len();
        self.held.push(piece);
        self.held_bytes >= GATHERED || self.is_over()
    }

    /// Hands out what is held, as one piece.
    fn hand_out(&mut self) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let bytes = std::mem::take(&mut self.held_bytes);
        self.turns = 0;
        let piece = if self.held.len() > 1 {
            let mut joined = BytesMut::with_capacity(bytes);
            self.held.drain(..).for_each(|piece| joined.extend_from_slice(&piece));
            joined.freeze()
        } else {
            self.held.pop().unwrap_or_default()
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_over(&self) -> bool {
        self.open.is_none() && self.ahead.is_none()
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let between_bytes = self.between_bytes;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(between_bytes)));
        // A timer of zero would still wait for the next tick of the clock.
        if between_bytes.is_zero() { Poll::Ready(()) } else { timer.as_mut().poll(cx) }
    }

    fn finish(&mut self) {
        let Some(Open { lease, .. }) = self.open.take() else {
            return;
        };
        match self.disposition {
            Disposition::Close(reason) => lease.close(reason),
            // The server answered without the whole request; the rest of it would be taken for the next one.
            Disposition::Keep(_) if !self.upload.over() || lease.traffic().deaf() => {
                lease.close(Close::AnsweredEarly);
            }
            Disposition::Keep(hint) => lease.give_back(hint),
        }
    }

    fn abandon(&mut self, reason: Close) {
        if let Some(open) = self.open.take() {
            open.lease.close(reason);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        if let Some(ahead) = this.ahead.take() {
            return Poll::Ready(Some(ahead));
        }
        let before = this.held.len();
        loop {
            match this.poll_incoming(cx) {
                Poll::Ready(frame) => {
                    this.timer = None;
                    let frame = match frame {
                        Some(Ok(frame)) => match frame.into_data() {
                            // All of a small body, which most are.
                            Ok(data) if this.held.is_empty() && this.is_over() => {
                                return Poll::Ready(Some(Ok(Frame::data(data))));
                            }
                            Ok(data) => match this.hold(data) {
                                true => return this.hand_out(),
                                false => continue,
                            },
                            Err(trailers) => Some(Ok(trailers)),
                        },
                        other => other,
                    };
                    if this.held.is_empty() {
                        return Poll::Ready(frame);
                    }
                    this.ahead = frame;
                    return this.hand_out();
                }
                Poll::Pending if this.held.is_empty() => {
                    return this.poll_late(cx).map(|()| {
                        this.timer = None;
                        this.abandon(Close::TimedOut);
                        Some(Err(Failure::ReadTimeout))
                    });
                }
                Poll::Pending if this.held.len() > before && this.turns < TURNS => {
                    // hyper hands over one frame each time it runs, so it gets to run before the reader is called.
                    this.turns += 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Pending => return this.hand_out(),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over() && self.held.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held_bytes as u64;
        let left = self.open.as_ref().map_or(SizeHint::with_exact(0), |open| open.incoming.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower().saturating_add(held));
        if let Some(upper) = left.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let Some(Open { incoming, lease, quota }) = self.open.take() else {
            return;
        };
        let hint = match self.disposition {
            Disposition::Keep(hint) => hint,
            Disposition::Close(reason) => return lease.close(reason),
        };
        if lease.shared() {
            // The request is taken back, and the connection serves the others.
            drop(incoming);
            return lease.close(Close::Cancelled);
        }
        let Some(runtime) = lease.runtime().filter(|_| incoming.size_hint().lower() <= self.drain.bytes) else {
            lease.close(Close::Undrained);
            return;
        };
        if !self.upload.over() {
            lease.close(Close::AnsweredEarly);
            return;
        }
        let drain = self.drain;
        lease.returning();
        let _draining = runtime.spawn(async move {
            drain.run(incoming, lease, hint).await;
            // What is drained holds a connection, which counts.
            drop(quota);
        });
    }
}

impl Drain {
    async fn run(self, mut incoming: Incoming, lease: Lease, hint: Hint) {
        let start = Instant::now();
        let mut left = self.bytes;
        let patience = PATIENCE.min(self.within);
        let mut ended = timeout(patience, drained(&mut incoming, &mut left)).await;
        if ended.is_err() {
            lease.late();
            let within = self.within.saturating_sub(start.elapsed());
            ended = timeout(within, drained(&mut incoming, &mut left)).await;
        }
        match ended {
            Ok(true) => lease.give_back(hint),
            Ok(false) | Err(_) => lease.close(Close::Undrained),
        }
    }
}

/// Reads to the end, and tells whether that was reached with no more than `left` bytes.
async fn drained(incoming: &mut Incoming, left: &mut u64) -> bool {
    loop {
        match std::future::poll_fn(|cx| incoming.poll_frame(cx)).await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                match left.checked_sub(bytes) {
                    Some(rest) => *left = rest,
                    None => return false,
                }
            }
        }
    }
}

/// Small frames are gathered up to this size. A copy of so much costs less than a call into the guest.
const GATHERED: usize = 64 * 1024;

/// For how many turns of its task hyper may add to what is held. Each costs far less than a call into the guest, and together
/// they delay nothing by more than a moment.
const TURNS: u32 = 64;

/// For how long others wait for a connection that is being drained, rather than open their own.
const PATIENCE: Duration = Duration::from_millis(20);
