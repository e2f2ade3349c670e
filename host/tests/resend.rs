//! What happens to a request that meets a connection which the server has given up.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use http_body_util::Full;
use rig::{OK, Server, get, host, post, request, text, until};
use urlpool_host::{Failure, Host, Timeouts};

async fn warmed(server: &Server) -> Host {
    let host = host();
    text(get(&host, server).await).await.unwrap();
    until(&host, |stats| stats.idle == 1).await;
    host
}

#[tokio::test]
async fn a_get_goes_out_once_more_on_a_fresh_connection() {
    let server = Server::stale().await;
    let host = warmed(&server).await;
    assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
    let stats = host.stats();
    assert_eq!((server.accepted(), server.requests()), (2, 3));
    assert_eq!((stats.resent, stats.discarded), (1, [("stale", 1)].into()));
}

#[tokio::test]
async fn a_reset_counts_as_stale_too() {
    let server = Server::start(|mut peer, number| async move {
        peer.request().await;
        peer.send(OK).await;
        peer.request().await;
        if number == 0 {
            rig::reset(peer);
        } else {
            peer.send(OK).await;
        }
    })
    .await;
    let host = warmed(&server).await;
    assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_post_is_reported_and_arrives_once() {
    let server = Server::stale().await;
    let host = warmed(&server).await;
    let answer = host.send(post(server.uri("/"), "data"), Timeouts::default()).await;
    assert_eq!(answer.err(), Some(Failure::Terminated));
    assert_eq!((server.accepted(), server.requests(), host.stats().resent), (1, 2, 0));
}

#[tokio::test]
async fn a_post_with_a_key_goes_out_once_more_with_its_body() {
    let server = Server::start(|mut peer, number| async move {
        if number == 0 {
            peer.request().await;
            peer.send(OK).await;
            peer.request().await;
            return;
        }
        let request = peer.request().await.unwrap();
        let length = request.len();
        peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{request}")).await;
    })
    .await;
    let host = warmed(&server).await;
    let mut request = post(server.uri("/"), "data");
    request.headers_mut().insert("idempotency-key", "1".parse().unwrap());
    let echo = text(host.send(request, Timeouts::default()).await).await.unwrap();
    assert!(echo.starts_with("POST / HTTP/1.1\r\n") && echo.ends_with("\r\n\r\ndata"), "{echo}");
    assert_eq!(host.stats().resent, 1);
}

#[tokio::test]
async fn a_body_too_large_to_keep_is_not_sent_again() {
    let server = Server::stale().await;
    let host = warmed(&server).await;
    let body = Full::from(vec![b'x'; 64 * 1024 + 1]);
    let put = http::Request::put(server.uri("/")).body(body).unwrap();
    assert_eq!(host.send(put, Timeouts::default()).await.err(), Some(Failure::Terminated));
    assert_eq!(host.stats().resent, 0);
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_reported() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
    })
    .await;
    let host = host();
    assert_eq!(get(&host, &server).await.err(), Some(Failure::Terminated));
    assert_eq!((server.accepted(), host.stats().resent), (1, 0));
}

#[tokio::test]
async fn what_dies_twice_is_reported() {
    let server = Server::start(|mut peer, number| async move {
        peer.request().await;
        if number == 0 {
            peer.send(OK).await;
            peer.request().await;
        }
    })
    .await;
    let host = warmed(&server).await;
    assert_eq!(get(&host, &server).await.err(), Some(Failure::Terminated));
    assert_eq!((server.accepted(), server.requests()), (2, 3));
}

#[tokio::test]
async fn nothing_goes_out_again_once_an_answer_has_begun() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send(OK).await;
        peer.request().await;
        peer.send("HTTP/1.1 200").await;
    })
    .await;
    let host = warmed(&server).await;
    assert_eq!(get(&host, &server).await.err(), Some(Failure::Incomplete));
    assert_eq!((server.accepted(), host.stats().resent), (1, 0));
}

#[tokio::test]
async fn a_resend_needs_no_second_slot() {
    let server = Server::stale().await;
    let host = Host::builder().connections_per_origin(1).connections(1).build().unwrap();
    text(get(&host, &server).await).await.unwrap();
    until(&host, |stats| stats.idle == 1).await;
    let answer = host.send(request("GET", server.uri("/")), Timeouts::default()).await;
    assert_eq!(text(answer).await.unwrap(), "ok");
    until(&host, |stats| stats.live == 1).await;
}
