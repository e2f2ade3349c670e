//! Which connection serves which request: limits, order of waiting, least recently used, ages.
//!
//! Pure: connections are a type parameter, keys too, and time is an argument. A *slot* is the right to one live connection;
//! it is taken before a connection is opened and freed when its socket is closed, so the limits hold for sockets, not for
//! intentions. A connection carries one request at a time, or, shared, as many as its peer allows.
//!
//! No call looks at all connections, origins or waiters: each costs a logarithm of them, and what a list of the connections
//! of one origin that have room costs to search.
//!
//! Longer than a file should be: limits, waiting and ages decide over the same slots, and no order of two of them is free.

use crate::stats::Close;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};
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
    /// How many requests one connection serves.
    pub(crate) uses: u64,
}

/// What whoever asks for a connection gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Take<C> {
    /// This one, which is open.
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

/// A connection that was just opened.
#[derive(Debug)]
pub(crate) struct Opened<C> {
    pub(crate) connection: C,
    /// Whether it may carry several requests at once. How many, [`Book::capacity`] says later; until then it is one.
    pub(crate) shared: bool,
    /// Whether it was opened for a request, which it now carries.
    pub(crate) used: bool,
    /// When it is too old to be kept.
    pub(crate) until: Option<Instant>,
}

/// What the end of a response says about keeping its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hint {
    /// For how long the server promises to keep it. None: it did not say.
    pub(crate) timeout: Option<Duration>,
    /// How many more requests the server takes on it. None: it did not say.
    pub(crate) more: Option<u64>,
}

/// Where connections lead. Equal places may use the same ones.
pub(crate) trait Place: Clone + Eq + Hash {
    /// Whether a connection to it may turn out to be shared.
    fn may_share(&self) -> bool;
}

/// All slots, connections and waiters.
#[derive(Debug)]
pub(crate) struct Book<K, C> {
    limits: Limits,
    slots: HashMap<Id, Slot<K, C>, BuildHasherDefault<Serial>>,
    origins: HashMap<K, Origin>,
    /// Idle connections, the least recently used first.
    idle: BTreeSet<(u64, Id)>,
    /// Idle connections, in the order in which they are to be closed.
    due: BTreeSet<(Instant, Id)>,
    /// Of each origin that lacks nothing but a slot, the oldest waiter that a new connection would be for.
    starved: BTreeMap<Ticket, K>,
    /// How many more connections would be opened if there were slots.
    lack: usize,
    waiting: usize,
    closing: usize,
    next: u64,
}

#[derive(Debug)]
struct Slot<K, C> {
    key: K,
    cover: Cover,
    phase: Phase<C>,
}

#[derive(Debug)]
enum Phase<C> {
    Opening,
    Open(Open<C>),
    /// Its socket is about to be closed.
    Closing,
}

/// For how many waiters of its origin a slot is likely to be of use in a moment, so that they need no connection of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cover {
    None,
    /// Its response has ended; it is about to be idle.
    One,
    /// It may turn out to be shared, or its peer has not said by how many.
    All,
}

#[derive(Debug)]
struct Open<C> {
    connection: C,
    shared: bool,
    /// How many requests it carries.
    streams: usize,
    /// How many it may carry.
    capacity: usize,
    /// How many more it may ever carry, and whether the server said so.
    more: u64,
    told: bool,
    until: Option<Instant>,
    /// For how long the server keeps it idle.
    promised: Option<Duration>,
    /// Since when it is idle, in the order of all, and when to close it and why.
    rest: Option<(u64, Instant, Close)>,
    /// Whether it gets no more requests until its peer is known to be there.
    doubted: bool,
    /// Why it gets no more requests; it is closed with the end of those it has.
    retired: Option<Close>,
}

#[derive(Debug)]
struct Origin {
    live: usize,
    idle: usize,
    /// Slots that cover one waiter, and such that cover all.
    returning: usize,
    promising: usize,
    /// Whether connections to it may turn out to be shared, as far as is known.
    sharing: bool,
    /// Connections that could carry one more request, the best last: lately used, and rather full than idle.
    free: Vec<Id>,
    waiters: BTreeSet<Ticket>,
    /// Its entry in the book's `starved`, and its part of `lack`.
    starving: Option<Ticket>,
    lack: usize,
}

