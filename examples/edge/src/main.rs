//! An edge function: asks several upstreams at once, retries what is worth it, and answers with the merge within a deadline.
//!
//! The upstreams stand in the variable `UPSTREAMS`, separated by spaces. Each is asked with the path and query of the request.
//! One that is slow costs no more than the deadline, one that fails stands in the answer by its kind.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use urlpool::{Error, ErrorKind, Pool, Response, Retry, Timeouts};
use wstd::http;

#[wstd::http_server]
async fn main(request: http::Request<http::Body>) -> Result<http::Response<http::Body>> {
    let upstreams = std::env::var("UPSTREAMS").context("UPSTREAMS is not set")?;
    let upstreams: Vec<_> = upstreams.split_whitespace().collect();
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());

    let retry =
        Retry::default().with_statuses([502, 503]).with_backoff(Duration::from_millis(10), Duration::from_millis(50));
    let pool = Pool::builder()
        .retry(retry)
        .timeouts(Timeouts::default().with_total(Duration::from_millis(800)))
        .max_body(64 * 1024)
        .build()?;
    let answers = pool.send_all(upstreams.iter().map(|upstream| pool.get(format!("{upstream}{target}"))));

    let merged: Vec<_> = answers.into_iter().map(merge).collect();
    let body = serde_json::to_string(&json!({ "answers": merged }))?;
    Ok(http::Response::builder().header("content-type", "application/json").body(body.into())?)
}

fn merge(answer: Result<Response, Error>) -> Value {
    let read = answer.and_then(|response| {
        let attempts = response.history().len() + 1;
        let status = response.status().as_u16();
        Ok(json!({ "status": status, "attempts": attempts, "text": response.text()? }))
    });
    read.unwrap_or_else(|error| {
        let kind = match error.kind() {
            ErrorKind::Connect => "cannot be reached",
            ErrorKind::TimedOut => "too slow",
            ErrorKind::TooLarge => "too large",
            ErrorKind::Denied => "denied by the host",
            _ => "failed",
        };
        json!({ "error": kind })
    })
}
