//! How long connections are kept, by the host's own limits and by what servers ask for, and connections opened ahead.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use ::h2::server::Builder;
use futures::future::join_all;
use rig::h2::{H2, Over};
use rig::{OK, Server, fetch, get, host, spawned, text, until, within};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Barrier, mpsc};
use tokio::time::sleep;
use urlpool_host::{Failure, Host};

const BOTH: [Over; 2] = [Over::Clear, Over::Tls];

/// Answers every request with this Keep-Alive field.
async fn hinting(hint: &str) -> Server {
    Server::always(format!("HTTP/1.1 200 OK\r\nKeep-Alive: {hint}\r\nContent-Length: 2\r\n\r\nok")).await
}

/// Sends this many requests, one after another.
async fn ask(host: &Host, server: &Server, count: usize) {
    for _ in 0..count {
        assert_eq!(text(within(get(host, server)).await).await.unwrap(), "ok");
    }
}

#[tokio::test]
async fn a_connection_past_its_age_finishes_its_request_and_is_closed() {
    let (server, gate) = Server::gated().await;
    let host = Host::builder().max_age(Some(Duration::from_millis(100))).build().unwrap();
    let asked = spawned(&host, server.uri("/"));
    until(&host, |stats| stats.opened == 1).await;
    sleep(Duration::from_millis(200)).await;
    gate.add_permits(2);
    assert_eq!(within(asked).await.unwrap().unwrap(), "ok");
    until(&host, |stats| stats.live == 0).await;
    assert_eq!(host.stats().discarded, [("max-age", 1)].into());
    ask(&host, &server, 1).await;
    assert_eq!((server.accepted(), server.requests()), (2, 2));
}

