//! Runs checks side by side, tells each outcome, and counts them.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use urlpool_conformance::Rig;

use crate::check::{Check, Run};
use crate::need::Need;
use crate::{checks, group};

/// Runs the checks whose names hold one of the filters, or all without any.
pub(crate) fn run(filters: &[String]) -> ExitCode {
    let wanted: Vec<Check> = checks::all()
        .into_iter()
        .filter(|check| filters.is_empty() || filters.iter().any(|filter| check.title().contains(filter)))
        .collect();
    if wanted.is_empty() {
        eprintln!("no check is named like {}", filters.join(" or "));
        return ExitCode::FAILURE;
    }
    // Compiled once; every check makes instances of its own.
    let rig: &'static Rig = match Rig::embedded() {
        Ok(rig) => Box::leak(Box::new(rig)),
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    };

    std::thread::spawn(stop_when_asked);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(check) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let outcome = outcome(check, rig);
                    outcome.tell(check, begun.elapsed());
                    done.lock().expect("nobody panics with it").push((check.title(), outcome));
                }
            });
        }
    });
    // A check that hangs has not let go of its servers.
    group::stop_all();
    conclude(&done.into_inner().expect("nobody panics with it"))
}

/// Programs in groups of their own do not hear when somebody ends this one from the keyboard.
fn stop_when_asked() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
        group::stop_all();
        std::process::exit(INTERRUPTED);
    }
}

/// What a shell tells of a program that was ended from the keyboard.
const INTERRUPTED: i32 = 130;

/// Most checks wait for a server or a timer, so two of them share a processor well.
const SIDE_BY_SIDE: usize = 3;

enum Outcome {
    Passed,
    Failed(anyhow::Error),
    Skipped(Vec<Need>),
}

impl Outcome {
    fn tell(&self, check: &Check, time: Duration) {
        let title = check.title();
        match self {
            Self::Passed => println!("ok    {title} ({:.1} s)", time.as_secs_f64()),
            Self::Failed(error) => {
                // What a server saw may be hundreds of lines, and begins with what matters.
                let why: String = format!("{error:#}").chars().take(2_000).collect();
                println!("FAIL  {title} ({:.1} s)\n      {why}", time.as_secs_f64());
            }
            Self::Skipped(missing) => println!("SKIP  {title}: {}", names(missing)),
        }
    }
}

/// Runs a check on a runtime of its own, under a deadline that a spinning component cannot stop.
fn outcome(check: &Check, rig: &'static Rig) -> Outcome {
    let missing: Vec<Need> = check.needs.iter().copied().filter(|need| need.find().is_none()).collect();
    if !missing.is_empty() {
        return Outcome::Skipped(missing);
    }
    let (done, result) = channel();
    let (run, patience) = (check.run, check.patience);
    std::thread::spawn(move || {
        // Nobody listens any more once the deadline has passed.
        let _ = done.send(on_own_runtime(run, patience, rig));
    });
    let result = match result.recv_timeout(patience) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(anyhow!("hangs: not over after {patience:?}")),
        Err(RecvTimeoutError::Disconnected) => Err(anyhow!("panicked")),
    };
    match result {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(error),
    }
}

fn on_own_runtime(run: Run, patience: Duration, rig: &'static Rig) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(async {
        // Sooner than the deadline outside, so that servers are stopped where nothing spins.
        match tokio::time::timeout(patience - Duration::from_secs(5), run(rig)).await {
            Ok(result) => result,
            Err(_) => bail!("hangs: not over in time"),
        }
    });
    runtime.shutdown_background();
    result
}

/// Tells what did not pass once more, where it is not overlooked, and closes with the counts.
fn conclude(done: &[(String, Outcome)]) -> ExitCode {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    println!();
    for (title, outcome) in done {
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Failed(_) => {
                println!("FAIL  {title}");
                failed += 1;
            }
            Outcome::Skipped(missing) => {
                println!("SKIP  {title}: {}", names(missing));
                skipped += 1;
            }
        }
    }
    if skipped > 0 {
        println!("WARNING: {skipped} checks were skipped, so what they prove is not proved by this run");
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn names(missing: &[Need]) -> String {
    let names: Vec<_> = missing.iter().map(|need| need.to_string()).collect();
    names.join(", ")
}
