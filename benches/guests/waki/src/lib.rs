//! A guest of the bench: waki, which blocks on each request.

#[allow(clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        world: "urlpool:bench/guest",
        path: ["../../../wit", "../wit"],
        generate_all,
    });
}

use bindings::exports::urlpool::bench::work::{Guest, Job};

struct Waki;

impl Guest for Waki {
    fn run(job: Job) -> Result<u64, String> {
        if job.in_flight > 1 || job.upload > 0 {
            return Err("waki sends one request at a time, and no body that is not in memory".to_owned());
        }
        let client = waki::Client::new();
        let mut total = 0;
        for index in 0..job.requests {
            let url = &job.urls[index as usize % job.urls.len()];
            let response = client.get(url).send().map_err(|error| error.to_string())?;
            if response.status_code() != 200 {
                return Err(format!("{url}: status {}", response.status_code()));
            }
            let mut length = 0;
            while let Some(piece) = response.chunk(PIECE).map_err(|error| error.to_string())? {
                length += piece.len() as u64;
            }
            if length != job.length {
                return Err(format!("{url}: {length} bytes"));
            }
            total += length;
        }
        Ok(total)
    }

    fn nothing() {}
}

const PIECE: u64 = 64 * 1024;

bindings::export!(Waki with_types_in bindings);
