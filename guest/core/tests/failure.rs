//! What a failed attempt proves.

use std::time::Duration;

use urlpool_core::code::{ErrorCode, FieldSize};
use urlpool_core::error::SizeLimit;
use urlpool_core::failure::{Failure, Reach};
use urlpool_core::history::Outcome;
use urlpool_core::{Cause, Invalid, Kind, Phase};

const LIMIT: Option<Duration> = Some(Duration::from_secs(10));

fn unsent() -> Vec<ErrorCode> {
    vec![
        ErrorCode::ConnectionRefused,
        ErrorCode::ConnectionLimitReached,
        ErrorCode::DnsTimeout,
        ErrorCode::DnsError { rcode: None, info_code: None },
        ErrorCode::DestinationNotFound,
        ErrorCode::DestinationUnavailable,
        ErrorCode::DestinationIpUnroutable,
    ]
}

fn maybe_sent() -> Vec<ErrorCode> {
    vec![
        ErrorCode::ConnectionTerminated,
        ErrorCode::ConnectionTimeout,
        ErrorCode::ConnectionReadTimeout,
        ErrorCode::ConnectionWriteTimeout,
        ErrorCode::TlsProtocolError,
        ErrorCode::TlsAlertReceived { id: None, message: None },
        ErrorCode::HttpResponseIncomplete,
        ErrorCode::HttpResponseHeaderSectionSize(None),
        ErrorCode::HttpResponseHeaderSize(FieldSize::default()),
        ErrorCode::HttpResponseBodySize(None),
        ErrorCode::HttpResponseTrailerSectionSize(None),
        ErrorCode::HttpResponseTrailerSize(FieldSize::default()),
        ErrorCode::HttpResponseTransferCoding(None),
        ErrorCode::HttpResponseContentCoding(None),
        ErrorCode::HttpResponseTimeout,
        ErrorCode::HttpUpgradeFailed,
        ErrorCode::HttpProtocolError,
        ErrorCode::InternalError(None),
    ]
}

fn refused() -> Vec<ErrorCode> {
    vec![
        ErrorCode::DestinationIpProhibited,
        ErrorCode::TlsCertificateError,
        ErrorCode::HttpRequestDenied,
        ErrorCode::HttpRequestLengthRequired,
        ErrorCode::HttpRequestBodySize(None),
        ErrorCode::HttpRequestMethodInvalid,
        ErrorCode::HttpRequestUriInvalid,
        ErrorCode::HttpRequestUriTooLong,
        ErrorCode::HttpRequestHeaderSectionSize(None),
        ErrorCode::HttpRequestHeaderSize(None),
        ErrorCode::HttpRequestTrailerSectionSize(None),
        ErrorCode::HttpRequestTrailerSize(FieldSize::default()),
        ErrorCode::LoopDetected,
        ErrorCode::ConfigurationError,
    ]
}

fn cut(code: Option<ErrorCode>) -> Failure {
    Failure::Cut { code, expected: Some(10), received: 3 }
}

fn kind(code: ErrorCode) -> Kind {
    Failure::Failed(code).cause(None).kind()
}

#[test]
fn every_code_of_wasi_http_proves_one_thing() {
    assert!(unsent().iter().all(|code| Reach::of(code) == Reach::Unsent));
    assert!(maybe_sent().iter().all(|code| Reach::of(code) == Reach::MaybeSent));
    assert!(refused().iter().all(|code| Reach::of(code) == Reach::Refused));
    assert_eq!(unsent().len() + maybe_sent().len() + refused().len(), 39);
}

/// Spin says so to a component that an app depends on without passing its permissions on.
#[test]
fn what_the_host_does_not_permit_is_denied_whatever_its_code() {
    let told = |text: &str| ErrorCode::InternalError(Some(text.to_owned()));
    let spin = told("outgoing HTTP to this host is not permitted");
    assert_eq!((Reach::of(&spin), kind(spin)), (Reach::Refused, Kind::Denied));
    // The system's word for a firewall, which says nothing of permissions of this component.
    let system = told("Operation not permitted (os error 1)");
    assert_eq!((Reach::of(&system), kind(system)), (Reach::MaybeSent, Kind::Protocol));
}

#[test]
fn a_failure_before_the_head_proves_what_its_code_does() {
    for code in unsent().into_iter().chain(maybe_sent()).chain(refused()) {
        assert_eq!(Failure::Failed(code.clone()).reach(), Reach::of(&code), "{code}");
    }
}

#[test]
fn a_timer_of_ours_proves_nothing() {
    for phase in [Phase::Connect, Phase::Write, Phase::FirstByte, Phase::BetweenBytes, Phase::Total] {
        assert_eq!(Failure::TimedOut(phase).reach(), Reach::MaybeSent, "{phase}");
    }
}

#[test]
fn a_slot_that_did_not_come_in_time_is_not_asked_for_again() {
    assert_eq!(Failure::TimedOut(Phase::Slot).reach(), Reach::Refused);
}

