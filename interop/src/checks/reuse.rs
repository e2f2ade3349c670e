//! How long connections are kept, as nginx counts them.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use urlpool_conformance::Rig;
use urlpool_conformance::client::history;
use urlpool_host::Host;

use crate::check::checks;
use crate::need::Need;
use crate::nginx::{Nginx, Setup};

checks! { "reuse";
    [Need::Nginx] a_connection_serves_as_many_requests_as_nginx_allows;
    [Need::Nginx] nothing_is_lost_when_many_share_connections_of_two_requests;
    [Need::Nginx] posts_that_nginx_answers_by_their_heads_share_a_connection;
    [Need::Nginx] nginx_never_counts_more_connections_than_the_cap;
    [Need::Nginx] many_instances_share_the_cap_of_one_host;
    [Need::Nginx] a_connection_is_not_used_beyond_the_time_that_nginx_announced;
    [Need::Nginx] a_connection_that_nginx_closed_while_idle_is_not_used;
    [Need::Nginx] a_get_on_a_connection_that_nginx_closes_under_it_is_repaired_unseen;
    [Need::Nginx] a_put_on_a_connection_that_nginx_closes_under_it_is_repaired_with_its_body;
    [Need::Nginx] a_post_on_a_connection_that_nginx_closes_under_it_is_sent_once;
    [Need::Nginx] a_get_on_a_connection_that_nginx_resets_is_repaired_unseen;
    [Need::Nginx] a_post_on_a_connection_that_nginx_resets_is_sent_once;
    [Need::Nginx] requests_at_the_moment_of_an_idle_close_are_not_lost_and_posts_not_doubled;
}

const HELLO: &str = r#"location / { return 200 "hello\n"; }"#;

/// Closes without an answer whatever is not the first request on its connection.
const ONCE: Setup = Setup {
    http: "map $connection_requests $stale { 1 0; default 1; }",
    server: r#"location / { return 200 "hello\n"; } location /once { if ($stale) { return 444; } return 200 "fresh\n"; }
        location /file { if ($stale) { return 444; } dav_methods PUT; }"#,
    identity: None,
    http2: false,
    files: &[],
};

/// What is closed without an answer is closed by a reset.
const RESETS: &str = "map $connection_requests $stale { 1 0; default 1; } reset_timedout_connection on;";

async fn a_connection_serves_as_many_requests_as_nginx_allows(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(&format!("keepalive_requests 2; {HELLO}")).await?;
    let mut client = rig.client().await?;
    for number in 0..6 {
        let answer = client.get(nginx.url(&format!("/{number}"))).await?;
        ensure!(answer["status"] == 200 && answer["body"] == "hello\n", "{answer}");
        ensure!(history(&answer).is_empty(), "{answer}");
    }
    let per_connection = nginx.seen(6).await?.per_connection();
    ensure!(per_connection == [2, 2, 2], "{per_connection:?}");
    let host = client.host().await?;
    ensure!(host["opened"] == 3 && host["reused"] == 3 && host["resent"] == 0, "{host}");
    Ok(())
}

async fn nothing_is_lost_when_many_share_connections_of_two_requests(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(&format!("keepalive_requests 2; {HELLO}")).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 8})).await?;
    let requests = (0..64).map(|number| json!({"url": nginx.url(&format!("/{number}"))})).collect();
    let answers = client.send_all(requests).await?;
    ensure!(answers.len() == 64);
    for answer in &answers {
        ensure!(answer["status"] == 200 && answer["body"] == "hello\n" && history(answer).is_empty(), "{answer}");
    }
    let seen = nginx.seen(64).await?;
    for number in 0..64 {
        ensure!(seen.count(&format!("/{number}")) == 1, "request {number}: {seen:?}");
    }
    let per_connection = seen.per_connection();
    ensure!(per_connection.iter().all(|requests| *requests <= 2), "{per_connection:?}");
    // Each of the 8 slots can end with a connection that had one more request to give.
    ensure!((32..=36).contains(&per_connection.len()), "{} connections", per_connection.len());
    ensure!(seen.0.iter().all(|line| line.active <= 8), "{seen:?}");
    Ok(())
}

