//! When a request is sent again.
//!
//! Longer than most files: causes, limits, methods and waits are judged together, and so are tested side by side.

use std::time::{Duration, SystemTime};

use http::Method;
use urlpool_core::backoff::Jitter;
use urlpool_core::code::{ErrorCode, FieldSize};
use urlpool_core::failure::Failure;
use urlpool_core::retry::{AtLimit, Call, Count, Judged, Limit, Refusal, Sent, Tally, Verdict};
use urlpool_core::timeouts::Clock;
use urlpool_core::{Headers, Instant, Invalid, Now, Phase, Retry, Timeouts};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A call whose attempts are judged one after another, at a time the test sets.
struct Script {
    retry: Retry,
    method: Method,
    idempotency_key: bool,
    replayable: bool,
    tally: Tally,
    timeouts: Timeouts,
    now: Duration,
    entropy: u64,
}

/// Delays without jitter.
fn script(retry: Retry) -> Script {
    jittered(retry.with_jitter(Jitter::None))
}

fn jittered(retry: Retry) -> Script {
    Script {
        retry,
        method: Method::GET,
        idempotency_key: false,
        replayable: true,
        tally: Tally::default(),
        timeouts: Timeouts::default(),
        now: Duration::ZERO,
        entropy: 7,
    }
}

impl Script {
    fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    fn with_key(mut self) -> Self {
        self.idempotency_key = true;
        self
    }

    fn one_shot(mut self) -> Self {
        self.replayable = false;
        self
    }

    fn total(mut self, limit: Duration, now: Duration) -> Self {
        self.timeouts.set_total(Some(limit));
        self.now = now;
        self
    }

    fn entropy(mut self, entropy: u64) -> Self {
        self.entropy = entropy;
        self
    }

    /// What the policy says, with the retry counted if it is made.
    fn judge(&mut self, outcome: Judged<'_>) -> Verdict {
        let start = Now { mono: Instant::from_nanos(0), wall: SystemTime::UNIX_EPOCH + seconds(784_111_777) };
        let now = Now { mono: start.mono.after(self.now), wall: start.wall + self.now };
        let clock = Clock::begin(&self.timeouts, start);
        let sent = Sent { method: &self.method, idempotency_key: self.idempotency_key, replayable: self.replayable };
        let call = Call { tally: &self.tally, clock: &clock, entropy: self.entropy, now };
        let verdict = self.retry.judge(&sent, outcome, &call);
        if let Verdict::Again { delay, counts } = verdict {
            self.tally.add(counts, delay);
        }
        verdict
    }

    fn failed(&mut self, code: ErrorCode) -> Verdict {
        self.judge(Judged::Failed(&Failure::Failed(code)))
    }

    fn timed_out(&mut self, phase: Phase) -> Verdict {
        self.judge(Judged::Failed(&Failure::TimedOut(phase)))
    }

    fn answered(&mut self, status: u16, retry_after: &[&str]) -> Verdict {
        let headers = retry_after_headers(retry_after);
        self.judge(Judged::Answered { status, headers: &headers })
    }

    fn before_hop(&self, retry_after: &[&str]) -> Result<Duration, Refusal> {
        let start = Now { mono: Instant::from_nanos(0), wall: SystemTime::UNIX_EPOCH };
        let clock = Clock::begin(&self.timeouts, start);
        let now = Now { mono: start.mono.after(self.now), wall: start.wall + self.now };
        let call = Call { tally: &self.tally, clock: &clock, entropy: self.entropy, now };
        self.retry.before_hop(&retry_after_headers(retry_after), &call)
    }
}

fn retry_after_headers(values: &[&str]) -> Headers {
    let mut headers = Headers::new();
    for value in values {
        headers.append_received("Retry-After", value.as_bytes());
    }
    headers
}

fn again(delay: Duration, counts: Count) -> Verdict {
    Verdict::Again { delay, counts }
}

const RESET: ErrorCode = ErrorCode::ConnectionTerminated;
const REFUSED: ErrorCode = ErrorCode::ConnectionRefused;

#[test]
fn three_retries_are_made_by_default() {
    let mut call = script(Retry::default());
    let verdicts: Vec<_> = (0..4).map(|_| call.failed(RESET)).collect();
    assert_eq!(verdicts[..3], [0, 200, 400].map(|delay| again(millis(delay), Count::Read)));
    assert_eq!(verdicts[3], Verdict::Exhausted(Limit::Total));
}

