//! Which limit is nearest, and what it is called.

use std::fmt;
use std::time::Duration;

use crate::clock::{Instant, Now};

/// How much later than this client's own timer the host may enforce the same limit.
///
/// A stock host reports a body that it timed out without any code. With this head start the
/// shell's own timer passes first and names the phase.
const GRACE: Duration = Duration::from_secs(1);

/// A part of a call that a timeout limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waiting for a slot of the origin.
    Slot,
    /// Resolving the name, connecting, and the TLS handshake.
    Connect,
    /// Sending the request body.
    Write,
    /// From the end of the request to the head of the response.
    FirstByte,
    /// Between two pieces of the response body.
    BetweenBytes,
    /// The whole call.
    Total,
}

/// The name of the case in WIT.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slot => "slot",
            Self::Connect => "connect",
            Self::Write => "write",
            Self::FirstByte => "first-byte",
            Self::BetweenBytes => "between-bytes",
            Self::Total => "total",
        })
    }
}

/// How long the phases of a call may take.
///
/// `None` means no limit of this client; the host's own limits still hold. Zero passes at once.
///
/// Unlike urllib3, the defaults are limits and not none, and the total covers the queue, all
/// attempts, hops and delays, because a caller who waits does not care which of them is slow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    slot: Option<Duration>,
    connect: Option<Duration>,
    write: Option<Duration>,
    first_byte: Option<Duration>,
    between_bytes: Option<Duration>,
    total: Option<Duration>,
}

/// 30 s for a slot, 10 s to connect, 60 s each to write, for the first byte and between bytes, none in total.
impl Default for Timeouts {
    fn default() -> Self {
        Self {
            slot: Some(Duration::from_secs(30)),
            connect: Some(Duration::from_secs(10)),
            write: Some(Duration::from_secs(60)),
            first_byte: Some(Duration::from_secs(60)),
            between_bytes: Some(Duration::from_secs(60)),
            total: None,
        }
    }
}

impl Timeouts {
    /// Limits the wait for a slot of the origin, per attempt. Default: 30 seconds.
    #[must_use]
    pub fn with_slot(mut self, limit: Option<Duration>) -> Self {
        self.set_slot(limit);
        self
    }

    /// Limits name resolution, connecting and the TLS handshake, per attempt. Default: 10 seconds.
    #[must_use]
    pub fn with_connect(mut self, limit: Option<Duration>) -> Self {
        self.set_connect(limit);
        self
    }

    /// Limits a pause in sending the request body, per attempt. Default: 60 seconds.
    #[must_use]
    pub fn with_write(mut self, limit: Option<Duration>) -> Self {
        self.set_write(limit);
        self
    }

    /// Limits the wait for the head of the response once the request has been handed over, per attempt. Default: 60 seconds.
    #[must_use]
    pub fn with_first_byte(mut self, limit: Option<Duration>) -> Self {
        self.set_first_byte(limit);
        self
    }

    /// Limits the pause between two pieces of the response body. Default: 60 seconds.
    #[must_use]
    pub fn with_between_bytes(mut self, limit: Option<Duration>) -> Self {
        self.set_between_bytes(limit);
        self
    }

    /// Limits the whole call: slots, attempts, hops, delays and reading the body to its end. Default: `None`.
    #[must_use]
    pub fn with_total(mut self, limit: Option<Duration>) -> Self {
        self.set_total(limit);
        self
    }

    /// Sets what [`Self::with_slot`] does.
    pub fn set_slot(&mut self, limit: Option<Duration>) {
        self.slot = limit;
    }

    /// Sets what [`Self::with_connect`] does.
    pub fn set_connect(&mut self, limit: Option<Duration>) {
        self.connect = limit;
    }

    /// Sets what [`Self::with_write`] does.
    pub fn set_write(&mut self, limit: Option<Duration>) {
        self.write = limit;
    }

    /// Sets what [`Self::with_first_byte`] does.
    pub fn set_first_byte(&mut self, limit: Option<Duration>) {
        self.first_byte = limit;
    }

    /// Sets what [`Self::with_between_bytes`] does.
    pub fn set_between_bytes(&mut self, limit: Option<Duration>) {
        self.between_bytes = limit;
    }

    /// Sets what [`Self::with_total`] does.
    pub fn set_total(&mut self, limit: Option<Duration>) {
        self.total = limit;
    }

    /// The limit of a phase.
    pub fn limit(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::Slot => self.slot,
            Phase::Connect => self.connect,
            Phase::Write => self.write,
            Phase::FirstByte => self.first_byte,
            Phase::BetweenBytes => self.between_bytes,
            Phase::Total => self.total,
        }
    }
}

/// A moment at which a phase is over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The moment.
    pub at: Instant,
    /// The phase.
    pub phase: Phase,
}

/// The time of one call: when it began, and when it has to be over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    timeouts: Timeouts,
    begun: Instant,
}

impl Clock {
    /// The clock of a call that begins now.
    pub fn begin(timeouts: &Timeouts, now: Now) -> Self {
        Self { timeouts: timeouts.clone(), begun: now.mono }
    }

