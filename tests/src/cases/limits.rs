//! How much there may be of anything, and the defaults that a server can see.

use std::io::Write;

use anyhow::{Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::Until;
use crate::case::{cases, same, stock};
use crate::client::history;
use crate::ports::Refused;
use crate::reply::{Gate, ok, raw, status};
use crate::rig::Rig;
use crate::server::Server;

cases! { "limits";
    "L1" a_body_over_its_limit_is_too_large;
    "L1b" a_declared_length_over_the_limit_is_not_read;
    "L2" a_request_head_over_the_limit_is_refused;
    "L4" the_queue_for_slots_is_limited;
    "L5" a_url_over_the_limit_is_refused;
    "L6" a_body_that_decodes_too_well_is_too_large;
    "L7" eight_mebibytes_are_preloaded_by_default;
    "L8" eight_slots_are_the_default;
    "L9" three_retries_are_the_default;
    "L10" a_whole_read_has_its_own_limit;
    "L11" thirty_two_connections_to_an_origin_are_the_default, not on stock: stock::NO_SETTINGS;
    "L12" thirty_two_origins_are_remembered_by_default;
    "L13" requests_leave_nothing_behind_in_the_host, not on stock: stock::LEAVES_ENTRIES;
}

async fn a_body_over_its_limit_is_too_large(rig: &Rig) -> Result<()> {
    let server = Server::routes([
        ("/fits", vec![status(200).chunks(["12345", "67890"])]),
        ("/over", vec![status(200).chunks(["12345", "678901"])]),
    ])
    .await?;
    let mut client = rig.client().await?;
    client.open(json!({"max_body": 10})).await?;
    same!(client.get(server.url("/fits")).await?["body"], "1234567890");
    client.refused("too-large", json!({"url": server.url("/over")})).await?;
    client.send(json!({"url": server.url("/over"), "preload": null, "as": "r"})).await?;
    client.fails("too-large", json!({"op": "read-all", "handle": "r"})).await?;
    same!(client.send(json!({"url": server.url("/over"), "max_body": null})).await?["body"], "12345678901");
    same!(server.log().count("/over"), 3);
    Ok(())
}

async fn a_declared_length_over_the_limit_is_not_read(rig: &Rig) -> Result<()> {
    // Not one byte of it comes: only the length can tell.
    let server = Server::replies([raw("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n").stall()]).await?;
    let mut client = rig.client().await?;
    let error = client.refused("too-large", json!({"url": server.url("/"), "max_body": 10})).await?;
    ensure!(error["elapsed_ms"].as_f64().is_some_and(|took| took < 2000.0), "{error}");
    same!(server.arrivals(), 1);
    Ok(())
}

async fn a_request_head_over_the_limit_is_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    let long = [["X-A".to_owned(), "x".repeat(200 << 10)]];
    let error = client.refused("invalid-request", json!({"url": server.url("/"), "headers": long})).await?;
    ensure!(error["message"].as_str().is_some_and(|text| text.contains("header")), "{error}");
    let many: Vec<_> = (0..20_000).map(|nth| [format!("x-{nth}"), "v".to_owned()]).collect();
    client.refused("invalid-request", json!({"url": server.url("/"), "headers": many})).await?;
    same!(server.connections(), 0);
    // The pool's and the request's together.
    let half = |name: &str| json!([[name, "x".repeat(70 << 10)]]);
    client.ok(json!({"op": "open", "pool": "half", "options": {"headers": half("X-A")}})).await?;
    client.refused("invalid-request", json!({"pool": "half", "url": server.url("/"), "headers": half("X-B")})).await?;
    same!(server.connections(), 0);
    same!(client.send(json!({"pool": "half", "url": server.url("/")})).await?["status"], 200);
    Ok(())
}

async fn the_queue_for_slots_is_limited(rig: &Rig) -> Result<()> {
    let gate = Gate::new();
    let (one, other) =
        (Server::replies([ok("").after(Until::Open(gate.clone()))]).await?, Server::replies([ok("other")]).await?);
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1, "queue": 2})).await?;
    for name in ["sent", "first", "second"] {
        client.start(name, json!({"url": one.url("/")})).await?;
    }
    one.until("the slot is taken", |log| log.requests.len() == 1).await?;
    let error = client.refused("pool-exhausted", json!({"url": one.url("/")})).await?;
    ensure!(error["message"].as_str().is_some_and(|text| text.contains("queue is full")), "{error}");
    // Who need not wait is not kept out by the queue.
    same!(client.get(other.url("/")).await?["body"], "other");
    gate.open();
    for name in ["sent", "first", "second"] {
        same!(client.finish(name).await?["status"], 200, name);
    }
    same!(one.arrivals(), 3);
    same!(client.get(one.url("/")).await?["status"], 200);
    Ok(())
}

