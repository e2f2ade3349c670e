//! What is sent: the request, what the pool adds, and what is refused before any I/O.
//!
//! Longer than most files: every header that is added, kept or refused has a fact of its own.

mod scenario;

use bytes::Bytes;
use proptest::prelude::*;
use urlpool_core::exchange::{Outbound, USER_AGENT};
use urlpool_core::form::Form;
use urlpool_core::headers::{FORBIDDEN, MAX_SECTION};
use urlpool_core::keyring::Keyring;
use urlpool_core::request::is_idempotent;
use urlpool_core::target::MAX_URL;
use urlpool_core::{Cause, Headers, Invalid, Kind, Policy, Request, Target};

use scenario::{Scenario, get, scenario};

fn post() -> Scenario {
    scenario("POST", "http://a.test/")
}

fn field(outbound: &Outbound, name: &str) -> Option<String> {
    outbound.headers.joined(name)
}

fn length(scenario: Scenario) -> Option<String> {
    field(&scenario.outbound(), "content-length")
}

fn invalid(scenario: Scenario) -> Invalid {
    match scenario.refused().cause {
        Cause::Invalid(invalid) => invalid,
        other => panic!("{other:?}"),
    }
}

fn form(multipart: bool) -> Form {
    let mut form = if multipart { Form::multipart(Some("xyz")).expect("a boundary") } else { Form::new() };
    form.append_field("a", "1 2");
    form
}

// --- requests ---

#[test]
fn a_method_is_a_token() {
    assert_eq!(Request::create("PURGE", "http://a.test/").unwrap().method(), "PURGE");
    for method in ["", "GE T", "GET\r\n", "b\u{e4}d"] {
        assert_eq!(Request::create(method, "http://a.test/").unwrap_err(), Invalid::Method(method.to_owned()));
    }
}

#[test]
fn connect_is_no_method_of_a_request() {
    for method in ["CONNECT", "connect"] {
        assert_eq!(Request::create(method, "http://a.test/").unwrap_err(), Invalid::Method(method.to_owned()));
    }
}

#[test]
fn a_relative_target_needs_a_base() {
    let base = Target::parse("http://a.test/x/y").unwrap().0;
    let request = Request::within(Some(&base), "GET", "z?q").unwrap();
    assert_eq!(request.target().as_str(), "http://a.test/x/z?q");
    assert!(matches!(Request::within(None, "GET", "z").unwrap_err(), Invalid::Url { .. }));
}

#[test]
fn p28_a_target_of_another_origin_than_the_base_is_refused() {
    let base = Target::parse("http://a.test/").unwrap().0;
    for target in ["http://b.test/", "//b.test/", "https://a.test/", "http://a.test:81/"] {
        let refused = Request::within(Some(&base), "GET", target).unwrap_err();
        assert!(matches!(refused, Invalid::OtherOrigin { .. }), "{target}");
    }
    assert!(Request::within(Some(&base), "GET", "HTTP://A.test:80/x").is_ok());
}

#[test]
fn only_requests_that_do_the_same_twice_are_idempotent() {
    let methods = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY", "POST", "PATCH", "get", "LOCK"];
    let idempotent = methods.map(|method| is_idempotent(&method.parse().unwrap()));
    assert_eq!(idempotent, [true, true, true, true, true, true, true, false, false, false, false]);
}

#[test]
fn userinfo_becomes_basic_credentials() {
    let sent = scenario("GET", "http://ann:s%65cret@a.test/").outbound();
    assert_eq!(field(&sent, "authorization").as_deref(), Some("Basic YW5uOnNlY3JldA=="));
    assert_eq!(sent.target.as_str(), "http://a.test/");
}

#[test]
fn json_has_its_type_unless_the_request_says_otherwise() {
    let json = || post().with(|request| request.set_json(Bytes::from_static(b"{}")));
    let types = |scenario: Scenario| -> Vec<String> {
        let sent = scenario.outbound();
        sent.headers.get_all("content-type").map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    };
    assert_eq!(types(json()), ["application/json"]);
    assert_eq!(types(json().header("content-type", "application/merge-patch+json")), ["application/merge-patch+json"]);
    assert!(types(json().with(|request| request.remove_header("Content-Type"))).is_empty());
    // With another body, that of the JSON is gone.
    assert!(types(json().with(|request| request.set_body(Bytes::from_static(b"x")))).is_empty());
}

