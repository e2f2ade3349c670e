//! How many requests of one guest may be in flight, and who waits for that.

use crate::connections::Connections;
use crate::error::Failure;
use crate::key::Key;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// The limit of one guest. Clones are the same limit.
#[derive(Clone)]
pub(crate) struct Quota(Arc<Semaphore>);

impl Quota {
    /// A limit of so many requests.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))))
    }

    /// The right to have one request in flight, until it is dropped. Who came first gets it first.
    ///
    /// # Errors
    ///
    /// [`Failure::LimitReached`] when none came free within the acquire timeout.
    pub(crate) async fn admit(&self, key: &Key, connections: &Connections) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() {
            return Ok(permit);
        }
        let mut waiting = Waiting::begin(key, connections);
        match timeout(connections.acquire_timeout(), Arc::clone(&self.0).acquire_owned()).await {
            Ok(Ok(permit)) => {
                waiting.granted = true;
                Ok(permit)
            }
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Failure::LimitReached),
        }
    }
}

/// A request that waits for its guest's quota, counted until it is dropped.
struct Waiting<'a> {
    key: &'a Key,
    connections: &'a Connections,
    since: Instant,
    granted: bool,
}

impl<'a> Waiting<'a> {
    fn begin(key: &'a Key, connections: &'a Connections) -> Self {
        connections.count(|stats| stats.waiting += 1);
        Self { key, connections, since: Instant::now(), granted: false }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.connections.waited(self.key, self.since, self.granted);
        self.connections.count(|stats| stats.waiting -= 1);
    }
}
