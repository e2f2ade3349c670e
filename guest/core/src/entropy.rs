//! Randomness as an argument: the shell draws it, and everything else follows from that.

/// What is random in one exchange: its jitter, and the boundary of its form.
///
/// The numbers are those of SplitMix64, which passes statistical tests and can be computed backwards. That does for jitter. A
/// boundary goes to the server, and one that told of the next would let whoever supplies a file forge parts of a form.
/// So it is random by itself, unless a run is to be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entropy {
    state: u64,
    boundary: Option<[u8; 16]>,
}

impl Entropy {
    /// The sequence of this seed, the same each time, and a boundary out of it: for runs that are repeated.
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed, boundary: None }
    }

    /// The sequence of a seed for jitter, and the bytes of a boundary that nothing tells.
    pub fn fresh(jitter: u64, boundary: [u8; 16]) -> Self {
        Self { state: jitter, boundary: Some(boundary) }
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The bytes of a boundary: those that were given, or the next sixteen of the sequence.
    pub fn boundary(&mut self) -> [u8; 16] {
        if let Some(given) = self.boundary {
            return given;
        }
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.draw().to_be_bytes());
        bytes[8..].copy_from_slice(&self.draw().to_be_bytes());
        bytes
    }
}
