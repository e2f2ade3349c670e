//! What becomes of headers, both ways.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::case::{cases, same};
use crate::client::{base64, headers};
use crate::reply::{ok, raw, status};
use crate::rig::Rig;
use crate::server::Server;

cases! { "headers";
    "H1" repeated_response_headers_stay_apart_and_in_order;
    "H2" set_cookie_is_never_joined;
    "H3" repeated_request_headers_stay_apart_and_in_order;
    "H4" header_names_are_found_in_any_case_of_letters;
    "H5" the_order_of_headers_is_kept;
    "H6" line_breaks_and_nul_in_a_value_are_refused;
    "H7" space_around_a_value_is_trimmed;
    "H8" an_empty_value_is_fine;
    "H9" an_empty_name_is_refused;
    "H10" the_headers_of_the_pool_are_defaults;
    "H11" headers_of_the_host_are_refused_before_any_contact;
    "H12" a_wrong_content_length_is_refused;
    "H13" bytes_beyond_ascii_pass_both_ways;
    "H14" a_folded_header_is_read_or_refused;
    "H15" a_huge_response_head_is_a_typed_error;
    "H16" too_many_response_headers_are_a_typed_error;
    "H17" the_user_agent_is_default_override_or_absent;
    "H18" accept_encoding_names_what_is_decoded;
    "H18b" an_own_accept_encoding_is_sent_as_it_is;
    "H19" a_request_leaves_no_trace_in_the_next;
    "H20" a_cookie_is_not_kept;
    "H21" a_body_does_not_wait_for_the_100_that_it_expects;
    "H22" an_expectation_that_fails_is_delivered;
}

async fn repeated_response_headers_stay_apart_and_in_order(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("").header("X-A", "1").header("X-B", "b").header("x-a", "2")]).await?;
    let answer = rig.client().await?.get(server.url("/")).await?;
    same!(headers(&answer, "x-a"), ["1", "2"]);
    Ok(())
}

async fn set_cookie_is_never_joined(rig: &Rig) -> Result<()> {
    let cookies = ["a=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT", "b=2"];
    let server = Server::replies([ok("").header("Set-Cookie", cookies[0]).header("Set-Cookie", cookies[1])]).await?;
    same!(headers(&rig.client().await?.get(server.url("/")).await?, "set-cookie"), cookies);
    Ok(())
}

async fn repeated_request_headers_stay_apart_and_in_order(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let fields = [["X-A", "1"], ["X-B", "b"], ["x-a", "2"]];
    rig.client().await?.send(json!({"url": server.url("/"), "headers": fields})).await?;
    same!(server.request(0)?.all("x-a"), ["1", "2"]);
    Ok(())
}

async fn header_names_are_found_in_any_case_of_letters(rig: &Rig) -> Result<()> {
    // An own header replaces the default, however it is written.
    let server = Server::replies([ok("").header("LOCATION", "/x")]).await?;
    let fields = [["uSeR-aGeNt", "own"], ["ACCEPT-encoding", "identity"]];
    let answer = rig.client().await?.send(json!({"url": server.url("/"), "headers": fields})).await?;
    same!(server.request(0)?.all("user-agent"), ["own"]);
    same!(server.request(0)?.all("accept-encoding"), ["identity"]);
    same!(headers(&answer, "Location"), ["/x"]);
    Ok(())
}

async fn the_order_of_headers_is_kept(rig: &Rig) -> Result<()> {
    let names = ["x-z", "x-a", "x-m", "x-0", "x-b"];
    let mut reply = ok("");
    for name in names {
        reply = reply.header(name, name);
    }
    let server = Server::replies([reply]).await?;
    let fields = names.map(|name| [name, name]);
    let answer = rig.client().await?.send(json!({"url": server.url("/"), "headers": fields})).await?;
    let request = server.request(0)?;
    let sent: Vec<_> =
        request.headers.iter().filter(|(name, _)| name.starts_with("x-")).map(|(_, value)| value.as_str()).collect();
    same!(sent, names);
    let came: Vec<_> = names.iter().flat_map(|name| headers(&answer, name)).collect();
    same!(came, names);
    Ok(())
}

