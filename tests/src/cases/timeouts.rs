//! How long each phase of a call may take, and what its end says.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::case::{cases, same};
use crate::client::body;
use crate::ports::BlackHole;
use crate::reply::{Step, ok, raw, stall, status};
use crate::rig::Rig;
use crate::server::{End, Server};
use crate::{Gate, Until};

cases! { "timeouts";
    "T1" a_connect_that_nobody_answers_times_out;
    "T2" a_silent_server_times_out_at_the_first_byte;
    "T3" a_stalled_body_times_out_between_bytes;
    "T3b" a_slow_body_within_the_limit_passes;
    "T3c" a_preloaded_body_that_stalls_times_out_too;
    "T4" the_total_limit_caps_a_drip;
    "T4b" the_total_limit_covers_attempts_delays_and_hops;
    "T5" none_is_no_limit_and_zero_is_over_at_once;
    "T6" a_request_replaces_the_limits_of_its_pool;
    "T7" a_huge_limit_is_no_limit;
    "T8" a_timeout_closes_its_connection_and_frees_its_slot;
    "T9" a_server_that_never_reads_times_out_the_upload;
    "T9b" a_slow_upload_that_moves_on_passes;
    "T9c" an_upload_may_take_longer_than_its_limits_while_it_moves;
    "T10" the_error_carries_phase_limit_and_url;
    "T11" the_host_is_asked_for_the_default_limits;
    "T11b" the_host_is_asked_for_no_more_than_the_total_limit_leaves;
}

/// One attempt within these limits.
fn within(url: String, timeouts: Value) -> Value {
    json!({"url": url, "timeouts": timeouts, "retry": "never"})
}

/// Fails unless `elapsed_ms` of `error` is at least the limit and not much more.
fn in_time(error: &Value, limit: u64) -> Result<()> {
    let took = error["elapsed_ms"].as_f64().context("elapsed_ms")?;
    #[expect(clippy::cast_precision_loss, reason = "limits here are small")]
    let limit = limit as f64;
    ensure!(took >= limit && took < limit + 600.0, "took {took} ms with a limit of {limit} ms");
    Ok(())
}

async fn a_connect_that_nobody_answers_times_out(rig: &Rig) -> Result<()> {
    let hole = BlackHole::open().await?;
    let mut client = rig.client().await?;
    let error = client.refused("timed-out", within(hole.url("/"), json!({"connect": "200ms"}))).await?;
    same!(error["phase"], "connect");
    same!(error["limit_ms"].as_f64(), Some(200.0));
    in_time(&error, 200)
}

async fn a_silent_server_times_out_at_the_first_byte(rig: &Rig) -> Result<()> {
    let server = Server::replies([stall()]).await?;
    let mut client = rig.client().await?;
    let error = client.refused("timed-out", within(server.url("/"), json!({"first_byte": "150ms"}))).await?;
    same!(error["phase"], "first-byte");
    in_time(&error, 150)
}

