//! What nginx answers, and what becomes of it: codings, ranges, refusals, redirects, large bodies.
//!
//! A little longer than a file should be: one check after the other, which share nothing that could be split off.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use urlpool_conformance::Rig;
use urlpool_conformance::client::{body, headers, history};
use urlpool_host::{Host, Proxies};
use urlpool_script::{Options, Program, Request, Transport};

use super::{noise, sha256_of, write_large};
use crate::check::checks;
use crate::need::Need;
use crate::nginx::{Nginx, Setup};

checks! { "answers";
    [Need::Nginx] a_download_of_256_mebibytes_arrives_whole;
    [Need::Nginx] an_upload_of_64_mebibytes_arrives_whole;
    [Need::Nginx] an_upload_of_unknown_length_arrives_whole;
    [Need::Nginx] a_gzipped_answer_is_decoded_and_the_connection_kept;
    [Need::Nginx] a_chunked_answer_is_whole_and_the_connection_kept;
    [Need::Nginx] a_head_has_the_length_and_no_body;
    [Need::Nginx] an_unchanged_file_is_answered_304_without_a_body;
    [Need::Nginx] a_range_is_answered_206_with_those_bytes;
    [Need::Nginx] ranges_come_as_multipart_byteranges;
    [Need::Nginx] a_refusal_ahead_of_a_large_upload_is_delivered;
    [Need::Nginx] a_header_section_of_100_kilobytes_is_delivered_or_refused_by_its_name;
    [Need::Nginx] a_request_with_too_large_a_header_gets_the_refusal_of_nginx;
    [Need::Nginx] a_rate_limit_with_retry_after_is_waited_out;
    [Need::Nginx] a_rate_limit_without_retry_after_is_delivered;
    [Need::Nginx] redirects_are_followed_with_the_method_that_each_status_asks_for;
    [Need::Nginx] a_put_is_redirected_with_its_body;
    [Need::Nginx] a_redirect_that_never_ends_is_an_error;
    [Need::Nginx] nginx_as_a_proxy_is_given_whole_urls;
    [Need::Nginx] a_dead_upstream_is_an_answer_of_502;
    [Need::Nginx] a_truncated_answer_of_an_upstream_is_never_a_success;
    [Need::Nginx] basic_credentials_are_understood;
    [Need::Nginx] the_methods_of_webdav_are_served;
}

/// Read piece by piece on the native side, since the operations of a script would keep all of it.
async fn a_download_of_256_mebibytes_arrives_whole(_: &Rig) -> Result<()> {
    let nginx = Nginx::plain("").await?;
    let expected = write_large(&nginx.file("large"), 256)?;
    let host = Host::builder().build()?;
    let mut session = Program::embedded()?.session(Transport::Pooled(host)).await?;
    let pool = session.open(&Options::default()).await?;
    let response = session.send(&Request::new("GET", nginx.url("/large")), pool).await?;
    let mut digest = Sha256::new();
    let mut length = 0;
    loop {
        let piece = session.read(&response, 256 * 1024).await?;
        if piece.is_empty() {
            break;
        }
        length += piece.len();
        digest.update(&piece);
    }
    ensure!(length == 256 * 1024 * 1024);
    ensure!(<[u8; 32]>::from(digest.finalize()) == expected);
    let answers = nginx.seen(1).await?.answers();
    ensure!(answers == ["GET 200"], "{answers:?}");
    Ok(())
}

const DAV: &str = "dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; client_max_body_size 0;";

async fn an_upload_of_64_mebibytes_arrives_whole(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(DAV).await?;
    let source = nginx.file("source");
    let expected = write_large(&source, 64)?;
    let mut client = rig.client().await?;
    let request = json!({"method": "PUT", "url": nginx.url("/target"), "body_file": source.to_string_lossy()});
    ensure!(client.send(request).await?["status"] == 201);
    ensure!(sha256_of(&nginx.file("target"))? == expected);
    let answers = nginx.seen(1).await?.answers();
    ensure!(answers == ["PUT 201"], "{answers:?}");
    Ok(())
}

