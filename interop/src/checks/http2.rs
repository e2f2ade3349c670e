//! HTTP/2 against nginx, haproxy and nghttpd, by agreement over TLS and by prior knowledge.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;
use urlpool_conformance::client::{body, headers, history};
use urlpool_conformance::{Client, Rig};
use urlpool_host::{Host, HostBuilder, Versions};

use super::{noise, sha256_of, write_large};
use crate::certificates::Authority;
use crate::check::checks;
use crate::haproxy::{self, Haproxy};
use crate::need::Need;
use crate::nghttpd::Nghttpd;
use crate::nginx::{Nginx, Setup};

checks! { "http2";
    [Need::Nginx] a_thousand_requests_survive_that_nginx_says_goodbye_each_tenth;
    [Need::Nginx] a_thousand_requests_side_by_side_survive_goodbyes;
    [Need::Nginx] requests_in_flight_share_one_connection;
    [Need::Nginx] a_server_without_http2_gets_http1_by_agreement;
    [Need::Nginx] a_host_of_http1_alone_does_not_agree_to_http2;
    [Need::Nginx] a_host_of_http2_alone_refuses_a_server_without_it;
    [Need::Nginx] a_connection_that_nginx_closed_while_idle_is_not_used;
    [Need::Nginx] no_more_streams_than_nginx_allows_share_a_connection;
    [Need::Nginx] a_large_upload_and_download_arrive_whole;
    [Need::Nginx] a_refusal_ahead_of_a_large_upload_is_delivered;
    [Need::Nginx] a_get_whose_stream_nginx_resets_is_sent_again_and_a_post_is_not;
    [Need::Nginx] an_abandoned_download_does_not_cost_the_connection;
    [Need::Nginx] nginx_is_served_by_prior_knowledge;
    [Need::Haproxy] haproxy_agrees_to_http2;
    [Need::Haproxy] a_429_of_haproxy_is_waited_out_on_the_same_connection;
    [Need::Nghttpd] nghttpd_is_served_by_prior_knowledge;
    [Need::Nghttpd] nghttpd_is_served_over_tls;
    [Need::Nghttpd] eight_requests_take_more_than_one_connection_of_two_streams;
    [Need::Nghttpd] trailers_arrive;
    [Need::Nghttpd] trailers_behind_a_body_of_declared_length_arrive;
    [Need::Nghttpd] an_upload_gets_through_small_windows;
    [Need::Nghttpd] padded_frames_are_read;
}

const HELLO: &str = r#"location / { return 200 "hello\n"; }"#;

/// A host that speaks HTTP/2 in clear text, too.
fn knowing(host: HostBuilder) -> HostBuilder {
    host.versions(Versions::Http2)
}

async fn trusting(authority: &Authority, rig: &Rig) -> Result<Client> {
    let host = Host::builder().add_roots_pem(authority.pem().as_bytes())?.build()?;
    rig.client_of(&host).await
}

/// nginx ends a connection by GOAWAY after so many requests.
async fn a_thousand_requests_survive_that_nginx_says_goodbye_each_tenth(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::http2(&authority.issue("127.0.0.1")?, &format!("keepalive_requests 10; {HELLO}")).await?;
    let mut client = trusting(&authority, rig).await?;
    for number in 0..1_000 {
        let method = if number % 2 == 0 { "GET" } else { "POST" };
        let answer = client.send(json!({"method": method, "url": nginx.url(&format!("/{number}"))})).await?;
        ensure!(answer["body"] == "hello\n" && history(&answer).is_empty(), "request {number}: {answer}");
    }
    let seen = nginx.seen(1_000).await?;
    ensure!(seen.0.iter().all(|line| line.protocol == "HTTP/2.0" && line.status == 200), "{seen:?}");
    ensure!(seen.per_connection().iter().all(|requests| *requests <= 10), "{:?}", seen.per_connection());
    Ok(())
}