async fn line_breaks_and_nul_in_a_value_are_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for value in ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"] {
        client.refused("invalid-request", json!({"url": server.url("/"), "headers": [["X-A", value]]})).await?;
        let bytes = json!({"url": server.url("/"), "header_bytes": [["X-A", base64(value)]]});
        client.refused("invalid-request", bytes).await?;
        let open = json!({"op": "open", "pool": format!("p{value:?}"), "options": {"headers": [["X-A", value]]}});
        client.fails("invalid-request", open).await?;
    }
    client.refused("invalid-request", json!({"url": server.url("/"), "bearer": "a\r\nb"})).await?;
    same!(server.connections(), 0);
    Ok(())
}

async fn space_around_a_value_is_trimmed(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("").header("X-B", " \t both \t ")]).await?;
    let answer =
        rig.client().await?.send(json!({"url": server.url("/"), "headers": [["X-A", " \t both \t "]]})).await?;
    let head = String::from_utf8(server.request(0)?.head.to_vec())?;
    ensure!(head.to_ascii_lowercase().contains("\r\nx-a: both\r\n"), "{head:?}");
    same!(headers(&answer, "x-b"), ["both"]);
    Ok(())
}

async fn an_empty_value_is_fine(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("").header("X-B", "")]).await?;
    let answer = rig.client().await?.send(json!({"url": server.url("/"), "headers": [["X-A", ""]]})).await?;
    same!(server.request(0)?.header("x-a"), Some(""));
    same!(headers(&answer, "x-b"), [""]);
    Ok(())
}

async fn an_empty_name_is_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for name in ["", "a b", "a:", "ü", "a\r\n", "(a)"] {
        let error =
            client.refused("invalid-request", json!({"url": server.url("/"), "headers": [[name, "v"]]})).await?;
        ensure!(error["message"].as_str().is_some_and(|text| text.contains("name")), "{name:?}: {error}");
    }
    same!(server.connections(), 0);
    Ok(())
}

async fn the_headers_of_the_pool_are_defaults(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"headers": [["X-A", "pool"], ["X-B", "pool"], ["X-C", "pool"]]})).await?;
    let request = json!({"url": server.url("/"), "headers": [["x-a", "own"]], "remove_headers": ["X-C"]});
    client.send(request).await?;
    let request = server.request(0)?;
    same!(request.all("x-a"), ["own"]);
    same!(request.all("x-b"), ["pool"]);
    same!(request.all("x-c"), [""; 0]);
    Ok(())
}

async fn headers_of_the_host_are_refused_before_any_contact(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for name in
        ["Host", "Connection", "keep-alive", "Transfer-Encoding", "UPGRADE", "Proxy-Authorization", "Proxy-Connection"]
    {
        client.refused("invalid-request", json!({"url": server.url("/"), "headers": [[name, "v"]]})).await?;
    }
    same!(server.connections(), 0);
    Ok(())
}

async fn a_wrong_content_length_is_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for length in ["3", "5", "-4", "four", "+4"] {
        let fields = [["Content-Length", length]];
        let post = json!({"method": "POST", "url": server.url("/"), "body": "four", "headers": fields});
        client.refused("invalid-request", post).await?;
    }
    same!(server.connections(), 0);
    let fields = [["Content-Length", "4"]];
    client.send(json!({"method": "POST", "url": server.url("/"), "body": "four", "headers": fields})).await?;
    same!(server.request(0)?.all("content-length"), ["4"]);
    Ok(())
}

async fn bytes_beyond_ascii_pass_both_ways(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("").header("X-B", b"caf\xe9")]).await?;
    let fields = [["X-A".to_owned(), base64(b"caf\xe9")]];
    let answer = rig.client().await?.send(json!({"url": server.url("/"), "header_bytes": fields})).await?;
    same!(server.request(0)?.header("x-a"), Some("café"));
    same!(headers(&answer, "x-b"), ["café"]);
    Ok(())
}

async fn a_folded_header_is_read_or_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([raw("HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length: 0\r\n\r\n")]).await?;
    let mut client = rig.client().await?;
    let answer = client.op(json!({"op": "send", "url": server.url("/"), "retry": "never"})).await;
    if answer["ok"] == true {
        same!(headers(&answer, "x-a"), ["one two"]);
    } else {
        same!(answer["error"]["kind"], "protocol");
    }
    Ok(())
}

