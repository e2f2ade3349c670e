//! Which requests share a connection, and when one is given up.
//!
//! Longer than most files: the area is the headline of the product.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use urlpool_host::Host;

use crate::case::{cases, same, stock};
use crate::client::history;
use crate::ports::Refused;
use crate::reply::{close, ok, raw, reset, stall, status};
use crate::rig::{Rig, finding};
use crate::server::End;
use crate::{Gate, Server, Speech, Until};

cases! { "reuse";
    "P1" two_sequential_gets_share_one_connection, not on stock: stock::KEEPS_NONE;
    "P2" connection_close_is_honoured, not on stock: stock::COUNTS_NOTHING;
    "P3" an_http_1_0_response_ends_its_connection;
    "P4" a_body_ended_by_the_connection_is_whole_and_not_reused;
    "P5" a_full_pool_that_refuses_refuses_at_once;
    "P5b" connections_beyond_the_idle_limit_are_closed_after_use, not on stock: stock::NO_SETTINGS;
    "P6" no_more_requests_are_in_flight_than_slots;
    "P7" waiting_for_a_slot_has_a_limit_and_sends_nothing;
    "P8" a_failed_request_gives_its_slot_back;
    "P9" a_response_dropped_in_the_middle_gives_its_slot_back;
    "P9b" a_short_rest_of_a_dropped_body_does_not_cost_the_next_request, not on stock: stock::KEEPS_NONE;
    "P10" a_body_read_to_its_end_frees_the_connection_without_a_drop, not on stock: stock::KEEPS_NONE;
    "P11" the_connection_used_last_is_used_next, not on stock: stock::KEEPS_NONE;
    "P12" an_idle_connection_that_the_server_closed_is_not_used, not on stock: stock::KEEPS_NONE;
    "P12b" a_post_after_an_idle_close_succeeds;
    "P13" a_stale_connection_is_repaired_below_the_retries, not on stock: stock::KEEPS_NONE;
    "P14" a_post_on_a_stale_connection_is_not_sent_twice, not on stock: stock::KEEPS_NONE;
    "P15" an_idempotency_key_makes_a_post_repairable, not on stock: stock::KEEPS_NONE;
    "P16" an_idle_connection_is_closed_after_its_timeout, not on stock: stock::KEEPS_NONE;
    "P20" the_origin_used_least_recently_is_forgotten;
    "P23" the_case_of_scheme_and_host_makes_no_other_origin;
    "P26" a_closed_pool_answers_closed;
    "P27" closing_wakes_those_who_wait_for_a_slot;
    "P28" a_pool_for_one_origin_refuses_others_before_any_contact;
    "P29" a_pool_without_an_origin_takes_any;
    "P30" head_then_get_share_a_connection, not on stock: stock::KEEPS_NONE;
    "P31" a_bogus_length_on_204_does_not_hang;
    "P32" bytes_after_a_response_poison_the_connection, not on stock: stock::LOSES_ANSWERS;
    "P33" an_answer_ahead_of_the_upload_is_delivered;
    "P34" interim_responses_do_not_end_a_connection, not on stock: stock::KEEPS_NONE;
    "P35" a_connection_is_reused_after_trailers, not on stock: stock::KEEPS_NONE;
    "P36" the_figures_are_exact, not on stock: stock::COUNTS_NOTHING;
    "P37" dropping_the_host_closes_its_connections, not on stock: stock::KEEPS_NONE;
    "P38" many_instances_share_the_connections_of_one_host, not on stock: stock::KEEPS_NONE;
    "P39" the_second_address_of_a_name_is_tried, not on stock: stock::NO_SETTINGS;
}

async fn two_sequential_gets_share_one_connection(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("one"), ok("two")]).await?;
        let mut client = rig.client_for(&server).await?;
        same!(client.get(server.url("/1")).await?["body"], "one", speech);
        same!(client.get(server.url("/2")).await?["body"], "two", speech);
        same!(server.connections(), 1, speech);
        let host = client.host().await?;
        same!(host["opened"], 1, speech);
        same!(host["reused"], 1, speech);
    }
    Ok(())
}

