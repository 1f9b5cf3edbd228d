//! How values were used at this node, for clients that ask (`mg` with `h` or
//! `l`, and `me`): when each was read last. It is a memory that forgets: what
//! lies in a place that another value needs is taken for never read.

use std::sync::atomic::{AtomicU64, Ordering};

use proto::gateway::memcached::values::Access;
use proto::time::Wall;
use proto::web::Item;

/// How many are remembered: half a megabyte of them.
const PLACES: usize = 1 << 16;

/// In each place the upper half of a value's number and the second in which
/// it was read, since 1970. Nobody can choose numbers, so that half makes two
/// values be taken for one about once in 2^32 times.
#[derive(Debug)]
pub(super) struct Accesses(Box<[AtomicU64]>);

impl Default for Accesses {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Accesses {
    /// The value of this number is read.
    pub(super) fn note(&self, number: u64, now: Wall) {
        self.place(number).store(mark(number) << 32 | seconds(now), Ordering::Relaxed);
    }

    /// A value has another number, and is the same to who asks for its use.
    pub(super) fn renumber(&self, old: u64, new: u64) {
        let held = self.place(old).load(Ordering::Relaxed);
        if is_of(held, old) {
            let read = held & u64::from(u32::MAX);
            self.place(new).store(mark(new) << 32 | read, Ordering::Relaxed);
        }
    }

    /// How a value was used.
    pub(super) fn of(&self, item: &Item<'_>, now: Wall) -> Access {
        let number = item.number();
        let held = self.place(number).load(Ordering::Relaxed);
        let fetched = is_of(held, number);
        let since = if fetched {
            held & u64::from(u32::MAX)
        } else {
            seconds(item.rank.written.time.wall())
        };
        let idle_s = seconds(now).saturating_sub(since);
        Access { idle_s: u32::try_from(idle_s).unwrap_or(u32::MAX), fetched }
    }

    fn place(&self, number: u64) -> &AtomicU64 {
        &self.0[usize::try_from(number % PLACES as u64).expect("below the count")]
    }
}

/// Whether what a place holds is of this value; an empty one is of none.
const fn is_of(held: u64, number: u64) -> bool {
    held != 0 && held >> 32 == mark(number)
}

/// The bits of a number that do not choose its place.
const fn mark(number: u64) -> u64 {
    number >> 31 & u32::MAX as u64
}

fn seconds(at: Wall) -> u64 {
    (at.as_millis() / 1_000).min(u32::MAX.into())
}

#[cfg(test)]
mod tests {
    use proto::record::{Hlc, Version, Writer};
    use proto::web::{Beside, Rank};

    use super::*;

    #[test]
    fn what_was_read_is_known_until_its_place_is_needed() {
        let at = |second: u64| Wall::from_millis(second * 1_000);
        let item = |number| {
            let version = Version { time: Hlc::at(at(10)), writer: Writer(1) };
            let beside = Beside { number: Some(number), ..Beside::default() };
            Item { text: b"", beside, rank: Rank::plain(version) }
        };
        let accesses = Accesses::default();
        let (one, other) = (5, 5 + (1 << 40));
        assert_eq!(accesses.of(&item(one), at(12)), Access { idle_s: 2, fetched: false });
        accesses.note(one, at(20));
        assert_eq!(accesses.of(&item(one), at(23)), Access { idle_s: 3, fetched: true });
        assert!(!accesses.of(&item(other), at(23)).fetched);
        accesses.renumber(one, other);
        assert_eq!(accesses.of(&item(other), at(23)), Access { idle_s: 3, fetched: true });
        assert!(!accesses.of(&item(one), at(23)).fetched);
        accesses.renumber(one, 6);
        assert!(!accesses.of(&item(6), at(23)).fetched);
    }
}
