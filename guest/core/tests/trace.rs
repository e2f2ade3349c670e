//! What a call tells of its course: each moment once, in order, and each beginning with its end.

mod scenario;

use urlpool_core::exchange::NoSlot;
use urlpool_core::trace::Milestone::{
    self, BodyEnd, Failed, FirstByte, Granted, Queued, Redirected, Retried, Sending, Sent,
};
use urlpool_core::trace::{Mark, Trace};
use urlpool_core::{ErrorCode, Redirect};

use scenario::{get, millis, retry, scenario, seconds};

/// What happened, with the attempt it belongs to.
fn course(trace: &Trace) -> Vec<(u32, Milestone)> {
    trace.marks().iter().map(|mark| (mark.attempt, mark.what)).collect()
}

fn attempt(number: u32, course: &[Milestone]) -> Vec<(u32, Milestone)> {
    course.iter().map(|what| (number, *what)).collect()
}

#[test]
fn a_response_tells_how_it_came_about() {
    let run = get().begin().after(millis(5)).grant().after(millis(20)).answer(200, &[]).chunk("hello");
    let trace = run.after(millis(30)).end().response().delivery.trace();
    let after = |after, what| Mark { after: millis(after), attempt: 1, what };
    assert_eq!(
        trace.marks(),
        [
            after(0, Queued),
            after(5, Granted),
            after(5, Sending),
            after(5, Sent),
            after(25, FirstByte(200)),
            after(55, BodyEnd)
        ]
    );
}

#[test]
fn each_attempt_has_its_number() {
    let run = get().pool(|pool| pool.retry = retry().with_statuses([503])).send();
    let run = run.answer(302, &[("Location", "/next")]).drained().grant();
    let run = run.answer(503, &[]).drained().expire().grant();
    let run = run.fail(ErrorCode::ConnectionTerminated).expire().grant().answer(200, &[("Content-Length", "0")]);
    let trace = run.response().delivery.trace();
    let expected = [
        attempt(1, &[Queued, Granted, Sending, Sent, FirstByte(302), BodyEnd, Redirected(seconds(0))]),
        attempt(2, &[Queued, Granted, Sending, Sent, FirstByte(503), BodyEnd, Retried(seconds(0))]),
        attempt(3, &[Queued, Granted, Sending, Sent, Failed, Retried(millis(200))]),
        attempt(4, &[Queued, Granted, Sending, Sent, FirstByte(200), BodyEnd]),
    ];
    assert_eq!(course(&trace), expected.concat());
}

#[test]
fn a_stream_is_traced_to_its_end() {
    let mut response = get().streaming().send().answer(200, &[]).response();
    assert_eq!(response.delivery.trace().marks().last().map(|mark| mark.what), Some(FirstByte(200)));
    response = response.chunk("hello").end();
    assert_eq!(response.body(), b"hello");
    assert_eq!(response.delivery.trace().marks().last().map(|mark| mark.what), Some(BodyEnd));
}

#[test]
fn an_error_tells_how_it_came_about() {
    let error = get().begin().no_slot(NoSlot::QueueFull).error();
    assert_eq!(course(&error.trace), attempt(1, &[Queued, Failed]));
    let error = get().pool(|pool| pool.redirect = Redirect::default().with_https_only(true)).send();
    let error = error.answer(302, &[("Location", "/")]).error();
    assert_eq!(course(&error.trace), attempt(1, &[Queued, Granted, Sending, Sent, FirstByte(302), Failed]));
    let error = get().begin().expire().error();
    assert_eq!(course(&error.trace), attempt(1, &[Queued, Failed]));
}

#[test]
fn a_body_that_was_cut_fails_once() {
    let run = get().pool(|pool| pool.retry = retry().with_total(0)).send().answer(200, &[("Content-Length", "9")]);
    let mut response = run.chunk("hello").cut().response();
    let expected = attempt(1, &[Queued, Granted, Sending, Sent, FirstByte(200), Failed]);
    assert_eq!(course(&response.delivery.trace()), expected);
    let error = response.failure().1;
    assert_eq!(course(&error.trace), expected);
}

#[test]
fn an_upload_is_sent_when_the_host_took_all_of_it() {
    let mut run = scenario("POST", "http://a.test/").body(b"hello").send();
    let sent = |run: &scenario::Run| run.exchange.trace().marks().iter().any(|mark| mark.what == Sent);
    assert!(!sent(&run));
    scenario::write(&mut run);
    run.exchange.sent(run.now());
    assert!(sent(&run));
}
