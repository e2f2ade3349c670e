//! HTTP/2, by hyper.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Asked, Shared};
use crate::zeros::Zeros;

/// Answers the requests of one connection until the client closes it.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared>,
) -> Result<()> {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(respond(request, &shared).await) }
    });
    Ok(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await?)
}

async fn respond(request: Request<Incoming>, shared: &Shared) -> Response<Zeros> {
    let asked = Asked::parse(request.uri().path());
    let mut body = request.into_body();
    let mut received = 0;
    // A body that breaks off is short, and answered as such.
    while let Some(Ok(frame)) = body.frame().await {
        received += frame.data_ref().map_or(0, |piece| piece.len() as u64);
    }
    match shared.answer(asked, received).await {
        Some(length) => Response::new(Zeros::new(length)),
        None => {
            let mut refused = Response::new(Zeros::new(0));
            *refused.status_mut() = StatusCode::BAD_REQUEST;
            refused
        }
    }
}
