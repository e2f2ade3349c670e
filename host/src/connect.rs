//! From a key to an open connection: DNS, TCP and TLS under one deadline.

use crate::error::Failure;
use crate::key::Key;
use crate::resolve::Resolve;
use crate::wire::{Stream, Totals, Wire};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

/// Opens connections.
pub(crate) struct Connector {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) totals: Arc<Totals>,
}

impl Connector {
    /// Opens a connection to `key`, trying its addresses one after another.
    ///
    /// # Errors
    ///
    /// That of the last address tried. A deadline that passes during the lookup is [`Failure::DnsTimeout`], later it is
    /// [`Failure::ConnectTimeout`].
    pub(crate) async fn connect(&self, key: &Key, within: Duration) -> Result<Wire, Failure> {
        if within.is_zero() {
            return Err(Failure::ConnectTimeout);
        }
        // Far enough for any real deadline, and `Instant` cannot overflow.
        let deadline = Instant::now() + within.min(Duration::from_secs(86_400 * 365));
        let addresses = self.lookup(key, deadline).await?;
        let tcp = reach(&addresses, deadline).await?;
        // Requests are written whole; waiting for more to send would only delay them. A socket that refuses the option
        // still works.
        let _ = tcp.set_nodelay(true);
        let stream = if key.tls {
            // The name in SNI and in certificates has no final dot.
            let name = key.host.strip_suffix('.').unwrap_or(&key.host).to_owned();
            let name = ServerName::try_from(name).map_err(|_| Failure::Uri)?;
            let handshake = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp);
            let stream = timeout_at(deadline, handshake).await.map_err(|_| Failure::ConnectTimeout)?;
            Stream::Tls(Box::new(stream.map_err(|error| match Failure::io(&error) {
                Failure::Incomplete => Failure::Terminated,
                failure => failure,
            })?))
        } else {
            Stream::Plain(tcp)
        };
        let version = if key.versions() == crate::route::Versions::Http2 {
            http::Version::HTTP_2
        } else {
            http::Version::HTTP_11
        };
        Ok(Wire::new(stream, version, Arc::clone(&self.totals)))
    }

    async fn lookup(&self, key: &Key, deadline: Instant) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(ip) = key.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, key.port)]);
        }
        let found = timeout_at(deadline, self.resolver.resolve(&key.host, key.port)).await;
        match found {
            Err(_) => Err(Failure::DnsTimeout),
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Err(Failure::DnsTimeout),
            Ok(Err(error)) => Err(Failure::Dns(error.to_string())),
            Ok(Ok(addresses)) if addresses.is_empty() => Err(Failure::Dns("no address".into())),
            Ok(Ok(addresses)) => Ok(addresses),
        }
    }
}

async fn reach(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Failure> {
    let mut failure = Failure::ConnectTimeout;
    for (tried, address) in addresses.iter().enumerate() {
        // An address that swallows packets must leave time for those behind it.
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        failure = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => Failure::connecting(&error),
            Err(_) => Failure::ConnectTimeout,
        };
    }
    Err(failure)
}
