//! What the urlpool component promises, held against a server that records every byte and can misbehave.
//!
//! - [`Server`] plays a script of [`Reply`]s on raw sockets, in one [`Speech`], and keeps a [`Log`] of all it sees.
//! - [`Rig`] holds the component, compiled once, and makes a [`Client`] for each case: a fresh instance in a fresh host,
//!   driven by the operations of `urlpool script`.
//! - [`all`] lists the [`Case`]s. Each has a row in `BEHAVIOURS.md`, which says what the behaviour is and where it differs
//!   from urllib3; [`run`] runs them, and [`behaviours`] counts what came of the rows.
//!
//! A case asserts what the *server* saw wherever it can: connections accepted, requests on each, bytes of their heads, gaps
//! between attempts. A failed expectation is an error, not a panic, so that a binary can run the cases too.

pub mod behaviours;
mod case;
mod cases;
pub mod client;
mod h2;
mod options;
pub mod ports;
pub mod reply;
mod rig;
pub mod run;
pub mod server;
mod speech;
pub mod sweep;
pub mod tls;
mod wire;

pub use case::{Case, all};
pub use client::Client;
pub use reply::{Gate, Reply, Step, Until};
pub use rig::{Carrier, Rig};
pub use server::{Log, Request, Server};
pub use speech::Speech;
