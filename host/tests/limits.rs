//! How many connections there are, and who waits for them.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use futures::future::join_all;
use rig::{OK, Server, get, request, text, until};
use std::time::Duration;
use urlpool_host::{Failure, Host, Timeouts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connections_to_one_origin_than_allowed() {
    let server = Server::always(OK).await;
    let host = Host::builder().connections_per_origin(3).build().unwrap();
    let sending = (0..32).map(|_| async {
        for _ in 0..20 {
            assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
        }
    });
    join_all(sending).await;
    assert!(server.accepted() <= 3, "{}", server.accepted());
    let stats = host.stats();
    assert_eq!((stats.requests, stats.waiting), (640, 0));
}

#[tokio::test]
async fn those_who_wait_are_served_in_order() {
    let (server, gate) = Server::gated().await;
    let host = Host::builder().connections_per_origin(1).build().unwrap();
    let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..5 {
        let (sender, uri, done) = (host.clone(), server.uri("/"), done.clone());
        tokio::spawn(async move {
            text(sender.send(request("GET", uri), Timeouts::default()).await).await.unwrap();
            done.send(number).unwrap();
        });
        until(&host, |stats| stats.waiting == number && stats.live == 1).await;
    }
    gate.add_permits(5);
    for number in 0..5 {
        assert_eq!(order.recv().await, Some(number));
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn who_waits_too_long_is_told_so() {
    let (server, gate) = Server::gated().await;
    let host = Host::builder().connections_per_origin(1).acquire_timeout(Duration::from_millis(50)).build().unwrap();
    let first = tokio::spawn({
        let (host, uri) = (host.clone(), server.uri("/"));
        async move { text(host.send(request("GET", uri), Timeouts::default()).await).await }
    });
    until(&host, |stats| stats.live == 1).await;
    assert_eq!(get(&host, &server).await.err(), Some(Failure::LimitReached));
    assert_eq!(host.stats().waiting, 0);
    gate.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap(), "ok");
    assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn idle_connections_beyond_the_limit_are_closed() {
    let (server, gate) = Server::gated().await;
    let host = Host::builder().idle_per_origin(1).build().unwrap();
    let three = join_all((0..3).map(|_| async { text(get(&host, &server).await).await.unwrap() }));
    let open = async {
        until(&host, |stats| stats.opened == 3).await;
        gate.add_permits(3);
    };
    tokio::join!(three, open);
    until(&host, |stats| stats.idle == 1 && stats.live == 1).await;
    let stats = host.stats();
    assert_eq!((server.accepted(), stats.discarded), (3, [("idle-limit", 2)].into()));
}

#[tokio::test]
async fn another_origin_makes_room_at_the_total_limit() {
    let (a, b, c) = (Server::always(OK).await, Server::always(OK).await, Server::always(OK).await);
    let host = Host::builder().connections(2).build().unwrap();
    for server in [&a, &b, &a, &c] {
        text(get(&host, server).await).await.unwrap();
        until(&host, |stats| stats.idle == stats.live).await;
    }
    let stats = host.stats();
    assert_eq!((stats.evicted, stats.live), (1, 2), "{stats:?}");
    // The one to `b` was used least recently, so `a` still has its own.
    text(get(&host, &a).await).await.unwrap();
    assert_eq!((a.accepted(), b.accepted(), c.accepted()), (1, 1, 1));
}

#[tokio::test]
async fn a_busy_origin_does_not_starve_another_at_the_total_limit() {
    let (busy, gate) = Server::gated().await;
    let other = Server::always(OK).await;
    let host = Host::builder().connections(1).build().unwrap();
    let spawn = |uri: String| {
        let host = host.clone();
        tokio::spawn(async move { text(host.send(request("GET", uri), Timeouts::default()).await).await })
    };
    let first = spawn(busy.uri("/"));
    until(&host, |stats| stats.live == 1).await;
    let second = spawn(other.uri("/"));
    until(&host, |stats| stats.waiting == 1).await;
    let third = spawn(busy.uri("/"));
    until(&host, |stats| stats.waiting == 2).await;
    gate.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap(), "ok");
    assert_eq!(second.await.unwrap().unwrap(), "ok");
    gate.add_permits(1);
    assert_eq!(third.await.unwrap().unwrap(), "ok");
    assert_eq!((busy.accepted(), other.accepted(), host.stats().evicted), (2, 1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_given_up_at_any_point_leak_nothing() {
    let server = Server::always(OK).await;
    let host = Host::builder().connections_per_origin(2).connections(2).build().unwrap();
    for polls in 0..40 {
        let three = (0..3).map(|_| {
            let (host, uri) = (host.clone(), server.uri("/"));
            tokio::spawn(async move {
                let mut sending = Box::pin(host.send(request("GET", uri), Timeouts::default()));
                for _ in 0..polls {
                    if futures::poll!(sending.as_mut()).is_ready() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        join_all(three).await;
    }
    until(&host, |stats| stats.waiting == 0 && stats.live == stats.idle).await;
    assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
    let stats = host.stats();
    assert!(stats.live <= 2, "{stats:?}");
}

#[tokio::test]
async fn who_may_not_wait_at_all_is_refused_at_once() {
    let (server, gate) = Server::gated().await;
    let host = Host::builder().connections_per_origin(1).acquire_timeout(Duration::ZERO).build().unwrap();
    // Without a limit that holds it back, it need not wait.
    let first = rig::spawned(&host, server.uri("/"));
    server.until(|server| server.requests() == 1).await;
    assert_eq!(get(&host, &server).await.err(), Some(Failure::LimitReached));
    gate.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap(), "ok");
    assert_eq!((server.accepted(), server.requests()), (1, 1));
}

/// The time to wait is for limits, of which none is reached here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_wait_opens_a_connection_rather_than_wait_for_one_to_come_back() {
    let server = Server::always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    let host = Host::builder().acquire_timeout(Duration::ZERO).build().unwrap();
    let sending = (0..8).map(|_| async {
        for _ in 0..50 {
            assert_eq!(text(get(&host, &server).await).await.unwrap(), "ok");
        }
    });
    join_all(sending).await;
    assert_eq!(server.requests(), 400);
}

#[tokio::test]
async fn nobody_waits_in_vain_for_a_connection_that_another_opens() {
    // Takes connections, and says nothing on them.
    let server = Server::start(|mut peer, _| async move { peer.closed().await }).await;
    let host = Host::builder().acquire_timeout(Duration::from_millis(50)).build().unwrap();
    let connect = Timeouts { connect: Some(Duration::from_millis(300)), ..Timeouts::default() };
    let uri = format!("https://{}/", server.address);
    let both = (0..2).map(|_| async { host.send(request("GET", uri.clone()), connect).await.err() });
    assert_eq!(join_all(both).await, [Some(Failure::ConnectTimeout), Some(Failure::ConnectTimeout)]);
    server.until_accepted(2).await;
}
