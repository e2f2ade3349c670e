//! How long to wait before the next attempt.

use std::time::{Duration, SystemTime};

use urlpool_core::backoff::{Backoff, Jitter, retry_after};

const TENTH: Duration = Duration::from_millis(100);
const NEVER: Duration = Duration::from_secs(3600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
fn example() -> SystemTime {
    SystemTime::UNIX_EPOCH + seconds(784_111_777)
}

/// Sun, 22 Nov 2026 12:00:00 GMT.
fn in_2026() -> SystemTime {
    SystemTime::UNIX_EPOCH + seconds(1_795_348_800)
}

fn delays(jitter: Jitter, ceiling: Duration, entropy: u64) -> Vec<Duration> {
    let backoff = Backoff { base: TENTH, ceiling, jitter };
    let mut previous = Duration::ZERO;
    (1..=6)
        .map(|nth| {
            previous = backoff.delay(nth, previous, entropy);
            previous
        })
        .collect()
}

#[test]
fn the_first_retry_does_not_wait_and_then_the_delay_doubles() {
    let expected = [0, 200, 400, 800, 1600, 3200].map(Duration::from_millis);
    assert_eq!(delays(Jitter::None, NEVER, 0), expected);
}

#[test]
fn no_delay_is_longer_than_the_ceiling() {
    let expected = [0, 200, 400, 500, 500, 500].map(Duration::from_millis);
    assert_eq!(delays(Jitter::None, Duration::from_millis(500), 0), expected);
    for jitter in [Jitter::Additive(NEVER), Jitter::Full, Jitter::Decorrelated] {
        let most = delays(jitter, Duration::from_millis(500), u64::MAX);
        assert!(most.iter().all(|delay| *delay <= Duration::from_millis(500)), "{jitter:?}: {most:?}");
    }
}

#[test]
fn the_two_thousandth_delay_is_the_ceiling() {
    for jitter in [Jitter::None, Jitter::Additive(Duration::MAX), Jitter::Full, Jitter::Decorrelated] {
        let backoff = Backoff { base: TENTH, ceiling: seconds(10), jitter };
        assert_eq!(backoff.delay(2000, seconds(10), u64::MAX), seconds(10), "{jitter:?}");
        assert_eq!(backoff.delay(u32::MAX, seconds(10), u64::MAX), seconds(10), "{jitter:?}");
    }
}

#[test]
fn durations_beyond_counting_do_not_overflow() {
    let backoff = Backoff { base: Duration::MAX, ceiling: Duration::MAX, jitter: Jitter::Decorrelated };
    assert_eq!(backoff.delay(2000, Duration::MAX, u64::MAX), Duration::from_nanos(u64::MAX));
}

/// Before, a delay whose highest bit is set counted as one that cannot be counted. Since then it is what it is.
#[test]
fn a_delay_doubles_as_long_as_it_can_be_counted() {
    let backoff = Backoff { base: Duration::from_nanos(1 << 61), ceiling: Duration::MAX, jitter: Jitter::None };
    let delays = [2, 3, 4].map(|nth| backoff.delay(nth, Duration::ZERO, 0));
    assert_eq!(delays, [1 << 62, 1 << 63, u64::MAX].map(Duration::from_nanos));
}

#[test]
fn a_base_of_zero_never_waits() {
    for jitter in [Jitter::None, Jitter::Additive(seconds(1)), Jitter::Full, Jitter::Decorrelated] {
        let backoff = Backoff { base: Duration::ZERO, ceiling: seconds(10), jitter };
        assert_eq!(backoff.delay(5, seconds(1), u64::MAX), Duration::ZERO, "{jitter:?}");
    }
}

#[test]
fn additive_jitter_adds_up_to_the_extra() {
    let jitter = Jitter::Additive(TENTH);
    assert_eq!(delays(jitter, NEVER, 0)[1], Duration::from_millis(200));
    assert_eq!(delays(jitter, NEVER, u64::MAX)[1], Duration::from_millis(300));
}

#[test]
fn full_jitter_is_between_zero_and_the_delay() {
    assert_eq!(delays(Jitter::Full, NEVER, 0)[2], Duration::ZERO);
    assert_eq!(delays(Jitter::Full, NEVER, u64::MAX / 2)[2], Duration::from_millis(200));
    assert_eq!(delays(Jitter::Full, NEVER, u64::MAX)[2], Duration::from_millis(400));
}

#[test]
fn decorrelated_jitter_is_between_the_base_and_three_times_the_delay_before() {
    assert_eq!(delays(Jitter::Decorrelated, NEVER, 0)[1..], [TENTH; 5]);
    let most = [0, 300, 900, 2700, 8100, 24300].map(Duration::from_millis);
    assert_eq!(delays(Jitter::Decorrelated, NEVER, u64::MAX), most);
}

#[test]
fn retry_after_counts_seconds() {
    for (value, expected) in [("0", 0), ("1", 1), ("120", 120), (" 7\t", 7), ("007", 7)] {
        assert_eq!(retry_after(value.as_bytes(), example()), Some(seconds(expected)), "{value:?}");
    }
}

#[test]
fn retry_after_of_more_seconds_than_can_be_counted_is_the_most_there_are() {
    assert_eq!(retry_after(&[b'9'; 400], example()), Some(Duration::from_secs(u64::MAX)));
}

#[test]
fn retry_after_takes_all_three_forms_of_a_date() {
    let wall = example() - seconds(90);
    for value in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
        assert_eq!(retry_after(value.as_bytes(), wall), Some(seconds(90)), "{value:?}");
    }
}

