//! Set-up, the wasm build and the checks of urlpool: `cargo xtask help`.
//!
//! Depends on no wasmtime, so that it is built in a minute on a fresh machine.

mod bench;
mod ci;
mod compare;
mod component;
mod console;
mod debian;
mod dependencies;
mod dist;
mod fuzz;
mod interop;
mod licence;
mod packages;
mod paths;
mod semver;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::component::Build;
use crate::console::Console;
use crate::workspace::{Failed, Workspace};

const HELP: &str = "\
The tasks of urlpool. Each sets up what it needs, the wasm target included.

Usage: cargo xtask COMMAND

Commands:
  demo            Build everything and show what urlpool does, on a loopback server
  test [-- ARGS]  Run all tests; ARGS go to cargo test, such as `-- --test suite`
  sweep [ARGS]    Send requests to every hostile server there is, generated; ARGS go to
                  `urlpool conform --sweep`, such as `--seed 7`
  interop [NAME]  Install servers of other people and run the checks against them, or those
                  whose names hold NAME; with --with-wasmtime, build wasmtime's command for them
  compare [NAME]  Play awkward servers to urlpool and to other clients, and write the tables of who
                  does what is right; or only the cases whose names hold NAME, and write nothing
  fuzz [TARGET]   Try core with inputs that look for a panic or a broken promise: ten seconds of
                  each target, or of those named
  component       Build target/component/urlpool.wasm, and the guests that tests run beside it;
                  print its size and how long instantiating it takes
  bench           Measure urlpool beside native clients and other guest libraries
  soak            Make a million requests; fail when memory, sockets or tables have grown
  ci              Run every check, the cheap ones first; stop at the first that fails
  help            Show this

Single checks of ci:
  paths           No tracked file holds an absolute path of a machine
  dependencies    Licences and sources of all dependencies, by deny.toml
  semver          The WIT package fits the one released last

For a release:
  dist [--no-program]
                  Build everything that is handed out into target/dist: the component with each set of
                  features, the WIT package, the program, checksums and a manifest; print the sizes
  release-wit     Keep a copy of wit/ as the released version it names

Options of fuzz:
  --list                  List the targets
  --seconds N             How long each runs; by default 10
  --jobs N                How many run at a time; by default 1
  --random                Random inputs instead of libFuzzer, as where no compiler of C++ is
  --replay FILE           Try the target with this file, and show what it does
  --add FILE              Keep this file as a seed of the target
  --keep                  Afterwards, keep as seeds what reached new code

Options of bench:
  --quick                 Less work in fewer rounds, in about a minute; written to
                          benches/results/quick.* instead of latest.*
  --rows LIST             Only these: headline, multiplexed, small, bodies, streams, start, size,
                          in-flight, origins, connections
  --rounds N              How often each contender does the work of a row
  --only LIST             Only contenders whose names hold one of these

Options of soak:
  --requests N            How many requests
  --instances N           In how many instances, side by side; by default one

Options of both:
  --runtime current|multi     The runtime of tokio; by default one thread
  --concurrency-support       Call guests by the machinery of WASI 0.3
  --pooling-allocator         Take the memory of guests from a pool
  --perf-map                  Name the code of guests for `perf`

Options of component:
  --no-measure            Do not instantiate it
  --no-default-features   Build without the decoders and charsets ...
  --features LIST         ... except these: gzip, deflate, br, zstd, charset. With either option
                          the result is target/component/urlpool-custom.wasm, not measured
";

fn main() -> ExitCode {
    let console = Console::for_stderr();
    let Err(error) = run(&console) else {
        return ExitCode::SUCCESS;
    };
    console.error(&format!("{error:#}"));
    match error.downcast_ref::<Failed>() {
        Some(failed) => ExitCode::from(failed.status),
        None if error.is::<Usage>() => ExitCode::from(2),
        None => ExitCode::FAILURE,
    }
}

