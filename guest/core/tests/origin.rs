//! Origins.

use std::collections::HashSet;

use urlpool_core::origin::Scheme;
use urlpool_core::{Origin, Target};

#[test]
fn p23_letters_of_scheme_and_host_do_not_matter() {
    assert_eq!(origin("HTTP://A.TEST/x"), origin("http://a.test/y?z#f"));
}

#[test]
fn p24_the_default_port_is_the_same_as_none() {
    assert_eq!(origin("http://a.test"), origin("http://a.test:80"));
    assert_eq!(origin("https://a.test"), origin("https://a.test:443"));
    assert_eq!(origin("http://a.test:"), origin("http://a.test"));
}

#[test]
fn scheme_host_and_port_tell_origins_apart() {
    let origins = ["http://a.test", "https://a.test", "https://a.test:80", "http://b.test", "http://a.test:81"];
    let distinct: HashSet<_> = origins.iter().map(|url| origin(url)).collect();
    assert_eq!(distinct.len(), origins.len());
}

#[test]
fn a_name_with_a_trailing_dot_is_another_origin_and_keeps_its_dot() {
    assert_ne!(origin("http://a.test."), origin("http://a.test"));
    assert_eq!(origin("http://a.test.:81").authority(), "a.test.:81");
}

#[test]
fn the_authority_has_brackets_and_a_port_where_they_are_needed() {
    assert_eq!(origin("http://a.test:80").authority(), "a.test");
    assert_eq!(origin("https://a.test:80").authority(), "a.test:80");
    let v6 = origin("http://[2001:DB8::1]:8080");
    assert_eq!((v6.host(), v6.port(), v6.scheme()), ("2001:db8::1", 8080, Scheme::Http));
    assert_eq!(v6.authority(), "[2001:db8::1]:8080");
}

#[test]
fn an_origin_is_shown_as_a_url_without_a_path() {
    assert_eq!(origin("http://a.test:8080/x").to_string(), "http://a.test:8080");
    assert_eq!(origin("https://[::1]").to_string(), "https://[::1]");
}

#[test]
fn an_international_name_is_its_ascii_form() {
    assert_eq!(origin("http://BÜCHER.test").host(), "xn--bcher-kva.test");
}

fn origin(url: &str) -> Origin {
    Target::parse(url).expect("it is a URL").0.origin().clone()
}
