//! httpbin, which tells what it was sent, by itself and behind nginx and haproxy.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use urlpool_conformance::Rig;
use urlpool_conformance::client::{base64, body, headers, history};

use super::noise;
use crate::check::checks;
use crate::haproxy::Haproxy;
use crate::httpbin::Httpbin;
use crate::need::Need;
use crate::nginx::{Nginx, Setup};

checks! { "httpbin";
    [Need::Httpbin] every_coding_is_undone;
    [Need::Httpbin] each_method_arrives_with_its_body;
    [Need::Httpbin] a_form_arrives_with_its_fields_and_files;
    [Need::Httpbin] an_urlencoded_form_and_a_query_arrive;
    [Need::Httpbin] a_stream_of_unknown_length_arrives;
    [Need::Httpbin] redirects_of_each_kind_are_followed_to_their_end;
    [Need::Httpbin] a_307_carries_the_body_and_a_303_drops_it;
    [Need::Httpbin] basic_credentials_and_tokens_are_accepted;
    [Need::Httpbin] credentials_stay_with_their_origin;
    [Need::Httpbin] cookies_are_headers_and_nothing_else;
    [Need::Httpbin] every_status_is_delivered_and_the_connection_kept;
    [Need::Httpbin] an_entity_tag_and_a_range_are_honoured;
    [Need::Httpbin] a_late_answer_meets_the_limit_of_the_first_byte;
    [Need::Httpbin] a_dripping_body_meets_the_limit_between_bytes;
    [Need::Httpbin] a_dripping_body_meets_the_limit_of_the_whole;
    [Need::Httpbin] streamed_bytes_are_those_sent_whole;
    [Need::Httpbin] text_is_decoded_by_its_charset;
    [Need::Httpbin] a_listed_status_is_retried_as_often_as_allowed;
    [Need::Httpbin] late_answers_to_many_are_awaited_side_by_side;
    [Need::Httpbin, Need::Nginx] behind_nginx_all_of_it_goes_over_one_connection;
    [Need::Httpbin, Need::Haproxy] behind_haproxy_all_of_it_goes_over_one_connection;
}

/// What httpbin tells in an answer.
fn told(answer: &Value) -> Result<Value> {
    let text = answer["body"].as_str().with_context(|| format!("text in {answer}"))?;
    serde_json::from_str(text).with_context(|| format!("JSON in {text:?}"))
}

async fn every_coding_is_undone(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    for (path, key, coding) in
        [("/gzip", "gzipped", "gzip"), ("/deflate", "deflated", "deflate"), ("/brotli", "brotli", "br")]
    {
        let answer = client.get(httpbin.url(path)).await?;
        ensure!(answer["decoded"] == true && told(&answer)?[key] == true, "{answer}");
        let asked = told(&answer)?["headers"]["Accept-Encoding"].as_str().unwrap_or_default().to_owned();
        ensure!(asked.split(", ").any(|asked| asked == coding), "asked for {asked}");
    }
    Ok(())
}

async fn each_method_arrives_with_its_body(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let url = httpbin.url(&format!("/{}", method.to_lowercase()));
        let answer = client.send(json!({"method": method, "url": url, "json": {"a": [1, null]}})).await?;
        let told = told(&answer)?;
        ensure!(told["json"] == json!({"a": [1, null]}), "{method}: {told}");
        ensure!(told["headers"]["Content-Type"] == "application/json", "{method}: {told}");
    }
    let every_byte: Vec<u8> = (0..=255).collect();
    let request = json!({"method": "POST", "url": httpbin.url("/anything"), "body_base64": base64(&every_byte)});
    let told = told(&client.send(request).await?)?;
    ensure!(
        told["data"] == format!("data:application/octet-stream;base64,{}", base64(&every_byte)),
        "{}",
        told["data"]
    );
    Ok(())
}

async fn a_form_arrives_with_its_fields_and_files(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let text = "all work and no play\n".repeat(20_000);
    let form = json!([
        {"name": "a", "value": "1"},
        {"name": "ä", "value": "☃"},
        {"name": "a", "value": "2"},
        {"name": "report", "filename": "report.txt", "content": text, "type": "text/plain"},
        {"name": "stream", "filename": "s", "stream": {"chunks": ["one ", "two"]}},
    ]);
    let told = told(&client.send(json!({"method": "POST", "url": httpbin.url("/post"), "form": form})).await?)?;
    ensure!(told["form"] == json!({"a": ["1", "2"], "ä": "☃"}), "{}", told["form"]);
    ensure!(told["files"]["report"] == text && told["files"]["stream"] == "one two", "files differ");
    Ok(())
}

