//! The clock by which a component that computes is made to give way.

use std::time::Duration;
use wasmtime::Engine;

/// Moves the epoch of an engine on, until the engine is gone.
///
/// On a thread of its own: were all workers of the runtime busy in components, a task would not come to run.
///
/// # Errors
///
/// When the system has no thread left.
pub(crate) fn start(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new().name("urlpool-epochs".into()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(())
}

/// How long a component computes before others have their turn, and how late a deadline is noticed.
const TICK: Duration = Duration::from_millis(10);
