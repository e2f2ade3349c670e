//! haproxy as the one who refuses, drops, closes and is slow.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use urlpool_conformance::Rig;
use urlpool_conformance::client::{headers, history};
use urlpool_conformance::ports::Refused;

use super::write_large;
use crate::check::checks;
use crate::haproxy::{Haproxy, Line, answers, connections};
use crate::need::Need;
use crate::nginx::Nginx;

checks! { "faults";
    [Need::Haproxy] idle_closes_under_traffic_lose_nothing;
    [Need::Haproxy] a_429_is_retried_after_the_time_it_names;
    [Need::Haproxy] a_429_to_a_post_is_retried_too;
    [Need::Haproxy] a_silent_drop_is_a_timeout_of_the_first_byte;
    [Need::Haproxy] a_silent_drop_is_got_over_by_a_retry;
    [Need::Haproxy] a_get_that_is_closed_without_an_answer_is_retried;
    [Need::Haproxy] a_post_that_is_closed_without_an_answer_is_sent_once;
    [Need::Haproxy] a_post_with_an_idempotency_key_that_is_closed_without_an_answer_is_retried;
    [Need::Haproxy] a_connection_that_is_closed_at_once_is_retried_and_then_an_error;
    [Need::Haproxy] a_denied_request_is_delivered_at_once;
    [Need::Haproxy] a_dead_backend_is_an_answer_of_503;
    [Need::Haproxy] a_slow_backend_is_an_answer_of_504;
    [Need::Haproxy] a_tarpit_is_ended_by_the_deadline;
    [Need::Nginx] a_body_that_drips_is_ended_by_the_deadline;
    [Need::Nginx] a_download_that_is_given_up_costs_its_connection_alone;
    [Need::Haproxy, Need::Nginx] a_backend_of_one_request_a_connection_does_not_cost_ours;
    [Need::Haproxy, Need::Nginx] a_proxy_that_closes_each_connection_is_believed;
}

const OK: &str = r#"http-request return status 200 content-type text/plain string "hello""#;

/// Counts the requests of each path in general purpose counter 0.
const COUNTED: &str = "\
stick-table type string len 64 size 1k expire 60s store gpc0
http-request track-sc0 path
http-request sc-inc-gpc0(0)";

async fn idle_closes_under_traffic_lose_nothing(rig: &Rig) -> Result<()> {
    let haproxy = Haproxy::plain(&format!("timeout http-keep-alive 30ms\n{OK}"), "").await?;
    let mut client = rig.client().await?;
    for number in 0..200_u64 {
        let answer = client.get(haproxy.url(&format!("/{number}"))).await?;
        ensure!(answer["body"] == "hello" && history(&answer).is_empty(), "{answer}");
        // From a little before to a little after.
        let pause = Duration::from_micros(27_000 + number % 50 * 100);
        client.ok(json!({"op": "sleep", "for": pause.as_secs_f64()})).await?;
    }
    let seen = haproxy.seen(200).await?;
    ensure!(seen.iter().all(|line| line.status == 200));
    // Otherwise it was never close.
    let connections = connections(&seen).len();
    ensure!((2..200).contains(&connections), "{connections} connections");
    Ok(())
}

async fn a_429_is_retried_after_the_time_it_names(rig: &Rig) -> Result<()> {
    retried_after_429("GET", rig).await
}

async fn a_429_to_a_post_is_retried_too(rig: &Rig) -> Result<()> {
    // haproxy says that it has done nothing with it.
    retried_after_429("POST", rig).await
}

async fn retried_after_429(method: &str, rig: &Rig) -> Result<()> {
    let haproxy = Haproxy::plain(
        &format!("{COUNTED}\nhttp-request return status 429 hdr Retry-After 1 if {{ sc_get_gpc0(0) eq 1 }}\n{OK}"),
        "",
    )
    .await?;
    let mut client = rig.client().await?;
    let begun = Instant::now();
    let mut request = json!({"method": method, "url": haproxy.url("/")});
    if method == "POST" {
        request["body"] = json!("four");
        request["retry"] = json!({"methods": null});
    }
    let answer = client.send(request).await?;
    let took = begun.elapsed();
    ensure!(answer["body"] == "hello" && history(&answer) == ["retry 429"], "{answer}");
    ensure!((Duration::from_secs(1)..Duration::from_millis(2_500)).contains(&took), "{took:?}");
    ensure!(answers(&haproxy.seen(2).await?) == [format!("{method} 429"), format!("{method} 200")]);
    Ok(())
}

async fn a_silent_drop_is_a_timeout_of_the_first_byte(rig: &Rig) -> Result<()> {
    let haproxy = Haproxy::plain("http-request silent-drop", "").await?;
    let mut client = rig.client().await?;
    let request = json!({"url": haproxy.url("/"), "retry": "never", "timeouts": {"first_byte": "300ms"}});
    let error = client.refused("timed-out", request).await?;
    ensure!(error["phase"] == "first-byte" && error["limit_ms"] == 300, "{error}");
    ensure!(error["elapsed_ms"].as_u64().is_some_and(|elapsed| (300..1_500).contains(&elapsed)), "{error}");
    client.until_host("no connection", |host| host["live"] == 0).await?;
    Ok(())
}