#[test]
fn credentials_replace_each_other() {
    let sent = get().with(|request| {
        request.append_header("Authorization", b"own").unwrap();
        request.basic_auth("ann", "secret").unwrap();
        request.bearer_auth("token").unwrap();
    });
    assert_eq!(field(&sent.outbound(), "authorization").as_deref(), Some("Bearer token"));
}

/// Both were sent before, and which of them counted was the server's to decide.
#[test]
fn an_own_authorization_replaces_that_of_the_url() {
    let sent = scenario("GET", "http://ann:secret@a.test/").with(|request| {
        request.append_header("authorization", b"Own x").unwrap();
    });
    let all: Vec<_> = sent.outbound().headers.get_all("authorization").map(<[u8]>::to_vec).collect();
    assert_eq!(all, [b"Own x"]);
}

#[test]
fn credentials_that_cannot_be_sent_change_nothing() {
    let mut request = Request::create("GET", "http://ann@a.test/").unwrap();
    assert!(request.append_header("Authorization", b"a\0b").is_err());
    assert_eq!(request.basic_auth("a:b", ""), Err(Invalid::Username));
    assert!(matches!(request.bearer_auth("a\r\nb"), Err(Invalid::HeaderValue(_))));
    assert!(request.append_headers(&[("X".into(), b"1".to_vec()), ("Bad Name".into(), b"2".to_vec())]).is_err());
    let sent = get().with(|own| *own = request).outbound();
    assert_eq!(field(&sent, "authorization").as_deref(), Some("Basic YW5uOg=="));
    assert_eq!(field(&sent, "x"), None);
}

#[test]
fn h11_headers_of_the_host_are_refused() {
    let mut request = Request::create("GET", "http://a.test/").unwrap();
    for name in FORBIDDEN.into_iter().chain(["Host", "TRANSFER-ENCODING"]) {
        assert_eq!(request.append_header(name, b"x"), Err(Invalid::ForbiddenHeader(name.to_owned())));
        assert_eq!(
            request.set_trailers(&[(name.to_owned(), b"x".to_vec())]),
            Err(Invalid::ForbiddenHeader(name.to_owned()))
        );
    }
}

// --- what is added ---

#[cfg(feature = "gzip")]
#[test]
fn a_plain_get_is_sent_with_two_headers() {
    let sent = get().outbound();
    assert_eq!((sent.method.as_str(), sent.target.as_str()), ("GET", "http://a.test/"));
    assert!(!sent.has_body && sent.trailers.is_empty());
    let names: Vec<&str> = sent.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["User-Agent", "Accept-Encoding"]);
}

#[test]
fn h17_the_user_agent_is_ours_unless_another_is_set_or_it_is_removed() {
    assert_eq!(field(&get().outbound(), "user-agent").as_deref(), Some(USER_AGENT));
    let by_pool = |policy: &mut Policy| policy.headers.append("user-agent", "pool").unwrap();
    assert_eq!(field(&get().pool(by_pool).outbound(), "user-agent").as_deref(), Some("pool"));
    assert_eq!(field(&get().pool(by_pool).header("User-agent", "own").outbound(), "user-agent").unwrap(), "own");
    let removed = get().pool(by_pool).with(|request| request.remove_header("USER-AGENT"));
    assert_eq!(field(&removed.outbound(), "user-agent"), None);
    assert_eq!(field(&get().pool(|pool| pool.remove_header("User-Agent")).outbound(), "user-agent"), None);
}

#[test]
fn h10_headers_of_the_pool_are_sent_unless_the_request_has_its_own_or_removes_them() {
    let pool = |policy: &mut Policy| {
        policy.headers = scenario::headers(&[("X-A", "pool"), ("X-B", "pool"), ("X-B", "twice"), ("X-C", "pool")]);
    };
    let sent = get().pool(pool).header("x-a", "1").header("x-a", "2").with(|request| request.remove_header("x-c"));
    let sent = sent.outbound();
    assert_eq!(field(&sent, "x-a").as_deref(), Some("1, 2"));
    assert_eq!(field(&sent, "x-b").as_deref(), Some("pool, twice"));
    assert_eq!(field(&sent, "x-c"), None);
}

