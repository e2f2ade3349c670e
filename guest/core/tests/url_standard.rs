//! URLs as others say they should be: the tests of the WHATWG URL standard, and the examples of RFC 3986.

use urlpool_core::Target;

/// `[input, base, href]`; without an `href` it is no URL.
type Vector = (String, Option<String>, Option<String>);

/// Where we refuse what the standard takes: `Target` says why.
#[derive(Debug, PartialEq, Eq)]
enum Stricter {
    /// Control characters are dropped by the standard.
    Control,
    /// The standard finds a host without `//`, and behind more slashes.
    Slashes,
    /// Nobody can connect to it.
    PortZero,
    /// It would end the username.
    ColonInUsername,
    /// No other parser takes such a host, so no host could send to it.
    Host,
}

#[test]
fn what_is_parsed_is_what_the_standard_says() {
    let (mut same, mut refused, mut stricter) = (0, 0, 0);
    for (input, base, href) in vectors() {
        let parsed = match &base {
            None => Target::parse(&input),
            Some(base) => parse(base).resolve(&input),
        };
        match (expected(&input, href.as_deref()), parsed) {
            (Ok(Some(expected)), Ok((target, credentials))) => {
                assert_eq!(target.as_str(), expected, "{input:?} at {base:?}");
                // That of the base went to whoever parsed the base.
                let told =
                    href.expect("it is a URL").split('/').nth(2).is_some_and(|authority| authority.contains('@'));
                let inherited = base.is_some_and(|base| base.contains('@'));
                assert_eq!(credentials.is_some(), told && !inherited, "{input:?}");
                same += 1;
            }
            (Ok(None), Err(_)) => refused += 1,
            (Err(_), Err(_)) => stricter += 1,
            (expected, parsed) => panic!("{input:?} at {base:?}: {parsed:?}, expected {expected:?}"),
        }
    }
    // As many as there are, so that no change of a rule above lets vectors slip by.
    assert_eq!((same, refused, stricter), (175, 204, 44));
}

#[test]
fn where_a_location_leads_is_where_the_standard_says() {
    let (mut same, mut refused, mut stricter) = (0, 0, 0);
    for (input, base, href) in vectors() {
        let Some(base) = base else { continue };
        let followed = parse(&base).follow(input.as_bytes());
        // A location may lack its slashes, since the base has a host: that is how browsers have always followed.
        let expected = match expected(&input, href.as_deref()) {
            Err(Stricter::Slashes | Stricter::ColonInUsername) => Ok(href.as_deref().map(ours)),
            other => other,
        };
        match (expected, followed) {
            (Ok(Some(expected)), Ok(target)) => {
                assert_eq!(target.as_str(), expected, "{input:?} at {base:?}");
                same += 1;
            }
            (Ok(None), Err(_)) => refused += 1,
            (Err(_), Err(_)) => stricter += 1,
            (expected, followed) => panic!("{input:?} at {base:?}: {followed:?}, expected {expected:?}"),
        }
    }
    assert_eq!((same, refused, stricter), (98, 50, 7));
}

/// RFC 3986 section 5.4: the normal examples, and the abnormal ones.
#[test]
fn references_are_resolved_as_rfc_3986_shows() {
    let base = parse("http://a/b/c/d;p?q");
    for (reference, expected) in [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q#s"),
        ("g#s", "http://a/b/c/g#s"),
        ("g?y#s", "http://a/b/c/g?y#s"),
        (";x", "http://a/b/c/;x"),
        ("g;x", "http://a/b/c/g;x"),
        ("g;x?y#s", "http://a/b/c/g;x?y#s"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("../../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        (".g", "http://a/b/c/.g"),
        ("g..", "http://a/b/c/g.."),
        ("..g", "http://a/b/c/..g"),
        ("./../g", "http://a/b/g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/./x", "http://a/b/c/g?y/./x"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("g#s/./x", "http://a/b/c/g#s/./x"),
        ("g#s/../x", "http://a/b/c/g#s/../x"),
        // The URL of a bare host ends in a slash.
        ("//g", "http://g/"),
        // The way of RFC 1630 and of browsers, which section 5.4.2 allows for backward compatibility.
        ("http:g", "http://a/b/c/g"),
    ] {
        assert_eq!(base.follow(reference.as_bytes()).expect(reference).as_str(), expected, "{reference}");
        if reference != "http:g" {
            assert_eq!(base.resolve(reference).expect(reference).0.as_str(), expected, "{reference}");
        }
    }
    // A URL of another scheme, which leads nowhere that we could follow.
    assert!(base.follow(b"g:h").is_err() && base.resolve("g:h").is_err());
    assert!(base.resolve("http:g").is_err());
}

/// What this input is to become: a URL of ours, nothing, or a refusal where we are stricter.
fn expected(input: &str, href: Option<&str>) -> Result<Option<String>, Stricter> {
    let Some(href) = href else { return Ok(None) };
    let trimmed = input.trim_matches(' ');
    let scheme = trimmed
        .get(..5)
        .filter(|start| start.eq_ignore_ascii_case("http:"))
        .or_else(|| trimmed.get(..6).filter(|start| start.eq_ignore_ascii_case("https:")));
    let authority = href.split('/').nth(2).unwrap_or_default();
    let (userinfo, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if input.chars().any(char::is_control) {
        return Err(Stricter::Control);
    }
    if let Some(scheme) = scheme {
        let rest = &trimmed[scheme.len()..];
        if !rest.starts_with("//") || rest[2..].starts_with(['/', '\\']) {
            return Err(Stricter::Slashes);
        }
    }
    if host.ends_with(":0") {
        return Err(Stricter::PortZero);
    }
    if host.contains(['"', '`', '{', '}']) {
        return Err(Stricter::Host);
    }
    if userinfo.split(':').next().is_some_and(|username| username.contains("%3A")) {
        return Err(Stricter::ColonInUsername);
    }
    Ok(Some(ours(href)))
}

/// A URL as the standard writes it, as we write it: without userinfo, escapes in upper case, and whatever RFC 3986 has no place
/// for escaped as well.
fn ours(href: &str) -> String {
    let (scheme, rest) = href.split_once("://").expect("it is absolute");
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().expect("it has a host");
    let bytes = rest.as_bytes();
    let mut url = format!("{scheme}://{host}");
    for (index, &byte) in bytes.iter().enumerate() {
        let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        let in_escape = (index > 0 && bytes[index - 1] == b'%' && hex(index) && hex(index + 1))
            || (index > 1 && bytes[index - 2] == b'%' && hex(index - 1) && hex(index));
        match byte {
            b'%' if !(hex(index + 1) && hex(index + 2)) => url.push_str("%25"),
            b'^' | b'`' | b'{' | b'|' | b'}' | b'\\' => url.push_str(&format!("%{byte:02X}")),
            _ if in_escape => url.push(char::from(byte.to_ascii_uppercase())),
            _ => url.push(char::from(byte)),
        }
    }
    url
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("vectors/urltestdata.json")).expect("they are JSON")
}

fn parse(url: &str) -> Target {
    Target::parse(url).expect("it is a URL").0
}
