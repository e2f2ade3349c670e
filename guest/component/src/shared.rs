//! What the calls of one pool share, and the slots that they hold.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use urlpool_core::slots::Ticket;
use urlpool_core::{Entropy, Policy, Request, Slots, Target};

use crate::outgoing::Unfinished;
use crate::{clock, drive};

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
    pub(crate) fn entropy_for(&self, request: &Request) -> Entropy {
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
        drive::give_up_place(&self.pool, self.ticket);
    }
}
