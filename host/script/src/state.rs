//! What a store holds: the WASI context of one instance, over either host.

use std::sync::Arc;
use urlpool_host::Host;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView, default_hooks};

/// Who carries the requests of a session.
#[derive(Clone)]
pub enum Transport {
    /// urlpool's host, which keeps connections and uses them again; it can be shared by many sessions.
    Pooled(Host),
    /// wasmtime's own handler, with a connection for each request.
    Stock,
    /// Hooks of the caller's own, made anew for each session.
    Hooks(Arc<dyn Fn() -> Box<dyn WasiHttpHooks> + Send + Sync>),
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pooled(_) => "Pooled",
            Self::Stock => "Stock",
            Self::Hooks(_) => "Hooks",
        })
    }
}

/// The state of a store; which one, its [`Transport`] says.
pub(crate) enum State {
    Pooled(Box<urlpool_host::State>),
    Stock(Box<Stock>),
}

/// What wasmtime's own handler needs, or hooks in its place.
pub(crate) struct Stock {
    hooks: Option<Box<dyn WasiHttpHooks>>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
}

impl State {
    pub(crate) fn new(transport: &Transport) -> Self {
        match transport {
            Transport::Pooled(host) => Self::Pooled(Box::new(urlpool_host::State::new(host))),
            Transport::Stock => Self::stock(None),
            Transport::Hooks(hooks) => Self::stock(Some(hooks())),
        }
    }

    fn stock(hooks: Option<Box<dyn WasiHttpHooks>>) -> Self {
        let wasi = WasiCtx::builder().build();
        Self::Stock(Box::new(Stock { hooks, wasi, http: WasiHttpCtx::new(), table: ResourceTable::new() }))
    }

    pub(crate) fn table(&mut self) -> &mut ResourceTable {
        self.ctx().table
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        match self {
            Self::Pooled(state) => state.ctx(),
            Self::Stock(state) => WasiCtxView { ctx: &mut state.wasi, table: &mut state.table },
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        match self {
            Self::Pooled(state) => state.http(),
            Self::Stock(state) => {
                let hooks = match &mut state.hooks {
                    Some(hooks) => hooks.as_mut(),
                    None => default_hooks(),
                };
                WasiHttpCtxView { hooks, table: &mut state.table, ctx: &mut state.http }
            }
        }
    }
}
