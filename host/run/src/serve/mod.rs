//! Handlers behind a server.

mod accept;
mod fault;
mod figures;
mod instance;
mod meter;
mod server;
mod ticker;
mod whole;

pub use accept::Metrics;
pub use fault::Fault;
pub use figures::Served;
pub(crate) use meter::Meter;
pub use server::{Event, Observe, Server, ServerBuilder};
