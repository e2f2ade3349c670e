//! Why a request got no response of the component's.

use http::StatusCode;
use std::fmt;
use wasmtime::Trap;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;

/// Why a request got no response of the component's, or only a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request names no host.
    NoHost,
    /// Every instance was taken for as long as a request may wait for one.
    Busy,
    /// The component took longer than the deadline.
    Deadline,
    /// It wanted more memory than an instance may have.
    Memory,
    /// It trapped, with the reason.
    Trapped(String),
    /// It ended without a response.
    Silent,
    /// It answered with an error of wasi:http instead of a response.
    Answered(String),
    /// A failure of the host's own, which should not be.
    Host(String),
}

impl Fault {
    /// The status that tells the client.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoHost => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
            Self::Memory | Self::Trapped(_) | Self::Silent | Self::Answered(_) | Self::Host(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// A word for it, in figures.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoHost => "no-host",
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Trapped(_) => "trapped",
            Self::Silent => "silent",
            Self::Answered(_) => "answered",
            Self::Host(_) => "host",
        }
    }

    /// What an error means that came out of the component.
    pub(crate) fn of(error: &wasmtime::Error) -> Self {
        if let Some(code) = error.downcast_ref::<ErrorCode>() {
            return Self::Answered(format!("{code:?}"));
        }
        #[cfg(feature = "p3")]
        if let Some(code) = error.downcast_ref::<wasmtime_wasi_http::p3::bindings::http::types::ErrorCode>() {
            return Self::Answered(format!("{code:?}"));
        }
        if let Some(trap) = error.downcast_ref::<Trap>() {
            return Self::Trapped(crate::error::reason(*trap));
        }
        Self::Trapped(error.root_cause().to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost => f.write_str("request: names no host"),
            Self::Busy => f.write_str("no instance came free in time"),
            Self::Deadline => f.write_str("component: took longer than the deadline"),
            Self::Memory => f.write_str("component: wanted more memory than an instance may have"),
            Self::Trapped(why) => write!(f, "component: trapped: {why}"),
            Self::Silent => f.write_str("component: ended without a response"),
            Self::Answered(code) => write!(f, "component: answered with an error: {code}"),
            Self::Host(why) => write!(f, "host: {why}"),
        }
    }
}

impl std::error::Error for Fault {}
