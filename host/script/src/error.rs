//! What can go wrong here, before and during a call.

use crate::bindings::exports::urlpool::client::messages::{Attempt, ErrorKind, FollowedBy, Outcome, Phase};
use crate::bindings::wasi::http::types::{ErrorCode, Method};
use crate::trace::Mark;
use std::{fmt, time::Duration};

/// Why there is no [`Session`](crate::Session).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The crate was built before the component, so it embeds none.
    NoComponent,
    /// The component does not export these interfaces, which one of `urlpool:client` does.
    NoClient(Vec<&'static str>),
    /// The component has the interfaces but not all that is in them, imports what no host here offers, or does not start.
    BadComponent(wasmtime::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoComponent => {
                f.write_str("component: not embedded in this build; run `cargo xtask component` and build again")
            }
            Self::NoClient(lacks) => write!(f, "component: exports no {}", lacks.join(", no ")),
            Self::BadComponent(error) => write!(f, "component: {error:#}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoComponent | Self::NoClient(_) => None,
            Self::BadComponent(error) => Some(error.as_ref()),
        }
    }
}

/// Why an operation of a session brought nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The component says so; one of the errors that the interface describes.
    Call(Box<CallError>),
    /// The operation itself is wrong: an unreadable file, a handle that does not exist.
    Usage(String),
    /// The component trapped, now or earlier. The session is of no use any more.
    Trap(String),
}

impl Failure {
    /// The kind by its name in the WIT, or `usage`, or `trap`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Call(error) => kind_name(error.kind),
            Self::Usage(_) => "usage",
            Self::Trap(_) => "trap",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => f.write_str(&error.message),
            Self::Usage(message) => f.write_str(message),
            Self::Trap(message) => write!(f, "component trapped: {message}"),
        }
    }
}

impl std::error::Error for Failure {}

/// An error of the interface with all its details.
#[derive(Clone, Debug)]
pub struct CallError {
    /// The kind, for programs.
    pub kind: ErrorKind,
    /// One line for people.
    pub message: String,
    /// The URL of the last attempt.
    pub url: Option<String>,
    /// The phase whose limit passed.
    pub phase: Option<Phase>,
    /// The limit that passed.
    pub limit: Option<Duration>,
    /// How long the call took.
    pub elapsed: Duration,
    /// What the host reported.
    pub code: Option<&'static str>,
    /// The status that nothing improved.
    pub status: Option<u16>,
    /// The `Location` that could not be followed.
    pub location: Option<String>,
    /// Bytes that the body should have had.
    pub expected: Option<u64>,
    /// Bytes of the body that came.
    pub received: Option<u64>,
    /// The attempts that others followed.
    pub history: Vec<Past>,
    /// What happened until it failed.
    pub trace: Vec<Mark>,
}

/// One attempt that another followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// `retry` or `redirect`.
    pub kind: &'static str,
    /// The method sent.
    pub method: String,
    /// The URL asked for.
    pub url: String,
    /// The status, when there was one.
    pub status: Option<u16>,
    /// What went wrong, when there was none: the name of a code, or `timed-out: ` and a phase.
    pub error: Option<String>,
    /// How long the client then waited.
    pub delay: Duration,
}

impl From<Attempt> for Past {
    fn from(attempt: Attempt) -> Self {
        let (status, error) = match attempt.outcome {
            Outcome::Answered(status) => (Some(status), None),
            Outcome::TimedOut(phase) => (None, Some(format!("timed-out: {}", phase_name(phase)))),
            Outcome::Failed(code) => (None, Some(code_name(&code).to_owned())),
            Outcome::Other(what) => (None, Some(what)),
        };
        Self {
            kind: match attempt.followed_by {
                FollowedBy::Retry => "retry",
                FollowedBy::Redirect => "redirect",
            },
            method: method_name(attempt.method),
            url: attempt.url,
            status,
            error,
            delay: Duration::from_nanos(attempt.delay),
        }
    }
}

/// The name of a kind in the WIT.
pub fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest => "invalid-request",
        ErrorKind::Denied => "denied",
        ErrorKind::PoolExhausted => "pool-exhausted",
        ErrorKind::Closed => "closed",
        ErrorKind::TimedOut => "timed-out",
        ErrorKind::Connect => "connect",
        ErrorKind::Interrupted => "interrupted",
        ErrorKind::Protocol => "protocol",
        ErrorKind::TooManyRedirects => "too-many-redirects",
        ErrorKind::BadRedirect => "bad-redirect",
        ErrorKind::RetriesExhausted => "retries-exhausted",
        ErrorKind::NotReplayable => "not-replayable",
        ErrorKind::Undecodable => "undecodable",
        ErrorKind::TooLarge => "too-large",
        ErrorKind::Other => "other",
    }
}

