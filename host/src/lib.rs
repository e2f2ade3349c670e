//! wasi:http for wasmtime over connections that are kept and reused.
//!
//! wasmtime's own handler opens a connection for every request. A [`Host`] keeps them: it is shared by any number of stores
//! and threads, limits how many connections there are, hands them out in order, and repairs what a stale one breaks.
//!
//! ```
//! use urlpool_host::{Host, State, add_to_linker};
//! use wasmtime::component::Linker;
//! use wasmtime::{Config, Engine, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = Host::builder().build()?;
//! let mut config = Config::new();
//! // For guests of WASI 0.2 alone; see below.
//! config.concurrency_support(false);
//! let engine = Engine::new(&config)?;
//! let mut linker = Linker::<State>::new(&engine);
//! add_to_linker(&mut linker)?;
//! // One store per guest; all of them share the connections of the host.
//! let store = Store::new(&engine, State::new(&host));
//! # drop(store);
//! println!("{:?}", host.stats());
//! # Ok(())
//! # }
//! ```
//!
//! An embedder with a state of its own puts [`Host::hooks`] into it, in place of wasmtime's default hooks.
//!
//! # WASI 0.3
//!
//! With the feature `p3`, `add_to_linker_p3` serves guests of WASI 0.3, in the same linker as those of 0.2 or in another. The
//! same [`Hooks`] serve both, so guests of both share connections, limits and figures. What the guest learns from the future
//! that `request.new` gives it is whether all of the request's body was handed to its connection; when `send` itself fails,
//! wasmtime says nothing there, and the error of `send` tells why.
//!
//! An engine in which 0.3 is compiled in has `concurrency_support` on unless told otherwise, and each call into a guest then
//! costs several times as much. An engine that runs guests of 0.2 alone should have it off, as above.

mod body;
mod connect;
mod connections;
mod egress;
mod error;
mod events;
mod guest;
mod head;
mod hooks;
mod http2;
mod idle;
mod incoming;
mod key;
mod lease;
mod network;
mod proxy;
mod quota;
mod resend;
mod resolve;
mod route;
mod send;
mod stats;
mod tls;
mod upload;
mod wire;

pub use body::ResponseBody;
pub use egress::Egress;
pub use error::{Error, Failure};
pub use events::{Event, Observe, Origin};
pub use guest::{Guest, GuestBuilder};
#[cfg(feature = "p3")]
pub use hooks::add_to_linker_p3;
pub use hooks::{Hooks, State, add_to_linker};
pub use proxy::Proxies;
pub use resolve::{Overrides, Resolve, System};
pub use route::Versions;
pub use stats::Stats;
pub use tls::{Roots, Tls, TlsBuilder};

use body::Drain;
use bytes::Bytes;
use connect::Connector;
use connections::Connections;
use events::Events;
use http_body::Body;
use idle::Limits;
use key::Key;
use route::{Route, Way, Ways};
use send::Waits;
use std::sync::Arc;
use std::time::Duration;

/// Connections to any number of origins, kept between requests.
///
/// Clones share them. Dropping the last clone, hooks included, closes those that are idle; a response that is still being
/// read goes on to its end. All requests of one host belong on one tokio runtime, or at least on runtimes that keep running:
/// a connection is driven by the runtime it was opened on.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    connections: Arc<Connections>,
    waits: Waits,
    drain: Drain,
    ways: Ways,
    /// That of whoever has no rules of their own.
    way: Way,
}

impl Host {
    /// A host with the documented defaults, to be changed.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// A guest with rules of its own, which begin as those of the host.
    pub fn guest(&self) -> GuestBuilder {
        GuestBuilder::new(self.clone())
    }

