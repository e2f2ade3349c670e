//! Takes an open connection or opens one, and gives it back when the body has ended. The effects around [`idle`].
//!
//! A little longer than a file should be: queue, openings and sweep share the one lock, and are safe only together.
//!
//! [`idle`]: crate::idle

use crate::connect::Connector;
use crate::error::Failure;
use crate::events::Events;
use crate::idle::{Book, Effect, Hint, Limits, Opened, Place, Take, Ticket};
use crate::key::Key;
use crate::lease::{Connection, Lease, PATIENCE, Permit};
use crate::stats::{Close, Stats};
use http::Version;
use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// All connections of a host.
pub(crate) struct Connections {
    connector: Connector,
    acquire_timeout: Duration,
    max_age: Option<Duration>,
    events: Events,
    state: Mutex<State>,
    /// Wakes the sweep before its time.
    sooner: Arc<Notify>,
}

pub(crate) struct State {
    pub(crate) book: Book<Key, Arc<Connection>>,
    pub(crate) stats: Stats,
    waiters: HashMap<Ticket, oneshot::Sender<Handout>>,
    /// Places that have asked for HTTP/1.1.
    plain: HashSet<Key>,
    /// When idle connections are looked at next. None: nobody will look.
    sweep: Option<Instant>,
}

pub(crate) type Effects = Vec<Effect<Arc<Connection>>>;

/// What a taker gets: a connection that has served before, or the right to open one.
enum Handout {
    Reuse(Lease),
    Open(Arc<Permit>),
}

impl Connections {
    pub(crate) fn new(
        connector: Connector,
        limits: Limits,
        acquire_timeout: Duration,
        max_age: Option<Duration>,
        events: Events,
    ) -> Self {
        let state = State {
            book: Book::new(limits),
            stats: Stats::default(),
            waiters: HashMap::new(),
            plain: HashSet::new(),
            sweep: None,
        };
        Self { connector, acquire_timeout, max_age, events, state: Mutex::new(state), sooner: Arc::default() }
    }

    /// The key with what is known of its server.
    pub(crate) fn known(&self, mut key: Key) -> Key {
        key.http1 = key.may_share() && self.lock().plain.contains(&key);
        key
    }

    /// Keeps in mind that the server of `key` wants HTTP/1.1.
    pub(crate) fn learn(&self, key: &Key) {
        let mut state = self.lock();
        if state.plain.len() >= REMEMBERED {
            state.plain.clear();
        }
        state.plain.insert(key.clone());
    }

    /// For how long a request waits for what limits hold back.
    pub(crate) fn acquire_timeout(&self) -> Duration {
        self.acquire_timeout
    }

    /// A connection to `key` for one request, and whether it was open already. One that is opened has `within` for it.
    ///
    /// # Errors
    ///
    /// [`Failure::LimitReached`] when none came free within the acquire timeout, and those of [`Connector::connect`].
    pub(crate) async fn acquire(self: &Arc<Self>, key: &Key, within: Duration) -> Result<(Lease, bool), Failure> {
        // What is rare is on the heap, so that those that need no more than an idle connection do not carry room for it about.
        let handout = match self.take(key) {
            Ok(handout) => handout,
            Err((ticket, granted)) => Box::pin(self.wait(key, ticket, granted)).await?,
        };
        match handout {
            Handout::Reuse(lease) => Ok((lease, true)),
            Handout::Open(permit) => Ok((Box::pin(self.open(key, permit, within)).await?, false)),
        }
    }

