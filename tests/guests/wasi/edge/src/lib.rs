//! A guest of the tests: a handler that imports the client.
//!
//! The path says what it does; the query is split at `&`:
//!
//! - `/hello` answers with a line, and how many requests its instance has had in `x-given`;
//! - `/fan?MILLISECONDS&URL&…` sends to all of these at once within so many milliseconds, and answers with a line for each:
//!   its status and body, or the kind of its error;
//! - `/echo` answers with the body that was sent;
//! - `/wait?MILLISECONDS` waits for a clock, `/spin` computes for good, `/endless` writes a body for good;
//! - `/eat?MEGABYTES` takes so much memory;
//! - `/trap` traps, `/half` after the head of its response, `/silent` ends without one, `/refuse` answers with an error.

#[allow(clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        world: "urlpool:guest-edge/edge",
        path: ["../../../../wit", "wit"],
        generate_all,
    });
}

use bindings::urlpool::client::messages::{Request, Response};
use bindings::urlpool::client::policy::{Retry, Timeouts};
use bindings::urlpool::client::pool::{Options, Pool};
use bindings::wasi::clocks::monotonic_clock;
use bindings::wasi::http::types::{
    ErrorCode, Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use bindings::wasi::io::streams::StreamError;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

struct Edge;

/// How many requests this instance has had.
static GIVEN: AtomicU32 = AtomicU32::new(0);

impl bindings::exports::wasi::http::incoming_handler::Guest for Edge {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let given = GIVEN.fetch_add(1, Relaxed) + 1;
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut operands = query.split('&').filter(|operand| !operand.is_empty());
        let mut number = || operands.next().and_then(|operand| operand.parse::<u64>().ok()).unwrap_or(0);
        match path {
            "/hello" => answer(out, given, b"hello from the edge\n"),
            "/fan" => {
                let within = number();
                let text = fan_out(within, &operands.collect::<Vec<_>>());
                answer(out, given, text.as_bytes());
            }
            "/echo" => echo(request, out, given),
            "/wait" => {
                monotonic_clock::subscribe_duration(number() * 1_000_000).block();
                answer(out, given, b"waited\n");
            }
            "/spin" => loop {
                std::hint::black_box(GIVEN.load(Relaxed));
            },
            "/endless" => {
                let body = head(out, given);
                let stream = body.write().expect("taken once");
                while stream.blocking_write_and_flush(b"on and on\n").is_ok() {}
            }
            "/eat" => {
                let eaten = vec![1_u8; number() as usize * 1024 * 1024];
                let text = format!("{} bytes\n", std::hint::black_box(eaten).len());
                answer(out, given, text.as_bytes());
            }
            "/trap" => std::process::abort(),
            "/half" => {
                let body = head(out, given);
                let stream = body.write().expect("taken once");
                stream.blocking_write_and_flush(b"half").expect("the client reads");
                std::process::abort()
            }
            "/silent" => {}
            "/refuse" => ResponseOutparam::set(out, Err(ErrorCode::LoopDetected)),
            _ => answer(out, given, b"nothing here\n"),
        }
    }
}

fn head(out: ResponseOutparam, given: u32) -> OutgoingBody {
    let headers = Fields::new();
    headers.append("x-given", given.to_string().as_bytes()).expect("no header of the host's");
    let response = OutgoingResponse::new(headers);
    let body = response.body().expect("taken once");
    ResponseOutparam::set(out, Ok(response));
    body
}

fn answer(out: ResponseOutparam, given: u32, text: &[u8]) {
    let body = head(out, given);
    let stream = body.write().expect("taken once");
    for piece in text.chunks(4096) {
        if stream.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
    drop(stream);
    // A client that has gone does not want it.
    let _ = OutgoingBody::finish(body, None);
}

fn echo(request: IncomingRequest, out: ResponseOutparam, given: u32) {
    let incoming = request.consume().expect("consumed once");
    let input = incoming.stream().expect("taken once");
    let body = head(out, given);
    let output = body.write().expect("taken once");
    loop {
        match output.blocking_splice(&input, 64 * 1024) {
            Ok(_) => {}
            Err(StreamError::Closed) => break,
            // The body is then cut off, as it came.
            Err(StreamError::LastOperationFailed(_)) => return,
        }
    }
    drop(output);
    let _ = OutgoingBody::finish(body, None);
}

/// Sends to all at once, and writes a line for each.
fn fan_out(milliseconds: u64, urls: &[&str]) -> String {
    let options = Options::new();
    options.set_retry(&Retry::never());
    let timeouts = Timeouts::new();
    timeouts.set_total(Some(milliseconds * 1_000_000));
    options.set_timeouts(&timeouts);
    let pool = Pool::new(Some(&options));
    let requests: Result<Vec<_>, _> = urls.iter().map(|url| Request::create(&Method::Get, url)).collect();
    let requests = match requests {
        Ok(requests) => requests,
        Err(error) => return format!("{:?}\n", error.kind),
    };
    let mut text = String::new();
    for answer in pool.send_all(requests) {
        text += &match answer.and_then(|response| read(&response)) {
            Ok(line) => line,
            Err(error) => format!("{:?}\n", error.kind),
        };
    }
    text
}

fn read(response: &Response) -> Result<String, bindings::urlpool::client::messages::Error> {
    Ok(format!("{} {}\n", response.status(), response.read_text(1 << 20)?.trim_end()))
}

bindings::export!(Edge with_types_in bindings);
