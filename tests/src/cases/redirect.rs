//! Where a redirect leads, as what method, and with which headers.
//!
//! Longer than most files: the rules differ between peers, so each has its case.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use urlpool_host::Egress;

use crate::case::{cases, same, stock};
use crate::client::{headers, history};
use crate::reply::{Step, ok, raw, redirect, status};
use crate::rig::{Rig, finding};
use crate::server::Server;
use crate::tls::Authority;

cases! { "redirect";
    "D1" every_status_and_method_follows_the_matrix;
    "D2" a_303_leaves_the_body_and_its_headers_behind;
    "D3" a_303_leaves_the_chunks_behind;
    "D4" a_307_sends_the_body_again;
    "D5" a_307_after_a_stream_that_is_gone_is_delivered;
    "D6" credentials_do_not_cross_to_another_port;
    "D6b" credentials_do_not_cross_to_another_host;
    "D6c" credentials_do_not_cross_to_another_scheme, not on stock: stock::PUBLIC_ROOTS;
    "D7" further_headers_can_be_private;
    "D8" credentials_are_known_in_any_case_of_letters;
    "D9" an_explicit_default_port_is_the_same_origin, not on stock: stock::NO_SETTINGS;
    "D10" https_to_http_strips_credentials, not on stock: stock::PUBLIC_ROOTS;
    "D11" dropped_credentials_do_not_come_back;
    "D12" the_limit_of_hops_holds;
    "D12b" ten_hops_are_the_default;
    "D13" at_the_limit_the_redirect_can_be_delivered;
    "D14" relative_locations_are_resolved;
    "D15" a_fragment_is_inherited_and_never_sent;
    "D16" without_a_location_or_a_status_for_it_nothing_is_followed;
    "D17" an_unreadable_location_is_a_bad_redirect;
    "D18" other_schemes_are_a_bad_redirect;
    "D19" spaces_and_utf_8_in_a_location_are_encoded;
    "D20" the_first_of_two_locations_wins;
    "D21" a_redirect_is_drained_and_its_connection_reused, not on stock: stock::KEEPS_NONE;
    "D22" an_endless_redirect_body_costs_only_its_connection;
    "D23" a_redirect_with_an_undecodable_body_is_followed;
    "D25" the_history_lists_the_hops;
    "D26" the_query_of_the_request_does_not_follow;
    "D27" userinfo_in_a_location_makes_no_credentials;
    "D28" https_only_refuses_http;
    "D28b" a_downgrade_can_be_refused, not on stock: stock::PUBLIC_ROOTS;
    "D29" a_loop_ends_at_the_limit;
    "D30" hops_are_not_retries;
    "D31" own_headers_stay_on_the_same_origin;
    "D33" no_referer_is_added;
    "D35" a_hop_to_where_the_guest_may_not_go_is_denied, not on stock: stock::NO_SETTINGS;
    "P28b" a_pool_with_one_origin_delivers_a_redirect_elsewhere;
}

async fn every_status_and_method_follows_the_matrix(rig: &Rig) -> Result<()> {
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "QUERY", "PROPFIND"];
    let server = Server::answering(|request| match request.path().strip_prefix("/from/") {
        Some(code) => redirect(code.parse().unwrap_or(500), format!("/to/{code}")),
        None => ok("there"),
    })
    .await?;
    let mut client = rig.client().await?;
    for code in [301, 302, 303, 307, 308] {
        for method in methods {
            let mut request = json!({"method": method, "url": server.url(&format!("/from/{code}"))});
            let has_body = !matches!(method, "GET" | "HEAD");
            if has_body {
                request["body"] = json!("body");
            }
            let which = format!("{code} {method}");
            same!(client.send(request).await?["status"], 200, which);
            let requests = server.requests();
            let hop = requests.last().context("a hop")?;
            let (becomes, keeps_body) = match (code, method) {
                (303, "HEAD") => ("HEAD", false),
                (303, _) | (301 | 302, "POST") => ("GET", false),
                _ => (method, has_body),
            };
            same!(hop.target, format!("/to/{code}"), which);
            same!(hop.method, becomes, which);
            same!(hop.text(), if keeps_body { "body" } else { "" }, which);
        }
    }
    same!(server.arrivals(), 80);
    Ok(())
}

