//! The figures of a host.

use crate::idle::Close;
use std::collections::BTreeMap;

/// The figures of a [`Host`](crate::Host) at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that guests or native callers handed over, refused ones included.
    pub requests: u64,
    /// Connections established, TLS included.
    pub opened: u64,
    /// Requests that went out on a connection that had served another before.
    pub reused: u64,
    /// Requests that were sent a second time because a kept connection turned out dead.
    pub resent: u64,
    /// Connections closed instead of kept, by reason.
    ///
    /// The reasons: `answered-early`, `cancelled`, `closed-by-server`, `coding-and-length`, `connection-close`, `failed`,
    /// `http-1.0`, `idle-limit`, `idle-timeout`, `stale`, `timed-out`, `undrained`, `unready`, `until-close`.
    pub discarded: BTreeMap<&'static str, u64>,
    /// Idle connections closed to make room for one to another origin.
    pub evicted: u64,
    /// Connections kept open without a request now.
    pub idle: usize,
    /// Connections that are open or being opened now, idle ones included.
    pub live: usize,
    /// Requests that wait for a connection now.
    pub waiting: usize,
}

impl Stats {
    pub(crate) fn closed(&mut self, close: Close) {
        match close {
            Close::Evicted => self.evicted += 1,
            other => *self.discarded.entry(other.reason()).or_default() += 1,
        }
    }
}
