//! URLs.

use proptest::prelude::*;
use urlpool_core::error::BadLocation;
use urlpool_core::target::{Credentials, MAX_URL};
use urlpool_core::{Invalid, Target};

// --- parsing ---

#[test]
fn scheme_and_host_are_lowered_the_default_port_goes_and_the_path_begins_with_a_slash() {
    assert_eq!(parse("HTTP://A.Test:80").as_str(), "http://a.test/");
    assert_eq!(parse("https://a.test:443?q").as_str(), "https://a.test/?q");
    assert_eq!(parse("  http://a.test/x  ").as_str(), "http://a.test/x");
}

#[test]
fn escapes_are_upper_case_and_never_escaped_again() {
    assert_eq!(parse("http://a.test/%c3%a4%2f?%2b%zz").as_str(), "http://a.test/%C3%A4%2F?%2B%25zz");
    assert_eq!(parse("http://a.test/100%/%4").path_with_query(), "/100%25/%254");
}

#[test]
fn f5_what_has_no_place_in_a_url_is_escaped() {
    assert_eq!(
        parse("http://a.test/a b/ü|{}^`?c d\"<>ü\\|").path_with_query(),
        "/a%20b/%C3%BC%7C%7B%7D%5E%60?c%20d%22%3C%3E%C3%BC%5C%7C"
    );
    assert_eq!(parse("http://a.test/?a[]=1&b='").path_with_query(), "/?a[]=1&b=%27");
}

#[test]
fn dot_segments_are_removed_also_when_escaped() {
    assert_eq!(parse("http://a.test/a/./b/../c").path_with_query(), "/a/c");
    assert_eq!(parse("http://a.test/%2e%2e/x").path_with_query(), "/x");
}

#[test]
fn an_empty_query_and_an_empty_fragment_are_told_from_none() {
    assert_eq!(parse("http://a.test/?").path_with_query(), "/?");
    assert_eq!(parse("http://a.test/#").as_str(), "http://a.test/#");
}

#[test]
fn d15_a_fragment_is_shown_but_never_sent() {
    let target = parse("http://a.test/x?y#z");
    assert_eq!(target.as_str(), "http://a.test/x?y#z");
    assert_eq!(target.path_with_query(), "/x?y");
}

#[test]
fn a_host_may_be_an_address() {
    assert_eq!(parse("http://[::1]:8080/").authority(), "[::1]:8080");
    assert_eq!(parse("http://127.1/").authority(), "127.0.0.1");
}

#[test]
fn urls_that_lead_nowhere_are_refused_with_the_reason() {
    for (url, reason) in [
        ("", "it is empty"),
        ("a.test/x", "no scheme; did you mean http://a.test/x?"),
        ("localhost:8080/x", "no scheme; did you mean http://localhost:8080/x?"),
        ("//a.test", "no scheme; did you mean http://a.test?"),
        ("/x", "no scheme; did you mean http://x?"),
        ("://", "no scheme"),
        ("ftp://a.test/", "scheme ftp: neither http nor https"),
        ("http://", "no host"),
        ("http:///x", "no host"),
        ("http://?x", "no host"),
        ("http:a.test", "no host: two slashes are missing after the scheme"),
        ("http://:80/", "empty host"),
        ("http://a.test:0/", "port 0 is no port to connect to"),
        ("http://a.test:65536/", "invalid port number"),
        ("http://a.test:x/", "invalid port number"),
        ("http://[::1/", "invalid IPv6 address"),
        ("http://a b.test/", "invalid international domain name"),
        ("http://a.test/\r\nX: y", "holds a control character"),
        ("http://a\0.test/", "holds a control character"),
        ("http://a.test/\n", "holds a control character"),
    ] {
        match Target::parse(url) {
            Err(Invalid::Url { reason: why, .. }) => assert_eq!(why, reason, "{url:?}"),
            other => panic!("{url:?}: {other:?}"),
        }
    }
}

/// Before, a few characters passed that the URL standard does not forbid in a host, and the URL failed where it was to be sent.
/// Since then it is refused as any other that is none.
#[test]
fn a_host_of_characters_that_other_parsers_refuse_is_refused() {
    let base = parse("http://a.test/");
    for char in ['"', '`', '{', '}'] {
        let url = format!("http://a{char}.test/");
        assert!(matches!(Target::parse(&url), Err(Invalid::Url { .. })), "{url}");
        assert_eq!(base.follow(url.as_bytes()), Err(BadLocation::Malformed), "{url}");
    }
    for char in "-._~!$&'()*+,;=".chars() {
        let url = format!("http://a{char}b.test/");
        assert!(parse(&url).as_str().parse::<http::Uri>().is_ok(), "{url}");
    }
}

