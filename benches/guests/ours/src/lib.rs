//! A guest of the bench: the urlpool client by composition.

#[allow(clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        world: "urlpool:bench-ours/ours",
        path: ["../../../wit", "../wit", "wit"],
        generate_all,
    });
}

use bindings::exports::urlpool::bench::work::{Guest, Job};
use bindings::urlpool::bench::source;
use bindings::urlpool::client::messages::{Error, Request, Response};
use bindings::urlpool::client::pool::{Options, Pending, Pool};
use bindings::wasi::http::types::{IncomingBody, Method};
use bindings::wasi::io::streams::StreamError;

struct Ours;

impl Guest for Ours {
    fn run(job: Job) -> Result<u64, String> {
        let options = Options::new();
        options.set_slots(Some(job.in_flight));
        options.set_origins(u32::try_from(job.urls.len()).unwrap_or(u32::MAX).max(32));
        // A large body is read as it comes; small ones are collected while others are under way.
        if job.raw || job.length > PIECE.into() {
            options.set_preload(None);
        }
        let pool = Pool::new(Some(&options));
        let sent = match job.in_flight {
            1 => in_turn(&job, &pool),
            // Bodies that are read as they come are not all held at once.
            _ if job.raw || job.length > PIECE.into() => side_by_side(&job, &pool),
            _ => all_at_once(&job, &pool),
        };
        sent.map_err(|failure| match failure {
            Failure::Client(error) => error.message,
            Failure::Answer(message) => message,
        })
    }

    fn nothing() {}
}

fn in_turn(job: &Job, pool: &Pool) -> Result<u64, Failure> {
    let mut total = 0;
    for index in 0..job.requests {
        let response = match job.upload {
            0 => pool.get(&job.urls[index as usize % job.urls.len()], &[])?,
            _ => pool.send(request(job, index)?)?,
        };
        total += read(response, job)?;
    }
    Ok(total)
}

/// Hands over many more requests than may be in flight, and lets the pool find out when each may go.
fn all_at_once(job: &Job, pool: &Pool) -> Result<u64, Failure> {
    let batch = (4 * job.in_flight).max(256);
    let mut total = 0;
    let mut begun = 0;
    while begun < job.requests {
        let end = job.requests.min(begun + batch);
        let requests = (begun..end).map(|index| request(job, index)).collect::<Result<_, _>>()?;
        for response in pool.send_all(requests) {
            total += read(response?, job)?;
        }
        begun = end;
    }
    Ok(total)
}

fn side_by_side(job: &Job, pool: &Pool) -> Result<u64, Failure> {
    let mut total = 0;
    let mut begun = 0;
    let mut pending: Vec<Pending> = Vec::new();
    while begun < job.requests || !pending.is_empty() {
        while begun < job.requests && pending.len() < job.in_flight as usize {
            pending.push(pool.start(request(job, begun)?));
            begun += 1;
        }
        let mut finished = pool.wait(&pending.iter().collect::<Vec<_>>(), Vec::new());
        // From the back, so that taking one out does not move those that come next.
        finished.sort_unstable();
        for index in finished.into_iter().rev() {
            let response = Pending::finish(pending.swap_remove(index as usize))?;
            total += read(response, job)?;
        }
    }
    Ok(total)
}

fn request(job: &Job, index: u32) -> Result<Request, Error> {
    let url = &job.urls[index as usize % job.urls.len()];
    if job.upload == 0 {
        return Request::create(&Method::Get, url);
    }
    let request = Request::create(&Method::Put, url)?;
    request.set_body_stream(source::zeros(job.upload), Some(job.upload));
    Ok(request)
}

fn read(response: Response, job: &Job) -> Result<u64, Failure> {
    if response.status() != 200 {
        return Err(Failure::Answer(format!("{}: status {}", response.url(), response.status())));
    }
    let length = if job.raw { read_raw(Response::take_raw(response)?)? } else { read_decoded(&response, job)? };
    if length != job.length {
        return Err(Failure::Answer(format!("{length} bytes")));
    }
    Ok(length)
}

fn read_decoded(response: &Response, job: &Job) -> Result<u64, Failure> {
    if job.length <= PIECE.into() {
        return Ok(response.read_all_words(PIECE)?.length.into());
    }
    let mut length = 0;
    loop {
        let piece = response.read_words(PIECE)?;
        if piece.length == 0 {
            return Ok(length);
        }
        length += u64::from(piece.length);
    }
}

fn read_raw(body: IncomingBody) -> Result<u64, Failure> {
    let stream = body.stream().map_err(|()| Failure::Answer("the stream is taken".to_owned()))?;
    let mut length = 0;
    loop {
        match stream.blocking_read(RAW) {
            Ok(piece) => length += piece.len() as u64,
            Err(StreamError::Closed) => return Ok(length),
            Err(StreamError::LastOperationFailed(error)) => return Err(Failure::Answer(error.to_debug_string())),
        }
    }
}

const PIECE: u32 = 64 * 1024;

/// What the host has at hand is passed on in one call, however much it is.
const RAW: u64 = 1024 * 1024;

enum Failure {
    Client(Error),
    Answer(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

bindings::export!(Ours with_types_in bindings);
