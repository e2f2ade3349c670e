//! Why a call brought no usable response, and what is told of its course.
//!
//! Longer than 400 lines, since half of it are the kinds and moments of the interface, as plain values.

use std::fmt;
use std::io;
use std::time::Duration;

use http::{Method, StatusCode};
use wasip2::http::types::ErrorCode;

use crate::convert;
use crate::wit::messages as wit;

/// Why a call brought no usable response.
///
/// Its text is one line for people: what happened to which URL, without credentials. What else is known is asked of the
/// client when it is asked of the error, so an error that is only matched costs little.
pub struct Error(Box<Cause>);

enum Cause {
    /// The client says so.
    Client(wit::Error),
    /// It went wrong on this side of the client.
    Here { kind: ErrorKind, message: String, status: Option<StatusCode>, source: Option<Source> },
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What a failed call came to; one case per thing that a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is malformed, and repeating it cannot help.
    InvalidRequest,
    /// The host does not allow this request. Nothing was sent.
    Denied,
    /// No slot was free, and the pool was told not to wait, its queue was full, or waiting could never end.
    PoolExhausted,
    /// The pool was closed.
    Closed,
    /// A limit of the timeouts passed; [`Error::phase`] says which.
    TimedOut,
    /// No connection could be made. Nothing was sent.
    Connect,
    /// The connection ended before the response was whole.
    Interrupted,
    /// The server or the host broke the protocol, TLS included.
    Protocol,
    /// The redirects went on after the limit of hops.
    TooManyRedirects,
    /// A redirect led where the policy does not follow, or nowhere.
    BadRedirect,
    /// Retries were made and used up, and the policy asks for a failure.
    RetriesExhausted,
    /// An attempt failed and another was due, but the body could not be sent again; also a copy of a request with a stream.
    NotReplayable,
    /// The response body does not match its `Content-Encoding`.
    Undecodable,
    /// The response, or what it decodes to, is larger than allowed.
    TooLarge,
    /// The status is 4xx or 5xx; only of [`Response::error_for_status`](crate::Response::error_for_status).
    Status,
    /// The body is not what it was read as, such as JSON of that type. `source` says why.
    Malformed,
    /// Anything that a later version learns to report.
    Other,
}

/// A part of a call that a timeout limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waiting for a slot of the origin.
    Slot,
    /// Resolving the name, connecting, and the TLS handshake.
    Connect,
    /// Sending the request body.
    Write,
    /// From the end of the request to the head of the response.
    FirstByte,
    /// Between two pieces of the response body.
    BetweenBytes,
    /// The whole call.
    Total,
}

/// One attempt that another followed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The method sent.
    pub method: Method,
    /// The URL asked for, without userinfo.
    pub url: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why there was another.
    pub followed_by: FollowedBy,
    /// How long the client then waited before it began the next one.
    pub delay: Duration,
}

/// One moment of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mark {
    /// The time since the call began.
    pub after: Duration,
    /// The attempt it belongs to, counted from 1.
    pub attempt: u32,
    /// What happened.
    pub what: Milestone,
}

/// What happened at one moment of a call.
///
/// What begins ends: `Queued` by `Granted`, `Sending` by `FirstByte`, that by `BodyEnd`, `Retried` and `Redirected` by the next
/// `Queued`, and each of them by `Failed` instead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Milestone {
    /// A slot was asked for.
    Queued,
    /// It was granted.
    Granted,
    /// The request was handed to the host.
    Sending,
    /// The host has accepted all of it; missing where the answer came before.
    Sent,
    /// The head of the response came, with this status.
    FirstByte(u16),
    /// The body of the response ended, or the client gave it up for another attempt.
    BodyEnd,
    /// The retry policy begins another attempt after this delay.
    Retried(Duration),
    /// The redirect policy begins another attempt after this delay.
    Redirected(Duration),
    /// The attempt failed, or the call, or the body of the response.
    Failed,
    /// Anything that a later version learns to tell apart.
    Other(String),
}

/// How one attempt ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The server answered with this status.
    Answered(u16),
    /// A limit of the timeouts passed in this phase.
    TimedOut(Phase),
    /// The host reported this failure.
    Failed(ErrorCode),
    /// Anything that a later version learns to tell apart.
    Other(String),
}