async fn a_silent_drop_is_got_over_by_a_retry(rig: &Rig) -> Result<()> {
    let haproxy =
        Haproxy::plain(&format!("{COUNTED}\nhttp-request silent-drop if {{ sc_get_gpc0(0) eq 1 }}\n{OK}"), "").await?;
    let mut client = rig.client().await?;
    let answer = client.send(json!({"url": haproxy.url("/"), "timeouts": {"first_byte": "300ms"}})).await?;
    ensure!(answer["body"] == "hello" && history(&answer) == ["retry timed-out: first-byte"], "{answer}");
    Ok(())
}

async fn first_rejected() -> Result<Haproxy> {
    Haproxy::plain(
        &format!(
            "tcp-request inspect-delay 5s\n\
             stick-table type string len 64 size 1k expire 60s store gpc0\n\
             tcp-request content track-sc0 path if HTTP\n\
             tcp-request content sc-inc-gpc0(0) if HTTP\n\
             tcp-request content reject if {{ path_beg /once }} {{ sc_get_gpc0(0) eq 1 }}\n{OK}"
        ),
        "",
    )
    .await
}

/// The methods that got 200. What is rejected is logged without its method, and at any time.
fn answered(seen: &[Line]) -> Vec<&str> {
    seen.iter().filter(|line| line.status == 200).map(|line| line.method.as_str()).collect()
}

async fn a_get_that_is_closed_without_an_answer_is_retried(rig: &Rig) -> Result<()> {
    let haproxy = first_rejected().await?;
    let mut client = rig.client().await?;
    let answer = client.get(haproxy.url("/once")).await?;
    ensure!(answer["body"] == "hello" && history(&answer) == ["retry connection-terminated"], "{answer}");
    let seen = haproxy.seen(2).await?;
    ensure!(answered(&seen) == ["GET"] && connections(&seen).len() == 2, "{seen:?}");
    Ok(())
}

async fn a_post_that_is_closed_without_an_answer_is_sent_once(rig: &Rig) -> Result<()> {
    let haproxy = first_rejected().await?;
    let mut client = rig.client().await?;
    let request = json!({"op": "send", "method": "POST", "url": haproxy.url("/once"), "body": "pay"});
    let answer = client.op(request).await;
    ensure!(answer["ok"] == false && answer["error"]["code"] == "connection-terminated", "{answer}");
    // A further request shows that nothing is under way any more, and what the counter was.
    ensure!(client.get(haproxy.url("/once")).await?["body"] == "hello");
    let seen = haproxy.seen(2).await?;
    ensure!(answered(&seen) == ["GET"], "{seen:?}");
    Ok(())
}

async fn a_post_with_an_idempotency_key_that_is_closed_without_an_answer_is_retried(rig: &Rig) -> Result<()> {
    let haproxy = first_rejected().await?;
    let mut client = rig.client().await?;
    let request = json!({
        "method": "POST", "url": haproxy.url("/once"), "body": "pay", "headers": [["Idempotency-Key", "1"]],
    });
    let answer = client.send(request).await?;
    ensure!(answer["body"] == "hello" && history(&answer) == ["retry connection-terminated"], "{answer}");
    let seen = haproxy.seen(2).await?;
    ensure!(answered(&seen) == ["POST"], "{seen:?}");
    Ok(())
}

async fn a_connection_that_is_closed_at_once_is_retried_and_then_an_error(rig: &Rig) -> Result<()> {
    let haproxy = Haproxy::plain("tcp-request connection reject", "").await?;
    let mut client = rig.client().await?;
    let request = json!({"op": "send", "url": haproxy.url("/"), "retry": {"limit": 2, "backoff": "1ms"}});
    let answer = client.op(request).await;
    ensure!(answer["error"]["code"] == "connection-terminated", "{answer}");
    ensure!(history(&answer["error"]) == ["retry connection-terminated"; 2], "{answer}");
    Ok(())
}

async fn a_denied_request_is_delivered_at_once(rig: &Rig) -> Result<()> {
    let haproxy = Haproxy::plain("http-request deny if { path /403 }\nhttp-request deny deny_status 503", "").await?;
    let mut client = rig.client().await?;
    for status in [403, 503] {
        let answer = client.get(haproxy.url(&format!("/{status}"))).await?;
        ensure!(answer["status"] == status && history(&answer).is_empty(), "{answer}");
        ensure!(headers(&answer, "content-type") == ["text/html"], "{answer}");
    }
    ensure!(answers(&haproxy.seen(2).await?) == ["GET 403", "GET 503"]);
    Ok(())
}

