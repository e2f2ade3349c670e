//! `urlpool send`, as someone at a terminal or a program that reads its JSON sees it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::{Server, urlpool, urlpool_with};
use serde_json::Value;

const KEYS: [&str; 16] = [
    "index",
    "method",
    "request_url",
    "url",
    "status",
    "headers",
    "trailers",
    "body_base64",
    "body_bytes",
    "body_sha256",
    "decoded",
    "attempts",
    "history",
    "not_retried_because",
    "elapsed_ms",
    "error",
];

const ERROR_KEYS: [&str; 13] = [
    "kind",
    "message",
    "url",
    "phase",
    "code",
    "status",
    "location",
    "elapsed_ms",
    "limit_ms",
    "expected_bytes",
    "received_bytes",
    "history",
    "trace",
];

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_body_is_printed_as_it_is() {
    let server = Server::start();
    let ran = urlpool(&["send", &server.url("/bytes")]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout, (0..=255).collect::<Vec<u8>>());
    assert_eq!(ran.stderr, "");
}

#[test]
fn a_status_is_no_failure() {
    let server = Server::start();
    let ran = urlpool(&["send", &server.url("/missing")]);
    assert_eq!((ran.status, ran.text()), (0, "missing\n"));
}

#[test]
fn json_has_every_key_in_order() {
    let server = Server::start();
    let ran = urlpool(&["send", "--json", &server.url("/bytes")]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let line = ran.line();
    assert_eq!(keys(&line), KEYS);
    assert_eq!(line["status"], 200);
    assert_eq!(line["body_bytes"], 256);
    assert_eq!(line["body_sha256"], "40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880");
    assert_eq!(line["attempts"], 1);
    assert_eq!(line["error"], Value::Null);
    let headers = line["headers"].as_array().unwrap();
    assert!(headers.contains(&serde_json::json!(["x-latin", "caf\u{e9}"])), "{headers:?}");
}

#[test]
fn a_failure_in_json_has_every_key_in_order() {
    let ran = urlpool(&["send", "--json", "--no-retries", &closed_port()]);
    assert_eq!(ran.status, 1);
    let line = ran.line();
    assert_eq!(keys(&line), KEYS);
    assert_eq!(line["status"], Value::Null);
    let error = &line["error"];
    assert_eq!(keys(error), ERROR_KEYS);
    assert_eq!(error["kind"], "connect");
    assert_eq!(error["code"], "connection-refused");
}

#[test]
fn a_failure_is_one_line_and_status_1() {
    let ran = urlpool(&["send", "--no-retries", &closed_port()]);
    assert_eq!(ran.status, 1);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.starts_with("urlpool: "), "{}", ran.stderr);
}

#[test]
fn a_cut_body_keeps_what_came_and_says_so() {
    let server = Server::start();
    let ran = urlpool(&["send", "--json", "--stream", "--no-retries", &server.url("/cut")]);
    assert_eq!(ran.status, 1);
    let line = ran.line();
    assert_eq!(line["status"], 200);
    assert_eq!(line["body_base64"], "YWJj");
    assert_eq!(line["error"]["kind"], "interrupted");
    assert_eq!(line["error"]["expected_bytes"], 10);
    assert_eq!(line["error"]["received_bytes"], 3);
}

#[test]
fn what_was_never_sent_is_no_attempt() {
    let server = Server::start();
    let url = server.url("/stall");
    let ran = urlpool(&["send", "--json", "--slots", "1", "--concurrency", "2", "--timeout", "300ms", &url, &url]);
    let attempts: Vec<_> = ran.lines().iter().map(|line| line["attempts"].clone()).collect();
    assert_eq!(attempts, [1, 0], "{}", ran.text());
}

#[test]
fn a_stalled_server_costs_no_more_than_the_limit() {
    let server = Server::start();
    let ran = urlpool(&["send", "--json", "--timeout", "200ms", &server.url("/stall")]);
    assert_eq!(ran.status, 1);
    let error = &ran.line()["error"];
    assert_eq!((&error["kind"], &error["phase"]), (&"timed-out".into(), &"total".into()));
    assert_eq!(error["limit_ms"], 200);
}

