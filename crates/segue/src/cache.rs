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
use proto::wire::frame::Frame;
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

impl From<&Record<'_>> for OwnedRecord {
    fn from(record: &Record<'_>) -> Self {
        let Record { key, version, deadlines, body } = *record;
        let value = match body {
            Body::Value(value) => Some(Zeroizing::new(value.to_vec())),
            Body::Deleted => None,
        };
        Self { key, version, deadlines, value }
    }
}

impl From<&Frame<'_>> for OwnedFrame {
    fn from(frame: &Frame<'_>) -> Self {
        match frame {
            Frame::Record(record) => Self::Record(record.into()),
            Frame::Touch(touch) => Self::Touch(*touch),
            Frame::Rotate { old, new } => Self::Rotate { old: old.into(), new: new.into() },
        }
    }
}

impl OwnedFrame {
    pub(crate) fn as_frame(&self) -> Frame<'_> {
        match self {
            Self::Record(record) => Frame::Record(record.as_record()),
            Self::Touch(touch) => Frame::Touch(*touch),
            Self::Rotate { old, new } => {
                Frame::Rotate { old: old.as_record(), new: new.as_record() }
            }
        }
    }
}

impl OwnedRecord {
    fn as_record(&self) -> Record<'_> {
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
        let now = self.now();
        if let Some(version) = self.version_of_same(key, value, deadlines, now) {
            self.move_idle(key, version, deadlines.idle, ack).await?;
            return Ok(Written { version });
        }
        let record = self.record(key, deadlines, Body::Value(value), now);
        self.apply(&record, now)?;
        self.publish(&Frame::Record(record), ack).await?;
        Ok(Written { version: record.version })
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
        let now = self.now();
        let (held, absolute) = self.end_of(key, now);
        let record = self.record(key, Deadlines::at(absolute), Body::Deleted, now);
        self.apply(&record, now)?;
        self.publish(&Frame::Record(record), ack).await?;
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
        let (now, ends) = (self.now(), Deadlines::at(found.deadlines.absolute));
        let old = self.record(old, ends, Body::Deleted, now);
        let new = self.record(new, found.deadlines, Body::Value(&found.value), now);
        self.apply(&new, now)?;
        self.apply(&old, now)?;
        self.publish(&Frame::Rotate { old, new }, ack).await?;
        Ok(Written { version: new.version })
    }

    /// The next version of a record.
    fn record<'a>(&self, key: &Key, deadlines: Deadlines, body: Body<'a>, now: Wall) -> Record<'a> {
        let time = self.shared.versions.tick(now);
        let version = Version { time, writer: self.shared.writer };
        Record { key: *key, version, deadlines, body }
    }

    /// Whether there is a live record, and when it (or else its tombstone)
    /// ends for good.
    fn end_of(&self, key: &Key, now: Wall) -> (bool, Wall) {
        let absolute = self.shared.table.get(key, now, |record| record.deadlines.absolute);
        (absolute.is_some(), absolute.unwrap_or(now + UNKNOWN_LIFETIME))
    }

    /// The version of the live record, when it has this value and this end.
    fn version_of_same(
        &self,
        key: &Key,
        value: &[u8],
        deadlines: Deadlines,
        now: Wall,
    ) -> Option<Version> {
        let same = |record: &Record<'_>| {
            let same = record.body == Body::Value(value)
                && record.deadlines.absolute == deadlines.absolute
                && record.deadlines.idle <= deadlines.idle;
            same.then_some(record.version)
        };
        self.shared.table.get(key, now, same).flatten()
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
            Touched::Moved => self.publish(&Frame::Touch(touch), ack).await,
            Touched::Stale => Ok(()),
            Touched::Missing => Err(WriteError::NotFound),
        }
    }

    fn apply(&self, record: &Record<'_>, now: Wall) -> Result<(), WriteError> {
        match self.shared.table.apply(record, now) {
            Applied::New | Applied::Replaced | Applied::Touched => Ok(()),
            Applied::Kept | Applied::Refused(Refusal::Forgotten) => Err(WriteError::Deleted),
            Applied::Refused(Refusal::Expired) => Err(WriteError::Expired),
            Applied::Refused(Refusal::TooLarge) => Err(WriteError::NoRoom),
        }
    }

    /// Has the driver send what the table has taken in.
    async fn publish(&self, frame: &Frame<'_>, ack: Ack) -> Result<(), WriteError> {
        if self.shared.closed.load(Ordering::Relaxed) {
            return Err(WriteError::Closed);
        }
        let (mut done, confirmed) = (ack != Ack::Local).then(oneshot::channel).unzip();
        if !self.publish_at_once(frame, ack, &mut done) {
            let publish = Publish { frame: frame.into(), ack, done };
            self.shared.publish.send(publish).await.map_err(|_| WriteError::Closed)?;
            self.shared.waker.wake();
        }
        let Some(confirmed) = confirmed else { return Ok(()) };
        match tokio::time::timeout(self.shared.ack_timeout, confirmed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(WriteError::Unacknowledged { wanted: ack }),
        }
    }

    /// Hands the write to the driver itself, which is lent to writers while its
    /// thread sleeps. Not done where somebody else has it, or there is no room.
    fn publish_at_once(
        &self,
        frame: &Frame<'_>,
        ack: Ack,
        done: &mut Option<oneshot::Sender<()>>,
    ) -> bool {
        if !self.shared.waker.is_asleep() {
            return false;
        }
        let Some(driver) = self.driver.upgrade() else { return false };
        let Ok(mut driver) = driver.try_lock() else { return false };
        if !driver.takes_writes() {
            return false;
        }
        driver.publish(frame, ack, done.take());
        if !driver.send_or_linger() {
            self.shared.waker.wake();
        }
        true
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({:?})", self.shared.writer)
    }
}
