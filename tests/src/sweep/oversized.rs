//! Everything larger than anyone needs, and everything that never ends.

use anyhow::Result;
use bytes::Bytes;
use serde_json::{Value, json};

use super::plan::{GOOD, Right, Run, once};
use crate::cases::decode::gzip;
use crate::reply::{Reply, Step, ok, raw, redirect};

/// Adds a run for each of them.
pub(super) fn oversized(runs: &mut Vec<Run>) -> Result<()> {
    let mut add = |name: String, reply: Reply, right: Right, keys: Value| {
        let mut run = once(format!("oversized/{name}"), "GET", vec![reply], right);
        run.request["timeouts"] = json!({"total": "8s"});
        let fields = keys.as_object().into_iter().flatten();
        fields.for_each(|(key, value)| run.request[key] = value.clone());
        runs.push(run);
    };
    long(&mut add);
    many(&mut add);
    lengths(&mut add);
    endless(&mut add);
    bombs(&mut add)
}

/// What a client may say of what it does not take.
const REFUSED: [&str; 3] = ["interrupted", "protocol", "too-large"];

const HEAD: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
/// The rest of a head and of its answer.
const REST: &str = "Content-Length: 2\r\n\r\nok";

/// Long parts of an answer.
fn long(add: &mut impl FnMut(String, Reply, Right, Value)) {
    for size in [1 << 10, 1 << 16, 1 << 20] {
        let long = "x".repeat(size);
        // What has a kilobyte has to be read.
        let page = || match size {
            1024 => Right::answer(200, "ok"),
            _ => Right::answer(200, "ok").or_error(&REFUSED),
        };
        for (name, bytes) in [
            ("reason", format!("HTTP/1.1 200 {long}\r\n{REST}")),
            ("value", format!("{HEAD}X-A: {long}\r\n{REST}")),
            ("name", format!("{HEAD}{long}: 1\r\n{REST}")),
            ("extension", format!("{CHUNKED}2;{long}\r\nok\r\n0\r\n\r\n")),
            ("trailer", format!("{CHUNKED}2\r\nok\r\n0\r\nX-A: {long}\r\n\r\n")),
        ] {
            add(format!("{name}/{size}"), raw(bytes).close(), page(), Value::Null);
        }
        let moved = redirect(302, format!("/{long}")).close();
        let to_nowhere = Right::answer(404, "").or_error(&["interrupted", "protocol", "too-large", "bad-redirect"]);
        add(format!("location/{size}"), moved, to_nowhere, json!({"redirect": {"limit": 1}}));
    }
}

/// Many parts of an answer.
fn many(add: &mut impl FnMut(String, Reply, Right, Value)) {
    for size in [1 << 10, 1 << 16, 1 << 20] {
        let fields = "X-A: 1\r\n".repeat(size / 8);
        for (name, bytes) in [
            ("fields", format!("{HEAD}{fields}{REST}")),
            ("trailers", format!("{CHUNKED}2\r\nok\r\n0\r\n{fields}\r\n")),
            ("zeros", format!("{CHUNKED}{}2\r\nok\r\n0\r\n\r\n", "0".repeat(size))),
            ("blank-lines", format!("{}{HEAD}{REST}", "\r\n".repeat(size / 2))),
        ] {
            let right = Right::answer(200, "ok").or_error(&REFUSED);
            add(format!("{name}/{size}"), raw(bytes).close(), right, Value::Null);
        }
    }
    for count in [10, 100, 5000] {
        let chunks = format!("{CHUNKED}{}0\r\n\r\n", "1\r\na\r\n".repeat(count));
        add(format!("chunks/{count}"), raw(chunks).close(), Right::answer(200, "a".repeat(count)), Value::Null);
        let extensions = format!("{CHUNKED}{}0\r\n\r\n", "1;xxxxxxxx\r\na\r\n".repeat(count));
        let right = match count {
            5000 => Right::answer(200, "a".repeat(count)).or_error(&REFUSED),
            _ => Right::answer(200, "a".repeat(count)),
        };
        add(format!("extensions/{count}"), raw(extensions).close(), right, Value::Null);
    }
}

