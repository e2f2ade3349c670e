//! The order of one call: slots, attempts, hops, delays and delivery.
//!
//! Longer than most files: each edge of the step graph has its facts here, and reads as one story.

mod scenario;

use bytes::Bytes;
use http::Method;
use urlpool_core::error::{BadLocation, SizeLimit};
use urlpool_core::exchange::{Counts, NoSlot};
use urlpool_core::failure::Failure;
use urlpool_core::history::Outcome;
use urlpool_core::retry::AtLimit;
use urlpool_core::upload::REPLAY;
use urlpool_core::{Cause, ErrorCode, Event, Invalid, Kind, Phase, Redirect, Retry, Target};

use scenario::{Scenario, get, millis, redirected, retried, retry, scenario, seconds};

const A: &str = "http://a.test/";

fn post() -> Scenario {
    scenario("POST", A)
}

fn sent_header(run: &scenario::Run, name: &str) -> Option<String> {
    run.last_sent().headers.joined(name)
}

/// The names in order and in lower case.
fn names(headers: &urlpool_core::Headers) -> Vec<String> {
    headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect()
}

// --- the order of steps ---

#[test]
fn a_response_is_delivered_with_what_was_collected_of_its_body() {
    let run = get().send().answer(200, &[]).chunk("he").chunk("llo").end();
    assert_eq!(
        run.log,
        ["acquire http://a.test", "send GET http://a.test/", "collect", "collect", "collect", "deliver 200"]
    );
    let mut response = run.response();
    assert!(response.delivery.is_ended());
    assert_eq!(response.body(), b"hello");
}

#[test]
fn a_streaming_call_delivers_at_the_head() {
    let run = get().streaming().send().answer(200, &[]);
    assert_eq!(run.log[2..], ["deliver 200"]);
    assert!(!run.response().delivery.is_ended());
}

#[test]
fn a_redirect_comes_first_then_the_retry_then_the_delivery() {
    let pool = |pool: &mut urlpool_core::Policy| pool.retry = retry().with_statuses([302, 503]);
    let run = get().pool(pool).streaming().send();
    let run = run.answer(302, &[("Location", "/next")]).drained().grant();
    let run = run.answer(503, &[]).drained().expire().grant().answer(200, &[]);
    let expected = [
        "acquire http://a.test",
        "send GET http://a.test/",
        "drain",
        "acquire http://a.test",
        "send GET http://a.test/next",
        "drain",
        "wait 0ns",
        "acquire http://a.test",
        "send GET http://a.test/next",
        "deliver 200",
    ];
    assert_eq!(run.log, expected);
}

#[test]
fn a_failed_attempt_waits_without_a_drain_and_asks_for_its_slot_again() {
    let run = get().send().fail(ErrorCode::ConnectionRefused).expire().grant();
    assert_eq!(run.log[2..], ["wait 0ns", "acquire http://a.test", "send GET http://a.test/"]);
}

#[test]
fn d6_a_hop_to_another_origin_asks_for_a_slot_there() {
    let run = get().send().answer(302, &[("Location", "https://b.test/x")]).drained();
    assert_eq!(run.log[2..], ["drain", "acquire https://b.test"]);
}

#[test]
fn r18_a_hop_with_retry_after_waits_after_the_drain() {
    let run = get().send().answer(301, &[("Location", "/x"), ("Retry-After", "5")]).after(millis(200)).drained();
    assert_eq!(run.log[2..], ["drain", "wait 4.8s"]);
    let run = run.expire().grant().answer(200, &[]).end();
    assert_eq!(run.log[4..], ["acquire http://a.test", "send GET http://a.test/x", "collect", "deliver 200"]);
    assert_eq!(run.exchange.history(), [redirected("GET", A, 301, seconds(5))]);
}

#[test]
fn a_drain_ends_after_64_kib_or_250_ms() {
    let run = get().send().answer(302, &[("Location", "/x")]);
    assert_eq!(run.deadline().map(|(_, left)| left), Some(millis(250)));
    assert_eq!(run.expire().log[3..], ["acquire http://a.test"]);
}

#[test]
fn a_call_that_has_finished_waits_for_nothing() {
    assert_eq!(get().total(seconds(9)).send().answer(204, &[]).deadline(), None);
    assert_eq!(get().send().fail(ErrorCode::ConfigurationError).deadline(), None);
}

