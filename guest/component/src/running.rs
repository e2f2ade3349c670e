//! One exchange in flight: carries out its steps, with the handles that each needs.

use std::rc::Rc;
use std::time::Duration;

use urlpool_core::delivery::Part;
use urlpool_core::exchange::{Counts, NoSlot, Outbound};
use urlpool_core::failure::Failure;
use urlpool_core::history::Attempt as Attempted;
use urlpool_core::slots::{Acquired, Ticket};
use urlpool_core::{Delivery, Error, Event, Exchange, Instant, Now, Step, Trace};
use wasip2::io::poll::Pollable;

use crate::body::{Incoming, Kept};
use crate::drive::{self, Arrived, PIECES};
use crate::outgoing::{Attempt, LOOK_AGAIN, Source, Watched};
use crate::shared::{Shared, Slot};
use crate::{clock, convert};

/// One exchange, and the handles that its present step needs.
pub(crate) struct Running {
    attempt: Option<Attempt>,
    incoming: Option<Incoming>,
    /// While a body is drained, how many bytes of it may still be read.
    draining: Option<u64>,
    sources: Vec<Source>,
    slot: Option<Slot>,
    result: Option<Result<Arrived, Error>>,
    counts: Counts,
    noted: Option<Instant>,
    exchange: Exchange,
    kept: Kept,
    pool: Rc<Shared>,
}

impl Running {
    /// This exchange, before its first step.
    pub(crate) fn new(exchange: Exchange, sources: Vec<Source>, pool: Rc<Shared>) -> Self {
        Self {
            attempt: None,
            incoming: None,
            draining: None,
            sources,
            slot: None,
            result: None,
            counts: exchange.counts(),
            noted: None,
            exchange,
            kept: Kept::default(),
            pool,
        }
    }

    /// What it came to; an error comes with the handles that lent a pollable.
    pub(crate) fn into_result(self) -> Option<Result<Arrived, Box<(Error, Kept)>>> {
        let kept = self.kept;
        self.result.map(|result| result.map_err(|error| Box::new((error, kept))))
    }

    /// Goes on after this event.
    pub(crate) fn report(&mut self, event: Event, ticket: Ticket, now: Now) {
        let step = self.exchange.on(event, now);
        self.perform(step, ticket, now);
    }

    /// Takes the slot that its ticket was granted.
    pub(crate) fn take_slot(&mut self, ticket: Ticket) {
        self.slot = Some(Slot::of(&self.pool, ticket));
    }

    /// Carries out steps until one has to wait.
    pub(crate) fn perform(&mut self, mut step: Step, ticket: Ticket, now: Now) {
        let mut pieces = 0;
        loop {
            let event = match step {
                Step::Acquire(origin) => {
                    self.let_go();
                    let acquired = self.pool.slots.borrow_mut().acquire(&origin, ticket);
                    match acquired {
                        Acquired::Granted => {
                            self.take_slot(ticket);
                            Some(Event::Granted)
                        }
                        Acquired::Queued => {
                            if self.is_stuck(ticket) {
                                drive::stuck();
                            }
                            None
                        }
                        Acquired::Refused => Some(Event::NoSlot(NoSlot::Full)),
                        Acquired::QueueFull => Some(Event::NoSlot(NoSlot::QueueFull)),
                        Acquired::Closed => Some(Event::NoSlot(NoSlot::Closed)),
                    }
                }
                Step::Send(outbound) => self.send(*outbound, now),
                // The others have their turn between; the pollable of the body says at once that there is more.
                Step::Collect { .. } if pieces == PIECES => None,
                Step::Collect { trailers } => {
                    pieces += 1;
                    self.collect(trailers)
                }
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
    pub(crate) fn proceed(&mut self, watched: Option<Watched>, ticket: Ticket, now: Now) {
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
            self.report(event, ticket, now);
        }
    }

    /// Whether there is a result.
    pub(crate) fn is_finished(&self) -> bool {
        self.result.is_some()
    }

    /// Whether it waits for slots that only readers of responses can free.
    pub(crate) fn is_stuck(&self, ticket: Ticket) -> bool {
        self.pool.slots.borrow().stuck(ticket)
    }

    /// Whether it holds a slot.
    pub(crate) fn has_slot(&self) -> bool {
        self.slot.is_some()
    }

    /// When its present step has taken too long, as it was noted before and as it is now.
    pub(crate) fn renew_deadline(&mut self) -> (Option<Instant>, Option<Instant>) {
        let at = match self.is_finished() {
            true => None,
            false => self.exchange.deadline().map(|deadline| deadline.at),
        };
        (std::mem::replace(&mut self.noted, at), at)
    }

    /// When its present step has taken too long, as it was noted last.
    pub(crate) fn noted_deadline(&self) -> Option<Instant> {
        self.noted
    }

    /// The attempts so far that others followed.
    pub(crate) fn history(&self) -> &[Attempted] {
        self.exchange.history()
    }

    /// What happened so far.
    pub(crate) fn trace(&self) -> Trace {
        match &self.result {
            None => self.exchange.trace().clone(),
            Some(Ok(arrived)) => arrived.delivery.trace(),
            Some(Err(error)) => error.trace.clone(),
        }
    }

    /// Leaves the queue, or gives back a slot that was granted and not taken yet.
    pub(crate) fn give_up_place(&self, ticket: Ticket) {
        drive::give_up_place(&self.pool, ticket);
    }

    fn collect(&mut self, trailers: bool) -> Option<Event> {
        let incoming = self.incoming.as_mut()?;
        if trailers {
            incoming.want_trailers();
        }
        incoming.next().map(Event::Body)
    }

    fn send(&mut self, outbound: Outbound, now: Now) -> Option<Event> {
        match Attempt::start(outbound, &mut self.exchange, &mut self.sources, now) {
            Ok(attempt) => {
                let attempt = self.attempt.insert(attempt);
                attempt.write(&mut self.exchange, &mut self.sources, now).err().map(Event::Failed)
            }
            Err(failure) => Some(Event::Failed(failure)),
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
            if !delivery.is_ended() {
                self.pool.slots.borrow_mut().hold(ticket);
                drive::stuck();
            } else if delivery.is_untouched() {
                // It has no body, which its caller may want all the same, as one to forward.
                self.slot = None;
            } else {
                self.let_go();
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

    /// Gets the pollables that the present step waits for, as far as they are not there yet. Whether there are any.
    pub(crate) fn subscribe(&mut self) -> bool {
        match (&mut self.attempt, &mut self.incoming) {
            (Some(attempt), _) => attempt.subscribe(&mut self.sources),
            (None, Some(incoming)) => {
                incoming.pollable();
            }
            (None, None) => return false,
        }
        true
    }

    /// The pollables that the present step waits for: of the attempt, or of the body.
    pub(crate) fn watch<'a>(&'a self, mut each: impl FnMut(&'a Pollable, Option<Watched>)) {
        if let Some(attempt) = &self.attempt {
            attempt.watch(&self.sources, |watched, pollable| each(pollable, Some(watched)));
        } else if let Some(ready) = self.incoming.as_ref().and_then(Incoming::ready) {
            each(ready, None);
        }
    }

    pub(crate) fn lend(&mut self) -> Vec<Pollable> {
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
    pub(crate) fn let_go(&mut self) {
        self.draining = None;
        if let Some(attempt) = self.attempt.take() {
            attempt.retire(&mut self.kept);
        }
        if let Some(incoming) = self.incoming.take() {
            incoming.retire(&mut self.kept);
        }
        self.slot = None;
    }
}
