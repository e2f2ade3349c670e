//! Resolvers that say what a test wants.

use futures::future::BoxFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use urlpool_host::Resolve;

/// Knows one answer for every name.
pub struct Fixed(pub Result<Vec<SocketAddr>, io::ErrorKind>);

impl Resolve for Fixed {
    fn resolve(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let answer = self.0.clone().map_err(io::Error::from);
        Box::pin(async move { answer })
    }
}

/// Never answers.
pub struct Silent;

impl Resolve for Silent {
    fn resolve(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        Box::pin(std::future::pending())
    }
}

/// Counts how often another resolver is asked.
#[derive(Clone)]
pub struct Counted {
    rest: Arc<dyn Resolve>,
    asked: Arc<AtomicUsize>,
}

impl Counted {
    pub fn new(rest: impl Resolve + 'static) -> Self {
        Self { rest: Arc::new(rest), asked: Arc::default() }
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolve for Counted {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.rest.resolve(host, port)
    }
}