async fn a_303_leaves_the_body_and_its_headers_behind(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(303, "/next"), ok("")]).await?;
    let of_the_body = ["Content-Type", "Content-Language", "Content-Location", "Content-Encoding", "Digest"];
    let mut fields = vec![["X-Own", "kept"], ["Accept", "text/plain"]];
    fields.extend(of_the_body.iter().map(|name| [*name, "x/y"]));
    let mut client = rig.client().await?;
    client.send(json!({"method": "POST", "url": server.url("/"), "body": "x", "headers": fields})).await?;
    let hop = server.request(1)?;
    same!(hop.method, "GET");
    same!(hop.header("x-own"), Some("kept"));
    same!(hop.header("accept"), Some("text/plain"));
    same!(hop.header("content-length"), None);
    for name in of_the_body {
        same!(server.request(0)?.header(name), Some("x/y"), name);
        same!(hop.header(name), None, name);
    }
    Ok(())
}

async fn a_303_leaves_the_chunks_behind(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(303, "/next"), ok("")]).await?;
    let stream = json!({"chunks": ["a", "b"]});
    let mut client = rig.client().await?;
    client.send(json!({"method": "POST", "url": server.url("/"), "body_stream": stream})).await?;
    same!(server.request(0)?.header("transfer-encoding"), Some("chunked"));
    same!(server.request(1)?.header("transfer-encoding"), None);
    same!(server.request(1)?.header("content-length"), None);
    Ok(())
}

async fn a_307_sends_the_body_again(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(307, "/next"), redirect(308, "/last"), ok("there")]).await?;
    let mut client = rig.client().await?;
    let post = json!({"method": "POST", "url": server.url("/"), "body": "again", "headers": [["Content-Type", "a/b"]]});
    same!(client.send(post).await?["body"], "there");
    for hop in 0..3 {
        let request = server.request(hop)?;
        same!(request.method, "POST");
        same!(request.text(), "again");
        same!(request.header("content-type"), Some("a/b"));
        same!(request.header("content-length"), Some("5"));
    }
    Ok(())
}

async fn a_307_after_a_stream_that_is_gone_is_delivered(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(307, "/next").body("moved"), ok("")]).await?;
    let chunk = "x".repeat(256 * 1024);
    // More than the replay buffer keeps.
    let stream = json!({"chunks": vec![chunk; 6]});
    let mut client = rig.client().await?;
    let answer = client.send(json!({"method": "POST", "url": server.url("/"), "body_stream": stream})).await?;
    same!(answer["status"], 307);
    same!(answer["body"], "moved");
    ensure!(answer["not_retried_because"].is_string(), "no reason given: {answer}");
    same!(server.arrivals(), 1);
    Ok(())
}

const SECRETS: [&str; 3] = ["Authorization", "Cookie", "X-Own"];

/// A GET with headers that are private and one that is not.
fn secret(url: String) -> Value {
    json!({"url": url, "headers": SECRETS.map(|name| [name, "v"])})
}

async fn credentials_do_not_cross_to_another_port(rig: &Rig) -> Result<()> {
    let there = Server::replies([ok("there")]).await?;
    let here = Server::replies([redirect(302, there.url("/"))]).await?;
    rig.client().await?.send(secret(here.url("/"))).await?;
    same!(SECRETS.map(|name| here.requests()[0].header(name).is_some()), [true, true, true]);
    same!(SECRETS.map(|name| there.requests()[0].header(name).is_some()), [false, false, true]);
    Ok(())
}

async fn credentials_do_not_cross_to_another_host(rig: &Rig) -> Result<()> {
    let server = Server::answering(|request| match request.header("host") {
        Some(host) if host.starts_with("localhost") => ok("there"),
        host => {
            let port = host.and_then(|host| host.rsplit(':').next()).unwrap_or_default();
            redirect(307, format!("http://localhost:{port}/"))
        }
    })
    .await?;
    let mut client = rig.client().await?;
    same!(client.send(secret(server.url("/"))).await?["body"], "there");
    same!(SECRETS.map(|name| server.requests()[1].header(name).is_some()), [false, false, true]);
    // From a URL's userinfo just the same.
    client.get(format!("http://user:secret@127.0.0.1:{}/", server.port())).await?;
    same!(server.request(2)?.header("authorization").is_some(), true);
    same!(server.request(3)?.header("authorization"), None);
    Ok(())
}

