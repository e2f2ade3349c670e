//! Which connection serves which request: limits, order of waiting, least recently used, ages.
//!
//! Pure: connections are a type parameter, keys too, and time is an argument. A *slot* is the right to one live connection;
//! it is taken before a connection is opened and freed when its socket is closed, so the limits hold for sockets, not for
//! intentions.

use crate::stats::Close;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// A slot, and the connection in it.
pub(crate) type Id = u64;

/// A place in the queue. Lower is older.
pub(crate) type Ticket = u64;

/// How many connections there may be, and for how long they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) per_origin: usize,
    pub(crate) total: usize,
    pub(crate) idle_per_origin: usize,
    pub(crate) idle_timeout: Duration,
}

/// What whoever asks for a connection gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Take<C> {
    /// This one, which was idle.
    Reuse(Id, C),
    /// A slot, to open one in.
    Open(Id),
    /// A place in the queue; an [`Effect`] will answer it.
    Wait(Ticket),
}

/// What a change led to, for the caller to carry out once it has let go of the book.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect<C> {
    /// The holder of this ticket gets this connection.
    Reuse(Ticket, Id, C),
    /// The holder of this ticket gets a slot.
    Open(Ticket, Id),
    /// This connection is to be closed. Its slot is freed once that is done.
    Close(C, Close),
}

/// All slots, idle connections and waiters.
#[derive(Debug)]
pub(crate) struct Book<K, C> {
    limits: Limits,
    slots: HashMap<Id, Slot<K>>,
    origins: HashMap<K, Origin<C>>,
    queue: BTreeMap<Ticket, K>,
    closing: usize,
    next: u64,
}

#[derive(Debug)]
struct Slot<K> {
    key: K,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Being opened, or serving a request.
    Busy,
    /// Its response has ended; it is about to be idle.
    Returning,
    Idle,
    /// Its socket is about to be closed.
    Closing,
}

#[derive(Debug)]
struct Origin<C> {
    live: usize,
    returning: usize,
    /// Oldest first.
    idle: Vec<Idle<C>>,
    /// Oldest first.
    waiters: VecDeque<Ticket>,
}

#[derive(Debug)]
struct Idle<C> {
    id: Id,
    since: Instant,
    connection: C,
}

