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
    Answer, Ask, Batch, Item, Items, MAX_RECORD_BYTES, MAX_TAKEN_BYTES, Taken,
};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::queue::Write;
use super::session::{ANSWER, Stored};
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
    /// It did not answer in time.
    #[error("no answer within {ANSWER:?}")]
    Silent,
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

    /// Gives the node above what waited. `each` is told what became of it.
    pub(super) async fn store_all(&self, writes: Vec<Write>, mut each: impl FnMut(Write, Stored)) {
        let mut batch = Batch::default();
        writes.iter().for_each(|write| batch.push_encoded(&write.value));
        let mut taken =
            timeout(ANSWER, self.store(&batch)).await.unwrap_or(Err(SessionError::Silent));
        if let Ok(Taken { missing, confirmed }) = &taken
            && !missing.is_empty()
        {
            let (lacked, confirmed) = (self.lacked(&writes, missing), *confirmed);
            let stored = timeout(ANSWER, self.store(&lacked)).await;
            taken = stored.unwrap_or(Err(SessionError::Silent));
            if let Ok(taken) = &mut taken {
                taken.confirmed &= confirmed;
            }
        }
        let stored = match taken {
            Ok(Taken { confirmed: true, .. }) => Stored::Written,
            Ok(_) => Stored::Refused("no other node of that farm has confirmed it".to_owned()),
            Err(error) => Stored::Unanswered(error.to_string()),
        };
        writes.into_iter().for_each(|write| each(write, stored.clone()));
    }

    /// The records whose touches had nothing to touch there, as far as they are
    /// here.
    fn lacked(&self, writes: &[Write], missing: &[u16]) -> Batch {
        let mut batch = Batch::default();
        for write in missing.iter().filter_map(|&place| writes.get(usize::from(place))) {
            let Ok(Some(Item::Touch { key, .. })) = Items::of(&write.value).next_item() else {
                continue;
            };
            let hash = self.holdings.hash(&key);
            // Long ones wait for the next touch, if they do not fit any more.
            self.holdings.peek_hash(hash, |&held| {
                if held.key == key && held.body != Body::Deleted && batch.has_room() {
                    batch.push(&Item::Record(held));
                }
            });
        }
        batch
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
        let (mut send, mut receive) = self.link.open(purpose).await?;
        send.write_all(said).await.map_err(io::Error::from)?;
        // An error says that the stream was stopped, which reading shows.
        let _ = send.finish();
        let answer = receive.read_to_end(most).await.map_err(io::Error::other)?;
        Ok(Zeroizing::new(answer))
    }

    fn malformed(&self) -> SessionError {
        self.link.end(Code::Malformed);
        SessionError::Malformed
    }
}

#[cfg(test)]
mod tests;
