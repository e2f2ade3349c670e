//! The bench and the soak: what they need is built here, and they run in a program of their own.

use std::process::Command;

use anyhow::Result;

use crate::component::{self, Build};
use crate::console::Console;
use crate::toolchain::{Target, Toolchain};
use crate::workspace::{self, Workspace};

/// Measures all contenders; `args` go to the harness.
pub(crate) fn run(args: &[String], workspace: &Workspace, console: &Console) -> Result<()> {
    let mut options = vec!["run".to_owned(), "--out".to_owned(), "benches/results".to_owned()];
    if wants("size", args) {
        for size in console.step("sizes", || sizes(workspace, console))? {
            options.extend(["--size".to_owned(), size]);
        }
    }
    if wants("headline", args)
        && let Some(python) = console.step("urllib3", || Ok(python(workspace, console)))?
    {
        options.extend(["--python".to_owned(), python]);
    }
    harness("bench", options, args, workspace, console)
}

/// Makes very many requests; `args` go to the harness.
pub(crate) fn soak(args: &[String], workspace: &Workspace, console: &Console) -> Result<()> {
    harness("soak", vec!["soak".to_owned()], args, workspace, console)
}

fn harness(
    name: &str,
    mut options: Vec<String>,
    args: &[String],
    workspace: &Workspace,
    console: &Console,
) -> Result<()> {
    console.step("component", || component::build(&Build::default(), workspace, console))?;
    console.step("guests", || guests(workspace, console))?;
    options.extend(["--component".to_owned(), Build::default().file().to_owned()]);
    options.extend(["--guests".to_owned(), format!("{GUESTS}/{}/release", Target::Wasi.name())]);
    options.extend_from_slice(args);
    let build = ["build", "--release", "--package", "urlpool-bench"];
    console.step("harness", || workspace::run(&mut workspace.cargo(build)))?;
    let run = ["run", "--quiet", "--release", "--package", "urlpool-bench", "--"];
    let arguments = run.into_iter().chain(options.iter().map(String::as_str));
    console.step(name, || workspace::run(&mut workspace.cargo(arguments)))
}

/// Whether the rows hold this group. What takes long to prepare is left out of a quick run, unless asked for.
fn wants(group: &str, args: &[String]) -> bool {
    let mut after = args.iter().skip_while(|arg| *arg != "--rows").skip(1);
    let list = args.iter().find_map(|arg| arg.strip_prefix("--rows=")).or_else(|| after.next().map(String::as_str));
    match list {
        Some(list) => list.split(',').any(|name| name == group),
        None => group != "size" || !args.iter().any(|arg| arg == "--quick"),
    }
}

/// The guests of other libraries, and ours before it is composed.
fn guests(workspace: &Workspace, console: &Console) -> Result<()> {
    let toolchain = Toolchain::find(Target::Wasi, workspace, console)?;
    let manifest = "benches/guests/Cargo.toml";
    let args = ["--manifest-path", manifest, "--release", "--locked", "--target-dir", GUESTS];
    workspace::run(&mut toolchain.build(&args, workspace))
}

const GUESTS: &str = "target/bench-guests";

/// The size of the component without any feature, with each alone, and with all, as NAME=BYTES.
fn sizes(workspace: &Workspace, console: &Console) -> Result<Vec<String>> {
    let bare = || Build { no_default_features: true, features: Vec::new() };
    let mut builds = vec![("none".to_owned(), bare())];
    for feature in ["gzip", "deflate", "br", "zstd", "charset"] {
        builds.push((feature.to_owned(), Build { features: vec![feature.to_owned()], ..bare() }));
    }
    builds.push(("all".to_owned(), Build::default()));
    let size = |(name, build): (String, Build)| Ok(format!("{name}={}", component::build(&build, workspace, console)?));
    builds.into_iter().map(size).collect()
}

/// A Python with urllib3 in a folder of its own; none where that cannot be had, which is told.
fn python(workspace: &Workspace, console: &Console) -> Option<String> {
    let python = format!("{VENV}/bin/python");
    let call = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).current_dir(workspace.root());
        workspace::output(&mut command)
    };
    let has_urllib3 = || call(&python, &["-c", "import urllib3; assert urllib3.__version__.startswith('2.')"]);
    if has_urllib3().is_ok() {
        return Some(python);
    }
    let made = call("python3", &["-m", "venv", VENV])
        .and_then(|_| call(&python, &["-m", "pip", "install", "--quiet", "urllib3>=2,<3"]))
        .and_then(|_| has_urllib3());
    match made {
        Ok(_) => Some(python),
        Err(error) => {
            console.warn(&format!("urllib3 is left out: {error:#}"));
            None
        }
    }
}

const VENV: &str = "target/bench-venv";

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_a_group_needs_is_prepared_only_for_it() {
        assert!(wants("size", &args("")));
        assert!(wants("headline", &args("--quick")));
        assert!(wants("size", &args("--rows small,size --quick")));
        assert!(wants("size", &args("--rows=size")));
        assert!(!wants("size", &args("--quick")));
        assert!(!wants("headline", &args("--rows small")));
    }
}
