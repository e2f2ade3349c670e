//! One logical request across attempts and hops: the only place that orders redirect, retry and delivery.
//!
//! Longer than 400 lines, since the steps and events that shells speak in stand beside the machine that answers them.

use std::fmt;
use std::time::Duration;

use crate::clock::{Instant, Now};
use crate::delivery::{Collected, Delivery, Part, Terms};
use crate::entropy::Entropy;
use crate::error::{Cause, Error, SizeLimit};
use crate::failure::Failure;
use crate::headers::Headers;
use crate::history::{Attempt, FollowedBy, Outcome};
use crate::origin::Origin;
use crate::outgoing::Outgoing;
use crate::policy::{DEFAULT_PRELOAD, Policy};
use crate::redirect::{Hop, HopFrom, Next, StayReason};
use crate::request::Request;
use crate::retry::{AtLimit, Call, Count, Judged, Refusal, Sent, Tally, Verdict};
use crate::timeouts::{AttemptClock, Clock, Deadline, Phase};
use crate::trace::{Milestone, Trace};
use crate::upload::Upload;

pub use crate::outgoing::{Outbound, USER_AGENT};

/// How much of a body is discarded so that the host can keep its connection: 64 KiB, in 250 ms.
///
/// More costs longer than a new connection would.
pub const DRAIN: (u64, Duration) = (64 * 1024, Duration::from_millis(250));

/// What the shell must do next. Every effect of this client is one of these.
#[derive(Debug)]
pub enum Step {
    /// Get a slot of this origin, then report [`Event::Granted`] or [`Event::NoSlot`].
    Acquire(Origin),
    /// Send this, and the body that [`Exchange::upload`] gives.
    Send(Box<Outbound>),
    /// Read a piece of the body and report it as [`Event::Body`].
    Collect {
        /// Whether trailers may follow the body.
        trailers: bool,
    },
    /// Read and discard up to so many bytes until that moment, then drop the body and report [`Event::Drained`].
    Drain {
        /// The most bytes to read.
        at_most: u64,
        /// The moment to stop at.
        until: Instant,
    },
    /// Free the slot and wait; report [`Event::Expired`] at that moment.
    Wait(Instant),
    /// Hand this to the caller. The slot is free, unless the body of a response is still to be read.
    Finish(Result<Box<Delivery>, Error>),
}

/// What came of the last step.
#[derive(Debug)]
pub enum Event {
    /// A slot is held.
    Granted,
    /// There will be no slot.
    NoSlot(NoSlot),
    /// The final head of the response came.
    Answered(Head),
    /// The attempt failed before a head came.
    Failed(Failure),
    /// A piece of the body came, while collecting.
    Body(Part),
    /// The body was drained as far as asked.
    Drained,
    /// The moment of [`Exchange::deadline`] passed.
    Expired,
}

/// Why there will be no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSlot {
    /// All are taken, and the pool does not wait.
    Full,
    /// All are taken, and as many requests wait as the pool allows.
    QueueFull,
    /// All are held by responses that nobody will read while this call blocks.
    Held,
    /// The pool was closed.
    Closed,
}

impl fmt::Display for NoSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "all are taken",
            Self::QueueFull => "all are taken, and the queue is full",
            Self::Held => "all are held by responses that were not read to the end or dropped",
            Self::Closed => "the pool was closed",
        })
    }
}

/// The head of a response.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
}

/// How often things happened in one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests handed to the host.
    pub attempts: u32,
    /// Those that the retry policy caused.
    pub retries: u32,
    /// Those that the redirect policy caused.
    pub redirects: u32,
}

/// The state machine of one call.
///
/// [`Exchange::begin`] gives the first step, [`Exchange::on`] the next one for
/// what came of it. After [`Step::Finish`] nothing more may be reported.
#[derive(Debug)]
pub struct Exchange {
    outgoing: Outgoing,
    policy: Policy,
    /// Whether a body beyond the preload limit is a failure.
    whole: bool,
    clock: Clock,
    tally: Tally,
    counts: Counts,
    history: Vec<Attempt>,
    /// Empty once the call has ended: its result has it then.
    trace: Trace,
    /// Whether each hop so far led to the URL it came from.
    same: bool,
    entropy: u64,
    /// What spans are drawn from, where each attempt is one.
    spans: Option<Entropy>,
    state: State,
}

#[derive(Debug)]
enum State {
    Acquiring { asked: Instant },
    Sending(AttemptClock),
    Collecting { delivery: Box<Delivery>, limit: u64 },
    Draining { until: Instant, next: Upcoming },
    Waiting(Instant),
    Finished,
}

/// An attempt that another one leads to.
#[derive(Clone, Copy, Debug)]
struct Upcoming {
    why: Milestone,
    /// The moment it begins at; none for at once.
    at: Option<Instant>,
}

