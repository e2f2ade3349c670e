//! What to send, as plain values: the one shape behind the script's keys and the command line's flags.
//!
//! Every `Option` here means "not said", and leaves the choice to the pool or to the component's default. Where the
//! interface itself has a `none`, as for limits, there is an option inside the option.

use crate::{
    duration,
    policy::{Redirect, Retry, Timeouts, said},
};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::{fmt, path::PathBuf, time::Duration};

/// One request; `Debug` shows its method alone, as the rest may hold secrets.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The method.
    #[serde(default = "get")]
    pub method: String,
    /// The URL; relative where the pool was made from one.
    pub url: String,
    /// Pairs appended to the query.
    #[serde(default)]
    pub query: Vec<(String, String)>,
    /// Headers as text, appended in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Headers as bytes in base64, appended after those.
    #[serde(default)]
    pub header_bytes: Vec<(String, Base64)>,
    /// Headers not to send.
    #[serde(default)]
    pub remove_headers: Vec<String>,
    /// User and password.
    #[serde(default)]
    pub basic: Option<(String, String)>,
    /// A bearer token.
    #[serde(default)]
    pub bearer: Option<String>,
    /// A body of text.
    #[serde(default)]
    pub body: Option<String>,
    /// A body of bytes.
    #[serde(default)]
    pub body_base64: Option<Base64>,
    /// A file streamed as the body.
    #[serde(default)]
    pub body_file: Option<PathBuf>,
    /// Pieces streamed as the body.
    #[serde(default)]
    pub body_stream: Option<Pieces>,
    /// A JSON value as the body, with its `Content-Type` unless the request has one.
    #[serde(default, deserialize_with = "said")]
    pub json: Option<Value>,
    /// A form as the body.
    #[serde(default)]
    pub form: Option<Vec<Field>>,
    /// Makes the form multipart even without files.
    #[serde(default)]
    pub multipart: bool,
    /// The boundary of a multipart form.
    #[serde(default)]
    pub boundary: Option<String>,
    /// Trailers to send after a body of unknown length.
    #[serde(default)]
    pub trailers: Vec<(String, String)>,
    /// Replaces the pool's retry policy.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Replaces the pool's redirect policy.
    #[serde(default)]
    pub redirect: Option<Redirect>,
    /// Replaces the pool's timeouts.
    #[serde(default)]
    pub timeouts: Option<Timeouts>,
    /// Replaces the pool's choice of decoding.
    #[serde(default)]
    pub decode: Option<bool>,
    /// Replaces the pool's limit of preloading.
    #[serde(default, deserialize_with = "said")]
    pub preload: Option<Option<u64>>,
    /// Replaces the pool's limit of bodies.
    #[serde(default, deserialize_with = "said")]
    pub max_body: Option<Option<u64>>,
    /// Replaces the pool's limit of the ratio.
    #[serde(default, deserialize_with = "said")]
    pub max_ratio: Option<Option<u32>>,
    /// Sends a clone of the request and drops the request itself.
    #[serde(default)]
    pub clone: bool,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Request {
    /// A request without headers or a body.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), ..Self::default() }
    }

    /// Checks what the types alone do not: at most one body, and form settings only beside a form.
    ///
    /// # Errors
    ///
    /// One line that names the keys in conflict.
    pub fn check(&self) -> Result<(), String> {
        let bodies: Vec<&str> = [
            ("body", self.body.is_some()),
            ("body_base64", self.body_base64.is_some()),
            ("body_file", self.body_file.is_some()),
            ("body_stream", self.body_stream.is_some()),
            ("json", self.json.is_some()),
            ("form", self.form.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, present)| present.then_some(key))
        .collect();
        if bodies.len() > 1 {
            return Err(format!("{}: only one of these can be the body", bodies.join(", ")));
        }
        if self.form.is_none() && (self.multipart || self.boundary.is_some()) {
            return Err("multipart, boundary: these need a form".into());
        }
        self.form.iter().flatten().try_for_each(Field::check)
    }
}

/// One field of a form.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Field {
    /// The name.
    pub name: String,
    /// The value of a plain field.
    pub value: Option<String>,
    /// The file name of a file; that of `file` when not said.
    pub filename: Option<String>,
    /// The media type of a file.
    #[serde(rename = "type")]
    pub media_type: Option<String>,
    /// The content of a file, as text.
    pub content: Option<String>,
    /// The content of a file, as bytes.
    pub content_base64: Option<Base64>,
    /// A file streamed while it is sent.
    pub file: Option<PathBuf>,
    /// Pieces streamed as the content of a file.
    pub stream: Option<Pieces>,
}

