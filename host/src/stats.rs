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
    /// Requests that wait for a connection, or for the quota of their guest, now.
    pub waiting: usize,
    /// How often a request had to wait for a connection to come free, or for the quota of its guest.
    pub waited: u64,
    /// How long they waited, together.
    pub wait_time: Duration,
    /// Bytes read from all sockets, those of TLS's records not counted.
    pub bytes_read: u64,
    /// Bytes written to all sockets, counted alike.
    pub bytes_written: u64,
}

impl Stats {
    /// The figures in the text format of Prometheus, each with its help and type.
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        let mut counter =
            |name: &str, help: &str, values: &[(String, f64)]| write_metric(&mut text, name, help, values);
        let one = |value: u64| [(String::new(), value as f64)];
        counter("requests_total", "Requests handed over, refused ones included.", &one(self.requests));
        counter(
            "connections_opened_total",
            "Connections established.",
            &[("version=\"1.1\"".into(), self.opened_h1 as f64), ("version=\"2\"".into(), self.opened_h2 as f64)],
        );
        counter("requests_reused_total", "Requests sent on a connection that was open already.", &one(self.reused));
        counter("requests_resent_total", "Requests sent again unseen.", &one(self.resent));
        let mut closed: Vec<_> = vec![("reason=\"evicted\"".to_owned(), self.evicted as f64)];
        closed.extend(self.discarded.iter().map(|(reason, count)| (format!("reason=\"{reason}\""), *count as f64)));
        counter("connections_closed_total", "Connections closed, by reason.", &closed);
        counter("waits_total", "How often a request had to wait for a connection or a quota.", &one(self.waited));
        counter("wait_seconds_total", "How long they waited.", &[(String::new(), self.wait_time.as_secs_f64())]);
        counter("read_bytes_total", "Bytes read from connections.", &one(self.bytes_read));
        counter("written_bytes_total", "Bytes written to connections.", &one(self.bytes_written));
        counter("connections_idle", "Connections without a request.", &one(self.idle as u64));
        counter("connections_live", "Connections open or being opened.", &one(self.live as u64));
        counter("requests_waiting", "Requests that wait for a connection or a quota.", &one(self.waiting as u64));
        text
    }

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

/// One metric with all its values. By the convention for names, those that end in `_total` are counters.
fn write_metric(text: &mut String, name: &str, help: &str, values: &[(String, f64)]) {
    let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
    text.push_str(&format!("# HELP urlpool_{name} {help}\n# TYPE urlpool_{name} {kind}\n"));
    for (labels, value) in values {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        text.push_str(&format!("urlpool_{name}{labels} {value}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_written_for_prometheus() {
        let stats = Stats {
            opened: 3,
            opened_h1: 2,
            opened_h2: 1,
            idle: 1,
            wait_time: Duration::from_millis(1_500),
            discarded: [("idle-timeout", 2)].into(),
            ..Stats::default()
        };
        let text = stats.prometheus();
        for line in [
            "# TYPE urlpool_connections_opened_total counter",
            "urlpool_connections_opened_total{version=\"1.1\"} 2",
            "urlpool_connections_opened_total{version=\"2\"} 1",
            "urlpool_connections_closed_total{reason=\"idle-timeout\"} 2",
            "urlpool_wait_seconds_total 1.5",
            "# TYPE urlpool_connections_idle gauge",
            "urlpool_connections_idle 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}: {text}");
        }
        // Each has its help and type before its values, and no name stands twice.
        let types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let helps = text.lines().filter(|line| line.starts_with("# HELP")).count();
        let distinct: std::collections::BTreeSet<_> = types.iter().collect();
        assert_eq!((types.len(), types.len()), (helps, distinct.len()));
    }
}
