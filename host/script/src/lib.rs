//! The urlpool component, driven from native Rust.
//!
//! A [`Program`] is the compiled component, a [`Session`] one instance of it with typed calls, and
//! [`Session::op`] the same calls as JSON objects: what `urlpool script` reads line by line, what the conformance
//! cases are written in, and what docs/script.md describes.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use urlpool_script::{Program, Transport};
//!
//! let host = urlpool_host::Host::builder().build()?;
//! let mut session = Program::embedded()?.session(Transport::Pooled(host)).await?;
//! let answer = session.op(serde_json::json!({"op": "send", "url": "http://a.test/"})).await;
//! println!("{}", answer["status"]);
//! # Ok(())
//! # }
//! ```

pub mod answer;
mod bindings;
mod duration;
mod error;
mod lend;
mod lend_policy;
mod pieces;
mod policy;
mod program;
mod raw;
mod request;
mod script;
mod session;
mod state;
mod trace;

pub use bindings::exports::urlpool::client::messages::{ErrorKind, Phase};
pub use duration::parse_duration;
pub use error::{CallError, Error, Failure, Past, kind_name, phase_name};
pub use policy::{
    AtLimit, Credentials, Extra, Jitter, Options, Redirect, RedirectRules, Retry, RetryRules, Timeouts, WhenFull,
};
pub use program::{Program, component};
pub use raw::RawBody;
pub use request::{Base64, Chunk, ChunkBytes, Field, Pieces, Request};
pub use session::{Fields, Handle, Head, Pending, Pool, PoolStats, Response, Session};
pub use state::Transport;
pub use trace::Mark;
