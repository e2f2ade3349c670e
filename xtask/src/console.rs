//! What a person sees: steps with their time, notes, and one line for a failure.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Where progress is told: stderr, in colour only on a terminal.
pub(crate) struct Console {
    colour: bool,
}

impl Console {
    /// The console of this process.
    pub(crate) fn for_stderr() -> Self {
        let plain = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            colour: std::io::stderr().is_terminal()
                && !plain("NO_COLOR")
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        }
    }

    /// Announces a step, takes it, and tells how long it took.
    pub(crate) fn step<T>(&self, name: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("{} {}", self.paint("1;34", "==>"), self.paint("1", name));
        let begun = Instant::now();
        let result = act().with_context(|| name.to_owned())?;
        let time = seconds(begun.elapsed());
        eprintln!("    {} {name} in {time}", self.paint("32", "done:"));
        Ok(result)
    }

    /// Tells one fact within a step.
    pub(crate) fn note(&self, text: &str) {
        eprintln!("    {text}");
    }

    /// Tells something that does not fail the step, but should be looked at.
    pub(crate) fn warn(&self, text: &str) {
        eprintln!("    {} {text}", self.paint("33", "warning:"));
    }

    /// One line of a summary, marked by whether it is good.
    pub(crate) fn line(&self, good: bool, text: &str) {
        let mark = if good { self.paint("32", "ok  ") } else { self.paint("1;31", "FAIL") };
        eprintln!("{mark}  {text}");
    }

    /// Tells why it ends here.
    pub(crate) fn error(&self, text: &str) {
        eprintln!("{} {text}", self.paint("1;31", "error:"));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A time for people: `0.4 s`, `12.0 s`, `3 min 05 s`.
pub(crate) fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole < 60 { format!("{:.1} s", time.as_secs_f64()) } else { format!("{} min {:02} s", whole / 60, whole % 60) }
}
