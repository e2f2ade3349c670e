//! The figures of a host, and the words for why connections are closed.

use std::collections::BTreeMap;
use std::time::Duration;

/// The figures of a [`Host`](crate::Host) at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that guests or native callers handed over, refused ones included.
    pub requests: u64,
    /// Connections established, TLS included, whichever version of HTTP they speak.
    pub opened: u64,
    /// Those of them that speak HTTP/1.1.
    pub opened_h1: u64,
    /// Those of them that speak HTTP/2.
    pub opened_h2: u64,
    /// Requests that went out on a connection that had served another before, or serves others at the same time.
    pub reused: u64,
    /// Requests that were sent a second time because a kept connection turned out dead, or the server refused them
    /// unprocessed.
    pub resent: u64,
    /// Connections closed instead of kept, by reason.
    ///
    /// The reasons: `answered-early`, `cancelled`, `closed-by-server`, `coding-and-length`, `connection-close`, `failed`,
    /// `goaway`, `http-1.0`, `idle-limit`, `idle-timeout`, `keep-alive-hint`, `max-age`, `max-uses`, `stale`, `timed-out`,
    /// `undrained`, `unready`, `until-close`.
    pub discarded: BTreeMap<&'static str, u64>,
    /// Idle connections closed to make room for one to another origin.
    pub evicted: u64,
    /// Connections kept open without a request now.
    pub idle: usize,
    /// Connections that are open or being opened now, idle ones included.
    pub live: usize,
    /// Requests that wait for a connection now.
    pub waiting: usize,
    /// Requests that had to wait for a connection to come free.
    pub waited: u64,
    /// How long they waited, together.
    pub wait_time: Duration,
    /// Bytes read from all sockets, those of TLS's records not counted.
    pub bytes_read: u64,
    /// Bytes written to all sockets, counted alike.
    pub bytes_written: u64,
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
    /// The server takes no more requests on it (HTTP/2's GOAWAY).
    GoAway,
    /// The server's Keep-Alive field let it be kept no longer.
    KeepAliveHint,
    /// It is too old.
    MaxAge,
    /// It has served as many requests as it may.
    MaxUses,
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
    /// Whether it says nothing against a connection that carries other requests as well.
    pub(crate) fn is_of_one_request(self) -> bool {
        match self {
            Self::AnsweredEarly | Self::Cancelled | Self::TimedOut | Self::Undrained => true,
            Self::ClosedByServer
            | Self::CodingAndLength
            | Self::Announced
            | Self::Evicted
            | Self::Failed
            | Self::GoAway
            | Self::KeepAliveHint
            | Self::MaxAge
            | Self::MaxUses
            | Self::Http10
            | Self::IdleLimit
            | Self::IdleTimeout
            | Self::Stale
            | Self::Unready
            | Self::Unbounded => false,
        }
    }

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
            Self::GoAway => "goaway",
            Self::KeepAliveHint => "keep-alive-hint",
            Self::MaxAge => "max-age",
            Self::MaxUses => "max-uses",
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
