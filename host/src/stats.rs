//! The figures of a host, and the words for why connections are closed.

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

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// The final response came while the request was still being sent.
    AnsweredEarly,
    /// Its request was given up.
    Cancelled,
    /// The server closed it while it was idle.
    ClosedByServer,
    /// The response had both a transfer coding and a length.
    CodingAndLength,
    /// The response said so.
    Announced,
    /// Its slot goes to another origin.
    Evicted,
    /// The request or the response failed on it.
    Failed,
    /// The server speaks HTTP/1.0.
    Http10,
    /// Enough idle connections of its origin are kept.
    IdleLimit,
    /// It was idle for too long.
    IdleTimeout,
    /// It died under a request that was sent again on another.
    Stale,
    /// The response took too long.
    TimedOut,
    /// The rest of a dropped body was too long, or took too long.
    Undrained,
    /// It was closed, or more bytes came, after the response and before it could be kept.
    Unready,
    /// The body ended with the connection.
    Unbounded,
}

impl Close {
    /// The word for it in the figures.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::AnsweredEarly => "answered-early",
            Self::Cancelled => "cancelled",
            Self::ClosedByServer => "closed-by-server",
            Self::CodingAndLength => "coding-and-length",
            Self::Announced => "connection-close",
            Self::Evicted => "evicted",
            Self::Failed => "failed",
            Self::Http10 => "http-1.0",
            Self::IdleLimit => "idle-limit",
            Self::IdleTimeout => "idle-timeout",
            Self::Stale => "stale",
            Self::TimedOut => "timed-out",
            Self::Undrained => "undrained",
            Self::Unready => "unready",
            Self::Unbounded => "until-close",
        }
    }
}