async fn an_upload_of_unknown_length_arrives_whole(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(DAV).await?;
    let mut client = rig.client().await?;
    let chunks: Vec<_> = (0..50).map(|number| format!("{number:06}").repeat(1000)).collect();
    let expected = chunks.concat();
    let request = json!({"method": "PUT", "url": nginx.url("/target"), "body_stream": {"chunks": chunks}});
    ensure!(client.send(request).await?["status"] == 201);
    ensure!(fs::read_to_string(nginx.file("target"))? == expected);
    ensure!(client.get(nginx.url("/target")).await?["body"] == expected);
    let per_connection = nginx.seen(2).await?.per_connection();
    ensure!(per_connection == [2], "{per_connection:?}");
    Ok(())
}

async fn a_gzipped_answer_is_decoded_and_the_connection_kept(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain("gzip on; gzip_types text/plain; gzip_min_length 1;").await?;
    let text = "all work and no play\n".repeat(5_000);
    fs::write(nginx.file("text"), &text)?;
    let mut client = rig.client().await?;
    let answer = client.get(nginx.url("/text")).await?;
    ensure!(answer["decoded"] == true && answer["body"] == text);
    client.ok(json!({"op": "send", "url": nginx.url("/text"), "decode": false, "as": "raw", "headers": [["Accept-Encoding", "gzip"]]})).await?;
    let raw = client.ok(json!({"op": "read-all", "handle": "raw"})).await?;
    ensure!(raw["body_bytes"].as_u64().is_some_and(|length| length < 10_000), "not compressed");
    let per_connection = nginx.seen(2).await?.per_connection();
    ensure!(per_connection == [2], "{per_connection:?}");
    Ok(())
}

async fn a_chunked_answer_is_whole_and_the_connection_kept(rig: &Rig) -> Result<()> {
    // Filling the variables in changes a length that it does not know beforehand.
    let nginx = Nginx::plain("ssi on; ssi_types *;").await?;
    fs::write(
        nginx.file("text"),
        r#"<!--#echo var="request_method" --> it is
"#
        .repeat(20_000),
    )?;
    let mut client = rig.client().await?;
    for _ in 0..2 {
        let answer = client.get(nginx.url("/text")).await?;
        ensure!(headers(&answer, "content-length").is_empty(), "not chunked: {:?}", answer["headers"]);
        ensure!(answer["body"] == "GET it is\n".repeat(20_000));
    }
    let per_connection = nginx.seen(2).await?.per_connection();
    ensure!(per_connection == [2], "{per_connection:?}");
    Ok(())
}

async fn a_head_has_the_length_and_no_body(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain("").await?;
    fs::write(nginx.file("file"), "x".repeat(1_234))?;
    let mut client = rig.client().await?;
    let answer = client.send(json!({"method": "HEAD", "url": nginx.url("/file")})).await?;
    ensure!(answer["status"] == 200 && answer["body_bytes"] == 0, "{answer}");
    ensure!(headers(&answer, "content-length") == ["1234"]);
    ensure!(client.get(nginx.url("/file")).await?["body_bytes"] == 1_234);
    let per_connection = nginx.seen(2).await?.per_connection();
    ensure!(per_connection == [2], "{per_connection:?}");
    Ok(())
}

async fn an_unchanged_file_is_answered_304_without_a_body(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain("").await?;
    fs::write(nginx.file("file"), "contents")?;
    let mut client = rig.client().await?;
    let first = client.get(nginx.url("/file")).await?;
    let tag = headers(&first, "etag").pop().context("nginx sends an entity tag")?;
    let again = client.send(json!({"url": nginx.url("/file"), "headers": [["If-None-Match", tag]]})).await?;
    ensure!(again["status"] == 304 && again["body_bytes"] == 0, "{again}");
    ensure!(client.get(nginx.url("/file")).await?["body"] == "contents");
    let seen = nginx.seen(3).await?;
    ensure!(seen.answers() == ["GET 200", "GET 304", "GET 200"], "{seen:?}");
    ensure!(seen.per_connection() == [3], "{seen:?}");
    Ok(())
}

async fn a_range_is_answered_206_with_those_bytes(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain("").await?;
    let contents = noise(100_000);
    fs::write(nginx.file("file"), &contents)?;
    let mut client = rig.client().await?;
    let answer = client.send(json!({"url": nginx.url("/file"), "headers": [["Range", "bytes=500-70499"]]})).await?;
    ensure!(answer["status"] == 206);
    ensure!(headers(&answer, "content-range") == ["bytes 500-70499/100000"]);
    ensure!(body(&answer)? == contents[500..70_500]);
    let beyond = client.send(json!({"url": nginx.url("/file"), "headers": [["Range", "bytes=100000-"]]})).await?;
    ensure!(beyond["status"] == 416, "{beyond}");
    let per_connection = nginx.seen(2).await?.per_connection();
    ensure!(per_connection == [2], "{per_connection:?}");
    Ok(())
}

