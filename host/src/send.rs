//! One request: take a connection, send, watch the answer, and send again where that is safe.

use crate::body::{Drain, ResponseBody};
use crate::connections::{Connections, Handout, Lease};
use crate::error::Failure;
use crate::head;
use crate::key::Key;
use crate::resend::{self, Death, Resend};
use crate::stats::Close;
use crate::upload::{BodyError, Progress, Source, Upload};
use crate::wire::Traffic;
use bytes::Bytes;
use http::header::{Entry, HOST, PROXY_AUTHORIZATION};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use std::pin::pin;
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

/// Sends `request`, whose URI is absolute.
///
/// Cancel-safe: dropped at any point, it leaves neither slots nor counts behind, and the connection it used is closed.
pub(crate) async fn send(
    connections: &Arc<Connections>,
    request: Request<UnsyncBoxBody<Bytes, BodyError>>,
    waits: Waits,
    drain: Drain,
) -> Result<Response<ResponseBody>, Failure> {
    connections.count(|stats| stats.requests += 1);
    // A CONNECT would tunnel through the server to wherever the guest likes.
    if request.method() == Method::CONNECT {
        return Err(Failure::Denied);
    }
    let key = Key::of(request.uri())?;
    let (mut head, body) = request.into_parts();
    let absolute = head.uri.clone();
    direct(&mut head)?;

    let (mut lease, reused) = match connections.take(&key).await? {
        Handout::Reuse(lease) => {
            connections.count(|stats| stats.reused += 1);
            (lease, true)
        }
        Handout::Open(permit) => (connections.open(&key, permit, waits.connect).await?, false),
    };
    let source = Source::new(body, reused);
    let repeatable = resend::repeatable(&head);
    // Only a reused connection may need the head again.
    let mut spare = reused.then(|| head.clone());
    loop {
        let method = head.method.clone();
        if let Some(forward) = lease.forward() {
            // RFC 9112 §3.2.2.
            head.uri = absolute.clone();
            if let Some(authorization) = &forward.authorization {
                head.headers.insert(PROXY_AUTHORIZATION, authorization.clone());
            }
        }
        let traffic = lease.traffic();
        let written = traffic.written();
        // A server that speaks first, on a fresh connection, answers nothing, but is heard.
        let read = if reused && spare.is_some() { traffic.read() } else { 0 };
        let (upload, progress) = source.attempt(Arc::clone(&traffic));
        let request = Request::from_parts(head, upload);
        let (verdict, failure) = match exchange(&mut lease, request, &progress, waits.first_byte).await {
            Ok(response) => {
                source.release();
                return deliver(response, &method, lease, progress, waits.between_bytes, drain);
            }
            Err(Outcome::TimedOut) => {
                lease.close(Close::TimedOut);
                return Err(Failure::ReadTimeout);
            }
            Err(Outcome::Died { error, unwritten }) => {
                let heard = traffic.read() > read;
                let death = Death {
                    resent: spare.is_none(),
                    reused,
                    // What came before the request went out does not answer it, such as the farewell of an idle connection.
                    answered: heard && !unwritten,
                    written: !unwritten && traffic.written() > written,
                    repeatable,
                    at_hand: source.at_hand(),
                };
                let failure = if progress.failed() { Failure::RequestBody } else { Failure::http(&error, heard) };
                (death.judge(), failure)
            }
        };
        let again = spare.take().filter(|_| verdict == Resend::Again && failure != Failure::RequestBody);
        let Some(again) = again else {
            tracing::debug!(?verdict, %failure, "request failed");
            lease.close(Close::Failed);
            return Err(failure);
        };
        let Some(permit) = lease.replace() else {
            return Err(failure);
        };
        connections.count(|stats| stats.resent += 1);
        lease = connections.open(&key, permit, waits.connect).await?;
        head = again;
    }
}

/// Why an attempt brought no response.
enum Outcome {
    TimedOut,
    Died { error: hyper::Error, unwritten: bool },
}

/// Sends one request over one connection, and waits for the head of its response.
async fn exchange(
    lease: &mut Lease,
    mut request: Request<Upload>,
    progress: &Progress,
    first_byte: Duration,
) -> Result<Response<Incoming>, Outcome> {
    let traffic = lease.traffic();
    traffic.begin();
    let told = Arc::clone(&traffic);
    hyper::ext::on_informational(&mut request, move |_| told.interim());
    let Some(sender) = lease.sender() else {
        return Err(Outcome::TimedOut);
    };
    let mut sending = pin!(sender.try_send_request(request));
    let answer = loop {
        tokio::select! {
            biased;
            answer = sending.as_mut() => break answer,
            () = progress.resting() => {}
        }
        if first_byte.is_zero() {
            // Even a timer of zero would let an answer pass that is already there.
            return Err(Outcome::TimedOut);
        }
        // The first byte is waited for once the request is out, however long the guest took to write it.
        match timeout(first_byte, sending.as_mut()).await {
            Ok(answer) => break answer,
            Err(_) if resting(progress, &traffic) => return Err(Outcome::TimedOut),
            // It had only paused for an interim response.
            Err(_) => {}
        }
    };
    answer.map_err(|mut refused| {
        let unwritten = refused.take_message().is_some();
        Outcome::Died { error: refused.into_error(), unwritten }
    })
}

fn resting(progress: &Progress, traffic: &Traffic) -> bool {
    progress.over() || traffic.answering() || traffic.deaf()
}

fn deliver(
    response: Response<Incoming>,
    method: &Method,
    lease: Lease,
    progress: Arc<Progress>,
    between_bytes: Duration,
    drain: Drain,
) -> Result<Response<ResponseBody>, Failure> {
    let (mut head, incoming) = response.into_parts();
    match head::judge(method, &head) {
        Ok(disposition) => {
            head::forget_length(&mut head);
            let body = ResponseBody::new(incoming, lease, progress, disposition, between_bytes, drain);
            Ok(Response::from_parts(head, body))
        }
        Err(failure) => {
            lease.close(Close::Failed);
            Err(failure)
        }
    }
}

/// Makes the head one for a server itself: the target in origin form, the authority in Host.
fn direct(head: &mut Parts) -> Result<(), Failure> {
    if let (Entry::Vacant(host), Some(authority)) = (head.headers.entry(HOST), head.uri.authority()) {
        host.insert(HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::Uri)?);
    }
    let target = head.uri.path_and_query().cloned();
    head.uri = target.map_or_else(|| Uri::from_static("/"), Uri::from);
    head.version = Version::HTTP_11;
    Ok(())
}