    /// Sends a request from native code, over the same connections as the guests' requests.
    ///
    /// The URI is absolute. Where a Host field is missing, the authority is sent. It takes a tokio runtime to run on, and
    /// may be dropped at any time, which closes the connection it used, or takes the request back where others use it.
    ///
    /// # Errors
    ///
    /// A [`Failure`] that says why there is no response. A status of 4xx or 5xx is none.
    pub async fn send<B>(
        &self,
        request: http::Request<B>,
        timeouts: Timeouts,
    ) -> Result<http::Response<ResponseBody>, Failure>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Guest::of(self.clone()).send(request, timeouts).await
    }

    /// Opens connections to the origin of an absolute URI ahead of requests, and returns how many: `count`, or as many as the
    /// limits let it. Connections that are there already are not counted.
    ///
    /// # Errors
    ///
    /// Why the first of them that failed could not be opened; others may be open.
    pub async fn warm(&self, uri: &str, count: usize) -> Result<usize, Failure> {
        let key = Key::of(&uri.parse().map_err(|_| Failure::Uri)?, self.shared.way.clone())?;
        self.shared.connections.warm(&key, count, self.shared.waits.connect).await
    }

    /// What to put into a store's state to let its guest send requests over this host.
    pub fn hooks(&self) -> Hooks {
        Guest::of(self.clone()).hooks()
    }

    /// The figures up to now.
    pub fn stats(&self) -> Stats {
        self.shared.connections.stats()
    }
}

/// The timeouts of one request. None means the host's default.
///
/// A timeout of zero fails as soon as its phase would have to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// For DNS, TCP and TLS together, where a connection has to be opened.
    pub connect: Option<Duration>,
    /// From when the request was handed over completely until the response's header section is there.
    pub first_byte: Option<Duration>,
    /// For each wait for more of the body.
    pub between_bytes: Option<Duration>,
}

/// How many connections may be live at once in total, unless [`HostBuilder::connections`] says otherwise.
pub const DEFAULT_CONNECTIONS: usize = 256;

/// The settings of a [`Host`].
#[derive(Clone)]
#[must_use]
pub struct HostBuilder {
    limits: Limits,
    idle_per_origin: Option<usize>,
    acquire_timeout: Duration,
    max_age: Option<Duration>,
    events: Events,
    waits: Waits,
    drain: Drain,
    egress: Egress,
    tls: Option<Tls>,
    proxies: Proxies,
    versions: Versions,
    resolver: Arc<dyn Resolve>,
}

impl Default for HostBuilder {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            limits: Limits {
                per_origin: 32,
                total: DEFAULT_CONNECTIONS,
                idle_per_origin: 32,
                idle_timeout: Duration::from_secs(90),
                uses: u64::MAX,
            },
            idle_per_origin: None,
            acquire_timeout: Duration::from_secs(30),
            max_age: None,
            events: Events::default(),
            waits: Waits { connect: minute, first_byte: minute, between_bytes: minute },
            drain: Drain { bytes: 64 * 1024, within: Duration::from_millis(250) },
            egress: Egress::open(),
            tls: None,
            proxies: Proxies::new(),
            versions: Versions::default(),
            resolver: Arc::new(System),
        }
    }
}

impl HostBuilder {
    /// How many connections to one origin may be live at once; further requests wait. Default: 32.
    pub fn connections_per_origin(mut self, limit: usize) -> Self {
        self.limits.per_origin = limit;
        self
    }

    /// How many connections may be live at once in total. Default: [`DEFAULT_CONNECTIONS`].
    ///
    /// At the limit, the idle connection of another origin that was used least recently makes room.
    pub fn connections(mut self, limit: usize) -> Self {
        self.limits.total = limit;
        self
    }

    /// How many idle connections of one origin are kept, 0 for none. Default: as many as may be live.
    pub fn idle_per_origin(mut self, limit: usize) -> Self {
        self.idle_per_origin = Some(limit);
        self
    }

