//! Forms: written, read back by a parser that shares nothing with the writer, and written again.

use arbitrary::Arbitrary;
use bytes::Bytes;
use urlpool_core::Entropy;
use urlpool_core::Invalid;
use urlpool_core::form::{Form, OCTET_STREAM, URLENCODED};
use urlpool_core::upload::{REPLAY, Upload, Want};

use crate::coding::some;
use crate::url::plain;

/// Holds of every form:
///
/// - a parser reads back the same fields and files, in their order
/// - the declared length is exact, and there is one when every stream has one
/// - no content in memory holds the boundary, and a boundary of the caller that one holds is refused
/// - a stream that is shorter than declared is an error, and of a longer one no more is sent than was declared
/// - what is sent again is the same, byte for byte, wherever the first time stopped
pub fn multipart(input: &[u8]) {
    let mut input = arbitrary::Unstructured::new(input);
    if let Ok(form) = Written::arbitrary(&mut input) {
        form.check();
    }
}

#[derive(Arbitrary, Debug)]
struct Written {
    multipart: bool,
    boundary: Option<String>,
    entropy: [u8; 16],
    seed: u32,
    parts: Vec<Part>,
}

#[derive(Arbitrary, Debug)]
struct Part {
    name: String,
    content: Content,
}

#[derive(Arbitrary, Debug)]
enum Content {
    Field(String),
    /// A field that holds the boundary: the one chosen, or the first one that would be drawn.
    Collision(String),
    File {
        filename: String,
        content_type: Option<String>,
        content: Vec<u8>,
        times: u8,
    },
    Stream {
        filename: String,
        content: Vec<u8>,
        times: u8,
        declared: Option<i8>,
    },
}

/// A field as it is read.
#[derive(Debug, PartialEq)]
struct Field {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    content: Vec<u8>,
    streamed: bool,
}

impl Written {
    /// The boundary that the form has unless a content holds it.
    fn first_boundary(&self, own: Option<&str>) -> String {
        own.map_or_else(|| self.entropy.iter().map(|byte| format!("{byte:02x}")).collect(), str::to_owned)
    }

    fn check(&self) {
        let boundary = self.boundary.as_deref();
        let mut form = match self.multipart {
            false => Form::new(),
            true => match Form::multipart(boundary) {
                Ok(form) => form,
                Err(invalid) => {
                    assert!(!boundary.is_some_and(is_boundary), "{invalid}");
                    return;
                }
            },
        };
        let own = boundary.filter(|_| self.multipart);
        assert!(own.is_none_or(is_boundary));
        let (mut expected, mut streams, mut declared) = (Vec::new(), Vec::new(), Vec::new());
        for part in &self.parts {
            expected.extend(part.append(&mut form, self.first_boundary(own), &mut streams, &mut declared));
        }
        let is_multipart = form.is_multipart();
        let encoded = match form.encode(self.entropy) {
            Ok(encoded) => encoded,
            Err(Invalid::Boundary(_)) => {
                let own = own.expect("one that is drawn is drawn again");
                assert!(expected.iter().any(|field| field.holds(own)));
                return;
            }
            Err(invalid) => panic!("{invalid}"),
        };

        let mut entropy = Entropy::seeded(u64::from(self.seed));
        let mut upload = Upload::new(encoded.body);
        let length = upload.length();
        assert_eq!(length.is_some(), declared.iter().all(Option::is_some));
        let lengths =
            || declared.iter().zip(&streams).map(|(told, stream)| (told.unwrap_or(stream.len()), stream.len()));
        let (short, long) = (lengths().any(|(told, is)| is < told), lengths().any(|(told, is)| is > told));
        let mut sources: Vec<&[u8]> = streams.iter().map(Vec::as_slice).collect();
        // The first time stops somewhere, as an attempt does that fails.
        let stop = some(&mut entropy, 1 << 16);
        let begun = send(&mut upload, &mut sources, &mut entropy, stop);
        if upload.replayable() && begun.is_ok() {
            upload.rewind();
            let body = match send(&mut upload, &mut sources, &mut entropy, usize::MAX) {
                Ok(body) => body,
                Err(invalid) => {
                    assert!((short || long) && matches!(invalid, Invalid::BodyLength { .. }), "{invalid}");
                    return;
                }
            };
            assert!(!short, "less than declared, and no error");
            assert!(body.starts_with(&begun.unwrap_or_default()), "sent again, and not the same");
            assert!(length.is_none_or(|length| length == body.len() as u64), "{length:?} is not {}", body.len());
            if upload.replayable() {
                upload.rewind();
                let again = send(&mut upload, &mut sources, &mut entropy, usize::MAX);
                assert!(again.as_ref() == Ok(&body), "not the same again");
            }
            match is_multipart {
                // More than declared is noticed only where it comes together with the rest.
                true if long => {}
                true => check_body(&body, &encoded.content_type, own, &expected),
                false => {
                    assert_eq!(encoded.content_type, URLENCODED);
                    check_urlencoded(&body, &expected);
                }
            }
        } else {
            let total: usize = streams.iter().map(Vec::len).sum();
            assert!(short || long || total > REPLAY, "it could be sent again");
        }
    }
}

