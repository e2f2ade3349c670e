//! No order of calls and drops traps the component, and no server leaves a caller without an answer.
//!
//! Longer than most files: it walks through the ways in which wasi:http traps those who hold its resources wrongly.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::case::{cases, same, stock};
use crate::client::{Client, base64, headers, history};
use crate::ports::Refused;
use crate::reply::{Step, ok, raw, reset, stall, status};
use crate::rig::Rig;
use crate::server::{End, Server};
use crate::tls::Authority;
use crate::{Gate, Until};

cases! { "safety";
    "G1" a_pool_may_be_dropped_before_its_pending_requests;
    "G2" dropping_a_pending_request_cancels_it;
    "G3" responses_may_be_dropped_anywhere_in_their_body;
    "G4" reading_after_the_end_finds_the_end;
    "G5" the_raw_body_is_not_there_after_a_read;
    "G6" the_raw_body_is_as_it_was_sent_and_frees_the_slot;
    "G7" waiting_for_nothing_returns_at_once;
    "G8" an_early_answer_keeps_its_long_body;
    "G9" a_request_that_can_never_get_a_slot_is_refused_at_once;
    "G9b" a_hop_that_can_never_get_a_slot_is_refused_at_once;
    "G9c" a_retry_that_can_never_get_a_slot_is_refused_at_once;
    "G10" trailers_go_both_ways;
    "G11" a_finished_request_may_be_advanced_again_and_again;
    "G12" try_read_tells_pending_from_the_end;
    "G13" a_response_outlives_its_pool;
    "G14" a_body_stream_that_fails_fails_its_request_alone;
    "G15" a_body_stream_of_another_length_than_declared_is_invalid;
    "G16" waiting_with_a_timer_returns_without_news;
    "G17" a_clone_is_a_request_of_its_own;
    "G18" one_failure_does_not_stop_the_others;
    "G19" send_all_holds_no_body_beyond_its_preload_limit;
    "G20" a_large_body_arrives_whole;
    "G21" an_empty_stream_is_an_empty_body;
    "G22" a_send_moves_all_other_requests_too;
    "G23" pending_requests_may_be_dropped_in_any_order;
    "G24" responses_are_taken_in_any_order;
    "G25" a_reset_at_any_byte_is_a_typed_error;
    "G26" an_untrusted_certificate_is_refused_once, not on stock: stock::PUBLIC_ROOTS;
    "G27" a_failed_body_read_has_a_code, not on stock: stock::GIVES_NO_CODE;
    "G28" a_stream_goes_on_when_the_server_answers_first;
    "G29" a_body_may_be_many_small_pieces;
    "G30" an_instance_goes_on_after_every_kind_of_failure;
    "G31" an_answer_without_a_body_may_be_taken_raw;
    "G32" polling_by_try_read_alone_reaches_the_end_of_chunks;
    "G33" a_long_body_stream_arrives_as_it_is;
}

/// Fails when the component has trapped; every operation answers so from then on.
async fn alive(client: &mut Client) -> Result<()> {
    client.pool().await.map(drop)
}

async fn a_pool_may_be_dropped_before_its_pending_requests(rig: &Rig) -> Result<()> {
    let gate = Gate::new();
    let server = Server::replies([ok("held").after(Until::Open(gate.clone()))]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1})).await?;
    client.start("a", json!({"url": server.url("/")})).await?;
    client.start("queued", json!({"url": server.url("/")})).await?;
    client.ok(json!({"op": "drop", "pool": "pool"})).await?;
    gate.open();
    same!(client.finish("a").await?["body"], "held");
    same!(client.finish("queued").await?["body"], "held");
    alive(&mut client).await
}

async fn dropping_a_pending_request_cancels_it(rig: &Rig) -> Result<()> {
    let server = Server::routes([("/stall", vec![stall()]), ("/", vec![ok("next")])]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1})).await?;
    client.start("a", json!({"url": server.url("/stall")})).await?;
    client.start("queued", json!({"url": server.url("/stall")})).await?;
    client.ok(json!({"op": "wait", "handles": ["a", "queued"], "timeout": "20ms"})).await?;
    server.until("the request", |log| log.requests.len() == 1).await?;
    client.ok(json!({"op": "drop", "handle": "queued"})).await?;
    client.ok(json!({"op": "drop", "handle": "a"})).await?;
    same!(client.pool().await?["in_flight"], 0);
    same!(client.pool().await?["queued"], 0);
    server.until("the cancel", |log| log.connections[0].ended == Some(End::Client)).await?;
    same!(client.get(server.url("/")).await?["body"], "next");
    same!(server.arrivals(), 2);
    Ok(())
}

