//! `urlpool send`: requests out, bodies or JSON lines in, in the order of the requests.

use crate::{
    USAGE,
    args::{OutputArgs, SendArgs},
    plan,
    receive::{Received, Receiving, Sink},
    trace,
    verbose::Verbose,
};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};
use urlpool_script::{
    CallError, Failure, Fields, Head, Mark, Pending, Pool, Program, RawBody, Request, Response, Session, answer,
};

/// Sends what the flags say; the exit code says whether each request got a response.
///
/// # Errors
///
/// One line about what is wrong before anything is sent.
pub(crate) async fn run(args: &SendArgs) -> Result<u8> {
    let requests = plan::requests(args)?;
    let options = plan::options(args);
    let transport = plan::transport(&args.host)?;
    let mut session = Program::embedded()?.session(transport).await?;
    let pool = session.open(&options).await?;
    if !args.output.json {
        // All of them before the first: a mistake in the last URL should not cost a request.
        for request in &requests {
            session.validate(request, pool).await?;
        }
    }
    let total = requests.len() * args.output.repeat;
    let mut sending = Sending {
        session,
        pool,
        requests,
        total,
        verbose: Verbose::new(args.output.verbose),
        printer: Printer::new(&args.output),
    };
    match args.output.concurrency.min(total) {
        1 => sending.one_by_one().await?,
        limit => sending.side_by_side(limit).await?,
    }
    if args.output.stats {
        let stats = stats(&mut sending.session, pool).await?;
        sending.printer.stats(&stats)?;
    }
    Ok(sending.printer.status)
}

struct Sending {
    session: Session,
    pool: Pool,
    requests: Vec<Request>,
    total: usize,
    verbose: Verbose,
    printer: Printer,
}

impl Sending {
    fn request(&self, index: usize) -> &Request {
        &self.requests[index % self.requests.len()]
    }

    async fn one_by_one(&mut self) -> Result<()> {
        for index in 0..self.total {
            let request = self.request(index).clone();
            self.verbose.sending(&request);
            let answer = self.session.send(&request, self.pool).await;
            // With one at a time a body can go out while it comes in.
            let sink = self.printer.sink();
            let outcome = self.read(answer, sink).await?;
            self.report(index, outcome)?;
        }
        Ok(())
    }

    /// Keeps up to `limit` requests going; the component multiplexes them.
    async fn side_by_side(&mut self, limit: usize) -> Result<()> {
        let mut next = 0;
        let mut going: VecDeque<(usize, Pending)> = VecDeque::new();
        // What finished before its turn to be printed.
        let mut early = BTreeMap::new();
        let mut printed = 0;
        while printed < self.total {
            while next < self.total && going.len() < limit {
                let request = self.request(next).clone();
                self.verbose.sending(&request);
                match self.session.start(&request, self.pool).await {
                    Ok(pending) => going.push_back((next, pending)),
                    Err(failure) => {
                        early.insert(next, Outcome::failed(failure));
                    }
                }
                next += 1;
            }
            let pending: Vec<&Pending> = going.iter().map(|(_, pending)| pending).collect();
            let finished = self.session.wait(&pending, None, self.pool).await;
            let mut finished = match finished {
                Ok(finished) => finished,
                // Trapped: every finish says so, and so the rest is told too.
                Err(_) => (0..going.len()).collect(),
            };
            // From the back, so that the indices in front stay what they are.
            finished.sort_unstable();
            for at in finished.into_iter().rev() {
                let Some((index, pending)) = going.remove(at) else { continue };
                let answer = self.session.finish(pending).await;
                // Kept until its turn, but not what goes to /dev/null anyway.
                let sink = match self.printer.sink() {
                    Sink::Stdout => Sink::Memory,
                    sink @ (Sink::Memory | Sink::File(_)) => sink,
                };
                let outcome = self.read(answer, sink).await?;
                early.insert(index, outcome);
            }
            while let Some(outcome) = early.remove(&printed) {
                self.report(printed, outcome)?;
                printed += 1;
            }
        }
        Ok(())
    }