#[test]
fn a_response_without_a_body_is_delivered_at_once() {
    for (method, status, fields) in [
        ("HEAD", 200, &[("Content-Length", "5")][..]),
        ("GET", 204, &[("Content-Length", "5")]),
        ("GET", 304, &[("Content-Length", "5"), ("Content-Encoding", "gzip")]),
        ("GET", 200, &[("Content-Length", "0")]),
    ] {
        let run = scenario(method, A).send().answer(status, fields);
        assert_eq!(run.log[2..], [format!("deliver {status}")]);
        assert_eq!(run.response().body(), b"");
    }
}

// --- slots ---

#[test]
fn p7_a_call_without_a_slot_fails_with_the_reason() {
    let failed = |reason| get().begin().no_slot(reason).error().cause;
    let origin = || "http://a.test".to_owned();
    assert_eq!(failed(NoSlot::Full), Cause::PoolExhausted { origin: origin(), why: NoSlot::Full });
    assert_eq!(failed(NoSlot::Held), Cause::PoolExhausted { origin: origin(), why: NoSlot::Held });
    assert_eq!(failed(NoSlot::Closed), Cause::Closed);
}

#[test]
fn p7_waiting_for_a_slot_ends_with_its_limit_and_is_not_retried() {
    let run = get().begin();
    assert_eq!(run.deadline(), Some((Phase::Slot, seconds(30))));
    let run = run.expire();
    assert_eq!(run.exchange.counts(), Counts::default());
    let error = run.error();
    assert_eq!(error.cause, Cause::TimedOut { phase: Phase::Slot, limit: Some(seconds(30)) });
    assert_eq!((error.elapsed, error.history.len()), (seconds(30), 0));
}

#[test]
fn a_slot_that_is_missing_for_a_retry_leaves_the_history() {
    let error = get().send().fail(ErrorCode::ConnectionRefused).expire().no_slot(NoSlot::Full).error();
    let refused = Outcome::Failed(ErrorCode::ConnectionRefused);
    assert_eq!(error.history, [retried("GET", A, refused, seconds(0))]);
}

// --- deadlines ---

#[test]
fn each_state_has_the_deadline_of_its_phase() {
    let run = post().body(b"hello").pool(|pool| pool.timeouts.set_write(Some(seconds(40)))).begin();
    assert_eq!(run.deadline(), Some((Phase::Slot, seconds(30))));
    let mut run = run.after(seconds(1)).grant();
    // Until something proves a connection, the limit of connecting is added.
    assert_eq!(run.deadline(), Some((Phase::Write, seconds(50))));
    run = run.after(seconds(49));
    run.exchange.accepted(1, run.now());
    assert_eq!(run.deadline(), Some((Phase::Write, seconds(50))));
    run = run.after(seconds(2));
    run.exchange.wrote(run.now());
    assert_eq!(run.deadline(), Some((Phase::Write, seconds(40))));
    run = run.after(seconds(3));
    run.exchange.sent(run.now());
    assert_eq!(run.deadline(), Some((Phase::FirstByte, seconds(60))));
    let run = run.after(seconds(4)).answer(200, &[]);
    assert_eq!(run.deadline(), Some((Phase::BetweenBytes, seconds(60))));
    let run = run.after(seconds(59)).chunk("x");
    assert_eq!(run.deadline(), Some((Phase::BetweenBytes, seconds(60))));
}

#[test]
fn t2_a_silent_server_is_given_up_and_asked_again() {
    let run = get().send();
    assert_eq!(run.deadline(), Some((Phase::FirstByte, seconds(70))));
    let run = run.expire().expire().grant().answer(200, &[]).end();
    assert_eq!(run.exchange.history(), [retried("GET", A, Outcome::TimedOut(Phase::FirstByte), seconds(0))]);
}

#[test]
fn t9_a_server_that_does_not_read_is_given_up() {
    let error = post().body(b"hello").send().expire().error();
    assert_eq!(error.cause, Cause::TimedOut { phase: Phase::Write, limit: Some(seconds(60)) });
}

#[test]
fn r8_a_post_that_timed_out_is_not_repeated() {
    let mut run = post().send();
    run.exchange.sent(run.now());
    let error = run.expire().error();
    assert_eq!((error.kind(), error.cause.phase()), (Kind::TimedOut, Some(Phase::FirstByte)));
}

