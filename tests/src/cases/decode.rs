//! Undoing `Content-Encoding`, and telling when it cannot be undone.

use std::io::Write;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::json;

use crate::Until;
use crate::case::{cases, same};
use crate::client::{body, headers};
use crate::reply::{Reply, ok, redirect, status};
use crate::rig::Rig;
use crate::server::Server;

cases! { "decode";
    "E1" gzip_is_undone;
    "E2" deflate_in_zlib_is_undone;
    "E3" raw_deflate_is_undone;
    "E4" br_is_undone;
    "E5" zstd_of_many_frames_is_undone;
    "E6" gzip_of_many_members_is_undone;
    "E7" what_follows_gzip_is_ignored;
    "E8" a_truncated_body_is_undecodable;
    "E9" a_wrong_checksum_is_undecodable;
    "E10" what_is_no_gzip_is_undecodable;
    "E11" two_codings_are_undone_in_reverse;
    "E12" two_header_lines_are_one_list;
    "E13" six_codings_are_too_many;
    "E14" identity_is_no_coding;
    "E15" an_unknown_coding_is_handed_over_as_it_is;
    "E16" names_of_codings_have_no_case_and_old_forms;
    "E17" an_empty_body_decodes_to_nothing;
    "E18" a_head_with_a_coding_has_no_body;
    "E19" a_304_with_a_coding_has_no_body;
    "E20" bytes_one_by_one_are_decoded;
    "E21" a_bomb_is_stopped_in_little_memory;
    "E22" a_bomb_on_the_way_is_not_decoded;
    "E23" a_read_gives_no_more_than_asked_for;
    "E24" decoding_can_be_off;
    "E25" a_part_of_a_body_is_not_decoded;
    "E26" text_is_read_by_its_charset;
}

const TEXT: &str = "the text of the body, the text of the body, the text of the body";

pub(crate) fn gzip(bytes: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes.as_ref())?;
    Ok(encoder.finish()?)
}

pub(crate) fn zlib(bytes: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes.as_ref())?;
    Ok(encoder.finish()?)
}

fn deflate(bytes: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes.as_ref())?;
    Ok(encoder.finish()?)
}

/// "hello brotli, hello brotli, hello brotli" as node's zlib encodes it.
pub(crate) fn br() -> Result<Vec<u8>> {
    Ok(BASE64_STANDARD.decode("GycA+B0JNk50bySG12JlaHIahIWNTrKlvQVT8QDMDL8E")?)
}

/// "hello zstd, hello zstd, hello zstd" as the zstd command encodes it, with a checksum.
pub(crate) fn zstd() -> Result<Vec<u8>> {
    Ok(BASE64_STANDARD.decode("KLUv/QRYlQAAYGhlbGxvIHpzdGQsIAEAV0oSgWMKYg==")?)
}

fn coded(coding: &str, bytes: impl AsRef<[u8]>) -> Reply {
    ok(bytes).header("Content-Encoding", coding)
}

/// Fails unless this reply decodes to `expected`, with its coding and length gone.
async fn decodes(rig: &Rig, reply: Reply, expected: &str) -> Result<()> {
    let server = Server::replies([reply]).await?;
    let answer = rig.client().await?.get(server.url("/")).await?;
    same!(answer["body"], expected);
    same!(answer["decoded"], true);
    same!(headers(&answer, "content-encoding"), [""; 0]);
    same!(headers(&answer, "content-length"), [""; 0]);
    Ok(())
}

/// Fails unless this reply is undecodable, preloaded or read.
async fn undecodable(rig: &Rig, reply: Reply) -> Result<()> {
    let server = Server::replies([reply]).await?;
    let mut client = rig.client().await?;
    client.refused("undecodable", json!({"url": server.url("/")})).await?;
    // What is undecodable stays so: it is not asked for again.
    same!(server.arrivals(), 1);
    client.send(json!({"url": server.url("/"), "preload": null, "as": "r"})).await?;
    client.fails("undecodable", json!({"op": "read-all", "handle": "r"})).await?;
    client.fails("undecodable", json!({"op": "read", "handle": "r"})).await?;
    Ok(())
}

async fn gzip_is_undone(rig: &Rig) -> Result<()> {
    decodes(rig, coded("gzip", gzip(TEXT)?), TEXT).await
}

