//! Requests and responses over HTTP/2: their heads, bodies and failures.
//!
//! Longer than most files: each case is short, and stands on the same few servers.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use ::h2::Reason;
use ::h2::server::Builder;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use rig::frames::{self, Frames};
use rig::h2::{Call, H2, Over, given_up};
use rig::tls::Identity;
use rig::{Peer, Server, data, fed, fetch, post, request, spawned, text, until, within};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use urlpool_host::{Failure, Host, HostBuilder, Timeouts, Versions};

const BOTH: [Over; 2] = [Over::Clear, Over::Tls];

/// A host that takes it for granted that servers speak HTTP/2.
fn prior() -> HostBuilder {
    Host::builder().versions(Versions::Http2)
}

fn trusting(identity: &Identity) -> HostBuilder {
    Host::builder().add_roots_pem(identity.pem.as_bytes()).unwrap()
}

/// Bytes that show when some are missing or out of order.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Answers with the body of the request.
async fn echo(over: Over, settings: Builder) -> H2 {
    H2::with(over, settings, |mut call| async move {
        let body = call.read().await;
        call.answer(body);
    })
    .await
}

/// Answers with the head of the request, a line for each field, pseudo fields first.
async fn mirror(over: Over) -> H2 {
    H2::start(over, |call| async move {
        let mut lines = format!("{} {}\n", call.head.method, call.head.uri);
        for (name, value) in &call.head.headers {
            lines.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        }
        call.answer(lines);
    })
    .await
}

#[tokio::test]
async fn the_authority_stands_in_its_own_field_alone() {
    for over in BOTH {
        let server = mirror(over).await;
        let head = fetch(&server.host(), server.uri("/a?q=1")).await.unwrap();
        let first = format!("GET {}\n", server.uri("/a?q=1"));
        assert_eq!(head, first, "{over:?}");
    }
}

