//! What it costs to begin: a cold start, an instance, an empty call.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::contenders::{Library, Parts, host};
use crate::engine::Setup;
use crate::guest::{Guest, Transport};

/// Medians, in seconds.
#[derive(Serialize)]
pub(crate) struct Start {
    pub(crate) library: &'static str,
    /// The size of its component, in bytes.
    pub(crate) size: usize,
    /// From nothing to an instance, with compiling.
    pub(crate) cold: f64,
    /// From nothing to an instance, with code from wasmtime's cache.
    pub(crate) cached: f64,
    /// From a compiled component to an instance in a store of its own.
    pub(crate) instance: f64,
    /// A call that does nothing.
    pub(crate) call: f64,
}

/// Measures all libraries, over our host, in so many rounds.
pub(crate) async fn measure(rounds: usize, setup: Setup, parts: &Parts, root: &str) -> Result<Vec<Start>> {
    let transport = Transport::Pooled(host(root)?);
    let engine = setup.engine()?;
    let mut measured = Vec::new();
    for library in Library::ALL {
        let component = parts.guest(library)?;
        let guest = Guest::new(&engine, &component, true)?;
        let [cold, cached, instance, call] = Default::default();
        measured.push(Measured { library, component, guest, cold, cached, instance, call });
    }
    for round in 0..rounds {
        for turn in 0..measured.len() {
            let index = (turn + round) % Library::ALL.len();
            measured[index].round(setup, &transport).await?;
        }
    }
    Ok(measured.into_iter().map(Measured::start).collect())
}

struct Measured {
    library: Library,
    component: Vec<u8>,
    guest: Guest,
    cold: Vec<Duration>,
    cached: Vec<Duration>,
    instance: Vec<Duration>,
    call: Vec<Duration>,
}

impl Measured {
    async fn round(&mut self, setup: Setup, transport: &Transport) -> Result<()> {
        let begun = Instant::now();
        Guest::new(&setup.cold_engine()?, &self.component, true)?.instance(transport).await?;
        self.cold.push(begun.elapsed());

        let begun = Instant::now();
        Guest::new(&setup.engine()?, &self.component, true)?.instance(transport).await?;
        self.cached.push(begun.elapsed());

        for _ in 0..INSTANCES {
            let begun = Instant::now();
            let instance = self.guest.instance(transport).await?;
            self.instance.push(begun.elapsed());
            drop(instance);
        }

        let mut instance = self.guest.instance(transport).await?;
        let begun = Instant::now();
        for _ in 0..CALLS {
            instance.nothing().await?;
        }
        self.call.push(begun.elapsed() / CALLS);
        Ok(())
    }

    fn start(self) -> Start {
        Start {
            library: self.library.name(),
            size: self.component.len(),
            cold: median(self.cold),
            cached: median(self.cached),
            instance: median(self.instance),
            call: median(self.call),
        }
    }
}

/// So many that the median does not depend on what else the machine does.
const INSTANCES: usize = 100;
const CALLS: u32 = 10_000;

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64)
}
