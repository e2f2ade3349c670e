//! The bytes of multipart forms, exactly.
//!
//! Longer than most files: each row is a byte-for-byte promise.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::case::{cases, same};
use crate::client::base64;
use crate::reply::{ok, reset, status};
use crate::rig::Rig;
use crate::server::{Request, Server};

cases! { "multipart";
    "M1" two_fields_are_two_parts;
    "M2" the_order_of_fields_is_kept;
    "M3" repeated_names_are_kept;
    "M4" a_file_without_a_type_is_an_octet_stream;
    "M5" the_type_of_a_file_is_kept;
    "M6" the_type_is_never_guessed_from_the_name;
    "M7" an_empty_filename_is_kept;
    "M8" an_empty_value_is_kept;
    "M9" an_empty_form_is_its_closing_delimiter;
    "M10" quotes_and_line_breaks_in_names_are_percent_encoded;
    "M11" other_characters_in_names_stay_as_they_are;
    "M12" names_beyond_ascii_are_utf_8;
    "M13" a_literal_percent_22_stays;
    "M14" semicolons_and_commas_in_a_filename_stay;
    "M15" brackets_in_a_name_stay;
    "M16" binary_content_is_unchanged;
    "M17" content_may_hold_what_looks_like_a_boundary;
    "M18" a_bad_boundary_is_refused;
    "M19" a_boundary_with_specials_is_quoted;
    "M20" a_boundary_that_occurs_in_the_content_is_refused;
    "M21" the_length_is_exact_when_all_parts_are_known;
    "M22" a_part_of_unknown_length_makes_chunks;
    "M24" another_content_type_beside_a_form_is_refused;
    "M25" a_bad_type_of_a_part_is_refused;
    "M27" a_file_of_100_mb_is_streamed_in_little_memory;
    "M28" a_streamed_file_is_sent_again_from_its_replay_buffer;
    "M28b" a_streamed_file_beyond_its_replay_buffer_is_not_sent_again;
    "M30" a_post_without_a_body_has_a_length_of_zero;
    "M32" two_forms_have_two_boundaries;
}

/// Posts these fields as a multipart form with the boundary `B`, and gives what arrived.
async fn posted(rig: &Rig, fields: Value) -> Result<Request> {
    let server = Server::replies([ok("")]).await?;
    let form = json!({"method": "POST", "url": server.url("/"), "form": fields, "multipart": true, "boundary": "B"});
    rig.client().await?.send(form).await?;
    let request = server.request(0)?;
    same!(request.header("content-type"), Some("multipart/form-data; boundary=B"));
    same!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
    Ok(request)
}

/// The bytes of a part with this disposition and content.
fn part(disposition: &str, content: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
}

/// The bytes of a file part.
fn file(disposition: &str, media_type: &str, content: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {media_type}\r\n\r\n{content}\r\n")
}

const END: &str = "--B--\r\n";

/// The disposition that a file of this name and filename gets.
async fn disposition(rig: &Rig, name: &str, filename: &str) -> Result<String> {
    let request = posted(rig, json!([{"name": name, "filename": filename, "content": "x"}])).await?;
    let text = String::from_utf8(request.body.to_vec())?;
    let line = text.split("\r\n").nth(1).context("a second line")?;
    Ok(line.strip_prefix("Content-Disposition: form-data; ").context("a disposition")?.to_owned())
}

async fn two_fields_are_two_parts(rig: &Rig) -> Result<()> {
    let request = posted(rig, json!([{"name": "a", "value": "1"}, {"name": "b", "value": "2"}])).await?;
    same!(request.text(), part("name=\"a\"", "1") + &part("name=\"b\"", "2") + END);
    Ok(())
}

async fn the_order_of_fields_is_kept(rig: &Rig) -> Result<()> {
    let names = ["z", "a", "m", "0", "Z"];
    let fields: Vec<_> = names.iter().map(|name| json!({"name": name, "value": "v"})).collect();
    let expected: String = names.iter().map(|name| part(&format!("name=\"{name}\""), "v")).collect();
    same!(posted(rig, json!(fields)).await?.text(), expected + END);
    Ok(())
}

async fn repeated_names_are_kept(rig: &Rig) -> Result<()> {
    let request = posted(rig, json!([{"name": "a", "value": "1"}, {"name": "a", "value": "2"}])).await?;
    same!(request.text(), part("name=\"a\"", "1") + &part("name=\"a\"", "2") + END);
    Ok(())
}

