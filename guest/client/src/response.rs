//! The answer: its head, and a body that is read once.

use std::cell::OnceCell;
use std::fmt;
use std::io::{self, Read};

use http::{HeaderMap, StatusCode};
use wasip2::http::types::IncomingBody;
use wasip2::io::poll::Pollable;
use wasip2::io::streams::InputStream;

use crate::convert;
use crate::error::{Attempt, Error, ErrorKind, Mark};
use crate::task;
use crate::wit::messages as wit;
use crate::words;

/// A response: the head, and a body that is read once.
///
/// It holds a slot of its origin until its body was read to the end or it is dropped; a preloaded one, which is the default,
/// holds none. Everything but the body stays readable after the end.
///
/// It is a [`Read`] of the rest of its body, without a buffer, as a file is. An error of reading is the client's inside an
/// [`io::Error`].
pub struct Response {
    raw: wit::Response,
    status: StatusCode,
    headers: OnceCell<HeaderMap>,
}

impl Response {
    pub(crate) fn wrap(raw: wit::Response) -> Result<Self, Error> {
        let status = raw.status();
        match StatusCode::from_u16(status) {
            Ok(status) => Ok(Self { raw, status, headers: OnceCell::new() }),
            Err(_) => Err(Error::here(ErrorKind::Protocol, format!("{}: status {status} is none", place(&raw)))),
        }
    }

    /// The status of the last attempt. A status is never an error by itself.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// This response unless its status is 4xx or 5xx.
    ///
    /// # Errors
    ///
    /// [`Status`](ErrorKind::Status) with that status.
    pub fn error_for_status(self) -> Result<Self, Error> {
        if self.status.is_client_error() || self.status.is_server_error() {
            return Err(Error::of_status(&place(&self.raw), self.status));
        }
        Ok(self)
    }

    /// All headers.
    ///
    /// Where the body is decoded, `Content-Encoding` and `Content-Length` are gone.
    pub fn headers(&self) -> &HeaderMap {
        self.headers.get_or_init(|| convert::headers(self.raw.headers()))
    }

    /// The header of this name as text; repetitions are joined by a comma and a space, bytes that are not UTF-8 replaced.
    pub fn header(&self, name: impl AsRef<str>) -> Option<String> {
        self.raw.header(name.as_ref())
    }

    /// The URL that answered, after all hops, without userinfo.
    pub fn url(&self) -> String {
        self.raw.url()
    }

    /// The attempts before the one that answered, in order; empty when the first one did.
    pub fn history(&self) -> Vec<Attempt> {
        Attempt::lift_all(self.raw.history())
    }

    /// What happened in the call so far, in order; the end of the body is the last of it.
    pub fn trace(&self) -> Vec<Mark> {
        Mark::lift_all(self.raw.trace())
    }

    /// Whether a `Content-Encoding` of this response is undone for the reader.
    pub fn decoded(&self) -> bool {
        self.raw.decoded()
    }

    /// Why a retry that was due was not made; none when none was due.
    pub fn not_retried(&self) -> Option<String> {
        self.raw.not_retried()
    }

    /// The trailers; empty until the body was read to its end.
    ///
    /// Empty as well where pollables were taken, as [`next_with`](Self::next_with) and
    /// [`Pending::finish_with`](crate::Pending::finish_with) do, and for a body that declares its length, unless the head
    /// announces them by `Trailer`.
    pub fn trailers(&self) -> HeaderMap {
        convert::headers(self.raw.trailers())
    }

    /// The rest of the body, up to 64 MiB.
    ///
    /// # Errors
    ///
    /// As [`bytes_within`](Self::bytes_within).
    // By value, or that of `Read`, where it is in scope, would be meant instead.
    pub fn bytes(self) -> Result<Vec<u8>, Error> {
        self.bytes_within(WHOLE)
    }

    /// The rest of the body, up to a limit.
    ///
    /// # Errors
    ///
    /// [`TooLarge`](ErrorKind::TooLarge) beyond the limit, and what cut the body: [`TimedOut`](ErrorKind::TimedOut),
    /// [`Interrupted`](ErrorKind::Interrupted), [`Protocol`](ErrorKind::Protocol) or [`Undecodable`](ErrorKind::Undecodable).
    pub fn bytes_within(&self, limit: u32) -> Result<Vec<u8>, Error> {
        Ok(words::bytes(&self.raw.read_all_words(limit)?))
    }

