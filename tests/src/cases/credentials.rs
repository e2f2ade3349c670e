//! Credentials that a pool holds, each for one origin.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::case::{cases, same};
use crate::reply::{ok, redirect};
use crate::rig::Rig;
use crate::server::Server;

cases! { "credentials";
    "A7" each_origin_is_shown_its_own;
    "A7b" malformed_ones_are_refused;
}

async fn each_origin_is_shown_its_own(rig: &Rig) -> Result<()> {
    let (stranger, friend) = (Server::replies([ok("stranger")]).await?, Server::replies([ok("friend")]).await?);
    let (to_stranger, to_friend) = (stranger.url("/"), friend.url("/"));
    let server = Server::answering(move |request| match request.path() {
        "/stranger" => redirect(307, &to_stranger),
        "/friend" => redirect(307, &to_friend),
        _ => ok("here"),
    })
    .await?;
    let mut client = rig.client().await?;
    let credentials = json!([
        {"url": server.url("/any"), "basic": ["ann", "secret"]},
        {"url": friend.url("/"), "bearer": "token"},
    ]);
    client.open(json!({"credentials": credentials, "headers": [["Authorization", "anywhere"]]})).await?;
    for path in ["/", "/stranger", "/friend"] {
        client.get(server.url(path)).await?;
    }
    for nth in 0..3 {
        same!(server.request(nth)?.all("authorization"), ["Basic YW5uOnNlY3JldA=="], nth);
    }
    ensure!(stranger.request(0)?.header("authorization").is_none(), "credentials went to another origin");
    same!(friend.request(0)?.all("authorization"), ["Bearer token"]);
    // Those of a request come first, and a request may go without.
    client.send(json!({"url": server.url("/"), "bearer": "mine"})).await?;
    client.send(json!({"url": server.url("/"), "remove_headers": ["authorization"]})).await?;
    same!(server.request(3)?.all("authorization"), ["Bearer mine"]);
    ensure!(server.request(4)?.header("authorization").is_none(), "credentials were sent that were taken away");
    Ok(())
}

async fn malformed_ones_are_refused(rig: &Rig) -> Result<()> {
    let mut client = rig.client().await?;
    for credentials in [
        json!({"url": "http://a.test/", "basic": ["a:b", "c"]}),
        json!({"url": "http://a.test/", "bearer": "a\nb"}),
        json!({"url": "a.test", "bearer": "a"}),
    ] {
        let open = json!({"op": "open", "pool": "p", "options": {"credentials": [credentials]}});
        client.fails("invalid-request", open).await?;
    }
    Ok(())
}
