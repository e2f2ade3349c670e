//! `urlpool script`: sequences of operations, line by line.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::{Server, urlpool_with};
use serde_json::{Value, json};

/// Runs a script and checks that each line got its answer.
fn script(lines: &[Value]) -> Vec<Value> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let ran = urlpool_with(&["script", "-"], text.as_bytes());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let answers = ran.lines();
    assert_eq!(answers.len(), lines.len());
    for (line, answer) in lines.iter().zip(&answers) {
        assert_eq!(line["op"], answer["op"]);
    }
    answers
}

#[test]
fn a_request_is_answered_with_head_and_body() {
    let server = Server::start();
    let answers = script(&[json!({"op": "send", "id": {"any": 1}, "url": server.url("/")})]);
    let keys: Vec<_> = answers[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "op",
            "id",
            "ok",
            "status",
            "url",
            "headers",
            "decoded",
            "history",
            "not_retried_because",
            "elapsed_ms",
            "attempts",
            "trailers",
            "body",
            "body_base64",
            "body_bytes",
            "body_sha256"
        ]
    );
    assert_eq!(answers[0]["id"], json!({"any": 1}));
    assert_eq!(answers[0]["body"], "hello\n");
}

#[test]
fn one_pool_serves_a_sequence_over_one_connection() {
    let server = Server::start();
    let answers = script(&[
        json!({"op": "open", "pool": "p", "options": {"url": server.url("/"), "slots": 2}}),
        json!({"op": "get", "pool": "p", "url": "echo", "fields": [["v", "1.0"]]}),
        json!({"op": "post", "pool": "p", "url": "echo", "form": [{"name": "a", "value": "b"}]}),
        json!({"op": "send", "pool": "p", "url": "missing"}),
        json!({"op": "stats", "pool": "p"}),
        json!({"op": "close", "pool": "p"}),
        json!({"op": "get", "pool": "p", "url": "/"}),
        json!({"op": "drop", "pool": "p"}),
        json!({"op": "get", "pool": "p", "url": "/"}),
    ]);
    assert!(answers[1]["body"].as_str().unwrap().starts_with("GET /echo?v=1.0 "));
    assert!(answers[2]["body"].as_str().unwrap().ends_with("\r\n\r\na=b"));
    assert_eq!(answers[3]["status"], 404);
    assert_eq!(answers[4]["stats"]["requests"], 3);
    assert_eq!((&answers[4]["host"]["opened"], &answers[4]["host"]["reused"]), (&1.into(), &2.into()));
    assert_eq!(answers[6]["error"]["kind"], "closed");
    assert_eq!(answers[7]["ok"], true);
    assert_eq!(answers[8]["error"]["kind"], "usage");
}

#[test]
fn a_body_is_read_in_pieces_and_its_head_stays() {
    let server = Server::start();
    let answers = script(&[
        json!({"op": "send", "as": "r", "url": server.url("/"), "preload": null}),
        json!({"op": "read", "handle": "r", "max": 2}),
        json!({"op": "try-read", "handle": "r", "max": 2}),
        json!({"op": "read-text", "handle": "r"}),
        json!({"op": "read", "handle": "r"}),
        json!({"op": "trailers", "handle": "r"}),
        json!({"op": "head", "handle": "r"}),
        json!({"op": "drop", "handle": "r"}),
        json!({"op": "head", "handle": "r"}),
    ]);
    assert!(answers[0].get("body").is_none());
    assert_eq!((&answers[1]["body"], &answers[1]["end"]), (&"he".into(), &false.into()));
    assert_eq!(answers[2]["body"], "ll");
    assert_eq!(answers[3]["text"], "o\n");
    assert_eq!((&answers[4]["body_bytes"], &answers[4]["end"]), (&0.into(), &true.into()));
    assert_eq!(answers[5]["trailers"], json!([]));
    assert_eq!(answers[6]["status"], 200);
    assert_eq!(answers[8]["error"]["kind"], "usage");
}

#[test]
fn a_pending_request_is_advanced_waited_for_and_finished() {
    let server = Server::start();
    let answers = script(&[
        json!({"op": "start", "as": "a", "url": server.url("/")}),
        json!({"op": "start", "as": "b", "url": server.url("/stall")}),
        json!({"op": "wait", "handles": ["a", "b"]}),
        json!({"op": "advance", "handle": "a"}),
        json!({"op": "finish", "handle": "a", "as": "a"}),
        json!({"op": "read-all", "handle": "a"}),
        json!({"op": "wait", "handles": ["b"], "timeout": "50ms"}),
        json!({"op": "history", "handle": "b"}),
        json!({"op": "drop", "handle": "b"}),
        json!({"op": "stats"}),
    ]);
    assert_eq!(answers[2]["finished"], json!(["a"]));
    assert_eq!(answers[3]["finished"], true);
    assert_eq!(answers[5]["body"], "hello\n");
    assert_eq!(answers[6]["finished"], json!([]));
    assert_eq!(answers[7]["history"], json!([]));
    assert_eq!(answers[9]["stats"]["in_flight"], 0);
}

