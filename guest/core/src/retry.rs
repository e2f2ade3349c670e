//! When a request is sent again after a failure or a transient status.
//!
//! Longer than 400 lines, since half of it are the setters of one policy and their documented defaults.

use std::fmt;
use std::time::Duration;

use http::Method;

use crate::backoff::{self, Backoff, Jitter};
use crate::clock::Now;
use crate::entropy::Entropy;
use crate::failure::{Failure, Reach, Sort};
use crate::headers::Headers;
use crate::request::is_idempotent;
use crate::timeouts::{Clock, Phase};

/// What a call answers when a policy wants to go on but its limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLimit {
    /// The call fails with the error that names the limit.
    Fail,
    /// The call delivers the response it has. Where there is none, it fails.
    Deliver,
}

/// When a request is sent again.
///
/// An attempt that provably never reached the server may be repeated for any method. Once bytes
/// may have been sent, only the methods of [`Self::with_methods`] are, and requests with an
/// `Idempotency-Key`.
///
/// Unlike urllib3, redirects are not counted here, because a hop is an answer and not a failure.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use urlpool_core::Retry;
///
/// let retry = Retry::default()
///     .with_total(5)
///     .with_statuses([502, 503, 504])
///     .with_backoff(Duration::from_millis(200), Duration::from_secs(5));
/// assert_ne!(retry, Retry::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    enabled: bool,
    total: Option<u32>,
    connect: Option<u32>,
    read: Option<u32>,
    status: Option<u32>,
    other: Option<u32>,
    methods: Methods,
    statuses: Vec<u16>,
    backoff: Backoff,
    retry_after: Option<Duration>,
    at_limit: AtLimit,
}

/// Which methods may be repeated once bytes may have been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Methods {
    Idempotent,
    Any,
    These(Vec<Method>),
}

/// Three retries, idempotent methods, no status but 413, 429 and 503 with a `Retry-After` of up to a minute.
impl Default for Retry {
    fn default() -> Self {
        Self {
            enabled: true,
            total: Some(3),
            connect: None,
            read: None,
            status: None,
            other: None,
            methods: Methods::Idempotent,
            statuses: Vec::new(),
            backoff: Backoff::default(),
            retry_after: Some(Duration::from_secs(60)),
            at_limit: AtLimit::Deliver,
        }
    }
}

impl Retry {
    /// A policy that never sends a request twice and gives the first outcome as it is.
    ///
    /// A limit of 0 is not the same: there a status that is worth another attempt has used up its retries.
    pub fn never() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    /// Limits the retries of one call, whatever their cause; `None` leaves only the limits per cause. Default: 3.
    #[must_use]
    pub fn with_total(mut self, limit: impl Into<Option<u32>>) -> Self {
        self.set_total(limit);
        self
    }

    /// Limits the retries of attempts that never reached the server; `None` leaves only the total. Default: `None`.
    #[must_use]
    pub fn with_connect(mut self, limit: impl Into<Option<u32>>) -> Self {
        self.set_connect(limit);
        self
    }

    /// Limits the retries of attempts that failed after bytes may have been sent; `None` leaves only the total. Default: `None`.
    #[must_use]
    pub fn with_read(mut self, limit: impl Into<Option<u32>>) -> Self {
        self.set_read(limit);
        self
    }

    /// Limits the retries caused by a status; `None` leaves only the total. Default: `None`.
    #[must_use]
    pub fn with_status(mut self, limit: impl Into<Option<u32>>) -> Self {
        self.set_status(limit);
        self
    }

    /// Limits the retries of every other cause: TLS, and failures that the host does not explain; `None` leaves only the total. Default: `None`.
    #[must_use]
    pub fn with_other(mut self, limit: impl Into<Option<u32>>) -> Self {
        self.set_other(limit);
        self
    }

    /// Names the methods that may be repeated once bytes may have been sent; `None` means any method.
    ///
    /// Default: GET, HEAD, OPTIONS, TRACE, PUT, DELETE and QUERY.
    #[must_use]
    pub fn with_methods(mut self, methods: Option<Vec<Method>>) -> Self {
        self.set_methods(methods);
        self
    }

