//! How good a node is for a slot.
//!
//! A uniform number of slot and name, `u`, makes the score `-ln(u) / weight`:
//! the time until the first event of a process with that rate. The lowest
//! score is the node's with the probability `weight / all weights`, and so on
//! down the list (Schindelhauer and Schomaker, "Weighted distributed hash
//! tables", 2005). All machines must come to the same, so the logarithm is
//! made here of operations that IEEE 754 defines to the last bit.

use super::Member;
use crate::buzhash::{BuzHash, folded_multiply};
use crate::cluster::slots::Slot;

/// Gives scores, the same ones in the whole farm and no others elsewhere.
#[derive(Clone)]
pub(super) struct Scorer {
    hash: BuzHash,
    /// What the slots are multiplied by, and then their mixtures: odd.
    factors: [u64; 2],
}

impl Scorer {
    pub(super) fn new(placement_secret: &[u8; 32]) -> Self {
        let hash = BuzHash::new(placement_secret);
        let factors = [&b"slot"[..], b"score"].map(|label| hash.hash(label) | 1);
        Self { hash, factors }
    }

    pub(super) fn name_hash(&self, name: &str) -> u64 {
        self.hash.hash(name.as_bytes())
    }

    pub(super) fn score_of(&self, member: &Member, slot: Slot) -> f64 {
        self.score(slot, self.name_hash(&member.name), member.portion.weight)
    }

    /// The lower the better.
    #[inline]
    pub(super) fn score(&self, slot: Slot, name_hash: u64, weight: u32) -> f64 {
        let [slots, scores] = self.factors;
        let spread = (u64::from(slot.0) + 1).wrapping_mul(slots);
        let mixed = folded_multiply(name_hash ^ spread, scores);
        minus_ln(folded_multiply(mixed ^ spread.rotate_left(32), slots)) / f64::from(weight.max(1))
    }
}

impl std::fmt::Debug for Scorer {
    /// Nothing: it is drawn by a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scorer").finish_non_exhaustive()
    }
}

/// `-ln(number / 2^64)`, to some eleven digits, from additions,
/// multiplications and a division.
#[inline]
fn minus_ln(number: u64) -> f64 {
    /// Above this a mantissa is halved, so that the series below is short.
    const ROOT_OF_TWO: f64 = std::f64::consts::SQRT_2;
    /// Odd reciprocals: `ln m = 2 (t + t^3/3 + t^5/5 + ...)` with
    /// `t = (m - 1) / (m + 1)`, whose square is at most 0.0295, so that the
    /// first term left out is below `10^-11`.
    const SERIES: [f64; 6] = [1.0, 1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0];
    // 0 has no logarithm. What a double has no room for is cut off.
    let number = number | 1;
    let zeros = number.leading_zeros();
    let fraction = (number << zeros << 1) >> 12;
    let mut mantissa = f64::from_bits(0x3ff0_0000_0000_0000 | fraction);
    let mut halvings = f64::from(zeros + 1);
    if mantissa > ROOT_OF_TWO {
        mantissa *= 0.5;
        halvings -= 1.0;
    }
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let sum = SERIES.iter().rev().fold(0.0, |sum, term| sum * square + term);
    halvings * std::f64::consts::LN_2 - 2.0 * t * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_one() {
        let all_ones =
            [u64::MAX, u64::MAX - (1 << 20), 1 << 63, (1 << 63) - 1, 0xb504_f333_f9de_6485];
        let others = (0..10_000).map(|number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for number in all_ones.into_iter().chain(others) {
            #[expect(clippy::cast_precision_loss, reason = "the library's logarithm needs a float")]
            let expected = -((number | 1) as f64 / 2.0_f64.powi(64)).ln();
            let found = minus_ln(number);
            assert!((found - expected).abs() < 1e-10, "{number}: {found}, not {expected}");
            assert!(found >= 0.0);
        }
    }

    /// Other bits on any machine would split the farm.
    #[test]
    fn scores_are_the_same_to_the_last_bit() {
        let scorer = Scorer::new(&[7; 32]);
        let score = |slot, name: &str, weight| {
            scorer.score(Slot(slot), scorer.name_hash(name), weight).to_bits()
        };
        assert_eq!(
            [score(0, "a", 1), score(65_535, "a", 256), score(4_711, "b", 3)],
            [0x3ff6_fc4c_3d50_9332, 0x3f75_c97b_7a9b_732e, 0x3f96_ce70_0339_dc50],
        );
    }
}
