use super::*;
use crate::egress::Egress;
use crate::proxy::Proxies;
use crate::resolve::System;
use crate::route::{Route, Ways};
use rcgen::{CertificateParams, KeyPair};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn families_take_turns_from_ipv6_on() {
    let given = addresses(&["1.0.0.1:1", "1.0.0.2:1", "1.0.0.3:1", "[::1]:1", "[::2]:1"]);
    let expected = addresses(&["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "1.0.0.3:1"]);
    assert_eq!(by_turns(given), expected);
    assert_eq!(by_turns(Vec::new()), []);
}

#[test]
fn the_first_failure_is_told_unless_a_later_one_says_more() {
    for (failures, expected) in [
        (vec![(0, Failure::Refused), (1, Failure::Terminated)], Failure::Refused),
        (vec![(1, Failure::Terminated), (0, Failure::Refused)], Failure::Refused),
        (vec![(0, Failure::Unroutable), (1, Failure::Refused)], Failure::Refused),
        (vec![(1, Failure::Refused), (0, Failure::Unroutable)], Failure::Refused),
        (vec![(0, Failure::Unroutable), (1, Failure::Unavailable)], Failure::Unroutable),
        (vec![(0, Failure::Unroutable), (usize::MAX, Failure::ConnectTimeout)], Failure::ConnectTimeout),
        (vec![(0, Failure::Refused), (usize::MAX, Failure::ConnectTimeout)], Failure::Refused),
        (vec![(usize::MAX, Failure::ConnectTimeout)], Failure::ConnectTimeout),
    ] {
        let told = failures.into_iter().fold(Told::silence(), |told, (place, failure)| told.or(place, failure));
        assert_eq!(told.failure, expected);
    }
}

/// Accepts TLS for `localhost`, offering `alpn`, and the roots to trust it by.
async fn secure(alpn: &[&[u8]]) -> (SocketAddr, Tls) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let accepting = acceptor.accept(stream);
            tokio::spawn(async move {
                let _closed = match accepting.into_fallible().await {
                    Ok(mut stream) => {
                        // Whoever reads this has read the tickets before it.
                        stream.write_u8(0).await.unwrap();
                        stream.flush().await.unwrap();
                        stream.read_u8().await
                    }
                    // Closing with bytes unread would reset the connection, and take the alert away.
                    Err((_, mut stream)) => stream.read_to_end(&mut Vec::new()).await.map(|_| 0),
                };
            });
        }
    });
    (address, Tls::builder().add_roots_pem(certificate.pem().as_bytes()).unwrap().build().unwrap())
}

/// How a handshake with `localhost` at that address goes.
async fn kind(address: SocketAddr, tls: &Tls) -> HandshakeKind {
    let way = Ways::new().of(route(tls.clone()));
    let key = Key::of(&format!("https://localhost:{}/", address.port()).parse().unwrap(), way).unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut stream = handshake(&key, tls, Versions::Negotiated, tcp).await.unwrap();
    stream.read_u8().await.unwrap();
    stream.get_ref().1.handshake_kind().unwrap()
}

#[tokio::test]
async fn an_isolated_copy_shows_no_ticket_of_the_others() {
    let (address, tls) = secure(&[]).await;
    let isolated = tls.isolated();
    assert_eq!(kind(address, &tls).await, HandshakeKind::Full);
    assert_eq!(kind(address, &tls.clone()).await, HandshakeKind::Resumed);
    assert_eq!(kind(address, &isolated).await, HandshakeKind::Full);
    assert_eq!(kind(address, &isolated).await, HandshakeKind::Resumed);
}

#[tokio::test]
async fn sockets_send_at_once_and_notice_peers_that_are_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let tcp = reach(vec![listener.local_addr().unwrap()], deadline).await.unwrap();
    assert!(tcp.nodelay().unwrap());
    let socket = SockRef::from(&tcp);
    assert!(socket.keepalive().unwrap());
    let (time, interval) = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
    assert_eq!((time, interval), (Duration::from_secs(15), Duration::from_secs(15)));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
}

fn route(tls: Tls) -> Route {
    Route { tls, ..Route::open() }
}

async fn connect(uri: &str, route: &Route, versions: Versions) -> Result<Wire, Failure> {
    let way = Ways::new().of(Route { versions, ..route.clone() });
    let key = Key::of(&uri.parse().unwrap(), way).unwrap();
    let connector = Connector { resolver: Arc::new(System), totals: Arc::default(), events: Events::default() };
    connector.connect(&key, Duration::from_secs(10)).await
}

