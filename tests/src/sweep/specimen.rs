//! Well-formed answers of every shape, each to be cut, stalled, dripped and tampered with.

use anyhow::Result;

use super::model::Coded;
use crate::cases::decode::{br, gzip, zlib, zstd};

/// A well-formed answer.
#[derive(Clone, Debug)]
pub(crate) struct Specimen {
    pub(crate) name: &'static str,
    /// The method that it answers.
    pub(crate) method: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) coded: Coded,
    pub(crate) then: Then,
}

/// What a client does about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It delivers it.
    Deliver,
    /// It follows it to the good page.
    Follow,
    /// It asks again, and gets a good page then.
    Retry,
}

/// All shapes.
pub(crate) fn specimens() -> Result<Vec<Specimen>> {
    let text = "the quick brown fox jumps over the lazy dog";
    let length = format!("Content-Length: {}", text.len());
    let plain = |name, head: &str, body: &str| Specimen {
        name,
        method: "GET",
        bytes: format!("{head}\r\n\r\n{body}").into_bytes(),
        coded: Coded::default(),
        then: Then::Deliver,
    };
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum";
    let chunks =
        "13\r\nthe quick brown fox\r\n18;q=\"a;b\"\r\n jumps over the lazy dog\r\n0\r\nX-Sum: 43\r\nX-End: yes\r\n\r\n";
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
    let mut all = vec![
        plain("length", &format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{length}"), text),
        plain("chunks", chunked, chunks),
        plain("until-close", "HTTP/1.1 200 OK\r\nServer: scripted", text),
        plain("keep-alive-1.0", &format!("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n{length}"), text),
        plain("interim", &format!("{interim}HTTP/1.1 200 OK\r\n{length}"), text),
        plain("no-content", "HTTP/1.1 204 No Content\r\nX-A: 1", ""),
        plain("not-modified", &format!("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n{length}"), ""),
        plain("empty", "HTTP/1.1 200 OK\r\nContent-Length: 0", ""),
        plain("error", &format!("HTTP/1.1 500 Internal Server Error\r\n{length}"), text),
    ];
    all.push(Specimen { method: "HEAD", ..plain("head", &format!("HTTP/1.1 200 OK\r\n{length}"), "") });
    all.push(Specimen { method: "POST", ..plain("posted", &format!("HTTP/1.1 201 Created\r\n{length}"), text) });
    all.push(Specimen {
        then: Then::Follow,
        ..plain("redirect", &format!("HTTP/1.1 302 Found\r\nLocation: /good\r\n{length}"), text)
    });
    all.push(Specimen {
        then: Then::Retry,
        ..plain("busy", &format!("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\n{length}"), text)
    });
    all.extend(coded_specimens(text)?);
    Ok(all)
}

fn coded_specimens(text: &str) -> Result<Vec<Specimen>> {
    let bytes = text.as_bytes();
    let once = |codings, coded: Vec<u8>, decoded: &[u8], checked| Coded {
        codings,
        ends: vec![(coded.len(), decoded.to_vec())],
        bytes: coded,
        checked,
    };
    let (one, two) = (gzip("the quick brown fox ")?, gzip("jumps")?);
    let members = Coded {
        codings: "gzip",
        ends: vec![
            (one.len(), b"the quick brown fox ".to_vec()),
            (one.len() + two.len(), b"the quick brown fox jumps".to_vec()),
        ],
        bytes: [one, two].concat(),
        checked: true,
    };
    let (frame, hello) = (zstd()?, "hello zstd, hello zstd, hello zstd");
    let frames = Coded {
        codings: "zstd",
        ends: vec![(frame.len(), hello.into()), (2 * frame.len(), hello.repeat(2).into_bytes())],
        bytes: frame.repeat(2),
        checked: true,
    };
    let brotli = once("br", br()?, b"hello brotli, hello brotli, hello brotli", false);
    Ok(vec![
        framed("gzip", Framed::Length, once("gzip", gzip(bytes)?, bytes, true)),
        framed("gzip-until-close", Framed::UntilClose, once("gzip", gzip(bytes)?, bytes, true)),
        framed("members", Framed::Chunks, members.clone()),
        framed("members-until-close", Framed::UntilClose, members),
        framed("deflate", Framed::UntilClose, once("deflate", zlib(bytes)?, bytes, true)),
        framed("br", Framed::Chunks, brotli.clone()),
        framed("br-until-close", Framed::UntilClose, brotli),
        framed("zstd", Framed::Chunks, frames.clone()),
        framed("zstd-until-close", Framed::UntilClose, frames),
        framed("two-codings", Framed::Length, once("deflate, gzip", gzip(zlib(bytes)?)?, bytes, true)),
    ])
}

enum Framed {
    Length,
    Chunks,
    UntilClose,
}

fn framed(name: &'static str, framed: Framed, coded: Coded) -> Specimen {
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {}\r\n", coded.codings).into_bytes();
    match framed {
        Framed::Length => {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", coded.bytes.len()).as_bytes());
            bytes.extend_from_slice(&coded.bytes);
        }
        Framed::UntilClose => {
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(&coded.bytes);
        }
        Framed::Chunks => {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            // Cut where no coding is at its end.
            for chunk in coded.bytes.chunks(17) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
    }
    Specimen { name, method: "GET", bytes, coded, then: Then::Deliver }
}
