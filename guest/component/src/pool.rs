//! The pool of the interface: unwrap the handle, let the reactor do it, wrap the result.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use urlpool_core::slots::{Ticket, WhenFull};
use urlpool_core::target::Credentials;
use urlpool_core::{Cause, Entropy, Invalid, Policy, Slots, Target};
use wasip2::http::types::Method;
use wasip2::io::poll::Pollable;

use crate::bindings::exports::urlpool::client::{messages as wit_messages, policy as wit_policy, pool as wit};
use crate::drive;
use crate::messages::Request;
use crate::policy::{Redirect, Retry, Timeouts};
use crate::response::Response;
use crate::shared::{Figures, Shared};
use crate::{Client, clock, convert};

impl wit::Guest for Client {
    type Options = Options;
    type Pool = Pool;
    type Pending = Pending;
    type Stats = Stats;
}

/// The settings of a pool.
pub(crate) struct Options(RefCell<Settings>);

#[derive(Clone)]
struct Settings {
    policy: Policy,
    slots: Option<u32>,
    when_full: WhenFull,
    queue: Option<u32>,
    origins: u32,
    seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            slots: Some(urlpool_core::slots::DEFAULT_SLOTS),
            when_full: WhenFull::Queue,
            queue: None,
            origins: urlpool_core::slots::DEFAULT_ORIGINS,
            seed: None,
        }
    }
}

impl wit::GuestOptions for Options {
    fn new() -> Self {
        Self(RefCell::default())
    }

    fn set_slots(&self, slots: Option<u32>) {
        self.0.borrow_mut().slots = slots;
    }

    fn set_when_full(&self, then: wit::WhenFull) {
        self.0.borrow_mut().when_full = convert::when_full(then);
    }

    fn set_queue(&self, limit: Option<u32>) {
        self.0.borrow_mut().queue = limit;
    }

    fn set_origins(&self, limit: u32) {
        self.0.borrow_mut().origins = limit;
    }

    fn append_header(&self, name: String, value: String) -> Result<(), wit_messages::Error> {
        self.0.borrow_mut().policy.headers.append(&name, value.as_bytes()).map_err(convert::invalid)
    }

    fn remove_header(&self, name: String) {
        self.0.borrow_mut().policy.remove_header(&name);
    }

    fn basic_auth(&self, url: String, username: String, password: String) -> Result<(), wit_messages::Error> {
        self.0.borrow_mut().policy.keyring.set_basic(&url, &username, &password).map_err(convert::invalid)
    }

    fn bearer_auth(&self, url: String, token: String) -> Result<(), wit_messages::Error> {
        self.0.borrow_mut().policy.keyring.set_bearer(&url, &token).map_err(convert::invalid)
    }

    fn set_trace_context(&self, enabled: bool) {
        self.0.borrow_mut().policy.trace_context = enabled;
    }

    fn set_retry(&self, retry: wit_policy::RetryBorrow<'_>) {
        self.0.borrow_mut().policy.retry = retry.get::<Retry>().0.borrow().clone();
    }

    fn set_redirect(&self, redirect: wit_policy::RedirectBorrow<'_>) {
        self.0.borrow_mut().policy.redirect = redirect.get::<Redirect>().0.borrow().clone();
    }

    fn set_timeouts(&self, timeouts: wit_policy::TimeoutsBorrow<'_>) {
        self.0.borrow_mut().policy.timeouts = timeouts.get::<Timeouts>().0.borrow().clone();
    }

    fn set_decode(&self, decode: bool) {
        self.0.borrow_mut().policy.decode = decode;
    }

    fn set_preload(&self, limit: Option<u64>) {
        self.0.borrow_mut().policy.preload = limit;
    }

    fn set_seed(&self, seed: u64) {
        self.0.borrow_mut().seed = Some(seed);
    }

    fn set_max_body(&self, limit: Option<u64>) {
        self.0.borrow_mut().policy.max_body = limit;
    }

    fn set_max_ratio(&self, limit: Option<u32>) {
        self.0.borrow_mut().policy.max_ratio = limit;
    }
}

/// A pool.
pub(crate) struct Pool(Rc<Shared>);

impl Pool {
    fn open(options: Option<wit::OptionsBorrow<'_>>, base: Option<(Target, Option<Credentials>)>) -> Self {
        let mut settings =
            options.map_or_else(Settings::default, |options| options.get::<Options>().0.borrow().clone());
        if let Some((base, credentials)) = &base {
            settings.policy.bind(base, credentials.clone());
        }
        Self(Rc::new(Shared {
            slots: RefCell::new(
                Slots::new(settings.slots, settings.when_full, settings.origins).with_queue(settings.queue),
            ),
            entropy: RefCell::new(settings.seed.map_or_else(clock::entropy, Entropy::seeded)),
            policy: settings.policy,
            base: base.map(|(base, _)| base),
            seeded: settings.seed.is_some(),
            figures: Cell::new(Figures::default()),
            unfinished: RefCell::default(),
        }))
    }

    fn make_request(&self, method: &str, target: &str) -> Result<urlpool_core::Request, Invalid> {
        urlpool_core::Request::within(self.0.base.as_ref(), method, target)
    }

