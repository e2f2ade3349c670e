//! When a request goes out again, how often, and after how long.
//!
//! Longer than most files: the twenty cases of urllib3's own suite stand side by side.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::case::{cases, same, stock};
use crate::client::{Client, delays, history};
use crate::ports::Refused;
use crate::reply::{Reply, ok, raw, redirect, reset, stall, status};
use crate::rig::Rig;
use crate::server::Server;

cases! { "retry";
    "R1" a_listed_status_is_retried_until_it_is_good;
    "R2" at_the_limit_the_policy_chooses_failure_or_delivery;
    "R3" never_gives_the_first_outcome_as_it_is;
    "R4" a_limit_of_zero_fails_on_the_first_failure;
    "R5" the_limit_for_connecting_holds;
    "R6" the_total_wins_over_the_limit_for_connecting;
    "R7" a_read_limit_of_zero_makes_one_attempt;
    "R8" a_post_that_timed_out_is_not_sent_twice;
    "R9" a_post_that_was_refused_a_connection_is_repeated;
    "R10" a_post_is_retried_on_a_status_only_when_its_method_is_listed;
    "R11" retry_after_in_seconds_is_waited_out;
    "R12" retry_after_takes_all_three_forms_of_dates;
    "R13" retry_after_of_zero_or_in_the_past_is_no_wait;
    "R14" a_malformed_retry_after_is_ignored;
    "R15" a_retry_after_beyond_its_ceiling_is_not_begun;
    "R15b" a_retry_after_of_a_minute_is_the_default_ceiling;
    "R16" retry_after_can_be_ignored;
    "R17" retry_after_on_other_statuses_means_nothing;
    "R18" retry_after_delays_a_redirect;
    "R19" backoff_doubles_up_to_its_ceiling;
    "R20" jitter_stays_in_its_bounds_and_follows_the_seed;
    "R21" backoff_begins_anew_after_a_redirect;
    "R23" statuses_are_not_retried_by_default;
    "R24" statuses_about_the_connection_are_retried_by_list;
    "R26" a_listed_408_is_retried_within_the_limits;
    "R27" a_body_is_sent_again_from_its_start;
    "R28" a_stream_is_sent_again_from_its_replay_buffer;
    "R30" a_stream_that_nobody_read_may_follow_a_refused_connection;
    "R31" a_stream_beyond_the_replay_buffer_is_not_sent_again;
    "R32" a_retried_chunked_body_stays_chunked;
    "R33" a_failed_attempt_is_drained_and_its_connection_reused, not on stock: stock::KEEPS_NONE;
    "R34" a_drain_that_fails_keeps_no_slot;
    "R35" the_history_tells_what_each_attempt_came_to;
    "R36" dropping_a_call_ends_its_backoff;
    "R37" the_total_limit_is_not_slept_past;
    "R38" each_attempt_has_its_own_limits;
    "R40" malformed_requests_are_not_retried;
    "R41" a_cut_body_is_retried_while_it_is_preloaded;
    "R41b" a_cut_body_is_an_error_of_the_reader_once_delivered;
    "R50" the_message_names_the_url_and_what_happened;
}

/// What a delay may take longer than asked for, on a busy machine.
const SLACK: Duration = Duration::from_millis(500);

async fn a_listed_status_is_retried_until_it_is_good(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503), status(503), ok("good")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": {"limit": 2, "statuses": [503], "backoff": "1ms"}})).await?;
    let answer = client.get(server.url("/")).await?;
    same!(answer["status"], 200);
    same!(answer["body"], "good");
    same!(answer["attempts"], 3);
    same!(history(&answer), ["retry 503", "retry 503"]);
    same!(server.arrivals(), 3);
    Ok(())
}

async fn at_the_limit_the_policy_chooses_failure_or_delivery(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503).body("busy")]).await?;
    let mut client = rig.client().await?;
    let retry = |at_limit: &str| json!({"limit": 1, "statuses": [503], "at_limit": at_limit});
    let error = client.refused("retries-exhausted", json!({"url": server.url("/"), "retry": retry("fail")})).await?;
    same!(error["status"], 503);
    same!(history(&error), ["retry 503"]);
    same!(server.arrivals(), 2);
    let answer = client.send(json!({"url": server.url("/"), "retry": retry("deliver")})).await?;
    same!(answer["status"], 503);
    same!(answer["body"], "busy");
    same!(history(&answer), ["retry 503"]);
    ensure!(answer["not_retried_because"].is_string(), "no reason given: {answer}");
    Ok(())
}

