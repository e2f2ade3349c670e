//! From a key to an open connection: the policy, DNS, TCP, a proxy's tunnel and TLS under one deadline.

use crate::egress::Verdict;
use crate::error::Failure;
use crate::events::Events;
use crate::key::Key;
use crate::proxy::Proxy;
use crate::resolve::Resolve;
use crate::route::{Versions, Way};
use crate::tls::{self, Tls};
use crate::wire::{Stream, Totals, Wire};
use futures::stream::{FuturesUnordered, StreamExt};
use http::Version;
use rustls::AlertDescription;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;

/// Opens connections.
pub(crate) struct Connector {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) events: Events,
}

impl Connector {
    /// Opens a connection to `key` over which one of `versions` is spoken.
    ///
    /// The addresses of both families are tried by turns, IPv6 first, each a little after the one before it and at once when
    /// that one has failed (RFC 8305). The first that answers is kept.
    ///
    /// # Errors
    ///
    /// [`Failure::Denied`] when the policy denies the name, [`Failure::Prohibited`] when it denies every address. Of several
    /// addresses that failed, the first one's failure is told, unless that was silence, or not even an attempt, and a later
    /// one says more. A deadline that passes during the lookup is [`Failure::DnsTimeout`], later it is
    /// [`Failure::ConnectTimeout`].
    pub(crate) async fn connect(&self, key: &Key, within: Duration) -> Result<Wire, Failure> {
        let (route, versions) = (&key.way, key.versions());
        if within.is_zero() {
            return Err(Failure::ConnectTimeout);
        }
        // Far enough for any real deadline, and `Instant` cannot overflow.
        let deadline = Instant::now() + within.min(Duration::from_secs(86_400 * 365));
        if let Verdict::Deny(reason) = route.egress.name(&key.host, key.port) {
            self.events.denied(key, None, reason);
            return Err(Failure::Denied);
        }
        let (tcp, forward) = match route.proxies.of(key) {
            None => (reach(self.allowed(key, route, deadline).await?, deadline).await?, None),
            // In clear text a proxy would have to understand HTTP/2 as well, and it would look up the name anew, with an
            // answer that nobody has checked.
            Some(proxy) if key.tls || versions == Versions::Http2 || !route.egress.is_open() => {
                (self.tunnel(key, route, proxy, deadline).await?, None)
            }
            Some(proxy) => {
                let tcp = reach(self.lookup(&proxy.host, proxy.port, deadline).await?, deadline).await?;
                (tcp, Some(Arc::clone(&proxy.forward)))
            }
        };
        if key.tls {
            let handshake = handshake(key, route.tls(), versions, tcp);
            let stream = timeout_at(deadline, handshake).await.map_err(|_| Failure::ConnectTimeout)??;
            let agreed = stream.get_ref().1.alpn_protocol() == Some(tls::H2);
            // Without an agreement a server may speak HTTP/1.1 alone (RFC 9113 §3.3).
            if versions == Versions::Http2 && !agreed {
                return Err(Failure::TlsProtocol);
            }
            let version = if agreed { Version::HTTP_2 } else { Version::HTTP_11 };
            return Ok(Wire::new(Stream::Tls(Box::new(stream)), version, forward, Arc::clone(&self.totals)));
        }
        let version = if versions == Versions::Http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        Ok(Wire::new(Stream::Plain(tcp), version, forward, Arc::clone(&self.totals)))
    }

    /// A connection that a proxy has led on to `key`.
    async fn tunnel(&self, key: &Key, route: &Way, proxy: &Proxy, deadline: Instant) -> Result<TcpStream, Failure> {
        let targets = if route.egress.is_open() {
            vec![target(&key.host, key.port)]
        } else {
            self.allowed(key, route, deadline).await?.iter().map(ToString::to_string).collect()
        };
        let addresses = self.lookup(&proxy.host, proxy.port, deadline).await?;
        let mut failure = Failure::ConnectTimeout;
        for (tried, target) in targets.iter().enumerate() {
            let mut tcp = reach(addresses.clone(), deadline).await?;
            // A target that the proxy waits for must leave time for those behind it.
            let left = u32::try_from(targets.len() - tried).unwrap_or(u32::MAX);
            let now = Instant::now();
            let share = now + deadline.saturating_duration_since(now) / left;
            match timeout_at(share, proxy.tunnel(&mut tcp, target)).await {
                Ok(Ok(())) => return Ok(tcp),
                // Only this address is out of reach, such as one of a family that the proxy has not got.
                Ok(Err(Failure::Unavailable)) => failure = Failure::Unavailable,
                Ok(Err(failure)) => return Err(failure),
                Err(_) => failure = Failure::ConnectTimeout,
            }
        }
        Err(failure)
    }

