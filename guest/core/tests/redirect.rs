//! Where a redirect leads, as which method, and with which headers.

use http::Method;
use proptest::prelude::*;
use urlpool_core::error::BadLocation;
use urlpool_core::redirect::{Hop, HopFrom, Next, StayReason};
use urlpool_core::retry::AtLimit;
use urlpool_core::{Cause, Headers, Origin, Redirect, Target};

/// What a POST with a body and secrets is sent with.
const SENT: [(&str, &str); 11] = [
    ("Accept", "*/*"),
    ("AuThOrIzAtIoN", "Basic YTpi"),
    ("Cookie", "a=1"),
    ("Cookie", "b=2"),
    ("Content-Type", "text/plain"),
    ("Content-Length", "3"),
    ("Content-Encoding", "gzip"),
    ("Expect", "100-continue"),
    ("Idempotency-Key", "k"),
    ("X-Token", "t"),
    ("Trailer", "X-End"),
];

const OF_THE_BODY: [&str; 5] = ["Content-Type", "Content-Length", "Content-Encoding", "Expect", "Trailer"];

fn target(url: &str) -> Target {
    Target::parse(url).expect("a URL").0
}

fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.append_received(name, value.as_bytes());
    }
    headers
}

fn names(headers: &Headers) -> Vec<&str> {
    headers.iter().map(|(name, _)| name).collect()
}

/// A request that is answered with a redirect.
struct Sent {
    redirect: Redirect,
    method: Method,
    target: Target,
    headers: Headers,
    scope: Option<Origin>,
    hops: u32,
    same: bool,
    body: bool,
    replayable: bool,
}

/// A GET of `url` under the default policy.
fn get(url: &str) -> Sent {
    Sent {
        redirect: Redirect::default(),
        method: Method::GET,
        target: target(url),
        headers: headers(&SENT),
        scope: None,
        hops: 0,
        same: true,
        body: false,
        replayable: true,
    }
}

fn send(method: &str, url: &str) -> Sent {
    Sent { method: Method::from_bytes(method.as_bytes()).expect("a token"), body: true, ..get(url) }
}

impl Sent {
    fn under(mut self, redirect: Redirect) -> Self {
        self.redirect = redirect;
        self
    }

    fn after(mut self, hops: u32) -> Self {
        self.hops = hops;
        self
    }

    fn next(&self, status: u16, response: &[(&str, &str)]) -> Next {
        self.redirect.next(
            &HopFrom {
                method: &self.method,
                target: &self.target,
                headers: &self.headers,
                scope: self.scope.as_ref(),
                hops: self.hops,
                same: self.same,
                body: self.body,
                replayable: self.replayable,
            },
            status,
            &headers(response),
        )
    }

    fn led(&self, status: u16, location: &str) -> Next {
        self.next(status, &[("location", location)])
    }

    fn hop(&self, status: u16, location: &str) -> Hop {
        match self.led(status, location) {
            Next::Follow(hop) => *hop,
            next => panic!("{status} to {location:?}: {next:?}"),
        }
    }
}

fn refused(next: Next) -> BadLocation {
    match next {
        Next::Refuse(Cause::BadRedirect { reason, .. }) => reason,
        next => panic!("{next:?}"),
    }
}

#[test]
fn methods_change_as_browsers_change_them() {
    let kept = ["GET", "HEAD", "PUT", "DELETE", "PATCH", "QUERY", "PROPFIND", "OPTIONS"];
    for status in [301, 302] {
        for method in kept {
            let hop = send(method, "http://a.test/").hop(status, "/x");
            assert_eq!((hop.method.as_str(), hop.drop_body), (method, false), "{status} {method}");
        }
        let hop = send("POST", "http://a.test/").hop(status, "/x");
        assert_eq!((hop.method.as_str(), hop.drop_body), ("GET", true), "{status}");
    }
    for method in kept.into_iter().chain(["POST"]) {
        for status in [307, 308] {
            let hop = send(method, "http://a.test/").hop(status, "/x");
            assert_eq!((hop.method.as_str(), hop.drop_body), (method, false), "{status} {method}");
        }
        let expected = if method == "HEAD" { "HEAD" } else { "GET" };
        let hop = send(method, "http://a.test/").hop(303, "/x");
        assert_eq!((hop.method.as_str(), hop.drop_body), (expected, true), "303 {method}");
    }
}

#[test]
fn a_hop_without_the_body_leaves_its_headers_behind_and_keeps_the_others() {
    for (method, status) in [("POST", 301), ("POST", 302), ("POST", 303), ("PUT", 303)] {
        let hop = send(method, "http://a.test/").hop(status, "/x");
        let expected: Vec<_> =
            SENT.map(|(name, _)| name).into_iter().filter(|name| !OF_THE_BODY.contains(name)).collect();
        assert_eq!(names(&hop.headers), expected, "{method} {status}");
    }
}

