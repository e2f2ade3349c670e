//! A host that sends nothing, and keeps what the component asks of it for each request.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// The options of the requests that one session was asked to send, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(Arc<Mutex<Vec<RequestOptions>>>);

impl Asked {
    /// The options so far.
    pub(crate) fn all(&self) -> Vec<RequestOptions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl WasiHttpHooks for Asked {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Io,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(options.unwrap_or_default());
        Box::new(async { Err(Error::ConnectionRefused) })
    }
}