async fn never_gives_the_first_outcome_as_it_is(rig: &Rig) -> Result<()> {
    let server = Server::routes([
        ("/busy", vec![status(503).header("Retry-After", "0")]),
        // After its first bytes, so that the host does not take the connection for a stale one.
        ("/reset", vec![raw("HTTP/1.1 200 OK").reset()]),
        ("/moved", vec![redirect(302, "/busy")]),
    ])
    .await?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": "never", "redirect": "never"})).await?;
    same!(client.get(server.url("/busy")).await?["status"], 503);
    same!(client.get(server.url("/moved")).await?["status"], 302);
    let error = client.refused(rig.told("interrupted"), json!({"url": server.url("/reset")})).await?;
    same!(history(&error), [""; 0]);
    for path in ["/busy", "/reset", "/moved"] {
        same!(server.log().count(path), 1);
    }
    Ok(())
}

async fn a_limit_of_zero_fails_on_the_first_failure(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503)]).await?;
    let port = Refused::bind()?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": {"limit": 0, "statuses": [503], "at_limit": "fail"}})).await?;
    let error = client.refused("connect", json!({"url": port.url("/")})).await?;
    same!(history(&error), [""; 0]);
    let error = client.refused("retries-exhausted", json!({"url": server.url("/")})).await?;
    same!(error["status"], 503);
    same!(server.arrivals(), 1);
    Ok(())
}

async fn the_limit_for_connecting_holds(rig: &Rig) -> Result<()> {
    let port = Refused::bind()?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": {"limit": 5, "connect": 1}})).await?;
    let error = client.refused("connect", json!({"url": port.url("/")})).await?;
    same!(error["code"], "connection-refused");
    same!(history(&error), ["retry connection-refused"]);
    same!(client.pool().await?["attempts"], 2);
    Ok(())
}

async fn the_total_wins_over_the_limit_for_connecting(rig: &Rig) -> Result<()> {
    let port = Refused::bind()?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": {"limit": 1, "connect": 5}})).await?;
    let error = client.refused("connect", json!({"url": port.url("/")})).await?;
    same!(history(&error).len(), 1);
    same!(client.pool().await?["attempts"], 2);
    Ok(())
}

async fn a_read_limit_of_zero_makes_one_attempt(rig: &Rig) -> Result<()> {
    let server = Server::replies([raw("HTTP/1.1 200 OK\r\nContent-").reset(), ok("")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": {"read": 0}})).await?;
    let error = client.refused(rig.told("interrupted"), json!({"url": server.url("/")})).await?;
    same!(history(&error), [""; 0]);
    same!(server.arrivals(), 1);
    Ok(())
}

async fn a_post_that_timed_out_is_not_sent_twice(rig: &Rig) -> Result<()> {
    let server = Server::replies([stall(), ok("")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"timeouts": {"first_byte": "100ms"}})).await?;
    let error = client.refused("timed-out", json!({"method": "POST", "url": server.url("/"), "body": "x"})).await?;
    same!(error["phase"], "first-byte");
    same!(server.arrivals(), 1);
    Ok(())
}

async fn a_post_that_was_refused_a_connection_is_repeated(rig: &Rig) -> Result<()> {
    let port = Refused::bind()?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": {"limit": 6, "backoff": "100ms", "jitter": "none"}})).await?;
    client.start("post", json!({"method": "POST", "url": port.url("/"), "body": "once"})).await?;
    // The first retry does not wait, the second waits 200 ms: time enough to begin to listen.
    until_history(&mut client, "post", 2).await?;
    let told = client.ok(json!({"op": "history", "handle": "post"})).await?;
    same!(history(&told)[..2], ["retry connection-refused", "retry connection-refused"]);
    let server = Server::listening(port.listen()?, None, |_| ok("at last"))?;
    same!(client.finish("post").await?["body"], "at last");
    same!(server.arrivals(), 1);
    same!(server.request(0)?.text(), "once");
    Ok(())
}

async fn a_post_is_retried_on_a_status_only_when_its_method_is_listed(rig: &Rig) -> Result<()> {
    let server = Server::routes([
        ("/default", vec![status(503), ok("")]),
        ("/any", vec![status(503), ok("good")]),
        ("/post", vec![status(503), ok("good")]),
    ])
    .await?;
    let mut client = rig.client().await?;
    let post =
        |path: &str, retry: Value| json!({"method": "POST", "url": server.url(path), "body": "x", "retry": retry});
    let answer = client.send(post("/default", json!({"statuses": [503]}))).await?;
    same!(answer["status"], 503);
    ensure!(answer["not_retried_because"].is_string(), "no reason given: {answer}");
    same!(client.send(post("/any", json!({"statuses": [503], "methods": null}))).await?["body"], "good");
    same!(client.send(post("/post", json!({"statuses": [503], "methods": ["POST"]}))).await?["body"], "good");
    same!(server.log().count("/default"), 1);
    same!(server.log().count("/any"), 2);
    same!(server.log().count("/post"), 2);
    Ok(())
}

async fn retry_after_in_seconds_is_waited_out(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(429).header("Retry-After", "1"), ok("good")]).await?;
    let mut client = rig.client().await?;
    let answer = client.get(server.url("/")).await?;
    same!(answer["body"], "good");
    same!(delays(&answer), [1000.0]);
    let gap = server.log().gap(0, 1)?;
    ensure!(gap >= Duration::from_secs(1) && gap < Duration::from_millis(1600), "waited {gap:?}");
    Ok(())
}

