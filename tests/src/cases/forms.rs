//! Urlencoded forms, queries, and bodies that are neither.

use anyhow::Result;
use serde_json::json;

use crate::case::{cases, same};
use crate::reply::ok;
use crate::rig::Rig;
use crate::server::Server;

cases! { "forms";
    "F1" get_merges_its_fields_into_the_query;
    "F2" the_fragment_stays_last;
    "F3" repeated_names_repeat;
    "F4" the_order_of_pairs_is_kept;
    "F5" a_space_is_a_plus_in_pairs_and_percent_20_in_paths;
    "F6" pairs_are_utf_8;
    "F7" an_empty_value_is_kept;
    "F8" a_form_has_its_content_type;
    "F9" the_content_type_of_the_caller_wins_over_that_of_json;
    "F10" json_is_utf_8_with_its_content_type;
    "F11" two_bodies_are_refused;
    "F12" only_a_body_or_a_method_that_has_one_sends_a_length;
    "F13" percent_sequences_are_not_encoded_again;
    "F14" post_sends_a_form;
}

async fn get_merges_its_fields_into_the_query(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for (url, expected) in [
        ("/p", "/p?a=1&b=2"),
        ("/p?", "/p?a=1&b=2"),
        ("/p?x=9", "/p?x=9&a=1&b=2"),
        ("/p?%20x=%C3%BC;y", "/p?%20x=%C3%BC;y&a=1&b=2"),
    ] {
        client.ok(json!({"op": "get", "url": server.url(url), "fields": [["a", "1"], ["b", "2"]]})).await?;
        same!(server.requests().last().map(|request| request.target.clone()), Some(expected.to_owned()), url);
    }
    Ok(())
}

async fn the_fragment_stays_last(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let answer = rig.client().await?.send(json!({"url": server.url("/p?x#part"), "query": [["a", "1"]]})).await?;
    same!(server.request(0)?.target, "/p?x&a=1");
    same!(answer["url"], server.url("/p?x&a=1#part"));
    Ok(())
}

async fn repeated_names_repeat(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    rig.client().await?.send(json!({"url": server.url("/"), "query": [["a", "1"], ["a", "2"]]})).await?;
    same!(server.request(0)?.target, "/?a=1&a=2");
    Ok(())
}

async fn the_order_of_pairs_is_kept(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let fields = json!([{"name": "z", "value": "1"}, {"name": "a", "value": "2"}, {"name": "m", "value": "3"}]);
    rig.client().await?.send(json!({"method": "POST", "url": server.url("/"), "form": fields})).await?;
    same!(server.request(0)?.text(), "z=1&a=2&m=3");
    Ok(())
}

async fn a_space_is_a_plus_in_pairs_and_percent_20_in_paths(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    client
        .send(json!({
            "method": "POST", "url": server.url("/a b"), "query": [["c d", "e+f"]], "form": [{"name": "g h", "value": "i&j=k*-._~"}]
        }))
        .await?;
    same!(server.request(0)?.target, "/a%20b?c+d=e%2Bf");
    same!(server.request(0)?.text(), "g+h=i%26j%3Dk*-._%7E");
    Ok(())
}

async fn pairs_are_utf_8(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let form = json!({"method": "POST", "url": server.url("/"), "query": [["ü", "€"]], "form": [{"name": "ä", "value": "日本"}]});
    rig.client().await?.send(form).await?;
    same!(server.request(0)?.target, "/?%C3%BC=%E2%82%AC");
    same!(server.request(0)?.text(), "%C3%A4=%E6%97%A5%E6%9C%AC");
    Ok(())
}

async fn an_empty_value_is_kept(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let form =
        json!({"method": "POST", "url": server.url("/"), "query": [["a", ""]], "form": [{"name": "b", "value": ""}]});
    rig.client().await?.send(form).await?;
    same!(server.request(0)?.target, "/?a=");
    same!(server.request(0)?.text(), "b=");
    Ok(())
}

async fn a_form_has_its_content_type(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let form = json!({"method": "POST", "url": server.url("/"), "form": [{"name": "a", "value": "1"}]});
    rig.client().await?.send(form).await?;
    same!(server.request(0)?.header("content-type"), Some("application/x-www-form-urlencoded"));
    same!(server.request(0)?.header("content-length"), Some("3"));
    Ok(())
}

async fn the_content_type_of_the_caller_wins_over_that_of_json(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let fields = [["Content-Type", "application/merge-patch+json"]];
    rig.client().await?.send(json!({"method": "PATCH", "url": server.url("/"), "json": {}, "headers": fields})).await?;
    same!(server.request(0)?.all("content-type"), ["application/merge-patch+json"]);
    same!(server.request(0)?.text(), "{}");
    Ok(())
}

async fn json_is_utf_8_with_its_content_type(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    rig.client().await?.send(json!({"method": "POST", "url": server.url("/"), "json": {"ü": [1, null]}})).await?;
    same!(server.request(0)?.header("content-type"), Some("application/json"));
    same!(server.request(0)?.text(), "{\"ü\":[1,null]}");
    Ok(())
}

async fn two_bodies_are_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let both = json!({"method": "POST", "url": server.url("/"), "json": {}, "body": "x"});
    rig.client().await?.refused("usage", both).await?;
    same!(server.connections(), 0);
    Ok(())
}

async fn only_a_body_or_a_method_that_has_one_sends_a_length(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for (method, expected) in [
        ("GET", None),
        ("HEAD", None),
        ("DELETE", None),
        ("OPTIONS", None),
        ("POST", Some("0")),
        ("PUT", Some("0")),
        ("PATCH", Some("0")),
    ] {
        client.send(json!({"method": method, "url": server.url("/")})).await?;
        let requests = server.requests();
        let request = &requests[requests.len() - 1];
        same!(request.header("content-length"), expected, method);
        same!(request.header("transfer-encoding"), None, method);
    }
    Ok(())
}

async fn percent_sequences_are_not_encoded_again(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    rig.client().await?.get(server.url("/a%20b%2Fc?d=%25&e=%zz")).await?;
    same!(server.request(0)?.path(), "/a%20b%2Fc");
    // A lone percent sign is none of them.
    same!(server.request(0)?.target, "/a%20b%2Fc?d=%25&e=%25zz");
    Ok(())
}

async fn post_sends_a_form(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    client.ok(json!({"op": "post", "url": server.url("/"), "form": [{"name": "a", "value": "1"}]})).await?;
    same!(server.request(0)?.method, "POST");
    same!(server.request(0)?.text(), "a=1");
    Ok(())
}