impl Upcoming {
    fn retry(delay: Duration, now: Now) -> Self {
        Self { why: Milestone::Retried(delay), at: Some(now.mono.after(delay)) }
    }

    fn hop(delay: Duration, now: Now) -> Self {
        Self { why: Milestone::Redirected(delay), at: (!delay.is_zero()).then(|| now.mono.after(delay)) }
    }
}

impl Exchange {
    /// Begins a call with what the request sets itself, and with the pool's settings otherwise.
    pub fn begin(request: Request, pool: &Policy, entropy: Entropy, now: Now) -> (Self, Step) {
        Self::start(request, pool, entropy, false, now)
    }

    /// Begins a call whose response is delivered with its whole body, or fails with `too-large`.
    pub fn begin_whole(request: Request, pool: &Policy, entropy: Entropy, now: Now) -> (Self, Step) {
        Self::start(request, pool, entropy, true, now)
    }

    /// Takes what came of the last step, and says what to do next.
    pub fn on(&mut self, event: Event, now: Now) -> Step {
        match (std::mem::replace(&mut self.state, State::Finished), event) {
            (State::Acquiring { .. }, Event::Granted) => {
                self.mark(Milestone::Granted, now);
                self.send(now)
            }
            (State::Acquiring { .. }, Event::NoSlot(reason)) => self.fail(self.no_slot(reason), now),
            (State::Acquiring { asked }, Event::Expired) => {
                let phase = self.clock.slot(asked).map_or(Phase::Slot, |deadline| deadline.phase);
                self.fail(self.timed_out(phase), now)
            }
            (State::Sending(_), Event::Answered(head)) => self.answered(head, now),
            (State::Sending(_), Event::Failed(failure)) => self.failed(failure, now),
            (State::Sending(attempt), Event::Expired) => {
                let phase = attempt.nearest().map_or(Phase::FirstByte, |deadline| deadline.phase);
                self.failed(Failure::TimedOut(phase), now)
            }
            (State::Collecting { mut delivery, limit }, Event::Body(part)) => {
                delivery.on(part, now);
                self.collect(delivery, limit, now)
            }
            (State::Collecting { mut delivery, limit }, Event::Expired) => {
                delivery.on(Part::Expired, now);
                self.collect(delivery, limit, now)
            }
            (State::Draining { next, .. }, Event::Drained | Event::Expired) => {
                self.mark(Milestone::BodyEnd, now);
                self.go_on(next, now)
            }
            (State::Waiting(_), Event::Expired) => self.acquire(now),
            (state, event) => {
                debug_assert!(false, "{event:?} does not belong to {state:?}");
                self.fail(Cause::Other("the shell reported what was not asked for".to_owned()), now)
            }
        }
    }

    /// The moment at which the current step has taken too long; report [`Event::Expired`] then.
    ///
    /// The end of a drain or of a wait is no limit, and has the phase of the whole call for want of its own.
    pub fn deadline(&self) -> Option<Deadline> {
        match &self.state {
            State::Acquiring { asked } => self.clock.slot(*asked),
            State::Sending(attempt) => attempt.nearest(),
            State::Collecting { delivery, .. } => delivery.deadline(),
            State::Draining { until, .. } | State::Waiting(until) => Some(Deadline { at: *until, phase: Phase::Total }),
            State::Finished => None,
        }
    }

    /// The body of the attempt that is being sent.
    pub fn upload(&mut self) -> &mut Upload {
        &mut self.outgoing.upload
    }

    /// Takes note that the host accepted some of the body.
    pub fn accepted(&mut self, bytes: u64, now: Now) {
        if let State::Sending(attempt) = &mut self.state {
            attempt.accepted(bytes, now.mono);
        }
    }

    /// Takes note that the host had no room for more of the body, and then accepted some: it is connected.
    pub fn wrote(&mut self, now: Now) {
        if let State::Sending(attempt) = &mut self.state {
            attempt.wrote(now.mono);
        }
    }

    /// Takes note that the host accepted all of the body.
    pub fn sent(&mut self, now: Now) {
        if let State::Sending(attempt) = &mut self.state {
            let again = attempt.is_sent();
            attempt.sent(now.mono);
            if !again {
                self.mark(Milestone::Sent, now);
            }
        }
    }

    /// How often things happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The attempts so far that others followed, in order.
    pub fn history(&self) -> &[Attempt] {
        &self.history
    }

