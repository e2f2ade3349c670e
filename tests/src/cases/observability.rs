//! What a call tells of itself: its trace, its figures, and no secrets.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::Until;
use crate::case::{cases, same, stock};
use crate::client::{Client, headers, operation};
use crate::reply::{Gate, ok, raw, reset, stall, status};
use crate::rig::Rig;
use crate::server::Server;

cases! { "observability";
    "O1" a_trace_tells_each_moment_in_order, not on stock: stock::COUNTS_NOTHING;
    "O1b" a_trace_tells_each_attempt_of_a_retry;
    "O1c" a_trace_tells_each_hop;
    "O1d" a_trace_grows_while_the_call_goes_on;
    "O2" what_begins_in_a_trace_ends_also_on_failure;
    "O3" the_times_of_a_trace_add_up;
    "O4" secrets_show_neither_in_errors_nor_in_histories;
    "O5" figures_only_grow, not on stock: stock::COUNTS_NOTHING;
    "O6" each_attempt_is_a_span_of_its_trace_on_request;
}

/// The moments of an attempt that goes well.
const GOOD: [&str; 6] = ["queued", "granted", "sending", "sent", "first-byte", "body-end"];

/// What a trace tells, one word a mark.
fn words(trace: &Value) -> Vec<String> {
    let marks = trace.as_array().map(Vec::as_slice).unwrap_or_default();
    marks.iter().filter_map(|mark| mark["what"].as_str().map(str::to_owned)).collect()
}

/// Reads the response of this name to its end; the trace of its call.
async fn traced(client: &mut Client, name: &str) -> Result<Value> {
    client.ok(json!({"op": "read-all", "handle": name})).await?;
    Ok(client.ok(json!({"op": "trace", "handle": name})).await?["trace"].take())
}

/// Checks that every beginning has its end, that times only grow, and that attempts are counted without a gap.
fn check(trace: &Value) -> Result<()> {
    let marks = trace.as_array().context("a list of marks")?;
    let mut before: Option<(&str, f64, u64)> = None;
    for mark in marks {
        let what = mark["what"].as_str().context("what happened")?;
        let (after, attempt) =
            (mark["after_ms"].as_f64().context("a time")?, mark["attempt"].as_u64().context("a number")?);
        match before {
            None => ensure!(what == "queued" && attempt == 1, "{what} comes first: {trace}"),
            Some((last, time, number)) => {
                ensure!(after >= time, "time runs backwards at {what}: {trace}");
                ensure!(attempt == number + u64::from(what == "queued"), "{what} of attempt {attempt}: {trace}");
                let follows: &[&str] = match last {
                    "queued" => &["granted", "failed"],
                    "granted" => &["sending", "failed"],
                    "sending" => &["sent", "first-byte", "failed"],
                    "sent" => &["first-byte", "failed"],
                    "first-byte" => &["body-end", "failed"],
                    "body-end" => &["retried", "redirected", "failed"],
                    "failed" => &["retried"],
                    "retried" | "redirected" => &["queued", "failed"],
                    other => bail!("{other} in {trace}"),
                };
                ensure!(follows.contains(&what), "{what} after {last}: {trace}");
            }
        }
        before = Some((what, after, attempt));
    }
    let last = before.map(|(what, _, _)| what);
    ensure!(matches!(last, Some("body-end" | "failed")), "the last beginning has no end: {trace}");
    Ok(())
}

async fn a_trace_tells_each_moment_in_order(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("hello"), ok("hello")]).await?;
    let mut client = rig.client().await?;
    for name in ["first", "second"] {
        client.send(json!({"url": server.url("/"), "as": name, "preload": null})).await?;
        let trace = traced(&mut client, name).await?;
        same!(words(&trace), GOOD);
        same!(trace[4]["status"], 200);
        check(&trace)?;
    }
    // That the second found a connection the host knows, and the guest cannot see.
    same!(client.host().await?["reused"], 1);
    Ok(())
}

