//! Origins: the one equality for "the same place".

use std::fmt;

/// The scheme of a URL that this client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that is meant when a URL names none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A scheme, a host and a port: what owns slots, and what credentials are meant for.
///
/// - The host is in lower case, an international name in its ASCII form, an IPv6 address without brackets.
/// - The port is always there, so `http://a.test` and `http://a.test:80` are one origin.
/// - A name with a trailing dot is another name: `a.test.` skips the search list of the resolver, so it need not be the same machine.
///
/// Made by [`crate::Target::parse`] alone, so every origin is normalised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of these parts, which the caller has normalised.
    pub(crate) fn new(scheme: Scheme, host: &str, port: u16) -> Self {
        Self { scheme, host: host.trim_start_matches('[').trim_end_matches(']').to_owned(), port }
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, as to look up: without brackets, and with its trailing dot when it has one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also when it is the default of the scheme.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host, in brackets when it is an IPv6 address, with the port unless it is the default of the scheme.
    pub fn authority(&self) -> String {
        // Only an IPv6 address has a colon.
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

/// As a URL without a path: `http://a.test:8080`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority())
    }
}
