//! Servers that applications run in: Node's, aiohttp's, and uvicorn with h11.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use urlpool_conformance::Rig;
use urlpool_conformance::client::{base64, body, headers, history};

use super::noise;
use crate::check::checks;
use crate::need::Need;
use crate::served::Server;

checks! { "servers";
    [Need::Node] node_echoes_bodies_of_all_sizes_over_one_connection;
    [Need::ServersPython] aiohttp_echoes_bodies_of_all_sizes_over_one_connection;
    [Need::ServersPython] uvicorn_echoes_bodies_of_all_sizes_over_one_connection;
    [Need::Node] a_refusal_of_node_ahead_of_an_upload_is_delivered;
    [Need::ServersPython] a_refusal_of_aiohttp_ahead_of_an_upload_is_delivered;
    [Need::ServersPython] a_refusal_of_uvicorn_ahead_of_an_upload_is_delivered;
    [Need::Node] a_get_whose_connection_node_drops_is_sent_again_and_a_post_is_not;
    [Need::ServersPython] a_get_whose_connection_aiohttp_drops_is_sent_again_and_a_post_is_not;
}

async fn node_echoes_bodies_of_all_sizes_over_one_connection(rig: &Rig) -> Result<()> {
    echoed(Server::Node, rig).await
}

async fn aiohttp_echoes_bodies_of_all_sizes_over_one_connection(rig: &Rig) -> Result<()> {
    echoed(Server::Aiohttp, rig).await
}

async fn uvicorn_echoes_bodies_of_all_sizes_over_one_connection(rig: &Rig) -> Result<()> {
    echoed(Server::Uvicorn, rig).await
}

async fn a_refusal_of_node_ahead_of_an_upload_is_delivered(rig: &Rig) -> Result<()> {
    refused(Server::Node, rig).await
}

async fn a_refusal_of_aiohttp_ahead_of_an_upload_is_delivered(rig: &Rig) -> Result<()> {
    refused(Server::Aiohttp, rig).await
}

async fn a_refusal_of_uvicorn_ahead_of_an_upload_is_delivered(rig: &Rig) -> Result<()> {
    refused(Server::Uvicorn, rig).await
}

async fn a_get_whose_connection_node_drops_is_sent_again_and_a_post_is_not(rig: &Rig) -> Result<()> {
    dropped(Server::Node, rig).await
}

async fn a_get_whose_connection_aiohttp_drops_is_sent_again_and_a_post_is_not(rig: &Rig) -> Result<()> {
    dropped(Server::Aiohttp, rig).await
}

/// The client's port that the server saw.
fn peer(answer: &Value) -> String {
    headers(answer, "x-peer").concat()
}

async fn echoed(server: Server, rig: &Rig) -> Result<()> {
    let server = server.start().await?;
    let mut client = rig.client().await?;
    let mut peers = Vec::new();
    for size in [0, 1, 1_000, 65_535, 65_536, 65_537, 1 << 20] {
        let content = noise(size);
        let request = json!({"method": "POST", "url": server.url("/echo"), "body_base64": base64(&content)});
        let answer = client.send(request).await?;
        ensure!(answer["status"] == 200 && body(&answer)? == content, "{size} bytes do not come back");
        peers.push(peer(&answer));
    }
    let chunks: Vec<_> = (0..200).map(|number| number.to_string().repeat(200)).collect();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let request = json!({"method": method, "url": server.url("/echo"), "body_stream": {"chunks": chunks}});
        let answer = client.send(request).await?;
        ensure!(answer["body"] == chunks.concat() && headers(&answer, "x-method") == [method], "{method}: {answer}");
        peers.push(peer(&answer));
    }
    let stream = client.get(server.url("/stream")).await?;
    ensure!(headers(&stream, "transfer-encoding").is_empty() && headers(&stream, "content-length").is_empty());
    ensure!(stream["body"].as_str().is_some_and(|text| text.lines().count() == 1_000), "{stream}");
    let head = client.send(json!({"method": "HEAD", "url": server.url("/echo")})).await?;
    ensure!(head["status"] == 200 && head["body_bytes"] == 0, "{head}");
    let moved = json!({"method": "POST", "url": server.url("/redirect"), "body": "four"});
    let moved = client.send(moved).await?;
    ensure!(moved["body"] == "four" && history(&moved) == ["redirect 307"], "{moved}");
    let missing = client.get(server.url("/missing")).await?;
    ensure!(missing["status"] == 404, "{missing}");
    peers.extend([&stream, &head, &moved].map(peer));
    ensure!(peers.iter().all(|peer| *peer == peers[0] && !peer.is_empty()), "{peers:?}");
    let host = client.host().await?;
    ensure!(host["opened"] == 1 && host["reused"] == 15, "{host}");
    Ok(())
}

async fn refused(server: Server, rig: &Rig) -> Result<()> {
    let server = server.start().await?;
    let mut client = rig.client().await?;
    let content = base64(noise(8 << 20));
    for upload in 1..=3 {
        let request = json!({"method": "PUT", "url": server.url("/refuse"), "body_base64": content});
        let answer = client.send(request).await?;
        ensure!(answer["status"] == 413 && answer["body"] == "too large", "upload {upload}: {answer}");
        ensure!(history(&answer).is_empty(), "upload {upload}: {answer}");
    }
    let after = client.send(json!({"method": "POST", "url": server.url("/echo"), "body": "after it"})).await?;
    ensure!(after["body"] == "after it", "{after}");
    Ok(())
}

async fn dropped(server: Server, rig: &Rig) -> Result<()> {
    let server = server.start().await?;
    let mut client = rig.client().await?;
    let first = client.get(server.url("/echo")).await?;
    let again = client.get(server.url("/gone")).await?;
    ensure!(again["body"] == "here" && history(&again).is_empty(), "{again}");
    ensure!(peer(&again) != peer(&first), "{again}");
    let host = client.host().await?;
    ensure!(host["resent"] == 1 && host["opened"] == 2, "{host}");
    client.get(server.url("/echo")).await?;
    let error =
        client.refused("interrupted", json!({"method": "POST", "url": server.url("/gone"), "body": "four"})).await?;
    ensure!(error["history"] == json!([]), "{error}");
    ensure!(client.host().await?["resent"] == 1);
    Ok(())
}
