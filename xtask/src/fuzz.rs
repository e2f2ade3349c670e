//! Fuzzing of core: by libFuzzer where it can be built, by random inputs elsewhere.
//!
//! libFuzzer needs what LLVM inserts to see what an input reaches. Those flags are stable, unlike the sanitizers that
//! `cargo fuzz` adds by default, and which would find little in code without `unsafe`. So any toolchain does, with a compiler of
//! C++ for libFuzzer itself.
//!
//! Longer than 400 lines by its tests.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::console::Console;
use crate::debian::works;
use crate::toolchain;
use crate::workspace::{self, Workspace};

/// How `cargo xtask fuzz` was called.
pub(crate) struct Options {
    /// The targets; none means all.
    pub(crate) targets: Vec<String>,
    /// How long each runs.
    pub(crate) seconds: u64,
    /// How many run at a time.
    pub(crate) jobs: usize,
    /// Whether libFuzzer is left out.
    pub(crate) random: bool,
    /// Whether what this machine has found worth keeping is added to the seeds.
    pub(crate) keep: bool,
    /// Whether the targets are listed, and nothing else.
    pub(crate) list: bool,
    /// Inputs to try once, instead of all that.
    pub(crate) replay: Vec<String>,
    /// Inputs to add to the seeds, before all that.
    pub(crate) add: Vec<String>,
}

/// Ten seconds of each target, one after the other.
impl Default for Options {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            seconds: 10,
            jobs: 1,
            random: false,
            keep: false,
            list: false,
            replay: Vec::new(),
            add: Vec::new(),
        }
    }
}

/// Runs the targets, and prints what came of each.
///
/// # Errors
///
/// When a target has a finding, when it is none that there is, and when nothing can be built.
pub(crate) fn run(options: &Options, workspace: &Workspace, console: &Console) -> Result<()> {
    let all = targets(workspace)?;
    if options.list {
        for (name, subject) in &all {
            println!("{name:<14}{subject}");
        }
        return Ok(());
    }
    if let Some(unknown) = options.targets.iter().find(|wanted| !all.iter().any(|(name, _)| name == *wanted)) {
        bail!("fuzz: `{unknown}`: no target; `cargo xtask fuzz --list` lists them");
    }
    let names = all.into_iter().map(|(name, _)| name);
    let names: Vec<String> =
        names.filter(|name| options.targets.is_empty() || options.targets.contains(name)).collect();

    if !options.add.is_empty() {
        let [name] = &names[..] else { bail!("fuzz: `--add` wants one target") };
        add(name, &options.add, workspace)?;
    }
    let random = options.random || !options.replay.is_empty();
    let fuzzer = console.step("build", || Fuzzer::build(random, &names, workspace, console))?;
    if !options.replay.is_empty() {
        let [name] = &names[..] else { bail!("fuzz: `--replay` wants one target") };
        return workspace::run(workspace.command(&fuzzer.program(name)).arg(name).args(&options.replay));
    }
    let results = fuzz_all(&fuzzer, &names, options, workspace, console)?;
    if options.keep {
        console.step("keep", || names.iter().try_for_each(|name| fuzzer.keep(name, workspace, console)))?;
    }
    summary(&fuzzer, &results, console)
}

/// The names of the targets, and what each tries, as its file says.
fn targets(workspace: &Workspace) -> Result<Vec<(String, String)>> {
    let folder = workspace.join("guest/core/fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let subject = text.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or_default();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        targets.push((name.into_owned(), subject.to_owned()));
    }
    targets.sort_unstable();
    Ok(targets)
}

/// What drives the targets.
enum Fuzzer {
    /// libFuzzer, with a program for each target in this folder.
    LibFuzzer(PathBuf),
    /// Random inputs, by this program.
    Random(PathBuf),
}

