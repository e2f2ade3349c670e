//! From a key to an open connection: DNS, TCP and TLS under one deadline.

use crate::error::Failure;
use crate::resolve::Resolve;
use http::Uri;
use http::uri::Scheme;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where a connection leads. Equal keys may share connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) tls: bool,
    /// In lower case, an IPv6 address without its brackets.
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

impl Key {
    /// The key of an absolute URI.
    ///
    /// # Errors
    ///
    /// [`Failure::Denied`] for userinfo, which would be one way around a policy that looks at hosts, [`Failure::Uri`] for
    /// what has no scheme, host or port that can be used.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Failure> {
        let authority = uri.authority().ok_or(Failure::Uri)?;
        if authority.as_str().contains('@') {
            return Err(Failure::Denied);
        }
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(_) | None => return Err(Failure::Uri),
        };
        let host = authority.host();
        // `Authority::port_u16` is none for a port out of range as well as for no port.
        let port = match authority.as_str()[host.len()..].strip_prefix(':') {
            None | Some("") => 443 * u16::from(tls) + 80 * u16::from(!tls),
            Some(digits) => digits.parse().map_err(|_| Failure::Uri)?,
        };
        let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() || port == 0 {
            return Err(Failure::Uri);
        }
        Ok(Self { tls, host: bare.to_ascii_lowercase().into(), port })
    }
}

/// Opens connections.
pub(crate) struct Connector {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tls: Arc<ClientConfig>,
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
        Ok(Wire { stream, traffic: Arc::default() })
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

/// What has passed over a connection.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    read: AtomicU64,
    written: AtomicU64,
    /// Bytes read up to here belong to earlier responses, or to interim ones.
    settled: AtomicU64,
    /// What had been read when the request at hand began.
    begun: AtomicU64,
    flooded: AtomicBool,
    deaf: AtomicBool,
}

impl Traffic {
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// A request begins: what was read so far is no part of the response to it.
    pub(crate) fn begin(&self) {
        self.settled.store(self.read(), Ordering::Relaxed);
        self.begun.store(self.read(), Ordering::Relaxed);
    }

    /// An interim response has come: what was read so far is no part of the final one.
    pub(crate) fn interim(&self) {
        self.settled.store(self.read(), Ordering::Relaxed);
        if self.read() - self.begun.load(Ordering::Relaxed) > INTERIM {
            self.flooded.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a final response has begun to arrive.
    pub(crate) fn answering(&self) -> bool {
        self.read() > self.settled.load(Ordering::Relaxed)
    }

    /// Whether interim responses came without end.
    fn flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    /// Whether the peer no longer takes what is written.
    pub(crate) fn deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }
}

/// An open connection that counts its bytes.
///
/// Once the peer refuses to read, writes vanish without an error: a server may answer and close before it has read a whole
/// request, and an error of writing would make hyper give up the answer that waits to be read. How it ends is for the
/// reading side to find out.
pub(crate) struct Wire {
    stream: Stream,
    traffic: Arc<Traffic>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    fn wrote(&self, result: Poll<io::Result<usize>>, offered: usize) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(bytes)) => {
                self.traffic.written.fetch_add(bytes as u64, Ordering::Relaxed);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) if hung_up(&error) => {
                self.traffic.deaf.store(true, Ordering::Relaxed);
                Poll::Ready(Ok(offered))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // hyper reads interim responses for as long as there are any, and lets nothing else run meanwhile.
        if self.traffic.flooded() {
            return Poll::Ready(Err(io::Error::other(Failure::HeadTooLarge)));
        }
        let before = buffer.filled().len();
        let result = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        let bytes = buffer.filled().len() - before;
        self.traffic.read.fetch_add(bytes as u64, Ordering::Relaxed);
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.traffic.deaf() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.wrote(result, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = slices.iter().map(|slice| slice.len()).sum();
        if self.traffic.deaf() {
            return Poll::Ready(Ok(offered));
        }
        let result = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        self.wrote(result, offered)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        self.wrote(result.map_ok(|()| 0), 0).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// The largest piece that is read at once, and so the largest header section too.
pub(crate) const READ_BUFFER: usize = 512 * 1024;

/// How much may come before the final response. A single interim response of the largest size passes, with all that was
/// read in one piece with its end.
const INTERIM: u64 = 2 * READ_BUFFER as u64;

fn hung_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uri: &str) -> Result<Key, Failure> {
        Key::of(&uri.parse().unwrap())
    }

    #[test]
    fn a_default_port_and_capitals_make_no_difference() {
        assert_eq!(key("http://a.test/x"), key("HTTP://A.test:80/y"));
        assert_eq!(key("http://a.test:"), key("http://a.test"));
        assert_eq!(key("https://a.test"), key("https://a.test:443"));
        assert_ne!(key("https://a.test:80"), key("http://a.test:80"));
        assert_ne!(key("http://a.test:81"), key("http://a.test"));
    }

    #[test]
    fn an_address_loses_its_brackets() {
        assert_eq!(&*key("http://[::1]:8080/").unwrap().host, "::1");
        assert_eq!(key("http://[::1]/").unwrap().port, 80);
    }

    #[test]
    fn userinfo_is_denied() {
        assert_eq!(key("http://user:pass@a.test/"), Err(Failure::Denied));
        assert_eq!(key("http://a.test@b.test/"), Err(Failure::Denied));
    }

    #[test]
    fn a_place_that_nobody_can_connect_to_is_refused() {
        for uri in ["http://a.test:0/", "http://a.test:65536/", "ftp://a.test/", "/path"] {
            assert_eq!(key(uri), Err(Failure::Uri), "{uri}");
        }
    }
}
