//! What can go wrong: one case per thing a caller can do about it.
//!
//! Longer than 400 lines, since every case stands here with its kind and its words, so that none is named twice.

use std::fmt;
use std::time::Duration;

use crate::code::ErrorCode;
use crate::exchange::NoSlot;
use crate::history::Attempt;
use crate::target::shown;
use crate::timeouts::Phase;
use crate::trace::Trace;

/// Why a call brought no usable response.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What happened.
    pub cause: Cause,
    /// The URL of the last attempt, without secrets; none before there was a valid one.
    pub url: Option<String>,
    /// How long the call took.
    pub elapsed: Duration,
    /// The attempts that others followed, in order.
    pub history: Vec<Attempt>,
    /// What happened in the call, and when.
    pub trace: Trace,
}

impl Error {
    /// A failure outside of any attempt.
    pub fn new(cause: Cause) -> Self {
        Self { cause, url: None, elapsed: Duration::ZERO, history: Vec::new(), trace: Trace::default() }
    }

    /// A request that was refused before a call began.
    pub fn invalid(invalid: Invalid) -> Self {
        Self::new(Cause::Invalid(invalid))
    }

    /// The kind, for programs.
    pub fn kind(&self) -> Kind {
        self.cause.kind()
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid)
    }
}

/// The URL, then what happened to it, then how often it was tried.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(url) = &self.url {
            write!(f, "{url}: ")?;
        }
        write!(f, "{}", self.cause)?;
        match self.history.len() {
            0 => Ok(()),
            attempts => write!(f, " (attempt {})", attempts + 1),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Invalid(invalid) => Some(invalid),
            _ => None,
        }
    }
}

/// The kinds of the WIT package, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is malformed; nothing was sent.
    InvalidRequest,
    /// The host does not allow this request; nothing was sent.
    Denied,
    /// No slot was free, and waiting was not wanted or could never end.
    PoolExhausted,
    /// The pool was closed.
    Closed,
    /// A limit of [`crate::Timeouts`] passed.
    TimedOut,
    /// No connection could be made; nothing was sent.
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
    /// An attempt failed and another was due, but the body could not be sent again; also a copy of a request with such a body.
    NotReplayable,
    /// The response body does not match its `Content-Encoding`.
    Undecodable,
    /// The response, or what it decodes to, is larger than allowed.
    TooLarge,
    /// Anything else.
    Other,
}

/// What happened, with what is known of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The request is malformed. Mend it: repeating cannot help.
    Invalid(Invalid),
    /// The host refused the request by its own rules.
    Denied(ErrorCode),
    /// No slot was free.
    PoolExhausted {
        /// The origin whose slots are taken.
        origin: String,
        /// Why none was waited for.
        why: NoSlot,
    },
    /// The pool was closed.
    Closed,
    /// The limit of a phase passed.
    TimedOut {
        /// The phase.
        phase: Phase,
        /// Its limit, when it is one of ours and not the host's own.
        limit: Option<Duration>,
    },
    /// No connection could be made.
    Connect(ErrorCode),
    /// The connection ended before the response was whole.
    Interrupted {
        /// What the host reported, if anything.
        code: Option<ErrorCode>,
        /// The bytes that the body should have had; none before the head, or when no length was declared.
        expected: Option<u64>,
        /// The bytes of the body that came; none when the head did not come.
        received: Option<u64>,
    },
    /// The server or the host broke the protocol.
    Protocol(ErrorCode),
    /// The redirects went on after the limit of hops.
    TooManyRedirects {
        /// The limit.
        limit: u32,
        /// The status that asked for one more.
        status: u16,
        /// Where it led: the `Location`, as it was sent.
        location: String,
        /// True when every hop led to the URL it came from.
        same: bool,
    },
    /// A redirect led where the policy does not follow, or nowhere.
    BadRedirect {
        /// The status.
        status: u16,
        /// The `Location`, as it was sent.
        location: String,
        /// Why it is not followed.
        reason: BadLocation,
    },
    /// Retries were used up on a status, and the policy asks for a failure.
    RetriesExhausted {
        /// The last status.
        status: u16,
    },
    /// The body could not be sent again, and an attempt that failed was to be repeated, or the request to be copied.
    NotReplayable {
        /// What the attempt came to.
        code: Option<ErrorCode>,
    },
    /// The response body does not match its `Content-Encoding`.
    Undecodable {
        /// The coding that failed.
        coding: &'static str,
        /// What was wrong, for people.
        reason: String,
    },
    /// The response is larger than allowed.
    TooLarge {
        /// Which limit passed.
        limit: SizeLimit,
    },
    /// Anything else, in words.
    Other(String),
}

