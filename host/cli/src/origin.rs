//! A small HTTP/1.1 server that counts: what the demo shows is what this server saw.

use sha2::{Digest as _, Sha256};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use urlpool_script::answer::hex;

/// A server on a free loopback port, on a thread of its own; it ends when this is dropped.
pub(crate) struct Origin {
    address: SocketAddr,
    seen: Arc<Seen>,
    /// Dropping it tells the server to end.
    _end: oneshot::Sender<()>,
}

/// What the server saw.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    /// Requests for /busy.
    busy: AtomicUsize,
}

/// How long /slow takes, so that requests overlap.
const SLOW: Duration = Duration::from_millis(20);

/// What /gzip decodes to.
pub(crate) fn packed_text() -> String {
    "urlpool undoes what a server packed. ".repeat(200)
}

/// [`packed_text`], by gzip.
const PACKED: [u8; 92] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0xed, 0xca, 0xd1, 0x09, 0x80, 0x20, 0x14, 0x00, 0xc0,
    0x55, 0xde, 0x04, 0xed, 0x24, 0x29, 0x04, 0x49, 0x8a, 0x66, 0xad, 0xdf, 0x1a, 0x7d, 0xdc, 0x7d, 0xdf, 0x1a, 0xb5,
    0xb7, 0x56, 0x63, 0x5d, 0xb9, 0x95, 0x19, 0xef, 0x91, 0xee, 0x48, 0x31, 0xcb, 0x78, 0xca, 0x88, 0x9e, 0xf6, 0xb3,
    0xe4, 0x2d, 0x96, 0x24, 0x49, 0x92, 0x24, 0x49, 0x92, 0x24, 0x49, 0x92, 0x24, 0x49, 0x92, 0x24, 0x49, 0x92, 0x24,
    0x49, 0x92, 0x24, 0x49, 0xd2, 0x7f, 0xd2, 0x07, 0x01, 0x98, 0x13, 0x27, 0xe8, 0x1c, 0x00, 0x00,
];

impl Origin {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// That the loopback gives no port, or the system no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen::default());
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let counted = seen.clone();
        thread::Builder::new().name("origin".into()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    _ = serve(listener, counted) => {}
                    _ = ended => {}
                }
            });
        })?;
        Ok(Self { address, seen, _end: end })
    }

    /// The URL of a path here.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    /// The most requests that were being answered at once.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.seen.most_in_flight.load(SeqCst)
    }
}

async fn serve(listener: std::net::TcpListener, seen: Arc<Seen>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        seen.connections.fetch_add(1, SeqCst);
        // What goes wrong on one connection ends that connection.
        tokio::spawn(converse(stream, seen.clone()));
    }
}

/// Answers the requests of one connection, one after the other.
async fn converse(stream: TcpStream, seen: Arc<Seen>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = Request::read(&mut stream).await? {
        let now = seen.in_flight.fetch_add(1, SeqCst) + 1;
        seen.most_in_flight.fetch_max(now, SeqCst);
        let answer = respond(&request, &seen).await;
        let Answer { status, headers, body } = answer;
        let mut bytes = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        bytes.push_str("\r\n");
        let bytes = [bytes.into_bytes(), body].concat();
        // Before writing: the client may send its next request the moment it has the last byte.
        seen.in_flight.fetch_sub(1, SeqCst);
        stream.write_all(&bytes).await?;
    }
    Ok(())
}

struct Request {
    path: String,
    content_type: String,
    body: Vec<u8>,
}

impl Request {
    /// Reads one; `None` when the client closed the connection instead.
    async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let Some(line) = read_line(stream).await? else { return Ok(None) };
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut request = Self { path, content_type: String::new(), body: Vec::new() };
        let (mut length, mut chunked) = (0, false);
        while let Some(line) = read_line(stream).await?.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap_or_default();
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(io::Error::other)?,
                "transfer-encoding" => chunked = true,
                "content-type" => request.content_type = value.into(),
                _ => {}
            }
        }
        if !chunked {
            request.body = vec![0; length];
            stream.read_exact(&mut request.body).await?;
            return Ok(Some(request));
        }
        loop {
            let size = read_line(stream).await?.unwrap_or_default();
            let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            let start = request.body.len();
            request.body.resize(start + size, 0);
            stream.read_exact(&mut request.body[start..]).await?;
            // The line break after a chunk, or the end of the (empty) trailers.
            read_line(stream).await?;
            if size == 0 {
                return Ok(Some(request));
            }
        }
    }
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    match stream.read_line(&mut line).await? {
        0 => Ok(None),
        _ => Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned())),
    }
}

struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: "200 OK", headers: Vec::new(), body: body.into() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

async fn respond(request: &Request, seen: &Seen) -> Answer {
    let (place, rest) = request.path[1..].split_once('/').unwrap_or((&request.path[1..], ""));
    match place {
        "page" => Answer::ok(format!("page {rest}\n")).with("Content-Type", "text/plain"),
        "slow" => {
            tokio::time::sleep(SLOW).await;
            Answer::ok("slow\n")
        }
        "hop" => match rest.parse::<u32>() {
            Ok(left @ 1..) => Answer { status: "302 Found", headers: Vec::new(), body: Vec::new() }
                .with("Location", format!("/hop/{}", left - 1)),
            Ok(0) | Err(_) => Answer::ok("arrived\n"),
        },
        "busy" => match seen.busy.fetch_add(1, SeqCst) {
            before @ 0..=1 => {
                Answer { status: "503 Service Unavailable", headers: Vec::new(), body: b"busy\n".to_vec() }
                    .with("Retry-After", if before == 0 { "1" } else { "0" })
            }
            _ => Answer::ok("at last\n"),
        },
        "gzip" => Answer::ok(PACKED).with("Content-Encoding", "gzip"),
        "upload" => match file_of_form(request) {
            Some(file) => {
                let digest = hex(&Sha256::digest(file));
                Answer::ok(format!("{} {digest}", file.len()))
            }
            None => Answer { status: "400 Bad Request", headers: Vec::new(), body: Vec::new() },
        },
        _ => Answer { status: "404 Not Found", headers: Vec::new(), body: Vec::new() },
    }
}

/// The content of the first file in a multipart form, found as RFC 7578 has it.
fn file_of_form(request: &Request) -> Option<&[u8]> {
    let boundary = request.content_type.strip_prefix("multipart/form-data; boundary=")?;
    let delimiter = format!("--{}", boundary.trim_matches('"')).into_bytes();
    let mut rest = request.body.as_slice();
    loop {
        rest = &rest[find(rest, &delimiter)? + delimiter.len()..];
        let head = find(rest, b"\r\n\r\n")?;
        let content = &rest[head + 4..];
        if find(&rest[..head], b"filename=").is_some() {
            let end = find(content, &[b"\r\n", delimiter.as_slice()].concat())?;
            return Some(&content[..end]);
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_form_is_found_behind_its_fields() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
            --x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\nin\r\n--y\r\n--x--\r\n";
        let request = Request {
            path: "/upload".into(),
            content_type: "multipart/form-data; boundary=x".into(),
            body: body.to_vec(),
        };
        assert_eq!(file_of_form(&request), Some(b"in\r\n--y".as_slice()));
    }
}
