//! Kept connections, and what is sent a second time.

use std::time::{Duration, SystemTime};

use urlpool_conformance::reply::{close, ok, raw, status};

use crate::case::{Answer, Ask, Case, Group, Play, Told, Verdict};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "race-get",
        group: Group::Connections,
        title: "a kept connection closed on a GET, before any answer",
        right: "the GET goes out again; the RFC allows an error as well",
        source: "RFC 9112 §9.3.1",
        play: |_| Play::get([ok("first"), close(), ok("second")]).then(Ask::new("GET", "/")),
        judge: |told| {
            told.response(200, "second").or(|| match told.last() {
                Answer::Error { typed: true, text } => Verdict::Allowed(format!("gives up: `{text}`")),
                other => Verdict::Wrong(other.to_string()),
            })
        },
    },
    Case {
        id: "race-post",
        group: Group::Connections,
        title: "a kept connection closed on a POST, before any answer",
        right: "an error: the server may have acted",
        source: "RFC 9110 §9.2.2",
        play: |_| Play::get([ok("first"), close(), ok("second")]).then(Ask::new("POST", "/").body("four")),
        judge: once,
    },
    Case {
        id: "fresh-get",
        group: Group::Connections,
        title: "a fresh connection closed on a GET, before any answer",
        right: "the GET goes out again, or an error",
        source: "RFC 9110 §9.2.2",
        play: |_| Play::get([close(), ok("second")]),
        judge: |told| told.response(200, "second").or(|| told.error()),
    },
    Case {
        id: "fresh-post",
        group: Group::Connections,
        title: "a fresh connection closed on a POST, before any answer",
        right: "an error: the server may have acted",
        source: "RFC 9110 §9.2.2",
        play: |_| Play::ask(Ask::new("POST", "/").body("four"), [close(), ok("second")]),
        judge: once,
    },
    Case {
        id: "closed-before-get",
        group: Group::Connections,
        title: "a kept connection that the server has closed, then a GET",
        right: "a new connection serves it",
        source: "RFC 9112 §9.5",
        play: |_| Play::get([ok("first").close(), ok("second")]).then(Ask::new("GET", "/").after_end()),
        judge: |told| told.response(200, "second"),
    },
    Case {
        id: "closed-before-post",
        group: Group::Connections,
        title: "a kept connection that the server has closed, then a POST",
        right: "a new connection serves it, and it arrives once",
        source: "RFC 9112 §9.5",
        play: |_| Play::get([ok("first").close(), ok("second")]).then(Ask::new("POST", "/").body("four").after_end()),
        judge: |told| told.response(200, "second").and(|| arrived_once("POST", told)),
    },
    Case {
        id: "extra-bytes",
        group: Group::Connections,
        title: "a second response that nobody asked for, and one more request",
        right: "the request gets its own answer",
        source: "RFC 9112 §6.3",
        play: |_| {
            let two =
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirstHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
            Play::get([raw(two), ok("second")]).then(Ask::new("GET", "/"))
        },
        judge: own_answers,
    },
    Case {
        id: "extra-garbage",
        group: Group::Connections,
        title: "bytes after a response that are none, and one more request",
        right: "the request gets its own answer",
        source: "RFC 9112 §6.3",
        play: |_| {
            let more = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst, and more";
            Play::get([raw(more), ok("second")]).then(Ask::new("GET", "/"))
        },
        judge: own_answers,
    },
    Case {
        id: "connection-close",
        group: Group::Connections,
        title: "`Connection: close` on a connection that stays open, and one more request",
        right: "a new connection serves it",
        source: "RFC 9112 §9.6",
        play: |_| Play::get([ok("first").header("Connection", "close"), ok("second")]).then(Ask::new("GET", "/")),
        judge: |told| {
            let reused = told.a.requests.get(1).is_some_and(|second| second.connection == 0);
            told.response(200, "second").and(|| Verdict::that(!reused, "sends on the connection it was to leave"))
        },
    },
    Case {
        id: "retry-after",
        group: Group::Connections,
        title: "503 with `Retry-After: 1`",
        right: "sent again after that second at the earliest, or delivered",
        source: "RFC 9110 §10.2.3",
        play: |_| Play::get([status(503).header("Retry-After", "1"), ok("second")]),
        judge: waited,
    },
    Case {
        id: "retry-after-date",
        group: Group::Connections,
        title: "503 with a `Retry-After` of a date 2 s away",
        right: "sent again at that date at the earliest, or delivered",
        source: "RFC 9110 §10.2.3",
        play: |_| {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
            Play::get([status(503).header("Retry-After", date), ok("second")])
        },
        // A date has no fractions, so it is up to a second nearer.
        judge: waited,
    },
    Case {
        id: "retry-after-bad",
        group: Group::Connections,
        title: "503 with `Retry-After: soon`",
        right: "delivered, or sent again when the client thinks fit; an error is no break of the RFC",
        source: "RFC 9110 §2.4, §10.2.3",
        play: |_| Play::get([status(503).header("Retry-After", "soon").body("later"), ok("second")]),
        judge: |told| {
            told.status(503).or(|| told.response(200, "second")).or(|| match told.last() {
                Answer::Error { typed: true, text } => Verdict::Allowed(format!("loses the response: `{text}`")),
                other => Verdict::Wrong(other.to_string()),
            })
        },
    },
    Case {
        id: "retry-after-late",
        group: Group::Connections,
        title: "503 with `Retry-After: 3600`, and a limit of 4 s",
        right: "delivered, or an error, within the limit; the RFC has it wait",
        source: "RFC 9110 §10.2.3",
        play: |_| Play::get([status(503).header("Retry-After", "3600"), ok("second")]),
        judge: |told| {
            told.status(503).or(|| told.error()).or(|| match told.last() {
                Answer::Silence => Verdict::Allowed("waits on, past the limit".to_owned()),
                other => Verdict::Wrong(other.to_string()),
            })
        },
    },
];

/// Right when each request got its own answer. What goes wrong with the first, which brings the bytes, can be told there; the
/// second has nothing to do with them.
fn own_answers(told: &Told) -> Verdict {
    match &told.answers[0] {
        Answer::Response { body, .. } if body == b"first" => told.response(200, "second"),
        Answer::Error { typed: true, text } => {
            told.response(200, "second").and(|| Verdict::Allowed(format!("loses the first response: `{text}`")))
        }
        other => Verdict::Wrong(other.to_string()),
    }
}

/// Right when the POST came once, and the caller knows that nobody knows what became of it.
fn once(told: &Told) -> Verdict {
    arrived_once("POST", told).and(|| told.error())
}

fn arrived_once(method: &str, told: &Told) -> Verdict {
    let arrived = told.a.requests.iter().filter(|request| request.method == method).count();
    Verdict::that(arrived == 1, format!("the {method} arrives {arrived} times"))
}

/// Right when a second attempt came a second after the first or later, or the response was delivered.
fn waited(told: &Told) -> Verdict {
    match told.a.gap(0, 1) {
        Err(_) => told.status(503),
        Ok(gap) if gap >= Duration::from_secs(1) => told.response(200, "second").or(|| told.status(503)),
        Ok(gap) => Verdict::Wrong(format!("sends again after {} ms", gap.as_millis())),
    }
}