/// The name of a phase in the WIT.
pub fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Slot => "slot",
        Phase::Connect => "connect",
        Phase::Write => "write",
        Phase::FirstByte => "first-byte",
        Phase::BetweenBytes => "between-bytes",
        Phase::Total => "total",
    }
}

/// The name of a code in wasi:http, without its payload.
pub(crate) fn code_name(code: &ErrorCode) -> &'static str {
    match code {
        ErrorCode::DnsTimeout => "DNS-timeout",
        ErrorCode::DnsError(_) => "DNS-error",
        ErrorCode::DestinationNotFound => "destination-not-found",
        ErrorCode::DestinationUnavailable => "destination-unavailable",
        ErrorCode::DestinationIpProhibited => "destination-IP-prohibited",
        ErrorCode::DestinationIpUnroutable => "destination-IP-unroutable",
        ErrorCode::ConnectionRefused => "connection-refused",
        ErrorCode::ConnectionTerminated => "connection-terminated",
        ErrorCode::ConnectionTimeout => "connection-timeout",
        ErrorCode::ConnectionReadTimeout => "connection-read-timeout",
        ErrorCode::ConnectionWriteTimeout => "connection-write-timeout",
        ErrorCode::ConnectionLimitReached => "connection-limit-reached",
        ErrorCode::TlsProtocolError => "TLS-protocol-error",
        ErrorCode::TlsCertificateError => "TLS-certificate-error",
        ErrorCode::TlsAlertReceived(_) => "TLS-alert-received",
        ErrorCode::HttpRequestDenied => "HTTP-request-denied",
        ErrorCode::HttpRequestLengthRequired => "HTTP-request-length-required",
        ErrorCode::HttpRequestBodySize(_) => "HTTP-request-body-size",
        ErrorCode::HttpRequestMethodInvalid => "HTTP-request-method-invalid",
        ErrorCode::HttpRequestUriInvalid => "HTTP-request-URI-invalid",
        ErrorCode::HttpRequestUriTooLong => "HTTP-request-URI-too-long",
        ErrorCode::HttpRequestHeaderSectionSize(_) => "HTTP-request-header-section-size",
        ErrorCode::HttpRequestHeaderSize(_) => "HTTP-request-header-size",
        ErrorCode::HttpRequestTrailerSectionSize(_) => "HTTP-request-trailer-section-size",
        ErrorCode::HttpRequestTrailerSize(_) => "HTTP-request-trailer-size",
        ErrorCode::HttpResponseIncomplete => "HTTP-response-incomplete",
        ErrorCode::HttpResponseHeaderSectionSize(_) => "HTTP-response-header-section-size",
        ErrorCode::HttpResponseHeaderSize(_) => "HTTP-response-header-size",
        ErrorCode::HttpResponseBodySize(_) => "HTTP-response-body-size",
        ErrorCode::HttpResponseTrailerSectionSize(_) => "HTTP-response-trailer-section-size",
        ErrorCode::HttpResponseTrailerSize(_) => "HTTP-response-trailer-size",
        ErrorCode::HttpResponseTransferCoding(_) => "HTTP-response-transfer-coding",
        ErrorCode::HttpResponseContentCoding(_) => "HTTP-response-content-coding",
        ErrorCode::HttpResponseTimeout => "HTTP-response-timeout",
        ErrorCode::HttpUpgradeFailed => "HTTP-upgrade-failed",
        ErrorCode::HttpProtocolError => "HTTP-protocol-error",
        ErrorCode::LoopDetected => "loop-detected",
        ErrorCode::ConfigurationError => "configuration-error",
        ErrorCode::InternalError(_) => "internal-error",
    }
}

/// A method as wasi:http has it.
pub(crate) fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.into()),
    }
}

/// A method as it is written.
pub(crate) fn method_name(method: Method) -> String {
    match method {
        Method::Get => "GET".into(),
        Method::Head => "HEAD".into(),
        Method::Post => "POST".into(),
        Method::Put => "PUT".into(),
        Method::Delete => "DELETE".into(),
        Method::Connect => "CONNECT".into(),
        Method::Options => "OPTIONS".into(),
        Method::Trace => "TRACE".into(),
        Method::Patch => "PATCH".into(),
        Method::Other(other) => other,
    }
}
