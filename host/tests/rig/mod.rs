//! Servers that do what a test tells them, and short words for sending requests.
//!
//! The one here speaks HTTP/1.1 in raw bytes; [`h2`] speaks HTTP/2, and [`frames`] speaks it byte by byte.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

pub mod certificates;
pub mod frames;
pub mod h2;
pub mod names;
pub mod tls;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use urlpool_host::{Failure, Host, ResponseBody, Stats, Timeouts};

/// A server on the loopback.
pub struct Server {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    most_open: Arc<AtomicUsize>,
}

impl Server {
    /// Serves each connection with `serve`, which gets it and its number, from 0.
    pub async fn start<F, S>(serve: S) -> Self
    where
        S: Fn(Peer<TcpStream>, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            accepted: Arc::default(),
            requests: Arc::default(),
            open: Arc::default(),
            most_open: Arc::default(),
        };
        let (accepted, requests) = (server.accepted.clone(), server.requests.clone());
        let (open, most_open) = (server.open.clone(), server.most_open.clone());
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let number = accepted.fetch_add(1, Ordering::SeqCst);
                let peer = Peer { stream, buffer: Vec::new(), requests: requests.clone() };
                most_open.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let (serving, open) = (serve(peer, number), open.clone());
                tokio::spawn(async move {
                    serving.await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    /// Answers every request on every connection with the same bytes.
    pub async fn always(answer: impl Into<Arc<str>>) -> Self {
        let answer = answer.into();
        Self::start(move |mut peer, _| {
            let answer = answer.clone();
            async move {
                while peer.request().await.is_some() {
                    peer.send(&answer).await;
                }
            }
        })
        .await
    }

    /// Answers one request per connection, and closes when the second one has arrived.
    pub async fn stale() -> Self {
        Self::start(|mut peer, _| async move {
            peer.request().await;
            peer.send(OK).await;
            peer.request().await;
        })
        .await
    }

    /// Answers each request once the test lets it.
    pub async fn gated() -> (Self, Arc<Semaphore>) {
        Self::gated_for("").await
    }

    /// Answers each request at once, but those of this path only once the test lets it.
    pub async fn gated_for(path: &'static str) -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        let passing = gate.clone();
        let server = Self::start(move |mut peer, _| {
            let gate = passing.clone();
            async move {
                while let Some(request) = peer.request().await {
                    if request.split(' ').nth(1).is_some_and(|target| target.starts_with(path)) {
                        gate.acquire().await.unwrap().forget();
                    }
                    peer.send(OK).await;
                }
            }
        })
        .await;
        (server, gate)
    }

    /// The connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// The requests read so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The connections that are open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// The most connections that were open at once.
    pub fn most_open(&self) -> usize {
        self.most_open.load(Ordering::SeqCst)
    }

    /// Waits until so many connections are accepted: a client may be done with connecting before the server has noticed.
    pub async fn until_accepted(&self, connections: usize) {
        self.until(|server| server.accepted() >= connections).await;
        assert_eq!(self.accepted(), connections);
    }

    /// Waits until the server shows this.
    pub async fn until(&self, fact: impl Fn(&Self) -> bool) {
        within(async {
            while !fact(self) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// The server's end of a connection.
pub struct Peer<S> {
    pub stream: S,
    buffer: Vec<u8>,
    requests: Arc<AtomicUsize>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), requests: Arc::default() }
    }

    /// The next request, head and body as they came. None at the end.
    pub async fn request(&mut self) -> Option<String> {
        let head = self.until("\r\n\r\n").await?;
        let lower = head.to_ascii_lowercase();
        let body = if lower.contains("transfer-encoding: chunked") {
            self.until("0\r\n\r\n").await?
        } else {
            let length = lower
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .map_or(0, |length| length.trim().parse().unwrap());
            self.exactly(length).await?
        };
        self.requests.fetch_add(1, Ordering::SeqCst);
        Some(head + &body)
    }

    /// The next head alone.
    pub async fn head(&mut self) -> Option<String> {
        let head = self.until("\r\n\r\n").await;
        self.requests.fetch_add(usize::from(head.is_some()), Ordering::SeqCst);
        head
    }

    pub async fn send(&mut self, answer: &str) {
        let _ = self.stream.write_all(answer.as_bytes()).await;
        let _ = self.stream.flush().await;
    }

    /// Waits for the client to close.
    pub async fn closed(&mut self) {
        while self.fill().await {}
    }

    /// Reads until nothing comes for a while, and returns how much came.
    pub async fn silence(&mut self) -> usize {
        let before = self.buffer.len();
        while tokio::time::timeout(Duration::from_millis(100), self.fill()).await == Ok(true) {}
        self.buffer.len() - before
    }

    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end.as_bytes()) {
                return self.exactly(at + end.len()).await;
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<String> {
        while self.buffer.len() < length {
            if !self.fill().await {
                return None;
            }
        }
        let bytes = self.buffer.drain(..length).collect();
        Some(String::from_utf8(bytes).unwrap())
    }

    async fn fill(&mut self) -> bool {
        self.stream.read_buf(&mut self.buffer).await.is_ok_and(|bytes| bytes > 0)
    }
}

/// Closes with a reset instead of a farewell.
pub fn reset(peer: Peer<TcpStream>) {
    peer.stream.set_zero_linger().unwrap();
}

pub fn host() -> Host {
    Host::builder().build().unwrap()
}

pub fn request(method: &str, uri: String) -> http::Request<Empty<Bytes>> {
    http::Request::builder().method(method).uri(uri).body(Empty::new()).unwrap()
}

pub fn post(uri: String, body: &'static str) -> http::Request<Full<Bytes>> {
    http::Request::builder().method("POST").uri(uri).body(Full::from(body)).unwrap()
}

pub type Answer = Result<http::Response<ResponseBody>, Failure>;

pub async fn get(host: &Host, server: &Server) -> Answer {
    host.send(request("GET", server.uri("/")), Timeouts::default()).await
}

/// Gets a whole body as text.
pub async fn fetch(host: &Host, uri: String) -> Result<String, Failure> {
    text(host.send(request("GET", uri), Timeouts::default()).await).await
}

/// Gets a whole body as text, beside what the test does.
pub fn spawned(host: &Host, uri: String) -> JoinHandle<Result<String, Failure>> {
    let host = host.clone();
    tokio::spawn(async move { fetch(&host, uri).await })
}

/// The frames of a body, as the test feeds them.
pub type Feed = mpsc::UnboundedSender<io::Result<Frame<Bytes>>>;

/// A POST whose body the test feeds.
pub fn fed(uri: String) -> (Feed, http::Request<impl Body<Data = Bytes, Error = io::Error> + Send + 'static>) {
    let (feed, mut fed) = mpsc::unbounded_channel();
    let stream = futures::stream::poll_fn(move |cx| fed.poll_recv(cx));
    (feed, http::Request::post(uri).body(StreamBody::new(stream)).unwrap())
}

pub fn data(bytes: &str) -> io::Result<Frame<Bytes>> {
    Ok(Frame::data(Bytes::copy_from_slice(bytes.as_bytes())))
}

/// The whole body as text.
pub async fn text(answer: Answer) -> Result<String, Failure> {
    let bytes = answer?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// Waits until the figures are as wanted; says what they are if that never happens.
pub async fn until(host: &Host, wanted: impl Fn(&Stats) -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !wanted(&host.stats()) {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "never came: {:?}", host.stats());
}

/// Fails when this takes suspiciously long.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("over in time")
}

pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