#[test]
fn t4_the_total_limit_is_over_slots_attempts_hops_delays_and_bodies() {
    let run = get().total(seconds(20)).begin();
    assert_eq!(run.deadline(), Some((Phase::Total, seconds(20))));
    let run = run.after(seconds(4)).grant();
    assert_eq!(run.deadline(), Some((Phase::Total, seconds(16))));
    let run = run.after(seconds(4)).hop(302, "/x");
    assert_eq!(run.deadline(), Some((Phase::Total, seconds(12))));
    let run = run.after(seconds(4)).fail(ErrorCode::ConnectionTerminated).expire().grant();
    assert_eq!(run.deadline(), Some((Phase::Total, seconds(8))));
    let run = run.after(seconds(4)).answer(200, &[]);
    assert_eq!(run.deadline(), Some((Phase::Total, seconds(4))));
    let (read, error) = run.after(seconds(2)).chunk("he").expire().response().failure();
    assert_eq!((read, error.elapsed, error.history.len()), (b"he".to_vec(), seconds(20), 2));
    assert_eq!(error.cause, Cause::TimedOut { phase: Phase::Total, limit: Some(seconds(20)) });
}

#[test]
fn t4_the_total_limit_ends_an_attempt_for_good() {
    let error = get().total(seconds(5)).send().expire().error();
    assert_eq!(error.cause, Cause::TimedOut { phase: Phase::Total, limit: Some(seconds(5)) });
    assert_eq!((error.elapsed, error.history), (seconds(5), vec![]));
}

/// Once a drain that the total limit ended was followed by an attempt, late as it was.
#[test]
fn nothing_is_sent_once_the_call_is_over() {
    let run = get().total(seconds(5)).send().after(millis(4_900)).answer(302, &[("Location", "/x")]);
    assert_eq!(run.deadline().map(|(_, left)| left), Some(millis(100)));
    let run = run.expire();
    assert_eq!(run.log[2..], ["drain", "fail TimedOut"]);
    assert_eq!(run.error().cause.phase(), Some(Phase::Total));
}

#[test]
fn a_slot_that_comes_after_the_end_of_the_call_is_not_used() {
    let run = get().total(seconds(5)).begin().after(seconds(5)).grant();
    assert_eq!((run.sent.len(), run.error().cause.phase()), (0, Some(Phase::Total)));
}

#[test]
fn a_total_limit_of_zero_passes_at_once() {
    assert_eq!(get().total(seconds(0)).refused().cause.phase(), Some(Phase::Total));
}

#[test]
fn t6_timeouts_of_the_request_replace_those_of_the_pool() {
    let own = urlpool_core::Timeouts::default().with_slot(Some(seconds(1)));
    let run = get().total(seconds(9)).with(|request| request.set_timeouts(own)).begin();
    assert_eq!(run.deadline(), Some((Phase::Slot, seconds(1))));
}

#[test]
fn t3_a_body_that_stalls_is_asked_for_again() {
    let run = get().send().answer(200, &[]).chunk("he").expire();
    assert_eq!(run.log[4..], ["wait 0ns"]);
    assert_eq!(run.exchange.history(), [retried("GET", A, Outcome::TimedOut(Phase::BetweenBytes), seconds(0))]);
}

// --- retries ---

#[test]
fn r1_a_status_on_the_list_is_retried() {
    let statuses = |pool: &mut urlpool_core::Policy| pool.retry = retry().with_statuses([503]).with_total(2);
    let run = get().pool(statuses).send().again(503).again(503).answer(200, &[]).end();
    assert_eq!(run.exchange.counts(), Counts { attempts: 3, retries: 2, redirects: 0 });
    let answered = Outcome::Answered(503);
    let expected = [retried("GET", A, answered.clone(), seconds(0)), retried("GET", A, answered, millis(200))];
    assert_eq!(run.exchange.history(), expected);
    let delivery = run.response().delivery;
    assert_eq!((delivery.status(), delivery.history(), delivery.not_retried()), (200, &expected[..], None));
}

#[test]
fn r2_a_status_that_no_retry_mends_is_delivered_or_fails() {
    let run = |then| {
        let retry = retry().with_statuses([503]).with_total(1).with_at_limit(then);
        get().pool(|pool| pool.retry = retry).send().again(503).answer(503, &[("Content-Length", "0")])
    };
    let delivery = run(AtLimit::Deliver).response().delivery;
    assert_eq!((delivery.status(), delivery.history().len()), (503, 1));
    assert_eq!(delivery.not_retried(), Some("the retries are used up"));
    let error = run(AtLimit::Fail).error();
    assert_eq!((error.cause, error.history.len()), (Cause::RetriesExhausted { status: 503 }, 1));
}

