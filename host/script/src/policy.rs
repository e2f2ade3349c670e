//! Policies and the settings of a pool, as plain values.
//!
//! What an `Option` and an option inside an option mean, `request.rs` says.

use crate::duration;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::{fmt, time::Duration};

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
    /// Requests that wait for a slot, over all origins.
    #[serde(deserialize_with = "said")]
    pub queue: Option<Option<u32>>,
    /// Origins remembered.
    pub origins: Option<u32>,
    /// Headers for each request that does not have them itself.
    pub headers: Vec<(String, String)>,
    /// Headers that no request has by default.
    pub remove_headers: Vec<String>,
    /// Credentials, each for one origin.
    pub credentials: Vec<Credentials>,
    /// Whether each attempt is a span of its own by its `traceparent`.
    pub trace_context: Option<bool>,
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

/// Credentials for one origin, basic or a bearer token; `Debug` does not show them.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// A URL of the origin.
    pub url: String,
    /// User and password.
    #[serde(default)]
    pub basic: Option<(String, String)>,
    /// A token.
    #[serde(default)]
    pub bearer: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("url", &self.url).finish_non_exhaustive()
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
    fn jitter_is_a_word_or_an_extra() {
        let read = |jitter: Value| serde_json::from_value::<Jitter>(jitter).unwrap();
        assert_eq!(read(json!("decorrelated")), Jitter::Decorrelated);
        assert_eq!(read(json!({"additive": "50ms"})), Jitter::Additive(Extra(Duration::from_millis(50))));
    }
}
