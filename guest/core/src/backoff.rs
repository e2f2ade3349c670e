//! How long to wait before the next attempt.

use std::time::{Duration, SystemTime};

use httpdate::HttpDate;

/// How a delay is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Not at all.
    None,
    /// By a random extra of up to this much.
    Additive(Duration),
    /// Evenly between zero and the delay.
    Full,
    /// Evenly between the base and three times the delay before.
    Decorrelated,
}

/// The delay that doubles, and how it is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay that doubles: retry n waits `base * 2^(n-1)`.
    pub base: Duration,
    /// The longest delay.
    pub ceiling: Duration,
    /// How delays that are not zero are spread.
    pub jitter: Jitter,
}

/// A tenth of a second, ten seconds, full jitter.
impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(100), ceiling: Duration::from_secs(10), jitter: Jitter::Full }
    }
}

impl Backoff {
    /// The delay before retry `nth`, counted from 1, when the delay before was `previous`.
    ///
    /// The first retry does not wait: most of what a retry mends is gone at once. A delay of zero
    /// is never spread, and none is longer than the ceiling. `entropy` decides where in its range
    /// the delay falls.
    pub fn delay(&self, nth: u32, previous: Duration, entropy: u64) -> Duration {
        let (base, ceiling) = (nanos(self.base), nanos(self.ceiling));
        // urllib3: no backoff after the first failure.
        let doublings = match nth {
            0 | 1 => return Duration::ZERO,
            nth => nth - 1,
        };
        if base == 0 || ceiling == 0 {
            return Duration::ZERO;
        }
        // A shift that would push a bit out is past any ceiling.
        let doubled = if doublings > base.leading_zeros() { u64::MAX } else { base << doublings };
        let plain = doubled.min(ceiling);
        let spread = match self.jitter {
            Jitter::None => plain,
            Jitter::Additive(extra) => plain.saturating_add(between(0, nanos(extra), entropy)),
            Jitter::Full => between(0, plain, entropy),
            // The first delay that is not zero has none before it: it counts from the base.
            Jitter::Decorrelated => between(base, nanos(previous).max(base).saturating_mul(3), entropy),
        };
        Duration::from_nanos(spread.min(ceiling))
    }
}

/// The wait that the value of a `Retry-After` asks for; none when it is malformed.
///
/// - Seconds are digits only (RFC 9110 section 10.2.3): no sign, no fraction. A number too large to hold is the largest there is.
/// - Dates are any of the three forms of RFC 9110 section 5.6.7. One that has passed is a wait of zero.
pub fn retry_after(value: &[u8], wall: SystemTime) -> Option<Duration> {
    let text = str::from_utf8(value.trim_ascii()).ok()?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = match obsolete_date(text, wall) {
        Some(date) => date,
        // No other form has a dash, and `httpdate` would take any character for the space before the time.
        None if text.contains('-') => return None,
        None => text.parse::<HttpDate>().ok()?,
    };
    Some(SystemTime::from(date).duration_since(wall).unwrap_or_default())
}

/// A number between both bounds, included, at the place in the range that `entropy` names.
fn between(low: u64, high: u64, entropy: u64) -> u64 {
    let span = u128::from(high.saturating_sub(low)) + 1;
    // The high half of the product is the entropy scaled to the span.
    low + u64::try_from((u128::from(entropy) * span) >> 64).unwrap_or(u64::MAX - low)
}

/// The duration in nanoseconds; the most there are when it is longer.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A date of the form `Sunday, 06-Nov-94 08:49:37 GMT`, in the century that RFC 9110 section 5.6.7 means.
///
/// `httpdate` splits the centuries at the year 70, whatever the year is now.
fn obsolete_date(text: &str, wall: SystemTime) -> Option<HttpDate> {
    let (weekday, rest) = text.split_once(", ")?;
    let (date, time) = rest.split_once(' ')?;
    let mut parts = date.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let two_digits = year.len() == 2 && year.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some() || !two_digits {
        return None;
    }
    let short = weekday.get(..3)?;
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    if !days.iter().any(|day| weekday == *day || (weekday == short && day.starts_with(short))) {
        return None;
    }
    let in_century =
        |century: u32| format!("{short}, {day} {month} {century:02}{year} {time}").parse::<HttpDate>().ok();
    // More than 50 years ahead means the last year in the past that ends like it. The weekday
    // alone leaves at most one of two centuries, so the nearer one is asked first.
    let horizon = wall.checked_add(Duration::from_secs(50 * 31_556_952))?;
    [21, 20, 19].into_iter().filter_map(in_century).find(|date| SystemTime::from(*date) <= horizon)
}
