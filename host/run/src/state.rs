//! What a store holds.

use crate::serve::Meter;
use urlpool_host::{Guest, Hooks};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// The state of the store of one instance.
pub(crate) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    /// What holds its memories within their limit, where the store has it as its limiter.
    pub(crate) meter: Meter,
}

impl State {
    /// With what `wasi` gives, but for sockets, and so many bytes of memory.
    pub(crate) fn new(guest: &Guest, wasi: &mut WasiCtxBuilder, memory: usize) -> Self {
        // They would lead past the connections and the egress policy of the host.
        let wasi = wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false).build();
        Self {
            table: ResourceTable::new(),
            wasi,
            http: WasiHttpCtx::new(),
            hooks: guest.hooks(),
            meter: Meter::new(memory),
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}