impl Field {
    /// Whether its content, known before it is sent, holds this boundary.
    fn holds(&self, boundary: &str) -> bool {
        !self.streamed && find(&self.content, format!("--{boundary}").as_bytes()).is_some()
    }
}

impl Part {
    /// Appends it to the form, and gives what is to be read of it; none when it is refused.
    fn append(
        &self,
        form: &mut Form,
        boundary: String,
        streams: &mut Vec<Vec<u8>>,
        declared: &mut Vec<Option<usize>>,
    ) -> Option<Field> {
        let name = self.name.clone();
        match &self.content {
            Content::Field(text) | Content::Collision(text) => {
                let collides = matches!(self.content, Content::Collision(_));
                let value = if collides { format!("{text}--{boundary}{text}") } else { text.clone() };
                form.append_field(&name, &value);
                Some(Field { name, filename: None, content_type: None, content: value.into_bytes(), streamed: false })
            }
            Content::File { filename, content_type, content, times } => {
                let content = content.repeat(1 + usize::from(times % 32));
                let kind = content_type.as_deref();
                form.append_file(&name, filename, Bytes::from(content.clone()), kind).ok()?;
                let content_type = Some(kind.unwrap_or(OCTET_STREAM).to_owned());
                Some(Field { name, filename: Some(filename.clone()), content_type, content, streamed: false })
            }
            Content::Stream { filename, content, times, declared: wrong } => {
                // Few of more than is kept of a stream, as each of them takes long.
                let times = if *times == 7 { REPLAY / content.len().max(1) } else { usize::from(times % 32) };
                let content = content.repeat(1 + times);
                let length = wrong.map(|wrong| content.len().saturating_add_signed(isize::from(wrong / 32)));
                let told = length.map(|length| length as u64);
                form.append_stream(&name, filename, streams.len(), told, None).expect("it has the default type");
                streams.push(content.clone());
                declared.push(length);
                let content_type = Some(OCTET_STREAM.to_owned());
                Some(Field { name, filename: Some(filename.clone()), content_type, content, streamed: true })
            }
        }
    }
}

/// What is written of a body, until it is complete or so much was written.
fn send(upload: &mut Upload, sources: &mut [&[u8]], entropy: &mut Entropy, stop: usize) -> Result<Vec<u8>, Invalid> {
    let mut sent = Vec::new();
    while sent.len() < stop {
        match upload.want(some(entropy, 1 << 16)) {
            Want::Write(bytes) => {
                assert!(!bytes.is_empty(), "it does not get on");
                sent.extend_from_slice(&bytes);
            }
            Want::Read { stream, at_most } => {
                let source = &mut sources[stream];
                let (now, later) = source.split_at(some(entropy, source.len().min(at_most as usize)));
                *source = later;
                match now {
                    [] => upload.end(stream)?,
                    now => upload.supply(stream, Bytes::copy_from_slice(now))?,
                }
            }
            Want::Done => break,
        }
    }
    Ok(sent)
}

/// RFC 2046 section 5.1.1.
fn is_boundary(text: &str) -> bool {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "'()+_,-./:=? ".contains(char);
    (1..=70).contains(&text.len()) && text.chars().all(allowed) && !text.ends_with(' ')
}