async fn credentials_do_not_cross_to_another_scheme(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let there = Server::secure(authority.serve(&["127.0.0.1"])?, |_| ok("there")).await?;
    let here = Server::replies([redirect(302, there.url("/"))]).await?;
    let mut client = rig.client_trusting(&authority).await?;
    same!(client.send(secret(here.url("/"))).await?["body"], "there");
    same!(SECRETS.map(|name| there.requests()[0].header(name).is_some()), [false, false, true]);
    Ok(())
}

async fn further_headers_can_be_private(rig: &Rig) -> Result<()> {
    let there = Server::replies([ok("there")]).await?;
    let here = Server::replies([redirect(302, there.url("/"))]).await?;
    let mut request = secret(here.url("/"));
    request["redirect"] = json!({"private_headers": ["x-OWN"]});
    rig.client().await?.send(request).await?;
    same!(SECRETS.map(|name| there.requests()[0].header(name).is_some()), [false, false, false]);
    Ok(())
}

async fn credentials_are_known_in_any_case_of_letters(rig: &Rig) -> Result<()> {
    let there = Server::replies([ok("there")]).await?;
    let here = Server::replies([redirect(302, there.url("/"))]).await?;
    let fields = [["AuThOrIzAtIoN", "v"], ["COOKIE", "v"]];
    rig.client().await?.send(json!({"url": here.url("/"), "headers": fields})).await?;
    same!(there.request(0)?.header("authorization"), None);
    same!(there.request(0)?.header("cookie"), None);
    Ok(())
}

async fn an_explicit_default_port_is_the_same_origin(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(302, "http://a.test:80/next"), ok("there")]).await?;
    let mut client = rig.client_resolving("a.test", &server).await?;
    same!(client.send(secret("http://A.test/".to_owned())).await?["body"], "there");
    same!(SECRETS.map(|name| server.requests()[1].header(name).is_some()), [true, true, true]);
    rig.accepted(&server, 1)?;
    // The default port is not part of the Host header.
    same!(server.request(1)?.header("host"), Some("a.test"));
    Ok(())
}

async fn https_to_http_strips_credentials(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let there = Server::replies([ok("there")]).await?;
    let location = there.url("/");
    let here = Server::secure(authority.serve(&["127.0.0.1"])?, move |_| redirect(302, &location)).await?;
    let mut client = rig.client_trusting(&authority).await?;
    same!(client.send(secret(here.url("/"))).await?["body"], "there");
    same!(SECRETS.map(|name| there.requests()[0].header(name).is_some()), [false, false, true]);
    Ok(())
}

async fn dropped_credentials_do_not_come_back(rig: &Rig) -> Result<()> {
    // The way back is known only once both ports are.
    let back = std::sync::Arc::new(std::sync::OnceLock::new());
    let told = back.clone();
    let there = Server::answering(move |_| redirect(302, told.get().map_or("", String::as_str))).await?;
    let here = Server::routes([("/", vec![redirect(302, there.url("/"))]), ("/back", vec![ok("back")])]).await?;
    back.set(here.url("/back")).ok().context("set once")?;
    same!(rig.client().await?.send(secret(here.url("/"))).await?["body"], "back");
    same!(SECRETS.map(|name| here.requests()[1].header(name).is_some()), [false, false, true]);
    Ok(())
}

/// A server on which `/n` leads to `/n-1`, and `/0` is the end.
async fn countdown() -> Result<Server> {
    Server::answering(|request| match request.path().trim_start_matches('/').parse::<u32>() {
        Ok(0) | Err(_) => ok("there"),
        Ok(left) => redirect(302, format!("/{}", left - 1)).body("moved"),
    })
    .await
}

async fn the_limit_of_hops_holds(rig: &Rig) -> Result<()> {
    let server = countdown().await?;
    let mut client = rig.client().await?;
    client.open(json!({"redirect": {"limit": 3}})).await?;
    let answer = client.get(server.url("/3")).await?;
    same!(answer["body"], "there");
    same!(answer["url"], server.url("/0"));
    let error = client.refused("too-many-redirects", json!({"url": server.url("/4")})).await?;
    same!(history(&error), ["redirect 302"; 3]);
    same!(error["status"], 302);
    same!(error["location"], "/0");
    // Unlike urllib3, a limit of none is no failure but a way to say "do not follow".
    let none = json!({"url": server.url("/1"), "redirect": {"limit": 0}});
    same!(client.send(none).await?["status"], 302);
    Ok(())
}