#[test]
fn l5_a_url_that_no_host_takes_is_refused() {
    let url = |size: usize| format!("http://a.test/{}", "x".repeat(size - 14));
    assert!(Target::parse(&url(MAX_URL)).is_ok());
    assert_eq!(Target::parse(&url(MAX_URL + 1)), Err(Invalid::UrlTooLong(MAX_URL + 1)));
    // Escapes count.
    let url = format!("http://a.test/{}", " x".repeat(MAX_URL / 3));
    assert!(matches!(Target::parse(&url), Err(Invalid::UrlTooLong(_))));
    let mut target = parse("http://a.test/");
    target.append_query("q", &"x".repeat(MAX_URL));
    assert!(matches!(target.check_size(), Err(Invalid::UrlTooLong(_))));
}

// --- userinfo ---

#[test]
fn userinfo_becomes_credentials_and_leaves_the_url() {
    let (target, credentials) = Target::parse("http://us%65r:p%40ss:%C3%BC@a.test/x").expect("it is a URL");
    assert_eq!(target.as_str(), "http://a.test/x");
    let credentials = credentials.expect("there is userinfo");
    assert_eq!(credentials, Credentials::new("user", "p@ss:ü").expect("it is valid"));
    assert_eq!(credentials.authorization(), "Basic dXNlcjpwQHNzOsO8");
}

#[test]
fn userinfo_may_lack_either_part() {
    let credentials = |url| Target::parse(url).expect("it is a URL").1;
    assert_eq!(credentials("http://ann@a.test/"), Credentials::new("ann", "").ok());
    assert_eq!(credentials("http://:p@a.test/"), Credentials::new("", "p").ok());
    assert_eq!(credentials("http://@a.test/"), None);
    assert_eq!(credentials("http://a.test/"), None);
}

#[test]
fn a_username_with_a_colon_is_refused() {
    assert_eq!(Credentials::new("a:b", "c"), Err(Invalid::Username));
    assert_eq!(Target::parse("http://a%3Ab:c@a.test/"), Err(Invalid::Username));
}

#[test]
fn userinfo_is_never_shown() {
    for url in [
        "http://ann:secret@a.test:0/",
        "http://ann:sec/ret@a.test/",
        "ann:secret@a.test/",
        "ftp://ann:secret@a.test/",
        "http://ann:secret@/",
        "http://ann:secret%ff@a.test/",
        "http://ann:sec\nret@a.test/",
        "http:ann:secret@a.test",
    ] {
        let error = Target::parse(url).expect_err("it is refused");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("sec") && !shown.contains("ann"), "{shown}");
    }
    let (target, credentials) = Target::parse("http://ann:secret@a.test/").expect("it is a URL");
    let shown = format!("{target} {target:?} {credentials:?}");
    assert!(!shown.contains("secret") && !shown.contains("ann"), "{shown}");
}

// --- joining ---

#[test]
fn d14_a_location_is_resolved_against_the_url_that_sent_it() {
    for (location, expected) in [
        ("/x", "http://a.test/x#f"),
        ("x", "http://a.test/b/x#f"),
        ("../x", "http://a.test/x#f"),
        ("?y", "http://a.test/b/c?y#f"),
        ("//b.test:81/x", "http://b.test:81/x#f"),
        ("#g", "http://a.test/b/c?q#g"),
        ("", "http://a.test/b/c?q#f"),
        ("https://b.test", "https://b.test/#f"),
        ("g;x=1/../y", "http://a.test/b/y#f"),
        ("../../../g", "http://a.test/g#f"),
        (" /x ", "http://a.test/x#f"),
    ] {
        let target = parse("http://a.test/b/c?q#f").follow(location.as_bytes()).expect("it leads somewhere");
        assert_eq!(target.as_str(), expected, "{location:?}");
    }
}

#[test]
fn d17_d18_locations_that_lead_nowhere_are_told_apart() {
    let base = parse("http://a.test/");
    for location in
        ["http://[::1", "http://", "http://a.test:0/", "http://a.test:99999/", "/a\tb", "/a\r\nb", "http://a b/"]
    {
        assert_eq!(base.follow(location.as_bytes()), Err(BadLocation::Malformed), "{location:?}");
    }
    for location in ["ftp://a.test/", "file:///x", "javascript:alert(1)", "mailto:ann@a.test", "data:,x"] {
        assert_eq!(base.follow(location.as_bytes()), Err(BadLocation::Scheme), "{location:?}");
    }
    assert_eq!(base.follow(&[b'/'; MAX_URL + 1]), Err(BadLocation::Malformed));
}

