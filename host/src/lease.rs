//! An open connection, whoever uses it, and what becomes of it when they are done.
//!
//! Whoever holds a value here holds what it stands for: a [`Permit`] a slot, a [`Lease`] a place on a connection, and
//! dropping one frees it. Nothing that a connection owns keeps the pool alive, so dropping the last host closes the idle
//! sockets.
//!
//! A little longer than a file should be: permit, connection, driver and lease free each other, in an order that has to be
//! seen at once.

use crate::connections::Connections;
use crate::events::Events;
use crate::http2;
use crate::idle::{Hint, Id};
use crate::key::Key;
use crate::proxy::Forward;
use crate::stats::Close;
use crate::upload::Upload;
use crate::wire::{READ_BUFFER, Traffic, Wire};
use futures::future::{BoxFuture, FutureExt};
use futures::task::noop_waker_ref;
use h2::{Ping, PingPong};
use http::Version;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// A slot: the right to one live connection. Shared by the connection and its driver; the last one frees it, so that a slot
/// is free only when its socket is closed.
pub(crate) struct Permit {
    connections: Weak<Connections>,
    id: Id,
}

impl Permit {
    pub(crate) fn new(connections: Weak<Connections>, id: Id) -> Self {
        Self { connections, id }
    }

    pub(crate) fn id(&self) -> Id {
        self.id
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(connections) = self.connections.upgrade() {
            connections.change(|state, effects| state.book.freed(self.id, effects));
        }
    }
}

/// An open connection. It is closed when nobody holds it any more.
pub(crate) struct Connection {
    key: Key,
    speaks: Speaks,
    traffic: Arc<Traffic>,
    forward: Option<Arc<Forward>>,
    permit: Arc<Permit>,
    /// Where its driver runs, and so everything else that is done about it.
    runtime: Handle,
    ended: Arc<AtomicBool>,
    /// Whether it was never asked for anything.
    fresh: AtomicBool,
    /// When the first request went out that nothing has come after.
    asked: Mutex<Option<Instant>>,
    /// What moves its bytes, until that is started.
    driver: Mutex<Option<BoxFuture<'static, ()>>>,
    /// Dropped with the connection, which tells the driver to end.
    _open: oneshot::Sender<()>,
}

enum Speaks {
    /// One request at a time; None while it has one.
    Http1(Mutex<Option<SendRequest<Upload>>>),
    Http2(http2::Sender, Mutex<Option<PingPong>>),
}

impl Connection {
    /// Begins to speak HTTP/1.1 over an open socket.
    pub(crate) async fn http1(wire: Wire, key: Key, permit: Arc<Permit>) -> Result<Self, hyper::Error> {
        let (traffic, forward) = (wire.traffic(), wire.forward().cloned());
        let handshake = http1::Builder::new().max_buf_size(READ_BUFFER).handshake(TokioIo::new(wire)).await;
        let (sender, driver) = handshake?;
        Ok(Self::driven(Speaks::Http1(Mutex::new(Some(sender))), key, traffic, forward, permit, |closed, leave| {
            drive(driver, closed, leave)
        }))
    }

    /// Begins to speak HTTP/2 over an open socket.
    pub(crate) async fn http2(wire: Wire, key: Key, permit: Arc<Permit>) -> Result<Self, h2::Error> {
        let traffic = wire.traffic();
        let (sender, mut driver) = http2::handshake(wire).await?;
        let state = sender.clone();
        let speaks = Speaks::Http2(sender, Mutex::new(driver.ping_pong()));
        Ok(Self::driven(speaks, key, traffic, None, permit, |closed, leave| drive_shared(state, driver, closed, leave)))
    }

    fn driven<F>(
        speaks: Speaks,
        key: Key,
        traffic: Arc<Traffic>,
        forward: Option<Arc<Forward>>,
        permit: Arc<Permit>,
        drive: impl FnOnce(oneshot::Receiver<()>, Leave) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (open, closed) = oneshot::channel();
        let runtime = Handle::current();
        let ended = Arc::new(AtomicBool::new(false));
        let leave = Leave { permit: Arc::clone(&permit), ended: Arc::clone(&ended) };
        let driver = Mutex::new(Some(drive(closed, leave).boxed()));
        let (fresh, asked) = (AtomicBool::new(true), Mutex::new(None));
        Self { key, speaks, traffic, forward, permit, runtime, ended, fresh, asked, driver, _open: open }
    }

