//! Random inputs on any toolchain: the kept seeds, random changes of them, and random bytes.
//!
//! Less apt than libFuzzer, which follows what an input reaches, but it needs nothing that Rust does not bring.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use urlpool_core::Entropy;

use crate::Target;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How many inputs were tried, seeds included.
    pub runs: u64,
    /// How many of them were seeds.
    pub seeds: u64,
    /// The input that a target panicked at.
    pub finding: Option<Vec<u8>>,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many random inputs.
    Runs(u64),
    /// After so much time.
    Passed(Duration),
}

impl Target {
    /// Tries the seeds, then random inputs of this sequence.
    ///
    /// # Errors
    ///
    /// When the seeds cannot be read.
    pub fn fuzz(&self, seed: u64, until: Until) -> io::Result<Outcome> {
        let begun = Instant::now();
        let seeds = self.seeds()?;
        let mut outcome = Outcome { seeds: seeds.len() as u64, ..Outcome::default() };
        let mut entropy = Entropy::seeded(seed);
        let mut next = seeds.clone().into_iter();
        loop {
            let input = match next.next() {
                Some(seed) => seed,
                None => {
                    let over = match until {
                        Until::Runs(runs) => outcome.runs >= runs + outcome.seeds,
                        Until::Passed(time) => begun.elapsed() >= time,
                    };
                    if over {
                        return Ok(outcome);
                    }
                    self.input(&seeds, &mut entropy)
                }
            };
            outcome.runs += 1;
            if catch_unwind(AssertUnwindSafe(|| (self.run)(&input))).is_err() {
                return Ok(Outcome { finding: Some(input), ..outcome });
            }
        }
    }

    /// The kept inputs.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a line of it is not pairs of hexadecimal digits.
    pub fn seeds(&self) -> io::Result<Vec<Vec<u8>>> {
        let text = std::fs::read_to_string(self.file())?;
        let byte = |line: &str, place| line.get(place..place + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let seed = |line: &str| (0..line.len()).step_by(2).map(|place| byte(line, place)).collect::<Option<Vec<u8>>>();
        text.lines().map(|line| seed(line).ok_or_else(|| io::ErrorKind::InvalidData.into())).collect()
    }

    /// The file of the kept inputs, with a line for each.
    pub fn file(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(self.name).with_extension("hex")
    }

    /// Random bytes, or a seed of which some are changed.
    fn input(&self, seeds: &[Vec<u8>], entropy: &mut Entropy) -> Vec<u8> {
        let below = |entropy: &mut Entropy, bound: usize| (entropy.draw() % bound.max(1) as u64) as usize;
        let mut input = match seeds {
            [] => Vec::new(),
            seeds => seeds[below(entropy, seeds.len())].clone(),
        };
        if input.is_empty() || entropy.draw().is_multiple_of(4) {
            let size = below(entropy, self.longest);
            input = (0..size).map(|_| entropy.draw() as u8).collect();
        }
        for _ in 0..=below(entropy, 6) {
            let (from, to) = (below(entropy, input.len()), below(entropy, input.len()));
            match entropy.draw() % 7 {
                0 => input.truncate(from.max(1)),
                1 => input.insert(from, entropy.draw() as u8),
                2 => drop(input.splice(from.min(to)..from.max(to), [])),
                3 => {
                    let copied = input[from.min(to)..from.max(to)].to_vec();
                    drop(input.splice(from..from, copied));
                }
                4 if !seeds.is_empty() => {
                    let other = &seeds[below(entropy, seeds.len())];
                    let part = &other[below(entropy, other.len() + 1).min(other.len())..];
                    input.truncate(from);
                    input.extend_from_slice(part);
                }
                5 => input.iter_mut().skip(from).take(1).for_each(|byte| *byte ^= 1 << (entropy.draw() % 8)),
                _ => input.iter_mut().skip(from).take(1).for_each(|byte| *byte = entropy.draw() as u8),
            }
        }
        input.truncate(self.longest);
        input
    }
}
