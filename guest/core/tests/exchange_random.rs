//! What holds of an exchange whatever happens to it.

mod scenario;

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use urlpool_core::exchange::{NoSlot, Outbound};
use urlpool_core::failure::Failure;
use urlpool_core::retry::AtLimit;
use urlpool_core::upload::{REPLAY, Want};
use urlpool_core::{ErrorCode, Event, Invalid, Policy, Redirect};

use scenario::{Run, millis, retry, scenario, seconds};

/// More than is kept of a stream.
static MUCH: [u8; REPLAY + 1] = [7; REPLAY + 1];

/// A call with random settings.
#[derive(Clone, Debug)]
struct Settings {
    method: &'static str,
    body: Carried,
    retries: u32,
    hops: u32,
    at_limit: AtLimit,
    total: Option<u64>,
    preload: Option<u64>,
    whole: bool,
}

#[derive(Clone, Copy, Debug)]
enum Carried {
    Nothing,
    Memory,
    Stream,
}

/// One thing that the shell may report, and how much time passed before; what does not fit the step is skipped.
#[derive(Clone, Debug)]
enum Happening {
    Granted,
    NoSlot,
    Answered(u16, Vec<(&'static str, &'static str)>),
    Failed(ErrorCode),
    BodyFailed,
    Chunk(usize),
    End,
    Cut,
    Drained,
    Expired,
    /// A stream of the request gives so many bytes, or ends.
    Supplied(usize),
}

fn settings() -> impl Strategy<Value = Settings> {
    let carried = prop_oneof![Just(Carried::Nothing), Just(Carried::Memory), Just(Carried::Stream)];
    let at_limit = prop_oneof![Just(AtLimit::Fail), Just(AtLimit::Deliver)];
    let total = prop::option::of(0_u64..100);
    (
        prop::sample::select(vec!["GET", "POST", "PUT", "HEAD"]),
        carried,
        0_u32..4,
        0_u32..4,
        at_limit,
        total,
        prop::option::of(0_u64..50),
        any::<bool>(),
    )
        .prop_map(|(method, body, retries, hops, at_limit, total, preload, whole)| Settings {
            method,
            body,
            retries,
            hops,
            at_limit,
            total,
            preload,
            whole,
        })
}

fn happening() -> impl Strategy<Value = Happening> {
    let status = prop::sample::select(vec![200_u16, 204, 301, 303, 307, 308, 404, 429, 503, 503]);
    let field = prop::sample::select(vec![
        ("Location", "/x"),
        ("Location", "http://b.test/"),
        ("Location", "http://a.test/"),
        ("Location", "ftp://a.test/"),
        ("Retry-After", "0"),
        ("Retry-After", "7"),
        ("Retry-After", "99999999999999999999999"),
        ("Content-Length", "9"),
        ("Content-Encoding", "gzip"),
    ]);
    let code = prop::sample::select(vec![
        ErrorCode::ConnectionRefused,
        ErrorCode::ConnectionTerminated,
        ErrorCode::ConnectionTimeout,
        ErrorCode::HttpRequestDenied,
        ErrorCode::InternalError(None),
    ]);
    prop_oneof![
        6 => Just(Happening::Granted),
        1 => Just(Happening::NoSlot),
        8 => (status, prop::collection::vec(field, 0..3)).prop_map(|(status, fields)| Happening::Answered(status, fields)),
        3 => code.prop_map(Happening::Failed),
        1 => Just(Happening::BodyFailed),
        2 => (1_usize..30).prop_map(Happening::Chunk),
        2 => Just(Happening::End),
        1 => Just(Happening::Cut),
        4 => Just(Happening::Drained),
        3 => Just(Happening::Expired),
        2 => prop::sample::select(vec![0, 5, 70_000, MUCH.len()]).prop_map(Happening::Supplied),
    ]
}

impl Settings {
    fn begin(&self) -> Run {
        let pool = |pool: &mut Policy| {
            pool.retry = retry().with_total(self.retries).with_statuses([503]).with_at_limit(self.at_limit);
            pool.redirect = Redirect::default().with_limit(self.hops).with_at_limit(self.at_limit);
            pool.preload = self.preload;
        };
        let mut call = scenario(self.method, "http://ann:secret@a.test/").pool(pool);
        call = match self.body {
            Carried::Nothing => call,
            Carried::Memory => call.body(b"hello"),
            Carried::Stream => call.stream(None),
        };
        if let Some(total) = self.total {
            call = call.total(seconds(total));
        }
        if self.whole { call.whole() } else { call }.begin()
    }
}

/// Reports what happened, where it fits the step at hand.
fn report(run: Run, happening: Happening) -> Run {
    let fits = |step: &str| run.last_step().starts_with(step);
    match happening {
        Happening::Granted if fits("acquire") => run.grant(),
        Happening::NoSlot if fits("acquire") => run.no_slot(NoSlot::Full),
        Happening::Answered(status, fields) if fits("send") => run.answer(status, &fields),
        Happening::Failed(code) if fits("send") => run.fail(code),
        Happening::BodyFailed if fits("send") && run.last_sent().has_body => {
            run.on(Event::Failed(Failure::Body(Invalid::BodyStream)))
        }
        Happening::Supplied(most) if fits("send") => supply(run, most),
        Happening::Chunk(size) if fits("collect") => run.chunk(vec![b'x'; size]),
        Happening::End if fits("collect") => run.end(),
        Happening::Cut if fits("collect") => run.cut(),
        Happening::Drained if fits("drain") => run.drained(),
        Happening::Expired if run.exchange.deadline().is_some() => run.expire(),
        _ => run,
    }
}