    /// Begins to move bytes. Before the connection is in the book, what its driver has to say would be lost.
    pub(crate) fn start(&self) {
        if let Some(driver) = lock(&self.driver).take() {
            let _driving = self.runtime.spawn(driver);
        }
    }

    /// Whether it can take a request, as far as is known.
    pub(crate) fn usable(&self) -> bool {
        let open = !self.ended.load(Ordering::Acquire) && !self.traffic.deaf();
        open && match &self.speaks {
            Speaks::Http1(sender) => lock(sender).as_ref().is_some_and(|sender| self.takes_requests(sender)),
            Speaks::Http2(..) => true,
        }
    }

    /// Whether hyper takes a request. Of one that was just opened it does before its driver has run for the first time, although it
    /// does not call that ready.
    fn takes_requests(&self, sender: &SendRequest<Upload>) -> bool {
        !sender.is_closed() && (sender.is_ready() || self.fresh.load(Ordering::Acquire))
    }

    /// A request goes out.
    fn ask(&self) {
        self.fresh.store(false, Ordering::Release);
        let mut asked = lock(&self.asked);
        if asked.is_none_or(|asked| self.traffic.heard().is_some_and(|heard| heard > asked)) {
            *asked = Some(Instant::now());
        }
    }

    /// Whether nothing has come for a while, neither a first byte nor another one, although something was asked for.
    fn silent(&self) -> bool {
        let asked = *lock(&self.asked);
        asked.max(self.traffic.heard()).is_some_and(|since| since.elapsed() >= SILENCE)
    }

    /// Gives it no more requests until its peer has answered a ping, and closes it if that does not come.
    fn probe(self: &Arc<Self>, connections: &Arc<Connections>) {
        connections.change(|state, _| state.book.doubt(self.id()));
        let Speaks::Http2(_, ping) = &self.speaks else {
            return;
        };
        // None: an answer is waited for already.
        let Some(mut ping) = lock(ping).take() else {
            return;
        };
        let (connection, connections) = (Arc::downgrade(self), Arc::downgrade(connections));
        let _probing = self.runtime.spawn(async move {
            let answer = timeout(SILENCE, ping.ping(Ping::opaque())).await;
            let (Some(connection), Some(connections)) = (connection.upgrade(), connections.upgrade()) else {
                return;
            };
            if let (Ok(Ok(_)), Speaks::Http2(_, place)) = (answer, &connection.speaks) {
                *lock(place) = Some(ping);
                connections.trust(connection.id());
            } else {
                connections.change(|state, effects| state.book.hung_up(connection.id(), Close::TimedOut, effects));
            }
        });
    }

    /// Whether others use it at the same time.
    pub(crate) fn shared(&self) -> bool {
        matches!(self.speaks, Speaks::Http2(..))
    }

    pub(crate) fn id(&self) -> Id {
        self.permit.id
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn version(&self) -> Version {
        if self.shared() { Version::HTTP_2 } else { Version::HTTP_11 }
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

/// How to send a request on a connection.
pub(crate) enum Sender<'a> {
    Http1(&'a mut SendRequest<Upload>),
    Http2(http2::Sender),
}

/// A connection in use. Dropping it gives up the request, and with it the connection, unless others use that or it was
/// never used.
pub(crate) struct Lease {
    connection: Option<Arc<Connection>>,
    /// What was taken out of the connection for the time of the lease.
    http1: Option<SendRequest<Upload>>,
    connections: Weak<Connections>,
    used: bool,
}

impl Lease {
    pub(crate) fn new(connection: Arc<Connection>, connections: Weak<Connections>) -> Self {
        let http1 = match &connection.speaks {
            Speaks::Http1(sender) => lock(sender).take(),
            Speaks::Http2(..) => None,
        };
        Self { connection: Some(connection), http1, connections, used: false }
    }

    /// The connection, to send a request on.
    pub(crate) fn sender(&mut self) -> Option<Sender<'_>> {
        self.used = true;
        let connection = self.connection.as_ref()?;
        connection.ask();
        match &connection.speaks {
            Speaks::Http1(_) => self.http1.as_mut().map(Sender::Http1),
            Speaks::Http2(sender, _) => Some(Sender::Http2(sender.clone())),
        }
    }

    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        self.connection.as_ref().map(|connection| Arc::clone(&connection.traffic)).unwrap_or_default()
    }

    /// What to add to a request that a proxy is to pass on. None: the connection leads to the server itself.
    pub(crate) fn forward(&self) -> Option<Arc<Forward>> {
        self.connection.as_ref()?.forward.clone()
    }

    /// Tells that the connection is used again.
    pub(crate) fn tell(&self, events: &Events) {
        if let Some(connection) = &self.connection {
            events.reused(&connection.key);
        }
    }

    /// Whether others use the connection at the same time.
    pub(crate) fn shared(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.shared())
    }