async fn responses_may_be_dropped_anywhere_in_their_body(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(200).chunks(["first", "second", "third"]).trailer("X-Sum", "1")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1, "preload": null})).await?;
    for reads in 0..20 {
        client.send(json!({"url": server.url("/"), "as": "r"})).await?;
        for _ in 0..reads {
            client.ok(json!({"op": "read", "handle": "r", "max": 1})).await?;
        }
        client.ok(json!({"op": "drop", "handle": "r"})).await?;
        same!(client.pool().await?["in_flight"], 0);
    }
    Ok(())
}

async fn reading_after_the_end_finds_the_end(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("body")]).await?;
    let mut client = rig.client().await?;
    for preload in [Value::Null, json!(1000)] {
        client.send(json!({"url": server.url("/"), "preload": preload, "as": "r"})).await?;
        same!(client.ok(json!({"op": "read-all", "handle": "r"})).await?["body"], "body");
        for op in ["read", "try-read"] {
            let piece = client.ok(json!({"op": op, "handle": "r", "max": 10})).await?;
            same!(piece["end"], true);
            same!(piece["body_bytes"], 0);
        }
        same!(client.ok(json!({"op": "read-all", "handle": "r"})).await?["body_bytes"], 0);
        same!(client.ok(json!({"op": "read-text", "handle": "r"})).await?["text"], "");
        same!(client.ok(json!({"op": "head", "handle": "r"})).await?["status"], 200);
        client.ok(json!({"op": "trailers", "handle": "r"})).await?;
        client.ok(json!({"op": "drop", "handle": "r"})).await?;
    }
    Ok(())
}

async fn the_raw_body_is_not_there_after_a_read(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("body")]).await?;
    let mut client = rig.client().await?;
    client.send(json!({"url": server.url("/"), "preload": null, "as": "r"})).await?;
    client.ok(json!({"op": "read", "handle": "r", "max": 1})).await?;
    client.fails("other", json!({"op": "take-raw", "handle": "r"})).await?;
    // A preloaded body has been read too.
    client.send(json!({"url": server.url("/"), "as": "p"})).await?;
    client.fails("other", json!({"op": "take-raw", "handle": "p"})).await?;
    same!(client.pool().await?["in_flight"], 0);
    Ok(())
}

async fn the_raw_body_is_as_it_was_sent_and_frees_the_slot(rig: &Rig) -> Result<()> {
    let reply = status(200).header("Content-Encoding", "gzip").chunks(["not ", "gzip"]).trailer("X-Sum", "8");
    let server = Server::replies([reply, ok("next")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1, "preload": null})).await?;
    client.send(json!({"url": server.url("/"), "as": "r"})).await?;
    same!(client.pool().await?["in_flight"], 1);
    let taken = client.ok(json!({"op": "take-raw", "handle": "r"})).await?;
    same!(taken["body_base64"], base64("not gzip"));
    same!(taken["trailers"], json!([["x-sum", "8"]]));
    same!(client.pool().await?["in_flight"], 0);
    same!(client.get(server.url("/")).await?["body"], "next");
    rig.accepted(&server, 1)?;
    Ok(())
}

async fn waiting_for_nothing_returns_at_once(rig: &Rig) -> Result<()> {
    let mut client = rig.client().await?;
    same!(client.ok(json!({"op": "wait", "handles": []})).await?["finished"], json!([]));
    same!(client.ok(json!({"op": "wait", "handles": [], "timeout": "1ms"})).await?["finished"], json!([]));
    same!(client.send_all(Vec::new()).await?.len(), 0);
    alive(&mut client).await
}

async fn an_early_answer_keeps_its_long_body(rig: &Rig) -> Result<()> {
    let body = "y".repeat(300_000);
    let reply = status(413).body(&body).pieces(50_000, Until::Passed(Duration::from_millis(10))).early();
    let server = Server::replies([reply]).await?;
    let mut client = rig.client().await?;
    for request in [
        json!({"body": "x".repeat(16 << 20)}),
        json!({"body_stream": {"chunks": vec!["x".repeat(10_000); 50], "gap": "5ms"}}),
        json!({"body_stream": {"chunks": vec!["x".repeat(10_000); 50], "gap": "5ms", "length": 500_000}}),
    ] {
        let mut request = request;
        request["method"] = json!("POST");
        request["url"] = json!(server.url("/"));
        let answer = client.send(request).await?;
        same!(answer["status"], 413);
        same!(answer["body_bytes"], body.len());
    }
    Ok(())
}

