//! What the scripted server answers: bytes, and how and when they leave.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::server::Request;

/// A gate that a case opens when the server may go on; clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the gate is open.
    pub async fn passed(&self) {
        // The sender lives in `self`, so the channel cannot close meanwhile.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// What the server waits for in the middle of an answer.
#[derive(Clone, Debug)]
pub enum Until {
    /// This much time; for pacing, never for waiting for a fact.
    Passed(Duration),
    /// So many requests have arrived since the start of the server.
    Arrived(usize),
    /// So many requests are in flight at once.
    InFlight(usize),
    /// The case opened the gate.
    Open(Gate),
}

/// One thing the server does once a request was read.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these bytes.
    Send(Bytes),
    /// Waits.
    Wait(Until),
    /// Sends these bytes over and over until the client goes away.
    Flood(Bytes),
    /// Ends the connection in order: the client reads an end of file.
    Close,
    /// Ends the connection in order, but for the goodbye of TLS: what reads like a body cut by somebody on the way.
    Hangup,
    /// Ends the connection at once: the client reads a reset.
    Reset,
    /// Sends nothing more and keeps the connection open until the client goes away.
    Stall,
}

/// How the body of the request is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is read whole before the answer begins.
    First,
    /// The answer begins at the head, and the body is read after it.
    After,
    /// It is never read.
    Never,
}

#[derive(Clone, Debug)]
enum Content {
    /// With a `Content-Length`.
    Whole(Bytes),
    /// In chunks.
    Chunks(Vec<Bytes>, Vec<(String, String)>),
    /// Up to the end of the connection.
    UntilClose(Bytes),
    /// No framing header and no bytes.
    None,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    before: Vec<Step>,
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    content: Content,
    raw: Option<Bytes>,
    cut: Option<usize>,
    pieces: Option<(usize, Until)>,
    then: Vec<Step>,
    reading: Reading,
}

/// An answer apart from how it is put on the wire.
pub(crate) struct Message {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) trailers: Vec<(String, String)>,
}

/// Answers 200 with this body and its length.
pub fn ok(body: impl AsRef<[u8]>) -> Reply {
    status(200).body(body)
}

/// Answers with this status and an empty body.
pub fn status(status: u16) -> Reply {
    let content = if status == 204 || status == 304 { Content::None } else { Content::Whole(Bytes::new()) };
    Reply {
        before: Vec::new(),
        status,
        headers: Vec::new(),
        content,
        raw: None,
        cut: None,
        pieces: None,
        then: Vec::new(),
        reading: Reading::First,
    }
}

/// Answers with a redirect to this place.
pub fn redirect(code: u16, location: impl AsRef<str>) -> Reply {
    status(code).header("Location", location.as_ref())
}

/// Answers with exactly these bytes.
pub fn raw(bytes: impl AsRef<[u8]>) -> Reply {
    Reply { raw: Some(Bytes::copy_from_slice(bytes.as_ref())), ..status(200) }
}

/// Closes the connection without an answer.
pub fn close() -> Reply {
    raw("").close()
}

/// Resets the connection without an answer.
pub fn reset() -> Reply {
    raw("").reset()
}

/// Never answers.
pub fn stall() -> Reply {
    raw("").stall()
}