/// It discards a body that is there by then; what is sent with its head is.
async fn posts_that_nginx_answers_by_their_heads_share_a_connection(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(HELLO).await?;
    let mut client = rig.client().await?;
    for _ in 0..50 {
        let answer = client.send(json!({"method": "POST", "url": nginx.url("/"), "body": "four"})).await?;
        ensure!(answer["body"] == "hello\n" && history(&answer).is_empty(), "{answer}");
    }
    let seen = nginx.seen(50).await?;
    ensure!(seen.per_connection() == [50], "{:?}, {}", seen.per_connection(), client.host().await?);
    Ok(())
}

async fn nginx_never_counts_more_connections_than_the_cap(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(HELLO).await?;
    let mut client = rig.client_with(|host| host.connections_per_origin(4)).await?;
    client.open(json!({"slots": 32})).await?;
    let answers = client.send_all(vec![json!({"url": nginx.url("/")}); 200]).await?;
    ensure!(answers.iter().all(|answer| answer["status"] == 200));
    let seen = nginx.seen(200).await?;
    ensure!(seen.per_connection().len() == 4, "{:?}", seen.per_connection());
    ensure!(seen.0.iter().all(|line| line.active <= 4), "{seen:?}");
    Ok(())
}

async fn many_instances_share_the_cap_of_one_host(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(&format!("keepalive_requests 50; {HELLO}")).await?;
    let host = Host::builder().connections_per_origin(3).build()?;
    let instances = (0..16).map(|_| async {
        let mut client = rig.client_of(&host).await?;
        let answers = client.send_all(vec![json!({"url": nginx.url("/")}); 10]).await?;
        ensure!(answers.iter().all(|answer| answer["status"] == 200 && history(answer).is_empty()), "{answers:?}");
        Ok(())
    });
    futures::future::try_join_all(instances).await?;
    let seen = nginx.seen(160).await?;
    ensure!(seen.0.iter().all(|line| line.active <= 3), "{seen:?}");
    ensure!(seen.per_connection().iter().all(|requests| *requests <= 50));
    ensure!(host.stats().opened == seen.per_connection().len() as u64, "{:?}", host.stats());
    Ok(())
}

/// nginx itself would wait for 30 s, so only its header can be the reason.
async fn a_connection_is_not_used_beyond_the_time_that_nginx_announced(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(&format!("keepalive_timeout 30s 1s; {HELLO}")).await?;
    let mut client = rig.client().await?;
    client.get(nginx.url("/")).await?;
    client.get(nginx.url("/")).await?;
    client.ok(json!({"op": "sleep", "for": "1100ms"})).await?;
    client.get(nginx.url("/")).await?;
    let per_connection = nginx.seen(3).await?.per_connection();
    ensure!(per_connection == [2, 1], "{per_connection:?}");
    Ok(())
}

async fn a_connection_that_nginx_closed_while_idle_is_not_used(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(&format!("keepalive_timeout 100ms; {HELLO}")).await?;
    let mut client = rig.client().await?;
    for method in ["GET", "POST", "PUT", "POST"] {
        client.until_host("no connection", |host| host["live"] == 0).await?;
        let answer = client.send(json!({"method": method, "url": nginx.url("/"), "body": "four"})).await?;
        ensure!(answer["status"] == 200 && history(&answer).is_empty(), "{answer}");
    }
    let seen = nginx.seen(4).await?;
    ensure!(seen.per_connection() == [1, 1, 1, 1], "{seen:?}");
    let mut answers = seen.answers();
    answers.sort_unstable();
    ensure!(answers == ["GET 200", "POST 200", "POST 200", "PUT 200"], "{seen:?}");
    ensure!(client.host().await?["resent"] == 0);
    Ok(())
}

async fn a_get_on_a_connection_that_nginx_closes_under_it_is_repaired_unseen(rig: &Rig) -> Result<()> {
    let nginx = Nginx::start(ONCE).await?;
    let mut client = rig.client().await?;
    client.get(nginx.url("/")).await?;
    let answer = client.get(nginx.url("/once")).await?;
    ensure!(answer["body"] == "fresh\n" && history(&answer).is_empty(), "{answer}");
    let seen = nginx.seen(3).await?;
    ensure!(seen.answers() == ["GET 200", "GET 444", "GET 200"], "{seen:?}");
    ensure!(seen.per_connection() == [2, 1], "{seen:?}");
    ensure!(client.host().await?["resent"] == 1);
    Ok(())
}

