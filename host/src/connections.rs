//! Takes an idle connection or opens one, and gives it back when the body has ended. The effects around [`idle`].
//!
//! Whoever holds a value here holds what it stands for: a [`Permit`] a slot, a [`Lease`] a connection, and dropping one frees
//! it. Nothing that a connection owns keeps the pool alive, so dropping the last host closes the idle sockets.
//!
//! A little longer than a file should be: permit, lease, driver and sweep share the one lock, and are safe only together.
//!
//! [`idle`]: crate::idle

use crate::connect::Connector;
use crate::error::Failure;
use crate::idle::{Book, Effect, Id, Limits, Take, Ticket};
use crate::key::Key;
use crate::proxy::Forward;
use crate::route::Route;
use crate::stats::{Close, Stats};
use crate::upload::Upload;
use crate::wire::{READ_BUFFER, Traffic, Wire};
use futures::task::noop_waker_ref;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// All connections of a host.
pub(crate) struct Connections {
    connector: Connector,
    route: Route,
    acquire_timeout: Duration,
    state: Mutex<State>,
}

struct State {
    book: Book<Key, Connection>,
    waiters: HashMap<Ticket, oneshot::Sender<Handout>>,
    stats: Stats,
    sweeping: bool,
}

/// What a taker gets: a connection that has served before, or the right to open one.
pub(crate) enum Handout {
    Reuse(Lease),
    Open(Arc<Permit>),
}

impl Connections {
    pub(crate) fn new(connector: Connector, route: Route, limits: Limits, acquire_timeout: Duration) -> Self {
        let state =
            State { book: Book::new(limits), waiters: HashMap::new(), stats: Stats::default(), sweeping: false };
        Self { connector, route, acquire_timeout, state: Mutex::new(state) }
    }

    /// Waits for a connection to `key`, or for the right to open one.
    ///
    /// # Errors
    ///
    /// [`Failure::LimitReached`] when none came free within the acquire timeout.
    pub(crate) async fn take(self: &Arc<Self>, key: &Key) -> Result<Handout, Failure> {
        let (ticket, granted) = {
            let mut effects = Vec::new();
            let mut state = self.lock();
            let now = Instant::now().into_std();
            let taken = state.book.take(key, now, Connection::usable, &mut effects);
            let waiting = match taken {
                Take::Reuse(_, connection) => Err(Handout::Reuse(self.lease(connection))),
                Take::Open(id) => Err(Handout::Open(self.permit(id))),
                Take::Wait(ticket) => {
                    let (sender, receiver) = oneshot::channel();
                    state.waiters.insert(ticket, sender);
                    Ok((ticket, receiver))
                }
            };
            self.perform(state, effects);
            match waiting {
                Ok(waiting) => waiting,
                Err(handout) => return Ok(handout),
            }
        };
        // Declared before the wait, so that what was granted in the last moment is dropped, and thereby given back, first.
        let _place = Place { connections: self, ticket };
        match timeout(self.acquire_timeout, granted).await {
            Ok(Ok(handout)) => Ok(handout),
            // The sender is only dropped with all connections, which `self` keeps.
            Ok(Err(_)) | Err(_) => Err(Failure::LimitReached),
        }
    }

