//! Finding records that other nodes hold.
//!
//! Whoever misses a key leaves its hash for the driver and waits. All who miss
//! one key wait for one query. Whom the driver asks, and for how long, is the
//! machine's business (`proto::lookup`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use proto::lookup::{Carried, MAX_QUERIES, Outcome};
use proto::record::{Body, Key, KeyHash, Record};
use proto::wire::Reader;
use proto::wire::frame::Frame;
use tokio::sync::oneshot;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::cache::{Cache, Found, Shared};
use crate::status::{Histogram, LookupStats};

/// The most keys that are waited for: those that the machine asks for, and as
/// many that it was not told of yet.
const MAX_KEYS: usize = 2 * MAX_QUERIES;
/// The most that wait for one key. A client opens a few connections at a time,
/// an application asks for one session in a few requests.
const MAX_WAITING: usize = 256;
/// How often one that was found, and forgotten again before it was read, is
/// asked for. A node forgets what is near it when it has missed something,
/// which does not happen twice in a row.
const TRIES: usize = 3;
/// The machine says within ten timeouts what came of a look-up. One more is for
/// a driver that does not get to run.
const LAST_RESORT: u32 = 11;

/// What those who look for records share with the driver.
#[derive(Default)]
pub(crate) struct Lookups {
    state: Mutex<State>,
    /// Whether the portion has arrived: what is missing of it then is nowhere.
    ready: AtomicBool,
    hits_remote: AtomicU64,
    misses: AtomicU64,
    refused: AtomicU64,
    latency: Mutex<Histogram>,
}

#[derive(Default)]
struct State {
    /// Keys that the driver has not taken yet.
    asked: Vec<KeyHash>,
    /// Who waits for which key.
    waiting: HashMap<KeyHash, Vec<oneshot::Sender<Outcome>>>,
    /// Whether nobody takes anything any more.
    closed: bool,
}

/// Somebody waits for a key from here on.
struct Joined {
    outcome: oneshot::Receiver<Outcome>,
    /// Whether the driver is to be told.
    tell: bool,
}

impl Lookups {
    /// Gives the keys that were asked for since the last time to `take`.
    pub(crate) fn take(&self, asked: &mut Vec<KeyHash>) {
        asked.append(&mut self.state.lock().asked);
    }

    /// Tells those who wait for a key what came of it.
    pub(crate) fn tell(&self, key: KeyHash, outcome: &Outcome) {
        let waiting = self.state.lock().waiting.remove(&key);
        for waiting in waiting.into_iter().flatten() {
            // Who waited may have gone.
            let _ = waiting.send(outcome.clone());
        }
    }

    /// The portion has arrived.
    pub(crate) fn be_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Tells all that nothing will come.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.asked.clear();
        state.waiting.clear();
    }

    /// What came of look-ups, as far as it is known here.
    pub(crate) fn stats(&self) -> LookupStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LookupStats {
            hits_remote: read(&self.hits_remote),
            misses: read(&self.misses),
            refused: read(&self.refused),
            latency: self.latency.lock().clone(),
            ..LookupStats::default()
        }
    }

    fn join(&self, key: KeyHash) -> Option<Joined> {
        let (told, outcome) = oneshot::channel();
        let mut state = self.state.lock();
        let State { asked, waiting, closed } = &mut *state;
        if *closed || (waiting.len() >= MAX_KEYS && !waiting.contains_key(&key)) {
            return None;
        }
        let others = waiting.entry(key).or_default();
        if others.len() >= MAX_WAITING {
            others.retain(|other| !other.is_closed());
            if others.len() >= MAX_WAITING {
                return None;
            }
        }
        let is_first = others.is_empty();
        others.push(told);
        let tell = is_first && asked.is_empty();
        if is_first {
            asked.push(key);
        }
        Some(Joined { outcome, tell })
    }
}

