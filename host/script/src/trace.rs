//! What happened in a call, and when, as plain values.

use crate::bindings::exports::urlpool::client::messages::{Mark as WitMark, Milestone};
use std::time::Duration;

/// One moment of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The time since the call began.
    pub after: Duration,
    /// The attempt it belongs to, counted from 1.
    pub attempt: u32,
    /// What happened, by its name in the WIT.
    pub what: String,
    /// The status, with `first-byte`.
    pub status: Option<u16>,
    /// How long the client then waited, with `retried` and `redirected`.
    pub delay: Option<Duration>,
}

impl From<WitMark> for Mark {
    fn from(mark: WitMark) -> Self {
        let (what, status, delay) = match mark.what {
            Milestone::Queued => ("queued", None, None),
            Milestone::Granted => ("granted", None, None),
            Milestone::Sending => ("sending", None, None),
            Milestone::Sent => ("sent", None, None),
            Milestone::FirstByte(status) => ("first-byte", Some(status), None),
            Milestone::BodyEnd => ("body-end", None, None),
            Milestone::Retried(delay) => ("retried", None, Some(Duration::from_nanos(delay))),
            Milestone::Redirected(delay) => ("redirected", None, Some(Duration::from_nanos(delay))),
            Milestone::Failed => ("failed", None, None),
            Milestone::Other(ref what) => (what.as_str(), None, None),
        };
        Self { after: Duration::from_nanos(mark.after), attempt: mark.attempt, what: what.to_owned(), status, delay }
    }
}