#[test]
fn a_header_that_the_pool_removes_is_sent_when_the_request_has_it() {
    let sent = get().pool(|pool| pool.remove_header("X-A")).header("X-A", "own").outbound();
    assert_eq!(field(&sent, "x-a").as_deref(), Some("own"));
}

#[test]
fn a_header_that_is_appended_after_it_was_removed_is_sent() {
    let sent = get().with(|request| request.remove_header("User-Agent")).header("User-Agent", "own").outbound();
    assert_eq!(field(&sent, "user-agent").as_deref(), Some("own"));
}

#[cfg(feature = "gzip")]
#[test]
fn own_headers_go_first_and_in_order() {
    let sent = get().header("X-B", "1").header("X-A", "2").pool(|pool| pool.headers.append("X-P", "3").unwrap());
    let sent = sent.outbound();
    let names: Vec<&str> = sent.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["X-B", "X-A", "X-P", "User-Agent", "Accept-Encoding"]);
}

#[cfg(feature = "gzip")]
#[test]
fn h18_codings_are_not_asked_for_where_nothing_is_decoded() {
    let asked = |scenario: Scenario| field(&scenario.outbound(), "accept-encoding");
    assert!(asked(get()).is_some());
    assert_eq!(asked(get().pool(|pool| pool.decode = false)), None);
    assert_eq!(asked(get().with(|request| request.set_decode(false))), None);
    assert_eq!(asked(get().header("Range", "bytes=0-9")), None);
    assert_eq!(asked(get().header("Accept-Encoding", "br;q=1")).as_deref(), Some("br;q=1"));
    assert_eq!(asked(get().with(|request| request.remove_header("Accept-Encoding"))), None);
}

// --- lengths ---

#[test]
fn f12_a_post_without_a_body_says_so_and_a_get_says_nothing() {
    for method in ["POST", "PUT", "PATCH", "QUERY"] {
        assert_eq!(length(scenario(method, "http://a.test/")).as_deref(), Some("0"), "{method}");
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"] {
        assert_eq!(length(scenario(method, "http://a.test/")), None, "{method}");
    }
}

#[test]
fn a_known_length_is_declared() {
    assert_eq!(length(post().body(b"hello")).as_deref(), Some("5"));
    assert_eq!(length(post().stream(Some(7))).as_deref(), Some("7"));
    assert_eq!(length(post().stream(None)), None);
}

#[test]
fn no_length_is_declared_where_the_caller_removed_it() {
    assert_eq!(length(post().body(b"hello").with(|request| request.remove_header("Content-Length"))), None);
    assert_eq!(length(post().body(b"hello").pool(|pool| pool.remove_header("Content-Length"))), None);
    let after_all = post().body(b"hello").with(|request| request.remove_header("Content-Length"));
    assert_eq!(length(after_all.header("Content-Length", "5")).as_deref(), Some("5"));
}

#[test]
fn a_length_of_the_caller_becomes_that_of_a_stream_without_one() {
    let mut run = post().stream(None).header("content-length", "3").send();
    assert_eq!(field(run.last_sent(), "content-length").as_deref(), Some("3"));
    let upload = run.exchange.upload();
    let early = Invalid::BodyLength { declared: 3, came: 0 };
    assert_eq!((upload.length(), upload.end(0)), (Some(3), Err(early)));
}