async fn a_url_over_the_limit_is_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    let error =
        client.refused("invalid-request", json!({"url": server.url(&format!("/{}", "x".repeat(1 << 20)))})).await?;
    ensure!(error["message"].as_str().is_some_and(|text| text.len() < 2000), "the message holds the URL");
    same!(server.connections(), 0);
    let long = format!("/{}", "x".repeat(8000));
    client.get(server.url(&long)).await?;
    same!(server.request(0)?.target, long);
    Ok(())
}

async fn a_body_that_decodes_too_well_is_too_large(rig: &Rig) -> Result<()> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; 16 << 20])?;
    let server = Server::replies([ok(encoder.finish()?).header("Content-Encoding", "gzip")]).await?;
    let mut client = rig.client().await?;
    client.refused("too-large", json!({"url": server.url("/")})).await?;
    same!(server.arrivals(), 1);
    let answer = client.send(json!({"url": server.url("/"), "max_ratio": null})).await?;
    same!(answer["body_bytes"], 16 << 20);
    Ok(())
}

async fn eight_mebibytes_are_preloaded_by_default(rig: &Rig) -> Result<()> {
    let server = Server::answering(|request| {
        // More than what one read may bring along beyond the limit.
        let size = if request.path() == "/fits" { 8 << 20 } else { 9 << 20 };
        ok(vec![b'x'; size])
    })
    .await?;
    let mut client = rig.client().await?;
    client.send(json!({"url": server.url("/fits"), "as": "fits"})).await?;
    same!(client.pool().await?["in_flight"], 0);
    client.send(json!({"url": server.url("/over"), "as": "over"})).await?;
    same!(client.pool().await?["in_flight"], 1);
    for (handle, size) in [("fits", 8 << 20), ("over", 9 << 20)] {
        same!(client.ok(json!({"op": "read-all", "handle": handle})).await?["body_bytes"], size);
    }
    same!(client.pool().await?["in_flight"], 0);
    Ok(())
}

async fn eight_slots_are_the_default(rig: &Rig) -> Result<()> {
    let mut arrived: usize = 0;
    let server = Server::answering(move |request| {
        arrived += 1;
        // Wave by wave: nobody is answered before eight are there.
        ok(request.path()).after(Until::Arrived(arrived.div_ceil(8) * 8))
    })
    .await?;
    let mut client = rig.client().await?;
    let requests: Vec<_> = (0..64).map(|nth| json!({"url": server.url(&format!("/{nth}"))})).collect();
    let answers = client.send_all(requests).await?;
    for (nth, answer) in answers.iter().enumerate() {
        same!(answer["body"], format!("/{nth}"));
    }
    same!(answers.len(), 64);
    same!(server.log().most_in_flight, 8);
    rig.accepted(&server, 8)?;
    Ok(())
}

async fn three_retries_are_the_default(rig: &Rig) -> Result<()> {
    let port = Refused::bind()?;
    let mut client = rig.client().await?;
    let error = client.refused("connect", json!({"url": port.url("/")})).await?;
    same!(history(&error).len(), 3);
    let server = Server::replies([status(429).header("Retry-After", "0")]).await?;
    same!(client.get(server.url("/")).await?["status"], 429);
    same!(server.arrivals(), 4);
    Ok(())
}

async fn a_whole_read_has_its_own_limit(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("1234567890")]).await?;
    let mut client = rig.client().await?;
    for preload in [json!(null), json!(1000)] {
        client.send(json!({"url": server.url("/"), "preload": preload, "as": "r"})).await?;
        client.fails("too-large", json!({"op": "read-all", "handle": "r", "limit": 9})).await?;
        client.ok(json!({"op": "drop", "handle": "r"})).await?;
        client.send(json!({"url": server.url("/"), "preload": preload, "as": "r"})).await?;
        same!(client.ok(json!({"op": "read-all", "handle": "r", "limit": 10})).await?["body"], "1234567890");
        client.ok(json!({"op": "drop", "handle": "r"})).await?;
    }
    Ok(())
}

async fn thirty_two_connections_to_an_origin_are_the_default(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("").after(Until::Arrived(32))]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": null})).await?;
    let answers = client.send_all(vec![json!({"url": server.url("/")}); 200]).await?;
    for answer in &answers {
        same!(answer["status"], 200);
    }
    same!(server.connections(), 32);
    same!(server.arrivals(), 200);
    Ok(())
}

async fn thirty_two_origins_are_remembered_by_default(rig: &Rig) -> Result<()> {
    let mut client = rig.client().await?;
    for _ in 0..33 {
        client.get(Server::replies([ok("")]).await?.url("/")).await?;
    }
    same!(client.pool().await?["origins"], 32);
    Ok(())
}

/// Each request left an entry in the table of its store before, and the store's life ended with its millionth.
async fn requests_leave_nothing_behind_in_the_host(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("hi")]).await?;
    let mut client = rig.client().await?;
    let mut held = Vec::new();
    for _ in 0..3 {
        for _ in 0..10 {
            client.get(server.url("/")).await?;
            client.send(json!({"url": server.url("/"), "method": "POST", "body": "x"})).await?;
        }
        held.push(client.held());
    }
    same!(held[1], held[0]);
    same!(held[2], held[0]);
    Ok(())
}