async fn ten_hops_are_the_default(rig: &Rig) -> Result<()> {
    let server = countdown().await?;
    let mut client = rig.client().await?;
    same!(client.get(server.url("/10")).await?["body"], "there");
    let error = client.refused("too-many-redirects", json!({"url": server.url("/11")})).await?;
    same!(history(&error).len(), 10);
    Ok(())
}

async fn at_the_limit_the_redirect_can_be_delivered(rig: &Rig) -> Result<()> {
    let server = countdown().await?;
    let mut client = rig.client().await?;
    client.open(json!({"redirect": {"limit": 2, "at_limit": "deliver"}})).await?;
    let answer = client.get(server.url("/5")).await?;
    same!(answer["status"], 302);
    same!(answer["body"], "moved");
    same!(headers(&answer, "location"), ["/2"]);
    same!(history(&answer).len(), 2);
    Ok(())
}

async fn relative_locations_are_resolved(rig: &Rig) -> Result<()> {
    // RFC 3986 section 5.4, as far as http goes, against /b/c/d;p?q.
    for (location, expected) in [
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"),
        ("g#s", "/b/c/g"),
        ("g?y#s", "/b/c/g?y"),
        (";x", "/b/c/;x"),
        ("g;x=1/../y", "/b/c/y"),
        (".", "/b/c/"),
        ("..", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../../g", "/g"),
        ("/./g", "/g"),
        ("g/./h", "/b/c/g/h"),
        ("g?y/../x", "/b/c/g?y/../x"),
        ("#s", "/b/c/d;p?q"),
        ("", "/b/c/d;p?q"),
        ("./", "/b/c/"),
        ("../", "/b/"),
        ("../../", "/"),
        ("../../g", "/g"),
        ("g;x", "/b/c/g;x"),
        ("g;x?y#s", "/b/c/g;x?y"),
        ("../../../../g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        (".g", "/b/c/.g"),
        ("g..", "/b/c/g.."),
        ("..g", "/b/c/..g"),
        ("./../g", "/b/g"),
        ("./g/.", "/b/c/g/"),
        ("g/../h", "/b/c/h"),
        ("g;x=1/./y", "/b/c/g;x=1/y"),
        ("g?y/./x", "/b/c/g?y/./x"),
        ("g#s/./x", "/b/c/g"),
        ("g#s/../x", "/b/c/g"),
        // As browsers read it, section 5.4.2.
        ("http:g", "/b/c/g"),
    ] {
        let server = Server::replies([redirect(302, location), ok("there")]).await?;
        let answer = rig.client().await?.get(server.url("/b/c/d;p?q")).await?;
        same!(answer["body"], "there", location);
        same!(server.request(1)?.target, expected, location);
    }
    let there = Server::replies([ok("there")]).await?;
    let here = Server::replies([redirect(302, format!("//127.0.0.1:{}/x", there.port()))]).await?;
    rig.client().await?.get(here.url("/")).await?;
    same!(there.request(0)?.target, "/x");
    Ok(())
}

async fn a_fragment_is_inherited_and_never_sent(rig: &Rig) -> Result<()> {
    let server = Server::routes([
        ("/a", vec![redirect(302, "/b")]),
        ("/b", vec![redirect(302, "/c#new")]),
        ("/c", vec![ok("")]),
        ("/d", vec![redirect(302, "/e")]),
        ("/e", vec![ok("")]),
    ])
    .await?;
    let mut client = rig.client().await?;
    same!(client.get(server.url("/d#old")).await?["url"], server.url("/e#old"));
    same!(client.get(server.url("/a#old")).await?["url"], server.url("/c#new"));
    for request in server.requests() {
        ensure!(!request.target.contains('#'), "sent {}", request.target);
    }
    Ok(())
}

async fn without_a_location_or_a_status_for_it_nothing_is_followed(rig: &Rig) -> Result<()> {
    let server = Server::answering(|request| {
        let code = request.path().trim_start_matches("/to/").trim_start_matches('/').parse().unwrap_or(200);
        if request.path().starts_with("/to/") { status(code).header("Location", "/elsewhere") } else { status(code) }
    })
    .await?;
    let mut client = rig.client().await?;
    for code in [301, 302, 303, 307, 308] {
        same!(client.get(server.url(&format!("/{code}"))).await?["status"], code);
    }
    for code in [200, 201, 300, 304, 305, 400, 503] {
        let answer = client.get(server.url(&format!("/to/{code}"))).await?;
        same!(answer["status"], code);
        same!(headers(&answer, "location"), ["/elsewhere"]);
    }
    same!(server.log().count("/elsewhere"), 0);
    Ok(())
}

async fn an_unreadable_location_is_a_bad_redirect(rig: &Rig) -> Result<()> {
    for location in ["http://", "http://[::1", "http://a.test:99999/", "http://a b.test/"] {
        let server = Server::replies([redirect(302, location)]).await?;
        let error = rig.client().await?.refused("bad-redirect", json!({"url": server.url("/")})).await?;
        same!(error["status"], 302, location);
        same!(error["location"], location);
        same!(server.arrivals(), 1);
    }
    Ok(())
}

async fn other_schemes_are_a_bad_redirect(rig: &Rig) -> Result<()> {
    for location in ["ftp://a.test/", "file:///etc/passwd", "javascript:alert(1)", "mailto:a@a.test", "data:,x"] {
        let server = Server::replies([redirect(302, location)]).await?;
        let error = rig.client().await?.refused("bad-redirect", json!({"url": server.url("/")})).await?;
        same!(error["location"], location);
    }
    Ok(())
}

async fn spaces_and_utf_8_in_a_location_are_encoded(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(302, "/a b/ü?q=ä b"), ok("there")]).await?;
    rig.client().await?.get(server.url("/")).await?;
    same!(server.request(1)?.target, "/a%20b/%C3%BC?q=%C3%A4%20b");
    Ok(())
}

