//! How a record lies in a shard's log, byte by byte.
//!
//! An entry is a header of [`HEADER_BYTES`], the key's bytes and the payload,
//! filled up to a multiple of [`GRANULE_BYTES`]. All numbers are
//! little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | [`Meta`]: lengths and flags |
//! | 4..8 | the version's writer |
//! | 8..16 | the version's time |
//! | 16..22 | idle deadline, in milliseconds |
//! | 22..28 | absolute deadline, in milliseconds |
//!
//! A *dead* entry has only the meta, and zeros behind it.
//!
//! What a look-up does with the entry it finds is always inlined: left alone,
//! the compiler makes a call of each step, and checks the same bounds in all.

use std::ops::Range;

use zeroize::Zeroize as _;

use crate::record::{Body, Deadlines, Hlc, Key, Kind, MAX_PAYLOAD_BYTES, Record, Version, Writer};
use crate::time::Wall;

/// What a header takes, in bytes.
pub(super) const HEADER_BYTES: usize = 28;
/// Entries begin at multiples of this: an index entry of 32 bits then reaches
/// over 32 GiB, and a header is never read across words.
pub(super) const GRANULE_BYTES: usize = 8;

/// How often an entry was used since it entered its queue counts up to here:
/// two bits, as S3-FIFO asks.
const MAX_VISITS: u32 = 3;

/// The first word of an entry.
///
/// Alive: payload length (21 bits), key length (7), visits (2), deleted (1),
/// 0. Dead: the footprint in granules (31 bits), 1.
#[derive(Clone, Copy)]
pub(super) struct Meta(u32);

impl Meta {
    const KEY_SHIFT: u32 = 21;
    const VISITS_SHIFT: u32 = 28;
    const DELETED: u32 = 1 << 30;
    const DEAD: u32 = 1 << 31;

    fn of(record: &Record<'_>, visits: u32) -> Self {
        let payload_len = u32::try_from(payload(record).len()).expect("checked on entry");
        let key_len = u32::try_from(record.key.as_bytes().len()).expect("at most 65");
        let deleted = if record.body == Body::Deleted { Self::DELETED } else { 0 };
        Self(payload_len | key_len << Self::KEY_SHIFT | visits << Self::VISITS_SHIFT | deleted)
    }

    fn dead(footprint: usize) -> Self {
        let granules = u32::try_from(footprint / GRANULE_BYTES).expect("a shard has 31 bits");
        Self(granules | Self::DEAD)
    }

    /// The meta of the entry at `at`.
    #[inline]
    pub(super) fn read(log: &[u8], at: usize) -> Self {
        Self(u32::from_le_bytes(array(&log[at..])))
    }

    #[inline]
    fn write(self, log: &mut [u8], at: usize) {
        log[at..at + 4].copy_from_slice(&self.0.to_le_bytes());
    }

    #[inline]
    pub(super) const fn is_dead(self) -> bool {
        self.0 & Self::DEAD != 0
    }

    #[inline]
    pub(super) const fn is_deleted(self) -> bool {
        self.0 & Self::DELETED != 0
    }

    /// Uses since the entry entered its queue, at most [`MAX_VISITS`].
    #[inline]
    pub(super) const fn visits(self) -> u32 {
        self.0 >> Self::VISITS_SHIFT & MAX_VISITS
    }

    #[inline]
    pub(super) const fn visits_after_one_more(self) -> u32 {
        if self.visits() < MAX_VISITS { self.visits() + 1 } else { MAX_VISITS }
    }

    #[inline]
    const fn key_len(self) -> usize {
        (self.0 >> Self::KEY_SHIFT & 0x7f) as usize
    }

    #[inline]
    const fn payload_len(self) -> usize {
        (self.0 & ((1 << Self::KEY_SHIFT) - 1)) as usize
    }

    /// What the entry takes of the log, in bytes.
    #[inline]
    pub(super) const fn footprint(self) -> usize {
        if self.is_dead() {
            (self.0 & !Self::DEAD) as usize * GRANULE_BYTES
        } else {
            whole(HEADER_BYTES + self.key_len() + self.payload_len())
        }
    }

    #[inline]
    const fn with_visits(self, visits: u32) -> Self {
        let others = self.0 & !(MAX_VISITS << Self::VISITS_SHIFT);
        Self(others | visits << Self::VISITS_SHIFT)
    }
}

/// What `record` would take of a log, in bytes; `None` when its payload is
/// longer than any may be.
pub(super) fn footprint(record: &Record<'_>) -> Option<usize> {
    let payload = payload(record);
    (payload.len() <= MAX_PAYLOAD_BYTES)
        .then(|| whole(HEADER_BYTES + record.key.as_bytes().len() + payload.len()))
}

/// Writes `record` at `at`.
pub(super) fn write(log: &mut [u8], at: usize, record: &Record<'_>, visits: u32) {
    let meta = Meta::of(record, visits);
    let entry = &mut log[at..at + meta.footprint()];
    let absolute = record.deadlines.absolute.as_millis();
    let idle = record.deadlines.idle.as_millis();
    entry[0..4].copy_from_slice(&meta.0.to_le_bytes());
    entry[4..8].copy_from_slice(&record.version.writer.0.to_le_bytes());
    entry[8..16].copy_from_slice(&record.version.time.0.to_le_bytes());
    entry[16..24].copy_from_slice(&(idle | absolute << 48).to_le_bytes());
    entry[22..28].copy_from_slice(&absolute.to_le_bytes()[..6]);
    let key = record.key.as_bytes();
    let (own_key, rest) = entry[HEADER_BYTES..].split_at_mut(key.len());
    own_key.copy_from_slice(key);
    let payload = payload(record);
    let (own_payload, filling) = rest.split_at_mut(payload.len());
    own_payload.copy_from_slice(payload);
    filling.fill(0);
}

