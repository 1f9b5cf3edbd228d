//! Reading and writing the farm's records.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use proto::holdings::Holdings;
use proto::nak::acks;
use proto::record::{
    Body, Deadlines, HybridClock, Key, KeyHash, Record, Touch, Version, Writer, normal,
};
use proto::table::{Applied, Refusal, Touched};
use proto::time::Wall;
use proto::wire::frame::Frame;
use sys::wait::Waker;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::ack::Ack;
use crate::asks::Asks;
use crate::claims::Claims;
use crate::driver::Driver;
use crate::driver::clock::{self, Clock};
use crate::error::WriteError;
use crate::lookup::Lookups;
use crate::upstream::Tier;
use crate::writes::{Pushed, Write, Writes};

/// How long a tombstone lives when the deadline of what it deletes is not
/// known here: the longest lifetime of a session by default. A tier above that
/// has the record has its tombstone outlive it.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A record that was found.
#[derive(Clone)]
pub struct Found {
    /// Its payload; zeroized when dropped.
    pub value: Zeroizing<Vec<u8>>,
    /// Its version.
    pub version: Version,
    /// When it ends.
    pub deadlines: Deadlines,
}

impl std::fmt::Debug for Found {
    /// Everything but the payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found")
            .field("bytes", &self.value.len())
            .field("version", &self.version)
            .field("deadlines", &self.deadlines)
            .finish()
    }
}

/// A write that was done, and acknowledged as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version that the record has now.
    pub version: Version,
}

/// Told when a write has the acknowledgement that it asked for; closed if it
/// never will.
pub(crate) type Confirmed = oneshot::Receiver<()>;

/// A handle on the farm's cache; cheap to clone.
#[derive(Clone)]
pub struct Cache {
    pub(crate) shared: Arc<Shared>,
    /// Gone when the node has ended.
    driver: Weak<Mutex<Driver>>,
}

/// What the handles share with the node's driver.
pub(crate) struct Shared {
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) versions: Arc<HybridClock>,
    pub(crate) clock: Clock,
    pub(crate) writer: Writer,
    pub(crate) ack_timeout: Duration,
    pub(crate) claim_timeout: Duration,
    pub(crate) closed: AtomicBool,
    /// Whether nobody else is to hear of writes.
    pub(crate) alone: bool,
    pub(crate) lookup_timeout: Duration,
    pub(crate) writes: Writes,
    pub(crate) lookups: Lookups,
    pub(crate) claims: Claims,
    /// What the farm's records go up to, and come back from.
    pub(crate) tier: Tier,
    pub(crate) asks: Asks,
    pub(crate) edits: Edits,
    /// Wakes the driver's thread, after something was left for it.
    pub(crate) waker: Waker,
}

/// A handle that lets the node end.
pub(crate) struct WeakCache {
    shared: Weak<Shared>,
    driver: Weak<Mutex<Driver>>,
}

impl WeakCache {
    /// The handle, while there is the node.
    pub(crate) fn upgrade(&self) -> Option<Cache> {
        Some(Cache { shared: self.shared.upgrade()?, driver: Weak::clone(&self.driver) })
    }
}

impl Cache {
    pub(crate) fn downgrade(&self) -> WeakCache {
        WeakCache { shared: Arc::downgrade(&self.shared), driver: Weak::clone(&self.driver) }
    }

    pub(crate) const fn new(shared: Arc<Shared>, driver: Weak<Mutex<Driver>>) -> Self {
        Self { shared, driver }
    }

    /// The time of day that the node's versions and deadlines are made from.
    #[must_use]
    pub fn now(&self) -> Wall {
        clock::wall()
    }

    /// The live record of `key`.
    ///
    /// Looks in the node's own table; nothing is sent and nothing waits.
    pub fn peek(&self, key: &Key) -> Option<Found> {
        self.shared.holdings.get(key, self.now(), above::found).flatten()
    }

    /// Moves a record's idle deadline on, when it lies earlier.
    ///
    /// # Errors
    ///
    /// [`WriteError::NotFound`] when there is no live record of that key;
    /// else as [`Cache::put`].
    pub async fn touch(&self, key: &Key, idle: Wall, ack: Ack) -> Result<Written, WriteError> {
        let held = self.shared.holdings.get(key, self.now(), |record| record.version);
        let version = match held {
            Some(version) => version,
            // What is only above comes here by looking it up.
            None => self.find(key).await.ok_or(WriteError::NotFound)?.version,
        };
        let hash = self.shared.holdings.hash(key);
        let touch = Touch { hash, time: version.time, idle };
        match self.shared.holdings.touch(&touch, self.now()) {
            Touched::Moved => self.publish(&Frame::Touch(touch), &[hash], ack).await?,
            // Whether others have that deadline is known only once they have been
            // sent it.
            Touched::Stale if ack != Ack::Local => {
                self.publish(&Frame::Touch(touch), &[hash], ack).await?;
            }
            Touched::Stale => {}
            // Others hold what there is no room for here.
            Touched::Missing if held.is_none() => {
                self.publish(&Frame::Touch(touch), &[hash], ack).await?;
            }
            Touched::Missing => return Err(WriteError::NotFound),
        }
        Ok(Written { version })
    }

    /// Deletes a record. No write from before revives it.
    ///
    /// Gives whether there was a live record.
    ///
    /// # Errors
    ///
    /// As [`Cache::put`].
    pub async fn remove(&self, key: &Key, ack: Ack) -> Result<bool, WriteError> {
        let (held, absolute) = self.end_of(key).await;
        let now = self.now();
        let record = self.record(key, Deadlines::at(absolute), Body::Deleted, now);
        let (hash, record) = self.take_in(record, now)?;
        self.publish(&Frame::Record(record), &[hash], ack).await?;
        Ok(held)
    }

