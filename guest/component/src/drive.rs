//! The one reactor: every exchange in flight, and one poll over all that they wait for.
//!
//! The state is the component's, not a pool's, so that whoever blocks keeps
//! everybody moving. A component instance is entered by one call at a time, so
//! nothing here is entered twice.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use urlpool_core::delivery::Part;
use urlpool_core::exchange::{Counts, NoSlot, Outbound};
use urlpool_core::failure::Failure;
use urlpool_core::history::Attempt as Attempted;
use urlpool_core::slots::{Acquired, Ticket};
use urlpool_core::{Delivery, Entropy, Error, Event, Exchange, Instant, Now, Policy, Request, Slots, Step, Target};
use wasip2::io::poll::{Pollable, poll};

use crate::body::{Incoming, Kept};
use crate::clock;
use crate::convert;
use crate::outgoing::{Attempt, LOOK_AGAIN, Source, Unfinished, Watched};

thread_local! {
    static REACTOR: RefCell<Reactor> = RefCell::default();
    /// Tickets that were granted a slot and do not know it yet.
    static GRANTED: RefCell<VecDeque<Ticket>> = RefCell::default();
}

/// What the calls of one pool share.
pub(crate) struct Shared {
    pub(crate) policy: Policy,
    /// What relative targets are resolved against.
    pub(crate) base: Option<Target>,
    pub(crate) slots: RefCell<Slots>,
    pub(crate) entropy: RefCell<Entropy>,
    pub(crate) figures: Cell<Figures>,
    /// Requests whose raw answer was handed over before they were written to their end.
    pub(crate) unfinished: RefCell<Vec<Unfinished>>,
}

impl Shared {
    fn count(&self, change: impl FnOnce(&mut Figures)) {
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

impl Drop for Slot {
    fn drop(&mut self) {
        let next = self.pool.slots.borrow_mut().release(self.ticket);
        GRANTED.with_borrow_mut(|granted| granted.extend(next));
    }
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
        reactor.settle(clock::now());
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
        reactor.settle(clock::now());
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
        reactor.settle(clock::now());
        if !reactor.is_finished(ticket) {
            reactor.turn(&[], None, false);
        }
        reactor.is_finished(ticket)
    })
}

