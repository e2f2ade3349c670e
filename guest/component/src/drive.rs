//! The one reactor: every exchange in flight, and one poll over all that they wait for.
//!
//! The state is the component's, not a pool's, so that whoever blocks keeps
//! everybody moving. A component instance is entered by one call at a time, so
//! nothing here is entered twice.
//!
//! Longer than 400 lines, since the loop and the calls that enter it share its state.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use urlpool_core::exchange::NoSlot;
use urlpool_core::history::Attempt as Attempted;
use urlpool_core::slots::Ticket;
use urlpool_core::{Delivery, Error, Event, Exchange, Instant, Now, Request, Trace};
use wasip2::io::poll::{Pollable, poll};

use crate::body::{Incoming, Kept};
use crate::clock;
use crate::outgoing::{Source, Watched};
use crate::running::Running;
use crate::shared::{Shared, Slot};

thread_local! {
    static REACTOR: RefCell<Reactor> = RefCell::default();
    /// Tickets that were granted a slot and do not know it yet.
    static GRANTED: RefCell<VecDeque<Ticket>> = RefCell::default();
    /// Whether somebody may have come to wait for slots that delivered responses hold, since that was looked into.
    static STUCK: Cell<bool> = const { Cell::new(false) };
}

/// The most pieces of a body that one exchange takes or gives before the others have their turn.
pub(crate) const PIECES: usize = 16;

/// Gives a slot back, or leaves the queue; whoever is granted the slot instead learns of it when the reactor settles.
pub(crate) fn give_up_place(pool: &Shared, ticket: Ticket) {
    let next = pool.slots.borrow_mut().release(ticket);
    GRANTED.with_borrow_mut(|granted| granted.extend(next));
}

/// Takes note that a response was delivered that holds its slot, or that somebody queued for such slots.
pub(crate) fn stuck() {
    STUCK.set(true);
}

/// A response that arrived, with what its reader needs.
///
/// Kept handles go last: a lent pollable may hang on them, never the other way round.
pub(crate) struct Arrived {
    pub(crate) delivery: Box<Delivery>,
    pub(crate) incoming: Option<Incoming>,
    pub(crate) slot: Option<Slot>,
    pub(crate) kept: Kept,
    pub(crate) pool: Rc<Shared>,
}

/// Begins an exchange; `whole` asks for the whole body or a failure.
pub(crate) fn start(pool: &Rc<Shared>, request: Request, sources: Vec<Source>, whole: bool) -> Ticket {
    REACTOR.with_borrow_mut(|reactor| reactor.start(pool, request, sources, whole))
}

/// Waits until all of these have finished.
pub(crate) fn wait_all(tickets: &[Ticket]) {
    REACTOR.with_borrow_mut(|reactor| {
        reactor.settle_late();
        reactor.finished.clear();
        let mut waiting = BTreeSet::new();
        for ticket in tickets.iter().copied().filter(|ticket| !reactor.is_finished(*ticket)) {
            // One by one: collecting a set brings a sort along, which weighs more than it saves.
            waiting.insert(ticket);
        }
        STUCK.set(true);
        while !waiting.is_empty() {
            // Nobody reads responses while this call blocks, so whoever waits for one of their slots waits for good.
            let stuck: Vec<Ticket> = match STUCK.take() {
                true => waiting.iter().copied().filter(|ticket| reactor.is_stuck(*ticket)).collect(),
                false => Vec::new(),
            };
            if !stuck.is_empty() {
                reactor.refuse(&stuck);
            } else if reactor.turn(&[], None, true) == Turn::Nothing {
                reactor.refuse(&waiting.iter().copied().collect::<Vec<_>>());
            }
            for ticket in reactor.finished.drain(..) {
                waiting.remove(&ticket);
            }
        }
    });
}