    /// Opens a connection in the slot of `permit`.
    ///
    /// # Errors
    ///
    /// Those of [`Connector::connect`].
    pub(crate) async fn open(
        self: &Arc<Self>,
        key: &Key,
        permit: Arc<Permit>,
        within: Duration,
    ) -> Result<Lease, Failure> {
        let wire = self.connector.connect(key, &self.route, self.route.versions, within).await?;
        let (traffic, forward) = (wire.traffic(), wire.forward().cloned());
        let handshake = http1::Builder::new().max_buf_size(READ_BUFFER).handshake(TokioIo::new(wire)).await;
        let (sender, driver) = handshake.map_err(|error| Failure::http(&error, false))?;
        let (open, closed) = oneshot::channel();
        let runtime = Handle::current();
        let _driving = runtime.spawn(drive(driver, closed, Arc::clone(&permit)));
        self.lock().stats.opened += 1;
        Ok(self.lease(Connection { sender, traffic, forward, permit, runtime, _open: open }))
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Stats)) {
        count(&mut self.lock().stats);
    }

    pub(crate) fn stats(&self) -> Stats {
        let state = self.lock();
        let mut stats = state.stats.clone();
        stats.idle = state.book.idle();
        stats.live = state.book.live();
        stats.waiting = state.book.waiting();
        stats
    }

    fn lease(self: &Arc<Self>, connection: Connection) -> Lease {
        Lease { connection: Some(connection), connections: Arc::downgrade(self), used: false }
    }

    fn permit(self: &Arc<Self>, id: Id) -> Arc<Permit> {
        Arc::new(Permit { connections: Arc::downgrade(self), id })
    }

    /// Changes the book and carries out what follows from it.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut State, &mut Vec<Effect<Connection>>)) {
        let mut effects = Vec::new();
        let mut state = self.lock();
        change(&mut state, &mut effects);
        self.perform(state, effects);
    }

    /// Carries out effects, after letting go of the lock: connections, permits and answers to nobody lock it when dropped.
    fn perform(self: &Arc<Self>, mut state: MutexGuard<'_, State>, effects: Vec<Effect<Connection>>) {
        let mut answers = Vec::new();
        let mut closed = Vec::new();
        for effect in effects {
            match effect {
                Effect::Reuse(ticket, _, connection) => {
                    answers.push((state.waiters.remove(&ticket), Handout::Reuse(self.lease(connection))));
                }
                Effect::Open(ticket, id) => {
                    answers.push((state.waiters.remove(&ticket), Handout::Open(self.permit(id))));
                }
                Effect::Close(connection, reason) => {
                    state.stats.closed(reason);
                    closed.push(connection);
                }
            }
        }
        drop(state);
        drop(closed);
        for (waiter, handout) in answers {
            if let Some(waiter) = waiter {
                let _unwanted = waiter.send(handout);
            }
        }
    }

    /// Closes idle connections in time, for as long as there are any.
    fn sweep(self: &Arc<Self>, runtime: &Handle) {
        let sweep = Sweep(Arc::downgrade(self));
        let _sweeping = runtime.spawn(async move {
            while let Some(next) = sweep.once() {
                tokio::time::sleep_until(next).await;
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, left by dropping it.
struct Place<'a> {
    connections: &'a Arc<Connections>,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.connections.change(|state, effects| {
            state.waiters.remove(&self.ticket);
            state.book.cancel(self.ticket, effects);
        });
    }
}

/// The task that closes idle connections; another takes over if its runtime goes away.
struct Sweep(Weak<Connections>);

impl Sweep {
    /// Closes what is due. Returns when to come again.
    fn once(&self) -> Option<Instant> {
        let connections = self.0.upgrade()?;
        let mut next = None;
        connections.change(|state, effects| {
            next = state.book.expire(Instant::now().into_std(), effects);
            state.sweeping = next.is_some();
        });
        next.map(Instant::from_std)
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        if let Some(connections) = self.0.upgrade() {
            let mut state = connections.lock();
            // Ended by itself, another sweep may be under way already; two of them do no harm.
            state.sweeping = false;
        }
    }
}

/// A slot: the right to one live connection. Shared by the connection's user and its driver; the last one frees it, so that
/// a slot is free only when its socket is closed.
pub(crate) struct Permit {
    connections: Weak<Connections>,
    id: Id,
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(connections) = self.connections.upgrade() {
            connections.change(|state, effects| state.book.freed(self.id, effects));
        }
    }
}

/// An open connection.
pub(crate) struct Connection {
    sender: SendRequest<Upload>,
    traffic: Arc<Traffic>,
    forward: Option<Arc<Forward>>,
    permit: Arc<Permit>,
    /// Where its driver runs, and so everything else that is done about it.
    runtime: Handle,
    /// Dropped with the connection, which tells the driver to end.
    _open: oneshot::Sender<()>,
}

impl Connection {
    fn usable(&self) -> bool {
        self.sender.is_ready() && !self.sender.is_closed() && !self.traffic.deaf()
    }
}

/// A connection in use. Dropping it closes the connection, or gives it back when it was never used.
pub(crate) struct Lease {
    connection: Option<Connection>,
    connections: Weak<Connections>,
    used: bool,
}

