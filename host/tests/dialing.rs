//! Several addresses of one name: which are tried when, and which failure is told.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod rig;

use rig::names::Fixed;
use rig::{OK, Server, request, text};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use urlpool_host::{Failure, Host, Timeouts};

/// An address where nobody listens.
async fn deserted() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// An address that swallows what is sent to it: a listener whose queue is full.
struct Blackhole {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl Blackhole {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        // One that is not let in at once tells that there is no room left.
        let mut queued = Vec::new();
        loop {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
            let full = socket.connect_timeout(&address, Duration::from_millis(100)).is_err();
            queued.push(socket);
            if full {
                return Self { address: address.as_socket().unwrap(), _listener: listener, _queued: queued };
            }
        }
    }
}

async fn asked(addresses: Vec<SocketAddr>, within: Duration) -> (Result<String, Failure>, Duration) {
    let host = Host::builder().resolver(Arc::new(Fixed(Ok(addresses)))).build().unwrap();
    let timeouts = Timeouts { connect: Some(within), ..Timeouts::default() };
    let begun = Instant::now();
    let answer = text(host.send(request("GET", "http://a.test/".into()), timeouts).await).await;
    (answer, begun.elapsed())
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over_at_once() {
    let server = Server::always(OK).await;
    let mut addresses = Vec::new();
    for _ in 0..20 {
        addresses.push(deserted().await);
    }
    addresses.push(server.address);
    let (answer, took) = asked(addresses, Duration::from_secs(30)).await;
    assert_eq!(answer.unwrap(), "ok");
    assert_eq!(server.accepted(), 1);
    // With a pause after each it would be five seconds.
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn an_address_that_swallows_packets_costs_a_quarter_of_a_second() {
    let server = Server::always(OK).await;
    let (first, second) = (Blackhole::new(), Blackhole::new());
    let (answer, took) = asked(vec![first.address, second.address, server.address], Duration::from_secs(60)).await;
    assert_eq!(answer.unwrap(), "ok");
    assert_eq!(server.accepted(), 1);
    assert!(took >= Duration::from_millis(500), "the first address was not given its time: {took:?}");
    assert!(took < Duration::from_secs(10), "the deadline was waited for: {took:?}");
}

#[tokio::test]
async fn all_addresses_share_one_deadline() {
    let blackholes = [Blackhole::new(), Blackhole::new(), Blackhole::new()];
    let addresses = blackholes.iter().map(|blackhole| blackhole.address).collect();
    let (answer, took) = asked(addresses, Duration::from_millis(300)).await;
    assert_eq!(answer, Err(Failure::ConnectTimeout));
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn an_answer_says_more_than_silence() {
    let blackhole = Blackhole::new();
    let addresses = vec![blackhole.address, deserted().await];
    assert_eq!(asked(addresses, Duration::from_millis(600)).await.0, Err(Failure::Refused));
}

#[tokio::test]
async fn a_time_of_zero_is_no_time_and_a_huge_one_is_no_limit() {
    let server = Server::always(OK).await;
    assert_eq!(asked(vec![server.address], Duration::ZERO).await.0, Err(Failure::ConnectTimeout));
    assert_eq!(server.accepted(), 0);
    assert_eq!(asked(vec![server.address], Duration::MAX).await.0.unwrap(), "ok");
}
