//! Reading and writing the farm's records.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use proto::nak::acks::Ack;
use proto::record::{
    Body, Deadlines, HybridClock, Key, MAX_PAYLOAD_BYTES, Record, Touch, Version, Writer,
};
use proto::table::{Applied, Refusal, Table, Touched};
use proto::time::Wall;
use sys::wait::Waker;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use crate::driver::Driver;
use crate::driver::clock::Clock;
use crate::error::WriteError;

/// How long a tombstone lives when the deadline of what it deletes is not
/// known here: the longest lifetime of a session by default.
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

/// A handle on the farm's cache; cheap to clone.
#[derive(Clone)]
pub struct Cache {
    pub(crate) shared: Arc<Shared>,
    /// Gone when the node has ended.
    driver: Weak<Mutex<Driver>>,
}

/// What the handles share with the node's driver.
pub(crate) struct Shared {
    pub(crate) table: Arc<Table>,
    pub(crate) versions: Arc<HybridClock>,
    pub(crate) clock: Clock,
    pub(crate) writer: Writer,
    pub(crate) ack_timeout: Duration,
    pub(crate) closed: AtomicBool,
    pub(crate) publish: mpsc::Sender<Publish>,
    /// Wakes the driver's thread, after something was left for it.
    pub(crate) waker: Waker,
}

/// A write on its way to the other nodes.
pub(crate) struct Publish {
    pub(crate) frame: OwnedFrame,
    pub(crate) ack: Ack,
    /// Told when the acknowledgement is there; `None` for [`Ack::Local`].
    pub(crate) done: Option<oneshot::Sender<()>>,
}

/// A frame that owns its record, between the writer and the driver.
pub(crate) enum OwnedFrame {
    Record(OwnedRecord),
    Touch(Touch),
    Rotate { old: OwnedRecord, new: OwnedRecord },
}

/// A record with its payload.
pub(crate) struct OwnedRecord {
    key: Key,
    version: Version,
    deadlines: Deadlines,
    /// `None`: deleted.
    value: Option<Zeroizing<Vec<u8>>>,
}

impl OwnedRecord {
    pub(crate) fn as_record(&self) -> Record<'_> {
        let body = self.value.as_ref().map_or(Body::Deleted, |value| Body::Value(value));
        Record { key: self.key, version: self.version, deadlines: self.deadlines, body }
    }
}

impl Cache {
    pub(crate) const fn new(shared: Arc<Shared>, driver: Weak<Mutex<Driver>>) -> Self {
        Self { shared, driver }
    }

    /// The time of day that the node's versions and deadlines are made from.
    #[must_use]
    pub fn now(&self) -> Wall {
        self.shared.clock.now().wall
    }

    /// The live record of `key`.
    ///
    /// Looks in the node's own table; nothing is sent and nothing waits.
    pub fn peek(&self, key: &Key) -> Option<Found> {
        self.shared.table.get(key, self.now(), |record| {
            let Body::Value(value) = record.body else { unreachable!("get gives values only") };
            Found {
                value: Zeroizing::new(value.to_vec()),
                version: record.version,
                deadlines: record.deadlines,
            }
        })
    }

    /// The live record of `key`, wherever in the farm it is.
    ///
    /// Every node keeps the whole cache, so this looks in the node's own.
    #[expect(clippy::unused_async, reason = "asks the farm once nodes keep portions")]
    pub async fn get(&self, key: &Key) -> Option<Found> {
        self.peek(key)
    }

    /// Writes a record and waits until `ack` is met.
    ///
    /// A write that equals the value that is there only moves the idle
    /// deadline on.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; after [`WriteError::Unacknowledged`] the record is in
    /// this node's cache all the same.
    pub async fn put(
        &self,
        key: &Key,
        value: &[u8],
        deadlines: Deadlines,
        ack: Ack,
    ) -> Result<Written, WriteError> {
        let found = value.len();
        if found > MAX_PAYLOAD_BYTES {
            return Err(WriteError::TooLarge { found });
        }
        if let Some(version) = self.version_of_same(key, value, deadlines) {
            self.move_idle(key, version, deadlines.idle, ack).await?;
            return Ok(Written { version });
        }
        let record = self.record(key, deadlines, Some(Zeroizing::new(value.to_vec())));
        let version = record.version;
        self.apply(&record.as_record())?;
        self.publish(OwnedFrame::Record(record), ack).await?;
        Ok(Written { version })
    }

