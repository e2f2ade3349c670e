//! A program that is run to its end.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::folder::Folder;
use crate::group::Group;
use crate::need::Need;

/// What came of a program.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether its status says so.
    pub(crate) success: bool,
    /// What it wrote to its standard output.
    pub(crate) stdout: String,
    /// What it wrote to its standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// Both outputs, for a message.
    pub(crate) fn all(&self) -> String {
        format!("{}\n{}", self.stderr.trim(), self.stdout.trim())
    }
}

/// A call of a program that a check needs.
pub(crate) fn of(need: Need) -> Result<Command> {
    let file = need.find().with_context(|| need.to_string())?;
    let mut command = Command::new(&file);
    if let Some(folder) = file.parent() {
        // The interpreter of a script is the one beside it, where there is one: jco brings its Node.
        command.env("PATH", first_on_path(folder)?);
    }
    Ok(command)
}

/// Runs it in a folder, and stops it when nobody waits any more.
pub(crate) async fn finish(mut command: Command, folder: &Folder) -> Result<Ended> {
    // Files, as a pipe that nobody empties stops whoever writes.
    let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
    let open = |path: &Path| File::create(path).with_context(|| path.display().to_string());
    command.current_dir(folder.path()).stdin(Stdio::null()).stdout(open(&stdout)?).stderr(open(&stderr)?);
    let running =
        Group::spawn(&mut command).with_context(|| format!("{:?}: cannot be started", command.get_program()))?;
    // A process tells its end to nobody but those who ask, and asking must not block what else goes on here.
    let status = loop {
        match running.ended()? {
            Some(status) => break status,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let read = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Ended { success: status.success(), stdout: read(&stdout)?, stderr: read(&stderr)? })
}

fn first_on_path(folder: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}
