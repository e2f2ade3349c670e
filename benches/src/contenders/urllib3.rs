//! urllib3 in a process of Python, asked line by line, so that its start costs nothing.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Contender, Job};

pub(super) struct Urllib3 {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Urllib3 {
    pub(super) async fn start(python: &Path, root: &str) -> Result<Self> {
        let mut child = Command::new(python)
            .args(["-c", WORKER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| python.display().to_string())?;
        let stdin = child.stdin.take().context("a process without stdin")?;
        let stdout = child.stdout.take().context("a process without stdout")?;
        let mut worker = Self { child, stdin, stdout: BufReader::new(stdout).lines() };
        worker.ask(json!({ "root": root })).await?;
        Ok(worker)
    }

    async fn ask(&mut self, question: Value) -> Result<u64> {
        self.stdin.write_all(format!("{question}\n").as_bytes()).await?;
        let answer = self.stdout.next_line().await?.context("urllib3 ended early")?;
        let answer: Value = serde_json::from_str(&answer)?;
        match answer["bytes"].as_u64() {
            Some(bytes) => Ok(bytes),
            None => bail!("{}", answer["error"]),
        }
    }
}

const WORKER: &str = include_str!("urllib3.py");

#[async_trait]
impl Contender for Urllib3 {
    async fn fresh(&mut self) -> Result<()> {
        self.ask(json!({ "fresh": true })).await.map(|_| ())
    }

    async fn run(&mut self, job: &Job) -> Result<u64> {
        if job.in_flight > 1 || job.upload > 0 {
            bail!("urllib3 is asked for one download at a time");
        }
        self.ask(json!({ "urls": job.urls, "requests": job.requests, "length": job.length })).await
    }

    fn process(&self) -> Option<u32> {
        self.child.id()
    }
}