async fn a_request_that_can_never_get_a_slot_is_refused_at_once(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok(vec![b'x'; 4 << 20])]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 2, "preload": null})).await?;
    for name in ["a", "b"] {
        client.send(json!({"url": server.url("/"), "as": name})).await?;
    }
    let error = client.refused("pool-exhausted", json!({"url": server.url("/")})).await?;
    ensure!(error["elapsed_ms"].as_f64().is_some_and(|took| took < 1000.0), "{error}");
    // With one of them dropped there is a slot again, and another origin had some all the time.
    let other = Server::replies([ok("other")]).await?;
    same!(client.get(other.url("/")).await?["body"], "other");
    client.ok(json!({"op": "drop", "handle": "a"})).await?;
    same!(client.send(json!({"url": server.url("/"), "preload": 5 << 20})).await?["status"], 200);
    Ok(())
}

/// It waited for the whole slot limit, as only the first slot of a call was known to be out of reach.
async fn a_hop_that_can_never_get_a_slot_is_refused_at_once(rig: &Rig) -> Result<()> {
    let full = Server::replies([ok(vec![b'x'; 4 << 20])]).await?;
    let first = Server::replies([status(302).header("Location", full.url("/"))]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1, "preload": null})).await?;
    client.send(json!({"url": full.url("/"), "as": "held"})).await?;
    let error = client.refused("pool-exhausted", json!({"url": first.url("/")})).await?;
    ensure!(error["elapsed_ms"].as_f64().is_some_and(|took| took < 1000.0), "{error}");
    same!((first.arrivals(), full.arrivals()), (1, 1));
    Ok(())
}

/// As above: another request may take the slot between two attempts.
async fn a_retry_that_can_never_get_a_slot_is_refused_at_once(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503).header("Retry-After", "1"), ok(vec![b'x'; 4 << 20])]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1, "preload": null})).await?;
    client.start("again", json!({"url": server.url("/")})).await?;
    same!(client.send(json!({"url": server.url("/"), "as": "held"})).await?["status"], 200);
    let error = client.fails("pool-exhausted", json!({"op": "finish", "handle": "again"})).await?["error"].take();
    ensure!(error["elapsed_ms"].as_f64().is_some_and(|took| took < 5000.0), "{error}");
    same!(server.arrivals(), 2);
    Ok(())
}

async fn trailers_go_both_ways(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(200).chunks(["down"]).trailer("X-Down", "1")]).await?;
    let request = json!({
        "method": "POST", "url": server.url("/"), "body_stream": {"chunks": ["up"]},
        "trailers": [["X-Up", "2"]], "headers": [["Trailer", "X-Up"], ["TE", "trailers"]],
    });
    let answer = rig.client().await?.send(request).await?;
    same!(answer["trailers"], json!([["x-down", "1"]]));
    let request = server.request(0)?;
    same!(request.text(), "up");
    same!(request.trailers, [("x-up".to_owned(), "2".to_owned())]);
    Ok(())
}

async fn a_finished_request_may_be_advanced_again_and_again(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503).header("Retry-After", "0"), ok("good")]).await?;
    let mut client = rig.client().await?;
    client.start("a", json!({"url": server.url("/")})).await?;
    while client.ok(json!({"op": "advance", "handle": "a"})).await?["finished"] != true {
        // Host side, so that the sockets move; the component does not run meanwhile.
        client.ok(json!({"op": "sleep", "for": "2ms"})).await?;
    }
    for _ in 0..3 {
        same!(client.ok(json!({"op": "advance", "handle": "a"})).await?["finished"], true);
        same!(client.ok(json!({"op": "wait", "handles": ["a"]})).await?["finished"], json!(["a"]));
    }
    same!(history(&client.ok(json!({"op": "history", "handle": "a"})).await?), ["retry 503"]);
    same!(client.finish("a").await?["body"], "good");
    Ok(())
}