#[test]
fn every_header_of_a_body_stays_with_it() {
    let fields = [
        "Content-Language",
        "Content-Location",
        "Content-MD5",
        "Content-Range",
        "Digest",
        "Last-Modified",
        "Transfer-Encoding",
    ];
    let sent = Sent { headers: headers(&fields.map(|name| (name, "x"))), ..send("POST", "http://a.test/") };
    assert_eq!(names(&sent.hop(303, "/x").headers), [""; 0]);
    assert_eq!(names(&sent.hop(307, "/x").headers), fields);
}

#[test]
fn a_hop_with_the_body_keeps_every_header() {
    let hop = send("POST", "http://a.test/").hop(307, "/x");
    assert_eq!(hop.headers, headers(&SENT));
}

#[test]
fn a_body_that_cannot_be_sent_again_stays() {
    let sent = Sent { replayable: false, ..send("POST", "http://a.test/") };
    assert_eq!(sent.led(307, "/x"), Next::Stay(StayReason::Body));
    assert_eq!(sent.led(308, "/x"), Next::Stay(StayReason::Body));
    assert!(sent.hop(303, "/x").drop_body);
    assert!(sent.hop(302, "/x").drop_body);
    let put = Sent { replayable: false, ..send("PUT", "http://a.test/") };
    assert_eq!(put.led(302, "/x"), Next::Stay(StayReason::Body));
    assert_eq!(Sent { body: false, ..put }.hop(302, "/x").method, Method::PUT);
}

#[test]
fn secrets_do_not_cross_to_another_host_port_or_scheme() {
    for location in ["http://b.test/", "http://a.test:8080/", "https://a.test/", "//c.a.test/"] {
        let hop = get("http://a.test/").hop(302, location);
        assert!(!hop.headers.contains("authorization") && !hop.headers.contains("cookie"), "{location}");
        assert!(hop.headers.contains("idempotency-key") && hop.headers.contains("x-token"), "{location}");
    }
    assert!(!get("https://a.test/").hop(302, "http://a.test/").headers.contains("authorization"));
}

#[test]
fn every_secret_is_dropped() {
    let names = ["Authorization", "Cookie", "Cookie2", "Proxy-Authorization", "WWW-Authenticate"];
    let sent = Sent { headers: headers(&names.map(|name| (name, "x"))), ..get("http://a.test/") };
    assert!(sent.hop(302, "http://b.test/").headers.is_empty());
}

#[test]
fn headers_stay_within_an_origin() {
    for location in ["/x", "http://a.test:80/x", "HTTP://A.TEST/x", "//a.test/x", "?q", ""] {
        assert_eq!(get("http://a.test/").hop(302, location).headers, headers(&SENT), "{location}");
    }
}

#[test]
fn further_headers_are_private_by_name() {
    let redirect = Redirect::default().with_private_headers(["x-TOKEN", "absent"]);
    let hop = get("http://a.test/").under(redirect.clone()).hop(302, "http://b.test/");
    assert!(!hop.headers.contains("x-token") && !hop.headers.contains("authorization"));
    assert!(get("http://a.test/").under(redirect).hop(302, "/x").headers.contains("x-token"));
}

/// CVE-2024-45336.
#[test]
fn secrets_once_dropped_do_not_come_back() {
    let there = get("http://a.test/").hop(302, "http://b.test/");
    let back =
        Sent { target: there.target, headers: there.headers, ..get("http://a.test/") }.hop(302, "http://a.test/");
    assert!(!back.headers.contains("authorization") && !back.headers.contains("cookie"));
}

#[test]
fn userinfo_in_a_location_makes_no_credentials() {
    let hop = get("http://a.test/").hop(302, "http://ann:secret@b.test/x");
    assert_eq!(hop.target.as_str(), "http://b.test/x");
    assert!(!hop.headers.contains("authorization"));
}

#[test]
fn as_many_hops_as_the_limit_are_made() {
    let limited = |hops| get("http://a.test/").under(Redirect::default().with_limit(2)).after(hops);
    assert_eq!(limited(1).hop(302, "/x").target.as_str(), "http://a.test/x");
    let expected = Cause::TooManyRedirects { limit: 2, status: 302, location: "/x".to_owned(), same: false };
    assert_eq!(limited(2).led(302, "/x"), Next::Refuse(expected));
    assert!(matches!(get("http://a.test/").after(9).led(302, "/x"), Next::Follow(_)));
    assert!(matches!(get("http://a.test/").after(10).led(302, "/x"), Next::Refuse(_)));
}

#[test]
fn at_the_limit_the_policy_may_deliver() {
    let redirect = Redirect::default().with_limit(1).with_at_limit(AtLimit::Deliver);
    assert_eq!(get("http://a.test/").under(redirect).after(1).led(302, "/x"), Next::Stay(StayReason::Limit));
}

#[test]
fn a_limit_of_zero_delivers_as_never_does() {
    for redirect in [Redirect::never(), Redirect::default().with_limit(0)] {
        let sent = get("http://a.test/").under(redirect);
        assert_eq!(sent.led(302, "/x"), Next::Stay(StayReason::Never));
        assert_eq!(sent.led(302, "ftp://a.test/"), Next::Stay(StayReason::Never));
    }
}