async fn a_trace_tells_each_attempt_of_a_retry(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503), status(503), ok("hello")]).await?;
    let mut client = rig.client().await?;
    let retry = json!({"statuses": [503], "backoff": "20ms", "jitter": "none"});
    client.send(json!({"url": server.url("/"), "retry": retry, "as": "r"})).await?;
    let trace = traced(&mut client, "r").await?;
    let again = [GOOD.as_slice(), &["retried"]].concat();
    same!(words(&trace), [again.as_slice(), again.as_slice(), &GOOD].concat());
    let delays: Vec<_> = trace.as_array().into_iter().flatten().filter_map(|mark| mark["delay_ms"].as_u64()).collect();
    same!(delays, [0, 40]);
    check(&trace)?;
    // The second delay lies between the mark that tells of it and the next attempt.
    let after = |nth: usize| trace[nth]["after_ms"].as_f64().unwrap_or_default();
    ensure!(after(14) - after(13) >= 40.0, "{trace}");
    Ok(())
}

async fn a_trace_tells_each_hop(rig: &Rig) -> Result<()> {
    let server = Server::routes([
        ("/", vec![status(302).header("Location", "/next").body("gone")]),
        ("/next", vec![ok("hello")]),
    ])
    .await?;
    let mut client = rig.client().await?;
    client.send(json!({"url": server.url("/"), "as": "r"})).await?;
    let trace = traced(&mut client, "r").await?;
    same!(words(&trace), [GOOD.as_slice(), &["redirected"], &GOOD].concat());
    same!([&trace[4], &trace[11]].map(|mark| mark["status"].as_u64()), [Some(302), Some(200)]);
    check(&trace)
}

async fn a_trace_grows_while_the_call_goes_on(rig: &Rig) -> Result<()> {
    let gate = Gate::new();
    let server = Server::replies([ok("hello").after(Until::Open(gate.clone()))]).await?;
    let mut client = rig.client().await?;
    client.start("r", json!({"url": server.url("/")})).await?;
    server.until("the request arrived", |log| log.requests.len() == 1).await?;
    let trace = client.ok(json!({"op": "trace", "handle": "r"})).await?["trace"].take();
    same!(words(&trace), GOOD[..4]);
    gate.open();
    // Finished, and not handed over yet.
    client.ok(json!({"op": "wait", "handles": ["r"]})).await?;
    let trace = client.ok(json!({"op": "trace", "handle": "r"})).await?["trace"].take();
    same!(words(&trace), GOOD);
    client.finish("r").await.map(drop)
}

async fn what_begins_in_a_trace_ends_also_on_failure(rig: &Rig) -> Result<()> {
    const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha";
    let server = Server::routes([
        ("/reset", vec![reset()]),
        ("/cut", vec![raw(HALF).close()]),
        ("/bad", vec![status(302).header("Location", "ftp://a.test/")]),
        ("/silent", vec![stall()]),
        ("/slow", vec![raw(HALF).stall()]),
    ])
    .await?;
    let mut client = rig.client().await?;
    let no_retry = |path: &str| json!({"url": server.url(path), "retry": "never", "timeouts": {"total": "200ms"}});
    for (kind, path) in [(rig.told("interrupted"), "/reset"), ("bad-redirect", "/bad"), ("timed-out", "/silent")] {
        let error = client.refused(kind, no_retry(path)).await?;
        check(&error["trace"])?;
        same!(words(&error["trace"]).last().map(String::as_str), Some("failed"), path);
    }
    for (kind, path) in [("interrupted", "/cut"), ("timed-out", "/slow")] {
        let error = client.fails(kind, operation("send", no_retry(path))).await?["error"].take();
        check(&error["trace"])?;
        same!(words(&error["trace"]), [&GOOD[..5], &["failed"]].concat(), path);
    }
    client.ok(json!({"op": "open", "pool": "full", "options": {"slots": 1, "queue": 0}})).await?;
    client.start("held", json!({"pool": "full", "url": server.url("/silent")})).await?;
    let error = client.refused("pool-exhausted", json!({"pool": "full", "url": server.url("/")})).await?;
    same!(words(&error["trace"]), ["queued", "failed"]);
    Ok(())
}

async fn the_times_of_a_trace_add_up(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503), ok("hello").after(Until::Passed(Duration::from_millis(30)))]).await?;
    let mut client = rig.client().await?;
    let begun = Instant::now();
    client.send(json!({"url": server.url("/"), "retry": {"statuses": [503]}, "as": "r"})).await?;
    let trace = traced(&mut client, "r").await?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    check(&trace)?;
    let after = |what: &str, attempt: u64| {
        let marks = trace.as_array().into_iter().flatten();
        let found = marks.into_iter().find(|mark| mark["what"] == what && mark["attempt"] == attempt);
        found.and_then(|mark| mark["after_ms"].as_f64()).with_context(|| format!("no {what} in {trace}"))
    };
    ensure!(after("first-byte", 2)? - after("sent", 2)? >= 30.0, "the pause of the server is not seen: {trace}");
    ensure!(after("body-end", 2)? <= took, "longer than the call itself, {took} ms: {trace}");
    Ok(())
}

