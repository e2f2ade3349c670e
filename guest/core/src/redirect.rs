//! Where a redirect leads, as which method, and with which headers.

use std::fmt;

use http::Method;

use crate::error::{BadLocation, Cause};
use crate::headers::Headers;
use crate::origin::{Origin, Scheme};
use crate::retry::AtLimit;
use crate::target::Target;

/// What belongs to one origin only. A policy may name more, but none of these less.
const SECRETS: [&str; 5] = ["authorization", "cookie", "cookie2", "proxy-authorization", "www-authenticate"];

/// What describes a body, and means nothing once the body is gone (RFC 9110 section 15.4, RFC 9530).
const OF_THE_BODY: [&str; 14] = [
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "digest",
    "expect",
    "last-modified",
    "trailer",
    "transfer-encoding",
];

/// Whether and how a response of 301, 302, 303, 307 or 308 is followed.
///
/// - 303 becomes GET (HEAD stays HEAD), 301 and 302 turn POST into GET, and these hops leave the body behind.
///   307 and 308 keep method and body, and so does every other method.
/// - `Authorization`, `Cookie` and `Proxy-Authorization` never cross to another origin, and once dropped they do not come back.
///
/// Unlike urllib3, a POST that is answered with 301 or 302 becomes a GET, because that is what every browser
/// does and what servers expect; and a HEAD stays a HEAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    enabled: bool,
    limit: u32,
    private_headers: Vec<String>,
    downgrade: bool,
    https_only: bool,
    at_limit: AtLimit,
}

/// Ten hops, then an error.
impl Default for Redirect {
    fn default() -> Self {
        Self {
            enabled: true,
            limit: 10,
            private_headers: Vec::new(),
            downgrade: true,
            https_only: false,
            at_limit: AtLimit::Fail,
        }
    }
}

impl Redirect {
    /// A policy that delivers a redirect as the response it is.
    pub fn never() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    /// Limits the hops of one call. Default: 10.
    ///
    /// 0 follows none and delivers the redirect, as [`Self::never`] does. Unlike urllib3, where 0 is an error,
    /// because who allows no hop asks for the redirect itself.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.set_limit(limit);
        self
    }

    /// Names further headers that do not cross to another origin, in any case of letters. Default: none.
    #[must_use]
    pub fn with_private_headers<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.set_private_headers(names);
        self
    }

    /// Allows a hop from https to http. Default: true; secrets never take it, as it leads to another origin.
    #[must_use]
    pub fn with_downgrade(mut self, allowed: bool) -> Self {
        self.set_downgrade(allowed);
        self
    }

    /// Refuses every hop whose target is not https. Default: false.
    #[must_use]
    pub fn with_https_only(mut self, required: bool) -> Self {
        self.set_https_only(required);
        self
    }

    /// Chooses what a call answers when the limit of hops is reached. Default: [`AtLimit::Fail`].
    #[must_use]
    pub fn with_at_limit(mut self, then: AtLimit) -> Self {
        self.set_at_limit(then);
        self
    }

    /// Sets what [`Self::with_limit`] does.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Sets what [`Self::with_private_headers`] does.
    pub fn set_private_headers<N: Into<String>>(&mut self, names: impl IntoIterator<Item = N>) {
        self.private_headers = names.into_iter().map(Into::into).collect();
    }

    /// Sets what [`Self::with_downgrade`] does.
    pub fn set_downgrade(&mut self, allowed: bool) {
        self.downgrade = allowed;
    }

    /// Sets what [`Self::with_https_only`] does.
    pub fn set_https_only(&mut self, required: bool) {
        self.https_only = required;
    }

    /// Sets what [`Self::with_at_limit`] does.
    pub fn set_at_limit(&mut self, then: AtLimit) {
        self.at_limit = then;
    }

    /// Where this response leads, if anywhere.
    pub fn next(&self, from: &HopFrom<'_>, status: u16, response: &Headers) -> Next {
        // Not 300, 304 and 305: their Location is a choice, a validator's, or a proxy's (RFC 9110 section 15.4).
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Next::Stay(StayReason::NoRedirect);
        }
        // Of several, the first: it is the one that most servers and peers mean.
        let Some(location) = response.get("location") else {
            return Next::Stay(StayReason::NoLocation);
        };
        if !self.enabled || self.limit == 0 {
            return Next::Stay(StayReason::Never);
        }
        let followed = from.target.follow(location);
        let same = followed.as_ref().is_ok_and(|target| is_same(target, from.target));
        let location = || String::from_utf8_lossy(location).into_owned();
        if from.hops >= self.limit {
            return match self.at_limit {
                AtLimit::Deliver => Next::Stay(StayReason::Limit),
                AtLimit::Fail => Next::Refuse(Cause::TooManyRedirects {
                    limit: self.limit,
                    status,
                    location: location(),
                    same: same && from.same,
                }),
            };
        }
        let bad = |reason| Next::Refuse(Cause::BadRedirect { status, location: location(), reason });
        let target = match followed {
            Ok(target) => target,
            Err(reason) => return bad(reason),
        };
        if from.scope.is_some_and(|own| own != target.origin()) {
            return Next::Stay(StayReason::OtherOrigin);
        }
        match (from.target.origin().scheme(), target.origin().scheme()) {
            (_, Scheme::Http) if self.https_only => return bad(BadLocation::NotHttps),
            (Scheme::Https, Scheme::Http) if !self.downgrade => return bad(BadLocation::Downgrade),
            (Scheme::Http | Scheme::Https, Scheme::Http | Scheme::Https) => {}
        }
        let (method, drop_body) = rewrite(status, from.method);
        if from.body && !drop_body && !from.replayable {
            return Next::Stay(StayReason::Body);
        }
        let mut headers = from.headers.clone();
        if target.origin() != from.target.origin() {
            self.strip(&mut headers);
        }
        if drop_body {
            for name in OF_THE_BODY {
                headers.remove(name);
            }
        }
        Next::Follow(Box::new(Hop { method, target, drop_body, same, headers }))
    }

    /// Removes what does not cross to another origin.
    pub(crate) fn strip(&self, headers: &mut Headers) {
        for name in SECRETS.into_iter().chain(self.private_headers.iter().map(String::as_str)) {
            headers.remove(name);
        }
    }
}

