//! A server of a few pages on a free port, and the program to call it with.

#![allow(dead_code, reason = "each test file uses a part of it")]

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

/// What one call of the program left behind.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Each line of the output as JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The only line of the output as JSON.
    pub(crate) fn line(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{} {}", self.text(), self.stderr);
        lines.remove(0)
    }
}

/// Calls the program.
pub(crate) fn urlpool(args: &[&str]) -> Ran {
    urlpool_with(args, b"")
}

/// Calls the program with a standard input.
pub(crate) fn urlpool_with(args: &[&str], stdin: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_urlpool"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // A program that is done does not read on, so a broken pipe is no failure of the test.
    let writer = thread::spawn(move || drop(pipe.write_all(&stdin)));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(!stderr.contains("not embedded in this build"), "this test needs the component: run `cargo xtask test`");
    Ran { status: status.code().expect("ended by itself"), stdout, stderr }
}

/// A guest of the tests, which `cargo xtask test` builds.
pub(crate) fn guest(name: &str) -> String {
    let path = format!("{}/../../target/component/guest-{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    assert!(std::path::Path::new(&path).exists(), "this test needs guest-{name}.wasm: run `cargo xtask test`");
    path
}

/// A folder of this test alone, empty at first, which goes with it.
pub(crate) struct Folder(std::path::PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn join(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file there and returns where it is.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A server that answers until the test process ends.
pub(crate) struct Server {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, SeqCst);
                thread::spawn(|| converse(stream.unwrap()));
            }
        });
        Self { port, connections }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

fn converse(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let header = |wanted: &str| {
            head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
            })
        };
        let mut body = Vec::new();
        if let Some(length) = header("content-length") {
            body.resize(length.parse().ok()?, 0);
            reader.read_exact(&mut body).ok()?;
        } else if header("transfer-encoding").is_some() {
            loop {
                let mut size = String::new();
                reader.read_line(&mut size).ok()?;
                let size = usize::from_str_radix(size.trim(), 16).ok()?;
                let mut chunk = vec![0; size + 2];
                reader.read_exact(&mut chunk).ok()?;
                body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        }
        let path = head.split(' ').nth(1)?;
        match path.split('?').next()? {
            "/" => answer(&mut stream, "200 OK", "Content-Type: text/plain\r\n", b"hello\n")?,
            "/echo" => answer(&mut stream, "200 OK", "", &[head.as_bytes(), &body].concat())?,
            "/bytes" => {
                let bytes: Vec<u8> = (0..=255).collect();
                answer(&mut stream, "200 OK", "X-Latin: caf\u{e9}\r\n", &bytes)?;
            }
            "/missing" => answer(&mut stream, "404 Not Found", "", b"missing\n")?,
            "/redirect" => answer(&mut stream, "302 Found", "Location: /\r\n", b"")?,
            "/cut" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").ok()?;
                return None;
            }
            "/stall" => loop {
                thread::park();
            },
            _ => answer(&mut stream, "400 Bad Request", "", b"")?,
        }
    }
}

fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> Option<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    // Header values are Latin-1 on the wire.
    let head: Vec<u8> = head.chars().map(|c| c as u8).collect();
    stream.write_all(&[&head, body].concat()).ok()
}