async fn connection_close_is_honoured(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let server = Server::replies_in(speech, [ok("").header("Connection", "close").close(), ok("")]).await?;
        let mut client = rig.client_for(&server).await?;
        client.get(server.url("/1")).await?;
        let second = client.get(server.url("/2")).await?;
        same!(history(&second), [""; 0], speech);
        same!(server.connections(), 2, speech);
        same!(client.host().await?["discarded"]["connection-close"], 1, speech);
    }
    Ok(())
}

async fn an_http_1_0_response_ends_its_connection(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let server =
            Server::replies_in(speech, [raw("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none"), ok("two")]).await?;
        let mut client = rig.client_for(&server).await?;
        same!(client.get(server.url("/1")).await?["body"], "one", speech);
        same!(client.get(server.url("/2")).await?["body"], "two", speech);
        same!(server.connections(), 2, speech);
    }
    Ok(())
}

async fn a_body_ended_by_the_connection_is_whole_and_not_reused(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let server = Server::replies_in(speech, [status(200).until_close("to the end"), ok("two")]).await?;
        let mut client = rig.client_for(&server).await?;
        same!(client.get(server.url("/1")).await?["body"], "to the end", speech);
        same!(client.get(server.url("/2")).await?["body"], "two", speech);
        same!(server.connections(), 2, speech);
    }
    Ok(())
}

async fn a_full_pool_that_refuses_refuses_at_once(rig: &Rig) -> Result<()> {
    let gate = Gate::new();
    let server = Server::replies([ok("").after(Until::Open(gate.clone()))]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1, "when_full": "refuse"})).await?;
    client.start("a", json!({"url": server.url("/")})).await?;
    client.refused("pool-exhausted", json!({"url": server.url("/")})).await?;
    gate.open();
    client.finish("a").await?;
    same!(server.arrivals(), 1);
    rig.accepted(&server, 1)
}

async fn connections_beyond_the_idle_limit_are_closed_after_use(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let server = Server::replies_in(speech, [ok("").after(Until::Arrived(3))]).await?;
        let mut client = rig.client_set(&server, |host| host.idle_per_origin(1)).await?;
        client.send_all(vec![json!({"url": server.url("/")}); 3]).await?;
        same!(server.connections(), 3, speech);
        let host = client.until_host("one live connection", |host| host["live"] == 1).await?;
        same!(host["idle"], 1, speech);
        same!(host["discarded"], json!({"idle-limit": 2}), speech);
        server
            .until("two closed", |log| log.connections.iter().filter(|one| one.ended == Some(End::Client)).count() == 2)
            .await?;
    }
    Ok(())
}

async fn no_more_requests_are_in_flight_than_slots(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let mut arrived = 0;
        let server = Server::answering_in(speech, move |_| {
            arrived += 1;
            // Each pair is answered once both are there; the fifth alone.
            ok("").after(Until::Arrived(match arrived {
                1 | 2 => 2,
                3 | 4 => 4,
                _ => 5,
            }))
        })
        .await?;
        let mut client = rig.client_for(&server).await?;
        client.open(json!({"slots": 2})).await?;
        let answers = client.send_all(vec![json!({"url": server.url("/")}); 5]).await?;
        for answer in &answers {
            same!(answer["status"], 200, speech);
        }
        same!(answers.len(), 5, speech);
        same!(server.log().most_in_flight, 2, speech);
        rig.accepted(&server, if speech.shares() { 1 } else { 2 })?;
    }
    Ok(())
}

async fn waiting_for_a_slot_has_a_limit_and_sends_nothing(rig: &Rig) -> Result<()> {
    let server = Server::replies([stall()]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1})).await?;
    client.start("holder", json!({"url": server.url("/")})).await?;
    let begun = Instant::now();
    let error = client.refused("timed-out", json!({"url": server.url("/"), "timeouts": {"slot": "50ms"}})).await?;
    let took = begun.elapsed();
    same!(error["phase"], "slot");
    same!(error["limit_ms"].as_f64(), Some(50.0));
    ensure!(took >= Duration::from_millis(50) && took < Duration::from_millis(500), "took {took:?}");
    server.until("the first request", |log| log.requests.len() == 1).await?;
    same!(server.arrivals(), 1);
    rig.accepted(&server, 1)
}