/// Once such a length was dropped in silence, and the form sent in chunks.
#[test]
fn a_length_of_the_caller_holds_for_a_form_with_a_stream_without_one() {
    let form = || {
        let mut form = Form::multipart(Some("xyz")).unwrap();
        form.append_stream("file", "a.txt", 0, None, None).unwrap();
        form
    };
    let around = {
        let mut form = Form::multipart(Some("xyz")).unwrap();
        form.append_file("file", "a.txt", Bytes::new(), None).unwrap();
        length(post().with(|request| request.set_form(form))).unwrap().parse::<u64>().unwrap()
    };
    let all = (around + 9).to_string();
    let mut run = post().with(|request| request.set_form(form())).header("Content-Length", &all).send();
    assert_eq!(field(run.last_sent(), "content-length"), Some(all));
    let late = Invalid::BodyLength { declared: 9, came: 10 };
    assert_eq!(run.exchange.upload().supply(0, Bytes::from_static(b"0123456789")), Err(late));
    let short = post().with(|request| request.set_form(form())).header("Content-Length", "5");
    assert_eq!(invalid(short), Invalid::ContentLength { header: "5".to_owned(), body: None });
}

#[test]
fn h12_a_length_that_contradicts_the_body_is_refused() {
    let refused = |scenario: Scenario, header: &str| invalid(scenario.header("Content-Length", header));
    let contradicts = |header: &str, body| Invalid::ContentLength { header: header.to_owned(), body };
    assert_eq!(refused(post().body(b"hello"), "4"), contradicts("4", Some(5)));
    assert_eq!(refused(post().stream(Some(7)), "8"), contradicts("8", Some(7)));
    assert_eq!(refused(get(), "1"), contradicts("1", Some(0)));
    for header in ["+5", "-5", "5, 5", "", "0x5", "five", "99999999999999999999"] {
        assert_eq!(refused(post().body(b"hello"), header), contradicts(header, Some(5)));
    }
}

#[test]
fn a_length_is_declared_once() {
    assert_eq!(length(post().body(b"hello").header("CONTENT-LENGTH", "05")).as_deref(), Some("5"));
    assert_eq!(length(get().header("Content-Length", "0")).as_deref(), Some("0"));
}

#[test]
fn trailers_are_named_and_the_body_before_them_has_no_length() {
    let trailers = [("X-Sum".to_owned(), b"1".to_vec()), ("X-Count".to_owned(), b"2".to_vec())];
    let sent = post().body(b"hello").with(|request| request.set_trailers(&trailers).unwrap()).outbound();
    assert_eq!(field(&sent, "trailer").as_deref(), Some("X-Sum, X-Count"));
    assert_eq!(field(&sent, "content-length"), None);
    assert_eq!(sent.trailers.get("x-sum"), Some(b"1".as_slice()));
}

#[test]
fn fields_that_frame_or_authorize_do_not_come_after_the_body() {
    let mut request = Request::create("POST", "http://a.test/").unwrap();
    for name in ["Content-Length", "content-encoding", "Authorization", "TRAILER", "TE"] {
        let trailers = [("X-Sum".to_owned(), b"1".to_vec()), (name.to_owned(), b"1".to_vec())];
        assert_eq!(request.set_trailers(&trailers), Err(Invalid::ForbiddenTrailer(name.to_owned())));
    }
    let trailers = [("Transfer-Encoding".to_owned(), b"chunked".to_vec())];
    assert!(matches!(request.set_trailers(&trailers), Err(Invalid::ForbiddenHeader(_))));
}

#[test]
fn trailers_alone_make_a_body() {
    let sent = post().with(|request| request.set_trailers(&[("X-Sum".to_owned(), b"1".to_vec())]).unwrap());
    let sent = sent.outbound();
    assert!(sent.has_body);
    assert_eq!(field(&sent, "content-length"), None);
}

// --- forms ---

