//! What happens to the connections of a host, told as it happens.

use crate::egress::Reason;
use crate::key::Key;
use crate::stats::Close;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Something that happened to a connection.
///
/// [`Stats`](crate::Stats) counts the same. None of it names a path, a query or a field, which may hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection was established, TLS included.
    Opened {
        /// Where it leads.
        origin: Origin<'a>,
        /// The version of HTTP that it speaks.
        version: http::Version,
        /// How long it took, from the name lookup on.
        took: Duration,
    },
    /// A connection could not be established.
    NotOpened {
        /// Where it was to lead.
        origin: Origin<'a>,
        /// How long it took to find out.
        took: Duration,
    },
    /// A request goes out on a connection that was open already.
    Reused {
        /// Where it leads.
        origin: Origin<'a>,
    },
    /// A request that had to wait for a connection, or for the quota of its guest, does so no longer.
    Waited {
        /// Where it goes.
        origin: Origin<'a>,
        /// How long it waited.
        time: Duration,
        /// Whether it got that.
        granted: bool,
    },
    /// A request is sent a second time, because a kept connection turned out dead, or the server refused it unprocessed.
    Resent {
        /// Where it goes.
        origin: Origin<'a>,
    },
    /// The [`Egress`](crate::Egress) policy keeps a request from where it wants to go.
    Denied {
        /// Where it wants to go.
        origin: Origin<'a>,
        /// The first of its addresses, all of which are denied; none when its name is, which is not looked up then.
        address: Option<IpAddr>,
        /// Why: `listed` by a deny rule, `not-listed` by any allow rule, or `not-public` as the preset for untrusted guests
        /// wants it.
        reason: &'static str,
    },
    /// A connection is closed.
    Closed {
        /// Where it led.
        origin: Origin<'a>,
        /// Why: `evicted`, or one of the reasons of [`Stats::discarded`](crate::Stats::discarded).
        reason: &'static str,
    },
}

/// Scheme, host and port of an [`Event`], and the tenant whose connection it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a>(&'a Key);

impl<'a> Origin<'a> {
    /// `https`, or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.0.tls { "https" } else { "http" }
    }

    /// The host, in lower case; an IPv6 address without its brackets.
    pub fn host(&self) -> &'a str {
        &self.0.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The name of the tenant, if there is one.
    pub fn tenant(&self) -> Option<&'a str> {
        self.0.way.tenant.as_deref()
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host();
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{host}{close}:{}", self.scheme(), self.port())
    }
}

impl fmt::Debug for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Is told of every [`Event`] of a host.
///
/// It is called by whatever task the event happens in, which waits for it; so it should count or pass on, and return. It may
/// ask the host for its figures.
pub trait Observe: Send + Sync {
    /// This happened.
    fn observe(&self, event: Event<'_>);
}

impl<F: Fn(Event<'_>) + Send + Sync> Observe for F {
    fn observe(&self, event: Event<'_>) {
        self(event);
    }
}

/// Tells events to `tracing`, and to the embedder's observer where there is one.
#[derive(Clone, Default)]
pub(crate) struct Events(pub(crate) Option<Arc<dyn Observe>>);

impl Events {
    pub(crate) fn opened(&self, key: &Key, version: http::Version, took: Duration) {
        tracing::debug!(origin = %Origin(key), ?version, ?took, "connection opened");
        self.tell(|| Event::Opened { origin: Origin(key), version, took });
    }

    pub(crate) fn not_opened(&self, key: &Key, took: Duration) {
        tracing::debug!(origin = %Origin(key), ?took, "connection not opened");
        self.tell(|| Event::NotOpened { origin: Origin(key), took });
    }

    pub(crate) fn reused(&self, key: &Key) {
        tracing::trace!(origin = %Origin(key), "connection reused");
        self.tell(|| Event::Reused { origin: Origin(key) });
    }

    pub(crate) fn waited(&self, key: &Key, time: Duration, granted: bool) {
        tracing::debug!(origin = %Origin(key), ?time, granted, "waited for a connection");
        self.tell(|| Event::Waited { origin: Origin(key), time, granted });
    }

    pub(crate) fn resent(&self, key: &Key) {
        tracing::debug!(origin = %Origin(key), "request sent again");
        self.tell(|| Event::Resent { origin: Origin(key) });
    }

    pub(crate) fn denied(&self, key: &Key, address: Option<IpAddr>, reason: Reason) {
        let reason = reason.word();
        tracing::debug!(origin = %Origin(key), ?address, reason, "egress denied");
        self.tell(|| Event::Denied { origin: Origin(key), address, reason });
    }

    pub(crate) fn closed(&self, key: &Key, reason: Close) {
        let reason = reason.reason();
        tracing::debug!(origin = %Origin(key), reason, "connection closed");
        self.tell(|| Event::Closed { origin: Origin(key), reason });
    }

    fn tell<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if let Some(observer) = &self.0 {
            observer.observe(event());
        }
    }
}