/// What followed an attempt that was not the last of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowedBy {
    /// The same request again, by the retry policy.
    Retry,
    /// A hop to another URL, by the redirect policy.
    Redirect,
}

impl Error {
    pub(crate) fn here(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Cause::Here { kind, message: message.into(), status: None, source: None }))
    }

    pub(crate) fn with_source(kind: ErrorKind, message: impl Into<String>, source: impl Into<Source>) -> Self {
        let source = Some(source.into());
        Self(Box::new(Cause::Here { kind, message: message.into(), status: None, source }))
    }

    pub(crate) fn of_status(url: &str, status: StatusCode) -> Self {
        let message = format!("{url}: status {status}");
        Self(Box::new(Cause::Here { kind: ErrorKind::Status, message, status: Some(status), source: None }))
    }

    /// The kind, for programs.
    pub fn kind(&self) -> ErrorKind {
        match &*self.0 {
            Cause::Client(error) => ErrorKind::lift(error.kind),
            Cause::Here { kind, .. } => *kind,
        }
    }

    /// The URL of the last attempt, without userinfo.
    pub fn url(&self) -> Option<String> {
        self.details()?.url()
    }

    /// The phase whose limit passed.
    pub fn phase(&self) -> Option<Phase> {
        self.details()?.phase().map(Phase::lift)
    }

    /// The limit that passed.
    pub fn limit(&self) -> Option<Duration> {
        self.details()?.limit().map(Duration::from_nanos)
    }

    /// How long the call took.
    pub fn elapsed(&self) -> Option<Duration> {
        self.details().map(|details| Duration::from_nanos(details.elapsed()))
    }

    /// What the host reported.
    pub fn code(&self) -> Option<ErrorCode> {
        self.details()?.code()
    }

    /// The status that no retry or hop improved, or that was made an error.
    pub fn status(&self) -> Option<StatusCode> {
        match &*self.0 {
            Cause::Client(error) => error.details.status().and_then(|status| StatusCode::from_u16(status).ok()),
            Cause::Here { status, .. } => *status,
        }
    }

    /// The `Location` that could not be followed, as it was sent: it may hold userinfo.
    pub fn location(&self) -> Option<String> {
        self.details()?.location()
    }

    /// The bytes that the body should have had.
    pub fn expected(&self) -> Option<u64> {
        self.details()?.expected()
    }

    /// The bytes of the body that came.
    pub fn received(&self) -> Option<u64> {
        self.details()?.received()
    }

    /// The attempts that others followed, in order.
    pub fn history(&self) -> Vec<Attempt> {
        self.details().map(|details| Attempt::lift_all(details.history())).unwrap_or_default()
    }

    /// What happened in the call until it failed, in order.
    pub fn trace(&self) -> Vec<Mark> {
        self.details().map(|details| Mark::lift_all(details.trace())).unwrap_or_default()
    }

    fn details(&self) -> Option<&wit::Details> {
        match &*self.0 {
            Cause::Client(error) => Some(&error.details),
            Cause::Here { .. } => None,
        }
    }
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        Self(Box::new(Cause::Client(error)))
    }
}

/// For readers: the error itself stays inside, where `downcast` finds it.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::InvalidRequest => io::ErrorKind::InvalidInput,
            ErrorKind::Denied => io::ErrorKind::PermissionDenied,
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::Connect => io::ErrorKind::ConnectionRefused,
            ErrorKind::Interrupted => io::ErrorKind::UnexpectedEof,
            ErrorKind::Protocol | ErrorKind::Undecodable | ErrorKind::TooLarge | ErrorKind::Malformed => {
                io::ErrorKind::InvalidData
            }
            ErrorKind::PoolExhausted
            | ErrorKind::Closed
            | ErrorKind::TooManyRedirects
            | ErrorKind::BadRedirect
            | ErrorKind::RetriesExhausted
            | ErrorKind::NotReplayable
            | ErrorKind::Status
            | ErrorKind::Other => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Client(error) => f.write_str(&error.message),
            Cause::Here { message, .. } => f.write_str(message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.kind()).field("message", &self.to_string()).finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            Cause::Client(_) => None,
            Cause::Here { source, .. } => source.as_deref().map(|source| source as _),
        }
    }
}

