//! The work that every cache is given: which keys, in which order.

use std::time::Duration;

use proto::rng::Rng;

/// How skewed the keys' use is: the usual figure for web caches.
const EXPONENT: f64 = 0.99;

/// One of how many operations is a put.
pub(super) const PUT_EVERY: usize = 10;

/// How many uses of keys are drawn for one work.
pub(super) const USES: usize = 1 << 21;

/// A key: an id as TLS and web sessions have it.
pub(super) type Id = [u8; 32];

/// The id of the key at `place` among all: as good as random, and made from
/// the place alone, so that the keys' own memory is no part of the work.
pub(super) fn id(place: u32) -> Id {
    // SplitMix64 (Steele, Lea and Flood, 2014).
    let word = |number: u64| {
        let mut word = (u64::from(place) * 4 + number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    let mut id = [0; 32];
    for (bytes, number) in id.chunks_exact_mut(8).zip(0..) {
        bytes.copy_from_slice(&word(number).to_le_bytes());
    }
    id
}

/// The places of keys in the order of their use, by Zipf's law.
pub(super) fn zipf(keys: u32, uses: usize, seed: u64) -> Vec<u32> {
    let mut sum = 0.0;
    let cumulative: Vec<f64> = (1..=keys)
        .map(|rank| {
            sum += f64::from(rank).powf(-EXPONENT);
            sum
        })
        .collect();
    let mut rng = Rng::from_u64(seed);
    let mut place = || {
        // The upper 53 bits are what a double holds.
        let uniform = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let place = cumulative.partition_point(|&upto| upto <= uniform * sum);
        u32::try_from(place).expect("at most the number of keys").min(keys - 1)
    };
    (0..uses).map(|_| place()).collect()
}

/// A cache in the hands of one thread.
pub(super) trait Cache {
    /// Copies the value of `id` into the front of `value`, if there is one.
    fn get(&mut self, id: &Id, value: &mut [u8]) -> bool;

    /// Stores `value` under `id`.
    fn put(&mut self, id: &Id, value: &[u8]);
}

/// Puts every key once.
pub(super) fn fill(cache: &mut impl Cache, keys: u32, value: &[u8]) {
    for place in 0..keys {
        cache.put(&id(place), value);
    }
}

/// Nine gets, then a put, along `places`; gives how many gets hit.
pub(super) fn run(cache: &mut impl Cache, places: &[u32], value: &mut [u8]) -> usize {
    let mut hits = 0;
    for (number, &place) in places.iter().enumerate() {
        let id = id(place);
        if number % PUT_EVERY == PUT_EVERY - 1 {
            cache.put(&id, value);
        } else {
            hits += usize::from(cache.get(&id, value));
        }
    }
    hits
}

/// `total` per operation, in nanoseconds.
pub(super) fn nanos_each(total: Duration, operations: usize) -> f64 {
    total.as_secs_f64() * 1e9 / operations as f64
}
