//! How long a value is kept, and what is left of one that was deleted.

use std::time::Duration;

use super::rank::Rank;
use super::state::Members;
use crate::record::{Deadlines, Hlc};
use crate::time::Wall;

/// How long it is remembered that something was deleted which had no end, or
/// a very late one: longer than a node that comes back was away.
const LONGEST_TOMBSTONE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The least time for which it is remembered: longer than a write is on its way.
const SHORTEST_TOMBSTONE: Duration = Duration::from_secs(10);
/// How long removed fields are remembered one by one.
const REMOVED: Duration = Duration::from_secs(60 * 60);
/// How many of them are remembered at the most: what is older is forgotten
/// together.
const MOST_REMOVED: usize = 1024;

/// The deadlines of a value that is to end at `end` unless it is used.
#[must_use]
pub fn lasting(end: Wall, now: Wall) -> Deadlines {
    Deadlines { idle: end, absolute: end + end.saturating_since(now) }
}

/// Until when it is remembered that a value was deleted, which would have
/// ended for good at `absolute`.
#[must_use]
pub fn remembered(now: Wall, absolute: Option<Wall>) -> Wall {
    let latest = now + LONGEST_TOMBSTONE;
    absolute.unwrap_or(latest).min(latest).max(now + SHORTEST_TOMBSTONE)
}

/// Forgets removed fields that are old, or too many.
pub(super) fn forget(members: &mut Members<'_>, now: Wall) {
    let removed = members.entries.values().filter(|entry| entry.value.is_none());
    let mut ranks: Vec<Rank> = removed.map(|entry| entry.rank).collect();
    let old = now.as_millis().saturating_sub(u64::try_from(REMOVED.as_millis()).unwrap_or(0));
    let old = Hlc::at(Wall::from_millis(old));
    ranks.sort_unstable();
    let excess = ranks.len().saturating_sub(MOST_REMOVED);
    let aged = ranks.iter().take_while(|rank| rank.written.time < old).count();
    let Some(&last) = excess.max(aged).checked_sub(1).and_then(|last| ranks.get(last)) else {
        return;
    };
    members.known = members.known.max(last);
    members.entries.retain(|_, entry| entry.value.is_some() || entry.rank > last);
}
