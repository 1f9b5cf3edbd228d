//! Look-ups: finding a record that this node does not hold.
//!
//! [`Lookups`] asks the holders of a key one after the other: the home at
//! once, the next one when an answer is later than 19 of 20 were lately, and
//! from the first again when all were asked, as any message may be lost. The
//! first record that comes is what is found. That a key is absent is believed
//! once *every* holder has said so: a write that one of them has confirmed is
//! then found, whichever it is, and none is hidden by a holder that is a lost
//! packet behind. All of it is bounded by one timeout.
//!
//! Whoever looks for a key that is being looked for shares its query. It
//! decides whom to ask and when; what a record says, whether it is kept, and who
//! the holders are it is told.
//!
//! - `query`: one key, whom it was asked of, and what they said;
//! - `latency`: how long answers take;
//! - `absences`: what nobody has, believed for a while.

mod absences;
mod latency;
mod query;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use zeroize::Zeroizing;

use absences::Absences;
use latency::Latency;
pub use query::MAX_HOLDERS;
use query::{Absent, Next, Query, Taken};

use crate::load::Load;
use crate::record::KeyHash;
use crate::time::Instant;
use crate::wire::control::{Message, Part};
use crate::wire::header::Incarnation;

/// The most queries at a time: what comes in 30 ms at 130,000 look-ups a second,
/// far more than a node's socket takes. Beyond it a key is absent at once.
pub const MAX_QUERIES: usize = 4_096;
/// The most records of several parts that are put together at a time: 16 MiB
/// of the largest. One more is not taken, and its key is absent in the end.
const MAX_ASSEMBLED: usize = 16;
/// So many holders that do not answer are found out within the timeout, however
/// slow all of them were lately.
const HEDGES: u32 = 4;
/// Messages whose answers may still come after their query has ended. They
/// tell how slow the holder was that was not waited for.
const MAX_LATE: usize = 1_024;

/// What came of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What was found is held by this node, unless it was deleted or has ended.
    Here,
    /// It was found, and this node has no room to hold it.
    Carried(Carried),
    /// No holder has it, or there is none to be asked. It may have come by.
    Absent,
    /// Not all holders have answered in time, and no other has it. It may have
    /// come by.
    Unanswered,
    /// It was not looked for: too many others are.
    Refused,
}

/// The frame of a record that is not held.
#[derive(Clone, PartialEq, Eq)]
pub struct Carried(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Carried {
    /// The length only: records hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Carried({} bytes)", self.0.len())
    }
}

/// What look-ups did, counted since the node began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Keys that others were asked for.
    pub queries: u64,
    /// Messages to another holder, as the one before was slow to answer.
    pub hedged: u64,
    /// Messages to a holder that had not answered an earlier one.
    pub repeated: u64,
    /// Look-ups that were answered from memory: nobody has it, as all said a
    /// moment ago.
    pub known_absent: u64,
    /// Queries that ended without an answer of all holders.
    pub unanswered: u64,
    /// Look-ups that were refused, as too many were running.
    pub refused: u64,
    /// Answers to what was not asked, or is not asked any more.
    pub strays: u64,
}

/// The keys that are looked for.
#[derive(Debug)]
pub struct Lookups {
    timeout: Duration,
    queries: BTreeMap<KeyHash, Query>,
    /// When each query is to be looked at.
    due: BTreeSet<(Instant, KeyHash)>,
    /// What each message that may be answered asked for.
    numbers: BTreeMap<u64, KeyHash>,
    /// When messages were sent that were not waited for.
    late: BTreeMap<u64, Instant>,
    last_number: u64,
    latency: Latency,
    absences: Absences,
    ended: VecDeque<(KeyHash, Outcome)>,
    counters: Counters,
}

impl Lookups {
    /// Look-ups that take so long at the most. A large record, once its
    /// first part has come, may take ten times as long.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            queries: BTreeMap::new(),
            due: BTreeSet::new(),
            numbers: BTreeMap::new(),
            late: BTreeMap::new(),
            last_number: 0,
            latency: Latency::default(),
            absences: Absences::default(),
            ended: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Looks for a key at its holders, the home first. Where it is being looked
    /// for already that goes on. Gives the outcome where there is nothing to
    /// wait for.
    pub fn begin(
        &mut self,
        now: Instant,
        key: KeyHash,
        holders: impl Iterator<Item = Incarnation>,
    ) -> Option<Outcome> {
        if self.queries.contains_key(&key) {
            return None;
        }
        if self.absences.contains(now, key) {
            self.counters.known_absent += 1;
            return Some(Outcome::Absent);
        }
        if self.queries.len() >= MAX_QUERIES {
            self.counters.refused += 1;
            return Some(Outcome::Refused);
        }
        let holders: Vec<_> = holders.take(MAX_HOLDERS).collect();
        if holders.is_empty() {
            return Some(Outcome::Absent);
        }
        self.counters.queries += 1;
        let query = Query::new(now, self.timeout, holders);
        self.due.insert((query.timeout(), key));
        self.queries.insert(key, query);
        None
    }

