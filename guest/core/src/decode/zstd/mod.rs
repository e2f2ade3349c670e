//! The coding `zstd` (RFC 8878): frames, one after another.
//!
//! An own decoder, since it puts out each block as soon as it came. One that keeps a window's worth back until the frame ends would hold up a server
//! that streams, for up to 8 MiB.

mod bits;
mod block;
mod fse;
mod huffman;
mod xxhash;

use block::Block;
use xxhash::Xxh64;

use super::{Codec, Reason, Stepped};

/// The largest window that a frame may ask for: what RFC 9659 allows for this coding.
const MAX_WINDOW: u64 = 8 << 20;

/// The largest block, RFC 8878 section 3.1.1.2.4.
const MAX_BLOCK: usize = 128 << 10;

#[derive(Debug)]
pub(super) struct Zstd {
    state: State,
    /// The bytes of the state's part that came.
    part: Vec<u8>,
    frame: Frame,
    /// What was decoded of the frame: at least a window, as far as there is as much.
    window: Vec<u8>,
    /// The bytes at the end of the window that were not put out.
    pending: usize,
    block: Block,
    /// Whether a frame ended before.
    frames: bool,
}

/// The part of a frame that comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The number that a frame begins with.
    Magic,
    /// The byte that says what the header holds.
    Descriptor,
    /// The rest of the header, by its descriptor.
    Header(u8),
    BlockHeader,
    Raw {
        size: usize,
        last: bool,
    },
    Repeated {
        size: usize,
        last: bool,
    },
    Compressed {
        size: usize,
        last: bool,
    },
    Checksum,
    /// The length of a frame to skip.
    SkipLength,
    /// A frame to skip, of which this much is left.
    Skip(u32),
    /// What follows the last frame.
    After,
}

/// What the header of a frame says, and what is counted against it.
#[derive(Debug, Default)]
struct Frame {
    window: usize,
    size: Option<u64>,
    came: u64,
    checksum: Option<Xxh64>,
}

impl Default for Zstd {
    fn default() -> Self {
        Self {
            state: State::Magic,
            part: Vec::new(),
            frame: Frame::default(),
            window: Vec::new(),
            pending: 0,
            block: Block::default(),
            frames: false,
        }
    }
}

impl Codec for Zstd {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<Stepped, Reason> {
        let mut consumed = 0;
        loop {
            let pending = &self.window[self.window.len() - self.pending..];
            let given = pending.len().min(limit.saturating_sub(out.len()));
            out.extend_from_slice(&pending[..given]);
            self.pending -= given;
            if self.pending > 0 {
                return Ok(Stepped { consumed, full: true });
            }
            let rest = &input[consumed..];
            match self.state {
                State::Skip(left) => {
                    let skipped = rest.len().min(left as usize);
                    consumed += skipped;
                    self.state = match left - skipped as u32 {
                        0 => State::Magic,
                        left => State::Skip(left),
                    };
                    if rest.is_empty() {
                        return Ok(Stepped { consumed, full: false });
                    }
                }
                State::After => return Ok(Stepped { consumed: input.len(), full: false }),
                state => {
                    let missing = state.size() - self.part.len();
                    let taken = rest.len().min(missing);
                    self.part.extend_from_slice(&rest[..taken]);
                    consumed += taken;
                    if taken < missing {
                        return Ok(Stepped { consumed, full: false });
                    }
                    let part = std::mem::take(&mut self.part);
                    let next = self.read(state, &part);
                    self.part = part;
                    self.part.clear();
                    self.state = next?;
                }
            }
        }
    }

    /// Whether the body may end here: before any byte, or after a frame. Less than a magic number after a frame counts as bytes that follow it.
    fn is_whole(&self) -> bool {
        match self.state {
            State::Magic => self.frames || self.part.is_empty(),
            State::After => true,
            State::Descriptor
            | State::Header(_)
            | State::BlockHeader
            | State::Raw { .. }
            | State::Repeated { .. }
            | State::Compressed { .. }
            | State::Checksum
            | State::SkipLength
            | State::Skip(_) => false,
        }
    }
}

