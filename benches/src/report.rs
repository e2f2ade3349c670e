//! The results, kept as JSON, as a table and as a chart.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::chart;
use crate::engine::Setup;
use crate::rounds::Figures;
use crate::rows::{Group, Row, Scale};
use crate::start::Start;
use crate::table;

/// The results of a run.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) scale: Scale,
    pub(crate) processors: usize,
    pub(crate) runtime: String,
    pub(crate) engine: Setup,
    pub(crate) rows: Vec<Measured>,
    pub(crate) starts: Vec<Start>,
    pub(crate) sizes: Vec<Size>,
}

/// A row that was measured.
#[derive(Serialize)]
pub(crate) struct Measured {
    pub(crate) group: Group,
    pub(crate) title: String,
    pub(crate) rounds: usize,
    /// Whose time is 1, among those with the same variant where there are any.
    pub(crate) baseline: String,
    pub(crate) figures: Vec<Figures>,
}

impl Measured {
    /// How the time of a request compares with that of the baseline; none where that did not take part.
    pub(crate) fn ratio(&self, figures: &Figures) -> Option<f64> {
        let named = || self.figures.iter().filter(|other| other.contender == self.baseline);
        let alike = named().find(|other| other.variant == figures.variant && self.is_growth());
        Some(figures.per_request() / alike.or_else(|| named().next())?.per_request())
    }

    /// How the time of a request compares with that of the same contender at the beginning of the row.
    pub(crate) fn growth(&self, figures: &Figures) -> Option<f64> {
        let first = self.figures.iter().find(|other| other.contender == figures.contender)?;
        self.is_growth().then(|| figures.per_request() / first.per_request())
    }

    /// Whether what matters is how much faster than the baseline someone is, not how much slower.
    pub(crate) fn counts_speed(&self) -> bool {
        matches!(self.group, Group::Headline | Group::Multiplexed)
    }

    /// Whether the variants of this row are steps of something that grows.
    pub(crate) fn is_growth(&self) -> bool {
        matches!(self.group, Group::InFlight | Group::Origins | Group::Connections)
    }
}

impl Figures {
    /// The median time of a request, in seconds.
    pub(crate) fn per_request(&self) -> f64 {
        self.time.median / f64::from(self.requests)
    }

    /// The contender and what is special about it.
    pub(crate) fn name(&self) -> String {
        if self.variant.is_empty() { self.contender.clone() } else { format!("{}, {}", self.contender, self.variant) }
    }
}

/// The size of a build of the component.
#[derive(Clone, Serialize)]
pub(crate) struct Size {
    pub(crate) build: String,
    pub(crate) bytes: u64,
}

impl FromStr for Size {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (build, bytes) = text.split_once('=').context("not NAME=BYTES")?;
        Ok(Self { build: build.to_owned(), bytes: bytes.parse()? })
    }
}

impl Report {
    /// One without rows.
    pub(crate) fn new(scale: Scale, engine: Setup, runtime: String) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { scale, processors, runtime, engine, rows: Vec::new(), starts: Vec::new(), sizes: Vec::new() }
    }

    /// Adds what was measured.
    pub(crate) fn add(&mut self, row: &Row, rounds: usize, figures: Vec<Figures>) {
        let baseline = row.baseline.to_string();
        self.rows.push(Measured { group: row.group, title: row.title.clone(), rounds, baseline, figures });
    }

    /// Writes the results into a folder, as `NAME.json`, `NAME.md` and `NAME.svg`.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let write = |ending: &str, text: String| {
            let path = folder.join(format!("{name}.{ending}"));
            std::fs::write(&path, text).with_context(|| path.display().to_string())
        };
        write("json", serde_json::to_string_pretty(self)? + "\n")?;
        write("md", table::markdown(self))?;
        write("svg", chart::svg(self))
    }
}
