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

/// Prints the interface as one WIT file.
///
/// # Errors
///
/// That the standard output is closed.
pub(crate) fn wit() -> Result<u8> {
    let mut out = io::stdout().lock();
    let mut files = WIT.into_iter();
    let first = files.next().unwrap_or_default();
    out.write_all(first.as_bytes()).context("standard output")?;
    for file in files {
        // One file names its package once.
        let rest = file.split_once('\n').map_or(file, |(_, rest)| rest);
        out.write_all(rest.as_bytes()).context("standard output")?;
    }
    Ok(0)
}

const WIT: [&str; 3] = [
    include_str!("../../../wit/policy.wit"),
    include_str!("../../../wit/messages.wit"),
    include_str!("../../../wit/pool.wit"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wit_file_begins_with_its_package() {
        for file in WIT {
            assert!(file.starts_with("package urlpool:client@"));
        }
    }
}
