//! What holds of `urlpool-core` whatever comes in.
//!
//! Each target is a plain function of bytes that panics when it finds something. libFuzzer drives them by
//! `fuzz_targets/`, with inputs that reach new code. [`random`] drives them on any toolchain, with the kept seeds and
//! random changes of them. `cargo xtask fuzz` runs the first where it can, and the second otherwise.
//!
//! A finding becomes a seed, so that every later run begins with it, and a test in `guest/core/tests` that says what
//! happened before.

mod coding;
mod codings;
mod encode;
mod exchange;
mod headers;
mod location;
mod multipart;
pub mod random;
mod retry_after;
mod url;

pub use coding::{br, deflate, gzip, zstd};
pub use codings::codings;
pub use exchange::exchange;
pub use headers::headers;
pub use location::location;
pub use multipart::multipart;
pub use retry_after::retry_after_and_delays as retry_after;
pub use url::url;

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its binary and of the folder of its seeds.
    pub name: &'static str,
    /// The longest input that is worth trying.
    pub longest: usize,
    /// Panics at a finding.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 11] = [
    Target { name: "location", longest: 512, run: location },
    Target { name: "retry_after", longest: 128, run: retry_after },
    Target { name: "gzip", longest: 4096, run: gzip },
    Target { name: "deflate", longest: 4096, run: deflate },
    Target { name: "br", longest: 4096, run: br },
    Target { name: "zstd", longest: 4096, run: zstd },
    Target { name: "codings", longest: 4096, run: codings },
    Target { name: "multipart", longest: 4096, run: multipart },
    Target { name: "headers", longest: 1024, run: headers },
    Target { name: "url", longest: 512, run: url },
    Target { name: "exchange", longest: 2048, run: exchange },
];
