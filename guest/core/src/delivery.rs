//! A response on its way to the caller: the head, and a body that is judged piece by piece.
//!
//! Longer than 400 lines, since a third of it are the few types that shells and readers talk in.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use http::Method;

use crate::clock::{Instant, Now};
use crate::code::ErrorCode;
use crate::decode::{self, Codings, Decoder};
use crate::error::{Cause, Error, SizeLimit};
use crate::exchange::Head;
use crate::failure::Failure;
use crate::headers::Headers;
use crate::history::Attempt;
use crate::target;
use crate::text;
use crate::timeouts::{Clock, Deadline, Phase};
use crate::trace::{Milestone, Trace};

/// The ratio of decoded to encoded bytes is judged above this size: 1 MiB.
///
/// Below it a bomb does no harm, and short bodies compress by thousands.
pub const RATIO_FROM: u64 = 1024 * 1024;

/// How many encoded bytes may decode to nothing: 1 MiB.
///
/// Each decoded byte makes up for 64 of them, so this counts those that bring nothing: empty members, frames to skip, and
/// what follows the end. They pass every other limit, as those count decoded bytes.
pub const BARREN: u64 = 1024 * 1024;

/// How many encoded bytes one decoded byte makes up for.
///
/// A server that sends each byte as a member of its own needs some twenty.
const MADE_UP: u64 = 64;

/// Pieces below this size are joined with what follows: 16 KiB.
///
/// A server that sends single bytes would otherwise have each kept at the price of fifty.
const SMALL: usize = 16 * 1024;

/// The most that is decoded ahead of a reader.
const AHEAD: usize = 64 * 1024;

/// What the shell got when it read the body.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Bytes as the server sent them.
    Chunk(Bytes),
    /// The end of the body, with the trailers.
    End(Headers),
    /// The body ended by a failure, with the host's code where there is one.
    Cut(Option<ErrorCode>),
    /// The moment of [`Delivery::deadline`] passed.
    Expired,
}

/// What a reader gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// Decoded bytes, at least one.
    Bytes(Bytes),
    /// Nothing yet: another [`Part`] is needed.
    Wait,
    /// The end of the body.
    End,
    /// The body failed, now and at every later read.
    Fail(Error),
}

/// How far the collecting of a body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collected {
    /// Another [`Part`] is needed.
    More,
    /// More than the limit came; the rest stays a stream.
    Full,
    /// The body ended, well or badly.
    Whole,
}

/// What a body is held to.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The method of the request that was answered.
    pub method: Method,
    /// Whether `Content-Encoding` is undone.
    pub decode: bool,
    /// The most decoded bytes.
    pub max_body: Option<u64>,
    /// The highest ratio of decoded to encoded bytes.
    pub max_ratio: Option<u32>,
    /// The clock of the call, with its limits.
    pub clock: Clock,
}

/// A response: the head, what came before it, and a body that is read once.
#[derive(Debug)]
pub struct Delivery {
    status: u16,
    headers: Headers,
    trailers: Headers,
    url: String,
    history: Vec<Attempt>,
    /// What happened, once the exchange has handed it over.
    trace: Option<Trace>,
    not_retried: Option<String>,
    terms: Terms,
    /// Whether an encoding is undone.
    undone: bool,
    decoder: Option<Decoder>,
    /// The length that the head declares.
    expected: Option<u64>,
    /// The bytes that came, as sent.
    received: u64,
    /// The bytes after decoding.
    decoded: u64,
    /// What came and is not decoded yet.
    input: Bytes,
    /// The encoded bytes that brought nothing, see [`BARREN`].
    barren: u64,
    /// What is decoded and not read yet.
    output: VecDeque<Bytes>,
    /// What follows it, joined of small pieces.
    tail: BytesMut,
    /// The bytes of both.
    output_size: u64,
    /// How the body ended at the server's side.
    end: Option<Ended>,
    /// Told to every reader once the output is empty.
    failed: Option<Error>,
    /// Since when a reader waits for a chunk.
    waiting: Option<Instant>,
    /// What was done with the body already.
    used: Option<Used>,
}

/// Why a body is not as it was sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    Preloaded,
    Read,
}

#[derive(Clone, Debug, PartialEq)]
enum Ended {
    Whole,
    Badly(Failure),
}

