//! One request: take a connection, send, watch the answer, and send again where that is safe.

use crate::Timeouts;
use crate::body::{Drain, ResponseBody, Terms};
use crate::connections::Connections;
use crate::error::Failure;
use crate::head;
use crate::http2;
use crate::incoming::Incoming;
use crate::key::Key;
use crate::lease::{Lease, Sender};
use crate::quota::Quota;
use crate::resend::{self, Death, Resend};
use crate::route::Way;
use crate::stats::Close;
use crate::upload::{BodyError, Progress, Source, Upload};
use bytes::Bytes;
use futures::future::BoxFuture;
use h2::Reason;
use http::header::PROXY_AUTHORIZATION;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long the phases of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waits {
    pub(crate) connect: Duration,
    pub(crate) first_byte: Duration,
    pub(crate) between_bytes: Duration,
}

impl Waits {
    /// These, where `timeouts` says nothing else.
    pub(crate) fn or(self, timeouts: Timeouts) -> Self {
        Self {
            connect: timeouts.connect.unwrap_or(self.connect),
            first_byte: timeouts.first_byte.unwrap_or(self.first_byte),
            between_bytes: timeouts.between_bytes.unwrap_or(self.between_bytes),
        }
    }
}

/// On whose behalf a request is sent, and under which rules.
pub(crate) struct Errand {
    pub(crate) way: Way,
    pub(crate) waits: Waits,
    pub(crate) drain: Drain,
    /// How many requests the guest may have in flight.
    pub(crate) quota: Option<Quota>,
}

/// Sends `request`, whose URI is absolute.
///
/// Cancel-safe: dropped at any point, it leaves neither slots nor counts behind, and a connection that it alone used is
/// closed.
pub(crate) async fn send(
    connections: &Arc<Connections>,
    // On the heap: else each layer of futures around this one has room for it, twice.
    request: Box<Request<UnsyncBoxBody<Bytes, BodyError>>>,
    errand: Errand,
) -> Result<Response<ResponseBody>, Failure> {
    // A CONNECT would tunnel through the server to wherever the guest likes.
    if request.method() == Method::CONNECT {
        return Err(Failure::Denied);
    }
    let Errand { way, waits, drain, quota } = errand;
    let mut key = connections.known(Key::of(request.uri(), way)?);
    let quota = match &quota {
        // On the heap, so that guests without a quota do not carry room for it about.
        Some(quota) => Some(Box::pin(quota.admit(&key, connections)).await?),
        None => None,
    };
    let (mut lease, mut reused) = connections.acquire(&key, waits.connect).await?;
    let (mut head, body) = request.into_parts();
    // A fresh connection that nobody else uses is not stale, and nothing is refused on it: what was sent is not needed again.
    let keep = reused || lease.shared();
    let source = Source::new(body, keep);
    let repeatable = resend::repeatable(&head);
    let mut spare = keep.then(|| Box::new(head.clone()));
    loop {
        let method = head.method.clone();
        let traffic = lease.traffic();
        let (read, written) = (traffic.read(), traffic.written());
        let (upload, progress) = source.attempt((!lease.shared()).then(|| Arc::clone(&traffic)));
        // On a connection that others use, nothing tells whose answer has begun.
        let shared = lease.shared();
        let resting = || progress.over() || (!shared && (traffic.answering() || traffic.deaf()));
        let wrote = || traffic.wrote().filter(|_| !shared);
        let attempt = match begin(&mut lease, head, upload) {
            Ok(sending) => watch(sending, &progress, waits.first_byte, resting, wrote).await,
            Err(died) => Err(Outcome::Died(died)),
        };
        let died = match attempt {
            Ok(response) => {
                source.release();
                let terms = Terms { between_bytes: waits.between_bytes, drain, quota };
                return deliver(response, &method, lease, progress, terms);
            }
            Err(Outcome::TimedOut) => {
                if lease.shared() && traffic.read() == read {
                    // Not a byte came for anybody: it would not help others either.
                    lease.condemn(Close::TimedOut);
                } else {
                    lease.close(Close::TimedOut);
                }
                return Err(Failure::ReadTimeout);
            }
            Err(Outcome::Died(died)) => died,
        };
        // A server that speaks first, on a fresh connection, answers nothing, but is heard.
        let since = if reused { read } else { 0 };
        let heard = !lease.shared() && traffic.read() > since;
        let death = Death {
            resent: spare.is_none(),
            reused,
            refused: died.refused(),
            // What came before the request went out does not answer it, such as the farewell of an idle connection.
            answered: (heard || died.reset()) && !died.unwritten,
            written: !died.unwritten && (lease.shared() || traffic.written() > written),
            repeatable,
            at_hand: source.at_hand(),
        };
        let verdict = death.judge();
        let failure = if progress.failed() { Failure::RequestBody } else { died.failure(heard) };
        let again = spare.take().filter(|_| verdict == Resend::Again && failure != Failure::RequestBody);
        let Some(again) = again else {
            tracing::debug!(?verdict, %failure, "request failed");
            died.end(lease);
            return Err(failure);
        };
        connections.count(|stats| stats.resent += 1);
        connections.events().resent(&key);
        if died.wants_http1() {
            connections.learn(&key);
            key.http1 = true;
        }
        lease = if lease.shared() {
            died.end(lease);
            let acquired;
            (acquired, reused) = Box::pin(connections.acquire(&key, waits.connect)).await?;
            acquired
        } else {
            let permit = lease.replace().ok_or(failure)?;
            reused = false;
            Box::pin(connections.open(&key, permit, waits.connect)).await?
        };
        head = *again;
    }
}

