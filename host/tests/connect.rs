//! Reaching a server: names, addresses, TLS.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use rig::certificates::{self, Authority};
use rig::names::{Fixed, Silent};
use rig::{OK, Server, host, request, text, until};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use urlpool_host::{Error, Failure, Host, Overrides, Resolve, System, Timeouts};

fn resolving(resolver: impl Resolve + 'static) -> Host {
    let timeout = Duration::from_millis(200);
    Host::builder().resolver(Arc::new(resolver)).connect_timeout(timeout).build().unwrap()
}

async fn asked(host: &Host, uri: &str) -> Result<String, Failure> {
    text(host.send(request("GET", uri.into()), Timeouts::default()).await).await
}

/// An address where nobody listens.
async fn deserted() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn nobody_listening_is_refused() {
    let uri = format!("http://{}/", deserted().await);
    let host = host();
    assert_eq!(asked(&host, &uri).await, Err(Failure::Refused));
    assert_eq!((host.stats().opened, host.stats().live), (0, 0));
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    let server = Server::always(OK).await;
    let host = resolving(Fixed(Ok(vec![deserted().await, server.address])));
    assert_eq!(asked(&host, "http://a.test/").await.unwrap(), "ok");
    assert_eq!(host.stats().opened, 1);
}

#[tokio::test]
async fn an_override_leads_elsewhere_and_host_keeps_the_name() {
    let server = Server::start(|mut peer, _| async move {
        let head = peer.request().await.unwrap();
        let length = head.len();
        peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{head}")).await;
    })
    .await;
    let mut overrides = Overrides::new(Arc::new(System));
    let port = server.address.port();
    overrides.add(&format!("a.test:{port}:127.0.0.1")).unwrap();
    let echo = asked(&resolving(overrides), &format!("http://A.test:{port}?q")).await.unwrap();
    assert!(echo.starts_with("GET /?q HTTP/1.1\r\n"), "{echo}");
    assert!(echo.to_ascii_lowercase().contains(&format!("host: a.test:{port}\r\n")), "{echo}");
}

#[tokio::test]
async fn a_failing_lookup_is_told_from_a_silent_one() {
    let unknown = asked(&resolving(Fixed(Err(io::ErrorKind::NotFound))), "http://a.test/").await;
    assert!(matches!(unknown, Err(Failure::Dns(_))), "{unknown:?}");
    let nothing = asked(&resolving(Fixed(Ok(Vec::new()))), "http://a.test/").await;
    assert!(matches!(nothing, Err(Failure::Dns(_))), "{nothing:?}");
    let late = asked(&resolving(Fixed(Err(io::ErrorKind::TimedOut))), "http://a.test/").await;
    assert_eq!(late, Err(Failure::DnsTimeout));
    assert_eq!(asked(&resolving(Silent), "http://a.test/").await, Err(Failure::DnsTimeout));
}

/// A server with a certificate for `name`, and the PEM file of the authority that signed it.
async fn secure(name: &str) -> (Server, String) {
    let authority = Authority::new();
    let (server, _) = certificates::secure(authority.config(name, None)).await;
    (server, authority.pem)
}

fn trusting(pem: &str, server: &Server) -> Host {
    Host::builder()
        .add_roots_pem(pem.as_bytes())
        .unwrap()
        .resolver(Arc::new(Fixed(Ok(vec![server.address]))))
        .build()
        .unwrap()
}

#[tokio::test]
async fn tls_connections_are_reused() {
    let (server, pem) = secure("a.test").await;
    let host = trusting(&pem, &server);
    for _ in 0..20 {
        assert_eq!(asked(&host, "https://a.test/").await.unwrap(), "ok");
    }
    // The name of a certificate has no final dot, the origin has.
    assert_eq!(asked(&host, "https://a.test./").await.unwrap(), "ok");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn certificates_that_do_not_convince_are_told_from_other_failures() {
    let (server, pem) = secure("a.test").await;
    assert_eq!(asked(&trusting(&pem, &server), "https://b.test/").await, Err(Failure::TlsCertificate));
    let stranger = resolving(Fixed(Ok(vec![server.address])));
    assert_eq!(asked(&stranger, "https://a.test/").await, Err(Failure::TlsCertificate));
    until(&stranger, |stats| stats.live == 0).await;
    let plain = Server::start(|mut peer, _| async move {
        peer.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        peer.closed().await;
    })
    .await;
    let host = resolving(Fixed(Ok(vec![plain.address])));
    assert_eq!(asked(&host, "https://a.test/").await, Err(Failure::TlsProtocol));
}

#[tokio::test]
async fn the_tls_handshake_is_part_of_connecting() {
    let silent = Server::start(|mut peer, _| async move { peer.closed().await }).await;
    let host = resolving(Fixed(Ok(vec![silent.address])));
    assert_eq!(asked(&host, "https://a.test/").await, Err(Failure::ConnectTimeout));
    let closing = Server::start(|peer, _| async move { drop(peer) }).await;
    let host = resolving(Fixed(Ok(vec![closing.address])));
    assert_eq!(asked(&host, "https://a.test/").await, Err(Failure::Terminated));
}

#[test]
fn a_file_without_certificates_is_refused() {
    for pem in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(matches!(Host::builder().add_roots_pem(pem.as_bytes()), Err(Error::Roots(_))), "{pem}");
    }
}

#[test]
fn a_limit_of_no_connection_is_refused() {
    assert!(matches!(Host::builder().connections(0).build(), Err(Error::Limit("connections"))));
    let none = Host::builder().connections_per_origin(0).build();
    assert!(matches!(none, Err(Error::Limit("connections_per_origin"))));
}