    /// Moves a record's idle deadline on, when it lies earlier.
    ///
    /// # Errors
    ///
    /// [`WriteError::NotFound`] when there is no live record of that key;
    /// else as [`Cache::put`].
    pub async fn touch(&self, key: &Key, idle: Wall, ack: Ack) -> Result<Written, WriteError> {
        let version = self
            .shared
            .table
            .get(key, self.now(), |record| record.version)
            .ok_or(WriteError::NotFound)?;
        self.move_idle(key, version, idle, ack).await?;
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
        let (held, absolute) = self.end_of(key);
        let record = self.record(key, Deadlines::at(absolute), None);
        self.apply(&record.as_record())?;
        self.publish(OwnedFrame::Record(record), ack).await?;
        Ok(held)
    }

    /// Gives a record another id: the new one appears and the old one dies
    /// together, at every node.
    ///
    /// # Errors
    ///
    /// [`WriteError::NotFound`] when there is no live record of `old`; else
    /// as [`Cache::put`].
    pub async fn rotate(&self, old: &Key, new: &Key, ack: Ack) -> Result<Written, WriteError> {
        let found = self.peek(old).ok_or(WriteError::NotFound)?;
        let tombstone = self.record(old, Deadlines::at(found.deadlines.absolute), None);
        let record = self.record(new, found.deadlines, Some(found.value));
        let version = record.version;
        self.apply(&record.as_record())?;
        self.apply(&tombstone.as_record())?;
        self.publish(OwnedFrame::Rotate { old: tombstone, new: record }, ack).await?;
        Ok(Written { version })
    }

    fn record(
        &self,
        key: &Key,
        deadlines: Deadlines,
        value: Option<Zeroizing<Vec<u8>>>,
    ) -> OwnedRecord {
        let time = self.shared.versions.tick(self.now());
        let version = Version { time, writer: self.shared.writer };
        OwnedRecord { key: *key, version, deadlines, value }
    }

    /// Whether there is a live record, and when it (or else its tombstone)
    /// ends for good.
    fn end_of(&self, key: &Key) -> (bool, Wall) {
        let now = self.now();
        let absolute = self.shared.table.get(key, now, |record| record.deadlines.absolute);
        (absolute.is_some(), absolute.unwrap_or(now + UNKNOWN_LIFETIME))
    }

    /// The version of the live record, when it has this value and this end.
    fn version_of_same(&self, key: &Key, value: &[u8], deadlines: Deadlines) -> Option<Version> {
        let same = |record: &Record<'_>| {
            let same = record.body == Body::Value(value)
                && record.deadlines.absolute == deadlines.absolute
                && record.deadlines.idle <= deadlines.idle;
            same.then_some(record.version)
        };
        self.shared.table.get(key, self.now(), same).flatten()
    }

    async fn move_idle(
        &self,
        key: &Key,
        version: Version,
        idle: Wall,
        ack: Ack,
    ) -> Result<(), WriteError> {
        let hash = self.shared.table.hash(key);
        let touch = Touch { hash, time: version.time, idle };
        match self.shared.table.touch(&touch, self.now()) {
            Touched::Moved => self.publish(OwnedFrame::Touch(touch), ack).await,
            Touched::Stale => Ok(()),
            Touched::Missing => Err(WriteError::NotFound),
        }
    }

    fn apply(&self, record: &Record<'_>) -> Result<(), WriteError> {
        match self.shared.table.apply(record, self.now()) {
            Applied::New | Applied::Replaced | Applied::Touched => Ok(()),
            Applied::Kept | Applied::Refused(Refusal::Forgotten) => Err(WriteError::Deleted),
            Applied::Refused(Refusal::Expired) => Err(WriteError::Expired),
            Applied::Refused(Refusal::TooLarge) => Err(WriteError::NoRoom),
        }
    }

    async fn publish(&self, frame: OwnedFrame, ack: Ack) -> Result<(), WriteError> {
        if self.shared.closed.load(Ordering::Relaxed) {
            return Err(WriteError::Closed);
        }
        let (done, confirmed) = oneshot::channel();
        let done = (ack != Ack::Local).then_some(done);
        let waits = done.is_some();
        let publish = Publish { frame, ack, done };
        self.shared.publish.send(publish).await.map_err(|_| WriteError::Closed)?;
        self.send_or_wake();
        if !waits {
            return Ok(());
        }
        match tokio::time::timeout(self.shared.ack_timeout, confirmed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(WriteError::Unacknowledged { wanted: ack }),
        }
    }

    /// Has the driver take what was left for it: lent to this thread while its
    /// own one sleeps, else by that.
    fn send_or_wake(&self) {
        let sent = self.shared.waker.is_asleep()
            && self.driver.upgrade().is_some_and(|driver| {
                driver.try_lock().is_ok_and(|mut driver| driver.send_writes())
            });
        if !sent {
            self.shared.waker.wake();
        }
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({:?})", self.shared.writer)
    }
}