/// Waits until one of these has finished or one of the pollables is ready; gives the places of all that have finished.
pub(crate) fn wait_any(tickets: &[Ticket], also: &[&Pollable]) -> Vec<u32> {
    REACTOR.with_borrow_mut(|reactor| {
        reactor.settle_late();
        let mut ready = tickets.is_empty() && also.is_empty();
        let mut look = true;
        STUCK.set(true);
        loop {
            // Without one that has finished since, looking at them all again is for nothing.
            let finished: Vec<u32> = match look {
                true => (0..)
                    .zip(tickets)
                    .filter(|(_, ticket)| reactor.is_finished(**ticket))
                    .map(|(place, _)| place)
                    .collect(),
                false => Vec::new(),
            };
            if ready || !finished.is_empty() {
                return finished;
            }
            reactor.finished.clear();
            if also.is_empty() && STUCK.take() && tickets.iter().all(|ticket| reactor.is_stuck(*ticket)) {
                reactor.refuse(tickets);
            } else {
                match reactor.turn(also, None, true) {
                    Turn::Nothing => reactor.refuse(tickets),
                    Turn::Moved { also } => ready = also,
                }
            }
            look = ready || !reactor.finished.is_empty();
        }
    })
}

/// Moves everything as far as it goes without waiting; whether this one has finished.
pub(crate) fn advance(ticket: Ticket) -> bool {
    REACTOR.with_borrow_mut(|reactor| {
        reactor.settle_late();
        reactor.turn(&[], None, false);
        reactor.finished.clear();
        reactor.is_finished(ticket)
    })
}

/// Waits for a pollable of a response until that moment, while everything else moves; whether it became ready.
pub(crate) fn wait_for(pollable: &Pollable, until: Option<Instant>) -> bool {
    REACTOR.with_borrow_mut(|reactor| {
        reactor.settle_late();
        loop {
            if reactor.turn(&[pollable], until, true) == (Turn::Moved { also: true }) {
                return true;
            }
            if until.is_some_and(|until| clock::mono() >= until) {
                return false;
            }
        }
    })
}

/// What has happened in this exchange so far, in order.
pub(crate) fn trace(ticket: Ticket) -> Trace {
    REACTOR.with_borrow(|reactor| reactor.running.get(&ticket).map_or_else(Trace::default, |running| running.trace()))
}

/// The result of an exchange that has finished; an error comes with the handles that lent a pollable.
pub(crate) fn take(ticket: Ticket) -> Option<Result<Arrived, Box<(Error, Kept)>>> {
    REACTOR.with_borrow_mut(|reactor| reactor.forget(ticket)?.into_result())
}

/// Gives up an exchange, or what it came to.
pub(crate) fn cancel(ticket: Ticket) {
    let running = REACTOR.with_borrow_mut(|reactor| reactor.forget(ticket));
    if let Some(mut running) = running {
        running.let_go();
        running.give_up_place(ticket);
    }
}

/// Closes a pool: what waits for a slot fails.
pub(crate) fn close(pool: &Shared) {
    REACTOR.with_borrow_mut(|reactor| {
        let waiting = pool.slots.borrow_mut().close();
        let now = clock::now();
        for ticket in waiting {
            reactor.report(ticket, Event::NoSlot(NoSlot::Closed), now);
        }
        reactor.settle(now);
    });
}

/// The attempts of an exchange so far that others followed.
pub(crate) fn history(ticket: Ticket) -> Vec<Attempted> {
    REACTOR
        .with_borrow(|reactor| reactor.running.get(&ticket).map_or_else(Vec::new, |running| running.history().to_vec()))
}

/// Pollables of which one is ready when this exchange may move.
pub(crate) fn lend(ticket: Ticket) -> Vec<Pollable> {
    REACTOR.with_borrow_mut(|reactor| match reactor.running.get_mut(&ticket) {
        Some(running) => running.lend(),
        None => vec![clock::timer_in(Duration::ZERO)],
    })
}

