//! What can go wrong: building a [`Host`](crate::Host), and sending a request over it.

use std::{fmt, io};

/// Why a [`Host`](crate::Host) could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A PEM file of roots holds no certificate, or something that is not one.
    Roots(String),
    /// A `HOST:PORT:ADDR` override cannot be read.
    Override(String),
    /// A client certificate or its key is missing, or they do not belong together.
    Identity(String),
    /// The URL of a proxy cannot be used.
    Proxy(String),
    /// A rule of an [`Egress`](crate::Egress) policy cannot be read.
    Egress(String),
    /// A limit cannot hold a single connection.
    Limit(&'static str),
    /// The TLS provider refused its own defaults.
    Tls(rustls::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Roots(why) => write!(f, "root certificates: {why}"),
            Self::Override(text) => write!(f, "override {text:?}: expected HOST:PORT:ADDR[,ADDR]"),
            Self::Identity(why) => write!(f, "client certificate: {why}"),
            Self::Proxy(why) => write!(f, "proxy {why}"),
            Self::Egress(why) => write!(f, "egress rule {why}"),
            Self::Limit(name) => write!(f, "limit {name}: must be at least 1"),
            Self::Tls(error) => write!(f, "TLS configuration: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tls(error) => Some(error),
            Self::Roots(_)
            | Self::Override(_)
            | Self::Identity(_)
            | Self::Proxy(_)
            | Self::Egress(_)
            | Self::Limit(_) => None,
        }
    }
}

/// Why a request got no response, or a response lost its body.
///
/// Each case is one `error-code` of wasi:http.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// No answer of the resolver within the connect timeout (`DNS-timeout`).
    DnsTimeout,
    /// The resolver failed or knows no address, with its words (`DNS-error`).
    Dns(String),
    /// Nobody listens there (`connection-refused`).
    Refused,
    /// The destination cannot be reached (`destination-unavailable`).
    Unavailable,
    /// No route leads to the address (`destination-IP-unroutable`).
    Unroutable,
    /// The egress policy denies the address (`destination-IP-prohibited`).
    Prohibited,
    /// TCP and TLS were not done within the connect timeout (`connection-timeout`).
    ConnectTimeout,
    /// No connection came free in time, or the system has none left (`connection-limit-reached`).
    LimitReached,
    /// The connection was closed or reset before the response (`connection-terminated`).
    Terminated,
    /// The first byte, or the next one, took too long (`connection-read-timeout`).
    ReadTimeout,
    /// The server's certificate does not convince (`TLS-certificate-error`).
    TlsCertificate,
    /// The peer does not speak TLS as it should (`TLS-protocol-error`).
    TlsProtocol,
    /// The peer refused with a TLS alert (`TLS-alert-received`).
    TlsAlert {
        /// The alert's number.
        id: u8,
        /// The alert's name.
        name: String,
    },
    /// The guest may not ask for this: a host that the egress policy or a proxy denies, a CONNECT, or userinfo in the
    /// authority (`HTTP-request-denied`).
    Denied,
    /// The proxy wants other credentials, or does not do what a proxy does (`configuration-error`).
    Proxy,
    /// The URI has no usable host or port (`HTTP-request-URI-invalid`).
    Uri,
    /// The request's body ended early or with an error (`HTTP-protocol-error`).
    RequestBody,
    /// The response ended before it was whole (`HTTP-response-incomplete`).
    Incomplete,
    /// The response's header section is too large (`HTTP-response-header-section-size`).
    HeadTooLarge,
    /// A transfer coding other than `chunked` (`HTTP-response-transfer-coding`).
    TransferCoding(String),
    /// The server switched protocols, which nobody asked for (`HTTP-upgrade-failed`).
    Upgraded,
    /// The response is not HTTP (`HTTP-protocol-error`).
    Protocol,
}

