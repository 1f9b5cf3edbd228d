//! Writes that began in another farm, in a tier below this one.
//!
//! They keep their versions, so that they merge here as they would have there,
//! and go on to this farm's nodes in this node's own stream.

use proto::nak::acks::Ack;
use proto::record::{Body, Hlc, Key, KeyHash, Record, Touch, is_final};
use proto::table::{Applied, Refusal, Touched};
use proto::time::Wall;
use proto::wire::frame::Frame;
use proto::wire::link::{Fate, Item};

use super::{Cache, Confirmed};
use crate::error::WriteError;

/// What became of something that was written below.
#[derive(Debug)]
pub(crate) struct Adopted {
    /// What became of it at this node; none when it, or something later, is here.
    pub(crate) fate: Option<Fate>,
    /// Told when others have it as it was asked for; none where there is nothing
    /// to be passed on.
    pub(crate) confirmed: Option<Confirmed>,
}

/// Whether something goes on from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Passes {
    /// There is nothing that another could lack.
    No,
    /// To the other nodes of this farm: it, or something later, came before, and
    /// may not have been confirmed then.
    Farm,
    /// It is news: to the next tier as well. Nothing else is, so that what goes
    /// up in a circle of tiers stops where it began.
    All,
}

impl Cache {
    /// Takes in what was written in the tier below, and passes it on to this
    /// farm. Whether others there have it is to be waited for.
    ///
    /// # Errors
    ///
    /// [`WriteError::Closed`] when this node ends.
    pub(crate) async fn adopt(&self, item: &Item<'_>, ack: Ack) -> Result<Adopted, WriteError> {
        let now = self.now();
        let (fate, frame, keys, passes) = match *item {
            Item::Record(record) => {
                let record = self.lasting(record);
                let (hash, fate, passes) = self.merge(&record, now);
                (fate, Frame::Record(record), [hash; 2], passes)
            }
            Item::Rotate { old, new } => {
                let old = self.lasting(old);
                let (new_hash, fate, new_passes) = self.merge(&new, now);
                let (old_hash, dead, old_passes) = self.merge(&old, now);
                let frame = Frame::Rotate { old, new };
                (dead.or(fate), frame, [new_hash, old_hash], new_passes.max(old_passes))
            }
            Item::Touch { key, time, idle } => {
                let hash = self.shared.holdings.hash(&key);
                let touch = Touch { hash, time, idle };
                let (fate, passes) = match self.shared.holdings.touch(&touch, now) {
                    Touched::Moved => (None, Passes::All),
                    Touched::Stale | Touched::Missing if self.is_deleted(&key, time) => {
                        (Some(Fate::Deleted), Passes::No)
                    }
                    // Others may lack it, or hold what is not held here.
                    Touched::Stale => (None, Passes::Farm),
                    Touched::Missing => (Some(Fate::Missing), Passes::No),
                };
                (fate, Frame::Touch(touch), [hash; 2], passes)
            }
        };
        if passes == Passes::All {
            // Nobody waits for that.
            let _ = self.shared.tier.write(&frame, false);
        }
        let keys = if keys[0] == keys[1] { &keys[..1] } else { &keys[..] };
        let confirmed = match passes {
            Passes::No => None,
            Passes::Farm | Passes::All => self.enqueue(&frame, keys, ack).await?,
        };
        Ok(Adopted { fate, confirmed })
    }

    /// A tombstone, so that it outlives what it deletes here: who deleted it may
    /// not have known for how long that was to live.
    fn lasting<'a>(&self, record: Record<'a>) -> Record<'a> {
        if record.body != Body::Deleted {
            return record;
        }
        let hash = self.shared.holdings.hash(&record.key);
        let ends = self.shared.holdings.peek_hash(hash, |held| {
            let is_it = held.key == record.key && held.body != Body::Deleted;
            is_it.then_some(held.deadlines.absolute)
        });
        let mut lasting = record;
        if let Some(ends) = ends.flatten() {
            lasting.deadlines.absolute = record.deadlines.absolute.max(ends);
        }
        lasting
    }

    /// Merges a record.
    fn merge(&self, record: &Record<'_>, now: Wall) -> (KeyHash, Option<Fate>, Passes) {
        // A clock that is ahead is its own farm's to find and to tell of.
        self.shared.versions.observe(record.version.time, now);
        let hash = self.shared.holdings.hash(&record.key);
        let kept = |held: &Record<'_>| {
            let is_it = held.key == record.key;
            let was_deleted = held.body == Body::Deleted && record.body != Body::Deleted;
            (is_it, is_it && was_deleted)
        };
        let (fate, passes) = match self.shared.holdings.admit(record, now) {
            Applied::New | Applied::Replaced | Applied::Touched => (None, Passes::All),
            Applied::Kept => match self.shared.holdings.peek_hash(hash, kept) {
                Some((_, true)) => (Some(Fate::Deleted), Passes::No),
                // Also where a later version is here, which others may lack: who
                // has neither would have nothing.
                Some((true, false)) => (None, Passes::Farm),
                Some((false, false)) | None => (None, Passes::No),
            },
            // It ended on its way: there is nothing that could be lost.
            Applied::Refused(Refusal::Expired) => (None, Passes::No),
            Applied::Refused(Refusal::Forgotten | Refusal::TooLarge) => {
                (Some(Fate::Refused), Passes::No)
            }
        };
        (hash, fate, passes)
    }

    /// Whether what was written at `time` was deleted since, as far as is known
    /// here.
    fn is_deleted(&self, key: &Key, time: Hlc) -> bool {
        let tombstone = self.deleted(key);
        tombstone.is_some_and(|dead| is_final(&dead) || dead.version.time >= time)
    }

    /// The tombstone of `key`, if there is one here.
    pub(crate) fn deleted(&self, key: &Key) -> Option<Record<'static>> {
        let hash = self.shared.holdings.hash(key);
        let dead = |held: &Record<'_>| {
            let is_it = held.key == *key && held.body == Body::Deleted;
            is_it.then_some(Record { body: Body::Deleted, ..*held })
        };
        self.shared.holdings.peek_hash(hash, dead).flatten()
    }
}
