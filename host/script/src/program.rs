//! The component, compiled once and ready to be instantiated many times.

use crate::{
    bindings::ClientPre,
    error::Error,
    session::Session,
    state::{State, Transport},
};
use wasmtime::{
    Cache, Config, Engine, Store,
    component::{Component, Linker},
};

/// The bytes of the component that this build embeds.
///
/// # Errors
///
/// [`Error::NoComponent`], when the crate was built before the component.
pub fn component() -> Result<&'static [u8], Error> {
    EMBEDDED.ok_or(Error::NoComponent)
}

#[cfg(urlpool_component)]
const EMBEDDED: Option<&[u8]> = Some(include_bytes!(env!("URLPOOL_COMPONENT_FILE")));
#[cfg(not(urlpool_component))]
const EMBEDDED: Option<&[u8]> = None;

/// A compiled client component; cheap to clone, and to be shared between threads.
#[derive(Clone)]
pub struct Program {
    pooled: ClientPre<State>,
    stock: ClientPre<State>,
}

impl Program {
    /// Compiles the embedded component, or takes it from wasmtime's cache.
    ///
    /// # Errors
    ///
    /// [`Error::NoComponent`], and those of [`Program::new`].
    pub fn embedded() -> Result<Self, Error> {
        Self::new(component()?)
    }

    /// Compiles a component, or takes it from wasmtime's cache.
    ///
    /// # Errors
    ///
    /// - [`Error::NoClient`], when the component exports something else.
    /// - [`Error::BadComponent`], when `bytes` are no component, or when what it exports or imports does not meet what is
    ///   called and offered here.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        let bad = Error::BadComponent;
        let mut config = Config::new();
        // WASI 0.2 alone: calls are several times cheaper without the machinery of 0.3.
        config.concurrency_support(false);
        // Without a place for a cache (no home directory) everything still works, only slower.
        if let Ok(cache) = Cache::from_file(None) {
            config.cache(Some(cache));
        }
        let engine = Engine::new(&config).map_err(bad)?;
        let component = Component::new(&engine, bytes).map_err(bad)?;
        let lacks: Vec<_> =
            EXPORTS.into_iter().filter(|name| component.get_export_index(None, name).is_none()).collect();
        if !lacks.is_empty() {
            return Err(Error::NoClient(lacks));
        }

        let mut pooled = Linker::new(&engine);
        urlpool_host::add_to_linker(&mut pooled).map_err(bad)?;
        let mut stock = Linker::new(&engine);
        wasmtime_wasi_http::p2::add_to_linker_async(&mut stock).map_err(bad)?;
        let ready = |linker: Linker<State>| linker.instantiate_pre(&component).and_then(ClientPre::new).map_err(bad);
        Ok(Self { pooled: ready(pooled)?, stock: ready(stock)? })
    }

    /// Makes one instance of the component, with the host of `transport` behind it.
    ///
    /// # Errors
    ///
    /// [`Error::BadComponent`], when it traps while it starts.
    pub async fn session(&self, transport: Transport) -> Result<Session, Error> {
        let ready = match &transport {
            Transport::Pooled(_) => &self.pooled,
            Transport::Stock | Transport::Hooks(_) => &self.stock,
        };
        let mut store = Store::new(ready.engine(), State::new(&transport));
        store.limiter(|state| &mut state.memory);
        let client = ready.instantiate_async(&mut store).await.map_err(Error::BadComponent)?;
        Ok(Session::new(store, client, transport))
    }
}

/// What a component has to export to be a client.
const EXPORTS: [&str; 3] =
    ["urlpool:client/policy@0.2.1", "urlpool:client/messages@0.2.1", "urlpool:client/pool@0.2.1"];

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}
