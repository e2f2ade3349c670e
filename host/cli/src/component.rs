//! `urlpool component` and `urlpool wit`: what is embedded, handed out.

use crate::args::ComponentArgs;
use anyhow::{Context as _, Result};
use std::{
    io::{self, Write as _},
    path::Path,
    time::{Duration, Instant},
};
use urlpool_host::Host;
use urlpool_script::{Program, Transport};

/// Writes the component, or measures it.
///
/// # Errors
///
/// One line about why there is none or why it cannot be written.
pub(crate) async fn run(args: &ComponentArgs) -> Result<u8> {
    let component = urlpool_script::component()?;
    if let Some(path) = &args.output {
        if path == Path::new("-") {
            io::stdout().write_all(component).context("standard output")?;
        } else {
            std::fs::write(path, component).with_context(|| format!("-o {}", path.display()))?;
        }
    }
    if args.measure {
        let median = median_start(&Program::embedded()?).await?;
        println!("{} bytes, an instance in {} us", component.len(), median.as_micros());
    }
    Ok(0)
}

/// The median time from a compiled component to an instance of it.
async fn median_start(program: &Program) -> Result<Duration> {
    let host = Host::builder().build()?;
    let mut times = Vec::new();
    for _ in 0..INSTANCES {
        let begun = Instant::now();
        let session = program.session(Transport::Pooled(host.clone())).await?;
        times.push(begun.elapsed());
        drop(session);
    }
    times.sort_unstable();
    Ok(times[INSTANCES / 2])
}

/// So many that the median does not depend on what else the machine does.
const INSTANCES: usize = 1001;

/// Prints the interface with all that it refers to as one WIT file, for the `deps` of whoever includes it.
///
/// # Errors
///
/// That the standard output is closed.
pub(crate) fn wit() -> Result<u8> {
    io::stdout().lock().write_all(whole_wit().as_bytes()).context("standard output")?;
    Ok(0)
}

fn whole_wit() -> String {
    let mut whole = String::new();
    for (index, file) in WIT.into_iter().enumerate() {
        let (package, rest) = file.split_once('\n').unwrap_or((file, ""));
        // One file names its package once.
        if index == 0 {
            whole += package;
            whole += "\n";
        }
        whole += rest;
    }
    for file in DEPENDENCIES {
        // Every further package of a file has its content in braces.
        let (package, rest) = file.split_once('\n').unwrap_or((file, ""));
        whole += &format!("\n{} {{\n{rest}}}\n", package.trim_end_matches(';'));
    }
    whole
}

const WIT: [&str; 3] = [
    include_str!("../../../wit/policy.wit"),
    include_str!("../../../wit/messages.wit"),
    include_str!("../../../wit/pool.wit"),
];

const DEPENDENCIES: [&str; 7] = [
    include_str!("../../../wit/deps/cli.wit"),
    include_str!("../../../wit/deps/clocks.wit"),
    include_str!("../../../wit/deps/filesystem.wit"),
    include_str!("../../../wit/deps/http.wit"),
    include_str!("../../../wit/deps/io.wit"),
    include_str!("../../../wit/deps/random.wit"),
    include_str!("../../../wit/deps/sockets.wit"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wit_file_begins_with_its_package() {
        for file in WIT {
            assert!(file.starts_with("package urlpool:client@"));
        }
        for file in DEPENDENCIES {
            assert!(file.starts_with("package wasi:") && file.lines().next().is_some_and(|line| line.ends_with(';')));
        }
    }
}
