//! One call, what the server and its reader do, and what has to hold of it after each step.
//!
//! Longer than 400 lines, since all that has to hold is checked in one place.

use std::time::Duration;

use bytes::Bytes;
use urlpool_core::delivery::{Part, Read};
use urlpool_core::exchange::{Counts, Head, Outbound};
use urlpool_core::failure::Failure;
use urlpool_core::history::{FollowedBy, Outcome};
use urlpool_core::origin::Scheme;
use urlpool_core::timeouts::{Deadline, Phase};
use urlpool_core::trace::{Milestone, Trace};
use urlpool_core::upload::{REPLAY, Want};
use urlpool_core::{Delivery, Entropy, ErrorCode, Event, Exchange, Headers, Instant, Invalid, Now, Origin, Step};

use super::settings::Settings;
use super::shell::{Happening, noise};

/// A call, and what its shell knows of it.
pub(super) struct Call {
    settings: Settings,
    exchange: Exchange,
    begun: Instant,
    pub(super) state: State,
    /// The origin whose slot it has.
    pub(super) slot: Option<Origin>,
    /// The steps so far, but for those that collect a body.
    steps: u32,
    sent: u32,
    /// Where it went first, and whether it went anywhere else since.
    first: Option<Origin>,
    crossed: bool,
    url: String,
    last: Option<Origin>,
    /// How much of its stream was given away.
    given: usize,
    /// How much of the body this attempt has written.
    written: usize,
    served: Served,
}

/// What a call waits for.
pub(super) enum State {
    Queued(Origin),
    Sending,
    Collecting,
    Draining,
    Waiting,
    Delivered(Box<Delivery>),
    Over,
}

/// What the server sent of the present response, and what its reader got of it.
#[derive(Default)]
struct Served {
    declared: Option<u64>,
    bytes: usize,
    /// Whether it said that this is all.
    ended: bool,
    read: usize,
}

impl Call {
    pub(super) fn begin(settings: Settings, now: Now) -> (Self, Step) {
        let begin = if settings.whole { Exchange::begin_whole } else { Exchange::begin };
        let (exchange, step) = begin(settings.request(), &settings.policy(), Entropy::seeded(7), now);
        let call = Self {
            settings,
            exchange,
            begun: now.mono,
            state: State::Waiting,
            slot: None,
            steps: 0,
            sent: 0,
            first: None,
            crossed: false,
            url: String::new(),
            last: None,
            given: 0,
            written: 0,
            served: Served::default(),
        };
        (call, step)
    }

    /// Takes the slot of this origin.
    pub(super) fn grant(&mut self, origin: Origin) {
        assert_eq!(self.slot.replace(origin), None, "one slot at a time");
    }

    /// Reports what happened, unless it is over.
    pub(super) fn on(&mut self, event: Event, now: Now) -> Option<Step> {
        match self.state {
            State::Delivered(_) | State::Over => None,
            _ => Some(self.exchange.on(event, now)),
        }
    }

    /// Gives it up, or is done with what it came to.
    pub(super) fn end(&mut self) {
        self.state = State::Over;
    }

    /// Writes the body, as far as is asked for at once, after what there is to check of a request.
    pub(super) fn send(&mut self, outbound: Outbound, now: Now) -> Option<Event> {
        self.state = State::Sending;
        self.sent += 1;
        self.written = 0;
        self.check_sent(&outbound, now);
        match self.settings.eager {
            true => self.write(usize::MAX, 1 << 20, false, now),
            false => self.write(1, 1, false, now),
        }
    }

    /// What becomes of this happening in the present step.
    pub(super) fn event(&mut self, happening: Happening, now: Now) -> Option<Event> {
        match (&mut self.state, happening) {
            (State::Sending, Happening::Answered { status, fields }) => {
                Some(Event::Answered(self.answer(status, fields)))
            }
            (State::Sending, Happening::Failed(code)) => {
                let code = CODES[usize::from(code) % CODES.len()].clone();
                Some(Event::Failed(Failure::Failed(code)))
            }
            (State::Sending, Happening::BodyFailed) if self.settings.stream_size() > 0 => {
                Some(Event::Failed(Failure::Body(Invalid::BodyStream)))
            }
            (State::Sending, Happening::Wrote { pieces, room, waited }) => {
                self.write(usize::from(pieces), usize::from(room) * 16, waited, now)
            }
            (State::Draining, Happening::Drained) => Some(Event::Drained),
            (State::Collecting, happening) => self.served.part(happening).map(Event::Body),
            (State::Delivered(delivery), happening) => {
                // Nobody asks the host for more than its body has.
                if let Some(part) = self.served.part(happening).filter(|_| !delivery.is_ended()) {
                    delivery.on(part, now);
                }
                None
            }
            _ => None,
        }
    }

