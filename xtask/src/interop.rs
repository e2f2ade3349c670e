//! The outside proof: installs other people's programs and runs the checks of `interop/` against them.

use anyhow::Result;

use crate::console::Console;
use crate::packages;
use crate::workspace::{self, Workspace};

/// Installs what the checks need, as far as it can, and runs those whose names hold one of `filters`, or all.
///
/// # Errors
///
/// When a check fails, and when an install that went well did not bring what it should have. A program that cannot be
/// installed is no error: its checks are skipped, which is told and counted.
pub(crate) fn run(filters: &[String], workspace: &Workspace, console: &Console) -> Result<()> {
    packages::install_for(INTEROP, workspace, console)?;
    let mut cargo = workspace.cargo(["run", "--quiet", "--package", INTEROP, "--"]);
    workspace::run(cargo.args(filters))
}

const INTEROP: &str = "urlpool-interop";
