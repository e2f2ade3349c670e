//! What a scripted server speaks.

/// What a scripted server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// HTTP/1.1 in clear text.
    Http1,
    /// HTTP/1.1 over TLS.
    Http1Tls,
    /// HTTP/2 over TLS, agreed by ALPN.
    Http2Tls,
}

impl Speech {
    /// All that the client speaks.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http1Tls, Self::Http2Tls];

    /// Those that carry one request at a time, for what only such a connection can show.
    pub const ONE_AT_A_TIME: [Self; 2] = [Self::Http1, Self::Http1Tls];

    /// Whether requests at once share a connection.
    pub fn shares(self) -> bool {
        self == Self::Http2Tls
    }

    /// The scheme of its URLs.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Http1 => "http",
            Self::Http1Tls | Self::Http2Tls => "https",
        }
    }
}
