//! Content codings: what is decoded, and what must not pass for a whole body.

use urlpool_conformance::Reply;
use urlpool_conformance::reply::{ok, raw};

use crate::case::{Answer, Ask, Case, Group, Play, Told, Verdict};
use crate::gzip::{gzip, raw_deflate, zlib};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "gzip-members",
        group: Group::Decoding,
        title: "gzip of two members",
        right: "both are decoded, one after the other",
        source: "RFC 1952 §2.2",
        play: |_| Play::get([coded("gzip", [gzip("first,"), gzip("second")].concat())]),
        judge: |told| told.response(200, "first,second"),
    },
    Case {
        id: "gzip-cut-data",
        group: Group::Decoding,
        title: "gzip cut in its data",
        right: "an error: the body is not whole",
        source: "RFC 1952 §2.3",
        play: |_| Play::get([coded("gzip", cut(gzip(TEXT), 20))]),
        judge: Told::error,
    },
    Case {
        id: "gzip-cut-trailer",
        group: Group::Decoding,
        title: "gzip without its last 8 bytes",
        right: "an error: check and length are missing",
        source: "RFC 1952 §2.3",
        play: |_| Play::get([coded("gzip", cut(gzip(TEXT), 8))]),
        judge: Told::error,
    },
    Case {
        id: "gzip-check",
        group: Group::Decoding,
        title: "gzip with a wrong check (CRC-32)",
        right: "an error: these are not the bytes that were sent",
        source: "RFC 1952 §2.3.1",
        play: |_| {
            let mut bytes = gzip(TEXT);
            let check = bytes.len() - 8;
            bytes[check] ^= 1;
            Play::get([coded("gzip", bytes)])
        },
        judge: Told::error,
    },
    Case {
        id: "gzip-is-none",
        group: Group::Decoding,
        title: "a body that is no gzip, but said to be",
        right: "an error",
        source: "RFC 9110 §8.4.1.3",
        play: |_| Play::get([coded("gzip", TEXT)]),
        judge: Told::error,
    },
    Case {
        id: "x-gzip",
        group: Group::Decoding,
        title: "`Content-Encoding: x-gzip`",
        right: "decoded as gzip",
        source: "RFC 9110 §8.4.1.3",
        play: |_| Play::get([coded("x-gzip", gzip(TEXT))]),
        judge: decoded,
    },
    Case {
        id: "gzip-case",
        group: Group::Decoding,
        title: "`Content-Encoding: GZIP`",
        right: "decoded: codings are case-insensitive",
        source: "RFC 9110 §8.4.1",
        play: |_| Play::get([coded("GZIP", gzip(TEXT))]),
        judge: decoded,
    },
    Case {
        id: "two-codings",
        group: Group::Decoding,
        title: "`Content-Encoding: deflate, gzip`",
        right: "both are undone, the last first; a client may leave both as they are, and say so",
        source: "RFC 9110 §8.4",
        play: |_| Play::get([coded("deflate, gzip", gzip(zlib(TEXT)))]),
        judge: decoded_or_left,
    },
    Case {
        id: "two-lines",
        group: Group::Decoding,
        title: "two lines of `Content-Encoding`",
        right: "the same as one line with both",
        source: "RFC 9110 §5.3, §8.4",
        play: |_| Play::get([coded("deflate", gzip(zlib(TEXT))).header("Content-Encoding", "gzip")]),
        judge: decoded_or_left,
    },
    Case {
        id: "deflate",
        group: Group::Decoding,
        title: "`deflate`, which is zlib",
        right: "decoded",
        source: "RFC 9110 §8.4.1.2",
        play: |_| Play::get([coded("deflate", zlib(TEXT))]),
        judge: decoded,
    },
    Case {
        id: "deflate-raw",
        group: Group::Decoding,
        title: "`deflate` without the zlib around it, as some servers send it",
        right: "decoded, or an error; never other bytes",
        source: "RFC 9110 §8.4.1.2",
        play: |_| Play::get([coded("deflate", raw_deflate(TEXT))]),
        judge: |told| told.response(200, TEXT).or(|| told.error()),
    },
    Case {
        id: "deflate-cut",
        group: Group::Decoding,
        title: "`deflate` without its last 4 bytes",
        right: "an error: the check (Adler-32) is missing",
        source: "RFC 1950 §2.2",
        play: |_| Play::get([coded("deflate", cut(zlib(TEXT), 4))]),
        judge: Told::error,
    },
    Case {
        id: "gzip-empty",
        group: Group::Decoding,
        title: "an empty body said to be gzip",
        right: "an empty body",
        source: "RFC 9110 §8.4",
        play: |_| Play::get([coded("gzip", "")]),
        judge: |told| told.response(200, "").or(|| told.error().or(|| Verdict::Wrong(told.last().to_string()))),
    },
    Case {
        id: "gzip-head",
        group: Group::Decoding,
        title: "an answer to HEAD said to be gzip",
        right: "a response without a body",
        source: "RFC 9110 §9.3.2",
        play: |_| Play::ask(Ask::new("HEAD", "/"), [coded("gzip", gzip(TEXT))]),
        judge: |told| told.response(200, ""),
    },
    Case {
        id: "gzip-304",
        group: Group::Decoding,
        title: "304 said to be gzip",
        right: "a response without a body",
        source: "RFC 9110 §15.4.5",
        play: |_| {
            let reply = raw("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Encoding: gzip\r\n\r\n");
            Play::ask(Ask::new("GET", "/").header("If-None-Match", "\"x\""), [reply])
        },
        judge: |told| told.response(304, ""),
    },
];

const TEXT: &str = "all work and no play makes Jack a dull boy";

/// A body in this coding.
fn coded(coding: &str, body: impl AsRef<[u8]>) -> Reply {
    ok(body).header("Content-Encoding", coding)
}

/// All but the last bytes.
fn cut(mut bytes: Vec<u8>, last: usize) -> Vec<u8> {
    bytes.truncate(bytes.len() - last);
    bytes
}

/// Right when the text is there.
fn decoded(told: &Told) -> Verdict {
    told.response(200, TEXT).or(|| match told.last() {
        Answer::Response { .. } => {
            let asked = told.at("/").and_then(|request| request.header("accept-encoding")).unwrap_or_default();
            Verdict::Wrong(format!("{}, though it asked for `{asked}`", told.last()))
        }
        other => Verdict::Wrong(other.to_string()),
    })
}

/// Right when the text of two codings is there. Nothing says that a client has to decode what it did not ask for, which is two at
/// once: when it touches neither the body nor what tells of its codings, the caller can.
fn decoded_or_left(told: &Told) -> Verdict {
    decoded(told).or(|| match told.last() {
        Answer::Response { headers, body, .. } if *body == gzip(zlib(TEXT)) => {
            let codings = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
            let codings: Vec<_> = codings.map(|(_, value)| value.as_str()).collect();
            match codings.join(", ").as_str() {
                "deflate, gzip" => Verdict::Allowed("leaves both as they are".to_owned()),
                codings => Verdict::Wrong(format!("leaves both as they are, and says `{codings}`")),
            }
        }
        other => Verdict::Wrong(other.to_string()),
    })
}
