//! Which request to an origin may start, and which waits.
//!
//! A slot is a permit, not a connection: the guest limits how many requests to an origin are in
//! flight, and the host owns the sockets.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::origin::Origin;

/// What one request is known by while it asks for a slot, waits for it and has it; unique, chosen by the shell.
pub type Ticket = u64;

/// What happens to a request when all slots of its origin are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits its turn.
    Queue,
    /// It is refused.
    Refuse,
}

/// What came of asking for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The request may start.
    Granted,
    /// It waits its turn, and [`Slots::release`] will name it.
    Queued,
    /// All slots are taken, and waiting is not wanted.
    Refused,
    /// All slots are taken, and as many requests of the pool wait as may.
    QueueFull,
    /// The pool was closed.
    Closed,
}

/// The slots of an origin, by default: 8, two more than browsers open.
pub const DEFAULT_SLOTS: u32 = 8;

/// The origins that are remembered, by default.
pub const DEFAULT_ORIGINS: u32 = 32;

/// The slots of a pool, by origin.
///
/// - Waiters of an origin are served in the order they came.
/// - Origins with a slot in use are never forgotten; of the others the one used least recently goes first.
#[derive(Clone, Debug)]
pub struct Slots {
    per_origin: Option<u32>,
    when_full: WhenFull,
    /// The most requests that wait.
    queue: Option<u32>,
    limit: u32,
    closed: bool,
    /// Orders waiters and the last uses of origins.
    sequence: u64,
    in_flight: u32,
    places: HashMap<Origin, Place>,
    tickets: HashMap<Ticket, Holder>,
    /// The origins without a request, by their last use.
    idle: BTreeMap<u64, Origin>,
}

/// The slots of one origin.
#[derive(Clone, Debug, Default)]
struct Place {
    in_use: u32,
    /// How many of those in use belong to a delivered response.
    held: u32,
    /// Each with its place in the queue. A set of pairs, as the shell has one too: the code of a map weighs some 5 KB.
    waiting: BTreeSet<(u64, Ticket)>,
    /// Its key in `Slots::idle`, while it is there.
    idle_since: Option<u64>,
}

/// Who has a ticket.
#[derive(Clone, Debug)]
struct Holder {
    origin: Origin,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// With its place in the queue.
    Waiting(u64),
    Granted,
    Held,
}

impl Slots {
    /// Slots for this many requests to each origin, no limit when `None`; 0 counts as 1.
    ///
    /// Up to `origins` origins are remembered, or as many as have a request in flight.
    pub fn new(per_origin: Option<u32>, when_full: WhenFull, origins: u32) -> Self {
        Self {
            // With no slot at all, no request could ever start.
            per_origin: per_origin.map(|slots| slots.max(1)),
            when_full,
            queue: None,
            limit: origins,
            closed: false,
            sequence: 0,
            in_flight: 0,
            places: HashMap::new(),
            tickets: HashMap::new(),
            idle: BTreeMap::new(),
        }
    }

    /// Limits the requests that wait, over all origins; no limit when `None`. Default: `None`.
    #[must_use]
    pub fn with_queue(mut self, limit: Option<u32>) -> Self {
        self.queue = limit;
        self
    }

    /// Asks for a slot of an origin, under a ticket that is not in use.
    pub fn acquire(&mut self, origin: &Origin, ticket: Ticket) -> Acquired {
        if self.closed {
            return Acquired::Closed;
        }
        let free = match (self.per_origin, self.places.get(origin)) {
            (None, _) | (_, None) => true,
            (Some(slots), Some(place)) => place.in_use < slots,
        };
        if !free && self.when_full == WhenFull::Refuse {
            return Acquired::Refused;
        }
        if !free && self.queue.is_some_and(|limit| self.queued() >= limit) {
            return Acquired::QueueFull;
        }
        self.sequence += 1;
        let sequence = self.sequence;
        let place = self.places.entry(origin.clone()).or_default();
        if let Some(since) = place.idle_since.take() {
            self.idle.remove(&since);
        }
        let state = if free {
            place.in_use += 1;
            self.in_flight += 1;
            State::Granted
        } else {
            place.waiting.insert((sequence, ticket));
            State::Waiting(sequence)
        };
        let before = self.tickets.insert(ticket, Holder { origin: origin.clone(), state });
        debug_assert!(before.is_none(), "ticket {ticket} is in use");
        self.forget();
        if free { Acquired::Granted } else { Acquired::Queued }
    }

