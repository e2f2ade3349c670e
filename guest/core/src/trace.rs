//! What happened in a call, and when: for whoever asks where its time went.

use std::time::Duration;

/// One moment of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The time since the call began.
    pub after: Duration,
    /// The attempt it belongs to, counted from 1.
    pub attempt: u32,
    /// What happened.
    pub what: Milestone,
}

/// What happened at one moment of a call.
///
/// What begins ends: [`Self::Queued`] by [`Self::Granted`], [`Self::Sending`] by [`Self::FirstByte`], that by
/// [`Self::BodyEnd`], [`Self::Retried`] and [`Self::Redirected`] by the next [`Self::Queued`], and each of them by
/// [`Self::Failed`] instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// A slot was asked for.
    Queued,
    /// It was granted.
    Granted,
    /// The request was handed to the host.
    Sending,
    /// The host has accepted all of it, the body included; missing where the answer came before.
    Sent,
    /// The head of the response came, with this status.
    FirstByte(u16),
    /// The body of the response ended, or the client gave it up for another attempt.
    BodyEnd,
    /// The retry policy begins another attempt after this delay.
    Retried(Duration),
    /// The redirect policy begins another attempt after this delay.
    Redirected(Duration),
    /// The attempt failed, or the call, or the body of the response.
    Failed,
}

/// The marks of one call, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(Vec<Mark>);

impl Trace {
    /// No marks, and room for those of a call that goes well at once.
    pub(crate) fn begin() -> Self {
        Self(Vec::with_capacity(6))
    }

    /// Adds a mark. Each [`Milestone::Queued`] begins the next attempt.
    pub(crate) fn mark(&mut self, what: Milestone, after: Duration) {
        let before = self.0.last().map_or(0, |mark| mark.attempt);
        let attempt = if what == Milestone::Queued { before + 1 } else { before.max(1) };
        self.0.push(Mark { after, attempt, what });
    }

    /// The marks, in order.
    pub fn marks(&self) -> &[Mark] {
        &self.0
    }
}
