//! What a request carries.

use std::fmt;

use wasip2::http::types::IncomingBody;
use wasip2::io::streams::InputStream;

use crate::response::Raw;
use crate::wit::messages as wit;

/// What a request carries: bytes in memory, or a stream of the host.
///
/// There is none from a [`Read`](std::io::Read): a component can pass streams on, but cannot make one that others read. What
/// you generate has to be in memory; a file, a response of the client and the body of a request that your component
/// serves are streams already.
pub struct Body(Content);

enum Content {
    Bytes(Vec<u8>),
    Stream { stream: InputStream, length: Option<u64>, parent: Option<IncomingBody> },
}

impl Body {
    /// Reads a stream while it is sent. `length` must be exact; with `None` the body is sent in chunks.
    ///
    /// Up to 1 MiB of it is kept, so that it can be sent again; once more was read, a retry or hop that needs the body is not
    /// made. What the stream is a child of, such as an incoming body, has to live until the response is there.
    pub fn stream(stream: InputStream, length: impl Into<Option<u64>>) -> Self {
        Self(Content::Stream { stream, length: length.into(), parent: None })
    }

    /// Sets it, and gives what has to live until the response is there.
    pub(crate) fn set(self, request: &wit::Request) -> Option<IncomingBody> {
        match self.0 {
            Content::Bytes(bytes) => {
                request.set_body(&bytes);
                None
            }
            Content::Stream { stream, length, parent } => {
                request.set_body_stream(stream, length);
                parent
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.0, Content::Bytes(bytes) if bytes.is_empty())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Content::Bytes(bytes))
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl<const N: usize> From<&[u8; N]> for Body {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// No body.
impl From<()> for Body {
    fn from((): ()) -> Self {
        Vec::new().into()
    }
}

/// The body of a response passed on as its server sent it, without a copy in this component.
impl From<Raw> for Body {
    fn from(raw: Raw) -> Self {
        let Raw { stream, length, body } = raw;
        Self(Content::Stream { stream, length, parent: Some(body) })
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::Bytes(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Content::Stream { length: Some(length), .. } => write!(f, "Body(stream of {length} bytes)"),
            Content::Stream { length: None, .. } => f.write_str("Body(stream)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_made_from_what_holds_bytes() {
        for body in [Body::from("four"), "four".to_owned().into(), b"four".into(), vec![1, 2, 3, 4].into()] {
            assert_eq!(format!("{body:?}"), "Body(4 bytes)");
            assert!(!body.is_empty());
        }
        assert!(Body::from(()).is_empty());
    }
}
