//! httpbin under gunicorn, one for all checks: it keeps nothing from one request to the next.

use std::net::Ipv4Addr;

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::need::Need;
use crate::port::Port;

/// A running httpbin.
pub(crate) struct Httpbin {
    port: Port,
    // Stopped with all other servers when the checks are over. Its one worker sees within a second that it is gone.
    _daemon: Daemon,
    _folder: Folder,
}

impl Httpbin {
    /// The one that runs; the first to ask starts it.
    pub(crate) async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Httpbin> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn start() -> Result<Self> {
        let folder = Folder::new()?;
        let port = Port::reserve()?;
        let daemon = Daemon::start(
            Need::Httpbin,
            |command| {
                command.arg("--bind").arg(format!("{}:{port}", Ipv4Addr::LOCALHOST));
                // Other kinds of workers close each connection. A slow answer holds a thread.
                command.args(["--worker-class", "gthread", "--threads", "24", "--keep-alive", "30"]);
                // It would be put into the home folder.
                command.arg("--no-control-socket");
                command.arg("httpbin:app");
            },
            &[&port],
            folder.path(),
        )
        .await?;
        Ok(Self { port, _daemon: daemon, _folder: folder })
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        self.url_at("127.0.0.1", path)
    }

    /// The URL of a path, by a name of this machine.
    pub(crate) fn url_at(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }

    /// Where proxies find it.
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}
