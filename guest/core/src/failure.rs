//! What a failed attempt proves.

use std::time::Duration;

use crate::code::ErrorCode;
use crate::error::{Cause, Invalid, SizeLimit};
use crate::history::Outcome;
use crate::timeouts::Phase;

/// Whether the server may already have acted on a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It cannot have: nothing of the request was sent.
    Unsent,
    /// It may have: some or all of the request may have been sent.
    MaybeSent,
    /// The attempt was refused, and repeating it cannot mend that.
    Refused,
}

impl Reach {
    /// What a host proves by reporting this code.
    ///
    /// A `connection-timeout` proves nothing: one host reports it after the request was written.
    /// A `DNS-timeout` proves that there was no address to send to.
    pub fn of(code: &ErrorCode) -> Self {
        judge(code).0
    }
}

/// How an attempt failed, as the shell saw it.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The host reported this before the head of the response.
    Failed(ErrorCode),
    /// This client's own timer passed the limit of this phase.
    TimedOut(Phase),
    /// The body of the response was cut.
    Cut {
        /// What the host reported; stock hosts report nothing.
        code: Option<ErrorCode>,
        /// The length that the response declared.
        expected: Option<u64>,
        /// The bytes of the body that came.
        received: u64,
    },
    /// The request's own body failed while it was read.
    Body(Invalid),
}

impl Failure {
    /// Whether the server may already have acted.
    pub fn reach(&self) -> Reach {
        match self {
            Self::Failed(code) => Reach::of(code),
            // A further wait in the same queue would only prolong the first.
            Self::TimedOut(Phase::Slot) => Reach::Refused,
            Self::TimedOut(Phase::Connect | Phase::Write | Phase::FirstByte | Phase::BetweenBytes | Phase::Total) => {
                Reach::MaybeSent
            }
            Self::Cut { .. } => Reach::MaybeSent,
            // What was read of a broken stream is gone, and the rest will not come.
            Self::Body(_) => Reach::Refused,
        }
    }

    /// The phase that timed out, by this client's timer or by a limit of the host.
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::TimedOut(phase) => Some(*phase),
            Self::Failed(code) => match judge(code).1 {
                Sort::TimedOut(phase) => Some(phase),
                Sort::Connect | Sort::Denied | Sort::Cut | Sort::Protocol | Sort::TooLarge | Sort::Vague => None,
            },
            Self::Cut { code, .. } => match judge(code.as_ref()?).1 {
                // Once a body flows, the only wait that is left is the one for more of it.
                Sort::TimedOut(_) => Some(Phase::BetweenBytes),
                Sort::Connect | Sort::Denied | Sort::Cut | Sort::Protocol | Sort::TooLarge | Sort::Vague => None,
            },
            Self::Body(_) => None,
        }
    }

    /// The error of a call that ends with this failure; `limit` is that of [`Self::phase`], when it is one of ours.
    pub fn cause(&self, limit: Option<Duration>) -> Cause {
        let timed_out = |phase| Cause::TimedOut { phase, limit };
        match self {
            Self::Failed(code) => match judge(code).1 {
                Sort::Connect => Cause::Connect(code.clone()),
                Sort::Denied => Cause::Denied(code.clone()),
                Sort::Cut => Cause::Interrupted { code: Some(code.clone()), expected: None, received: None },
                Sort::TooLarge => Cause::TooLarge { limit: SizeLimit::Headers },
                Sort::Protocol | Sort::Vague => Cause::Protocol(code.clone()),
                Sort::TimedOut(phase) => timed_out(phase),
            },
            Self::TimedOut(phase) => timed_out(*phase),
            Self::Cut { code, expected, received } => {
                let cut = || Cause::Interrupted { code: code.clone(), expected: *expected, received: Some(*received) };
                match code.as_ref().map(|code| (code, judge(code).1)) {
                    Some((code, Sort::Protocol)) => Cause::Protocol(code.clone()),
                    // What says nothing of the body tells less than how much of it came.
                    None | Some((_, Sort::Connect | Sort::Denied | Sort::Cut | Sort::TooLarge | Sort::Vague)) => cut(),
                    Some((_, Sort::TimedOut(_))) => timed_out(Phase::BetweenBytes),
                }
            }
            Self::Body(invalid) => Cause::Invalid(invalid.clone()),
        }
    }

    /// How the attempt ended, for the history.
    pub fn outcome(&self) -> Outcome {
        if let Some(phase) = self.phase() {
            return Outcome::TimedOut(phase);
        }
        match self {
            Self::Failed(code) | Self::Cut { code: Some(code), .. } => Outcome::Failed(code.clone()),
            Self::TimedOut(phase) => Outcome::TimedOut(*phase),
            // A body of ours that failed is never repeated, so no history holds it.
            Self::Cut { code: None, .. } | Self::Body(_) => Outcome::Interrupted,
        }
    }

    /// What the host reported, if anything.
    pub fn code(&self) -> Option<&ErrorCode> {
        match self {
            Self::Failed(code) => Some(code),
            Self::Cut { code, .. } => code.as_ref(),
            Self::TimedOut(_) | Self::Body(_) => None,
        }
    }

    /// The sort of failure, by which retries are counted.
    pub(crate) fn sort(&self) -> Sort {
        match self {
            Self::Failed(code) => judge(code).1,
            Self::TimedOut(phase) => Sort::TimedOut(*phase),
            Self::Cut { .. } => Sort::Cut,
            Self::Body(_) => Sort::Denied,
        }
    }
}

