//! What a component may see of the machine.

use crate::error::Error;
use std::path::{Path, PathBuf};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// What a component may see of the machine, besides what it asks of `wasi:http`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Grants {
    args: Vec<String>,
    env: Vec<(String, String)>,
    folders: Vec<(PathBuf, String)>,
    stdin: bool,
    output: bool,
}

impl Grants {
    /// No arguments, environment, folders or standard streams.
    pub fn none() -> Self {
        Self::default()
    }

    /// A further argument; the first is the name of the program.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A folder that it may read and change, and how it knows that folder.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`] when there is no such folder.
    pub fn folder(mut self, folder: &Path, known_as: &str) -> Result<Self, Error> {
        self.folders.push((folder.to_owned(), known_as.to_owned()));
        self.wasi()?;
        Ok(self)
    }

    /// The standard streams of this process.
    pub fn inherit_stdio(self) -> Self {
        Self { stdin: true, ..self.inherit_output() }
    }

    /// The standard output and error of this process.
    pub fn inherit_output(self) -> Self {
        Self { output: true, ..self }
    }

    /// The same for wasmtime.
    pub(crate) fn wasi(&self) -> Result<WasiCtxBuilder, Error> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.args(&self.args).envs(&self.env);
        for (folder, known_as) in &self.folders {
            wasi.preopened_dir(folder, known_as, FsPerms::ReadWrite)
                .map_err(|error| Error::Folder(folder.display().to_string(), error))?;
        }
        if self.stdin {
            wasi.inherit_stdin();
        }
        if self.output {
            wasi.inherit_stdout().inherit_stderr();
        }
        Ok(wasi)
    }
}
