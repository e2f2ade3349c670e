//! A server that speaks HTTP/2, in clear text or agreed by ALPN, and answers each request as a test tells it.

use super::tls::Identity;
use super::{OK, Peer, Server, within};
use ::h2::server::{Builder, SendResponse};
use ::h2::{Reason, RecvStream, SendStream};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Response};
use socket2::{SockRef, Socket};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use urlpool_host::{Host, HostBuilder, Versions};

/// How the client gets to speak HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// By prior knowledge, in clear text.
    Clear,
    /// By ALPN, over TLS. The server speaks HTTP/1.1 as well.
    Tls,
}

/// A server that speaks HTTP/2.
pub struct H2 {
    server: Server,
    log: watch::Sender<Log>,
    /// The authority to trust, over TLS.
    pub pem: Option<String>,
}

/// What the server has seen.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The HTTP/2 connections, in the order of accepting.
    pub connections: Vec<Connection>,
    /// The requests that came over HTTP/1.1.
    pub requests_h1: usize,
    /// The requests that are being answered.
    pub at_once: usize,
    /// The most requests that were being answered at once, over all connections.
    pub most_at_once: usize,
}

/// One HTTP/2 connection.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    pub requests: usize,
    pub at_once: usize,
    pub most_at_once: usize,
    /// Whether it is over.
    pub ended: bool,
}

impl Log {
    pub fn requests(&self) -> usize {
        self.connections.iter().map(|connection| connection.requests).sum()
    }

    /// The requests of each connection, in the order of accepting.
    pub fn spread(&self) -> Vec<usize> {
        self.connections.iter().map(|connection| connection.requests).collect()
    }
}

impl H2 {
    /// Starts a server with the default settings of HTTP/2.
    pub async fn start<F, S>(over: Over, serve: S) -> Self
    where
        S: Fn(Call) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with(over, Builder::new(), serve).await
    }

    /// Starts a server with these settings.
    pub async fn with<F, S>(over: Over, settings: Builder, serve: S) -> Self
    where
        S: Fn(Call) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        match over {
            Over::Clear => Self::listen(None, settings, serve).await,
            Over::Tls => Self::agreeing(&["h2", "http/1.1"], settings, serve).await,
        }
    }

    /// Starts a TLS server that agrees to these protocols alone.
    pub async fn agreeing<F, S>(protocols: &[&str], settings: Builder, serve: S) -> Self
    where
        S: Fn(Call) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let identity = Identity::new();
        let acceptor = identity.acceptor(protocols);
        Self::listen(Some((acceptor, identity.pem)), settings, serve).await
    }

    /// Starts a server that answers every request with 200 and "ok".
    pub async fn always(over: Over) -> Self {
        Self::start(over, |call| async move { call.answer("ok") }).await
    }

    async fn listen<F, S>(tls: Option<(TlsAcceptor, String)>, settings: Builder, serve: S) -> Self
    where
        S: Fn(Call) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let log = watch::Sender::new(Log::default());
        let (acceptor, pem) = tls.unzip();
        let serve: Serve = Arc::new(move |call| Box::pin(serve(call)));
        let session = Session { settings, log: log.clone(), serve };
        let server = Server::start(move |peer, _| converse(peer, acceptor.clone(), session.clone())).await;
        Self { server, log, pem }
    }

    /// A host to be that believes this server, and takes it for granted in clear text that it speaks HTTP/2.
    pub fn builder(&self) -> HostBuilder {
        match &self.pem {
            None => Host::builder().versions(Versions::Http2),
            Some(pem) => Host::builder().add_roots_pem(pem.as_bytes()).unwrap(),
        }
    }

    /// A host like that, with its defaults.
    pub fn host(&self) -> Host {
        self.builder().build().unwrap()
    }

    pub fn uri(&self, path: &str) -> String {
        let scheme = if self.pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.server.address)
    }

    /// `HOST:PORT`.
    pub fn authority(&self) -> String {
        self.server.address.to_string()
    }

    /// The connections accepted so far, of either version.
    pub fn accepted(&self) -> usize {
        self.server.accepted()
    }

    pub fn log(&self) -> Log {
        self.log.borrow().clone()
    }

    /// Waits until the server has seen this; says what it saw if that never happens.
    pub async fn until(&self, seen: impl Fn(&Log) -> bool) {
        let mut log = self.log.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(10), log.wait_for(|log| seen(log))).await;
        assert!(waited.is_ok_and(|found| found.is_ok()), "never came: {:?}", self.log());
    }
}

/// One request, to be answered.
pub struct Call {
    pub head: Parts,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
    /// Its connection, from 0 in the order of accepting.
    pub connection: usize,
    /// Its place among the requests of its connection, from 0.
    pub nth: usize,
    /// Its connection, to be ended.
    pub line: Line,
}

impl Call {
    /// Answers 200 with this body.
    pub fn answer(mut self, body: impl Into<Bytes>) {
        let body = body.into();
        // The client may be gone.
        if let Ok(mut stream) = self.respond.send_response(Response::new(()), body.is_empty()) {
            if !body.is_empty() {
                let _ = stream.send_data(body, true);
            }
        }
    }