async fn a_failed_request_gives_its_slot_back(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [reset(), ok("next")]).await?;
        let mut client = rig.client_for(&server).await?;
        client.open(json!({"slots": 1, "retry": "never"})).await?;
        client.refused(rig.told("interrupted"), json!({"url": server.url("/")})).await?;
        same!(client.get(server.url("/")).await?["body"], "next", speech);
        same!(client.pool().await?["in_flight"], 0, speech);
        same!((server.connections(), server.arrivals()), (2, 2), speech);
    }
    Ok(())
}

async fn a_response_dropped_in_the_middle_gives_its_slot_back(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        // Far more than the host drains.
        let server = Server::replies_in(speech, [ok(vec![b'x'; 4 << 20]), ok("next")]).await?;
        let mut client = rig.client_for(&server).await?;
        client.open(json!({"slots": 1, "preload": null})).await?;
        client.send(json!({"url": server.url("/"), "as": "r"})).await?;
        let piece = client.ok(json!({"op": "read", "handle": "r", "max": 100})).await?;
        same!(piece["end"], false, speech);
        client.ok(json!({"op": "drop", "handle": "r"})).await?;
        same!(client.get(server.url("/")).await?["body"], "next", speech);
        if speech.shares() {
            // Giving up a stream costs nobody else anything.
            same!(server.connections(), 1, speech);
        } else {
            same!(server.connections(), 2, speech);
            server.until("the first connection closed", |log| log.connections[0].ended == Some(End::Client)).await?;
        }
    }
    Ok(())
}

async fn a_short_rest_of_a_dropped_body_does_not_cost_the_next_request(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok(vec![b'x'; 20_000]), ok("next")]).await?;
        let mut client = rig.client_for(&server).await?;
        client.open(json!({"slots": 1, "preload": null})).await?;
        client.send(json!({"url": server.url("/"), "as": "r"})).await?;
        client.ok(json!({"op": "read", "handle": "r", "max": 100})).await?;
        client.ok(json!({"op": "drop", "handle": "r"})).await?;
        same!(client.get(server.url("/")).await?["body"], "next", speech);
        same!(server.connections(), 1, speech);
    }
    Ok(())
}

async fn a_body_read_to_its_end_frees_the_connection_without_a_drop(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("streamed"), ok("next")]).await?;
        let mut client = rig.client_for(&server).await?;
        client.open(json!({"slots": 1, "preload": null})).await?;
        client.send(json!({"url": server.url("/"), "as": "r"})).await?;
        loop {
            if client.ok(json!({"op": "read", "handle": "r", "max": 3})).await?["end"] == true {
                break;
            }
        }
        // The first response is still held by its name.
        same!(client.get(server.url("/")).await?["body"], "next", speech);
        same!(server.connections(), 1, speech);
        same!(client.ok(json!({"op": "head", "handle": "r"})).await?["status"], 200, speech);
    }
    Ok(())
}

async fn the_connection_used_last_is_used_next(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let (first, second) = (Gate::new(), Gate::new());
        let server = Server::routes_in(
            speech,
            [
                ("/a", vec![ok("").after(Until::Open(first.clone()))]),
                ("/b", vec![ok("").after(Until::Open(second.clone()))]),
                ("/c", vec![ok("")]),
            ],
        )
        .await?;
        let mut client = rig.client_for(&server).await?;
        client.start("a", json!({"url": server.url("/a")})).await?;
        client.start("b", json!({"url": server.url("/b")})).await?;
        first.open();
        client.finish("a").await?;
        client.until_host("one idle connection", |host| host["idle"] == 1).await?;
        second.open();
        client.finish("b").await?;
        client.until_host("two idle connections", |host| host["idle"] == 2).await?;
        client.get(server.url("/c")).await?;
        let requests = server.requests();
        let connection =
            |path: &str| requests.iter().find(|request| request.path() == path).map(|found| found.connection);
        ensure!(connection("/a") != connection("/b"), "a and b shared a connection");
        same!(connection("/c"), connection("/b"), speech);
    }
    Ok(())
}

async fn an_idle_connection_that_the_server_closed_is_not_used(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("one").close(), ok("two")]).await?;
        let mut client = rig.client_for(&server).await?;
        client.get(server.url("/")).await?;
        server.until("the close", |log| log.connections[0].ended == Some(End::Server)).await?;
        client.until_host("no connection", |host| host["live"] == 0).await?;
        let second = client.get(server.url("/")).await?;
        same!(second["body"], "two", speech);
        same!(second["attempts"], 1, speech);
        same!(server.connections(), 2, speech);
        same!(server.arrivals(), 2, speech);
        same!(client.pool().await?["retries"], 0, speech);
    }
    Ok(())
}

