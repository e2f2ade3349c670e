//! Response bodies: cut, stalled, dropped.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use http_body_util::BodyExt;
use rig::{OK, Server, get, host, text, until};
use std::time::{Duration, Instant};
use urlpool_host::{Failure, Host};

/// Answers the first request of each connection with `answer` and then closes.
async fn cut(answer: &'static str) -> Server {
    Server::start(move |mut peer, _| async move {
        peer.request().await;
        peer.send(answer).await;
    })
    .await
}

/// Answers the first request of each connection with `answer` and then says nothing more.
async fn stalled(answer: &'static str) -> Server {
    Server::start(move |mut peer, _| async move {
        peer.request().await;
        peer.send(answer).await;
        peer.closed().await;
    })
    .await
}

#[tokio::test]
async fn a_cut_body_is_incomplete() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok",
    ] {
        let (server, host) = (cut(answer).await, host());
        assert_eq!(text(get(&host, &server).await).await, Err(Failure::Incomplete), "{answer}");
        assert_eq!(host.stats().discarded, [("failed", 1)].into());
    }
}

#[tokio::test]
async fn a_reset_in_the_body_is_no_end() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").await;
        rig::reset(peer);
    })
    .await;
    let host = host();
    // Depending on what the kernel tells first, the head may be lost too.
    let failure = text(get(&host, &server).await).await.unwrap_err();
    assert!(matches!(failure, Failure::Terminated | Failure::Incomplete), "{failure}");
}

#[tokio::test]
async fn a_chunk_that_is_none_is_a_protocol_error() {
    let server = stalled("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok").await;
    assert_eq!(text(get(&host(), &server).await).await, Err(Failure::Protocol));
}

#[tokio::test]
async fn what_came_before_a_cut_is_delivered() {
    let server = cut("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").await;
    let mut body = get(&host(), &server).await.unwrap().into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "ok");
    assert_eq!(body.frame().await.unwrap().err(), Some(Failure::Incomplete));
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn trailers_are_delivered() {
    let server =
        Server::always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n").await;
    let body = get(&host(), &server).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-sum"], "1");
    assert_eq!(body.to_bytes(), "ok");
}

#[tokio::test]
async fn a_stalled_body_times_out_and_closes_its_connection() {
    let server = stalled("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").await;
    let host = Host::builder().between_bytes_timeout(Duration::from_millis(50)).build().unwrap();
    assert_eq!(text(get(&host, &server).await).await, Err(Failure::ReadTimeout));
    until(&host, |stats| stats.live == 0).await;
    assert_eq!(host.stats().discarded, [("timed-out", 1)].into());
}

#[tokio::test]
async fn a_stalled_head_times_out_and_closes_its_connection() {
    for begun in ["", "HTTP/1.1 2"] {
        let server = stalled(begun).await;
        let host = Host::builder().first_byte_timeout(Duration::from_millis(50)).build().unwrap();
        assert_eq!(get(&host, &server).await.err(), Some(Failure::ReadTimeout));
        until(&host, |stats| stats.live == 0).await;
        assert_eq!(host.stats().discarded, [("timed-out", 1)].into());
    }
}

#[tokio::test]
async fn timeouts_of_nothing_and_of_ages_are_fine() {
    let server = stalled("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").await;
    let none = Host::builder().between_bytes_timeout(Duration::ZERO).build().unwrap();
    assert_eq!(text(get(&none, &server).await).await, Err(Failure::ReadTimeout));
    let none = Host::builder().first_byte_timeout(Duration::ZERO).build().unwrap();
    assert_eq!(get(&none, &server).await.err(), Some(Failure::ReadTimeout));
    let none = Host::builder().connect_timeout(Duration::ZERO).build().unwrap();
    assert_eq!(get(&none, &server).await.err(), Some(Failure::ConnectTimeout));
    let ages = Host::builder()
        .connect_timeout(Duration::MAX)
        .first_byte_timeout(Duration::MAX)
        .between_bytes_timeout(Duration::MAX)
        .acquire_timeout(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .drain(u64::MAX, Duration::MAX)
        .build()
        .unwrap();
    let server = Server::always(OK).await;
    for _ in 0..2 {
        assert_eq!(text(get(&ages, &server).await).await.unwrap(), "ok");
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_short_body_that_is_dropped_saves_its_connection() {
    for answer in [OK, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"] {
        let (server, host) = (Server::always(answer).await, host());
        for _ in 0..5 {
            drop(get(&host, &server).await.unwrap());
        }
        assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
        assert_eq!(server.accepted(), 1);
    }
}

#[tokio::test]
async fn a_long_body_that_is_dropped_costs_its_connection() {
    for announced in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let server = Server::start(move |mut peer, _| async move {
            peer.request().await;
            let chunk = "x".repeat(1000);
            peer.send(&format!("HTTP/1.1 200 OK\r\n{announced}\r\n\r\n")).await;
            for _ in 0..100 {
                peer.send(&format!("3e8\r\n{chunk}\r\n")).await;
            }
            peer.closed().await;
        })
        .await;
        let host = host();
        drop(get(&host, &server).await.unwrap());
        until(&host, |stats| stats.live == 0).await;
        assert_eq!(host.stats().discarded, [("undrained", 1)].into(), "{announced}");
    }
}

#[tokio::test]
async fn a_stalled_body_that_is_dropped_delays_nobody_for_long() {
    let server = stalled("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n").await;
    let host = Host::builder().drain(1000, Duration::from_secs(5)).build().unwrap();
    drop(get(&host, &server).await.unwrap());
    let start = Instant::now();
    drop(get(&host, &server).await.unwrap());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(server.accepted(), 2);
}

/// Before: each of them was a piece of its own, and a guest that reads a body was called once for each.
#[tokio::test]
async fn small_chunks_are_handed_out_together() {
    let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", "1\r\nx\r\n".repeat(1000));
    let server = Server::always(answer).await;
    let mut body = get(&host(), &server).await.unwrap().into_body();
    let (mut pieces, mut bytes) = (0, 0);
    while let Some(frame) = body.frame().await {
        pieces += 1;
        bytes += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(bytes, 1000);
    assert!(pieces < 100, "{pieces}");
}

#[tokio::test]
async fn a_small_chunk_is_not_kept_back() {
    let server = stalled("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n").await;
    let mut body = get(&host(), &server).await.unwrap().into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "ok");
}
