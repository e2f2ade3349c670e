//! An open connection that counts its bytes, and what they tell.

use crate::error::Failure;
use crate::proxy::Forward;
use http::Version;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// What has passed over all connections of a host.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    read: AtomicU64,
    written: AtomicU64,
}

impl Totals {
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// When something happened last, if ever.
#[derive(Debug, Default)]
struct Moment(Mutex<Option<Instant>>);

impl Moment {
    fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// What has passed over a connection.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    totals: Arc<Totals>,
    read: AtomicU64,
    written: AtomicU64,
    /// When bytes came last, and when some went out.
    heard: Moment,
    wrote: Moment,
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

    /// When bytes came last, whatever they belong to. None: never yet.
    pub(crate) fn heard(&self) -> Option<Instant> {
        self.heard.get()
    }

    /// When bytes went out last. None: never yet.
    pub(crate) fn wrote(&self) -> Option<Instant> {
        self.wrote.get()
    }

    fn hear(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
        self.totals.read.fetch_add(bytes, Ordering::Relaxed);
        self.heard.is_now();
    }

    fn write(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
        self.totals.written.fetch_add(bytes, Ordering::Relaxed);
        self.wrote.is_now();
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
    version: Version,
    forward: Option<Arc<Forward>>,
    traffic: Arc<Traffic>,
}

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(crate) fn new(stream: Stream, version: Version, forward: Option<Arc<Forward>>, totals: Arc<Totals>) -> Self {
        let traffic = Arc::new(Traffic { totals, ..Traffic::default() });
        Self { stream, version, forward, traffic }
    }

    /// The version of HTTP that the peer has agreed to speak.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// What a proxy at the other end has to be told with each request. None where that end is the origin.
    pub(crate) fn forward(&self) -> Option<&Arc<Forward>> {
        self.forward.as_ref()
    }

    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    fn wrote(&self, result: Poll<io::Result<usize>>, offered: usize) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(bytes)) => {
                if bytes > 0 {
                    self.traffic.write(bytes as u64);
                }
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
        if bytes > 0 {
            self.traffic.hear(bytes as u64);
        }
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