async fn a_post_after_an_idle_close_succeeds(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("one").close(), ok("two")]).await?;
        let mut client = rig.client_for(&server).await?;
        client.get(server.url("/")).await?;
        server.until("the close", |log| log.connections[0].ended == Some(End::Server)).await?;
        // At once: the host has to look at the socket before it writes to it.
        same!(
            client.send(json!({"method": "POST", "url": server.url("/"), "body": "x"})).await?["body"],
            "two",
            speech
        );
        same!((server.connections(), server.arrivals()), (2, 2), speech);
    }
    Ok(())
}

async fn a_stale_connection_is_repaired_below_the_retries(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("one"), close(), ok("two")]).await?;
        let mut client = rig.client_for(&server).await?;
        client.open(json!({"retry": "never"})).await?;
        client.get(server.url("/")).await?;
        let second = client.get(server.url("/")).await?;
        same!(second["body"], "two", speech);
        same!(second["attempts"], 1, speech);
        same!(history(&second), [""; 0], speech);
        let requests = server.requests();
        same!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 0, 1], speech);
        same!(client.host().await?["resent"], 1, speech);
        same!(client.pool().await?["retries"], 0, speech);
    }
    Ok(())
}

async fn a_post_on_a_stale_connection_is_not_sent_twice(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("one"), close(), ok("two")]).await?;
        let mut client = rig.client_for(&server).await?;
        client.get(server.url("/")).await?;
        let error =
            client.refused("interrupted", json!({"method": "POST", "url": server.url("/"), "body": "x"})).await?;
        same!(error["code"], "connection-terminated", speech);
        same!((server.connections(), server.arrivals()), (1, 2), speech);
        same!(client.host().await?["resent"], 0, speech);
    }
    Ok(())
}

async fn an_idempotency_key_makes_a_post_repairable(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("one"), close(), ok("two")]).await?;
        let mut client = rig.client_for(&server).await?;
        client.open(json!({"retry": "never"})).await?;
        client.get(server.url("/")).await?;
        let post =
            json!({"method": "POST", "url": server.url("/"), "body": "x", "headers": [["Idempotency-Key", "k"]]});
        same!(client.send(post).await?["body"], "two", speech);
        let requests = server.requests();
        same!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 0, 1], speech);
        same!(requests[2].text(), "x", speech);
        same!(client.host().await?["resent"], 1, speech);
    }
    Ok(())
}

async fn an_idle_connection_is_closed_after_its_timeout(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("")]).await?;
        let mut client = rig.client_set(&server, |host| host.idle_timeout(Duration::from_millis(100))).await?;
        client.get(server.url("/")).await?;
        // The host closes it by itself; nobody asks for a connection meanwhile.
        server.until("the close", |log| log.connections[0].ended == Some(End::Client)).await?;
        client.get(server.url("/")).await?;
        same!(server.connections(), 2, speech);
        same!(client.host().await?["discarded"]["idle-timeout"], 1, speech);
    }
    Ok(())
}

async fn the_origin_used_least_recently_is_forgotten(rig: &Rig) -> Result<()> {
    let mut client = rig.client().await?;
    client.open(json!({"origins": 2})).await?;
    for _ in 0..3 {
        client.get(Server::replies([ok("")]).await?.url("/")).await?;
    }
    same!(client.pool().await?["origins"], 2);
    Ok(())
}

async fn the_case_of_scheme_and_host_makes_no_other_origin(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    client.get(format!("HTTP://LOCALHOST:{}/", server.port())).await?;
    client.get(format!("http://localhost:{}/", server.port())).await?;
    rig.accepted(&server, 1)?;
    same!(client.pool().await?["origins"], 1);
    Ok(())
}

async fn a_closed_pool_answers_closed(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({})).await?;
    client.ok(json!({"op": "close"})).await?;
    client.ok(json!({"op": "close"})).await?;
    client.refused("closed", json!({"url": server.url("/")})).await?;
    same!(server.connections(), 0);
    Ok(())
}

