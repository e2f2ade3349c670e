//! A body on its way: into memory, to the standard output, or into a file under a progress bar.

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sha2::{Digest as _, Sha256};
use std::{
    fs::File,
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
};
use urlpool_script::{Head, answer};

/// Where a body goes while it comes in.
pub(crate) enum Sink {
    Memory,
    Stdout,
    File(PathBuf),
}

/// A body on its way.
pub(crate) struct Receiving {
    target: Target,
    digest: Sha256,
    bytes: u64,
    bar: ProgressBar,
}

enum Target {
    Memory(Vec<u8>),
    Stdout,
    File(File, PathBuf),
}

impl Receiving {
    pub(crate) fn new(sink: Sink, head: &Head) -> Result<Self> {
        let (target, bar) = match sink {
            Sink::Memory => (Target::Memory(Vec::new()), ProgressBar::hidden()),
            Sink::Stdout => (Target::Stdout, ProgressBar::hidden()),
            Sink::File(path) => {
                let file = File::create(&path).with_context(|| format!("-o {}", path.display()))?;
                (Target::File(file, path), progress(head))
            }
        };
        Ok(Self { target, digest: Sha256::new(), bytes: 0, bar })
    }

    /// Takes the next piece.
    pub(crate) fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.bytes += piece.len() as u64;
        self.digest.update(piece);
        self.bar.inc(piece.len() as u64);
        match &mut self.target {
            Target::Memory(body) => body.extend_from_slice(piece),
            Target::Stdout => io::stdout().write_all(piece).context("standard output")?,
            Target::File(file, path) => {
                file.write_all(piece).with_context(|| format!("-o {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Ends it; the body is handed back where it was kept in memory.
    pub(crate) fn finish(self) -> Result<Received> {
        self.bar.finish_and_clear();
        let kept = match self.target {
            Target::Memory(body) => Some(body),
            Target::Stdout => {
                io::stdout().flush().context("standard output")?;
                None
            }
            Target::File(..) => None,
        };
        Ok(Received { kept, bytes: self.bytes, sha256: answer::hex(&self.digest.finalize()) })
    }
}

/// A body that came.
pub(crate) struct Received {
    /// The bytes, where they were kept in memory.
    pub(crate) kept: Option<Vec<u8>>,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// A progress bar on a terminal, with an end where the length is known.
fn progress(head: &Head) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let length = |(name, value): &(String, Vec<u8>)| match name.eq_ignore_ascii_case("content-length") {
        true => std::str::from_utf8(value).ok()?.parse().ok(),
        false => None,
    };
    let length: Option<u64> = head.headers.iter().find_map(length);
    let template = match length {
        Some(_) => "{wide_bar:.green} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
        None => "{spinner:.green} {decimal_bytes} {decimal_bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
