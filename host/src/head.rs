//! What hyper does not judge about a response head.

use crate::error::Failure;
use crate::idle::Hint;
use crate::stats::Close;
use crate::wire::READ_BUFFER;
use http::header::{CONNECTION, CONTENT_LENGTH, Entry, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::response::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, request};
use std::time::Duration;
use urlpool_core::request::defines_content;

/// What may become of the connection once the body of an acceptable response has ended.
///
/// hyper has consumed interim responses, and has refused lengths that differ or are no numbers.
///
/// # Errors
///
/// [`Failure::Upgraded`] for 101, [`Failure::TransferCoding`] for any coding but exactly `chunked`: hyper would read such
/// a body up to the end of the connection and hand it over undecoded. [`Failure::HeadTooLarge`] for a head of HTTP/2 that is
/// larger than one of HTTP/1.1 may be.
pub(crate) fn judge(method: &Method, head: &Parts) -> Result<Disposition, Failure> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::Upgraded);
    }
    if head.version == Version::HTTP_2 {
        if size(&head.headers) > READ_BUFFER {
            return Err(Failure::HeadTooLarge);
        }
        // Frames bound the body, and the connection outlives it.
        return Ok(Disposition::Keep(Hint::default()));
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
        Disposition::Keep(hint(&head.headers))
    } else if coded && sized {
        // RFC 9112 §6.3: perhaps an attempt at response splitting; the next response cannot be trusted.
        Disposition::Close(Close::CodingAndLength)
    } else if !coded && !sized {
        Disposition::Close(Close::Unbounded)
    } else {
        Disposition::Keep(hint(&head.headers))
    })
}

/// The size of a section of fields as RFC 9113 section 6.5.2 counts it.
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
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
    /// As far as the server lets it.
    Keep(Hint),
    Close(Close),
}

/// The length that a message declares. None without one that can be read.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Makes the head of a request, whose URI is absolute, one for an HTTP/1.1 connection to its server itself.
///
/// # Errors
///
/// [`Failure::Uri`] when the authority cannot stand in a field.
pub(crate) fn for_http1(head: &mut request::Parts) -> Result<(), Failure> {
    for_proxy(head)?;
    let target = head.uri.path_and_query().cloned();
    head.uri = target.map_or_else(|| Uri::from_static("/"), Uri::from);
    Ok(())
}

/// Makes the head of a request, whose URI is absolute and stays so, one for a proxy that passes it on.
///
/// # Errors
///
/// [`Failure::Uri`] when the authority cannot stand in a field.
pub(crate) fn for_proxy(head: &mut request::Parts) -> Result<(), Failure> {
    if let (Entry::Vacant(host), Some(authority)) = (head.headers.entry(HOST), head.uri.authority()) {
        host.insert(HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::Uri)?);
    }
    head.version = Version::HTTP_11;
    Ok(())
}

/// Makes the head of a request, whose URI is absolute, one for HTTP/2, with the `length` of its body where that is known.
///
/// RFC 9113 §8.2.2: fields about the connection are left out. §8.3.1: the authority stands for Host.
pub(crate) fn for_http2(head: &mut request::Parts, length: Option<u64>) {
    if let Some(host) = head.headers.remove(HOST)
        && let Ok(authority) = Authority::try_from(host.as_bytes())
    {
        let mut uri = std::mem::take(&mut head.uri).into_parts();
        uri.authority = Some(authority);
        head.uri = Uri::from_parts(uri).unwrap_or_default();
    }
    let listed: Vec<HeaderName> = options(&head.headers).filter_map(|name| HeaderName::from_bytes(name).ok()).collect();
    for name in listed {
        head.headers.remove(name);
    }
    for name in OF_CONNECTION {
        head.headers.remove(name);
    }
    if head.headers.get(TE).is_some_and(|te| te != "trailers") {
        head.headers.remove(TE);
    }
    let declared = defines_content(&head.method);
    if let Some(length) = length.filter(|length| *length > 0 || declared)
        && let Entry::Vacant(field) = head.headers.entry(CONTENT_LENGTH)
    {
        field.insert(HeaderValue::from(length));
    }
    head.version = Version::HTTP_2;
}

