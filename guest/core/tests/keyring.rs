//! Credentials of a pool, each for one origin, and the spans of attempts.

mod scenario;

use urlpool_core::keyring::Keyring;
use urlpool_core::{Invalid, Policy};

use scenario::{Run, get};

const A: &str = "Basic YW5uOnNlY3JldA==";

fn keyring() -> Keyring {
    let mut keyring = Keyring::default();
    keyring.set_basic("http://a.test/", "ann", "secret").expect("valid credentials");
    keyring.set_bearer("https://b.test/any", "t0ken").expect("a valid token");
    keyring
}

fn with_keyring(pool: &mut Policy) {
    pool.keyring = keyring();
}

fn authorization(run: &Run) -> Option<String> {
    run.last_sent().headers.joined("authorization")
}

#[test]
fn each_origin_gets_its_own() {
    let run = get().pool(with_keyring).send();
    assert_eq!(authorization(&run).as_deref(), Some(A));
    let run = run.hop(302, "https://b.test/");
    assert_eq!(authorization(&run).as_deref(), Some("Bearer t0ken"));
    let run = run.hop(302, "https://b.test:444/");
    assert_eq!(authorization(&run), None);
    let run = run.hop(302, "http://a.test/back");
    assert_eq!(authorization(&run).as_deref(), Some(A));
}

#[test]
fn those_of_the_request_come_first_and_do_not_come_back() {
    let run = get().pool(with_keyring).header("authorization", "mine").send();
    assert_eq!(authorization(&run).as_deref(), Some("mine"));
    let run = run.hop(302, "http://c.test/");
    assert_eq!(authorization(&run), None);
    let run = run.hop(302, "http://a.test/");
    assert_eq!(authorization(&run).as_deref(), Some(A));
}

#[test]
fn they_come_before_a_header_of_the_pool() {
    let pool = |pool: &mut Policy| {
        with_keyring(pool);
        pool.headers.append("Authorization", "anywhere").expect("a valid header");
    };
    assert_eq!(authorization(&get().pool(pool).send()).as_deref(), Some(A));
}

#[test]
fn a_request_may_go_without() {
    let run = get().pool(with_keyring).with(|request| request.remove_header("Authorization")).send();
    assert_eq!(authorization(&run), None);
}

#[test]
fn what_is_no_credential_is_refused() {
    let mut keyring = Keyring::default();
    assert_eq!(keyring.set_basic("http://a.test", "a:b", ""), Err(Invalid::Username));
    assert_eq!(keyring.set_bearer("http://a.test", "a\nb"), Err(Invalid::HeaderValue("Authorization".to_owned())));
    assert!(matches!(keyring.set_bearer("a.test", "a"), Err(Invalid::Url { .. })));
    assert_eq!(keyring, Keyring::default());
}

#[test]
fn the_later_of_two_for_an_origin_is_sent() {
    let pool = |pool: &mut Policy| {
        with_keyring(pool);
        pool.keyring.set_bearer("HTTP://A.test:80/x", "later").expect("a valid token");
    };
    assert_eq!(authorization(&get().pool(pool).send()).as_deref(), Some("Bearer later"));
}

#[test]
fn they_are_not_shown() {
    let shown = format!("{:?}", keyring());
    assert_eq!(shown, r#"["http://a.test", "https://b.test"]"#);
}

#[test]
fn each_attempt_is_a_span_of_the_trace_of_its_request() {
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let sent = |run: &Run| run.last_sent().headers.joined("traceparent").expect("it is sent");
    let run = get().pool(|pool| pool.trace_context = true).header("traceparent", given).send();
    let first = sent(&run);
    let second = sent(&run.hop(302, "http://b.test/"));
    for parent in [&first, &second] {
        assert!(parent.starts_with(&given[..36]) && parent.ends_with("-01") && parent != given, "{parent}");
    }
    assert_ne!(first, second);
    // Without the setting it is a header like any other.
    assert_eq!(sent(&get().header("traceparent", given).send()), given);
}
