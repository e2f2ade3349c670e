//! A request's body on its way to the wire: kept for a resend, and stopped once the answer arrives.

use crate::error::Failure;
use crate::resend::KEPT;
use crate::wire::Traffic;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::Notify;

/// The error of a request's body.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body, shared by the attempts to send it.
#[derive(Clone)]
pub(crate) struct Source(Arc<Mutex<State>>);

struct State {
    body: UnsyncBoxBody<Bytes, BodyError>,
    over: bool,
    /// What was taken from `body` so far, as long as it may be needed again.
    kept: Option<VecDeque<Bytes>>,
    kept_bytes: usize,
}

impl Source {
    /// `keep` says whether to keep what is sent, up to [`KEPT`] bytes.
    pub(crate) fn new(body: UnsyncBoxBody<Bytes, BodyError>, keep: bool) -> Self {
        let over = body.is_end_stream();
        Self(Arc::new(Mutex::new(State { body, over, kept: keep.then(VecDeque::new), kept_bytes: 0 })))
    }

    /// The body from its start, for one attempt. It stops once `traffic` shows an answer, if that is given: on a connection
    /// that others use at the same time, it shows nothing.
    pub(crate) fn attempt(&self, traffic: Option<Arc<Traffic>>) -> (Upload, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        if self.is_empty() {
            // Whoever waits for it to rest need not be woken for that.
            progress.over.store(true, Ordering::Release);
        }
        let upload =
            Upload { source: self.clone(), traffic, progress: Arc::clone(&progress), position: 0, asked: false };
        (upload, progress)
    }

    /// Whether there is nothing to send.
    fn is_empty(&self) -> bool {
        let state = self.lock();
        state.over && state.kept.as_ref().is_none_or(VecDeque::is_empty)
    }

    /// Whether all that was taken so far can be sent again.
    pub(crate) fn at_hand(&self) -> bool {
        self.lock().kept.is_some()
    }

    /// Keeps nothing any more: the request was answered.
    pub(crate) fn release(&self) {
        self.lock().kept = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far an attempt has come with the body.
#[derive(Default)]
pub(crate) struct Progress {
    over: AtomicBool,
    failed: AtomicBool,
    cut: AtomicBool,
    changed: Notify,
}

impl Progress {
    /// Whether all of the body was handed over.
    pub(crate) fn over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether the body itself failed, which ends the request.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Waits until nothing more is sent for now: all was handed over, or an answer has begun.
    pub(crate) async fn resting(&self) {
        if !self.over() {
            self.changed.notified().await;
        }
    }

    /// Waits until it is known what became of the body, for one waiter at a time, and once nobody waits for it to rest.
    ///
    /// Ready at its first poll for a body that was handed over before the response came, such as none at all.
    ///
    /// # Errors
    ///
    /// [`Failure::RequestBody`] when the body itself failed, [`Failure::Terminated`] when the connection was given up, or the
    /// server took no more of it, before its end.
    pub(crate) async fn sent(&self) -> Result<(), Failure> {
        loop {
            // Read first: where it follows from one of the others, they are seen too.
            let over = self.over();
            if self.failed() {
                return Err(Failure::RequestBody);
            }
            if self.cut.load(Ordering::Acquire) {
                return Err(Failure::Terminated);
            }
            if over {
                return Ok(());
            }
            self.changed.notified().await;
        }
    }

    fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.changed.notify_one();
    }
}

/// One attempt's view of the body.
pub(crate) struct Upload {
    source: Source,
    traffic: Option<Arc<Traffic>>,
    progress: Arc<Progress>,
    position: usize,
    /// Whether anything was wanted of it.
    asked: bool,
}

impl Upload {
    /// Whether nothing more of it is wanted.
    fn is_answered(&self) -> bool {
        self.traffic.as_ref().is_some_and(|traffic| traffic.answering() || traffic.deaf())
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.asked = true;
        if self.is_answered() {
            // No waker is needed: whatever changes this is read by the task that polls here, right before it does.
            self.progress.changed.notify_one();
            return Poll::Pending;
        }
        let source = self.source.clone();
        let mut state = source.lock();
        if let Some(bytes) = state.kept.as_ref().and_then(|kept| kept.get(self.position)) {
            self.position += 1;
            return Poll::Ready(Some(Ok(Frame::data(bytes.clone()))));
        }
        if state.over {
            self.progress.end();
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut state.body).poll_frame(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => {
                state.over = true;
                self.progress.end();
            }
            Poll::Ready(Some(Ok(frame))) => {
                let ended = state.body.is_end_stream() || frame.is_trailers();
                state.over = ended;
                match frame.data_ref() {
                    Some(bytes) if state.kept.is_some() && state.kept_bytes + bytes.len() <= KEPT => {
                        state.kept_bytes += bytes.len();
                        let bytes = bytes.clone();
                        if let Some(kept) = &mut state.kept {
                            kept.push_back(bytes);
                        }
                        self.position += 1;
                    }
                    // Too large to keep, or trailers, which are too rare to be worth it.
                    _ => state.kept = None,
                }
                // What HTTP/2 was handed may wait for its peer yet; there the upload is dropped once it is out.
                if ended && self.traffic.is_some() {
                    self.progress.end();
                }
            }
            Poll::Ready(Some(Err(_))) => {
                state.kept = None;
                self.progress.failed.store(true, Ordering::Release);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let state = self.source.lock();
        state.over && state.kept.as_ref().is_none_or(|kept| self.position >= kept.len())
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.source.lock();
        let again: usize = state.kept.iter().flatten().skip(self.position).map(Bytes::len).sum();
        let mut hint = if state.over { SizeHint::with_exact(0) } else { state.body.size_hint() };
        match hint.upper() {
            Some(upper) => {
                hint.set_upper(upper.saturating_add(again as u64));
                hint.set_lower(hint.lower().saturating_add(again as u64));
            }
            None => hint.set_lower(hint.lower().saturating_add(again as u64)),
        }
        hint
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // hyper asks nothing of the body of a GET that names no length, nor does HTTP of a body that is known to be empty.
        let whole = !self.asked || self.is_end_stream() || self.size_hint().exact() == Some(0);
        if !whole && !self.progress.over() {
            self.progress.cut.store(true, Ordering::Release);
        }
        if self.is_answered() {
            self.progress.changed.notify_one();
        } else {
            // hyper lets go of a body once its announced length is written, without asking for its end.
            self.progress.end();
        }
    }
}
