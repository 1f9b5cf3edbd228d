//! A node of the farm above, reached over a link: what is asked of it, and what
//! it is given.
//!
//! Nothing is sealed here a second time: the link is, and who has proven the
//! farm's key may read. When it is called, and what waits meanwhile, is decided
//! elsewhere.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use proto::holdings::Holdings;
use proto::record::{Body, Key, Record};
use proto::wire::link::{
    Answer, Ask, Batch, Fate, Item, Items, MAX_RECORD_BYTES, MAX_TAKEN_BYTES, Taken,
};
use quinn::{SendStream, VarInt};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::queue::Write;
use super::session::{Stored, patience};
use crate::link::{Code, Link, Purpose};

/// Why a node above is to be left.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// The link ended.
    #[error("the link ended: {0}")]
    Ended(#[from] io::Error),
    /// What it said makes no sense.
    #[error("it said what makes no sense")]
    Malformed,
}

/// A link to a node above.
#[derive(Debug, Clone)]
pub(super) struct Session {
    link: Link,
    /// Where records are whose touches it lacks them for.
    holdings: Arc<Holdings>,
}

/// An answer, as it came.
pub(super) struct Answered {
    key: Key,
    bytes: Zeroizing<Vec<u8>>,
}

impl Answered {
    /// The record, a tombstone perhaps; none if it is not there.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        match Answer::decode(&self.bytes, &self.key) {
            Ok(Answer::Held(record)) => Some(record),
            Ok(Answer::Absent) | Err(_) => None,
        }
    }
}

impl Session {
    pub(super) const fn new(link: Link, holdings: Arc<Holdings>) -> Self {
        Self { link, holdings }
    }

    /// Gives the node above what waited, for which there is so much time. `each`
    /// is told what became of it.
    pub(super) async fn store_all(
        &self,
        writes: Vec<Write>,
        time: Duration,
        mut each: impl FnMut(Write, Stored),
    ) {
        let mut batch = Batch::default();
        writes.iter().for_each(|write| batch.push_encoded(&write.value));
        let mut fates = vec![Stored::Written; writes.len()];
        let mut missing = Vec::new();
        match self.store_within(time, &batch).await {
            Err(stored) => fates.fill(stored),
            Ok(taken) => {
                for (place, fate) in taken.exceptions {
                    let place = usize::from(place);
                    match told(fate) {
                        Some(stored) => fates[place] = stored,
                        None => missing.push(place),
                    }
                }
            }
        }
        if !missing.is_empty() {
            self.bring(&writes, &missing, &mut fates).await;
        }
        writes.into_iter().zip(fates).for_each(|(write, stored)| each(write, stored));
    }

    /// Gives the node above the records whose touches had nothing to touch
    /// there, as far as they are here, and notes what became of them. Each time
    /// as many as go together, and for as long as these take: the touches were
    /// shorter.
    async fn bring(&self, writes: &[Write], missing: &[usize], fates: &mut [Stored]) {
        let mut left = missing;
        while !left.is_empty() {
            let (mut batch, mut brought) = (Batch::default(), Vec::new());
            while let [place, rest @ ..] = left
                && batch.has_room()
            {
                left = rest;
                match self.add_record(&writes[*place], &mut batch) {
                    Ok(()) => brought.push(*place),
                    Err(error) => fates[*place] = Stored::Refused(error.to_owned()),
                }
            }
            if brought.is_empty() {
                continue;
            }
            match self.store_within(patience(batch.bytes().len()), &batch).await {
                Err(stored) => {
                    // What was not even tried comes with the same touch again.
                    brought.iter().chain(left).for_each(|&place| fates[place] = stored.clone());
                    return;
                }
                Ok(taken) => {
                    brought.iter().for_each(|&place| fates[place] = Stored::Written);
                    for (place, fate) in taken.exceptions {
                        let stored = told(fate).unwrap_or(Stored::Unconfirmed);
                        fates[brought[usize::from(place)]] = stored;
                    }
                }
            }
        }
    }