async fn the_first_of_two_locations_wins(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(302, "/first").header("Location", "/second"), ok("there")]).await?;
    rig.client().await?.get(server.url("/")).await?;
    same!(server.request(1)?.target, "/first");
    Ok(())
}

async fn a_redirect_is_drained_and_its_connection_reused(rig: &Rig) -> Result<()> {
    let moved = redirect(302, "/next").body("x".repeat(10_000));
    let server = Server::replies([moved.clone(), moved, ok("there")]).await?;
    same!(rig.client().await?.get(server.url("/")).await?["body"], "there");
    same!(server.connections(), 1);
    Ok(())
}

async fn an_endless_redirect_body_costs_only_its_connection(rig: &Rig) -> Result<()> {
    let endless =
        raw("HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\n").then(Step::Flood(Bytes::from(vec![b'x'; 65536])));
    let server = Server::replies([endless, ok("there")]).await?;
    let begun = std::time::Instant::now();
    same!(rig.client().await?.get(server.url("/")).await?["body"], "there");
    ensure!(begun.elapsed() < Duration::from_secs(2), "took {:?}", begun.elapsed());
    rig.accepted(&server, 2)?;
    server.until("the flood ended", |log| log.connections[0].ended.is_some()).await?;
    Ok(())
}

async fn a_redirect_with_an_undecodable_body_is_followed(rig: &Rig) -> Result<()> {
    let server =
        Server::replies([redirect(302, "/next").header("Content-Encoding", "gzip").body("no gzip"), ok("there")])
            .await?;
    same!(rig.client().await?.get(server.url("/")).await?["body"], "there");
    Ok(())
}

async fn the_history_lists_the_hops(rig: &Rig) -> Result<()> {
    let server = countdown().await?;
    let answer = rig.client().await?.send(json!({"method": "POST", "url": server.url("/2"), "body": "x"})).await?;
    let hops = answer["history"].as_array().context("a history")?;
    same!(hops.len(), 2);
    for (hop, (method, path)) in hops.iter().zip([("POST", "/2"), ("GET", "/1")]) {
        same!(hop["kind"], "redirect");
        same!(hop["status"], 302);
        same!(hop["method"], method);
        same!(hop["url"], server.url(path));
    }
    same!(answer["attempts"], 3);
    Ok(())
}

async fn the_query_of_the_request_does_not_follow(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(302, "/next"), ok("")]).await?;
    rig.client().await?.send(json!({"url": server.url("/?a=1"), "query": [["b", "2"]]})).await?;
    same!(server.request(0)?.target, "/?a=1&b=2");
    same!(server.request(1)?.target, "/next");
    Ok(())
}

