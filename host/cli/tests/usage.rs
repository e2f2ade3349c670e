//! What is wrong before a connection: one line that names it, and status 2.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::{Ran, Server, urlpool, urlpool_with};

/// One line on stderr that names the culprit, nothing on stdout, status 2.
fn refused(ran: &Ran, culprit: &str) {
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(ran.stdout.is_empty());
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains(culprit), "{}", ran.stderr);
}

#[test]
fn bad_input_is_one_line_before_any_connection() {
    let server = Server::start();
    let good = server.url("/");
    let large = format!("x: {}", "a".repeat(100_000));
    for (args, culprit) in [
        (&["no-scheme.test/path"][..], "no-scheme.test"),
        (&["ftp://a.test/"][..], "ftp"),
        (&["-H", "a: b\r\nc: d"][..], "a"),
        (&["-H", "no colon"][..], "no colon"),
        (&["-H", "sp ace: b"][..], "sp ace"),
        (&["-X", "GE T"][..], "GE T"),
        (&["-T", "/does/not/exist"][..], "/does/not/exist"),
        (&["-d", "@/does/not/exist"][..], "/does/not/exist"),
        (&["-F", "f=@/does/not/exist"][..], "/does/not/exist"),
        (&["--json-body", "{"][..], "--json-body"),
        (&["--resolve", "nonsense"][..], "--resolve"),
        (&["--cacert", "/does/not/exist"][..], "/does/not/exist"),
        (&["--cert", "/does/not/exist", "--key", "/neither"][..], "--cert /does/not/exist"),
        (&["--allow", "a b"][..], "--allow"),
        (&["--deny", "10.0.0.0/99"][..], "--deny"),
        (&["--proxy", "socks5://p.test"][..], "--proxy"),
        (&["--base", "nonsense"][..], "nonsense"),
        (&["-F", "a=b", "--boundary", "bad\u{e9}"][..], "boundary"),
    ] {
        // The good URL stands first: not even that one is asked for.
        let args = [&["send", &good], args].concat();
        refused(&urlpool(&args), culprit);
    }
    // Two of them, since the kernel limits a single argument to 128 KiB.
    let ran = urlpool(&["send", &good, "-H", &large, "-H", &large]);
    refused(&ran, "headers of 200");
    refused(&urlpool(&["send", &good, "-d", "abc", "-H", "content-length: 5"]), "content-length");
    assert_eq!(server.connections(), 0);
}

#[test]
fn unknown_flags_and_values_are_usage() {
    for args in [
        &["send"][..],
        &["send", "u", "--nonsense"][..],
        &["send", "u", "--timeout", "soon"][..],
        &["send", "u", "--retries", "many"][..],
        &["send", "u", "--jitter", "some"][..],
        &["send", "u", "--retry-on", "99"][..],
        &["send", "u", "--retry-methods", "GET,P UT"][..],
        &["send", "u", "--strip-header", "x y"][..],
        &["send", "u", "-d", "a", "-T", "b"][..],
        &["nonsense"][..],
        &["component"][..],
    ] {
        let ran = urlpool(args);
        assert_eq!(ran.status, 2, "{args:?}");
        assert!(ran.stdout.is_empty());
    }
}

#[test]
fn a_script_that_cannot_be_read_is_usage() {
    refused(&urlpool(&["script", "/does/not/exist"]), "/does/not/exist");
}

#[test]
fn help_shows_every_command_and_examples() {
    let help = urlpool(&["help"]);
    assert_eq!(help.status, 0);
    for word in ["send", "script", "demo", "component", "wit", "Examples"] {
        assert!(help.text().contains(word), "{word}");
    }
    let help = urlpool(&["send", "--help"]);
    for flag in [
        "--base",
        "--query",
        "--json-body",
        "--boundary",
        "--bearer",
        "--raw",
        "--stream",
        "--preload",
        "--repeat",
        "--concurrency",
        "--slots",
        "--no-block",
        "--retries",
        "--no-retries",
        "--retry-connect",
        "--retry-read",
        "--retry-status",
        "--retry-other",
        "--retry-on",
        "--retry-methods",
        "--backoff",
        "--backoff-max",
        "--jitter",
        "--no-retry-after",
        "--retry-after-max",
        "--raise-status",
        "--redirects",
        "--no-redirects",
        "--strip-header",
        "--https-only",
        "--timeout",
        "--timeout-slot",
        "--timeout-connect",
        "--timeout-write",
        "--timeout-first-byte",
        "--timeout-between-bytes",
        "--max-body",
        "--max-ratio",
        "--no-decode",
        "--seed",
        "--connections",
        "--idle-timeout",
        "--cacert",
        "--resolve",
        "--transport",
        "--stats",
        "--json",
    ] {
        assert!(help.text().contains(flag), "{flag}");
    }
}

#[test]
fn the_interface_is_printed_as_one_wit_file() {
    let wit = urlpool(&["wit"]);
    assert_eq!(wit.status, 0);
    assert_eq!(wit.text().matches("package urlpool:client@").count(), 1);
    for item in ["interface policy", "interface messages", "interface pool", "world client"] {
        assert!(wit.text().contains(item), "{item}");
    }
    // What it refers to comes along, so that it can be included by itself; `cargo xtask interop` has other people's tools do so.
    for package in ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:http", "wasi:io", "wasi:random", "wasi:sockets"]
    {
        assert_eq!(wit.text().matches(&format!("package {package}@")).count(), 1, "{package}");
    }
}

#[test]
fn the_component_is_written_as_it_is() {
    let component = urlpool(&["component", "-o", "-"]);
    assert_eq!(component.status, 0);
    // The magic number of WebAssembly, and the version of components.
    assert_eq!(component.stdout[..8], *b"\0asm\x0d\0\x01\0");
}

#[test]
fn a_script_answers_each_line_and_ends_well() {
    let ran = urlpool_with(&["script"], b"# comment\n\n{\"op\":\"nonsense\",\"id\":7}\nnot json\n");
    assert_eq!(ran.status, 0);
    let lines = ran.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["id"], 7);
    assert_eq!(lines[0]["error"]["kind"], "usage");
    assert_eq!(lines[1]["op"], serde_json::Value::Null);
    assert_eq!(lines[1]["error"]["kind"], "usage");
}
