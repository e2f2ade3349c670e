//! The one reactor: every exchange in flight, and one poll over all that they wait for.
//!
//! The state is the component's, not a pool's, so that whoever blocks keeps
//! everybody moving. A component instance is entered by one call at a time, so
//! nothing here is entered twice.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use urlpool_core::exchange::NoSlot;
use urlpool_core::history::Attempt as Attempted;
use urlpool_core::slots::Ticket;
use urlpool_core::{Delivery, Entropy, Error, Event, Exchange, Instant, Now, Policy, Request, Slots, Target};
use wasip2::io::poll::{Pollable, poll};

use crate::body::{Incoming, Kept};
use crate::clock;
use crate::outgoing::{Source, Unfinished, Watched};
use crate::running::Running;

thread_local! {
    static REACTOR: RefCell<Reactor> = RefCell::default();
    /// Tickets that were granted a slot and do not know it yet.
    static GRANTED: RefCell<VecDeque<Ticket>> = RefCell::default();
}

/// The most pieces of a body that one exchange takes or gives before the others have their turn.
pub(crate) const PIECES: usize = 16;

/// How many unfinished requests a pool keeps for those who read the raw answers to them.
const UNFINISHED: usize = 32;

/// What the calls of one pool share.
pub(crate) struct Shared {
    pub(crate) policy: Policy,
    /// What relative targets are resolved against.
    pub(crate) base: Option<Target>,
    pub(crate) slots: RefCell<Slots>,
    pub(crate) entropy: RefCell<Entropy>,
    pub(crate) figures: Cell<Figures>,
    /// Whether `entropy` follows from a seed of the caller's, so that runs can be repeated.
    pub(crate) seeded: bool,
    /// Requests whose raw answer was handed over before they were written to their end.
    pub(crate) unfinished: RefCell<VecDeque<Unfinished>>,
}

impl Shared {
    /// Keeps what must not be dropped while somebody reads the raw answer to it.
    ///
    /// Nobody tells when that is over, so the oldest goes once there are too many; its answer is cut if it is still being read.
    pub(crate) fn keep(&self, unfinished: Option<Unfinished>) {
        let mut all = self.unfinished.borrow_mut();
        all.extend(unfinished);
        if all.len() > UNFINISHED {
            all.pop_front();
        }
    }

    /// The randomness of one exchange.
    fn entropy_for(&self, request: &Request) -> Entropy {
        let jitter = self.entropy.borrow_mut().draw();
        match self.seeded {
            true => Entropy::seeded(jitter),
            false => Entropy::fresh(jitter, if request.needs_boundary() { clock::boundary() } else { [0; 16] }),
        }
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Figures)) {
        let mut figures = self.figures.get();
        change(&mut figures);
        self.figures.set(figures);
    }
}

/// How often things happened in a pool.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) attempts: u64,
    pub(crate) retries: u64,
    pub(crate) redirects: u64,
}

/// A slot that is held; dropping it frees it.
pub(crate) struct Slot {
    pool: Rc<Shared>,
    ticket: Ticket,
}

impl Slot {
    /// The slot that this ticket was granted.
    pub(crate) fn of(pool: &Rc<Shared>, ticket: Ticket) -> Self {
        Self { pool: Rc::clone(pool), ticket }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        give_up_place(&self.pool, self.ticket);
    }
}

/// Gives a slot back, or leaves the queue; whoever is granted the slot instead learns of it when the reactor settles.
pub(crate) fn give_up_place(pool: &Shared, ticket: Ticket) {
    let next = pool.slots.borrow_mut().release(ticket);
    GRANTED.with_borrow_mut(|granted| granted.extend(next));
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
        loop {
            let waiting: Vec<Ticket> = tickets.iter().copied().filter(|ticket| !reactor.is_finished(*ticket)).collect();
            if waiting.is_empty() {
                return;
            }
            // Nobody reads responses while this call blocks, so whoever waits for one of their slots waits for good.
            let stuck: Vec<Ticket> = waiting.iter().copied().filter(|ticket| reactor.is_stuck(*ticket)).collect();
            if !stuck.is_empty() {
                reactor.refuse(&stuck);
            } else if reactor.turn(&[], None, true) == Turn::Nothing {
                reactor.refuse(&waiting);
            }
        }
    });
}

