//! The checks, in the order in which a mistake is found soonest.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::component::{self, Build};
use crate::console::{self, Console};
use crate::workspace::{self, Workspace};
use crate::{dependencies, fuzz, interop, paths, semver};

/// Runs every check until one fails, and tells what each took.
pub(crate) fn run(workspace: &Workspace, console: &Console) -> Result<()> {
    let begun = Instant::now();
    let mut taken = Vec::new();
    let result = CHECKS.iter().try_for_each(|(name, check)| {
        let begun = Instant::now();
        let result = console.step(name, || check(workspace, console));
        taken.push((*name, begun.elapsed(), result.is_ok()));
        result
    });
    summary(&taken, begun.elapsed(), console);
    result
}

/// Runs the demo with the component that was built.
pub(crate) fn demo(workspace: &Workspace) -> Result<()> {
    workspace::run(&mut workspace.cargo(["run", "--package", "urlpool-cli", "--", "demo"]))
}

/// Holds the component that was built to every hostile server there is; `args` go to the program that does.
pub(crate) fn sweep(args: &[String], workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo(["run", "--package", "urlpool-cli", "--", "conform", "--sweep"]);
    workspace::run(cargo.args(args))
}

/// Runs all tests natively, those of the component that was built included, but for what needs other people's programs.
///
/// With `args`, which go to cargo, only those of them that embed the engine.
pub(crate) fn test(args: &[String], workspace: &Workspace) -> Result<()> {
    let mut engine = workspace.cargo(["test", "--workspace"]);
    for package in ELSEWHERE.iter().chain(&APART) {
        engine.args(["--exclude", package]);
    }
    workspace::run(engine.args(args))?;
    if args.is_empty() {
        let mut apart = workspace.cargo(["test"]);
        for package in APART {
            apart.args(["--package", package]);
        }
        workspace::run(&mut apart)?;
    }
    Ok(())
}

/// Packages without native tests, or whose clients would be built for a handful of tests of arithmetic; clippy sees to it that
/// they compile.
const ELSEWHERE: [&str; 9] = [
    "example-caller",
    "urlpool-bench",
    "urlpool-compare",
    "urlpool-compare-reqwest",
    "urlpool-component",
    "urlpool-guest-client",
    "urlpool-guest-p3",
    "urlpool-guest-p3-app",
    "urlpool-interop",
];

/// Packages that do without the engine, and turn features on of what they share with it or with the program. Built in one go
/// with those that embed the engine, they would make `cargo run --package urlpool-cli` build it, or the program, a second time.
const APART: [&str; 6] = ["example-edge", "example-feed", "urlpool", "urlpool-core", "urlpool-fuzz", "xtask"];

type Check = fn(&Workspace, &Console) -> Result<()>;

// What needs no compiler first, then what only checks, then what runs. Clippy and rustdoc read the
// same metadata of the dependencies; the tests, the demo and the measure share the code built from them.
const CHECKS: [(&str, Check); 13] = [
    ("formatting", |workspace, _| workspace::run(&mut workspace.cargo(["fmt", "--all", "--check"]))),
    ("paths", paths::check),
    ("dependencies", dependencies::check),
    ("semver", semver::check),
    ("component", |workspace, console| {
        component::build(&Build::default(), workspace, console)?;
        component::build_guests(workspace, console)
    }),
    ("clippy", |workspace, _| {
        workspace::run(&mut workspace.cargo(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    }),
    ("core without features", |workspace, _| {
        workspace::run(&mut workspace.cargo([
            "clippy",
            "--package",
            "urlpool-core",
            "--no-default-features",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ]))
    }),
    ("docs", |workspace, _| {
        let mut cargo = workspace.cargo(["doc", "--workspace", "--no-deps"]);
        workspace::run(cargo.env("RUSTDOCFLAGS", "--deny warnings"))
    }),
    ("tests", |workspace, _| test(&[], workspace)),
    ("sweep", |workspace, _| sweep(&["--seed".to_owned(), "1".to_owned()], workspace)),
    ("fuzzing", |workspace, console| {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        fuzz::run(&fuzz::Options { seconds: 3, jobs, ..fuzz::Options::default() }, workspace, console)
    }),
    ("interop", |workspace, console| interop::run(&[], workspace, console)),
    ("demo", |workspace, _| {
        demo(workspace)?;
        component::measure(workspace)
    }),
];

fn summary(taken: &[(&str, Duration, bool)], total: Duration, console: &Console) {
    eprintln!();
    for (name, time, passed) in taken {
        console.line(*passed, &format!("{name:<24}{:>12}", console::seconds(*time)));
    }
    for (name, _) in &CHECKS[taken.len()..] {
        eprintln!("  -   {name:<24}     not run");
    }
    let passed = taken.iter().all(|(_, _, passed)| *passed);
    console.line(passed, &format!("{:<24}{:>12}", "all", console::seconds(total)));
}