impl Zstd {
    /// Reads a whole part and says which comes next.
    fn read(&mut self, state: State, part: &[u8]) -> Result<State, Reason> {
        match state {
            State::Magic => match number(part) {
                0xfd2f_b528 => Ok(State::Descriptor),
                0x184d_2a50..=0x184d_2a5f => Ok(State::SkipLength),
                _ if self.frames => Ok(State::After),
                _ => Err("does not begin with the bytes of zstd"),
            },
            State::SkipLength => {
                self.frames = true;
                Ok(State::Skip(number(part) as u32))
            }
            State::Descriptor => match part[0] {
                descriptor if descriptor & 8 != 0 => Err("sets a reserved bit"),
                descriptor => Ok(State::Header(descriptor)),
            },
            State::Header(descriptor) => {
                self.frame = Frame::read(descriptor, part)?;
                self.window.clear();
                self.block.begin_frame();
                Ok(State::BlockHeader)
            }
            State::BlockHeader => {
                let header = number(part) as usize;
                let (last, size) = (header & 1 == 1, header >> 3);
                if size > self.frame.max_block() {
                    return Err("has a block that is too large");
                }
                match header >> 1 & 3 {
                    0 => Ok(State::Raw { size, last }),
                    1 => Ok(State::Repeated { size, last }),
                    2 => Ok(State::Compressed { size, last }),
                    _ => Err("has a block of a reserved type"),
                }
            }
            State::Raw { last, .. } => self.decoded(last, |_, window, _| {
                window.extend_from_slice(part);
                Ok(())
            }),
            State::Repeated { size, last } => self.decoded(last, |_, window, _| {
                window.resize(window.len() + size, part[0]);
                Ok(())
            }),
            State::Compressed { last, .. } => {
                self.decoded(last, |block, window, frame| block.decode(part, window, frame.window, frame.max_block()))
            }
            State::Checksum => {
                let sum = self.frame.checksum.take().map(|hash| hash.finish() & 0xffff_ffff);
                if sum != Some(number(part)) {
                    return Err("has a wrong checksum");
                }
                self.frames = true;
                Ok(State::Magic)
            }
            State::Skip(_) | State::After => Ok(state),
        }
    }

    /// Appends a block to the window and says which part comes next.
    fn decoded(
        &mut self,
        last: bool,
        decode: impl FnOnce(&mut Block, &mut Vec<u8>, &Frame) -> Result<(), Reason>,
    ) -> Result<State, Reason> {
        // All was put out by now. Moving the window only when it has doubled makes the cost of a byte constant.
        if self.window.len() > 2 * self.frame.window.max(MAX_BLOCK) {
            self.window.drain(..self.window.len() - self.frame.window);
        }
        let start = self.window.len();
        decode(&mut self.block, &mut self.window, &self.frame)?;
        let came = &self.window[start..];
        self.pending = came.len();
        self.frame.came += came.len() as u64;
        if let Some(hash) = &mut self.frame.checksum {
            hash.update(came);
        }
        match self.frame.size {
            Some(size) if self.frame.came > size || (last && self.frame.came < size) => {
                return Err("has another length than its header says");
            }
            _ => {}
        }
        Ok(match (last, &self.frame.checksum) {
            (false, _) => State::BlockHeader,
            (true, Some(_)) => State::Checksum,
            (true, None) => {
                self.frames = true;
                State::Magic
            }
        })
    }
}

impl State {
    /// The bytes that the part has.
    fn size(self) -> usize {
        match self {
            Self::Magic | Self::Checksum | Self::SkipLength => 4,
            Self::Descriptor | Self::Repeated { .. } => 1,
            Self::Header(descriptor) => {
                let (window, dictionary, size) = header_parts(descriptor);
                window + dictionary + size
            }
            Self::BlockHeader => 3,
            Self::Raw { size, .. } | Self::Compressed { size, .. } => size,
            Self::Skip(_) | Self::After => 0,
        }
    }
}

impl Frame {
    fn read(descriptor: u8, header: &[u8]) -> Result<Self, Reason> {
        let (window, dictionary, _) = header_parts(descriptor);
        let (window, rest) = header.split_at(window);
        let (dictionary, size) = rest.split_at(dictionary);
        if number(dictionary) != 0 {
            return Err("needs a dictionary");
        }
        let size = match size.len() {
            0 => None,
            // Two bytes count from where one byte ends.
            2 => Some(number(size) + 256),
            _ => Some(number(size)),
        };
        let window = match window {
            [byte, ..] => {
                let base = 1_u64 << (10 + (byte >> 3));
                base + base / 8 * u64::from(byte & 7)
            }
            [] => size.unwrap_or_default(),
        };
        if window > MAX_WINDOW {
            return Err("needs a window of more than 8 MiB");
        }
        let checksum = (descriptor & 4 != 0).then(Xxh64::default);
        Ok(Self { window: window as usize, size, came: 0, checksum })
    }

    fn max_block(&self) -> usize {
        self.window.min(MAX_BLOCK)
    }
}

/// The bytes of the window, the dictionary's number and the content's size in the header of a frame.
fn header_parts(descriptor: u8) -> (usize, usize, usize) {
    let single = descriptor >> 5 & 1 == 1;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match descriptor >> 6 {
        0 => usize::from(single),
        flag => 1 << flag,
    };
    (usize::from(!single), dictionary, size)
}

/// A number of up to eight bytes, the lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
