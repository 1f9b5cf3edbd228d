//! What a look-up finds in the tier above, and what becomes of it here.

use std::time::Duration;

use proto::record::{Body, Key, Record};
use proto::table::{Applied, Refusal};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::{Cache, Found, Shared};
use crate::upstream::{Looked, Turn};

/// How long a look-up waits for the tier above: it is part of a handshake or a
/// request that a person waits for.
const LOOK_UP: Duration = Duration::from_millis(30);

/// The most tiers that are asked, one by the other: an edge, a site, a region
/// and the whole.
pub(crate) const MOST_TIERS: u8 = 4;

impl Cache {
    /// The live record of `key` in the tier above; the node itself has
    /// none. What is found is merged into what it holds, which decides: a tombstone
    /// here, or a later version, is worth more than what was found.
    pub(crate) async fn find_above(&self, key: &Key) -> Option<Found> {
        self.find_tiers_above(key, LOOK_UP, MOST_TIERS).await
    }

    /// The live record of `key` for a node of the tier below, which waits for
    /// it no longer than `patience`: here, at another node of this farm, or in
    /// so many tiers above.
    pub(crate) async fn find_for_below(
        &self,
        key: &Key,
        patience: Duration,
        tiers: u8,
    ) -> Option<Found> {
        if let Some(found) = self.peek(key) {
            return Some(found);
        }
        match self.look_up(key).await {
            Some(found) => Some(found),
            None => self.find_tiers_above(key, patience, tiers).await,
        }
    }

    async fn find_tiers_above(&self, key: &Key, budget: Duration, tiers: u8) -> Option<Found> {
        // Each tier asks one fewer: where tiers are above each other in a
        // circle, that ends it.
        let hops = tiers.checked_sub(1)?;
        let Shared { holdings, tier, .. } = &*self.shared;
        if tier.is_empty() {
            return None;
        }
        let (now, hash) = (self.now(), holdings.hash(key));
        let is_deleted = holdings.peek_hash(hash, |held| {
            held.key == *key && held.body == Body::Deleted && held.deadlines.absolute > now
        });
        if is_deleted == Some(true) {
            return None;
        }
        // Who waits for another one's answer may have to ask in his place.
        let until = Instant::now() + budget;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let asking = match tier.asked().turn((*key, hops)) {
                Turn::Absent => return None,
                Turn::AskAlone => None,
                Turn::Ask(asking) => Some(asking),
                Turn::Wait(mut answer) => {
                    match timeout(left, answer.wait_for(Option::is_some)).await {
                        Ok(Ok(answer)) => return answer.clone().flatten(),
                        Ok(Err(_)) => continue,
                        Err(_) => return None,
                    }
                }
            };
            let looked = tier.find((key, hops), left, |record| self.keep(record)).await;
            let (found, is_certain) = match looked {
                Looked::Found(found) => (found, true),
                Looked::Nothing => (None, true),
                Looked::Unknown => (None, false),
            };
            if let Some(asking) = asking.filter(|_| is_certain) {
                asking.tell(found.clone());
            }
            return found;
        }
    }

    /// Keeps a record that was found, and gives what there is of its key then.
    fn keep(&self, record: &Record<'_>) -> Option<Found> {
        let Shared { holdings, versions, .. } = &*self.shared;
        let now = self.now();
        versions.observe(record.version.time, now);
        match holdings.admit(record, now) {
            Applied::New
            | Applied::Replaced
            | Applied::Touched
            | Applied::Kept
            // It can be used, though there is no room for it.
            | Applied::Refused(Refusal::TooLarge) => {}
            Applied::Refused(Refusal::Expired | Refusal::Forgotten) => return None,
        }
        let is_live = |held: &Record<'_>| held.key == record.key && !held.deadlines.passed(now);
        let held = holdings.peek_hash(holdings.hash(&record.key), |held| {
            if is_live(held) { found(held) } else { None }
        });
        held.unwrap_or_else(|| found(record))
    }
}

/// A value as it is given to those who asked.
pub(super) fn found(record: &Record<'_>) -> Option<Found> {
    let Body::Value(value) = record.body else { return None };
    let value = Zeroizing::new(value.to_vec());
    Some(Found { value, version: record.version, deadlines: record.deadlines })
}
