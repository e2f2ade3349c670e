//! A component, compiled and linked.

use crate::error::Error;
use crate::state::State;
use urlpool_compose::World;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Cache, Config, Engine};

/// A component that was compiled and linked with what it may import.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) generation: Generation,
    pub(crate) linked: InstancePre<State>,
}

/// Which WASI a component was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    P2,
    #[cfg(feature = "p3")]
    P3,
}

impl Program {
    /// Compiles a component that has the wanted export.
    pub(crate) fn new(component: &[u8], wanted: Export, config: &mut Config) -> Result<Self, Error> {
        let world = World::of(component).map_err(Error::NotAComponent)?;
        let generation = wanted.generation(&world)?;
        // WASI 0.2 alone: calls are several times cheaper without the machinery of 0.3.
        config.concurrency_support(generation.is_concurrent(&world));
        // Without a place for a cache (no home directory) everything still works, only slower.
        if let Ok(cache) = Cache::from_file(None) {
            config.cache(Some(cache));
        }
        let engine = Engine::new(config).map_err(Error::Compile)?;
        let component = Component::new(&engine, component).map_err(Error::Compile)?;
        let linker = linker(&engine, &world).map_err(Error::Imports)?;
        let linked = linker.instantiate_pre(&component).map_err(Error::Imports)?;
        Ok(Self { generation, linked })
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// An export by which a component is run, in each generation of WASI.
pub(crate) struct Export {
    /// As one who lacks it is told.
    name: &'static str,
    p2: &'static str,
    p3: &'static str,
}

/// That of commands.
pub(crate) const RUN: Export = Export { name: "wasi:cli/run", p2: "wasi:cli/run@0.2.0", p3: "wasi:cli/run@0.3.0" };

/// That of handlers.
pub(crate) const HANDLE: Export = Export {
    name: "wasi:http/incoming-handler",
    p2: "wasi:http/incoming-handler@0.2.0",
    p3: "wasi:http/handler@0.3.0",
};

impl Export {
    /// Which of both a component has.
    fn generation(&self, world: &World) -> Result<Generation, Error> {
        if world.exports_like(self.p2) {
            return Ok(Generation::P2);
        }
        #[cfg(feature = "p3")]
        if world.exports_like(self.p3) {
            return Ok(Generation::P3);
        }
        Err(Error::World { wanted: self.name, exports: world.exports().to_vec() })
    }
}

impl Generation {
    /// Whether the engine needs the machinery of WASI 0.3.
    fn is_concurrent(self, world: &World) -> bool {
        match self {
            // One of 0.2 may still have an import of 0.3 composed into it.
            Self::P2 => cfg!(feature = "p3") && imports_p3(world),
            #[cfg(feature = "p3")]
            Self::P3 => true,
        }
    }
}

/// Whether anything of WASI 0.3 is imported.
fn imports_p3(world: &World) -> bool {
    world.imports().iter().any(|import| import.starts_with("wasi:") && import.contains("@0.3."))
}

/// All that may be imported.
fn linker(engine: &Engine, world: &World) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    // Each of these brings wasi:io and the clocks along; they are the same.
    linker.allow_shadowing(true);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    urlpool_host::add_to_linker(&mut linker)?;
    #[cfg(feature = "p3")]
    if imports_p3(world) || world.exports_like(RUN.p3) || world.exports_like(HANDLE.p3) {
        linker.allow_shadowing(true);
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        urlpool_host::add_to_linker_p3(&mut linker)?;
    }
    #[cfg(not(feature = "p3"))]
    let _ = world;
    Ok(linker)
}
