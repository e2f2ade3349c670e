//! Forms: fields and files, and which of the two encodings they are sent in.

use bytes::Bytes;
use url::form_urlencoded::Serializer;

use crate::error::Invalid;
use crate::multipart::{self, Boundary, Part};
use crate::request::{Body, Piece};

/// The content type of a form without files.
pub const URLENCODED: &str = "application/x-www-form-urlencoded";

/// The media type of a file that was given none.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// Fields and files to send, in order and with repetitions.
///
/// Sent as `application/x-www-form-urlencoded`, or as `multipart/form-data` once it has a file or was made by [`Form::multipart`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    parts: Vec<Part>,
    multipart: bool,
    boundary: Option<Boundary>,
}

impl Form {
    /// An empty form.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty form that is multipart even without files; no boundary means a random one.
    ///
    /// # Errors
    ///
    /// [`Invalid::Boundary`] unless the boundary is 1 to 70 characters that RFC 2046 allows.
    pub fn multipart(boundary: Option<&str>) -> Result<Self, Invalid> {
        let boundary = boundary.map(Boundary::new).transpose()?;
        Ok(Self { parts: Vec::new(), multipart: true, boundary })
    }

    /// Appends a field.
    pub fn append_field(&mut self, name: &str, value: &str) {
        self.parts.push(Part {
            name: name.to_owned(),
            filename: None,
            content_type: None,
            content: Piece::Bytes(Bytes::copy_from_slice(value.as_bytes())),
        });
    }

    /// Appends a file whose content is in memory; no content type means [`OCTET_STREAM`].
    ///
    /// # Errors
    ///
    /// [`Invalid::ContentType`] when the content type is no media type.
    pub fn append_file(
        &mut self,
        name: &str,
        filename: &str,
        content: Bytes,
        content_type: Option<&str>,
    ) -> Result<(), Invalid> {
        self.append(name, filename, Piece::Bytes(content), content_type)
    }

    /// Appends a file that is read while it is sent; no content type means [`OCTET_STREAM`].
    ///
    /// `stream` is the index of a stream that the shell holds, `length` its exact length.
    ///
    /// # Errors
    ///
    /// As [`Form::append_file`].
    pub fn append_stream(
        &mut self,
        name: &str,
        filename: &str,
        stream: usize,
        length: Option<u64>,
        content_type: Option<&str>,
    ) -> Result<(), Invalid> {
        self.append(name, filename, Piece::Stream { index: stream, length }, content_type)
    }

    /// Whether the form is sent as `multipart/form-data`.
    pub fn is_multipart(&self) -> bool {
        self.multipart
    }

    /// Whether a file of the form is read from a stream.
    pub fn has_streams(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.content, Piece::Stream { .. }))
    }

    /// Whether the form, as it is now, takes random bytes for a boundary.
    pub fn needs_boundary(&self) -> bool {
        self.multipart && self.boundary.is_none()
    }

    /// The content type and the body; the random bytes become the boundary unless the form has its own.
    ///
    /// # Errors
    ///
    /// [`Invalid::Boundary`] when the form's own boundary occurs in a content held in memory.
    pub fn encode(self, entropy: [u8; 16]) -> Result<Encoded, Invalid> {
        if !self.multipart {
            let pairs = self.parts.iter().filter_map(|part| match &part.content {
                Piece::Bytes(value) => Some((&*part.name, std::str::from_utf8(value).ok()?)),
                Piece::Stream { .. } => None,
            });
            let body = Body::new(vec![Piece::Bytes(Bytes::from(urlencode(pairs)))]);
            return Ok(Encoded { content_type: URLENCODED.to_owned(), body });
        }
        let boundary = match self.boundary {
            Some(boundary) if boundary.fits(&self.parts) => boundary,
            Some(_) => return Err(Invalid::Boundary("occurs in the content".to_owned())),
            None => Boundary::draw(entropy, &self.parts),
        };
        let body = Body::new(multipart::encode(self.parts, &boundary));
        Ok(Encoded { content_type: boundary.content_type(), body })
    }

    fn append(
        &mut self,
        name: &str,
        filename: &str,
        content: Piece,
        content_type: Option<&str>,
    ) -> Result<(), Invalid> {
        let content_type = content_type.unwrap_or(OCTET_STREAM);
        if !multipart::is_media_type(content_type) {
            return Err(Invalid::ContentType(content_type.to_owned()));
        }
        self.multipart = true;
        self.parts.push(Part {
            name: name.to_owned(),
            filename: Some(filename.to_owned()),
            content_type: Some(content_type.to_owned()),
            content,
        });
        Ok(())
    }
}

/// A form, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The body, whose length is exact when every stream has one.
    pub body: Body,
}

/// The pairs in `application/x-www-form-urlencoded`, by the URL standard: a space is `+`.
pub fn urlencode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}
