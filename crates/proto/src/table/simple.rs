//! The plainest store that keeps the table's promises: an ordered map.

use zeroize::Zeroizing;

use super::{Applied, KeyRange, Map, RANGES, Refusal, Stats, Touched};
use crate::buzhash::folded_multiply;
use crate::record::merge::{Merge, merge};
use crate::record::{Body, Deadlines, Hlc, Key, KeyHash, Kind, Record, Touch, Version};
use crate::time::Wall;

/// What an entry costs beside its key and payload, in bytes.
const OVERHEAD_BYTES: usize = 60;

/// A record that the store owns.
pub(super) struct Held {
    key: Key,
    version: Version,
    deadlines: Deadlines,
    payload: Option<Zeroizing<Vec<u8>>>,
}

impl Held {
    fn new(record: &Record<'_>) -> Self {
        let payload = match record.body {
            Body::Value(payload) => Some(Zeroizing::new(payload.to_vec())),
            Body::Deleted => None,
        };
        Self { key: record.key, version: record.version, deadlines: record.deadlines, payload }
    }

    pub(super) fn record(&self) -> Record<'_> {
        let body = self.payload.as_ref().map_or(Body::Deleted, |payload| Body::Value(payload));
        Record { key: self.key, version: self.version, deadlines: self.deadlines, body }
    }

    pub(super) fn bytes(&self) -> usize {
        footprint(&self.record())
    }
}

/// The store behind the table's lock.
pub(super) struct State {
    pub(super) held: Map,
    pub(super) digests: [u64; RANGES],
    capacity: usize,
    bytes: usize,
    /// The latest version of the tombstones that were forgotten.
    forgotten_to: Hlc,
    counts: Stats,
}

impl State {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            held: Map::new(),
            digests: [0; RANGES],
            capacity,
            bytes: 0,
            forgotten_to: Hlc::default(),
            counts: Stats::default(),
        }
    }

    pub(super) fn apply(&mut self, hash: KeyHash, record: &Record<'_>, now: Wall) -> Applied {
        let applied = self.merge_in(hash, record, now);
        match applied {
            Applied::Refused(Refusal::Expired) => self.counts.refused_expired += 1,
            Applied::Refused(Refusal::Forgotten) => self.counts.refused_forgotten += 1,
            Applied::Refused(Refusal::TooLarge) => self.counts.refused_too_large += 1,
            Applied::New | Applied::Replaced | Applied::Touched | Applied::Kept => {}
        }
        applied
    }

    fn merge_in(&mut self, hash: KeyHash, record: &Record<'_>, now: Wall) -> Applied {
        if end(record) <= now {
            return Applied::Refused(Refusal::Expired);
        }
        if footprint(record) > self.capacity {
            return Applied::Refused(Refusal::TooLarge);
        }
        let Some(held) = self.held.get_mut(&hash) else {
            if record.version.time <= self.forgotten_to {
                return Applied::Refused(Refusal::Forgotten);
            }
            self.insert(hash, record);
            return Applied::New;
        };
        match merge(&held.record(), record) {
            Merge::Keep => Applied::Kept,
            Merge::Touch(idle) => {
                held.deadlines.idle = idle;
                Applied::Touched
            }
            Merge::Replace(_) => {
                self.remove(hash);
                self.insert(hash, record);
                Applied::Replaced
            }
        }
    }

    pub(super) fn touch(&mut self, touch: &Touch, _now: Wall) -> Touched {
        let Some(held) = self.held.get_mut(&touch.hash) else {
            return Touched::Missing;
        };
        if held.version.time < touch.time {
            return Touched::Missing;
        }
        let stale = held.version.time > touch.time || held.payload.is_none();
        if stale || touch.idle <= held.deadlines.idle {
            return Touched::Stale;
        }
        held.deadlines.idle = touch.idle;
        Touched::Moved
    }

    pub(super) fn expire(&mut self, now: Wall, limit: usize) -> usize {
        let ended: Vec<KeyHash> = self
            .held
            .iter()
            .filter(|(_, held)| end(&held.record()) <= now)
            .map(|(&hash, _)| hash)
            .take(limit)
            .collect();
        for &hash in &ended {
            self.remove(hash);
        }
        self.counts.expired += ended.len() as u64;
        ended.len()
    }

    pub(super) fn count_get(&mut self, hit: bool) {
        self.counts.hits += u64::from(hit);
        self.counts.misses += u64::from(!hit);
    }

    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.counts;
        stats.bytes = self.bytes as u64;
        stats.capacity_bytes = self.capacity as u64;
        for held in self.held.values() {
            if held.payload.is_some() {
                stats.records += 1;
                let place = Kind::ALL.iter().position(|&kind| kind == held.key.kind());
                stats.by_kind[place.expect("every kind is in the list")] += 1;
            } else {
                stats.tombstones += 1;
            }
        }
        stats
    }

    fn insert(&mut self, hash: KeyHash, record: &Record<'_>) {
        while self.bytes + footprint(record) > self.capacity {
            self.evict();
        }
        self.bytes += footprint(record);
        self.digests[usize::from(KeyRange::of(hash).0)] ^= mix(hash, record.version);
        self.held.insert(hash, Held::new(record));
    }

    fn remove(&mut self, hash: KeyHash) {
        if let Some(held) = self.held.remove(&hash) {
            self.bytes -= held.bytes();
            self.digests[usize::from(KeyRange::of(hash).0)] ^= mix(hash, held.version);
        }
    }

    /// Drops the value that was written first, or the first tombstone where
    /// there is no value.
    fn evict(&mut self) {
        let oldest = |value: bool| {
            let of_sort = self.held.iter().filter(|(_, held)| held.payload.is_some() == value);
            of_sort
                .min_by_key(|(_, held)| held.version)
                .map(|(&hash, held)| (hash, held.version.time))
        };
        if let Some((hash, _)) = oldest(true) {
            self.counts.evicted += 1;
            self.remove(hash);
        } else if let Some((hash, time)) = oldest(false) {
            self.counts.forgotten += 1;
            self.forgotten_to = self.forgotten_to.max(time);
            self.remove(hash);
        }
    }
}

/// When a record ends: a tombstone has no idle deadline.
pub(super) fn end(record: &Record<'_>) -> Wall {
    match record.body {
        Body::Value(_) => record.deadlines.end(),
        Body::Deleted => record.deadlines.absolute,
    }
}

/// Whether a record is a value that has not ended.
pub(super) fn is_live_value(record: &Record<'_>, now: Wall) -> bool {
    record.body != Body::Deleted && end(record) > now
}

fn footprint(record: &Record<'_>) -> usize {
    let payload = match record.body {
        Body::Value(payload) => payload.len(),
        Body::Deleted => 0,
    };
    OVERHEAD_BYTES + record.key.as_bytes().len() + payload
}

/// What a version adds to its range's digest: well mixed, so that the sum of
/// many does not cancel by accident.
const fn mix(hash: KeyHash, version: Version) -> u64 {
    let time = folded_multiply(version.time.0 ^ hash.0.rotate_left(32), 0x9e37_79b9_7f4a_7c15);
    folded_multiply(time ^ hash.0 ^ version.writer.0 as u64, 0xd6e8_feb8_6659_fd93)
}
