//! A client library in a component; its loop runs within the guest.

use anyhow::Result;
use async_trait::async_trait;

use super::{Contender, Job};
use crate::guest::{Guest, Instance, Transport};

/// A guest, with an instance that is kept until a fresh one is asked for.
pub(super) struct InComponent<F> {
    guest: Guest,
    transport: F,
    instance: Instance,
}

impl<F: Fn() -> Result<Transport>> InComponent<F> {
    /// With a new transport for each instance.
    pub(super) async fn new(guest: Guest, transport: F) -> Result<Self> {
        let instance = guest.instance(&transport()?).await?;
        Ok(Self { guest, transport, instance })
    }
}

#[async_trait]
impl<F: Fn() -> Result<Transport> + Send + Sync> Contender for InComponent<F> {
    async fn fresh(&mut self) -> Result<()> {
        self.instance = self.guest.instance(&(self.transport)()?).await?;
        Ok(())
    }

    async fn run(&mut self, job: &Job) -> Result<u64> {
        self.instance.run(job).await
    }

    fn guest_memory(&self) -> Option<usize> {
        Some(self.instance.memory())
    }
}
