//! `multipart/form-data`: parts to a content type and the pieces of a body (RFC 7578, and the HTML standard for names).

use bytes::{Bytes, BytesMut};

use crate::error::Invalid;
use crate::headers::is_token;
pub use crate::request::Piece;

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The name of the field.
    pub name: String,
    /// The name of the file; none for a plain field.
    pub filename: Option<String>,
    /// The media type of the content; none sends no such line.
    pub content_type: Option<String>,
    /// The content.
    pub content: Piece,
}

/// A separator of parts: 1 to 70 characters that RFC 2046 section 5.1.1 allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    /// A boundary that the caller chose.
    ///
    /// # Errors
    ///
    /// [`Invalid::Boundary`] unless it is 1 to 70 characters that RFC 2046 allows, the last not a space.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let refused = |reason: &str| Err(Invalid::Boundary(reason.to_owned()));
        match text.as_bytes() {
            [] => refused("is empty"),
            [.., b' '] => refused("ends in a space"),
            bytes if bytes.len() > 70 => refused("is longer than 70 characters"),
            bytes if bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte)) => {
                Ok(Self(text.to_owned()))
            }
            _ => refused("holds a character that RFC 2046 does not allow"),
        }
    }

    /// A boundary of these random bytes that occurs in no content held in memory.
    ///
    /// A stream cannot be searched before it is sent; that it holds 16 random bytes by chance does not happen.
    pub fn draw(entropy: [u8; 16], parts: &[Part]) -> Self {
        let mut number = u128::from_be_bytes(entropy);
        loop {
            let boundary = Self(format!("{number:032x}"));
            if boundary.fits(parts) {
                return boundary;
            }
            // An odd step visits every number before one comes again.
            number = number.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        }
    }

    /// Whether no content held in memory has the boundary, with its two dashes, in it.
    pub fn fits(&self, parts: &[Part]) -> bool {
        let delimiter = format!("--{}", self.0);
        parts.iter().all(|part| match &part.content {
            Piece::Bytes(content) => !contains(content, delimiter.as_bytes()),
            Piece::Stream { .. } => true,
        })
    }

    /// The boundary as it stands between parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The content type of a form with this boundary, quoted where a parameter must be.
    pub fn content_type(&self) -> String {
        let quote = if is_token(&self.0) { "" } else { "\"" };
        format!("multipart/form-data; boundary={quote}{}{quote}", self.0)
    }
}

/// The pieces of a body of these parts; contents are not copied.
///
/// No parts make a body of the closing delimiter alone.
pub fn encode(parts: Vec<Part>, boundary: &Boundary) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = BytesMut::new();
    for part in parts {
        text.extend_from_slice(
            format!("--{}\r\nContent-Disposition: form-data; name=\"", boundary.as_str()).as_bytes(),
        );
        escape(&part.name, &mut text);
        if let Some(filename) = &part.filename {
            text.extend_from_slice(b"\"; filename=\"");
            escape(filename, &mut text);
        }
        text.extend_from_slice(b"\"\r\n");
        if let Some(content_type) = &part.content_type {
            text.extend_from_slice(format!("Content-Type: {content_type}\r\n").as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        match part.content {
            // Small contents cost less copied than as pieces of their own.
            Piece::Bytes(content) if content.len() <= SMALL => text.extend_from_slice(&content),
            content => {
                pieces.push(Piece::Bytes(text.split().freeze()));
                pieces.push(content);
            }
        }
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(format!("--{}--\r\n", boundary.as_str()).as_bytes());
    pieces.push(Piece::Bytes(text.freeze()));
    pieces
}

/// Whether the text is a media type: a type, a subtype, and parameters (RFC 9110 section 8.3.1).
pub fn is_media_type(text: &str) -> bool {
    let (essence, mut rest) = match text.find([';', ' ', '\t']) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    if !essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype)) {
        return false;
    }
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return true;
        }
        let Some(parameter) = rest.strip_prefix(';') else { return false };
        let parameter = parameter.trim_start_matches([' ', '\t']);
        if parameter.is_empty() || parameter.starts_with(';') {
            rest = parameter;
            continue;
        }
        let Some((name, value)) = parameter.split_once('=') else { return false };
        let Some(after) = after_value(value) else { return false };
        if !is_token(name) {
            return false;
        }
        rest = after;
    }
}

/// Contents up to this many bytes are copied between their delimiters.
const SMALL: usize = 1024;

/// What follows the value of a parameter, a token or a quoted string; none when there is no value.
fn after_value(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        return is_token(&text[..end]).then(|| &text[end..]);
    };
    let mut escaped = false;
    for (index, char) in quoted.char_indices() {
        match char {
            _ if char.is_control() && char != '\t' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(&quoted[index + 1..]),
            _ => {}
        }
    }
    None
}

/// Appends a name as browsers do: UTF-8 as it is, and only what would end the name or its line escaped.
fn escape(name: &str, text: &mut BytesMut) {
    for byte in name.bytes() {
        match byte {
            b'"' => text.extend_from_slice(b"%22"),
            b'\r' => text.extend_from_slice(b"%0D"),
            b'\n' => text.extend_from_slice(b"%0A"),
            _ => text.extend_from_slice(&[byte]),
        }
    }
}

/// Whether the needle, which is not empty, occurs in the content.
///
/// By Horspool's table, so that a large file is searched in steps of the needle's length.
fn contains(content: &Bytes, needle: &[u8]) -> bool {
    let last = needle.len() - 1;
    let mut steps = [needle.len(); 256];
    for (index, &byte) in needle[..last].iter().enumerate() {
        steps[usize::from(byte)] = last - index;
    }
    let mut start = 0;
    while let Some(window) = content.get(start..start + needle.len()) {
        if window == needle {
            return true;
        }
        start += steps[usize::from(window[last])];
    }
    false
}
