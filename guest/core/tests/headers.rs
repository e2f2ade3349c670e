//! Header fields.

use urlpool_core::headers::{self, FIELD_OVERHEAD, FORBIDDEN, MAX_SECTION, is_token};
use urlpool_core::{Headers, Invalid};

#[test]
fn h4_h5_order_and_letters_stay_and_lookup_ignores_case() {
    let headers = fields(&[("X-b", "1"), ("a", "2"), ("x-B", "3")]);
    let all: Vec<_> = headers.iter().collect();
    assert_eq!(all, [("X-b", &b"1"[..]), ("a", b"2"), ("x-B", b"3")]);
    assert_eq!(headers.get("X-B"), Some(&b"1"[..]));
    assert_eq!(headers.get_all("x-b").collect::<Vec<_>>(), [b"1", b"3"]);
    assert_eq!(headers.get("c"), None);
    assert!(headers.contains("A") && !headers.contains("c"));
}

#[test]
fn h3_repetitions_are_joined_by_a_comma() {
    let mut headers = fields(&[("Via", "1"), ("via", "2")]);
    headers.append_received("latin", b"caf\xe9".as_slice());
    assert_eq!(headers.joined("VIA").as_deref(), Some("1, 2"));
    assert_eq!(headers.joined("latin").as_deref(), Some("caf\u{fffd}"));
    assert_eq!(headers.joined("none"), None);
}

#[test]
fn h6_control_characters_in_a_value_are_refused() {
    for value in ["a\rb", "a\nb", "a\0b", "\r\n", "a\x1b", "a\x7f"] {
        assert_eq!(Headers::new().append("x", value), Err(Invalid::HeaderValue("x".into())), "{value:?}");
    }
}

#[test]
fn h7_blanks_around_a_value_are_dropped_and_a_tab_inside_stays() {
    let headers = fields(&[("x", " \t a\tb \t"), ("y", "  ")]);
    assert_eq!(headers.get("x"), Some(&b"a\tb"[..]));
    assert_eq!(headers.get("y"), Some(&b""[..]));
}

#[test]
fn h8_an_empty_value_is_a_value() {
    assert_eq!(fields(&[("x", "")]).get("x"), Some(&b""[..]));
}

#[test]
fn h9_a_name_that_is_no_token_is_refused() {
    for name in ["", "a b", "a:", "ä", "a\r\nb", "(x)"] {
        assert_eq!(Headers::new().append(name, "1"), Err(Invalid::HeaderName(name.into())), "{name:?}");
    }
    assert!(is_token("!#$%&'*+-.^_`|~09azAZ"));
}

#[test]
fn h11_headers_of_the_host_are_refused_in_any_case() {
    for name in FORBIDDEN {
        let name = name.to_ascii_uppercase();
        assert_eq!(Headers::new().append(&name, "1"), Err(Invalid::ForbiddenHeader(name)));
    }
}

#[test]
fn h13_bytes_beyond_ascii_stay_as_they_are() {
    let mut headers = Headers::new();
    headers.append("x", b"caf\xe9".as_slice()).expect("obs-text is allowed");
    assert_eq!(headers.get("x"), Some(&b"caf\xe9"[..]));
}

#[test]
fn set_replaces_all_in_the_place_of_the_first() {
    let mut headers = fields(&[("a", "1"), ("b", "2"), ("A", "3"), ("c", "4")]);
    headers.set("A", "5").expect("it is valid");
    assert_eq!(headers, fields(&[("A", "5"), ("b", "2"), ("c", "4")]));
    headers.set("d", "6").expect("it is valid");
    assert_eq!(headers.get("d"), Some(&b"6"[..]));
    assert!(headers.set("a", "\n").is_err());
    assert_eq!(headers.get("a"), Some(&b"5"[..]), "a refused value changes nothing");
}

#[test]
fn remove_takes_all_of_a_name() {
    let mut headers = fields(&[("a", "1"), ("b", "2"), ("A", "3")]);
    assert!(headers.remove("A"));
    assert!(!headers.remove("A"));
    assert_eq!(headers, fields(&[("b", "2")]));
    assert_eq!((headers.len(), headers.is_empty()), (1, false));
}

#[test]
fn many_are_appended_as_a_whole_or_not_at_all() {
    let mut headers = fields(&[("a", "1")]);
    let good = ("b".to_owned(), b"2".to_vec());
    let bad = ("c".to_owned(), b"\n".to_vec());
    assert!(headers.append_all([good.clone(), bad]).is_err());
    assert_eq!(headers, fields(&[("a", "1")]));
    headers.append_all([good]).expect("it is valid");
    assert_eq!(headers.len(), 2);
}

#[test]
fn h15_a_section_that_a_host_would_not_take_is_refused() {
    let room = MAX_SECTION - FIELD_OVERHEAD - 1;
    let mut headers = Headers::new();
    headers.append("x", vec![b'a'; room]).expect("it is valid");
    assert_eq!(headers.section_size(), MAX_SECTION);
    assert_eq!(headers.check_size(), Ok(()));
    headers.set("x", vec![b'a'; room + 1]).expect("it is valid");
    assert_eq!(headers.check_size(), Err(Invalid::HeadersTooLarge { size: MAX_SECTION + 1, limit: MAX_SECTION }));
}

#[test]
fn the_count_of_a_section_is_no_less_than_that_of_wasmtime() {
    assert!(FIELD_OVERHEAD >= size_of::<http::HeaderName>() + size_of::<http::HeaderValue>());
    const { assert!(MAX_SECTION < 128 * 1024) };
}

#[test]
fn a_response_is_shown_as_it_is() {
    let mut headers = Headers::new();
    headers.append_received("Connection", "close");
    assert_eq!(headers.get("connection"), Some(&b"close"[..]));
}

/// Once whatever printed a request printed what lets others in.
#[test]
fn values_that_are_secrets_are_not_shown() {
    let mut headers = fields(&[("authorization", "s1"), ("COOKIE", "s2"), ("X-A", "1")]);
    headers.append_received("Proxy-Authorization", "s3");
    headers.append_received("Set-Cookie", "s4");
    let shown = r#"[("authorization", "***"), ("COOKIE", "***"), ("X-A", "1"), ("Proxy-Authorization", "***"), ("Set-Cookie", "***")]"#;
    assert_eq!(format!("{headers:?}"), shown);
}

fn fields(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.append(name, *value).expect("it is valid");
    }
    headers
}

#[test]
fn secrets_in_headers_are_not_shown() {
    for name in
        ["Authorization", "proxy-authorization", "cookie", "Set-Cookie", "X-Api-Key", "X-Auth-Token", "X-Signature"]
    {
        assert_eq!(headers::redact(name, "abc"), None, "{name}");
    }
    let shown = |name, value| headers::redact(name, value).map(|shown| shown.into_owned());
    assert_eq!(shown("Accept", "a@b").as_deref(), Some("a@b"));
    for (location, safe) in [
        ("https://u:pw@b.test/x?access_token=abc&a=1", "https://b.test/x?access_token=***&a=1"),
        ("https://b.test/@user/x", "https://b.test/@user/x"),
        ("/@user/x?sig=abc", "/@user/x?sig=***"),
        // No host that anybody would find: where its userinfo ends is unclear.
        ("http://u:p/w@b.test/", "http://***@b.test/"),
        ("//u:pw@b.test/", "***@b.test/"),
    ] {
        assert_eq!(shown("location", location).as_deref(), Some(safe), "{location}");
    }
}