async fn retry_after_takes_all_three_forms_of_dates(rig: &Rig) -> Result<()> {
    let mut answered = HashSet::new();
    let server = Server::answering(move |request| {
        if !answered.insert(request.target.clone()) {
            return ok("good");
        }
        // Whole seconds, rounded down: the wait is between one and two seconds.
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
        status(503).header("Retry-After", dated(request.path(), &date))
    })
    .await?;
    let mut client = rig.client().await?;
    let paths = ["/imf", "/rfc850", "/asctime"];
    let answers = client.send_all(paths.iter().map(|path| json!({"url": server.url(path)})).collect()).await?;
    for (path, answer) in paths.iter().zip(&answers) {
        same!(answer["status"], 200, path);
        let waited = delays(answer);
        ensure!(waited.len() == 1 && waited[0] > 800.0 && waited[0] <= 2000.0, "{path}: waited {waited:?}");
    }
    Ok(())
}

/// `date`, an IMF date such as `Sun, 06 Nov 1994 08:49:37 GMT`, in the form that the path names.
fn dated(path: &str, date: &str) -> String {
    let words: Vec<_> = date.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let [weekday, day, month, year, time, zone] = words[..] else { return date.to_owned() };
    let long = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let long = long.into_iter().find(|long| long.starts_with(weekday)).unwrap_or(weekday);
    match path {
        "/rfc850" => format!("{long}, {day}-{month}-{} {time} {zone}", &year[2..]),
        "/asctime" => format!("{weekday} {month} {:>2} {time} {year}", day.trim_start_matches('0')),
        _ => date.to_owned(),
    }
}

async fn retry_after_of_zero_or_in_the_past_is_no_wait(rig: &Rig) -> Result<()> {
    for value in ["0", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let server = Server::replies([status(503).header("Retry-After", value), ok("good")]).await?;
        let mut client = rig.client().await?;
        let answer = client.get(server.url("/")).await?;
        same!(answer["body"], "good");
        same!(delays(&answer), [0.0], value);
        let gap = server.log().gap(0, 1)?;
        ensure!(gap < SLACK, "{value}: waited {gap:?}");
    }
    Ok(())
}

async fn a_malformed_retry_after_is_ignored(rig: &Rig) -> Result<()> {
    for value in ["soon", "-5", "+5", "1.5", "", "Sun, 06 Nov 1994"] {
        let server = Server::routes([
            ("/unlisted", vec![status(503).header("Retry-After", value), ok("")]),
            ("/listed", vec![status(503).header("Retry-After", value), ok("good")]),
        ])
        .await?;
        let mut client = rig.client().await?;
        same!(client.get(server.url("/unlisted")).await?["status"], 503, value);
        let listed = json!({"url": server.url("/listed"), "retry": {"statuses": [503]}});
        let answer = client.send(listed).await?;
        same!(answer["body"], "good", value);
        // The backoff instead, and the first retry does not wait.
        same!(delays(&answer), [0.0], value);
        same!(server.log().count("/unlisted"), 1, value);
    }
    Ok(())
}

