//! `urlpool conform`: the conformance suite, held against the embedded component or another one.

use crate::args::{ConformArgs, TransportArg};
use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use urlpool_conformance::{
    Carrier, Case, Rig, all,
    behaviours::{Counts, Table, counts, row_of, rows},
    run::{Outcome, Verdict, run_all},
    sweep::{self, SEED, Sweep},
};

/// Runs the cases; 1 when one does not hold.
///
/// # Errors
///
/// One line about a component that cannot be tested, or about a filter that leaves nothing.
pub(crate) fn run(args: &ConformArgs) -> Result<u8> {
    if args.sweep {
        return sweep(args);
    }
    let carrier = match args.transport {
        TransportArg::Pooled => Carrier::Pooled,
        TransportArg::Stock => Carrier::Stock,
    };
    let cases: Vec<_> = all()
        .into_iter()
        .filter(|case| args.filter.as_ref().is_none_or(|filter| case.title().contains(filter)))
        .collect();
    if cases.is_empty() {
        bail!("--filter {}: no case has that in its name; --list shows them", args.filter.as_deref().unwrap_or(""));
    }
    if args.list {
        return list(&cases, carrier, args.json);
    }
    let rig = Arc::new(rig(args)?.carried_by(carrier));
    let show = Show::new(cases.len(), args);
    let verdicts = run_all(&cases, &rig, |verdict| show.verdict(verdict));
    show.end(&counts(&verdicts, args.filter.is_none()), &verdicts)
}

/// Runs the sweep of hostile servers; 1 when a run did not end well.
fn sweep(args: &ConformArgs) -> Result<u8> {
    let drawn = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(SEED, |time| time.as_secs());
    let seed = args.seed.unwrap_or(drawn);
    let filter = args.filter.as_deref().unwrap_or_default();
    let sweep = Sweep::all(seed)?.filtered(filter);
    if sweep.is_empty() {
        bail!("--filter {filter}: no run has that in its name; --list shows them");
    }
    if args.list {
        let mut out = io::stdout().lock();
        for name in sweep.names() {
            writeln!(out, "{name}")?;
        }
        return Ok(0);
    }
    let rig = rig(args)?;
    let show = Show::new(sweep.len(), args);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let bad = runtime.block_on(sweep.run(&rig, |run| show.run(run)))?;
    show.end_of_sweep(sweep.len(), bad.len(), seed)
}

fn rig(args: &ConformArgs) -> Result<Rig> {
    match &args.component {
        None => Ok(Rig::embedded()?),
        Some(path) => other(path),
    }
}

/// Another component, from its file.
fn other(path: &Path) -> Result<Rig> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("--component {shown}"))?;
    // The first bytes of a module and of a component differ in what the binary format calls the layer.
    match bytes.get(..8) {
        Some([b'\0', b'a', b's', b'm', _, _, 1, 0]) => {}
        Some([b'\0', b'a', b's', b'm', ..]) => {
            bail!("--component {shown}: a core module, not a component; `wasm-tools component new` makes one of it")
        }
        _ => bail!("--component {shown}: not a component in the binary format"),
    }
    Rig::new(&bytes).with_context(|| format!("--component {shown}"))
}

fn list(cases: &[Case], carrier: Carrier, json: bool) -> Result<u8> {
    let mut out = io::stdout().lock();
    for case in cases {
        if json {
            writeln!(out, "{}", told(case))?;
            continue;
        }
        match case.excuse_on(carrier) {
            None => writeln!(out, "{}", case.title())?,
            Some(reason) => writeln!(out, "{}, not here: {reason}", case.title())?,
        }
    }
    Ok(0)
}

/// What a case is, for programs.
fn told(case: &Case) -> Value {
    let behaviour = rows().into_iter().find(|row| row.id == row_of(case.id)).map(|row| row.behaviour);
    json!({
        "id": case.id,
        "case": format!("{}::{}", case.area, case.name),
        "behaviour": behaviour,
        "not_on_stock": case.not_on_stock,
    })
}

/// What is shown while the cases run, and at the end.
struct Show {
    bar: ProgressBar,
    begun: Instant,
    colours: bool,
    json: bool,
    verbose: bool,
}

impl Show {
    fn new(cases: usize, args: &ConformArgs) -> Self {
        let bar = match io::stderr().is_terminal() {
            true => ProgressBar::new(cases as u64),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}");
        bar.set_style(style.expect("the template is fixed and right"));
        let colours = !args.json && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { bar, begun: Instant::now(), colours, json: args.json, verbose: args.verbose }
    }