impl Delivery {
    /// The response with this head, of an exchange that began at the clock of `terms`.
    pub fn new(
        head: Head,
        url: String,
        history: Vec<Attempt>,
        not_retried: Option<String>,
        terms: Terms,
        now: Now,
    ) -> Self {
        let Head { status, mut headers } = head;
        // RFC 9112 section 6.3: these end with the head, whatever lengths it names.
        let bodiless = terms.method == Method::HEAD || matches!(status, 100..=199 | 204 | 304);
        let expected = if bodiless { None } else { headers.content_length() };
        // A part of an encoded body cannot be decoded by itself (RFC 9110 section 14.2).
        let decode = terms.decode && !bodiless && status != 206;
        let codings = if decode { decode::codings(&headers) } else { Codings::None };
        let mut too_many = None;
        let decoder = match codings {
            Codings::None | Codings::Passthrough => None,
            Codings::Decode(codings) => Some(Decoder::new(&codings)),
            Codings::TooMany => {
                too_many = Some(Cause::Undecodable {
                    coding: "content-encoding",
                    reason: format!("it lists more than {} codings", decode::MAX_CODINGS),
                });
                None
            }
        };
        if decoder.is_some() {
            headers.remove("content-encoding");
            headers.remove("content-length");
        }
        let mut delivery = Self {
            status,
            headers,
            trailers: Headers::default(),
            url,
            history,
            trace: None,
            not_retried,
            terms,
            undone: decoder.is_some(),
            decoder,
            expected,
            received: 0,
            decoded: 0,
            input: Bytes::new(),
            barren: 0,
            output: VecDeque::new(),
            tail: BytesMut::new(),
            output_size: 0,
            end: (bodiless || expected == Some(0)).then_some(Ended::Whole),
            failed: None,
            waiting: None,
            used: None,
        };
        if let Some(cause) = too_many {
            delivery.fail(cause, now);
        }
        // Without a decoder the declared length is the length: no byte of it need be read.
        if let (None, Some(expected), Some(limit)) = (&delivery.decoder, expected, delivery.terms.max_body)
            && expected > limit
        {
            delivery.fail(Cause::TooLarge { limit: SizeLimit::Body(limit) }, now);
        }
        delivery
    }

    /// Takes what the shell read.
    pub fn on(&mut self, part: Part, now: Now) {
        self.used.get_or_insert(Used::Read);
        self.waiting = None;
        if self.is_ended() {
            return;
        }
        match part {
            Part::Chunk(mut bytes) => {
                let left = self.expected.map_or(u64::MAX, |expected| expected - self.received);
                let too_much = bytes.len() as u64 > left;
                if too_much {
                    // No host lets this through; one that did would hand over bytes of the next response.
                    bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                }
                self.received += bytes.len() as u64;
                if self.input.is_empty() {
                    self.input = bytes;
                } else {
                    self.input = [std::mem::take(&mut self.input), bytes].concat().into();
                }
                if too_much {
                    self.end = Some(Ended::Badly(self.cut(Some(ErrorCode::HttpProtocolError))));
                } else if self.expected == Some(self.received) && !self.may_have_trailers() {
                    // Nothing can follow, so nobody has to ask for it.
                    self.end = Some(Ended::Whole);
                } else if self.terms.clock.total().is_some_and(|total| now.mono >= total) {
                    self.end = Some(Ended::Badly(Failure::TimedOut(Phase::Total)));
                }
            }
            Part::End(trailers) => {
                self.trailers = trailers;
                self.end = Some(match self.expected {
                    Some(expected) if self.received < expected => Ended::Badly(self.cut(None)),
                    Some(_) | None => Ended::Whole,
                });
            }
            Part::Cut(code) => self.end = Some(Ended::Badly(self.cut(code))),
            Part::Expired => {
                let phase = match self.terms.clock.total() {
                    Some(total) if now.mono >= total => Phase::Total,
                    Some(_) | None => Phase::BetweenBytes,
                };
                self.end = Some(Ended::Badly(Failure::TimedOut(phase)));
            }
        }
        self.mark_end(now);
    }

    /// Reads up to `max` decoded bytes; a `max` of 0 counts as 1.
    pub fn read(&mut self, max: usize, now: Now) -> Read {
        self.used.get_or_insert(Used::Read);
        while self.output_size == 0 && self.decode(max.clamp(1, AHEAD), now) {}
        if self.output.is_empty() {
            self.close_tail();
        }
        if let Some(first) = self.output.front_mut() {
            let bytes = first.split_to(max.max(1).min(first.len()));
            if first.is_empty() {
                self.output.pop_front();
            }
            self.output_size -= bytes.len() as u64;
            return Read::Bytes(bytes);
        }
        if let Some(error) = &self.failed {
            return Read::Fail(error.clone());
        }
        match self.end {
            Some(_) => Read::End,
            None => {
                self.waiting.get_or_insert(now.mono);
                Read::Wait
            }
        }
    }