#[test]
fn a_status_is_not_retried_unless_listed() {
    for status in [200, 301, 400, 404, 408, 413, 421, 425, 429, 500, 501, 502, 503, 504, 505, 511] {
        assert_eq!(script(Retry::default()).answered(status, &[]), Verdict::Accept, "{status}");
    }
    for status in [408, 421, 425, 503] {
        let verdict = script(Retry::default().with_statuses([408, 421, 425, 503])).answered(status, &[]);
        assert_eq!(verdict, again(Duration::ZERO, Count::Status), "{status}");
    }
}

#[test]
fn listed_statuses_are_retried_within_the_limits() {
    let mut call = script(Retry::default().with_statuses([503]).with_total(2));
    assert_eq!(call.answered(503, &[]), again(millis(0), Count::Status));
    assert_eq!(call.answered(503, &[]), again(millis(200), Count::Status));
    assert_eq!(call.answered(200, &[]), Verdict::Accept);
    assert_eq!(call.answered(503, &[]), Verdict::Exhausted(Limit::Total));
}

#[test]
fn never_gives_the_first_outcome_as_it_is() {
    let never = Retry::never().with_statuses([503]).with_total(5);
    assert_eq!(script(never.clone()).answered(503, &["1"]), Verdict::Accept);
    assert_eq!(script(never).failed(REFUSED), Verdict::Accept);
}

#[test]
fn no_retry_in_total_is_used_up_at_once() {
    let none = Retry::default().with_total(0).with_statuses([503]);
    assert_eq!(script(none.clone()).answered(503, &[]), Verdict::Exhausted(Limit::Total));
    assert_eq!(script(none.clone()).failed(REFUSED), Verdict::Exhausted(Limit::Total));
    assert_eq!(script(none).answered(200, &[]), Verdict::Accept);
}

#[test]
fn each_cause_has_a_limit_of_its_own() {
    let mut call = script(Retry::default().with_connect(1).with_total(5));
    assert_eq!(call.failed(REFUSED), again(millis(0), Count::Connect));
    assert_eq!(call.failed(REFUSED), Verdict::Exhausted(Limit::Cause(Count::Connect)));
    assert_eq!(call.failed(RESET), again(millis(200), Count::Read));

    assert_eq!(script(Retry::default().with_read(0)).failed(RESET), Verdict::Exhausted(Limit::Cause(Count::Read)));
    let status = Retry::default().with_status(0).with_statuses([500]);
    assert_eq!(script(status).answered(500, &[]), Verdict::Exhausted(Limit::Cause(Count::Status)));
    let other = script(Retry::default().with_other(0)).failed(ErrorCode::TlsProtocolError);
    assert_eq!(other, Verdict::Exhausted(Limit::Cause(Count::Other)));
}

#[test]
fn the_total_wins_where_it_is_lower() {
    let mut call = script(Retry::default().with_connect(5).with_total(1));
    assert_eq!(call.failed(REFUSED), again(millis(0), Count::Connect));
    assert_eq!(call.failed(REFUSED), Verdict::Exhausted(Limit::Total));
}

#[test]
fn without_a_total_the_limits_of_the_causes_remain() {
    let mut call = script(Retry::default().with_total(None).with_connect(20));
    assert!((0..20).all(|_| matches!(call.failed(REFUSED), Verdict::Again { .. })));
    assert_eq!(call.failed(REFUSED), Verdict::Exhausted(Limit::Cause(Count::Connect)));
}

#[test]
fn failures_count_by_what_they_prove() {
    let counts = [
        (ErrorCode::ConnectionRefused, Count::Connect),
        (ErrorCode::DnsTimeout, Count::Connect),
        (ErrorCode::ConnectionLimitReached, Count::Connect),
        (ErrorCode::ConnectionTimeout, Count::Read),
        (ErrorCode::ConnectionTerminated, Count::Read),
        (ErrorCode::HttpProtocolError, Count::Read),
        (ErrorCode::HttpResponseIncomplete, Count::Read),
        (ErrorCode::TlsAlertReceived { id: None, message: None }, Count::Other),
        (ErrorCode::InternalError(None), Count::Other),
    ];
    for (code, count) in counts {
        assert_eq!(script(Retry::default()).failed(code.clone()), again(Duration::ZERO, count), "{code}");
    }
}