impl Field {
    /// A plain field.
    pub fn text(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: Some(value.into()), ..Self::default() }
    }

    fn check(&self) -> Result<(), String> {
        let contents = [
            self.value.is_some(),
            self.content.is_some(),
            self.content_base64.is_some(),
            self.file.is_some(),
            self.stream.is_some(),
        ];
        if contents.into_iter().filter(|present| *present).count() != 1 {
            return Err(format!(
                "form field {:?}: needs one of value, content, content_base64, file or stream",
                self.name
            ));
        }
        if self.value.is_some() && (self.filename.is_some() || self.media_type.is_some()) {
            return Err(format!("form field {:?}: a value has no filename or type", self.name));
        }
        if self.value.is_none() && self.file.is_none() && self.filename.is_none() {
            return Err(format!("form field {:?}: a file needs a filename", self.name));
        }
        Ok(())
    }
}

/// A stream in pieces, for bodies that arrive while they are sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pieces {
    /// The pieces.
    pub chunks: Vec<Chunk>,
    /// The length that is announced; not said means in chunks.
    pub length: Option<u64>,
    /// The pause before each piece after the first.
    #[serde(deserialize_with = "duration::given")]
    pub gap: Option<Duration>,
    /// Whether the stream fails after the last piece.
    pub fail: bool,
}

/// One piece of a stream.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or {\"base64\": …}")]
pub enum Chunk {
    /// As text.
    Text(String),
    /// As bytes.
    Bytes(ChunkBytes),
}

impl Chunk {
    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes.base64.0,
        }
    }
}

/// One piece of a stream as bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkBytes {
    /// The bytes.
    pub base64: Base64,
}

/// Bytes that are written as base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base64(pub Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        let text = String::deserialize(from)?;
        match BASE64_STANDARD.decode(&text) {
            Ok(bytes) => Ok(Self(bytes)),
            Err(error) => Err(de::Error::custom(format!("base64: {error}"))),
        }
    }
}

fn get() -> String {
    "GET".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(value: Value) -> Result<Request, String> {
        let request: Request = serde_json::from_value(value).map_err(|e| e.to_string())?;
        request.check().map(|()| request)
    }

    #[test]
    fn unknown_keys_are_refused_by_name_at_every_depth() {
        for (value, key) in [
            (json!({"url": "u", "heders": []}), "heders"),
            (json!({"url": "u", "retry": {"limits": 1}}), "limits"),
            (json!({"url": "u", "redirect": {"limit": 1, "https": true}}), "https"),
            (json!({"url": "u", "timeouts": {"read": 1}}), "read"),
            (json!({"url": "u", "form": [{"name": "a", "valeu": "b"}]}), "valeu"),
            (json!({"url": "u", "body_stream": {"chunk": []}}), "chunk"),
        ] {
            let message = request(value).unwrap_err();
            assert!(message.contains(key), "{message}");
        }
    }

    #[test]
    fn absent_null_and_given_are_three_things() {
        let read = |value| request(value).unwrap().preload;
        assert_eq!(read(json!({"url": "u"})), None);
        assert_eq!(read(json!({"url": "u", "preload": null})), Some(None));
        assert_eq!(read(json!({"url": "u", "preload": 7})), Some(Some(7)));
    }

    #[test]
    fn policies_can_be_never() {
        let read = request(json!({"url": "u", "retry": "never", "redirect": "never"})).unwrap();
        assert!(matches!(read.retry, Some(Retry::Never)));
        assert!(matches!(read.redirect, Some(Redirect::Never)));
        assert!(request(json!({"url": "u", "retry": "nevr"})).unwrap_err().contains("nevr"));
    }

    #[test]
    fn two_bodies_are_refused() {
        let message = request(json!({"url": "u", "body": "a", "json": null})).unwrap_err();
        assert!(message.starts_with("body, json"), "{message}");
    }

    #[test]
    fn a_form_field_has_exactly_one_content() {
        for field in [
            json!({"name": "a"}),
            json!({"name": "a", "value": "b", "content": "c"}),
            json!({"name": "a", "value": "b", "filename": "c"}),
            json!({"name": "a", "content": "c"}),
        ] {
            assert!(request(json!({"url": "u", "form": [field]})).unwrap_err().contains("\"a\""));
        }
    }

    #[test]
    fn base64_must_be_base64() {
        assert!(request(json!({"url": "u", "body_base64": "%%"})).unwrap_err().contains("base64"));
        let read = request(json!({"url": "u", "body_base64": "AP8="})).unwrap();
        assert_eq!(read.body_base64, Some(Base64(vec![0, 255])));
    }
}
