//! Scripts of events for one exchange, with a clock that jumps.
#![allow(dead_code, reason = "each file of tests plays a part of it")]

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use urlpool_core::backoff::Jitter;
use urlpool_core::delivery::{Part, Read};
use urlpool_core::exchange::{Head, NoSlot, Outbound};
use urlpool_core::failure::Failure;
use urlpool_core::history::{Attempt, FollowedBy, Outcome};
use urlpool_core::timeouts::Deadline;
use urlpool_core::upload::Want;
use urlpool_core::{
    Delivery, Entropy, Error, ErrorCode, Event, Exchange, Headers, Instant, Now, Phase, Policy, Request, Retry, Step,
};

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.append_received(name, value.as_bytes());
    }
    headers
}

/// The moment so long after the beginning.
pub(crate) fn at(after: Duration) -> Now {
    Now {
        mono: Instant::from_nanos(5_000_000_000).after(after),
        wall: SystemTime::UNIX_EPOCH + seconds(1_700_000_000) + after,
    }
}

/// The default retries, without jitter.
pub(crate) fn retry() -> Retry {
    Retry::default().with_jitter(Jitter::None)
}

/// What is sent, and by which pool.
pub(crate) struct Scenario {
    request: Request,
    pool: Policy,
    whole: bool,
}

pub(crate) fn scenario(method: &str, url: &str) -> Scenario {
    let pool = Policy { retry: retry(), ..Policy::default() };
    Scenario { request: Request::create(method, url).expect("a valid request"), pool, whole: false }
}

pub(crate) fn get() -> Scenario {
    scenario("GET", "http://a.test/")
}

impl Scenario {
    pub(crate) fn with(mut self, set: impl FnOnce(&mut Request)) -> Self {
        set(&mut self.request);
        self
    }

    pub(crate) fn pool(mut self, set: impl FnOnce(&mut Policy)) -> Self {
        set(&mut self.pool);
        self
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.with(|request| request.append_header(name, value.as_bytes()).expect("a valid header"))
    }

    pub(crate) fn body(self, body: &'static [u8]) -> Self {
        self.with(|request| request.set_body(Bytes::from_static(body)))
    }

    pub(crate) fn stream(self, length: Option<u64>) -> Self {
        self.with(|request| request.set_body_stream(length))
    }

    /// Delivers at the head.
    pub(crate) fn streaming(self) -> Self {
        self.pool(|pool| pool.preload = None)
    }

    /// Delivers whole bodies or fails.
    pub(crate) fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    pub(crate) fn total(self, limit: Duration) -> Self {
        self.pool(|pool| pool.timeouts.set_total(Some(limit)))
    }

    pub(crate) fn begin(self) -> Run {
        let begin = if self.whole { Exchange::begin_whole } else { Exchange::begin };
        let (exchange, step) = begin(self.request, &self.pool, Entropy::seeded(7), at(Duration::ZERO));
        let mut run =
            Run { exchange, passed: Duration::ZERO, log: Vec::new(), sent: Vec::new(), finished: None, until: None };
        run.take(step);
        run
    }

    /// Begins, and has the slot granted.
    pub(crate) fn send(self) -> Run {
        self.begin().grant()
    }

    /// The only attempt.
    pub(crate) fn outbound(self) -> Outbound {
        self.send().sent.remove(0)
    }

    /// Begins what is refused at once.
    pub(crate) fn refused(self) -> Error {
        let run = self.begin();
        assert_eq!(run.log.len(), 1, "{:?}", run.log);
        run.error()
    }
}

/// An exchange on its way.
pub(crate) struct Run {
    pub(crate) exchange: Exchange,
    /// The time since the beginning.
    pub(crate) passed: Duration,
    /// The steps so far, in words.
    pub(crate) log: Vec<String>,
    /// What was sent so far.
    pub(crate) sent: Vec<Outbound>,
    /// The moment that the last wait or drain ends at.
    pub(crate) until: Option<Instant>,
    finished: Option<Result<Box<Delivery>, Error>>,
}

impl Run {
    pub(crate) fn now(&self) -> Now {
        at(self.passed)
    }

    /// Lets time pass.
    pub(crate) fn after(mut self, time: Duration) -> Self {
        self.passed += time;
        self
    }

    pub(crate) fn on(mut self, event: Event) -> Self {
        let step = self.exchange.on(event, self.now());
        self.take(step);
        self
    }

    pub(crate) fn grant(self) -> Self {
        self.on(Event::Granted)
    }

    pub(crate) fn no_slot(self, reason: NoSlot) -> Self {
        self.on(Event::NoSlot(reason))
    }

    pub(crate) fn answer(self, status: u16, fields: &[(&str, &str)]) -> Self {
        self.on(Event::Answered(Head { status, headers: headers(fields) }))
    }

    pub(crate) fn fail(self, code: ErrorCode) -> Self {
        self.on(Event::Failed(Failure::Failed(code)))
    }

    pub(crate) fn chunk(self, bytes: impl Into<Bytes>) -> Self {
        self.on(Event::Body(Part::Chunk(bytes.into())))
    }

    pub(crate) fn end(self) -> Self {
        self.on(Event::Body(Part::End(Headers::new())))
    }

