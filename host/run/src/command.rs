//! A command, run to its end.

use crate::error::Error;
use crate::grants::Grants;
use crate::program::{Generation, Program, RUN};
use crate::state::State;
use urlpool_host::Guest;
use wasmtime::{Config, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

/// A component of the `wasi:cli/command` world, compiled: of WASI 0.2 or, with the feature `p3`, of 0.3.
///
/// Clones are the same.
#[derive(Clone, Debug)]
pub struct Command {
    program: Program,
}

impl Command {
    /// Compiles a component, or takes it from wasmtime's cache.
    ///
    /// # Errors
    ///
    /// Every [`Error`] but [`Error::Folder`] and [`Error::Trap`].
    pub fn new(component: &[u8]) -> Result<Self, Error> {
        let program = Program::new(component, RUN, &mut Config::new())?;
        Ok(Self { program })
    }

    /// Runs it on behalf of a guest of a host, over the connections of that host.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`], [`Error::Trap`]. The failure that a command tells itself is an [`Exit`].
    pub async fn run(&self, grants: &Grants, guest: &Guest) -> Result<Exit, Error> {
        let program = &self.program;
        let mut store = Store::new(program.linked.engine(), State::new(guest, &mut grants.wasi()?, usize::MAX));
        let ended = match program.generation {
            Generation::P2 => run(program, &mut store).await,
            #[cfg(feature = "p3")]
            Generation::P3 => run_p3(program, &mut store).await,
        };
        match ended {
            Ok(Ok(())) => Ok(Exit(0)),
            Ok(Err(())) => Ok(Exit(1)),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => Ok(Exit(exit.0)),
                None => Err(Error::Trap(error)),
            },
        }
    }
}

async fn run(program: &Program, store: &mut Store<State>) -> wasmtime::Result<Result<(), ()>> {
    let command = CommandPre::new(program.linked.clone())?.instantiate_async(&mut *store).await?;
    command.wasi_cli_run().call_run(store).await
}

#[cfg(feature = "p3")]
async fn run_p3(program: &Program, store: &mut Store<State>) -> wasmtime::Result<Result<(), ()>> {
    use wasmtime_wasi::p3::bindings::Command;

    let instance = program.linked.instantiate_async(&mut *store).await?;
    let command = Command::new(&mut *store, &instance)?;
    store.run_concurrent(async |store| command.wasi_cli_run().call_run(store).await).await?
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(i32);

impl Exit {
    /// Its exit status: that it gave itself, else 0 when it succeeded and 1 when it failed.
    pub fn status(self) -> i32 {
        self.0
    }
}