#[test]
fn many_are_sent_at_once_and_fail_alone() {
    let server = Server::start();
    let answers = script(&[json!({"op": "send-all", "requests": [
        {"url": server.url("/")},
        {"url": "nonsense"},
        {"url": server.url("/missing")},
    ]})]);
    let responses = answers[0]["responses"].as_array().unwrap();
    assert_eq!(responses[0]["body"], "hello\n");
    assert_eq!(responses[1]["error"]["kind"], "invalid-request");
    assert_eq!(responses[2]["status"], 404);
}

#[test]
fn a_raw_body_is_taken_and_its_handle_is_gone() {
    let server = Server::start();
    let answers = script(&[
        json!({"op": "send", "as": "r", "url": server.url("/"), "preload": null}),
        json!({"op": "take-raw", "handle": "r"}),
        json!({"op": "head", "handle": "r"}),
    ]);
    assert_eq!(answers[1]["body"], "hello\n");
    assert_eq!(answers[2]["error"]["kind"], "usage");
}

#[test]
fn a_cut_body_is_an_error_beside_the_head() {
    let server = Server::start();
    let url = server.url("/cut");
    let answers = script(&[json!({"op": "send", "url": url, "preload": null, "retry": "never"})]);
    assert_eq!(answers[0]["ok"], false);
    assert_eq!(answers[0]["error"]["kind"], "interrupted");
    assert_eq!((&answers[0]["status"], &answers[0]["body"]), (&200.into(), &"abc".into()));
}

#[test]
fn bodies_of_every_shape_are_sent() {
    let server = Server::start();
    let url = server.url("/echo");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let stream = |length: Value| json!({"chunks": ["a", {"base64": "Yg=="}], "length": length, "gap": "5ms"});
    let send = |key: &str, value: Value| json!({"op": "send", "method": "POST", "url": url, key: value});
    let answers = script(&[
        send("body", "text".into()),
        send("body_base64", "dGV4dA==".into()),
        send("json", json!({"a": null})),
        send("body_file", path.into()),
        send("body_stream", stream(2.into())),
        send("body_stream", stream(Value::Null)),
        send("form", json!([{"name": "f", "filename": "f", "content": "in"}])),
        json!({"op": "send", "url": url, "body": "text", "clone": true}),
    ]);
    let bodies: Vec<&str> =
        answers.iter().map(|answer| answer["body"].as_str().unwrap().split_once("\r\n\r\n").unwrap().1).collect();
    assert_eq!(bodies[..3], ["text", "text", "{\"a\":null}"]);
    assert_eq!(bodies[3], std::fs::read_to_string(path).unwrap());
    assert_eq!(bodies[4..6], ["ab", "ab"]);
    assert!(bodies[6].contains("\r\n\r\nin\r\n--"), "{}", bodies[6]);
    assert_eq!(bodies[7], "text");
    let head = |index: usize| answers[index]["body"].as_str().unwrap().to_ascii_lowercase();
    assert!(head(2).contains("content-type: application/json"));
    assert!(head(4).contains("content-length: 2"));
    assert!(head(5).contains("transfer-encoding: chunked"));
}

#[test]
fn wrong_lines_are_answered_and_the_next_one_is_done() {
    let server = Server::start();
    let url = server.url("/");
    let answers = script(&[
        json!({"op": "open"}),
        json!({"op": "send", "url": url, "heders": []}),
        json!({"op": "send"}),
        json!({"op": "send", "url": url, "pool": "q"}),
        json!({"op": "read", "handle": "none"}),
        json!({"op": "send", "url": url, "body_file": "/does/not/exist"}),
        json!({"op": "open"}),
        json!({"op": "send", "url": url, "as": "r"}),
        json!({"op": "send", "url": url, "as": "r"}),
        json!({"op": "finish", "handle": "r"}),
        json!({"op": "sleep", "for": "1ms"}),
        json!({"op": "send", "url": url}),
    ]);
    for index in [1, 2, 3, 4, 5, 6, 8, 9] {
        assert_eq!(answers[index]["error"]["kind"], "usage", "{}", answers[index]);
    }
    for index in [0, 7, 10, 11] {
        assert_eq!(answers[index]["ok"], true, "{}", answers[index]);
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn each_operation_in_the_documentation_exists() {
    let page = include_str!("../../../docs/script.md");
    let table = page.split("## Operations").nth(1).unwrap();
    let names: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(names.len(), 22);
    let lines: Vec<Value> = names.iter().map(|name| json!({"op": name, "nonsense": 1})).collect();
    for answer in script(&lines) {
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("nonsense") || message.contains("missing"), "{answer}");
    }
}
