//! Policies as plain values; what is not set is left to the client, whose defaults they name.

use std::time::Duration;

use http::Method;

use crate::convert;
use crate::wit::policy as wit;

/// When a request is sent again after a failure or a transient status.
///
/// An attempt that provably never reached the server may be repeated for any method. Once bytes may have been sent, only the
/// methods of [`with_methods`](Self::with_methods) are repeated, and requests with an `Idempotency-Key`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retry {
    never: bool,
    limit: Option<Option<u32>>,
    connect_limit: Option<Option<u32>>,
    read_limit: Option<Option<u32>>,
    status_limit: Option<Option<u32>>,
    other_limit: Option<Option<u32>>,
    methods: Option<Option<Vec<Method>>>,
    statuses: Option<Vec<u16>>,
    backoff: Option<(Duration, Duration)>,
    jitter: Option<Jitter>,
    retry_after: Option<Option<Duration>>,
    at_limit: Option<AtLimit>,
}

impl Retry {
    /// Never sends a request twice.
    pub fn never() -> Self {
        Self { never: true, ..Self::default() }
    }

    /// Limits the retries of one call, whatever their cause; `None` leaves only the limits per cause. Default: 3.
    #[must_use]
    pub fn with_limit(self, limit: impl Into<Option<u32>>) -> Self {
        Self { limit: Some(limit.into()), ..self }
    }

    /// Limits the retries of attempts that never reached the server; `None`, the default, leaves only the total.
    #[must_use]
    pub fn with_connect_limit(self, limit: impl Into<Option<u32>>) -> Self {
        Self { connect_limit: Some(limit.into()), ..self }
    }

    /// Limits the retries of attempts that failed after bytes may have been sent; `None`, the default, leaves only the total.
    #[must_use]
    pub fn with_read_limit(self, limit: impl Into<Option<u32>>) -> Self {
        Self { read_limit: Some(limit.into()), ..self }
    }

    /// Limits the retries caused by a status; `None`, the default, leaves only the total.
    #[must_use]
    pub fn with_status_limit(self, limit: impl Into<Option<u32>>) -> Self {
        Self { status_limit: Some(limit.into()), ..self }
    }

    /// Limits the retries of every other cause; `None`, the default, leaves only the total.
    #[must_use]
    pub fn with_other_limit(self, limit: impl Into<Option<u32>>) -> Self {
        Self { other_limit: Some(limit.into()), ..self }
    }

    /// Names the methods that may be repeated once bytes may have been sent.
    ///
    /// Default: GET, HEAD, OPTIONS, TRACE, PUT, DELETE and QUERY.
    #[must_use]
    pub fn with_methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        Self { methods: Some(Some(methods.into_iter().collect())), ..self }
    }

    /// Lets every method be repeated, also once bytes may have been sent.
    #[must_use]
    pub fn with_any_method(self) -> Self {
        Self { methods: Some(None), ..self }
    }

    /// Names the statuses that are worth another attempt. Default: none, but 413, 429 and 503 with `Retry-After`.
    #[must_use]
    pub fn with_statuses(self, statuses: impl IntoIterator<Item = u16>) -> Self {
        Self { statuses: Some(statuses.into_iter().collect()), ..self }
    }

    /// Sets the delay that doubles: retry n waits `base * 2^(n-1)`, never more than `ceiling`, but the first does not wait.
    ///
    /// Default: a tenth of a second, and ten seconds.
    #[must_use]
    pub fn with_backoff(self, base: Duration, ceiling: Duration) -> Self {
        Self { backoff: Some((base, ceiling)), ..self }
    }

    /// Chooses how each delay that is not zero is spread. Default: [`Jitter::Full`].
    #[must_use]
    pub fn with_jitter(self, jitter: Jitter) -> Self {
        Self { jitter: Some(jitter), ..self }
    }

    /// Honours `Retry-After` of up to this long; `None` ignores the header. Default: one minute.
    #[must_use]
    pub fn with_retry_after(self, ceiling: impl Into<Option<Duration>>) -> Self {
        Self { retry_after: Some(ceiling.into()), ..self }
    }

    /// Chooses what a call answers when a status is worth another attempt but a limit is reached. Default: [`AtLimit::Deliver`].
    #[must_use]
    pub fn with_at_limit(self, then: AtLimit) -> Self {
        Self { at_limit: Some(then), ..self }
    }

    pub(crate) fn lower(&self) -> wit::Retry {
        let retry = if self.never { wit::Retry::never() } else { wit::Retry::new() };
        if let Some(limit) = self.limit {
            retry.set_limit(limit);
        }
        if let Some(limit) = self.connect_limit {
            retry.set_connect_limit(limit);
        }
        if let Some(limit) = self.read_limit {
            retry.set_read_limit(limit);
        }
        if let Some(limit) = self.status_limit {
            retry.set_status_limit(limit);
        }
        if let Some(limit) = self.other_limit {
            retry.set_other_limit(limit);
        }
        if let Some(methods) = &self.methods {
            let methods: Option<Vec<_>> = methods.as_ref().map(|methods| methods.iter().map(convert::method).collect());
            retry.set_methods(methods.as_deref());
        }
        if let Some(statuses) = &self.statuses {
            retry.set_statuses(statuses);
        }
        if let Some((base, ceiling)) = self.backoff {
            retry.set_backoff(convert::nanoseconds(base), convert::nanoseconds(ceiling));
        }
        if let Some(jitter) = self.jitter {
            retry.set_jitter(jitter.lower());
        }
        if let Some(ceiling) = self.retry_after {
            retry.set_retry_after(ceiling.map(convert::nanoseconds));
        }
        if let Some(then) = self.at_limit {
            retry.set_at_limit(then.lower());
        }
        retry
    }
}

