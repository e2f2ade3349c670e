//! Where a message ends, and the interim responses before it.

use urlpool_conformance::reply::{ok, raw};

use crate::case::{Answer, Ask, Case, Group, Play, Told, Verdict};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "103",
        group: Group::Framing,
        title: "103 Early Hints before the response",
        right: "the response after it",
        source: "RFC 9110 §15.2",
        play: |_| Play::get([ok("final").preceded_by("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")]),
        judge: |told| told.response(200, "final"),
    },
    Case {
        id: "100",
        group: Group::Framing,
        title: "100 Continue that nobody asked for",
        right: "the response after it",
        source: "RFC 9110 §15.2",
        play: |_| Play::get([ok("final").preceded_by("HTTP/1.1 100 Continue\r\n\r\n")]),
        judge: |told| told.response(200, "final"),
    },
    Case {
        id: "cut-length",
        group: Group::Framing,
        title: "a body that ends before its `Content-Length`",
        right: "an error: the body is not whole",
        source: "RFC 9112 §8",
        play: |_| Play::get([raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").close()]),
        judge: Told::error,
    },
    Case {
        id: "cut-chunks",
        group: Group::Framing,
        title: "chunks without the last one",
        right: "an error: the body is not whole",
        source: "RFC 9112 §8",
        play: |_| Play::get([raw(format!("{CHUNKED}5\r\nhello\r\n")).close()]),
        judge: Told::error,
    },
    Case {
        id: "cut-last-chunk",
        group: Group::Framing,
        title: "chunks that end right before the last empty line",
        right: "an error, or the body: its bytes are all there",
        source: "RFC 9112 §7.1, §8",
        play: |_| Play::get([raw(format!("{CHUNKED}5\r\nhello\r\n0\r\n")).close()]),
        judge: |told| told.response(200, "hello").or(|| told.error()),
    },
    Case {
        id: "chunk-size",
        group: Group::Framing,
        title: "a chunk whose size is no number",
        right: "an error",
        source: "RFC 9112 §7.1",
        play: |_| Play::get([raw(format!("{CHUNKED}5\r\nhello\r\nxyz\r\n")).close()]),
        judge: Told::error,
    },
    Case {
        id: "chunk-size-negative",
        group: Group::Framing,
        title: "a chunk of `-5` bytes",
        right: "an error",
        source: "RFC 9112 §7.1",
        play: |_| Play::get([raw(format!("{CHUNKED}-5\r\nhello\r\n0\r\n\r\n")).close()]),
        judge: Told::error,
    },
    Case {
        id: "chunk-size-hex",
        group: Group::Framing,
        title: "a chunk of `0x5` bytes",
        right: "an error",
        source: "RFC 9112 §7.1",
        play: |_| Play::get([raw(format!("{CHUNKED}0x5\r\nhello\r\n0\r\n\r\n")).close()]),
        judge: Told::error,
    },
    Case {
        id: "chunk-too-long",
        group: Group::Framing,
        title: "a chunk longer than its size",
        right: "an error",
        source: "RFC 9112 §7.1",
        play: |_| Play::get([raw(format!("{CHUNKED}5\r\nhello, world\r\n0\r\n\r\n")).close()]),
        judge: Told::error,
    },
    Case {
        id: "chunk-extensions",
        group: Group::Framing,
        title: "chunks with extensions and trailers",
        right: "the body",
        source: "RFC 9112 §7.1.1, §7.1.2",
        play: |_| Play::get([raw(format!("{CHUNKED}5;a=b;c=\"d\"\r\nhello\r\n0;e\r\nX-Sum: 1\r\n\r\n"))]),
        judge: |told| told.response(200, "hello"),
    },
    Case {
        id: "two-lengths",
        group: Group::Framing,
        title: "two different `Content-Length`",
        right: "an error",
        source: "RFC 9112 §6.3 (5)",
        play: |_| Play::get([raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello, ").close()]),
        judge: Told::error,
    },
    Case {
        id: "negative-length",
        group: Group::Framing,
        title: "`Content-Length: -1`",
        right: "an error",
        source: "RFC 9112 §6.3 (5)",
        play: |_| Play::get([raw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello").close()]),
        judge: Told::error,
    },
    Case {
        id: "signed-length",
        group: Group::Framing,
        title: "`Content-Length: +5`",
        right: "an error",
        source: "RFC 9112 §6.3 (5)",
        play: |_| Play::get([raw("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello").close()]),
        judge: Told::error,
    },
    Case {
        id: "length-and-chunks",
        group: Group::Framing,
        title: "`Content-Length` beside chunks",
        right: "the chunks count, or an error",
        source: "RFC 9112 §6.3 (3)",
        play: |_| {
            Play::get([raw(
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            )
            .close()])
        },
        judge: |told| told.response(200, "hello").or(|| told.error()),
    },
    Case {
        id: "until-close",
        group: Group::Framing,
        title: "a body that ends with the connection",
        right: "the body",
        source: "RFC 9112 §6.3 (8)",
        play: |_| Play::get([raw("HTTP/1.1 200 OK\r\n\r\nhello").close()]),
        judge: |told| told.response(200, "hello"),
    },
    Case {
        id: "cut-head",
        group: Group::Framing,
        title: "a head that ends in the middle",
        right: "an error",
        source: "RFC 9112 §8",
        play: |_| Play::get([raw("HTTP/1.1 200 OK\r\nContent-Type: text/pl").close()]),
        judge: Told::error,
    },
    Case {
        id: "204-length",
        group: Group::Framing,
        title: "204 with a `Content-Length`, and one more request",
        right: "no body, and the connection or a new one serves",
        source: "RFC 9112 §6.3 (1)",
        play: |_| {
            Play::get([raw("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), ok("second")])
                .then(Ask::new("GET", "/"))
        },
        judge: |told| match &told.answers[0] {
            Answer::Response { status: 204, body, .. } if body.is_empty() => told.response(200, "second"),
            other => Verdict::Wrong(other.to_string()),
        },
    },
    Case {
        id: "nul-in-header",
        group: Group::Framing,
        title: "a header value with a NUL in it",
        right: "an error, or a space in its place",
        source: "RFC 9110 §5.5",
        play: |_| Play::get([ok("hello").header("X-Odd", "a\0b")]),
        judge: |told| match told.last() {
            Answer::Response { headers, .. } if headers.iter().any(|(_, value)| value.contains('\0')) => {
                Verdict::Wrong("hands the NUL on".to_owned())
            }
            Answer::Response { .. } => Verdict::Right,
            _ => told.error(),
        },
    },
    Case {
        id: "folded-header",
        group: Group::Framing,
        title: "a header value over two lines",
        right: "an error, or spaces in place of the line break",
        source: "RFC 9112 §5.2",
        play: |_| Play::get([raw("HTTP/1.1 200 OK\r\nX-Odd: a\r\n b\r\nContent-Length: 5\r\n\r\nhello")]),
        judge: |told| match told.last() {
            Answer::Response { headers, .. } => {
                let odd = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-odd"));
                let value = odd.map_or("", |(_, value)| value.as_str());
                Verdict::that(
                    value.split(' ').filter(|word| !word.is_empty()).eq(["a", "b"]),
                    format!("the value becomes {value:?}"),
                )
            }
            _ => told.error(),
        },
    },
];

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
