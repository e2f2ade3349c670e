//! What a proxy sees, what an origin behind it sees, and how a proxy's refusals are told.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use rig::certificates::{Authority, Log, secure, serve};
use rig::names::{Counted, Fixed};
use rig::{OK, Server, request, text};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use urlpool_host::{Egress, Failure, Host, HostBuilder, Proxies, Timeouts};

type Record = Arc<Mutex<Vec<String>>>;

/// A proxy that tunnels to `origin`, whatever it is asked for, and the heads it got.
async fn tunnelling(origin: SocketAddr) -> (Server, Record) {
    let record = Record::default();
    let heads = record.clone();
    let proxy = Server::start(move |mut peer, _| {
        let heads = heads.clone();
        async move {
            let Some(head) = peer.head().await else { return };
            heads.lock().unwrap().push(head);
            let mut beyond = TcpStream::connect(origin).await.unwrap();
            peer.send("HTTP/1.1 200 Connection established\r\nVia: 1.1 p.test\r\n\r\n").await;
            let _ = tokio::io::copy_bidirectional(&mut peer.stream, &mut beyond).await;
        }
    })
    .await;
    (proxy, record)
}

/// A proxy that gives each connection's first request the same answer, and the heads it got.
async fn answering(answer: &'static str) -> (Server, Record) {
    let record = Record::default();
    let heads = record.clone();
    let proxy = Server::start(move |mut peer, _| {
        let heads = heads.clone();
        async move {
            while let Some(head) = peer.head().await {
                heads.lock().unwrap().push(head);
                peer.send(answer).await;
            }
        }
    })
    .await;
    (proxy, record)
}

/// Goes through `proxy` with credentials, and knows no name but by the proxy.
fn through(proxy: &Server) -> HostBuilder {
    let proxies = Proxies::new().all(&format!("http://user:s3cret@{}", proxy.address)).unwrap();
    Host::builder().proxies(proxies).resolver(Arc::new(Fixed(Err(io::ErrorKind::NotFound))))
}

async fn asked(host: &Host, uri: &str) -> Result<String, Failure> {
    text(host.send(request("GET", uri.into()), Timeouts::default()).await).await
}

/// `user:s3cret` in Base64.
const AUTHORIZATION: &str = "Basic dXNlcjpzM2NyZXQ=";

#[tokio::test]
async fn tls_is_tunnelled_and_the_proxy_resolves_the_name() {
    let authority = Authority::new();
    let (origin, log) = secure(authority.config("a.test", None)).await;
    let (proxy, heads) = tunnelling(origin.address).await;
    let host = through(&proxy).add_roots_pem(authority.pem.as_bytes()).unwrap().build().unwrap();
    for _ in 0..3 {
        assert_eq!(asked(&host, "https://a.test/").await.unwrap(), "ok");
    }
    let expected =
        format!("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nProxy-Authorization: {AUTHORIZATION}\r\n\r\n");
    assert_eq!(*heads.lock().unwrap(), [expected]);
    assert_eq!((proxy.accepted(), log.lock().unwrap().len()), (1, 1));
    // The certificate is the origin's, and is still looked at.
    assert_eq!(asked(&host, "https://b.test/").await, Err(Failure::TlsCertificate));
}