fn check_body(body: &[u8], content_type: &str, own: Option<&str>, expected: &[Field]) {
    let boundary = boundary_of(content_type);
    assert!(is_boundary(&boundary) && own.is_none_or(|own| own == boundary), "{content_type}");
    assert!(!expected.iter().any(|field| field.holds(&boundary)), "a content holds the boundary");
    // Streams are not searched, as they are not known before they are sent.
    if expected.iter().any(|field| find(&field.content, format!("--{boundary}").as_bytes()).is_some()) {
        return;
    }
    let escaped = |text: &str| text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let expected: Vec<Field> = expected
        .iter()
        .map(|field| Field {
            name: escaped(&field.name),
            filename: field.filename.as_deref().map(escaped),
            content_type: field.content_type.clone(),
            content: field.content.clone(),
            streamed: false,
        })
        .collect();
    assert_eq!(parse(body, &boundary), expected);
}

/// The boundary that a content type names: a token, or a quoted string.
fn boundary_of(content_type: &str) -> String {
    let value = content_type.strip_prefix("multipart/form-data; boundary=").expect("it is multipart");
    match value.strip_prefix('"') {
        Some(quoted) => {
            quoted.strip_suffix('"').filter(|text| !text.contains(['"', '\\'])).expect("it is quoted").to_owned()
        }
        None => {
            // RFC 2045 section 5.1: none of these is in a token.
            assert!(!value.contains(|char: char| " ()<>@,;:\\\"/[]?=".contains(char)), "{value} is no token");
            value.to_owned()
        }
    }
}

/// Reads a body line by line, as RFC 2046 section 5.1.1 has it.
fn parse(body: &[u8], boundary: &str) -> Vec<Field> {
    let (delimiter, end) = (format!("--{boundary}\r\n"), format!("--{boundary}--\r\n"));
    let mut fields = Vec::new();
    let mut rest = body;
    loop {
        if rest == end.as_bytes() {
            return fields;
        }
        rest = rest.strip_prefix(delimiter.as_bytes()).expect("a delimiter, and nothing after the last one");
        let (mut name, mut filename, mut content_type) = (None, None, None);
        loop {
            let line_end = find(rest, b"\r\n").expect("a line ends");
            let (line, after) = rest.split_at(line_end);
            rest = &after[2..];
            let line = std::str::from_utf8(line).expect("names are UTF-8");
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("Content-Type: ") {
                assert!(content_type.replace(value.to_owned()).is_none());
            } else {
                let value = line.strip_prefix("Content-Disposition: form-data; name=\"").expect("one of both");
                let value = value.strip_suffix('"').expect("it is quoted");
                let mut values = value.split('"');
                assert!(name.replace(values.next().unwrap_or_default().to_owned()).is_none());
                if let Some(between) = values.next() {
                    assert_eq!(between, "; filename=");
                    filename = Some(values.next().expect("it is quoted").to_owned());
                }
                assert_eq!(values.next(), None);
            }
        }
        let close = find(rest, format!("\r\n--{boundary}").as_bytes()).expect("a delimiter follows");
        let (content, after) = rest.split_at(close);
        rest = &after[2..];
        fields.push(Field {
            name: name.expect("it has a name"),
            filename,
            content_type,
            content: content.to_vec(),
            streamed: false,
        });
    }
}

fn check_urlencoded(body: &[u8], expected: &[Field]) {
    let text = std::str::from_utf8(body).expect("it is ASCII");
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*-._+%=&".contains(&byte)), "{text}");
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (plain(name), plain(value))).expect("a pair");
    let read: Vec<(String, String)> = if text.is_empty() { Vec::new() } else { text.split('&').map(pair).collect() };
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|field| (field.name.clone(), String::from_utf8(field.content.clone()).expect("a field is text")))
        .collect();
    assert_eq!(read, expected);
}

/// Where this is in the text for the first time.
fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let (first, rest) = what.split_first()?;
    let mut starts = text.iter().enumerate().filter(|(_, byte)| *byte == first).map(|(place, _)| place);
    starts.find(|place| text[place + 1..].starts_with(rest))
}
