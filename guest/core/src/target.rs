//! URLs: parsing, joining, the query, and the userinfo that must not travel with them.
//!
//! Longer than 400 lines, since what is refused, escaped or hidden in a URL is decided here alone.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::{Position, Url};

use crate::error::{BadLocation, Invalid};
use crate::form;
use crate::origin::{Origin, Scheme};

/// The longest URL in bytes, once it is normalised.
///
/// Hosts hold a request target in types that count its length in 16 bits (`http::Uri` among them), and what does not fit fails there without a reason.
/// No server takes as much.
pub const MAX_URL: usize = 65_534;

/// An absolute http or https URL, normalised, without userinfo.
///
/// Parsed by the rules of browsers (the WHATWG URL standard), and beyond them:
///
/// - hexadecimal digits of an escape are in upper case, a `%` that begins no escape is `%25`
/// - what RFC 3986 has no place for, such as `|` or a space, is escaped in path and query
/// - control characters are refused, not dropped, and so is what RFC 3986 has no place for in a host
/// - the host must be written after `//`, and port 0 is refused
///
/// The URL that is shown, compared and connected to is this one: no other parser sees the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Target {
    url: Url,
    origin: Origin,
}

impl Target {
    /// Parses an absolute URL, and takes the userinfo out of it.
    ///
    /// # Errors
    ///
    /// [`Invalid::Url`], [`Invalid::UrlTooLong`], and [`Invalid::Username`] when the username holds an escaped colon.
    ///
    /// # Examples
    ///
    /// ```
    /// use urlpool_core::Target;
    ///
    /// let (target, credentials) = Target::parse("HTTP://ann:s%65cret@A.test:80/x y?q#end")?;
    /// assert_eq!(target.as_str(), "http://a.test/x%20y?q#end");
    /// assert_eq!(target.path_with_query(), "/x%20y?q");
    /// assert_eq!(credentials.expect("there is userinfo").username(), "ann");
    /// # Ok::<(), urlpool_core::Invalid>(())
    /// ```
    pub fn parse(text: &str) -> Result<(Self, Option<Credentials>), Invalid> {
        check_text(text)?;
        let trimmed = text.trim_matches(' ');
        let Some(after) = after_scheme(trimmed) else {
            return Err(refused(text, scheme_missing(trimmed)));
        };
        // WHATWG finds a host in `http:a.test` and `http:///a.test` too. Nobody means that, and others read another host there.
        match after.strip_prefix("//") {
            Some(rest) if rest.starts_with(['/', '\\', '?', '#']) || rest.is_empty() => {
                return Err(refused(text, "no host".into()));
            }
            Some(_) => {}
            None => return Err(refused(text, "no host: two slashes are missing after the scheme".into())),
        }
        let url = Url::parse(&tidy(trimmed)).map_err(|error| refused(text, error.to_string()))?;
        Self::with_userinfo(url, text)
    }

    /// Parses a URL that may be relative to this one.
    ///
    /// # Errors
    ///
    /// As [`Target::parse`].
    pub fn resolve(&self, text: &str) -> Result<(Self, Option<Credentials>), Invalid> {
        check_text(text)?;
        let trimmed = text.trim_matches(' ');
        if after_scheme(trimmed).is_some() {
            return Self::parse(text);
        }
        let url = self.url.join(&tidy(trimmed)).map_err(|error| refused(text, error.to_string()))?;
        Self::with_userinfo(url, text)
    }

    /// Where a `Location` of a response to this URL leads.
    ///
    /// - Userinfo in it is ignored: a server does not choose credentials.
    /// - A fragment of this URL is kept unless the location has its own (RFC 9110 section 10.2.2).
    /// - Bytes that are not ASCII, and spaces, are escaped.
    /// - An empty location is this URL.
    ///
    /// # Errors
    ///
    /// [`BadLocation::Malformed`] when it is no URL reference, or one of a URL longer than [`MAX_URL`]; [`BadLocation::Scheme`] when it is neither http nor https.
    pub fn follow(&self, location: &[u8]) -> Result<Self, BadLocation> {
        if location.len() > MAX_URL || location.iter().any(u8::is_ascii_control) {
            return Err(BadLocation::Malformed);
        }
        // Escapes in a host are decoded as UTF-8 before it is judged, so this serves hosts as well.
        let mut text = String::with_capacity(location.len());
        for &byte in location {
            if byte.is_ascii() { text.push(char::from(byte)) } else { escape(byte, &mut text) }
        }
        let mut url = self.url.join(&tidy(text.trim_matches(' '))).map_err(|_| BadLocation::Malformed)?;
        if url.fragment().is_none() {
            url.set_fragment(self.url.fragment());
        }
        let scheme = scheme_of(&url).ok_or(BadLocation::Scheme)?;
        strip_userinfo(&mut url);
        let origin = origin_of(&url, scheme).map_err(|_| BadLocation::Malformed)?;
        let target = Self { url, origin };
        target.check_size().map(|()| target).map_err(|_| BadLocation::Malformed)
    }