#[test]
fn post_is_not_repeated_once_it_may_have_been_sent() {
    for code in [RESET, ErrorCode::ConnectionTimeout, ErrorCode::InternalError(None)] {
        assert_eq!(script(Retry::default()).method(Method::POST).failed(code), Verdict::Refuse(Refusal::Method));
    }
    let verdict = script(Retry::default()).method(Method::POST).timed_out(Phase::FirstByte);
    assert_eq!(verdict, Verdict::Refuse(Refusal::Method));
}

#[test]
fn post_is_repeated_when_it_was_not_sent() {
    let verdict = script(Retry::default()).method(Method::POST).failed(REFUSED);
    assert_eq!(verdict, again(Duration::ZERO, Count::Connect));
}

#[test]
fn post_with_an_idempotency_key_is_repeated() {
    let verdict = script(Retry::default()).method(Method::POST).with_key().failed(RESET);
    assert_eq!(verdict, again(Duration::ZERO, Count::Read));
}

#[test]
fn a_status_proves_that_the_request_was_sent() {
    let retry = Retry::default().with_statuses([503]);
    assert_eq!(script(retry.clone()).method(Method::POST).answered(503, &[]), Verdict::Refuse(Refusal::Method));
    assert_eq!(script(retry.clone()).method(Method::POST).answered(200, &[]), Verdict::Accept);
    let any = script(retry.with_methods(None)).method(Method::POST).answered(503, &[]);
    assert_eq!(any, again(Duration::ZERO, Count::Status));
}

#[test]
fn idempotent_methods_are_repeated_by_default() {
    for name in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"] {
        let method = Method::from_bytes(name.as_bytes()).expect("a token");
        assert_eq!(script(Retry::default()).method(method).failed(RESET), again(Duration::ZERO, Count::Read), "{name}");
    }
    for name in ["POST", "PATCH", "PROPFIND", "get"] {
        let method = Method::from_bytes(name.as_bytes()).expect("a token");
        assert_eq!(script(Retry::default()).method(method).failed(RESET), Verdict::Refuse(Refusal::Method), "{name}");
    }
}

#[test]
fn named_methods_replace_the_default_ones() {
    let retry = Retry::default().with_methods(Some(vec![Method::POST]));
    assert_eq!(script(retry.clone()).method(Method::POST).failed(RESET), again(Duration::ZERO, Count::Read));
    assert_eq!(script(retry).failed(RESET), Verdict::Refuse(Refusal::Method));
}

#[test]
fn refusals_of_the_host_are_not_repeated() {
    for code in [
        ErrorCode::TlsCertificateError,
        ErrorCode::HttpRequestDenied,
        ErrorCode::DestinationIpProhibited,
        ErrorCode::LoopDetected,
        ErrorCode::HttpRequestHeaderSectionSize(None),
    ] {
        assert_eq!(script(Retry::default()).failed(code), Verdict::Refuse(Refusal::Unmendable));
    }
}

#[test]
fn headers_too_large_for_the_host_are_not_asked_for_again() {
    let verdict = script(Retry::default()).failed(ErrorCode::HttpResponseHeaderSize(FieldSize::default()));
    assert_eq!(verdict, Verdict::Refuse(Refusal::Unmendable));
}

#[test]
fn a_body_of_ours_that_failed_is_not_sent_again() {
    let failure = Failure::Body(Invalid::BodyStream);
    assert_eq!(script(Retry::default()).judge(Judged::Failed(&failure)), Verdict::Refuse(Refusal::Unmendable));
}

#[test]
fn a_cut_body_counts_as_a_failed_read() {
    for code in [None, Some(RESET), Some(ErrorCode::InternalError(None)), Some(ErrorCode::TlsProtocolError)] {
        let failure = Failure::Cut { code, expected: Some(10), received: 3 };
        let verdict = script(Retry::default()).judge(Judged::Failed(&failure));
        assert_eq!(verdict, again(Duration::ZERO, Count::Read));
    }
}

#[test]
fn the_total_timeout_ends_the_retries() {
    assert_eq!(script(Retry::default()).timed_out(Phase::Total), Verdict::Refuse(Refusal::Deadline));
    // No retry can begin at the very end either.
    let mut call = script(Retry::default()).total(seconds(5), seconds(5));
    assert_eq!(call.failed(RESET), Verdict::Refuse(Refusal::Deadline));
}