#[tokio::test]
async fn the_origin_never_sees_the_credentials() {
    let (config, seen) = (Authority::new(), Arc::new(Mutex::new(Vec::new())));
    let server_config = Arc::new(config.config("a.test", None));
    let recorded = seen.clone();
    let log = Log::default();
    // Everything that comes out of the tunnel, in clear text.
    let origin = Server::start(move |mut peer, number| {
        let (recorded, server_config, log) = (recorded.clone(), server_config.clone(), log.clone());
        async move {
            if number == 0 {
                let request = peer.request().await.unwrap();
                recorded.lock().unwrap().push(request);
                peer.send(OK).await;
            } else {
                serve(peer.stream, server_config, OK, log).await;
            }
        }
    })
    .await;
    let (proxy, heads) = tunnelling(origin.address).await;
    let public = SocketAddr::from(([8, 8, 8, 8], 80));
    let host = through(&proxy)
        .egress(Egress::untrusted())
        .resolver(Arc::new(Fixed(Ok(vec![public]))))
        .add_roots_pem(config.pem.as_bytes())
        .unwrap()
        .build()
        .unwrap();
    assert_eq!(asked(&host, "http://a.test/").await.unwrap(), "ok");
    assert_eq!(asked(&host, "https://a.test/").await.unwrap(), "ok");
    let seen = seen.lock().unwrap().concat().to_ascii_lowercase();
    assert!(seen.starts_with("get / http/1.1\r\n") && seen.contains("host: a.test\r\n"), "{seen}");
    assert!(!seen.contains("proxy") && !seen.contains(&AUTHORIZATION.to_ascii_lowercase()), "{seen}");
    let heads = heads.lock().unwrap();
    assert!(heads.iter().all(|head| head.contains(AUTHORIZATION)), "{heads:?}");
}

#[tokio::test]
async fn requests_in_clear_text_are_given_to_the_proxy_whole() {
    let (proxy, heads) = answering(OK).await;
    let host = through(&proxy).build().unwrap();
    for uri in ["http://A.test:80/x?q", "http://a.test", "http://b.test:81/"] {
        assert_eq!(asked(&host, uri).await.unwrap(), "ok", "{uri}");
    }
    // One connection for each origin, although all lead to the same proxy.
    assert_eq!(proxy.accepted(), 2);
    let heads = heads.lock().unwrap();
    for (head, (target, authority)) in heads.iter().zip([
        ("http://A.test:80/x?q", "A.test:80"),
        ("http://a.test/", "a.test"),
        ("http://b.test:81/", "b.test:81"),
    ]) {
        assert!(head.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{head}");
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains(&format!("\r\nhost: {authority}\r\n").to_ascii_lowercase()), "{head}");
        assert!(head.contains(AUTHORIZATION), "{head}");
    }
    assert_eq!(heads.len(), 3);
}

/// A proxy would look the name up by itself, and could be led inside.
#[tokio::test]
async fn with_a_policy_a_proxy_is_led_to_the_address_that_was_checked() {
    let origin = Server::always(OK).await;
    let (proxy, heads) = tunnelling(origin.address).await;
    let addresses: Vec<SocketAddr> =
        ["10.0.0.1:80", "8.8.8.8:80"].iter().map(|address| address.parse().unwrap()).collect();
    let host = through(&proxy).egress(Egress::untrusted()).resolver(Arc::new(Fixed(Ok(addresses)))).build().unwrap();
    assert_eq!(asked(&host, "http://a.test/").await.unwrap(), "ok");
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("CONNECT 8.8.8.8:80 HTTP/1.1\r\nHost: 8.8.8.8:80\r\n"), "{heads:?}");
}

#[tokio::test]
async fn a_policy_holds_behind_a_proxy() {
    let (proxy, _) = answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let inside = Counted::new(Fixed(Ok(vec![SocketAddr::from(([127, 0, 0, 1], 80))])));
    let egress = Egress::untrusted().deny("b.test").unwrap();
    let host = through(&proxy).egress(egress).resolver(Arc::new(inside.clone())).build().unwrap();
    for uri in ["http://a.test/", "https://a.test/", "http://127.0.0.1/", "https://[::1]/", "http://169.254.169.254/"] {
        assert_eq!(asked(&host, uri).await, Err(Failure::Prohibited), "{uri}");
    }
    assert_eq!(asked(&host, "http://b.test/").await, Err(Failure::Denied));
    // The proxy itself is at an address that guests are kept from.
    assert_eq!((proxy.accepted(), inside.asked()), (0, 2));
}

