//! What an embedder is told as it happens.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use rig::{OK, Server, fetch, get, text, until, within};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use urlpool_host::{Event, Failure, Host, HostBuilder, Timeouts};

/// What was told so far, without times and ports.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A host whose observer keeps what it is told.
fn observed(settings: impl FnOnce(HostBuilder) -> HostBuilder) -> (Host, Told) {
    let told = Told::default();
    let kept = told.clone();
    let observer = move |event: Event<'_>| {
        let line = match event {
            Event::Opened { origin, version, .. } => format!("opened {} {version:?}", origin.host()),
            Event::NotOpened { origin, .. } => format!("not opened {}", origin.host()),
            Event::Reused { origin } => format!("reused {} {:?}", origin.host(), origin.tenant()),
            Event::Waited { time, granted, .. } => format!("waited {} {granted}", !time.is_zero()),
            Event::Resent { origin } => format!("resent {}", origin.scheme()),
            Event::Closed { reason, .. } => format!("closed {reason}"),
            other => format!("{other:?}"),
        };
        kept.0.lock().unwrap().push(line);
    };
    (settings(Host::builder().observer(Arc::new(observer))).build().unwrap(), told)
}

#[tokio::test]
async fn the_life_of_a_connection_is_told_in_order() {
    let server = Server::always(OK).await;
    let (host, told) = observed(|host| host.max_uses(Some(2)));
    for _ in 0..3 {
        assert_eq!(text(within(get(&host, &server)).await).await.unwrap(), "ok");
    }
    let opened = "opened 127.0.0.1 HTTP/1.1";
    assert_eq!(told.all(), [opened, "reused 127.0.0.1 None", "closed max-uses", opened]);
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_told() {
    let deserted = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (host, told) = observed(|host| host);
    assert_eq!(fetch(&host, format!("http://{deserted}/")).await, Err(Failure::Refused));
    assert_eq!(told.all(), ["not opened 127.0.0.1"]);
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_told() {
    let server = Server::stale().await;
    let (host, told) = observed(|host| host);
    assert_eq!(text(within(get(&host, &server)).await).await.unwrap(), "ok");
    until(&host, |stats| stats.idle == 1).await;
    assert_eq!(text(within(get(&host, &server)).await).await.unwrap(), "ok");
    let opened = "opened 127.0.0.1 HTTP/1.1";
    assert_eq!(told.all(), [opened, "reused 127.0.0.1 None", "resent http", "closed stale", opened]);
}

#[tokio::test]
async fn waiting_is_told_and_counted_whether_it_was_for_something_or_not() {
    for (what, limited) in [
        ("connections", (|host| host.connections_per_origin(1)) as fn(HostBuilder) -> HostBuilder),
        ("quota", |host| host),
    ] {
        let (server, gate) = Server::gated().await;
        let (host, told) = observed(|host| limited(host).acquire_timeout(Duration::from_millis(50)));
        // Two ways to have no more than one in flight.
        let guest = host.guest().requests(if what == "quota" { 1 } else { 9 }).build().unwrap();
        let asked =
            async |path: &str| text(guest.send(rig::request("GET", server.uri(path)), Timeouts::default()).await).await;
        let (first, second) = tokio::join!(asked("/1"), async {
            server.until(|server| server.requests() == 1).await;
            let waits = asked("/2");
            let seen = until(&host, |stats| stats.waiting == 1);
            let (second, ()) = tokio::join!(waits, seen);
            gate.add_permits(1);
            second
        });
        assert_eq!((first.unwrap().as_str(), second), ("ok", Err(Failure::LimitReached)), "{what}");
        let stats = host.stats();
        assert_eq!((stats.waiting, stats.waited), (0, 1), "{what}");
        assert!(stats.wait_time >= Duration::from_millis(50), "{what}: {stats:?}");
        assert_eq!(told.all(), ["opened 127.0.0.1 HTTP/1.1", "waited true false"], "{what}");

        // And one that gets what it waited for.
        let host = Host::clone(&host);
        let (first, second) = tokio::join!(asked("/3"), async {
            server.until(|server| server.requests() == 2).await;
            let (second, ()) = tokio::join!(asked("/4"), async {
                until(&host, |stats| stats.waiting == 1).await;
                gate.add_permits(2);
            });
            second
        });
        assert_eq!((first.unwrap().as_str(), second.unwrap().as_str()), ("ok", "ok"), "{what}");
        assert_eq!((host.stats().waiting, host.stats().waited), (0, 2), "{what}");
        assert!(told.all().contains(&"waited true true".to_owned()), "{what}: {:?}", told.all());
        assert_eq!((server.accepted(), server.requests()), (1, 3), "{what}");
    }
}
