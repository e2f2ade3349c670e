//! The settings of a pool: what its requests get unless they bring their own.

use crate::headers::Headers;
use crate::keyring::Keyring;
use crate::origin::Origin;
use crate::redirect::Redirect;
use crate::request::Request;
use crate::retry::Retry;
use crate::target::{Credentials, Target};
use crate::timeouts::Timeouts;

/// How much of a body is collected before its response is delivered, by default: 8 MiB.
pub const DEFAULT_PRELOAD: u64 = 8 * 1024 * 1024;

/// How many times larger than its encoded form a body may get, by default.
///
/// Brotli and zstd reach a few hundred on text that repeats; a bomb reaches thousands.
pub const DEFAULT_MAX_RATIO: u32 = 200;

/// The settings that a call works with.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// When a request is sent again.
    pub retry: Retry,
    /// Whether and how redirects are followed.
    pub redirect: Redirect,
    /// How long the phases may take.
    pub timeouts: Timeouts,
    /// Whether `Content-Encoding` is asked for and undone. Default: true.
    pub decode: bool,
    /// The most that is collected before delivery; none delivers at the head. Default: 8 MiB.
    pub preload: Option<u64>,
    /// The most decoded bytes of a body; none removes the limit. Default: none.
    pub max_body: Option<u64>,
    /// The highest ratio of decoded to encoded bytes; none removes the limit. Default: 200.
    pub max_ratio: Option<u32>,
    /// Headers for each request that does not have them itself.
    pub headers: Headers,
    /// Names of headers that are not sent by default, in lower case.
    pub removed: Vec<String>,
    /// Credentials of origins, for requests without an `Authorization` of their own. Default: none.
    pub keyring: Keyring,
    /// Whether each attempt is a span of its own by its `traceparent`. Default: false.
    pub trace_context: bool,
    /// The only origin that may be asked; none allows all. Default: none.
    pub scope: Option<Origin>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            retry: Retry::default(),
            redirect: Redirect::default(),
            timeouts: Timeouts::default(),
            decode: true,
            preload: Some(DEFAULT_PRELOAD),
            max_body: None,
            max_ratio: Some(DEFAULT_MAX_RATIO),
            headers: Headers::default(),
            removed: Vec::new(),
            keyring: Keyring::default(),
            trace_context: false,
            scope: None,
        }
    }
}

impl Policy {
    /// What holds for this request of the pool: its own settings, each as a whole, and the pool's where it has none.
    ///
    /// Without the headers, which become a part of what is sent.
    pub(crate) fn of(&self, request: &Request) -> Self {
        let sets = |name: &str| {
            let by_pool = self.headers.contains(name) && !request.removed.iter().any(|removed| removed == name);
            request.headers.contains(name) || by_pool
        };
        Self {
            retry: request.retry.clone().unwrap_or_else(|| self.retry.clone()),
            redirect: request.redirect.clone().unwrap_or_else(|| self.redirect.clone()),
            timeouts: request.timeouts.clone().unwrap_or_else(|| self.timeouts.clone()),
            // Who asks for codings by name wants them as they are, and a range is one of the encoded bytes.
            decode: request.decode.unwrap_or(self.decode) && !sets("accept-encoding") && !sets("range"),
            preload: request.preload.unwrap_or(self.preload),
            max_body: request.max_body.unwrap_or(self.max_body),
            max_ratio: request.max_ratio.unwrap_or(self.max_ratio),
            headers: Headers::default(),
            removed: Vec::new(),
            keyring: self.keyring.clone(),
            trace_context: self.trace_context,
            scope: self.scope.clone(),
        }
    }

    /// Holds all requests to the origin of this URL, and sends it the credentials that the URL has.
    pub fn bind(&mut self, base: &Target, credentials: Option<Credentials>) {
        self.scope = Some(base.origin().clone());
        if let Some(credentials) = credentials {
            self.keyring.set(base.origin(), credentials.authorization());
        }
    }

    /// Sends no header of this name by default.
    pub fn remove_header(&mut self, name: &str) {
        self.headers.remove(name);
        self.removed.push(name.to_ascii_lowercase());
    }
}
