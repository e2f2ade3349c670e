//! The engine of all components: one configuration for a run, so that guests differ by what they do alone.

use anyhow::Result;
use serde::Serialize;
use wasmtime::{Cache, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ProfilingStrategy};

/// What may be chosen about the engine.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Setup {
    /// Whether calls go through the machinery of WASI 0.3. Default: false, as our host recommends.
    pub(crate) concurrency: bool,
    /// Whether instances come from a pool of memory. Default: false.
    pub(crate) pooling: bool,
    /// Whether compiled code is named for perf. Default: false.
    pub(crate) perf_map: bool,
}

impl Setup {
    /// An engine that takes compiled code from wasmtime's cache where there is some.
    pub(crate) fn engine(self) -> Result<Engine> {
        let mut config = self.config();
        // Without a place for a cache everything still works, only slower.
        if let Ok(cache) = Cache::from_file(None) {
            config.cache(Some(cache));
        }
        Ok(Engine::new(&config)?)
    }

    /// An engine that compiles all it is given.
    pub(crate) fn cold_engine(self) -> Result<Engine> {
        Ok(Engine::new(&self.config())?)
    }

    fn config(self) -> Config {
        let mut config = Config::new();
        config.concurrency_support(self.concurrency);
        if self.pooling {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::default()));
        }
        if self.perf_map {
            config.profiler(ProfilingStrategy::PerfMap);
        }
        config
    }
}
