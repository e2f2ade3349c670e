//! A shell as a component is one, over slots that are real, a clock that jumps, and a server and readers that do as they are told.

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use urlpool_core::exchange::NoSlot;
use urlpool_core::slots::{Acquired, Slots};
use urlpool_core::upload::REPLAY;
use urlpool_core::{Entropy, Event, Now, Step};

use super::at;
use super::call::{Call, State};
use super::settings::Settings;

/// One thing that may happen to a call; where it does not fit the step at hand, nothing does.
#[derive(Arbitrary, Debug)]
pub(super) enum Happening {
    Answered {
        status: u8,
        fields: [u8; 3],
    },
    Failed(u8),
    BodyFailed,
    /// The host takes so many pieces of the request body, each of up to so many bytes.
    Wrote {
        pieces: u8,
        room: u16,
        waited: bool,
    },
    Chunk(u16),
    End,
    Cut(bool),
    Drained,
    /// The time passes until the present step has taken too long.
    Late,
    Read(u16),
    Dropped,
    Cancelled,
    Closed,
}

/// The calls of a pool.
pub(super) struct Shell {
    slots: Slots,
    /// The most calls that may wait for one.
    queue: Option<u32>,
    calls: Vec<Call>,
    /// The nanoseconds since the beginning.
    passed: u64,
    /// Calls that were granted a slot and do not know it yet.
    granted: VecDeque<u64>,
}

impl Shell {
    pub(super) fn new(slots: Slots, queue: Option<u32>) -> Self {
        Self { slots, queue, calls: Vec::new(), passed: 0, granted: VecDeque::new() }
    }

    pub(super) fn begin(&mut self, settings: Settings) {
        let (call, step) = Call::begin(settings, self.now());
        self.calls.push(call);
        self.perform(self.calls.len() - 1, step);
        self.settle();
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.passed += time.as_nanos() as u64;
    }

    /// Has something happen to one of the calls.
    pub(super) fn happen(&mut self, which: usize, happening: Happening) {
        let which = which % self.calls.len();
        let now = self.now();
        match happening {
            Happening::Late => {
                if let Some(deadline) = self.calls[which].deadline() {
                    self.passed = self.passed.max(deadline.at.since(at(0).mono).as_nanos() as u64);
                }
            }
            Happening::Cancelled => {
                self.calls[which].end();
                self.release(which);
            }
            Happening::Dropped => {
                if matches!(self.calls[which].state, State::Delivered(_)) {
                    self.calls[which].end();
                    self.release(which);
                }
            }
            Happening::Closed => {
                for ticket in self.slots.close() {
                    self.report(ticket as usize, Event::NoSlot(NoSlot::Closed));
                }
            }
            Happening::Read(most) => {
                self.calls[which].read(usize::from(most), now);
                self.release_when_ended(which);
            }
            happening => {
                if let Some(event) = self.calls[which].event(happening, now) {
                    self.report(which, event);
                }
                self.release_when_ended(which);
            }
        }
        self.expire();
        self.settle();
        self.check();
    }

    /// Lets the server do nothing more, which brings every call to an end, and readers read what there is.
    pub(super) fn stall(&mut self) {
        for _ in 0..1000 {
            let now = self.now();
            for which in 0..self.calls.len() {
                self.calls[which].read(usize::MAX, now);
                self.release_when_ended(which);
            }
            self.settle();
            let nearest = self.calls.iter().filter_map(Call::deadline).map(|deadline| deadline.at).min();
            match nearest {
                None => break,
                Some(at_moment) => self.passed = self.passed.max(at_moment.since(at(0).mono).as_nanos() as u64),
            }
            self.expire();
            self.settle();
            self.check();
        }
        assert!(self.calls.iter().all(Call::is_over), "one never ends");
        assert_eq!((self.slots.in_flight(), self.slots.queued()), (0, 0), "a slot is held, and nobody holds it");
    }

    fn now(&self) -> Now {
        at(self.passed)
    }

    fn report(&mut self, which: usize, event: Event) {
        let now = self.now();
        if let Some(step) = self.calls[which].on(event, now) {
            self.perform(which, step);
        }
    }