impl<K: Place, C: Clone> Book<K, C> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: HashMap::default(),
            origins: HashMap::new(),
            idle: BTreeSet::new(),
            due: BTreeSet::new(),
            starved: BTreeMap::new(),
            lack: 0,
            waiting: 0,
            closing: 0,
            next: 0,
        }
    }

    /// Asks for a connection to `key`.
    ///
    /// An open connection that is still `usable` comes first, then one that is about to be, then a new one: so that requests
    /// one after another use one connection, and those at once no more shared ones than they need.
    pub(crate) fn take(
        &mut self,
        key: &K,
        now: Instant,
        usable: impl Fn(&C) -> bool,
        effects: &mut Vec<Effect<C>>,
    ) -> Take<C> {
        while let Some(id) = self.origins.get(key).and_then(|origin| origin.free.last().copied()) {
            let Some(open) = self.open_of(id) else {
                break;
            };
            let unfit = match open.rest {
                Some((_, due, reason)) if due <= now => Some(reason),
                _ if open.until.is_some_and(|until| until <= now) => Some(Close::MaxAge),
                _ if !usable(&open.connection) => Some(Close::ClosedByServer),
                _ => None,
            };
            match unfit {
                Some(reason) => self.retire(id, reason, effects),
                None => {
                    if let Some(connection) = self.enter(id) {
                        return Take::Reuse(id, connection);
                    }
                }
            }
        }
        let origin = self.origins.entry(key.clone()).or_insert_with(Origin::new);
        let covered = origin.promising > 0 || origin.waiters.len() < origin.returning;
        if !covered && self.has_room(key) {
            return Take::Open(self.open(key));
        }
        let ticket = self.next();
        if let Some(origin) = self.origins.get_mut(key) {
            origin.waiters.insert(ticket);
            self.waiting += 1;
        }
        self.review(key);
        self.settle(effects);
        Take::Wait(ticket)
    }

    /// Asks for a slot to open a connection in ahead of requests. None at a limit.
    pub(crate) fn reserve(&mut self, key: &K) -> Option<Id> {
        self.has_room(key).then(|| self.open(key))
    }

    /// The connection of this slot is open.
    pub(crate) fn opened(&mut self, id: Id, opened: Opened<C>, now: Instant, effects: &mut Vec<Effect<C>>) {
        let Opened { connection, shared, used, until } = opened;
        let more = self.limits.uses.saturating_sub(u64::from(used));
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let key = slot.key.clone();
        slot.phase = Phase::Open(Open {
            connection,
            shared,
            streams: usize::from(used),
            capacity: 1,
            more,
            told: false,
            until,
            promised: None,
            rest: None,
            doubted: false,
            retired: None,
        });
        if let Some(origin) = self.origins.get_mut(&key) {
            origin.sharing = shared;
        }
        let cover = if shared { Cover::All } else { Cover::None };
        self.cover(id, cover);
        if !used {
            self.offer(id, now, effects);
        }
        self.settle_after(&key, effects);
    }

    /// A shared connection may carry this many requests at once.
    pub(crate) fn capacity(&mut self, id: Id, capacity: usize, now: Instant, effects: &mut Vec<Effect<C>>) {
        let Some(open) = self.open_of(id) else {
            return;
        };
        open.capacity = capacity;
        self.cover(id, Cover::None);
        self.offer(id, now, effects);
        self.settle_at(id, effects);
    }

    /// The peer of this connection may be gone: it gets no more requests until that is known.
    pub(crate) fn doubt(&mut self, id: Id) {
        if let Some(open) = self.open_of(id) {
            open.doubted = true;
        }
        self.unlist(id);
    }

    /// The peer of this connection is there.
    pub(crate) fn trust(&mut self, id: Id, now: Instant, effects: &mut Vec<Effect<C>>) {
        let Some(open) = self.open_of(id) else {
            return;
        };
        open.doubted = false;
        self.offer(id, now, effects);
        self.settle_at(id, effects);
    }

    /// A response has ended on this connection: whoever wants one should wait for it.
    pub(crate) fn returning(&mut self, id: Id) {
        self.cover(id, Cover::One);
        if let Some(key) = self.slots.get(&id).map(|slot| slot.key.clone()) {
            self.review(&key);
        }
    }

    /// It takes longer than thought: nobody needs to wait for it any more.
    pub(crate) fn late(&mut self, id: Id, effects: &mut Vec<Effect<C>>) {
        self.cover(id, Cover::None);
        self.settle_at(id, effects);
    }

    /// A request on this connection has ended; it can serve others, as far as `hint` lets it.
    pub(crate) fn release(&mut self, id: Id, hint: Hint, now: Instant, effects: &mut Vec<Effect<C>>) {
        self.cover(id, Cover::None);
        let Some(open) = self.open_of(id) else {
            return;
        };
        open.streams = open.streams.saturating_sub(1);
        open.promised = hint.timeout.or(open.promised);
        if let Some(more) = hint.more.filter(|more| *more < open.more) {
            open.more = more;
            open.told = true;
        }
        let spent = if open.more > 0 {
            open.until.is_some_and(|until| until <= now).then_some(Close::MaxAge)
        } else if open.told {
            Some(Close::KeepAliveHint)
        } else {
            Some(Close::MaxUses)
        };
        let spent = if open.promised == Some(Duration::ZERO) { Some(Close::KeepAliveHint) } else { spent };
        let spent = open.retired.or(spent);
        match spent {
            Some(reason) => self.retire(id, reason, effects),
            None => self.offer(id, now, effects),
        }
        self.settle_at(id, effects);
    }

    /// A request on this connection has ended, and the connection with it.
    pub(crate) fn discard(&mut self, id: Id, reason: Close, effects: &mut Vec<Effect<C>>) {
        if let Some(open) = self.open_of(id) {
            open.streams = open.streams.saturating_sub(1);
            open.retired = open.retired.filter(|_| open.shared).or(Some(reason));
        }
        self.retire(id, reason, effects);
        self.settle_at(id, effects);
    }

    /// The server closed this connection, or takes no more requests on it. Says nothing of one that carries the one request
    /// it can: whoever sent that notices by itself.
    pub(crate) fn hung_up(&mut self, id: Id, reason: Close, effects: &mut Vec<Effect<C>>) {
        if self.open_of(id).is_some_and(|open| open.shared || open.streams == 0) {
            self.retire(id, reason, effects);
            self.settle_at(id, effects);
        }
    }

    /// The connection that carried one request is dead, and another is opened in its slot for the same.
    pub(crate) fn reopen(&mut self, id: Id) -> Option<C> {
        self.cover(id, Cover::None);
        self.unlist(id);
        match std::mem::replace(&mut self.slots.get_mut(&id)?.phase, Phase::Opening) {
            Phase::Open(open) => Some(open.connection),
            Phase::Closing => {
                self.closing -= 1;
                None
            }
            Phase::Opening => None,
        }
    }

    /// The socket is closed, or was never opened.
    pub(crate) fn freed(&mut self, id: Id, effects: &mut Vec<Effect<C>>) {
        self.cover(id, Cover::None);
        self.unlist(id);
        let Some(slot) = self.slots.remove(&id) else {
            return;
        };
        match slot.phase {
            Phase::Closing => self.closing -= 1,
            Phase::Opening => {
                // Whoever waited to share this one would wait for the next one just as long.
                if let Some(origin) = self.origins.get_mut(&slot.key) {
                    origin.sharing = false;
                }
            }
            Phase::Open(open) => effects.push(Effect::Close(open.connection, Close::Failed)),
        }
        if let Some(origin) = self.origins.get_mut(&slot.key) {
            origin.live -= 1;
        }
        self.settle_after(&slot.key, effects);
    }

    /// The holder of this ticket for `key` waits no longer.
    pub(crate) fn cancel(&mut self, key: &K, ticket: Ticket, effects: &mut Vec<Effect<C>>) {
        if self.leave_queue(key, ticket) {
            self.settle_after(key, effects);
        }
    }

    /// The holder of this ticket for `key` waits no longer for what others are about to have done with, or to open: it gets a
    /// slot, unless a limit is in the way.
    pub(crate) fn insist(&mut self, key: &K, ticket: Ticket) -> Option<Id> {
        (self.has_room(key) && self.leave_queue(key, ticket)).then(|| self.open(key))
    }

    /// Closes what was idle for too long. Returns when to look again, unless nothing is idle.
    pub(crate) fn expire(&mut self, now: Instant, effects: &mut Vec<Effect<C>>) -> Option<Instant> {
        while let Some((due, id)) = self.due.first().copied() {
            if due > now {
                return Some(due);
            }
            let reason = self.open_of(id).and_then(|open| open.rest).map_or(Close::IdleTimeout, |(.., reason)| reason);
            self.retire(id, reason, effects);
        }
        None
    }

    /// When the first idle connection is to be closed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Connections that are open or being opened, without those whose closing is decided.
    pub(crate) fn live(&self) -> usize {
        self.slots.len() - self.closing
    }

    /// Connections without a request.
    pub(crate) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Requests without a connection.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether the limits let one more connection to `key` be opened.
    fn has_room(&self, key: &K) -> bool {
        let live = self.origins.get(key).map_or(0, |origin| origin.live);
        live < self.limits.per_origin && self.slots.len() < self.limits.total
    }

    fn open(&mut self, key: &K) -> Id {
        let id = self.next();
        let origin = self.origins.entry(key.clone()).or_insert_with(Origin::new);
        origin.live += 1;
        let cover = if key.may_share() && origin.sharing { Cover::All } else { Cover::None };
        self.slots.insert(id, Slot { key: key.clone(), cover: Cover::None, phase: Phase::Opening });
        self.cover(id, cover);
        self.review(key);
        id
    }

    /// Puts one more request on an open connection.
    fn enter(&mut self, id: Id) -> Option<C> {
        self.wake(id);
        let open = self.open_of(id)?;
        open.streams += 1;
        open.more -= 1;
        let connection = open.connection.clone();
        if !open.has_room() {
            self.unlist(id);
        }
        Some(connection)
    }

    /// Gives what an open connection has to spare to those who wait for it, or lets it rest.
    fn offer(&mut self, id: Id, now: Instant, effects: &mut Vec<Effect<C>>) {
        let Some(key) = self.slots.get(&id).map(|slot| slot.key.clone()) else {
            return;
        };
        self.unlist(id);
        while let Some(open) = self.open_of(id).filter(|open| open.has_room()) {
            let alone = open.streams == 0;
            let Some(ticket) = self.origins.get(&key).and_then(|origin| origin.waiters.first().copied()) else {
                self.list(id, &key);
                break;
            };
            if alone && self.starved_before(ticket) {
                // First come, first served among origins too: the older waiter gets the slot.
                self.retire(id, Close::Evicted, effects);
                return;
            }
            self.leave_queue(&key, ticket);
            if let Some(connection) = self.enter(id) {
                effects.push(Effect::Reuse(ticket, id, connection));
            }
        }
        if self.open_of(id).is_some_and(|open| open.streams == 0 && open.retired.is_none()) {
            self.rest(id, &key, now, effects);
        }
    }

    fn rest(&mut self, id: Id, key: &K, now: Instant, effects: &mut Vec<Effect<C>>) {
        if self.open_of(id).is_none_or(|open| open.rest.is_some()) {
            return;
        }
        if self.origins.get(key).is_some_and(|origin| origin.idle >= self.limits.idle_per_origin) {
            self.retire(id, Close::IdleLimit, effects);
            return;
        }
        let stamp = self.next();
        let idle_timeout = self.limits.idle_timeout;
        let Some(open) = self.open_of(id) else {
            return;
        };
        // A timeout beyond the end of time is looked at again in a day, which changes nothing.
        let after = |time: Duration| now.checked_add(time).unwrap_or(now + Duration::from_secs(86_400));
        let mut due = (after(idle_timeout), Close::IdleTimeout);
        if let Some(hinted) = open.promised.map(|promised| (after(promised), Close::KeepAliveHint))
            && hinted.0 < due.0
        {
            due = hinted;
        }
        if let Some(aged) = open.until.map(|until| (until, Close::MaxAge))
            && aged.0 < due.0
        {
            due = aged;
        }
        open.rest = Some((stamp, due.0, due.1));
        self.idle.insert((stamp, id));
        self.due.insert((due.0, id));
        if let Some(origin) = self.origins.get_mut(key) {
            origin.idle += 1;
        }
    }

    /// The opposite of [`rest`](Self::rest).
    fn wake(&mut self, id: Id) {
        let Some((stamp, due, _)) = self.open_of(id).and_then(|open| open.rest.take()) else {
            return;
        };
        self.idle.remove(&(stamp, id));
        self.due.remove(&(due, id));
        if let Some(slot) = self.slots.get(&id)
            && let Some(origin) = self.origins.get_mut(&slot.key)
        {
            origin.idle -= 1;
        }
    }

    /// Gives this connection no more requests, and closes it once it has none.
    fn retire(&mut self, id: Id, reason: Close, effects: &mut Vec<Effect<C>>) {
        self.cover(id, Cover::None);
        self.unlist(id);
        self.wake(id);
        let Some(open) = self.open_of(id) else {
            return;
        };
        let reason = *open.retired.get_or_insert(reason);
        if open.streams > 0 {
            return;
        }
        if let Some(slot) = self.slots.get_mut(&id)
            && let Phase::Open(open) = std::mem::replace(&mut slot.phase, Phase::Closing)
        {
            self.closing += 1;
            effects.push(Effect::Close(open.connection, reason));
        }
    }

    fn settle_at(&mut self, id: Id, effects: &mut Vec<Effect<C>>) {
        if let Some(key) = self.slots.get(&id).map(|slot| slot.key.clone()) {
            self.settle_after(&key, effects);
        }
    }

    fn settle_after(&mut self, key: &K, effects: &mut Vec<Effect<C>>) {
        self.review(key);
        self.settle(effects);
        self.forget(key);
    }

    /// Serves whoever lacks nothing but a slot, oldest first, and makes room for the others where that is possible.
    fn settle(&mut self, effects: &mut Vec<Effect<C>>) {
        while self.slots.len() < self.limits.total {
            let Some((ticket, key)) = self.starved.first_key_value().map(|(ticket, key)| (*ticket, key.clone())) else {
                return;
            };
            self.leave_queue(&key, ticket);
            let id = self.open(&key);
            effects.push(Effect::Open(ticket, id));
        }
        while self.lack > self.closing {
            // It never belongs to the origin of whoever waits, unless it is in doubt: that one would have been served with it.
            let Some((_, id)) = self.idle.first().copied() else {
                return;
            };
            self.retire(id, Close::Evicted, effects);
        }
    }

    /// Whether a waiter older than `ticket` lacks nothing but a slot that no closing connection will free.
    fn starved_before(&self, ticket: Ticket) -> bool {
        self.slots.len() >= self.limits.total
            && self.starved.range(..ticket).take(self.closing + 1).count() > self.closing
    }

    /// Works out anew whom of this origin another connection would serve.
    fn review(&mut self, key: &K) {
        let Some(origin) = self.origins.get_mut(key) else {
            return;
        };
        let uncovered = if origin.promising > 0 { 0 } else { origin.waiters.len().saturating_sub(origin.returning) };
        let lack = uncovered.min(self.limits.per_origin.saturating_sub(origin.live));
        let starving = if lack > 0 { origin.waiters.iter().nth(origin.returning).copied() } else { None };
        self.lack = self.lack + lack - std::mem::replace(&mut origin.lack, lack);
        let before = std::mem::replace(&mut origin.starving, starving);
        if before != starving {
            if let Some(before) = before {
                self.starved.remove(&before);
            }
            if let Some(starving) = starving {
                self.starved.insert(starving, key.clone());
            }
        }
    }

    /// The one place where a cover changes, so that the counts stay true.
    fn cover(&mut self, id: Id, cover: Cover) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut slot.cover, cover);
        if let Some(origin) = self.origins.get_mut(&slot.key) {
            origin.returning -= usize::from(before == Cover::One);
            origin.returning += usize::from(cover == Cover::One);
            origin.promising -= usize::from(before == Cover::All);
            origin.promising += usize::from(cover == Cover::All);
        }
    }

    fn list(&mut self, id: Id, key: &K) {
        if let Some(origin) = self.origins.get_mut(key) {
            origin.free.push(id);
        }
    }

    fn unlist(&mut self, id: Id) {
        if let Some(slot) = self.slots.get(&id)
            && let Some(origin) = self.origins.get_mut(&slot.key)
            && let Some(position) = origin.free.iter().rposition(|other| *other == id)
        {
            origin.free.remove(position);
        }
    }

    fn open_of(&mut self, id: Id) -> Option<&mut Open<C>> {
        match &mut self.slots.get_mut(&id)?.phase {
            Phase::Open(open) => Some(open),
            Phase::Opening | Phase::Closing => None,
        }
    }

    fn leave_queue(&mut self, key: &K, ticket: Ticket) -> bool {
        let left = self.origins.get_mut(key).is_some_and(|origin| origin.waiters.remove(&ticket));
        self.waiting -= usize::from(left);
        if left {
            self.review(key);
        }
        left
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

impl<C> Open<C> {
    fn has_room(&self) -> bool {
        self.streams < self.capacity && self.more > 0 && !self.doubted && self.retired.is_none()
    }
}

/// Hashes ids, which are counted up and so need no mixing but of their bits to the top.
#[derive(Debug, Default)]
struct Serial(u64);

impl Hasher for Serial {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((self.0 << 8) | u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Origin {
    fn new() -> Self {
        Self {
            live: 0,
            idle: 0,
            returning: 0,
            promising: 0,
            sharing: true,
            free: Vec::new(),
            waiters: BTreeSet::new(),
            starving: None,
            lack: 0,
        }
    }
}

#[cfg(test)]
mod tests;
