//! Which requests may share connections.

use crate::error::Failure;
use http::Uri;
use http::uri::Scheme;
use std::sync::Arc;

/// Where a connection leads. Equal keys may share connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) tls: bool,
    /// In lower case, an IPv6 address without its brackets.
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

impl Key {
    /// The key of an absolute URI.
    ///
    /// # Errors
    ///
    /// [`Failure::Denied`] for userinfo, which would be one way around a policy that looks at hosts, [`Failure::Uri`] for
    /// what has no scheme, host or port that can be used.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Failure> {
        let authority = uri.authority().ok_or(Failure::Uri)?;
        if authority.as_str().contains('@') {
            return Err(Failure::Denied);
        }
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(_) | None => return Err(Failure::Uri),
        };
        let host = authority.host();
        // `Authority::port_u16` is none for a port out of range as well as for no port.
        let port = match authority.as_str()[host.len()..].strip_prefix(':') {
            None | Some("") => 443 * u16::from(tls) + 80 * u16::from(!tls),
            Some(digits) => digits.parse().map_err(|_| Failure::Uri)?,
        };
        let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() || port == 0 {
            return Err(Failure::Uri);
        }
        Ok(Self { tls, host: bare.to_ascii_lowercase().into(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uri: &str) -> Result<Key, Failure> {
        Key::of(&uri.parse().unwrap())
    }

    #[test]
    fn a_default_port_and_capitals_make_no_difference() {
        assert_eq!(key("http://a.test/x"), key("HTTP://A.test:80/y"));
        assert_eq!(key("http://a.test:"), key("http://a.test"));
        assert_eq!(key("https://a.test"), key("https://a.test:443"));
        assert_ne!(key("https://a.test:80"), key("http://a.test:80"));
        assert_ne!(key("http://a.test:81"), key("http://a.test"));
    }

    #[test]
    fn an_address_loses_its_brackets() {
        assert_eq!(&*key("http://[::1]:8080/").unwrap().host, "::1");
        assert_eq!(key("http://[::1]/").unwrap().port, 80);
    }

    #[test]
    fn userinfo_is_denied() {
        assert_eq!(key("http://user:pass@a.test/"), Err(Failure::Denied));
        assert_eq!(key("http://a.test@b.test/"), Err(Failure::Denied));
    }

    #[test]
    fn a_place_that_nobody_can_connect_to_is_refused() {
        for uri in ["http://a.test:0/", "http://a.test:65536/", "ftp://a.test/", "/path"] {
            assert_eq!(key(uri), Err(Failure::Uri), "{uri}");
        }
    }
}
