//! How much memory an instance has, and may have.

use wasmtime::ResourceLimiter;

/// Counts the linear memories of a store together, and refuses what exceeds a limit.
pub(crate) struct Meter {
    limit: usize,
    memory: usize,
    refused: bool,
}

impl Meter {
    /// With so many bytes for all memories together.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, memory: 0, refused: false }
    }

    /// Whether a memory was not let grow since this was asked last.
    pub(crate) fn refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The guest's own limit, of which wasmtime asks here too, has nothing to do with this one.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let memory = self.memory.saturating_add(desired.saturating_sub(current));
        if memory > self.limit {
            self.refused = true;
            return Ok(false);
        }
        self.memory = memory;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // Each element takes the space of a pointer, which counts for much less than the memories.
        Ok(desired.saturating_mul(size_of::<usize>()) <= self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_of_an_instance_share_the_limit() {
        let mut meter = Meter::new(100);
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(meter.memory_growing(0, 40, None).unwrap());
        assert!(!meter.refused());
        assert!(!meter.memory_growing(60, 61, None).unwrap());
        assert!(meter.refused());
        assert!(!meter.refused());
    }

    #[test]
    fn what_exceeds_a_limit_of_the_guest_s_own_does_not_count() {
        let mut meter = Meter::new(100);
        assert!(meter.memory_growing(0, 60, Some(60)).unwrap());
        for _ in 0..3 {
            assert!(!meter.memory_growing(60, 80, Some(60)).unwrap());
            assert!(!meter.refused());
        }
        assert!(meter.memory_growing(0, 40, None).unwrap());
    }
}