#[test]
fn r3_without_a_policy_the_first_outcome_is_that_of_the_call() {
    let never = || get().with(|request| request.set_retry(Retry::never()));
    assert_eq!(never().send().fail(ErrorCode::ConnectionRefused).log[2..], ["fail Connect"]);
    let run = never().send().answer(503, &[("Retry-After", "0"), ("Content-Length", "0")]);
    assert_eq!(run.log[2..], ["deliver 503"]);
    assert_eq!(run.response().delivery.not_retried(), None);
}

#[test]
fn r9_what_was_not_sent_is_repeated_whatever_the_method() {
    let run = post().body(b"x").send().fail(ErrorCode::ConnectionRefused).expire().grant();
    assert_eq!(run.sent.len(), 2);
}

#[test]
fn r7_what_may_have_been_sent_is_repeated_for_idempotent_methods_only() {
    let cut = |scenario: Scenario| scenario.send().fail(ErrorCode::ConnectionTerminated).log.pop().unwrap();
    assert_eq!(cut(get()), "wait 0ns");
    assert_eq!(cut(post()), "fail Interrupted");
    assert_eq!(cut(post().header("Idempotency-Key", "1")), "wait 0ns");
}

#[test]
fn a_failure_that_ends_the_call_keeps_its_own_kind() {
    let mut run = get().send();
    for _ in 0..3 {
        run = run.fail(ErrorCode::ConnectionRefused).expire().grant();
    }
    let error = run.fail(ErrorCode::ConnectionTerminated).error();
    assert_eq!((error.kind(), error.history.len()), (Kind::Interrupted, 3));
    assert_eq!(error.url.as_deref(), Some(A));
}

#[test]
fn r39_what_cannot_be_mended_is_not_repeated() {
    for code in [ErrorCode::TlsCertificateError, ErrorCode::HttpRequestDenied, ErrorCode::DestinationIpProhibited] {
        assert_eq!(get().send().fail(code).exchange.counts().attempts, 1);
    }
}

#[test]
fn r11_retry_after_is_waited_for() {
    let run = get().send().answer(429, &[("Retry-After", "7")]).drained();
    assert_eq!(run.log[2..], ["drain", "wait 7s"]);
    assert_eq!(run.exchange.history(), [retried("GET", A, Outcome::Answered(429), seconds(7))]);
}

#[test]
fn r15_retry_after_beyond_the_ceiling_delivers() {
    let run = get().streaming().send().answer(503, &[("Retry-After", "61")]);
    assert_eq!(run.log[2..], ["deliver 503"]);
    assert!(run.response().delivery.not_retried().unwrap().starts_with("Retry-After asks for 61s"));
}

#[test]
fn r37_retry_after_beyond_the_deadline_delivers() {
    let run = get().streaming().total(seconds(10)).send().after(seconds(6)).answer(503, &[("Retry-After", "4")]);
    assert_eq!(run.log[2..], ["deliver 503"]);
    assert!(run.response().delivery.not_retried().unwrap().contains("leaves no time"));
    let run = get().streaming().total(seconds(10)).send().after(seconds(5)).answer(503, &[("Retry-After", "4")]);
    assert_eq!(run.log[2..], ["drain"]);
}

#[test]
fn r18_a_hop_whose_wait_is_too_long_is_delivered() {
    let run = get().streaming().send().answer(301, &[("Location", "/x"), ("Retry-After", "61")]);
    assert_eq!(run.log[2..], ["deliver 301"]);
    assert!(run.response().delivery.not_retried().unwrap().starts_with("Retry-After asks for"));
}

#[test]
fn r21_delays_begin_anew_after_a_hop() {
    let run = get().pool(|pool| pool.retry = retry().with_statuses([503]).with_total(5)).send();
    let run = run.again(503).again(503).hop(302, "/x").again(503).again(503).answer(200, &[]);
    let delays: Vec<_> = run.exchange.history().iter().map(|attempt| attempt.delay).collect();
    assert_eq!(delays, [0, 200, 0, 0, 200].map(millis));
}