    /// Reads a response to its end, into where it belongs.
    async fn read(&mut self, answer: Result<Response, Failure>, sink: Sink) -> Result<Outcome> {
        let response = match answer {
            Ok(response) => response,
            Err(failure) => return Ok(Outcome::failed(failure)),
        };
        let head = match self.session.head(&response).await {
            Ok(head) => head,
            Err(failure) => return Ok(Outcome::failed(failure)),
        };
        self.verbose.head(&head);
        let mut body = Receiving::new(sink, &head)?;
        let mut outcome = Outcome::default();
        let begun = std::time::Instant::now();
        let before = response.took();
        if self.printer.raw {
            outcome.trace = self.session.trace(&response).await.unwrap_or_default();
            match self.session.take_raw(response).await {
                Ok(mut raw) => match receive_raw(&mut raw, &mut body).await? {
                    Some(failure) => outcome.failure = Some(failure),
                    None => outcome.trailers = raw.trailers().await,
                },
                Err(failure) => outcome.failure = Some(failure),
            }
        } else {
            outcome.failure = loop {
                match self.session.read(&response, PIECE).await {
                    Ok(piece) if piece.is_empty() => break None,
                    Ok(piece) => body.write(&piece)?,
                    Err(failure) => break Some(failure),
                }
            };
            if outcome.failure.is_none() {
                match self.session.trailers(&response).await {
                    Ok(trailers) => outcome.trailers = trailers,
                    Err(failure) => outcome.failure = Some(failure),
                }
            }
            outcome.trace = self.session.trace(&response).await.unwrap_or_default();
            if let Err(failure) = self.session.release(response).await {
                outcome.failure.get_or_insert(failure);
            }
        }
        outcome.elapsed = before + begun.elapsed();
        outcome.head = Some(head);
        outcome.body = Some(body.finish()?);
        Ok(outcome)
    }

    fn report(&mut self, index: usize, outcome: Outcome) -> Result<()> {
        self.verbose.ended(outcome.head.as_ref(), outcome.failure.as_ref(), outcome.elapsed);
        let request = &self.requests[index % self.requests.len()];
        self.printer.print(index, request, outcome)
    }
}

/// How much is read at once.
const PIECE: u32 = 64 * 1024;

async fn receive_raw(raw: &mut RawBody, body: &mut Receiving) -> Result<Option<Failure>> {
    loop {
        match raw.read(PIECE as usize).await {
            Ok(piece) if piece.is_empty() => return Ok(None),
            Ok(piece) => body.write(&piece)?,
            Err(failure) => return Ok(Some(failure)),
        }
    }
}

/// What came of one request.
#[derive(Default)]
struct Outcome {
    head: Option<Head>,
    body: Option<Received>,
    trailers: Fields,
    elapsed: Duration,
    /// Until the end of the body, or until it failed.
    trace: Vec<Mark>,
    failure: Option<Failure>,
}

impl Outcome {
    fn failed(failure: Failure) -> Self {
        let (elapsed, trace) = match &failure {
            Failure::Call(error) => (error.elapsed, error.trace.clone()),
            _ => (Duration::ZERO, Vec::new()),
        };
        Self { failure: Some(failure), elapsed, trace, ..Self::default() }
    }
}

/// The exit status when a request failed.
const FAILED: u8 = 1;

/// Prints outcomes, one after the other.
struct Printer {
    json: bool,
    raw: bool,
    trace: bool,
    output: Option<PathBuf>,
    /// The exit status so far.
    status: u8,
}

impl Printer {
    fn new(args: &OutputArgs) -> Self {
        let output = args.output.clone().filter(|path| path != Path::new("-"));
        Self { json: args.json, raw: args.raw, trace: args.trace, output, status: 0 }
    }

    fn sink(&self) -> Sink {
        match &self.output {
            Some(path) => Sink::File(path.clone()),
            None if self.json => Sink::Memory,
            None => Sink::Stdout,
        }
    }