#[test]
fn requests_share_one_connection_and_keep_their_order() {
    let server = Server::start();
    let [first, second] = [server.url("/"), server.url("/missing")];
    let ran = urlpool(&["send", "--json", "--stats", "--repeat", "3", &first, &second]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let lines = ran.lines();
    let statuses: Vec<_> = lines[..6].iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 404, 200, 404, 200, 404]);
    let indices: Vec<_> = lines[..6].iter().map(|line| line["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [0, 1, 2, 3, 4, 5]);
    let stats = &lines[6]["stats"];
    assert_eq!(
        keys(stats),
        [
            "opened",
            "opened_h2",
            "reused",
            "resent",
            "discarded",
            "evicted",
            "idle",
            "live",
            "waiting",
            "waited",
            "wait_ms",
            "bytes_read",
            "bytes_written",
            "requests",
            "retries",
            "redirects"
        ]
    );
    assert_eq!((&stats["opened"], &stats["reused"]), (&1.into(), &5.into()));
    assert_eq!(server.connections(), 1);
}

#[test]
fn requests_beside_each_other_are_answered_in_order() {
    let server = Server::start();
    let [first, second] = [server.url("/"), server.url("/missing")];
    let args = ["send", "--repeat", "20", "--concurrency", "10", "--slots", "4"];
    let ran = urlpool(&[&args[..], &[&first, &second]].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(ran.text(), "hello\nmissing\n".repeat(20));
    assert!(server.connections() <= 4, "{}", server.connections());
}

#[test]
fn the_stock_handler_opens_a_connection_for_each() {
    let server = Server::start();
    let ran = urlpool(&["send", "--transport", "stock", "--repeat", "3", &server.url("/")]);
    assert_eq!((ran.status, ran.text()), (0, "hello\nhello\nhello\n"));
    assert_eq!(server.connections(), 3);
}

#[test]
fn targets_are_relative_to_a_base() {
    let server = Server::start();
    let ran = urlpool(&["send", "--base", &server.url("/"), "missing", "/"]);
    assert_eq!((ran.status, ran.text()), (0, "missing\nhello\n"), "{}", ran.stderr);
    let ran = urlpool(&["send", "--base", &server.url("/"), "http://other.test/"]);
    assert_eq!(ran.status, 2, "{}", ran.stderr);
}

#[test]
fn flags_reach_the_server() {
    let server = Server::start();
    let url = server.url("/echo");
    let ran = urlpool(&["send", &url, "--query", "q=a b", "-H", "X-One: 1", "-u", "me:secret", "-d", "x=1", "-d", "y"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let echo = ran.text();
    let (head, body) = echo.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /echo?q=a"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("x-one: 1"), "{head}");
    assert!(head.contains("authorization: basic bwu6c2vjcmv0"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
    assert_eq!(body, "x=1&y");
}

#[test]
fn a_file_is_uploaded_as_the_body_or_in_a_form() {
    let server = Server::start();
    let url = server.url("/echo");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let content = std::fs::read_to_string(path).unwrap();

    let put = urlpool(&["send", &url, "-T", path]);
    let (head, body) = put.text().split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("PUT "), "{head}");
    assert!(head.to_ascii_lowercase().contains(&format!("content-length: {}", content.len())));
    assert_eq!(body, content);

    let file = format!("f=@{path};type=text/toml;filename=m.toml");
    let post = urlpool(&["send", &url, "-F", "a=b", "-F", &file, "--boundary", "xyz"]);
    let (head, body) = post.text().split_once("\r\n\r\n").unwrap();
    assert!(head.contains("multipart/form-data; boundary=xyz"), "{head}");
    assert!(body.contains("filename=\"m.toml\"\r\nContent-Type: text/toml\r\n\r\n[package]"), "{body}");
    assert!(body.trim_end().ends_with("--xyz--"), "{body}");
}

#[test]
fn the_standard_input_is_sent() {
    let server = Server::start();
    let url = server.url("/echo");
    for args in [["-d", "@-"], ["-T", "-"]] {
        let ran = urlpool_with(&["send", &url, args[0], args[1]], b"from stdin");
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(ran.text().ends_with("\r\n\r\nfrom stdin"), "{}", ran.text());
    }
}

#[test]
fn a_body_goes_into_a_file() {
    let server = Server::start();
    let name = format!("urlpool-test-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let ran = urlpool(&["send", "--json", "-o", path.to_str().unwrap(), &server.url("/bytes")]);
    let written = std::fs::read(&path);
    _ = std::fs::remove_file(&path);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(written.unwrap(), (0..=255).collect::<Vec<u8>>());
    let line = ran.line();
    assert_eq!((&line["body_base64"], &line["body_bytes"]), (&Value::Null, &256.into()));
}

#[test]
fn a_raw_body_is_taken_as_it_was_sent() {
    let server = Server::start();
    let ran = urlpool(&["send", "--raw", &server.url("/")]);
    assert_eq!((ran.status, ran.text()), (0, "hello\n"), "{}", ran.stderr);
}

#[test]
fn redirects_are_followed_and_told_unless_they_are_not_wanted() {
    let server = Server::start();
    let url = server.url("/redirect");
    let line = urlpool(&["send", "--json", &url]).line();
    assert_eq!((&line["status"], &line["attempts"]), (&200.into(), &2.into()));
    assert_eq!(line["url"], server.url("/"));
    assert_eq!(line["history"][0]["kind"], "redirect");
    assert_eq!(line["history"][0]["status"], 302);
    let line = urlpool(&["send", "--json", "--no-redirects", &url]).line();
    assert_eq!(line["status"], 302);
}

#[test]
fn a_name_can_be_given_an_address() {
    let server = Server::start();
    let resolve = format!("a.test:{}:127.0.0.1", server.port);
    let url = format!("http://a.test:{}/", server.port);
    let ran = urlpool(&["send", "--resolve", &resolve, &url]);
    assert_eq!((ran.status, ran.text()), (0, "hello\n"), "{}", ran.stderr);
}

#[test]
fn verbose_tells_what_is_done_without_secrets() {
    let server = Server::start();
    let url = server.url("/?api_key=hunter2").replace("http://", "http://me:hunter2@");
    let ran = urlpool(&["send", "-v", "-H", "Cookie: hunter2", &url]);
    assert_eq!((ran.status, ran.text()), (0, "hello\n"));
    assert!(ran.stderr.contains("> GET http://127.0.0.1"), "{}", ran.stderr);
    assert!(ran.stderr.contains("< 200"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[test]
fn a_trace_shows_each_moment_on_stderr_or_in_json() {
    let server = Server::start();
    let ran = urlpool(&["send", "--trace", &server.url("/")]);
    assert_eq!((ran.status, ran.text()), (0, "hello\n"));
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 6, "{}", ran.stderr);
    assert!(lines[0].starts_with("  #1") && lines[0].contains("queued"), "{}", ran.stderr);
    assert!(lines[4].contains("first-byte 200"), "{}", ran.stderr);
    let ran = urlpool(&["send", "--trace", "--json", &server.url("/"), &closed_port()]);
    let lines: Vec<Value> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = |line: &Value| line["trace"].as_array().and_then(|trace| trace.last()).unwrap()["what"].clone();
    assert_eq!([last(&lines[0]), last(&lines[1])], ["body-end", "failed"]);
}

/// A URL that nobody listens at.
fn closed_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

#[test]
fn what_the_rules_deny_is_not_connected_to() {
    let server = Server::start();
    for (rule, code) in [
        (&["--deny", "127.0.0.0/8"][..], "destination-IP-prohibited"),
        (&["--public-only"][..], "destination-IP-prohibited"),
        (&["--allow", "a.test"][..], "destination-IP-prohibited"),
    ] {
        let ran = urlpool(&[&["send", "--json", &server.url("/")], rule].concat());
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert!(ran.text().contains(code), "{}", ran.text());
    }
    assert_eq!(server.connections(), 0);
    let ran = urlpool(&["send", &server.url("/"), "--public-only", "--allow", "127.0.0.1"]);
    assert_eq!((ran.status, server.connections()), (0, 1), "{}", ran.stderr);
}

#[test]
fn a_connection_serves_as_many_requests_as_it_may() {
    let server = Server::start();
    let ran = urlpool(&["send", &server.url("/"), "--repeat", "6", "--max-uses", "2", "-o", "/dev/null"]);
    assert_eq!((ran.status, server.connections()), (0, 3), "{}", ran.stderr);
}