/// Makes a dead entry of `footprint` bytes at `at`, and wipes them.
pub(super) fn bury(log: &mut [u8], at: usize, footprint: usize) {
    wipe(log, at..at + footprint);
    Meta::dead(footprint).write(log, at);
}

/// Leaves nothing of a record that lay there.
pub(super) fn wipe(log: &mut [u8], bytes: Range<usize>) {
    log[bytes].zeroize();
}

/// The record at `at`, which is alive; `key` is its key, known to the caller.
#[inline(always)]
pub(super) fn record(log: &[u8], at: usize, key: Key) -> Record<'_> {
    let meta = Meta::read(log, at);
    debug_assert_eq!(meta.key_len(), key.as_bytes().len(), "the key is this entry's");
    // By the caller's key, not the header's word for it: the payload is then
    // fetched beside the header, not after it.
    let payload_at = at + HEADER_BYTES + key.as_bytes().len();
    let body = if meta.is_deleted() {
        Body::Deleted
    } else {
        Body::Value(&log[payload_at..payload_at + meta.payload_len()])
    };
    Record { key, version: version(log, at), deadlines: deadlines(log, at), body }
}

/// The bytes of the key of the entry at `at`, which is alive.
#[inline]
pub(super) fn key_bytes(log: &[u8], at: usize) -> &[u8] {
    let len = Meta::read(log, at).key_len();
    &log[at + HEADER_BYTES..at + HEADER_BYTES + len]
}

/// Whether the entry at `at`, which is alive, is of `key`. Word by word: ids
/// are too short to be worth a call.
#[inline(always)]
pub(super) fn is_of(log: &[u8], at: usize, key: &Key) -> bool {
    let (held, sought) = (key_bytes(log, at), key.as_bytes());
    let (held_words, held_rest) = held.as_chunks::<8>();
    let (words, rest) = sought.as_chunks::<8>();
    held.len() == sought.len()
        && held_words.iter().zip(words).all(|(held, sought)| held == sought)
        && held_rest.iter().zip(rest).all(|(held, sought)| held == sought)
}

/// The kind of the entry at `at`, which is alive.
#[inline]
pub(super) fn kind(log: &[u8], at: usize) -> Kind {
    let last = key_bytes(log, at).last();
    last.and_then(|&kind| Kind::from_u8(kind)).expect("entries are written from keys")
}

/// The key of the entry at `at`, which is alive.
#[inline]
pub(super) fn key(log: &[u8], at: usize) -> Key {
    Key::from_bytes(key_bytes(log, at)).expect("entries are written from keys")
}

#[inline]
pub(super) fn version(log: &[u8], at: usize) -> Version {
    let header = header(log, at);
    let writer = Writer(u32::from_le_bytes(array(&header[4..])));
    Version { time: Hlc(u64::from_le_bytes(array(&header[8..]))), writer }
}

#[inline]
pub(super) fn deadlines(log: &[u8], at: usize) -> Deadlines {
    const LOW_48: u64 = (1 << 48) - 1;
    let header = header(log, at);
    let idle = u64::from_le_bytes(array(&header[16..])) & LOW_48;
    let absolute = u64::from_le_bytes(array(&header[20..])) >> 16;
    Deadlines { idle: Wall::from_millis(idle), absolute: Wall::from_millis(absolute) }
}

/// Whether the entry at `at`, which is alive, is a value that has not ended.
#[inline(always)]
pub(super) fn is_live_value(log: &[u8], at: usize, now: Wall) -> bool {
    !Meta::read(log, at).is_deleted() && deadlines(log, at).end() > now
}

/// When the entry at `at`, which is alive, ends.
#[inline]
pub(super) fn end(log: &[u8], at: usize) -> Wall {
    end_of(deadlines(log, at), Meta::read(log, at).is_deleted())
}

/// When `record` ends.
#[inline]
pub(super) fn record_end(record: &Record<'_>) -> Wall {
    end_of(record.deadlines, record.body == Body::Deleted)
}

/// A tombstone has no idle deadline: it must outlive whatever it deleted.
#[inline]
fn end_of(deadlines: Deadlines, deleted: bool) -> Wall {
    if deleted { deadlines.absolute } else { deadlines.end() }
}

#[inline]
pub(super) fn set_idle(log: &mut [u8], at: usize, idle: Wall) {
    log[at + 16..at + 22].copy_from_slice(&idle.as_millis().to_le_bytes()[..6]);
}

/// Notes a use of the entry at `at`. Writes nothing once the count is full,
/// so that the hottest entries' lines stay clean.
#[inline]
pub(super) fn visit(log: &mut [u8], at: usize) {
    let meta = Meta::read(log, at);
    if meta.visits() < MAX_VISITS {
        meta.with_visits(meta.visits_after_one_more()).write(log, at);
    }
}

pub(super) fn set_visits(log: &mut [u8], at: usize, visits: u32) {
    Meta::read(log, at).with_visits(visits).write(log, at);
}

#[inline]
fn payload<'a>(record: &Record<'a>) -> &'a [u8] {
    match record.body {
        Body::Value(payload) => payload,
        Body::Deleted => &[],
    }
}

/// `bytes` in whole granules.
#[inline]
const fn whole(bytes: usize) -> usize {
    bytes.next_multiple_of(GRANULE_BYTES)
}

/// The header of the entry at `at`, which is alive.
#[inline]
fn header(log: &[u8], at: usize) -> [u8; HEADER_BYTES] {
    array(&log[at..])
}

/// The first `N` bytes.
#[inline]
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("an entry has a whole header")
}
