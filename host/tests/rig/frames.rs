//! HTTP/2 frame by frame, for what no well-behaved server sends.

use super::Peer;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The server's end of a connection that speaks frames.
pub struct Frames {
    peer: Peer<TcpStream>,
}

/// One frame (RFC 9113 §4.1).
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// One request: its stream, and its body.
#[derive(Debug)]
pub struct Received {
    pub stream: u32,
    pub body: Vec<u8>,
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

/// On HEADERS and DATA: the last frame of its stream. On SETTINGS and PING: an acknowledgement.
pub const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Frames {
    /// Reads the client's preface and sends empty settings. None when the client sends something else.
    pub async fn greet(peer: Peer<TcpStream>) -> Option<Self> {
        let mut frames = Self::hear(peer).await?;
        frames.write(SETTINGS, 0, 0, &[]).await;
        Some(frames)
    }

    /// Reads the client's preface and says nothing.
    pub async fn hear(mut peer: Peer<TcpStream>) -> Option<Self> {
        let _ = peer.stream.set_nodelay(true);
        let mut preface = [0; PREFACE.len()];
        peer.stream.read_exact(&mut preface).await.ok()?;
        (preface == PREFACE).then_some(Self { peer })
    }

    /// The next frame. None at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.peer.stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.peer.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes([d, e, f, g]), payload })
    }

    /// The next request with its whole body, acknowledging settings and pings on the way. None at the end.
    ///
    /// Only for requests that follow one another: the frames of two bodies must not be mixed. The body may not be larger than
    /// the first window (64 KiB - 1), since none is ever opened again.
    pub async fn request(&mut self) -> Option<Received> {
        let mut body = Vec::new();
        loop {
            let frame = self.next().await?;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.write(SETTINGS, ACK, 0, &[]).await,
                PING if frame.flags & ACK == 0 => self.write(PING, ACK, 0, &frame.payload).await,
                HEADERS | DATA => {
                    if frame.kind == DATA {
                        body.extend_from_slice(&frame.payload);
                    } else {
                        self.peer.requests.fetch_add(1, Ordering::SeqCst);
                    }
                    if frame.flags & END_STREAM != 0 {
                        return Some(Received { stream: frame.stream, body });
                    }
                }
                _ => {}
            }
        }
    }

    /// Answers 200 with this body.
    pub async fn answer(&mut self, stream: u32, body: &str) {
        self.begin(stream, body).await;
        self.write(DATA, END_STREAM, stream, &[]).await;
    }

    /// Answers 200 with this body, of which more is to come.
    pub async fn begin(&mut self, stream: u32, body: &str) {
        // Indexed field 8 of the static table: `:status: 200` (RFC 7541 Appendix A).
        self.write(HEADERS, END_HEADERS, stream, &[0x88]).await;
        self.write(DATA, 0, stream, body.as_bytes()).await;
    }

    /// Announces that no stream above `last` was or will be processed.
    pub async fn go_away(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.write(GOAWAY, 0, 0, &payload).await;
    }

    pub async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // The client may be gone.
        let _ = self.peer.stream.write_all(&frame).await;
    }

    /// Waits for the client to close.
    pub async fn closed(&mut self) {
        while self.next().await.is_some() {}
    }
}
