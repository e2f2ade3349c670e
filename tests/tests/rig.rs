//! The rig alone: what the scripted server does and records, seen through plain sockets.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use urlpool_conformance::ports::{BlackHole, Refused};
use urlpool_conformance::reply::{close, ok, raw, stall, status};
use urlpool_conformance::server::{DEADLINE, End};
use urlpool_conformance::tls::Authority;
use urlpool_conformance::{Gate, Server, Speech, Until};

async fn talk(server: &Server, sent: &[u8]) -> Result<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", server.port())).await?;
    socket.write_all(sent).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(DEADLINE, socket.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8(answer)?)
}

#[tokio::test]
async fn replies_come_in_order_and_the_last_one_stays() -> Result<()> {
    let server = Server::replies([ok("one"), ok("two").close()]).await?;
    let answer = talk(&server, b"GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").await?;
    assert!(answer.contains("\r\n\r\noneHTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("two"), "{answer}");
    let log = server.until("the end", |log| log.connections[0].ended.is_some()).await?;
    assert_eq!(log.connections.len(), 1);
    assert_eq!(log.connections[0].requests, 2);
    assert_eq!(log.connections[0].ended, Some(End::Server));
    assert_eq!(log.requests[1].text(), "abc");
    assert_eq!(log.in_flight, 0);
    Ok(())
}

#[tokio::test]
async fn routes_answer_by_path() -> Result<()> {
    let server = Server::routes([("/a", vec![status(204).close()])]).await?;
    assert!(talk(&server, b"GET /a?x=1 HTTP/1.1\r\n\r\n").await?.starts_with("HTTP/1.1 204"));
    Ok(())
}

#[tokio::test]
async fn a_gate_holds_an_answer_and_counts_as_in_flight() -> Result<()> {
    let gate = Gate::new();
    let server = Server::replies([ok("").after(Until::Open(gate.clone())).close()]).await?;
    let watching = async {
        server.until("two in flight", |log| log.in_flight == 2).await?;
        gate.open();
        Ok(())
    };
    tokio::try_join!(talk(&server, b"GET / HTTP/1.1\r\n\r\n"), talk(&server, b"GET / HTTP/1.1\r\n\r\n"), watching)?;
    assert_eq!(server.log().most_in_flight, 2);
    Ok(())
}

#[tokio::test]
async fn a_reset_is_an_error_to_the_client() -> Result<()> {
    let server = Server::replies([raw("HTTP/1.1 200").reset()]).await?;
    assert!(talk(&server, b"GET / HTTP/1.1\r\n\r\n").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_stalled_connection_ends_with_the_client() -> Result<()> {
    let server = Server::replies([stall()]).await?;
    let mut socket = TcpStream::connect(("127.0.0.1", server.port())).await?;
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    server.until("the request", |log| log.requests.len() == 1).await?;
    drop(socket);
    server.until("the end", |log| log.connections[0].ended == Some(End::Client)).await?;
    Ok(())
}

#[tokio::test]
async fn a_refused_port_refuses_until_it_listens() -> Result<()> {
    let refused = Refused::bind()?;
    let port = refused.port();
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    let listener = refused.listen()?;
    TcpStream::connect(("127.0.0.1", port)).await?;
    drop(listener);
    Ok(())
}

#[tokio::test]
async fn a_black_hole_neither_accepts_nor_refuses() -> Result<()> {
    let hole = BlackHole::open().await?;
    let port: u16 = hole.url("").rsplit(':').next().unwrap_or_default().parse()?;
    let connecting = TcpStream::connect(("127.0.0.1", port));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), connecting).await.is_err());
    Ok(())
}

/// A plain HTTP/2 client of a server that this authority vouches for.
async fn http_2(authority: &Authority, server: &Server) -> Result<SendRequest<Bytes>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(("127.0.0.1", server.port())).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into()?, socket).await?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    Ok(sender.ready().await?)
}

/// What came of a request: its status, body and trailers.
async fn ask(sender: &mut SendRequest<Bytes>, server: &Server, body: &'static str) -> Result<(u16, String, usize)> {
    let request = Request::post(server.url("/a?x=1")).header("x-first", "1").body(())?;
    let (answer, mut stream) = sender.send_request(request, false)?;
    stream.send_data(body.into(), true)?;
    let answer = tokio::time::timeout(DEADLINE, answer).await??;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    let mut whole = Vec::new();
    while let Some(piece) = body.data().await {
        whole.extend_from_slice(&piece?);
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    Ok((status, String::from_utf8(whole)?, trailers.len()))
}

#[tokio::test]
async fn replies_are_the_same_over_http_2() -> Result<()> {
    let authority = Authority::new()?;
    let mut replies = vec![
        close(),
        ok("last").close(),
        status(413).body("early").early(),
        status(201).chunks(["on", "e"]).trailer("x-sum", "3").preceded_by("HTTP/1.1 103 Early Hints\r\n\r\n"),
    ];
    let script = move |_: &_| replies.pop().unwrap_or_else(|| status(404));
    let server = Server::vouched_for(&authority, Speech::Http2Tls, script).await?;
    let mut sender = http_2(&authority, &server).await?;
    assert_eq!(ask(&mut sender, &server, "body").await?, (201, "one".to_owned(), 1));
    assert_eq!(ask(&mut sender, &server, "").await?, (413, "early".to_owned(), 0));
    assert_eq!(ask(&mut sender, &server, "").await?, (200, "last".to_owned(), 0));
    let log = server.until("the end", |log| log.connections[0].ended == Some(End::Server)).await?;
    let request = &log.requests[0];
    assert_eq!((request.method.as_str(), request.target.as_str(), request.text().as_str()), ("POST", "/a?x=1", "body"));
    assert_eq!((request.header("x-first"), request.whole), (Some("1"), true));
    let mut sender = http_2(&authority, &server).await?;
    assert!(ask(&mut sender, &server, "").await.is_err());
    let log = server.until("the end", |log| log.connections[1].ended.is_some()).await?;
    assert_eq!(log.connections.iter().map(|connection| connection.requests).collect::<Vec<_>>(), [3, 1]);
    assert_eq!((log.in_flight, log.most_in_flight), (0, 1));
    Ok(())
}

#[tokio::test]
async fn a_reply_of_raw_bytes_fails_over_http_2() -> Result<()> {
    let authority = Authority::new()?;
    let server = Server::vouched_for(&authority, Speech::Http2Tls, |_| raw("HTTP/1.1 200 OK\r\n\r\n")).await?;
    let mut sender = http_2(&authority, &server).await?;
    assert!(ask(&mut sender, &server, "").await.is_err());
    Ok(())
}