    /// Where to do what is left to do about the connection.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        self.connection.as_ref().map(|connection| connection.runtime.clone())
    }

    /// Gives up the request, and closes the connection unless others use it.
    pub(crate) fn close(mut self, reason: Close) {
        self.end(reason);
    }

    /// Closes the connection, once others are done with it too.
    pub(crate) fn condemn(mut self, reason: Close) {
        if let (Some(connections), Some(connection)) = (self.connections.upgrade(), self.connection.take()) {
            self.http1 = None;
            connections.change(|state, effects| state.book.discard(connection.id(), reason, effects));
        }
    }

    /// Closes a dead connection and keeps its slot, to open another one in.
    ///
    /// None when others use it too: then their slot is not to be had.
    pub(crate) fn replace(mut self) -> Option<Arc<Permit>> {
        if self.shared() {
            self.condemn(Close::Stale);
            return None;
        }
        let connection = self.connection.take()?;
        self.http1 = None;
        // Its driver has no say in what the slot is used for from here.
        connection.ended.store(true, Ordering::Release);
        if let Some(connections) = self.connections.upgrade() {
            let mut dead = None;
            connections.change(|state, _| {
                state.stats.closed(Close::Stale);
                dead = state.book.reopen(connection.id());
            });
            connections.events().closed(&connection.key, Close::Stale);
        }
        Some(Arc::clone(&connection.permit))
    }

    /// Lets whoever wants this connection wait for it: its body is about to have ended.
    pub(crate) fn returning(&self) {
        self.note(|state, id, _| state.book.returning(id));
    }

    /// It takes longer than [`returning`](Self::returning) promised.
    pub(crate) fn late(&self) {
        self.note(|state, id, effects| state.book.late(id, effects));
    }

    /// Gives the connection back as far as `hint` lets it be kept, as soon as hyper is ready for another request. Its body
    /// has ended.
    pub(crate) fn give_back(mut self, hint: Hint) {
        let ready = match &mut self.http1 {
            Some(sender) => sender.poll_ready(&mut Context::from_waker(noop_waker_ref())),
            None => Poll::Ready(Ok(())),
        };
        match ready {
            Poll::Ready(Ok(())) => self.keep(hint),
            Poll::Ready(Err(_)) => self.close(Close::Unready),
            Poll::Pending => {
                self.returning();
                let Some(runtime) = self.runtime() else {
                    return;
                };
                let _returning = runtime.spawn(async move {
                    let Some(sender) = &mut self.http1 else {
                        return;
                    };
                    match timeout(UNREADY, sender.ready()).await {
                        Ok(Ok(())) => self.keep(hint),
                        Ok(Err(_)) | Err(_) => self.close(Close::Unready),
                    }
                });
            }
        }
    }

    fn keep(mut self, hint: Hint) {
        let (Some(connections), Some(connection)) = (self.connections.upgrade(), self.connection.take()) else {
            return;
        };
        if let (Speaks::Http1(place), Some(sender)) = (&connection.speaks, self.http1.take()) {
            *lock(place) = Some(sender);
        }
        connections.keep(&connection, hint);
    }

    fn note(&self, note: impl FnOnce(&mut crate::connections::State, Id, &mut crate::connections::Effects)) {
        if let (Some(connections), Some(connection)) = (self.connections.upgrade(), &self.connection) {
            connections.change(|state, effects| note(state, connection.id(), effects));
        }
    }

    fn end(&mut self, reason: Close) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        self.http1 = None;
        let Some(connections) = self.connections.upgrade() else {
            return;
        };
        if !connection.shared() {
            connections.change(|state, effects| state.book.discard(connection.id(), reason, effects));
        } else {
            if connection.silent() {
                // It may be dead, and then whatever is asked on it next would wait for nothing.
                connection.probe(&connections);
            }
            connections.keep(&connection, Hint::default());
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let fit = match (&self.connection, &self.http1) {
            (Some(connection), Some(sender)) => connection.takes_requests(sender),
            _ => true,
        };
        if self.used || !fit {
            self.end(Close::Cancelled);
        } else {
            let unused = Lease {
                connection: self.connection.take(),
                http1: self.http1.take(),
                connections: self.connections.clone(),
                used: true,
            };
            unused.keep(Hint::default());
        }
    }
}