    /// The limits of the call.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// How long the call has taken.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now.since(self.begun)
    }

    /// When the call has to be over.
    pub fn total(&self) -> Option<Instant> {
        self.timeouts.total.map(|limit| self.begun.after(limit))
    }

    /// What is left of the total limit; zero once it has passed.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.total().map(|total| total.since(now))
    }

    /// The deadline of the whole call.
    pub fn overall(&self) -> Option<Deadline> {
        self.total().map(|at| Deadline { at, phase: Phase::Total })
    }

    /// The deadline of a wait for a slot that was asked for at `asked`.
    pub fn slot(&self, asked: Instant) -> Option<Deadline> {
        self.nearest(Phase::Slot, self.timeouts.slot.map(|limit| asked.after(limit)))
    }

    /// The deadline of the next piece of a response body, the last of which came at `progress`.
    pub fn body(&self, progress: Instant) -> Option<Deadline> {
        self.nearest(Phase::BetweenBytes, self.timeouts.between_bytes.map(|limit| progress.after(limit)))
    }

    /// This moment, or the end of the call when that is nearer: for waits that are no phase, such as delays and drains.
    pub fn clip(&self, at: Instant) -> Instant {
        self.total().map_or(at, |total| at.min(total))
    }

    /// The clock of an attempt that is handed to the host now.
    pub fn attempt(&self, now: Instant) -> AttemptClock {
        AttemptClock { call: self.clone(), progress: now, taken: 0, proven: false, sent: false }
    }

    /// The nearer of this moment and the end of the call; the phase itself when they are one.
    fn nearest(&self, phase: Phase, at: Option<Instant>) -> Option<Deadline> {
        match (at, self.total()) {
            (Some(at), Some(total)) if total < at => Some(Deadline { at: total, phase: Phase::Total }),
            (Some(at), _) => Some(Deadline { at, phase }),
            (None, _) => self.overall(),
        }
    }
}

/// What no known host takes of a body before it has a connection: wasmtime holds back 2 MiB by default.
const HELD_BACK: u64 = 4 * 1024 * 1024;

/// The time of one attempt, from the moment it is handed to the host to the head of the response.
///
/// A guest does not see when the connection is made. So until something proves that it is, the
/// limit of the phase at hand is extended by the limit of connecting, and a failure to connect is
/// named by the host, which is given the exact limit in [`HostOptions`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptClock {
    call: Clock,
    progress: Instant,
    taken: u64,
    proven: bool,
    sent: bool,
}

impl AttemptClock {
    /// The host took so many bytes of the body: sending does not pause.
    ///
    /// A host takes some before it has a connection. More than any known one holds back proves that it has.
    pub fn accepted(&mut self, bytes: u64, now: Instant) {
        self.progress = now;
        self.taken = self.taken.saturating_add(bytes);
        self.proven |= self.taken > HELD_BACK;
    }

    /// The host took more of the body after it had no room: the connection is there, and it moves.
    ///
    /// Not to be told of what the host takes at once, which [`Self::accepted`] is for.
    pub fn wrote(&mut self, now: Instant) {
        self.progress = now;
        self.proven = true;
    }

    /// The whole request has been handed over; at once, when it has no body.
    pub fn sent(&mut self, now: Instant) {
        self.progress = now;
        self.sent = true;
    }

    /// Whether the whole request has been handed over.
    pub fn is_sent(&self) -> bool {
        self.sent
    }

    /// The deadline of the phase at hand: of writing until the request is sent, then of the first byte.
    ///
    /// A phase without a limit has no deadline but that of the call, whatever the limit of connecting.
    pub fn nearest(&self) -> Option<Deadline> {
        let phase = if self.sent { Phase::FirstByte } else { Phase::Write };
        let timeouts = &self.call.timeouts;
        let connect = if self.proven { None } else { timeouts.connect };
        let limit = timeouts.limit(phase).map(|limit| limit.saturating_add(connect.unwrap_or_default()));
        self.call.nearest(phase, limit.map(|limit| self.progress.after(limit)))
    }
}

/// The limits to tell the host, so that it frees its side as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// The limit of connecting.
    pub connect: Option<Duration>,
    /// The limit of the wait for the head.
    pub first_byte: Option<Duration>,
    /// The limit of a pause in the body.
    pub between_bytes: Option<Duration>,
}

impl AttemptClock {
    /// The limits for an attempt that is handed over now, `whole` when its body is empty or follows at once.
    ///
    /// - None is longer than what the total limit leaves, and a second.
    /// - The first byte is limited for whole requests only: hosts count it from the start of the
    ///   request, and a long upload would eat it.
    /// - None is zero, which hosts take for an error or for no limit.
    pub fn host_options(&self, now: Instant, whole: bool) -> HostOptions {
        let timeouts = &self.call.timeouts;
        let left = self.call.remaining(now).map(|left| left.saturating_add(GRACE));
        let cut = |limit: Option<Duration>| {
            let nearest = match (limit, left) {
                (Some(limit), Some(left)) => Some(limit.min(left)),
                (limit, left) => limit.or(left),
            };
            nearest.map(|limit| limit.max(Duration::from_nanos(1)))
        };
        HostOptions {
            connect: cut(timeouts.connect),
            first_byte: cut(timeouts.first_byte.filter(|_| whole)),
            between_bytes: cut(timeouts.between_bytes.map(|limit| limit.saturating_add(GRACE))),
        }
    }
}