#[test]
fn a_cut_body_was_asked_for_by_a_request_that_was_sent() {
    for code in unsent().into_iter().chain(maybe_sent()).chain(refused()) {
        assert_eq!(cut(Some(code.clone())).reach(), Reach::MaybeSent, "{code}");
    }
    assert_eq!(cut(None).reach(), Reach::MaybeSent);
}

#[test]
fn a_request_body_that_failed_is_the_callers_to_mend() {
    let failure = Failure::Body(Invalid::BodyStream);
    assert_eq!(failure.reach(), Reach::Refused);
    assert_eq!(failure.cause(None), Cause::Invalid(Invalid::BodyStream));
}

#[test]
fn timeouts_of_the_host_are_timeouts_of_a_phase() {
    let phases = [
        (ErrorCode::DnsTimeout, Phase::Connect),
        (ErrorCode::ConnectionTimeout, Phase::Connect),
        (ErrorCode::ConnectionReadTimeout, Phase::FirstByte),
        (ErrorCode::HttpResponseTimeout, Phase::FirstByte),
        (ErrorCode::ConnectionWriteTimeout, Phase::Write),
    ];
    for (code, phase) in phases {
        let failure = Failure::Failed(code.clone());
        assert_eq!(failure.phase(), Some(phase), "{code}");
        assert_eq!(failure.outcome(), Outcome::TimedOut(phase), "{code}");
        assert_eq!(failure.cause(LIMIT), Cause::TimedOut { phase, limit: LIMIT }, "{code}");
    }
}

#[test]
fn a_timeout_of_the_host_in_a_body_is_one_between_bytes() {
    for code in [ErrorCode::ConnectionReadTimeout, ErrorCode::HttpResponseTimeout, ErrorCode::ConnectionTimeout] {
        let failure = cut(Some(code));
        assert_eq!(failure.outcome(), Outcome::TimedOut(Phase::BetweenBytes));
        assert_eq!(failure.cause(LIMIT), Cause::TimedOut { phase: Phase::BetweenBytes, limit: LIMIT });
    }
}

#[test]
fn a_timer_of_ours_is_a_timeout_of_its_phase() {
    let failure = Failure::TimedOut(Phase::Total);
    assert_eq!(failure.cause(LIMIT), Cause::TimedOut { phase: Phase::Total, limit: LIMIT });
    assert_eq!(failure.outcome(), Outcome::TimedOut(Phase::Total));
}

#[test]
fn what_never_connected_is_a_failure_to_connect() {
    for code in unsent().into_iter().filter(|code| *code != ErrorCode::DnsTimeout) {
        assert_eq!(Failure::Failed(code.clone()).cause(None), Cause::Connect(code));
    }
}

#[test]
fn what_the_host_refuses_is_denied() {
    for code in refused().into_iter().filter(|code| *code != ErrorCode::TlsCertificateError) {
        assert_eq!(Failure::Failed(code.clone()).cause(None), Cause::Denied(code));
    }
}

#[test]
fn a_connection_that_ended_before_the_head_is_interrupted() {
    for code in [ErrorCode::ConnectionTerminated, ErrorCode::HttpResponseIncomplete] {
        let failure = Failure::Failed(code.clone());
        assert_eq!(failure.cause(None), Cause::Interrupted { code: Some(code), expected: None, received: None });
    }
}

#[test]
fn a_cut_body_says_how_much_of_it_came() {
    for code in [None, Some(ErrorCode::ConnectionTerminated), Some(ErrorCode::InternalError(None))] {
        let expected = Cause::Interrupted { code: code.clone(), expected: Some(10), received: Some(3) };
        assert_eq!(cut(code).cause(None), expected);
    }
    assert_eq!(cut(None).outcome(), Outcome::Interrupted);
    let reset = ErrorCode::ConnectionTerminated;
    assert_eq!(cut(Some(reset.clone())).outcome(), Outcome::Failed(reset));
}

#[test]
fn broken_rules_are_of_the_protocol() {
    for code in [
        ErrorCode::HttpProtocolError,
        ErrorCode::HttpUpgradeFailed,
        ErrorCode::HttpResponseTransferCoding(None),
        ErrorCode::HttpResponseContentCoding(None),
        ErrorCode::TlsProtocolError,
        ErrorCode::TlsCertificateError,
        ErrorCode::TlsAlertReceived { id: Some(40), message: None },
        ErrorCode::InternalError(None),
    ] {
        assert_eq!(kind(code), Kind::Protocol);
    }
    assert_eq!(cut(Some(ErrorCode::HttpProtocolError)).cause(None).kind(), Kind::Protocol);
}

#[test]
fn headers_larger_than_the_host_allows_are_too_large() {
    for code in
        [ErrorCode::HttpResponseHeaderSectionSize(None), ErrorCode::HttpResponseHeaderSize(FieldSize::default())]
    {
        assert_eq!(Failure::Failed(code).cause(None), Cause::TooLarge { limit: SizeLimit::Headers });
    }
}