    /// Answers 200 with trailers behind this body.
    pub fn answer_with_trailers(mut self, body: &'static str, trailers: HeaderMap) {
        let mut stream = self.respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(body.into(), false).unwrap();
        stream.send_trailers(trailers).unwrap();
    }

    /// Begins to answer 200 with this piece of a body; the rest is up to the test.
    pub fn begin(&mut self, piece: impl Into<Bytes>) -> SendStream<Bytes> {
        let mut stream = self.respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(piece.into(), false).unwrap();
        stream
    }

    /// Gives the request up for this reason.
    pub fn reset(mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }

    /// Reads the body to its end.
    pub async fn read(&mut self) -> Bytes {
        let mut whole = BytesMut::new();
        while let Some(Ok(piece)) = self.body.data().await {
            let _ = self.body.flow_control().release_capacity(piece.len());
            whole.extend_from_slice(&piece);
        }
        whole.freeze()
    }

    /// Waits until the client gives the request up, and returns its reason.
    pub async fn given_up(&mut self) -> Reason {
        within(poll_fn(|cx| self.respond.poll_reset(cx))).await.unwrap()
    }
}

/// Waits until the client gives up a response that has begun.
pub async fn given_up(stream: &mut SendStream<Bytes>) -> Reason {
    within(poll_fn(|cx| stream.poll_reset(cx))).await.unwrap()
}

/// A connection that a handler may end.
#[derive(Clone)]
pub struct Line {
    commands: mpsc::UnboundedSender<Command>,
    /// Weak, since a socket closes with its last handle.
    socket: Weak<Socket>,
}

impl Line {
    /// Takes no further streams; those that are open go on (GOAWAY).
    pub fn leave(&self) {
        let _ = self.commands.send(Command::Leave);
    }

    /// Closes with a reset of the socket.
    pub fn reset(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
        let _ = self.commands.send(Command::Drop);
    }
}

enum Command {
    Leave,
    Drop,
}

type Serve = Arc<dyn Fn(Call) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

#[derive(Clone)]
struct Session {
    settings: Builder,
    log: watch::Sender<Log>,
    serve: Serve,
}

async fn converse(peer: Peer<TcpStream>, acceptor: Option<TlsAcceptor>, session: Session) {
    let _ = peer.stream.set_nodelay(true);
    // Another handle of the same socket, since the connection hides its own.
    let socket = SockRef::from(&peer.stream).try_clone().unwrap();
    let Some(acceptor) = acceptor else {
        let _gone = session.serve(peer.stream, socket).await;
        return;
    };
    let Ok(stream) = acceptor.accept(peer.stream).await else { return };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let _gone = session.serve(stream, socket).await;
        return;
    }
    let mut peer = Peer::new(stream);
    while peer.request().await.is_some() {
        session.log.send_modify(|log| log.requests_h1 += 1);
        peer.send(OK).await;
    }
}

impl Session {
    async fn serve<S>(self, stream: S, socket: Socket) -> Result<(), ::h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut id = 0;
        self.log.send_modify(|log| {
            id = log.connections.len();
            log.connections.push(Connection::default());
        });
        let socket = Arc::new(socket);
        let ended = self.listen(stream, Arc::downgrade(&socket), id).await;
        self.log.send_modify(|log| log.connections[id].ended = true);
        ended
    }

    async fn listen<S>(&self, stream: S, socket: Weak<Socket>, id: usize) -> Result<(), ::h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut connection = self.settings.handshake(stream).await?;
        let (commands, mut told) = mpsc::unbounded_channel();
        let line = Line { commands, socket };
        let mut nth = 0;
        loop {
            let (request, respond) = tokio::select! {
                accepted = connection.accept() => match accepted {
                    None => return Ok(()),
                    Some(accepted) => accepted?,
                },
                command = told.recv() => match command {
                    Some(Command::Leave) => {
                        connection.graceful_shutdown();
                        continue;
                    }
                    Some(Command::Drop) | None => return Ok(()),
                },
            };
            let (head, body) = request.into_parts();
            let call = Call { head, body, respond, connection: id, nth, line: line.clone() };
            nth += 1;
            self.count(id, |one| {
                one.requests += 1;
                one.at_once += 1;
                one.most_at_once = one.most_at_once.max(one.at_once);
            });
            let (session, answering) = (self.clone(), (self.serve)(call));
            tokio::spawn(async move {
                answering.await;
                session.count(id, |one| one.at_once -= 1);
            });
        }
    }

    fn count(&self, id: usize, count: impl FnOnce(&mut Connection)) {
        self.log.send_modify(|log| {
            count(&mut log.connections[id]);
            log.at_once = log.connections.iter().map(|connection| connection.at_once).sum();
            log.most_at_once = log.most_at_once.max(log.at_once);
        });
    }
}