async fn closing_wakes_those_who_wait_for_a_slot(rig: &Rig) -> Result<()> {
    let gate = Gate::new();
    let server = Server::replies([ok("held").after(Until::Open(gate.clone()))]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1})).await?;
    client.start("holder", json!({"url": server.url("/")})).await?;
    client.start("waiter", json!({"url": server.url("/")})).await?;
    same!(client.pool().await?["queued"], 1);
    client.ok(json!({"op": "close"})).await?;
    client.fails("closed", json!({"op": "finish", "handle": "waiter"})).await?;
    gate.open();
    same!(client.finish("holder").await?["body"], "held");
    same!(server.arrivals(), 1);
    rig.accepted(&server, 1)
}

async fn a_pool_for_one_origin_refuses_others_before_any_contact(rig: &Rig) -> Result<()> {
    let (own, other) = (Server::replies([ok("own")]).await?, Server::replies([ok("")]).await?);
    let mut client = rig.client().await?;
    client.open(json!({"url": own.url("/base/")})).await?;
    same!(client.send(json!({"url": "x"})).await?["body"], "own");
    same!(own.request(0)?.target, "/base/x");
    client.refused("invalid-request", json!({"url": other.url("/")})).await?;
    same!(other.connections(), 0);
    Ok(())
}

async fn a_pool_without_an_origin_takes_any(rig: &Rig) -> Result<()> {
    let (one, two) = (Server::replies([ok("1")]).await?, Server::replies([ok("2")]).await?);
    let mut client = rig.client().await?;
    same!(client.get(one.url("/")).await?["body"], "1");
    same!(client.get(two.url("/")).await?["body"], "2");
    same!(client.pool().await?["origins"], 2);
    same!([one.connections(), two.connections()], [1, 1]);
    Ok(())
}

async fn head_then_get_share_a_connection(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("five!"), ok("two")]).await?;
        let mut client = rig.client_for(&server).await?;
        let head = client.send(json!({"method": "HEAD", "url": server.url("/")})).await?;
        same!(head["status"], 200, speech);
        same!(head["body_bytes"], 0, speech);
        same!(client.get(server.url("/")).await?["body"], "two", speech);
        same!(server.connections(), 1, speech);
    }
    Ok(())
}

async fn a_bogus_length_on_204_does_not_hang(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let server = Server::replies_in(
            speech,
            [
                raw("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
                raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
                ok("three"),
            ],
        )
        .await?;
        let mut client = rig.client_for(&server).await?;
        for expected in [204, 304] {
            let answer = client.get(server.url("/")).await?;
            same!(answer["status"], expected, speech);
            same!(answer["body_bytes"], 0, speech);
        }
        same!(client.get(server.url("/")).await?["body"], "three", speech);
        rig.accepted(&server, 1)?;
    }
    Ok(())
}

async fn bytes_after_a_response_poison_the_connection(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let evil = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        let server = Server::replies_in(speech, [raw(evil), ok("two")]).await?;
        let mut client = rig.client_for(&server).await?;
        same!(client.get(server.url("/")).await?["body"], "one", speech);
        same!(client.get(server.url("/")).await?["body"], "two", speech);
        same!(server.connections(), 2, speech);
    }
    Ok(())
}

async fn an_answer_ahead_of_the_upload_is_delivered(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [status(413).body("too much").early(), ok("next")]).await?;
        let mut client = rig.client_for(&server).await?;
        let chunks = vec!["x".repeat(64 * 1024); 64];
        let upload = json!({"method": "POST", "url": server.url("/"), "body_stream": {"chunks": chunks, "gap": "2ms"}});
        let answer = client.send(upload).await?;
        same!(answer["status"], 413, speech);
        same!(answer["body"], "too much", speech);
        same!(client.get(server.url("/")).await?["body"], "next", speech);
        // Half an upload is in the way on the first one, unless it has a stream of its own.
        same!(server.connections(), if speech.shares() { 1 } else { 2 }, speech);
    }
    Ok(())
}

async fn interim_responses_do_not_end_a_connection(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let server =
            Server::replies_in(speech, [ok("one").preceded_by(interim), ok("two").preceded_by(interim)]).await?;
        let mut client = rig.client_for(&server).await?;
        same!(client.get(server.url("/")).await?["body"], "one", speech);
        same!(client.get(server.url("/")).await?["body"], "two", speech);
        same!(server.connections(), 1, speech);
    }
    Ok(())
}