async fn a_thousand_requests_side_by_side_survive_goodbyes(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::http2(&authority.issue("127.0.0.1")?, &format!("keepalive_requests 25; {HELLO}")).await?;
    let mut client = trusting(&authority, rig).await?;
    client.open(json!({"slots": 16})).await?;
    let requests = (0..1_000).map(|number| json!({"url": nginx.url(&format!("/{number}"))})).collect();
    for answer in client.send_all(requests).await? {
        ensure!(answer["body"] == "hello\n" && history(&answer).is_empty(), "{answer}");
    }
    let seen = nginx.seen(1_000).await?;
    ensure!(seen.0.iter().all(|line| line.protocol == "HTTP/2.0"), "{seen:?}");
    for number in 0..1_000 {
        ensure!(seen.count(&format!("/{number}")) == 1, "request {number}");
    }
    Ok(())
}

async fn requests_in_flight_share_one_connection(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::http2(&authority.issue("127.0.0.1")?, HELLO).await?;
    let mut client = trusting(&authority, rig).await?;
    client.open(json!({"slots": 32})).await?;
    for _ in 0..3 {
        for answer in client.send_all(vec![json!({"url": nginx.url("/")}); 32]).await? {
            ensure!(answer["body"] == "hello\n", "{answer}");
        }
    }
    let seen = nginx.seen(96).await?;
    ensure!(seen.per_connection() == [96], "{seen:?}");
    ensure!(seen.0.iter().all(|line| line.protocol == "HTTP/2.0"), "{:?}", seen.0[0]);
    let host = client.host().await?;
    ensure!(host["opened"] == 1 && host["live"] == 1, "{host}");
    Ok(())
}

async fn a_server_without_http2_gets_http1_by_agreement(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let identity = authority.issue("127.0.0.1")?;
    let old = Nginx::tls(&identity, HELLO).await?;
    let new = Nginx::http2(&identity, HELLO).await?;
    let mut client = trusting(&authority, rig).await?;
    client.get(old.url("/")).await?;
    client.get(new.url("/")).await?;
    ensure!(old.seen(1).await?.0[0].protocol == "HTTP/1.1");
    ensure!(new.seen(1).await?.0[0].protocol == "HTTP/2.0");
    Ok(())
}

async fn a_host_of_http1_alone_does_not_agree_to_http2(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::http2(&authority.issue("127.0.0.1")?, HELLO).await?;
    let host = Host::builder().add_roots_pem(authority.pem().as_bytes())?.versions(Versions::Http1).build()?;
    let mut client = rig.client_of(&host).await?;
    client.get(nginx.url("/")).await?;
    let seen = nginx.seen(1).await?;
    ensure!(seen.0[0].protocol == "HTTP/1.1", "{seen:?}");
    ensure!(host.stats().opened_h1 == 1 && host.stats().opened_h2 == 0, "{:?}", host.stats());
    Ok(())
}

async fn a_host_of_http2_alone_refuses_a_server_without_it(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::tls(&authority.issue("127.0.0.1")?, HELLO).await?;
    let host = Host::builder().add_roots_pem(authority.pem().as_bytes())?.versions(Versions::Http2).build()?;
    let mut client = rig.client_of(&host).await?;
    let answer = client.op(json!({"op": "send", "url": nginx.url("/"), "retry": "never"})).await;
    ensure!(answer["ok"] == false, "{answer}");
    ensure!(nginx.seen_so_far()?.0.is_empty());
    Ok(())
}

async fn a_connection_that_nginx_closed_while_idle_is_not_used(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::http2(&authority.issue("127.0.0.1")?, &format!("keepalive_timeout 100ms; {HELLO}")).await?;
    let mut client = trusting(&authority, rig).await?;
    for method in ["GET", "POST", "PUT", "POST"] {
        client.until_host("no connection", |host| host["live"] == 0).await?;
        let answer = client.send(json!({"method": method, "url": nginx.url("/"), "body": "four"})).await?;
        ensure!(answer["status"] == 200 && history(&answer).is_empty(), "{answer}");
    }
    let seen = nginx.seen(4).await?;
    ensure!(seen.per_connection() == [1, 1, 1, 1], "{seen:?}");
    ensure!(seen.0.iter().all(|line| line.protocol == "HTTP/2.0"), "{seen:?}");
    Ok(())
}