async fn try_read_tells_pending_from_the_end(rig: &Rig) -> Result<()> {
    let gate = Gate::new();
    let reply = raw("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        .then(Step::Wait(Until::Open(gate.clone())))
        .then(Step::Send(Bytes::from_static(b"def")));
    let server = Server::replies([reply]).await?;
    let mut client = rig.client().await?;
    client.send(json!({"url": server.url("/"), "preload": null, "as": "r"})).await?;
    same!(client.ok(json!({"op": "read", "handle": "r", "max": 10})).await?["body"], "abc");
    same!(client.ok(json!({"op": "try-read", "handle": "r", "max": 10})).await?["pending"], true);
    gate.open();
    let second = loop {
        let piece = client.ok(json!({"op": "try-read", "handle": "r", "max": 10})).await?;
        if piece["pending"] != true {
            break piece;
        }
        client.ok(json!({"op": "sleep", "for": "2ms"})).await?;
    };
    same!(second["body"], "def");
    same!(client.ok(json!({"op": "read", "handle": "r", "max": 10})).await?["end"], true);
    Ok(())
}

async fn a_response_outlives_its_pool(rig: &Rig) -> Result<()> {
    let body = vec![b'x'; 1 << 20];
    let server = Server::replies([ok(&body)]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"preload": null})).await?;
    client.send(json!({"url": server.url("/"), "as": "closed"})).await?;
    client.send(json!({"url": server.url("/"), "as": "dropped"})).await?;
    client.ok(json!({"op": "close"})).await?;
    same!(client.ok(json!({"op": "read-all", "handle": "closed"})).await?["body_bytes"], body.len());
    client.ok(json!({"op": "drop", "pool": "pool"})).await?;
    same!(client.ok(json!({"op": "read-all", "handle": "dropped"})).await?["body_bytes"], body.len());
    Ok(())
}

async fn a_body_stream_that_fails_fails_its_request_alone(rig: &Rig) -> Result<()> {
    let server = Server::routes([("/upload", vec![ok("")]), ("/", vec![ok("next")])]).await?;
    let mut client = rig.client().await?;
    let long = vec!["x".repeat(50_000); 60];
    for stream in [
        json!({"chunks": ["some"], "fail": true}),
        json!({"chunks": ["some"], "fail": true, "length": 10}),
        json!({"chunks": long, "fail": true}),
        json!({"chunks": long, "fail": true, "length": 4_000_000}),
    ] {
        client
            .refused("invalid-request", json!({"method": "PUT", "url": server.url("/upload"), "body_stream": stream}))
            .await?;
    }
    for request in server.requests() {
        ensure!(!request.whole, "the server took it for whole: {:?}", request.text());
    }
    same!(client.get(server.url("/")).await?["body"], "next");
    same!(client.pool().await?["in_flight"], 0);
    Ok(())
}

async fn a_body_stream_of_another_length_than_declared_is_invalid(rig: &Rig) -> Result<()> {
    let server = Server::routes([("/upload", vec![ok("")]), ("/", vec![ok("next")])]).await?;
    let mut client = rig.client().await?;
    let long = vec!["x".repeat(50_000); 60];
    for stream in [
        json!({"chunks": ["ab", "cd"], "length": 3}),
        json!({"chunks": ["ab", "cd"], "length": 5}),
        json!({"chunks": long, "length": 2_999_999}),
        json!({"chunks": long, "length": 3_000_001}),
    ] {
        client
            .refused("invalid-request", json!({"method": "PUT", "url": server.url("/upload"), "body_stream": stream}))
            .await?;
    }
    same!(client.get(server.url("/")).await?["body"], "next");
    Ok(())
}

async fn a_long_body_stream_arrives_as_it_is(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok(""), ok("")]).await?;
    let mut client = rig.client().await?;
    let chunks: Vec<String> = (0..60).map(|nth| format!("{nth:02}").repeat(25_000)).collect();
    let whole = chunks.concat();
    for length in [None, Some(whole.len())] {
        let stream = json!({"chunks": chunks, "gap": "1ms", "length": length});
        client.send(json!({"method": "PUT", "url": server.url("/"), "body_stream": stream})).await?;
    }
    for request in server.requests() {
        ensure!(request.whole && request.body == whole, "{} bytes came", request.body.len());
    }
    same!(server.requests().len(), 2);
    Ok(())
}

