//! Compressed blocks: literals, and sequences that say where to copy from (RFC 8878 section 3.1.1.3).

use super::bits::{BackwardBits, CORRUPT, SHORT};
use super::fse::Table;
use super::huffman::Codes;
use super::{MAX_BLOCK, number};
use crate::decode::Reason;

/// What the blocks of a frame share.
#[derive(Debug, Default)]
pub(super) struct Block {
    codes: Option<Codes>,
    lengths: Option<Table>,
    offsets: Option<Table>,
    matches: Option<Table>,
    /// The offsets that were used last, the latest first.
    recent: [usize; 3],
    literals: Vec<u8>,
}

impl Block {
    /// Forgets the frame before.
    pub(super) fn begin_frame(&mut self) {
        (self.codes, self.lengths, self.offsets, self.matches) = (None, None, None, None);
        self.recent = [1, 4, 8];
    }

    /// Appends what a block decodes to, at most `max` bytes, copying from no further back than `reach`.
    pub(super) fn decode(
        &mut self,
        block: &[u8],
        window: &mut Vec<u8>,
        reach: usize,
        max: usize,
    ) -> Result<(), Reason> {
        self.literals.clear();
        let rest = self.read_literals(block)?;
        let start = window.len();
        let used = self.run_sequences(rest, window, reach, start + max)?;
        let literals = &self.literals[used..];
        if window.len() + literals.len() > start + max {
            return Err(CORRUPT);
        }
        window.extend_from_slice(literals);
        Ok(())
    }

    /// Reads the literals, and says what follows them.
    fn read_literals<'a>(&mut self, block: &'a [u8]) -> Result<&'a [u8], Reason> {
        let first = *block.first().ok_or(SHORT)?;
        let (kind, format) = (first & 3, first >> 2 & 3);
        if kind < 2 {
            let (bytes, shift) = [(1, 3), (2, 4), (1, 3), (3, 4)][usize::from(format)];
            let (header, rest) = block.split_at_checked(bytes).ok_or(SHORT)?;
            let size = (number(header) >> shift) as usize;
            if size > MAX_BLOCK {
                return Err(CORRUPT);
            }
            let (literals, rest) = rest.split_at_checked(if kind == 0 { size } else { 1 }).ok_or(SHORT)?;
            match kind {
                0 => self.literals.extend_from_slice(literals),
                _ => self.literals.resize(size, literals[0]),
            }
            return Ok(rest);
        }
        let (bytes, width) = [(3, 10), (3, 10), (4, 14), (5, 18)][usize::from(format)];
        let (header, rest) = block.split_at_checked(bytes).ok_or(SHORT)?;
        let header = number(header);
        let mask = (1 << width) - 1;
        let size = (header >> 4 & mask) as usize;
        let (mut streams, rest) = rest.split_at_checked((header >> (4 + width) & mask) as usize).ok_or(SHORT)?;
        if size > MAX_BLOCK {
            return Err(CORRUPT);
        }
        if kind == 2 {
            let (codes, after) = Codes::read(streams)?;
            self.codes = Some(codes);
            streams = after;
        }
        let codes = self.codes.as_ref().ok_or(CORRUPT)?;
        if format == 0 {
            codes.decode(streams, size, &mut self.literals)?;
            return Ok(rest);
        }
        let (sizes, mut streams) = streams.split_at_checked(6).ok_or(SHORT)?;
        let quarter = size.div_ceil(4);
        let last = size.checked_sub(3 * quarter).ok_or(CORRUPT)?;
        for size in sizes.chunks(2) {
            let (stream, after) = streams.split_at_checked(number(size) as usize).ok_or(SHORT)?;
            codes.decode(stream, quarter, &mut self.literals)?;
            streams = after;
        }
        codes.decode(streams, last, &mut self.literals)?;
        Ok(rest)
    }

    /// Runs the sequences and says how many literals they used.
    fn run_sequences(
        &mut self,
        section: &[u8],
        window: &mut Vec<u8>,
        reach: usize,
        end: usize,
    ) -> Result<usize, Reason> {
        let (count, rest) = match *section {
            [0] => return Ok(0),
            [count @ 1..=127, ref rest @ ..] => (usize::from(count), rest),
            [high @ 128..=254, low, ref rest @ ..] => (usize::from(high - 128) << 8 | usize::from(low), rest),
            [255, low, high, ref rest @ ..] => (0x7f00 + usize::from(u16::from_le_bytes([low, high])), rest),
            _ => return Err(CORRUPT),
        };
        let (&modes, rest) = rest.split_first().ok_or(SHORT)?;
        if modes & 3 != 0 {
            return Err(CORRUPT);
        }
        let rest = LENGTHS.read(&mut self.lengths, modes >> 6, rest)?;
        let rest = OFFSETS.read(&mut self.offsets, modes >> 4 & 3, rest)?;
        let rest = MATCHES.read(&mut self.matches, modes >> 2 & 3, rest)?;
        let (Some(lengths), Some(offsets), Some(matches)) = (&self.lengths, &self.offsets, &self.matches) else {
            return Err(CORRUPT);
        };

        let mut bits = BackwardBits::new(rest)?;
        let mut length_state = lengths.begin(&mut bits);
        let mut offset_state = offsets.begin(&mut bits);
        let mut match_state = matches.begin(&mut bits);
        let mut used = 0;
        for left in (0..count).rev() {
            let offset_code = u32::from(offsets.symbol(&offset_state));
            let (match_base, match_bits) = MATCH_CODES[usize::from(matches.symbol(&match_state))];
            let (length_base, length_bits) = LENGTH_CODES[usize::from(lengths.symbol(&length_state))];
            // The order of the extra bits, and then of the states, is that of RFC 8878 section 3.1.1.3.2.1.2.
            let offset = (1 << offset_code) + bits.take(offset_code) as usize;
            let copied = match_base + bits.take(match_bits) as usize;
            let length = length_base + bits.take(length_bits) as usize;
            if left > 0 {
                lengths.advance(&mut length_state, &mut bits);
                matches.advance(&mut match_state, &mut bits);
                offsets.advance(&mut offset_state, &mut bits);
            }
            if bits.left() < 0 {
                return Err(SHORT);
            }
            let offset = next_offset(&mut self.recent, offset, length)?;
            let literals = self.literals.get(used..used + length).ok_or(CORRUPT)?;
            used += length;
            if window.len() + length + copied > end {
                return Err(CORRUPT);
            }
            window.extend_from_slice(literals);
            if offset > window.len().min(reach) {
                return Err(CORRUPT);
            }
            repeat(window, offset, copied);
        }
        if bits.left() == 0 { Ok(used) } else { Err(CORRUPT) }
    }
}