/// What sort of failure a code names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// No connection was made.
    Connect,
    /// The host does not allow the request.
    Denied,
    /// A limit of the host passed, of this phase.
    TimedOut(Phase),
    /// The connection ended.
    Cut,
    /// The server or the host broke the protocol.
    Protocol,
    /// The head of the response is larger than the host allows.
    TooLarge,
    /// TLS and failures that the host does not explain: neither of connecting nor of reading.
    Vague,
}

/// How the text ends by which Spin refuses a component that an app depends on without passing its own permissions on to it.
///
/// The one text that is matched: Spin has no code for it, and without this a request that was denied would be sent again and
/// fail as a fault of the server.
const NOT_PERMITTED: &str = "is not permitted";

/// What each code proves, and of what sort it is: the one table that both questions share.
fn judge(code: &ErrorCode) -> (Reach, Sort) {
    match code {
        ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionLimitReached
        | ErrorCode::DnsError { .. }
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable => (Reach::Unsent, Sort::Connect),
        ErrorCode::DnsTimeout => (Reach::Unsent, Sort::TimedOut(Phase::Connect)),

        ErrorCode::ConnectionTimeout => (Reach::MaybeSent, Sort::TimedOut(Phase::Connect)),
        ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => {
            (Reach::MaybeSent, Sort::TimedOut(Phase::FirstByte))
        }
        ErrorCode::ConnectionWriteTimeout => (Reach::MaybeSent, Sort::TimedOut(Phase::Write)),
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => (Reach::MaybeSent, Sort::Cut),
        ErrorCode::HttpResponseHeaderSectionSize(_) | ErrorCode::HttpResponseHeaderSize(_) => {
            (Reach::MaybeSent, Sort::TooLarge)
        }
        ErrorCode::HttpResponseBodySize(_)
        | ErrorCode::HttpResponseTrailerSectionSize(_)
        | ErrorCode::HttpResponseTrailerSize(_)
        | ErrorCode::HttpResponseTransferCoding(_)
        | ErrorCode::HttpResponseContentCoding(_)
        | ErrorCode::HttpUpgradeFailed
        | ErrorCode::HttpProtocolError => (Reach::MaybeSent, Sort::Protocol),
        ErrorCode::InternalError(Some(text)) if text.ends_with(NOT_PERMITTED) => (Reach::Refused, Sort::Denied),
        // Under TLS 1.3 a client sends its request before the server judges its certificate.
        ErrorCode::TlsProtocolError | ErrorCode::TlsAlertReceived { .. } | ErrorCode::InternalError(_) => {
            (Reach::MaybeSent, Sort::Vague)
        }

        ErrorCode::TlsCertificateError => (Reach::Refused, Sort::Protocol),
        ErrorCode::DestinationIpProhibited
        | ErrorCode::HttpRequestDenied
        | ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_)
        | ErrorCode::LoopDetected
        | ErrorCode::ConfigurationError => (Reach::Refused, Sort::Denied),
    }
}