    /// How long a connection may be idle before it is closed. Default: 90 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = timeout;
        self
    }

    /// How old a connection may become before it is closed, or none to set no limit. Default: none.
    ///
    /// A request that is on its way is finished. Each connection ends up to a tenth earlier, so that those opened together do
    /// not end together. A name is looked up again for each new connection, so this bounds how long an old address is used.
    pub fn max_age(mut self, age: Option<Duration>) -> Self {
        self.max_age = age;
        self
    }

    /// How many requests one connection serves before it is closed, or none to set no limit. Default: none.
    pub fn max_uses(mut self, uses: Option<u64>) -> Self {
        self.limits.uses = uses.unwrap_or(u64::MAX);
        self
    }

    /// Who is told what happens to connections. Default: nobody but `tracing`.
    pub fn observer(mut self, observer: Arc<dyn Observe>) -> Self {
        self.events = Events(Some(observer));
        self
    }

    /// How long a request waits for a connection under the limits. Default: 30 s.
    ///
    /// After that the guest sees `connection-limit-reached`.
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// The connect timeout of requests that bring none. Default: 60 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.waits.connect = timeout;
        self
    }

    /// The first-byte timeout of requests that bring none. Default: 60 s.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.waits.first_byte = timeout;
        self
    }

    /// The between-bytes timeout of requests that bring none. Default: 60 s.
    pub fn between_bytes_timeout(mut self, timeout: Duration) -> Self {
        self.waits.between_bytes = timeout;
        self
    }

    /// How much of a body that was dropped early is read to save its connection, and for how long. Default: 64 KiB, 250 ms.
    pub fn drain(mut self, bytes: u64, within: Duration) -> Self {
        self.drain = Drain { bytes, within };
        self
    }

    /// Trusts the certificates of a PEM file, besides those trusted so far. Default: the bundled roots of Mozilla alone.
    ///
    /// # Errors
    ///
    /// [`Error::Roots`] when there is no certificate in it, or one that cannot be used.
    pub fn add_roots_pem(mut self, pem: &[u8]) -> Result<Self, Error> {
        self.tls = Some(match &self.tls {
            Some(tls) => tls.with_roots_pem(pem)?,
            None => Tls::builder().add_roots_pem(pem)?.build()?,
        });
        Ok(self)
    }

    /// How TLS connections are opened, in place of what was set before. Default: [`Tls::builder`] unchanged.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Which destinations may be reached. Default: all.
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// The proxies that requests go through. Default: none, whatever the environment says.
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Which versions of HTTP are spoken. Default: [`Versions::Negotiated`], which is HTTP/2 over TLS
    /// where the server agrees to it, otherwise HTTP/1.1.
    pub fn versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Who turns names into addresses. Default: the operating system.
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// The host.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] when a limit is 0, other than that of idle connections.
    pub fn build(self) -> Result<Host, Error> {
        if self.limits.per_origin == 0 {
            return Err(Error::Limit("connections_per_origin"));
        }
        if self.limits.total == 0 {
            return Err(Error::Limit("connections"));
        }
        if self.limits.uses == 0 {
            return Err(Error::Limit("max_uses"));
        }
        let idle_per_origin = self.idle_per_origin.unwrap_or(self.limits.per_origin);
        let limits = Limits { idle_per_origin, ..self.limits };
        let tls = self.tls.map_or_else(|| Tls::builder().build(), Ok)?;
        let (egress, proxies, versions) = (self.egress, self.proxies, self.versions);
        let route = Route { tenant: None, egress, tls, proxies, versions };
        let connector = Connector { resolver: self.resolver, totals: Arc::default(), events: self.events.clone() };
        let connections =
            Arc::new(Connections::new(connector, limits, self.acquire_timeout, self.max_age, self.events));
        let ways = Ways::new();
        let way = ways.of(route);
        Ok(Host { shared: Arc::new(Shared { connections, waits: self.waits, drain: self.drain, ways, way }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_docs() {
        let builder = HostBuilder::default();
        let limits = &builder.limits;
        assert_eq!((limits.per_origin, limits.total, limits.idle_per_origin), (32, 256, 32));
        assert_eq!(limits.idle_timeout, Duration::from_secs(90));
        assert_eq!((builder.drain.bytes, builder.drain.within), (64 * 1024, Duration::from_millis(250)));
        assert_eq!(builder.acquire_timeout, Duration::from_secs(30));
        let waits = builder.waits;
        assert_eq!([waits.connect, waits.first_byte, waits.between_bytes], [Duration::from_secs(60); 3]);
    }
}