impl Failure {
    /// What a failed TCP connect means.
    pub(crate) fn connecting(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::ConnectTimeout,
            io::ErrorKind::NetworkUnreachable => Self::Unroutable,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Terminated,
            // No local port, or no descriptor, is left. Either way nothing was sent.
            io::ErrorKind::AddrNotAvailable => Self::LimitReached,
            _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => Self::LimitReached,
            _ => Self::Unavailable,
        }
    }

    /// What an I/O error of an established connection means.
    pub(crate) fn io(error: &io::Error) -> Self {
        if let Some(own) = error.get_ref().and_then(|source| source.downcast_ref::<Self>()) {
            return own.clone();
        }
        if let Some(tls) = error.get_ref().and_then(|source| source.downcast_ref()) {
            return Self::tls(tls);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Incomplete,
            // What hyper says of a chunk that is none.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Self::Protocol,
            _ => Self::Terminated,
        }
    }

    /// What an error of rustls means.
    pub(crate) fn tls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::UnsupportedNameType
            | rustls::Error::InvalidCertRevocationList(_) => Self::TlsCertificate,
            rustls::Error::AlertReceived(alert) => Self::TlsAlert { id: u8::from(*alert), name: format!("{alert:?}") },
            _ => Self::TlsProtocol,
        }
    }

    /// What an error of hyper means, `answered` telling whether a byte of the response had come.
    pub(crate) fn http(error: &hyper::Error, answered: bool) -> Self {
        if error.is_parse_too_large() {
            return Self::HeadTooLarge;
        }
        if error.is_parse() {
            return Self::Protocol;
        }
        if error.is_incomplete_message() && answered {
            return Self::Incomplete;
        }
        if error.is_canceled() && answered {
            // What came belongs to no request.
            return Self::Protocol;
        }
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            return Self::Terminated;
        }
        if error.is_body_write_aborted() {
            return Self::RequestBody;
        }
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if let Some(io) = cause.downcast_ref::<io::Error>() {
                return match Self::io(io) {
                    // TLS closed without its farewell and before any answer: a stale connection, not a cut response.
                    Self::Incomplete if !answered => Self::Terminated,
                    failure => failure,
                };
            }
            source = cause.source();
        }
        if answered { Self::Protocol } else { Self::Terminated }
    }

    /// What an error of h2 means, `answered` telling whether the head of the response had come.
    pub(crate) fn http2(error: &h2::Error, answered: bool) -> Self {
        let lost = if answered { Self::Incomplete } else { Self::Terminated };
        if let Some(io) = error.get_io() {
            return match Self::io(io) {
                Self::Incomplete | Self::Terminated => lost,
                failure => failure,
            };
        }
        if error.is_remote() {
            return lost;
        }
        match error.reason() {
            // Of a malformed message, to which h2 counts a head that is too large as well.
            Some(_) => Self::Protocol,
            // The connection was given up before the request went out on it.
            None => lost,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DnsTimeout => f.write_str("name lookup: timed out"),
            Self::Dns(why) => write!(f, "name lookup: {why}"),
            Self::Refused => f.write_str("connect: refused"),
            Self::Unavailable => f.write_str("connect: destination unavailable"),
            Self::Unroutable => f.write_str("connect: no route to the address"),
            Self::Prohibited => f.write_str("connect: address not allowed"),
            Self::ConnectTimeout => f.write_str("connect: timed out"),
            Self::LimitReached => f.write_str("connect: no connection came free"),
            Self::Terminated => f.write_str("connection: closed before the response"),
            Self::ReadTimeout => f.write_str("response: timed out"),
            Self::TlsCertificate => f.write_str("TLS: certificate not trusted"),
            Self::TlsProtocol => f.write_str("TLS: protocol error"),
            Self::TlsAlert { name, .. } => write!(f, "TLS: refused with alert {name}"),
            Self::Denied => f.write_str("request: not allowed"),
            Self::Proxy => f.write_str("proxy: refused"),
            Self::Uri => f.write_str("request: URI without usable host or port"),
            Self::RequestBody => f.write_str("request: body not finished"),
            Self::Incomplete => f.write_str("response: ended early"),
            Self::HeadTooLarge => f.write_str("response: header section too large"),
            Self::TransferCoding(coding) => {
                write!(f, "response: transfer coding {coding:?} not supported")
            }
            Self::Upgraded => f.write_str("response: switched protocols"),
            Self::Protocol => f.write_str("response: not HTTP"),
        }
    }
}

impl std::error::Error for Failure {}

// Too many open files, of this process and of the system. The numbers are the same on every Unix; on
// Windows they mean something that a connect never reports.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

#[cfg(test)]
mod tests {
    use super::*;
    use io::ErrorKind;

    #[test]
    fn what_a_failed_connect_means() {
        for (kind, failure) in [
            (ErrorKind::ConnectionRefused, Failure::Refused),
            (ErrorKind::TimedOut, Failure::ConnectTimeout),
            (ErrorKind::NetworkUnreachable, Failure::Unroutable),
            (ErrorKind::HostUnreachable, Failure::Unavailable),
            (ErrorKind::ConnectionReset, Failure::Terminated),
            (ErrorKind::ConnectionAborted, Failure::Terminated),
            (ErrorKind::AddrNotAvailable, Failure::LimitReached),
            (ErrorKind::PermissionDenied, Failure::Unavailable),
        ] {
            assert_eq!(Failure::connecting(&kind.into()), failure, "{kind:?}");
        }
        for code in [EMFILE, ENFILE] {
            assert_eq!(Failure::connecting(&io::Error::from_raw_os_error(code)), Failure::LimitReached, "{code}");
        }
    }

    #[test]
    fn what_an_error_of_a_connection_means() {
        for (error, failure) in [
            (io::Error::other(Failure::ReadTimeout), Failure::ReadTimeout),
            (io::Error::other(rustls::Error::NoCertificatesPresented), Failure::TlsCertificate),
            (io::Error::other(rustls::Error::DecryptError), Failure::TlsProtocol),
            (ErrorKind::UnexpectedEof.into(), Failure::Incomplete),
            (io::Error::new(ErrorKind::InvalidData, "Invalid chunk size"), Failure::Protocol),
            (io::Error::new(ErrorKind::InvalidInput, "Invalid chunk end"), Failure::Protocol),
            (ErrorKind::ConnectionReset.into(), Failure::Terminated),
            (ErrorKind::BrokenPipe.into(), Failure::Terminated),
        ] {
            assert_eq!(Failure::io(&error), failure, "{error:?}");
        }
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        assert_eq!(Failure::tls(&alert), Failure::TlsAlert { id: 40, name: "HandshakeFailure".to_owned() });
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        assert_eq!(Failure::tls(&expired), Failure::TlsCertificate);
    }
}
