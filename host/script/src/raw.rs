//! A body that left the component: read on the native side, as the server sent it.

use crate::{
    bindings::exports::urlpool::client::messages::ErrorKind,
    error::{CallError, Failure},
    session::Fields,
};
use bytes::Bytes;
use tokio::time::Instant;
use wasmtime_wasi::p2::{InputStream as _, Pollable as _, StreamError};
use wasmtime_wasi_http::p2::body::{HostFutureTrailers, HostIncomingBody, HostIncomingBodyStream};

/// A body as the server sent it.
#[derive(Debug)]
pub struct RawBody {
    // The stream drops first: it hands what it did not read back to the body.
    pub(crate) stream: Option<HostIncomingBodyStream>,
    pub(crate) body: HostIncomingBody,
    pub(crate) begun: Instant,
    pub(crate) received: u64,
}

impl RawBody {
    /// Reads up to `max` bytes; empty means the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Interrupted`] when the body is cut.
    pub async fn read(&mut self, max: usize) -> Result<Bytes, Failure> {
        let Some(stream) = &mut self.stream else { return Ok(Bytes::new()) };
        match stream.blocking_read(max.max(1)).await {
            Ok(piece) => {
                self.received += piece.len() as u64;
                Ok(piece)
            }
            Err(StreamError::Closed) => {
                self.stream = None;
                Ok(Bytes::new())
            }
            Err(error @ (StreamError::LastOperationFailed(_) | StreamError::Trap(_))) => {
                self.stream = None;
                Err(self.cut(&error))
            }
        }
    }

    /// The trailers; reads what is left of the body before.
    pub async fn trailers(self) -> Fields {
        drop(self.stream);
        let mut trailers = self.body.into_future_trailers();
        trailers.ready().await;
        let HostFutureTrailers::Done(Ok(Some(fields))) = trailers else { return Fields::new() };
        let fields = fields.iter();
        fields.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
    }

    fn cut(&self, error: &StreamError) -> Failure {
        Failure::Call(Box::new(CallError {
            kind: ErrorKind::Interrupted,
            message: format!("raw body: {error}"),
            url: None,
            phase: None,
            limit: None,
            elapsed: self.begun.elapsed(),
            code: None,
            status: None,
            location: None,
            expected: None,
            received: Some(self.received),
            history: Vec::new(),
            trace: Vec::new(),
        }))
    }
}