impl Reply {
    /// Appends a header; the value may hold any bytes.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body, with its length.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.content = Content::Whole(Bytes::copy_from_slice(body.as_ref()));
        self
    }

    /// Sets the body, in these chunks.
    #[must_use]
    pub fn chunks<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        let chunks = chunks.into_iter().map(|chunk| Bytes::copy_from_slice(chunk.as_ref())).collect();
        self.content = Content::Chunks(chunks, Vec::new());
        self
    }

    /// Appends a trailer after the chunks.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        if let Content::Chunks(_, trailers) = &mut self.content {
            trailers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Sets the body, ended by the end of the connection.
    #[must_use]
    pub fn until_close(mut self, body: impl AsRef<[u8]>) -> Self {
        self.content = Content::UntilClose(Bytes::copy_from_slice(body.as_ref()));
        self.close()
    }

    /// Sends no framing header and no body of its own; for what follows by [`Reply::then`].
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.content = Content::None;
        self
    }

    /// Sends only so many bytes of the whole answer.
    #[must_use]
    pub fn cut(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// Sends the answer in pieces of so many bytes, waiting between them.
    #[must_use]
    pub fn pieces(mut self, bytes: usize, until: Until) -> Self {
        self.pieces = Some((bytes.max(1), until));
        self
    }

    /// Sends these bytes before the answer, such as an interim response.
    #[must_use]
    pub fn preceded_by(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.before.push(Step::Send(Bytes::copy_from_slice(bytes.as_ref())));
        self
    }

    /// Waits before the answer.
    #[must_use]
    pub fn after(mut self, until: Until) -> Self {
        self.before.push(Step::Wait(until));
        self
    }

    /// Does one more thing after the answer.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.then.push(step);
        self
    }

    /// Closes the connection after the answer.
    #[must_use]
    pub fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// Resets the connection after the answer.
    #[must_use]
    pub fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    /// Keeps the connection open after the answer, silent, until the client goes away.
    #[must_use]
    pub fn stall(self) -> Self {
        self.then(Step::Stall)
    }

    /// Answers at the head of the request, before its body is read.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.reading = Reading::After;
        self
    }

    /// Never reads the body of the request.
    #[must_use]
    pub fn deaf(mut self) -> Self {
        self.reading = Reading::Never;
        self
    }

    /// How the body of the request is treated.
    pub(crate) fn reading(&self) -> Reading {
        self.reading
    }

    /// What is done before the answer.
    pub(crate) fn before(&self) -> &[Step] {
        &self.before
    }

    /// What is done after the answer.
    pub(crate) fn after_all(&self) -> &[Step] {
        &self.then
    }

    /// The answer itself; none when there is none, an error when it is one of raw bytes.
    pub(crate) fn message(&self, head_only: bool) -> Result<Option<Message>, ()> {
        if self.cut.is_some() || self.pieces.is_some() {
            return Err(());
        }
        match &self.raw {
            None => {}
            Some(raw) if raw.is_empty() => return Ok(None),
            Some(_) => return Err(()),
        }
        let mut message =
            Message { status: self.status, headers: self.headers.clone(), pieces: Vec::new(), trailers: Vec::new() };
        match &self.content {
            Content::Whole(body) => {
                message.headers.push(("content-length".to_owned(), body.len().to_string().into_bytes()));
                message.pieces.extend((!body.is_empty()).then(|| body.clone()));
            }
            Content::UntilClose(body) => message.pieces.push(body.clone()),
            Content::Chunks(chunks, trailers) => {
                message.pieces.clone_from(chunks);
                message.trailers.clone_from(trailers);
            }
            Content::None => {}
        }
        if head_only {
            message.pieces.clear();
            message.trailers.clear();
        }
        Ok(Some(message))
    }

    /// All steps of this answer to `request`.
    pub(crate) fn steps(&self, request: &Request) -> Vec<Step> {
        let mut steps = self.before.clone();
        let mut bytes = self.bytes(request.method == "HEAD");
        if let Some(cut) = self.cut {
            bytes.truncate(cut);
        }
        match &self.pieces {
            Some((size, until)) => {
                for (index, piece) in bytes.chunks(*size).enumerate() {
                    if index > 0 {
                        steps.push(Step::Wait(until.clone()));
                    }
                    steps.push(Step::Send(Bytes::copy_from_slice(piece)));
                }
            }
            None if bytes.is_empty() => {}
            None => steps.push(Step::Send(bytes.into())),
        }
        steps.extend(self.then.iter().cloned());
        steps
    }

    fn bytes(&self, head_only: bool) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.to_vec();
        }
        let mut bytes = format!("HTTP/1.1 {} Scripted\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        match &self.content {
            Content::Whole(body) => bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes()),
            Content::Chunks(..) => bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Content::UntilClose(_) | Content::None => {}
        }
        bytes.extend_from_slice(b"\r\n");
        if head_only {
            return bytes;
        }
        match &self.content {
            Content::Whole(body) | Content::UntilClose(body) => bytes.extend_from_slice(body),
            Content::Chunks(chunks, trailers) => {
                for chunk in chunks {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n");
                for (name, value) in trailers {
                    bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
                }
                bytes.extend_from_slice(b"\r\n");
            }
            Content::None => {}
        }
        bytes
    }
}