/// Why an attempt brought no response.
enum Outcome {
    TimedOut,
    Died(Died),
}

/// A request that died, of what.
struct Died {
    error: Cause,
    /// Whether nothing of it was written.
    unwritten: bool,
}

enum Cause {
    Http1(hyper::Error),
    Http2(h2::Error),
    /// The connection was gone before the request.
    Gone,
    /// The request cannot be said in this version of HTTP.
    Unsayable(Failure),
}

impl Died {
    fn failure(&self, heard: bool) -> Failure {
        match &self.error {
            Cause::Http1(error) => Failure::http(error, heard),
            Cause::Http2(error) => Failure::http2(error, false),
            Cause::Gone => Failure::Terminated,
            Cause::Unsayable(failure) => failure.clone(),
        }
    }

    /// Whether the server said that it did not begin to act on it.
    ///
    /// RFC 9113 §6.8, §8.7: h2 fails the requests that a GOAWAY leaves out with that GOAWAY, and only those.
    fn refused(&self) -> bool {
        match &self.error {
            Cause::Http2(error) => {
                let reason = error.reason();
                error.is_remote()
                    && (error.is_go_away()
                        || reason == Some(Reason::REFUSED_STREAM)
                        || reason == Some(Reason::HTTP_1_1_REQUIRED))
            }
            Cause::Http1(_) | Cause::Gone | Cause::Unsayable(_) => false,
        }
    }

    /// Whether it was ended alone: the server has heard of it, and the connection lives on.
    fn reset(&self) -> bool {
        matches!(&self.error, Cause::Http2(error) if error.is_reset())
    }

    fn wants_http1(&self) -> bool {
        matches!(&self.error, Cause::Http2(error) if error.is_remote() && error.reason() == Some(Reason::HTTP_1_1_REQUIRED))
    }

    /// Parts with the connection, which others may go on using when only this request failed.
    fn end(&self, lease: Lease) {
        match &self.error {
            Cause::Http2(error) if error.is_reset() => lease.close(Close::Cancelled),
            Cause::Http2(error) if error.is_go_away() && error.is_remote() => lease.condemn(Close::GoAway),
            Cause::Http1(_) | Cause::Http2(_) | Cause::Gone => lease.condemn(Close::Failed),
            Cause::Unsayable(_) => lease.close(Close::Cancelled),
        }
    }
}

