//! The definition, and what the hash promises beyond it.

use std::hash::{BuildHasher as _, Hasher as _};
use std::ops::BitXor;

use proptest::prelude::*;

use super::{BLOCK_BYTES, BuzHash};
use crate::rng::Rng;

/// How many keys each set of the collision tests has.
const KEYS: u64 = 1 << 20;

/// A machine word that BUZhash runs on.
trait Word: Copy + Default + BitXor<Output = Self> {
    fn rotate_by_one(self) -> Self;
}

impl Word for u32 {
    fn rotate_by_one(self) -> Self {
        self.rotate_left(1)
    }
}

impl Word for u64 {
    fn rotate_by_one(self) -> Self {
        self.rotate_left(1)
    }
}

/// Uzgalis's function, as he defined it.
fn uzgalis<W: Word>(state: W, alias: impl Fn(u8) -> W, bytes: &[u8]) -> W {
    bytes.iter().fold(state, |state, &byte| state.rotate_by_one() ^ alias(byte))
}

/// The whole hash, byte by byte.
fn definition(hash: &BuzHash, bytes: &[u8]) -> u64 {
    let mut state = 0;
    for block in bytes.chunks(BLOCK_BYTES) {
        state = uzgalis(state, |byte| hash.aliases.drawn[usize::from(byte)], block);
        if block.len() == BLOCK_BYTES {
            state = hash.fold(state);
        }
    }
    hash.finish(state, bytes.len())
}

/// The aliases of `a` to `z` in Borg's table (`src/borg/_chunker.c`,
/// copyright the Borg Collective, BSD-3-Clause): all that its vectors use.
const BORG_LETTERS: [u32; 26] = [
    0xac5d_b249,
    0x09c0_f9f2,
    0xd8d2_f134,
    0xe6f3_8e41,
    0xb1c7_1bf1,
    0x52b6_e4db,
    0x0722_4424,
    0x6cf7_3e85,
    0x4f25_d89c,
    0x782a_7d74,
    0x10a6_8dcd,
    0x3a86_8189,
    0xd570_d2dc,
    0x6963_0745,
    0x9542_ed86,
    0x331c_d6b2,
    0xa84b_5b28,
    0x0787_9c9d,
    0x3837_2f64,
    0x7185_db11,
    0x25ba_7c83,
    0x0106_1523,
    0xe679_2f9f,
    0xe5df_07d1,
    0x4321_b47f,
    0x7d24_69d8,
];

/// Borg's published vectors (`testsuite/chunker.py`); its seed is exclusive-
/// ored into every alias.
#[test]
fn definition_reproduces_borgs_vectors() {
    let check = |letters: &str, seed: u32, expected: u32| {
        let alias = |byte| BORG_LETTERS[usize::from(byte - b'a')] ^ seed;
        assert_eq!(uzgalis(0_u32, alias, letters.as_bytes()), expected, "{letters} by {seed}");
    };
    check("abcdefghijklmnop", 0, 3_795_437_769);
    check("abcdefghijklmnop", 1, 3_795_400_502);
    check("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", 0, 566_521_248);
}

proptest! {
    #[test]
    fn fast_form_equals_definition(
        secret in any::<[u8; 32]>(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let hash = BuzHash::new(&secret);
        prop_assert_eq!(hash.hash(&bytes), definition(&hash, &bytes));
    }

    #[test]
    fn number_hashes_as_its_bytes(number: u64) {
        let hash = BuzHash::new(&[1; 32]);
        prop_assert_eq!(hash.hash_u64(number), definition(&hash, &number.to_le_bytes()));
    }

    #[test]
    fn hasher_takes_bytes_in_any_pieces(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..6),
    ) {
        let hash = BuzHash::new(&[2; 32]);
        let mut hasher = (&hash).build_hasher();
        for piece in &pieces {
            hasher.write(piece);
        }
        prop_assert_eq!(hasher.finish(), hash.hash(&pieces.concat()));
    }
}

#[test]
fn every_column_is_balanced() {
    for secret in 0..16 {
        let hash = BuzHash::new(&[secret; 32]);
        for bit in 0..u64::BITS {
            let ones: u64 = hash.aliases.drawn.iter().map(|alias| alias >> bit & 1).sum();
            assert_eq!(ones, 128, "bit {bit} of secret {secret}");
        }
    }
}

#[test]
fn secrets_draw_different_functions() {
    let one = BuzHash::new(&[1; 32]);
    let other = BuzHash::new(&[2; 32]);
    let outputs = |hash: &BuzHash| (0..64).map(|key| hash.hash_u64(key)).collect::<Vec<_>>();
    // A secret that only shifted the output would leave the differences.
    let differences =
        |hash: &BuzHash| outputs(hash).windows(2).map(|pair| pair[0] ^ pair[1]).collect::<Vec<_>>();
    assert_ne!(outputs(&one), outputs(&other));
    assert_ne!(differences(&one), differences(&other));
}