impl Cause {
    /// The kind, for programs.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) => Kind::InvalidRequest,
            Self::Denied(_) => Kind::Denied,
            Self::PoolExhausted { .. } => Kind::PoolExhausted,
            Self::Closed => Kind::Closed,
            Self::TimedOut { .. } => Kind::TimedOut,
            Self::Connect(_) => Kind::Connect,
            Self::Interrupted { .. } => Kind::Interrupted,
            Self::Protocol(_) => Kind::Protocol,
            Self::TooManyRedirects { .. } => Kind::TooManyRedirects,
            Self::BadRedirect { .. } => Kind::BadRedirect,
            Self::RetriesExhausted { .. } => Kind::RetriesExhausted,
            Self::NotReplayable { .. } => Kind::NotReplayable,
            Self::Undecodable { .. } => Kind::Undecodable,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Other(_) => Kind::Other,
        }
    }

    /// The phase whose limit passed.
    pub fn phase(&self) -> Option<Phase> {
        if let Self::TimedOut { phase, .. } = self { Some(*phase) } else { None }
    }

    /// The limit that passed.
    pub fn limit(&self) -> Option<Duration> {
        if let Self::TimedOut { limit, .. } = self { *limit } else { None }
    }

    /// What the host reported.
    pub fn code(&self) -> Option<&ErrorCode> {
        match self {
            Self::Denied(code) | Self::Connect(code) | Self::Protocol(code) => Some(code),
            Self::Interrupted { code, .. } | Self::NotReplayable { code } => code.as_ref(),
            _ => None,
        }
    }

    /// The status that no retry or hop improved.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::TooManyRedirects { status, .. }
            | Self::BadRedirect { status, .. }
            | Self::RetriesExhausted { status } => Some(*status),
            _ => None,
        }
    }

    /// The `Location` that could not be followed, as it was sent: it may hold userinfo, which the message leaves out.
    pub fn location(&self) -> Option<&str> {
        match self {
            Self::TooManyRedirects { location, .. } | Self::BadRedirect { location, .. } => Some(location),
            _ => None,
        }
    }

    /// The bytes that the body should have had.
    pub fn expected(&self) -> Option<u64> {
        if let Self::Interrupted { expected, .. } = self { *expected } else { None }
    }

    /// The bytes of the body that came.
    pub fn received(&self) -> Option<u64> {
        if let Self::Interrupted { received, .. } = self { *received } else { None }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => write!(f, "{invalid}"),
            Self::Denied(code) => write!(f, "denied by the host: {code}"),
            Self::PoolExhausted { origin, why } => write!(f, "no slot for {origin}: {why}"),
            Self::Closed => f.write_str("the pool was closed"),
            Self::TimedOut { phase, limit: Some(limit) } => write!(f, "timed out in phase {phase} after {limit:?}"),
            Self::TimedOut { phase, limit: None } => write!(f, "timed out in phase {phase} by a limit of the host"),
            Self::Connect(code) => write!(f, "could not connect: {code}"),
            Self::Interrupted { code, expected, received } => {
                f.write_str("the connection ended ")?;
                match (received, expected) {
                    (None, _) => f.write_str("before the head of the response")?,
                    (Some(received), Some(expected)) => {
                        write!(f, "after {received} of {expected} bytes of the body")?;
                    }
                    (Some(received), None) => write!(f, "after {received} bytes of the body")?,
                }
                code.as_ref().map_or(Ok(()), |code| write!(f, ": {code}"))
            }
            Self::Protocol(code) => write!(f, "protocol broken: {code}"),
            Self::TooManyRedirects { limit, status, location, same } => {
                write!(f, "redirects went on after {limit} hops: {status} to {:?}", shown(location))?;
                if *same { f.write_str(", in a loop") } else { Ok(()) }
            }
            Self::BadRedirect { status, location, reason } => {
                write!(f, "redirect {status} to {:?} is not followed: {reason}", shown(location))
            }
            Self::RetriesExhausted { status } => write!(f, "retries used up, the last status was {status}"),
            Self::NotReplayable { code } => {
                f.write_str("the request body cannot be sent again")?;
                code.as_ref().map_or(Ok(()), |code| write!(f, " after {code}"))
            }
            Self::Undecodable { coding, reason } => write!(f, "the body is not valid {coding}: {reason}"),
            Self::TooLarge { limit } => write!(f, "{limit}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Which limit a response passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeLimit {
    /// The bytes of the decoded body.
    Body(u64),
    /// The ratio of decoded to encoded bytes.
    Ratio(u32),
    /// The bytes that one call may collect.
    Collect(u64),
    /// The header section, by the host's own limit.
    Headers,
}

impl fmt::Display for SizeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(limit) => write!(f, "the body is larger than the limit of {limit} bytes"),
            Self::Ratio(limit) => write!(f, "the body decodes to more than {limit} times its size"),
            Self::Collect(limit) => write!(f, "the body is larger than the {limit} bytes asked for at once"),
            Self::Headers => f.write_str("the header section is larger than the host allows"),
        }
    }
}

