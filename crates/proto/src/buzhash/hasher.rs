//! BUZhash for the standard library's and hashbrown's maps.

use std::hash::{BuildHasher, Hasher};

use super::{BLOCK_BYTES, BuzHash};

/// A map borrows its hash: `HashMap::with_hasher(&hash)`.
///
/// ```
/// use std::collections::HashMap;
/// use proto::buzhash::BuzHash;
///
/// let hash = BuzHash::new(&[7; 32]);
/// let mut carts = HashMap::with_hasher(&hash);
/// carts.insert("session", 3);
/// assert_eq!(carts["session"], 3);
/// ```
impl<'a> BuildHasher for &'a BuzHash {
    type Hasher = BuzHasher<'a>;

    fn build_hasher(&self) -> Self::Hasher {
        BuzHasher { hash: self, state: 0, len: 0 }
    }
}

/// A hash in the making: equal to [`BuzHash::hash`] of all bytes written,
/// however they were cut.
#[derive(Debug, Clone)]
pub struct BuzHasher<'a> {
    hash: &'a BuzHash,
    state: u64,
    len: usize,
}

impl Hasher for BuzHasher<'_> {
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = BLOCK_BYTES - self.len % BLOCK_BYTES;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.state = self.hash.take_in(self.state, now);
            if now.len() == room {
                self.state = self.hash.fold(self.state);
            }
            self.len += now.len();
            bytes = later;
        }
    }

    fn finish(&self) -> u64 {
        self.hash.finish(self.state, self.len)
    }
}