    /// Reads all that is there into `whole`, and goes on until the end.
    ///
    /// Once more than `limit` bytes are left it fails with `too-large`, as does every later read.
    pub fn read_all(&mut self, whole: &mut Vec<u8>, limit: usize, now: Now) -> Read {
        loop {
            match self.read(usize::MAX, now) {
                Read::Bytes(bytes) if whole.len() + bytes.len() > limit => {
                    self.output.clear();
                    self.tail.clear();
                    self.output_size = 0;
                    self.fail(Cause::TooLarge { limit: SizeLimit::Collect(limit as u64) }, now);
                }
                Read::Bytes(bytes) => whole.extend_from_slice(&bytes),
                other => return other,
            }
        }
    }

    /// Decodes what came, as long as no more than `limit` bytes wait to be read.
    pub fn collect(&mut self, limit: u64, now: Now) -> Collected {
        self.used.get_or_insert(Used::Preloaded);
        loop {
            if self.output_size > limit {
                return Collected::Full;
            }
            if self.decode(AHEAD, now) {
                continue;
            }
            if self.output_size > limit {
                return Collected::Full;
            }
            if self.is_ended() {
                return Collected::Whole;
            }
            self.waiting.get_or_insert(now.mono);
            return Collected::More;
        }
    }

    /// The moment at which waiting for the next chunk has taken too long.
    pub fn deadline(&self) -> Option<Deadline> {
        if self.is_ended() {
            return None;
        }
        match self.waiting {
            Some(since) => self.terms.clock.body(since),
            None => self.terms.clock.overall(),
        }
    }

    /// Whether nothing more is to be read from the host: the body ended there, or nobody may read on.
    pub fn is_ended(&self) -> bool {
        self.end.is_some() || self.failed.is_some()
    }

    /// The failure that ended the body at the server's side, if one did.
    pub fn cut_by(&self) -> Option<&Failure> {
        match &self.end {
            Some(Ended::Badly(failure)) => Some(failure),
            Some(Ended::Whole) | None => None,
        }
    }

    /// Whether a read would give something, the end or a failure without another [`Part`].
    ///
    /// Perhaps too early: input that is not decoded yet may turn out to decode to nothing.
    pub fn has_at_hand(&self) -> bool {
        self.is_ended() || self.output_size > 0 || !self.input.is_empty()
    }

    /// Whether the body may be taken as it was sent; one that was empty from the start may as well.
    ///
    /// # Errors
    ///
    /// [`Cause::Other`] when it was preloaded or read.
    #[expect(clippy::result_large_err, reason = "it is returned once in a call, and is the type that shells report")]
    pub fn raw(&self) -> Result<(), Error> {
        let reason = match self.used {
            None => return Ok(()),
            Some(Used::Preloaded) => "the body was preloaded, so it cannot be taken as it was sent",
            Some(Used::Read) => "the body was read, so it cannot be taken as it was sent",
        };
        Err(self.not_raw(reason))
    }

    /// Whether nothing of the body was preloaded or read, so that it can be taken as it was sent.
    pub fn is_untouched(&self) -> bool {
        self.used.is_none()
    }

    /// Why the body cannot be taken as it was sent, although [`raw`](Self::raw) has nothing against it.
    pub fn not_raw(&self, reason: &str) -> Error {
        Error { url: Some(target::redact(&self.url)), ..Error::new(Cause::Other(reason.to_owned())) }
    }

