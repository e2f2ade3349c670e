//! What decides, besides the origin, whether two requests may share a connection.

use crate::egress::Egress;
use crate::proxy::Proxies;
use crate::tls::Tls;
use std::sync::Arc;

/// The way from a guest to its origins. Requests of different routes never share a connection, so what was opened under one
/// policy cannot be used under another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Route {
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) egress: Egress,
    pub(crate) tls: Tls,
    pub(crate) proxies: Proxies,
    pub(crate) versions: Versions,
}

/// Which versions of HTTP are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Versions {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 over TLS where the server agrees to it (ALPN), otherwise HTTP/1.1. The default.
    #[default]
    Negotiated,
    /// HTTP/2 alone, in clear text too (prior knowledge, RFC 9113 §3.3).
    Http2,
}