impl Fuzzer {
    fn build(random: bool, names: &[String], workspace: &Workspace, console: &Console) -> Result<Self> {
        if random {
            return Self::random(workspace);
        }
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
        if !works(&compiler, &["--version"]) {
            console.warn(&format!("NO LIBFUZZER: there is no compiler of C++ ({compiler}); random inputs instead"));
            return Self::random(workspace);
        }
        match Self::lib_fuzzer(names, workspace) {
            Ok(fuzzer) => Ok(fuzzer),
            Err(error) => {
                console.warn(&format!("NO LIBFUZZER: {error:#}; random inputs instead"));
                Self::random(workspace)
            }
        }
    }

    fn lib_fuzzer(names: &[String], workspace: &Workspace) -> Result<Self> {
        let host = toolchain::host(workspace)?;
        // With a target named, even the host's own, build scripts and macros are built without the flags.
        let mut cargo = workspace.cargo(["build", "--target", &host, "--features", "libfuzzer"]);
        cargo.args(BUILD).args(["--target-dir", LIB_FUZZER]).args(names.iter().flat_map(|name| ["--bin", name]));
        workspace::run(cargo.env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTED.join("\x1f")))?;
        Ok(Self::LibFuzzer(workspace.join(LIB_FUZZER).join(host).join(PROFILE)))
    }

    fn random(workspace: &Workspace) -> Result<Self> {
        let mut cargo = workspace.cargo(["build", "--example", "random"]);
        workspace::run(cargo.args(BUILD).args(["--target-dir", RANDOM]))?;
        Ok(Self::Random(workspace.join(RANDOM).join(PROFILE).join("examples/random")))
    }

    fn program(&self, name: &str) -> PathBuf {
        match self {
            Self::LibFuzzer(folder) => folder.join(name),
            Self::Random(program) => program.clone(),
        }
    }

    /// The command that tries this target for so long; what it finds goes to `findings`.
    fn command(&self, name: &str, seconds: u64, findings: &Path, workspace: &Workspace) -> Command {
        let mut command = workspace.command(&self.program(name));
        match self {
            Self::LibFuzzer(_) => {
                command.arg(corpus(name, workspace)).arg(unpacked(name, workspace));
                command.arg(format!("-max_total_time={seconds}"));
                command.arg(format!("-artifact_prefix={}/", findings.display()));
                // An input that takes half a gigabyte is a finding, and so is one that takes long, on a machine with much else to do.
                command.args(["-timeout=10", "-rss_limit_mb=512", "-print_final_stats=1", "-reload=0"]);
            }
            Self::Random(_) => {
                command.args([name, "--seconds", &seconds.to_string(), "--findings"]).arg(findings);
            }
        }
        command
    }

    /// Adds to the seeds the fewest inputs of this machine's corpus that reach what the seeds do not.
    fn keep(&self, name: &str, workspace: &Workspace, console: &Console) -> Result<()> {
        let Self::LibFuzzer(_) = self else { bail!("fuzz: only libFuzzer knows which inputs are worth keeping") };
        let folder = unpacked(name, workspace);
        let mut merge = workspace.command(&self.program(name));
        // Without counting how often an edge was taken, one input for each edge is added.
        merge.args(["-merge=1", "-use_counters=0"]).args([&folder, &corpus(name, workspace)]);
        workspace::output(&mut merge)?;
        let mut inputs = files(&folder)?.iter().map(std::fs::read).collect::<std::io::Result<Vec<_>>>()?;
        // Short ones first, and in the same order each time.
        inputs.sort_unstable_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
        let lines: String = inputs.iter().map(|input| line(input)).collect();
        std::fs::write(seeds(name, workspace), &lines)?;
        console.note(&format!("{name}: {} seeds of {} bytes", inputs.len(), lines.len() / 2));
        Ok(())
    }
}

/// What every build of the targets has in common.
const BUILD: [&str; 4] = ["--package", "urlpool-fuzz", "--profile", PROFILE];

const PROFILE: &str = "fuzz";

const LIB_FUZZER: &str = "target/fuzz/libfuzzer";

