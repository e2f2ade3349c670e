//! WIT and core, each way: total functions, and the only file that names both.

use std::time::Duration;

use urlpool_core::backoff::Jitter;
use urlpool_core::code::FieldSize;
use urlpool_core::exchange::{Head, Outbound};
use urlpool_core::history::{Attempt, FollowedBy, Outcome};
use urlpool_core::origin::Scheme;
use urlpool_core::retry::AtLimit;
use urlpool_core::slots::WhenFull;
use urlpool_core::trace::{Mark, Milestone, Trace};
use urlpool_core::{Error, ErrorCode, Headers, Invalid, Kind, Phase};
use wasip2::http::types::{
    DnsErrorPayload, ErrorCode as WasiCode, FieldSizePayload, Fields, IncomingResponse, Method as WasiMethod,
    OutgoingRequest, RequestOptions, Scheme as WasiScheme, TlsAlertReceivedPayload,
};

use crate::bindings::exports::urlpool::client::{messages as wit, policy as wit_policy, pool as wit_pool};
use crate::body::Kept;
use crate::messages::Details;

/// A duration of WASI, in nanoseconds.
pub(crate) fn duration(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// Nanoseconds, the most there can be when it is longer.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The text of a method, which core then judges.
pub(crate) fn method_name(method: &WasiMethod) -> &str {
    match method {
        WasiMethod::Get => "GET",
        WasiMethod::Head => "HEAD",
        WasiMethod::Post => "POST",
        WasiMethod::Put => "PUT",
        WasiMethod::Delete => "DELETE",
        WasiMethod::Connect => "CONNECT",
        WasiMethod::Options => "OPTIONS",
        WasiMethod::Trace => "TRACE",
        WasiMethod::Patch => "PATCH",
        WasiMethod::Other(name) => name,
    }
}

/// A method of core as one of WASI.
pub(crate) fn wasi_method(method: &str) -> WasiMethod {
    match method {
        "GET" => WasiMethod::Get,
        "HEAD" => WasiMethod::Head,
        "POST" => WasiMethod::Post,
        "PUT" => WasiMethod::Put,
        "DELETE" => WasiMethod::Delete,
        "CONNECT" => WasiMethod::Connect,
        "OPTIONS" => WasiMethod::Options,
        "TRACE" => WasiMethod::Trace,
        "PATCH" => WasiMethod::Patch,
        other => WasiMethod::Other(other.to_owned()),
    }
}

/// The head of a response, byte for byte.
pub(crate) fn head(response: &IncomingResponse) -> Head {
    let fields = response.headers();
    Head { status: response.status(), headers: headers(&fields) }
}

/// Fields of the host, byte for byte.
pub(crate) fn headers(fields: &Fields) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in fields.entries() {
        headers.append_received(&name, value);
    }
    headers
}