fn run(console: &Console) -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    if rest.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    let workspace = Workspace::find()?;
    match command {
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        "component" => component::run(&component_options(rest)?, &workspace, console),
        "demo" => {
            no_arguments(command, rest)?;
            build_component(&workspace, console)?;
            console.step("demo", || ci::demo(&workspace))
        }
        "test" => {
            let passed_on = match rest.split_first() {
                None => &[][..],
                Some((dashes, passed_on)) if dashes == "--" => passed_on,
                Some((first, _)) => bail!(Usage(format!("test: `{first}`: arguments for cargo test go behind `--`"))),
            };
            build_component(&workspace, console)?;
            console.step("guests of the tests", || component::build_guests(&workspace, console))?;
            console.step("tests", || ci::test(passed_on, &workspace))
        }
        "sweep" => {
            build_component(&workspace, console)?;
            console.step("sweep", || ci::sweep(rest, &workspace))
        }
        "interop" => {
            build_component(&workspace, console)?;
            console.step("interop", || interop::run(rest, &workspace, console))
        }
        "dist" => dist::run(&dist_options(rest)?, &workspace, console),
        "compare" => {
            build_component(&workspace, console)?;
            console.step("compare", || compare::run(rest, &workspace, console))
        }
        "fuzz" => fuzz::run(&fuzz_options(rest)?, &workspace, console),
        "bench" => bench::run(rest, &workspace, console),
        "soak" => bench::soak(rest, &workspace, console),
        "ci" => {
            no_arguments(command, rest)?;
            ci::run(&workspace, console)
        }
        "paths" => {
            no_arguments(command, rest)?;
            console.step("paths", || paths::check(&workspace, console))
        }
        "dependencies" => {
            no_arguments(command, rest)?;
            console.step("dependencies", || dependencies::check(&workspace, console))
        }
        "semver" => {
            no_arguments(command, rest)?;
            console.step("semver", || semver::check(&workspace, console))
        }
        "release-wit" => {
            no_arguments(command, rest)?;
            semver::release(&workspace, console)
        }
        unknown => bail!(Usage(format!("`{unknown}` is no command; `cargo xtask help` lists them"))),
    }
}

/// Arguments that make no sense.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn build_component(workspace: &Workspace, console: &Console) -> Result<()> {
    console.step("component", || component::build(&Build::default(), workspace, console))?;
    Ok(())
}

fn component_options(args: &[String]) -> Result<component::Options> {
    let mut options = component::Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--no-measure" {
            options.measure = false;
        } else if arg == "--no-default-features" {
            options.build.no_default_features = true;
        } else if arg == "--features" {
            let Some(list) = args.next() else {
                bail!(Usage("component: `--features` wants a list".to_owned()));
            };
            options.build.features.push(list.clone());
        } else if let Some(list) = arg.strip_prefix("--features=") {
            options.build.features.push(list.to_owned());
        } else {
            bail!(Usage(format!("component: `{arg}` is no option; see `cargo xtask help`")));
        }
    }
    Ok(options)
}

fn dist_options(args: &[String]) -> Result<dist::Options> {
    let mut options = dist::Options::default();
    for arg in args {
        match arg.as_str() {
            "--no-program" => options.program = false,
            _ => bail!(Usage(format!("dist: `{arg}` is no option; see `cargo xtask help`"))),
        }
    }
    Ok(options)
}

fn fuzz_options(args: &[String]) -> Result<fuzz::Options> {
    let mut options = fuzz::Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| Usage(format!("fuzz: `{arg}` wants a value")));
        let number = |text: &String| text.parse::<u32>().map_err(|_| Usage(format!("fuzz: `{arg} {text}`: no number")));
        match arg.as_str() {
            "--list" => options.list = true,
            "--random" => options.random = true,
            "--keep" => options.keep = true,
            "--seconds" => options.seconds = u64::from(number(value()?)?),
            "--jobs" => options.jobs = number(value()?)? as usize,
            "--replay" => options.replay.push(value()?.clone()),
            "--add" => options.add.push(value()?.clone()),
            option if option.starts_with('-') => {
                bail!(Usage(format!("fuzz: `{option}` is no option; see `cargo xtask help`")));
            }
            target => options.targets.push(target.to_owned()),
        }
    }
    Ok(options)
}

fn no_arguments(command: &str, args: &[String]) -> Result<()> {
    match args.first() {
        None => Ok(()),
        Some(arg) => bail!(Usage(format!("{command}: `{arg}`: takes no arguments"))),
    }
}