async fn a_dead_backend_is_an_answer_of_503(rig: &Rig) -> Result<()> {
    let dead = Refused::bind()?;
    let haproxy =
        Haproxy::plain("default_backend dead", &format!("backend dead\nserver s 127.0.0.1:{}", dead.port())).await?;
    let mut client = rig.client().await?;
    let answer = client.get(haproxy.url("/")).await?;
    ensure!(answer["status"] == 503 && history(&answer).is_empty(), "{answer}");
    ensure!(answer["body"].as_str().is_some_and(|body| body.starts_with("<html>")), "{answer}");
    ensure!(answers(&haproxy.seen(1).await?) == ["GET 503"]);
    Ok(())
}

async fn a_slow_backend_is_an_answer_of_504(rig: &Rig) -> Result<()> {
    let silent = urlpool_conformance::Server::replies([urlpool_conformance::reply::stall()]).await?;
    let backend = format!("backend slow\ntimeout server 200ms\nserver s 127.0.0.1:{}", silent.port());
    let haproxy = Haproxy::plain("default_backend slow", &backend).await?;
    let mut client = rig.client().await?;
    let answer = client.get(haproxy.url("/")).await?;
    ensure!(answer["status"] == 504 && history(&answer).is_empty(), "{answer}");
    ensure!(answers(&haproxy.seen(1).await?) == ["GET 504"]);
    Ok(())
}

/// A tarpit holds a request for ten minutes here, then answers 500.
async fn a_tarpit_is_ended_by_the_deadline(rig: &Rig) -> Result<()> {
    let haproxy = Haproxy::plain("timeout tarpit 10m\nhttp-request tarpit", "").await?;
    let mut client = rig.client().await?;
    let request = json!({"url": haproxy.url("/"), "timeouts": {"total": "400ms"}});
    let error = client.refused("timed-out", request).await?;
    ensure!(error["phase"] == "total" && error["limit_ms"] == 400, "{error}");
    client.until_host("no connection", |host| host["live"] == 0).await?;
    Ok(())
}

async fn a_body_that_drips_is_ended_by_the_deadline(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain("limit_rate 1k;").await?;
    std::fs::write(nginx.file("slow"), "x".repeat(60_000))?;
    let mut client = rig.client().await?;
    let request = json!({"url": nginx.url("/slow"), "timeouts": {"total": "500ms"}});
    let error = client.refused("timed-out", request).await?;
    ensure!(error["phase"] == "total" && error["limit_ms"] == 500, "{error}");
    ensure!(error["elapsed_ms"].as_u64().is_some_and(|elapsed| (500..1_500).contains(&elapsed)), "{error}");
    client.until_host("no connection", |host| host["live"] == 0).await?;
    Ok(())
}

async fn a_download_that_is_given_up_costs_its_connection_alone(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain("").await?;
    write_large(&nginx.file("large"), 16)?;
    std::fs::write(nginx.file("small"), "small")?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1, "preload": null})).await?;
    for _ in 0..3 {
        client.ok(json!({"op": "send", "url": nginx.url("/large"), "as": "large"})).await?;
        client.ok(json!({"op": "read", "handle": "large", "max": 1000})).await?;
        client.ok(json!({"op": "drop", "handle": "large"})).await?;
        let small = client.get(nginx.url("/small")).await?;
        ensure!(small["body"] == "small" && history(&small).is_empty(), "{small}");
    }
    client.until_host("one idle connection", |host| host["live"] == 1 && host["idle"] == 1).await?;
    let seen = nginx.seen(6).await?;
    ensure!(seen.per_connection() == [1, 2, 2, 1], "{seen:?}");
    Ok(())
}

async fn a_backend_of_one_request_a_connection_does_not_cost_ours(rig: &Rig) -> Result<()> {
    let (haproxy, nginx) = before_nginx("option http-server-close").await?;
    let mut client = rig.client().await?;
    for _ in 0..5 {
        ensure!(client.get(haproxy.url("/")).await?["body"] == "hello\n");
    }
    ensure!(connections(&haproxy.seen(5).await?).len() == 1);
    ensure!(nginx.seen(5).await?.per_connection() == [1; 5]);
    Ok(())
}

async fn a_proxy_that_closes_each_connection_is_believed(rig: &Rig) -> Result<()> {
    let (haproxy, nginx) = before_nginx("option httpclose").await?;
    let mut client = rig.client().await?;
    for method in ["GET", "POST", "GET", "POST", "PUT"] {
        let answer = client.send(json!({"method": method, "url": haproxy.url("/")})).await?;
        ensure!(answer["body"] == "hello\n" && history(&answer).is_empty(), "{answer}");
    }
    ensure!(connections(&haproxy.seen(5).await?).len() == 5);
    ensure!(nginx.seen(5).await?.per_connection() == [1; 5]);
    let host = client.host().await?;
    ensure!(host["resent"] == 0 && host["discarded"]["connection-close"] == 5, "{host}");
    Ok(())
}

async fn before_nginx(option: &str) -> Result<(Haproxy, Nginx)> {
    let nginx = Nginx::plain(r#"location / { return 200 "hello\n"; }"#).await?;
    let backend = format!("backend nginx\n{option}\nserver s 127.0.0.1:{}", nginx.port());
    let haproxy = Haproxy::plain(&format!("{option}\ndefault_backend nginx"), &backend).await?;
    Ok((haproxy, nginx))
}
