//! A small executor that waits in the client.
//!
//! [`block_on`] runs a future, and whatever futures are joined in it, until it is complete. While all of them wait, it hands
//! everything they wait for to `pool.wait` at once. It starts no tasks of its own: `join!`, `select!` and
//! `FuturesUnordered` of the `futures` crate do that.
//!
//! ```ignore
//! let (one, other) = task::block_on(async {
//!     futures::join!(pool.get("http://a.test/1").start().into_future(), pool.get("http://a.test/2").start().into_future())
//! });
//! ```

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use wasip2::clocks::monotonic_clock;
use wasip2::io::poll::{self, Pollable};

use crate::convert;
use crate::pool::Pool;
use crate::wit::pool as wit;

/// Runs a future until it is complete.
///
/// Within another `block_on`, only what is inside the inner one goes on.
///
/// # Panics
///
/// When the future waits for nothing that could ever come, as one does that belongs to another executor.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let _running = Running::begin();
    let mut future = pin!(future);
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    loop {
        while woken.0.swap(false, Ordering::Relaxed) {
            if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                return result;
            }
        }
        let waiting = with(std::mem::take).unwrap_or_default();
        assert!(!waiting.watched.is_empty(), "the future waits for nothing that this executor knows");
        let left = waiting.wait();
        with(|reactor| reactor.watched.extend(left));
    }
}

/// Completes once any one of these is ready, or at once when there are none.
///
/// It drops them by then, and when it is dropped itself.
///
/// # Panics
///
/// When it is polled outside of [`block_on`].
pub async fn ready(pollables: Vec<Pollable>) {
    if !pollables.is_empty() {
        Ready { pollables: Some(pollables), watch: None }.await;
    }
}

/// Completes after this long.
///
/// # Panics
///
/// When it is polled outside of [`block_on`].
pub async fn sleep(duration: Duration) {
    let end = monotonic_clock::now().saturating_add(convert::nanoseconds(duration));
    while monotonic_clock::now() < end {
        ready(vec![monotonic_clock::subscribe_instant(end)]).await;
    }
}

/// Whether the code that asks runs under [`block_on`].
pub(crate) fn is_running() -> bool {
    with(|_| ()).is_some()
}

/// Has a pending exchange wake this waker once it has finished; none outside of [`block_on`].
pub(crate) fn watch_pending(pending: &Rc<wit::Pending>, pool: &Pool, waker: &Waker) -> Option<Watch> {
    watch(Waited::Pending(Rc::downgrade(pending), pool.clone()), waker)
}

fn watch(what: Waited, waker: &Waker) -> Option<Watch> {
    with(|reactor| {
        let key = Rc::new(());
        reactor.watched.push(Watched { key: Rc::downgrade(&key), what, waker: waker.clone() });
        Watch { key }
    })
}

/// Something that a future waits for; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Watch {
    key: Rc<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let key = Rc::downgrade(&self.key);
        // Its pollables are children of what may be dropped next.
        let gone = with(|reactor| {
            let (gone, kept) = std::mem::take(&mut reactor.watched).into_iter().partition(|one| one.key.ptr_eq(&key));
            reactor.watched = kept;
            gone
        });
        drop::<Option<Vec<Watched>>>(gone);
    }
}

/// What all futures under one [`block_on`] wait for.
#[derive(Default)]
struct Reactor {
    watched: Vec<Watched>,
}

struct Watched {
    key: Weak<()>,
    what: Waited,
    waker: Waker,
}

enum Waited {
    Pending(Weak<wit::Pending>, Pool),
    Pollables(Vec<Pollable>),
}

thread_local! {
    /// The innermost last.
    static RUNNING: RefCell<Vec<Reactor>> = const { RefCell::new(Vec::new()) };
}

fn with<T>(act: impl FnOnce(&mut Reactor) -> T) -> Option<T> {
    RUNNING.with_borrow_mut(|running| running.last_mut().map(act))
}

struct Running;

impl Running {
    fn begin() -> Self {
        RUNNING.with_borrow_mut(|running| running.push(Reactor::default()));
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = RUNNING.with_borrow_mut(Vec::pop);
        drop(ended);
    }
}

impl Reactor {
    /// Blocks until there is news, and wakes those who may want to know; the others are left.
    fn wait(self) -> Vec<Watched> {
        let mut exchanges = Vec::new();
        let mut pollables = Vec::new();
        let mut told = Vec::new();
        for watched in self.watched {
            match watched.what {
                Waited::Pending(pending, pool) => {
                    if let Some(strong) = pending.upgrade() {
                        exchanges.push((strong, pool, watched.key, watched.waker));
                    }
                }
                Waited::Pollables(more) => {
                    pollables.extend(more);
                    told.push(watched.waker);
                }
            }
        }
        let Some((_, pool, ..)) = exchanges.first() else {
            poll::poll(&pollables.iter().collect::<Vec<_>>());
            told.into_iter().for_each(Waker::wake);
            return Vec::new();
        };
        let lent: Vec<&wit::Pending> = exchanges.iter().map(|(pending, ..)| &**pending).collect();
        let finished = pool.raw().wait(&lent, pollables);
        // Which pollable was ready is not told, so whoever waits for any looks again.
        told.into_iter().for_each(Waker::wake);
        let mut left = Vec::new();
        for (index, (pending, pool, key, waker)) in exchanges.into_iter().enumerate() {
            if finished.contains(&(index as u32)) {
                waker.wake();
            } else {
                left.push(Watched { key, what: Waited::Pending(Rc::downgrade(&pending), pool), waker });
            }
        }
        left
    }
}

/// The future of [`ready`].
struct Ready {
    // Until it is polled first.
    pollables: Option<Vec<Pollable>>,
    watch: Option<Watch>,
}

impl Future for Ready {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(pollables) = self.pollables.take() {
            let watch = watch(Waited::Pollables(pollables), context.waker());
            self.watch = Some(watch.expect("a pollable is waited for under `block_on`, as its documentation says"));
            return Poll::Pending;
        }
        match &self.watch {
            // Still watched, so it is another one that woke the task.
            Some(watch) if is_watched(watch) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}

fn is_watched(watch: &Watch) -> bool {
    let key = Rc::downgrade(&watch.key);
    with(|reactor| reactor.watched.iter().any(|one| one.key.ptr_eq(&key))).unwrap_or(false)
}

/// Wakes the one future that `block_on` runs.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_needs_nothing_is_run_to_its_end() {
        let value = block_on(async {
            let mut turns = 0;
            std::future::poll_fn(|context| {
                turns += 1;
                if turns == 3 {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            turns
        });
        assert_eq!(value, 3);
        assert!(!is_running());
    }

    #[test]
    fn an_inner_one_does_not_end_the_outer_one() {
        block_on(async {
            assert_eq!(block_on(async { 1 }), 1);
            assert!(is_running());
        });
    }

    #[test]
    #[should_panic(expected = "waits for nothing")]
    fn a_future_of_another_executor_is_told_so() {
        block_on(std::future::pending::<()>());
    }
}