const RANDOM: &str = "target/fuzz/random";

/// What libFuzzer needs to see which code an input reaches, and what it is compared to.
const INSTRUMENTED: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];

/// What came of one target.
struct Ran {
    name: String,
    runs: u64,
    time: Duration,
    finding: Option<String>,
}

/// Runs the targets, as many at a time as is asked for.
fn fuzz_all(
    fuzzer: &Fuzzer,
    names: &[String],
    options: &Options,
    workspace: &Workspace,
    console: &Console,
) -> Result<Vec<Ran>> {
    let (next, results) = (Mutex::new(names.iter()), Mutex::new(Vec::new()));
    let work = || loop {
        let Some(name) = next.lock().ok().and_then(|mut next| next.next()) else { return };
        let result = console.step(name, || fuzz(fuzzer, name, options.seconds, workspace, console));
        if let Ok(mut results) = results.lock() {
            results.push(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(work);
        }
    });
    let mut results: Vec<Ran> = results.into_inner().unwrap_or_default().into_iter().collect::<Result<_>>()?;
    results.sort_by_key(|ran| names.iter().position(|name| *name == ran.name));
    Ok(results)
}

/// Runs one target, and tells how far it is: on a terminal every second, elsewhere every minute.
fn fuzz(fuzzer: &Fuzzer, name: &str, seconds: u64, workspace: &Workspace, console: &Console) -> Result<Ran> {
    let findings = workspace.join("target/fuzz/findings").join(name);
    unpack(name, workspace)?;
    for folder in [&findings, &corpus(name, workspace), &workspace.join("target/fuzz/logs")] {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let log = workspace.join("target/fuzz/logs").join(format!("{name}.log"));
    let written = File::create(&log).with_context(|| log.display().to_string())?;
    let mut command = fuzzer.command(name, seconds, &findings, workspace);
    command.stdout(written.try_clone()?).stderr(written);
    let begun = Instant::now();
    let mut child = Running(command.spawn().with_context(|| format!("{name}: cannot be started"))?);
    let live = std::io::stderr().is_terminal();
    let mut told = 0;
    let good = loop {
        if let Some(status) = child.0.try_wait()? {
            break status.success();
        }
        std::thread::sleep(Duration::from_millis(100));
        let passed = begun.elapsed().as_secs();
        if passed >= told + if live { 1 } else { 60 } {
            told = passed;
            let line = format!("    {name}: {passed} of {seconds} s, {} runs", runs(&std::fs::read_to_string(&log)?));
            match live {
                true => {
                    eprint!("{line}\r");
                    std::io::stderr().flush()?;
                }
                false => eprintln!("{line}"),
            }
        }
    };
    let text = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    let finding = (!good).then(|| {
        let panic = text.lines().skip_while(|line| !line.contains("panicked at")).take(4);
        panic.for_each(|line| console.note(&line.chars().take(200).collect::<String>()));
        let file = text.lines().rev().find_map(|line| {
            line.strip_prefix("finding ").or_else(|| Some(line.split_once("Test unit written to ")?.1))
        });
        file.map_or_else(|| format!("see {}", log.display()), str::to_owned)
    });
    Ok(Ran { name: name.to_owned(), runs: runs(&text), time: begun.elapsed(), finding })
}

/// A child that does not outlive what waits for it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        if self.0.kill().is_ok() {
            let _ended = self.0.wait();
        }
    }
}

/// The number of runs that the log of either fuzzer tells last.
fn runs(log: &str) -> u64 {
    let number = |line: &str| {
        let rest = line.strip_prefix("runs ").or_else(|| line.strip_prefix('#'));
        let rest = rest.or_else(|| line.strip_prefix("stat::number_of_executed_units:"))?;
        rest.split_whitespace().next()?.parse().ok()
    };
    log.lines().rev().find_map(number).unwrap_or_default()
}