async fn an_urlencoded_form_and_a_query_arrive(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let request = json!({
        "method": "POST",
        "url": httpbin.url("/post?q=%C3%A4%20b&&x"),
        "query": [["a b", "c&d=e"], ["☃", "+"]],
        "form": [{"name": "a b", "value": "c&d=e\r\n"}, {"name": "☃", "value": "+%"}],
    });
    let told = told(&client.send(request).await?)?;
    ensure!(told["form"] == json!({"a b": "c&d=e\r\n", "☃": "+%"}), "{}", told["form"]);
    ensure!(told["args"] == json!({"a b": "c&d=e", "q": "ä b", "x": "", "☃": "+"}), "{}", told["args"]);
    Ok(())
}

async fn a_stream_of_unknown_length_arrives(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let chunks: Vec<_> = (0..100).map(|number| format!("{number} ").repeat(500)).collect();
    let request = json!({"method": "PUT", "url": httpbin.url("/put"), "body_stream": {"chunks": chunks}});
    let told = told(&client.send(request).await?)?;
    ensure!(told["data"] == chunks.concat(), "the data differs");
    ensure!(told["headers"]["Transfer-Encoding"] == "chunked", "{}", told["headers"]);
    Ok(())
}

async fn redirects_of_each_kind_are_followed_to_their_end(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    for path in ["/redirect/5", "/relative-redirect/5", "/absolute-redirect/5"] {
        let answer = client.get(httpbin.url(path)).await?;
        ensure!(answer["status"] == 200 && answer["url"] == httpbin.url("/get"), "{path}: {answer}");
        ensure!(history(&answer) == ["redirect 302"; 5], "{path}: {answer}");
    }
    let error = client.refused("too-many-redirects", json!({"url": httpbin.url("/redirect/11")})).await?;
    ensure!(error["history"].as_array().is_some_and(|hops| hops.len() == 10), "{error}");
    Ok(())
}

async fn a_307_carries_the_body_and_a_303_drops_it(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    for (status, method, data) in [(307, "POST", "four"), (308, "POST", "four"), (303, "GET", ""), (302, "GET", "")] {
        let url = httpbin.url(&format!("/redirect-to?url=%2Fanything&status_code={status}"));
        let told = told(&client.send(json!({"method": "POST", "url": url, "body": "four"})).await?)?;
        ensure!(told["method"] == method && told["data"] == data, "{status}: {told}");
    }
    Ok(())
}

async fn basic_credentials_and_tokens_are_accepted(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let url = httpbin.url("/basic-auth/ann/s%C3%A4cret");
    let basic = json!({"url": url, "basic": ["ann", "säcret"]});
    ensure!(told(&client.send(basic).await?)?["authenticated"] == true);
    let in_url = url.replace("http://", "http://ann:s%C3%A4cret@");
    ensure!(told(&client.get(in_url).await?)?["user"] == "ann");
    let wrong = client.send(json!({"url": url, "basic": ["ann", "wrong"]})).await?;
    ensure!(wrong["status"] == 401 && headers(&wrong, "www-authenticate") == ["Basic realm=\"Fake Realm\""], "{wrong}");
    let bearer = client.send(json!({"url": httpbin.url("/bearer"), "bearer": "t0k.en_~+/=="})).await?;
    ensure!(told(&bearer)?["token"] == "t0k.en_~+/==", "{bearer}");
    Ok(())
}

async fn credentials_stay_with_their_origin(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let to = |place: &str| httpbin.url(&format!("/redirect-to?status_code=307&url={place}"));
    let send = |url: String| json!({"url": url, "basic": ["ann", "secret"], "headers": [["Cookie", "a=b"], ["X-Other", "kept"]]});
    let same = told(&client.send(send(to("%2Fheaders"))).await?)?;
    ensure!(same["headers"]["Authorization"].is_string() && same["headers"]["Cookie"] == "a=b", "{same}");
    let elsewhere = httpbin.url_at("localhost", "/headers").replace('/', "%2F");
    let other = told(&client.send(send(to(&elsewhere))).await?)?;
    ensure!(other["headers"]["Authorization"].is_null() && other["headers"]["Cookie"].is_null(), "{other}");
    ensure!(other["headers"]["X-Other"] == "kept", "{other}");
    Ok(())
}

