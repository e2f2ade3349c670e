//! Servers of Python and Node, which serve the few paths of `programs/serve.py`.

use std::path::Path;

use anyhow::Result;

use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::need::Need;
use crate::port::Port;

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// The one of Node's standard library.
    Node,
    /// aiohttp's own.
    Aiohttp,
    /// uvicorn, which parses by h11.
    Uvicorn,
}

/// A running server; dropping it stops it.
pub(crate) struct Served {
    _daemon: Daemon,
    port: Port,
    _folder: Folder,
}

impl Server {
    /// Starts it.
    pub(crate) async fn start(self) -> Result<Served> {
        let folder = Folder::new()?;
        let port = Port::reserve()?;
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
        let daemon = match self {
            Self::Node => {
                let program = programs.join("serve.mjs");
                let arguments = |node: &mut std::process::Command| {
                    node.arg(program).arg(port.to_string());
                };
                Daemon::start(Need::Node, arguments, &[&port], folder.path()).await?
            }
            Self::Aiohttp | Self::Uvicorn => {
                let name = if self == Self::Aiohttp { "aiohttp" } else { "uvicorn" };
                let program = programs.join("serve.py");
                let arguments = |python: &mut std::process::Command| {
                    python.arg(program).arg(name).arg(port.to_string());
                };
                Daemon::start(Need::ServersPython, arguments, &[&port], folder.path()).await?
            }
        };
        Ok(Served { _daemon: daemon, port, _folder: folder })
    }
}

impl Served {
    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}