#[tokio::test]
async fn an_idle_connection_is_closed_at_its_age() {
    let server = Server::always(OK).await;
    let host = Host::builder().max_age(Some(Duration::from_millis(100))).build().unwrap();
    ask(&host, &server, 1).await;
    // Nobody asks for a connection meanwhile.
    until(&host, |stats| stats.live == 0).await;
    assert_eq!(host.stats().discarded, [("max-age", 1)].into());
    ask(&host, &server, 1).await;
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_connection_below_its_age_is_kept() {
    for age in [Some(Duration::from_secs(60)), Some(Duration::MAX), None] {
        let server = Server::always(OK).await;
        let host = Host::builder().max_age(age).build().unwrap();
        ask(&host, &server, 5).await;
        assert_eq!(server.accepted(), 1, "{age:?}");
    }
}

#[tokio::test]
async fn an_http_2_connection_past_its_age_finishes_its_streams_alone() {
    for over in BOTH {
        let (lines, mut line) = mpsc::unbounded_channel();
        let server = H2::start(over, move |call| {
            let lines = lines.clone();
            async move { if call.head.uri.path() == "/held" { lines.send(call).unwrap() } else { call.answer("ok") } }
        })
        .await;
        let host = server.builder().max_age(Some(Duration::from_millis(100))).build().unwrap();
        let held = spawned(&host, server.uri("/held"));
        let call = within(line.recv()).await.unwrap();
        sleep(Duration::from_millis(200)).await;
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok", "{over:?}");
        assert_eq!(server.log().spread(), [1, 1], "{over:?}");
        call.answer("held");
        assert_eq!(within(held).await.unwrap().unwrap(), "held", "{over:?}");
        server.until(|log| log.connections[0].ended).await;
        assert_eq!(host.stats().discarded["max-age"], 1, "{over:?}");
    }
}

#[tokio::test]
async fn a_connection_serves_no_more_requests_than_it_may() {
    for (uses, connections) in [(1, 5), (2, 3), (5, 1)] {
        let server = Server::always(OK).await;
        let host = Host::builder().max_uses(Some(uses)).build().unwrap();
        ask(&host, &server, 5).await;
        assert_eq!(server.accepted(), connections, "{uses}");
        let spent = 5 / uses;
        until(&host, |stats| stats.discarded == [("max-uses", spent)].into()).await;
    }
}

#[tokio::test]
async fn an_http_2_connection_serves_no_more_requests_than_it_may() {
    for over in BOTH {
        let all = Arc::new(Barrier::new(4));
        let server = H2::with(over, Builder::new(), move |call| {
            let all = all.clone();
            async move {
                all.wait().await;
                call.answer("ok");
            }
        })
        .await;
        let host = server.builder().max_uses(Some(2)).build().unwrap();
        let asked = join_all((0..4).map(|_| fetch(&host, server.uri("/"))));
        assert!(within(asked).await.iter().all(Result::is_ok), "{over:?}");
        assert_eq!(server.log().spread(), [2, 2], "{over:?}");
        until(&host, |stats| stats.live == 0).await;
        assert_eq!(host.stats().discarded, [("max-uses", 2)].into(), "{over:?}");
    }
}

#[tokio::test]
async fn the_time_that_a_server_grants_is_kept_to() {
    let (short, long) = (hinting("timeout=1").await, hinting("timeout=5").await);
    let host = host();
    ask(&host, &short, 2).await;
    ask(&host, &long, 2).await;
    assert_eq!((short.accepted(), long.accepted()), (1, 1));
    // More than half of the one, and less than the other without its margin.
    sleep(Duration::from_millis(700)).await;
    ask(&host, &short, 1).await;
    ask(&host, &long, 1).await;
    assert_eq!((short.accepted(), long.accepted()), (2, 1));
    assert_eq!(host.stats().discarded, [("keep-alive-hint", 1)].into());
}

#[tokio::test]
async fn a_connection_whose_time_is_up_is_closed_in_the_background() {
    let server = hinting("timeout=1").await;
    let host = host();
    ask(&host, &server, 1).await;
    until(&host, |stats| stats.live == 0).await;
    assert_eq!(host.stats().discarded, [("keep-alive-hint", 1)].into());
}

#[tokio::test]
async fn a_server_that_grants_no_time_gets_a_connection_for_each_request() {
    let server = hinting("timeout=0").await;
    let host = host();
    ask(&host, &server, 3).await;
    assert_eq!(server.accepted(), 3);
    until(&host, |stats| stats.discarded == [("keep-alive-hint", 3)].into()).await;
}

/// The response that says `max=N` is the first of the N.
#[tokio::test]
async fn no_more_requests_than_a_server_takes() {
    for (hint, connections) in [("max=1", 6), ("max=2", 3), ("timeout=5, max=3", 2), ("MAX=3 , Timeout=5", 2)] {
        let server = hinting(hint).await;
        let host = host();
        ask(&host, &server, 6).await;
        assert_eq!(server.accepted(), connections, "{hint}");
        let spent = connections as u64;
        until(&host, |stats| stats.discarded == [("keep-alive-hint", spent)].into()).await;
    }
}

#[tokio::test]
async fn a_server_may_count_down() {
    let server = Server::start(|mut peer, _| async move {
        for left in (1..=3).rev() {
            if peer.request().await.is_none() {
                return;
            }
            let head = format!("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max={left}\r\nContent-Length: 2\r\n\r\n");
            peer.send(&(head + "ok")).await;
        }
        peer.closed().await;
    })
    .await;
    let host = host();
    ask(&host, &server, 6).await;
    assert_eq!((server.accepted(), host.stats().resent), (2, 0));
}

#[tokio::test]
async fn two_fields_say_as_much_as_one() {
    let server = hinting("timeout=5\r\nKeep-Alive: max=2").await;
    let host = host();
    ask(&host, &server, 4).await;
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn what_a_server_says_of_nothing_known_changes_nothing() {
    for hint in [
        "",
        "timeout",
        "timeout=",
        "timeout=x",
        "timeout=-1",
        "max=x",
        "timeouts=0",
        "max=99999999999999999999",
        "a, b=1",
    ] {
        let server = hinting(hint).await;
        let host = host();
        ask(&host, &server, 3).await;
        assert_eq!(server.accepted(), 1, "{hint}");
    }
}

#[tokio::test]
async fn the_shorter_of_two_times_holds() {
    let server = hinting("timeout=3600").await;
    let host = Host::builder().idle_timeout(Duration::from_millis(50)).build().unwrap();
    ask(&host, &server, 1).await;
    until(&host, |stats| stats.live == 0).await;
    assert_eq!(host.stats().discarded, [("idle-timeout", 1)].into());
}

#[tokio::test]
async fn no_idle_connection_is_kept_where_none_may_be() {
    let server = Server::always(OK).await;
    let host = Host::builder().idle_per_origin(0).build().unwrap();
    ask(&host, &server, 3).await;
    assert_eq!(server.accepted(), 3);
    until(&host, |stats| stats.live == 0).await;
    assert_eq!(host.stats().discarded, [("idle-limit", 3)].into());
}

#[tokio::test]
async fn connections_are_opened_ahead_of_requests() {
    let (server, gate) = Server::gated().await;
    let host = host();
    assert_eq!(within(host.warm(&server.uri("/"), 3)).await, Ok(3));
    let stats = host.stats();
    assert_eq!((stats.opened, stats.idle, stats.live, stats.requests), (3, 3, 3, 0));
    server.until_accepted(3).await;
    assert_eq!(server.requests(), 0);
    gate.add_permits(3);
    let asked = join_all((0..3).map(|_| fetch(&host, server.uri("/"))));
    assert!(within(asked).await.iter().all(Result::is_ok));
    assert_eq!(server.accepted(), 3);
}

/// Even before the task that moves its bytes has run.
#[tokio::test]
async fn a_connection_opened_ahead_serves_at_once() {
    let server = Server::always(OK).await;
    let host = host();
    for round in 1..=3 {
        assert_eq!(within(host.warm(&server.uri("/"), 1)).await, Ok(1));
        // On this runtime of one thread nothing else runs until a request waits.
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok");
        assert_eq!((host.stats().opened, host.stats().discarded.len()), (round, 0));
    }
}

#[tokio::test]
async fn no_more_connections_are_opened_ahead_than_may_be_live() {
    let (one, two) = (Server::always(OK).await, Server::always(OK).await);
    let host = Host::builder().connections_per_origin(2).connections(3).build().unwrap();
    assert_eq!(within(host.warm(&one.uri("/"), 5)).await, Ok(2));
    assert_eq!(within(host.warm(&two.uri("/"), 5)).await, Ok(1));
    one.until_accepted(2).await;
    two.until_accepted(1).await;
    assert_eq!(host.stats().live, 3);
    assert_eq!(within(host.warm(&two.uri("/"), 0)).await, Ok(0));
}

#[tokio::test]
async fn opening_ahead_fails_as_a_request_does() {
    let deserted = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let host = host();
    assert_eq!(within(host.warm(&format!("http://{deserted}/"), 2)).await, Err(Failure::Refused));
    assert_eq!(within(host.warm("no uri", 2)).await, Err(Failure::Uri));
    assert_eq!(within(host.warm("http://user:pass@127.0.0.1:1/", 2)).await, Err(Failure::Denied));
    assert_eq!((host.stats().opened, host.stats().live), (0, 0));
}

#[tokio::test]
async fn a_connection_opened_ahead_that_the_server_closes_is_not_used() {
    let server = Server::start(|mut peer, number| async move {
        if number == 0 {
            return;
        }
        while peer.request().await.is_some() {
            peer.send(OK).await;
        }
    })
    .await;
    let host = host();
    assert_eq!(within(host.warm(&server.uri("/"), 1)).await, Ok(1));
    until(&host, |stats| stats.live == 0).await;
    ask(&host, &server, 1).await;
    assert_eq!((server.accepted(), host.stats().resent), (2, 0));
}

#[tokio::test]
async fn one_http_2_connection_opened_ahead_is_enough() {
    for over in BOTH {
        let server = H2::always(over).await;
        let host = server.host();
        assert_eq!(within(host.warm(&server.uri("/"), 1)).await, Ok(1), "{over:?}");
        let asked = join_all((0..16).map(|_| fetch(&host, server.uri("/"))));
        assert!(within(asked).await.iter().all(Result::is_ok), "{over:?}");
        assert_eq!((server.accepted(), host.stats().opened_h2), (1, 1), "{over:?}");
    }
}

#[tokio::test]
async fn a_time_of_zero_keeps_nothing() {
    for (host, reason) in [
        (Host::builder().idle_timeout(Duration::ZERO), "idle-timeout"),
        (Host::builder().max_age(Some(Duration::ZERO)), "max-age"),
    ] {
        let server = Server::always(OK).await;
        let host = host.build().unwrap();
        for round in 1..4 {
            ask(&host, &server, 1).await;
            until(&host, |stats| stats.live == 0 && stats.discarded == [(reason, round)].into()).await;
            assert_eq!(server.accepted() as u64, round, "{reason}");
        }
    }
}