/// What a driver says at its end, whichever that is.
struct Leave {
    permit: Arc<Permit>,
    ended: Arc<AtomicBool>,
}

impl Leave {
    /// The connection takes no more requests.
    fn say(&self, reason: Close) {
        if !self.ended.swap(true, Ordering::AcqRel)
            && let Some(connections) = self.permit.connections.upgrade()
        {
            connections.change(|state, effects| state.book.hung_up(self.permit.id, reason, effects));
        }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.say(Close::ClosedByServer);
    }
}

/// Moves the bytes of one connection until it is closed, by either side.
async fn drive(driver: http1::Connection<TokioIo<Wire>, Upload>, closed: oneshot::Receiver<()>, leave: Leave) {
    // Said last, once the socket is closed.
    let _leave = leave;
    let mut driver = Box::pin(driver);
    tokio::select! {
        ended = driver.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
        }
        // Only ever dropped, never sent.
        _ = closed => {
            // hyper takes leave by itself, unless the peer does not take what is still to be written.
            let _late = timeout(LINGER, driver.as_mut()).await;
        }
    }
}

/// Moves the bytes of one HTTP/2 connection until it is closed, and says how much it may carry whenever that changes.
async fn drive_shared(mut sender: http2::Sender, driver: http2::Driver, closed: oneshot::Receiver<()>, leave: Leave) {
    let mut driver = Box::pin(driver);
    let mut known = None;
    let mut patience = Box::pin(sleep(PATIENCE));
    let moved = poll_fn(|cx| {
        let ended = driver.as_mut().poll(cx);
        let capacity = http2::capacity(&driver);
        if capacity != known
            && let (Some(streams), Some(connections)) = (capacity, leave.permit.connections.upgrade())
        {
            known = capacity;
            connections.capacity(leave.permit.id, streams);
        }
        if known.is_none()
            && !patience.is_elapsed()
            && patience.as_mut().poll(cx).is_ready()
            && let Some(connections) = leave.permit.connections.upgrade()
        {
            connections.change(|state, effects| state.book.late(leave.permit.id, effects));
        }
        // It finishes what it carries.
        match sender.poll_ready(cx) {
            Poll::Ready(Err(error)) if error.is_go_away() && error.is_remote() => leave.say(Close::GoAway),
            Poll::Ready(Err(_)) => leave.say(Close::ClosedByServer),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        ended
    });
    let told = tokio::select! {
        ended = moved => {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
            false
        }
        // Only ever dropped, never sent.
        _ = closed => true,
    };
    drop(sender);
    if told {
        // h2 says goodbye by itself once nobody can send on it.
        let _late = timeout(LINGER, driver.as_mut()).await;
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long hyper may take from the end of a body to being ready again. It takes one turn of its task.
const UNREADY: Duration = Duration::from_secs(1);

/// How long a shared connection may say nothing and still get requests, once one was given up, and how long the answer to a ping
/// may take then. A guest that gives up sooner may only have changed its mind.
const SILENCE: Duration = Duration::from_secs(1);

/// How long a connection that is not kept may take to say goodbye.
const LINGER: Duration = Duration::from_millis(250);

/// For how long others wait for what a connection turns out to be, rather than open their own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
