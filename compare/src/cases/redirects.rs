//! Redirects: as what method, where to, and what travels along.
//!
//! Longer than other files: each status meets each method.

use urlpool_conformance::reply::{ok, redirect, status};

use crate::case::{Answer, Ask, Case, Group, Play, Told, Verdict};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "301-post",
        group: Group::Redirects,
        title: "POST meets 301",
        right: "POST with its body, or GET without, as browsers do",
        source: "RFC 9110 §15.4.2",
        play: |_| moved("POST", 301),
        judge: post_or_get,
    },
    Case {
        id: "302-post",
        group: Group::Redirects,
        title: "POST meets 302",
        right: "POST with its body, or GET without, as browsers do",
        source: "RFC 9110 §15.4.3",
        play: |_| moved("POST", 302),
        judge: post_or_get,
    },
    Case {
        id: "301-put",
        group: Group::Redirects,
        title: "PUT meets 301",
        right: "PUT with its body: only POST may change",
        source: "RFC 9110 §15.4.2",
        play: |_| moved("PUT", 301),
        judge: |told| told.followed_as("PUT", "four"),
    },
    Case {
        id: "302-put",
        group: Group::Redirects,
        title: "PUT meets 302",
        right: "PUT with its body: only POST may change",
        source: "RFC 9110 §15.4.3",
        play: |_| moved("PUT", 302),
        judge: |told| told.followed_as("PUT", "four"),
    },
    Case {
        id: "302-delete",
        group: Group::Redirects,
        title: "DELETE meets 302",
        right: "DELETE: only POST may change",
        source: "RFC 9110 §15.4.3",
        play: |_| Play::ask(Ask::new("DELETE", "/"), [redirect(302, "/to")]).at("/to", [ok("arrived")]),
        judge: |told| told.followed_as("DELETE", ""),
    },
    Case {
        id: "303-post",
        group: Group::Redirects,
        title: "POST meets 303",
        right: "GET, without the body and what described it",
        source: "RFC 9110 §15.4",
        play: |_| moved("POST", 303),
        judge: |told| {
            told.followed_as("GET", "").and(|| match told.at("/to").and_then(|to| to.header("content-type")) {
                None => Verdict::Right,
                Some(kind) => Verdict::Wrong(format!("the GET still says `Content-Type: {kind}`")),
            })
        },
    },
    Case {
        id: "303-put",
        group: Group::Redirects,
        title: "PUT meets 303",
        right: "GET, without the body",
        source: "RFC 9110 §15.4.4",
        play: |_| moved("PUT", 303),
        judge: |told| told.followed_as("GET", ""),
    },
    Case {
        id: "303-head",
        group: Group::Redirects,
        title: "HEAD meets 303",
        right: "HEAD; the RFC allows GET as well",
        source: "RFC 9110 §15.4.4, Fetch §4.4",
        play: |_| Play::ask(Ask::new("HEAD", "/"), [redirect(303, "/to")]).at("/to", [ok("arrived")]),
        judge: |told| match told.at("/to") {
            Some(to) if to.method == "HEAD" => told.response(200, ""),
            Some(to) if to.method == "GET" => Verdict::Allowed("fetches by GET what was asked for by HEAD".to_owned()),
            _ => Verdict::Wrong(told.last().to_string()),
        },
    },
    Case {
        id: "302-head",
        group: Group::Redirects,
        title: "HEAD meets 302",
        right: "HEAD",
        source: "RFC 9110 §15.4.3",
        play: |_| Play::ask(Ask::new("HEAD", "/"), [redirect(302, "/to")]).at("/to", [ok("arrived")]),
        judge: |told| match told.at("/to") {
            Some(to) if to.method == "HEAD" => told.response(200, ""),
            Some(to) => Verdict::Wrong(format!("follows by {}", to.method)),
            None => Verdict::Wrong(told.last().to_string()),
        },
    },
    Case {
        id: "307-post",
        group: Group::Redirects,
        title: "POST meets 307",
        right: "POST with its body",
        source: "RFC 9110 §15.4.8",
        play: |_| moved("POST", 307),
        judge: |told| told.followed_as("POST", "four"),
    },
    Case {
        id: "308-post",
        group: Group::Redirects,
        title: "POST meets 308",
        right: "POST with its body",
        source: "RFC 9110 §15.4.9",
        play: |_| moved("POST", 308),
        judge: |told| told.followed_as("POST", "four"),
    },
    Case {
        id: "300",
        group: Group::Redirects,
        title: "300 with a `Location`",
        right: "followed, or delivered",
        source: "RFC 9110 §15.4.1",
        play: |_| Play::get([redirect(300, "/to")]).at("/to", [ok("arrived")]),
        judge: |told| told.status(300).or(|| told.response(200, "arrived")),
    },
    Case {
        id: "304",
        group: Group::Redirects,
        title: "304 with a `Location`",
        right: "delivered: it redirects to the cached response",
        source: "RFC 9110 §15.4.5",
        play: |_| {
            Play::ask(Ask::new("GET", "/").header("If-None-Match", "\"x\""), [status(304).header("Location", "/to")])
                .at("/to", [ok("arrived")])
        },
        judge: |told| told.response(304, ""),
    },
    Case {
        id: "305",
        group: Group::Redirects,
        title: "305 with a `Location`",
        right: "delivered: it is deprecated, since a server could name a proxy",
        source: "RFC 9110 §15.4.6",
        play: |_| Play::get([redirect(305, "/to")]).at("/to", [ok("arrived")]),
        judge: |told| told.status(305),
    },
    Case {
        id: "201",
        group: Group::Redirects,
        title: "201 with a `Location`",
        right: "delivered: it names what was made",
        source: "RFC 9110 §15.3.2",
        play: |_| Play::ask(Ask::new("POST", "/").body("four"), [redirect(201, "/to")]).at("/to", [ok("arrived")]),
        judge: |told| told.status(201),
    },
    Case {
        id: "no-location",
        group: Group::Redirects,
        title: "302 without a `Location`",
        right: "delivered",
        source: "RFC 9110 §15.4",
        play: |_| Play::get([status(302).body("no place")]),
        judge: |told| told.response(302, "no place"),
    },
    Case {
        id: "bad-location",
        group: Group::Redirects,
        title: "302 to `http://[::1`",
        right: "delivered, or an error that is documented",
        source: "RFC 9110 §15.4",
        play: |_| Play::get([redirect(302, "http://[::1")]),
        judge: |told| told.status(302).or(|| told.error()),
    },
    Case {
        id: "bad-port",
        group: Group::Redirects,
        title: "302 to a port that is no number",
        right: "delivered, or an error that is documented",
        source: "RFC 9110 §15.4",
        play: |_| Play::get([redirect(302, "http://a.test:port/")]),
        judge: |told| told.status(302).or(|| told.error()),
    },
    Case {
        id: "other-scheme",
        group: Group::Redirects,
        title: "302 to `ftp://`",
        right: "delivered, or an error that is documented",
        source: "RFC 9110 §15.4",
        play: |_| Play::get([redirect(302, "ftp://127.0.0.1/file")]),
        judge: |told| told.status(302).or(|| told.error()),
    },
    Case {
        id: "relative-location",
        group: Group::Redirects,
        title: "302 from `/x/y` to `../to?q`",
        right: "followed to `/to?q`",
        source: "RFC 9110 §10.2.2",
        play: |_| {
            Play { asks: vec![Ask::new("GET", "/x/y")], ..Play::default() }
                .at("/x/y", [redirect(302, "../to?q")])
                .at("/to", [ok("arrived")])
        },
        judge: |told| match told.at("/to") {
            Some(to) if to.target == "/to?q" => told.response(200, "arrived"),
            Some(to) => Verdict::Wrong(format!("asks for `{}`", to.target)),
            None => Verdict::Wrong(told.last().to_string()),
        },
    },
    Case {
        id: "space-in-location",
        group: Group::Redirects,
        title: "302 to a path with a space in it",
        right: "the space is escaped, or an error; it never stands in a request line",
        source: "RFC 9112 §3.2",
        play: |_| Play::get([redirect(302, "/to?a b")]).at("/to", [ok("arrived")]),
        judge: |told| match told.at("/to") {
            Some(to) if to.target == "/to?a%20b" || to.target == "/to?a+b" => told.response(200, "arrived"),
            Some(to) => Verdict::Wrong(format!("asks for `{}`", to.target)),
            None => told.status(302).or(|| told.error()),
        },
    },
    Case {
        id: "utf-8-in-location",
        group: Group::Redirects,
        title: "302 to a path with the UTF-8 of `ä` in it",
        right: "those bytes are escaped, or an error; never other bytes",
        source: "RFC 9110 §5.5",
        play: |_| Play::get([redirect(302, "/to?ä")]).at("/to", [ok("arrived")]),
        judge: |told| match told.at("/to") {
            Some(to) if to.target.eq_ignore_ascii_case("/to?%C3%A4") => told.response(200, "arrived"),
            Some(to) => Verdict::Wrong(format!("asks for `{}`", to.target)),
            None => told.status(302).or(|| told.error()),
        },
    },
    Case {
        id: "body-of-redirect",
        group: Group::Redirects,
        title: "302 whose body is not the gzip it is said to be",
        right: "followed: nobody asked for that body; an error is no break of the RFC",
        source: "RFC 9110 §15.4",
        play: |_| {
            Play::get([redirect(302, "/to").header("Content-Encoding", "gzip").body("no gzip")])
                .at("/to", [ok("arrived")])
        },
        judge: |told| {
            told.response(200, "arrived").or(|| match told.last() {
                Answer::Error { typed: true, text } => Verdict::Allowed(format!("does not get there: `{text}`")),
                other => Verdict::Wrong(other.to_string()),
            })
        },
    },
    Case {
        id: "secrets",
        group: Group::Redirects,
        title: "another origin, with `Authorization` and `Cookie`",
        right: "followed without them",
        source: "RFC 9110 §15.4",
        play: |urls| {
            Play::ask(secrets("/"), [redirect(302, format!("{}/to", urls.b))]).elsewhere("/to", [ok("arrived")])
        },
        judge: |told| told.response(200, "arrived").and(|| keeps_secrets(told)),
    },
    Case {
        id: "secrets-307",
        group: Group::Redirects,
        title: "the same by 307 of a POST",
        right: "followed without them",
        source: "RFC 9110 §15.4",
        play: |urls| {
            let ask = Ask { method: "POST", ..secrets("/") }.body("four");
            Play::ask(ask, [redirect(307, format!("{}/to", urls.b))]).elsewhere("/to", [ok("arrived")])
        },
        judge: |told| told.response(200, "arrived").and(|| keeps_secrets(told)),
    },
    Case {
        id: "secrets-and-back",
        group: Group::Redirects,
        title: "another origin, and back from there",
        right: "they do not come back: the other origin chose the place",
        source: "CVE-2024-45336",
        play: |urls| {
            Play::ask(secrets("/"), [redirect(302, format!("{}/over", urls.b))])
                .elsewhere("/over", [redirect(302, format!("{}/to", urls.a))])
                .at("/to", [ok("arrived")])
        },
        judge: |told| {
            told.response(200, "arrived").and(|| keeps_secrets(told)).and(|| {
                let back = told.at("/to").and_then(|to| to.header("authorization"));
                Verdict::that(back.is_none(), "sends the secret where the other origin wanted it")
            })
        },
    },
    Case {
        id: "userinfo-in-location",
        group: Group::Redirects,
        title: "302 to `http://user:password@` another origin",
        right: "followed without, or an error: a server does not choose credentials",
        source: "RFC 9110 §4.2.4",
        play: |urls| {
            let place = urls.b.replace("http://", "http://user:password@");
            Play::get([redirect(302, format!("{place}/to"))]).elsewhere("/to", [ok("arrived")])
        },
        judge: |told| match told.b.requests.first() {
            Some(to) if to.header("authorization").is_some() => {
                Verdict::Wrong("sends the credentials that the server chose".to_owned())
            }
            Some(_) => told.response(200, "arrived"),
            None => told.status(302).or(|| told.error()),
        },
    },
];

/// `/` redirects to `/to`, by this status.
fn moved(method: &'static str, code: u16) -> Play {
    Play::ask(Ask::new(method, "/").body("four"), [redirect(code, "/to")]).at("/to", [ok("arrived")])
}

fn post_or_get(told: &Told) -> Verdict {
    told.followed_as("POST", "four").or(|| told.followed_as("GET", ""))
}

fn secrets(path: &'static str) -> Ask {
    Ask::new("GET", path).header("Authorization", "Bearer secret").header("Cookie", "session=secret")
}

fn keeps_secrets(told: &Told) -> Verdict {
    let told_of = told.b.requests.iter().flat_map(|request| &request.headers);
    let mut leaked: Vec<_> =
        told_of.filter(|(_, value)| value.contains("secret")).map(|(name, _)| name.to_lowercase()).collect();
    leaked.dedup();
    Verdict::that(leaked.is_empty(), format!("sends along: {}", leaked.join(", ")))
}