    pub(crate) fn cut(self) -> Self {
        self.on(Event::Body(Part::Cut(None)))
    }

    pub(crate) fn drained(self) -> Self {
        self.on(Event::Drained)
    }

    /// Jumps to the deadline of the step and reports that it passed.
    pub(crate) fn expire(mut self) -> Self {
        let deadline = self.exchange.deadline().expect("the step has a deadline");
        self.passed = self.passed.max(deadline.at.since(at(Duration::ZERO).mono));
        self.on(Event::Expired)
    }

    /// Is redirected, and sends the hop.
    pub(crate) fn hop(self, status: u16, location: &str) -> Self {
        self.answer(status, &[("Location", location)]).drained().grant()
    }

    /// Is answered with a status that is retried, and sends again.
    pub(crate) fn again(self, status: u16) -> Self {
        self.answer(status, &[]).drained().expire().grant()
    }

    /// The phase that is waited for, and how long from now.
    pub(crate) fn deadline(&self) -> Option<(Phase, Duration)> {
        let Deadline { at, phase } = self.exchange.deadline()?;
        Some((phase, at.since(self.now().mono)))
    }

    pub(crate) fn last_step(&self) -> &str {
        self.log.last().expect("an exchange begins with a step")
    }

    pub(crate) fn last_sent(&self) -> &Outbound {
        self.sent.last().expect("something was sent")
    }

    pub(crate) fn response(self) -> Response {
        let now = self.now();
        match self.finished {
            Some(Ok(delivery)) => Response { delivery, now },
            other => panic!("no response but {other:?} after {:?}", self.log),
        }
    }

    pub(crate) fn error(self) -> Error {
        match self.finished {
            Some(Err(error)) => error,
            other => panic!("no error but {other:?} after {:?}", self.log),
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    fn take(&mut self, step: Step) {
        let now = self.now().mono;
        self.until = None;
        self.log.push(match &step {
            Step::Acquire(origin) => format!("acquire {origin}"),
            Step::Send(outbound) => format!("send {} {}", outbound.method, outbound.target),
            Step::Collect { .. } => "collect".to_owned(),
            Step::Drain { .. } => "drain".to_owned(),
            Step::Wait(until) => format!("wait {:?}", until.since(now)),
            Step::Finish(Ok(delivery)) => format!("deliver {}", delivery.status()),
            Step::Finish(Err(error)) => format!("fail {:?}", error.kind()),
        });
        match step {
            Step::Send(outbound) => self.sent.push(*outbound),
            Step::Drain { until, .. } | Step::Wait(until) => self.until = Some(until),
            Step::Finish(result) => self.finished = Some(result),
            Step::Acquire(_) | Step::Collect { .. } => {}
        }
    }
}

/// A response that was delivered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) delivery: Box<Delivery>,
    pub(crate) now: Now,
}

impl Response {
    /// Lets the server send a piece of the body.
    pub(crate) fn on(mut self, part: Part) -> Self {
        self.delivery.on(part, self.now);
        self
    }

    pub(crate) fn chunk(self, bytes: impl Into<Bytes>) -> Self {
        self.on(Part::Chunk(bytes.into()))
    }

    pub(crate) fn end(self) -> Self {
        self.on(Part::End(Headers::new()))
    }

    pub(crate) fn cut(self) -> Self {
        self.on(Part::Cut(None))
    }

    pub(crate) fn read(&mut self, max: usize) -> Read {
        self.delivery.read(max, self.now)
    }

    /// All that can be read, and how it ends.
    pub(crate) fn drain(&mut self) -> (Vec<u8>, Read) {
        let mut bytes = Vec::new();
        loop {
            match self.read(usize::MAX) {
                Read::Bytes(more) => bytes.extend_from_slice(&more),
                end => return (bytes, end),
            }
        }
    }

    /// The body, which ends well.
    pub(crate) fn body(&mut self) -> Vec<u8> {
        let (bytes, end) = self.drain();
        assert_eq!(end, Read::End);
        bytes
    }

    /// What could be read, and the failure after it.
    pub(crate) fn failure(&mut self) -> (Vec<u8>, Error) {
        match self.drain() {
            (bytes, Read::Fail(error)) => (bytes, error),
            other => panic!("no failure but {other:?}"),
        }
    }
}

/// What can be written of the body that is being sent, until a stream has to be read.
pub(crate) fn write(run: &mut Run) -> Vec<u8> {
    let mut written = Vec::new();
    while let Want::Write(bytes) = run.exchange.upload().want(64 * 1024) {
        written.extend_from_slice(&bytes);
    }
    written
}

pub(crate) fn retried(method: &str, url: &str, outcome: Outcome, delay: Duration) -> Attempt {
    attempt(method, url, outcome, FollowedBy::Retry, delay)
}

pub(crate) fn redirected(method: &str, url: &str, status: u16, delay: Duration) -> Attempt {
    attempt(method, url, Outcome::Answered(status), FollowedBy::Redirect, delay)
}

fn attempt(method: &str, url: &str, outcome: Outcome, followed_by: FollowedBy, delay: Duration) -> Attempt {
    Attempt { method: method.parse().expect("a method"), url: url.to_owned(), outcome, followed_by, delay }
}