#[test]
fn d19_raw_bytes_and_spaces_in_a_location_are_escaped() {
    let base = parse("http://a.test/");
    let follow = |location: &[u8]| base.follow(location).expect("it leads somewhere").as_str().to_owned();
    assert_eq!(follow("/ü x".as_bytes()), "http://a.test/%C3%BC%20x");
    assert_eq!(follow(b"/caf\xe9"), "http://a.test/caf%E9");
    assert_eq!(follow("http://bücher.test/".as_bytes()), "http://xn--bcher-kva.test/");
}

#[test]
fn d27_userinfo_in_a_location_is_ignored() {
    let target = parse("http://a.test/").follow(b"http://ann:secret@b.test/x").expect("it leads somewhere");
    assert_eq!(target.as_str(), "http://b.test/x");
}

#[test]
fn a_pool_resolves_what_is_relative_and_takes_what_is_not() {
    let base = parse("http://a.test/b/c?q#f");
    let resolve = |url: &str| base.resolve(url).map(|(target, _)| target.as_str().to_owned());
    assert_eq!(resolve("x y"), Ok("http://a.test/b/x%20y".to_owned()));
    assert_eq!(resolve("/x?z#g"), Ok("http://a.test/x?z#g".to_owned()));
    assert_eq!(resolve("https://b.test"), Ok("https://b.test/".to_owned()));
    assert!(matches!(resolve("ftp://a.test/"), Err(Invalid::Url { .. })));
    let Err(Invalid::Url { reason, .. }) = resolve("localhost:80/x") else { panic!("it has no scheme") };
    assert_eq!(reason, "no scheme; did you mean http://localhost:80/x?");
    assert!(matches!(resolve("http:///x"), Err(Invalid::Url { .. })));
    assert!(matches!(resolve("/x\r\n"), Err(Invalid::Url { .. })));
}

// --- the query ---

#[test]
fn f1_f2_pairs_are_appended_before_the_fragment() {
    let mut target = parse("http://a.test/x?a=%2f&&b#f");
    target.append_query("c d", "ü&=");
    target.append_query("e", "");
    assert_eq!(target.as_str(), "http://a.test/x?a=%2F&&b&c+d=%C3%BC%26%3D&e=#f");
    let mut target = parse("http://a.test?");
    target.append_query("a", "1");
    assert_eq!(target.path_with_query(), "/?a=1");
}

/// Once a query that ended so got a second separator.
#[test]
fn a_separator_at_the_end_of_the_query_serves() {
    for (url, expected) in [
        ("http://a.test/p?x=9&", "/p?x=9&a=1"),
        ("http://a.test/p?x=9&&#f", "/p?x=9&&a=1"),
        ("http://a.test/p?&", "/p?&a=1"),
        ("http://a.test/p?x=%26", "/p?x=%26&a=1"),
        ("http://a.test/p?'|\"", "/p?%27%7C%22&a=1"),
    ] {
        let mut target = parse(url);
        target.append_query("a", "1");
        assert_eq!(target.path_with_query(), expected, "{url}");
    }
}

proptest! {
    #[test]
    fn whatever_is_parsed_can_be_sent_and_parses_to_itself(text in "\\PC{0,40}") {
        if let Ok((target, _)) = Target::parse(&format!("http://a.test/{text}")) {
            prop_assert!(target.path_with_query().parse::<http::uri::PathAndQuery>().is_ok(), "{}", target);
            prop_assert!(target.as_str().is_ascii());
            prop_assert_eq!(&parse(target.as_str()), &target);
        }
    }

    #[test]
    fn no_text_and_no_location_panics(text in "(http:)?[/\\\\]{0,3}\\PC{0,20}", location in proptest::collection::vec(any::<u8>(), 0..30)) {
        let base = parse("http://a.test/b/c?q#f");
        let _ = (Target::parse(&text), base.resolve(&text), base.follow(text.as_bytes()));
        if let Ok(target) = base.follow(&location) {
            prop_assert!(target.path_with_query().parse::<http::uri::PathAndQuery>().is_ok(), "{}", target);
        }
    }
}

fn parse(url: &str) -> Target {
    Target::parse(url).expect("it is a URL").0
}

#[test]
fn what_a_parameter_names_like_a_secret_is_not_shown() {
    for (url, shown) in [
        ("http://a.test/?q=1&Access_Token=abc&p=2#x", "http://a.test/?q=1&Access_Token=***&p=2#x"),
        ("http://a.test/?X-Amz-Signature=a=b", "http://a.test/?X-Amz-Signature=***"),
        ("http://a.test/?key=a#id_token=b&state=c", "http://a.test/?key=***#id_token=***&state=c"),
        ("http://a.test/key=a?keyboard=b&key", "http://a.test/key=a?keyboard=b&key"),
    ] {
        assert_eq!(Target::parse(url).unwrap().0.redacted(), shown);
    }
    let refused = Target::parse("a.test/?password=secret").unwrap_err().to_string();
    assert!(!refused.contains("secret"), "{refused}");
}