async fn waiting_with_a_timer_returns_without_news(rig: &Rig) -> Result<()> {
    let gate = Gate::new();
    let server = Server::replies([ok("").after(Until::Open(gate.clone()))]).await?;
    let mut client = rig.client().await?;
    client.start("a", json!({"url": server.url("/")})).await?;
    let waited = client.ok(json!({"op": "wait", "handles": ["a"], "timeout": "30ms"})).await?;
    same!(waited["finished"], json!([]));
    gate.open();
    same!(client.ok(json!({"op": "wait", "handles": ["a"], "timeout": "10s"})).await?["finished"], json!(["a"]));
    client.finish("a").await?;
    Ok(())
}

async fn a_clone_is_a_request_of_its_own(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    let request = json!({
        "method": "PUT", "url": server.url("/"), "body": "x", "headers": [["X-A", "1"]], "query": [["a", "b"]], "clone": true
    });
    client.send(request).await?;
    let arrived = server.request(0)?;
    same!(arrived.target, "/?a=b");
    same!(arrived.header("x-a"), Some("1"));
    same!(arrived.text(), "x");
    let stream = json!({"method": "PUT", "url": server.url("/"), "body_stream": {"chunks": ["x"]}, "clone": true});
    client.refused("not-replayable", stream).await?;
    same!(server.arrivals(), 1);
    Ok(())
}

async fn one_failure_does_not_stop_the_others(rig: &Rig) -> Result<()> {
    let refused = Refused::bind()?;
    let server = Server::routes([("/ok", vec![ok("fine")]), ("/reset", vec![reset()])]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": "never"})).await?;
    let answers = client
        .send_all(vec![
            json!({"url": server.url("/ok")}),
            json!({"url": refused.url("/")}),
            json!({"url": server.url("/reset")}),
            json!({"url": server.url("/ok")}),
        ])
        .await?;
    same!(answers.len(), 4);
    same!(answers[0]["body"], "fine");
    same!(answers[1]["error"]["kind"], "connect");
    same!(answers[2]["error"]["kind"], rig.told("interrupted"));
    same!(answers[3]["body"], "fine");
    Ok(())
}

async fn send_all_holds_no_body_beyond_its_preload_limit(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("12345")]).await?;
    let mut client = rig.client().await?;
    let answers = client
        .send_all(vec![json!({"url": server.url("/"), "preload": 4}), json!({"url": server.url("/"), "preload": 5})])
        .await?;
    same!(answers[0]["error"]["kind"], "too-large");
    same!(answers[1]["body"], "12345");
    same!(client.pool().await?["in_flight"], 0);
    Ok(())
}

async fn a_large_body_arrives_whole(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    // Several times what the host takes at once.
    let body: String = (0..700_000).map(|nth| format!("{nth:07} ")).collect();
    client.send(json!({"method": "POST", "url": server.url("/"), "body": body})).await?;
    ensure!(server.request(0)?.body == body.as_bytes(), "{} bytes arrived", server.request(0)?.body.len());
    let chunks: Vec<_> = (0..6).map(|nth| nth.to_string().repeat(1 << 20)).collect();
    let stream = json!({"chunks": chunks});
    client.send(json!({"method": "POST", "url": server.url("/"), "body_stream": stream})).await?;
    ensure!(server.request(1)?.body == chunks.concat(), "{} bytes arrived", server.request(1)?.body.len());
    Ok(())
}

async fn an_empty_stream_is_an_empty_body(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for stream in [json!({"chunks": []}), json!({"chunks": [], "length": 0}), json!({"chunks": ["", ""]})] {
        client.send(json!({"method": "POST", "url": server.url("/"), "body_stream": stream})).await?;
    }
    for request in server.requests() {
        same!(request.whole, true);
        same!(request.text(), "");
    }
    same!(server.arrivals(), 3);
    Ok(())
}

async fn a_send_moves_all_other_requests_too(rig: &Rig) -> Result<()> {
    let server = Server::routes([
        ("/first", vec![ok("first")]),
        // Answered only once the second attempt of the other one has arrived.
        ("/second", vec![ok("second").after(Until::Arrived(3))]),
        ("/busy", vec![status(503).header("Retry-After", "0"), ok("good")]),
    ])
    .await?;
    let mut client = rig.client().await?;
    client.start("busy", json!({"url": server.url("/busy")})).await?;
    same!(client.get(server.url("/second")).await?["body"], "second");
    same!(client.finish("busy").await?["body"], "good");
    Ok(())
}

