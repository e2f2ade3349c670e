//! What is taken as a header, a method or a media type, and what is made of the text that servers send.

use arbitrary::{Arbitrary, Unstructured};
use http::{HeaderName, HeaderValue, Method};
use urlpool_core::headers::{FORBIDDEN, is_token};
use urlpool_core::multipart::is_media_type;
use urlpool_core::{Headers, Request, decode, request, text};

/// Holds of every sequence of changes, and of every text:
///
/// - a header may be sent exactly when the types of hosts hold it, and it is not kept to the host
/// - headers are what a list of pairs is, looked up in any case of letters
/// - no method, media type or token holds what would end its line
/// - a length is declared only when every value says the same
/// - no value of a secret is shown
pub fn headers(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let Ok(changes) = Vec::<Change>::arbitrary(&mut input) else { return };
    let rest = input.take_rest();
    check_changes(&changes);
    check_length(rest);
    let text = String::from_utf8_lossy(rest);
    check_words(&text);
    check_text(rest);
}

#[derive(Arbitrary, Debug)]
enum Change<'a> {
    Append(Name<'a>, &'a [u8]),
    AppendAll(Vec<(Name<'a>, &'a [u8])>),
    Set(Name<'a>, &'a [u8]),
    Remove(Name<'a>),
}

/// A name of a few, which meet each other, or any.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Name<'a> {
    A,
    UpperA,
    Cookie,
    Host,
    Any(&'a str),
}

impl<'a> Name<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::A => "a-name",
            Self::UpperA => "A-Name",
            Self::Cookie => "Cookie",
            Self::Host => "hOST",
            Self::Any(text) => text,
        }
    }
}

/// Whether the types that hosts hold headers in take this one.
fn is_sendable(name: &str, value: &[u8]) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
        && HeaderValue::from_bytes(value).is_ok()
        && !FORBIDDEN.contains(&&*name.to_ascii_lowercase())
}

fn check_changes(changes: &[Change<'_>]) {
    let (mut headers, mut list) = (Headers::new(), Vec::<(String, Vec<u8>)>::new());
    let trimmed = |value: &[u8]| {
        let blank = |byte: &u8| *byte != b' ' && *byte != b'\t';
        let start = value.iter().position(blank).unwrap_or(value.len());
        let end = value.iter().rposition(blank).map_or(start, |last| last + 1);
        value[start..end].to_vec()
    };
    let pair = |name: &Name<'_>, value: &[u8]| (name.text().to_owned(), trimmed(value));
    for change in changes {
        match change {
            Change::Append(name, value) => {
                assert_eq!(headers.append(name.text(), *value).is_ok(), is_sendable(name.text(), value), "{change:?}");
                list.extend(is_sendable(name.text(), value).then(|| pair(name, value)));
            }
            Change::AppendAll(pairs) => {
                let all = pairs.iter().all(|(name, value)| is_sendable(name.text(), value));
                let fields = pairs.iter().map(|(name, value)| (name.text(), *value));
                assert_eq!(headers.append_all(fields).is_ok(), all, "{change:?}");
                list.extend(pairs.iter().filter(|_| all).map(|(name, value)| pair(name, value)));
            }
            Change::Set(name, value) => {
                assert_eq!(headers.set(name.text(), *value).is_ok(), is_sendable(name.text(), value), "{change:?}");
                if is_sendable(name.text(), value) {
                    let first = list.iter().position(|(other, _)| other.eq_ignore_ascii_case(name.text()));
                    list.retain(|(other, _)| !other.eq_ignore_ascii_case(name.text()));
                    list.insert(first.unwrap_or(list.len()), pair(name, value));
                }
            }
            Change::Remove(name) => {
                let had = list.iter().any(|(other, _)| other.eq_ignore_ascii_case(name.text()));
                assert_eq!(headers.remove(name.text()), had);
                list.retain(|(other, _)| !other.eq_ignore_ascii_case(name.text()));
            }
        }
        let read: Vec<(String, Vec<u8>)> =
            headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        assert_eq!(read, list);
    }
    for (name, _) in &list {
        let values: Vec<&[u8]> = headers.get_all(&name.to_ascii_uppercase()).collect();
        let same = list.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        assert_eq!(values, same.map(|(_, value)| &**value).collect::<Vec<_>>());
        assert_eq!(headers.get(name), values.first().copied());
        assert!(headers.joined(name).is_some());
    }
    let bytes: usize = list.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(headers.section_size() >= bytes + 72 * list.len());
    headers.remove("cookie");
    let shown = format!("{headers:?}");
    for (name, value) in [("Cookie", "hunter2"), ("authorization", "hunter2"), ("Set-Cookie", "hunter2")] {
        headers.append(name, value).expect("it may be sent");
    }
    let shown_now = format!("{headers:?}");
    assert_eq!(shown.matches("hunter2").count(), shown_now.matches("hunter2").count());
}

fn check_length(input: &[u8]) {
    let mut headers = Headers::new();
    for value in input.split(|byte| *byte == b'\n') {
        headers.append_received("Content-Length", value);
    }
    let numbers: Vec<Option<u64>> = input
        .split(|byte| matches!(byte, b'\n' | b','))
        .map(|item| std::str::from_utf8(item.trim_ascii()).ok().filter(|text| !text.starts_with('+'))?.parse().ok())
        .collect();
    let expected =
        numbers.first().copied().flatten().filter(|first| numbers.iter().all(|number| *number == Some(*first)));
    assert_eq!(headers.content_length(), expected);
    headers.append_received("transfer-encoding", "chunked");
    assert_eq!(headers.content_length(), None);

    let mut headers = Headers::new();
    headers.append_received("content-encoding", input);
    // Whatever a server names, it is one of four answers.
    let _ = decode::codings(&headers);
}

fn check_words(text: &str) {
    let bytes = text.as_bytes();
    let token = is_token(text);
    assert_eq!(request::method(text).is_ok(), token && !text.eq_ignore_ascii_case("connect"), "{text:?}");
    assert_eq!(token, Method::from_bytes(bytes).is_ok(), "{text:?}");
    let ends_line = text.contains(|char: char| char.is_ascii_control() && char != '\t');
    if is_media_type(text) {
        assert!(!ends_line && text.contains('/'), "{text:?}");
    }
    let mut sent = Request::create("GET", "http://a.test/").expect("it is valid");
    match sent.bearer_auth(text) {
        Ok(()) => assert!(!ends_line),
        Err(_) => assert!(ends_line),
    }
    if sent.basic_auth(text, text).is_err() {
        assert!(text.contains(':'));
    }
    let trailers = [(text.to_owned(), bytes.to_vec())];
    if sent.set_trailers(&trailers).is_ok() {
        assert!(is_sendable(text, bytes));
    }
}

/// Text of any charset is text, and UTF-8 is itself.
fn check_text(body: &[u8]) {
    let (charset, content) = body.split_at(body.len().min(12));
    let mut content_type = b"text/plain; charset=".to_vec();
    content_type.extend_from_slice(charset);
    let _ = text::decode(content, Some(&content_type));
    for label in ["utf-16", "latin1", "shift_jis", "gb18030", "iso-2022-jp", "big5", "euc-kr", "x-user-defined"] {
        let _ = text::decode(content, Some(format!("text/plain;charset=\"{label}\"").as_bytes()));
    }
    let marked = [&b"\xef\xbb\xbf"[..], b"\xfe\xff", b"\xff\xfe"].iter().any(|mark| content.starts_with(mark));
    assert!(marked || text::decode(content, None) == String::from_utf8_lossy(content));
}
