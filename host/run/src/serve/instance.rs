//! One instance of a handler, and the requests it is given one after the other.

use super::fault::Fault;
use crate::program::{Generation, Program};
use crate::state::State;
use futures::channel::oneshot;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::{WasiBody, WasiHttpView};

/// What a component answers: a response, or why there is none.
pub(crate) type Answer = Result<http::Response<WasiBody>, wasmtime::Error>;

/// One instance of a handler in a store of its own.
pub(crate) struct Instance {
    store: Store<State>,
    handler: Handler,
    /// How many requests it was given.
    given: usize,
}

enum Handler {
    P2(Proxy),
    #[cfg(feature = "p3")]
    P3(wasmtime_wasi_http::handler::Proxy),
}

impl Instance {
    /// A fresh one.
    ///
    /// # Errors
    ///
    /// [`Fault::Trapped`] and [`Fault::Memory`], when the component traps while it starts, or is too large.
    pub(crate) async fn start(program: &Program, state: State) -> Result<Self, Fault> {
        let mut store = Store::new(program.linked.engine(), state);
        store.limiter(|state| &mut state.meter);
        // A component that computes on and on gives way to others at each tick, and so to whoever ends it.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        match bound(program, &mut store).await {
            Ok(handler) => Ok(Self { store, handler, given: 0 }),
            Err(error) => Err(explained(&mut store, &error)),
        }
    }

    /// How many requests it was given.
    pub(crate) fn given(&self) -> usize {
        self.given
    }

    /// Has it handle a request: the answer goes to `answer` as soon as its head is there, and this ends when all of it was
    /// handed over.
    ///
    /// # Errors
    ///
    /// A [`Fault`], after which it is good for no other request. What was sent to `answer` before stays an answer.
    pub(crate) async fn handle(
        &mut self,
        request: http::Request<WasiBody>,
        answer: oneshot::Sender<Answer>,
    ) -> Result<(), Fault> {
        self.given += 1;
        // What was refused to an earlier request does not explain the end of this one.
        let _ = self.store.data_mut().meter.refused();
        let handled = match &self.handler {
            Handler::P2(proxy) => handle_p2(&mut self.store, proxy, request, answer).await,
            #[cfg(feature = "p3")]
            Handler::P3(proxy) => handle_p3(&mut self.store, proxy, request, answer).await.map(|()| true),
        };
        match handled {
            Ok(true) => Ok(()),
            // What would answer is still in the store, and nobody has it any more.
            Ok(false) => Err(Fault::Silent),
            Err(error) => Err(explained(&mut self.store, &error)),
        }
    }
}

async fn bound(program: &Program, store: &mut Store<State>) -> wasmtime::Result<Handler> {
    Ok(match program.generation {
        Generation::P2 => Handler::P2(ProxyPre::new(program.linked.clone())?.instantiate_async(store).await?),
        #[cfg(feature = "p3")]
        Generation::P3 => {
            use wasmtime_wasi_http::handler::Proxy;
            use wasmtime_wasi_http::p3::bindings::ServicePre;

            Handler::P3(Proxy::P3(ServicePre::new(program.linked.clone())?.instantiate_async(store).await?))
        }
    })
}

fn explained(store: &mut Store<State>, error: &wasmtime::Error) -> Fault {
    // A guest that is refused memory aborts, which looks like any other trap.
    if store.data_mut().meter.refused() { Fault::Memory } else { Fault::of(error) }
}

/// Whether it answered.
async fn handle_p2(
    store: &mut Store<State>,
    proxy: &Proxy,
    request: http::Request<WasiBody>,
    answer: oneshot::Sender<Answer>,
) -> wasmtime::Result<bool> {
    let answered = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&answered);
    let mut view = store.data_mut().http();
    let request = view.new_incoming_request(Scheme::Http, request)?;
    let out = view.new_response_outparam_from_callback(move |response| {
        told.store(true, Relaxed);
        // Whoever does not wait any more does not want it.
        let _ = answer.send(response.map_err(Into::into));
    })?;
    proxy.wasi_http_incoming_handler().call_handle(store, request, out).await?;
    Ok(answered.load(Relaxed))
}

#[cfg(feature = "p3")]
async fn handle_p3(
    store: &mut Store<State>,
    proxy: &wasmtime_wasi_http::handler::Proxy,
    request: http::Request<WasiBody>,
    answer: oneshot::Sender<Answer>,
) -> wasmtime::Result<()> {
    use wasmtime::AsContextMut as _;
    use wasmtime_wasi_http::handler::Prepared;

    store
        .run_concurrent(async |accessor| {
            let prepared = accessor.with(|mut store| {
                Prepared::new(store.as_context_mut(), proxy, request, <State as WasiHttpView>::http, answer)
            })?;
            // The deadline is kept outside, where a busy guest cannot keep it from being noticed.
            prepared.run(accessor, std::future::pending()).await?;
            // The body goes out, and the guest may have more to do.
            std::future::poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            Ok(())
        })
        .await?
}
