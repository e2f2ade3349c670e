//! wasmtime 48 with its own handler of HTTP, as it comes, in this process.
//!
//! It stands in for the command `wasmtime`, whose build takes twenty minutes and which no registry has prebuilt: the same engine
//! and the same implementation of WASI, linked in the same way. What the command adds, its flags and its server, is not tried by
//! it; the checks that need the command itself say so, and are skipped where it is missing.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView, default_hooks};

use crate::program::Ended;

/// Runs a command to its end.
pub(crate) async fn run(component: &Path, arguments: &[&str], folder: &Path) -> Result<Ended> {
    let component = compiled(component).await?;
    let (stdout, stderr) = (MemoryOutputPipe::new(OUTPUT), MemoryOutputPipe::new(OUTPUT));
    let mut wasi = WasiCtxBuilder::new();
    wasi.arg("command").args(arguments).stdout(stdout.clone()).stderr(stderr.clone());
    wasi.preopened_dir(folder, ".", FsPerms::ReadOnly).map_err(told)?;
    let mut store = Store::new(engine()?, State::new(&mut wasi));
    let command = Command::instantiate_async(&mut store, &component, &linker()?).await.map_err(told)?;
    let ended = command.wasi_cli_run().call_run(&mut store).await;
    let text = |pipe: MemoryOutputPipe| String::from_utf8_lossy(&pipe.contents()).into_owned();
    let (success, trap) = match ended {
        Ok(outcome) => (outcome.is_ok(), String::new()),
        Err(error) => (false, format!("{error:?}")),
    };
    Ok(Ended { success, stdout: text(stdout), stderr: text(stderr) + &trap })
}

/// Serves a handler, each request in an instance of its own, until what is returned is dropped.
pub(crate) async fn serve(component: &Path, variables: &[(&str, String)]) -> Result<(SocketAddr, Serving)> {
    let component = compiled(component).await?;
    let handler = ProxyPre::new(linker()?.instantiate_pre(&component).map_err(told)?).map_err(told)?;
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (handler, variables) = (handler.clone(), variables.clone());
            let service = service_fn(move |request| handle(request, handler.clone(), variables.clone()));
            // One that goes away in the middle is its own affair.
            tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), service).await });
        }
    });
    Ok((address, Serving(accepting.abort_handle())))
}

/// A handler that is served; dropping it stops that.
pub(crate) struct Serving(AbortHandle);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn handle(
    request: hyper::Request<Incoming>,
    handler: ProxyPre<State>,
    variables: Vec<(String, String)>,
) -> Result<hyper::Response<HyperOutgoingBody>> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.envs(&variables).inherit_stderr();
    let mut store = Store::new(handler.engine(), State::new(&mut wasi));
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let request = store.data_mut().http().new_incoming_request(Scheme::Http, request).map_err(told)?;
    let out = store.data_mut().http().new_response_outparam(sender).map_err(told)?;
    let handler = handler.instantiate_async(&mut store).await.map_err(told)?;
    // It goes on after its answer has begun.
    let handling =
        tokio::spawn(async move { handler.wasi_http_incoming_handler().call_handle(&mut store, request, out).await });
    match receiver.await {
        Ok(answer) => Ok(answer?),
        Err(_) => match handling.await? {
            Ok(()) => Err(anyhow!("the handler answered nothing")),
            Err(error) => Err(told(error)),
        },
    }
}

/// More than any of the commands prints.
const OUTPUT: usize = 64 * 1024;

/// Compiles a component on a thread where that may take its time.
async fn compiled(file: &Path) -> Result<Component> {
    let file = file.to_owned();
    let compiling =
        move || Component::from_file(engine()?, &file).map_err(|error| anyhow!("{}: {error:?}", file.display()));
    tokio::task::spawn_blocking(compiling).await.context("compiler")?
}

fn linker() -> Result<Linker<State>> {
    let mut linker = Linker::new(engine()?);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(told)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(told)?;
    Ok(linker)
}

fn engine() -> Result<&'static Engine> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.concurrency_support(false);
        if let Ok(cache) = wasmtime::Cache::from_file(None) {
            config.cache(Some(cache));
        }
        Engine::new(&config).map_err(|error| format!("{error:?}"))
    });
    engine.as_ref().map_err(|error| anyhow!("{error}"))
}

/// An error of the engine with all its causes, as one of ours.
fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}

struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
}

impl State {
    fn new(wasi: &mut WasiCtxBuilder) -> Self {
        Self { wasi: wasi.build(), http: WasiHttpCtx::new(), table: ResourceTable::new() }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: default_hooks(), table: &mut self.table, ctx: &mut self.http }
    }
}
