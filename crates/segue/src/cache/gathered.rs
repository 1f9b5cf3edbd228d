//! Writes that wait for one another: those of one pipeline are sent together,
//! and nothing waits while they are done.

use proto::nak::acks;
use proto::record::{Body, Deadlines, Key, KeyHash, MAX_PAYLOAD_BYTES, Record};
use proto::table::Put;
use proto::time::Wall;
use proto::wire::frame::Frame;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::Cache;
use super::values::{Pending, Placed};
use crate::ack::Ack;
use crate::error::WriteError;
use crate::writes::{Pushed, Write};

/// A write that is in this node's cache, and what it takes that others get it.
#[derive(Debug)]
#[must_use = "the write may not be where it is to be"]
pub enum Gathered {
    /// It goes with what others have written already.
    Joined(Pending),
    /// It goes once [`Cache::send_gathered`] is called.
    First(Pending),
    /// There is no room for it: it is to be spread ([`Cache::spread`]).
    Left(Placed),
}

impl Cache {
    /// Whether what this node does not hold under `hash` is nowhere, so that
    /// there is nothing that a write of the whole value would have to be later
    /// than.
    #[must_use]
    pub fn has_all(&self, hash: KeyHash) -> bool {
        self.has_all_of_farm(hash) && self.shared.tier.is_empty()
    }

    /// Has memory fetched that reads and writes of these keys will need soon: a
    /// few dozen at the most, of each so many bytes.
    pub fn fetch(&self, keys: &[KeyHash], entry_bytes: usize) {
        self.shared.holdings.fetch(keys, entry_bytes);
    }

    /// Reads what this node holds under `hash`, a tombstone and what has ended
    /// too; not counted.
    ///
    /// A part of the table is locked while `read` runs: it must not call back.
    pub fn inspect_hash<R>(&self, hash: KeyHash, read: impl FnOnce(&Record<'_>) -> R) -> Option<R> {
        self.shared.holdings.peek_hash(hash, read)
    }

    /// Writes a value whose key has this `hash`, at this time, and has it
    /// gather with others'. It does not wait, neither for room nor for the tier
    /// above ([`Ack::Tier`] means as much as [`Ack::Local`] here).
    ///
    /// # Errors
    ///
    /// As [`Cache::put`], without a word of acknowledgement.
    pub fn gather(
        &self,
        (key, hash): (&Key, KeyHash),
        payload: &[u8],
        deadlines: Deadlines,
        (ack, now): (Ack, Wall),
    ) -> Result<Gathered, WriteError> {
        let found = payload.len();
        if found > MAX_PAYLOAD_BYTES {
            return Err(WriteError::TooLarge { found });
        }
        let record = self.record(key, deadlines, Body::Value(payload), now);
        let record = match self.shared.holdings.put(hash, &record, now) {
            Put::Applied(applied) => self.accepted((hash, record), applied, now)?,
            Put::Same { version, .. } => Record { version, ..record },
        };
        let frame = Frame::Record(record);
        // Nobody waits for the tier above.
        let _ = self.shared.tier.write(&frame, false);
        let holders = ack.of_holders();
        if self.goes_nowhere(holders)? {
            return Ok(Gathered::Joined(Pending { confirmed: None, wanted: ack }));
        }
        let (done, confirmed) = (holders != acks::Ack::Local).then(oneshot::channel).unzip();
        let write = Write { frame: &frame, keys: &[hash], ack: holders, done };
        let pending = Pending { confirmed, wanted: ack };
        Ok(match self.shared.writes.push(write)? {
            Pushed::Joined => Gathered::Joined(pending),
            Pushed::Tell => Gathered::First(pending),
            Pushed::Full(_) => {
                let payload = Some(Zeroizing::new(payload.to_vec()));
                let Record { key, version, deadlines, .. } = record;
                Gathered::Left(Placed { key, hash, version, deadlines, payload })
            }
        })
    }

    /// Has writes sent that have gathered.
    pub fn send_gathered(&self) {
        self.tell_driver();
    }
}
