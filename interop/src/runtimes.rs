//! The hosts that run composed components: ours, and those of other people.

use std::path::Path;

use anyhow::{Context, Result};

use crate::consumers::root;
use crate::daemon::Daemon;
use crate::folder::Folder;
use crate::need::Need;
use crate::port::Port;
use crate::program::{self, Ended};
use crate::stock;

/// A host that runs components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// `urlpool run` and `urlpool serve`.
    Urlpool,
    /// The handler of wasmtime 48 as it comes, in this process: what its command does, where that is not at hand.
    Stock,
    /// `wasmtime run` and `wasmtime serve`.
    Wasmtime,
    /// wasmtime 50, from Python.
    WasmtimePy,
    /// `jco run` and `jco serve`, on Node.
    Jco,
}

impl Runtime {
    /// Whether connections are kept from one request to the next; none where that is nobody's promise.
    pub(crate) fn reuses(self) -> Option<bool> {
        match self {
            Self::Urlpool => Some(true),
            Self::Stock | Self::Wasmtime | Self::WasmtimePy => Some(false),
            // Node decides.
            Self::Jco => None,
        }
    }

    /// Runs a command to its end: it sees `folder`, and what it wrote is told.
    pub(crate) async fn run(self, component: &Path, arguments: &[&str], folder: &Folder) -> Result<Ended> {
        let mut command = match self {
            Self::Urlpool => return urlpool_run(&["--allow", "127.0.0.1"], component, arguments, folder).await,
            Self::Stock => return stock::run(component, arguments, folder.path()).await,
            Self::Wasmtime => {
                let mut command = program::of(Need::Wasmtime)?;
                command.args(["run", "-S", "http", "--dir", "."]).arg(component);
                command
            }
            Self::WasmtimePy => {
                let mut command = program::of(Need::WasmtimePy)?;
                command.arg(root().join("interop/hosts/wasmtime50.py")).arg(component).arg(".");
                command
            }
            Self::Jco => {
                let mut command = program::of(Need::Jco)?;
                command.arg("run").arg(component);
                command
            }
        };
        command.args(arguments);
        program::finish(command, folder).await
    }

    /// How a file of `folder` is called by what runs in it.
    pub(crate) fn file_in(self, folder: &Folder, name: &str) -> String {
        match self {
            // It sees the whole machine, from its root.
            Self::Jco => folder.join(name).display().to_string(),
            Self::Urlpool | Self::Stock | Self::Wasmtime | Self::WasmtimePy => name.to_owned(),
        }
    }

    /// Serves a handler, with these variables, until what is returned is dropped.
    ///
    /// `flags` are those of `urlpool serve`.
    pub(crate) async fn serve(self, component: &Path, variables: &[(&str, String)], flags: &[&str]) -> Result<Serving> {
        let folder = Folder::new()?;
        if self == Self::Stock {
            let (address, stopping) = stock::serve(component, variables).await?;
            return Ok(Serving { url: format!("http://{address}"), _keep: Keep::Here(stopping), _folder: folder });
        }
        let port = Port::reserve()?;
        let address = format!("127.0.0.1:{port}");
        let given = |command: &mut std::process::Command| {
            for (name, value) in variables {
                command.arg("--env").arg(format!("{name}={value}"));
            }
        };
        let need = match self {
            Self::Urlpool => Need::Urlpool,
            Self::Wasmtime => Need::Wasmtime,
            Self::Jco => Need::Jco,
            Self::Stock | Self::WasmtimePy => anyhow::bail!("{self:?} serves nothing"),
        };
        let prepared = program::of(need)?;
        let path = prepared.get_envs().find_map(|(name, value)| (name == "PATH").then_some(value?.to_owned()));
        let daemon = Daemon::start(
            need,
            |command| {
                if let Some(path) = path {
                    command.env("PATH", path);
                }
                match self {
                    Self::Urlpool => {
                        command.args(["serve", "--addr", &address, "--allow", "127.0.0.1"]).args(flags);
                        given(command);
                    }
                    Self::Wasmtime => {
                        command.args(["serve", "-S", "cli", "--addr", &address]);
                        given(command);
                    }
                    _ => {
                        command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()]);
                        command.envs(variables.iter().map(|(name, value)| (name, value)));
                    }
                }
                command.arg(component);
            },
            &[&port],
            folder.path(),
        )
        .await
        .with_context(|| format!("{self:?}"))?;
        Ok(Serving { url: format!("http://{address}"), _keep: Keep::Daemon(daemon, port), _folder: folder })
    }
}

/// `urlpool run` with flags of its own, such as rules of egress.
pub(crate) async fn urlpool_run(
    flags: &[&str],
    component: &Path,
    arguments: &[&str],
    folder: &Folder,
) -> Result<Ended> {
    let mut command = program::of(Need::Urlpool)?;
    command.args(["run", "--dir", "."]).args(flags).arg(component).args(arguments);
    program::finish(command, folder).await
}

/// A handler that is served; dropping it stops that.
pub(crate) struct Serving {
    url: String,
    _keep: Keep,
    _folder: Folder,
}

#[expect(dead_code, reason = "kept to be dropped")]
enum Keep {
    Daemon(Daemon, Port),
    Here(stock::Serving),
}

impl Serving {
    /// The URL of a target.
    pub(crate) fn url(&self, target: &str) -> String {
        format!("{}{target}", self.url)
    }
}