async fn cookies_are_headers_and_nothing_else(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let set = client.get(httpbin.url("/response-headers?Set-Cookie=a%3D1&Set-Cookie=b%3D2%3B%20Path%3D%2F")).await?;
    ensure!(headers(&set, "set-cookie") == ["a=1", "b=2; Path=/"], "{set}");
    ensure!(told(&client.get(httpbin.url("/cookies")).await?)?["cookies"] == json!({}), "one was kept");
    let sent = client.send(json!({"url": httpbin.url("/cookies"), "headers": [["Cookie", "c=3; d=4"]]})).await?;
    ensure!(told(&sent)?["cookies"] == json!({"c": "3", "d": "4"}), "{sent}");
    // Set on the way to where they are told: not by us.
    let hop = client.get(httpbin.url("/cookies/set/e/5")).await?;
    ensure!(told(&hop)?["cookies"] == json!({}), "{hop}");
    Ok(())
}

async fn every_status_is_delivered_and_the_connection_kept(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let statuses = [
        200, 201, 202, 203, 204, 205, 206, 300, 304, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412,
        413, 414, 415, 416, 417, 418, 421, 422, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 511, 599,
    ];
    for status in statuses {
        let answer = client.get(httpbin.url(&format!("/status/{status}"))).await?;
        ensure!(answer["status"] == status && history(&answer).is_empty(), "{status}: {answer}");
    }
    let host = client.host().await?;
    ensure!(host["opened"] == 1 && host["reused"] == statuses.len() - 1, "{host}");
    Ok(())
}

async fn an_entity_tag_and_a_range_are_honoured(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let with = |path: &str, name: &str, value: &str| json!({"url": httpbin.url(path), "headers": [[name, value]]});
    let unchanged = client.send(with("/etag/x", "If-None-Match", "\"x\"")).await?;
    ensure!(unchanged["status"] == 304 && unchanged["body_bytes"] == 0, "{unchanged}");
    let differs = client.send(with("/etag/x", "If-Match", "\"y\"")).await?;
    ensure!(differs["status"] == 412, "{differs}");
    let part = client.send(with("/range/1000", "Range", "bytes=26-51")).await?;
    ensure!(part["status"] == 206 && part["body"] == "abcdefghijklmnopqrstuvwxyz", "{part}");
    let beyond = client.send(with("/range/1000", "Range", "bytes=1000-")).await?;
    ensure!(beyond["status"] == 416, "{beyond}");
    Ok(())
}

async fn a_late_answer_meets_the_limit_of_the_first_byte(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let late = httpbin.url("/delay/2");
    let error = client
        .refused("timed-out", json!({"url": late, "retry": "never", "timeouts": {"first_byte": "300ms"}}))
        .await?;
    ensure!(error["phase"] == "first-byte" && error["limit_ms"] == 300, "{error}");
    ensure!(error["elapsed_ms"].as_u64().is_some_and(|elapsed| (300..1_800).contains(&elapsed)), "{error}");
    ensure!(client.send(json!({"url": late, "timeouts": {"first_byte": "20s"}})).await?["status"] == 200);
    Ok(())
}

async fn a_dripping_body_meets_the_limit_between_bytes(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let drip = httpbin.url("/drip?duration=2&numbytes=2&delay=0");
    let request = json!({"url": drip, "retry": "never", "timeouts": {"between_bytes": "200ms"}});
    let error = client.refused("timed-out", request).await?;
    ensure!(error["phase"] == "between-bytes", "{error}");
    ensure!(error["elapsed_ms"].as_u64().is_some_and(|elapsed| elapsed < 1_800), "{error}");
    let answer = client.send(json!({"url": drip, "timeouts": {"between_bytes": "20s"}})).await?;
    ensure!(answer["body"] == "**", "{answer}");
    Ok(())
}

async fn a_dripping_body_meets_the_limit_of_the_whole(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    // No gap of it is long.
    let drip = httpbin.url("/drip?duration=5&numbytes=100&delay=0");
    let error = client.refused("timed-out", json!({"url": drip, "timeouts": {"total": "700ms"}})).await?;
    ensure!(error["phase"] == "total" && error["limit_ms"] == 700, "{error}");
    ensure!(error["elapsed_ms"].as_u64().is_some_and(|elapsed| (700..3_000).contains(&elapsed)), "{error}");
    Ok(())
}