    /// What becomes of a deadline that has passed.
    pub(super) fn expired(&mut self, now: Now) -> Option<Event> {
        if let State::Delivered(delivery) = &mut self.state {
            delivery.on(Part::Expired, now);
            return None;
        }
        Some(Event::Expired)
    }

    /// Reads what there is of a delivered body, up to so much at once.
    pub(super) fn read(&mut self, most: usize, now: Now) {
        let State::Delivered(delivery) = &mut self.state else { return };
        loop {
            match delivery.read(most, now) {
                Read::Bytes(bytes) => {
                    assert!(!bytes.is_empty() && bytes.len() <= most.max(1));
                    let from = self.served.read;
                    self.served.read += bytes.len();
                    assert!(self.settings.max_body.is_none_or(|limit| self.served.read <= usize::from(limit)));
                    if !delivery.is_decoded() {
                        assert!(self.served.read <= self.served.bytes, "more than was sent");
                        assert!(noise()[from..self.served.read] == bytes, "not what was sent");
                    }
                }
                Read::Wait => {
                    assert!(!delivery.is_ended());
                    return;
                }
                end => {
                    assert!(delivery.is_ended(), "it holds its slot after the end");
                    check_trace(&delivery.trace(), true);
                    let bodiless = delivery.status() == 204 || delivery.status() == 304;
                    if let Read::End = end {
                        let all = match self.served.declared {
                            Some(declared) => self.served.bytes as u64 >= declared || self.last_method_is_head(),
                            None => self.served.ended || self.last_method_is_head(),
                        };
                        assert!(bodiless || all, "cut, and no error");
                    }
                    self.end();
                    return;
                }
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        match &self.state {
            State::Delivered(delivery) => delivery.deadline(),
            State::Over => None,
            _ => self.exchange.deadline(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// What holds after every step, which is about to be carried out.
    pub(super) fn check(&mut self, step: &Step, now: Now) {
        self.steps += u32::from(!matches!(step, Step::Collect { .. }));
        assert!(!matches!(self.state, State::Delivered(_) | State::Over), "it goes on after its end");
        let Counts { attempts, retries, redirects } = self.exchange.counts();
        assert!(retries <= self.settings.most_retries() && redirects <= self.settings.hops(), "{retries} {redirects}");
        assert!(attempts <= 1 + retries + redirects);
        assert!(
            self.steps <= 4 * (1 + retries + redirects) + 1,
            "more than a slot, a request, a drain and a wait for each"
        );
        assert_eq!(attempts, self.sent + u32::from(matches!(step, Step::Send(_))));
        assert_eq!(self.exchange.history().len() as u32, retries + redirects);
        self.check_history();

        let end = self.settings.total().map(|total| self.begun.after(total));
        let deadline = self.exchange.deadline();
        match step {
            Step::Finish(Ok(delivery)) => {
                assert_eq!((deadline, delivery.history()), (None, self.exchange.history()));
                assert_eq!(*self.exchange.trace(), Trace::default(), "its result has it");
                assert_eq!(delivery.url(), self.url);
                assert!(delivery.is_ended() || !self.settings.whole, "the whole body was asked for");
                check_trace(&delivery.trace(), delivery.is_ended());
            }
            Step::Finish(Err(error)) => {
                assert_eq!((deadline, &*error.history), (None, self.exchange.history()));
                assert_eq!(error.elapsed, now.mono.since(self.begun));
                assert!(!error.to_string().contains("hunter2"), "{error}");
                check_trace(&error.trace, true);
            }
            Step::Acquire(_) | Step::Send(_) | Step::Collect { .. } => {
                let deadline = deadline.expect("what has no deadline may wait for ever");
                assert!(end.is_none_or(|end| deadline.at <= end), "{deadline:?} is after the end of the call");
                // A response that came too late is judged as one that came, but nothing more is asked for.
                let over = end.is_some_and(|end| end <= now.mono);
                assert!(!over || matches!(step, Step::Collect { .. }), "the call is over");
                assert!(deadline.at <= now.mono.after(self.longest(step)), "{deadline:?} is too far away");
            }
            Step::Drain { until, .. } | Step::Wait(until) => {
                assert_eq!(deadline, Some(Deadline { at: *until, phase: Phase::Total }));
                assert!(end.is_none_or(|end| *until <= end), "it waits after the end of the call");
            }
        }
    }

    /// The longest time that this step may take.
    fn longest(&self, step: &Step) -> Duration {
        let timeouts = self.settings.timeouts();
        let limit = |phase| timeouts.limit(phase);
        let limit = match step {
            Step::Acquire(_) => limit(Phase::Slot),
            Step::Send(_) => limit(Phase::Write)
                .zip(limit(Phase::FirstByte))
                .map(|(write, first_byte)| write.max(first_byte) + limit(Phase::Connect).unwrap_or_default()),
            _ => limit(Phase::BetweenBytes),
        };
        limit.or(limit_of(&timeouts)).expect("one of both is limited")
    }

    fn check_history(&self) {
        let (mut statuses, mut refused) = (0, 0);
        for attempt in self.exchange.history() {
            let longest = match attempt.followed_by {
                FollowedBy::Retry => self.settings.ceiling().max(self.settings.retry_after().unwrap_or_default()),
                FollowedBy::Redirect => self.settings.retry_after().unwrap_or_default(),
            };
            assert!(attempt.delay <= longest, "{attempt:?}");
            assert!(!attempt.url.contains("hunter2"));
            if attempt.followed_by == FollowedBy::Redirect {
                continue;
            }
            let unsent = matches!(
                attempt.outcome,
                Outcome::Failed(ErrorCode::ConnectionRefused | ErrorCode::DestinationNotFound)
            );
            let idempotent = matches!(attempt.method.as_str(), "GET" | "HEAD" | "PUT");
            let allowed = self.settings.any_method || self.settings.idempotency_key;
            assert!(unsent || idempotent || allowed, "{attempt:?} is repeated though the server may have acted");
            statuses += u32::from(matches!(attempt.outcome, Outcome::Answered(_)));
            refused += u32::from(unsent);
        }
        assert!(self.settings.status().is_none_or(|limit| statuses <= limit));
        assert!(self.settings.connect().is_none_or(|limit| refused <= limit));
    }

    fn check_sent(&mut self, outbound: &Outbound, now: Now) {
        let origin = outbound.target.origin();
        assert_eq!(self.slot.as_ref(), Some(origin), "sent without the slot of its origin");
        assert!(
            self.settings.total().is_none_or(|total| now.mono < self.begun.after(total)),
            "sent though the call is over"
        );
        let first = self.first.get_or_insert_with(|| origin.clone());
        self.crossed |= first != origin;
        assert!(!self.crossed || !self.settings.scoped, "the pool is for {first} only");
        if let Some(last) = self.last.replace(origin.clone()) {
            let (from, to) = (last.scheme(), origin.scheme());
            assert!(self.settings.downgrade || from == Scheme::Http || to == Scheme::Https);
            let hop = outbound.target.as_str() != self.url;
            assert!(!hop || !self.settings.https_only || to == Scheme::Https);
        }
        self.url = outbound.target.as_str().to_owned();
        let authorization = match self.settings.userinfo && !self.crossed {
            true => Some("Basic YW5uOmh1bnRlcjI=".to_owned()),
            false => self.settings.token(&origin.to_string()).map(|token| format!("Bearer {token}")),
        };
        assert_eq!(outbound.headers.joined("authorization"), authorization, "to {origin}, {first} at first");
        assert_eq!(outbound.headers.contains("traceparent"), self.settings.trace_context);
        for secret in ["cookie", "x-private"] {
            assert_eq!(outbound.headers.contains(secret), !self.crossed, "{secret} to {origin}, {first} at first");
        }
        assert!(!self.crossed || outbound.trailers.is_empty());
        assert!(!self.url.contains("hunter2"));
        assert!(outbound.headers.get_all("content-length").count() <= 1);
        // What is given away of a stream and not kept cannot be sent again.
        assert!(!outbound.has_body || self.given <= REPLAY, "a stream is sent twice");
    }

    /// Writes so many pieces of the body.
    fn write(&mut self, pieces: usize, room: usize, waited: bool, now: Now) -> Option<Event> {
        for _ in 0..pieces {
            match self.exchange.upload().want(room.max(1)) {
                Want::Write(bytes) => {
                    let end = self.written + bytes.len();
                    assert!(noise()[self.written..end] == bytes, "not the body from its start");
                    self.written = end;
                    match waited {
                        true => self.exchange.wrote(now),
                        false => self.exchange.accepted(bytes.len() as u64, now),
                    }
                }
                Want::Read { stream, at_most } => {
                    let left = self.settings.stream_size() as usize - self.given;
                    let size = left.min(room.max(1)).min(at_most as usize);
                    let bytes = &noise()[self.given..self.given + size];
                    self.given += size;
                    let upload = self.exchange.upload();
                    let taken = match bytes {
                        [] => upload.end(stream),
                        bytes => upload.supply(stream, Bytes::from_static(bytes)),
                    };
                    if let Err(invalid) = taken {
                        return Some(Event::Failed(Failure::Body(invalid)));
                    }
                }
                Want::Done => {
                    self.exchange.sent(now);
                    break;
                }
            }
        }
        None
    }

    fn answer(&mut self, status: u8, fields: [u8; 3]) -> Head {
        let mut headers = Headers::new();
        for field in fields {
            let (name, value) = FIELDS[usize::from(field) % FIELDS.len()];
            if !headers.contains(name) {
                headers.append_received(name, value);
            }
        }
        let declared = headers.get("content-length").map(|value| String::from_utf8_lossy(value).into_owned());
        let declared = declared.map(|value| value.parse().expect("it is a number"));
        self.served = Served { declared, ..Served::default() };
        Head { status: STATUSES[usize::from(status) % STATUSES.len()], headers }
    }

    /// A HEAD stays one, whatever hops it makes.
    fn last_method_is_head(&self) -> bool {
        self.settings.method() == http::Method::HEAD
    }
}

impl Served {
    /// What the host reads of the body then; nothing after its end.
    fn part(&mut self, happening: Happening) -> Option<Part> {
        if self.ended {
            return None;
        }
        match happening {
            Happening::Chunk(size) => {
                let from = self.bytes;
                self.bytes = (from + usize::from(size)).min(noise().len());
                (self.bytes > from).then(|| Part::Chunk(Bytes::from_static(&noise()[from..self.bytes])))
            }
            Happening::End => {
                self.ended = true;
                Some(Part::End(Headers::new()))
            }
            Happening::Cut(known) => Some(Part::Cut(known.then_some(ErrorCode::ConnectionTerminated))),
            _ => None,
        }
    }
}

/// What begins in a trace ends, and `ended` says whether all of it has; time only grows, and no attempt is left out.
fn check_trace(trace: &Trace, ended: bool) {
    let marks = trace.marks();
    // A call may be over before it asks for a slot.
    let first = marks.first().map(|mark| (mark.attempt, mark.what));
    assert!(matches!(first, Some((1, Milestone::Queued | Milestone::Failed))), "{marks:?}");
    for (before, mark) in marks.iter().zip(&marks[1..]) {
        let follows = match before.what {
            Milestone::Queued => mark.what == Milestone::Granted,
            Milestone::Granted => mark.what == Milestone::Sending,
            Milestone::Sending => matches!(mark.what, Milestone::Sent | Milestone::FirstByte(_)),
            Milestone::Sent => matches!(mark.what, Milestone::FirstByte(_)),
            Milestone::FirstByte(_) => mark.what == Milestone::BodyEnd,
            Milestone::BodyEnd => matches!(mark.what, Milestone::Retried(_) | Milestone::Redirected(_)),
            Milestone::Failed => matches!(mark.what, Milestone::Retried(_)),
            Milestone::Retried(_) | Milestone::Redirected(_) => mark.what == Milestone::Queued,
        };
        let fails = mark.what == Milestone::Failed && before.what != Milestone::Failed;
        assert!(follows || fails, "{:?} after {:?}: {marks:?}", mark.what, before.what);
        assert!(before.after <= mark.after, "{marks:?}");
        assert_eq!(mark.attempt, before.attempt + u32::from(mark.what == Milestone::Queued), "{marks:?}");
    }
    let last = marks.last().map(|mark| mark.what);
    let open = matches!(last, Some(Milestone::FirstByte(_)));
    assert!(if ended { matches!(last, Some(Milestone::BodyEnd | Milestone::Failed)) } else { open }, "{marks:?}");
}

/// The limit of the whole call.
fn limit_of(timeouts: &urlpool_core::Timeouts) -> Option<Duration> {
    timeouts.limit(Phase::Total)
}

const STATUSES: [u16; 12] = [200, 204, 301, 302, 303, 307, 308, 404, 429, 500, 503, 304];

const FIELDS: [(&str, &str); 20] = [
    ("X-None", ""),
    ("Location", "/x"),
    ("Location", "http://b.test/"),
    ("Location", "http://a.test/"),
    ("Location", "https://a.test/"),
    ("Location", "http://ann:hunter2@b.test/"),
    ("Location", "ftp://a.test/"),
    ("Location", "http://[/"),
    ("Location", ""),
    ("Retry-After", "0"),
    ("Retry-After", "7"),
    ("Retry-After", "99999999999999999999999"),
    // Five seconds after the beginning.
    ("Retry-After", "Tue, 14 Nov 2023 22:13:25 GMT"),
    ("Retry-After", "soon"),
    ("Content-Length", "0"),
    ("Content-Length", "9"),
    ("Content-Length", "40000"),
    ("Content-Encoding", "gzip"),
    ("Content-Encoding", "compress"),
    ("Trailer", "X-Sum"),
];

/// Two that prove that nothing was sent, some that do not, and some that cannot be mended.
const CODES: [ErrorCode; 9] = [
    ErrorCode::ConnectionRefused,
    ErrorCode::DestinationNotFound,
    ErrorCode::ConnectionTerminated,
    ErrorCode::ConnectionTimeout,
    ErrorCode::HttpProtocolError,
    ErrorCode::InternalError(None),
    ErrorCode::TlsProtocolError,
    ErrorCode::TlsCertificateError,
    ErrorCode::HttpRequestDenied,
];
