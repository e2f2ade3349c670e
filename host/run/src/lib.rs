//! Components run over the connections of an urlpool host.
//!
//! A [`Command`] is a compiled component that runs to its end (`wasi:cli/run`). What it may see of the machine besides, its
//! [`Grants`] say.
//!
//! ```no_run
//! # async fn example(component: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! use urlpool_host::{Egress, Host};
//! use urlpool_run::{Command, Grants};
//!
//! let host = Host::builder().egress(Egress::untrusted()).build()?;
//! let command = Command::new(component)?;
//! let grants = Grants::none().arg("crawl").arg("https://a.test/").inherit_stdio();
//! let exit = command.run(&grants, &host.guest().build()?).await?;
//! println!("status {}, {} connections", exit.status(), host.stats().opened);
//! # Ok(())
//! # }
//! ```
//!
//! A component may import `wasi:http`, and what else its world brings. Sockets are not for it: they would lead past the
//! connections and the egress policy of the host.

mod command;
mod error;
mod grants;
mod program;
mod state;

pub use command::{Command, Exit};
pub use error::Error;
pub use grants::Grants;
