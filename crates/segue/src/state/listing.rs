//! What a node holds, for those who operate it: which sessions there are, whose
//! they are and when they end. No id is shown, and no value.

use std::collections::BTreeMap;

use proto::record::{Body, Deadlines, Key, KeyHash, Kind, Record};
use proto::state::{Auth, Index};
use proto::table::{Cursor, KeyRanges};
use proto::time::Wall;

use crate::cache::Cache;

/// How much of the table is looked at without a pause: some tens of
/// microseconds of one of its locks.
const STEP_BYTES: usize = 64 << 10;

/// Which sessions are meant; without anything, all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Those of a kind.
    pub kind: Option<Kind>,
    /// Logins of a user.
    pub user: Option<&'a str>,
    /// The one that is shown by this name.
    pub name: Option<KeyHash>,
}

/// A session, or another record, as it is shown.
#[derive(Debug, Clone)]
pub struct Listed {
    /// A keyed hash of its id, the same at every node.
    pub name: KeyHash,
    /// What it is.
    pub kind: Kind,
    /// How long its value is, in bytes.
    pub bytes: usize,
    /// When it was written.
    pub written: Wall,
    /// When it ends.
    pub deadlines: Deadlines,
    /// What it says, if it is a login.
    pub auth: Option<Auth>,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The sessions, by kind and name.
    pub sessions: Vec<Listed>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

impl Cache {
    /// Lists what this node itself holds, at most `limit` of it. This walks the
    /// whole table: some milliseconds for each 10 MiB.
    #[must_use]
    pub fn list(&self, filter: Filter<'_>, limit: usize) -> Listing {
        let (now, holdings) = (self.now(), &self.shared.holdings);
        let mut found = BTreeMap::new();
        let mut cursor = Some(Cursor::START);
        while let Some(from) = cursor.filter(|_| found.len() <= limit) {
            let mut step = Vec::new();
            cursor = holdings.scan(from, KeyRanges::ALL, STEP_BYTES, |record| {
                step.extend(listed(record, filter, now));
            });
            for (key, listed) in step {
                let name = holdings.hash(&key);
                if filter.name.is_none_or(|wanted| wanted == name) {
                    // What moved during the walk may come twice.
                    found.insert((listed.kind, name), Listed { name, ..listed });
                }
            }
        }
        let more = found.len() > limit;
        Listing { sessions: found.into_values().take(limit).collect(), more }
    }

    /// The key of what is shown by a name, if this node itself holds it.
    #[must_use]
    pub fn named(&self, name: KeyHash) -> Option<Key> {
        self.shared.holdings.peek_hash(name, |record| record.key)
    }
}

/// A record as it is shown, its name yet to be made; none where it is not meant.
fn listed(record: &Record<'_>, filter: Filter<'_>, now: Wall) -> Option<(Key, Listed)> {
    let Body::Value(value) = record.body else { return None };
    let kind = record.key.kind();
    if record.deadlines.passed(now) || filter.kind.is_some_and(|wanted| wanted != kind) {
        return None;
    }
    let auth = if kind == Kind::Auth { Auth::decode(value).ok() } else { None };
    let is_users = |user| auth.as_ref().is_some_and(|auth| auth.subject() == user);
    let is_index = kind == Kind::Auth && auth.is_none() && Index::decode(value).is_ok();
    if is_index || filter.user.is_some_and(|user| !is_users(user)) {
        return None;
    }
    let Record { version, deadlines, .. } = *record;
    let (name, written) = (KeyHash::default(), version.time.wall());
    Some((record.key, Listed { name, kind, bytes: value.len(), written, deadlines, auth }))
}