#[test]
fn d30_hops_and_retries_are_counted_apart() {
    let retries = |pool: &mut urlpool_core::Policy| pool.retry = retry().with_total(1);
    let run = get().pool(retries).send().hop(302, "/1").fail(ErrorCode::ConnectionRefused).expire().grant();
    let run = run.hop(302, "/2").fail(ErrorCode::ConnectionRefused);
    assert_eq!(run.exchange.counts(), Counts { attempts: 4, retries: 1, redirects: 2 });
    assert_eq!(run.error().kind(), Kind::Connect);
}

// --- bodies that are sent again ---

#[test]
fn r27_a_retry_sends_the_body_from_its_start() {
    let mut run = scenario("PUT", A).body(b"hello").pool(|pool| pool.retry = retry().with_statuses([503])).send();
    assert_eq!(scenario::write(&mut run), b"hello");
    let mut run = run.again(503);
    assert_eq!(scenario::write(&mut run), b"hello");
    assert_eq!(sent_header(&run, "content-length").as_deref(), Some("5"));
}

#[test]
fn r28_a_retry_sends_what_was_read_of_a_stream_and_reads_on() {
    let mut run = scenario("PUT", A).stream(None).send();
    run.exchange.upload().supply(0, Bytes::from_static(b"hel")).unwrap();
    assert_eq!(scenario::write(&mut run), b"hel");
    let mut run = run.fail(ErrorCode::ConnectionTerminated).expire().grant();
    assert_eq!(scenario::write(&mut run), b"hel");
    run.exchange.upload().supply(0, Bytes::from_static(b"lo")).unwrap();
    assert_eq!(scenario::write(&mut run), b"lo");
}

#[test]
fn r32_a_body_in_chunks_stays_in_chunks() {
    let run = scenario("PUT", A).stream(None).send().fail(ErrorCode::ConnectionTerminated).expire().grant();
    assert_eq!(sent_header(&run, "content-length"), None);
}

/// An upload of which more was read than is kept.
fn lost(scenario: Scenario) -> scenario::Run {
    let mut run = scenario.stream(None).send();
    run.exchange.upload().supply(0, Bytes::from(vec![7; REPLAY + 1])).expect("the stream has no length to keep to");
    run
}

#[test]
fn r31_a_stream_beyond_the_replay_buffer_is_not_sent_again() {
    let error = lost(scenario("PUT", A)).fail(ErrorCode::ConnectionTerminated).error();
    assert_eq!(error.cause, Cause::NotReplayable { code: Some(ErrorCode::ConnectionTerminated) });
}

#[test]
fn r29_a_status_on_a_stream_beyond_the_replay_buffer_is_delivered() {
    let run = lost(scenario("PUT", A).streaming()).answer(503, &[("Retry-After", "0")]);
    assert_eq!(run.log[2..], ["deliver 503"]);
    assert_eq!(run.response().delivery.not_retried(), Some("the request body cannot be sent again"));
}

#[test]
fn a_post_that_fails_for_its_own_reasons_does_not_blame_its_body() {
    assert_eq!(lost(post()).fail(ErrorCode::ConnectionTerminated).error().kind(), Kind::Interrupted);
}

#[test]
fn d5_a_hop_that_needs_a_lost_body_is_delivered() {
    let run = lost(post().streaming()).answer(307, &[("Location", "/x")]);
    assert_eq!(run.log[2..], ["deliver 307"]);
    assert_eq!(run.response().delivery.not_retried(), Some("the request body cannot be sent again"));
}

#[test]
fn d2_a_hop_that_leaves_the_body_behind_needs_no_replay() {
    let run = lost(post()).hop(303, "/x");
    assert_eq!(run.last_sent().method, Method::GET);
    assert!(!run.last_sent().has_body);
    // The body that is gone is in the way of nothing any more.
    assert_eq!(run.fail(ErrorCode::ConnectionTerminated).log.pop().unwrap(), "wait 0ns");
}

#[test]
fn a_body_that_failed_at_its_source_ends_the_call() {
    let failure = || Failure::Body(Invalid::BodyLength { declared: 5, came: 3 });
    let error = scenario("PUT", A).stream(Some(5)).send().on(Event::Failed(failure())).error();
    assert_eq!(error.cause, Cause::Invalid(Invalid::BodyLength { declared: 5, came: 3 }));
}

// --- hops ---

