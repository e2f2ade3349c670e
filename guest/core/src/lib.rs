//! The decisions of the urlpool HTTP client.
//!
//! # In scope
//!
//! - URLs, headers, forms and multipart bodies, valid by construction
//! - when a request is repeated, where a redirect leads, which limit is nearest
//! - which request to an origin may start, and which waits
//! - undoing `Content-Encoding`, within limits
//! - one state machine, [`Exchange`], that orders all of it for one call
//!
//! # Out of scope
//!
//! - sockets, DNS, TLS: the host's
//! - WASI, clocks, timers, randomness, logging: the shell's
//! - waiting of any kind
//!
//! # The steps of an exchange
//!
//! ```text
//!             begin
//!               v
//!         +- Acquire <---------------+--------------+
//!  Granted|      | Expired           | Expired      | hop, at once or after a Wait when it has Retry-After
//!         v      v                   |              |
//!       Send -- Failed --> judge --> Wait(until)    |      (Wait holds no slot)
//!         |                 +-----> Finish(Err)     |
//!         | Answered                                |
//!         v                                         |
//!     redirect? -- Follow --> Drain ----------------+
//!         | Stay
//!         v
//!      judge --- Again --> Drain --> Wait
//!         | Accept
//!         v
//!      Collect (when preloading) -- cut --> judge, as a failed read
//!         v
//!      Finish(Ok)
//! ```

pub mod backoff;
pub mod clock;
pub mod code;
pub mod decode;
pub mod delivery;
pub mod entropy;
pub mod error;
pub mod exchange;
pub mod failure;
pub mod form;
pub mod headers;
pub mod history;
pub mod keyring;
pub mod multipart;
pub mod origin;
mod outgoing;
pub mod policy;
pub mod redirect;
pub mod request;
pub mod retry;
pub mod slots;
mod span;
pub mod target;
pub mod text;
pub mod timeouts;
pub mod trace;
pub mod upload;

pub use clock::{Instant, Now};
pub use code::ErrorCode;
pub use delivery::Delivery;
pub use entropy::Entropy;
pub use error::{Cause, Error, Invalid, Kind};
pub use exchange::{Event, Exchange, Step};
pub use headers::Headers;
pub use origin::Origin;
pub use policy::Policy;
pub use redirect::Redirect;
pub use request::Request;
pub use retry::Retry;
pub use slots::Slots;
pub use target::Target;
pub use timeouts::{Phase, Timeouts};
pub use trace::Trace;
