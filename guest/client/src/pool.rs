//! The pool: settings, requests, and many of them at a time.
//!
//! Longer than 400 lines, since builder, pool and pending request stand beside each other, with an example at each method.

use std::fmt;
use std::rc::Rc;

use http::{HeaderName, HeaderValue, Method};
use wasip2::http::types::IncomingBody;

use crate::body::Body;
use crate::error::Error;
use crate::pending::{Completed, Pending};
use crate::policy::{Redirect, Retry, Timeouts};
use crate::request::{self, RequestBuilder};
use crate::response::Response;
use crate::wit::pool as wit;

/// Sends requests, many at a time, and follows its policies for each. Clones are the same pool.
///
/// It owns slots: permits to have one request in flight to an origin, which is a scheme, a host and a port. Connections are the
/// host's; what a slot saves there, the host reuses. Calls that block keep every exchange of the component moving.
#[derive(Clone)]
pub struct Pool(Rc<wit::Pool>);

impl Pool {
    /// A pool with the default settings.
    pub fn new() -> Self {
        Self(Rc::new(wit::Pool::new(None)))
    }

    /// A pool for one origin: targets may be relative to `url`, and any other origin is refused.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) unless `url` is an absolute http or https URL.
    pub fn at(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder().at(url.as_ref()).build()
    }