    fn print(&mut self, index: usize, request: &Request, outcome: Outcome) -> Result<()> {
        if let Some(failure) = &outcome.failure {
            // Some of what makes a request malformed shows only when it is put together, such as headers that are too
            // large in sum. With --json that is one answer beside the others.
            let malformed = !self.json && failure.kind() == "invalid-request";
            self.status = self.status.max(if malformed { USAGE } else { FAILED });
        }
        if self.json {
            let mut answer = to_json(index, request, &outcome);
            if let (true, Value::Object(keys)) = (self.trace, &mut answer) {
                keys.insert("trace".into(), answer::trace(&outcome.trace));
            }
            return line(&answer);
        }
        // What was collected beside others is written now, in its turn.
        if let Some(body) = outcome.body.as_ref().and_then(|body| body.kept.as_ref()) {
            io::stdout().write_all(body).context("standard output")?;
            io::stdout().flush().context("standard output")?;
        }
        if self.trace {
            eprint!("{}", trace::chart(&outcome.trace));
        }
        if let Some(failure) = &outcome.failure {
            eprintln!("urlpool: {failure}");
        }
        Ok(())
    }

    fn stats(&self, stats: &Value) -> Result<()> {
        match self.json {
            true => line(stats),
            false => {
                eprintln!("{stats}");
                Ok(())
            }
        }
    }
}

fn line(value: &Value) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}").and_then(|()| out.flush()).context("standard output")
}

fn to_json(index: usize, request: &Request, outcome: &Outcome) -> Value {
    let (head, body) = (outcome.head.as_ref(), outcome.body.as_ref());
    let error = match &outcome.failure {
        Some(Failure::Call(error)) => Some(error),
        _ => None,
    };
    let history =
        head.map(|head| head.history.as_slice()).or(error.map(|error| error.history.as_slice())).unwrap_or_default();
    let url = head.map(|head| head.url.clone()).or_else(|| error.and_then(|e| e.url.clone()));
    let sent = head.is_some() || error.is_some_and(|error| was_sent(error));
    json!({
        "index": index,
        "method": request.method,
        "request_url": request.url,
        "url": url,
        "status": head.map(|head| head.status),
        "headers": head.map(|head| answer::fields(&head.headers)),
        "trailers": head.map(|_| answer::fields(&outcome.trailers)),
        "body_base64": body.and_then(|body| body.kept.as_deref()).map(answer::base64),
        "body_bytes": body.map(|body| body.bytes),
        "body_sha256": body.map(|body| &body.sha256),
        "decoded": head.map(|head| head.decoded),
        "attempts": history.len() + usize::from(sent),
        "history": answer::history(history),
        "not_retried_because": head.and_then(|head| head.not_retried.clone()),
        "elapsed_ms": answer::millis(outcome.elapsed),
        "error": outcome.failure.as_ref().map(answer::error),
    })
}

/// Whether the last attempt of a failed call was sent, as far as the host saw it.
fn was_sent(error: &CallError) -> bool {
    let last = error.history.len() as u32 + 1;
    error.trace.iter().any(|mark| mark.what == "sending" && mark.attempt == last)
}

/// The figures of host and pool in one object; null where the host does not count.
async fn stats(session: &mut Session, pool: Pool) -> Result<Value> {
    let host = session.host().map(|host| answer::host_stats(&host.stats()));
    let pool = session.stats(pool).await?;
    let of_host = |key: &str| host.as_ref().map(|host| host[key].clone());
    Ok(json!({"stats": {
        "opened": of_host("opened"),
        "opened_h2": of_host("opened_h2"),
        "reused": of_host("reused"),
        "resent": of_host("resent"),
        "discarded": of_host("discarded"),
        "evicted": of_host("evicted"),
        "idle": of_host("idle"),
        "live": of_host("live"),
        "waiting": of_host("waiting"),
        "waited": of_host("waited"),
        "wait_ms": of_host("wait_ms"),
        "bytes_read": of_host("bytes_read"),
        "bytes_written": of_host("bytes_written"),
        "requests": pool.requests,
        "retries": pool.retries,
        "redirects": pool.redirects,
    }}))
}