#[tokio::test]
async fn the_wire_tells_what_was_agreed() {
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    for (server, versions, expected) in [
        (both, Versions::Negotiated, Ok(Version::HTTP_2)),
        (both, Versions::Http2, Ok(Version::HTTP_2)),
        (both, Versions::Http1, Ok(Version::HTTP_11)),
        (&both[1..], Versions::Negotiated, Ok(Version::HTTP_11)),
        (&both[..1], Versions::Negotiated, Ok(Version::HTTP_2)),
        (&[], Versions::Negotiated, Ok(Version::HTTP_11)),
        (&[], Versions::Http1, Ok(Version::HTTP_11)),
        // Nobody agrees: the server says so, or says nothing about it.
        (&both[1..], Versions::Http2, Err(Failure::TlsProtocol)),
        (&both[..1], Versions::Http1, Err(Failure::TlsProtocol)),
        (&[], Versions::Http2, Err(Failure::TlsProtocol)),
    ] {
        let (address, tls) = secure(server).await;
        let uri = format!("https://localhost:{}/", address.port());
        let wire = connect(&uri, &route(tls), versions).await;
        assert_eq!(wire.map(|wire| wire.version()), expected, "{versions:?} {server:?}");
    }
}

/// Accepts one connection, answers its first head with `answer`, and returns what came.
async fn proxy(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0 {}
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    (address, served)
}

fn through(proxy: SocketAddr, egress: Egress) -> Route {
    let proxies = Proxies::new().all(&format!("http://u:p@{proxy}")).unwrap();
    Route { proxies, egress, ..route(Tls::builder().build().unwrap()) }
}

#[tokio::test]
async fn in_clear_text_the_version_is_the_one_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let route = route(Tls::builder().build().unwrap());
    for (versions, expected) in [
        (Versions::Http1, Version::HTTP_11),
        (Versions::Negotiated, Version::HTTP_11),
        (Versions::Http2, Version::HTTP_2),
    ] {
        let wire = connect(&uri, &route, versions).await.unwrap();
        assert_eq!(wire.version(), expected);
        assert!(wire.forward().is_none());
    }
}

#[tokio::test]
async fn a_proxy_is_given_requests_in_clear_text_whole() {
    let (address, served) = proxy("").await;
    let wire = connect("http://a.test/", &through(address, Egress::open()), Versions::Negotiated).await.unwrap();
    let authorization = wire.forward().unwrap().authorization.clone().unwrap();
    assert_eq!(authorization, "Basic dTpw");
    assert!(authorization.is_sensitive());
    drop(wire);
    assert_eq!(served.await.unwrap(), "", "nothing is asked of the proxy before a request");
}

/// What the origin says first, like the settings of HTTP/2, comes in one packet with the proxy's answer.
#[tokio::test]
async fn a_tunnel_loses_no_byte_from_beyond() {
    for answer in [
        "HTTP/1.1 200 Connected\r\nContent-Length: 7\r\n\r\nSETTINGS",
        "HTTP/1.0 200\n\nSETTINGS",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Fine\r\nX: y\r\n\r\nSETTINGS",
    ] {
        let (address, served) = proxy(answer).await;
        let mut wire = connect("http://a.test/", &through(address, Egress::open()), Versions::Http2).await.unwrap();
        assert_eq!(wire.version(), Version::HTTP_2);
        assert!(wire.forward().is_none());
        let mut beyond = String::new();
        wire.read_to_string(&mut beyond).await.unwrap();
        assert_eq!(beyond, "SETTINGS");
        let head = "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\nProxy-Authorization: Basic dTpw\r\n\r\n";
        assert_eq!(served.await.unwrap(), head);
    }
}

#[tokio::test]
async fn a_tunnel_leads_to_the_address_that_was_checked() {
    let egress = Egress::untrusted().deny("*.b.test").unwrap();
    for (uri, target) in [
        ("http://8.8.8.8/", "CONNECT 8.8.8.8:80 HTTP/1.1\r\n"),
        ("http://[2606:4700::1111]:81/", "CONNECT [2606:4700::1111]:81 HTTP/1.1\r\n"),
    ] {
        let (address, served) = proxy("HTTP/1.1 200 OK\r\n\r\n").await;
        connect(uri, &through(address, egress.clone()), Versions::Negotiated).await.unwrap();
        let head = served.await.unwrap();
        assert!(head.starts_with(target), "{head}");
    }
}
