//! Header fields: ordered, repeatable, found in any case of letters.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::error::Invalid;
use crate::target;

/// The headers that wasi:http keeps to the host, which frames messages and names hosts itself.
pub const FORBIDDEN: [&str; 9] = [
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// The fields that do not belong in trailers (RFC 9110 section 6.5.1), beside those of [`FORBIDDEN`].
///
/// They frame or encode a body, route or change a request, or prove who sends it, so they come too late there.
pub const FORBIDDEN_TRAILERS: [&str; 14] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "max-forwards",
    "pragma",
    "range",
    "set-cookie",
    "te",
    "trailer",
];

/// The headers whose values are secrets, and not shown by [`Headers`]' `Debug`.
const HIDDEN: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// The largest header section that is handed to a host, by the count of [`Headers::section_size`].
///
/// wasmtime traps beyond 128 KiB, so this stays below with room for what a host adds.
pub const MAX_SECTION: usize = 120 * 1024;

/// What a field costs beside its bytes.
///
/// wasmtime counts the sizes of its own types for a name and a value, 72 bytes where pointers have 64 bits. A little more keeps this an upper bound.
pub const FIELD_OVERHEAD: usize = 80;

/// Header fields in order, with repetitions, names as they were written.
///
/// Lookup ignores the case of letters. A field that came in through [`Headers::append`] or [`Headers::set`] may be sent. Those of a response are kept
/// as they came, by [`Headers::append_received`], and do not go into a request.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<Field>,
}

/// A name and a value. Those that the client sends by itself are not copied with each request.
type Field = (Cow<'static, str>, Bytes);

/// Names and values, without the values that are secrets.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str, value| match HIDDEN.iter().any(|hidden| hidden.eq_ignore_ascii_case(name)) {
            true => "***".into(),
            false => String::from_utf8_lossy(value),
        };
        f.debug_list().entries(self.iter().map(|(name, value)| (name, shown(name, value)))).finish()
    }
}

impl Headers {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a field, keeping earlier ones of the same name.
    ///
    /// Spaces and tabs around the value are dropped.
    ///
    /// # Errors
    ///
    /// - [`Invalid::HeaderName`] when the name is no token
    /// - [`Invalid::HeaderValue`] when the value holds a control character other than a tab
    /// - [`Invalid::ForbiddenHeader`] for a name of [`FORBIDDEN`]
    pub fn append(&mut self, name: &str, value: impl Into<Vec<u8>>) -> Result<(), Invalid> {
        let field = check(name, Bytes::from(value.into()))?;
        self.fields.push(field);
        Ok(())
    }

    /// Appends all of these fields, or none when one of them is refused.
    ///
    /// # Errors
    ///
    /// As [`Headers::append`].
    pub fn append_all<N: AsRef<str>, V: Into<Vec<u8>>>(
        &mut self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<(), Invalid> {
        let before = self.fields.len();
        for (name, value) in fields {
            if let Err(invalid) = self.append(name.as_ref(), value) {
                self.fields.truncate(before);
                return Err(invalid);
            }
        }
        Ok(())
    }

    /// Appends a field of a response, unchecked: what a server sends is shown as it is.
    pub fn append_received(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.fields.push((name.to_owned().into(), Bytes::from(value.into())));
    }

    /// Appends a field to send that is valid by how it was made.
    pub(crate) fn append_valid(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.push_valid((name.to_owned().into(), Bytes::from(value.into())));
    }

    /// Appends a field to send that is always the same.
    pub(crate) fn append_own(&mut self, name: &'static str, value: &'static str) {
        self.push_valid((name.into(), Bytes::from_static(value.as_bytes())));
    }

    fn push_valid(&mut self, field: Field) {
        debug_assert_eq!(check(&field.0, field.1.clone()).as_ref(), Ok(&field), "it may be sent");
        self.fields.push(field);
    }

    /// Replaces all fields of this name by one, in the place of the first.
    ///
    /// # Errors
    ///
    /// As [`Headers::append`].
    pub fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) -> Result<(), Invalid> {
        let field = check(name, Bytes::from(value.into()))?;
        match self.fields.iter().position(|(other, _)| other.eq_ignore_ascii_case(name)) {
            Some(first) => {
                let mut index = 0;
                self.fields.retain(|(other, _)| {
                    index += 1;
                    index <= first + 1 || !other.eq_ignore_ascii_case(name)
                });
                self.fields[first] = field;
            }
            None => self.fields.push(field),
        }
        Ok(())
    }

