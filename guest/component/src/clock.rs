//! Now, timers and entropy: the only calls to wasi:clocks and wasi:random.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use urlpool_core::{Entropy, Instant, Now};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::io::poll::Pollable;
use wasip2::random::random;

/// Both clocks at this moment.
pub(crate) fn now() -> Now {
    let wall = wall_clock::now();
    Now { mono: mono(), wall: wall_time(wall.seconds, wall.nanoseconds) }
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

/// Randomness of the host.
pub(crate) fn entropy() -> Entropy {
    Entropy::seeded(random::get_random_u64())
}

/// A wall clock set before 1970 or beyond what a date can hold counts as 1970.
fn wall_time(seconds: u64, nanos: u32) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanos.min(999_999_999))).unwrap_or(UNIX_EPOCH)
}
