//! Which HTTP/2 connection serves which request, and what becomes of those that it did not serve.
//!
//! Longer than most files: sharing and resending are told apart by the same counts of connections.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use ::h2::Reason;
use ::h2::server::Builder;
use futures::future::join_all;
use http_body_util::Full;
use rig::frames::Frames;
use rig::h2::{Call, H2, Over};
use rig::tls::Identity;
use rig::{OK, Peer, Server, fetch, post, request, spawned, text, until, within};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Barrier, Semaphore, mpsc};
use urlpool_host::{Failure, Host, HostBuilder, Timeouts, Versions};

const BOTH: [Over; 2] = [Over::Clear, Over::Tls];

/// A host that takes it for granted that servers speak HTTP/2.
fn prior() -> HostBuilder {
    Host::builder().versions(Versions::Http2)
}

/// Answers with the path, each request once so many are there.
async fn together(over: Over, settings: Builder, count: usize) -> H2 {
    let all = Arc::new(Barrier::new(count));
    H2::with(over, settings, move |call| {
        let all = all.clone();
        async move {
            all.wait().await;
            let path = call.head.uri.path().to_owned();
            call.answer(path);
        }
    })
    .await
}

/// Answers each request once the test lets it.
async fn gated(over: Over, settings: Builder) -> (H2, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let passing = gate.clone();
    let server = H2::with(over, settings, move |call| {
        let gate = passing.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            call.answer("ok");
        }
    })
    .await;
    (server, gate)
}

fn streams(most: u32) -> Builder {
    let mut settings = Builder::new();
    settings.max_concurrent_streams(most);
    settings
}

