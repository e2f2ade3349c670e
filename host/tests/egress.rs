//! Destinations that a policy denies are never connected to.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use rig::names::{Counted, Fixed};
use rig::{OK, Server, request, text};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use urlpool_host::{Egress, Event, Failure, Host, Resolve, System, Timeouts};

fn guarded(egress: Egress, resolver: impl Resolve + 'static) -> Host {
    Host::builder().egress(egress).resolver(Arc::new(resolver)).build().unwrap()
}

async fn asked(host: &Host, uri: &str) -> Result<String, Failure> {
    text(host.send(request("GET", uri.into()), Timeouts::default()).await).await
}

#[tokio::test]
async fn an_address_that_is_denied_is_not_connected_to() {
    let server = Server::always(OK).await;
    let port = server.address.port();
    let host = guarded(Egress::untrusted(), System);
    for literal in ["127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::1]", "0.0.0.0"] {
        assert_eq!(asked(&host, &format!("http://{literal}:{port}/")).await, Err(Failure::Prohibited), "{literal}");
    }
    let host = guarded(Egress::open().deny("127.0.0.0/8").unwrap(), System);
    assert_eq!(asked(&host, &server.uri("/")).await, Err(Failure::Prohibited));
    assert_eq!((server.accepted(), host.stats().live), (0, 0));
}

/// Each of these is the loopback to the system's resolver.
#[tokio::test]
async fn an_address_in_an_odd_spelling_is_denied_all_the_same() {
    let server = Server::always(OK).await;
    let port = server.address.port();
    let open = guarded(Egress::open(), System);
    let host = guarded(Egress::untrusted(), System);
    for spelling in
        ["2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.1", "017700000001", "localhost", "LOCALHOST."]
    {
        let uri = format!("http://{spelling}:{port}/");
        let before = server.accepted();
        // Some systems do not know all of them.
        let reachable = asked(&open, &uri).await.is_ok();
        let accepted = server.accepted();
        let denied = asked(&host, &uri).await;
        assert_eq!(server.accepted(), accepted, "{spelling}");
        if reachable {
            assert_eq!(denied, Err(Failure::Prohibited), "{spelling}");
        }
        assert!(reachable || accepted == before, "{spelling}");
    }
    assert_eq!(asked(&open, &format!("http://2130706433:{port}/")).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_name_that_is_denied_is_not_looked_up() {
    let server = Server::always(OK).await;
    let names = Counted::new(Fixed(Ok(vec![server.address])));
    let host = guarded(Egress::open().deny("*.test").unwrap(), names.clone());
    for uri in ["http://a.test/", "https://A.TEST./", "http://b.a.test:81/"] {
        assert_eq!(asked(&host, uri).await, Err(Failure::Denied), "{uri}");
    }
    assert_eq!((names.asked(), server.accepted(), host.stats().live), (0, 0, 0));
    let host = guarded(Egress::open().allow("a.test:80").unwrap(), names.clone());
    for uri in ["http://b.test/", "http://a.test:81/", "https://a.test/"] {
        assert_eq!(asked(&host, uri).await, Err(Failure::Denied), "{uri}");
    }
    assert_eq!((names.asked(), server.accepted()), (0, 0));
    assert_eq!(asked(&host, "http://a.test/").await.unwrap(), "ok");
}

/// DNS rebinding: an innocent name with an address inside.
#[tokio::test]
async fn a_name_that_leads_inside_is_not_connected_to() {
    let server = Server::always(OK).await;
    let names = Counted::new(Fixed(Ok(vec![server.address])));
    for egress in [Egress::untrusted(), Egress::untrusted().allow("a.test").unwrap()] {
        let host = guarded(egress, names.clone());
        assert_eq!(asked(&host, "http://a.test/").await, Err(Failure::Prohibited));
        assert_eq!(asked(&host, "https://a.test/").await, Err(Failure::Prohibited));
    }
    assert_eq!((names.asked(), server.accepted()), (4, 0));
    let host = guarded(Egress::untrusted().allow("127.0.0.1").unwrap(), names);
    assert_eq!(asked(&host, "http://a.test/").await.unwrap(), "ok");
}

#[tokio::test]
async fn of_several_addresses_only_those_allowed_are_tried() {
    let server = Server::always(OK).await;
    let private = SocketAddr::from(([10, 0, 0, 1], 80));
    let egress = Egress::untrusted().allow("127.0.0.1").unwrap();
    let host = guarded(egress, Fixed(Ok(vec![private, server.address])));
    assert_eq!(asked(&host, "http://a.test/").await.unwrap(), "ok");
    assert_eq!(server.accepted(), 1);
    // Nobody listens at the only address that is allowed.
    let deserted = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap().local_addr().unwrap();
    let egress = Egress::open().deny("127.0.0.1").unwrap();
    let host = guarded(egress, Fixed(Ok(vec![server.address, deserted])));
    assert_eq!(asked(&host, "http://a.test/").await, Err(Failure::Refused));
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn the_observer_is_told_what_is_denied_and_why() {
    let names = Fixed(Ok(vec![SocketAddr::from(([10, 0, 0, 1], 80)), SocketAddr::from(([127, 0, 0, 1], 80))]));
    let egress = Egress::untrusted().allow("*.test:80").unwrap().deny("b.test").unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    let observer = move |event: Event<'_>| {
        if let Event::Denied { origin, address, reason } = event {
            kept.lock().unwrap().push(format!("{origin} {address:?} {reason}"));
        }
    };
    let host = Host::builder().egress(egress).resolver(Arc::new(names)).observer(Arc::new(observer)).build().unwrap();
    for (uri, failure) in [
        ("http://a.test/secret", Failure::Prohibited),
        ("http://b.test/", Failure::Denied),
        ("http://a.test:81/", Failure::Denied),
    ] {
        assert_eq!(asked(&host, uri).await, Err(failure), "{uri}");
    }
    assert_eq!(
        *told.lock().unwrap(),
        [
            "http://a.test:80 Some(10.0.0.1) not-public",
            "http://b.test:80 None listed",
            "http://a.test:81 None not-listed",
        ]
    );
}