/// What came of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There was nothing to wait for.
    Nothing,
    /// Something happened, or the time was up.
    Moved {
        /// Whether one of the pollables that were given is ready.
        also: bool,
    },
}

/// Whose pollable stands at a place of the list of a poll.
#[derive(Clone, Copy)]
enum Place {
    Attempt(Ticket, Watched),
    Incoming(Ticket),
    Also,
    Timer,
}

/// Every exchange that was begun and not taken.
///
/// A turn costs as much as the exchanges that wait for the host, not as all of them: most of many wait for a slot.
#[derive(Default)]
struct Reactor {
    last: Ticket,
    /// Each in a box of its own: a map moves what it holds about, and this is large.
    running: BTreeMap<Ticket, Box<Running>>,
    /// When each is late, the soonest first.
    ///
    /// In nanoseconds, since the set is then one of the slots' kind, and its code is in the component once.
    deadlines: BTreeSet<(u64, Ticket)>,
    /// Those that wait for something of the host's.
    watching: BTreeSet<Ticket>,
    /// Those that have finished since somebody looked.
    finished: Vec<Ticket>,
    /// The timer of an earlier poll. One that fires too early costs a turn, so it serves until it has fired.
    timer: Option<(Instant, Pollable)>,
}

impl Reactor {
    fn start(&mut self, pool: &Rc<Shared>, request: Request, sources: Vec<Source>, whole: bool) -> Ticket {
        self.last += 1;
        let now = clock::now();
        let entropy = pool.entropy_for(&request);
        let (exchange, step) = match whole {
            true => Exchange::begin_whole(request, &pool.policy, entropy, now),
            false => Exchange::begin(request, &pool.policy, entropy, now),
        };
        pool.count(|figures| figures.requests += 1);
        let mut running = Box::new(Running::new(exchange, sources, Rc::clone(pool)));
        running.perform(step, self.last, now);
        self.running.insert(self.last, running);
        self.note(self.last);
        self.settle(now);
        self.last
    }

    fn is_finished(&self, ticket: Ticket) -> bool {
        self.running.get(&ticket).is_none_or(|running| running.is_finished())
    }

    fn is_stuck(&self, ticket: Ticket) -> bool {
        self.running.get(&ticket).is_some_and(|running| running.is_stuck(ticket))
    }

    /// Fails these, since what they wait for cannot come.
    fn refuse(&mut self, tickets: &[Ticket]) {
        let now = clock::now();
        for ticket in tickets {
            if let Some(running) = self.running.get(ticket) {
                running.give_up_place(*ticket);
            }
            self.report(*ticket, Event::NoSlot(NoSlot::Held), now);
        }
        self.settle(now);
    }

    fn report(&mut self, ticket: Ticket, event: Event, now: Now) {
        if let Some(running) = self.running.get_mut(&ticket).filter(|running| !running.is_finished()) {
            running.report(event, ticket, now);
            self.note(ticket);
        }
    }

    /// Takes note of what an exchange waits for, after each change of it.
    fn note(&mut self, ticket: Ticket) {
        let Some(running) = self.running.get_mut(&ticket) else { return };
        let (before, after) = running.renew_deadline();
        if before != after {
            if let Some(before) = before {
                self.deadlines.remove(&(before.as_nanos(), ticket));
            }
            if let Some(after) = after {
                self.deadlines.insert((after.as_nanos(), ticket));
            }
        }
        if running.subscribe() {
            self.watching.insert(ticket);
        } else {
            self.watching.remove(&ticket);
        }
        if running.is_finished() {
            self.finished.push(ticket);
        }
    }

    /// Gives an exchange away.
    fn forget(&mut self, ticket: Ticket) -> Option<Box<Running>> {
        let running = self.running.remove(&ticket)?;
        if let Some(noted) = running.noted_deadline() {
            self.deadlines.remove(&(noted.as_nanos(), ticket));
        }
        self.watching.remove(&ticket);
        Some(running)
    }

