//! Connections of clients, and their end.

use super::server::Server;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

impl Server {
    /// Answers what comes in on a listener, over HTTP/1.1 or, by prior knowledge, HTTP/2, until `end` is there.
    ///
    /// Then it takes no more connections, lets those that are idle go, and gives what has begun the
    /// [grace](super::ServerBuilder::grace) to finish.
    ///
    /// # Errors
    ///
    /// When requests were cut off at the end, [`TimedOut`](io::ErrorKind::TimedOut).
    pub async fn serve(&self, listener: TcpListener, end: impl Future<Output = ()>) -> io::Result<()> {
        let mut end = pin!(end);
        let connections = GracefulShutdown::new();
        let builder = builder();
        loop {
            let stream = tokio::select! {
                biased;
                () = &mut end => break,
                stream = accepted(&listener) => stream,
            };
            let server = self.clone();
            let service = service_fn(move |request: http::Request<Incoming>| {
                let server = server.clone();
                async move { Ok::<_, Infallible>(server.handle(request).await) }
            });
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                // What a client does wrong is told to that client, as far as it can be.
                let _ = connection.await;
            });
        }
        drop(listener);
        let finish = async {
            connections.shutdown().await;
            self.finish().await;
        };
        let in_time = timeout(self.settings().patience_of_the_end(), finish).await;
        in_time.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "requests were cut off"))
    }
}

/// A page of figures on a listener of its own, until it is dropped.
pub struct Metrics {
    task: AbortHandle,
    address: SocketAddr,
}

impl Metrics {
    /// Answers each GET of `/metrics` with what `text` gives at that moment.
    ///
    /// # Errors
    ///
    /// When the listener has no address.
    pub fn serve(listener: TcpListener, text: impl Fn() -> String + Send + Sync + 'static) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let text = Arc::new(text);
        let builder = builder();
        let task = tokio::spawn(async move {
            loop {
                let stream = accepted(&listener).await;
                let text = Arc::clone(&text);
                let service = service_fn(move |request: http::Request<Incoming>| {
                    let response = page(&request, &*text);
                    async move { Ok::<_, Infallible>(response) }
                });
                let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                tokio::spawn(async move {
                    let _ = connection.await;
                });
            }
        });
        Ok(Self { task: task.abort_handle(), address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn page(request: &http::Request<Incoming>, text: &dyn Fn() -> String) -> http::Response<Full<Bytes>> {
    let read = matches!(*request.method(), http::Method::GET | http::Method::HEAD);
    let (status, text) = match (request.uri().path(), read) {
        ("/metrics", true) => (http::StatusCode::OK, text()),
        ("/metrics", false) => (http::StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned()),
        _ => (http::StatusCode::NOT_FOUND, "see /metrics\n".to_owned()),
    };
    let mut response = http::Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let format = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, format);
    response
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // A client that is slow with its head must not hold a connection for good.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(HEAD));
    builder
}

async fn accepted(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Responses are written whole; waiting for more to send would only delay them.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            // Of the one connection, which is gone, or of all: then a descriptor has to come free first.
            Err(error) if is_of_one(&error) => {}
            Err(_) => sleep(PAUSE).await,
        }
    }
}

fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// How long a client may take for the head of a request, and how often one of HTTP/2 is asked whether it is there.
const HEAD: Duration = Duration::from_secs(30);

/// How long no connection is taken when the system has none left.
const PAUSE: Duration = Duration::from_millis(100);