async fn a_retry_after_beyond_its_ceiling_is_not_begun(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503).header("Retry-After", "9999").body("later")]).await?;
    let mut client = rig.client().await?;
    for retry in [json!({}), json!({"retry_after": "2s", "statuses": [503]})] {
        let answer = client.send(json!({"url": server.url("/"), "retry": retry})).await?;
        same!(answer["status"], 503);
        same!(answer["body"], "later");
        ensure!(answer["not_retried_because"].is_string(), "no reason given: {answer}");
        ensure!(answer["elapsed_ms"].as_f64().is_some_and(|took| took < 1000.0), "slept: {answer}");
    }
    same!(server.arrivals(), 2);
    Ok(())
}

async fn a_retry_after_of_a_minute_is_the_default_ceiling(rig: &Rig) -> Result<()> {
    let busy = |seconds: &str| status(503).header("Retry-After", seconds);
    let server = Server::routes([("/60", vec![busy("60")]), ("/61", vec![busy("61")])]).await?;
    let mut client = rig.client().await?;
    same!(client.get(server.url("/61")).await?["status"], 503);
    client.start("a", json!({"url": server.url("/60")})).await?;
    until_history(&mut client, "a", 1).await?;
    same!(delays(&client.ok(json!({"op": "history", "handle": "a"})).await?), [60_000.0]);
    client.ok(json!({"op": "drop", "handle": "a"})).await.map(drop)
}

async fn retry_after_can_be_ignored(rig: &Rig) -> Result<()> {
    let busy = || status(503).header("Retry-After", "2");
    let server = Server::routes([("/unlisted", vec![busy(), ok("")]), ("/listed", vec![busy(), ok("good")])]).await?;
    let mut client = rig.client().await?;
    let unlisted = json!({"url": server.url("/unlisted"), "retry": {"retry_after": null}});
    same!(client.send(unlisted).await?["status"], 503);
    let listed = json!({"url": server.url("/listed"), "retry": {"retry_after": null, "statuses": [503]}});
    let answer = client.send(listed).await?;
    same!(answer["body"], "good");
    same!(delays(&answer), [0.0]);
    same!(server.log().count("/unlisted"), 1);
    Ok(())
}

async fn retry_after_on_other_statuses_means_nothing(rig: &Rig) -> Result<()> {
    for code in [200, 404, 500] {
        let server = Server::replies([status(code).header("Retry-After", "1"), ok("")]).await?;
        let mut client = rig.client().await?;
        same!(client.get(server.url("/")).await?["status"], code);
        same!(server.arrivals(), 1);
    }
    Ok(())
}

async fn retry_after_delays_a_redirect(rig: &Rig) -> Result<()> {
    let server = Server::replies([redirect(301, "/next").header("Retry-After", "1"), ok("there")]).await?;
    let mut client = rig.client().await?;
    let answer = client.get(server.url("/")).await?;
    same!(answer["body"], "there");
    same!(history(&answer), ["redirect 301"]);
    let gap = server.log().gap(0, 1)?;
    ensure!(gap >= Duration::from_secs(1) && gap < Duration::from_millis(1600), "waited {gap:?}");
    Ok(())
}

async fn backoff_doubles_up_to_its_ceiling(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503)]).await?;
    let mut client = rig.client().await?;
    let rules = |ceiling: &str| {
        let retry = json!({"limit": 4, "statuses": [503], "backoff": "50ms", "ceiling": ceiling, "jitter": "none"});
        json!({"url": server.url("/"), "retry": retry})
    };
    same!(delays(&client.send(rules("10s")).await?), [0.0, 100.0, 200.0, 400.0]);
    let log = server.log();
    for (attempt, delay) in [0, 100, 200, 400].into_iter().enumerate() {
        let gap = log.gap(attempt, attempt + 1)?;
        ensure!(gap >= Duration::from_millis(delay), "attempt {attempt} came after {gap:?}, not {delay} ms");
        ensure!(gap < Duration::from_millis(delay) + SLACK, "attempt {attempt} came after {gap:?}");
    }
    same!(delays(&client.send(rules("150ms")).await?), [0.0, 100.0, 150.0, 150.0]);
    Ok(())
}