    /// Whether trailers may follow the body: it ends otherwise than by a declared length, or the head announces some.
    ///
    /// HTTP/2 allows for both together (RFC 9113 section 8.1).
    pub fn may_have_trailers(&self) -> bool {
        self.end.is_none() && (self.expected.is_none() || self.headers.contains("trailer"))
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers; those of an encoding that is undone are gone.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The trailers; empty until the body has ended.
    pub fn trailers(&self) -> &Headers {
        &self.trailers
    }

    /// The URL that answered, without userinfo.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The attempts before the one that answered.
    pub fn history(&self) -> &[Attempt] {
        &self.history
    }

    /// Why a retry that was due was not made.
    pub fn not_retried(&self) -> Option<&str> {
        self.not_retried.as_deref()
    }

    /// Whether an encoding is undone.
    pub fn is_decoded(&self) -> bool {
        self.undone
    }

    /// This body as text, by the charset that the head names.
    pub fn text(&self, body: &[u8]) -> String {
        text::decode(body, self.headers.get("content-type"))
    }

    /// What happened in the call so far, and when.
    pub fn trace(&self) -> Trace {
        self.trace.clone().unwrap_or_default()
    }

    /// Goes on with the trace of the exchange that delivers this.
    pub(crate) fn go_on_tracing(&mut self, trace: Trace, now: Now) {
        self.trace = Some(trace);
        self.mark_end(now);
        if let (Some(failed), Some(trace)) = (&mut self.failed, &self.trace) {
            failed.trace = trace.clone();
        }
    }

    pub(crate) fn set_not_retried(&mut self, reason: String) {
        self.not_retried = Some(reason);
    }

    /// Turns input into up to about `room` bytes of output; true when there may be more to turn.
    fn decode(&mut self, room: usize, now: Now) -> bool {
        if self.failed.is_some() {
            return false;
        }
        if !self.input.is_empty() {
            match &mut self.decoder {
                None => {
                    let bytes = std::mem::take(&mut self.input);
                    self.push(bytes, now);
                }
                Some(decoder) => {
                    let mut out = Vec::new();
                    let progress = decoder.push(&self.input, &mut out, room);
                    let made_up = MADE_UP.saturating_mul(out.len() as u64);
                    self.push(out.into(), now);
                    match progress {
                        Ok(progress) => {
                            let consumed = progress.consumed.min(self.input.len());
                            self.input.advance(consumed);
                            self.barren = (self.barren + consumed as u64).saturating_sub(made_up);
                            if self.barren > BARREN && self.failed.is_none() {
                                let reason = format!("more than {BARREN} bytes of it decode to nothing");
                                self.fail(Cause::Undecodable { coding: "content-encoding", reason }, now);
                            }
                        }
                        // What passed a limit before it is what the reader comes upon first.
                        Err(_) if self.failed.is_some() => {}
                        Err(error) => self.fail(Cause::Undecodable { coding: error.coding, reason: error.reason }, now),
                    }
                }
            }
            if self.failed.is_some() {
                return false;
            }
            // A decoder that has more to give leaves a byte of the input.
            if !self.input.is_empty() {
                return true;
            }
            // The end is judged in the same turn: a reader who finds no output takes it for a good one.
        }
        match self.end.clone() {
            None => {}
            Some(Ended::Badly(failure)) => {
                let limit = failure.phase().and_then(|phase| self.terms.clock.timeouts().limit(phase));
                self.fail(failure.cause(limit), now);
            }
            Some(Ended::Whole) => {
                // Taken, so that the end is judged once.
                if let Some(Err(error)) = self.decoder.take().map(|mut decoder| decoder.finish()) {
                    self.fail(Cause::Undecodable { coding: error.coding, reason: error.reason }, now);
                }
            }
        }
        false
    }

    /// Queues decoded bytes, as many as the limits allow.
    fn push(&mut self, mut bytes: Bytes, now: Now) {
        let mut passed = None;
        if let Some(limit) = self.terms.max_body
            && self.decoded + bytes.len() as u64 > limit
        {
            bytes.truncate(usize::try_from(limit - self.decoded).unwrap_or(usize::MAX));
            passed = Some(SizeLimit::Body(limit));
        }
        self.decoded += bytes.len() as u64;
        if let Some(limit) = self.terms.max_ratio
            && self.decoded > RATIO_FROM
            && self.decoded / u64::from(limit.max(1)) > self.received
        {
            passed = passed.or(Some(SizeLimit::Ratio(limit)));
        }
        if !bytes.is_empty() {
            self.output_size += bytes.len() as u64;
            if bytes.len() >= SMALL || (self.output.is_empty() && self.tail.is_empty()) {
                self.close_tail();
                self.output.push_back(bytes);
            } else {
                self.tail.extend_from_slice(&bytes);
                if self.tail.len() >= SMALL {
                    self.close_tail();
                }
            }
        }
        if let Some(limit) = passed {
            self.fail(Cause::TooLarge { limit }, now);
        }
    }

    /// Queues what was joined so far.
    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.output.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }

    /// Takes note of how the body ended, if it did.
    fn mark_end(&mut self, now: Now) {
        match &self.end {
            // What came may still turn out to be undecodable, but all of it came.
            Some(Ended::Whole) => self.mark(Milestone::BodyEnd, now),
            Some(Ended::Badly(_)) => self.mark(Milestone::Failed, now),
            None if self.failed.is_some() => self.mark(Milestone::Failed, now),
            None => {}
        }
    }

    fn mark(&mut self, what: Milestone, now: Now) {
        if let Some(trace) = &mut self.trace {
            trace.mark(what, self.terms.clock.elapsed(now.mono));
        }
    }

    fn cut(&self, code: Option<ErrorCode>) -> Failure {
        Failure::Cut { code, expected: self.expected, received: self.received }
    }

    fn fail(&mut self, cause: Cause, now: Now) {
        self.input.clear();
        if !self.is_ended() {
            self.mark(Milestone::Failed, now);
        }
        self.failed = Some(Error {
            cause,
            url: Some(target::redact(&self.url)),
            elapsed: self.terms.clock.elapsed(now.mono),
            history: self.history.clone(),
            trace: self.trace.clone().unwrap_or_default(),
        });
    }
}