impl<K: Clone + Eq + Hash, C> Book<K, C> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, slots: HashMap::new(), origins: HashMap::new(), queue: BTreeMap::new(), closing: 0, next: 0 }
    }

    /// Asks for a connection to `key`.
    ///
    /// The newest idle connection that is still `usable` comes first, then one that is about to be returned, then a new
    /// one: so that requests one after another use one connection.
    pub(crate) fn take(
        &mut self,
        key: &K,
        now: Instant,
        usable: impl Fn(&C) -> bool,
        effects: &mut Vec<Effect<C>>,
    ) -> Take<C> {
        let timeout = self.limits.idle_timeout;
        let origin = self.origins.entry(key.clone()).or_insert_with(Origin::new);
        let mut found = None;
        while let Some(idle) = origin.idle.pop() {
            let reason = if now.saturating_duration_since(idle.since) >= timeout {
                Close::IdleTimeout
            } else if usable(&idle.connection) {
                found = Some(idle);
                break;
            } else {
                Close::ClosedByServer
            };
            if let Some(slot) = self.slots.get_mut(&idle.id) {
                slot.phase = Phase::Closing;
                self.closing += 1;
            }
            effects.push(Effect::Close(idle.connection, reason));
        }
        if let Some(idle) = found {
            self.enter(idle.id, Phase::Busy);
            return Take::Reuse(idle.id, idle.connection);
        }
        let returns = origin.waiters.len() < origin.returning;
        if !returns && origin.live < self.limits.per_origin && self.slots.len() < self.limits.total {
            return Take::Open(self.open(key));
        }
        let ticket = self.next();
        self.origins.entry(key.clone()).or_insert_with(Origin::new).waiters.push_back(ticket);
        self.queue.insert(ticket, key.clone());
        self.settle(effects);
        // The queue may have moved at once, where a slot was free but older waiters came first.
        Take::Wait(ticket)
    }

    /// A response has ended on this connection: whoever wants one should wait for it.
    pub(crate) fn returning(&mut self, id: Id) {
        self.enter(id, Phase::Returning);
    }

    /// It takes longer than thought: nobody needs to wait for it any more.
    pub(crate) fn late(&mut self, id: Id, effects: &mut Vec<Effect<C>>) {
        self.enter(id, Phase::Busy);
        self.settle(effects);
    }

    /// This connection can serve another request.
    pub(crate) fn put_back(&mut self, id: Id, connection: C, now: Instant, effects: &mut Vec<Effect<C>>) {
        let Some(key) = self.slots.get(&id).map(|slot| slot.key.clone()) else {
            return;
        };
        self.enter(id, Phase::Busy);
        let front = self.origins.get(&key).and_then(|origin| origin.waiters.front().copied());
        if let Some(ticket) = front {
            if self.starved_before(ticket) {
                // First come, first served among origins too: the older waiter gets the slot.
                self.enter(id, Phase::Closing);
                effects.push(Effect::Close(connection, Close::Evicted));
            } else {
                self.leave_queue(ticket);
                effects.push(Effect::Reuse(ticket, id, connection));
            }
            return;
        }
        let origin = self.origins.entry(key).or_insert_with(Origin::new);
        if origin.idle.len() >= self.limits.idle_per_origin {
            self.enter(id, Phase::Closing);
            effects.push(Effect::Close(connection, Close::IdleLimit));
            return;
        }
        origin.idle.push(Idle { id, since: now, connection });
        self.enter(id, Phase::Idle);
        self.settle(effects);
    }

    /// This connection is not kept; its slot is freed when its socket is closed.
    pub(crate) fn closing(&mut self, id: Id, effects: &mut Vec<Effect<C>>) {
        self.enter(id, Phase::Closing);
        // Somebody may have waited for its return.
        self.settle(effects);
    }

    /// The socket is closed, or was never opened.
    pub(crate) fn freed(&mut self, id: Id, effects: &mut Vec<Effect<C>>) {
        self.enter(id, Phase::Busy);
        let Some(slot) = self.slots.remove(&id) else {
            return;
        };
        if let Some(origin) = self.origins.get_mut(&slot.key) {
            origin.live -= 1;
        }
        self.forget(&slot.key);
        self.settle(effects);
    }

    /// The server closed this connection. Says so only of an idle one; others notice by themselves.
    pub(crate) fn hung_up(&mut self, id: Id, effects: &mut Vec<Effect<C>>) {
        let Some(slot) = self.slots.get(&id) else {
            return;
        };
        let Some(origin) = self.origins.get_mut(&slot.key) else {
            return;
        };
        if let Some(position) = origin.idle.iter().position(|idle| idle.id == id) {
            let idle = origin.idle.remove(position);
            self.enter(id, Phase::Closing);
            effects.push(Effect::Close(idle.connection, Close::ClosedByServer));
        }
    }

    /// The holder of this ticket waits no longer.
    pub(crate) fn cancel(&mut self, ticket: Ticket, effects: &mut Vec<Effect<C>>) {
        if let Some(key) = self.leave_queue(ticket) {
            self.forget(&key);
            // Those behind may no longer be covered by a returning connection that was meant for this one, or may be now.
            self.settle(effects);
        }
    }

    /// Closes what was idle for too long. Returns when to look again, unless nothing is idle.
    pub(crate) fn expire(&mut self, now: Instant, effects: &mut Vec<Effect<C>>) -> Option<Instant> {
        let timeout = self.limits.idle_timeout;
        let mut expired = Vec::new();
        let mut oldest: Option<Instant> = None;
        for origin in self.origins.values_mut() {
            let old =
                origin.idle.iter().take_while(|idle| now.saturating_duration_since(idle.since) >= timeout).count();
            for idle in origin.idle.drain(..old) {
                expired.push(idle.id);
                effects.push(Effect::Close(idle.connection, Close::IdleTimeout));
            }
            if let Some(first) = origin.idle.first() {
                oldest = Some(oldest.map_or(first.since, |other| other.min(first.since)));
            }
        }
        for id in expired {
            self.enter(id, Phase::Closing);
        }
        // A timeout beyond the end of time is looked at again in a day, which changes nothing.
        oldest.map(|since| since.checked_add(timeout).unwrap_or(now + Duration::from_secs(86_400)))
    }

    /// Connections that are open or being opened, without those whose closing is decided.
    pub(crate) fn live(&self) -> usize {
        self.slots.len() - self.closing
    }

    /// Connections without a request.
    pub(crate) fn idle(&self) -> usize {
        self.origins.values().map(|origin| origin.idle.len()).sum()
    }

    /// Requests without a connection.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Serves whoever in the queue can be served, oldest first, and makes room for the others where that is possible.
    fn settle(&mut self, effects: &mut Vec<Effect<C>>) {
        if self.queue.is_empty() {
            return;
        }
        let mut closing = self.closing;
        let mut covered: HashMap<K, usize> = HashMap::new();
        let queue: Vec<_> = self.queue.iter().map(|(ticket, key)| (*ticket, key.clone())).collect();
        for (ticket, key) in queue {
            let Some(origin) = self.origins.get(&key) else {
                continue;
            };
            let seen = covered.entry(key.clone()).or_default();
            if *seen < origin.returning {
                *seen += 1;
                continue;
            }
            if origin.live >= self.limits.per_origin {
                continue;
            }
            if self.slots.len() < self.limits.total {
                self.leave_queue(ticket);
                let id = self.open(&key);
                effects.push(Effect::Open(ticket, id));
            } else if closing > 0 {
                closing -= 1;
            } else if let Some(connection) = self.evict() {
                effects.push(Effect::Close(connection, Close::Evicted));
            } else {
                // Nothing is free and nothing can be made free for those behind either.
                return;
            }
        }
    }

    /// Takes the idle connection out that was used least recently.
    ///
    /// It never belongs to the origin of whoever asks: that origin would have been served with it.
    fn evict(&mut self) -> Option<C> {
        let oldest = self
            .origins
            .values_mut()
            .filter(|origin| !origin.idle.is_empty())
            .min_by_key(|origin| origin.idle[0].since)?;
        let idle = oldest.idle.remove(0);
        self.enter(idle.id, Phase::Closing);
        Some(idle.connection)
    }

    /// Whether a waiter older than `ticket` lacks nothing but a slot that no closing connection will free.
    fn starved_before(&self, ticket: Ticket) -> bool {
        let starved = self.queue.range(..ticket).filter(|(_, key)| {
            self.origins.get(*key).is_some_and(|origin| origin.live < self.limits.per_origin && origin.returning == 0)
        });
        self.slots.len() >= self.limits.total && starved.count() > self.closing
    }

    fn open(&mut self, key: &K) -> Id {
        let id = self.next();
        self.slots.insert(id, Slot { key: key.clone(), phase: Phase::Busy });
        self.origins.entry(key.clone()).or_insert_with(Origin::new).live += 1;
        id
    }

    /// The one place where a phase changes, so that the counts stay true.
    fn enter(&mut self, id: Id, phase: Phase) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut slot.phase, phase);
        self.closing -= usize::from(before == Phase::Closing);
        self.closing += usize::from(phase == Phase::Closing);
        if let Some(origin) = self.origins.get_mut(&slot.key) {
            origin.returning -= usize::from(before == Phase::Returning);
            origin.returning += usize::from(phase == Phase::Returning);
        }
    }

    fn leave_queue(&mut self, ticket: Ticket) -> Option<K> {
        let key = self.queue.remove(&ticket)?;
        if let Some(origin) = self.origins.get_mut(&key) {
            origin.waiters.retain(|other| *other != ticket);
        }
        Some(key)
    }

    /// Drops an origin that nothing refers to, so that a guest which walks over many leaves none behind.
    fn forget(&mut self, key: &K) {
        if self.origins.get(key).is_some_and(|origin| origin.live == 0 && origin.waiters.is_empty()) {
            self.origins.remove(key);
        }
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl<C> Origin<C> {
    fn new() -> Self {
        Self { live: 0, returning: 0, idle: Vec::new(), waiters: VecDeque::new() }
    }
}

#[cfg(test)]
mod tests;
