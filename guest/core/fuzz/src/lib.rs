//! What holds of `urlpool-core` whatever comes in.
//!
//! Each target is a plain function of bytes that panics when it finds something. libFuzzer drives them by
//! `fuzz_targets/`, with inputs that reach new code. [`random`] drives them on any toolchain, with the kept seeds and
//! random changes of them. `cargo xtask fuzz` runs the first where it can, and the second otherwise.
//!
//! A finding becomes a seed, so that every later run begins with it, and a test in `guest/core/tests` that says what
//! happened before.

mod coding;
mod encode;
mod codings;
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

/// One target: a name, what it holds to be true, and the function that tries it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its binary and of the folder of its seeds.
    pub name: &'static str,
    /// What it tries, in a few words.
    pub subject: &'static str,
    /// The longest input that is worth trying.
    pub longest: usize,
    /// Panics at a finding.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 11] = [
    Target { name: "location", subject: "where a redirect leads, with which headers", longest: 512, run: location },
    Target { name: "retry_after", subject: "Retry-After and the delays between attempts", longest: 128, run: retry_after },
    Target { name: "gzip", subject: "the decoder of gzip", longest: 4096, run: gzip },
    Target { name: "deflate", subject: "the decoder of deflate, in zlib and raw", longest: 4096, run: deflate },
    Target { name: "br", subject: "the decoder of br", longest: 4096, run: br },
    Target { name: "zstd", subject: "the decoder of zstd", longest: 4096, run: zstd },
    Target { name: "codings", subject: "lists of codings, and the limits of a body", longest: 4096, run: codings },
    Target { name: "multipart", subject: "forms, written and written again", longest: 4096, run: multipart },
    Target { name: "headers", subject: "headers, methods, media types and text", longest: 1024, run: headers },
    Target { name: "url", subject: "URLs, their query and their userinfo", longest: 512, run: url },
    Target { name: "exchange", subject: "calls that share slots, whatever happens to them", longest: 2048, run: exchange },
];
