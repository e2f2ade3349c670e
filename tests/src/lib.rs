//! What the urlpool component promises, held against a server that records every byte and can misbehave.
//!
//! - [`Server`] plays a script of [`Reply`]s on raw sockets and keeps a [`Log`] of all it sees.

pub mod ports;
pub mod reply;
pub mod server;
pub mod tls;
mod wire;

pub use reply::{Gate, Reply, Step, Until};
pub use server::{Log, Request, Server};
