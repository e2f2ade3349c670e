//! What decides, besides the origin, whether two requests may share a connection.

use crate::egress::Egress;
use crate::proxy::Proxies;
use crate::tls::Tls;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The way from a guest to its origins. Requests of different routes never share a connection, so what was opened under one
/// policy cannot be used under another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Route {
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) egress: Egress,
    pub(crate) tls: Tls,
    pub(crate) proxies: Proxies,
    pub(crate) versions: Versions,
}

/// A route that is compared by identity, which [`Ways`] makes as good as by value.
#[derive(Clone, Debug)]
pub(crate) struct Way(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    route: Route,
    /// That of the route, with sessions of its own where the route has a tenant.
    tls: Tls,
}

impl Way {
    /// How connections are secured on this way.
    pub(crate) fn tls(&self) -> &Tls {
        &self.0.tls
    }
}

impl Deref for Way {
    type Target = Route;

    fn deref(&self) -> &Route {
        &self.0.route
    }
}

impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Way {}

impl Hash for Way {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// The routes in use, each once.
#[derive(Debug)]
pub(crate) struct Ways(Mutex<Vec<Weak<Taken>>>);

impl Ways {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(crate) fn of(&self, route: Route) -> Way {
        let mut ways = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ways.retain(|way| way.strong_count() > 0);
        if let Some(known) = ways.iter().filter_map(Weak::upgrade).find(|known| known.route == route) {
            return Way(known);
        }
        let tls = if route.tenant.is_some() { route.tls.isolated() } else { route.tls.clone() };
        let way = Arc::new(Taken { route, tls });
        ways.push(Arc::downgrade(&way));
        Way(way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_route_makes_another_way() {
        let ways = Ways::new();
        let open = Route::open();
        // Settings of TLS are never compared by what they are.
        let tls = Tls::builder().build().unwrap();
        let proxies = Proxies::new().all("http://proxy.test").unwrap();
        let egress = Egress::open().deny("a.test").unwrap();
        let routes = [
            open.clone(),
            Route { tenant: Some("a".into()), ..open.clone() },
            Route { egress, ..open.clone() },
            Route { tls, ..open.clone() },
            Route { proxies, ..open.clone() },
            Route { versions: Versions::Http1, ..open.clone() },
        ];
        let taken: Vec<_> = routes.iter().map(|route| ways.of(route.clone())).collect();
        for (first, one) in taken.iter().enumerate() {
            for (second, other) in taken.iter().enumerate() {
                assert_eq!(one == other, first == second, "{first} and {second}");
            }
            // Asked for once more, it is the same.
            assert_eq!(ways.of(routes[first].clone()), *one, "{first}");
        }
    }

    #[test]
    fn tenants_resume_no_sessions_of_others() {
        let ways = Ways::new();
        let of = |tenant: Option<&str>| ways.of(Route { tenant: tenant.map(Into::into), ..Route::open() });
        let (none, a, b) = (of(None), of(Some("a")), of(Some("b")));
        assert_ne!(a.tls(), none.tls());
        assert_ne!(a.tls(), b.tls());
        assert_eq!(none.tls(), &none.tls);
    }
}

#[cfg(test)]
impl Route {
    /// One without any rule.
    pub(crate) fn open() -> Self {
        let tls = Tls::builder().build().expect("bundled roots are good");
        let (egress, proxies, versions) = (Egress::open(), Proxies::new(), Versions::default());
        Self { tenant: None, egress, tls, proxies, versions }
    }
}

/// Which versions of HTTP are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Versions {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 over TLS where the server agrees to it (ALPN), otherwise HTTP/1.1. The default.
    #[default]
    Negotiated,
    /// HTTP/2 alone, in clear text too (prior knowledge, RFC 9113 §3.3).
    Http2,
}
