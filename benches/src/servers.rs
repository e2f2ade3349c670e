//! The origin and the relay, started and asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::origin::Listening;

/// The servers of a run; they end with it.
pub(crate) struct Servers {
    origin: Process,
    _relay: Process,
    /// Where the origin listens.
    pub(crate) near: Listening,
    /// The same origin, seen through the relay; its many ports are not relayed.
    pub(crate) far: Listening,
}

impl Servers {
    pub(crate) async fn start(many: usize) -> Result<Self> {
        let (origin, near) = Process::start::<Listening>(&["origin", "--many", &many.to_string()]).await?;
        let targets = [near.http, near.https, near.h2].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let targets = targets.map(|target| target.to_string());
        let arguments: Vec<_> = ["relay"].into_iter().chain(targets.iter().map(String::as_str)).collect();
        let (relay, [http, https, h2]) = Process::start::<[u16; 3]>(&arguments).await?;
        let far = Listening { http, https, h2, many: Vec::new(), root: near.root.clone() };
        Ok(Self { origin, _relay: relay, near, far })
    }

    /// The connections that the origin has accepted so far.
    pub(crate) async fn connections(&mut self) -> Result<u64> {
        self.origin.stdin.write_all(b"\n").await?;
        self.origin.line().await
    }
}

/// This program again, with another task.
struct Process {
    _child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts it, and reads the line that says it is ready.
    async fn start<T: DeserializeOwned>(arguments: &[&str]) -> Result<(Self, T)> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().context("a process without stdin")?;
        let stdout = child.stdout.take().context("a process without stdout")?;
        let mut process = Self { _child: child, stdin, stdout: BufReader::new(stdout).lines() };
        let ready = process.line().await.with_context(|| arguments.join(" "))?;
        Ok((process, ready))
    }

    async fn line<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = self.stdout.next_line().await?.context("ended early")?;
        Ok(serde_json::from_str(&line)?)
    }
}