#[test]
fn a_slot_that_did_not_come_is_not_waited_for_again() {
    assert_eq!(script(Retry::default()).timed_out(Phase::Slot), Verdict::Refuse(Refusal::Unmendable));
}

#[test]
fn the_limits_of_the_phases_hold_for_each_attempt() {
    let mut call = script(Retry::default());
    assert_eq!(call.timed_out(Phase::FirstByte), again(Duration::ZERO, Count::Read));
    assert_eq!(call.timed_out(Phase::Write), again(millis(200), Count::Read));
    assert_eq!(call.timed_out(Phase::BetweenBytes), again(millis(400), Count::Read));
}

#[test]
fn a_delay_past_the_total_timeout_is_not_begun() {
    let mut call = script(Retry::default()).total(millis(300), millis(200));
    assert_eq!(call.failed(RESET), again(Duration::ZERO, Count::Read));
    assert_eq!(call.failed(RESET), Verdict::Refuse(Refusal::Deadline));
}

#[test]
fn a_body_that_cannot_be_sent_again_is_named_only_where_nothing_else_is_in_the_way() {
    let put = |retry: Retry| script(retry.with_statuses([503])).method(Method::PUT).one_shot();
    assert_eq!(put(Retry::default()).answered(503, &[]), Verdict::Refuse(Refusal::Body));
    assert_eq!(put(Retry::default()).failed(RESET), Verdict::Refuse(Refusal::Body));
    assert_eq!(put(Retry::default()).answered(200, &[]), Verdict::Accept);
    assert_eq!(put(Retry::default().with_total(0)).failed(RESET), Verdict::Exhausted(Limit::Total));
    assert_eq!(put(Retry::default()).method(Method::POST).failed(RESET), Verdict::Refuse(Refusal::Method));
    let late = put(Retry::default()).total(seconds(5), seconds(5)).failed(RESET);
    assert_eq!(late, Verdict::Refuse(Refusal::Deadline));
}

#[test]
fn retry_after_makes_three_statuses_worth_another_attempt() {
    for status in [413, 429, 503] {
        assert_eq!(script(Retry::default()).answered(status, &["1"]), again(seconds(1), Count::Status), "{status}");
        assert_eq!(script(Retry::default()).answered(status, &["0"]), again(seconds(0), Count::Status), "{status}");
    }
    for status in [200, 404, 500, 502] {
        assert_eq!(script(Retry::default()).answered(status, &["1"]), Verdict::Accept, "{status}");
    }
}

#[test]
fn retry_after_replaces_the_delay_of_a_listed_status() {
    let mut call = script(Retry::default().with_statuses([500]));
    assert_eq!(call.answered(500, &["3"]), again(seconds(3), Count::Status));
    assert_eq!(call.answered(500, &["0"]), again(seconds(0), Count::Status));
    assert_eq!(call.answered(500, &[]), again(millis(400), Count::Status));
}

#[test]
fn retry_after_may_be_a_date() {
    for date in ["Sun, 06 Nov 1994 08:49:38 GMT", "Sunday, 06-Nov-94 08:49:38 GMT", "Sun Nov  6 08:49:38 1994"] {
        assert_eq!(script(Retry::default()).answered(503, &[date]), again(seconds(1), Count::Status), "{date}");
    }
    let passed = script(Retry::default()).answered(503, &["Sun, 06 Nov 1994 08:49:36 GMT"]);
    assert_eq!(passed, again(Duration::ZERO, Count::Status));
}

#[test]
fn the_first_retry_after_counts() {
    assert_eq!(script(Retry::default()).answered(503, &["1", "9999"]), again(seconds(1), Count::Status));
}

#[test]
fn a_malformed_retry_after_counts_as_absent() {
    for value in ["soon", "-5", "1.5", ""] {
        assert_eq!(script(Retry::default()).answered(503, &[value]), Verdict::Accept, "{value:?}");
        let mut listed = script(Retry::default().with_statuses([503]));
        listed.answered(503, &[value]);
        assert_eq!(listed.answered(503, &[value]), again(millis(200), Count::Status), "{value:?}");
    }
}