/// Headers as a list of WIT.
pub(crate) fn field_list(headers: &Headers) -> wit::FieldList {
    headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

/// Headers as fields of the host.
///
/// Core has checked all that wasi:http asks for, so what is refused here the host does not allow.
pub(crate) fn fields(headers: &Headers) -> Result<Fields, ErrorCode> {
    Fields::from_list(&field_list(headers)).map_err(|_| ErrorCode::HttpRequestDenied)
}

/// A request of the host, its body still to be asked for.
pub(crate) fn outgoing(outbound: &Outbound) -> Result<(OutgoingRequest, RequestOptions), ErrorCode> {
    let request = OutgoingRequest::new(fields(&outbound.headers)?);
    let scheme = match outbound.target.origin().scheme() {
        Scheme::Http => WasiScheme::Http,
        Scheme::Https => WasiScheme::Https,
    };
    // A request begins as a GET.
    if outbound.method.as_str() != "GET" {
        let method = wasi_method(outbound.method.as_str());
        request.set_method(&method).map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
    }
    request
        .set_scheme(Some(&scheme))
        .and_then(|()| request.set_authority(Some(outbound.target.authority())))
        .and_then(|()| request.set_path_with_query(Some(outbound.target.path_with_query())))
        .map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    // A host may refuse an option; our own timers hold all the same.
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(outbound.options.connect.map(nanos));
    let _ = options.set_first_byte_timeout(outbound.options.first_byte.map(nanos));
    let _ = options.set_between_bytes_timeout(outbound.options.between_bytes.map(nanos));
    Ok((request, options))
}

/// A request that is malformed, as an error of WIT.
pub(crate) fn invalid(invalid: Invalid) -> wit::Error {
    error(Error::invalid(invalid))
}

/// An error of core as one of WIT.
pub(crate) fn error(error: Error) -> wit::Error {
    error_keeping(error, Kept::default())
}

/// An error of core as one of WIT, which outlives the handles that lent a pollable on the way to it.
pub(crate) fn error_keeping(error: Error, kept: Kept) -> wit::Error {
    let kind = match error.kind() {
        Kind::InvalidRequest => wit::ErrorKind::InvalidRequest,
        Kind::Denied => wit::ErrorKind::Denied,
        Kind::PoolExhausted => wit::ErrorKind::PoolExhausted,
        Kind::Closed => wit::ErrorKind::Closed,
        Kind::TimedOut => wit::ErrorKind::TimedOut,
        Kind::Connect => wit::ErrorKind::Connect,
        Kind::Interrupted => wit::ErrorKind::Interrupted,
        Kind::Protocol => wit::ErrorKind::Protocol,
        Kind::TooManyRedirects => wit::ErrorKind::TooManyRedirects,
        Kind::BadRedirect => wit::ErrorKind::BadRedirect,
        Kind::RetriesExhausted => wit::ErrorKind::RetriesExhausted,
        Kind::NotReplayable => wit::ErrorKind::NotReplayable,
        Kind::Undecodable => wit::ErrorKind::Undecodable,
        Kind::TooLarge => wit::ErrorKind::TooLarge,
        Kind::Other => wit::ErrorKind::Other,
    };
    wit::Error { kind, message: error.to_string(), details: wit::Details::new(Details::new(error, kept)) }
}

/// A history of core as one of WIT.
// Once in the component, not once for each function that gives one.
#[inline(never)]
pub(crate) fn history(history: &[Attempt]) -> Vec<wit::Attempt> {
    history
        .iter()
        .map(|attempt| wit::Attempt {
            method: wasi_method(attempt.method.as_str()),
            url: attempt.url.clone(),
            outcome: match &attempt.outcome {
                Outcome::Answered(status) => wit::Outcome::Answered(*status),
                Outcome::TimedOut(phase) => wit::Outcome::TimedOut(self::phase(*phase)),
                Outcome::Failed(code) => wit::Outcome::Failed(wasi_code(code)),
                Outcome::Interrupted => wit::Outcome::Other("interrupted".to_owned()),
            },
            followed_by: match attempt.followed_by {
                FollowedBy::Retry => wit::FollowedBy::Retry,
                FollowedBy::Redirect => wit::FollowedBy::Redirect,
            },
            delay: nanos(attempt.delay),
        })
        .collect()
}

/// A trace of core as one of WIT.
#[inline(never)]
pub(crate) fn trace(trace: &Trace) -> Vec<wit::Mark> {
    let mark = |mark: &Mark| wit::Mark {
        after: nanos(mark.after),
        attempt: mark.attempt,
        what: match mark.what {
            Milestone::Queued => wit::Milestone::Queued,
            Milestone::Granted => wit::Milestone::Granted,
            Milestone::Sending => wit::Milestone::Sending,
            Milestone::Sent => wit::Milestone::Sent,
            Milestone::FirstByte(status) => wit::Milestone::FirstByte(status),
            Milestone::BodyEnd => wit::Milestone::BodyEnd,
            Milestone::Retried(delay) => wit::Milestone::Retried(nanos(delay)),
            Milestone::Redirected(delay) => wit::Milestone::Redirected(nanos(delay)),
            Milestone::Failed => wit::Milestone::Failed,
        },
    };
    trace.marks().iter().map(mark).collect()
}

/// A phase of core as one of WIT.
pub(crate) fn phase(phase: Phase) -> wit::Phase {
    match phase {
        Phase::Slot => wit::Phase::Slot,
        Phase::Connect => wit::Phase::Connect,
        Phase::Write => wit::Phase::Write,
        Phase::FirstByte => wit::Phase::FirstByte,
        Phase::BetweenBytes => wit::Phase::BetweenBytes,
        Phase::Total => wit::Phase::Total,
    }
}

/// What a policy answers at its limit.
pub(crate) fn at_limit(then: wit_policy::AtLimit) -> AtLimit {
    match then {
        wit_policy::AtLimit::Fail => AtLimit::Fail,
        wit_policy::AtLimit::Deliver => AtLimit::Deliver,
    }
}

/// How a delay is spread.
pub(crate) fn jitter(jitter: wit_policy::Jitter) -> Jitter {
    match jitter {
        wit_policy::Jitter::None => Jitter::None,
        wit_policy::Jitter::Additive(extra) => Jitter::Additive(duration(extra)),
        wit_policy::Jitter::Full => Jitter::Full,
        wit_policy::Jitter::Decorrelated => Jitter::Decorrelated,
    }
}

/// What happens when all slots are taken.
pub(crate) fn when_full(then: wit_pool::WhenFull) -> WhenFull {
    match then {
        wit_pool::WhenFull::Queue => WhenFull::Queue,
        wit_pool::WhenFull::Refuse => WhenFull::Refuse,
    }
}

/// An error code of the host as one of core.
pub(crate) fn code(code: WasiCode) -> ErrorCode {
    let field = |payload: FieldSizePayload| FieldSize { name: payload.field_name, size: payload.field_size };
    match code {
        WasiCode::DnsTimeout => ErrorCode::DnsTimeout,
        WasiCode::DnsError(payload) => ErrorCode::DnsError { rcode: payload.rcode, info_code: payload.info_code },
        WasiCode::DestinationNotFound => ErrorCode::DestinationNotFound,
        WasiCode::DestinationUnavailable => ErrorCode::DestinationUnavailable,
        WasiCode::DestinationIpProhibited => ErrorCode::DestinationIpProhibited,
        WasiCode::DestinationIpUnroutable => ErrorCode::DestinationIpUnroutable,
        WasiCode::ConnectionRefused => ErrorCode::ConnectionRefused,
        WasiCode::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        WasiCode::ConnectionTimeout => ErrorCode::ConnectionTimeout,
        WasiCode::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        WasiCode::ConnectionWriteTimeout => ErrorCode::ConnectionWriteTimeout,
        WasiCode::ConnectionLimitReached => ErrorCode::ConnectionLimitReached,
        WasiCode::TlsProtocolError => ErrorCode::TlsProtocolError,
        WasiCode::TlsCertificateError => ErrorCode::TlsCertificateError,
        WasiCode::TlsAlertReceived(payload) => {
            ErrorCode::TlsAlertReceived { id: payload.alert_id, message: payload.alert_message }
        }
        WasiCode::HttpRequestDenied => ErrorCode::HttpRequestDenied,
        WasiCode::HttpRequestLengthRequired => ErrorCode::HttpRequestLengthRequired,
        WasiCode::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(size),
        WasiCode::HttpRequestMethodInvalid => ErrorCode::HttpRequestMethodInvalid,
        WasiCode::HttpRequestUriInvalid => ErrorCode::HttpRequestUriInvalid,
        WasiCode::HttpRequestUriTooLong => ErrorCode::HttpRequestUriTooLong,
        WasiCode::HttpRequestHeaderSectionSize(size) => ErrorCode::HttpRequestHeaderSectionSize(size),
        WasiCode::HttpRequestHeaderSize(payload) => ErrorCode::HttpRequestHeaderSize(payload.map(field)),
        WasiCode::HttpRequestTrailerSectionSize(size) => ErrorCode::HttpRequestTrailerSectionSize(size),
        WasiCode::HttpRequestTrailerSize(payload) => ErrorCode::HttpRequestTrailerSize(field(payload)),
        WasiCode::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        WasiCode::HttpResponseHeaderSectionSize(size) => ErrorCode::HttpResponseHeaderSectionSize(size),
        WasiCode::HttpResponseHeaderSize(payload) => ErrorCode::HttpResponseHeaderSize(field(payload)),
        WasiCode::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(size),
        WasiCode::HttpResponseTrailerSectionSize(size) => ErrorCode::HttpResponseTrailerSectionSize(size),
        WasiCode::HttpResponseTrailerSize(payload) => ErrorCode::HttpResponseTrailerSize(field(payload)),
        WasiCode::HttpResponseTransferCoding(text) => ErrorCode::HttpResponseTransferCoding(text),
        WasiCode::HttpResponseContentCoding(text) => ErrorCode::HttpResponseContentCoding(text),
        WasiCode::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        WasiCode::HttpUpgradeFailed => ErrorCode::HttpUpgradeFailed,
        WasiCode::HttpProtocolError => ErrorCode::HttpProtocolError,
        WasiCode::LoopDetected => ErrorCode::LoopDetected,
        WasiCode::ConfigurationError => ErrorCode::ConfigurationError,
        WasiCode::InternalError(text) => ErrorCode::InternalError(text),
    }
}

/// An error code of core as one of the host.
pub(crate) fn wasi_code(code: &ErrorCode) -> WasiCode {
    let field = |size: &FieldSize| FieldSizePayload { field_name: size.name.clone(), field_size: size.size };
    match code {
        ErrorCode::DnsTimeout => WasiCode::DnsTimeout,
        ErrorCode::DnsError { rcode, info_code } => {
            WasiCode::DnsError(DnsErrorPayload { rcode: rcode.clone(), info_code: *info_code })
        }
        ErrorCode::DestinationNotFound => WasiCode::DestinationNotFound,
        ErrorCode::DestinationUnavailable => WasiCode::DestinationUnavailable,
        ErrorCode::DestinationIpProhibited => WasiCode::DestinationIpProhibited,
        ErrorCode::DestinationIpUnroutable => WasiCode::DestinationIpUnroutable,
        ErrorCode::ConnectionRefused => WasiCode::ConnectionRefused,
        ErrorCode::ConnectionTerminated => WasiCode::ConnectionTerminated,
        ErrorCode::ConnectionTimeout => WasiCode::ConnectionTimeout,
        ErrorCode::ConnectionReadTimeout => WasiCode::ConnectionReadTimeout,
        ErrorCode::ConnectionWriteTimeout => WasiCode::ConnectionWriteTimeout,
        ErrorCode::ConnectionLimitReached => WasiCode::ConnectionLimitReached,
        ErrorCode::TlsProtocolError => WasiCode::TlsProtocolError,
        ErrorCode::TlsCertificateError => WasiCode::TlsCertificateError,
        ErrorCode::TlsAlertReceived { id, message } => {
            WasiCode::TlsAlertReceived(TlsAlertReceivedPayload { alert_id: *id, alert_message: message.clone() })
        }
        ErrorCode::HttpRequestDenied => WasiCode::HttpRequestDenied,
        ErrorCode::HttpRequestLengthRequired => WasiCode::HttpRequestLengthRequired,
        ErrorCode::HttpRequestBodySize(size) => WasiCode::HttpRequestBodySize(*size),
        ErrorCode::HttpRequestMethodInvalid => WasiCode::HttpRequestMethodInvalid,
        ErrorCode::HttpRequestUriInvalid => WasiCode::HttpRequestUriInvalid,
        ErrorCode::HttpRequestUriTooLong => WasiCode::HttpRequestUriTooLong,
        ErrorCode::HttpRequestHeaderSectionSize(size) => WasiCode::HttpRequestHeaderSectionSize(*size),
        ErrorCode::HttpRequestHeaderSize(size) => WasiCode::HttpRequestHeaderSize(size.as_ref().map(field)),
        ErrorCode::HttpRequestTrailerSectionSize(size) => WasiCode::HttpRequestTrailerSectionSize(*size),
        ErrorCode::HttpRequestTrailerSize(size) => WasiCode::HttpRequestTrailerSize(field(size)),
        ErrorCode::HttpResponseIncomplete => WasiCode::HttpResponseIncomplete,
        ErrorCode::HttpResponseHeaderSectionSize(size) => WasiCode::HttpResponseHeaderSectionSize(*size),
        ErrorCode::HttpResponseHeaderSize(size) => WasiCode::HttpResponseHeaderSize(field(size)),
        ErrorCode::HttpResponseBodySize(size) => WasiCode::HttpResponseBodySize(*size),
        ErrorCode::HttpResponseTrailerSectionSize(size) => WasiCode::HttpResponseTrailerSectionSize(*size),
        ErrorCode::HttpResponseTrailerSize(size) => WasiCode::HttpResponseTrailerSize(field(size)),
        ErrorCode::HttpResponseTransferCoding(text) => WasiCode::HttpResponseTransferCoding(text.clone()),
        ErrorCode::HttpResponseContentCoding(text) => WasiCode::HttpResponseContentCoding(text.clone()),
        ErrorCode::HttpResponseTimeout => WasiCode::HttpResponseTimeout,
        ErrorCode::HttpUpgradeFailed => WasiCode::HttpUpgradeFailed,
        ErrorCode::HttpProtocolError => WasiCode::HttpProtocolError,
        ErrorCode::LoopDetected => WasiCode::LoopDetected,
        ErrorCode::ConfigurationError => WasiCode::ConfigurationError,
        ErrorCode::InternalError(text) => WasiCode::InternalError(text.clone()),
    }
}
