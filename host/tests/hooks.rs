//! What a guest learns of the body of its request, asked of the hooks as wasmtime asks them.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use futures::FutureExt;
use http_body_util::BodyExt;
use rig::h2::{H2, Over};
use rig::{OK, Server, data, fed, host, until, within};
use std::future::pending;
use std::pin::Pin;
use urlpool_host::{Host, Versions};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpHooks};

type Sent = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Which generation of WASI a guest is of.
#[derive(Clone, Copy)]
enum Wasi {
    /// Which knows no verdict on a response, so that wasmtime puts in its own.
    P2,
    P3,
}

async fn send<B>(wasi: Wasi, host: &Host, request: http::Request<B>) -> (http::Response<WasiBody>, Sent)
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
{
    let request = request.map(|body| body.map_err(|_| Error::InternalError(None)).boxed_unsync());
    let sending = match wasi {
        Wasi::P2 => host.hooks().send_request(request, None, Box::new(async { Ok(()) })),
        Wasi::P3 => host.hooks().send_request(request, None, Box::new(pending())),
    };
    let (response, sent) = Box::into_pin(sending).await.unwrap();
    (response, Box::into_pin(sent))
}

/// A host that speaks HTTP/2, over which an upload goes on while its response is read.
fn host_of_h2() -> Host {
    Host::builder().versions(Versions::Http2).build().unwrap()
}

/// A server of HTTP/2 that answers at once, and then reads what it is sent.
async fn answers_first() -> H2 {
    H2::start(Over::Clear, |mut call| async move {
        let _response = call.begin("early");
        call.read().await;
    })
    .await
}

#[tokio::test]
async fn a_body_that_nobody_asks_for_was_sent_once_the_response_is_there() {
    let server = Server::always(OK).await;
    let (_frames, mut request) = fed(server.uri("/"));
    // The guest has not said yet that there are no trailers either.
    *request.method_mut() = http::Method::GET;
    let (_response, sent) = send(Wasi::P3, &host(), request).await;
    assert!(matches!(sent.now_or_never(), Some(Ok(()))));
}

#[tokio::test]
async fn a_body_that_goes_on_behind_the_response_was_sent_at_its_end() {
    let server = answers_first().await;
    let (frames, request) = fed(server.uri("/"));
    let (_response, mut sent) = send(Wasi::P3, &host_of_h2(), request).await;
    frames.send(data("more")).unwrap();
    assert!((&mut sent).now_or_never().is_none());
    drop(frames);
    assert!(matches!(within(sent).await, Ok(())));
}

#[tokio::test]
async fn a_body_that_fails_behind_the_response_was_not_sent() {
    let server = answers_first().await;
    let (frames, request) = fed(server.uri("/"));
    let (_response, sent) = send(Wasi::P3, &host_of_h2(), request).await;
    frames.send(Err(std::io::ErrorKind::Other.into())).unwrap();
    assert!(matches!(within(sent).await, Err(Error::HttpProtocolError)));
}

#[tokio::test]
async fn a_dropped_response_ends_the_upload_over_http2() {
    let server = answers_first().await;
    let (_frames, request) = fed(server.uri("/"));
    let (response, sent) = send(Wasi::P3, &host_of_h2(), request).await;
    drop(response);
    assert!(matches!(within(sent).await, Err(Error::ConnectionTerminated)));
}

#[tokio::test]
async fn waiting_for_the_end_of_an_upload_keeps_no_connection() {
    let server = Server::start(|mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nno").await;
        peer.closed().await;
    })
    .await;
    let host = host();
    let (_frames, request) = fed(server.uri("/"));
    let (response, sent) = send(Wasi::P3, &host, request).await;
    drop(response);
    until(&host, |stats| stats.live == 0).await;
    assert!(matches!(within(sent).await, Err(Error::ConnectionTerminated)));
}

#[tokio::test]
async fn a_guest_of_wasi_0_2_is_told_nothing_that_would_be_logged() {
    let server = answers_first().await;
    let (_frames, request) = fed(server.uri("/"));
    let (response, sent) = send(Wasi::P2, &host_of_h2(), request).await;
    drop(response);
    assert!(matches!(sent.now_or_never(), Some(Ok(()))));
}
