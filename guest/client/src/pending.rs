//! A request being sent.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use wasip2::http::types::IncomingBody;
use wasip2::io::poll::Pollable;

use crate::error::{Attempt, Error, Mark};
use crate::pool::Pool;
use crate::response::Response;
use crate::task::{self, Watch};
use crate::wit::pool as wit;

/// A request being sent; dropping it cancels the exchange and frees its slot.
///
/// It moves whenever anything of this component waits in the client. Awaited under [`task::block_on`] it lets other
/// futures go on meanwhile; awaited elsewhere it blocks, as [`finish`](Self::finish) does, so that it never hangs. Under the
/// executor of somebody else, see [`finish_with`](Self::finish_with).
#[must_use = "dropping it cancels the request"]
pub struct Pending {
    // Before the parents of its body, which it may still read.
    state: State,
    parents: Vec<IncomingBody>,
    pool: Pool,
}

enum State {
    Begun(Rc<wit::Pending>),
    /// It could not be sent.
    Failed(Error),
    /// Handed over.
    Over,
}

impl Pending {
    pub(crate) fn begun(pending: wit::Pending, pool: Pool, parents: Vec<IncomingBody>) -> Self {
        Self { state: State::Begun(Rc::new(pending)), parents, pool }
    }

    pub(crate) fn failed(error: Error, pool: Pool) -> Self {
        Self { state: State::Failed(error), parents: Vec::new(), pool }
    }

    /// Waits for the response.
    ///
    /// # Errors
    ///
    /// Of any kind; see [`ErrorKind`](crate::ErrorKind).
    pub fn finish(mut self) -> Result<Response, Error> {
        self.take()
    }

    /// Moves all exchanges of this component as far as they go without blocking; true once this one has finished.
    pub fn advance(&self) -> bool {
        match &self.state {
            State::Begun(pending) => pending.advance(),
            State::Failed(_) | State::Over => true,
        }
    }

    /// The attempts so far that another followed, in order.
    pub fn history(&self) -> Vec<Attempt> {
        match &self.state {
            State::Begun(pending) => Attempt::lift_all(pending.history()),
            State::Failed(_) | State::Over => Vec::new(),
        }
    }

    /// What happened so far, in order.
    pub fn trace(&self) -> Vec<Mark> {
        self.raw().map(|pending| Mark::lift_all(pending.trace())).unwrap_or_default()
    }

    /// Waits for the response under any executor: `ready` is to complete once any one of the pollables is ready, and to drop
    /// them by then.
    ///
    /// With wstd, whose reactor takes the same pollables, `ready` is:
    ///
    /// ```ignore
    /// async fn ready(pollables: Vec<urlpool::Pollable>) {
    ///     let pollables: Vec<_> = pollables.into_iter().map(AsyncPollable::new).collect();
    ///     future::select_all(pollables.iter().map(AsyncPollable::wait_for)).await;
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Of any kind; see [`ErrorKind`](crate::ErrorKind).
    pub async fn finish_with(mut self, ready: impl AsyncFn(Vec<Pollable>)) -> Result<Response, Error> {
        while !self.advance() {
            if let State::Begun(pending) = &self.state {
                ready(pending.subscribe()).await;
            }
        }
        self.take()
    }

    /// Hands over what it came to, once; blocks until that is there.
    fn take(&mut self) -> Result<Response, Error> {
        let response = match std::mem::replace(&mut self.state, State::Over) {
            State::Begun(pending) => {
                let pending = Rc::into_inner(pending).expect("whoever else knows of it, knows it weakly");
                wit::Pending::finish(pending)
            }
            State::Failed(error) => return Err(error),
            State::Over => unreachable!("it is taken by value, or by a future that is complete then"),
        };
        self.parents.clear();
        Response::wrap(response?)
    }

    fn raw(&self) -> Option<&Rc<wit::Pending>> {
        match &self.state {
            State::Begun(pending) => Some(pending),
            State::Failed(_) | State::Over => None,
        }
    }
}

impl IntoFuture for Pending {
    type Output = Result<Response, Error>;
    type IntoFuture = Finishing;

    fn into_future(self) -> Finishing {
        Finishing { watch: None, pending: self }
    }
}

/// The future of a [`Pending`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Finishing {
    watch: Option<Watch>,
    pending: Pending,
}

impl Future for Finishing {
    type Output = Result<Response, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.watch = None;
        if !self.pending.advance()
            && let Some(raw) = self.pending.raw()
            && let Some(watch) = task::watch_pending(raw, &self.pending.pool, context.waker())
        {
            self.watch = Some(watch);
            return Poll::Pending;
        }
        Poll::Ready(self.pending.take())
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Begun(_) => f.write_str("Pending"),
            State::Failed(error) => write!(f, "Pending({error})"),
            State::Over => f.write_str("Pending(over)"),
        }
    }
}

/// What exchanges come to, in the order in which they finish.
#[derive(Debug)]
pub struct Completed {
    waiting: Vec<(usize, Pending)>,
    // Those known to have finished, at the end of `waiting`.
    finished: usize,
}

impl Completed {
    pub(crate) fn new(pending: impl IntoIterator<Item = Pending>) -> Self {
        Self { waiting: pending.into_iter().enumerate().collect(), finished: 0 }
    }

    /// Moves those that have finished to the end; blocks until there is one.
    fn wait(&mut self) {
        let raw = |(_, pending): &(usize, Pending)| pending.raw().cloned();
        let begun: Option<Vec<Rc<wit::Pending>>> = self.waiting.iter().map(raw).collect();
        let mut finished = match begun {
            Some(begun) => {
                let pool = self.waiting[0].1.pool.clone();
                let lent: Vec<&wit::Pending> = begun.iter().map(|pending| &**pending).collect();
                pool.raw().wait(&lent, Vec::new()).into_iter().map(|index| index as usize).collect()
            }
            // What could not be sent is over already.
            None => (0..self.waiting.len()).filter(|index| self.waiting[*index].1.raw().is_none()).collect::<Vec<_>>(),
        };
        self.finished = finished.len();
        // From the back, so that moving one does not move those that come next; the first to finish ends up last.
        finished.sort_unstable();
        for index in finished.into_iter().rev() {
            let done = self.waiting.remove(index);
            self.waiting.push(done);
        }
    }
}

impl Iterator for Completed {
    type Item = (usize, Result<Response, Error>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.finished == 0 {
            if self.waiting.is_empty() {
                return None;
            }
            self.wait();
        }
        self.finished -= 1;
        let (place, pending) = self.waiting.pop()?;
        Some((place, pending.finish()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.waiting.len(), Some(self.waiting.len()))
    }
}

impl ExactSizeIterator for Completed {}