#[test]
fn f8_a_form_names_its_type() {
    let mut run = post().with(|request| request.set_form(form(false))).send();
    assert_eq!(field(run.last_sent(), "content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    assert_eq!(field(run.last_sent(), "content-length").as_deref(), Some("5"));
    assert_eq!(scenario::write(&mut run), b"a=1+2");
    let sent = post().with(|request| request.set_form(form(true))).outbound();
    assert_eq!(field(&sent, "content-type").as_deref(), Some("multipart/form-data; boundary=xyz"));
}

#[test]
fn f9_a_type_of_the_caller_that_fits_the_form_is_kept() {
    let own = "application/x-www-form-urlencoded; charset=utf-8";
    let sent = post().with(|request| request.set_form(form(false))).header("content-type", own).outbound();
    assert_eq!(field(&sent, "content-type").as_deref(), Some(own));
}

#[test]
fn m23_a_multipart_type_without_a_boundary_gets_one() {
    for own in ["multipart/form-data", "Multipart/Form-Data; boundary=other"] {
        let sent = post().with(|request| request.set_form(form(true))).header("Content-Type", own).outbound();
        assert_eq!(field(&sent, "content-type").as_deref(), Some("multipart/form-data; boundary=xyz"));
    }
}

#[test]
fn m24_a_form_of_another_type_is_refused() {
    let refused = |multipart, own: &str| {
        invalid(post().with(|request| request.set_form(form(multipart))).header("Content-Type", own))
    };
    assert_eq!(refused(true, "application/json"), Invalid::FormType("application/json".to_owned()));
    assert_eq!(refused(false, "multipart/form-data"), Invalid::FormType("multipart/form-data".to_owned()));
}

/// Once the pool's default type made every form invalid.
#[test]
fn the_type_of_a_form_replaces_that_of_the_pool() {
    let json = |policy: &mut Policy| policy.headers.append("Content-Type", "application/json").unwrap();
    let sent = post().pool(json).with(|request| request.set_form(form(false))).outbound();
    assert_eq!(field(&sent, "content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    assert_eq!(field(&post().pool(json).body(b"{}").outbound(), "content-type").as_deref(), Some("application/json"));
}

/// Once the form's type was sent although the caller had removed it.
#[test]
fn a_form_whose_type_is_removed_is_sent_without() {
    let sent = post().with(|request| {
        request.set_form(form(false));
        request.remove_header("Content-Type");
    });
    assert_eq!(field(&sent.outbound(), "content-type"), None);
}

#[test]
fn m20_a_boundary_that_occurs_in_the_content_is_refused() {
    let mut form = Form::multipart(Some("xyz")).unwrap();
    form.append_field("a", "--xyz");
    assert!(matches!(invalid(post().with(|request| request.set_form(form))), Invalid::Boundary(_)));
}

#[test]
fn m32_two_forms_of_one_seed_have_the_same_boundary_and_of_two_seeds_another() {
    use urlpool_core::{Entropy, Exchange, Step};
    let boundary = |seed| {
        let mut request = Request::create("POST", "http://a.test/").unwrap();
        request.set_form(Form::multipart(None).unwrap());
        let now = scenario::at(scenario::seconds(0));
        let (mut exchange, _) = Exchange::begin(request, &Policy::default(), Entropy::seeded(seed), now);
        match exchange.on(urlpool_core::Event::Granted, now) {
            Step::Send(outbound) => field(&outbound, "content-type"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(boundary(1), boundary(1));
    assert_ne!(boundary(1), boundary(2));
}

/// Once the boundary was drawn as jitter is, and told whoever saw it those of later forms.
#[test]
fn a_fresh_boundary_is_the_bytes_that_were_given_whatever_the_jitter() {
    use urlpool_core::Entropy;
    for jitter in [0, 1, u64::MAX] {
        let mut entropy = Entropy::fresh(jitter, [0xab; 16]);
        assert_eq!(entropy.draw(), Entropy::seeded(jitter).draw());
        assert_eq!((entropy.boundary(), entropy.boundary()), ([0xab; 16], [0xab; 16]));
    }
}

#[test]
fn a_boundary_is_needed_for_a_multipart_form_without_its_own() {
    let needs = |set: &dyn Fn(&mut Request)| {
        let mut request = Request::create("POST", "http://a.test/").unwrap();
        set(&mut request);
        request.needs_boundary()
    };
    assert!(needs(&|request| request.set_form(Form::multipart(None).unwrap())));
    assert!(needs(&|request| {
        let mut form = Form::new();
        form.append_file("a", "a.txt", Bytes::new(), None).unwrap();
        request.set_form(form);
    }));
    assert!(!needs(&|request| request.set_form(form(true))));
    assert!(!needs(&|request| request.set_form(form(false))));
    assert!(!needs(&|request| request.set_body_stream(None)));
    assert!(!needs(&|_| {}));
}

#[test]
fn a_copy_of_a_request_sends_the_same() {
    let mut request = Request::create("POST", "http://a.test/x").unwrap();
    request.append_header("X-A", b"1").unwrap();
    request.set_form(form(true));
    let copy = request.try_clone().unwrap();
    assert_eq!(format!("{copy:?}"), format!("{request:?}"));
}

#[test]
fn a_request_with_a_stream_cannot_be_copied() {
    let mut request = Request::create("POST", "http://ann:secret@a.test/x").unwrap();
    request.set_body_stream(Some(3));
    let error = request.try_clone().unwrap_err();
    assert_eq!((error.kind(), error.url.as_deref()), (Kind::NotReplayable, Some("http://a.test/x")));
    request.set_body(Bytes::new());
    assert!(request.try_clone().is_ok());
}

#[test]
fn a_policy_is_bound_to_the_origin_and_the_credentials_of_a_url() {
    let (base, credentials) = Target::parse("http://ann:secret@a.test/x").unwrap();
    let mut policy = Policy::default();
    policy.bind(&base, credentials);
    assert_eq!(policy.scope.as_ref(), Some(base.origin()));
    let mut expected = Keyring::default();
    expected.set_basic("http://a.test/", "ann", "secret").unwrap();
    assert_eq!(policy.keyring, expected);
    policy.bind(&base, None);
    assert_eq!(policy.keyring, expected);
}

#[test]
fn the_last_body_that_is_set_is_sent() {
    let mut run = post().stream(None).with(|request| request.set_form(form(false))).body(b"last").send();
    assert_eq!(scenario::write(&mut run), b"last");
    assert_eq!(field(run.last_sent(), "content-type"), None);
}

// --- refused before any I/O ---

#[test]
fn p28_another_origin_than_the_pools_own_is_refused() {
    let scoped = |url| {
        scenario("GET", url).pool(|pool| {
            pool.scope = Some(Target::parse("http://a.test/").unwrap().0.origin().clone());
        })
    };
    let other = Invalid::OtherOrigin { asked: "http://b.test".to_owned(), own: "http://a.test".to_owned() };
    assert_eq!(invalid(scoped("http://b.test/")), other);
    assert!(matches!(invalid(scoped("https://a.test/")), Invalid::OtherOrigin { .. }));
    assert_eq!(scoped("http://a.test:80/x").begin().log, ["acquire http://a.test"]);
}

#[test]
fn h15_headers_that_trap_a_host_are_refused() {
    let large = "x".repeat(MAX_SECTION);
    assert!(matches!(invalid(get().header("X", &large)), Invalid::HeadersTooLarge { .. }));
    let by_pool = get().pool(|pool| pool.headers.append("X", large.as_bytes()).unwrap());
    assert!(matches!(invalid(by_pool), Invalid::HeadersTooLarge { .. }));
    let trailers = [("X".to_owned(), large.into_bytes())];
    let by_trailers = post().with(|request| request.set_trailers(&trailers).unwrap());
    assert!(matches!(invalid(by_trailers), Invalid::HeadersTooLarge { .. }));
}

#[test]
fn l5_a_url_that_grew_too_long_is_refused() {
    let long = get().with(|request| request.append_query("q", &"x".repeat(MAX_URL)));
    assert!(matches!(invalid(long), Invalid::UrlTooLong(_)));
}

#[test]
fn a_refused_request_names_its_url_without_userinfo() {
    let error = scenario("GET", "http://ann:secret@a.test/").header("Content-Length", "1").refused();
    assert_eq!((error.kind(), error.url.as_deref()), (Kind::InvalidRequest, Some("http://a.test/")));
    assert!(!error.to_string().contains("secret"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// No bytes of a caller come out as two header lines.
    #[test]
    fn h6_no_header_breaks_its_line(name in "[\\x00-\\x7f]{0,8}", value in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut headers = Headers::new();
        if headers.append(&name, value).is_ok() {
            let (name, value) = headers.iter().next().unwrap();
            prop_assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
            prop_assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        }
    }
}