async fn a_file_without_a_type_is_an_octet_stream(rig: &Rig) -> Result<()> {
    let request = posted(rig, json!([{"name": "f", "filename": "a.txt", "content": "hi"}])).await?;
    same!(request.text(), file("name=\"f\"; filename=\"a.txt\"", "application/octet-stream", "hi") + END);
    Ok(())
}

async fn the_type_of_a_file_is_kept(rig: &Rig) -> Result<()> {
    let field = json!([{"name": "f", "filename": "a", "content": "hi", "type": "text/plain; charset=utf-8"}]);
    let request = posted(rig, field).await?;
    same!(request.text(), file("name=\"f\"; filename=\"a\"", "text/plain; charset=utf-8", "hi") + END);
    Ok(())
}

async fn the_type_is_never_guessed_from_the_name(rig: &Rig) -> Result<()> {
    let request = posted(rig, json!([{"name": "f", "filename": "a.unknown-extension", "content": ""}])).await?;
    same!(request.text(), file("name=\"f\"; filename=\"a.unknown-extension\"", "application/octet-stream", "") + END);
    Ok(())
}

async fn an_empty_filename_is_kept(rig: &Rig) -> Result<()> {
    same!(disposition(rig, "f", "").await?, "name=\"f\"; filename=\"\"");
    Ok(())
}

async fn an_empty_value_is_kept(rig: &Rig) -> Result<()> {
    let request = posted(rig, json!([{"name": "a", "value": ""}, {"name": "", "value": "x"}])).await?;
    same!(request.text(), part("name=\"a\"", "") + &part("name=\"\"", "x") + END);
    Ok(())
}

async fn an_empty_form_is_its_closing_delimiter(rig: &Rig) -> Result<()> {
    same!(posted(rig, json!([])).await?.text(), END);
    Ok(())
}

async fn quotes_and_line_breaks_in_names_are_percent_encoded(rig: &Rig) -> Result<()> {
    let expected = "name=\"a%22b%0D%0Ac\"; filename=\"d%0Ae%0Df%22\"";
    same!(disposition(rig, "a\"b\r\nc", "d\ne\rf\"").await?, expected);
    Ok(())
}

async fn other_characters_in_names_stay_as_they_are(rig: &Rig) -> Result<()> {
    let name = "a\\b\tc\u{7}d'e\u{1f600}";
    same!(disposition(rig, name, "C:\\dir\\x").await?, format!("name=\"{name}\"; filename=\"C:\\dir\\x\""));
    Ok(())
}

async fn names_beyond_ascii_are_utf_8(rig: &Rig) -> Result<()> {
    same!(disposition(rig, "näme", "Прайс.pdf").await?, "name=\"näme\"; filename=\"Прайс.pdf\"");
    Ok(())
}

async fn a_literal_percent_22_stays(rig: &Rig) -> Result<()> {
    same!(disposition(rig, "a%22b", "c%0Dd").await?, "name=\"a%22b\"; filename=\"c%0Dd\"");
    Ok(())
}

async fn semicolons_and_commas_in_a_filename_stay(rig: &Rig) -> Result<()> {
    same!(disposition(rig, "f", "a;b,c.txt").await?, "name=\"f\"; filename=\"a;b,c.txt\"");
    Ok(())
}

async fn brackets_in_a_name_stay(rig: &Rig) -> Result<()> {
    same!(disposition(rig, "user[files][]", "a").await?, "name=\"user[files][]\"; filename=\"a\"");
    Ok(())
}

/// Every byte there is, forty times.
fn all_bytes() -> Vec<u8> {
    (0..=u8::MAX).cycle().take(256 * 40).collect()
}

async fn binary_content_is_unchanged(rig: &Rig) -> Result<()> {
    let content = all_bytes();
    let request = posted(rig, json!([{"name": "f", "filename": "f", "content_base64": base64(&content)}])).await?;
    let mut expected = file("name=\"f\"; filename=\"f\"", "application/octet-stream", "").into_bytes();
    expected.truncate(expected.len() - 2);
    expected.extend_from_slice(&content);
    expected.extend_from_slice(b"\r\n--B--\r\n");
    ensure!(request.body == expected, "{} bytes arrived, {} expected", request.body.len(), expected.len());
    Ok(())
}

