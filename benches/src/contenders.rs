//! Those who make the requests, each in its own way.

mod component;
mod hyper_util;
mod reqwest;
mod urllib3;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use urlpool_host::Host;
use wasmtime::Engine;

use crate::guest::{self, Guest, Transport};
use crate::stock::StockHooks;

/// Requests to make.
#[derive(Clone)]
pub(crate) struct Job {
    /// Where to; the requests take turns.
    pub(crate) urls: Vec<String>,
    /// How many in all.
    pub(crate) requests: u32,
    /// How many at once.
    pub(crate) in_flight: u32,
    /// The length of each response body.
    pub(crate) length: u64,
    /// The bytes that each request uploads by PUT; 0 means a GET.
    pub(crate) upload: u64,
    /// Whether bodies are read past the client, where it can hand over the stream of the host.
    pub(crate) raw: bool,
}

impl Job {
    /// The URL of a request.
    fn url(&self, index: u32) -> &str {
        &self.urls[index as usize % self.urls.len()]
    }
}

/// Makes requests.
#[async_trait]
pub(crate) trait Contender: Send {
    /// Starts anew: without connections, and for a component with a new instance.
    async fn fresh(&mut self) -> Result<()>;

    /// Makes the requests, reads every body to its end, and returns the bytes read.
    ///
    /// Fails when a request does, when a status is not 200, and when a body has another length.
    async fn run(&mut self, job: &Job) -> Result<u64>;

    /// The size of a guest's linear memories.
    fn guest_memory(&self) -> Option<usize> {
        None
    }

    /// The process it runs in, when that is not ours.
    fn process(&self) -> Option<u32> {
        None
    }
}

/// A client library within a component.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Library {
    Ours,
    Waki,
    Wstd,
    Golem,
}

impl Library {
    pub(crate) const ALL: [Self; 4] = [Self::Ours, Self::Waki, Self::Wstd, Self::Golem];

    /// Its name, and that of its guest.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Waki => "waki",
            Self::Wstd => "wstd",
            Self::Golem => "golem",
        }
    }
}

/// Which contender.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Kind {
    /// The client of hyper-util, native.
    HyperUtil,
    /// reqwest, native.
    Reqwest,
    /// urllib3, in a process of Python.
    Urllib3,
    /// A component over our host.
    Pooled(Library),
    /// A component over wasmtime's own handler.
    Stock(Library),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HyperUtil => f.write_str("hyper-util, native"),
            Self::Reqwest => f.write_str("reqwest, native"),
            Self::Urllib3 => f.write_str("urllib3, native"),
            Self::Pooled(Library::Ours) => f.write_str("ours"),
            Self::Pooled(library) => write!(f, "{} on our host", library.name()),
            Self::Stock(library) => write!(f, "{} on the stock handler", library.name()),
        }
    }
}

/// Where the parts of contenders are.
#[derive(clap::Args)]
pub(crate) struct Parts {
    /// The client component.
    #[arg(long)]
    pub(crate) component: PathBuf,
    /// The folder of the guests.
    #[arg(long)]
    guests: PathBuf,
    /// A Python that has urllib3; without it that contender is left out.
    #[arg(long)]
    python: Option<PathBuf>,
}

impl Parts {
    /// The component of a library, as it is given to the engine.
    pub(crate) fn guest(&self, library: Library) -> Result<Vec<u8>> {
        let guest = guest::read(&self.guests.join(format!("guest_{}.wasm", library.name())))?;
        match library {
            Library::Ours => guest::compose(&guest, &guest::read(&self.component)?),
            Library::Waki | Library::Wstd | Library::Golem => Ok(guest),
        }
    }
}

/// Makes contenders, once each.
pub(crate) struct Contenders {
    parts: Parts,
    engine: Engine,
    root: String,
    made: HashMap<Kind, Box<dyn Contender>>,
}

impl Contenders {
    /// None yet; `root` is the certificate that all of them are to trust, as PEM.
    pub(crate) fn new(parts: Parts, engine: Engine, root: String) -> Self {
        Self { parts, engine, root, made: HashMap::new() }
    }

    /// Whether this one can be had at all.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        kind != Kind::Urllib3 || self.parts.python.is_some()
    }

    /// What the contenders are made of.
    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The contender, fresh where it is asked for the first time.
    pub(crate) async fn get(&mut self, kind: Kind) -> Result<&mut Box<dyn Contender>> {
        if !self.made.contains_key(&kind) {
            let made = self.make(kind).await.with_context(|| kind.to_string())?;
            self.made.insert(kind, made);
        }
        self.made.get_mut(&kind).context("made above")
    }

    async fn make(&mut self, kind: Kind) -> Result<Box<dyn Contender>> {
        Ok(match kind {
            Kind::HyperUtil => Box::new(hyper_util::HyperUtil::new(tls(&self.root)?)),
            Kind::Reqwest => Box::new(reqwest::Reqwest::new(tls(&self.root)?)?),
            Kind::Urllib3 => {
                let python = self.parts.python.as_deref().context("no Python with urllib3")?;
                Box::new(urllib3::Urllib3::start(python, &self.root).await?)
            }
            Kind::Pooled(library) => {
                let guest = Guest::new(&self.engine, &self.parts.guest(library)?, true)?;
                let root = self.root.clone();
                Box::new(component::InComponent::new(guest, move || Ok(Transport::Pooled(host(&root)?))).await?)
            }
            Kind::Stock(library) => {
                let guest = Guest::new(&self.engine, &self.parts.guest(library)?, false)?;
                let hooks = StockHooks::new(CertificateDer::from_pem_slice(self.root.as_bytes())?);
                Box::new(component::InComponent::new(guest, move || Ok(Transport::Stock(hooks.clone()))).await?)
            }
        })
    }
}

/// Our host, with room for as many connections as any row needs, as the native clients have.
pub(crate) fn host(root: &str) -> Result<Host> {
    let host = Host::builder().connections_per_origin(2048).connections(4096).add_roots_pem(root.as_bytes())?;
    Ok(host.build()?)
}

/// What the native clients trust: the same as our host.
fn tls(root: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add(CertificateDer::from_pem_slice(root.as_bytes())?)?;
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
