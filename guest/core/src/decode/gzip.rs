//! The coding `gzip` (RFC 1952): members, one after another.

use flate2::Crc;

use super::inflate::Inflate;
use super::{Codec, Reason, Stepped};

#[derive(Debug)]
pub(super) struct Gzip {
    state: State,
    /// The bytes of the part of the member that is read.
    seen: u64,
    /// The checksum of the header.
    head: Crc,
    /// The checksum and the length of the content.
    body: Crc,
    inflate: Inflate,
    flags: u8,
    /// A number that is read byte by byte, the lowest first.
    number: u64,
    /// Whether a member ended before this one.
    members: bool,
}

/// The part of a member that comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The ten bytes that every member begins with.
    Fixed,
    /// The length of the extra field.
    ExtraLength,
    /// The extra field, this many bytes.
    Extra(u64),
    /// The file name, up to a zero.
    Name,
    /// The comment, up to a zero.
    Comment,
    /// The checksum of the header.
    HeadSum,
    /// The content.
    Body,
    /// The checksum and the length of the content.
    Tail,
    /// What follows the last member.
    After,
}

impl Default for Gzip {
    fn default() -> Self {
        Self {
            state: State::Fixed,
            seen: 0,
            head: Crc::new(),
            body: Crc::new(),
            inflate: Inflate::new(false),
            flags: 0,
            number: 0,
            members: false,
        }
    }
}

impl Codec for Gzip {
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<Stepped, Reason> {
        let mut consumed = 0;
        while consumed < input.len() || self.state == State::Body {
            match self.state {
                State::Body => {
                    let start = out.len();
                    let step = self.inflate.step(&input[consumed..], out, limit)?;
                    consumed += step.consumed;
                    self.body.update(&out[start..]);
                    if !self.inflate.has_ended() {
                        return Ok(Stepped { consumed, full: step.full });
                    }
                    self.enter(State::Tail);
                }
                State::After => consumed = input.len(),
                State::Fixed
                | State::ExtraLength
                | State::Extra(_)
                | State::Name
                | State::Comment
                | State::HeadSum
                | State::Tail => {
                    self.byte(input[consumed])?;
                    consumed += 1;
                }
            }
        }
        Ok(Stepped { consumed, full: false })
    }

    /// Whether the body may end here: before any byte, or after a member.
    ///
    /// The first bytes of a member after the first count as bytes that follow the last one, until they can be nothing but a member.
    fn is_whole(&self) -> bool {
        match self.state {
            State::Fixed if self.members => self.seen < 3,
            State::Fixed => self.seen == 0,
            State::After => true,
            State::ExtraLength
            | State::Extra(_)
            | State::Name
            | State::Comment
            | State::HeadSum
            | State::Body
            | State::Tail => false,
        }
    }
}

impl Gzip {
    fn enter(&mut self, state: State) {
        self.state = state;
        self.seen = 0;
        self.number = 0;
    }

    /// Reads one byte outside the content.
    fn byte(&mut self, byte: u8) -> Result<(), Reason> {
        // Eight bytes of a tail fit, and of ten fixed ones only the flags count.
        self.number |= u64::from(byte).checked_shl(self.seen as u32 * 8).unwrap_or_default();
        self.seen += 1;
        if !matches!(self.state, State::HeadSum | State::Tail) {
            self.head.update(&[byte]);
        }
        match (self.state, self.seen) {
            (State::Fixed, seen @ 1..=3) if byte != MAGIC[seen as usize - 1] => {
                if !self.members {
                    return Err("does not begin with the bytes of gzip");
                }
                self.enter(State::After);
            }
            (State::Fixed, 4) => {
                if byte & !(HEAD_SUM | EXTRA | NAME | COMMENT | TEXT) != 0 {
                    return Err("sets a reserved flag");
                }
                self.flags = byte;
            }
            (State::Fixed, 10) => self.next(State::ExtraLength),
            (State::ExtraLength, 2) => match self.number {
                0 => self.next(State::Name),
                length => self.enter(State::Extra(length)),
            },
            (State::Extra(length), seen) if seen == length => self.next(State::Name),
            (State::Name, _) if byte == 0 => self.next(State::Comment),
            (State::Comment, _) if byte == 0 => self.next(State::HeadSum),
            (State::HeadSum, 2) => {
                if self.number != u64::from(self.head.sum() & 0xffff) {
                    return Err("has a wrong checksum in its header");
                }
                self.next(State::Body);
            }
            (State::Tail, 8) => {
                // ISIZE is the length modulo 2^32, and so is `amount`.
                if self.number != u64::from(self.body.sum()) | u64::from(self.body.amount()) << 32 {
                    return Err("has a wrong checksum or length");
                }
                self.members = true;
                self.head.reset();
                self.body.reset();
                self.inflate.reset();
                self.enter(State::Fixed);
            }
            _ => {}
        }
        Ok(())
    }

    /// Enters this part of the header, or the first one after it that the flags announce.
    fn next(&mut self, state: State) {
        let announced = |flag| self.flags & flag != 0;
        let state = match state {
            State::ExtraLength if announced(EXTRA) => State::ExtraLength,
            State::ExtraLength | State::Name if announced(NAME) => State::Name,
            State::ExtraLength | State::Name | State::Comment if announced(COMMENT) => State::Comment,
            State::ExtraLength | State::Name | State::Comment | State::HeadSum if announced(HEAD_SUM) => State::HeadSum,
            _ => State::Body,
        };
        self.enter(state);
    }
}

/// What a member begins with: two bytes of gzip, and the method deflate.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

const TEXT: u8 = 1;
const HEAD_SUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
