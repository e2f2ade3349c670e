//! URLs: parsed, joined, their query and their userinfo.

use arbitrary::{Arbitrary, Unstructured};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use urlpool_core::Target;
use urlpool_core::target::MAX_URL;

/// Holds of every text:
///
/// - what is taken as a URL parses to itself, and another parser reads the same host and path
/// - pairs that are appended to its query leave the rest alone, and come back
/// - userinfo becomes credentials, and neither the URL nor an error shows it
pub fn url(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let Ok(pairs) = Vec::<(String, String)>::arbitrary(&mut input) else { return };
    let text = String::from_utf8_lossy(input.take_rest());
    let base = Target::parse("http://a.test/b/c?q#f").expect("it is a URL").0;
    for parsed in [Target::parse(&text), base.resolve(&text)] {
        let Ok((mut target, credentials)) = parsed else { continue };
        check(&target);
        if let Some(credentials) = credentials {
            let value = credentials.authorization();
            let pair = STANDARD.decode(value.strip_prefix("Basic ").expect("it is basic")).expect("it is base64");
            let pair = String::from_utf8(pair).expect("it is text");
            assert_eq!(pair.split_once(':').map(|(name, _)| name), Some(credentials.username()));
        }
        check_query(&mut target, &pairs);
    }
    check_secrets(&text);
}

/// Holds of every target.
pub(crate) fn check(target: &Target) {
    let text = target.as_str();
    assert!(text.len() <= MAX_URL);
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    assert_eq!(Target::parse(text), Ok((target.clone(), None)));
    // Hosts hold a URL as one of these; what they read is where they connect.
    let (sent, _) = text.split_once('#').unwrap_or((text, ""));
    let uri: http::Uri = sent.parse().unwrap_or_else(|error| panic!("{sent}: {error}"));
    let authority = target.authority();
    assert_eq!(uri.authority().map(|authority| authority.as_str()), Some(authority));
    assert_eq!(uri.path_and_query().map(|path| path.as_str()), Some(target.path_with_query()));
    assert_eq!(uri.port_u16().unwrap_or(target.origin().scheme().default_port()), target.origin().port());
    assert_ne!(target.origin().port(), 0);
    assert!(!target.origin().host().is_empty());
    assert!(text.starts_with(&target.origin().to_string()));
}

fn check_query(target: &mut Target, pairs: &[(String, String)]) {
    let before = target.clone();
    for (name, value) in pairs {
        target.append_query(name, value);
    }
    if target.check_size().is_err() {
        return;
    }
    check(target);
    let (_, query) = target.path_with_query().split_once('?').unwrap_or_default();
    let (_, old) = before.path_with_query().split_once('?').unwrap_or_default();
    let added = query.strip_prefix(old).expect("the query so far stays as it is");
    let added = if old.is_empty() || old.ends_with('&') { added } else { added.trim_start_matches('&') };
    let read: Vec<(String, String)> = match pairs {
        [] => Vec::new(),
        _ => added
            .split('&')
            .map(|pair| pair.split_once('=').expect("a pair"))
            .map(|(a, b)| (plain(a), plain(b)))
            .collect(),
    };
    assert_eq!(read, pairs);
}

/// Puts two passwords of one length in front of the host: whatever is shown must not tell which it is.
fn check_secrets(text: &str) {
    let shown = |url: String| match Target::parse(&url) {
        Ok((target, credentials)) => format!("{target} {target:?} {credentials:?}"),
        Err(invalid) => format!("{invalid} {invalid:?}"),
    };
    let [one, other] = ["hunter2", "hunter3"];
    assert_eq!(shown(format!("http://ann:{one}@{text}")), shown(format!("http://ann:{other}@{text}")));
    // Any of these ends the userinfo or the host, and what follows may be a part of the path.
    if !text.contains(['/', '\\', '?', '#', '@']) {
        assert_eq!(
            shown(format!("http://ann:{text}{one}@a.test/")),
            shown(format!("http://ann:{text}{other}@a.test/"))
        );
    }
}

/// A name or value out of `application/x-www-form-urlencoded`.
pub(crate) fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| char::from(digit.expect("two digits")));
                u8::from_str_radix(&digits.iter().collect::<String>(), 16).expect("they are hexadecimal")
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).expect("it is UTF-8")
}