async fn streamed_bytes_are_those_sent_whole(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let streamed = client.get(httpbin.url("/stream-bytes/100000?seed=7&chunk_size=999")).await?;
    let whole = client.get(httpbin.url("/bytes/100000?seed=7")).await?;
    ensure!(headers(&streamed, "content-length").is_empty() && headers(&whole, "content-length") == ["100000"]);
    ensure!(body(&whole)?.len() == 100_000 && body(&streamed)? == body(&whole)?, "the bytes differ");
    let lines = client.get(httpbin.url("/stream/100")).await?;
    ensure!(lines["body"].as_str().is_some_and(|text| text.lines().count() == 100), "{lines}");
    Ok(())
}

async fn text_is_decoded_by_its_charset(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    client.ok(json!({"op": "send", "url": httpbin.url("/encoding/utf8"), "as": "page"})).await?;
    let text = client.ok(json!({"op": "read-text", "handle": "page"})).await?;
    let text = text["text"].as_str().context("text")?;
    // One is in the page itself.
    ensure!(text.contains("∮ E⋅da = Q") && text.matches('\u{fffd}').count() == 1, "{text}");
    Ok(())
}

async fn a_listed_status_is_retried_as_often_as_allowed(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let retry = json!({"statuses": [502], "status": 2, "backoff": "1ms"});
    let answer = client.send(json!({"url": httpbin.url("/status/502"), "retry": retry})).await?;
    ensure!(answer["status"] == 502 && history(&answer) == ["retry 502", "retry 502"], "{answer}");
    Ok(())
}

async fn late_answers_to_many_are_awaited_side_by_side(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let mut client = rig.client().await?;
    let begun = Instant::now();
    let answers = client.send_all((0..8).map(|_| json!({"url": httpbin.url("/delay/1")})).collect()).await?;
    let took = begun.elapsed();
    ensure!(answers.iter().all(|answer| answer["status"] == 200), "{answers:?}");
    ensure!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&took), "{took:?} for eight of 1 s");
    Ok(())
}

/// A little of everything, at `url`; how many requests that took.
async fn a_little_of_everything(url: impl Fn(&str) -> String, rig: &Rig) -> Result<usize> {
    let mut client = rig.client().await?;
    for (path, key) in [("/gzip", "gzipped"), ("/deflate", "deflated"), ("/brotli", "brotli")] {
        ensure!(told(&client.get(url(path)).await?)?[key] == true, "{path}");
    }
    let content = noise(300_000);
    let request = json!({"method": "PUT", "url": url("/anything"), "body_base64": base64(&content)});
    let expected = format!("data:application/octet-stream;base64,{}", base64(&content));
    ensure!(told(&client.send(request).await?)?["data"] == expected, "the upload differs");
    let form = json!([{"name": "f", "filename": "f.txt", "stream": {"chunks": ["one ", "two"]}}]);
    let posted = client.send(json!({"method": "POST", "url": url("/post"), "form": form})).await?;
    ensure!(told(&posted)?["files"]["f"] == "one two", "{posted}");
    ensure!(history(&client.get(url("/relative-redirect/3")).await?) == ["redirect 302"; 3]);
    ensure!(client.get(url("/status/204")).await?["status"] == 204);
    ensure!(client.send(json!({"method": "HEAD", "url": url("/get")})).await?["body_bytes"] == 0);
    ensure!(client.get(url("/status/404")).await?["status"] == 404);
    ensure!(body(&client.get(url("/stream-bytes/100000?chunk_size=1000")).await?)?.len() == 100_000);
    let host = client.host().await?;
    ensure!(host["opened"] == 1 && host["resent"] == 0, "{host}");
    Ok(13)
}

async fn behind_nginx_all_of_it_goes_over_one_connection(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let nginx = Nginx::start(Setup {
        http: &format!("upstream httpbin {{ server {}; keepalive 4; }}", httpbin.authority()),
        server: "location / { proxy_pass http://httpbin; proxy_http_version 1.1; proxy_set_header Connection ''; }",
        ..Setup::default()
    })
    .await?;
    let requests = a_little_of_everything(|path| nginx.url(path), rig).await?;
    let per_connection = nginx.seen(requests).await?.per_connection();
    ensure!(per_connection == [requests], "{per_connection:?}");
    Ok(())
}

async fn behind_haproxy_all_of_it_goes_over_one_connection(rig: &Rig) -> Result<()> {
    let httpbin = Httpbin::shared().await?;
    let backend = format!("backend b\nserver s {}", httpbin.authority());
    let haproxy = Haproxy::plain("default_backend b", &backend).await?;
    let requests = a_little_of_everything(|path| haproxy.url(path), rig).await?;
    let connections = crate::haproxy::connections(&haproxy.seen(requests).await?);
    ensure!(connections.len() == 1, "{connections:?}");
    Ok(())
}