    /// The same after whatever happened outside of the reactor, which seldom grants a slot: then the clock is not asked.
    fn settle_late(&mut self) {
        if GRANTED.with_borrow(|granted| !granted.is_empty()) {
            self.settle(clock::now());
        }
    }

    /// Lets those go on who were granted a slot, until nobody is granted another.
    fn settle(&mut self, now: Now) {
        while let Some(ticket) = GRANTED.with_borrow_mut(VecDeque::pop_front) {
            // One that failed in the same turn has given its place back.
            if let Some(running) = self.running.get_mut(&ticket).filter(|running| !running.is_finished()) {
                running.take_slot(ticket);
                self.report(ticket, Event::Granted, now);
            }
        }
    }

    /// Polls once for all exchanges and these pollables, and handles all that is ready before anybody polls again.
    ///
    /// When it may `block`, it waits until something is ready, but no longer than the nearest deadline and `until`.
    fn turn(&mut self, also: &[&Pollable], until: Option<Instant>, block: bool) -> Turn {
        let nearest = self.deadlines.first().map(|(at, _)| Instant::from_nanos(*at)).into_iter().chain(until).min();
        if let Some(at) = nearest.filter(|_| block)
            && self.timer.as_ref().is_none_or(|(set, _)| *set > at)
        {
            self.timer = Some((at, clock::timer(at)));
        }
        let mut places = vec![Place::Also; also.len()];
        let mut pollables = also.to_vec();
        for ticket in &self.watching {
            let Some(running) = self.running.get(ticket) else { continue };
            running.watch(|pollable, watched| {
                pollables.push(pollable);
                places.push(match watched {
                    Some(watched) => Place::Attempt(*ticket, watched),
                    None => Place::Incoming(*ticket),
                });
            });
        }
        let at_once = (!block).then(|| clock::timer_in(Duration::ZERO));
        let timer = match &at_once {
            Some(at_once) => Some(at_once),
            None => nearest.and(self.timer.as_ref()).map(|(_, timer)| timer),
        };
        if let Some(timer) = timer {
            pollables.push(timer);
            places.push(Place::Timer);
        }
        if pollables.is_empty() {
            return Turn::Nothing;
        }
        // Hosts name them in any order. What is written of a body goes before the answer to it.
        let mut ready = vec![false; places.len()];
        for place in poll(&pollables) {
            if let Some(ready) = ready.get_mut(place as usize) {
                *ready = true;
            }
        }
        drop(pollables);
        let now = clock::now();
        let mut moved = Turn::Moved { also: false };
        for (place, _) in places.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            match place {
                Place::Attempt(ticket, watched) => self.proceed(ticket, Some(watched), now),
                Place::Incoming(ticket) => self.proceed(ticket, None, now),
                Place::Also => moved = Turn::Moved { also: true },
                Place::Timer => {}
            }
        }
        if self.timer.as_ref().is_some_and(|(set, _)| *set <= now.mono) {
            self.timer = None;
        }
        if nearest.is_some_and(|at| at <= now.mono) {
            self.expire(now);
        }
        self.settle(now);
        moved
    }

    fn proceed(&mut self, ticket: Ticket, watched: Option<Watched>, now: Now) {
        if let Some(running) = self.running.get_mut(&ticket) {
            running.proceed(watched, ticket, now);
            self.note(ticket);
        }
    }

    /// Tells those whose deadline has passed.
    fn expire(&mut self, now: Now) {
        let late: Vec<Ticket> =
            self.deadlines.iter().take_while(|(at, _)| *at <= now.mono.as_nanos()).map(|(_, ticket)| *ticket).collect();
        for ticket in late {
            if let Some(running) = self.running.get(&ticket).filter(|running| !running.has_slot()) {
                running.give_up_place(ticket);
            }
            self.report(ticket, Event::Expired, now);
        }
    }
}