#[tokio::test]
async fn fields_about_the_connection_are_never_sent() {
    for over in BOTH {
        let server = mirror(over).await;
        let mut request = request("GET", server.uri("/"));
        for (name, value) in [
            ("connection", "keep-alive, x-hop"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("x-hop", "1"),
            ("x-kept", "1"),
        ] {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let head = text(within(server.host().send(request, Timeouts::default())).await).await.unwrap();
        assert_eq!(head, format!("GET {}\nx-kept: 1\n", server.uri("/")), "{over:?}");
    }
}

#[tokio::test]
async fn responses_without_a_body_leave_the_connection_as_it_was() {
    for over in BOTH {
        let server = H2::start(over, |mut call| async move {
            let head = match call.head.method.as_str() {
                "HEAD" => Response::builder().header("content-length", "5"),
                "PUT" => Response::builder().status(204),
                "OPTIONS" => Response::builder().status(304).header("content-length", "5"),
                _ => return call.answer("ok"),
            };
            call.respond.send_response(head.body(()).unwrap(), true).unwrap();
        })
        .await;
        let host = server.host();
        for (method, status) in [("HEAD", 200), ("GET", 200), ("PUT", 204), ("GET", 200), ("OPTIONS", 304)] {
            let answer = within(host.send(request(method, server.uri("/")), Timeouts::default())).await.unwrap();
            assert_eq!(answer.status(), status, "{over:?}");
            assert_eq!(text(Ok(answer)).await.unwrap(), if method == "GET" { "ok" } else { "" }, "{over:?}");
        }
        assert_eq!(server.accepted(), 1, "{over:?}");
    }
}

#[tokio::test]
async fn interim_responses_are_passed_over() {
    for over in BOTH {
        let server = H2::start(over, |mut call| async move {
            for status in [100, 103] {
                call.respond.send_informational(Response::builder().status(status).body(()).unwrap()).unwrap();
            }
            call.answer("ok");
        })
        .await;
        let host = server.host();
        for _ in 0..2 {
            assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok", "{over:?}");
        }
        assert_eq!(server.accepted(), 1, "{over:?}");
    }
}

#[tokio::test]
async fn trailers_go_both_ways() {
    for over in BOTH {
        let server = H2::start(over, |mut call| async move {
            let body = call.read().await;
            let trailers = call.body.trailers().await.unwrap().unwrap();
            assert_eq!(body, "data");
            call.answer_with_trailers("ok", trailers);
        })
        .await;
        let (feed, request) = fed(server.uri("/"));
        feed.send(data("data")).unwrap();
        let sum = HeaderMap::from_iter([("x-sum".parse().unwrap(), "4".parse().unwrap())]);
        feed.send(Ok(Frame::trailers(sum))).unwrap();
        drop(feed);
        let answer = within(server.host().send(request, Timeouts::default())).await.unwrap();
        let body = within(answer.into_body().collect()).await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-sum"], "4", "{over:?}");
        assert_eq!(body.to_bytes(), "ok", "{over:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_go_both_ways() {
    for over in BOTH {
        let server = echo(over, Builder::new()).await;
        let host = server.host();
        let sent = pattern(3 << 20);
        for _ in 0..2 {
            let upload = http::Request::put(server.uri("/")).body(Full::from(sent.clone())).unwrap();
            let answer = within(host.send(upload, Timeouts::default())).await.unwrap();
            let got = within(answer.into_body().collect()).await.unwrap().to_bytes();
            assert!(got == sent, "{over:?}: {} bytes", got.len());
        }
        assert_eq!(server.accepted(), 1, "{over:?}");
        let stats = host.stats();
        let whole = 2 * sent.len() as u64;
        assert!(stats.bytes_written > whole && stats.bytes_read > whole, "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_windows_only_slow_an_upload_down() {
    let mut settings = Builder::new();
    settings.initial_window_size(1000).max_frame_size(16_384);
    let server = echo(Over::Clear, settings).await;
    let sent = pattern(300_000);
    let upload = http::Request::put(server.uri("/")).body(Full::from(sent.clone())).unwrap();
    let answer = within(server.host().send(upload, Timeouts::default())).await.unwrap();
    assert!(within(answer.into_body().collect()).await.unwrap().to_bytes() == sent);
}

#[tokio::test]
async fn a_body_that_nobody_reads_holds_up_no_other() {
    for over in BOTH {
        let server = H2::start(over, |call| async move {
            let body = if call.head.uri.path() == "/large" { pattern(8 << 20) } else { "ok".into() };
            call.answer(body);
        })
        .await;
        let host = server.host();
        let large = within(host.send(request("GET", server.uri("/large")), Timeouts::default())).await.unwrap();
        for _ in 0..20 {
            assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok", "{over:?}");
        }
        assert!(within(large.into_body().collect()).await.unwrap().to_bytes() == pattern(8 << 20), "{over:?}");
        assert_eq!(server.accepted(), 1, "{over:?}");
    }
}

#[tokio::test]
async fn an_answer_ahead_of_the_upload_is_delivered() {
    for over in BOTH {
        let server = H2::start(over, |mut call| async move {
            if call.nth > 0 {
                return call.answer("ok");
            }
            let head = Response::builder().status(413).body(()).unwrap();
            let mut stream = call.respond.send_response(head, false).unwrap();
            stream.send_data("nope".into(), true).unwrap();
            // With the rest of the request unread, it is reset for no error behind the answer (RFC 9113 §8.1).
        })
        .await;
        let host = server.host();
        let (feed, request) = fed(server.uri("/"));
        feed.send(data("some")).unwrap();
        let answer = within(host.send(request, Timeouts::default())).await.unwrap();
        let _unwanted = feed.send(data("more"));
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{over:?}");
        assert_eq!(within(text(Ok(answer))).await.unwrap(), "nope", "{over:?}");
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok", "{over:?}");
        assert_eq!(server.accepted(), 1, "{over:?}");
    }
}

#[tokio::test]
async fn an_upload_that_fails_ends_its_stream_alone() {
    for over in BOTH {
        let server = echo(over, Builder::new()).await;
        let host = server.host();
        assert_eq!(fetch(&host, server.uri("/")).await.unwrap(), "", "{over:?}");
        let (feed, request) = fed(server.uri("/"));
        feed.send(data("x")).unwrap();
        feed.send(Err(std::io::Error::other("gone"))).unwrap();
        let answer = within(host.send(request, Timeouts::default())).await;
        assert_eq!(answer.err(), Some(Failure::RequestBody), "{over:?}");
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "", "{over:?}");
        assert_eq!((server.accepted(), host.stats().resent), (1, 0), "{over:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_reset_is_incomplete_and_costs_its_stream_alone() {
    for over in BOTH {
        let server = H2::start(over, |mut call| async move {
            if call.head.uri.path() == "/next" {
                return call.answer("ok");
            }
            let mut stream = call.begin("some");
            // Not before the piece has arrived, which the reset would overtake.
            let _ = call.body.data().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        })
        .await;
        let host = server.host();
        let (feed, request) = fed(server.uri("/"));
        let mut body = within(host.send(request, Timeouts::default())).await.unwrap().into_body();
        assert_eq!(within(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "some", "{over:?}");
        drop(feed);
        assert_eq!(within(body.collect()).await.map(drop), Err(Failure::Incomplete), "{over:?}");
        assert_eq!(within(fetch(&host, server.uri("/next"))).await.unwrap(), "ok", "{over:?}");
        assert_eq!(server.accepted(), 1, "{over:?}");
    }
}

#[tokio::test]
async fn a_body_whose_connection_is_reset_is_incomplete() {
    for over in BOTH {
        let (lines, mut line) = mpsc::unbounded_channel();
        let server = H2::start(over, move |mut call| {
            let lines = lines.clone();
            async move {
                let stream = call.begin("some");
                lines.send((call.line.clone(), stream)).unwrap();
            }
        })
        .await;
        let host = server.host();
        let answer = within(host.send(request("GET", server.uri("/")), Timeouts::default())).await.unwrap();
        let (line, _stream) = within(line.recv()).await.unwrap();
        line.reset();
        let failure = within(answer.into_body().collect()).await.map(drop).unwrap_err();
        assert!(matches!(failure, Failure::Incomplete | Failure::Terminated), "{over:?}: {failure}");
        until(&host, |stats| stats.live == 0).await;
    }
}

#[tokio::test]
async fn a_body_shorter_than_its_length_is_an_error() {
    for over in BOTH {
        let server = H2::start(over, |mut call| async move {
            let head = Response::builder().header("content-length", "9").body(()).unwrap();
            let mut stream = call.respond.send_response(head, false).unwrap();
            stream.send_data("some".into(), true).unwrap();
        })
        .await;
        let failure = within(fetch(&server.host(), server.uri("/"))).await.unwrap_err();
        assert!(matches!(failure, Failure::Incomplete | Failure::Protocol), "{over:?}: {failure}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_told_as_that() {
    for over in BOTH {
        let server = H2::start(over, |mut call| async move {
            let fields = match call.head.uri.path() {
                "/large" => 80,
                "/huge" => 300,
                _ => return call.answer("ok"),
            };
            let mut head = Response::new(());
            for field in 0..fields {
                let name = http::HeaderName::try_from(format!("x-{field}")).unwrap();
                head.headers_mut().insert(name, "a".repeat(8_000).parse().unwrap());
            }
            let _ = call.respond.send_response(head, true);
        })
        .await;
        let host = server.host();
        assert_eq!(within(fetch(&host, server.uri("/large"))).await.unwrap_err(), Failure::HeadTooLarge, "{over:?}");
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok", "{over:?}");
        // Of what it does not read to its end h2 says no more.
        assert_eq!(within(fetch(&host, server.uri("/huge"))).await.unwrap_err(), Failure::Protocol, "{over:?}");
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok", "{over:?}");
        assert_eq!(server.accepted(), 1, "{over:?}");
    }
}

#[tokio::test]
async fn a_dropped_body_is_given_up_and_keeps_the_connection() {
    for over in BOTH {
        let (reasons, mut reason) = mpsc::unbounded_channel();
        let server = H2::start(over, move |mut call: Call| {
            let reasons = reasons.clone();
            async move {
                if call.nth > 0 {
                    return call.answer("ok");
                }
                let mut stream = call.begin("some");
                reasons.send(given_up(&mut stream).await).unwrap();
            }
        })
        .await;
        let host = server.host();
        drop(within(host.send(request("GET", server.uri("/")), Timeouts::default())).await.unwrap());
        assert_eq!(within(reason.recv()).await, Some(Reason::CANCEL), "{over:?}");
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok", "{over:?}");
        let stats = host.stats();
        assert_eq!((server.accepted(), stats.discarded.len()), (1, 0), "{over:?}: {stats:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_keeps_the_connection() {
    for over in BOTH {
        let (reasons, mut reason) = mpsc::unbounded_channel();
        let server = H2::start(over, move |mut call: Call| {
            let reasons = reasons.clone();
            async move {
                if call.nth != 1 {
                    return call.answer("ok");
                }
                reasons.send(call.given_up().await).unwrap();
            }
        })
        .await;
        let host = server.host();
        assert_eq!(fetch(&host, server.uri("/")).await.unwrap(), "ok");
        let asked = spawned(&host, server.uri("/"));
        server.until(|log| log.requests() == 2).await;
        asked.abort();
        assert_eq!(within(reason.recv()).await, Some(Reason::CANCEL), "{over:?}");
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok", "{over:?}");
        assert_eq!(server.accepted(), 1, "{over:?}");
    }
}

/// The next request went out on it before, and waited for an answer until its own limit passed.
#[tokio::test]
async fn a_connection_whose_peer_is_gone_gets_no_more_requests() {
    for half in [false, true] {
        let server = Server::start(move |peer, number| async move {
            let mut frames = Frames::greet(peer).await.unwrap();
            let first = frames.request().await.unwrap();
            frames.answer(first.stream, "ok").await;
            if number == 0 {
                let second = frames.request().await.unwrap();
                if half {
                    frames.begin(second.stream, "half").await;
                }
                // From here on not even pings are answered.
                std::future::pending::<()>().await;
            }
            frames.closed().await;
        })
        .await;
        let host = prior().build().unwrap();
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok");
        given_up_late(&host, server.uri("/"), server.until(|server| server.requests() == 2)).await;
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok", "half: {half}");
        until(&host, |stats| stats.discarded == [("timed-out", 1)].into()).await;
        assert_eq!(server.accepted(), 2, "half: {half}");
    }
}

/// It costs the round trip of a ping, not a connection.
#[tokio::test]
async fn a_connection_whose_peer_is_there_is_kept_although_a_request_on_it_took_too_long() {
    for (over, path) in BOTH.into_iter().flat_map(|over| [(over, "/silent"), (over, "/half")]) {
        let server = H2::start(over, |mut call: Call| async move {
            match call.head.uri.path() {
                "/silent" => drop(call.given_up().await),
                "/half" => drop(given_up(&mut call.begin("half")).await),
                _ => call.answer("ok"),
            }
        })
        .await;
        let host = server.builder().connections_per_origin(1).build().unwrap();
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok");
        given_up_late(&host, server.uri(path), server.until(|log| log.requests() == 2)).await;
        assert_eq!(within(fetch(&host, server.uri("/"))).await.unwrap(), "ok", "{over:?} {path}");
        assert_eq!((server.accepted(), host.stats().discarded.len()), (1, 0), "{over:?} {path}");
    }
}

/// Sends a request and gives it up once its connection has said nothing for longer than a second.
async fn given_up_late(host: &Host, uri: String, arrived: impl Future<Output = ()>) {
    let asked = spawned(host, uri);
    arrived.await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_stream_that_takes_too_long_holds_up_no_other() {
    for over in BOTH {
        let gate = Arc::new(Semaphore::new(0));
        let passing = gate.clone();
        let server = H2::start(over, move |mut call: Call| {
            let gate = passing.clone();
            async move {
                match call.head.uri.path() {
                    "/silent" => drop(call.given_up().await),
                    "/stalled" => {
                        let mut stream = call.begin("some");
                        given_up(&mut stream).await;
                    }
                    _ => {
                        gate.acquire().await.unwrap().forget();
                        call.answer("ok");
                    }
                }
            }
        })
        .await;
        let host = server.host();
        let other = spawned(&host, server.uri("/other"));
        server.until(|log| log.at_once == 1).await;
        let short = Some(Duration::from_millis(50));
        let soon = Timeouts { first_byte: short, between_bytes: short, ..Timeouts::default() };
        for path in ["/silent", "/stalled"] {
            let answer = host.send(request("GET", server.uri(path)), soon).await;
            assert_eq!(within(text(answer)).await, Err(Failure::ReadTimeout), "{over:?} {path}");
        }
        gate.add_permits(1);
        assert_eq!(within(other).await.unwrap().unwrap(), "ok", "{over:?}");
        assert_eq!(server.log().connections[0].requests, 2, "{over:?}");
    }
}

#[tokio::test]
async fn a_server_without_http_2_speaks_http_1() {
    for protocols in [&["http/1.1"][..], &[]] {
        let server = H2::agreeing(protocols, Builder::new(), |call| async move { call.answer("h2") }).await;
        let host = server.host();
        assert_eq!(fetch(&host, server.uri("/")).await.unwrap(), "ok", "{protocols:?}");
        let stats = host.stats();
        assert_eq!((server.log().requests_h1, stats.opened_h1, stats.opened_h2), (1, 1, 0), "{protocols:?}");
    }
}

#[tokio::test]
async fn a_host_of_http_1_alone_never_speaks_http_2() {
    let server = H2::always(Over::Tls).await;
    let host = server.builder().versions(Versions::Http1).build().unwrap();
    assert_eq!(fetch(&host, server.uri("/")).await.unwrap(), "ok");
    let stats = host.stats();
    assert_eq!((server.log().requests_h1, stats.opened_h1, stats.opened_h2), (1, 1, 0));
}

#[tokio::test]
async fn clear_text_is_http_1_unless_the_host_knows_better() {
    let server = Server::always(rig::OK).await;
    assert_eq!(fetch(&rig::host(), server.uri("/")).await.unwrap(), "ok");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_host_of_http_2_alone_never_speaks_http_1() {
    for protocols in [&["http/1.1"][..], &[]] {
        let server = H2::agreeing(protocols, Builder::new(), |call| async move { call.answer("h2") }).await;
        let host = server.builder().versions(Versions::Http2).build().unwrap();
        let failure = within(fetch(&host, server.uri("/"))).await.unwrap_err();
        assert!(
            matches!(failure, Failure::TlsAlert { .. } | Failure::TlsProtocol | Failure::Protocol),
            "{protocols:?}: {failure}"
        );
        until(&host, |stats| stats.live == 0).await;
    }
}

#[tokio::test]
async fn a_server_of_http_1_does_not_speak_http_2() {
    let answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for closes in [true, false] {
        let server = Server::start(move |mut peer, _| async move {
            peer.request().await;
            peer.send(answer).await;
            if !closes {
                peer.closed().await;
            }
        })
        .await;
        let host = prior().build().unwrap();
        assert_eq!(within(fetch(&host, server.uri("/"))).await, Err(Failure::Protocol), "{closes}");
        until(&host, |stats| stats.live == 0).await;
    }
}

#[tokio::test]
async fn garbage_is_a_protocol_error() {
    // Frames of a size, a kind, a stream or a place that cannot be, where the settings should be.
    let frames: [&[u8]; 4] = [
        &[0xff; 64],
        &[0, 0, 0, frames::DATA, 0, 0, 0, 0, 1],
        &[0, 0, 1, frames::SETTINGS, 0, 0, 0, 0, 0, 7],
        &[0, 0, 0, frames::SETTINGS, 0, 0, 0, 0, 1],
    ];
    for garbage in frames {
        let server = Server::start(move |mut peer: Peer<_>, _| async move {
            tokio::io::AsyncWriteExt::write_all(&mut peer.stream, garbage).await.unwrap();
            peer.closed().await;
        })
        .await;
        let host = prior().build().unwrap();
        assert_eq!(within(fetch(&host, server.uri("/"))).await, Err(Failure::Protocol), "{garbage:?}");
        until(&host, |stats| stats.live == 0).await;
    }
}

#[tokio::test]
async fn garbage_over_tls_is_a_protocol_error() {
    let identity = Identity::new();
    let acceptor = identity.acceptor(&["h2"]);
    let server = Server::start(move |peer, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut peer = Peer::new(acceptor.accept(peer.stream).await.unwrap());
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            peer.closed().await;
        }
    })
    .await;
    let host = trusting(&identity).build().unwrap();
    let answer = within(fetch(&host, format!("https://{}/", server.address))).await;
    assert_eq!(answer, Err(Failure::Protocol));
    until(&host, |stats| stats.live == 0).await;
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_terminated() {
    let server = Server::start(|peer, _| async move { drop(peer) }).await;
    let host = prior().build().unwrap();
    assert_eq!(within(fetch(&host, server.uri("/"))).await, Err(Failure::Terminated));
    until(&host, |stats| stats.live == 0).await;
}

#[tokio::test]
async fn a_server_that_never_sends_settings_holds_nobody_for_long() {
    let server = Server::start(|peer, _| async move {
        let mut frames = Frames::hear(peer).await.unwrap();
        frames.closed().await;
    })
    .await;
    let short = Duration::from_millis(100);
    let host = prior().connect_timeout(short).first_byte_timeout(short).acquire_timeout(short).build().unwrap();
    for _ in 0..2 {
        let asked = (0..3).map(|_| fetch(&host, server.uri("/")));
        for answer in within(futures::future::join_all(asked)).await {
            let failure = answer.unwrap_err();
            let waited = matches!(failure, Failure::ConnectTimeout | Failure::ReadTimeout | Failure::LimitReached);
            assert!(waited, "{failure}");
        }
    }
    assert_eq!(host.stats().waiting, 0);
}

/// The limit on streams is not known before the settings, so a second request waits for them; the first does not.
#[tokio::test]
async fn only_the_first_request_goes_out_before_the_settings() {
    let (seen, mut arrived) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let passing = gate.clone();
    let server = Server::start(move |peer, _| {
        let (seen, gate) = (seen.clone(), passing.clone());
        async move {
            let mut frames = Frames::hear(peer).await.unwrap();
            let first = frames.request().await.unwrap();
            seen.send(()).unwrap();
            gate.acquire().await.unwrap().forget();
            frames.write(frames::SETTINGS, 0, 0, &[]).await;
            let second = frames.request().await.unwrap();
            for request in [first, second] {
                frames.answer(request.stream, "ok").await;
            }
            frames.closed().await;
        }
    })
    .await;
    let host = prior().build().unwrap();
    let first = spawned(&host, server.uri("/"));
    within(arrived.recv()).await.unwrap();
    let second = spawned(&host, server.uri("/"));
    until(&host, |stats| stats.waiting == 1).await;
    gate.add_permits(1);
    assert_eq!(within(first).await.unwrap().unwrap(), "ok");
    assert_eq!(within(second).await.unwrap().unwrap(), "ok");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn the_same_request_may_have_a_body_of_known_and_of_unknown_length() {
    for over in BOTH {
        let server = mirror(over).await;
        let host = server.host();
        let known = text(within(host.send(post(server.uri("/"), "data"), Timeouts::default())).await).await.unwrap();
        assert!(known.contains("content-length: 4\n"), "{over:?}: {known}");
        let (feed, request) = fed(server.uri("/"));
        drop(feed);
        let unknown = text(within(host.send(request, Timeouts::default())).await).await.unwrap();
        assert!(!unknown.contains("content-length") && !unknown.contains("transfer-encoding"), "{over:?}: {unknown}");
    }
}

/// RFC 9113 §8.1: that the server needs no more of a request is no end of a response.
#[tokio::test]
async fn a_response_that_is_cut_for_no_error_is_not_whole() {
    for (over, length) in BOTH.into_iter().flat_map(|over| [(over, None), (over, Some("9")), (over, Some("4"))]) {
        let gate = Arc::new(Semaphore::new(0));
        let passing = gate.clone();
        let server = H2::start(over, move |mut call| {
            let gate = passing.clone();
            async move {
                let head = Response::builder();
                let head = length.into_iter().fold(head, |head, length| head.header("content-length", length));
                let mut stream = call.respond.send_response(head.body(()).unwrap(), false).unwrap();
                stream.send_data("some".into(), false).unwrap();
                gate.acquire().await.unwrap().forget();
                stream.send_reset(Reason::NO_ERROR);
            }
        })
        .await;
        let host = server.host();
        for uploads in [false, true] {
            let (frames, request) = fed(server.uri("/"));
            frames.send(data("x")).unwrap();
            let frames = Some(frames).filter(|_| uploads);
            let mut body = within(host.send(request, Timeouts::default())).await.unwrap().into_body();
            let piece = within(body.frame()).await.unwrap().unwrap();
            assert_eq!(piece.into_data().unwrap(), "some");
            // The reset comes once its data has arrived.
            gate.add_permits(1);
            let rest = within(body.collect()).await.map(|rest| rest.to_bytes());
            match length {
                // All that was announced has come.
                Some("4") => assert_eq!(rest.unwrap(), "", "{over:?} {uploads}"),
                _ => assert_eq!(rest.unwrap_err(), Failure::Incomplete, "{over:?} {length:?} {uploads}"),
            }
            drop(frames);
        }
        assert_eq!(server.accepted(), 1, "{over:?}");
    }
}

/// Its body is handed over in one piece, long before it is out.
#[tokio::test]
async fn a_large_request_that_goes_out_slowly_is_not_late() {
    const SIZE: usize = 16 << 20;
    for over in BOTH {
        let server = H2::start(over, |mut call: Call| async move {
            let mut read = 0;
            while let Some(Ok(piece)) = call.body.data().await {
                read += piece.len();
                // 16 KiB at a time, in about two seconds.
                tokio::time::sleep(Duration::from_micros(500)).await;
                call.body.flow_control().release_capacity(piece.len()).unwrap();
            }
            call.answer(read.to_string());
        })
        .await;
        let host = server.builder().first_byte_timeout(Duration::from_millis(500)).build().unwrap();
        let body = http_body_util::Full::new(bytes::Bytes::from(vec![0; SIZE]));
        let request = http::Request::put(server.uri("/")).body(body).unwrap();
        let answer = text(host.send(request, Timeouts::default()).await).await;
        assert_eq!(answer, Ok(SIZE.to_string()), "{over:?}");
    }
}
