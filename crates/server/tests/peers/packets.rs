//! What clients of memcached's binary protocol send, and what they should not.

use proto::gateway::memcached::BINARY_REQUEST;
use proto::rng::Rng;

use crate::memcached::keys;
use crate::pick;

/// Opcodes, and the kind of extras that they have.
const OPCODES: &[(u8, Extras)] = &[
    (0x00, Extras::None),
    (0x01, Extras::Store),
    (0x01, Extras::Store),
    (0x02, Extras::Store),
    (0x03, Extras::Store),
    (0x04, Extras::None),
    (0x05, Extras::Count),
    (0x06, Extras::Count),
    (0x09, Extras::None),
    (0x0a, Extras::None),
    (0x0c, Extras::None),
    (0x0d, Extras::None),
    (0x0e, Extras::Value),
    (0x0f, Extras::Value),
    (0x11, Extras::Store),
    (0x12, Extras::Store),
    (0x13, Extras::Store),
    (0x14, Extras::None),
    (0x15, Extras::Count),
    (0x16, Extras::Count),
    (0x19, Extras::Value),
    (0x1a, Extras::Value),
    (0x1c, Extras::Touch),
    (0x1d, Extras::Touch),
    (0x1e, Extras::Touch),
    (0x20, Extras::None),
    (0x23, Extras::Touch),
    (0x24, Extras::Touch),
    (0x21, Extras::Value),
    (0x22, Extras::Value),
    (0x07, Extras::None),
    (0x17, Extras::None),
];

/// Has all replies sent.
const NOOP: [u8; 24] =
    [BINARY_REQUEST, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extras {
    None,
    /// None either, but a value.
    Value,
    /// Flags and an expiry, and a value.
    Store,
    /// By how much, a first number, and its expiry.
    Count,
    /// An expiry.
    Touch,
}

/// Some packets, where the next number of a value is the one behind `last`.
pub(crate) fn stream(rng: &mut Rng, last: u64) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..=rng.below(12) {
        packet(rng, last, &mut stream);
    }
    stream
}

/// A packet, behind one that has all replies sent where that matters.
pub(crate) fn packet(rng: &mut Rng, last: u64, stream: &mut Vec<u8>) {
    let (opcode, kind) = pick(rng, OPCODES);
    // These end the connection, and most streams should go on.
    if matches!(opcode, 0x07 | 0x17) && rng.chance(3, 4) {
        return;
    }
    if kind == Extras::Count {
        stream.extend_from_slice(&NOOP);
    }
    let mut extras = extras(rng, kind);
    let mut key = match opcode {
        0x07 | 0x0a | 0x17 | 0x20 => Vec::new(),
        _ => key(rng),
    };
    let value = match kind {
        Extras::Value | Extras::Store => value(rng),
        Extras::None | Extras::Count | Extras::Touch => Vec::new(),
    };
    if rng.chance(1, 150) {
        extras.push(1);
    }
    if rng.chance(1, 150) {
        key.clear();
    }
    let cas = if rng.chance(1, 4) { last + rng.below(6) } else { 0 };
    let body = u32::try_from(extras.len() + key.len() + value.len()).expect("short");
    stream.extend_from_slice(&[BINARY_REQUEST, opcode]);
    stream.extend_from_slice(&u16::try_from(key.len()).expect("short").to_be_bytes());
    stream.extend_from_slice(&[u8::try_from(extras.len()).expect("short"), 0, 0, 0]);
    stream.extend_from_slice(&body.to_be_bytes());
    stream.extend_from_slice(b"opaq");
    stream.extend_from_slice(&cas.to_be_bytes());
    for part in [extras, key, value] {
        stream.extend_from_slice(&part);
    }
}

fn extras(rng: &mut Rng, kind: Extras) -> Vec<u8> {
    let expiry = pick(rng, &[0u32, 0, 100_000]).to_be_bytes();
    match kind {
        Extras::None | Extras::Value => Vec::new(),
        Extras::Store => [[0, 0, 0, 7], expiry].concat(),
        Extras::Count => {
            let expiry = if rng.chance(1, 2) { [0xff; 4] } else { expiry };
            let (delta, initial) = (5u64.to_be_bytes(), 10u64.to_be_bytes());
            [delta.as_slice(), &initial, &expiry].concat()
        }
        Extras::Touch => 100_000u32.to_be_bytes().to_vec(),
    }
}

fn key(rng: &mut Rng) -> Vec<u8> {
    let keys = keys();
    match rng.below(40) {
        0 => keys[keys.len() - 1].clone().into_bytes(),
        1 => (keys[keys.len() - 1].clone() + "k").into_bytes(),
        _ => pick(rng, &["a", "b", "c", "Zg=="]).as_bytes().to_vec(),
    }
}

fn value(rng: &mut Rng) -> Vec<u8> {
    if rng.chance(1, 200) {
        return vec![b'v'; 1_100_000];
    }
    pick(rng, &["", "x", "hello", "12a", "1", "10", "99", "4611686018427387904", "0"])
        .as_bytes()
        .to_vec()
}
