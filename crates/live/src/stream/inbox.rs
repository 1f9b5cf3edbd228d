//! What an end has said before it has proven itself: a small buffer that never
//! grows, and is overwritten when it is dropped.

use std::ops::Range;

use proto::wire::control::MAX_NAME_BYTES;
use proto::wire::link::{CLAIM_BYTES, INTRODUCTION_BYTES};
use zeroize::Zeroizing;

/// A claim and an introduction fit, twice.
const BYTES: usize = 256;
const _: () = assert!(2 * (CLAIM_BYTES + INTRODUCTION_BYTES + MAX_NAME_BYTES) <= BYTES);

/// What has come.
pub(super) struct Inbox {
    bytes: Zeroizing<[u8; BYTES]>,
    held: Range<usize>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { bytes: Zeroizing::new([0; BYTES]), held: 0..0 }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.held.end - self.held.start == BYTES
    }

    /// Where the next bytes go.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.held.clone(), 0);
        self.held = 0..self.held.len();
        &mut self.bytes[self.held.end..]
    }

    /// So many bytes have gone there.
    pub(super) fn filled(&mut self, len: usize) {
        self.held.end += len;
        assert!(self.held.end <= BYTES, "there was room");
    }

    pub(super) fn held(&self) -> &[u8] {
        &self.bytes[self.held.clone()]
    }

    /// The first bytes have been used.
    pub(super) fn take(&mut self, len: usize) {
        self.held.start += len;
        assert!(self.held.start <= self.held.end, "they were there");
    }
}

impl std::fmt::Debug for Inbox {
    /// How much there is; what it is may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inbox({} bytes)", self.held.len())
    }
}