async fn jitter_stays_in_its_bounds_and_follows_the_seed(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503)]).await?;
    let drawn = async |jitter: Value, seed: u64| -> Result<Vec<f64>> {
        let mut client = rig.client().await?;
        let retry = json!({"limit": 5, "statuses": [503], "backoff": "4ms", "jitter": jitter});
        client.open(json!({"retry": retry, "seed": seed})).await?;
        Ok(delays(&client.get(server.url("/")).await?))
    };
    let plain = [0.0, 8.0, 16.0, 32.0, 64.0];
    let full = drawn(json!("full"), 1).await?;
    let additive = drawn(json!({"additive": "5ms"}), 1).await?;
    let decorrelated = drawn(json!("decorrelated"), 1).await?;
    for (nth, delay) in plain.into_iter().enumerate() {
        ensure!((0.0..=delay).contains(&full[nth]), "full: {full:?}");
        let most = if nth == 0 { 0.0 } else { delay + 5.0 };
        ensure!((delay..=most).contains(&additive[nth]), "additive: {additive:?}");
    }
    same!(decorrelated[0], 0.0);
    for pair in decorrelated.windows(2).skip(1) {
        ensure!(pair[1] >= 4.0 && pair[1] <= (3.0 * pair[0]).max(4.0), "decorrelated: {decorrelated:?}");
    }
    same!(drawn(json!("full"), 1).await?, full);
    ensure!(drawn(json!("full"), 2).await? != full, "the seed changes nothing");
    Ok(())
}

async fn backoff_begins_anew_after_a_redirect(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503), status(503), redirect(302, "/next"), status(503), ok("good")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": {"limit": 5, "statuses": [503], "backoff": "50ms", "jitter": "none"}})).await?;
    let answer = client.get(server.url("/")).await?;
    same!(history(&answer), ["retry 503", "retry 503", "redirect 302", "retry 503"]);
    same!(delays(&answer), [0.0, 100.0, 0.0, 0.0]);
    Ok(())
}

async fn statuses_are_not_retried_by_default(rig: &Rig) -> Result<()> {
    for code in [408, 413, 421, 425, 429, 500, 501, 502, 503, 504, 505] {
        let server = Server::replies([status(code), ok("")]).await?;
        let answer = rig.client().await?.get(server.url("/")).await?;
        same!(answer["status"], code);
        same!(server.arrivals(), 1);
    }
    Ok(())
}

async fn statuses_about_the_connection_are_retried_by_list(rig: &Rig) -> Result<()> {
    for code in [408, 421, 425] {
        let server = Server::replies([status(code).close(), ok("good")]).await?;
        let retry = json!({"statuses": [code], "backoff": "1ms"});
        let answer = rig.client().await?.send(json!({"url": server.url("/"), "retry": retry})).await?;
        same!(answer["body"], "good", code);
        same!(history(&answer), [format!("retry {code}")], code);
    }
    Ok(())
}

async fn a_listed_408_is_retried_within_the_limits(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(408).header("Connection", "close").close()]).await?;
    let retry = json!({"statuses": [408], "limit": 4, "status": 2, "backoff": "1ms"});
    let answer = rig.client().await?.send(json!({"url": server.url("/"), "retry": retry})).await?;
    same!(answer["status"], 408);
    same!(history(&answer).len(), 2);
    same!(server.arrivals(), 3);
    Ok(())
}

async fn a_body_is_sent_again_from_its_start(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503).header("Retry-After", "0"), ok("good")]).await?;
    let mut client = rig.client().await?;
    let body = "0123456789".repeat(30_000);
    client.send(json!({"method": "PUT", "url": server.url("/"), "body": body})).await?;
    for attempt in 0..2 {
        let request = server.request(attempt)?;
        ensure!(request.body == body.as_bytes(), "attempt {attempt} had {} bytes", request.body.len());
        same!(request.header("content-length"), Some("300000"));
    }
    Ok(())
}

async fn a_stream_is_sent_again_from_its_replay_buffer(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503).header("Retry-After", "0"), ok("good")]).await?;
    let mut client = rig.client().await?;
    let stream = json!({"chunks": ["first ", "second ", "third"], "length": 18});
    let answer = client.send(json!({"method": "PUT", "url": server.url("/"), "body_stream": stream})).await?;
    same!(answer["body"], "good");
    for attempt in 0..2 {
        same!(server.request(attempt)?.text(), "first second third");
    }
    Ok(())
}

