//! Which sessions a user has, so that all can be listed and ended.
//!
//! Two servers may begin sessions of one user at once: both stay in the index.
//! Sessions are numbered by an *order*, which grows from one to the next; all
//! up to an order end by one number, also those that the index does not name
//! because another server has only just begun them.
//!
//! Both that number and the time up to which sessions have ended by themselves
//! only grow, and a session that lies below either is not in the index. So it is
//! a set that only grows, below two lines that only rise, and indexes join in
//! any order (a session's order and end are part of what it is in the set).

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::codec::{self, Writing};
use super::{StateId, Type};
use crate::record::MAX_SKEW;
use crate::time::Wall;
use crate::wire::codec::Malformed;

/// How many sessions of one user the index names: a person has a few, and each
/// change of rights begins one. Beyond, the oldest end.
pub const MAX_SESSIONS: usize = 1_000;
const SCHEMA: u8 = 1;

/// The place of a session among those of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Order(pub u64);

/// A session in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its place.
    pub order: Order,
    /// When it ends whatever is done.
    pub ends: Wall,
    /// Its id.
    pub id: StateId,
}

/// The sessions of one user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    /// Those up to here are ended.
    ended: Order,
    /// Those that end up to here have.
    passed: Wall,
    sessions: BTreeSet<Entry>,
}

impl Index {
    /// What the index of a user is found by: nothing of his name is in it that
    /// can be read off.
    #[must_use]
    pub fn name(user: &str) -> [u8; 32] {
        let named = digest(&SHA256, &[b"segue sessions of ", user.as_bytes()].concat());
        *named.as_ref().first_chunk().expect("a digest has 32 bytes")
    }

    /// The order of a session that begins at `now`: beyond all that are ended,
    /// and all that are known.
    #[must_use]
    pub fn next_order(&self, now: Wall) -> Order {
        let last = self.sessions.last().map_or(0, |last| last.order.0).max(self.ended.0);
        Order(now.as_millis().max(last + 1))
    }

    /// Adds a session, and lets go of those that have ended by themselves.
    pub fn add(&mut self, entry: Entry, now: Wall) {
        self.sessions.insert(entry);
        self.passed = self.passed.max(now);
        let beyond = self.sessions.len().saturating_sub(MAX_SESSIONS);
        if let Some(oldest) = beyond.checked_sub(1).and_then(|at| self.sessions.iter().nth(at)) {
            self.ended = self.ended.max(oldest.order);
        }
        self.settle();
    }

    /// Ends all sessions that were begun up to `now`, at whichever server: clocks
    /// of others may be ahead by as much as versions may.
    pub fn end_all(&mut self, now: Wall) {
        let last = self.sessions.last().map_or(0, |last| last.order.0);
        self.ended = self.ended.max(Order((now + MAX_SKEW).as_millis().max(last)));
        self.settle();
    }

    /// Whether the session of this order is ended.
    #[must_use]
    pub fn has_ended(&self, order: Order) -> bool {
        order <= self.ended
    }

    /// The sessions that may live at `now`, oldest first. Whether one does its
    /// own record says.
    pub fn sessions(&self, now: Wall) -> impl Iterator<Item = &Entry> {
        self.sessions.iter().filter(move |entry| entry.ends > now)
    }

    /// Takes in what another index has.
    pub fn join(&mut self, other: &Self) {
        self.ended = self.ended.max(other.ended);
        self.passed = self.passed.max(other.passed);
        self.sessions.extend(&other.sessions);
        self.settle();
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writing = Writing::new(Type::Index, SCHEMA);
        writing.u64(self.ended.0);
        writing.u48(self.passed.as_millis());
        writing.count(self.sessions.len());
        for Entry { order, ends, id } in &self.sessions {
            writing.u64(order.0);
            writing.u48(ends.as_millis());
            writing.bytes(id.as_bytes());
        }
        writing.finish()
    }

    /// Reads what [`Index::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut reader, _) = codec::open(bytes, Type::Index, SCHEMA)?;
        let (ended, passed) = (Order(reader.u64("ended")?), reader.wall("passed")?);
        let sessions = codec::ascending(&mut reader, "sessions", |reader| {
            let (order, ends) = (Order(reader.u64("order")?), reader.wall("end")?);
            let entry = Entry { order, ends, id: StateId::new(reader.array("session")?) };
            if order <= ended || ends <= passed {
                return Err(Malformed::Invalid("session"));
            }
            Ok((entry, ()))
        })?;
        reader.finish("index")?;
        Ok(Self { ended, passed, sessions: sessions.into_keys().collect() })
    }

    /// Lets go of what lies below either line.
    fn settle(&mut self) {
        let (ended, passed) = (self.ended, self.passed);
        self.sessions.retain(|entry| entry.order > ended && entry.ends > passed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn wall(millis: u64) -> Wall {
        Wall::from_millis(millis)
    }

    fn entry(order: u64, ends: u64) -> Entry {
        let mut id = [0; StateId::BYTES];
        id[..8].copy_from_slice(&order.to_be_bytes());
        Entry { order: Order(order), ends: wall(ends), id: StateId::new(id) }
    }

    #[test]
    fn all_sessions_end_also_those_that_another_server_begins_meanwhile() {
        let (mut here, mut there) = (Index::default(), Index::default());
        here.add(entry(1_000, 9_000), wall(1_000));
        // Its clock is ahead.
        there.add(entry(1_400, 9_000), wall(1_400));
        here.end_all(wall(1_000));
        here.join(&there);
        assert_eq!(here.sessions(wall(1_000)).count(), 0);
        assert!(here.has_ended(Order(1_400)));
        let next = here.next_order(wall(1_001));
        assert!(!here.has_ended(next), "who logs in again has a session");
        here.add(entry(next.0, 9_000), wall(1_001));
        assert_eq!(here.sessions(wall(1_002)).count(), 1);
    }

    #[test]
    fn what_has_ended_by_itself_goes_and_does_not_come_back() {
        let mut index = Index::default();
        index.add(entry(1, 100), wall(10));
        let before = index.clone();
        index.add(entry(2, 500), wall(200));
        index.join(&before);
        assert!(index.sessions(wall(0)).eq([&entry(2, 500)]));
    }

    #[test]
    fn beyond_the_limit_the_oldest_end() {
        let mut index = Index::default();
        let most = u64::try_from(MAX_SESSIONS).unwrap();
        for order in 1..=most + 3 {
            index.add(entry(order, 9_000), wall(order));
        }
        assert!(index.has_ended(Order(3)) && !index.has_ended(Order(4)));
        assert_eq!(index.sessions(wall(0)).count(), MAX_SESSIONS);
    }
}
