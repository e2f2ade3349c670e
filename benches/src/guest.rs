//! The guests: components that all export one world, ready to be instantiated over either host.

use std::path::Path;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use bytes::Bytes;
use urlpool_host::{Hooks, Host};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug};
use wasmtime::component::{Component, HasSelf, Linker, Resource};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{DynInputStream, InputStream, StreamError, StreamResult};

use crate::contenders::Job;
use crate::memory::Meter;
use crate::stock::StockHooks;
use crate::zeros::Zeros;

mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated; the documentation is the WIT's")]

    wasmtime::component::bindgen!({
        path: ["../wit", "guests/wit"],
        world: "urlpool:bench/uploader",
        imports: { default: trappable },
        exports: { default: async },
        require_store_data_send: true,
        with: { "wasi:io": wasmtime_wasi::p2::bindings::io },
    });
}

use bindings::exports::urlpool::bench::work;
use bindings::{Uploader, UploaderPre};

/// Who carries the requests of a guest.
#[derive(Clone)]
pub(crate) enum Transport {
    /// Our host.
    Pooled(Host),
    /// wasmtime's own handler, or for TLS its twin that trusts this root.
    Stock(StockHooks),
}

/// A guest of one library over one transport, compiled and linked.
#[derive(Clone)]
pub(crate) struct Guest {
    pre: UploaderPre<State>,
}

impl Guest {
    /// Compiles a component and links it with what it imports.
    pub(crate) fn new(engine: &Engine, component: &[u8], pooled: bool) -> Result<Self> {
        let component = Component::new(engine, component)?;
        let mut linker = Linker::<State>::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        if pooled {
            // Both bring wasi:io and the clocks.
            linker.allow_shadowing(true);
            urlpool_host::add_to_linker(&mut linker)?;
        } else {
            wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        }
        bindings::urlpool::bench::source::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
        Ok(Self { pre: UploaderPre::new(linker.instantiate_pre(&component)?)? })
    }

    /// An instance in a store of its own.
    pub(crate) async fn instance(&self, transport: &Transport) -> Result<Instance> {
        let mut store = Store::new(self.pre.engine(), State::new(transport));
        store.limiter(|state| &mut state.meter);
        let work = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance { store, work })
    }
}

/// One instance of a guest.
pub(crate) struct Instance {
    store: Store<State>,
    work: Uploader,
}

impl Instance {
    /// Has the guest do a job; the bytes it read.
    pub(crate) async fn run(&mut self, job: &Job) -> Result<u64> {
        let job = work::Job {
            urls: job.urls.clone(),
            requests: job.requests,
            in_flight: job.in_flight,
            length: job.length,
            upload: job.upload,
            raw: job.raw,
        };
        self.work.urlpool_bench_work().call_run(&mut self.store, &job).await?.map_err(anyhow::Error::msg)
    }

    /// A call that does nothing.
    pub(crate) async fn nothing(&mut self) -> Result<()> {
        Ok(self.work.urlpool_bench_work().call_nothing(&mut self.store).await?)
    }

    /// The size of the guest's linear memories.
    pub(crate) fn memory(&self) -> usize {
        self.store.data().meter.memory()
    }

    /// The handles that the host holds for the guest.
    pub(crate) fn entries(&mut self) -> usize {
        self.store.data_mut().table.iter_mut().count()
    }
}

/// The guest that gets its client by composition, with that client in it.
pub(crate) fn compose(guest: &[u8], client: &[u8]) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let package = Package::from_bytes("guest", None, guest, graph.types_mut())?;
    let guest = graph.register_package(package)?;
    let package = Package::from_bytes("client", None, client, graph.types_mut())?;
    let client = graph.register_package(package)?;
    plug(&mut graph, vec![client], guest)?;
    graph.encode(EncodeOptions::default()).context("composition")
}

/// Reads a component.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

/// What a store holds.
pub(crate) struct State {
    hooks: Carrier,
    meter: Meter,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
}

enum Carrier {
    Pooled(Hooks),
    Stock(StockHooks),
}

impl State {
    fn new(transport: &Transport) -> Self {
        let hooks = match transport {
            Transport::Pooled(host) => Carrier::Pooled(host.hooks()),
            Transport::Stock(hooks) => Carrier::Stock(hooks.clone()),
        };
        Self {
            hooks,
            meter: Meter::default(),
            wasi: WasiCtx::builder().inherit_stderr().build(),
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
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
        let hooks: &mut dyn WasiHttpHooks = match &mut self.hooks {
            Carrier::Pooled(hooks) => hooks,
            Carrier::Stock(hooks) => hooks,
        };
        WasiHttpCtxView { hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

impl bindings::urlpool::bench::source::Host for State {
    fn zeros(&mut self, length: u64) -> wasmtime::Result<Resource<DynInputStream>> {
        let stream: DynInputStream = Box::new(ZeroStream(Zeros::new(length)));
        Ok(self.table.push(stream)?)
    }
}

struct ZeroStream(Zeros);

#[async_trait]
impl InputStream for ZeroStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let piece = self.0.take(size);
        if piece.is_empty() && size > 0 { Err(StreamError::Closed) } else { Ok(piece) }
    }
}

#[async_trait]
impl Pollable for ZeroStream {
    async fn ready(&mut self) {}
}