    /// The rest of the body as text, up to 64 MiB.
    ///
    /// # Errors
    ///
    /// As [`text_within`](Self::text_within).
    pub fn text(self) -> Result<String, Error> {
        self.text_within(WHOLE)
    }

    /// The rest of the body as text, up to a limit, by the charset of `Content-Type` or a byte order mark, otherwise UTF-8.
    ///
    /// # Errors
    ///
    /// As [`bytes_within`](Self::bytes_within). Bytes that do not fit the charset are no error but replaced.
    pub fn text_within(&self, limit: u32) -> Result<String, Error> {
        Ok(self.raw.read_text(limit)?)
    }

    /// The rest of the body as JSON, up to 64 MiB.
    ///
    /// # Errors
    ///
    /// [`Malformed`](ErrorKind::Malformed) when it is not JSON of that type, otherwise as [`bytes_within`](Self::bytes_within).
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes_within(WHOLE)?).map_err(|error| {
            Error::with_source(
                ErrorKind::Malformed,
                format!("{}: not the JSON it was read as: {error}", place(&self.raw)),
                error,
            )
        })
    }

    /// Up to `max` bytes of the body as soon as there are any; empty means the end.
    ///
    /// Under [`task::block_on`] other futures go on meanwhile; elsewhere it blocks.
    ///
    /// # Errors
    ///
    /// As [`bytes_within`](Self::bytes_within), and every time after that in the same way.
    pub async fn next(&self, max: u32) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(piece) = self.raw.try_read_words(max)? {
                return Ok(words::bytes(&piece));
            }
            if !task::is_running() {
                return Ok(words::bytes(&self.raw.read_words(max)?));
            }
            task::ready(self.raw.subscribe()).await;
        }
    }

    /// Like [`next`](Self::next) under any executor; for `ready` see [`Pending::finish_with`](crate::Pending::finish_with).
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn next_with(&self, max: u32, ready: impl AsyncFn(Vec<Pollable>)) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(piece) = self.raw.try_read_words(max)? {
                return Ok(words::bytes(&piece));
            }
            ready(self.raw.subscribe()).await;
        }
    }

    /// The body as the server sent it, not decoded and not limited, to forward or to splice. The slot is free from then on.
    ///
    /// # Errors
    ///
    /// [`Other`](ErrorKind::Other) unless it was asked for as a [`stream`](crate::RequestBuilder::stream) and is unread.
    pub fn into_raw(self) -> Result<Raw, Error> {
        let length = if self.decoded() { None } else { self.header("content-length") };
        let length = length.and_then(|length| length.parse().ok());
        let body = wit::Response::take_raw(self.raw)?;
        match body.stream() {
            Ok(stream) => Ok(Raw { stream, length, body }),
            Err(()) => Err(Error::here(ErrorKind::Other, "raw body: the host gives no stream of it")),
        }
    }

    /// The same as a response of the `http` crate, with the rest of the body to read.
    pub fn into_http(mut self) -> http::Response<Reader> {
        // Fills the cell, which is ours alone.
        self.headers();
        let headers = self.headers.take().unwrap_or_default();
        let mut response = http::Response::new(Reader(self.raw));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

/// What is read whole unless told otherwise.
const WHOLE: u32 = 64 * 1024 * 1024;

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read(&self.raw, buffer)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("url", &self.url())
            .field("headers", self.headers())
            .finish_non_exhaustive()
    }
}

/// The rest of a body, apart from its head.
pub struct Reader(wit::Response);

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read(&self.0, buffer)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// The URL that answered as errors show it: without its query and fragment, which may hold secrets.
fn place(response: &wit::Response) -> String {
    let mut url = response.url();
    url.truncate(url.find(['?', '#']).unwrap_or(url.len()));
    url
}

fn read(response: &wit::Response, buffer: &mut [u8]) -> io::Result<usize> {
    if buffer.is_empty() {
        return Ok(0);
    }
    let max = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
    let piece = response.read_words(max).map_err(|error| io::Error::from(Error::from(error)))?;
    Ok(words::copy(&piece, buffer))
}

/// A body as its server sent it. As a [`Body`](crate::Body) it is forwarded, without passing through this component.
#[derive(Debug)]
pub struct Raw {
    // A child of the body, so before it.
    pub(crate) stream: InputStream,
    pub(crate) length: Option<u64>,
    pub(crate) body: IncomingBody,
}

impl Raw {
    /// The length that the server declared.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The stream of it, such as for splicing; it may not outlive this.
    pub fn stream(&self) -> &InputStream {
        &self.stream
    }
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut self.stream, buffer)
    }
}
