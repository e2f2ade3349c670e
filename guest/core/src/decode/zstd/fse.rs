//! Finite state entropy tables (RFC 8878 section 4.1).

use super::bits::{BackwardBits, CORRUPT, ForwardBits};
use crate::decode::Reason;

/// What a state stands for, and where it leads.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    symbol: u8,
    bits: u8,
    base: u16,
}

/// A decoding table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    log: u32,
    entries: Vec<Entry>,
}

impl Table {
    /// A table of one symbol, which takes no bits.
    pub(super) fn repeating(symbol: u8) -> Self {
        Self { log: 0, entries: vec![Entry { symbol, bits: 0, base: 0 }] }
    }

    /// Reads the description of a table with at most this many symbols, and says what follows it.
    pub(super) fn read(bytes: &[u8], symbols: usize, max_log: u32) -> Result<(Self, &[u8]), Reason> {
        let mut bits = ForwardBits::new(bytes);
        let log = bits.take(4)? + 5;
        if log > max_log {
            return Err(CORRUPT);
        }
        let mut counts = Vec::with_capacity(symbols);
        let mut remaining = 1_u32 << log;
        while remaining > 0 {
            // A value up to `remaining + 1` comes next. The small ones take one bit less.
            let width = (remaining + 1).ilog2() + 1;
            let short = (1 << width) - 2 - remaining;
            let low = (1 << (width - 1)) - 1;
            let mut value = bits.take(width)?;
            if value & low < short {
                bits.untake();
                value &= low;
            } else if value > low {
                value -= short;
            }
            let count = value as i32 - 1;
            remaining = remaining.checked_sub(count.unsigned_abs()).ok_or(CORRUPT)?;
            counts.push(count as i16);
            if count == 0 {
                loop {
                    let zeros = bits.take(2)?;
                    counts.extend((0..zeros).map(|_| 0));
                    if zeros < 3 || counts.len() > symbols {
                        break;
                    }
                }
            }
            if counts.len() > symbols {
                return Err(CORRUPT);
            }
        }
        Ok((Self::new(&counts, log)?, bits.rest()))
    }

    /// The table in which each symbol has as many states as counted here; -1 is one state that is left for any other.
    pub(super) fn new(counts: &[i16], log: u32) -> Result<Self, Reason> {
        let size = 1_usize << log;
        let mut entries = vec![Entry::default(); size];
        let mut next = [0_u16; 256];
        let mut high = size;
        for (symbol, &count) in counts.iter().enumerate() {
            if count == -1 {
                high = high.checked_sub(1).ok_or(CORRUPT)?;
                entries[high].symbol = symbol as u8;
                next[symbol] = 1;
            }
        }
        let step = (size >> 1) + (size >> 3) + 3;
        let mut place = 0;
        for (symbol, &count) in counts.iter().enumerate() {
            for _ in 0..count.max(0) {
                entries[place].symbol = symbol as u8;
                next[symbol] = count as u16;
                loop {
                    place = (place + step) & (size - 1);
                    if place < high {
                        break;
                    }
                    // Only counts of more than there is room for could keep this going.
                    if high == 0 {
                        return Err(CORRUPT);
                    }
                }
            }
        }
        if place != 0 {
            return Err(CORRUPT);
        }
        for entry in &mut entries {
            let state = &mut next[usize::from(entry.symbol)];
            // No symbol is in the table without a count.
            entry.bits = (log - u32::from(*state).checked_ilog2().ok_or(CORRUPT)?) as u8;
            entry.base = ((usize::from(*state) << entry.bits) - size) as u16;
            *state += 1;
        }
        Ok(Self { log, entries })
    }

    /// The state that a stream begins with.
    pub(super) fn begin(&self, bits: &mut BackwardBits<'_>) -> State {
        State(bits.take(self.log) as u16)
    }

    /// The symbol of a state of this table.
    pub(super) fn symbol(&self, state: &State) -> u8 {
        self.entries[usize::from(state.0)].symbol
    }

    /// Moves a state of this table on.
    pub(super) fn advance(&self, state: &mut State, bits: &mut BackwardBits<'_>) {
        let entry = self.entries[usize::from(state.0)];
        state.0 = entry.base + bits.take(u32::from(entry.bits)) as u16;
    }
}

/// A state of one table.
#[derive(Debug)]
pub(super) struct State(u16);
