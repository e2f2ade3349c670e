//! Guests of one host: what they share, and what none can take from another.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use futures::future::join_all;
use rig::h2::{H2, Over};
use rig::{OK, Server, host, request, text, until, within};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use urlpool_host::{Egress, Failure, Guest, Host, Timeouts};

const BOTH: [Over; 2] = [Over::Clear, Over::Tls];

async fn asked(guest: &Guest, uri: String) -> Result<String, Failure> {
    text(within(guest.send(request("GET", uri), Timeouts::default())).await).await
}

fn spawned(guest: &Guest, uri: String) -> JoinHandle<Result<String, Failure>> {
    let guest = guest.clone();
    tokio::spawn(async move { asked(&guest, uri).await })
}

/// Answers each request once the test lets it, and tells which path was asked for.
async fn gated() -> (H2, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let passing = gate.clone();
    let server = H2::start(Over::Tls, move |call| {
        let gate = passing.clone();
        async move {
            if call.head.uri.path() == "/held" {
                gate.acquire().await.unwrap().forget();
            }
            call.answer("ok");
        }
    })
    .await;
    (server, gate)
}

#[tokio::test]
async fn tenants_never_share_a_connection() {
    let (server, host) = (Server::always(OK).await, host());
    let guests = ["a", "b"].map(|tenant| host.guest().tenant(tenant).build().unwrap());
    for _ in 0..3 {
        for guest in &guests {
            assert_eq!(asked(guest, server.uri("/")).await.unwrap(), "ok");
        }
        // One that belongs to none.
        assert_eq!(rig::fetch(&host, server.uri("/")).await.unwrap(), "ok");
    }
    let stats = host.stats();
    assert_eq!((server.accepted(), stats.opened, stats.reused), (3, 3, 6));
}

#[tokio::test]
async fn tenants_never_share_an_http_2_connection() {
    for over in BOTH {
        let server = H2::always(over).await;
        let host = server.host();
        let guests = ["a", "b"].map(|tenant| host.guest().tenant(tenant).build().unwrap());
        let all = join_all(guests.iter().flat_map(|guest| (0..8).map(|_| asked(guest, server.uri("/")))));
        assert!(all.await.iter().all(Result::is_ok), "{over:?}");
        assert_eq!(server.log().spread(), [8, 8], "{over:?}");
    }
}

