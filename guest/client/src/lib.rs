//! The urlpool HTTP client for components in Rust: connection pooling, retries, redirects, timeouts, forms and honest errors,
//! by composition.
//!
//! ```no_run
//! # fn main() -> Result<(), urlpool::Error> {
//! let page = urlpool::get("http://a.test/")?;
//! println!("{} {}", page.status(), page.text()?);
//! # Ok(())
//! # }
//! ```
//!
//! This crate is thin. It turns the WIT package `urlpool:client` into Rust as one writes it; the client itself is another
//! component, which whoever composes yours plugs in: `urlpool compose app.wasm -o out.wasm`, or `wac plug`. Until then your
//! component imports `urlpool:client`, and nothing else on behalf of this crate.
//!
//! # Pools
//!
//! A [`Pool`] owns slots: permits to have one request in flight to an origin. All that is sent through it shares its
//! policies, and the host's connections behind it.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use urlpool::{Form, Pool, Retry, Timeouts};
//!
//! # fn main() -> Result<(), urlpool::Error> {
//! let pool = Pool::builder()
//!     .slots(16)
//!     .retry(Retry::default().with_statuses([502, 503]))
//!     .timeouts(Timeouts::default().with_total(Duration::from_secs(5)))
//!     .header("user-agent", "example/1.0")
//!     .build()?;
//!
//! let form = Form::new().field("title", "Report").file("file", "report.txt", "text/plain", "all is well");
//! let posted = pool.post("http://a.test/reports").form(form).send()?;
//! println!("{} after {} attempts", posted.status(), posted.history().len() + 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Many at a time
//!
//! [`Pool::send_all`] sends side by side and answers in order, [`RequestBuilder::start`] begins and goes on, and
//! [`task::block_on`] runs futures, of which [`Pending`] is one. Other executors serve as well: see [`Pending::finish_with`].
//!
//! # Errors
//!
//! [`Error`] has an [`ErrorKind`], one for each thing that a caller can do about it, and asks the client for details only
//! when you do. A status is never an error by itself; [`Response::error_for_status`] makes it one.
//!
//! # Order of drops
//!
//! In WASI a child that outlives its parent traps. Here nothing has such an order that you would have to keep.

mod body;
mod convert;
mod error;
#[cfg(feature = "files")]
mod files;
mod form;
mod pending;
mod policy;
mod pool;
mod request;
mod response;
pub mod task;
mod words;

#[allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated; the documentation is the WIT's"
)]
mod bindings {
    wit_bindgen::generate!({
        world: "imports",
        path: "../../wit",
        with: {
            "wasi:io/error@0.2.12": wasip2::io::error,
            "wasi:io/poll@0.2.12": wasip2::io::poll,
            "wasi:io/streams@0.2.12": wasip2::io::streams,
            "wasi:clocks/monotonic-clock@0.2.12": wasip2::clocks::monotonic_clock,
            "wasi:http/types@0.2.12": wasip2::http::types,
        },
        generate_all,
    });
}

use bindings::urlpool::client as wit;

pub use body::Body;
pub use error::{Attempt, Error, ErrorKind, FollowedBy, Mark, Milestone, Outcome, Phase};
#[cfg(feature = "files")]
pub use files::open;
pub use form::Form;
pub use http;
pub use pending::{Completed, Pending};
pub use policy::{AtLimit, Jitter, Redirect, Retry, Timeouts};
pub use pool::{Builder, Pool, Stats, WhenFull};
pub use request::RequestBuilder;
pub use response::{Raw, Reader, Response};
pub use wasip2::http::types::ErrorCode;
pub use wasip2::io::poll::Pollable;
pub use wasip2::io::streams::InputStream;

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Sends a GET through a pool with the default settings, which all calls of this function share.
///
/// # Errors
///
/// Of any kind; see [`ErrorKind`].
pub fn get(url: impl AsRef<str>) -> Result<Response> {
    thread_local! {
        static POOL: Pool = Pool::new();
    }
    POOL.with(|pool| pool.get(url)).send()
}

/// The page about Rust, whose snippets are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust.md")]
struct Page;
