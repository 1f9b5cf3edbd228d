//! Values that merge by their type, for those who build them from what is
//! there: read without a copy, written by their versions, and confirmed later.

use proto::agree::At;
use proto::agree::operation::{Expect, Held, Operation, Outcome};
use proto::record::{
    Body, Deadlines, Hlc, Key, KeyHash, MAX_PAYLOAD_BYTES, Record, Touch, Version,
};
use proto::table::{Cursor, KeyRanges, Touched};
use proto::time::Wall;
use proto::wire::frame::Frame;
use zeroize::Zeroizing;

use super::{Cache, Confirmed};
use crate::ack::Ack;
use crate::error::WriteError;
use crate::one_answer::{OneAnswerError, bytes};

/// A write that is in this node's cache and on its way.
#[derive(Debug)]
#[must_use = "the write may not be where it is to be"]
pub struct Pending {
    pub(super) confirmed: Option<Confirmed>,
    pub(super) wanted: Ack,
}

/// A write that is in this node's cache only.
#[must_use = "the others are to have it, too"]
pub struct Placed {
    pub(super) key: Key,
    pub(super) hash: KeyHash,
    pub(super) version: Version,
    pub(super) deadlines: Deadlines,
    pub(super) payload: Option<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Placed({:?}, {:?})", self.key, self.version)
    }
}

impl Pending {
    /// Whether there is anything to wait for.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.confirmed.is_none()
    }
}

