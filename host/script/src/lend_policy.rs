//! From plain policies to resources of the component, which the caller lends and releases.

use crate::{
    bindings::exports::urlpool::client::policy,
    error::{self, Failure},
    policy::{AtLimit, Jitter, Redirect, RedirectRules, Retry, RetryRules, Timeouts},
    session::Session,
};
use std::time::Duration;
use wasmtime::component::ResourceAny;

/// The component's default delays, for when only one of the two is set: they have one setter.
const BACKOFF: Duration = Duration::from_millis(100);
const CEILING: Duration = Duration::from_secs(10);

impl Session {
    pub(crate) async fn lend_retry(&mut self, retry: Option<&Retry>) -> Result<Option<ResourceAny>, Failure> {
        let made = match retry {
            None => return Ok(None),
            Some(Retry::Never) => {
                let guest = self.client.urlpool_client_policy().retry();
                guest.call_never(&mut self.store).await
            }
            Some(Retry::Rules(rules)) => self.make_retry(rules).await,
        };
        self.settled(made).map(Some)
    }

    async fn make_retry(&mut self, rules: &RetryRules) -> wasmtime::Result<ResourceAny> {
        let guest = self.client.urlpool_client_policy().retry();
        let store = &mut self.store;
        let any = guest.call_constructor(&mut *store).await?;
        if let Some(limit) = rules.limit {
            guest.call_set_limit(&mut *store, any, limit).await?;
        }
        if let Some(limit) = rules.connect {
            guest.call_set_connect_limit(&mut *store, any, limit).await?;
        }
        if let Some(limit) = rules.read {
            guest.call_set_read_limit(&mut *store, any, limit).await?;
        }
        if let Some(limit) = rules.status {
            guest.call_set_status_limit(&mut *store, any, limit).await?;
        }
        if let Some(limit) = rules.other {
            guest.call_set_other_limit(&mut *store, any, limit).await?;
        }
        if let Some(methods) = &rules.methods {
            let methods = methods.as_ref();
            let methods = methods.map(|names| names.iter().map(|name| error::method(name)).collect());
            let methods: Option<Vec<_>> = methods;
            guest.call_set_methods(&mut *store, any, methods.as_deref()).await?;
        }
        if let Some(statuses) = &rules.statuses {
            guest.call_set_statuses(&mut *store, any, statuses).await?;
        }
        if rules.backoff.is_some() || rules.ceiling.is_some() {
            let base = nanos(rules.backoff.unwrap_or(BACKOFF));
            let ceiling = nanos(rules.ceiling.unwrap_or(CEILING));
            guest.call_set_backoff(&mut *store, any, base, ceiling).await?;
        }
        if let Some(jitter) = rules.jitter {
            let jitter = match jitter {
                Jitter::None => policy::Jitter::None,
                Jitter::Full => policy::Jitter::Full,
                Jitter::Decorrelated => policy::Jitter::Decorrelated,
                Jitter::Additive(extra) => policy::Jitter::Additive(nanos(extra.0)),
            };
            guest.call_set_jitter(&mut *store, any, jitter).await?;
        }
        if let Some(ceiling) = rules.retry_after {
            guest.call_set_retry_after(&mut *store, any, ceiling.map(nanos)).await?;
        }
        if let Some(then) = rules.at_limit {
            guest.call_set_at_limit(&mut *store, any, at_limit(then)).await?;
        }
        Ok(any)
    }

    pub(crate) async fn lend_redirect(&mut self, redirect: Option<&Redirect>) -> Result<Option<ResourceAny>, Failure> {
        let made = match redirect {
            None => return Ok(None),
            Some(Redirect::Never) => {
                let guest = self.client.urlpool_client_policy().redirect();
                guest.call_never(&mut self.store).await
            }
            Some(Redirect::Rules(rules)) => self.make_redirect(rules).await,
        };
        self.settled(made).map(Some)
    }

    async fn make_redirect(&mut self, rules: &RedirectRules) -> wasmtime::Result<ResourceAny> {
        let guest = self.client.urlpool_client_policy().redirect();
        let store = &mut self.store;
        let any = guest.call_constructor(&mut *store).await?;
        if let Some(limit) = rules.limit {
            guest.call_set_limit(&mut *store, any, limit).await?;
        }
        if let Some(names) = &rules.private_headers {
            guest.call_set_private_headers(&mut *store, any, names).await?;
        }
        if let Some(allowed) = rules.downgrade {
            guest.call_set_downgrade(&mut *store, any, allowed).await?;
        }
        if let Some(required) = rules.https_only {
            guest.call_set_https_only(&mut *store, any, required).await?;
        }
        if let Some(then) = rules.at_limit {
            guest.call_set_at_limit(&mut *store, any, at_limit(then)).await?;
        }
        Ok(any)
    }

    pub(crate) async fn lend_timeouts(&mut self, timeouts: Option<&Timeouts>) -> Result<Option<ResourceAny>, Failure> {
        let Some(timeouts) = timeouts else {
            return Ok(None);
        };
        let made = self.make_timeouts(timeouts).await;
        self.settled(made).map(Some)
    }

    async fn make_timeouts(&mut self, timeouts: &Timeouts) -> wasmtime::Result<ResourceAny> {
        let guest = self.client.urlpool_client_policy().timeouts();
        let store = &mut self.store;
        let any = guest.call_constructor(&mut *store).await?;
        if let Some(limit) = timeouts.slot {
            guest.call_set_slot(&mut *store, any, limit.map(nanos)).await?;
        }
        if let Some(limit) = timeouts.connect {
            guest.call_set_connect(&mut *store, any, limit.map(nanos)).await?;
        }
        if let Some(limit) = timeouts.write {
            guest.call_set_write(&mut *store, any, limit.map(nanos)).await?;
        }
        if let Some(limit) = timeouts.first_byte {
            guest.call_set_first_byte(&mut *store, any, limit.map(nanos)).await?;
        }
        if let Some(limit) = timeouts.between_bytes {
            guest.call_set_between_bytes(&mut *store, any, limit.map(nanos)).await?;
        }
        if let Some(limit) = timeouts.total {
            guest.call_set_total(&mut *store, any, limit.map(nanos)).await?;
        }
        Ok(any)
    }
}

fn at_limit(then: AtLimit) -> policy::AtLimit {
    match then {
        AtLimit::Fail => policy::AtLimit::Fail,
        AtLimit::Deliver => policy::AtLimit::Deliver,
    }
}

/// A duration as WASI counts it; what does not fit is longer than any run.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