async fn a_stalled_body_times_out_between_bytes(rig: &Rig) -> Result<()> {
    let server = Server::replies([raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").stall()]).await?;
    let mut client = rig.client().await?;
    let mut request = within(server.url("/"), json!({"between_bytes": "150ms"}));
    request["preload"] = Value::Null;
    request["as"] = json!("r");
    client.send(request).await?;
    same!(client.ok(json!({"op": "read", "handle": "r", "max": 10})).await?["body"], "abc");
    let begun = Instant::now();
    let answer = client.fails("timed-out", json!({"op": "read", "handle": "r", "max": 10})).await?;
    same!(answer["error"]["phase"], "between-bytes");
    same!(answer["error"]["limit_ms"].as_f64(), Some(150.0));
    ensure!(begun.elapsed() < Duration::from_millis(800), "took {:?}", begun.elapsed());
    Ok(())
}

async fn a_slow_body_within_the_limit_passes(rig: &Rig) -> Result<()> {
    let drip = ok("0123456789").pieces(60, Until::Passed(Duration::from_millis(0)));
    let drip = drip.pieces(4, Until::Passed(Duration::from_millis(20)));
    let server = Server::replies([drip]).await?;
    let mut client = rig.client().await?;
    let limits = json!({"between_bytes": "250ms", "first_byte": "2s"});
    same!(client.send(within(server.url("/"), limits)).await?["body"], "0123456789");
    Ok(())
}

async fn a_preloaded_body_that_stalls_times_out_too(rig: &Rig) -> Result<()> {
    let server = Server::replies([raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").stall()]).await?;
    let mut client = rig.client().await?;
    let error = client.refused("timed-out", within(server.url("/"), json!({"between_bytes": "150ms"}))).await?;
    same!(error["phase"], "between-bytes");
    in_time(&error, 150)
}

async fn the_total_limit_caps_a_drip(rig: &Rig) -> Result<()> {
    let drip = Step::Wait(Until::Passed(Duration::from_millis(50)));
    let mut reply = raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    for _ in 0..40 {
        reply = reply.then(Step::Send(Bytes::from_static(b"x"))).then(drip.clone());
    }
    let server = Server::replies([reply]).await?;
    let mut client = rig.client().await?;
    let error = client.refused("timed-out", within(server.url("/"), json!({"total": "300ms"}))).await?;
    same!(error["phase"], "total");
    in_time(&error, 300)
}

async fn the_total_limit_covers_attempts_delays_and_hops(rig: &Rig) -> Result<()> {
    let slow = Until::Passed(Duration::from_millis(80));
    let server = Server::replies([status(302).header("Location", "/").after(slow)]).await?;
    let mut client = rig.client().await?;
    let error = client.refused("timed-out", within(server.url("/"), json!({"total": "300ms"}))).await?;
    same!(error["phase"], "total");
    in_time(&error, 300)?;
    ensure!((2..=4).contains(&server.arrivals()), "{} hops", server.arrivals());
    Ok(())
}

async fn none_is_no_limit_and_zero_is_over_at_once(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("slow").after(Until::Passed(Duration::from_millis(100)))]).await?;
    let mut client = rig.client().await?;
    let none = json!({"slot": null, "connect": null, "write": null, "first_byte": "none", "between_bytes": null, "total": null});
    same!(client.send(within(server.url("/"), none)).await?["body"], "slow");
    for (key, phase) in [("first_byte", "first-byte"), ("total", "total")] {
        let error = client.refused("timed-out", within(server.url("/"), json!({key: 0}))).await?;
        same!(error["phase"], phase);
        in_time(&error, 0)?;
    }
    for nonsense in [json!(-1), json!(true), json!("soon"), json!("-1s"), json!([1])] {
        client.refused("usage", within(server.url("/"), json!({"total": nonsense}))).await?;
    }
    Ok(())
}

async fn a_request_replaces_the_limits_of_its_pool(rig: &Rig) -> Result<()> {
    let late = || ok("late").after(Until::Passed(Duration::from_millis(200)));
    let server = Server::replies([ok(""), late(), late()]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"timeouts": {"first_byte": "50ms"}, "retry": "never"})).await?;
    client.get(server.url("/")).await?;
    // On the connection of the first, with limits of its own.
    let patient = json!({"url": server.url("/"), "timeouts": {"first_byte": "5s"}});
    same!(client.send(patient).await?["body"], "late");
    rig.accepted(&server, 1)?;
    let error = client.refused("timed-out", json!({"url": server.url("/")})).await?;
    same!(error["limit_ms"].as_f64(), Some(50.0));
    Ok(())
}

async fn a_huge_limit_is_no_limit(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("fine")]).await?;
    let mut client = rig.client().await?;
    // More nanoseconds than fit after the clock's own start.
    let huge = 18_446_744_073u64;
    let limits = json!({
        "slot": huge, "connect": huge, "write": huge, "first_byte": huge, "between_bytes": huge, "total": huge
    });
    same!(client.send(within(server.url("/"), limits)).await?["body"], "fine");
    Ok(())
}

async fn a_timeout_closes_its_connection_and_frees_its_slot(rig: &Rig) -> Result<()> {
    let server = Server::replies([stall(), ok("next")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1})).await?;
    client.refused("timed-out", within(server.url("/"), json!({"first_byte": "100ms"}))).await?;
    same!(client.get(server.url("/")).await?["body"], "next");
    server.until("the close", |log| log.connections[0].ended == Some(End::Client)).await?;
    same!(server.connections(), 2);
    Ok(())
}