    /// Appends a pair to the query, before the fragment; a space becomes `+`.
    ///
    /// The query so far stays as it is, byte for byte.
    pub fn append_query(&mut self, name: &str, value: &str) {
        let pair = form::urlencode([(name, value)]);
        let query = match self.url.query() {
            None | Some("") => pair,
            Some(query) if query.ends_with('&') => format!("{query}{pair}"),
            Some(query) => format!("{query}&{pair}"),
        };
        self.url.set_query(Some(&query));
    }

    /// Checks that the URL has not grown too long by its query.
    ///
    /// # Errors
    ///
    /// [`Invalid::UrlTooLong`] when it is longer than [`MAX_URL`].
    pub fn check_size(&self) -> Result<(), Invalid> {
        let size = self.url.as_str().len();
        if size > MAX_URL { Err(Invalid::UrlTooLong(size)) } else { Ok(()) }
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The host, and the port unless it is the default; see [`Origin::authority`].
    pub fn authority(&self) -> &str {
        self.url.authority()
    }

    /// What is sent of the URL: the path, which begins with a slash, and the query. Never the fragment.
    pub fn path_with_query(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    /// The whole URL, with its fragment.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The whole URL as it may be shown: what its query or fragment names like a secret is left out, see [`SECRET_NAMES`].
    pub fn redacted(&self) -> String {
        redact(self.as_str())
    }

    /// A target of a parsed URL, and the credentials that were in it.
    fn with_userinfo(mut url: Url, text: &str) -> Result<(Self, Option<Credentials>), Invalid> {
        let Some(scheme) = scheme_of(&url) else {
            return Err(refused(text, scheme_missing(text.trim_matches(' '))));
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (username, password) => {
                let decoded = unescape(username).zip(unescape(password.unwrap_or_default()));
                let (username, password) = decoded.ok_or_else(|| refused(text, "userinfo is not UTF-8".into()))?;
                Some(Credentials::new(&username, &password)?)
            }
        };
        strip_userinfo(&mut url);
        let origin = origin_of(&url, scheme).map_err(|reason| refused(text, reason.into()))?;
        let target = Self { url, origin };
        target.check_size()?;
        Ok((target, credentials))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.as_str())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name and a password for basic authentication; `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    username: String,
    password: String,
}

impl Credentials {
    /// Credentials of these.
    ///
    /// # Errors
    ///
    /// [`Invalid::Username`] when the username holds a colon, which ends it (RFC 7617 section 2).
    pub fn new(username: &str, password: &str) -> Result<Self, Invalid> {
        if username.contains(':') {
            return Err(Invalid::Username);
        }
        Ok(Self { username: username.to_owned(), password: password.to_owned() })
    }

    /// The username.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The value of the `Authorization` header, in UTF-8.
    pub fn authorization(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.username, self.password)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Refuses text that is no URL whatever it says.
fn check_text(text: &str) -> Result<(), Invalid> {
    if text.len() > MAX_URL {
        return Err(Invalid::UrlTooLong(text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err(refused(text, "holds a control character".into()));
    }
    Ok(())
}

/// What follows `http:` or `https:`; none when the text begins otherwise.
fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

/// Why text that begins with neither `http:` nor `https:` is refused.
fn scheme_missing(text: &str) -> String {
    if text.is_empty() {
        return "it is empty".into();
    }
    if let Some((scheme, _)) = text.split_once("://")
        && !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    {
        return format!("scheme {scheme}: neither http nor https");
    }
    let rest = shown(text);
    let rest = rest.trim_start_matches(['/', ':']);
    if rest.is_empty() { "no scheme".into() } else { format!("no scheme; did you mean http://{rest}?") }
}

/// An error that shows the text without userinfo.
fn refused(text: &str, reason: String) -> Invalid {
    Invalid::Url { url: shown(text), reason }
}

/// A text that should be a URL, or a reference to one, without userinfo and without what [`redact`] leaves out.
pub fn redact_text(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.has_host() => {
            strip_userinfo(&mut url);
            redact(url.as_str())
        }
        // A path of this origin has no userinfo in front.
        Err(_) if text.starts_with('/') && !text.starts_with("//") => redact(text),
        Ok(_) | Err(_) => redact_unparsed(text),
    }
}

/// The text of a URL that was not parsed, without userinfo and without what [`redact`] leaves out.
///
/// Where userinfo ends is unclear in such a text, as a password may hold a slash; so all before the last `@` is left out.
fn redact_unparsed(text: &str) -> String {
    redact(&match text.rsplit_once('@') {
        None => text.to_owned(),
        Some((before, after)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://***@{after}"),
            None => format!("***@{after}"),
        },
    })
}

/// The same, not longer than it takes to recognise it.
pub(crate) fn shown(text: &str) -> String {
    /// Enough to recognise a URL by.
    const SHOWN: usize = 200;
    let safe = redact_unparsed(text);
    match safe.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &safe[..end]),
        None => safe,
    }
}

/// Parts of the names of parameters whose values are secrets, in lower case.
///
/// Signed URLs, keys of APIs, and what OAuth hands over in a query or a fragment.
pub const SECRET_NAMES: [&str; 9] =
    ["token", "secret", "password", "passwd", "signature", "credential", "apikey", "api_key", "api-key"];

/// The text of a URL without the values of parameters that are named like secrets.
pub fn redact(text: &str) -> String {
    let Some(start) = text.find(['?', '#']) else { return text.to_owned() };
    let (before, parameters) = text.split_at(start);
    let mut redacted = before.to_owned();
    let (mut name, mut hidden) = (String::new(), false);
    for char in parameters.chars() {
        match char {
            '?' | '#' | '&' | ';' => {
                name.clear();
                hidden = false;
            }
            '=' if !hidden && is_secret(&name) => {
                redacted.push_str("=***");
                hidden = true;
            }
            _ => name.push(char.to_ascii_lowercase()),
        }
        if !hidden {
            redacted.push(char);
        }
    }
    redacted
}

/// Whether a parameter of this name, in lower case, holds a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    matches!(name, "key" | "sig" | "auth" | "pwd") || SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// The text with its escapes in upper case, each stray `%` escaped, and so what browsers leave alone but RFC 3986 does not allow.
fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut in_query = false;
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let (this, after) = rest.split_at(char.len_utf8());
        rest = after;
        match char {
            '%' => match after.as_bytes() {
                [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    let (digits, after) = after.split_at(2);
                    tidied.push('%');
                    tidied.push_str(&digits.to_ascii_uppercase());
                    rest = after;
                }
                _ => tidied.push_str("%25"),
            },
            '^' | '`' | '{' | '|' | '}' => escape(char as u8, &mut tidied),
            // Before the query a backslash counts as a slash, in it as itself.
            '\\' if in_query => escape(b'\\', &mut tidied),
            _ => {
                in_query |= matches!(char, '?' | '#');
                tidied.push_str(this);
            }
        }
    }
    tidied
}