/// How a delay is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Not at all.
    None,
    /// By a random extra of up to this much.
    Additive(Duration),
    /// Evenly between zero and the delay.
    Full,
    /// Evenly between the base and three times the delay before.
    Decorrelated,
}

impl Jitter {
    fn lower(self) -> wit::Jitter {
        match self {
            Self::None => wit::Jitter::None,
            Self::Additive(extra) => wit::Jitter::Additive(convert::nanoseconds(extra)),
            Self::Full => wit::Jitter::Full,
            Self::Decorrelated => wit::Jitter::Decorrelated,
        }
    }
}

/// What a call answers when a policy wants to go on but its limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLimit {
    /// The call fails with the error that names the limit.
    Fail,
    /// The call delivers the response it has. Where there is none, it fails.
    Deliver,
}

impl AtLimit {
    fn lower(self) -> wit::AtLimit {
        match self {
            Self::Fail => wit::AtLimit::Fail,
            Self::Deliver => wit::AtLimit::Deliver,
        }
    }
}

/// Whether and how a response of 301, 302, 303, 307 or 308 is followed.
///
/// `Authorization`, `Cookie` and `Proxy-Authorization` never cross to another origin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Redirect {
    never: bool,
    limit: Option<u32>,
    private_headers: Option<Vec<String>>,
    downgrade: Option<bool>,
    https_only: Option<bool>,
    at_limit: Option<AtLimit>,
}

impl Redirect {
    /// Delivers a redirect as the response it is.
    pub fn never() -> Self {
        Self { never: true, ..Self::default() }
    }

    /// Limits the hops of one call; 0 delivers a redirect as the response it is. Default: 10.
    #[must_use]
    pub fn with_limit(self, limit: u32) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Names further headers that do not cross to another origin. Default: none but the three that never do.
    #[must_use]
    pub fn with_private_headers(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { private_headers: Some(names.into_iter().map(Into::into).collect()), ..self }
    }

    /// Allows a hop from https to http. Default: true.
    #[must_use]
    pub fn with_downgrade(self, allowed: bool) -> Self {
        Self { downgrade: Some(allowed), ..self }
    }

    /// Refuses every hop whose target is not https. Default: false.
    #[must_use]
    pub fn with_https_only(self, required: bool) -> Self {
        Self { https_only: Some(required), ..self }
    }