impl ErrorKind {
    fn lift(kind: wit::ErrorKind) -> Self {
        match kind {
            wit::ErrorKind::InvalidRequest => Self::InvalidRequest,
            wit::ErrorKind::Denied => Self::Denied,
            wit::ErrorKind::PoolExhausted => Self::PoolExhausted,
            wit::ErrorKind::Closed => Self::Closed,
            wit::ErrorKind::TimedOut => Self::TimedOut,
            wit::ErrorKind::Connect => Self::Connect,
            wit::ErrorKind::Interrupted => Self::Interrupted,
            wit::ErrorKind::Protocol => Self::Protocol,
            wit::ErrorKind::TooManyRedirects => Self::TooManyRedirects,
            wit::ErrorKind::BadRedirect => Self::BadRedirect,
            wit::ErrorKind::RetriesExhausted => Self::RetriesExhausted,
            wit::ErrorKind::NotReplayable => Self::NotReplayable,
            wit::ErrorKind::Undecodable => Self::Undecodable,
            wit::ErrorKind::TooLarge => Self::TooLarge,
            wit::ErrorKind::Other => Self::Other,
        }
    }
}

impl Phase {
    fn lift(phase: wit::Phase) -> Self {
        match phase {
            wit::Phase::Slot => Self::Slot,
            wit::Phase::Connect => Self::Connect,
            wit::Phase::Write => Self::Write,
            wit::Phase::FirstByte => Self::FirstByte,
            wit::Phase::BetweenBytes => Self::BetweenBytes,
            wit::Phase::Total => Self::Total,
        }
    }
}

impl Attempt {
    pub(crate) fn lift_all(attempts: Vec<wit::Attempt>) -> Vec<Self> {
        attempts.into_iter().map(Self::lift).collect()
    }

    fn lift(attempt: wit::Attempt) -> Self {
        Self {
            // It went out, so it is a token.
            method: convert::method_of(&attempt.method).unwrap_or_default(),
            url: attempt.url,
            outcome: match attempt.outcome {
                wit::Outcome::Answered(status) => Outcome::Answered(status),
                wit::Outcome::TimedOut(phase) => Outcome::TimedOut(Phase::lift(phase)),
                wit::Outcome::Failed(code) => Outcome::Failed(code),
                wit::Outcome::Other(what) => Outcome::Other(what),
            },
            followed_by: match attempt.followed_by {
                wit::FollowedBy::Retry => FollowedBy::Retry,
                wit::FollowedBy::Redirect => FollowedBy::Redirect,
            },
            delay: Duration::from_nanos(attempt.delay),
        }
    }
}

impl Mark {
    pub(crate) fn lift_all(marks: Vec<wit::Mark>) -> Vec<Self> {
        let lift = |mark: wit::Mark| Self {
            after: Duration::from_nanos(mark.after),
            attempt: mark.attempt,
            what: match mark.what {
                wit::Milestone::Queued => Milestone::Queued,
                wit::Milestone::Granted => Milestone::Granted,
                wit::Milestone::Sending => Milestone::Sending,
                wit::Milestone::Sent => Milestone::Sent,
                wit::Milestone::FirstByte(status) => Milestone::FirstByte(status),
                wit::Milestone::BodyEnd => Milestone::BodyEnd,
                wit::Milestone::Retried(delay) => Milestone::Retried(Duration::from_nanos(delay)),
                wit::Milestone::Redirected(delay) => Milestone::Redirected(Duration::from_nanos(delay)),
                wit::Milestone::Failed => Milestone::Failed,
                wit::Milestone::Other(what) => Milestone::Other(what),
            },
        };
        marks.into_iter().map(lift).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn an_error_goes_wherever_a_question_mark_leads() {
        fn boxed() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            Err(Error::here(ErrorKind::InvalidRequest, "header: holds a control character"))?
        }
        let error = boxed().unwrap_err();
        assert_eq!(error.downcast_ref::<Error>().unwrap().kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn a_reader_of_a_body_finds_the_error_in_its_own() {
        let error = io::Error::from(Error::here(ErrorKind::TimedOut, "read: too slow"));
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.downcast::<Error>().unwrap().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn the_source_is_kept() {
        let cause = "nothing".parse::<u8>().unwrap_err();
        let error = Error::with_source(ErrorKind::Malformed, "json: not of that type", cause);
        assert!(error.source().unwrap().is::<std::num::ParseIntError>());
        assert_eq!(error.to_string(), "json: not of that type");
        assert_eq!(error.status(), None);
    }
}
