//! The same awkward servers played to urlpool and to other clients, and a table of who does what is right.
//!
//! - A [`Case`] is a script that two servers on the loopback play, what the client is asked to do, and a judge, who sees
//!   what the servers saw and what the caller got. What is right stands with it, with the place that says so.
//! - A [`Contender`] is a client: ours in this process, each other one in a process of its own, at its defaults.
//! - [`play`] plays a case to a contender, [`Table`] shows what came of it.
//!
//! `cargo xtask compare` runs it all; the outside proof holds that ours has no wrong cell.

mod case;
mod cases;
mod contender;
mod gzip;
mod play;
mod table;

pub use case::{Answer, Ask, Case, Group, Play, Told, Urls, Verdict};
pub use cases::all;
pub use contender::Contender;
pub use play::play;
pub use table::{Cell, Table};
