//! BUZhash, the hash of the cache memory and of placement.
//!
//! Robert Uzgalis's function at 64 bits: every byte value has a random
//! *alias*, and a byte is taken in by `h = rotl(h, 1) ^ alias[byte]`. The
//! aliases are balanced (each bit position is set in exactly half of them)
//! and come from a secret, so that nobody without it can aim at a bucket.
//!
//! Taken alone that loop is weak on keys longer than the word: bytes 64 apart
//! cancel, and a run of 64 equal bytes leaves 0 or all ones whatever the
//! aliases are. So the state goes through a finaliser after every
//! [`BLOCK_BYTES`] bytes, and once more at the end together with the length.
//!
//! This module knows nothing of keys, records or tables.

use crate::rng::Rng;

/// After how many bytes the state is finalised: below the word's 64 bits, so
/// that no two bytes of a block can cancel, and odd, so that repeated bytes
/// do not fold onto themselves.
pub const BLOCK_BYTES: usize = 31;

/// A keyed 64-bit BUZhash: one function out of the family, drawn by a secret.
#[derive(Clone)]
pub struct BuzHash {
    aliases: Box<[u64; 256]>,
    /// Exclusive-ored in before a folded multiply.
    mask: u64,
    /// What a folded multiply multiplies by: odd.
    factor: u64,
}

impl BuzHash {
    /// The function that `secret` draws.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        let mut rng = Rng::new(*secret);
        let mut aliases = Box::new([0; 256]);
        for bit in 0..u64::BITS {
            draw_column(&mut aliases, bit, &mut rng);
        }
        Self { aliases, mask: rng.next_u64(), factor: rng.next_u64() | 1 }
    }

    /// The hash of `bytes`.
    #[must_use]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut state = 0;
        for block in bytes.chunks(BLOCK_BYTES) {
            state = block
                .iter()
                .fold(state, |h: u64, &byte| h.rotate_left(1) ^ self.aliases[usize::from(byte)]);
            if block.len() == BLOCK_BYTES {
                state = self.fold(state);
            }
        }
        self.fold(state ^ (bytes.len() as u64).wrapping_mul(self.factor))
    }

    /// The finaliser: a multiplication whose upper half is folded onto its
    /// lower one, so that every bit of the state reaches every bit.
    const fn fold(&self, state: u64) -> u64 {
        folded_multiply(state ^ self.mask, self.factor)
    }
}

impl std::fmt::Debug for BuzHash {
    /// The name only: the aliases are a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BuzHash")
    }
}

/// The two halves of a 128-bit product, exclusive-ored.
pub(crate) const fn folded_multiply(one: u64, other: u64) -> u64 {
    let upper = (one as u128 * other as u128) >> 64;
    // The upper half of a 64 by 64 bit product fits 64 bits.
    upper as u64 ^ one.wrapping_mul(other)
}

/// Sets `bit` in a random half of the aliases (Fisher and Yates's shuffle of
/// 128 ones among 256 places): Uzgalis's condition.
fn draw_column(aliases: &mut [u64; 256], bit: u32, rng: &mut Rng) {
    let mut column: [u64; 256] = std::array::from_fn(|place| u64::from(place < 128));
    for last in (1..column.len()).rev() {
        let other = usize::try_from(rng.below(last as u64 + 1)).expect("below 256");
        column.swap(last, other);
    }
    for (alias, one) in aliases.iter_mut().zip(column) {
        *alias |= one << bit;
    }
}
