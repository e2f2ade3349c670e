//! A scripted server on a raw socket: it can misbehave, and it records all it sees. It speaks HTTP/1.1 here, HTTP/2 by `h2`.
//!
//! Longer than most files: one conversation, from accepting to the last byte, read from top to bottom.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use urlpool_host::HostBuilder;

use crate::h2;
use crate::reply::{Reading, Reply, Step, Until, status};
use crate::speech::Speech;
use crate::tls::Authority;
use crate::wire::{self, Framing};

/// How long a case waits for a fact before it is a failure.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its place among all requests, from 0.
    pub arrival: usize,
    /// The connection it came on, from 0 in the order of accepting.
    pub connection: usize,
    /// Its place among the requests of its connection, from 0.
    pub nth: usize,
    /// When its head was whole.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// The request target, as sent.
    pub target: String,
    /// The head, byte for byte.
    pub head: Bytes,
    /// The headers in order, values as Latin-1.
    pub headers: Vec<(String, String)>,
    /// The body without its framing, as far as it was read.
    pub body: Bytes,
    /// The trailers in order.
    pub trailers: Vec<(String, String)>,
    /// Whether the body was read to its end.
    pub whole: bool,
}

impl Request {
    /// The first header of this name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// All headers of this name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The body as text, for assertions.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed or reset it.
    Client,
    /// The script closed or reset it.
    Server,
}

/// One accepted connection.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// How many requests came on it.
    pub requests: usize,
    /// The bytes that came on it, after TLS.
    pub received: usize,
    /// Who ended it; none while it is open.
    pub ended: Option<End>,
}

/// All that a server has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The connections, in the order of accepting.
    pub connections: Vec<Connection>,
    /// The requests, in the order of arrival.
    pub requests: Vec<Request>,
    /// The requests that arrived and whose answer has not been sent.
    pub in_flight: usize,
    /// The most requests that were in flight at once.
    pub most_in_flight: usize,
}

impl Log {
    /// How many requests came for this path.
    pub fn count(&self, path: &str) -> usize {
        self.requests.iter().filter(|request| request.path() == path).count()
    }

    /// The time from one arrival to another.
    pub fn gap(&self, from: usize, to: usize) -> Result<Duration> {
        match (self.requests.get(from), self.requests.get(to)) {
            (Some(from), Some(to)) => Ok(to.at.saturating_duration_since(from.at)),
            _ => bail!("only {} requests arrived", self.requests.len()),
        }
    }
}

type Script = Box<dyn FnMut(&Request) -> Reply + Send>;