/// Why a `Location` is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLocation {
    /// It is not a URL reference.
    Malformed,
    /// Its scheme is neither http nor https.
    Scheme,
    /// It leads from https to http, and the policy forbids that.
    Downgrade,
    /// It is not https, and the policy asks for https only.
    NotHttps,
}

impl fmt::Display for BadLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is not a URL",
            Self::Scheme => "its scheme is neither http nor https",
            Self::Downgrade => "it leads from https to http, which the policy forbids",
            Self::NotHttps => "it is not https, which the policy requires",
        })
    }
}

/// What is wrong with a request that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// The URL, shown without userinfo, and why it is none.
    Url {
        /// The URL as far as it can be shown.
        url: String,
        /// Why it is refused.
        reason: String,
    },
    /// The URL is longer than this many bytes, see [`crate::target::MAX_URL`].
    UrlTooLong(usize),
    /// The request asks for another origin than the pool's own.
    OtherOrigin {
        /// The origin asked for.
        asked: String,
        /// The pool's origin.
        own: String,
    },
    /// The method is no token, or CONNECT.
    Method(String),
    /// The name of a header is no token (RFC 9110 section 5.6.2).
    HeaderName(String),
    /// The value of the header of this name holds a CR, LF, NUL or another control character (RFC 9110 section 5.5).
    HeaderValue(String),
    /// Only the host may set the header of this name.
    ForbiddenHeader(String),
    /// The field of this name does not belong in trailers (RFC 9110 section 6.5.1).
    ForbiddenTrailer(String),
    /// The header section is larger than the host can take.
    HeadersTooLarge {
        /// Its size by the host's count.
        size: usize,
        /// The most there may be.
        limit: usize,
    },
    /// A boundary is not 1 to 70 characters that RFC 2046 allows, or does not fit the content.
    Boundary(String),
    /// A content type is not a media type.
    ContentType(String),
    /// A `Content-Length` that contradicts the body.
    ContentLength {
        /// What the header says.
        header: String,
        /// The length of the body, when known.
        body: Option<u64>,
    },
    /// A form is sent with a `Content-Type` that is not the form's.
    FormType(String),
    /// The username of basic credentials holds a colon (RFC 7617 section 2).
    Username,
    /// A body stream ended early or went on after its declared length.
    BodyLength {
        /// The length that was declared.
        declared: u64,
        /// The bytes that came; more than declared when it went on.
        came: u64,
    },
    /// A body stream failed while it was read.
    BodyStream,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, reason } => write!(f, "URL {url:?}: {reason}"),
            Self::UrlTooLong(size) => {
                write!(f, "URL of {size} bytes: longer than {} bytes", crate::target::MAX_URL)
            }
            Self::OtherOrigin { asked, own } => write!(f, "origin {asked}: this pool is for {own} only"),
            Self::Method(method) if method.eq_ignore_ascii_case("CONNECT") => {
                f.write_str("method CONNECT: not a request for a resource")
            }
            Self::Method(method) => write!(f, "method {method:?}: not a token"),
            Self::HeaderName(name) => write!(f, "header name {name:?}: not a token"),
            Self::HeaderValue(name) => {
                write!(f, "value of header {name}: holds a CR, LF, NUL or another control character")
            }
            Self::ForbiddenHeader(name) => write!(f, "header {name}: only the host may set it"),
            Self::ForbiddenTrailer(name) => write!(f, "trailer {name}: does not belong after a body"),
            Self::HeadersTooLarge { size, limit } => {
                write!(f, "headers of {size} bytes: more than the {limit} bytes a host takes")
            }
            Self::Boundary(reason) => write!(f, "boundary: {reason}"),
            Self::ContentType(text) => write!(f, "content type {text:?}: not a media type"),
            Self::ContentLength { header, body: Some(body) } => {
                write!(f, "header content-length {header:?}: the body has {body} bytes")
            }
            Self::ContentLength { header, body: None } => {
                write!(f, "header content-length {header:?}: not the length of a body")
            }
            Self::FormType(text) => write!(f, "header content-type {text:?}: the body is a form of another type"),
            Self::Username => f.write_str("username: holds a colon"),
            Self::BodyLength { declared, came } if came > declared => {
                write!(f, "body stream: went on after the declared {declared} bytes")
            }
            Self::BodyLength { declared, came } => {
                write!(f, "body stream: ended after {came} of the declared {declared} bytes")
            }
            Self::BodyStream => f.write_str("body stream: failed while it was read"),
        }
    }
}

impl std::error::Error for Invalid {}