    fn verdict(&self, verdict: &Verdict) {
        self.bar.set_message(verdict.case.title());
        self.bar.inc(1);
        if self.json {
            return self.line(&object(verdict).to_string());
        }
        let title = verdict.case.title();
        match &verdict.outcome {
            Outcome::Failed(seen) => self.line(&format!("{} {title}\n    {seen}", self.paint(31, "✗"))),
            Outcome::Passed if self.verbose => self.line(&format!("{} {title}", self.paint(32, "✓"))),
            Outcome::NotHere(reason) if self.verbose => self.line(&format!("- {title}\n    not here: {reason}")),
            Outcome::Passed | Outcome::NotHere(_) => {}
        }
    }

    fn run(&self, run: &sweep::Verdict) {
        self.bar.set_message(run.name.clone());
        self.bar.inc(1);
        if self.json {
            let took = millis(run.took);
            return self.line(&json!({"run": run.name, "wrong": run.wrong, "took_ms": took}).to_string());
        }
        match &run.wrong {
            Some(wrong) => self.line(&format!("{} {}\n    {wrong}", self.paint(31, "✗"), run.name)),
            None if self.verbose => self.line(&format!("{} {}", self.paint(32, "✓"), run.name)),
            None => {}
        }
    }

    /// How many runs there were, and 1 when one did not end well.
    fn end_of_sweep(self, runs: usize, bad: usize, seed: u64) -> Result<u8> {
        self.bar.finish_and_clear();
        let took = self.begun.elapsed();
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", json!({"runs": runs, "wrong": bad, "seed": seed, "took_ms": millis(took)}))?;
        } else {
            let text = match bad {
                0 => self.paint(32, &format!("all {runs} runs ended well")),
                _ => self.paint(31, &format!("{bad} of {runs} runs did not end well")),
            };
            writeln!(out, "{text} in {:.1} s, seed {seed}", took.as_secs_f64())?;
        }
        Ok(u8::from(bad > 0))
    }

    /// The counts, and 1 when a case failed.
    fn end(self, areas: &[Counts], verdicts: &[Verdict]) -> Result<u8> {
        self.bar.finish_and_clear();
        let took = self.begun.elapsed();
        let failed = verdicts.iter().filter(|verdict| matches!(verdict.outcome, Outcome::Failed(_))).count();
        let ran = verdicts.iter().filter(|verdict| !matches!(verdict.outcome, Outcome::NotHere(_))).count();
        let mut out = io::stdout().lock();
        if self.json {
            let areas: Vec<_> = areas.iter().map(area).collect();
            writeln!(out, "{}", json!({"cases": ran, "failed": failed, "areas": areas, "took_ms": millis(took)}))?;
        } else {
            write!(out, "{}", Table(areas))?;
            let seconds = took.as_secs_f64();
            match failed {
                0 => writeln!(out, "{} in {seconds:.1} s", self.paint(32, &format!("all {ran} cases hold")))?,
                _ => {
                    let text = format!("{failed} of {ran} cases failed");
                    writeln!(out, "{} in {seconds:.1} s", self.paint(31, &text))?;
                }
            }
        }
        Ok(u8::from(failed > 0))
    }

    fn line(&self, text: &str) {
        // A reader that went away is found by the last line.
        self.bar.suspend(|| _ = writeln!(io::stdout(), "{text}"));
    }

    fn paint(&self, colour: u8, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{colour}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

fn object(verdict: &Verdict) -> Value {
    let (outcome, detail) = match &verdict.outcome {
        Outcome::Passed => ("passed", None),
        Outcome::Failed(seen) => ("failed", Some(seen.as_str())),
        Outcome::NotHere(reason) => ("not here", Some(*reason)),
    };
    let mut object = told(&verdict.case);
    object["outcome"] = json!(outcome);
    object["detail"] = json!(detail);
    object["took_ms"] = json!(millis(verdict.took));
    object
}

fn area(area: &Counts) -> Value {
    json!({
        "area": area.letter,
        "heading": area.heading,
        "cases": area.cases,
        "passed": area.passed,
        "failed": area.failed,
        "elsewhere": area.elsewhere,
        "not_here": area.not_here,
        "later": area.later,
    })
}

/// Whole milliseconds, which is as exact as a case is.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