/// Fields that say something about an HTTP/1 connection, Connection itself among them.
const OF_CONNECTION: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What a Keep-Alive field says: for how long the server keeps the connection, and how many requests it takes on it.
///
/// RFC 2068 §19.7.1 is all there is about it. A moment is taken off the time, which is how long a request may be on its way
/// while the server closes. The number is read as one that includes the request at hand: some servers count so, and with
/// those that do not one request is sent on another connection than it might have been.
fn hint(headers: &HeaderMap) -> Hint {
    let mut hint = Hint::default();
    let fields = headers.get_all("keep-alive").iter().filter_map(|field| field.to_str().ok());
    for parameter in fields.flat_map(|field| field.split(',')) {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        let Ok(value) = value.trim().trim_matches('"').parse::<u32>() else {
            continue;
        };
        if name.trim().eq_ignore_ascii_case("timeout") {
            let promised = Duration::from_secs(value.into());
            hint.timeout = Some(promised.saturating_sub(MARGIN).max(promised.min(2 * MARGIN) / 2));
        } else if name.trim().eq_ignore_ascii_case("max") {
            hint.more = Some(u64::from(value).saturating_sub(1));
        }
    }
    hint
}

/// How long before its end a promise to keep a connection is no longer relied on.
const MARGIN: Duration = Duration::from_secs(1);

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
    options(headers).any(|option| option.eq_ignore_ascii_case(b"close"))
}

/// The options of Connection.
fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(CONNECTION).iter();
    fields.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Disposition = Disposition::Keep(Hint { timeout: None, more: None });

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
        assert_eq!(get(&[("content-length", "3")]), Ok(KEEP));
        assert_eq!(get(&[("transfer-encoding", "Chunked")]), Ok(KEEP));
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
            assert_eq!(judged(method.clone(), status, Version::HTTP_11, &[]), Ok(KEEP));
            let odd = [("transfer-encoding", "gzip"), ("content-length", "5")];
            assert_eq!(judged(method, status, Version::HTTP_11, &odd), Ok(KEEP));
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
        assert_eq!(get(&[("connection", "closed"), ("content-length", "0")]), Ok(KEEP));
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

    #[test]
    fn a_promise_to_keep_the_connection_is_relied_on_for_a_little_less() {
        let hinted = |value: &str| match get(&[("keep-alive", value), ("content-length", "0")]) {
            Ok(Disposition::Keep(hint)) => hint,
            other => panic!("{other:?}"),
        };
        let seconds = |value: &str| hinted(value).timeout.map(|timeout| timeout.as_secs_f32());
        assert_eq!(seconds("timeout=5"), Some(4.0));
        assert_eq!(seconds("timeout=2, max=9"), Some(1.0));
        assert_eq!(seconds("Timeout = 1"), Some(0.5));
        assert_eq!(seconds("timeout=0"), Some(0.0));
        assert_eq!(seconds("timeout=soon"), None);
        assert_eq!(hinted("timeout=5, max=100").more, Some(99));
        assert_eq!(hinted("max=0").more, Some(0));
        assert_eq!(hinted("max=-1, x"), Hint::default());
    }

    #[test]
    fn a_request_over_http_2_says_nothing_about_a_connection() {
        let request = http::Request::post("https://a.test/x?y")
            .header("host", "b.test")
            .header("connection", "x-hop, close")
            .header("x-hop", "1")
            .header("te", "gzip")
            .header("transfer-encoding", "chunked")
            .header("x-end", "2");
        let mut head = request.body(()).unwrap().into_parts().0;
        for_http2(&mut head, Some(3));
        assert_eq!(head.uri, "https://b.test/x?y");
        let fields: Vec<_> =
            head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(fields, [("x-end", "2"), ("content-length", "3")]);
    }
}
