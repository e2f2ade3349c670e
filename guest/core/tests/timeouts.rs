//! Which limit is nearest, and what it is called.

use std::time::{Duration, SystemTime};

use urlpool_core::timeouts::{Clock, Deadline};
use urlpool_core::{Instant, Now, Phase, Timeouts};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(after: u64) -> Instant {
    Instant::from_nanos(1_000).after(seconds(after))
}

fn begun(timeouts: &Timeouts) -> Clock {
    Clock::begin(timeouts, Now { mono: at(0), wall: SystemTime::UNIX_EPOCH })
}

fn none() -> Timeouts {
    Timeouts::default()
        .with_slot(None)
        .with_connect(None)
        .with_write(None)
        .with_first_byte(None)
        .with_between_bytes(None)
}

fn deadline(after: u64, phase: Phase) -> Option<Deadline> {
    Some(Deadline { at: at(after), phase })
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let limits = [Phase::Slot, Phase::Connect, Phase::Write, Phase::FirstByte, Phase::BetweenBytes, Phase::Total]
        .map(|phase| (phase.to_string(), Timeouts::default().limit(phase)));
    let expected = [
        ("slot", Some(30)),
        ("connect", Some(10)),
        ("write", Some(60)),
        ("first-byte", Some(60)),
        ("between-bytes", Some(60)),
        ("total", None),
    ];
    assert_eq!(limits, expected.map(|(name, limit)| (name.to_owned(), limit.map(seconds))));
}

#[test]
fn each_setter_sets_its_own_phase() {
    let timeouts = Timeouts::default()
        .with_slot(Some(seconds(1)))
        .with_connect(Some(seconds(2)))
        .with_write(Some(seconds(3)))
        .with_first_byte(Some(seconds(4)))
        .with_between_bytes(Some(seconds(5)))
        .with_total(Some(seconds(6)));
    let phases = [Phase::Slot, Phase::Connect, Phase::Write, Phase::FirstByte, Phase::BetweenBytes, Phase::Total];
    assert_eq!(phases.map(|phase| timeouts.limit(phase)), [1, 2, 3, 4, 5, 6].map(|limit| Some(seconds(limit))));
}

#[test]
fn without_limits_nothing_has_a_deadline() {
    let clock = begun(&none());
    let mut attempt = clock.attempt(at(0));
    assert_eq!((clock.slot(at(0)), clock.body(at(0)), clock.overall(), attempt.nearest()), (None, None, None, None));
    attempt.sent(at(1));
    assert_eq!(attempt.nearest(), None);
    assert_eq!((clock.remaining(at(5)), clock.clip(at(7))), (None, at(7)));
}

#[test]
fn a_slot_is_waited_for_from_when_it_was_asked_for() {
    assert_eq!(begun(&Timeouts::default()).slot(at(5)), deadline(35, Phase::Slot));
}

#[test]
fn the_total_is_named_where_it_is_nearer() {
    let clock = begun(&Timeouts::default().with_total(Some(seconds(20))));
    assert_eq!(clock.slot(at(5)), deadline(20, Phase::Total));
    assert_eq!(clock.body(at(5)), deadline(20, Phase::Total));
    assert_eq!(clock.attempt(at(5)).nearest(), deadline(20, Phase::Total));
    assert_eq!(clock.overall(), deadline(20, Phase::Total));
}

#[test]
fn the_total_holds_where_a_phase_has_no_limit() {
    let clock = begun(&none().with_total(Some(seconds(20))));
    assert_eq!(clock.slot(at(5)), deadline(20, Phase::Total));
    assert_eq!(clock.body(at(5)), deadline(20, Phase::Total));
    assert_eq!(clock.attempt(at(5)).nearest(), deadline(20, Phase::Total));
}

#[test]
fn the_phase_is_named_where_the_total_is_as_near() {
    let clock = begun(&Timeouts::default().with_total(Some(seconds(35))));
    assert_eq!(clock.slot(at(5)), deadline(35, Phase::Slot));
}

#[test]
fn what_is_left_of_the_total_ends_at_zero() {
    let clock = begun(&Timeouts::default().with_total(Some(seconds(20))));
    assert_eq!([5, 20, 25].map(|now| clock.remaining(at(now))), [15, 0, 0].map(|left| Some(seconds(left))));
    assert_eq!(clock.elapsed(at(25)), seconds(25));
    assert_eq!((clock.clip(at(7)), clock.clip(at(30))), (at(7), at(20)));
}

#[test]
fn a_pause_in_a_body_counts_from_the_last_piece() {
    let clock = begun(&Timeouts::default());
    assert_eq!(clock.body(at(5)), deadline(65, Phase::BetweenBytes));
    assert_eq!(clock.body(at(50)), deadline(110, Phase::BetweenBytes));
}

#[test]
fn writing_may_connect_first() {
    let mut attempt = begun(&Timeouts::default().with_write(Some(seconds(5)))).attempt(at(2));
    assert_eq!(attempt.nearest(), deadline(17, Phase::Write));
    attempt.wrote(at(4));
    assert_eq!(attempt.nearest(), deadline(9, Phase::Write));
    attempt.wrote(at(8));
    assert_eq!(attempt.nearest(), deadline(13, Phase::Write));
}