    /// Marks the slot of this ticket as that of a delivered response, which is free only when the caller is done with it.
    pub fn hold(&mut self, ticket: Ticket) {
        let Some(holder) = self.tickets.get_mut(&ticket) else { return };
        if let State::Granted = holder.state {
            holder.state = State::Held;
            if let Some(place) = self.places.get_mut(&holder.origin) {
                place.held += 1;
            }
        }
    }

    /// Gives the slot of this ticket back, or its place in the queue, and returns the waiter that has the slot now.
    ///
    /// A ticket that is not known, such as one that was released before, changes nothing.
    pub fn release(&mut self, ticket: Ticket) -> Option<Ticket> {
        let holder = self.tickets.remove(&ticket)?;
        let place = self.places.get_mut(&holder.origin)?;
        let next = match holder.state {
            State::Waiting(sequence) => {
                place.waiting.remove(&(sequence, ticket));
                None
            }
            State::Granted | State::Held => {
                if let State::Held = holder.state {
                    place.held -= 1;
                }
                let next = place.waiting.pop_first().map(|(_, next)| next);
                if next.is_none() {
                    place.in_use -= 1;
                    self.in_flight -= 1;
                }
                next
            }
        };
        if let Some(next) = next.and_then(|next| self.tickets.get_mut(&next)) {
            next.state = State::Granted;
        }
        // Who waits does so behind a slot in use, so an origin without those has nobody.
        if place.in_use == 0 {
            self.sequence += 1;
            place.idle_since = Some(self.sequence);
            self.idle.insert(self.sequence, holder.origin);
            self.forget();
        }
        next
    }

    /// Ends the queue for good, and returns all who waited in the order they came. Slots in use stay so until they are released.
    pub fn close(&mut self) -> Vec<Ticket> {
        self.closed = true;
        let mut waiting = BTreeSet::new();
        for place in self.places.values_mut() {
            // One by one: appending a map brings a sort along, which weighs more than it saves.
            waiting.extend(std::mem::take(&mut place.waiting));
        }
        let waiting: Vec<Ticket> = waiting.into_iter().map(|(_, ticket)| ticket).collect();
        for ticket in &waiting {
            self.tickets.remove(ticket);
        }
        waiting
    }

    /// Whether this ticket waits where every slot is held by a delivered response, so that only the caller can end the wait.
    pub fn stuck(&self, ticket: Ticket) -> bool {
        self.waits(ticket).is_some_and(|origin| self.all_held(origin))
    }

    /// Whether every slot of this origin is held by a delivered response.
    pub fn all_held(&self, origin: &Origin) -> bool {
        self.places.get(origin).is_some_and(|place| {
            self.per_origin.is_some_and(|slots| place.in_use >= slots) && place.held == place.in_use
        })
    }

    /// The slots in use.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// The requests that wait.
    pub fn queued(&self) -> u32 {
        u32::try_from(self.tickets.len()).unwrap_or(u32::MAX) - self.in_flight
    }

    /// The origins remembered.
    pub fn origins(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    /// The origin at which this ticket waits.
    fn waits(&self, ticket: Ticket) -> Option<&Origin> {
        match self.tickets.get(&ticket)? {
            Holder { origin, state: State::Waiting(_) } => Some(origin),
            Holder { state: State::Granted | State::Held, .. } => None,
        }
    }

    /// Forgets origins that have no request, the one used least recently first, until there are no more than the limit.
    fn forget(&mut self) {
        while self.origins() > self.limit {
            let Some((_, origin)) = self.idle.pop_first() else { return };
            self.places.remove(&origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    #[test]
    fn the_origin_used_least_recently_is_forgotten_first() {
        let mut slots = Slots::new(Some(1), WhenFull::Queue, 2);
        let [a, b, c] = ["http://a.test", "http://b.test", "http://c.test"]
            .map(|url| Target::parse(url).expect("a URL").0.origin().clone());
        for (ticket, origin) in [(1, &a), (2, &b), (3, &a)] {
            slots.acquire(origin, ticket);
            slots.release(ticket);
        }
        slots.acquire(&c, 4);
        assert_eq!(slots.origins(), 2);
        assert_eq!([&a, &b, &c].map(|origin| slots.places.contains_key(origin)), [true, false, true]);
    }
}