async fn a_server_that_never_reads_times_out_the_upload(rig: &Rig) -> Result<()> {
    let gate = Gate::new();
    let server = Server::replies([raw("").then(Step::Wait(Until::Open(gate.clone()))).deaf(), ok("next")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1})).await?;
    // A guest learns that it is connected from the host asking for more; until then the limit of connecting is added.
    let mut request = within(server.url("/"), json!({"write": "200ms", "connect": "300ms"}));
    request["method"] = json!("POST");
    request["body"] = json!("x".repeat(20 << 20));
    let error = client.refused("timed-out", request).await?;
    same!(error["phase"], "write");
    same!(error["limit_ms"].as_f64(), Some(200.0));
    ensure!(error["elapsed_ms"].as_f64().is_some_and(|took| took < 1500.0), "{error}");
    same!(client.get(server.url("/")).await?["body"], "next");
    gate.open();
    Ok(())
}

async fn a_slow_upload_that_moves_on_passes(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("got it")]).await?;
    let mut client = rig.client().await?;
    let mut request = within(server.url("/"), json!({"write": "300ms", "first_byte": "300ms"}));
    request["method"] = json!("POST");
    request["body_stream"] = json!({"chunks": vec!["piece"; 10], "gap": "60ms"});
    same!(client.send(request).await?["body"], "got it");
    same!(server.request(0)?.body.len(), 50);
    Ok(())
}

async fn the_error_carries_phase_limit_and_url(rig: &Rig) -> Result<()> {
    let server = Server::replies([stall()]).await?;
    let mut client = rig.client().await?;
    let url = format!("http://user:secret@127.0.0.1:{}/x?q=1", server.port());
    let error = client.refused("timed-out", within(url, json!({"first_byte": "50ms"}))).await?;
    same!(error["url"], server.url("/x?q=1"));
    same!(error["phase"], "first-byte");
    same!(error["limit_ms"].as_f64(), Some(50.0));
    ensure!(!error.to_string().contains("secret"), "a password: {error}");
    let message = error["message"].as_str().context("a message")?;
    ensure!(message.contains("first-byte") && message.contains("50ms"), "{message}");
    // A body read in time says nothing of the kind.
    let server = Server::replies([ok("x")]).await?;
    same!(body(&client.get(server.url("/")).await?)?, b"x");
    Ok(())
}

async fn the_host_is_asked_for_the_default_limits(rig: &Rig) -> Result<()> {
    let (mut client, asked) = rig.client_asking().await?;
    client.refused("connect", json!({"url": "http://a.test/"})).await?;
    let asked = asked.all();
    same!(asked.len(), 4, "the first attempt, and three retries by default");
    for options in asked {
        same!(options.connect_timeout, Some(Duration::from_secs(10)));
        same!(options.first_byte_timeout, Some(Duration::from_secs(60)));
        // A second more than the client's own limit, so that it is the client that names the phase.
        same!(options.between_bytes_timeout, Some(Duration::from_secs(61)));
    }
    Ok(())
}

async fn the_host_is_asked_for_no_more_than_the_total_limit_leaves(rig: &Rig) -> Result<()> {
    let (mut client, asked) = rig.client_asking().await?;
    client.refused("connect", within("http://a.test/".to_owned(), json!({"total": "3s"}))).await?;
    let asked = asked.all();
    same!(asked.len(), 1);
    for limit in [asked[0].connect_timeout, asked[0].first_byte_timeout, asked[0].between_bytes_timeout] {
        // With the second of grace that lets the client's own timer be the first.
        ensure!(limit.is_some_and(|limit| limit <= Duration::from_secs(4)), "{limit:?}");
    }
    Ok(())
}

async fn an_upload_may_take_longer_than_its_limits_while_it_moves(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("got it")]).await?;
    let mut client = rig.client().await?;
    // Eight pauses of 60 ms: longer than both limits together, and each far shorter than the one of writing.
    let mut request = within(server.url("/"), json!({"write": "200ms", "connect": "200ms"}));
    request["method"] = json!("POST");
    request["body_stream"] = json!({"chunks": vec!["piece"; 9], "gap": "60ms"});
    same!(client.send(request).await?["body"], "got it");
    same!(server.request(0)?.body.len(), 45);
    same!(server.requests().len(), 1);
    Ok(())
}
