//! The servers of these tests alone, seen by a plain HTTP/2 client.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use ::h2::client::{self, SendRequest};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use rig::frames::Frames;
use rig::h2::{H2, Over};
use rig::tls::Identity;
use rig::{Server, within};
use rustls_pki_types::pem::PemObject;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// A plain client of the server at this address.
async fn client(authority: &str) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(authority).await.unwrap();
    let (sender, connection) = client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

/// Sends a request with this body.
async fn send(sender: &mut SendRequest<Bytes>, uri: String, body: &'static str) -> client::ResponseFuture {
    let (response, mut stream) = sender.send_request(Request::post(uri).body(()).unwrap(), false).unwrap();
    stream.send_data(body.into(), true).unwrap();
    response
}

async fn text(
    response: Result<Response<::h2::RecvStream>, ::h2::Error>,
) -> Result<(String, Option<HeaderMap>), ::h2::Error> {
    let mut body = response?.into_body();
    let mut whole = Vec::new();
    while let Some(piece) = body.data().await {
        whole.extend_from_slice(&piece?);
    }
    Ok((String::from_utf8(whole).unwrap(), body.trailers().await?))
}

#[tokio::test]
async fn requests_at_once_are_counted() {
    let both = Arc::new(Barrier::new(2));
    let server = H2::start(Over::Clear, move |mut call| {
        let both = both.clone();
        async move {
            let body = call.read().await;
            both.wait().await;
            call.answer_with_trailers("ok", HeaderMap::from_iter([("x-sum".parse().unwrap(), body.len().into())]));
        }
    })
    .await;
    let mut sender = client(&server.authority()).await;
    let (one, two) = (send(&mut sender, server.uri("/"), "a").await, send(&mut sender, server.uri("/"), "ab").await);
    let (one, two) = (text(within(one).await).await.unwrap(), text(within(two).await).await.unwrap());
    assert_eq!((one.0.as_str(), &one.1.unwrap()["x-sum"]), ("ok", &1.into()));
    assert_eq!((two.0.as_str(), &two.1.unwrap()["x-sum"]), ("ok", &2.into()));
    server.until(|log| log.at_once == 0).await;
    let log = server.log();
    assert_eq!((log.spread(), log.connections[0].most_at_once, log.most_at_once), (vec![2], 2, 2));
    drop(sender);
    server.until(|log| log.connections[0].ended).await;
}

#[tokio::test]
async fn a_line_is_left_or_reset() {
    let server = H2::start(Over::Clear, |call| async move {
        match call.head.uri.path() {
            "/leave" => call.line.leave(),
            "/reset" => return call.line.reset(),
            _ => {}
        }
        call.answer("ok");
    })
    .await;
    let mut sender = client(&server.authority()).await;
    let answer = send(&mut sender, server.uri("/leave"), "").await;
    assert_eq!(text(within(answer).await).await.unwrap().0, "ok");
    server.until(|log| log.connections[0].ended).await;
    let mut sender = client(&server.authority()).await;
    let answer = send(&mut sender, server.uri("/reset"), "").await;
    // The stream may be given up first, as its call is dropped while the socket is.
    let error = text(within(answer).await).await.unwrap_err();
    assert!(error.is_io() || error.is_reset(), "{error:?}");
    server.until(|log| log.connections[1].ended).await;
}

#[tokio::test]
async fn frames_are_answered_and_refused_one_by_one() {
    let server = Server::start(|peer, _| async move {
        let mut frames = Frames::greet(peer).await.unwrap();
        let (first, second) = (frames.request().await.unwrap(), frames.request().await.unwrap());
        assert_eq!((first.stream, first.body.as_slice()), (1, b"a".as_slice()));
        frames.go_away(first.stream, 0).await;
        frames.answer(first.stream, "ok").await;
        assert_eq!(second.stream, 3);
        frames.closed().await;
    })
    .await;
    let mut sender = client(&server.address.to_string()).await;
    let one = send(&mut sender, server.uri("/"), "a").await;
    let two = send(&mut sender, server.uri("/"), "b").await;
    assert_eq!(text(within(one).await).await.unwrap().0, "ok");
    let error = text(within(two).await).await.unwrap_err();
    assert!(error.is_go_away() && error.is_remote(), "{error:?}");
    assert_eq!((server.accepted(), server.requests()), (1, 2));
}

#[tokio::test]
async fn the_protocol_is_agreed_by_alpn() {
    let server = H2::always(Over::Tls).await;
    let mut roots = RootCertStore::empty();
    let pem = server.pem.clone().unwrap();
    roots.add(rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    for (offered, agreed) in
        [(vec!["h2", "http/1.1"], Some("h2")), (vec!["http/1.1"], Some("http/1.1")), (vec![], None)]
    {
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = offered.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(server.authority()).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed.map(str::as_bytes));
    }
    assert_eq!(Identity::new().acceptor(&["h2"]).config().alpn_protocols, [b"h2"]);
}