impl Lease {
    /// The connection, to send a request on.
    pub(crate) fn sender(&mut self) -> Option<&mut SendRequest<Upload>> {
        self.used = true;
        self.connection.as_mut().map(|connection| &mut connection.sender)
    }

    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        self.connection.as_ref().map(|connection| Arc::clone(&connection.traffic)).unwrap_or_default()
    }

    /// What the proxy has to be told that each request is given to, if one is.
    pub(crate) fn forward(&self) -> Option<&Forward> {
        self.connection.as_ref().and_then(|connection| connection.forward.as_deref())
    }

    /// Where to do what is left to do about the connection.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        self.connection.as_ref().map(|connection| connection.runtime.clone())
    }

    /// Closes the connection.
    pub(crate) fn close(mut self, reason: Close) {
        self.end(reason);
    }

    /// Closes a dead connection and keeps its slot, to open another one in.
    pub(crate) fn replace(mut self) -> Option<Arc<Permit>> {
        let connection = self.connection.take()?;
        if let Some(connections) = self.connections.upgrade() {
            connections.count(|stats| stats.closed(Close::Stale));
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

    /// Gives the connection back, as soon as hyper is ready for another request. Its body has ended.
    pub(crate) fn give_back(mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        match connection.sender.poll_ready(&mut Context::from_waker(noop_waker_ref())) {
            Poll::Ready(Ok(())) => self.keep(),
            Poll::Ready(Err(_)) => self.close(Close::Unready),
            Poll::Pending => {
                self.returning();
                let Some(runtime) = self.runtime() else {
                    return;
                };
                let _returning = runtime.spawn(async move {
                    let Some(connection) = &mut self.connection else {
                        return;
                    };
                    match timeout(UNREADY, connection.sender.ready()).await {
                        Ok(Ok(())) => self.keep(),
                        Ok(Err(_)) | Err(_) => self.close(Close::Unready),
                    }
                });
            }
        }
    }

    fn keep(mut self) {
        let (Some(connections), Some(connection)) = (self.connections.upgrade(), self.connection.take()) else {
            return;
        };
        let (id, runtime) = (connection.permit.id, connection.runtime.clone());
        let mut sweeping = true;
        let mut dead = None;
        connections.change(|state, effects| {
            // Under the lock, under which the driver of a connection that ends looks for it among the idle ones.
            if connection.usable() {
                state.book.put_back(id, connection, Instant::now().into_std(), effects);
                sweeping = std::mem::replace(&mut state.sweeping, true);
            } else {
                state.stats.closed(Close::Unready);
                state.book.closing(id, effects);
                dead = Some(connection);
            }
        });
        drop(dead);
        if !sweeping {
            connections.sweep(&runtime);
        }
    }

    fn note(&self, note: impl FnOnce(&mut State, Id, &mut Vec<Effect<Connection>>)) {
        if let (Some(connections), Some(connection)) = (self.connections.upgrade(), &self.connection) {
            connections.change(|state, effects| note(state, connection.permit.id, effects));
        }
    }

    fn end(&mut self, reason: Close) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if let Some(connections) = self.connections.upgrade() {
            connections.change(|state, effects| {
                state.stats.closed(reason);
                state.book.closing(connection.permit.id, effects);
            });
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.used || self.connection.as_ref().is_none_or(|connection| !connection.usable()) {
            self.end(Close::Cancelled);
        } else {
            Lease { connection: self.connection.take(), connections: self.connections.clone(), used: true }.keep();
        }
    }
}

/// Moves the bytes of one connection until it is closed, by either side.
async fn drive(driver: http1::Connection<TokioIo<Wire>, Upload>, closed: oneshot::Receiver<()>, permit: Arc<Permit>) {
    let mut driver = Box::pin(driver);
    let told = async {
        // Only ever dropped, never sent.
        let _dropped = closed.await;
    };
    tokio::select! {
        ended = driver.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
        }
        () = told => {
            // hyper takes leave by itself, unless the peer does not take what is still to be written.
            let _late = timeout(LINGER, driver.as_mut()).await;
        }
    }
    drop(driver);
    if let Some(connections) = permit.connections.upgrade() {
        connections.change(|state, effects| state.book.hung_up(permit.id, effects));
    }
}

/// How long hyper may take from the end of a body to being ready again. It takes one turn of its task.
const UNREADY: Duration = Duration::from_secs(1);

/// How long a connection that is not kept may take to say goodbye.
const LINGER: Duration = Duration::from_millis(250);