async fn deflate_in_zlib_is_undone(rig: &Rig) -> Result<()> {
    decodes(rig, coded("deflate", zlib(TEXT)?), TEXT).await
}

async fn raw_deflate_is_undone(rig: &Rig) -> Result<()> {
    decodes(rig, coded("deflate", deflate(TEXT)?), TEXT).await
}

async fn br_is_undone(rig: &Rig) -> Result<()> {
    decodes(rig, coded("br", br()?), "hello brotli, hello brotli, hello brotli").await
}

async fn zstd_of_many_frames_is_undone(rig: &Rig) -> Result<()> {
    let text = "hello zstd, hello zstd, hello zstd";
    decodes(rig, coded("zstd", zstd()?), text).await?;
    // A skippable frame in between (RFC 8878 section 3.1.2).
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    decodes(rig, coded("zstd", [&zstd()?[..], &skippable, &zstd()?].concat()), &text.repeat(2)).await
}

async fn gzip_of_many_members_is_undone(rig: &Rig) -> Result<()> {
    let members = [gzip("one ")?, gzip("")?, gzip("two ")?, gzip("three")?].concat();
    decodes(rig, coded("gzip", members), "one two three").await
}

async fn what_follows_gzip_is_ignored(rig: &Rig) -> Result<()> {
    for tail in [&b"\0\0\0\0"[..], b"garbage", b"\x1f"] {
        decodes(rig, coded("gzip", [&gzip(TEXT)?[..], tail].concat()), TEXT).await?;
    }
    Ok(())
}

async fn a_truncated_body_is_undecodable(rig: &Rig) -> Result<()> {
    for (coding, whole) in [("gzip", gzip(TEXT)?), ("deflate", zlib(TEXT)?), ("br", br()?), ("zstd", zstd()?)] {
        // Within the data, and within the checksum where there is one.
        for missing in [1, 12] {
            undecodable(rig, coded(coding, &whole[..whole.len() - missing])).await?;
        }
    }
    Ok(())
}

async fn a_wrong_checksum_is_undecodable(rig: &Rig) -> Result<()> {
    for (coding, mut whole, from_end) in [("gzip", gzip(TEXT)?, 8), ("deflate", zlib(TEXT)?, 1), ("zstd", zstd()?, 1)] {
        let at = whole.len() - from_end;
        whole[at] ^= 0xff;
        undecodable(rig, coded(coding, whole)).await?;
    }
    // The length of gzip's trailer.
    let mut whole = gzip(TEXT)?;
    let last = whole.len() - 1;
    whole[last] ^= 0xff;
    undecodable(rig, coded("gzip", whole)).await
}

async fn what_is_no_gzip_is_undecodable(rig: &Rig) -> Result<()> {
    for coding in ["gzip", "br", "zstd"] {
        undecodable(rig, coded(coding, "this is none of them, it is text")).await?;
    }
    // Who wants the bytes all the same takes them raw.
    let server = Server::replies([coded("gzip", "text")]).await?;
    let mut client = rig.client().await?;
    client.send(json!({"url": server.url("/"), "preload": null, "as": "r"})).await?;
    same!(client.ok(json!({"op": "take-raw", "handle": "r"})).await?["body_base64"], "dGV4dA==");
    Ok(())
}

async fn two_codings_are_undone_in_reverse(rig: &Rig) -> Result<()> {
    decodes(rig, coded("deflate, gzip", gzip(zlib(TEXT)?)?), TEXT).await?;
    decodes(rig, coded("gzip,deflate", zlib(gzip(TEXT)?)?), TEXT).await
}

async fn two_header_lines_are_one_list(rig: &Rig) -> Result<()> {
    let reply = coded("deflate", gzip(zlib(TEXT)?)?).header("Content-Encoding", "gzip");
    decodes(rig, reply, TEXT).await
}

async fn six_codings_are_too_many(rig: &Rig) -> Result<()> {
    let mut bytes = TEXT.as_bytes().to_vec();
    for _ in 0..5 {
        bytes = gzip(bytes)?;
    }
    decodes(rig, coded("gzip,gzip,gzip,gzip,gzip", &bytes), TEXT).await?;
    undecodable(rig, coded("gzip,gzip,gzip,gzip,gzip,gzip", gzip(bytes)?)).await
}

