//! Request bodies: sent as they come, and stopped by an answer.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use http_body_util::BodyExt;
use rig::{OK, Server, data, fed, host, post, text, until};
use std::time::Duration;
use urlpool_host::{Failure, Host, Timeouts};

#[tokio::test]
async fn a_known_body_has_its_length_and_another_is_chunked() {
    let server = Server::start(|mut peer, _| async move {
        while let Some(request) = peer.request().await {
            let length = request.len();
            peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{request}")).await;
        }
    })
    .await;
    let host = host();
    let known = text(host.send(post(server.uri("/"), "data"), Timeouts::default()).await).await.unwrap();
    assert!(known.contains("content-length: 4\r\n") && known.ends_with("\r\n\r\ndata"), "{known}");
    let (frames, request) = fed(server.uri("/"));
    frames.send(data("da")).unwrap();
    frames.send(data("ta")).unwrap();
    drop(frames);
    let chunked = text(host.send(request, Timeouts::default()).await).await.unwrap();
    assert!(chunked.ends_with("\r\n\r\n2\r\nda\r\n2\r\nta\r\n0\r\n\r\n"), "{chunked}");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn an_answer_stops_the_upload_and_is_read_to_its_end() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    let server = Server::start(move |mut peer, _| {
        let tell = tell.lock().unwrap().take();
        async move {
            peer.head().await;
            peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nno").await;
            let more = peer.silence().await;
            peer.send("pe").await;
            let _ = tell.unwrap().send(more);
        }
    })
    .await;
    let host = host();
    let (frames, request) = fed(server.uri("/"));
    let answer = host.send(request, Timeouts::default()).await.unwrap();
    for _ in 0..10 {
        frames.send(data("more")).unwrap();
    }
    assert_eq!(answer.status(), 413);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "nope");
    assert_eq!(told.await.unwrap(), 0);
    until(&host, |stats| stats.live == 0).await;
    assert_eq!(host.stats().discarded, [("answered-early", 1)].into());
}

#[tokio::test]
async fn an_answer_before_a_close_survives_the_upload() {
    let server = Server::start(|mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nnope").await;
    })
    .await;
    for _ in 0..20 {
        let host = host();
        let (frames, request) = fed(server.uri("/"));
        frames.send(data(&"x".repeat(1 << 20))).unwrap();
        frames.send(data(&"x".repeat(1 << 20))).unwrap();
        let answer = host.send(request, Timeouts::default()).await;
        // A reset may overtake the answer on its way, but only as an error of the connection.
        match text(answer).await {
            Ok(body) => assert_eq!(body, "nope"),
            Err(failure) => assert!(matches!(failure, Failure::Terminated | Failure::Incomplete), "{failure}"),
        }
    }
}

/// Two interim heads; the second comes in two pieces.
const INTERIM: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n";

#[tokio::test]
async fn an_interim_answer_does_not_stop_the_upload() {
    let server = Server::start(|mut peer, _| async move {
        peer.head().await;
        let (some, rest) = INTERIM.split_at(INTERIM.len() - 9);
        peer.send(some).await;
        peer.send(rest).await;
        // The head was counted above; what follows is the body.
        let body = peer.request().await;
        peer.send(if body.is_some() { OK } else { "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n" }).await;
        peer.closed().await;
    })
    .await;
    let host = host();
    let (frames, request) = fed(server.uri("/"));
    let feed = async {
        until(&host, |stats| stats.bytes_read == INTERIM.len() as u64).await;
        frames.send(data("\r\n\r\n")).unwrap();
        drop(frames);
    };
    let (answer, ()) = tokio::join!(host.send(request, Timeouts::default()), feed);
    assert_eq!(text(answer).await.unwrap(), "ok");
}

#[tokio::test]
async fn the_first_byte_is_waited_for_from_the_end_of_the_upload() {
    let server = Server::always(OK).await;
    let host = Host::builder().first_byte_timeout(Duration::from_millis(200)).build().unwrap();
    let (frames, request) = fed(server.uri("/"));
    let feed = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(80)).await;
            frames.send(data("x")).unwrap();
        }
        drop(frames);
    };
    let (answer, ()) = tokio::join!(host.send(request, Timeouts::default()), feed);
    assert_eq!(text(answer).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_body_that_fails_ends_its_request() {
    let server = Server::always(OK).await;
    let host = host();
    let (frames, request) = fed(server.uri("/"));
    frames.send(data("x")).unwrap();
    frames.send(Err(std::io::Error::other("gone"))).unwrap();
    assert_eq!(host.send(request, Timeouts::default()).await.err(), Some(Failure::RequestBody));
    assert_eq!(server.requests(), 0);
    until(&host, |stats| stats.live == 0).await;
}

/// Its body is handed over in one piece, long before it is out.
#[tokio::test]
async fn a_large_request_that_goes_out_slowly_is_not_late() {
    const SIZE: usize = 64 << 20;
    const PIECE: usize = 512 << 10;
    let server = Server::start(|mut peer, _| async move {
        // Else the system may take all of it at once.
        socket2::SockRef::from(&peer.stream).set_recv_buffer_size(PIECE / 4).unwrap();
        // All but as much of the body as the head is long, in more than a second.
        let mut piece = vec![0; PIECE];
        for _ in 0..SIZE / PIECE {
            tokio::time::sleep(Duration::from_millis(10)).await;
            tokio::io::AsyncReadExt::read_exact(&mut peer.stream, &mut piece).await.unwrap();
        }
        peer.send(OK).await;
        peer.closed().await;
    })
    .await;
    let host = Host::builder().first_byte_timeout(Duration::from_millis(500)).build().unwrap();
    let body = http_body_util::Full::new(bytes::Bytes::from(vec![0; SIZE]));
    let request = http::Request::put(server.uri("/")).body(body).unwrap();
    assert_eq!(text(host.send(request, Timeouts::default()).await).await.unwrap(), "ok");

    // And one whose answer does not come is late once it is out.
    let silent = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.closed().await;
    })
    .await;
    let host = Host::builder().first_byte_timeout(Duration::from_millis(100)).build().unwrap();
    for _ in 0..2 {
        let answer = rig::within(host.send(post(silent.uri("/"), "data"), Timeouts::default())).await;
        assert_eq!(answer.err(), Some(Failure::ReadTimeout));
    }
    assert_eq!(silent.accepted(), 2);
}