async fn content_may_hold_what_looks_like_a_boundary(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let content = "--\r\n--B\r\n----\r\n";
    let form =
        json!({"method": "POST", "url": server.url("/"), "form": [{"name": "a", "filename": "f", "content": content}]});
    rig.client().await?.send(form).await?;
    let request = server.request(0)?;
    let boundary = boundary_of(&request)?;
    same!(request.text().matches(&format!("--{boundary}")).count(), 2);
    ensure!(request.text().contains(content), "{}", request.text());
    Ok(())
}

fn boundary_of(request: &Request) -> Result<String> {
    let content_type = request.header("content-type").context("a content type")?;
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").context("a boundary")?;
    Ok(boundary.trim_matches('"').to_owned())
}

async fn a_bad_boundary_is_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    let long = "x".repeat(71);
    for boundary in ["", "a\r\nb", "a\"b", "ends in space ", "ümlaut", "semi;colon", long.as_str()] {
        let form =
            json!({"method": "POST", "url": server.url("/"), "form": [], "multipart": true, "boundary": boundary});
        client.refused("invalid-request", form).await?;
    }
    same!(server.connections(), 0);
    Ok(())
}

async fn a_boundary_with_specials_is_quoted(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let form =
        json!({"method": "POST", "url": server.url("/"), "form": [], "multipart": true, "boundary": "a/b:c=d?e f"});
    rig.client().await?.send(form).await?;
    let request = server.request(0)?;
    same!(request.header("content-type"), Some("multipart/form-data; boundary=\"a/b:c=d?e f\""));
    same!(request.text(), "--a/b:c=d?e f--\r\n");
    Ok(())
}

async fn a_boundary_that_occurs_in_the_content_is_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let fields = json!([{"name": "a", "value": "x\r\n--B\r\ny"}]);
    let form = json!({"method": "POST", "url": server.url("/"), "form": fields, "multipart": true, "boundary": "B"});
    rig.client().await?.refused("invalid-request", form).await?;
    same!(server.connections(), 0);
    Ok(())
}

async fn the_length_is_exact_when_all_parts_are_known(rig: &Rig) -> Result<()> {
    let request = posted(
        rig,
        json!([
            {"name": "a", "value": "1"},
            {"name": "f", "filename": "f", "stream": {"chunks": ["abc", "de"], "length": 5}},
            {"name": "g", "filename": "g", "content": "x"},
        ]),
    )
    .await?;
    same!(
        request.text(),
        part("name=\"a\"", "1")
            + &file("name=\"f\"; filename=\"f\"", "application/octet-stream", "abcde")
            + &file("name=\"g\"; filename=\"g\"", "application/octet-stream", "x")
            + END
    );
    same!(request.header("transfer-encoding"), None);
    Ok(())
}

async fn a_part_of_unknown_length_makes_chunks(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let fields =
        json!([{"name": "f", "filename": "f", "stream": {"chunks": ["abc", "de"]}}, {"name": "a", "value": "1"}]);
    let form = json!({"method": "POST", "url": server.url("/"), "form": fields, "boundary": "B", "multipart": true});
    rig.client().await?.send(form).await?;
    let request = server.request(0)?;
    same!(request.header("content-length"), None);
    same!(request.header("transfer-encoding"), Some("chunked"));
    let expected =
        file("name=\"f\"; filename=\"f\"", "application/octet-stream", "abcde") + &part("name=\"a\"", "1") + END;
    same!(request.text(), expected);
    Ok(())
}

async fn another_content_type_beside_a_form_is_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let fields = json!([{"name": "f", "filename": "f", "content": "x"}]);
    let form =
        json!({"method": "POST", "url": server.url("/"), "form": fields, "headers": [["Content-Type", "text/plain"]]});
    rig.client().await?.refused("invalid-request", form).await?;
    same!(server.connections(), 0);
    Ok(())
}

async fn a_bad_type_of_a_part_is_refused(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    for media_type in ["text", "text/plain\r\nX-Evil: 1", "", "a b/c"] {
        let fields = json!([{"name": "f", "filename": "f", "content": "x", "type": media_type}]);
        client.refused("invalid-request", json!({"method": "POST", "url": server.url("/"), "form": fields})).await?;
    }
    same!(server.connections(), 0);
    Ok(())
}

