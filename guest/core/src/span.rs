//! W3C Trace Context: the spans by which a server's traces name the attempts of a call.

use crate::entropy::Entropy;
use crate::headers::Headers;

/// Gives an attempt a span of its own, in the trace that its `traceparent` names or in a new one.
///
/// A `traceparent` that is not one is replaced, and the `tracestate` beside it dropped, since that belongs to
/// the trace it would have named (W3C Trace Context section 3.3).
pub(crate) fn begin(headers: &mut Headers, entropy: &mut Entropy) {
    let given = headers.joined("traceparent");
    let (trace, flags) = match given.as_deref().and_then(parse) {
        Some((trace, flags)) => (trace.to_owned(), flags.to_owned()),
        None => {
            headers.remove("tracestate");
            (format!("{:016x}{:016x}", id(entropy), id(entropy)), "00".to_owned())
        }
    };
    headers.remove("traceparent");
    headers.append_valid("traceparent", format!("00-{trace}-{:016x}-{flags}", id(entropy)).as_bytes());
}

/// The trace and the flags that a `traceparent` names; none when it is malformed.
///
/// A later version begins as this one does, and what it adds is not understood here (section 4.3).
fn parse(text: &str) -> Option<(&str, &str)> {
    let mut fields = text.splitn(5, '-');
    let mut field = |length: usize| {
        fields.next().filter(|field| {
            field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let (version, trace, parent, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let is_zero = |id: &str| id.bytes().all(|digit| digit == b'0');
    let ends = fields.next().is_none();
    let valid = version != "ff" && (version != "00" || ends) && !is_zero(trace) && !is_zero(parent);
    valid.then_some((trace, flags))
}

/// An id that is not zero, which would be none.
fn id(entropy: &mut Entropy) -> u64 {
    entropy.draw().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(traceparent: &str) -> Headers {
        let mut headers = Headers::default();
        headers.append_valid("traceparent", traceparent.as_bytes());
        headers.append_valid("tracestate", b"a=1");
        begin(&mut headers, &mut Entropy::seeded(7));
        headers
    }

    #[test]
    fn a_trace_goes_on_in_a_span_of_its_own() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let headers = begun(&format!("00-{trace}-00f067aa0ba902b7-01"));
        let parent = headers.joined("traceparent").expect("it is sent");
        assert!(parent.starts_with(&format!("00-{trace}-")) && parent.ends_with("-01"), "{parent}");
        assert!(!parent.contains("00f067aa0ba902b7"), "{parent}");
        assert_eq!(headers.get("tracestate"), Some(b"a=1".as_slice()));
    }

    #[test]
    fn what_is_no_traceparent_begins_a_new_trace() {
        for text in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            let headers = begun(text);
            let parent = headers.joined("traceparent").expect("it is sent");
            assert!(parse(&parent).is_some() && !parent.contains("4bf92f3577b34da6"), "{text}: {parent}");
            assert!(!headers.contains("tracestate"), "{text}");
        }
        assert!(parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
    }
}