/// Sends this many requests at once, and sees that each gets its own answer.
async fn ask_at_once(host: &Host, server: &H2, count: usize) {
    let asked = (0..count).map(|number| async move {
        let path = format!("/{number}");
        assert_eq!(fetch(host, server.uri(&path)).await.unwrap(), path);
    });
    within(join_all(asked)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_once_share_one_connection() {
    for over in BOTH {
        let server = together(over, Builder::new(), 32).await;
        let host = server.host();
        ask_at_once(&host, &server, 32).await;
        assert_eq!((server.accepted(), server.log().most_at_once), (1, 32), "{over:?}");
        let stats = host.stats();
        assert_eq!((stats.requests, stats.opened, stats.opened_h1, stats.opened_h2), (32, 1, 0, 1), "{over:?}");
        assert!(stats.discarded.is_empty(), "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_one_after_another_use_one_connection() {
    for over in BOTH {
        let server = H2::always(over).await;
        let host = server.host();
        for _ in 0..200 {
            assert_eq!(fetch(&host, server.uri("/")).await.unwrap(), "ok");
        }
        assert_eq!(server.accepted(), 1, "{over:?}");
        let stats = host.stats();
        assert_eq!((stats.opened_h2, stats.reused, stats.discarded.len()), (1, 199, 0), "{over:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_limit_makes_no_more_connections_than_it_takes() {
    for over in BOTH {
        let server = together(over, streams(4), 10).await;
        let host = server.host();
        ask_at_once(&host, &server, 10).await;
        let mut spread = server.log().spread();
        spread.sort_unstable();
        assert_eq!((server.accepted(), spread), (3, vec![2, 4, 4]), "{over:?}");
        assert_eq!(host.stats().opened_h2, 3, "{over:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_all_streams_of_all_connections_taken_waits() {
    for over in BOTH {
        let (server, gate) = gated(over, streams(4)).await;
        let host = server.builder().connections_per_origin(2).build().unwrap();
        let asked = join_all((0..10).map(|_| async { fetch(&host, server.uri("/")).await.unwrap() }));
        let watching = async {
            server.until(|log| log.at_once == 8).await;
            until(&host, |stats| stats.waiting == 2).await;
            gate.add_permits(10);
        };
        within(futures::future::join(asked, watching)).await;
        assert_eq!((server.accepted(), server.log().most_at_once), (2, 8), "{over:?}");
        assert!(server.log().connections.iter().all(|connection| connection.most_at_once == 4), "{over:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_another_origin() {
    let (one, two) = (H2::always(Over::Clear).await, H2::always(Over::Clear).await);
    let host = prior().connections(1).build().unwrap();
    for server in [&one, &two, &one] {
        assert_eq!(fetch(&host, server.uri("/")).await.unwrap(), "ok");
        until(&host, |stats| stats.idle == 1).await;
    }
    assert_eq!((one.accepted(), two.accepted(), host.stats().evicted), (2, 1, 2));
    one.until(|log| log.connections[0].ended).await;
}

/// An origin whose protocol is not known may turn out to need a connection for each request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_agrees_to_http_1_gets_a_connection_for_each() {
    let identity = Identity::new();
    let (acceptor, all) = (identity.acceptor(&["http/1.1"]), Arc::new(Barrier::new(5)));
    let server = Server::start(move |peer, _| {
        let (acceptor, all) = (acceptor.clone(), all.clone());
        async move {
            let mut peer = Peer::new(acceptor.accept(peer.stream).await.unwrap());
            while peer.request().await.is_some() {
                all.wait().await;
                peer.send(OK).await;
            }
        }
    })
    .await;
    let host = Host::builder().add_roots_pem(identity.pem.as_bytes()).unwrap().build().unwrap();
    for _ in 0..2 {
        let asked = (0..5).map(|_| async {
            assert_eq!(fetch(&host, format!("https://{}/", server.address)).await.unwrap(), "ok");
        });
        within(join_all(asked)).await;
        until(&host, |stats| stats.idle == 5).await;
    }
    let stats = host.stats();
    assert_eq!((server.accepted(), stats.opened_h1, stats.opened_h2), (5, 5, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_connection_that_cannot_be_opened_gets_another() {
    let identity = Identity::new();
    let (acceptor, both) = (identity.acceptor(&["http/1.1"]), Arc::new(Semaphore::new(0)));
    let waiting = both.clone();
    let server = Server::start(move |peer, number| {
        let (acceptor, waiting) = (acceptor.clone(), waiting.clone());
        async move {
            if number == 0 {
                waiting.acquire().await.unwrap().forget();
                return;
            }
            let mut peer = Peer::new(acceptor.accept(peer.stream).await.unwrap());
            while peer.request().await.is_some() {
                peer.send(OK).await;
            }
        }
    })
    .await;
    let host = Host::builder().add_roots_pem(identity.pem.as_bytes()).unwrap().build().unwrap();
    let asked = join_all((0..3).map(|_| fetch(&host, format!("https://{}/", server.address))));
    let failing = async {
        until(&host, |stats| stats.waiting == 2).await;
        both.add_permits(1);
    };
    let (answers, ()) = within(futures::future::join(asked, failing)).await;
    assert_eq!(answers[0], Err(Failure::Terminated));
    assert_eq!(answers[1..], [Ok("ok".to_owned()), Ok("ok".to_owned())]);
}

#[tokio::test]
async fn a_request_above_the_last_stream_goes_out_once_more() {
    let (seen, mut arrived) = mpsc::unbounded_channel();
    let late = Arc::new(Semaphore::new(0));
    let gate = late.clone();
    let server = Server::start(move |peer, number| {
        let (seen, gate) = (seen.clone(), gate.clone());
        async move {
            let mut frames = Frames::greet(peer).await.unwrap();
            if number > 0 {
                while let Some(request) = frames.request().await {
                    let body = String::from_utf8(request.body).unwrap();
                    frames.answer(request.stream, &format!("{number}{body}")).await;
                }
                return;
            }
            let first = frames.request().await.unwrap();
            seen.send(()).unwrap();
            frames.request().await.unwrap();
            frames.go_away(first.stream, 0).await;
            gate.acquire().await.unwrap().forget();
            frames.answer(first.stream, "0").await;
            frames.closed().await;
        }
    })
    .await;
    let host = prior().build().unwrap();
    let first = spawned(&host, server.uri("/"));
    within(arrived.recv()).await.unwrap();
    // A POST: the server has said that it did nothing about it.
    let second = host.send(post(server.uri("/"), "data"), Timeouts::default());
    assert_eq!(text(within(second).await).await.unwrap(), "1data");
    // Nothing more goes to the connection that was given up, although a stream of it is still open.
    assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "1");
    late.add_permits(1);
    assert_eq!(within(first).await.unwrap().unwrap(), "0");
    until(&host, |stats| stats.live == 1).await;
    let stats = host.stats();
    assert_eq!((server.accepted(), server.requests(), stats.resent), (2, 4, 1));
    assert_eq!(stats.discarded, [("goaway", 1)].into());
}

#[tokio::test]
async fn a_request_goes_out_once_more_but_not_twice() {
    let server = Server::start(|peer, _| async move {
        let mut frames = Frames::greet(peer).await.unwrap();
        frames.request().await.unwrap();
        frames.go_away(0, 0).await;
        frames.closed().await;
    })
    .await;
    let host = prior().build().unwrap();
    assert_eq!(within(fetch(&host, server.uri("/"))).await, Err(Failure::Terminated));
    assert_eq!((server.accepted(), server.requests(), host.stats().resent), (2, 2, 1));
    until(&host, |stats| stats.live == 0).await;
}

#[tokio::test]
async fn a_body_too_large_to_keep_does_not_go_out_once_more() {
    let server = Server::start(|peer, _| async move {
        let mut frames = Frames::greet(peer).await.unwrap();
        // Never a whole request: the window lets in one byte less than 64 KiB.
        let mut body = 0;
        while body < 65_535 {
            let frame = frames.next().await.unwrap();
            body += if frame.kind == rig::frames::DATA { frame.payload.len() } else { 0 };
        }
        // Room for the byte that is too much to be kept, and for the rest.
        for stream in [0, 1] {
            frames.write(rig::frames::WINDOW_UPDATE, 0, stream, &100_000_u32.to_be_bytes()).await;
        }
        while frames.next().await.is_some_and(|frame| frame.kind != rig::frames::DATA) {}
        frames.go_away(0, 0).await;
        frames.closed().await;
    })
    .await;
    let host = prior().build().unwrap();
    let upload = http::Request::post(server.uri("/")).body(Full::from(vec![b'x'; 100_000])).unwrap();
    assert_eq!(within(host.send(upload, Timeouts::default())).await.err(), Some(Failure::Terminated));
    assert_eq!((server.accepted(), host.stats().resent), (1, 0));
}

#[tokio::test]
async fn an_idle_connection_that_the_server_gives_up_is_closed() {
    let server = Server::start(|peer, _| async move {
        let mut frames = Frames::greet(peer).await.unwrap();
        let request = frames.request().await.unwrap();
        frames.answer(request.stream, "ok").await;
        frames.go_away(request.stream, 0).await;
        frames.closed().await;
    })
    .await;
    let host = prior().build().unwrap();
    for _ in 0..2 {
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok");
        until(&host, |stats| stats.live == 0).await;
    }
    let stats = host.stats();
    assert_eq!((server.accepted(), stats.resent), (2, 0));
    assert_eq!(stats.discarded, [("goaway", 2)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_leaves_again_and_again_gets_each_request_once() {
    for over in BOTH {
        let server = H2::start(over, |mut call| async move {
            call.line.leave();
            let body = call.read().await;
            call.answer(body);
        })
        .await;
        let host = server.host();
        for _ in 0..50 {
            let answer = within(host.send(post(server.uri("/"), "data"), Timeouts::default())).await;
            assert_eq!(text(answer).await.unwrap(), "data", "{over:?}");
        }
        assert_eq!(server.log().requests(), 50, "{over:?}");
    }
}

/// Refuses the first requests, and answers the others with their bodies.
async fn refusing(over: Over, refused: usize, reason: Reason) -> H2 {
    let arrived = Arc::new(AtomicUsize::new(0));
    H2::start(over, move |mut call: Call| {
        let number = arrived.fetch_add(1, Ordering::SeqCst);
        async move {
            let body = call.read().await;
            if number < refused { call.reset(reason) } else { call.answer(body) }
        }
    })
    .await
}

#[tokio::test]
async fn a_refused_stream_goes_out_once_more() {
    for over in BOTH {
        let server = refusing(over, 1, Reason::REFUSED_STREAM).await;
        let host = server.host();
        let answer = within(host.send(post(server.uri("/"), "data"), Timeouts::default())).await;
        assert_eq!(text(answer).await.unwrap(), "data", "{over:?}");
        assert_eq!((server.log().requests(), host.stats().resent), (2, 1), "{over:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_twice_is_reported() {
    for over in BOTH {
        let server = refusing(over, 2, Reason::REFUSED_STREAM).await;
        let host = server.host();
        let answer = within(host.send(post(server.uri("/"), "data"), Timeouts::default())).await;
        assert_eq!(answer.err(), Some(Failure::Terminated), "{over:?}");
        assert_eq!((server.log().requests(), host.stats().resent), (2, 1), "{over:?}");
    }
}

#[tokio::test]
async fn a_refused_stream_waits_for_nothing_that_cannot_come() {
    let server = refusing(Over::Clear, 1, Reason::REFUSED_STREAM).await;
    let wait = Duration::from_millis(200);
    let host = server.builder().connections_per_origin(1).acquire_timeout(wait).build().unwrap();
    // There may be no other connection beside the one that refused it.
    let answer = within(host.send(post(server.uri("/"), "data"), Timeouts::default())).await;
    assert_eq!(text(answer).await.unwrap(), "data");
    assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "");
    assert_eq!((server.accepted(), server.log().requests(), host.stats().resent), (1, 3, 1));
}

#[tokio::test]
async fn a_stream_reset_for_another_reason_is_reported() {
    for over in BOTH {
        let server = refusing(over, 1, Reason::INTERNAL_ERROR).await;
        let host = server.host();
        let answer = within(host.send(post(server.uri("/"), "data"), Timeouts::default())).await;
        assert!(answer.is_err(), "{over:?}");
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "", "{over:?}");
        // Only the stream has failed.
        assert_eq!((server.accepted(), server.log().requests(), host.stats().resent), (1, 2, 0), "{over:?}");
    }
}

/// The server has heard of it, and the connection is not stale.
#[tokio::test]
async fn a_stream_that_is_reset_on_a_kept_connection_is_reported_as_well() {
    for (over, reason) in BOTH.into_iter().flat_map(|over| {
        [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::ENHANCE_YOUR_CALM, Reason::NO_ERROR]
            .map(|reason| (over, reason))
    }) {
        let server = H2::start(over, move |call: Call| async move {
            match call.head.uri.path() {
                "/reset" => call.reset(reason),
                _ => call.answer("ok"),
            }
        })
        .await;
        let host = server.host();
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok");
        for method in ["GET", "PUT", "DELETE"] {
            let answer = within(host.send(request(method, server.uri("/reset")), Timeouts::default())).await;
            assert_eq!(answer.err(), Some(Failure::Terminated), "{over:?} {reason:?} {method}");
        }
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok");
        assert_eq!((server.accepted(), server.log().requests(), host.stats().resent), (1, 5, 0), "{over:?} {reason:?}");
    }
}

#[tokio::test]
async fn a_request_that_needs_http_1_goes_out_once_more_over_it() {
    let server = refusing(Over::Tls, usize::MAX, Reason::HTTP_1_1_REQUIRED).await;
    let host = server.host();
    let answer = within(host.send(post(server.uri("/"), "data"), Timeouts::default())).await;
    assert_eq!(text(answer).await.unwrap(), "ok");
    let (log, stats) = (server.log(), host.stats());
    assert_eq!((log.requests(), log.requests_h1), (1, 1));
    assert_eq!((stats.opened_h1, stats.opened_h2, stats.resent), (1, 1, 1));
}

#[tokio::test]
async fn a_connection_that_dies_under_its_streams_is_stale() {
    for over in BOTH {
        let server = H2::start(over, |call| async move {
            match (call.connection, call.nth) {
                // Three streams are open then.
                (0, 3) => call.line.reset(),
                (0, 1 | 2) => std::future::pending().await,
                _ => call.answer("ok"),
            }
        })
        .await;
        let host = server.host();
        assert_eq!(fetch(&host, server.uri("/")).await.unwrap(), "ok");
        let (one, two) = (fetch(&host, server.uri("/")), fetch(&host, server.uri("/")));
        let write = host.send(post(server.uri("/"), "data"), Timeouts::default());
        let (one, two, write) = within(futures::future::join3(one, two, write)).await;
        assert_eq!((one.unwrap(), two.unwrap()), ("ok".to_owned(), "ok".to_owned()), "{over:?}");
        assert_eq!(write.err(), Some(Failure::Terminated), "{over:?}");
        assert_eq!((server.accepted(), host.stats().resent), (2, 2), "{over:?}");
    }
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_reported() {
    for over in BOTH {
        let server = H2::start(over, |call| async move { call.line.reset() }).await;
        let host = server.host();
        assert_eq!(within(fetch(&host, server.uri("/"))).await, Err(Failure::Terminated), "{over:?}");
        assert_eq!((server.accepted(), host.stats().resent), (1, 0), "{over:?}");
        until(&host, |stats| stats.live == 0).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    for over in BOTH {
        let server = H2::always(over).await;
        let host = server.builder().idle_timeout(Duration::from_millis(50)).build().unwrap();
        assert_eq!(fetch(&host, server.uri("/")).await.unwrap(), "ok");
        until(&host, |stats| stats.live == 0).await;
        server.until(|log| log.connections[0].ended).await;
        assert_eq!(host.stats().discarded, [("idle-timeout", 1)].into(), "{over:?}");
        assert_eq!(fetch(&host, server.uri("/")).await.unwrap(), "ok");
        assert_eq!(server.accepted(), 2, "{over:?}");
    }
}

#[tokio::test]
async fn a_connection_with_a_stream_is_not_idle() {
    for over in BOTH {
        let (server, gate) = gated(over, Builder::new()).await;
        let host = server.builder().idle_timeout(Duration::from_millis(50)).build().unwrap();
        let asked = spawned(&host, server.uri("/"));
        server.until(|log| log.at_once == 1).await;
        // Several times as long as an idle one may stay.
        tokio::time::sleep(Duration::from_millis(200)).await;
        gate.add_permits(1);
        assert_eq!(within(asked).await.unwrap().unwrap(), "ok", "{over:?}");
        assert_eq!(server.accepted(), 1, "{over:?}");
    }
}

#[tokio::test]
async fn dropping_the_host_closes_its_connections() {
    for over in BOTH {
        let server = H2::always(over).await;
        let host = server.host();
        assert_eq!(fetch(&host, server.uri("/")).await.unwrap(), "ok");
        drop(host);
        server.until(|log| log.connections[0].ended).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_given_up_at_any_point_leak_nothing() {
    let server = H2::with(Over::Clear, streams(2), |call| async move { call.answer("ok") }).await;
    let host = server.builder().connections_per_origin(2).build().unwrap();
    for polls in 0..40 {
        let five = (0..5).map(|_| {
            let (host, uri) = (host.clone(), server.uri("/"));
            tokio::spawn(async move {
                let mut sending = Box::pin(fetch(&host, uri));
                for _ in 0..polls {
                    if futures::poll!(sending.as_mut()).is_ready() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        join_all(five).await;
    }
    until(&host, |stats| stats.waiting == 0 && stats.live == stats.idle).await;
    // All streams are there to be used again.
    let asked = join_all((0..4).map(|_| fetch(&host, server.uri("/"))));
    assert!(within(asked).await.iter().all(Result::is_ok));
    assert!(host.stats().live <= 2, "{:?}", host.stats());
}