/// Appends the escape of a byte.
fn escape(byte: u8, text: &mut String) {
    text.push('%');
    for digit in [byte >> 4, byte & 15] {
        text.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
    }
}

/// The text without its escapes; none when that is not UTF-8.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match *rest {
            [] => return String::from_utf8(bytes).ok(),
            [b'%', high, low, ref after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |hex: u8| char::from(hex).to_digit(16).unwrap_or_default() as u8;
                bytes.push(digit(high) << 4 | digit(low));
                after
            }
            [byte, ref after @ ..] => {
                bytes.push(byte);
                after
            }
        };
    }
}

fn scheme_of(url: &Url) -> Option<Scheme> {
    match url.scheme() {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        _ => None,
    }
}

fn origin_of(url: &Url, scheme: Scheme) -> Result<Origin, &'static str> {
    let host = url.host_str().ok_or("no host")?;
    // RFC 3986 section 3.2.2, with what an IPv6 address has. The URL standard lets a few more pass, which other parsers refuse.
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=[:]".contains(&byte)) {
        return Err("the host holds a character that no name of a host has");
    }
    match url.port() {
        Some(0) => Err("port 0 is no port to connect to"),
        port => Ok(Origin::new(scheme, host, port.unwrap_or(scheme.default_port()))),
    }
}

/// Drops name and password, which a URL with a host always allows.
fn strip_userinfo(url: &mut Url) {
    let name = url.set_username("");
    let password = url.set_password(None);
    debug_assert!(name.is_ok() && password.is_ok(), "a URL with a host may lack userinfo");
}