async fn a_get_on_a_connection_that_nginx_resets_is_repaired_unseen(rig: &Rig) -> Result<()> {
    let nginx = Nginx::start(Setup { http: RESETS, ..ONCE }).await?;
    let mut client = rig.client().await?;
    client.get(nginx.url("/")).await?;
    let answer = client.get(nginx.url("/once")).await?;
    ensure!(answer["body"] == "fresh\n" && history(&answer).is_empty(), "{answer}");
    let seen = nginx.seen(3).await?;
    ensure!(seen.answers() == ["GET 200", "GET 444", "GET 200"], "{seen:?}");
    ensure!(client.host().await?["resent"] == 1);
    Ok(())
}

async fn a_post_on_a_connection_that_nginx_resets_is_sent_once(rig: &Rig) -> Result<()> {
    let nginx = Nginx::start(Setup { http: RESETS, ..ONCE }).await?;
    let mut client = rig.client().await?;
    client.get(nginx.url("/")).await?;
    let request = json!({"op": "send", "method": "POST", "url": nginx.url("/once"), "body": "pay"});
    let answer = client.op(request).await;
    ensure!(answer["error"]["code"] == "connection-terminated", "{answer}");
    client.get(nginx.url("/end")).await?;
    let seen = nginx.seen(3).await?;
    ensure!(seen.answers() == ["GET 200", "POST 444", "GET 200"], "{seen:?}");
    Ok(())
}

async fn a_put_on_a_connection_that_nginx_closes_under_it_is_repaired_with_its_body(rig: &Rig) -> Result<()> {
    let nginx = Nginx::start(ONCE).await?;
    let mut client = rig.client().await?;
    client.get(nginx.url("/")).await?;
    let body = "x".repeat(30_000);
    let answer = client.send(json!({"method": "PUT", "url": nginx.url("/file"), "body": body})).await?;
    ensure!(answer["status"] == 201 && history(&answer).is_empty(), "{answer}");
    ensure!(std::fs::read_to_string(nginx.file("file"))? == body);
    let seen = nginx.seen(3).await?;
    ensure!(seen.answers() == ["GET 200", "PUT 444", "PUT 201"], "{seen:?}");
    ensure!(client.host().await?["resent"] == 1);
    Ok(())
}

async fn a_post_on_a_connection_that_nginx_closes_under_it_is_sent_once(rig: &Rig) -> Result<()> {
    let nginx = Nginx::start(ONCE).await?;
    let mut client = rig.client().await?;
    client.get(nginx.url("/")).await?;
    let request = json!({"op": "send", "method": "POST", "url": nginx.url("/once"), "body": "pay"});
    let answer = client.op(request).await;
    ensure!(answer["ok"] == false, "{answer}");
    ensure!(answer["error"]["code"] == "connection-terminated", "{answer}");
    // A further request shows that nothing is under way any more.
    client.get(nginx.url("/end")).await?;
    let seen = nginx.seen(3).await?;
    ensure!(seen.answers() == ["GET 200", "POST 444", "GET 200"], "{seen:?}");
    Ok(())
}

async fn requests_at_the_moment_of_an_idle_close_are_not_lost_and_posts_not_doubled(rig: &Rig) -> Result<()> {
    let nginx = Nginx::plain(&format!("keepalive_timeout 20ms; {HELLO}")).await?;
    let mut client = rig.client().await?;
    let mut answered = 0;
    for number in 0..120_u64 {
        // From a little before to a little after.
        let pause = Duration::from_micros(18_000 + number % 40 * 100);
        client.ok(json!({"op": "sleep", "for": pause.as_secs_f64()})).await?;
        let post = number % 3 == 0;
        let request = json!({
            "op": "send", "method": if post { "POST" } else { "GET" }, "url": nginx.url(&format!("/{number}")),
        });
        let answer = client.op(request).await;
        // A POST may meet the end of its connection, and is then reported rather than repeated.
        let lost = post && answer["error"]["code"] == "connection-terminated";
        ensure!(answer["ok"] == true || lost, "{answer}");
        ensure!(post || answer["history"] == Value::Array(Vec::new()), "{answer}");
        answered += usize::from(answer["ok"] == true);
    }
    let seen = nginx.seen(answered).await?;
    for number in 0..120 {
        let count = seen.count(&format!("/{number}"));
        ensure!(count <= 1 && (count == 1 || number % 3 == 0), "request {number} came {count} times");
    }
    Ok(())
}