/// Waits until one of these has finished or one of the pollables is ready; gives the places of all that have finished.
pub(crate) fn wait_any(tickets: &[Ticket], also: &[&Pollable]) -> Vec<u32> {
    REACTOR.with_borrow_mut(|reactor| {
        reactor.settle_late();
        let mut ready = tickets.is_empty() && also.is_empty();
        loop {
            let finished: Vec<u32> = (0..)
                .zip(tickets)
                .filter(|(_, ticket)| reactor.is_finished(**ticket))
                .map(|(place, _)| place)
                .collect();
            if ready || !finished.is_empty() {
                return finished;
            }
            if also.is_empty() && tickets.iter().all(|ticket| reactor.is_stuck(*ticket)) {
                reactor.refuse(tickets);
                continue;
            }
            match reactor.turn(also, None, true) {
                Turn::Nothing => reactor.refuse(tickets),
                Turn::Moved { also } => ready = also,
            }
        }
    })
}

/// Moves everything as far as it goes without waiting; whether this one has finished.
pub(crate) fn advance(ticket: Ticket) -> bool {
    REACTOR.with_borrow_mut(|reactor| {
        reactor.settle_late();
        reactor.turn(&[], None, false);
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

/// The result of an exchange that has finished; an error comes with the handles that lent a pollable.
pub(crate) fn take(ticket: Ticket) -> Option<Result<Arrived, Box<(Error, Kept)>>> {
    REACTOR.with_borrow_mut(|reactor| reactor.running.remove(&ticket)?.into_result())
}

/// Gives up an exchange, or what it came to.
pub(crate) fn cancel(ticket: Ticket) {
    let running = REACTOR.with_borrow_mut(|reactor| reactor.running.remove(&ticket));
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
#[derive(Default)]
struct Reactor {
    last: Ticket,
    running: BTreeMap<Ticket, Running>,
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
        let mut running = Running::new(exchange, sources, Rc::clone(pool));
        running.perform(step, self.last, now);
        self.running.insert(self.last, running);
        self.settle(now);
        self.last
    }

    fn is_finished(&self, ticket: Ticket) -> bool {
        self.running.get(&ticket).is_none_or(Running::is_finished)
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
        }
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
        let nearest = self.running.values().filter_map(Running::deadline).chain(until).min();
        if let Some(at) = nearest.filter(|_| block)
            && self.timer.as_ref().is_none_or(|(set, _)| *set > at)
        {
            self.timer = Some((at, clock::timer(at)));
        }
        let mut places = vec![Place::Also; also.len()];
        let mut pollables = also.to_vec();
        for (ticket, running) in &mut self.running {
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
        let mut ready = poll(&pollables);
        // Hosts name them in any order. What is written of a body goes before the answer to it.
        ready.sort_unstable();
        drop(pollables);
        let now = clock::now();
        let mut moved = Turn::Moved { also: false };
        for place in ready.into_iter().filter_map(|place| places.get(place as usize).copied()) {
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
        }
    }

    /// Tells those whose deadline has passed.
    fn expire(&mut self, now: Now) {
        let late = |running: &Running| running.deadline().is_some_and(|at| at <= now.mono);
        let late: Vec<Ticket> =
            self.running.iter().filter(|(_, running)| late(running)).map(|(ticket, _)| *ticket).collect();
        for ticket in late {
            if let Some(running) = self.running.get(&ticket).filter(|running| !running.has_slot()) {
                running.give_up_place(ticket);
            }
            self.report(ticket, Event::Expired, now);
        }
    }
}
