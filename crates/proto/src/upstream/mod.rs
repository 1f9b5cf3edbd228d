//! How a record looks in an engine outside of the farm: its name and its
//! sealed value. It knows nothing of engines, or of how they are reached.
//!
//! An engine learns how many records there are, how long they are, when they
//! end and which of two versions is the later one; nothing else. What it
//! gives back is believed only if it opens for the very key that was asked
//! for.
//!
//! ```text
//! name    "segue:" and 32 hexadecimal digits of a keyed hash of kind and id
//! value   mark "S" format(1) key id(1) rank(20) nonce(24) sealed tag(16)
//! rank    final(1) time(8) writer(4) deleted(1) idle(6)
//! sealed  absolute(6) payload
//! ```
//!
//! The rank stands there in the clear, so that an engine can keep the later of
//! two versions; it is authenticated, as the rest of the head and the key are.
//! Its bytes are in the order of [`merge`](crate::record::merge).
//!
//! Names come from the placement secret, which outlives every key; values from
//! the farm's keys: the first seals, all open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

use crate::keyring::{FarmKey, Keyring};
use crate::record::{
    Body, Deadlines, Hlc, Key, MAX_PAYLOAD_BYTES, Record, Version, Writer, is_final,
};
use crate::time::Wall;
use crate::wire::codec::{Malformed, Reader, put_u48};

/// What every value begins with: it tells ours from others', and this form
/// from later ones.
pub const MARK: [u8; 2] = *b"S\x01";
/// Where a value's rank stands, and how long it is.
pub const RANK: std::ops::Range<usize> = 3..3 + RANK_BYTES;
const RANK_BYTES: usize = 20;
/// Where a value's rank says whether it is a tombstone: by a 1.
pub const DELETED: usize = RANK.start + 1 + 8 + 4;
/// How many random bytes sealing takes.
pub const NONCE_BYTES: usize = 24;
/// All in the clear.
const HEAD_BYTES: usize = RANK.end + NONCE_BYTES;
const TAG_BYTES: usize = 16;
const ABSOLUTE_BYTES: usize = 6;
/// How much longer than its payload a value is.
pub const OVERHEAD_BYTES: usize = HEAD_BYTES + ABSOLUTE_BYTES + TAG_BYTES;
/// The longest value that is looked at.
pub const MAX_VALUE_BYTES: usize = OVERHEAD_BYTES + MAX_PAYLOAD_BYTES;

const PREFIX: &[u8; 6] = b"segue:";
/// Sixteen bytes of hash: two of 2^40 records meet with a probability of
/// 2^-49, and then one of them is a miss.
const HASH_BYTES: usize = 16;

/// The name of a record in an engine: a text of 38 bytes, without the braces
/// that would place it in a Cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name([u8; PREFIX.len() + 2 * HASH_BYTES]);

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).expect("a prefix and digits"))
    }
}

/// A value that is not what the farm has put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is too short, too long, or begins otherwise: not ours, or of
    /// another version of the format.
    #[error("the value has another form than this version writes")]
    Foreign,
    /// It is sealed with a key that is not in the ring: of another farm, or
    /// older than the last rotations.
    #[error("the value is sealed with a farm key that is not in the ring")]
    UnknownKey,
    /// It does not open: damaged, forged, or another record's.
    #[error("the value does not open: damaged, forged, or another record's")]
    Forged,
    /// It opens, and says what makes no sense.
    #[error("the value opens, and is malformed: {0}")]
    Malformed(#[from] Malformed),
}

/// What names, seals and opens the records of a farm outside of it.
pub struct Seals {
    names: hmac::Key,
    /// By key id; the first seals.
    values: Vec<(u8, hkdf::Prk)>,
}