#[tokio::test]
async fn an_address_that_the_proxy_cannot_reach_is_passed_over() {
    let origin = Server::always(OK).await;
    let address = origin.address;
    let proxy = Server::start(move |mut peer, number| async move {
        let _head = peer.head().await;
        if number == 0 {
            peer.send("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
            return;
        }
        let mut beyond = TcpStream::connect(address).await.unwrap();
        peer.send("HTTP/1.1 200 OK\r\n\r\n").await;
        let _ = tokio::io::copy_bidirectional(&mut peer.stream, &mut beyond).await;
    })
    .await;
    let addresses = vec!["[2606:4700::1111]:80".parse().unwrap(), "8.8.8.8:80".parse().unwrap()];
    let host = through(&proxy).egress(Egress::untrusted()).resolver(Arc::new(Fixed(Ok(addresses)))).build().unwrap();
    assert_eq!(asked(&host, "http://a.test/").await.unwrap(), "ok");
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn refusals_of_a_proxy_are_told_apart() {
    for (answer, expected) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n", Failure::Proxy),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Failure::Denied),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", Failure::Unavailable),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Failure::Unavailable),
        ("HTTP/1.1 504 Gateway Timeout\r\n\r\n", Failure::Unavailable),
        ("HTTP/1.1 405 Method Not Allowed\r\n\r\n", Failure::Proxy),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", Failure::Proxy),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Failure::Proxy),
        ("SSH-2.0-OpenSSH\r\n\r\n", Failure::Proxy),
    ] {
        let (proxy, heads) = answering(answer).await;
        let host = through(&proxy).build().unwrap();
        assert_eq!(asked(&host, "https://a.test/").await, Err(expected), "{answer}");
        assert_eq!((heads.lock().unwrap().len(), host.stats().live), (1, 0), "{answer}");
    }
}

#[tokio::test]
async fn a_proxy_that_closes_floods_or_says_nothing_is_no_proxy() {
    let closing = Server::start(|mut peer, _| async move {
        let _head = peer.head().await;
    })
    .await;
    assert_eq!(asked(&through(&closing).build().unwrap(), "https://a.test/").await, Err(Failure::Proxy));
    for (start, piece) in [("HTTP/1.1 200 OK\r\n", "X: y\r\n"), ("", "HTTP/1.1 100 Continue\r\n\r\n")] {
        let flooding = Server::start(move |mut peer, _| async move {
            let _head = peer.head().await;
            peer.send(start).await;
            let piece = piece.repeat(100);
            while peer.stream.write_all(piece.as_bytes()).await.is_ok() {}
        })
        .await;
        assert_eq!(asked(&through(&flooding).build().unwrap(), "https://a.test/").await, Err(Failure::Proxy));
    }
    let silent = Server::start(|mut peer, _| async move { peer.closed().await }).await;
    let host = through(&silent).connect_timeout(Duration::from_millis(200)).build().unwrap();
    assert_eq!(asked(&host, "https://a.test/").await, Err(Failure::ConnectTimeout));
}

#[tokio::test]
async fn exceptions_go_direct() {
    let origin = Server::always(OK).await;
    let (proxy, heads) = answering("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let proxies = Proxies::new().all(&format!("http://{}", proxy.address)).unwrap().except("127.0.0.0/8, .a.test:81");
    let host = Host::builder().proxies(proxies).resolver(Arc::new(Fixed(Ok(vec![origin.address])))).build().unwrap();
    assert_eq!(asked(&host, &origin.uri("/")).await.unwrap(), "ok");
    assert_eq!(asked(&host, "http://b.a.test:81/").await.unwrap(), "ok");
    assert_eq!((proxy.accepted(), heads.lock().unwrap().len()), (0, 0));
    assert_eq!(asked(&host, "https://b.test/").await, Err(Failure::Proxy));
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn the_proxy_itself_may_be_a_name() {
    let (proxy, heads) = answering("HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let names = Counted::new(Fixed(Ok(vec![proxy.address])));
    let proxies = Proxies::new().https("http://p.test:3128").unwrap();
    let host = Host::builder().proxies(proxies).resolver(Arc::new(names.clone())).build().unwrap();
    assert_eq!(asked(&host, "https://a.test/").await, Err(Failure::Denied));
    assert_eq!(names.asked(), 1);
    assert_eq!(heads.lock().unwrap().concat(), "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n");
}
