//! A program that serves until it is dropped.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;

use crate::group::Group;
use crate::need::Need;
use crate::port::Port;

/// A running server; dropping it stops it.
pub(crate) struct Daemon {
    group: Group,
    output: PathBuf,
}

impl Daemon {
    /// Starts a program that stays in the foreground, with what it prints in a file of `folder`, and waits until it accepts
    /// connections on all of `ports`.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or does not listen in time; then with what it printed.
    pub(crate) async fn start(
        need: Need,
        arguments: impl FnOnce(&mut Command),
        ports: &[&Port],
        folder: &Path,
    ) -> Result<Self> {
        let program = need.find().with_context(|| format!("{}: not found", need.program()))?;
        let output = folder.join(format!("{}.out", need.program()));
        let printed = std::fs::File::create(&output).context("file for what it prints")?;
        let mut command = Command::new(program);
        arguments(&mut command);
        command.current_dir(folder).stdin(Stdio::null()).stdout(printed.try_clone()?).stderr(printed);
        let group = Group::spawn(&mut command).with_context(|| format!("{}: cannot be started", need.program()))?;
        let daemon = Self { group, output };
        for port in ports {
            daemon.until_open(port).await.with_context(|| need.program())?;
        }
        Ok(daemon)
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> String {
        std::fs::read(&self.output).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Only the server knows when it listens, and it tells nobody; so this knocks until it is let in.
    async fn until_open(&self, port: &Port) -> Result<()> {
        let knocking = async {
            loop {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, port.number())).await.is_ok() {
                    return Ok(());
                }
                if let Some(status) = self.group.ended()? {
                    bail!("ended with {status}: {}", self.printed());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(STARTS, knocking).await {
            Ok(open) => open,
            Err(_) => bail!("does not listen on {} after {STARTS:?}: {}", port.number(), self.printed()),
        }
    }
}

/// How long a server may take to start on a busy machine.
const STARTS: Duration = Duration::from_secs(10);