#[test]
fn a_loop_to_the_same_url_is_told_apart() {
    let sent = get("http://a.test/x?q#f").after(10);
    for (location, expected) in
        [("/x?q", true), ("", true), ("#g", true), ("http://a.test:80/x?q", true), ("/y", false)]
    {
        let Next::Refuse(Cause::TooManyRedirects { same, .. }) = sent.led(302, location) else {
            panic!("{location}");
        };
        assert_eq!(same, expected, "{location}");
    }
    let Next::Refuse(Cause::TooManyRedirects { same, .. }) = (Sent { same: false, ..sent }).led(302, "") else {
        panic!("not refused");
    };
    assert!(!same);
    assert!(get("http://a.test/x").hop(302, "/x").same);
    assert!(!get("http://a.test/x").hop(302, "/y").same);
}

#[test]
fn only_five_statuses_redirect() {
    for status in [200, 201, 204, 300, 304, 305, 306, 309, 404, 503] {
        assert_eq!(get("http://a.test/").led(status, "/x"), Next::Stay(StayReason::NoRedirect), "{status}");
    }
}

#[test]
fn without_a_location_there_is_nowhere_to_go() {
    assert_eq!(get("http://a.test/").next(302, &[]), Next::Stay(StayReason::NoLocation));
}

#[test]
fn the_first_of_several_locations_counts() {
    let next = get("http://a.test/").next(302, &[("Location", "/x"), ("Location", "http://b.test/")]);
    let Next::Follow(hop) = next else { panic!("{next:?}") };
    assert_eq!(hop.target.as_str(), "http://a.test/x");
}

#[test]
fn a_location_is_relative_to_the_url_that_answered() {
    let cases = [
        ("/x", "http://a.test/x#f"),
        ("x", "http://a.test/d/x#f"),
        ("../x", "http://a.test/x#f"),
        ("?q", "http://a.test/d/e?q#f"),
        ("//b.test/x", "http://b.test/x#f"),
        ("#g", "http://a.test/d/e?p=1#g"),
        ("", "http://a.test/d/e?p=1#f"),
    ];
    for (location, expected) in cases {
        assert_eq!(get("http://a.test/d/e?p=1#f").hop(302, location).target.as_str(), expected, "{location:?}");
    }
}

#[test]
fn a_location_that_is_none_is_refused_with_what_it_was() {
    let expected =
        Cause::BadRedirect { status: 307, location: "http://[::1".to_owned(), reason: BadLocation::Malformed };
    assert_eq!(get("http://a.test/").led(307, "http://[::1"), Next::Refuse(expected));
}

#[test]
fn other_schemes_are_refused() {
    for location in ["ftp://a.test/", "file:///etc/hosts", "javascript:alert(1)"] {
        assert_eq!(refused(get("http://a.test/").led(302, location)), BadLocation::Scheme, "{location}");
    }
}

#[test]
fn https_may_be_required() {
    let strict = |url: &str| get(url).under(Redirect::default().with_https_only(true));
    assert_eq!(refused(strict("http://a.test/").led(302, "/x")), BadLocation::NotHttps);
    assert_eq!(refused(strict("https://a.test/").led(302, "http://a.test/")), BadLocation::NotHttps);
    assert_eq!(strict("http://a.test/").hop(302, "https://a.test/").target.as_str(), "https://a.test/");
}

#[test]
fn a_downgrade_may_be_forbidden() {
    let strict = |url: &str| get(url).under(Redirect::default().with_downgrade(false));
    assert_eq!(refused(strict("https://a.test/").led(302, "http://a.test/")), BadLocation::Downgrade);
    assert_eq!(strict("http://a.test/").hop(302, "http://b.test/").target.as_str(), "http://b.test/");
    assert_eq!(get("https://a.test/").hop(302, "http://a.test/").target.as_str(), "http://a.test/");
}

#[test]
fn a_pool_of_one_origin_delivers_what_leads_elsewhere() {
    let own = target("http://a.test/").origin().clone();
    let sent = Sent { scope: Some(own), ..get("http://a.test/") };
    assert_eq!(sent.led(302, "http://b.test/"), Next::Stay(StayReason::OtherOrigin));
    assert_eq!(sent.hop(302, "/x").target.as_str(), "http://a.test/x");
}

#[test]
fn no_referer_is_added() {
    assert!(!get("http://a.test/").hop(302, "/x").headers.contains("referer"));
}

#[test]
fn staying_says_why() {
    assert_eq!(StayReason::Body.to_string(), "the request body cannot be sent again");
}

proptest! {
    #[test]
    fn no_location_panics_or_leads_secrets_astray(location in proptest::collection::vec(any::<u8>(), 0..60)) {
        let sent = get("http://a.test/x");
        let mut response = Headers::new();
        response.append_received("location", location);
        let from = HopFrom {
            method: &sent.method,
            target: &sent.target,
            headers: &sent.headers,
            scope: None,
            hops: 0,
            same: true,
            body: false,
            replayable: true,
        };
        if let Next::Follow(hop) = sent.redirect.next(&from, 302, &response) {
            prop_assert_eq!(hop.target.origin() == sent.target.origin(), hop.headers.contains("authorization"));
        }
    }
}
