//! The coding `deflate`: zlib (RFC 1950), or the raw format that some servers send instead.

use super::inflate::Inflate;
use super::{Codec, Reason, Stepped};

#[derive(Debug, Default)]
pub(super) struct Deflate {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing came.
    #[default]
    Empty,
    /// The first byte, which alone does not tell zlib from raw deflate.
    First(u8),
    Body(Inflate),
}

impl Codec for Deflate {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<Stepped, Reason> {
        let mut consumed = 0;
        loop {
            match &mut self.state {
                State::Empty => {
                    let Some(&first) = input.get(consumed) else { break };
                    self.state = State::First(first);
                    consumed += 1;
                }
                State::First(first) => {
                    let first = *first;
                    let Some(&second) = input.get(consumed) else { break };
                    let mut body = Inflate::new(is_zlib(first, second));
                    // One byte makes no output, so it cannot be short of room.
                    let mut nothing = Vec::new();
                    body.step(&[first], &mut nothing, 1)?;
                    self.state = State::Body(body);
                }
                State::Body(body) => {
                    let step = body.step(&input[consumed..], out, limit)?;
                    consumed += step.consumed;
                    if body.has_ended() {
                        consumed = input.len();
                    }
                    return Ok(Stepped { consumed, full: step.full });
                }
            }
        }
        Ok(Stepped { consumed, full: false })
    }

    fn is_whole(&self) -> bool {
        match &self.state {
            State::Empty => true,
            State::First(_) => false,
            State::Body(body) => body.has_ended(),
        }
    }
}

/// Whether these two bytes begin zlib: method 8, a window of at most 32 KiB, and the check that makes both a multiple of 31.
///
/// As the start of raw deflate they would be a stored block of odd bits, which no compressor writes.
fn is_zlib(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}