impl Cache {
    /// Reads the live record of `key` where it lies, in this node's own table.
    ///
    /// A part of the table is locked while `read` runs: it must not call back.
    pub fn read<R>(&self, key: &Key, read: impl FnOnce(&Record<'_>) -> R) -> Option<R> {
        self.read_at(key, self.now(), read)
    }

    /// The same at a time that is known, for many at once.
    pub fn read_at<R>(
        &self,
        key: &Key,
        now: Wall,
        read: impl FnOnce(&Record<'_>) -> R,
    ) -> Option<R> {
        self.shared.holdings.get(key, now, read)
    }

    /// The same with what this node holds of a key, a tombstone and what has
    /// ended too; not counted.
    pub fn inspect<R>(&self, key: &Key, read: impl FnOnce(&Record<'_>) -> R) -> Option<R> {
        let hash = self.shared.holdings.hash(key);
        let is_it = |record: &Record<'_>| (record.key == *key).then(|| read(record));
        self.shared.holdings.peek_hash(hash, is_it).flatten()
    }

    /// The hash that places `key`.
    #[must_use]
    pub fn hash(&self, key: &Key) -> KeyHash {
        self.shared.holdings.hash(key)
    }

    /// The version of the next write.
    #[must_use]
    pub fn next_version(&self) -> Version {
        let time = self.shared.versions.tick(self.now());
        Version { time, writer: self.shared.writer }
    }

    /// Takes a write of this version into the node's own table: a payload, or
    /// nothing to delete what is there. It is to be spread
    /// ([`Cache::spread`]).
    ///
    /// # Errors
    ///
    /// As [`Cache::put`], without a word of acknowledgement.
    pub fn place(
        &self,
        key: &Key,
        version: Version,
        payload: Option<Vec<u8>>,
        deadlines: Deadlines,
    ) -> Result<Placed, WriteError> {
        let now = self.now();
        let payload = payload.map(Zeroizing::new);
        let body = match &payload {
            Some(payload) if payload.len() > MAX_PAYLOAD_BYTES => {
                return Err(WriteError::TooLarge { found: payload.len() });
            }
            Some(payload) => Body::Value(payload),
            None => Body::Deleted,
        };
        let record = Record { key: *key, version, deadlines, body };
        let (hash, Record { version, .. }) = self.take_in(record, now)?;
        Ok(Placed { key: *key, hash, version, deadlines, payload })
    }

    /// Has the others get a write.
    ///
    /// # Errors
    ///
    /// As [`Cache::put`], without a word of acknowledgement, but for
    /// [`Ack::Tier`].
    pub async fn spread(&self, placed: Placed, ack: Ack) -> Result<Pending, WriteError> {
        let Placed { key, hash, version, deadlines, payload } = placed;
        let body = payload.as_ref().map_or(Body::Deleted, |payload| Body::Value(payload));
        self.send(&Frame::Record(Record { key, version, deadlines, body }), hash, ack).await
    }

    /// Moves the idle deadline of the version that is here on.
    ///
    /// # Errors
    ///
    /// As [`Cache::touch`].
    pub async fn touch_version(
        &self,
        key: &Key,
        version: Version,
        idle: Wall,
        ack: Ack,
    ) -> Result<Pending, WriteError> {
        let hash = self.shared.holdings.hash(key);
        let touch = Touch { hash, time: version.time, idle };
        match self.shared.holdings.touch(&touch, self.now()) {
            Touched::Missing => Err(WriteError::NotFound),
            Touched::Moved | Touched::Stale => self.send(&Frame::Touch(touch), hash, ack).await,
        }
    }

    /// Waits until a write is where it is to be.
    ///
    /// # Errors
    ///
    /// [`WriteError::Unacknowledged`].
    pub async fn confirm(&self, pending: Pending) -> Result<(), WriteError> {
        self.confirm_by(pending, self.confirmed_by()).await
    }

    /// By when writes that are sent now have to be confirmed.
    #[must_use]
    pub fn confirmed_by(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.shared.ack_timeout
    }

    /// As [`Cache::confirm`], by that time: writes that were sent together are
    /// waited for together.
    ///
    /// # Errors
    ///
    /// [`WriteError::Unacknowledged`].
    pub async fn confirm_by(
        &self,
        pending: Pending,
        by: tokio::time::Instant,
    ) -> Result<(), WriteError> {
        let Pending { confirmed: Some(confirmed), wanted } = pending else { return Ok(()) };
        match tokio::time::timeout_at(by, confirmed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(WriteError::Unacknowledged { wanted }),
        }
    }

    /// What the voters of a key have agreed on: the value and its version.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn agreed(&self, key: &Key) -> Result<Option<Held>, OneAnswerError> {
        let held = |outcome: &Outcome| {
            if let Outcome::Found(held) = outcome { Some(held.clone()) } else { None }
        };
        self.agree_at(At::Home, key, Operation::Get, held).await
    }

    /// Has the voters agree on a value in the place of the one that has this
    /// version, or of nothing. Gives its version; none if something else is
    /// there.
    ///
    /// # Errors
    ///
    /// [`OneAnswerError`].
    pub async fn agree_on(
        &self,
        key: &Key,
        expected: Option<Hlc>,
        payload: &[u8],
        deadline: Wall,
    ) -> Result<Option<Hlc>, OneAnswerError> {
        let expect = expected.map_or(Expect::Absent, Expect::Version);
        let operation = Operation::Put { expect, value: bytes(payload)?, deadline };
        let written = |outcome: &Outcome| match outcome {
            Outcome::Written(version) => Some(Some(*version)),
            Outcome::Unexpected(_) => Some(None),
            Outcome::Found(_)
            | Outcome::Number(_)
            | Outcome::NotANumber
            | Outcome::Locked { .. }
            | Outcome::Occupied(_)
            | Outcome::Released
            | Outcome::NotHeld
            | Outcome::WrongKind
            | Outcome::Retired => None,
        };
        self.agree_at(At::Home, key, operation, written).await
    }

    /// Tells every holder what was agreed on, so that it can be waited for.
    ///
    /// # Errors
    ///
    /// As [`Cache::put`].
    pub async fn tell_agreed(
        &self,
        key: &Key,
        version: Hlc,
        (payload, deadline): (&[u8], Wall),
        ack: Ack,
    ) -> Result<Pending, WriteError> {
        let now = self.now();
        self.shared.versions.observe(version, now);
        let version = Version { time: version, writer: self.shared.writer };
        let deadlines = Deadlines::at(deadline);
        let record = Record { key: *key, version, deadlines, body: Body::Value(payload) };
        // It may be here already, or something that came after it.
        self.shared.holdings.admit(&record, now);
        let hash = self.shared.holdings.hash(key);
        self.send(&Frame::Record(record), hash, ack).await
    }

    /// Visits records that this node keeps, as
    /// [`Table::scan`](proto::table::Table::scan) does.
    pub fn scan(
        &self,
        cursor: Cursor,
        limit_bytes: usize,
        visit: impl FnMut(&Record<'_>),
    ) -> Option<Cursor> {
        self.shared.holdings.scan(cursor, KeyRanges::ALL, limit_bytes, visit)
    }

    async fn send(
        &self,
        frame: &Frame<'_>,
        hash: KeyHash,
        ack: Ack,
    ) -> Result<Pending, WriteError> {
        if ack == Ack::Tier {
            self.publish(frame, &[hash], ack).await?;
            return Ok(Pending { confirmed: None, wanted: ack });
        }
        // Nobody waits for the tier above.
        let _ = self.shared.tier.write(frame, false);
        let confirmed = self.enqueue(frame, &[hash], ack.of_holders()).await?;
        Ok(Pending { confirmed, wanted: ack })
    }
}
