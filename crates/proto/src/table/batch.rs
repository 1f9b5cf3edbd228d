//! Many records at a time, as packets bring them.
//!
//! Most of what a record costs is waiting for memory: its bucket, then its
//! entry, in no processor's cache where sessions are many. So records are taken
//! in shard by shard, under one lock, and all buckets are asked for before the
//! first is looked at, and then all entries: the memory comes side by side
//! (Chen et al., "Improving hash join performance through prefetching", 2004).

use super::entry;
use super::layout::MAX_SHARDS;
use super::shard::Hashed;
use super::{Applied, KeyRange, Table};
use crate::record::{KeyHash, Record};
use crate::time::Wall;

/// How many records are taken in at a time: those of a run of full packets of
/// 200-byte payloads. What is fetched for them, some 20 KiB, fits a
/// first-level cache.
const GROUP: usize = 80;

impl Table {
    /// Merges `records` into what is held under their keys, shard by shard, and
    /// tells of each what became of it.
    pub fn apply_all(
        &self,
        records: &[Record<'_>],
        now: Wall,
        mut tell: impl FnMut(&Record<'_>, Applied),
    ) {
        for group in records.chunks(GROUP) {
            match group {
                [record] => tell(record, self.apply(record, now)),
                _ => self.apply_group(group, now, &mut tell),
            }
        }
    }

    /// Has memory fetched that look-ups of these keys will need, up to a group's:
    /// of each entry so many bytes.
    pub fn fetch(&self, keys: &[KeyHash], entry_bytes: usize) {
        let keys = &keys[..keys.len().min(GROUP)];
        let mut hashes = [Hashed::default(); GROUP];
        for (&key, hashed) in keys.iter().zip(&mut hashes) {
            *hashed = self.hashed(key);
            self.shard(key).lock().prefetch_bucket(hashed.own, self.prefetch);
        }
        for hashed in &hashes[..keys.len()] {
            let mut shard = self.shard(hashed.hash).lock();
            shard.prefetch_entry(hashed.own, entry_bytes, self.prefetch);
        }
    }

    fn apply_group(
        &self,
        group: &[Record<'_>],
        now: Wall,
        tell: &mut impl FnMut(&Record<'_>, Applied),
    ) {
        let mut hashes = [Hashed::default(); GROUP];
        let mut shards = [0; GROUP];
        let mut outcomes = [Applied::Kept; GROUP];
        for ((record, hashed), shard) in group.iter().zip(&mut hashes).zip(&mut shards) {
            *hashed = self.hashed(self.hash(&record.key));
            *shard = u8::try_from(self.shard_of(KeyRange::of(hashed.hash))).expect("at most 64");
        }
        let by_shard = ByShard::new(&shards[..group.len()]);
        for (shard, places) in by_shard.iter() {
            let mut shard = self.shards[shard].lock();
            for place in places.clone() {
                shard.prefetch_bucket(hashes[place].own, self.prefetch);
            }
            for place in places.clone() {
                let bytes = entry::footprint(&group[place]).unwrap_or(0);
                shard.prefetch_entry(hashes[place].own, bytes, self.prefetch);
            }
            for place in places {
                outcomes[place] = shard.apply(hashes[place], &group[place], now);
            }
        }
        group.iter().zip(outcomes).for_each(|(record, applied)| tell(record, applied));
    }
}

/// The places of a group's records, each shard's together, in the order of
/// their arrival.
struct ByShard {
    places: [u8; GROUP],
    /// Where each shard's places begin, and behind the last one's where they
    /// end.
    begins: [u8; MAX_SHARDS + 1],
}

impl ByShard {
    /// Sorts by counting: `shards` are the shards of the records in turn.
    fn new(shards: &[u8]) -> Self {
        let mut begins = [0; MAX_SHARDS + 1];
        for &shard in shards {
            begins[usize::from(shard) + 1] += 1;
        }
        for shard in 0..MAX_SHARDS {
            begins[shard + 1] += begins[shard];
        }
        let (mut places, mut ends) = ([0; GROUP], begins);
        for (place, &shard) in (0..).zip(shards) {
            let end = &mut ends[usize::from(shard)];
            places[usize::from(*end)] = place;
            *end += 1;
        }
        Self { places, begins }
    }

    /// The shards that have records, and these.
    fn iter(&self) -> impl Iterator<Item = (usize, impl Iterator<Item = usize> + Clone)> {
        let ranges = self.begins.windows(2).map(|pair| usize::from(pair[0])..usize::from(pair[1]));
        let taken = ranges.enumerate().filter(|(_, range)| !range.is_empty());
        taken.map(|(shard, range)| (shard, self.places[range].iter().map(|&at| usize::from(at))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shards_records_stand_together_in_order() {
        let check = |shards: &[u8], expected: &[(usize, &[usize])]| {
            let by_shard = ByShard::new(shards);
            let found = by_shard.iter().map(|(shard, places)| (shard, places.collect::<Vec<_>>()));
            let expected = expected.iter().map(|&(shard, places)| (shard, places.to_vec()));
            assert!(found.eq(expected), "{shards:?}");
        };
        check(&[], &[]);
        check(&[5], &[(5, &[0])]);
        check(&[63, 0, 63, 7, 0], &[(0, &[1, 4]), (7, &[3]), (63, &[0, 2])]);
    }
}
