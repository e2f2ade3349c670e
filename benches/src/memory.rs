//! Memory, processor time and sockets: of this process as the system tells, and of guests as the engine does.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use wasmtime::ResourceLimiter;

/// Counts the linear memory of a store.
#[derive(Default)]
pub(crate) struct Meter {
    memory: usize,
}

impl Meter {
    /// The bytes of all its memories.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.memory += desired - current;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// The resident memory of this process, in bytes.
pub(crate) fn resident() -> Result<u64> {
    status("VmRSS:")
}

/// The most that this process had resident since `forget_peak`, in bytes.
pub(crate) fn peak() -> Result<u64> {
    status("VmHWM:")
}

/// Begins to measure the peak anew.
pub(crate) fn forget_peak() -> Result<()> {
    // proc(5), clear_refs: 5 resets the peak resident set size.
    std::fs::write("/proc/self/clear_refs", "5").context("clear_refs")
}

/// The files and sockets that this process has open.
pub(crate) fn open_files() -> Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd").context("fd")?.count())
}

/// The processor time that all living threads of a process have used, in nanoseconds.
pub(crate) fn processor_time(process: Option<u32>) -> Result<u64> {
    let process = process.map_or_else(|| "self".to_owned(), |id| id.to_string());
    let mut total = 0;
    for thread in std::fs::read_dir(PathBuf::from("/proc").join(process).join("task")).context("task")? {
        // A thread may end while the list is read.
        let Ok(times) = std::fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        total += times.split(' ').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(total)
}

/// Allows as many open files as the system lets us, since some rows need thousands of sockets.
pub(crate) fn allow_many_files() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

fn status(field: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context(field.to_owned())?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().context(field.to_owned())?;
    Ok(kibibytes * 1024)
}