/// nginx refuses streams beyond its limit unprocessed, which must not be noticed.
async fn no_more_streams_than_nginx_allows_share_a_connection(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let server = "http2_max_concurrent_streams 2; limit_rate 20k;";
    let nginx = Nginx::http2(&authority.issue("127.0.0.1")?, server).await?;
    // Slow enough for all of them to be in flight together.
    fs::write(nginx.file("slow"), "x".repeat(8_000))?;
    let mut client = trusting(&authority, rig).await?;
    for answer in client.send_all(vec![json!({"url": nginx.url("/slow")}); 8]).await? {
        ensure!(answer["body_bytes"] == 8_000 && history(&answer).is_empty(), "{answer}");
    }
    let seen = nginx.seen(8).await?;
    ensure!(seen.answers() == ["GET 200"; 8]);
    ensure!(seen.per_connection().len() > 1, "{:?}", seen.per_connection());
    ensure!(seen.0.iter().all(|line| line.protocol == "HTTP/2.0"), "{seen:?}");
    Ok(())
}

async fn a_large_upload_and_download_arrive_whole(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::http2(&authority.issue("127.0.0.1")?, "dav_methods PUT; client_max_body_size 0;").await?;
    let source = nginx.file("source");
    let expected = write_large(&source, 16)?;
    let mut client = trusting(&authority, rig).await?;
    let request = json!({"method": "PUT", "url": nginx.url("/target"), "body_file": source.to_string_lossy()});
    ensure!(client.send(request).await?["status"] == 201);
    ensure!(sha256_of(&nginx.file("target"))? == expected);
    let answer = client.send(json!({"url": nginx.url("/source"), "preload": 0})).await?;
    ensure!(body(&answer)? == fs::read(&source)?);
    let seen = nginx.seen(2).await?;
    ensure!(seen.per_connection() == [2], "{seen:?}");
    ensure!(seen.0.iter().all(|line| line.protocol == "HTTP/2.0"), "{seen:?}");
    Ok(())
}

async fn a_refusal_ahead_of_a_large_upload_is_delivered(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::http2(&authority.issue("127.0.0.1")?, "dav_methods PUT; client_max_body_size 1m;").await?;
    let source = nginx.file("source");
    write_large(&source, 16)?;
    let mut client = trusting(&authority, rig).await?;
    for _ in 0..5 {
        let request = json!({"method": "PUT", "url": nginx.url("/target"), "body_file": source.to_string_lossy()});
        let answer = client.send(request).await?;
        ensure!(answer["status"] == 413 && history(&answer).is_empty(), "{answer}");
    }
    let seen = nginx.seen(5).await?;
    ensure!(seen.0.iter().all(|line| line.protocol == "HTTP/2.0"), "{seen:?}");
    Ok(())
}

/// By 444 nginx resets the stream alone: here that of the second and of the fourth request.
async fn a_get_whose_stream_nginx_resets_is_sent_again_and_a_post_is_not(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::start(Setup {
        http: "map $connection_requests $reset { 2 1; 4 1; default 0; }",
        server: r#"location / { if ($reset) { return 444; } return 200 "hello\n"; }"#,
        identity: Some(&authority.issue("127.0.0.1")?),
        http2: true,
        ..Setup::default()
    })
    .await?;
    let mut client = trusting(&authority, rig).await?;
    client.get(nginx.url("/")).await?;
    let answer = client.get(nginx.url("/")).await?;
    ensure!(answer["body"] == "hello\n", "{answer}");
    let request = json!({"op": "send", "method": "POST", "url": nginx.url("/"), "body": "pay"});
    let answer = client.op(request).await;
    ensure!(answer["ok"] == false && answer["error"]["code"] == "connection-terminated", "{answer}");
    client.get(nginx.url("/")).await?;
    let seen = nginx.seen(5).await?;
    ensure!(seen.answers() == ["GET 200", "GET 444", "GET 200", "POST 444", "GET 200"], "{seen:?}");
    ensure!(seen.per_connection() == [5], "{seen:?}");
    ensure!(seen.0.iter().all(|line| line.protocol == "HTTP/2.0"), "{seen:?}");
    Ok(())
}

