use super::*;
use crate::route::{Route, Ways};

fn key(uri: &str) -> Key {
    Key::of(&uri.parse().unwrap(), Ways::new().of(Route::open())).unwrap()
}

/// Host and port of the proxy on the way to `uri`.
fn way(proxies: &Proxies, uri: &str) -> Option<String> {
    proxies.of(&key(uri)).map(|proxy| format!("{}:{}", proxy.host, proxy.port))
}

fn goes_direct(except: &str, uri: &str) -> bool {
    way(&Proxies::new().all("http://p.test").unwrap().except(except), uri).is_none()
}

#[test]
fn each_scheme_has_its_proxy_and_all_is_for_the_rest() {
    let proxies = Proxies::new().http("http://h.test:3128").unwrap().all("http://[::1]").unwrap();
    assert_eq!(way(&proxies, "http://a.test/").as_deref(), Some("h.test:3128"));
    assert_eq!(way(&proxies, "https://a.test/").as_deref(), Some("::1:80"));
    assert_eq!(way(&Proxies::new().https("P.test:8080").unwrap(), "https://a.test").as_deref(), Some("p.test:8080"));
    assert_eq!(way(&Proxies::new().https("http://p.test").unwrap(), "http://a.test"), None);
    assert_eq!(way(&Proxies::default(), "http://a.test"), None);
}

#[test]
fn exceptions_are_read_as_curl_does() {
    for (except, direct, proxied) in [
        ("*", "http://a.test", ""),
        ("a.test", "http://a.test", "http://b.test"),
        ("A.test", "http://a.TEST.:81", "http://xa.test"),
        ("a.test", "http://x.y.a.test", "http://a.test.b"),
        (".a.test", "http://a.test", "http://xa.test"),
        ("*.a.test", "http://x.a.test", "http://test"),
        ("x, a.test\tb.test  c.test", "http://b.test", "http://d.test"),
        ("a.test:81", "http://a.test:81", "http://a.test"),
        ("a.test:443", "https://a.test", "http://a.test"),
        ("10.0.0.1", "http://10.0.0.1", "http://10.0.0.2"),
        ("10.0.0.0/8", "http://10.9.9.9", "http://11.0.0.1"),
        ("10.0.0.0/8:81", "http://10.9.9.9:81", "http://10.9.9.9"),
        ("::1", "http://[::1]:81", "http://[::2]"),
        ("[::1]", "http://[0:0::1]", "http://[::2]"),
        ("[::1]:81", "http://[::1]:81", "http://[::1]"),
        ("fd00::/8", "http://[fd12::1]", "http://[fe80::1]"),
        ("10.0.0.0/8", "http://[::ffff:10.0.0.1]", "http://[::10.0.0.1]"),
        ("0.0.1", "http://0.0.1", "http://10.0.0.1"),
    ] {
        assert!(goes_direct(except, direct), "{except} {direct}");
        assert!(proxied.is_empty() || !goes_direct(except, proxied), "{except} {proxied}");
    }
    for except in ["", ",", ".", "a.test:x", "http://a.test"] {
        assert!(!goes_direct(except, "http://a.test"), "{except}");
    }
}

#[test]
fn the_environment_is_read_as_curl_does() {
    let read = |variables: &[(&str, &str)]| {
        let variables: Vec<(String, String)> = variables.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        Proxies::from_variables(move |name| {
            variables.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
        })
    };
    let none = Proxies::default();
    assert_eq!(read(&[]).unwrap(), none);
    // Whoever sends a Proxy field to a CGI program must not become its proxy.
    assert_eq!(read(&[("HTTP_PROXY", "http://evil.test")]).unwrap(), none);
    assert_eq!(read(&[("http_proxy", ""), ("HTTPS_PROXY", "")]).unwrap(), none);
    let proxies = read(&[
        ("http_proxy", "h.test:1"),
        ("https_proxy", ""),
        ("HTTPS_PROXY", "http://s.test:2/"),
        ("NO_PROXY", "b.test"),
    ])
    .unwrap();
    assert_eq!(way(&proxies, "http://a.test").as_deref(), Some("h.test:1"));
    assert_eq!(way(&proxies, "https://a.test").as_deref(), Some("s.test:2"));
    assert_eq!(way(&proxies, "https://x.b.test"), None);
    let proxies = read(&[("ALL_PROXY", "big.test"), ("all_proxy", "small.test")]).unwrap();
    assert_eq!(way(&proxies, "http://a.test").as_deref(), Some("small.test:80"));
    assert!(matches!(read(&[("https_proxy", "ftp://p.test")]), Err(Error::Proxy(_))));
}

#[test]
fn credentials_become_a_field_and_are_never_shown() {
    let proxies = Proxies::new().all("http://us%40er:se%3Acret@p.test:1").unwrap();
    let authorization = proxies.of(&key("http://a.test")).unwrap().forward.authorization.clone().unwrap();
    assert_eq!(authorization, format!("Basic {}", STANDARD.encode("us@er:se:cret")));
    assert!(authorization.is_sensitive());
    let shown = format!("{proxies:?}");
    assert!(!shown.contains("cret") && !shown.contains("us%40er") && !shown.contains("Basic"), "{shown}");
    assert_ne!(proxies, Proxies::new().all("http://us%40er:other@p.test:1").unwrap());
    assert_eq!(
        way(&Proxies::new().all("user:pass@p.test:3128").unwrap(), "http://a.test").as_deref(),
        Some("p.test:3128")
    );
}

#[test]
fn what_is_no_proxy_is_refused_without_its_secrets() {
    for (url, why) in [
        ("", "host"),
        ("http://", "host"),
        ("https://user:s3cret@p.test", "https proxies are not supported"),
        ("socks5://user:s3cret@p.test", "socks5 proxies are not supported"),
        ("http://user:s3cret@p.test:99999", "port"),
        ("http://user:s3cret@p.test:0", "port"),
        ("http://user:s3cret", "port"),
        ("http://user:s3cret@p.test/path", "nothing may follow"),
        ("http://user:s3cret@p.test?q", "nothing may follow"),
        ("http://us%3Aer:s3cret@p.test", "no colon"),
    ] {
        let error = Proxies::new().http(url).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.starts_with("proxy for http: ") && text.contains(why), "{url}: {text}");
        assert!(!text.contains("s3cret"), "{url}: {text}");
    }
}

#[test]
fn a_status_line_is_told_from_others() {
    for (head, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Some(200)),
        ("HTTP/1.0 407\r\n\r\n", Some(407)),
        ("HTTP/1.1 200\n\n", Some(200)),
        ("HTTP/2 200\r\n\r\n", None),
        ("HTTP/1.1 +20 OK\r\n\r\n", None),
        ("HTTP/1.1 2000 OK\r\n\r\n", None),
        ("SSH-2.0\r\n\r\n", None),
        ("HTTP/1.1 ", None),
    ] {
        assert_eq!(status(head.as_bytes()), expected, "{head:?}");
    }
}
