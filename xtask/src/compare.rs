//! The comparison: installs other clients and plays the cases of `compare/` to them and to ours.

use anyhow::Result;

use crate::console::Console;
use crate::packages;
use crate::workspace::{self, Workspace};

/// Plays the cases whose names hold one of `filters`, or all of them, and then writes the tables.
///
/// # Errors
///
/// When ours does something wrong. A client that cannot be installed is no error, but the tables are left as they are.
pub(crate) fn run(filters: &[String], workspace: &Workspace, console: &Console) -> Result<()> {
    workspace::run(&mut workspace.cargo(["build", "--package", COMPARE]))?;
    packages::install_for(COMPARE, workspace, console)?;
    // A program of its own, as the others are, which the comparison starts through cargo.
    workspace::run(&mut workspace.cargo(["build", "--package", "urlpool-compare-reqwest"]))?;
    let mut cargo = workspace.cargo(["run", "--quiet", "--package", COMPARE, "--"]);
    workspace::run(cargo.args(filters))
}

const COMPARE: &str = "urlpool-compare";
