//! The outside proof: installs other people's programs and runs the checks of `interop/` against them.

use std::process::Command;

use anyhow::Result;

use crate::console::Console;
use crate::packages;
use crate::toolchain::{Target, Toolchain};
use crate::workspace::{self, Workspace};

/// Installs and builds what the checks need, as far as it can, and runs those whose names hold one of `filters`, or all.
///
/// Among the filters, `--with-wasmtime` has the command of wasmtime built, which takes twenty minutes once.
///
/// # Errors
///
/// When a check fails, and when an install that went well did not bring what it should have. A program that cannot be
/// installed is no error: its checks are skipped, which is told and counted.
pub(crate) fn run(filters: &[String], workspace: &Workspace, console: &Console) -> Result<()> {
    let (options, filters): (Vec<_>, Vec<_>) = filters.iter().partition(|filter| *filter == WITH_WASMTIME);
    if !options.is_empty() {
        build_wasmtime(workspace)?;
    }
    build_consumers(workspace, console)?;
    // Together, as the runs of each alone would choose other features of what they share, and build the engine anew.
    let programs = ["--package", INTEROP, "--package", "urlpool-cli", "--package", "example-embedder"];
    workspace::run(workspace.cargo(["build"]).args(programs))?;
    packages::install_for(INTEROP, workspace, console)?;
    let mut checks = Command::new(workspace.join("target/debug").join(INTEROP));
    workspace::run(checks.args(filters).current_dir(workspace.root()))
}

/// The consumers in Rust; those in other languages are built by the checks, with the tools that are installed for them.
fn build_consumers(workspace: &Workspace, console: &Console) -> Result<()> {
    let toolchain = Toolchain::find(Target::Wasi, workspace, console)?;
    let mut args = vec!["--release", "--target-dir", "target/examples"];
    for package in ["example-feed", "example-edge", "example-caller"] {
        args.extend(["--package", package]);
    }
    workspace::run(&mut toolchain.build_programs(&args, workspace))
}

/// The command of wasmtime, of the version that the host is built on, in a folder of its own.
fn build_wasmtime(workspace: &Workspace) -> Result<()> {
    if workspace.join("target/wasmtime/bin/wasmtime").is_file() {
        return Ok(());
    }
    workspace::run(&mut workspace.cargo([
        "install",
        "--locked",
        "wasmtime-cli@48.0.8",
        "--no-default-features",
        "--features",
        "run,serve,cranelift,cache,wasi-http,component-model,component-model-async,parallel-compilation,pooling-allocator",
        "--root",
        "target/wasmtime",
        "--target-dir",
        "target/wasmtime/build",
    ]))
}

const WITH_WASMTIME: &str = "--with-wasmtime";
const INTEROP: &str = "urlpool-interop";