async fn a_streamed_file_is_sent_again_from_its_replay_buffer(rig: &Rig) -> Result<()> {
    let server = Server::replies([status(503).header("Retry-After", "0"), ok("good")]).await?;
    let fields = json!([{"name": "f", "filename": "f", "stream": {"chunks": ["abc", "de"], "length": 5}}]);
    let form = json!({"method": "PUT", "url": server.url("/"), "form": fields});
    same!(rig.client().await?.send(form).await?["body"], "good");
    same!(server.request(0)?.text(), server.request(1)?.text());
    ensure!(server.request(1)?.text().contains("abcde"), "{}", server.request(1)?.text());
    Ok(())
}

async fn a_file_of_100_mb_is_streamed_in_little_memory(rig: &Rig) -> Result<()> {
    const SIZE: usize = 100_000_000;
    let zeros = Zeros::of(SIZE)?;
    let server = Server::replies([ok("got it")]).await?;
    let mut client = rig.client().await?;
    let before = client.memory();
    let fields = json!([{"name": "f", "filename": "f", "file": zeros.0}]);
    let form = json!({"method": "POST", "url": server.url("/"), "form": fields, "boundary": "B"});
    same!(client.send(form).await?["body"], "got it");
    let start = file("name=\"f\"; filename=\"f\"", "application/octet-stream", "").len() - "\r\n".len();
    let length = start + SIZE + "\r\n".len() + END.len();
    let body = server.request(0)?.body;
    same!(server.request(0)?.header("content-length"), Some(length.to_string().as_str()));
    same!(body.len(), length);
    ensure!(body[start..start + SIZE].iter().all(|&byte| byte == 0), "the content differs");
    let memory = client.memory();
    // A mebibyte of it is the replay buffer.
    ensure!(memory - before < 2 << 20, "the component took {before} bytes, and {memory} after it");
    Ok(())
}

/// A file of zeros, gone when this is; as a hole it takes no room.
struct Zeros(PathBuf);

impl Zeros {
    fn of(size: usize) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("urlpool-zeros-{}-{size}", std::process::id()));
        let zeros = Self(path);
        let file = File::create(&zeros.0).with_context(|| zeros.0.display().to_string())?;
        file.set_len(size as u64)?;
        Ok(zeros)
    }
}

impl Drop for Zeros {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn a_streamed_file_beyond_its_replay_buffer_is_not_sent_again(rig: &Rig) -> Result<()> {
    let server = Server::routes([
        ("/busy", vec![status(503).header("Retry-After", "0").body("busy"), ok("")]),
        ("/reset", vec![reset(), ok("")]),
    ])
    .await?;
    let mut client = rig.client().await?;
    let chunk = "x".repeat(256 * 1024);
    let form = |path: &str| {
        let stream = json!({"chunks": vec![chunk.clone(); 6], "length": chunk.len() * 6});
        json!({"method": "PUT", "url": server.url(path), "form": [{"name": "f", "filename": "f", "stream": stream}]})
    };
    let answer = client.send(form("/busy")).await?;
    same!(answer["status"], 503);
    same!(answer["body"], "busy");
    ensure!(answer["not_retried_because"].is_string(), "no reason given: {answer}");
    client.refused("not-replayable", form("/reset")).await?;
    same!(server.log().count("/busy"), 1);
    same!(server.log().count("/reset"), 1);
    Ok(())
}

async fn a_post_without_a_body_has_a_length_of_zero(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    rig.client().await?.send(json!({"method": "POST", "url": server.url("/")})).await?;
    same!(server.request(0)?.header("content-length"), Some("0"));
    Ok(())
}

async fn two_forms_have_two_boundaries(rig: &Rig) -> Result<()> {
    let server = Server::replies([ok("")]).await?;
    let mut client = rig.client().await?;
    let fields = json!([{"name": "f", "filename": "f", "content": "x"}]);
    for _ in 0..2 {
        client.send(json!({"method": "POST", "url": server.url("/"), "form": fields})).await?;
    }
    let (first, second) = (boundary_of(&server.request(0)?)?, boundary_of(&server.request(1)?)?);
    ensure!(first != second, "both are {first}");
    ensure!(first.len() >= 32, "only {first}");
    Ok(())
}
