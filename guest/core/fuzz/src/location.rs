//! Where a redirect leads, as which method and with which headers.

use arbitrary::{Arbitrary, Unstructured};
use http::Method;
use urlpool_core::error::{BadLocation, Cause};
use urlpool_core::origin::Scheme;
use urlpool_core::redirect::{HopFrom, Next, Redirect};
use urlpool_core::retry::AtLimit;
use urlpool_core::target::MAX_URL;
use urlpool_core::{Headers, Target};

use crate::url;

/// Holds of every `Location`:
///
/// - where it leads is a URL that parses to itself, without userinfo, and that another parser reads the same
/// - the fragment is its own, or else that of the URL it is joined to
/// - a reference of plain segments is resolved as RFC 3986 section 5.2 says
/// - a hop is made only by the statuses, to the origins and within the limit that the policy allows
/// - no secret crosses to another origin, and no header of a body stays where the body does not
pub fn location(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let Ok(redirected) = Redirected::arbitrary(&mut input) else { return };
    let rest = input.take_rest();
    let base = Target::parse(BASES[usize::from(redirected.base) % BASES.len()]).expect("it is a URL").0;
    let followed = base.follow(rest);
    if let Ok(target) = &followed {
        url::check(target);
        let own = rest.contains(&b'#');
        let fragment = |text: &str| text.split_once('#').map(|(_, fragment)| fragment.to_owned());
        assert!(own || fragment(target.as_str()) == fragment(base.as_str()), "{target}");
        let again = base.follow(target.as_str().as_bytes());
        assert_eq!(again.as_ref(), Ok(target));
    }
    redirected.check_segments(&base);
    redirected.check_hop(&base, rest, followed);
}

const BASES: [&str; 6] = [
    "http://a.test/",
    "http://a.test/b/c/d;p?q",
    "https://a.test:8443/b/../c#f",
    "https://[::1]/x//y/",
    "http://a.test/%2e/a%20b?x=%3F#g?/#",
    "https://a.test",
];

#[derive(Arbitrary, Debug)]
struct Redirected {
    base: u8,
    status: u8,
    method: u8,
    scoped: bool,
    hops: u8,
    limit: u8,
    deliver: bool,
    downgrade: bool,
    https_only: bool,
    body: bool,
    replayable: bool,
    segments: Vec<u8>,
}

impl Redirected {
    /// Resolves a reference of plain segments, by the algorithm of the RFC.
    fn check_segments(&self, base: &Target) {
        const SEGMENTS: [&str; 8] = [".", "..", "", "g", "g;x=1", "...", "g.", ".g"];
        let segments: Vec<&str> = self.segments.iter().map(|&byte| SEGMENTS[usize::from(byte) % 8]).collect();
        let reference = segments.join("/");
        // An empty reference is this URL, and two slashes begin a host.
        if reference.is_empty() || reference.starts_with("//") {
            return;
        }
        let base_path = base.path_with_query().split('?').next().unwrap_or_default();
        let merged = match reference.starts_with('/') {
            true => reference.clone(),
            false => format!("{}/{reference}", base_path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        let target = base.follow(reference.as_bytes()).expect("it is a reference");
        assert_eq!(target.path_with_query(), without_dots(&merged), "{reference} from {base}");
        assert_eq!(target.origin(), base.origin());
    }

    fn check_hop(&self, base: &Target, location: &[u8], followed: Result<Target, BadLocation>) {
        let status = [301, 302, 303, 307, 308, 300, 304, 305, 200, 503][usize::from(self.status % 10)];
        let method =
            [Method::GET, Method::POST, Method::HEAD, Method::PUT, Method::from_bytes(b"post").expect("a token")]
                [usize::from(self.method % 5)]
            .clone();
        let (hops, limit) = (u32::from(self.hops % 4), u32::from(self.limit % 4));
        let policy = Redirect::default()
            .with_limit(limit)
            .with_private_headers(["X-Private"])
            .with_downgrade(self.downgrade)
            .with_https_only(self.https_only)
            .with_at_limit(if self.deliver { AtLimit::Deliver } else { AtLimit::Fail });
        let mut headers = Headers::new();
        for (name, value) in CARRIED {
            headers.append(name, value).expect("it may be sent");
        }
        let mut response = Headers::new();
        response.append_received("location", location);
        response.append_received("location", "http://c.test/");
        let from = HopFrom {
            method: &method,
            target: base,
            headers: &headers,
            scope: self.scoped.then(|| base.origin()),
            hops,
            same: true,
            body: self.body,
            replayable: self.replayable,
        };
        let hop = match policy.next(&from, status, &response) {
            Next::Follow(hop) => hop,
            Next::Stay(_) => return,
            Next::Refuse(cause) => {
                assert!(matches!(status, 301..=303 | 307 | 308) && limit > 0);
                match &cause {
                    Cause::TooManyRedirects { .. } => assert!(hops >= limit && !self.deliver),
                    Cause::BadRedirect { reason: BadLocation::NotHttps, .. } => assert!(self.https_only),
                    Cause::BadRedirect { reason: BadLocation::Downgrade, .. } => assert!(!self.downgrade),
                    Cause::BadRedirect { reason, .. } => assert_eq!(followed, Err(*reason)),
                    other => panic!("{other}"),
                }
                assert!(cause.to_string().len() < 2 * MAX_SHOWN, "{cause}");
                return;
            }
        };
        assert_eq!(followed.as_ref(), Ok(&hop.target));
        assert!(matches!(status, 301..=303 | 307 | 308) && hops < limit);
        let (old, new) = (base.origin(), hop.target.origin());
        assert!(!self.scoped || old == new);
        assert!(!self.https_only || new.scheme() == Scheme::Https);
        assert!(self.downgrade || old.scheme() == Scheme::Http || new.scheme() == Scheme::Https);
        let post = method == Method::POST;
        assert_eq!(hop.drop_body, status == 303 || (post && status < 303));
        assert!(hop.drop_body || !self.body || self.replayable, "a body would be sent twice");
        match (hop.drop_body, &method) {
            (true, &Method::HEAD) => assert_eq!(hop.method, Method::HEAD),
            (true, _) => assert_eq!(hop.method, Method::GET),
            (false, method) => assert_eq!(hop.method, method),
        }
        for (name, _) in CARRIED {
            let secret = !name.starts_with("Content") && name != "Accept";
            let kept = (old == new || !secret) && !(hop.drop_body && name.starts_with("Content"));
            assert_eq!(hop.headers.contains(name), kept, "{name}");
        }
        assert!(hop.target.as_str().len() <= MAX_URL);
    }
}

/// What the request has: secrets, what describes a body, and what always goes along.
const CARRIED: [(&str, &str); 6] = [
    ("Authorization", "Basic YTpi"),
    ("cookie", "a=b"),
    ("X-PRIVATE", "c"),
    ("Content-Type", "text/plain"),
    ("Content-Language", "en"),
    ("Accept", "*/*"),
];

/// More than is shown of a URL in a message.
const MAX_SHOWN: usize = 1000;

/// RFC 3986 section 5.2.4, for a path that begins with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (index, segment) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        match *segment {
            ".." => {
                kept.pop();
            }
            "." => {}
            other => {
                kept.push(other);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}