async fn an_abandoned_download_does_not_cost_the_connection(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nginx = Nginx::http2(&authority.issue("127.0.0.1")?, "").await?;
    write_large(&nginx.file("large"), 16)?;
    fs::write(nginx.file("small"), "small")?;
    let mut client = trusting(&authority, rig).await?;
    client.open(json!({"preload": null})).await?;
    client.ok(json!({"op": "send", "url": nginx.url("/large"), "as": "large"})).await?;
    client.ok(json!({"op": "read", "handle": "large", "max": 1000})).await?;
    client.ok(json!({"op": "drop", "handle": "large"})).await?;
    ensure!(client.get(nginx.url("/small")).await?["body"] == "small");
    let seen = nginx.seen(2).await?;
    ensure!(seen.per_connection() == [2], "{seen:?}");
    ensure!(seen.0.iter().all(|line| line.protocol == "HTTP/2.0"), "{seen:?}");
    Ok(())
}

async fn nginx_is_served_by_prior_knowledge(rig: &Rig) -> Result<()> {
    let nginx = Nginx::start(Setup { server: "dav_methods PUT;", http2: true, ..Setup::default() }).await?;
    let mut client = rig.client_with(knowing).await?;
    let text = "0123456789".repeat(10_000);
    let put = json!({"method": "PUT", "url": nginx.url("/file"), "body": text});
    ensure!(client.send(put).await?["status"] == 201);
    ensure!(client.get(nginx.url("/file")).await?["body"] == text);
    let head = client.send(json!({"method": "HEAD", "url": nginx.url("/file")})).await?;
    ensure!(headers(&head, "content-length") == ["100000"] && head["body_bytes"] == 0, "{head}");
    let seen = nginx.seen(3).await?;
    ensure!(seen.per_connection() == [3], "{seen:?}");
    ensure!(seen.0.iter().all(|line| line.protocol == "HTTP/2.0"), "{seen:?}");
    Ok(())
}

async fn haproxy_agrees_to_http2(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let frontend = r#"http-request return status 200 content-type text/plain string "hello""#;
    let haproxy = Haproxy::tls(&authority.issue("127.0.0.1")?, frontend).await?;
    let mut client = trusting(&authority, rig).await?;
    for answer in client.send_all(vec![json!({"url": haproxy.url("/")}); 50]).await? {
        ensure!(answer["body"] == "hello", "{answer}");
    }
    let seen = haproxy.seen(50).await?;
    ensure!(seen.iter().all(|line| line.protocol == "HTTP/2.0"), "{seen:?}");
    ensure!(haproxy::connections(&seen).len() == 1);
    Ok(())
}

async fn a_429_of_haproxy_is_waited_out_on_the_same_connection(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let frontend = r#"stick-table type string len 64 size 1k expire 60s store gpc0
http-request track-sc0 path
http-request sc-inc-gpc0(0)
http-request return status 429 hdr Retry-After 1 if { sc_get_gpc0(0) eq 1 }
http-request return status 200 content-type text/plain string "hello""#;
    let haproxy = Haproxy::tls(&authority.issue("127.0.0.1")?, frontend).await?;
    let mut client = trusting(&authority, rig).await?;
    let answer = client.get(haproxy.url("/")).await?;
    ensure!(answer["body"] == "hello" && history(&answer) == ["retry 429"], "{answer}");
    let seen = haproxy.seen(2).await?;
    ensure!(seen.iter().all(|line| line.protocol == "HTTP/2.0"), "{seen:?}");
    ensure!(haproxy::connections(&seen).len() == 1);
    Ok(())
}