    /// Adds the record to a batch that a touch is of.
    fn add_record(&self, write: &Write, batch: &mut Batch) -> Result<(), &'static str> {
        let Ok(Some(Item::Touch { key, .. })) = Items::of(&write.value).next_item() else {
            return Err("it takes a record for a touch");
        };
        let held = self.holdings.peek_hash(self.holdings.hash(&key), |&held| {
            let is_live = held.key == key && held.body != Body::Deleted;
            if is_live {
                batch.push(&Item::Record(held));
            }
            is_live
        });
        let is_here = held == Some(true);
        is_here.then_some(()).ok_or("it lacks the record, which is not here any more either")
    }

    /// Gives the node above a batch; an error says what became of all of it.
    async fn store_within(&self, time: Duration, batch: &Batch) -> Result<Taken, Stored> {
        match timeout(time, self.store(batch)).await {
            Ok(Ok(taken)) => Ok(taken),
            Ok(Err(error)) => Err(Stored::Unanswered(error.to_string())),
            Err(_) => Err(Stored::Late),
        }
    }

    /// Asks for a record. The node above asks at most so many `hops` further
    /// tiers, and for no longer than `patience`.
    ///
    /// # Errors
    ///
    /// [`SessionError`], and the link is of no more use.
    pub(super) async fn get(
        &self,
        key: &Key,
        patience: Duration,
        hops: u8,
    ) -> Result<Answered, SessionError> {
        let patience_millis = u16::try_from(patience.as_millis()).unwrap_or(u16::MAX);
        let mut bytes = Vec::new();
        Ask { hops, patience_millis, key: *key }.encode(&mut bytes);
        let bytes = self.exchange(Purpose::Ask, &bytes, MAX_RECORD_BYTES).await?;
        if Answer::decode(&bytes, key).is_err() {
            return Err(self.malformed());
        }
        Ok(Answered { key: *key, bytes })
    }

    /// Gives the node above what was written here. Says what became of it.
    ///
    /// # Errors
    ///
    /// As [`Session::get`].
    async fn store(&self, batch: &Batch) -> Result<Taken, SessionError> {
        let bytes = self.exchange(Purpose::Batch, batch.bytes(), MAX_TAKEN_BYTES).await?;
        Taken::decode(&bytes, batch.items()).map_err(|_| self.malformed())
    }

    /// Waits for an answer to nothing.
    ///
    /// # Errors
    ///
    /// As [`Session::get`].
    pub(super) async fn probe(&self) -> Result<(), SessionError> {
        self.exchange(Purpose::Probe, &[], 0).await.map(drop)
    }

    async fn exchange(
        &self,
        purpose: Purpose,
        said: &[u8],
        most: usize,
    ) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        let (send, mut receive) = self.link.open(purpose).await?;
        let mut said_by = Saying(Some(send));
        if let Some(send) = &mut said_by.0 {
            if purpose == Purpose::Batch {
                // Who looks something up has 30 milliseconds. It fails on a
                // stream that was stopped, which reading shows.
                let _ = send.set_priority(AFTER_OTHERS);
            }
            send.write_all(said).await.map_err(io::Error::from)?;
            let _ = send.finish();
        }
        let answer = receive.read_to_end(most).await.map_err(io::Error::other)?;
        said_by.0 = None;
        Ok(Zeroizing::new(answer))
    }

    fn malformed(&self) -> SessionError {
        self.link.end(Code::Malformed);
        SessionError::Malformed
    }
}

/// What became of an item; none of a touch whose record is missing.
fn told(fate: Fate) -> Option<Stored> {
    match fate {
        Fate::Missing => None,
        Fate::Deleted => Some(Stored::Deleted),
        Fate::Refused => Some(Stored::Refused("it has no room for the record".to_owned())),
        Fate::Unconfirmed => Some(Stored::Unconfirmed),
    }
}

/// A stream on which something is being said. Whoever stops waiting for the
/// answer resets it: what is left of it would only be in the way of others, and
/// an end that looks regular would be taken for one.
struct Saying(Option<SendStream>);

impl Drop for Saying {
    fn drop(&mut self) {
        if let Some(send) = &mut self.0 {
            // That it may have ended already is no matter.
            let _ = send.reset(GIVEN_UP);
        }
    }
}

/// What a stream is reset with whose answer nobody waits for. Nobody reads it.
const GIVEN_UP: VarInt = VarInt::from_u32(0);
/// The priority of streams that go after all others; that of others is 0.
const AFTER_OTHERS: i32 = -1;

#[cfg(test)]
mod tests;
