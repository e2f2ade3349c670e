//! Between the `http` crate and WASI: total functions.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use wasip2::http::types;

/// What WASI calls this method.
pub(crate) fn method(method: &Method) -> types::Method {
    match method.as_str() {
        "GET" => types::Method::Get,
        "HEAD" => types::Method::Head,
        "POST" => types::Method::Post,
        "PUT" => types::Method::Put,
        "DELETE" => types::Method::Delete,
        "CONNECT" => types::Method::Connect,
        "OPTIONS" => types::Method::Options,
        "TRACE" => types::Method::Trace,
        "PATCH" => types::Method::Patch,
        other => types::Method::Other(other.to_owned()),
    }
}

/// The method of this name; none where it is no token.
pub(crate) fn method_of(method: &types::Method) -> Option<Method> {
    Some(match method {
        types::Method::Get => Method::GET,
        types::Method::Head => Method::HEAD,
        types::Method::Post => Method::POST,
        types::Method::Put => Method::PUT,
        types::Method::Delete => Method::DELETE,
        types::Method::Connect => Method::CONNECT,
        types::Method::Options => Method::OPTIONS,
        types::Method::Trace => Method::TRACE,
        types::Method::Patch => Method::PATCH,
        types::Method::Other(name) => Method::from_bytes(name.as_bytes()).ok()?,
    })
}

/// Fields byte for byte, in order and with repetitions.
pub(crate) fn fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// The fields that `http` can hold, which are all that a host of today lets through.
pub(crate) fn headers(fields: Vec<(String, Vec<u8>)>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(&value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// As WASI counts: a duration of more than 584 years is that long.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_keeps_its_name_both_ways() {
        for name in ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY", "get"] {
            let there = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(method_of(&method(&there)).unwrap(), there);
        }
        assert_eq!(method_of(&types::Method::Other("a b".to_owned())), None);
    }

    #[test]
    fn fields_keep_their_order_repetitions_and_bytes() {
        let list = vec![
            ("set-cookie".to_owned(), b"a=1".to_vec()),
            ("x-latin".to_owned(), b"caf\xe9".to_vec()),
            ("set-cookie".to_owned(), b"b=2".to_vec()),
        ];
        let map = headers(list);
        assert_eq!(map.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(map["x-latin"].as_bytes(), b"caf\xe9");
        assert_eq!(fields(&map).len(), 3);
    }

    #[test]
    fn a_duration_beyond_what_wasi_counts_is_the_longest() {
        assert_eq!(nanoseconds(Duration::from_secs(1)), 1_000_000_000);
        assert_eq!(nanoseconds(Duration::MAX), u64::MAX);
    }
}