async fn a_huge_response_head_is_a_typed_error(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("").header("X-A", "x".repeat(1 << 20)), ok("next")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": "never"})).await?;
    client.refused(rig.told("too-large"), json!({"url": server.url("/")})).await?;
    same!(client.get(server.url("/")).await?["body"], "next");
    Ok(())
}

async fn too_many_response_headers_are_a_typed_error(rig: &Rig) -> Result<()> {
    let mut reply = ok("");
    for nth in 0..10_000 {
        reply = reply.header(&format!("X-{nth}"), "v");
    }
    let server = Server::replies([reply, ok("next")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": "never"})).await?;
    client.refused(rig.told("too-large"), json!({"url": server.url("/")})).await?;
    same!(client.get(server.url("/")).await?["body"], "next");
    Ok(())
}

async fn the_user_agent_is_default_override_or_absent(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    client.get(server.url("/")).await?;
    client.send(json!({"url": server.url("/"), "headers": [["User-Agent", "own"]]})).await?;
    client.send(json!({"url": server.url("/"), "remove_headers": ["User-Agent"]})).await?;
    let requests = server.requests();
    ensure!(
        requests[0].header("user-agent").is_some_and(|agent| agent.starts_with("urlpool/0.2")),
        "{:?}",
        requests[0].header("user-agent")
    );
    same!(requests[1].all("user-agent"), ["own"]);
    same!(requests[2].header("user-agent"), None);
    Ok(())
}

async fn accept_encoding_names_what_is_decoded(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    client.get(server.url("/")).await?;
    client.send(json!({"url": server.url("/"), "decode": false})).await?;
    client.send(json!({"url": server.url("/"), "remove_headers": ["accept-encoding"]})).await?;
    same!(server.request(0)?.all("accept-encoding"), ["gzip, deflate, br, zstd"]);
    same!(server.request(1)?.header("accept-encoding"), None);
    same!(server.request(2)?.header("accept-encoding"), None);
    Ok(())
}

async fn an_own_accept_encoding_is_sent_as_it_is(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(200).header("Content-Encoding", "x-own").body("raw")]).await?;
    let request = json!({"url": server.url("/"), "headers": [["Accept-Encoding", "x-own"]]});
    let answer = rig.client().await?.send(request).await?;
    same!(server.request(0)?.all("accept-encoding"), ["x-own"]);
    same!(answer["body"], "raw");
    same!(headers(&answer, "content-encoding"), ["x-own"]);
    Ok(())
}

async fn a_request_leaves_no_trace_in_the_next(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    let fields = json!([{"name": "f", "filename": "f", "content": "x"}]);
    client.send(json!({"method": "POST", "url": server.url("/"), "form": fields, "headers": [["X-A", "1"]]})).await?;
    client.get(server.url("/")).await?;
    same!(server.request(1)?.header("x-a"), None);
    same!(server.request(1)?.header("content-type"), None);
    Ok(())
}

async fn a_cookie_is_not_kept(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("").header("Set-Cookie", "a=1; Path=/")]).await?;
    let mut client = rig.client().await?;
    client.get(server.url("/")).await?;
    client.get(server.url("/")).await?;
    same!(server.request(1)?.header("cookie"), None);
    Ok(())
}

async fn a_body_does_not_wait_for_the_100_that_it_expects(rig: &Rig) -> Result<()> {
    // RFC 9110 section 10.1.1: a client that waits has to go on after a while, and one that does not wait is never wrong.
    let server = Server::replies([ok("done"), ok("done").preceded_by("HTTP/1.1 100 Continue\r\n\r\n")]).await?;
    let mut client = rig.client().await?;
    let post =
        json!({"method": "POST", "url": server.url("/"), "body": "content", "headers": [["Expect", "100-continue"]]});
    for arrival in 0..2 {
        same!(client.send(post.clone()).await?["body"], "done");
        same!(server.request(arrival)?.header("expect"), Some("100-continue"));
        same!(server.request(arrival)?.text(), "content");
    }
    Ok(())
}

async fn an_expectation_that_fails_is_delivered(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(417).body("not that").early(), ok("next")]).await?;
    let mut client = rig.client().await?;
    let fields = [["Expect", "100-continue"]];
    let answer =
        client.send(json!({"method": "POST", "url": server.url("/"), "body": "content", "headers": fields})).await?;
    same!(answer["status"], 417);
    same!(answer["body"], "not that");
    same!(client.get(server.url("/")).await?["body"], "next");
    Ok(())
}
