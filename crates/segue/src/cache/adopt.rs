//! Writes that began in another farm, in a tier below this one.
//!
//! They keep their versions, so that they merge here as they would have there,
//! and go on to this farm's nodes in this node's own stream.

use proto::nak::acks::Ack;
use proto::record::{Body, Key, KeyHash, Record, Touch};
use proto::table::{Applied, Refusal, Touched};
use proto::time::Wall;
use proto::wire::frame::Frame;
use proto::wire::link::Item;

use super::{Cache, Confirmed};
use crate::error::WriteError;

/// What became of something that was written below.
#[derive(Debug)]
pub(crate) struct Adopted {
    pub(crate) fate: Fate,
    /// Told when others have it as it was asked for; none where it had been
    /// passed on before.
    pub(crate) confirmed: Option<Confirmed>,
}

/// What became of it at this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is here, or something later is.
    Held,
    /// It is a touch of a record that is not here.
    Missing,
    /// There is no room for it, or it may have been deleted.
    Refused,
}

/// Whether something goes on from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Passes {
    /// It is no news.
    No,
    /// To the other nodes of this farm: it came before, and may not have been
    /// confirmed then.
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
                let (hash, fate, passes) = self.merge(&record, now);
                (fate, Frame::Record(record), [hash; 2], passes)
            }
            Item::Rotate { old, new } => {
                let (new_hash, fate, new_passes) = self.merge(&new, now);
                let (old_hash, dead, old_passes) = self.merge(&old, now);
                let fate = if dead == Fate::Held { fate } else { dead };
                let frame = Frame::Rotate { old, new };
                (fate, frame, [new_hash, old_hash], new_passes.max(old_passes))
            }
            Item::Touch { key, time, idle } => {
                let hash = self.shared.holdings.hash(&key);
                let touch = Touch { hash, time, idle };
                let (fate, passes) = match self.shared.holdings.touch(&touch, now) {
                    Touched::Moved => (Fate::Held, Passes::All),
                    Touched::Stale => (Fate::Held, Passes::No),
                    Touched::Missing => (Fate::Missing, Passes::No),
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

    /// Merges a record.
    fn merge(&self, record: &Record<'_>, now: Wall) -> (KeyHash, Fate, Passes) {
        // A clock that is ahead is its own farm's to find and to tell of.
        self.shared.versions.observe(record.version.time, now);
        let hash = self.shared.holdings.hash(&record.key);
        let is_same = |held: &Record<'_>| held.version == record.version && held.key == record.key;
        let (fate, passes) = match self.shared.holdings.admit(record, now) {
            Applied::New | Applied::Replaced | Applied::Touched => (Fate::Held, Passes::All),
            Applied::Kept => {
                let same = self.shared.holdings.peek_hash(hash, is_same);
                (Fate::Held, if same == Some(true) { Passes::Farm } else { Passes::No })
            }
            // It ended on its way: there is nothing that could be lost.
            Applied::Refused(Refusal::Expired) => (Fate::Held, Passes::No),
            Applied::Refused(Refusal::Forgotten | Refusal::TooLarge) => (Fate::Refused, Passes::No),
        };
        (hash, fate, passes)
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