/// Once an upload from a source slower than the network was cut after the limits of writing and connecting, though it never paused.
#[test]
fn a_body_that_comes_slowly_is_not_a_pause() {
    let mut attempt = begun(&Timeouts::default()).attempt(at(0));
    for second in 1..=120 {
        attempt.accepted(1, at(second));
    }
    // Nothing proves the connection yet, so making it is still allowed for.
    assert_eq!(attempt.nearest(), deadline(190, Phase::Write));
    attempt.wrote(at(121));
    attempt.accepted(1, at(122));
    assert_eq!(attempt.nearest(), deadline(182, Phase::Write));
}

#[test]
fn more_than_a_host_holds_back_proves_the_connection() {
    let mut attempt = begun(&Timeouts::default().with_write(Some(seconds(5)))).attempt(at(2));
    attempt.accepted(4 << 20, at(3));
    assert_eq!(attempt.nearest(), deadline(18, Phase::Write));
    attempt.accepted(1, at(3));
    assert_eq!(attempt.nearest(), deadline(8, Phase::Write));
}

#[test]
fn a_request_that_is_sent_at_once_may_connect_before_its_first_byte() {
    let mut attempt = begun(&Timeouts::default()).attempt(at(2));
    attempt.sent(at(2));
    assert_eq!(attempt.nearest(), deadline(72, Phase::FirstByte));
}

#[test]
fn after_an_upload_that_moved_the_first_byte_counts_from_its_end() {
    let mut attempt = begun(&Timeouts::default()).attempt(at(2));
    attempt.wrote(at(3));
    attempt.sent(at(40));
    assert_eq!(attempt.nearest(), deadline(100, Phase::FirstByte));
}

#[test]
fn the_limit_of_connecting_alone_is_the_hosts_to_keep() {
    let clock = begun(&none().with_connect(Some(seconds(10))));
    let mut attempt = clock.attempt(at(0));
    assert_eq!(attempt.nearest(), None);
    attempt.sent(at(0));
    assert_eq!(attempt.nearest(), None);
    assert_eq!(attempt.host_options(at(0), true).connect, Some(seconds(10)));
}

#[test]
fn the_host_is_told_the_limits_and_a_pause_in_the_body_later_than_ours() {
    let options = begun(&Timeouts::default()).attempt(at(0)).host_options(at(0), true);
    assert_eq!(options.connect, Some(seconds(10)));
    assert_eq!(options.first_byte, Some(seconds(60)));
    assert_eq!(options.between_bytes, Some(seconds(61)));
}

#[test]
fn the_host_is_told_no_first_byte_while_a_body_is_still_to_come() {
    let options = begun(&Timeouts::default()).attempt(at(0)).host_options(at(0), false);
    assert_eq!((options.connect, options.first_byte), (Some(seconds(10)), None));
}

#[test]
fn the_host_is_told_no_more_than_the_total_leaves_and_a_second() {
    let attempt = begun(&none().with_first_byte(Some(seconds(60))).with_total(Some(seconds(20)))).attempt(at(5));
    let options = attempt.host_options(at(5), true);
    assert_eq!(
        [options.connect, options.first_byte, options.between_bytes],
        [Some(seconds(16)), Some(seconds(16)), Some(seconds(16))],
    );
    assert_eq!(attempt.host_options(at(5), false).first_byte, Some(seconds(16)));
}

#[test]
fn the_host_is_never_told_zero() {
    let zero = Some(Duration::ZERO);
    let timeouts = none().with_connect(zero).with_first_byte(zero).with_between_bytes(zero);
    let options = begun(&timeouts).attempt(at(0)).host_options(at(0), true);
    assert_eq!((options.connect, options.first_byte), (Some(Duration::from_nanos(1)), Some(Duration::from_nanos(1))));
}

#[test]
fn a_limit_of_zero_passes_at_once() {
    assert_eq!(begun(&none().with_slot(Some(Duration::ZERO))).slot(at(3)), deadline(3, Phase::Slot));
}

#[test]
fn the_longest_durations_do_not_overflow() {
    let longest = Some(Duration::MAX);
    let timeouts = Timeouts::default()
        .with_slot(longest)
        .with_connect(longest)
        .with_write(longest)
        .with_first_byte(longest)
        .with_between_bytes(longest)
        .with_total(longest);
    let clock = begun(&timeouts);
    let end = Instant::from_nanos(u64::MAX);
    let mut attempt = clock.attempt(at(1));
    assert_eq!(attempt.nearest(), Some(Deadline { at: end, phase: Phase::Write }));
    attempt.sent(at(1));
    assert_eq!(attempt.nearest(), Some(Deadline { at: end, phase: Phase::FirstByte }));
    assert_eq!(clock.slot(at(1)), Some(Deadline { at: end, phase: Phase::Slot }));
    assert_eq!(clock.body(at(1)), Some(Deadline { at: end, phase: Phase::BetweenBytes }));
    assert!(attempt.host_options(at(1), true).connect.is_some());
}
