//! What hyper does not judge about a response head.

use crate::error::Failure;
use crate::stats::Close;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode, Version};

/// What may become of the connection once the body of an acceptable response has ended.
///
/// hyper has consumed interim responses, and has refused lengths that differ or are no numbers.
///
/// # Errors
///
/// [`Failure::Upgraded`] for 101, [`Failure::TransferCoding`] for any coding but exactly `chunked`: hyper would read such
/// a body up to the end of the connection and hand it over undecoded.
pub(crate) fn judge(method: &Method, head: &Parts) -> Result<Disposition, Failure> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::Upgraded);
    }
    let coded = head.headers.contains_key(TRANSFER_ENCODING);
    let sized = head.headers.contains_key(CONTENT_LENGTH);
    // RFC 9112 §6.3: these have no body, whatever their fields say.
    let bodiless =
        *method == Method::HEAD || head.status == StatusCode::NO_CONTENT || head.status == StatusCode::NOT_MODIFIED;
    if coded && !bodiless {
        chunked(&head.headers)?;
    }
    Ok(if head.version < Version::HTTP_11 {
        // hyper would answer in kind on the next request and so could not send a body of unknown length.
        Disposition::Close(Close::Http10)
    } else if asks_to_close(&head.headers) {
        Disposition::Close(Close::Announced)
    } else if bodiless {
        Disposition::Keep
    } else if coded && sized {
        // RFC 9112 §6.3: perhaps an attempt at response splitting; the next response cannot be trusted.
        Disposition::Close(Close::CodingAndLength)
    } else if !coded && !sized {
        Disposition::Close(Close::Unbounded)
    } else {
        Disposition::Keep
    })
}

/// Takes away the length of a body that is sent in chunks.
///
/// RFC 9112 §6.3: the coding overrides it. A guest never sees the coding, and would miss the bytes that the length promised.
pub(crate) fn forget_length(head: &mut Parts) {
    if head.headers.contains_key(TRANSFER_ENCODING) {
        head.headers.remove(CONTENT_LENGTH);
    }
}

/// May the connection serve another request?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    Keep,
    Close(Close),
}

fn chunked(headers: &HeaderMap) -> Result<(), Failure> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let only = codings.next().filter(|_| codings.next().is_none());
    if only.is_some_and(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Ok(());
    }
    let all: Vec<_> =
        headers.get_all(TRANSFER_ENCODING).iter().map(|coding| String::from_utf8_lossy(coding.as_bytes())).collect();
    Err(Failure::TransferCoding(all.join(", ")))
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(
        method: Method,
        status: u16,
        version: Version,
        fields: &[(&'static str, &str)],
    ) -> Result<Disposition, Failure> {
        let mut response = http::Response::builder().status(status).version(version);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        judge(&method, &response.body(()).unwrap().into_parts().0)
    }

    fn get(fields: &[(&'static str, &str)]) -> Result<Disposition, Failure> {
        judged(Method::GET, 200, Version::HTTP_11, fields)
    }

    #[test]
    fn a_sized_or_chunked_response_keeps_the_connection() {
        assert_eq!(get(&[("content-length", "3")]), Ok(Disposition::Keep));
        assert_eq!(get(&[("transfer-encoding", "Chunked")]), Ok(Disposition::Keep));
    }

    #[test]
    fn a_body_that_ends_with_the_connection_closes_it() {
        assert_eq!(get(&[]), Ok(Disposition::Close(Close::Unbounded)));
    }

    #[test]
    fn any_transfer_coding_but_one_chunked_is_an_error() {
        for coding in ["gzip", "gzip, chunked", "chunked, chunked", "identity", "chunked;q=1", ""] {
            assert_eq!(get(&[("transfer-encoding", coding)]), Err(Failure::TransferCoding(coding.into())), "{coding}");
        }
        let twice = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(get(&twice), Err(Failure::TransferCoding("chunked, chunked".into())));
    }

    #[test]
    fn a_coding_beside_a_length_is_not_trusted_with_another_response() {
        assert_eq!(
            get(&[("transfer-encoding", "chunked"), ("content-length", "3")]),
            Ok(Disposition::Close(Close::CodingAndLength))
        );
    }

    #[test]
    fn a_length_beside_a_coding_does_not_reach_the_guest() {
        for (fields, left) in [
            (&[("content-length", "99"), ("transfer-encoding", "chunked")][..], false),
            (&[("content-length", "99")][..], true),
        ] {
            let mut response = http::Response::builder();
            for (name, value) in fields {
                response = response.header(*name, *value);
            }
            let mut head = response.body(()).unwrap().into_parts().0;
            forget_length(&mut head);
            assert_eq!(head.headers.contains_key(CONTENT_LENGTH), left);
        }
    }

    #[test]
    fn a_response_without_body_keeps_the_connection_whatever_its_fields_say() {
        for (method, status) in [(Method::HEAD, 200), (Method::GET, 204), (Method::GET, 304)] {
            assert_eq!(judged(method.clone(), status, Version::HTTP_11, &[]), Ok(Disposition::Keep));
            let odd = [("transfer-encoding", "gzip"), ("content-length", "5")];
            assert_eq!(judged(method, status, Version::HTTP_11, &odd), Ok(Disposition::Keep));
        }
    }

    #[test]
    fn a_wish_to_close_is_found_in_any_list() {
        for wish in ["close", "Close", "te, close", "close,te"] {
            assert_eq!(
                get(&[("connection", wish), ("content-length", "0")]),
                Ok(Disposition::Close(Close::Announced)),
                "{wish}"
            );
        }
        let two = [("connection", "keep-alive"), ("connection", "close"), ("content-length", "0")];
        assert_eq!(get(&two), Ok(Disposition::Close(Close::Announced)));
        assert_eq!(get(&[("connection", "closed"), ("content-length", "0")]), Ok(Disposition::Keep));
    }

    #[test]
    fn http_1_0_is_never_kept() {
        let fields = [("connection", "keep-alive"), ("content-length", "0")];
        assert_eq!(judged(Method::GET, 200, Version::HTTP_10, &fields), Ok(Disposition::Close(Close::Http10)));
    }

    #[test]
    fn switching_protocols_is_an_error() {
        assert_eq!(judged(Method::GET, 101, Version::HTTP_11, &[]), Err(Failure::Upgraded));
    }
}