impl Seals {
    /// The seals of a farm with these keys.
    #[must_use]
    pub fn new(keyring: &Keyring) -> Self {
        let placement = FarmKey::new(keyring.placement_secret());
        let names = Zeroizing::new(placement.derive::<32>(&[b"segue upstream names"]));
        let values = keyring.ids().filter_map(|id| {
            let secret = keyring.opening(id)?.derive::<32>(&[b"segue upstream values"]);
            let secret = Zeroizing::new(secret);
            Some((id, hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &*secret)))
        });
        Self { names: hmac::Key::new(hmac::HMAC_SHA256, &*names), values: values.collect() }
    }

    /// The name of a record: the same whichever key of the farm seals.
    #[must_use]
    pub fn name(&self, key: &Key) -> Name {
        let hash = hmac::sign(&self.names, key.as_bytes());
        let mut name = [0; PREFIX.len() + 2 * HASH_BYTES];
        let (prefix, digits) = name.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX);
        for (pair, byte) in digits.chunks_exact_mut(2).zip(hash.as_ref()) {
            let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        Name(name)
    }

    /// Seals a record. The nonce is to be random.
    ///
    /// Many nodes seal with one farm key, and no two know of each other's
    /// nonces: 96 random bits would be used up after 2^32 values, which a busy
    /// farm writes in a week. So the first half of the nonce derives a key and
    /// the second half is used with it, as in XAES-256-GCM: two of 2^80 values
    /// meet with a probability of 2^-32.
    ///
    /// # Panics
    ///
    /// When the payload is longer than a record's may be.
    #[must_use]
    pub fn seal(&self, record: &Record<'_>, nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
        let payload = match record.body {
            Body::Value(payload) => payload,
            Body::Deleted => &[],
        };
        assert!(payload.len() <= MAX_PAYLOAD_BYTES, "the table takes no longer payload");
        let (id, secret) = &self.values[0];
        let mut value = Vec::with_capacity(OVERHEAD_BYTES + payload.len());
        value.extend_from_slice(&MARK);
        value.push(*id);
        put_rank(record, &mut value);
        value.extend_from_slice(nonce);
        put_u48(record.deadlines.absolute.as_millis(), &mut value);
        value.extend_from_slice(payload);
        let (head, sealed) = value.split_at_mut(HEAD_BYTES);
        let bound = bound_to(&record.key, head);
        let (key, nonce) = key_and_nonce(secret, nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(bound), sealed)
            .expect("a record is far below AES-GCM's limit of 64 GiB");
        value.extend_from_slice(tag.as_ref());
        value
    }

    /// Opens what an engine gave for the name of `key`, in place.
    ///
    /// # Errors
    ///
    /// [`Rejected`] when the farm has not sealed it so for that key.
    pub fn open<'v>(&self, key: &Key, value: &'v mut [u8]) -> Result<Record<'v>, Rejected> {
        if !(OVERHEAD_BYTES..=MAX_VALUE_BYTES).contains(&value.len()) || !value.starts_with(&MARK) {
            return Err(Rejected::Foreign);
        }
        let (head, sealed) = value.split_at_mut(HEAD_BYTES);
        let nonce = head[RANK.end..].try_into().expect("as long as it is cut");
        let known = self.values.iter().find(|(id, _)| *id == head[MARK.len()]);
        let (_, secret) = known.ok_or(Rejected::UnknownKey)?;
        let bound = bound_to(key, head);
        let (aead, nonce) = key_and_nonce(secret, nonce);
        let opened =
            aead.open_in_place(nonce, Aad::from(bound), sealed).map_err(|_| Rejected::Forged)?;
        Ok(parse(key, &head[RANK], opened)?)
    }
}

impl fmt::Debug for Seals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.values.iter().map(|(id, _)| id).collect();
        write!(f, "Seals({ids:?})")
    }
}

/// When an engine may forget the record: it has ended then, for a tombstone
/// the time in which a late write could have revived it.
#[must_use]
pub fn expires(record: &Record<'_>) -> Wall {
    match record.body {
        Body::Value(_) => record.deadlines.end(),
        Body::Deleted => record.deadlines.absolute,
    }
}

/// What decides which of two values of one name is to be kept.
fn put_rank(record: &Record<'_>, out: &mut Vec<u8>) {
    out.push(u8::from(is_final(record)));
    out.extend_from_slice(&record.version.time.0.to_be_bytes());
    out.extend_from_slice(&record.version.writer.0.to_be_bytes());
    out.push(u8::from(record.body == Body::Deleted));
    put_u48(record.deadlines.idle.as_millis(), out);
}

/// The record of a value's rank and of what was sealed behind it.
///
/// # Errors
///
/// [`Malformed`] when [`Seals::seal`] writes no such value.
pub fn parse<'v>(key: &Key, rank: &[u8], opened: &'v [u8]) -> Result<Record<'v>, Malformed> {
    let mut rank = Reader::new(rank);
    let says_final = rank.u8("final")?;
    let time = Hlc(rank.u64("version time")?);
    let writer = Writer(rank.u32("version writer")?);
    let deleted = match rank.u8("deleted")? {
        0 => false,
        1 => true,
        _ => return Err(Malformed::Invalid("deleted")),
    };
    let idle = rank.wall("idle")?;
    rank.finish("a rank")?;
    let mut opened = Reader::new(opened);
    let absolute = opened.wall("absolute")?;
    let payload = opened.rest();
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Malformed::Invalid("payload length"));
    }
    let body = match (deleted, payload) {
        (true, []) => Body::Deleted,
        (true, _) => return Err(Malformed::Trailing("a tombstone")),
        (false, payload) => Body::Value(payload),
    };
    let version = Version { time, writer };
    let record = Record { key: *key, version, deadlines: Deadlines { idle, absolute }, body };
    if says_final == u8::from(is_final(&record)) {
        Ok(record)
    } else {
        Err(Malformed::Invalid("final"))
    }
}

/// What a value is bound to: its head without the nonce, which binds itself,
/// and the key.
fn bound_to(key: &Key, head: &[u8]) -> Vec<u8> {
    [&head[..RANK.end], key.as_bytes()].concat()
}

/// The key of one value, and the rest of its nonce.
fn key_and_nonce(secret: &hkdf::Prk, nonce: &[u8; NONCE_BYTES]) -> (LessSafeKey, Nonce) {
    let (of_key, own) = nonce.split_at(NONCE_BYTES / 2);
    let label = [b"segue upstream value".as_slice(), of_key];
    let key = secret
        .expand(&label, &AES_256_GCM)
        .map(UnboundKey::from)
        .expect("a key is shorter than what HKDF gives");
    let own = Nonce::try_assume_unique_for_key(own).expect("half of 24 bytes");
    (LessSafeKey::new(key), own)
}

#[cfg(test)]
mod tests;
