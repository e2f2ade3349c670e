//! On whose behalf requests are sent, and under which rules.

use crate::egress::Egress;
use crate::error::{Error, Failure};
use crate::hooks::Hooks;
use crate::quota::Quota;
use crate::route::{Route, Versions, Way};
use crate::send::{self, Errand};
use crate::upload::BodyError;
use crate::{Host, ResponseBody, Timeouts};
use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tracing::Instrument;

/// One guest of a [`Host`]: a component, or whoever else is to be kept apart from others.
///
/// Clones are the same guest. The stores that share one share its quota, and what was opened under other rules than its own
/// is never used for it.
#[derive(Clone)]
pub struct Guest {
    host: Host,
    way: Way,
    quota: Option<Quota>,
}

impl Guest {
    pub(crate) fn of(host: Host) -> Self {
        let way = host.shared.way.clone();
        Self { host, way, quota: None }
    }

    /// What to put into a store's state to let it send requests as this guest.
    pub fn hooks(&self) -> Hooks {
        Hooks::new(self.clone())
    }

    /// Sends a request from native code as this guest.
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
        self.carry(Box::new(request.map(|body| body.map_err(Into::into).boxed_unsync())), timeouts).await
    }

    /// The same, for a request that is on the heap already.
    pub(crate) async fn carry(
        &self,
        request: Box<http::Request<UnsyncBoxBody<Bytes, BodyError>>>,
        timeouts: Timeouts,
    ) -> Result<http::Response<ResponseBody>, Failure> {
        let shared = &self.host.shared;
        let span = tracing::debug_span!(
            "request",
            method = %request.method(),
            // Neither the path nor the query, which may hold secrets.
            host = request.uri().host(),
            port = request.uri().port_u16(),
            tenant = self.way.tenant.as_deref(),
        );
        shared.connections.count(|stats| stats.requests += 1);
        let quota = self.quota.clone();
        let errand = Errand { way: self.way.clone(), waits: shared.waits.or(timeouts), drain: shared.drain, quota };
        send::send(&shared.connections, request, errand).instrument(span).await
    }
}

/// The rules for a [`Guest`], which begin as those of its host.
#[must_use]
pub struct GuestBuilder {
    host: Host,
    route: Route,
    requests: Option<usize>,
}

impl GuestBuilder {
    pub(crate) fn new(host: Host) -> Self {
        let route = Route::clone(&host.shared.way);
        Self { host, route, requests: None }
    }

    /// Keeps the guest's connections apart from those of every other tenant. Default: those of the host, which all share.
    ///
    /// Guests of the same tenant and the same rules share connections.
    pub fn tenant(mut self, name: &str) -> Self {
        self.route.tenant = Some(name.into());
        self
    }

    /// How many requests of the guest may be in flight at once; further ones wait as for a connection. Default: no limit but
    /// those of the host.
    ///
    /// A request is in flight until its response has ended, or was dropped and what is [drained](crate::HostBuilder::drain) of
    /// it has come. With less than the host's limit of connections, no guest can starve another.
    pub fn requests(mut self, limit: usize) -> Self {
        self.requests = Some(limit);
        self
    }

    /// Which destinations the guest may reach. Default: those of the host.
    pub fn egress(mut self, egress: Egress) -> Self {
        self.route.egress = egress;
        self
    }

    /// Which versions of HTTP are spoken. Default: those of the host.
    pub fn versions(mut self, versions: Versions) -> Self {
        self.route.versions = versions;
        self
    }

    /// The guest.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] when the limit of requests is 0.
    pub fn build(self) -> Result<Guest, Error> {
        if self.requests == Some(0) {
            return Err(Error::Limit("requests"));
        }
        let quota = self.requests.map(Quota::new);
        let way = self.host.shared.ways.of(self.route);
        Ok(Guest { host: self.host, way, quota })
    }
}
