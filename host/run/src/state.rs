//! What a store holds.

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
}

impl State {
    /// With what `wasi` gives, but for sockets.
    pub(crate) fn new(guest: &Guest, wasi: &mut WasiCtxBuilder) -> Self {
        // They would lead past the connections and the egress policy of the host.
        let wasi = wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false).build();
        Self { table: ResourceTable::new(), wasi, http: WasiHttpCtx::new(), hooks: guest.hooks() }
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
