//! A server's identity as 127.0.0.1, and what it agrees to speak.

use super::certificates::Authority;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What a server needs to be 127.0.0.1, and what a client needs to believe it.
pub struct Identity {
    config: ServerConfig,
    /// The authority that vouches for it.
    pub pem: String,
}

impl Identity {
    /// A fresh one.
    pub fn new() -> Self {
        let authority = Authority::new();
        Self { config: authority.config("127.0.0.1", None), pem: authority.pem }
    }

    /// Accepts connections and agrees to one of these protocols by ALPN; none are offered when there are none.
    pub fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let mut config = self.config.clone();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
