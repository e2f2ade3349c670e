//! The outside proof: installs other people's programs and runs the checks of `interop/` against them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::console::Console;
use crate::debian;
use crate::workspace::{self, Workspace};

/// Installs what the checks need, as far as it can, and runs those whose names hold one of `filters`, or all.
///
/// # Errors
///
/// When a check fails, and when an install that went well did not bring what it should have. A program that cannot be
/// installed is no error: its checks are skipped, which is told and counted.
pub(crate) fn run(filters: &[String], workspace: &Workspace, console: &Console) -> Result<()> {
    install(workspace, console)?;
    let mut cargo = workspace.cargo(["run", "--quiet", "--package", "urlpool-interop", "--"]);
    workspace::run(cargo.args(filters))
}

fn install(workspace: &Workspace, console: &Console) -> Result<()> {
    let packages = missing(workspace)?;
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !debian::can_install() {
        console.warn(&format!(
            "the checks that need them are skipped, as only root can install packages of Debian: {list}\n\
             \x20            by hand: apt-get install --no-install-recommends {list}"
        ));
        return Ok(());
    }
    console.note(&format!("installing {list}"));
    let services = QuietServices::begin(&packages)?;
    let installed = debian::install(&packages);
    drop(services);
    if !installed {
        console.warn(&format!("the checks that need them are skipped, as they could not be installed: {list}"));
        return Ok(());
    }
    let missing = missing(workspace)?;
    if !missing.is_empty() {
        bail!("installed, but without the program that was wanted: {}", missing.join(" "));
    }
    Ok(())
}

/// The packages that the checks miss, as they themselves tell.
fn missing(workspace: &Workspace) -> Result<Vec<String>> {
    let told = workspace::output(&mut workspace.cargo([
        "run",
        "--quiet",
        "--package",
        "urlpool-interop",
        "--",
        "--packages",
    ]))?;
    Ok(told.lines().map(str::to_owned).collect())
}

/// While this lives, Debian does not start the services that it installs, nor does it start them with the machine later:
/// what they would serve, on ports that may be in use, is not what the checks want.
struct QuietServices<'a> {
    packages: &'a [String],
    // None where the machine has a policy of its own, which is left as it is.
    policy: Option<&'static Path>,
}

impl<'a> QuietServices<'a> {
    fn begin(packages: &'a [String]) -> Result<Self> {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self { packages, policy: None });
        }
        // The script is asked before each action, and 101 forbids it: invoke-rc.d(8).
        std::fs::write(policy, "#!/bin/sh\nexit 101\n").with_context(|| policy.display().to_string())?;
        let quiet = Self { packages, policy: Some(policy) };
        workspace::run(Command::new("chmod").arg("755").arg(policy))?;
        Ok(quiet)
    }
}

impl Drop for QuietServices<'_> {
    fn drop(&mut self) {
        // Where there is no systemd, nothing starts them.
        for (package, service) in SERVICES {
            if self.packages.iter().any(|installed| installed == package) {
                debian::works("systemctl", &["disable", service]);
            }
        }
        // Left behind it would keep every later service from starting, so it is worth a word.
        if let Some(policy) = self.policy
            && let Err(error) = std::fs::remove_file(policy)
        {
            eprintln!("{}: cannot be removed: {error}", policy.display());
        }
    }
}

/// The packages that bring a service, and its name.
const SERVICES: [(&str, &str); 2] = [("nginx-light", "nginx"), ("haproxy", "haproxy")];
