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
//! A [`Server`] has a component answer requests (`wasi:http/incoming-handler`, or `handler` of WASI 0.3), each by an instance
//! of its own unless told otherwise. All instances send over the connections of one host.
//!
//! ```no_run
//! # async fn example(component: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use tokio::net::TcpListener;
//! use urlpool_host::{Egress, Host};
//! use urlpool_run::Server;
//!
//! let host = Host::builder().egress(Egress::untrusted()).build()?;
//! // No more than 100 requests in flight for all instances together.
//! let guest = host.guest().requests(100).build()?;
//! let server = Server::builder().instances(32).deadline(Some(Duration::from_secs(10))).build(component, guest)?;
//! let end = async {
//!     // A signal, say.
//! };
//! server.serve(TcpListener::bind("127.0.0.1:8080").await?, end).await?;
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
mod serve;
mod state;

pub use command::{Command, Exit};
pub use error::Error;
pub use grants::Grants;
pub use serve::{Event, Fault, Metrics, Observe, Served, Server, ServerBuilder};
