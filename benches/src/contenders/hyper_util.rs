//! The pooling client of hyper-util, native: what the others are measured against.

use anyhow::{Result, bail};
use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::{Contender, Job};
use crate::zeros::Zeros;

pub(super) struct HyperUtil {
    tls: ClientConfig,
    client: Client<HttpsConnector<HttpConnector>, Zeros>,
}

impl HyperUtil {
    pub(super) fn new(tls: ClientConfig) -> Self {
        let client = client(tls.clone());
        Self { tls, client }
    }

    async fn one(&self, job: &Job, index: u32) -> Result<u64> {
        let method = if job.upload == 0 { Method::GET } else { Method::PUT };
        let request = Request::builder().method(method).uri(job.url(index)).body(Zeros::new(job.upload))?;
        let response = self.client.request(request).await?;
        if response.status() != StatusCode::OK {
            bail!("{}: {}", job.url(index), response.status());
        }
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, |piece| piece.len() as u64);
        }
        if length != job.length {
            bail!("{}: {length} bytes", job.url(index));
        }
        Ok(length)
    }
}

fn client(tls: ClientConfig) -> Client<HttpsConnector<HttpConnector>, Zeros> {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().wrap_connector(tcp);
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector)
}

#[async_trait]
impl Contender for HyperUtil {
    async fn fresh(&mut self) -> Result<()> {
        self.client = client(self.tls.clone());
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
