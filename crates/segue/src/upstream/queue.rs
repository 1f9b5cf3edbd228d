//! What is to go up to an engine: bounded, in the order in which it was
//! written. It knows nothing of the engine, nor of what the values say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;
use proto::record::{Key, KeyHash, Version};
#[cfg(feature = "redis")]
use proto::time::Wall;
#[cfg(feature = "redis")]
use proto::upstream::Name;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::error::UpstreamError;

/// The most writes that go together: each takes the engine some five
/// microseconds, so that a look-up waits for about one millisecond.
const BATCH_RECORDS: usize = 256;
/// Touched records that wait to go up. More are not moved on there; eight
/// bytes each and the tree around them make some two megabytes.
const MAX_TOUCHED: usize = 65_536;
/// What a write takes beside its value, in bytes.
const WRITE_BYTES: usize = size_of::<Write>();

/// A value on its way up.
pub(super) struct Write {
    /// Whose record it is; of a rotation, that of the old id.
    pub(super) key: Key,
    /// What an engine is told beside the value.
    #[cfg(feature = "redis")]
    pub(super) label: Label,
    /// The record's version: a later one makes this write needless, unless it
    /// is a rotation.
    pub(super) version: Option<Version>,
    /// Sealed, if it goes to an engine; to a node an item of a batch.
    pub(super) value: Bytes,
    /// Whether it is a tombstone.
    pub(super) deletes: bool,
    /// How often it went up and was not confirmed.
    pub(super) tries: u32,
    /// Who waits for the engine to have it.
    pub(super) done: Option<oneshot::Sender<Result<(), UpstreamError>>>,
}

/// What an engine is told of a value.
#[cfg(feature = "redis")]
#[derive(Clone, Copy)]
pub(super) struct Label {
    /// What it knows the record by.
    pub(super) name: Name,
    /// When it may forget it.
    pub(super) expires: Wall,
}

impl Write {
    /// How much of the queue it takes.
    pub(super) const fn bytes(&self) -> usize {
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
    /// What goes up again, by the time from which it may and a number of its
    /// own.
    later: BTreeMap<(Instant, u64), Write>,
    last_number: u64,
    /// Of all that wait, now or for later.
    bytes: usize,
    touched: BTreeSet<KeyHash>,
    /// How many were taken, and have not been told to have landed.
    under_way: usize,
}

/// There is no room for a write; who waits for it was told.
#[derive(Debug)]
pub(super) struct Full;

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, waiting: Mutex::default(), news: Notify::new() }
    }

    /// Adds a write. Tombstones have as much room again as all others: what is
    /// lost of a value is looked for in vain later, but what is lost of a
    /// delete comes to life again.
    pub(super) fn push(&self, write: Write) -> Result<(), Full> {
        self.add(write, |waiting, write| waiting.writes.push_back(write))
    }

    /// Adds a write that is to go up from `due` on.
    pub(super) fn push_later(&self, write: Write, due: Instant) -> Result<(), Full> {
        self.add(write, |waiting, write| {
            waiting.last_number += 1;
            waiting.later.insert((due, waiting.last_number), write);
        })
    }

    fn add(&self, mut write: Write, put: impl FnOnce(&mut Waiting, Write)) -> Result<(), Full> {
        let mut waiting = self.waiting.lock();
        let reserve = if write.deletes { 2 } else { 1 };
        let is_full = waiting.count() >= reserve * self.bounds.records
            || waiting.bytes + write.bytes() > reserve * self.bounds.bytes;
        if is_full {
            write.settle(Err(UpstreamError::QueueFull));
            return Err(Full);
        }
        waiting.bytes += write.bytes();
        put(&mut waiting, write);
        drop(waiting);
        self.news.notify_one();
        Ok(())
    }

    /// Takes the next writes that go together, of so many bytes, or one that is
    /// longer; none when nothing waits.
    pub(super) fn take(&self, most_bytes: usize) -> Vec<Write> {
        let mut waiting = self.waiting.lock();
        waiting.come_due();
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(next) = waiting.writes.front() {
            bytes += next.bytes();
            if batch.len() == BATCH_RECORDS || (bytes > most_bytes && !batch.is_empty()) {
                break;
            }
            waiting.bytes -= next.bytes();
            batch.extend(waiting.writes.pop_front());
        }
        waiting.under_way += batch.len();
        batch
    }

    /// So many of those that were taken are under way no more.
    pub(super) fn landed(&self, writes: usize) {
        let mut waiting = self.waiting.lock();
        waiting.under_way = waiting.under_way.saturating_sub(writes);
    }

    /// Waits until something is there to be taken.
    pub(super) async fn filled(&self) {
        loop {
            let due = {
                let mut waiting = self.waiting.lock();
                waiting.come_due();
                if !waiting.writes.is_empty() {
                    return;
                }
                waiting.later.first_key_value().map(|(&(due, _), _)| due)
            };
            match due {
                None => self.news.notified().await,
                // That the time has come is looked for above.
                Some(due) => drop(timeout_at(due, self.news.notified()).await),
            }
        }
    }

    /// Has all that waits for later go now: there is no later.
    pub(super) fn hurry(&self) {
        let mut waiting = self.waiting.lock();
        let later = std::mem::take(&mut waiting.later);
        waiting.writes.extend(later.into_values());
        drop(waiting);
        self.news.notify_one();
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
        (waiting.count(), waiting.bytes)
    }

    /// How many writes have not come up, those under way and touches among them.
    pub(super) fn left(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.count() + waiting.touched.len() + waiting.under_way
    }
}

impl Waiting {
    fn count(&self) -> usize {
        self.writes.len() + self.later.len()
    }

    /// Has those go whose time has come.
    fn come_due(&mut self) {
        if self.later.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            self.writes.push_back(first.remove());
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
