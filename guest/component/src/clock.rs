//! Now, timers and entropy: the only calls to wasi:clocks and wasi:random.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use urlpool_core::{Entropy, Instant, Now};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::io::poll::Pollable;
use wasip2::random::random;

/// How long the wall clock is carried on by the monotonic one before it is read again.
///
/// It serves for the dates of `Retry-After`, which know whole seconds.
const CARRY: Duration = Duration::from_secs(1);

thread_local! {
    /// Both clocks when the wall clock was read last.
    static READ: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
    static LAST: Cell<Option<Now>> = const { Cell::new(None) };
}

/// Both clocks at this moment.
pub(crate) fn now() -> Now {
    let mono = mono();
    let carried = READ.get().filter(|(read, _)| mono.since(*read) < CARRY);
    let (read, wall) = carried.unwrap_or_else(|| {
        let wall = wall_clock::now();
        (mono, wall_time(wall.seconds, wall.nanoseconds))
    });
    READ.set(Some((read, wall)));
    let now = Now { mono, wall: wall.checked_add(mono.since(read)).unwrap_or(wall) };
    LAST.set(Some(now));
    now
}

/// Both clocks when they were read last, for what does not wait.
pub(crate) fn last() -> Now {
    LAST.get().unwrap_or_else(now)
}

/// The monotonic clock at this moment.
pub(crate) fn mono() -> Instant {
    Instant::from_nanos(monotonic_clock::now())
}

/// A pollable that is ready from this moment on.
pub(crate) fn timer(at: Instant) -> Pollable {
    monotonic_clock::subscribe_instant(at.as_nanos())
}

/// A pollable that is ready after this time.
pub(crate) fn timer_in(delay: Duration) -> Pollable {
    monotonic_clock::subscribe_duration(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX))
}

/// Randomness of the host, for jitter.
pub(crate) fn entropy() -> Entropy {
    Entropy::seeded(random::get_random_u64())
}

/// Randomness of the host, for a boundary that nobody can foresee.
pub(crate) fn boundary() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random::get_random_u64().to_be_bytes());
    bytes[8..].copy_from_slice(&random::get_random_u64().to_be_bytes());
    bytes
}

/// A wall clock set before 1970 or beyond what a date can hold counts as 1970.
fn wall_time(seconds: u64, nanos: u32) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanos.min(999_999_999))).unwrap_or(UNIX_EPOCH)
}
