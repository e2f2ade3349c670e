//! What the host reports of a failure: the `error-code` of wasi:http, case by case.

use std::fmt;

/// The `error-code` of wasi:http 0.2, without a wildcard anywhere it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the cases are those of wasi:http, which documents them")]
pub enum ErrorCode {
    DnsTimeout,
    DnsError { rcode: Option<String>, info_code: Option<u16> },
    DestinationNotFound,
    DestinationUnavailable,
    DestinationIpProhibited,
    DestinationIpUnroutable,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectionTimeout,
    ConnectionReadTimeout,
    ConnectionWriteTimeout,
    ConnectionLimitReached,
    TlsProtocolError,
    TlsCertificateError,
    TlsAlertReceived { id: Option<u8>, message: Option<String> },
    HttpRequestDenied,
    HttpRequestLengthRequired,
    HttpRequestBodySize(Option<u64>),
    HttpRequestMethodInvalid,
    HttpRequestUriInvalid,
    HttpRequestUriTooLong,
    HttpRequestHeaderSectionSize(Option<u32>),
    HttpRequestHeaderSize(Option<FieldSize>),
    HttpRequestTrailerSectionSize(Option<u32>),
    HttpRequestTrailerSize(FieldSize),
    HttpResponseIncomplete,
    HttpResponseHeaderSectionSize(Option<u32>),
    HttpResponseHeaderSize(FieldSize),
    HttpResponseBodySize(Option<u64>),
    HttpResponseTrailerSectionSize(Option<u32>),
    HttpResponseTrailerSize(FieldSize),
    HttpResponseTransferCoding(Option<String>),
    HttpResponseContentCoding(Option<String>),
    HttpResponseTimeout,
    HttpUpgradeFailed,
    HttpProtocolError,
    LoopDetected,
    ConfigurationError,
    InternalError(Option<String>),
}

/// Which field was too large, as far as the host says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSize {
    /// The name of the field.
    pub name: Option<String>,
    /// Its size in bytes.
    pub size: Option<u32>,
}

impl ErrorCode {
    /// The name of the case in WIT.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DnsTimeout => "DNS-timeout",
            Self::DnsError { .. } => "DNS-error",
            Self::DestinationNotFound => "destination-not-found",
            Self::DestinationUnavailable => "destination-unavailable",
            Self::DestinationIpProhibited => "destination-IP-prohibited",
            Self::DestinationIpUnroutable => "destination-IP-unroutable",
            Self::ConnectionRefused => "connection-refused",
            Self::ConnectionTerminated => "connection-terminated",
            Self::ConnectionTimeout => "connection-timeout",
            Self::ConnectionReadTimeout => "connection-read-timeout",
            Self::ConnectionWriteTimeout => "connection-write-timeout",
            Self::ConnectionLimitReached => "connection-limit-reached",
            Self::TlsProtocolError => "TLS-protocol-error",
            Self::TlsCertificateError => "TLS-certificate-error",
            Self::TlsAlertReceived { .. } => "TLS-alert-received",
            Self::HttpRequestDenied => "HTTP-request-denied",
            Self::HttpRequestLengthRequired => "HTTP-request-length-required",
            Self::HttpRequestBodySize(_) => "HTTP-request-body-size",
            Self::HttpRequestMethodInvalid => "HTTP-request-method-invalid",
            Self::HttpRequestUriInvalid => "HTTP-request-URI-invalid",
            Self::HttpRequestUriTooLong => "HTTP-request-URI-too-long",
            Self::HttpRequestHeaderSectionSize(_) => "HTTP-request-header-section-size",
            Self::HttpRequestHeaderSize(_) => "HTTP-request-header-size",
            Self::HttpRequestTrailerSectionSize(_) => "HTTP-request-trailer-section-size",
            Self::HttpRequestTrailerSize(_) => "HTTP-request-trailer-size",
            Self::HttpResponseIncomplete => "HTTP-response-incomplete",
            Self::HttpResponseHeaderSectionSize(_) => "HTTP-response-header-section-size",
            Self::HttpResponseHeaderSize(_) => "HTTP-response-header-size",
            Self::HttpResponseBodySize(_) => "HTTP-response-body-size",
            Self::HttpResponseTrailerSectionSize(_) => "HTTP-response-trailer-section-size",
            Self::HttpResponseTrailerSize(_) => "HTTP-response-trailer-size",
            Self::HttpResponseTransferCoding(_) => "HTTP-response-transfer-coding",
            Self::HttpResponseContentCoding(_) => "HTTP-response-content-coding",
            Self::HttpResponseTimeout => "HTTP-response-timeout",
            Self::HttpUpgradeFailed => "HTTP-upgrade-failed",
            Self::HttpProtocolError => "HTTP-protocol-error",
            Self::LoopDetected => "loop-detected",
            Self::ConfigurationError => "configuration-error",
            Self::InternalError(_) => "internal-error",
        }
    }
}

/// The name of the case, and what it carries for people.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::DnsError { rcode: Some(text), .. }
            | Self::TlsAlertReceived { message: Some(text), .. }
            | Self::HttpResponseTransferCoding(Some(text))
            | Self::HttpResponseContentCoding(Some(text))
            | Self::InternalError(Some(text)) => write!(f, " ({text})"),
            _ => Ok(()),
        }
    }
}