impl Cache {
    /// The live record of `key`, wherever in the farm it is.
    ///
    /// Looks in what this node holds. Where that has none, and others keep the
    /// key, they are asked: for [`crate::Config::lookup_timeout`] at the
    /// longest, but ten times as long for a large record of which some has
    /// come. What the farm does not have is looked for in the tier above, for
    /// 30 ms more. A future that is dropped leaves nothing behind.
    ///
    /// What others answer is no older than the last version that every holder
    /// had confirmed when the look-up began ([`crate::Ack::All`]), unless the
    /// one that answers was taken for dead or stalled then, and lives. What this
    /// node holds of a key that it does not keep follows all writes as they
    /// pass: a write whose packet was lost on its way here shows once that is
    /// repaired, some milliseconds later.
    pub async fn get(&self, key: &Key) -> Option<Found> {
        match self.peek(key) {
            Some(found) => Some(found),
            None => self.find(key).await,
        }
    }

    /// The live record of a key that this node does not hold: at other nodes of
    /// the farm, or else above.
    pub(crate) async fn find(&self, key: &Key) -> Option<Found> {
        match self.look_up(key).await {
            Some(found) => Some(found),
            None => self.find_above(key).await,
        }
    }

    /// The live record of a key that this node does not hold, at other nodes.
    pub(crate) async fn look_up(&self, key: &Key) -> Option<Found> {
        let lookups = &self.shared.lookups;
        let hash = self.shared.holdings.hash(key);
        let found = if self.has_all_of_farm(hash) { None } else { self.ask(key, hash).await };
        let count = if found.is_some() { &lookups.hits_remote } else { &lookups.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Whether what this node does not hold under `hash` is nowhere in the farm.
    pub(crate) fn has_all_of_farm(&self, hash: KeyHash) -> bool {
        let Shared { lookups, holdings, .. } = &*self.shared;
        lookups.ready.load(Ordering::Acquire) && holdings.has_all(hash)
    }

    /// Has other nodes asked for a record.
    async fn ask(&self, key: &Key, hash: KeyHash) -> Option<Found> {
        for _ in 0..TRIES {
            match self.outcome(hash).await? {
                Outcome::Here => {
                    if let Some(held) = self.held(key, hash) {
                        return held;
                    }
                }
                Outcome::Absent | Outcome::Unanswered => return self.held(key, hash).flatten(),
                Outcome::Carried(carried) => return self.carried(key, &carried),
                Outcome::Refused => return None,
            }
        }
        None
    }

    /// What came of asking others once.
    async fn outcome(&self, hash: KeyHash) -> Option<Outcome> {
        let lookups = &self.shared.lookups;
        let began = Instant::now();
        let Some(Joined { outcome, tell }) = lookups.join(hash) else {
            lookups.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        if tell {
            self.tell_driver();
        }
        let limit = self.shared.lookup_timeout * LAST_RESORT;
        let outcome = timeout(limit, outcome).await;
        lookups.latency.lock().record(began.elapsed());
        outcome.ok()?.ok()
    }

    /// What this node holds of a key that has just come: nothing, or what there
    /// is to be found in it. Not counted as a hit.
    fn held(&self, key: &Key, hash: KeyHash) -> Option<Option<Found>> {
        let is_it = |record: &Record<'_>| (record.key == *key).then(|| live(record)).flatten();
        self.shared.holdings.answer(hash, self.now(), is_it)
    }

    /// A record that this node has no room for.
    fn carried(&self, key: &Key, carried: &Carried) -> Option<Found> {
        let now = self.now();
        let frame = Frame::decode(&mut Reader::new(&carried.0), now).ok()??;
        let Frame::Record(record) = frame else { return None };
        let is_it = record.key == *key && !record.deadlines.passed(now);
        is_it.then(|| live(&record)).flatten()
    }
}

/// A record as it was found; `None` for a tombstone.
fn live(record: &Record<'_>) -> Option<Found> {
    let Body::Value(value) = record.body else { return None };
    Some(Found {
        value: Zeroizing::new(value.to_vec()),
        version: record.version,
        deadlines: record.deadlines,
    })
}

#[cfg(test)]
mod tests;