/// The kept inputs: a line of hexadecimal digits for each, as there are many and most have few bytes.
fn seeds(name: &str, workspace: &Workspace) -> PathBuf {
    workspace.join("guest/core/fuzz/seeds").join(name).with_extension("hex")
}

/// Where the seeds are files, as libFuzzer wants them.
fn unpacked(name: &str, workspace: &Workspace) -> PathBuf {
    workspace.join("target/fuzz/seeds").join(name)
}

fn unpack(name: &str, workspace: &Workspace) -> Result<()> {
    let (packed, folder) = (seeds(name, workspace), unpacked(name, workspace));
    empty(&folder)?;
    let text = std::fs::read_to_string(&packed).with_context(|| packed.display().to_string())?;
    for (place, line) in text.lines().enumerate() {
        let input = bytes(line).with_context(|| format!("{}:{}: no seed", packed.display(), place + 1))?;
        std::fs::write(folder.join(place.to_string()), input)?;
    }
    Ok(())
}

/// Appends these files to the seeds.
fn add(name: &str, files: &[String], workspace: &Workspace) -> Result<()> {
    let packed = seeds(name, workspace);
    let mut text = std::fs::read_to_string(&packed).with_context(|| packed.display().to_string())?;
    for file in files {
        text.push_str(&line(&std::fs::read(file).with_context(|| file.clone())?));
    }
    Ok(std::fs::write(&packed, text)?)
}

fn line(input: &[u8]) -> String {
    let digits = input.iter().map(|byte| format!("{byte:02x}"));
    digits.chain(std::iter::once("\n".to_owned())).collect()
}

fn bytes(line: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = line.as_bytes().as_chunks::<2>();
    // `from_str_radix` alone would take a sign.
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |&[high, low]: &[u8; 2]| Some((digit(high)? << 4 | digit(low)?) as u8);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// What libFuzzer found worth keeping on this machine.
fn corpus(name: &str, workspace: &Workspace) -> PathBuf {
    workspace.join("target/fuzz/corpus").join(name)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder.read_dir().with_context(|| folder.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn empty(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    files(folder)?.iter().try_for_each(|file| std::fs::remove_file(file).with_context(|| file.display().to_string()))
}

fn summary(fuzzer: &Fuzzer, results: &[Ran], console: &Console) -> Result<()> {
    eprintln!();
    for ran in results {
        let rate = ran.runs as f64 / ran.time.as_secs_f64();
        let finding = ran
            .finding
            .as_deref()
            .map_or("no finding".to_owned(), |file| format!("FINDING; cargo xtask fuzz {} --replay {file}", ran.name));
        let line = format!("{:<14}{:>12} runs{rate:>10.0}/s   {finding}", ran.name, ran.runs);
        console.line(ran.finding.is_none(), &line);
    }
    match fuzzer {
        Fuzzer::LibFuzzer(_) => console.note("by libFuzzer"),
        Fuzzer::Random(_) => console.warn("by random inputs alone, which reach less than libFuzzer does"),
    }
    let findings = results.iter().filter(|ran| ran.finding.is_some()).count();
    if findings > 0 {
        bail!("{findings} of {} targets have a finding", results.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_line_of_digits() {
        assert_eq!(line(&[0, 0xab, 9]), "00ab09\n");
        assert_eq!(bytes("00ab09"), Some(vec![0, 0xab, 9]));
        assert_eq!(bytes(""), Some(Vec::new()));
        assert_eq!((bytes("0"), bytes("0x"), bytes("+1")), (None, None, None));
    }

    #[test]
    fn the_last_number_of_runs_counts() {
        assert_eq!(runs("INFO: x\n#2\tINITED cov: 3\n#16384\tpulse  cov: 9\n"), 16384);
        assert_eq!(runs("#7\tNEW\nstat::number_of_executed_units: 4242\nstat::x: 1\n"), 4242);
        assert_eq!(runs("runs 12\nseeds 3\n"), 12);
        assert_eq!(runs("INFO: nothing yet\n"), 0);
    }
}
