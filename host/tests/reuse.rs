//! Which connection serves which request, as the server sees it.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use rig::{OK, Server, get, host, request, text, until, within};
use std::time::Duration;
use urlpool_host::{Failure, Host, Timeouts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_one_after_another_use_one_connection() {
    let (server, host) = (Server::always(OK).await, host());
    for _ in 0..200 {
        assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
    }
    assert_eq!(server.accepted(), 1);
    let stats = host.stats();
    assert_eq!((stats.requests, stats.opened, stats.reused), (200, 1, 199));
    assert!(stats.discarded.is_empty(), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunked_bodies_and_trailers_use_one_connection_too() {
    let server = Server::always(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nx-sum: 1\r\n\r\n",
    )
    .await;
    let host = host();
    for _ in 0..50 {
        assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn responses_without_a_body_keep_the_connection() {
    let server = Server::start(|mut peer, _| async move {
        while let Some(request) = peer.request().await {
            peer.send(match request.split(' ').next() {
                Some("HEAD") => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                Some("PUT") => "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
                Some("OPTIONS") => "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n",
                _ => OK,
            })
            .await;
        }
    })
    .await;
    let host = host();
    for method in ["HEAD", "GET", "PUT", "GET", "OPTIONS", "GET"] {
        let answer = host.send(request(method, server.uri("/")), Timeouts::default()).await;
        assert_eq!(text(answer).await.unwrap(), if method == "GET" { "ok" } else { "" });
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn what_cannot_be_kept_is_closed_for_a_reason() {
    for (answer, reason) in [
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "connection-close"),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "http-1.0"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "coding-and-length",
        ),
    ] {
        let (server, host) = (Server::always(answer).await, host());
        for _ in 0..2 {
            assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
        }
        assert_eq!(server.accepted(), 2, "{reason}");
        assert_eq!(host.stats().discarded, [(reason, 2)].into(), "{reason}");
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_not_kept() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\n\r\nok").await;
    })
    .await;
    let host = host();
    for _ in 0..2 {
        assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
    }
    assert_eq!(server.accepted(), 2);
    assert_eq!(host.stats().discarded, [("until-close", 2)].into());
}

#[tokio::test]
async fn bytes_behind_a_response_poison_its_connection() {
    let server = Server::always(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    )
    .await;
    let host = host();
    for _ in 0..3 {
        assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
    }
    assert_eq!(server.accepted(), 3);
    assert_eq!(host.stats().discarded, [("unready", 3)].into());
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_not_used_again() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send(OK).await;
    })
    .await;
    let host = host();
    for expected in 1..=3 {
        assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
        until(&host, |stats| stats.idle == 0 && stats.live == 0).await;
        assert_eq!(server.accepted(), expected);
    }
    assert_eq!(host.stats().resent, 0);
}

#[tokio::test]
async fn the_newest_idle_connection_is_used_first() {
    let server = Server::start(|mut peer, number| async move {
        while peer.request().await.is_some() {
            peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}")).await;
        }
    })
    .await;
    let host = host();
    let (first, second) = (get(&host, &server).await, get(&host, &server).await);
    assert_eq!(text(first).await.unwrap(), "0");
    until(&host, |stats| stats.idle == 1).await;
    assert_eq!(text(second).await.unwrap(), "1");
    until(&host, |stats| stats.idle == 2).await;
    assert_eq!(text(get(&host, &server).await).await.unwrap(), "1");
}

#[tokio::test]
async fn capitals_and_the_default_port_share_a_connection() {
    let (server, host) = (Server::always(OK).await, host());
    let port = server.address.port();
    for uri in [format!("http://127.0.0.1:{port}/"), format!("HTTP://127.0.0.1:{port}/?q")] {
        text(host.send(request("GET", uri), Timeouts::default()).await).await.unwrap();
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let server = Server::always(OK).await;
    let host = Host::builder().idle_timeout(Duration::from_millis(50)).build().unwrap();
    text(get(&host, &server).await).await.unwrap();
    until(&host, |stats| stats.live == 0).await;
    assert_eq!(host.stats().discarded, [("idle-timeout", 1)].into());
    text(get(&host, &server).await).await.unwrap();
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn dropping_the_host_closes_its_connections() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    let server = Server::start(move |mut peer, _| {
        let tell = tell.lock().unwrap().take();
        async move {
            peer.request().await;
            peer.send(OK).await;
            peer.closed().await;
            let _ = tell.unwrap().send(());
        }
    })
    .await;
    let host = host();
    text(get(&host, &server).await).await.unwrap();
    until(&host, |stats| stats.idle == 1).await;
    let hooks = host.hooks();
    drop(host);
    drop(hooks);
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap().unwrap();
}

#[tokio::test]
async fn each_request_on_a_kept_connection_has_timeouts_of_its_own() {
    let server = Server::start(|mut peer, _| async move {
        while let Some(request) = peer.request().await {
            match request.split(' ').nth(1) {
                Some("/silent") => {}
                Some("/stalled") => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome").await,
                _ => peer.send(OK).await,
            }
        }
    })
    .await;
    let host = host();
    let all = |wait| Timeouts { connect: Some(wait), first_byte: Some(wait), between_bytes: Some(wait) };
    let (patient, soon) = (all(Duration::from_secs(600)), all(Duration::from_millis(50)));
    for path in ["/silent", "/stalled"] {
        let before = server.accepted();
        assert_eq!(text(host.send(request("GET", server.uri("/")), patient).await).await.unwrap(), "ok");
        until(&host, |stats| stats.idle == 1).await;
        let late = within(async { text(host.send(request("GET", server.uri(path)), soon).await).await }).await;
        assert_eq!(late, Err(Failure::ReadTimeout), "{path}");
        assert_eq!(server.accepted(), before + 1, "{path}");
        until(&host, |stats| stats.live == 0).await;
    }
}