#[test]
fn d2_a_hop_that_becomes_a_get_leaves_what_describes_the_body() {
    let run =
        post().body(b"hello").header("Content-Type", "text/plain").header("X-Own", "1").header("Content-Length", "5");
    let run = run.with(|request| {
        request.set_decode(false);
        request.set_trailers(&[("X-Sum".to_owned(), b"1".to_vec())]).unwrap();
    });
    let mut run = run.send().hop(303, "/x");
    let sent = run.last_sent();
    assert_eq!((sent.method.as_str(), sent.has_body, sent.trailers.is_empty()), ("GET", false, true));
    assert_eq!(names(&sent.headers), ["x-own", "user-agent"]);
    assert_eq!(scenario::write(&mut run), b"");
}

#[test]
fn d4_a_hop_by_307_sends_the_body_again() {
    let mut run = post().body(b"hello").send();
    assert_eq!(scenario::write(&mut run), b"hello");
    let mut run = run.hop(307, "http://b.test/");
    assert_eq!((run.last_sent().method.as_str(), sent_header(&run, "content-length").as_deref()), ("POST", Some("5")));
    assert_eq!(scenario::write(&mut run), b"hello");
}

#[test]
fn d11_what_is_stripped_does_not_come_back() {
    let pool = |pool: &mut urlpool_core::Policy| {
        pool.decode = false;
        pool.headers = scenario::headers(&[("Cookie", "pool"), ("X-Pool", "1")]);
        pool.redirect = Redirect::default().with_private_headers(["X-Key"]);
    };
    let run =
        scenario("GET", "http://ann:secret@a.test/").pool(pool).header("x-key", "1").header("Idempotency-Key", "1");
    let run = run.send().hop(302, "http://b.test/").hop(302, A);
    let kept = ["idempotency-key", "x-pool", "user-agent"];
    let all = ["authorization", "x-key", "idempotency-key", "cookie", "x-pool", "user-agent"];
    let sent: Vec<_> = run.sent.iter().map(|sent| names(&sent.headers)).collect();
    assert_eq!(sent, [&all[..], &kept, &kept]);
}

/// Once a trailer crossed to another origin under the name of a private header.
#[test]
fn a_private_header_does_not_cross_as_a_trailer_either() {
    let run = scenario("PUT", A).body(b"hello").pool(|pool| {
        pool.redirect = Redirect::default().with_private_headers(["X-Signature"]);
    });
    let trailers = [("x-signature".to_owned(), b"1".to_vec()), ("X-Sum".to_owned(), b"2".to_vec())];
    let run =
        run.with(|request| request.set_trailers(&trailers).unwrap()).send().hop(307, "/x").hop(307, "http://b.test/");
    let sent: Vec<_> = run.sent.iter().map(|sent| names(&sent.trailers)).collect();
    assert_eq!(sent, [vec!["x-signature", "x-sum"], vec!["x-signature", "x-sum"], vec!["x-sum"]]);
    // Once the name alone still crossed.
    let named: Vec<_> = run.sent.iter().filter_map(|sent| sent.headers.joined("trailer")).collect();
    assert_eq!(named, ["x-signature, X-Sum", "x-signature, X-Sum", "X-Sum"]);
}

/// Once the userinfo of a location stood in the message, and whatever else a server put there, at any length.
#[test]
fn a_message_shows_a_location_without_userinfo_and_quoted() {
    let location = format!("ftp://ann:secret@b.test/\u{9b}2J{}", "x".repeat(1000));
    for (run, kind) in [
        (scenario("GET", A), Kind::BadRedirect),
        (scenario("GET", A).pool(|pool| pool.redirect = Redirect::default().with_limit(1)), Kind::TooManyRedirects),
    ] {
        let run = run.send();
        let run = if kind == Kind::TooManyRedirects { run.hop(302, "/x") } else { run };
        let error = run.answer(302, &[("Location", &location)]).error();
        assert_eq!(error.kind(), kind);
        let message = error.to_string();
        assert!(message.contains("\"ftp://***@b.test/\\u{9b}2Jx") && message.len() < 400, "{message}");
        assert!(!message.contains("secret"));
        assert_eq!(error.cause.location(), Some(&*location));
    }
}