/// Waits for a pollable of a response until that moment, while everything else moves; whether it became ready.
pub(crate) fn wait_for(pollable: &Pollable, until: Option<Instant>) -> bool {
    REACTOR.with_borrow_mut(|reactor| {
        reactor.settle(clock::now());
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

/// The result of an exchange that has finished.
pub(crate) fn take(ticket: Ticket) -> Option<Result<Arrived, Error>> {
    REACTOR.with_borrow_mut(|reactor| reactor.running.remove(&ticket)?.result)
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
    REACTOR.with_borrow(|reactor| {
        reactor.running.get(&ticket).map_or_else(Vec::new, |running| running.exchange.history().to_vec())
    })
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
        let entropy = Entropy::seeded(pool.entropy.borrow_mut().draw());
        let (exchange, step) = match whole {
            true => Exchange::begin_whole(request, &pool.policy, entropy, now),
            false => Exchange::begin(request, &pool.policy, entropy, now),
        };
        pool.count(|figures| figures.requests += 1);
        let mut running = Running {
            attempt: None,
            incoming: None,
            draining: None,
            sources,
            slot: None,
            result: None,
            counts: exchange.counts(),
            exchange,
            kept: Kept::default(),
            pool: Rc::clone(pool),
        };
        running.perform(step, self.last, now);
        self.running.insert(self.last, running);
        self.settle(now);
        self.last
    }

    fn is_finished(&self, ticket: Ticket) -> bool {
        self.running.get(&ticket).is_none_or(|running| running.result.is_some())
    }

    fn is_stuck(&self, ticket: Ticket) -> bool {
        self.running.get(&ticket).is_some_and(|running| running.pool.slots.borrow().stuck(ticket))
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
        if let Some(running) = self.running.get_mut(&ticket).filter(|running| running.result.is_none()) {
            let step = running.exchange.on(event, now);
            running.perform(step, ticket, now);
        }
    }

    /// Lets those go on who were granted a slot, until nobody is granted another.
    fn settle(&mut self, now: Now) {
        while let Some(ticket) = GRANTED.with_borrow_mut(VecDeque::pop_front) {
            // One that failed in the same turn has given its place back.
            if let Some(running) = self.running.get_mut(&ticket).filter(|running| running.result.is_none()) {
                running.slot = Some(Slot { pool: Rc::clone(&running.pool), ticket });
                self.report(ticket, Event::Granted, now);
            }
        }
    }

    /// Polls once for all exchanges and these pollables, and handles all that is ready before anybody polls again.
    ///
    /// When it may `block`, it waits until something is ready, but no longer than the nearest deadline and `until`.
    fn turn(&mut self, also: &[&Pollable], until: Option<Instant>, block: bool) -> Turn {
        let nearest = self
            .running
            .values()
            .filter_map(|running| running.exchange.deadline())
            .map(|deadline| deadline.at)
            .chain(until)
            .min();
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
        let ready = poll(&pollables);
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
        let late = |running: &Running| running.exchange.deadline().is_some_and(|deadline| deadline.at <= now.mono);
        let late: Vec<Ticket> =
            self.running.iter().filter(|(_, running)| late(running)).map(|(ticket, _)| *ticket).collect();
        for ticket in late {
            if let Some(running) = self.running.get(&ticket).filter(|running| running.slot.is_none()) {
                running.give_up_place(ticket);
            }
            self.report(ticket, Event::Expired, now);
        }
    }
}

/// One exchange, and the handles that its present step needs.
struct Running {
    attempt: Option<Attempt>,
    incoming: Option<Incoming>,
    /// While a body is drained, how many bytes of it may still be read.
    draining: Option<u64>,
    sources: Vec<Source>,
    slot: Option<Slot>,
    result: Option<Result<Arrived, Error>>,
    counts: Counts,
    exchange: Exchange,
    kept: Kept,
    pool: Rc<Shared>,
}

impl Running {
    /// Carries out steps until one has to wait.
    fn perform(&mut self, mut step: Step, ticket: Ticket, now: Now) {
        loop {
            let event = match step {
                Step::Acquire(origin) => {
                    self.let_go();
                    let acquired = self.pool.slots.borrow_mut().acquire(&origin, ticket);
                    match acquired {
                        Acquired::Granted => {
                            self.slot = Some(Slot { pool: Rc::clone(&self.pool), ticket });
                            Some(Event::Granted)
                        }
                        Acquired::Queued => None,
                        Acquired::Refused => Some(Event::NoSlot(NoSlot::Full)),
                        Acquired::Closed => Some(Event::NoSlot(NoSlot::Closed)),
                    }
                }
                Step::Send(outbound) => self.send(*outbound, now),
                Step::Collect { trailers } => self.incoming.as_mut().and_then(|incoming| {
                    if trailers {
                        incoming.want_trailers();
                    }
                    incoming.next().map(Event::Body)
                }),
                Step::Drain { at_most, .. } => {
                    self.draining = Some(at_most);
                    self.drain()
                }
                Step::Wait(_) => {
                    self.let_go();
                    None
                }
                Step::Finish(result) => {
                    self.finish(result, ticket);
                    None
                }
            };
            match event {
                Some(event) => step = self.exchange.on(event, now),
                None => break,
            }
        }
        let (before, after) = (self.counts, self.exchange.counts());
        self.counts = after;
        self.pool.count(|figures| {
            figures.attempts += u64::from(after.attempts - before.attempts);
            figures.retries += u64::from(after.retries - before.retries);
            figures.redirects += u64::from(after.redirects - before.redirects);
        });
    }

    /// Goes on after a pollable was ready: one of the attempt, or that of the body.
    fn proceed(&mut self, watched: Option<Watched>, ticket: Ticket, now: Now) {
        let event = match (watched, &mut self.attempt) {
            (Some(Watched::Answer), Some(attempt)) => match attempt.answer() {
                None => None,
                Some(Err(code)) => Some(Event::Failed(Failure::Failed(code))),
                Some(Ok(response)) => {
                    let head = convert::head(&response);
                    let upload = self.attempt.take().and_then(|attempt| attempt.retire(&mut self.kept));
                    self.incoming = Some(Incoming::new(response, upload));
                    Some(Event::Answered(head))
                }
            },
            (Some(Watched::Body), Some(attempt)) => {
                attempt.write(&mut self.exchange, &mut self.sources, now).err().map(Event::Failed)
            }
            // The attempt ended earlier in the same turn.
            (Some(_), None) => None,
            (None, _) if self.draining.is_some() => self.drain(),
            (None, _) => self.incoming.as_mut().and_then(Incoming::next).map(Event::Body),
        };
        if let Some(event) = event {
            let step = self.exchange.on(event, now);
            self.perform(step, ticket, now);
        }
    }

    fn send(&mut self, outbound: Outbound, now: Now) -> Option<Event> {
        match Attempt::start(outbound) {
            Ok(attempt) => {
                let attempt = self.attempt.insert(attempt);
                attempt.write(&mut self.exchange, &mut self.sources, now).err().map(Event::Failed)
            }
            Err(code) => Some(Event::Failed(Failure::Failed(code))),
        }
    }

    fn drain(&mut self) -> Option<Event> {
        loop {
            match (self.incoming.as_mut().map(Incoming::next), &mut self.draining) {
                (Some(Some(Part::Chunk(bytes))), Some(left)) if bytes.len() as u64 <= *left => {
                    *left -= bytes.len() as u64;
                }
                (Some(None), _) => return None,
                (Some(Some(_)) | None, _) => return Some(Event::Drained),
            }
        }
    }

    fn finish(&mut self, result: Result<Box<Delivery>, Error>, ticket: Ticket) {
        let result = result.map(|delivery| {
            if delivery.is_ended() {
                self.let_go();
            } else {
                self.pool.slots.borrow_mut().hold(ticket);
            }
            Arrived {
                incoming: self.incoming.take(),
                slot: self.slot.take(),
                kept: std::mem::take(&mut self.kept),
                pool: Rc::clone(&self.pool),
                delivery,
            }
        });
        self.let_go();
        self.sources.clear();
        self.result = Some(result);
    }

    /// The pollables that the present step waits for: of the attempt, or of the body.
    fn watch<'a>(&'a mut self, mut each: impl FnMut(&'a Pollable, Option<Watched>)) {
        if let Some(attempt) = &mut self.attempt {
            attempt.watch(&mut self.sources, |watched, pollable| each(pollable, Some(watched)));
        } else if let Some(incoming) = &mut self.incoming {
            each(incoming.pollable(), None);
        }
    }

    fn lend(&mut self) -> Vec<Pollable> {
        if self.result.is_some() {
            return vec![clock::timer_in(Duration::ZERO)];
        }
        let mut lent = match (&mut self.attempt, &mut self.incoming) {
            (Some(attempt), _) => attempt.lend(),
            (None, Some(incoming)) => vec![incoming.lend()],
            // It waits for what another exchange holds, and that one's pollables are not ours to lend.
            (None, None) => vec![clock::timer_in(LOOK_AGAIN)],
        };
        lent.extend(self.exchange.deadline().map(|deadline| clock::timer(deadline.at)));
        lent
    }

    /// Drops the handles of the step before, and the slot with them.
    fn let_go(&mut self) {
        self.draining = None;
        if let Some(attempt) = self.attempt.take() {
            attempt.retire(&mut self.kept);
        }
        if let Some(incoming) = self.incoming.take() {
            incoming.retire(&mut self.kept);
        }
        self.slot = None;
    }

    /// Leaves the queue, or gives back a slot that was granted and not taken yet.
    fn give_up_place(&self, ticket: Ticket) {
        let next = self.pool.slots.borrow_mut().release(ticket);
        GRANTED.with_borrow_mut(|granted| granted.extend(next));
    }
}
