//! Which requests go through a proxy, and how a tunnel through one is asked for.

use crate::error::{Error, Failure};
use crate::key::Key;
use crate::network::Network;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Host, Url};

/// The proxies that requests go through. The default is none.
///
/// A proxy is written `http://[user:password@]host[:port]`; without a port it is 80. Requests to `https` origins are tunnelled
/// (CONNECT), so the proxy learns no more than host and port. Those to `http` origins are given to it whole, unless an
/// [`Egress`](crate::Egress) policy is in force: then they are tunnelled, too, to an address that was looked up and checked
/// here, since a proxy would look the name up by itself. The proxy's own address is not subject to the policy.
///
/// ```
/// # fn main() -> Result<(), urlpool_host::Error> {
/// let proxies = urlpool_host::Proxies::new().all("http://proxy.test:3128")?.except("localhost, .internal, 10.0.0.0/8");
/// # drop(proxies);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Proxies {
    http: Option<Arc<Proxy>>,
    https: Option<Arc<Proxy>>,
    all: Option<Arc<Proxy>>,
    except: Vec<Exception>,
}

impl Proxies {
    /// No proxy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those that the environment names, as curl reads it: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, the last three
    /// in capitals also. An empty variable counts as none.
    ///
    /// # Errors
    ///
    /// [`Error::Proxy`] when one of them cannot be read.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Sends requests to `http` origins through a proxy.
    ///
    /// # Errors
    ///
    /// [`Error::Proxy`] when the URL is not one of a proxy that we can use.
    pub fn http(mut self, url: &str) -> Result<Self, Error> {
        self.http = Some(Proxy::parse(url).map_err(|why| Error::Proxy(format!("for http: {why}")))?);
        Ok(self)
    }

    /// Sends requests to `https` origins through a proxy.
    ///
    /// # Errors
    ///
    /// [`Error::Proxy`] when the URL is not one of a proxy that we can use.
    pub fn https(mut self, url: &str) -> Result<Self, Error> {
        self.https = Some(Proxy::parse(url).map_err(|why| Error::Proxy(format!("for https: {why}")))?);
        Ok(self)
    }

    /// Sends requests through a proxy where no other one is set for their scheme.
    ///
    /// # Errors
    ///
    /// [`Error::Proxy`] when the URL is not one of a proxy that we can use.
    pub fn all(mut self, url: &str) -> Result<Self, Error> {
        self.all = Some(Proxy::parse(url).map_err(|why| Error::Proxy(format!("for all: {why}")))?);
        Ok(self)
    }

    /// Sends requests to these origins directly. Each call adds to the list.
    ///
    /// The parts are separated by commas or spaces. A part is `*` for all, a host name, which stands for the hosts below it as
    /// well whether or not it begins with a dot, an address, or a network (`10.0.0.0/8`), and may end in `:port`. Networks hold
    /// for addresses in URIs; names are not looked up for this.
    pub fn except(mut self, no_proxy: &str) -> Self {
        let parts = no_proxy.split([',', ' ', '\t']).filter(|part| !part.is_empty());
        self.except.extend(parts.map(Exception::parse));
        self
    }

    /// The proxy on the way to an origin.
    pub(crate) fn of(&self, key: &Key) -> Option<&Arc<Proxy>> {
        let proxy = if key.tls { &self.https } else { &self.http }.as_ref().or(self.all.as_ref())?;
        (!self.except.iter().any(|exception| exception.covers(&key.host, key.port))).then_some(proxy)
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let either = |lower: &str, capitals: &str| {
            [lower, capitals].into_iter().filter_map(&variable).find(|value| !value.is_empty())
        };
        let mut proxies = Self::new();
        // Not in capitals: to a CGI program that is a request's Proxy field, which anyone may send (CVE-2016-5385).
        if let Some(url) = variable("http_proxy").filter(|value| !value.is_empty()) {
            proxies = proxies.http(&url)?;
        }
        if let Some(url) = either("https_proxy", "HTTPS_PROXY") {
            proxies = proxies.https(&url)?;
        }
        if let Some(url) = either("all_proxy", "ALL_PROXY") {
            proxies = proxies.all(&url)?;
        }
        Ok(proxies.except(&either("no_proxy", "NO_PROXY").unwrap_or_default()))
    }
}

/// One proxy.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Proxy {
    /// As in a [`Key`].
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) forward: Arc<Forward>,
}