async fn userinfo_in_a_location_makes_no_credentials(rig: &Rig) -> Result<()> {
    let there = Server::replies([ok("there")]).await?;
    let here = Server::replies([redirect(302, format!("http://evil:pw@127.0.0.1:{}/", there.port()))]).await?;
    let answer = rig.client().await?.get(here.url("/")).await?;
    same!(there.request(0)?.header("authorization"), None);
    ensure!(!answer.to_string().contains("evil"), "userinfo shows: {answer}");
    Ok(())
}

async fn https_only_refuses_http(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(302, "/next"), ok("")]).await?;
    let request = json!({"url": server.url("/"), "redirect": {"https_only": true}});
    let error = rig.client().await?.refused("bad-redirect", request).await?;
    same!(error["location"], "/next");
    same!(server.arrivals(), 1);
    Ok(())
}

async fn a_downgrade_can_be_refused(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let there = Server::replies([ok("there")]).await?;
    let location = there.url("/");
    let here = Server::secure(authority.serve(&["127.0.0.1"])?, move |_| redirect(302, &location)).await?;
    let mut client = rig.client_trusting(&authority).await?;
    let request = json!({"url": here.url("/"), "redirect": {"downgrade": false}});
    client.refused("bad-redirect", request).await?;
    same!(there.arrivals(), 0);
    Ok(())
}

async fn a_loop_ends_at_the_limit(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(302, "/")]).await?;
    let error = rig.client().await?.refused("too-many-redirects", json!({"url": server.url("/")})).await?;
    same!(history(&error).len(), 10);
    same!(server.arrivals(), 11);
    Ok(())
}

async fn hops_are_not_retries(rig: &Rig) -> Result<()> {
    let server = countdown().await?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": "never"})).await?;
    same!(client.get(server.url("/5")).await?["body"], "there");
    let pool = client.pool().await?;
    same!(pool["retries"], 0);
    same!(pool["redirects"], 5);
    Ok(())
}

async fn own_headers_stay_on_the_same_origin(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(302, "next"), ok("")]).await?;
    rig.client().await?.send(secret(server.url("/"))).await?;
    same!(SECRETS.map(|name| server.requests()[1].header(name).is_some()), [true, true, true]);
    Ok(())
}

async fn no_referer_is_added(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(302, "next"), ok("")]).await?;
    rig.client().await?.get(server.url("/")).await?;
    same!(server.request(1)?.header("referer"), None);
    Ok(())
}

async fn a_pool_with_one_origin_delivers_a_redirect_elsewhere(rig: &Rig) -> Result<()> {
    let other = Server::replies([ok("")]).await?;
    let own = Server::replies([redirect(302, other.url("/"))]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"url": own.url("/")})).await?;
    same!(client.send(json!({"url": "/x"})).await?["status"], 302);
    same!(other.connections(), 0);
    Ok(())
}

async fn a_hop_to_where_the_guest_may_not_go_is_denied(rig: &Rig) -> Result<()> {
    let inside = Server::replies([ok("secret")]).await?;
    let port = inside.port();
    let outside = Server::answering(move |request| {
        redirect(
            302,
            match request.path() {
                "/address" => format!("http://127.0.0.1:{port}/"),
                "/mapped" => format!("http://[::ffff:127.0.0.1]:{port}/"),
                // It may be asked for, but leads inside.
                "/name" => "http://allowed.test/".to_owned(),
                _ => "http://other.test/".to_owned(),
            },
        )
    })
    .await?;
    let egress = Egress::untrusted().allow(&format!("127.0.0.1:{}", outside.port()))?.allow("allowed.test")?;
    let mut client = rig.client_with(|host| host.egress(egress).resolver(finding("allowed.test", &[port]))).await?;
    let paths = ["/address", "/mapped", "/name", "/other"];
    for path in paths {
        let error = client.refused("denied", json!({"url": outside.url(path)})).await?;
        let code = if path == "/other" { "HTTP-request-denied" } else { "destination-IP-prohibited" };
        same!(error["code"], code, path);
        same!(history(&error), ["redirect 302"], path);
    }
    same!((outside.connections(), outside.arrivals()), (1, paths.len()));
    same!(inside.connections(), 0);
    same!(client.pool().await?["retries"], 0);
    Ok(())
}
