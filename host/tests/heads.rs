//! Response heads that no client should take, and requests that no guest should make.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use rig::{OK, Server, get, host, request, text};
use tokio::io::AsyncWriteExt;
use urlpool_host::{Failure, Timeouts};

async fn answered(answer: String) -> Failure {
    let server = Server::start(move |mut peer, _| {
        let answer = answer.clone();
        async move {
            peer.request().await;
            peer.send(&answer).await;
            peer.closed().await;
        }
    })
    .await;
    get(&host(), &server).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn garbage_is_a_protocol_error() {
    for answer in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nbad header\r\n\r\n"] {
        assert_eq!(answered(answer.into()).await, Failure::Protocol, "{answer}");
    }
}

#[tokio::test]
async fn lengths_that_differ_or_are_no_numbers_are_protocol_errors() {
    for lengths in
        ["Content-Length: 2\r\nContent-Length: 3", "Content-Length: -1", "Content-Length: +2", "Content-Length: 2, 3"]
    {
        let answer = format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nok");
        assert_eq!(answered(answer).await, Failure::Protocol, "{lengths}");
    }
}

#[tokio::test]
async fn transfer_codings_other_than_chunked_are_refused() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(answered(answer.into()).await, Failure::TransferCoding("gzip, chunked".into()));
}

#[tokio::test]
async fn switching_protocols_is_refused() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    assert_eq!(answered(answer.into()).await, Failure::Upgraded);
}

#[tokio::test]
async fn a_header_section_without_end_is_too_large() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(600 * 1024));
    assert_eq!(answered(long).await, Failure::HeadTooLarge);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1000));
    assert_eq!(answered(many).await, Failure::HeadTooLarge);
}

/// Before: hyper read on for as long as they came, and nothing else ran on its thread, deadlines included.
#[tokio::test]
async fn interim_responses_without_end_are_too_large() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        let hints = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000);
        while peer.stream.write_all(hints.as_bytes()).await.is_ok() {}
    })
    .await;
    assert_eq!(get(&host(), &server).await.map(drop), Err(Failure::HeadTooLarge));
}

#[tokio::test]
async fn many_interim_responses_are_not() {
    let answer = format!("{}{OK}", "HTTP/1.1 102 Processing\r\n\r\n".repeat(10_000));
    let server = Server::always(answer).await;
    let host = host();
    for _ in 0..5 {
        assert_eq!(text(get(&host, &server).await).await, Ok("ok".into()));
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_server_that_speaks_first_does_not_speak_http() {
    let server = Server::start(|mut peer, _| async move {
        peer.send("SSH-2.0-OpenSSH\r\n").await;
        peer.closed().await;
    })
    .await;
    assert_eq!(get(&host(), &server).await.map(drop), Err(Failure::Protocol));
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_terminated() {
    let server = Server::start(|peer, _| async move { drop(peer) }).await;
    assert_eq!(get(&host(), &server).await.err(), Some(Failure::Terminated));
}

#[tokio::test]
async fn connect_and_userinfo_are_denied_before_any_connection() {
    let (server, host) = (Server::always("").await, host());
    let connect = host.send(request("CONNECT", server.uri("/")), Timeouts::default()).await;
    assert_eq!(connect.err(), Some(Failure::Denied));
    let uri = format!("http://user:pass@{}/", server.address);
    let userinfo = host.send(request("GET", uri), Timeouts::default()).await;
    assert_eq!(userinfo.err(), Some(Failure::Denied));
    assert_eq!((server.accepted(), host.stats().opened), (0, 0));
}