/// Lengths that no body has.
fn lengths(add: &mut impl FnMut(String, Reply, Right, Value)) {
    for length in ["18446744073709551615", "9223372036854775808", "9223372036854775807", "99999999999999999999"] {
        let reply = || raw(format!("{HEAD}Content-Length: {length}\r\n\r\nabc")).close();
        add(format!("length/{length}"), reply(), Right::error(&REFUSED), Value::Null);
        add(format!("length-limited/{length}"), reply(), Right::error(&REFUSED), json!({"max_body": 100}));
    }
    for size in ["ffffffffffffffff", "fffffffffffffffff", "8000000000000000", "7fffffffffffffff"] {
        let reply = raw(format!("{CHUNKED}{size}\r\nabc")).close();
        add(format!("chunk/{size}"), reply, Right::error(&REFUSED), Value::Null);
    }
}

/// What never ends: the client has to.
fn endless(add: &mut impl FnMut(String, Reply, Right, Value)) {
    let stopped = || Right::error(&["interrupted", "protocol", "too-large", "timed-out"]);
    let soon = || json!({"timeouts": {"total": "400ms"}});
    for (name, start, again) in [
        ("line", "", "x"),
        ("reason", "HTTP/1.1 200 ", "x"),
        ("name", HEAD, "x"),
        ("value", "HTTP/1.1 200 OK\r\nX-A: ", "x"),
        ("fields", HEAD, "X-A: 1\r\n"),
        ("interim", "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ("continue", "", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("blank-lines", "", "\r\n"),
        ("size", CHUNKED, "0"),
        ("extension", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x"),
        ("trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", "x"),
        ("trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X-A: 1\r\n"),
    ] {
        add(format!("endless/{name}"), flood(start, again), stopped(), soon());
    }
    for (name, start, again, limited) in [
        ("body", "HTTP/1.1 200 OK\r\n\r\n", "x", Right::error(&["too-large"])),
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000\r\n\r\n", "x", Right::error(&["too-large"])),
        ("chunks", CHUNKED, "1\r\na\r\n", Right::error(&["too-large"])),
        // Their extensions may be too many before their content is.
        ("extensions", CHUNKED, "1;x\r\na\r\n", Right::error(&REFUSED)),
    ] {
        add(format!("endless/{name}/limited"), flood(start, again), limited, json!({"max_body": 5000}));
        // Without a limit it is the deadline that ends it: what is larger than is preloaded is delivered, and read on.
        add(format!("endless/{name}"), flood(start, again), stopped(), soon());
    }
    let moved = flood("HTTP/1.1 302 Found\r\nLocation: /good\r\n\r\n", "x");
    add("endless/redirect".to_owned(), moved, Right::answer(200, GOOD), json!({"redirect": {"limit": 1}}));
}

/// Sends `start`, then `again` for ever.
fn flood(start: &str, again: &str) -> Reply {
    // Many at once, so that it is not the server that takes its time.
    let again = again.repeat(1.max(4096 / again.len()));
    raw(start).then(Step::Flood(Bytes::from(again)))
}

/// Bodies that decode to far more than they are.
fn bombs(add: &mut impl FnMut(String, Reply, Right, Value)) -> Result<()> {
    let too_large = || Right::error(&["too-large"]);
    let mut nested = vec![0; 4 << 20];
    for depth in 1..=5 {
        nested = gzip(&nested)?;
        let reply = ok(&nested).header("Content-Encoding", vec!["gzip"; depth].join(", "));
        add(format!("bomb/nested/{depth}"), reply, too_large(), Value::Null);
    }
    let bomb = gzip(vec![0; 1 << 20])?.repeat(64);
    let reply = || ok(&bomb).header("Content-Encoding", "gzip");
    add("bomb/ratio".to_owned(), reply(), too_large(), Value::Null);
    add("bomb/limit".to_owned(), reply(), too_large(), json!({"max_ratio": null, "max_body": 1 << 20}));
    add("bomb/cut".to_owned(), reply().cut(bomb.len() / 2).close(), too_large(), Value::Null);
    Ok(())
}
