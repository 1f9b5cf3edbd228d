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
//! Rotation is linear over exclusive-or, so eight bytes can be taken in at
//! once: their aliases are rotated to their places and summed, and only the
//! sum waits for the state. Of each pair of bytes the first is looked up in a
//! second table of aliases that are rotated by one already. On 32 bytes that
//! takes 0.8 of SipHash-1-3's time.
//!
//! This module knows nothing of keys, records or tables.

mod hasher;
#[cfg(test)]
mod tests;

pub use hasher::BuzHasher;

use crate::rng::Rng;

/// After how many bytes the state is finalised: fewer than the word has bits,
/// so that no two bytes of a block can cancel, and odd, so that a block of
/// equal bytes keeps what its alias says. Every id up to 62 bytes is one
/// block, which is what makes 63 faster than 31; both were free of collisions
/// among the keys of the tests, while 64 was not.
pub const BLOCK_BYTES: usize = 63;

/// How many bytes are taken in at once, and how far that rotates the state.
const STRIDE_BYTES: u32 = 8;

/// A keyed 64-bit BUZhash: one function out of the family, drawn by a secret.
#[derive(Clone)]
pub struct BuzHash {
    aliases: Box<Aliases>,
    /// Exclusive-ored in before a folded multiply.
    mask: u64,
    /// What a folded multiply multiplies by: odd.
    factor: u64,
}

/// The aliases of the byte values: 4 KiB, an eighth of a first-level cache.
#[derive(Clone)]
struct Aliases {
    drawn: [u64; 256],
    /// The same, rotated by one.
    rotated: [u64; 256],
}

impl BuzHash {
    /// The function that `secret` draws.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        let mut rng = Rng::new(*secret);
        let drawn = draw_aliases(&mut rng);
        let rotated = drawn.map(|alias| alias.rotate_left(1));
        let aliases = Box::new(Aliases { drawn, rotated });
        Self { aliases, mask: rng.next_u64(), factor: rng.next_u64() | 1 }
    }

    /// The hash of `bytes`.
    #[inline]
    #[must_use]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let long = bytes.len() >= BLOCK_BYTES;
        let (state, rest) = if long { self.take_in_blocks(bytes) } else { (0, bytes) };
        self.finish(self.take_in(state, rest), bytes.len())
    }

    /// The hash of a number's eight bytes, least significant first: equal to
    /// [`BuzHash::hash`] of them.
    #[inline]
    #[must_use]
    pub fn hash_u64(&self, number: u64) -> u64 {
        self.finish(self.aliases.sum(&number.to_le_bytes()), size_of::<u64>())
    }

    /// The state after the whole blocks of `bytes`, and what follows them.
    /// Out of line: few keys are so long, and the others' way stays short.
    #[inline(never)]
    fn take_in_blocks<'a>(&self, bytes: &'a [u8]) -> (u64, &'a [u8]) {
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        let state = blocks.iter().fold(0, |state, block| self.fold(self.take_in(state, block)));
        (state, rest)
    }

    /// The state after `bytes`, none of which ends a block.
    #[inline]
    fn take_in(&self, state: u64, bytes: &[u8]) -> u64 {
        let (strides, rest) = bytes.as_chunks();
        let state = strides.iter().fold(state, |state, stride| {
            state.rotate_left(STRIDE_BYTES) ^ self.aliases.sum(stride)
        });
        rest.iter().fold(state, |state, &byte| {
            state.rotate_left(1) ^ self.aliases.drawn[usize::from(byte)]
        })
    }

    /// The finaliser: a multiplication whose upper half is folded onto its
    /// lower one, so that every bit of the state reaches every bit.
    #[inline]
    const fn fold(&self, state: u64) -> u64 {
        folded_multiply(state ^ self.mask, self.factor)
    }

    /// The hash whose last state is `state`, of `len` bytes in all.
    #[inline]
    const fn finish(&self, state: u64, len: usize) -> u64 {
        self.fold(state ^ (len as u64).wrapping_mul(self.factor))
    }
}

impl Aliases {
    /// What a stride adds to a state: each alias rotated once for every byte
    /// that follows it. Sums of several strides do not wait for one another,
    /// nor for the state.
    #[inline]
    fn sum(&self, stride: &[u8; STRIDE_BYTES as usize]) -> u64 {
        let (pairs, _) = stride.as_chunks();
        pairs.iter().fold(0, |sum: u64, &pair| sum.rotate_left(2) ^ self.sum_of_two(pair))
    }

    /// What two bytes add to a state. They are read as one number and cut up
    /// afterwards: the look-ups alone take half of all reads that a processor
    /// has time for.
    #[inline]
    fn sum_of_two(&self, pair: [u8; 2]) -> u64 {
        let both = u16::from_le_bytes(pair);
        self.rotated[usize::from(both & 0xff)] ^ self.drawn[usize::from(both >> 8)]
    }
}

impl std::fmt::Debug for BuzHash {
    /// The name only: the aliases are a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BuzHash")
    }
}

/// The two halves of a 128-bit product, exclusive-ored.
#[inline]
pub(crate) const fn folded_multiply(one: u64, other: u64) -> u64 {
    let upper = (one as u128 * other as u128) >> 64;
    // The upper half of a 64 by 64 bit product fits 64 bits.
    upper as u64 ^ one.wrapping_mul(other)
}

/// Random aliases that fulfil Uzgalis's condition: each bit position is set
/// in exactly half of them.
fn draw_aliases(rng: &mut Rng) -> [u64; 256] {
    let mut aliases = [0; 256];
    for bit in 0..u64::BITS {
        for (alias, one) in aliases.iter_mut().zip(draw_column(rng)) {
            *alias |= one << bit;
        }
    }
    aliases
}

/// One hundred and twenty-eight ones among 256 places, each arrangement as
/// likely as any other (Fisher and Yates's shuffle).
fn draw_column(rng: &mut Rng) -> [u64; 256] {
    let mut column = std::array::from_fn(|place| u64::from(place < 128));
    for last in (1..column.len()).rev() {
        let other = usize::try_from(rng.below(last as u64 + 1)).expect("below 256");
        column.swap(last, other);
    }
    column
}