/// How connections are secured.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Serves with this configuration.
    pub fn new(config: rustls::ServerConfig) -> Self {
        Self { acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    /// Agrees to these protocols instead, by ALPN.
    #[must_use]
    pub fn agreeing(self, protocols: &[&str]) -> Self {
        let mut config = rustls::ServerConfig::clone(self.acceptor.config());
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self::new(config)
    }
}

/// The scripted server; dropping it ends its connections.
pub struct Server {
    address: SocketAddr,
    secure: bool,
    /// Whom to trust to believe it, where it made that up itself.
    roots: Option<String>,
    log: watch::Sender<Log>,
    task: AbortHandle,
}

impl Server {
    /// Starts a server that answers the n-th request with the n-th reply, and all further ones with the last.
    pub async fn replies(replies: impl IntoIterator<Item = Reply>) -> Result<Self> {
        Self::answering(in_order(replies)).await
    }

    /// Starts a server that answers with the replies of each path in order; a path that is not listed gets 404.
    pub async fn routes<R>(routes: impl IntoIterator<Item = (&'static str, R)>) -> Result<Self>
    where
        R: IntoIterator<Item = Reply>,
    {
        Self::answering(by_path(routes)).await
    }

    /// Starts a server that asks this function for each answer.
    pub async fn answering(script: impl FnMut(&Request) -> Reply + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind a loopback port")?;
        Self::listening(listener, None, script)
    }

    /// Starts a TLS server that asks this function for each answer.
    pub async fn secure(tls: Tls, script: impl FnMut(&Request) -> Reply + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind a loopback port")?;
        Self::listening(listener, Some(tls), script)
    }

    /// Starts a server that answers the n-th request with the n-th reply, in this speech.
    pub async fn replies_in(speech: Speech, replies: impl IntoIterator<Item = Reply>) -> Result<Self> {
        Self::answering_in(speech, in_order(replies)).await
    }

    /// Starts a server that answers with the replies of each path in order, in this speech.
    pub async fn routes_in<R>(speech: Speech, routes: impl IntoIterator<Item = (&'static str, R)>) -> Result<Self>
    where
        R: IntoIterator<Item = Reply>,
    {
        Self::answering_in(speech, by_path(routes)).await
    }

    /// Starts a server that asks this function for each answer, in this speech.
    ///
    /// Over TLS it proves to be `127.0.0.1`, `localhost` and `a.test` to a host that [believes it](Self::trusted_by).
    pub async fn answering_in(speech: Speech, script: impl FnMut(&Request) -> Reply + Send + 'static) -> Result<Self> {
        Self::vouched_for(&Authority::new()?, speech, script).await
    }

    /// Starts a server like [`answering_in`](Self::answering_in), which this authority vouches for over TLS.
    pub async fn vouched_for(
        authority: &Authority,
        speech: Speech,
        script: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Result<Self> {
        let protocol = match speech {
            Speech::Http1 => return Self::answering(script).await,
            Speech::Http1Tls => "http/1.1",
            Speech::Http2Tls => "h2",
        };
        let tls = authority.serve(&["127.0.0.1", "localhost", "a.test"])?.agreeing(&[protocol]);
        let mut server = Self::secure(tls, script).await?;
        server.roots = Some(authority.pem());
        Ok(server)
    }

    /// Starts a server on a listener of the case's own.
    pub fn listening(
        listener: TcpListener,
        tls: Option<Tls>,
        script: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Result<Self> {
        let address = listener.local_addr()?;
        let log = watch::Sender::new(Log::default());
        let shared = Shared { script: Arc::new(Mutex::new(Box::new(script))), log: log.clone() };
        let secure = tls.is_some();
        let task = tokio::spawn(accept(listener, tls, shared)).abort_handle();
        Ok(Self { address, secure, roots: None, log, task })
    }

    /// Makes a host believe this server.
    pub fn trusted_by(&self, host: HostBuilder) -> Result<HostBuilder> {
        match &self.roots {
            None => Ok(host),
            Some(pem) => Ok(host.add_roots_pem(pem.as_bytes())?),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of a path, on 127.0.0.1.
    pub fn url(&self, path: &str) -> String {
        self.url_at("127.0.0.1", path)
    }

    /// The URL of a path, on another name of this machine.
    pub fn url_at(&self, host: &str, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{host}:{}{path}", self.port())
    }

    /// What was seen so far.
    pub fn log(&self) -> Log {
        self.log.borrow().clone()
    }

    /// The requests seen so far.
    pub fn requests(&self) -> Vec<Request> {
        self.log().requests
    }

    /// The n-th request.
    pub fn request(&self, arrival: usize) -> Result<Request> {
        let log = self.log.borrow();
        let seen = log.requests.len();
        log.requests.get(arrival).cloned().with_context(|| format!("request {arrival} of {seen} is not there"))
    }

    /// How many requests arrived so far.
    pub fn arrivals(&self) -> usize {
        self.log.borrow().requests.len()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.log.borrow().connections.len()
    }

    /// Waits until the log shows `fact`; fails when it does not in time.
    pub async fn until(&self, what: &str, mut fact: impl FnMut(&Log) -> bool) -> Result<Log> {
        let mut log = self.log.subscribe();
        match tokio::time::timeout(DEADLINE, log.wait_for(|log| fact(log))).await {
            Ok(Ok(log)) => Ok(log.clone()),
            Ok(Err(_)) => bail!("the server ended before it saw: {what}"),
            Err(_) => bail!("the server did not see in {DEADLINE:?}: {what}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The n-th call gives the n-th reply, and every further one the last.
fn in_order(replies: impl IntoIterator<Item = Reply>) -> impl FnMut(&Request) -> Reply + Send + 'static {
    let replies: Vec<_> = replies.into_iter().collect();
    let mut next = 0;
    move |_| {
        let reply = replies.get(next).or(replies.last()).cloned().unwrap_or_else(|| status(404));
        next += 1;
        reply
    }
}

/// Every request gets the next reply of its path; a path that is not listed gets 404.
fn by_path<R>(routes: impl IntoIterator<Item = (&'static str, R)>) -> impl FnMut(&Request) -> Reply + Send + 'static
where
    R: IntoIterator<Item = Reply>,
{
    let mut routes: HashMap<_, _> = routes.into_iter().map(|(path, replies)| (path, in_order(replies))).collect();
    move |request| routes.get_mut(request.path()).map_or_else(|| status(404), |next| next(request))
}

#[derive(Clone)]
pub(crate) struct Shared {
    script: Arc<Mutex<Script>>,
    log: watch::Sender<Log>,
}

impl Shared {
    /// Takes a request into the log, and gives it its place there.
    pub(crate) fn arrived(&self, request: &mut Request) {
        self.log.send_modify(|log| {
            request.arrival = log.requests.len();
            log.connections[request.connection].requests += 1;
            log.in_flight += 1;
            log.most_in_flight = log.most_in_flight.max(log.in_flight);
            log.requests.push(request.clone());
        });
    }

    /// What the script says to a request.
    pub(crate) fn ask(&self, request: &Request) -> Reply {
        self.script.lock().expect("no script panics")(request)
    }

    /// A request was read to its end.
    pub(crate) fn read(&self, arrival: usize, body: Bytes, trailers: Vec<(String, String)>) {
        self.log.send_modify(|log| {
            let request = &mut log.requests[arrival];
            (request.body, request.trailers, request.whole) = (body, trailers, true);
        });
    }
}

async fn accept(listener: TcpListener, tls: Option<Tls>, shared: Shared) {
    // Ending this task drops the set, which ends the connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { return };
                // Answers in many small pieces must leave as they are written.
                let _ = socket.set_nodelay(true);
                let mut id = 0;
                shared.log.send_modify(|log| {
                    id = log.connections.len();
                    log.connections.push(Connection::default());
                });
                connections.spawn(serve(socket, tls.clone(), id, shared.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(socket: TcpStream, tls: Option<Tls>, id: usize, shared: Shared) {
    let end = match tls {
        None => converse(Wire::new(socket), id, &shared, |socket| socket).await,
        Some(tls) => match tls.acceptor.accept(socket).await {
            Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                match SockRef::from(stream.get_ref().0).try_clone() {
                    Ok(socket) => h2::converse(stream, socket, id, &shared).await,
                    Err(_) => End::Server,
                }
            }
            Ok(stream) => converse(Wire::new(stream), id, &shared, |stream| stream.get_ref().0).await,
            Err(_) => End::Client,
        },
    };
    shared.log.send_modify(|log| log.connections[id].ended = Some(end));
}

/// A stream, and what was read of it but not yet used.
struct Wire<S> {
    stream: S,
    unread: Vec<u8>,
    received: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new(), received: 0 }
    }

    /// Reads some more; false at the end.
    async fn more(&mut self) -> io::Result<bool> {
        let mut piece = vec![0; 64 * 1024];
        let count = self.stream.read(&mut piece).await?;
        self.unread.extend_from_slice(&piece[..count]);
        self.received += count;
        Ok(count > 0)
    }
}

/// What became of the connection after a step.
enum Flow {
    Go,
    Stop(End),
}

async fn converse<S>(mut wire: Wire<S>, id: usize, shared: &Shared, tcp: fn(&S) -> &TcpStream) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for nth in 0.. {
        let head = loop {
            if let Some(head) = wire::head(&mut wire.unread) {
                break head;
            }
            match wire.more().await {
                Ok(true) => {}
                Ok(false) | Err(_) => return End::Client,
            }
        };
        let (method, target, headers) = wire::parse(&head);
        let framing = Framing::of(&headers);
        let mut request = Request {
            arrival: 0,
            connection: id,
            nth,
            at: Instant::now(),
            method,
            target,
            head,
            headers,
            body: Bytes::new(),
            trailers: Vec::new(),
            whole: framing == Framing::Empty,
        };
        shared.arrived(&mut request);
        let reply = shared.ask(&request);
        // An answer ahead of the body has nothing to say about the body, so the script is asked before it is read.
        if reply.reading() == Reading::First && !read_body(&mut wire, framing, request.arrival, id, shared).await {
            shared.log.send_modify(|log| log.in_flight -= 1);
            return End::Client;
        }
        if let Flow::Stop(end) = play(&mut wire, &reply.steps(&request), shared, tcp).await {
            return end;
        }
        match reply.reading() {
            Reading::First => {}
            Reading::After => {
                if !read_body(&mut wire, framing, request.arrival, id, shared).await {
                    return End::Client;
                }
            }
            // The rest of the body is in the way of any further request.
            Reading::Never if framing != Framing::Empty => std::future::pending().await,
            Reading::Never => {}
        }
    }
    End::Server
}

/// Reads a body to its end and into the log; false when the client left before.
async fn read_body<S>(wire: &mut Wire<S>, framing: Framing, arrival: usize, id: usize, shared: &Shared) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if framing == Framing::Empty {
        return true;
    }
    let mut body = wire::Body::new(framing);
    loop {
        let whole = body.take(&mut wire.unread);
        shared.log.send_modify(|log| {
            log.connections[id].received = wire.received;
            let request = &mut log.requests[arrival];
            if whole {
                request.body = Bytes::from(std::mem::take(&mut body.content));
                request.trailers = std::mem::take(&mut body.trailers);
            }
            request.whole = whole;
        });
        if whole {
            return true;
        }
        if !matches!(wire.more().await, Ok(true)) {
            // What came before the cut is a fact too.
            shared.log.send_modify(|log| log.requests[arrival].body = Bytes::from(std::mem::take(&mut body.content)));
            return false;
        }
    }
}

async fn play<S>(wire: &mut Wire<S>, steps: &[Step], shared: &Shared, tcp: fn(&S) -> &TcpStream) -> Flow
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A request counts as in flight until its last bytes leave: the client may send the next one
    // before this task runs again. A silent ending counts as the last bytes.
    let last = steps.iter().rposition(|step| matches!(step, Step::Send(_))).unwrap_or(steps.len());
    let mut flying = InFlight::new(shared);
    for (index, step) in steps.iter().enumerate() {
        if index == last {
            flying.land();
        }
        match step {
            Step::Send(bytes) => {
                if wire.stream.write_all(bytes).await.is_err() || wire.stream.flush().await.is_err() {
                    return Flow::Stop(End::Client);
                }
            }
            Step::Wait(until) => wait(until, shared).await,
            Step::Flood(bytes) => while_writable(wire, bytes).await,
            Step::Close => {
                flying.land();
                let _ = wire.stream.shutdown().await;
                return Flow::Stop(End::Server);
            }
            Step::Hangup => {
                flying.land();
                let _ = SockRef::from(tcp(&wire.stream)).shutdown(Shutdown::Write);
                return Flow::Stop(End::Server);
            }
            Step::Reset => {
                flying.land();
                let _ = tcp(&wire.stream).set_zero_linger();
                return Flow::Stop(End::Server);
            }
            Step::Stall => {
                while matches!(wire.more().await, Ok(true)) {}
                return Flow::Stop(End::Client);
            }
        }
    }
    Flow::Go
}

async fn while_writable<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, bytes: &[u8]) {
    while wire.stream.write_all(bytes).await.is_ok() {}
}

/// Waits in the middle of an answer.
pub(crate) async fn wait(until: &Until, shared: &Shared) {
    let mut log = shared.log.subscribe();
    // The sender is ours, so the channel cannot close.
    match until {
        Until::Passed(time) => tokio::time::sleep(*time).await,
        Until::Arrived(count) => drop(log.wait_for(|log| log.requests.len() >= *count).await),
        Until::InFlight(count) => drop(log.wait_for(|log| log.in_flight >= *count).await),
        Until::Open(gate) => gate.passed().await,
    }
}

/// One request in flight, whatever ends it.
pub(crate) struct InFlight<'a> {
    log: Option<&'a watch::Sender<Log>>,
}

impl<'a> InFlight<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self { log: Some(&shared.log) }
    }

    /// Its answer has left.
    pub(crate) fn land(&mut self) {
        if let Some(log) = self.log.take() {
            log.send_modify(|log| log.in_flight -= 1);
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.land();
    }
}
