//! `urlpool serve`, as someone at a terminal sees it, and whoever sends requests to it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::{Folder, Server, guest, urlpool};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread,
};

/// The program, serving.
struct Serving {
    child: Child,
    address: String,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Serving {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_urlpool"))
            .args([&["serve", "--addr", "127.0.0.1:0"], args].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on http://").and_then(|rest| rest.strip_suffix("/\n"));
        let address = address.unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { child, address, stdout, stderr }
    }

    fn get(&self, path: &str) -> (u16, String) {
        get(&self.address, path)
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Its status, and what it told on stderr, once it has ended.
    fn end(mut self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        let mut told = String::new();
        self.stderr.read_to_string(&mut told).unwrap();
        (self.child.wait().unwrap().code(), told)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    // Chunks of a body that was written in pieces.
    let body = match head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        true => body.split("\r\n").skip(1).step_by(2).collect(),
        false => body.to_owned(),
    };
    (status, body)
}

#[test]
fn many_requests_go_over_the_same_connections() {
    let upstream = Server::start();
    let allow = format!("127.0.0.1:{}", upstream.port);
    let serving = Serving::start(&["--allow", &allow, "--stats", "--connections", "2", &guest("edge")]);
    let path = format!("/fan?20000&{0}&{0}&{0}", upstream.url("/"));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(serving.get(&path), (200, "200 hello\n".repeat(3))));
        }
    });
    assert!(upstream.connections() <= 2, "{}", upstream.connections());
    let (status, told) = serving.end("-TERM");
    assert_eq!((status, told.lines().count()), (Some(0), 1), "{told}");
    let stats = &serde_json::from_str::<Value>(&told).unwrap()["stats"];
    assert_eq!((stats["requests"].as_u64(), stats["served"]["instances"].as_u64()), (Some(24), Some(8)));
    assert_eq!(stats["served"]["answered"]["2xx"].as_u64(), Some(8));
}

#[test]
fn what_fails_is_one_line_and_a_status() {
    let upstream = Server::start();
    let mut serving = Serving::start(&["--deadline", "300ms", &guest("edge")]);
    assert_eq!(serving.get("/trap?token=secret").0, 500);
    assert_eq!(serving.line(), "urlpool: GET /trap: component: trapped: wasm `unreachable` instruction executed\n");
    assert_eq!(serving.get("/spin").0, 504);
    assert_eq!(serving.line(), "urlpool: GET /spin: component: took longer than the deadline\n");
    // Egress is closed, and the hint told once.
    let path = format!("/fan?20000&{}", upstream.url("/"));
    for _ in 0..2 {
        assert_eq!(serving.get(&path), (200, "ErrorKind::Denied\n".to_owned()));
    }
    let (status, told) = serving.end("-INT");
    let hint = format!("--allow 127.0.0.1:{} or --allow-private lets it through", upstream.port);
    assert_eq!((status, told.lines().count()), (Some(0), 1), "{told}");
    assert!(told.contains(&hint), "{told}");
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn every_request_is_told_when_asked_for() {
    let mut serving = Serving::start(&["-v", &guest("edge")]);
    assert_eq!(serving.get("/hello?token=secret").0, 200);
    let line = serving.line();
    // No colours where there is no terminal.
    assert!(line.starts_with("GET /hello 200 ") && line.ends_with(" ms\n"), "{line:?}");
    assert_eq!(serving.end("-TERM").0, Some(0));
}

#[test]
fn what_has_begun_is_finished_after_the_signal() {
    let serving = Serving::start(&["-v", &guest("edge")]);
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    write!(stream, "POST /echo HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 10\r\n\r\nhalf ").unwrap();
    // The head of the answer comes before the body has ended.
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK\r\n");
    serving.signal("-TERM");
    while TcpStream::connect(&serving.address).is_ok() {
        thread::yield_now();
    }
    stream.write_all(b"whole").unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("half ") && rest.contains("whole"), "{rest}");
    let (status, _) = serving.end("-0");
    assert_eq!(status, Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let serving = Serving::start(&[&guest("edge")]);
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    write!(stream, "POST /echo HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 10\r\n\r\nhalf ").unwrap();
    let mut status = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut status).unwrap();
    serving.signal("-TERM");
    while TcpStream::connect(&serving.address).is_ok() {
        thread::yield_now();
    }
    assert_eq!(serving.end("-TERM").0, Some(1));
}

#[test]
fn figures_are_shown_for_prometheus() {
    let mut serving = Serving::start(&["--metrics", "127.0.0.1:0", &guest("edge")]);
    let mut line = String::new();
    serving.stdout.read_line(&mut line).unwrap();
    let address = line.strip_prefix("figures at http://").and_then(|rest| rest.strip_suffix("/metrics\n")).unwrap();
    serving.get("/hello");
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200);
    for line in ["urlpool_served_requests_total{class=\"2xx\"} 1", "urlpool_connections_live 0"] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    assert_eq!(serving.end("-TERM").0, Some(0));
}

#[test]
fn what_cannot_be_served_is_named_before() {
    let folder = Folder::new("what_cannot_be_served");
    let module = folder.file("module.wasm", b"\0asm\x01\0\0\0");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (args, words) in [
        (&[&*guest("get")][..], &["guest-get.wasm: is a command and handles no requests; `urlpool run` runs it"][..]),
        (&[&module], &["module.wasm: a core module"]),
        (&["/does/not/exist.wasm"], &["/does/not/exist.wasm"]),
        (&["--addr", &taken, &guest("edge")], &["--addr", &taken]),
        (&["--instances", "0", &guest("edge")], &["--instances"]),
    ] {
        let ran = urlpool(&[&["serve"], args].concat());
        assert_eq!((ran.status, ran.text(), ran.stderr.lines().count()), (2, "", 1), "{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
    }
    let ran = urlpool(&["run", &guest("edge")]);
    assert!(ran.status == 2 && ran.stderr.contains("`urlpool serve` runs it"), "{}", ran.stderr);
}
