//! reqwest, native.

use anyhow::{Result, bail};
use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, StatusCode};
use rustls::ClientConfig;

use super::{Contender, Job};
use crate::zeros::Zeros;

pub(super) struct Reqwest {
    tls: ClientConfig,
    client: Client,
}

impl Reqwest {
    pub(super) fn new(mut tls: ClientConfig) -> Result<Self> {
        // Given a configuration, reqwest leaves the choice of protocols to it.
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { client: client(tls.clone())?, tls })
    }

    async fn one(&self, job: &Job, index: u32) -> Result<u64> {
        let url = job.url(index);
        let request = if job.upload == 0 {
            self.client.get(url)
        } else {
            self.client.put(url).body(Body::wrap(Zeros::new(job.upload)))
        };
        let mut response = request.send().await?;
        if response.status() != StatusCode::OK {
            bail!("{url}: {}", response.status());
        }
        let mut length = 0;
        while let Some(piece) = response.chunk().await? {
            length += piece.len() as u64;
        }
        if length != job.length {
            bail!("{url}: {length} bytes");
        }
        Ok(length)
    }
}

fn client(tls: ClientConfig) -> Result<Client> {
    Ok(Client::builder().no_proxy().redirect(Policy::none()).tls_backend_preconfigured(tls).build()?)
}

#[async_trait]
impl Contender for Reqwest {
    async fn fresh(&mut self) -> Result<()> {
        self.client = client(self.tls.clone())?;
        Ok(())
    }

    async fn run(&mut self, job: &Job) -> Result<u64> {
        stream::iter(0..job.requests)
            .map(|index| self.one(job, index))
            .buffer_unordered(job.in_flight as usize)
            .try_fold(0, async |total, length| Ok(total + length))
            .await
    }
}
