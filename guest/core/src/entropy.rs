//! Randomness as an argument: the shell draws a seed, everything else follows from it.

/// A sequence of numbers that is random where its seed was.
///
/// For jitter and boundaries, not for keys: the sequence is SplitMix64, which
/// passes statistical tests and can be computed backwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entropy(u64);

impl Entropy {
    /// The sequence of this seed, the same each time.
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next sixteen bytes.
    pub fn draw_bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.draw().to_be_bytes());
        bytes[8..].copy_from_slice(&self.draw().to_be_bytes());
        bytes
    }
}