    /// Names the statuses that are worth another attempt. Default: none; see [`Self::with_retry_after`] for 413, 429 and 503.
    #[must_use]
    pub fn with_statuses(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.set_statuses(statuses);
        self
    }

    /// Sets the delay that doubles: retry n waits `base * 2^(n-1)`, never more than `ceiling`, but the first retry does not wait.
    ///
    /// Default: a tenth of a second, and ten seconds. Unlike urllib3, the base is not zero, because callers who fail
    /// together should not return together.
    #[must_use]
    pub fn with_backoff(mut self, base: Duration, ceiling: Duration) -> Self {
        self.set_backoff(base, ceiling);
        self
    }

    /// Chooses how each delay that is not zero is spread. Default: [`Jitter::Full`].
    #[must_use]
    pub fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.set_jitter(jitter);
        self
    }

    /// Honours `Retry-After` of up to this ceiling; `None` ignores the header. Default: one minute.
    ///
    /// - A 413, 429 or 503 that carries the header is worth another attempt even where no list names it.
    /// - A wait that is longer, or longer than the total limit leaves, is not begun: the response is delivered.
    ///   Unlike urllib3, which shortens the wait, because a server that is asked early fails again.
    /// - A malformed header counts as absent.
    #[must_use]
    pub fn with_retry_after(mut self, ceiling: Option<Duration>) -> Self {
        self.set_retry_after(ceiling);
        self
    }

    /// Chooses what a call answers when a status is worth another attempt but a limit is reached. Default: [`AtLimit::Deliver`].
    #[must_use]
    pub fn with_at_limit(mut self, then: AtLimit) -> Self {
        self.set_at_limit(then);
        self
    }

    /// Sets what [`Self::with_total`] does.
    pub fn set_total(&mut self, limit: impl Into<Option<u32>>) {
        self.total = limit.into();
    }

    /// Sets what [`Self::with_connect`] does.
    pub fn set_connect(&mut self, limit: impl Into<Option<u32>>) {
        self.connect = limit.into();
    }

    /// Sets what [`Self::with_read`] does.
    pub fn set_read(&mut self, limit: impl Into<Option<u32>>) {
        self.read = limit.into();
    }

    /// Sets what [`Self::with_status`] does.
    pub fn set_status(&mut self, limit: impl Into<Option<u32>>) {
        self.status = limit.into();
    }

    /// Sets what [`Self::with_other`] does.
    pub fn set_other(&mut self, limit: impl Into<Option<u32>>) {
        self.other = limit.into();
    }

    /// Sets what [`Self::with_methods`] does.
    pub fn set_methods(&mut self, methods: Option<Vec<Method>>) {
        self.methods = methods.map_or(Methods::Any, Methods::These);
    }

    /// Sets what [`Self::with_statuses`] does.
    pub fn set_statuses(&mut self, statuses: impl IntoIterator<Item = u16>) {
        self.statuses = statuses.into_iter().collect();
    }

    /// Sets what [`Self::with_backoff`] does.
    pub fn set_backoff(&mut self, base: Duration, ceiling: Duration) {
        self.backoff = Backoff { base, ceiling, ..self.backoff };
    }

    /// Sets what [`Self::with_jitter`] does.
    pub fn set_jitter(&mut self, jitter: Jitter) {
        self.backoff.jitter = jitter;
    }

    /// Sets what [`Self::with_retry_after`] does.
    pub fn set_retry_after(&mut self, ceiling: Option<Duration>) {
        self.retry_after = ceiling;
    }

    /// Sets what [`Self::with_at_limit`] does.
    pub fn set_at_limit(&mut self, then: AtLimit) {
        self.at_limit = then;
    }

    /// What a call answers when a status is worth another attempt but a limit is reached.
    pub fn at_limit(&self) -> AtLimit {
        self.at_limit
    }

    /// Whether to send a request again after this outcome of an attempt, and when.
    ///
    /// The body is asked about last, so that it is named only where nothing else is in the way.
    pub fn judge(&self, attempt: &Sent<'_>, outcome: Judged<'_>, call: &Call<'_>) -> Verdict {
        if !self.enabled {
            return Verdict::Accept;
        }
        let (counts, asked) = match outcome {
            Judged::Answered { status, headers } => {
                let asked = self.asked(headers, call.now);
                // RFC 9110 sections 15.5.14 and 15.6.4, RFC 6585 section 4: these may say when to come back.
                let invited = matches!(status, 413 | 429 | 503) && asked.is_some();
                if !invited && !self.statuses.contains(&status) {
                    return Verdict::Accept;
                }
                (Count::Status, asked)
            }
            Judged::Failed(Failure::TimedOut(Phase::Total)) => return Verdict::Refuse(Refusal::Deadline),
            Judged::Failed(failure) => match count(failure) {
                Some(count) => (count, None),
                None => return Verdict::Refuse(Refusal::Unmendable),
            },
        };
        if counts != Count::Connect && !self.repeatable(attempt) {
            return Verdict::Refuse(Refusal::Method);
        }
        if let Some(limit) = self.reached(counts, call.tally) {
            return Verdict::Exhausted(limit);
        }
        let delay = match asked {
            Some(asked) => self.admit(asked, call),
            None => call.in_time(call.tally.delay(&self.backoff, call.entropy)),
        };
        match delay {
            Err(refusal) => Verdict::Refuse(refusal),
            Ok(_) if !attempt.replayable => Verdict::Refuse(Refusal::Body),
            Ok(delay) => Verdict::Again { delay, counts },
        }
    }

    /// How long a redirect asks to be waited for before it is followed; zero when it does not.
    ///
    /// # Errors
    ///
    /// [`Refusal::RetryAfter`] or [`Refusal::Deadline`] when the wait is not begun. The response is then delivered.
    pub fn before_hop(&self, headers: &Headers, call: &Call<'_>) -> Result<Duration, Refusal> {
        // RFC 9110 section 10.2.3: on a 3xx it is the least time to wait before the redirected request.
        match self.asked(headers, call.now) {
            Some(asked) => self.admit(asked, call),
            None => Ok(Duration::ZERO),
        }
    }

    /// The wait that the headers ask for, where this policy listens.
    fn asked(&self, headers: &Headers, now: Now) -> Option<Duration> {
        self.retry_after?;
        backoff::retry_after(headers.get("retry-after")?, now.wall)
    }

    /// The wait that was asked for, unless it is longer than the policy or the call allows.
    fn admit(&self, asked: Duration, call: &Call<'_>) -> Result<Duration, Refusal> {
        match self.retry_after.filter(|ceiling| asked > *ceiling) {
            Some(ceiling) => Err(Refusal::RetryAfter { asked, ceiling }),
            None => call.in_time(asked),
        }
    }

    /// Whether the request may be sent twice though the server may have acted on it.
    fn repeatable(&self, attempt: &Sent<'_>) -> bool {
        attempt.idempotency_key
            || match &self.methods {
                Methods::Idempotent => is_idempotent(attempt.method),
                Methods::Any => true,
                Methods::These(methods) => methods.contains(attempt.method),
            }
    }

    /// The limit that is in the way of one more retry of this kind, the total before that of its cause.
    fn reached(&self, counts: Count, tally: &Tally) -> Option<Limit> {
        let (own, used) = match counts {
            Count::Connect => (self.connect, tally.connect),
            Count::Read => (self.read, tally.read),
            Count::Status => (self.status, tally.status),
            Count::Other => (self.other, tally.other),
        };
        if self.total.is_some_and(|total| tally.total() >= total) {
            Some(Limit::Total)
        } else {
            own.filter(|own| used >= *own).map(|_| Limit::Cause(counts))
        }
    }
}