async fn identity_is_no_coding(rig: &Rig) -> Result<()> {
    decodes(rig, coded("identity, gzip", gzip(TEXT)?), TEXT).await?;
    let server = Server::replies([coded("identity", TEXT)]).await?;
    same!(rig.client().await?.get(server.url("/")).await?["body"], TEXT);
    Ok(())
}

async fn an_unknown_coding_is_handed_over_as_it_is(rig: &Rig) -> Result<()> {
    for coding in ["x-own", "gzip, x-own", "compress"] {
        let server = Server::replies([coded(coding, "raw")]).await?;
        let answer = rig.client().await?.get(server.url("/")).await?;
        same!(answer["body"], "raw", coding);
        same!(answer["decoded"], false);
        same!(headers(&answer, "content-encoding"), [coding]);
        same!(headers(&answer, "content-length"), ["3"]);
    }
    Ok(())
}

async fn names_of_codings_have_no_case_and_old_forms(rig: &Rig) -> Result<()> {
    for coding in ["GZIP", "x-gzip", "X-GZip", " gzip ,"] {
        decodes(rig, coded(coding, gzip(TEXT)?), TEXT).await?;
    }
    Ok(())
}

async fn an_empty_body_decodes_to_nothing(rig: &Rig) -> Result<()> {
    for coding in ["gzip", "deflate", "br", "zstd", "deflate, gzip"] {
        let server = Server::replies([coded(coding, "")]).await?;
        let answer = rig.client().await?.get(server.url("/")).await?;
        same!(answer["status"], 200, coding);
        same!(answer["body_bytes"], 0, coding);
    }
    Ok(())
}

async fn a_head_with_a_coding_has_no_body(rig: &Rig) -> Result<()> {
    let server = Server::replies([coded("gzip", gzip(TEXT)?)]).await?;
    let answer = rig.client().await?.send(json!({"method": "HEAD", "url": server.url("/")})).await?;
    same!(answer["status"], 200);
    same!(answer["body_bytes"], 0);
    // Nothing was decoded, so the headers tell of the body that a GET would get.
    same!(headers(&answer, "content-encoding"), ["gzip"]);
    same!(headers(&answer, "content-length"), [gzip(TEXT)?.len().to_string()]);
    Ok(())
}

async fn a_304_with_a_coding_has_no_body(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(304).header("Content-Encoding", "gzip")]).await?;
    let answer = rig.client().await?.get(server.url("/")).await?;
    same!(answer["status"], 304);
    same!(answer["body_bytes"], 0);
    Ok(())
}

async fn bytes_one_by_one_are_decoded(rig: &Rig) -> Result<()> {
    for (coding, bytes, expected) in [
        ("gzip", gzip(TEXT)?, TEXT),
        ("deflate", deflate(TEXT)?, TEXT),
        ("br", br()?, "hello brotli, hello brotli, hello brotli"),
        ("zstd", zstd()?, "hello zstd, hello zstd, hello zstd"),
    ] {
        let chunks = bytes.iter().map(|&byte| [byte]);
        let reply = status(200).header("Content-Encoding", coding).chunks(chunks);
        decodes(rig, reply.pieces(6, Until::Passed(std::time::Duration::ZERO)), expected).await?;
    }
    Ok(())
}

async fn a_bomb_is_stopped_in_little_memory(rig: &Rig) -> Result<()> {
    const LIMIT: usize = 8 << 20;
    // A gibibyte in a mebibyte.
    let bomb = gzip(vec![0; 1 << 20])?.repeat(1024);
    let server = Server::replies([coded("gzip", bomb)]).await?;
    // Read piece by piece it takes no more than a piece, whatever the limit.
    let mut client = rig.client().await?;
    let before = client.memory();
    let request = json!({"url": server.url("/"), "max_ratio": null, "max_body": LIMIT, "preload": null, "as": "r"});
    client.send(request).await?;
    let mut came = 0;
    let error = loop {
        let piece = client.op(json!({"op": "read", "handle": "r", "max": 65_536})).await;
        if piece["ok"] != true {
            break piece;
        }
        came += body(&piece)?.len();
    };
    same!(error["error"]["kind"], "too-large");
    ensure!(came <= LIMIT, "{came} bytes of a body that may have {LIMIT}");
    let took = client.memory() - before;
    ensure!(took <= 1 << 20, "took {took} bytes to read a body");
    // Collected it takes what it may decode to, and what a vector that doubles leaves behind.
    let mut client = rig.client().await?;
    let before = client.memory();
    client.refused("too-large", json!({"url": server.url("/"), "max_ratio": null, "max_body": LIMIT})).await?;
    let took = client.memory() - before;
    ensure!(took <= 3 * LIMIT, "took {took} bytes to refuse a body beyond {LIMIT}");
    Ok(())
}

