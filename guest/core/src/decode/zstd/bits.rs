//! Bit streams, in the two directions that zstd reads them.

use crate::decode::Reason;

/// What a stream that holds too little is refused for.
pub(super) const SHORT: Reason = "has a block that ends too early";

/// What a stream that contradicts itself is refused for.
pub(super) const CORRUPT: Reason = "has a corrupt block";

/// Bits that are read from the end of the bytes to their start, the highest first.
#[derive(Debug)]
pub(super) struct BackwardBits<'a> {
    bytes: &'a [u8],
    /// The bits that are left; negative once more were read than there are.
    left: isize,
}

impl<'a> BackwardBits<'a> {
    /// The bits before the highest one that is set in the last byte.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Reason> {
        match bytes.last() {
            None | Some(0) => Err(CORRUPT),
            Some(last) => {
                let left = bytes.len() as isize * 8 - 1 - last.leading_zeros() as isize;
                Ok(Self { bytes, left })
            }
        }
    }

    /// The next bits, at most 32, without taking them; zeros where there are none left.
    pub(super) fn peek(&self, count: u32) -> u64 {
        let start = self.left - count as isize;
        let (first, missing) = (start.max(0) as usize, (-start).max(0) as u32);
        if missing >= count {
            return 0;
        }
        let (byte, bit) = (first / 8, first % 8);
        let window = match self.bytes.get(byte..byte + 8) {
            Some(window) => u64::from_le_bytes(window.try_into().unwrap_or_default()),
            None => super::number(&self.bytes[byte..]),
        };
        (window >> bit & ((1 << (count - missing)) - 1)) << missing
    }

    /// Takes bits that were peeked at.
    pub(super) fn skip(&mut self, count: u32) {
        self.left = self.left.saturating_sub(count as isize);
    }

    /// Takes the next bits, at most 32.
    pub(super) fn take(&mut self, count: u32) -> u64 {
        let bits = self.peek(count);
        self.skip(count);
        bits
    }

    /// The bits that are left; negative once more were read than there are.
    pub(super) fn left(&self) -> isize {
        self.left
    }
}

/// Bits that are read from the start of the bytes, the lowest first.
#[derive(Debug)]
pub(super) struct ForwardBits<'a> {
    bytes: &'a [u8],
    taken: usize,
}

impl<'a> ForwardBits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, taken: 0 }
    }

    /// Takes the next bits, at most 32.
    pub(super) fn take(&mut self, count: u32) -> Result<u32, Reason> {
        let end = self.taken + count as usize;
        if end > self.bytes.len() * 8 {
            return Err(SHORT);
        }
        let (first, last) = (self.taken / 8, end.div_ceil(8));
        let window = super::number(&self.bytes[first..last]);
        let bits = window >> (self.taken % 8) & ((1 << count) - 1);
        self.taken = end;
        Ok(bits as u32)
    }

    /// Gives one bit back.
    pub(super) fn untake(&mut self) {
        self.taken -= 1;
    }

    /// The bytes after the one that the last bit was taken from.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.taken.div_ceil(8)..]
    }
}
