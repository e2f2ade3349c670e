//! Tries one target with random inputs, or with files; `cargo xtask fuzz` calls it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use urlpool_fuzz::random::Until;
use urlpool_fuzz::{TARGETS, Target};

const USAGE: &str = "\
Usage: random TARGET --seconds N [--seed N] [--findings FOLDER]
       random TARGET FILE...";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &[String]) -> Result<ExitCode, String> {
    let (first, rest) = args.split_first().ok_or(USAGE)?;
    let target = TARGETS.iter().find(|target| target.name == first).ok_or_else(|| format!("{first}: no target"))?;
    let (mut seconds, mut seed, mut findings, mut files) = (None, 1, PathBuf::from("."), Vec::new());
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        let mut number = || rest.next().and_then(|text| text.parse::<u64>().ok()).ok_or(USAGE);
        match arg.as_str() {
            "--seconds" => seconds = Some(number()?),
            "--seed" => seed = number()?,
            "--findings" => findings = rest.next().ok_or(USAGE)?.into(),
            file => files.push(Path::new(file)),
        }
    }
    for file in &files {
        let input = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        (target.run)(&input);
        println!("{}: no finding", file.display());
    }
    match (seconds, files.is_empty()) {
        (None, false) => Ok(ExitCode::SUCCESS),
        (Some(seconds), true) => fuzz(target, Duration::from_secs(seconds), seed, &findings),
        _ => Err(USAGE.to_owned()),
    }
}

fn fuzz(target: &Target, time: Duration, seed: u64, findings: &Path) -> Result<ExitCode, String> {
    let outcome =
        target.fuzz(seed, Until::Passed(time)).map_err(|error| format!("{}: {error}", target.file().display()))?;
    println!("runs {}", outcome.runs);
    println!("seeds {}", outcome.seeds);
    let Some(input) = outcome.finding else { return Ok(ExitCode::SUCCESS) };
    let file = findings.join(format!("random-{seed}-{}", outcome.runs));
    std::fs::create_dir_all(findings)
        .and_then(|()| std::fs::write(&file, input))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    println!("finding {}", file.display());
    Ok(ExitCode::FAILURE)
}
