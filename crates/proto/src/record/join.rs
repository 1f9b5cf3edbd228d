//! Records whose values join: what two nodes wrote at once is both kept.
//!
//! Which values do, and how, is [`state`]'s business. Here it is decided what
//! that means for the record around them. Its time and its absolute deadline
//! are the later ones, its idle deadline that of the later time; and in the
//! place of its writer it has a fingerprint of the value. So equal versions
//! still mean equal records, which is what digests compare: two nodes of which
//! one has seen an edit less differ in their versions, though both have the
//! time of the last edit.
//!
//! A value that joins takes the place of one of the same key that does not,
//! whichever is the later: a key is used for the one or for the other.

use zeroize::Zeroizing;

use super::merge::Merge;
use super::{Body, Deadlines, Key, Record, Version, Writer};
use crate::state::{self, Join};

/// What two records make together that is neither of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Joined {
    /// The later time, and what the value is.
    pub version: Version,
    /// Of the idle ones that of the later time, of the absolute ones the later.
    pub deadlines: Deadlines,
    /// The value that has both in it.
    pub payload: Zeroizing<Vec<u8>>,
}

impl Joined {
    /// The record of `key` that has both in it.
    #[must_use]
    pub fn record(&self, key: Key) -> Record<'_> {
        let Self { version, deadlines, payload } = self;
        Record { key, version: *version, deadlines: *deadlines, body: Body::Value(payload) }
    }
}

impl std::fmt::Debug for Joined {
    /// The value's length only: it holds secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined")
            .field("version", &self.version)
            .field("deadlines", &self.deadlines)
            .field("bytes", &self.payload.len())
            .finish()
    }
}

/// Whether the record's value joins with others: what is in an earlier one stays.
#[must_use]
#[inline]
pub fn joins(record: &Record<'_>) -> bool {
    match record.body {
        Body::Value(payload) => state::may_join(record.key.kind(), payload),
        Body::Deleted => false,
    }
}

/// A record as it is held: where its value joins, its writer is the value's
/// fingerprint.
#[must_use]
#[inline]
pub fn normal<'a>(record: &Record<'a>) -> Record<'a> {
    match record.body {
        Body::Value(payload) if joins(record) => {
            let writer = fingerprint(payload);
            Record { version: Version { writer, ..record.version }, ..*record }
        }
        Body::Value(_) | Body::Deleted => *record,
    }
}

/// Merges two records whose values may join; `None` when neither does, and the
/// order of records decides.
pub(super) fn merge(held: &Record<'_>, incoming: &Record<'_>) -> Option<Merge> {
    let (Body::Value(here), Body::Value(there)) = (held.body, incoming.body) else { return None };
    if !joins(held) && !joins(incoming) {
        return None;
    }
    if held == incoming {
        return Some(Merge::Keep);
    }
    match state::join(held.key.kind(), here, there) {
        Join::Neither => None,
        Join::Held => Some(Merge::Keep),
        Join::Incoming => Some(Merge::Replace(incoming.deadlines.idle)),
        Join::Both(payload) => Some(both(held, incoming, payload)),
    }
}

/// What is to be done where `payload` has both values in it.
fn both(held: &Record<'_>, incoming: &Record<'_>, payload: Zeroizing<Vec<u8>>) -> Merge {
    let later = if held.version.time < incoming.version.time { incoming } else { held };
    let idle = if held.version.time == incoming.version.time {
        held.deadlines.idle.max(incoming.deadlines.idle)
    } else {
        later.deadlines.idle
    };
    let absolute = held.deadlines.absolute.max(incoming.deadlines.absolute);
    let version = Version { time: later.version.time, writer: fingerprint(&payload) };
    let joined = Joined { version, deadlines: Deadlines { idle, absolute }, payload };
    let is = |one: &Record<'_>| {
        let record = joined.record(one.key);
        let deadlines = Deadlines { idle, ..one.deadlines };
        Record { deadlines, ..*one } == record
    };
    // Where the time stays, so does the later idle deadline.
    if is(held) && idle == held.deadlines.idle {
        Merge::Keep
    } else if is(held) {
        Merge::Touch(idle)
    } else if is(incoming) {
        Merge::Replace(idle)
    } else {
        Merge::Join(joined)
    }
}

/// What stands for a value in a version. Two values of one key and one
/// millisecond have the same with a probability of 2^-32, and then differ until
/// the next write.
fn fingerprint(payload: &[u8]) -> Writer {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, payload);
    let first = digest.as_ref().first_chunk().expect("a digest has 32 bytes");
    Writer(u32::from_be_bytes(*first))
}

#[cfg(test)]
mod tests;