async fn ranges_come_as_multipart_byteranges(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain("").await?;
    fs::write(nginx.file("file"), "0123456789")?;
    let mut client = rig.client().await?;
    let answer = client.send(json!({"url": nginx.url("/file"), "headers": [["Range", "bytes=0-1,8-9"]]})).await?;
    ensure!(answer["status"] == 206);
    let boundary = headers(&answer, "content-type")
        .first()
        .and_then(|kind| kind.strip_prefix("multipart/byteranges; boundary=").map(str::to_owned))
        .with_context(|| format!("a boundary in {:?}", answer["headers"]))?;
    let text = answer["body"].as_str().context("text")?;
    let parts: Vec<_> = text.split(&format!("--{boundary}")).collect();
    ensure!(
        parts.len() == 4 && parts[1].ends_with("\r\n\r\n01\r\n") && parts[2].ends_with("\r\n\r\n89\r\n"),
        "{text:?}"
    );
    Ok(())
}

async fn a_refusal_ahead_of_a_large_upload_is_delivered(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain("dav_methods PUT; client_max_body_size 1m;").await?;
    let source = nginx.file("source");
    write_large(&source, 16)?;
    let mut client = rig.client().await?;
    for number in 1..=5 {
        let request = json!({"method": "PUT", "url": nginx.url("/target"), "body_file": source.to_string_lossy()});
        let answer = client.send(request).await?;
        ensure!(answer["status"] == 413 && history(&answer).is_empty(), "upload {number}: {answer}");
        ensure!(answer["body"].as_str().is_some_and(|body| body.contains("413 Request Entity Too Large")), "{answer}");
    }
    // Without a length nginx finds out only in the middle.
    let chunks = vec!["x".repeat(100_000); 40];
    let request = json!({"method": "PUT", "url": nginx.url("/target"), "body_stream": {"chunks": chunks}});
    ensure!(client.send(request).await?["status"] == 413);
    ensure!(nginx.seen(6).await?.answers() == ["PUT 413"; 6]);
    ensure!(!nginx.file("target").exists());
    Ok(())
}

async fn a_header_section_of_100_kilobytes_is_delivered_or_refused_by_its_name(rig: &Rig) -> Result<()> {
    let fields: String = (0..50).map(|number| format!("add_header X-Big-{number} {};", "x".repeat(2_000))).collect();
    let nginx = Nginx::plain(&format!(
        r#"location / {{ return 200 "hello\n"; }} location /big {{ {fields} return 200 "big\n"; }}"#
    ))
    .await?;
    let mut client = rig.client().await?;
    client.get(nginx.url("/")).await?;
    let answer = client.op(json!({"op": "send", "url": nginx.url("/big"), "retry": "never"})).await;
    if answer["ok"] == true {
        ensure!(answer["body"] == "big\n" && headers(&answer, "x-big-49") == ["x".repeat(2_000)]);
    } else {
        let code = answer["error"]["code"].as_str().unwrap_or_default();
        ensure!(["HTTP-response-header-section-size", "HTTP-response-header-size"].contains(&code), "{answer}");
    }
    ensure!(client.get(nginx.url("/")).await?["body"] == "hello\n");
    ensure!(nginx.seen(3).await?.answers() == ["GET 200"; 3]);
    Ok(())
}

