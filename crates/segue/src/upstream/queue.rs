//! What is to go up to an engine: bounded, in the order in which it was
//! written. It knows nothing of the engine, nor of what the values say.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;
use proto::record::KeyHash;
use proto::time::Wall;
use proto::upstream::Name;
use tokio::sync::{Notify, oneshot};

use crate::error::UpstreamError;

/// The most writes that go together: each takes the engine some five
/// microseconds, so that a look-up waits for about one millisecond.
const BATCH_RECORDS: usize = 256;
/// The most bytes that go together, but for one write that is longer: ten
/// milliseconds of a gigabit.
const BATCH_BYTES: usize = 1 << 20;
/// Touched records that wait to go up. More are not moved on there; eight
/// bytes each and the tree around them make some two megabytes.
const MAX_TOUCHED: usize = 65_536;
/// What a write takes beside its value, in bytes.
const WRITE_BYTES: usize = size_of::<Write>();

/// A value on its way up.
pub(super) struct Write {
    pub(super) name: Name,
    /// Sealed, if it goes to an engine; to a node an item of a batch.
    pub(super) value: Bytes,
    /// When the engine may forget it.
    pub(super) expires: Wall,
    /// Whether it is a tombstone.
    pub(super) deletes: bool,
    /// Who waits for the engine to have it.
    pub(super) done: Option<oneshot::Sender<Result<(), UpstreamError>>>,
}

impl Write {
    const fn bytes(&self) -> usize {
        WRITE_BYTES + self.value.len()
    }

    /// Tells who waits for it.
    pub(super) fn settle(&mut self, result: Result<(), UpstreamError>) {
        if let Some(done) = self.done.take() {
            // The writer may have stopped waiting.
            let _ = done.send(result);
        }
    }
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

pub(super) struct Queue {
    bounds: Bounds,
    waiting: Mutex<Waiting>,
    /// Told when something has come.
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    writes: VecDeque<Write>,
    bytes: usize,
    touched: BTreeSet<KeyHash>,
}

/// There is no room for this.
pub(super) struct Full(pub(super) Write);

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, waiting: Mutex::default(), news: Notify::new() }
    }

    /// Adds a write. Tombstones have as much room again as all others: what is
    /// lost of a value is looked for in vain later, but what is lost of a
    /// delete comes to life again.
    pub(super) fn push(&self, write: Write) -> Result<(), Full> {
        let mut waiting = self.waiting.lock();
        let reserve = if write.deletes { 2 } else { 1 };
        let is_full = waiting.writes.len() >= reserve * self.bounds.records
            || waiting.bytes + write.bytes() > reserve * self.bounds.bytes;
        if is_full {
            return Err(Full(write));
        }
        waiting.bytes += write.bytes();
        waiting.writes.push_back(write);
        drop(waiting);
        self.news.notify_one();
        Ok(())
    }

    /// Takes the next writes that go together; none when nothing waits.
    pub(super) fn take(&self) -> Vec<Write> {
        let mut waiting = self.waiting.lock();
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(next) = waiting.writes.front() {
            bytes += next.bytes();
            if batch.len() == BATCH_RECORDS || (bytes > BATCH_BYTES && !batch.is_empty()) {
                break;
            }
            waiting.bytes -= next.bytes();
            batch.extend(waiting.writes.pop_front());
        }
        batch
    }

    /// Waits until something is there to be taken.
    pub(super) async fn filled(&self) {
        while self.waiting.lock().writes.is_empty() {
            self.news.notified().await;
        }
    }

    /// Notes that a record's deadline has moved on; once, however often it
    /// does. Gives whether there was room.
    pub(super) fn touch(&self, hash: KeyHash) -> bool {
        let touched = &mut self.waiting.lock().touched;
        let has_room = touched.len() < MAX_TOUCHED || touched.contains(&hash);
        if has_room {
            touched.insert(hash);
        }
        has_room
    }

    /// Takes what was touched, at most `limit` of it.
    pub(super) fn take_touched(&self, limit: usize) -> Vec<KeyHash> {
        let touched = &mut self.waiting.lock().touched;
        std::iter::from_fn(|| touched.pop_first()).take(limit).collect()
    }

    /// How many writes and how many bytes wait.
    pub(super) fn load(&self) -> (usize, usize) {
        let waiting = self.waiting.lock();
        (waiting.writes.len(), waiting.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proto::keyring::{FarmKey, Keyring};
    use proto::record::{Key, Kind};
    use proto::upstream::Seals;

    use super::*;

    fn write(len: usize, deletes: bool) -> Write {
        let keys = Keyring::new(vec![FarmKey::new([1; 32])]).unwrap();
        let name = Seals::new(&keys).name(&Key::new(Kind::Web, b"id").unwrap());
        Write { name, value: vec![0; len].into(), expires: Wall::MAX, deletes, done: None }
    }

    #[test]
    fn is_bounded_by_records_and_has_room_for_deletes() {
        let queue = Queue::new(Bounds { records: 2, bytes: usize::MAX / 2 });
        for (deletes, fits) in [
            (false, true),
            (false, true),
            (false, false),
            (true, true),
            (true, true),
            (true, false),
        ] {
            assert_eq!(queue.push(write(1, deletes)).is_ok(), fits);
        }
        assert_eq!(queue.take().len(), 4);
        assert_eq!(queue.load(), (0, 0));
    }

    #[test]
    fn is_bounded_by_bytes() {
        let queue = Queue::new(Bounds { records: 100, bytes: 2 * (WRITE_BYTES + 10) });
        assert!(queue.push(write(10, false)).is_ok());
        assert!(queue.push(write(11, false)).is_err());
        assert!(queue.push(write(10, false)).is_ok());
    }

    #[test]
    fn what_goes_together_is_bounded_and_a_long_write_goes_alone() {
        let queue = Queue::new(Bounds { records: 1_000, bytes: 1 << 30 });
        let lens = [vec![1; BATCH_RECORDS + 1], vec![2 * BATCH_BYTES, 1]].concat();
        for len in lens {
            assert!(queue.push(write(len, false)).is_ok());
        }
        let taken: Vec<_> = std::iter::from_fn(|| Some(queue.take().len())).take(5).collect();
        assert_eq!(taken, [BATCH_RECORDS, 1, 1, 1, 0]);
    }

    #[test]
    fn a_record_that_is_touched_often_waits_once() {
        let queue = Queue::new(Bounds { records: 1, bytes: 1 });
        for hash in [3, 1, 3, 2, 3] {
            assert!(queue.touch(KeyHash(hash)));
        }
        assert_eq!(queue.take_touched(2), [KeyHash(1), KeyHash(2)]);
        assert_eq!(queue.take_touched(2), [KeyHash(3)]);
        assert!((0..MAX_TOUCHED as u64).all(|hash| queue.touch(KeyHash(hash))));
        assert!(queue.touch(KeyHash(0)) && !queue.touch(KeyHash(u64::MAX)));
    }
}