    /// The next message that is due, and to whom.
    pub fn poll_ask(&mut self, now: Instant) -> Option<(Incarnation, Message)> {
        while let Some(&(due, key)) = self.due.first()
            && due <= now
        {
            let number = self.last_number + 1;
            let hedge = self.latency.p95().min(self.timeout / HEDGES);
            let query = self.queries.get_mut(&key).expect("what is due is a query's");
            if query.is_over(now) {
                self.counters.unanswered += 1;
                self.end(key, Outcome::Unanswered);
                continue;
            }
            let next = query.ask(now, number, hedge);
            let again = query.timeout();
            self.due.remove(&(due, key));
            self.due.insert((again, key));
            if let Some(Next { to, missing, hedges, repeats }) = next {
                self.last_number = number;
                self.numbers.insert(number, key);
                self.counters.hedged += u64::from(hedges);
                self.counters.repeated += u64::from(repeats);
                return Some((to, Message::Ask { number, key, missing }));
            }
        }
        None
    }

    /// A holder says that it has none.
    pub fn handle_absent(&mut self, now: Instant, from: Incarnation, number: u64, certain: bool) {
        let Some((key, holder)) = self.answered(now, from, number) else { return };
        let absent = self.change(key, |query| query.absent(now, holder, certain));
        self.settle(now, key, absent);
    }

    /// A part of a record has come. Once it is complete, gives the key that
    /// was asked for and the bytes; who can read them says by [`Self::end`]
    /// what they are.
    pub fn handle_part(
        &mut self,
        now: Instant,
        from: Incarnation,
        part: &Part<'_>,
    ) -> Option<(KeyHash, Zeroizing<Vec<u8>>)> {
        let (key, holder) = self.answered(now, from, part.page)?;
        if part.count > 1 && !self.queries[&key].assembles() {
            let assembled = self.queries.values().filter(|query| query.assembles()).count();
            if assembled >= MAX_ASSEMBLED {
                self.counters.refused += 1;
                return None;
            }
        }
        match self.change(key, |query| query.take(now, holder, part)) {
            Taken::Nothing | Taken::Some => None,
            Taken::All(bytes) => Some((key, bytes)),
        }
    }

    /// Ends a query, if one runs, with what came of it.
    pub fn end(&mut self, key: KeyHash, outcome: Outcome) {
        let Some(query) = self.queries.remove(&key) else { return };
        self.due.remove(&(query.timeout(), key));
        for number in query.numbers() {
            self.numbers.remove(&number);
        }
        self.late.extend(query.unanswered());
        while self.late.len() > MAX_LATE {
            self.late.pop_first();
        }
        self.ended.push_back((key, outcome));
    }

    /// Whether what passes of records may matter to [`Self::passed`].
    #[must_use]
    pub fn watches(&self) -> bool {
        !self.queries.is_empty() || !self.absences.is_empty()
    }

    /// A record of that key has come by. Whether it is being looked for: then
    /// it is worth holding, whatever the holders answer. It is no answer by
    /// itself, as it may have been lost for a while and be older than theirs.
    pub fn passed(&mut self, key: KeyHash) -> bool {
        self.absences.remove(key);
        let query = self.queries.get_mut(&key);
        query.map(|query| query.overtaken = true).is_some()
    }

    /// A node is gone: nobody waits for it.
    pub fn lost(&mut self, now: Instant, node: Incarnation) {
        let keys: Vec<KeyHash> = self.queries.keys().copied().collect();
        for key in keys {
            if let Some(absent) = self.change(key, |query| query.lost(now, node)) {
                self.settle(now, key, absent);
            }
        }
    }

    /// The next query that has ended.
    pub fn poll_ended(&mut self) -> Option<(KeyHash, Outcome)> {
        self.ended.pop_front()
    }

    /// When [`Self::poll_ask`] has something to do.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// What they did.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn loads(&self) -> [Load; 4] {
        [
            Load::new("queries", self.queries.len(), MAX_QUERIES),
            Load::new("late answers", self.late.len(), MAX_LATE),
            Load::new("ended queries", self.ended.len(), MAX_QUERIES),
            self.absences.load(),
        ]
    }

    /// A message of that number is answered: the key that it asked for, and
    /// the place of the holder.
    fn answered(
        &mut self,
        now: Instant,
        from: Incarnation,
        number: u64,
    ) -> Option<(KeyHash, usize)> {
        let Some(&key) = self.numbers.get(&number) else {
            match self.late.remove(&number) {
                Some(sent) => self.latency.record(now - sent),
                None => self.counters.strays += 1,
            }
            return None;
        };
        let query = self.queries.get_mut(&key).expect("the number is a query's");
        let Some((holder, took)) = query.answered(now, from, number) else {
            self.counters.strays += 1;
            return None;
        };
        if let Some(took) = took {
            self.latency.record(took);
        }
        Some((key, holder))
    }

    /// Changes a query, and when it is due with it.
    fn change<R>(&mut self, key: KeyHash, change: impl FnOnce(&mut Query) -> R) -> R {
        let query = self.queries.get_mut(&key).expect("the caller found it");
        self.due.remove(&(query.timeout(), key));
        let changed = change(query);
        self.due.insert((query.timeout(), key));
        changed
    }

    fn settle(&mut self, now: Instant, key: KeyHash, absent: Absent) {
        if let Absent::Everywhere { certain } = absent {
            // What has come by meanwhile the holders may have now.
            if certain && !self.queries[&key].overtaken {
                self.absences.insert(now, key);
            }
            self.end(key, Outcome::Absent);
        }
    }
}
