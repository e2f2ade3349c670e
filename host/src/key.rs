//! Which requests may share connections.

use crate::error::Failure;
use crate::idle::Place;
use crate::route::{Versions, Way};
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
    pub(crate) way: Way,
    /// Whether only HTTP/1.1 will do: the server has said so.
    pub(crate) http1: bool,
}

impl Place for Key {
    fn may_share(&self) -> bool {
        match self.versions() {
            Versions::Http1 => false,
            Versions::Negotiated => self.tls,
            Versions::Http2 => true,
        }
    }
}

impl Key {
    /// The key of an absolute URI, and of the way to it.
    ///
    /// # Errors
    ///
    /// [`Failure::Denied`] for userinfo, which would be one way around a policy that looks at hosts, [`Failure::Uri`] for
    /// what has no scheme, host or port that can be used.
    pub(crate) fn of(uri: &Uri, way: Way) -> Result<Self, Failure> {
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
        let host = if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
            bare.to_ascii_lowercase().into()
        } else {
            bare.into()
        };
        Ok(Self { tls, host, port, way, http1: false })
    }

    /// The versions of HTTP that a connection to it may speak.
    pub(crate) fn versions(&self) -> Versions {
        if self.http1 { Versions::Http1 } else { self.way.versions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Route, Ways};
    use std::sync::LazyLock;

    fn key(uri: &str) -> Result<Key, Failure> {
        static WAYS: Ways = Ways::new();
        static WAY: LazyLock<Way> = LazyLock::new(|| WAYS.of(Route::open()));
        Key::of(&uri.parse().unwrap(), WAY.clone())
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

    #[test]
    fn what_only_some_rules_allow_is_another_place() {
        let ways = Ways::new();
        let uri = "http://a.test/".parse().unwrap();
        let open = Route::open();
        let of = |tenant: Option<&str>| {
            let route = Route { tenant: tenant.map(Into::into), ..open.clone() };
            Key::of(&uri, ways.of(route)).unwrap()
        };
        let (none, a) = (of(None), of(Some("a")));
        assert_eq!(a, of(Some("a")));
        assert_ne!(a, none);
        assert_ne!(a, of(Some("b")));
    }
}
