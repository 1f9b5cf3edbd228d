//! Memory for tables that costs only what is written to.

use std::ops::{Deref, DerefMut};

/// Zeros that the system gives page by page, when they are first written.
///
/// An allocator does so for large pieces, but glibc's takes pieces of up to
/// 32 MiB for small ones once such a piece was freed, and clears the whole of
/// each: the shards of a seed's nodes would take more time than its run. So a
/// piece that is not small is never asked for as less than that.
pub(crate) struct Sparse {
    memory: Vec<u8>,
    len: usize,
}

impl Sparse {
    /// What glibc's allocator never takes for small (`DEFAULT_MMAP_THRESHOLD_MAX`).
    const LARGE: usize = 33 << 20;

    /// What is cleared in no time.
    const SMALL: usize = 1 << 20;

    /// So many zeros.
    pub(crate) fn new(len: usize) -> Self {
        let taken = if len <= Self::SMALL { len } else { len.max(Self::LARGE) };
        Self { memory: vec![0; taken], len }
    }
}

impl Deref for Sparse {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl DerefMut for Sparse {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }
}
