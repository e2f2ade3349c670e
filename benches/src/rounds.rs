//! Rounds: each runs every contender once on the same work, so that a busy machine slows all of them alike.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tokio::time::timeout;

use crate::contenders::Contenders;
use crate::memory;
use crate::rows::{Entry, Row};
use crate::servers::Servers;

/// The figures of one entry of a row.
#[derive(Serialize)]
pub(crate) struct Figures {
    pub(crate) contender: String,
    /// What is special about this one; else empty.
    pub(crate) variant: String,
    pub(crate) requests: u32,
    /// The time of a run, in seconds.
    pub(crate) time: Spread,
    /// The processor time of a run on the client's side, in seconds.
    pub(crate) processor: Spread,
    /// The connections that the origin accepted during a run.
    pub(crate) connections: u64,
    pub(crate) memory: Option<Memory>,
}

/// What memory a run took, at most.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Memory {
    /// The growth of the process at its peak, in bytes.
    pub(crate) process: u64,
    /// The growth of the guest's linear memories, in bytes.
    pub(crate) guest: Option<u64>,
}

/// How the samples of a figure lie.
#[derive(Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

impl Spread {
    /// Of at least one sample.
    fn of(samples: impl IntoIterator<Item = Duration>) -> Self {
        let mut seconds: Vec<f64> = samples.into_iter().map(|sample| sample.as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        let at = |part: f64| {
            // Between two samples, in proportion.
            let place = part * seconds.len().saturating_sub(1) as f64;
            let (below, above) = (place.floor() as usize, place.ceil() as usize);
            seconds[below] + (seconds[above] - seconds[below]) * place.fract()
        };
        Self { min: at(0.0), lower: at(0.25), median: at(0.5), upper: at(0.75) }
    }
}

struct Sample {
    time: Duration,
    processor: Duration,
    connections: u64,
    memory: Option<Memory>,
}

/// Measures a row in so many rounds, after one that does not count.
pub(crate) async fn measure(
    row: &Row,
    rounds: usize,
    contenders: &mut Contenders,
    servers: &mut Servers,
) -> Result<Vec<Figures>> {
    let entries: Vec<&Entry> = row.entries.iter().filter(|entry| contenders.has(entry.kind)).collect();
    for entry in &entries {
        contenders.get(entry.kind).await?.fresh().await?;
    }
    let mut samples: Vec<Vec<Sample>> = entries.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds {
        for turn in 0..entries.len() {
            // Rotated, so that nobody always comes after the same other one.
            let index = (turn + round) % entries.len();
            let sample = sample(row, entries[index], contenders, servers).await;
            let sample = sample.with_context(|| format!("{}: {}", row.title, entries[index].kind))?;
            if round > 0 {
                samples[index].push(sample);
            }
        }
    }
    Ok(entries.iter().zip(&samples).map(|(entry, samples)| figures(entry, samples)).collect())
}

async fn sample(row: &Row, entry: &Entry, contenders: &mut Contenders, servers: &mut Servers) -> Result<Sample> {
    let contender = contenders.get(entry.kind).await?;
    if row.fresh || entry.setup.is_some() {
        contender.fresh().await?;
    }
    if let Some(setup) = &entry.setup {
        timeout(HANGS, contender.run(setup)).await.context("setup: hangs")??;
    }
    let connections = servers.connections().await?;
    let guest = contender.guest_memory();
    let resident = if row.memory { Some(memory::resident()?) } else { None };
    if row.memory {
        memory::forget_peak()?;
    }
    let processor = memory::processor_time(contender.process())?;
    let begun = Instant::now();
    let read = timeout(HANGS, contender.run(&entry.job)).await.context("hangs")??;
    let time = begun.elapsed();
    let processor = memory::processor_time(contender.process())?.saturating_sub(processor);
    let due = u64::from(entry.job.requests) * entry.job.length;
    if read != due {
        bail!("{read} bytes read instead of {due}");
    }
    let memory = match resident {
        Some(resident) => Some(Memory {
            process: memory::peak()?.saturating_sub(resident),
            guest: guest.zip(contender.guest_memory()).map(|(before, after)| (after - before) as u64),
        }),
        None => None,
    };
    let connections = servers.connections().await? - connections;
    Ok(Sample { time, processor: Duration::from_nanos(processor), connections, memory })
}

/// Longer than any run takes.
const HANGS: Duration = Duration::from_secs(180);

fn figures(entry: &Entry, samples: &[Sample]) -> Figures {
    let memory = samples.iter().filter_map(|sample| sample.memory).reduce(|most, memory| Memory {
        process: most.process.max(memory.process),
        guest: most.guest.max(memory.guest),
    });
    Figures {
        contender: entry.kind.to_string(),
        variant: entry.variant.clone(),
        requests: entry.job.requests,
        time: Spread::of(samples.iter().map(|sample| sample.time)),
        processor: Spread::of(samples.iter().map(|sample| sample.processor)),
        connections: samples.iter().map(|sample| sample.connections).max().unwrap_or(0),
        memory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(milliseconds: &[u64]) -> [f64; 4] {
        let spread = Spread::of(milliseconds.iter().map(|&time| Duration::from_millis(time)));
        [spread.min, spread.lower, spread.median, spread.upper].map(|seconds| (seconds * 1000.0).round())
    }

    #[test]
    fn a_spread_does_not_depend_on_the_order_of_its_samples() {
        assert_eq!(spread(&[50, 10, 30, 20, 40]), [10.0, 20.0, 30.0, 40.0]);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_ones() {
        assert_eq!(spread(&[40, 10, 20, 30]), [10.0, 18.0, 25.0, 33.0]);
    }

    #[test]
    fn one_sample_is_all_of_its_spread() {
        assert_eq!(spread(&[7]), [7.0; 4]);
    }
}
