//! Names to addresses, behind a trait so that tests and embedders can supply their own.

use crate::error::Error;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Turns a host name into addresses, those of each family in the order in which they are to be tried.
///
/// It is asked for names only: an address in a URI is used as it is. A failure of kind
/// [`NotFound`](io::ErrorKind::NotFound) says that the name does not exist, one of kind
/// [`TimedOut`](io::ErrorKind::TimedOut) that the name servers are silent.
pub trait Resolve: Send + Sync {
    /// The addresses of `host`, each with `port`.
    ///
    /// `host` is in lower case and may end in a dot. An empty list counts as a failure.
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// The resolver of the operating system, which is the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Resolve for System {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Fixed addresses for some pairs of host and port, and another resolver for the rest.
#[derive(Clone)]
pub struct Overrides {
    fixed: HashMap<(String, u16), Vec<IpAddr>>,
    rest: Arc<dyn Resolve>,
}

impl Overrides {
    /// No override yet: everything is asked of `rest`.
    pub fn new(rest: Arc<dyn Resolve>) -> Self {
        Self { fixed: HashMap::new(), rest }
    }

    /// Adds one override, written `HOST:PORT:ADDR[,ADDR]` as for curl; IPv6 addresses may stand in brackets.
    ///
    /// A later override of the same host and port replaces the earlier one.
    ///
    /// # Errors
    ///
    /// [`Error::Override`] when the text is not of that form.
    pub fn add(&mut self, text: &str) -> Result<(), Error> {
        let parsed = || {
            let (host, rest) = text.split_once(':')?;
            let (port, addresses) = rest.split_once(':')?;
            let addresses = addresses
                .split(',')
                .map(|address| {
                    let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
                    bare.unwrap_or(address).parse().ok()
                })
                .collect::<Option<Vec<IpAddr>>>()?;
            (!host.is_empty()).then_some(((host.to_ascii_lowercase(), port.parse().ok()?), addresses))
        };
        let (place, addresses) = parsed().ok_or_else(|| Error::Override(text.to_owned()))?;
        self.fixed.insert(place, addresses);
        Ok(())
    }
}

impl Resolve for Overrides {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        match self.fixed.get(&(host.to_owned(), port)) {
            Some(addresses) => {
                let addresses = addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
                Box::pin(async move { Ok(addresses) })
            }
            None => self.rest.resolve(host, port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(overrides: &Overrides, host: &str, port: u16) -> Vec<String> {
        let found = overrides.resolve(host, port).await.unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    /// Knows no name at all.
    struct Nothing;

    impl Resolve for Nothing {
        fn resolve(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            Box::pin(async { Ok(Vec::new()) })
        }
    }

    #[tokio::test]
    async fn an_override_answers_for_its_host_and_port_only() {
        let mut overrides = Overrides::new(Arc::new(Nothing));
        overrides.add("A.test:80:127.0.0.1,[::1]").unwrap();
        assert_eq!(ask(&overrides, "a.test", 80).await, ["127.0.0.1:80", "[::1]:80"]);
        assert!(ask(&overrides, "a.test", 81).await.is_empty());
        assert!(ask(&overrides, "b.test", 80).await.is_empty());
    }

    #[test]
    fn an_unreadable_override_is_refused() {
        let mut overrides = Overrides::new(Arc::new(Nothing));
        for text in ["", "a.test", "a.test:80", "a.test:80:", "a.test:x:127.0.0.1", "a.test:80:b.test", ":80:::1"] {
            assert!(matches!(overrides.add(text), Err(Error::Override(_))), "{text}");
        }
    }
}