async fn pending_requests_may_be_dropped_in_any_order(rig: &Rig) -> Result<()> {
    let gate = Gate::new();
    let held = gate.clone();
    let server = Server::answering(move |_| ok("x").after(Until::Open(held.clone()))).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 3})).await?;
    for nth in 0..12 {
        let mut request = json!({"url": server.url(&format!("/{nth}"))});
        if nth % 2 == 0 {
            request["method"] = json!("POST");
            request["body_stream"] = json!({"chunks": vec!["x".repeat(100_000); 30], "gap": "1ms"});
        }
        client.start(&nth.to_string(), request).await?;
        if nth % 3 == 0 {
            client.ok(json!({"op": "advance", "handle": nth.to_string()})).await?;
        }
    }
    for nth in [5, 0, 11, 2, 7, 1, 10] {
        client.ok(json!({"op": "drop", "handle": nth.to_string()})).await?;
    }
    gate.open();
    for nth in [9, 3, 8, 4, 6] {
        same!(client.finish(&nth.to_string()).await?["body"], "x");
    }
    let pool = client.pool().await?;
    same!(pool["in_flight"], 0);
    same!(pool["queued"], 0);
    Ok(())
}

async fn responses_are_taken_in_any_order(rig: &Rig) -> Result<()> {
    let server = Server::answering(|request| ok(request.path().repeat(100_000))).await?;
    let mut client = rig.client().await?;
    client.open(json!({"preload": null})).await?;
    for name in ["a", "b", "c", "d"] {
        client.start(name, json!({"url": server.url(&format!("/{name}"))})).await?;
    }
    for name in ["c", "a", "d", "b"] {
        client.ok(json!({"op": "finish", "handle": name, "as": format!("{name}-response")})).await?;
    }
    // Piece by piece, in turns.
    for _ in 0..3 {
        for name in ["b", "d", "a", "c"] {
            let piece = client.ok(json!({"op": "read", "handle": format!("{name}-response"), "max": 2})).await?;
            same!(piece["body"], format!("/{name}"));
        }
    }
    for name in ["b", "d", "a", "c"] {
        let rest = client.ok(json!({"op": "read-all", "handle": format!("{name}-response")})).await?;
        same!(rest["body_bytes"], 200_000 - 6);
    }
    Ok(())
}

async fn a_reset_at_any_byte_is_a_typed_error(rig: &Rig) -> Result<()> {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345";
    let mut client = rig.client().await?;
    client.open(json!({"retry": "never"})).await?;
    for cut in 0..whole.len() {
        for reply in [raw(&whole[..cut]).close(), raw(&whole[..cut]).reset()] {
            let server = Server::replies([reply]).await?;
            // With a part of the body it is the client that tells.
            let kind = if cut < whole.len() - 5 { rig.told("interrupted") } else { "interrupted" };
            let error = client.refused(kind, json!({"url": server.url("/")})).await?;
            ensure!(!error["message"].as_str().unwrap_or_default().is_empty(), "{error}");
        }
    }
    Ok(())
}

async fn an_untrusted_certificate_is_refused_once(rig: &Rig) -> Result<()> {
    let (trusted, other) = (Authority::new()?, Authority::new()?);
    let fine = Server::secure(trusted.serve(&["127.0.0.1"])?, |_| ok("fine")).await?;
    let wrong_name = Server::secure(trusted.serve(&["b.test"])?, |_| ok("")).await?;
    let unknown = Server::secure(other.serve(&["127.0.0.1"])?, |_| ok("")).await?;
    let mut client = rig.client_trusting(&trusted).await?;
    for _ in 0..2 {
        same!(client.get(fine.url("/")).await?["body"], "fine");
    }
    same!(fine.connections(), 1);
    for server in [wrong_name, unknown] {
        let error = client.refused("protocol", json!({"url": server.url("/")})).await?;
        same!(error["code"], "TLS-certificate-error");
        same!(history(&error), [""; 0]);
        same!(server.connections(), 1);
        same!(server.arrivals(), 0);
    }
    // TLS to a port that speaks plain HTTP.
    let plain = Server::replies([ok("")]).await?;
    client.open(json!({})).await.ok();
    let url = format!("https://127.0.0.1:{}/", plain.port());
    let answer = client.op(json!({"op": "send", "url": url, "retry": "never", "timeouts": {"connect": "2s"}})).await;
    same!(answer["ok"], false);
    ensure!(answer["error"]["kind"] != "trap", "{answer}");
    Ok(())
}