    /// Carries out steps until one has to wait.
    fn perform(&mut self, which: usize, mut step: Step) {
        let now = self.now();
        loop {
            self.calls[which].check(&step, now);
            let event = match step {
                Step::Acquire(origin) => {
                    self.release(which);
                    match self.slots.acquire(&origin, which as u64) {
                        Acquired::Granted => {
                            self.calls[which].grant(origin);
                            Some(Event::Granted)
                        }
                        Acquired::Queued => {
                            self.calls[which].state = State::Queued(origin);
                            None
                        }
                        Acquired::Refused => Some(Event::NoSlot(NoSlot::Full)),
                        Acquired::QueueFull => Some(Event::NoSlot(NoSlot::QueueFull)),
                        Acquired::Closed => Some(Event::NoSlot(NoSlot::Closed)),
                    }
                }
                Step::Send(outbound) => self.calls[which].send(*outbound, now),
                Step::Collect { .. } => {
                    self.calls[which].state = State::Collecting;
                    None
                }
                Step::Drain { .. } => {
                    self.calls[which].state = State::Draining;
                    None
                }
                Step::Wait(_) => {
                    self.release(which);
                    self.calls[which].state = State::Waiting;
                    None
                }
                Step::Finish(Ok(delivery)) => {
                    if delivery.is_ended() {
                        self.release(which);
                    } else {
                        self.slots.hold(which as u64);
                    }
                    self.calls[which].state = State::Delivered(delivery);
                    None
                }
                Step::Finish(Err(_)) => {
                    self.calls[which].end();
                    self.release(which);
                    None
                }
            };
            match event.and_then(|event| self.calls[which].on(event, now)) {
                Some(next) => step = next,
                None => break,
            }
        }
    }

    /// Gives back the slot of this call, or its place in the queue.
    fn release(&mut self, which: usize) {
        self.calls[which].slot = None;
        self.granted.extend(self.slots.release(which as u64));
    }

    /// A delivered body that has ended holds no slot, whether or not it was read.
    fn release_when_ended(&mut self, which: usize) {
        let ended = match &self.calls[which].state {
            State::Delivered(delivery) => delivery.is_ended(),
            State::Over => true,
            State::Queued(_) | State::Sending | State::Collecting | State::Draining | State::Waiting => false,
        };
        if ended {
            self.release(which);
        }
    }

    /// Tells those whose deadline has passed, until there are none.
    fn expire(&mut self) {
        for turn in 0.. {
            assert!(turn < 1000, "it goes on without any time passing");
            let now = self.now();
            let late = |call: &Call| call.deadline().is_some_and(|deadline| deadline.at <= now.mono);
            let Some(which) = self.calls.iter().position(late) else { return };
            if self.calls[which].slot.is_none() {
                self.release(which);
            }
            let event = self.calls[which].expired(now);
            if let Some(event) = event {
                self.report(which, event);
            }
            self.release_when_ended(which);
            self.settle();
        }
    }

    /// Lets those go on who were granted a slot.
    fn settle(&mut self) {
        while let Some(ticket) = self.granted.pop_front() {
            let which = ticket as usize;
            // One that ended in the same turn has given its place back.
            if let State::Queued(origin) = &self.calls[which].state {
                let origin = origin.clone();
                self.calls[which].grant(origin);
                self.report(which, Event::Granted);
            }
        }
    }

    /// The slots in use are those of the calls that hold one.
    fn check(&self) {
        let holding = self.calls.iter().filter(|call| call.slot.is_some()).count();
        let queued = self.calls.iter().filter(|call| matches!(call.state, State::Queued(_))).count();
        assert_eq!((self.slots.in_flight() as usize, self.slots.queued() as usize), (holding, queued));
        assert!(self.queue.is_none_or(|most| self.slots.queued() <= most));
        for call in &self.calls {
            match &call.state {
                State::Queued(_) | State::Waiting | State::Over => assert_eq!(call.slot, None),
                State::Sending | State::Collecting | State::Draining => assert!(call.slot.is_some()),
                State::Delivered(delivery) => assert_eq!(call.slot.is_some(), !delivery.is_ended()),
            }
        }
    }
}

/// What bodies are made of, in both directions: no part of it is like another.
pub(super) fn noise() -> &'static [u8] {
    static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut entropy = Entropy::seeded(1);
        std::iter::repeat_with(|| entropy.draw().to_le_bytes()).take(REPLAY * 2 / 8 + 2).flatten().collect()
    });
    &NOISE
}
