//! What to send, as plain values: the one shape behind the script's keys and the command line's flags.
//!
//! Every `Option` here means "not said", and leaves the choice to the pool or to the component's default. Where the
//! interface itself has a `none`, as for limits, there is an option inside the option.

use crate::duration;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::{path::PathBuf, time::Duration};

/// The settings of a pool.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Makes the pool from this URL: one origin, relative targets.
    pub url: Option<String>,
    /// Requests in flight to one origin.
    #[serde(deserialize_with = "said")]
    pub slots: Option<Option<u32>>,
    /// What happens when all slots of an origin are taken.
    pub when_full: Option<WhenFull>,
    /// Origins remembered.
    pub origins: Option<u32>,
    /// Headers for each request that does not have them itself.
    pub headers: Vec<(String, String)>,
    /// Headers that no request has by default.
    pub remove_headers: Vec<String>,
    /// The pool's retry policy.
    pub retry: Option<Retry>,
    /// The pool's redirect policy.
    pub redirect: Option<Redirect>,
    /// The pool's timeouts.
    pub timeouts: Option<Timeouts>,
    /// Whether codings of bodies are undone.
    pub decode: Option<bool>,
    /// Bytes of a body collected before its response is delivered.
    #[serde(deserialize_with = "said")]
    pub preload: Option<Option<u64>>,
    /// Bytes that a body may decode to.
    #[serde(deserialize_with = "said")]
    pub max_body: Option<Option<u64>>,
    /// How many times larger a body may get by decoding.
    #[serde(deserialize_with = "said")]
    pub max_ratio: Option<Option<u32>>,
    /// Fixes what is otherwise random.
    pub seed: Option<u64>,
}

/// One request.
#[derive(Clone, Debug, Default, Deserialize)]
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
    /// A JSON value as the body, with its `Content-Type` unless `headers` has one.
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

/// When a request is sent again.
#[derive(Clone, Debug)]
pub enum Retry {
    /// Never.
    Never,
    /// By these rules.
    Rules(Box<RetryRules>),
}

impl<'de> Deserialize<'de> for Retry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        rules(from, Self::Never, |rules| Self::Rules(Box::new(rules)))
    }
}

/// The rules of retrying.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryRules {
    /// Retries of one call.
    #[serde(deserialize_with = "said")]
    pub limit: Option<Option<u32>>,
    /// Retries of attempts that never reached the server.
    #[serde(deserialize_with = "said")]
    pub connect: Option<Option<u32>>,
    /// Retries of attempts that may have been sent.
    #[serde(deserialize_with = "said")]
    pub read: Option<Option<u32>>,
    /// Retries caused by a status.
    #[serde(deserialize_with = "said")]
    pub status: Option<Option<u32>>,
    /// Retries of every other cause.
    #[serde(deserialize_with = "said")]
    pub other: Option<Option<u32>>,
    /// Methods that may be repeated once bytes may have been sent; an inner `None` means any.
    #[serde(deserialize_with = "said")]
    pub methods: Option<Option<Vec<String>>>,
    /// Statuses worth another attempt.
    pub statuses: Option<Vec<u16>>,
    /// The delay that doubles.
    #[serde(deserialize_with = "duration::given")]
    pub backoff: Option<Duration>,
    /// What no delay exceeds.
    #[serde(deserialize_with = "duration::given")]
    pub ceiling: Option<Duration>,
    /// How delays are spread.
    pub jitter: Option<Jitter>,
    /// The longest `Retry-After` that is honoured; an inner `None` ignores the header.
    #[serde(deserialize_with = "duration::limit")]
    pub retry_after: Option<Option<Duration>>,
    /// What is answered when a limit is reached.
    pub at_limit: Option<AtLimit>,
}

/// Whether redirects are followed.
#[derive(Clone, Debug)]
pub enum Redirect {
    /// They are delivered.
    Never,
    /// By these rules.
    Rules(RedirectRules),
}

impl<'de> Deserialize<'de> for Redirect {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        rules(from, Self::Never, Self::Rules)
    }
}

