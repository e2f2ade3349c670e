//! Huffman codes of literals (RFC 8878 section 4.2).

use super::bits::{BackwardBits, CORRUPT, SHORT};
use super::fse::Table;
use crate::decode::Reason;

/// The longest code.
const MAX_BITS: u32 = 11;

/// A decoding table: for each value of the next bits the symbol, and how many of them are its code.
#[derive(Debug)]
pub(super) struct Codes {
    bits: u32,
    entries: Vec<(u8, u8)>,
}

impl Codes {
    /// Reads the description of the codes, and says what follows it.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Reason> {
        let (&header, rest) = bytes.split_first().ok_or(SHORT)?;
        let header = usize::from(header);
        let (mut weights, rest) = if header < 128 {
            let (compressed, rest) = rest.split_at_checked(header).ok_or(SHORT)?;
            (compressed_weights(compressed)?, rest)
        } else {
            let count = header - 127;
            let (nibbles, rest) = rest.split_at_checked(count.div_ceil(2)).ok_or(SHORT)?;
            let mut weights: Vec<u8> = nibbles.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
            weights.truncate(count);
            (weights, rest)
        };
        if weights.iter().any(|&weight| u32::from(weight) > MAX_BITS) {
            return Err(CORRUPT);
        }
        // The last weight is not written: it fills the codes up to a power of two.
        let sum: u32 = weights.iter().map(|&weight| 1 << weight >> 1).sum();
        let bits = sum.checked_ilog2().ok_or(CORRUPT)? + 1;
        let left = (1 << bits) - sum;
        if bits > MAX_BITS || !left.is_power_of_two() {
            return Err(CORRUPT);
        }
        weights.push(left.ilog2() as u8 + 1);

        let mut entries = Vec::with_capacity(1 << bits);
        for weight in 1..=bits as u8 {
            for (symbol, _) in weights.iter().enumerate().filter(|&(_, &other)| other == weight) {
                let entry = (symbol as u8, bits as u8 + 1 - weight);
                entries.resize(entries.len() + (1 << (weight - 1)), entry);
            }
        }
        Ok((Self { bits, entries }, rest))
    }

    /// Decodes this many literals of one stream, which must end with them.
    pub(super) fn decode(&self, stream: &[u8], count: usize, literals: &mut Vec<u8>) -> Result<(), Reason> {
        let mut bits = BackwardBits::new(stream)?;
        for _ in 0..count {
            let (symbol, length) = self.entries[bits.peek(self.bits) as usize];
            bits.skip(u32::from(length));
            literals.push(symbol);
        }
        if bits.left() == 0 { Ok(()) } else { Err(CORRUPT) }
    }
}

/// The weights that two alternating states give until the bits end.
fn compressed_weights(bytes: &[u8]) -> Result<Vec<u8>, Reason> {
    /// With the weight that is not written there are at most 256.
    const MAX_WEIGHTS: usize = 255;

    let (table, stream) = Table::read(bytes, MAX_BITS as usize + 1, 6)?;
    let mut bits = BackwardBits::new(stream)?;
    let mut state = table.begin(&mut bits);
    let mut other = table.begin(&mut bits);
    if bits.left() < 0 {
        return Err(SHORT);
    }
    let mut weights = Vec::new();
    while weights.len() < MAX_WEIGHTS {
        weights.push(table.symbol(&state));
        table.advance(&mut state, &mut bits);
        if bits.left() < 0 {
            weights.push(table.symbol(&other));
            break;
        }
        std::mem::swap(&mut state, &mut other);
    }
    if bits.left() >= 0 || weights.len() > MAX_WEIGHTS {
        return Err(CORRUPT);
    }
    Ok(weights)
}
