//! A guest of the bench: golem-wasi-http, in its async variant.

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
use golem_wasi_http::{Body, Client, Response};
use std::cell::Cell;
use std::io::Read as _;

struct Golem;

impl Guest for Golem {
    fn run(job: Job) -> Result<u64, String> {
        wstd::runtime::block_on(async {
            let client = Client::new();
            let begun = Cell::new(0);
            let lanes: Vec<_> = (0..job.in_flight).map(|_| lane(&job, &begun, &client)).collect();
            lanes.join().await.into_iter().sum()
        })
    }

    fn nothing() {}
}

/// Makes one request after another until all have begun.
async fn lane(job: &Job, begun: &Cell<u32>, client: &Client) -> Result<u64, String> {
    let mut total = 0;
    while begun.get() < job.requests {
        let index = begun.replace(begun.get() + 1);
        let url = &job.urls[index as usize % job.urls.len()];
        total += one(job, url, client).await.map_err(|error| format!("{url}: {error}"))?;
    }
    Ok(total)
}

async fn one(job: &Job, url: &str, client: &Client) -> Result<u64, String> {
    let request = if job.upload == 0 {
        client.get(url)
    } else {
        client.put(url).body(Body::new(std::io::repeat(0).take(job.upload)))
    };
    let response = request.send().await.map_err(|error| error.to_string())?;
    if response.status().as_u16() != 200 {
        return Err(format!("status {}", response.status()));
    }
    let length = if job.length > PIECE {
        stream(response)?
    } else {
        response.bytes().await.map_err(|error| error.to_string())?.len() as u64
    };
    if length != job.length {
        return Err(format!("{length} bytes"));
    }
    Ok(length)
}

/// Reads a body that is too large for memory: its `async_chunks` pads what it yields, so by the raw stream.
fn stream(mut response: Response) -> Result<u64, String> {
    let (stream, body) = response.get_raw_input_stream();
    let mut length = 0;
    let end = loop {
        match stream.blocking_read(PIECE) {
            Ok(piece) => length += piece.len() as u64,
            Err(end) => break end.to_string(),
        }
    };
    // The stream is a child of the body, and the host traps when a parent goes first.
    drop(stream);
    drop(body);
    // What ends a body that is whole; any other end leaves the length short of what is due.
    if end.contains("Closed") { Ok(length) } else { Err(end) }
}

const PIECE: u64 = 64 * 1024;

bindings::export!(Golem with_types_in bindings);