/// Appends this many bytes from that far back; what is appended may be copied again.
fn repeat(window: &mut Vec<u8>, offset: usize, count: usize) {
    let start = window.len() - offset;
    let mut left = count;
    while left > 0 {
        let copied = left.min(window.len() - start);
        window.extend_from_within(start..start + copied);
        left -= copied;
    }
}

/// The offset that a value stands for: itself less three, or one that was used lately (RFC 8878 section 3.1.1.5).
fn next_offset(recent: &mut [usize; 3], value: usize, length: usize) -> Result<usize, Reason> {
    let [first, second, third] = *recent;
    // Without literals between them, the same offset again would have been one longer match.
    let index = value + usize::from(length == 0);
    *recent = match value {
        1..=3 => match index {
            1 => [first, second, third],
            2 => [second, first, third],
            3 => [third, first, second],
            _ => [first - 1, first, second],
        },
        _ => [value - 3, first, second],
    };
    if recent[0] == 0 { Err(CORRUPT) } else { Ok(recent[0]) }
}

/// One of the three tables of sequences.
struct Kind {
    symbols: usize,
    max_log: u32,
    default: &'static [i16],
    default_log: u32,
}

impl Kind {
    /// Sets the table as its mode says, and says what follows its description.
    fn read<'a>(&self, table: &mut Option<Table>, mode: u8, bytes: &'a [u8]) -> Result<&'a [u8], Reason> {
        let (read, rest) = match mode {
            0 => (Table::new(self.default, self.default_log)?, bytes),
            1 => {
                let (&symbol, rest) = bytes.split_first().ok_or(SHORT)?;
                if usize::from(symbol) >= self.symbols {
                    return Err(CORRUPT);
                }
                (Table::repeating(symbol), rest)
            }
            2 => Table::read(bytes, self.symbols, self.max_log)?,
            // The table of the block before.
            _ => return Ok(bytes),
        };
        *table = Some(read);
        Ok(rest)
    }
}

/// How many literals come before a match.
const LENGTHS: Kind = Kind {
    symbols: 36,
    max_log: 9,
    default: &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
    ],
    default_log: 6,
};

/// How far back a match is. More than 31 bits are not needed for any window.
const OFFSETS: Kind = Kind {
    symbols: 32,
    max_log: 8,
    default: &[1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
    default_log: 5,
};

/// How long a match is.
const MATCHES: Kind = Kind {
    symbols: 53,
    max_log: 9,
    default: &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    default_log: 6,
};

/// For each code of a number of literals the least number, and how many bits are added to it.
const LENGTH_CODES: [(usize, u32); 36] = code_table(
    0,
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
);

/// For each code of a length of a match the least length, and how many bits are added to it.
const MATCH_CODES: [(usize, u32); 53] = code_table(
    3,
    [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2,
        2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    ],
);

/// Codes that each begin where the one before ends.
const fn code_table<const N: usize>(least: usize, bits: [u32; N]) -> [(usize, u32); N] {
    let mut table = [(least, 0); N];
    let (mut code, mut next) = (0, least);
    while code < N {
        table[code] = (next, bits[code]);
        next += 1 << bits[code];
        code += 1;
    }
    table
}