#[test]
fn p28_a_redirect_out_of_the_scope_is_delivered() {
    let scope = Target::parse(A).unwrap().0.origin().clone();
    let run = get().streaming().pool(|pool| pool.scope = Some(scope)).send().hop(302, "/x");
    let run = run.answer(302, &[("Location", "http://b.test/")]);
    assert_eq!(run.last_step(), "deliver 302");
    let delivery = run.response().delivery;
    assert_eq!(delivery.not_retried(), Some("the redirect leads to another origin than the pool's own"));
    assert_eq!((delivery.url(), delivery.history().len()), ("http://a.test/x", 1));
}

#[test]
fn d12_one_hop_more_than_the_limit_is_an_error_with_its_history() {
    let two =
        || get().pool(|pool| pool.redirect = Redirect::default().with_limit(2)).send().hop(302, "/1").hop(302, "/2");
    assert_eq!(two().answer(200, &[]).end().log.last().unwrap(), "deliver 200");
    let error = two().answer(302, &[("Location", "/3")]).error();
    let cause = Cause::TooManyRedirects { limit: 2, status: 302, location: "/3".to_owned(), same: false };
    assert_eq!((error.cause, error.url.as_deref()), (cause, Some("http://a.test/2")));
    let hops = [redirected("GET", A, 302, seconds(0)), redirected("GET", "http://a.test/1", 302, seconds(0))];
    assert_eq!(error.history, hops);
}

#[test]
fn d29_a_redirect_to_itself_is_told_apart() {
    let run = get().pool(|pool| pool.redirect = Redirect::default().with_limit(2)).send().hop(302, "/").hop(302, A);
    let error = run.answer(302, &[("Location", "#again")]).error();
    assert!(matches!(error.cause, Cause::TooManyRedirects { same: true, .. }));
    let run = get().pool(|pool| pool.redirect = Redirect::default().with_limit(2)).send().hop(302, "/x").hop(302, "/x");
    let error = run.answer(302, &[("Location", "/x")]).error();
    assert!(matches!(error.cause, Cause::TooManyRedirects { same: false, .. }));
}

#[test]
fn d13_the_limit_of_hops_may_deliver() {
    let run = get()
        .streaming()
        .pool(|pool| pool.redirect = Redirect::default().with_limit(1).with_at_limit(AtLimit::Deliver));
    let run = run.send().hop(302, "/1").answer(302, &[("Location", "/2")]);
    assert_eq!(run.response().delivery.not_retried(), Some("the limit of hops is reached"));
}

#[test]
fn d17_a_location_that_leads_nowhere_is_an_error() {
    for (location, reason) in [("http://[", BadLocation::Malformed), ("ftp://a.test/", BadLocation::Scheme)] {
        let cause = get().send().answer(302, &[("Location", location)]).error().cause;
        assert_eq!(cause, Cause::BadRedirect { status: 302, location: location.to_owned(), reason });
    }
}

#[test]
fn d16_a_redirect_without_a_location_is_delivered() {
    let run = get().streaming().send().answer(302, &[]);
    assert_eq!(run.log[2..], ["deliver 302"]);
    assert_eq!(run.response().delivery.not_retried(), None);
}

#[test]
fn d25_the_history_tells_hops_and_retries_in_order() {
    let run =
        scenario("POST", "http://ann:secret@a.test/").body(b"x").send().hop(302, "/1").fail(ErrorCode::DnsTimeout);
    let run = run.expire().grant().answer(200, &[]).end();
    let timed_out = Outcome::TimedOut(Phase::Connect);
    let expected = [redirected("POST", A, 302, seconds(0)), retried("GET", "http://a.test/1", timed_out, seconds(0))];
    assert_eq!(run.response().delivery.history(), expected);
}

// --- preloading ---

#[test]
fn r41_a_body_cut_while_it_is_collected_is_asked_for_again() {
    let run = get().send().answer(200, &[("Content-Length", "10")]).chunk("abc").cut();
    assert_eq!(run.log[4..], ["wait 0ns"]);
    let run = run.expire().grant().answer(200, &[("Content-Length", "3")]).chunk("abc");
    assert_eq!(run.exchange.history(), [retried("GET", A, Outcome::Interrupted, seconds(0))]);
    assert_eq!(run.response().body(), b"abc");
}

#[test]
fn r41_a_body_that_ends_early_counts_as_cut() {
    let run = get().send().answer(200, &[("Content-Length", "10")]).chunk("abc").end();
    assert_eq!(run.log[4..], ["wait 0ns"]);
}