async fn secrets_show_neither_in_errors_nor_in_histories(rig: &Rig) -> Result<()> {
    let server = Server::routes([
        ("/", vec![status(302).header("Location", "/next?access_token=SECRET4#id_token=SECRET5")]),
        ("/next", vec![status(503), reset()]),
    ])
    .await?;
    let mut client = rig.client().await?;
    let url = server.url("/?q=1&api_key=SECRET1").replace("http://", "http://ann:SECRET2@");
    let error = client
        .refused(
            rig.told("interrupted"),
            json!({
                "url": url,
                "headers": [["Cookie", "SECRET3"], ["X-Other", "SECRET6"]],
                "retry": {"limit": 1, "statuses": [503]},
            }),
        )
        .await?;
    let text = error.to_string();
    ensure!(!text.contains("SECRET"), "{text}");
    same!(error["history"][0]["url"], server.url("/?q=1&api_key=***"));
    same!(error["url"], server.url("/next?access_token=***#id_token=***"));
    // They were sent all the same.
    let [first, second, _] = [0, 1, 2].map(|nth| server.request(nth));
    same!(first?.target, "/?q=1&api_key=SECRET1");
    same!(second?.target, "/next?access_token=SECRET4");
    Ok(())
}

async fn figures_only_grow(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("a"), status(503), reset(), ok("b"), ok("c"), ok("d")]).await?;
    let mut client = rig.client().await?;
    let pool = ["requests", "attempts", "retries", "redirects"];
    let host = ["opened", "reused", "resent", "evicted", "waited", "bytes_read", "bytes_written"];
    let mut before = vec![0; pool.len() + host.len()];
    for _ in 0..4 {
        client.send(json!({"url": server.url("/"), "retry": {"statuses": [503], "backoff": 0}})).await?;
        let (of_pool, of_host) = (client.pool().await?, client.host().await?);
        let figures: Vec<u64> = pool
            .iter()
            .map(|key| of_pool[key].as_u64())
            .chain(host.iter().map(|key| of_host[key].as_u64()))
            .collect::<Option<_>>()
            .context("every figure is a number")?;
        ensure!(figures.iter().zip(&before).all(|(now, before)| now >= before), "{before:?} then {figures:?}");
        ensure!(figures[0] == before[0] + 1, "each call counts once: {figures:?}");
        before = figures;
    }
    // The reset came on a kept connection, so it was the host that sent again.
    let resent = client.host().await?["resent"].as_u64().unwrap_or_default();
    same!((resent, before[1] + resent), (1, server.arrivals() as u64));
    Ok(())
}

async fn each_attempt_is_a_span_of_its_trace_on_request(rig: &Rig) -> Result<()> {
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let server = Server::answering(|request| match request.path() {
        "/hop" => status(302).header("Location", "/"),
        _ => ok(""),
    })
    .await?;
    let mut client = rig.client().await?;
    let sent = |nth: usize| -> Result<String> {
        Ok(server.request(nth)?.header("traceparent").context("no traceparent was sent")?.to_owned())
    };
    client.send(json!({"url": server.url("/"), "headers": [["traceparent", given]]})).await?;
    same!(sent(0)?, given);
    client.get(server.url("/")).await?;
    ensure!(server.request(1)?.header("traceparent").is_none(), "one is sent that nobody asked for");
    client.ok(json!({"op": "open", "pool": "spans", "options": {"trace_context": true}})).await?;
    client.send(json!({"pool": "spans", "url": server.url("/hop"), "headers": [["traceparent", given]]})).await?;
    let spans = [sent(2)?, sent(3)?];
    ensure!(spans.iter().all(|span| span.starts_with(&given[..36]) && span != given), "{spans:?}");
    ensure!(spans[0] != spans[1], "{spans:?}");
    let answer = client.send(json!({"pool": "spans", "url": server.url("/")})).await?;
    let fresh = sent(4)?;
    ensure!(fresh.len() == given.len() && !fresh.starts_with(&given[..36]), "{fresh}");
    ensure!(headers(&answer, "traceparent").is_empty(), "{answer}");
    Ok(())
}