#[test]
fn a_longer_wait_than_allowed_is_not_begun() {
    let call = |ceiling| script(Retry::default().with_retry_after(Some(ceiling))).answered(503, &["60"]);
    assert_eq!(call(seconds(60)), again(seconds(60), Count::Status));
    assert_eq!(call(seconds(2)), Verdict::Refuse(Refusal::RetryAfter { asked: seconds(60), ceiling: seconds(2) }));
    let mut late = script(Retry::default()).total(seconds(30), seconds(1));
    assert_eq!(late.answered(503, &["60"]), Verdict::Refuse(Refusal::Deadline));
}

#[test]
fn retry_after_is_ignored_where_the_policy_says_so() {
    let retry = Retry::default().with_retry_after(None);
    assert_eq!(script(retry.clone()).answered(503, &["1"]), Verdict::Accept);
    assert_eq!(script(retry.with_statuses([503])).answered(503, &["1"]), again(Duration::ZERO, Count::Status));
}

#[test]
fn retry_after_does_not_make_a_post_repeatable() {
    let verdict = script(Retry::default()).method(Method::POST).answered(429, &["1"]);
    assert_eq!(verdict, Verdict::Refuse(Refusal::Method));
}

#[test]
fn a_redirect_may_ask_to_be_waited_for() {
    assert_eq!(script(Retry::default()).before_hop(&[]), Ok(Duration::ZERO));
    assert_eq!(script(Retry::default()).before_hop(&["1"]), Ok(seconds(1)));
    assert_eq!(script(Retry::default()).before_hop(&["soon"]), Ok(Duration::ZERO));
    assert_eq!(script(Retry::never()).before_hop(&["1"]), Ok(seconds(1)));
    assert_eq!(script(Retry::default().with_retry_after(None)).before_hop(&["1"]), Ok(Duration::ZERO));
    let long = script(Retry::default()).before_hop(&["61"]);
    assert_eq!(long, Err(Refusal::RetryAfter { asked: seconds(61), ceiling: seconds(60) }));
    assert_eq!(script(Retry::default()).total(seconds(5), seconds(1)).before_hop(&["4"]), Err(Refusal::Deadline));
}

#[test]
fn the_delays_begin_anew_after_a_hop_but_the_counts_do_not() {
    let mut call = script(Retry::default());
    call.failed(RESET);
    assert_eq!(call.failed(RESET), again(millis(200), Count::Read));
    call.tally.hop();
    assert_eq!(call.failed(RESET), again(Duration::ZERO, Count::Read));
    assert_eq!(call.tally.total(), 3);
    assert_eq!(call.failed(RESET), Verdict::Exhausted(Limit::Total));
}

#[test]
fn the_backoff_is_that_of_the_policy() {
    let mut call = script(Retry::default().with_total(None).with_backoff(seconds(1), seconds(3)));
    let delays: Vec<_> = (0..4).map(|_| call.failed(RESET)).collect();
    assert_eq!(delays, [0, 2, 3, 3].map(|delay| again(seconds(delay), Count::Read)));
}

#[test]
fn jitter_is_the_same_for_the_same_entropy_and_another_for_each_retry() {
    let delays = |entropy| {
        let mut call =
            jittered(Retry::default().with_total(None).with_backoff(seconds(8), seconds(16))).entropy(entropy);
        (0..6)
            .map(|_| match call.failed(RESET) {
                Verdict::Again { delay, .. } => delay,
                verdict => panic!("{verdict:?}"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(delays(7), delays(7));
    assert_ne!(delays(7), delays(8));
    let mut drawn = delays(7).split_off(1);
    assert!(drawn.iter().all(|delay| *delay <= seconds(16)));
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), 5);
}

#[test]
fn what_is_still_bad_is_delivered_unless_the_policy_fails() {
    assert_eq!(Retry::default().at_limit(), AtLimit::Deliver);
    assert_eq!(Retry::default().with_at_limit(AtLimit::Fail).at_limit(), AtLimit::Fail);
}

#[test]
fn a_refusal_says_why() {
    let refusal = Refusal::RetryAfter { asked: seconds(9999), ceiling: seconds(60) };
    assert_eq!(refusal.to_string(), "Retry-After asks for 9999s, the policy waits no longer than 60s");
    assert_eq!(Limit::Total.to_string(), "the retries are used up");
}