    /// The next version of a record.
    fn record<'a>(&self, key: &Key, deadlines: Deadlines, body: Body<'a>, now: Wall) -> Record<'a> {
        normal(&Record { key: *key, version: self.tick(now), deadlines, body })
    }

    /// The next version that this node writes.
    fn tick(&self, now: Wall) -> Version {
        Version { time: self.shared.versions.tick(now), writer: self.shared.writer }
    }

    /// Whether there is a live record, and when it (or else its tombstone)
    /// ends for good.
    async fn end_of(&self, key: &Key) -> (bool, Wall) {
        let now = self.now();
        let held = self.shared.holdings.get(key, now, |record| record.deadlines.absolute);
        let absolute = match held {
            Some(absolute) => Some(absolute),
            None => self.find(key).await.map(|found| found.deadlines.absolute),
        };
        (absolute.is_some(), absolute.unwrap_or(now + UNKNOWN_LIFETIME))
    }

    /// Takes a record into the table. Gives the hash of its key, and the record
    /// as it is there.
    fn take_in<'a>(
        &self,
        record: Record<'a>,
        now: Wall,
    ) -> Result<(KeyHash, Record<'a>), WriteError> {
        let hash = self.shared.holdings.hash(&record.key);
        let applied = self.shared.holdings.admit(&record, now);
        Ok((hash, self.accepted((hash, record), applied, now)?))
    }

    /// Gives a record as it is in the table, which has `applied` it. Where it is
    /// held in a version from a clock that is ahead, the record gets a later one:
    /// what is read here can be written and deleted here, whoever wrote it.
    fn accepted<'a>(
        &self,
        (hash, record): (KeyHash, Record<'a>),
        applied: Applied,
        now: Wall,
    ) -> Result<Record<'a>, WriteError> {
        let Shared { holdings, versions, .. } = &*self.shared;
        if applied == Applied::Kept
            && let Some(held) = holdings.peek_hash(hash, |held| held.version.time)
            && held >= record.version.time
            && let Some(time) = versions.tick_past(held)
        {
            let later = Record { version: Version { time, ..record.version }, ..record };
            return accepted(holdings.admit(&later, now)).map(|()| later);
        }
        accepted(applied).map(|()| record)
    }

    /// Has the driver send what the table has taken in, and waits until `ack` is
    /// met.
    async fn publish(
        &self,
        frame: &Frame<'_>,
        keys: &[KeyHash],
        wanted: Ack,
    ) -> Result<(), WriteError> {
        let above = self.shared.tier.write(frame, wanted == Ack::Tier);
        let confirmed = self.enqueue(frame, keys, wanted.of_holders()).await?;
        let above = above?;
        if wanted == Ack::Tier {
            return above.wait(self.shared.ack_timeout).await;
        }
        let Some(confirmed) = confirmed else { return Ok(()) };
        match tokio::time::timeout(self.shared.ack_timeout, confirmed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(WriteError::Unacknowledged { wanted }),
        }
    }

    /// Leaves for the driver what the table has taken in. Who gave an `ack` to
    /// wait for is told when it is met.
    async fn enqueue(
        &self,
        frame: &Frame<'_>,
        keys: &[KeyHash],
        ack: acks::Ack,
    ) -> Result<Option<Confirmed>, WriteError> {
        if self.goes_nowhere(ack)? {
            return Ok(None);
        }
        let (done, confirmed) = (ack != acks::Ack::Local).then(oneshot::channel).unzip();
        let writes = &self.shared.writes;
        let mut write = Write { frame, keys, ack, done };
        loop {
            match writes.push(write)? {
                Pushed::Joined => break,
                Pushed::Tell => {
                    self.tell_driver();
                    break;
                }
                Pushed::Full(back) => {
                    write = back;
                    writes.wait_for_room(|| self.tell_driver()).await;
                }
            }
        }
        Ok(confirmed)
    }

    /// Whether nobody hears of a write, nor is waited for.
    fn goes_nowhere(&self, ack: acks::Ack) -> Result<bool, WriteError> {
        let Shared { alone, closed, .. } = &*self.shared;
        let goes_nowhere = *alone && ack == acks::Ack::Local;
        if goes_nowhere && closed.load(Ordering::Relaxed) {
            return Err(WriteError::Closed);
        }
        Ok(goes_nowhere)
    }

    /// Sees to it that what was written or asked is sent: by the driver itself, which is
    /// lent to writers while its thread sleeps, or else by that thread.
    pub(crate) fn tell_driver(&self) {
        if !self.shared.waker.is_asleep() {
            // It looks once more before it sleeps.
            return;
        }
        let sent = self.driver.upgrade().is_some_and(|driver| {
            driver.try_lock().is_ok_and(|mut driver| driver.send_for_others())
        });
        if !sent {
            self.shared.waker.wake();
        }
    }
}

/// Whether the table took a write in.
const fn accepted(applied: Applied) -> Result<(), WriteError> {
    match applied {
        Applied::New | Applied::Replaced | Applied::Touched => Ok(()),
        Applied::Kept | Applied::Refused(Refusal::Forgotten) => Err(WriteError::Deleted),
        Applied::Refused(Refusal::Expired) => Err(WriteError::Expired),
        Applied::Refused(Refusal::TooLarge) => Err(WriteError::NoRoom),
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({:?})", self.shared.writer)
    }
}

mod above;
mod adopt;
mod gathered;
mod say;
mod values;
mod write;

pub(crate) use above::MOST_TIERS;
pub(crate) use adopt::Adopted;
pub use gathered::Gathered;
pub use values::{Pending, Placed};
pub(crate) use write::{Edited, Edits};

#[cfg(test)]
mod tests;
