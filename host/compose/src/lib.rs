//! Plugs the urlpool client into components that import it.
//!
//! What `wac plug` does, for this one plug: with an answer that says what to do where the two do not meet, and with a check
//! that the result imports no more than they did.
//!
//! ```no_run
//! # fn example(app: &[u8], client: &[u8]) -> Result<(), urlpool_compose::Error> {
//! use urlpool_compose::{Client, World};
//!
//! let client = Client::new(client)?;
//! let whole = client.plug_into(app)?;
//! println!("imports {}", World::of(&whole)?.imports().join(", "));
//! # Ok(())
//! # }
//! ```
//!
//! Depends on no engine, and reads and writes no files.

mod client;
mod error;
mod world;

pub use client::Client;
pub use error::Error;
pub use world::World;
