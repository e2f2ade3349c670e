//! Undoing `Content-Encoding`, piece by piece and without ever holding more than a piece.

#[cfg(feature = "br")]
mod brotli;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(any(feature = "gzip", feature = "deflate"))]
mod inflate;
#[cfg(feature = "zstd")]
mod zstd;

use std::fmt;

use crate::headers::Headers;

/// The most codings that one response may name.
///
/// Each can multiply the size of a body, and no honest server applies more than two. curl and urllib3 stop at five as well.
pub const MAX_CODINGS: usize = 5;

/// The value of `Accept-Encoding` that asks for every coding that is built in; none when there is none.
pub fn accept_encoding() -> Option<&'static str> {
    // Four features make sixteen values, which a constant cannot join.
    match (cfg!(feature = "gzip"), cfg!(feature = "deflate"), cfg!(feature = "br"), cfg!(feature = "zstd")) {
        (true, true, true, true) => Some("gzip, deflate, br, zstd"),
        (true, true, true, false) => Some("gzip, deflate, br"),
        (true, true, false, true) => Some("gzip, deflate, zstd"),
        (true, true, false, false) => Some("gzip, deflate"),
        (true, false, true, true) => Some("gzip, br, zstd"),
        (true, false, true, false) => Some("gzip, br"),
        (true, false, false, true) => Some("gzip, zstd"),
        (true, false, false, false) => Some("gzip"),
        (false, true, true, true) => Some("deflate, br, zstd"),
        (false, true, true, false) => Some("deflate, br"),
        (false, true, false, true) => Some("deflate, zstd"),
        (false, true, false, false) => Some("deflate"),
        (false, false, true, true) => Some("br, zstd"),
        (false, false, true, false) => Some("br"),
        (false, false, false, true) => Some("zstd"),
        (false, false, false, false) => None,
    }
}

/// A coding that is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// gzip (RFC 1952), with any number of members.
    #[cfg(feature = "gzip")]
    Gzip,
    /// deflate: zlib (RFC 1950), and raw deflate (RFC 1951), which some servers send by that name.
    #[cfg(feature = "deflate")]
    Deflate,
    /// Brotli (RFC 7932).
    #[cfg(feature = "br")]
    Br,
    /// Zstandard (RFC 8878), with any number of frames.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Coding {
    /// The coding of this name, in any case of letters; none when it is not built in.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            // RFC 9110 section 8.4.1.3: x-gzip is gzip.
            #[cfg(feature = "gzip")]
            "gzip" | "x-gzip" => Some(Self::Gzip),
            #[cfg(feature = "deflate")]
            "deflate" => Some(Self::Deflate),
            #[cfg(feature = "br")]
            "br" => Some(Self::Br),
            #[cfg(feature = "zstd")]
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The name, as in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => "gzip",
            #[cfg(feature = "deflate")]
            Self::Deflate => "deflate",
            #[cfg(feature = "br")]
            Self::Br => "br",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }

    fn codec(self) -> Box<dyn Codec> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => Box::<gzip::Gzip>::default(),
            #[cfg(feature = "deflate")]
            Self::Deflate => Box::<deflate::Deflate>::default(),
            #[cfg(feature = "br")]
            Self::Br => Box::<brotli::Brotli>::default(),
            #[cfg(feature = "zstd")]
            Self::Zstd => Box::<zstd::Zstd>::default(),
        }
    }
}

/// What the headers of a response say of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codings {
    /// Nothing was applied.
    None,
    /// These were applied, in this order.
    Decode(Vec<Coding>),
    /// One that is not built in was applied: the body can only be handed over as it was sent.
    Passthrough,
    /// More than [`MAX_CODINGS`] were applied.
    TooMany,
}

/// Reads `Content-Encoding`: a list, in any case of letters, that may go on over several fields.
pub fn codings(headers: &Headers) -> Codings {
    let mut codings = Vec::new();
    let mut named = 0;
    for value in headers.get_all("content-encoding") {
        for name in String::from_utf8_lossy(value).split(',').map(str::trim) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            named += 1;
            codings.extend(Coding::named(name));
        }
    }
    match named {
        0 => Codings::None,
        _ if named > MAX_CODINGS => Codings::TooMany,
        _ if codings.len() < named => Codings::Passthrough,
        _ => Codings::Decode(codings),
    }
}

/// How far a [`Decoder::push`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The bytes of the input that are done with. The rest is to be pushed again, first.
    ///
    /// All of them only when the decoder holds no output back.
    pub consumed: usize,
}

/// Undoes codings.
///
/// The output is the same however the input is cut. A body without a byte is an empty body in every coding. Bytes after the end
/// of the coded body are ignored, as every client does.
#[derive(Debug)]
pub struct Decoder {
    /// The coding applied last, and so to be undone first, in front.
    stages: Vec<Stage>,
    /// What each stage but the last has put out and the next one has not taken.
    between: Vec<Vec<u8>>,
    /// Whether the first byte of the next input was taken already, and left with the caller only so that there is a next input.
    held: bool,
}

