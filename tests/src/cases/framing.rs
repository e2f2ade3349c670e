//! Where a response ends, and what is said when it does not.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::case::{cases, same, stock};
use crate::client::Client;
use crate::reply::{Reply, ok, raw, status};
use crate::rig::Rig;
use crate::server::Server;
use crate::{Speech, Step};

cases! { "framing";
    "B1" a_short_body_is_interrupted_with_both_lengths;
    "B2" a_body_longer_than_its_length_is_cut_there, not on stock: stock::LOSES_ANSWERS;
    "B3" two_different_lengths_are_a_protocol_error;
    "B4" two_equal_lengths_are_one;
    "B5" chunks_win_over_a_length_and_end_the_connection, not on stock: stock::KEEPS_LENGTHS;
    "B6" chunk_extensions_are_skipped;
    "B7" a_bad_chunk_size_is_an_error;
    "B8" a_chunk_size_beyond_64_bits_is_an_error;
    "B9" a_body_without_its_last_chunk_is_interrupted;
    "B10" a_body_without_its_last_line_break_is_interrupted;
    "B11" trailers_are_there_at_the_end;
    "B12" early_hints_are_not_the_answer;
    "B13" an_unsolicited_100_is_not_the_answer;
    "B14" only_an_interim_answer_is_interrupted;
    "B15" a_chunked_answer_to_head_has_no_body;
    "B16" a_body_may_end_with_the_connection;
    "B17" a_coding_below_the_chunks_is_refused, not on stock: stock::READS_ANY_CODING;
    "B18" an_unknown_transfer_coding_is_refused, not on stock: stock::READS_ANY_CODING;
    "B19" bare_line_feeds_are_read;
    "B20" garbage_is_a_protocol_error;
    "B21" a_status_out_of_range_is_a_protocol_error;
    "B22" a_reason_phrase_may_be_empty_or_anything;
    "B23" an_upgrade_nobody_asked_for_is_an_error, not on stock: stock::DELIVERS_101;
    "B24" a_length_that_is_no_number_is_a_protocol_error;
    "B25" a_body_that_only_its_connection_ends_needs_the_goodbye_of_tls, not on stock: stock::PUBLIC_ROOTS;
    "B26" space_before_a_colon_is_refused;
    "B27" a_name_that_is_no_token_is_refused;
    "B28" a_chunk_longer_than_its_size_is_an_error;
    "B29" chunks_named_twice_are_refused, not on stock: stock::READS_ANY_CODING;
    "B30" the_name_of_chunks_has_no_case;
    "B31" nothing_after_a_reset_is_taken_for_an_end;
}

