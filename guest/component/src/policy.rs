//! The policies of the interface: builders over the values of core.

use std::cell::RefCell;

use wasip2::http::types::Method;

use crate::bindings::exports::urlpool::client::policy as wit;
use crate::{Client, convert};

/// A retry policy.
pub(crate) struct Retry(pub(crate) RefCell<urlpool_core::Retry>);

/// A redirect policy.
pub(crate) struct Redirect(pub(crate) RefCell<urlpool_core::Redirect>);

/// Limits of the phases.
pub(crate) struct Timeouts(pub(crate) RefCell<urlpool_core::Timeouts>);

impl wit::Guest for Client {
    type Retry = Retry;
    type Redirect = Redirect;
    type Timeouts = Timeouts;
}

impl wit::GuestRetry for Retry {
    fn new() -> Self {
        Self(RefCell::default())
    }

    fn never() -> wit::Retry {
        wit::Retry::new(Self(RefCell::new(urlpool_core::Retry::never())))
    }

    fn set_limit(&self, limit: Option<u32>) {
        self.0.borrow_mut().set_total(limit);
    }

    fn set_connect_limit(&self, limit: Option<u32>) {
        self.0.borrow_mut().set_connect(limit);
    }

    fn set_read_limit(&self, limit: Option<u32>) {
        self.0.borrow_mut().set_read(limit);
    }

    fn set_status_limit(&self, limit: Option<u32>) {
        self.0.borrow_mut().set_status(limit);
    }

    fn set_other_limit(&self, limit: Option<u32>) {
        self.0.borrow_mut().set_other(limit);
    }

    fn set_methods(&self, methods: Option<Vec<Method>>) {
        // No request can have a method that is malformed, so such a name matches nothing.
        let known = |method: Method| urlpool_core::request::method(convert::method_name(&method)).ok();
        self.0.borrow_mut().set_methods(methods.map(|methods| methods.into_iter().filter_map(known).collect()));
    }

    fn set_statuses(&self, statuses: Vec<u16>) {
        self.0.borrow_mut().set_statuses(statuses);
    }

    fn set_backoff(&self, base: u64, ceiling: u64) {
        self.0.borrow_mut().set_backoff(convert::duration(base), convert::duration(ceiling));
    }

    fn set_jitter(&self, jitter: wit::Jitter) {
        self.0.borrow_mut().set_jitter(convert::jitter(jitter));
    }

    fn set_retry_after(&self, ceiling: Option<u64>) {
        self.0.borrow_mut().set_retry_after(ceiling.map(convert::duration));
    }

    fn set_at_limit(&self, then: wit::AtLimit) {
        self.0.borrow_mut().set_at_limit(convert::at_limit(then));
    }
}

impl wit::GuestRedirect for Redirect {
    fn new() -> Self {
        Self(RefCell::default())
    }

    fn never() -> wit::Redirect {
        wit::Redirect::new(Self(RefCell::new(urlpool_core::Redirect::never())))
    }

    fn set_limit(&self, limit: u32) {
        self.0.borrow_mut().set_limit(limit);
    }

    fn set_private_headers(&self, names: Vec<String>) {
        self.0.borrow_mut().set_private_headers(names);
    }

    fn set_downgrade(&self, allowed: bool) {
        self.0.borrow_mut().set_downgrade(allowed);
    }

    fn set_https_only(&self, required: bool) {
        self.0.borrow_mut().set_https_only(required);
    }

    fn set_at_limit(&self, then: wit::AtLimit) {
        self.0.borrow_mut().set_at_limit(convert::at_limit(then));
    }
}

impl wit::GuestTimeouts for Timeouts {
    fn new() -> Self {
        Self(RefCell::default())
    }

    fn set_slot(&self, limit: Option<u64>) {
        self.0.borrow_mut().set_slot(limit.map(convert::duration));
    }

    fn set_connect(&self, limit: Option<u64>) {
        self.0.borrow_mut().set_connect(limit.map(convert::duration));
    }

    fn set_write(&self, limit: Option<u64>) {
        self.0.borrow_mut().set_write(limit.map(convert::duration));
    }

    fn set_first_byte(&self, limit: Option<u64>) {
        self.0.borrow_mut().set_first_byte(limit.map(convert::duration));
    }

    fn set_between_bytes(&self, limit: Option<u64>) {
        self.0.borrow_mut().set_between_bytes(limit.map(convert::duration));
    }

    fn set_total(&self, limit: Option<u64>) {
        self.0.borrow_mut().set_total(limit.map(convert::duration));
    }
}