/// What there is to know of the request whose attempt is judged.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Whether it has an `Idempotency-Key` header.
    pub idempotency_key: bool,
    /// Whether its body can be sent again, or nothing of it was read yet.
    pub replayable: bool,
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug)]
pub enum Judged<'a> {
    /// The server answered.
    Answered {
        /// With this status.
        status: u16,
        /// With these headers.
        headers: &'a Headers,
    },
    /// The attempt failed, before the head of the response or while its body was collected.
    Failed(&'a Failure),
}

/// What there is to know of the call that an attempt belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its retries so far.
    pub tally: &'a Tally,
    /// Its time.
    pub clock: &'a Clock,
    /// The random number of the call; the same one serves every attempt.
    pub entropy: u64,
    /// The moment of judging.
    pub now: Now,
}

impl Call<'_> {
    /// The delay, when the total limit leaves time for an attempt after it.
    fn in_time(&self, delay: Duration) -> Result<Duration, Refusal> {
        match self.clock.remaining(self.now.mono) {
            Some(left) if left <= delay => Err(Refusal::Deadline),
            Some(_) | None => Ok(delay),
        }
    }
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the outcome is that of the call.
    Accept,
    /// Send the request again after the delay, and [`Tally::add`] both.
    Again {
        /// How long to wait before.
        delay: Duration,
        /// What the retry counts as.
        counts: Count,
    },
    /// Another attempt was due, but this limit is reached.
    Exhausted(Limit),
    /// Another attempt was due, but it is not made.
    Refuse(Refusal),
}