/// A client that makes one attempt, and the server that answers it so, and the next request with `next`.
async fn once(rig: &Rig, reply: Reply) -> Result<(Client, Server)> {
    let server = Server::replies([reply, ok("next")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": "never"})).await?;
    Ok((client, server))
}

/// Fails unless a GET fails with one of these kinds, and the next one is answered.
async fn broken(rig: &Rig, reply: Reply, kinds: &[&str]) -> Result<()> {
    let (mut client, server) = once(rig, reply).await?;
    let answer = client.op(json!({"op": "send", "url": server.url("/")})).await;
    let kind = answer["error"]["kind"].as_str().unwrap_or("no error");
    ensure!(kinds.contains(&kind), "got {kind}, expected {kinds:?}: {answer}");
    same!(client.get(server.url("/")).await?["body"], "next");
    same!(server.connections(), 2);
    Ok(())
}

async fn a_short_body_is_interrupted_with_both_lengths(rig: &Rig) -> Result<()> {
    let (mut client, server) = once(rig, raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").close()).await?;
    let error = client.refused("interrupted", json!({"url": server.url("/")})).await?;
    same!(error["expected_bytes"], 10);
    same!(error["received_bytes"], 3);
    Ok(())
}

async fn a_body_longer_than_its_length_is_cut_there(rig: &Rig) -> Result<()> {
    let (mut client, server) = once(rig, raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef")).await?;
    same!(client.get(server.url("/")).await?["body"], "abc");
    same!(client.get(server.url("/")).await?["body"], "next");
    same!(server.connections(), 2);
    Ok(())
}

async fn two_different_lengths_are_a_protocol_error(rig: &Rig) -> Result<()> {
    broken(rig, raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), &["protocol"]).await?;
    broken(rig, raw("HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabcd"), &["protocol"]).await
}

async fn two_equal_lengths_are_one(rig: &Rig) -> Result<()> {
    let (mut client, server) =
        once(rig, raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc")).await?;
    same!(client.get(server.url("/")).await?["body"], "abc");
    same!(client.get(server.url("/")).await?["body"], "next");
    Ok(())
}

async fn chunks_win_over_a_length_and_end_the_connection(rig: &Rig) -> Result<()> {
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (mut client, server) = once(rig, raw(both)).await?;
    same!(client.get(server.url("/")).await?["body"], "abc");
    same!(client.get(server.url("/")).await?["body"], "next");
    same!(server.connections(), 2);
    Ok(())
}

async fn chunk_extensions_are_skipped(rig: &Rig) -> Result<()> {
    let chunks = "3;a=b\r\nabc\r\n2;q=\"x;y\"\r\nde\r\n0;last\r\n\r\n";
    let (mut client, server) =
        once(rig, raw(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))).await?;
    same!(client.get(server.url("/")).await?["body"], "abcde");
    same!(client.get(server.url("/")).await?["body"], "next");
    rig.accepted(&server, 1)?;
    Ok(())
}

fn chunked(body: &str) -> Reply {
    raw(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"))
}

async fn a_bad_chunk_size_is_an_error(rig: &Rig) -> Result<()> {
    for size in ["zz", "-3", "", "0x3"] {
        broken(rig, chunked(&format!("{size}\r\nabc\r\n0\r\n\r\n")), &["interrupted", "protocol"]).await?;
    }
    Ok(())
}

async fn a_chunk_size_beyond_64_bits_is_an_error(rig: &Rig) -> Result<()> {
    broken(rig, chunked("10000000000000003\r\nabc\r\n0\r\n\r\n"), &["interrupted", "protocol"]).await
}

async fn a_body_without_its_last_chunk_is_interrupted(rig: &Rig) -> Result<()> {
    broken(rig, chunked("3\r\nabc\r\n").close(), &["interrupted"]).await?;
    broken(rig, chunked("9\r\nabc").close(), &["interrupted"]).await
}

async fn a_body_without_its_last_line_break_is_interrupted(rig: &Rig) -> Result<()> {
    broken(rig, chunked("3\r\nabc\r\n0\r\n").close(), &["interrupted"]).await
}

async fn trailers_are_there_at_the_end(rig: &Rig) -> Result<()> {
    let reply = status(200).chunks(["abc", "de"]).trailer("X-Sum", "5").trailer("X-Sum", "6");
    let (mut client, server) = once(rig, reply).await?;
    client.send(json!({"url": server.url("/"), "preload": null, "as": "r"})).await?;
    same!(client.ok(json!({"op": "trailers", "handle": "r"})).await?["trailers"], json!([]));
    same!(client.ok(json!({"op": "read-all", "handle": "r", "limit": 100})).await?["body"], "abcde");
    let trailers = client.ok(json!({"op": "trailers", "handle": "r"})).await?["trailers"].take();
    same!(trailers, json!([["x-sum", "5"], ["x-sum", "6"]]));
    Ok(())
}

async fn early_hints_are_not_the_answer(rig: &Rig) -> Result<()> {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
    let (mut client, server) = once(rig, ok("final").preceded_by(hints).preceded_by(hints)).await?;
    let answer = client.get(server.url("/")).await?;
    same!(answer["status"], 200);
    same!(answer["body"], "final");
    Ok(())
}

async fn an_unsolicited_100_is_not_the_answer(rig: &Rig) -> Result<()> {
    let (mut client, server) = once(rig, ok("final").preceded_by("HTTP/1.1 100 Continue\r\n\r\n")).await?;
    same!(client.get(server.url("/")).await?["body"], "final");
    Ok(())
}

async fn only_an_interim_answer_is_interrupted(rig: &Rig) -> Result<()> {
    broken(rig, raw("HTTP/1.1 100 Continue\r\n\r\n").close(), &[rig.told("interrupted")]).await
}

async fn a_chunked_answer_to_head_has_no_body(rig: &Rig) -> Result<()> {
    let (mut client, server) = once(rig, status(200).chunks(["abc"])).await?;
    let answer = client.send(json!({"method": "HEAD", "url": server.url("/")})).await?;
    same!(answer["body_bytes"], 0);
    same!(client.get(server.url("/")).await?["body"], "next");
    rig.accepted(&server, 1)?;
    Ok(())
}

async fn a_body_may_end_with_the_connection(rig: &Rig) -> Result<()> {
    let (mut client, server) = once(rig, status(200).until_close("to the end")).await?;
    same!(client.get(server.url("/")).await?["body"], "to the end");
    Ok(())
}

async fn a_coding_below_the_chunks_is_refused(rig: &Rig) -> Result<()> {
    let reply = raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    broken(rig, reply, &["protocol"]).await
}

async fn an_unknown_transfer_coding_is_refused(rig: &Rig) -> Result<()> {
    broken(rig, raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: x-own\r\n\r\nabc").close(), &["protocol"]).await
}

async fn bare_line_feeds_are_read(rig: &Rig) -> Result<()> {
    let (mut client, server) = once(rig, raw("HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 3\n\nabc")).await?;
    same!(client.get(server.url("/")).await?["body"], "abc");
    Ok(())
}

async fn garbage_is_a_protocol_error(rig: &Rig) -> Result<()> {
    for garbage in
        ["garbage\r\n\r\n", "<html>HTTP/0.9</html>\r\n\r\n", "\0\0\0\0\0\0\0\0\r\n\r\n", "HTTP/3.7 200 OK\r\n\r\n"]
    {
        broken(rig, raw(garbage).close(), &["protocol"]).await?;
    }
    Ok(())
}

async fn a_status_out_of_range_is_a_protocol_error(rig: &Rig) -> Result<()> {
    for code in ["099", "1000", "20", "2x0", "-200"] {
        let reply = raw(format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n")).close();
        broken(rig, reply, &["protocol"]).await?;
    }
    Ok(())
}

async fn a_reason_phrase_may_be_empty_or_anything(rig: &Rig) -> Result<()> {
    for reason in ["", " ", " Größe ist egal"] {
        let (mut client, server) =
            once(rig, raw(format!("HTTP/1.1 200{reason}\r\nContent-Length: 3\r\n\r\nabc"))).await?;
        same!(client.get(server.url("/")).await?["body"], "abc", reason);
    }
    Ok(())
}

async fn an_upgrade_nobody_asked_for_is_an_error(rig: &Rig) -> Result<()> {
    let reply = raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc").close();
    broken(rig, reply, &["protocol"]).await
}

async fn a_length_that_is_no_number_is_a_protocol_error(rig: &Rig) -> Result<()> {
    for length in ["-1", "+3", "0x3", "three", "99999999999999999999", "3;"] {
        broken(rig, raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nabc")).close(), &["protocol"])
            .await?;
    }
    Ok(())
}

async fn a_body_that_only_its_connection_ends_needs_the_goodbye_of_tls(rig: &Rig) -> Result<()> {
    let page = || raw("HTTP/1.1 200 OK\r\n\r\nto the end");
    // RFC 9112 section 9.8: without it, whoever is on the way could have cut the body.
    let whole = raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole").then(Step::Hangup);
    let server = Server::replies_in(Speech::Http1Tls, [page().then(Step::Hangup), page().close(), whole]).await?;
    let mut client = rig.client_for(&server).await?;
    client.open(json!({"retry": "never"})).await?;
    client.refused("interrupted", json!({"url": server.url("/")})).await?;
    same!(client.get(server.url("/")).await?["body"], "to the end");
    // A body that says where it ends needs no goodbye.
    same!(client.get(server.url("/")).await?["body"], "whole");
    Ok(())
}

async fn space_before_a_colon_is_refused(rig: &Rig) -> Result<()> {
    // RFC 9112 section 5.1: who reads it, and who does not, disagree about where the body ends.
    for field in ["Content-Length : 3", "Transfer-Encoding : chunked", "X-A\t: 1"] {
        broken(rig, raw(format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\nabc")).close(), &["protocol"]).await?;
    }
    Ok(())
}

async fn a_name_that_is_no_token_is_refused(rig: &Rig) -> Result<()> {
    for field in ["X A: 1", ": 1", "X(A): 1", "X\0A: 1", "no colon at all", "X-A: a\0b", "X-A: a\rb"] {
        let reply = raw(format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 3\r\n\r\nabc")).close();
        broken(rig, reply, &["protocol"]).await?;
    }
    Ok(())
}

async fn a_chunk_longer_than_its_size_is_an_error(rig: &Rig) -> Result<()> {
    for chunks in ["3\r\nabcde\r\n0\r\n\r\n", "3\r\nabc0\r\n\r\n", "3\r\nabc\n0\r\n\r\n"] {
        broken(rig, chunked(chunks).close(), &["interrupted", "protocol"]).await?;
    }
    Ok(())
}

async fn chunks_named_twice_are_refused(rig: &Rig) -> Result<()> {
    for codings in [
        "chunked, chunked",
        "chunked, identity",
        "identity",
        "chunked;q=1",
        "xchunked",
        "chunked\r\nTransfer-Encoding: chunked",
    ] {
        let reply =
            raw(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {codings}\r\n\r\n3\r\nabc\r\n0\r\n\r\n")).close();
        broken(rig, reply, &["protocol"]).await?;
    }
    Ok(())
}

async fn the_name_of_chunks_has_no_case(rig: &Rig) -> Result<()> {
    for coding in ["Chunked", "CHUNKED", " chunked\t"] {
        let reply = raw(format!("HTTP/1.1 200 OK\r\nTRANSFER-encoding:{coding}\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
        let (mut client, server) = once(rig, reply).await?;
        same!(client.get(server.url("/")).await?["body"], "abc", coding);
        same!(client.get(server.url("/")).await?["body"], "next", coding);
        rig.accepted(&server, 1)?;
    }
    Ok(())
}

async fn nothing_after_a_reset_is_taken_for_an_end(rig: &Rig) -> Result<()> {
    let (mut client, server) = once(rig, raw("HTTP/1.1 200 OK\r\n\r\nnot to the end").reset()).await?;
    client.refused("interrupted", json!({"url": server.url("/")})).await?;
    Ok(())
}