#[test]
fn a_post_whose_answer_is_cut_is_delivered_and_its_reader_told() {
    let run = post().send().answer(200, &[("Content-Length", "10")]).chunk("abc").cut();
    assert_eq!(run.log[4..], ["deliver 200"]);
    let mut response = run.response();
    assert!(response.delivery.not_retried().unwrap().starts_with("the method may not be repeated"));
    let (read, error) = response.failure();
    assert_eq!(read, b"abc");
    assert_eq!(error.cause, Cause::Interrupted { code: None, expected: Some(10), received: Some(3) });
    assert_eq!(response.failure(), (vec![], error));
}

#[test]
fn a_body_that_is_cut_too_often_is_delivered_as_it_is() {
    let run = get().pool(|pool| pool.retry = retry().with_total(1)).send().answer(200, &[]).cut();
    let run = run.expire().grant().answer(200, &[]).chunk("abc").cut();
    let mut response = run.response();
    assert_eq!(response.delivery.not_retried(), Some("the retries are used up"));
    assert_eq!(response.failure().0, b"abc");
}

#[test]
fn r41_a_body_cut_while_it_is_streamed_is_its_readers_business() {
    let run = get().streaming().send().answer(200, &[("Content-Length", "10")]);
    assert_eq!(run.log[2..], ["deliver 200"]);
    let (read, error) = run.response().chunk("abc").cut().failure();
    assert_eq!((read, error.kind()), (b"abc".to_vec(), Kind::Interrupted));
}

#[test]
fn what_exceeds_the_preload_limit_stays_a_stream() {
    let run = get().with(|request| request.set_preload(Some(4))).send().answer(200, &[]).chunk("abcd");
    assert_eq!(run.last_step(), "collect");
    let run = run.chunk("e");
    assert_eq!(run.last_step(), "deliver 200");
    let response = run.response();
    assert!(!response.delivery.is_ended());
    assert_eq!(response.chunk("fg").end().body(), b"abcdefg");
}

#[test]
fn a_whole_body_beyond_the_limit_is_too_large() {
    let run = get().whole().with(|request| request.set_preload(Some(4))).send().answer(200, &[]).chunk("abcde");
    assert_eq!(run.error().cause, Cause::TooLarge { limit: SizeLimit::Collect(4) });
}

#[test]
fn a_whole_body_is_collected_even_by_a_pool_that_streams() {
    let run = get().whole().streaming().send().answer(200, &[]).chunk("abc").end();
    assert_eq!(run.log[2..], ["collect", "collect", "deliver 200"]);
    assert_eq!(run.response().body(), b"abc");
}

#[test]
fn trailers_are_asked_for_where_no_length_is_declared() {
    let asked = |fields: &[(&str, &str)]| {
        let mut run = get().begin();
        run = run.grant();
        let head = urlpool_core::exchange::Head { status: 200, headers: scenario::headers(fields) };
        let now = run.now();
        match run.exchange.on(Event::Answered(head), now) {
            urlpool_core::Step::Collect { trailers } => trailers,
            other => panic!("{other:?}"),
        }
    };
    assert!(asked(&[]));
    assert!(!asked(&[("Content-Length", "5")]));
}

#[cfg(feature = "gzip")]
#[test]
fn e10_a_body_that_cannot_be_decoded_is_not_asked_for_again() {
    let run = get().send().answer(200, &[("Content-Encoding", "gzip")]).chunk("not gzip at all");
    assert_eq!(run.log[3..], ["deliver 200"]);
    assert_eq!(run.response().failure().1.kind(), Kind::Undecodable);
}

#[test]
fn d23_what_is_drained_is_not_decoded() {
    let run = get().send().answer(302, &[("Location", "/x"), ("Content-Encoding", "gzip")]).drained().grant();
    assert_eq!(run.last_step(), "send GET http://a.test/x");
}

#[cfg(feature = "gzip")]
#[test]
fn h18_who_asks_for_codings_gets_them_as_they_are() {
    let decoded = |scenario: Scenario| {
        let run = scenario.streaming().send().answer(200, &[("Content-Encoding", "gzip")]);
        run.response().delivery.is_decoded()
    };
    assert!(decoded(get()));
    assert!(decoded(get().with(|request| request.remove_header("Accept-Encoding"))));
    assert!(!decoded(get().header("Accept-Encoding", "gzip")));
    assert!(!decoded(get().header("Range", "bytes=0-")));
    assert!(!decoded(get().with(|request| request.set_decode(false))));
}