/// What a retry counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The attempt never reached the server.
    Connect,
    /// It failed after bytes may have been sent.
    Read,
    /// It was answered with a status that is worth another.
    Status,
    /// It failed otherwise: in TLS, or without an explanation.
    Other,
}

/// What a retry after this failure counts as; none when repeating cannot mend it.
fn count(failure: &Failure) -> Option<Count> {
    match (failure.reach(), failure.sort()) {
        (Reach::Refused, _) => None,
        (Reach::Unsent, _) => Some(Count::Connect),
        // The limit of the host will be the same, and so will the response.
        (Reach::MaybeSent, Sort::TooLarge) => None,
        (Reach::MaybeSent, Sort::Vague) => Some(Count::Other),
        (Reach::MaybeSent, Sort::Connect | Sort::Denied | Sort::TimedOut(_) | Sort::Cut | Sort::Protocol) => {
            Some(Count::Read)
        }
    }
}

/// Which limit of retries was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// That of all retries.
    Total,
    /// That of the retries of one cause.
    Cause(Count),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Total => "the retries are used up",
            Self::Cause(Count::Connect) => "the retries of connecting are used up",
            Self::Cause(Count::Read) => "the retries after bytes may have been sent are used up",
            Self::Cause(Count::Status) => "the retries of a status are used up",
            Self::Cause(Count::Other) => "the retries of other failures are used up",
        })
    }
}

/// Why another attempt that was due is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The method may not be repeated once bytes may have been sent.
    Method,
    /// The body cannot be sent again.
    Body,
    /// The total limit leaves no time for it.
    Deadline,
    /// The server asks for a longer wait than the policy allows.
    RetryAfter {
        /// The wait it asks for.
        asked: Duration,
        /// The longest one allowed.
        ceiling: Duration,
    },
    /// Repeating cannot mend the failure.
    Unmendable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("the method may not be repeated once the request may have been sent"),
            Self::Body => f.write_str("the request body cannot be sent again"),
            Self::Deadline => f.write_str("the total timeout leaves no time for another attempt"),
            Self::RetryAfter { asked, ceiling } => {
                write!(f, "Retry-After asks for {asked:?}, the policy waits no longer than {ceiling:?}")
            }
            Self::Unmendable => f.write_str("repeating cannot mend the failure"),
        }
    }
}

/// The retries of one call so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    connect: u32,
    read: u32,
    status: u32,
    other: u32,
    since_hop: u32,
    previous: Duration,
}

impl Tally {
    /// Counts a retry that is made after this delay.
    pub fn add(&mut self, counts: Count, delay: Duration) {
        match counts {
            Count::Connect => self.connect += 1,
            Count::Read => self.read += 1,
            Count::Status => self.status += 1,
            Count::Other => self.other += 1,
        }
        self.since_hop += 1;
        self.previous = delay;
    }

    /// Begins the delays anew after a hop, since it leads to another resource; the counts stay.
    pub fn hop(&mut self) {
        self.since_hop = 0;
        self.previous = Duration::ZERO;
    }

    /// All retries.
    pub fn total(&self) -> u32 {
        self.connect + self.read + self.status + self.other
    }

    /// The delay before the next retry.
    fn delay(&self, backoff: &Backoff, entropy: u64) -> Duration {
        // Each retry draws a number of its own, or one low draw would shorten them all.
        let drawn = Entropy::seeded(entropy.wrapping_add(u64::from(self.total()))).draw();
        backoff.delay(self.since_hop.saturating_add(1), self.previous, drawn)
    }
}