/// Writes what there is, and once so many bytes of a stream.
fn supply(mut run: Run, bytes: usize) -> Run {
    scenario::write(&mut run);
    if let Want::Read { stream, .. } = run.exchange.upload().want(1) {
        let upload = run.exchange.upload();
        let taken = match bytes {
            0 => upload.end(stream),
            some => upload.supply(stream, Bytes::from_static(&MUCH[..some])),
        };
        taken.expect("the stream has no length to keep to");
    }
    run
}

/// What holds after every event.
fn check(settings: &Settings, run: &Run, before: usize) -> Result<(), TestCaseError> {
    let last = run.last_step();
    let deadline = run.exchange.deadline();
    let counts = run.exchange.counts();
    let end = settings.total.map(|total| scenario::at(seconds(total)).mono);
    if run.log.len() > before {
        prop_assert!(!last.starts_with("send") || run.log[run.log.len() - 2].starts_with("acquire"), "{:?}", run.log);
        if let (true, Some(end)) = (last.starts_with("send"), end) {
            prop_assert!(run.now().mono < end, "sent though the call was over");
        }
    }
    prop_assert!(counts.retries <= settings.retries && counts.redirects <= settings.hops, "{counts:?}");
    prop_assert_eq!(run.exchange.history().len() as u32, counts.retries + counts.redirects);
    prop_assert!(counts.attempts <= 1 + counts.retries + counts.redirects);
    prop_assert_eq!(counts.attempts as usize, run.sent.len());
    if run.is_finished() {
        prop_assert_eq!(deadline, None);
        return Ok(());
    }
    if let Some(end) = end {
        prop_assert!(deadline.is_some_and(|deadline| deadline.at <= end), "{last} waits until {deadline:?}");
        prop_assert!(run.until.is_none_or(|until| until <= end));
    }
    prop_assert!(deadline.is_some(), "{last} may wait for ever");
    Ok(())
}

/// What holds of everything that was sent.
fn check_sent(sent: &[Outbound]) -> Result<(), TestCaseError> {
    let crossed = sent.iter().position(|sent| sent.target.as_str().starts_with("http://b.test"));
    for (place, outbound) in sent.iter().enumerate() {
        let secret = outbound.headers.contains("authorization");
        prop_assert_eq!(secret, crossed.is_none_or(|crossed| place < crossed));
        prop_assert!(outbound.headers.get_all("content-length").count() <= 1);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_exchange_ends_within_its_limits_whatever_happens(
        settings in settings(),
        happenings in prop::collection::vec((happening(), 0_u64..3_000), 1..60),
    ) {
        let mut run = settings.begin();
        check(&settings, &run, 0)?;
        // Once the stream cannot be sent again, only a hop that leaves it behind may send.
        let mut lost = false;
        for (happening, pause) in happenings {
            if run.is_finished() {
                break;
            }
            let left = run.deadline().map_or(Duration::MAX, |(_, left)| left);
            run = run.after(millis(pause).min(left));
            let (steps, sent) = (run.log.len(), run.sent.len());
            run = report(run, happening);
            check(&settings, &run, steps)?;
            prop_assert!(run.sent.len() == sent || !lost || !run.last_sent().has_body, "{:?}", run.log);
            lost |= !run.exchange.upload().replayable();
        }
        // A server that only stalls brings every call to an end.
        let mut steps = 0;
        while !run.is_finished() {
            let before = run.log.len();
            run = match run.last_step().starts_with("acquire") {
                true => run.grant(),
                false => run.expire(),
            };
            check(&settings, &run, before)?;
            steps += 1;
            prop_assert!(steps < 100, "{:?}", run.log);
        }
        check_sent(&run.sent)?;
        let history = run.exchange.history().to_vec();
        if run.last_step().starts_with("deliver") {
            let delivery = run.response().delivery;
            prop_assert_eq!(delivery.history(), history);
        } else {
            let passed = run.passed;
            let error = run.error();
            prop_assert_eq!((error.history, error.elapsed), (history, passed));
        }
    }

    /// A server that answers nothing but redirects and transient statuses meets the limits exactly.
    #[test]
    fn a_hostile_server_gets_as_many_attempts_as_the_limits_allow(retries in 0_u32..5, hops in 1_u32..5, mix in any::<u16>()) {
        let settings = Settings {
            method: "GET",
            body: Carried::Nothing,
            retries,
            hops,
            at_limit: AtLimit::Fail,
            total: None,
            preload: None,
            whole: false,
        };
        let mut run = settings.begin();
        let mut turn = 0;
        while !run.is_finished() {
            let step = run.last_step().to_owned();
            run = match step.split(' ').next() {
                Some("acquire") => run.grant(),
                Some("send") if mix >> (turn % 16) & 1 == 1 => run.answer(302, &[("Location", "/x")]),
                Some("send") => run.answer(503, &[]),
                _ => run.expire(),
            };
            turn += 1;
            prop_assert!(turn < 100);
        }
        let counts = run.exchange.counts();
        prop_assert!(counts.retries == retries || counts.redirects == hops, "{counts:?}");
        prop_assert_eq!(counts.attempts, 1 + counts.retries + counts.redirects);
    }
}