/// The rules of following redirects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedirectRules {
    /// Hops of one call.
    pub limit: Option<u32>,
    /// Further headers that do not cross to another origin.
    pub private_headers: Option<Vec<String>>,
    /// Whether a hop from https to http is made.
    pub downgrade: Option<bool>,
    /// Whether every hop must lead to https.
    pub https_only: Option<bool>,
    /// What is answered when the limit is reached.
    pub at_limit: Option<AtLimit>,
}

/// How long the phases of a call may take.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Waiting for a slot.
    #[serde(deserialize_with = "duration::limit")]
    pub slot: Option<Option<Duration>>,
    /// Resolving, connecting and the TLS handshake.
    #[serde(deserialize_with = "duration::limit")]
    pub connect: Option<Option<Duration>>,
    /// A pause in sending the body.
    #[serde(deserialize_with = "duration::limit")]
    pub write: Option<Option<Duration>>,
    /// Waiting for the head.
    #[serde(deserialize_with = "duration::limit")]
    pub first_byte: Option<Option<Duration>>,
    /// A pause in the body.
    #[serde(deserialize_with = "duration::limit")]
    pub between_bytes: Option<Option<Duration>>,
    /// The whole call.
    #[serde(deserialize_with = "duration::limit")]
    pub total: Option<Option<Duration>>,
}

/// What happens when all slots of an origin are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// The request waits its turn.
    Queue,
    /// The request fails.
    Refuse,
}

/// What is answered when a limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtLimit {
    /// The error that names the limit.
    Fail,
    /// The response that is there.
    Deliver,
}

/// How delays are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// Not at all.
    None,
    /// Between zero and the delay.
    Full,
    /// Between the base and three times the delay before.
    Decorrelated,
    /// By a random extra of up to this much.
    Additive(Extra),
}

/// The most that is added to a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extra(pub Duration);

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        duration::given(from).map(|extra| Self(extra.unwrap_or_default()))
    }
}

/// Tells a key that says `null` from one that is absent.
pub(crate) fn said<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(from).map(Some)
}

/// Reads `"never"` or an object of rules.
fn rules<'de, T, R, D>(from: D, never: T, some: impl Fn(R) -> T) -> Result<T, D::Error>
where
    R: serde::de::DeserializeOwned,
    D: Deserializer<'de>,
{
    // Not an untagged enum: its errors would not name the unknown key.
    match Value::deserialize(from)? {
        Value::String(word) if word == "never" => Ok(never),
        object @ Value::Object(_) => serde_json::from_value(object).map(some).map_err(de::Error::custom),
        other => Err(de::Error::custom(format!("expected \"never\" or an object, not {other}"))),
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
    fn timeouts_take_numbers_texts_null_and_none() {
        let timeouts: Timeouts =
            serde_json::from_value(json!({"slot": 1.5, "connect": "300ms", "write": null, "total": "none"})).unwrap();
        assert_eq!(timeouts.slot, Some(Some(Duration::from_millis(1500))));
        assert_eq!(timeouts.connect, Some(Some(Duration::from_millis(300))));
        assert_eq!(timeouts.write, Some(None));
        assert_eq!(timeouts.total, Some(None));
        assert_eq!(timeouts.first_byte, None);
    }

    #[test]
    fn policies_can_be_never() {
        let read = request(json!({"url": "u", "retry": "never", "redirect": "never"})).unwrap();
        assert!(matches!(read.retry, Some(Retry::Never)));
        assert!(matches!(read.redirect, Some(Redirect::Never)));
        assert!(request(json!({"url": "u", "retry": "nevr"})).unwrap_err().contains("nevr"));
    }

    #[test]
    fn jitter_is_a_word_or_an_extra() {
        let read = |jitter: Value| serde_json::from_value::<Jitter>(jitter).unwrap();
        assert_eq!(read(json!("decorrelated")), Jitter::Decorrelated);
        assert_eq!(read(json!({"additive": "50ms"})), Jitter::Additive(Extra(Duration::from_millis(50))));
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