impl Decoder {
    /// A decoder of a body to which these were applied, in this order.
    pub fn new(codings: &[Coding]) -> Self {
        let stages: Vec<_> = codings.iter().rev().map(|&coding| Stage::new(coding)).collect();
        let between = vec![Vec::new(); stages.len().saturating_sub(1)];
        Self { stages, between, held: false }
    }

    /// Decodes input to the end of `out`, until the input is used up or `out` has grown by `room` bytes.
    ///
    /// `out` grows by no more than `room`, so a small input that decodes to a large body does so in pieces that the caller can count.
    /// A `room` of 0 counts as 1.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the input does not match the coding. What was decoded before it is in `out`, as far as there was room.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<Progress, DecodeError> {
        let before = out.len();
        let limit = before.saturating_add(room.max(1));
        let held = usize::from(self.held && !input.is_empty());
        let step = run(&mut self.stages, &mut self.between, &input[held..], out, limit)?;
        let taken = held + step.consumed;
        // The caller asks again as long as input is left, so one byte stays left while output is.
        self.held = if input.is_empty() { self.held } else { step.full && taken == input.len() };
        let consumed = taken - usize::from(self.held && !input.is_empty());
        // The caller asks again as long as input is left, so one that does not get on would never end.
        match self.stages.first() {
            Some(stage) if consumed == 0 && !input.is_empty() && out.len() == before => {
                Err(stage.failed("its decoder does not get on"))
            }
            Some(_) | None => Ok(Progress { consumed }),
        }
    }

    /// Ends the body, once all input was consumed.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the body was cut short.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        for stage in &self.stages {
            stage.check_end()?;
        }
        Ok(())
    }
}

/// The body does not match its `Content-Encoding`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The name of the coding that failed.
    pub coding: &'static str,
    /// What is wrong, for people.
    pub reason: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.coding, self.reason)
    }
}

impl std::error::Error for DecodeError {}

/// What one stage did with its input.
#[derive(Clone, Copy, Debug)]
struct Stepped {
    /// The bytes taken.
    consumed: usize,
    /// Whether it stopped for want of room, and so may have more output without more input.
    full: bool,
}

/// Why a stage failed.
type Reason = &'static str;

/// What undoes one coding.
trait Codec: fmt::Debug {
    /// Decodes until the input is used up or `out` is `limit` bytes long.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<Stepped, Reason>;

    /// Whether the body may end here.
    fn is_whole(&self) -> bool;
}

#[derive(Debug)]
struct Stage {
    coding: Coding,
    codec: Box<dyn Codec>,
}

impl Stage {
    fn new(coding: Coding) -> Self {
        Self { coding, codec: coding.codec() }
    }

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<Stepped, DecodeError> {
        self.codec.step(input, out, limit).map_err(|reason| self.failed(reason))
    }

    fn check_end(&self) -> Result<(), DecodeError> {
        if self.codec.is_whole() { Ok(()) } else { Err(self.failed("ends too early")) }
    }

    fn failed(&self, reason: Reason) -> DecodeError {
        DecodeError { coding: self.coding.name(), reason: reason.to_owned() }
    }
}

/// Runs the stages, each into the next.
fn run(
    stages: &mut [Stage],
    between: &mut [Vec<u8>],
    input: &[u8],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<Stepped, DecodeError> {
    /// What a stage may put out before the next one has to take it.
    const BETWEEN: usize = 16 * 1024;

    let Some((first, rest)) = stages.split_first_mut() else {
        let consumed = input.len().min(limit - out.len());
        out.extend_from_slice(&input[..consumed]);
        return Ok(Stepped { consumed, full: consumed < input.len() });
    };
    let Some((waiting, between)) = between.split_first_mut() else {
        return first.step(input, out, limit);
    };
    let mut consumed = 0;
    let mut more = true;
    loop {
        let step = run(rest, between, waiting, out, limit)?;
        waiting.drain(..step.consumed);
        if step.full {
            return Ok(Stepped { consumed, full: true });
        }
        if !more {
            return Ok(Stepped { consumed, full: false });
        }
        let step = first.step(&input[consumed..], waiting, BETWEEN)?;
        consumed += step.consumed;
        more = step.full;
    }
}

#[cfg(all(test, feature = "gzip"))]
mod tests {
    use super::*;

    /// A codec that takes nothing and gives nothing.
    #[derive(Debug)]
    struct Stuck;

    impl Codec for Stuck {
        fn step(&mut self, _: &[u8], _: &mut Vec<u8>, _: usize) -> Result<Stepped, Reason> {
            Ok(Stepped { consumed: 0, full: false })
        }

        fn is_whole(&self) -> bool {
            true
        }
    }

    /// No input is known that does this to a real one; it would have kept its reader for good.
    #[test]
    fn a_decoder_that_does_not_get_on_fails() {
        let stage = Stage { coding: Coding::Gzip, codec: Box::new(Stuck) };
        let mut decoder = Decoder { stages: vec![stage], between: Vec::new(), held: false };
        assert_eq!(decoder.push(b"", &mut Vec::new(), 9), Ok(Progress { consumed: 0 }));
        assert!(decoder.push(b"x", &mut Vec::new(), 9).is_err());
    }
}
