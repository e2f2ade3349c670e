//! What every case stands on: the component, compiled once, and hosts to run it in.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, ensure};
use futures::future::BoxFuture;
use urlpool_host::{Guest, Host, HostBuilder, Resolve};
use urlpool_script::{Program, Transport};

use crate::case::Case;
use crate::client::Client;
use crate::options::Asked;
use crate::server::Server;
use crate::speech::Speech;
use crate::tls::Authority;

/// The component, ready to be instantiated, and who carries its requests.
#[derive(Clone, Debug)]
pub struct Rig {
    program: Program,
    carrier: Carrier,
}

/// Who carries the requests of the component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// urlpool's host.
    #[default]
    Pooled,
    /// wasmtime's own handler, which decides some things otherwise: [`Case::not_on_stock`] says which.
    Stock,
}

impl Rig {
    /// Takes the component that this build embeds.
    ///
    /// # Errors
    ///
    /// When this was built before the component.
    pub fn embedded() -> Result<Self> {
        Ok(Self { program: Program::embedded()?, carrier: Carrier::Pooled })
    }

    /// Compiles this component.
    ///
    /// # Errors
    ///
    /// When `bytes` are no client component.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        Ok(Self { program: Program::new(bytes)?, carrier: Carrier::Pooled })
    }

    /// With another host to carry the requests; urlpool's own by default.
    #[must_use]
    pub fn carried_by(self, carrier: Carrier) -> Self {
        Self { carrier, ..self }
    }

    /// Why a case cannot hold here; none when it has to.
    pub fn excuse(&self, case: &Case) -> Option<&'static str> {
        case.excuse_on(self.carrier)
    }

    /// Those of `speeches` that the host can speak with a server of a case.
    ///
    /// wasmtime's own handler does not believe the certificates that a case makes.
    ///
    /// # Panics
    ///
    /// When there is none, and the case does not say that it cannot hold.
    pub fn speeches(&self, speeches: &[Speech]) -> Vec<Speech> {
        let speaks = |speech: &Speech| self.carrier == Carrier::Pooled || *speech == Speech::Http1;
        let spoken: Vec<_> = speeches.iter().copied().filter(speaks).collect();
        // What speaks nothing would show nothing, and pass.
        assert!(!spoken.is_empty(), "the case needs urlpool's host, and does not say so");
        spoken
    }

    /// A fresh instance in a fresh host with its default settings.
    pub async fn client(&self) -> Result<Client> {
        match self.carrier {
            Carrier::Pooled => self.client_with(|host| host).await,
            Carrier::Stock => Ok(Client::new(self.program.session(Transport::Stock).await?)),
        }
    }

    /// A fresh instance in a fresh host with these settings.
    pub async fn client_with(&self, settings: impl FnOnce(HostBuilder) -> HostBuilder) -> Result<Client> {
        let host = settings(Host::builder()).build()?;
        self.client_of(&host).await
    }

    /// A fresh instance in a fresh host that believes this server.
    pub async fn client_for(&self, server: &Server) -> Result<Client> {
        match self.carrier {
            Carrier::Pooled => self.client_set(server, |host| host).await,
            Carrier::Stock => self.client().await,
        }
    }

    /// A fresh instance in a fresh host that believes this server, with these settings.
    pub async fn client_set(
        &self,
        server: &Server,
        settings: impl FnOnce(HostBuilder) -> HostBuilder,
    ) -> Result<Client> {
        let host = settings(server.trusted_by(Host::builder())?).build()?;
        self.client_of(&host).await
    }

    /// A fresh instance in this host.
    pub async fn client_of(&self, host: &Host) -> Result<Client> {
        self.pooled()?;
        Ok(Client::new(self.program.session(Transport::Pooled(host.clone())).await?))
    }

    /// A fresh instance as this guest.
    pub async fn client_as(&self, guest: &Guest) -> Result<Client> {
        self.pooled()?;
        let guest = guest.clone();
        let transport = Transport::Hooks(Arc::new(move || Box::new(guest.hooks())));
        Ok(Client::new(self.program.session(transport).await?))
    }

    /// A fresh instance in a host that refuses each connection, and what it asks of that host.
    pub(crate) async fn client_asking(&self) -> Result<(Client, Asked)> {
        let asked = Asked::default();
        let hooks = asked.clone();
        let transport = Transport::Hooks(Arc::new(move || Box::new(hooks.clone())));
        Ok((Client::new(self.program.session(transport).await?), asked))
    }

    /// A fresh instance in a fresh host that trusts this authority.
    pub async fn client_trusting(&self, authority: &Authority) -> Result<Client> {
        let host = Host::builder().add_roots_pem(authority.pem().as_bytes())?.build()?;
        self.client_of(&host).await
    }

    /// A fresh instance in a fresh host that finds `server` at this name, whatever the port.
    pub async fn client_resolving(&self, name: &str, server: &Server) -> Result<Client> {
        self.client_finding(name, &[server.port()]).await
    }

    /// A fresh instance in a fresh host that finds these ports of this machine at this name, in this order.
    pub async fn client_finding(&self, name: &str, ports: &[u16]) -> Result<Client> {
        self.client_with(|host| host.resolver(finding(name, ports))).await
    }

    /// The kind of an error that is seen in the bytes of an answer, or in their end.
    ///
    /// wasmtime's own handler tells all errors of hyper as `HTTP-protocol-error`, also that a connection ended.
    pub(crate) fn told<'a>(&self, kind: &'a str) -> &'a str {
        match self.carrier {
            Carrier::Pooled => kind,
            Carrier::Stock => "protocol",
        }
    }

    /// Fails unless `server` accepted so many connections; one for each request where none is kept.
    pub(crate) fn accepted(&self, server: &Server, kept: usize) -> Result<()> {
        let expected = match self.carrier {
            Carrier::Pooled => kept,
            Carrier::Stock => server.arrivals(),
        };
        let accepted = server.connections();
        ensure!(accepted == expected, "{accepted} connections instead of {expected}");
        Ok(())
    }

    fn pooled(&self) -> Result<()> {
        ensure!(self.carrier == Carrier::Pooled, "the case needs urlpool's host, and does not say so");
        Ok(())
    }
}

/// Finds these ports of this machine at this name, in this order, whatever port is asked for, and knows no other name.
pub(crate) fn finding(name: &str, ports: &[u16]) -> Arc<dyn Resolve> {
    Arc::new(Names(HashMap::from([(name.to_owned(), ports.to_vec())])))
}

/// Names, and the loopback ports they lead to whatever port is asked for.
struct Names(HashMap<String, Vec<u16>>);

impl Resolve for Names {
    fn resolve(&self, host: &str, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let found = self
            .0
            .get(host)
            .map(|ports| ports.iter().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).collect());
        Box::pin(async move { found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)) })
    }
}