#[test]
fn retry_after_a_date_that_has_passed_is_at_once() {
    for value in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
        assert_eq!(retry_after(value.as_bytes(), in_2026()), Some(Duration::ZERO), "{value:?}");
    }
}

/// Before: `httpdate` reads the year 70 and all above as of the last century, whatever the year is now.
#[test]
fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
    // 1 January 2075 is a Tuesday, and so is that of 2030, which no rule of centuries touches.
    assert_eq!(retry_after(b"Tuesday, 01-Jan-75 00:00:00 GMT", in_2026()), Some(seconds(1_518_177_600)));
    assert_eq!(retry_after(b"Tuesday, 01-Jan-30 00:00:00 GMT", in_2026()), Some(seconds(98_107_200)));
    // 1 January 1980 was a Tuesday; that of 2080 is more than 50 years ahead.
    assert_eq!(retry_after(b"Tuesday, 01-Jan-80 00:00:00 GMT", in_2026()), Some(Duration::ZERO));
}

/// Before, of the day of the week in a date with two digits of a year only three letters were read.
#[test]
fn a_day_of_the_week_is_read_to_its_end() {
    for day in ["Sundae", "Sun\u{1}day", "Su", "Sund", "sunday", "Sunday "] {
        assert_eq!(retry_after(format!("{day}, 06-Nov-94 08:49:37 GMT").as_bytes(), example()), None, "{day:?}");
    }
}

/// Before, any character passed for the space between a date with two digits of a year and its time, and that date was then read in
/// the century of `httpdate`.
#[test]
fn a_space_stands_between_a_date_and_its_time() {
    for space in [':', '-', 'T'] {
        let value = format!("Sunday, 06-Nov-94{space}08:49:37 GMT");
        assert_eq!(retry_after(value.as_bytes(), example()), None, "{value}");
    }
}

#[test]
fn a_malformed_retry_after_is_none() {
    let values = [
        "",
        " ",
        "soon",
        "-5",
        "+5",
        "1.5",
        "1e3",
        "5s",
        "0x10",
        "1, 2",
        "\u{665}",
        "Sun, 06 Nov 1994",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06-Nov 08:49:37 GMT",
        "Sunday, 06-Nov-94-01 08:49:37 GMT",
        "\u{7b2c}, 06-Nov-94 08:49:37 GMT",
    ];
    for value in values {
        assert_eq!(retry_after(value.as_bytes(), example()), None, "{value:?}");
    }
    assert_eq!(retry_after(b"\xff\xfe", example()), None);
}