/// The method of the hop, and whether the body is left behind.
fn rewrite(status: u16, method: &Method) -> (Method, bool) {
    match status {
        // RFC 9110 section 15.4.4: what the Location names is retrieved, whatever made it.
        303 if *method == Method::HEAD => (Method::HEAD, true),
        303 => (Method::GET, true),
        // RFC 9110 sections 15.4.2 and 15.4.3: allowed for historical reasons, for POST alone.
        301 | 302 if *method == Method::POST => (Method::GET, true),
        _ => (method.clone(), false),
    }
}

/// Whether both are asked for by the same request, since a fragment is not sent.
fn is_same(one: &Target, other: &Target) -> bool {
    one.origin() == other.origin() && one.path_with_query() == other.path_with_query()
}

/// The request that was answered with a redirect, and what its call allows.
#[derive(Clone, Copy, Debug)]
pub struct HopFrom<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Where it went.
    pub target: &'a Target,
    /// The headers it was sent with, credentials included.
    pub headers: &'a Headers,
    /// The only origin of the pool, when it has one.
    pub scope: Option<&'a Origin>,
    /// The hops of the call so far.
    pub hops: u32,
    /// Whether each of them led to the URL it came from; true before the first.
    pub same: bool,
    /// Whether it has a body.
    pub body: bool,
    /// Whether its body can be sent again, or nothing of it was read yet.
    pub replayable: bool,
}

/// What to do with a response, as far as redirects go.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Send this next.
    Follow(Box<Hop>),
    /// Nothing: the response is delivered, or judged as any other.
    Stay(StayReason),
    /// Fail the call.
    Refuse(Cause),
}

/// The request that follows a redirect.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub target: Target,
    /// Whether it leaves the body behind.
    pub drop_body: bool,
    /// Whether it goes to the URL it came from.
    pub same: bool,
    /// What crosses of the headers.
    ///
    /// The next hop starts from these, so what was dropped once does not come back (CVE-2024-45336).
    pub headers: Headers,
}

/// Why a response is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StayReason {
    /// Its status is no redirect.
    NoRedirect,
    /// It has no `Location`.
    NoLocation,
    /// The policy follows none.
    Never,
    /// The limit of hops is reached, and the policy delivers then.
    Limit,
    /// It leads to another origin than the pool's own.
    OtherOrigin,
    /// It asks for the body again, which cannot be sent again.
    Body,
}

impl fmt::Display for StayReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRedirect => "the status is no redirect",
            Self::NoLocation => "the redirect has no location",
            Self::Never => "the policy follows no redirect",
            Self::Limit => "the limit of hops is reached",
            Self::OtherOrigin => "the redirect leads to another origin than the pool's own",
            Self::Body => "the request body cannot be sent again",
        })
    }
}
