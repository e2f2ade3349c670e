//! `Retry-After`, and the delays between attempts.

use std::time::{Duration, SystemTime};

use arbitrary::{Arbitrary, Unstructured};
use urlpool_core::backoff::{Backoff, Jitter, retry_after};

/// Holds of every `Retry-After` and every delay:
///
/// - digits are seconds, and every form of a date is the time until then, by a calendar of our own
/// - no delay is longer than its ceiling, and the first retry has none
pub fn retry_after_and_delays(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let Ok(asked) = Asked::arbitrary(&mut input) else { return };
    asked.check_dates();
    asked.check_delay();
    let value = input.take_rest();
    let wall = SystemTime::UNIX_EPOCH + Duration::new(u64::from(asked.wall), 0);
    let wait = retry_after(value, wall);
    let text = value.trim_ascii();
    if !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
        let seconds =
            text.iter().fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
        assert_eq!(wait, Some(Duration::from_secs(seconds)));
    } else if wait.is_some() {
        // Only dates are left, and each has two colons and begins with a day of the week. `httpdate` trims more than a header has.
        let text = String::from_utf8_lossy(text);
        let text = text.trim();
        assert!(text.is_ascii() && text.matches(':').count() == 2, "{text:?}");
        assert!(DAYS.iter().any(|day| text.starts_with(&day[..3])), "{text:?}");
    }
}

#[derive(Arbitrary, Debug)]
struct Asked {
    wall: u32,
    /// The date, in seconds from the wall.
    ahead: i32,
    base: u64,
    ceiling: u64,
    previous: u64,
    nth: u32,
    entropy: u64,
    jitter: Option<Option<Option<u64>>>,
}

impl Asked {
    fn check_dates(&self) {
        let Some(date) = u64::from(self.wall).checked_add_signed(i64::from(self.ahead)) else { return };
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(self.wall));
        let expected = Some(Duration::from_secs(date.saturating_sub(u64::from(self.wall))));
        let (year, month, day) = civil(date / 86_400);
        let weekday = DAYS[(date / 86_400 % 7) as usize];
        let (short, name) = (&weekday[..3], MONTHS[month - 1]);
        let time = format!("{:02}:{:02}:{:02}", date / 3600 % 24, date / 60 % 60, date % 60);
        let two = year % 100;
        for text in [
            format!("{short}, {day:02} {name} {year} {time} GMT"),
            format!("{weekday}, {day:02}-{name}-{two:02} {time} GMT"),
            format!("{short} {name} {day:2} {time} {year}"),
        ] {
            // Two digits of a year are those of one within 50 years.
            if text.contains('-') && self.ahead.unsigned_abs() > 49 * 31_556_952 {
                continue;
            }
            assert_eq!(retry_after(text.as_bytes(), wall), expected, "{text}");
        }
    }

    fn check_delay(&self) {
        let jitter = match self.jitter {
            None => Jitter::None,
            Some(None) => Jitter::Full,
            Some(Some(None)) => Jitter::Decorrelated,
            Some(Some(Some(extra))) => Jitter::Additive(Duration::from_nanos(extra)),
        };
        let [base, ceiling, previous] = [self.base, self.ceiling, self.previous].map(Duration::from_nanos);
        let backoff = Backoff { base, ceiling, jitter };
        let delay = |backoff: Backoff| backoff.delay(self.nth, previous, self.entropy);
        let spread = delay(backoff);
        assert!(spread <= ceiling);
        assert!(self.nth > 1 || spread.is_zero());
        assert!(!base.is_zero() || spread.is_zero());
        let plain = delay(Backoff { jitter: Jitter::None, ..backoff });
        let expected = match self.nth {
            0 | 1 => 0,
            nth => u128::from(self.base).saturating_mul(2_u128.saturating_pow(nth - 1)).min(u128::from(self.ceiling)),
        };
        assert_eq!(plain.as_nanos(), expected);
        match jitter {
            Jitter::None => assert_eq!(spread, plain),
            Jitter::Additive(_) => assert!(spread >= plain),
            Jitter::Full => assert!(spread <= plain),
            Jitter::Decorrelated => {
                assert!(plain.is_zero() || spread >= base.min(ceiling));
                assert!(spread.as_nanos() <= previous.max(base).as_nanos() * 3);
            }
        }
    }
}

/// The year, month and day of the Gregorian calendar, so many days after the first of January 1970.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

/// From the day of the epoch on.
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
