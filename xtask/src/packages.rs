//! Installs what programs of other people need: packages of Debian, and the sets of Python's and Node's packages that are
//! pinned in the tree.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use urlpool_packages::{Kind, Set};

use crate::console::Console;
use crate::debian;
use crate::workspace::{self, Workspace};

/// Installs what the program of `package` lacks, which was built before, as far as it can.
///
/// It is one of ours that tells so by `--missing`: `debian PACKAGE` or `set NAME` on each line.
///
/// # Errors
///
/// When an install that went well did not bring what it should have. What cannot be installed is no error: whoever needs it
/// is skipped, which is told here and counted there.
pub(crate) fn install_for(package: &str, workspace: &Workspace, console: &Console) -> Result<()> {
    let missing = missing(package, workspace)?;
    let mut installed = Vec::new();
    let packages: Vec<_> = missing.iter().filter_map(|line| line.strip_prefix("debian ")).collect();
    if install_debian(&packages, console)? {
        installed.extend(packages.iter().map(|package| format!("debian {package}")));
    }
    for name in missing.iter().filter_map(|line| line.strip_prefix("set ")) {
        let set = Set::named(name).with_context(|| format!("{package} wants the set {name}, which is none"))?;
        if install_set(set, console)? {
            installed.push(format!("set {name}"));
        }
    }
    if installed.is_empty() {
        return Ok(());
    }
    let still: Vec<_> =
        self::missing(package, workspace)?.into_iter().filter(|line| installed.contains(line)).collect();
    if !still.is_empty() {
        bail!("installed, but without the program that was wanted: {}", still.join(", "));
    }
    Ok(())
}

/// What it lacks, as it tells itself. Not by `cargo run`, which may choose other features than what was built, and build that anew.
fn missing(package: &str, workspace: &Workspace) -> Result<Vec<String>> {
    let mut program = Command::new(workspace.join("target/debug").join(package));
    let told = workspace::output(program.arg("--missing").current_dir(workspace.root()))?;
    Ok(told.lines().map(str::to_owned).collect())
}

/// Installs packages of Debian; returns whether they are there.
fn install_debian(packages: &[&str], console: &Console) -> Result<bool> {
    if packages.is_empty() {
        return Ok(false);
    }
    let list = packages.join(" ");
    if !debian::can_install() {
        console.warn(&format!(
            "what needs them is skipped, as only root can install packages of Debian: {list}\n\
             \x20            by hand: apt-get install --no-install-recommends {list}"
        ));
        return Ok(false);
    }
    console.note(&format!("installing {list}"));
    let services = QuietServices::begin(packages)?;
    let installed = debian::install(packages);
    drop(services);
    if !installed {
        console.warn(&format!("what needs them is skipped, as they could not be installed: {list}"));
    }
    Ok(installed)
}

/// Installs a set from its pins, in place of one from other pins; returns whether it is there.
fn install_set(set: Set, console: &Console) -> Result<bool> {
    let name = set.name();
    let Some(interpreter) = set.kind().interpreter() else {
        console.warn(&format!("what needs the set {name} is skipped, as it needs {}", set.kind().wants()));
        return Ok(false);
    };
    console.note(&format!("installing the set {name}"));
    let folder = set.folder();
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let done = match set.kind() {
        Kind::Python => python(&interpreter, set),
        Kind::Node => node(set),
    };
    if let Err(error) = done {
        console.warn(&format!("what needs the set {name} is skipped, as it could not be installed: {error:#}"));
        return Ok(false);
    }
    set.mark_installed().with_context(|| format!("set {name}"))?;
    Ok(true)
}

fn python(interpreter: &Path, set: Set) -> Result<()> {
    let folder = set.folder();
    quietly(Command::new(interpreter).args(["-m", "venv"]).arg(&folder))?;
    // Whatever a package depends on is pinned beside it. An archive out of reach is given up after a minute, not several.
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    pip.args(["--retries", "2", "--timeout", "20", "--requirement"]).arg(set.pins());
    quietly(&mut pip)
}

fn node(set: Set) -> Result<()> {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(set.source().join(file), set.folder().join(file)).with_context(|| file.to_owned())?;
    }
    // The lock holds a digest of each package; a package's own scripts have no business here.
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]);
    npm.args(["--fetch-retries=2", "--fetch-retry-maxtimeout=10000"]).current_dir(set.folder());
    quietly(&mut npm)
}

/// Runs it to its end; what it prints is told when it fails.
fn quietly(command: &mut Command) -> Result<()> {
    workspace::output(command.stdin(Stdio::null())).map(drop)
}

/// While this lives, Debian does not start the services that it installs, nor does it start them with the machine later:
/// what they would serve, on ports that may be in use, is not what the checks want.
struct QuietServices<'a> {
    packages: &'a [&'a str],
    // None where the machine has a policy of its own, which is left as it is.
    policy: Option<&'static Path>,
}

impl<'a> QuietServices<'a> {
    fn begin(packages: &'a [&'a str]) -> Result<Self> {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self { packages, policy: None });
        }
        // The script is asked before each action, and 101 forbids it: invoke-rc.d(8).
        fs::write(policy, "#!/bin/sh\nexit 101\n").with_context(|| policy.display().to_string())?;
        let quiet = Self { packages, policy: Some(policy) };
        workspace::run(Command::new("chmod").arg("755").arg(policy))?;
        Ok(quiet)
    }
}

impl Drop for QuietServices<'_> {
    fn drop(&mut self) {
        // Where there is no systemd, nothing starts them.
        for (package, service) in SERVICES {
            if self.packages.contains(&package) {
                debian::works("systemctl", &["disable", service]);
            }
        }
        // Left behind it would keep every later service from starting, so it is worth a word.
        if let Some(policy) = self.policy
            && let Err(error) = fs::remove_file(policy)
        {
            eprintln!("{}: cannot be removed: {error}", policy.display());
        }
    }
}

/// The packages that bring a service, and its name.
const SERVICES: [(&str, &str); 2] = [("nginx-light", "nginx"), ("haproxy", "haproxy")];