#[tokio::test]
async fn guests_of_one_tenant_share_connections() {
    let (server, host) = (Server::always(OK).await, host());
    for _ in 0..3 {
        let guest = host.guest().tenant("a").build().unwrap();
        assert_eq!(asked(&guest, server.uri("/")).await.unwrap(), "ok");
    }
    for _ in 0..3 {
        let guest = host.guest().build().unwrap();
        assert_eq!(asked(&guest, server.uri("/")).await.unwrap(), "ok");
    }
    // One for the tenant, and one for those that have none.
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_guest_has_no_more_requests_in_flight_than_its_quota() {
    let (server, gate) = gated().await;
    let host = server.host();
    let guest = host.guest().requests(2).build().unwrap();
    let held: Vec<_> = (0..5).map(|_| spawned(&guest, server.uri("/held"))).collect();
    server.until(|log| log.at_once == 2).await;
    gate.add_permits(5);
    for answer in held {
        assert_eq!(within(answer).await.unwrap().unwrap(), "ok");
    }
    let log = server.log();
    assert_eq!((log.requests(), log.most_at_once), (5, 2));
}

#[tokio::test]
async fn a_guest_at_its_quota_holds_up_no_other() {
    let (server, gate) = gated().await;
    let host = server.builder().acquire_timeout(Duration::from_millis(100)).build().unwrap();
    let greedy = host.guest().requests(1).build().unwrap();
    let modest = host.guest().requests(1).build().unwrap();
    let held = spawned(&greedy, server.uri("/held"));
    server.until(|log| log.at_once == 1).await;
    let waiting = spawned(&greedy, server.uri("/"));
    // Not after the other has waited in vain.
    assert_eq!(asked(&modest, server.uri("/")).await.unwrap(), "ok");
    assert!(!waiting.is_finished());
    assert_eq!(within(waiting).await.unwrap(), Err(Failure::LimitReached));
    assert_eq!(host.stats().requests, 3);
    gate.add_permits(1);
    assert_eq!(within(held).await.unwrap().unwrap(), "ok");
    // What waited in vain has left nothing behind.
    assert_eq!(asked(&greedy, server.uri("/")).await.unwrap(), "ok");
    assert_eq!(server.log().requests(), 3);
}

#[tokio::test]
async fn a_request_counts_until_its_body_has_ended_or_is_dropped() {
    let server = Server::always(OK).await;
    let host = Host::builder().acquire_timeout(Duration::from_millis(50)).build().unwrap();
    let guest = host.guest().requests(1).build().unwrap();
    let open = within(guest.send(request("GET", server.uri("/")), Timeouts::default())).await.unwrap();
    assert_eq!(asked(&guest, server.uri("/")).await, Err(Failure::LimitReached));
    drop(open);
    assert_eq!(asked(&guest, server.uri("/")).await.unwrap(), "ok");
    assert_eq!(asked(&guest, server.uri("/")).await.unwrap(), "ok");
    assert_eq!(server.accepted(), 1);
}

/// Else a guest that drops what a slow server sends would hold more connections than requests.
#[tokio::test]
async fn a_body_that_is_drained_counts_until_it_has_come() {
    let gate = Arc::new(Semaphore::new(0));
    let passing = gate.clone();
    let server = Server::start(move |mut peer, number| {
        let gate = passing.clone();
        async move {
            while peer.request().await.is_some() {
                if number == 0 {
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsome").await;
                    gate.acquire().await.unwrap().forget();
                    peer.send("rest").await;
                } else {
                    peer.send(OK).await;
                }
            }
        }
    })
    .await;
    let host = Host::builder().acquire_timeout(Duration::from_millis(50)).drain(64, Duration::from_secs(9));
    let host = host.build().unwrap();
    let guest = host.guest().requests(1).build().unwrap();
    drop(within(guest.send(request("GET", server.uri("/")), Timeouts::default())).await.unwrap());
    assert_eq!(asked(&guest, server.uri("/")).await, Err(Failure::LimitReached));
    assert_eq!((server.accepted(), host.stats().live), (1, 1));
    gate.add_permits(2);
    until(&host, |stats| stats.idle == 1).await;
    assert_eq!(asked(&guest, server.uri("/")).await.unwrap(), "somerest");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_guest_at_its_quota_leaves_connections_to_others() {
    let (server, gate) = Server::gated_for("/held").await;
    let host = Host::builder().connections_per_origin(3).acquire_timeout(Duration::from_secs(60)).build().unwrap();
    let greedy = host.guest().requests(2).build().unwrap();
    let modest = host.guest().requests(2).build().unwrap();
    let held: Vec<_> = (0..6).map(|_| spawned(&greedy, server.uri("/held"))).collect();
    server.until(|server| server.requests() == 2).await;
    until(&host, |stats| stats.waiting == 4).await;
    for _ in 0..5 {
        assert_eq!(asked(&modest, server.uri("/")).await.unwrap(), "ok");
    }
    // One more than what the greedy one holds.
    assert_eq!(server.accepted(), 3);
    gate.add_permits(6);
    for answer in held {
        assert_eq!(within(answer).await.unwrap().unwrap(), "ok");
    }
    assert_eq!((server.most_open(), host.stats().waiting, host.stats().waited), (3, 0, 4));
}

#[tokio::test]
async fn requests_that_fail_or_are_given_up_leave_the_quota_whole() {
    let (server, gate) = gated().await;
    let host = server.host();
    let guest = host.guest().requests(1).build().unwrap();
    let deserted = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(asked(&guest, format!("http://{deserted}/")).await, Err(Failure::Refused));
    assert_eq!(asked(&guest, "http://127.0.0.1:0/".to_owned()).await, Err(Failure::Uri));
    let held = spawned(&guest, server.uri("/held"));
    server.until(|log| log.at_once == 1).await;
    let mut waiting = Box::pin(asked(&guest, server.uri("/")));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    drop(waiting);
    held.abort();
    assert_eq!(asked(&guest, server.uri("/")).await.unwrap(), "ok");
    gate.add_permits(1);
}

#[tokio::test]
async fn what_one_guest_opened_is_no_way_round_the_policy_of_another() {
    let (server, host) = (Server::always(OK).await, host());
    let free = host.guest().build().unwrap();
    let kept = host.guest().egress(Egress::untrusted()).build().unwrap();
    assert_eq!(asked(&free, server.uri("/")).await.unwrap(), "ok");
    until(&host, |stats| stats.idle == 1).await;
    assert_eq!(asked(&kept, server.uri("/")).await, Err(Failure::Prohibited));
    assert_eq!((server.accepted(), server.requests()), (1, 1));
    assert_eq!(asked(&free, server.uri("/")).await.unwrap(), "ok");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn an_open_http_2_connection_is_no_way_round_the_policy_of_another() {
    for over in BOTH {
        let server = H2::always(over).await;
        let host = server.host();
        let free = host.guest().tenant("a").build().unwrap();
        // Of the same tenant: the policy decides by itself.
        let kept = host.guest().tenant("a").egress(Egress::untrusted()).build().unwrap();
        assert_eq!(asked(&free, server.uri("/")).await.unwrap(), "ok");
        assert_eq!(asked(&kept, server.uri("/")).await, Err(Failure::Prohibited), "{over:?}");
        assert_eq!((server.accepted(), server.log().requests()), (1, 1), "{over:?}");
    }
}

#[tokio::test]
async fn the_hooks_of_a_guest_keep_its_host() {
    let (server, host) = (Server::always(OK).await, host());
    let guest = host.guest().tenant("a").build().unwrap();
    assert_eq!(asked(&guest, server.uri("/")).await.unwrap(), "ok");
    let hooks = guest.hooks();
    drop(guest);
    until(&host, |stats| stats.idle == 1).await;
    drop(host);
    drop(hooks);
    server.until(|server| server.open() == 0).await;
}
