//! The memory that a table lives in.

use std::ops::{Deref, DerefMut};

/// A fixed run of bytes that belongs to one shard of a table.
///
/// Whoever starts the table may give it memory of a special sort: in huge
/// pages, or left out of core dumps. It must be zero at first, must keep its
/// length and place, and lies best at a multiple of 64 bytes, so that an
/// index bucket is one cache line.
pub trait Region: DerefMut<Target = [u8]> + Send {}

impl<T: DerefMut<Target = [u8]> + Send> Region for T {}

/// Memory from the allocator, moved up to a multiple of [`Heap::ALIGNMENT`].
pub(super) struct Heap {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Heap {
    const ALIGNMENT: usize = 64;

    /// `len` bytes of zeros. The system gives large ones page by page, when
    /// they are first written.
    pub(super) fn new(len: usize) -> Self {
        let memory = vec![0; len + Self::ALIGNMENT - 1];
        // `align_offset` may decline to answer; then a bucket is two lines.
        let start = memory.as_ptr().align_offset(Self::ALIGNMENT).min(Self::ALIGNMENT - 1);
        Self { memory, start, len }
    }
}

impl Deref for Heap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for Heap {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}