async fn a_stream_that_nobody_read_may_follow_a_refused_connection(rig: &Rig) -> Result<()> {
    let port = Refused::bind()?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": {"limit": 6, "backoff": "100ms", "jitter": "none"}})).await?;
    let stream = json!({"chunks": ["streamed"], "length": 8});
    client.start("put", json!({"method": "PUT", "url": port.url("/"), "body_stream": stream})).await?;
    until_history(&mut client, "put", 2).await?;
    let server = Server::listening(port.listen()?, None, |_| ok("at last"))?;
    same!(client.finish("put").await?["body"], "at last");
    same!(server.request(0)?.text(), "streamed");
    Ok(())
}

async fn a_stream_beyond_the_replay_buffer_is_not_sent_again(rig: &Rig) -> Result<()> {
    let chunk = "x".repeat(256 * 1024);
    let stream = || json!({"chunks": vec![chunk.clone(); 6], "length": chunk.len() * 6});
    let server = Server::routes([
        ("/busy", vec![status(503).header("Retry-After", "0").body("busy"), ok("")]),
        ("/reset", vec![reset(), ok("")]),
    ])
    .await?;
    let mut client = rig.client().await?;
    let put = |path: &str| json!({"method": "PUT", "url": server.url(path), "body_stream": stream()});
    let answer = client.send(put("/busy")).await?;
    same!(answer["status"], 503);
    same!(answer["body"], "busy");
    ensure!(answer["not_retried_because"].is_string(), "no reason given: {answer}");
    client.refused("not-replayable", put("/reset")).await?;
    same!(server.log().count("/busy"), 1);
    same!(server.log().count("/reset"), 1);
    Ok(())
}

async fn a_retried_chunked_body_stays_chunked(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503).header("Retry-After", "0"), ok("good")]).await?;
    let mut client = rig.client().await?;
    let stream = json!({"chunks": ["a", "b"]});
    client.send(json!({"method": "PUT", "url": server.url("/"), "body_stream": stream})).await?;
    for attempt in 0..2 {
        let request = server.request(attempt)?;
        same!(request.header("transfer-encoding"), Some("chunked"));
        same!(request.header("content-length"), None);
        same!(request.text(), "ab");
    }
    Ok(())
}

async fn a_failed_attempt_is_drained_and_its_connection_reused(rig: &Rig) -> Result<()> {
    let busy = status(503).header("Retry-After", "0").body("x".repeat(10_000));
    let server = Server::replies([busy.clone(), busy, ok("good")]).await?;
    same!(rig.client().await?.get(server.url("/")).await?["body"], "good");
    same!(server.arrivals(), 3);
    same!(server.connections(), 1);
    Ok(())
}

async fn a_drain_that_fails_keeps_no_slot(rig: &Rig) -> Result<()> {
    let cut = raw("HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 100\r\n\r\nabc").reset();
    let server = Server::replies([cut, ok("good")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1})).await?;
    same!(client.get(server.url("/")).await?["body"], "good");
    same!(client.pool().await?["in_flight"], 0);
    Ok(())
}

async fn the_history_tells_what_each_attempt_came_to(rig: &Rig) -> Result<()> {
    let server = Server::replies([
        status(503).header("Retry-After", "0"),
        // After its first bytes, so that the host does not take the connection for a stale one.
        raw("HTTP/1.1 200 OK").reset(),
        redirect(302, "/next?q=1"),
        stall(),
        ok("good"),
    ])
    .await?;
    let mut client = rig.client().await?;
    client.open(json!({"timeouts": {"first_byte": "100ms"}, "retry": {"limit": 5, "backoff": "1ms"}})).await?;
    let answer = client.get(server.url("/first#part")).await?;
    same!(answer["body"], "good");
    let entries = answer["history"].as_array().context("a history")?;
    same!(entries.len(), 4);
    for entry in entries {
        same!(entry["method"], "GET");
        ensure!(entry["delay_ms"].is_number(), "no delay: {entry}");
    }
    same!(entries[0]["status"], 503);
    same!(entries[0]["error"], Value::Null);
    ensure!(entries[0]["url"].as_str().is_some_and(|url| url.starts_with(&server.url("/first"))), "{}", entries[0]);
    same!(entries[1]["status"], Value::Null);
    same!(history(&answer)[2..], ["redirect 302", "retry timed-out: first-byte"]);
    Ok(())
}