/// A request on its way, which comes to the head of its response.
type Sending = BoxFuture<'static, Result<Response<Incoming>, Died>>;

/// Sends one request over one connection.
fn begin(lease: &mut Lease, mut head: Parts, upload: Upload) -> Result<Sending, Died> {
    let unwritten = |error| Died { error, unwritten: true };
    let traffic = lease.traffic();
    let (forward, runtime) = (lease.forward(), lease.runtime());
    let (Some(sender), Some(runtime)) = (lease.sender(), runtime) else {
        return Err(unwritten(Cause::Gone));
    };
    match sender {
        Sender::Http1(sender) => {
            let fit = match forward {
                Some(forward) => {
                    if let Some(credentials) = &forward.authorization {
                        head.headers.insert(PROXY_AUTHORIZATION, credentials.clone());
                    }
                    head::for_proxy(&mut head)
                }
                None => head::for_http1(&mut head),
            };
            fit.map_err(|failure| unwritten(Cause::Unsayable(failure)))?;
            let mut request = Request::from_parts(head, upload);
            traffic.begin();
            hyper::ext::on_informational(&mut request, move |_| traffic.interim());
            let sending = sender.try_send_request(request);
            Ok(Box::pin(async move {
                let answer = sending.await.map_err(|mut refused| {
                    let unwritten = refused.take_message().is_some();
                    Died { error: Cause::Http1(refused.into_error()), unwritten }
                });
                Ok(answer?.map(Incoming::Http1))
            }))
        }
        Sender::Http2(sender) => Ok(Box::pin(async move {
            let answer = http2::send(sender, head, upload, &runtime).await;
            let answer =
                answer.map_err(|failed| Died { error: Cause::Http2(failed.error), unwritten: failed.unwritten });
            Ok(answer?.map(Incoming::Http2))
        })),
    }
}

/// Waits for the head of a response, under the timeout that begins once the request is out: when nothing is sent any more, and
/// the last of it `wrote`, where that is known.
async fn watch(
    mut sending: Sending,
    progress: &Progress,
    first_byte: Duration,
    resting: impl Fn() -> bool,
    wrote: impl Fn() -> Option<std::time::Instant>,
) -> Result<Response<Incoming>, Outcome> {
    let mut wait = first_byte;
    loop {
        if !progress.over() {
            tokio::select! {
                biased;
                answer = sending.as_mut() => return answer.map_err(Outcome::Died),
                () = progress.resting() => {}
            }
        }
        if first_byte.is_zero() {
            // Even a timer of zero would let an answer pass that is already there.
            return Err(Outcome::TimedOut);
        }
        // The first byte is waited for once the request is out, however long the guest took to write it.
        if let Ok(answer) = timeout(wait, sending.as_mut()).await {
            return answer.map_err(Outcome::Died);
        }
        // What is handed over is out only once its buffers are empty, which may take as long as the network likes.
        let quiet = wrote().map_or(first_byte, |last| last.elapsed());
        wait = match first_byte.checked_sub(quiet) {
            // It had only paused for an interim response.
            _ if !resting() => first_byte,
            None | Some(Duration::ZERO) => return Err(Outcome::TimedOut),
            Some(left) => left,
        };
    }
}

fn deliver(
    response: Response<Incoming>,
    method: &Method,
    lease: Lease,
    progress: Arc<Progress>,
    terms: Terms,
) -> Result<Response<ResponseBody>, Failure> {
    let (mut head, incoming) = response.into_parts();
    match head::judge(method, &head) {
        Ok(disposition) => {
            head::forget_length(&mut head);
            Ok(Response::from_parts(head, ResponseBody::new(incoming, lease, progress, disposition, terms)))
        }
        Err(failure) => {
            lease.close(Close::Failed);
            Err(failure)
        }
    }
}