async fn a_bomb_on_the_way_is_not_decoded(rig: &Rig) -> Result<()> {
    let bomb = gzip(vec![0; 32 << 20])?;
    let moved = redirect(302, "/next").body(&bomb).header("Content-Encoding", "gzip");
    let busy = status(503).header("Retry-After", "0").body(&bomb).header("Content-Encoding", "gzip");
    let server = Server::replies([moved, busy, ok("there")]).await?;
    same!(rig.client().await?.get(server.url("/")).await?["body"], "there");
    Ok(())
}

async fn a_read_gives_no_more_than_asked_for(rig: &Rig) -> Result<()> {
    let text = TEXT.repeat(1000);
    let server = Server::replies([coded("gzip", gzip(&text)?)]).await?;
    let mut client = rig.client().await?;
    client.send(json!({"url": server.url("/"), "preload": null, "as": "r"})).await?;
    let mut all = Vec::new();
    loop {
        let piece = client.ok(json!({"op": "read", "handle": "r", "max": 7000})).await?;
        let bytes = body(&piece)?;
        ensure!(bytes.len() <= 7000, "{} bytes", bytes.len());
        if bytes.is_empty() {
            break;
        }
        all.extend(bytes);
    }
    ensure!(all == text.as_bytes(), "{} bytes", all.len());
    Ok(())
}

async fn decoding_can_be_off(rig: &Rig) -> Result<()> {
    let coded = coded("gzip", gzip(TEXT)?);
    let server = Server::replies([coded]).await?;
    let answer = rig.client().await?.send(json!({"url": server.url("/"), "decode": false})).await?;
    same!(body(&answer)?, gzip(TEXT)?);
    same!(answer["decoded"], false);
    same!(headers(&answer, "content-encoding"), ["gzip"]);
    Ok(())
}

async fn a_part_of_a_body_is_not_decoded(rig: &Rig) -> Result<()> {
    let part = &gzip(TEXT)?[5..20];
    let reply = status(206).header("Content-Range", "bytes 5-19/40").header("Content-Encoding", "gzip").body(part);
    let server = Server::replies([reply]).await?;
    let request = json!({"url": server.url("/"), "headers": [["Range", "bytes=5-19"]]});
    let answer = rig.client().await?.send(request).await?;
    same!(body(&answer)?, part);
    same!(headers(&answer, "content-encoding"), ["gzip"]);
    Ok(())
}

async fn text_is_read_by_its_charset(rig: &Rig) -> Result<()> {
    for (content_type, bytes, expected) in [
        ("text/plain; charset=iso-8859-1", &b"caf\xe9"[..], "café"),
        ("text/plain; charset=\"UTF-8\"", "café".as_bytes(), "café"),
        ("text/plain", "café".as_bytes(), "café"),
        ("text/plain", b"caf\xe9", "caf\u{fffd}"),
        ("text/plain; charset=utf-8", b"\xff\xfec\0a\0f\0\xe9\0", "café"),
        ("text/plain; charset=iso-8859-1", b"\xef\xbb\xbfcaf\xc3\xa9", "café"),
        ("text/plain; charset=no-such", "café".as_bytes(), "café"),
    ] {
        let server = Server::replies([ok(bytes).header("Content-Type", content_type)]).await?;
        let mut client = rig.client().await?;
        client.send(json!({"url": server.url("/"), "as": "r"})).await?;
        same!(client.ok(json!({"op": "read-text", "handle": "r"})).await?["text"], expected, content_type);
    }
    Ok(())
}