    /// What has happened so far; empty once the call has ended, since its result has it then.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    fn start(request: Request, pool: &Policy, mut entropy: Entropy, whole: bool, now: Now) -> (Self, Step) {
        let policy = pool.of(&request);
        let mut exchange = Self {
            outgoing: Outgoing::new(&request),
            clock: Clock::begin(&policy.timeouts, now),
            policy,
            whole,
            tally: Tally::default(),
            counts: Counts::default(),
            history: Vec::new(),
            trace: Trace::begin(),
            same: true,
            entropy: entropy.draw(),
            spans: pool.trace_context.then(|| Entropy::seeded(entropy.draw())),
            state: State::Finished,
        };
        let decode = exchange.policy.decode;
        let composed = exchange.outgoing.compose(request.content, &request.removed, pool, decode, entropy.boundary());
        let step = match composed {
            Ok(()) => exchange.acquire(now),
            Err(invalid) => exchange.fail(Cause::Invalid(invalid), now),
        };
        (exchange, step)
    }

    fn acquire(&mut self, now: Now) -> Step {
        // A drain or a wait may have ended with the call, or the shell may have come back late.
        if self.is_over(now) {
            return self.fail(self.timed_out(Phase::Total), now);
        }
        self.mark(Milestone::Queued, now);
        self.state = State::Acquiring { asked: now.mono };
        Step::Acquire(self.outgoing.target.origin().clone())
    }

    fn send(&mut self, now: Now) -> Step {
        if self.is_over(now) {
            return self.fail(self.timed_out(Phase::Total), now);
        }
        self.mark(Milestone::Sending, now);
        let upload = &self.outgoing.upload;
        let mut attempt = self.clock.attempt(now.mono);
        if upload.is_empty() {
            attempt.sent(now.mono);
            self.trace.mark(Milestone::Sent, self.clock.elapsed(now.mono));
        }
        let options = attempt.host_options(now.mono, upload.is_handed_over_at_once());
        self.state = State::Sending(attempt);
        self.counts.attempts += 1;
        Step::Send(Box::new(self.outgoing.attempt(options, &self.policy, self.spans.as_mut())))
    }

    fn answered(&mut self, head: Head, now: Now) -> Step {
        self.mark(Milestone::FirstByte(head.status), now);
        let next = self.policy.redirect.next(
            &HopFrom {
                method: &self.outgoing.method,
                target: &self.outgoing.target,
                headers: &self.outgoing.headers,
                scope: self.policy.scope.as_ref(),
                hops: self.counts.redirects,
                same: self.same,
                body: !self.outgoing.upload.is_empty(),
                replayable: self.outgoing.upload.replayable(),
            },
            head.status,
            &head.headers,
        );
        let mut not_retried = None;
        match next {
            Next::Follow(hop) => match self.policy.retry.before_hop(&head.headers, &self.call(now)) {
                Ok(delay) => return self.follow(*hop, head.status, delay, now),
                Err(reason) => not_retried = Some(reason.to_string()),
            },
            Next::Refuse(cause) => return self.fail(cause, now),
            Next::Stay(reason) => {
                match reason {
                    StayReason::NoRedirect | StayReason::NoLocation | StayReason::Never => {}
                    StayReason::Limit | StayReason::OtherOrigin | StayReason::Body => {
                        not_retried = Some(reason.to_string());
                    }
                }
                let judged = Judged::Answered { status: head.status, headers: &head.headers };
                match self.judge(judged, now) {
                    Verdict::Accept => {}
                    Verdict::Again { delay, counts } => {
                        self.again(Outcome::Answered(head.status), delay, counts);
                        return self.drain(Upcoming::retry(delay, now), now);
                    }
                    Verdict::Exhausted(limit) => match self.policy.retry.at_limit() {
                        AtLimit::Fail => return self.fail(Cause::RetriesExhausted { status: head.status }, now),
                        AtLimit::Deliver => not_retried = Some(limit.to_string()),
                    },
                    Verdict::Refuse(reason) => not_retried = Some(reason.to_string()),
                }
            }
        }
        let delivery = Box::new(Delivery::new(
            head,
            self.outgoing.target.as_str().to_owned(),
            self.history.clone(),
            not_retried,
            Terms {
                method: self.outgoing.method.clone(),
                decode: self.policy.decode,
                max_body: self.policy.max_body,
                max_ratio: self.policy.max_ratio,
                clock: self.clock.clone(),
            },
            now,
        ));
        match self.policy.preload.or(self.whole.then_some(DEFAULT_PRELOAD)) {
            Some(limit) => self.collect(delivery, limit, now),
            None => self.deliver(delivery, now),
        }
    }

    fn follow(&mut self, hop: Hop, status: u16, delay: Duration, now: Now) -> Step {
        self.record(Outcome::Answered(status), FollowedBy::Redirect, delay);
        self.counts.redirects += 1;
        self.tally.hop();
        self.same &= hop.same;
        self.outgoing.follow(hop, &self.policy.redirect);
        // Drain before following: an unread body makes the host close the connection.
        self.drain(Upcoming::hop(delay, now), now)
    }

    fn failed(&mut self, failure: Failure, now: Now) -> Step {
        match self.judge(Judged::Failed(&failure), now) {
            Verdict::Again { delay, counts } => {
                self.mark(Milestone::Failed, now);
                self.again(failure.outcome(), delay, counts);
                self.go_on(Upcoming::retry(delay, now), now)
            }
            Verdict::Refuse(Refusal::Body) => self.fail(Cause::NotReplayable { code: failure.code().cloned() }, now),
            Verdict::Accept | Verdict::Exhausted(_) | Verdict::Refuse(_) => {
                let cause = failure.cause(failure.phase().and_then(|phase| self.policy.timeouts.limit(phase)));
                self.fail(cause, now)
            }
        }
    }

    fn collect(&mut self, mut delivery: Box<Delivery>, limit: u64, now: Now) -> Step {
        let collected = delivery.collect(limit, now);
        if let (Collected::Whole, Some(failure)) = (collected, delivery.cut_by().cloned()) {
            match self.judge(Judged::Failed(&failure), now) {
                Verdict::Again { delay, counts } => {
                    self.mark(Milestone::Failed, now);
                    self.again(failure.outcome(), delay, counts);
                    return self.go_on(Upcoming::retry(delay, now), now);
                }
                // A head that arrived is delivered all the same; its reader gets what came, then the failure.
                Verdict::Exhausted(limit) => delivery.set_not_retried(limit.to_string()),
                Verdict::Refuse(reason) => delivery.set_not_retried(reason.to_string()),
                Verdict::Accept => {}
            }
        }
        match collected {
            Collected::More => {
                let trailers = delivery.may_have_trailers();
                self.state = State::Collecting { delivery, limit };
                Step::Collect { trailers }
            }
            Collected::Full if self.whole => self.fail(Cause::TooLarge { limit: SizeLimit::Collect(limit) }, now),
            Collected::Full | Collected::Whole => self.deliver(delivery, now),
        }
    }

    fn judge(&self, judged: Judged<'_>, now: Now) -> Verdict {
        let sent = Sent {
            method: &self.outgoing.method,
            idempotency_key: self.outgoing.headers.contains("idempotency-key"),
            replayable: self.outgoing.upload.replayable(),
        };
        self.policy.retry.judge(&sent, judged, &self.call(now))
    }

    fn call(&self, now: Now) -> Call<'_> {
        Call { tally: &self.tally, clock: &self.clock, entropy: self.entropy, now }
    }

    /// Takes note of an attempt that another follows by the retry policy.
    fn again(&mut self, outcome: Outcome, delay: Duration, counts: Count) {
        self.record(outcome, FollowedBy::Retry, delay);
        self.tally.add(counts, delay);
        self.counts.retries += 1;
        self.outgoing.upload.rewind();
    }

    fn record(&mut self, outcome: Outcome, followed_by: FollowedBy, delay: Duration) {
        self.history.push(Attempt {
            method: self.outgoing.method.clone(),
            url: self.outgoing.target.redacted(),
            outcome,
            followed_by,
            delay,
        });
    }

    fn drain(&mut self, next: Upcoming, now: Now) -> Step {
        let (at_most, time) = DRAIN;
        let until = self.clock.clip(now.mono.after(time));
        self.state = State::Draining { until, next };
        Step::Drain { at_most, until }
    }

    fn go_on(&mut self, next: Upcoming, now: Now) -> Step {
        self.mark(next.why, now);
        match next.at {
            Some(until) => {
                self.state = State::Waiting(until);
                Step::Wait(until)
            }
            None => self.acquire(now),
        }
    }

    fn deliver(&mut self, mut delivery: Box<Delivery>, now: Now) -> Step {
        self.state = State::Finished;
        delivery.go_on_tracing(std::mem::take(&mut self.trace), now);
        Step::Finish(Ok(delivery))
    }

    fn fail(&mut self, cause: Cause, now: Now) -> Step {
        self.state = State::Finished;
        self.mark(Milestone::Failed, now);
        Step::Finish(Err(Error {
            cause,
            url: Some(self.outgoing.target.redacted()),
            elapsed: self.clock.elapsed(now.mono),
            history: self.history.clone(),
            trace: std::mem::take(&mut self.trace),
        }))
    }

    fn mark(&mut self, what: Milestone, now: Now) {
        self.trace.mark(what, self.clock.elapsed(now.mono));
    }

    fn is_over(&self, now: Now) -> bool {
        self.clock.total().is_some_and(|total| now.mono >= total)
    }

    fn timed_out(&self, phase: Phase) -> Cause {
        Cause::TimedOut { phase, limit: self.policy.timeouts.limit(phase) }
    }

    fn no_slot(&self, reason: NoSlot) -> Cause {
        let origin = self.outgoing.target.origin().to_string();
        match reason {
            NoSlot::Full | NoSlot::QueueFull | NoSlot::Held => Cause::PoolExhausted { origin, why: reason },
            NoSlot::Closed => Cause::Closed,
        }
    }
}