    /// Chooses what a call answers when the limit of hops is reached. Default: [`AtLimit::Fail`].
    #[must_use]
    pub fn with_at_limit(self, then: AtLimit) -> Self {
        Self { at_limit: Some(then), ..self }
    }

    pub(crate) fn lower(&self) -> wit::Redirect {
        let redirect = if self.never { wit::Redirect::never() } else { wit::Redirect::new() };
        if let Some(limit) = self.limit {
            redirect.set_limit(limit);
        }
        if let Some(names) = &self.private_headers {
            redirect.set_private_headers(names);
        }
        if let Some(allowed) = self.downgrade {
            redirect.set_downgrade(allowed);
        }
        if let Some(required) = self.https_only {
            redirect.set_https_only(required);
        }
        if let Some(then) = self.at_limit {
            redirect.set_at_limit(then.lower());
        }
        redirect
    }
}

/// How long the phases of a call may take; `None` means no limit of the client, while the host's own still hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeouts {
    slot: Option<Option<Duration>>,
    connect: Option<Option<Duration>>,
    write: Option<Option<Duration>>,
    first_byte: Option<Option<Duration>>,
    between_bytes: Option<Option<Duration>>,
    total: Option<Option<Duration>>,
}

impl Timeouts {
    /// Limits the wait for a slot of the origin, per attempt. Default: 30 seconds.
    #[must_use]
    pub fn with_slot(self, limit: impl Into<Option<Duration>>) -> Self {
        Self { slot: Some(limit.into()), ..self }
    }

    /// Limits name resolution, connecting and the TLS handshake, per attempt. Default: 10 seconds.
    #[must_use]
    pub fn with_connect(self, limit: impl Into<Option<Duration>>) -> Self {
        Self { connect: Some(limit.into()), ..self }
    }

    /// Limits a pause in sending the request body, per attempt. Default: 60 seconds.
    #[must_use]
    pub fn with_write(self, limit: impl Into<Option<Duration>>) -> Self {
        Self { write: Some(limit.into()), ..self }
    }

    /// Limits the wait for the head of the response once the request has been sent, per attempt. Default: 60 seconds.
    #[must_use]
    pub fn with_first_byte(self, limit: impl Into<Option<Duration>>) -> Self {
        Self { first_byte: Some(limit.into()), ..self }
    }

    /// Limits the pause between two pieces of the response body. Default: 60 seconds.
    #[must_use]
    pub fn with_between_bytes(self, limit: impl Into<Option<Duration>>) -> Self {
        Self { between_bytes: Some(limit.into()), ..self }
    }

    /// Limits the whole call: slots, attempts, hops, delays and reading the body to its end. Default: `None`.
    #[must_use]
    pub fn with_total(self, limit: impl Into<Option<Duration>>) -> Self {
        Self { total: Some(limit.into()), ..self }
    }

    pub(crate) fn lower(&self) -> wit::Timeouts {
        let timeouts = wit::Timeouts::new();
        if let Some(limit) = self.slot {
            timeouts.set_slot(limit.map(convert::nanoseconds));
        }
        if let Some(limit) = self.connect {
            timeouts.set_connect(limit.map(convert::nanoseconds));
        }
        if let Some(limit) = self.write {
            timeouts.set_write(limit.map(convert::nanoseconds));
        }
        if let Some(limit) = self.first_byte {
            timeouts.set_first_byte(limit.map(convert::nanoseconds));
        }
        if let Some(limit) = self.between_bytes {
            timeouts.set_between_bytes(limit.map(convert::nanoseconds));
        }
        if let Some(limit) = self.total {
            timeouts.set_total(limit.map(convert::nanoseconds));
        }
        timeouts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_value_that_can_be_changed_from_another() {
        let base = Retry::default().with_limit(5).with_statuses([502]);
        let other = base.clone().with_statuses([502, 503]);
        assert_ne!(base, other);
        assert_eq!(base, Retry::default().with_statuses([502]).with_limit(5));
    }

    #[test]
    fn what_is_not_set_is_not_the_same_as_none() {
        assert_ne!(Timeouts::default(), Timeouts::default().with_total(None));
        assert_ne!(Retry::default(), Retry::never());
    }
}
