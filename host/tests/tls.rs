//! Whom we trust, who we are, and what is agreed with a server.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use rig::certificates::{Authority, Seen, secure, secure_always};
use rig::names::Fixed;
use rig::{Server, request, text};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::HandshakeKind;
use urlpool_host::{Error, Failure, Host, HostBuilder, Roots, Timeouts, Tls, Versions};

fn leading_to(server: &Server) -> HostBuilder {
    Host::builder().resolver(Arc::new(Fixed(Ok(vec![server.address]))))
}

fn trusting(authority: &Authority) -> Tls {
    Tls::builder().roots(Roots::Only).add_roots_pem(authority.pem.as_bytes()).unwrap().build().unwrap()
}

async fn asked(host: &Host) -> Result<String, Failure> {
    text(host.send(request("GET", "https://a.test/".into()), Timeouts::default()).await).await
}

#[tokio::test]
async fn those_who_are_not_trusted_are_refused() {
    let (known, stranger) = (Authority::new(), Authority::new());
    let (server, log) = secure(known.config("a.test", None)).await;
    assert_eq!(asked(&leading_to(&server).tls(trusting(&known)).build().unwrap()).await.unwrap(), "ok");
    let host = leading_to(&server).tls(trusting(&stranger)).build().unwrap();
    assert_eq!(asked(&host).await, Err(Failure::TlsCertificate));
    let bundled = Tls::builder().build().unwrap();
    assert_eq!(asked(&leading_to(&server).tls(bundled).build().unwrap()).await, Err(Failure::TlsCertificate));
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn roots_add_up_in_the_order_of_the_calls() {
    let (one, other) = (Authority::new(), Authority::new());
    let (server, _) = secure(other.config("a.test", None)).await;
    let both = leading_to(&server).tls(trusting(&one)).add_roots_pem(other.pem.as_bytes()).unwrap();
    assert_eq!(asked(&both.build().unwrap()).await.unwrap(), "ok");
    let replaced = leading_to(&server).add_roots_pem(other.pem.as_bytes()).unwrap().tls(trusting(&one));
    assert_eq!(asked(&replaced.build().unwrap()).await, Err(Failure::TlsCertificate));
}

/// Where the system's roots are is said by a variable, which a process cannot safely change for itself. So this test starts
/// itself once more.
#[tokio::test]
async fn the_roots_of_the_system_are_trusted_where_asked_for() {
    if std::env::var_os("URLPOOL_STARTED_BY_TEST").is_none() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("roots-{}.pem", std::process::id()));
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["the_roots_of_the_system_are_trusted_where_asked_for", "--exact"])
            .env("URLPOOL_STARTED_BY_TEST", "1")
            .env("SSL_CERT_FILE", &file)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        std::fs::remove_file(&file).unwrap();
        let (told, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && told.contains("1 passed"), "{told}\n{why}");
        return;
    }
    let file = std::env::var_os("SSL_CERT_FILE").unwrap();
    let (system, added) = (Authority::new(), Authority::new());
    std::fs::write(file, &system.pem).unwrap();
    let (server, _) = secure(system.config("a.test", None)).await;
    let (other, _) = secure(added.config("a.test", None)).await;
    for (roots, expected) in [
        (Roots::Native, Ok("ok".to_owned())),
        (Roots::BundledAndNative, Ok("ok".to_owned())),
        (Roots::Bundled, Err(Failure::TlsCertificate)),
        (Roots::Only, Err(Failure::TlsCertificate)),
    ] {
        let tls = Tls::builder().roots(roots).add_roots_pem(added.pem.as_bytes()).unwrap().build().unwrap();
        assert_eq!(asked(&leading_to(&server).tls(tls.clone()).build().unwrap()).await, expected, "{roots:?}");
        assert_eq!(asked(&leading_to(&other).tls(tls).build().unwrap()).await.unwrap(), "ok", "{roots:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_shown_to_servers_that_ask_for_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (server, log) = secure(authority.config("a.test", Some(&clients))).await;
    let (chain, key) = clients.identity_pem("client.test");
    let identified = |chain: &str, key: &str| {
        let tls = Tls::builder().add_roots_pem(authority.pem.as_bytes()).unwrap();
        tls.identity_pem(chain.as_bytes(), key.as_bytes()).unwrap().build()
    };
    let host = leading_to(&server).tls(identified(&chain, &key).unwrap()).build().unwrap();
    assert_eq!(asked(&host).await.unwrap(), "ok");
    assert!(log.lock().unwrap()[0].client_certificate);

    let host = leading_to(&server).tls(trusting(&authority)).build().unwrap();
    let anonymous = asked(&host).await;
    assert!(matches!(anonymous, Err(Failure::TlsAlert { id: 116, .. })), "{anonymous:?}");
    let (chain, key) = Authority::new().identity_pem("client.test");
    let host = leading_to(&server).tls(identified(&chain, &key).unwrap()).build().unwrap();
    let unknown = asked(&host).await;
    assert!(matches!(unknown, Err(Failure::TlsAlert { .. })), "{unknown:?}");
    assert_eq!(log.lock().unwrap().len(), 1);
    // A server that does not ask is shown none.
    let (server, log) = secure(authority.config("a.test", None)).await;
    let host = leading_to(&server).tls(identified(&chain, &key).unwrap()).build().unwrap();
    assert_eq!(asked(&host).await.unwrap(), "ok");
    assert!(!log.lock().unwrap()[0].client_certificate);

    let (_, another) = clients.identity_pem("client.test");
    assert!(matches!(identified(&chain, &another), Err(Error::Identity(_))));
}

#[tokio::test]
async fn a_later_connection_resumes_the_session_of_an_earlier_one() {
    let authority = Authority::new();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let (server, log) = secure_always(authority.config("a.test", None), answer).await;
    let tls = trusting(&authority);
    let host = leading_to(&server).tls(tls.clone()).build().unwrap();
    for _ in 0..3 {
        assert_eq!(asked(&host).await.unwrap(), "ok");
    }
    let kinds = |log: &[Seen]| log.iter().map(|seen| seen.handshake).collect::<Vec<_>>();
    let expected = [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed];
    assert_eq!(kinds(&log.lock().unwrap()), expected);
    // Clones share the sessions; others have their own.
    assert_eq!(asked(&leading_to(&server).tls(tls).build().unwrap()).await.unwrap(), "ok");
    assert_eq!(asked(&leading_to(&server).tls(trusting(&authority)).build().unwrap()).await.unwrap(), "ok");
    assert_eq!(kinds(&log.lock().unwrap())[3..], [HandshakeKind::Resumed, HandshakeKind::Full]);
}

#[tokio::test]
async fn the_server_chooses_among_what_is_offered() {
    let authority = Authority::new();
    for (versions, offered, agreed) in [
        (Versions::Http1, &["h2", "http/1.1"][..], "http/1.1"),
        (Versions::Negotiated, &["http/1.1"], "http/1.1"),
        (Versions::Negotiated, &["h2", "http/1.1"], "h2"),
        (Versions::Http2, &["h2", "http/1.1"], "h2"),
    ] {
        let mut config = authority.config("a.test", None);
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let (server, log) = secure(config).await;
        let host = leading_to(&server).tls(trusting(&authority)).versions(versions).build().unwrap();
        let answer = asked(&host).await;
        // This server speaks no HTTP/2, whatever it has agreed to.
        assert_eq!(answer.is_ok(), agreed == "http/1.1", "{versions:?} {answer:?}");
        let seen = log.lock().unwrap().iter().map(|seen| seen.alpn.clone()).collect::<Vec<_>>();
        assert_eq!(seen, [Some(agreed.to_owned())], "{versions:?}");
    }
}

#[tokio::test]
async fn a_server_that_agrees_to_nothing_is_not_asked() {
    let authority = Authority::new();
    for offered in [&[][..], &["http/1.1"]] {
        let mut config = authority.config("a.test", None);
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let (server, _) = secure(config).await;
        let host = leading_to(&server).tls(trusting(&authority)).versions(Versions::Http2).build().unwrap();
        assert_eq!(asked(&host).await, Err(Failure::TlsProtocol), "{offered:?}");
        assert_eq!((server.requests(), host.stats().opened), (0, 0));
    }
}