async fn nghttpd_is_served_by_prior_knowledge(rig: &Rig) -> Result<()> {
    let nghttpd = Nghttpd::plain(&[]).await?;
    fs::write(nghttpd.file("file"), "contents")?;
    let mut client = rig.client_with(knowing).await?;
    for answer in client.send_all(vec![json!({"url": nghttpd.url("/file")}); 20]).await? {
        ensure!(answer["body"] == "contents", "{answer}");
    }
    ensure!(client.get(nghttpd.url("/missing")).await?["status"] == 404);
    ensure!(nghttpd.connections().len() == 1);
    Ok(())
}

async fn nghttpd_is_served_over_tls(rig: &Rig) -> Result<()> {
    let authority = Authority::new()?;
    let nghttpd = Nghttpd::tls(&authority.issue("127.0.0.1")?, &[]).await?;
    fs::write(nghttpd.file("file"), "contents")?;
    let mut client = trusting(&authority, rig).await?;
    for answer in client.send_all(vec![json!({"url": nghttpd.url("/file")}); 20]).await? {
        ensure!(answer["body"] == "contents", "{answer}");
    }
    ensure!(nghttpd.connections().len() == 1);
    Ok(())
}

async fn eight_requests_take_more_than_one_connection_of_two_streams(rig: &Rig) -> Result<()> {
    let nghttpd = Nghttpd::plain(&["--max-concurrent-streams=2"]).await?;
    write_large(&nghttpd.file("large"), 2)?;
    let mut client = rig.client_with(knowing).await?;
    for answer in client.send_all(vec![json!({"url": nghttpd.url("/large")}); 8]).await? {
        ensure!(answer["body_bytes"] == 2 * 1024 * 1024 && history(&answer).is_empty(), "{}", answer["error"]);
    }
    let connections = nghttpd.connections().len();
    ensure!((2..=4).contains(&connections), "{connections} connections");
    Ok(())
}

async fn trailers_arrive(rig: &Rig) -> Result<()> {
    trailers(&["--trailer=x-sum: 42", "--no-content-length"], rig).await
}

/// RFC 9113 §8.1 allows it, unlike HTTP/1.1.
async fn trailers_behind_a_body_of_declared_length_arrive(rig: &Rig) -> Result<()> {
    trailers(&["--trailer=x-sum: 42"], rig).await
}

async fn trailers(options: &[&str], rig: &Rig) -> Result<()> {
    let nghttpd = Nghttpd::plain(options).await?;
    fs::write(nghttpd.file("file"), "contents")?;
    let mut client = rig.client_with(knowing).await?;
    let answer = client.get(nghttpd.url("/file")).await?;
    ensure!(answer["body"] == "contents" && answer["trailers"] == json!([["x-sum", "42"]]), "{answer}");
    ensure!(client.get(nghttpd.url("/file")).await?["body"] == "contents");
    ensure!(nghttpd.connections().len() == 1);
    Ok(())
}

async fn an_upload_gets_through_small_windows(rig: &Rig) -> Result<()> {
    // Stream windows of a kibibyte, beside the 64 that a connection cannot go below.
    let nghttpd = Nghttpd::plain(&["--window-bits=10", "--echo-upload"]).await?;
    let sent = noise(1024 * 1024);
    let mut client = rig.client_with(knowing).await?;
    let encoded = urlpool_conformance::client::base64(&sent);
    let requests = vec![json!({"method": "POST", "url": nghttpd.url("/"), "body_base64": encoded}); 3];
    for answer in client.send_all(requests).await? {
        ensure!(answer["ok"] == true, "{}", answer["error"]);
        ensure!(body(&answer)? == sent, "{} bytes", answer["body_bytes"]);
    }
    ensure!(nghttpd.connections().len() == 1);
    Ok(())
}

async fn padded_frames_are_read(rig: &Rig) -> Result<()> {
    let nghttpd = Nghttpd::plain(&["--padding=255"]).await?;
    let expected = noise(300_000);
    fs::write(nghttpd.file("file"), &expected)?;
    let mut client = rig.client_with(knowing).await?;
    let answer = client.get(nghttpd.url("/file")).await?;
    ensure!(body(&answer)? == expected);
    Ok(())
}