    /// Removes all fields of this name and says whether there were any.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.fields.len();
        self.fields.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.fields.len() < before
    }

    /// The value of the first field of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The values of all fields of this name, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether there is a field of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The values of all fields of this name as text, joined by a comma and a space; none when there is no such field.
    ///
    /// Bytes that are not UTF-8 are replaced. `Set-Cookie` cannot be joined: read it with [`Headers::get_all`].
    pub fn joined(&self, name: &str) -> Option<String> {
        let mut values = self.get_all(name);
        let mut text = String::from_utf8_lossy(values.next()?).into_owned();
        for value in values {
            text.push_str(", ");
            text.push_str(&String::from_utf8_lossy(value));
        }
        Some(text)
    }

    /// The length of a body that these declare: all repetitions the same number (RFC 9110 section 8.6), otherwise none.
    ///
    /// None as well where a transfer coding frames the body, which overrides it (RFC 9112 section 6.3).
    pub fn content_length(&self) -> Option<u64> {
        if self.contains("transfer-encoding") {
            return None;
        }
        let mut declared = None;
        for item in self.get_all("content-length").flat_map(|value| value.split(|byte| *byte == b',')) {
            let text = item.trim_ascii();
            // `u64::from_str` would take a sign.
            if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let length = std::str::from_utf8(text).ok()?.parse().ok()?;
            if declared.is_some_and(|declared| declared != length) {
                return None;
            }
            declared = Some(length);
        }
        declared
    }

    /// Names as they were written, and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The size of the section as a host counts it, or a little more: the bytes and [`FIELD_OVERHEAD`] of each field.
    pub fn section_size(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len() + FIELD_OVERHEAD).sum()
    }

    /// Checks that a host takes the section.
    ///
    /// # Errors
    ///
    /// [`Invalid::HeadersTooLarge`] when it is larger than [`MAX_SECTION`].
    pub fn check_size(&self) -> Result<(), Invalid> {
        let size = self.section_size();
        if size > MAX_SECTION { Err(Invalid::HeadersTooLarge { size, limit: MAX_SECTION }) } else { Ok(()) }
    }
}

/// Whether this is a token of RFC 9110 section 5.6.2, as names of headers and methods are.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether a header of this name holds a secret, which is not to be shown.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("authorization") || name.contains("cookie") || target::is_secret(&name)
}

/// The value of a header as it may be shown: None where it is a secret as a whole, and without those in the URLs of headers
/// that hold some.
pub fn redact<'a>(name: &str, value: &'a str) -> Option<Cow<'a, str>> {
    /// Their values are a URL, or hold some among other things.
    const URLS: [&str; 5] = ["location", "content-location", "referer", "link", "refresh"];
    if is_secret(name) {
        None
    } else if URLS.iter().any(|urls| name.eq_ignore_ascii_case(urls)) {
        Some(target::redact_text(value).into())
    } else {
        Some(value.into())
    }
}

/// A field that may be sent.
fn check(name: &str, value: Bytes) -> Result<Field, Invalid> {
    if !is_token(name) {
        return Err(Invalid::HeaderName(name.to_owned()));
    }
    if FORBIDDEN.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name)) {
        return Err(Invalid::ForbiddenHeader(name.to_owned()));
    }
    // RFC 9110 section 5.5: CR, LF and NUL are dangerous, and no other control character but the tab is part of the grammar.
    if value.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return Err(Invalid::HeaderValue(name.to_owned()));
    }
    let blank = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = value.iter().position(blank).unwrap_or(value.len());
    let end = value.iter().rposition(blank).map_or(start, |last| last + 1);
    Ok((name.to_owned().into(), value.slice(start..end)))
}
