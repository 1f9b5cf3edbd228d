//! Writes of values: as they are given, under another id, or made from what is
//! held.

use parking_lot::Mutex;
use proto::record::{Body, Deadlines, Key, KeyHash, MAX_PAYLOAD_BYTES, Record, Touch, Version};
use proto::table::Put;
use proto::wire::frame::Frame;
use zeroize::Zeroizing;

use super::{Cache, Found, Written};
use crate::ack::Ack;
use crate::error::WriteError;

/// How many edits of different keys may be made at once: more than there are
/// processors, so that few wait for one another's microseconds.
const EDITS: usize = 64;

/// Has edits of one key follow one another at this node.
pub(crate) struct Edits([Mutex<()>; EDITS]);

impl Default for Edits {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Edits {
    fn of(&self, hash: KeyHash) -> &Mutex<()> {
        // EDITS is far below what a word holds.
        &self.0[usize::try_from(hash.0 % EDITS as u64).expect("less than EDITS")]
    }
}

/// What an edit has made of a value.
pub(crate) struct Edited {
    /// The whole value, what was there before included.
    pub(crate) value: Zeroizing<Vec<u8>>,
    pub(crate) deadlines: Deadlines,
}

/// What this node holds of a write, and the others are to be told.
struct Held<'a> {
    hash: KeyHash,
    /// As it is held.
    record: Record<'a>,
    /// Whether it was held before, and then whether its idle deadline moved on.
    moved: Option<bool>,
}

impl Cache {
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
        let held = self.put_here(key, value, deadlines)?;
        self.tell(&held, ack).await
    }

    /// Gives a record another id: the new one appears and the old one dies
    /// together, at every node.
    ///
    /// # Errors
    ///
    /// [`WriteError::NotFound`] when there is no live record of `old`; else
    /// as [`Cache::put`].
    pub async fn rotate(&self, old: &Key, new: &Key, ack: Ack) -> Result<Written, WriteError> {
        let Found { value, deadlines, .. } = self.get(old).await.ok_or(WriteError::NotFound)?;
        self.replace((old, new), &Edited { value, deadlines }, ack).await
    }

    /// Writes a value under a new id, and the record of the old one, which lives,
    /// dies with that.
    ///
    /// # Errors
    ///
    /// As [`Cache::put`].
    pub(crate) async fn replace(
        &self,
        (old, new): (&Key, &Key),
        edited: &Edited,
        ack: Ack,
    ) -> Result<Written, WriteError> {
        let Edited { value, deadlines } = edited;
        let (now, ends) = (self.now(), Deadlines::at(deadlines.absolute));
        let old = self.record(old, ends, Body::Deleted, now);
        let new = self.record(new, *deadlines, Body::Value(value), now);
        let (new_hash, new) = self.take_in(new, now)?;
        let (old_hash, old) = self.take_in(old, now)?;
        self.publish(&Frame::Rotate { old, new }, &[new_hash, old_hash], ack).await?;
        Ok(Written { version: new.version })
    }

    /// Changes a value by what the farm has of it, and waits until `ack` is met.
    /// Edits of one key at this node follow one another; of one that joins, those
    /// of other nodes at the same time stay as well.
    ///
    /// # Errors
    ///
    /// Those of `change`, and as [`Cache::put`].
    pub(crate) async fn edit<E: From<WriteError>>(
        &self,
        key: &Key,
        ack: Ack,
        change: impl FnOnce(Option<&Found>, Version) -> Result<Edited, E>,
    ) -> Result<Written, E> {
        // What is found elsewhere is held here from then on, where there is room.
        let found = if self.peek(key).is_none() { self.find(key).await } else { None };
        let hash = self.shared.holdings.hash(key);
        let edited;
        let held = {
            let _alone = self.shared.edits.of(hash).lock();
            let present = self.peek(key).or(found);
            edited = change(present.as_ref(), self.tick(self.now()))?;
            self.put_here(key, &edited.value, edited.deadlines)?
        };
        Ok(self.tell(&held, ack).await?)
    }

    /// Takes a value into what this node holds.
    fn put_here<'a>(
        &self,
        key: &Key,
        value: &'a [u8],
        deadlines: Deadlines,
    ) -> Result<Held<'a>, WriteError> {
        let found = value.len();
        if found > MAX_PAYLOAD_BYTES {
            return Err(WriteError::TooLarge { found });
        }
        let now = self.now();
        let hash = self.shared.holdings.hash(key);
        let record = self.record(key, deadlines, Body::Value(value), now);
        match self.shared.holdings.put(hash, &record, now) {
            Put::Applied(applied) => {
                let record = self.accepted((hash, record), applied, now)?;
                Ok(Held { hash, record, moved: None })
            }
            Put::Same { version, moved } => {
                Ok(Held { hash, record: Record { version, ..record }, moved: Some(moved) })
            }
        }
    }

    /// Tells the others of what this node holds, as far as they need it.
    async fn tell(&self, held: &Held<'_>, ack: Ack) -> Result<Written, WriteError> {
        let Held { hash, record, moved } = *held;
        let version = record.version;
        match moved {
            None => self.publish(&Frame::Record(record), &[hash], ack).await?,
            // Whether others have what is held is known only once they have been
            // sent it.
            Some(_) if ack != Ack::Local => {
                self.publish(&Frame::Record(record), &[hash], ack).await?;
            }
            Some(true) => {
                let touch = Touch { hash, time: version.time, idle: record.deadlines.idle };
                self.publish(&Frame::Touch(touch), &[hash], ack).await?;
            }
            Some(false) => {}
        }
        Ok(Written { version })
    }
}