/// What a proxy has to be told with each request that it is given whole, along with the absolute target.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Forward {
    /// The value of Proxy-Authorization.
    pub(crate) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// What is wrong is told without the text, which may hold a password.
    fn parse(text: &str) -> Result<Arc<Self>, String> {
        let url = match text.contains("://") {
            true => Url::parse(text),
            false => Url::parse(&format!("http://{text}")),
        };
        let url = url.map_err(|error| error.to_string())?;
        if url.scheme() != "http" {
            return Err(format!("{} proxies are not supported, only http ones", url.scheme()));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("nothing may follow host and port".into());
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err("no host".into()),
        };
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or("no usable port")?;
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(basic(user, password.unwrap_or_default())?),
        };
        Ok(Arc::new(Self { host, port, forward: Arc::new(Forward { authorization }) }))
    }

    /// Has the proxy lead a connection to it on to `target`, a host and a port. Takes no byte that comes from beyond.
    ///
    /// # Errors
    ///
    /// [`Failure::Denied`] when the proxy forbids it, [`Failure::Unavailable`] when it cannot reach the target, otherwise
    /// [`Failure::Proxy`].
    pub(crate) async fn tunnel(&self, stream: &mut TcpStream, target: &str) -> Result<(), Failure> {
        // RFC 9110 §9.3.6, RFC 9112 §3.2.3.
        let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(authorization) = &self.forward.authorization {
            head.extend_from_slice(b"Proxy-Authorization: ");
            head.extend_from_slice(authorization.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        stream.write_all(&head).await.map_err(|_| Failure::Proxy)?;
        match final_status(stream).await {
            Some(200..=299) => Ok(()),
            Some(403) => Err(Failure::Denied),
            Some(502..=504) => Err(Failure::Unavailable),
            Some(_) | None => Err(Failure::Proxy),
        }
    }
}

/// The value of a field with credentials (RFC 7617).
fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    let mut credentials: Vec<u8> = percent_encoding::percent_decode_str(user).collect();
    if credentials.contains(&b':') {
        return Err("a user name may hold no colon".into());
    }
    credentials.push(b':');
    credentials.extend(percent_encoding::percent_decode_str(password));
    let value = format!("Basic {}", STANDARD.encode(credentials));
    let mut value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads up to the end of the head of a proxy's final answer, and not a byte beyond. None for what is no answer.
async fn final_status(stream: &mut TcpStream) -> Option<u16> {
    let mut piece = [0; 1024];
    let mut head = Vec::new();
    let mut read = 0;
    while read < LARGEST_HEAD {
        // What comes behind the head is for others to read, so the kernel keeps it.
        let seen = stream.peek(&mut piece).await.ok().filter(|seen| *seen > 0)?;
        let before = head.len();
        head.extend_from_slice(&piece[..seen]);
        let end = end(&head);
        let taken = end.map_or(seen, |end| end - before);
        stream.read_exact(&mut piece[..taken]).await.ok()?;
        read += taken;
        if end.is_some() {
            match status(&head)? {
                // Interim (RFC 9110 §15.2), but for 101, after which HTTP is no longer spoken.
                100 | 102..=199 => head.clear(),
                status => return Some(status),
            }
        }
    }
    None
}

/// Where a head ends, behind its empty line. A lone LF ends a line, too (RFC 9112 §2.2).
fn end(head: &[u8]) -> Option<usize> {
    let after = |end: &[u8]| head.windows(end.len()).position(|window| window == end).map(|at| at + end.len());
    match (after(b"\n\r\n"), after(b"\n\n")) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The status of a head (RFC 9112 §4).
fn status(head: &[u8]) -> Option<u16> {
    match *head.strip_prefix(b"HTTP/1.")? {
        [minor, b' ', a, b, c, b' ' | b'\r' | b'\n', ..] if [minor, a, b, c].iter().all(u8::is_ascii_digit) => {
            Some([a, b, c].iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0')))
        }
        _ => None,
    }
}

/// Where no proxy is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Exception {
    place: Place,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Any,
    /// The host of that name, and those below it.
    Name(String),
    Network(Network),
}

impl Exception {
    /// What cannot be read is taken for a name, which no host has. curl does so.
    fn parse(text: &str) -> Self {
        if let Some(network) = Network::parse(text) {
            return Self { place: Place::Network(network), port: None };
        }
        let (place, port) = match text.rsplit_once(':') {
            Some((place, port)) => (place, port.parse().ok()),
            None => (text, None),
        };
        // An unreadable port stays part of the name.
        let place = if port.is_some() { place } else { text };
        let bare = place.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(place);
        let place = match Network::parse(bare) {
            Some(network) => Place::Network(network),
            None if place == "*" => Place::Any,
            None => {
                let name = place.strip_prefix('*').unwrap_or(place);
                let name = name.strip_prefix('.').unwrap_or(name);
                Place::Name(name.trim_end_matches('.').to_ascii_lowercase())
            }
        };
        Self { place, port }
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let place = match (&self.place, host.parse::<IpAddr>()) {
            (Place::Any, _) => true,
            (Place::Network(network), Ok(address)) => network.contains(address),
            (Place::Name(name), Err(_)) => {
                let above = host.trim_end_matches('.').strip_suffix(name.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.')) && !name.is_empty()
            }
            (Place::Network(_), Err(_)) | (Place::Name(_), Ok(_)) => false,
        };
        place && self.port.is_none_or(|own| own == port)
    }
}

/// As much as others allow for the head of an answer that says hardly anything.
const LARGEST_HEAD: usize = 16 * 1024;

#[cfg(test)]
mod tests;