    /// The addresses of an origin that the policy allows.
    async fn allowed(&self, key: &Key, route: &Way, deadline: Instant) -> Result<Vec<SocketAddr>, Failure> {
        let mut addresses = self.lookup(&key.host, key.port, deadline).await?;
        // The port that the guest has asked for is judged. A resolver that leads to another one has been told to.
        let mut denied = None;
        addresses.retain(|address| match route.egress.address(&key.host, SocketAddr::new(address.ip(), key.port)) {
            Verdict::Allow => true,
            Verdict::Deny(reason) => {
                denied.get_or_insert((address.ip(), reason));
                false
            }
        });
        match denied {
            Some((ip, reason)) if addresses.is_empty() => {
                self.events.denied(key, Some(ip), reason);
                Err(Failure::Prohibited)
            }
            _ => Ok(addresses),
        }
    }

    async fn lookup(&self, host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let found = timeout_at(deadline, self.resolver.resolve(host, port)).await;
        match found {
            Err(_) => Err(Failure::DnsTimeout),
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Err(Failure::DnsTimeout),
            Ok(Err(error)) => Err(Failure::Dns(error.to_string())),
            Ok(Ok(addresses)) if addresses.is_empty() => Err(Failure::Dns("no address".into())),
            Ok(Ok(addresses)) => Ok(addresses),
        }
    }
}

/// Host and port as a proxy wants them.
fn target(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A connection to the first of `addresses` that answers.
async fn reach(addresses: Vec<SocketAddr>, deadline: Instant) -> Result<TcpStream, Failure> {
    let mut waiting = by_turns(addresses).into_iter().enumerate();
    // Dropped with the others as soon as one has succeeded.
    let mut attempts = FuturesUnordered::new();
    let mut first = Told::silence();
    loop {
        if let Some((place, address)) = waiting.next() {
            attempts.push(async move { (place, TcpStream::connect(address).await) });
        }
        let next = if waiting.len() > 0 { deadline.min(Instant::now() + STAGGER) } else { deadline };
        match timeout_at(next, attempts.next()).await {
            Ok(Some((_, Ok(tcp)))) => {
                settle(&tcp);
                return Ok(tcp);
            }
            Ok(Some((place, Err(error)))) => first = first.or(place, Failure::connecting(&error)),
            Ok(None) => return Err(first.failure),
            // What is still being tried has been silent.
            Err(_) if Instant::now() >= deadline => return Err(first.or(usize::MAX, Failure::ConnectTimeout).failure),
            Err(_) => {}
        }
    }
}

/// The addresses of each family in their order, an IPv6 one first, then by turns (RFC 8305 §4).
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (mut v6, mut v4): (VecDeque<_>, VecDeque<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let mut ordered = Vec::with_capacity(v6.len() + v4.len());
    while !v6.is_empty() || !v4.is_empty() {
        ordered.extend(v6.pop_front());
        ordered.extend(v4.pop_front());
    }
    ordered
}

/// The failure to tell when several addresses have failed.
struct Told {
    place: usize,
    failure: Failure,
}

impl Told {
    fn silence() -> Self {
        Self { place: usize::MAX, failure: Failure::Unavailable }
    }

    fn or(self, place: usize, failure: Failure) -> Self {
        let more = says(&failure).cmp(&says(&self.failure)).then(self.place.cmp(&place));
        if more.is_gt() { Self { place, failure } } else { self }
    }
}

/// How much a failure tells about the destination: most when it has answered, least when no packet has left, as for every
/// address of IPv6 on a machine that has none.
fn says(failure: &Failure) -> u8 {
    if matches!(failure, Failure::Refused | Failure::Terminated) {
        2
    } else {
        u8::from(*failure == Failure::ConnectTimeout)
    }
}

/// Options of a socket. One that refuses them still works.
fn settle(tcp: &TcpStream) {
    // Requests are written whole; waiting for more to send would only delay them.
    let _ = tcp.set_nodelay(true);
    // Finds out about peers that have gone without a word, and keeps the tables of routers in between alive.
    let pause = Duration::from_secs(15);
    let keepalive = TcpKeepalive::new().with_time(pause).with_interval(pause).with_retries(3);
    let _ = SockRef::from(tcp).set_tcp_keepalive(&keepalive);
}

async fn handshake(key: &Key, tls: &Tls, versions: Versions, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
    // The name in SNI and in certificates has no final dot.
    let name = key.host.strip_suffix('.').unwrap_or(&key.host).to_owned();
    let name = ServerName::try_from(name).map_err(|_| Failure::Uri)?;
    let handshake = tls.connector().with_alpn(tls::offer(versions)).connect(name, tcp);
    handshake.await.map_err(|error| match Failure::io(&error) {
        Failure::Incomplete => Failure::Terminated,
        // The server's way to say that it speaks none of the versions that we offer (RFC 7301 §3.2).
        Failure::TlsAlert { id, .. } if id == u8::from(AlertDescription::NoApplicationProtocol) => Failure::TlsProtocol,
        failure => failure,
    })
}

/// How long an address may take before the next one is tried as well (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests;