    fn start_all(&self, requests: Vec<wit_messages::Request>, whole: bool) -> Vec<Ticket> {
        let start = |request: wit_messages::Request| {
            let (request, sources) = request.into_inner::<Request>().open();
            drive::start(&self.0, request, sources, whole)
        };
        requests.into_iter().map(start).collect()
    }
}

impl wit::GuestPool for Pool {
    fn new(options: Option<wit::OptionsBorrow<'_>>) -> Self {
        Self::open(options, None)
    }

    fn from_url(url: String, options: Option<wit::OptionsBorrow<'_>>) -> Result<wit::Pool, wit_messages::Error> {
        let base = Target::parse(&url).map_err(convert::invalid)?;
        Ok(wit::Pool::new(Self::open(options, Some(base))))
    }

    fn request(&self, method: Method, target: String) -> Result<wit_messages::Request, wit_messages::Error> {
        let request = self.make_request(convert::method_name(&method), &target).map_err(convert::invalid)?;
        Ok(wit_messages::Request::new(Request::new(request)))
    }

    fn get(&self, url: String, fields: Vec<(String, String)>) -> Result<wit_messages::Response, wit_messages::Error> {
        let mut request = self.make_request("GET", &url).map_err(convert::invalid)?;
        for (name, value) in fields {
            request.append_query(&name, &value);
        }
        self.send(wit_messages::Request::new(Request::new(request)))
    }

    fn post(&self, url: String, form: wit_messages::Form) -> Result<wit_messages::Response, wit_messages::Error> {
        let request = Request::new(self.make_request("POST", &url).map_err(convert::invalid)?);
        request.set_open_form(form);
        self.send(wit_messages::Request::new(request))
    }

    fn send(&self, request: wit_messages::Request) -> Result<wit_messages::Response, wit_messages::Error> {
        finish(self.start_all(vec![request], false)[0])
    }

    fn send_all(
        &self,
        requests: Vec<wit_messages::Request>,
    ) -> Vec<Result<wit_messages::Response, wit_messages::Error>> {
        let tickets = self.start_all(requests, true);
        drive::wait_all(&tickets);
        tickets.into_iter().map(finish).collect()
    }

    fn start(&self, request: wit_messages::Request) -> wit::Pending {
        wit::Pending::new(Pending(self.start_all(vec![request], false)[0]))
    }

    fn wait(&self, pending: Vec<wit::PendingBorrow<'_>>, also: Vec<Pollable>) -> Vec<u32> {
        let tickets: Vec<Ticket> = pending.iter().map(|pending| pending.get::<Pending>().0).collect();
        drive::wait_any(&tickets, &also.iter().collect::<Vec<_>>())
    }

    fn close(&self) {
        drive::close(&self.0);
    }

    fn stats(&self) -> wit::Stats {
        let slots = self.0.slots.borrow();
        wit::Stats::new(Stats {
            figures: self.0.figures.get(),
            in_flight: slots.in_flight(),
            queued: slots.queued(),
            origins: slots.origins(),
        })
    }
}

/// A request being sent; dropping it cancels the exchange.
pub(crate) struct Pending(Ticket);

impl Drop for Pending {
    fn drop(&mut self) {
        drive::cancel(self.0);
    }
}

impl wit::GuestPending for Pending {
    fn advance(&self) -> bool {
        drive::advance(self.0)
    }

    fn history(&self) -> Vec<wit_messages::Attempt> {
        convert::history(&drive::history(self.0))
    }

    fn trace(&self) -> Vec<wit_messages::Mark> {
        convert::trace(&drive::trace(self.0))
    }

    fn subscribe(&self) -> Vec<Pollable> {
        drive::lend(self.0)
    }

    fn finish(this: wit::Pending) -> Result<wit_messages::Response, wit_messages::Error> {
        finish(this.into_inner::<Self>().0)
    }
}

/// Figures of a pool.
pub(crate) struct Stats {
    figures: Figures,
    in_flight: u32,
    queued: u32,
    origins: u32,
}

impl wit::GuestStats for Stats {
    fn requests(&self) -> u64 {
        self.figures.requests
    }

    fn attempts(&self) -> u64 {
        self.figures.attempts
    }

    fn retries(&self) -> u64 {
        self.figures.retries
    }

    fn redirects(&self) -> u64 {
        self.figures.redirects
    }

    fn in_flight(&self) -> u32 {
        self.in_flight
    }

    fn queued(&self) -> u32 {
        self.queued
    }

    fn origins(&self) -> u32 {
        self.origins
    }
}

/// Waits for an exchange and hands over what it came to.
fn finish(ticket: Ticket) -> Result<wit_messages::Response, wit_messages::Error> {
    drive::wait_all(&[ticket]);
    match drive::take(ticket) {
        Some(Ok(arrived)) => Ok(Response::wrap(arrived)),
        Some(Err(failed)) => {
            let (error, kept) = *failed;
            Err(convert::error_keeping(error, kept))
        }
        None => {
            let cause = Cause::Other("the response was handed over before".to_owned());
            Err(convert::error(urlpool_core::Error::new(cause)))
        }
    }
}