async fn dropping_a_call_ends_its_backoff(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503).header("Retry-After", "30"), ok("next")]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"slots": 1})).await?;
    client.start("a", json!({"url": server.url("/")})).await?;
    until_history(&mut client, "a", 1).await?;
    client.ok(json!({"op": "drop", "handle": "a"})).await?;
    same!(client.get(server.url("/")).await?["body"], "next");
    same!(client.pool().await?["in_flight"], 0);
    Ok(())
}

/// Moves a call on until so many of its attempts were followed by another.
async fn until_history(client: &mut Client, name: &str, entries: usize) -> Result<()> {
    loop {
        client.ok(json!({"op": "wait", "handles": [name], "timeout": "20ms"})).await?;
        let told = client.ok(json!({"op": "history", "handle": name})).await?;
        if history(&told).len() >= entries {
            return Ok(());
        }
    }
}

async fn the_total_limit_is_not_slept_past(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503).header("Retry-After", "1").body("busy")]).await?;
    let mut client = rig.client().await?;
    let answer = client.send(json!({"url": server.url("/"), "timeouts": {"total": "300ms"}})).await?;
    same!(answer["status"], 503);
    same!(answer["body"], "busy");
    ensure!(answer["not_retried_because"].is_string(), "no reason given: {answer}");
    ensure!(answer["elapsed_ms"].as_f64().is_some_and(|took| took < 250.0), "slept: {answer}");
    same!(server.arrivals(), 1);
    Ok(())
}

async fn each_attempt_has_its_own_limits(rig: &Rig) -> Result<()> {
    let server = Server::replies([stall()]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"timeouts": {"first_byte": "100ms"}, "retry": {"limit": 2, "backoff": "1ms"}})).await?;
    let error = client.refused("timed-out", json!({"url": server.url("/")})).await?;
    same!(history(&error), ["retry timed-out: first-byte"; 2]);
    same!(server.arrivals(), 3);
    ensure!(error["elapsed_ms"].as_f64().is_some_and(|took| (300.0..900.0).contains(&took)), "{error}");
    Ok(())
}

async fn malformed_requests_are_not_retried(rig: &Rig) -> Result<()> {
    let mut client = rig.client().await?;
    for url in ["a.test/x", "ftp://a.test/", "http://", "http://a.test:0/", "http://a.test:65536/", ""] {
        let error = client.refused("invalid-request", json!({"url": url})).await?;
        same!(history(&error), [""; 0], url);
    }
    same!(client.pool().await?["attempts"], 0);
    Ok(())
}

async fn a_cut_body_is_retried_while_it_is_preloaded(rig: &Rig) -> Result<()> {
    let cut = raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").close();
    let server = Server::replies([cut, ok("0123456789")]).await?;
    let answer = rig.client().await?.get(server.url("/")).await?;
    same!(answer["body"], "0123456789");
    same!(answer["attempts"], 2);
    same!(server.arrivals(), 2);
    Ok(())
}

async fn a_cut_body_is_an_error_of_the_reader_once_delivered(rig: &Rig) -> Result<()> {
    let cut: Reply = raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").close();
    let server = Server::replies([cut, ok("")]).await?;
    let mut client = rig.client().await?;
    client.send(json!({"url": server.url("/"), "preload": null, "as": "r"})).await?;
    let answer = client.fails("interrupted", json!({"op": "read-all", "handle": "r", "limit": 100})).await?;
    same!(answer["error"]["expected_bytes"], 10);
    same!(answer["error"]["received_bytes"], 3);
    client.fails("interrupted", json!({"op": "read", "handle": "r", "max": 1})).await?;
    same!(server.arrivals(), 1);
    Ok(())
}

async fn the_message_names_the_url_and_what_happened(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503)]).await?;
    let mut client = rig.client().await?;
    client.open(json!({"retry": {"limit": 1, "statuses": [503], "at_limit": "fail"}})).await?;
    let url = format!("http://user:secret@127.0.0.1:{}/path", server.port());
    let error = client.refused("retries-exhausted", json!({"url": url})).await?;
    let message = error["message"].as_str().context("a message")?;
    ensure!(message.contains(&server.url("/path")), "no URL: {message}");
    ensure!(message.contains("503"), "no status: {message}");
    ensure!(!message.contains('\n'), "more than one line: {message}");
    ensure!(!error.to_string().contains("secret"), "a password: {error}");
    Ok(())
}