    /// Settings to make a pool from.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A GET of this URL.
    pub fn get(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A HEAD of this URL.
    pub fn head(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// A POST to this URL.
    pub fn post(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// A PUT to this URL.
    pub fn put(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// A PATCH of this URL.
    pub fn patch(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// A DELETE of this URL.
    pub fn delete(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// A request of this method.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> RequestBuilder {
        RequestBuilder::new(self, &method, url.as_ref())
    }

    /// A request of the `http` crate: its method, URI, headers and body.
    pub fn prepare(&self, request: http::Request<impl Into<Body>>) -> RequestBuilder {
        let (head, body) = request.into_parts();
        let prepared = self.request(head.method, head.uri.to_string()).headers(&head.headers);
        let body = body.into();
        // A GET with an empty body is one without any.
        if body.is_empty() { prepared } else { prepared.body(body) }
    }

    /// Sends requests side by side and answers in their order, with whole bodies; one that fails does not stop the others.
    ///
    /// Requests wait for slots here, so there may be many more than are in flight. Those of other pools are sent by this one.
    pub fn send_all(&self, requests: impl IntoIterator<Item = RequestBuilder>) -> Vec<Result<Response, Error>> {
        let mut parents: Vec<IncomingBody> = Vec::new();
        let mut sent = Vec::new();
        // What cannot be sent keeps its place among the answers.
        let places: Vec<Result<(), Error>> = requests
            .into_iter()
            .map(|request| {
                let (open, borrowed_from) = request.open();
                parents.extend(borrowed_from);
                sent.push(open?);
                Ok(())
            })
            .collect();
        let mut answers = self.0.send_all(sent).into_iter();
        places
            .into_iter()
            .map(|place| {
                place?;
                let answer = answers.next().expect("there is one for each request that was sent");
                Response::wrap(answer?)
            })
            .collect()
    }

    /// Waits for the first of these to finish, then for the next: their places among those given, and what they came to.
    pub fn as_completed(&self, pending: impl IntoIterator<Item = Pending>) -> Completed {
        Completed::new(pending)
    }

    /// Closes the pool and its clones: what waits for a slot fails with [`Closed`](crate::ErrorKind::Closed), and so does every
    /// later call; responses stay readable. Closing twice is no error.
    pub fn close(&self) {
        self.0.close();
    }

    /// The figures so far.
    pub fn stats(&self) -> Stats {
        let stats = self.0.stats();
        Stats {
            requests: stats.requests(),
            attempts: stats.attempts(),
            retries: stats.retries(),
            redirects: stats.redirects(),
            in_flight: stats.in_flight(),
            queued: stats.queued(),
            origins: stats.origins(),
        }
    }

    pub(crate) fn raw(&self) -> &wit::Pool {
        &self.0
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// The settings of a pool, until it is built.
#[derive(Debug, Default)]
#[must_use = "settings do nothing until the pool is built"]
pub struct Builder {
    at: Option<String>,
    slots: Option<Option<u32>>,
    when_full: Option<WhenFull>,
    origins: Option<u32>,
    headers: Vec<Result<(HeaderName, HeaderValue), Error>>,
    without_headers: Vec<String>,
    credentials: Vec<Credentials>,
    queue: Option<Option<u32>>,
    trace_context: Option<bool>,
    retry: Option<Retry>,
    redirect: Option<Redirect>,
    timeouts: Option<Timeouts>,
    decode: Option<bool>,
    preload: Option<Option<u64>>,
    seed: Option<u64>,
    max_body: Option<Option<u64>>,
    max_ratio: Option<Option<u32>>,
}

impl Builder {
    /// Makes it a pool for one origin: targets may be relative to `url`, and any other origin is refused.
    pub fn at(self, url: impl Into<String>) -> Self {
        Self { at: Some(url.into()), ..self }
    }

    /// Limits the requests in flight to one origin; `None` removes the limit. Default: 8.
    pub fn slots(self, slots: impl Into<Option<u32>>) -> Self {
        Self { slots: Some(slots.into()), ..self }
    }

    /// Chooses what happens when all slots of an origin are taken. Default: [`WhenFull::Queue`].
    pub fn when_full(self, then: WhenFull) -> Self {
        Self { when_full: Some(then), ..self }
    }

    /// Limits the requests that wait for a slot, over all origins; one more fails with
    /// [`PoolExhausted`](crate::ErrorKind::PoolExhausted). `None`, the default, is no limit.
    pub fn queue(self, limit: impl Into<Option<u32>>) -> Self {
        Self { queue: Some(limit.into()), ..self }
    }

    /// Limits the origins that are remembered; the one used least recently is forgotten first. Default: 32.
    pub fn origins(self, limit: u32) -> Self {
        Self { origins: Some(limit), ..self }
    }

    /// Appends a header for each request that does not have that header itself.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: std::error::Error + Send + Sync + 'static>,
        V: TryInto<HeaderValue, Error: std::error::Error + Send + Sync + 'static>,
    {
        self.headers.push(request::header(name, value));
        self
    }

    /// Sends no header of this name by default, not even the client's own.
    pub fn without_header(mut self, name: impl Into<String>) -> Self {
        self.without_headers.push(name.into());
        self
    }

    /// Sends basic credentials with each request to the origin of `url` that has no `Authorization` of its own, hops included.
    ///
    /// They go nowhere else, and replace those set for that origin before.
    pub fn basic_auth(
        mut self,
        url: impl Into<String>,
        username: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        let credentials = Credentials::Basic { url: url.into(), username: username.into(), password: password.into() };
        self.credentials.push(credentials);
        self
    }

    /// Sends a bearer token as [`basic_auth`](Self::basic_auth) sends credentials.
    pub fn bearer_auth(mut self, url: impl Into<String>, token: impl Into<String>) -> Self {
        self.credentials.push(Credentials::Bearer { url: url.into(), token: token.into() });
        self
    }

    /// Makes each attempt a span of its own in the trace that the `traceparent` of its request names, or in a new one.
    ///
    /// As W3C Trace Context asks of whoever takes part in a trace. Default: false.
    pub fn trace_context(self, enabled: bool) -> Self {
        Self { trace_context: Some(enabled), ..self }
    }

    /// Sets the retry policy. Default: that of [`Retry`].
    pub fn retry(self, retry: Retry) -> Self {
        Self { retry: Some(retry), ..self }
    }

    /// Sets the redirect policy. Default: that of [`Redirect`].
    pub fn redirect(self, redirect: Redirect) -> Self {
        Self { redirect: Some(redirect), ..self }
    }

    /// Sets the timeouts. Default: those of [`Timeouts`].
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts: Some(timeouts), ..self }
    }

    /// Chooses whether gzip, deflate, br and zstd are asked for and undone. Default: true.
    pub fn decode(self, decode: bool) -> Self {
        Self { decode: Some(decode), ..self }
    }

    /// Collects each decoded body up to this many bytes before its response is delivered; `None` delivers at the head.
    ///
    /// Default: 8 MiB.
    pub fn preload(self, limit: impl Into<Option<u64>>) -> Self {
        Self { preload: Some(limit.into()), ..self }
    }

    /// Fixes what is otherwise drawn at random, jitter and boundaries, so that runs can be repeated.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Limits the decoded bytes of each response body; `None`, the default, is no limit.
    pub fn max_body(self, limit: impl Into<Option<u64>>) -> Self {
        Self { max_body: Some(limit.into()), ..self }
    }

    /// Limits how many times larger than its encoded form a body may get by decoding; `None` removes the limit. Default: 200.
    pub fn max_ratio(self, limit: impl Into<Option<u32>>) -> Self {
        Self { max_ratio: Some(limit.into()), ..self }
    }

    /// Makes the pool.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) when a header cannot be one, or only the host may set it, when
    /// credentials cannot be sent, and for a URL that is not an absolute one of http or https.
    pub fn build(self) -> Result<Pool, Error> {
        let options = wit::Options::new();
        if let Some(slots) = self.slots {
            options.set_slots(slots);
        }
        if let Some(then) = self.when_full {
            options.set_when_full(then.lower());
        }
        if let Some(limit) = self.origins {
            options.set_origins(limit);
        }
        for name in &self.without_headers {
            options.remove_header(name);
        }
        for header in self.headers {
            let (name, value) = header?;
            // Text only here, as it is people who write defaults.
            let value = String::from_utf8_lossy(value.as_bytes());
            options.append_header(name.as_str(), &value)?;
        }
        for credentials in self.credentials {
            match credentials {
                Credentials::Basic { url, username, password } => options.basic_auth(&url, &username, &password)?,
                Credentials::Bearer { url, token } => options.bearer_auth(&url, &token)?,
            }
        }
        if let Some(limit) = self.queue {
            options.set_queue(limit);
        }
        if let Some(enabled) = self.trace_context {
            options.set_trace_context(enabled);
        }
        if let Some(retry) = self.retry {
            options.set_retry(&retry.lower());
        }
        if let Some(redirect) = self.redirect {
            options.set_redirect(&redirect.lower());
        }
        if let Some(timeouts) = self.timeouts {
            options.set_timeouts(&timeouts.lower());
        }
        if let Some(decode) = self.decode {
            options.set_decode(decode);
        }
        if let Some(limit) = self.preload {
            options.set_preload(limit);
        }
        if let Some(seed) = self.seed {
            options.set_seed(seed);
        }
        if let Some(limit) = self.max_body {
            options.set_max_body(limit);
        }
        if let Some(limit) = self.max_ratio {
            options.set_max_ratio(limit);
        }
        let pool = match &self.at {
            Some(url) => wit::Pool::from_url(url, Some(&options))?,
            None => wit::Pool::new(Some(&options)),
        };
        Ok(Pool(Rc::new(pool)))
    }
}

/// Credentials for the origin of a URL.
enum Credentials {
    Basic { url: String, username: String, password: String },
    Bearer { url: String, token: String },
}

/// Without the secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => write!(f, "Basic({username})"),
            Self::Bearer { .. } => f.write_str("Bearer"),
        }
    }
}

/// What happens to a request when all slots of its origin are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits its turn, up to the slot timeout.
    Queue,
    /// It fails with [`PoolExhausted`](crate::ErrorKind::PoolExhausted).
    Refuse,
}

impl WhenFull {
    fn lower(self) -> wit::WhenFull {
        match self {
            Self::Queue => wit::WhenFull::Queue,
            Self::Refuse => wit::WhenFull::Refuse,
        }
    }
}

/// Figures of a pool at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls begun.
    pub requests: u64,
    /// Requests handed to the host, retries and hops included.
    pub attempts: u64,
    /// Attempts that the retry policy caused.
    pub retries: u64,
    /// Attempts that the redirect policy caused.
    pub redirects: u64,
    /// Slots taken now.
    pub in_flight: u32,
    /// Exchanges waiting for a slot now.
    pub queued: u32,
    /// Origins remembered now.
    pub origins: u32,
}
