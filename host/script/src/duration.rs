//! Durations as people write them: `300ms`, `5s`, `2m`, a bare number of seconds, or `none`.

use serde::{Deserialize, Deserializer, de};
use std::time::Duration;

/// Reads a duration: `300ms`, `5s`, `2m`, or a bare number of seconds; `none` is no limit.
///
/// # Errors
///
/// One line that names what is wrong, when `text` is none of these.
pub fn parse_duration(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    let (number, seconds_per_unit) = match text {
        _ if text.ends_with("ms") => (&text[..text.len() - 2], 1e-3),
        _ if text.ends_with('s') => (&text[..text.len() - 1], 1.0),
        _ if text.ends_with('m') => (&text[..text.len() - 1], 60.0),
        _ => (text, 1.0),
    };
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = match number.parse() {
        Ok(number) if plain => number,
        Ok(_) | Err(_) => {
            return Err(format!("duration {text:?}: expected 300ms, 5s, 2m, a number of seconds, or none"));
        }
    };
    seconds(number * seconds_per_unit).map(Some)
}

/// A duration of so many seconds.
fn seconds(number: f64) -> Result<Duration, String> {
    // Nanoseconds in 64 bits are what the interface can say: 584 years.
    Duration::try_from_secs_f64(number)
        .ok()
        .filter(|duration| u64::try_from(duration.as_nanos()).is_ok())
        .ok_or_else(|| format!("duration {number}: out of range"))
}

/// Reads a key whose value must be a duration.
pub(crate) fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    match limit(from)? {
        Some(Some(duration)) => Ok(Some(duration)),
        Some(None) | None => Err(de::Error::custom("a duration is needed here, not null or none")),
    }
}

/// Reads a key whose value is a duration, or `null` or `"none"` for no limit.
pub(crate) fn limit<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Duration>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a number of seconds, a text such as \"300ms\", or null")]
    enum Written {
        Seconds(f64),
        Text(String),
        Null(()),
    }
    match Written::deserialize(from)? {
        Written::Seconds(number) => seconds(number).map(Some),
        Written::Text(text) => parse_duration(&text),
        Written::Null(()) => Ok(None),
    }
    .map(Some)
    .map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [("300ms", 300), ("5s", 5000), ("2m", 120_000), ("1.5", 1500), ("0", 0), ("0.25s", 250)] {
            let read = parse_duration(text);
            assert_eq!(read, Ok(Some(Duration::from_millis(millis))), "{text}");
        }
        assert_eq!(parse_duration("none"), Ok(None));
    }

    #[test]
    fn what_is_no_duration_is_refused_by_name() {
        for text in ["", "s", "ms", "-1", "5 s", "1h", "inf", "nan", "1e3", "0x10", "."] {
            let message = parse_duration(text).unwrap_err();
            assert!(message.contains(text), "{message}");
        }
        assert!(parse_duration("99999999999999999999").unwrap_err().contains("out of range"));
    }
}
