//! What a store holds: the WASI context of one instance, over either host.

use std::sync::Arc;
use urlpool_host::Host;
use wasmtime::ResourceLimiter;
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

/// The state of a store.
pub(crate) struct State {
    carrier: Carrier,
    pub(crate) memory: Memory,
}

/// Who carries the requests; which one, the [`Transport`] says.
enum Carrier {
    Pooled(Box<urlpool_host::State>),
    Stock(Box<Stock>),
}

/// What wasmtime's own handler needs, or hooks in its place.
struct Stock {
    hooks: Option<Box<dyn WasiHttpHooks>>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
}

impl State {
    pub(crate) fn new(transport: &Transport) -> Self {
        let carrier = match transport {
            Transport::Pooled(host) => Carrier::Pooled(Box::new(urlpool_host::State::new(host))),
            Transport::Stock => Carrier::stock(None),
            Transport::Hooks(hooks) => Carrier::stock(Some(hooks())),
        };
        Self { carrier, memory: Memory::default() }
    }

    pub(crate) fn table(&mut self) -> &mut ResourceTable {
        self.ctx().table
    }
}

impl Carrier {
    fn stock(hooks: Option<Box<dyn WasiHttpHooks>>) -> Self {
        let wasi = WasiCtx::builder().build();
        Self::Stock(Box::new(Stock { hooks, wasi, http: WasiHttpCtx::new(), table: ResourceTable::new() }))
    }
}

/// How much linear memory the instance has taken. It limits nothing.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The bytes of all its memories, none of which ever shrinks.
    pub(crate) bytes: usize,
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.bytes += desired.saturating_sub(current);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        match &mut self.carrier {
            Carrier::Pooled(state) => state.ctx(),
            Carrier::Stock(state) => WasiCtxView { ctx: &mut state.wasi, table: &mut state.table },
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        match &mut self.carrier {
            Carrier::Pooled(state) => state.http(),
            Carrier::Stock(state) => {
                let hooks = match &mut state.hooks {
                    Some(hooks) => hooks.as_mut(),
                    None => default_hooks(),
                };
                WasiHttpCtxView { hooks, table: &mut state.table, ctx: &mut state.http }
            }
        }
    }
}