async fn a_request_with_too_large_a_header_gets_the_refusal_of_nginx(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(r#"location / { return 200 "hello\n"; }"#).await?;
    let mut client = rig.client().await?;
    let large = json!({"url": nginx.url("/"), "headers": [["X-Large", "x".repeat(20_000)]]});
    ensure!(client.send(large).await?["status"] == 400);
    ensure!(client.get(nginx.url("/")).await?["status"] == 200);
    let per_connection = nginx.seen(2).await?.per_connection();
    ensure!(per_connection == [1, 1], "{per_connection:?}");
    Ok(())
}

async fn limited(retry_after: &str) -> Result<Nginx> {
    Nginx::start(Setup {
        http: "limit_req_zone $server_port zone=slow:1m rate=1r/s;",
        server: &format!(r#"location / {{ limit_req zone=slow; {retry_after} try_files /file =404; }}"#),
        ..Setup::default()
    })
    .await
}

async fn a_rate_limit_with_retry_after_is_waited_out(rig: &Rig) -> Result<()> {
    let nginx = limited("add_header Retry-After 1 always;").await?;
    fs::write(nginx.file("file"), "contents")?;
    let mut client = rig.client().await?;
    ensure!(client.get(nginx.url("/")).await?["status"] == 200);
    let begun = Instant::now();
    let answer = client.get(nginx.url("/")).await?;
    ensure!(answer["status"] == 200 && history(&answer) == ["retry 503"], "{answer}");
    ensure!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    let seen = nginx.seen(3).await?;
    ensure!(seen.answers() == ["GET 200", "GET 503", "GET 200"], "{seen:?}");
    ensure!(seen.per_connection() == [3], "{seen:?}");
    Ok(())
}

async fn a_rate_limit_without_retry_after_is_delivered(rig: &Rig) -> Result<()> {
    let nginx = limited("").await?;
    fs::write(nginx.file("file"), "contents")?;
    let mut client = rig.client().await?;
    client.get(nginx.url("/")).await?;
    let answer = client.get(nginx.url("/")).await?;
    ensure!(answer["status"] == 503 && history(&answer).is_empty(), "{answer}");
    let answers = nginx.seen(2).await?.answers();
    ensure!(answers == ["GET 200", "GET 503"], "{answers:?}");
    Ok(())
}

async fn redirects_are_followed_with_the_method_that_each_status_asks_for(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(
        r#"location /target { return 200 "$request_method $arg_from"; }
           location /301 { return 301 /target?from=301; } location /302 { return 302 /target?from=302; }
           location /303 { return 303 /target?from=303; } location /307 { return 307 /target?from=307; }
           location /308 { return 308 /target?from=308; }
           rewrite ^/old/([0-9]+)$ /target?from=$1 redirect;"#,
    )
    .await?;
    let mut client = rig.client().await?;
    for (path, method, then, from) in [
        ("/301", "GET", "GET", 301),
        ("/301", "POST", "GET", 301),
        ("/302", "POST", "GET", 302),
        ("/303", "PUT", "GET", 303),
        ("/307", "POST", "POST", 307),
        ("/308", "POST", "POST", 308),
        ("/308", "DELETE", "DELETE", 308),
        ("/old/55", "GET", "GET", 55),
    ] {
        let answer = client.send(json!({"method": method, "url": nginx.url(path), "body": "four"})).await?;
        ensure!(answer["body"] == format!("{then} {from}"), "{method} {path}: {answer}");
        ensure!(answer["url"] == nginx.url(&format!("/target?from={from}")), "{answer}");
    }
    // nginx answers these without reading the body, so when that is not sent by then the connection is given up.
    let seen = nginx.seen(16).await?;
    // Such a connection is logged when it is closed, so not in the order of requests.
    let mut targets: Vec<_> =
        seen.0.iter().filter(|line| line.status == 200).map(|line| line.method.as_str()).collect();
    targets.sort_unstable();
    ensure!(targets == ["DELETE", "GET", "GET", "GET", "GET", "GET", "POST", "POST"], "{seen:?}");
    Ok(())
}

async fn a_put_is_redirected_with_its_body(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(&format!("{DAV} location /307/ {{ return 307 /new$uri; }}")).await?;
    let mut client = rig.client().await?;
    let text = "0123456789".repeat(10_000);
    let answer = client.send(json!({"method": "PUT", "url": nginx.url("/307/file"), "body": text})).await?;
    ensure!(answer["status"] == 201 && history(&answer) == ["redirect 307"], "{answer}");
    ensure!(fs::read_to_string(nginx.file("new/307/file"))? == text);
    // The first is logged when its connection is closed, which may come later.
    let seen = nginx.seen(2).await?;
    ensure!(seen.count("/307/file") == 1 && seen.count("/new/307/file") == 1, "{seen:?}");
    Ok(())
}

async fn a_redirect_that_never_ends_is_an_error(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain("rewrite ^/(.*)$ /$1x redirect;").await?;
    let mut client = rig.client().await?;
    client.refused("too-many-redirects", json!({"url": nginx.url("/")})).await?;
    let per_connection = nginx.seen(11).await?.per_connection();
    ensure!(per_connection == [11], "{per_connection:?}");
    Ok(())
}

/// The origins need not exist: the proxy answers for them.
async fn nginx_as_a_proxy_is_given_whole_urls(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(r#"location / { return 200 "$request_method $http_host $request"; }"#).await?;
    let proxies = Proxies::new().http(&nginx.url(""))?;
    let mut client = rig.client_with(|host| host.proxies(proxies)).await?;
    for url in ["http://a.test/x?y=1", "http://a.test:8080/"] {
        let answer = client.get(url.to_owned()).await?;
        let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
        ensure!(answer["body"] == format!("GET {host} GET {url} HTTP/1.1"), "{answer}");
    }
    client.get("http://a.test/again".to_owned()).await?;
    let seen = nginx.seen(3).await?;
    ensure!(seen.per_connection().len() <= 2, "{seen:?}");
    Ok(())
}

async fn a_dead_upstream_is_an_answer_of_502(rig: &Rig) -> Result<()> {
    let dead = urlpool_conformance::ports::Refused::bind()?;
    let nginx = Nginx::plain(&format!("location / {{ proxy_pass {}; }}", dead.url("/"))).await?;
    let mut client = rig.client().await?;
    let answer = client.get(nginx.url("/")).await?;
    ensure!(answer["status"] == 502 && history(&answer).is_empty(), "{answer}");
    let answers = nginx.seen(1).await?.answers();
    ensure!(answers == ["GET 502"], "{answers:?}");
    Ok(())
}

/// nginx finds out when it has sent most of it, and can only close.
async fn a_truncated_answer_of_an_upstream_is_never_a_success(rig: &Rig) -> Result<()> {
    use urlpool_conformance::Server;
    use urlpool_conformance::reply::raw;
    let part = "x".repeat(50_000);
    let upstream = Server::replies([
        raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{part}")).close(),
        raw(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n{part}\r\n")).close(),
    ])
    .await?;
    let nginx =
        Nginx::plain(&format!("proxy_http_version 1.1; location / {{ proxy_pass {}; }}", upstream.url("/"))).await?;
    let mut client = rig.client().await?;
    for framing in ["length", "chunks"] {
        let request = json!({"op": "send", "url": nginx.url("/"), "retry": "never"});
        let answer = client.op(request).await;
        ensure!(answer["ok"] == false && answer["error"]["kind"] == "interrupted", "{framing}: {}", answer["error"]);
    }
    Ok(())
}

async fn basic_credentials_are_understood(rig: &Rig) -> Result<()> {
    let nginx = Nginx::start(Setup {
        server: r#"location / { auth_basic a; auth_basic_user_file users; try_files /file =404; }"#,
        files: &[("users", "aladdin:{PLAIN}öffne dich\n")],
        ..Setup::default()
    })
    .await?;
    fs::write(nginx.file("file"), "treasure")?;
    let mut client = rig.client().await?;
    let refused = client.get(nginx.url("/")).await?;
    ensure!(refused["status"] == 401 && history(&refused).is_empty(), "{refused}");
    let answer = client.send(json!({"url": nginx.url("/"), "basic": ["aladdin", "öffne dich"]})).await?;
    ensure!(answer["body"] == "treasure", "{answer}");
    let per_connection = nginx.seen(2).await?.per_connection();
    ensure!(per_connection == [2], "{per_connection:?}");
    Ok(())
}

async fn the_methods_of_webdav_are_served(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(DAV).await?;
    let mut client = rig.client().await?;
    for (method, path, headers, status) in [
        ("MKCOL", "/folder/", vec![], 201),
        ("PUT", "/folder/a", vec![], 201),
        ("PUT", "/folder/a", vec![], 204),
        ("COPY", "/folder/a", vec![["Destination", "/folder/b"]], 204),
        ("MOVE", "/folder/b", vec![["Destination", "/folder/c"]], 204),
        ("DELETE", "/folder/a", vec![], 204),
    ] {
        let mut request = json!({"method": method, "url": nginx.url(path), "headers": headers});
        if method == "PUT" {
            request["body"] = json!("contents");
        }
        let answer = client.send(request).await?;
        ensure!(answer["status"] == status, "{method} {path}: {answer}");
    }
    ensure!(fs::read_to_string(nginx.file("folder/c"))? == "contents");
    ensure!(!nginx.file("folder/a").exists() && !nginx.file("folder/b").exists());
    let per_connection = nginx.seen(6).await?.per_connection();
    ensure!(per_connection == [6], "{per_connection:?}");
    Ok(())
}