async fn a_connection_is_reused_after_trailers(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server =
            Server::replies_in(speech, [status(200).chunks(["on", "e"]).trailer("X-Sum", "3"), ok("two")]).await?;
        let mut client = rig.client_for(&server).await?;
        let answer = client.get(server.url("/")).await?;
        same!(answer["body"], "one", speech);
        same!(answer["trailers"], json!([["x-sum", "3"]]), speech);
        client.get(server.url("/")).await?;
        same!(server.connections(), 1, speech);
    }
    Ok(())
}

async fn the_figures_are_exact(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ONE_AT_A_TIME) {
        let server = Server::routes_in(
            speech,
            [
                ("/ok", vec![ok("")]),
                ("/close", vec![ok("").header("Connection", "close").close()]),
                ("/moved", vec![status(302).header("Location", "/ok")]),
                ("/busy", vec![status(503).header("Retry-After", "0"), ok("")]),
            ],
        )
        .await?;
        let mut client = rig.client_for(&server).await?;
        for path in ["/ok", "/ok", "/moved", "/busy", "/close"] {
            client.get(server.url(path)).await?;
        }
        let pool = client.pool().await?;
        same!(pool["requests"], 5, speech);
        same!(pool["attempts"], 7, speech);
        same!(pool["retries"], 1, speech);
        same!(pool["redirects"], 1, speech);
        same!(pool["in_flight"], 0, speech);
        same!(pool["queued"], 0, speech);
        same!(pool["origins"], 1, speech);
        let host = client.until_host("nothing live", |host| host["live"] == 0).await?;
        same!(host["opened"], 1, speech);
        same!(host["reused"], 6, speech);
        same!(host["resent"], 0, speech);
        same!(host["idle"], 0, speech);
        same!(host["waiting"], 0, speech);
        same!(host["discarded"], json!({"connection-close": 1}), speech);
    }
    Ok(())
}

async fn dropping_the_host_closes_its_connections(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let server = Server::replies_in(speech, [ok("")]).await?;
        let mut client = rig.client_for(&server).await?;
        client.get(server.url("/")).await?;
        client.until_host("an idle connection", |host| host["idle"] == 1).await?;
        drop(client);
        server.until("the close", |log| log.connections[0].ended == Some(End::Client)).await?;
    }
    Ok(())
}

async fn many_instances_share_the_connections_of_one_host(rig: &Rig) -> Result<()> {
    const INSTANCES: usize = 32;
    const REQUESTS: usize = 50;
    const CONNECTIONS: usize = 8;
    for speech in rig.speeches(&Speech::ALL) {
        // Nobody is answered before as many are there as the limit lets in.
        let server =
            Server::answering_in(speech, |request| ok(&request.target).after(Until::Arrived(CONNECTIONS))).await?;
        let host = server.trusted_by(Host::builder())?.connections_per_origin(CONNECTIONS).build()?;
        let (server, host) = (&server, &host);
        let instances = (0..INSTANCES).map(async |instance| {
            let mut client = rig.client_of(host).await?;
            for request in 0..REQUESTS {
                let target = format!("/{instance}/{request}");
                same!(client.get(server.url(&target)).await?["body"], target, speech);
            }
            anyhow::Ok(())
        });
        futures::future::try_join_all(instances).await?;
        same!(server.arrivals(), INSTANCES * REQUESTS, speech);
        same!(server.connections(), if speech.shares() { 1 } else { CONNECTIONS }, speech);
    }
    Ok(())
}

async fn the_second_address_of_a_name_is_tried(rig: &Rig) -> Result<()> {
    for speech in rig.speeches(&Speech::ALL) {
        let refused = Refused::bind()?;
        let server = Server::replies_in(speech, [ok("second")]).await?;
        let ports = [refused.port(), server.port()];
        let mut client = rig.client_set(&server, |host| host.resolver(finding("a.test", &ports))).await?;
        for _ in 0..2 {
            let answer = client.get(format!("{}://a.test/", speech.scheme())).await?;
            same!(answer["body"], "second", speech);
            same!(answer["attempts"], 1, speech);
        }
        same!(server.connections(), 1, speech);
        same!(client.host().await?["opened"], 1, speech);
    }
    Ok(())
}
