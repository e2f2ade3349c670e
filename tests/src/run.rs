//! Running cases: each in a runtime of its own and under a deadline, some side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::rig::Rig;

/// No case waits for anything longer than a few seconds; what takes this long hangs.
pub const HANGS: Duration = Duration::from_secs(20);

/// How many cases run side by side: most wait for timers and sockets, not for a processor.
pub const SIDE_BY_SIDE: usize = 4;

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not, and what was seen instead.
    Failed(String),
    /// The host decides otherwise, and why; it was not run.
    NotHere(&'static str),
}

/// A case that is over.
#[derive(Clone)]
pub struct Verdict {
    /// Which one.
    pub case: Case,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// Runs a case on a runtime of its own, so that none disturbs another, under a deadline that a spinning component cannot stop.
pub fn run(case: Case, rig: &Arc<Rig>) -> Verdict {
    let begun = Instant::now();
    let outcome = match rig.excuse(&case) {
        Some(reason) => Outcome::NotHere(reason),
        None => match held(case, rig.clone()) {
            Ok(()) => Outcome::Passed,
            Err(seen) => Outcome::Failed(seen),
        },
    };
    Verdict { case, outcome, took: begun.elapsed() }
}

/// Runs these cases, some side by side, and tells of each as soon as it is over; the verdicts stand in the order of the cases.
pub fn run_all(cases: &[Case], rig: &Arc<Rig>, mut tell: impl FnMut(&Verdict)) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let (over, verdicts) = channel();
    let mut all: Vec<Option<Verdict>> = vec![None; cases.len()];
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(cases.len()) {
            let (next, over) = (&next, over.clone());
            scope.spawn(move || {
                while let Some((index, case)) = take(cases, next) {
                    // The receiver outlives this scope.
                    let _ = over.send((index, run(case, rig)));
                }
            });
        }
        drop(over);
        for (index, verdict) in verdicts {
            tell(&verdict);
            all[index] = Some(verdict);
        }
    });
    all.into_iter().flatten().collect()
}

fn take(cases: &[Case], next: &AtomicUsize) -> Option<(usize, Case)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    cases.get(index).map(|case| (index, *case))
}

fn held(case: Case, rig: Arc<Rig>) -> Result<(), String> {
    let (done, result) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let result = match runtime {
            Ok(runtime) => {
                let result = runtime.block_on((case.run)(&rig));
                runtime.shutdown_background();
                result
            }
            Err(error) => Err(error.into()),
        };
        // Nobody listens any more once the deadline has passed.
        let _ = done.send(result);
    });
    match result.recv_timeout(HANGS) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(RecvTimeoutError::Timeout) => Err(format!("hangs: not over after {HANGS:?}")),
        Err(RecvTimeoutError::Disconnected) => Err("panicked".into()),
    }
}