async fn a_failed_body_read_has_a_code(rig: &Rig) -> Result<()> {
    let server = Server::replies([raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").reset()]).await?;
    let mut client = rig.client().await?;
    client.send(json!({"url": server.url("/"), "preload": null, "as": "r"})).await?;
    let error = client.fails("interrupted", json!({"op": "read-all", "handle": "r"})).await?["error"].take();
    ensure!(["connection-terminated", "HTTP-response-incomplete"].iter().any(|code| error["code"] == *code), "{error}");
    Ok(())
}

async fn a_stream_goes_on_when_the_server_answers_first(rig: &Rig) -> Result<()> {
    // The answer begins at the head and ends only once the whole upload was read.
    let server = Server::replies([ok("early").early(), ok("next")]).await?;
    let mut client = rig.client().await?;
    let stream = json!({"chunks": vec!["x"; 20], "gap": "2ms", "length": 20});
    same!(
        client.send(json!({"method": "POST", "url": server.url("/"), "body_stream": stream})).await?["body"],
        "early"
    );
    same!(client.get(server.url("/")).await?["body"], "next");
    Ok(())
}

async fn a_body_may_be_many_small_pieces(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(200).chunks(vec!["0123456789"; 20_000])]).await?;
    let answer = rig.client().await?.get(server.url("/")).await?;
    same!(answer["body_bytes"], 200_000);
    same!(headers(&answer, "transfer-encoding"), [""; 0]);
    Ok(())
}

async fn an_instance_goes_on_after_every_kind_of_failure(rig: &Rig) -> Result<()> {
    let refused = Refused::bind()?;
    let server = Server::routes([
        ("/ok", vec![ok("fine")]),
        ("/reset", vec![reset()]),
        ("/garbage", vec![raw("garbage\r\n\r\n").close()]),
        ("/stall", vec![stall()]),
        ("/gzip", vec![ok("no gzip").header("Content-Encoding", "gzip")]),
        ("/moved", vec![status(302).header("Location", "ftp://a.test/")]),
        ("/loop", vec![status(302).header("Location", "/loop")]),
    ])
    .await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1, "retry": "never", "timeouts": {"first_byte": "60ms"}})).await?;
    for (kind, url) in [
        (rig.told("interrupted"), server.url("/reset")),
        ("protocol", server.url("/garbage")),
        ("timed-out", server.url("/stall")),
        ("undecodable", server.url("/gzip")),
        ("bad-redirect", server.url("/moved")),
        ("too-many-redirects", server.url("/loop")),
        ("connect", refused.url("/")),
        ("invalid-request", "nonsense".to_owned()),
    ] {
        client.refused(kind, json!({"url": url})).await?;
        same!(client.get(server.url("/ok")).await?["body"], "fine", kind);
        same!(client.pool().await?["in_flight"], 0, kind);
    }
    Ok(())
}

async fn an_answer_without_a_body_may_be_taken_raw(rig: &Rig) -> Result<()> {
    for (method, reply) in [("GET", status(204)), ("GET", status(304)), ("HEAD", ok("unsent")), ("GET", ok(""))] {
        let server = Server::replies([reply]).await?;
        let mut client = rig.client().await?;
        client.open(json!({"slots": 1, "preload": null})).await?;
        client.send(json!({"method": method, "url": server.url("/"), "as": "r"})).await?;
        same!(client.pool().await?["in_flight"], 0);
        let taken = client.ok(json!({"op": "take-raw", "handle": "r"})).await?;
        same!(taken["body_bytes"], 0);
    }
    Ok(())
}

async fn polling_by_try_read_alone_reaches_the_end_of_chunks(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(200).chunks(["piece"])]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"preload": null})).await?;
    client.send(json!({"url": server.url("/"), "as": "r"})).await?;
    let mut came = String::new();
    for _ in 0..1000 {
        let read = client.ok(json!({"op": "try-read", "handle": "r", "max": 100})).await?;
        if read["end"] == true {
            same!(came, "piece");
            return Ok(());
        }
        came.push_str(read["body"].as_str().unwrap_or_default());
        client.ok(json!({"op": "sleep", "for": "2ms"})).await?;
    }
    bail!("no end after {came:?}")
}