    /// Opens a connection for a request in the slot of `permit`.
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
        let connection = self.establish(key, permit, within).await?;
        let lease = Lease::new(Arc::clone(&connection), Arc::downgrade(self));
        self.enter(connection, true);
        Ok(lease)
    }

    /// Opens up to `count` connections ahead of requests, as far as the limits let it, and returns how many.
    ///
    /// # Errors
    ///
    /// Those of [`Connector::connect`], of the first that fails.
    pub(crate) async fn warm(self: &Arc<Self>, key: &Key, count: usize, within: Duration) -> Result<usize, Failure> {
        let mut reserved = Vec::new();
        self.change(|state, _| {
            reserved.extend(std::iter::from_fn(|| state.book.reserve(key)).take(count));
        });
        let permits: Vec<_> = reserved.into_iter().map(|id| Arc::new(Permit::new(Arc::downgrade(self), id))).collect();
        let opened = permits.len();
        futures::future::try_join_all(permits.into_iter().map(async |permit| {
            let connection = self.establish(key, permit, within).await?;
            self.enter(connection, false);
            Ok(())
        }))
        .await?;
        Ok(opened)
    }

    /// The request of this lease's connection has ended, and the connection can serve others.
    pub(crate) fn keep(self: &Arc<Self>, connection: &Arc<Connection>, hint: Hint) {
        let mut begin = false;
        self.change(|state, effects| {
            // Under the lock, under which the driver of a connection that ends looks for it among the idle ones.
            if connection.shared() || connection.usable() {
                state.book.release(connection.id(), hint, Instant::now().into_std(), effects);
            } else {
                state.book.discard(connection.id(), Close::Unready, effects);
            }
            begin = self.watch(state);
        });
        if begin {
            self.sweep(connection.runtime());
        }
    }

    /// A shared connection may carry this many requests at once.
    pub(crate) fn capacity(self: &Arc<Self>, id: u64, streams: usize) {
        self.change(|state, effects| state.book.capacity(id, streams, Instant::now().into_std(), effects));
    }

    /// The peer of a connection that was in doubt is there.
    pub(crate) fn trust(self: &Arc<Self>, id: u64) {
        self.change(|state, effects| state.book.trust(id, Instant::now().into_std(), effects));
    }

    /// Changes the book and carries out what follows from it.
    pub(crate) fn change(self: &Arc<Self>, change: impl FnOnce(&mut State, &mut Effects)) {
        let mut effects = Vec::new();
        let mut state = self.lock();
        change(&mut state, &mut effects);
        self.perform(state, effects);
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Stats)) {
        count(&mut self.lock().stats);
    }

    /// Tells and counts that a request has waited since then, for something or in vain.
    pub(crate) fn waited(&self, key: &Key, since: Instant, granted: bool) {
        let time = since.elapsed();
        self.events.waited(key, time, granted);
        self.count(|stats| {
            stats.waited += 1;
            stats.wait_time += time;
        });
    }

    pub(crate) fn stats(&self) -> Stats {
        let state = self.lock();
        let mut stats = state.stats.clone();
        stats.idle = state.book.idle();
        stats.live = state.book.live();
        // Beside those who wait for the quota of their guest.
        stats.waiting += state.book.waiting();
        stats.bytes_read = self.connector.totals.read();
        stats.bytes_written = self.connector.totals.written();
        stats
    }

    /// A connection that is idle, the right to open one, or a place in the queue for either.
    fn take(self: &Arc<Self>, key: &Key) -> Result<Handout, (Ticket, oneshot::Receiver<Handout>)> {
        let mut effects = Vec::new();
        let mut state = self.lock();
        let now = Instant::now().into_std();
        let taken = match state.book.take(key, now, |connection| connection.usable(), &mut effects) {
            Take::Reuse(_, connection) => {
                state.stats.reused += 1;
                Ok(Handout::Reuse(Lease::new(connection, Arc::downgrade(self))))
            }
            Take::Open(id) => Ok(Handout::Open(Arc::new(Permit::new(Arc::downgrade(self), id)))),
            Take::Wait(ticket) => {
                let (sender, receiver) = oneshot::channel();
                state.waiters.insert(ticket, sender);
                Err((ticket, receiver))
            }
        };
        self.perform(state, effects);
        if let Ok(Handout::Reuse(_)) = taken {
            self.events.reused(key);
        }
        taken
    }

    async fn wait(
        self: &Arc<Self>,
        key: &Key,
        ticket: Ticket,
        granted: oneshot::Receiver<Handout>,
    ) -> Result<Handout, Failure> {
        // Declared before the wait, so that what was granted in the last moment is dropped, and thereby given back, first.
        let mut place = Queued { connections: self, key, ticket, since: Instant::now(), granted: false };
        match timeout(self.acquire_timeout, granted).await {
            Ok(Ok(handout)) => {
                place.granted = true;
                Ok(handout)
            }
            // The sender is only dropped with all connections, which `self` keeps.
            Ok(Err(_)) | Err(_) => {
                let mut id = None;
                self.change(|state, _| id = state.book.insist(key, ticket));
                // Its time was for waiting at limits; without one in the way it is opened for.
                let id = id.ok_or(Failure::LimitReached)?;
                place.granted = true;
                Ok(Handout::Open(Arc::new(Permit::new(Arc::downgrade(self), id))))
            }
        }
    }

    async fn establish(
        self: &Arc<Self>,
        key: &Key,
        permit: Arc<Permit>,
        within: Duration,
    ) -> Result<Arc<Connection>, Failure> {
        let since = Instant::now();
        let connection = self.try_establish(key, permit, within).await;
        match &connection {
            Ok(connection) => self.events.opened(key, connection.version(), since.elapsed()),
            Err(_) => self.events.not_opened(key, since.elapsed()),
        }
        connection
    }

    async fn try_establish(
        self: &Arc<Self>,
        key: &Key,
        permit: Arc<Permit>,
        within: Duration,
    ) -> Result<Arc<Connection>, Failure> {
        let mut connecting = pin!(self.connector.connect(key, within));
        let wire = if key.may_share() {
            tokio::select! {
                biased;
                wire = connecting.as_mut() => wire,
                () = sleep(PATIENCE) => {
                    self.change(|state, effects| state.book.late(permit.id(), effects));
                    connecting.await
                }
            }
        } else {
            connecting.await
        }?;
        let connection = if wire.version() == Version::HTTP_2 {
            Connection::http2(wire, key.clone(), permit).await.map_err(|error| Failure::http2(&error, false))?
        } else {
            let connection = Connection::http1(wire, key.clone(), permit).await;
            connection.map_err(|error| Failure::http(&error, false))?
        };
        Ok(Arc::new(connection))
    }

    /// Enters an open connection into the book.
    fn enter(self: &Arc<Self>, connection: Arc<Connection>, used: bool) {
        let (id, shared) = (connection.id(), connection.shared());
        let entered = Arc::clone(&connection);
        let mut begin = false;
        self.change(|state, effects| {
            let now = Instant::now().into_std();
            let until = self.max_age.and_then(|age| now.checked_add(aged(age, id)));
            state.stats.opened += 1;
            state.stats.opened_h1 += u64::from(!shared);
            state.stats.opened_h2 += u64::from(shared);
            state.book.opened(id, Opened { connection, shared, used, until }, now, effects);
            begin = self.watch(state);
        });
        entered.start();
        if begin {
            self.sweep(entered.runtime());
        }
    }

    /// Carries out effects, after letting go of the lock: connections, permits and answers to nobody lock it when dropped.
    fn perform(self: &Arc<Self>, mut state: MutexGuard<'_, State>, effects: Effects) {
        if effects.is_empty() {
            return;
        }
        let mut answers = Vec::new();
        let mut closed = Vec::new();
        for effect in effects {
            match effect {
                Effect::Reuse(ticket, _, connection) => {
                    state.stats.reused += 1;
                    let handout = Handout::Reuse(Lease::new(connection, Arc::downgrade(self)));
                    answers.push((state.waiters.remove(&ticket), handout));
                }
                Effect::Open(ticket, id) => {
                    let handout = Handout::Open(Arc::new(Permit::new(Arc::downgrade(self), id)));
                    answers.push((state.waiters.remove(&ticket), handout));
                }
                Effect::Close(connection, reason) => {
                    state.stats.closed(reason);
                    closed.push((connection, reason));
                }
            }
        }
        drop(state);
        for (connection, reason) in closed {
            self.events.closed(connection.key(), reason);
        }
        for (waiter, handout) in answers {
            if let Handout::Reuse(lease) = &handout {
                lease.tell(&self.events);
            }
            if let Some(waiter) = waiter {
                let _unwanted = waiter.send(handout);
            }
        }
    }

    /// Sees to it that idle connections are closed in time. True when a sweep has to be begun for that.
    fn watch(&self, state: &mut State) -> bool {
        let Some(due) = state.book.due().map(Instant::from_std) else {
            return false;
        };
        match state.sweep {
            None => {
                state.sweep = Some(due);
                true
            }
            Some(next) => {
                if due < next {
                    state.sweep = Some(due);
                    self.sooner.notify_one();
                }
                false
            }
        }
    }

    /// Closes idle connections in time, for as long as there are any.
    fn sweep(self: &Arc<Self>, runtime: &Handle) {
        let (sweep, sooner) = (Sweep(Arc::downgrade(self)), Arc::clone(&self.sooner));
        let _sweeping = runtime.spawn(async move {
            while let Some(next) = sweep.once() {
                let _woken = timeout_at(next, sooner.notified()).await;
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, left by dropping it.
struct Queued<'a> {
    connections: &'a Arc<Connections>,
    key: &'a Key,
    ticket: Ticket,
    since: Instant,
    granted: bool,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.connections.waited(self.key, self.since, self.granted);
        self.connections.change(|state, effects| {
            state.waiters.remove(&self.ticket);
            state.book.cancel(self.key, self.ticket, effects);
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
            next = state.book.expire(Instant::now().into_std(), effects).map(Instant::from_std);
            state.sweep = next;
        });
        next
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        if let Some(connections) = self.0.upgrade() {
            let mut state = connections.lock();
            // Ended by itself, another sweep may be under way already; two of them do no harm.
            state.sweep = None;
        }
    }
}

/// How old one connection may become: less than others by up to a tenth, so that those opened together do not all end
/// together.
fn aged(age: Duration, id: u64) -> Duration {
    let share = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), id) % 1_000;
    age - age / 10_000 * u32::try_from(share).unwrap_or(0)
}

/// How many servers that want HTTP/1.1 are kept in mind. Forgetting one costs a request that is sent again.
const REMEMBERED: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_moment_reach_their_age_at_several() {
        let age = Duration::from_secs(100);
        let ages: HashSet<Duration> = (0..1_000).map(|id| aged(age, id)).collect();
        assert!(ages.iter().all(|aged| *aged <= age && *aged > age.mul_f64(0.9)), "{ages:?}");
        // Of a thousand places hardly any is drawn ten times.
        assert!(ages.len() > 100, "{}", ages.len());
        for age in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            assert!(aged(age, 7) <= age);
        }
    }
}
