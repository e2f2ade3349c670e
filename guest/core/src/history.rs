//! What a call went through: one record per attempt that another followed.

use std::time::Duration;

use http::Method;

use crate::code::ErrorCode;
use crate::timeouts::Phase;

/// One attempt that another followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The method sent.
    pub method: Method,
    /// The URL asked for, without secrets.
    pub url: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why there was another.
    pub followed_by: FollowedBy,
    /// How long the client then waited before it began the next one.
    pub delay: Duration,
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered with this status.
    Answered(u16),
    /// A limit of [`crate::Timeouts`], or one that the host was given for it, passed in this phase.
    TimedOut(Phase),
    /// The host reported this failure.
    Failed(ErrorCode),
    /// The body of the response was cut, and the host did not say why.
    Interrupted,
}

/// What followed an attempt that was not the last of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowedBy {
    /// The same request again, by the retry policy.
    Retry,
    /// A hop to another URL, by the redirect policy.
    Redirect,
}