/// Flipping any input bit flips each output bit with a probability near one
/// half. With 2^14 samples chance alone strays up to 0.02 from it.
#[test]
fn avalanches() {
    const SAMPLES: u32 = 1 << 14;
    let hash = BuzHash::new(&[3; 32]);
    let mut rng = Rng::from_u64(1);
    let mut flips = vec![[0_u32; 64]; 64];
    for _ in 0..SAMPLES {
        let key = rng.next_u64();
        let hashed = hash.hash_u64(key);
        for (bit, flips) in flips.iter_mut().enumerate() {
            let changed = hashed ^ hash.hash_u64(key ^ 1 << bit);
            for (place, count) in flips.iter_mut().enumerate() {
                *count += u32::from(changed >> place & 1 == 1);
            }
        }
    }
    let stray = |count: u32| (f64::from(count) / f64::from(SAMPLES) - 0.5).abs();
    let worst = flips.iter().flatten().map(|&count| stray(count)).fold(0.0, f64::max);
    assert!(worst < 0.03, "an output bit flips with a probability {worst:.3} away from a half");
}

/// Among 2^20 keys a random function has a collision with probability 2^-25.
fn check_distinct(name: &str, hashes: impl Iterator<Item = u64>) {
    let mut hashes: Vec<u64> = hashes.collect();
    assert_eq!(hashes.len() as u64, KEYS, "{name}");
    hashes.sort_unstable();
    let collisions = hashes.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(collisions, 0, "{name}");
}

#[test]
fn sequential_keys_do_not_collide() {
    let hash = BuzHash::new(&[4; 32]);
    check_distinct("numbers", (0..KEYS).map(|key| hash.hash_u64(key)));
    check_distinct("words", (0..KEYS).map(|key| hash.hash(format!("session-{key}").as_bytes())));
}

#[test]
fn permuted_keys_do_not_collide() {
    let hash = BuzHash::new(&[5; 32]);
    let permuted = (0..KEYS).map(|mut rank| {
        let mut key: [u8; 32] = std::array::from_fn(|place| b'A' + u8::try_from(place).unwrap());
        // The rank's digits in the factorial number system name the swaps.
        for place in 1..key.len() {
            let base = place as u64 + 1;
            key.swap(place, usize::try_from(rank % base).unwrap());
            rank /= base;
        }
        hash.hash(&key)
    });
    check_distinct("permuted", permuted);
}

#[test]
fn sparse_keys_do_not_collide() {
    const BITS: usize = 256;
    let hash = BuzHash::new(&[6; 32]);
    let triples = (0..BITS)
        .flat_map(|one| (0..one).flat_map(move |two| (0..two).map(move |three| [one, two, three])));
    let sparse = triples.take(usize::try_from(KEYS).unwrap()).map(|bits| {
        let mut key = [0_u8; BITS / 8];
        for bit in bits {
            key[bit / 8] |= 1 << (bit % 8);
        }
        hash.hash(&key)
    });
    check_distinct("sparse", sparse);
}

#[test]
fn bytes_swapped_at_the_words_width_do_not_collide() {
    let hash = BuzHash::new(&[7; 32]);
    let mut rng = Rng::from_u64(2);
    let swapped = (0..KEYS / 2).flat_map(|_| {
        let mut key = [0; 100];
        rng.fill(&mut key);
        let mut other = key;
        let differs = (0..36).find(|&place| key[place] != key[place + 64]);
        let place = differs.expect("36 pairs of random bytes are not all equal");
        other.swap(place, place + 64);
        [hash.hash(&key), hash.hash(&other)]
    });
    check_distinct("swapped", swapped);
}

#[test]
fn bytes_equal_at_the_words_width_do_not_collide() {
    let hash = BuzHash::new(&[8; 32]);
    let mut rng = Rng::from_u64(3);
    let equal = (0..KEYS).map(|_| {
        let mut half = [0; 64];
        rng.fill(&mut half);
        hash.hash([half, half].as_flattened())
    });
    check_distinct("equal", equal);
}

#[test]
fn repeated_bytes_do_not_collide() {
    let hash = BuzHash::new(&[9; 32]);
    let repeated = (0..=u8::MAX).flat_map(|byte| {
        let mut hasher = (&hash).build_hasher();
        (0..KEYS / 256).map(move |_| {
            hasher.write(&[byte]);
            hasher.finish()
        })
    });
    check_distinct("repeated", repeated);
}
