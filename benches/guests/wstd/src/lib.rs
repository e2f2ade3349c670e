//! A guest of the bench: wstd, whose requests run side by side on its reactor.

#[allow(clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        world: "urlpool:bench/guest",
        path: ["../../../wit", "../wit"],
        generate_all,
    });
}

use bindings::exports::urlpool::bench::work::{Guest, Job};
use futures_concurrency::future::Join as _;
use http_body_util::BodyExt as _;
use std::cell::Cell;
use wstd::http::{Body, Client, Request};

struct Wstd;

impl Guest for Wstd {
    fn run(job: Job) -> Result<u64, String> {
        wstd::runtime::block_on(async {
            let begun = Cell::new(0);
            let lanes: Vec<_> = (0..job.in_flight).map(|_| lane(&job, &begun)).collect();
            lanes.join().await.into_iter().sum()
        })
    }

    fn nothing() {}
}

/// Makes one request after another until all have begun.
async fn lane(job: &Job, begun: &Cell<u32>) -> Result<u64, String> {
    let client = Client::new();
    let mut total = 0;
    while begun.get() < job.requests {
        let index = begun.replace(begun.get() + 1);
        let url = &job.urls[index as usize % job.urls.len()];
        total += one(job, url, &client).await.map_err(|error| format!("{url}: {error:#}"))?;
    }
    Ok(total)
}

async fn one(job: &Job, url: &str, client: &Client) -> Result<u64, wstd::http::Error> {
    let request = if job.upload == 0 {
        Request::get(url).body(Body::empty())?
    } else {
        let upload = job.upload;
        let pieces = (0..upload.div_ceil(PIECE)).map(move |at| ZEROS.slice(upload - at * PIECE));
        Request::put(url).body(Body::from_stream(futures_lite::stream::iter(pieces)))?
    };
    let response = client.send(request).await?;
    if response.status() != 200 {
        return Err(wstd::http::Error::msg(format!("status {}", response.status())));
    }
    let mut body = response.into_body().into_boxed_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, |piece| piece.len() as u64);
    }
    if length != job.length {
        return Err(wstd::http::Error::msg(format!("{length} bytes")));
    }
    Ok(length)
}

const PIECE: u64 = 64 * 1024;

/// As many zeros as a piece has.
struct Zeros([u8; PIECE as usize]);

static ZEROS: Zeros = Zeros([0; PIECE as usize]);

impl Zeros {
    fn slice(&'static self, left: u64) -> wstd::http::body::Bytes {
        let length = usize::try_from(left.min(PIECE)).unwrap_or(self.0.len());
        wstd::http::body::Bytes::from_static(&self.0[..length])
    }
}

bindings::export!(Wstd with_types_in bindings);
