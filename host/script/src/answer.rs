//! Answers as JSON: the same objects for the script and for `urlpool send --json`.

use crate::{
    error::{Failure, Past, kind_name, phase_name},
    session::{Fields, Head, PoolStats},
    trace::Mark,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use urlpool_host::Stats;

/// An error as JSON, with a key for everything that can be known of one.
pub fn error(failure: &Failure) -> Value {
    let (kind, message) = (failure.kind(), failure.to_string());
    match failure {
        Failure::Call(error) => json!({
            "kind": kind_name(error.kind),
            "message": message,
            "url": error.url,
            "phase": error.phase.map(phase_name),
            "code": error.code,
            "status": error.status,
            "location": error.location,
            "elapsed_ms": millis(error.elapsed),
            "limit_ms": error.limit.map(millis),
            "expected_bytes": error.expected,
            "received_bytes": error.received,
            "history": history(&error.history),
            "trace": trace(&error.trace),
        }),
        Failure::Usage(_) | Failure::Trap(_) => json!({
            "kind": kind,
            "message": message,
            "url": null,
            "phase": null,
            "code": null,
            "status": null,
            "location": null,
            "elapsed_ms": null,
            "limit_ms": null,
            "expected_bytes": null,
            "received_bytes": null,
            "history": [],
            "trace": [],
        }),
    }
}

/// The attempts that others followed, as JSON.
pub fn history(history: &[Past]) -> Value {
    let entry = |past: &Past| {
        json!({
            "kind": past.kind,
            "method": past.method,
            "url": past.url,
            "status": past.status,
            "error": past.error,
            "delay_ms": millis(past.delay),
        })
    };
    history.iter().map(entry).collect()
}

/// What happened in a call, as JSON.
pub fn trace(trace: &[Mark]) -> Value {
    let entry = |mark: &Mark| {
        let mut entry =
            object(json!({"after_ms": mark.after.as_secs_f64() * 1e3, "attempt": mark.attempt, "what": mark.what}));
        entry.extend(mark.status.map(|status| ("status".into(), status.into())));
        entry.extend(mark.delay.map(|delay| ("delay_ms".into(), millis(delay).into())));
        Value::Object(entry)
    };
    trace.iter().map(entry).collect()
}

/// Fields as pairs of texts, each byte of a value one Latin-1 character.
pub fn fields(fields: &Fields) -> Value {
    let text = |value: &[u8]| value.iter().copied().map(char::from).collect::<String>();
    fields.iter().map(|(name, value)| json!([name, text(value)])).collect()
}

/// The SHA-256 of some bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in base64.
pub fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The head of a response.
pub(crate) fn head(head: &Head, took: Duration) -> Map<String, Value> {
    object(json!({
        "status": head.status,
        "url": head.url,
        "headers": fields(&head.headers),
        "decoded": head.decoded,
        "history": history(&head.history),
        "not_retried_because": head.not_retried,
        "elapsed_ms": millis(took),
        "attempts": head.history.len() + 1,
    }))
}

/// A body: as text where it is one, and always as bytes.
pub(crate) fn body(bytes: &[u8]) -> Map<String, Value> {
    let mut answer = piece(bytes);
    answer.insert("body_sha256".into(), sha256(bytes).into());
    answer
}

/// A piece of a body.
pub(crate) fn piece(bytes: &[u8]) -> Map<String, Value> {
    let mut answer = Map::new();
    if let Ok(text) = std::str::from_utf8(bytes) {
        answer.insert("body".into(), text.into());
    }
    answer.insert("body_base64".into(), base64(bytes).into());
    answer.insert("body_bytes".into(), bytes.len().into());
    answer
}

/// The figures of a pool.
pub(crate) fn pool_stats(stats: &PoolStats) -> Value {
    json!({
        "requests": stats.requests,
        "attempts": stats.attempts,
        "retries": stats.retries,
        "redirects": stats.redirects,
        "in_flight": stats.in_flight,
        "queued": stats.queued,
        "origins": stats.origins,
    })
}

/// The figures of a host.
pub fn host_stats(stats: &Stats) -> Value {
    json!({
        "opened": stats.opened,
        "opened_h2": stats.opened_h2,
        "reused": stats.reused,
        "resent": stats.resent,
        "discarded": stats.discarded,
        "evicted": stats.evicted,
        "idle": stats.idle,
        "live": stats.live,
        "waiting": stats.waiting,
        "waited": stats.waited,
        "wait_ms": stats.wait_time.as_secs_f64() * 1e3,
        "bytes_read": stats.bytes_read,
        "bytes_written": stats.bytes_written,
    })
}

/// The map of a value that is one.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => Map::from_iter([("value".into(), other)]),
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
